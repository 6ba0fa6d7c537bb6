#include "worker/learner/parameters.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void layouts_are_pytorch_outside_and_come_back(void **state)
{
    (void)state;
    mn_parameters list = {0};
    uint32_t conv = mn_parameters_add_conv(&list, "conv1.weight", 2, 3);
    uint32_t fc = mn_parameters_add_linear(&list, "fc1.weight", (mn_extent){1, 2, 2, 3}, 5);
    uint32_t bias = mn_parameters_add_vector(&list, "fc1.bias", 5, MN_START_ZERO);
    assert_int_equal(list.size, 54 + 60 + 5);
    assert_int_equal(list.at[conv].tensor.shape[0], 3); /* [out, in, 3, 3] */
    assert_int_equal(list.at[conv].tensor.shape[1], 2);
    assert_int_equal(list.at[fc].tensor.shape[0], 5); /* [out, channels * y * x] */
    assert_int_equal(list.at[fc].tensor.shape[1], 12);

    mn_real inside[119], outside[119], back[119];
    for (int i = 0; i < 119; i++)
        inside[i] = (mn_real)i;
    mn_parameters_export(&list, inside, outside);
    mn_parameters_import(&list, outside, back);
    assert_memory_equal(inside, back, sizeof inside);

    /* conv: tap (y 1, x 2), in 1, out 2: inside [3,3,in,out], outside [out,in,3,3] */
    assert_true(outside[(2 * 2 + 1) * 9 + 1 * 3 + 2] == inside[((1 * 3 + 2) * 2 + 1) * 3 + 2]);
    /* linear over an image: y 1, x 0, channel 2, out 4: inside (y,x,c) rows, outside (c,y,x)
     * columns */
    const mn_real *from = inside + list.at[fc].offset, *to = outside + list.at[fc].offset;
    assert_true(to[4 * 12 + 2 * 4 + 1 * 2 + 0] == from[((1 * 2 + 0) * 3 + 2) * 5 + 4]);
    assert_true(outside[list.at[bias].offset + 3] == inside[list.at[bias].offset + 3]);
}

static void start_follows_the_named_rule(void **state)
{
    (void)state;
    mn_parameters list = {0};
    uint32_t w = mn_parameters_add_linear(&list, "w", (mn_extent){1, 1, 1, 200}, 100);
    uint32_t one = mn_parameters_add_vector(&list, "g", 10, MN_START_ONE);
    uint32_t zero = mn_parameters_add_vector(&list, "b", 10, MN_START_ZERO);
    uint32_t even = mn_parameters_add_table(&list, "e", 200, 100, MN_START_UNIFORM, 0.3);
    mn_real *theta = malloc(list.size * sizeof *theta), *again = malloc(list.size * sizeof *again);
    assert_non_null(theta);
    assert_non_null(again);

    double limit = sqrt(6.0 / 300.0);
    const struct {
        mn_weight_init how;
        double deviation, bound;
        uint32_t tensor;
    } rules[] = {{MN_INIT_GLOROT, limit / sqrt(3.0), limit, w},
                 {MN_INIT_HE, sqrt(2.0 / 200.0), 1.0, w},
                 {MN_INIT_LECUN, sqrt(1.0 / 200.0), sqrt(3.0 / 200.0), w},
                 {MN_INIT_HE, 0.3, 0.3 * sqrt(3.0), even},
                 {MN_INIT_TRUNCATED_NORMAL, 0.01 * 0.8796, 0.02, w}}; /* of a normal cut at 2 sd */
    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
        mn_parameters_start(&list, rules[r].how, 5, theta);
        const mn_real *numbers = theta + list.at[rules[r].tensor].offset;
        double sum = 0.0, squares = 0.0;
        for (size_t i = 0; i < list.at[w].count; i++) {
            assert_true(fabs((double)numbers[i]) <= rules[r].bound + 1e-7);
            sum += (double)numbers[i];
            squares += (double)numbers[i] * (double)numbers[i];
        }
        double n = (double)list.at[w].count, deviation = sqrt(squares / n);
        assert_true(fabs(sum / n) < 4.0 * rules[r].deviation / sqrt(n));
        assert_true(fabs(deviation / rules[r].deviation - 1.0) < 0.02);
    }
    for (size_t i = 0; i < 10; i++) {
        assert_true(theta[list.at[one].offset + i] == 1);
        assert_true(theta[list.at[zero].offset + i] == 0);
    }
    mn_parameters_start(&list, MN_INIT_TRUNCATED_NORMAL, 5, again);
    assert_memory_equal(theta, again, list.size * sizeof *theta);
    mn_parameters_start(&list, MN_INIT_TRUNCATED_NORMAL, 6, again);
    assert_memory_not_equal(theta, again, list.size * sizeof *theta);
    free(theta);
    free(again);
}

static void too_many_tensors_are_refused(void **state)
{
    (void)state;
    mn_parameters *list = calloc(1, sizeof *list);
    assert_non_null(list);
    for (uint32_t i = 0; i < MN_MAX_PARAMETERS; i++)
        assert_int_equal(mn_parameters_add_vector(list, "v", 1, MN_START_ZERO), i);
    assert_int_equal(mn_parameters_add_vector(list, "v", 1, MN_START_ZERO), UINT32_MAX);
    assert_int_equal(list->size, MN_MAX_PARAMETERS);
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_are_pytorch_outside_and_come_back),
        cmocka_unit_test(start_follows_the_named_rule),
        cmocka_unit_test(too_many_tensors_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
