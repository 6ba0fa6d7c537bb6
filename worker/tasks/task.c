#include "worker/tasks/task.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PER_LINE (MN_TASK_ALIGNMENT / sizeof(float))
#define MAX_NUMBERS ((size_t)1 << 28)

static const char *const role_names[MN_N_ROLES] = {"support", "query", "shared"};

void mn_fields_init(mn_fields *fields, mn_target target, uint32_t y_size)
{
    memset(fields, 0, sizeof *fields);
    fields->target = target;
    fields->y_size = y_size;
    fields->symbols = 1;
    fields->bundle = 1;
}

mn_status mn_fields_add(mn_fields *fields, mn_role role, const char *name, mn_field_type type,
                        uint32_t n, const uint32_t item[3], mn_error *err)
{
    mn_field *field = &fields->at[fields->n];
    assert(fields->n < MN_MAX_FIELDS && strlen(name) < sizeof field->name);
    size_t count = n;
    bool fits = true;
    for (int i = 0; i < 3; i++)
        fits = fits && !__builtin_mul_overflow(count, item[i], &count) && count <= MAX_NUMBERS;
    if (!fits || count == 0 || fields->size + count > MAX_NUMBERS)
        return mn_fail(err, MN_ERR_CONFIG,
                       "field %s.%s of %" PRIu32 " items of %" PRIu32 " x %" PRIu32 " x %" PRIu32
                       " is empty, or makes a task larger than %zu numbers",
                       role_names[role], name, n, item[0], item[1], item[2], MAX_NUMBERS);
    *field = (mn_field){.role = role,
                        .type = type,
                        .n = n,
                        .height = item[0],
                        .width = item[1],
                        .channels = item[2],
                        .offset = fields->size};
    (void)snprintf(field->name, sizeof field->name, "%s", name);
    fields->size += (count + PER_LINE - 1) / PER_LINE * PER_LINE;
    fields->n++;
    return MN_OK;
}

const mn_field *mn_fields_find(const mn_fields *fields, mn_role role, const char *name)
{
    for (uint32_t i = 0; i < fields->n; i++)
        if (fields->at[i].role == role && strcmp(fields->at[i].name, name) == 0)
            return &fields->at[i];
    return NULL;
}

size_t mn_field_item(const mn_field *field)
{
    return (size_t)field->height * field->width * field->channels;
}

size_t mn_field_count(const mn_field *field)
{
    return field->n * mn_field_item(field);
}

static bool same_field(const mn_field *a, const mn_field *b)
{
    return strcmp(a->name, b->name) == 0 && a->role == b->role && a->type == b->type &&
           a->n == b->n && a->height == b->height && a->width == b->width &&
           a->channels == b->channels;
}

bool mn_fields_equal(const mn_fields *a, const mn_fields *b)
{
    if (a->n != b->n || a->y_size != b->y_size || a->symbols != b->symbols ||
        a->target != b->target || a->bundle != b->bundle || a->vocabulary != b->vocabulary ||
        strcmp(a->whole, b->whole) != 0 || memcmp(&a->points, &b->points, sizeof a->points) != 0)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (!same_field(&a->at[i], &b->at[i]))
            return false;
    return true;
}

mn_status mn_fields_few_shot(mn_fields *fields, uint32_t n_support, uint32_t n_query,
                             const uint32_t x[3], mn_target target, uint32_t y_size, mn_error *err)
{
    const uint32_t y[3] = {1, 1, y_size};
    mn_fields_init(fields, target, y_size);
    mn_status status = mn_fields_add(fields, MN_SUPPORT, "x", MN_FIELD_NUMBERS, n_support, x, err);
    if (status == MN_OK)
        status = mn_fields_add(fields, MN_SUPPORT, "y", MN_FIELD_NUMBERS, n_support, y, err);
    if (status == MN_OK)
        status = mn_fields_add(fields, MN_QUERY, "x", MN_FIELD_NUMBERS, n_query, x, err);
    if (status == MN_OK)
        status = mn_fields_add(fields, MN_QUERY, "y", MN_FIELD_NUMBERS, n_query, y, err);
    return status;
}

mn_status mn_fields_add_sequence(mn_fields *fields, uint32_t n, const uint32_t x[3], bool is_told,
                                 mn_error *err)
{
    const uint32_t y[3] = {1, 1, fields->y_size}, number[3] = {1, 1, 1};
    mn_status status = mn_fields_add(fields, MN_QUERY, "x", MN_FIELD_NUMBERS, n, x, err);
    if (status == MN_OK && is_told)
        status = mn_fields_add(fields, MN_QUERY, "label_before", MN_FIELD_NUMBERS, n, y, err);
    if (status == MN_OK)
        status = mn_fields_add(fields, MN_QUERY, "y", MN_FIELD_NUMBERS, n, y, err);
    if (status == MN_OK)
        status = mn_fields_add(fields, MN_QUERY, "point", MN_FIELD_IDS, n, number, err);
    return status;
}

mn_status mn_fields_add_padding(mn_fields *fields, mn_error *err)
{
    const uint32_t number[3] = {1, 1, 1}, classes[3] = {1, 1, fields->y_size};
    const uint32_t n_support = fields->at[MN_SUPPORT_X].n, n_query = fields->at[MN_QUERY_X].n;
    mn_status status =
        mn_fields_add(fields, MN_SUPPORT, "weight", MN_FIELD_NUMBERS, n_support, number, err);
    if (status == MN_OK)
        status = mn_fields_add(fields, MN_QUERY, "weight", MN_FIELD_NUMBERS, n_query, number, err);
    if (status == MN_OK)
        status = mn_fields_add(fields, MN_SHARED, "classes", MN_FIELD_MASK, 1, classes, err);
    return status;
}

mn_status mn_fields_add_ids(mn_fields *fields, uint32_t vocabulary, mn_error *err)
{
    const uint32_t n[2] = {fields->at[MN_SUPPORT_X].n, fields->at[MN_QUERY_X].n};
    mn_status status = MN_OK;
    fields->vocabulary = vocabulary;
    for (mn_role role = MN_SUPPORT; role <= MN_QUERY && status == MN_OK; role++)
        status = mn_fields_add(fields, role, "id", MN_FIELD_IDS, n[role],
                               (const uint32_t[3]){1, 1, 1}, err);
    return status;
}

bool mn_fields_have_padding(const mn_fields *fields)
{
    return mn_fields_find(fields, MN_SHARED, "classes") != NULL;
}

/* Is there a field of so many items of so many numbers? */
static bool has_vectors(const mn_fields *fields, mn_role role, const char *name, uint32_t n,
                        uint32_t channels)
{
    const mn_field *field = mn_fields_find(fields, role, name);
    return field != NULL && field->n == n && field->height == 1 && field->width == 1 &&
           field->channels == channels;
}

bool mn_fields_are_few_shot(const mn_fields *fields)
{
    static const char *const names[MN_N_FEW_SHOT] = {"x", "y", "x", "y"};
    const uint32_t padding = mn_fields_have_padding(fields) ? 3 : 0;
    const uint32_t point = mn_fields_find(fields, MN_QUERY, "point") != NULL; /* of a mixture */
    const uint32_t ids = mn_fields_find(fields, MN_QUERY, "id") != NULL ? 2 : 0;
    bool so = fields->n == MN_N_FEW_SHOT + padding + point + ids;
    for (uint32_t i = 0; so && i < MN_N_FEW_SHOT; i++)
        so = strcmp(fields->at[i].name, names[i]) == 0 &&
             fields->at[i].role == (i < MN_QUERY_X ? MN_SUPPORT : MN_QUERY);
    if (so && padding > 0)
        so = has_vectors(fields, MN_SUPPORT, "weight", fields->at[MN_SUPPORT_X].n, 1) &&
             has_vectors(fields, MN_QUERY, "weight", fields->at[MN_QUERY_X].n, 1) &&
             has_vectors(fields, MN_SHARED, "classes", 1, fields->y_size);
    if (so && ids > 0)
        so = has_vectors(fields, MN_SUPPORT, "id", fields->at[MN_SUPPORT_X].n, 1) &&
             has_vectors(fields, MN_QUERY, "id", fields->at[MN_QUERY_X].n, 1);
    return so;
}

mn_status mn_task_new(const mn_fields *fields, mn_task **out, mn_error *err)
{
    const size_t head = (sizeof(mn_task) + MN_TASK_ALIGNMENT - 1) / MN_TASK_ALIGNMENT;
    const size_t bytes = head * MN_TASK_ALIGNMENT + fields->size * sizeof(float);
    mn_task *task = aligned_alloc(MN_TASK_ALIGNMENT, bytes);
    if (task == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "a task of %zu bytes", bytes);
    memset(task, 0, bytes);
    task->fields = *fields;
    task->block = (float *)(void *)((char *)task + head * MN_TASK_ALIGNMENT);
    for (uint32_t i = 0; i < fields->n; i++)
        task->at[i] = task->block + fields->at[i].offset;
    *out = task;
    return MN_OK;
}

void mn_task_destroy(mn_task **task)
{
    free(*task);
    *task = NULL;
}

float *mn_task_find(const mn_task *task, mn_role role, const char *name)
{
    const mn_field *field = mn_fields_find(&task->fields, role, name);
    return field == NULL ? NULL : task->block + field->offset;
}

bool mn_is_padding(uint32_t n, const float *y)
{
    for (uint32_t i = 0; i < n; i++)
        if (y[i] != 0)
            return false;
    return true;
}

/* By lanes, each of which has its own largest and the first place of it. */
uint32_t mn_label_of(uint32_t n, const float *row)
{
    enum { LANES = 16 };
    float most[LANES];
    uint32_t at[LANES], best = 0;
    const uint32_t n_lanes = n < LANES ? n : LANES;
    for (uint32_t k = 0; k < n_lanes; k++) {
        most[k] = row[k];
        at[k] = k;
    }
    uint32_t i = n_lanes;
    for (; i + LANES <= n; i += LANES)
        for (uint32_t k = 0; k < LANES; k++) {
            at[k] = row[i + k] > most[k] ? i + k : at[k];
            most[k] = row[i + k] > most[k] ? row[i + k] : most[k];
        }
    for (; i < n; i++)
        if (row[i] > most[i % LANES]) {
            most[i % LANES] = row[i];
            at[i % LANES] = i;
        }
    for (uint32_t k = 1; k < n_lanes; k++)
        if (most[k] > most[best] || (most[k] == most[best] && at[k] < at[best]))
            best = k;
    return at[best];
}
