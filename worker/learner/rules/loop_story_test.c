/* loop_story_test.c: a memory network that an inner loop adapts to support questions: its whole
 * meta-gradient against central differences in double, on tasks as they are drawn. */
#include "common/random.h"
#include "worker/learner/rules/rule.h"
#include "worker/tasks/task_set.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_THETA 2048

/* Stories of few sentences, bundles that are no multiple of anything, vectors of four numbers. */
static const char yaml[] =
    "tasks: {kind: generated-stories, sentences: 6, shot: 3, bundle: 5, linear_start: 1}\n"
    "model: {embedding: 4, hops: 2}\n"
    "meta: {kind: maml, inner_lr: 0.5, inner_steps: 2}\n"
    "outer: {batch: 1}\n";

struct bed {
    mn_experiment experiment;
    mn_task_set *set;
    mn_task *drawn;
    mn_network network;
    mn_rule *rule;
    void *scratch;
    mn_real *task, *output;
    mn_real theta[MAX_THETA], gradient[MAX_THETA], ignored[MAX_THETA];
};

/* The task of `index`: 0 is of the linear start, without softmax. */
static void open_bed(struct bed *bed, const char *const *more, uint64_t index)
{
    mn_error err = {0};
    memset(bed, 0, sizeof *bed);
    mn_experiment_init(&bed->experiment);
    mn_status status =
        mn_experiment_parse(&bed->experiment, "story.yaml", yaml, strlen(yaml), &err);
    for (size_t i = 0; more != NULL && more[i] != NULL && status == MN_OK; i++)
        status = mn_experiment_set(&bed->experiment, more[i], &err);
    if (status == MN_OK)
        status = mn_experiment_check(&bed->experiment, &err);
    if (status == MN_OK)
        status = mn_task_set_open(&bed->experiment, NULL, &bed->set, &err);
    if (status != MN_OK)
        fail_msg("%s", err.message);
    const mn_fields *fields = mn_task_set_fields(bed->set, MN_TRAIN);
    assert_int_equal(mn_task_new(fields, &bed->drawn, &err), MN_OK);
    mn_task_set_draw(bed->set, MN_TRAIN, index, bed->drawn);
    bed->task = calloc(fields->size, sizeof *bed->task);
    bed->output = calloc((size_t)fields->bundle * fields->y_size, sizeof *bed->output);
    assert_true(bed->task != NULL && bed->output != NULL);
    for (size_t i = 0; i < fields->size; i++)
        bed->task[i] = (mn_real)bed->drawn->block[i];

    assert_int_equal(mn_network_init(&bed->network, &bed->experiment, fields, &err), MN_OK);
    assert_int_equal(mn_rule_declare(&bed->network, &err), MN_OK);
    assert_true(bed->network.parameters.size <= MAX_THETA);
    const mn_rule_order order = {.network = &bed->network,
                                 .fields = fields,
                                 .kernels = mn_kernels_choose(),
                                 .differentiate = true,
                                 .keep_bytes = (size_t)64 * 1024};
    status = mn_rule_new(&order, &bed->rule, &err);
    if (status != MN_OK)
        fail_msg("%s", err.message);
    bed->scratch = aligned_alloc(64, mn_rule_scratch_bytes(bed->rule));
    assert_non_null(bed->scratch);
    memset(bed->scratch, 0xff, mn_rule_scratch_bytes(bed->rule));
    mn_random random = mn_random_stream(1, MN_RANDOM_SELF_TEST, 0);
    for (size_t i = 0; i < bed->network.parameters.size; i++)
        bed->theta[i] = (mn_real)mn_random_uniform(&random, -1, 1);
}

static void close_bed(struct bed *bed)
{
    mn_rule_destroy(&bed->rule);
    mn_task_destroy(&bed->drawn);
    mn_task_set_destroy(&bed->set);
    free(bed->scratch);
    free(bed->task);
    free(bed->output);
}

static mn_rule_losses differentiate(struct bed *bed, mn_real *gradient)
{
    const mn_rule_data data = {.task = bed->task};
    return mn_rule_gradient(bed->rule, bed->scratch, bed->theta, &data, gradient, bed->output);
}

/* By tensors: of each, so that one that is small beside the others is judged by itself. */
static void check_gradient(struct bed *bed, const char *what)
{
    const double e = 1e-5;
    (void)differentiate(bed, bed->gradient);
    for (uint32_t k = 0; k < bed->network.parameters.n; k++) {
        const mn_parameter *tensor = &bed->network.parameters.at[k];
        double largest = 0;
        for (size_t i = tensor->offset; i < tensor->offset + tensor->count; i++)
            largest = fmax(largest, fabs((double)bed->gradient[i]));
        if (!(largest > 1e-4))
            fail_msg("%s: %s has no gradient", what, tensor->tensor.name);
        for (size_t i = tensor->offset; i < tensor->offset + tensor->count; i++) {
            const mn_real value = bed->theta[i];
            bed->theta[i] = (mn_real)((double)value + e);
            const double above = differentiate(bed, bed->ignored).query;
            bed->theta[i] = (mn_real)((double)value - e);
            const double below = differentiate(bed, bed->ignored).query;
            bed->theta[i] = value;
            const double expected = (above - below) / (2 * e);
            if (!(fabs((double)bed->gradient[i] - expected) <= 1e-6 * largest + 1e-9))
                fail_msg("%s: %s[%zu] is %.12g, central difference %.12g", what,
                         tensor->tensor.name, i - tensor->offset, (double)bed->gradient[i],
                         expected);
        }
    }
}

static void meta_gradients_of_memory_networks_agree_with_central_differences(void **state)
{
    static const char *const cases[][4] = {
        {NULL},
        {"model.tying=layer-wise", NULL},
        {"model.empty_slots=false", "model.encoding=bag", NULL},
        {"tasks.world=grid", "model.linear_attention=true", "meta.inner_steps=1", NULL},
        {"meta.kind=meta-sgd", NULL},
        {"meta.adapts=memory", NULL},
        {"meta.adapts=body", NULL},
        {"meta.adapts=output", "model.tying=layer-wise", NULL},
    };
    static struct bed bed;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (uint64_t index = 0; index < 2; index++) {
            open_bed(&bed, cases[i], index);
            check_gradient(&bed, cases[i][0] != NULL ? cases[i][0] : "maml");
            close_bed(&bed);
        }
}

static void the_inner_loop_lowers_the_loss_of_the_support_questions(void **state)
{
    static struct bed bed;
    (void)state;
    open_bed(&bed, (const char *const[]){"meta.inner_lr=0.1", NULL}, 1);
    const mn_rule_data data = {.task = bed.task};
    mn_rule_begin(bed.rule, bed.scratch, bed.theta, &data);
    const double before = mn_rule_support(bed.rule, bed.scratch, bed.theta, &data);
    (void)mn_rule_step(bed.rule, bed.scratch, bed.theta, &data);
    (void)mn_rule_step(bed.rule, bed.scratch, bed.theta, &data);
    const double after = mn_rule_support(bed.rule, bed.scratch, bed.theta, &data);
    assert_true(after < before);
    assert_true(fabs(differentiate(&bed, bed.ignored).support_before - before) < 1e-12);

    /* An item that weighs nothing moves nothing. */
    (void)differentiate(&bed, bed.gradient);
    const mn_field *weight = mn_fields_find(&bed.drawn->fields, MN_SUPPORT, "weight");
    const mn_field *y = mn_fields_find(&bed.drawn->fields, MN_SUPPORT, "y");
    const size_t size = bed.network.parameters.size * sizeof *bed.gradient;
    bed.task[weight->offset] = 0;
    (void)differentiate(&bed, bed.ignored);
    assert_memory_not_equal(bed.gradient, bed.ignored, size);
    memcpy(bed.gradient, bed.ignored, size);
    memset(bed.task + y->offset, 0, mn_field_item(y) * sizeof *bed.task);
    bed.task[y->offset + 1] = 1; /* another answer */
    (void)differentiate(&bed, bed.ignored);
    assert_memory_equal(bed.gradient, bed.ignored, size);
    close_bed(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meta_gradients_of_memory_networks_agree_with_central_differences),
        cmocka_unit_test(the_inner_loop_lowers_the_loss_of_the_support_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
