/* descriptors.h: how many files and connections this process may have open at once. */
#pragma once

#include <stdint.h>

/* More are of no use to us, and some limits are a billion, which libraries walk through. */
#define MN_DESCRIPTORS_MOST 65536u

/* Raise the soft limit to the hard one, or to MN_DESCRIPTORS_MOST if that is less; a higher one stays. The
 * limit from then on. */
uint64_t mn_descriptors_raise(void);
