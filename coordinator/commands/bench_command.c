#include "coordinator/commands/commands.h"

#include "common/clock.h"
#include "coordinator/commands/bench_peak.h"
#include "coordinator/commands/bench_profile.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/server/solo.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define WARMING_STEPS 3 /* caches, page faults, clock frequency; fewer where a step is long */
#define WINDOWS 10      /* the time is cut into so many, to show how steady the speed is */
#define DEFAULT_SECONDS 10.0

/* A whole run in one process, without sockets and files. */
struct rig {
    mn_session session;
    mn_solo solo;
    uint32_t n_threads;
    mn_bench_profile profile; /* owner NULL: none is made */
};

struct window {
    uint64_t steps;
    double wall_s, cpu_s; /* cpu: of all threads */
};

struct speed {
    struct window windows[WINDOWS];
    int n_windows; /* fewer where a step is longer than a part */
    double tasks_per_s, cpu_s_per_task;
    double gflops, gflops_per_cpu_s; /* by the wall's clock and by CPU time */
    mn_bench_peak peak;
    double peak_rss_mib;
    uint64_t n_tasks;
};

static mn_status set_up(const mn_command_line *line, uint32_t threads, struct rig *rig,
                        mn_error *err);
static mn_status new_profile(struct rig *rig, mn_error *err);
static void tear_down(struct rig *rig);
static mn_status measure(struct rig *rig, double seconds, struct speed *speed, mn_error *err);
static mn_status meta_step(struct rig *rig, mn_error *err);
static void print_text(const struct rig *rig, const struct speed *speed);
static mn_status print_json(const struct rig *rig, const struct speed *speed, mn_error *err);

mn_status mn_bench_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    struct rig rig = {0};
    struct speed speed = {0};
    mn_status status = mn_command_line_read(&line, argc, argv,
                                            MN_TAKES_BENCH | MN_TAKES_THREADS | MN_TAKES_JSON, err);
    if (status == MN_OK && line.n_arguments != 1)
        status = mn_fail(err, MN_ERR_USAGE, "bench: expected one experiment file");
    if (status != MN_OK)
        return status;
    uint32_t threads = line.threads != 0 ? line.threads : mn_session_threads(-1, 1);
    double seconds = line.seconds > 0 ? line.seconds : DEFAULT_SECONDS;
    status = set_up(&line, threads, &rig, err);
    if (status == MN_OK)
        status = measure(&rig, seconds, &speed, err);
    mn_solo_end(&rig.solo); /* now its threads have waited for the last time */
    if (status == MN_OK)
        status = mn_bench_find_peak(threads, &speed.peak, err);
    rig.profile.n_tasks = speed.n_tasks;
    rig.profile.cpu_ns_per_task = 1e9 * speed.cpu_s_per_task;
    rig.profile.peak_gflops = speed.peak.one_core;
    if (status == MN_OK && line.json)
        status = print_json(&rig, &speed, err);
    else if (status == MN_OK)
        print_text(&rig, &speed);
    if (status == MN_OK && line.profile && !line.json)
        status = mn_bench_profile_print(&rig.profile, err);
    tear_down(&rig);
    return status;
}

static mn_status set_up(const mn_command_line *line, uint32_t threads, struct rig *rig,
                        mn_error *err)
{
    const mn_session_options options = {
        .file = line->arguments[0], .sets = line->sets, .n_sets = line->n_sets};
    mn_status status = mn_session_open_alone(&rig->session, &options, err);
    if (status == MN_OK)
        status = mn_solo_begin(&rig->session, threads, &rig->solo, err);
    rig->n_threads = threads;
    if (status == MN_OK && line->profile)
        status = new_profile(rig, err);
    return status;
}

static mn_status new_profile(struct rig *rig, mn_error *err)
{
    mn_bench_profile *profile = &rig->profile;
    mn_status status = mn_profile_new(&profile->owner, err);
    profile->n_threads = rig->n_threads;
    profile->threads = calloc(rig->n_threads, sizeof(mn_profile *));
    if (status == MN_OK && profile->threads == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "profiles of %u threads", rig->n_threads);
    for (uint32_t i = 0; i < rig->n_threads && status == MN_OK; i++)
        status = mn_learner_profile(rig->session.learner, &profile->threads[i], err);
    if (status == MN_OK)
        mn_pool_profile(rig->solo.pool, profile->threads);
    return status;
}

static void tear_down(struct rig *rig)
{
    mn_solo_end(&rig->solo);
    mn_bench_profile_fini(&rig->profile);
    mn_session_end(&rig->session);
}

static mn_status measure(struct rig *rig, double seconds, struct speed *speed, mn_error *err)
{
    mn_status status = MN_OK;
    double begun_s = mn_clock_s(CLOCK_MONOTONIC);
    for (int i = 0; i < WARMING_STEPS && status == MN_OK; i++)
        if (i == 0 || mn_clock_s(CLOCK_MONOTONIC) < begun_s + seconds / WINDOWS)
            status = meta_step(rig, err);
    for (uint32_t i = 0; rig->profile.owner != NULL && i < rig->n_threads; i++)
        mn_profile_start(rig->profile.threads[i]);
    if (rig->profile.owner != NULL)
        mn_profile_start(rig->profile.owner);
    struct window all = {0};
    double now = begun_s = mn_clock_s(CLOCK_MONOTONIC);
    for (int i = 0; i < WINDOWS && status == MN_OK; i++) {
        if (i > 0 && now >= begun_s + seconds * (i + 1) / WINDOWS)
            continue; /* the last window was as long as several */
        struct window *window = &speed->windows[speed->n_windows++];
        double cpu_s = mn_clock_s(CLOCK_PROCESS_CPUTIME_ID);
        double from_s = now;
        while (status == MN_OK &&
               (window->steps == 0 || now < begun_s + seconds * (i + 1) / WINDOWS)) {
            status = meta_step(rig, err);
            window->steps++;
            now = mn_clock_s(CLOCK_MONOTONIC);
        }
        window->wall_s = now - from_s;
        window->cpu_s = mn_clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_s;
        all.steps += window->steps;
        all.wall_s += window->wall_s;
        all.cpu_s += window->cpu_s;
    }
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    speed->n_tasks = all.steps * rig->session.experiment.outer.batch;
    speed->tasks_per_s = (double)speed->n_tasks / all.wall_s;
    speed->cpu_s_per_task = all.cpu_s / (double)speed->n_tasks;
    double gflop = 2e-9 * mn_learner_train_macs(rig->session.learner); /* of a task */
    speed->gflops = gflop * speed->tasks_per_s;
    speed->gflops_per_cpu_s = gflop / speed->cpu_s_per_task;
    speed->peak_rss_mib = (double)usage.ru_maxrss / 1024;
    return status;
}

static mn_status meta_step(struct rig *rig, mn_error *err)
{
    mn_step_record record;
    return mn_solo_step(&rig->solo, rig->profile.owner, &record, err);
}

static void print_text(const struct rig *rig, const struct speed *speed)
{
    uint32_t threads = rig->n_threads;
    const mn_bench_peak *peak = &speed->peak;
    char together[16];
    (void)snprintf(together, sizeof together, "%" PRIu32 " cores", threads);
    double low = INFINITY;
    double high = 0;
    for (int i = 0; i < speed->n_windows; i++) {
        const struct window *window = &speed->windows[i];
        double rate = (double)window->steps * rig->session.experiment.outer.batch / window->wall_s;
        low = fmin(low, rate);
        high = fmax(high, rate);
    }
    (void)printf("%s: %.1f tasks/s with %" PRIu32 " thread%s (%" PRIu64
                 " tasks; %.1f to %.1f in %d parts of the time)\n"
                 "  CPU time a task  %.4g ms\n"
                 "  arithmetic       %.4g GFLOP/s by the wall's clock, %.4g a CPU second\n"
                 "  SGEMM, one core  %.4g GFLOP/s (%s's): %.0f %% of it by CPU time\n",
                 rig->session.experiment.name, speed->tasks_per_s, threads, threads == 1 ? "" : "s",
                 speed->n_tasks, low, high, speed->n_windows, 1e3 * speed->cpu_s_per_task,
                 speed->gflops, speed->gflops_per_cpu_s, peak->one_core, peak->by,
                 100 * speed->gflops_per_cpu_s / peak->one_core);
    if (threads > 1)
        (void)printf("  SGEMM, %-10s%.4g GFLOP/s, %.0f %% of %" PRIu32
                     " times one: %.0f %% of it by the wall's clock\n",
                     together, peak->together, 100 * peak->together / (threads * peak->one_core),
                     threads, 100 * speed->gflops / peak->together);
    (void)printf("  peak memory      %.0f MiB\n"
                 "  kernels          %s\n",
                 speed->peak_rss_mib, mn_learner_kernels(rig->session.learner));
}

static mn_status print_json(const struct rig *rig, const struct speed *speed, mn_error *err)
{
    json_t *root = json_object();
    json_t *windows = json_array();
    for (int i = 0; i < speed->n_windows; i++)
        (void)json_array_append_new(
            windows, json_pack("{s:I, s:f, s:f}", "steps", (json_int_t)speed->windows[i].steps,
                               "wall", speed->windows[i].wall_s, "cpu", speed->windows[i].cpu_s));
    (void)json_object_set_new(root, "experiment", json_string(rig->session.experiment.name));
    (void)json_object_set_new(root, "threads", json_integer(rig->n_threads));
    (void)json_object_set_new(root, "kernels",
                              json_string(mn_learner_kernels(rig->session.learner)));
    (void)json_object_set_new(root, "parameters",
                              json_integer((json_int_t)mn_learner_size(rig->session.learner)));
    (void)json_object_set_new(
        root, "workspace_bytes",
        json_integer((json_int_t)mn_learner_workspace_bytes(rig->session.learner)));
    (void)json_object_set_new(root, "tasks", json_integer((json_int_t)speed->n_tasks));
    (void)json_object_set_new(root, "tasks_per_second", json_real(speed->tasks_per_s));
    (void)json_object_set_new(root, "units_per_step",
                              json_integer(rig->session.experiment.outer.batch));
    (void)json_object_set_new(root, "windows", windows);
    (void)json_object_set_new(root, "cpu_seconds_per_task", json_real(speed->cpu_s_per_task));
    (void)json_object_set_new(root, "gflops", json_real(speed->gflops));
    (void)json_object_set_new(root, "gflops_per_cpu_second", json_real(speed->gflops_per_cpu_s));
    (void)json_object_set_new(root, "peak_gflops", json_real(speed->peak.one_core));
    (void)json_object_set_new(root, "peak_gflops_together", json_real(speed->peak.together));
    (void)json_object_set_new(root, "peak_by", json_string(speed->peak.by));
    (void)json_object_set_new(root, "peak_rss_mib", json_real(speed->peak_rss_mib));
    if (rig->profile.owner != NULL)
        (void)json_object_set_new(root, "profile", mn_bench_profile_json(&rig->profile));
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (text == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "results");
    (void)puts(text);
    free(text);
    return MN_OK;
}
