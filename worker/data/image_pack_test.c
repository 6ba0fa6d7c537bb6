#include "worker/data/image_pack.h"

#include "common/file.h"
#include "worker/data/import/sample_data.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void what_was_written_is_read_again(void **state)
{
    (void)state;
    mn_image_pack *pack = NULL;
    mn_error err;
    sample_write_pack("p.mnd");
    assert_int_equal(mn_image_pack_open("p.mnd", &pack, &err), MN_OK);
    const mn_pack_index *index = mn_image_pack_index(pack);
    assert_int_equal(index->n_classes, SAMPLE_CLASSES);
    assert_int_equal(index->n_images, SAMPLE_CLASSES * SAMPLE_IMAGES);
    assert_int_equal(index->height, SAMPLE_SIDE);
    assert_string_equal(index->classes[11].name, "c11");
    assert_int_equal(index->classes[11].group, 2);
    assert_string_equal(index->groups[1], "b");
    assert_int_equal(index->n_entries[MN_TRAIN], 14);
    assert_int_equal(index->entries[MN_TRAIN][13].class_number, 6);
    assert_int_equal(index->entries[MN_TRAIN][13].quarter_turns, 1);
    assert_int_equal(index->entries[MN_VAL][0].class_number, 2);
    assert_int_equal(index->entries[MN_TEST][4].class_number, 11);
    const uint8_t *pixels =
        mn_image_pack_pixels(pack, index->classes[9].first_image + SAMPLE_IMAGES - 1);
    assert_int_equal(pixels[0], 9);
    assert_int_equal(pixels[1], SAMPLE_IMAGES - 1);
    assert_string_equal(mn_image_pack_path(pack), "p.mnd");
    mn_image_pack_destroy(&pack);
    assert_null(pack);
}

static void equal_content_has_equal_digests(void **state)
{
    (void)state;
    mn_image_pack *first = NULL, *second = NULL;
    sample_write_pack("1.mnd");
    sample_write_pack("2.mnd");
    assert_int_equal(mn_image_pack_open("1.mnd", &first, NULL), MN_OK);
    assert_int_equal(mn_image_pack_open("2.mnd", &second, NULL), MN_OK);
    mn_digest a = mn_image_pack_digest(first), b = mn_image_pack_digest(second);
    assert_memory_equal(&a, &b, sizeof a);
    mn_image_pack_destroy(&first);
    mn_image_pack_destroy(&second);
}

/* Copied over, cut short: neither may touch a run that has begun. */
static void what_becomes_of_the_file_later_is_no_matter(void **state)
{
    (void)state;
    mn_image_pack *pack = NULL;
    sample_write_pack("p.mnd");
    assert_int_equal(mn_image_pack_open("p.mnd", &pack, NULL), MN_OK);
    const mn_pack_index *index = mn_image_pack_index(pack);
    const uint8_t *pixels = mn_image_pack_pixels(pack, index->classes[9].first_image);
    const int fd = open("p.mnd", O_RDWR | O_CLOEXEC);
    const uint8_t other = 77;
    struct stat info;
    assert_int_equal(fstat(fd, &info), 0);
    for (off_t i = 0; i < info.st_size; i++)
        assert_int_equal(pwrite(fd, &other, 1, i), 1);
    assert_int_equal(pixels[0], 9);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pixels[0], 9);
    assert_string_equal(index->classes[11].name, "c11");
    (void)close(fd);
    mn_image_pack_destroy(&pack);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    (void)state;
    mn_image_pack *pack = NULL;
    mn_error err;
    assert_int_equal(mn_image_pack_open("none.mnd", &pack, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "none.mnd"));
    assert_null(pack);
}

static void assert_refused(const char *path)
{
    mn_image_pack *pack = NULL;
    mn_error err;
    assert_int_equal(mn_image_pack_open(path, &pack, &err), MN_ERR_DATA);
    assert_null(pack);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, "import it again"));
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    char *bytes = NULL;
    size_t n;
    sample_write_pack("p.mnd");
    assert_int_equal(mn_file_read("p.mnd", 1 << 20, &bytes, &n, NULL), MN_OK);
    for (size_t length = 0; length < n; length += length < 700 ? 7 : 131) {
        sample_write("cut.mnd", bytes, length);
        assert_refused("cut.mnd");
    }
    sample_write("longer.mnd", bytes, n + 1); /* and the NUL after what was read */
    assert_refused("longer.mnd");
    free(bytes);
}

static void a_flipped_bit_anywhere_is_refused(void **state)
{
    (void)state;
    char *bytes = NULL;
    size_t n;
    sample_write_pack("p.mnd");
    assert_int_equal(mn_file_read("p.mnd", 1 << 20, &bytes, &n, NULL), MN_OK);
    for (size_t i = 0; i < n; i += i < 128 ? 1 : 17) {
        bytes[i] = (char)(bytes[i] ^ 1 << (i % 8));
        sample_write("flipped.mnd", bytes, n);
        bytes[i] = (char)(bytes[i] ^ 1 << (i % 8));
        assert_refused("flipped.mnd");
    }
    free(bytes);
}

/* Read whatever an index that was accepted points to, for the sanitizers to see. */
static uint32_t touch_all(const mn_image_pack *pack)
{
    const mn_pack_index *index = mn_image_pack_index(pack);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < index->n_classes; i++) {
        const mn_pack_class *class = &index->classes[i];
        sum += (uint32_t)strlen(class->name) + (uint32_t)strlen(index->groups[class->group]);
        sum += *mn_image_pack_pixels(pack, class->first_image + class->n_images - 1);
    }
    for (int split = 0; split < MN_N_SPLITS; split++)
        for (uint32_t i = 0; i < index->n_entries[split]; i++)
            sum += index->classes[index->entries[split][i].class_number].n_images;
    return sum;
}

/* A forger can compute the digest anew, so no field may be trusted for its sake. */
static void a_forged_file_with_a_right_digest_is_refused_or_harmless(void **state)
{
    (void)state;
    static const unsigned char forgeries[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    char *bytes = NULL;
    size_t n, refused = 0, accepted = 0;
    sample_write_pack("p.mnd");
    assert_int_equal(mn_file_read("p.mnd", 1 << 20, &bytes, &n, NULL), MN_OK);
    size_t tables_end = n - 32 - SAMPLE_CLASSES * SAMPLE_IMAGES * SAMPLE_SIDE * SAMPLE_SIDE;
    for (size_t i = 0; i < tables_end; i++) {
        char kept = bytes[i];
        bytes[i] = (char)forgeries[i % sizeof forgeries];
        mn_digest digest = mn_digest_of(bytes, n - 32);
        memcpy(bytes + n - 32, digest.bytes, 32);
        sample_write("forged.mnd", bytes, n);
        bytes[i] = kept;

        mn_image_pack *pack = NULL;
        mn_error err;
        mn_status status = mn_image_pack_open("forged.mnd", &pack, &err);
        if (status == MN_OK) {
            accepted += touch_all(pack) > 0;
            mn_image_pack_destroy(&pack);
        } else {
            assert_int_equal(status, MN_ERR_DATA);
            refused++;
        }
    }
    assert_true(refused > 100);
    assert_true(accepted > 0); /* e.g. another letter in a name */
    free(bytes);
}

static void a_writer_that_lacks_images_or_is_abandoned_leaves_no_file(void **state)
{
    (void)state;
    const mn_pack_class class = {.name = "x", .n_images = 2};
    const char *const groups[] = {"g"};
    mn_pack_index index = {.height = 2,
                           .width = 2,
                           .channels = 3,
                           .n_images = 2,
                           .n_classes = 1,
                           .n_groups = 1,
                           .classes = &class,
                           .groups = groups};
    const uint8_t pixels[12] = {0};
    mn_pack_writer *writer = NULL;
    assert_int_equal(mn_pack_writer_new("w.mnd", &index, &writer, NULL), MN_OK);
    assert_int_equal(mn_pack_writer_add(writer, pixels, NULL), MN_OK);
    assert_int_equal(mn_pack_writer_finish(&writer, NULL), MN_ERR_STATE);
    assert_null(writer);
    assert_int_equal(mn_pack_writer_new("w.mnd", &index, &writer, NULL), MN_OK);
    mn_pack_writer_abandon(&writer);
    assert_int_not_equal(access("w.mnd", F_OK), 0);

    index.channels = 2;
    assert_int_equal(mn_pack_writer_new("w.mnd", &index, &writer, NULL), MN_ERR_DATA);
    assert_null(writer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_is_read_again),
        TEST(equal_content_has_equal_digests),
        TEST(what_becomes_of_the_file_later_is_no_matter),
        TEST(a_file_that_is_not_there_is_named),
        TEST(a_file_cut_anywhere_is_refused),
        TEST(a_flipped_bit_anywhere_is_refused),
        TEST(a_forged_file_with_a_right_digest_is_refused_or_harmless),
        TEST(a_writer_that_lacks_images_or_is_abandoned_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
