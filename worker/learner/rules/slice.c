#include "worker/learner/rules/slice.h"

#include <inttypes.h>
#include <string.h>

/* Items of a set; 0: there is none. */
static uint32_t items_of(const mn_fields *fields, mn_role role)
{
    const mn_field *y = mn_fields_find(fields, role, "y");
    return y == NULL ? 0 : y->n;
}

mn_status mn_slice_init(mn_slice *slice, const mn_fields *whole, mn_role role, uint32_t items,
                        mn_error *err)
{
    const uint32_t n = items_of(whole, role);
    *slice = (mn_slice){.whole = whole, .role = role, .n = 1, .items = n, .fields = *whole};
    if (items == 0)
        return MN_OK;
    if (mn_fields_find(whole, role, "weight") != NULL)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "meta.step_items reads one item after the other, but these tasks have padding "
            "or weights (tasks.way_from, tasks.shot_from): give all as many classes and "
            "items, or set meta.step_items to 0");
    if (n == 0 || n % items != 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "a stream of %" PRIu32 " support items is read %" PRIu32
                       " at a time (meta.step_items): expected a multiple of that",
                       n, items);
    slice->n = n / items;
    slice->items = items;
    if (slice->n == 1)
        return MN_OK;
    mn_fields_init(&slice->fields, whole->target, whole->y_size);
    slice->fields.symbols = whole->symbols;
    mn_status status = MN_OK;
    for (uint32_t i = 0; i < whole->n && status == MN_OK; i++) {
        const mn_field *field = &whole->at[i];
        const uint32_t item[3] = {field->height, field->width, field->channels};
        if (field->role == role && field->n == n)
            status =
                mn_fields_add(&slice->fields, role, field->name, field->type, items, item, err);
    }
    return status;
}

uint32_t mn_slice_divisor(const mn_fields *whole, mn_role role, uint32_t most)
{
    const uint32_t n = items_of(whole, role);
    uint32_t items = most;
    while (items > 1 && n % items != 0)
        items--;
    return items;
}

size_t mn_slice_count(const mn_slice *slice)
{
    return slice->n == 1 ? 0 : slice->fields.size;
}

const mn_real *mn_slice_take(const mn_slice *slice, const mn_real *task, uint32_t k, mn_real *block)
{
    if (slice->n == 1)
        return task;
    for (uint32_t i = 0; i < slice->fields.n; i++) {
        const mn_field *to = &slice->fields.at[i];
        const mn_field *from = mn_fields_find(slice->whole, slice->role, to->name);
        const size_t count = mn_field_count(to);
        memcpy(block + to->offset, task + from->offset + k * count, count * sizeof *block);
    }
    return block;
}
