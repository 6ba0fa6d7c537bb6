/* random_experiments.c: experiments drawn at random, one after the other. Each either computes, or
 * is refused with a status and a sentence; no assertion, crash, endless loop or memory without bound
 * comes from options. What computes gives the same bits twice, and with nothing kept of the inner
 * steps. Half of the draws change some keys of an experiment that is shipped, made small; the others
 * begin with a kind of task alone. Keys and their values come from the options table, so that a new
 * option is drawn without a word here. A draw is a function of (seed, number), and what fails says
 * both. */
#include "common/random.h"
#include "worker/data/import/sample_data.h"
#include "worker/learner/learner.h"
#include <glob.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_MACS 2e8                    /* of a task that is computed; larger ones are compiled */
#define MAX_FLOATS ((size_t)1 << 26)    /* the same of a workspace */
#define MAX_ADDRESSES ((rlim_t)8 << 30) /* bytes that a draw may ask the system for */
enum { MAX_SECONDS = 20, LINES = 4096, VALUE = 400 };

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* Memory that there is not is told by NULL, as without the sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

enum outcome { COMPUTED, COMPILED, NO_EXPERIMENT, NO_TASKS, NO_LEARNER, N_OUTCOMES };
static const char *const outcomes[N_OUTCOMES] = {"computed", "compiled, too large to compute here",
                                                 "settings refused", "tasks refused",
                                                 "learners refused"};

static glob_t shipped;

/* Drawing ------------------------------------------------------------------------- */

static bool one_in(mn_random *random, uint32_t n)
{
    return mn_random_below(random, n) == 0;
}

/* Most often a small number above the least; now and then the least or the largest. */
static double draw_whole(mn_random *random, const mn_option *option)
{
    if (one_in(random, 60))
        return option->max;
    if (one_in(random, 10))
        return option->min;
    return fmin(option->max, option->min + floor(exp2(mn_random_uniform(random, 0, 4)) - 0.5));
}

static double draw_real(mn_random *random, const mn_option *option)
{
    if (one_in(random, 20))
        return option->max;
    if (one_in(random, 10))
        return option->min;
    const double value = exp(mn_random_uniform(random, log(1e-4), log(2)));
    return fmin(option->max, fmax(option->min, value));
}

/* A value as one would write it; false: none is made up for this option. */
static bool draw_value(mn_random *random, const mn_option *option, char text[VALUE])
{
    uint32_t n = 0;
    size_t at = 0;
    double low, high;
    switch (option->type) {
    case MN_OPTION_BOOL:
        (void)snprintf(text, VALUE, "%s", one_in(random, 2) ? "true" : "false");
        return true;
    case MN_OPTION_U32:
    case MN_OPTION_I32:
    case MN_OPTION_U64:
        (void)snprintf(text, VALUE, "%.0f", draw_whole(random, option));
        return true;
    case MN_OPTION_REAL:
        (void)snprintf(text, VALUE, "%.17g", draw_real(random, option));
        return true;
    case MN_OPTION_PAIR:
        low = draw_real(random, option);
        high = one_in(random, 10) ? draw_real(random, option) : fmin(option->max, low + 1);
        (void)snprintf(text, VALUE, "%.17g, %.17g", low, high);
        return true;
    case MN_OPTION_LIST:
        text[0] = '\0';
        for (uint32_t more = mn_random_below(random, 4); n < more; n++)
            at += (size_t)snprintf(text + at, VALUE - at, "%s%.0f", n > 0 ? ", " : "",
                                   draw_whole(random, option));
        return true;
    case MN_OPTION_CHOICE:
        while (option->choices[n] != NULL)
            n++;
        (void)snprintf(text, VALUE, "%s", option->choices[mn_random_below(random, n)]);
        return true;
    case MN_OPTION_TEXT:
    case MN_OPTION_NAME:
        if (strcmp(option->key, "tasks.mix") != 0 || !one_in(random, 4))
            return false;
        (void)snprintf(text, VALUE, "2 a: shot=%u; 1 b: shot=1 %s%s",
                       (unsigned)(1 + mn_random_below(random, 2)),
                       one_in(random, 2) ? "image_size=8" : "",
                       one_in(random, 2)   ? " curve=step"
                       : one_in(random, 2) ? " kind=glyphs"
                                           : "");
        return true;
    }
    return false;
}

static void set(mn_experiment *experiment, char *lines, const char *key, const char *value)
{
    char assignment[VALUE + 80];
    const size_t n = strlen(lines);
    mn_error err;
    (void)snprintf(assignment, sizeof assignment, "%s=%s", key, value);
    (void)snprintf(lines + n, LINES - n, "  --set '%s'\n", assignment);
    if (mn_experiment_set(experiment, assignment, &err) != MN_OK)
        (void)snprintf(lines + strlen(lines), LINES - strlen(lines), "    %s\n", err.message);
}

/* Small enough to compute in a moment, of data that are there. */
static void make_small(mn_experiment *experiment, mn_random *random, char *lines)
{
    static const struct {
        const char *key, *value;
    } smaller[] = {
        {"tasks.length", "10"},       {"tasks.bundle", "2"},
        {"tasks.way", "5"},           {"tasks.query", "2"},
        {"tasks.image_size", "16"},   {"model.units", "12"},
        {"model.filters", "4"},       {"model.slots", "9"},
        {"model.slot_size", "6"},     {"model.embedding", "8"},
        {"evaluate.way", "0"},        {"evaluate.query", "0"},
        {"model.hidden", "8, 8"},     {"model.encoder", "8, 8"},
        {"model.decoder", "8"},       {"tasks.data", "p.mnd"},
        {"tasks.runs", ""},           {"evaluate.inner_steps", "0, 2"},
        {"tasks.sentences", "12"},    {"tasks.table", "t.csv"},
        {"tasks.columns", "a, b, c"}, {"tasks.class_column", "kind"},
        {"tasks.dialog", "1"},        {"evaluate.shot", "0"},
    };
    const mn_option_table *table = mn_experiment_options();
    for (size_t i = 0; i < sizeof smaller / sizeof *smaller; i++) {
        const char *value = smaller[i].value;
        const mn_option *option = mn_options_find(table, smaller[i].key);
        const bool is_data = strcmp(option->key, "tasks.data") == 0;
        const bool may_be_glyphs = experiment->tasks.kind == MN_TASKS_SEQUENCES ||
                                   experiment->tasks.kind == MN_TASKS_CLASS_STREAM;
        if (is_data && may_be_glyphs && one_in(random, 2))
            value = "";
        if (is_data && experiment->tasks.kind == MN_TASKS_STORIES)
            value = "en";
        if (is_data && experiment->tasks.kind == MN_TASKS_DIALOGUES)
            value = "dialogs";
        if (strcmp(option->key, "tasks.image_size") == 0 && experiment->tasks.data[0] != '\0')
            value = "4"; /* of the sample's images */
        if (mn_option_is_read(table, option, experiment))
            set(experiment, lines, option->key, value);
    }
    if (experiment->tasks.kind == MN_TASKS_ROWS && one_in(random, 2)) {
        set(experiment, lines, "tasks.class_column", "");
        set(experiment, lines, "tasks.task_column", "kind");
        set(experiment, lines, "tasks.y_column", "y");
    }
    set(experiment, lines, "run.data_path", ".");
}

static void begin_as_shipped(mn_experiment *experiment, mn_random *random, char *lines)
{
    const char *path = shipped.gl_pathv[mn_random_below(random, (uint32_t)shipped.gl_pathc)];
    mn_error err;
    (void)snprintf(lines, LINES, "  %s\n", path);
    if (mn_experiment_read(experiment, path, &err) != MN_OK) {
        (void)fprintf(stderr, "%s\n", err.message);
        abort();
    }
    make_small(experiment, random, lines);
}

static void begin_with_a_kind(mn_experiment *experiment, mn_random *random, char *lines)
{
    char kind[VALUE], text[VALUE + 40];
    mn_error err;
    (void)draw_value(random, mn_options_find(mn_experiment_options(), "tasks.kind"), kind);
    (void)snprintf(text, sizeof text, "tasks: {kind: %s}\n", kind);
    (void)snprintf(lines, LINES, "  %s", text);
    if (mn_experiment_parse(experiment, "draw", text, strlen(text), &err) != MN_OK)
        abort();
    make_small(experiment, random, lines);
}

/* Does a learner or a task set look at it, and is it drawn at all? */
static bool matters(const mn_option *option)
{
    static const char *const sections[] = {"tasks.", "model.", "meta.", "evaluate."};
    if (strcmp(option->key, "tasks.kind") == 0 || strcmp(option->key, "evaluate.tasks") == 0 ||
        strcmp(option->key, "evaluate.val_tasks") == 0)
        return false;
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (strncmp(option->key, sections[i], strlen(sections[i])) == 0)
            return true;
    return strcmp(option->key, "seed") == 0;
}

/* Is it refused as long as another option is as it is? Tried all the same, now and then. */
static bool is_early(const mn_option *option, const mn_experiment *experiment)
{
    return (strcmp(option->key, "tasks.mix_by") == 0 && experiment->tasks.mix[0] == '\0') ||
           (strcmp(option->key, "tasks.unbalanced") == 0 && experiment->tasks.shot_from == 0);
}

/* Kinds stand before what reads them in the table, so that one walk finds what counts by now. */
static void change(mn_experiment *experiment, mn_random *random, char *lines)
{
    const mn_option_table *table = mn_experiment_options();
    const uint32_t rarely = 2 + mn_random_below(random, 20);
    for (size_t i = 0; i < table->n; i++) {
        char value[VALUE];
        const mn_option *option = &table->rows[i];
        if (is_early(option, experiment) && !one_in(random, 10))
            continue;
        if (matters(option) && one_in(random, rarely) &&
            mn_option_is_read(table, option, experiment) && draw_value(random, option, value))
            set(experiment, lines, option->key, value);
    }
}

/* Computing ----------------------------------------------------------------------- */

static void must(bool holds, const char *what, const char *lines)
{
    if (holds)
        return;
    (void)fprintf(stderr, "not so: %s\n%s", what, lines);
    abort();
}

/* A refusal is one of these, and says something. */
static void must_be_told(mn_status status, const mn_error *err, const char *lines)
{
    must(status == MN_ERR_CONFIG || status == MN_ERR_NO_INPUT || status == MN_ERR_DATA ||
             status == MN_ERR_NOMEM,
         "a refusal has a status of settings, data or memory", lines);
    must(strlen(err->message) > 10, "a refusal says why", lines);
}

struct computed {
    float *train, *test; /* rows */
    mn_digest look;      /* of what is shown */
};

static void look(const mn_learner *learner, const mn_task_set *set, const float *theta,
                 const mn_task *task, mn_digest *out)
{
    mn_shown *shown = NULL;
    mn_hasher hasher;
    mn_error err;
    mn_hasher_init(&hasher);
    if (mn_learner_show(learner, mn_task_set_fields(set, MN_TEST), &shown, &err) == MN_OK) {
        mn_shown_look(shown, theta, task->block);
        for (size_t i = 0; i < mn_shown_count(shown); i++)
            mn_hasher_add(&hasher, mn_shown_arrays(shown)[i].numbers,
                          mn_shown_arrays(shown)[i].n * sizeof(mn_real));
    }
    mn_shown_destroy(&shown);
    *out = mn_hasher_finish(&hasher);
}

static void describe(const mn_task_set *set, const mn_task *task)
{
    FILE *nowhere = fopen("/dev/null", "w");
    if (nowhere == NULL)
        abort();
    mn_task_set_describe(set, task, nowhere);
    (void)fclose(nowhere);
}

/* One training task and one test task. */
static struct computed compute(const mn_learner *learner, const mn_task_set *set, uint64_t seed,
                               const char *lines)
{
    struct computed out = {0};
    mn_workspace *workspace = NULL;
    mn_task *train = NULL, *test = NULL;
    mn_error err;
    float *theta = calloc(mn_learner_size(learner), sizeof *theta);
    out.train = calloc(mn_learner_train_columns(learner), sizeof *out.train);
    out.test = calloc(mn_learner_test_columns(learner), sizeof *out.test);
    must(theta != NULL && out.train != NULL && out.test != NULL &&
             mn_workspace_new(learner, &workspace, &err) == MN_OK &&
             mn_task_new(mn_task_set_fields(set, MN_TRAIN), &train, &err) == MN_OK &&
             mn_task_new(mn_task_set_fields(set, MN_TEST), &test, &err) == MN_OK,
         "there is memory for a small learner", lines);
    mn_learner_init_theta(learner, seed, theta);
    mn_task_set_draw(set, MN_TRAIN, 3, train);
    mn_task_set_draw(set, MN_TEST, 2, test);
    describe(set, train);
    mn_learner_train(workspace, theta, train, out.train);
    mn_learner_test(workspace, theta, test, out.test);
    look(learner, set, theta, test, &out.look);
    mn_workspace_destroy(&workspace);
    mn_task_destroy(&train);
    mn_task_destroy(&test);
    free(theta);
    return out;
}

static void must_be_equal(const mn_learner *learner, struct computed a, struct computed b,
                          const char *what, const char *lines)
{
    const size_t n_train = mn_learner_train_columns(learner),
                 n_test = mn_learner_test_columns(learner);
    must(memcmp(a.train, b.train, n_train * sizeof *a.train) == 0, what, lines);
    must(memcmp(a.test, b.test, n_test * sizeof *a.test) == 0, what, lines);
    must(memcmp(&a.look, &b.look, sizeof a.look) == 0, what, lines);
    must(a.train[n_train - 2] + a.train[n_train - 1] == 1.0f, "a task is taken or skipped", lines);
    free(b.train);
    free(b.test);
}

static bool is_large(const mn_learner *learner)
{
    return mn_learner_train_macs(learner) > MAX_MACS ||
           mn_learner_workspace_bytes(learner) / sizeof(float) > MAX_FLOATS;
}

static enum outcome compute_all(const mn_experiment *experiment, const mn_task_set *set,
                                const mn_learner *learner, const char *lines)
{
    mn_experiment sparing = *experiment;
    mn_learner *other = NULL;
    mn_error err;
    if (is_large(learner))
        return COMPILED;
    sparing.pool.activation_mib = 0;
    must(mn_learner_new(&sparing, mn_task_set_fields(set, MN_TRAIN),
                        mn_task_set_fields(set, MN_TEST), &other, &err) == MN_OK,
         "a learner is made that keeps nothing", lines);
    struct computed first = compute(learner, set, experiment->seed, lines);
    must_be_equal(learner, first, compute(learner, set, experiment->seed, lines),
                  "a task gives the same bits twice", lines);
    must_be_equal(learner, first, compute(other, set, experiment->seed, lines),
                  "what is kept of the inner steps changes no bit", lines);
    free(first.train);
    free(first.test);
    mn_learner_destroy(&other);
    return COMPUTED;
}

static enum outcome open_all(const mn_experiment *experiment, const char *lines, mn_error *err,
                             mn_status *status)
{
    mn_task_set *set = NULL;
    mn_learner *learner = NULL;
    enum outcome outcome = NO_EXPERIMENT;
    *status = mn_experiment_check(experiment, err);
    if (*status == MN_OK) {
        outcome = NO_TASKS;
        *status = mn_task_set_open(experiment, NULL, &set, err);
    }
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && *status == MN_OK; split++)
        *status = mn_task_set_check(set, split, err);
    if (*status == MN_OK) {
        outcome = NO_LEARNER;
        *status = mn_learner_new(experiment, mn_task_set_fields(set, MN_TRAIN),
                                 mn_task_set_fields(set, MN_TEST), &learner, err);
    }
    if (*status == MN_OK)
        outcome = compute_all(experiment, set, learner, lines);
    mn_learner_destroy(&learner);
    mn_task_set_destroy(&set);
    return outcome;
}

static enum outcome draw_one(uint64_t seed, uint64_t number, bool tell)
{
    char lines[LINES];
    mn_random random = mn_random_stream(seed, MN_RANDOM_SELF_TEST, number);
    mn_experiment experiment;
    mn_error err = {0};
    mn_status status = MN_OK;
    mn_experiment_init(&experiment);
    (one_in(&random, 2) ? begin_as_shipped : begin_with_a_kind)(&experiment, &random, lines);
    /* What was set so far may be read by nothing soon, as what a file says would be an error. */
    memset(experiment.overridden, 0, sizeof experiment.overridden);
    change(&experiment, &random, lines);
    if (tell)
        (void)fputs(lines, stderr);
    const enum outcome outcome = open_all(&experiment, lines, &err, &status);
    if (status != MN_OK)
        must_be_told(status, &err, lines);
    if (tell)
        (void)fprintf(stderr, "%s%s%s\n", outcomes[outcome], status != MN_OK ? ": " : "",
                      err.message);
    return outcome;
}

/* Running ------------------------------------------------------------------------- */

static void limit(void)
{
    const struct rlimit seconds = {MAX_SECONDS * (SANITIZED ? 10 : 1), RLIM_INFINITY};
    const struct rlimit addresses = {MAX_ADDRESSES, MAX_ADDRESSES};
    const struct rlimit no_core = {0, 0};
    (void)setrlimit(RLIMIT_CPU, &seconds);
    (void)setrlimit(RLIMIT_CORE, &no_core);
    if (!SANITIZED) /* whose shadow is all of the address space */
        (void)setrlimit(RLIMIT_AS, &addresses);
}

/* In a process of its own, so that what it does to itself is all that it does. */
static bool run_one(uint64_t seed, uint64_t number, bool tell, uint32_t counts[N_OUTCOMES])
{
    int how = 0;
    const pid_t child = fork();
    if (child == 0) {
        limit();
        _exit((int)draw_one(seed, number, tell));
    }
    if (child < 0 || waitpid(child, &how, 0) != child)
        return false;
    if (WIFEXITED(how) && WEXITSTATUS(how) < N_OUTCOMES) {
        counts[WEXITSTATUS(how)]++;
        return true;
    }
    (void)fprintf(stderr, "FAILED: --seed %" PRIu64 " --only %" PRIu64 ": %s\n", seed, number,
                  WIFSIGNALED(how) ? strsignal(WTERMSIG(how)) : "a sanitizer's report");
    return false;
}

/* Set 1 alone: a restaurant whose telephone number is told and asked for. */
static void write_dialogs(void)
{
    static const char *const ends[] = {"trn", "dev", "tst", "tst-OOV"};
    static const char list[] = "1 hello\n1 call 555\n1 call 777\n", facts[] = "1 a R_phone\t555\n";
    static const char said[] = "1 hi\thello\n2 a R_phone 555\n3 its phone\tcall 555\n\n"
                               "1 a R_phone 777\n2 its phone\tcall 777\n";
    if (mkdir("dialogs", 0700) != 0)
        abort();
    sample_write("dialogs/dialog-babi-candidates.txt", list, sizeof list - 1);
    sample_write("dialogs/dialog-babi-kb-all.txt", facts, sizeof facts - 1);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "dialogs/dialog-babi-task1-phones-%s.txt", ends[i]);
        sample_write(path, said, sizeof said - 1);
    }
}

static void write_stories(void)
{
    static const char *const places[] = {"garden", "hall", "office"};
    static char text[8192];
    size_t at = 0;
    for (unsigned i = 0; i < 30; i++)
        at += (size_t)snprintf(
            text + at, sizeof text - at,
            "1 Mary went to the %s.\n2 John is in the %s.\n3 Where is Mary?\t%s\t1\n",
            places[i % 3], places[i / 3 % 3], places[i % 3]);
    if (mkdir("en", 0700) != 0)
        abort();
    sample_write("en/qa1_one_train.txt", text, at);
    sample_write("en/qa1_one_test.txt", text, at);
}

/* A table of 60 classes, or tasks, of 8 rows. */
static void write_rows(void)
{
    char text[60 * 8 * 32] = "kind,a,b,c,y\n";
    size_t at = strlen(text);
    for (int row = 0; row < 60 * 8; row++)
        at += (size_t)snprintf(text + at, sizeof text - at, "k%d,%d,%d.5,%d,%d\n", row % 60,
                               row % 60 % 7, row % 11, row / 60, row % 60 + row % 11);
    sample_write("t.csv", text, at);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, draws = 400, only = UINT64_MAX, n_failed = 0;
    uint32_t counts[N_OUTCOMES] = {0};
    void *folder = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t *number = strcmp(argv[i], "--seed") == 0    ? &seed
                           : strcmp(argv[i], "--draws") == 0 ? &draws
                           : strcmp(argv[i], "--only") == 0  ? &only
                                                             : NULL;
        if (number == NULL)
            argc = 0;
        else
            *number = strtoull(argv[i + 1], NULL, 10);
    }
    if (argc % 2 == 0) {
        (void)fputs("usage: random_experiments [--seed S] [--draws N] [--only NUMBER]\n", stderr);
        return 64;
    }
    if (glob(MN_EXPERIMENTS "/*.yaml", 0, NULL, &shipped) != 0 || sample_enter_folder(&folder) != 0)
        return 70;
    sample_write_pack("p.mnd");
    write_dialogs();
    write_stories();
    write_rows();
    const uint64_t first = only == UINT64_MAX ? 0 : only,
                   end = only == UINT64_MAX ? draws : only + 1;
    for (uint64_t number = first; number < end; number++)
        n_failed += !run_one(seed, number, only != UINT64_MAX, counts);
    (void)sample_leave_folder(&folder);
    globfree(&shipped);
    for (int i = 0; i < N_OUTCOMES; i++)
        (void)printf("%6u %s\n", (unsigned)counts[i], outcomes[i]);
    (void)printf("%6" PRIu64 " failed\n", n_failed);
    /* Else it tries nothing but refusals. */
    const bool enough = only != UINT64_MAX || counts[COMPUTED] >= draws / 10;
    if (!enough)
        (void)printf("too few were computed\n");
    return n_failed > 0 || !enough;
}
