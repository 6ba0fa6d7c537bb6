/* Every operation of the table: its value against a naive computation, and the gradient and the
 * Hessian-vector product of a loss that needs it against central differences. An operation without
 * an example does not compile. And what is refused. */
#include "worker/engine/ops/examples_batch_norm.h"
#include "worker/engine/ops/examples_images.h"
#include "worker/engine/ops/examples_losses.h"
#include "worker/engine/ops/examples_maps.h"
#include "worker/engine/ops/examples_memory.h"
#include "worker/engine/ops/examples_products.h"
#include "worker/engine/ops/examples_recurrent.h"
#include "worker/engine/ops/examples_rows.h"
#include "worker/engine/ops/examples_shapes.h"
#include "worker/engine/ops/examples_solve.h"

#include "worker/engine/fusion.h"

#define EXAMPLE(NAME, name) [MN_OP_##NAME] = &example_##name,
static const example *const examples[MN_N_OPS] = {MN_OPS(EXAMPLE)};

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

/* A x of what was solved for is b, by more right sides than are solved for at once; and a matrix that
 * is not definite has no solution. */
static void solutions_solve_and_an_indefinite_matrix_has_none(void **state)
{
    enum { SIDE = 9, RIGHTS = 70 };
    static double a[SIDE * SIDE], b[SIDE * RIGHTS], x[SIDE * RIGHTS];
    (void)state;
    for (int definite = 1; definite >= 0; definite--) {
        mn_graph graph;
        mn_plan *plan;
        mn_graph_init(&graph);
        mn_node solution = mn_graph_solve(
            &graph, mn_graph_input(&graph, MN_SLOT_X, 0, mn_matrix(SIDE, SIDE)), definite ? 2 : -2,
            mn_graph_input(&graph, MN_SLOT_Y, 0, mn_matrix(SIDE, RIGHTS)));
        const mn_plan_output output = {solution, MN_SLOT_OUTPUT, 0, SIDE * RIGHTS, 0};
        EACH(i, SIDE)
        EACH(j, i + 1)
        a[i * SIDE + j] = a[j * SIDE + i] = (draw() - 0.5) / SIDE;
        EACH(i, SIDE * RIGHTS)
        b[i] = draw();
        assert_int_equal(mn_plan_new(&graph, MN_NONE, 1, &output, &mn_kernels_plain, &plan, NULL),
                         MN_OK);
        void *scratch = aligned_alloc(64, mn_plan_scratch_bytes(plan) + 64);
        assert_non_null(scratch);
        mn_plan_run(plan, 0, scratch,
                    &(mn_bindings){.in = {[MN_SLOT_X] = a, [MN_SLOT_Y] = b},
                                   .out = {[MN_SLOT_OUTPUT] = x}});
        EACH(i, SIDE * RIGHTS)
        {
            double product = 2 * x[i];
            EACH(j, SIDE)
            product += a[i / RIGHTS * SIDE + j] * x[j * RIGHTS + i % RIGHTS];
            assert_true(definite ? fabs(product - b[i]) < 1e-12 : isnan(x[i]));
        }
        free(scratch);
        mn_plan_destroy(&plan);
        mn_graph_fini(&graph);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_has_the_right_value_gradient_and_product),
        cmocka_unit_test(the_loss_by_a_softmax_is_the_cross_entropy),
        cmocka_unit_test(solutions_solve_and_an_indefinite_matrix_has_none),
        cmocka_unit_test(both_factors_of_a_sum_of_products_are_trained),
        cmocka_unit_test(the_pixels_of_an_image_are_the_rows_of_a_product),
        cmocka_unit_test(what_has_no_rule_is_refused_by_its_name_and_its_part),
        cmocka_unit_test(tangents_may_be_asked_for_twice),
        cmocka_unit_test(an_output_is_there_after_its_stage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
