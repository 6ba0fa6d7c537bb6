/* kernels_memory.h: tables that are read by number, and memories of which a part is filled. */
#pragma once

#include "worker/engine/kernels_gemm.h"
#include "worker/engine/kernels_map.h"

/* Columns of a row, in spans of up to four vectors that stay in registers while rows go by; the
 * last vector of a span that is not `whole` may be a part of one. */
enum { SPAN_VECTORS = 4 };

typedef struct span {
    size_t at, vectors;
    bool whole;
    lanes some; /* of the last vector */
} span;

INLINE span span_at(size_t at, size_t c)
{
    const size_t most = SPAN_VECTORS * (size_t)LANES, n = smaller_size(most, c - at);
    const size_t vectors = (n + LANES - 1) / LANES;
    return (span){at, vectors, n == most, first_lanes(n - (vectors - 1) * LANES)};
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
    return load_part(row + b->at + v * LANES, whole || v + 1 < vectors, b->some);
}

INLINE void store_of(float *row, vec value, const span *b, size_t v, const size_t vectors,
                     const bool whole)
{
    store_part(row + b->at + v * LANES, value, whole || v + 1 < vectors, b->some);
}

/* ---- tables */

/* The numbers that name a row of the table, in their order. Where most are padding, what counts is
 * how fast those are passed over. */
typedef struct named {
    const mn_embedding *e;
    const float *ids;
    size_t n, begin; /* of all numbers; of the vector at hand */
    unsigned bits;   /* of its lanes: those to come */
} named;

INLINE named named_of(const mn_embedding *e, const float *ids)
{
    return (named){.e = e, .ids = ids, .n = e->n * e->length, .begin = (size_t)0 - LANES};
}

INLINE unsigned lanes_named(const mn_embedding *e, vec ids)
{
    const ivec there = (ivec)(ids >= splat(0)) & (ivec)(ids < splat((float)e->rows));
    const ivec whole = __builtin_convertvector(keep_if(there, ids), ivec);
    const int32_t padding = e->padding >= 0 && e->padding <= INT32_MAX ? (int32_t)e->padding : -1;
    return bits_of(there & (whole != padding));
}

/* The place of the next one; n: there are no more. */
INLINE size_t next_named(named *at)
{
    while (at->bits == 0) {
        at->begin += LANES;
        if (at->begin >= at->n)
            return at->n;
        const size_t left = at->n - at->begin;
        const float *ids = at->ids + at->begin;
        at->bits =
            lanes_named(at->e, left >= LANES ? load(ids) : load_lanes(ids, first_lanes(left)));
        if (left < LANES)
            at->bits &= (1u << left) - 1;
    }
    const size_t place = at->begin + (size_t)__builtin_ctz(at->bits);
    at->bits &= at->bits - 1;
    return place;
}

enum { MOST_WORDS = 32 }; /* that are added up at a time */

INLINE void add_words(size_t n, const float *const *rows, const float *const *weights,
                      const span *b, const size_t vectors, const bool whole, float *out)
{
    vec sum[SPAN_VECTORS];
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        sum[v] = load_of(out, b, v, vectors, whole);
    for (size_t i = 0; i < n; i++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            vec entry = load_of(rows[i], b, v, vectors, whole);
            sum[v] +=
                weights[i] == NULL ? entry : load_of(weights[i], b, v, vectors, whole) * entry;
        }
    }
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        store_of(out, sum[v], b, v, vectors, whole);
}

static void clear_items(const mn_embedding *e, const float *filled, float *out)
{
    if (e->slots == 0)
        memset(out, 0, e->n * e->c * sizeof *out);
    else
        for (size_t i = 0; i < e->n; i += e->slots)
            memset(out + i * e->c, 0,
                   slots_filled(filled[i / e->slots], e->slots) * e->c * sizeof *out);
}

static void embed(const mn_embedding *e, const float *ids, const float *table, const float *weights,
                  const float *filled, bool accumulate, float *out)
{
    const size_t c = e->c;
    named at = named_of(e, ids);
    if (!accumulate)
        clear_items(e, filled, out);
    for (size_t place = next_named(&at); place < at.n;) {
        const size_t item = place / e->length, first = item * e->length;
        const float *rows[MOST_WORDS], *its_weights[MOST_WORDS];
        size_t n = 0;
        for (; place < first + e->length && n < MOST_WORDS; place = next_named(&at)) {
            rows[n] = table + (size_t)ids[place] * c;
            its_weights[n++] = weights == NULL ? NULL : weights + (place - first) * c;
        }
        if (!item_is_there(e, filled, item))
            continue;
        for (size_t j = 0; j < c; j += SPAN_VECTORS * (size_t)LANES) {
            const span b = span_at(j, c);
#define ADD_WORDS(vectors, whole)                                                                  \
    add_words(n, rows, its_weights, &b, vectors, whole, out + item * c)
            IN_SPAN(b, ADD_WORDS)
#undef ADD_WORDS
        }
    }
}

static void embed_scatter(const mn_embedding *e, const float *ids, const float *dy,
                          const float *weights, const float *filled, bool accumulate, float *table)
{
    const size_t c = e->c;
    size_t item = 0, first = 0;
    bool is_there = item_is_there(e, filled, 0);
    named at = named_of(e, ids);
    if (!accumulate)
        memset(table, 0, e->rows * c * sizeof *table);
    for (size_t place = next_named(&at); place < at.n; place = next_named(&at)) {
        if (place >= first + e->length) {
            item = place / e->length;
            first = item * e->length;
            is_there = item_is_there(e, filled, item);
        }
        if (!is_there)
            continue;
        const float *from = dy + item * c;
        float *to = table + (size_t)ids[place] * c;
        if (weights == NULL)
            map(ADD, c, 0, from, to, from, to);
        else
            map(MULTIPLY_ADD, c, 0, weights + (place - first) * c, from, to, to);
    }
}

/* ---- memories */

static void slots_match(const mn_slots *shape, const float *filled, const float *o,
                        const float *memory, float *p)
{
    const size_t slots = shape->slots, c = shape->c;
    for (size_t i = 0; i < shape->n; i++, o += c, memory += slots * c, p += slots) {
        const size_t n = slots_filled(filled[i], slots);
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
            sum[v] += splat(p[s]) * load_of(memory, b, v, vectors, whole);
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
            const span b = span_at(j, c);
#define READ_SLOTS(vectors, whole)                                                                 \
    read_filled(slots_filled(filled[i], slots), c, p, memory, &b, vectors, whole, o)
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
            store_of(memory, splat(p[s]) * row[v] + was, b, v, vectors, whole);
        }
    }
}

static void slots_write(const mn_slots *shape, const float *filled, const float *p, const float *o,
                        bool accumulate, float *memory)
{
    const size_t slots = shape->slots, c = shape->c;
    for (size_t i = 0; i < shape->n; i++, o += c, memory += slots * c, p += slots) {
        const size_t n = slots_filled(filled[i], slots);
        for (size_t j = 0; j < c; j += SPAN_VECTORS * (size_t)LANES) {
            const span b = span_at(j, c);
#define WRITE_SLOTS(vectors, whole) write_filled(n, c, p, o, accumulate, &b, vectors, whole, memory)
            IN_SPAN(b, WRITE_SLOTS)
#undef WRITE_SLOTS
        }
    }
}
