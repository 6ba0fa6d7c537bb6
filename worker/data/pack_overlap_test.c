#include "worker/data/pack_overlap.h"

#include "worker/data/import/sample_data.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_CLASSES = 6, N_IMAGES = 4, SIDE = 4, N = N_CLASSES * N_IMAGES };

static uint32_t turned_from = N, turned_by; /* pictures from this one on are turned so often */

/* A picture of one number, 3 in a corner and another beside it: counter-clockwise, as classes are. */
static void draw(uint8_t content, uint32_t quarters, uint8_t out[SIDE * SIDE])
{
    for (uint32_t i = 0; i < SIDE * SIDE; i++) {
        uint32_t y = i / SIDE, x = i % SIDE;
        for (uint32_t t = 0; t < quarters; t++) {
            const uint32_t was = y;
            y = x;
            x = SIDE - 1 - was;
        }
        out[i] = y == 0 && x == 0 ? content : y == 0 && x == 1 ? 77 : 0;
    }
}

/* A pack of six classes "c0" to "c5" in group "g" unless `names` says otherwise; training is of the
 * first three, the test of the others. Picture i has the number contents[i] in it. */
static mn_image_pack *make_pack(const char *path, const char *const names[N_CLASSES],
                                const uint8_t contents[N])
{
    static const char *const usual[N_CLASSES] = {"c0", "c1", "c2", "c3", "c4", "c5"};
    static const char *const groups[1] = {"g"};
    static const mn_pack_entry train[] = {{0, 0}, {0, 1}, {1, 0}, {2, 0}};
    static const mn_pack_entry test[] = {{3, 0}, {3, 2}, {4, 0}, {5, 0}};
    mn_pack_class classes[N_CLASSES];
    for (uint32_t c = 0; c < N_CLASSES; c++)
        classes[c] =
            (mn_pack_class){names != NULL ? names[c] : usual[c], 0, c * N_IMAGES, N_IMAGES};
    const mn_pack_index index = {.height = SIDE,
                                 .width = SIDE,
                                 .channels = 1,
                                 .n_images = N,
                                 .n_classes = N_CLASSES,
                                 .n_groups = 1,
                                 .n_entries = {4, 0, 4},
                                 .classes = classes,
                                 .groups = groups,
                                 .entries = {train, NULL, test}};
    mn_pack_writer *writer = NULL;
    mn_image_pack *pack = NULL;
    assert_int_equal(mn_pack_writer_new(path, &index, &writer, NULL), MN_OK);
    for (uint32_t i = 0; i < N; i++) {
        uint8_t pixels[SIDE * SIDE];
        draw(contents != NULL ? contents[i] : (uint8_t)i, i >= turned_from ? turned_by : 0, pixels);
        assert_int_equal(mn_pack_writer_add(writer, pixels, NULL), MN_OK);
    }
    assert_int_equal(mn_pack_writer_finish(&writer, NULL), MN_OK);
    assert_int_equal(mn_image_pack_open(path, &pack, NULL), MN_OK);
    return pack;
}

static mn_pack_part part_of(const mn_image_pack *pack, mn_split split)
{
    const mn_pack_index *index = mn_image_pack_index(pack);
    return (mn_pack_part){pack, index->n_entries[split], index->entries[split]};
}

static mn_overlap overlap_of(const mn_image_pack *training, const mn_image_pack *test)
{
    const mn_pack_part trained = part_of(training, MN_TRAIN), tested = part_of(test, MN_TEST);
    mn_overlap overlap;
    assert_int_equal(mn_pack_overlap(&trained, &tested, &overlap, NULL), MN_OK);
    return overlap;
}

static void classes_of_their_own_are_no_leak(void **state)
{
    (void)state;
    char text[200];
    mn_image_pack *pack = make_pack("p.mnd", NULL, NULL);
    const mn_overlap overlap = overlap_of(pack, pack);
    assert_false(mn_overlap_is_leak(&overlap));
    assert_int_equal(overlap.n_classes, 3); /* a turned class is the same one */
    assert_int_equal(overlap.n_pictures, 12);
    assert_int_equal(overlap.n_identical, 0);
    mn_overlap_text(&overlap, text, sizeof text);
    assert_string_equal(text,
                        "none of 3 test classes is a training class; 0 of 12 test pictures are "
                        "training pictures too");
    mn_image_pack_destroy(&pack);
}

static void a_class_of_the_same_name_is_found_in_another_pack(void **state)
{
    (void)state;
    char text[200];
    const char *const names[N_CLASSES] = {"x0", "x1", "x2", "c1", "c3", "x5"};
    const uint8_t other[N] = {0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
                              99, 98, 97, 96, 95, 94, 93, 92, 91, 90, 89, 88};
    mn_image_pack *training = make_pack("1.mnd", NULL, NULL);
    mn_image_pack *test = make_pack("2.mnd", names, other);
    const mn_overlap overlap = overlap_of(training, test);
    assert_true(mn_overlap_is_leak(&overlap));
    assert_int_equal(overlap.n_named, 1); /* c3 is no training class */
    assert_int_equal(overlap.n_copied, 0);
    assert_string_equal(overlap.example, "g/c1");
    mn_overlap_text(&overlap, text, sizeof text);
    assert_non_null(strstr(text, "1 of 3 test classes are training classes (1 by name, 0 by their "
                                 "pictures), as g/c1"));
    mn_image_pack_destroy(&training);
    mn_image_pack_destroy(&test);
}

static void a_class_under_another_name_is_found_by_its_pictures(void **state)
{
    (void)state;
    uint8_t contents[N];
    for (uint8_t i = 0; i < N; i++)
        contents[i] = i;
    memcpy(contents + 16, contents + 4, 3); /* three of four pictures of c4 are those of c1 */
    contents[23] = contents[9];             /* and one of c5 is one of c2 */
    mn_image_pack *pack = make_pack("p.mnd", NULL, contents);
    const mn_overlap overlap = overlap_of(pack, pack);
    assert_true(mn_overlap_is_leak(&overlap));
    assert_int_equal(overlap.n_named, 0);
    assert_int_equal(overlap.n_copied, 1);
    assert_string_equal(overlap.example, "g/c4");
    assert_int_equal(overlap.n_pictures, 8);
    assert_int_equal(overlap.n_identical, 1);
    mn_image_pack_destroy(&pack);
}

/* Classes are turned in these packs, so a turned copy is what was trained on. */
static void a_turned_copy_is_the_same_picture(void **state)
{
    (void)state;
    uint8_t contents[N];
    for (uint8_t i = 0; i < N; i++)
        contents[i] = i;
    memcpy(contents + 16, contents + 4, 3);
    for (turned_by = 1; turned_by < 4; turned_by++) {
        turned_from = 12;
        mn_image_pack *pack = make_pack("p.mnd", NULL, contents);
        const mn_pack_entry upright[] = {{0, 0}, {1, 0}, {2, 0}}, tested[] = {{3, 0}, {4, 0}};
        const mn_pack_part trained = {pack, 3, upright}, other = {pack, 2, tested};
        mn_overlap overlap = overlap_of(pack, pack);
        assert_int_equal(overlap.n_copied, 1);
        assert_string_equal(overlap.example, "g/c4");
        assert_int_equal(mn_pack_overlap(&trained, &other, &overlap, NULL), MN_OK);
        assert_int_equal(overlap.n_copied, 0); /* nobody turns these */
        mn_image_pack_destroy(&pack);
    }
    turned_from = N;
}

/* Half of a class from each of two training classes is no class of either. */
static void a_few_identical_pictures_are_counted_and_are_no_leak(void **state)
{
    (void)state;
    uint8_t contents[N];
    for (uint8_t i = 0; i < N; i++)
        contents[i] = i;
    memcpy(contents + 12, contents, 2);
    memcpy(contents + 14, contents + 4, 2);
    mn_image_pack *pack = make_pack("p.mnd", NULL, contents);
    const mn_overlap overlap = overlap_of(pack, pack);
    assert_false(mn_overlap_is_leak(&overlap));
    assert_int_equal(overlap.n_identical, 4);
    mn_image_pack_destroy(&pack);
}

static void nothing_is_compared_without_a_pack(void **state)
{
    (void)state;
    mn_image_pack *pack = make_pack("p.mnd", NULL, NULL);
    const mn_pack_part none = {0}, tested = part_of(pack, MN_TEST);
    mn_overlap overlap = {.n_named = 7};
    assert_int_equal(mn_pack_overlap(&none, &tested, &overlap, NULL), MN_OK);
    assert_int_equal(overlap.n_named + overlap.n_classes, 0);
    mn_image_pack_destroy(&pack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(classes_of_their_own_are_no_leak, sample_enter_folder,
                                        sample_leave_folder),
        cmocka_unit_test_setup_teardown(a_class_of_the_same_name_is_found_in_another_pack,
                                        sample_enter_folder, sample_leave_folder),
        cmocka_unit_test_setup_teardown(a_class_under_another_name_is_found_by_its_pictures,
                                        sample_enter_folder, sample_leave_folder),
        cmocka_unit_test_setup_teardown(a_few_identical_pictures_are_counted_and_are_no_leak,
                                        sample_enter_folder, sample_leave_folder),
        cmocka_unit_test_setup_teardown(a_turned_copy_is_the_same_picture, sample_enter_folder,
                                        sample_leave_folder),
        cmocka_unit_test_setup_teardown(nothing_is_compared_without_a_pack, sample_enter_folder,
                                        sample_leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
