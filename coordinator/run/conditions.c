#include "coordinator/run/conditions.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const split_names[MN_N_SPLITS] = {"train", "val", "test"};

mn_conditions mn_conditions_of(const mn_experiment *experiment, const mn_task_set *tasks,
                               const char *remark)
{
    const mn_option_table *table = mn_experiment_options();
    const mn_fields *fields = mn_task_set_fields(tasks, MN_TEST);
    mn_conditions out = {
        .split = experiment->evaluate.split,
        .bundle = fields->bundle,
        .turns =
            mn_task_set_data_name(tasks)[0] != '\0' && /* those that are drawn are not turned */
            mn_option_is_read(table, mn_options_find(table, "tasks.rotations"), experiment),
        .rotations = experiment->tasks.rotations,
        .ensemble = 1};
    (void)snprintf(out.data, sizeof out.data, "%s", mn_task_set_data_name(tasks));
    (void)snprintf(out.batch_norm, sizeof out.batch_norm, "%s", remark);
    if (!mn_fields_are_few_shot(fields))
        return out;
    const uint32_t way = fields->target == MN_TARGET_CLASSES ? fields->y_size : 1;
    out.of_all = experiment->tasks.kind == MN_TASKS_TABLES;
    out.way = fields->target == MN_TARGET_CLASSES ? way : 0;
    out.shot = fields->at[MN_SUPPORT_X].n / (out.of_all ? 1 : way);
    out.query = fields->at[MN_QUERY_X].n / (out.of_all ? 1 : way);
    out.varies = mn_fields_have_padding(fields);
    return out;
}

__attribute__((format(printf, 3, 4))) static void append(char *text, size_t n, const char *format,
                                                         ...)
{
    const size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + used, n - used, format, arguments);
    va_end(arguments);
}

void mn_conditions_text(const mn_conditions *conditions, char *text, size_t n)
{
    text[0] = '\0';
    append(text, n, "split %s", split_names[conditions->split]);
    if (conditions->data[0] != '\0')
        append(text, n, " of %s", conditions->data);
    if (conditions->of_all)
        append(text, n, "; up to %" PRIu32 " classes, %" PRIu32 " + %" PRIu32 " rows in all",
               conditions->way, conditions->shot, conditions->query);
    else if (conditions->way > 0)
        append(text, n, "; %s%" PRIu32 " classes, %s%" PRIu32 " + %" PRIu32 " items of each",
               conditions->varies ? "up to " : "", conditions->way,
               conditions->varies ? "up to " : "", conditions->shot, conditions->query);
    else if (conditions->query > 0)
        append(text, n, "; %" PRIu32 " + %" PRIu32 " points", conditions->shot, conditions->query);
    if (conditions->bundle > 1)
        append(text, n, "; %" PRIu32 " episodes a task", conditions->bundle);
    if (conditions->turns)
        append(text, n, "; %s",
               conditions->rotations ? "quarter turns that the data list are classes"
                                     : "no class is turned");
    if (conditions->batch_norm[0] != '\0')
        append(text, n, "; %s", conditions->batch_norm);
    if (conditions->ensemble > 1)
        append(text, n, "; mean of the probabilities of %" PRIu32 " thetas", conditions->ensemble);
    else
        append(text, n, "; one theta, no ensemble");
}

json_t *mn_conditions_json(const mn_conditions *conditions)
{
    json_t *root = json_object();
    (void)json_object_set_new(root, "split", json_string(split_names[conditions->split]));
    (void)json_object_set_new(root, "data", json_string(conditions->data));
    if (conditions->way > 0)
        (void)json_object_set_new(root, "way", json_integer(conditions->way));
    if (conditions->varies)
        (void)json_object_set_new(root, "varies", json_true());
    if (conditions->query > 0) {
        (void)json_object_set_new(root, "shot", json_integer(conditions->shot));
        (void)json_object_set_new(root, "query", json_integer(conditions->query));
    }
    (void)json_object_set_new(root, "bundle", json_integer(conditions->bundle));
    if (conditions->turns)
        (void)json_object_set_new(root, "rotations", json_boolean(conditions->rotations));
    if (conditions->batch_norm[0] != '\0')
        (void)json_object_set_new(root, "batch_norm", json_string(conditions->batch_norm));
    (void)json_object_set_new(root, "ensemble", json_integer(conditions->ensemble));
    return root;
}
