#include "coordinator/run/run.h"

#include "common/file.h"
#include "common/log.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct mn_run {
    char folder[PATH_MAX];
    uint64_t id;
    int lock; /* file descriptor; -1: not locked */
};

static mn_status take_lock(mn_run *run, mn_error *err);
static mn_status refuse(int lock, const char *folder, mn_error *err);
static void link_latest(const char *folder);
static mn_status find_id(mn_run *run, mn_error *err);

mn_status mn_run_default_folder(const char *name, time_t now, char folder[PATH_MAX], mn_error *err)
{
    struct tm utc;
    char stamp[32];
    if (gmtime_r(&now, &utc) == NULL || strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc) == 0)
        return mn_fail(err, MN_ERR_INTERNAL, "the time %lld has no date", (long long)now);
    mn_status status = mn_folder_make("runs", err);
    for (unsigned i = 1; i < 1000 && status == MN_OK; i++) {
        char suffix[16] = "";
        if (i > 1)
            (void)snprintf(suffix, sizeof suffix, "-%u", i);
        int length = snprintf(folder, PATH_MAX, "runs/%s-%s%s", name, stamp, suffix);
        if (length < 0 || length >= PATH_MAX)
            return mn_fail(err, MN_ERR_USAGE, "the experiment's name is too long for a folder");
        if (mkdir(folder, 0777) == 0)
            return MN_OK;
        if (errno != EEXIST)
            return mn_fail_errno(err, "make the run's folder %s", folder);
    }
    return status != MN_OK ? status
                           : mn_fail(err, MN_ERR_UNAVAILABLE,
                                     "no free folder name like %s; use --run-dir", folder);
}

bool mn_run_begun(const char *folder)
{
    char path[PATH_MAX];
    return mn_run_path(folder, "experiment.yaml", path, NULL) == MN_OK && access(path, F_OK) == 0;
}

bool mn_sweep_begun(const char *folder)
{
    char path[PATH_MAX];
    return mn_run_path(folder, "sweep.json", path, NULL) == MN_OK && access(path, F_OK) == 0;
}

mn_status mn_run_missing(const char *folder, mn_error *err)
{
    return mn_sweep_begun(folder)
               ? mn_fail(err, MN_ERR_NO_INPUT,
                         "%s is a sweep: expected one of its runs, as %s/runs/...; mnemo status %s "
                         "tells of all of them",
                         folder, folder, folder)
               : mn_fail(err, MN_ERR_NO_INPUT,
                         "%s is no run: expected a folder that mnemo train has made, with an "
                         "experiment.yaml in it, as runs/latest",
                         folder);
}

mn_status mn_run_open(const char *folder, mn_run **out, mn_error *err)
{
    mn_run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "run in %s", folder);
    run->lock = -1;
    mn_status status = mn_folder_make(folder, err);
    if (status == MN_OK && realpath(folder, run->folder) == NULL)
        status = mn_fail_errno(err, "open the run's folder %s", folder);
    if (status == MN_OK)
        status = take_lock(run, err);
    if (status == MN_OK)
        status = find_id(run, err);
    if (status != MN_OK) {
        mn_run_close(&run);
        return status;
    }
    link_latest(run->folder);
    *out = run;
    return MN_OK;
}

void mn_run_close(mn_run **run)
{
    if (*run == NULL)
        return;
    if ((*run)->lock >= 0)
        (void)close(
            (*run)->lock); /* and with it the lock; the file stays, or two could hold two of them */
    free(*run);
    *run = NULL;
}

const char *mn_run_folder(const mn_run *run)
{
    return run->folder;
}

uint64_t mn_run_id(const mn_run *run)
{
    return run->id;
}

mn_status mn_run_path(const char *folder, const char *name, char path[PATH_MAX], mn_error *err)
{
    int length = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    if (length < 0 || length >= PATH_MAX)
        return mn_fail(err, MN_ERR_USAGE, "the path of folder %s is too long", folder);
    return MN_OK;
}

mn_status mn_run_write_experiment(const mn_run *run, const mn_experiment *experiment, mn_error *err)
{
    char path[PATH_MAX];
    char *text = NULL;
    mn_status status = mn_run_path(run->folder, "experiment.yaml", path, err);
    if (status == MN_OK)
        status = mn_experiment_print(experiment, true, &text, err);
    if (status == MN_OK)
        status = mn_file_write(path, text, strlen(text), err);
    free(text);
    return status;
}

mn_status mn_run_write_endpoint(const mn_run *run, const char *key, size_t n,
                                const char (*endpoints)[256], mn_error *err)
{
    char path[PATH_MAX];
    char *text = NULL;
    size_t length = 0;
    mn_status status = mn_run_path(run->folder, "endpoint", path, err);
    if (status != MN_OK)
        return status;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "endpoint file");
    (void)fprintf(out, "run: %016" PRIx64 "\nkey: %s\n", run->id, key == NULL ? "-" : key);
    for (size_t i = 0; i < n; i++)
        if (endpoints[i][0] != '\0')
            (void)fprintf(out, "endpoint: %s\n", endpoints[i]);
    status = fclose(out) == 0 ? mn_file_write(path, text, length, err)
                              : mn_fail(err, MN_ERR_NOMEM, "endpoint file");
    free(text);
    return status;
}

void mn_run_remove_endpoint(const mn_run *run)
{
    char path[PATH_MAX];
    if (mn_run_path(run->folder, "endpoint", path, NULL) == MN_OK && unlink(path) != 0 &&
        errno != ENOENT)
        mn_log(MN_LOG_WARN, "%s stays: %s", path, strerror(errno));
}

static mn_status take_lock(mn_run *run, mn_error *err)
{
    char path[PATH_MAX];
    char host[HOST_NAME_MAX + 1] = "?";
    char text[HOST_NAME_MAX + 64];
    mn_status status = mn_run_path(run->folder, "lock", path, err);
    if (status != MN_OK)
        return status;
    run->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (run->lock < 0)
        return mn_fail_errno(err, "open %s", path);
    if (flock(run->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return refuse(run->lock, run->folder, err);
        mn_log(MN_LOG_WARN, "%s cannot be locked (%s): see to it that no second job writes here",
               path, strerror(errno));
    }
    (void)gethostname(host, sizeof host - 1);
    int length = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
    if (ftruncate(run->lock, 0) != 0 || pwrite(run->lock, text, (size_t)length, 0) != length)
        return mn_fail_errno(err, "write %s", path);
    return MN_OK;
}

static mn_status refuse(int lock, const char *folder, mn_error *err)
{
    char who[256] = "";
    ssize_t n = pread(lock, who, sizeof who - 1, 0);
    who[n > 0 ? n : 0] = '\0';
    who[strcspn(who, "\n")] = '\0';
    return mn_fail(err, MN_ERR_UNAVAILABLE,
                   "the run in %s is being written by %s: wait for it, stop it (SIGTERM), or give "
                   "another folder with --run-dir",
                   folder, who[0] != '\0' ? who : "another process");
}

/* A convenience only, so nothing fails with it. A link made aside and renamed is never missing. */
static void link_latest(const char *folder)
{
    char parent_text[PATH_MAX];
    char name_text[PATH_MAX];
    char link[PATH_MAX + 16];
    char aside[PATH_MAX + 48];
    (void)snprintf(parent_text, sizeof parent_text, "%s", folder);
    (void)snprintf(name_text, sizeof name_text, "%s", folder);
    const char *parent = dirname(parent_text);
    const char *name = basename(name_text);
    const char *last = strrchr(parent, '/');
    if (last == NULL || strcmp(last, "/runs") != 0)
        return;
    (void)snprintf(link, sizeof link, "%s/../sweep.json", parent);
    if (access(link, F_OK) == 0) /* of a sweep, whose runs go side by side */
        return;
    (void)snprintf(link, sizeof link, "%s/latest", parent);
    (void)snprintf(aside, sizeof aside, "%s.%ld", link, (long)getpid());
    if (symlink(name, aside) != 0 || rename(aside, link) != 0) {
        mn_log(MN_LOG_WARN, "%s does not link to this run: %s", link, strerror(errno));
        (void)unlink(aside);
    }
}

static mn_status find_id(mn_run *run, mn_error *err)
{
    char path[PATH_MAX];
    char *text = NULL;
    size_t n = 0;
    mn_status status = mn_run_path(run->folder, "endpoint", path, err);
    if (status != MN_OK)
        return status;
    if (mn_file_read(path, 1 << 20, &text, &n, NULL) == MN_OK)
        if (sscanf(text, "run: %16" SCNx64, &run->id) != 1)
            run->id = 0;
    free(text);
    while (run->id == 0)
        if (getrandom(&run->id, sizeof run->id, 0) != (ssize_t)sizeof run->id)
            return mn_fail_errno(err, "draw an id for the run");
    return MN_OK;
}
