/* a*b+c with one rounding where the machine has no such instruction (this file is compiled for the least machine): to the
 * bit what the C library's fma gives, where rounding twice goes wrong too. */
#include "worker/engine/kernels_vector.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static uint64_t seed = 2463534242u;

static uint32_t random_bits(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void expect_fused(const float a[LANES], const float b[LANES], const float c[LANES])
{
    const vec all = fused(load(a), load(b), load(c)), less = fused_less(load(a), load(b), load(c));
    for (size_t l = 0; l < LANES; l++) {
        const float right = fmaf(a[l], b[l], c[l]), right_less = fmaf(-a[l], b[l], c[l]);
        const float one = fused_one(a[l], b[l], c[l]);
        if (isnan(right)
                ? !isnan(all[l]) || !isnan(one)
                : memcmp(&one, &right, sizeof one) != 0 || all[l] != right || less[l] != right_less)
            fail_msg("%a * %a + %a: %a alone and %a in a vector, not %a; less: %a, not %a",
                     (double)a[l], (double)b[l], (double)c[l], (double)one, (double)all[l],
                     (double)right, (double)less[l], (double)right_less);
    }
}

/* Any bits: numbers of all sizes, below the normal ones too, infinite ones and NaN. */
static void any_bits_are_fused_as_by_the_c_library(void **state)
{
    (void)state;
    for (int i = 0; i < 300000; i++) {
        float x[3][LANES];
        for (size_t l = 0; l < LANES; l++)
            for (size_t k = 0; k < 3; k++)
                x[k][l] = float_of(random_bits());
        expect_fused(x[0], x[1], x[2]);
    }
}

/* Products of 25 bits, half-way between two floats, and beside them so little that a double does not show it. */
static void what_is_half_way_is_fused_as_by_the_c_library(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        float x[3][LANES];
        for (size_t l = 0; l < LANES; l++) {
            x[0][l] = (float)(4097 + 2 * (random_bits() % 800));
            x[1][l] = (float)(4097 + 2 * (random_bits() % 800));
            x[2][l] = ldexpf((float)(int32_t)(random_bits() % 3 - 1), -60);
        }
        expect_fused(x[0], x[1], x[2]);
    }
}

/* The same below the normal numbers, where half-way is half of 2^-149: (1 + 2^-23) (1 - 2^-23) of it is a hair
 * less. */
static void what_is_half_way_between_small_numbers_is_fused_as_by_the_c_library(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        float x[3][LANES];
        for (size_t l = 0; l < LANES; l++) {
            const float sign = random_bits() & 0x10000 ? 1 : -1;
            x[0][l] = ldexpf(1 + 0x1p-23F, -75);
            x[1][l] = sign * ldexpf(1 - 0x1p-23F, -75);
            x[2][l] = sign * ldexpf((float)(0x400000 + (random_bits() >> 10)), -149);
        }
        expect_fused(x[0], x[1], x[2]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_bits_are_fused_as_by_the_c_library),
        cmocka_unit_test(what_is_half_way_is_fused_as_by_the_c_library),
        cmocka_unit_test(what_is_half_way_between_small_numbers_is_fused_as_by_the_c_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
