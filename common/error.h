/* error.h: what can go wrong, in one list, and the sentence that tells a person about it.
 * Every call that can fail returns a status; if the caller gave an mn_error, it also gets a message
 * that says what, where, what was expected and what to do. */
#pragma once

#include <stddef.h>

/* status, its text, and the exit code of a program that ends with it: sysexits.h numbers, and 79 for
 * what that list does not know: nothing is broken, but the numbers of training ran away. */
#define MN_STATUS_LIST(X)                                                                          \
    X(MN_OK, "ok", 0)                                                                              \
    X(MN_ERR_USAGE, "wrong command line", 64)                                                      \
    X(MN_ERR_DATA, "damaged or unusable data", 65)                                                 \
    X(MN_ERR_NO_INPUT, "missing file", 66)                                                         \
    X(MN_ERR_UNAVAILABLE, "not available", 69)                                                     \
    X(MN_ERR_INTERNAL, "internal fault", 70)                                                       \
    X(MN_ERR_NOMEM, "out of memory", 71)                                                           \
    X(MN_ERR_IO, "input or output failed", 74)                                                     \
    X(MN_STOPPED, "stopped on request; run again to go on", 75)                                    \
    X(MN_ERR_PROTOCOL, "protocol violated", 76)                                                    \
    X(MN_ERR_PERMISSION, "no permission", 77)                                                      \
    X(MN_ERR_CONFIG, "bad experiment", 78)                                                         \
    X(MN_ERR_RANGE, "out of range", 70)                                                            \
    X(MN_ERR_STATE, "not in this state", 70)                                                       \
    X(MN_ERR_STALE, "not of a live lease", 70)                                                     \
    X(MN_ERR_NUMERIC, "not a finite number", 79)

typedef enum mn_status {
#define X(name, text, exit_code) name,
    MN_STATUS_LIST(X)
#undef X
} mn_status;

typedef struct mn_error {
    mn_status status;
    char message[1024]; /* one sentence, no newline at its end; cut if longer */
} mn_error;

const char *mn_status_text(mn_status status);

/* The exit code documented for a status: as in the list above. */
int mn_status_exit_code(mn_status status);

/* Fill err, if not NULL, with status and the formatted message; return status. */
mn_status mn_fail(mn_error *err, mn_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As mn_fail, with ": <text of errno>" at the end; errno EACCES, EPERM and EROFS become
 * MN_ERR_PERMISSION, ENOENT becomes MN_ERR_NO_INPUT, ENOMEM MN_ERR_NOMEM, all others MN_ERR_IO. */
mn_status mn_fail_errno(mn_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
