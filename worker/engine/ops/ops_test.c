/* Every operation of the table: its value against a naive computation, and the gradient and the
 * Hessian-vector product of a loss that needs it against central differences. An operation without
 * an example does not compile. Then random graphs of them, and what is refused. */
#include "worker/engine/ops/ops.h"

#include "worker/engine/fusion.h"
#include "worker/engine/graph_bed.h"
#include <time.h>

enum { ROWS = 4, C = 3, N = ROWS * C, MOST = 64 };

static const mn_extent matrix = {ROWS, 1, 1, C};

/* An operation, used. Its arguments are arg(), the tanh of a tensor of theta, so that even what is
 * linear has curved tangents, and given(), numbers of the task. */
typedef struct example {
    mn_node (*build)(struct bed *bed); /* what is compared, at most MOST numbers; or the loss */
    /* The same from the arguments, in the order in which build asks for them, and the task's
     * numbers. NULL: the operation is of the gradient, or its kernels have a plain test. */
    void (*naive)(const double *const *a, const double *x, double *out);
    unsigned stopped; /* bit i: no derivative goes to tensor i, whatever the differences say */
    bool once;        /* it is differentiated backwards alone, and once */
    bool fused;       /* it is made of others by fusion.h, where nothing but gradients is wanted */
} example;

static mn_node arg(struct bed *bed, uint32_t rows, uint32_t c)
{
    return mn_graph_tanh(&bed->graph, tensor(bed, mn_matrix(rows, c)));
}

static mn_node positive(struct bed *bed, uint32_t rows, uint32_t c) /* 1 + arg^2 */
{
    mn_node a = arg(bed, rows, c);
    return mn_graph_add(&bed->graph, mn_graph_multiply(&bed->graph, a, a),
                        mn_graph_constant(&bed->graph, 1.0, mn_matrix(rows, c)));
}

static mn_node given(struct bed *bed, uint32_t rows, uint32_t c)
{
    return mn_graph_input(&bed->graph, MN_SLOT_X, 0, mn_matrix(rows, c));
}

#define GRAPH mn_graph *const graph = &bed->graph
#define BUILD(name) static mn_node build_##name(struct bed *bed)
#define NAIVE(name) static void naive_##name(const double *const *a, const double *x, double *out)
#define BUILT_AND_NAIVE(op)                                                                        \
    static const example example_##op = {.build = build_##op, .naive = naive_##op}
#define OF_A_DERIVATIVE(op, of) static const example example_##op = {.build = build_##of}
#define EACH(i, n) for (size_t i = 0; i < (n); i++)
#define UNUSED (void)a, (void)x

/* ---- shapes */

BUILD(input)
{
    return tensor(bed, matrix);
}
NAIVE(input)
{
    UNUSED;
    EACH(i, N)
    out[i] = atanh(a[0][i]);
}
BUILT_AND_NAIVE(input);

BUILD(zero)
{
    GRAPH;
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_add(graph, mn_graph_zero(graph, matrix), a);
}
NAIVE(zero)
{
    UNUSED;
    EACH(i, N)
    out[i] = a[0][i];
}
BUILT_AND_NAIVE(zero);

BUILD(constant)
{
    GRAPH;
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_multiply(graph, mn_graph_constant(graph, 1.5, matrix), a);
}
NAIVE(constant)
{
    UNUSED;
    EACH(i, N)
    out[i] = 1.5 * a[0][i];
}
BUILT_AND_NAIVE(constant);

/* Two rows of an argument, of theta itself and of the task, and all of it in another shape. */
BUILD(view)
{
    GRAPH;
    mn_node a = arg(bed, ROWS, C), raw = tensor(bed, matrix), x = given(bed, ROWS, C);
    mn_node sum = mn_graph_multiply(graph, mn_graph_rows(graph, a, 1, 2),
                                    mn_graph_rows(graph, mn_graph_reshape(graph, a, matrix), 2, 2));
    sum = mn_graph_multiply(graph, sum, mn_graph_rows(graph, raw, 1, 2));
    sum = mn_graph_add(graph, sum, mn_graph_rows(graph, x, 2, 2));
    return mn_graph_reshape(graph, sum, mn_matrix(C, 2));
}
NAIVE(view)
{
    EACH(i, 6)
    out[i] = a[0][C + i] * a[0][6 + i] * atanh(a[1][C + i]) + x[6 + i];
}
BUILT_AND_NAIVE(view);

BUILD(stop)
{
    GRAPH;
    mn_node a = arg(bed, ROWS, C), b = arg(bed, ROWS, C);
    return mn_graph_multiply(graph, mn_graph_stop(graph, a), b);
}
NAIVE(stop)
{
    UNUSED;
    EACH(i, N)
    out[i] = a[0][i] * a[1][i];
}
static const example example_stop = {.build = build_stop, .naive = naive_stop, .stopped = 1};

BUILD(place)
{
    GRAPH;
    mn_node a = arg(bed, 2, C), b = arg(bed, ROWS, C);
    mn_node y = mn_graph_place_rows(graph, a, 1, ROWS, MN_NONE);
    return mn_graph_place_rows(graph, mn_graph_rows(graph, b, 1, 2), 2, ROWS,
                               mn_graph_multiply(graph, y, b));
}
NAIVE(place)
{
    UNUSED;
    EACH(i, N)
    out[i] = (i >= C && i < 9 ? a[0][i - C] * a[1][i] : 0) + (i >= 6 ? a[1][i - C] : 0);
}
BUILT_AND_NAIVE(place);

BUILD(columns)
{
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_columns(&bed->graph, a, 1, 2);
}
NAIVE(columns)
{
    UNUSED;
    EACH(i, 2 * ROWS)
    out[i] = a[0][i / 2 * C + 1 + i % 2];
}
BUILT_AND_NAIVE(columns);

BUILD(place_columns)
{
    mn_node a = arg(bed, ROWS, 2), b = arg(bed, ROWS, C), parts[] = {a, b, a};
    return mn_graph_concat_columns(&bed->graph, 3, parts);
}
NAIVE(place_columns)
{
    UNUSED;
    EACH(i, ROWS)
    EACH(j, 7)
    out[7 * i + j] = j < 2 ? a[0][2 * i + j] : j < 5 ? a[1][C * i + j - 2] : a[0][2 * i + j - 5];
}
BUILT_AND_NAIVE(place_columns);

BUILD(repeat)
{
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_repeat_rows(&bed->graph, a, 2);
}
NAIVE(repeat)
{
    UNUSED;
    EACH(i, 2 * N)
    out[i] = a[0][i / C / 2 * C + i % C];
}
BUILT_AND_NAIVE(repeat);

BUILD(sum_groups)
{
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_sum_groups(&bed->graph, a, 2);
}
NAIVE(sum_groups)
{
    UNUSED;
    EACH(i, N / 2)
    out[i] = a[0][i / C * 2 * C + i % C] + a[0][(i / C * 2 + 1) * C + i % C];
}
BUILT_AND_NAIVE(sum_groups);

BUILD(tile)
{
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_tile_rows(&bed->graph, a, 3);
}
NAIVE(tile)
{
    UNUSED;
    EACH(i, 3 * N)
    out[i] = a[0][i % N];
}
BUILT_AND_NAIVE(tile);

BUILD(sum_tiles)
{
    mn_graph_node sum = mn_node_blank(MN_OP_SUM_TILES, mn_matrix(ROWS / 2, C));
    sum.in[0] = arg(bed, ROWS, C);
    sum.times = 2;
    return mn_node_append(&bed->graph, sum);
}
NAIVE(sum_tiles)
{
    UNUSED;
    EACH(i, N / 2)
    out[i] = a[0][i] + a[0][N / 2 + i];
}
BUILT_AND_NAIVE(sum_tiles);

/* ---- products. All four ways one below the other: k = 4, m = 2, n = 3 of each. */

static mn_node all_ways(struct bed *bed, uint32_t batches)
{
    GRAPH;
    const uint32_t k = 4, m = 2, n = 3;
    mn_node all = MN_NONE, square;
    for (uint32_t way = 0; way < 4; way++) {
        bool ta = way & 1, tb = way & 2;
        mn_node a = arg(bed, batches * (ta ? k : m), ta ? m : k);
        mn_node b = arg(bed, batches * (tb ? n : k), tb ? k : n);
        mn_node y = batches == 1 ? mn_graph_product(graph, a, b, ta, tb)
                                 : mn_graph_batched_product(graph, a, b, batches, ta, tb);
        all = all == MN_NONE ? y : mn_graph_add(graph, all, y);
    }
    square = batches == 1 ? mn_graph_product(graph, all, all, false, true)
                          : mn_graph_batched_product(graph, all, all, batches, false, true);
    return square;
}
static void naive_ways(const double *const *a, size_t batches, double *out)
{
    const size_t k = 4, m = 2, n = 3;
    EACH(block, batches)
    {
        double all[6] = {0};
        EACH(way, 4)
        {
            const double *p = a[2 * way] + block * k * m, *q = a[2 * way + 1] + block * k * n;
            EACH(i, m)
            EACH(j, n)
            EACH(r, k)
            all[i * n + j] +=
                (way & 1 ? p[r * m + i] : p[i * k + r]) * (way & 2 ? q[j * k + r] : q[r * n + j]);
        }
        EACH(i, m)
        EACH(j, m)
        {
            double sum = 0;
            EACH(r, n)
            sum += all[i * n + r] * all[j * n + r];
            out[(block * m + i) * m + j] = sum;
        }
    }
}
BUILD(gemm)
{
    return all_ways(bed, 1);
}
NAIVE(gemm)
{
    UNUSED;
    naive_ways(a, 1, out);
}
BUILT_AND_NAIVE(gemm);
BUILD(batched_gemm)
{
    return all_ways(bed, 3);
}
NAIVE(batched_gemm)
{
    UNUSED;
    naive_ways(a, 3, out);
}
BUILT_AND_NAIVE(batched_gemm);

BUILD(bias)
{
    mn_node a = arg(bed, ROWS, C), b = arg(bed, 1, C);
    return mn_graph_bias(&bed->graph, a, b);
}
NAIVE(bias)
{
    UNUSED;
    EACH(i, N)
    out[i] = a[0][i] + a[1][i % C];
}
BUILT_AND_NAIVE(bias);

BUILD(transpose)
{
    GRAPH;
    return mn_node_transpose(graph, arg(bed, 6, 2), 2);
}
NAIVE(transpose)
{
    UNUSED;
    for (size_t block = 0; block < 2; block++)
        for (size_t i = 0; i < 3; i++)
            for (size_t j = 0; j < 2; j++)
                out[block * 6 + j * 3 + i] = a[0][block * 6 + i * 2 + j];
}
BUILT_AND_NAIVE(transpose);

BUILD(column_sums)
{
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_column_sums(&bed->graph, a);
}
NAIVE(column_sums)
{
    UNUSED;
    EACH(j, C)
    out[j] = a[0][j] + a[0][C + j] + a[0][2 * C + j] + a[0][3 * C + j];
}
BUILT_AND_NAIVE(column_sums);

/* ---- element by element */

#define OF_ONE(name, argument, formula)                                                            \
    BUILD(name)                                                                                    \
    {                                                                                              \
        mn_node a = argument(bed, ROWS, C);                                                        \
        return mn_graph_##name(&bed->graph, a);                                                    \
    }                                                                                              \
    NAIVE(name)                                                                                    \
    {                                                                                              \
        UNUSED;                                                                                    \
        EACH(i, N)                                                                                 \
        {                                                                                          \
            const double u = a[0][i], p = 1 + u * u;                                               \
            (void)p;                                                                               \
            out[i] = formula;                                                                      \
        }                                                                                          \
    }                                                                                              \
    BUILT_AND_NAIVE(name)
OF_ONE(relu, arg, u > 0 ? u : 0);
OF_ONE(tanh, arg, tanh(u));
OF_ONE(sigmoid, arg, 1 / (1 + exp(-u)));
OF_ONE(exp, arg, exp(u));
OF_ONE(log, positive, log(p));
OF_ONE(softplus, arg, log(1 + exp(u)));
OF_ONE(reciprocal, positive, 1 / p);
OF_ONE(root, positive, sqrt(p));

#define OF_THREE(op, formula, ...)                                                                 \
    BUILD(op)                                                                                      \
    {                                                                                              \
        GRAPH;                                                                                     \
        const mn_node u = arg(bed, ROWS, C), v = arg(bed, ROWS, C), w = arg(bed, ROWS, C);         \
        (void)v, (void)w;                                                                          \
        return __VA_ARGS__;                                                                        \
    }                                                                                              \
    NAIVE(op)                                                                                      \
    {                                                                                              \
        UNUSED;                                                                                    \
        EACH(i, N)                                                                                 \
        {                                                                                          \
            const double u = a[0][i], v = a[1][i], w = a[2][i];                                    \
            (void)v, (void)w;                                                                      \
            out[i] = formula;                                                                      \
        }                                                                                          \
    }                                                                                              \
    BUILT_AND_NAIVE(op)
static mn_node tanh_curve(mn_graph *graph, mn_node u, mn_node v, mn_node w)
{
    mn_graph_node node = mn_node_blank(MN_OP_TANH_CURVE, matrix);
    node.in[0] = u;
    node.in[1] = v;
    node.in[2] = w;
    return mn_node_append(graph, node);
}
OF_THREE(add, 2 * u + v, mn_graph_add(graph, u, mn_graph_add(graph, v, u)));
OF_THREE(scale, -0.7 * u, mn_graph_scale(graph, -0.7, u));
OF_THREE(scale_add, v - 0.3 * u, mn_graph_scale_add(graph, -0.3, u, v));
OF_THREE(multiply, u *u *v, mn_graph_multiply(graph, u, mn_graph_multiply(graph, u, v)));
OF_THREE(mask, u > 0 ? v : 0, mn_node_binary(graph, MN_OP_MASK, u, v));
OF_THREE(tanh_backward, (1 - u * u) * v, mn_node_binary(graph, MN_OP_TANH_BACKWARD, u, v));
OF_THREE(tanh_curve, -2 * u * v * w, tanh_curve(graph, u, v, w));

/* ---- rows */

BUILD(row_dot)
{
    mn_node a = arg(bed, ROWS, C), b = arg(bed, ROWS, C);
    return mn_graph_row_dot(&bed->graph, a, b);
}
NAIVE(row_dot)
{
    UNUSED;
    EACH(i, ROWS)
    out[i] = a[0][C * i] * a[1][C * i] + a[0][C * i + 1] * a[1][C * i + 1] +
             a[0][C * i + 2] * a[1][C * i + 2];
}
BUILT_AND_NAIVE(row_dot);

BUILD(row_scale)
{
    mn_node s = arg(bed, ROWS, 1), a = arg(bed, ROWS, C);
    return mn_graph_row_scale(&bed->graph, s, a);
}
NAIVE(row_scale)
{
    UNUSED;
    EACH(i, N)
    out[i] = a[0][i / C] * a[1][i];
}
BUILT_AND_NAIVE(row_scale);

BUILD(column_scale)
{
    mn_node a = arg(bed, ROWS, C), v = arg(bed, 1, C);
    return mn_graph_column_scale(&bed->graph, a, v);
}
NAIVE(column_scale)
{
    UNUSED;
    EACH(i, N)
    out[i] = a[0][i] * a[1][i % C];
}
BUILT_AND_NAIVE(column_scale);

/* Without a mask, and with one that leaves nothing of the last row. */
BUILD(softmax)
{
    GRAPH;
    static const double mask[N] = {1, 0, 1, 1, 1, 1, 0, 0, 1};
    mn_node a = arg(bed, ROWS, C), b = arg(bed, ROWS, C);
    memcpy(bed->x_data, mask, sizeof mask);
    return mn_graph_add(graph, mn_graph_softmax(graph, a, MN_NONE),
                        mn_graph_softmax(graph, b, given(bed, ROWS, C)));
}
NAIVE(softmax)
{
    EACH(i, N)
    {
        double sum = 0, left = 0;
        EACH(j, C)
        {
            sum += exp(a[0][i / C * C + j]);
            left += x[i / C * C + j] != 0 ? exp(a[1][i / C * C + j]) : 0;
        }
        out[i] = exp(a[0][i]) / sum + (x[i] != 0 ? exp(a[1][i]) / left : 0);
    }
}
BUILT_AND_NAIVE(softmax);

BUILD(softmax_tangent)
{
    mn_node a = arg(bed, ROWS, C), b = arg(bed, ROWS, C);
    return mn_rule_softmax_tangent(&bed->graph, a, b);
}
NAIVE(softmax_tangent)
{
    UNUSED;
    EACH(i, N)
    {
        double mean = 0;
        EACH(j, C)
        mean += a[0][i / C * C + j] * a[1][i / C * C + j];
        out[i] = a[0][i] * (a[1][i] - mean);
    }
}
BUILT_AND_NAIVE(softmax_tangent);

/* ---- batch norm: values are those of kernels_plain_test.c */

BUILD(bn)
{
    mn_node x = arg(bed, 6, C), gamma = arg(bed, 1, C), beta = arg(bed, 1, C);
    return mn_graph_batch_norm(&bed->graph, x, gamma, beta, 1e-2, true);
}
OF_A_DERIVATIVE(bn, bn);
OF_A_DERIVATIVE(bn_stats, bn);
OF_A_DERIVATIVE(bn_sums, bn);
OF_A_DERIVATIVE(bn_backward, bn);
OF_A_DERIVATIVE(bn_tangent_sums, bn);
OF_A_DERIVATIVE(bn_tangent, bn);
OF_A_DERIVATIVE(bn_backward_tangent_sums, bn);
OF_A_DERIVATIVE(bn_backward_tangent, bn);

/* ---- images: convolution's values are those of kernels_plain_test.c */

static mn_node image(struct bed *bed, uint32_t n, uint32_t h, uint32_t w, uint32_t c)
{
    return mn_graph_tanh(&bed->graph, tensor(bed, (mn_extent){n, h, w, c}));
}

BUILD(conv)
{
    mn_node x = image(bed, 2, 3, 4, 2), w = arg(bed, 18, 2);
    return mn_graph_conv(&bed->graph, x, w, 2);
}
OF_A_DERIVATIVE(conv, conv);
OF_A_DERIVATIVE(conv_data, conv);
OF_A_DERIVATIVE(conv_weights, conv);

BUILD(pool_gather)
{
    return mn_graph_max_pool(&bed->graph, image(bed, 1, 4, 5, 2));
}
NAIVE(pool_gather)
{
    UNUSED;
    EACH(i, 8)
    {
        const double *corner = a[0] + (i / 4 * 2 * 5 + i / 2 % 2 * 2) * 2 + i % 2;
        out[i] = fmax(fmax(corner[0], corner[2]), fmax(corner[10], corner[12]));
    }
}
BUILT_AND_NAIVE(pool_gather);
OF_A_DERIVATIVE(pool_index, pool_gather);
OF_A_DERIVATIVE(pool_scatter, pool_gather);

BUILD(first_layer)
{
    mn_node x = mn_graph_input(&bed->graph, MN_SLOT_X, 0, (mn_extent){2, 4, 8, 1});
    mn_node w = arg(bed, 9, 2), gamma = arg(bed, 1, 2), beta = arg(bed, 1, 2);
    mn_node y = mn_graph_conv(&bed->graph, x, w, 1);
    return mn_graph_max_pool(&bed->graph,
                             mn_graph_batch_norm(&bed->graph, y, gamma, beta, 1e-2, true));
}
#define OF_A_FUSION(op, of) static const example example_##op = {.build = build_##of, .fused = true}
OF_A_FUSION(first_place, first_layer);
OF_A_FUSION(first_stats, first_layer);
OF_A_FUSION(first_layer, first_layer);
OF_A_FUSION(first_sums, first_layer);
OF_A_FUSION(first_weights, first_layer);

BUILD(pixel_mean)
{
    return mn_graph_pixel_mean(&bed->graph, image(bed, 2, 2, 2, C));
}
NAIVE(pixel_mean)
{
    UNUSED;
    EACH(i, 2 * C)
    {
        const double *p = a[0] + i / C * 4 * C + i % C;
        out[i] = (p[0] + p[C] + p[2 * C] + p[3 * C]) / 4;
    }
}
BUILT_AND_NAIVE(pixel_mean);
OF_A_DERIVATIVE(pixel_spread, pixel_mean);

/* ---- memory. The table has 5 rows; ids name its ends, one twice, none, and the padding. */

static void write_ids(struct bed *bed)
{
    static const double ids[8] = {0, 4, 2, 2, 5, -1, 1, 3};
    memcpy(bed->x_data, ids, sizeof ids);
}

BUILD(embed)
{
    GRAPH;
    mn_node table = arg(bed, 5, C), weights = mn_graph_input(graph, MN_SLOT_X, 8, mn_matrix(2, C));
    write_ids(bed);
    mn_node ids = given(bed, 4, 2), plus = arg(bed, 4, C);
    return mn_graph_multiply(graph,
                             mn_graph_slots_embed(graph, ids, table, weights, 3, MN_NONE, plus),
                             mn_graph_embed(graph, ids, table, MN_NONE, -1));
}
NAIVE(embed)
{
    EACH(i, N)
    {
        double one = a[1][i], other = 0;
        EACH(k, 2)
        {
            double id = x[i / C * 2 + k];
            if (id < 0 || id > 4)
                continue;
            double entry = a[0][(size_t)id * C + i % C];
            one += id == 3 ? 0 : x[8 + k * C + i % C] * entry;
            other += entry;
        }
        out[i] = one * other;
    }
}
BUILT_AND_NAIVE(embed);

/* Three memories of three slots: two are filled, none, and more than there are. */
static mn_node filled(struct bed *bed)
{
    static const double numbers[3] = {2, 0, 7};
    memcpy(bed->x_data, numbers, sizeof numbers);
    return given(bed, 3, 1);
}
/* Of an argument, [9, C]. */
static mn_node memory_of(struct bed *bed)
{
    mn_node slots = filled(bed);
    for (int i = 0; i < 9; i++)
        bed->x_data[3 + i] = i;
    return mn_graph_slots_embed(&bed->graph,
                                mn_graph_input(&bed->graph, MN_SLOT_X, 3, mn_matrix(9, 1)),
                                arg(bed, 9, C), MN_NONE, -1, slots, MN_NONE);
}
static bool is_filled(size_t slot) /* of the nine */
{
    return slot < 2 || slot > 5;
}

BUILD(slots_match)
{
    mn_node o = arg(bed, 3, C), memory = memory_of(bed);
    return mn_graph_slots_match(&bed->graph, o, memory, filled(bed));
}
NAIVE(slots_match)
{
    UNUSED;
    EACH(s, 9)
    {
        out[s] = 0;
        EACH(j, C)
        out[s] += is_filled(s) ? a[1][s * C + j] * a[0][s / 3 * C + j] : 0;
    }
}
BUILT_AND_NAIVE(slots_match);

BUILD(slots_read) /* twice of one memory: its adjoint is written to twice. All slots have a word. */
{
    static const double ids[9] = {0, 4, 2, 1, 3, 0, 4, 4, 1};
    mn_node p = arg(bed, 3, 3), table = arg(bed, 5, C), plus = memory_of(bed);
    mn_node slots = filled(bed);
    memcpy(bed->x_data + 12, ids, sizeof ids);
    mn_node memory = mn_graph_slots_embed(
        &bed->graph, mn_graph_input(&bed->graph, MN_SLOT_X, 12, mn_matrix(9, 1)), table, MN_NONE,
        -1, slots, plus);
    return mn_graph_slots_read(
        &bed->graph,
        mn_graph_slots_match(&bed->graph, mn_graph_slots_read(&bed->graph, p, memory, slots),
                             memory, slots),
        memory, slots);
}
NAIVE(slots_read)
{
    EACH(i, 3)
    {
        double memory[3 * C], once[C] = {0};
        EACH(j, 3 * C)
        memory[j] = a[2][i * 3 * C + j] + a[1][(size_t)x[12 + i * 3 + j / C] * C + j % C];
        EACH(j, C)
        EACH(s, 3)
        once[j] += is_filled(i * 3 + s) ? a[0][i * 3 + s] * memory[s * C + j] : 0;
        EACH(j, C)
        {
            out[i * C + j] = 0;
            EACH(s, 3)
            EACH(k, C)
            out[i * C + j] +=
                is_filled(i * 3 + s) ? once[k] * memory[s * C + k] * memory[s * C + j] : 0;
        }
    }
}
BUILT_AND_NAIVE(slots_read);

BUILD(slots_write)
{
    GRAPH;
    mn_node p = arg(bed, 3, 3), o = arg(bed, 3, C), plus = memory_of(bed);
    mn_node slots = filled(bed);
    mn_node memory = mn_graph_slots_write(graph, p, o, slots, plus);
    return mn_graph_add(
        graph, mn_graph_slots_read(graph, p, memory, slots),
        mn_graph_slots_read(graph, p, mn_graph_slots_write(graph, p, o, slots, MN_NONE), slots));
}
NAIVE(slots_write)
{
    UNUSED;
    EACH(i, 3 * C)
    {
        out[i] = 0;
        EACH(s, 3)
        if (is_filled(i / C * 3 + s)) {
            const double p = a[0][i / C * 3 + s];
            out[i] += p * (2 * p * a[1][i] + a[2][(i / C * 3 + s) * C + i % C]);
        }
    }
}
BUILT_AND_NAIVE(slots_write);

static mn_node scatter(mn_graph *graph, uint32_t n, mn_node dy, mn_node plus)
{
    mn_graph_node node = mn_node_blank(MN_OP_EMBED_SCATTER, mn_graph_extent(graph, plus));
    node.in[0] = mn_graph_input(graph, MN_SLOT_X, 0, mn_matrix(n, 2));
    node.in[1] = dy;
    node.plus = plus;
    node.padding = 3;
    return mn_node_append(graph, node);
}

BUILD(embed_scatter)
{
    mn_node dy = arg(bed, 4, C), table = arg(bed, 5, C);
    write_ids(bed);
    return scatter(&bed->graph, 4, dy, table);
}
NAIVE(embed_scatter)
{
    memcpy(out, a[1], 5 * sizeof *out * C);
    EACH(i, 8)
    if (x[i] >= 0 && x[i] <= 4 && x[i] != 3)
        EACH(j, C)
    out[(size_t)x[i] * C + j] += a[0][i / 2 * C + j];
}
BUILT_AND_NAIVE(embed_scatter);

BUILD(least_used)
{
    GRAPH;
    mn_node usage = arg(bed, 2, C), a = arg(bed, 4, C);
    return mn_graph_multiply(graph, mn_graph_least_used(graph, usage, 2), a);
}
NAIVE(least_used)
{
    UNUSED;
    EACH(i, N)
    {
        const double *usage = a[0] + i / (2 * C) * C;
        size_t smaller = 0, rank = i / C % 2;
        EACH(j, C)
        smaller += usage[j] < usage[i % C];
        out[i] = smaller == rank ? a[1][i] : 0;
    }
}
BUILT_AND_NAIVE(least_used);

/* ---- losses */

BUILD(cross_entropy)
{
    static const double rows[N + ROWS] = {0, 1, 0, .2, .3, .5, 1, 0, 0, 0, 0, 1, .5, 0, 2, .25};
    mn_node a = arg(bed, ROWS, C);
    memcpy(bed->x_data, rows, sizeof rows);
    return mn_graph_weighted_cross_entropy(
        &bed->graph, a, given(bed, ROWS, C),
        mn_graph_input(&bed->graph, MN_SLOT_X, N, mn_matrix(ROWS, 1)));
}
NAIVE(cross_entropy)
{
    *out = 0;
    EACH(i, N)
    {
        const double *z = a[0] + i / C * C;
        double sum = exp(z[0]) + exp(z[1]) + exp(z[2]);
        *out -= x[N + i / C] * x[i] * log(exp(z[i % C]) / sum);
    }
}
BUILT_AND_NAIVE(cross_entropy);

BUILD(choice_loss)
{
    static const double rows[N + ROWS] = {0, 1, 0, .2, .3, .5, 1, 0, 0, 0, 0, 1, .5, 0, 2, .25};
    mn_node a = arg(bed, ROWS, C);
    memcpy(bed->x_data, rows, sizeof rows);
    return mn_graph_choice_loss(&bed->graph, a, given(bed, ROWS, C),
                                mn_graph_input(&bed->graph, MN_SLOT_X, N, mn_matrix(ROWS, 1)));
}
static const example example_choice_loss = {.build = build_choice_loss,
                                            .naive = naive_cross_entropy};

BUILD(squared_error) /* both sides depend on theta */
{
    mn_node a = arg(bed, ROWS, C), b = arg(bed, ROWS, C);
    return mn_graph_squared_error(&bed->graph, a, b);
}
NAIVE(squared_error)
{
    UNUSED;
    *out = 0;
    EACH(i, N)
    *out += (a[0][i] - a[1][i]) * (a[0][i] - a[1][i]) / N;
}
BUILT_AND_NAIVE(squared_error);

BUILD(mean)
{
    mn_node a = arg(bed, ROWS, C);
    return mn_graph_mean(&bed->graph, a);
}
NAIVE(mean)
{
    UNUSED;
    *out = 0;
    EACH(i, N)
    *out += a[0][i] / N;
}
BUILT_AND_NAIVE(mean);

/* ---- sequences */

BUILD(lstm)
{
    GRAPH;
    mn_node zx = arg(bed, 2, 8), zr = arg(bed, 2, 8), before = arg(bed, 2, 2);
    mn_node step = mn_graph_lstm(graph, zx, zr, before);
    return mn_graph_multiply(graph, mn_graph_lstm_output(graph, step),
                             mn_graph_lstm_cell(graph, step));
}

static double gate(double z)
{
    return 1 / (1 + exp(-z));
}

NAIVE(lstm)
{
    UNUSED;
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++) {
            double z[4];
            EACH(k, 4)
            z[k] = a[0][i * 8 + k * 2 + j] + a[1][i * 8 + k * 2 + j];
            double cell = gate(z[1]) * a[2][i * 2 + j] + gate(z[0]) * tanh(z[2]);
            out[i * 2 + j] = gate(z[3]) * tanh(cell) * cell;
        }
}
static const example example_lstm = {.build = build_lstm, .naive = naive_lstm, .once = true};
static const example example_lstm_backward = {.build = build_lstm, .once = true};

/* Two steps, one with a sharpness; tests/reference has every number of eight. */
BUILD(lrua)
{
    GRAPH;
    const mn_lrua shape = {.n = 2, .heads = 2, .slots = 4, .width = 3, .decay = 0.9};
    mn_node state = mn_graph_lrua_start(graph, &shape);
    state = mn_graph_lrua(graph, &shape, state, arg(bed, 2, 8), MN_NONE);
    state = mn_graph_lrua(graph, &shape, state, arg(bed, 2, 8), arg(bed, 2, 2));
    return mn_graph_lrua_view(graph, &shape, state, MN_LRUA_READ);
}
static const example example_lrua = {.build = build_lrua, .once = true};
static const example example_lrua_backward = {.build = build_lrua, .once = true};

/* Two sequences of three steps: gates of one number a row forwards, of a row's own backwards. */
BUILD(scan)
{
    GRAPH;
    mn_node gate = arg(bed, 6, 1), gates = arg(bed, 6, 2), u = arg(bed, 6, 2);
    return mn_graph_multiply(graph, mn_graph_scan(graph, gate, u, 3, false),
                             mn_graph_scan(graph, gates, u, 3, true));
}
NAIVE(scan)
{
    UNUSED;
    EACH(i, 2)
    EACH(j, 2)
    {
        const double *gate = a[0] + 3 * i, *gates = a[1] + 6 * i + j, *u = a[2] + 6 * i + j;
        const double h[3] = {u[0], u[2] + gate[1] * u[0], u[4] + gate[2] * (u[2] + gate[1] * u[0])};
        const double b[3] = {u[0] + gates[0] * (u[2] + gates[2] * u[4]), u[2] + gates[2] * u[4],
                             u[4]};
        EACH(t, 3)
        out[6 * i + 2 * t + j] = h[t] * b[t];
    }
}
BUILT_AND_NAIVE(scan);

BUILD(shift)
{
    GRAPH;
    mn_node a = arg(bed, 6, 2), b = arg(bed, 6, 2);
    return mn_graph_add(graph, mn_graph_shift(graph, mn_graph_multiply(graph, a, b), 3, false),
                        mn_graph_shift(graph, b, 3, true));
}
NAIVE(shift)
{
    UNUSED;
    EACH(i, 12)
    out[i] = (i / 2 % 3 == 0 ? 0 : a[0][i - 2] * a[1][i - 2]) + (i / 2 % 3 == 2 ? 0 : a[1][i + 2]);
}
BUILT_AND_NAIVE(shift);

#define EXAMPLE(NAME, name) [MN_OP_##NAME] = &example_##name,
static const example *const examples[MN_N_OPS] = {MN_OPS(EXAMPLE)};

static struct bed *ops_bed(uint64_t seed)
{
    struct bed *bed = bed_new(mn_matrix(1, MOST), mn_matrix(1, MOST), seed);
    for (size_t i = 0; i < MOST; i++)
        bed->y_data[i] = draw();
    return bed;
}

static bool is_loss(const struct bed *bed, mn_node node)
{
    return mn_op_rows[bed->graph.nodes[node].op]->result == MN_RESULT_DOUBLE;
}

/* Of any node, one number that bends. */
static mn_node loss_of(struct bed *bed, mn_node y)
{
    if (is_loss(bed, y))
        return y;
    const mn_extent extent = mn_graph_extent(&bed->graph, y);
    assert_true(mn_extent_count(extent) <= MOST);
    return mn_graph_squared_error(&bed->graph, y,
                                  mn_graph_input(&bed->graph, MN_SLOT_Y, 0, extent));
}

static void compare_value(struct bed *bed, mn_node y, const example *e)
{
    static double values[MAX_TENSORS][MAX_SIZE];
    const double *a[MAX_TENSORS] = {NULL};
    double wanted[MOST], got[MOST];
    const bool loss = is_loss(bed, y);
    const size_t n = loss ? 1 : mn_extent_count(mn_graph_extent(&bed->graph, y));
    const mn_plan_output output = {y, MN_SLOT_OUTPUT, 0, n, 0};
    mn_plan *plan;
    for (uint32_t t = 0; t < bed->n_tensors; t++) {
        for (size_t i = 0; i < mn_extent_count(bed->extents[t]); i++)
            values[t][i] = tanh(bed->theta[bed->offsets[t] + i]);
        a[t] = values[t];
    }
    e->naive(a, bed->x_data, wanted);
    assert_int_equal(mn_plan_new(&bed->graph, loss ? y : MN_NONE, loss ? 0 : 1, &output,
                                 &mn_kernels_plain, &plan, NULL),
                     MN_OK);
    void *scratch = aligned_alloc(64, mn_plan_scratch_bytes(plan) + 64);
    assert_non_null(scratch);
    mn_bindings bindings = {
        .in = {[MN_SLOT_THETA] = bed->theta, [MN_SLOT_X] = bed->x_data, [MN_SLOT_Y] = bed->y_data},
        .out = {[MN_SLOT_OUTPUT] = got}};
    mn_plan_run(plan, 0, scratch, &bindings);
    if (loss)
        got[0] = mn_plan_loss(plan, scratch);
    for (size_t i = 0; i < n; i++)
        if (!(fabs(got[i] - wanted[i]) <= 1e-12))
            fail_msg("%s: value %zu is %.15g, not %.15g", bed->name, i, got[i], wanted[i]);
    free(scratch);
    mn_plan_destroy(&plan);
}

static bool has(const mn_graph *graph, mn_op op)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].op == op)
            return true;
    return false;
}

static bool is_in_a_plan_of(const mn_graph *graph, mn_node loss, size_t n_outputs,
                            const mn_plan_output *outputs, mn_op op)
{
    mn_graph fused;
    mn_error err;
    assert_int_equal(mn_fusion_of(graph, loss, n_outputs, outputs, &fused, &err), MN_OK);
    const bool found = has(&fused, op);
    mn_graph_fini(&fused);
    return found;
}

/* The gradient alone, and unless fusion made the operation, that its tangents are refused. */
static void check_once(struct bed *bed, mn_node loss, mn_op op)
{
    GRAPH;
    mn_node gradients[MAX_TENSORS], directions[MAX_TENSORS], products[MAX_TENSORS];
    mn_plan_output outputs[MAX_TENSORS];
    const uint32_t n = bed->n_tensors;
    mn_plan *plan = NULL;
    mn_error err = {.message = ""};
    mn_graph_gradient(graph, loss, n, bed->tensors, gradients);
    for (uint32_t i = 0; i < n; i++)
        outputs[i] = (mn_plan_output){gradients[i], MN_SLOT_GRADIENT, bed->offsets[i],
                                      mn_extent_count(bed->extents[i]), 0};
    if (!is_in_a_plan_of(graph, loss, n, outputs, op))
        fail_msg("%s is not in its example", bed->name);
    assert_int_equal(mn_plan_new(graph, loss, n, outputs, &mn_kernels_plain, &plan, &err), MN_OK);
    void *scratch = aligned_alloc(64, mn_plan_scratch_bytes(plan) + 64);
    assert_non_null(scratch);
    const double step = 1e-6;
    double ignored[MAX_SIZE], losses[2];
    for (size_t i = 0; i <= bed->size; i++) { /* the last time with none moved */
        for (int up = 0; up < 2; up++) {
            const double was = bed->theta[i % bed->size];
            if (i < bed->size)
                bed->theta[i] += up ? step : -step;
            mn_bindings bindings = {
                .in = {[MN_SLOT_THETA] = bed->theta,
                       [MN_SLOT_X] = bed->x_data,
                       [MN_SLOT_Y] = bed->y_data},
                .out = {[MN_SLOT_GRADIENT] = i < bed->size ? ignored : bed->gradient}};
            mn_plan_run(plan, 0, scratch, &bindings);
            losses[up] = mn_plan_loss(plan, scratch);
            bed->theta[i % bed->size] = was;
        }
        if (i < bed->size)
            bed->product[i] = (losses[1] - losses[0]) / (2 * step);
    }
    for (size_t i = 0; i < bed->size; i++)
        if (!(fabs(bed->gradient[i] - bed->product[i]) <= 1e-8))
            fail_msg("%s: gradient[%zu] is %.12g, central difference %.12g", bed->name, i,
                     bed->gradient[i], bed->product[i]);
    free(scratch);
    mn_plan_destroy(&plan);
    if (examples[op]->fused)
        return;

    for (uint32_t i = 0; i < n; i++)
        directions[i] = mn_graph_input(graph, MN_SLOT_DIRECTION, bed->offsets[i], bed->extents[i]);
    mn_graph_tangents(graph, n, bed->tensors, directions, n, gradients, products);
    assert_int_equal(mn_graph_check(graph, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, graph->refused_op));
}

static void every_operation_has_the_right_value_gradient_and_product(void **state)
{
    (void)state;
    for (mn_op op = 0; op < MN_N_OPS; op++) {
        const example *e = examples[op];
        struct bed *bed = ops_bed(op + 1);
        (void)snprintf(bed->name, sizeof bed->name, "%s", mn_op_rows[op]->name);
        mn_node y = e->build(bed);
        if (e->naive != NULL)
            assert_true(has(&bed->graph, op));
        if (e->once || e->fused) {
            for (size_t i = 0; i < bed->size; i++)
                bed->theta[i] = 0.7 * draw();
            if (e->naive != NULL)
                compare_value(bed, y, e);
            check_once(bed, loss_of(bed, y), op);
            bed_destroy(bed);
            continue;
        }
        compile(bed, loss_of(bed, y));
        if (!has(&bed->graph, op))
            fail_msg("%s is not in its example", bed->name);
        if (e->naive != NULL)
            compare_value(bed, y, e);
        bed->stopped = e->stopped;
        check_against_central_differences(bed);
        bed_destroy(bed);
    }
}

static void the_loss_by_a_softmax_is_the_cross_entropy(void **state)
{
    (void)state;
    struct bed *bed = ops_bed(102);
    (void)snprintf(bed->name, sizeof bed->name, "choice loss");
    mn_node y = example_choice_loss.build(bed);
    compile(bed, loss_of(bed, y));
    compare_value(bed, y, &example_choice_loss);
    check_against_central_differences(bed);
    bed_destroy(bed);
}

static void both_factors_of_a_sum_of_products_are_trained(void **state)
{
    (void)state;
    struct bed *bed = ops_bed(100);
    GRAPH;
    mn_node x = given(bed, ROWS, C), w = tensor(bed, mn_matrix(C, 2)),
            v = tensor(bed, mn_matrix(C, 2));
    mn_node y =
        mn_graph_scale_add(graph, 1, mn_graph_linear(graph, x, w), mn_graph_linear(graph, x, v));
    (void)snprintf(bed->name, sizeof bed->name, "x W + x V");
    compile(bed, loss_of(bed, mn_graph_tanh(graph, y)));
    check_against_central_differences(bed);
    assert_true(fabs(bed->gradient[0]) > 1e-6);
    assert_memory_equal(bed->gradient, bed->gradient + 6, 6 * sizeof(double));
    bed_destroy(bed);
}

/* A product that is an image's: its rows are pixels, backwards too. */
static void the_pixels_of_an_image_are_the_rows_of_a_product(void **state)
{
    (void)state;
    struct bed *bed = ops_bed(101);
    mn_node x = image(bed, 2, 3, 2, C), w = arg(bed, C, 2);
    (void)snprintf(bed->name, sizeof bed->name, "product with an image");
    compile(bed, loss_of(bed, mn_graph_product(&bed->graph, x, w, false, false)));
    check_against_central_differences(bed);
    bed_destroy(bed);
}

/* ---- what is refused */

/* Differentiate the gradient of `loss` backwards, or its product forwards once more. */
static void expect_refusal(struct bed *bed, mn_node loss, bool forwards, const char *op,
                           const char *part)
{
    GRAPH;
    mn_node gradients[MAX_TENSORS], directions[MAX_TENSORS], products[MAX_TENSORS];
    const uint32_t n = bed->n_tensors;
    char wanted[64];
    mn_graph_part(graph, "part that asks");
    mn_graph_gradient(graph, loss, n, bed->tensors, gradients);
    for (uint32_t i = 0; i < n; i++)
        directions[i] = mn_graph_input(graph, MN_SLOT_DIRECTION, bed->offsets[i], bed->extents[i]);
    if (forwards) {
        mn_graph_tangents(graph, n, bed->tensors, directions, n, gradients, products);
        mn_graph_tangents(graph, n, bed->tensors, directions, n, products, gradients);
    } else {
        mn_graph_pullback(graph, gradients[0], directions[0], n, bed->tensors, products);
    }
    mn_plan *plan = NULL;
    mn_error err;
    const mn_plan_output output = {directions[0], MN_SLOT_PRODUCT, 0, 1, 0};
    assert_int_equal(mn_plan_new(graph, MN_NONE, 1, &output, &mn_kernels_plain, &plan, &err),
                     MN_ERR_CONFIG);
    assert_null(plan);
    (void)snprintf(wanted, sizeof wanted, "\"%s\", which %s uses", op, part);
    if (strstr(err.message, wanted) == NULL)
        fail_msg("no %s in: %s", wanted, err.message);
    bed_destroy(bed);
}

static void what_has_no_rule_is_refused_by_its_name_and_its_part(void **state)
{
    (void)state;
    struct bed *bed = ops_bed(110);
    mn_graph_part(&bed->graph, "input.kind conv4");
    expect_refusal(bed, loss_of(bed, build_conv(bed)), false, "conv data", "input.kind conv4");
    bed = ops_bed(111);
    mn_graph_part(&bed->graph, "memory.norm");
    expect_refusal(bed, loss_of(bed, build_bn(bed)), true, "bn tangent sums", "memory.norm");

    bed = ops_bed(112); /* no derivative goes to a target or a weight: not silently */
    mn_node z = arg(bed, ROWS, C), target = arg(bed, ROWS, C), weights = arg(bed, ROWS, 1);
    mn_graph_part(&bed->graph, "output");
    expect_refusal(bed, mn_graph_cross_entropy(&bed->graph, z, target), false, "cross-entropy",
                   "output");
    bed = ops_bed(113);
    z = arg(bed, ROWS, C), weights = arg(bed, ROWS, 1);
    mn_graph_part(&bed->graph, "output");
    expect_refusal(bed,
                   mn_graph_weighted_cross_entropy(&bed->graph, z, given(bed, ROWS, C), weights),
                   false, "cross-entropy", "output");

    bed = ops_bed(114); /* a loss has a gradient, but no tangent */
    mn_node loss = loss_of(bed, arg(bed, ROWS, C)), tangent;
    mn_error err;
    mn_graph_tangents(&bed->graph, 1, bed->tensors, bed->tensors, 1, &loss, &tangent);
    assert_int_equal(mn_graph_check(&bed->graph, &err), MN_ERR_CONFIG);
    bed_destroy(bed);
}

/* Products along two directions, one asked for after the other: the second does not differentiate
 * the first. */
static void tangents_may_be_asked_for_twice(void **state)
{
    (void)state;
    struct bed *bed = ops_bed(120);
    GRAPH;
    mn_node gradients[3], directions[3], products[3], again[3];
    mn_node loss = loss_of(bed, build_bn(bed));
    mn_graph_gradient(graph, loss, 3, bed->tensors, gradients);
    for (uint32_t i = 0; i < 3; i++)
        directions[i] = mn_graph_input(graph, MN_SLOT_DIRECTION, bed->offsets[i], bed->extents[i]);
    mn_graph_tangents(graph, 3, bed->tensors, directions, 3, gradients, products);
    mn_graph_tangents(graph, 3, bed->tensors, directions, 3, gradients, again);
    assert_int_equal(mn_graph_check(graph, NULL), MN_OK);
    assert_memory_equal(products, again, sizeof again);
    bed_destroy(bed);
}

/* A result of stage 0 that is asked for after stage 1, when scratch has been used in between, and
 * the slots of one stage are not there in the other. */
static void an_output_is_there_after_its_stage(void **state)
{
    (void)state;
    struct bed *bed = ops_bed(130);
    GRAPH;
    mn_node a = arg(bed, ROWS, C), b = mn_graph_sigmoid(graph, a), c = mn_graph_exp(graph, b);
    const mn_plan_output outputs[] = {{b, MN_SLOT_GRADIENT, 0, N, 0},
                                      {c, MN_SLOT_OUTPUT, 0, N, 0},
                                      {b, MN_SLOT_PRODUCT, 0, N, 1},
                                      {c, MN_SLOT_MOVED, 0, N, 1}};
    mn_plan *plan;
    double theta[N], out[4][N];
    EACH(i, N)
    theta[i] = draw();
    assert_int_equal(mn_plan_new(graph, MN_NONE, 4, outputs, &mn_kernels_plain, &plan, NULL),
                     MN_OK);
    const size_t bytes = mn_plan_scratch_bytes(plan) + 64;
    void *scratch = aligned_alloc(64, bytes), *kept = aligned_alloc(64, 64 * 1024);
    assert_true(scratch != NULL && kept != NULL && mn_plan_kept_bytes(plan) <= 64 * 1024);
    mn_plan_run(plan, 0, scratch,
                &(mn_bindings){.in = {[MN_SLOT_THETA] = theta},
                               .out = {[MN_SLOT_GRADIENT] = out[0], [MN_SLOT_OUTPUT] = out[1]},
                               .kept = kept});
    for (int replayed = 0; replayed < 2; replayed++) {
        memset(scratch, 0xff, bytes);
        mn_plan_run(plan, 1, scratch,
                    &(mn_bindings){.in = {[MN_SLOT_THETA] = theta},
                                   .out = {[MN_SLOT_PRODUCT] = out[2], [MN_SLOT_MOVED] = out[3]},
                                   .kept = kept});
        EACH(i, N)
        {
            const double wanted = 1 / (1 + exp(-tanh(theta[i])));
            assert_true(fabs(out[0][i] - wanted) < 1e-12 && fabs(out[2][i] - wanted) < 1e-12);
            assert_true(fabs(out[1][i] - exp(wanted)) < 1e-12);
            assert_true(fabs(out[3][i] - exp(wanted)) < 1e-12);
        }
        memset(kept, 0xff, 64 * 1024);
        mn_plan_run(plan, MN_PLAN_REPLAY, scratch,
                    &(mn_bindings){.in = {[MN_SLOT_THETA] = theta}, .kept = kept});
    }
    free(scratch);
    free(kept);
    mn_plan_destroy(&plan);
    bed_destroy(bed);
}

/* ---- random graphs */

enum { MOST_NODES = 24, N_GRAPHS = 300 };

/* What has been made so far: matrices of moderate numbers. */
struct pool {
    struct bed *bed;
    uint32_t n;
    mn_node nodes[MOST_NODES];
};

static uint32_t below(uint32_t n)
{
    return (uint32_t)((draw() + 1) / 2 * n) % n;
}

static void add_to_pool(struct pool *pool, mn_node node)
{
    if (pool->n < MOST_NODES)
        pool->nodes[pool->n++] = node;
}

static uint32_t rows_of(const struct pool *pool, mn_node node)
{
    return mn_graph_extent(&pool->bed->graph, node).n;
}

static uint32_t columns_of(const struct pool *pool, mn_node node)
{
    return mn_graph_extent(&pool->bed->graph, node).c;
}

static mn_node any(const struct pool *pool) /* rather what is new */
{
    return below(2) ? pool->nodes[pool->n - 1] : pool->nodes[below(pool->n)];
}

/* Something of this shape: from the pool, or cut out of it, or of theta. */
static mn_node of_shape(struct pool *pool, uint32_t n, uint32_t c)
{
    mn_graph *graph = &pool->bed->graph;
    for (int tries = 0; tries < 8; tries++) {
        const mn_node node = any(pool);
        const uint32_t rows = rows_of(pool, node), columns = columns_of(pool, node);
        if (rows == n && columns == c)
            return node;
        if (rows * columns == n * c)
            return mn_graph_reshape(graph, node, mn_matrix(n, c));
        if (columns == c && rows > n)
            return mn_graph_rows(graph, node, below(rows - n + 1), n);
        if (rows == n && columns > c)
            return mn_graph_columns(graph, node, below(columns - c + 1), c);
        if (rows * columns % c == 0 && rows * columns > n * c)
            return mn_graph_rows(
                graph, mn_graph_reshape(graph, node, mn_matrix(rows * columns / c, c)), 0, n);
    }
    mn_node raw = tensor(pool->bed, mn_matrix(n, c));
    return below(2) ? raw : mn_graph_tanh(graph, raw);
}

static mn_node like(struct pool *pool, mn_node a)
{
    return of_shape(pool, rows_of(pool, a), columns_of(pool, a));
}

static mn_node at_least_one(mn_graph *graph, mn_node a) /* 1 + a^2 */
{
    return mn_graph_add(graph, mn_graph_multiply(graph, a, a),
                        mn_graph_constant(graph, 1.0, mn_graph_extent(graph, a)));
}

enum { N_STEPS = 37 };

static mn_node random_step(struct pool *pool, uint32_t kind)
{
    mn_graph *graph = &pool->bed->graph;
    const mn_node a = any(pool);
    const uint32_t n = rows_of(pool, a), c = columns_of(pool, a);
    uint32_t m = 1 + below(4), first = below(n), count = 1 + below(n - first);
    mn_node b, parts[3];
    bool ta, tb;
    switch (kind) {
    case 0: /* a gate */
        return mn_graph_multiply(graph, mn_graph_sigmoid(graph, a), like(pool, a));
    case 1: /* with one minus the gate */
        b = like(pool, a);
        return mn_graph_add(
            graph, mn_graph_multiply(graph, mn_graph_sigmoid(graph, a), b),
            mn_graph_subtract(graph, a, mn_graph_multiply(graph, mn_graph_sigmoid(graph, a), a)));
    case 2:
        return mn_graph_tanh(graph, mn_graph_linear(graph, a, of_shape(pool, c, m)));
    case 3: /* in blocks */
        ta = below(2), tb = below(2);
        first = n % 2 == 0 ? 2 : 1;
        count = ta ? n / first : c; /* k */
        b = tb ? of_shape(pool, first * m, count) : of_shape(pool, first * count, m);
        return mn_graph_tanh(graph, mn_graph_batched_product(graph, a, b, first, ta, tb));
    case 4:
        return mn_graph_columns(graph, a, first % c, 1 + below(c - first % c));
    case 5:
        parts[0] = a;
        parts[1] = of_shape(pool, n, m);
        parts[2] = below(2) ? a : parts[1];
        return mn_graph_concat_columns(graph, 2 + below(2), parts);
    case 6:
        return mn_graph_rows(graph, a, first, count);
    case 7: /* rows of itself into itself */
        return mn_graph_place_rows(graph, mn_graph_rows(graph, a, first, count),
                                   below(n - count + 1), n, a);
    case 8:
        return mn_graph_place_rows(graph, of_shape(pool, count, c), first, n,
                                   below(2) ? MN_NONE : like(pool, a));
    case 9:
        return mn_graph_repeat_rows(graph, a, 2);
    case 10:
        return mn_graph_tile_rows(graph, a, 2);
    case 11:
        return mn_graph_tanh(graph, mn_graph_sum_groups(graph, a,
                                                        n % 3 == 0   ? 3
                                                        : n % 2 == 0 ? 2
                                                                     : 1));
    case 12:
        return mn_graph_softmax(
            graph, a,
            below(2) || n * c > MOST
                ? MN_NONE
                : mn_graph_input(graph, MN_SLOT_Y, 0, mn_matrix(n, c))); /* zeros and ones */
    case 13:
        return mn_graph_tanh(
            graph,
            mn_graph_embed(graph, mn_graph_input(graph, MN_SLOT_X, below(40), mn_matrix(m, 3)), a,
                           below(2) || c > 8 ? MN_NONE
                                             : mn_graph_input(graph, MN_SLOT_Y, 0, mn_matrix(3, c)),
                           (long)below(3) - 1));
    case 14:
        return mn_graph_row_scale(graph, of_shape(pool, n, 1), a);
    case 15:
        return mn_graph_column_scale(graph, a, of_shape(pool, 1, c));
    case 16:
        return mn_graph_bias(graph, a, of_shape(pool, 1, c));
    case 17:
        return mn_graph_tanh(graph, mn_graph_row_dot(graph, a, like(pool, a)));
    case 18:
        return mn_graph_reciprocal(graph, at_least_one(graph, a));
    case 19:
        return mn_graph_multiply(graph, mn_graph_root(graph, at_least_one(graph, a)),
                                 mn_graph_reciprocal(graph, at_least_one(graph, like(pool, a))));
    case 20:
        return mn_graph_log(graph, at_least_one(graph, a));
    case 21:
        return mn_graph_softplus(graph, a);
    case 22:
        return mn_graph_exp(graph, mn_graph_scale(graph, 0.5, mn_graph_tanh(graph, a)));
    case 23:
        return mn_graph_scale_add(graph, -0.5, a, like(pool, a));
    case 24:
        return mn_graph_tanh(
            graph, mn_graph_reshape(graph, mn_graph_column_sums(graph, a), mn_matrix(1, c)));
    case 25:
        return mn_graph_tanh(graph, mn_graph_reshape(graph, a, mn_matrix(c, n)));
    case 26:
        return mn_graph_scale(graph, 0.9, mn_graph_reshape(graph, a, mn_matrix(c, n)));
    case 27: /* of what dies: parts of itself against itself */
        b = mn_graph_scale(graph, 0.8, a);
        return mn_graph_bias(graph, b, mn_graph_rows(graph, b, first, 1));
    case 28:
        b = mn_graph_scale(graph, 0.8, a);
        return mn_graph_column_scale(graph, b, mn_graph_rows(graph, b, first, 1));
    case 29:
        b = mn_graph_scale(graph, 0.8, a);
        parts[0] = mn_graph_reshape(graph, b, mn_matrix(n * c, 1));
        return mn_graph_row_scale(graph, mn_graph_rows(graph, parts[0], below(n * c - n + 1), n),
                                  b);
    case 30:
        b = mn_graph_scale(graph, 0.8, a);
        return mn_graph_place_rows(graph, mn_graph_rows(graph, b, first, count),
                                   below(n - count + 1), n, b);
    case 31: /* in place, again and again, by views */
        b = mn_graph_scale(graph, 0.8, mn_graph_sigmoid(graph, a));
        b = mn_graph_scale(graph, 1.1, mn_graph_reshape(graph, b, mn_matrix(c, n)));
        return mn_graph_scale(graph, 0.7, mn_graph_reshape(graph, b, mn_matrix(n, c)));
    case 32: /* into itself, by name */
        b = mn_graph_scale(graph, 0.8, a);
        return mn_graph_tanh(graph, scatter(graph, n, b, b));
    case 33:
        b = of_shape(pool, n, below(2) ? 1 : c);
        return mn_graph_tanh(graph, mn_graph_scan(graph, b, a, n % 2 == 0 ? 2 : n, below(2)));
    case 34: /* into its own place */
        b = mn_graph_scale(graph, 0.8, a);
        return mn_graph_tanh(graph, mn_graph_scan(graph, b, b, n % 2 == 0 ? 2 : n, below(2)));
    case 35:
        return mn_graph_shift(graph, a, n % 2 == 0 ? 2 : n, below(2));
    default: /* an array that is written piece by piece, as an unrolled memory is */
        b = mn_graph_zero(graph, mn_matrix(2 * n, c));
        b = mn_graph_place_rows(graph, a, 0, 2 * n, b);
        return mn_graph_place_rows(graph, like(pool, a), n - first, 2 * n, b);
    }
}

/* The values of node y when only that is asked for, and when every array must stay: no two may share
 * their bytes then. */
static void check_sharing(struct bed *bed, mn_node y)
{
    GRAPH;
    static double alone[MOST], among[MAX_SIZE];
    static mn_plan_output outputs[1 + MAX_SIZE];
    const mn_extent extent = mn_graph_extent(graph, y);
    const size_t n = mn_extent_count(extent);
    size_t n_outputs = 1, end = n;
    outputs[0] = (mn_plan_output){y, MN_SLOT_OUTPUT, 0, n, 0};
    for (mn_node i = 0; i < y; i++) {
        const size_t count = mn_extent_count(graph->nodes[i].extent);
        if (mn_op_rows[graph->nodes[i].op]->result != MN_RESULT_NUMBERS || end + count > MAX_SIZE)
            continue;
        outputs[n_outputs++] = (mn_plan_output){i, MN_SLOT_OUTPUT, end, count, 0};
        end += count;
    }
    for (int all = 0; all < 2; all++) {
        mn_plan *plan;
        assert_int_equal(mn_plan_new(graph, MN_NONE, all ? n_outputs : 1, outputs,
                                     &mn_kernels_plain, &plan, NULL),
                         MN_OK);
        void *scratch = aligned_alloc(64, mn_plan_scratch_bytes(plan) + 64);
        assert_non_null(scratch);
        memset(scratch, 0xff, mn_plan_scratch_bytes(plan));
        mn_plan_run(plan, 0, scratch,
                    &(mn_bindings){.in = {[MN_SLOT_THETA] = bed->theta,
                                          [MN_SLOT_X] = bed->x_data,
                                          [MN_SLOT_Y] = bed->y_data},
                                   .out = {[MN_SLOT_OUTPUT] = all ? among : alone}});
        free(scratch);
        mn_plan_destroy(&plan);
    }
    for (size_t i = 0; i < n; i++)
        if (!(fabs(alone[i] - among[i]) <= 1e-12))
            fail_msg("%s: value %zu is %.15g alone, %.15g among others", bed->name, i, alone[i],
                     among[i]);
}

static void check_random_graph(uint32_t seed)
{
    struct bed *bed = ops_bed(1000 + seed);
    GRAPH;
    struct pool pool = {.bed = bed};
    (void)snprintf(bed->name, sizeof bed->name, "random graph %u", seed);
    for (size_t i = 0; i < MOST; i++) {
        bed->x_data[i] = (double)below(8) - 1; /* names, some of no row */
        bed->y_data[i] = (double)below(2);
    }
    for (int i = 0; i < 2; i++) {
        mn_node raw = tensor(bed, mn_matrix(2 + below(4), 1 + below(4)));
        add_to_pool(&pool, below(2) ? raw : mn_graph_tanh(graph, raw));
    }
    const uint32_t n_steps = 3 + below(10);
    for (uint32_t i = 0; i < n_steps; i++) {
        mn_node node = random_step(&pool, below(N_STEPS));
        const mn_extent extent = mn_graph_extent(graph, node);
        if (mn_extent_count(extent) <= MOST)
            add_to_pool(&pool, node);
    }
    /* The last two arrays, side by side, against numbers. */
    mn_node last = pool.nodes[pool.n - 1], other = pool.nodes[pool.n - 2];
    mn_node y = mn_graph_tanh(graph, last), loss;
    if (below(2))
        y = mn_graph_add(graph, y, like(&pool, y));
    if (below(3) == 0) {
        loss = mn_graph_weighted_cross_entropy(
            graph, y,
            mn_graph_softmax(graph, mn_graph_zero(graph, mn_graph_extent(graph, y)), MN_NONE),
            mn_graph_constant(graph, 0.3, mn_matrix(rows_of(&pool, y), 1)));
    } else {
        mn_node z = of_shape(&pool, rows_of(&pool, other), columns_of(&pool, other));
        mn_node w = of_shape(&pool, columns_of(&pool, y), columns_of(&pool, z));
        mn_node v = mn_graph_tanh(graph, mn_graph_linear(graph, y, w));
        const bool fits = mn_extent_count(mn_graph_extent(graph, v)) <= MOST;
        loss = below(2) || !fits ? mn_graph_mean(graph, mn_graph_multiply(graph, v, v))
                                 : loss_of(bed, v);
    }
    const uint32_t n_nodes = graph->n_nodes;
    compile(bed, loss);
    for (mn_node i = 0; i < (mn_node)n_nodes; i++)
        if (mn_extent_count(mn_graph_extent(graph, i)) <= MOST && !is_loss(bed, i))
            check_sharing(bed, i);
    compare_with_central_differences(bed, false);
    bed_destroy(bed);
}

static void random_graphs_agree_with_central_differences(void **state)
{
    (void)state;
    const char *only = getenv("MNEMO_TEST_SEED");
    if (only != NULL)
        check_random_graph((uint32_t)atoi(only));
    for (uint32_t seed = 0; only == NULL && seed < N_GRAPHS; seed++)
        check_random_graph(seed);
}

/* ---- a long recurrence */

/* An LSTM of T steps: gates by columns, all states put one below the other, one product of them. */
static mn_node unrolled(struct bed *bed, uint32_t steps, uint32_t items, uint32_t in, uint32_t h)
{
    GRAPH;
    mn_node x = mn_graph_input(graph, MN_SLOT_X, 0, mn_matrix(steps * items, in));
    mn_node wx = tensor(bed, mn_matrix(in, 4 * h)), wh = tensor(bed, mn_matrix(h, 4 * h)),
            b = tensor(bed, mn_matrix(1, 4 * h)), out = tensor(bed, mn_matrix(h, 2));
    mn_node from_x = mn_graph_bias(graph, mn_graph_linear(graph, x, wx), b);
    mn_node state = mn_graph_zero(graph, mn_matrix(items, h)), cell = state;
    mn_node all = mn_graph_zero(graph, mn_matrix(steps * items, h));
    for (uint32_t t = 0; t < steps; t++) {
        mn_node z = mn_graph_add(graph, mn_graph_rows(graph, from_x, t * items, items),
                                 mn_graph_linear(graph, state, wh));
        mn_node gates[4];
        for (uint32_t g = 0; g < 4; g++)
            gates[g] = mn_graph_columns(graph, z, g * h, h);
        cell =
            mn_graph_add(graph, mn_graph_multiply(graph, mn_graph_sigmoid(graph, gates[0]), cell),
                         mn_graph_multiply(graph, mn_graph_sigmoid(graph, gates[1]),
                                           mn_graph_tanh(graph, gates[2])));
        state =
            mn_graph_multiply(graph, mn_graph_sigmoid(graph, gates[3]), mn_graph_tanh(graph, cell));
        all = mn_graph_place_rows(graph, state, t * items, steps * items, all);
    }
    mn_node y = mn_graph_linear(graph, all, out);
    return mn_graph_squared_error(graph, y,
                                  mn_graph_input(graph, MN_SLOT_Y, 0, mn_matrix(steps * items, 2)));
}

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void a_long_recurrence_is_compiled_and_needs_memory_for_its_states_alone(void **state)
{
    (void)state;
    enum { STEPS = 200, ITEMS = 2, IN = 3, H = 4 };
    struct bed *bed = bed_new(mn_matrix(1, 1), mn_matrix(1, 1), 140);
    (void)snprintf(bed->name, sizeof bed->name, "recurrence of %d steps", STEPS);
    EACH(i, (size_t)STEPS * ITEMS * IN)
    bed->x_data[i] = draw();
    EACH(i, (size_t)STEPS * ITEMS * 2)
    bed->y_data[i] = draw();
    const double start = seconds();
    mn_node loss = unrolled(bed, STEPS, ITEMS, IN, H);
    compile(bed, loss);
    print_message("%u nodes in %.3f s: scratch %zu, kept %zu bytes\n", bed->graph.n_nodes,
                  seconds() - start, mn_plan_scratch_bytes(bed->plan),
                  mn_plan_kept_bytes(bed->plan));
    assert_true(bed->graph.n_nodes > 3000);
    check_against_central_differences(bed);

    /* What a step keeps: a dozen arrays of H for each item forwards, as many of their tangents, and
     * 4 H of z and its adjoint; not an array of all steps for each step. */
    const size_t bytes = mn_plan_scratch_bytes(bed->plan) + mn_plan_kept_bytes(bed->plan);
    assert_true(bytes < (size_t)STEPS * 64 * ITEMS * H * sizeof(double));
    bed_destroy(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_has_the_right_value_gradient_and_product),
        cmocka_unit_test(the_loss_by_a_softmax_is_the_cross_entropy),
        cmocka_unit_test(both_factors_of_a_sum_of_products_are_trained),
        cmocka_unit_test(the_pixels_of_an_image_are_the_rows_of_a_product),
        cmocka_unit_test(what_has_no_rule_is_refused_by_its_name_and_its_part),
        cmocka_unit_test(tangents_may_be_asked_for_twice),
        cmocka_unit_test(an_output_is_there_after_its_stage),
        cmocka_unit_test(random_graphs_agree_with_central_differences),
        cmocka_unit_test(a_long_recurrence_is_compiled_and_needs_memory_for_its_states_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
