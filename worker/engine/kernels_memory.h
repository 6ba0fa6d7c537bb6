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

/* The numbers that name a row of the table, in their order, of items [first, first + n). Where most
 * are padding, what counts is how fast those are passed over. */
typedef struct named {
    const mn_embedding *e;
    const float *ids;
    size_t end, begin; /* of all numbers; of the vector at hand */
    unsigned bits;     /* of its lanes: those to come */
} named;

INLINE named named_of(const mn_embedding *e, const float *ids, size_t first, size_t n)
{
    return (named){
        .e = e, .ids = ids, .end = (first + n) * e->length, .begin = first * e->length - LANES};
}

INLINE unsigned lanes_named(const mn_embedding *e, vec ids)
{
    const ivec there = (ivec)(ids >= splat(0)) & (ivec)(ids < splat((float)e->rows));
    const ivec whole = __builtin_convertvector(keep_if(there, ids), ivec);
    const int32_t padding = e->padding >= 0 && e->padding <= INT32_MAX ? (int32_t)e->padding : -1;
    return bits_of(there & (whole != padding));
}

/* The place of the next one; the end: there are no more. */
INLINE size_t next_named(named *at)
{
    while (at->bits == 0) {
        at->begin += LANES;
        if (at->begin >= at->end)
            return at->end;
        const size_t left = at->end - at->begin;
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

enum { MOST_WORDS = 32 }; /* of an item that are worked on at a time */

/* Words of one item: where their rows of the table begin, and those of the weights. */
typedef struct some_words {
    size_t item, n;
    size_t rows[MOST_WORDS], weights[MOST_WORDS];
} some_words;

/* The next ones, if there are any; `place` is that of the first, and then of the first of others. */
INLINE bool next_words(const mn_embedding *e, named *at, size_t *place, some_words *words)
{
    if (*place >= at->end)
        return false;
    const size_t item = *place / e->length, first = item * e->length, end = first + e->length;
    size_t n = 0;
    do {
        words->rows[n] = (size_t)(int64_t)at->ids[*place] * e->c;
        words->weights[n++] = (*place - first) * e->c;
        *place = next_named(at);
    } while (*place < end && n < MOST_WORDS);
    words->item = item;
    words->n = n;
    return true;
}

INLINE void add_words(const some_words *words, const float *table, const float *weights,
                      const bool weighted, bool fresh, const span *b, const size_t vectors,
                      const bool whole, float *out)
{
    vec sum[SPAN_VECTORS];
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        sum[v] = fresh ? splat(0) : load_of(out, b, v, vectors, whole);
    for (size_t i = 0; i < words->n; i++) {
        const float *row = table + words->rows[i];
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            vec entry = load_of(row, b, v, vectors, whole);
            if (weighted)
                entry *= load_of(weights + words->weights[i], b, v, vectors, whole);
            sum[v] += entry;
        }
    }
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        store_of(out, sum[v], b, v, vectors, whole);
}

INLINE void give_words(const some_words *words, const float *dy, const float *weights,
                       const bool weighted, const span *b, const size_t vectors, const bool whole,
                       float *table)
{
    vec given[SPAN_VECTORS];
    UNROLL
    for (size_t v = 0; v < vectors; v++)
        given[v] = load_of(dy, b, v, vectors, whole);
    for (size_t i = 0; i < words->n; i++) {
        float *row = table + words->rows[i];
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            vec part = given[v];
            if (weighted)
                part *= load_of(weights + words->weights[i], b, v, vectors, whole);
            store_of(row, part + load_of(row, b, v, vectors, whole), b, v, vectors, whole);
        }
    }
}

/* Items that stand together: a memory of which some are there, or all of them. */
INLINE size_t together(const mn_embedding *e)
{
    return e->slots == 0 ? e->n : e->slots;
}

INLINE size_t items_there(const mn_embedding *e, const float *filled, size_t first)
{
    return e->slots == 0 ? e->n : slots_filled(filled[first / e->slots], e->slots);
}

INLINE void embed_items(const mn_embedding *e, size_t first, size_t n, const float *ids,
                        const float *table, const float *weights, const bool weighted,
                        bool accumulate, float *out)
{
    const size_t c = e->c;
    named at = named_of(e, ids, first, n);
    size_t place = next_named(&at), done = first; /* items before it */
    some_words words;
    while (next_words(e, &at, &place, &words)) {
        const bool fresh = !accumulate && words.item >= done;
        if (!accumulate && words.item > done)
            memset(out + done * c, 0, (words.item - done) * c * sizeof *out);
        done = words.item + 1;
        for (size_t j = 0; j < c; j += SPAN_VECTORS * (size_t)LANES) {
            const span b = span_at(j, c);
#define ADD_WORDS(vectors, whole)                                                                  \
    add_words(&words, table, weights, weighted, fresh, &b, vectors, whole, out + words.item * c)
            IN_SPAN(b, ADD_WORDS)
#undef ADD_WORDS
        }
    }
    if (!accumulate && done < first + n)
        memset(out + done * c, 0, (first + n - done) * c * sizeof *out);
}

static void embed(const mn_embedding *e, const float *ids, const float *table, const float *weights,
                  const float *filled, bool accumulate, float *out)
{
    for (size_t first = 0; first < e->n; first += together(e)) {
        const size_t n = items_there(e, filled, first);
        if (weights == NULL)
            embed_items(e, first, n, ids, table, weights, false, accumulate, out);
        else
            embed_items(e, first, n, ids, table, weights, true, accumulate, out);
    }
}

INLINE void scatter_items(const mn_embedding *e, size_t first, size_t n, const float *ids,
                          const float *dy, const float *weights, const bool weighted, float *table)
{
    const size_t c = e->c;
    named at = named_of(e, ids, first, n);
    size_t place = next_named(&at);
    some_words words;
    while (next_words(e, &at, &place, &words))
        for (size_t j = 0; j < c; j += SPAN_VECTORS * (size_t)LANES) {
            const span b = span_at(j, c);
#define GIVE_WORDS(vectors, whole)                                                                 \
    give_words(&words, dy + words.item * c, weights, weighted, &b, vectors, whole, table)
            IN_SPAN(b, GIVE_WORDS)
#undef GIVE_WORDS
        }
}

static void embed_scatter(const mn_embedding *e, const float *ids, const float *dy,
                          const float *weights, const float *filled, bool accumulate, float *table)
{
    if (!accumulate)
        memset(table, 0, e->rows * e->c * sizeof *table);
    for (size_t first = 0; first < e->n; first += together(e)) {
        const size_t n = items_there(e, filled, first);
        if (weights == NULL)
            scatter_items(e, first, n, ids, dy, weights, false, table);
        else
            scatter_items(e, first, n, ids, dy, weights, true, table);
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
