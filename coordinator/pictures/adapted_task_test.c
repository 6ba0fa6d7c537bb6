#include "coordinator/pictures/adapted_task.h"

#include "common/tensor_file.h"
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[PATH_MAX];
static char path[PATH_MAX + 32];
static mn_experiment experiment;
static mn_adapted_task which;
static mn_task_set *tasks;
static mn_learner *learner;
static float *theta;

static int open_tasks(void);

static int open_experiment(mn_task_kind kind)
{
    mn_experiment_init(&experiment);
    experiment.tasks.kind = kind;
    experiment.tasks.way = 3;
    experiment.tasks.shot = 2;
    experiment.tasks.query = 4;
    experiment.tasks.image_size = 8;
    experiment.meta.inner_lr = 0.1;
    if (kind == MN_TASKS_GLYPHS) {
        experiment.model.input = MN_INPUT_CONV4;
        experiment.model.filters = 4;
        experiment.model.blocks = 2;
    }
    return open_tasks();
}

static int open_yaml(const char *yaml)
{
    mn_experiment_init(&experiment);
    return mn_experiment_parse(&experiment, "test", yaml, strlen(yaml), NULL) == MN_OK
               ? open_tasks()
               : -1;
}

static int open_tasks(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/adapted_task_test.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    if (mn_task_set_open(&experiment, NULL, &tasks, NULL) != MN_OK)
        return -1;
    if (mn_learner_new(&experiment, mn_task_set_fields(tasks, MN_TRAIN),
                       mn_task_set_fields(tasks, MN_TEST), &learner, NULL) != MN_OK)
        return -1;
    theta = calloc(mn_learner_size(learner), sizeof *theta);
    mn_learner_init_theta(learner, 5, theta);
    which = (mn_adapted_task){.experiment = &experiment,
                              .tasks = tasks,
                              .learner = learner,
                              .theta = theta,
                              .split = MN_TRAIN,
                              .index = 11};
    return 0;
}

static int set_up_glyphs(void **state)
{
    (void)state;
    return open_experiment(MN_TASKS_GLYPHS);
}

static int set_up_sinusoid(void **state)
{
    (void)state;
    return open_experiment(MN_TASKS_SINUSOID);
}

static int set_up_stories(void **state)
{
    (void)state;
    return open_yaml("tasks: {kind: generated-stories, bundle: 5, sentences: 6}\n"
                     "model: {embedding: 8, hops: 2}\n");
}

static int set_up_running(void **state)
{
    (void)state;
    return open_yaml("tasks: {kind: glyphs, way: 3, shot: 2, query: 4, image_size: 8}\n"
                     "model: {input: conv4, filters: 4, blocks: 2, memory: class-means, output: "
                     "distance, batch_norm_statistics: running}\n"
                     "meta: {kind: episodic}\n");
}

static int set_up_sequences(void **state)
{
    (void)state;
    return open_yaml("tasks: {kind: sequences, way: 3, length: 6, bundle: 2, image_size: 8}\n"
                     "model: {slots: 8, slot_size: 4, units: 8, read_heads: 1}\n");
}

static int tear_down(void **state)
{
    (void)state;
    char command[PATH_MAX + 16];
    free(theta);
    mn_learner_destroy(&learner);
    mn_task_set_destroy(&tasks);
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const mn_tensor *tensor(const mn_tensor_file *file, const char *name, mn_dtype dtype,
                               uint32_t rank)
{
    const mn_tensor *found = mn_tensor_file_find(file, name);
    assert_non_null(found);
    assert_int_equal(found->dtype, dtype);
    assert_int_equal(found->rank, rank);
    return found;
}

static void a_dump_has_images_channels_first_and_labels_as_numbers(void **state)
{
    (void)state;
    mn_tensor_file *file = NULL;
    mn_task *task = NULL;
    assert_int_equal(mn_adapted_task_dump(&which, in_folder("t.safetensors"), NULL), MN_OK);
    assert_int_equal(mn_tensor_file_read(path, &file, NULL), MN_OK);
    const mn_tensor *x = tensor(file, "support.x", MN_F32, 4);
    assert_int_equal(x->shape[0], 6);
    assert_int_equal(x->shape[1], 1);
    assert_int_equal(x->shape[2], 8);
    const mn_tensor *y = tensor(file, "query.y", MN_I64, 1);
    assert_int_equal(y->shape[0], 12);
    assert_int_equal(mn_task_new(mn_task_set_fields(tasks, MN_TRAIN), &task, NULL), MN_OK);
    mn_task_set_draw(tasks, MN_TRAIN, 11, task);
    assert_memory_equal(x->data, task->at[MN_SUPPORT_X], 6 * 64 * sizeof(float)); /* one channel */
    for (uint32_t i = 0; i < 12; i++)
        assert_true(task->at[MN_QUERY_Y][i * 3 + (uint32_t)((const int64_t *)y->data)[i]] == 1);
    mn_task_destroy(&task);

    const mn_tensor *weight = tensor(file, "meta_gradient.conv1.weight", MN_F32, 4);
    assert_int_equal(weight->shape[0], 4);
    assert_non_null(mn_tensor_file_find(file, "theta.head.bias"));
    assert_non_null(mn_tensor_file_find(file, "adapted.head.bias"));
    /* The loss told is the cross-entropy of the logits told. */
    const float *z = tensor(file, "query_logits", MN_F32, 2)->data;
    double loss = 0;
    for (uint32_t i = 0; i < 12; i++) {
        const float *row = z + (size_t)i * 3;
        double sum = exp((double)row[0]) + exp((double)row[1]) + exp((double)row[2]);
        loss += (log(sum) - (double)row[((const int64_t *)y->data)[i]]) / 12;
    }
    assert_true(fabs(loss - *(const double *)tensor(file, "query_loss", MN_F64, 0)->data) < 1e-5);
    mn_tensor_file_destroy(&file);
}

static void a_dump_of_stories_has_words_in_the_order_of_its_shape(void **state)
{
    (void)state;
    mn_tensor_file *file = NULL;
    mn_task *task = NULL;
    assert_int_equal(mn_adapted_task_dump(&which, in_folder("t.safetensors"), NULL), MN_OK);
    assert_int_equal(mn_tensor_file_read(path, &file, NULL), MN_OK);
    const mn_tensor *story = tensor(file, "query.story", MN_I64, 4);
    const uint64_t words = story->shape[1], sentences = story->shape[2];
    assert_int_equal(story->shape[0], 5);
    assert_int_equal(sentences, 6);
    assert_int_equal(mn_task_new(mn_task_set_fields(tasks, MN_TRAIN), &task, NULL), MN_OK);
    mn_task_set_draw(tasks, MN_TRAIN, 11, task);
    const float *drawn = mn_task_find(task, MN_QUERY, "story");
    for (uint64_t i = 0; i < 5; i++)
        for (uint64_t s = 0; s < sentences; s++)
            for (uint64_t w = 0; w < words; w++)
                assert_int_equal(((const int64_t *)story->data)[(i * words + w) * sentences + s],
                                 (int64_t)drawn[(i * sentences + s) * words + w]);
    mn_task_destroy(&task);
    mn_tensor_file_destroy(&file);
}

static double loss_in_dump(mn_split split)
{
    mn_tensor_file *file = NULL;
    which.split = split;
    assert_int_equal(mn_adapted_task_dump(&which, in_folder("t.safetensors"), NULL), MN_OK);
    assert_int_equal(mn_tensor_file_read(path, &file, NULL), MN_OK);
    assert_non_null(mn_tensor_file_find(file, "meta_gradient.bn1.weight"));
    const double loss = *(const double *)tensor(file, "query_loss", MN_F64, 0)->data;
    mn_tensor_file_destroy(&file);
    return loss;
}

static void a_test_task_is_judged_by_the_statistics_of_tests(void **state)
{
    (void)state;
    mn_workspace *workspace = NULL;
    mn_task *task = NULL;
    mn_explanation test = {0}, training = {0};
    const double told = loss_in_dump(MN_TEST);
    assert_int_equal(mn_workspace_new(learner, &workspace, NULL), MN_OK);
    assert_int_equal(mn_task_new(mn_task_set_fields(tasks, MN_TEST), &task, NULL), MN_OK);
    mn_task_set_draw(tasks, MN_TEST, 11, task);
    mn_learner_explain(workspace, theta, task, false, &test);
    mn_learner_explain(workspace, theta, task, true, &training);
    assert_true(told == test.query_loss);
    assert_true(told != training.query_loss); /* the statistics of the batch at hand */

    mn_task_set_draw(tasks, MN_TRAIN, 11, task);
    mn_learner_explain(workspace, theta, task, true, &training);
    assert_true(loss_in_dump(MN_TRAIN) == training.query_loss);
    mn_task_destroy(&task);
    mn_workspace_destroy(&workspace);
}

static void a_dump_of_values_has_vectors(void **state)
{
    (void)state;
    mn_tensor_file *file = NULL;
    assert_int_equal(mn_adapted_task_dump(&which, in_folder("t.safetensors"), NULL), MN_OK);
    assert_int_equal(mn_tensor_file_read(path, &file, NULL), MN_OK);
    assert_int_equal(tensor(file, "support.x", MN_F32, 2)->shape[0], 2);
    assert_int_equal(tensor(file, "query.y", MN_F32, 2)->shape[1], 1);
    assert_non_null(mn_tensor_file_find(file, "query_output"));
    assert_null(mn_tensor_file_find(file, "query_logits"));
    assert_string_equal(mn_tensor_file_metadata(file, "split"), "train");
    assert_string_equal(mn_tensor_file_metadata(file, "index"), "11");
    mn_tensor_file_destroy(&file);
}

static void the_curve_drawn_is_the_task_and_the_learners_answers(void **state)
{
    (void)state;
    which.split = MN_TEST;
    mn_error err = {0};
    mn_status status = mn_adapted_task_draw(&which, in_folder("sine.png"), &err);
    assert_true(status == MN_OK || status == MN_ERR_UNAVAILABLE); /* without gnuplot */
    mn_task *task = NULL;
    assert_int_equal(mn_task_new(mn_task_set_fields(tasks, MN_TEST), &task, NULL), MN_OK);
    mn_task_set_draw(tasks, MN_TEST, 11, task);
    FILE *data = fopen(in_folder("sine.dat"), "r");
    char line[256];
    assert_non_null(data);
    bool moved = false;
    uint32_t n_support = 0;
    double x = 0;
    double truth = 0;
    double after = 0;
    double before = 0;
    while (fgets(line, sizeof line, data) != NULL) {
        int n = sscanf(line, "%lf %lf %lf %lf", &x, &truth, &after, &before);
        if (n == 4)
            moved = moved || fabs(after - before) > 1e-3;
        if (n != 2)
            continue;
        assert_true(fabs(x - (double)task->at[MN_SUPPORT_X][n_support]) < 1e-6);
        assert_true(fabs(truth - (double)task->at[MN_SUPPORT_Y][n_support]) < 1e-6);
        n_support++;
    }
    assert_int_equal(n_support, task->fields.at[MN_SUPPORT_X].n);
    assert_true(moved);
    (void)fclose(data);
    mn_task_destroy(&task);
}

static void a_picture_of_a_curve_must_be_named_as_one(void **state)
{
    (void)state;
    mn_error err;
    assert_int_equal(mn_adapted_task_draw(&which, in_folder("curve.jpg"), &err), MN_ERR_USAGE);
    assert_non_null(strstr(err.message, ".png"));
}

static void a_task_is_told_in_words(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_int_equal(mn_adapted_task_print(&which, out, NULL), MN_OK);
    (void)fclose(out);
    assert_non_null(strstr(text, "train task 11 of experiment"));
    assert_non_null(strstr(text, "query 11: predicted "));
    assert_non_null(strstr(text, " of 12 right\nbatch norm by the statistics of the batch at hand "
                                 "(transductive)\n"));
    free(text);
}

static char *told(void)
{
    static char *text; /* for GCC, which cannot see that open_memstream() sets it */
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    assert_int_equal(mn_adapted_task_print(&which, out, NULL), MN_OK);
    (void)fclose(out);
    return text;
}

static void a_trained_network_tells_what_its_answers_about_stories_went_by(void **state)
{
    (void)state;
    char *text = told();
    assert_null(strstr(text, "hop 1")); /* at step 0 it is of no interest */
    assert_non_null(strstr(text, " of 5 right"));
    free(text);
    which.trained = true;
    text = told();
    assert_non_null(strstr(text, "question 2, of "));
    assert_null(strstr(text, "question 3, of ")); /* three are told in full */
    assert_non_null(strstr(text, "hop 1      hop 2      (attention)"));
    uint32_t right = 0, wrong = 0;
    const char *at = text;
    while ((at = strstr(at, "\n  right\n")) != NULL)
        right += at++ != NULL;
    at = text;
    while ((at = strstr(at, "wrong")) != NULL)
        wrong += at++ != NULL;
    char summary[32];
    (void)snprintf(summary, sizeof summary, "%u of 5 right", 5 - wrong);
    assert_true(right + wrong >= 3 && right + wrong <= 5);
    assert_non_null(strstr(text, summary));
    free(text);
}

static void answers_to_sequences_are_told_by_showing(void **state)
{
    (void)state;
    char *text = told();
    assert_non_null(strstr(text, "answers to the first sequence at each showing"));
    assert_non_null(strstr(text, " of 12 right"));
    free(text);
}

static void stories_and_sequences_have_pictures(void **state)
{
    (void)state;
    char head[9] = "";
    assert_int_equal(mn_adapted_task_draw(&which, in_folder("task.png"), NULL), MN_OK);
    FILE *file = fopen(in_folder("task.png"), "rb");
    assert_non_null(file);
    assert_int_equal(fread(head, 1, 8, file), 8);
    assert_memory_equal(head, "\x89PNG\r\n\x1a\n", 8);
    (void)fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_dump_has_images_channels_first_and_labels_as_numbers,
                                        set_up_glyphs, tear_down),
        cmocka_unit_test_setup_teardown(a_dump_of_stories_has_words_in_the_order_of_its_shape,
                                        set_up_stories, tear_down),
        cmocka_unit_test_setup_teardown(a_test_task_is_judged_by_the_statistics_of_tests,
                                        set_up_running, tear_down),
        cmocka_unit_test_setup_teardown(a_dump_of_values_has_vectors, set_up_sinusoid, tear_down),
        cmocka_unit_test_setup_teardown(the_curve_drawn_is_the_task_and_the_learners_answers,
                                        set_up_sinusoid, tear_down),
        cmocka_unit_test_setup_teardown(a_picture_of_a_curve_must_be_named_as_one, set_up_sinusoid,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_task_is_told_in_words, set_up_glyphs, tear_down),
        cmocka_unit_test_setup_teardown(
            a_trained_network_tells_what_its_answers_about_stories_went_by, set_up_stories,
            tear_down),
        cmocka_unit_test_setup_teardown(answers_to_sequences_are_told_by_showing, set_up_sequences,
                                        tear_down),
        cmocka_unit_test_setup_teardown(stories_and_sequences_have_pictures, set_up_stories,
                                        tear_down),
        cmocka_unit_test_setup_teardown(stories_and_sequences_have_pictures, set_up_sequences,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
