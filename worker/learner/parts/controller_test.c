/* controller_test.c: gradients of small networks that are unrolled over sequences against central
 * differences, in double; more steps than MN_STACK_FROM, so that the sums over steps are one
 * product, and fewer. */
#include "worker/engine/draw_bed.h"
#include "worker/engine/plan.h"
#include "worker/learner/network.h"
#include "worker/learner/rules/rule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BUNDLE 2u
#define WAY 3u
#define PIXELS 4u
#define MOST 4096

static void make_fields(uint32_t steps, mn_fields *fields)
{
    const uint32_t x[3] = {2, 2, 1}, y[3] = {1, 1, WAY}, rows = steps * BUNDLE;
    mn_error err;
    mn_fields_init(fields, MN_TARGET_CLASSES, WAY);
    fields->bundle = BUNDLE;
    assert_int_equal(mn_fields_add(fields, MN_QUERY, "x", MN_FIELD_NUMBERS, rows, x, &err), MN_OK);
    assert_int_equal(
        mn_fields_add(fields, MN_QUERY, "label_before", MN_FIELD_NUMBERS, rows, y, &err), MN_OK);
    assert_int_equal(mn_fields_add(fields, MN_QUERY, "y", MN_FIELD_NUMBERS, rows, y, &err), MN_OK);
}

static void fill(const mn_fields *fields, double *block)
{
    const uint32_t rows = fields->at[0].n;
    for (size_t i = 0; i < (size_t)rows * PIXELS; i++)
        block[fields->at[0].offset + i] = draw();
    for (uint32_t row = 0; row < rows; row++) {
        const uint32_t label = (row * 7 + row / 3) % WAY;
        block[fields->at[2].offset + (size_t)row * WAY + label] = 1;
        if (row + BUNDLE < rows)
            block[fields->at[1].offset + ((size_t)row + BUNDLE) * WAY + label] = 1;
    }
}

static mn_experiment small(mn_memory_kind memory, mn_reasoning_kind reasoning, uint32_t heads)
{
    mn_experiment experiment;
    mn_experiment_init(&experiment);
    experiment.model.input = MN_INPUT_IDENTITY;
    experiment.model.memory = memory;
    experiment.model.reasoning = reasoning;
    experiment.model.activation = MN_TANH;
    experiment.model.units = 5;
    experiment.model.slots = 6;
    experiment.model.slot_size = 3;
    experiment.model.read_heads = heads;
    experiment.model.usage_decay = 0.9;
    return experiment;
}

static void check(const mn_experiment *experiment, uint32_t steps)
{
    static mn_network network;
    static mn_builder builder;
    static double block[MOST], theta[MOST], gradient[MOST], output[MOST];
    mn_plan_output outputs[32];
    mn_node gradients[32];
    mn_plan *plan = NULL;
    mn_fields fields;
    mn_graph graph;
    mn_error err;
    make_fields(steps, &fields);
    assert_int_equal(mn_network_init(&network, experiment, &fields, &err), MN_OK);
    const mn_parameters *list = &network.parameters;
    assert_true(list->size <= MOST && fields.size <= MOST && list->n <= 32);
    memset(block, 0, sizeof block);
    fill(&fields, block);
    for (size_t i = 0; i < list->size; i++)
        theta[i] = 0.7 * draw();

    mn_network_begin(&network, &fields, &graph, &builder);
    builder.err = &err;
    for (uint32_t i = 0; i < list->n; i++)
        builder.tensors[i] =
            mn_graph_input(&graph, MN_SLOT_THETA, list->at[i].offset, list->at[i].inside);
    mn_network_answer(&network, &builder, MN_QUERY);
    const mn_node loss = mn_network_loss(&network, &builder, MN_QUERY);
    assert_int_equal(builder.status, MN_OK);
    mn_graph_gradient(&graph, loss, list->n, builder.tensors, gradients);
    for (uint32_t i = 0; i < list->n; i++)
        outputs[i] = (mn_plan_output){.node = gradients[i],
                                      .slot = MN_SLOT_GRADIENT,
                                      .offset = list->at[i].offset,
                                      .count = list->at[i].count};
    assert_int_equal(mn_plan_new(&graph, loss, list->n, outputs, mn_kernels_choose(), &plan, &err),
                     MN_OK);
    mn_graph_fini(&graph);
    void *scratch = aligned_alloc(64, mn_plan_scratch_bytes(plan) + mn_plan_kept_bytes(plan));
    assert_non_null(scratch);
    memset(scratch, 0xff, mn_plan_scratch_bytes(plan)); /* NaNs: none may be read */
    mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta, [MN_SLOT_TASK] = block},
                            .out = {[MN_SLOT_GRADIENT] = gradient, [MN_SLOT_OUTPUT] = output}};
    mn_plan_run(plan, 0, scratch, &bindings);
    static double ours[MOST];
    memcpy(ours, gradient, sizeof ours);
    for (size_t i = 0; i < list->size; i++) {
        const double here = theta[i], step = 1e-5;
        theta[i] = here + step;
        mn_plan_run(plan, 0, scratch, &bindings);
        const double above = mn_plan_loss(plan, scratch);
        theta[i] = here - step;
        mn_plan_run(plan, 0, scratch, &bindings);
        const double below = mn_plan_loss(plan, scratch);
        theta[i] = here;
        const double theirs = (above - below) / (2 * step);
        if (!(fabs(ours[i] - theirs) <= 1e-8 + 1e-5 * fabs(theirs)))
            fail_msg("parameter %zu: %.12g, by differences %.12g", i, ours[i], theirs);
    }
    free(scratch);
    mn_plan_destroy(&plan);
}

static void lstm_with_memory(void **state)
{
    (void)state;
    for (uint32_t heads = 1; heads <= 3; heads++) {
        const mn_experiment experiment = small(MN_MEMORY_LRUA, MN_REASONING_LSTM, heads);
        check(&experiment, 11);
        check(&experiment, 4);
    }
}

static void lstm_with_a_memory_of_learned_sharpness(void **state)
{
    mn_experiment experiment = small(MN_MEMORY_LRUA, MN_REASONING_LSTM, 2);
    (void)state;
    experiment.model.sharpness = MN_SHARPNESS_LEARNED;
    check(&experiment, 11);
    check(&experiment, 4);
}

static void lstm_alone(void **state)
{
    const mn_experiment experiment = small(MN_MEMORY_NONE, MN_REASONING_LSTM, 1);
    (void)state;
    check(&experiment, 12);
    check(&experiment, 3);
}

static void a_layer_with_memory(void **state)
{
    const mn_experiment experiment = small(MN_MEMORY_LRUA, MN_REASONING_FEEDFORWARD, 2);
    (void)state;
    check(&experiment, 10);
}

static void a_controller_without_sequences_is_refused(void **state)
{
    const mn_experiment experiment = small(MN_MEMORY_LRUA, MN_REASONING_LSTM, 2);
    static mn_network network;
    mn_fields fields;
    mn_error err;
    (void)state;
    make_fields(3, &fields);
    fields.bundle = 4; /* of 6 rows */
    assert_int_equal(mn_network_init(&network, &experiment, &fields, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "model.reasoning lstm reads sequences side by side"));
}

/* Fused steps have first derivatives alone: an inner loop of second order through them is refused
 * with operation, part and what to do. */
static void second_derivatives_of_controllers_are_refused(void **state)
{
    const struct {
        mn_memory_kind memory;
        mn_reasoning_kind reasoning;
        const char *words;
    } cases[] = {
        {MN_MEMORY_NONE, MN_REASONING_LSTM, "\"LSTM step\", which reasoning lstm uses"},
        {MN_MEMORY_LRUA, MN_REASONING_FEEDFORWARD, "\"LRUA step\", which memory lrua uses"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint32_t image[3] = {2, 2, 1};
        static mn_network network;
        mn_experiment e = small(cases[i].memory, cases[i].reasoning, 2);
        mn_fields fields;
        mn_rule *rule = NULL;
        mn_error err;
        e.meta.kind = MN_META_MAML;
        e.meta.order = 2;
        e.meta.inner_steps = 1;
        assert_int_equal(mn_fields_few_shot(&fields, 3, 3, image, MN_TARGET_CLASSES, WAY, &err),
                         MN_OK);
        if (mn_network_init(&network, &e, &fields, &err) != MN_OK)
            fail_msg("%s", err.message);
        const mn_rule_order order = {.network = &network,
                                     .fields = &fields,
                                     .kernels = mn_kernels_choose(),
                                     .differentiate = true};
        assert_int_equal(mn_rule_new(&order, &rule, &err), MN_ERR_CONFIG);
        assert_non_null(strstr(err.message, cases[i].words));
        assert_non_null(strstr(err.message, "use meta.order 1 or meta.kind episodic"));
        e.meta.order = 1;
        assert_int_equal(mn_rule_new(&order, &rule, &err), MN_OK);
        mn_rule_destroy(&rule);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lstm_with_memory),
        cmocka_unit_test(lstm_with_a_memory_of_learned_sharpness),
        cmocka_unit_test(lstm_alone),
        cmocka_unit_test(a_layer_with_memory),
        cmocka_unit_test(second_derivatives_of_controllers_are_refused),
        cmocka_unit_test(a_controller_without_sequences_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
