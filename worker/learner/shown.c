#include "worker/learner/shown.h"

#include "worker/engine/plan.h"
#include "worker/learner/network.h"
#include <stdlib.h>
#include <string.h>

struct mn_shown {
    size_t n;
    mn_shown_array arrays[MN_MAX_SHOWN];
    mn_real *numbers; /* of all arrays, one behind the other; owned */
    mn_plan *plan;    /* stage 0: TASK, THETA -> OUTPUT; NULL: nothing is shown */
    void *scratch;    /* 64-byte aligned; owned */
};

static mn_status compile(mn_shown *shown, const mn_builder *builder, const mn_kernels *kernels,
                         mn_error *err);

mn_status mn_shown_new(const mn_network *network, const mn_fields *fields,
                       const mn_kernels *kernels, mn_shown **out, mn_error *err)
{
    mn_shown *shown = calloc(1, sizeof *shown);
    mn_builder *builder = malloc(sizeof *builder);
    if (shown == NULL || builder == NULL) {
        free(shown);
        free(builder);
        return mn_fail(err, MN_ERR_NOMEM, "what a network shows");
    }
    const mn_parameters *list = &network->parameters;
    mn_graph graph;
    mn_network_begin(network, fields, &graph, builder);
    builder->err = err;
    for (uint32_t i = 0; i < list->n; i++)
        builder->tensors[i] =
            mn_graph_input(&graph, MN_SLOT_THETA, list->at[i].offset, list->at[i].inside);
    mn_network_answer(network, builder, MN_QUERY);
    mn_status status = builder->status;
    if (status == MN_OK && builder->n_shown > 0)
        status = compile(shown, builder, kernels, err);
    mn_graph_fini(&graph);
    free(builder);
    if (status != MN_OK) {
        mn_shown_destroy(&shown);
        return status;
    }
    *out = shown;
    return MN_OK;
}

static mn_status compile(mn_shown *shown, const mn_builder *builder, const mn_kernels *kernels,
                         mn_error *err)
{
    mn_plan_output outputs[MN_MAX_SHOWN];
    size_t size = 0;
    shown->n = builder->n_shown;
    for (size_t i = 0; i < shown->n; i++) {
        const mn_node node = builder->shown[i].node;
        const size_t count = mn_extent_count(mn_builder_extent(builder, node));
        outputs[i] =
            (mn_plan_output){.node = node, .slot = MN_SLOT_OUTPUT, .offset = size, .count = count};
        memcpy(shown->arrays[i].name, builder->shown[i].name, sizeof shown->arrays[i].name);
        shown->arrays[i].hop = builder->shown[i].hop;
        shown->arrays[i].n = count;
        size += count;
    }
    mn_status status =
        mn_plan_new(builder->graph, MN_NONE, shown->n, outputs, kernels, &shown->plan, err);
    if (status != MN_OK)
        return status;
    shown->numbers = calloc(size, sizeof *shown->numbers);
    shown->scratch =
        aligned_alloc(64, mn_plan_scratch_bytes(shown->plan) + mn_plan_kept_bytes(shown->plan));
    if (shown->numbers == NULL || shown->scratch == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "what a network shows, %zu numbers", size);
    for (size_t i = 0; i < shown->n; i++)
        shown->arrays[i].numbers = shown->numbers + outputs[i].offset;
    return MN_OK;
}

void mn_shown_destroy(mn_shown **shown)
{
    if (*shown == NULL)
        return;
    mn_plan_destroy(&(*shown)->plan);
    free((*shown)->numbers);
    free((*shown)->scratch);
    free(*shown);
    *shown = NULL;
}

void mn_shown_look(mn_shown *shown, const mn_real *theta, const mn_real *task)
{
    if (shown->plan == NULL)
        return;
    const mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta, [MN_SLOT_TASK] = task},
                                  .out = {[MN_SLOT_OUTPUT] = shown->numbers},
                                  .kept =
                                      (char *)shown->scratch + mn_plan_scratch_bytes(shown->plan)};
    mn_plan_run(shown->plan, 0, shown->scratch, &bindings);
}

size_t mn_shown_count(const mn_shown *shown)
{
    return shown->n;
}

const mn_shown_array *mn_shown_arrays(const mn_shown *shown)
{
    return shown->arrays;
}
