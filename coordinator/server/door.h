/* door.h: addresses beside one that a user gave, for those who share a machine. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Write to out [n] the address whose port is `above` higher than the fixed one of `listen`. False, and out is
 * untouched, for an address without a port that is fixed, as tcp://...:* and ipc://... */
bool mn_door_above(const char *listen, uint32_t above, char *out, size_t n);
