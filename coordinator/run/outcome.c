#include "coordinator/run/outcome.h"

#include "common/file.h"
#include "common/json_number.h"
#include "coordinator/run/run.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 16 };

static const char *const endings[] = {
    [MN_ENDING_STOPPED] = "stopped", [MN_ENDING_PAUSED] = "paused", [MN_ENDING_DONE] = "done"};

static mn_score in_short(const mn_score *score);
static double number_of(const json_t *object, const char *key);
static json_t *score_object(const mn_score *score);
static void read_score(const json_t *object, mn_score *out);

void mn_outcome_of(const mn_experiment *experiment, const mn_learner *learner,
                   const mn_training *training, uint64_t until, const mn_evaluation *test,
                   mn_outcome *out)
{
    const mn_score_list *scores = mn_learner_test_scores(learner);
    const mn_score *chosen = &scores->at[mn_evaluation_chosen(scores, experiment->evaluate.choose)];
    const uint64_t step = mn_training_step(training), every = experiment->evaluate.every;
    const bool validation_due =
        every > 0 && step > 0 && step % every == 0 && mn_training_validated(training) != step;
    const mn_digest digest = mn_learner_fingerprint(learner, mn_training_judged_theta(training));
    *out =
        (mn_outcome){.step = step,
                     .ending = test != NULL                                    ? MN_ENDING_DONE
                               : until > 0 && step >= until && !validation_due ? MN_ENDING_PAUSED
                                                                               : MN_ENDING_STOPPED};
    out->validated = mn_training_best(training, &out->validation, &out->best_step);
    if (out->validated) {
        out->validated_by = in_short(chosen);
        out->validation = chosen->higher_is_better ? out->validation : -out->validation;
    }
    out->tested = test != NULL && test->n_counted > 0;
    if (out->tested) {
        out->judged = in_short(&test->scores->at[test->scores->judged]);
        out->test = test->estimates[test->scores->judged].mean;
        out->test_half_width = test->estimates[test->scores->judged].half_width;
    }
    mn_digest_hex(&digest, out->sha256);
}

mn_status mn_outcome_write(const mn_outcome *outcome, const char *folder, mn_error *err)
{
    char path[PATH_MAX];
    json_t *object = mn_outcome_object(outcome);
    char *text = object == NULL ? NULL : json_dumps(object, JSON_INDENT(2));
    mn_status status = text == NULL ? mn_fail(err, MN_ERR_NOMEM, "outcome of the run") : MN_OK;
    if (status == MN_OK)
        status = mn_run_path(folder, "outcome.json", path, err);
    if (status == MN_OK)
        status = mn_file_write(path, text, strlen(text), err);
    free(text);
    json_decref(object);
    return status;
}

mn_status mn_outcome_read(const char *folder, mn_outcome *out, mn_error *err)
{
    char path[PATH_MAX];
    char *text = NULL;
    size_t n = 0;
    mn_error why;
    mn_status status = mn_run_path(folder, "outcome.json", path, err);
    if (status == MN_OK)
        status = mn_file_read(path, MOST_BYTES, &text, &n, err);
    if (status != MN_OK)
        return status;
    json_t *object = json_loadb(text, n, 0, NULL);
    status = mn_outcome_from(object, out, &why);
    if (status != MN_OK)
        status = mn_fail(err, status, "%s: %s", path, why.message);
    json_decref(object);
    free(text);
    return status;
}

json_t *mn_outcome_object(const mn_outcome *outcome)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "ending", json_string(endings[outcome->ending]));
    (void)json_object_set_new(object, "step", json_integer((json_int_t)outcome->step));
    (void)json_object_set_new(object, "theta_sha256", json_string(outcome->sha256));
    if (outcome->validated) {
        json_t *validation = score_object(&outcome->validated_by);
        (void)json_object_set_new(validation, "best", mn_json_number(outcome->validation));
        (void)json_object_set_new(validation, "best_step",
                                  json_integer((json_int_t)outcome->best_step));
        (void)json_object_set_new(object, "validation", validation);
    }
    if (outcome->tested) {
        json_t *test = score_object(&outcome->judged);
        (void)json_object_set_new(test, "mean", mn_json_number(outcome->test));
        (void)json_object_set_new(test, "ci95", mn_json_number(outcome->test_half_width));
        (void)json_object_set_new(object, "test", test);
    }
    return object;
}

mn_status mn_outcome_from(const json_t *object, mn_outcome *out, mn_error *err)
{
    const char *ending = json_string_value(json_object_get(object, "ending"));
    const char *sha256 = json_string_value(json_object_get(object, "theta_sha256"));
    const json_t *step = json_object_get(object, "step");
    const json_t *validation = json_object_get(object, "validation");
    const json_t *test = json_object_get(object, "test");
    mn_outcome read = {0};
    int known = -1;
    for (int i = 0; ending != NULL && i <= MN_ENDING_DONE; i++)
        if (strcmp(ending, endings[i]) == 0)
            known = i;
    if (known < 0 || sha256 == NULL || strlen(sha256) >= sizeof read.sha256 ||
        !json_is_integer(step) || json_integer_value(step) < 0)
        return mn_fail(err, MN_ERR_DATA,
                       "not the outcome of a run: expected ending, step and theta_sha256");
    read.ending = (mn_ending)known;
    read.step = (uint64_t)json_integer_value(step);
    (void)snprintf(read.sha256, sizeof read.sha256, "%s", sha256);
    read.validated = json_is_object(validation);
    if (read.validated) {
        read_score(validation, &read.validated_by);
        read.validation = number_of(validation, "best");
        read.best_step = (uint64_t)json_integer_value(json_object_get(validation, "best_step"));
    }
    read.tested = json_is_object(test);
    if (read.tested) {
        read_score(test, &read.judged);
        read.test = number_of(test, "mean");
        read.test_half_width = number_of(test, "ci95");
    }
    *out = read;
    return MN_OK;
}

/* Which point of an axis it stands for is the learner's business. */
static mn_score in_short(const mn_score *score)
{
    mn_score out = {.is_share = score->is_share, .higher_is_better = score->higher_is_better};
    memcpy(out.name, score->name, sizeof out.name);
    return out;
}

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static json_t *score_object(const mn_score *score)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "score", json_string(score->name));
    (void)json_object_set_new(object, "is_share", json_boolean(score->is_share));
    (void)json_object_set_new(object, "higher_is_better", json_boolean(score->higher_is_better));
    return object;
}

static void read_score(const json_t *object, mn_score *out)
{
    const char *name = json_string_value(json_object_get(object, "score"));
    (void)snprintf(out->name, sizeof out->name, "%s", name != NULL ? name : "");
    out->is_share = json_is_true(json_object_get(object, "is_share"));
    out->higher_is_better = json_is_true(json_object_get(object, "higher_is_better"));
}
