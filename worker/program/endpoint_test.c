#include "worker/program/endpoint.h"

#include "common/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[96];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/mn_endpoint_XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/endpoint", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static void write_file(const char *text)
{
    assert_int_equal(mn_file_write(path, text, strlen(text), NULL), MN_OK);
}

static void an_address_stands_for_itself(void **state)
{
    (void)state;
    mn_endpoint found;
    assert_int_equal(mn_endpoint_find("tcp://node7:5555", 3, &found, NULL), MN_OK);
    assert_string_equal(found.address, "tcp://node7:5555");
    assert_string_equal(found.key, "");
    assert_true(found.run_id == 0);
    char large[300];
    (void)snprintf(large, sizeof large, "tcp://%0290d", 1);
    assert_int_equal(mn_endpoint_find(large, 3, &found, NULL), MN_ERR_CONFIG);
}

static void workers_spread_over_the_ranks_of_a_file_or_folder(void **state)
{
    (void)state;
    write_file("run: 00ff00000000abcd\n"
               "key: Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\n"
               "endpoint: tcp://a:1\n"
               "endpoint: tcp://b:2\n"
               "endpoint: tcp://c:3\n");
    const char *const addresses[] = {"tcp://a:1", "tcp://b:2", "tcp://c:3"};
    for (uint64_t i = 0; i < 7; i++) {
        mn_endpoint found;
        mn_error err = {0};
        if (mn_endpoint_find(i % 2 ? path : folder, i, &found, &err) != MN_OK)
            fail_msg("%s", err.message);
        assert_string_equal(found.address, addresses[i % 3]);
        assert_string_equal(found.key, "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID");
        assert_true(found.run_id == 0xff00000000abcd);
    }
    write_file("run: 2\r\nkey: -\r\nendpoint: tcp://a:1\r\n"); /* by way of Windows */
    mn_endpoint carried;
    assert_int_equal(mn_endpoint_find(path, 0, &carried, NULL), MN_OK);
    assert_string_equal(carried.address, "tcp://a:1");
    assert_string_equal(carried.key, "");
    write_file("run: 1\nkey: -\nendpoint: tcp://a:1"); /* moved, and no newline at the end */
    mn_endpoint found;
    assert_int_equal(mn_endpoint_find(path, 5, &found, NULL), MN_OK);
    assert_string_equal(found.address, "tcp://a:1");
    assert_string_equal(found.key, "");
}

static void what_is_no_endpoint_file_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *text, *words;
    } cases[] = {
        {"", "has no line \"endpoint:"},
        {"seed: 1\ntasks: x\n", "has no line \"endpoint:"},
        {"endpoint: \nendpoint: ", "has no line \"endpoint:"},
        {"run: xyz\nendpoint: tcp://a:1\n", "\"xyz\" is not 16 hexadecimal digits"},
        {"key: short\nendpoint: tcp://a:1\n", "the key has 5 characters instead of 40"},
    };
    mn_endpoint found;
    mn_error err;
    assert_int_equal(mn_endpoint_find(path, 0, &found, &err), MN_ERR_NO_INPUT);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(cases[i].text);
        assert_int_equal(mn_endpoint_find(path, 0, &found, &err), MN_ERR_DATA);
        if (strstr(err.message, cases[i].words) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].words);
    }
}

static void only_what_may_yet_come_is_waited_for(void **state)
{
    char elsewhere[sizeof path + 16];
    mn_error err;
    (void)state;
    assert_int_equal(mn_endpoint_check("tcp://node7:5555", &err), MN_OK);
    assert_int_equal(mn_endpoint_check(folder, &err), MN_OK);
    assert_int_equal(mn_endpoint_check(path, &err), MN_OK); /* the run has not begun */
    assert_int_equal(mn_endpoint_check("endpoint", &err), MN_OK);
    (void)snprintf(elsewhere, sizeof elsewhere, "%s.typo", path);
    assert_int_equal(mn_endpoint_check(elsewhere, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "endpoint.typo: is it mistyped?"));
    (void)snprintf(elsewhere, sizeof elsewhere, "%s/x/endpoint", folder);
    assert_int_equal(mn_endpoint_check(elsewhere, &err), MN_ERR_NO_INPUT);
    (void)snprintf(elsewhere, sizeof elsewhere, "%s/x", folder);
    assert_int_equal(mn_endpoint_check(elsewhere, &err), MN_ERR_NO_INPUT);
    write_file("");
    assert_int_equal(mn_endpoint_check(path, &err), MN_OK);
    (void)snprintf(elsewhere, sizeof elsewhere, "%s/endpoint", path); /* a file is no folder */
    assert_int_equal(mn_endpoint_check(elsewhere, &err), MN_ERR_NO_INPUT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_address_stands_for_itself),
        TEST(workers_spread_over_the_ranks_of_a_file_or_folder),
        TEST(what_is_no_endpoint_file_is_refused),
        TEST(only_what_may_yet_come_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
