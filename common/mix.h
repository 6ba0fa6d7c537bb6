/* mix.h: what tasks.mix says: the parts of a mixture. A part is the experiment's own tasks with some
 * keys of the section tasks set otherwise:
 *     "3 slow: phase=0,1; 1 fast: phase=2,3"
 * Whoever opens the data of a mixture, makes it or counts its parts reads it here. */
#pragma once

#include "common/experiment.h"

#define MN_MIX_MOST_PARTS 16u
#define MN_MIX_MOST_WEIGHT 1000000u

typedef struct mn_mix_part {
    uint32_t weight; /* 1 to MN_MIX_MOST_WEIGHT */
    char name[12];
    mn_experiment experiment; /* a mixture no more; checked */
} mn_mix_part;

/* How many parts there are as they stand between ';'; 0: the experiment is no mixture. */
uint32_t mn_mix_parts(const mn_experiment *experiment);

/* Read part `at` < mn_mix_parts(). MN_ERR_CONFIG: it is none, there are too few or too many, its name
 * stands twice, or its keys make no experiment: names the part. */
mn_status mn_mix_read(const mn_experiment *experiment, uint32_t at, mn_mix_part *out,
                      mn_error *err);
