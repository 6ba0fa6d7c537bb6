/* Linear equations with a symmetric positive definite matrix, as ridge regression has them. Sums are
 * made in double, each in one order, so the bits are those of any machine. */
#include "worker/engine/ops/ops.h"

#include <math.h>

#define STRIP 64u /* right sides that are solved for at once */

/* The lower triangular L with L L' = (A + A') / 2 + ridge 1, row by row; zero above the diagonal. */
static void run_factor(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                       mn_real *out)
{
    const size_t n = operation->c;
    const mn_real *a = in[0];
    bool definite = true;
    (void)k;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = ((double)a[i * n + j] + (double)a[j * n + i]) / 2;
            for (size_t p = 0; p < j && j <= i; p++)
                sum -= (double)out[i * n + p] * (double)out[j * n + p];
            if (i == j) {
                sum += operation->node.factor;
                definite = definite && sum > 0;
                out[i * n + i] = (mn_real)sqrt(sum > 0 ? sum : 1);
            } else {
                out[i * n + j] = j > i ? 0 : (mn_real)(sum / (double)out[j * n + j]);
            }
        }
    for (size_t i = 0; i < n * n && !definite; i++)
        out[i] = (mn_real)NAN;
}

static double factor_macs(const mn_graph *graph, const mn_graph_node *node)
{
    const double n = node->extent.c;
    (void)graph;
    return n * n * n / 6;
}

/* What moves it is told by the solution, whose rules know of the matrix alone. */
const mn_op_row mn_op_factor = {
    .name = "factor", .is_constant = true, .run = run_factor, .macs = factor_macs};

/* A strip of x = L'^-1 L^-1 b: forwards down the rows of L, backwards up its columns. */
static void solve_strip(size_t n, size_t c, size_t width, const mn_real *l, const mn_real *b,
                        mn_real *x)
{
    for (size_t i = 0; i < n; i++) {
        double sums[STRIP];
        for (size_t s = 0; s < width; s++)
            sums[s] = (double)b[i * c + s];
        for (size_t p = 0; p < i; p++)
            for (size_t s = 0; s < width; s++)
                sums[s] -= (double)l[i * n + p] * (double)x[p * c + s];
        for (size_t s = 0; s < width; s++)
            x[i * c + s] = (mn_real)(sums[s] / (double)l[i * n + i]);
    }
    for (size_t i = n; i-- > 0;) {
        double sums[STRIP];
        for (size_t s = 0; s < width; s++)
            sums[s] = (double)x[i * c + s];
        for (size_t p = i + 1; p < n; p++)
            for (size_t s = 0; s < width; s++)
                sums[s] -= (double)l[p * n + i] * (double)x[p * c + s];
        for (size_t s = 0; s < width; s++)
            x[i * c + s] = (mn_real)(sums[s] / (double)l[i * n + i]);
    }
}

static void run_solve(const mn_operation *operation, const mn_kernels *k, const mn_real *const *in,
                      mn_real *out)
{
    const size_t n = operation->c, c = operation->node.extent.c;
    (void)k;
    for (size_t first = 0; first < c; first += STRIP)
        solve_strip(n, c, c - first < STRIP ? c - first : STRIP, in[2], in[1] + first, out + first);
}

static mn_node solve_like(mn_graph *graph, const mn_graph_node *node, mn_node b)
{
    return mn_graph_solve(graph, node->in[0], node->factor, b);
}

/* (M + M') / 2 */
static mn_node symmetric(mn_graph *graph, mn_node m)
{
    return mn_rule_scale(graph, 0.5, mn_rule_add(graph, m, mn_node_transpose(graph, m, 1)));
}

/* x = A^-1 b: b gets A^-1 dx, and A what is symmetric of -(A^-1 dx) x'. */
static void pull_solve(mn_adjoints *adjoints, mn_node i)
{
    mn_graph *graph = adjoints->graph;
    const mn_graph_node node = graph->nodes[i];
    const mn_node db = solve_like(graph, &node, adjoints->of[i]);
    if (adjoints->wanted[node.in[1]])
        mn_give(adjoints, node.in[1], db);
    if (adjoints->wanted[node.in[0]])
        mn_give(adjoints, node.in[0],
                symmetric(graph,
                          mn_rule_scale(graph, -1, mn_graph_product(graph, db, i, false, true))));
}

/* A^-1 (tb - ta x) */
static mn_node push_solve(mn_graph *graph, mn_node i, const mn_node *t, mn_node tplus)
{
    const mn_graph_node node = graph->nodes[i];
    mn_node right = t[1];
    (void)tplus;
    if (t[0] != MN_NONE)
        right = mn_rule_subtract(graph, right,
                                 mn_graph_product(graph, symmetric(graph, t[0]), i, false, false));
    return right == MN_NONE ? MN_NONE : solve_like(graph, &node, right);
}

static double solve_macs(const mn_graph *graph, const mn_graph_node *node)
{
    (void)graph;
    return (double)node->extent.n * node->extent.n * node->extent.c;
}

const mn_op_row mn_op_solve = {.name = "solve",
                               .pull_back = pull_solve,
                               .push_forward = push_solve,
                               .run = run_solve,
                               .macs = solve_macs};
