/* padding_test.c: a task of fewer classes and items than the network was compiled for is worth what it
 * is worth to a network that was compiled for it alone: the loss, the answers and the whole
 * meta-gradient, whatever stands in the padding, and under every rule and part that takes it. */
#include "worker/learner/rules/rule_bed.h"

enum { WAY = 3, MOST_WAY = 5, MOST_SHOT = 3, QUERY = 2 };
static const uint32_t shots[WAY] = {2, 1, 3}; /* each class its own */

/* One network for one extent of task. */
struct side {
    mn_network network;
    mn_fields fields;
    mn_rule *rule;
    void *scratch;
    mn_real *task, *theta, *gradient, *output;
    mn_rule_losses losses;
};

static void open_side(struct side *side, const mn_experiment *experiment, bool padded,
                      bool differentiate)
{
    static const uint32_t image[3] = {6, 6, 1};
    const uint32_t way = padded ? MOST_WAY : WAY;
    mn_error err = {0};
    assert_int_equal(mn_fields_few_shot(&side->fields, padded ? MOST_WAY * MOST_SHOT : 6,
                                        way * QUERY, image, MN_TARGET_CLASSES, way, &err),
                     MN_OK);
    if (padded)
        assert_int_equal(mn_fields_add_padding(&side->fields, &err), MN_OK);
    if (mn_network_init(&side->network, experiment, &side->fields, &err) != MN_OK ||
        mn_rule_declare(&side->network, &err) != MN_OK)
        fail_msg("%s", err.message);
    const mn_rule_order order = {.network = &side->network,
                                 .fields = &side->fields,
                                 .kernels = mn_kernels_choose(),
                                 .differentiate = differentiate,
                                 .keep_bytes = KEEP_BYTES};
    if (mn_rule_new(&order, &side->rule, &err) != MN_OK)
        fail_msg("%s", err.message);
    side->scratch = aligned_alloc(64, mn_rule_scratch_bytes(side->rule));
    side->task = calloc(side->fields.size, sizeof *side->task);
    side->theta = calloc(side->network.parameters.size, sizeof *side->theta);
    side->gradient = calloc(side->network.parameters.size, sizeof *side->gradient);
    side->output = calloc((size_t)way * QUERY * way, sizeof *side->output);
    assert_non_null(side->scratch);
    assert_non_null(side->task);
    assert_non_null(side->theta);
    assert_non_null(side->gradient);
    assert_non_null(side->output);
    memset(side->scratch, 0xff, mn_rule_scratch_bytes(side->rule)); /* NaNs: none may be read */
}

static void close_side(struct side *side)
{
    mn_rule_destroy(&side->rule);
    free(side->scratch);
    free(side->task);
    free(side->theta);
    free(side->gradient);
    free(side->output);
}

static mn_real *field_of(struct side *side, mn_role role, const char *name)
{
    const mn_field *field = mn_fields_find(&side->fields, role, name);
    assert_non_null(field);
    return side->task + field->offset;
}

/* The same items in both tasks: in the padded one at the places of their classes, in the other one
 * after the other. What lies between is noise. */
static void fill_set(struct side *padded, struct side *small, mn_role role)
{
    const uint32_t each = role == MN_SUPPORT ? MOST_SHOT : QUERY;
    mn_real *x = field_of(padded, role, "x"), *y = field_of(padded, role, "y");
    mn_real *small_x = field_of(small, role, "x"), *small_y = field_of(small, role, "y");
    mn_real *weight = field_of(padded, role, "weight");
    uint32_t n = 0;
    for (uint32_t i = 0; i < MOST_WAY * each * 36; i++)
        x[i] = (mn_real)draw();
    for (uint32_t label = 0; label < WAY; label++)
        for (uint32_t i = 0; i < (role == MN_SUPPORT ? shots[label] : QUERY); i++, n++) {
            const uint32_t at = label * each + i;
            y[at * MOST_WAY + label] = 1;
            weight[at] = (mn_real)(1.0 / 6); /* there are 6 of either set */
            small_y[n * WAY + label] = 1;
            memcpy(small_x + (size_t)n * 36, x + (size_t)at * 36, 36 * sizeof *x);
        }
    assert_int_equal(n, 6);
}

/* Tensors of both have the same names; a head has a column more for each class more. */
static void share_theta(struct side *padded, struct side *small)
{
    mn_parameters_start(&padded->network.parameters, MN_INIT_GLOROT, 1, padded->theta);
    for (uint32_t i = 0; i < padded->network.parameters.n; i++) {
        const mn_parameter *from = &padded->network.parameters.at[i];
        const mn_parameter *to = &small->network.parameters.at[i];
        assert_string_equal(from->tensor.name, to->tensor.name);
        for (size_t k = 0; k < from->count; k++)
            padded->theta[from->offset + k] += (mn_real)(0.2 * draw());
        const size_t c = from->inside.c, small_c = to->inside.c;
        for (size_t k = 0; k < to->count; k++)
            small->theta[to->offset + k] =
                padded->theta[from->offset + k / small_c * c + k % small_c];
    }
}

static void assert_near(double a, double b, double scale, const char *what, const char *of)
{
    if (!(fabs(a - b) <= 1e-9 * scale))
        fail_msg("%s: %s: %.12g instead of %.12g", what, of, a, b);
}

static void compare_gradients(const struct side *padded, const struct side *small, const char *what)
{
    for (uint32_t i = 0; i < padded->network.parameters.n; i++) {
        const mn_parameter *wide = &padded->network.parameters.at[i];
        const mn_parameter *narrow = &small->network.parameters.at[i];
        const size_t c = wide->inside.c, small_c = narrow->inside.c;
        for (size_t k = 0; k < wide->count; k++) {
            const double ours = (double)padded->gradient[wide->offset + k];
            const bool there = c == small_c || k % c < small_c;
            const size_t at = c == small_c ? k : k / c * small_c + k % c;
            assert_near(ours, there ? (double)small->gradient[narrow->offset + at] : 0, 1, what,
                        wide->tensor.name);
        }
    }
}

static void compare(mn_experiment experiment, bool differentiate, const char *what)
{
    struct side padded = {0}, small = {0};
    open_side(&padded, &experiment, true, differentiate);
    open_side(&small, &experiment, false, differentiate);
    seed_state = 88172645463325252u;
    fill_set(&padded, &small, MN_SUPPORT);
    fill_set(&padded, &small, MN_QUERY);
    for (uint32_t label = 0; label < WAY; label++)
        field_of(&padded, MN_SHARED, "classes")[label] = 1;
    share_theta(&padded, &small);
    struct side *sides[] = {&padded, &small};
    for (int i = 0; i < 2; i++) {
        struct side *side = sides[i];
        const mn_rule_data data = {.task = side->task};
        if (differentiate) {
            side->losses = mn_rule_gradient(side->rule, side->scratch, side->theta, &data,
                                            side->gradient, side->output);
            continue;
        }
        mn_rule_begin(side->rule, side->scratch, side->theta, &data);
        for (uint32_t k = 0; k < mn_rule_steps(side->rule); k++)
            (void)mn_rule_step(side->rule, side->scratch, side->theta, &data);
        side->losses.query =
            mn_rule_judge(side->rule, side->scratch, side->theta, &data, side->output);
    }
    assert_true(small.losses.query > 0.1);
    assert_near(padded.losses.query, small.losses.query, 1, what, "query loss");
    if (differentiate && mn_rule_has_steps(small.rule))
        assert_near(padded.losses.support_before, small.losses.support_before, 1, what,
                    "support loss");
    for (uint32_t n = 0; n < WAY * QUERY; n++)
        for (uint32_t label = 0; label < MOST_WAY; label++) {
            const double answer = (double)padded.output[n * MOST_WAY + label];
            if (label < WAY)
                assert_near(answer, (double)small.output[n * WAY + label], 10, what, "answer");
            else
                assert_true(answer < -1e8);
        }
    compare_gradients(&padded, &small, what);
    close_side(&padded);
    close_side(&small);
}

static mn_experiment with(mn_experiment experiment, mn_memory_kind memory,
                          mn_reasoning_kind reasoning, mn_output_kind output)
{
    experiment.model.memory = memory;
    experiment.model.reasoning = reasoning;
    experiment.model.output = output;
    experiment.model.hops = 2;
    experiment.model.units = 5;
    experiment.model.slots = 4;
    experiment.model.slot_size = 3;
    return experiment;
}

static mn_experiment prototypes(mn_experiment experiment)
{
    return by(with(experiment, MN_MEMORY_CLASS_MEANS, MN_REASONING_NONE, MN_OUTPUT_DISTANCE),
              MN_META_EPISODIC, 2);
}

static mn_experiment stepping(mn_experiment experiment, mn_meta_kind kind, uint32_t order)
{
    experiment = by(experiment, kind, order);
    experiment.meta.inner_steps = 2;
    experiment.meta.lambda = 2;
    experiment.meta.cg_steps = 3;
    return experiment;
}

static void memories_that_the_support_set_writes_leave_padding_out(void **state)
{
    const mn_experiment body = mlp(MN_TANH, false), image = conv(false);
    (void)state;
    compare(prototypes(body), true, "prototypes, mlp");
    compare(prototypes(image), true, "prototypes, conv4");
    compare(by(with(body, MN_MEMORY_CLASS_MEANS, MN_REASONING_READ, MN_OUTPUT_DISTANCE),
               MN_META_EPISODIC, 2),
            true, "attention over prototypes");
    compare(by(with(body, MN_MEMORY_CLASS_MEANS, MN_REASONING_HOPS, MN_OUTPUT_LINEAR),
               MN_META_EPISODIC, 2),
            true, "hops over prototypes");
    compare(
        by(with(image, MN_MEMORY_SUPPORT, MN_REASONING_NONE, MN_OUTPUT_MATCH), MN_META_EPISODIC, 2),
        true, "matching, conv4");
    compare(
        by(with(body, MN_MEMORY_SUPPORT, MN_REASONING_READ, MN_OUTPUT_LINEAR), MN_META_EPISODIC, 2),
        true, "attention over support items");
}

static void no_padding_enters_the_statistics_of_batch_norm(void **state)
{
    static const mn_statistics statistics[] = {MN_STATISTICS_BATCH, MN_STATISTICS_RUNNING,
                                               MN_STATISTICS_SUPPORT, MN_STATISTICS_ITEM};
    (void)state;
    for (int i = 0; i < 4; i++)
        for (int flat = 0; flat < 2; flat++) {
            const mn_experiment e = prototypes(normed(conv(flat), statistics[i]));
            compare(e, true, "statistics in training");
            compare(e, false, "statistics in tests");
        }
    compare(prototypes(mlp(MN_TANH, true)), true, "prototypes, mlp with batch norm");
}

static void rules_with_an_inner_loop_adapt_to_what_is_there(void **state)
{
    const mn_experiment body = mlp(MN_TANH, true), image = conv(false);
    (void)state;
    compare(stepping(image, MN_META_MAML, 2), true, "maml, conv4");
    compare(stepping(body, MN_META_MAML, 1), true, "first order");
    compare(stepping(body, MN_META_ANIL, 2), true, "anil");
    compare(stepping(body, MN_META_META_SGD, 2), true, "meta-sgd");
    compare(stepping(body, MN_META_REPTILE, 2), true, "reptile");
    compare(stepping(body, MN_META_IMAML, 2), true, "imaml");
    compare(stepping(from_prototypes(image), MN_META_MAML, 2), true, "proto-maml");
    compare(stepping(from_prototypes(body), MN_META_ANIL, 2), true, "anil from prototypes");
    compare(stepping(from_prototypes(image), MN_META_MAML, 2), false, "proto-maml, judged");
    compare(stepping(with(body, MN_MEMORY_TABLE, MN_REASONING_CONCAT_LINEAR, MN_OUTPUT_LINEAR),
                     MN_META_MAML, 2),
            true, "memory table");
}

static void parts_that_would_take_padding_for_items_refuse_it(void **state)
{
    struct {
        mn_experiment experiment;
        const char *words;
    } cases[] = {
        {with(mlp(MN_TANH, false), MN_MEMORY_MEAN, MN_REASONING_CONCAT_MLP, MN_OUTPUT_LINEAR),
         "model.memory mean would take the padding"},
        {with(mlp(MN_TANH, false), MN_MEMORY_TRANSFORMER, MN_REASONING_READ, MN_OUTPUT_LINEAR),
         "model.memory transformer would take"},
        {with(mlp(MN_TANH, false), MN_MEMORY_NONE, MN_REASONING_LSTM, MN_OUTPUT_LINEAR),
         "model.reasoning lstm would take"},
        {with(mlp(MN_TANH, false), MN_MEMORY_SUPPORT, MN_REASONING_NONE, MN_OUTPUT_MATCH),
         "model.full_context reads the support set as a sequence"},
    };
    static const uint32_t image[3] = {6, 6, 1};
    mn_fields fields;
    mn_error err;
    (void)state;
    cases[3].experiment.model.full_context = true;
    cases[3].experiment.model.context_steps = 2;
    cases[0].experiment.model.encoder = (mn_uint_list){.n = 1, .at = {4}};
    assert_int_equal(mn_fields_few_shot(&fields, 6, 6, image, MN_TARGET_CLASSES, WAY, &err), MN_OK);
    assert_int_equal(mn_fields_add_padding(&fields, &err), MN_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn_network network;
        err.message[0] = '\0';
        assert_int_equal(mn_network_init(&network, &cases[i].experiment, &fields, &err),
                         MN_ERR_CONFIG);
        if (strstr(err.message, cases[i].words) == NULL)
            fail_msg("\"%s\" does not say %s", err.message, cases[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memories_that_the_support_set_writes_leave_padding_out),
        cmocka_unit_test(no_padding_enters_the_statistics_of_batch_norm),
        cmocka_unit_test(rules_with_an_inner_loop_adapt_to_what_is_there),
        cmocka_unit_test(parts_that_would_take_padding_for_items_refuse_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
