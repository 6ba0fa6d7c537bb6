#include "coordinator/core/deadlines.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define NOWHERE UINT32_MAX

static void put(mn_deadlines *deadlines, uint32_t place, mn_deadline deadline);
static uint32_t rise(mn_deadlines *deadlines, uint32_t place, mn_deadline deadline);
static uint32_t sink(mn_deadlines *deadlines, uint32_t place, mn_deadline deadline);

mn_status mn_deadlines_init(mn_deadlines *deadlines, uint32_t capacity, mn_error *err)
{
    *deadlines = (mn_deadlines){.capacity = capacity,
                                .heap = malloc(capacity * sizeof *deadlines->heap),
                                .place = malloc(capacity * sizeof *deadlines->place)};
    if (deadlines->heap == NULL || deadlines->place == NULL) {
        mn_deadlines_fini(deadlines);
        return mn_fail(err, MN_ERR_NOMEM, "%" PRIu32 " deadlines", capacity);
    }
    for (uint32_t id = 0; id < capacity; id++)
        deadlines->place[id] = NOWHERE;
    return MN_OK;
}

void mn_deadlines_fini(mn_deadlines *deadlines)
{
    free(deadlines->heap);
    free(deadlines->place);
    *deadlines = (mn_deadlines){0};
}

void mn_deadlines_add(mn_deadlines *deadlines, uint32_t id, uint64_t due_us)
{
    assert(id < deadlines->capacity && deadlines->place[id] == NOWHERE);
    mn_deadline deadline = {.due_us = due_us, .id = id};
    put(deadlines, rise(deadlines, deadlines->n++, deadline), deadline);
}

/* The last one fills the gap and moves to where it belongs, up or down. */
void mn_deadlines_remove(mn_deadlines *deadlines, uint32_t id)
{
    assert(id < deadlines->capacity);
    uint32_t gap = deadlines->place[id];
    if (gap == NOWHERE)
        return;
    mn_deadline last = deadlines->heap[--deadlines->n];
    deadlines->place[id] = NOWHERE;
    if (last.id != id)
        put(deadlines, sink(deadlines, rise(deadlines, gap, last), last), last);
}

const mn_deadline *mn_deadlines_first(const mn_deadlines *deadlines)
{
    return deadlines->n > 0 ? &deadlines->heap[0] : NULL;
}

static void put(mn_deadlines *deadlines, uint32_t place, mn_deadline deadline)
{
    deadlines->heap[place] = deadline;
    deadlines->place[deadline.id] = place;
}

/* From a gap at `place`, let later ones come down; returns where `deadline` belongs. */
static uint32_t rise(mn_deadlines *deadlines, uint32_t place, mn_deadline deadline)
{
    while (place > 0 && deadline.due_us < deadlines->heap[(place - 1) / 2].due_us) {
        put(deadlines, place, deadlines->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    return place;
}

static uint32_t sink(mn_deadlines *deadlines, uint32_t place, mn_deadline deadline)
{
    for (uint32_t child; (child = 2 * place + 1) < deadlines->n; place = child) {
        if (child + 1 < deadlines->n &&
            deadlines->heap[child + 1].due_us < deadlines->heap[child].due_us)
            child++;
        if (deadline.due_us <= deadlines->heap[child].due_us)
            break;
        put(deadlines, place, deadlines->heap[child]);
    }
    return place;
}
