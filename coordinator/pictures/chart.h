/* chart.h: pictures of a run, drawn by gnuplot from a script and data that stay beside them, as
 * gnuplot.h says. MN_ERR_UNAVAILABLE: gnuplot is not installed. */
#pragma once

#include "common/error.h"
#include "coordinator/run/comparison.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lines over meta-steps, as of several runs. All arrays are lent. */
typedef struct mn_line {
    const char *title;
    size_t n;
    const double *x, *y;
    const double *half_width; /* [n] of intervals; NaN where there is none; NULL: nowhere */
} mn_line;

/* <folder>/<name>.dat, .gp, and by gnuplot .svg. Status as above. */
mn_status mn_chart_lines(const char *folder, const char *name, const char *title, size_t n,
                         const mn_line *lines, mn_error *err);

/* Every point of every score of each contestant, with its interval, a panel a score: lines where the
 * points are numbers, as inner steps and showings, else a place for each, as for the sets of a mixture.
 * Written to `png`, and beside it the data and script that it is made from, with .dat and .gp instead of
 * .png. Names end in .png (MN_ERR_USAGE). Status as above. */
mn_status mn_chart_points(const char *png, size_t n, const mn_contestant *contestants,
                          mn_error *err);

/* A task of values: one x, one y. All arrays are lent. */
typedef struct mn_fitted_curve {
    const char *title;
    size_t n; /* points of the curves, x growing */
    const double *x;
    const double *before, *after; /* [n]: predictions of theta, or NULL, and of adapted theta */
    const double *truth;          /* [n] */
    size_t n_support;
    const double *support_x, *support_y; /* [n_support] */
    uint32_t inner_steps;                /* of `after` */
} mn_fitted_curve;

/* <folder>/<name>.dat, .gp, and by gnuplot .png. Status as above. */
mn_status mn_chart_fit(const char *folder, const char *name, const mn_fitted_curve *curve,
                       mn_error *err);
