/* low_discrepancy.h: points that fill a cube more evenly than random ones do, one after the other, so
 * that the first n are even for every n.
 * Source: Roberts 2018, "The Unreasonable Effectiveness of Quasirandom Sequences" (the R sequence): with g
 * the root > 1 of x^(d+1) = x + 1, coordinate j of point i is frac(s_j + (i + 1) g^-(j+1)). The shift s_j is
 * drawn from the seed (Cranley and Patterson 1976), so that another seed gives another sequence as even. */
#pragma once

#include <stdint.h>

/* Coordinate j < d of point i of the d-dimensional sequence; in [0, 1). Computed in whole numbers of 2^-64
 * from the step on, so that late points are as exact as the first. */
double mn_low_discrepancy(uint64_t seed, uint32_t d, uint32_t j, uint64_t i);
