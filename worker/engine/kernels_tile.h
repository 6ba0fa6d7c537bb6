/* kernels_tile.h: the one loop that does the work: a register tile of a matrix product.
 * C [rows, columns] (+)= sum over q < k of A[row, q] * B[q, columns], where the rows of C and A lie
 * anywhere, and step q of A and B either at q times a stride or at offsets from a list. Matrix
 * products, convolutions and their derivatives are all of this form: only the addresses differ. */
#pragma once

#include "worker/engine/kernels_vector.h"
#include <stdbool.h>

enum { TILE_COLUMNS = TILE_VECTORS * LANES };

typedef struct product {
    size_t k;
    const float *a[TILE_ROWS]; /* the first element of each row */
    const float *b;
    float *c[TILE_ROWS];
    size_t a_step, b_step;     /* from one q to the next, in floats; unused with a list */
    const size_t *a_at, *b_at; /* [k] offsets from a and b, or NULL */
    lanes last;                /* of the last vector, where it is not whole */
    bool accumulate;
} product;

/* What the last vector of a tile's columns is: all lanes, some, or at most half of them. */
enum last_vector { WHOLE, PART, HALF_PART, N_LAST = HALVES_PAY ? 3 : 2 };

INLINE enum last_vector end_of(size_t columns)
{
    size_t rest = columns % LANES;
    return rest == 0 ? WHOLE : HALVES_PAY && rest <= LANES / 2 ? HALF_PART : PART;
}

INLINE lanes last_lanes(size_t columns)
{
    return first_lanes((columns - 1) % LANES + 1);
}

/* The sums of a tile while they are in registers. */
typedef struct tile_sums {
    vec whole[MOST_ROWS][WIDE_VECTORS];
    half_vec half[MOST_ROWS];
} tile_sums;

/* Vectors of a row that are not half ones. */
INLINE size_t whole_vectors(const size_t vectors, const enum last_vector end)
{
    return end == HALF_PART ? vectors - 1 : vectors;
}

/* All rows = `first` [columns], or zero. */
INLINE void begin_sums(const size_t rows, const size_t vectors, const enum last_vector end,
                       lanes last, const float *first, tile_sums *s)
{
    const size_t n = whole_vectors(vectors, end);
    UNROLL
    for (size_t p = 0; p < rows; p++) {
        UNROLL
        for (size_t v = 0; v < n; v++)
            s->whole[p][v] = first == NULL
                                 ? splat(0)
                                 : load_part(first + v * LANES, end != PART || v + 1 < n, last);
        s->half[p] =
            first == NULL || end != HALF_PART ? splat_half(0) : load_half(first + n * LANES, last);
    }
}

/* Every row p += a[p][a_q] times b [columns]. */
INLINE void add_to_sums(const size_t rows, const size_t vectors, const enum last_vector end,
                        lanes last, const float *const *a, size_t a_q, const float *b, tile_sums *s)
{
    const size_t n = whole_vectors(vectors, end);
    vec column[WIDE_VECTORS];
    half_vec half_column = splat_half(0);
    UNROLL
    for (size_t v = 0; v < n; v++)
        column[v] = load_part(b + v * LANES, end != PART || v + 1 < n, last);
    if (end == HALF_PART)
        half_column = load_half(b + n * LANES, last);
    UNROLL
    for (size_t p = 0; p < rows; p++) {
        vec factor = splat(a[p][a_q]);
        UNROLL
        for (size_t v = 0; v < n; v++)
            s->whole[p][v] = fused(factor, column[v], s->whole[p][v]);
        if (end == HALF_PART) /* with one whole vector or none, a load of its own is faster */
            s->half[p] = fused_half(n > 1 ? half_of(factor) : splat_half(a[p][a_q]), half_column,
                                    s->half[p]);
    }
}

/* Row p += c [columns]. */
INLINE void add_row_to_sums(size_t p, const size_t vectors, const enum last_vector end, lanes last,
                            const float *c, tile_sums *s)
{
    const size_t n = whole_vectors(vectors, end);
    UNROLL
    for (size_t v = 0; v < n; v++)
        s->whole[p][v] += load_part(c + v * LANES, end != PART || v + 1 < n, last);
    if (end == HALF_PART)
        s->half[p] += load_half(c + n * LANES, last);
}

/* Row p = larger(0, row p); NaN stays NaN. */
INLINE void clip_sums(size_t p, const size_t vectors, const enum last_vector end, tile_sums *s)
{
    const size_t n = whole_vectors(vectors, end);
    UNROLL
    for (size_t v = 0; v < n; v++)
        s->whole[p][v] = larger(splat(0), s->whole[p][v]);
    if (end == HALF_PART)
        s->half[p] = larger_half(splat_half(0), s->half[p]);
}

/* Row p is zero where `mask` [columns] is not > 0. */
INLINE void mask_sums(size_t p, const size_t vectors, const enum last_vector end, lanes last,
                      const float *mask, tile_sums *s)
{
    const size_t n = whole_vectors(vectors, end);
    UNROLL
    for (size_t v = 0; v < n; v++)
        s->whole[p][v] =
            keep_if((ivec)(load_part(mask + v * LANES, end != PART || v + 1 < n, last) > splat(0)),
                    s->whole[p][v]);
    if (end == HALF_PART)
        s->half[p] = keep_half_if_positive(load_half(mask + n * LANES, last), s->half[p]);
}

/* Row p = base [columns] + factor * row p. */
INLINE void move_from_base(size_t p, const size_t vectors, const enum last_vector end, lanes last,
                           const float *base, float factor, tile_sums *s)
{
    const size_t n = whole_vectors(vectors, end);
    UNROLL
    for (size_t v = 0; v < n; v++)
        s->whole[p][v] = fused(splat(factor), s->whole[p][v],
                               load_part(base + v * LANES, end != PART || v + 1 < n, last));
    if (end == HALF_PART)
        s->half[p] = fused_half(splat_half(factor), s->half[p], load_half(base + n * LANES, last));
}

INLINE void store_sums(size_t p, const size_t vectors, const enum last_vector end, lanes last,
                       const tile_sums *s, float *c)
{
    const size_t n = whole_vectors(vectors, end);
    UNROLL
    for (size_t v = 0; v < n; v++)
        store_part(c + v * LANES, s->whole[p][v], end != PART || v + 1 < n, last);
    if (end == HALF_PART)
        store_half(c + n * LANES, s->half[p], last);
}

INLINE void tile(const size_t rows, const size_t vectors, const enum last_vector end,
                 const bool listed, const product *t)
{
    tile_sums s;
    const float *a[TILE_ROWS];
    const float *b = t->b;
    size_t k = t->k, a_step = t->a_step, b_step = t->b_step, a_q = 0;
    lanes last = t->last;
    UNROLL
    for (size_t p = 0; p < rows; p++)
        a[p] = t->a[p];
    begin_sums(rows, vectors, end, last, NULL, &s);
    for (size_t q = 0; q < k; q++) {
        if (listed)
            add_to_sums(rows, vectors, end, last, a, t->a_at[q], b + t->b_at[q], &s);
        else {
            add_to_sums(rows, vectors, end, last, a, a_q, b, &s);
            a_q += a_step;
            b += b_step;
        }
    }
    const bool accumulate = t->accumulate;
    UNROLL
    for (size_t p = 0; p < rows; p++) {
        if (accumulate)
            add_row_to_sums(p, vectors, end, last, t->c[p], &s);
        store_sums(p, vectors, end, last, &s, t->c[p]);
    }
}

/* One function for each kind of tile: tile_ROWS_VECTORS_END_LISTED. */
#define TILE(rows, vectors, end, listed)                                                           \
    static void tile_##rows##_##vectors##_##end##_##listed(const product *t)                       \
    {                                                                                              \
        tile(rows, vectors, end, listed, t);                                                       \
    }
#define TILES(rows, vectors, end) TILE(rows, vectors, end, 0) TILE(rows, vectors, end, 1)
#define NAMES(rows, vectors, end)                                                                  \
    [end] = {tile_##rows##_##vectors##_##end##_0, tile_##rows##_##vectors##_##end##_1}

/* clang-format off */
#if defined(__AVX512F__)
#define TILES_OF(rows, vectors) \
    TILES(rows, vectors, WHOLE) TILES(rows, vectors, PART) TILES(rows, vectors, HALF_PART)
#define NAMES_OF(rows, vectors) \
    {NAMES(rows, vectors, WHOLE), NAMES(rows, vectors, PART), NAMES(rows, vectors, HALF_PART)}
#define ROW_TILES(rows) TILES_OF(rows, 1) TILES_OF(rows, 2) TILES_OF(rows, 3) TILES_OF(rows, 4)
#define ROW_NAMES(rows) {NAMES_OF(rows, 1), NAMES_OF(rows, 2), NAMES_OF(rows, 3), NAMES_OF(rows, 4)}
#else
#define TILES_OF(rows, vectors) TILES(rows, vectors, WHOLE) TILES(rows, vectors, PART)
#define NAMES_OF(rows, vectors) {NAMES(rows, vectors, WHOLE), NAMES(rows, vectors, PART)}
#define ROW_TILES(rows) TILES_OF(rows, 1) TILES_OF(rows, 2)
#define ROW_NAMES(rows) {NAMES_OF(rows, 1), NAMES_OF(rows, 2)}
#endif

ROW_TILES(1) ROW_TILES(2) ROW_TILES(3) ROW_TILES(4) ROW_TILES(5) ROW_TILES(6)

static void (*const tiles[TILE_ROWS][TILE_VECTORS][N_LAST][2])(const product *) = {
    ROW_NAMES(1), ROW_NAMES(2), ROW_NAMES(3), ROW_NAMES(4), ROW_NAMES(5), ROW_NAMES(6),
};
/* clang-format on */

/* `columns` <= TILE_COLUMNS of `rows` <= TILE_ROWS rows; fills in t->last. */
INLINE void multiply_tile(size_t rows, size_t columns, product *t)
{
    t->last = last_lanes(columns);
    tiles[rows - 1][(columns - 1) / LANES][end_of(columns)][t->b_at != NULL](t);
}

/* The rows of the next tile of `left`, of at most `most`: all are of nearly one size, so that none
 * is slow. */
INLINE size_t rows_of(size_t left, size_t most)
{
    size_t n = (left + most - 1) / most;
    return (left + n - 1) / n;
}

INLINE size_t next_rows(size_t left)
{
    return rows_of(left, TILE_ROWS);
}
