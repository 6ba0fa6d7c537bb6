#include "worker/tasks/field_text.h"

#include "worker/data/babi_text.h"
#include "worker/tasks/story_fields.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const role_names[MN_N_ROLES] = {"support", "query", "shared"};

mn_status mn_fields_text(const mn_fields *fields, char **out, mn_error *err)
{
    size_t bytes = 0;
    FILE *text = open_memstream(out, &bytes);
    if (text == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "description of a task");
    (void)fprintf(text, "%s %" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
                  fields->target == MN_TARGET_CLASSES ? "classes" : "values", fields->y_size,
                  fields->symbols, fields->bundle);
    for (uint32_t i = 0; i < fields->n; i++) {
        const mn_field *field = &fields->at[i];
        (void)fprintf(text, "%s.%s %d %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 "\n",
                      role_names[field->role], field->name, (int)field->type, field->n,
                      field->height, field->width, field->channels);
    }
    return fclose(text) == 0 ? MN_OK : mn_fail(err, MN_ERR_NOMEM, "description of a task");
}

/* Reading ---------------------------------------------------------------------------- */

static mn_status refuse(const char *what, mn_error *err)
{
    return mn_fail(err, MN_ERR_DATA, "its metadata has %s", what);
}

static mn_status parse_field(const char *line, mn_fields *out, mn_error *err)
{
    char role[8], name[20];
    int type = 0;
    uint32_t n = 0, item[3];
    if (sscanf(line, "%7[a-z].%19[a-z_] %d %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32, role,
               name, &type, &n, &item[0], &item[1], &item[2]) != 7 ||
        type < MN_FIELD_NUMBERS || type > MN_FIELD_MASK || out->n == MN_MAX_FIELDS)
        return refuse("fields that are none", err);
    for (mn_role i = MN_SUPPORT; i < MN_N_ROLES; i++)
        if (strcmp(role, role_names[i]) == 0 && mn_fields_find(out, i, name) == NULL)
            return mn_fields_add(out, i, name, (mn_field_type)type, n, item, err);
    return refuse("fields that are none", err);
}

static uint32_t channels_of(const mn_fields *fields, mn_role role, const char *name)
{
    const mn_field *field = mn_fields_find(fields, role, name);
    return field == NULL ? 0 : field->channels;
}

static uint32_t items_of(const mn_fields *fields, mn_role role)
{
    const mn_field *y = mn_fields_find(fields, role, "y");
    return y == NULL ? 0 : y->n;
}

/* Fields of stories or sequences with the sizes that the fields at hand have. */
static bool make_alike(const mn_fields *fields, mn_fields *out)
{
    const mn_points no_points = {.n = 0};
    const mn_field *x = mn_fields_find(fields, MN_QUERY, "x");
    const mn_story_shape story = {.bundle = items_of(fields, MN_QUERY),
                                  .support = items_of(fields, MN_SUPPORT),
                                  .sentences = channels_of(fields, MN_QUERY, "mask"),
                                  .length = channels_of(fields, MN_QUERY, "story"),
                                  .question = channels_of(fields, MN_QUERY, "question"),
                                  .vocabulary = fields->y_size,
                                  .linear_start = mn_fields_find(fields, MN_QUERY, "linear")};
    if (x == NULL) /* no sentence is longer; whoever puts some in works on all of its room */
        return story.length <= MN_BABI_MAX_LENGTH && story.question <= MN_BABI_MAX_LENGTH &&
               mn_story_fields(&story, &no_points, out, NULL) == MN_OK;
    const uint32_t item[3] = {x->height, x->width, x->channels};
    mn_fields_init(out, fields->target, fields->y_size);
    out->symbols = fields->symbols;
    out->bundle = fields->bundle;
    return mn_fields_add_sequence(out, x->n, item, true, NULL) == MN_OK;
}

/* Whoever fills in a task goes by what kinds of tasks there are, so no others are let in. */
static bool are_known(const mn_fields *fields)
{
    mn_fields alike;
    return mn_fields_are_few_shot(fields) ||
           (make_alike(fields, &alike) && mn_fields_equal(&alike, fields));
}

mn_status mn_fields_parse(const char *text, mn_fields *out, mn_error *err)
{
    char target[8];
    uint32_t y_size = 0, symbols = 0, bundle = 0;
    if (sscanf(text, "%7[a-z] %" SCNu32 " %" SCNu32 " %" SCNu32, target, &y_size, &symbols,
               &bundle) != 4 ||
        y_size == 0 || y_size > MN_FIELDS_MOST_WAY || symbols == 0 || y_size % symbols != 0 ||
        bundle == 0)
        return refuse("fields that are none", err);
    mn_fields_init(out, strcmp(target, "classes") == 0 ? MN_TARGET_CLASSES : MN_TARGET_VALUES,
                   y_size);
    out->symbols = symbols;
    out->bundle = bundle;
    mn_status status = MN_OK;
    for (const char *line = strchr(text, '\n'); line != NULL && line[1] != '\0' && status == MN_OK;
         line = strchr(line + 1, '\n'))
        status = parse_field(line + 1, out, err);
    const mn_field *y = mn_fields_find(out, MN_QUERY, "y");
    if (status == MN_OK && (y == NULL || mn_field_item(y) != y_size || !are_known(out)))
        status = refuse("fields of no task that is known", err);
    return status;
}
