#include "tests/sim/event_queue.h"

#include <stdio.h>
#include <stdlib.h>

static bool before(const mn_sim_event *a, const mn_sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void mn_sim_queue_put(mn_sim_queue *queue, const mn_sim_event *event)
{
    if (queue->n == queue->capacity) {
        queue->capacity = queue->capacity > 0 ? 2 * queue->capacity : 256;
        queue->heap = realloc(queue->heap, queue->capacity * sizeof *queue->heap);
        if (queue->heap == NULL) {
            (void)fprintf(stderr, "sim: no memory for %zu events\n", queue->capacity);
            abort();
        }
    }
    mn_sim_event put = *event;
    put.order = queue->order++;
    size_t at = queue->n++;
    for (; at > 0 && before(&put, &queue->heap[(at - 1) / 2]); at = (at - 1) / 2)
        queue->heap[at] = queue->heap[(at - 1) / 2];
    queue->heap[at] = put;
}

bool mn_sim_queue_take(mn_sim_queue *queue, mn_sim_event *out)
{
    if (queue->n == 0)
        return false;
    *out = queue->heap[0];
    const mn_sim_event *last = &queue->heap[--queue->n];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < queue->n; at = child) {
        if (child + 1 < queue->n && before(&queue->heap[child + 1], &queue->heap[child]))
            child++;
        if (before(last, &queue->heap[child]))
            break;
        queue->heap[at] = queue->heap[child];
    }
    queue->heap[at] = *last;
    return true;
}

void mn_sim_queue_fini(mn_sim_queue *queue)
{
    free(queue->heap);
    *queue = (mn_sim_queue){0};
}
