/* A mixture: a task set of task sets (tasks.mix). A part is the experiment's own tasks with some
 * keys of the section tasks set otherwise, so that the experiment says all there is to say:
 *     "3 slow: phase=0,1; 1 fast: phase=2,3 amplitude=4,5"
 * is of the part `slow` three times as often as of `fast`. Which part a task is of is drawn from the
 * task's own stream, and the rest by the part. All parts have tasks of one shape. To it comes
 *   query.point   1   which part the task is of: scores are told by part
 */
#include "worker/tasks/task_set_kind.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PARTS 16u
#define MAX_WEIGHT 1000000u
#define MAX_ASSIGNMENT 320u

struct part {
    uint32_t weight;
    mn_task_set *set; /* owned */
};

struct mixture {
    uint32_t n, total; /* parts; sum of their weights */
    struct part parts[MAX_PARTS];
    mn_points points; /* their names */
    mn_status opened; /* MN_OK, or why the first part of which this is so cannot be used */
    mn_error why;
};

static mn_status read_parts(struct mixture *mixture, const mn_experiment *experiment,
                            mn_error *err);
static mn_status read_part(struct mixture *mixture, const mn_experiment *experiment,
                           const char *text, mn_error *err);
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

static void draw(const void *of, mn_split split, uint64_t index, mn_random *random, mn_task *task)
{
    const struct mixture *mixture = of;
    uint32_t at = mn_random_below(random, mixture->total), chosen = 0;
    while (at >= mixture->parts[chosen].weight)
        at -= mixture->parts[chosen++].weight;
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

const mn_task_set_kind mn_mixture_kind = {
    .open = open_tasks, .close = close_tasks, .check = check, .draw = draw, .describe = describe};

/* Reading ------------------------------------------------------------------------- */

static mn_status refuse(const char *part, const char *what, mn_error *err)
{
    return mn_fail(err, MN_ERR_CONFIG,
                   "tasks.mix: \"%.60s\": %s; expected 2 to %u parts with ';' between, each "
                   "\"WEIGHT NAME: KEY=VALUE ...\" with keys of the section tasks, as in \"3 slow: "
                   "phase=0,1; 1 fast: phase=2,3\"",
                   part, what, MAX_PARTS);
}

static mn_status read_parts(struct mixture *mixture, const mn_experiment *experiment, mn_error *err)
{
    char text[sizeof experiment->tasks.mix], *rest = text;
    mn_status status = MN_OK;
    (void)snprintf(text, sizeof text, "%s", experiment->tasks.mix);
    (void)snprintf(mixture->points.axis, sizeof mixture->points.axis, "set");
    for (char *part = strsep(&rest, ";"); part != NULL && status == MN_OK;
         part = strsep(&rest, ";"))
        status = mixture->n < MAX_PARTS ? read_part(mixture, experiment, part, err)
                                        : refuse(part, "too many parts", err);
    if (status == MN_OK && mixture->n < 2)
        status = refuse(experiment->tasks.mix, "one part is no mixture", err);
    return status;
}

/* "3 slow: " -> weight and name; what follows them stays in *text. */
static bool read_head(const char **text, uint32_t *weight, char name[12])
{
    int used = 0;
    if (sscanf(*text, " %7" SCNu32 " %11[a-zA-Z0-9_-] :%n", weight, name, &used) != 2 || used == 0)
        return false;
    *text += used;
    return *weight > 0 && *weight <= MAX_WEIGHT;
}

static mn_status set_keys(mn_experiment *experiment, const char *text, mn_error *err)
{
    mn_status status = MN_OK;
    for (text += strspn(text, " "); *text != '\0' && status == MN_OK; text += strspn(text, " ")) {
        char assignment[MAX_ASSIGNMENT + sizeof "tasks."];
        const int n = (int)strcspn(text, " ");
        if (n >= (int)MAX_ASSIGNMENT)
            return refuse(text, "an assignment that is too long", err);
        (void)snprintf(assignment, sizeof assignment, "tasks.%.*s", n, text);
        status = mn_experiment_set(experiment, assignment, err);
        text += n;
    }
    return status;
}

static mn_status read_part(struct mixture *mixture, const mn_experiment *experiment,
                           const char *text, mn_error *err)
{
    const char *rest = text;
    struct part *part = &mixture->parts[mixture->n];
    char *name = mixture->points.names[mixture->n];
    mn_experiment own = *experiment;
    mn_error why = {0};
    if (!read_head(&rest, &part->weight, name))
        return refuse(text, "no weight from 1 to a million with a name of up to 11 letters", err);
    for (uint32_t i = 0; i < mixture->n; i++)
        if (strcmp(mixture->points.names[i], name) == 0)
            return refuse(text, "a name that stands twice", err);
    own.tasks.mix[0] = '\0';
    mn_status status = set_keys(&own, rest, &why);
    if (status == MN_OK && own.tasks.mix[0] != '\0')
        return refuse(text, "a mixture within a mixture", err);
    if (status == MN_OK)
        status = mn_experiment_check(&own, &why);
    if (status == MN_OK)
        status = mn_task_set_open_part(&own, &part->set, &why);
    if (part->set != NULL) {
        mixture->n++;
        mixture->points.n = mixture->n;
        mixture->total += part->weight;
    }
    if (status == MN_OK)
        return MN_OK;
    if (part->set == NULL || !mn_task_set_has_data(part->set))
        return mn_fail(err, status, "tasks.mix, part %s: %s", name, why.message);
    if (mixture->opened == MN_OK) /* it waits until the data of all parts are known */
        mixture->opened =
            mn_fail(&mixture->why, status, "tasks.mix, part %s: %s", name, why.message);
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
