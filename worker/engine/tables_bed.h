/* tables_bed.h: for tests of kernels: every table of this machine in turn, on the same numbers, must make the same bits. */
#pragma once

#include "worker/engine/draw_bed.h"
#include "worker/engine/kernels.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static uint64_t made_bits, first_bits, seed_before;

/* What a table made; of NaN only that it is one. */
static inline void note(size_t n, const float *x)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = 0x7fc00000;
        if (!isnan(x[i]))
            memcpy(&bits, x + i, sizeof bits);
        made_bits = (made_bits ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
        made_bits ^= made_bits >> 29;
    }
}

static inline void note_double(double x)
{
    uint64_t bits = 0;
    if (!isnan(x))
        memcpy(&bits, &x, sizeof bits);
    made_bits = (made_bits ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
}

static inline const mn_kernels *const *first_table(void)
{
    seed_before = seed_state;
    made_bits = 0;
    return mn_kernels_all();
}

/* The table after this one, if what this one made is what the first did. */
static inline const mn_kernels *const *next_table(const mn_kernels *const *table)
{
    if (table == mn_kernels_all())
        first_bits = made_bits;
    if (made_bits != first_bits)
        fail_msg("the kernels %s make other bits than %s", (*table)->name,
                 mn_kernels_all()[0]->name);
    seed_state = seed_before;
    made_bits = 0;
    return table + 1;
}

/* Runs `body` for each table but the reference, which has an arithmetic of its own. */
#define FOR_EACH_TABLE(k)                                                                          \
    for (const mn_kernels *const *each = first_table(), *k = *each;                                \
         (k = *each) != &mn_kernels_plain; each = next_table(each))
