#include "coordinator/page/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOKEN "0123456789abcdef"

static const mn_access nobody_is_asked;

static mn_access token_is_asked(void)
{
    return (mn_access){.asks = true, .token = mn_access_token(TOKEN, strlen(TOKEN))};
}

static mn_answer get(const char *path)
{
    const mn_request request = {.method = "GET", .path = path, .host = "127.0.0.1:80"};
    return mn_answer_to(&request, &nobody_is_asked);
}

static void each_path_has_its_answer(void **state)
{
    (void)state;
    assert_int_equal(get("/").kind, MN_ANSWER_FILE);
    assert_memory_equal(get("/").bytes, "<!DOCTYPE html>", 15);
    assert_non_null(strstr(get("/chart.js").type, "javascript"));
    assert_true(get("/chart.js.txt").size > 1000);
    assert_true(get("/chart.js").size > 100000 && get("/page.css").size > 1000);
    assert_int_equal(get("/events").kind, MN_ANSWER_EVENTS);
    assert_string_equal(get("/events").type, "text/event-stream");
    assert_int_equal(get("/state.json").kind, MN_ANSWER_FRAME);
    assert_int_equal(get("/metrics").kind, MN_ANSWER_METRICS);
    assert_int_equal(get("/experiment.yaml").kind, MN_ANSWER_YAML);
}

static mn_answer get_task(const char *path, const char *index)
{
    const mn_request request = {
        .method = "GET", .path = path, .host = "127.0.0.1:80", .index = index};
    return mn_answer_to(&request, &nobody_is_asked);
}

static void a_task_is_asked_for_by_its_number(void **state)
{
    static const char *const wrong[] = {"",           "-1", "1000000",   "1e3",
                                        "0x1",        " 1", "1 ",        "1/2",
                                        "4294967297", "..", "999999999", "99999999999999999999",
                                        "one",        "+1"};
    (void)state;
    assert_int_equal(get_task("/task.json", NULL).kind, MN_ANSWER_TASK);
    assert_int_equal(get_task("/task.json", NULL).index, 0);
    assert_int_equal(get_task("/task.png", "17").kind, MN_ANSWER_PICTURE);
    assert_int_equal(get_task("/task.png", "17").index, 17);
    assert_int_equal(get_task("/task.json", "999999").index, 999999);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(get_task("/task.json", wrong[i]).code, 400);
    assert_int_equal(get_task("/state.json", "x").kind, MN_ANSWER_FRAME); /* of no concern there */
}

static void no_request_names_a_file(void **state)
{
    static const char *const tricks[] = {"",
                                         "/..",
                                         "/../../etc/passwd",
                                         "//",
                                         "/page.js/",
                                         "/./page.js",
                                         "/%2e%2e/etc/passwd",
                                         "/metrics\n",
                                         "/files/page.html",
                                         "/checkpoints",
                                         "/PAGE.JS",
                                         "page.js"};
    (void)state;
    for (size_t i = 0; i < sizeof tricks / sizeof *tricks; i++) {
        const mn_answer answer = get(tricks[i]);
        assert_int_equal(answer.code, 404);
        assert_int_equal(answer.kind, MN_ANSWER_TEXT);
    }
}

static void only_looking_is_answered(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", ""};
    (void)state;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        const mn_request request = {.method = methods[i], .path = "/", .host = "localhost"};
        assert_int_equal(mn_answer_to(&request, &nobody_is_asked).code, 405);
    }
    const mn_request head = {.method = "HEAD", .path = "/", .host = "localhost"};
    assert_int_equal(mn_answer_to(&head, &nobody_is_asked).code, 200);
}

static void without_a_token_only_this_machine_is_meant(void **state)
{
    static const struct {
        const char *host;
        unsigned code;
    } rows[] = {{"127.0.0.1:8080", 200},
                {"localhost", 200},
                {"LocalHost:1", 200},
                {"[::1]:80", 200},
                {"127.0.0.2:8080", 200},
                {"127.evil.example", 421},
                {NULL, 200},
                {"evil.example", 421},
                {"127.0.0.1.evil.example", 421},
                {"localhost.evil", 421},
                {"", 421},
                {"10.0.0.1", 421}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const mn_request request = {.method = "GET", .path = "/state.json", .host = rows[i].host};
        assert_int_equal(mn_answer_to(&request, &nobody_is_asked).code, rows[i].code);
    }
}

static void a_token_lets_in_by_header_cookie_or_address(void **state)
{
    const mn_access access = token_is_asked();
    static const struct {
        const char *authorization, *cookie, *token;
        unsigned code;
    } rows[] = {{NULL, NULL, NULL, 401},
                {"Bearer " TOKEN, NULL, NULL, 200},
                {"bearer " TOKEN, NULL, NULL, 200},
                {"Bearer " TOKEN "0", NULL, NULL, 401},
                {"Bearer 0123456789abcde", NULL, NULL, 401},
                {"Bearer ", NULL, NULL, 401},
                {"Basic " TOKEN, NULL, NULL, 401},
                {TOKEN, NULL, NULL, 401},
                {NULL, TOKEN, NULL, 200},
                {NULL, "", NULL, 401},
                {NULL, "x" TOKEN, NULL, 401},
                {NULL, NULL, TOKEN, 303},
                {NULL, NULL, "wrong", 401},
                {NULL, TOKEN, "wrong", 401}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const mn_request request = {.method = "GET",
                                    .path = "/metrics",
                                    .host = "cluster.example:8080",
                                    .authorization = rows[i].authorization,
                                    .cookie = rows[i].cookie,
                                    .token = rows[i].token};
        const mn_answer answer = mn_answer_to(&request, &access);
        assert_int_equal(answer.code, rows[i].code);
        assert_int_equal(answer.kind == MN_ANSWER_ENTER, rows[i].code == 303);
    }
    const mn_request nothing_there = {.method = "GET", .path = "/nothing"};
    assert_int_equal(mn_answer_to(&nothing_there, &access).code, 401); /* before it is looked for */
}

static void metrics_come_in_the_form_that_is_asked_for(void **state)
{
    static const struct {
        const char *accept;
        bool open;
    } rows[] = {
        {NULL, false},
        {"", false},
        {"*/*", false},
        {"text/plain", false},
        {"application/openmetrics-text", true},
        {"application/openmetrics-text;version=1.0.0,application/"
         "openmetrics-text;version=0.0.1;q=0.75,"
         "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", /* as Prometheus says it */
         true},
        {"application/openmetrics-text; version=0.0.1, text/plain;q=0.1", false},
        {"application/openmetrics-text;q=0.2, text/plain;q=0.9", false},
        {"application/openmetrics-text;q=0", false},
        {"APPLICATION/OPENMETRICS-TEXT; Q=0.9, text/plain; q=0.5", true},
        {"application/openmetrics-textual", false},
        {"text/html;q=;;,,application/openmetrics-text;q=nan", false},
        {";", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const mn_request request = {
            .method = "GET", .path = "/metrics", .host = "localhost", .accept = rows[i].accept};
        const mn_answer answer = mn_answer_to(&request, &nobody_is_asked);
        assert_int_equal(answer.open, rows[i].open);
        assert_int_equal(strstr(answer.type, "openmetrics") != NULL, rows[i].open);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_path_has_its_answer),
        cmocka_unit_test(a_task_is_asked_for_by_its_number),
        cmocka_unit_test(no_request_names_a_file),
        cmocka_unit_test(only_looking_is_answered),
        cmocka_unit_test(without_a_token_only_this_machine_is_meant),
        cmocka_unit_test(a_token_lets_in_by_header_cookie_or_address),
        cmocka_unit_test(metrics_come_in_the_form_that_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
