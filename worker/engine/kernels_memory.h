/* kernels_memory.h: tables that are read by number, and memories of which a part is filled. */
#pragma once

#include "worker/engine/kernels_gemm.h"
#include "worker/engine/kernels_map.h"
#include "worker/engine/word_list.h"

/* Columns of a row, in spans of up to four vectors that stay in registers while rows go by; the
 * last vector of a span that is not `whole` may be a part of one. */
enum { SPAN_VECTORS = 4 };

typedef struct span {
    size_t vectors;
    bool whole;
    lanes some; /* of the last vector */
} span;

INLINE span span_of(size_t left)
{
    const size_t most = SPAN_VECTORS * (size_t)LANES, n = smaller_size(most, left);
    const size_t vectors = (n + LANES - 1) / LANES;
    return (span){vectors, n == most, first_lanes(n - (vectors - 1) * LANES)};
}

/* of(vectors, whole) with constants: a loop of its own for each. */
#define IN_SPAN(span, of)                                                                          \
    switch ((span).whole ? 0 : (span).vectors) {                                                   \
    case 1:                                                                                        \
        of(1, false);                                                                              \
        break;                                                                                     \
    case 2:                                                                                        \
        of(2, false);                                                                              \
        break;                                                                                     \
    case 3:                                                                                        \
        of(3, false);                                                                              \
        break;                                                                                     \
    case 4:                                                                                        \
        of(4, false);                                                                              \
        break;                                                                                     \
    default:                                                                                       \
        of(4, true);                                                                               \
    }

INLINE vec load_of(const float *row, const span *b, size_t v, const size_t vectors,
                   const bool whole)
{
    return load_part(row + v * LANES, whole || v + 1 < vectors, b->some);
}

INLINE void store_of(float *row, vec value, const span *b, size_t v, const size_t vectors,
                     const bool whole)
{
    store_part(row + v * LANES, value, whole || v + 1 < vectors, b->some);
}

/* ---- tables */

/* One span of the columns, with which `from`, `weights` and `out` begin; rows of weights are `wide`. */
INLINE void add_groups(const mn_word_list *list, size_t c, const float *from, const float *weights,
                       size_t wide, const bool weighted, bool accumulate, const span *b,
                       const size_t vectors, const bool whole, float *out)
{
    const mn_word_group *group = mn_word_list_groups(list), *last = group + list->n_groups;
    const mn_word *words = mn_word_list_words(list);
    for (; group < last; group++) {
        const mn_word *word = words + group->first, *end = word + group->n;
        float *to = out + group->key * c;
        vec sum[SPAN_VECTORS];
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[v] = accumulate ? load_of(to, b, v, vectors, whole) : splat(0);
        for (; word < end; word++) {
            const float *row = from + word->of * c;
            const float *weight = weighted ? weights + word->place * wide : NULL;
            UNROLL
            for (size_t v = 0; v < vectors; v++) {
                vec entry = load_of(row, b, v, vectors, whole);
                sum[v] = weighted ? fused(entry, load_of(weight, b, v, vectors, whole), sum[v])
                                  : sum[v] + entry;
            }
        }
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            store_of(to, sum[v], b, v, vectors, whole);
    }
}

enum { MOST_PLACES = 32, SPAN_WIDTH = SPAN_VECTORS * LANES };

/* Each word reads a row of weights. Rows of any width are seldom aligned, and a load that two cache
 * lines have a part in costs twice: so, if they are few, they are read from a copy. */
static void embed(size_t c, const mn_word_list *list, const float *from, const float *weights,
                  bool accumulate, float *out)
{
    float copy[MOST_PLACES * SPAN_WIDTH] __attribute__((aligned(64)));
    const size_t places = list->n_places;
    const bool copied = weights != NULL && places <= MOST_PLACES && list->n_words > 2 * places;
    for (size_t j = 0; j < c; j += SPAN_WIDTH) {
        const span b = span_of(c - j);
        for (size_t i = 0; copied && i < places; i++)
            memcpy(copy + i * SPAN_WIDTH, weights + i * c + j,
                   smaller_size(SPAN_WIDTH, c - j) * sizeof *copy);
        const float *rows = copied || weights == NULL ? copy : weights + j;
        const size_t wide = copied ? SPAN_WIDTH : c;
#define ADD_GROUPS(vectors, whole)                                                                 \
    if (weights == NULL)                                                                           \
        add_groups(list, c, from + j, rows, c, false, accumulate, &b, vectors, whole, out + j);    \
    else                                                                                           \
        add_groups(list, c, from + j, rows, wide, true, accumulate, &b, vectors, whole, out + j)
        IN_SPAN(b, ADD_GROUPS)
#undef ADD_GROUPS
    }
}

/* ---- memories */

static void slots_match(const mn_slots *shape, const float *filled, const float *o,
                        const float *memory, float *p)
{
    const size_t slots = shape->slots, c = shape->c;
    for (size_t i = 0; i < shape->n; i++, o += c, memory += slots * c, p += slots) {
        const size_t n = mn_slots_filled(filled[i], slots);
        for (size_t s = 0; s < n; s += 4)
            dots(1, smaller_size(4, n - s), c, o, memory + s * c, p + s, 0, false);
        memset(p + n, 0, (slots - n) * sizeof *p);
    }
}

INLINE void read_filled(size_t n, size_t c, const float *p, const float *memory, const span *b,
                        const size_t vectors, const bool whole, float *o)
{
    vec sum[SPAN_VECTORS];
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        sum[v] = splat(0);
    for (size_t s = 0; s < n; s++, memory += c) {
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[v] = fused(splat(p[s]), load_of(memory, b, v, vectors, whole), sum[v]);
    }
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        store_of(o, sum[v], b, v, vectors, whole);
}

static void slots_read(const mn_slots *shape, const float *filled, const float *p,
                       const float *memory, float *o)
{
    const size_t slots = shape->slots, c = shape->c;
    for (size_t i = 0; i < shape->n; i++, o += c, memory += slots * c, p += slots)
        for (size_t j = 0; j < c; j += SPAN_VECTORS * (size_t)LANES) {
            const span b = span_of(c - j);
#define READ_SLOTS(vectors, whole)                                                                 \
    read_filled(mn_slots_filled(filled[i], slots), c, p, memory + j, &b, vectors, whole, o + j)
            IN_SPAN(b, READ_SLOTS)
#undef READ_SLOTS
        }
}

INLINE void write_filled(size_t n, size_t c, const float *p, const float *o, bool accumulate,
                         const span *b, const size_t vectors, const bool whole, float *memory)
{
    vec row[SPAN_VECTORS];
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        row[v] = load_of(o, b, v, vectors, whole);
    for (size_t s = 0; s < n; s++, memory += c) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            vec was = accumulate ? load_of(memory, b, v, vectors, whole) : splat(0);
            store_of(memory, fused(splat(p[s]), row[v], was), b, v, vectors, whole);
        }
    }
}

static void slots_write(const mn_slots *shape, const float *filled, const float *p, const float *o,
                        bool accumulate, float *memory)
{
    const size_t slots = shape->slots, c = shape->c;
    for (size_t i = 0; i < shape->n; i++, o += c, memory += slots * c, p += slots) {
        const size_t n = mn_slots_filled(filled[i], slots);
        for (size_t j = 0; j < c; j += SPAN_VECTORS * (size_t)LANES) {
            const span b = span_of(c - j);
#define WRITE_SLOTS(vectors, whole)                                                                \
    write_filled(n, c, p, o + j, accumulate, &b, vectors, whole, memory + j)
            IN_SPAN(b, WRITE_SLOTS)
#undef WRITE_SLOTS
        }
    }
}
