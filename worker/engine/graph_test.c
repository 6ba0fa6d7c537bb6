/* graph_test.c: gradients and Hessian-vector products of whole networks against central
 * differences, in double. */
#include "worker/engine/graph_bed.h"

static mn_node dense(struct bed *bed, mn_node x, uint32_t in, uint32_t out)
{
    mn_node w = tensor(bed, (mn_extent){in, 1, 1, out}), b = tensor(bed, (mn_extent){1, 1, 1, out});
    return mn_graph_bias(&bed->graph, mn_graph_linear(&bed->graph, x, w), b);
}

static mn_node normalised(struct bed *bed, mn_node x, uint32_t c, bool relu)
{
    mn_node gamma = tensor(bed, (mn_extent){1, 1, 1, c}),
            beta = tensor(bed, (mn_extent){1, 1, 1, c});
    return mn_graph_batch_norm(&bed->graph, x, gamma, beta, 1e-5, relu);
}

static mn_node conv(struct bed *bed, mn_node x, uint32_t in, uint32_t out, uint32_t stride)
{
    return mn_graph_conv(&bed->graph, x, tensor(bed, (mn_extent){9 * in, 1, 1, out}), stride);
}

static void mlp_with_tanh_and_squared_error(void **state)
{
    (void)state;
    struct bed *bed = bed_new((mn_extent){7, 1, 1, 3}, (mn_extent){7, 1, 1, 2}, 1);
    for (size_t i = 0; i < bed->target_count; i++)
        bed->y_data[i] = draw();
    mn_node h = mn_graph_tanh(&bed->graph, dense(bed, bed->x, 3, 6));
    h = mn_graph_tanh(&bed->graph, dense(bed, h, 6, 5));
    compile(bed, mn_graph_squared_error(&bed->graph, dense(bed, h, 5, 2), bed->target));
    check_against_central_differences(bed);
    bed_destroy(bed);
}

static void mlp_with_relu_and_cross_entropy(void **state)
{
    (void)state;
    struct bed *bed = bed_new((mn_extent){9, 1, 1, 4}, (mn_extent){9, 1, 1, 3}, 2);
    one_hot_targets(bed, 3);
    mn_node h = mn_graph_relu(&bed->graph, dense(bed, bed->x, 4, 8));
    h = mn_graph_relu(&bed->graph, dense(bed, h, 8, 8));
    compile(bed, mn_graph_cross_entropy(&bed->graph, dense(bed, h, 8, 3), bed->target));
    check_against_central_differences(bed);
    bed_destroy(bed);
}

static void mlp_with_batch_norm_before_tanh(void **state)
{
    (void)state;
    struct bed *bed = bed_new((mn_extent){11, 1, 1, 3}, (mn_extent){11, 1, 1, 3}, 3);
    one_hot_targets(bed, 3);
    mn_node w = tensor(bed, (mn_extent){3, 1, 1, 6});
    mn_node h = normalised(bed, mn_graph_linear(&bed->graph, bed->x, w), 6, false);
    h = mn_graph_tanh(&bed->graph, h);
    h = normalised(bed, dense(bed, h, 6, 5), 5, true);
    compile(bed, mn_graph_cross_entropy(&bed->graph, dense(bed, h, 5, 3), bed->target));
    check_against_central_differences(bed);
    bed_destroy(bed);
}

static void strided_convolutions_with_mean(void **state)
{
    (void)state;
    struct bed *bed = bed_new((mn_extent){6, 7, 6, 2}, (mn_extent){6, 1, 1, 3}, 4);
    one_hot_targets(bed, 3);
    mn_node h = normalised(bed, conv(bed, bed->x, 2, 4, 2), 4, true);
    h = normalised(bed, conv(bed, h, 4, 3, 2), 3, true);
    h = mn_graph_pixel_mean(&bed->graph, h);
    compile(bed, mn_graph_cross_entropy(&bed->graph, dense(bed, h, 3, 3), bed->target));
    check_against_central_differences(bed);
    bed_destroy(bed);
}

static void max_pooled_convolutions_flattened(void **state)
{
    (void)state;
    struct bed *bed = bed_new((mn_extent){4, 9, 8, 1}, (mn_extent){4, 1, 1, 2}, 5);
    one_hot_targets(bed, 2);
    mn_node h =
        mn_graph_max_pool(&bed->graph, normalised(bed, conv(bed, bed->x, 1, 3, 1), 3, true));
    h = mn_graph_max_pool(&bed->graph, normalised(bed, conv(bed, h, 3, 4, 1), 4, true));
    compile(bed, mn_graph_cross_entropy(&bed->graph, dense(bed, h, 2 * 2 * 4, 2), bed->target));
    check_against_central_differences(bed);
    bed_destroy(bed);
}

/* Two convolutions with batch norm and a head; the mean over pixels in between. */
static mn_node small_conv_network(struct bed *bed)
{
    one_hot_targets(bed, 3);
    mn_node h = normalised(bed, conv(bed, bed->x, 1, 3, 2), 3, true);
    h = normalised(bed, conv(bed, h, 3, 4, 1), 4, true);
    h = mn_graph_pixel_mean(&bed->graph, h);
    return mn_graph_cross_entropy(&bed->graph, dense(bed, h, 4, 3), bed->target);
}

static void a_product_along_one_tensor_is_that_along_all_with_zeros(void **state)
{
    (void)state;
    const mn_extent x = {5, 6, 6, 1}, target = {5, 1, 1, 3};
    struct bed *bed = bed_new(x, target, 9);
    compile(bed, small_conv_network(bed));
    static double v[MAX_SIZE], all[MAX_SIZE];
    memcpy(v, bed->v, sizeof v);
    for (uint32_t only = 0; only < bed->n_tensors; only++) {
        struct bed *alone = bed_new(x, target, 9); /* the same draws */
        compile_along(alone, small_conv_network(alone), only, 1);
        (void)run(alone, alone->theta, alone->gradient, alone->product);
        memset(bed->v, 0, sizeof bed->v);
        memcpy(bed->v + bed->offsets[only], v + bed->offsets[only],
               mn_extent_count(bed->extents[only]) * sizeof *v);
        (void)run(bed, bed->theta, bed->gradient, all);

        double largest = 0.0;
        for (size_t i = 0; i < bed->size; i++)
            largest = fmax(largest, fabs(all[i]));
        assert_true(largest > 1e-4);
        for (size_t i = 0; i < bed->size; i++)
            if (!(fabs(alone->product[i] - all[i]) <= 1e-12 * largest))
                fail_msg("along tensor %u alone, product[%zu] is %.12g, not %.12g", only, i,
                         alone->product[i], all[i]);
        bed_destroy(alone);
    }
    bed_destroy(bed);
}

static void mark_needed(const mn_graph *graph, mn_node node, bool *needed)
{
    if (node == MN_NONE || needed[node])
        return;
    needed[node] = true;
    for (int k = 0; k < MN_MAX_INPUTS; k++)
        mark_needed(graph, graph->nodes[node].in[k], needed);
    mark_needed(graph, graph->nodes[node].plus, needed);
}

/* What ANIL asks for: the body stands still, so its share is one backward pass of the tangent. */
static void a_tangent_that_only_the_head_starts_needs_no_second_pass_through_the_body(void **state)
{
    (void)state;
    struct bed *bed = bed_new((mn_extent){5, 6, 6, 1}, (mn_extent){5, 1, 1, 3}, 10);
    mn_node loss = small_conv_network(bed);
    mn_node gradients[MAX_TENSORS], products[MAX_TENSORS], directions[2];
    uint32_t n = bed->n_tensors, head = n - 2;
    mn_graph_gradient(&bed->graph, loss, n, bed->tensors, gradients);
    for (uint32_t i = 0; i < 2; i++)
        directions[i] = mn_graph_input(&bed->graph, MN_SLOT_DIRECTION, bed->offsets[head + i],
                                       bed->extents[head + i]);
    mn_graph_tangents(&bed->graph, 2, bed->tensors + head, directions, n, gradients, products);
    bool *needed = calloc(bed->graph.n_nodes, sizeof *needed);
    assert_non_null(needed);
    for (uint32_t i = 0; i < n; i++)
        mark_needed(&bed->graph, products[i], needed);
    int counts[MN_N_OPS] = {0};
    for (uint32_t i = 0; i < bed->graph.n_nodes; i++)
        counts[bed->graph.nodes[i].op] += needed[i];
    assert_int_equal(counts[MN_OP_CONV_WEIGHTS], 2);
    assert_int_equal(counts[MN_OP_CONV_DATA], 1);
    assert_int_equal(counts[MN_OP_BN_SUMS], 2);
    assert_int_equal(counts[MN_OP_BN_BACKWARD], 2);
    assert_int_equal(counts[MN_OP_BN_TANGENT_SUMS], 0);
    assert_int_equal(counts[MN_OP_ZERO], 0);
    free(needed);
    bed_destroy(bed);
}

/* What stage 1 reads outlives other work in scratch, for several runs of stage 0 at once; and it
 * can be made again without the outputs of stage 0. */
static void a_second_stage_may_wait_and_its_inputs_be_made_again(void **state)
{
    (void)state;
    struct bed *bed = bed_new((mn_extent){5, 6, 6, 1}, (mn_extent){5, 1, 1, 3}, 11);
    compile(bed, small_conv_network(bed));
    static double theta[2][MAX_SIZE], expected[2][MAX_SIZE];
    size_t scratch_bytes = mn_plan_scratch_bytes(bed->plan);
    size_t kept_bytes = mn_plan_kept_bytes(bed->plan);
    void *kept[2];
    assert_true(kept_bytes > 0);
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < bed->size; k++)
            theta[i][k] = bed->theta[k] + 0.1 * i * draw();
        (void)run(bed, theta[i], bed->gradient, expected[i]);
        kept[i] = aligned_alloc(64, kept_bytes);
        assert_non_null(kept[i]);
    }
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < 2; i++) {
            memset(kept[i], 0xff, kept_bytes);
            mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta[i],
                                           [MN_SLOT_X] = bed->x_data,
                                           [MN_SLOT_Y] = bed->y_data},
                                    .out = {[MN_SLOT_GRADIENT] = again ? NULL : bed->gradient},
                                    .kept = kept[i]};
            mn_plan_run(bed->plan, again ? MN_PLAN_REPLAY : 0, bed->scratch, &bindings);
        }
        for (int i = 0; i < 2; i++) {
            memset(bed->scratch, 0xff, scratch_bytes);
            mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta[i],
                                           [MN_SLOT_DIRECTION] = bed->v,
                                           [MN_SLOT_X] = bed->x_data,
                                           [MN_SLOT_Y] = bed->y_data},
                                    .out = {[MN_SLOT_PRODUCT] = bed->product},
                                    .kept = kept[i]};
            mn_plan_run(bed->plan, 1, bed->scratch, &bindings);
            assert_memory_equal(bed->product, expected[i], bed->size * sizeof *bed->product);
        }
    }
    assert_memory_not_equal(expected[0], expected[1], bed->size * sizeof(double));
    free(kept[0]);
    free(kept[1]);
    bed_destroy(bed);
}

static void product_is_symmetric(void **state) /* <u, H v> = <v, H u> */
{
    (void)state;
    struct bed *bed = bed_new((mn_extent){5, 6, 6, 1}, (mn_extent){5, 1, 1, 3}, 6);
    one_hot_targets(bed, 3);
    mn_node h = normalised(bed, conv(bed, bed->x, 1, 4, 2), 4, true);
    h = mn_graph_pixel_mean(&bed->graph, h);
    compile(bed, mn_graph_cross_entropy(&bed->graph, dense(bed, h, 4, 3), bed->target));
    static double u[MAX_SIZE], v[MAX_SIZE], hv[MAX_SIZE], hu[MAX_SIZE];
    memcpy(v, bed->v, sizeof v);
    (void)run(bed, bed->theta, bed->gradient, hv);
    for (size_t i = 0; i < bed->size; i++)
        u[i] = draw();
    memcpy(bed->v, u, sizeof u);
    (void)run(bed, bed->theta, bed->gradient, hu);
    double uhv = 0.0, vhu = 0.0;
    for (size_t i = 0; i < bed->size; i++) {
        uhv += u[i] * hv[i];
        vhu += v[i] * hu[i];
    }
    assert_true(fabs(uhv) > 1e-3);
    assert_true(fabs(uhv - vhu) < 1e-10 * fabs(uhv));
    bed_destroy(bed);
}

static void equal_nodes_are_made_once_and_unneeded_ones_cost_nothing(void **state)
{
    (void)state;
    struct bed *bed = bed_new((mn_extent){4, 1, 1, 3}, (mn_extent){4, 1, 1, 2}, 7);
    mn_node w = tensor(bed, (mn_extent){3, 1, 1, 2});
    mn_node a = mn_graph_linear(&bed->graph, bed->x, w);
    uint32_t n = bed->graph.n_nodes;
    assert_int_equal(mn_graph_linear(&bed->graph, bed->x, w), a);
    assert_int_equal(bed->graph.n_nodes, n);
    compile(bed, mn_graph_squared_error(&bed->graph, a, bed->target));
    size_t bytes = mn_plan_scratch_bytes(bed->plan);
    bed_destroy(bed);

    bed = bed_new((mn_extent){4, 1, 1, 3}, (mn_extent){4, 1, 1, 2}, 7);
    w = tensor(bed, (mn_extent){3, 1, 1, 2});
    (void)mn_graph_tanh(&bed->graph,
                        mn_graph_linear(&bed->graph, bed->x, w)); /* nobody asks for it */
    a = mn_graph_linear(&bed->graph, bed->x, w);
    compile(bed, mn_graph_squared_error(&bed->graph, a, bed->target));
    assert_int_equal(mn_plan_scratch_bytes(bed->plan), bytes);
    bed_destroy(bed);
}

static void what_a_loss_does_not_depend_on_has_no_gradient(void **state)
{
    (void)state;
    struct bed *bed = bed_new((mn_extent){4, 1, 1, 3}, (mn_extent){4, 1, 1, 2}, 8);
    mn_node w = tensor(bed, (mn_extent){3, 1, 1, 2});
    mn_node idle = tensor(bed, (mn_extent){1, 1, 1, 5});
    mn_node wrt[] = {w, idle}, gradients[2];
    mn_node loss =
        mn_graph_squared_error(&bed->graph, mn_graph_linear(&bed->graph, bed->x, w), bed->target);
    mn_graph_gradient(&bed->graph, loss, 2, wrt, gradients);
    assert_int_not_equal(gradients[0], MN_NONE);
    assert_int_equal(gradients[1], MN_NONE);
    compile(bed, loss);
    for (size_t i = 0; i < bed->size; i++)
        bed->gradient[i] = bed->product[i] = 7.0;
    (void)run(bed, bed->theta, bed->gradient, bed->product);
    for (size_t i = 6; i < 11; i++) { /* the plan writes its zeros */
        assert_true(bed->gradient[i] == 0.0);
        assert_true(bed->product[i] == 0.0);
    }
    bed_destroy(bed);
}

/* Options choose the parts, so shapes that do not suit each other are told, not asserted. */
static void shapes_that_do_not_fit_are_refused_by_operation_and_part(void **state)
{
    (void)state;
    mn_graph graph;
    mn_error err;
    mn_graph_init(&graph);
    mn_node a = mn_graph_constant(&graph, 1, (mn_extent){4, 1, 1, 3});
    mn_node b = mn_graph_constant(&graph, 1, (mn_extent){5, 1, 1, 2});
    assert_int_equal(mn_graph_check(&graph, &err), MN_OK);
    mn_graph_part(&graph, "memory odd");
    (void)mn_graph_product(&graph, a, b, false, false);
    mn_graph_part(&graph, "output later");
    (void)mn_graph_rows(&graph, a, 3, 2);
    assert_int_equal(mn_graph_check(&graph, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "memory odd gives \"product\""));
    mn_graph_fini(&graph);
}

static void a_loss_of_answers_of_another_shape_than_the_target_is_refused(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        mn_graph graph;
        mn_error err;
        mn_graph_init(&graph);
        mn_node y = mn_graph_constant(&graph, 1, (mn_extent){4, 1, 1, 3});
        mn_node target = mn_graph_constant(&graph, 0, (mn_extent){4, 1, 1, kind == 2 ? 3 : 2});
        mn_node weights = mn_graph_constant(&graph, 1, (mn_extent){5, 1, 1, 1});
        (void)(kind == 0   ? mn_graph_cross_entropy(&graph, y, target)
               : kind == 1 ? mn_graph_squared_error(&graph, y, target)
                           : mn_graph_weighted_cross_entropy(&graph, y, target, weights));
        assert_int_equal(mn_graph_check(&graph, &err), MN_ERR_CONFIG);
        mn_graph_fini(&graph);
    }
}

static void an_array_that_is_too_large_is_refused_by_operation_and_part(void **state)
{
    (void)state;
    mn_graph graph;
    mn_error err;
    mn_graph_init(&graph);
    mn_node a = mn_graph_constant(&graph, 1, (mn_extent){1u << 20, 1, 1, 1u << 11});
    assert_int_equal(mn_graph_check(&graph, &err), MN_OK); /* just so */
    mn_graph_part(&graph, "memory vast");
    mn_node b = mn_graph_product(&graph, a, a, false, true);
    assert_int_equal(mn_graph_check(&graph, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "memory vast would make an array of more than 8 GiB"));
    (void)mn_graph_add(&graph, b, mn_graph_tanh(&graph, b)); /* does no harm */
    mn_graph_fini(&graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mlp_with_tanh_and_squared_error),
        cmocka_unit_test(mlp_with_relu_and_cross_entropy),
        cmocka_unit_test(mlp_with_batch_norm_before_tanh),
        cmocka_unit_test(strided_convolutions_with_mean),
        cmocka_unit_test(max_pooled_convolutions_flattened),
        cmocka_unit_test(a_product_along_one_tensor_is_that_along_all_with_zeros),
        cmocka_unit_test(a_tangent_that_only_the_head_starts_needs_no_second_pass_through_the_body),
        cmocka_unit_test(a_second_stage_may_wait_and_its_inputs_be_made_again),
        cmocka_unit_test(product_is_symmetric),
        cmocka_unit_test(equal_nodes_are_made_once_and_unneeded_ones_cost_nothing),
        cmocka_unit_test(what_a_loss_does_not_depend_on_has_no_gradient),
        cmocka_unit_test(a_loss_of_answers_of_another_shape_than_the_target_is_refused),
        cmocka_unit_test(an_array_that_is_too_large_is_refused_by_operation_and_part),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused_by_operation_and_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
