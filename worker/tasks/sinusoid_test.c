#include "worker/tasks/sinusoid.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SUPPORT = 10, QUERY = 7 };

static const mn_sinusoid finn = {{0.1, 5.0}, {0.0, 3.14159265358979}, {-5.0, 5.0}, MN_CURVE_SINE};

static mn_task *draw_of(const mn_sinusoid *sinusoid, uint32_t n_query, uint64_t index)
{
    const uint32_t number[3] = {1, 1, 1};
    mn_fields fields;
    mn_task *task = NULL;
    assert_int_equal(
        mn_fields_few_shot(&fields, SUPPORT, n_query, number, MN_TARGET_VALUES, 1, NULL), MN_OK);
    assert_int_equal(mn_task_new(&fields, &task, NULL), MN_OK);
    mn_random random = mn_random_stream(5, MN_RANDOM_TASK_TRAIN, index);
    mn_sinusoid_draw(sinusoid, &random, task);
    return task;
}

static mn_task *draw(uint32_t n_query, uint64_t index)
{
    return draw_of(&finn, n_query, index);
}

static void the_sine_is_that_of_the_c_library_to_1e_15(void **state)
{
    (void)state;
    for (int i = -200000; i <= 200000; i++) {
        double angle = i * 1.234567e-3;
        assert_true(fabs(mn_sinusoid_sine(angle) - sin(angle)) < 1e-15);
    }
    for (int i = -1000; i <= 1000; i++) {
        double angle = i * 99.87654321;
        assert_true(fabs(mn_sinusoid_sine(angle) - sin(angle)) < 1e-15);
    }
    assert_true(mn_sinusoid_sine(0.0) == 0.0);
}

/* y = a sin x + b cos x with a = A cos(phase), b = -A sin(phase): two points give a and b, all
 * others must obey. */
static void all_points_of_a_task_lie_on_one_sinusoid_of_the_asked_ranges(void **state)
{
    (void)state;
    for (uint64_t index = 0; index < 200; index++) {
        mn_task *task = draw(QUERY, index);
        double ss = 0, sc = 0, cc = 0, sy = 0, cy = 0; /* least squares of the support */
        for (int i = 0; i < SUPPORT; i++) {
            double x = (double)task->at[MN_SUPPORT_X][i], s = sin(x), c = cos(x);
            assert_true(x >= -5 && x <= 5);
            ss += s * s;
            sc += s * c;
            cc += c * c;
            sy += s * (double)task->at[MN_SUPPORT_Y][i];
            cy += c * (double)task->at[MN_SUPPORT_Y][i];
        }
        double det = ss * cc - sc * sc;
        double a = (sy * cc - cy * sc) / det, b = (ss * cy - sc * sy) / det;
        double amplitude = sqrt(a * a + b * b), phase = atan2(-b, a);
        assert_true(amplitude > 0.1 - 1e-4 && amplitude < 5.0 + 1e-4);
        assert_true(phase > -1e-4 && phase < 3.1416 + 1e-4);
        for (int i = 0; i < QUERY; i++) {
            double x = (double)task->at[MN_QUERY_X][i], y = (double)task->at[MN_QUERY_Y][i];
            assert_true(fabs(a * sin(x) + b * cos(x) - y) < 1e-4);
        }
        mn_task_destroy(&task);
    }
}

static void more_query_points_leave_the_support_as_it_was(void **state)
{
    (void)state;
    mn_task *few = draw(1, 3), *many = draw(50, 3), *other = draw(1, 4);
    assert_memory_equal(few->at[MN_SUPPORT_X], many->at[MN_SUPPORT_X], SUPPORT * sizeof(float));
    assert_memory_equal(few->at[MN_SUPPORT_Y], many->at[MN_SUPPORT_Y], SUPPORT * sizeof(float));
    assert_true(few->at[MN_QUERY_X][0] == many->at[MN_QUERY_X][0]);
    assert_memory_not_equal(few->at[MN_SUPPORT_X], other->at[MN_SUPPORT_X],
                            SUPPORT * sizeof(float));
    assert_int_equal(few->n_classes, 0);
    mn_task_destroy(&few);
    mn_task_destroy(&many);
    mn_task_destroy(&other);
}

/* A line through two points of the support goes through all; a step has two values, one the other's
 * negative, the lower one on one side. */
static void lines_and_steps_are_what_they_are_called(void **state)
{
    mn_sinusoid line = finn, step = finn;
    (void)state;
    line.curve = MN_CURVE_LINE;
    step.curve = MN_CURVE_STEP;
    unsigned both_sides = 0;
    for (uint64_t index = 0; index < 50; index++) {
        mn_task *sine = draw(QUERY, index);
        mn_task *task = draw_of(&line, QUERY, index);
        const float *x = task->at[MN_SUPPORT_X], *y = task->at[MN_SUPPORT_Y];
        const double slope = ((double)y[1] - (double)y[0]) / ((double)x[1] - (double)x[0]);
        assert_memory_equal(x, sine->at[MN_SUPPORT_X], SUPPORT * sizeof *x); /* same draws */
        assert_true(slope > 0.09 && slope < 5.01);
        for (int i = 0; i < QUERY; i++)
            assert_true(fabs((double)y[0] +
                             slope * ((double)task->at[MN_QUERY_X][i] - (double)x[0]) -
                             (double)task->at[MN_QUERY_Y][i]) < 1e-2);
        mn_task_destroy(&sine);
        mn_task_destroy(&task);

        task = draw_of(&step, QUERY, index);
        x = task->at[MN_SUPPORT_X];
        y = task->at[MN_SUPPORT_Y];
        bool low = false, high = false;
        for (int i = 0; i < SUPPORT; i++) {
            assert_true(fabsf(y[i]) == fabsf(y[0]));
            for (int k = 0; k < SUPPORT; k++)
                assert_true(x[i] > x[k] || y[i] <= y[k] || x[i] == x[k]);
            low = low || y[i] < 0;
            high = high || y[i] > 0;
        }
        both_sides += low && high;
        mn_task_destroy(&task);
    }
    assert_true(both_sides > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sine_is_that_of_the_c_library_to_1e_15),
        cmocka_unit_test(all_points_of_a_task_lie_on_one_sinusoid_of_the_asked_ranges),
        cmocka_unit_test(more_query_points_leave_the_support_as_it_was),
        cmocka_unit_test(lines_and_steps_are_what_they_are_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
