/* gradient_bed.h: for tests in double: a gradient against central differences, one direction a tensor.
 * All elements of the tensor move at once, each up or down by a sign of its own, so that two
 * evaluations find a wrong element wherever it is; which one it was is only asked for when there is
 * one. */
#pragma once

#include "worker/engine/draw_bed.h"
#include "worker/learner/parameters.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef double function_of_theta(void *of);

struct gradient_bed {
    const mn_parameters *parameters;
    mn_real *theta; /* what the function is of */
    const mn_real *gradient;
    function_of_theta *function;
    void *of;
    double step, tolerance; /* the latter in parts of the largest element */
    const char *what;
};

/* Along sign[i] of the elements from begin on. */
static inline double central_difference(const struct gradient_bed *bed, size_t begin, size_t n,
                                        const mn_real *sign)
{
    mn_real *theta = bed->theta + begin;
    mn_real *before = malloc(n * sizeof *before);
    assert_non_null(before);
    memcpy(before, theta, n * sizeof *before);
    double values[2];
    for (int up = 0; up < 2; up++) {
        for (size_t i = 0; i < n; i++)
            theta[i] = before[i] + (up ? sign[i] : -sign[i]) * (mn_real)bed->step;
        values[up] = bed->function(bed->of);
    }
    memcpy(theta, before, n * sizeof *before);
    free(before);
    return (values[1] - values[0]) / (2 * bed->step);
}

static inline void find_wrong_element(const struct gradient_bed *bed, const mn_parameter *tensor,
                                      double most)
{
    const mn_real up = 1;
    for (size_t i = tensor->offset; i < tensor->offset + tensor->count; i++) {
        const double expected = central_difference(bed, i, 1, &up);
        if (!(fabs((double)bed->gradient[i] - expected) <= most))
            fail_msg("%s: the gradient of %s[%zu] is %.12g, central difference %.12g", bed->what,
                     tensor->tensor.name, i - tensor->offset, (double)bed->gradient[i], expected);
    }
}

static inline void check_tensor(const struct gradient_bed *bed, const mn_parameter *tensor,
                                double most)
{
    mn_real *sign = malloc(tensor->count * sizeof *sign);
    assert_non_null(sign);
    double ours = 0;
    for (size_t i = 0; i < tensor->count; i++) {
        sign[i] = draw() < 0 ? -1 : 1;
        ours += (double)(bed->gradient[tensor->offset + i] * sign[i]);
    }
    const double expected =
        tensor->stands ? 0 : central_difference(bed, tensor->offset, tensor->count, sign);
    free(sign);
    if (fabs(ours - expected) <= most)
        return;
    find_wrong_element(bed, tensor, most);
    fail_msg("%s: the gradient of %s along a direction is %.12g, central difference %.12g",
             bed->what, tensor->tensor.name, ours, expected);
}

static inline void check_gradient(const struct gradient_bed *bed, double least)
{
    double largest = 0;
    for (size_t i = 0; i < bed->parameters->size; i++)
        largest = fmax(largest, fabs((double)bed->gradient[i]));
    assert_true(largest > least);
    for (uint32_t k = 0; k < bed->parameters->n; k++)
        check_tensor(bed, &bed->parameters->at[k], bed->tolerance * largest);
}
