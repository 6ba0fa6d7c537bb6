/* Task sets: the same task at other addresses, over other numbers, on other threads, in another order
 * and of another state must be the same bits, all written, and nothing beside them. */
#include "worker/plugin/plugin_trial.h"

#include "worker/learner/learner.h"
#include "worker/tasks/task_set.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { N_TASKS = 12, N_THREADS = 4, GUARD = 4096 /* numbers, before and behind */ };

/* A task whose block lies between guards. */
struct guarded {
    mn_task *task;
    float *own; /* its block as it was made, for its destructor */
    float *area;
    uint32_t fill; /* the bits that all of the area held */
};

static bool guarded_new(const mn_fields *fields, uint32_t fill, size_t shift, struct guarded *out)
{
    mn_error err;
    *out = (struct guarded){.fill = fill};
    if (mn_task_new(fields, &out->task, &err) != MN_OK)
        return false;
    out->own = out->task->block;
    out->area =
        aligned_alloc(MN_TASK_ALIGNMENT, (fields->size + 2 * (size_t)GUARD + 1024) * sizeof(float));
    if (out->area == NULL)
        return false;
    out->task->block = out->area + GUARD + shift * 16;
    for (uint32_t i = 0; i < fields->n; i++)
        out->task->at[i] = out->task->block + fields->at[i].offset;
    return true;
}

static void guarded_refill(struct guarded *of)
{
    for (size_t i = 0; i < of->task->fields.size + 2 * (size_t)GUARD + 1024; i++)
        memcpy(&of->area[i], &of->fill, sizeof of->fill);
}

static void guarded_free(struct guarded *of)
{
    if (of->task != NULL)
        of->task->block = of->own;
    mn_task_destroy(&of->task);
    free(of->area);
}

/* Is all that is of no field what it was? */
static bool is_untouched(const struct guarded *of)
{
    const mn_fields *fields = &of->task->fields;
    const float *at = of->area, *end = of->area + fields->size + 2 * (size_t)GUARD + 1024;
    for (uint32_t i = 0; i <= fields->n; i++) {
        const float *stop = i < fields->n ? of->task->at[i] : end;
        for (; at < stop; at++)
            if (memcmp(at, &of->fill, sizeof of->fill) != 0)
                return false;
        if (i < fields->n)
            at += mn_field_count(&fields->at[i]);
    }
    return true;
}

static bool are_equal(const mn_task *a, const mn_task *b)
{
    for (uint32_t i = 0; i < a->fields.n; i++)
        if (memcmp(a->at[i], b->at[i], mn_field_count(&a->fields.at[i]) * sizeof(float)) != 0)
            return false;
    return true;
}

/* What is wrong with a task by itself; NULL: nothing. */
static const char *fault_of(const mn_task *task)
{
    for (uint32_t i = 0; i < task->fields.n; i++) {
        const mn_field *field = &task->fields.at[i];
        const size_t count = mn_field_count(field), c = task->fields.y_size;
        for (size_t k = 0; k < count; k++)
            if (!isfinite(task->at[i][k]))
                return "a number that is not finite";
        if (task->fields.target != MN_TARGET_CLASSES || strcmp(field->name, "y") != 0)
            continue;
        for (size_t row = 0; row < field->n; row++) {
            size_t ones = 0;
            for (size_t k = 0; k < c; k++) {
                const float y = task->at[i][row * c + k];
                ones += y == 1.0f;
                if (y != 0.0f && y != 1.0f)
                    return "a y of classes that is not one-hot";
            }
            if (ones != 1)
                return "a y of classes that is not one-hot";
        }
    }
    return NULL;
}

struct drawer {
    const mn_task_set *set;
    mn_split split;
    struct guarded tasks[N_TASKS];
    uint32_t n, from; /* begins there, and goes round */
};

static void *draw_all(void *of)
{
    struct drawer *drawer = of;
    for (uint32_t i = 0; i < drawer->n; i++) {
        const uint32_t index = (drawer->from + i * 5) % drawer->n; /* n is prime to 5 */
        mn_task_set_draw(drawer->set, drawer->split, index, drawer->tasks[index].task);
    }
    return NULL;
}

static bool drawer_new(const mn_task_set *set, mn_split split, uint32_t n, uint32_t which,
                       struct drawer *out)
{
    static const uint32_t fills[] = {0x7fc0dead, 0xdeadbeef, 0x3f9d70a4,
                                     0x00000000, 0x41414141, 0x7f800000};
    *out = (struct drawer){.set = set, .split = split, .n = n, .from = which % n};
    for (uint32_t i = 0; i < n; i++) {
        if (!guarded_new(mn_task_set_fields(set, split), fills[which % 6], which + i,
                         &out->tasks[i]))
            return false;
        guarded_refill(&out->tasks[i]);
    }
    return true;
}

static void drawer_free(struct drawer *drawer)
{
    for (uint32_t i = 0; i < drawer->n; i++)
        guarded_free(&drawer->tasks[i]);
}

/* The first difference as a fault; true: none. */
static bool compare(mn_trial *trial, const char *name, const struct drawer *first,
                    const struct drawer *other, const char *how)
{
    for (uint32_t i = 0; i < first->n; i++) {
        if (!is_untouched(&other->tasks[i])) {
            mn_trial_say(trial, MN_TRIAL_FAULT,
                         "task set %s: draw() writes beyond the numbers of a field (task %u)", name,
                         i);
            return false;
        }
        if (are_equal(first->tasks[i].task, other->tasks[i].task))
            continue;
        mn_trial_say(
            trial, MN_TRIAL_FAULT,
            "task set %s: task %u is other bits %s: draw() must be pure (a static variable, an "
            "address, the clock, a number that it does not write?)",
            name, i, how);
        return false;
    }
    return true;
}

/* Draw all of it at the same time as others do. */
static bool on_threads(mn_trial *trial, const char *name, const struct drawer *first)
{
    struct drawer drawers[N_THREADS];
    pthread_t threads[N_THREADS];
    uint32_t n_started = 0, n_made = 0;
    bool good = true;
    for (; n_made < N_THREADS && good; n_made++)
        good = drawer_new(first->set, first->split, first->n, 1 + n_made, &drawers[n_made]);
    for (; n_started < n_made && good; n_started++)
        good = pthread_create(&threads[n_started], NULL, draw_all, &drawers[n_started]) == 0;
    for (uint32_t i = 0; i < n_started; i++)
        (void)pthread_join(threads[i], NULL);
    if (!good)
        mn_trial_say(trial, MN_TRIAL_FAULT, "task set %s: no memory or thread to try it", name);
    for (uint32_t i = 0; i < n_started && good; i++)
        good = compare(trial, name, first, &drawers[i],
                       "on another thread, at another address, in another order");
    for (uint32_t i = 0; i < n_made; i++)
        drawer_free(&drawers[i]);
    return good;
}

static bool try_split(mn_trial *trial, const char *name, const mn_experiment *experiment,
                      const mn_task_set *set, mn_split split, mn_hasher *hasher)
{
    struct drawer first, again;
    mn_task_set *other = NULL;
    mn_error err;
    const bool large = mn_task_set_fields(set, split)->size > 1u << 20;
    const uint32_t n = large ? 1 : N_TASKS;
    bool good = drawer_new(set, split, n, 0, &first);
    if (good) {
        if (trial->round % 2 == 1) /* the order must not count either */
            first.from = n - 1;
        (void)draw_all(&first);
        for (uint32_t i = 0; i < n && good; i++) {
            const char *fault = fault_of(first.tasks[i].task);
            good = fault == NULL;
            if (!good)
                mn_trial_say(trial, MN_TRIAL_FAULT, "task set %s: task %u has %s", name, i, fault);
            for (uint32_t k = 0; k < first.tasks[i].task->fields.n && good; k++)
                mn_hasher_add(hasher, first.tasks[i].task->at[k],
                              mn_field_count(&first.tasks[i].task->fields.at[k]) * sizeof(float));
        }
        good = good && compare(trial, name, &first, &first, "");
        good = good && on_threads(trial, name, &first);
    } else {
        mn_trial_say(trial, MN_TRIAL_FAULT, "task set %s: no memory to try it", name);
    }
    if (good && mn_task_set_open(experiment, NULL, &other, &err) != MN_OK) {
        mn_trial_say(trial, MN_TRIAL_FAULT, "task set %s: opened again, it fails: %s", name,
                     err.message);
        good = false;
    }
    if (good) {
        good = drawer_new(other, split, n, 5, &again);
        if (good)
            (void)draw_all(&again);
        good = good && compare(trial, name, &first, &again, "of another state of open()");
        drawer_free(&again);
    }
    mn_task_set_destroy(&other);
    drawer_free(&first);
    return good;
}

/* Can a learner be made for such tasks, and do its numbers come to something? */
static bool try_learner(mn_trial *trial, const char *name, const mn_experiment *experiment,
                        const mn_task_set *set)
{
    mn_learner *learner = NULL;
    mn_digest digest;
    mn_error err;
    mn_status status = mn_learner_new(experiment, mn_task_set_fields(set, MN_TRAIN),
                                      mn_task_set_fields(set, MN_TEST), &learner, &err);
    if (status == MN_OK)
        status = mn_learner_numeric_class(learner, &digest, &err);
    mn_learner_destroy(&learner);
    if (status != MN_OK)
        mn_trial_say(trial, MN_TRIAL_FAULT, "task set %s: no network learns it: %s", name,
                     err.message);
    return status == MN_OK;
}

static bool try_variant(mn_trial *trial, const mnemo_task_set_kind *kind, const char *shot,
                        const char *variant, bool is_first)
{
    char chosen[64], bits[65];
    mn_task_set *set = NULL;
    mn_experiment experiment;
    mn_hasher hasher;
    mn_error err = {.message = ""};
    (void)snprintf(chosen, sizeof chosen, "tasks.kind=%s", kind->name);
    const char *const assignments[] = {chosen, shot, NULL};
    const char *setting = shot[0] != '\0'      ? shot
                          : variant[0] != '\0' ? variant
                                               : "all at its defaults";
    mn_trial_say(trial, MN_TRIAL_DOING, "task set %s, %s", kind->name, setting);
    mn_status status = mn_trial_experiment(assignments, variant, &experiment, &err);
    if (status == MN_OK)
        status = mn_task_set_open(&experiment, NULL, &set, &err);
    if (status != MN_OK && !is_first)
        return true; /* it says what it does not take */
    if (status != MN_OK) {
        mn_trial_say(trial, MN_TRIAL_FAULT,
                     "task set %s: not with all options at their defaults: %s", kind->name,
                     err.message);
        return false;
    }
    bool good = true;
    mn_hasher_init(&hasher);
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && good; split++)
        good = try_split(trial, kind->name, &experiment, set, split, &hasher);
    if (good && is_first)
        good = try_learner(trial, kind->name, &experiment, set);
    mn_task_set_destroy(&set);
    const mn_digest digest = mn_hasher_finish(&hasher);
    mn_digest_hex(&digest, bits);
    if (good)
        mn_trial_say(trial, MN_TRIAL_BITS, "%s task set %s, %s", bits, kind->name, setting);
    return good;
}

void mn_trial_task_set(mn_trial *trial, const mnemo_task_set_kind *kind)
{
    static const char *const shots[] = {"", "tasks.shot=1", "tasks.shot=1000", "tasks.query=1000"};
    const mn_trial_options options = {kind->name, kind->options, kind->n_options};
    char variant[128];
    bool good = try_variant(trial, kind, "", "", true);
    uint32_t n = 1;
    for (; good && mn_trial_variant(&options, n, variant); n++)
        good = try_variant(trial, kind, "", variant, false);
    for (size_t i = 1; i < sizeof shots / sizeof *shots && good; i++, n++)
        good = try_variant(trial, kind, shots[i], "", false);
    if (good)
        mn_trial_say(
            trial, MN_TRIAL_OK,
            "task set %s: the same bits again, on %d threads, at other addresses and of another "
            "state; %u settings, each option at its ends",
            kind->name, N_THREADS, (unsigned)n);
}
