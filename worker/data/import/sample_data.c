#include "worker/data/import/sample_data.h"

#include "common/file.h"
#include <archive.h>
#include <archive_entry.h>
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h> /* after stdio.h, which it uses */

#include <cmocka.h>

int sample_enter_folder(void **state)
{
    char *folder = strdup("/tmp/mnemo-tasks-test-XXXXXX");
    *state = folder;
    if (folder == NULL || mkdtemp(folder) == NULL || chdir(folder) != 0)
        return -1;
    char cache[64];
    (void)snprintf(cache, sizeof cache, "%s/cache", folder);
    return setenv("MNEMO_CACHE", cache, 1);
}

int sample_leave_folder(void **state)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    free(*state);
    return chdir("/") != 0 || system(command) != 0 ? -1 : 0;
}

void sample_write_pack(const char *path)
{
    static const char *const groups[] = {"a", "b", "c"};
    static const char *const names[] = {"c0", "c1", "c2", "c3", "c4",  "c5",
                                        "c6", "c7", "c8", "c9", "c10", "c11"};
    mn_pack_class classes[SAMPLE_CLASSES];
    mn_pack_entry train[14], others[10];
    for (uint32_t c = 0; c < SAMPLE_CLASSES; c++) {
        classes[c] = (mn_pack_class){.name = names[c],
                                     .group = c < 2   ? 0
                                              : c < 7 ? 1
                                                      : 2,
                                     .first_image = c * SAMPLE_IMAGES,
                                     .n_images = SAMPLE_IMAGES};
        if (c < 7) {
            train[2 * c] = (mn_pack_entry){c, 0};
            train[2 * c + 1] = (mn_pack_entry){c, 1};
        }
        if (c >= 2)
            others[c - 2] = (mn_pack_entry){c, 0};
    }
    const mn_pack_index index = {.height = SAMPLE_SIDE,
                                 .width = SAMPLE_SIDE,
                                 .channels = 1,
                                 .n_images = SAMPLE_CLASSES * SAMPLE_IMAGES,
                                 .n_classes = SAMPLE_CLASSES,
                                 .n_groups = 3,
                                 .n_entries = {14, 5, 5},
                                 .classes = classes,
                                 .groups = groups,
                                 .entries = {train, others, others + 5}};
    mn_pack_writer *writer = NULL;
    mn_error err;
    assert_int_equal(mn_pack_writer_new(path, &index, &writer, &err), MN_OK);
    for (uint32_t i = 0; i < index.n_images; i++) {
        uint8_t pixels[SAMPLE_SIDE * SAMPLE_SIDE] = {(uint8_t)(i / SAMPLE_IMAGES),
                                                     (uint8_t)(i % SAMPLE_IMAGES), 200};
        assert_int_equal(mn_pack_writer_add(writer, pixels, &err), MN_OK);
    }
    assert_int_equal(mn_pack_writer_finish(&writer, &err), MN_OK);
    assert_null(writer);
}

void *sample_png(uint32_t side, uint32_t period, size_t *n)
{
    uint8_t *pixels = malloc((size_t)side * side);
    assert_non_null(pixels);
    for (uint32_t i = 0; i < side * side; i++)
        pixels[i] = i % period == 0 ? 0 : 255;
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = side, .height = side, .format = PNG_FORMAT_GRAY};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    void *bytes = malloc(size);
    assert_non_null(bytes);
    assert_true(png_image_write_to_memory(&image, bytes, &size, 0, pixels, 0, NULL));
    free(pixels);
    *n = size;
    return bytes;
}

void *sample_jpeg(uint32_t side, uint32_t period, bool progressive, size_t *n)
{
    struct jpeg_compress_struct jpeg = {0};
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    uint8_t *row = malloc(side);
    assert_non_null(row);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = jpeg.image_height = side;
    jpeg.input_components = 1;
    jpeg.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    if (progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    for (uint32_t y = 0; y < side; y++) {
        for (uint32_t x = 0; x < side; x++)
            row[x] = (x + y * side) % period == 0 ? 0 : 255;
        (void)jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    free(row);
    *n = size;
    return bytes;
}

void sample_write_zip(const char *path, const sample_entry *entries)
{
    struct archive *zip = archive_write_new();
    assert_non_null(zip);
    assert_int_equal(archive_write_set_format_zip(zip), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(zip, path), ARCHIVE_OK);
    for (; entries->name != NULL; entries++) {
        const size_t n = strlen(entries->name);
        struct archive_entry *entry = archive_entry_new();
        assert_non_null(entry);
        archive_entry_set_pathname(entry, entries->name);
        archive_entry_set_filetype(entry,
                                   n > 0 && entries->name[n - 1] == '/' ? AE_IFDIR : AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, (la_int64_t)entries->n);
        assert_int_equal(archive_write_header(zip, entry), ARCHIVE_OK);
        assert_int_equal(archive_write_data(zip, entries->bytes, entries->n), entries->n);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_free(zip), ARCHIVE_OK);
}

static void write_alphabets(const char *path, const char *top, const char *const *alphabets,
                            unsigned n_alphabets, unsigned first_character)
{
    enum { CHARACTERS = 3, DRAWINGS = 4, MOST = 3 * CHARACTERS * DRAWINGS };
    static char names[MOST][100];
    sample_entry entries[MOST + 1] = {0};
    unsigned n = 0;
    for (unsigned a = 0; a < n_alphabets; a++)
        for (unsigned c = 0; c < CHARACTERS; c++)
            for (unsigned d = 0; d < DRAWINGS; d++, n++) {
                unsigned number = first_character + a * CHARACTERS + c;
                (void)snprintf(names[n], sizeof names[n], "%s/%s/character%02u/%04u_%02u.png", top,
                               alphabets[a], c + 1, number, d + 1);
                entries[n].name = names[n];
                entries[n].bytes = sample_png(8, 2 + number * DRAWINGS + d, &entries[n].n);
            }
    sample_write_zip(path, entries);
    for (unsigned i = 0; i < n; i++)
        free((void *)(uintptr_t)entries[i].bytes);
}

void sample_write_omniglot(const char *folder)
{
    static const char *const background[] = {"Aaa", "Bbb", "Ccc"}, *const evaluation[] = {"Ddd"};
    char path[200];
    mn_error err;
    assert_int_equal(mn_folder_make(folder, &err), MN_OK);
    (void)snprintf(path, sizeof path, "%s/images_background.zip", folder);
    write_alphabets(path, "images_background", background, 3, 1);
    (void)snprintf(path, sizeof path, "%s/images_evaluation.zip", folder);
    write_alphabets(path, "images_evaluation", evaluation, 1, 10);
}

void sample_write_runs(const char *path, const char *below, const char *labels)
{
    enum { PAIRS = 3, PICTURES = 2 * PAIRS, ENTRIES = 2 * (PICTURES + 2) };
    static char names[ENTRIES][120], texts[2][400];
    static const unsigned partner[PAIRS] = {3, 1, 2};
    sample_entry entries[ENTRIES + 1] = {0};
    unsigned n = 0;
    for (unsigned run = 0; run < 2; run++) {
        texts[run][0] = '\0';
        for (unsigned i = 0; i < PAIRS; i++)
            (void)snprintf(texts[run] + strlen(texts[run]), 100,
                           "run%02u/test/item%02u.png run%02u/training/class%02u.png\n", run + 1,
                           i + 1, run + 1, partner[i]);
        if (run == 1 && labels != NULL)
            (void)snprintf(texts[run], sizeof texts[run], "%s", labels);
        (void)snprintf(names[n], sizeof names[n], "%srun%02u/", below, run + 1);
        entries[n] = (sample_entry){.name = names[n], .bytes = ""};
        n++;
        (void)snprintf(names[n], sizeof names[n], "%srun%02u/class_labels.txt", below, run + 1);
        entries[n] = (sample_entry){.name = names[n], .bytes = texts[run], .n = strlen(texts[run])};
        n++;
        for (unsigned i = 0; i < PICTURES; i++, n++) {
            (void)snprintf(names[n], sizeof names[n], "%srun%02u/%s%02u.png", below, run + 1,
                           i < PAIRS ? "training/class" : "test/item", i % PAIRS + 1);
            entries[n].name = names[n];
            entries[n].bytes = sample_png(8, 2 + PICTURES * run + i, &entries[n].n);
        }
    }
    sample_write_zip(path, entries);
    for (unsigned i = 0; i < n; i++)
        if (strstr(names[i], ".png") != NULL)
            free((void *)(uintptr_t)entries[i].bytes);
}

void sample_write(const char *path, const void *bytes, size_t n)
{
    mn_error err;
    assert_int_equal(mn_file_write(path, bytes, n, &err), MN_OK);
}
