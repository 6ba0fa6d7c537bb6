#include "coordinator/run/seeds.h"

#include "common/json_number.h"
#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

mn_status mn_seed_table_add(mn_seed_table *table, uint64_t seed, const mn_evaluation *test,
                            const mn_training *training, mn_choose choose, const char *sha256,
                            mn_error *err)
{
    assert(table->n < MN_MAX_SEEDS);
    mn_status status = MN_OK;
    for (uint32_t i = table->scores.n; i < test->scores->n && status == MN_OK; i++)
        status = mn_score_list_add(&table->scores, &test->scores->at[i], err);
    if (status != MN_OK)
        return status;
    assert(table->scores.n == test->scores->n);
    table->scores.judged = test->scores->judged;
    table->chosen = mn_evaluation_chosen(&table->scores, choose);
    mn_seed_result *result = &table->at[table->n];
    *result = (mn_seed_result){.seed = seed, .n_tasks = test->n_counted};
    result->means = calloc(table->scores.n, sizeof *result->means);
    if (result->means == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "table of seeds");
    for (uint32_t i = 0; i < table->scores.n; i++)
        result->means[i] = test->estimates[i].mean;
    result->validated =
        training != NULL && mn_training_best(training, &result->validation, &result->best_step);
    (void)snprintf(result->sha256, sizeof result->sha256, "%s", sha256);
    table->n++;
    return MN_OK;
}

void mn_seed_table_fini(mn_seed_table *table)
{
    mn_score_list_fini(&table->scores);
    for (uint32_t k = 0; k < table->n; k++)
        free(table->at[k].means);
    table->n = 0;
}

mn_spread mn_seed_table_spread(const mn_seed_table *table, uint32_t score)
{
    double means[MN_MAX_SEEDS];
    for (uint32_t k = 0; k < table->n; k++)
        means[k] = table->at[k].means[score];
    return mn_spread_of(table->n, means);
}

uint32_t mn_seed_table_best(const mn_seed_table *table)
{
    uint32_t best = table->n;
    for (uint32_t k = 0; k < table->n; k++)
        if (table->at[k].validated &&
            (best == table->n || table->at[k].validation > table->at[best].validation))
            best = k;
    return best;
}

/* Telling ------------------------------------------------------------------------------ */

/* The validation score as people know it. */
static double validation_of(const mn_seed_table *table, uint32_t k)
{
    const bool higher = table->scores.at[table->chosen].higher_is_better;
    return higher ? table->at[k].validation : -table->at[k].validation;
}

static const char *in_print(const mn_score *score, double value, char text[32])
{
    const char *format = score->is_share ? "%.2f %%" : "%.4f";
    if (isnan(value))
        (void)snprintf(text, 32, "-");
    else
        (void)snprintf(text, 32, format, score->is_share ? 100 * value : value);
    return text;
}

static void print_cell(const mn_score *score, double value, FILE *out)
{
    char text[32];
    (void)fprintf(out, "  %12s", in_print(score, value, text));
}

/* Of the point that stands for all. */
static bool is_shown(const mn_seed_table *table, uint32_t score)
{
    return mn_score_is_beside(&table->scores.at[score], &table->scores.at[table->scores.judged]);
}

void mn_seed_table_print(const mn_seed_table *table, FILE *out)
{
    static const char *const names[] = {"mean", "sd", "95 % +-"};
    const mn_score *judged = &table->scores.at[table->scores.judged];
    const uint32_t best = mn_seed_table_best(table);
    (void)fprintf(out,
                  "%" PRIu32 " seeds, each tested on tasks of its own; the interval is that of "
                  "the mean over seeds (Student's t)",
                  table->n);
    if (judged->axis[0] != '\0') /* "inner_steps" is two words */
        (void)fprintf(out, "; %.*s %s %s", (int)strcspn(judged->axis, "_"), judged->axis,
                      strchr(judged->axis, '_') != NULL ? strchr(judged->axis, '_') + 1 : "",
                      judged->point);
    (void)fprintf(out, "\n  %8s", "seed");
    for (uint32_t i = 0; i < table->scores.n; i++)
        if (is_shown(table, i))
            (void)fprintf(out, "  %12s", table->scores.at[i].name);
    (void)fprintf(out, "  %12s  %s\n", best < table->n ? "validation" : "", "theta tested");
    for (uint32_t k = 0; k < table->n; k++) {
        (void)fprintf(out, "  %8" PRIu64, table->at[k].seed);
        for (uint32_t i = 0; i < table->scores.n; i++)
            if (is_shown(table, i))
                print_cell(&table->scores.at[i], table->at[k].means[i], out);
        if (table->at[k].validated)
            print_cell(&table->scores.at[table->chosen], validation_of(table, k), out);
        else
            (void)fprintf(out, "  %12s", "");
        (void)fprintf(out, "  %.16s...\n", table->at[k].sha256);
    }
    for (size_t row = 0; row < sizeof names / sizeof *names; row++) {
        (void)fprintf(out, "  %8s", names[row]);
        for (uint32_t i = 0; i < table->scores.n; i++) {
            const mn_spread spread = mn_seed_table_spread(table, i);
            const double values[] = {spread.mean, spread.sd, spread.half_width};
            if (is_shown(table, i))
                print_cell(&table->scores.at[i], values[row], out);
        }
        (void)fputc('\n', out);
    }
    if (best == table->n) {
        (void)fputs("no seed was validated (evaluate.every is 0), so none is the best\n", out);
        return;
    }
    char text[32];
    (void)fprintf(out, "best by validation: seed %" PRIu64 ", whose test %s is %s\n",
                  table->at[best].seed, judged->name,
                  in_print(judged, table->at[best].means[table->scores.judged], text));
}

static json_t *score_json(const mn_seed_table *table, uint32_t i)
{
    const mn_score *score = &table->scores.at[i];
    const mn_spread spread = mn_seed_table_spread(table, i);
    json_t *row = json_object();
    json_t *each = json_array();
    for (uint32_t k = 0; k < table->n; k++)
        (void)json_array_append_new(each, mn_json_number(table->at[k].means[i]));
    (void)json_object_set_new(row, "score", json_string(score->name));
    if (score->axis[0] != '\0')
        (void)json_object_set_new(row, score->axis, json_string(score->point));
    (void)json_object_set_new(row, "by_seed", each);
    (void)json_object_set_new(row, "mean", mn_json_number(spread.mean));
    (void)json_object_set_new(row, "sd", mn_json_number(spread.sd));
    (void)json_object_set_new(row, "ci95", mn_json_number(spread.half_width));
    return row;
}

mn_status mn_seed_table_json(const mn_seed_table *table, char **text, mn_error *err)
{
    const uint32_t best = mn_seed_table_best(table);
    json_t *root = json_object();
    json_t *seeds = json_array();
    json_t *scores = json_array();
    for (uint32_t k = 0; k < table->n; k++) {
        const mn_seed_result *result = &table->at[k];
        json_t *row = json_object();
        (void)json_object_set_new(row, "seed", json_integer((json_int_t)result->seed));
        (void)json_object_set_new(row, "tasks", json_integer(result->n_tasks));
        (void)json_object_set_new(row, "theta_sha256", json_string(result->sha256));
        if (result->validated) {
            (void)json_object_set_new(row, "validation", mn_json_number(validation_of(table, k)));
            (void)json_object_set_new(row, "best_step",
                                      json_integer((json_int_t)result->best_step));
        }
        (void)json_array_append_new(seeds, row);
    }
    for (uint32_t i = 0; i < table->scores.n; i++)
        (void)json_array_append_new(scores, score_json(table, i));
    (void)json_object_set_new(root, "seeds", seeds);
    (void)json_object_set_new(root, "judged",
                              json_string(table->scores.at[table->scores.judged].name));
    (void)json_object_set_new(root, "validated_by",
                              json_string(table->scores.at[table->chosen].name));
    (void)json_object_set_new(root, "interval",
                              json_string("t(0.975, n-1) sd / sqrt(n) over seeds, sd with n-1"));
    (void)json_object_set_new(root, "scores", scores);
    (void)json_object_set_new(root, "best_by_validation",
                              best < table->n ? json_integer((json_int_t)table->at[best].seed)
                                              : json_null());
    char *made = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    if (made == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "table of seeds");
    *text = made;
    return MN_OK;
}
