/* kernels_strip.h: 3x3 convolutions of few input channels, the first layer above all.
 * One tap of the nine is then too little work for a tile, so all 9 * c_in products are one sum.
 * Some rows of the image are copied with zeros around them (the strip): every output pixel then
 * finds its inputs at the same offsets. */
#pragma once

#include "worker/engine/kernels_conv.h"

enum {
    FEW_CHANNELS = 12,       /* c_in up to here goes by strips */
    STRIP_FLOATS = 8 * 1024, /* on the stack */
    MAX_TERMS = N_TAPS * FEW_CHANNELS,
    STRIP_PIXELS = 256, /* at most, in one strip */
};

typedef struct strip {
    const mn_conv *conv;
    size_t rows;               /* output rows in a strip; 0: the images are too wide for strips */
    size_t in_rows, in_width;  /* of the strip, in pixels */
    size_t terms;              /* 9 * c_in */
    size_t term_at[MAX_TERMS]; /* from an output's first input, for each row of w */
    size_t pixel_at[STRIP_PIXELS]; /* of each output's first input */
    float x[STRIP_FLOATS] __attribute__((aligned(64)));
} strip;

/* Sets up for `conv`; s->rows is 0 if strips will not do. */
static void strip_init(strip *s, const mn_conv *conv)
{
    s->conv = conv;
    s->rows = 0;
    if (conv->c_in > FEW_CHANNELS || conv->width > STRIP_FLOATS)
        return;
    s->in_width = (size_t)conv->width + 2;
    size_t row_floats = s->in_width * conv->c_in;
    size_t fit = STRIP_FLOATS / row_floats; /* rows that fit */
    if (fit < 3 || conv->out_width > STRIP_PIXELS)
        return;
    s->rows = smaller_size((fit - 3) / conv->stride + 1, STRIP_PIXELS / conv->out_width);
    s->rows = smaller_size(s->rows, conv->out_height);
    s->in_rows = (s->rows - 1) * conv->stride + 3;
    s->terms = (size_t)N_TAPS * conv->c_in;
    for (size_t i = 0; i < s->terms; i++)
        s->term_at[i] = i / conv->c_in / 3 * row_floats + i % (3 * (size_t)conv->c_in);
    for (size_t row = 0, i = 0; row < s->rows; row++)
        for (size_t column = 0; column < conv->out_width; column++, i++)
            s->pixel_at[i] = row * conv->stride * row_floats + column * conv->stride * conv->c_in;
    memset(s->x, 0, s->in_rows * row_floats * sizeof *s->x);
}

/* Copy what the output rows from `row` on need of an image; return how many outputs that is. */
static size_t strip_fill(strip *s, const float *image, size_t row)
{
    size_t height = s->conv->height, floats = (size_t)s->conv->width * s->conv->c_in;
    size_t first = row * s->conv->stride; /* one too large, for the padding */
    float *to = s->x + s->conv->c_in;
    for (size_t i = 0; i < s->in_rows; i++, to += s->in_width * s->conv->c_in) {
        if (first + i >= 1 && first + i <= height)
            memcpy(to, image + (first + i - 1) * floats, floats * sizeof *to);
        else
            memset(to, 0, floats * sizeof *to);
    }
    return smaller_size(s->rows, s->conv->out_height - row) * s->conv->out_width;
}

static void forward_by_strips(strip *s, const float *x, const float *w, float *y, bool accumulate)
{
    const mn_conv *conv = s->conv;
    size_t b_at[MAX_TERMS];
    for (size_t i = 0; i < s->terms; i++)
        b_at[i] = i * conv->c_out;
    product t = {.k = s->terms, .a_at = s->term_at, .b_at = b_at, .accumulate = accumulate};
    for (size_t image = 0; image < conv->n; image++)
        for (size_t row = 0; row < conv->out_height; row += s->rows) {
            size_t n = strip_fill(s, x + image * conv->height * conv->width * conv->c_in, row);
            float *out = y + (image * conv->out_height + row) * conv->out_width * conv->c_out;
            for (size_t j = 0; j < conv->c_out; j += TILE_COLUMNS) {
                t.b = w + j;
                for (size_t i = 0, rows; i < n; i += rows) {
                    rows = next_rows(n - i);
                    for (size_t p = 0; p < rows; p++) {
                        t.a[p] = s->x + s->pixel_at[i + p];
                        t.c[p] = out + (i + p) * conv->c_out + j;
                    }
                    multiply_tile(rows, smaller_size(TILE_COLUMNS, conv->c_out - j), &t);
                }
            }
        }
}

static void weights_by_strips(strip *s, const float *x, const float *dy, float *dw, bool accumulate)
{
    const mn_conv *conv = s->conv;
    size_t b_at[STRIP_PIXELS];
    for (size_t i = 0; i < STRIP_PIXELS; i++)
        b_at[i] = i * conv->c_out;
    product t = {.a_at = s->pixel_at, .b_at = b_at, .accumulate = accumulate};
    for (size_t image = 0; image < conv->n; image++)
        for (size_t row = 0; row < conv->out_height; row += s->rows, t.accumulate = true) {
            t.k = strip_fill(s, x + image * conv->height * conv->width * conv->c_in, row);
            for (size_t j = 0; j < conv->c_out; j += TILE_COLUMNS) {
                t.b = dy + (image * conv->out_height + row) * conv->out_width * conv->c_out + j;
                for (size_t i = 0, rows; i < s->terms; i += rows) {
                    rows = next_rows(s->terms - i);
                    for (size_t p = 0; p < rows; p++) {
                        t.a[p] = s->x + s->term_at[i + p];
                        t.c[p] = dw + (i + p) * conv->c_out + j;
                    }
                    multiply_tile(rows, smaller_size(TILE_COLUMNS, conv->c_out - j), &t);
                }
            }
        }
}

static void conv_forward(const mn_conv *conv, const float *x, const float *w, float *y,
                         bool accumulate)
{
    strip s;
    strip_init(&s, conv);
    if (s.rows > 0)
        forward_by_strips(&s, x, w, y, accumulate);
    else
        forward_by_taps(conv, x, w, y, accumulate);
}

static void conv_backward_weights(const mn_conv *conv, const float *x, const float *dy, float *dw,
                                  bool accumulate)
{
    strip s;
    strip_init(&s, conv);
    if (s.rows > 0)
        weights_by_strips(&s, x, dy, dw, accumulate);
    else
        weights_by_taps(conv, x, dy, dw, accumulate);
}
