#include "worker/data/npy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A file's beginning in a version; returns its length. */
static size_t begin(char version, const char *dictionary, char out[512])
{
    const size_t length = strlen(dictionary), before = version == 1 ? 10 : 12;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = version;
    out[7] = 0;
    memset(out + 8, 0, 4);
    out[8] = (char)length;
    memcpy(out + before, dictionary, length);
    return before + length;
}

static mn_npy parse(char version, const char *dictionary)
{
    char bytes[512], shown[MN_NPY_SHOWN];
    mn_npy npy;
    mn_error err = {.message = "its caller's"};
    const size_t n = begin(version, dictionary, bytes);
    if (mn_npy_parse(bytes, n, "x.npy", &npy, shown, &err) != MN_OK)
        fail_msg("%s: %s", dictionary, err.message);
    assert_int_equal(npy.begin, n);
    return npy;
}

static void a_header_tells_type_order_and_shape(void **state)
{
    (void)state;
    for (char version = 1; version <= 3; version++) {
        const mn_npy images =
            parse(version, "{'descr': '|u1', 'fortran_order': False, 'shape': (30, 28, 28, 3), }");
        assert_true(images.kind == 'u' && images.bytes == 1 && !images.by_column);
        assert_int_equal(images.rank, 4);
        assert_true(images.shape[0] == 30 && images.shape[3] == 3);
    }
    const mn_npy turned =
        parse(1, "{'descr': '>f8', 'fortran_order': True, 'shape': (3, 2), }   \n");
    assert_true(turned.big_endian && turned.by_column && turned.kind == 'f' && turned.bytes == 8);
    const mn_npy text = parse(2, "{'descr': '<U12', 'fortran_order': False, 'shape': (0,)}");
    assert_true(text.kind == 'U' && text.bytes == 48 && text.rank == 1 && text.shape[0] == 0);
    assert_true(
        parse(1, "{\"descr\": 0, 'descr': '<f2', 'fortran_order': False, 'shape': (1)}").bytes ==
        2);
}

static void what_is_no_array_of_one_type_is_for_the_caller_to_tell(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{'descr': '|O', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f3', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '|f1', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<b2', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<U65537', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': ()}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3, 4, 5)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'shape': (3,)}",
        "",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        char bytes[512], shown[MN_NPY_SHOWN];
        mn_npy npy;
        const size_t n = begin(1, headers[i], bytes);
        assert_int_equal(mn_npy_parse(bytes, n, "x", &npy, shown, NULL), MN_ERR_CONFIG);
        assert_string_equal(shown, headers[i]);
    }
}

static void a_header_that_is_torn_or_lies_of_its_size_is_refused(void **state)
{
    (void)state;
    char bytes[512], shown[MN_NPY_SHOWN];
    mn_npy npy;
    mn_error err = {0};
    const size_t n = begin(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", bytes);
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(mn_npy_parse(bytes, cut, "x", &npy, shown, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "cut short"));
    bytes[6] = 4;
    assert_int_equal(mn_npy_parse(bytes, n, "x", &npy, shown, &err), MN_ERR_DATA);
    const size_t large = begin(
        2, "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 99999999999)}", bytes);
    assert_int_equal(mn_npy_parse(bytes, large, "x", &npy, shown, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "larger than any memory"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_tells_type_order_and_shape),
        cmocka_unit_test(what_is_no_array_of_one_type_is_for_the_caller_to_tell),
        cmocka_unit_test(a_header_that_is_torn_or_lies_of_its_size_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
