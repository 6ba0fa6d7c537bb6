/* numbers.h: the numbers of a reference file (PyTorch in float64), and ours against them. In double
 * all agree to 1e-9 of their tensor's largest entry, in float32 to 2e-4. And the fields that a task
 * of such a file has. */
#pragma once

#include "worker/engine/plan.h"
#include "worker/tasks/task.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#ifdef MN_DOUBLE
#define RELATIVE 1e-9
#define FLOOR 1e-12
#else
#define RELATIVE 2e-4
#define FLOOR 2e-5
#endif

static inline json_t *get(json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL)
        fail_msg("the reference file lacks \"%s\"", key);
    return value;
}

static inline json_t *load(const char *name)
{
    const char *folder = getenv("MNEMO_REFERENCE");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : MN_REFERENCE_FOLDER, name);
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL) {
        print_message("skipped: %s: %s (set MNEMO_REFERENCE)\n", path, error.text);
        skip();
    }
    return root;
}

/* One that lies beside the tests. */
static inline json_t *load_own(const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", MN_OWN_REFERENCE_FOLDER, name);
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL)
        fail_msg("%s: %s", path, error.text);
    return root;
}

static inline double number(json_t *tensor, size_t i)
{
    json_t *data = json_is_array(tensor) ? tensor : get(tensor, "data");
    assert_true(i < json_array_size(data));
    return json_number_value(json_array_get(data, i));
}

static inline size_t count_of(json_t *tensor)
{
    return json_array_size(json_is_array(tensor) ? tensor : get(tensor, "data"));
}

static inline uint32_t whole(json_t *object, const char *key)
{
    return (uint32_t)json_integer_value(get(object, key));
}

/* Of several lists, the length of the longest. */
static inline size_t longest(json_t *lists)
{
    size_t n = 0, i;
    json_t *list;
    json_array_foreach(lists, i, list) n = json_array_size(list) > n ? json_array_size(list) : n;
    return n;
}

static inline void expect_near(const char *what, size_t n, const mn_real *ours, json_t *theirs)
{
    double largest = 0;
    assert_int_equal(count_of(theirs), n);
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(number(theirs, i)));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)ours[i] - number(theirs, i)) <= RELATIVE * largest + FLOOR))
            fail_msg("%s: number %zu is %.17g, expected %.17g", what, i, (double)ours[i],
                     number(theirs, i));
}

static inline void read_numbers(json_t *tensor, mn_real *out)
{
    for (size_t i = 0; i < count_of(tensor); i++)
        out[i] = (mn_real)number(tensor, i);
}

/* Add a query field of n items, each height x channels. */
static inline void add_query_field(mn_fields *fields, const char *name, mn_field_type type,
                                   uint32_t n, uint32_t height, uint32_t channels)
{
    const uint32_t item[3] = {height, 1, channels};
    mn_error err = {0};
    if (mn_fields_add(fields, MN_QUERY, name, type, n, item, &err) != MN_OK)
        fail_msg("%s", err.message);
}

/* The numbers of one item of a query field. */
static inline mn_real *query_field(const mn_fields *fields, mn_real *block, const char *name,
                                   size_t item)
{
    const mn_field *at = mn_fields_find(fields, MN_QUERY, name);
    assert_non_null(at);
    return block + at->offset + item * mn_field_item(at);
}
