/* update_test.c: whole meta-gradients through learned updates. */
#include "worker/learner/rules/rule_bed.h"

static void check_update(mn_experiment body, uint32_t units, const char *name)
{
    const mn_experiment e = updating(body, units);
    for (uint32_t steps = 1; steps <= 3; steps += 2) {
        check_bed(bed_of(e, MN_META_MAML, 2, steps, true), name);
        check_bed(bed_of(e, MN_META_ANIL, 2, steps, true), name);
        check_bed(bed_of(adapting(e, MN_ADAPTS_BODY), MN_META_MAML, 2, steps, true), name);
        check_bed(bed_of(from_prototypes(e), MN_META_MAML, 2, steps, true), name);
        check_bed(bed_of(from_prototypes(e), MN_META_ANIL, 2, steps, true), name);
    }
}

static void learned_updates_agree_with_central_differences(void **state)
{
    (void)state;
    check_update(conv(false), 0, "update, strided");
    check_update(mlp(MN_TANH, false), 0, "update, mlp");
    check_update(conv(false), 3, "update with a network, strided");
}

/* Rates of meta.inner_lr, no momentum, a network that gives nothing: all tensors of the update but
 * the first layer of the network are zero. */
static void a_learned_update_begins_as_maml(void **state)
{
    (void)state;
    for (uint32_t units = 0; units <= 3; units += 3) {
        struct bed *plain = bed_of(mlp(MN_TANH, false), MN_META_MAML, 2, 3, true);
        struct bed *learned =
            bed_of(updating(mlp(MN_TANH, false), units), MN_META_MAML, 2, 3, true);
        const size_t n = network_size(plain);
        assert_int_equal(size_of(learned), n + 12 + 4 * units + (units > 0));
        mn_parameters_start(&learned->network.parameters, MN_INIT_GLOROT, 1, learned->theta);
        memcpy(learned->theta, plain->theta, n * sizeof(mn_real));
        const double a = differentiate_in(plain).query, b = differentiate_in(learned).query;
        assert_true(fabs(a - b) < 1e-12);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs((double)(plain->gradient[i] - learned->gradient[i])) < 1e-11);
        double most = 0; /* and yet it has somewhere to go */
        for (size_t i = n; i < size_of(learned); i++)
            most = fmax(most, fabs((double)learned->gradient[i]));
        assert_true(most > 1e-4);
        bed_destroy(plain);
        bed_destroy(learned);
    }
}

/* Step by step, as a test does it, and in one go, as training does. */
static void a_learned_update_keeps_its_velocity_between_steps(void **state)
{
    (void)state;
    struct bed *bed = bed_of(updating(mlp(MN_TANH, false), 3), MN_META_MAML, 2, 4, true);
    struct bed *test = bed_of(updating(mlp(MN_TANH, false), 3), MN_META_MAML, 2, 4, false);
    const double loss = differentiate_in(bed).query;
    struct bed *both[] = {bed, test};
    for (int i = 0; i < 2; i++)
        for (int again = 0; again < 2; again++) {
            struct bed *b = both[i];
            mn_rule_begin(b->rule, b->scratch, b->theta, &b->data);
            for (int k = 0; k < 4; k++) {
                (void)mn_rule_step(b->rule, b->scratch, b->theta, &b->data);
                (void)mn_rule_support(b->rule, b->scratch, b->theta, &b->data);
            }
            assert_true(mn_rule_judge(b->rule, b->scratch, b->theta, &b->data, b->output) == loss);
        }
    bed_destroy(bed);
    bed_destroy(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learned_updates_agree_with_central_differences),
        cmocka_unit_test(a_learned_update_begins_as_maml),
        cmocka_unit_test(a_learned_update_keeps_its_velocity_between_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
