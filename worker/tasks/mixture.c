/* A mixture: a task set of task sets (tasks.mix). A part is the experiment's own tasks with some
 * keys of the section tasks set otherwise, so that the experiment says all there is to say:
 *     "3 slow: phase=0,1; 1 fast: phase=2,3 amplitude=4,5"
 * is of the part `slow` three times as often as of `fast`. Which part a task is of is drawn from the
 * task's own stream, and the rest by the part; parts may be of different kinds. How often each comes
 * is its weight, or what tasks.mix_by makes of it (odds.h). All parts have tasks of one shape. To it
 * comes
 *   query.point   1   which part the task is of: scores are told by part
 */
#include "common/mix.h"
#include "worker/tasks/odds.h"
#include "worker/tasks/task_set_kind.h"

#include <stdlib.h>
#include <string.h>

struct part {
    uint32_t weight;
    mn_task_set *set; /* owned */
};

struct mixture {
    uint32_t n;
    struct part parts[MN_MIX_MOST_PARTS];
    uint32_t weights[MN_MIX_MOST_PARTS];
    mn_mix_by by;
    double power;
    mn_odds odds[MN_N_SPLITS]; /* difficulty: while nothing is known of it */
    mn_points points;          /* their names */
    mn_status opened;          /* MN_OK, or why the first part of which this is so cannot be used */
    mn_error why;
};

static mn_status read_parts(struct mixture *mixture, const mn_experiment *experiment,
                            mn_error *err);
static mn_status read_part(struct mixture *mixture, const mn_experiment *experiment, uint32_t i,
                           mn_error *err);
static mn_status find_odds(struct mixture *mixture, const mn_experiment *experiment, mn_error *err);
static mn_status join_fields(const struct mixture *mixture, mn_split split, mn_fields *fields,
                             mn_error *err);
static void join_data(const struct mixture *mixture, mn_task_set_parts *parts);

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    struct mixture *mixture = calloc(1, sizeof *mixture);
    parts->state = mixture;
    if (mixture == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    mn_status status = read_parts(mixture, experiment, err);
    if (status != MN_OK)
        return status;
    join_data(mixture, parts); /* first: the data of a part may be why it cannot be used */
    if (mixture->opened != MN_OK)
        return mn_fail(err, mixture->opened, "%s", mixture->why.message);
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++)
        status = join_fields(mixture, split, &parts->fields[split], err);
    if (status == MN_OK)
        status = find_odds(mixture, experiment, err);
    return status;
}

static void close_tasks(void *of)
{
    struct mixture *mixture = of;
    for (uint32_t i = 0; mixture != NULL && i < mixture->n; i++)
        mn_task_set_destroy(&mixture->parts[i].set);
    free(mixture);
}

static mn_status check(const void *of, mn_split split, mn_error *err)
{
    const struct mixture *mixture = of;
    mn_status status = MN_OK;
    for (uint32_t i = 0; i < mixture->n && status == MN_OK; i++)
        status = mn_task_set_check(mixture->parts[i].set, split, err);
    return status;
}

/* Validation and test are of the same tasks from first to last, whatever has become difficult. */
static uint32_t choose(const struct mixture *mixture, mn_split split, mn_random *random,
                       const float *losses)
{
    double by[MN_MIX_MOST_PARTS] = {0};
    if (mixture->by != MN_MIX_BY_DIFFICULTY || split != MN_TRAIN || losses == NULL)
        return mn_odds_draw(&mixture->odds[split], random);
    for (uint32_t i = 0; i < mixture->n; i++)
        by[i] = (double)losses[i];
    const mn_odds odds = mn_odds_by(mixture->n, mixture->weights, by, mixture->power);
    return mn_odds_draw(&odds, random);
}

static void draw(const void *of, mn_split split, uint64_t index, mn_random *random, mn_task *task)
{
    const struct mixture *mixture = of;
    const uint32_t chosen = choose(mixture, split, random, task->set_losses);
    mn_task_set_draw_on(mixture->parts[chosen].set, split, index, random, task);

    const mn_field *point = &task->fields.at[task->fields.n - 1];
    for (uint32_t i = 0; i < point->n; i++)
        task->block[point->offset + i] = (float)chosen;
    if (task->title[0] == '\0')
        (void)snprintf(task->title, sizeof task->title, "%s", mixture->points.names[chosen]);
}

static void describe(const void *of, const mn_task *task, FILE *out)
{
    const struct mixture *mixture = of;
    const uint32_t chosen = (uint32_t)mn_task_find(task, MN_QUERY, "point")[0];
    (void)fprintf(out, "set %s of the mixture\n", mixture->points.names[chosen]);
    mn_task_set_describe(mixture->parts[chosen].set, task, out);
}

static bool is_of_plugin(const void *of)
{
    const struct mixture *mixture = of;
    for (uint32_t i = 0; i < mixture->n; i++)
        if (mn_task_set_is_of_plugin(mixture->parts[i].set))
            return true;
    return false;
}

const mn_task_set_kind mn_mixture_kind = {.open = open_tasks,
                                          .close = close_tasks,
                                          .check = check,
                                          .draw = draw,
                                          .describe = describe,
                                          .is_of_plugin = is_of_plugin};

/* Reading ------------------------------------------------------------------------- */

static mn_status read_parts(struct mixture *mixture, const mn_experiment *experiment, mn_error *err)
{
    const uint32_t n = mn_mix_parts(experiment);
    mn_status status = MN_OK;
    (void)snprintf(mixture->points.axis, sizeof mixture->points.axis, "set");
    mixture->points.averaged = true;
    for (uint32_t i = 0; i < n && status == MN_OK; i++)
        status = read_part(mixture, experiment, i, err);
    return status;
}

static mn_status read_part(struct mixture *mixture, const mn_experiment *experiment, uint32_t i,
                           mn_error *err)
{
    mn_mix_part read;
    mn_error why = {0};
    mn_status status = mn_mix_read(experiment, i, &read, err);
    if (status != MN_OK)
        return status;
    char here[512], base[512];
    mn_experiment_outside(&read.experiment, here);
    mn_experiment_outside(experiment, base);
    if (strcmp(here, base) != 0)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "tasks.mix, part %s: its kind is a plug-in's, whose options a part cannot tell: "
            "set tasks.kind to that kind, and let the parts tell where they differ",
            read.name);
    struct part *part = &mixture->parts[i];
    part->weight = read.weight;
    (void)snprintf(mixture->points.names[i], sizeof mixture->points.names[i], "%s", read.name);
    status = mn_task_set_open_part(&read.experiment, &part->set, &why);
    if (part->set != NULL)
        mixture->points.n = mixture->n = i + 1;
    if (status == MN_OK)
        return MN_OK;
    if (part->set == NULL || !mn_task_set_has_data(part->set))
        return mn_fail(err, status, "tasks.mix, part %s: %s", read.name, why.message);
    if (mixture->opened == MN_OK) /* it waits until the data of all parts are known */
        mixture->opened =
            mn_fail(&mixture->why, status, "tasks.mix, part %s: %s", read.name, why.message);
    return MN_OK;
}

/* The odds of each split, once all parts are open. */
static mn_status find_odds(struct mixture *mixture, const mn_experiment *experiment, mn_error *err)
{
    double by[MN_MIX_MOST_PARTS] = {0};
    for (uint32_t i = 0; i < mixture->n; i++)
        mixture->weights[i] = mixture->parts[i].weight;
    mixture->by = experiment->tasks.mix_by;
    mixture->power = experiment->tasks.mix_power;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        for (uint32_t i = 0; i < mixture->n && mixture->by == MN_MIX_BY_SIZE; i++) {
            const uint64_t classes = mn_task_set_classes(mixture->parts[i].set, split);
            by[i] = (double)classes;
            if (classes == 0 && mn_task_set_check(mixture->parts[i].set, split, NULL) == MN_OK)
                return mn_fail(err, MN_ERR_CONFIG,
                               "tasks.mix_by is size, but tasks of part %s are made up, and there "
                               "is no end of their classes: use weight or difficulty",
                               mixture->points.names[i]);
        }
        mixture->odds[split] = mixture->by == MN_MIX_BY_SIZE
                                   ? mn_odds_by(mixture->n, mixture->weights, by, mixture->power)
                                   : mn_odds_of(mixture->n, mixture->weights);
    }
    return MN_OK;
}

/* Joining ------------------------------------------------------------------------- */

static mn_status join_fields(const struct mixture *mixture, mn_split split, mn_fields *fields,
                             mn_error *err)
{
    static const uint32_t number[3] = {1, 1, 1};
    const mn_fields *first = mn_task_set_fields(mixture->parts[0].set, split);
    for (uint32_t i = 0; i < mixture->n; i++) {
        const mn_task_set *set = mixture->parts[i].set;
        const char *name = mixture->points.names[i];
        if (mn_task_set_fields(set, split)->points.n > 0 || mn_task_set_size(set, split) > 0)
            return mn_fail(err, MN_ERR_CONFIG,
                           "tasks.mix: tasks of part %s have points of their own, or are given "
                           "one by one; expected tasks that are drawn and scored as a whole",
                           name);
        if (!mn_fields_equal(mn_task_set_fields(set, split), first))
            return mn_fail(err, MN_ERR_CONFIG,
                           "tasks.mix: tasks of part %s have another shape than those of %s: "
                           "expected the same numbers of items and classes, of the same size",
                           name, mixture->points.names[0]);
    }
    *fields = *first;
    for (uint32_t i = 1; i < mixture->n; i++) /* no one unit is that of all parts */
        if (mn_task_set_fields(mixture->parts[i].set, split)->y_scale != first->y_scale)
            fields->y_scale = 0;
    fields->points = mixture->points;
    return mn_fields_add(fields, MN_QUERY, "point", MN_FIELD_NUMBERS,
                         mn_fields_find(first, MN_QUERY, "y")->n, number, err);
}

/* One name and one digest for all, in the order of the parts. */
static void join_data(const struct mixture *mixture, mn_task_set_parts *parts)
{
    mn_hasher hasher;
    size_t at = 0;
    mn_hasher_init(&hasher);
    for (uint32_t i = 0; i < mixture->n; i++) {
        const mn_digest digest = mn_task_set_data_digest(mixture->parts[i].set);
        const char *name = mn_task_set_data_name(mixture->parts[i].set);
        mn_hasher_add(&hasher, digest.bytes, sizeof digest.bytes);
        if (name[0] != '\0' && at < sizeof parts->data_name)
            at += (size_t)snprintf(parts->data_name + at, sizeof parts->data_name - at, "%s%s",
                                   at > 0 ? " and " : "", name);
    }
    if (at == 0)
        return; /* none has data */
    parts->data_digest = mn_hasher_finish(&hasher);
    (void)snprintf(parts->data_where, sizeof parts->data_where, "what tasks.mix names (%s)",
                   parts->data_name);
}
