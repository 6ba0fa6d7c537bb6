/* Inputs, constants, views, and parts of arrays that are put together and taken apart. */
#include "worker/engine/ops/ops.h"

#include <string.h>

static void pull_nothing(mn_adjoints *adjoints, mn_node i)
{
    (void)adjoints;
    (void)i;
}

static mn_node push_nothing(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)graph;
    (void)i;
    (void)t;
    (void)tplus;
    return MN_NONE;
}

static mn_node push_linear(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    (void)tplus;
    return mn_rule_linear(graph, i, t[0]);
}

static void run_nothing(const mn_operation *operation, const mn_kernels *k,
                        const mn_real *const *in, mn_real *out)
{
    (void)operation;
    (void)k;
    (void)in;
    (void)out;
}

const mn_op_row mn_op_input = {.name = "input",
                               .is_free = true,
                               .pull_back = pull_nothing,
                               .push_forward = push_nothing,
                               .run = run_nothing};

static void run_zero(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                     mn_real *out)
{
    (void)k;
    (void)in;
    memset(out, 0, operation->count * sizeof *out);
}

const mn_op_row mn_op_zero = {.name = "zero", .is_constant = true, .run = run_zero};

static void run_constant(const mn_operation *operation, const mn_kernels *k,
                         const mn_real *const *in, mn_real *out)
{
    (void)in;
    k->fill(operation->count, (mn_real)operation->node.factor, out);
}

const mn_op_row mn_op_constant = {.name = "constant", .is_constant = true, .run = run_constant};

/* Of a whole, the adjoint is a view as well; of a part, it is placed into what is there so far. */
static void pull_view(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    const mn_extent extent = mn_node_extent(graph, node.in[0]);
    mn_node dy = adjoints->of[i];
    if (mn_extent_count(extent) == mn_extent_count(node.extent)) {
        mn_give(adjoints, node.in[0], mn_rule_view(graph, dy, 0, extent));
        return;
    }
    mn_graph_node place = mn_node_blank(MN_OP_PLACE, extent);
    place.in[0] = dy;
    place.offset = node.offset;
    place.plus = adjoints->of[node.in[0]];
    adjoints->of[node.in[0]] = mn_node_append(graph, place);
}

const mn_op_row mn_op_view = {.name = "view",
                              .is_free = true,
                              .pull_back = pull_view,
                              .push_forward = push_linear,
                              .run = run_nothing};

const mn_op_row mn_op_stop = {
    .name = "stop", .is_free = true, .is_constant = true, .run = run_nothing};

static void pull_place(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    mn_node dy = adjoints->of[i];
    if (adjoints->wanted[node.in[0]])
        mn_give(adjoints, node.in[0],
                mn_rule_view(graph, dy, node.offset, mn_node_extent(graph, node.in[0])));
    if (node.plus != MN_NONE && adjoints->wanted[node.plus])
        mn_give(adjoints, node.plus, dy);
}

static mn_node push_place(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    if (t[0] == MN_NONE)
        return tplus;
    mn_graph_node node = graph->nodes[i];
    node.in[0] = t[0];
    node.plus = tplus;
    return mn_node_append(graph, node);
}

static void run_place(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                      mn_real *out)
{
    const size_t n = operation->rows * operation->c; /* of in[0] */
    mn_real *to = out + operation->node.offset;
    if (operation->accumulate) {
        k->add(n, in[0], to, to);
        return;
    }
    memset(out, 0, operation->node.offset * sizeof *out);
    memcpy(to, in[0], n * sizeof *out);
    memset(to + n, 0, (operation->count - operation->node.offset - n) * sizeof *out);
}

const mn_op_row mn_op_place = {
    .name = "place", .pull_back = pull_place, .push_forward = push_place, .run = run_place};

/* As for a view: its adjoint goes into what is there so far. */
static void pull_columns(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    mn_graph_node place = mn_node_blank(MN_OP_PLACE_COLUMNS, mn_node_extent(graph, node.in[0]));
    place.in[0] = adjoints->of[i];
    place.offset = node.offset;
    place.plus = adjoints->of[node.in[0]];
    adjoints->of[node.in[0]] = mn_node_append(graph, place);
}

static void run_columns(const mn_operation *operation, const mn_kernels *k,
                        const mn_real *const *in, mn_real *out)
{
    k->take_columns(operation->rows, operation->c, operation->node.offset, operation->node.extent.c,
                    in[0], out);
}

const mn_op_row mn_op_columns = {
    .name = "columns", .pull_back = pull_columns, .push_forward = push_linear, .run = run_columns};

static void pull_place_columns(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    mn_node dy = adjoints->of[i];
    if (adjoints->wanted[node.in[0]]) {
        mn_graph_node take = mn_node_blank(MN_OP_COLUMNS, mn_node_extent(graph, node.in[0]));
        take.in[0] = dy;
        take.offset = node.offset;
        mn_give(adjoints, node.in[0], mn_node_append(graph, take));
    }
    if (node.plus != MN_NONE && adjoints->wanted[node.plus])
        mn_give(adjoints, node.plus, dy);
}

static void run_place_columns(const mn_operation *operation, const mn_kernels *k,
                              const mn_real *const *in, mn_real *out)
{
    if (!operation->accumulate)
        memset(out, 0, operation->count * sizeof *out);
    k->put_columns(operation->rows, operation->node.extent.c, operation->node.offset, operation->c,
                   in[0], operation->accumulate, out);
}

const mn_op_row mn_op_place_columns = {.name = "place columns",
                                       .pull_back = pull_place_columns,
                                       .push_forward = push_place,
                                       .run = run_place_columns};

/* Repetition and its reverse are each other's adjoints. */
static void pull_reverse(mn_adjoints *adjoints, mn_node i, mn_op reverse)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    mn_graph_node back = mn_node_blank(reverse, mn_node_extent(graph, node.in[0]));
    back.in[0] = adjoints->of[i];
    back.times = node.times;
    mn_give(adjoints, node.in[0], mn_node_append(graph, back));
}

static void pull_repeat(mn_adjoints *adjoints, mn_node i)
{
    pull_reverse(adjoints, i, MN_OP_SUM_GROUPS);
}

static void run_repeat(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                       mn_real *out)
{
    k->repeat_rows(operation->rows, operation->node.times, operation->c, in[0], out);
}

const mn_op_row mn_op_repeat = {.name = "repeat rows",
                                .pull_back = pull_repeat,
                                .push_forward = push_linear,
                                .run = run_repeat};

static void pull_sum_groups(mn_adjoints *adjoints, mn_node i)
{
    pull_reverse(adjoints, i, MN_OP_REPEAT);
}

static void run_sum_groups(const mn_operation *operation, const mn_kernels *k,
                           const mn_real *const *in, mn_real *out)
{
    k->sum_groups(operation->rows / operation->node.times, operation->node.times, operation->c,
                  in[0], out);
}

const mn_op_row mn_op_sum_groups = {.name = "sum groups",
                                    .pull_back = pull_sum_groups,
                                    .push_forward = push_linear,
                                    .run = run_sum_groups};

static void pull_tile(mn_adjoints *adjoints, mn_node i)
{
    pull_reverse(adjoints, i, MN_OP_SUM_TILES);
}

static void run_tile(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                     mn_real *out)
{
    k->tile_rows(operation->rows * operation->c, operation->node.times, in[0], out);
}

const mn_op_row mn_op_tile = {
    .name = "tile rows", .pull_back = pull_tile, .push_forward = push_linear, .run = run_tile};

static void pull_sum_tiles(mn_adjoints *adjoints, mn_node i)
{
    pull_reverse(adjoints, i, MN_OP_TILE);
}

static void run_sum_tiles(const mn_operation *operation, const mn_kernels *k,
                          const mn_real *const *in, mn_real *out)
{
    k->sum_tiles(operation->count, operation->node.times, in[0], out);
}

const mn_op_row mn_op_sum_tiles = {.name = "sum tiles",
                                   .pull_back = pull_sum_tiles,
                                   .push_forward = push_linear,
                                   .run = run_sum_tiles};

/* [a, b, c] -> [b, a, c] is its own reverse, with a and b swapped. */
static void pull_swap(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    const mn_extent to = node.extent;
    mn_graph_node back = mn_node_blank(MN_OP_SWAP, (mn_extent){to.n, to.w, to.h, to.c});
    back.in[0] = adjoints->of[i];
    mn_give(adjoints, node.in[0],
            mn_rule_view(graph, mn_node_append(graph, back), 0, mn_node_extent(graph, node.in[0])));
}

/* By whichever takes fewer calls: all of one b at a time, or all of one a. */
static void run_swap(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                     mn_real *out)
{
    const mn_extent to = operation->node.extent;
    const size_t a = to.w, b = to.h, c = to.c;
    const mn_real *from = in[0];
    for (size_t block = 0; block < to.n; block++, from += a * b * c, out += a * b * c)
        if (b <= a)
            for (size_t j = 0; j < b; j++)
                k->take_columns(a, b * c, j * c, c, from, out + j * a * c);
        else
            for (size_t i = 0; i < a; i++)
                k->put_columns(b, a * c, i * c, c, from + i * b * c, false, out);
}

const mn_op_row mn_op_swap = {
    .name = "swap axes", .pull_back = pull_swap, .push_forward = push_linear, .run = run_swap};
