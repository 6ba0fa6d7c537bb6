#include "common/processors.h"

#include "common/file.h"
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 65536u /* processors of a machine */
#define MAX_BYTES (1u << 20)

static double quota_of(const char *folder, bool unified);
static double smallest_quota(const char *groups, const char *path, bool unified);
static bool read_numbers(const char *folder, const char *name, unsigned n, double *numbers);
static bool holds(const char *list, const char *word);

uint32_t mn_processors_bound(void)
{
    uint32_t n = 0;
    for (uint32_t room = CPU_SETSIZE; n == 0 && room <= MOST; room *= 2) {
        cpu_set_t *set = CPU_ALLOC(room);
        if (set == NULL)
            break;
        if (sched_getaffinity(0, CPU_ALLOC_SIZE(room), set) ==
            0) /* else: room for fewer than exist */
            n = (uint32_t)CPU_COUNT_S(CPU_ALLOC_SIZE(room), set);
        CPU_FREE(set);
    }
    return n > 0 ? n : 1;
}

uint32_t mn_processors_quota(void)
{
    return mn_processors_quota_in("/proc/self/cgroup", "/sys/fs/cgroup");
}

/* Lines of "number:controllers:path"; the unified hierarchy names no controllers. */
uint32_t mn_processors_quota_in(const char *membership, const char *groups)
{
    char *text = NULL;
    size_t n = 0;
    double least = UINT32_MAX;
    if (mn_file_read(membership, MAX_BYTES, &text, &n, NULL) != MN_OK)
        return UINT32_MAX;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(++controllers, ':') : NULL;
        if (path == NULL)
            continue;
        *path++ = '\0';
        const bool unified = controllers[0] == '\0';
        if (!unified && !holds(controllers, "cpu"))
            continue;
        const double quota = smallest_quota(groups, path, unified);
        least = quota < least ? quota : least;
    }
    free(text);
    const uint32_t whole = (uint32_t)least;
    return whole < least ? whole + 1 : whole > 0 ? whole : 1;
}

/* Every group above limits too. A container sees its own group as the topmost, wherever `path` says
 * that it is: folders that are not there limit nothing. */
static double smallest_quota(const char *groups, const char *path, bool unified)
{
    char folder[PATH_MAX];
    double least = UINT32_MAX;
    const int top = snprintf(folder, sizeof folder, "%s%s", groups, unified ? "" : "/cpu");
    const int length = snprintf(folder + top, sizeof folder - (size_t)top, "%s", path);
    if (length < 0 || (size_t)top + (size_t)length >= sizeof folder)
        return least;
    for (;;) {
        const double quota = quota_of(folder, unified);
        least = quota < least ? quota : least;
        char *slash = strrchr(folder + top, '/');
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

static double quota_of(const char *folder, bool unified)
{
    double numbers[2]; /* microseconds of time in a period, and the period */
    const bool limited = unified
                             ? read_numbers(folder, "cpu.max", 2, numbers) /* "max" is no number */
                             : read_numbers(folder, "cpu.cfs_quota_us", 1, &numbers[0]) &&
                                   read_numbers(folder, "cpu.cfs_period_us", 1, &numbers[1]);
    return limited && numbers[0] > 0 && numbers[1] > 0 ? numbers[0] / numbers[1] : UINT32_MAX;
}

static bool read_numbers(const char *folder, const char *name, unsigned n, double *numbers)
{
    char path[PATH_MAX];
    char *text = NULL;
    size_t size = 0;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= PATH_MAX ||
        mn_file_read(path, MAX_BYTES, &text, &size, NULL) != MN_OK)
        return false;
    const char *at = text;
    bool read = true;
    for (unsigned i = 0; i < n && read; i++) {
        char *end = NULL;
        numbers[i] = strtod(at, &end);
        read = end != at;
        at = end;
    }
    free(text);
    return read;
}

/* Is the word among those between commas? */
static bool holds(const char *list, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = list; at != NULL; at = strchr(at, ','), at += at != NULL)
        if (strncmp(at, word, n) == 0 && (at[n] == ',' || at[n] == '\0'))
            return true;
    return false;
}
