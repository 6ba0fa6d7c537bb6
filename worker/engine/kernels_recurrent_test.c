/* kernels_recurrent_test.c: steps of an LSTM and of a memory, and whole recurrences, by each instruction set that this
 * machine has, against the reference. */
#include "worker/engine/tables_bed.h"
#include <stdlib.h>

static float *numbers(size_t n)
{
    float *a = malloc((n + 1) * sizeof *a);
    assert_non_null(a);
    for (size_t i = 0; i < n; i++)
        a[i] = (float)draw();
    a[n] = 1234.5f; /* nobody writes behind the end */
    return a;
}

static void expect_near(const char *name, const char *what, size_t n, const float *a,
                        const float *b)
{
    assert_true(a[n] == 1234.5f);
    note(n, a);
    float largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmaxf(largest, fabsf(b[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 2e-5f * largest + 1e-6f))
            fail_msg("%s, %s: number %zu is %.9g, by the reference %.9g", name, what, i,
                     (double)a[i], (double)b[i]);
}

static void compare_lstm(const mn_kernels *k, size_t n, size_t c, bool is_first)
{
    const mn_kernels *plain = &mn_kernels_plain;
    float *zx = numbers(4 * n * c), *zr = is_first ? NULL : numbers(4 * n * c);
    float *before = is_first ? NULL : numbers(n * c), *adjoint = numbers(2 * n * c);
    float *ours = numbers(6 * n * c), *theirs = numbers(6 * n * c);
    float *dours = numbers(5 * n * c), *dtheirs = numbers(5 * n * c);
    k->lstm(n, c, zx, zr, before, ours);
    plain->lstm(n, c, zx, zr, before, theirs);
    expect_near(k->name, "LSTM", 6 * n * c, ours, theirs);
    k->lstm_backward(n, c, theirs, before, adjoint, dours);
    plain->lstm_backward(n, c, theirs, before, adjoint, dtheirs);
    expect_near(k->name, "LSTM backward", 5 * n * c, dours, dtheirs);
    float *all[] = {zx, zr, before, adjoint, ours, theirs, dours, dtheirs};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void lstm_steps_agree(void **state)
{
    (void)state;
    FOR_EACH_TABLE(k)
    for (size_t c = 1; c <= 40; c += 3) {
        compare_lstm(k, 3, c, false);
        compare_lstm(k, 2, c, true);
    }
}

/* Usages that differ by far more than rounding, so that all choose the same slots; some equal. */
static void make_usage(const mn_lrua *m, float *usage)
{
    for (size_t i = 0; i < (size_t)m->n * m->slots; i++)
        usage[i] = (float)((i * 7919u) % 5u) + 0.25f * (float)((i * 31u) % 3u);
}

static void compare_lrua(const mn_kernels *k, const mn_lrua *m, bool sharpened)
{
    const mn_kernels *plain = &mn_kernels_plain;
    const size_t memory = (size_t)m->n * m->width * m->slots,
                 weights = (size_t)m->n * m->heads * m->slots, keys = (size_t)m->heads * m->width;
    const size_t size = memory + 2 * weights + (size_t)m->n * (m->slots + 2 * keys + 2 * m->heads);
    float *before = numbers(size), *asked = numbers(m->n * (keys + m->heads));
    float *adjoint = numbers(size), *ours = numbers(size), *theirs = numbers(size);
    float *dours = numbers(size), *dtheirs = numbers(size);
    float *sharpness = sharpened ? numbers((size_t)m->n * m->heads) : NULL;
    for (size_t i = 0; sharpened && i < (size_t)m->n * m->heads; i++)
        sharpness[i] = 2 + sharpness[i];
    make_usage(m, before + memory + weights);
    k->lrua(m, before, asked, sharpness, ours);
    plain->lrua(m, before, asked, sharpness, theirs);
    expect_near(k->name, "LRUA", size, ours, theirs);
    k->lrua_backward(m, before, theirs, sharpness, adjoint, dours);
    plain->lrua_backward(m, before, theirs, sharpness, adjoint, dtheirs);
    expect_near(k->name, "LRUA backward", size, dours, dtheirs);
    float *all[] = {before, asked, adjoint, ours, theirs, dours, dtheirs, sharpness};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void memory_steps_agree(void **state)
{
    static const uint32_t slots[] = {5, 16, 37, 128}, widths[] = {1, 3, 40};
    (void)state;
    FOR_EACH_TABLE(k)
    for (uint32_t heads = 1; heads <= 5; heads++)
        for (size_t s = 0; s < 4; s++)
            for (size_t w = 0; w < 3; w++) {
                const mn_lrua shape = {
                    .n = 2, .heads = heads, .slots = slots[s], .width = widths[w], .decay = 0.9};
                compare_lrua(k, &shape, false);
                compare_lrua(k, &shape, true);
            }
}

/* A slot of zeros is like nothing, and has no direction: no derivative, no NaN. */
static void a_memory_of_zeros_has_a_derivative(void **state)
{
    const mn_lrua m = {.n = 1, .heads = 1, .slots = 4, .width = 2, .decay = 1};
    enum { SIZE = 8 + 4 + 4 + 2 + 4 + 3 + 1 };
    float before[SIZE] = {0}, asked[3] = {0}, after[SIZE], adjoint[SIZE], out[SIZE];
    const mn_kernels *const *all = mn_kernels_all();
    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        adjoint[i] = 1;
    for (; *all != NULL; all++) {
        (*all)->lrua(&m, before, asked, NULL, after);
        (*all)->lrua_backward(&m, before, after, NULL, adjoint, out);
        for (size_t i = 0; i < SIZE; i++)
            assert_true(isfinite(after[i]) && isfinite(out[i]));
    }
}

static void compare_scan(const mn_kernels *k, size_t n, size_t steps, size_t c, size_t gates,
                         bool backwards)
{
    const size_t size = n * steps * c;
    float *decay = numbers(n * steps * gates), *u = numbers(size);
    float *ours = numbers(size), *theirs = numbers(size);
    k->scan(n, steps, c, gates, backwards, decay, u, ours);
    mn_kernels_plain.scan(n, steps, c, gates, backwards, decay, u, theirs);
    expect_near(k->name, "scan", size, ours, theirs);
    k->scan(n, steps, c, gates, backwards, decay, u, u);
    assert_memory_equal(u, ours, size * sizeof *u);
    float *all[] = {decay, u, ours, theirs};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void recurrences_agree_also_in_place(void **state)
{
    (void)state;
    FOR_EACH_TABLE(k)
    for (size_t steps = 1; steps <= 9; steps += 4)
        for (size_t c = 1; c <= 40; c += 3)
            for (int way = 0; way < 4; way++)
                compare_scan(k, 3, steps, c, way & 1 ? c : 1, way & 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lstm_steps_agree),
        cmocka_unit_test(memory_steps_agree),
        cmocka_unit_test(recurrences_agree_also_in_place),
        cmocka_unit_test(a_memory_of_zeros_has_a_derivative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
