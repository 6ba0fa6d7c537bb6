/* kernels_recurrent.h: one step of an LSTM, and one of a memory with least-recently-used access,
 * forwards and backwards. kernels.h has the formulas; kernels_recurrent_plain.h is the reference.
 * Slots lie along the lanes, so that what a head asks of all slots needs no sums over lanes. */
#pragma once

#include "worker/engine/kernels.h"
#include "worker/engine/kernels_gemm.h"
#include "worker/engine/kernels_map.h"

INLINE vec logistic(vec x)
{
    return splat(1) / (splat(1) + exponential(splat(0) - x));
}

static void lstm(size_t n, size_t c, const float *zx, const float *zr, const float *before,
                 float *out)
{
    float *cell = out + n * c, *gates = cell + n * c;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < c; j += LANES) {
            const bool whole = c - j >= LANES;
            const lanes some = first_lanes(smaller_size(LANES, c - j));
            const size_t at = i * c + j, z_at = 4 * i * c + j;
            vec gate[4];
            UNROLL
            for (size_t g = 0; g < 4; g++) {
                vec z = load_part(zx + z_at + g * c, whole, some);
                if (zr != NULL)
                    z += load_part(zr + z_at + g * c, whole, some);
                gate[g] = g == 2 ? hyperbolic_tangent(z) : logistic(z);
                store_part(gates + z_at + g * c, gate[g], whole, some);
            }
            vec now = gate[0] * gate[2];
            if (before != NULL)
                now = fused(gate[1], load_part(before + at, whole, some), now);
            store_part(cell + at, now, whole, some);
            store_part(out + at, gate[3] * hyperbolic_tangent(now), whole, some);
        }
}

static void lstm_backward(size_t n, size_t c, const float *out, const float *before,
                          const float *adjoint, float *dz)
{
    const float *cell = out + n * c, *gates = cell + n * c, *dcell = adjoint + n * c;
    float *dbefore = dz + 4 * n * c;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < c; j += LANES) {
            const bool whole = c - j >= LANES;
            const lanes some = first_lanes(smaller_size(LANES, c - j));
            const size_t at = i * c + j, z_at = 4 * i * c + j;
            vec gate[4];
            UNROLL
            for (size_t g = 0; g < 4; g++)
                gate[g] = load_part(gates + z_at + g * c, whole, some);
            vec bent = hyperbolic_tangent(load_part(cell + at, whole, some));
            vec dh = load_part(adjoint + at, whole, some);
            vec d = fused(dh * gate[3], fused_less(bent, bent, splat(1)),
                          load_part(dcell + at, whole, some));
            vec was = before != NULL ? load_part(before + at, whole, some) : splat(0);
            store_part(dz + z_at, d * gate[2] * gate[0] * (splat(1) - gate[0]), whole, some);
            store_part(dz + z_at + c, d * was * gate[1] * (splat(1) - gate[1]), whole, some);
            store_part(dz + z_at + 2 * c, d * gate[0] * fused_less(gate[2], gate[2], splat(1)),
                       whole, some);
            store_part(dz + z_at + 3 * c, dh * bent * gate[3] * (splat(1) - gate[3]), whole, some);
            store_part(dbefore + at, d * gate[1], whole, some);
        }
}

/* ---- a memory with least-recently-used access */

enum { FOURS_OF_HEADS = (MN_LRUA_MAX_HEADS + 3) / 4 * 4, FOURS_OF_KEYS = MN_LRUA_MAX_KEYS };

INLINE float sum_of_lanes(lane_sums v)
{
    const lane_sums alone[4] = {v, v, v, v};
    return sums_of_lanes(alone)[0];
}

/* The sums over the lanes of each of v, four at a time: v and sums have room for whole fours. */
INLINE void sums_of_all_lanes(size_t n, const lane_sums *v, float *sums)
{
    for (size_t i = 0; i < n; i += 4) {
        const vec4 four = sums_of_lanes(v + i);
        memcpy(sums + i, &four, sizeof four);
    }
}

/* Rows are short, so sums of single precision do. */
static void soften(size_t c, float *z)
{
    vec top = splat(-INFINITY);
    lane_sums total = no_sums();
    for (size_t j = 0; j < c; j += LANES) {
        const lanes some = first_lanes(smaller_size(LANES, c - j));
        top = larger(top, load_lanes(z + j, some)); /* of other lanes: 0, which does no harm */
    }
    float largest = top[0];
    for (size_t l = 1; l < LANES; l++)
        largest = top[l] > largest ? top[l] : largest;
    for (size_t j = 0; j < c; j += LANES) {
        const lanes some = first_lanes(smaller_size(LANES, c - j));
        vec p = exponential(load_lanes(z + j, some) - splat(largest));
        store_lanes(z + j, p, some);
        total.part[j / LANES % SUM_VECTORS] += load_lanes(z + j, some);
    }
    scale(c, 1 / sum_of_lanes(total), z, z);
}

/* dp -> the adjoint of what p is the softmax of. */
static void soften_backward(size_t c, const float *p, float *dp)
{
    float mean;
    row_dot(1, c, p, dp, &mean);
    for (size_t j = 0; j < c; j += LANES) {
        const lanes some = first_lanes(smaller_size(LANES, c - j));
        store_lanes(dp + j, load_lanes(p + j, some) * (load_lanes(dp + j, some) - splat(mean)),
                    some);
    }
}

INLINE vec square_root(vec x)
{
#if defined(__AVX512F__)
    return (vec)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
    return (vec)_mm256_sqrt_ps((__m256)x);
#else
    for (size_t l = 0; l < LANES; l++)
        x[l] = sqrtf(x[l]);
    return x;
#endif
}

/* The slot with the least (usage, number) above those of `slot`; -1: of all. Nothing is comparable:
 * 0. */
static size_t least_above(size_t slots, const float *usage, long slot)
{
    ivec number, best_number;
    for (int32_t l = 0; l < LANES; l++)
        number[l] = l;
    vec best = splat(INFINITY);
    best_number = number - number;
    const vec bound = splat(slot < 0 ? -INFINITY : usage[slot]);
    const ivec last = best_number + (int32_t)slot;
    for (size_t j = 0; j < slots; j += LANES, number += LANES) {
        const lanes some = first_lanes(smaller_size(LANES, slots - j));
        vec u = load_lanes(usage + j, some);
        ivec above = (ivec)(u > bound) | ((ivec)(u == bound) & (number > last));
        above &= number < (int32_t)slots;
        ivec less = above & (ivec)(u < best);
        best = choose(less, u, best);
        best_number = (less & number) | (~less & best_number);
    }
    size_t first = 0;
    for (size_t l = 1; l < LANES; l++)
        if (best[l] < best[first] ||
            (best[l] == best[first] && best_number[l] < best_number[first]))
            first = l;
    return (size_t)best_number[first];
}

static void choose_slots(const mn_lrua *m, const float *usage, float *least)
{
    long slot = -1;
    for (size_t r = 0; r < m->heads; r++) {
        slot = (long)least_above(m->slots, usage, slot);
        least[r] = (float)slot;
    }
}

/* The places of one sequence in a state, or in its adjoint. */
typedef struct lrua_view {
    float *memory, *read_weights, *usage, *read, *write_weights, *keys, *gates, *least;
} lrua_view;

static lrua_view lrua_at(const mn_lrua *m, const float *state, size_t i)
{
    float *at = (float *)(uintptr_t)state;
    lrua_view v;
    v.memory = at + i * m->width * m->slots;
    at += m->n * m->width * m->slots;
    v.read_weights = at + i * m->heads * m->slots;
    at += m->n * m->heads * m->slots;
    v.usage = at + i * m->slots;
    at += m->n * m->slots;
    v.read = at + i * m->heads * m->width;
    at += m->n * m->heads * m->width;
    v.write_weights = at + i * m->heads * m->slots;
    at += m->n * m->heads * m->slots;
    v.keys = at + i * m->heads * (m->width + 1);
    v.gates = v.keys + m->heads * m->width;
    at += m->n * m->heads * (m->width + 1);
    v.least = at + i * m->heads;
    return v;
}

/* |k| of each head. */
static void lengths_of_keys(const mn_lrua *m, const float *keys, float *lengths)
{
    for (size_t r = 0; r < m->heads; r++, keys += m->width) {
        float sum = 0;
        for (size_t d = 0; d < m->width; d++)
            sum = fused_one(keys[d], keys[d], sum);
        lengths[r] = sqrtf(sum);
    }
}

/* Some slots: write to them, and see how like each key they are -> read_weights. */
INLINE void write_and_compare(const size_t heads, const mn_lrua *m, const lrua_view *was,
                              const lrua_view *now, const float *lengths, size_t s, bool whole,
                              lanes some)
{
    vec ww[MN_LRUA_MAX_HEADS] = {{0}}, like[MN_LRUA_MAX_HEADS] = {{0}}, square = splat(0),
        keep = splat(1);
    const size_t slots = m->slots, width = m->width;
    const size_t cleared = (size_t)now->least[0];
    if (cleared >= s && cleared < s + LANES)
        keep[cleared - s] = 0;
    UNROLL
    for (size_t r = 0; r < heads; r++) {
        ww[r] = load_part(now->write_weights + r * slots + s, whole, some);
        like[r] = splat(0);
    }
    const float *from = was->memory + s;
    float *to = now->memory + s;
    for (size_t d = 0; d < width; d++, from += slots, to += slots) {
        vec number = fused(load_part(from, whole, some), keep, splat(now->keys[d]) * ww[0]);
        UNROLL
        for (size_t r = 1; r < heads; r++)
            number = fused(splat(now->keys[r * width + d]), ww[r], number);
        store_part(to, number, whole, some);
        __builtin_prefetch(to + slots * width, 1, 2); /* the next sequence's, which is far away */
        square = fused(number, number, square);
        UNROLL
        for (size_t r = 0; r < heads; r++)
            like[r] = fused(splat(now->keys[r * width + d]), number, like[r]);
    }
    vec length = square_root(square);
    UNROLL
    for (size_t r = 0; r < heads; r++)
        store_part(now->read_weights + r * slots + s,
                   like[r] / fused(splat(lengths[r]), length, splat((float)MN_LRUA_EPS)), whole,
                   some);
}

/* Sums along the slots: of what each head reads of the numbers of one dimension. */
INLINE void add_read(const size_t heads, size_t slots, const float *numbers, const float *weights,
                     size_t s, const bool whole, lane_sums *sum)
{
    UNROLL
    for (size_t v = 0; v < SUM_VECTORS; v++) {
        const size_t at = s + v * LANES;
        vec number = load_of_row(numbers, slots, at, whole);
        UNROLL
        for (size_t r = 0; r < heads; r++)
            sum[r].part[v] =
                fused(number, load_of_row(weights + r * slots, slots, at, whole), sum[r].part[v]);
    }
}

/* r = wr M */
INLINE void read_slots(const size_t heads, const mn_lrua *m, const lrua_view *now)
{
    const size_t slots = m->slots;
    for (size_t d = 0; d < m->width; d++) {
        const float *numbers = now->memory + d * slots;
        lane_sums sum[FOURS_OF_HEADS];
        float sums[FOURS_OF_HEADS];
        UNROLL
        for (size_t r = 0; r < (heads + 3) / 4 * 4; r++)
            sum[r] = no_sums();
#define ADD_READ(at, whole) add_read(heads, slots, numbers, now->read_weights, at, whole, sum)
        ALONG_ROW(slots, ADD_READ);
#undef ADD_READ
        sums_of_all_lanes(heads, sum, sums);
        UNROLL
        for (size_t r = 0; r < heads; r++)
            now->read[r * m->width + d] = sums[r];
    }
}

INLINE void lrua_one(const size_t heads, const mn_lrua *m, const lrua_view *was,
                     const lrua_view *now, const float *asked, const float *sharpness)
{
    const size_t slots = m->slots, width = m->width;
    float lengths[MN_LRUA_MAX_HEADS];
    tanh_forward(heads * width, asked, now->keys);
    sigmoid_forward(heads, asked + heads * width, now->gates);
    choose_slots(m, was->usage, now->least);
    for (size_t r = 0; r < heads; r++) {
        float *ww = now->write_weights + r * slots;
        scale(slots, now->gates[r], was->read_weights + r * slots, ww);
        ww[(size_t)now->least[r]] += 1 - now->gates[r];
    }
    lengths_of_keys(m, now->keys, lengths);
    for (size_t s = 0; s < slots; s += LANES)
        write_and_compare(heads, m, was, now, lengths, s, slots - s >= LANES,
                          first_lanes(smaller_size(LANES, slots - s)));
    for (size_t r = 0; r < heads; r++) {
        float *wr = now->read_weights + r * slots;
        if (sharpness != NULL)
            scale(slots, sharpness[r], wr, wr);
        soften(slots, wr);
    }
    scale(slots, (float)m->decay, was->usage, now->usage);
    for (size_t r = 0; r < heads; r++) {
        add(slots, now->usage, now->read_weights + r * slots, now->usage);
        add(slots, now->usage, now->write_weights + r * slots, now->usage);
    }
    read_slots(heads, m, now);
}

static void lrua(const mn_lrua *m, const float *before, const float *asked, const float *sharpness,
                 float *after)
{
    for (size_t i = 0; i < m->n; i++) {
        const lrua_view was = lrua_at(m, before, i), now = lrua_at(m, after, i);
        const float *of = asked + i * m->heads * (m->width + 1);
        const float *sharp = sharpness != NULL ? sharpness + i * m->heads : NULL;
        switch (m->heads) {
        case 1:
            lrua_one(1, m, &was, &now, of, sharp);
            break;
        case 2:
            lrua_one(2, m, &was, &now, of, sharp);
            break;
        case 4:
            lrua_one(4, m, &was, &now, of, sharp);
            break;
        default:
            lrua_one(m->heads, m, &was, &now, of, sharp);
            break;
        }
    }
}

/* Some slots: their lengths -> d->usage, likeness to the keys -> d->write_weights, and the adjoint of the
 * read weights -> d->read_weights. */
INLINE void compare_again(const size_t heads, const mn_lrua *m, const lrua_view *now,
                          const lrua_view *given, const lrua_view *d, const float *lengths,
                          size_t s, bool whole, lanes some)
{
    vec like[MN_LRUA_MAX_HEADS] = {{0}}, asked[MN_LRUA_MAX_HEADS] = {{0}}, square = splat(0);
    const size_t slots = m->slots, width = m->width;
    UNROLL
    for (size_t r = 0; r < heads; r++) {
        like[r] = splat(0);
        asked[r] = load_part(given->read_weights + r * slots + s, whole, some);
    }
    const float *from = now->memory + s;
    for (size_t j = 0; j < width; j++, from += slots) {
        vec number = load_part(from, whole, some);
        __builtin_prefetch(from + slots * width, 0, 2); /* the next sequence's, which is far away */
        square = fused(number, number, square);
        UNROLL
        for (size_t r = 0; r < heads; r++) {
            like[r] = fused(splat(now->keys[r * width + j]), number, like[r]);
            asked[r] = fused(splat(given->read[r * width + j]), number, asked[r]);
        }
    }
    vec length = square_root(square);
    store_part(d->usage + s, length, whole, some);
    UNROLL
    for (size_t r = 0; r < heads; r++) {
        store_part(d->write_weights + r * slots + s,
                   like[r] / fused(splat(lengths[r]), length, splat((float)MN_LRUA_EPS)), whole,
                   some);
        store_part(d->read_weights + r * slots + s, asked[r], whole, some);
    }
}

/* Some slots: from the adjoint of the likeness (d->read_weights) to that of the memory before it was
 * written to, of the keys (dkeys, lane by lane), of their lengths, and of the write weights
 * (-> d->read_weights). */
INLINE void differentiate_slots(const size_t heads, const mn_lrua *m, const lrua_view *now,
                                const lrua_view *given, const lrua_view *d, const float *lengths,
                                lane_sums *dkeys, lane_sums *dlengths, size_t s, bool whole,
                                lanes some)
{
    vec dlike[MN_LRUA_MAX_HEADS] = {{0}}, wr[MN_LRUA_MAX_HEADS] = {{0}},
        ww[MN_LRUA_MAX_HEADS] = {{0}}, dww[MN_LRUA_MAX_HEADS] = {{0}}, keep = splat(1),
        stretch = splat(0);
    const size_t slots = m->slots, width = m->width;
    const size_t v = s / LANES % SUM_VECTORS;
    const vec length = load_part(d->usage + s, whole, some);
    const size_t cleared = (size_t)now->least[0];
    if (cleared >= s && cleared < s + LANES)
        keep[cleared - s] = 0;
    UNROLL
    for (size_t r = 0; r < heads; r++) {
        const size_t at = r * slots + s;
        vec below = splat(1) / fused(splat(lengths[r]), length, splat((float)MN_LRUA_EPS));
        dlike[r] = load_part(d->read_weights + at, whole, some) * below;
        vec dbelow = splat(0) - dlike[r] * load_part(d->write_weights + at, whole, some);
        dlengths[r].part[v] = fused(dbelow, length, dlengths[r].part[v]);
        stretch = fused(dbelow, splat(lengths[r]), stretch);
        wr[r] = load_part(now->read_weights + at, whole, some);
        ww[r] = load_part(now->write_weights + at, whole, some);
        dww[r] = splat(0);
    }
    stretch = keep_if((ivec)(length > splat(0)), stretch / length); /* a slot of zeros: none */
    const float *from = now->memory + s, *in = given->memory + s;
    float *to = d->memory + s;
    for (size_t j = 0; j < width; j++, from += slots, in += slots, to += slots) {
        vec number = load_part(from, whole, some);
        vec g = fused(stretch, number, load_part(in, whole, some));
        UNROLL
        for (size_t r = 0; r < heads; r++)
            g = fused(dlike[r], splat(now->keys[r * width + j]), g);
        UNROLL
        for (size_t r = 0; r < heads; r++)
            g = fused(wr[r], splat(given->read[r * width + j]), g);
        store_part(to, g * keep, whole, some);
        UNROLL
        for (size_t r = 0; r < heads; r++) {
            dww[r] = fused(splat(now->keys[r * width + j]), g, dww[r]);
            vec *sum = &dkeys[j * heads + r].part[v];
            *sum = fused(dlike[r], number, fused(ww[r], g, *sum));
        }
    }
    UNROLL
    for (size_t r = 0; r < heads; r++)
        store_part(d->read_weights + r * slots + s, dww[r], whole, some);
}

INLINE void lrua_backward_one(const size_t heads, const mn_lrua *m, const lrua_view *was,
                              const lrua_view *now, const float *sharpness, const lrua_view *given,
                              const lrua_view *d)
{
    const size_t slots = m->slots, width = m->width;
    float lengths[MN_LRUA_MAX_HEADS];
    lane_sums dkeys[FOURS_OF_KEYS], dlengths[MN_LRUA_MAX_HEADS];
    float sums[FOURS_OF_KEYS];
    for (size_t k = 0; k < (heads * width + 3) / 4 * 4; k++)
        dkeys[k] = no_sums();
    for (size_t r = 0; r < heads; r++)
        dlengths[r] = no_sums();
    lengths_of_keys(m, now->keys, lengths);
    for (size_t s = 0; s < slots; s += LANES)
        compare_again(heads, m, now, given, d, lengths, s, slots - s >= LANES,
                      first_lanes(smaller_size(LANES, slots - s)));
    for (size_t r = 0; r < heads; r++) {
        float *dlike = d->read_weights + r * slots;
        soften_backward(slots, now->read_weights + r * slots, dlike);
        d->least[r] = 0;
        if (sharpness != NULL) {
            row_dot(1, slots, dlike, d->write_weights + r * slots, d->least + r);
            scale(slots, sharpness[r], dlike, dlike);
        }
    }
    for (size_t s = 0; s < slots; s += LANES)
        differentiate_slots(heads, m, now, given, d, lengths, dkeys, dlengths, s,
                            slots - s >= LANES, first_lanes(smaller_size(LANES, slots - s)));
    sums_of_all_lanes(heads * width, dkeys, sums);
    for (size_t r = 0; r < heads; r++) {
        const float longer = lengths[r] > 0 ? sum_of_lanes(dlengths[r]) / lengths[r] : 0;
        for (size_t j = 0; j < width; j++) {
            const float key = now->keys[r * width + j];
            d->keys[r * width + j] =
                fused_one(longer, key, sums[j * heads + r]) * fused_one(-key, key, 1);
        }
        float *dww = d->read_weights + r * slots, gate = now->gates[r], dgate = 0;
        row_dot(1, slots, dww, was->read_weights + r * slots, &dgate);
        dgate -= dww[(size_t)now->least[r]];
        d->gates[r] = dgate * gate * (1 - gate);
        scale(slots, gate, dww, dww);
    }
    memset(d->usage, 0, slots * sizeof *d->usage);
    memset(d->read, 0, heads * width * sizeof *d->read);
    memset(d->write_weights, 0, heads * slots * sizeof *d->write_weights);
}

static void lrua_backward(const mn_lrua *m, const float *before, const float *after,
                          const float *sharpness, const float *adjoint, float *out)
{
    for (size_t i = 0; i < m->n; i++) {
        const lrua_view was = lrua_at(m, before, i), now = lrua_at(m, after, i),
                        given = lrua_at(m, adjoint, i), d = lrua_at(m, out, i);
        const float *sharp = sharpness != NULL ? sharpness + i * m->heads : NULL;
        switch (m->heads) {
        case 1:
            lrua_backward_one(1, m, &was, &now, sharp, &given, &d);
            break;
        case 2:
            lrua_backward_one(2, m, &was, &now, sharp, &given, &d);
            break;
        case 4:
            lrua_backward_one(4, m, &was, &now, sharp, &given, &d);
            break;
        default:
            lrua_backward_one(m->heads, m, &was, &now, sharp, &given, &d);
            break;
        }
    }
}
