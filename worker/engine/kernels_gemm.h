/* kernels_gemm.h: matrix products of small and middling size with what surrounds them, and
 * transposition. */
#pragma once

#include "worker/engine/kernels.h"
#include "worker/engine/kernels_tile.h"

enum {
    WIDE_COLUMNS = WIDE_VECTORS * LANES,
    /* A panel of B, DEPTH * WIDE_COLUMNS floats, is at most 64 KiB and stays in the caches. */
    DEPTH = 256,
    /* From so many columns on the rows of B lie so far apart that a copy of the panel pays ... */
    WIDE = 512,
    /* ... if so many rows of A use it. */
    MANY_ROWS = 32,
    /* A transposed B goes by dots if k is at least so many times the rows of A (measured). */
    DOTS_PAY = 8,
    /* A transposed A of so many rows of C, at most MOST_TURNED, is turned first if so many columns
     * of C use it: otherwise each step of a tile reads another page. */
    MOST_TURNED = 512,
    TURNED_PAYS = 3 * TILE_COLUMNS,
    DOT_ROWS = LANES == 16 ? 5 : 1,
};

typedef float vec4 __attribute__((vector_size(16)));
typedef float vec4_anywhere __attribute__((vector_size(16), aligned(4), may_alias));

/* a [TURN_ROWS, 4] -> at [4, TURN_ROWS]. */
#if defined(__AVX2__)

enum { TURN_ROWS = 8 };

INLINE void turn(const float *a, size_t a_stride, float *at, size_t at_stride)
{
    __m256 row[4]; /* i and i + 4 side by side: two squares of four are turned at once */
    UNROLL
    for (size_t i = 0; i < 4; i++)
        row[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(a + i * a_stride)),
                                      _mm_loadu_ps(a + (i + 4) * a_stride), 1);
    __m256 low01 = _mm256_unpacklo_ps(row[0], row[1]), high01 = _mm256_unpackhi_ps(row[0], row[1]);
    __m256 low23 = _mm256_unpacklo_ps(row[2], row[3]), high23 = _mm256_unpackhi_ps(row[2], row[3]);
    _mm256_storeu_ps(at, _mm256_shuffle_ps(low01, low23, 0x44));
    _mm256_storeu_ps(at + at_stride, _mm256_shuffle_ps(low01, low23, 0xee));
    _mm256_storeu_ps(at + 2 * at_stride, _mm256_shuffle_ps(high01, high23, 0x44));
    _mm256_storeu_ps(at + 3 * at_stride, _mm256_shuffle_ps(high01, high23, 0xee));
}

#else

enum { TURN_ROWS = 4 };

INLINE void turn(const float *a, size_t a_stride, float *at, size_t at_stride)
{
    vec4 row[4];
    for (size_t i = 0; i < 4; i++)
        row[i] = *(const vec4_anywhere *)(a + i * a_stride);
    vec4 low01 = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5);
    vec4 high01 = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
    vec4 low23 = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
    vec4 high23 = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
    *(vec4_anywhere *)at = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
    *(vec4_anywhere *)(at + at_stride) = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
    *(vec4_anywhere *)(at + 2 * at_stride) = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
    *(vec4_anywhere *)(at + 3 * at_stride) = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

#endif

/* a [rows, cols] with rows `a_stride` apart -> at [cols, rows], likewise. */
static void transpose_one(size_t rows, size_t cols, const float *a, size_t a_stride, float *at,
                          size_t at_stride)
{
    size_t i = 0;
    for (; i + TURN_ROWS <= rows; i += TURN_ROWS) {
        size_t j = 0;
        for (; j + 4 <= cols; j += 4)
            turn(a + i * a_stride + j, a_stride, at + j * at_stride + i, at_stride);
        for (; j < cols; j++)
            for (size_t p = 0; p < TURN_ROWS; p++)
                at[j * at_stride + i + p] = a[(i + p) * a_stride + j];
    }
    for (; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            at[j * at_stride + i] = a[i * a_stride + j];
}

static void transpose(size_t n, size_t rows, size_t cols, const float *a, float *at)
{
    for (size_t i = 0; i < n; i++, a += rows * cols, at += rows * cols)
        transpose_one(rows, cols, a, cols, at, rows);
}

/* The four sums over the lanes of v[0], v[1], v[2], v[3]. */
INLINE vec4 sums_of_lanes(const lane_sums v[4])
{
    vec4 part[4];
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        vec4 quarter[SUM_LANES / 4];
        memcpy(quarter, &v[i], sizeof quarter);
        part[i] = quarter[0];
        UNROLL
        for (size_t q = 1; q < SUM_LANES / 4; q++)
            part[i] += quarter[q];
    }
    vec4 sum01 = __builtin_shufflevector(part[0], part[1], 0, 4, 1, 5) +
                 __builtin_shufflevector(part[0], part[1], 2, 6, 3, 7);
    vec4 sum23 = __builtin_shufflevector(part[2], part[3], 0, 4, 1, 5) +
                 __builtin_shufflevector(part[2], part[3], 2, 6, 3, 7);
    return __builtin_shufflevector(sum01, sum23, 0, 1, 4, 5) +
           __builtin_shufflevector(sum01, sum23, 2, 3, 6, 7);
}

INLINE void add_dots(const size_t rows, size_t k, const float *a, const float *const b_row[4],
                     size_t q, const bool whole, lane_sums (*sum)[4])
{
    UNROLL
    for (size_t v = 0; v < SUM_VECTORS; v++) {
        const size_t at = q + v * LANES;
        vec part[4];
        UNROLL
        for (size_t j = 0; j < 4; j++)
            part[j] = load_of_row(b_row[j], k, at, whole);
        UNROLL
        for (size_t p = 0; p < rows; p++) {
            vec factor = load_of_row(a + p * k, k, at, whole);
            UNROLL
            for (size_t j = 0; j < 4; j++)
                sum[p][j].part[v] = fused(factor, part[j], sum[p][j].part[v]);
        }
    }
}

/* c [rows, 4] (+)= a [rows, k] times b [4, k] transposed: the lanes run along k. The columns from
 * `columns` on are worked out from the last row of b that there is, and dropped. */
INLINE void dots(const size_t rows, size_t columns, size_t k, const float *a, const float *b,
                 float *c, size_t c_step, bool accumulate)
{
    lane_sums sum[DOT_ROWS][4];
    const float *b_row[4];
    UNROLL
    for (size_t j = 0; j < 4; j++) {
        b_row[j] = b + smaller_size(j, columns - 1) * k;
        UNROLL
        for (size_t p = 0; p < rows; p++)
            sum[p][j] = no_sums();
    }
#define ADD_DOTS(at, whole) add_dots(rows, k, a, b_row, at, whole, sum)
    ALONG_ROW(k, ADD_DOTS);
#undef ADD_DOTS
    UNROLL
    for (size_t p = 0; p < rows; p++) {
        vec4 result = sums_of_lanes(sum[p]);
        for (size_t j = 0; j < columns; j++)
            c[p * c_step + j] = (accumulate ? c[p * c_step + j] : 0) + result[j];
    }
}

/* A few rows of A against all rows of a transposed B: no panel of B would be used often enough to
 * pay. */
static void multiply_by_dots(size_t m, size_t n, size_t k, const float *a, const float *b, float *c,
                             bool accumulate)
{
    for (size_t i = 0; i < m; i += DOT_ROWS) {
        size_t rows = smaller_size(DOT_ROWS, m - i);
        for (size_t j = 0; j < n; j += 4) {
            const float *a_i = a + i * k, *b_j = b + j * k;
            size_t columns = smaller_size(4, n - j);
            float *to = c + i * n + j;
            switch (rows) { /* the same sums, each in its own chain */
#if defined(__AVX512F__)
            case 1:
                dots(1, columns, k, a_i, b_j, to, n, accumulate);
                break;
            case 2:
                dots(2, columns, k, a_i, b_j, to, n, accumulate);
                break;
            case 3:
                dots(3, columns, k, a_i, b_j, to, n, accumulate);
                break;
            case 4:
                dots(4, columns, k, a_i, b_j, to, n, accumulate);
                break;
#endif
            default:
                dots(DOT_ROWS, columns, k, a_i, b_j, to, n, accumulate);
                break;
            }
        }
    }
}

/* What is left to do of a product whose sums are in c. */
static void finish(const mn_product *p, float *c)
{
    for (size_t i = 0; i < p->m; i++, c += p->n)
        for (size_t j = 0; j < p->n; j++) {
            float sum = p->bias != NULL ? c[j] + p->bias[j] : c[j];
            if (p->relu && sum < 0) /* NaN stays NaN */
                sum = 0;
            if (p->mask != NULL && !(p->mask[i * p->n + j] > 0))
                sum = 0;
            c[j] = p->base != NULL ? fused_one(p->factor, sum, p->base[i * p->n + j]) : sum;
        }
}

static void gemm_by_dots(const mn_product *p, float *c)
{
    multiply_by_dots(p->m, p->n, p->k, p->a, p->b, c, p->accumulate);
    if (p->a2 != NULL)
        multiply_by_dots(p->m, p->n, p->k, p->a2, p->b2, c, true);
    if (p->bias != NULL || p->relu || p->mask != NULL || p->base != NULL)
        finish(p, c);
}

/* A tile of one or two products at once, the rows of each matrix a step apart. */
typedef struct block {
    size_t n_terms, k;
    const float *a[2], *b[2];
    size_t a_row, a_step, b_step; /* floats from row to row of op(A), and from one q to the next */
    float *c;
    const float *mask, *base; /* like c, or NULL */
    size_t c_row;
    float factor;
    const float *bias; /* where the sums begin; NULL: at zero */
    bool accumulate, relu;
    lanes last;
} block;

INLINE void block_tile(const size_t rows, const size_t vectors, const enum last_vector end,
                       const block *t)
{
    tile_sums s;
    const lanes last = t->last;
    const size_t k = t->k, a_row = t->a_row, a_step = t->a_step, b_step = t->b_step;
    const size_t n_terms = t->n_terms;
    begin_sums(rows, vectors, end, last, t->bias, &s);
    for (size_t term = 0; term < n_terms; term++) {
        const float *a[MOST_ROWS], *b = t->b[term];
        UNROLL
        for (size_t p = 0; p < rows; p++)
            a[p] = t->a[term] + p * a_row;
        for (size_t q = 0, a_q = 0; q < k; q++, a_q += a_step, b += b_step)
            add_to_sums(rows, vectors, end, last, a, a_q, b, &s);
    }
    const size_t c_row = t->c_row;
    const bool accumulate = t->accumulate, relu = t->relu;
    const float *mask = t->mask, *base = t->base;
    float *c = t->c;
    UNROLL
    for (size_t p = 0; p < rows; p++, c += c_row) {
        if (accumulate)
            add_row_to_sums(p, vectors, end, last, c, &s);
        if (relu)
            clip_sums(p, vectors, end, &s);
        if (mask != NULL) {
            mask_sums(p, vectors, end, last, mask, &s);
            mask += c_row;
        }
        if (base != NULL) {
            move_from_base(p, vectors, end, last, base, t->factor, &s);
            base += c_row;
        }
        store_sums(p, vectors, end, last, &s, c);
    }
}

/* One function for each kind of block: block_ROWS_VECTORS_END; wide ones have WIDE_ROWS at most. */
#define BLOCK(rows, vectors, end)                                                                  \
    static void block_##rows##_##vectors##_##end(const block *t)                                   \
    {                                                                                              \
        block_tile(rows, vectors, end, t);                                                         \
    }

/* clang-format off */
#if defined(__AVX512F__)
#define BLOCKS_OF(rows, vectors) \
    BLOCK(rows, vectors, WHOLE) BLOCK(rows, vectors, PART) BLOCK(rows, vectors, HALF_PART)
#define BLOCK_NAMES_OF(rows, vectors) \
    {block_##rows##_##vectors##_WHOLE, block_##rows##_##vectors##_PART, block_##rows##_##vectors##_HALF_PART}
#define ROW_BLOCKS(rows) BLOCKS_OF(rows, 1) BLOCKS_OF(rows, 2) BLOCKS_OF(rows, 3) BLOCKS_OF(rows, 4)
#define ROW_BLOCK_NAMES(rows) \
    {BLOCK_NAMES_OF(rows, 1), BLOCK_NAMES_OF(rows, 2), BLOCK_NAMES_OF(rows, 3), BLOCK_NAMES_OF(rows, 4)}
#define LONG_ROW_BLOCKS ROW_BLOCKS
#define LONG_ROW_BLOCK_NAMES ROW_BLOCK_NAMES
#else
#define BLOCKS_OF(rows, vectors) BLOCK(rows, vectors, WHOLE) BLOCK(rows, vectors, PART)
#define BLOCK_NAMES_OF(rows, vectors) {block_##rows##_##vectors##_WHOLE, block_##rows##_##vectors##_PART}
#define ROW_BLOCKS(rows) BLOCKS_OF(rows, 1) BLOCKS_OF(rows, 2)
#define ROW_BLOCK_NAMES(rows) {BLOCK_NAMES_OF(rows, 1), BLOCK_NAMES_OF(rows, 2)}
#define LONG_ROW_BLOCKS(rows) ROW_BLOCKS(rows) BLOCKS_OF(rows, 3)
#define LONG_ROW_BLOCK_NAMES(rows) {BLOCK_NAMES_OF(rows, 1), BLOCK_NAMES_OF(rows, 2), BLOCK_NAMES_OF(rows, 3)}
#endif

LONG_ROW_BLOCKS(1) LONG_ROW_BLOCKS(2) LONG_ROW_BLOCKS(3) LONG_ROW_BLOCKS(4) ROW_BLOCKS(5) ROW_BLOCKS(6)

static void (*const blocks[TILE_ROWS][WIDE_VECTORS][N_LAST])(const block *) = {
    LONG_ROW_BLOCK_NAMES(1), LONG_ROW_BLOCK_NAMES(2), LONG_ROW_BLOCK_NAMES(3), LONG_ROW_BLOCK_NAMES(4),
    ROW_BLOCK_NAMES(5), ROW_BLOCK_NAMES(6),
};
/* clang-format on */

/* A part of B [k, columns] for a tile's columns: where it lies if its rows may be read there, else
 * a copy in `panel`, whose rows are `step` apart. */
INLINE const float *panel_of(const mn_product *p, const float *b, bool copy, size_t q, size_t k,
                             size_t j, size_t columns, float *panel, size_t step)
{
    if (p->trans_b)
        transpose_one(columns, k, b + j * p->k + q, p->k, panel, step);
    else if (copy)
        for (size_t row = 0; row < k; row++)
            memcpy(panel + row * step, b + (q + row) * p->n + j, columns * sizeof *b);
    else
        return b + q * p->n + j;
    return panel;
}

/* The columns of the next block of `left`: those of a tile, or those of a tile and one more vector
 * where that would be left over alone. */
INLINE size_t next_columns(size_t left)
{
    const size_t rest = left % TILE_COLUMNS;
    const bool alone = WIDE_VECTORS > TILE_VECTORS && rest > 0 && rest <= LANES && left > LANES;
    return smaller_size(alone ? WIDE_COLUMNS : TILE_COLUMNS, left);
}

/* n_terms products, from DEPTH to DEPTH of their k; the sums begin in C if `accumulate`, and are
 * finished if `finished`. */
static void multiply_by_tiles(const mn_product *p, size_t n_terms, const float *const *a,
                              const float *const *b, bool accumulate, bool finished, float *c)
{
    float panel[DEPTH * WIDE_COLUMNS] __attribute__((aligned(64)));
    const bool copy = p->trans_b || (p->n >= WIDE && p->m >= MANY_ROWS);
    /* Of a panel: no wider than it must be, so that two of them leave room in the first cache. */
    const size_t step = smaller_size(WIDE_COLUMNS, (p->n + 7) / 8 * 8);
    block t = {.n_terms = n_terms,
               .a_row = p->trans_a ? 1 : p->k,
               .a_step = p->trans_a ? p->m : 1,
               .b_step = copy ? step : p->n,
               .c_row = p->n,
               .factor = p->factor};
    for (size_t q = 0; q < p->k; q += DEPTH) {
        bool is_last = p->k - q <= DEPTH;
        t.k = smaller_size(DEPTH, p->k - q);
        t.accumulate = accumulate || q > 0;
        t.relu = p->relu && finished && is_last;
        for (size_t j = 0, columns; j < p->n; j += columns) {
            columns = next_columns(p->n - j);
            size_t vectors = (columns + LANES - 1) / LANES;
            size_t most_rows = vectors > TILE_VECTORS ? WIDE_ROWS : TILE_ROWS;
            enum last_vector end = end_of(columns);
            t.last = last_lanes(columns);
            t.bias = p->bias != NULL && finished && is_last ? p->bias + j : NULL;
            for (size_t term = 0; term < n_terms; term++)
                t.b[term] =
                    panel_of(p, b[term], copy, q, t.k, j, columns, panel + term * t.k * step, step);
            for (size_t i = 0, rows; i < p->m; i += rows) {
                rows = rows_of(p->m - i, most_rows);
                for (size_t term = 0; term < n_terms; term++)
                    t.a[term] = a[term] + i * t.a_row + q * t.a_step;
                t.c = c + i * p->n + j;
                t.mask = p->mask != NULL && finished && is_last ? p->mask + i * p->n + j : NULL;
                t.base = p->base != NULL && finished && is_last ? p->base + i * p->n + j : NULL;
                blocks[rows - 1][vectors - 1][end](&t);
            }
        }
    }
}

static void gemm_by_tiles(const mn_product *p, float *c)
{
    const float *const a[2] = {p->a, p->a2}, *const b[2] = {p->b, p->b2};
    if (p->a2 == NULL)
        multiply_by_tiles(p, 1, a, b, p->accumulate, true, c);
    else if (2 * p->k <= DEPTH) /* two panels fit */
        multiply_by_tiles(p, 2, a, b, p->accumulate, true, c);
    else {
        multiply_by_tiles(p, 1, a, b, p->accumulate, false, c);
        multiply_by_tiles(p, 1, a + 1, b + 1, true, true, c);
    }
}

/* A transposed; DEPTH steps of it are turned at a time. The sums are those of gemm_by_tiles, in the
 * same order. A function of its own because of its large frame. */
static __attribute__((noinline)) void gemm_of_turned(const mn_product *p, float *c)
{
    float turned_a[MOST_TURNED * DEPTH] __attribute__((aligned(64)));
    mn_product part = *p;
    part.trans_a = false;
    for (size_t q = 0; q < p->k; q += DEPTH) {
        part.k = smaller_size(DEPTH, p->k - q);
        transpose_one(part.k, p->m, p->a + q * p->m, p->m, turned_a, part.k);
        const float *const a = turned_a, *const b = p->b + q * p->n;
        multiply_by_tiles(&part, 1, &a, &b, p->accumulate || q > 0, q + DEPTH >= p->k, c);
    }
}

/* Products with a side of one are too little work for tiles. */

/* What follows the sums of some lanes of C, which are `at` elements into it. */
INLINE void finish_lanes(const mn_product p, float *c, size_t at, bool whole, lanes some, vec sum)
{
    if (p.accumulate)
        sum += load_part(c + at, whole, some);
    if (p.relu)
        sum = larger(splat(0), sum);
    if (p.mask != NULL)
        sum = keep_if((ivec)(load_part(p.mask + at, whole, some) > splat(0)), sum);
    if (p.base != NULL)
        sum = fused(splat(p.factor), sum, load_part(p.base + at, whole, some));
    store_part(c + at, sum, whole, some);
}

/* k = 1; the lanes of C from column j on. */
INLINE void column_times_row(const mn_product p, float *c, size_t j, bool whole, lanes some)
{
    vec bias = p.bias != NULL ? load_part(p.bias + j, whole, some) : splat(0);
    vec b = load_part(p.b + j, whole, some);
    vec b2 = p.b2 != NULL ? load_part(p.b2 + j, whole, some) : splat(0);
    for (size_t i = 0; i < p.m; i++) {
        vec sum = fused(splat(p.a[i]), b, bias);
        if (p.a2 != NULL)
            sum = fused(splat(p.a2[i]), b2, sum);
        finish_lanes(p, c, i * p.n + j, whole, some, sum);
    }
}

/* m = 1, B not transposed; the lanes of C from column j on. */
INLINE void row_times_matrix(const mn_product p, float *c, size_t j, bool whole, lanes some)
{
    vec sum = p.bias != NULL ? load_part(p.bias + j, whole, some) : splat(0);
    for (size_t q = 0; q < p.k; q++)
        sum = fused(splat(p.a[q]), load_part(p.b + q * p.n + j, whole, some), sum);
    if (p.a2 != NULL)
        for (size_t q = 0; q < p.k; q++)
            sum = fused(splat(p.a2[q]), load_part(p.b2 + q * p.n + j, whole, some), sum);
    finish_lanes(p, c, j, whole, some, sum);
}

INLINE void add_column(size_t k, const float *const row[4], const float *b, size_t q,
                       const bool whole, lane_sums sum[4])
{
    UNROLL
    for (size_t v = 0; v < SUM_VECTORS; v++) {
        const size_t at = q + v * LANES;
        vec part = load_of_row(b, k, at, whole);
        UNROLL
        for (size_t r = 0; r < 4; r++)
            sum[r].part[v] = fused(part, load_of_row(row[r], k, at, whole), sum[r].part[v]);
    }
}

/* Four sums of `rows` rows of A, each times the column b; A's last row stands in for those that are
 * not there. */
INLINE vec4 rows_times_column(size_t rows, size_t k, const float *a, const float *b)
{
    const float *row[4];
    lane_sums sum[4];
    UNROLL
    for (size_t r = 0; r < 4; r++) {
        row[r] = a + smaller_size(r, rows - 1) * k;
        sum[r] = no_sums();
    }
#define ADD_COLUMN(at, whole) add_column(k, row, b, at, whole, sum)
    ALONG_ROW(k, ADD_COLUMN);
#undef ADD_COLUMN
    return sums_of_lanes(sum);
}

/* n = 1, A not transposed. */
static void matrix_times_column(const mn_product *p, float *c)
{
    const size_t m = p->m, k = p->k;
    const float *a = p->a, *b = p->b, *a2 = p->a2, *b2 = p->b2, *mask = p->mask, *base = p->base;
    const float bias = p->bias != NULL ? p->bias[0] : 0, factor = p->factor;
    const bool accumulate = p->accumulate, relu = p->relu;
    for (size_t i = 0; i < m; i += 4) {
        size_t rows = smaller_size(4, m - i);
        vec4 sums = rows_times_column(rows, k, a + i * k, b);
        if (a2 != NULL)
            sums += rows_times_column(rows, k, a2 + i * k, b2);
        sums += bias;
        for (size_t r = 0; r < rows; r++) {
            float sum = accumulate ? sums[r] + c[i + r] : sums[r];
            if (relu && sum < 0) /* NaN stays NaN */
                sum = 0;
            if (mask != NULL && !(mask[i + r] > 0))
                sum = 0;
            c[i + r] = base != NULL ? fused_one(factor, sum, base[i + r]) : sum;
        }
    }
}

/* n = 1, A transposed: C as a row is B as a row times A. */
static mn_product turned(const mn_product *p)
{
    mn_product row = *p;
    row.trans_a = row.trans_b = false;
    row.m = 1;
    row.n = p->m;
    row.a = p->b;
    row.b = p->a;
    row.a2 = p->b2;
    row.b2 = p->a2;
    return row;
}

static void gemm(const mn_product *p, float *c)
{
    size_t j = 0, whole = p->n - p->n % LANES;
    lanes rest = first_lanes(p->n % LANES);
    if (p->k == 1) {
        for (; j < whole; j += LANES)
            column_times_row(*p, c, j, true, rest);
        if (j < p->n)
            column_times_row(*p, c, j, false, rest);
    } else if (p->m == 1 && !p->trans_b) {
        for (; j < whole; j += LANES)
            row_times_matrix(*p, c, j, true, rest);
        if (j < p->n)
            row_times_matrix(*p, c, j, false, rest);
    } else if (p->n == 1 && !p->trans_a) {
        matrix_times_column(p, c);
    } else if (p->n == 1 && p->bias == NULL) {
        mn_product row = turned(p);
        gemm(&row, c);
    } else if (!p->trans_a && p->trans_b && DOTS_PAY * p->m <= p->k) {
        gemm_by_dots(p, c);
    } else if (p->trans_a && !p->trans_b && p->a2 == NULL && p->m >= MANY_ROWS &&
               p->m <= MOST_TURNED && p->n >= TURNED_PAYS && p->k >= MANY_ROWS) {
        gemm_of_turned(p, c);
    } else {
        gemm_by_tiles(p, c);
    }
}
