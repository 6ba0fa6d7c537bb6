#include "worker/tasks/plugin_tasks.h"

#include "worker/tasks/sinusoid.h"
#include <math.h>
#include <stdlib.h>

#define MOST_KINDS 32

/* In the order in which they came. */
static struct entry {
    unsigned value;
    mnemo_task_set_kind kind;
} entries[MOST_KINDS];
static size_t n_entries;

struct plugin_tasks {
    const mnemo_task_set_kind *kind; /* lent */
    void *state;                     /* the kind's own */
    bool is_open;
};

/* What a plug-in knows as mnemo_fields. */
struct declaration {
    mn_fields *fields;
    bool done;
};

static const struct entry *entry_of(unsigned value);
static mn_status declare(const struct plugin_tasks *tasks, mn_split split, mn_fields *fields,
                         mn_error *err);

mn_status mn_plugin_tasks_add(const mnemo_task_set_kind *kind, unsigned value, mn_error *err)
{
    if (n_entries == MOST_KINDS)
        return mn_fail(err, MN_ERR_CONFIG, "plug-ins bring more than %d task sets", MOST_KINDS);
    entries[n_entries++] = (struct entry){value, *kind};
    return MN_OK;
}

static const struct entry *entry_of(unsigned value)
{
    for (size_t i = 0; i < n_entries; i++)
        if (entries[i].value == value)
            return &entries[i];
    return NULL;
}

/* What a plug-in says of a failure, with who says it; its text may be anything. */
static mn_status failed(const char *what, const char *name, mnemo_code code, mnemo_error *why,
                        mn_error *err)
{
    why->message[sizeof why->message - 1] = '\0';
    return mn_fail(err, code == MNEMO_ERR_NOMEM ? MN_ERR_NOMEM : MN_ERR_CONFIG,
                   "tasks.kind %s of a plug-in, %s: %.400s", name, what,
                   why->message[0] == '\0' ? "it failed and does not say why" : why->message);
}

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    const struct entry *entry = entry_of(experiment->tasks.kind);
    struct plugin_tasks *tasks = calloc(1, sizeof *tasks);
    mnemo_error why = {0};
    parts->state = tasks;
    if (tasks == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    tasks->kind = &entry->kind;
    const mnemo_code code =
        tasks->kind->open == NULL
            ? MNEMO_OK
            : tasks->kind->open((const mnemo_settings *)experiment, &tasks->state, &why);
    if (code != MNEMO_OK)
        return failed("open()", tasks->kind->name, code, &why, err);
    tasks->is_open = true;
    mn_status status = MN_OK;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++)
        status = declare(tasks, split, &parts->fields[split], err);
    return status;
}

static mn_status declare(const struct plugin_tasks *tasks, mn_split split, mn_fields *fields,
                         mn_error *err)
{
    struct declaration declaration = {.fields = fields};
    mnemo_error why = {0};
    const mnemo_code code =
        tasks->kind->fields(tasks->state, (mnemo_split)split, (mnemo_fields *)&declaration, &why);
    if (code != MNEMO_OK)
        return failed("fields()", tasks->kind->name, code, &why, err);
    return declaration.done
               ? MN_OK
               : mn_fail(err, MN_ERR_CONFIG,
                         "tasks.kind %s of a plug-in, fields(): it says nothing of what "
                         "tasks are made of: it must call host->few_shot",
                         tasks->kind->name);
}

static void close_tasks(void *of)
{
    struct plugin_tasks *tasks = of;
    if (tasks != NULL && tasks->is_open && tasks->kind->close != NULL)
        tasks->kind->close(tasks->state);
    free(tasks);
}

static void draw(const void *of, mn_split split, uint64_t index, mn_random *random, mn_task *task)
{
    const struct plugin_tasks *tasks = of;
    const mn_fields *fields = &task->fields;
    const bool classes = fields->target == MN_TARGET_CLASSES;
    task->n_classes = classes ? fields->y_size : 0;
    for (uint32_t i = 0; i < task->n_classes; i++)
        task->classes[i] = i;
    tasks->kind->draw(tasks->state, (mnemo_split)split, index, (mnemo_random *)random,
                      (mnemo_task *)task);
}

static bool is_of_plugin(const void *state)
{
    (void)state;
    return true;
}

static const mn_task_set_kind kind_of_plugins = {
    .open = open_tasks, .close = close_tasks, .draw = draw, .is_of_plugin = is_of_plugin};

const mn_task_set_kind *mn_plugin_tasks_kind(unsigned value)
{
    return entry_of(value) == NULL ? NULL : &kind_of_plugins;
}

/* The host ------------------------------------------------------------------------- */

static double setting(const mnemo_settings *settings, const char *key)
{
    return mn_experiment_number((const mn_experiment *)settings, key);
}

static mnemo_code refuse(mnemo_error *error, const char *message)
{
    if (error != NULL)
        (void)snprintf(error->message, sizeof error->message, "%s", message);
    return MNEMO_ERR_ARGUMENT;
}

static mnemo_code few_shot(mnemo_fields *of, uint32_t n_support, uint32_t n_query,
                           const uint32_t x[3], mnemo_target target, uint32_t y_size,
                           mnemo_error *error)
{
    struct declaration *declaration = (struct declaration *)of;
    const uint32_t y[3] = {1, 1, y_size};
    mn_error why = {0};
    mn_fields *fields = declaration->fields;
    if (declaration->done)
        return refuse(error, "few_shot() was called before for these fields");
    if (target != MNEMO_VALUES && target != MNEMO_CLASSES)
        return refuse(error, "few_shot(): target is neither MNEMO_VALUES nor MNEMO_CLASSES");
    if (target == MNEMO_CLASSES && y_size > MN_MAX_WAY)
        return refuse(error, "few_shot(): more than 1024 classes");
    mn_fields_init(fields, target == MNEMO_CLASSES ? MN_TARGET_CLASSES : MN_TARGET_VALUES, y_size);
    mn_status status = MN_OK;
    if (n_support > 0)
        status = mn_fields_few_shot(fields, n_support, n_query, x, fields->target, y_size, &why);
    else {
        status = mn_fields_add(fields, MN_QUERY, "x", MN_FIELD_NUMBERS, n_query, x, &why);
        if (status == MN_OK)
            status = mn_fields_add(fields, MN_QUERY, "y", MN_FIELD_NUMBERS, n_query, y, &why);
    }
    if (status != MN_OK)
        return refuse(error, why.message);
    declaration->done = true;
    return MNEMO_OK;
}

static float *field(mnemo_task *of, mnemo_set set, const char *name, uint32_t *n_items)
{
    mn_task *task = (mn_task *)of;
    const mn_role role = set == MNEMO_SUPPORT ? MN_SUPPORT : MN_QUERY;
    const mn_field *found = mn_fields_find(&task->fields, role, name);
    if (n_items != NULL)
        *n_items = found == NULL ? 0 : found->n;
    return mn_task_find(task, role, name);
}

static float *x_of(mnemo_task *task, mnemo_set set, uint32_t *n_items)
{
    return field(task, set, "x", n_items);
}

static float *y_of(mnemo_task *task, mnemo_set set, uint32_t *n_items)
{
    return field(task, set, "y", n_items);
}

static double uniform(mnemo_random *random, double low, double high)
{
    return mn_random_uniform((mn_random *)random, low, high);
}

static double normal(mnemo_random *random)
{
    return mn_random_normal((mn_random *)random);
}

static uint32_t below(mnemo_random *random, uint32_t n)
{
    return n == 0 ? 0 : mn_random_below((mn_random *)random, n);
}

void mn_plugin_tasks_host(mnemo_host *host)
{
    host->setting = setting;
    host->few_shot = few_shot;
    host->x = x_of;
    host->y = y_of;
    host->uniform = uniform;
    host->normal = normal;
    host->below = below;
    host->sine = mn_sinusoid_sine;
}
