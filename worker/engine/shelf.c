#include "worker/engine/shelf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64, NO_CHUNK = 0 };

struct box {
    size_t offset, end;
    uint32_t first, last;
};

/* Boxes by offset, in chunks that are split when they are full: a search reads memory in its order,
 * and one more box moves few others. */
struct chunk {
    uint32_t n, next; /* NO_CHUNK: the last */
    struct box boxes[CHUNK];
};

struct mn_shelf {
    size_t bytes;
    uint32_t n_chunks, n_left; /* chunk 0 is the first */
    struct chunk chunks[];
};

static void insert(mn_shelf *shelf, struct box box);

mn_status mn_shelf_new(uint32_t n_arrays, mn_shelf **out, mn_error *err)
{
    const size_t n_chunks = (size_t)n_arrays / (CHUNK / 2) + 2; /* each but one is half full */
    mn_shelf *shelf = calloc(1, sizeof *shelf + n_chunks * sizeof *shelf->chunks);
    if (shelf == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "places of %u arrays", n_arrays);
    shelf->n_chunks = 1;
    shelf->n_left = n_arrays;
    *out = shelf;
    return MN_OK;
}

void mn_shelf_destroy(mn_shelf **shelf)
{
    free(*shelf);
    *shelf = NULL;
}

size_t mn_shelf_bytes(const mn_shelf *shelf)
{
    return shelf->bytes;
}

size_t mn_shelf_place(mn_shelf *shelf, size_t bytes, uint32_t first, uint32_t last)
{
    size_t offset = 0;
    uint32_t c = 0;
    assert(shelf->n_left > 0);
    shelf->n_left--;
    do { /* whoever lives at the same time and ends higher pushes it up, until a gap is wide enough */
        const struct chunk *chunk = &shelf->chunks[c];
        for (uint32_t i = 0; i < chunk->n; i++) {
            const struct box *box = &chunk->boxes[i];
            if (box->offset >= offset + bytes)
                goto found;
            if (box->end > offset && box->first <= last && first <= box->last)
                offset = box->end;
        }
        c = chunk->next;
    } while (c != NO_CHUNK);
found:
    insert(shelf, (struct box){offset, offset + bytes, first, last});
    if (offset + bytes > shelf->bytes)
        shelf->bytes = offset + bytes;
    return offset;
}

/* The upper half of a full chunk becomes one of its own. */
static void split(mn_shelf *shelf, struct chunk *chunk)
{
    struct chunk *upper = &shelf->chunks[shelf->n_chunks];
    chunk->n = upper->n = CHUNK / 2;
    memcpy(upper->boxes, chunk->boxes + CHUNK / 2, sizeof upper->boxes / 2);
    upper->next = chunk->next;
    chunk->next = shelf->n_chunks++;
}

static void insert(mn_shelf *shelf, struct box box)
{
    struct chunk *chunk = &shelf->chunks[0];
    while (chunk->next != NO_CHUNK && shelf->chunks[chunk->next].boxes[0].offset <= box.offset)
        chunk = &shelf->chunks[chunk->next];
    if (chunk->n == CHUNK) {
        split(shelf, chunk);
        if (shelf->chunks[chunk->next].boxes[0].offset <= box.offset)
            chunk = &shelf->chunks[chunk->next];
    }
    uint32_t at = chunk->n++;
    for (; at > 0 && chunk->boxes[at - 1].offset > box.offset; at--)
        chunk->boxes[at] = chunk->boxes[at - 1];
    chunk->boxes[at] = box;
}
