/* kernels_recurrent_plain.h: the reference of kernels_recurrent.h, for kernels_plain.c. */
#pragma once

#include "worker/engine/kernels.h"
#include <math.h>
#include <string.h>

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

static void lstm(size_t n, size_t c, const mn_real *zx, const mn_real *zr, const mn_real *before,
                 mn_real *out)
{
    mn_real *cell = out + n * c, *gates = cell + n * c;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < c; j++) {
            double gate[4];
            for (size_t g = 0; g < 4; g++) {
                const size_t at = (4 * i + g) * c + j;
                double z = (double)zx[at] + (zr == NULL ? 0.0 : (double)zr[at]);
                gate[g] = g == 2 ? tanh(z) : logistic(z);
                gates[at] = (mn_real)gate[g];
            }
            double was = before == NULL ? 0.0 : (double)before[i * c + j];
            double now = gate[1] * was + gate[0] * gate[2];
            cell[i * c + j] = (mn_real)now;
            out[i * c + j] = (mn_real)(gate[3] * tanh(now));
        }
}

static void lstm_backward(size_t n, size_t c, const mn_real *out, const mn_real *before,
                          const mn_real *adjoint, mn_real *dz)
{
    const mn_real *cell = out + n * c, *gates = cell + n * c;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < c; j++) {
            const size_t at = i * c + j, z_at = 4 * i * c + j;
            const double in = (double)gates[z_at], forget = (double)gates[z_at + c];
            const double new = (double)gates[z_at + 2 * c], show = (double)gates[z_at + 3 * c];
            const double bent = tanh((double)cell[at]), dh = (double)adjoint[at];
            const double d = (double)adjoint[n * c + at] + dh * show * (1 - bent * bent);
            const double was = before == NULL ? 0.0 : (double)before[at];
            dz[z_at] = (mn_real)(d * new *in *(1 - in));
            dz[z_at + c] = (mn_real)(d * was * forget * (1 - forget));
            dz[z_at + 2 * c] = (mn_real)(d * in * (1 - new *new));
            dz[z_at + 3 * c] = (mn_real)(dh * bent * show * (1 - show));
            dz[4 * n * c + at] = (mn_real)(d * forget);
        }
}

/* The places of one sequence in a state, or in its adjoint. */
typedef struct lrua_view {
    mn_real *memory, *read_weights, *usage, *read, *write_weights, *keys, *gates, *least;
} lrua_view;

static lrua_view lrua_at(const mn_lrua *m, const mn_real *state, size_t i)
{
    const size_t n = m->n, slots = m->slots, heads = m->heads, width = m->width;
    mn_real *at = (mn_real *)(uintptr_t)state;
    lrua_view v;
    v.memory = at + i * width * slots;
    at += n * width * slots;
    v.read_weights = at + i * heads * slots;
    at += n * heads * slots;
    v.usage = at + i * slots;
    at += n * slots;
    v.read = at + i * heads * width;
    at += n * heads * width;
    v.write_weights = at + i * heads * slots;
    at += n * heads * slots;
    v.keys = at + i * heads * (width + 1);
    v.gates = v.keys + heads * width;
    at += n * heads * (width + 1);
    v.least = at + i * heads;
    return v;
}

/* As least_used, as numbers. */
static void choose_slots(const mn_lrua *m, const mn_real *usage, mn_real *least)
{
    for (size_t r = 0; r < m->heads; r++) {
        size_t best = m->slots;
        for (size_t s = 0; s < m->slots; s++) {
            bool taken = false;
            for (size_t before = 0; before < r; before++)
                taken = taken || (size_t)least[before] == s;
            if (!taken && (best == m->slots || usage[s] < usage[best]))
                best = s;
        }
        least[r] = (mn_real)(best < m->slots ? best : 0);
    }
}

/* <a, b> over `n` numbers, those of b `step` apart. */
static double dot(size_t n, const mn_real *a, const mn_real *b, size_t step)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i * step];
    return sum;
}

static double length_of_slot(const mn_lrua *m, const mn_real *slot)
{
    double sum = 0;
    for (size_t j = 0; j < m->width; j++)
        sum += (double)slot[j * m->slots] * (double)slot[j * m->slots];
    return sqrt(sum);
}

/* Of a sequence, or NULL. */
static double sharpness_of(const mn_real *sharpness, size_t r)
{
    return sharpness == NULL ? 1.0 : (double)sharpness[r];
}

static void lrua(const mn_lrua *m, const mn_real *before, const mn_real *asked,
                 const mn_real *sharpness, mn_real *after)
{
    const size_t slots = m->slots, heads = m->heads, width = m->width;
    for (size_t i = 0; i < m->n; i++) {
        const lrua_view was = lrua_at(m, before, i), now = lrua_at(m, after, i);
        const mn_real *of = asked + i * heads * (width + 1);
        const mn_real *sharp = sharpness == NULL ? NULL : sharpness + i * heads;
        for (size_t k = 0; k < heads * width; k++)
            now.keys[k] = (mn_real)tanh((double)of[k]);
        for (size_t r = 0; r < heads; r++)
            now.gates[r] = (mn_real)logistic((double)of[heads * width + r]);
        choose_slots(m, was.usage, now.least);
        for (size_t r = 0; r < heads; r++) {
            mn_real *ww = now.write_weights + r * slots;
            for (size_t s = 0; s < slots; s++)
                ww[s] = now.gates[r] * was.read_weights[r * slots + s];
            ww[(size_t)now.least[r]] += 1 - now.gates[r];
        }
        for (size_t s = 0; s < slots; s++)
            for (size_t j = 0; j < width; j++) {
                double number = s == (size_t)now.least[0] ? 0.0 : (double)was.memory[j * slots + s];
                for (size_t r = 0; r < heads; r++)
                    number +=
                        (double)now.write_weights[r * slots + s] * (double)now.keys[r * width + j];
                now.memory[j * slots + s] = (mn_real)number;
            }
        for (size_t r = 0; r < heads; r++) {
            const mn_real *key = now.keys + r * width;
            mn_real *wr = now.read_weights + r * slots;
            const double length = sqrt(dot(width, key, key, 1));
            const double factor = sharpness_of(sharp, r);
            for (size_t s = 0; s < slots; s++)
                wr[s] = (mn_real)(factor * dot(width, key, now.memory + s, slots) /
                                  (length * length_of_slot(m, now.memory + s) + MN_LRUA_EPS));
        }
        softmax(heads, slots, now.read_weights, now.read_weights);
        for (size_t s = 0; s < slots; s++) {
            double usage = m->decay * (double)was.usage[s];
            for (size_t r = 0; r < heads; r++)
                usage += (double)now.read_weights[r * slots + s] +
                         (double)now.write_weights[r * slots + s];
            now.usage[s] = (mn_real)usage;
        }
        for (size_t r = 0; r < heads; r++)
            for (size_t j = 0; j < width; j++)
                now.read[r * width + j] =
                    (mn_real)dot(slots, now.read_weights + r * slots, now.memory + j * slots, 1);
    }
}

/* The adjoint of what the softmax sees of slot s and head r -> those of its memory, of its key and
 * of the sharpness. */
static void differentiate_likeness(const mn_lrua *m, const lrua_view *now, const mn_real *sharpness,
                                   const lrua_view *d, size_t r, size_t s)
{
    const size_t slots = m->slots, width = m->width;
    const mn_real *key = now->keys + r * width, *slot = now->memory + s;
    const double key_length = sqrt(dot(width, key, key, 1)), length = length_of_slot(m, slot);
    const double below = key_length * length + MN_LRUA_EPS;
    const double like = dot(width, key, slot, slots) / below;
    const double given = (double)d->read_weights[r * slots + s];
    const double g = sharpness_of(sharpness, r) * given / below;
    const double stretch = length > 0 ? -g * like * key_length / length : 0;
    const double longer = key_length > 0 ? -g * like * length / key_length : 0;
    if (sharpness != NULL)
        d->least[r] += (mn_real)(given * like);
    for (size_t j = 0; j < width; j++) {
        d->memory[j * slots + s] +=
            (mn_real)(g * (double)key[j] + stretch * (double)slot[j * slots]);
        d->keys[r * width + j] += (mn_real)(g * (double)slot[j * slots] + longer * (double)key[j]);
    }
}

static void lrua_backward_one(const mn_lrua *m, const lrua_view *was, const lrua_view *now,
                              const mn_real *sharpness, const lrua_view *given, const lrua_view *d)
{
    const size_t slots = m->slots, heads = m->heads, width = m->width;
    memcpy(d->memory, given->memory, width * slots * sizeof *d->memory);
    memset(d->keys, 0, heads * (width + 1) * sizeof *d->keys);
    memset(d->least, 0, heads * sizeof *d->least);
    for (size_t r = 0; r < heads; r++)
        for (size_t s = 0; s < slots; s++)
            d->read_weights[r * slots + s] =
                given->read_weights[r * slots + s] +
                (mn_real)dot(width, given->read + r * width, now->memory + s, slots);
    softmax_tangent(heads, slots, now->read_weights, d->read_weights, d->read_weights);
    for (size_t r = 0; r < heads; r++)
        for (size_t s = 0; s < slots; s++) {
            differentiate_likeness(m, now, sharpness, d, r, s);
            for (size_t j = 0; j < width; j++)
                d->memory[j * slots + s] +=
                    now->read_weights[r * slots + s] * given->read[r * width + j];
        }
    for (size_t r = 0; r < heads; r++) { /* now d->memory is complete: what was written to it */
        const double gate = (double)now->gates[r];
        double dgate = 0;
        for (size_t j = 0; j < width; j++)
            d->keys[r * width + j] +=
                (mn_real)dot(slots, now->write_weights + r * slots, d->memory + j * slots, 1);
        for (size_t s = 0; s < slots; s++) {
            const double dww = dot(width, now->keys + r * width, d->memory + s, slots);
            dgate += dww * ((double)was->read_weights[r * slots + s] -
                            (s == (size_t)now->least[r] ? 1.0 : 0.0));
            d->read_weights[r * slots + s] = (mn_real)(gate * dww);
        }
        d->gates[r] = (mn_real)(dgate * gate * (1 - gate));
    }
    for (size_t k = 0; k < heads * width; k++)
        d->keys[k] *= 1 - now->keys[k] * now->keys[k];
    for (size_t j = 0; j < width; j++)
        d->memory[j * slots + (size_t)now->least[0]] = 0;
    memset(d->usage, 0, slots * sizeof *d->usage);
    memset(d->read, 0, heads * width * sizeof *d->read);
    memset(d->write_weights, 0, heads * slots * sizeof *d->write_weights);
}

static void lrua_backward(const mn_lrua *m, const mn_real *before, const mn_real *after,
                          const mn_real *sharpness, const mn_real *adjoint, mn_real *out)
{
    for (size_t i = 0; i < m->n; i++) {
        const lrua_view was = lrua_at(m, before, i), now = lrua_at(m, after, i),
                        given = lrua_at(m, adjoint, i), d = lrua_at(m, out, i);
        lrua_backward_one(m, &was, &now, sharpness == NULL ? NULL : sharpness + i * m->heads,
                          &given, &d);
    }
}
