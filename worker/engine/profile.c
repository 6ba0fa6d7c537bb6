#include "worker/engine/profile.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_OWNERS 8u
#define STRETCH_NS 5e5     /* the CPU clock is a call of the system: 0.3 % of this */
#define NOT_NOTICED_NS 2e4 /* by which the two clocks may differ */

struct time {
    uint64_t ticks, laps;
};

struct mn_profile {
    double ns_per_tick, lap_ticks;
    uint64_t last; /* end of the last lap */
    uint64_t stretch_began, stretch_ticks, longest;
    size_t longest_row;
    double stretch_cpu_ns; /* the CPU clock at its beginning */
    uint64_t stolen;       /* ticks */

    size_t n_owners, n_rows;
    struct {
        const void *owner;
        size_t first;
    } owners[MAX_OWNERS];
    mn_profile_row *rows; /* [n_rows]; words only; owned */
    struct time *times;   /* [n_rows]; owned */
};

static const char *const part_names[MN_N_PARTS] = {[MN_PART_DRAW] = "drawing the task",
                                                   [MN_PART_VECTORS] = "vectors of the inner loop",
                                                   [MN_PART_SUMS] = "exact sums",
                                                   [MN_PART_HAND] = "handing out tasks and theta",
                                                   [MN_PART_MERGE] = "merging the sums",
                                                   [MN_PART_OUTER] = "outer step",
                                                   [MN_PART_WAIT] = "waiting"};

static void find_clock(mn_profile *profile);
static void find_lap_cost(mn_profile *profile);
static void end_stretch(mn_profile *profile, uint64_t now);
static double clock_ns(clockid_t clock);

#ifdef __x86_64__
static uint64_t ticks(void)
{
    return __builtin_ia32_rdtsc();
}
#else
static uint64_t ticks(void)
{
    return (uint64_t)clock_ns(CLOCK_MONOTONIC);
}
#endif

mn_status mn_profile_new(mn_profile **out, mn_error *err)
{
    mn_profile *profile = calloc(1, sizeof *profile);
    if (profile == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "profile");
    mn_profile_row parts[MN_N_PARTS] = {0};
    for (size_t i = 0; i < MN_N_PARTS; i++) {
        parts[i].name = part_names[i];
        parts[i].stage = "";
    }
    mn_status status = mn_profile_add(profile, NULL, MN_N_PARTS, parts, err);
    if (status != MN_OK) {
        mn_profile_destroy(&profile);
        return status;
    }
    find_clock(profile);
    find_lap_cost(profile);
    mn_profile_start(profile);
    *out = profile;
    return MN_OK;
}

void mn_profile_destroy(mn_profile **profile)
{
    if (*profile == NULL)
        return;
    free((*profile)->rows);
    free((*profile)->times);
    free(*profile);
    *profile = NULL;
}

mn_status mn_profile_add(mn_profile *profile, const void *owner, size_t n,
                         const mn_profile_row *rows, mn_error *err)
{
    size_t all = profile->n_rows + n;
    mn_profile_row *more_rows = realloc(profile->rows, all * sizeof *more_rows);
    if (more_rows != NULL)
        profile->rows = more_rows;
    struct time *more_times = realloc(profile->times, all * sizeof *more_times);
    if (more_times != NULL)
        profile->times = more_times;
    if (more_rows == NULL || more_times == NULL || profile->n_owners == MAX_OWNERS)
        return mn_fail(err, MN_ERR_NOMEM, "profile of %zu operations", all);

    if (n > 0)
        memcpy(profile->rows + profile->n_rows, rows, n * sizeof *rows);
    profile->owners[profile->n_owners].owner = owner;
    profile->owners[profile->n_owners++].first = profile->n_rows;
    profile->n_rows = all;
    mn_profile_start(profile);
    return MN_OK;
}

size_t mn_profile_find(const mn_profile *profile, const void *owner)
{
    for (size_t i = 0; i < profile->n_owners; i++)
        if (profile->owners[i].owner == owner)
            return profile->owners[i].first;
    return SIZE_MAX;
}

static void start_stretch(mn_profile *profile)
{
    profile->longest = 0;
    profile->stretch_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    profile->stretch_began = profile->last = ticks();
}

void mn_profile_start(mn_profile *profile)
{
    memset(profile->times, 0, profile->n_rows * sizeof *profile->times);
    profile->stolen = 0;
    start_stretch(profile);
}

void mn_profile_lap(mn_profile *profile, size_t row)
{
    if (profile == NULL)
        return;
    uint64_t now = ticks(), took = now - profile->last;
    profile->times[row].ticks += took;
    profile->times[row].laps++;
    if (took > profile->longest) {
        profile->longest = took;
        profile->longest_row = row;
    }
    profile->last = now;
    if (now - profile->stretch_began > profile->stretch_ticks)
        end_stretch(profile, now);
}

void mn_profile_waited(mn_profile *profile)
{
    if (profile == NULL)
        return;
    profile->times[MN_PART_WAIT].ticks += ticks() - profile->last;
    profile->times[MN_PART_WAIT].laps++;
    start_stretch(profile);
}

size_t mn_profile_rows(const mn_profile *profile)
{
    return profile->n_rows;
}

mn_profile_row mn_profile_row_at(const mn_profile *profile, size_t i)
{
    mn_profile_row row = profile->rows[i];
    const struct time *time = &profile->times[i];
    double own = (double)time->ticks - profile->lap_ticks * (double)time->laps;
    row.laps = time->laps;
    row.ns = own > 0 ? own * profile->ns_per_tick : 0;
    return row;
}

double mn_profile_lap_ns(const mn_profile *profile)
{
    return profile->lap_ticks * profile->ns_per_tick;
}

double mn_profile_stolen_ns(const mn_profile *profile)
{
    return (double)profile->stolen * profile->ns_per_tick;
}

/* Read both clocks at one time: again while something came between. */
static double at_once(uint64_t *tick)
{
    for (int tries = 0;; tries++) {
        uint64_t before = ticks();
        double ns = clock_ns(CLOCK_MONOTONIC);
        uint64_t after = ticks();
        *tick = before + (after - before) / 2;
        if (after - before < 3000 || tries == 100)
            return ns;
    }
}

static void find_clock(mn_profile *profile)
{
    uint64_t from, to;
    double from_ns = at_once(&from), to_ns;
    do
        to_ns = at_once(&to);
    while (to_ns - from_ns < 5e6);
    profile->ns_per_tick = (to_ns - from_ns) / (double)(to - from);
    profile->stretch_ticks = UINT64_MAX;
}

/* The shortest of several series, as a lap that was disturbed tells nothing of its cost. */
static void find_lap_cost(mn_profile *profile)
{
    enum { SERIES = 50, LAPS = 200 };
    double least = 1e9;
    for (int i = 0; i < SERIES; i++) {
        mn_profile_start(profile);
        for (int k = 0; k < LAPS; k++)
            mn_profile_lap(profile, 0);
        double each = (double)profile->times[0].ticks / LAPS;
        least = each < least ? each : least;
    }
    profile->lap_ticks = least;
    profile->stretch_ticks = (uint64_t)(STRETCH_NS / profile->ns_per_tick);
}

static void end_stretch(mn_profile *profile, uint64_t now)
{
    double wall_ns = (double)(now - profile->stretch_began) * profile->ns_per_tick;
    double cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - profile->stretch_cpu_ns;
    if (wall_ns - cpu_ns > NOT_NOTICED_NS) {
        uint64_t stolen = (uint64_t)((wall_ns - cpu_ns) / profile->ns_per_tick);
        stolen = stolen < profile->longest ? stolen : profile->longest;
        profile->times[profile->longest_row].ticks -= stolen;
        profile->stolen += stolen;
    }
    start_stretch(profile);
}

static double clock_ns(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}
