#include "worker/data/pack_table.h"

#include "worker/data/import/sample_data.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *printed(void (*print)(const mn_pack_index *, FILE *))
{
    mn_image_pack *pack = NULL;
    char *text = NULL;
    size_t n = 0;
    sample_write_pack("p.mnd");
    assert_int_equal(mn_image_pack_open("p.mnd", &pack, NULL), MN_OK);
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    print(mn_image_pack_index(pack), out);
    assert_int_equal(fclose(out), 0);
    mn_image_pack_destroy(&pack);
    return text;
}

static void print_three(const mn_pack_index *index, FILE *out)
{
    mn_pack_table_print_classes(index, 3, out);
}

static void splits_are_counted_with_and_without_turns(void **state)
{
    (void)state;
    char *text = printed(mn_pack_table_print_splits);
    assert_string_equal(text, "split   classes  with turns  groups    images  images a class\n"
                              "train         7          14       2        42  6\n"
                              "val           5           5       1        30  6\n"
                              "test          5           5       1        30  6\n");
    free(text);
}

static void the_first_classes_are_named_with_their_splits(void **state)
{
    (void)state;
    char *text = printed(print_three);
    assert_string_equal(text, "train         6  a/c0\n"
                              "train         6  a/c1\n"
                              "train,val         6  b/c2\n");
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sample_enter_folder, sample_leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(splits_are_counted_with_and_without_turns),
        TEST(the_first_classes_are_named_with_their_splits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
