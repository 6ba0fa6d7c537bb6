/* profile_test.c: every operation of a plan has its row, and being watched changes no bit. */
#include "worker/engine/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ITEMS 6u
#define WIDE 8u
#define THETA (WIDE * WIDE + WIDE)

/* The loss of relu(x w + b), with its gradient. */
static mn_plan *new_plan(void)
{
    mn_graph graph;
    mn_plan *plan = NULL;
    mn_graph_init(&graph);
    mn_node w = mn_graph_input(&graph, MN_SLOT_THETA, 0, (mn_extent){WIDE, 1, 1, WIDE});
    mn_node b = mn_graph_input(&graph, MN_SLOT_THETA, WIDE * WIDE, (mn_extent){1, 1, 1, WIDE});
    mn_node x = mn_graph_input(&graph, MN_SLOT_X, 0, (mn_extent){ITEMS, 1, 1, WIDE});
    mn_node target = mn_graph_input(&graph, MN_SLOT_Y, 0, (mn_extent){ITEMS, 1, 1, WIDE});
    mn_node y = mn_graph_relu(&graph, mn_graph_bias(&graph, mn_graph_linear(&graph, x, w), b));
    mn_node loss = mn_graph_squared_error(&graph, y, target), gradients[2];
    mn_graph_gradient(&graph, loss, 2, (const mn_node[]){w, b}, gradients);
    const mn_plan_output outputs[] = {
        {.node = gradients[0], .slot = MN_SLOT_GRADIENT, .count = WIDE * WIDE},
        {.node = gradients[1], .slot = MN_SLOT_GRADIENT, .offset = WIDE * WIDE, .count = WIDE}};
    assert_int_equal(mn_plan_new(&graph, loss, 2, outputs, mn_kernels_choose(), &plan, NULL),
                     MN_OK);
    mn_graph_fini(&graph);
    return plan;
}

static void run(const mn_plan *plan, mn_profile *profile, float gradient[THETA])
{
    float theta[THETA], x[ITEMS * WIDE], y[ITEMS * WIDE];
    size_t bytes = (mn_plan_scratch_bytes(plan) + 63) / 64 * 64;
    void *scratch = aligned_alloc(64, bytes + 64);
    assert_non_null(scratch);
    for (size_t i = 0; i < THETA; i++)
        theta[i] = (float)(i % 5) - 1.5F;
    for (size_t i = 0; i < ITEMS * WIDE; i++) {
        x[i] = (float)(i % 7) - 3;
        y[i] = (float)(i % 3);
    }
    const mn_bindings bindings = {.in = {[MN_SLOT_THETA] = theta, [MN_SLOT_X] = x, [MN_SLOT_Y] = y},
                                  .out = {[MN_SLOT_GRADIENT] = gradient},
                                  .profile = profile};
    mn_plan_run(plan, 0, scratch, &bindings);
    free(scratch);
}

static void a_run_that_is_to_stop_ends_before_it_begins(void **state)
{
    (void)state;
    mn_plan *plan = new_plan();
    float gradient[THETA] = {-77};
    atomic_bool stop = true;
    mn_plan_heed(&stop);
    run(plan, NULL, gradient);
    assert_true(gradient[0] == -77);
    atomic_store(&stop, false);
    run(plan, NULL, gradient);
    assert_true(gradient[0] != -77);
    mn_plan_heed(NULL);
    mn_plan_destroy(&plan);
}

static const char *const stages[3] = {"first", "second", "again"};

static void a_watched_plan_gives_the_same_bits_and_a_lap_for_each_operation(void **state)
{
    (void)state;
    mn_plan *plan = new_plan();
    mn_profile *profile = NULL;
    float alone[THETA], watched[THETA];
    assert_int_equal(mn_profile_new(&profile, NULL), MN_OK);
    assert_int_equal(mn_plan_profile(plan, stages, profile, NULL), MN_OK);
    run(plan, NULL, alone);
    run(plan, profile, watched);
    run(plan, profile, watched);
    assert_memory_equal(watched, alone, sizeof alone);

    size_t first = mn_profile_find(profile, plan), n = mn_profile_rows(profile);
    assert_int_equal(first, MN_N_PARTS);
    assert_true(n > first + 4); /* product, loss and their adjoints */
    for (size_t i = first; i < n; i++) {
        mn_profile_row row = mn_profile_row_at(profile, i);
        assert_int_equal(row.laps, 2);
        assert_string_equal(row.stage, "first");
        assert_true(row.bytes > 0 && row.ns >= 0);
    }
    mn_profile_row product = mn_profile_row_at(profile, first);
    assert_string_equal(product.name, "gemm");
    assert_string_equal(product.shape, "nn 6x8x8");
    assert_true(product.flops == 2 * 6 * 8 * 8);
    assert_true(product.bytes ==
                4 * (2 * ITEMS * WIDE + WIDE * WIDE + WIDE)); /* its bias and ReLU are taken in */
    assert_int_equal(mn_profile_row_at(profile, MN_PART_VECTORS).laps, 2);
    mn_profile_destroy(&profile);
    mn_plan_destroy(&plan);
}

static void a_plan_without_rows_runs_unwatched(void **state)
{
    (void)state;
    mn_plan *plan = new_plan();
    mn_profile *profile = NULL;
    float alone[THETA], watched[THETA];
    assert_int_equal(mn_profile_new(&profile, NULL), MN_OK);
    assert_true(mn_profile_find(profile, plan) == SIZE_MAX);
    run(plan, NULL, alone);
    run(plan, profile, watched);
    assert_memory_equal(watched, alone, sizeof alone);
    for (size_t i = 0; i < mn_profile_rows(profile); i++)
        assert_int_equal(mn_profile_row_at(profile, i).laps, 0);
    mn_profile_destroy(&profile);
    mn_plan_destroy(&plan);
}

static void laps_count_until_the_profile_starts_anew(void **state)
{
    (void)state;
    mn_profile *profile = NULL;
    assert_int_equal(mn_profile_new(&profile, NULL), MN_OK);
    assert_true(mn_profile_lap_ns(profile) > 0);
    for (int i = 0; i < 1000; i++)
        mn_profile_lap(profile, i % 2 == 0 ? MN_PART_DRAW : MN_PART_SUMS);
    mn_profile_waited(profile);
    assert_int_equal(mn_profile_row_at(profile, MN_PART_DRAW).laps, 500);
    assert_int_equal(mn_profile_row_at(profile, MN_PART_SUMS).laps, 500);
    assert_int_equal(mn_profile_row_at(profile, MN_PART_WAIT).laps, 1);
    mn_profile_start(profile);
    for (size_t i = 0; i < MN_N_PARTS; i++) {
        mn_profile_row row = mn_profile_row_at(profile, i);
        assert_int_equal(row.laps, 0);
        assert_true(row.ns == 0);
        assert_true(row.name[0] != '\0');
    }
    mn_profile_lap(NULL, MN_PART_DRAW); /* nobody watches */
    mn_profile_waited(NULL);
    mn_profile_destroy(&profile);
    mn_profile_destroy(&profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watched_plan_gives_the_same_bits_and_a_lap_for_each_operation),
        cmocka_unit_test(a_run_that_is_to_stop_ends_before_it_begins),
        cmocka_unit_test(a_plan_without_rows_runs_unwatched),
        cmocka_unit_test(laps_count_until_the_profile_starts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
