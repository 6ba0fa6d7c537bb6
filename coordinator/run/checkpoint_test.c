#include "coordinator/run/checkpoint.h"

#include "common/file.h"
#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { N = 8 };

static const mn_tensor tensors[2] = {
    {.name = "fc1.weight", .dtype = MN_F32, .rank = 2, .shape = {3, 2}},
    {.name = "fc1.bias", .dtype = MN_F32, .rank = 1, .shape = {2}},
};
static const mn_theta_layout layout = {.n_tensors = 2, .tensors = tensors, .n = N};

static char folder[PATH_MAX];
static mn_experiment experiment;
static mn_checkpoint written; /* with all vectors, of step 0 */

static float *numbers(float first)
{
    float *x = malloc(N * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < N; i++)
        x[i] = first + (float)i / 3;
    return x;
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/checkpoint_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    mn_experiment_init(&experiment);
    experiment.seed = 7;
    written = (mn_checkpoint){.optimiser_taken = 29,
                              .skipped_steps = 4,
                              .seed = 7,
                              .data.bytes = {1, 2, 0xab},
                              .numeric_class.bytes = {[31] = 0xff},
                              .mixed = true,
                              .best_step = 20,
                              .validated_step = 30,
                              .stale_validations = 2,
                              .best_score = 0.1,
                              .n = N,
                              .theta = numbers(1),
                              .m = numbers(2),
                              .v = numbers(3),
                              .average = numbers(5),
                              .best = numbers(4)};
    return mn_experiment_print(&experiment, false, &written.experiment, NULL) == MN_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[PATH_MAX + 16];
    mn_checkpoint_fini(&written);
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static void write_step(uint64_t step, uint32_t keep)
{
    written.step = step;
    assert_int_equal(mn_checkpoint_write(folder, &written, &layout, keep, NULL), MN_OK);
}

static const char *path_of(uint64_t step)
{
    static char path[PATH_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/step-%09" PRIu64 ".safetensors", folder, step);
    return path;
}

static void damage(uint64_t step)
{
    FILE *file = fopen(path_of(step), "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    int last = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    assert_int_not_equal(fputc(last ^ 1, file), EOF);
    assert_int_equal(fclose(file), 0);
}

static void what_was_written_is_read_back(void **state)
{
    (void)state;
    mn_checkpoint read = {0};
    write_step(30, 3);
    assert_int_equal(
        mn_checkpoint_read_newest(folder, MN_TO_GO_ON, &experiment, &layout, &read, NULL), MN_OK);
    assert_int_equal(read.step, 30);
    assert_int_equal(read.optimiser_taken, 29);
    assert_int_equal(read.skipped_steps, 4);
    assert_int_equal(read.seed, 7);
    assert_int_equal(read.best_step, 20);
    assert_int_equal(read.validated_step, 30);
    assert_int_equal(read.stale_validations, 2);
    assert_true(read.best_score == 0.1);
    assert_true(read.mixed);
    assert_memory_equal(&read.data, &written.data, sizeof read.data);
    assert_memory_equal(&read.numeric_class, &written.numeric_class, sizeof read.numeric_class);
    assert_string_equal(read.experiment, written.experiment);
    assert_memory_equal(read.theta, written.theta, N * sizeof(float));
    assert_memory_equal(read.m, written.m, N * sizeof(float));
    assert_memory_equal(read.v, written.v, N * sizeof(float));
    assert_memory_equal(read.average, written.average, N * sizeof(float));
    assert_memory_equal(read.best, written.best, N * sizeof(float));
    mn_checkpoint_fini(&read);
}

/* Of another network: the same weight, a bias for each of three steps, and a head of its own. */
static void of_another_network_what_fits_is_taken(void **state)
{
    (void)state;
    const mn_tensor others[] = {
        {.name = "fc1.weight", .dtype = MN_F32, .rank = 2, .shape = {3, 2}},
        {.name = "head.weight", .dtype = MN_F32, .rank = 1, .shape = {4}},
        {.name = "fc1.bias", .dtype = MN_F32, .rank = 2, .shape = {3, 2}},
    };
    const mn_theta_layout other = {.n_tensors = 3, .tensors = others, .n = 16};
    const mn_theta_layout head = {.n_tensors = 1, .tensors = &others[1], .n = 4};
    char path[PATH_MAX + 32];
    float theta[16];
    for (int i = 0; i < 16; i++)
        theta[i] = -1;
    write_step(30, 3);
    (void)snprintf(path, sizeof path, "%s/step-000000030.safetensors", folder);
    assert_int_equal(mn_checkpoint_take_fitting(path, &other, theta, NULL), MN_OK);
    assert_memory_equal(theta, written.average, 6 * sizeof *theta);
    for (int i = 6; i < 10; i++)
        assert_true(theta[i] == -1);
    for (int i = 10; i < 16; i += 2)
        assert_memory_equal(theta + i, written.average + 6, 2 * sizeof *theta);

    mn_error err;
    assert_int_equal(mn_checkpoint_take_fitting(path, &head, theta + 6, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "no tensor is of a name and shape"));
    assert_true(theta[6] == -1);
}

static void vectors_that_are_not_there_stay_away(void **state)
{
    (void)state;
    mn_checkpoint read = {0};
    free(written.m);
    free(written.v);
    free(written.average);
    free(written.best);
    written.m = written.v = written.average = written.best = NULL;
    write_step(1, 3);
    assert_int_equal(mn_checkpoint_read(path_of(1), &layout, &read, NULL), MN_OK);
    assert_memory_equal(read.theta, written.theta, N * sizeof(float));
    assert_null(read.m);
    assert_null(read.v);
    assert_null(read.average);
    assert_null(read.best);
    mn_checkpoint_fini(&read);
}

static void tensors_have_the_names_and_shapes_that_a_pytorch_user_expects(void **state)
{
    (void)state;
    mn_tensor_file *file = NULL;
    write_step(30, 3);
    assert_int_equal(mn_tensor_file_read(path_of(30), &file, NULL), MN_OK);
    assert_int_equal(mn_tensor_file_count(file), 10);
    const mn_tensor *bias = mn_tensor_file_find(file, "fc1.bias");
    assert_non_null(bias);
    assert_memory_equal(bias->data, written.theta + 6, 2 * sizeof(float));
    assert_non_null(mn_tensor_file_find(file, "optimiser.m.fc1.weight"));
    assert_non_null(mn_tensor_file_find(file, "optimiser.v.fc1.bias"));
    assert_non_null(mn_tensor_file_find(file, "average.fc1.weight"));
    assert_non_null(mn_tensor_file_find(file, "best.fc1.weight"));
    char sha256[65];
    mn_digest digest = mn_digest_of(written.theta, N * sizeof(float));
    mn_digest_hex(&digest, sha256);
    assert_string_equal(mn_tensor_file_metadata(file, "theta_sha256"), sha256);
    assert_string_equal(mn_tensor_file_metadata(file, "step"), "30");
    mn_tensor_file_destroy(&file);
}

static void an_exported_theta_is_alone_and_can_be_read_as_a_checkpoint(void **state)
{
    (void)state;
    const mn_text_pair more[] = {{"name", "mine"}};
    char path[PATH_MAX + 32], hex[65];
    (void)snprintf(path, sizeof path, "%s/model.safetensors", folder);
    written.step = 30;
    for (int best = 0; best < 2; best++) {
        mn_tensor_file *file = NULL;
        mn_checkpoint read = {0};
        const float *theta = best != 0 ? written.best : written.average;
        const mn_digest digest = mn_digest_of(theta, N * sizeof *theta);
        mn_digest_hex(&digest, hex);
        assert_int_equal(mn_checkpoint_export(path, &written, best != 0, &layout, 1, more, NULL),
                         MN_OK);
        assert_int_equal(mn_tensor_file_read(path, &file, NULL), MN_OK);
        assert_int_equal(mn_tensor_file_count(file), 2);
        assert_string_equal(mn_tensor_file_metadata(file, "theta"), best != 0 ? "best" : "average");
        assert_string_equal(mn_tensor_file_metadata(file, "theta_sha256"), hex);
        assert_string_equal(mn_tensor_file_metadata(file, "name"), "mine");
        assert_string_equal(mn_tensor_file_metadata(file, "experiment"), written.experiment);
        assert_null(mn_tensor_file_metadata(file, "best_step"));
        mn_tensor_file_destroy(&file);

        assert_int_equal(mn_checkpoint_read(path, &layout, &read, NULL), MN_OK);
        assert_int_equal(read.step, best != 0 ? 20 : 30);
        assert_memory_equal(read.theta, theta, N * sizeof *theta);
        assert_true(read.m == NULL && read.v == NULL && read.best == NULL);
        mn_checkpoint_fini(&read);
    }
}

static void only_the_last_few_are_kept(void **state)
{
    (void)state;
    for (uint64_t step = 10; step <= 50; step += 10)
        write_step(step, 2);
    assert_int_not_equal(access(path_of(30), F_OK), 0);
    assert_int_equal(access(path_of(40), F_OK), 0);
    assert_int_equal(access(path_of(50), F_OK), 0);
}

static void a_damaged_file_is_skipped_for_an_older_one(void **state)
{
    (void)state;
    mn_checkpoint read = {0};
    write_step(10, 5);
    write_step(20, 5);
    write_step(30, 5);
    damage(30);
    assert_int_equal(truncate(path_of(20), 100), 0);
    assert_int_equal(
        mn_checkpoint_read_newest(folder, MN_TO_GO_ON, &experiment, &layout, &read, NULL), MN_OK);
    assert_int_equal(read.step, 10);
    mn_checkpoint_fini(&read);
    write_step(15, 1); /* the damaged ones must not push it out */
    assert_int_equal(access(path_of(15), F_OK), 0);
    assert_int_not_equal(access(path_of(10), F_OK), 0);
}

static void no_file_and_no_whole_file_are_told_apart(void **state)
{
    (void)state;
    mn_checkpoint read = {0};
    mn_error err;
    assert_int_equal(
        mn_checkpoint_read_newest(folder, MN_TO_GO_ON, &experiment, &layout, &read, &err),
        MN_ERR_NO_INPUT);
    assert_int_equal(mn_checkpoint_read_newest("/nowhere/at/all", MN_TO_GO_ON, &experiment, &layout,
                                               &read, &err),
                     MN_ERR_NO_INPUT);
    write_step(10, 5);
    damage(10);
    assert_int_equal(
        mn_checkpoint_read_newest(folder, MN_TO_GO_ON, &experiment, &layout, &read, &err),
        MN_ERR_DATA);
    assert_non_null(strstr(err.message, "none of the 1 checkpoints"));
}

static void another_experiment_cannot_go_on(void **state)
{
    (void)state;
    mn_checkpoint read = {0};
    mn_error err;
    write_step(10, 5);
    mn_experiment other = experiment;
    other.meta.inner_lr = experiment.meta.inner_lr / 2;
    assert_int_equal(mn_checkpoint_read_newest(folder, MN_TO_GO_ON, &other, &layout, &read, &err),
                     MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "meta.inner_lr"));
}

static void
theta_is_judged_as_another_experiment_says_unless_that_gives_it_other_shapes(void **state)
{
    (void)state;
    mn_tensor wider[2] = {tensors[0], tensors[1]};
    wider[0].shape[0] = 4;
    const mn_theta_layout larger = {.n_tensors = 2, .tensors = wider, .n = N + 2};
    mn_checkpoint read = {0};
    mn_error err;
    write_step(10, 5);
    mn_experiment other = experiment;
    other.meta.inner_lr = experiment.meta.inner_lr / 2;
    assert_int_equal(mn_checkpoint_read_newest(folder, MN_TO_JUDGE, &other, &layout, &read, &err),
                     MN_OK);
    assert_int_equal(read.step, 10);
    mn_checkpoint_fini(&read);
    assert_int_equal(mn_checkpoint_read_newest(folder, MN_TO_JUDGE, &other, &larger, &read, &err),
                     MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "meta.inner_lr"));
    assert_non_null(strstr(err.message, "another tensor fc1.weight"));
    /* Nothing has changed: the file is not what it should be. */
    assert_int_equal(
        mn_checkpoint_read_newest(folder, MN_TO_JUDGE, &experiment, &larger, &read, &err),
        MN_ERR_DATA);
    other.outer.lr = 2 * experiment.outer.lr;
    assert_int_equal(mn_checkpoint_read_newest(folder, MN_TO_JUDGE, &other, &layout, &read, &err),
                     MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "outer.lr"));
}

static void another_model_is_not_read(void **state)
{
    (void)state;
    mn_tensor wider[2] = {tensors[0], tensors[1]};
    wider[0].shape[0] = 4;
    const mn_theta_layout other = {.n_tensors = 2, .tensors = wider, .n = N + 2};
    mn_checkpoint read = {0};
    mn_error err;
    write_step(10, 5);
    assert_int_equal(mn_checkpoint_read(path_of(10), &other, &read, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "fc1.weight"));
}

static void a_write_that_fails_leaves_the_older_files(void **state)
{
    (void)state;
    mn_checkpoint read = {0};
    mn_error err;
    write_step(10, 1);
    assert_int_equal(mkdir(path_of(20), 0755), 0); /* nothing can be renamed to this */
    written.step = 20;
    assert_int_not_equal(mn_checkpoint_write(folder, &written, &layout, 1, &err), MN_OK);
    assert_int_equal(mn_checkpoint_read(path_of(10), &layout, &read, NULL), MN_OK);
    mn_checkpoint_fini(&read);
}

static void what_a_killed_job_left_half_written_is_removed(void **state)
{
    (void)state;
    static const char *const names[] = {"step-000000010.safetensors.tmp-77-0", "notes.tmp-77-0"};
    char left[2][PATH_MAX + 64];
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(left[i], sizeof left[i], "%s/%s", folder, names[i]);
        assert_int_equal(mn_file_write(left[i], "half", 4, NULL), MN_OK);
    }
    write_step(20, 1);
    assert_int_not_equal(access(left[0], F_OK), 0);
    assert_int_equal(access(left[1], F_OK), 0); /* not ours */
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_was_written_is_read_back),
        IN_FOLDER(of_another_network_what_fits_is_taken),
        IN_FOLDER(vectors_that_are_not_there_stay_away),
        IN_FOLDER(tensors_have_the_names_and_shapes_that_a_pytorch_user_expects),
        IN_FOLDER(an_exported_theta_is_alone_and_can_be_read_as_a_checkpoint),
        IN_FOLDER(only_the_last_few_are_kept),
        IN_FOLDER(a_damaged_file_is_skipped_for_an_older_one),
        IN_FOLDER(no_file_and_no_whole_file_are_told_apart),
        IN_FOLDER(another_experiment_cannot_go_on),
        IN_FOLDER(theta_is_judged_as_another_experiment_says_unless_that_gives_it_other_shapes),
        IN_FOLDER(another_model_is_not_read),
        IN_FOLDER(a_write_that_fails_leaves_the_older_files),
        IN_FOLDER(what_a_killed_job_left_half_written_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
