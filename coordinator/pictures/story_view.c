#include "coordinator/pictures/story_view.h"

#include "common/json_number.h"
#include "worker/tasks/story_fields.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 80 /* of a line of text */
#define BAR 4    /* signs of a full bar beside a number */
#define ANSWER_BAR 24
#define MANY_COLUMNS 4u /* from here on numbers have no bars */
#define MOST_COLUMNS 10u

/* What is told of a sentence for which several numbers are shown. */
typedef enum gather { SUM, MOST } gather;

static const struct kind {
    const char *name; /* as it is shown */
    gather gather;
} kinds[] = {
    {"attention", SUM},
    {"word attention", SUM}, /* of a sentence's words */
    {"entity gates", MOST},  /* of all entities */
    {"update gates", MOST},  /* of a layer of query reduction */
};

static mn_status tell(const mn_story_source *source, mn_story_view *view);
static mn_status answer(const mn_story_source *source, mn_story_view *view);
static mn_status add_column(const mn_story_source *source, const mn_shown_array *array,
                            mn_story_view *view);
static const float *item_of(const mn_story_source *source, const char *name);

bool mn_story_view_fits(const mn_fields *fields)
{
    return mn_fields_find(fields, MN_QUERY, "story") != NULL &&
           mn_fields_find(fields, MN_QUERY, "question") != NULL;
}

mn_status mn_story_view_new(const mn_story_source *source, mn_story_view **out, mn_error *err)
{
    mn_story_view *view = calloc(1, sizeof *view);
    mn_status status = view == NULL ? MN_ERR_NOMEM : tell(source, view);
    if (status == MN_OK && source->logits != NULL)
        status = answer(source, view);
    for (size_t i = 0; i < source->n_shown && status == MN_OK; i++)
        status = add_column(source, &source->shown[i], view);
    if (status != MN_OK) {
        mn_story_view_destroy(&view);
        return mn_fail(err, status, "what is told of a story");
    }
    *out = view;
    return MN_OK;
}

void mn_story_view_destroy(mn_story_view **of)
{
    mn_story_view *view = *of;
    if (view == NULL)
        return;
    for (uint32_t i = 0; view->sentences != NULL && i < view->n_sentences; i++)
        free(view->sentences[i]);
    for (uint32_t i = 0; i < view->n_columns; i++)
        free(view->columns[i].weights);
    free(view->question);
    free((void *)view->sentences);
    free(view->ages);
    free(view);
    *of = NULL;
}

/* Making -------------------------------------------------------------------------- */

static const float *item_of(const mn_story_source *source, const char *name)
{
    const mn_field *field = mn_fields_find(&source->task->fields, MN_QUERY, name);
    return field == NULL
               ? NULL
               : source->task->block + field->offset + source->item * mn_field_item(field);
}

/* The words of a slot, or of the question. */
static char *text_of(const mn_story_source *source, bool is_question, uint32_t slot)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (out == NULL)
        return NULL;
    if (is_question)
        mn_story_print_question(source->task, MN_QUERY, source->item, source->words, out);
    else
        mn_story_print_slot(source->task, MN_QUERY, source->item, slot, source->words, out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static mn_status tell(const mn_story_source *source, mn_story_view *view)
{
    const uint32_t slots = mn_story_slots(&source->task->fields);
    const float *mask = item_of(source, "mask"), *age = item_of(source, "age");
    uint32_t left = 0;
    for (uint32_t slot = 0; slot < slots; slot++)
        left += mask[slot] != 0;
    view->question = text_of(source, true, 0);
    view->mark = source->answers == NULL ? "?" : "";
    view->sentences = calloc(slots, sizeof *view->sentences);
    view->ages = calloc(slots, sizeof *view->ages);
    if (view->question == NULL || view->sentences == NULL || view->ages == NULL)
        return MN_ERR_NOMEM;
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (mask[slot] == 0)
            continue;
        char *text = text_of(source, false, slot);
        if (text == NULL)
            return MN_ERR_NOMEM;
        view->ages[view->n_sentences] = age != NULL ? (uint32_t)age[slot] : left;
        left--;
        view->sentences[view->n_sentences++] = text;
    }
    return MN_OK;
}

static const char *name_of(const mn_story_source *source, uint32_t number)
{
    if (source->answers != NULL)
        return source->answers[number];
    return number == 0 ? "<no word>" : mn_words_text(source->words, number);
}

static mn_status answer(const mn_story_source *source, mn_story_view *view)
{
    const uint32_t n = source->task->fields.y_size;
    float *left = malloc(n * sizeof *left); /* those that are not told yet */
    if (left == NULL)
        return MN_ERR_NOMEM;
    memcpy(left, source->logits, n * sizeof *left);
    const double most = (double)left[mn_label_of(n, left)];
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)left[i] - most);
    const uint32_t best = mn_label_of(n, left);
    for (; view->n_answers < MN_STORY_ANSWERS && view->n_answers < n; view->n_answers++) {
        const uint32_t at = mn_label_of(n, left);
        view->answers[view->n_answers] =
            (mn_view_answer){name_of(source, at), exp((double)left[at] - most) / sum};
        left[at] = -INFINITY;
    }
    free(left);
    if (source->judged) {
        const uint32_t is = mn_label_of(n, item_of(source, "y"));
        const bool known = is != 0 || source->answers != NULL;
        view->is = known ? name_of(source, is) : "<unknown>";
        view->right = is == best && known;
    }
    return MN_OK;
}

/* Nothing, if it is not of sentences. */
static mn_status add_column(const mn_story_source *source, const mn_shown_array *array,
                            mn_story_view *view)
{
    const uint32_t items = mn_fields_find(&source->task->fields, MN_QUERY, "story")->n;
    const uint32_t slots = mn_story_slots(&source->task->fields);
    const size_t size = array->n / items, each = size / slots;
    const struct kind *kind = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, array->name) == 0)
            kind = &kinds[i];
    if (kind == NULL || array->n != (size_t)items * slots * each || each == 0 ||
        view->n_columns == MN_STORY_MAX_COLUMNS)
        return MN_OK;
    mn_story_column *column = &view->columns[view->n_columns];
    column->weights = calloc(view->n_sentences + 1, sizeof *column->weights);
    if (column->weights == NULL)
        return MN_ERR_NOMEM;
    memcpy(column->name, array->name, sizeof column->name);
    column->hop = array->hop;
    view->n_columns++;
    const float *mask = item_of(source, "mask");
    const mn_real *numbers = array->numbers + source->item * size;
    for (uint32_t slot = 0, sentence = 0; slot < slots; slot++) {
        double *weight = &column->weights[mask[slot] != 0 ? sentence++ : view->n_sentences];
        for (size_t i = 0; i < each; i++) {
            const double number = (double)numbers[slot * each + i];
            *weight = kind->gather == SUM ? *weight + number : fmax(*weight, number);
        }
    }
    return MN_OK;
}

/* Text ---------------------------------------------------------------------------- */

static const char bar[] = "########################";
_Static_assert(sizeof bar - 1 == ANSWER_BAR, "a full bar");

/* A number with its bar, or "." for next to nothing. */
static void print_weight(double weight, bool with_bar, FILE *out)
{
    const double percent = round(100 * weight);
    if (percent == 0)
        (void)fprintf(out, "    . ");
    else
        (void)fprintf(out, "%3.0f %% ", fmax(-99, fmin(999, percent)));
    const int n = weight > 0 ? (int)lround(fmin(weight, 1) * BAR) : 0;
    if (with_bar)
        (void)fprintf(out, "%-*.*s ", BAR, n, bar);
}

static void print_sentences(const mn_story_view *view, FILE *out)
{
    const uint32_t n = view->n_columns < MOST_COLUMNS ? view->n_columns : MOST_COLUMNS;
    const bool with_bars = n <= MANY_COLUMNS;
    const int cell = with_bars ? 6 + BAR + 1 : 6, room = WIDTH - 2 - (int)n * cell;
    const char *name = n > 0 ? view->columns[0].name : "attention";
    double rest = 0;
    if (n < view->n_columns)
        (void)fprintf(out, "  %s, hops 1 to %" PRIu32 " of %" PRIu32 " (--json prints all):\n",
                      name, n, view->n_columns);
    (void)fputs("  ", out);
    for (uint32_t i = 0; i < n; i++) {
        char heading[16];
        (void)snprintf(heading, sizeof heading, "%s%" PRIu32,
                       view->columns[i].hop < 10 ? "hop " : "", view->columns[i].hop);
        const bool ends = i + 1 == n && n < view->n_columns; /* the line */
        (void)fprintf(out, "%-*s", ends ? 0 : cell, view->columns[i].hop > 0 ? heading : "");
        rest = fmax(rest, view->columns[i].weights[view->n_sentences]);
    }
    if (n == 0)
        (void)fputs("this network does not show what it went by\n", out);
    else if (n < view->n_columns)
        (void)fputs("\n", out);
    else
        (void)fprintf(out, "(%s)\n", name);
    for (uint32_t sentence = 0; sentence <= view->n_sentences; sentence++) {
        const bool is_rest = sentence == view->n_sentences;
        if (is_rest && rest < 0.005)
            break;
        (void)fputs("  ", out);
        for (uint32_t i = 0; i < n; i++)
            print_weight(view->columns[i].weights[sentence], with_bars, out);
        const char *text = is_rest ? "(empty slots)" : view->sentences[sentence];
        if ((int)strlen(text) <= room)
            (void)fprintf(out, "%s\n", text);
        else
            (void)fprintf(out, "%.*s...\n", room - 3, text);
    }
}

void mn_story_view_print(const mn_story_view *view, FILE *out)
{
    (void)fprintf(out, "%s%s\n", view->question, view->mark);
    for (uint32_t i = 0; i < view->n_answers; i++) {
        const mn_view_answer *given = &view->answers[i];
        const double share = given->probability > 0 ? given->probability : 0; /* not for NaN */
        if (view->mark[0] == '\0')
            (void)fprintf(out, "  %6.2f %%  %s\n", 100 * given->probability, given->word);
        else
            (void)fprintf(out, "  %-20s %6.2f %%%s%.*s\n", given->word, 100 * given->probability,
                          share >= 0.5 / ANSWER_BAR ? "  " : "", (int)lround(share * ANSWER_BAR),
                          bar);
    }
    if (view->is != NULL)
        (void)fprintf(out, "  %s%s\n", view->right ? "right" : "wrong: it is ",
                      view->right ? "" : view->is);
    (void)fputc('\n', out);
    print_sentences(view, out);
}

/* JSON ---------------------------------------------------------------------------- */

/* {"attention": [...]}: the weights of a sentence by their name. */
static void add_weights(const mn_story_view *view, uint32_t sentence, json_t *to)
{
    for (uint32_t i = 0; i < view->n_columns; i++) {
        const mn_story_column *column = &view->columns[i];
        json_t *list = json_object_get(to, column->name);
        if (list == NULL) {
            (void)json_object_set_new(to, column->name, json_array());
            list = json_object_get(to, column->name);
        }
        (void)json_array_append_new(list, mn_json_number(column->weights[sentence]));
    }
}

json_t *mn_story_view_json(const mn_story_view *view)
{
    json_t *root = json_object(), *answers = json_array(), *sentences = json_array();
    json_t *rest = json_object();
    for (uint32_t i = 0; i < view->n_answers; i++)
        (void)json_array_append_new(
            answers, json_pack("{s:s, s:o}", "word", view->answers[i].word, "probability",
                               mn_json_number(view->answers[i].probability)));
    for (uint32_t i = 0; i < view->n_sentences; i++) {
        json_t *sentence =
            json_pack("{s:s, s:I}", "text", view->sentences[i], "age", (json_int_t)view->ages[i]);
        add_weights(view, i, sentence);
        (void)json_array_append_new(sentences, sentence);
    }
    add_weights(view, view->n_sentences, rest);
    (void)json_object_set_new(root, "question", json_string(view->question));
    (void)json_object_set_new(root, "answers", answers);
    if (view->is != NULL) {
        (void)json_object_set_new(root, "is", json_string(view->is));
        (void)json_object_set_new(root, "right", json_boolean(view->right));
    }
    (void)json_object_set_new(root, "sentences", sentences);
    (void)json_object_set_new(root, "empty_slots", rest);
    return root;
}
