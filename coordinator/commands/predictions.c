#include "coordinator/commands/predictions.h"

#include "common/clock.h"
#include "common/file.h"
#include "common/text.h"
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_COLUMNS 40u /* of a name before the columns behind it give way */
#define AT_ONCE 32u      /* questions */

static void print_classes(const mn_predictions *predictions, uint32_t n, FILE *out);
static void print_value(const mn_predictions *predictions, uint32_t i, FILE *out);
static void print_sum(const mn_predictions *predictions, FILE *out);

/* Questions are judged each by its own story, so many at a time. */
static mn_status ask(const mn_adapted *adapted, const mn_own_items *items, float *answers,
                     mn_error *err)
{
    mn_status status = MN_OK;
    for (uint32_t begin = 0; begin < items->n && status == MN_OK; begin += AT_ONCE) {
        const uint32_t left = items->n - begin, here = left < AT_ONCE ? left : AT_ONCE;
        mn_task *task = NULL;
        status = mn_adapted_task(adapted, here, &task, err);
        if (status != MN_OK)
            break;
        mn_own_items_put(items, begin, here, task, MN_QUERY);
        status = mn_adapted_predict_task(
            adapted, task, answers + (size_t)begin * mn_adapted_columns(adapted), NULL, err);
        mn_task_destroy(&task);
    }
    return status;
}

/* Into the unit of the user's table: a mean, and where there is one a deviation. */
static void rescale(mn_predictions *predictions)
{
    const uint32_t columns = mn_adapted_columns(predictions->adapted);
    const double scale = predictions->items->y_scale, mean = predictions->items->y_mean;
    for (uint32_t i = 0; i < predictions->items->n; i++) {
        float *answer = predictions->answers + (size_t)i * columns;
        answer[0] = (float)((double)answer[0] * scale + mean);
        if (columns > 1)
            answer[1] = (float)((double)answer[1] * scale);
    }
}

mn_status mn_predictions_new(const mn_adapted *adapted, const mn_own_items *items,
                             mn_predictions *out, mn_error *err)
{
    *out = (mn_predictions){.adapted = adapted, .items = items};
    out->answers = calloc((size_t)items->n * mn_adapted_columns(adapted), sizeof *out->answers);
    if (out->answers == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%" PRIu32 " answers", items->n);
    const double begin = mn_clock_s(CLOCK_MONOTONIC);
    mn_status status = items->is_story
                           ? ask(adapted, items, out->answers, err)
                           : mn_adapted_predict_ids(adapted, items->n, items->x, items->row_ids,
                                                    out->answers, NULL, err);
    out->seconds = mn_clock_s(CLOCK_MONOTONIC) - begin;
    if (status == MN_OK && items->is_rows && mn_adapted_classes(adapted) == 0)
        rescale(out);
    if (status != MN_OK)
        mn_predictions_fini(out);
    return status;
}

void mn_predictions_fini(mn_predictions *predictions)
{
    free(predictions->answers);
    *predictions = (mn_predictions){0};
}

/* Telling ---------------------------------------------------------------------------- */

static const float *answer_of(const mn_predictions *predictions, uint32_t i)
{
    return predictions->answers + (size_t)i * mn_adapted_columns(predictions->adapted);
}

static uint32_t named(const mn_predictions *predictions, uint32_t i)
{
    return mn_label_of(mn_adapted_classes(predictions->adapted), answer_of(predictions, i));
}

/* The class of an item, if it is told. */
static const char *class_of(const mn_predictions *predictions, uint32_t i)
{
    const uint32_t label = predictions->items->labels[i];
    return label == MN_NO_CLASS ? NULL : mn_adapted_class_name(predictions->adapted, label);
}

static bool has_deviations(const mn_predictions *predictions)
{
    return mn_adapted_columns(predictions->adapted) > 1;
}

/* Is its value told? */
static bool is_told(const mn_predictions *predictions, uint32_t i)
{
    return predictions->items->y != NULL && !isnan(predictions->items->y[i]);
}

static void item_name(const mn_predictions *predictions, uint32_t i, char out[300])
{
    const char *name = predictions->items->names[i];
    (void)mn_text_escape(name, strlen(name), out, 300);
}

void mn_predictions_print(const mn_predictions *predictions, uint32_t most, FILE *out)
{
    const uint32_t n = predictions->items->n, told = n < most ? n : most;
    if (mn_adapted_classes(predictions->adapted) > 0) {
        print_classes(predictions, told, out);
    } else {
        (void)fprintf(out, "  %12s %12s%s%s\n", predictions->items->is_rows ? "row" : "x", "y",
                      has_deviations(predictions) ? "    deviation" : "",
                      predictions->items->y != NULL ? "  given as" : "");
        for (uint32_t i = 0; i < told; i++)
            print_value(predictions, i, out);
    }
    if (n > told)
        (void)fprintf(out, "  and %" PRIu32 " more, which -o FOLDER writes down\n", n - told);
    print_sum(predictions, out);
}

static int wider(int columns, const char *text)
{
    const size_t n = strlen(text);
    return n > (size_t)columns && n <= MOST_COLUMNS ? (int)n : columns;
}

static void print_classes(const mn_predictions *predictions, uint32_t n, FILE *out)
{
    const bool is_story = predictions->items->is_story;
    const char *what = is_story ? "question" : predictions->items->is_rows ? "row" : "picture";
    const char *says = is_story ? "answer" : "class";
    int columns[2] = {wider(0, what), wider(0, says)};
    char name[300];
    for (uint32_t i = 0; i < n; i++) {
        item_name(predictions, i, name);
        columns[0] = wider(columns[0], name);
        columns[1] =
            wider(columns[1], mn_adapted_class_name(predictions->adapted, named(predictions, i)));
    }
    (void)fprintf(out, "  %-*s  %-*s  probability\n", columns[0], what, columns[1], says);
    for (uint32_t i = 0; i < n; i++) {
        const char *is = class_of(predictions, i);
        const uint32_t best = named(predictions, i);
        item_name(predictions, i, name);
        (void)fprintf(out, "  %-*s  %-*s  %9.2f %%", columns[0], name, columns[1],
                      mn_adapted_class_name(predictions->adapted, best),
                      100 * (double)answer_of(predictions, i)[best]);
        if (is != NULL && predictions->items->labels[i] == best)
            (void)fprintf(out, "  right");
        else if (is != NULL)
            (void)fprintf(out, "  wrong: it is %s", is);
        (void)fputc('\n', out);
    }
}

static void print_value(const mn_predictions *predictions, uint32_t i, FILE *out)
{
    const float *answer = answer_of(predictions, i);
    if (predictions->items->is_rows)
        (void)fprintf(out, "  %12s %12.6g", predictions->items->names[i], (double)answer[0]);
    else
        (void)fprintf(out, "  %12.6g %12.6g", (double)predictions->items->x[i], (double)answer[0]);
    if (has_deviations(predictions))
        (void)fprintf(out, " %12.4g", (double)answer[1]);
    if (is_told(predictions, i))
        (void)fprintf(out, "  %.6g", (double)predictions->items->y[i]);
    (void)fputc('\n', out);
}

/* How many items have a class, and of how many it is named. */
static uint32_t count_right(const mn_predictions *predictions, uint32_t *judged)
{
    uint32_t right = 0;
    *judged = 0;
    for (uint32_t i = 0; predictions->items->labels != NULL && i < predictions->items->n; i++) {
        *judged += predictions->items->labels[i] != MN_NO_CLASS;
        right += predictions->items->labels[i] == named(predictions, i);
    }
    return right;
}

/* Over the n items whose values are told, one at least. */
static double squared_error(const mn_predictions *predictions, uint32_t *n)
{
    double sum = 0;
    *n = 0;
    for (uint32_t i = 0; i < predictions->items->n; i++) {
        if (!is_told(predictions, i))
            continue;
        const double off = (double)answer_of(predictions, i)[0] - (double)predictions->items->y[i];
        sum += off * off;
        ++*n;
    }
    return sum / *n;
}

static void print_sum(const mn_predictions *predictions, FILE *out)
{
    uint32_t judged;
    const uint32_t right = count_right(predictions, &judged);
    if (judged > 0)
        (void)fprintf(out, "%" PRIu32 " of %" PRIu32 " right: accuracy %.2f %%\n", right, judged,
                      100.0 * right / judged);
    if (predictions->items->y != NULL) {
        const double error = squared_error(predictions, &judged);
        (void)fprintf(out, "mean squared error %.6g over %" PRIu32 " %s\n", error, judged,
                      predictions->items->is_rows ? "rows" : "points");
    }
}

/* CSV -------------------------------------------------------------------------------- */

/* By RFC 4180. */
static void put_text(const char *text, FILE *out)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        (void)fputs(text, out);
        return;
    }
    (void)fputc('"', out);
    for (; *text != '\0'; text++)
        (void)fputs(*text == '"' ? "\"\"" : (char[]){*text, '\0'}, out);
    (void)fputc('"', out);
}

static void put_classes(const mn_predictions *predictions, FILE *out)
{
    const uint32_t way = mn_adapted_classes(predictions->adapted);
    (void)fputs("item,predicted,probability,is", out);
    for (uint32_t k = 0; k < way; k++) {
        char column[300];
        (void)snprintf(column, sizeof column, "p:%s",
                       mn_adapted_class_name(predictions->adapted, k));
        (void)fputc(',', out);
        put_text(column, out);
    }
    (void)fputc('\n', out);
    for (uint32_t i = 0; i < predictions->items->n; i++) {
        char name[300];
        const uint32_t best = named(predictions, i);
        const float *answer = answer_of(predictions, i);
        const char *is = class_of(predictions, i);
        item_name(predictions, i, name);
        put_text(name, out);
        (void)fputc(',', out);
        put_text(mn_adapted_class_name(predictions->adapted, best), out);
        (void)fprintf(out, ",%.9g,", (double)answer[best]);
        put_text(is != NULL ? is : "", out);
        for (uint32_t k = 0; k < way; k++)
            (void)fprintf(out, ",%.9g", (double)answer[k]);
        (void)fputc('\n', out);
    }
}

static void put_values(const mn_predictions *predictions, FILE *out)
{
    const bool deviations = has_deviations(predictions);
    (void)fprintf(out, "%s,predicted%s,is\n", predictions->items->is_rows ? "item" : "x",
                  deviations ? ",deviation" : "");
    for (uint32_t i = 0; i < predictions->items->n; i++) {
        const float *answer = answer_of(predictions, i);
        if (predictions->items->is_rows)
            (void)fprintf(out, "%s,%.9g", predictions->items->names[i], (double)answer[0]);
        else
            (void)fprintf(out, "%.9g,%.9g", (double)predictions->items->x[i], (double)answer[0]);
        if (deviations)
            (void)fprintf(out, ",%.9g", (double)answer[1]);
        (void)fputc(',', out);
        if (is_told(predictions, i))
            (void)fprintf(out, "%.9g", (double)predictions->items->y[i]);
        (void)fputc('\n', out);
    }
}

mn_status mn_predictions_csv(const mn_predictions *predictions, char **text, mn_error *err)
{
    size_t n = 0;
    FILE *out = open_memstream(text, &n);
    if (out == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "predictions as CSV");
    if (mn_adapted_classes(predictions->adapted) > 0)
        put_classes(predictions, out);
    else
        put_values(predictions, out);
    return fclose(out) == 0 ? MN_OK : mn_fail(err, MN_ERR_NOMEM, "predictions as CSV");
}

/* JSON ------------------------------------------------------------------------------- */

static json_t *class_json(const mn_predictions *predictions, uint32_t i)
{
    const float *answer = answer_of(predictions, i);
    const uint32_t best = named(predictions, i), way = mn_adapted_classes(predictions->adapted);
    const char *is = class_of(predictions, i);
    json_t *one = json_object(), *all = json_array();
    char name[300];
    item_name(predictions, i, name);
    (void)json_object_set_new(one, "item", json_string(name));
    (void)json_object_set_new(one, "predicted",
                              json_string(mn_adapted_class_name(predictions->adapted, best)));
    (void)json_object_set_new(one, "probability", json_real((double)answer[best]));
    for (uint32_t k = 0; k < way; k++)
        (void)json_array_append_new(all, json_real((double)answer[k]));
    (void)json_object_set_new(one, "probabilities", all);
    if (is != NULL) {
        (void)json_object_set_new(one, "is", json_string(is));
        (void)json_object_set_new(one, "right",
                                  json_boolean(predictions->items->labels[i] == best));
    }
    return one;
}

static json_t *value_json(const mn_predictions *predictions, uint32_t i)
{
    const float *answer = answer_of(predictions, i);
    json_t *one = json_object();
    if (predictions->items->is_rows)
        (void)json_object_set_new(one, "item", json_string(predictions->items->names[i]));
    else
        (void)json_object_set_new(one, "x", json_real((double)predictions->items->x[i]));
    (void)json_object_set_new(one, "predicted", json_real((double)answer[0]));
    if (has_deviations(predictions))
        (void)json_object_set_new(one, "deviation", json_real((double)answer[1]));
    if (is_told(predictions, i))
        (void)json_object_set_new(one, "is", json_real((double)predictions->items->y[i]));
    return one;
}

void mn_predictions_json(const mn_predictions *predictions, json_t *root)
{
    const uint32_t way = mn_adapted_classes(predictions->adapted);
    json_t *list = json_array(), *classes = json_array();
    uint32_t judged;
    const uint32_t right = count_right(predictions, &judged);
    for (uint32_t k = 0; k < way; k++)
        (void)json_array_append_new(classes,
                                    json_string(mn_adapted_class_name(predictions->adapted, k)));
    for (uint32_t i = 0; i < predictions->items->n; i++)
        (void)json_array_append_new(list, (way > 0 ? class_json : value_json)(predictions, i));
    if (way > 0)
        (void)json_object_set_new(root, "classes", classes);
    else
        json_decref(classes);
    (void)json_object_set_new(root, "predictions", list);
    if (judged > 0)
        (void)json_object_set_new(root, "accuracy", json_real((double)right / judged));
    if (predictions->items->y != NULL)
        (void)json_object_set_new(root, "squared_error",
                                  json_real(squared_error(predictions, &judged)));
    (void)json_object_set_new(root, "predict_milliseconds", json_real(1e3 * predictions->seconds));
}

/* Files ------------------------------------------------------------------------------ */

static mn_status write_text(const char *folder, const char *name, const char *text, mn_error *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return mn_fail(err, MN_ERR_IO, "%.200s...: the path is too long", folder);
    return mn_file_write(path, text, strlen(text), err);
}

mn_status mn_predictions_write(const mn_predictions *predictions, const json_t *root,
                               const char *folder, mn_error *err)
{
    char *csv = NULL, *json = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    mn_status status = json != NULL ? mn_predictions_csv(predictions, &csv, err)
                                    : mn_fail(err, MN_ERR_NOMEM, "predictions as JSON");
    if (status == MN_OK)
        status = mn_folder_make(folder, err);
    if (status == MN_OK)
        status = write_text(folder, "predictions.csv", csv, err);
    if (status == MN_OK)
        status = write_text(folder, "predictions.json", json, err);
    free(csv);
    free(json);
    return status;
}
