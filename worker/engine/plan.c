#include "worker/engine/plan.h"

#include "worker/engine/fusion.h"
#include "worker/engine/ops/op.h"
#include "worker/engine/shelf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64u
#define FEW_INPUTS (MN_GEMM_BASE + 1) /* of a step: all of them take so many without a branch */

/* Where an array is: in one of the two blocks, or at an offset of a slot. */
struct place {
    enum { NOWHERE, SCRATCH, KEPT, SLOT_IN, SLOT_OUT } where;
    mn_slot slot;
    size_t offset; /* bytes in a block, elements in a slot */
};

/* The same, ready for a run, which has a table of bases: nothing, the two blocks, the slots. */
enum {
    NO_BASE,
    SCRATCH_BASE,
    KEPT_BASE,
    IN_BASE,
    OUT_BASE = IN_BASE + MN_N_SLOTS,
    N_BASES = OUT_BASE + MN_N_SLOTS
};

struct address {
    uint64_t base : 8, bytes : 56;
};

enum step_kind { COMPUTE, COPY, CLEAR };

/* Steps of small perceptrons take as long to be started as to compute. A plan is longer than what
 * the first cache has room for, so a step is short, and what a run reads of it is at its beginning.
 */
struct step {
    enum step_kind kind;
    bool has_more; /* than FEW_INPUTS; those that are not there are at NO_BASE */
    struct address out, in[MN_MAX_INPUTS];
    size_t count;           /* COPY, CLEAR: elements */
    mn_operation operation; /* COMPUTE */
};

struct mn_plan {
    const mn_kernels *kernels;
    size_t scratch_bytes, kept_bytes;
    size_t loss_offset; /* of a double in scratch */
    uint32_t begin[4];  /* stage s, and MN_PLAN_REPLAY: steps begin[s] .. begin[s+1]-1 */
    struct step *steps; /* owned */
};

/* A node while the plan is made. */
struct draft {
    unsigned stage;    /* 2: not needed */
    bool again;        /* stage 1 needs it, if only to make others */
    bool kept;         /* its bytes are read in stage 1, and made in stage 0 */
    uint32_t position; /* in the schedule */
    uint32_t last_use; /* position of its last reader */
    mn_node storage;   /* whose bytes it lives in: its own number, or that of what it views or takes
                          over; always of what has bytes of its own */
    size_t view_offset; /* bytes within */
    struct place place;
};

static mn_status compile(const mn_graph *graph, mn_node loss, size_t n_outputs,
                         const mn_plan_output *outputs, const mn_kernels *kernels, mn_plan **out,
                         mn_error *err);
static void mark_needed(const mn_graph *graph, mn_node loss, size_t n_outputs,
                        const mn_plan_output *outputs, struct draft *drafts);
static uint32_t schedule(const mn_graph *graph, struct draft *drafts, mn_node *order,
                         uint32_t begin[3]);
static void find_lives(const mn_graph *graph, const uint32_t begin[3], const mn_node *order,
                       mn_node loss, struct draft *drafts);
static void place_outputs(const mn_graph *graph, size_t n_outputs, const mn_plan_output *outputs,
                          struct draft *drafts);
static void share_storage(const mn_graph *graph, uint32_t n_order, const mn_node *order,
                          struct draft *drafts);
static mn_status lay_out(const mn_graph *graph, const mn_node *order, struct draft *drafts,
                         mn_plan *plan, mn_error *err);
static mn_status write_steps(const mn_graph *graph, const mn_node *order,
                             const struct draft *drafts, size_t n_outputs,
                             const mn_plan_output *outputs, mn_plan *plan, mn_error *err);

mn_status mn_plan_new(const mn_graph *graph, mn_node loss, size_t n_outputs,
                      const mn_plan_output *outputs, const mn_kernels *kernels, mn_plan **out,
                      mn_error *err)
{
    mn_graph fused;
    mn_status status = mn_graph_check(graph, err);
    if (status == MN_OK)
        status = mn_fusion_of(graph, loss, n_outputs, outputs, &fused, err);
    if (status == MN_OK) {
        status = compile(&fused, loss, n_outputs, outputs, kernels, out, err);
        mn_graph_fini(&fused);
    }
    return status;
}

static mn_status compile(const mn_graph *graph, mn_node loss, size_t n_outputs,
                         const mn_plan_output *outputs, const mn_kernels *kernels, mn_plan **out,
                         mn_error *err)
{
    uint32_t n = graph->n_nodes;
    mn_plan *plan = calloc(1, sizeof *plan);
    struct draft *drafts = calloc(n, sizeof *drafts);
    mn_node *order = calloc(n, sizeof *order);
    mn_status status = MN_ERR_NOMEM;
    if (plan == NULL || drafts == NULL || order == NULL) {
        (void)mn_fail(err, MN_ERR_NOMEM, "plan of %u operations", n);
        goto done;
    }

    plan->kernels = kernels;
    mark_needed(graph, loss, n_outputs, outputs, drafts);
    uint32_t n_order = schedule(graph, drafts, order, plan->begin);
    find_lives(graph, plan->begin, order, loss, drafts);
    place_outputs(graph, n_outputs, outputs, drafts);
    share_storage(graph, n_order, order, drafts);
    status = lay_out(graph, order, drafts, plan, err);
    if (status == MN_OK)
        status = write_steps(graph, order, drafts, n_outputs, outputs, plan, err);
    if (status == MN_OK) {
        if (loss != MN_NONE)
            plan->loss_offset = drafts[loss].place.offset;
        *out = plan;
        plan = NULL;
    }
done:
    free(order);
    free(drafts);
    mn_plan_destroy(&plan);
    return status;
}

void mn_plan_destroy(mn_plan **plan)
{
    if (*plan == NULL)
        return;
    free((*plan)->steps);
    free(*plan);
    *plan = NULL;
}

size_t mn_plan_scratch_bytes(const mn_plan *plan)
{
    return plan->scratch_bytes;
}

size_t mn_plan_kept_bytes(const mn_plan *plan)
{
    return plan->kept_bytes;
}

static bool is_view(mn_op op)
{
    return op == MN_OP_VIEW || op == MN_OP_STOP;
}

static uintptr_t address_of(const struct address *address, const uintptr_t *bases)
{
    return bases[address->base] + address->bytes;
}

static void run_step(const mn_plan *plan, const struct step *step, const uintptr_t *bases)
{
    mn_real *out = (mn_real *)address_of(&step->out, bases);
    const mn_real *in[MN_MAX_INPUTS] = {NULL};
    for (int i = 0; i < FEW_INPUTS; i++)
        in[i] = (const mn_real *)address_of(&step->in[i], bases);
    if (step->has_more)
        for (int i = FEW_INPUTS; i < MN_MAX_INPUTS; i++)
            in[i] = (const mn_real *)address_of(&step->in[i], bases);
    if (step->kind == COMPUTE)
        step->operation.run(&step->operation, plan->kernels, in, out);
    else if (step->kind == COPY)
        memcpy(out, in[0], step->count * sizeof *out);
    else
        memset(out, 0, step->count * sizeof *out);
}

static void run_with_laps(const mn_plan *plan, unsigned stage, const uintptr_t *bases,
                          mn_profile *profile, size_t row)
{
    mn_profile_lap(profile, MN_PART_VECTORS); /* what came before */
    for (uint32_t i = plan->begin[stage]; i < plan->begin[stage + 1]; i++) {
        run_step(plan, &plan->steps[i], bases);
        mn_profile_lap(profile, row + i);
    }
}

static _Thread_local const atomic_bool *heeded;

void mn_plan_heed(const atomic_bool *stop)
{
    heeded = stop;
}

void mn_plan_run(const mn_plan *plan, unsigned stage, void *scratch, const mn_bindings *bindings)
{
    if (heeded != NULL && atomic_load_explicit(heeded, memory_order_relaxed))
        return;
    uintptr_t bases[N_BASES] = {
        [SCRATCH_BASE] = (uintptr_t)scratch, [KEPT_BASE] = (uintptr_t)bindings->kept};
    for (size_t slot = 0; slot < MN_N_SLOTS; slot++) {
        bases[IN_BASE + slot] = (uintptr_t)bindings->in[slot];
        bases[OUT_BASE + slot] = (uintptr_t)bindings->out[slot];
    }
    if (bindings->profile != NULL) {
        size_t row = mn_profile_find(bindings->profile, plan);
        if (row != SIZE_MAX) {
            run_with_laps(plan, stage, bases, bindings->profile, row);
            return;
        }
    }
    for (uint32_t i = plan->begin[stage]; i < plan->begin[stage + 1]; i++)
        run_step(plan, &plan->steps[i], bases);
}

mn_status mn_plan_profile(const mn_plan *plan, const char *const stages[3], mn_profile *profile,
                          mn_error *err)
{
    uint32_t n = plan->begin[3];
    mn_profile_row *rows = calloc(n + 1, sizeof *rows);
    if (rows == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "profile of %u operations", n);
    for (uint32_t i = 0; i < n; i++) {
        const struct step *step = &plan->steps[i];
        mn_profile_row *row = &rows[i];
        row->stage = stages[(i >= plan->begin[1]) + (i >= plan->begin[2])];
        if (step->kind == COMPUTE) {
            mn_operation_describe(&step->operation, row);
        } else {
            row->name = step->kind == COPY ? "copy" : "clear";
            row->bytes = (double)(step->count * sizeof(mn_real) * (step->kind == COPY ? 2 : 1));
            (void)snprintf(row->shape, sizeof row->shape, "%zu", step->count);
        }
    }
    mn_status status = mn_profile_add(profile, plan, n, rows, err);
    free(rows);
    return status;
}

double mn_plan_loss(const mn_plan *plan, const void *scratch)
{
    double value;
    memcpy(&value, (const char *)scratch + plan->loss_offset, sizeof value);
    return value;
}

/* Making a plan, in the order of mn_plan_new. */

static void need(mn_node i, unsigned stage, struct draft *drafts)
{
    if (i != MN_NONE && drafts[i].stage > stage)
        drafts[i].stage = stage;
}

/* Inputs come before their users, so one walk from the end for each stage meets all. */
static void mark_needed(const mn_graph *graph, mn_node loss, size_t n_outputs,
                        const mn_plan_output *outputs, struct draft *drafts)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        drafts[i].stage = 2;
    need(loss, 0, drafts);
    for (unsigned stage = 0; stage < 2; stage++) {
        for (size_t i = 0; i < n_outputs; i++)
            if (outputs[i].stage == stage)
                need(outputs[i].node, stage, drafts);
        for (uint32_t i = graph->n_nodes; i-- > 0;) {
            const mn_graph_node *node = &graph->nodes[i];
            for (int k = 0; k < MN_MAX_INPUTS && drafts[i].stage == stage; k++)
                need(node->in[k], stage, drafts);
            if (drafts[i].stage == stage)
                need(node->plus, stage, drafts);
        }
    }
    for (size_t i = 0; i < n_outputs; i++)
        if (outputs[i].node != MN_NONE && drafts[outputs[i].node].stage < outputs[i].stage)
            drafts[outputs[i].node].again = true;
}

/* What is marked to be made again for a reader that is marked, or of stage 1. */
static void mark_again(const mn_graph *graph, uint32_t n_order, const mn_node *order,
                       struct draft *drafts)
{
    for (uint32_t p = n_order; p-- > 0;) {
        const mn_graph_node *node = &graph->nodes[order[p]];
        if (drafts[order[p]].stage == 0 && !drafts[order[p]].again)
            continue;
        for (int k = 0; k < MN_MAX_INPUTS; k++)
            if (node->in[k] != MN_NONE)
                drafts[node->in[k]].again = true;
        if (node->plus != MN_NONE)
            drafts[node->plus].again = true;
    }
}

/* Nodes are made in an order that can be run; stages only sort them apart. */
static uint32_t schedule(const mn_graph *graph, struct draft *drafts, mn_node *order,
                         uint32_t begin[3])
{
    uint32_t n = 0;
    for (unsigned stage = 0; stage < 2; stage++) {
        begin[stage] = n;
        for (uint32_t i = 0; i < graph->n_nodes; i++)
            if (drafts[i].stage == stage) {
                drafts[i].position = n;
                order[n++] = (mn_node)i;
            }
    }
    begin[2] = n;
    mark_again(graph, n, order, drafts);
    return n;
}

static void find_lives(const mn_graph *graph, const uint32_t begin[3], const mn_node *order,
                       mn_node loss, struct draft *drafts)
{
    for (uint32_t p = 0; p < begin[2]; p++) {
        const mn_graph_node *node = &graph->nodes[order[p]];
        struct draft *draft = &drafts[order[p]];
        draft->last_use = p;
        draft->storage = order[p];
        if (node->op == MN_OP_INPUT)
            draft->place = (struct place){SLOT_IN, node->slot, node->offset};
        if (is_view(node->op)) {
            draft->storage = drafts[node->in[0]].storage;
            draft->view_offset = drafts[node->in[0]].view_offset + node->offset * sizeof(mn_real);
        }
        for (int k = 0; k <= MN_MAX_INPUTS; k++) {
            mn_node in = k < MN_MAX_INPUTS ? node->in[k] : node->plus;
            if (in == MN_NONE)
                continue;
            struct draft *storage = &drafts[drafts[in].storage];
            drafts[in].last_use = storage->last_use = p;
            storage->kept = storage->kept || (p >= begin[1] && storage->stage == 0);
        }
    }
    if (loss != MN_NONE)
        drafts[loss].last_use = UINT32_MAX; /* read after the run */
}

/* A result that nothing else reads is computed where it goes, if that is there in its stage. */
static void place_outputs(const mn_graph *graph, size_t n_outputs, const mn_plan_output *outputs,
                          struct draft *drafts)
{
    for (size_t i = 0; i < n_outputs; i++) {
        mn_node node = outputs[i].node;
        if (node == MN_NONE)
            continue;
        struct draft *draft = &drafts[node];
        bool computed = graph->nodes[node].op != MN_OP_INPUT && !is_view(graph->nodes[node].op);
        bool later = draft->stage < outputs[i].stage;
        if (computed && !later && draft->place.where == NOWHERE &&
            draft->last_use == draft->position) {
            draft->place = (struct place){SLOT_OUT, outputs[i].slot, outputs[i].offset};
            continue;
        }
        drafts[draft->storage].last_use = draft->last_use = UINT32_MAX; /* copied after its stage */
        if (later) {
            drafts[draft->storage].kept = true;
            if (draft->place.where == SLOT_OUT)
                draft->place = (struct place){.where = NOWHERE};
        }
    }
}

/* Is `in` all of an array in a block? */
static bool is_whole(const mn_graph *graph, mn_node in, size_t count, const struct draft *drafts)
{
    const mn_node storage = drafts[in].storage;
    return drafts[storage].place.where == NOWHERE &&
           mn_extent_count(graph->nodes[in].extent) == count &&
           mn_extent_count(graph->nodes[storage].extent) == count;
}

/* Does the node read the bytes of input k (MN_MAX_INPUTS: its plus) by another way than element by
 * element? Then they must stay while the result is written. */
static bool reads_elsewhere(const mn_graph *graph, const mn_graph_node *node, int k,
                            const struct draft *drafts)
{
    const mn_node storage = drafts[k < MN_MAX_INPUTS ? node->in[k] : node->plus].storage;
    const size_t count = mn_extent_count(node->extent);
    for (int j = 0; j < MN_MAX_INPUTS; j++)
        if (j != k && node->in[j] != MN_NONE && drafts[node->in[j]].storage == storage &&
            ((mn_op_rows[node->op]->overwrites >> j & 1) == 0 ||
             !is_whole(graph, node->in[j], count, drafts)))
            return true;
    return false;
}

/* An element-wise result takes over the bytes of an input that dies with it; a sum those of its
 * `plus`. */
static void share_storage(const mn_graph *graph, uint32_t n_order, const mn_node *order,
                          struct draft *drafts)
{
    for (uint32_t p = 0; p < n_order; p++) {
        const mn_graph_node *node = &graph->nodes[order[p]];
        struct draft *draft = &drafts[order[p]];
        if (is_view(node->op)) /* its array may have taken over another's bytes by now */
            draft->storage = drafts[node->in[0]].storage;
        if (draft->place.where != NOWHERE || is_view(node->op))
            continue;
        for (int k = 0; k <= MN_MAX_INPUTS; k++) {
            mn_node in = k < MN_MAX_INPUTS ? node->in[k] : node->plus;
            if (in == MN_NONE ||
                (k < MN_MAX_INPUTS && (mn_op_rows[node->op]->overwrites >> k & 1) == 0))
                continue;
            mn_node storage = drafts[in].storage;
            if (drafts[storage].last_use == p &&
                is_whole(graph, in, mn_extent_count(node->extent), drafts) &&
                !reads_elsewhere(graph, node, k, drafts)) {
                draft->storage = storage;
                drafts[storage].last_use = draft->last_use;
                drafts[storage].kept = drafts[storage].kept || draft->kept;
                break;
            }
        }
    }
}

static size_t bytes_of(const mn_graph_node *node)
{
    size_t count = mn_extent_count(node->extent);
    size_t bytes = count * sizeof(mn_real);
    switch (mn_op_rows[node->op]->result) {
    case MN_RESULT_BYTES:
        bytes = count;
        break;
    case MN_RESULT_DOUBLE:
        bytes = sizeof(double);
        break;
    case MN_RESULT_LIST:
        bytes = count * sizeof(uint32_t);
        break;
    case MN_RESULT_NUMBERS:
        break;
    }
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

struct array {
    mn_node node;
    bool kept;
    size_t bytes;
    uint32_t first, last; /* life */
};

static int larger_first(const void *a, const void *b)
{
    const struct array *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->node < y->node ? -1 : 1;
}

/* The largest first, each at the lowest place of its block that is free for its whole life. */
static mn_status lay_out(const mn_graph *graph, const mn_node *order, struct draft *drafts,
                         mn_plan *plan, mn_error *err)
{
    const uint32_t n_order = plan->begin[2];
    struct array *arrays = calloc(n_order + 1, sizeof *arrays);
    if (arrays == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "memory plan of %u arrays", n_order);
    uint32_t n = 0;
    for (uint32_t p = 0; p < n_order; p++) {
        const struct draft *draft = &drafts[order[p]];
        if (draft->place.where == NOWHERE && draft->storage == order[p])
            arrays[n++] = (struct array){.node = order[p],
                                         .kept = draft->kept,
                                         .bytes = bytes_of(&graph->nodes[order[p]]),
                                         .first = p,
                                         .last = draft->last_use};
    }
    qsort(arrays, n, sizeof *arrays, larger_first);

    mn_shelf *scratch = NULL, *kept = NULL;
    mn_status status = mn_shelf_new(n, &scratch, err);
    if (status == MN_OK)
        status = mn_shelf_new(n, &kept, err);
    for (uint32_t i = 0; i < n && status == MN_OK; i++) {
        const struct array *array = &arrays[i];
        drafts[array->node].place =
            (struct place){.where = array->kept ? KEPT : SCRATCH,
                           .offset = mn_shelf_place(array->kept ? kept : scratch, array->bytes,
                                                    array->first, array->last)};
    }
    free(arrays);
    if (status == MN_OK) {
        plan->scratch_bytes = mn_shelf_bytes(scratch);
        plan->kept_bytes = mn_shelf_bytes(kept);
    }
    mn_shelf_destroy(&scratch);
    mn_shelf_destroy(&kept);
    if (status != MN_OK)
        return status;

    for (uint32_t p = 0; p < n_order; p++) {
        struct draft *draft = &drafts[order[p]];
        if (draft->place.where == NOWHERE) {
            draft->place = drafts[draft->storage].place;
            draft->place.offset += draft->place.where == SLOT_IN || draft->place.where == SLOT_OUT
                                       ? draft->view_offset / sizeof(mn_real)
                                       : draft->view_offset;
        }
    }
    return MN_OK;
}

static struct address address(size_t base, size_t bytes)
{
    return (struct address){.base = (uint8_t)base, .bytes = bytes & (SIZE_MAX >> 8)};
}

static struct address address_at(const struct place *place)
{
    switch (place->where) {
    case SCRATCH:
        return address(SCRATCH_BASE, place->offset);
    case KEPT:
        return address(KEPT_BASE, place->offset);
    case SLOT_IN:
        return address(IN_BASE + place->slot, place->offset * sizeof(mn_real));
    case SLOT_OUT:
        return address(OUT_BASE + place->slot, place->offset * sizeof(mn_real));
    case NOWHERE:
        break;
    }
    return address(NO_BASE, 0);
}

static struct step compute_step(const mn_graph *graph, mn_node i, const struct draft *drafts)
{
    const mn_graph_node *node = &graph->nodes[i];
    struct step step = {.kind = COMPUTE,
                        .operation = mn_operation_of(graph, i),
                        .out = address_at(&drafts[i].place)};
    for (int k = 0; k < MN_MAX_INPUTS; k++)
        if (node->in[k] != MN_NONE) {
            step.in[k] = address_at(&drafts[node->in[k]].place);
            step.has_more = k >= FEW_INPUTS;
        }
    return step;
}

static struct step copy_step(size_t count, const struct place *from, const struct place *to)
{
    return (struct step){
        .kind = COPY, .in = {address_at(from)}, .out = address_at(to), .count = count};
}

static bool same_place(const struct place *a, const struct place *b)
{
    return a->where == b->where && a->slot == b->slot && a->offset == b->offset;
}

/* Up to two steps; returns how many. */
static uint32_t node_steps(const mn_graph *graph, mn_node i, const struct draft *drafts,
                           struct step *steps)
{
    const mn_graph_node *node = &graph->nodes[i];
    uint32_t n = 0;
    if (mn_op_rows[node->op]->is_free)
        return 0;
    if (node->plus != MN_NONE && !same_place(&drafts[node->plus].place, &drafts[i].place))
        steps[n++] =
            copy_step(mn_extent_count(node->extent), &drafts[node->plus].place, &drafts[i].place);
    steps[n++] = compute_step(graph, i, drafts);
    return n;
}

static uint32_t output_step(const mn_plan_output *output, const struct draft *drafts,
                            struct step *step)
{
    struct place to = {SLOT_OUT, output->slot, output->offset};
    if (output->node == MN_NONE)
        *step = (struct step){.kind = CLEAR, .count = output->count, .out = address_at(&to)};
    else if (!same_place(&drafts[output->node].place, &to))
        *step = copy_step(output->count, &drafts[output->node].place, &to);
    else
        return 0;
    return 1;
}

static mn_status write_steps(const mn_graph *graph, const mn_node *order,
                             const struct draft *drafts, size_t n_outputs,
                             const mn_plan_output *outputs, mn_plan *plan, mn_error *err)
{
    plan->steps = calloc(4 * (size_t)plan->begin[2] + n_outputs + 1, sizeof *plan->steps);
    if (plan->steps == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "steps of a plan");

    uint32_t n = 0, begin[4] = {0};
    for (unsigned stage = 0; stage <= MN_PLAN_REPLAY; stage++) {
        bool again = stage == MN_PLAN_REPLAY;
        uint32_t of = again ? 0 : stage;
        begin[stage] = n;
        for (uint32_t p = plan->begin[of]; p < plan->begin[of + 1]; p++)
            if (!again || drafts[order[p]].again)
                n += node_steps(graph, order[p], drafts, &plan->steps[n]);
        for (size_t i = 0; i < n_outputs; i++)
            if (outputs[i].stage == stage)
                n += output_step(&outputs[i], drafts, &plan->steps[n]);
    }
    begin[3] = n;
    memcpy(plan->begin, begin, sizeof begin);
    return MN_OK;
}
