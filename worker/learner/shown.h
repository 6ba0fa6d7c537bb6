/* shown.h: what the parts of a network let be looked at (mn_builder_show), as numbers: of the query
 * set of one task, at a given theta. Whoever draws attention asks for it by name and hop and need
 * not know which part made it. */
#pragma once

#include "common/error.h"
#include "worker/engine/kernels.h"
#include "worker/tasks/task.h"
#include <stddef.h>
#include <stdint.h>

struct mn_network;
typedef struct mn_shown mn_shown;

/* One array: `n` numbers, item after item of the query set. */
typedef struct mn_shown_array {
    char name[24]; /* "attention" */
    uint32_t hop;  /* from 1; 0: there are no hops */
    size_t n;
    const mn_real *numbers; /* lent for the mn_shown's life; written by mn_shown_look */
} mn_shown_array;

/* Compile for tasks of these fields, which suit the network; all else is lent for the call. A
 * network that shows nothing gives no arrays. */
mn_status mn_shown_new(const struct mn_network *network, const mn_fields *fields,
                       const mn_kernels *kernels, mn_shown **out, mn_error *err);
void mn_shown_destroy(mn_shown **shown);

/* Compute the arrays. theta: the engine's layout, as adapted to the task where the rule adapts.
 * task: the block of its fields. One thread at a time. */
void mn_shown_look(mn_shown *shown, const mn_real *theta, const mn_real *task);

size_t mn_shown_count(const mn_shown *shown);
/* [mn_shown_count], in the order of building; lent. */
const mn_shown_array *mn_shown_arrays(const mn_shown *shown);
