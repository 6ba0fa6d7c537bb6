#include "worker/tasks/image_tasks.h"

#include "worker/data/import/sample_data.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WAY = 5, SHOT = 2, QUERY = 3, PIXELS = SAMPLE_SIDE * SAMPLE_SIDE };

static mn_image_pack *pack;
static mn_experiment experiment;
static mn_fields fields[MN_N_SPLITS];

static void ask_for(mn_split split, uint32_t way, uint32_t n_support, uint32_t n_query)
{
    const uint32_t image[3] = {SAMPLE_SIDE, SAMPLE_SIDE, 1};
    assert_int_equal(
        mn_fields_few_shot(&fields[split], n_support, n_query, image, MN_TARGET_CLASSES, way, NULL),
        MN_OK);
}

/* Of all splits, with one item of each class in either set. */
static void ask_for_one_each(uint32_t way)
{
    experiment.tasks.way = way;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++)
        ask_for(split, way, way, way);
}

static int set_up(void **state)
{
    if (sample_enter_folder(state) != 0)
        return -1;
    sample_write_pack("p.mnd");
    mn_experiment_init(&experiment);
    experiment.tasks.way = WAY;
    experiment.tasks.rotations = true;
    experiment.tasks.sampling = MN_SAMPLE_RANDOM;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++)
        ask_for(split, WAY, WAY * SHOT, WAY * QUERY);
    return mn_image_pack_open("p.mnd", &pack, NULL) == MN_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    mn_image_pack_destroy(&pack);
    return sample_leave_folder(state);
}

static mn_image_tasks *make(void)
{
    mn_image_tasks *tasks = NULL;
    mn_error err;
    assert_int_equal(mn_image_tasks_new(pack, &experiment, fields, &tasks, &err), MN_OK);
    return tasks;
}

/* The corner of the image that holds (class, place): top left, or bottom left if turned once. */
static uint32_t read_pixel(const float *image, uint32_t turns, uint32_t i)
{
    uint32_t at = turns == 0 ? i : (SAMPLE_SIDE - 1 - i) * SAMPLE_SIDE;
    return (uint32_t)(image[at] * 255.0f + 0.5f);
}

static void a_task_has_distinct_classes_and_distinct_images_of_each_in_class_order(void **state)
{
    (void)state;
    mn_image_tasks *tasks = make();
    mn_task *task = NULL;
    assert_int_equal(mn_task_new(&fields[MN_TRAIN], &task, NULL), MN_OK);
    assert_int_equal(mn_image_tasks_classes(tasks, MN_TRAIN), 14);
    bool seen[14] = {false};
    for (uint64_t index = 0; index < 200; index++) {
        mn_random random = mn_random_stream(1, MN_RANDOM_TASK_TRAIN, index);
        mn_image_tasks_draw(tasks, MN_TRAIN, &random, task);
        assert_int_equal(task->n_classes, WAY);
        for (uint32_t label = 0; label < WAY; label++) {
            uint32_t number = task->classes[label], turns = number % 2, used = 0;
            assert_true(number < 14);
            seen[number] = true;
            for (uint32_t other = 0; other < label; other++)
                assert_int_not_equal(number, task->classes[other]);
            for (uint32_t i = 0; i < SHOT + QUERY; i++) {
                uint32_t item = i < SHOT ? label * SHOT + i : label * QUERY + i - SHOT;
                const float *x =
                    (i < SHOT ? task->at[MN_SUPPORT_X] : task->at[MN_QUERY_X]) + item * PIXELS;
                const float *y =
                    (i < SHOT ? task->at[MN_SUPPORT_Y] : task->at[MN_QUERY_Y]) + item * WAY;
                assert_int_equal(read_pixel(x, turns, 0), number / 2);
                assert_int_equal(read_pixel(x, turns, 2), 200);
                uint32_t place = read_pixel(x, turns, 1);
                assert_false(used >> place & 1);
                used |= 1u << place;
                for (uint32_t j = 0; j < WAY; j++)
                    assert_true(y[j] == (j == label ? 1.0f : 0.0f));
            }
        }
    }
    for (int i = 0; i < 14; i++)
        assert_true(seen[i]);
    mn_task_destroy(&task);
    mn_image_tasks_destroy(&tasks);
    assert_null(tasks);
}

static void without_rotations_only_upright_classes_count(void **state)
{
    (void)state;
    experiment.tasks.rotations = false;
    mn_image_tasks *tasks = make();
    assert_int_equal(mn_image_tasks_classes(tasks, MN_TRAIN), 7);
    mn_task *task = NULL;
    assert_int_equal(mn_task_new(&fields[MN_TRAIN], &task, NULL), MN_OK);
    for (uint64_t index = 0; index < 50; index++) {
        mn_random random = mn_random_stream(1, MN_RANDOM_TASK_TRAIN, index);
        mn_image_tasks_draw(tasks, MN_TRAIN, &random, task);
        for (uint32_t label = 0; label < WAY; label++)
            assert_int_equal(read_pixel(task->at[MN_SUPPORT_X] + label * SHOT * PIXELS, 0, 0),
                             task->classes[label]);
    }
    mn_task_destroy(&task);
    mn_image_tasks_destroy(&tasks);
}

static void within_a_group_means_all_classes_are_of_one_group_that_has_enough(void **state)
{
    (void)state;
    experiment.tasks.sampling = MN_SAMPLE_GROUP; /* with way 4, train has group a: 4 and b: 10 */
    ask_for_one_each(4);
    mn_image_tasks *tasks = make();
    mn_task *task = NULL;
    assert_int_equal(mn_task_new(&fields[MN_TRAIN], &task, NULL), MN_OK);
    int of_a = 0;
    for (uint64_t index = 0; index < 400; index++) {
        mn_random random = mn_random_stream(1, MN_RANDOM_TASK_TRAIN, index);
        mn_image_tasks_draw(tasks, MN_TRAIN, &random, task);
        bool a = task->classes[0] / 2 < 2;
        of_a += a;
        for (uint32_t label = 0; label < 4; label++)
            assert_int_equal(task->classes[label] / 2 < 2, a);
    }
    assert_in_range(of_a, 150, 250); /* groups are equally likely, whatever their size */
    mn_task_destroy(&task);
    mn_image_tasks_destroy(&tasks);

    ask_for_one_each(5); /* now group a has too few */
    tasks = make();
    assert_int_equal(mn_task_new(&fields[MN_TRAIN], &task, NULL), MN_OK);
    for (uint64_t index = 0; index < 100; index++) {
        mn_random random = mn_random_stream(1, MN_RANDOM_TASK_TRAIN, index);
        mn_image_tasks_draw(tasks, MN_TRAIN, &random, task);
        for (uint32_t label = 0; label < 5; label++)
            assert_in_range(task->classes[label] / 2, 2, 6);
    }
    mn_task_destroy(&task);
    mn_image_tasks_destroy(&tasks);
}

static void a_group_in_each_turn_is_a_group_of_its_own(void **state)
{
    (void)state;
    experiment.tasks.sampling = MN_SAMPLE_TURNED_GROUP;
    ask_for_one_each(2); /* train: groups a (2 classes) and b (5), each turned 0 and 1 times */
    mn_image_tasks *tasks = make();
    mn_task *task = NULL;
    assert_int_equal(mn_task_new(&fields[MN_TRAIN], &task, NULL), MN_OK);
    int of[2][2] = {{0}};
    for (uint64_t index = 0; index < 400; index++) {
        mn_random random = mn_random_stream(1, MN_RANDOM_TASK_TRAIN, index);
        mn_image_tasks_draw(tasks, MN_TRAIN, &random, task);
        const uint32_t b = task->classes[0] / 2 >= 2, turns = task->classes[0] % 2;
        of[b][turns]++;
        assert_int_equal(task->classes[1] / 2 >= 2, b);
        assert_int_equal(task->classes[1] % 2, turns);
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(of[i / 2][i % 2], 60, 140);
    mn_task_destroy(&task);
    mn_image_tasks_destroy(&tasks);
}

static void compare_with_plain(double warp, double bend)
{
    mn_image_tasks *plain = make();
    experiment.tasks.warp = warp;
    experiment.tasks.bend = bend;
    mn_image_tasks *warped = make();
    mn_task *a = NULL, *b = NULL;
    assert_int_equal(mn_task_new(&fields[MN_TRAIN], &a, NULL), MN_OK);
    assert_int_equal(mn_task_new(&fields[MN_TRAIN], &b, NULL), MN_OK);
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        mn_random random = mn_random_stream(1, MN_RANDOM_SELF_TEST, split), same = random;
        mn_image_tasks_draw(plain, split, &random, a);
        mn_image_tasks_draw(warped, split, &same, b);
        assert_memory_equal(a->classes, b->classes, WAY * sizeof *a->classes);
        int different = 0;
        for (int i = 0; i < WAY * QUERY; i++)
            different += memcmp(a->at[MN_QUERY_X] + i * PIXELS, b->at[MN_QUERY_X] + i * PIXELS,
                                PIXELS * sizeof *a->at[MN_QUERY_X]) != 0;
        assert_int_equal(different, split == MN_TRAIN ? WAY * QUERY : 0);
    }
    mn_task_destroy(&a);
    mn_task_destroy(&b);
    mn_image_tasks_destroy(&plain);
    mn_image_tasks_destroy(&warped);
    experiment.tasks.warp = experiment.tasks.bend = 0;
}

static void only_training_images_are_warped_or_bent_and_the_classes_stay(void **state)
{
    (void)state;
    compare_with_plain(0.2, 0);
    compare_with_plain(0, 0.2);
}

static bool is_mirrored(const float *image, const float *of)
{
    for (int y = 0; y < SAMPLE_SIDE; y++)
        for (int x = 0; x < SAMPLE_SIDE; x++)
            if (image[y * SAMPLE_SIDE + x] != of[y * SAMPLE_SIDE + SAMPLE_SIDE - 1 - x])
                return false;
    return true;
}

static void a_mirror_shows_training_images_as_they_are_or_left_for_right(void **state)
{
    (void)state;
    int n_mirrored = 0;
    const size_t bytes = PIXELS * sizeof(float);
    experiment.tasks.mirror = true;
    mn_image_tasks *tasks = make();
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++)
        for (uint64_t i = 0; i < 100; i++) {
            float plain[PIXELS], shown[PIXELS];
            mn_random random = mn_random_stream(1, MN_RANDOM_SELF_TEST, i);
            const mn_field *x = &fields[split].at[MN_QUERY_X];
            mn_image_tasks_show(tasks, split, &random, 1, (uint32_t)i % SAMPLE_IMAGES, x, shown);
            experiment.tasks.mirror = false;
            mn_image_tasks *straight = make();
            mn_image_tasks_show(straight, split, &random, 1, (uint32_t)i % SAMPLE_IMAGES, x, plain);
            mn_image_tasks_destroy(&straight);
            experiment.tasks.mirror = true;
            if (split == MN_TRAIN && is_mirrored(shown, plain))
                n_mirrored++;
            else
                assert_memory_equal(shown, plain, bytes);
        }
    assert_in_range(n_mirrored, 35, 65);
    mn_image_tasks_destroy(&tasks);
    experiment.tasks.mirror = false;
}

static void assert_refused(mn_split split, const char *because)
{
    mn_image_tasks *tasks = make();
    mn_error err;
    assert_int_equal(mn_image_tasks_check(tasks, split, &err), MN_ERR_CONFIG);
    if (strstr(err.message, because) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.message, because);
    mn_image_tasks_destroy(&tasks);
}

static void assert_fits(mn_split split)
{
    mn_image_tasks *tasks = make();
    mn_error err = {0};
    if (mn_image_tasks_check(tasks, split, &err) != MN_OK)
        fail_msg("%s", err.message);
    mn_image_tasks_destroy(&tasks);
}

static void too_few_classes_or_images_are_told_with_the_numbers(void **state)
{
    (void)state;
    ask_for_one_each(6);
    assert_fits(MN_TRAIN); /* who asks for no validation needs no classes for it */
    assert_refused(MN_VAL, "split val has 5 classes, but its tasks have 6; lower tasks.way");
    ask_for_one_each(15);
    assert_refused(MN_TRAIN, "split train has 14 classes, but its tasks have 15");
    ask_for_one_each(5);
    ask_for(MN_TEST, 6, 6, 6); /* evaluate.way */
    assert_refused(MN_TEST, "split test has 5 classes, but its tasks have 6; lower tasks.way "
                            "(evaluate.way)");
    ask_for(MN_TEST, 5, 5 * 4, 5 * 3);
    assert_refused(MN_TEST, "5 classes of split test have fewer images than shot + query, 7 "
                            "(tasks.* or evaluate.*): c/c7 6, c/c8 6, c/c9 6, c/c10 6, c/c11 6; "
                            "lower these, or import again without such classes (--min-images 7)");
    assert_fits(MN_VAL);
    ask_for(MN_TEST, 5, 5 * 2000, 5 * 3);
    assert_refused(MN_TEST, "at most 1024");
    ask_for_one_each(5);
    ask_for(MN_TRAIN, 5, 5 * 7, 5 * 3); /* a class is named once, however often it is turned */
    assert_refused(MN_TRAIN, "7 classes of split train have fewer images");
    ask_for_one_each(5);
    experiment.tasks.sampling = MN_SAMPLE_GROUP;
    experiment.tasks.rotations = false;
    assert_fits(MN_TRAIN); /* group b has 5 */
    ask_for_one_each(7);
    assert_refused(MN_TRAIN,
                   "the largest group of split train has 5 classes, but its tasks have 7");
}

static uint32_t shown(const mn_task *task, uint32_t label)
{
    const uint32_t way = task->fields.y_size;
    uint32_t n = 0;
    for (uint32_t i = 0; i < task->fields.at[MN_SUPPORT_X].n; i++)
        n += task->at[MN_SUPPORT_Y][i * way + label] == 1.0f;
    return n;
}

/* From 2 to 5 of them, in groups of 2 (a) and 5 (b): a task of group a has 2. A class has 6 images, so
 * with 3 query images its shot is 3 where 4 or 5 are drawn. */
static void
a_task_has_no_more_classes_than_its_group_and_a_class_no_more_images_than_it_has(void **state)
{
    (void)state;
    enum { MOST_SHOT = 5 };
    experiment.tasks.kind = MN_TASKS_IMAGES;
    experiment.tasks.way_from = 2;
    experiment.tasks.shot_from = 1;
    experiment.tasks.sampling = MN_SAMPLE_GROUP;
    experiment.tasks.rotations = false;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        ask_for(split, WAY, WAY * MOST_SHOT, WAY * QUERY);
        assert_int_equal(mn_fields_add_padding(&fields[split], NULL), MN_OK);
    }
    mn_image_tasks *tasks = make();
    mn_task *task = NULL;
    uint32_t of_way[WAY + 1] = {0}, of_shot[MOST_SHOT + 1] = {0};
    assert_int_equal(mn_task_new(&fields[MN_TRAIN], &task, NULL), MN_OK);
    assert_int_equal(mn_image_tasks_check(tasks, MN_TRAIN, NULL), MN_OK);
    for (uint64_t index = 0; index < 2000; index++) {
        mn_random random = mn_random_stream(1, MN_RANDOM_TASK_TRAIN, index);
        mn_image_tasks_draw(tasks, MN_TRAIN, &random, task);
        of_way[task->n_classes]++;
        of_shot[shown(task, 0)]++;
        for (uint32_t label = 0; label < WAY; label++)
            assert_int_equal(shown(task, label), label < task->n_classes ? shown(task, 0) : 0);
        const bool of_a = read_pixel(task->at[MN_SUPPORT_X], 0, 0) < 2;
        assert_true(!of_a || task->n_classes == 2);
    }
    assert_int_equal(of_way[1], 0);
    assert_in_range(of_way[2], 1150, 1350); /* 1000 of a, a fourth of the rest */
    for (uint32_t way = 3; way <= WAY; way++)
        assert_in_range(of_way[way], 200, 300);
    assert_in_range(of_shot[1], 340, 460);
    assert_in_range(of_shot[3], 1120, 1280); /* drawn as 3, 4 or 5 */
    assert_int_equal(of_shot[4] + of_shot[5], 0);
    mn_task_destroy(&task);
    mn_image_tasks_destroy(&tasks);

    experiment.tasks.shot_from = 4; /* with 3 query images */
    assert_refused(MN_TRAIN, "fewer images than shot_from + query, 7");
    experiment.tasks.shot_from = experiment.tasks.way_from = 0;
    experiment.tasks.sampling = MN_SAMPLE_RANDOM;
}

static void turns_are_counter_clockwise(void **state)
{
    (void)state;
    static const uint8_t square[8] = {0, 100, 51, 101, 102, 102, 255, 103}; /* 2 x 2, 2 channels */
    static const int expected[4][4] = {{0, 51, 102, 255},                   /* 0  51 | 102 255 */
                                       {51, 255, 0, 102},
                                       {255, 102, 51, 0},
                                       {102, 0, 255, 51}};
    for (uint32_t turns = 0; turns < 4; turns++) {
        float out[8];
        mn_image_tasks_copy(square, 2, 2, 2, turns, out);
        for (int i = 0; i < 4; i++) {
            assert_true(out[2 * i] == (float)expected[turns][i] / 255.0f);
            int other = expected[turns][i] / 51;
            assert_true(out[2 * i + 1] == (float)(100 + (other == 5 ? 3 : other)) / 255.0f);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_task_has_distinct_classes_and_distinct_images_of_each_in_class_order),
        TEST(without_rotations_only_upright_classes_count),
        TEST(within_a_group_means_all_classes_are_of_one_group_that_has_enough),
        TEST(a_group_in_each_turn_is_a_group_of_its_own),
        TEST(a_mirror_shows_training_images_as_they_are_or_left_for_right),
        TEST(only_training_images_are_warped_or_bent_and_the_classes_stay),
        TEST(too_few_classes_or_images_are_told_with_the_numbers),
        TEST(a_task_has_no_more_classes_than_its_group_and_a_class_no_more_images_than_it_has),
        TEST(turns_are_counter_clockwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
