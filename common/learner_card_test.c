#include "common/learner_card.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const float weights[6] = {1, 2, 3, 4, 5, 6};
static const double wide[2] = {1, 2};
static const float broken[2] = {1, NAN};
static const mn_tensor good[] = {
    {.name = "w", .dtype = MN_F32, .rank = 2, .shape = {2, 2}, .data = weights},
    {.name = "scale", .dtype = MN_F32, .rank = 0, .data = weights + 4},
    {.name = "b", .dtype = MN_F32, .rank = 1, .shape = {1}, .data = weights + 5},
};

static char path[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(path, "/tmp/learner_card_test.XXXXXX");
    const int file = mkstemp(path);
    return file >= 0 && close(file) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static mn_status read_card(size_t n, const mn_tensor *tensors, const char *scores,
                           mn_learner_card **out, mn_error *err)
{
    const mn_text_pair pair = {"mnemo.scores", scores};
    assert_int_equal(mn_tensor_file_write(path, n, tensors, scores != NULL, &pair, NULL), MN_OK);
    return mn_learner_card_read(path, out, err);
}

static void a_card_tells_tensors_numbers_and_scores(void **state)
{
    (void)state;
    mn_learner_card *card = NULL;
    assert_int_equal(
        read_card(3, good, "loss lower number nats\naccuracy higher share\n", &card, NULL), MN_OK);
    assert_int_equal(card->n_tensors, 3);
    assert_int_equal(card->size, 6);
    assert_memory_equal(card->start, weights, sizeof weights);
    assert_int_equal(card->scores.n, 2);
    assert_string_equal(card->scores.at[0].unit, "nats");
    assert_false(card->scores.at[0].higher_is_better);
    assert_true(card->scores.at[1].higher_is_better);
    assert_true(card->scores.at[1].is_share);
    assert_string_equal(card->text, "tensor w 2 2\ntensor scale\ntensor b 1\n"
                                    "score loss lower number nats\nscore accuracy higher share\n");
    mn_learner_card_destroy(&card);
    assert_null(card);
    mn_learner_card_destroy(&card);
}

/* As another program may have written it. */
static void without_scores_there_is_a_loss(void **state)
{
    (void)state;
    mn_learner_card *card = NULL;
    assert_int_equal(read_card(1, good, NULL, &card, NULL), MN_OK);
    assert_string_equal(card->text, "tensor w 2 2\nscore loss lower number\n");
    mn_learner_card_destroy(&card);
}

static void the_digest_is_that_of_shapes_and_scores_not_of_numbers(void **state)
{
    (void)state;
    mn_learner_card *a = NULL;
    mn_learner_card *b = NULL;
    mn_learner_card *c = NULL;
    mn_tensor other = good[0];
    other.data = weights + 1;
    mn_tensor flat = {.name = "w", .dtype = MN_F32, .rank = 1, .shape = {4}, .data = weights};
    assert_int_equal(read_card(1, good, NULL, &a, NULL), MN_OK);
    assert_int_equal(read_card(1, &other, NULL, &b, NULL), MN_OK);
    assert_int_equal(read_card(1, &flat, NULL, &c, NULL), MN_OK);
    const mn_digest of_a = mn_learner_card_digest(a), of_b = mn_learner_card_digest(b),
                    of_c = mn_learner_card_digest(c);
    assert_memory_equal(&of_a, &of_b, sizeof of_a);
    assert_memory_not_equal(&of_a, &of_c, sizeof of_a);
    mn_learner_card_destroy(&a);
    mn_learner_card_destroy(&b);
    mn_learner_card_destroy(&c);
}

static void is_refused(size_t n, const mn_tensor *tensors, const char *scores, const char *word)
{
    mn_error err;
    mn_learner_card *card = NULL;
    assert_int_equal(read_card(n, tensors, scores, &card, &err), MN_ERR_DATA);
    assert_null(card);
    if (strstr(err.message, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, word);
}

static void what_cannot_be_trained_is_refused(void **state)
{
    (void)state;
    const mn_tensor doubles = {.name = "w", .dtype = MN_F64, .rank = 1, .shape = {2}, .data = wide};
    const mn_tensor spaced = {
        .name = "a b", .dtype = MN_F32, .rank = 1, .shape = {2}, .data = weights};
    const mn_tensor line = {
        .name = "a\nb", .dtype = MN_F32, .rank = 1, .shape = {2}, .data = weights};
    const mn_tensor moment = {
        .name = "optimiser.m.w", .dtype = MN_F32, .rank = 1, .shape = {2}, .data = weights};
    const mn_tensor nothing = {.name = "w", .dtype = MN_F32, .rank = 2, .shape = {0, 2}};
    const mn_tensor nan = {.name = "w", .dtype = MN_F32, .rank = 1, .shape = {2}, .data = broken};
    is_refused(1, &doubles, NULL, "float32");
    is_refused(1, &spaced, NULL, "\"a b\" is no name");
    is_refused(1, &line, NULL, "is no name");
    is_refused(1, &moment, NULL, "mnemo export");
    is_refused(1, &nothing, NULL, "no numbers");
    is_refused(1, &nan, NULL, "number 1 of \"w\" is not finite");
    is_refused(0, NULL, NULL, "0 tensors");
    static mn_tensor many[MN_CARD_MAX_TENSORS + 1];
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        many[i] = good[2];
        (void)snprintf(many[i].name, sizeof many[i].name, "t%zu", i);
    }
    is_refused(sizeof many / sizeof *many, many, NULL, "321 tensors");
}

static void scores_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    is_refused(1, good, "", "names no score");
    is_refused(1, good, "loss", "has the line \"loss\"");
    is_refused(1, good, "loss better number", "better number");
    is_refused(1, good, "loss lower percent", "lower percent");
    is_refused(1, good, "l-oss lower number", "letters");
    is_refused(1, good, "loss lower number a unit that is far too long", "at most 23");
    is_refused(1, good, "loss lower number\n\nx lower number", "the line \"\"");
    is_refused(1, good, "loss lower number\nloss lower number", "twice");
    char many[64 * (MN_CARD_MAX_SCORES + 1)] = "";
    for (uint32_t i = 0; i <= MN_CARD_MAX_SCORES; i++)
        (void)snprintf(many + strlen(many), sizeof many - strlen(many), "s%u lower number\n",
                       (unsigned)i);
    is_refused(1, good, many, "more than 32 scores");
}

static void a_missing_file_is_told(void **state)
{
    (void)state;
    mn_error err;
    mn_learner_card *card = NULL;
    assert_int_equal(mn_learner_card_read("/nowhere/x.safetensors", &card, &err), MN_ERR_NO_INPUT);
    assert_non_null(strstr(err.message, "/nowhere/x.safetensors"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_card_tells_tensors_numbers_and_scores),
        cmocka_unit_test(without_scores_there_is_a_loss),
        cmocka_unit_test(the_digest_is_that_of_shapes_and_scores_not_of_numbers),
        cmocka_unit_test(what_cannot_be_trained_is_refused),
        cmocka_unit_test(scores_that_make_no_sense_are_refused),
        cmocka_unit_test(a_missing_file_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
