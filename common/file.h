/* file.h: files that are never half there, and folders made on the way. */
#pragma once

#include "common/error.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* A file being written beside its final name; it takes that name only in mn_new_file_commit. */
typedef struct mn_new_file mn_new_file;

mn_status mn_new_file_open(const char *path, mn_new_file **out, mn_error *err);
mn_status mn_new_file_write(mn_new_file *file, const void *bytes, size_t n, mn_error *err);
/* Flush, fsync, rename to the final name, fsync the folder, free. On failure the temporary file is
 * gone and *file is NULL as well. */
mn_status mn_new_file_commit(mn_new_file **file, mn_error *err);
/* Forget it: the temporary file is removed. Does nothing if *file is NULL. */
void mn_new_file_abandon(mn_new_file **file);

/* Read a whole file of at most max_bytes; *bytes is NUL-terminated beyond its n bytes and owned by
 * the caller (free). MN_ERR_DATA: larger than max_bytes. */
mn_status mn_file_read(const char *path, size_t max_bytes, char **bytes, size_t *n, mn_error *err);

/* Write a small file whole (open, write, commit). */
mn_status mn_file_write(const char *path, const void *bytes, size_t n, mn_error *err);

/* The next line of a file with its '\n', as getline(3), but of at most MN_LINE_MOST bytes: a longer one, which no file of
 * ours has, comes in pieces of that length. *line [*room] is the caller's to free. Returns its bytes; -1: none is left,
 * the file cannot be read (ferror), or there is no memory. */
#define MN_LINE_MOST ((size_t)1 << 20)
ssize_t mn_file_line(FILE *file, char **line, size_t *room);

/* mkdir -p. */
mn_status mn_folder_make(const char *path, mn_error *err);
