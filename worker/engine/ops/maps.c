/* What goes element by element. */
#include "worker/engine/ops/ops.h"

#define RUN(name, call)                                                                            \
    static void run_##name(const mn_operation *operation, const mn_kernels *k,                     \
                           const mn_real *const *in, mn_real *out)                                 \
    {                                                                                              \
        const size_t n = operation->count;                                                         \
        const mn_real factor = (mn_real)operation->node.factor;                                    \
        (void)factor;                                                                              \
        call;                                                                                      \
    }

static void pull_add(mn_adjoints *adjoints, mn_node i)
{
    const mn_graph_node node = adjoints->graph->nodes[i];
    for (int k = 0; k < 2; k++)
        if (adjoints->wanted[node.in[k]])
            mn_give(adjoints, node.in[k], adjoints->of[i]);
}

static mn_node push_add(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)i;
    (void)tplus;
    return mn_rule_add(graph, t[0], t[1]);
}

RUN(add, k->add(n, in[0], in[1], out))
const mn_op_row mn_op_add = {.name = "add",
                             .overwrites = 3,
                             .pull_back = pull_add,
                             .push_forward = push_add,
                             .run = run_add};

static void pull_scale(mn_adjoints *adjoints, mn_node i)
{
    const mn_graph_node node = adjoints->graph->nodes[i];
    mn_give(adjoints, node.in[0], mn_rule_scale(adjoints->graph, node.factor, adjoints->of[i]));
}

static mn_node push_scale(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return mn_rule_linear(graph, i, t[0]);
}

RUN(scale, k->scale(n, factor, in[0], out))
const mn_op_row mn_op_scale = {.name = "scale",
                               .overwrites = 1,
                               .pull_back = pull_scale,
                               .push_forward = push_scale,
                               .run = run_scale};

static void pull_scale_add(mn_adjoints *adjoints, mn_node i)
{
    const mn_graph_node node = adjoints->graph->nodes[i];
    if (adjoints->wanted[node.in[0]])
        mn_give(adjoints, node.in[0], mn_rule_scale(adjoints->graph, node.factor, adjoints->of[i]));
    if (adjoints->wanted[node.in[1]])
        mn_give(adjoints, node.in[1], adjoints->of[i]);
}

static mn_node push_scale_add(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    const double factor = graph->nodes[i].factor;
    (void)tplus;
    if (t[0] == MN_NONE)
        return t[1];
    return t[1] == MN_NONE ? mn_rule_scale(graph, factor, t[0])
                           : mn_graph_scale_add(graph, factor, t[0], t[1]);
}

RUN(scale_add, k->scale_add(n, factor, in[0], in[1], out))
const mn_op_row mn_op_scale_add = {.name = "scale and add",
                                   .overwrites = 3,
                                   .pull_back = pull_scale_add,
                                   .push_forward = push_scale_add,
                                   .run = run_scale_add};

static void pull_multiply(mn_adjoints *adjoints, mn_node i)
{
    const mn_graph_node node = adjoints->graph->nodes[i];
    for (int k = 0; k < 2; k++)
        if (adjoints->wanted[node.in[k]])
            mn_give(adjoints, node.in[k],
                    mn_rule_multiply(adjoints->graph, adjoints->of[i], node.in[1 - k]));
}

static mn_node push_multiply(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return mn_rule_bilinear(graph, i, t[0], t[1]);
}

RUN(multiply, k->multiply(n, in[0], in[1], out))
const mn_op_row mn_op_multiply = {.name = "multiply",
                                  .overwrites = 3,
                                  .pull_back = pull_multiply,
                                  .push_forward = push_multiply,
                                  .run = run_multiply};

/* y > 0 is the mask; its own derivative is zero almost everywhere. */
static void pull_relu(mn_adjoints *adjoints, mn_node i)
{
    mn_give(adjoints, adjoints->graph->nodes[i].in[0],
            mn_node_binary(adjoints->graph, MN_OP_MASK, i, adjoints->of[i]));
}

static mn_node push_relu(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return mn_node_binary(graph, MN_OP_MASK, i, t[0]);
}

RUN(relu, k->relu(n, in[0], out))
const mn_op_row mn_op_relu = {.name = "relu",
                              .overwrites = 1,
                              .pull_back = pull_relu,
                              .push_forward = push_relu,
                              .run = run_relu};

static void pull_mask(mn_adjoints *adjoints, mn_node i)
{
    const mn_graph_node node = adjoints->graph->nodes[i];
    if (adjoints->wanted[node.in[1]])
        mn_give(adjoints, node.in[1],
                mn_node_binary(adjoints->graph, MN_OP_MASK, node.in[0], adjoints->of[i]));
}

static mn_node push_mask(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return t[1] == MN_NONE ? MN_NONE
                           : mn_node_binary(graph, MN_OP_MASK, graph->nodes[i].in[0], t[1]);
}

RUN(mask, k->mask(n, in[0], in[1], out))
const mn_op_row mn_op_mask = {.name = "mask",
                              .overwrites = 3,
                              .pull_back = pull_mask,
                              .push_forward = push_mask,
                              .run = run_mask};

static void pull_tanh(mn_adjoints *adjoints, mn_node i)
{
    mn_give(adjoints, adjoints->graph->nodes[i].in[0],
            mn_node_binary(adjoints->graph, MN_OP_TANH_BACKWARD, i, adjoints->of[i]));
}

static mn_node push_tanh(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return mn_node_binary(graph, MN_OP_TANH_BACKWARD, i, t[0]);
}

RUN(tanh, k->tanh(n, in[0], out))
const mn_op_row mn_op_tanh = {.name = "tanh",
                              .overwrites = 1,
                              .pull_back = pull_tanh,
                              .push_forward = push_tanh,
                              .run = run_tanh};

/* -2 y a b */
static mn_node curve(mn_graph *graph, mn_node y, mn_node a, mn_node b)
{
    mn_graph_node node = mn_node_blank(MN_OP_TANH_CURVE, mn_node_extent(graph, y));
    node.in[0] = y;
    node.in[1] = a;
    node.in[2] = b;
    return mn_node_append(graph, node);
}

/* in: y, g; (1 - y y) g */
static void pull_tanh_backward(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_node y = graph->nodes[i].in[0], g = graph->nodes[i].in[1], dy = adjoints->of[i];
    if (adjoints->wanted[g])
        mn_give(adjoints, g, mn_node_binary(graph, MN_OP_TANH_BACKWARD, y, dy));
    if (adjoints->wanted[y])
        mn_give(adjoints, y, curve(graph, y, dy, g));
}

static mn_node push_tanh_backward(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    const mn_node y = graph->nodes[i].in[0], g = graph->nodes[i].in[1];
    mn_node flat = MN_NONE, bend = MN_NONE;
    (void)tplus;
    if (t[1] != MN_NONE)
        flat = mn_node_binary(graph, MN_OP_TANH_BACKWARD, y, t[1]);
    if (t[0] != MN_NONE)
        bend = curve(graph, y, t[0], g);
    return mn_rule_add(graph, flat, bend);
}

RUN(tanh_backward, k->tanh_backward(n, in[0], in[1], out))
const mn_op_row mn_op_tanh_backward = {.name = "tanh backward",
                                       .overwrites = 3,
                                       .pull_back = pull_tanh_backward,
                                       .push_forward = push_tanh_backward,
                                       .run = run_tanh_backward};

/* -2 times the product of all but in[k], and of g. */
static mn_node curve_share(mn_graph *graph, const mn_graph_node *node, int k, mn_node g)
{
    mn_node others = mn_rule_multiply(graph, node->in[k == 0 ? 1 : 0], node->in[k == 2 ? 1 : 2]);
    return mn_rule_scale(graph, -2, mn_rule_multiply(graph, others, g));
}

static void pull_tanh_curve(mn_adjoints *adjoints, mn_node i)
{
    const mn_graph_node node = adjoints->graph->nodes[i];
    for (int k = 0; k < 3; k++)
        if (adjoints->wanted[node.in[k]])
            mn_give(adjoints, node.in[k], curve_share(adjoints->graph, &node, k, adjoints->of[i]));
}

static mn_node push_tanh_curve(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    const mn_graph_node node = graph->nodes[i];
    mn_node sum = MN_NONE;
    (void)tplus;
    for (int k = 0; k < 3; k++)
        if (t[k] != MN_NONE)
            sum = mn_rule_add(graph, sum, curve_share(graph, &node, k, t[k]));
    return sum;
}

RUN(tanh_curve, k->tanh_curve(n, in[0], in[1], in[2], out))
const mn_op_row mn_op_tanh_curve = {.name = "tanh curve",
                                    .pull_back = pull_tanh_curve,
                                    .push_forward = push_tanh_curve,
                                    .run = run_tanh_curve};

/* Functions of one number, y = f(x): what f'(x) makes of g, in terms of x and y. It serves in both
 * directions. */
typedef mn_node derivative(mn_graph *graph, mn_node x, mn_node y, mn_node g);

#define FUNCTION(f, call)                                                                          \
    static derivative of_##f;                                                                      \
    static void pull_##f(mn_adjoints *adjoints, mn_node i)                                         \
    {                                                                                              \
        const mn_node x = adjoints->graph->nodes[i].in[0];                                         \
        mn_give(adjoints, x, of_##f(adjoints->graph, x, i, adjoints->of[i]));                      \
    }                                                                                              \
    static mn_node push_##f(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)           \
    {                                                                                              \
        (void)tplus;                                                                               \
        return of_##f(graph, graph->nodes[i].in[0], i, t[0]);                                      \
    }                                                                                              \
    RUN(f, call)                                                                                   \
    const mn_op_row mn_op_##f = {                                                                  \
        .name = #f, .pull_back = pull_##f, .push_forward = push_##f, .run = run_##f}

FUNCTION(sigmoid, k->sigmoid(n, in[0], out));
FUNCTION(exp, k->exponential(n, in[0], out));
FUNCTION(log, k->logarithm(n, in[0], out));
FUNCTION(softplus, k->softplus(n, in[0], out));
FUNCTION(reciprocal, k->reciprocal(n, in[0], out));
FUNCTION(root, k->root(n, in[0], out));

static mn_node of_sigmoid(mn_graph *graph, mn_node x, mn_node y, mn_node g) /* y g - y (y g) */
{
    mn_node part = mn_rule_multiply(graph, g, y);
    (void)x;
    return mn_rule_subtract(graph, part, mn_rule_multiply(graph, part, y));
}

static mn_node of_exp(mn_graph *graph, mn_node x, mn_node y, mn_node g)
{
    (void)x;
    return mn_rule_multiply(graph, g, y);
}

static mn_node of_log(mn_graph *graph, mn_node x, mn_node y, mn_node g)
{
    (void)y;
    return mn_rule_multiply(graph, g, mn_graph_reciprocal(graph, x));
}

static mn_node of_softplus(mn_graph *graph, mn_node x, mn_node y, mn_node g)
{
    (void)y;
    return mn_rule_multiply(graph, g, mn_graph_sigmoid(graph, x));
}

static mn_node of_reciprocal(mn_graph *graph, mn_node x, mn_node y, mn_node g) /* - y y g */
{
    (void)x;
    return mn_rule_scale(graph, -1, mn_rule_multiply(graph, mn_rule_multiply(graph, y, y), g));
}

static mn_node of_root(mn_graph *graph, mn_node x, mn_node y, mn_node g) /* g / (2 y) */
{
    (void)x;
    return mn_rule_scale(graph, 0.5, mn_rule_multiply(graph, g, mn_graph_reciprocal(graph, y)));
}
