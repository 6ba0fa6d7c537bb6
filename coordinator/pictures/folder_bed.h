/* folder_bed.h: a folder for each test, with what it draws in it; KEEP_PICTURES keeps it. */
#pragma once

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char folder[PATH_MAX];
static char path[PATH_MAX + 64];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/pictures.XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[PATH_MAX + 16];
    if (getenv("KEEP_PICTURES") != NULL) {
        (void)printf("pictures: %s\n", folder);
        return 0;
    }
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void expect_start(const char *name, const char *start, size_t n)
{
    char bytes[16] = "";
    FILE *file = fopen(in_folder(name), "r");
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, n, file), n);
    assert_memory_equal(bytes, start, n);
    (void)fclose(file);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
