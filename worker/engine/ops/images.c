/* Convolutions and pooling. */
#include "worker/engine/ops/ops.h"

static void pull_conv(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    const mn_node a = node.in[0], b = node.in[1], dy = adjoints->of[i];
    if (adjoints->wanted[a]) {
        mn_graph_node data = mn_node_blank(MN_OP_CONV_DATA, mn_node_extent(graph, a));
        data.in[0] = dy;
        data.in[1] = mn_node_transpose(graph, b, 9);
        data.conv = node.conv;
        mn_give(adjoints, a, mn_node_append(graph, data));
    }
    if (adjoints->wanted[b]) {
        mn_graph_node weights = mn_node_blank(MN_OP_CONV_WEIGHTS, mn_node_extent(graph, b));
        weights.in[0] = a;
        weights.in[1] = dy;
        weights.conv = node.conv;
        mn_give(adjoints, b, mn_node_append(graph, weights));
    }
}

static mn_node push_product(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    return mn_rule_product(graph, i, t[0], t[1], tplus);
}

static mn_node push_linear(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return mn_rule_linear(graph, i, t[0]);
}

static double conv_macs(const mn_graph *graph, const mn_graph_node *node)
{
    const mn_conv *conv = &node->conv;
    (void)graph;
    return 9.0 * conv->n * conv->out_height * conv->out_width * conv->c_in * conv->c_out;
}

static void run_conv(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                     mn_real *out)
{
    k->conv_forward(&operation->node.conv, in[0], in[1], out, operation->accumulate);
}

const mn_op_row mn_op_conv = {.name = "conv forward",
                              .pull_back = pull_conv,
                              .push_forward = push_product,
                              .macs = conv_macs,
                              .run = run_conv};

/* What a convolution's gradient is made of is differentiated forwards alone. */
static void run_conv_data(const mn_operation *operation, const mn_kernels *k,
                          const mn_real *const *in, mn_real *out)
{
    k->conv_backward_data(&operation->node.conv, in[0], in[1], out, operation->accumulate);
}

const mn_op_row mn_op_conv_data = {
    .name = "conv data", .push_forward = push_product, .macs = conv_macs, .run = run_conv_data};

static void run_conv_weights(const mn_operation *operation, const mn_kernels *k,
                             const mn_real *const *in, mn_real *out)
{
    k->conv_backward_weights(&operation->node.conv, in[0], in[1], out, operation->accumulate);
}

const mn_op_row mn_op_conv_weights = {.name = "conv weights",
                                      .push_forward = push_product,
                                      .macs = conv_macs,
                                      .run = run_conv_weights};

static void run_pool_index(const mn_operation *operation, const mn_kernels *k,
                           const mn_real *const *in, mn_real *out)
{
    const mn_extent image = operation->node.image;
    k->max_pool_index(image.n, image.h, image.w, image.c, in[0], (uint8_t *)out);
}

const mn_op_row mn_op_pool_index = {.name = "pool index",
                                    .is_constant = true, /* piecewise */
                                    .result = MN_RESULT_BYTES,
                                    .run = run_pool_index};

/* Linear in the numbers; which of four is a constant. */
static void pull_pool_gather(mn_adjoints *adjoints, mn_node i)
{
    const mn_graph_node node = adjoints->graph->nodes[i];
    mn_give(adjoints, node.in[0],
            mn_node_on_image(adjoints->graph, MN_OP_POOL_SCATTER, adjoints->of[i], node.in[1],
                             node.image, node.image));
}

static void run_pool_gather(const mn_operation *operation, const mn_kernels *k,
                            const mn_real *const *in, mn_real *out)
{
    const mn_extent image = operation->node.image;
    k->max_pool_gather(image.n, image.h, image.w, image.c, in[0], (const uint8_t *)in[1], out);
}

const mn_op_row mn_op_pool_gather = {.name = "pool gather",
                                     .pull_back = pull_pool_gather,
                                     .push_forward = push_linear,
                                     .run = run_pool_gather};

static void pull_pool_scatter(mn_adjoints *adjoints, mn_node i)
{
    const mn_graph_node node = adjoints->graph->nodes[i];
    mn_give(adjoints, node.in[0],
            mn_node_on_image(adjoints->graph, MN_OP_POOL_GATHER, adjoints->of[i], node.in[1],
                             node.image, mn_node_extent(adjoints->graph, node.in[0])));
}

static void run_pool_scatter(const mn_operation *operation, const mn_kernels *k,
                             const mn_real *const *in, mn_real *out)
{
    const mn_extent image = operation->node.image;
    k->max_pool_scatter(image.n, image.h, image.w, image.c, in[0], (const uint8_t *)in[1], in[2],
                        out);
}

const mn_op_row mn_op_pool_scatter = {.name = "pool scatter",
                                      .pull_back = pull_pool_scatter,
                                      .push_forward = push_linear,
                                      .run = run_pool_scatter};

static void pull_pixel(mn_adjoints *adjoints, mn_node i)
{
    const mn_graph_node node = adjoints->graph->nodes[i];
    mn_give(adjoints, node.in[0],
            mn_node_on_image(adjoints->graph,
                             node.op == MN_OP_PIXEL_MEAN ? MN_OP_PIXEL_SPREAD : MN_OP_PIXEL_MEAN,
                             adjoints->of[i], MN_NONE, node.image,
                             mn_node_extent(adjoints->graph, node.in[0])));
}

static void run_pixel_mean(const mn_operation *operation, const mn_kernels *k,
                           const mn_real *const *in, mn_real *out)
{
    const mn_extent image = operation->node.image;
    k->pixel_mean(image.n, (size_t)image.h * image.w, image.c, in[0], out);
}

const mn_op_row mn_op_pixel_mean = {.name = "pixel mean",
                                    .pull_back = pull_pixel,
                                    .push_forward = push_linear,
                                    .run = run_pixel_mean};

static void run_pixel_spread(const mn_operation *operation, const mn_kernels *k,
                             const mn_real *const *in, mn_real *out)
{
    const mn_extent image = operation->node.image;
    k->pixel_spread(image.n, (size_t)image.h * image.w, image.c, in[0], out);
}

const mn_op_row mn_op_pixel_spread = {.name = "pixel spread",
                                      .pull_back = pull_pixel,
                                      .push_forward = push_linear,
                                      .run = run_pixel_spread};
