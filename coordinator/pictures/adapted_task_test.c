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

static int open_experiment(mn_task_kind kind)
{
    (void)snprintf(folder, sizeof folder, "/tmp/adapted_task_test.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
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
    assert_non_null(strstr(text, " of 12 right"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_dump_has_images_channels_first_and_labels_as_numbers,
                                        set_up_glyphs, tear_down),
        cmocka_unit_test_setup_teardown(a_dump_of_values_has_vectors, set_up_sinusoid, tear_down),
        cmocka_unit_test_setup_teardown(the_curve_drawn_is_the_task_and_the_learners_answers,
                                        set_up_sinusoid, tear_down),
        cmocka_unit_test_setup_teardown(a_picture_of_a_curve_must_be_named_as_one, set_up_sinusoid,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_task_is_told_in_words, set_up_glyphs, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
