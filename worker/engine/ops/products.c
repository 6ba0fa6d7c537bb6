/* Matrix products, and what is added to their columns. */
#include "worker/engine/ops/ops.h"

/* Does node i count towards the stack of its in[1]? */
static bool is_stacked(const mn_graph *graph, mn_node i, const mn_stack *stacks)
{
    const mn_graph_node *node = &graph->nodes[i];
    const mn_stack *stack = &stacks[node->in[1]];
    return node->op == MN_OP_GEMM && !node->trans_a && !node->trans_b &&
           (stack->n_products == 0 || stack->rows == mn_node_rows(graph, node->in[0]));
}

void mn_stacks_count(const mn_graph *graph, uint32_t n, mn_stack *stacks)
{
    for (uint32_t i = 0; i < n; i++)
        stacks[i].a = stacks[i].dy = MN_NONE;
    for (uint32_t i = 0; i < n; i++)
        if (graph->nodes[i].op == MN_OP_GEMM && is_stacked(graph, (mn_node)i, stacks)) {
            mn_stack *stack = &stacks[graph->nodes[i].in[1]];
            stack->rows = mn_node_rows(graph, graph->nodes[i].in[0]);
            stack->left = ++stack->n_products;
        }
}

/* Is the right factor of node i one that so many products read that stacking pays? */
static bool is_read_often(const mn_adjoints *adjoints, mn_node i)
{
    const mn_stack *stacks = adjoints->stacks;
    return stacks != NULL && is_stacked(adjoints->graph, i, stacks) &&
           stacks[adjoints->graph->nodes[i].in[1]].n_products >= MN_STACK_FROM;
}

/* Rows of a matrix, a view of whatever extent it has. */
static mn_node as_matrix(mn_graph *graph, mn_node a, uint32_t rows)
{
    const mn_extent extent = mn_node_extent(graph, a);
    const uint32_t c = (uint32_t)(mn_extent_count(extent) / rows);
    return extent.c == c ? a : mn_graph_reshape(graph, a, mn_matrix(rows, c));
}

static void stack_product(mn_adjoints *adjoints, const mn_graph_node *node, mn_node dy)
{
    mn_stack *stack = &adjoints->stacks[node->in[1]];
    const uint32_t all = stack->n_products * stack->rows, first = --stack->left * stack->rows;
    mn_graph *graph = adjoints->graph;
    stack->a = mn_graph_place_rows(graph, as_matrix(graph, node->in[0], stack->rows), first, all,
                                   stack->a);
    stack->dy =
        mn_graph_place_rows(graph, as_matrix(graph, dy, stack->rows), first, all, stack->dy);
}

void mn_stack_finish(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    mn_stack *stack = adjoints->stacks == NULL ? NULL : &adjoints->stacks[i];
    if (stack == NULL || stack->dy == MN_NONE)
        return;
    mn_give(
        adjoints, i,
        mn_node_gemm(graph, true, false, stack->a, stack->dy, MN_NONE, mn_node_extent(graph, i)));
    stack->dy = MN_NONE;
}

/* y = op(a) op(b) + plus, where op transposes or not; blocks of rows for batches. */
static void pull_product(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i]; /* a copy: appending moves the array */
    const mn_node a = node.in[0], b = node.in[1], dy = adjoints->of[i];
    mn_graph_node share = mn_node_blank(node.op, node.extent);
    share.times = node.times;
    if (adjoints->wanted[a] && is_read_often(adjoints, i)) {
        share.extent = mn_node_extent(graph, a);
        share.in[0] = dy;
        share.in[1] = mn_node_transpose(graph, b, 1);
        mn_give(adjoints, a, mn_node_append(graph, share));
    } else if (adjoints->wanted[a]) { /* da = dy op(b)', or its transpose, op(b) dy' */
        share.extent = mn_node_extent(graph, a);
        share.in[0] = node.trans_a ? b : dy;
        share.in[1] = node.trans_a ? dy : b;
        share.trans_a = node.trans_a ? node.trans_b : false;
        share.trans_b = node.trans_a ? true : !node.trans_b;
        mn_give(adjoints, a, mn_node_append(graph, share));
    }
    if (adjoints->wanted[b] && is_read_often(adjoints, i)) {
        stack_product(adjoints, &node, dy);
    } else if (adjoints->wanted[b]) { /* db = op(a)' dy, or its transpose, dy' op(a) */
        share.extent = mn_node_extent(graph, b);
        share.in[0] = node.trans_b ? dy : a;
        share.in[1] = node.trans_b ? a : dy;
        share.trans_a = node.trans_b ? true : !node.trans_a;
        share.trans_b = node.trans_b ? node.trans_a : false;
        mn_give(adjoints, b, mn_node_append(graph, share));
    }
    if (node.plus != MN_NONE && adjoints->wanted[node.plus])
        mn_give(adjoints, node.plus, dy);
}

static mn_node push_product(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    return mn_rule_product(graph, i, t[0], t[1], tplus);
}

/* The shape is read off the results: op(A) is m x k, of each block. */
static double product_macs(const mn_graph *graph, const mn_graph_node *node)
{
    return (double)mn_extent_count(node->extent) *
           (double)mn_extent_count(graph->nodes[node->in[MN_GEMM_A]].extent) /
           (double)node->extent.n;
}

static void run_gemm(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                     mn_real *out)
{
    const mn_product *shape = &operation->product;
    mn_product product = {.trans_a = shape->trans_a,
                          .trans_b = shape->trans_b,
                          .accumulate = shape->accumulate,
                          .relu = shape->relu,
                          .factor = shape->factor,
                          .m = shape->m,
                          .n = shape->n,
                          .k = shape->k,
                          .a = in[MN_GEMM_A],
                          .b = in[MN_GEMM_B],
                          .a2 = in[MN_GEMM_A2],
                          .b2 = in[MN_GEMM_B2],
                          .bias = in[MN_GEMM_BIAS],
                          .mask = in[MN_GEMM_MASK],
                          .base = in[MN_GEMM_BASE]};
    k->gemm(&product, out);
}

const mn_op_row mn_op_gemm = {.name = "gemm",
                              .pull_back = pull_product,
                              .push_forward = push_product,
                              .macs = product_macs,
                              .run = run_gemm};

/* Blocks of rows, each turned. */
static void pull_transpose(mn_adjoints *adjoints, mn_node i)
{
    const mn_graph_node node = adjoints->graph->nodes[i];
    if (adjoints->wanted[node.in[0]])
        mn_give(adjoints, node.in[0],
                mn_node_transpose(adjoints->graph, adjoints->of[i], node.times));
}

static mn_node push_transpose(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return mn_rule_linear(graph, i, t[0]);
}

static void run_transpose(const mn_operation *operation, const mn_kernels *k,
                          const mn_real *const *in, mn_real *out)
{
    const size_t blocks = operation->node.times;
    k->transpose(blocks, operation->rows / blocks, operation->c, in[0], out);
}

const mn_op_row mn_op_transpose = {.name = "transpose weights",
                                   .pull_back = pull_transpose,
                                   .push_forward = push_transpose,
                                   .run = run_transpose};

static void run_batched(const mn_operation *operation, const mn_kernels *k,
                        const mn_real *const *in, mn_real *out)
{
    mn_product product = operation->product; /* of one block */
    product.a = in[0];
    product.b = in[1];
    for (uint32_t i = 0; i < operation->node.times; i++) {
        k->gemm(&product, out);
        product.a += product.m * product.k;
        product.b += product.n * product.k;
        out += product.m * product.n;
    }
}

const mn_op_row mn_op_batched_gemm = {.name = "batched gemm",
                                      .pull_back = pull_product,
                                      .push_forward = push_product,
                                      .macs = product_macs,
                                      .run = run_batched};

static void pull_bias(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    const mn_node a = node.in[0], b = node.in[1], dy = adjoints->of[i];
    if (adjoints->wanted[a])
        mn_give(adjoints, a, dy);
    if (adjoints->wanted[b])
        mn_give(adjoints, b, mn_rule_column_sums(graph, dy, mn_node_extent(graph, b)));
}

static mn_node push_bias(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    if (t[1] == MN_NONE)
        return t[0];
    return mn_graph_bias(graph, t[0] == MN_NONE ? mn_rule_zero_like(graph, i) : t[0], t[1]);
}

static void run_bias(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                     mn_real *out)
{
    k->bias_add(operation->rows, operation->c, in[0], in[1], out);
}

const mn_op_row mn_op_bias = {.name = "bias",
                              .overwrites = 1,
                              .pull_back = pull_bias,
                              .push_forward = push_bias,
                              .run = run_bias};

static void pull_column_sums(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_node a = graph->nodes[i].in[0];
    mn_node zero = mn_rule_zero_like(graph, a);
    mn_give(adjoints, a, mn_graph_bias(graph, zero, adjoints->of[i]));
}

static mn_node push_column_sums(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return mn_rule_linear(graph, i, t[0]);
}

static void run_column_sums(const mn_operation *operation, const mn_kernels *k,
                            const mn_real *const *in, mn_real *out)
{
    k->column_sums(operation->rows, operation->c, in[0], (mn_real)operation->node.factor,
                   in[MN_SUMS_BASE], out);
}

const mn_op_row mn_op_column_sums = {.name = "column sums",
                                     .pull_back = pull_column_sums,
                                     .push_forward = push_column_sums,
                                     .run = run_column_sums};
