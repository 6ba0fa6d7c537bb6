/* examples_solve.h: examples of solve.c: three equations, by Cramer's rule; the matrix is not
 * symmetric, and without its ridge not definite. */
#pragma once

#include "worker/engine/ops/ops_bed.h"

#define RIDGE 4.0

BUILD(solve)
{
    mn_node a = arg(bed, C, C), b = arg(bed, C, 2);
    return mn_graph_solve(&bed->graph, a, RIDGE, b);
}

static double determinant(const double m[C * C])
{
    return m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) +
           m[2] * (m[3] * m[7] - m[4] * m[6]);
}

NAIVE(solve)
{
    double m[C * C];
    (void)x;
    EACH(i, C * C)
    m[i] = (a[0][i] + a[0][i % C * C + i / C]) / 2 + (i % (C + 1) == 0 ? RIDGE : 0);
    EACH(i, C)
    EACH(right, 2)
    {
        double other[C * C];
        EACH(p, C * C)
        other[p] = p % C == i ? a[1][p / C * 2 + right] : m[p];
        out[i * 2 + right] = determinant(other) / determinant(m);
    }
}
BUILT_AND_NAIVE(solve);

OF_A_DERIVATIVE(factor, solve);
