#include "coordinator/pictures/story_sheet.h"

#include "coordinator/pictures/sheet.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MARGIN 12u
#define CELL_WIDTH (6u * MN_SHEET_LETTER)
#define CELL_HEIGHT 24u
#define GAP 3u /* between cells */
#define MOST_COLUMNS 16u
#define MOST_LETTERS 64u /* of a sentence */
#define WORD_LETTERS 20u
#define BAR_WIDTH 240u
#define BLOCK_GAP 30u   /* between questions */
#define QUESTION_GAP 8u /* between a story and its question */

static const uint8_t white[3] = {255, 255, 255}, full[3] = {25, 80, 160}, good[3] = {20, 120, 60},
                     bad[3] = {190, 40, 30};

struct pen {
    mn_sheet *sheet;
    uint32_t top;
};

static uint32_t letters_of(const char *text)
{
    const size_t n = strlen(text);
    return n < MOST_LETTERS ? (uint32_t)n : MOST_LETTERS;
}

static uint32_t columns_of(const mn_story_view *view)
{
    return view->n_columns < MOST_COLUMNS ? view->n_columns : MOST_COLUMNS;
}

static double weight_of_rest(const mn_story_view *view)
{
    double most = 0;
    for (uint32_t i = 0; i < columns_of(view); i++)
        most = fmax(most, view->columns[i].weights[view->n_sentences]);
    return most;
}

/* With the empty slots, where they count. */
static uint32_t rows_of(const mn_story_view *view)
{
    return view->n_sentences + (weight_of_rest(view) >= 0.005);
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t width_of(const mn_story_view *view)
{
    uint32_t letters = 13; /* "(empty slots)" */
    for (uint32_t i = 0; i < view->n_sentences; i++)
        letters = larger(letters, letters_of(view->sentences[i]));
    const uint32_t story = columns_of(view) * (CELL_WIDTH + GAP) + letters * MN_SHEET_LETTER;
    const uint32_t answers = (WORD_LETTERS + 9) * MN_SHEET_LETTER + BAR_WIDTH;
    return larger(larger(story, answers), (letters_of(view->question) + 1) * MN_SHEET_LETTER);
}

static uint32_t height_of(const mn_story_view *view)
{
    return 2 * MN_SHEET_LINE + QUESTION_GAP + rows_of(view) * (CELL_HEIGHT + GAP) +
           view->n_answers * MN_SHEET_LINE + (view->is != NULL) * MN_SHEET_LINE + BLOCK_GAP;
}

static void put_line(struct pen *pen, uint32_t left, const uint8_t *colour, const char *text)
{
    char cut[MOST_LETTERS + 8];
    (void)snprintf(cut, sizeof cut, "%.*s%s", (int)MOST_LETTERS, text,
                   strlen(text) > MOST_LETTERS ? "..." : "");
    mn_sheet_text(pen->sheet, left, pen->top, colour, cut);
}

/* The fuller the darker, with its number in it. */
static void put_weight(struct pen *pen, uint32_t left, double weight)
{
    const double share = weight > 0 ? fmin(weight, 1) : 0; /* not a number is 0, too */
    uint8_t colour[3];
    char text[16];
    for (int c = 0; c < 3; c++)
        colour[c] = (uint8_t)lround(white[c] + share * (full[c] - white[c]));
    mn_sheet_box(pen->sheet, left, pen->top, CELL_WIDTH, CELL_HEIGHT, colour);
    mn_sheet_frame(pen->sheet, left + 1, pen->top + 1, CELL_WIDTH - 2, CELL_HEIGHT - 2, 1,
                   mn_sheet_pale);
    (void)snprintf(text, sizeof text, "%3.0f %%", fmax(-99, fmin(999, round(100 * weight))));
    if (share >= 0.005)
        mn_sheet_text(pen->sheet, left + MN_SHEET_LETTER / 2,
                      pen->top + (CELL_HEIGHT - MN_SHEET_TEXT) / 2,
                      share > 0.5 ? white : mn_sheet_dark, text);
}

static void put_story(struct pen *pen, const mn_story_view *view)
{
    const uint32_t n = columns_of(view), text_left = MARGIN + n * (CELL_WIDTH + GAP) + GAP;
    for (uint32_t i = 0; i < n; i++) {
        char heading[16] = "";
        if (view->columns[i].hop > 0)
            (void)snprintf(heading, sizeof heading, "hop %" PRIu32, view->columns[i].hop);
        put_line(pen, MARGIN + i * (CELL_WIDTH + GAP), mn_sheet_dark, heading);
    }
    if (n > 0)
        put_line(pen, text_left, mn_sheet_dark, view->columns[0].name);
    pen->top += MN_SHEET_LINE;
    for (uint32_t row = 0; row < rows_of(view); row++) {
        for (uint32_t i = 0; i < n; i++)
            put_weight(pen, MARGIN + i * (CELL_WIDTH + GAP), view->columns[i].weights[row]);
        const uint32_t top = pen->top;
        pen->top += (CELL_HEIGHT - MN_SHEET_TEXT) / 2;
        put_line(pen, text_left, mn_sheet_dark,
                 row < view->n_sentences ? view->sentences[row] : "(empty slots)");
        pen->top = top + CELL_HEIGHT + GAP;
    }
    pen->top += QUESTION_GAP;
}

static void put_answers(struct pen *pen, const mn_story_view *view)
{
    char text[MOST_LETTERS + 8];
    (void)snprintf(text, sizeof text, "%.*s?", (int)MOST_LETTERS, view->question);
    mn_sheet_text(pen->sheet, MARGIN, pen->top, full, text);
    pen->top += MN_SHEET_LINE;
    for (uint32_t i = 0; i < view->n_answers; i++) {
        const double share = view->answers[i].probability;
        const uint32_t left = MARGIN + (WORD_LETTERS + 9) * MN_SHEET_LETTER;
        (void)snprintf(text, sizeof text, "%-*.*s %5.1f %%", (int)WORD_LETTERS, (int)WORD_LETTERS,
                       view->answers[i].word, 100 * share);
        put_line(pen, MARGIN, mn_sheet_dark, text);
        if (share > 0)
            mn_sheet_box(pen->sheet, left, pen->top, (uint32_t)lround(share * BAR_WIDTH),
                         MN_SHEET_TEXT, full);
        pen->top += MN_SHEET_LINE;
    }
    if (view->is == NULL)
        return;
    (void)snprintf(text, sizeof text, "%s%s", view->right ? "right" : "wrong: it is ",
                   view->right ? "" : view->is);
    put_line(pen, MARGIN, view->right ? good : bad, text);
    pen->top += MN_SHEET_LINE;
}

mn_status mn_story_sheet_png(uint32_t n, mn_story_view *const *views, const char *heading,
                             const char *path, mn_error *err)
{
    uint32_t width = letters_of(heading) * MN_SHEET_LETTER, height = 2 * MN_SHEET_LINE;
    mn_sheet sheet;
    for (uint32_t i = 0; i < n; i++) {
        width = larger(width, width_of(views[i]));
        if (__builtin_add_overflow(height, height_of(views[i]), &height))
            return mn_fail(err, MN_ERR_USAGE, "a picture of %" PRIu32 " questions is too high", n);
    }
    mn_status status = mn_sheet_init(&sheet, width + 2 * MARGIN, height + 2 * MARGIN, 3, err);
    if (status != MN_OK)
        return status;
    struct pen pen = {.sheet = &sheet, .top = MARGIN};
    put_line(&pen, MARGIN, mn_sheet_dark, heading);
    pen.top += 2 * MN_SHEET_LINE;
    for (uint32_t i = 0; i < n; i++) {
        put_story(&pen, views[i]);
        put_answers(&pen, views[i]);
        pen.top += BLOCK_GAP;
    }
    status = mn_sheet_write(&sheet, path, err);
    mn_sheet_fini(&sheet);
    return status;
}
