#include "worker/learner/adapted.h"

#include "common/tensor_file.h"
#include "worker/learner/hold_out.h"
#include "worker/learner/learner.h"
#include "worker/tasks/task_set.h"
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MOST_CLASSES 16

/* A run that has not trained: theta_0, a test task of it, and the model. */
struct bed {
    mn_experiment experiment;
    mn_task_set *set;
    mn_learner *learner;
    mn_task *task;
    float *theta, *outside;
    size_t n_theta;
    mn_model *model;
};

#define GLYPHS                                                                                     \
    "tasks: {kind: glyphs, way: 3, shot: 2, query: 4, image_size: 12}\n"                           \
    "evaluate: {query: 3}\n"
#define CONV "model: {input: conv4, filters: 6, blocks: 3, "
#define POINTS "tasks: {kind: sinusoid, shot: 6, query: 9}\n"

static const char *const loops[] = {
    GLYPHS CONV "readout: flatten}\nmeta: {kind: maml, inner_steps: 3, inner_lr: 0.2}\n",
    GLYPHS CONV "batch_norm_statistics: support}\nmeta: {kind: maml, inner_steps: 2}\n",
    GLYPHS CONV "batch_norm_statistics: item}\nmeta: {kind: maml, order: 1, inner_steps: 2}\n",
    GLYPHS CONV "readout: mean}\nmeta: {kind: anil, inner_steps: 4, inner_lr: 0.3}\n",
    GLYPHS CONV "readout: mean}\nmeta: {kind: maml, adapts: body, inner_steps: 2}\n",
    GLYPHS CONV "readout: mean}\nmeta: {kind: meta-sgd, inner_steps: 2, inner_lr: 0.3}\n",
    GLYPHS CONV "readout: mean}\nmeta: {kind: reptile, inner_steps: 3, inner_lr: 0.1}\n",
    GLYPHS CONV "readout: flatten}\nmeta: {kind: maml, head_start: prototypes, inner_steps: 2}\n",
    GLYPHS CONV "readout: mean}\nmeta: {kind: anil, head_start: prototypes, inner_steps: 2}\n",
    GLYPHS CONV
    "readout: mean}\nmeta: {kind: maml, update: learned, update_units: 3, inner_steps: 3}\n",
    POINTS "meta: {kind: maml, inner_steps: 4, inner_lr: 0.01}\n",
    POINTS "model: {memory: table, slots: 4, slot_size: 5, reasoning: concat-linear, units: 6}\n"
           "meta: {kind: maml, adapts: memory, inner_steps: 2, inner_lr: 0.01}\n",
    "tasks: {kind: generated-stories, sentences: 6, shot: 3, bundle: 5}\n"
    "model: {embedding: 4, hops: 2}\nmeta: {kind: maml, inner_lr: 0.5, inner_steps: 2}\n",
    POINTS "model: {input: identity, memory: context, context: 5, reasoning: concat-mlp, decoder: "
           "[8, 8]}\n"
           "meta: {kind: maml, adapts: memory, inner_steps: 3, inner_lr: 0.1}\n",
    POINTS "meta: {kind: imaml, inner_steps: 6, inner_lr: 0.01}\n",
    GLYPHS CONV
    "readout: mean, batch_norm_by_step: true}\nmeta: {kind: maml, inner_steps: 3, inner_lr: 0.1}\n",
    GLYPHS CONV
    "readout: mean}\nmeta: {kind: maml, update: step-rates, inner_steps: 3, inner_lr: 0.1}\n",
    GLYPHS CONV
    "readout: flatten}\nmeta: {kind: maml, update: curvature, inner_steps: 3, inner_lr: 0.1}\n",
    POINTS "meta: {kind: imaml, adapts: output, inner_steps: 6, inner_lr: 0.01}\n",
};
static const char *const episodes[] = {
    GLYPHS CONV "memory: class-means, output: distance}\nmeta: {kind: episodic}\n",
    GLYPHS CONV "memory: class-means, output: distance, batch_norm_statistics: running}\n"
                "meta: {kind: episodic}\n",
    GLYPHS CONV "memory: support, output: match, batch_norm_statistics: support}\n"
                "meta: {kind: episodic}\n",
    GLYPHS CONV "memory: support, output: match, readout: mean, full_context: true}\n"
                "meta: {kind: episodic}\n",
    POINTS "model: {input: identity, memory: mean, encoder: [8, 8], reasoning: concat-mlp, "
           "decoder: [8], output: gaussian}\nmeta: {kind: episodic}\n",
};
enum { N_LOOPS = sizeof loops / sizeof *loops, N_EPISODES = sizeof episodes / sizeof *episodes };

static const char *learner_of(size_t i)
{
    return i < N_LOOPS ? loops[i] : episodes[i - N_LOOPS];
}

static struct bed *bed_new(const char *yaml)
{
    struct bed *bed = calloc(1, sizeof *bed);
    mn_error err = {.message = ""};
    assert_non_null(bed);
    mn_experiment_init(&bed->experiment);
    mn_status status = mn_experiment_parse(&bed->experiment, "test", yaml, strlen(yaml), &err);
    if (status == MN_OK)
        status = mn_experiment_check(&bed->experiment, &err);
    if (status == MN_OK)
        status = mn_task_set_open(&bed->experiment, NULL, &bed->set, &err);
    if (status != MN_OK)
        fail_msg("%s: %s", yaml, err.message);
    const mn_fields *train = mn_task_set_fields(bed->set, MN_TRAIN);
    const mn_fields *test = mn_task_set_fields(bed->set, MN_TEST);
    assert_int_equal(mn_learner_new(&bed->experiment, train, test, &bed->learner, &err), MN_OK);
    assert_int_equal(mn_task_new(test, &bed->task, &err), MN_OK);
    mn_task_set_draw(bed->set, MN_TEST, 4, bed->task);
    bed->n_theta = mn_learner_size(bed->learner);
    bed->theta = calloc(bed->n_theta, sizeof *bed->theta);
    bed->outside = calloc(bed->n_theta, sizeof *bed->outside);
    assert_true(bed->theta != NULL && bed->outside != NULL);
    mn_learner_init_theta(bed->learner, 7, bed->theta);
    for (size_t i = 0; i < bed->n_theta; i++) /* nothing is alike that training would part */
        bed->theta[i] += 0.02f * (float)(i * 7919 % 101) / 101;
    mn_learner_export(bed->learner, bed->theta, bed->outside);
    if (mn_model_new(&bed->experiment, train, bed->n_theta, bed->outside, &bed->model, &err) !=
        MN_OK)
        fail_msg("%s: %s", yaml, err.message);
    return bed;
}

static void bed_destroy(struct bed *bed)
{
    mn_model_destroy(&bed->model);
    mn_task_destroy(&bed->task);
    mn_learner_destroy(&bed->learner);
    mn_task_set_destroy(&bed->set);
    free(bed->theta);
    free(bed->outside);
    free(bed);
}

static size_t n_query(const struct bed *bed)
{
    return mn_fields_find(&bed->task->fields, MN_QUERY, "y")->n;
}

/* The task's own support set as somebody would give it. */
static mn_examples examples_of(const struct bed *bed, uint32_t *labels)
{
    const mn_fields *fields = &bed->task->fields;
    const bool classes = fields->target == MN_TARGET_CLASSES;
    mn_examples examples = {.n = fields->at[MN_SUPPORT_X].n, .x = bed->task->at[MN_SUPPORT_X]};
    const float *y = bed->task->at[MN_SUPPORT_Y];
    for (uint32_t i = 0; i < examples.n && classes; i++)
        labels[i] = mn_label_of(fields->y_size, y + (size_t)i * fields->y_size);
    examples.n_classes = classes ? fields->y_size : 0;
    examples.labels = classes ? labels : NULL;
    examples.y = classes ? NULL : y;
    return examples;
}

static mn_adapted *adapt(const struct bed *bed, double *losses)
{
    mn_error err = {.message = ""};
    mn_adapted *adapted = NULL;
    uint32_t labels[64];
    const bool few_shot = mn_model_is_few_shot(bed->model);
    mn_examples examples = few_shot ? examples_of(bed, labels) : (mn_examples){0};
    mn_status status = few_shot ? mn_adapted_new(bed->model, &examples, MN_STEPS_AS_TRAINED, losses,
                                                 &adapted, &err)
                                : mn_adapted_new_of_task(bed->model, bed->task, MN_STEPS_AS_TRAINED,
                                                         losses, &adapted, &err);
    if (status != MN_OK)
        fail_msg("%s", err.message);
    return adapted;
}

/* Answers and outputs for the task's query set; owned by the caller. */
static float *predict(const struct bed *bed, const mn_adapted *adapted, float **outputs)
{
    mn_error err = {.message = ""};
    const size_t count = n_query(bed) * mn_adapted_columns(adapted);
    float *answers = calloc(count, sizeof *answers);
    *outputs = calloc(count, sizeof **outputs);
    assert_true(answers != NULL && *outputs != NULL);
    mn_status status;
    if (mn_model_is_few_shot(bed->model)) {
        status = mn_adapted_predict(adapted, (uint32_t)n_query(bed), bed->task->at[MN_QUERY_X],
                                    answers, *outputs, &err);
    } else {
        mn_task *task = NULL;
        assert_int_equal(mn_adapted_task(adapted, (uint32_t)n_query(bed), &task, &err), MN_OK);
        for (uint32_t i = 0; i < bed->task->fields.n; i++) {
            const mn_field *field = &bed->task->fields.at[i];
            if (field->role == MN_QUERY)
                memcpy(mn_task_find(task, MN_QUERY, field->name), bed->task->at[i],
                       mn_field_count(field) * sizeof(float));
        }
        status = mn_adapted_predict_task(adapted, task, answers, *outputs, &err);
        mn_task_destroy(&task);
    }
    if (status != MN_OK)
        fail_msg("%s", err.message);
    return answers;
}

static void what_a_test_task_computes_is_computed_bit_by_bit(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_LOOPS + N_EPISODES; i++) {
        struct bed *bed = bed_new(learner_of(i));
        mn_error err = {.message = ""};
        mn_workspace *workspace = NULL;
        const size_t columns = mn_learner_columns(bed->learner, &bed->task->fields);
        float *adapted_theta = calloc(bed->n_theta, sizeof(float));
        float *ours = calloc(bed->n_theta, sizeof(float)), *outputs = NULL;
        float *query_output = calloc(n_query(bed) * columns, sizeof(float));
        double losses[8] = {0};
        assert_int_equal(mn_workspace_new(bed->learner, &workspace, &err), MN_OK);
        mn_explanation told = {.adapted = adapted_theta, .query_output = query_output};
        mn_learner_explain(workspace, bed->theta, bed->task, false, &told);
        mn_learner_export(bed->learner, adapted_theta, bed->outside);

        mn_adapted *adapted = adapt(bed, losses);
        mn_adapted_theta(adapted, ours);
        assert_int_equal(mn_adapted_size(adapted), bed->n_theta);
        assert_memory_equal(ours, bed->outside, bed->n_theta * sizeof *ours);
        assert_int_equal(mn_adapted_columns(adapted), columns);
        float *answers = predict(bed, adapted, &outputs);
        assert_memory_equal(outputs, query_output, n_query(bed) * columns * sizeof *outputs);
        if (i < N_LOOPS) {
            const uint32_t steps = bed->experiment.meta.inner_steps;
            assert_int_equal(mn_adapted_steps(adapted), steps);
            assert_true(losses[0] == told.support_loss);
            assert_true(losses[steps] == told.support_loss_after);
            assert_true(losses[steps] < losses[0]);
        }
        free(answers);
        free(outputs);
        free(ours);
        free(adapted_theta);
        free(query_output);
        mn_adapted_destroy(&adapted);
        mn_workspace_destroy(&workspace);
        bed_destroy(bed);
    }
}

static void probabilities_are_the_softmax_of_the_outputs(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_LOOPS + N_EPISODES; i++) {
        struct bed *bed = bed_new(learner_of(i));
        mn_adapted *adapted = adapt(bed, NULL);
        const uint32_t columns = mn_adapted_columns(adapted);
        float *outputs = NULL, *answers = predict(bed, adapted, &outputs);
        for (size_t q = 0; q < n_query(bed); q++) {
            double sum = 0, all = 0;
            for (uint32_t k = 0; k < columns; k++) {
                sum += exp((double)outputs[q * columns + k]);
                all += (double)answers[q * columns + k];
            }
            for (uint32_t k = 0; k < columns; k++) {
                const double z = (double)outputs[q * columns + k];
                const double wanted = mn_adapted_classes(adapted) > 0 ? exp(z) / sum : z;
                assert_true(fabs((double)answers[q * columns + k] - wanted) <=
                            1e-6 * (1 + fabs(wanted)));
            }
            assert_true(mn_adapted_classes(adapted) == 0 || fabs(all - 1) < 1e-5);
        }
        free(answers);
        free(outputs);
        mn_adapted_destroy(&adapted);
        bed_destroy(bed);
    }
}

static void a_file_predicts_the_same_bits_and_needs_nothing_else(void **state)
{
    (void)state;
    mn_error err = {.message = ""};
    char path[] = "/tmp/adapted_test_XXXXXX";
    const mn_text_pair note = {"ink", "dark"};
    assert_true(mkstemp(path) >= 0);
    for (size_t i = 0; i < N_LOOPS + N_EPISODES; i++) {
        struct bed *bed = bed_new(learner_of(i));
        mn_adapted *adapted = adapt(bed, NULL), *again = NULL;
        float *outputs = NULL, *theirs = NULL;
        float *answers = predict(bed, adapted, &outputs);
        const size_t bytes = n_query(bed) * mn_adapted_columns(adapted) * sizeof *answers;
        assert_int_equal(mn_adapted_write(adapted, path, 1, &note, &err), MN_OK);
        if (mn_adapted_read(path, &again, &err) != MN_OK)
            fail_msg("%s: %s", learner_of(i), err.message);
        float *second = predict(bed, again, &theirs);
        assert_memory_equal(second, answers, bytes);
        assert_memory_equal(theirs, outputs, bytes);
        assert_string_equal(mn_adapted_note(again, "ink"), "dark");
        assert_int_equal(mn_adapted_support(again), mn_adapted_support(adapted));
        assert_int_equal(mn_adapted_steps(again), mn_adapted_steps(adapted));
        if (mn_adapted_class_name(adapted, 0) != NULL)
            assert_string_equal(mn_adapted_class_name(again, 2), "2");
        free(answers);
        free(outputs);
        free(second);
        free(theirs);
        mn_adapted_destroy(&adapted);
        mn_adapted_destroy(&again);
        bed_destroy(bed);
    }
    (void)unlink(path);
}

static void examples_are_written_only_where_they_are_looked_at(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        bool there;
    } cases[] = {{loops[0], false}, {loops[1], true}, {loops[7], false}, {episodes[0], true}};
    mn_error err = {.message = ""};
    char path[] = "/tmp/adapted_test_XXXXXX";
    assert_true(mkstemp(path) >= 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bed *bed = bed_new(cases[i].yaml);
        mn_adapted *adapted = adapt(bed, NULL);
        mn_tensor_file *file = NULL;
        assert_int_equal(mn_adapted_write(adapted, path, 0, NULL, &err), MN_OK);
        assert_int_equal(mn_tensor_file_read(path, &file, &err), MN_OK);
        assert_int_equal(mn_tensor_file_find(file, "support.x") != NULL, cases[i].there);
        if (i == 2) { /* [way, features] of PyTorch's Linear: 6 filters, 2 x 2 pixels are left */
            const mn_tensor *head = mn_tensor_file_find(file, "head.weight");
            assert_non_null(head);
            assert_int_equal(head->shape[0], 3);
            assert_int_equal(head->shape[1], 24);
        }
        mn_tensor_file_destroy(&file);
        mn_adapted_destroy(&adapted);
        bed_destroy(bed);
    }
    (void)unlink(path);
}

/* Other tasks than those of training ------------------------------------------------ */

/* Five classes with 1, 2, 3, 1 and 4 pictures, each of the one level c / 4 and a little noise. */
static const uint32_t uneven[] = {0, 1, 1, 2, 2, 2, 3, 4, 4, 4, 4};
enum { N_UNEVEN = sizeof uneven / sizeof *uneven, PIXELS = 144 };

static float *stripes(void)
{
    float *x = calloc((size_t)N_UNEVEN * PIXELS, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < N_UNEVEN; i++)
        for (size_t p = 0; p < PIXELS; p++)
            x[i * PIXELS + p] = p % (2 + uneven[i]) == 0 ? 1.0f : 0.02f * (float)((p + 3 * i) % 5);
    return x;
}

static void heads_of_the_task_take_any_number_of_classes_with_unequal_examples(void **state)
{
    (void)state;
    const char *const any[] = {loops[7],    loops[8],    episodes[0],
                               episodes[1], episodes[2], episodes[3]};
    mn_error err = {.message = ""};
    for (size_t i = 0; i < sizeof any / sizeof *any; i++) {
        struct bed *bed = bed_new(any[i]);
        float *x = stripes(), answers[N_UNEVEN * 5];
        const char *const names[] = {"one", "two", "three", "four", "five"};
        const mn_examples examples = {
            .n = N_UNEVEN, .x = x, .n_classes = 5, .labels = uneven, .names = names};
        mn_adapted *adapted = NULL;
        assert_true(mn_model_any_way(bed->model));
        if (mn_adapted_new(bed->model, &examples, 0, NULL, &adapted, &err) != MN_OK)
            fail_msg("%s: %s", any[i], err.message);
        assert_int_equal(mn_adapted_classes(adapted), 5);
        assert_string_equal(mn_adapted_class_name(adapted, 3), "four");
        assert_int_equal(mn_adapted_predict(adapted, N_UNEVEN, x, answers, NULL, &err), MN_OK);
        uint32_t right = 0;
        for (size_t q = 0; q < N_UNEVEN; q++)
            right += mn_label_of(5, answers + 5 * q) == uneven[q];
        if (any[i] != episodes[3])             /* LSTMs that have not learned put all in disorder */
            assert_int_equal(right, N_UNEVEN); /* they are the examples themselves */
        mn_adapted_destroy(&adapted);
        assert_int_equal(
            mn_adapted_new(bed->model, &examples, MN_STEPS_AS_TRAINED, NULL, &adapted, &err),
            MN_OK);
        free(x);
        mn_adapted_destroy(&adapted);
        bed_destroy(bed);
    }
}

static void a_head_with_a_row_a_class_refuses_other_numbers_and_says_what_to_do(void **state)
{
    (void)state;
    const char *const fixed[] = {loops[0], loops[3], loops[5], loops[6]};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        struct bed *bed = bed_new(fixed[i]);
        mn_error err = {.message = ""};
        float *x = stripes();
        const mn_examples examples = {.n = N_UNEVEN, .x = x, .n_classes = 5, .labels = uneven};
        mn_adapted *adapted = NULL;
        assert_false(mn_model_any_way(bed->model));
        assert_int_equal(mn_adapted_new(bed->model, &examples, 1, NULL, &adapted, &err),
                         MN_ERR_CONFIG);
        assert_null(adapted);
        assert_non_null(strstr(err.message, "this task has 5 classes, but the run was trained with "
                                            "3 (tasks.way)"));
        assert_non_null(strstr(err.message, "model.output distance or match"));
        free(x);
        bed_destroy(bed);
    }
}

static void items_judged_alone_are_so_in_whatever_company(void **state)
{
    (void)state;
    const char *const alone[] = {loops[1], loops[2], episodes[1], episodes[2]};
    enum { MANY = 150 };
    mn_error err = {.message = ""};
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
        struct bed *bed = bed_new(alone[i]);
        mn_adapted *adapted = adapt(bed, NULL);
        const float *x = bed->task->at[MN_QUERY_X];
        const size_t n = n_query(bed);
        float *many = calloc((size_t)MANY * PIXELS, sizeof *many), answers[MANY * 3], one[3];
        assert_non_null(many);
        assert_false(mn_model_judges_together(bed->model));
        for (size_t q = 0; q < MANY; q++)
            memcpy(many + q * PIXELS, x + q % n * PIXELS, PIXELS * sizeof *many);
        assert_int_equal(mn_adapted_predict(adapted, MANY, many, answers, NULL, &err), MN_OK);
        for (size_t q = 0; q < MANY; q++) {
            assert_int_equal(mn_adapted_predict(adapted, 1, many + q * PIXELS, one, NULL, &err),
                             MN_OK);
            for (size_t k = 0; k < 3; k++)
                assert_true(fabsf(one[k] - answers[3 * q + k]) < 1e-5f);
        }
        free(many);
        mn_adapted_destroy(&adapted);
        bed_destroy(bed);
    }
}

/* Sequences: three examples of classes 1, 0 and 0 are shown as 0, 1, 0, each label told with the next
 * item; what is to be judged comes fourth. The same sequences by hand, through the learner. */
static void examples_of_a_sequence_learner_are_shown_before_what_is_judged(void **state)
{
    (void)state;
    struct bed *bed =
        bed_new("tasks: {kind: sequences, way: 2, length: 6, bundle: 4, image_size: 8}\n"
                "model: {input: identity, memory: lrua, slots: 10, slot_size: 6, read_heads: 2, "
                "reasoning: lstm, units: 12}\nmeta: {kind: episodic}\n");
    enum { SIZE = 64, N = 3, ASKED = 2 };
    mn_error err = {.message = ""};
    float x[(N + ASKED) * SIZE], answers[ASKED * 2], outputs[ASKED * 2], all[(N + 1) * ASKED * 2];
    const uint32_t labels[N] = {1, 0, 0}, order[N] = {1, 0, 2}, told[N] = {0, 1, 0};
    memcpy(x, mn_task_find(bed->task, MN_QUERY, "x"), sizeof x);
    const mn_examples examples = {.n = N, .x = x, .n_classes = 2, .labels = labels};
    mn_adapted *adapted = NULL, *again = NULL;
    assert_true(mn_model_is_sequence(bed->model) && !mn_model_is_few_shot(bed->model));
    if (mn_adapted_new(bed->model, &examples, 0, NULL, &adapted, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(
        mn_adapted_predict(adapted, ASKED, x + (size_t)N * SIZE, answers, outputs, &err), MN_OK);

    mn_task *task = NULL;
    mn_learner *learner = NULL;
    mn_workspace *workspace = NULL;
    assert_int_equal(mn_model_task(bed->model, 0, N, ASKED, &task, &err), MN_OK);
    float *shown = mn_task_find(task, MN_QUERY, "x");
    float *before = mn_task_find(task, MN_QUERY, "label_before");
    for (size_t b = 0; b < ASKED; b++) {
        for (size_t t = 0; t < N; t++) {
            memcpy(shown + (t * ASKED + b) * SIZE, x + order[t] * SIZE, SIZE * sizeof *x);
            before[((t + 1) * ASKED + b) * 2 + told[t]] = 1;
        }
        memcpy(shown + (N * ASKED + b) * SIZE, x + (N + b) * SIZE, SIZE * sizeof *x);
    }
    assert_int_equal(mn_learner_new(&bed->experiment, &task->fields, &task->fields, &learner, &err),
                     MN_OK);
    assert_int_equal(mn_workspace_new(learner, &workspace, &err), MN_OK);
    mn_explanation explanation = {.query_output = all};
    mn_learner_explain(workspace, bed->theta, task, false, &explanation);
    assert_memory_equal(outputs, all + (size_t)N * ASKED * 2, sizeof outputs);
    assert_true(outputs[0] != outputs[2]);

    char path[] = "/tmp/adapted_test_XXXXXX";
    float later[ASKED * 2];
    assert_true(mkstemp(path) >= 0);
    assert_int_equal(mn_adapted_write(adapted, path, 0, NULL, &err), MN_OK);
    if (mn_adapted_read(path, &again, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(mn_adapted_predict(again, ASKED, x + (size_t)N * SIZE, later, NULL, &err),
                     MN_OK);
    assert_memory_equal(later, answers, sizeof later);
    (void)unlink(path);
    mn_adapted_destroy(&adapted);
    mn_adapted_destroy(&again);
    mn_workspace_destroy(&workspace);
    mn_learner_destroy(&learner);
    mn_task_destroy(&task);
    bed_destroy(bed);
}

static void sequences_with_labels_of_letters_take_no_examples(void **state)
{
    (void)state;
    struct bed *bed = bed_new("tasks: {kind: sequences, way: 2, length: 6, bundle: 4, image_size: "
                              "8, labels: letters}\nmodel: {input: identity, memory: lrua, "
                              "reasoning: lstm, units: 12}\nmeta: {kind: episodic}\n");
    mn_error err = {.message = ""};
    const float x[128] = {0};
    const uint32_t labels[2] = {0, 1};
    const mn_examples examples = {.n = 2, .x = x, .n_classes = 2, .labels = labels};
    mn_adapted *adapted = NULL;
    assert_false(mn_model_takes_examples(bed->model));
    assert_int_equal(mn_adapted_new(bed->model, &examples, 0, NULL, &adapted, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "strings of letters"));
    bed_destroy(bed);
}

/* What is refused ------------------------------------------------------------------- */

static void refuse(const struct bed *bed, const mn_examples *examples, uint32_t steps,
                   mn_status status, const char *why)
{
    mn_error err = {.message = ""};
    mn_adapted *adapted = NULL;
    assert_int_equal(mn_adapted_new(bed->model, examples, steps, NULL, &adapted, &err), status);
    assert_null(adapted);
    if (strstr(err.message, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, why);
}

static void examples_that_are_none_are_refused(void **state)
{
    (void)state;
    struct bed *bed = bed_new(episodes[0]), *points = bed_new(loops[10]);
    uint32_t labels[64];
    const char *const names[] = {"a", "b", "c", "d"}, *const odd[] = {"a", "line\nend", "c"};
    const mn_examples sound = examples_of(bed, labels);
    mn_examples examples = sound;
    examples.n = 0;
    refuse(bed, &examples, 0, MN_ERR_DATA, "no examples");
    examples = sound;
    examples.n_classes = 1;
    refuse(bed, &examples, 0, MN_ERR_DATA, "1 class: expected two or more");
    examples = sound;
    examples.n_classes = 4;
    examples.names = names;
    refuse(bed, &examples, 0, MN_ERR_DATA, "class 3, d has no example");
    examples = sound;
    examples.names = odd;
    refuse(bed, &examples, 0, MN_ERR_DATA, "cannot be written down");
    labels[1] = 3;
    refuse(bed, &sound, 0, MN_ERR_DATA, "label 3 of example 1: expected 0 to 2");
    labels[1] = 0;
    refuse(bed, &sound, 4, MN_ERR_CONFIG, "takes none");
    bed->task->at[MN_SUPPORT_X][PIXELS + 5] = NAN;
    refuse(bed, &sound, 0, MN_ERR_DATA, "x of item 1 has number 5 that is not finite");
    examples = examples_of(points, labels);
    examples.n_classes = 2;
    refuse(points, &examples, 0, MN_ERR_CONFIG, "learned to tell values");
    examples = examples_of(points, labels);
    refuse(points, &examples, MN_MOST_STEPS + 1, MN_ERR_CONFIG, "at most 100000");
    points->task->at[MN_SUPPORT_Y][2] = INFINITY;
    refuse(points, &examples, 0, MN_ERR_DATA, "y of item 2");
    bed_destroy(bed);
    bed_destroy(points);
}

static void steps_that_run_away_are_told(void **state)
{
    (void)state;
    struct bed *bed = bed_new(POINTS "meta: {kind: maml, inner_steps: 30, inner_lr: 100}\n");
    const mn_examples examples = examples_of(bed, NULL);
    refuse(bed, &examples, MN_STEPS_AS_TRAINED, MN_ERR_NUMERIC, "take fewer steps");
    bed_destroy(bed);
}

static void a_learner_without_support_sets_is_refused(void **state)
{
    (void)state;
    struct bed *bed = bed_new("tasks: {kind: generated-stories, sentences: 6, bundle: 5}\n"
                              "model: {embedding: 4}\nmeta: {kind: episodic}\n");
    mn_error err = {.message = ""};
    mn_adapted *adapted = NULL;
    assert_int_equal(mn_adapted_new_of_task(bed->model, bed->task, 0, NULL, &adapted, &err),
                     MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "takes no support set"));
    bed_destroy(bed);
}

/* Files ----------------------------------------------------------------------------- */

static char *slurp(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(1 << 20);
    assert_true(file != NULL && bytes != NULL);
    *n = fread(bytes, 1, 1 << 20, file);
    (void)fclose(file);
    return bytes;
}

static void spill(const char *path, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void write_run(const struct bed *bed, const char *path, const char *prefix, float sign)
{
    char *experiment = NULL;
    mn_error err = {.message = ""};
    const size_t n = mn_learner_tensors(bed->learner);
    mn_tensor *tensors = calloc(n, sizeof *tensors);
    float *theta = calloc(bed->n_theta, sizeof *theta);
    assert_true(tensors != NULL && theta != NULL);
    const float *at = theta;
    for (size_t i = 0; i < bed->n_theta; i++)
        theta[i] = sign * bed->outside[i];
    for (size_t i = 0; i < n; i++) {
        tensors[i] = *mn_learner_tensor(bed->learner, i);
        char name[sizeof tensors[i].name];
        (void)snprintf(name, sizeof name, "%s%s", prefix, mn_learner_tensor(bed->learner, i)->name);
        memcpy(tensors[i].name, name, sizeof name);
        tensors[i].data = at;
        at += mn_tensor_count(&tensors[i]);
    }
    assert_int_equal(mn_experiment_print(&bed->experiment, false, &experiment, &err), MN_OK);
    const mn_text_pair pairs[] = {{"experiment", experiment}, {"step", "12"}};
    assert_int_equal(mn_tensor_file_write(path, n, tensors, 2, pairs, &err), MN_OK);
    free(experiment);
    free(tensors);
    free(theta);
}

static void a_checkpoint_is_read_without_data(void **state)
{
    (void)state;
    const char *const runs[] = {
        loops[0], loops[5], loops[7], loops[10], episodes[0], episodes[4],
    };
    char path[] = "/tmp/adapted_test_XXXXXX";
    mn_error err = {.message = ""};
    assert_true(mkstemp(path) >= 0);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        struct bed *bed = bed_new(runs[i]);
        mn_model *model = NULL;
        float *ours = calloc(bed->n_theta, sizeof *ours);
        write_run(bed, path, "", 1);
        if (mn_model_read(path, 0, NULL, &model, &err) != MN_OK)
            fail_msg("%s: %s", runs[i], err.message);
        assert_int_equal(mn_model_step(model), 12);
        mn_model *before = bed->model;
        bed->model = model;
        mn_adapted *adapted = adapt(bed, NULL);
        mn_adapted_theta(adapted, ours);
        mn_adapted_destroy(&adapted);
        bed->model = before;
        adapted = adapt(bed, NULL);
        mn_adapted_theta(adapted, bed->outside);
        assert_memory_equal(ours, bed->outside, bed->n_theta * sizeof *ours);
        mn_adapted_destroy(&adapted);
        mn_model_destroy(&model);
        free(ours);
        bed_destroy(bed);
    }
    (void)unlink(path);
}

static void pictures_of_a_packed_file_are_found_to_be_grey_or_coloured(void **state)
{
    (void)state;
    struct bed *bed = bed_new(loops[0]);
    char path[] = "/tmp/adapted_test_XXXXXX";
    mn_error err = {.message = ""};
    assert_true(mkstemp(path) >= 0);
    for (uint32_t channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
        const uint32_t x[3] = {12, 12, channels};
        uint32_t item[3] = {0};
        mn_fields fields;
        mn_model *model = NULL;
        mn_experiment experiment = bed->experiment;
        experiment.tasks.kind = MN_TASKS_IMAGES;
        (void)strcpy(experiment.tasks.data, "elsewhere.mnd");
        assert_int_equal(mn_fields_few_shot(&fields, 6, 9, x, MN_TARGET_CLASSES, 3, &err), MN_OK);
        struct bed other = {.experiment = experiment};
        assert_int_equal(mn_learner_new(&experiment, &fields, &fields, &other.learner, &err),
                         MN_OK);
        other.n_theta = mn_learner_size(other.learner);
        other.outside = calloc(other.n_theta, sizeof(float));
        write_run(&other, path, "", 1);
        const mn_status status = mn_model_read(path, 0, NULL, &model, &err);
        assert_int_equal(status, channels < 4 ? MN_OK : MN_ERR_DATA);
        if (status == MN_OK) {
            mn_model_item(model, item);
            assert_int_equal(item[0], 12);
            assert_int_equal(item[2], channels);
        }
        mn_model_destroy(&model);
        mn_learner_destroy(&other.learner);
        free(other.outside);
    }
    (void)unlink(path);
    bed_destroy(bed);
}

static void overrides_change_the_loop_but_not_the_network(void **state)
{
    (void)state;
    struct bed *bed = bed_new(loops[0]);
    char path[] = "/tmp/adapted_test_XXXXXX";
    mn_error err = {.message = ""};
    mn_model *model = NULL;
    assert_true(mkstemp(path) >= 0);
    write_run(bed, path, "", 1);
    const char *const good[] = {"meta.inner_steps=9"}, *const bad[] = {"model.filters=7"};
    assert_int_equal(mn_model_read(path, 1, good, &model, &err), MN_OK);
    assert_int_equal(mn_model_steps(model), 9);
    mn_model_destroy(&model);
    assert_int_equal(mn_model_read(path, 1, bad, &model, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "model.filters was 6 in training"));
    (void)unlink(path);
    bed_destroy(bed);
}

static void no_prefix_of_a_file_and_no_other_file_is_taken_for_an_adapted_one(void **state)
{
    (void)state;
    struct bed *bed = bed_new(loops[7]);
    mn_adapted *adapted = adapt(bed, NULL), *again = NULL;
    mn_model *model = NULL;
    char path[] = "/tmp/adapted_test_XXXXXX";
    mn_error err = {.message = ""};
    size_t n = 0;
    assert_true(mkstemp(path) >= 0);
    assert_int_equal(mn_adapted_write(adapted, path, 0, NULL, &err), MN_OK);
    assert_int_equal(mn_model_read(path, 0, NULL, &model, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "mnemo predict"));
    char *bytes = slurp(path, &n);
    for (size_t cut = 0; cut < n; cut += 1 + n / 60) {
        spill(path, bytes, cut);
        assert_int_equal(mn_adapted_read(path, &again, &err), MN_ERR_DATA);
    }
    for (size_t at = 9; at < n; at += 1 + n / 60) {
        bytes[at] ^= 4;
        spill(path, bytes, n);
        assert_int_equal(mn_adapted_read(path, &again, &err), MN_ERR_DATA);
        bytes[at] ^= 4;
    }
    write_run(bed, path, "", 1);
    assert_int_equal(mn_adapted_read(path, &again, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "is no adapted model"));
    (void)unlink(path);
    assert_int_equal(mn_adapted_read(path, &again, &err), MN_ERR_NO_INPUT);
    assert_null(again);
    free(bytes);
    mn_adapted_destroy(&adapted);
    bed_destroy(bed);
}

/* Whole files, with metadata of one and tensors of another: each key of each learner in the place of
 * another's. Nothing may crash, and what is taken must predict. */
static void metadata_that_do_not_belong_together_are_refused(void **state)
{
    (void)state;
    static const char *const keys[] = {"experiment", "fields",      "way",
                                       "examples",   "inner_steps", "classes"};
    enum { N_KEYS = sizeof keys / sizeof *keys };
    const char *const some[] = {loops[0], loops[7], loops[10], loops[12], episodes[2], episodes[4]};
    enum { N_SOME = sizeof some / sizeof *some };
    char path[] = "/tmp/adapted_test_XXXXXX";
    mn_error err = {.message = ""};
    mn_tensor_file *files[N_SOME] = {NULL};
    uint32_t refused = 0, n = 0;
    assert_true(mkstemp(path) >= 0);
    for (size_t i = 0; i < N_SOME; i++) {
        struct bed *bed = bed_new(some[i]);
        mn_adapted *adapted = adapt(bed, NULL);
        assert_int_equal(mn_adapted_write(adapted, path, 0, NULL, &err), MN_OK);
        assert_int_equal(mn_tensor_file_read(path, &files[i], &err), MN_OK);
        mn_adapted_destroy(&adapted);
        bed_destroy(bed);
    }
    for (size_t i = 0; i < N_SOME; i++)
        for (size_t j = 0; j < N_SOME; j++)
            for (size_t k = 0; k < N_KEYS; k++) {
                mn_text_pair pairs[N_KEYS + 1] = {{"adapted", "1"}};
                size_t n_pairs = 1;
                mn_tensor tensors[64];
                mn_adapted *again = NULL;
                for (size_t key = 0; key < N_KEYS; key++) {
                    const char *value = mn_tensor_file_metadata(files[key == k ? j : i], keys[key]);
                    if (value != NULL)
                        pairs[n_pairs++] = (mn_text_pair){keys[key], value};
                }
                const size_t n_tensors = mn_tensor_file_count(files[i]);
                assert_true(n_tensors <= 64);
                for (size_t t = 0; t < n_tensors; t++)
                    tensors[t] = *mn_tensor_file_at(files[i], t);
                assert_int_equal(
                    mn_tensor_file_write(path, n_tensors, tensors, n_pairs, pairs, &err), MN_OK);
                const mn_status status = mn_adapted_read(path, &again, &err);
                n++;
                refused += status != MN_OK;
                assert_true(i != j || status == MN_OK);
                mn_adapted_destroy(&again);
            }
    if (3 * refused <= n)
        fail_msg("%u of %u refused", refused, n);
    for (size_t i = 0; i < N_SOME; i++)
        mn_tensor_file_destroy(&files[i]);
    (void)unlink(path);
}

/* Fields are lines of a text: each line left out, each number of it changed. */
static void fields_of_no_task_are_refused(void **state)
{
    (void)state;
    const char *const some[] = {
        loops[12],
        "tasks: {kind: sequences, way: 2, length: 6, bundle: 4, image_size: 8}\n"
        "model: {input: identity, memory: lrua, slots: 10, slot_size: 6, reasoning: lstm, "
        "units: 12}\nmeta: {kind: episodic}\n"};
    char path[] = "/tmp/adapted_test_XXXXXX";
    assert_true(mkstemp(path) >= 0);
    for (size_t k = 0; k < 2; k++) {
        static const char *const keys[] = {"experiment",  "way",     "examples",
                                           "inner_steps", "classes", "fields"};
        mn_text_pair pairs[8] = {{"adapted", "1"}};
        mn_error err = {.message = ""};
        struct bed *bed = bed_new(some[k]);
        mn_adapted *adapted = NULL;
        mn_tensor_file *file = NULL;
        mn_tensor tensors[64];
        size_t n_pairs = 1;
        if (k == 0) {
            adapted = adapt(bed, NULL);
        } else {
            const float x[128] = {0};
            const uint32_t labels[2] = {0, 1};
            const mn_examples examples = {.n = 2, .x = x, .n_classes = 2, .labels = labels};
            assert_int_equal(mn_adapted_new(bed->model, &examples, 0, NULL, &adapted, &err), MN_OK);
        }
        assert_int_equal(mn_adapted_write(adapted, path, 0, NULL, &err), MN_OK);
        assert_int_equal(mn_tensor_file_read(path, &file, &err), MN_OK);
        mn_adapted_destroy(&adapted);
        for (size_t key = 0; key < sizeof keys / sizeof *keys; key++)
            if (mn_tensor_file_metadata(file, keys[key]) != NULL)
                pairs[n_pairs++] =
                    (mn_text_pair){keys[key], mn_tensor_file_metadata(file, keys[key])};
        const size_t n_tensors = mn_tensor_file_count(file);
        for (size_t t = 0; t < n_tensors; t++)
            tensors[t] = *mn_tensor_file_at(file, t);
        const char *whole = mn_tensor_file_metadata(file, "fields");
        char *text = strdup(whole);
        pairs[n_pairs - 1].value = text;
        for (size_t i = 0; i < strlen(whole); i++) {
            if (whole[i] < '0' || whole[i] > '9')
                continue;
            text[i] = whole[i] == '9' ? '3' : (char)(whole[i] + 1);
            assert_int_equal(mn_tensor_file_write(path, n_tensors, tensors, n_pairs, pairs, &err),
                             MN_OK);
            const mn_status status = mn_adapted_read(path, &adapted, &err);
            /* Only how many items a training task had may be another number, the same throughout. */
            if (status == MN_OK)
                fail_msg("taken: %s", text);
            text[i] = whole[i];
        }
        free(text);
        mn_tensor_file_destroy(&file);
        bed_destroy(bed);
    }
    (void)unlink(path);
}

/* Holding out ----------------------------------------------------------------------- */

/* Leave one out by hand: adapt to the others, ask for the one. */
static void leaving_one_out_is_adapting_to_the_others(void **state)
{
    (void)state;
    struct bed *bed = bed_new(loops[10]);
    mn_error err = {.message = ""};
    const mn_examples all = examples_of(bed, NULL);
    enum { STEPS = 3, N = 6 };
    double losses[STEPS + 1], by_hand[STEPS + 1] = {0};
    mn_hold_out hold_out = {.most_steps = STEPS, .losses = losses};
    assert_int_equal(mn_hold_out_steps(bed->model, &all, &hold_out, &err), MN_OK);
    assert_int_equal(hold_out.n_held, N);
    for (uint32_t k = 0; k <= STEPS; k++)
        for (uint32_t out = 0; out < N; out++) {
            float x[N], y[N], answer = 0;
            for (uint32_t i = 0, n = 0; i < N; i++)
                if (i != out) {
                    x[n] = all.x[i];
                    y[n++] = all.y[i];
                }
            const mn_examples others = {.n = N - 1, .x = x, .y = y};
            mn_adapted *adapted = NULL;
            assert_int_equal(mn_adapted_new(bed->model, &others, k, NULL, &adapted, &err), MN_OK);
            assert_int_equal(mn_adapted_predict(adapted, 1, all.x + out, &answer, NULL, &err),
                             MN_OK);
            by_hand[k] += pow((double)answer - (double)all.y[out], 2) / N;
            mn_adapted_destroy(&adapted);
        }
    uint32_t best = 0;
    for (uint32_t k = 0; k <= STEPS; k++) {
        assert_true(fabs(by_hand[k] - losses[k]) <= 1e-6 * by_hand[k]);
        best = losses[k] < losses[best] ? k : best;
    }
    assert_int_equal(hold_out.best, best);
    bed_destroy(bed);
}

static void a_share_holds_out_the_last_of_each_class(void **state)
{
    (void)state;
    struct bed *bed = bed_new(loops[7]); /* judged together: with company */
    mn_error err = {.message = ""};
    float *x = stripes();
    double losses[3], rights[3];
    const mn_examples examples = {.n = N_UNEVEN, .x = x, .n_classes = 5, .labels = uneven};
    mn_hold_out hold_out = {.share = 0.5, .most_steps = 2, .losses = losses, .rights = rights};
    assert_int_equal(mn_hold_out_steps(bed->model, &examples, &hold_out, &err), MN_OK);
    assert_int_equal(hold_out.n_held, 0 + 1 + 2 + 0 + 2); /* of 1, 2, 3, 1 and 4 */
    assert_true(rights[0] >= 0 && rights[0] <= 1);
    hold_out.share = 0;
    assert_int_equal(mn_hold_out_steps(bed->model, &examples, &hold_out, &err), MN_OK);
    assert_int_equal(hold_out.n_held, 9);
    hold_out.share = 1;
    assert_int_equal(mn_hold_out_steps(bed->model, &examples, &hold_out, &err), MN_ERR_CONFIG);
    free(x);
    bed_destroy(bed);
}

static void of_one_example_a_class_nothing_can_be_held_out(void **state)
{
    (void)state;
    struct bed *bed = bed_new(loops[0]), *episodic = bed_new(episodes[0]);
    mn_error err = {.message = ""};
    uint32_t labels[64] = {0};
    double losses[3];
    mn_examples examples = examples_of(bed, labels);
    float one[3 * PIXELS];
    for (uint32_t c = 0; c < 3; c++)
        memcpy(one + (size_t)c * PIXELS, examples.x + (size_t)2 * c * PIXELS, PIXELS * sizeof *one);
    const uint32_t each[] = {0, 1, 2};
    examples.n = 3;
    examples.x = one;
    examples.labels = each;
    for (int share = 0; share < 2; share++) {
        mn_hold_out hold_out = {.share = 0.5 * share, .most_steps = 2, .losses = losses};
        assert_int_equal(mn_hold_out_steps(bed->model, &examples, &hold_out, &err), MN_ERR_CONFIG);
        assert_non_null(strstr(err.message, "nothing can be held out"));
        assert_int_equal(mn_hold_out_steps(episodic->model, &examples, &hold_out, &err),
                         MN_ERR_CONFIG);
        assert_non_null(strstr(err.message, "takes no inner steps"));
    }
    bed_destroy(bed);
    bed_destroy(episodic);
}

/* Threads --------------------------------------------------------------------------- */

struct errand {
    const struct bed *bed;
    const mn_adapted *shared;
    float *theta, *outputs, *answers;
};

static void *run_errand(void *of)
{
    struct errand *errand = of;
    for (int i = 0; i < 5; i++) {
        mn_adapted *adapted = adapt(errand->bed, NULL);
        mn_adapted_theta(adapted, errand->theta);
        mn_adapted_destroy(&adapted);
        free(errand->answers);
        free(errand->outputs);
        errand->answers = predict(errand->bed, errand->shared, &errand->outputs);
    }
    return NULL;
}

static void threads_share_a_model_and_an_adapted_one(void **state)
{
    (void)state;
    struct bed *bed = bed_new(loops[0]);
    mn_adapted *adapted = adapt(bed, NULL);
    struct errand errands[3];
    pthread_t threads[3];
    const size_t bytes = n_query(bed) * mn_adapted_columns(adapted) * sizeof(float);
    for (int i = 0; i < 3; i++) {
        errands[i] = (struct errand){
            .bed = bed, .shared = adapted, .theta = calloc(bed->n_theta, sizeof(float))};
        assert_int_equal(pthread_create(&threads[i], NULL, run_errand, &errands[i]), 0);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(errands[i].theta, errands[0].theta, bed->n_theta * sizeof(float));
        assert_memory_equal(errands[i].answers, errands[0].answers, bytes);
    }
    for (int i = 0; i < 3; i++) {
        free(errands[i].theta);
        free(errands[i].outputs);
        free(errands[i].answers);
    }
    mn_adapted_destroy(&adapted);
    bed_destroy(bed);
}

/* Made-up tables have 2 to tasks.way classes, so a table of one's own may have fewer than the head has rows. */
static void a_table_may_have_fewer_classes_than_training(void **state)
{
    enum { N = 6, CLASSES = 3, FEATURES = 2 };
    struct bed *bed =
        bed_new("tasks: {kind: tables, way: 4, features: 2, shot: 8, query: 5}\n"
                "model: {input: identity, memory: transformer, layers: 1, token_size: 8, heads: 2, "
                "mlp_size: 8, reasoning: read, output: linear}\nmeta: {kind: episodic}\n");
    static const uint32_t labels[N] = {0, 1, 2, 0, 1, 2};
    static const char *const names[CLASSES] = {"oak", "elm", "ash"};
    const float x[N * FEATURES] = {0, 1, 2, 0.5f, -1, -2, 0.25f, 1, 2, 0, -1, 1};
    mn_examples examples = {.n = N, .x = x, .n_classes = CLASSES, .labels = labels, .names = names};
    mn_adapted *adapted = NULL, *again = NULL;
    float answers[N * CLASSES], outputs[N * CLASSES], second[N * CLASSES];
    char path[] = "/tmp/mnemo-adapted-table-XXXXXX";
    mn_error err = {.message = ""};
    (void)state;
    assert_int_equal(mn_adapted_new(bed->model, &examples, 0, NULL, &adapted, &err), MN_OK);
    assert_int_equal(mn_adapted_classes(adapted), CLASSES);
    assert_int_equal(mn_adapted_columns(adapted), CLASSES);
    assert_int_equal(mn_adapted_predict(adapted, N, x, answers, outputs, &err), MN_OK);
    for (uint32_t i = 0; i < N; i++) {
        double sum = 0, all = 0;
        for (uint32_t k = 0; k < CLASSES; k++)
            all += exp((double)outputs[i * CLASSES + k]);
        for (uint32_t k = 0; k < CLASSES; k++) {
            sum += (double)answers[i * CLASSES + k];
            assert_true(fabs(exp((double)outputs[i * CLASSES + k]) / all -
                             (double)answers[i * CLASSES + k]) < 1e-6);
        }
        assert_true(fabs(sum - 1) < 1e-6);
    }
    const int file = mkstemp(path);
    assert_true(file >= 0 && close(file) == 0);
    assert_int_equal(mn_adapted_write(adapted, path, 0, NULL, &err), MN_OK);
    if (mn_adapted_read(path, &again, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(mn_adapted_classes(again), CLASSES);
    assert_string_equal(mn_adapted_class_name(again, 2), "ash");
    assert_int_equal(mn_adapted_predict(again, N, x, second, NULL, &err), MN_OK);
    assert_memory_equal(second, answers, sizeof answers);
    mn_adapted_destroy(&again);
    mn_adapted_destroy(&adapted);

    static const uint32_t many[N] = {0, 1, 2, 3, 4, 0};
    examples = (mn_examples){.n = N, .x = x, .n_classes = 5, .labels = many};
    assert_int_equal(mn_adapted_new(bed->model, &examples, 0, NULL, &adapted, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "5 classes"));
    assert_int_equal(unlink(path), 0);
    bed_destroy(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_test_task_computes_is_computed_bit_by_bit),
        cmocka_unit_test(probabilities_are_the_softmax_of_the_outputs),
        cmocka_unit_test(a_file_predicts_the_same_bits_and_needs_nothing_else),
        cmocka_unit_test(examples_are_written_only_where_they_are_looked_at),
        cmocka_unit_test(heads_of_the_task_take_any_number_of_classes_with_unequal_examples),
        cmocka_unit_test(a_head_with_a_row_a_class_refuses_other_numbers_and_says_what_to_do),
        cmocka_unit_test(items_judged_alone_are_so_in_whatever_company),
        cmocka_unit_test(examples_of_a_sequence_learner_are_shown_before_what_is_judged),
        cmocka_unit_test(sequences_with_labels_of_letters_take_no_examples),
        cmocka_unit_test(examples_that_are_none_are_refused),
        cmocka_unit_test(steps_that_run_away_are_told),
        cmocka_unit_test(a_learner_without_support_sets_is_refused),
        cmocka_unit_test(a_checkpoint_is_read_without_data),
        cmocka_unit_test(pictures_of_a_packed_file_are_found_to_be_grey_or_coloured),
        cmocka_unit_test(overrides_change_the_loop_but_not_the_network),
        cmocka_unit_test(no_prefix_of_a_file_and_no_other_file_is_taken_for_an_adapted_one),
        cmocka_unit_test(metadata_that_do_not_belong_together_are_refused),
        cmocka_unit_test(fields_of_no_task_are_refused),
        cmocka_unit_test(leaving_one_out_is_adapting_to_the_others),
        cmocka_unit_test(a_share_holds_out_the_last_of_each_class),
        cmocka_unit_test(of_one_example_a_class_nothing_can_be_held_out),
        cmocka_unit_test(threads_share_a_model_and_an_adapted_one),
        cmocka_unit_test(a_table_may_have_fewer_classes_than_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
