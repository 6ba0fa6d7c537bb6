#include "coordinator/sweep/plan.h"

#include "common/random.h"
#include "coordinator/sweep/low_discrepancy.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mn_status set_all(mn_sweep_plan *plan, mn_error *err);
static mn_status check_keys(const mn_sweep_plan *plan, mn_error *err);
static mn_status count_points(mn_sweep_plan *plan, mn_error *err);
static mn_status place_rungs(mn_sweep_plan *plan, mn_error *err);
static mn_status fit_budget(mn_sweep_plan *plan, mn_error *err);
static mn_status check_points(const mn_sweep_plan *plan, mn_error *err);
static mn_status assign(mn_experiment *experiment, const char *key, const char *value,
                        mn_error *err);
static uint64_t count_steps(const mn_sweep_plan *plan, uint32_t n_points,
                            uint32_t admitted[MN_SWEEP_MAX_RUNGS + 1]);
static double unit_of(const mn_sweep_plan *plan, uint32_t axis, uint32_t draw);

mn_status mn_sweep_plan_make(const mn_sweep_file *file, const char *source,
                             const mn_experiment *base, const char *const *sets, size_t n_sets,
                             mn_sweep_plan *out, mn_error *err)
{
    *out = (mn_sweep_plan){
        .file = file, .source = source, .sets = sets, .n_sets = n_sets, .base = *base};
    if (n_sets > MN_SWEEP_MAX_GIVEN)
        return mn_fail(err, MN_ERR_USAGE, "more than %u times --set; put them below \"set\" of %s",
                       MN_SWEEP_MAX_GIVEN, source);
    mn_status status = set_all(out, err);
    if (status == MN_OK)
        status = check_keys(out, err);
    if (status == MN_OK)
        status = count_points(out, err);
    if (status == MN_OK)
        status = place_rungs(out, err);
    if (status == MN_OK)
        status = fit_budget(out, err);
    return status == MN_OK ? check_points(out, err) : status;
}

void mn_sweep_plan_value(const mn_sweep_plan *plan, uint32_t point, uint32_t axis,
                         char out[MN_OPTION_LONGEST])
{
    const mn_sweep_axis *at = &plan->file->axes[axis];
    const uint32_t draw = point / plan->n_grid;
    uint32_t combination = point % plan->n_grid;
    if (at->way == MN_SWEEP_GRID) {
        for (uint32_t i = plan->file->n_axes - 1; i > axis; i--)
            if (plan->file->axes[i].way == MN_SWEEP_GRID)
                combination /= plan->file->axes[i].n_values;
        (void)snprintf(out, MN_OPTION_LONGEST, "%s", at->values[combination % at->n_values]);
        return;
    }
    const double u = unit_of(plan, axis, draw);
    if (at->n_values > 0) {
        (void)snprintf(out, MN_OPTION_LONGEST, "%s", at->values[(uint32_t)(u * at->n_values)]);
        return;
    }
    const mn_option *option = mn_options_find(mn_experiment_options(), at->key);
    const bool whole = option->type != MN_OPTION_REAL;
    const double high = whole ? at->high + 1 : at->high;
    double value = at->log ? exp(log(at->low) + u * (log(high) - log(at->low)))
                           : at->low + u * (high - at->low);
    if (whole)
        (void)snprintf(out, MN_OPTION_LONGEST, "%.0f", fmin(floor(value), at->high));
    else /* so few digits that one can type them */
        (void)snprintf(out, MN_OPTION_LONGEST, "%.6g", value);
}

uint64_t mn_sweep_plan_seed(const mn_sweep_plan *plan, uint32_t run)
{
    const uint32_t k = run % plan->n_seeds;
    return plan->file->seeds_listed ? plan->file->seeds[k] : plan->base.seed + k;
}

void mn_sweep_plan_name(const mn_sweep_plan *plan, uint32_t run, char name[MN_SWEEP_NAME])
{
    const uint32_t point = run / plan->n_seeds;
    if (plan->n_seeds > 1)
        (void)snprintf(name, MN_SWEEP_NAME, "%04" PRIu32 "-seed-%" PRIu64, point,
                       mn_sweep_plan_seed(plan, run));
    else
        (void)snprintf(name, MN_SWEEP_NAME, "%04" PRIu32, point);
}

void mn_sweep_plan_words(const mn_sweep_plan *plan, uint32_t point, char *out, size_t size)
{
    out[0] = '\0';
    for (uint32_t i = 0; i < plan->file->n_axes; i++) {
        char value[MN_OPTION_LONGEST];
        const size_t used = strlen(out);
        mn_sweep_plan_value(plan, point, i, value);
        (void)snprintf(out + used, size - used, "%s%s=%.200s", i > 0 ? " " : "",
                       plan->file->axes[i].key, value);
    }
}

static mn_status add_set(char **list, size_t *n, const char *key, const char *value, mn_error *err)
{
    const size_t size = strlen(key) + strlen(value) + 2;
    assert(*n < MN_SWEEP_MAX_SETS);
    list[*n] = malloc(size);
    if (list[*n] == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "settings of a run");
    (void)snprintf(list[(*n)++], size, "%s%s%s", key, key[0] != '\0' ? "=" : "", value);
    return MN_OK;
}

mn_status mn_sweep_plan_sets(const mn_sweep_plan *plan, uint32_t run, char ***out, size_t *n,
                             mn_error *err)
{
    const mn_sweep_file *file = plan->file;
    char value[MN_OPTION_LONGEST];
    mn_status status = MN_OK;
    size_t count = 0;
    char **list = calloc(MN_SWEEP_MAX_SETS, sizeof *list);
    if (list == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "settings of a run");
    for (uint32_t i = 0; i < file->n_settings && status == MN_OK; i++)
        status = add_set(list, &count, file->settings[i].key, file->settings[i].value, err);
    for (size_t i = 0; i < plan->n_sets && status == MN_OK; i++)
        status = add_set(list, &count, "", plan->sets[i], err);
    for (uint32_t i = 0; i < file->n_axes && status == MN_OK; i++) {
        mn_sweep_plan_value(plan, run / plan->n_seeds, i, value);
        status = add_set(list, &count, file->axes[i].key, value, err);
    }
    (void)snprintf(value, sizeof value, "%" PRIu64, mn_sweep_plan_seed(plan, run));
    if (status == MN_OK && file->n_seeds > 0)
        status = add_set(list, &count, "seed", value, err);
    if (status != MN_OK) {
        for (size_t i = 0; i < count; i++)
            free(list[i]);
        free(list);
        return status;
    }
    *out = list;
    *n = count;
    return MN_OK;
}

mn_status mn_sweep_plan_experiment(const mn_sweep_plan *plan, uint32_t run, mn_experiment *out,
                                   mn_error *err)
{
    mn_status status = MN_OK;
    *out = plan->base;
    for (uint32_t i = 0; i < plan->file->n_axes && status == MN_OK; i++) {
        const mn_sweep_axis *axis = &plan->file->axes[i];
        char value[MN_OPTION_LONGEST];
        mn_error why = {0};
        mn_sweep_plan_value(plan, run / plan->n_seeds, i, value);
        status = assign(out, axis->key, value, &why);
        if (status != MN_OK)
            status = mn_fail(err, status, "%s:%zu: point %" PRIu32 ": %s", plan->source, axis->line,
                             run / plan->n_seeds, why.message);
    }
    if (plan->file->n_seeds > 0)
        out->seed = mn_sweep_plan_seed(plan, run);
    return status;
}

/* ---- making it */

static mn_status assign(mn_experiment *experiment, const char *key, const char *value,
                        mn_error *err)
{
    char text[MN_SWEEP_KEY + MN_OPTION_LONGEST];
    (void)snprintf(text, sizeof text, "%s=%s", key, value);
    return mn_experiment_set(experiment, text, err);
}

static mn_status set_all(mn_sweep_plan *plan, mn_error *err)
{
    mn_error why = {0};
    for (uint32_t i = 0; i < plan->file->n_settings; i++) {
        const mn_sweep_setting *setting = &plan->file->settings[i];
        mn_status status = assign(&plan->base, setting->key, setting->value, &why);
        if (status != MN_OK)
            return mn_fail(err, status, "%s:%zu: %s", plan->source, setting->line, why.message);
    }
    for (size_t i = 0; i < plan->n_sets; i++) {
        mn_status status = mn_experiment_set(&plan->base, plan->sets[i], &why);
        if (status != MN_OK)
            return mn_fail(err, status, "--set %s: %s", plan->sets[i], why.message);
        for (uint32_t k = 0; k < plan->file->n_axes; k++) {
            const char *key = plan->file->axes[k].key;
            if (strncmp(plan->sets[i], key, strlen(key)) == 0 && plan->sets[i][strlen(key)] == '=')
                return mn_fail(err, MN_ERR_USAGE, "--set %s: %s:%zu says that %s varies",
                               plan->sets[i], plan->source, plan->file->axes[k].line, key);
        }
    }
    return MN_OK;
}

static mn_status check_keys(const mn_sweep_plan *plan, mn_error *err)
{
    for (uint32_t i = 0; i < plan->file->n_axes; i++) {
        const mn_sweep_axis *axis = &plan->file->axes[i];
        const mn_option *option = mn_options_find(mn_experiment_options(), axis->key);
        mn_error why = {0};
        if (option == NULL) {
            (void)mn_options_unknown(mn_experiment_options(), axis->key, &why);
            return mn_fail(err, MN_ERR_CONFIG, "%s:%zu: %s (mnemo help options lists all keys)",
                           plan->source, axis->line, why.message);
        }
        if (strcmp(axis->key, "seed") == 0)
            return mn_fail(err, MN_ERR_CONFIG,
                           "%s:%zu: seed: seeds vary by \"seeds: N\", or a list, at the top",
                           plan->source, axis->line);
        if (strcmp(axis->key, "name") == 0 || strncmp(axis->key, "pool.", 5) == 0 ||
            strncmp(axis->key, "run.", 4) == 0)
            return mn_fail(err, MN_ERR_CONFIG,
                           "%s:%zu: %s decides nothing of what a run gives: put it below \"set\"",
                           plan->source, axis->line, axis->key);
        if (plan->file->first_rung > 0 &&
            (strcmp(axis->key, "outer.steps") == 0 || strcmp(axis->key, "evaluate.every") == 0))
            return mn_fail(err, MN_ERR_CONFIG,
                           "%s:%zu: %s cannot vary where runs are halved: they are compared at the "
                           "same meta-steps; put it below \"set\"",
                           plan->source, axis->line, axis->key);
        if (axis->n_values > 0)
            continue;
        const bool whole = option->type == MN_OPTION_U32 || option->type == MN_OPTION_I32 ||
                           option->type == MN_OPTION_U64;
        if (!whole && option->type != MN_OPTION_REAL)
            return mn_fail(
                err, MN_ERR_CONFIG,
                "%s:%zu: %s is not a number, and takes no range; expected a list of values",
                plan->source, axis->line, axis->key);
        if (whole && (axis->low != floor(axis->low) || axis->high != floor(axis->high)))
            return mn_fail(err, MN_ERR_CONFIG,
                           "%s:%zu: %s takes whole numbers: %g .. %g is no range", plan->source,
                           axis->line, axis->key, axis->low, axis->high);
        if (axis->low < option->min || axis->high > option->max)
            return mn_fail(err, MN_ERR_CONFIG,
                           "%s:%zu: %s goes from %.15g to %.15g, not from %g to %g", plan->source,
                           axis->line, axis->key, option->min, option->max, axis->low, axis->high);
    }
    return MN_OK;
}

static mn_status count_points(mn_sweep_plan *plan, mn_error *err)
{
    const mn_sweep_file *file = plan->file;
    uint64_t grid = 1, draws = file->draws > 0 ? file->draws : 1;
    bool drawn = false;
    for (uint32_t i = 0; i < file->n_axes; i++) {
        drawn = drawn || file->axes[i].way != MN_SWEEP_GRID;
        if (file->axes[i].way == MN_SWEEP_GRID && grid <= MN_SWEEP_MAX_RUNS)
            grid *= file->axes[i].n_values;
    }
    plan->n_seeds = file->n_seeds > 0 ? file->n_seeds : 1;
    if (drawn && file->draws == 0) { /* as many as the budget and a sweep hold */
        const uint64_t runs = grid * plan->n_seeds;
        draws = (file->most_runs + runs - 1) / runs;
        if (draws * runs > MN_SWEEP_MAX_RUNS && runs <= MN_SWEEP_MAX_RUNS)
            draws = MN_SWEEP_MAX_RUNS / runs;
    }
    if (grid * draws * plan->n_seeds > MN_SWEEP_MAX_RUNS)
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s: %" PRIu64 " combinations of the grid, %" PRIu64 " draws and %" PRIu32
                       " seeds are more than %u runs",
                       plan->source, grid, draws, plan->n_seeds, MN_SWEEP_MAX_RUNS);
    plan->n_grid = (uint32_t)grid;
    plan->n_wanted = (uint32_t)(grid * draws);
    return MN_OK;
}

static mn_status place_rungs(mn_sweep_plan *plan, mn_error *err)
{
    const mn_sweep_file *file = plan->file;
    const uint64_t steps = plan->base.outer.steps, every = plan->base.evaluate.every;
    if (file->first_rung == 0)
        return MN_OK;
    if (every == 0 || file->first_rung % every != 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s:%zu: halving goes by validation at meta-step %" PRIu64
                       ", but evaluate.every is %" PRIu64
                       "%s: set it to a number that divides %" PRIu64,
                       plan->source, file->halving_line, file->first_rung, every,
                       every == 0 ? " (never)" : "", file->first_rung);
    if (file->first_rung >= steps)
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s:%zu: halving: first is %" PRIu64 ", but runs have only %" PRIu64
                       " meta-steps (outer.steps)",
                       plan->source, file->halving_line, file->first_rung, steps);
    for (uint64_t at = file->first_rung; at < steps; at *= file->factor) {
        if (plan->n_rungs == MN_SWEEP_MAX_RUNGS)
            break;
        plan->rungs[plan->n_rungs++] = at;
        if (at > steps / file->factor)
            break;
    }
    return MN_OK;
}

/* The most points, in their order, that the budget of runs and steps holds. */
static mn_status fit_budget(mn_sweep_plan *plan, mn_error *err)
{
    const mn_sweep_file *file = plan->file;
    uint32_t n = plan->n_wanted;
    if (file->most_runs > 0 && (uint64_t)n * plan->n_seeds > file->most_runs)
        n = (uint32_t)(file->most_runs / plan->n_seeds);
    while (n > 0 && file->most_steps > 0 && count_steps(plan, n, plan->admitted) > file->most_steps)
        n--;
    if (n == 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s: the budget does not hold one point: it takes %" PRIu32
                       " runs of %" PRIu64 " meta-steps",
                       plan->source, plan->n_seeds, plan->base.outer.steps);
    plan->n_points = n;
    plan->n_runs = n * plan->n_seeds;
    plan->steps = count_steps(plan, n, plan->admitted);
    return MN_OK;
}

/* outer.steps may vary from point to point where there are no rungs. */
static uint64_t count_steps(const mn_sweep_plan *plan, uint32_t n_points,
                            uint32_t admitted[MN_SWEEP_MAX_RUNGS + 1])
{
    uint64_t sum = 0, before = 0;
    uint32_t n = n_points, axis = 0;
    for (uint32_t leg = 0; leg <= plan->n_rungs; leg++) {
        const uint64_t until = leg < plan->n_rungs ? plan->rungs[leg] : plan->base.outer.steps;
        admitted[leg] = n;
        sum += (until - before) * n * plan->n_seeds;
        before = until;
        if (leg < plan->n_rungs)
            n = (n + plan->file->factor - 1) / plan->file->factor;
    }
    while (axis < plan->file->n_axes && strcmp(plan->file->axes[axis].key, "outer.steps") != 0)
        axis++;
    if (axis == plan->file->n_axes)
        return sum;
    sum = 0;
    for (uint32_t point = 0; point < n_points; point++) {
        char value[MN_OPTION_LONGEST];
        mn_sweep_plan_value(plan, point, axis, value);
        sum += strtoull(value, NULL, 10) * plan->n_seeds;
    }
    return sum;
}

static mn_status check_points(const mn_sweep_plan *plan, mn_error *err)
{
    mn_experiment *experiment = malloc(sizeof *experiment);
    mn_status status =
        experiment == NULL ? mn_fail(err, MN_ERR_NOMEM, "experiment of a point") : MN_OK;
    for (uint32_t point = 0; point < plan->n_points && status == MN_OK; point++) {
        mn_error why = {0};
        char words[300];
        status = mn_sweep_plan_experiment(plan, point * plan->n_seeds, experiment, err);
        if (status != MN_OK)
            break;
        status = mn_experiment_check(experiment, &why);
        mn_sweep_plan_words(plan, point, words, sizeof words);
        if (status != MN_OK)
            status = mn_fail(err, status, "%s: point %" PRIu32 " (%s): %s", plan->source, point,
                             words, why.message);
    }
    free(experiment);
    return status;
}

/* In [0, 1). By the key's name, so that a key more leaves the draws of the others as they are; of even
 * sequences that cannot be. */
static double unit_of(const mn_sweep_plan *plan, uint32_t axis, uint32_t draw)
{
    const mn_sweep_file *file = plan->file;
    if (file->axes[axis].way == MN_SWEEP_QUASI) {
        uint32_t d = 0, j = 0;
        for (uint32_t i = 0; i < file->n_axes; i++) {
            j += i < axis && file->axes[i].way == MN_SWEEP_QUASI;
            d += file->axes[i].way == MN_SWEEP_QUASI;
        }
        return mn_low_discrepancy(file->draw_seed, d, j, draw);
    }
    uint32_t name = 2166136261u; /* FNV-1a */
    for (const char *c = file->axes[axis].key; *c != '\0'; c++)
        name = (name ^ (uint8_t)*c) * 16777619u;
    mn_random random =
        mn_random_stream(file->draw_seed, MN_RANDOM_SWEEP, (uint64_t)name << 32 | draw);
    return mn_random_unit(&random);
}
