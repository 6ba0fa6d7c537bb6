#include "worker/learner/learner.h"

#include "common/exact_sum.h"
#include "worker/tasks/task_set.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct bed {
    mn_experiment experiment;
    mn_task_set *set;
    mn_learner *learner;
    mn_workspace *workspace;
    mn_task *train_task, *test_task;
    float *theta, *row, *test_row;
};

static struct bed *bed_new(const char *const *assignments)
{
    struct bed *bed = calloc(1, sizeof *bed);
    assert_non_null(bed);
    mn_error err = {.message = ""};
    mn_experiment_init(&bed->experiment);
    for (; *assignments != NULL; assignments++)
        if (mn_experiment_set(&bed->experiment, *assignments, &err) != MN_OK)
            fail_msg("%s", err.message);
    assert_int_equal(mn_task_set_open(&bed->experiment, NULL, &bed->set, &err), MN_OK);
    const mn_fields *train = mn_task_set_fields(bed->set, MN_TRAIN);
    const mn_fields *test = mn_task_set_fields(bed->set, MN_TEST);
    assert_int_equal(mn_learner_new(&bed->experiment, train, test, &bed->learner, &err), MN_OK);
    assert_int_equal(mn_workspace_new(bed->learner, &bed->workspace, &err), MN_OK);
    assert_int_equal(mn_task_new(train, &bed->train_task, &err), MN_OK);
    assert_int_equal(mn_task_new(test, &bed->test_task, &err), MN_OK);
    bed->theta = calloc(mn_learner_size(bed->learner), sizeof *bed->theta);
    bed->row = calloc(mn_learner_train_columns(bed->learner), sizeof *bed->row);
    bed->test_row = calloc(mn_learner_test_columns(bed->learner), sizeof *bed->test_row);
    assert_non_null(bed->theta);
    assert_non_null(bed->row);
    assert_non_null(bed->test_row);
    mn_learner_init_theta(bed->learner, bed->experiment.seed, bed->theta);
    mn_task_set_draw(bed->set, MN_TRAIN, 3, bed->train_task);
    mn_task_set_draw(bed->set, MN_TEST, 4, bed->test_task);
    return bed;
}

static void bed_destroy(struct bed *bed)
{
    mn_task_destroy(&bed->train_task);
    mn_task_destroy(&bed->test_task);
    mn_workspace_destroy(&bed->workspace);
    mn_learner_destroy(&bed->learner);
    mn_task_set_destroy(&bed->set);
    free(bed->theta);
    free(bed->row);
    free(bed->test_row);
    free(bed);
}

static const char *const sinusoid[] = {"tasks.kind=sinusoid",
                                       "tasks.shot=10",
                                       "tasks.query=10",
                                       "meta.inner_steps=2",
                                       "meta.inner_lr=0.01",
                                       "evaluate.query=50",
                                       "evaluate.inner_steps=[0,1,5]",
                                       NULL};
static const char *const glyphs[] = {
    "tasks.kind=glyphs", "tasks.way=3", "model.input=conv4", "model.filters=8", "meta.inner_lr=0.4",
    "evaluate.query=2",  NULL};

static void a_row_is_a_pure_function_of_theta_and_task(void **state)
{
    (void)state;
    const char *const *all[] = {sinusoid, glyphs};
    for (int i = 0; i < 2; i++) {
        struct bed *bed = bed_new(all[i]);
        size_t columns = mn_learner_train_columns(bed->learner);
        float *again = malloc(columns * sizeof *again);
        assert_non_null(again);
        mn_learner_train(bed->workspace, bed->theta, bed->train_task, bed->row);
        mn_learner_test(bed->workspace, bed->theta, bed->test_task, bed->test_row);
        mn_learner_train(bed->workspace, bed->theta, bed->train_task, again);
        assert_memory_equal(bed->row, again, columns * sizeof *again);
        assert_true(bed->row[columns - 2] == 1.0f);
        assert_true(mn_exact_accepts(columns, bed->row));
        free(again);
        bed_destroy(bed);
    }
}

static void a_task_that_diverges_is_skipped_and_said(void **state)
{
    (void)state;
    const char *wild[] = {"tasks.kind=sinusoid", "meta.inner_steps=30", "meta.inner_lr=100", NULL};
    struct bed *bed = bed_new(wild);
    mn_learner_train(bed->workspace, bed->theta, bed->train_task, bed->row);
    size_t columns = mn_learner_train_columns(bed->learner);
    for (size_t i = 0; i < columns; i++)
        assert_true(bed->row[i] == (i == columns - 1 ? 1.0f : 0.0f));
    mn_learner_test(bed->workspace, bed->theta, bed->test_task, bed->test_row);
    columns = mn_learner_test_columns(bed->learner);
    for (size_t i = 0; i < columns; i++)
        assert_true(bed->test_row[i] == (i == columns - 1 ? 1.0f : 0.0f));
    bed_destroy(bed);
}

static void a_task_that_is_given_up_is_skipped(void **state)
{
    (void)state;
    struct bed *bed = bed_new(sinusoid);
    const size_t columns = mn_learner_train_columns(bed->learner);
    const size_t test_columns = mn_learner_test_columns(bed->learner);
    atomic_bool stop = true;
    mn_workspace_heed(bed->workspace, &stop);
    mn_learner_train(bed->workspace, bed->theta, bed->train_task, bed->row);
    for (size_t i = 0; i < columns; i++)
        assert_true(bed->row[i] == (i == columns - 1 ? 1.0f : 0.0f));
    mn_learner_test(bed->workspace, bed->theta, bed->test_task, bed->test_row);
    for (size_t i = 0; i < test_columns; i++)
        assert_true(bed->test_row[i] == (i == test_columns - 1 ? 1.0f : 0.0f));
    atomic_store(&stop, false);
    mn_learner_train(bed->workspace, bed->theta, bed->train_task, bed->row);
    assert_true(bed->row[columns - 2] == 1.0f);
    bed_destroy(bed);
}

static void a_row_has_the_scores_that_the_learner_lists(void **state)
{
    (void)state;
    struct bed *bed = bed_new(sinusoid);
    const mn_score_list *scores = mn_learner_test_scores(bed->learner);
    assert_int_equal(scores->n, 3);      /* after 0, 1 and 5 steps; nothing has classes */
    assert_int_equal(scores->judged, 2); /* 2 steps are not measured: the last */
    assert_string_equal(scores->at[2].axis, "inner_steps");
    assert_string_equal(scores->at[2].point, "5");
    assert_string_equal(scores->at[2].unit, "squared error");
    assert_int_equal(mn_learner_test_columns(bed->learner), 3 + 3 + 2); /* with their weights */
    assert_int_equal(mn_learner_train_scores(bed->learner)->n, 2);
    assert_string_equal(mn_learner_train_scores(bed->learner)->at[1].name, "support_loss");
    mn_learner_test(bed->workspace, bed->theta, bed->test_task, bed->test_row);
    mn_explanation explanation = {0};
    mn_learner_explain(bed->workspace, bed->theta, bed->test_task, false, &explanation);
    assert_true(bed->test_row[0] == (float)explanation.query_loss_before); /* 0 steps */
    for (int i = 3; i < 7; i++)                                            /* weights, taken */
        assert_true(bed->test_row[i] == 1.0f);
    assert_true(bed->test_row[7] == 0.0f);
    assert_true(bed->test_row[1] != bed->test_row[0]);
    assert_true(explanation.support_loss_after < explanation.support_loss);
    bed_destroy(bed);

    bed = bed_new(glyphs);
    scores = mn_learner_test_scores(bed->learner);
    assert_int_equal(scores->n, 2);
    assert_true(scores->at[scores->judged].is_share && scores->at[scores->judged].higher_is_better);
    assert_int_equal(mn_learner_train_scores(bed->learner)->judged, 1);
    assert_string_equal(mn_learner_train_scores(bed->learner)->at[1].name, "accuracy");
    mn_learner_test(bed->workspace, bed->theta, bed->test_task, bed->test_row);
    float right = bed->test_row[1] * 6.0f; /* 3 ways, 2 queries */
    assert_true(fabsf(right - roundf(right)) < 1e-4f && right <= 6.0f);
    bed_destroy(bed);
}

static void a_gaussian_answer_is_scored_in_nats_and_by_its_means(void **state)
{
    (void)state;
    const char *process[] = {"tasks.kind=sinusoid",
                             "tasks.shot=10",
                             "tasks.query=10",
                             "evaluate.query=50",
                             "model.input=identity",
                             "model.memory=mean",
                             "model.reasoning=concat-mlp",
                             "model.output=gaussian",
                             "meta.kind=episodic",
                             NULL};
    struct bed *bed = bed_new(process);
    const mn_score_list *scores = mn_learner_test_scores(bed->learner);
    assert_int_equal(mn_learner_columns(bed->learner, &bed->test_task->fields), 2);
    assert_int_equal(scores->n, 2);
    assert_int_equal(scores->judged, 0);
    assert_string_equal(scores->at[0].unit, "nats");
    assert_string_equal(scores->at[1].name, "squared_error");
    assert_false(scores->at[1].higher_is_better);
    float output[2 * 50];
    mn_explanation explanation = {.query_output = output};
    mn_learner_test(bed->workspace, bed->theta, bed->test_task, bed->test_row);
    mn_learner_explain(bed->workspace, bed->theta, bed->test_task, false, &explanation);
    const float *y = mn_task_find(bed->test_task, MN_QUERY, "y");
    double squares = 0, nats = 0;
    for (int i = 0; i < 50; i++) {
        const double off = (double)output[2 * i] - (double)y[i], wide = (double)output[2 * i + 1];
        squares += off * off / 50;
        nats += (0.5 * off * off / (wide * wide) + log(wide) + 0.5 * log(2 * acos(-1.0))) / 50;
    }
    assert_true(fabs((double)bed->test_row[0] - nats) < 1e-5 * nats);
    assert_true(fabs((double)bed->test_row[1] - squares) < 1e-5 * squares);

    const size_t size = mn_learner_size(bed->learner);
    const mn_score_list *train = mn_learner_train_scores(bed->learner);
    assert_int_equal(train->n, 2);
    assert_int_equal(train->judged, 0);
    assert_string_equal(train->at[1].name, "squared_error");
    mn_learner_train(bed->workspace, bed->theta, bed->train_task, bed->row);
    assert_true(bed->row[size] > 0 && bed->row[size + 1] > 0);
    assert_true(bed->row[size + 2] == 1.0f && bed->row[size + 3] == 0.0f); /* taken, skipped */
    bed_destroy(bed);
}

/* A task is of one part: its score stands there with its items as the weight, and nothing at the
 * others. */
static void scores_of_a_mixture_are_told_by_part(void **state)
{
    (void)state;
    const char *sines[] = {"tasks.mix=1 a: ; 1 b: phase=0,1; 1 c: amplitude=1,2",
                           "evaluate.inner_steps=[0,2]", "meta.inner_steps=2", NULL};
    const char *classes[] = {"tasks.kind=glyphs",
                             "tasks.way=3",
                             "model.input=conv4",
                             "model.filters=8",
                             "meta.inner_steps=2",
                             "evaluate.inner_steps=[0,2]",
                             "tasks.mix=1 a: ; 1 b: ; 1 c: ",
                             NULL};
    for (int i = 0; i < 2; i++) {
        struct bed *bed = bed_new(i == 0 ? sines : classes);
        const mn_score_list *scores = mn_learner_test_scores(bed->learner);
        const uint32_t n = scores->n, first = n - 3;
        unsigned seen = 0;
        for (uint32_t k = 0; k < 3; k++) {
            const char name[2] = {(char)('a' + k), '\0'};
            assert_string_equal(scores->at[first + k].name, i == 0 ? "squared_error" : "accuracy");
            assert_string_equal(scores->at[first + k].axis, "set");
            assert_string_equal(scores->at[first + k].point, name);
        }
        for (uint64_t index = 0; index < 20; index++) {
            mn_task_set_draw(bed->set, MN_TEST, index, bed->test_task);
            mn_learner_test(bed->workspace, bed->theta, bed->test_task, bed->test_row);
            const uint32_t items = mn_fields_find(&bed->test_task->fields, MN_QUERY, "y")->n;
            const uint32_t part = (uint32_t)*mn_task_find(bed->test_task, MN_QUERY, "point");
            const float *value = bed->test_row, *weight = bed->test_row + n;
            const double whole = (double)value[first - 1] / (double)weight[first - 1];
            for (uint32_t k = 0; k < 3; k++)
                assert_true(weight[first + k] == (k == part ? (float)items : 0));
            assert_true(fabs((double)value[first + part] / items - whole) <= 1e-5 * whole);
            seen |= 1u << part;
        }
        assert_int_equal(seen, 7);
        bed_destroy(bed);
    }
}

static void theta_leaves_in_pytorch_order_and_comes_back(void **state)
{
    (void)state;
    struct bed *bed = bed_new(glyphs);
    size_t size = mn_learner_size(bed->learner), sum = 0;
    for (size_t i = 0; i < mn_learner_tensors(bed->learner); i++)
        sum += mn_tensor_count(mn_learner_tensor(bed->learner, i));
    assert_int_equal(sum, size);
    assert_string_equal(mn_learner_tensor(bed->learner, 0)->name, "conv1.weight");
    float *outside = malloc(size * sizeof *outside), *back = malloc(size * sizeof *back);
    assert_non_null(outside);
    assert_non_null(back);
    mn_learner_export(bed->learner, bed->theta, outside);
    mn_learner_import(bed->learner, outside, back);
    assert_memory_equal(back, bed->theta, size * sizeof *back);
    mn_digest of_file = mn_digest_of(outside, size * sizeof *outside);
    mn_digest printed = mn_learner_fingerprint(bed->learner, bed->theta);
    assert_memory_equal(&of_file, &printed, sizeof printed);
    free(outside);
    free(back);
    bed_destroy(bed);
}

static void meta_sgd_has_a_rate_for_each_weight(void **state)
{
    (void)state;
    const char *rates[] = {"tasks.kind=sinusoid", "meta.kind=meta-sgd", "meta.inner_lr=0.02", NULL};
    struct bed *bed = bed_new(rates);
    size_t size = mn_learner_size(bed->learner), n = mn_learner_tensors(bed->learner);
    assert_int_equal(n % 2, 0);
    assert_string_equal(mn_learner_tensor(bed->learner, n / 2)->name, "meta_lr.fc1.weight");
    for (size_t i = size / 2; i < size; i++)
        assert_true(bed->theta[i] == 0.02f);
    mn_learner_train(bed->workspace, bed->theta, bed->train_task, bed->row);
    double moved = 0.0;
    for (size_t i = size / 2; i < size; i++)
        moved += fabs((double)bed->row[i]);
    assert_true(moved > 0.0);
    bed_destroy(bed);
}

static void other_classes_in_evaluation_are_refused_where_the_head_has_a_row_for_each(void **state)
{
    (void)state;
    mn_experiment e;
    mn_task_set *set = NULL;
    mn_learner *learner = NULL;
    mn_error err = {.message = ""};
    mn_experiment_init(&e);
    for (const char *const *assignment = glyphs; *assignment != NULL; assignment++)
        assert_int_equal(mn_experiment_set(&e, *assignment, &err), MN_OK);
    assert_int_equal(mn_experiment_set(&e, "evaluate.way=7", &err), MN_OK);
    assert_int_equal(mn_task_set_open(&e, NULL, &set, &err), MN_OK);
    assert_int_equal(mn_learner_new(&e, mn_task_set_fields(set, MN_TRAIN),
                                    mn_task_set_fields(set, MN_TEST), &learner, &err),
                     MN_ERR_CONFIG);
    assert_null(learner);
    assert_non_null(strstr(err.message, "tensor head.weight would be of another shape"));
    assert_non_null(strstr(err.message, "evaluate.way must be tasks.way"));
    mn_task_set_destroy(&set);
}

/* Long before so many numbers are drawn. */
static void a_learner_that_no_memory_holds_is_refused_with_its_size(void **state)
{
    (void)state;
    static const char *const vast[] = {"tasks.kind=generated-stories",
                                       "tasks.sentences=12",
                                       "tasks.shot=0",
                                       "tasks.bundle=1",
                                       "model.input=sentences",
                                       "model.memory=entities",
                                       "model.reasoning=prelu-hops",
                                       "model.output=words",
                                       "model.slots=32768",
                                       "model.embedding=4096",
                                       "meta.kind=episodic",
                                       NULL};
    mn_experiment e;
    mn_task_set *set = NULL;
    mn_learner *learner = NULL;
    mn_error err = {.message = ""};
    if ((double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) > 4e10)
        skip(); /* there are such machines */
    mn_experiment_init(&e);
    for (const char *const *assignment = vast; *assignment != NULL; assignment++)
        assert_int_equal(mn_experiment_set(&e, *assignment, &err), MN_OK);
    assert_int_equal(mn_task_set_open(&e, NULL, &set, &err), MN_OK);
    assert_int_equal(mn_learner_new(&e, mn_task_set_fields(set, MN_TRAIN),
                                    mn_task_set_fields(set, MN_TEST), &learner, &err),
                     MN_ERR_NOMEM);
    assert_null(learner);
    assert_non_null(strstr(err.message, "MiB for a thread's workspace"));
    assert_non_null(strstr(err.message, "this machine has"));
    mn_task_set_destroy(&set);
}

static void
a_head_from_prototypes_is_tested_with_other_classes_than_it_was_trained_with(void **state)
{
    (void)state;
    const char *any[] = {"tasks.kind=glyphs",   "tasks.image_size=12", "model.input=conv4",
                         "model.filters=4",     "model.blocks=2",      "meta.head_start=prototypes",
                         "meta.update=learned", "evaluate.way=7",      NULL};
    struct bed *bed = bed_new(any);
    for (size_t i = 0; i < mn_learner_tensors(bed->learner); i++)
        assert_string_not_equal(mn_learner_tensor(bed->learner, i)->name, "head.weight");
    mn_learner_train(bed->workspace, bed->theta, bed->train_task, bed->row);
    mn_learner_test(bed->workspace, bed->theta, bed->test_task, bed->test_row);
    const size_t columns = mn_learner_test_columns(bed->learner);
    assert_true(bed->row[mn_learner_train_columns(bed->learner) - 2] == 1.0f);
    assert_true(bed->test_row[columns - 2] == 1.0f); /* taken */
    bed_destroy(bed);
}

static void the_statistics_of_batch_norm_are_told_with_the_scores(void **state)
{
    (void)state;
    const struct {
        const char *statistics, *remark;
    } cases[] = {
        {"model.batch_norm_statistics=batch",
         "batch norm by the statistics of the batch at hand (transductive)"},
        {"model.batch_norm_statistics=running", "batch norm by running statistics (inductive)"},
        {"model.batch_norm_statistics=support",
         "batch norm by the statistics of the support set (inductive)"},
        {"model.batch_norm_statistics=item",
         "batch norm by each image's own statistics (inductive)"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *assignments[] = {
            "tasks.kind=glyphs", "tasks.image_size=12", "model.input=conv4", "model.filters=4",
            "model.blocks=2",    "meta.kind=episodic",  cases[i].statistics, NULL};
        struct bed *bed = bed_new(assignments);
        assert_string_equal(mn_learner_test_scores(bed->learner)->remark, cases[i].remark);
        bed_destroy(bed);
    }
    const char *none[] = {"tasks.kind=sinusoid", NULL};
    struct bed *bed = bed_new(none);
    assert_string_equal(mn_learner_test_scores(bed->learner)->remark, "");
    bed_destroy(bed);
}

/* The meta-step of a training task is its index by the batch, and nothing else. */
static void a_training_task_knows_its_meta_step(void **state)
{
    (void)state;
    const char *plain[] = {"tasks.kind=sinusoid", "meta.inner_steps=2", "outer.batch=7", NULL};
    const char *steps[] = {"tasks.kind=sinusoid", "meta.inner_steps=2", "outer.batch=7",
                           "meta.step_losses=2", NULL};
    struct bed *a = bed_new(plain), *b = bed_new(steps);
    const size_t bytes = mn_learner_train_columns(a->learner) * sizeof *a->row;
    for (uint64_t index = 0; index < 21; index++) {
        mn_task_set_draw(a->set, MN_TRAIN, index, a->train_task);
        mn_task_set_draw(b->set, MN_TRAIN, index, b->train_task);
        assert_int_equal(b->train_task->index, index);
        mn_learner_train(a->workspace, a->theta, a->train_task, a->row);
        mn_learner_train(b->workspace, b->theta, b->train_task, b->row);
        assert_true((memcmp(a->row, b->row, bytes) == 0) == (index >= 14));
    }
    bed_destroy(a);
    bed_destroy(b);
}

static void implicit_maml_tells_of_its_conjugate_gradients(void **state)
{
    (void)state;
    const char *implicit[] = {"tasks.kind=sinusoid", "meta.kind=imaml", "meta.inner_steps=3",
                              "meta.cg_steps=2", NULL};
    struct bed *bed = bed_new(implicit);
    const mn_score_list *scores = mn_learner_train_scores(bed->learner);
    assert_int_equal(scores->n, 4);
    assert_string_equal(scores->at[2].name, "negative_curvature");
    assert_string_equal(scores->at[3].name, "cg_residual");
    mn_learner_train(bed->workspace, bed->theta, bed->train_task, bed->row);
    const float *score = bed->row + mn_learner_size(bed->learner);
    assert_true(score[0] > 0 && score[1] > 0);
    assert_true(score[2] == 0 || score[2] == 1);
    assert_true(score[3] > 0); /* two steps are few */
    assert_true(score[4] == 1 && score[5] == 0);
    bed_destroy(bed);
}

static void a_rule_without_steps_is_judged_once_and_has_no_support_loss(void **state)
{
    (void)state;
    const char *episodic[] = {"tasks.kind=sinusoid", "meta.kind=episodic", NULL};
    struct bed *bed = bed_new(episodic);
    size_t size = mn_learner_size(bed->learner);
    const mn_score_list *scores = mn_learner_train_scores(bed->learner);
    assert_int_equal(mn_learner_test_columns(bed->learner), 1 + 1 + 2);
    assert_int_equal(mn_learner_test_scores(bed->learner)->n, 1);
    assert_string_equal(mn_learner_test_scores(bed->learner)->at[0].axis, "");
    assert_int_equal(scores->n, 1);
    assert_string_equal(scores->at[0].name, "loss");
    mn_learner_train(bed->workspace, bed->theta, bed->train_task, bed->row);
    assert_true(bed->row[size] > 0.0f);
    assert_true(bed->row[size + 1] == 1.0f && bed->row[size + 2] == 0.0f);
    mn_learner_test(bed->workspace, bed->theta, bed->test_task, bed->test_row);
    assert_true(bed->test_row[1] == 1.0f && bed->test_row[2] == 1.0f);
    mn_explanation explanation = {0};
    mn_learner_explain(bed->workspace, bed->theta, bed->test_task, false, &explanation);
    assert_true(isnan(explanation.support_loss));
    assert_true(bed->test_row[0] == (float)explanation.query_loss);
    bed_destroy(bed);
}

static void numeric_class_is_stable_and_differs_between_models(void **state)
{
    (void)state;
    struct bed *a = bed_new(sinusoid), *b = bed_new(glyphs);
    mn_digest first, second, other;
    mn_error err;
    assert_int_equal(mn_learner_numeric_class(a->learner, &first, &err), MN_OK);
    assert_int_equal(mn_learner_numeric_class(a->learner, &second, &err), MN_OK);
    assert_int_equal(mn_learner_numeric_class(b->learner, &other, &err), MN_OK);
    assert_memory_equal(&first, &second, sizeof first);
    assert_memory_not_equal(&first, &other, sizeof first);
    bed_destroy(a);
    bed_destroy(b);
}

static void work_is_counted_from_the_mathematics(void **state)
{
    (void)state;
    const char *om5[] = {"tasks.kind=glyphs", "model.input=conv4", "model.filters=64", NULL};
    struct bed *bed = bed_new(om5);   /* 5 + 5 images, one step, second order */
    double image = 2656512.0 + 320.0; /* conv4-64 with stride 2 on 28 x 28, and the head */
    assert_true(mn_learner_train_macs(bed->learner) == image * (5.0 * 9.0 + 5.0 * 3.0));
    bed_destroy(bed);

    const char *anil[] = {"tasks.kind=glyphs", "model.input=conv4",  "model.filters=64",
                          "meta.kind=anil",    "meta.inner_steps=7", NULL};
    bed = bed_new(anil); /* only the head's part grows with the steps */
    assert_true(mn_learner_train_macs(bed->learner) ==
                image * (5.0 * 3.0 + 5.0 * 3.0) + 320.0 * (7.0 * 5.0 * 9.0 - 5.0 * 3.0));
    bed_destroy(bed);
}

/* Rules of every kind leave the losses of the sets alone: what a row says of them is the learner's,
 * and all else of the row is what it would be without. */
static void a_row_tells_how_far_off_the_running_loss_of_its_set_is(void **state)
{
    static const char *const rules[][2] = {
        {"meta.kind=maml", NULL},     {"meta.kind=maml", "meta.update=learned"},
        {"meta.kind=meta-sgd", NULL}, {"meta.kind=maml", "meta.update=step-rates"},
        {"meta.kind=reptile", NULL},  {"meta.kind=imaml", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const char *assignments[] = {"tasks.mix=1 a:; 1 b: curve=step",
                                     "model.hidden=7",
                                     "meta.inner_steps=2",
                                     rules[i][0],
                                     rules[i][1] != NULL ? rules[i][1] : "seed=1",
                                     "tasks.mix_by=difficulty",
                                     NULL};
        struct bed *bed = bed_new(assignments);
        assignments[5] = NULL;
        struct bed *plain = bed_new(assignments);
        const size_t size = mn_learner_size(bed->learner), n = mn_learner_size(plain->learner);
        const size_t last = mn_learner_tensors(bed->learner) - 1;
        const float *losses = mn_learner_set_losses(bed->learner, bed->theta);
        assert_int_equal(size, n + 2);
        assert_null(mn_learner_set_losses(plain->learner, plain->theta));
        assert_ptr_equal(losses, bed->theta + n);
        assert_true(losses[0] == 1 && losses[1] == 1);
        assert_string_equal(mn_learner_tensor(bed->learner, last)->name, "mixture.losses");
        assert_true(mn_learner_is_statistic(bed->learner, last));
        assert_true(mn_learner_statistic_share(bed->learner, last) == 0.1);
        memset(bed->row, 0x41, mn_learner_train_columns(bed->learner) * sizeof *bed->row);
        mn_learner_train(bed->workspace, bed->theta, plain->train_task, bed->row);
        mn_learner_train(plain->workspace, plain->theta, plain->train_task, plain->row);
        const int set = (int)mn_task_find(plain->train_task, MN_QUERY, "point")[0];
        assert_memory_equal(bed->row, plain->row, n * sizeof *bed->row);
        assert_true(bed->row[n + (size_t)(1 - set)] == 0);
        assert_true(bed->row[n + (size_t)set] == 1 - bed->row[size]); /* the loss follows */
        assert_memory_equal(bed->row + size, plain->row + n,
                            (mn_learner_train_columns(plain->learner) - n) * sizeof *bed->row);

        float *adapted = calloc(size, sizeof *adapted);
        assert_non_null(adapted);
        bed->theta[n] = 5;
        mn_learner_explain(bed->workspace, bed->theta, plain->train_task, true,
                           &(mn_explanation){.adapted = adapted});
        assert_true(adapted[n] == 5 && adapted[n + 1] == 1);
        free(adapted);
        bed_destroy(bed);
        bed_destroy(plain);
    }
}

/* The coordinator asks it for what it asks any learner for. */
static void an_external_learner_has_the_tensors_numbers_and_scores_of_its_card(void **state)
{
    (void)state;
    static float start[7] = {1, 2, 3, 4, 5, 6, 7};
    mn_tensor tensors[2] = {{.name = "w", .dtype = MN_F32, .rank = 3, .shape = {1, 3, 2}},
                            {.name = "b", .dtype = MN_F32, .rank = 0}};
    mn_score scores[2] = {{.name = "loss", .unit = "nats"},
                          {.name = "accuracy", .is_share = true, .higher_is_better = true}};
    const mn_learner_card card = {.n_tensors = 2,
                                  .tensors = tensors,
                                  .size = 7,
                                  .start = start,
                                  .scores = {.n = 2, .at = scores}};
    mn_experiment experiment;
    mn_learner *learner = NULL;
    float theta[7];
    float there[7];
    mn_digest class = {{1}};
    const mn_digest unknown = {{0}};
    mn_experiment_init(&experiment);
    assert_int_equal(mn_learner_new_external(&experiment, &card, &learner, NULL), MN_OK);
    assert_true(mn_learner_is_external(learner));
    assert_int_equal(mn_learner_size(learner), 7);
    assert_int_equal(mn_learner_tensors(learner), 2);
    assert_string_equal(mn_learner_tensor(learner, 0)->name, "w");
    assert_int_equal(mn_learner_train_columns(learner), 7 + 2 + 2);
    assert_int_equal(mn_learner_test_columns(learner), 2 * 2 + 2);
    assert_string_equal(mn_learner_train_scores(learner)->at[0].unit, "nats");
    assert_true(mn_learner_test_scores(learner)->at[1].is_share);
    mn_learner_init_theta(learner, 9, theta);
    assert_memory_equal(theta, start, sizeof start);
    mn_learner_export(learner, theta, there);
    assert_memory_equal(there, start, sizeof start);
    assert_int_equal(mn_learner_workspace_bytes(learner), 0);
    assert_int_equal(mn_learner_numeric_class(learner, &class, NULL), MN_OK);
    assert_memory_equal(&class, &unknown, sizeof class);
    assert_string_equal(mn_learner_kernels(learner), "external");
    mn_learner_destroy(&learner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_external_learner_has_the_tensors_numbers_and_scores_of_its_card),
        cmocka_unit_test(a_row_is_a_pure_function_of_theta_and_task),
        cmocka_unit_test(a_task_that_diverges_is_skipped_and_said),
        cmocka_unit_test(a_task_that_is_given_up_is_skipped),
        cmocka_unit_test(a_row_has_the_scores_that_the_learner_lists),
        cmocka_unit_test(a_gaussian_answer_is_scored_in_nats_and_by_its_means),
        cmocka_unit_test(scores_of_a_mixture_are_told_by_part),
        cmocka_unit_test(theta_leaves_in_pytorch_order_and_comes_back),
        cmocka_unit_test(meta_sgd_has_a_rate_for_each_weight),
        cmocka_unit_test(other_classes_in_evaluation_are_refused_where_the_head_has_a_row_for_each),
        cmocka_unit_test(a_learner_that_no_memory_holds_is_refused_with_its_size),
        cmocka_unit_test(
            a_head_from_prototypes_is_tested_with_other_classes_than_it_was_trained_with),
        cmocka_unit_test(the_statistics_of_batch_norm_are_told_with_the_scores),
        cmocka_unit_test(a_row_tells_how_far_off_the_running_loss_of_its_set_is),
        cmocka_unit_test(a_training_task_knows_its_meta_step),
        cmocka_unit_test(implicit_maml_tells_of_its_conjugate_gradients),
        cmocka_unit_test(a_rule_without_steps_is_judged_once_and_has_no_support_loss),
        cmocka_unit_test(numeric_class_is_stable_and_differs_between_models),
        cmocka_unit_test(work_is_counted_from_the_mathematics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
