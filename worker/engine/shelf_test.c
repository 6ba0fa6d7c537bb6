#include "worker/engine/shelf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

enum { N = 700 };

struct array {
    size_t bytes, offset;
    uint32_t first, last;
};

static uint32_t below(uint64_t *state, uint32_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % n;
}

/* Up by one until nothing that lives at the same time is there. */
static size_t lowest_place(const struct array *arrays, uint32_t n, const struct array *array)
{
    for (size_t offset = 0;; offset++) {
        bool is_free = true;
        for (uint32_t i = 0; i < n && is_free; i++)
            is_free = arrays[i].last < array->first || array->last < arrays[i].first ||
                      arrays[i].offset + arrays[i].bytes <= offset ||
                      offset + array->bytes <= arrays[i].offset;
        if (is_free)
            return offset;
    }
}

static void each_array_gets_the_lowest_place_that_is_free_for_its_life(void **state)
{
    (void)state;
    static struct array arrays[N];
    for (uint64_t seed = 1; seed <= 6; seed++) {
        uint64_t random = seed;
        const uint32_t time = seed % 2 == 0 ? 40 : 1500, longest = seed % 3 == 0 ? time : 9;
        mn_shelf *shelf;
        size_t end = 0;
        assert_int_equal(mn_shelf_new(N, &shelf, NULL), MN_OK);
        for (uint32_t i = 0; i < N; i++) {
            struct array *array = &arrays[i];
            array->bytes = 1 + below(&random, 5);
            array->first = below(&random, time);
            array->last = array->first + below(&random, longest);
            if (i % 97 == 0)
                array->last = UINT32_MAX; /* read after the run */
            array->offset = lowest_place(arrays, i, array);
            end = array->offset + array->bytes > end ? array->offset + array->bytes : end;
            size_t offset = mn_shelf_place(shelf, array->bytes, array->first, array->last);
            if (offset != array->offset)
                fail_msg("seed %d: array %u is at %zu, not %zu", (int)seed, i, offset,
                         array->offset);
            assert_int_equal(mn_shelf_bytes(shelf), end);
        }
        mn_shelf_destroy(&shelf);
        assert_null(shelf);
    }
}

static void an_empty_shelf_needs_nothing(void **state)
{
    (void)state;
    mn_shelf *shelf;
    assert_int_equal(mn_shelf_new(0, &shelf, NULL), MN_OK);
    assert_int_equal(mn_shelf_bytes(shelf), 0);
    mn_shelf_destroy(&shelf);
    mn_shelf_destroy(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_array_gets_the_lowest_place_that_is_free_for_its_life),
        cmocka_unit_test(an_empty_shelf_needs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
