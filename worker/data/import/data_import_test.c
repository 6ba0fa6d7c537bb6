#include "worker/data/import/data_import.h"

#include "common/file.h"
#include "worker/data/image_pack.h"
#include "worker/data/import/sample_data.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const both[] = {"o/images_background.zip", "o/images_evaluation.zip"};

static mn_image_pack *open_pack(const char *path)
{
    mn_image_pack *pack = NULL;
    mn_error err = {0};
    if (mn_image_pack_open(path, &pack, &err) != MN_OK)
        fail_msg("%s", err.message);
    return pack;
}

static void assert_no_output(void)
{
    assert_int_not_equal(access("out.mnd", F_OK), 0);
}

static void count_calls(void *user, uint32_t n_done, uint32_t n_all)
{
    assert_true(n_done <= n_all);
    *(uint32_t *)user = n_done;
}

static void archives_in_any_order_make_the_same_file(void **state)
{
    (void)state;
    const char *const turned[] = {both[1], both[0]};
    uint32_t done = 0;
    const mn_import_progress progress = {count_calls, &done};
    mn_error err;
    sample_write_omniglot("o");
    assert_int_equal(mn_import_omniglot(both, 2, NULL, 8, "1.mnd", &progress, &err), MN_OK);
    assert_int_equal(mn_import_omniglot(turned, 2, NULL, 8, "2.mnd", NULL, &err), MN_OK);
    assert_int_equal(done, 48);
    mn_image_pack *first = open_pack("1.mnd"), *second = open_pack("2.mnd");
    mn_digest a = mn_image_pack_digest(first), b = mn_image_pack_digest(second);
    assert_memory_equal(&a, &b, sizeof a);

    const mn_pack_index *index = mn_image_pack_index(first);
    assert_int_equal(index->n_classes, 12);
    assert_int_equal(index->n_groups, 4);
    assert_string_equal(index->groups[3], "Ddd");
    assert_string_equal(index->classes[4].name, "character02");
    assert_int_equal(index->n_entries[MN_TRAIN], 2 * 3 * 4); /* Aaa, Bbb; Ccc is val */
    assert_int_equal(index->entries[MN_VAL][0].class_number, 6);
    assert_int_equal(index->entries[MN_TEST][0].class_number, 9);
    const uint8_t *pixels = mn_image_pack_pixels(first, 4 * 4 + 1); /* character 5, drawing 2 */
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(pixels[i], i % (2 + 5 * 4 + 1) == 0 ? 255 : 0);
    mn_image_pack_destroy(&first);
    mn_image_pack_destroy(&second);
}

static void one_archive_without_lists_is_not_enough(void **state)
{
    (void)state;
    mn_error err;
    sample_write_omniglot("o");
    assert_int_equal(mn_import_omniglot(both, 1, NULL, 8, "out.mnd", NULL, &err), MN_ERR_USAGE);
    assert_non_null(strstr(err.message, "images_evaluation.zip"));
    assert_int_equal(mn_import_omniglot(both, 2, NULL, 0, "out.mnd", NULL, &err), MN_ERR_USAGE);
    assert_int_equal(mn_import_omniglot(both, 2, NULL, 5000, "out.mnd", NULL, &err), MN_ERR_USAGE);
    assert_int_equal(mn_import_omniglot(both, 0, NULL, 8, "out.mnd", NULL, &err), MN_ERR_USAGE);
    assert_no_output();
}

static void a_missing_or_cut_archive_is_told_and_leaves_no_output(void **state)
{
    (void)state;
    const char *const cut[] = {both[0], "cut.zip"}, *const none[] = {both[0], "none.zip"};
    char *bytes = NULL;
    size_t n;
    mn_error err;
    sample_write_omniglot("o");
    assert_int_equal(mn_import_omniglot(none, 2, NULL, 8, "out.mnd", NULL, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "none.zip"));
    assert_int_equal(mn_file_read(both[1], 1 << 20, &bytes, &n, &err), MN_OK);
    for (size_t length = 0; length < n; length += 37) {
        sample_write("cut.zip", bytes, length);
        assert_int_equal(mn_import_omniglot(cut, 2, NULL, 8, "out.mnd", NULL, &err), MN_ERR_DATA);
        assert_non_null(strstr(err.message, "cut.zip"));
        assert_no_output();
    }
    free(bytes);
}

static void damage_inside_an_archive_is_told_with_the_entry(void **state)
{
    (void)state;
    size_t n;
    uint8_t *png = sample_png(8, 3, &n);
    const char *const archive[] = {"bad.zip"};
    mn_error err;
    for (int kind = 0; kind < 2; kind++) {
        sample_entry entries[] = {{"images_background/A/c1/1.png", png, n},
                                  {"images_background/A/c1/2.png", png, kind == 0 ? n - 20 : n},
                                  {"images_background/B/c1/1.png", png, n},
                                  {"images_evaluation/C/c1/1.png", png, n},
                                  {NULL, NULL, 0}};
        sample_write_zip("bad.zip", entries);
        if (kind == 1) { /* break a byte of the second entry behind the archive's back */
            char *bytes = NULL;
            size_t size;
            assert_int_equal(mn_file_read("bad.zip", 1 << 20, &bytes, &size, &err), MN_OK);
            char *at = memmem(bytes, size, "c1/2.png", 8);
            assert_non_null(at);
            at[40] = (char)(at[40] ^ 0x55);
            sample_write("bad.zip", bytes, size);
            free(bytes);
        }
        assert_int_equal(mn_import_omniglot(archive, 1, NULL, 8, "out.mnd", NULL, &err),
                         MN_ERR_DATA);
        if (strstr(err.message, "bad.zip: entry images_background/A/c1/2.png") == NULL)
            fail_msg("%s", err.message);
        assert_no_output();
    }
    free(png);
}

static void entries_with_tricky_names_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        "images_background/../../etc/x.png", "/images_background/A/c/x.png",
        "images_background/A/x.png",         "images_background/A/c\n/x.png",
        "images_background/A//x.png",        "other/A/c/x.png",
        "images_background/A\\B/c/x.png",    "images_background/A/b/c/x.png"};
    size_t n;
    void *png = sample_png(8, 3, &n);
    const char *const archive[] = {"tricky.zip"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const sample_entry entries[] = {{names[i], png, n}, {NULL, NULL, 0}};
        mn_error err;
        sample_write_zip("tricky.zip", entries);
        assert_int_equal(mn_import_omniglot(archive, 1, NULL, 8, "out.mnd", NULL, &err),
                         MN_ERR_DATA);
        assert_non_null(strstr(err.message, "tricky.zip: entry "));
        assert_null(strchr(err.message, '\n'));
        assert_no_output();
    }
    free(png);
}

static void a_decompression_bomb_is_refused(void **state)
{
    (void)state;
    size_t n_png, n = 80000000;
    void *zeros = calloc(n, 1), *png = sample_png(8, 3, &n_png);
    assert_non_null(zeros);
    const char *const archive[] = {"bomb.zip"};
    const sample_entry entries[] = {{"images_background/A/c/x.png", zeros, n},
                                    {"images_background/B/c/x.png", png, n_png},
                                    {"images_evaluation/C/c/x.png", png, n_png},
                                    {NULL, NULL, 0}};
    mn_error err;
    sample_write_zip("bomb.zip", entries);
    assert_int_equal(mn_import_omniglot(archive, 1, NULL, 8, "out.mnd", NULL, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "would be 80000000 bytes"));
    assert_no_output();
    free(zeros);
    free(png);
}

static void write_png_at(const char *path, uint32_t side, uint32_t period)
{
    size_t n;
    void *png = sample_png(side, period, &n);
    sample_write(path, png, n);
    free(png);
}

static void a_folder_of_classes_and_groups_is_imported(void **state)
{
    (void)state;
    const char *const folders[] = {"f/cats", "f/dogs", "f/birds/owls", "f/birds/.hidden"};
    mn_error err;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        assert_int_equal(mn_folder_make(folders[i], &err), MN_OK);
    write_png_at("f/cats/1.png", 8, 4);
    write_png_at("f/cats/2.PNG", 16, 5);
    write_png_at("f/dogs/1.png", 4, 6);
    write_png_at("f/birds/owls/1.png", 5, 7);
    write_png_at("f/birds/.hidden/1.png", 5, 7);
    sample_write("f/cats/notes.txt", "x", 1);
    const mn_import_folder_options options = {.folder = "f",
                                              .image_size = 4,
                                              .channels = 3,
                                              .val_share = 0.34,
                                              .test_share = 0.34,
                                              .seed = 3};
    assert_int_equal(mn_import_folder(&options, "out.mnd", NULL, &err), MN_OK);
    mn_image_pack *pack = open_pack("out.mnd");
    const mn_pack_index *index = mn_image_pack_index(pack);
    assert_int_equal(index->n_images, 4);
    assert_int_equal(index->n_classes, 3);
    assert_int_equal(index->channels, 3);
    assert_string_equal(index->groups[index->classes[0].group], "all");
    assert_string_equal(index->classes[0].name, "cats");
    assert_string_equal(index->groups[index->classes[2].group], "birds");
    assert_string_equal(index->classes[2].name, "owls");
    for (int split = 0; split < MN_N_SPLITS; split++)
        assert_int_equal(index->n_entries[split], 4);
    mn_image_pack_destroy(&pack);
}

static void a_folder_of_another_shape_is_told(void **state)
{
    (void)state;
    mn_import_folder_options options = {.folder = "f", .image_size = 4, .channels = 1};
    mn_error err;
    assert_int_equal(mn_import_folder(&options, "out.mnd", NULL, &err), MN_ERR_NO_INPUT);
    assert_int_equal(mn_folder_make("f/a/b/c", &err), MN_OK);
    assert_int_equal(mn_import_folder(&options, "out.mnd", NULL, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "f/a/b/c is a folder too deep"));
    assert_int_equal(rmdir("f/a/b/c"), 0);
    assert_int_equal(mn_import_folder(&options, "out.mnd", NULL, &err), MN_ERR_DATA);
    assert_string_equal(err.message, "f: no PNG picture in it");
    write_png_at("f/1.png", 4, 3);
    assert_int_equal(mn_import_folder(&options, "out.mnd", NULL, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "f/1.png is in no class"));
    assert_int_equal(rename("f/1.png", "f/a/1.png"), 0);
    sample_write("f/a/2.png", "broken", 6);
    assert_int_equal(mn_import_folder(&options, "out.mnd", NULL, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "f/a/2.png is not a good PNG"));
    assert_no_output();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(archives_in_any_order_make_the_same_file),
        TEST(one_archive_without_lists_is_not_enough),
        TEST(a_missing_or_cut_archive_is_told_and_leaves_no_output),
        TEST(damage_inside_an_archive_is_told_with_the_entry),
        TEST(entries_with_tricky_names_are_refused),
        TEST(a_decompression_bomb_is_refused),
        TEST(a_folder_of_classes_and_groups_is_imported),
        TEST(a_folder_of_another_shape_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
