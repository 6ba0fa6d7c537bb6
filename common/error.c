#include "common/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static mn_status fill(mn_error *err, mn_status status, const char *format, va_list words)
    __attribute__((format(printf, 3, 0)));

const char *mn_status_text(mn_status status)
{
    static const char *const texts[] = {
#define X(name, text, exit_code) [name] = text,
        MN_STATUS_LIST(X)
#undef X
    };
    return (size_t)status < sizeof texts / sizeof *texts ? texts[status] : "unknown status";
}

int mn_status_exit_code(mn_status status)
{
    static const int codes[] = {
#define X(name, text, exit_code) [name] = exit_code,
        MN_STATUS_LIST(X)
#undef X
    };
    return (size_t)status < sizeof codes / sizeof *codes ? codes[status] : 70;
}

mn_status mn_fail(mn_error *err, mn_status status, const char *format, ...)
{
    va_list words;
    va_start(words, format);
    (void)fill(err, status, format, words);
    va_end(words);
    return status;
}

mn_status mn_fail_errno(mn_error *err, const char *format, ...)
{
    int number = errno;
    mn_status status = MN_ERR_IO;
    if (number == EACCES || number == EPERM || number == EROFS)
        status = MN_ERR_PERMISSION;
    else if (number == ENOENT)
        status = MN_ERR_NO_INPUT;
    else if (number == ENOMEM)
        status = MN_ERR_NOMEM;

    va_list words;
    va_start(words, format);
    (void)fill(err, status, format, words);
    va_end(words);
    if (err != NULL) {
        size_t used = strlen(err->message);
        (void)snprintf(err->message + used, sizeof err->message - used, ": %s", strerror(number));
    }
    errno = number;
    return status;
}

static mn_status fill(mn_error *err, mn_status status, const char *format, va_list words)
{
    if (err != NULL) {
        err->status = status;
        (void)vsnprintf(err->message, sizeof err->message, format, words);
    }
    return status;
}
