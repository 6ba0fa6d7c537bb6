#include "worker/program/endpoint.h"

#include "common/file.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILE_BYTES (1u << 20)

static mn_status read_lines(char *text, const char *path, uint64_t chosen, mn_endpoint *out,
                            mn_error *err);
static const char *endpoint_of(const char *line);
static const char *value_of(const char *line, const char *key);

mn_status mn_endpoint_find(const char *where, uint64_t chosen, mn_endpoint *out, mn_error *err)
{
    *out = (mn_endpoint){0};
    if (strstr(where, "://") != NULL) {
        if (strlen(where) >= sizeof out->address)
            return mn_fail(err, MN_ERR_CONFIG, "the endpoint has more than %zu characters",
                           sizeof out->address - 1);
        (void)snprintf(out->address, sizeof out->address, "%s", where);
        return MN_OK;
    }

    char path[PATH_MAX];
    struct stat found;
    bool folder = stat(where, &found) == 0 && S_ISDIR(found.st_mode);
    int n = snprintf(path, sizeof path, "%s%s", where, folder ? "/endpoint" : "");
    if (n < 0 || (size_t)n >= sizeof path)
        return mn_fail(err, MN_ERR_CONFIG, "the path of the endpoint file is too long");
    char *text = NULL;
    size_t size = 0;
    mn_status status = mn_file_read(path, MAX_FILE_BYTES, &text, &size, err);
    if (status == MN_OK)
        status = read_lines(text, path, chosen, out, err);
    free(text);
    return status;
}

mn_status mn_endpoint_check(const char *where, mn_error *err)
{
    struct stat found;
    const char *slash = strrchr(where, '/');
    if (strstr(where, "://") != NULL || stat(where, &found) == 0 || errno == EACCES)
        return MN_OK; /* or told by mn_endpoint_find */
    const char *name = slash != NULL ? slash + 1 : where;
    const int n = slash == NULL ? 0 : (int)(slash - where);
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%.*s", n, where);
    if (strcmp(name, "endpoint") == 0 &&
        (n == 0 || (stat(folder, &found) == 0 && S_ISDIR(found.st_mode))))
        return MN_OK;
    return mn_fail(
        err, MN_ERR_NO_INPUT,
        "there is no %s: is it mistyped? Expected the folder of a run, its endpoint file, or "
        "tcp://HOST:PORT",
        where);
}

/* Twice over the lines: to count the endpoints, and to pick one. */
static mn_status read_lines(char *text, const char *path, uint64_t chosen, mn_endpoint *out,
                            mn_error *err)
{
    uint64_t n = 0, seen = 0;
    for (const char *line = text; line != NULL;) {
        n += endpoint_of(line) != NULL;
        line = strchr(line, '\n');
        if (line != NULL)
            line++;
    }
    if (n == 0)
        return mn_fail(
            err, MN_ERR_DATA,
            "%s has no line \"endpoint: tcp://HOST:PORT\"; expected the endpoint file of a "
            "run, or tcp://HOST:PORT",
            path);

    char *rest = NULL;
    for (char *line = strtok_r(text, "\r\n", &rest); line != NULL;
         line = strtok_r(NULL, "\r\n", &rest)) {
        const char *run = value_of(line, "run: "), *key = value_of(line, "key: ");
        const char *endpoint = endpoint_of(line);
        if (run != NULL && sscanf(run, "%16" SCNx64, &out->run_id) != 1)
            return mn_fail(err, MN_ERR_DATA, "%s: \"%s\" is not 16 hexadecimal digits", path, run);
        if (key != NULL && strcmp(key, "-") != 0) {
            if (strlen(key) != sizeof out->key - 1)
                return mn_fail(err, MN_ERR_DATA, "%s: the key has %zu characters instead of %zu",
                               path, strlen(key), sizeof out->key - 1);
            memcpy(out->key, key, sizeof out->key);
        }
        if (endpoint == NULL || seen++ != chosen % n)
            continue;
        if (strlen(endpoint) >= sizeof out->address)
            return mn_fail(err, MN_ERR_DATA, "%s: an endpoint has more than %zu characters", path,
                           sizeof out->address - 1);
        (void)snprintf(out->address, sizeof out->address, "%s", endpoint);
    }
    return MN_OK;
}

/* Of a line that may go on behind its end; NULL if it names none, as that of a rank that does not listen. */
static const char *endpoint_of(const char *line)
{
    const char *value = value_of(line, "endpoint: ");
    return value != NULL && strchr("\r\n", value[0]) == NULL ? value : NULL;
}

/* What stands behind the key; NULL if the line has another. */
static const char *value_of(const char *line, const char *key)
{
    size_t n = strlen(key);
    return strncmp(line, key, n) == 0 ? line + n : NULL;
}
