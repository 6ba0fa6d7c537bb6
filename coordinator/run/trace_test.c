#include "coordinator/run/trace.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static mn_trace trace;

static int set_up(void **state)
{
    (void)state;
    trace = (mn_trace){0};
    return 0;
}

static void few_records_are_points_as_they_are(void **state)
{
    (void)state;
    mn_trace_add(&trace, 100, 0.5, 0.1, 1);
    mn_trace_add(&trace, 200, NAN, 0.1, 1);
    mn_trace_add(&trace, 300, 0.25, NAN, 1);
    assert_int_equal(trace.n, 2);
    assert_int_equal(trace.begun, 0);
    assert_true(trace.points[0].step == 100 && trace.points[0].half_width == 0.1);
    assert_true(trace.points[1].value == 0.25 && isnan(trace.points[1].half_width));
}

static void a_million_records_keep_their_mean_within_a_thousand_points(void **state)
{
    (void)state;
    const uint64_t n = 1000000;
    double sum = 0, steps = 0, weight = 0;
    for (uint64_t i = 1; i <= n; i++)
        mn_trace_add(&trace, (double)i, (double)(i % 7), 1, 1);
    assert_in_range(trace.n, MN_TRACE_MOST / 2, MN_TRACE_MOST);
    for (uint32_t i = 0; i < trace.n; i++) {
        sum += (double)trace.stride * trace.points[i].value;
        steps += (double)trace.stride * trace.points[i].step;
        weight += (double)trace.stride;
        assert_true(trace.points[i].half_width == 1);
        assert_true(i == 0 || trace.points[i].step > trace.points[i - 1].step);
    }
    if (trace.begun > 0) {
        const mn_trace_point last = mn_trace_last(&trace);
        sum += (double)trace.begun * last.value;
        steps += (double)trace.begun * last.step;
        weight += (double)trace.begun;
    }
    assert_true(weight == (double)n);
    assert_true(fabs(steps / weight - ((double)n + 1) / 2) < 1e-6);
    assert_true(fabs(sum / weight - 3) < 1e-4);
}

static void what_is_old_stays_until_the_stride_doubles(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 3 * MN_TRACE_MOST; i++) {
        const uint64_t stride = trace.stride;
        const uint32_t n = trace.n;
        const mn_trace_point newest = n > 0 ? trace.points[n - 1] : (mn_trace_point){0};
        mn_trace_add(&trace, (double)i, (double)i, NAN, 1);
        if (trace.stride == stride && n > 0)
            assert_true(trace.points[n - 1].step == newest.step);
    }
    assert_int_equal(trace.stride, 4);
}

static void a_record_may_stand_for_many(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 4 * MN_TRACE_MOST; i++)
        mn_trace_add(&trace, (double)(100 * i), 2, NAN, 100);
    assert_true(trace.n <= MN_TRACE_MOST);
    for (uint32_t i = 0; i < trace.n; i++)
        assert_true(trace.points[i].value == 2);
    assert_true(trace.points[trace.n - 1].step > 300.0 * MN_TRACE_MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(few_records_are_points_as_they_are, set_up),
        cmocka_unit_test_setup(a_million_records_keep_their_mean_within_a_thousand_points, set_up),
        cmocka_unit_test_setup(what_is_old_stays_until_the_stride_doubles, set_up),
        cmocka_unit_test_setup(a_record_may_stand_for_many, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
