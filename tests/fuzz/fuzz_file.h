/* fuzz_file.h: bytes of the fuzzer as a file with a path, in memory. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct mn_fuzz_file {
    int fd;
    char path[64];
} mn_fuzz_file;

static inline mn_fuzz_file mn_fuzz_file_open(const uint8_t *bytes, size_t n)
{
    mn_fuzz_file file = {.fd = memfd_create("fuzz", MFD_CLOEXEC)};
    size_t written = 0;
    while (file.fd >= 0 && written < n) {
        ssize_t some = write(file.fd, bytes + written, n - written);
        if (some <= 0)
            abort();
        written += (size_t)some;
    }
    if (file.fd < 0)
        abort();
    (void)snprintf(file.path, sizeof file.path, "/proc/self/fd/%d", file.fd);
    return file;
}

static inline void mn_fuzz_file_close(mn_fuzz_file *file)
{
    (void)close(file->fd);
}
