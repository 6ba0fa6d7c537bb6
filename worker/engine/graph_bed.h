/* graph_bed.h: for tests: a small network with its gradient and its product along a vector, and
 * central differences of both. In double. */
#pragma once

#include "worker/engine/draw_bed.h"
#include "worker/engine/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_TENSORS 64
#define MAX_SIZE 4096

/* A small network with its gradient and product plans. */
struct bed {
    char name[48];    /* what failed */
    unsigned stopped; /* bit i: no derivative goes to tensor i, whatever the differences say */
    mn_graph graph;
    size_t size; /* of theta */
    uint32_t n_tensors;
    mn_node tensors[MAX_TENSORS];
    mn_extent extents[MAX_TENSORS];
    size_t offsets[MAX_TENSORS];
    mn_node x, target;
    size_t x_count, target_count;
    mn_plan *plan;
    double theta[MAX_SIZE], v[MAX_SIZE], x_data[MAX_SIZE], y_data[MAX_SIZE];
    double gradient[MAX_SIZE], product[MAX_SIZE];
    void *scratch, *kept;
};

static inline struct bed *bed_new(mn_extent x, mn_extent target, uint64_t seed)
{
    struct bed *bed = calloc(1, sizeof *bed);
    assert_non_null(bed);
    mn_graph_init(&bed->graph);
    bed->x = mn_graph_input(&bed->graph, MN_SLOT_X, 0, x);
    bed->target = mn_graph_input(&bed->graph, MN_SLOT_Y, 0, target);
    bed->x_count = mn_extent_count(x);
    bed->target_count = mn_extent_count(target);
    seed_state = seed * 2654435761u + 88172645463325252u;
    for (size_t i = 0; i < bed->x_count; i++)
        bed->x_data[i] = draw();
    return bed;
}

static inline mn_node tensor(struct bed *bed, mn_extent extent)
{
    uint32_t i = bed->n_tensors++;
    assert_true(i < MAX_TENSORS);
    bed->extents[i] = extent;
    bed->offsets[i] = bed->size;
    bed->tensors[i] = mn_graph_input(&bed->graph, MN_SLOT_THETA, bed->size, extent);
    bed->size += mn_extent_count(extent);
    assert_true(bed->size <= MAX_SIZE);
    return bed->tensors[i];
}

static inline void one_hot_targets(struct bed *bed, uint32_t ways)
{
    for (size_t i = 0; i < bed->target_count / ways; i++)
        bed->y_data[i * ways + i % ways] = 1.0;
}

/* The product along `n_moving` tensors from `first` on; the others stand still. */
static inline void compile_along(struct bed *bed, mn_node loss, uint32_t first, uint32_t n_moving)
{
    mn_node gradients[MAX_TENSORS], directions[MAX_TENSORS], products[MAX_TENSORS];
    mn_plan_output outputs[2 * MAX_TENSORS];
    uint32_t n = bed->n_tensors;
    mn_graph_gradient(&bed->graph, loss, n, bed->tensors, gradients);
    for (uint32_t i = 0; i < n; i++)
        directions[i] =
            mn_graph_input(&bed->graph, MN_SLOT_DIRECTION, bed->offsets[i], bed->extents[i]);
    mn_graph_tangents(&bed->graph, n_moving, bed->tensors + first, directions + first, n, gradients,
                      products);
    for (uint32_t i = 0; i < n; i++) {
        size_t count = mn_extent_count(bed->extents[i]);
        outputs[i] = (mn_plan_output){gradients[i], MN_SLOT_GRADIENT, bed->offsets[i], count, 0};
        outputs[n + i] = (mn_plan_output){products[i], MN_SLOT_PRODUCT, bed->offsets[i], count, 1};
    }
    mn_error err;
    if (mn_plan_new(&bed->graph, loss, 2 * n, outputs, mn_kernels_choose(), &bed->plan, &err) !=
        MN_OK)
        fail_msg("%s: %s", bed->name, err.message);
    bed->scratch = aligned_alloc(64, mn_plan_scratch_bytes(bed->plan));
    assert_non_null(bed->scratch);
    memset(bed->scratch, 0xff,
           mn_plan_scratch_bytes(bed->plan)); /* NaN: nothing is read before written */
    bed->kept = aligned_alloc(64, mn_plan_kept_bytes(bed->plan));
    assert_non_null(bed->kept);
    memset(bed->kept, 0xff, mn_plan_kept_bytes(bed->plan));
    for (size_t i = 0; i < bed->size; i++) {
        bed->theta[i] = 0.7 * draw();
        bed->v[i] = draw();
    }
}

static inline void compile(struct bed *bed, mn_node loss)
{
    compile_along(bed, loss, 0, bed->n_tensors);
}

static inline double run(struct bed *bed, const double *theta, double *gradient, double *product)
{
    mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta,
                                   [MN_SLOT_DIRECTION] = bed->v,
                                   [MN_SLOT_X] = bed->x_data,
                                   [MN_SLOT_Y] = bed->y_data},
                            .out = {[MN_SLOT_GRADIENT] = gradient, [MN_SLOT_PRODUCT] = product},
                            .kept = bed->kept};
    mn_plan_run(bed->plan, 0, bed->scratch, &bindings);
    if (product != NULL)
        mn_plan_run(bed->plan, 1, bed->scratch, &bindings);
    return mn_plan_loss(bed->plan, bed->scratch);
}

static inline bool is_stopped(const struct bed *bed, size_t i) /* entry i of theta */
{
    uint32_t t = 0;
    while (t + 1 < bed->n_tensors && i >= bed->offsets[t + 1])
        t++;
    return t < 32 && (bed->stopped >> t & 1);
}

static inline void expect_near(const struct bed *bed, const char *what, size_t i, double got,
                               double expected, double scale)
{
    if (!(fabs(got - expected) <= 2e-6 * scale + 1e-9))
        fail_msg("%s: %s[%zu] is %.12g, central difference %.12g", bed->name, what, i, got,
                 expected);
}

/* Every entry of the gradient, and the product along v. */
static inline void compare_with_central_differences(struct bed *bed, bool must_move)
{
    static double moved[MAX_SIZE], plus[MAX_SIZE], minus[MAX_SIZE];
    static double theta[MAX_SIZE], x[MAX_SIZE], y[MAX_SIZE];
    memcpy(theta, bed->theta, sizeof theta);
    memcpy(x, bed->x_data, sizeof x);
    memcpy(y, bed->y_data, sizeof y);
    for (size_t i = 0; i < bed->size; i++)
        bed->v[i] = is_stopped(bed, i) ? 0.0 : bed->v[i];
    (void)run(bed, bed->theta, bed->gradient, bed->product);
    double largest = 0.0, largest_product = 0.0, e = 1e-5;
    for (size_t i = 0; i < bed->size; i++) {
        largest = fmax(largest, fabs(bed->gradient[i]));
        largest_product = fmax(largest_product, fabs(bed->product[i]));
    }
    if (must_move) {
        assert_true(largest > 1e-4);
        assert_true(largest_product > 1e-4);
    }

    memcpy(moved, bed->theta, sizeof moved);
    for (size_t i = 0; i < bed->size; i++) {
        if (is_stopped(bed, i)) {
            assert_true(bed->gradient[i] == 0.0 && bed->product[i] == 0.0);
            continue;
        }
        moved[i] = bed->theta[i] + e;
        double above = run(bed, moved, plus, NULL);
        moved[i] = bed->theta[i] - e;
        double below = run(bed, moved, minus, NULL);
        moved[i] = bed->theta[i];
        expect_near(bed, "gradient", i, bed->gradient[i], (above - below) / (2.0 * e), largest);
    }
    for (size_t i = 0; i < bed->size; i++)
        moved[i] = bed->theta[i] + e * bed->v[i];
    (void)run(bed, moved, plus, NULL);
    for (size_t i = 0; i < bed->size; i++)
        moved[i] = bed->theta[i] - e * bed->v[i];
    (void)run(bed, moved, minus, NULL);
    for (size_t i = 0; i < bed->size; i++)
        if (!is_stopped(bed, i))
            expect_near(bed, "H v", i, bed->product[i], (plus[i] - minus[i]) / (2.0 * e),
                        fmax(largest_product, 1.0));
    assert_memory_equal(bed->theta, theta, sizeof theta); /* what a run is given it only reads */
    assert_memory_equal(bed->x_data, x, sizeof x);
    assert_memory_equal(bed->y_data, y, sizeof y);
}

static inline void check_against_central_differences(struct bed *bed)
{
    compare_with_central_differences(bed, true);
}

static inline void bed_destroy(struct bed *bed)
{
    mn_plan_destroy(&bed->plan);
    mn_graph_fini(&bed->graph);
    free(bed->scratch);
    free(bed->kept);
    free(bed);
}
