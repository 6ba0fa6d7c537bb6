/* The first layer of an image network, made again instead of kept: a convolution of few input
 * channels, batch norm, ReLU and 2x2 max-pooling. Its arrays before pooling are by far the largest
 * of a network, and to make a number of them takes 9 * c_in multiply-adds, less than to fetch it
 * from beyond the second cache. So the four operations that need them compute them for a few images
 * at a time (a strip), in one place that stays in that cache. fusion.h makes these operations, after
 * differentiation: they have no rules. */
#include "worker/engine/ops/first_layer.h"

#include "worker/engine/ops/ops.h"

#include <math.h>
#include <string.h>

enum {
    FEW_CHANNELS = 4,
    MOST_NUMBERS = 128 * 1024, /* of an array of a strip: two lie in the second cache */
};

/* A strip's place, once for all four: doubles [2, c], and two arrays of its numbers. */
typedef struct strip {
    const mn_conv *conv;
    mn_conv part; /* the images at hand: part.n of them */
    uint32_t image;
    size_t rows, pooled; /* of x, and numbers of what is pooled, in all strips before */
    double *doubles;
    mn_real *x, *dy;
} strip;

/* Images in a strip: whole blocks of batch norm's rows, so that its sums are those of one pass. */
static uint32_t images_of(const mn_conv *conv)
{
    uint32_t n = 1;
    while ((size_t)n * conv->out_height * conv->out_width % MN_BN_BLOCK != 0)
        n++;
    return n;
}

static size_t numbers_of(const mn_conv *conv)
{
    return (size_t)images_of(conv) * conv->out_height * conv->out_width * conv->c_out;
}

/* A layer's result: what is pooled, and behind it of each number which of four it was. */
static size_t pooled_of(const mn_conv *conv)
{
    return (size_t)conv->n * (conv->out_height / 2) * (conv->out_width / 2) * conv->c_out;
}

bool mn_first_layer_pays(const mn_conv *conv)
{
    return conv->c_in <= FEW_CHANNELS && conv->stride == 1 && numbers_of(conv) <= MOST_NUMBERS &&
           conv->n > images_of(conv) && pooled_of(conv) <= UINT32_MAX / 2; /* as an extent */
}

mn_extent mn_first_layer_extent(const mn_conv *conv)
{
    const size_t n = pooled_of(conv);
    return mn_vector((uint32_t)(n + (n + sizeof(mn_real) - 1) / sizeof(mn_real)));
}

mn_extent mn_first_layer_place(const mn_conv *conv)
{
    return mn_vector((uint32_t)(4 * conv->c_out + 2 * numbers_of(conv)));
}

/* The place is an input by name alone: it is written, and holds nothing between operations. */
static strip first_strip(const mn_conv *conv, const mn_real *place)
{
    strip s = {.conv = conv, .part = *conv, .doubles = (double *)(uintptr_t)place};
    s.part.n = images_of(conv);
    s.x = (mn_real *)(s.doubles + 2 * (size_t)conv->c_out);
    s.dy = s.x + numbers_of(conv);
    memset(s.doubles, 0, 2 * (size_t)conv->c_out * sizeof *s.doubles);
    return s;
}

/* The next images, in s->x; false at the end. */
static bool next_strip(strip *s, const mn_kernels *k, const mn_real *pixels, const mn_real *w)
{
    const mn_conv *conv = s->conv;
    const size_t image = (size_t)conv->height * conv->width * conv->c_in;
    if (s->image + s->part.n > conv->n)
        s->part.n = conv->n - s->image;
    if (s->part.n > 0)
        k->conv_forward(&s->part, pixels + s->image * image, w, s->x, false);
    return s->part.n > 0;
}

static size_t rows_of(const strip *s)
{
    return (size_t)s->part.n * s->part.out_height * s->part.out_width;
}

static void step(strip *s)
{
    s->rows += rows_of(s);
    s->pooled +=
        (size_t)s->part.n * (s->part.out_height / 2) * (s->part.out_width / 2) * s->part.c_out;
    s->image += s->part.n;
}

static void run_nothing(const mn_operation *operation, const mn_kernels *k,
                        const mn_real *const *in, mn_real *out)
{
    (void)operation, (void)k, (void)in, (void)out;
}

const mn_op_row mn_op_first_place = {
    .name = "first layer's place", .is_free = true, .is_constant = true, .run = run_nothing};

static double conv_macs(const mn_graph *graph, const mn_graph_node *node)
{
    const mn_conv *conv = &node->conv;
    (void)graph;
    return 9.0 * conv->n * conv->out_height * conv->out_width * conv->c_in * conv->c_out;
}

static double two_convs(const mn_graph *graph, const mn_graph_node *node)
{
    return 2.0 * conv_macs(graph, node);
}

/* in: pixels, w, place */
static void run_first_stats(const mn_operation *operation, const mn_kernels *k,
                            const mn_real *const *in, mn_real *out)
{
    const mn_conv *conv = &operation->node.conv;
    const size_t c = conv->c_out;
    strip s = first_strip(conv, in[2]);
    for (; next_strip(&s, k, in[0], in[1]); step(&s))
        k->bn_add_moments(s.rows, rows_of(&s), c, s.x, s.doubles);
    for (size_t j = 0; j < c; j++) { /* as bn_stats has it */
        out[j] = (mn_real)s.doubles[j];
        out[c + j] = (mn_real)(1 / sqrt(s.doubles[c + j] / (double)s.rows + operation->node.eps));
    }
}

const mn_op_row mn_op_first_stats = {
    .name = "first layer's stats", .is_constant = true, .macs = conv_macs, .run = run_first_stats};

/* in: pixels, w, place, stats, gamma, beta */
static void run_first_layer(const mn_operation *operation, const mn_kernels *k,
                            const mn_real *const *in, mn_real *out)
{
    const mn_conv *conv = &operation->node.conv;
    const size_t h = conv->out_height, w = conv->out_width, c = conv->c_out;
    uint8_t *index = (uint8_t *)(out + pooled_of(conv));
    strip s = first_strip(conv, in[2]);
    for (; next_strip(&s, k, in[0], in[1]); step(&s)) {
        k->bn_forward(rows_of(&s), c, operation->node.relu, s.x, in[3], in[4], in[5], s.x);
        k->max_pool_index(s.part.n, h, w, c, s.x, index + s.pooled);
        k->max_pool_gather(s.part.n, h, w, c, s.x, index + s.pooled, out + s.pooled);
    }
}

const mn_op_row mn_op_first_layer = {
    .name = "first layer", .macs = conv_macs, .run = run_first_layer};

/* dy = the adjoint of what was normalised, of the strip at hand; what the ReLU stops is zero. */
static void unpool(const strip *s, const mn_operation *operation, const mn_kernels *k,
                   const mn_real *layer, const mn_real *dy)
{
    const uint8_t *index = (const uint8_t *)(layer + pooled_of(s->conv));
    k->max_pool_scatter(s->part.n, s->part.out_height, s->part.out_width, s->part.c_out,
                        dy + s->pooled, index + s->pooled,
                        operation->node.relu ? layer + s->pooled : NULL, s->dy);
}

/* in: pixels, w, place, stats, layer, dy */
static void run_first_sums(const mn_operation *operation, const mn_kernels *k,
                           const mn_real *const *in, mn_real *out)
{
    const mn_conv *conv = &operation->node.conv;
    strip s = first_strip(conv, in[2]);
    for (; next_strip(&s, k, in[0], in[1]); step(&s)) {
        unpool(&s, operation, k, in[4], in[5]);
        k->bn_add_sums(rows_of(&s), conv->c_out, s.x, in[3], s.dy, s.doubles);
    }
    for (size_t j = 0; j < 2 * (size_t)conv->c_out; j++)
        out[j] = (mn_real)s.doubles[j];
}

const mn_op_row mn_op_first_sums = {
    .name = "first layer's sums", .macs = conv_macs, .run = run_first_sums};

/* in: pixels, w, place, stats, layer, dy, gamma, sums */
static void run_first_weights(const mn_operation *operation, const mn_kernels *k,
                              const mn_real *const *in, mn_real *out)
{
    const mn_conv *conv = &operation->node.conv;
    const size_t image = (size_t)conv->height * conv->width * conv->c_in;
    const size_t all_rows = (size_t)conv->n * conv->out_height * conv->out_width;
    strip s = first_strip(conv, in[2]);
    for (; next_strip(&s, k, in[0], in[1]); step(&s)) {
        unpool(&s, operation, k, in[4], in[5]);
        k->bn_backward(rows_of(&s), all_rows, conv->c_out, false, s.x, in[3], in[6], NULL, s.dy,
                       in[7], s.x);
        k->conv_backward_weights(&s.part, in[0] + s.image * image, s.x, out,
                                 operation->accumulate || s.image > 0);
    }
}

const mn_op_row mn_op_first_weights = {
    .name = "first layer's weights", .macs = two_convs, .run = run_first_weights};
