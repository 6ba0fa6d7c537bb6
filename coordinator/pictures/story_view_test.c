#include "coordinator/pictures/story_sheet.h"

#include "worker/data/import/sample_data.h"
#include "worker/tasks/story_fields.h"
#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SLOTS 4u
#define ITEMS 2u
#define VOCABULARY 7u

static mn_words *words;
static mn_task *task;
static float logits[VOCABULARY] = {0, 0, 0, 0, 0, 3, 1};

enum { MARY = 1, WENT, TO, GARDEN, KITCHEN, WHERE };

/* Two questions; the second one's story has two sentences, and its answer is kitchen. */
static int set_up(void **state)
{
    static const char *const texts[] = {"mary", "went", "to", "garden", "kitchen", "where"};
    const mn_story_shape shape = {
        .bundle = ITEMS, .sentences = SLOTS, .length = 3, .question = 2, .vocabulary = VOCABULARY};
    const mn_points points = {.axis = "set", .n = 1, .names = {"1"}};
    mn_fields fields;
    uint32_t number;
    (void)state;
    if (mn_words_new(&words, NULL) != MN_OK)
        return -1;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (mn_words_add(words, texts[i], strlen(texts[i]), &number, NULL) != MN_OK)
            return -1;
    if (mn_story_fields(&shape, &points, &fields, NULL) != MN_OK ||
        mn_task_new(&fields, &task, NULL) != MN_OK)
        return -1;
    mn_story_clear(task, false);
    const mn_story_pages pages = mn_story_pages_of(task, MN_QUERY);
    mn_story_tell(&pages, 1, 0, 2, 3, (uint32_t[]){MARY, WENT, GARDEN});
    mn_story_tell(&pages, 1, 1, 1, 3, (uint32_t[]){MARY, WENT, KITCHEN});
    mn_story_ask(&pages, 1, 2, (uint32_t[]){WHERE, MARY}, KITCHEN, 0, 0.5);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mn_task_destroy(&task);
    mn_words_destroy(&words);
    return 0;
}

static mn_story_view *view_of(size_t n_shown, const mn_shown_array *shown)
{
    const mn_story_source source = {.task = task,
                                    .item = 1,
                                    .words = words,
                                    .logits = logits,
                                    .n_shown = n_shown,
                                    .shown = shown,
                                    .judged = true};
    mn_story_view *view = NULL;
    assert_int_equal(mn_story_view_new(&source, &view, NULL), MN_OK);
    return view;
}

static void the_most_probable_answers_are_told_first(void **state)
{
    (void)state;
    mn_story_view *view = view_of(0, NULL);
    const double sum = 5 + exp(3) + exp(1);
    assert_int_equal(view->n_answers, 3);
    assert_string_equal(view->answers[0].word, "kitchen");
    assert_true(fabs(view->answers[0].probability - exp(3) / sum) < 1e-12);
    assert_string_equal(view->answers[1].word, "where");
    assert_true(fabs(view->answers[1].probability - exp(1) / sum) < 1e-12);
    assert_string_equal(view->question, "where mary");
    assert_string_equal(view->is, "kitchen");
    assert_true(view->right);
    assert_int_equal(view->n_sentences, 2);
    assert_string_equal(view->sentences[1], "mary went kitchen");
    assert_int_equal(view->ages[0], 2);
    mn_story_view_destroy(&view);
    logits[GARDEN] = 4;
    view = view_of(0, NULL);
    assert_false(view->right);
    assert_string_equal(view->answers[0].word, "garden");
    mn_story_view_destroy(&view);
    logits[GARDEN] = NAN; /* a broken theta: nothing is told that is not so, and nothing breaks */
    view = view_of(0, NULL);
    assert_true(isnan(view->answers[0].probability));
    json_t *json = mn_story_view_json(view);
    assert_true(json_is_null(
        json_object_get(json_array_get(json_object_get(json, "answers"), 0), "probability")));
    json_decref(json);
    mn_story_view_destroy(&view);
    logits[GARDEN] = 0;
}

static const mn_real attention[ITEMS * SLOTS] = {0, 0, 0, 1, 0.25f, 0.5f, 0.25f, 0};
/* Three words a sentence; two entities. */
static const mn_real by_word[ITEMS * SLOTS * 3] = {
    [12] = 0.125f, [13] = 0.125f, [15] = 0.5f, [17] = 0.25f};
static const mn_real gates[ITEMS * SLOTS * 2] = {[8] = 0.25f, [9] = 0.75f, [11] = 1};
static const mn_real read[ITEMS * SLOTS] = {0};

static void what_is_shown_of_sentences_is_told_of_this_question(void **state)
{
    (void)state;
    const mn_shown_array shown[] = {
        {"read", 1, ITEMS * SLOTS, read}, /* of as many numbers, but not of sentences */
        {"attention", 1, ITEMS * SLOTS, attention},
        {"word attention", 2, ITEMS * SLOTS * 3, by_word},
        {"entity gates", 0, ITEMS * SLOTS * 2, gates},
        {"update gates", 1, ITEMS * SLOTS, attention},
        {"attention", 3, ITEMS * 3, attention}, /* not of sentences */
    };
    mn_story_view *view = view_of(6, shown);
    static const double expected[4][3] = {
        {0.25, 0.5, 0.25}, {0.25, 0.75, 0}, {0.75, 1, 0}, {0.25, 0.5, 0.25}};
    assert_int_equal(view->n_columns, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_string_equal(view->columns[i].name, shown[i + 1].name);
        for (uint32_t k = 0; k < 3; k++)
            assert_true(view->columns[i].weights[k] == expected[i][k]);
    }
    json_t *json = mn_story_view_json(view), *sentences = json_object_get(json, "sentences");
    json_t *second = json_array_get(sentences, 1);
    assert_int_equal(json_array_size(sentences), 2);
    assert_string_equal(json_string_value(json_object_get(second, "text")), "mary went kitchen");
    assert_true(json_real_value(json_array_get(json_object_get(second, "attention"), 0)) == 0.5);
    assert_true(json_is_true(json_object_get(json, "right")));
    assert_true(json_real_value(json_array_get(
                    json_object_get(json_object_get(json, "empty_slots"), "attention"), 0)) ==
                0.25);
    json_decref(json);
    mn_story_view_destroy(&view);
}

static char *printed(const mn_story_view *view)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    mn_story_view_print(view, out);
    (void)fclose(out);
    return text;
}

static void text_stays_within_eighty_columns(void **state)
{
    (void)state;
    mn_shown_array shown[16];
    for (uint32_t i = 0; i < 16; i++)
        shown[i] = (mn_shown_array){"attention", i + 1, ITEMS * SLOTS, attention};
    for (size_t n = 0; n <= 16; n++) {
        mn_story_view *view = view_of(n, shown);
        char longest[] = "a sentence that is as long as nobody would ever write it down but for a "
                         "test of lines, and then some";
        char *kept = view->sentences[1];
        view->sentences[1] = longest;
        char *text = printed(view);
        for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
            assert_true(strcspn(line, "\n") <= 80);
        assert_non_null(strstr(text, "..."));
        assert_non_null(strstr(text, n == 0 ? "does not show what it went by" : " 50 %"));
        view->sentences[1] = kept;
        free(text);
        mn_story_view_destroy(&view);
    }
}

static void more_columns_than_a_line_has_are_told_by_name_and_number(void **state)
{
    (void)state;
    mn_shown_array shown[12];
    for (uint32_t i = 0; i < 12; i++)
        shown[i] = (mn_shown_array){"word attention", i + 1, ITEMS * SLOTS, attention};
    mn_story_view *view = view_of(12, shown);
    char *text = printed(view);
    assert_non_null(strstr(text, "\n  word attention, hops 1 to 10 of 12 (--json prints all):\n"
                                 "  hop 1 hop 2 "));
    assert_non_null(strstr(text, "hop 9 10\n"));
    free(text);
    mn_story_view_destroy(&view);
}

static void the_text_names_answer_hops_and_empty_slots(void **state)
{
    (void)state;
    const mn_shown_array shown[] = {{"attention", 1, ITEMS * SLOTS, attention}};
    mn_story_view *view = view_of(1, shown);
    char *text = printed(view);
    static const char *const lines[] = {"where mary?\n",
                                        "  kitchen               72.",
                                        "  right\n",
                                        "  hop 1      (attention)\n",
                                        "   25 % #    mary went garden\n",
                                        "   50 % ##   mary went kitchen\n",
                                        "   25 % #    (empty slots)\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (strstr(text, lines[i]) == NULL)
            fail_msg("no \"%s\" in\n%s", lines[i], text);
    free(text);
    mn_story_view_destroy(&view);
}

static void read_picture(const char *path, png_image *image, uint8_t **pixels)
{
    *image = (png_image){.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(image, path));
    image->format = PNG_FORMAT_RGB;
    *pixels = malloc(PNG_IMAGE_SIZE(*image));
    assert_non_null(*pixels);
    assert_true(png_image_finish_read(image, NULL, *pixels, 0, NULL));
}

/* How many pixels have exactly this colour. */
static uint32_t count(const char *path, const uint8_t colour[3])
{
    png_image image;
    uint8_t *pixels = NULL;
    uint32_t n = 0;
    read_picture(path, &image, &pixels);
    for (size_t i = 0; i < PNG_IMAGE_SIZE(image); i += 3)
        n += memcmp(pixels + i, colour, 3) == 0;
    free(pixels);
    return n;
}

static void the_picture_is_darker_where_there_is_more_attention(void **state)
{
    (void)state;
    static const uint8_t quarter[3] = {198, 211, 231}, half[3] = {140, 168, 208};
    const mn_shown_array shown[] = {{"attention", 1, ITEMS * SLOTS, attention}};
    mn_story_view *view = view_of(1, shown);
    assert_int_equal(mn_story_sheet_png(1, &view, "a heading", "story.png", NULL), MN_OK);
    const uint32_t n_half = count("story.png", half), n_quarter = count("story.png", quarter);
    assert_true(n_half > 1000);
    assert_true(n_quarter > 2 * 1000); /* of a sentence and of the empty slots */
    mn_story_view *two[] = {view, view};
    assert_int_equal(mn_story_sheet_png(2, two, "a heading", "stories.png", NULL), MN_OK);
    assert_int_equal(count("stories.png", half), 2 * n_half);
    mn_story_view_destroy(&view);
}

static void wrong_answers_are_marked_in_the_picture(void **state)
{
    (void)state;
    static const uint8_t good[3] = {20, 120, 60}, bad[3] = {190, 40, 30};
    mn_story_view *view = view_of(0, NULL);
    assert_int_equal(mn_story_sheet_png(1, &view, "", "right.png", NULL), MN_OK);
    view->right = false;
    assert_int_equal(mn_story_sheet_png(1, &view, "", "wrong.png", NULL), MN_OK);
    assert_true(count("right.png", good) > 0 && count("right.png", bad) == 0);
    assert_true(count("wrong.png", good) == 0 && count("wrong.png", bad) > 0);
    mn_story_view_destroy(&view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_probable_answers_are_told_first),
        cmocka_unit_test(what_is_shown_of_sentences_is_told_of_this_question),
        cmocka_unit_test(more_columns_than_a_line_has_are_told_by_name_and_number),
        cmocka_unit_test(text_stays_within_eighty_columns),
        cmocka_unit_test(the_text_names_answer_hops_and_empty_slots),
        cmocka_unit_test_setup_teardown(the_picture_is_darker_where_there_is_more_attention,
                                        sample_enter_folder, sample_leave_folder),
        cmocka_unit_test_setup_teardown(wrong_answers_are_marked_in_the_picture,
                                        sample_enter_folder, sample_leave_folder),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
