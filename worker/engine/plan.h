/* plan.h: a graph laid out in memory and ready to run.
 * Compiled once: the operations that the outputs need, in order; every array at a fixed place of
 * one scratch block, sharing space with those whose life does not overlap. A run allocates nothing,
 * and the size of the block is known beforehand. A plan is read-only and shared by threads; each
 * has its own scratch.
 *
 * A plan may have two stages: stage 1 goes on from what stage 0 made (a Hessian-vector product from
 * the gradient's activations). What it reads of that lies in a second block, `kept`, so that other
 * runs may use scratch in between and several runs of stage 0 may each wait for their stage 1,
 * which may be run once. Where keeping is too dear, MN_PLAN_REPLAY makes the same bits again. */
#pragma once

#include "common/error.h"
#include "worker/engine/graph.h"
#include "worker/engine/profile.h"
#include <stdatomic.h>
#include <stddef.h>

typedef struct mn_plan mn_plan;

typedef struct mn_plan_output {
    mn_node node; /* MN_NONE: `count` zeros */
    mn_slot slot;
    size_t offset, count;
    unsigned stage; /* after which it is there: 0 or 1 */
} mn_plan_output;

/* Addresses of the slots of one run. What the plan does not use may be NULL. */
typedef struct mn_bindings {
    const mn_real *in[MN_N_SLOTS];
    mn_real *out[MN_N_SLOTS];
    void *kept;          /* 64-byte aligned, mn_plan_kept_bytes */
    mn_profile *profile; /* of this thread, with rows of this plan; NULL: none */
} mn_bindings;

/* `loss`: a loss node whose value is wanted after stage 0, or MN_NONE. */
mn_status mn_plan_new(const mn_graph *graph, mn_node loss, size_t n_outputs,
                      const mn_plan_output *outputs, const mn_kernels *kernels, mn_plan **out,
                      mn_error *err);
void mn_plan_destroy(mn_plan **plan);

size_t mn_plan_scratch_bytes(const mn_plan *plan);
size_t mn_plan_kept_bytes(const mn_plan *plan);

/* As a stage: of stage 0 only what stage 1 reads, directly or through others. Its outputs and the
 * loss are not written. */
#define MN_PLAN_REPLAY 2u

/* scratch: 64-byte aligned, mn_plan_scratch_bytes. */
void mn_plan_run(const mn_plan *plan, unsigned stage, void *scratch, const mn_bindings *bindings);

/* From now on a run of this thread ends before it has begun once *stop is true; what its outputs hold
 * means nothing then. Lent; NULL: never. */
void mn_plan_heed(const atomic_bool *stop);

/* A row for each operation; `stages` says what the two stages and the replay are, static
 * text. */
mn_status mn_plan_profile(const mn_plan *plan, const char *const stages[3], mn_profile *profile,
                          mn_error *err);

/* The value of the loss node after stage 0, before anything else uses scratch. */
double mn_plan_loss(const mn_plan *plan, const void *scratch);
