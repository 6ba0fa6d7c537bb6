#include "common/score.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const mn_score loss = {.name = "loss", .axis = "set", .point = "qa7", .unit = "nats"};
static const mn_score accuracy = {
    .name = "accuracy", .axis = "set", .point = "qa7", .is_share = true, .higher_is_better = true};

static void no_list_grows_without_end(void **state)
{
    (void)state;
    mn_score_list list = {0};
    mn_error err;
    for (uint32_t i = 0; i < MN_MAX_SCORES; i++)
        assert_int_equal(mn_score_list_add(&list, &loss, NULL), MN_OK);
    assert_int_equal(mn_score_list_add(&list, &loss, &err), MN_ERR_RANGE);
    assert_int_equal(list.n, MN_MAX_SCORES);
    mn_score_list_fini(&list);
}

static void the_first_and_the_judged_are_shown_once_each(void **state)
{
    (void)state;
    mn_score_list list = {0};
    uint32_t shown[2];
    assert_int_equal(mn_score_list_add(&list, &loss, NULL), MN_OK);
    assert_int_equal(mn_score_list_shown(&list, shown), 1);
    assert_int_equal(shown[0], 0);
    assert_int_equal(mn_score_list_add(&list, &loss, NULL), MN_OK);
    assert_int_equal(mn_score_list_add(&list, &accuracy, NULL), MN_OK);
    list.judged = 2;
    assert_int_equal(mn_score_list_shown(&list, shown), 2);
    assert_int_equal(shown[1], 2);
    mn_score_list_fini(&list);
}

static void a_key_has_the_point_if_there_is_one(void **state)
{
    (void)state;
    char key[MN_SCORE_KEY];
    mn_score_key(&loss, key);
    assert_string_equal(key, "loss_qa7");
    mn_score_key(&(mn_score){.name = "support_loss"}, key);
    assert_string_equal(key, "support_loss");
    mn_score longest;
    memset(&longest, 'x', sizeof longest);
    longest.name[sizeof longest.name - 1] = longest.point[sizeof longest.point - 1] = '\0';
    mn_score_key(&longest, key);
    assert_int_equal(strlen(key), 31 + 1 + 23);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_list_grows_without_end),
        cmocka_unit_test(the_first_and_the_judged_are_shown_once_each),
        cmocka_unit_test(a_key_has_the_point_if_there_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
