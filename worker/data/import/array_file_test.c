#include "worker/data/import/array_file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* An NPY file's beginning; version 1, or 2 with a longer length. */
static size_t npy(uint8_t version, const char *dictionary, uint8_t out[256])
{
    const size_t n = strlen(dictionary), before = version == 1 ? 10 : 12;
    memset(out, 0, 256);
    memcpy(out, "\x93NUMPY", 6);
    out[6] = version;
    out[8] = (uint8_t)n;
    memcpy(out + before, dictionary, n);
    return before + n;
}

static mn_array parsed(const void *bytes, size_t n)
{
    mn_array array;
    mn_error err = {0};
    if (mn_array_parse(bytes, n, "a", &array, &err) != MN_OK)
        fail_msg("%s", err.message);
    return array;
}

static void assert_refused(const void *bytes, size_t n, const char *words)
{
    mn_array array;
    mn_error err = {0};
    assert_int_equal(mn_array_parse(bytes, n, "a", &array, &err), MN_ERR_DATA);
    if (strstr(err.message, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.message, words);
}

static void headers_tell_kind_shape_and_where_numbers_begin(void **state)
{
    (void)state;
    char text[128];
    uint8_t bytes[256];
    static const char dictionary[] =
        "{'descr': '>f8', 'fortran_order': False, 'shape': (3, 28, 27,), }";
    for (uint8_t version = 1; version <= 3; version++) {
        const size_t n = npy(version, dictionary, bytes);
        mn_array array = parsed(bytes, n);
        mn_array_describe(&array, text);
        assert_string_equal(text, "float64 [3, 28, 27]");
        assert_true(array.big_endian);
        assert_int_equal(array.begin, n);
    }
    static const uint8_t idx[] = {0, 0, 0x0b, 2, 0, 0, 1, 2, 0, 0, 0, 7};
    mn_array array = parsed(idx, sizeof idx);
    mn_array_describe(&array, text);
    assert_string_equal(text, "int16 [258, 7]");
    assert_true(array.big_endian);
    assert_int_equal(array.begin, 12);
}

static void headers_that_lie_or_are_cut_are_refused_with_what_was_expected(void **state)
{
    (void)state;
    static const struct {
        const char *dictionary, *words;
    } bad[] = {
        {"{'descr': '<f16', 'fortran_order': False, 'shape': (3,)}", "expected whole numbers"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (3,)}", "expected whole numbers"},
        {"{'descr': '<i3', 'fortran_order': False, 'shape': (3,)}", "expected whole numbers"},
        {"{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (3,)}", "expected whole"},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': ()}", "1 to 4 dimensions"},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (1, 2, 3, 4, 5)}", "1 to 4 dimensions"},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (-3,)}", "1 to 4 dimensions"},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (3", "1 to 4 dimensions"},
        {"{'descr': '<i4', 'shape': (3,)}", "expected whole numbers"},
        {"{'descr': '<i4', 'fortran_order': True, 'shape': (3, 4)}", "ascontiguousarray"},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (3, 0)}", "its array is empty"},
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (99999999999999999999999,)}",
         "larger than any memory"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1073741824, 1073741824, 8)}",
         "larger than any memory"},
        {"", "expected whole numbers"},
    };
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(bytes, npy(1, bad[i].dictionary, bytes), bad[i].words);
    const size_t n = npy(1, "{'descr': '<i4', 'fortran_order': False, 'shape': (3,)}", bytes);
    for (size_t cut = 6; cut < n; cut++)
        assert_refused(bytes, cut, "cut short");
    bytes[6] = 4;
    assert_refused(bytes, n, "version above 3");

    static const uint8_t idx[] = {0, 0, 8, 1, 0, 0, 0, 7};
    for (size_t cut = 4; cut < sizeof idx; cut++)
        assert_refused(idx, cut, "cut short");
    assert_refused((const uint8_t[]){0, 0, 8, 0}, 4, "0 sizes");
    assert_refused((const uint8_t[]){0, 0, 8, 5, 0, 0}, 6, "5 sizes");
    assert_refused((const uint8_t[]){0, 0, 0x0a, 1, 0, 0, 0, 1}, 8, "kind 0x0a");
    assert_refused("x,y\n", 4, "neither IDX");
    assert_refused("", 0, "neither IDX");
}

static void a_safetensors_header_gives_what_can_be_read(void **state)
{
    (void)state;
    static const char header[] =
        "{\"__metadata__\": {\"a\": \"b\"},"
        " \"x\": {\"dtype\": \"U8\", \"shape\": [2, 3, 4], \"data_offsets\": [8, 32]},"
        " \"half\": {\"dtype\": \"F16\", \"shape\": [2], \"data_offsets\": [0, 4]},"
        " \"wide\": {\"dtype\": \"I64\", \"shape\": [1, 1, 1, 1, 1], \"data_offsets\": [0, 8]},"
        " \"odd\": {\"dtype\": \"I64\", \"shape\": [-1], \"data_offsets\": [0, 8]},"
        " \"late\": {\"dtype\": \"I64\", \"shape\": [1], \"data_offsets\": [-8, 8]},"
        " \"text\": 7, \"y\": {\"dtype\": \"I64\", \"shape\": [1], \"data_offsets\": [0, 8]}}";
    mn_array *arrays = NULL;
    size_t n = 0;
    mn_error err = {0};
    assert_int_equal(mn_array_parse_safetensors(header, sizeof header - 1, "a", &arrays, &n, &err),
                     MN_OK);
    assert_int_equal(n, 3);
    assert_string_equal(arrays[0].name, "x");
    assert_int_equal(arrays[0].begin, 8 + sizeof header - 1 + 8);
    assert_int_equal(arrays[0].shape[2], 4);
    assert_string_equal(arrays[1].name, "half");
    assert_int_equal(arrays[1].bytes, 2);
    assert_string_equal(arrays[2].name, "y");
    assert_int_equal(arrays[2].bytes, 8);
    free(arrays);
    assert_int_equal(mn_array_parse_safetensors("[1]", 3, "a", &arrays, &n, &err), MN_ERR_DATA);
    assert_int_equal(mn_array_parse_safetensors("{\"x\": ", 6, "a", &arrays, &n, &err),
                     MN_ERR_DATA);
}

static mn_array of_kind(mn_array_type type, uint32_t bytes, bool big_endian)
{
    return (mn_array){
        .type = type, .bytes = bytes, .big_endian = big_endian, .rank = 1, .shape = {1}};
}

static void numbers_become_pixels_or_are_told(void **state)
{
    (void)state;
    uint8_t out[4];
    double bad = 0;
    const float reals[] = {0.0f, 0.5f, 1.0f, 1.5f};
    const uint16_t halves[] = {0, 0x3800, 0x3c00, 0x3e00}, brains[] = {0, 0x3f00, 0x3f80, 0x3fc0};
    mn_array array = of_kind(MN_ARRAY_FLOAT, 4, false);
    assert_int_equal(mn_array_pixels(&array, (const uint8_t *)reals, 4, out, &bad), 3);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], 128);
    assert_int_equal(out[2], 255);
    assert_float_equal(bad, 1.5, 0);
    const float odd[] = {NAN, -0.001f};
    for (int i = 0; i < 2; i++)
        assert_int_equal(mn_array_pixels(&array, (const uint8_t *)&odd[i], 1, out, &bad), 0);

    const int16_t whole[] = {255, 0, -1};
    array = of_kind(MN_ARRAY_SIGNED, 2, false);
    assert_int_equal(mn_array_pixels(&array, (const uint8_t *)whole, 3, out, &bad), 2);
    assert_int_equal(out[0], 255);
    assert_float_equal(bad, -1, 0);
    array = of_kind(MN_ARRAY_UNSIGNED, 2, true);
    assert_int_equal(mn_array_pixels(&array, (const uint8_t[]){0, 200, 1, 0}, 2, out, &bad), 1);
    assert_int_equal(out[0], 200);
    assert_float_equal(bad, 256, 0);
    for (int brain = 0; brain < 2; brain++) { /* the same numbers */
        array = of_kind(brain ? MN_ARRAY_BRAIN : MN_ARRAY_FLOAT, 2, false);
        const void *numbers = brain ? brains : halves;
        assert_int_equal(mn_array_pixels(&array, numbers, 4, out, &bad), 3);
        assert_true(out[0] == 0 && out[1] == 128 && out[2] == 255 && bad == 1.5);
    }
    array = of_kind(MN_ARRAY_BOOL, 1, false);
    assert_int_equal(mn_array_pixels(&array, (const uint8_t[]){0, 1, 2}, 3, out, &bad), 2);
    assert_int_equal(out[1], 255);
}

static void numbers_become_labels_or_are_told(void **state)
{
    (void)state;
    uint32_t out[3];
    double bad = 0;
    const int64_t labels[] = {0, 999999, 1000000};
    mn_array array = of_kind(MN_ARRAY_SIGNED, 8, false);
    assert_int_equal(mn_array_labels(&array, (const uint8_t *)labels, 3, out, &bad), 2);
    assert_int_equal(out[1], 999999);
    const int64_t least = INT64_MIN;
    assert_int_equal(mn_array_labels(&array, (const uint8_t *)&least, 1, out, &bad), 0);
    assert_float_equal(bad, -9223372036854775808.0, 0);
    array = of_kind(MN_ARRAY_SIGNED, 1, false);
    assert_int_equal(mn_array_labels(&array, (const uint8_t[]){127, 255}, 2, out, &bad), 1);
    assert_float_equal(bad, -1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_tell_kind_shape_and_where_numbers_begin),
        cmocka_unit_test(headers_that_lie_or_are_cut_are_refused_with_what_was_expected),
        cmocka_unit_test(a_safetensors_header_gives_what_can_be_read),
        cmocka_unit_test(numbers_become_pixels_or_are_told),
        cmocka_unit_test(numbers_become_labels_or_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
