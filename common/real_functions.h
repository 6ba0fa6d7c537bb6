/* real_functions.h: exp, log and cosine with the same bits everywhere. Those of a C library differ in the last bit
 * between versions and between processors, and then so would every answer. These use nothing but IEEE
 * operations, each of which has one right result, in an order that no compiler changes
 * (-ffp-contract=off). Errors are those that real_functions_test.c measures against long double. */
#pragma once

/* e^x, within 2 units of the last place where the result is a normal number; 0 below -745.2, infinite above 709.8;
 * NaN of NaN. */
double mn_real_exp(double x);

/* The natural logarithm of x > 0, within 3 units of the last place; -infinity of 0, infinity of infinity,
 * NaN of NaN and of negative numbers. */
double mn_real_log(double x);

/* log(1 + x) for x >= 0, within 4 units of the last place, for small x too. */
double mn_real_log1p(double x);

/* cos(2 pi turns), turns in [0, 1): within 4e-16. */
double mn_real_cosine_of_turns(double turns);
