#include "coordinator/run/board.h"

#include "common/log.h"
#include "coordinator/run/board_bed.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)

static void a_snapshot_tells_what_happened_and_never_changes(void **state)
{
    (void)state;
    mn_board *board = bed_board("/nowhere", 0);
    assert_non_null(board);
    assert_null(mn_board_look(board));
    for (uint64_t step = 1; step <= 200; step++)
        bed_step(board, step, 1.0 / (double)step);
    bed_validation(board, 200, 0.25);
    assert_true(mn_board_due(board, SECOND));
    bed_publish(board, SECOND, 0, NULL);
    assert_false(mn_board_due(board, SECOND + MN_BOARD_EVERY_US - 1));

    const mn_snapshot *first = mn_board_look(board);
    assert_int_equal(first->number, 1);
    assert_int_equal(first->step, 200);
    assert_int_equal(first->tasks, 1998);
    assert_int_equal(first->skipped, 2);
    assert_true(fabs(first->tasks_per_s - 1000) < 1e-6);
    assert_true(fabs(first->to_go_s - 0.01 * (1000000 - 200)) < 1e-3);
    assert_true(fabs(first->shares.tasks - 0.5) < 1e-6 && fabs(first->shares.wait - 0.2) < 1e-6);
    assert_int_equal(first->n_curves, 4);
    assert_string_equal(first->curves[2].key, "val_loss");
    assert_true(first->curves[2].points[0].value == 0.25 &&
                first->curves[2].points[0].half_width == 0.1);
    assert_int_equal(first->curves[0].n, 200);

    bed_step(board, 201, 7);
    bed_publish(board, 2 * SECOND, 0, NULL);
    const mn_snapshot *second = mn_board_look(board);
    assert_int_equal(second->number, 2);
    assert_true(second->last[0] == 7);
    assert_true(first->last[0] == 1.0 / 200 && first->curves[0].n == 200);
    mn_snapshot_drop(&first);
    mn_snapshot_drop(&second);
    mn_board_destroy(&board);
}

static void a_workers_rate_is_what_it_did_of_late(void **state)
{
    (void)state;
    mn_board *board = bed_board("/nowhere", 0);
    const mn_worker_view before[] = {bed_worker(4, 100, 10), bed_worker(5, 100, 100),
                                     bed_worker(6, 90, 9)};
    const mn_worker_view after[] = {bed_worker(5, 1000100, 100.5), bed_worker(7, 4, 2)};
    bed_publish(board, SECOND, 3, before);
    const mn_snapshot *snapshot = mn_board_look(board);
    assert_true(snapshot->pool.workers[0].tasks_per_s == 10);
    mn_snapshot_drop(&snapshot);
    bed_publish(board, 2 * SECOND, 2, after); /* 4 and 6 went, 7 took a place */
    snapshot = mn_board_look(board);
    assert_true(snapshot->pool.workers[0].tasks_per_s > 1000); /* much of late, little before */
    assert_true(snapshot->pool.workers[1].tasks_per_s == 2);
    mn_snapshot_drop(&snapshot);
    const mn_worker_view anew[] = {bed_worker(5, 3, 0.5), bed_worker(7, 6, 3)};
    bed_publish(board, 3 * SECOND, 2, anew); /* 5 went and came again by the same connection */
    snapshot = mn_board_look(board);
    assert_true(snapshot->pool.workers[0].tasks_per_s == 6);
    assert_true(snapshot->pool.workers[1].tasks_per_s >= 2);
    mn_snapshot_drop(&snapshot);
    mn_board_destroy(&board);
}

static void only_the_last_lines_of_the_log_are_kept(void **state)
{
    (void)state;
    mn_board *board = bed_board("/nowhere", 0);
    int quiet = dup(STDERR_FILENO);
    assert_non_null(freopen("/dev/null", "w", stderr));
    for (uint32_t i = 1; i <= MN_BOARD_LINES + 50; i++)
        mn_log(MN_LOG_INFO, "line %u %01000d", i, 0);
    assert_int_equal(dup2(quiet, STDERR_FILENO), STDERR_FILENO);
    (void)close(quiet);
    bed_publish(board, SECOND, 0, NULL);
    const mn_snapshot *snapshot = mn_board_look(board);
    assert_int_equal(snapshot->n_lines, MN_BOARD_LINES);
    assert_int_equal(snapshot->lines[0].id, 51);
    assert_non_null(strstr(snapshot->lines[0].text, "line 51 0"));
    assert_true(strlen(snapshot->lines[0].text) < 600);
    mn_snapshot_drop(&snapshot);
    mn_board_destroy(&board);
}

static void the_end_is_told_and_the_pool_is_gone(void **state)
{
    (void)state;
    mn_board *board = bed_board("/nowhere", 0);
    const mn_worker_view worker = bed_worker(4, 100, 10);
    mn_estimate estimates[] = {{0.2, 0.1}, {0.9, 0.05}};
    const mn_evaluation test = {
        .split = MN_TEST, .n_counted = 600, .scores = &bed_scores, .estimates = estimates};
    bed_publish(board, SECOND, 1, &worker);
    mn_board_test(board, &test);
    mn_board_end(board, MN_PHASE_INTERRUPTED, "stopped by SIGTERM");
    const mn_snapshot *snapshot = mn_board_look(board);
    assert_true(mn_phase_is_over(snapshot->phase));
    assert_string_equal(snapshot->why, "stopped by SIGTERM");
    assert_int_equal(snapshot->pool.n_workers, 0);
    assert_int_equal(snapshot->pool.joins, 3);
    assert_int_equal(snapshot->n_test, 2);
    assert_string_equal(snapshot->test[1].key, "accuracy_5");
    mn_snapshot_drop(&snapshot);
    mn_board_destroy(&board);
}

static void a_run_that_goes_on_shows_what_was_before(void **state)
{
    (void)state;
    char folder[] = "/tmp/board_test.XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int step = 1; step <= 10000; step++) {
        (void)fprintf(file, "{\"step\": %d, \"loss\": %d, \"accuracy\": null, \"wall_s\": 1}\n",
                      step, step);
        if (step % 1000 == 0)
            (void)fprintf(file,
                          "{\"step\": %d, \"val_inner_steps\": 5, \"val_loss\": 0.5, "
                          "\"val_loss_ci95\": 0.25, \"val_tasks\": 9, \"val_skipped\": 0}\n",
                          step);
    }
    (void)fclose(file);
    mn_board *board = bed_board(folder, 10000);
    assert_non_null(board);
    bed_step(board, 10001, 10001);
    bed_publish(board, SECOND, 0, NULL);
    const mn_snapshot *snapshot = mn_board_look(board);
    const mn_curve_view *loss = &snapshot->curves[0], *validation = &snapshot->curves[2];
    assert_in_range(loss->n, 100, MN_TRACE_MOST + 1);
    for (uint32_t i = 0; i < loss->n; i++)
        assert_true(loss->points[i].step == loss->points[i].value);
    assert_true(loss->points[0].step < 100 && loss->points[loss->n - 1].step > 9900);
    assert_int_equal(snapshot->n_curves, 3); /* accuracy has no point, and no validation */
    assert_string_equal(validation->key, "val_loss");
    assert_int_equal(validation->n, 10);
    assert_true(validation->points[9].half_width == 0.25 && validation->points[9].step == 10000);
    assert_int_equal(snapshot->validated, 10000);
    mn_snapshot_drop(&snapshot);
    mn_board_destroy(&board);
    (void)unlink(path);
    (void)rmdir(folder);
}

/* The run's thread publishes while others look: under a sanitizer this finds what is not guarded. */
static atomic_bool enough;

static void *look_on(void *user)
{
    uint64_t last = 0;
    while (!atomic_load(&enough)) {
        const mn_snapshot *snapshot = mn_board_look(user);
        if (snapshot == NULL)
            continue;
        if (snapshot->number < last || snapshot->curves[0].n == 0)
            return (void *)1;
        last = snapshot->number;
        mn_snapshot_drop(&snapshot);
    }
    return NULL;
}

static void others_look_while_the_run_goes_on(void **state)
{
    (void)state;
    mn_board *board = bed_board("/nowhere", 0);
    pthread_t threads[3];
    atomic_store(&enough, false);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look_on, board), 0);
    for (uint64_t step = 1; step <= 2000; step++) {
        bed_step(board, step, 1);
        bed_publish(board, step * SECOND, 0, NULL);
    }
    atomic_store(&enough, true);
    for (size_t i = 0; i < 3; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
    mn_board_destroy(&board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_tells_what_happened_and_never_changes),
        cmocka_unit_test(a_workers_rate_is_what_it_did_of_late),
        cmocka_unit_test(only_the_last_lines_of_the_log_are_kept),
        cmocka_unit_test(the_end_is_told_and_the_pool_is_gone),
        cmocka_unit_test(a_run_that_goes_on_shows_what_was_before),
        cmocka_unit_test(others_look_while_the_run_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
