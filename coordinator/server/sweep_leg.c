#include "coordinator/server/sweep_leg.h"

#include "common/file.h"
#include "common/log.h"
#include "coordinator/run/run.h"
#include "coordinator/server/child.h"
#include "coordinator/server/door.h"
#include "coordinator/server/session.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint32_t at_a_time(const mn_sweep_config *config, uint32_t runs, uint32_t slots);
static void listen_of(const char *door, uint32_t slot, char *out, size_t n);
static bool is_set(const mn_experiment *experiment, const char *key);

/* One more than there are cores for: a run that starts or ends leaves its core to it. */
uint32_t mn_sweep_slots(const mn_sweep_config *config)
{
    const int32_t threads = config->plan->base.pool.threads;
    if (config->slots > 0)
        return config->slots;
    const uint32_t n =
        mn_session_threads(-1, config->job->n_here) / (threads > 1 ? (uint32_t)threads : 1);
    return (n > 0 ? n : 1) + (config->plan->n_runs > (n > 0 ? n : 1) * config->job->n_ranks);
}

uint32_t mn_sweep_leg_threads(const mn_sweep_config *config, const mn_leg *leg)
{
    const mn_sweep_plan *plan = config->plan;
    const uint32_t cores = mn_session_threads(-1, config->job->n_here);
    uint32_t rung = 0;
    if (plan->base.pool.threads >= 0)
        return (uint32_t)plan->base.pool.threads;
    if (leg->last)
        return cores;
    while (rung < plan->n_rungs && plan->rungs[rung] != leg->until)
        rung++;
    const uint32_t n =
        at_a_time(config, plan->admitted[rung] * plan->n_seeds, mn_sweep_slots(config));
    return cores > n ? cores / n : 1;
}

void mn_sweep_leg_folder(const mn_sweep_config *config, uint32_t run, char folder[PATH_MAX])
{
    char name[MN_SWEEP_NAME], below[MN_SWEEP_NAME + 8];
    mn_sweep_plan_name(config->plan, run, name);
    (void)snprintf(below, sizeof below, "runs/%s", name);
    (void)mn_run_path(config->folder, below, folder, NULL); /* its length was looked at */
}

void mn_sweep_leg_log(const mn_sweep_config *config, uint32_t run, char path[PATH_MAX])
{
    char name[MN_SWEEP_NAME], below[MN_SWEEP_NAME + 16];
    mn_sweep_plan_name(config->plan, run, name);
    (void)snprintf(below, sizeof below, "logs/%s.log", name);
    (void)mn_run_path(config->folder, below, path, NULL);
}

mn_status mn_sweep_leg_start(const mn_sweep_config *config, const mn_leg *leg, pid_t *pid,
                             mn_error *err)
{
    enum { MOST = 2 * (MN_SWEEP_MAX_SETS + 4) + 8 };
    char *argv[MOST + 1] = {NULL};
    const char *own[4];
    char **sets = NULL;
    char folder[PATH_MAX], log[PATH_MAX], until[24], listen[300], threads[40];
    size_t n_sets = 0, n_own = 0, n = 0;
    mn_status status = mn_sweep_plan_sets(config->plan, leg->run, &sets, &n_sets, err);
    if (status != MN_OK)
        return status;
    const mn_experiment *base = &config->plan->base;
    mn_sweep_leg_folder(config, leg->run, folder);
    mn_sweep_leg_log(config, leg->run, log);
    (void)snprintf(threads, sizeof threads, "pool.threads=%" PRIu32,
                   mn_sweep_leg_threads(config, leg));
    listen_of(base->pool.listen, leg->slot, listen, sizeof listen);
    own[n_own++] = threads;
    own[n_own++] = listen;
    if (!is_set(base, "run.page"))
        own[n_own++] = "run.page=none";
    if (!is_set(base, "run.pictures"))
        own[n_own++] = "run.pictures=false";
#define PUT(text) (argv[n++] = (char *)(uintptr_t)(text))
    PUT("mnemo");
    PUT("train");
    PUT(config->experiment);
    PUT("--run-dir");
    PUT(folder);
    for (size_t i = 0; i < n_sets + n_own; i++) {
        PUT("--set");
        PUT(i < n_sets ? sets[i] : own[i - n_sets]);
    }
    if (leg->until > 0) {
        (void)snprintf(until, sizeof until, "%" PRIu64, leg->until);
        PUT("--until");
        PUT(until);
    }
#undef PUT
    status = mn_child_start("/proc/self/exe", argv, log, pid, err); /* ours, be it replaced since */
    for (size_t i = 0; i < n_sets; i++)
        free(sets[i]);
    free(sets);
    return status;
}

mn_leg_ending mn_sweep_leg_ending(const mn_sweep_config *config, uint32_t run, uint32_t leg,
                                  uint32_t code, mn_outcome *outcome)
{
    char folder[PATH_MAX];
    const uint64_t until = leg < config->plan->n_rungs ? config->plan->rungs[leg] : UINT64_MAX;
    mn_sweep_leg_folder(config, run, folder);
    if (code == 0)
        return mn_outcome_read(folder, outcome, NULL) == MN_OK && outcome->ending == MN_ENDING_DONE
                   ? MN_LEG_DONE
                   : MN_LEG_CUT;
    if (code == (uint32_t)mn_status_exit_code(MN_STOPPED))
        return mn_outcome_read(folder, outcome, NULL) == MN_OK &&
                       outcome->ending == MN_ENDING_PAUSED && outcome->step >= until
                   ? MN_LEG_PAUSED
                   : MN_LEG_CUT;
    return code >= 128 || code == (uint32_t)mn_status_exit_code(MN_ERR_UNAVAILABLE) ? MN_LEG_CUT
                                                                                    : MN_LEG_FAILED;
}

mn_status mn_sweep_leg_status(uint32_t code)
{
    static const mn_status all[] = {
#define X(name, text, exit_code) name,
        MN_STATUS_LIST(X)
#undef X
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if ((uint32_t)mn_status_exit_code(all[i]) == code)
            return all[i];
    return MN_ERR_INTERNAL;
}

/* The last thing that a run said, for people. */
void mn_sweep_leg_last_words(const mn_sweep_config *config, uint32_t run, char *out, size_t n)
{
    char path[PATH_MAX], text[2049];
    out[0] = '\0';
    mn_sweep_leg_log(config, run, path);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fseek(file, -(long)(sizeof text - 1), SEEK_END) != 0)
        rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    for (const char *at = text; (at = strstr(at, "mnemo: ")) != NULL; at++)
        if (at == text || at[-1] == '\n')
            (void)snprintf(out, n, "%.*s", (int)strcspn(at + 7, "\n"), at + 7);
}

/* Of the endpoint file of a run that has begun. */
bool mn_sweep_leg_endpoint(const mn_sweep_config *config, uint32_t run, char endpoint[256])
{
    char folder[PATH_MAX];
    mn_sweep_leg_folder(config, run, folder);
    char path[PATH_MAX];
    char *text = NULL;
    size_t n = 0;
    endpoint[0] = '\0';
    if (mn_run_path(folder, "endpoint", path, NULL) != MN_OK ||
        mn_file_read(path, 1 << 16, &text, &n, NULL) != MN_OK)
        return false;
    const char *line = strstr(text, "endpoint: ");
    if (line != NULL)
        (void)snprintf(endpoint, 256, "%.*s", (int)strcspn(line + 10, "\n"), line + 10);
    free(text);
    return endpoint[0] != '\0';
}

/* Where it could be found when it paused, nobody is now. */
void mn_sweep_leg_forget_endpoint(const mn_sweep_config *config, uint32_t run)
{
    char folder[PATH_MAX], path[PATH_MAX];
    mn_sweep_leg_folder(config, run, folder);
    if (mn_run_path(folder, "endpoint", path, NULL) == MN_OK && unlink(path) != 0 &&
        errno != ENOENT)
        mn_log(MN_LOG_WARN, "%s stays: %s", path, strerror(errno));
}

/* The last whole line of metrics.jsonl tells the step. */
uint64_t mn_sweep_leg_step(const mn_sweep_config *config, uint32_t run)
{
    char folder[PATH_MAX];
    mn_sweep_leg_folder(config, run, folder);
    char path[PATH_MAX], text[4097];
    struct stat file;
    uint64_t step = 0;
    if (mn_run_path(folder, "metrics.jsonl", path, NULL) != MN_OK)
        return 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (fstat(fd, &file) == 0) {
        const off_t from = file.st_size > 4096 ? file.st_size - 4096 : 0;
        const ssize_t n = pread(fd, text, sizeof text - 1, from);
        text[n > 0 ? n : 0] = '\0';
        for (const char *at = text; (at = strstr(at, "{\"step\": ")) != NULL; at++)
            step = strtoull(at + strlen("{\"step\": "), NULL, 10);
    }
    (void)close(fd);
    return step;
}

/* Runs that this rank makes at a time of a leg that so many make. */
static uint32_t at_a_time(const mn_sweep_config *config, uint32_t runs, uint32_t slots)
{
    const uint32_t share = (runs + config->job->n_ranks - 1) / config->job->n_ranks;
    return share < slots ? share : slots;
}

/* Ranks share machines and runs share ranks: with a port that is fixed, the run of slot k has the one k + 1
 * above the door's; with a path, any of its own. */
static void listen_of(const char *door, uint32_t slot, char *out, size_t n)
{
    static const char key[] = "pool.listen=";
    (void)snprintf(out, n, "%s", key);
    if (mn_door_above(door, slot + 1, out + strlen(key), n - strlen(key)))
        return;
    if (strncmp(door, "ipc://", 6) == 0)
        (void)snprintf(out, n, "pool.listen=ipc://*");
    else
        (void)snprintf(out, n, "pool.listen=%s", door);
}

static bool is_set(const mn_experiment *experiment, const char *key)
{
    const mn_option *option = mn_options_find(mn_experiment_options(), key);
    return experiment->overridden[option - mn_experiment_options()->rows];
}
