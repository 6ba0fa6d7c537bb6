/* What MAML++ (Antoniou et al. 2019) does step by step, in double: whole meta-gradients against
 * central differences of what is made small, at meta-steps of every kind. */
#include "worker/learner/rules/rule_bed.h"
#include "worker/learner/rules/step_losses.h"

static void weights_of_step_losses_go_from_alike_to_the_last_alone(void **state)
{
    (void)state;
    for (uint32_t k = 1; k <= 5; k++)
        assert_true(fabs(mn_step_loss_weight(100, 0, 5, k) - 0.2) < 1e-15);
    for (uint64_t meta_step = 0; meta_step < 120; meta_step++) {
        double sum = 0;
        for (uint32_t k = 1; k <= 5; k++)
            sum += mn_step_loss_weight(100, meta_step, 5, k);
        assert_true(fabs(sum - 1) < 1e-14);
    }
    assert_true(fabs(mn_step_loss_weight(100, 50, 5, 1) - 0.1) < 1e-15);
    assert_true(fabs(mn_step_loss_weight(100, 50, 5, 5) - 0.6) < 1e-15);
    assert_true(fabs(mn_step_loss_weight(100, 99, 5, 4) - 0.006) < 1e-15);
    assert_true(mn_step_loss_weight(100, 100, 5, 4) == 0);
    assert_true(mn_step_loss_weight(100, 100, 5, 5) == 1);
    assert_true(mn_step_loss_weight(0, 0, 5, 5) == 1);
    assert_true(mn_step_loss_weight(100, 7, 1, 1) == 1);
}

/* The weighted sum of the losses after all steps. */
static double weighted(struct bed *bed)
{
    const uint32_t steps = mn_rule_steps(bed->rule);
    double sum = 0;
    for (uint32_t k = 1; k <= steps; k++)
        sum +=
            mn_step_loss_weight(bed->experiment.meta.step_losses, bed->data.meta_step, steps, k) *
            judged_after(bed, k);
    return sum;
}

static struct bed *at_meta_step(uint64_t meta_step, struct bed *bed)
{
    bed->data.meta_step = meta_step;
    return bed;
}

static void check_step_losses(mn_experiment e, const char *what)
{
    e.meta.step_losses = 10;
    for (uint32_t steps = 1; steps <= 3; steps++)
        for (uint64_t meta_step = 0; meta_step <= 12; meta_step += 6)
            check_objective(
                at_meta_step(meta_step, bed_new(e, steps, true, meta_step == 6 ? 0 : KEEP_BYTES)),
                weighted, 1e-5, what);
}

static void step_losses_agree_with_central_differences(void **state)
{
    (void)state;
    mn_experiment anil = mlp(MN_TANH, false), prototypes = mlp(MN_TANH, false),
                  update = mlp(MN_TANH, false);
    anil.meta.kind = MN_META_ANIL;
    prototypes.meta.head_start = MN_HEAD_PROTOTYPES;
    update.meta.update = MN_UPDATE_LEARNED;
    check_step_losses(mlp(MN_TANH, false), "maml");
    check_step_losses(conv(false), "maml, conv");
    check_step_losses(adapting(mlp(MN_TANH, false), MN_ADAPTS_BODY), "body");
    check_step_losses(anil, "anil");
    check_step_losses(prototypes, "prototypes");
    prototypes.meta.kind = MN_META_ANIL;
    check_step_losses(prototypes, "anil from prototypes");
    check_step_losses(update, "learned update");
}

/* After its meta-steps it is MAML to the bit, and what is told is the last loss all the time. */
static void in_the_end_the_last_step_alone_counts(void **state)
{
    (void)state;
    mn_experiment e = conv(false);
    struct bed *plain = bed_new(e, 3, true, KEEP_BYTES);
    e.meta.step_losses = 10;
    struct bed *bed = bed_new(e, 3, true, KEEP_BYTES);
    const double loss = differentiate_in(plain).query;
    assert_true(differentiate_in(bed).query == loss);
    assert_memory_not_equal(bed->gradient, plain->gradient, size_of(bed) * sizeof *bed->gradient);
    bed->data.meta_step = 10;
    assert_true(differentiate_in(bed).query == loss);
    assert_memory_equal(bed->gradient, plain->gradient, size_of(bed) * sizeof *bed->gradient);
    bed_destroy(plain);
    bed_destroy(bed);
}

/* First order until then, whatever is learned, and second order to the bit from then on. */
static void second_order_begins_at_its_meta_step(void **state)
{
    (void)state;
    mn_experiment all[] = {conv(false), mlp(MN_TANH, false),
                           adapting(mlp(MN_TANH, false), MN_ADAPTS_BODY), mlp(MN_TANH, false),
                           mlp(MN_TANH, false)};
    all[3].meta.kind = MN_META_ANIL;
    all[4].meta.kind = MN_META_META_SGD;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (uint32_t steps = 1; steps <= 4; steps++) {
            mn_experiment e = all[i];
            struct bed *second = bed_new(e, steps, true, KEEP_BYTES);
            e.meta.second_order_from = 5;
            struct bed *bed = at_meta_step(4, bed_new(e, steps, true, KEEP_BYTES));
            e.meta.order = 1;
            struct bed *first = bed_new(e, steps, true, KEEP_BYTES);
            const size_t n = size_of(bed);
            (void)differentiate_in(first);
            (void)differentiate_in(second);
            (void)differentiate_in(bed);
            for (size_t k = 0; k < n; k++)
                assert_true(fabs((double)(bed->gradient[k] - first->gradient[k])) < 1e-12);
            assert_memory_not_equal(bed->gradient, second->gradient, n * sizeof *bed->gradient);
            bed->data.meta_step = 5;
            (void)differentiate_in(bed);
            assert_memory_equal(bed->gradient, second->gradient, n * sizeof *bed->gradient);
            bed_destroy(first);
            bed_destroy(second);
            bed_destroy(bed);
        }
}

static mn_experiment rated(mn_experiment e)
{
    e.meta.update = MN_UPDATE_STEP_RATES;
    return e;
}

static void check_step_rates(mn_experiment e, const char *what)
{
    for (uint32_t steps = 1; steps <= 4; steps++)
        check_bed(bed_new(rated(e), steps, true, steps % 2 * KEEP_BYTES), what);
    check_step_losses(rated(e), what);
}

static void step_rates_agree_with_central_differences(void **state)
{
    (void)state;
    mn_experiment anil = mlp(MN_TANH, false), prototypes = mlp(MN_TANH, false);
    anil.meta.kind = MN_META_ANIL;
    prototypes.meta.head_start = MN_HEAD_PROTOTYPES;
    check_step_rates(mlp(MN_TANH, false), "rates");
    check_step_rates(conv(true), "rates, conv");
    check_step_rates(adapting(mlp(MN_TANH, false), MN_ADAPTS_BODY), "rates, body");
    check_step_rates(anil, "rates, anil");
    check_step_rates(prototypes, "rates, prototypes");
}

/* Rates of meta.inner_lr: MAML, with somewhere to go. */
static void step_rates_begin_as_maml(void **state)
{
    (void)state;
    struct bed *plain = bed_new(mlp(MN_TANH, false), 3, true, KEEP_BYTES);
    struct bed *bed = bed_new(rated(mlp(MN_TANH, false)), 3, true, KEEP_BYTES);
    const size_t n = network_size(bed);
    assert_int_equal(size_of(bed), n + 6 * 3);
    assert_int_equal(tensor_of(bed, "step_rates.fc2.bias")->count, 3);
    mn_parameters_start(&bed->network.parameters, MN_INIT_GLOROT, 1, bed->theta);
    memcpy(bed->theta, plain->theta, n * sizeof *bed->theta);
    assert_true(fabs(differentiate_in(bed).query - differentiate_in(plain).query) < 1e-12);
    double most = 0;
    for (size_t i = 0; i < n; i++)
        assert_true(fabs((double)(bed->gradient[i] - plain->gradient[i])) < 1e-12);
    for (size_t i = n; i < size_of(bed); i++)
        most = fmax(most, fabs((double)bed->gradient[i]));
    assert_true(most > 1e-4);
    bed_destroy(plain);
    bed_destroy(bed);
}

static mn_experiment normed_by_step(mn_experiment e)
{
    e.model.batch_norm_by_step = true;
    return e;
}

static void norms_of_steps_agree_with_central_differences(void **state)
{
    (void)state;
    mn_experiment by_support = conv(false);
    by_support.model.batch_norm_statistics = MN_STATISTICS_SUPPORT;
    const mn_experiment bodies[] = {conv(true), mlp(MN_TANH, true), by_support};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        const mn_experiment e = normed_by_step(bodies[i]);
        for (uint32_t steps = 1; steps <= 3; steps++) {
            const size_t keep = steps % 2 * KEEP_BYTES;
            check_bed(bed_new(e, steps, true, keep), "norms");
            check_bed(bed_new(adapting(e, MN_ADAPTS_BODY), steps, true, keep), "norms, body");
        }
        check_step_losses(e, "norms");
        check_step_losses(rated(e), "norms and rates"); /* all of MAML++ */
    }
}

/* Tensors of their own, [inner steps, channels], that adaptation leaves as they are; those of a step
 * that is not made count for nothing. */
static void norms_of_steps_stand_still(void **state)
{
    (void)state;
    static mn_real adapted[MAX_THETA];
    struct bed *bed = bed_new(normed_by_step(conv(false)), 3, true, KEEP_BYTES);
    const mn_parameter *scale = tensor_of(bed, "bn2.weight");
    assert_int_equal(scale->tensor.rank, 2);
    assert_int_equal(scale->tensor.shape[0], 3);
    assert_int_equal(scale->tensor.shape[1], 3);
    const double loss = judged_after(bed, 2);
    mn_rule_adapted(bed->rule, bed->scratch, bed->theta, adapted);
    for (size_t i = network_size(bed); i < size_of(bed); i++)
        assert_true(adapted[i] == bed->theta[i]);
    bed->theta[scale->offset + 6] += 1; /* of the third step */
    assert_true(judged_after(bed, 2) == loss);
    bed->theta[scale->offset + 3] += 1; /* of the second */
    assert_true(judged_after(bed, 2) != loss);
    bed_destroy(bed);
}

/* First order: what the query set gives, to the last step's alone. */
static void norms_of_steps_are_learned_to_first_order_too(void **state)
{
    (void)state;
    mn_experiment e = normed_by_step(mlp(MN_TANH, true));
    e.meta.order = 1;
    struct bed *first = bed_new(e, 3, true, KEEP_BYTES);
    e.meta.order = 2;
    e.meta.second_order_from = 1;
    struct bed *bed = bed_new(e, 3, true, KEEP_BYTES);
    (void)differentiate_in(first);
    (void)differentiate_in(bed);
    assert_memory_equal(first->gradient, bed->gradient, size_of(bed) * sizeof *bed->gradient);
    const mn_parameter *shift = tensor_of(bed, "bn2.bias");
    for (size_t i = 0; i < shift->count; i++)
        assert_true((first->gradient[shift->offset + i] != 0) == (i >= shift->count / 3 * 2));
    bed_destroy(first);
    bed_destroy(bed);
}

/* A test goes step by step, also beyond the steps of training, by the last one's tensors. */
static void a_test_takes_the_tensors_of_its_step(void **state)
{
    (void)state;
    struct bed *normed_train =
        bed_new(normed_by_step(rated(mlp(MN_TANH, true))), 3, true, KEEP_BYTES);
    struct bed *normed_test =
        bed_new(normed_by_step(rated(mlp(MN_TANH, true))), 3, false, KEEP_BYTES);
    assert_true(judged_last(normed_test) == differentiate_in(normed_train).query);
    bed_destroy(normed_train);
    bed_destroy(normed_test);
    mn_experiment e = rated(mlp(MN_TANH, false));
    struct bed *train = bed_new(e, 2, true, KEEP_BYTES);
    struct bed *test = bed_new(e, 2, false, KEEP_BYTES);
    assert_true(judged_last(test) == differentiate_in(train).query);
    assert_true(judged_last(train) == differentiate_in(train).query);
    static mn_real before[MAX_THETA], after[MAX_THETA];
    const mn_parameter *tensor = tensor_of(test, "fc1.weight");
    const mn_real rate = test->theta[tensor_of(test, "step_rates.fc1.weight")->offset + 1];
    mn_experiment one =
        mlp(MN_TANH, false); /* a plain step of that rate, from where the other is */
    one.meta.inner_lr = (double)rate;
    struct bed *plain = bed_new(one, 1, false, KEEP_BYTES);
    (void)judged_after(test, 4);
    mn_rule_adapted(test->rule, test->scratch, test->theta, before);
    (void)judged_after(test, 5);
    mn_rule_adapted(test->rule, test->scratch, test->theta, after);
    memcpy(plain->theta, before, network_size(plain) * sizeof *before);
    (void)judged_after(plain, 1);
    mn_rule_adapted(plain->rule, plain->scratch, plain->theta, before);
    for (size_t i = tensor->offset; i < tensor->offset + tensor->count; i++)
        assert_true(fabs((double)(after[i] - before[i])) < 1e-14);
    bed_destroy(train);
    bed_destroy(test);
    bed_destroy(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_of_step_losses_go_from_alike_to_the_last_alone),
        cmocka_unit_test(step_losses_agree_with_central_differences),
        cmocka_unit_test(in_the_end_the_last_step_alone_counts),
        cmocka_unit_test(second_order_begins_at_its_meta_step),
        cmocka_unit_test(step_rates_agree_with_central_differences),
        cmocka_unit_test(step_rates_begin_as_maml),
        cmocka_unit_test(norms_of_steps_agree_with_central_differences),
        cmocka_unit_test(norms_of_steps_stand_still),
        cmocka_unit_test(norms_of_steps_are_learned_to_first_order_too),
        cmocka_unit_test(a_test_takes_the_tensors_of_its_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
