#include "coordinator/page/frame.h"

#include "coordinator/run/board_bed.h"
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)

static json_t *frame_of(mn_board *board, const mn_snapshot *now, const mn_snapshot *before)
{
    char *text = NULL;
    assert_int_equal(mn_frame_print(mn_board_config_of(board), now, before, &text, NULL), MN_OK);
    json_t *frame = json_loads(text, 0, NULL);
    assert_non_null(frame);
    assert_null(strchr(text, '\n')); /* an event of a stream is one line */
    free(text);
    return frame;
}

static json_int_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void the_first_frame_tells_everything(void **state)
{
    (void)state;
    mn_board *board = bed_board("/tmp/a \"b\"\n\xff", 0);
    const mn_worker_view worker = bed_worker(4, 100, 10);
    bed_step(board, 1, 2.5);
    bed_validation(board, 1, 0.25);
    bed_publish(board, SECOND, 1, &worker);
    const mn_snapshot *now = mn_board_look(board);
    json_t *frame = frame_of(board, now, NULL);
    const json_t *run = json_object_get(frame, "run"), *curves = json_object_get(frame, "curves");
    assert_string_equal(json_string_value(json_object_get(run, "name")), "bed");
    assert_string_equal(json_string_value(json_object_get(run, "folder")),
                        "/tmp/a \"b\"\\x0a\\xff");
    assert_int_equal(number(frame, "since"), 0);
    assert_int_equal(json_array_size(curves), 4);
    const json_t *val = json_array_get(curves, 2);
    assert_string_equal(json_string_value(json_object_get(val, "key")), "val_loss");
    assert_int_equal(json_array_size(json_array_get(json_object_get(val, "points"), 0)), 3);
    const json_t *pool = json_object_get(frame, "pool");
    assert_string_equal(json_string_value(json_object_get(json_array_get(pool, 0), "name")),
                        "host:4");
    assert_int_equal(json_array_size(json_object_get(frame, "gone")), 1);
    assert_true(json_is_null(json_object_get(frame, "stepped_s")) == 0);
    const double taken_s = json_number_value(json_object_get(frame, "taken_s"));
    assert_true(now->taken_s > 1e9 && fabs(taken_s - now->taken_s) < 1e-3);
    json_decref(frame);
    mn_snapshot_drop(&now);
    mn_board_destroy(&board);
}

/* As the page does it: cut where it says, and go on. */
static void follow(json_t *told, const json_t *frame)
{
    const json_t *curves = json_object_get(frame, "curves");
    for (size_t i = 0; i < json_array_size(curves); i++) {
        const json_t *curve = json_array_get(curves, i);
        json_t *points = json_array_get(told, i);
        if (points == NULL) {
            points = json_array();
            assert_int_equal(json_array_append_new(told, points), 0);
        }
        assert_true((size_t)number(curve, "from") <= json_array_size(points));
        while (json_array_size(points) > (size_t)number(curve, "from"))
            (void)json_array_remove(points, json_array_size(points) - 1);
        (void)json_array_extend(points, json_object_get(curve, "points"));
    }
}

static void what_changed_put_to_what_was_there_is_everything(void **state)
{
    (void)state;
    mn_board *board = bed_board("/nowhere", 0);
    json_t *told = json_array();
    const mn_snapshot *before = NULL, *now = NULL;
    size_t most = 0;
    for (uint64_t step = 1, published = 0; step <= 5000; step++) {
        bed_step(board, step, (double)(step % 13));
        if (step % 40 == 0)
            bed_validation(board, step, (double)step);
        if (step % 37 != 0)
            continue;
        bed_publish(board, ++published * SECOND, 0, NULL);
        now = mn_board_look(board);
        json_t *frame = frame_of(board, now, before);
        follow(told, frame);
        for (size_t i = 0; i < now->n_curves; i++) {
            const json_t *points = json_array_get(told, i);
            assert_int_equal(json_array_size(points), now->curves[i].n);
            for (uint32_t p = 0; p < now->curves[i].n; p++)
                assert_true(fabs(json_number_value(json_array_get(json_array_get(points, p), 0)) -
                                 now->curves[i].points[p].step) < 1e-3);
        }
        const json_t *first = json_array_get(json_object_get(frame, "curves"), 0);
        if (before != NULL && before->curves[0].stride == now->curves[0].stride)
            most = most > json_array_size(json_object_get(first, "points"))
                       ? most
                       : json_array_size(json_object_get(first, "points"));
        assert_int_equal(json_object_get(frame, "run") == NULL, before != NULL);
        json_decref(frame);
        mn_snapshot_drop(&before);
        before = now;
    }
    assert_in_range(most, 1, 38); /* it grows by what is new, not by what there is */
    mn_snapshot_drop(&before);
    json_decref(told);
    mn_board_destroy(&board);
}

/* What is sent has a bound, whatever the run has done and however many take part. */
static void a_million_steps_and_a_thousand_workers_fit_into_a_frame(void **state)
{
    (void)state;
    enum { N_WORKERS = 1000 };
    static mn_worker_view workers[N_WORKERS];
    char *text = NULL;
    mn_board *board = bed_board("/nowhere", 0);
    for (uint64_t step = 1; step <= 1000000; step++) {
        bed_step(board, step, 1.0 / (double)step);
        if (step % 100 == 0)
            bed_validation(board, step, 1.0 / (double)step);
    }
    for (uint64_t i = 0; i < N_WORKERS; i++)
        workers[i] = bed_worker(i, UINT64_C(1000000000) + i, 86400);
    bed_publish(board, SECOND, N_WORKERS, workers);
    const mn_snapshot *before = mn_board_look(board);
    bed_step(board, 1000001, 1);
    bed_publish(board, 2 * SECOND, N_WORKERS, workers);
    const mn_snapshot *now = mn_board_look(board);
    assert_int_equal(mn_frame_print(mn_board_config_of(board), now, NULL, &text, NULL), MN_OK);
    assert_in_range(strlen(text), N_WORKERS * 100, N_WORKERS * 300 + 4 * 1001 * 40);
    free(text);
    json_t *frame = frame_of(board, now, NULL);
    const json_t *curves = json_object_get(frame, "curves");
    for (size_t i = 0; i < json_array_size(curves); i++)
        assert_in_range(json_array_size(json_object_get(json_array_get(curves, i), "points")), 500,
                        1001);
    assert_int_equal(json_array_size(json_object_get(frame, "pool")), N_WORKERS);
    json_decref(frame);
    frame = frame_of(board, now, before); /* and of the curves, only what is new */
    curves = json_object_get(frame, "curves");
    for (size_t i = 0; i < json_array_size(curves); i++)
        assert_in_range(json_array_size(json_object_get(json_array_get(curves, i), "points")), 0,
                        2);
    json_decref(frame);
    mn_snapshot_drop(&now);
    mn_snapshot_drop(&before);
    mn_board_destroy(&board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_frame_tells_everything),
        cmocka_unit_test(what_changed_put_to_what_was_there_is_everything),
        cmocka_unit_test(a_million_steps_and_a_thousand_workers_fit_into_a_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
