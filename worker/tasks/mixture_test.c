#include "worker/data/import/sample_data.h"
#include "worker/tasks/task_set.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Small amplitudes three times as often as large ones. */
static const char sines[] = "3 small: amplitude=0.5,1; 1 large: amplitude=4,5 phase=0,0.1";
static const char waves[] = "tasks: {kind: sinusoid, shot: 4, query: 6}\n";
static const char images[] = "tasks: {kind: images, data: p.mnd, image_size: 4, way: 3}\n"
                             "model: {blocks: 2}\nrun: {data_path: .}\n";

static mn_status open_mix_by(const char *yaml, const char *mix, mn_mix_by by, double power,
                             const mn_digest *expected, mn_task_set **set, mn_error *err)
{
    mn_experiment experiment;
    mn_experiment_init(&experiment);
    mn_status status = mn_experiment_parse(&experiment, "mix.yaml", yaml, strlen(yaml), err);
    if (status != MN_OK)
        fail_msg("%s", err->message);
    (void)snprintf(experiment.tasks.mix, sizeof experiment.tasks.mix, "%s", mix);
    experiment.tasks.mix_by = by;
    experiment.tasks.mix_power = power;
    return mn_task_set_open(&experiment, expected, set, err);
}

static mn_status open_mix(const char *yaml, const char *mix, const mn_digest *expected,
                          mn_task_set **set, mn_error *err)
{
    return open_mix_by(yaml, mix, MN_MIX_BY_WEIGHT, 1, expected, set, err);
}

static mn_task_set *open_set(const char *yaml, const char *mix)
{
    mn_task_set *set = NULL;
    mn_error err = {0};
    if (open_mix(yaml, mix, NULL, &set, &err) != MN_OK)
        fail_msg("%s", err.message);
    return set;
}

static mn_task *task_for(const mn_task_set *set, mn_split split)
{
    mn_task *task = NULL;
    mn_error err;
    assert_int_equal(mn_task_new(mn_task_set_fields(set, split), &task, &err), MN_OK);
    return task;
}

static float largest_of(const mn_task *task, mn_role role)
{
    const mn_field *y = mn_fields_find(&task->fields, role, "y");
    float most = 0;
    for (uint32_t i = 0; i < y->n; i++)
        most = fmaxf(most, fabsf(task->block[y->offset + i]));
    return most;
}

static void parts_come_by_their_weights_and_are_told_apart(void **state)
{
    mn_task_set *set = open_set(waves, sines);
    mn_task *task = task_for(set, MN_TRAIN);
    unsigned large = 0, high = 0;
    (void)state;
    assert_string_equal(task->fields.points.axis, "set");
    assert_int_equal(task->fields.points.n, 2);
    assert_string_equal(task->fields.points.names[1], "large");
    assert_true(mn_fields_are_few_shot(&task->fields));
    for (uint64_t index = 0; index < 2000; index++) {
        mn_task_set_draw(set, MN_TRAIN, index, task);
        const float *point = mn_task_find(task, MN_QUERY, "point");
        for (uint32_t i = 0; i < 6; i++)
            assert_true(point[i] == point[0] && (point[0] == 0 || point[0] == 1));
        if (point[0] == 0)
            assert_true(largest_of(task, MN_SUPPORT) <= 1 && largest_of(task, MN_QUERY) <= 1);
        assert_string_equal(task->title, point[0] == 0 ? "small" : "large");
        large += point[0] == 1;
        high += largest_of(task, MN_QUERY) > 1;
    }
    assert_in_range(large, 420, 580);
    assert_true(high > large * 9 / 10); /* of ten points of a wave of 4 to 5 one is above 1 */
    assert_int_equal(mn_task_set_size(set, MN_TEST), 0);
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void a_task_is_a_pure_function_of_split_and_index(void **state)
{
    mn_task_set *set = open_set(waves, sines), *again = open_set(waves, sines);
    mn_task *a = task_for(set, MN_TRAIN), *b = task_for(again, MN_TRAIN);
    const size_t bytes = a->fields.size * sizeof *a->block;
    (void)state;
    mn_task_set_draw(set, MN_TRAIN, 7, a);
    mn_task_set_draw(again, MN_TRAIN, 8, b);
    assert_memory_not_equal(a->block, b->block, bytes);
    mn_task_set_draw(again, MN_TRAIN, 7, b);
    assert_memory_equal(a->block, b->block, bytes);
    mn_task_set_draw(again, MN_TEST, 7, b);
    assert_memory_not_equal(a->block, b->block, bytes);
    mn_task_destroy(&a);
    mn_task_destroy(&b);
    mn_task_set_destroy(&set);
    mn_task_set_destroy(&again);
}

/* Which part a task is of says nothing of where in it the task lies. */
static void the_choice_of_a_part_is_no_part_of_its_draw(void **state)
{
    mn_task_set *set = open_set(waves, "1 a:; 1 b:");
    mn_task *task = task_for(set, MN_TRAIN);
    double sum[2] = {0};
    unsigned n[2] = {0};
    (void)state;
    for (uint64_t index = 0; index < 4000; index++) {
        mn_task_set_draw(set, MN_TRAIN, index, task);
        const int part = (int)mn_task_find(task, MN_QUERY, "point")[0];
        sum[part] += (double)largest_of(task, MN_QUERY);
        n[part]++;
    }
    assert_in_range(n[0], 1850, 2150);
    assert_true(fabs(sum[0] / n[0] - sum[1] / n[1]) < 0.15); /* of amplitudes up to 5 */
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static void parts_may_be_of_other_data_and_kinds(void **state)
{
    (void)state;
    sample_write_pack("p.mnd");
    sample_write_pack("q.mnd");
    mn_task_set *set = open_set(images, "1 file:; 1 other: data=q.mnd; 1 drawn: kind=glyphs");
    mn_task *task = task_for(set, MN_TEST);
    unsigned seen = 0;
    for (uint64_t index = 0; index < 60; index++) {
        mn_task_set_draw(set, MN_TEST, index, task);
        const float *y = mn_task_find(task, MN_QUERY, "y");
        for (uint32_t i = 0; i < 9; i++)
            assert_true(y[i] == (i % 4 == 0 ? 1 : 0));
        seen |= 1u << (unsigned)mn_task_find(task, MN_QUERY, "point")[0];
    }
    assert_int_equal(seen, 7);
    assert_string_equal(mn_task_set_data_name(set), "p.mnd and q.mnd");
    assert_int_equal(task->n_classes, 3);

    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    mn_task_set_describe(set, task, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, " of the mixture\n"));
    free(text);

    const mn_digest digest = mn_task_set_data_digest(set), wrong = mn_digest_of("x", 1);
    mn_task_set *again = NULL;
    mn_error err;
    static const char mix[] = "1 file:; 1 other: data=q.mnd; 1 drawn: kind=glyphs";
    assert_int_equal(open_mix(images, mix, &digest, &again, &err), MN_OK);
    mn_task_set_destroy(&again);
    assert_int_equal(open_mix(images, mix, &wrong, &again, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "(p.mnd and q.mnd) has digest"));
    mn_task_destroy(&task);
    mn_task_set_destroy(&set);
}

static double share_of_part(const mn_task_set *set, mn_split split, const float *losses,
                            uint32_t part)
{
    mn_task *task = task_for(set, split);
    unsigned n = 0;
    for (uint64_t index = 0; index < 1000; index++) {
        mn_task_set_draw_after(set, split, index, losses, task);
        n += (uint32_t)mn_task_find(task, MN_QUERY, "point")[0] == part;
    }
    mn_task_destroy(&task);
    return n / 1000.0;
}

/* Of the sample's 14 training classes 7 are turned; for validation both parts have 5. */
static void parts_may_come_by_their_size(void **state)
{
    static const char mix[] = "1 all:; 1 upright: rotations=false";
    mn_task_set *set = NULL;
    mn_error err = {0};
    (void)state;
    sample_write_pack("p.mnd");
    assert_int_equal(open_mix_by(images, mix, MN_MIX_BY_SIZE, 1, NULL, &set, &err), MN_OK);
    assert_true(fabs(share_of_part(set, MN_TRAIN, NULL, 0) - 2.0 / 3) < 0.05);
    assert_true(fabs(share_of_part(set, MN_VAL, NULL, 0) - 0.5) < 0.05);
    mn_task_set_destroy(&set);
    assert_int_equal(open_mix_by(images, mix, MN_MIX_BY_SIZE, 4, NULL, &set, &err), MN_OK);
    assert_true(fabs(share_of_part(set, MN_TRAIN, NULL, 0) - 16.0 / 17) < 0.03);
    mn_task_set_destroy(&set);
    assert_int_equal(
        open_mix_by(images, "1 all:; 1 drawn: kind=glyphs", MN_MIX_BY_SIZE, 1, NULL, &set, &err),
        MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "part drawn are made up"));
}

static void write_rows(const char *path, int n_classes, const char *columns)
{
    char text[8192];
    (void)snprintf(text, sizeof text, "%s\n", columns);
    for (int c = 0; c < n_classes; c++)
        for (int r = 0; r < 8; r++)
            (void)sprintf(text + strlen(text), "k%d,%d,%d%s\n", c, c, r,
                          strlen(columns) > 8 ? ",7" : "");
    sample_write(path, text, strlen(text));
}

/* Two tables of as many columns, of 8 and of 24 training classes. */
static void tables_of_rows_mix_and_their_size_is_known(void **state)
{
    static const char yaml[] =
        "tasks: {kind: rows, table: a.csv, class_column: kind, way: 2, shot: 2, query: 3, shares: "
        "[50, 25, 25]}\nmodel: {input: mlp}\nrun: {data_path: .}\n";
    mn_task_set *set = NULL;
    mn_error err = {0};
    (void)state;
    write_rows("a.csv", 16, "kind,a,b");
    write_rows("b.csv", 48, "kind,c,d");
    write_rows("wide.csv", 16, "kind,a,b,c");
    if (open_mix_by(yaml, "1 a:; 1 b: table=b.csv", MN_MIX_BY_SIZE, 1, NULL, &set, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_true(fabs(share_of_part(set, MN_TRAIN, NULL, 1) - 0.75) < 0.05);
    mn_task_set_destroy(&set);
    assert_int_equal(open_mix(yaml, "1 a:; 1 b: table=wide.csv", NULL, &set, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "another shape than those of a"));
}

/* The harder of two sets comes more often in training alone; without losses, by its weight. */
static void parts_may_come_by_their_difficulty(void **state)
{
    static const float losses[] = {3, 1};
    mn_task_set *set = NULL;
    mn_error err = {0};
    (void)state;
    assert_int_equal(open_mix_by(waves, "1 a:; 1 b:", MN_MIX_BY_DIFFICULTY, 1, NULL, &set, &err),
                     MN_OK);
    assert_true(fabs(share_of_part(set, MN_TRAIN, losses, 0) - 0.75) < 0.05);
    assert_true(fabs(share_of_part(set, MN_TRAIN, NULL, 0) - 0.5) < 0.05);
    assert_true(fabs(share_of_part(set, MN_TEST, losses, 0) - 0.5) < 0.05);
    mn_task_set_destroy(&set);
    set = open_set(waves, "1 a:; 1 b:"); /* by weight losses are nothing */
    assert_true(fabs(share_of_part(set, MN_TRAIN, losses, 0) - 0.5) < 0.05);
    mn_task_set_destroy(&set);
}

static void sines_lines_and_steps_mix(void **state)
{
    mn_task_set *set =
        open_set(waves, "1 sine:; 1 line: curve=line amplitude=-1,1; 1 step: curve=step");
    (void)state;
    for (uint32_t part = 0; part < 3; part++)
        assert_true(fabs(share_of_part(set, MN_TRAIN, NULL, part) - 1.0 / 3) < 0.05);
    mn_task_set_destroy(&set);
}

/* A pack of one image of 8 x 8. */
static void write_other_pack(const char *path)
{
    static const char *const names[] = {"only"};
    static const uint8_t pixels[64];
    mn_pack_class class = {.name = names[0], .n_images = 1};
    const mn_pack_index index = {.height = 8,
                                 .width = 8,
                                 .channels = 1,
                                 .n_images = 1,
                                 .n_classes = 1,
                                 .n_groups = 1,
                                 .classes = &class,
                                 .groups = names};
    mn_pack_writer *writer = NULL;
    assert_int_equal(mn_pack_writer_new(path, &index, &writer, NULL), MN_OK);
    assert_int_equal(mn_pack_writer_add(writer, pixels, NULL), MN_OK);
    assert_int_equal(mn_pack_writer_finish(&writer, NULL), MN_OK);
}

/* A worker whose file of a part is another version is told so, and not what follows from it. */
static void other_data_of_a_part_than_the_coordinators_is_refused_before_what_follows(void **state)
{
    (void)state;
    mn_error err;
    sample_write_pack("p.mnd");
    for (int first = 0; first < 2; first++) { /* what fails is the first part or the last */
        const char *mix = first ? "1 other: data=q.mnd; 1 file:" : "1 file:; 1 other: data=q.mnd";
        sample_write_pack("q.mnd");
        mn_task_set *set = open_set(images, mix);
        const mn_digest digest = mn_task_set_data_digest(set);
        mn_task_set_destroy(&set);
        write_other_pack("q.mnd");
        assert_int_equal(open_mix(images, mix, &digest, &set, &err), MN_ERR_DATA);
        assert_non_null(strstr(err.message, ") has digest"));
        assert_non_null(strstr(err.message, "copy the coordinator's files to that place"));
        /* To the coordinator itself it is no part of this mixture. */
        assert_int_equal(open_mix(images, mix, NULL, &set, &err), MN_ERR_CONFIG);
        assert_non_null(strstr(err.message, "part other: "));
        assert_non_null(strstr(err.message, "images of 8x8"));
        assert_int_equal(unlink("q.mnd"), 0);
        assert_int_equal(open_mix(images, mix, &digest, &set, &err), MN_ERR_NO_INPUT);
        assert_null(set);
    }
}

static void what_makes_no_mixture_is_refused(void **state)
{
    static const struct {
        const char *mix, *words;
        mn_status status;
    } cases[] = {
        {"1 a:", "one part is no mixture", MN_ERR_CONFIG},
        {"1 a:; ", "no weight", MN_ERR_CONFIG},
        {"1 a:; b: shot=3", "no weight", MN_ERR_CONFIG},
        {"0 a:; 1 b:", "no weight", MN_ERR_CONFIG},
        {"-1 a:; 1 b:", "no weight", MN_ERR_CONFIG},
        {"1 a; 1 b:", "no weight", MN_ERR_CONFIG},
        {"9999999 a:; 1 b:", "no weight", MN_ERR_CONFIG},
        {"99999999999999999999 a:; 1 b:", "no weight", MN_ERR_CONFIG},
        {"1 a-name-that-is-long:; 1 b:", "no weight", MN_ERR_CONFIG},
        {"1 a:; 1 a:", "stands twice", MN_ERR_CONFIG},
        {"1 a:; 1 b: mix=x", "a mixture within a mixture", MN_ERR_CONFIG},
        {"1 a:; 1 b: amplitud=4,5", "part b: ", MN_ERR_CONFIG},
        {"1 a:; 1 b: amplitude=5,4", "part b: ", MN_ERR_CONFIG},
        {"1 a:; 1 b: way=4", "part b: ", MN_ERR_CONFIG}, /* which sinusoids do not read */
        {"1 a:; 1 b: shot=5", "another shape than those of a", MN_ERR_CONFIG},
        {"1 a:; 1 b: kind=sequences", "points of their own", MN_ERR_CONFIG},
        {"1 a:; 1 b:; 1 c:; 1 d:; 1 e:; 1 f:; 1 g:; 1 h:; 1 i:; 1 j:; 1 k:; 1 l:; 1 m:; 1 n:; "
         "1 o:; 1 p:; 1 q:",
         "too many parts", MN_ERR_CONFIG},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn_task_set *set = NULL;
        mn_error err = {0};
        const mn_status status = open_mix(waves, cases[i].mix, NULL, &set, &err);
        if (status != cases[i].status || strstr(err.message, cases[i].words) == NULL)
            fail_msg("\"%s\": \"%s\" does not say %s", cases[i].mix, err.message, cases[i].words);
        assert_null(set);
    }
    mn_task_set *set = NULL;
    mn_error err = {0};
    assert_int_equal(open_mix(images, "1 a:; 1 b: data=none.mnd", NULL, &set, &err),
                     MN_ERR_NO_INPUT);
}

#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_come_by_their_weights_and_are_told_apart),
        cmocka_unit_test(a_task_is_a_pure_function_of_split_and_index),
        cmocka_unit_test(the_choice_of_a_part_is_no_part_of_its_draw),
        IN_FOLDER(parts_may_be_of_other_data_and_kinds),
        IN_FOLDER(parts_may_come_by_their_size),
        cmocka_unit_test(parts_may_come_by_their_difficulty),
        IN_FOLDER(tables_of_rows_mix_and_their_size_is_known),
        cmocka_unit_test(sines_lines_and_steps_mix),
        IN_FOLDER(other_data_of_a_part_than_the_coordinators_is_refused_before_what_follows),
        IN_FOLDER(what_makes_no_mixture_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
