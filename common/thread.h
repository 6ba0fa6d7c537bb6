/* thread.h: threads beside the one that a process begins with. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

/* Start one that takes no signals: those are for the thread that starts it. False: it does not start. */
bool mn_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);
