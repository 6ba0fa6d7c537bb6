/* Parts and rules: a learner of each must give the same bits again, from another thread and after
 * another task, and its meta-gradient must be what central differences say. Loss and gradient are
 * float32, and so a step has to be large: what is compared is the derivative along a direction in
 * which one tensor moves, by several steps of which one has to agree. */
#include "worker/plugin/plugin_trial.h"

#include "common/random.h"
#include "worker/learner/learner.h"
#include "worker/tasks/task_set.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define AGREES 0.02 /* of the derivative */
#define NOISE 4e-6  /* of the loss: what float32 makes of it */
#define SEED 4711u

enum { DIRECTIONS = 2 };

/* A learner of a setting, with its theta and two tasks. */
struct bench {
    char what[400];
    const mn_experiment *experiment; /* lent */
    bool is_finite;                  /* what it gave */
    mn_task_set *set;
    mn_learner *learner;
    mn_workspace *workspace;
    mn_task *tasks[2];
    float *theta, *moved, *gradient, *direction; /* [size of theta] */
    float *rows[3];                              /* [train columns] */
};

static void bench_free(struct bench *bench)
{
    for (int i = 0; i < 2; i++)
        mn_task_destroy(&bench->tasks[i]);
    for (int i = 0; i < 3; i++)
        free(bench->rows[i]);
    free(bench->theta);
    free(bench->moved);
    free(bench->gradient);
    free(bench->direction);
    mn_workspace_destroy(&bench->workspace);
    mn_learner_destroy(&bench->learner);
    mn_task_set_destroy(&bench->set);
}

static mn_status bench_new(const mn_experiment *experiment, struct bench *out, mn_error *err)
{
    mn_status status = mn_task_set_open(experiment, NULL, &out->set, err);
    out->experiment = experiment;
    if (status == MN_OK)
        status = mn_learner_new(experiment, mn_task_set_fields(out->set, MN_TRAIN),
                                mn_task_set_fields(out->set, MN_TEST), &out->learner, err);
    if (status == MN_OK)
        status = mn_workspace_new(out->learner, &out->workspace, err);
    for (uint64_t i = 0; i < 2 && status == MN_OK; i++) {
        status = mn_task_new(mn_task_set_fields(out->set, MN_TRAIN), &out->tasks[i], err);
        if (status == MN_OK)
            mn_task_set_draw(out->set, MN_TRAIN, i, out->tasks[i]);
    }
    if (status != MN_OK)
        return status;
    const size_t n = mn_learner_size(out->learner);
    const size_t columns = mn_learner_train_columns(out->learner);
    float **const vectors[] = {&out->theta, &out->moved, &out->gradient, &out->direction};
    for (size_t i = 0; i < 4; i++)
        *vectors[i] = calloc(n + 1, sizeof(float));
    for (size_t i = 0; i < 3; i++)
        out->rows[i] = calloc(columns, sizeof(float));
    if (out->theta == NULL || out->moved == NULL || out->gradient == NULL ||
        out->direction == NULL || out->rows[0] == NULL || out->rows[1] == NULL ||
        out->rows[2] == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "a learner to try");
    mn_learner_init_theta(out->learner, SEED, out->theta);
    /* Weights that begin with zeros, as biases do, would hide what hangs on them. */
    mn_random random = mn_random_stream(SEED, MN_RANDOM_SELF_TEST, 3);
    for (size_t i = 0; i < n; i++)
        out->theta[i] += (float)(0.05 * mn_random_normal(&random));
    return MN_OK;
}

struct training {
    const struct bench *bench;
    float *row;
    bool failed;
};

/* By a learner that is built anew, in a workspace of its own, after another task. */
static void *train_elsewhere(void *of)
{
    struct training *training = of;
    const struct bench *bench = training->bench;
    mn_learner *again = NULL;
    mn_workspace *workspace = NULL;
    mn_error err;
    training->failed =
        mn_learner_new(bench->experiment, mn_task_set_fields(bench->set, MN_TRAIN),
                       mn_task_set_fields(bench->set, MN_TEST), &again, &err) != MN_OK ||
        mn_learner_size(again) != mn_learner_size(bench->learner) ||
        mn_workspace_new(again, &workspace, &err) != MN_OK;
    if (!training->failed) {
        mn_learner_train(workspace, bench->theta, bench->tasks[1], training->row);
        mn_learner_train(workspace, bench->theta, bench->tasks[0], training->row);
    }
    mn_workspace_destroy(&workspace);
    mn_learner_destroy(&again);
    return NULL;
}

/* An inner loop may run away where options or tasks are odd: then it must do so twice. */
static bool same_again(mn_trial *trial, struct bench *bench, bool must_be_finite)
{
    const size_t columns = mn_learner_train_columns(bench->learner);
    struct training training = {.bench = bench, .row = bench->rows[2]};
    pthread_t thread;
    char bits[65];
    mn_learner_train(bench->workspace, bench->theta, bench->tasks[0], bench->rows[0]);
    mn_learner_train(bench->workspace, bench->theta, bench->tasks[0], bench->rows[1]);
    if (pthread_create(&thread, NULL, train_elsewhere, &training) != 0)
        training.failed = true;
    else
        (void)pthread_join(thread, NULL);
    bench->is_finite = bench->rows[0][columns - 1] == 0.0f;
    if (!bench->is_finite && must_be_finite) {
        mn_trial_say(trial, MN_TRIAL_FAULT, "%s: loss or meta-gradient is not finite, or too large",
                     bench->what);
        return false;
    }
    if (training.failed || memcmp(bench->rows[0], bench->rows[1], columns * sizeof(float)) != 0 ||
        memcmp(bench->rows[0], bench->rows[2], columns * sizeof(float)) != 0) {
        mn_trial_say(
            trial, MN_TRIAL_FAULT,
            "%s: the same task gives other bits a second time, or built anew on another thread: "
            "its calls must be pure",
            bench->what);
        return false;
    }
    const mn_digest digest = mn_digest_of(bench->rows[0], columns * sizeof(float));
    mn_digest_hex(&digest, bits);
    mn_trial_say(trial, MN_TRIAL_BITS, "%s %s", bits, bench->what);
    return true;
}

static double loss_at(struct bench *bench, double step)
{
    const size_t n = mn_learner_size(bench->learner);
    mn_explanation explanation = {0};
    for (size_t i = 0; i < n; i++)
        bench->moved[i] = (float)((double)bench->theta[i] + step * (double)bench->direction[i]);
    mn_learner_explain(bench->workspace, bench->moved, bench->tasks[0], true, &explanation);
    return explanation.query_loss;
}

/* A direction of length 1 in which the numbers [first, first + count) of theta move: the gradient's own, or
 * at random. Returns the derivative that the gradient says. */
static double aim(struct bench *bench, size_t first, size_t count, int which)
{
    mn_random random = mn_random_stream(SEED, MN_RANDOM_SELF_TEST, 10 + first);
    double length = 0, along = 0;
    memset(bench->direction, 0, mn_learner_size(bench->learner) * sizeof *bench->direction);
    for (size_t i = first; i < first + count; i++) {
        bench->direction[i] = which == 0 ? (float)mn_random_normal(&random) : bench->gradient[i];
        length += (double)bench->direction[i] * (double)bench->direction[i];
    }
    length = sqrt(length);
    for (size_t i = first; i < first + count && length > 0; i++) {
        bench->direction[i] = (float)((double)bench->direction[i] / length);
        along += (double)bench->gradient[i] * (double)bench->direction[i];
    }
    return along;
}

static bool check_tensor(mn_trial *trial, struct bench *bench, const mn_tensor *tensor,
                         size_t first, size_t count, double loss)
{
    static const double steps[] = {3e-2, 1e-2, 3e-3};
    for (int which = 0; which < DIRECTIONS; which++) {
        const double said = aim(bench, first, count, which);
        double found = 0, apart = INFINITY;
        bool agrees = false;
        for (size_t i = 0; i < sizeof steps / sizeof *steps && !agrees; i++) {
            const double h = steps[i];
            const double d = (loss_at(bench, h) - loss_at(bench, -h)) / (2 * h);
            const double off = fabs(d - said);
            agrees = off <= AGREES * fabs(said) + NOISE * (1 + fabs(loss)) / h;
            if (off < apart) {
                apart = off;
                found = d;
            }
        }
        if (agrees)
            continue;
        mn_trial_say(
            trial, MN_TRIAL_FAULT,
            "%s: the meta-gradient of %s says %.6g along a direction where central differences "
            "say %.6g: is there a MNEMO_STOP in the way, or a product too few?",
            bench->what, tensor->name, said, found);
        return false;
    }
    return true;
}

static bool check_gradient(mn_trial *trial, struct bench *bench)
{
    mn_explanation explanation = {.meta_gradient = bench->gradient};
    mn_learner_explain(bench->workspace, bench->theta, bench->tasks[0], true, &explanation);
    size_t first = 0;
    bool good = true;
    for (size_t i = 0; i < mn_learner_tensors(bench->learner) && good; i++) {
        const mn_tensor *tensor = mn_learner_tensor(bench->learner, i);
        size_t count = 1;
        for (uint32_t k = 0; k < (uint32_t)tensor->rank; k++)
            count *= (size_t)tensor->shape[k];
        if (!mn_learner_is_statistic(bench->learner, i))
            good = check_tensor(trial, bench, tensor, first, count, explanation.query_loss);
        first += count;
    }
    return good;
}

enum outcome { REFUSED, FAULTY, GOOD };

/* A plain one, which must come to something; what surrounds it lets its gradient be compared. A setting that its kind, or ours, does not take is refused with a sentence, which is as it should be. */
static enum outcome try_setting(mn_trial *trial, const char *kind, const char *const *assignments,
                                const char *variant, bool is_plain, bool exact, mn_error *why)
{
    struct bench bench = {0};
    mn_experiment experiment;
    size_t at = (size_t)snprintf(bench.what, sizeof bench.what, "%s with", kind);
    for (const char *const *each = assignments; *each != NULL && at < sizeof bench.what; each++)
        if ((*each)[0] != '\0')
            at += (size_t)snprintf(bench.what + at, sizeof bench.what - at, " %s", *each);
    if (at < sizeof bench.what && variant[0] != '\0')
        (void)snprintf(bench.what + at, sizeof bench.what - at, " %s", variant);
    mn_trial_say(trial, MN_TRIAL_DOING, "%s", bench.what);
    mn_status status = mn_trial_experiment(assignments, variant, &experiment, why);
    if (status == MN_OK)
        status = bench_new(&experiment, &bench, why);
    enum outcome outcome = REFUSED;
    if (status == MN_OK)
        outcome = same_again(trial, &bench, is_plain) &&
                          (!exact || !bench.is_finite || check_gradient(trial, &bench))
                      ? GOOD
                      : FAULTY;
    bench_free(&bench);
    return outcome;
}

static const char *const tasks[][5] = {
    {"tasks.kind=sinusoid", "tasks.shot=5", "tasks.query=5", "", NULL},
    {"tasks.kind=glyphs", "tasks.way=3", "tasks.shot=2", "tasks.image_size=8", NULL},
    {"tasks.kind=sinusoid", "tasks.shot=1", "tasks.query=1", "", NULL}, /* one item of one number */
    {"tasks.kind=glyphs", "tasks.way=1", "tasks.shot=1", "tasks.image_size=4", NULL},
    {"tasks.kind=glyphs", "tasks.way=64", "tasks.shot=3", "tasks.image_size=5", NULL},
    {"tasks.kind=generated-stories", "tasks.sentences=4", "tasks.bundle=2", "tasks.shot=1", NULL},
};
enum { N_TASK_SETS = sizeof tasks / sizeof *tasks, MOST = 16 };

/* What surrounds it, on all tasks and with all options at their ends; the first two tasks are those
 * that gradients are compared on. */
static void try_kind(mn_trial *trial, const char *kind, const mn_trial_options *options,
                     const char *const (*around)[6], size_t n_around, bool exact)
{
    char variant[128];
    mn_error why = {.message = ""}, ignored;
    uint32_t n_good = 0, n_refused = 0;
    for (size_t i = 0; i < n_around; i++)
        for (size_t k = 0; k < N_TASK_SETS; k++)
            for (uint32_t v = 0;
                 (v == 0 || (i == 0 && k < 2)) && mn_trial_variant(options, v, variant); v++) {
                const char *assignments[MOST];
                size_t n = 0;
                for (size_t j = 0; tasks[k][j] != NULL; j++)
                    assignments[n++] = tasks[k][j];
                for (size_t j = 0; j < 6 && around[i][j] != NULL; j++)
                    assignments[n++] = around[i][j];
                assignments[n] = NULL;
                const enum outcome outcome = try_setting(
                    trial, kind, assignments, variant, k < 2 && v == 0, exact && k < 2 && v == 0,
                    i == 0 && k == 0 && v == 0 ? &why : &ignored);
                if (outcome == FAULTY)
                    return;
                n_good += outcome == GOOD;
                n_refused += outcome == REFUSED;
            }
    if (n_good == 0)
        mn_trial_say(trial, MN_TRIAL_FAULT,
                     "%s: of %u networks and tasks it takes none; with the first: %s", kind,
                     (unsigned)n_refused, why.message);
    else
        mn_trial_say(
            trial, MN_TRIAL_OK,
            "%s: the same bits again and on another thread%s, in %u networks and tasks; %u more "
            "refused with a sentence",
            kind, exact ? ", gradients as central differences" : "", (unsigned)n_good,
            (unsigned)n_refused);
}

void mn_trial_part(mn_trial *trial, const mnemo_part_kind *kind)
{
    static const char *const modules[] = {"input", "memory", "reasoning", "output"};
    const mn_trial_options options = {kind->name, kind->options, kind->n_options};
    char name[64], chosen[64];
    (void)snprintf(name, sizeof name, "%s %s", modules[kind->module], kind->name);
    (void)snprintf(chosen, sizeof chosen, "model.%s=%s", modules[kind->module], kind->name);
    const char *const input = kind->module == MNEMO_INPUT ? "" : "model.hidden=6";
    const char *const tanh = kind->module == MNEMO_INPUT ? "" : "model.activation=tanh";
    const char *const around[][6] = {
        {chosen, input, tanh, "meta.kind=episodic",
         kind->module == MNEMO_MEMORY ? "model.reasoning=concat-linear" : "",
         kind->module == MNEMO_MEMORY ? "model.units=5" : ""},
        {chosen, input, tanh, "meta.kind=episodic",
         kind->module == MNEMO_MEMORY ? "model.reasoning=read" : "model.memory=table",
         kind->module == MNEMO_MEMORY ? "" : "model.slots=3"},
        {chosen, input, tanh, "meta.inner_steps=2", "meta.inner_lr=0.01",
         kind->module == MNEMO_MEMORY ? "model.reasoning=read" : ""},
    };
    try_kind(trial, name, &options, around, sizeof around / sizeof *around, true);
}

void mn_trial_rule(mn_trial *trial, const mnemo_rule_kind *kind)
{
    const mn_trial_options options = {kind->name, kind->options, kind->n_options};
    char name[64], chosen[64];
    (void)snprintf(name, sizeof name, "rule %s", kind->name);
    (void)snprintf(chosen, sizeof chosen, "meta.kind=%s", kind->name);
    const char *const around[][6] = {
        {chosen, "model.hidden=6", "model.activation=tanh", "meta.inner_steps=3", NULL},
        {chosen, "model.hidden=6", "model.activation=tanh", "meta.inner_steps=1",
         "evaluate.inner_steps=0,1,7", NULL},
    };
    try_kind(trial, name, &options, around, sizeof around / sizeof *around, kind->is_exact != 0);
}
