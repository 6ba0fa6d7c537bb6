#include "coordinator/run/run_state.h"

#include "common/checkpoint_list.h"
#include "common/file.h"
#include "coordinator/run/run.h"
#include "coordinator/run/run_history.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum { MOST_RECENT = 100 };

struct mn_run_watch {
    char folder[PATH_MAX], metrics[PATH_MAX], checkpoint[PATH_MAX];
    mn_run_state state;
    FILE *file; /* metrics.jsonl; NULL: not there yet */
    ino_t inode;
    off_t read; /* so far */
    char *line;
    size_t room;
    uint32_t n_steps; /* in the ring, of which the newest stands before n_steps % MOST_RECENT */
    json_t *steps[MOST_RECENT];
};

static mn_status follow_metrics(mn_run_watch *watch, mn_error *err);
static void read_lines(mn_run_watch *watch);
static void add_line(mn_run_watch *watch, const char *line);
static void forget(mn_run_watch *watch);
static void sum_up(mn_run_watch *watch);
static bool is_locked(const char *path);
static void find_checkpoint(mn_run_watch *watch);
static void read_test(mn_run_watch *watch);

mn_status mn_run_watch_open(const char *folder, mn_run_watch **out, mn_error *err)
{
    char path[PATH_MAX];
    mn_run_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "run in %s", folder);
    watch->state.folder = watch->folder;
    mn_experiment_init(&watch->state.experiment);
    mn_status status = MN_OK;
    if (!mn_run_begun(folder))
        status = mn_run_missing(folder, err);
    else if (realpath(folder, watch->folder) == NULL)
        status = mn_fail_errno(err, "open the run's folder %s", folder);
    if (status == MN_OK)
        status = mn_run_path(watch->folder, "metrics.jsonl", watch->metrics, err);
    if (status == MN_OK)
        status = mn_run_path(watch->folder, "experiment.yaml", path, err);
    if (status == MN_OK)
        status = mn_experiment_glance(&watch->state.experiment, path, &watch->state.is_whole, err);
    if (status != MN_OK) {
        mn_run_watch_close(&watch);
        return status;
    }
    *out = watch;
    return MN_OK;
}

void mn_run_watch_close(mn_run_watch **watch)
{
    if (*watch == NULL)
        return;
    forget(*watch);
    json_decref((*watch)->state.recent);
    json_decref((*watch)->state.test);
    free((*watch)->line);
    free(*watch);
    *watch = NULL;
}

mn_status mn_run_watch_look(mn_run_watch *watch, const mn_run_state **out, mn_error *err)
{
    mn_run_state *state = &watch->state;
    char path[PATH_MAX];
    mn_status status = follow_metrics(watch, err);
    if (status != MN_OK)
        return status;
    sum_up(watch);
    state->phase = mn_run_find_writer(watch->folder, state->writer);
    find_checkpoint(watch);
    read_test(watch);
    state->joinable =
        mn_run_path(watch->folder, "endpoint", path, NULL) == MN_OK && access(path, F_OK) == 0;
    if (state->phase == MN_RUN_STOPPED && state->test != NULL &&
        state->step >= state->experiment.outer.steps)
        state->phase = MN_RUN_DONE;
    *out = state;
    return MN_OK;
}

const char *mn_run_phase_text(mn_run_phase phase)
{
    static const char *const texts[] = {[MN_RUN_STOPPED] = "stopped",
                                        [MN_RUN_RUNNING] = "running",
                                        [MN_RUN_ELSEWHERE] = "last written elsewhere",
                                        [MN_RUN_DONE] = "done"};
    return texts[phase];
}

/* A run that goes on may have put another file in its place, without what came after its checkpoint.
 */
static mn_status follow_metrics(mn_run_watch *watch, mn_error *err)
{
    struct stat now;
    watch->state.silent_s = NAN;
    if (stat(watch->metrics, &now) != 0) {
        forget(watch);
        return errno == ENOENT ? MN_OK : mn_fail_errno(err, "read %s", watch->metrics);
    }
    if (watch->file != NULL && (now.st_ino != watch->inode || now.st_size < watch->read))
        forget(watch);
    if (watch->file == NULL) {
        watch->file = fopen(watch->metrics, "re");
        if (watch->file == NULL)
            return mn_fail_errno(err, "open %s", watch->metrics);
        watch->inode = now.st_ino;
    }
    struct timespec clock;
    (void)clock_gettime(CLOCK_REALTIME, &clock);
    watch->state.silent_s = fmax(0, difftime(clock.tv_sec, now.st_mtime));
    read_lines(watch);
    return MN_OK;
}

/* All but the last meta-steps' lines are only looked at: a million of them take as long as reading
 * the file. */
static void read_lines(mn_run_watch *watch)
{
    off_t begins[MOST_RECENT];
    uint32_t n_begins = 0;
    if (fseeko(watch->file, watch->read, SEEK_SET) != 0)
        return;
    for (ssize_t n; (n = mn_file_line(watch->file, &watch->line, &watch->room)) > 0;) {
        if (watch->line[n - 1] != '\n' && (size_t)n < MN_LINE_MOST)
            break; /* it is still being written */
        if (strstr(watch->line, "\"val_tasks\"") != NULL)
            add_line(watch, watch->line);
        else
            begins[n_begins++ % MOST_RECENT] = watch->read;
        watch->read += n;
    }
    const uint32_t kept = n_begins < MOST_RECENT ? n_begins : MOST_RECENT;
    for (uint32_t i = n_begins - kept; i < n_begins; i++)
        if (fseeko(watch->file, begins[i % MOST_RECENT], SEEK_SET) == 0 &&
            mn_file_line(watch->file, &watch->line, &watch->room) > 0)
            add_line(watch, watch->line);
    clearerr(watch->file);
}

static void add_line(mn_run_watch *watch, const char *line)
{
    json_t *record = json_loads(line, 0, NULL);
    if (!json_is_integer(json_object_get(record, "step"))) {
        json_decref(record);
        return;
    }
    if (json_object_get(record, "val_tasks") != NULL) {
        json_decref(watch->state.validation);
        watch->state.validation = record;
        return;
    }
    json_t **place = &watch->steps[watch->n_steps++ % MOST_RECENT];
    json_decref(*place);
    *place = record;
}

static void forget(mn_run_watch *watch)
{
    for (uint32_t i = 0; i < MOST_RECENT; i++) {
        json_decref(watch->steps[i]);
        watch->steps[i] = NULL;
    }
    json_decref(watch->state.validation);
    watch->state.validation = NULL;
    if (watch->file != NULL)
        (void)fclose(watch->file);
    watch->file = NULL;
    watch->read = 0;
    watch->n_steps = 0;
}

/* Means over those of the last steps that have a number there. */
static json_t *mean_of(json_t *const *records, uint32_t n, const json_t *keys_of)
{
    json_t *means = json_object();
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)(uintptr_t)keys_of, key, value)
    {
        double sum = 0;
        uint32_t counted = 0;
        for (uint32_t i = 0; i < n; i++) {
            const double number = mn_history_number(records[i], key);
            if (isfinite(number)) {
                sum += number;
                counted++;
            }
        }
        if (strcmp(key, "step") != 0 && strcmp(key, "wall_s") != 0 && counted > 0)
            (void)json_object_set_new(means, key, json_real(sum / counted));
    }
    return means;
}

static void sum_up(mn_run_watch *watch)
{
    mn_run_state *state = &watch->state;
    const uint32_t n = watch->n_steps < MOST_RECENT ? watch->n_steps : MOST_RECENT;
    json_decref(state->recent);
    state->recent = NULL;
    state->last = NULL;
    state->step = 0;
    state->wall_s = 0;
    state->step_s = NAN;
    state->n_recent = n;
    if (n == 0)
        return;
    const json_t *first = watch->steps[(watch->n_steps - n) % MOST_RECENT];
    json_t *last = watch->steps[(watch->n_steps - 1) % MOST_RECENT];
    state->last = last;
    state->step = (uint64_t)json_integer_value(json_object_get(last, "step"));
    state->wall_s = mn_history_number(last, "wall_s");
    if (n > 1)
        state->step_s = (state->wall_s - mn_history_number(first, "wall_s")) / (n - 1);
    state->recent = mean_of(watch->steps, n, last);
}

mn_run_phase mn_run_find_writer(const char *folder, char writer[256])
{
    char path[PATH_MAX], host[HOST_NAME_MAX + 1] = "";
    writer[0] = '\0';
    if (mn_run_path(folder, "lock", path, NULL) != MN_OK)
        return MN_RUN_STOPPED;
    FILE *lock = fopen(path, "re");
    if (lock == NULL)
        return MN_RUN_STOPPED;
    if (fgets(writer, 256, lock) == NULL)
        writer[0] = '\0';
    (void)fclose(lock);
    writer[strcspn(writer, "\n")] = '\0';
    (void)gethostname(host, sizeof host - 1);
    const char *on = strstr(writer, " on ");
    if (is_locked(path))
        return MN_RUN_RUNNING;
    return on != NULL && strcmp(on + strlen(" on "), host) != 0 ? MN_RUN_ELSEWHERE : MN_RUN_STOPPED;
}

/* To try the lock would keep a job that begins just then from having it. */
static bool is_locked(const char *path)
{
    struct stat file;
    FILE *locks = fopen("/proc/locks", "re");
    bool found = false;
    char line[256];
    if (locks == NULL)
        return false;
    while (stat(path, &file) == 0 && !found && fgets(line, sizeof line, locks) != NULL) {
        unsigned major_, minor_;
        uint64_t inode;
        /* "1: FLOCK  ADVISORY  WRITE 1234 fe:00:567 0 EOF" */
        if (sscanf(line, "%*[^:]: %*s %*s %*s %*s %x:%x:%" SCNu64, &major_, &minor_, &inode) == 3)
            found = inode == file.st_ino && major_ == major(file.st_dev) &&
                    minor_ == minor(file.st_dev);
    }
    (void)fclose(locks);
    return found;
}

static void find_checkpoint(mn_run_watch *watch)
{
    mn_run_state *state = &watch->state;
    char folder[PATH_MAX];
    state->has_checkpoint =
        mn_run_path(watch->folder, "checkpoints", folder, NULL) == MN_OK &&
        mn_checkpoint_newest(folder, watch->checkpoint, &state->checkpoint, NULL) == MN_OK;
    state->checkpoint_path = watch->checkpoint;
}

static void read_test(mn_run_watch *watch)
{
    char path[PATH_MAX];
    json_decref(watch->state.test);
    watch->state.test = mn_run_path(watch->folder, "test.json", path, NULL) == MN_OK
                            ? json_load_file(path, 0, NULL)
                            : NULL;
}
