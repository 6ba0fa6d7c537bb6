/* profile.h: where a thread's time goes.
 * One stopwatch that runs on, and rows: all that passed since the last lap goes to the row of this
 * one, so that the rows sum to the whole. The clock is the processor's counter (some 20 ns a lap,
 * measured and taken off); as that counts on while another program has the core, every half
 * millisecond is held against the thread's CPU clock, and what was not ours is taken off the
 * longest lap of that stretch. A profile belongs to one thread at a time. */
#pragma once

#include "common/error.h"
#include <stddef.h>
#include <stdint.h>

typedef struct mn_profile mn_profile;

/* The rows that every profile begins with: work that is not an operation of a plan. */
enum mn_profile_part {
    MN_PART_DRAW,    /* the task: sampling, rotation, decoding */
    MN_PART_VECTORS, /* inner steps and the walk back, between the runs of plans */
    MN_PART_SUMS,    /* is the row in range; adding it to the exact sum */
    MN_PART_HAND,    /* handing out: locks, leases, theta to the threads */
    MN_PART_MERGE,   /* the lease's sums into the round's */
    MN_PART_OUTER,   /* mean and optimiser */
    MN_PART_WAIT,    /* by the wall's clock */
    MN_N_PARTS
};

typedef struct mn_profile_row {
    const char *name, *stage; /* static; stage "" for a part */
    char shape[48];
    double flops, bytes; /* of one lap; 0: not counted */
    uint64_t laps;
    double ns; /* of all laps */
} mn_profile_row;

/* MN_ERR_NOMEM: *out is untouched. */
mn_status mn_profile_new(mn_profile **out, mn_error *err);
void mn_profile_destroy(mn_profile **profile);

/* n more rows, copied, which belong to `owner` (a plan). */
mn_status mn_profile_add(mn_profile *profile, const void *owner, size_t n,
                         const mn_profile_row *rows, mn_error *err);
/* The first row of the owner; SIZE_MAX: it has none here. */
size_t mn_profile_find(const mn_profile *profile, const void *owner);

/* Forget all times and start the stopwatch. Another thread may do that for one that waits and will
 * say so. */
void mn_profile_start(mn_profile *profile);
/* All since the last lap belongs to this row. `profile` may be NULL: does nothing. */
void mn_profile_lap(mn_profile *profile, size_t row);
/* The same for MN_PART_WAIT, which keeps what the CPU clock did not see. */
void mn_profile_waited(mn_profile *profile);

size_t mn_profile_rows(const mn_profile *profile);
/* Row i with its times, the timer's own cost taken off. */
mn_profile_row mn_profile_row_at(const mn_profile *profile, size_t i);
/* What a lap costs; and the time that other programs had of ours. */
double mn_profile_lap_ns(const mn_profile *profile);
double mn_profile_stolen_ns(const mn_profile *profile);
