/* episode.h: one task through a network under the episodic rule, with all that its parts show, its
 * answers, the loss and all gradients. */
#pragma once

#include "tests/reference/numbers.h"
#include "worker/learner/network.h"

#include <string.h>

/* The network of an experiment for these fields, and theta [room] from the case's "parameters", of which
 * each is a tensor and no other is there. outside [room]: room. */
static inline void begin_network(mn_network *network, const mn_experiment *experiment,
                                 const mn_fields *fields, json_t *one, size_t room,
                                 mn_real *outside, mn_real *theta)
{
    mn_error err = {0};
    if (mn_network_init(network, experiment, fields, &err) != MN_OK)
        fail_msg("%s", err.message);
    const mn_parameters *list = &network->parameters;
    assert_int_equal(list->n, json_object_size(get(one, "parameters")));
    assert_true(list->size <= room);
    for (uint32_t i = 0; i < list->n; i++) {
        json_t *tensor = get(get(one, "parameters"), list->at[i].tensor.name);
        assert_int_equal(count_of(tensor), list->at[i].count);
        read_numbers(tensor, outside + list->at[i].offset);
    }
    mn_parameters_import(list, outside, theta);
}

/* A task's query set and theta -> the loss. output [room] receives what is shown, one after the
 * other, and then the answers; at [MN_MAX_SHOWN + 1] says where each begins. gradient [theta]. The
 * caller's graph and builder tell of the nodes; mn_graph_fini(graph) is the caller's. */
static inline double run_episode(const mn_network *network, const mn_fields *fields,
                                 const mn_real *theta, const mn_real *block, mn_graph *graph,
                                 mn_builder *builder, size_t room, mn_real *output, size_t *at,
                                 mn_real *gradient)
{
    static mn_plan_output outputs[MN_MAX_SHOWN + 1 + MN_MAX_PARAMETERS];
    static mn_node gradients[MN_MAX_PARAMETERS];
    const mn_parameters *list = &network->parameters;
    size_t size = 0;
    uint32_t n = 0;
    mn_plan *plan = NULL;
    mn_error err;
    mn_network_begin(network, fields, graph, builder);
    builder->err = &err;
    for (uint32_t i = 0; i < list->n; i++)
        builder->tensors[i] =
            mn_graph_input(graph, MN_SLOT_THETA, list->at[i].offset, list->at[i].inside);
    mn_network_answer(network, builder, MN_QUERY);
    const mn_node loss = mn_network_loss(network, builder, MN_QUERY);
    assert_int_equal(builder->status, MN_OK);
    for (; n <= builder->n_shown; n++) {
        const mn_node node =
            n < builder->n_shown ? builder->shown[n].node : builder->flow.y[MN_QUERY];
        const size_t count = mn_extent_count(mn_builder_extent(builder, node));
        at[n] = size;
        outputs[n] =
            (mn_plan_output){.node = node, .slot = MN_SLOT_OUTPUT, .offset = size, .count = count};
        size += count;
    }
    assert_true(size <= room);
    mn_graph_gradient(graph, loss, list->n, builder->tensors, gradients);
    for (uint32_t i = 0; i < list->n; i++)
        outputs[n++] = (mn_plan_output){.node = gradients[i],
                                        .slot = MN_SLOT_GRADIENT,
                                        .offset = list->at[i].offset,
                                        .count = list->at[i].count};
    assert_int_equal(mn_plan_new(graph, loss, n, outputs, mn_kernels_choose(), &plan, &err), MN_OK);

    void *scratch = aligned_alloc(64, mn_plan_scratch_bytes(plan) + mn_plan_kept_bytes(plan));
    assert_non_null(scratch);
    memset(scratch, 0xff, mn_plan_scratch_bytes(plan)); /* NaNs: none may be read */
    mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta, [MN_SLOT_TASK] = block},
                            .out = {[MN_SLOT_OUTPUT] = output, [MN_SLOT_GRADIENT] = gradient}};
    mn_plan_run(plan, 0, scratch, &bindings);
    const double value = mn_plan_loss(plan, scratch);
    free(scratch);
    mn_plan_destroy(&plan);
    return value;
}

/* The answers and the loss of a case of the file. */
static inline void expect_judgement(json_t *one, const mn_real *logits, double loss)
{
    const double expected = json_number_value(get(one, "loss"));
    expect_near("logits", count_of(get(one, "logits")), logits, get(one, "logits"));
    assert_true(fabs(loss - expected) <= RELATIVE * expected);
}

/* Each tensor's gradient is that of the case's "gradients". outside [theta]: room. */
static inline void expect_gradients(const mn_parameters *list, const mn_real *gradient,
                                    mn_real *outside, json_t *one)
{
    mn_parameters_export(list, gradient, outside);
    for (uint32_t i = 0; i < list->n; i++)
        expect_near(list->at[i].tensor.name, list->at[i].count, outside + list->at[i].offset,
                    get(get(one, "gradients"), list->at[i].tensor.name));
}
