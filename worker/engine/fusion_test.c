/* fusion_test.c: what is taken in and what is not; graph_test.c shows that the values stay. */
#include "worker/engine/fusion.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N 3
#define C 4

static const mn_extent square = {C, 1, 1, C}, vector = {1, 1, 1, C}, items = {N, 1, 1, C};

static mn_node input(mn_graph *graph, mn_slot slot, size_t offset, mn_extent extent)
{
    return mn_graph_input(graph, slot, offset, extent);
}

static mn_plan_output wanted(mn_node node)
{
    return (mn_plan_output){.node = node, .slot = MN_SLOT_OUTPUT, .count = (size_t)N * C};
}

static mn_graph fused(mn_graph *graph, size_t n_outputs, const mn_plan_output *outputs)
{
    mn_graph result;
    mn_error err;
    assert_int_equal(mn_fusion_of(graph, MN_NONE, n_outputs, outputs, &result, &err), MN_OK);
    mn_graph_fini(graph);
    return result;
}

static void a_layer_is_one_product(void **state)
{
    (void)state;
    mn_graph graph;
    mn_graph_init(&graph);
    mn_node x = input(&graph, MN_SLOT_X, 0, items), w = input(&graph, MN_SLOT_THETA, 0, square);
    mn_node b = input(&graph, MN_SLOT_THETA, 16, vector);
    mn_node y = mn_graph_relu(&graph, mn_graph_bias(&graph, mn_graph_linear(&graph, x, w), b));
    mn_plan_output output = wanted(y);
    mn_graph result = fused(&graph, 1, &output);

    const mn_graph_node *node = &result.nodes[y];
    assert_int_equal(node->op, MN_OP_GEMM);
    assert_true(node->relu_after);
    assert_int_equal(node->in[MN_GEMM_A], x);
    assert_int_equal(node->in[MN_GEMM_B], w);
    assert_int_equal(node->in[MN_GEMM_BIAS], b);
    assert_int_equal(node->in[MN_GEMM_A2], MN_NONE);
    assert_int_equal(node->in[MN_GEMM_MASK], MN_NONE);
    mn_graph_fini(&result);
}

static void what_is_read_elsewhere_is_not_taken_in(void **state)
{
    (void)state;
    for (int elsewhere = 0; elsewhere < 2; elsewhere++) { /* another output; another operation */
        mn_graph graph;
        mn_graph_init(&graph);
        mn_node x = input(&graph, MN_SLOT_X, 0, items);
        mn_node product = mn_graph_linear(&graph, x, input(&graph, MN_SLOT_THETA, 0, square));
        mn_node biased = mn_graph_bias(&graph, product, input(&graph, MN_SLOT_THETA, 16, vector));
        mn_plan_output outputs[] = {
            wanted(biased), wanted(elsewhere == 0 ? product : mn_graph_tanh(&graph, product))};
        mn_graph result = fused(&graph, 2, outputs);
        assert_int_equal(result.nodes[product].op, MN_OP_GEMM);
        assert_int_equal(result.nodes[biased].op, MN_OP_BIAS);
        assert_int_equal(result.nodes[biased].in[0], product);
        mn_graph_fini(&result);
    }
}

static void a_reader_that_nobody_wants_does_not_count(void **state)
{
    (void)state;
    mn_graph graph;
    mn_graph_init(&graph);
    mn_node x = input(&graph, MN_SLOT_X, 0, items);
    mn_node product = mn_graph_linear(&graph, x, input(&graph, MN_SLOT_THETA, 0, square));
    (void)mn_graph_tanh(&graph, product);
    mn_node y = mn_graph_relu(&graph, product);
    mn_plan_output output = wanted(y);
    mn_graph result = fused(&graph, 1, &output);
    assert_int_equal(result.nodes[y].op, MN_OP_GEMM);
    assert_true(result.nodes[y].relu_after);
    mn_graph_fini(&result);
}

static void nothing_follows_a_relu_into_a_product(void **state)
{
    (void)state;
    mn_graph graph;
    mn_graph_init(&graph);
    mn_node x = input(&graph, MN_SLOT_X, 0, items);
    mn_node y = mn_graph_linear(&graph, x, input(&graph, MN_SLOT_THETA, 0, square));
    mn_node clipped = mn_graph_relu(&graph, y);
    mn_node biased = mn_graph_bias(&graph, clipped, input(&graph, MN_SLOT_THETA, 16, vector));
    mn_plan_output output = wanted(biased);
    mn_graph result = fused(&graph, 1, &output);
    assert_true(result.nodes[clipped].relu_after);
    assert_int_equal(result.nodes[biased].op, MN_OP_BIAS);
    mn_graph_fini(&result);
}

/* Two layers and their loss; the gradient and the product along directions of all tensors. */
static void products_and_masks_of_the_tangents_are_taken_in(void **state)
{
    (void)state;
    mn_graph graph;
    mn_graph_init(&graph);
    mn_node theta[4], directions[4], gradients[4], products[4];
    const mn_extent extents[4] = {square, vector, square, vector};
    for (int i = 0; i < 4; i++) {
        theta[i] = input(&graph, MN_SLOT_THETA, (size_t)i * 32, extents[i]);
        directions[i] = input(&graph, MN_SLOT_DIRECTION, (size_t)i * 32, extents[i]);
    }
    mn_node x = input(&graph, MN_SLOT_X, 0, items), h = x;
    for (int i = 0; i < 4; i += 2) {
        h = mn_graph_bias(&graph, mn_graph_linear(&graph, h, theta[i]), theta[i + 1]);
        if (i == 0)
            h = mn_graph_relu(&graph, h);
    }
    mn_node loss = mn_graph_squared_error(&graph, h, input(&graph, MN_SLOT_Y, 0, items));
    mn_graph_gradient(&graph, loss, 4, theta, gradients);
    mn_graph_tangents(&graph, 4, theta, directions, 4, gradients, products);
    mn_plan_output outputs[8];
    for (int i = 0; i < 4; i++) {
        outputs[i] = wanted(gradients[i]);
        outputs[4 + i] = wanted(products[i]);
        outputs[4 + i].stage = 1;
    }
    mn_graph result = fused(&graph, 8, outputs);

    int alone = 0, masked = 0, doubled = 0;
    bool read[256] = {false};
    assert_true(result.n_nodes < 256);
    for (int i = 0; i < 8; i++)
        read[outputs[i].node] = true;
    for (mn_node i = (mn_node)result.n_nodes - 1; i >= 0; i--) {
        const mn_graph_node *node = &result.nodes[i];
        if (!read[i])
            continue;
        for (int k = 0; k < MN_MAX_INPUTS; k++)
            if (node->in[k] != MN_NONE)
                read[node->in[k]] = true;
        if (node->plus != MN_NONE)
            read[node->plus] = true;
        alone += node->op == MN_OP_BIAS || node->op == MN_OP_RELU || node->op == MN_OP_MASK;
        masked += node->op == MN_OP_GEMM && node->in[MN_GEMM_MASK] != MN_NONE;
        doubled += node->op == MN_OP_GEMM && node->in[MN_GEMM_A2] != MN_NONE;
    }
    assert_int_equal(alone, 0);
    assert_int_equal(masked, 3);  /* dh, and the tangents of h and dh */
    assert_int_equal(doubled, 3); /* the tangents of y, dh and dw of the second layer */
    mn_graph_fini(&result);
}

/* The step of an inner loop from weights along their gradient, and the same of a bias. */
static void a_step_along_a_product_or_column_sums_is_taken_in_by_them(void **state)
{
    (void)state;
    for (int read_twice = 0; read_twice < 2; read_twice++) {
        mn_graph graph;
        mn_graph_init(&graph);
        mn_node w = input(&graph, MN_SLOT_PHI, 0, square);
        mn_node b = input(&graph, MN_SLOT_PHI, 16, vector), wrt[] = {w, b}, gradients[2];
        mn_node y = mn_graph_bias(
            &graph, mn_graph_linear(&graph, input(&graph, MN_SLOT_X, 0, items), w), b);
        mn_node target = input(&graph, MN_SLOT_Y, 0, items);
        mn_graph_gradient(&graph, mn_graph_squared_error(&graph, y, target), 2, wrt, gradients);
        mn_node moved[] = {mn_graph_scale_add(&graph, -0.5, gradients[0], w),
                           mn_graph_scale_add(&graph, -0.25, gradients[1], b)};
        mn_plan_output outputs[] = {wanted(moved[0]), wanted(moved[1]), wanted(gradients[0]),
                                    wanted(gradients[1])};
        mn_graph result = fused(&graph, read_twice ? 4 : 2, outputs);
        const mn_graph_node *product = &result.nodes[moved[0]], *sums = &result.nodes[moved[1]];
        if (read_twice) {
            assert_int_equal(product->op, MN_OP_SCALE_ADD);
            assert_int_equal(sums->op, MN_OP_SCALE_ADD);
        } else {
            assert_int_equal(product->op, MN_OP_GEMM);
            assert_int_equal(product->in[MN_GEMM_BASE], w);
            assert_true(product->base_factor == -0.5);
            assert_int_equal(sums->op, MN_OP_COLUMN_SUMS);
            assert_int_equal(sums->in[MN_SUMS_BASE], b);
            assert_true(sums->factor == -0.25);
        }
        mn_graph_fini(&result);
    }
}

/* A product may have the extent of images, as the adjoint of one has; a bias is for their rows. */
static void the_bias_of_an_images_pixels_is_not_taken_in(void **state)
{
    (void)state;
    mn_graph graph;
    mn_graph_init(&graph);
    mn_node x = input(&graph, MN_SLOT_X, 0, (mn_extent){N, 2, 1, C});
    mn_node w = input(&graph, MN_SLOT_THETA, 0, (mn_extent){2 * C, 1, 1, C}), adjoint;
    mn_node y = input(&graph, MN_SLOT_Y, 0, items);
    mn_node loss = mn_graph_squared_error(&graph, mn_graph_linear(&graph, x, w), y);
    mn_graph_gradient(&graph, loss, 1, &x, &adjoint);
    mn_node biased = mn_graph_bias(&graph, adjoint, input(&graph, MN_SLOT_THETA, 32, vector));
    mn_plan_output output = wanted(biased);
    mn_graph result = fused(&graph, 1, &output);
    assert_int_equal(result.nodes[adjoint].op, MN_OP_GEMM);
    assert_int_equal(result.nodes[biased].op, MN_OP_BIAS);
    mn_graph_fini(&result);
}

/* What has taken in a step takes in nothing behind it. */
static void nothing_follows_a_step_into_a_product(void **state)
{
    (void)state;
    mn_graph graph;
    mn_graph_init(&graph);
    mn_node base = input(&graph, MN_SLOT_Y, 0, items);
    mn_node y = mn_graph_linear(&graph, input(&graph, MN_SLOT_X, 0, items),
                                input(&graph, MN_SLOT_THETA, 0, square));
    mn_node moved = mn_graph_scale_add(&graph, -0.5, y, base);
    mn_node clipped = mn_graph_relu(&graph, moved);
    mn_node again = mn_graph_scale_add(&graph, 2, clipped, base);
    mn_plan_output output = wanted(again);
    mn_graph result = fused(&graph, 1, &output);
    assert_int_equal(result.nodes[moved].op, MN_OP_GEMM);
    assert_int_equal(result.nodes[clipped].op, MN_OP_RELU);
    assert_int_equal(result.nodes[again].op, MN_OP_SCALE_ADD);
    mn_graph_fini(&result);
}

/* A first layer with its gradient. */
struct layer {
    mn_graph graph;
    mn_node conv, normal, pooled, loss, theta[3], gradients[3];
    mn_plan_output outputs[4];
};

enum { IMAGES = 5, SIDE = 8, FILTERS = 20, WEIGHTS = 9 * FILTERS, N_THETA = WEIGHTS + 2 * FILTERS };

static void build_layer(struct layer *l, uint32_t c_in, bool relu)
{
    const mn_extent pixels = {IMAGES, SIDE, SIDE, c_in};
    mn_graph *graph = &l->graph;
    mn_graph_init(graph);
    mn_node x = input(graph, MN_SLOT_X, 0, pixels);
    l->theta[0] = input(graph, MN_SLOT_THETA, 0, (mn_extent){9 * c_in, 1, 1, FILTERS});
    for (int i = 1; i < 3; i++)
        l->theta[i] = input(graph, MN_SLOT_THETA, WEIGHTS * c_in + (size_t)(i - 1) * FILTERS,
                            (mn_extent){1, 1, 1, FILTERS});
    l->conv = mn_graph_conv(graph, x, l->theta[0], 1);
    l->normal = mn_graph_batch_norm(graph, l->conv, l->theta[1], l->theta[2], 1e-3, relu);
    l->pooled = mn_graph_max_pool(graph, l->normal);
    l->loss = mn_graph_squared_error(graph, l->pooled,
                                     input(graph, MN_SLOT_Y, 0, mn_graph_extent(graph, l->pooled)));
    mn_graph_gradient(graph, l->loss, 3, l->theta, l->gradients);
    for (size_t i = 0, at = 0; i < 3; i++) {
        size_t count = mn_extent_count(mn_graph_extent(graph, l->theta[i]));
        l->outputs[i] = (mn_plan_output){
            .node = l->gradients[i], .slot = MN_SLOT_GRADIENT, .offset = at, .count = count};
        at += count;
    }
}

static bool has_first_layer(const struct layer *l, size_t n_outputs)
{
    mn_graph result;
    bool found = false;
    mn_error err;
    assert_int_equal(mn_fusion_of(&l->graph, l->loss, n_outputs, l->outputs, &result, &err), MN_OK);
    for (uint32_t i = 0; i < result.n_nodes; i++)
        found = found || result.nodes[i].op == MN_OP_FIRST_LAYER;
    mn_graph_fini(&result);
    return found;
}

static double run_layer(const struct layer *l, size_t n_outputs, const mn_kernels *kernels,
                        float gradient[N_THETA])
{
    enum { N_X = IMAGES * SIDE * SIDE, N_NORMAL = N_X * FILTERS, N_Y = N_NORMAL / 4 };
    static float x[N_X], y[N_Y], theta[N_THETA], normal[N_NORMAL];
    uint32_t seed = 7;
    for (size_t i = 0; i < N_X + N_Y + N_THETA; i++) {
        seed = seed * 1664525u + 1013904223u;
        *(i < N_X         ? &x[i]
          : i < N_X + N_Y ? &y[i - N_X]
                          : &theta[i - N_X - N_Y]) = (float)(seed >> 8) / (1 << 23) - 1;
    }
    mn_plan *plan;
    mn_error err;
    assert_int_equal(mn_plan_new(&l->graph, l->loss, n_outputs, l->outputs, kernels, &plan, &err),
                     MN_OK);
    void *scratch = aligned_alloc(64, mn_plan_scratch_bytes(plan));
    assert_non_null(scratch);
    memset(scratch, 0xff, mn_plan_scratch_bytes(plan));
    mn_plan_run(plan, 0, scratch,
                &(mn_bindings){.in = {[MN_SLOT_X] = x, [MN_SLOT_Y] = y, [MN_SLOT_THETA] = theta},
                               .out = {[MN_SLOT_GRADIENT] = gradient, [MN_SLOT_OUTPUT] = normal}});
    const double loss = mn_plan_loss(plan, scratch);
    free(scratch);
    mn_plan_destroy(&plan);
    return loss;
}

/* Five images are strips of one, which is two blocks of rows. That an inner array is wanted keeps
 * the layer as it was. */
static void a_first_layer_in_strips_gives_the_bits_of_one_in_passes(void **state)
{
    (void)state;
    for (int relu = 0; relu < 2; relu++) {
        struct layer l;
        build_layer(&l, 1, relu);
        l.outputs[3] = (mn_plan_output){.node = l.normal,
                                        .slot = MN_SLOT_OUTPUT,
                                        .count = (size_t)IMAGES * SIDE * SIDE * FILTERS};
        assert_true(has_first_layer(&l, 3));
        assert_false(has_first_layer(&l, 4));
        for (const mn_kernels *const *table = mn_kernels_all(); *table != NULL; table++) {
            if (*table == &mn_kernels_plain) /* its sums are not by blocks */
                continue;
            float strips[N_THETA], passes[N_THETA];
            assert_true(run_layer(&l, 3, *table, strips) == run_layer(&l, 4, *table, passes));
            assert_memory_equal(strips, passes, sizeof strips);
        }
        mn_graph_fini(&l.graph);
    }
}

static void a_layer_of_which_more_is_wanted_stays_in_passes(void **state)
{
    (void)state;
    struct layer l;
    build_layer(&l, 1, true);
    mn_node inner[] = {
        l.conv, l.normal, mn_graph_tanh(&l.graph, l.conv), mn_graph_relu(&l.graph, l.normal),
        mn_graph_conv(&l.graph, l.normal,
                      input(&l.graph, MN_SLOT_THETA, 0, (mn_extent){9 * FILTERS, 1, 1, 1}), 1)};
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
        l.outputs[3] = wanted(inner[i]);
        assert_false(has_first_layer(&l, 4));
    }
    assert_true(has_first_layer(&l, 2)); /* weights alone, and gamma */
    mn_graph_fini(&l.graph);
}

static void a_layer_of_many_channels_stays_in_passes(void **state)
{
    (void)state;
    for (uint32_t c_in = 3; c_in < 9; c_in += 5) {
        struct layer l;
        build_layer(&l, c_in, true);
        assert_int_equal(has_first_layer(&l, 3), c_in == 3);
        mn_graph_fini(&l.graph);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_is_one_product),
        cmocka_unit_test(what_is_read_elsewhere_is_not_taken_in),
        cmocka_unit_test(a_reader_that_nobody_wants_does_not_count),
        cmocka_unit_test(nothing_follows_a_relu_into_a_product),
        cmocka_unit_test(products_and_masks_of_the_tangents_are_taken_in),
        cmocka_unit_test(a_step_along_a_product_or_column_sums_is_taken_in_by_them),
        cmocka_unit_test(the_bias_of_an_images_pixels_is_not_taken_in),
        cmocka_unit_test(nothing_follows_a_step_into_a_product),
        cmocka_unit_test(a_first_layer_in_strips_gives_the_bits_of_one_in_passes),
        cmocka_unit_test(a_layer_of_which_more_is_wanted_stays_in_passes),
        cmocka_unit_test(a_layer_of_many_channels_stays_in_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
