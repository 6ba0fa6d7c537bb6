#include "worker/learner/adapted.h"

#include "common/real_functions.h"
#include "common/text.h"
#include "worker/learner/adapted_state.h"
#include "worker/learner/trial.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_NAME 255u
#define AT_ONCE 64u /* items that are judged each alone, in one go */

static mn_status check_examples(const mn_model *model, const mn_examples *examples, mn_error *err);
static mn_status adapt(mn_adapted *adapted, const mn_model *model, mn_trial *trial, uint32_t steps,
                       double *losses, mn_error *err);
static mn_status judge(const mn_model *model, mn_trial *trial, mn_error *err);
static void keep(const mn_adapted *adapted, uint32_t n, const float *output, float *out);
static void answer(const mn_adapted *adapted, uint32_t n, const float *output, float *answers);
static mn_status begin_trial(const mn_adapted *adapted, uint32_t n_query, mn_trial *trial,
                             mn_error *err);
static void put_query(mn_trial *trial, uint32_t i, const float *x, const uint32_t *id);
static mn_status check_ids(const mn_model *model, uint32_t n, const uint32_t *ids, mn_error *err);

/* Adapting ------------------------------------------------------------------------- */

/* The support set of a task into another whose fields are alike. */
static void copy_support(const mn_task *from, mn_task *to)
{
    for (uint32_t i = 0; i < from->fields.n; i++) {
        const mn_field *field = &from->fields.at[i];
        const mn_field *there = mn_fields_find(&to->fields, MN_SUPPORT, field->name);
        if (field->role == MN_SUPPORT && there != NULL &&
            mn_field_count(field) == mn_field_count(there))
            memcpy(to->block + there->offset, from->at[i], mn_field_count(field) * sizeof(float));
    }
}

mn_status mn_adapted_holder(const mn_model *model, uint32_t way, uint32_t n, mn_fields *out,
                            mn_error *err)
{
    return mn_model_takes_examples(model)
               ? mn_model_few_shot(model, way > 0 ? way : model->fields.y_size, n, 1, out, err)
               : mn_model_shape(model, way, n, 1, out, err);
}

static mn_status hold(mn_adapted *adapted, const mn_model *model, const mn_examples *examples,
                      mn_error *err)
{
    mn_fields fields;
    uint32_t item[3];
    mn_status status = mn_adapted_holder(model, mn_model_holds(model, examples->n_classes),
                                         examples->n, &fields, err);
    if (status == MN_OK)
        status = mn_task_new(&fields, &adapted->support, err);
    mn_model_item(model, item);
    for (uint32_t i = 0; i < examples->n && status == MN_OK; i++) {
        const float *y = examples->y == NULL ? NULL : examples->y + (size_t)i * fields.y_size;
        mn_task_put(adapted->support, MN_SUPPORT, i,
                    examples->x + (size_t)i * item[0] * item[1] * item[2],
                    examples->labels == NULL ? UINT32_MAX : examples->labels[i], y);
        if (examples->ids != NULL)
            mn_task_put_id(adapted->support, MN_SUPPORT, i, examples->ids[i]);
    }
    return status;
}

/* What was made, or nothing of it. */
static mn_status give(mn_status status, mn_adapted *adapted, mn_adapted **out)
{
    if (status == MN_OK)
        *out = adapted;
    else
        mn_adapted_destroy(&adapted);
    return status;
}

mn_status mn_adapted_new(const mn_model *model, const mn_examples *examples, uint32_t steps,
                         double *losses, mn_adapted **out, mn_error *err)
{
    mn_status status = check_examples(model, examples, err);
    if (status != MN_OK)
        return status;
    mn_adapted *adapted = calloc(1, sizeof *adapted);
    mn_trial trial = {0};
    if (adapted == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "adapted model");
    status = mn_trial_init(&trial, model, mn_model_holds(model, examples->n_classes), examples->n,
                           1, err);
    if (status == MN_OK)
        status = hold(adapted, model, examples, err);
    if (status == MN_OK && examples->n_classes > 0)
        status = mn_adapted_take_names(adapted, examples->n_classes, examples->names, err);
    if (status == MN_OK) {
        copy_support(adapted->support, trial.task);
        status = adapt(adapted, model, &trial, steps, losses, err);
        adapted->classes = examples->n_classes;
    }
    mn_trial_fini(&trial);
    return give(status, adapted, out);
}

mn_status mn_model_task(const mn_model *model, uint32_t way, uint32_t n_support, uint32_t n_query,
                        mn_task **out, mn_error *err)
{
    mn_fields fields;
    mn_status status = mn_model_shape(model, way, n_support, n_query, &fields, err);
    return status == MN_OK ? mn_task_new(&fields, out, err) : status;
}

mn_status mn_adapted_new_of_task(const mn_model *model, const mn_task *task, uint32_t steps,
                                 double *losses, mn_adapted **out, mn_error *err)
{
    const mn_field *y = mn_fields_find(&task->fields, MN_SUPPORT, "y");
    if (y == NULL)
        return mn_fail(err, MN_ERR_CONFIG,
                       "this learner takes no support set: it was trained without one (tasks.shot "
                       "0), so there is nothing to adapt to");
    const uint32_t way = task->fields.target == MN_TARGET_CLASSES && mn_model_is_few_shot(model)
                             ? task->fields.y_size
                             : 0;
    mn_adapted *adapted = calloc(1, sizeof *adapted);
    mn_trial trial = {0};
    if (adapted == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "adapted model");
    mn_status status = mn_trial_init(&trial, model, way, y->n, 1, err);
    if (status == MN_OK && way > 0)
        status = mn_adapted_take_names(adapted, way, NULL, err);
    if (status == MN_OK)
        status = mn_task_new(&trial.task->fields, &adapted->support, err);
    if (status == MN_OK) {
        copy_support(task, adapted->support);
        copy_support(task, trial.task);
        status = adapt(adapted, model, &trial, steps, losses, err);
    }
    mn_trial_fini(&trial);
    return give(status, adapted, out);
}

static mn_status diverged(uint32_t step, mn_error *err)
{
    return mn_fail(err, MN_ERR_NUMERIC,
                   "the support loss was not finite after inner step %" PRIu32
                   ": take fewer steps, or a smaller meta.inner_lr",
                   step);
}

static mn_status walk(mn_trial *trial, uint32_t steps, double *losses, mn_error *err)
{
    const mn_rule_data data = mn_trial_data(trial);
    const float *theta = trial->model->theta;
    mn_rule_begin(trial->rule, trial->scratch, theta, &data);
    if (!mn_rule_has_steps(trial->rule))
        return MN_OK;
    for (uint32_t k = 0; k <= steps; k++) {
        const double loss = k < steps ? mn_rule_step(trial->rule, trial->scratch, theta, &data)
                                      : mn_rule_support(trial->rule, trial->scratch, theta, &data);
        if (!isfinite(loss))
            return diverged(k, err);
        if (losses != NULL)
            losses[k] = loss;
    }
    return MN_OK;
}

static mn_status adapt(mn_adapted *adapted, const mn_model *model, mn_trial *trial, uint32_t steps,
                       double *losses, mn_error *err)
{
    if (steps == MN_STEPS_AS_TRAINED)
        steps = mn_model_steps(model);
    if (steps > 0 && !mn_model_has_steps(model))
        return mn_fail(err, MN_ERR_CONFIG,
                       "%" PRIu32 " inner steps, but this learner (meta.kind episodic) takes none: "
                       "it goes by the support set itself",
                       steps);
    if (steps > MN_MOST_STEPS)
        return mn_fail(err, MN_ERR_CONFIG, "%" PRIu32 " inner steps: expected at most %u", steps,
                       MN_MOST_STEPS);
    mn_status status = walk(trial, steps, losses, err);
    if (status == MN_OK)
        status = mn_model_copy(model, &adapted->model, err);
    if (status == MN_OK)
        status = mn_rule_own(trial->rule, &adapted->own, err);
    if (status == MN_OK && adapted->own.size > 0) {
        adapted->own_values = calloc(adapted->own.size, sizeof *adapted->own_values);
        if (adapted->own_values == NULL)
            status = mn_fail(err, MN_ERR_NOMEM, "head of a task");
    }
    if (status != MN_OK)
        return status;
    mn_rule_adapted(trial->rule, trial->scratch, model->theta, adapted->model->theta);
    mn_rule_take_own(trial->rule, trial->scratch, adapted->own_values);
    for (size_t i = 0; i < model->network.parameters.size; i++)
        if (!isfinite(adapted->model->theta[i]))
            return diverged(steps, err);
    adapted->way = trial->task->fields.y_size;
    adapted->classes = trial->task->fields.target == MN_TARGET_CLASSES ? adapted->way : 0;
    adapted->n_support = mn_fields_find(&adapted->support->fields, MN_SUPPORT, "y")->n;
    adapted->steps = steps;
    return MN_OK;
}

void mn_adapted_destroy(mn_adapted **adapted)
{
    if (*adapted == NULL)
        return;
    mn_model_destroy(&(*adapted)->model);
    mn_task_destroy(&(*adapted)->support);
    mn_tensor_file_destroy(&(*adapted)->file);
    free((*adapted)->own_values);
    free((*adapted)->names);
    free(*adapted);
    *adapted = NULL;
}

/* Examples ------------------------------------------------------------------------- */

static mn_status check_numbers(const char *what, uint32_t n, size_t each, const float *numbers,
                               mn_error *err)
{
    for (uint32_t i = 0; i < n; i++)
        for (size_t k = 0; k < each; k++)
            if (!isfinite(numbers[i * each + k]))
                return mn_fail(err, MN_ERR_DATA,
                               "%s of item %" PRIu32 " has number %zu that is not finite (%f)",
                               what, i, k, (double)numbers[i * each + k]);
    return MN_OK;
}

static mn_status check_labels(const mn_examples *examples, mn_error *err)
{
    const uint32_t way = examples->n_classes;
    if (way < 2)
        return mn_fail(err, MN_ERR_DATA,
                       "%" PRIu32 " class%s: expected two or more to be told apart", way,
                       way == 1 ? "" : "es");
    uint32_t *counts = calloc(way, sizeof *counts);
    if (counts == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%" PRIu32 " classes", way);
    mn_status status = MN_OK;
    for (uint32_t i = 0; i < examples->n && status == MN_OK; i++) {
        if (examples->labels[i] < way)
            counts[examples->labels[i]]++;
        else
            status = mn_fail(err, MN_ERR_DATA,
                             "label %" PRIu32 " of example %" PRIu32 ": expected 0 to %" PRIu32,
                             examples->labels[i], i, way - 1);
    }
    for (uint32_t c = 0; c < way && status == MN_OK; c++)
        if (counts[c] == 0)
            status = mn_fail(err, MN_ERR_DATA,
                             "class %" PRIu32 "%s%s has no example: expected one at least, or "
                             "leave the class out",
                             c, examples->names != NULL ? ", " : "",
                             examples->names != NULL ? examples->names[c] : "");
    free(counts);
    return status;
}

static mn_status check_ids(const mn_model *model, uint32_t n, const uint32_t *ids, mn_error *err)
{
    const uint32_t most = model->ids == NULL ? 0 : mn_words_count(model->ids);
    if (ids != NULL && most == 0)
        return mn_fail(err, MN_ERR_CONFIG, "items with ids, which this run's have not");
    for (uint32_t i = 0; ids != NULL && i < n; i++)
        if (ids[i] >= most)
            return mn_fail(err, MN_ERR_DATA,
                           "id %" PRIu32 " of item %" PRIu32 ": expected 0 to %" PRIu32, ids[i], i,
                           most - 1);
    return MN_OK;
}

static mn_status check_examples(const mn_model *model, const mn_examples *examples, mn_error *err)
{
    const bool classes = model->fields.target == MN_TARGET_CLASSES;
    uint32_t item[3];
    mn_model_item(model, item);
    if (!mn_model_takes_examples(model))
        return mn_fail(err, MN_ERR_CONFIG,
                       "this run has not learned from labelled items: its tasks are %s",
                       mn_model_is_sequence(model) ? "sequences whose labels are strings of letters"
                                                   : "stories");
    if (examples->n == 0)
        return mn_fail(err, MN_ERR_DATA, "no examples to adapt to: expected one at least");
    if (classes ? examples->labels == NULL || examples->y != NULL
                : examples->y == NULL || examples->labels != NULL || examples->n_classes > 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "this run learned to tell %s: expected examples of those",
                       classes ? "classes apart" : "values");
    mn_status status =
        check_numbers("x", examples->n, (size_t)item[0] * item[1] * item[2], examples->x, err);
    if (status == MN_OK && examples->y != NULL)
        status = check_numbers("y", examples->n, mn_model_way(model), examples->y, err);
    if (status == MN_OK)
        status = check_ids(model, examples->n, examples->ids, err);
    return status == MN_OK && classes ? check_labels(examples, err) : status;
}

static mn_status check_name(const char *name, mn_error *err)
{
    const size_t n = strlen(name);
    return n > 0 && n <= MOST_NAME && mn_text_is_plain(name)
               ? MN_OK
               : mn_fail(err, MN_ERR_DATA,
                         "a class has a name that cannot be written down: expected 1 to %u bytes "
                         "of UTF-8 without control characters; rename it",
                         MOST_NAME);
}

mn_status mn_adapted_take_names(mn_adapted *adapted, uint32_t n_classes, const char *const *names,
                                mn_error *err)
{
    char number[16];
    size_t bytes = 0;
    for (uint32_t i = 0; i < n_classes; i++) {
        mn_status status = names == NULL ? MN_OK : check_name(names[i], err);
        if (status != MN_OK)
            return status;
        bytes += (names == NULL ? sizeof number : strlen(names[i])) + 1;
    }
    char *at = malloc(bytes);
    if (at == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "names of %" PRIu32 " classes", n_classes);
    adapted->names = at;
    for (uint32_t i = 0; i < n_classes; i++) {
        (void)snprintf(number, sizeof number, "%" PRIu32, i);
        at = stpcpy(at, names == NULL ? number : names[i]) + 1;
    }
    return MN_OK;
}

mn_status mn_adapted_name_classes(mn_adapted *adapted, const char *const *names, mn_error *err)
{
    char *before = adapted->names;
    mn_status status = mn_adapted_take_names(adapted, adapted->classes, names, err);
    if (status == MN_OK)
        free(before);
    return status;
}

/* Telling -------------------------------------------------------------------------- */

const mn_model *mn_adapted_model(const mn_adapted *adapted)
{
    return adapted->model;
}

uint32_t mn_adapted_classes(const mn_adapted *adapted)
{
    return adapted->classes;
}

const char *mn_adapted_class_name(const mn_adapted *adapted, uint32_t i)
{
    const char *name = adapted->names;
    while (name != NULL && i-- > 0)
        name += strlen(name) + 1;
    return name;
}

uint32_t mn_adapted_columns(const mn_adapted *adapted)
{
    return adapted->classes > 0 && adapted->classes < adapted->way
               ? adapted->classes
               : mn_model_columns(adapted->model, adapted->way);
}

uint32_t mn_adapted_steps(const mn_adapted *adapted)
{
    return adapted->steps;
}

uint32_t mn_adapted_support(const mn_adapted *adapted)
{
    return adapted->n_support;
}

size_t mn_adapted_size(const mn_adapted *adapted)
{
    return adapted->model->network.parameters.size;
}

void mn_adapted_theta(const mn_adapted *adapted, float *out)
{
    mn_parameters_export(&adapted->model->network.parameters, adapted->model->theta, out);
}

bool mn_adapted_reads_support(const mn_model *model)
{
    return !mn_model_has_steps(model) || !model->network.is_plain ||
           model->experiment.model.batch_norm_statistics == MN_STATISTICS_SUPPORT;
}

/* Predicting ----------------------------------------------------------------------- */

mn_status mn_adapted_predict(const mn_adapted *adapted, uint32_t n, const float *x, float *answers,
                             float *outputs, mn_error *err)
{
    return mn_adapted_predict_ids(adapted, n, x, NULL, answers, outputs, err);
}

mn_status mn_adapted_predict_ids(const mn_adapted *adapted, uint32_t n, const float *x,
                                 const uint32_t *ids, float *answers, float *outputs, mn_error *err)
{
    const mn_model *model = adapted->model;
    const uint32_t columns = mn_adapted_columns(adapted);
    const uint32_t room = mn_model_judges_together(model) || n < AT_ONCE ? n : AT_ONCE;
    uint32_t item[3];
    mn_model_item(model, item);
    const size_t size = (size_t)item[0] * item[1] * item[2];
    if (!mn_model_takes_examples(model))
        return mn_fail(err, MN_ERR_CONFIG, "this run answers no labelled items");
    mn_status status = check_numbers("x", n, size, x, err);
    if (status == MN_OK)
        status = check_ids(model, n, ids, err);
    if (status != MN_OK || n == 0)
        return status;
    mn_trial trial = {0};
    status = begin_trial(adapted, room, &trial, err);
    for (uint32_t begin = 0; begin < n && status == MN_OK; begin += room) {
        const uint32_t left = n - begin, here = left < room ? left : room;
        for (uint32_t i = 0; i < here; i++)
            put_query(&trial, i, x + (begin + i) * size, ids == NULL ? NULL : &ids[begin + i]);
        status = judge(adapted->model, &trial, err);
        if (status != MN_OK)
            break;
        answer(adapted, here, trial.answers, answers + (size_t)begin * columns);
        if (outputs != NULL)
            keep(adapted, here, trial.answers, outputs + (size_t)begin * columns);
    }
    mn_trial_fini(&trial);
    return status;
}

static uint32_t support_items(const mn_adapted *adapted)
{
    return mn_adapted_reads_support(adapted->model) ? adapted->n_support : 1;
}

mn_status mn_adapted_task(const mn_adapted *adapted, uint32_t n_query, mn_task **out, mn_error *err)
{
    return mn_model_task(adapted->model, adapted->way, support_items(adapted), n_query, out, err);
}

mn_status mn_adapted_predict_task(const mn_adapted *adapted, const mn_task *task, float *answers,
                                  float *outputs, mn_error *err)
{
    const mn_field *y = mn_fields_find(&task->fields, MN_QUERY, "y");
    mn_trial trial = {0};
    mn_status status = begin_trial(adapted, y->n, &trial, err);
    if (status == MN_OK && !mn_fields_equal(&trial.task->fields, &task->fields))
        status = mn_fail(err, MN_ERR_CONFIG, "a task that mn_adapted_task has not made");
    if (status == MN_OK) {
        memcpy(trial.task->block, task->block, task->fields.size * sizeof *task->block);
        copy_support(adapted->support, trial.task);
        status = judge(adapted->model, &trial, err);
    }
    if (status == MN_OK) {
        answer(adapted, y->n, trial.output, answers);
        if (outputs != NULL)
            keep(adapted, y->n, trial.output, outputs);
    }
    mn_trial_fini(&trial);
    return status;
}

/* The examples one after the other in every sequence, each class in turn as long as it has any, and
 * the label of each told with the next item; the last place is left for what is to be judged. */
static void tell_sequences(const mn_adapted *adapted, mn_task *task)
{
    const uint32_t n = adapted->n_support, way = adapted->way, bundle = task->fields.bundle;
    const size_t size = mn_field_item(mn_fields_find(&task->fields, MN_QUERY, "x"));
    const float *from = mn_task_find(adapted->support, MN_SUPPORT, "x");
    const float *labels = mn_task_find(adapted->support, MN_SUPPORT, "y");
    float *x = mn_task_find(task, MN_QUERY, "x");
    float *before = mn_task_find(task, MN_QUERY, "label_before");
    uint32_t t = 0;
    for (uint32_t showing = 0; t < n; showing++)
        for (uint32_t c = 0; c < way; c++)
            for (uint32_t i = 0, seen = 0; i < n; i++) {
                if (mn_label_of(way, labels + (size_t)i * way) != c || seen++ != showing)
                    continue;
                for (uint32_t b = 0; b < bundle; b++) {
                    memcpy(x + ((size_t)t * bundle + b) * size, from + i * size, size * sizeof *x);
                    before[(((size_t)t + 1) * bundle + b) * way + c] = 1.0f;
                }
                t++;
            }
}

static void put_query(mn_trial *trial, uint32_t i, const float *x, const uint32_t *id)
{
    const mn_fields *fields = &trial->task->fields;
    const mn_field *field = mn_fields_find(fields, MN_QUERY, "x");
    const uint32_t last = mn_model_is_sequence(trial->model) ? field->n - fields->bundle : 0;
    mn_task_put(trial->task, MN_QUERY, last + i, x, UINT32_MAX, NULL);
    if (id != NULL)
        mn_task_put_id(trial->task, MN_QUERY, i, *id);
}

static mn_status begin_trial(const mn_adapted *adapted, uint32_t n_query, mn_trial *trial,
                             mn_error *err)
{
    mn_status status =
        mn_trial_init(trial, adapted->model, adapted->way, support_items(adapted), n_query, err);
    if (status != MN_OK)
        return status;
    if (mn_model_is_sequence(adapted->model))
        tell_sequences(adapted, trial->task);
    else
        copy_support(adapted->support, trial->task);
    mn_rule_resume(trial->rule, trial->scratch, adapted->model->theta, adapted->own_values,
                   adapted->steps);
    return MN_OK;
}

static mn_status judge(const mn_model *model, mn_trial *trial, mn_error *err)
{
    const mn_rule_data data = mn_trial_data(trial);
    (void)mn_rule_judge(trial->rule, trial->scratch, model->theta, &data, trial->output);
    for (size_t i = 0; i < trial->n_output; i++)
        if (!isfinite(trial->output[i]))
            return mn_fail(err, MN_ERR_NUMERIC,
                           "an answer is not finite: the adapted weights have run away, or an item "
                           "is far outside of what the run was trained on");
    return MN_OK;
}

/* The outputs of n items, of classes that have examples. */
static void keep(const mn_adapted *adapted, uint32_t n, const float *output, float *out)
{
    const uint32_t columns = mn_adapted_columns(adapted),
                   all = mn_model_columns(adapted->model, adapted->way);
    for (uint32_t i = 0; i < n; i++)
        memcpy(out + (size_t)i * columns, output + (size_t)i * all, columns * sizeof *out);
}

/* Logits to probabilities, in place. */
static void softmax(uint32_t n, float *z)
{
    const double most = (double)z[mn_label_of(n, z)];
    double sum = 0;
    for (uint32_t k = 0; k < n; k++)
        sum += mn_real_exp((double)z[k] - most);
    for (uint32_t k = 0; k < n; k++)
        z[k] = (float)(mn_real_exp((double)z[k] - most) / sum);
}

/* Probabilities of classes; values are what they are. */
static void answer(const mn_adapted *adapted, uint32_t n, const float *output, float *answers)
{
    const uint32_t columns = mn_adapted_columns(adapted);
    keep(adapted, n, output, answers);
    for (uint32_t i = 0; i < n && adapted->classes > 0; i++)
        softmax(columns, answers + (size_t)i * columns);
}

mn_status mn_model_answer(const mn_model *model, const mn_task *task, float *answers, mn_error *err)
{
    const mn_field *support = mn_fields_find(&task->fields, MN_SUPPORT, "y");
    const uint32_t n_query = mn_fields_find(&task->fields, MN_QUERY, "y")->n;
    const uint32_t columns = mn_model_columns(model, 0);
    mn_trial trial = {0};
    mn_status status =
        mn_trial_init(&trial, model, 0, support != NULL ? support->n : 0, n_query, err);
    if (status == MN_OK && !mn_fields_equal(&trial.task->fields, &task->fields))
        status = mn_fail(err, MN_ERR_CONFIG, "a task that mn_model_task has not made");
    if (status == MN_OK) {
        memcpy(trial.task->block, task->block, task->fields.size * sizeof *task->block);
        status = walk(&trial, mn_model_steps(model), NULL, err);
    }
    if (status == MN_OK)
        status = judge(model, &trial, err);
    if (status == MN_OK) {
        memcpy(answers, trial.output, trial.n_output * sizeof *answers);
        for (uint32_t i = 0; i < n_query && model->fields.target == MN_TARGET_CLASSES; i++)
            softmax(columns, answers + (size_t)i * columns);
    }
    mn_trial_fini(&trial);
    return status;
}
