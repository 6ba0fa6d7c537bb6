#include "coordinator/links/allow_list.h"

#include "common/file.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ONE "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define TWO "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

static char path[64];
static mn_error err;
static mn_allow_list *list;

static int set_up(void **state)
{
    (void)state;
    list = NULL;
    (void)snprintf(path, sizeof path, "/tmp/mn_allow_list_XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    mn_allow_list_destroy(&list);
    (void)unlink(path);
    return 0;
}

/* A file of its own each time, as editors make it: its number differs even if the clock has not
 * moved. */
static void write_list(const char *text)
{
    assert_int_equal(mn_file_write(path, text, strlen(text), NULL), MN_OK);
}

static void only_keys_on_the_list_are_found_with_their_names(void **state)
{
    (void)state;
    write_list("# two machines\npublic: " ONE " lab\npublic: " TWO "\n");
    assert_int_equal(mn_allow_list_new(path, &list, &err), MN_OK);
    assert_int_equal(mn_allow_list_size(list), 2);
    assert_string_equal(mn_allow_list_find(list, ONE), "lab");
    assert_string_equal(mn_allow_list_find(list, TWO), "");
    assert_null(mn_allow_list_find(list, ""));
    assert_null(mn_allow_list_find(list, "lab"));
}

static void a_change_of_the_file_is_seen_at_the_next_refresh(void **state)
{
    (void)state;
    write_list("public: " ONE " lab\n");
    assert_int_equal(mn_allow_list_new(path, &list, &err), MN_OK);
    write_list("public: " TWO "\n");
    assert_non_null(mn_allow_list_find(list, ONE));
    assert_int_equal(mn_allow_list_refresh(list, &err), MN_OK);
    assert_null(mn_allow_list_find(list, ONE)); /* revoked */
    assert_non_null(mn_allow_list_find(list, TWO));
    FILE *end = fopen(path, "a"); /* in place: larger, if not newer */
    assert_non_null(end);
    assert_true(fputs("public: " ONE " again\n", end) >= 0);
    assert_int_equal(fclose(end), 0);
    assert_int_equal(mn_allow_list_refresh(list, &err), MN_OK);
    assert_string_equal(mn_allow_list_find(list, ONE), "again");
}

static void a_damaged_or_missing_file_is_told_once_and_the_list_stays(void **state)
{
    (void)state;
    write_list("public: " ONE " lab\n");
    assert_int_equal(mn_allow_list_new(path, &list, &err), MN_OK);
    write_list("public: " TWO "\npublic: torn\n");
    assert_int_equal(mn_allow_list_refresh(list, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, ":2: "));
    assert_int_equal(mn_allow_list_refresh(list, &err), MN_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mn_allow_list_refresh(list, &err), MN_ERR_NO_INPUT);
    assert_int_equal(mn_allow_list_refresh(list, &err), MN_OK);
    assert_string_equal(mn_allow_list_find(list, ONE), "lab");
    assert_null(mn_allow_list_find(list, TWO));
    write_list(""); /* nobody */
    assert_int_equal(mn_allow_list_refresh(list, &err), MN_OK);
    assert_int_equal(mn_allow_list_size(list), 0);
}

static void a_list_that_cannot_be_read_is_none(void **state)
{
    (void)state;
    write_list("public: short\n");
    assert_int_equal(mn_allow_list_new(path, &list, &err), MN_ERR_DATA);
    assert_int_equal(mn_allow_list_new("/nowhere/list", &list, &err), MN_ERR_NO_INPUT);
    assert_null(list);
}

static void a_long_list_is_read_whole(void **state)
{
    (void)state;
    static char text[100 * 64];
    size_t n = 0;
    for (int i = 0; i < 100; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "public: %040d n%d\n", i, i);
    write_list(text);
    assert_int_equal(mn_allow_list_new(path, &list, &err), MN_OK);
    char last[41];
    (void)snprintf(last, sizeof last, "%040d", 99);
    assert_int_equal(mn_allow_list_size(list), 100);
    assert_string_equal(mn_allow_list_find(list, last), "n99");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(only_keys_on_the_list_are_found_with_their_names),
        TEST(a_change_of_the_file_is_seen_at_the_next_refresh),
        TEST(a_damaged_or_missing_file_is_told_once_and_the_list_stays),
        TEST(a_list_that_cannot_be_read_is_none),
        TEST(a_long_list_is_read_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
