/* The real archives, where they are: in $MNEMO_DATA/omniglot or $MNEMO_DATA, else in
 * ../shared/data/omniglot beside the repository. Skipped, with a word, where they are not. */
#include "common/file.h"
#include "worker/data/image_pack.h"
#include "worker/data/import/data_import.h"
#include "worker/data/import/sample_data.h"
#include "worker/tasks/task_set.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE, DRAWINGS = 20, IDX_HEADER = 16 };

static char folder[600], archives[2][700], lists[700];

static bool look_in(const char *candidate, const char *below)
{
    (void)snprintf(folder, sizeof folder, "%s%s", candidate, below);
    (void)snprintf(archives[0], sizeof archives[0], "%s/images_background.zip", folder);
    (void)snprintf(archives[1], sizeof archives[1], "%s/images_evaluation.zip", folder);
    (void)snprintf(lists, sizeof lists, "%s/splits_vinyals", folder);
    return access(archives[0], R_OK) == 0 && access(archives[1], R_OK) == 0;
}

/* Find the archives, or skip the test. */
static void find_or_skip(void)
{
    const char *data = getenv("MNEMO_DATA");
    bool found = (data != NULL && (look_in(data, "/omniglot") || look_in(data, ""))) ||
                 look_in(MN_SOURCE_DIR, "/../shared/data/omniglot");
    if (!found || access(lists, R_OK) != 0) {
        print_message(
            "skipped: no images_background.zip, images_evaluation.zip and splits_vinyals in "
            "$MNEMO_DATA/omniglot or %s\n",
            folder);
        skip();
    }
}

/* Import them to real.mnd, too. */
static mn_image_pack *import_or_skip(void)
{
    find_or_skip();
    const char *const zips[] = {archives[0], archives[1]};
    mn_image_pack *pack = NULL;
    mn_error err = {0};
    if (mn_import_omniglot(zips, 2, lists, MN_VAL_SIXTH, SIDE, "real.mnd", NULL, NULL, &err) !=
            MN_OK ||
        mn_image_pack_open("real.mnd", &pack, &err) != MN_OK)
        fail_msg("%s", err.message);
    return pack;
}

static const mn_pack_class *find_class(const mn_pack_index *index, const char *group,
                                       const char *name)
{
    for (uint32_t i = 0; i < index->n_classes; i++)
        if (strcmp(index->groups[index->classes[i].group], group) == 0 &&
            strcmp(index->classes[i].name, name) == 0)
            return &index->classes[i];
    fail_msg("no class %s/%s", group, name);
    return NULL;
}

static void the_28_by_28_images_are_byte_equal_to_an_independent_reduction(void **state)
{
    (void)state;
    mn_image_pack *pack = import_or_skip();
    const mn_pack_index *index = mn_image_pack_index(pack);
    char path[700], *idx = NULL, *classes = NULL;
    size_t n, n_classes;
    (void)snprintf(path, sizeof path, "%s/omniglot28.idx3-ubyte", folder);
    if (access(path, R_OK) != 0) {
        mn_image_pack_destroy(&pack);
        print_message("skipped: no %s\n", path);
        skip();
    }
    assert_int_equal(mn_file_read(path, 1 << 26, &idx, &n, NULL), MN_OK);
    (void)snprintf(path, sizeof path, "%s/omniglot28_classes.tsv", folder);
    assert_int_equal(mn_file_read(path, 1 << 26, &classes, &n_classes, NULL), MN_OK);
    assert_int_equal(n, IDX_HEADER + (size_t)32460 * PIXELS);

    uint32_t compared = 0;
    char *rest = classes;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        char alphabet[100], character[100];
        unsigned first;
        if (sscanf(line, "%*d\t%*[^\t]\t%99[^\t]\t%99[^\t]\t%u", alphabet, character, &first) != 3)
            continue; /* the heading */
        const mn_pack_class *class = find_class(index, alphabet, character);
        assert_int_equal(class->n_images, DRAWINGS);
        assert_memory_equal(mn_image_pack_pixels(pack, class->first_image),
                            idx + IDX_HEADER + (size_t)first * PIXELS, DRAWINGS * PIXELS);
        compared++;
    }
    assert_int_equal(compared, 1623);
    free(idx);
    free(classes);
    mn_image_pack_destroy(&pack);
}

static void the_splits_are_those_of_vinyals(void **state)
{
    (void)state;
    mn_image_pack *pack = import_or_skip();
    const mn_pack_index *index = mn_image_pack_index(pack);
    assert_int_equal(index->n_images, 32460);
    assert_int_equal(index->n_classes, 1623);
    assert_int_equal(index->n_groups, 50);
    assert_int_equal(index->n_entries[MN_TRAIN], 4112);
    assert_int_equal(index->n_entries[MN_VAL], 688);
    assert_int_equal(index->n_entries[MN_TEST], 1692);
    mn_image_pack_destroy(&pack);
}

/* By cosine; the length of the query is the same for all and left out. */
static uint32_t nearest(const float *query, const float *support, uint32_t way)
{
    uint32_t best = 0;
    double most = -1;
    for (uint32_t label = 0; label < way; label++) {
        double product = 0, square = 0;
        for (uint32_t i = 0; i < PIXELS; i++) {
            double x = (double)support[label * PIXELS + i];
            product += (double)query[i] * x;
            square += x * x;
        }
        double cosine = product / sqrt(square);
        best = cosine > most ? label : best;
        most = cosine > most ? cosine : most;
    }
    return best;
}

/* Known for these images and this split: 49.8 % by cosine, 5-way 1-shot. */
static void nearest_pixels_are_right_as_often_as_is_known(void **state)
{
    (void)state;
    mn_image_pack *pack = import_or_skip();
    mn_image_pack_destroy(&pack);
    mn_experiment experiment;
    mn_experiment_init(&experiment);
    experiment.tasks.kind = MN_TASKS_IMAGES;
    (void)strcpy(experiment.tasks.data, "real.mnd");
    (void)strcpy(experiment.run.data_path, ".");
    experiment.tasks.image_size = SIDE;
    experiment.tasks.way = 5;
    experiment.tasks.shot = experiment.tasks.query = 1;
    experiment.tasks.rotations = true;
    mn_task_set *set = NULL;
    mn_task *task = NULL;
    mn_error err = {0};
    if (mn_task_set_open(&experiment, NULL, &set, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(mn_task_new(mn_task_set_fields(set, MN_TEST), &task, &err), MN_OK);
    uint32_t right = 0;
    for (uint64_t index = 0; index < 1000; index++) {
        mn_task_set_draw(set, MN_TEST, index, task);
        for (uint32_t label = 0; label < 5; label++)
            right +=
                nearest(task->at[MN_QUERY_X] + label * PIXELS, task->at[MN_SUPPORT_X], 5) == label;
    }
    print_message("nearest neighbour: %.1f %% of 5000 (chance: 20 %%)\n", right / 50.0);
    assert_in_range(right, 2350, 2630);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

/* oneshot20_runs.tsv was made from the labels by another program, and its rows are pictures of
 * omniglot28.idx3-ubyte. */
static void the_runs_are_those_of_an_independent_list(void **state)
{
    (void)state;
    mn_image_pack *pack = NULL;
    find_or_skip();
    char zip[700], path[700], *idx = NULL, *rows = NULL;
    size_t n, n_rows;
    (void)snprintf(zip, sizeof zip, "%s/all_runs.zip", folder);
    (void)snprintf(path, sizeof path, "%s/oneshot20_runs.tsv", folder);
    if (access(zip, R_OK) != 0 || mn_file_read(path, 1 << 26, &rows, &n_rows, NULL) != MN_OK) {
        print_message("skipped: no %s or %s\n", zip, path);
        skip();
    }
    (void)snprintf(path, sizeof path, "%s/omniglot28.idx3-ubyte", folder);
    assert_int_equal(mn_file_read(path, 1 << 26, &idx, &n, NULL), MN_OK);
    mn_error err = {0};
    if (mn_import_omniglot_runs(zip, SIDE, "runs.mnd", NULL, NULL, &err) != MN_OK ||
        mn_image_pack_open("runs.mnd", &pack, &err) != MN_OK)
        fail_msg("%s", err.message);
    const mn_pack_index *index = mn_image_pack_index(pack);
    assert_int_equal(index->n_groups, 20);
    assert_int_equal(index->n_entries[MN_TEST], 400);

    uint32_t compared = 0;
    char *rest = rows;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        char role[20], item[40], partner[40], group[20], name[100];
        unsigned run, image;
        if (sscanf(line, "%u\t%19[^\t]\t%39[^.].png\t%u\t%*u\t%39[^.\n]", &run, role, item, &image,
                   partner) != 5)
            continue; /* the heading */
        (void)snprintf(group, sizeof group, "run%02u", run);
        const bool is_test = strcmp(role, "test") == 0;
        const mn_pack_class *class = NULL;
        if (is_test) {
            (void)snprintf(name, sizeof name, "%s=%s", partner, item);
            class = find_class(index, group, name);
        } else {
            for (uint32_t i = 0; i < index->n_classes; i++)
                if (strcmp(index->groups[index->classes[i].group], group) == 0 &&
                    strncmp(index->classes[i].name, item, strlen(item)) == 0)
                    class = &index->classes[i];
            assert_non_null(class);
        }
        assert_int_equal(class->n_images, 2);
        assert_memory_equal(mn_image_pack_pixels(pack, class->first_image + is_test),
                            idx + IDX_HEADER + (size_t)image * PIXELS, PIXELS);
        compared++;
    }
    assert_int_equal(compared, 800);
    free(idx);
    free(rows);
    mn_image_pack_destroy(&pack);
}

/* Known for these images: 76.25 % by cosine, pixel by pixel. */
static void nearest_pixels_err_in_the_runs_as_often_as_is_known(void **state)
{
    (void)state;
    find_or_skip();
    char zip[700], small[700];
    (void)snprintf(zip, sizeof zip, "%s/all_runs.zip", folder);
    (void)snprintf(small, sizeof small, "%s/images_background_small1.zip", folder);
    if (access(zip, R_OK) != 0 || access(small, R_OK) != 0) {
        print_message("skipped: no %s or %s\n", zip, small);
        skip();
    }
    const char *const zips[] = {small};
    mn_experiment experiment;
    mn_experiment_init(&experiment);
    experiment.tasks.kind = MN_TASKS_IMAGES;
    (void)strcpy(experiment.tasks.data, "real.mnd");
    (void)strcpy(experiment.tasks.runs, "runs.mnd");
    (void)strcpy(experiment.run.data_path, ".");
    experiment.tasks.image_size = SIDE;
    experiment.tasks.way = 20;
    experiment.tasks.shot = experiment.tasks.query = 1;
    mn_task_set *set = NULL;
    mn_task *task = NULL;
    mn_error err = {0};
    if (mn_import_omniglot_runs(zip, SIDE, "runs.mnd", NULL, NULL, &err) != MN_OK ||
        mn_import_omniglot(zips, 1, NULL, 0, SIDE, "real.mnd", NULL, NULL, &err) != MN_OK ||
        mn_task_set_open(&experiment, NULL, &set, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(mn_task_set_size(set, MN_TEST), 20);
    assert_int_equal(mn_task_new(mn_task_set_fields(set, MN_TEST), &task, &err), MN_OK);
    uint32_t wrong = 0;
    for (uint64_t run = 0; run < 20; run++) {
        mn_task_set_draw(set, MN_TEST, run, task);
        for (uint32_t label = 0; label < 20; label++)
            wrong +=
                nearest(task->at[MN_QUERY_X] + label * PIXELS, task->at[MN_SUPPORT_X], 20) != label;
    }
    assert_int_equal(wrong, 305); /* 76.25 % of 400 */
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_28_by_28_images_are_byte_equal_to_an_independent_reduction),
        TEST(the_splits_are_those_of_vinyals),
        TEST(nearest_pixels_are_right_as_often_as_is_known),
        TEST(the_runs_are_those_of_an_independent_list),
        TEST(nearest_pixels_err_in_the_runs_as_often_as_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
