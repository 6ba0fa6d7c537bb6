#include "worker/data/import/data_import.h"

#include "common/file.h"
#include "worker/data/image_pack.h"
#include "worker/data/import/folder_list.h"
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
    assert_int_equal(
        mn_import_omniglot(both, 2, NULL, MN_VAL_SIXTH, 8, "1.mnd", &progress, NULL, &err), MN_OK);
    assert_int_equal(
        mn_import_omniglot(turned, 2, NULL, MN_VAL_SIXTH, 8, "2.mnd", NULL, NULL, &err), MN_OK);
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
    assert_int_equal(
        mn_import_omniglot(both, 1, NULL, MN_VAL_SIXTH, 8, "out.mnd", NULL, NULL, &err),
        MN_ERR_USAGE);
    assert_non_null(strstr(err.message, "images_evaluation.zip"));
    assert_int_equal(
        mn_import_omniglot(both, 2, NULL, MN_VAL_SIXTH, 0, "out.mnd", NULL, NULL, &err),
        MN_ERR_USAGE);
    assert_int_equal(
        mn_import_omniglot(both, 2, NULL, MN_VAL_SIXTH, 5000, "out.mnd", NULL, NULL, &err),
        MN_ERR_USAGE);
    assert_int_equal(
        mn_import_omniglot(both, 0, NULL, MN_VAL_SIXTH, 8, "out.mnd", NULL, NULL, &err),
        MN_ERR_USAGE);
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
    assert_int_equal(
        mn_import_omniglot(none, 2, NULL, MN_VAL_SIXTH, 8, "out.mnd", NULL, NULL, &err),
        MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "none.zip"));
    assert_int_equal(mn_file_read(both[1], 1 << 20, &bytes, &n, &err), MN_OK);
    for (size_t length = 0; length < n; length += 37) {
        sample_write("cut.zip", bytes, length);
        assert_int_equal(
            mn_import_omniglot(cut, 2, NULL, MN_VAL_SIXTH, 8, "out.mnd", NULL, NULL, &err),
            MN_ERR_DATA);
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
        assert_int_equal(
            mn_import_omniglot(archive, 1, NULL, MN_VAL_SIXTH, 8, "out.mnd", NULL, NULL, &err),
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
        assert_int_equal(
            mn_import_omniglot(archive, 1, NULL, MN_VAL_SIXTH, 8, "out.mnd", NULL, NULL, &err),
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
    assert_int_equal(
        mn_import_omniglot(archive, 1, NULL, MN_VAL_SIXTH, 8, "out.mnd", NULL, NULL, &err),
        MN_ERR_DATA);
    assert_non_null(strstr(err.message, "would be 80000000 bytes"));
    assert_no_output();
    free(zeros);
    free(png);
}

/* The picture of 8 x 8 pixels of this period. */
static void assert_period(const mn_image_pack *pack, uint32_t image, uint32_t period)
{
    const uint8_t *pixels = mn_image_pack_pixels(pack, image);
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(pixels[i], i % period == 0 ? 255 : 0);
}

static void a_run_is_a_group_and_a_pair_of_drawings_a_class(void **state)
{
    (void)state;
    static const char *const below[] = {"", "omniglot/all runs/"};
    for (int i = 0; i < 2; i++) {
        mn_image_pack *pack = NULL;
        mn_error err = {0};
        sample_write_runs("runs.zip", below[i], NULL);
        if (mn_import_omniglot_runs("runs.zip", 8, "runs.mnd", NULL, NULL, &err) != MN_OK ||
            mn_image_pack_open("runs.mnd", &pack, &err) != MN_OK)
            fail_msg("%s", err.message);
        const mn_pack_index *index = mn_image_pack_index(pack);
        assert_int_equal(index->n_groups, 2);
        assert_string_equal(index->groups[1], "run02");
        assert_int_equal(index->n_classes, 6);
        assert_int_equal(index->n_images, 12);
        assert_int_equal(index->n_entries[MN_TRAIN] + index->n_entries[MN_VAL], 0);
        assert_int_equal(index->n_entries[MN_TEST], 6);
        static const char *const names[] = {"class01=item02", "class02=item03", "class03=item01"};
        static const uint32_t items[] = {2, 3, 1};
        for (uint32_t c = 0; c < 6; c++) {
            const mn_pack_class *class = &index->classes[c];
            assert_string_equal(class->name, names[c % 3]);
            assert_int_equal(class->group, c / 3);
            assert_int_equal(class->n_images, 2);
            assert_period(pack, class->first_image, 2 + 6 * (c / 3) + c % 3);
            assert_period(pack, class->first_image + 1, 2 + 6 * (c / 3) + 3 + items[c % 3] - 1);
        }
        mn_image_pack_destroy(&pack);
    }
}

static void odd_archives_of_runs_are_told_with_file_and_line(void **state)
{
    (void)state;
#define GOOD                                                                                       \
    "run02/test/item01.png run02/training/class01.png\n"                                           \
    "run02/test/item02.png run02/training/class02.png\n"
    static const char *const odd[][2] = {
        {"", "run02/class_labels.txt has 0 lines, that of the first run 3"},
        {GOOD, "has 2 lines, that of the first run 3"},
        {GOOD "run02/test/item03.png\n",
         "run02/class_labels.txt, line 3: \"run02/test/item03.png\""},
        {GOOD "run02/test/item03.png run02/training/class03.png x\n", "line 3"},
        {GOOD "run02/training/class03.png run02/test/item03.png\n", "line 3"},
        {GOOD "run01/test/item03.png run01/training/class03.png\n", "line 3"},
        {GOOD "run02/test/../item03.png run02/training/class03.png\n", "line 3"},
        {GOOD "run02/test/item04.png run02/training/class03.png\n", "has no run02/test/item04.png"},
        {GOOD "run02/test/item03.png run02/training/class02.png\n",
         "run02/training/class02.png is named twice"},
        {GOOD "\n\r\nrun02/test/item03.png run02/training/.png\n", "line 5"},
    };
    mn_error err;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        sample_write_runs("odd.zip", "", odd[i][0]);
        assert_int_equal(mn_import_omniglot_runs("odd.zip", 8, "out.mnd", NULL, NULL, &err),
                         MN_ERR_DATA);
        if (strstr(err.message, odd[i][1]) == NULL || strstr(err.message, "odd.zip") == NULL)
            fail_msg("%zu: %s", i, err.message);
        assert_no_output();
    }
    const sample_entry none[] = {{"images_evaluation/A/c/x.png", "", 0}, {NULL, NULL, 0}};
    sample_write_zip("none.zip", none);
    assert_int_equal(mn_import_omniglot_runs("none.zip", 8, "out.mnd", NULL, NULL, &err),
                     MN_ERR_DATA);
    assert_non_null(strstr(err.message, "all_runs.zip"));
    assert_int_equal(mn_import_omniglot_runs("nothing.zip", 8, "out.mnd", NULL, NULL, &err),
                     MN_ERR_NO_INPUT);
    sample_write_runs("runs.zip", "", NULL);
    assert_int_equal(mn_import_omniglot_runs("runs.zip", 0, "out.mnd", NULL, NULL, &err),
                     MN_ERR_USAGE);
    char *bytes = NULL;
    size_t n;
    assert_int_equal(mn_file_read("runs.zip", 1 << 20, &bytes, &n, &err), MN_OK);
    for (size_t length = 0; length < n; length += 61) {
        sample_write("cut.zip", bytes, length);
        assert_int_equal(mn_import_omniglot_runs("cut.zip", 8, "out.mnd", NULL, NULL, &err),
                         MN_ERR_DATA);
        assert_non_null(strstr(err.message, "cut.zip"));
        assert_no_output();
    }
    free(bytes);
}

static void a_picture_that_no_label_names_is_refused(void **state)
{
    (void)state;
    size_t n;
    uint8_t *png = sample_png(8, 3, &n);
    static const char labels[] = "r/test/a.png r/training/b.png";
    const sample_entry entries[] = {{"r/class_labels.txt", labels, sizeof labels - 1},
                                    {"r/test/a.png", png, n},
                                    {"r/training/b.png", png, n},
                                    {"r/readme.txt", "", 0},
                                    {"r/training/c.png", png, n},
                                    {NULL, NULL, 0}};
    mn_error err;
    sample_write_zip("more.zip", entries);
    assert_int_equal(mn_import_omniglot_runs("more.zip", 8, "out.mnd", NULL, NULL, &err),
                     MN_ERR_DATA);
    assert_non_null(strstr(err.message, "names the picture r/training/c.png"));
    assert_no_output();
    free(png);
}

static void background_alphabets_alone_are_split_as_asked(void **state)
{
    (void)state;
    sample_write_omniglot("o");
    mn_error err;
    for (uint32_t n_val = 0; n_val < 3; n_val++) { /* of 3 alphabets of 3 characters */
        mn_image_pack *pack = NULL;
        assert_int_equal(mn_import_omniglot(both, 1, NULL, n_val, 8, "b.mnd", NULL, NULL, &err),
                         MN_OK);
        assert_int_equal(mn_image_pack_open("b.mnd", &pack, &err), MN_OK);
        const mn_pack_index *index = mn_image_pack_index(pack);
        assert_int_equal(index->n_entries[MN_TRAIN], (3 - n_val) * 3 * 4);
        assert_int_equal(index->n_entries[MN_VAL], n_val * 3 * 4);
        assert_int_equal(index->n_entries[MN_TEST], 0);
        mn_image_pack_destroy(&pack);
    }
    assert_int_equal(mn_import_omniglot(both, 1, NULL, 3, 8, "out.mnd", NULL, NULL, &err),
                     MN_ERR_USAGE);
    assert_non_null(strstr(err.message, "--val-alphabets 3: there are 3 alphabets"));
    assert_int_equal(mn_import_omniglot(both + 1, 1, NULL, 0, 8, "out.mnd", NULL, NULL, &err),
                     MN_ERR_USAGE); /* evaluation alphabets alone: nothing to train on */
    assert_no_output();
}

static void write_png_at(const char *path, uint32_t side, uint32_t period)
{
    size_t n;
    void *png = sample_png(side, period, &n);
    sample_write(path, png, n);
    free(png);
}

static void write_jpeg_at(const char *path, uint32_t side, uint32_t period)
{
    size_t n;
    void *jpeg = sample_jpeg(side, period, false, &n);
    sample_write(path, jpeg, n);
    free(jpeg);
}

static mn_import_report report;

static mn_import_options plain_options(void)
{
    return (mn_import_options){
        .image_size = 4, .channels = 1, .shares = {0.34, 0.33, 0.33}, .seed = 3};
}

static mn_image_pack *import(const mn_import_options *options)
{
    mn_error err = {0};
    if (mn_import_folder("f", options, "out.mnd", NULL, &report, &err) != MN_OK)
        fail_msg("%s", err.message);
    return open_pack("out.mnd");
}

static void assert_refused(const mn_import_options *options, mn_status status, const char *words)
{
    mn_error err = {0};
    assert_int_equal(mn_import_folder("f", options, "out.mnd", NULL, &report, &err), status);
    if (strstr(err.message, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.message, words);
    assert_no_output();
}

static void a_folder_of_classes_and_groups_is_imported(void **state)
{
    (void)state;
    const char *const folders[] = {"f/cats", "f/dogs", "f/birds/owls", "f/birds/.hidden"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        assert_int_equal(mn_folder_make(folders[i], NULL), MN_OK);
    write_png_at("f/cats/1.png", 8, 4);
    write_jpeg_at("f/cats/2.JPG", 16, 5);
    write_png_at("f/dogs/1.png", 4, 6);
    write_png_at("f/birds/owls/1.png", 5, 7);
    write_png_at("f/birds/.hidden/1.png", 5, 7);
    sample_write("f/cats/notes.txt", "x", 1);
    mn_import_options options = plain_options();
    options.channels = 3;
    mn_image_pack *pack = import(&options);
    const mn_pack_index *index = mn_image_pack_index(pack);
    assert_int_equal(index->n_images, 4);
    assert_int_equal(index->n_classes, 3);
    assert_int_equal(index->channels, 3);
    assert_string_equal(index->groups[index->classes[0].group], "all");
    assert_string_equal(index->classes[0].name, "cats");
    assert_string_equal(index->groups[index->classes[2].group], "birds");
    assert_string_equal(index->classes[2].name, "owls");
    for (int split = 0; split < MN_N_SPLITS; split++)
        assert_int_equal(index->n_entries[split], 1);
    assert_int_equal(report.n_png, 3);
    assert_int_equal(report.n_jpeg, 1);
    assert_int_equal(report.n_reasons, 2); /* hidden; no picture */
    mn_image_pack_destroy(&pack);
    options.turned = true;
    pack = import(&options);
    assert_int_equal(mn_image_pack_index(pack)->n_entries[MN_VAL], 4);
    mn_image_pack_destroy(&pack);
}

static void write_split_folders(void)
{
    static const char *const folders[] = {"f/train/cat", "f/train/dog", "f/Validation/owl",
                                          "f/test/fish"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[64];
        assert_int_equal(mn_folder_make(folders[i], NULL), MN_OK);
        (void)snprintf(path, sizeof path, "%s/1.png", folders[i]);
        write_png_at(path, 4, 3);
    }
}

static void folders_of_splits_are_splits(void **state)
{
    (void)state;
    mn_import_options options = plain_options();
    write_split_folders();
    mn_image_pack *pack = import(&options);
    const mn_pack_index *index = mn_image_pack_index(pack);
    assert_int_equal(index->n_entries[MN_TRAIN], 2);
    assert_int_equal(index->n_entries[MN_VAL], 1);
    assert_int_equal(index->n_entries[MN_TEST], 1);
    assert_string_equal(index->classes[index->entries[MN_VAL][0].class_number].name, "owl");
    assert_string_equal(index->groups[index->classes[0].group], "all");
    assert_non_null(strstr(report.splits, "by the folders train, val and test"));
    mn_image_pack_destroy(&pack);

    assert_int_equal(mn_folder_make("f/masks/cat", NULL), MN_OK); /* beside them: left */
    write_png_at("f/masks/cat/1.png", 4, 3);
    pack = import(&options);
    assert_int_equal(mn_image_pack_index(pack)->n_classes, 4);
    assert_int_equal(report.left[0].n, 1);
    assert_string_equal(report.left[0].first, "f/masks");
    mn_image_pack_destroy(&pack);
}

static void a_class_in_two_splits_is_refused_or_put_together(void **state)
{
    (void)state;
    mn_import_options options = plain_options();
    write_split_folders();
    assert_int_equal(mn_folder_make("f/test/cat", NULL), MN_OK);
    write_png_at("f/test/cat/1.png", 4, 3); /* the same file name too */
    assert_refused(&options, MN_ERR_DATA, "f: class all/cat is there twice; a test needs classes");
    options.splits = MN_SPLITS_SHARES;
    mn_image_pack *pack = import(&options);
    const mn_pack_index *index = mn_image_pack_index(pack);
    assert_int_equal(index->n_classes, 4);
    assert_string_equal(index->classes[0].name, "cat");
    assert_int_equal(index->classes[0].n_images, 2);
    mn_image_pack_destroy(&pack);
}

static void one_class_called_train_among_others_is_a_class(void **state)
{
    (void)state;
    static const char *const folders[] = {"f/train", "f/bus", "f/plane"};
    for (size_t i = 0; i < 3; i++) {
        char path[64];
        assert_int_equal(mn_folder_make(folders[i], NULL), MN_OK);
        (void)snprintf(path, sizeof path, "%s/1.png", folders[i]);
        write_png_at(path, 4, 3);
    }
    const mn_import_options options = plain_options();
    mn_image_pack *pack = import(&options);
    assert_int_equal(mn_image_pack_index(pack)->n_classes, 3);
    mn_image_pack_destroy(&pack);
}

static void lists_make_the_splits_of_a_folder(void **state)
{
    (void)state;
    mn_import_options options = plain_options();
    write_split_folders(); /* the lists overrule them */
    options.splits = MN_SPLITS_LISTS;
    options.lists = "lists";
    assert_refused(&options, MN_ERR_USAGE, "--splits lists: expected a folder");
    assert_int_equal(mn_folder_make("lists", NULL), MN_OK);
    assert_refused(&options, MN_ERR_NO_INPUT, "neither train.txt nor val.txt nor test.txt");
    sample_write("lists/train.txt", "owl\n", 4);
    sample_write("lists/test.txt", "all/cat\ndog\n", 12);
    for (int form = 0; form < 2; form++) {
        options.lists = form == 0 ? "lists" : "lists/test.txt,lists/train.txt";
        mn_image_pack *pack = import(&options);
        const mn_pack_index *index = mn_image_pack_index(pack);
        assert_int_equal(index->n_entries[MN_TRAIN], 1);
        assert_int_equal(index->n_entries[MN_VAL], 0);
        assert_int_equal(index->n_entries[MN_TEST], 2);
        assert_string_equal(index->classes[index->entries[MN_TRAIN][0].class_number].name, "owl");
        assert_int_equal(report.unlisted.n, 1);
        assert_string_equal(report.unlisted.first, "fish");
        mn_image_pack_destroy(&pack);
    }
    options.lists = "lists/test.txt,lists/test.txt";
    assert_int_equal(unlink("out.mnd"), 0);
    assert_refused(&options, MN_ERR_USAGE, "each split once");
}

static void what_is_left_is_counted_by_reason_with_the_first(void **state)
{
    (void)state;
    static const char *const files[] = {"f/a/1.gif",     "f/a/2.GIF",        "f/a/._1.png",
                                        "f/a/Thumbs.db", "f/a/@eaDir/1.png", "f/__MACOSX/a/1.png",
                                        "f/a/notes.txt", "f/loose.png",      "f/only/1.webp"};
    static const struct {
        const char *what;
        uint64_t n;
        const char *first;
    } expected[] = {{"GIF", 2, "f/a/1.gif"},
                    {MN_LEFT_SYSTEM, 4, NULL},
                    {"files that are no pictures by their names", 1, "f/a/notes.txt"},
                    {"pictures in no class", 1, "f/loose.png"},
                    {"WebP", 1, "f/only/1.webp"},
                    {"folders without a PNG or JPEG picture", 1, "f/only"}};
    static const char *const folders[] = {"f/a/@eaDir", "f/__MACOSX/a", "f/only"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        assert_int_equal(mn_folder_make(folders[i], NULL), MN_OK);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        sample_write(files[i], "x", 1);
    write_png_at("f/a/1.png", 4, 3);
    const mn_import_options options = plain_options();
    mn_image_pack *pack = import(&options);
    assert_int_equal(mn_image_pack_index(pack)->n_images, 1);
    assert_int_equal(report.n_reasons, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        uint32_t at = 0;
        while (at < report.n_reasons && strcmp(report.left[at].what, expected[i].what) != 0)
            at++;
        assert_true(at < report.n_reasons);
        assert_int_equal(report.left[at].n, expected[i].n);
        if (expected[i].first != NULL)
            assert_string_equal(report.left[at].first, expected[i].first);
    }
    mn_image_pack_destroy(&pack);

    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    mn_import_report_print(&report, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "taken: 1 pictures (1 PNG, 0 JPEG)\n"));
    assert_non_null(strstr(text, "2  GIF: turn them into PNG or JPEG, as `mogrify -format png` "
                                 "does (first: f/a/1.gif)\n"));
    free(text);
}

static void damaged_pictures_are_counted_or_left_out(void **state)
{
    (void)state;
    mn_import_options options = plain_options();
    assert_int_equal(mn_folder_make("f/a", NULL), MN_OK);
    write_png_at("f/a/1.png", 4, 3);
    sample_write("f/a/2.png", "broken", 6);
    sample_write("f/a/3.jpg", "\xff\xd8\xff broken", 10);
    assert_refused(&options, MN_ERR_DATA,
                   "f/a/2.png is no picture, whatever its name says; expected PNG or JPEG; 1 more "
                   "are damaged; mend them, or leave them out with --skip-damaged");
    options.skip_damaged = true;
    mn_image_pack *pack = import(&options);
    assert_int_equal(mn_image_pack_index(pack)->n_images, 1);
    assert_int_equal(report.left[0].n, 2);
    mn_image_pack_destroy(&pack);
    options.skip_damaged = false;
    assert_int_equal(unlink("f/a/3.jpg"), 0);
    assert_int_equal(unlink("out.mnd"), 0);
    assert_refused(&options, MN_ERR_DATA,
                   "f/a/2.png is no picture, whatever its name says; expected PNG or JPEG; mend "
                   "it, or leave it out with --skip-damaged");
}

static void pictures_of_one_colour_are_taken_but_told(void **state)
{
    (void)state;
    const mn_import_options options = plain_options();
    assert_int_equal(mn_folder_make("f/a", NULL), MN_OK);
    write_png_at("f/a/1.png", 4, 3);
    write_png_at("f/a/2.png", 4, 1); /* all ink */
    mn_image_pack *pack = import(&options);
    assert_int_equal(report.blank.n, 1);
    assert_string_equal(report.blank.first, "f/a/2.png");
    mn_image_pack_destroy(&pack);
}

static void folders_in_folders_are_groups_in_groups_and_links_do_not_trap(void **state)
{
    (void)state;
    mn_import_options options = plain_options();
    assert_int_equal(mn_folder_make("f/animals/birds/owl", NULL), MN_OK);
    write_png_at("f/animals/birds/owl/1.png", 4, 3);
    assert_int_equal(symlink("..", "f/animals/birds/up"), 0);
    assert_int_equal(symlink("nowhere", "f/animals/gone"), 0);
    mn_image_pack *pack = import(&options);
    const mn_pack_index *index = mn_image_pack_index(pack);
    assert_int_equal(index->n_classes, 1);
    assert_string_equal(index->groups[0], "animals:birds");
    assert_int_equal(report.n_reasons, 2);
    mn_image_pack_destroy(&pack);
    assert_int_equal(unlink("out.mnd"), 0);
    assert_int_equal(mn_folder_make("f/1/2/3/4/5/6/7/8/9", NULL), MN_OK);
    assert_refused(&options, MN_ERR_DATA, "f/1/2/3/4/5/6/7/8/9 is a folder too deep");
}

static void a_folder_of_another_shape_is_told(void **state)
{
    (void)state;
    const mn_import_options options = plain_options();
    assert_refused(&options, MN_ERR_NO_INPUT, "cannot look at the folder f");
    sample_write("f", "zip", 3);
    assert_refused(&options, MN_ERR_DATA, "f is no good zip or tar archive");
    assert_int_equal(unlink("f"), 0);
    assert_int_equal(mn_folder_make("f/a", NULL), MN_OK);
    assert_refused(&options, MN_ERR_DATA, "f: no picture to take in it");
    write_png_at("f/1.png", 4, 3);
    assert_refused(&options, MN_ERR_DATA, "f: no picture to take in it");
    assert_string_equal(report.left[0].what, "pictures in no class");
}

static void archives_that_were_packed_anew_are_read(void **state)
{
    (void)state;
    size_t n;
    void *png = sample_png(8, 3, &n);
    const sample_entry entries[] = {{"omniglot/python/images_background/A/c1/1.png", png, n},
                                    {"images_background\\B\\c1\\1.png", png, n},
                                    {"images_evaluation/C/c1/1.png", png, n},
                                    {"images_evaluation/C/c1/._1.png", "x", 1},
                                    {"__MACOSX/images_evaluation/C/c1/1.png", "x", 1},
                                    {"omniglot/python/strokes.zip", "x", 1},
                                    {NULL, NULL, 0}};
    const char *const archive[] = {"again.zip"};
    mn_error err = {0};
    report = (mn_import_report){0};
    sample_write_zip("again.zip", entries);
    if (mn_import_omniglot(archive, 1, NULL, MN_VAL_SIXTH, 8, "out.mnd", NULL, &report, &err) !=
        MN_OK)
        fail_msg("%s", err.message);
    mn_image_pack *pack = open_pack("out.mnd");
    assert_int_equal(mn_image_pack_index(pack)->n_classes, 3);
    assert_int_equal(report.n_png, 3);
    assert_int_equal(report.n_reasons, 2);
    assert_int_equal(report.left[0].n, 2);
    assert_string_equal(report.left[1].what, "archives in an archive");
    mn_image_pack_destroy(&pack);
    free(png);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(archives_in_any_order_make_the_same_file),
        TEST(one_archive_without_lists_is_not_enough),
        TEST(a_missing_or_cut_archive_is_told_and_leaves_no_output),
        TEST(damage_inside_an_archive_is_told_with_the_entry),
        TEST(a_run_is_a_group_and_a_pair_of_drawings_a_class),
        TEST(odd_archives_of_runs_are_told_with_file_and_line),
        TEST(a_picture_that_no_label_names_is_refused),
        TEST(background_alphabets_alone_are_split_as_asked),
        TEST(entries_with_tricky_names_are_refused),
        TEST(a_decompression_bomb_is_refused),
        TEST(a_folder_of_classes_and_groups_is_imported),
        TEST(folders_of_splits_are_splits),
        TEST(a_class_in_two_splits_is_refused_or_put_together),
        TEST(one_class_called_train_among_others_is_a_class),
        TEST(lists_make_the_splits_of_a_folder),
        TEST(what_is_left_is_counted_by_reason_with_the_first),
        TEST(damaged_pictures_are_counted_or_left_out),
        TEST(pictures_of_one_colour_are_taken_but_told),
        TEST(folders_in_folders_are_groups_in_groups_and_links_do_not_trap),
        TEST(a_folder_of_another_shape_is_told),
        TEST(archives_that_were_packed_anew_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
