#include "coordinator/page/showcase.h"

#include "common/checkpoint_list.h"
#include "common/file.h"
#include "common/log.h"
#include "coordinator/run/run.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT 4u /* tasks, the last that were asked for */
#define MOST_TEXT 262144u
#define MOST_WORDS 2048u
#define MOST_PICTURE ((size_t)8 << 20)
#define PATIENCE_US UINT64_C(300000000) /* what takes longer is given up */
#define NICENESS 15                     /* a few per cent of a processor that others want */

extern char **environ;

/* What was made of a task. */
struct exhibit {
    bool is_there;
    uint32_t index;
    uint64_t step;  /* of the checkpoint */
    uint64_t asked; /* when, as a count */
    char *text;     /* owned */
    char *why;      /* there is no picture, or no text; owned; NULL: there is */
    char *picture;  /* [n_picture], a PNG; owned; NULL: none */
    size_t n_picture;
};

struct mn_showcase {
    const mn_board_config *run; /* lent */
    const char *program;
    char folder[PATH_MAX]; /* where it is made; "": not yet there */
    struct exhibit kept[KEPT];
    uint64_t asked;

    pid_t child; /* 0: none */
    int fd;      /* pidfd of it; -1: none */
    uint32_t index;
    uint64_t step, begun_us;
    uint64_t rested_us; /* when the next may begin */
};

/* What the child writes, in its folder. */
static const char *const names[] = {"text", "words", "task.png", "task.gp", "task.dat"};
enum { TEXT, WORDS, PICTURE, N_NAMES = sizeof names / sizeof *names };

static bool find_newest(const mn_showcase *showcase, uint64_t *step);
static mn_status begin(mn_showcase *showcase, uint32_t index, uint64_t step, uint64_t now_us,
                       mn_error *err);
static mn_status start_child(mn_showcase *showcase, uint32_t index, mn_error *err);
static void take(mn_showcase *showcase, int state, uint64_t now_us);
static void keep(mn_showcase *showcase, uint32_t index, uint64_t step, char *text, char *why);
static struct exhibit *find(const mn_showcase *showcase, uint32_t index);
static char *read_start(const mn_showcase *showcase, int name, size_t most);
static char *read_reason(const mn_showcase *showcase);
static void empty_folder(const mn_showcase *showcase);
static void drop(struct exhibit *exhibit);
static json_t *words(const char *text);

mn_status mn_showcase_new(const mn_board_config *run, const char *program, mn_showcase **out,
                          mn_error *err)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "tasks to be shown");
    (*out)->run = run;
    (*out)->program = program;
    (*out)->fd = -1;
    return MN_OK;
}

void mn_showcase_destroy(mn_showcase **showcase)
{
    mn_showcase *s = *showcase;
    if (s == NULL)
        return;
    if (s->child > 0) {
        (void)kill(-s->child, SIGKILL); /* with gnuplot, which it may have started */
        (void)waitpid(s->child, NULL, 0);
    }
    if (s->fd >= 0)
        (void)close(s->fd);
    if (s->folder[0] != '\0') {
        empty_folder(s);
        (void)rmdir(s->folder);
    }
    for (size_t i = 0; i < KEPT; i++)
        drop(&s->kept[i]);
    free(s);
    *showcase = NULL;
}

int mn_showcase_fd(const mn_showcase *showcase)
{
    return showcase->fd;
}

void mn_showcase_attend(mn_showcase *showcase, uint64_t now_us)
{
    struct rusage used;
    int state = 0;
    if (showcase->child == 0)
        return;
    if (now_us > showcase->begun_us + PATIENCE_US)
        (void)kill(-showcase->child, SIGKILL);
    const pid_t ended = wait4(showcase->child, &state, WNOHANG, &used);
    if (ended == 0 || (ended < 0 && errno == EINTR))
        return;
    const uint64_t took_us =
        ended < 0 ? 0
                  : (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
                        (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    showcase->rested_us = now_us + MN_SHOWCASE_REST * took_us;
    showcase->child = 0;
    if (showcase->fd >= 0)
        (void)close(showcase->fd);
    showcase->fd = -1;
    take(showcase, state, now_us);
}

char *mn_showcase_tell(mn_showcase *showcase, uint32_t index, uint64_t now_us)
{
    uint64_t step = 0;
    char *json = NULL;
    mn_error err = {0};
    const bool begun = find_newest(showcase, &step);
    struct exhibit *exhibit = find(showcase, index);
    const bool stale = begun && (exhibit == NULL || exhibit->step != step);
    if (stale && showcase->child == 0 && now_us >= showcase->rested_us &&
        begin(showcase, index, step, now_us, &err) != MN_OK)
        keep(showcase, index, step, strdup(""), strdup(err.message));
    exhibit = find(showcase, index);
    if (exhibit != NULL)
        exhibit->asked = ++showcase->asked;
    const bool ready = exhibit != NULL && exhibit->step == step;
    json_t *told =
        json_pack("{s:i, s:s, s:o, s:o, s:o, s:b, s:i}", "index", (int)index, "state",
                  !begun  ? "waiting" /* for the first checkpoint */
                  : ready ? "ready"
                          : "making",
                  "step", exhibit != NULL ? json_integer((json_int_t)exhibit->step) : json_null(),
                  "text", words(exhibit != NULL ? exhibit->text : ""), "why",
                  words(exhibit != NULL && exhibit->why != NULL ? exhibit->why : ""), "picture",
                  exhibit != NULL && exhibit->picture != NULL, "checkpoint_every",
                  (int)showcase->run->experiment->run.checkpoint_every);
    json = told != NULL ? json_dumps(told, JSON_COMPACT) : NULL;
    json_decref(told);
    return json;
}

const unsigned char *mn_showcase_picture(const mn_showcase *showcase, uint32_t index, size_t *n)
{
    const struct exhibit *exhibit = find(showcase, index);
    *n = exhibit != NULL ? exhibit->n_picture : 0;
    return exhibit != NULL ? (const unsigned char *)exhibit->picture : NULL;
}

static bool find_newest(const mn_showcase *showcase, uint64_t *step)
{
    char folder[PATH_MAX], path[PATH_MAX];
    mn_error err;
    return mn_run_path(showcase->run->folder, "checkpoints", folder, &err) == MN_OK &&
           mn_checkpoint_newest(folder, path, step, &err) == MN_OK;
}

/* ---- making one ---- */

static mn_status begin(mn_showcase *showcase, uint32_t index, uint64_t step, uint64_t now_us,
                       mn_error *err)
{
    const char *temporary = getenv("TMPDIR");
    if (showcase->folder[0] == '\0') { /* not in the run's own, which may be far away */
        (void)snprintf(showcase->folder, sizeof showcase->folder, "%s/mnemo-page.XXXXXX",
                       temporary != NULL && temporary[0] != '\0' ? temporary : "/tmp");
        if (mkdtemp(showcase->folder) == NULL) {
            const mn_status status = mn_fail_errno(err, "make folder %s", showcase->folder);
            showcase->folder[0] = '\0';
            return status;
        }
    }
    empty_folder(showcase);
    showcase->index = index;
    showcase->step = step;
    showcase->begun_us = now_us;
    return start_child(showcase, index, err);
}

static mn_status start_child(mn_showcase *showcase, uint32_t index, mn_error *err)
{
    char number[16], picture[PATH_MAX + 32], text[PATH_MAX + 32], said[PATH_MAX + 32];
    const bool validates = showcase->run->experiment->evaluate.every > 0;
    char *const arguments[] = {"mnemo",
                               "task",
                               (char *)(uintptr_t)showcase->run->folder,
                               "--split",
                               validates ? "val" : "test",
                               "--index",
                               number,
                               "--png",
                               picture,
                               NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none; /* held back: they end it even where we hold them back ourselves */
    pid_t child = 0;
    (void)snprintf(number, sizeof number, "%" PRIu32, index);
    (void)snprintf(picture, sizeof picture, "%s/%s", showcase->folder, names[PICTURE]);
    (void)snprintf(text, sizeof text, "%s/%s", showcase->folder, names[TEXT]);
    (void)snprintf(said, sizeof said, "%s/%s", showcase->folder, names[WORDS]);
    if (posix_spawn_file_actions_init(&files) != 0)
        return mn_fail(err, MN_ERR_NOMEM, "a task to be shown");
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return mn_fail(err, MN_ERR_NOMEM, "a task to be shown");
    }
    (void)sigemptyset(&none);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setpgroup(&attributes, 0); /* a group of its own, which ends together */
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    int error = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, text, flags, 0600);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&files, STDERR_FILENO, said, flags, 0600);
    if (error == 0)
        error = posix_spawn(&child, showcase->program, &files, &attributes, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    if (error != 0) {
        errno = error;
        return mn_fail_errno(err, "start mnemo task");
    }
    (void)setpriority(PRIO_PROCESS, (id_t)child, NICENESS);
    showcase->child = child;
    showcase->fd = pidfd_open(child, 0); /* without it, its end is seen a little later */
    return MN_OK;
}

/* The child has ended. Where only the picture is missing, as of tasks that have none, its words are why. */
static void take(mn_showcase *showcase, int state, uint64_t now_us)
{
    char path[PATH_MAX + 32];
    mn_error err;
    const bool ended_well = WIFEXITED(state) && WEXITSTATUS(state) == 0;
    char *why = ended_well ? NULL : read_reason(showcase);
    if (!ended_well && WIFSIGNALED(state)) {
        free(why);
        why =
            strdup(now_us > showcase->begun_us + PATIENCE_US ? "It took too long and was given up."
                                                             : "mnemo task was killed.");
    }
    char *text = read_start(showcase, TEXT, MOST_TEXT);
    uint64_t newest = showcase->step;
    if (!ended_well && (text == NULL || text[0] == '\0') && find_newest(showcase, &newest) &&
        newest != showcase->step) { /* its checkpoint has made room for newer ones: another time */
        free(text);
        free(why);
        return;
    }
    keep(showcase, showcase->index, showcase->step, text, why);
    struct exhibit *exhibit = find(showcase, showcase->index);
    (void)snprintf(path, sizeof path, "%s/%s", showcase->folder, names[PICTURE]);
    if (ended_well &&
        mn_file_read(path, MOST_PICTURE, &exhibit->picture, &exhibit->n_picture, &err) != MN_OK) {
        exhibit->picture = NULL;
        exhibit->n_picture = 0;
        exhibit->why = strdup(err.message);
    }
    empty_folder(showcase);
}

/* In place of the task's older one, or of that which nobody has asked for the longest; the texts are
 * its own now. */
static void keep(mn_showcase *showcase, uint32_t index, uint64_t step, char *text, char *why)
{
    struct exhibit *place = find(showcase, index);
    for (size_t i = 0; i < KEPT && place == NULL; i++)
        if (!showcase->kept[i].is_there)
            place = &showcase->kept[i];
    if (place == NULL) {
        place = &showcase->kept[0];
        for (size_t i = 1; i < KEPT; i++)
            if (showcase->kept[i].asked < place->asked)
                place = &showcase->kept[i];
    }
    drop(place);
    *place = (struct exhibit){.is_there = true,
                              .index = index,
                              .step = step,
                              .asked = ++showcase->asked,
                              .text = text,
                              .why = why};
}

static struct exhibit *find(const mn_showcase *showcase, uint32_t index)
{
    for (size_t i = 0; i < KEPT; i++)
        if (showcase->kept[i].is_there && showcase->kept[i].index == index)
            return (struct exhibit *)(uintptr_t)&showcase->kept[i];
    return NULL;
}

/* As much of a file as is told; NULL: nothing, or no memory. */
static char *read_start(const mn_showcase *showcase, int name, size_t most)
{
    char path[PATH_MAX + 32];
    (void)snprintf(path, sizeof path, "%s/%s", showcase->folder, names[name]);
    FILE *file = fopen(path, "re");
    char *text = calloc(most + 1, 1);
    if (file != NULL && text != NULL)
        (void)!fread(text, 1, most, file);
    if (file != NULL)
        (void)fclose(file);
    return text;
}

/* Of "mnemo: wrong command line: tasks of this shape have no picture", the last. */
static char *read_reason(const mn_showcase *showcase)
{
    static const char name[] = "mnemo: ";
    char *all = read_start(showcase, WORDS, MOST_WORDS);
    const char *last = all;
    for (const char *at = all; at != NULL; at = strstr(at + 1, name))
        last = at;
    if (last == NULL || strncmp(last, name, strlen(name)) != 0)
        return all;
    const char *colon = strstr(last + strlen(name), ": ");
    char *reason = strdup(colon != NULL ? colon + 2 : last + strlen(name));
    if (reason != NULL)
        reason[strcspn(reason, "\n")] = '\0';
    free(all);
    return reason;
}

static void empty_folder(const mn_showcase *showcase)
{
    for (int i = 0; i < N_NAMES; i++) {
        char path[PATH_MAX + 32];
        (void)snprintf(path, sizeof path, "%s/%s", showcase->folder, names[i]);
        (void)unlink(path);
    }
}

static void drop(struct exhibit *exhibit)
{
    free(exhibit->text);
    free(exhibit->why);
    free(exhibit->picture);
    *exhibit = (struct exhibit){0};
}

/* Names of classes and words of stories are a user's, and may be no UTF-8. */
static json_t *words(const char *text)
{
    json_t *told = json_string(text != NULL ? text : "");
    if (told != NULL || text == NULL)
        return told;
    char *copy = strdup(text);
    for (char *c = copy; c != NULL && *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    told = copy != NULL ? json_string(copy) : NULL;
    free(copy);
    return told;
}
