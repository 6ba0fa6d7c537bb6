/* Context parameters under the rules that move them, in double: whole meta-gradients against central
 * differences, and where a task begins. */
#include "worker/learner/rules/rule_bed.h"

enum { N_CONTEXT = 4 };

static mn_experiment with_context(mn_reasoning_kind reasoning, mn_adapts adapts)
{
    mn_experiment e = mlp(MN_TANH, false);
    e.model.memory = MN_MEMORY_CONTEXT;
    e.model.context = N_CONTEXT;
    e.model.reasoning = reasoning;
    e.model.units = 5;
    e.model.decoder = (mn_uint_list){.n = 2, .at = {6, 5}};
    if (reasoning == MN_REASONING_CONCAT_MLP)
        e.model.input = MN_INPUT_IDENTITY;
    e.meta.adapts = adapts;
    e.meta.inner_lr = 1;
    return e;
}

static void meta_gradients_agree_with_central_differences(void **state)
{
    (void)state;
    const mn_reasoning_kind reasonings[] = {MN_REASONING_CONCAT_MLP, MN_REASONING_CONCAT_LINEAR};
    for (int i = 0; i < 2; i++)
        for (uint32_t steps = 1; steps <= 3; steps++) {
            const mn_experiment alone = with_context(reasonings[i], MN_ADAPTS_MEMORY);
            const mn_experiment all = with_context(reasonings[i], MN_ADAPTS_ALL);
            check_bed(bed_new(alone, steps, true, KEEP_BYTES), "context alone");
            check_bed(bed_new(all, steps, true, KEEP_BYTES), "all");
        }
}

/* Only the context is another after adaptation, and it was zero before. */
static void the_context_alone_is_moved_from_zero(void **state)
{
    (void)state;
    static mn_real adapted[MAX_THETA];
    struct bed *bed =
        bed_new(with_context(MN_REASONING_CONCAT_MLP, MN_ADAPTS_MEMORY), 2, true, KEEP_BYTES);
    const mn_parameter *context = tensor_of(bed, "memory.context");
    assert_int_equal(context->count, N_CONTEXT);
    mn_rule_begin(bed->rule, bed->scratch, bed->theta, &bed->data);
    (void)mn_rule_step(bed->rule, bed->scratch, bed->theta, &bed->data);
    mn_rule_adapted(bed->rule, bed->scratch, bed->theta, adapted);
    for (size_t i = 0; i < size_of(bed); i++) {
        const bool is_context = i - context->offset < context->count;
        assert_true(is_context ? bed->theta[i] == 0 && adapted[i] != 0
                               : adapted[i] == bed->theta[i]);
    }
    bed_destroy(bed);
}

/* What the layer reads of it is a bias: as much as a step gives it, times its weights. */
static void without_a_step_it_is_as_if_it_were_not_there(void **state)
{
    (void)state;
    struct bed *bed =
        bed_new(with_context(MN_REASONING_CONCAT_MLP, MN_ADAPTS_MEMORY), 1, true, KEEP_BYTES);
    const double before = judged_after(bed, 0), after = judged_after(bed, 1);
    const mn_parameter *weight = tensor_of(bed, "decoder.fc1.weight"); /* inside [in, out] */
    const size_t n = (size_t)N_CONTEXT * weight->inside.c;
    memset(bed->theta + weight->offset + weight->count - n, 0, n * sizeof *bed->theta);
    assert_true(judged_after(bed, 0) == before);
    assert_true(judged_after(bed, 1) == before); /* nothing is to be had by moving it */
    assert_true(after != before);
    bed_destroy(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meta_gradients_agree_with_central_differences),
        cmocka_unit_test(the_context_alone_is_moved_from_zero),
        cmocka_unit_test(without_a_step_it_is_as_if_it_were_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
