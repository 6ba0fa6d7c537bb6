#include "common/tensor_file.h"

#include "common/file.h"
#include "common/random.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const float weights[6] = {1.0f, -2.5f, 3.0f, 0.0f, -0.0f, 1e-30f};
static const double loss = 0.1;
static const int64_t big[2] = {INT64_MIN, INT64_MAX};
static const int32_t labels[3] = {-1, 0, 7};
static const uint8_t pixels[5] = {0, 1, 128, 254, 255};

static const mn_tensor tensors[] = {
    {.name = "conv1.weight", .dtype = MN_F32, .rank = 2, .shape = {2, 3}, .data = weights},
    {.name = "pixels", .dtype = MN_U8, .rank = 1, .shape = {5}, .data = pixels},
    {.name = "loss", .dtype = MN_F64, .rank = 0, .data = &loss},
    {.name = "nothing", .dtype = MN_F32, .rank = 2, .shape = {0, 9}},
    {.name = "big", .dtype = MN_I64, .rank = 4, .shape = {1, 2, 1, 1}, .data = big},
    {.name = "labels", .dtype = MN_I32, .rank = 1, .shape = {3}, .data = labels},
};
static const mn_text_pair pairs[] = {{"step", "60"}, {"name", "Gl\u00fcck \"1\"\n"}};
enum { N_TENSORS = sizeof tensors / sizeof *tensors, N_PAIRS = sizeof pairs / sizeof *pairs };

/* What another program may write: no padding, no digests, the order of its own, odd places of data.
 */
static const char foreign_header[] =
    "{\"b\": {\"data_offsets\": [3, 11], \"shape\": [2], \"dtype\": \"F32\"},"
    " \"__metadata__\": {\"format\": \"pt\"},"
    " \"a\": {\"dtype\":\"U8\",\"shape\":[3,1],\"data_offsets\":[0,3]}}";
static const unsigned char foreign_data[11] = {1, 2, 3, 0, 0, 128, 63, 0, 0, 0, 64};

struct fixture {
    char folder[64];
    char path[128];
    char *bytes; /* of the file of `tensors` and `pairs` under path */
    size_t n;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    strcpy(fixture->folder, "/tmp/tensor_file_test.XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    (void)snprintf(fixture->path, sizeof fixture->path, "%s/some.safetensors", fixture->folder);
    assert_int_equal(mn_tensor_file_write(fixture->path, N_TENSORS, tensors, N_PAIRS, pairs, NULL),
                     MN_OK);
    assert_int_equal(mn_file_read(fixture->path, 4096, &fixture->bytes, &fixture->n, NULL), MN_OK);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)unlink(fixture->path);
    assert_int_equal(rmdir(fixture->folder), 0); /* and so nothing else was left behind */
    free(fixture->bytes);
    free(fixture);
    return 0;
}

static bool are_the_tensors(const mn_tensor_file *file)
{
    bool same = mn_tensor_file_count(file) == N_TENSORS;
    for (size_t i = 0; same && i < N_TENSORS; i++) {
        const mn_tensor *is = mn_tensor_file_at(file, i), *was = &tensors[i];
        size_t n_bytes = (size_t)mn_tensor_count(was) * mn_dtype_bytes(was->dtype);
        same = strcmp(is->name, was->name) == 0 && is->dtype == was->dtype &&
               is->rank == was->rank && memcmp(is->shape, was->shape, sizeof is->shape) == 0 &&
               (n_bytes == 0 || memcmp(is->data, was->data, n_bytes) == 0);
    }
    return same;
}

/* A copy of exactly n bytes, so that the address sanitizer sees a read past them. */
static mn_status parse(const void *bytes, size_t n, mn_tensor_file **out, mn_error *err)
{
    void *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    mn_status status = mn_tensor_file_parse(copy, n, "some", out, err);
    free(copy);
    return status;
}

/* A file of this header and data. */
static size_t join(const char *header, size_t n_data, const void *data, char *file, size_t room)
{
    uint64_t length = strlen(header);
    assert_true(sizeof length + length + n_data <= room);
    memcpy(file, &length, sizeof length);
    memcpy(file + sizeof length, header, length);
    memcpy(file + sizeof length + length, data, n_data);
    return sizeof length + length + n_data;
}

static void what_is_written_is_read(void **state)
{
    struct fixture *fixture = *state;
    mn_tensor_file *file = NULL;
    assert_int_equal(mn_tensor_file_read(fixture->path, &file, NULL), MN_OK);
    assert_true(are_the_tensors(file));
    for (size_t i = 0; i < N_TENSORS; i++) {
        const mn_tensor *tensor = mn_tensor_file_at(file, i);
        assert_int_equal((uintptr_t)tensor->data % 64, 0);
        assert_ptr_equal(mn_tensor_file_find(file, tensors[i].name), tensor);
    }
    assert_null(mn_tensor_file_find(file, "conv"));
    assert_null(mn_tensor_file_find(file, "__metadata__"));
    assert_string_equal(mn_tensor_file_metadata(file, "step"), "60");
    assert_string_equal(mn_tensor_file_metadata(file, "name"), pairs[1].value);
    assert_null(mn_tensor_file_metadata(file, "other"));
    mn_tensor_file_destroy(&file);
    assert_null(file);
    mn_tensor_file_destroy(&file);
}

static void file_is_laid_out_as_safetensors_says(void **state)
{
    struct fixture *fixture = *state;
    uint64_t length;
    memcpy(&length, fixture->bytes, sizeof length);
    assert_int_equal(length % 8, 0);
    assert_int_equal(fixture->bytes[8], '{');
    assert_non_null(memmem(fixture->bytes + 8, length,
                           "\"pixels\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[24,29]}",
                           57));
    assert_memory_equal(fixture->bytes + 8 + length, weights, sizeof weights);
    assert_memory_equal(fixture->bytes + 8 + length + 24, pixels, sizeof pixels);
    assert_int_equal(fixture->n, 8 + length + 24 + 5 + 8 + 16 + 12);

    mn_tensor_file *file = NULL;
    char hex[65];
    assert_int_equal(parse(fixture->bytes, fixture->n, &file, NULL), MN_OK);
    mn_digest digest = mn_digest_of(fixture->bytes + 8 + length, fixture->n - 8 - length);
    mn_digest_hex(&digest, hex);
    assert_string_equal(mn_tensor_file_metadata(file, "sha256"), hex);
    mn_tensor_file_destroy(&file);
}

static void equal_content_makes_equal_bytes(void **state)
{
    struct fixture *fixture = *state;
    char *bytes = NULL;
    size_t n = 0;
    assert_int_equal(mn_tensor_file_write(fixture->path, N_TENSORS, tensors, N_PAIRS, pairs, NULL),
                     MN_OK);
    assert_int_equal(mn_file_read(fixture->path, 4096, &bytes, &n, NULL), MN_OK);
    assert_int_equal(n, fixture->n);
    assert_memory_equal(bytes, fixture->bytes, n);
    free(bytes);
}

static void file_without_tensors_or_metadata_is_fine(void **state)
{
    struct fixture *fixture = *state;
    mn_tensor_file *file = NULL;
    assert_int_equal(mn_tensor_file_write(fixture->path, 0, NULL, 0, NULL, NULL), MN_OK);
    assert_int_equal(mn_tensor_file_read(fixture->path, &file, NULL), MN_OK);
    assert_int_equal(mn_tensor_file_count(file), 0);
    mn_tensor_file_destroy(&file);
}

static void file_of_another_program_is_read_in_the_order_of_its_data(void **state)
{
    (void)state;
    char bytes[512];
    size_t n = join(foreign_header, sizeof foreign_data, foreign_data, bytes, sizeof bytes);
    mn_tensor_file *file = NULL;
    assert_int_equal(parse(bytes, n, &file, NULL), MN_OK);
    assert_int_equal(mn_tensor_file_count(file), 2);
    assert_string_equal(mn_tensor_file_at(file, 0)->name, "a");
    const mn_tensor *b = mn_tensor_file_at(file, 1);
    const float *values = b->data; /* at an odd place in the file, aligned here */
    assert_string_equal(b->name, "b");
    assert_true(values[0] == 1.0f && values[1] == 2.0f);
    assert_string_equal(mn_tensor_file_metadata(file, "format"), "pt");
    mn_tensor_file_destroy(&file);
}

static void what_cannot_be_written_leaves_the_old_file(void **state)
{
    struct fixture *fixture = *state;
    const mn_tensor twice[] = {tensors[0], tensors[0]};
    const mn_tensor reserved = {.name = "__metadata__", .dtype = MN_F64, .data = &loss};
    const mn_tensor not_text = {.name = "\xff", .dtype = MN_F64, .data = &loss};
    const mn_text_pair bad_pairs[] = {{"sha256", "0"}, {"header_sha256", "0"}, {"key", "\xff"}};
    mn_error err;
    assert_int_equal(mn_tensor_file_write(fixture->path, 2, twice, 0, NULL, &err), MN_ERR_DATA);
    assert_string_equal(err.message, "tensor name 'conv1.weight' comes twice in one tensor file");
    assert_int_equal(mn_tensor_file_write(fixture->path, 1, &reserved, 0, NULL, &err), MN_ERR_DATA);
    assert_int_equal(mn_tensor_file_write(fixture->path, 1, &not_text, 0, NULL, &err), MN_ERR_DATA);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            mn_tensor_file_write(fixture->path, N_TENSORS, tensors, 1, &bad_pairs[i], &err),
            MN_ERR_DATA);

    mn_tensor_file *file = NULL;
    assert_int_equal(mn_tensor_file_read(fixture->path, &file, NULL), MN_OK);
    assert_true(are_the_tensors(file));
    mn_tensor_file_destroy(&file);
}

static void missing_file_or_folder_is_told_with_its_path(void **state)
{
    struct fixture *fixture = *state;
    mn_tensor_file *file = NULL;
    mn_error err;
    char path[160];
    (void)snprintf(path, sizeof path, "%s/none/x", fixture->folder);
    assert_int_equal(mn_tensor_file_read(path, &file, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(mn_tensor_file_write(path, 1, tensors, 0, NULL, &err), MN_ERR_NO_INPUT);
    assert_null(file);
}

static void file_torn_at_any_byte_is_refused(void **state)
{
    struct fixture *fixture = *state;
    mn_tensor_file *file = NULL;
    mn_error err;
    for (size_t n = 0; n < fixture->n; n++) {
        assert_int_equal(parse(fixture->bytes, n, &file, &err), MN_ERR_DATA);
        assert_int_equal(strncmp(err.message, "some: ", 6), 0);
        assert_null(file);
    }
    char *longer = malloc(fixture->n + 1);
    assert_non_null(longer);
    memcpy(longer, fixture->bytes, fixture->n);
    longer[fixture->n] = 0;
    assert_int_equal(parse(longer, fixture->n + 1, &file, &err), MN_ERR_DATA);
    free(longer);
}

/* Only the key of the header's digest may be damaged unseen: then the header goes unchecked, but it
 * is whole. */
static void flip_of_any_bit_is_found_or_does_no_harm(void **state)
{
    struct fixture *fixture = *state;
    const char *key = memmem(fixture->bytes, fixture->n, "header_sha256", 13);
    assert_non_null(key);
    size_t first = (size_t)(key - fixture->bytes), n_harmless = 0;
    for (size_t at = 0; at < fixture->n; at++)
        for (unsigned change = 1; change <= 256; change <<= 1) {
            mn_tensor_file *file = NULL;
            mn_error err = {.status = MN_OK};
            char kept = fixture->bytes[at];
            fixture->bytes[at] = (char)((unsigned)kept ^ (change < 256 ? change : 255));
            mn_status status = parse(fixture->bytes, fixture->n, &file, &err);
            fixture->bytes[at] = kept;
            if (status == MN_OK) {
                assert_in_range(at, first, first + 12);
                assert_true(are_the_tensors(file));
                assert_string_equal(mn_tensor_file_metadata(file, "step"), "60");
                n_harmless++;
            } else {
                assert_int_equal(status, MN_ERR_DATA);
                assert_int_equal(strncmp(err.message, "some: ", 6), 0);
                assert_null(file);
            }
            mn_tensor_file_destroy(&file);
        }
    assert_true(n_harmless > 0); /* the exception exists, and is tested */
}

static void damage_of_the_data_is_told_by_both_digests(void **state)
{
    struct fixture *fixture = *state;
    mn_tensor_file *file = NULL;
    mn_error err;
    fixture->bytes[fixture->n - 1] ^= 1;
    assert_int_equal(parse(fixture->bytes, fixture->n, &file, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "damaged; use another copy"));
}

#define ONE(fields) "{\"a\":{" fields "}}"
static void header_that_lies_is_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *header, *reason; /* of a file with 16 bytes of data */
    } lies[] = {
        {"", "is not JSON"},
        {"{", "is not JSON"},
        {"{} x", "is not JSON"},
        {"[]", "not a JSON object"},
        {"{}", "need 0 bytes of data, but 16 are there"},
        {"{\"__metadata__\":[]}", "__metadata__ is not a JSON object"},
        {"{\"__metadata__\":{\"step\":60}}", "metadata 'step' is not a string"},
        {"{\"__metadata__\":{\"sha256\":\"0\"}}", "damaged"},
        {"{\"__metadata__\":{\"header_sha256\":\"0\"}}", "does not match"},
        {"{\"a\":1}", "lacks a dtype"},
        {ONE("\"dtype\":\"F32\",\"shape\":[4]"), "lacks a dtype, a shape or data_offsets"},
        {ONE("\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,16]"),
         "dtype 'F8_E4M3', expected"},
        {ONE("\"dtype\":\"F32\",\"shape\":[1,1,1,1,4],\"data_offsets\":[0,16]"), "5 dimensions"},
        {ONE("\"dtype\":\"F32\",\"shape\":[-4],\"data_offsets\":[0,16]"), "no size, or too large"},
        {ONE("\"dtype\":\"F32\",\"shape\":[4.0],\"data_offsets\":[0,16]"), "no size, or too large"},
        {ONE("\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,16]"),
         "no size, or too large"},
        {ONE("\"dtype\":\"F32\",\"shape\":[4294967296,1073741825],\"data_offsets\":[0,16]"),
         "no size, or too large"},
        {ONE("\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,16]"),
         "is not JSON"},
        {ONE("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,16]"), "its shape needs 12"},
        {ONE("\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0]"), "do not lie in the 16 bytes"},
        {ONE("\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[1,17]"), "do not lie"},
        {ONE("\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,0]"), "do not lie"},
        {ONE("\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[-16,0]"), "do not lie"},
        {ONE("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]"), "need 12 bytes of data"},
        {ONE("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[4,16]"),
         "begins at byte 4, expected 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[4,16]}}",
         "'b' begins at byte 4, expected 8"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
         "duplicate"},
        {"{\"12345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
         "7"
         "890123456\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
         "longer than 95 bytes"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        char bytes[512], zeros[16] = {0};
        size_t n = join(lies[i].header, sizeof zeros, zeros, bytes, sizeof bytes);
        mn_tensor_file *file = NULL;
        mn_error err = {.message = ""};
        if (parse(bytes, n, &file, &err) != MN_ERR_DATA ||
            strstr(err.message, lies[i].reason) == NULL)
            fail_msg("%s: %s (expected: %s)", lies[i].header, err.message, lies[i].reason);
        assert_null(file);
    }
}

static void header_longer_than_the_file_or_the_limit_is_refused(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {9, (10 << 20) + 1, UINT64_MAX, UINT64_MAX - 7, INT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char bytes[16] = "";
        mn_tensor_file *file = NULL;
        mn_error err;
        memcpy(bytes, &lengths[i], 8);
        assert_int_equal(parse(bytes, sizeof bytes, &file, &err), MN_ERR_DATA);
        assert_non_null(strstr(err.message, "but 8 follow"));
    }

    const uint64_t limit = 10 << 20;
    char *bytes = malloc(8 + limit + 1);
    assert_non_null(bytes);
    memset(bytes, ' ', 8 + limit + 1);
    memcpy(bytes + 8, "{}", 2);
    for (uint64_t length = limit; length <= limit + 1; length++) {
        mn_tensor_file *file = NULL;
        memcpy(bytes, &length, 8);
        assert_int_equal(parse(bytes, 8 + length, &file, NULL),
                         length == limit ? MN_OK : MN_ERR_DATA);
        mn_tensor_file_destroy(&file);
    }
    free(bytes);
}

/* A file without digests, so that every damage reaches the checks behind them. */
static void garbage_never_does_more_than_fail(void **state)
{
    (void)state;
    static const char likely[] = "{}[]\":,0123456789-.eE \\u\0abFU";
    mn_random random = mn_random_stream(11, MN_RANDOM_SELF_TEST, 0);
    char whole[512];
    size_t n = join(foreign_header, sizeof foreign_data, foreign_data, whole, sizeof whole);
    uint32_t n_read = 0;
    for (int round = 0; round < 20000; round++) {
        char bytes[512];
        memcpy(bytes, whole, n);
        bool noise = round % 4 == 0;
        uint32_t n_changes = noise ? (uint32_t)n - 8 : 1 + mn_random_below(&random, 3);
        for (uint32_t i = 0; i < n_changes; i++)
            bytes[noise ? 8 + i : mn_random_below(&random, (uint32_t)n)] =
                mn_random_below(&random, 2) ? likely[mn_random_below(&random, sizeof likely)]
                                            : (char)mn_random_u32(&random);
        mn_tensor_file *file = NULL;
        mn_error err;
        mn_status status = parse(bytes, n, &file, &err);
        assert_true(status == MN_OK || status == MN_ERR_DATA);
        if (status == MN_OK) {
            uint64_t n_bytes = 0;
            for (size_t i = 0; i < mn_tensor_file_count(file); i++) {
                const mn_tensor *tensor = mn_tensor_file_at(file, i);
                n_bytes += mn_tensor_count(tensor) * mn_dtype_bytes(tensor->dtype);
            }
            assert_int_equal(n_bytes, sizeof foreign_data);
            n_read++;
        }
        mn_tensor_file_destroy(&file);
    }
    assert_in_range(n_read, 1, 15000); /* a change of a value is no damage that can be seen */
}

#define FILE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static void numbers_of_less_or_more_precision_become_floats(void **state)
{
    (void)state;
    const uint16_t halves[8] = {0x3c00, 0xc000, 0x3555, 0x0001, 0x8000, 0x7bff, 0x7c00, 0x7e00};
    const float of_halves[7] = {1,     -2,    0.333251953125f, 5.9604644775390625e-8f,
                                -0.0f, 65504, INFINITY};
    const uint16_t brains[4] = {0x3f80, 0xc040, 0x0001, 0x7f80};
    const float of_brains[4] = {1, -3, 9.18354961579912e-41f, INFINITY};
    const mn_tensor half = {.dtype = MN_F16, .rank = 1, .shape = {8}, .data = halves};
    const mn_tensor brain = {.dtype = MN_BF16, .rank = 1, .shape = {4}, .data = brains};
    const mn_tensor number = {.dtype = MN_F64, .rank = 0, .data = &loss};
    const mn_tensor whole = {.dtype = MN_I32, .rank = 1, .shape = {3}, .data = labels};
    float out[8];
    assert_true(mn_tensor_floats(&half, out));
    assert_memory_equal(out, of_halves, sizeof of_halves);
    assert_true(isnan(out[7]));
    assert_true(mn_tensor_floats(&brain, out));
    assert_memory_equal(out, of_brains, sizeof of_brains);
    assert_true(mn_tensor_floats(&number, out));
    assert_true(out[0] == 0.1f);
    assert_false(mn_tensor_floats(&whole, out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(what_is_written_is_read),
        FILE_TEST(file_is_laid_out_as_safetensors_says),
        FILE_TEST(equal_content_makes_equal_bytes),
        FILE_TEST(file_without_tensors_or_metadata_is_fine),
        cmocka_unit_test(file_of_another_program_is_read_in_the_order_of_its_data),
        FILE_TEST(what_cannot_be_written_leaves_the_old_file),
        FILE_TEST(missing_file_or_folder_is_told_with_its_path),
        FILE_TEST(file_torn_at_any_byte_is_refused),
        FILE_TEST(flip_of_any_bit_is_found_or_does_no_harm),
        FILE_TEST(damage_of_the_data_is_told_by_both_digests),
        cmocka_unit_test(header_that_lies_is_refused_with_the_reason),
        cmocka_unit_test(header_longer_than_the_file_or_the_limit_is_refused),
        cmocka_unit_test(garbage_never_does_more_than_fail),
        cmocka_unit_test(numbers_of_less_or_more_precision_become_floats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
