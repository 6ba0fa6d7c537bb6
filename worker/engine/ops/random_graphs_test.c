/* Random graphs of the operations: no two arrays share their bytes while both are needed, and
 * gradients and products are those of central differences. And a recurrence of many steps. */
#include "worker/engine/ops/ops_bed.h"

#include <time.h>

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

enum { N_STEPS = 38 };

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
    case 36:
        return mn_graph_swap_axes(graph, a, n % 2 == 0 ? 2 : 1, n % 2 == 0 ? n / 2 : n, c);
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
        if (mn_extent_count(mn_graph_extent(graph, i)) <= MOST &&
            mn_op_rows[graph->nodes[i].op]->result == MN_RESULT_NUMBERS)
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
        cmocka_unit_test(random_graphs_agree_with_central_differences),
        cmocka_unit_test(a_long_recurrence_is_compiled_and_needs_memory_for_its_states_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
