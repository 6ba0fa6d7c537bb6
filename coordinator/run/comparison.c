#include "coordinator/run/comparison.h"

#include "common/json_number.h"
#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#define NONE UINT32_MAX

enum { TITLE = 160 };

static uint32_t partner(const mn_score_list *first, uint32_t i, const mn_score_list *second);
static bool equal_lists(const mn_score_list *a, const mn_score_list *b);
static double sign_test(uint32_t higher, uint32_t lower);

/* A task's numbers for one score. */
struct entry {
    double sum, weight;
    bool counts;
};

static struct entry entry_of(const mn_evaluation *table, uint32_t score, uint32_t task)
{
    const uint32_t n = table->scores->n;
    const double *row = &table->rows[task * (2 * (size_t)n + 2)];
    return (struct entry){.sum = row[score],
                          .weight = row[n + score],
                          .counts = row[2 * (size_t)n] > 0 && row[n + score] > 0};
}

mn_difference mn_difference_between(const mn_evaluation *first, uint32_t i,
                                    const mn_evaluation *second, uint32_t j)
{
    const uint32_t n_tasks = first->n_counted + first->n_skipped;
    assert(first->rows != NULL && second->rows != NULL);
    assert(n_tasks == second->n_counted + second->n_skipped);
    mn_difference out = {0};
    struct entry a = {0};
    struct entry b = {0};
    for (uint32_t task = 0; task < n_tasks; task++) {
        const struct entry x = entry_of(first, i, task);
        const struct entry y = entry_of(second, j, task);
        if (!x.counts || !y.counts)
            continue;
        out.n++;
        a.sum += x.sum;
        a.weight += x.weight;
        b.sum += y.sum;
        b.weight += y.weight;
        const double difference = y.sum / y.weight - x.sum / x.weight;
        out.higher += difference > 0;
        out.lower += difference < 0;
        out.equal += difference == 0;
    }
    out.p = sign_test(out.higher, out.lower);
    out.mean = out.half_width = NAN;
    if (out.n == 0)
        return out;
    const double mean_a = a.sum / a.weight;
    const double mean_b = b.sum / b.weight;
    double squares = 0;
    for (uint32_t task = 0; task < n_tasks; task++) {
        const struct entry x = entry_of(first, i, task);
        const struct entry y = entry_of(second, j, task);
        const double off = (y.sum - y.weight * mean_b) / (b.weight / out.n) -
                           (x.sum - x.weight * mean_a) / (a.weight / out.n);
        if (x.counts && y.counts)
            squares += off * off;
    }
    out.mean = mean_b - mean_a;
    if (out.n > 1)
        out.half_width = 1.96 * sqrt(squares / (out.n - 1)) / sqrt(out.n);
    return out;
}

/* Telling ------------------------------------------------------------------------------ */

/* "accuracy, inner steps 5, in %" */
static void title_of(const mn_score *score, char title[TITLE])
{
    const char *unit = score->is_share ? "%" : score->unit;
    const bool once = score->axis[0] == '\0';
    (void)snprintf(title, TITLE, "%s%s%s%s%s%s%s", score->name, once ? "" : ", ", score->axis,
                   once ? "" : " ", score->point, unit[0] != '\0' ? ", in " : "", unit);
    for (char *at = title; *at != '\0'; at++)
        if (*at == '_')
            *at = ' ';
}

/* Of the first column: names stand two places to the right. */
static int width_of_first(size_t n, const mn_contestant *contestants)
{
    const mn_score_list *scores = contestants[0].table->scores;
    size_t width = 0;
    for (size_t k = 0; k < n; k++)
        if (strlen(contestants[k].name) + 2 > width)
            width = strlen(contestants[k].name) + 2;
    for (uint32_t i = 0; i < scores->n; i++) {
        char title[TITLE];
        title_of(&scores->at[i], title);
        if (strlen(title) > width)
            width = strlen(title);
    }
    return (int)width;
}

static void print_number(double mean, double half_width, double factor, bool sign, FILE *out)
{
    const int digits = factor == 1 ? 4 : 2;
    if (sign)
        (void)fprintf(out, "  %+10.*f +- ", digits, factor * mean);
    else
        (void)fprintf(out, "  %10.*f +- ", digits, factor * mean);
    if (isnan(half_width))
        (void)fprintf(out, "%-6s", "-");
    else
        (void)fprintf(out, "%-6.*f", digits, factor * half_width);
}

static void print_score(uint32_t i, size_t n, const mn_contestant *contestants, int width,
                        FILE *out)
{
    const mn_evaluation *first = contestants[0].table;
    const mn_score *score = &first->scores->at[i];
    const double factor = score->is_share ? 100 : 1;
    char title[TITLE];
    title_of(score, title);
    (void)fprintf(out, "%-*s  %20s  %20s  %6s  %6s  %6s  %s\n", width, title, "mean +- 95 % ",
                  "less the first +-", "higher", "lower", "equal", "sign test p");
    for (size_t k = 0; k < n; k++) {
        const uint32_t j = partner(first->scores, i, contestants[k].table->scores);
        (void)fprintf(out, "  %-*s", width - 2, contestants[k].name);
        const mn_estimate *estimate = &contestants[k].table->estimates[j];
        print_number(estimate->mean, estimate->half_width, factor, false, out);
        if (k > 0) {
            const mn_difference difference =
                mn_difference_between(first, i, contestants[k].table, j);
            print_number(difference.mean, difference.half_width, factor, true, out);
            (void)fprintf(out, "  %6" PRIu32 "  %6" PRIu32 "  %6" PRIu32 "  %.3g",
                          difference.higher, difference.lower, difference.equal, difference.p);
        }
        (void)fputc('\n', out);
    }
}

static bool shared_by_all(uint32_t i, size_t n, const mn_contestant *contestants)
{
    for (size_t k = 0; k < n; k++)
        if (partner(contestants[0].table->scores, i, contestants[k].table->scores) == NONE)
            return false;
    return true;
}

void mn_comparison_print(size_t n, const mn_contestant *contestants, FILE *out)
{
    const mn_evaluation *first = contestants[0].table;
    const int width = width_of_first(n, contestants);
    (void)fprintf(out,
                  "%" PRIu32 " tasks, the same for all; a task is a pair, intervals are "
                  "1.96 sd/sqrt(n)\n",
                  first->n_counted + first->n_skipped);
    for (size_t k = 0; k < n; k++)
        if (contestants[k].table->n_skipped > 0)
            (void)fprintf(out,
                          "%s: %" PRIu32 " tasks were skipped, their loss was not finite or too "
                          "large; they are in no pair\n",
                          contestants[k].name, contestants[k].table->n_skipped);
    for (uint32_t i = 0; i < first->scores->n; i++)
        if (shared_by_all(i, n, contestants))
            print_score(i, n, contestants, width, out);
}

/* In quotes if it must be. */
static void put_text(const char *text, FILE *out)
{
    const bool plain = strpbrk(text, ",\"\n\r") == NULL;
    if (!plain)
        (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            (void)fputc('"', out);
        (void)fputc(*text, out);
    }
    if (!plain)
        (void)fputc('"', out);
}

static void put_number(double value, FILE *out)
{
    if (isfinite(value))
        (void)fprintf(out, ",%.17g", value);
    else
        (void)fputc(',', out);
}

static void put_score(const mn_contestant *contestant, const mn_score *score, FILE *out)
{
    put_text(contestant->name, out);
    (void)fprintf(out, ",%s,%s,", score->name, score->axis);
    put_text(score->point, out);
}

void mn_comparison_points(size_t n, const mn_contestant *contestants, FILE *out)
{
    (void)fputs("run,score,axis,point,mean,ci95\n", out);
    for (size_t k = 0; k < n; k++)
        for (uint32_t i = 0; i < contestants[k].table->scores->n; i++) {
            put_score(&contestants[k], &contestants[k].table->scores->at[i], out);
            put_number(contestants[k].table->estimates[i].mean, out);
            put_number(contestants[k].table->estimates[i].half_width, out);
            (void)fputc('\n', out);
        }
}

void mn_comparison_tasks(size_t n, const mn_contestant *contestants, FILE *out)
{
    (void)fputs("run,score,axis,point,task,value,weight\n", out);
    for (size_t k = 0; k < n; k++) {
        const mn_evaluation *table = contestants[k].table;
        for (uint32_t i = 0; i < table->scores->n; i++)
            for (uint32_t task = 0; task < table->n_counted + table->n_skipped; task++) {
                const struct entry entry = entry_of(table, i, task);
                put_score(&contestants[k], &table->scores->at[i], out);
                (void)fprintf(out, ",%" PRIu32, task);
                put_number(entry.counts ? entry.sum / entry.weight : NAN, out);
                put_number(entry.counts ? entry.weight : NAN, out);
                (void)fputc('\n', out);
            }
    }
}

static json_t *differences_to(const mn_contestant *first, const mn_contestant *second)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < first->table->scores->n; i++) {
        const mn_score *score = &first->table->scores->at[i];
        const uint32_t j = partner(first->table->scores, i, second->table->scores);
        if (j == NONE)
            continue;
        const mn_difference difference = mn_difference_between(first->table, i, second->table, j);
        json_t *row = json_object();
        (void)json_object_set_new(row, "score", json_string(score->name));
        if (score->axis[0] != '\0')
            (void)json_object_set_new(row, score->axis, json_string(score->point));
        (void)json_object_set_new(row, "pairs", json_integer(difference.n));
        (void)json_object_set_new(row, "difference", mn_json_number(difference.mean));
        (void)json_object_set_new(row, "difference_ci95", mn_json_number(difference.half_width));
        (void)json_object_set_new(row, "higher", json_integer(difference.higher));
        (void)json_object_set_new(row, "lower", json_integer(difference.lower));
        (void)json_object_set_new(row, "equal", json_integer(difference.equal));
        (void)json_object_set_new(row, "sign_test_p", mn_json_number(difference.p));
        (void)json_array_append_new(list, row);
    }
    return list;
}

mn_status mn_comparison_json(size_t n, const mn_contestant *contestants, char **text, mn_error *err)
{
    json_t *root = json_object();
    json_t *runs = json_array();
    for (size_t k = 0; k < n; k++) {
        const mn_contestant *contestant = &contestants[k];
        json_t *run = json_object();
        (void)json_object_set_new(run, "run", json_string(contestant->name));
        (void)json_object_set_new(run, "step", json_integer((json_int_t)contestant->step));
        (void)json_object_set_new(run, "theta", json_string(contestant->theta));
        (void)json_object_set_new(run, "theta_sha256", json_string(contestant->sha256));
        if (contestant->changes[0] != '\0')
            (void)json_object_set_new(run, "not_as_in_training", json_string(contestant->changes));
        if (contestant->leaks[0] != '\0')
            (void)json_object_set_new(run, "training_classes", json_string(contestant->leaks));
        (void)json_object_set_new(run, "test",
                                  mn_evaluation_object(contestant->table, contestant->conditions));
        if (k > 0)
            (void)json_object_set_new(run, "differences",
                                      differences_to(&contestants[0], contestant));
        (void)json_array_append_new(runs, run);
    }
    (void)json_object_set_new(root, "runs", runs);
    char *made = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    if (made == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "table of the comparison");
    *text = made;
    return MN_OK;
}

/* Which score of the second list is score i of the first; NONE: none is. */
static uint32_t partner(const mn_score_list *first, uint32_t i, const mn_score_list *second)
{
    if (equal_lists(first, second))
        return i;
    if (!mn_score_is_beside(&first->at[i], &first->at[first->judged]))
        return NONE;
    for (uint32_t j = 0; j < second->n; j++)
        if (mn_score_is_beside(&second->at[j], &second->at[second->judged]) &&
            strcmp(second->at[j].name, first->at[i].name) == 0)
            return j;
    return NONE;
}

static bool equal_lists(const mn_score_list *a, const mn_score_list *b)
{
    bool equal = a->n == b->n;
    for (uint32_t i = 0; i < a->n && equal; i++)
        equal = strcmp(a->at[i].name, b->at[i].name) == 0 &&
                strcmp(a->at[i].axis, b->at[i].axis) == 0 &&
                strcmp(a->at[i].point, b->at[i].point) == 0;
    return equal;
}

/* Twice the smaller tail of a binomial distribution with probability 1/2, at most 1. */
static double sign_test(uint32_t higher, uint32_t lower)
{
    const double n = (double)higher + lower;
    const uint32_t fewer = higher < lower ? higher : lower;
    double tail = 0;
    for (uint32_t k = 0; k <= fewer; k++)
        tail += exp(lgamma(n + 1) - lgamma(k + 1.0) - lgamma(n - k + 1) - n * log(2));
    return tail < 0.5 ? 2 * tail : 1;
}
