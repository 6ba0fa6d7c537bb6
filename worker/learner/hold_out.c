#include "worker/learner/hold_out.h"

#include "common/real_functions.h"
#include "worker/learner/model_state.h"
#include "worker/learner/trial.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is judged at a time: all that is held out by share, or one example. */
struct plan {
    const mn_model *model;
    const mn_examples *examples;
    bool *held; /* [n] in this round; owned */
    uint32_t n_held;
    bool company; /* the query set is all examples, not only those held out */
    size_t size;  /* numbers of x */
};

static mn_status check(const mn_model *model, const mn_examples *examples, const mn_hold_out *how,
                       mn_error *err);
static mn_status rounds(struct plan *plan, mn_hold_out *hold_out, mn_error *err);
static mn_status round_of(const struct plan *plan, mn_trial *trial, mn_hold_out *hold_out,
                          mn_error *err);

mn_status mn_hold_out_steps(const mn_model *model, const mn_examples *examples,
                            mn_hold_out *hold_out, mn_error *err)
{
    uint32_t item[3];
    mn_model_item(model, item);
    struct plan plan = {.model = model,
                        .examples = examples,
                        .company = mn_model_judges_together(model),
                        .size = (size_t)item[0] * item[1] * item[2]};
    mn_status status = check(model, examples, hold_out, err);
    if (status != MN_OK)
        return status;
    plan.held = calloc(examples->n, sizeof *plan.held);
    if (plan.held == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%" PRIu32 " examples", examples->n);
    const uint32_t n = hold_out->most_steps + 1;
    hold_out->n_held = 0;
    memset(hold_out->losses, 0, n * sizeof *hold_out->losses);
    if (hold_out->rights != NULL)
        memset(hold_out->rights, 0, n * sizeof *hold_out->rights);
    status = rounds(&plan, hold_out, err);
    free(plan.held);
    if (status != MN_OK)
        return status;
    hold_out->best = 0;
    for (uint32_t k = 0; k < n; k++) {
        hold_out->losses[k] /= hold_out->n_held;
        if (hold_out->rights != NULL)
            hold_out->rights[k] /= hold_out->n_held;
        if (hold_out->losses[k] < hold_out->losses[hold_out->best])
            hold_out->best = k;
    }
    return MN_OK;
}

static mn_status check(const mn_model *model, const mn_examples *examples, const mn_hold_out *how,
                       mn_error *err)
{
    mn_adapted *adapted = NULL;
    if (!mn_model_has_steps(model))
        return mn_fail(err, MN_ERR_CONFIG,
                       "this learner (meta.kind episodic) takes no inner steps, so there is no "
                       "number of them to be chosen: leave out the hold-out");
    if (how->most_steps > MN_MOST_STEPS || !(how->share >= 0 && how->share < 1))
        return mn_fail(err, MN_ERR_CONFIG,
                       "hold-out of a share of %g up to step %" PRIu32
                       ": expected a share from 0 to less than 1, and at most %u steps",
                       how->share, how->most_steps, MN_MOST_STEPS);
    mn_status status =
        mn_adapted_new(model, examples, 0, NULL, &adapted, err); /* are they sound? */
    mn_adapted_destroy(&adapted);
    return status;
}

static uint32_t label_of(const mn_examples *examples, uint32_t i)
{
    return examples->labels == NULL ? 0 : examples->labels[i];
}

static uint32_t count(const mn_examples *examples, uint32_t label)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < examples->n; i++)
        n += label_of(examples, i) == label;
    return n;
}

static mn_status nothing_to_hold(const mn_examples *examples, mn_error *err)
{
    return mn_fail(err, MN_ERR_CONFIG,
                   "nothing can be held out: every %s has one example, which it cannot do without. "
                   "Give more examples, or the number of steps",
                   examples->n_classes > 0 ? "class" : "task");
}

static mn_status open_trial(const struct plan *plan, mn_trial *trial, mn_error *err)
{
    const mn_examples *examples = plan->examples;
    return mn_trial_init(trial, plan->model, examples->n_classes, examples->n - plan->n_held,
                         plan->company ? examples->n : plan->n_held, err);
}

static mn_status hold_one(struct plan *plan, mn_hold_out *hold_out, mn_error *err)
{
    const mn_examples *examples = plan->examples;
    mn_trial trial = {0};
    mn_status status = MN_OK;
    plan->n_held = 1;
    for (uint32_t i = 0; i < examples->n && status == MN_OK; i++) {
        if (count(examples, label_of(examples, i)) < 2)
            continue;
        if (trial.task == NULL)
            status = open_trial(plan, &trial, err);
        plan->held[i] = true;
        if (status == MN_OK)
            status = round_of(plan, &trial, hold_out, err);
        plan->held[i] = false;
    }
    mn_trial_fini(&trial);
    return status == MN_OK && hold_out->n_held == 0 ? nothing_to_hold(examples, err) : status;
}

static mn_status rounds(struct plan *plan, mn_hold_out *hold_out, mn_error *err)
{
    const mn_examples *examples = plan->examples;
    const uint32_t n_classes = examples->n_classes > 0 ? examples->n_classes : 1;
    if (hold_out->share == 0)
        return hold_one(plan, hold_out, err);
    for (uint32_t c = 0; c < n_classes; c++) {
        const uint32_t n = count(examples, c);
        uint32_t left = (uint32_t)(n * hold_out->share + 0.5);
        left = left == 0 ? 1 : left;
        left = left < n ? left : n - 1;
        for (uint32_t i = examples->n; i-- > 0 && left > 0;)
            if (label_of(examples, i) == c) {
                plan->held[i] = true;
                plan->n_held++;
                left--;
            }
    }
    if (plan->n_held == 0)
        return nothing_to_hold(examples, err);
    mn_trial trial = {0};
    mn_status status = open_trial(plan, &trial, err);
    if (status == MN_OK)
        status = round_of(plan, &trial, hold_out, err);
    mn_trial_fini(&trial);
    return status;
}

/* Of one item: cross-entropy of the softmax of its outputs; or mean squared error of its values. */
static double loss_of(const struct plan *plan, uint32_t i, uint32_t columns, const float *output,
                      bool *right)
{
    const mn_examples *examples = plan->examples;
    if (examples->labels != NULL) {
        const uint32_t named = mn_label_of(columns, output);
        double sum = 0;
        for (uint32_t k = 0; k < columns; k++)
            sum += mn_real_exp((double)output[k] - (double)output[named]);
        *right = named == examples->labels[i];
        return mn_real_log(sum) + (double)output[named] - (double)output[examples->labels[i]];
    }
    const uint32_t n = mn_model_way(plan->model);
    double sum = 0;
    for (uint32_t k = 0; k < n; k++) {
        const double off = (double)output[k] - (double)examples->y[(size_t)i * n + k];
        sum += off * off;
    }
    *right = false;
    return sum / n;
}

static void fill(const struct plan *plan, mn_trial *trial)
{
    const mn_examples *examples = plan->examples;
    const uint32_t y_size = mn_model_way(plan->model);
    for (uint32_t i = 0, support = 0, query = 0; i < examples->n; i++) {
        const float *x = examples->x + i * plan->size;
        const float *y = examples->y == NULL ? NULL : examples->y + (size_t)i * y_size;
        const uint32_t label = examples->labels == NULL ? UINT32_MAX : examples->labels[i];
        if (!plan->held[i] && examples->ids != NULL)
            mn_task_put_id(trial->task, MN_SUPPORT, support, examples->ids[i]);
        if (!plan->held[i])
            mn_task_put(trial->task, MN_SUPPORT, support++, x, label, y);
        if ((plan->held[i] || plan->company) && examples->ids != NULL)
            mn_task_put_id(trial->task, MN_QUERY, query, examples->ids[i]);
        if (plan->held[i] || plan->company)
            mn_task_put(trial->task, MN_QUERY, query++, x, label, y);
    }
}

static mn_status round_of(const struct plan *plan, mn_trial *trial, mn_hold_out *hold_out,
                          mn_error *err)
{
    const mn_examples *examples = plan->examples;
    const float *theta = plan->model->theta;
    const uint32_t columns = mn_model_columns(plan->model, examples->n_classes);
    fill(plan, trial);
    const mn_rule_data data = mn_trial_data(trial);
    mn_rule_begin(trial->rule, trial->scratch, theta, &data);
    for (uint32_t k = 0; k <= hold_out->most_steps; k++) {
        if (k > 0)
            (void)mn_rule_step(trial->rule, trial->scratch, theta, &data);
        (void)mn_rule_judge(trial->rule, trial->scratch, theta, &data, trial->output);
        for (uint32_t i = 0, query = 0; i < examples->n; i++) {
            bool right = false;
            if (plan->held[i])
                hold_out->losses[k] +=
                    loss_of(plan, i, columns, trial->output + (size_t)query * columns, &right);
            if (hold_out->rights != NULL)
                hold_out->rights[k] += right;
            query += plan->held[i] || plan->company;
        }
        if (!isfinite(hold_out->losses[k]))
            return mn_fail(err, MN_ERR_NUMERIC,
                           "the loss of what is held out is not finite after inner step %" PRIu32
                           ": take fewer steps, or a smaller meta.inner_lr",
                           k);
    }
    hold_out->n_held += plan->n_held;
    return MN_OK;
}
