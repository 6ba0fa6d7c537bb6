/* clock.h: what the time is, for who waits or measures. The cores are told it and never ask. */
#pragma once

#include <stdint.h>
#include <time.h>

/* Seconds of one of the system's clocks. */
double mn_clock_s(clockid_t clock);

/* Microseconds of CLOCK_MONOTONIC, from which deadlines are told. */
uint64_t mn_clock_us(void);
