/* kernels_conv.h: 3x3 convolutions without a column buffer.
 * One tap of the nine is a matrix product between the pixels that it joins: y[out] += x[in] *
 * w[tap]. So each kernel walks, tap by tap, the pairs (in, out) that are inside both images:
 * nothing is multiplied with padding, and stride 2 needs no case of its own in any direction. The
 * tile takes its rows from where the pairs are (the indirection of Dukhan 2019, arXiv:1907.02129).
 * Images are taken in groups that stay in the second cache. Few input channels are the business of
 * kernels_strip.h. */
#pragma once

#include "worker/engine/kernels.h"
#include "worker/engine/kernels_tile.h"

enum {
    N_TAPS = 9,
    N_PAIRS = 192,            /* pairs that are listed at once */
    N_WEIGHT_PAIRS = 48,      /* the same for weights: their pixels stay in the first cache */
    GROUP_FLOATS = 96 * 1024, /* of x and y together in a group of images */
};

/* A walk over the pairs of one tap in the images [image, end_image). */
typedef struct walk {
    const mn_conv *conv;
    size_t tap_row, tap_column;
    size_t first_row, end_row, first_column, end_column; /* of the outputs that have the tap */
    size_t image, end_image, row, column;                /* the next output */
} walk;

/* The outputs [first, end) whose input, out * stride + tap - 1, is inside [0, length). */
static void valid_outputs(size_t tap, size_t stride, size_t length, size_t out_length,
                          size_t *first, size_t *end)
{
    *first = tap == 0 ? 1 : 0;
    *end = tap > length ? *first : smaller_size(out_length, (length - tap) / stride + 1);
}

static walk start_walk(const mn_conv *conv, size_t tap, size_t image, size_t end_image)
{
    walk w = {conv, .tap_row = tap / 3, .tap_column = tap % 3, .image = image};
    valid_outputs(w.tap_row, conv->stride, conv->height, conv->out_height, &w.first_row,
                  &w.end_row);
    valid_outputs(w.tap_column, conv->stride, conv->width, conv->out_width, &w.first_column,
                  &w.end_column);
    bool none = w.end_row <= w.first_row || w.end_column <= w.first_column;
    w.end_image = none ? image : end_image;
    w.row = w.first_row;
    w.column = w.first_column;
    return w;
}

/* List at most `max` pairs as offsets into x and y; return how many, 0 at the end of the walk. */
static size_t next_pairs(walk *w, size_t max, size_t *in, size_t *out)
{
    const mn_conv *conv = w->conv;
    size_t n = 0;
    while (n < max && w->image < w->end_image) {
        size_t in_row = w->row * conv->stride + w->tap_row - 1;
        size_t in_column = w->column * conv->stride + w->tap_column - 1;
        size_t x = ((w->image * conv->height + in_row) * conv->width + in_column) * conv->c_in;
        size_t y =
            ((w->image * conv->out_height + w->row) * conv->out_width + w->column) * conv->c_out;
        for (; n < max && w->column < w->end_column; w->column++, n++) {
            in[n] = x;
            out[n] = y;
            x += (size_t)conv->stride * conv->c_in;
            y += conv->c_out;
        }
        if (w->column < w->end_column)
            break;
        w->column = w->first_column;
        if (++w->row == w->end_row) {
            w->row = w->first_row;
            w->image++;
        }
    }
    return n;
}

static size_t group_of_images(const mn_conv *conv)
{
    size_t floats = (size_t)conv->height * conv->width * conv->c_in +
                    (size_t)conv->out_height * conv->out_width * conv->c_out;
    return floats >= GROUP_FLOATS ? 1 : GROUP_FLOATS / floats;
}

/* to[at] [n] (+)= from[at] [k] times w [k, n] for each of `pairs` pairs. */
static void multiply_pairs(size_t pairs, size_t k, size_t n, const float *from,
                           const size_t *from_at, const float *w, float *to, const size_t *to_at,
                           bool accumulate)
{
    product t = {.k = k, .a_step = 1, .b_step = n, .accumulate = accumulate};
    for (size_t j = 0; j < n; j += TILE_COLUMNS) {
        t.b = w + j;
        for (size_t i = 0, rows; i < pairs; i += rows) {
            rows = next_rows(pairs - i);
            for (size_t p = 0; p < rows; p++) {
                t.a[p] = from + from_at[i + p];
                t.c[p] = to + to_at[i + p] + j;
            }
            multiply_tile(rows, smaller_size(TILE_COLUMNS, n - j), &t);
        }
    }
}

/* The order of taps: the centre first, which every output has, so that it may overwrite. */
static const size_t centre_first[N_TAPS] = {4, 0, 1, 2, 3, 5, 6, 7, 8};

static void forward_by_taps(const mn_conv *conv, const float *x, const float *w, float *y,
                            bool accumulate)
{
    size_t in[N_PAIRS], out[N_PAIRS], group = group_of_images(conv);
    for (size_t image = 0; image < conv->n; image += group)
        for (size_t i = 0; i < N_TAPS; i++) {
            size_t tap = centre_first[i], n;
            walk pairs = start_walk(conv, tap, image, smaller_size(image + group, conv->n));
            while ((n = next_pairs(&pairs, N_PAIRS, in, out)) > 0)
                multiply_pairs(n, conv->c_in, conv->c_out, x, in,
                               w + tap * conv->c_in * conv->c_out, y, out, accumulate || i > 0);
        }
}

static void conv_backward_data(const mn_conv *conv, const float *dy, const float *wt, float *dx,
                               bool accumulate)
{
    size_t in[N_PAIRS], out[N_PAIRS], group = group_of_images(conv);
    size_t image_floats = (size_t)conv->height * conv->width * conv->c_in;
    /* With stride 1 the centre tap reaches every input; with stride 2 one of four. */
    bool clear = !accumulate && conv->stride != 1;
    for (size_t image = 0; image < conv->n; image += group) {
        size_t end = smaller_size(image + group, conv->n);
        if (clear)
            memset(dx + image * image_floats, 0, (end - image) * image_floats * sizeof *dx);
        for (size_t i = 0; i < N_TAPS; i++) {
            size_t tap = centre_first[i], n;
            walk pairs = start_walk(conv, tap, image, end);
            while ((n = next_pairs(&pairs, N_PAIRS, in, out)) > 0)
                multiply_pairs(n, conv->c_out, conv->c_in, dy, out,
                               wt + tap * conv->c_in * conv->c_out, dx, in,
                               accumulate || clear || i > 0);
        }
    }
}

/* dw [c_in, c_out] (+)= sum over pairs of x[in] [c_in] times dy[out] [c_out]. */
static void multiply_pixels(size_t pairs, const mn_conv *conv, const float *x, const size_t *in,
                            const float *dy, const size_t *out, float *dw, bool accumulate)
{
    product t = {.k = pairs, .a_at = in, .b_at = out, .accumulate = accumulate};
    for (size_t j = 0; j < conv->c_out; j += TILE_COLUMNS) {
        t.b = dy + j;
        for (size_t i = 0, rows; i < conv->c_in; i += rows) {
            rows = next_rows(conv->c_in - i);
            for (size_t p = 0; p < rows; p++) {
                t.a[p] = x + i + p;
                t.c[p] = dw + (i + p) * conv->c_out + j;
            }
            multiply_tile(rows, smaller_size(TILE_COLUMNS, conv->c_out - j), &t);
        }
    }
}

static void weights_by_taps(const mn_conv *conv, const float *x, const float *dy, float *dw,
                            bool accumulate)
{
    size_t in[N_WEIGHT_PAIRS], out[N_WEIGHT_PAIRS], group = group_of_images(conv);
    size_t tap_floats = (size_t)conv->c_in * conv->c_out;
    for (size_t image = 0; image < conv->n; image += group)
        for (size_t tap = 0; tap < N_TAPS; tap++) {
            float *dw_tap = dw + tap * tap_floats;
            bool add = accumulate || image > 0;
            size_t n;
            walk pairs = start_walk(conv, tap, image, smaller_size(image + group, conv->n));
            while ((n = next_pairs(&pairs, N_WEIGHT_PAIRS, in, out)) > 0) {
                multiply_pixels(n, conv, x, in, dy, out, dw_tap, add);
                add = true;
            }
            if (!add) /* a tap that is always in the padding */
                memset(dw_tap, 0, tap_floats * sizeof *dw);
        }
}
