/* An adapted model as a file, and back. */
#include "worker/learner/adapted.h"

#include "worker/learner/adapted_state.h"
#include "worker/learner/trial.h"
#include "worker/tasks/field_text.h"
#include "worker/tasks/task_notes.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "1"
#define MOST_PAIRS 24u

static mn_status join_names(const mn_adapted *adapted, char **out, mn_error *err);
static mn_status split_names(mn_adapted *adapted, const char *path, mn_error *err);
static mn_status read_parts(mn_adapted *adapted, const char *path, mn_error *err);

/* Writing -------------------------------------------------------------------------- */

/* Tensors of parameters, by PyTorch's layout, from `values`; *outside is owned by the caller. */
static mn_status export(const mn_parameters *list, const float *values, mn_tensor *tensors,
                        float **outside, mn_error *err)
{
    *outside = malloc((list->size + 1) * sizeof **outside);
    if (*outside == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%zu floats of theta", list->size);
    if (list->size > 0)
        mn_parameters_export(list, values, *outside);
    for (uint32_t i = 0; i < list->n; i++) {
        tensors[i] = list->at[i].tensor;
        tensors[i].data = *outside + list->at[i].offset;
    }
    return MN_OK;
}

static mn_tensor support_tensor(const mn_field *field, const float *data)
{
    mn_tensor tensor = {.dtype = MN_F32,
                        .rank = 4,
                        .shape = {field->n, field->height, field->width, field->channels},
                        .data = data};
    (void)snprintf(tensor.name, sizeof tensor.name, "support.%s", field->name);
    return tensor;
}

static mn_status write_file(const mn_adapted *adapted, const char *path, const char *const text[4],
                            size_t n_tensors, const mn_tensor *tensors, size_t n_more,
                            const mn_text_pair *more, mn_error *err)
{
    char way[16], support[16], steps[16], step[24];
    mn_text_pair pairs[MOST_PAIRS];
    (void)snprintf(way, sizeof way, "%" PRIu32, adapted->way);
    (void)snprintf(support, sizeof support, "%" PRIu32, adapted->n_support);
    (void)snprintf(steps, sizeof steps, "%" PRIu32, adapted->steps);
    (void)snprintf(step, sizeof step, "%" PRIu64, adapted->model->step);
    const mn_text_pair own[] = {
        {"format", "pt"},    {"mnemo", MN_VERSION}, {"adapted", VERSION},  {"experiment", text[0]},
        {"fields", text[1]}, {"way", way},          {"examples", support}, {"inner_steps", steps},
        {"step", step},      {"classes", text[2]}};
    size_t n = sizeof own / sizeof *own - (adapted->names == NULL);
    memcpy(pairs, own, n * sizeof *own);
    if (text[3] != NULL)
        pairs[n++] = (mn_text_pair){MN_NOTE_WORDS, text[3]};
    for (size_t i = 0; i < n_more; i++) {
        if (n == MOST_PAIRS)
            return mn_fail(err, MN_ERR_RANGE, "%s: more notes than there is room for", path);
        pairs[n++] = more[i];
    }
    return mn_tensor_file_write(path, n_tensors, tensors, n, pairs, err);
}

mn_status mn_adapted_write(const mn_adapted *adapted, const char *path, size_t n_more,
                           const mn_text_pair *more, mn_error *err)
{
    const mn_model *model = adapted->model;
    const mn_parameters *list = &model->network.parameters;
    const mn_fields *fields = &adapted->support->fields;
    char *experiment = NULL, *shape = NULL, *names = NULL, *ids = NULL;
    float *theta = NULL, *own = NULL;
    size_t n = 0;
    mn_tensor *tensors = calloc(list->n + adapted->own.n + MN_MAX_FIELDS, sizeof *tensors);
    mn_status status = tensors != NULL ? MN_OK : mn_fail(err, MN_ERR_NOMEM, "%s", path);
    if (status == MN_OK)
        status = mn_experiment_print(&model->experiment, false, &experiment, err);
    if (status == MN_OK)
        status = mn_fields_text(&model->fields, &shape, err);
    if (status == MN_OK && adapted->names != NULL)
        status = join_names(adapted, &names, err);
    if (status == MN_OK && model->ids != NULL)
        status = mn_words_list(model->ids, &ids, err);
    if (status == MN_OK)
        status = export(list, model->theta, tensors, &theta, err);
    if (status == MN_OK)
        status = export(&adapted->own, adapted->own_values, tensors + list->n, &own, err);
    if (status == MN_OK) {
        n = list->n + adapted->own.n;
        for (uint32_t i = 0; i < fields->n && mn_adapted_reads_support(model); i++)
            if (fields->at[i].role == MN_SUPPORT)
                tensors[n++] = support_tensor(&fields->at[i], adapted->support->at[i]);
        status = write_file(adapted, path, (const char *const[]){experiment, shape, names, ids}, n,
                            tensors, n_more, more, err);
    }
    free(tensors);
    free(experiment);
    free(shape);
    free(names);
    free(ids);
    free(theta);
    free(own);
    return status;
}

static mn_status join_names(const mn_adapted *adapted, char **out, mn_error *err)
{
    size_t bytes = 0;
    FILE *text = open_memstream(out, &bytes);
    if (text == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "names of classes");
    for (uint32_t i = 0; i < adapted->classes; i++)
        (void)fprintf(text, "%s%s", i > 0 ? "\n" : "", mn_adapted_class_name(adapted, i));
    return fclose(text) == 0 ? MN_OK : mn_fail(err, MN_ERR_NOMEM, "names of classes");
}

/* Reading -------------------------------------------------------------------------- */

static mn_status damaged(const char *path, const char *what, mn_error *err)
{
    return mn_fail(err, MN_ERR_DATA,
                   "%s: %s: expected adapted.safetensors as mnemo adapt wrote it; adapt again",
                   path, what);
}

mn_status mn_adapted_read(const char *path, mn_adapted **out, mn_error *err)
{
    mn_adapted *adapted = calloc(1, sizeof *adapted);
    if (adapted == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "adapted model");
    mn_status status = mn_tensor_file_read(path, &adapted->file, err);
    if (status == MN_OK)
        status = read_parts(adapted, path, err);
    if (status != MN_OK) {
        mn_adapted_destroy(&adapted);
        return status;
    }
    *out = adapted;
    return MN_OK;
}

static bool read_number(const mn_tensor_file *file, const char *key, uint32_t most, uint32_t *out)
{
    const char *text = mn_tensor_file_metadata(file, key);
    char *end = NULL;
    if (text == NULL || *text < '0' || *text > '9')
        return false;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    *out = (uint32_t)number;
    return errno == 0 && *end == '\0' && number <= most;
}

static mn_status read_model(const mn_tensor_file *file, const char *path, mn_model **out,
                            mn_error *err)
{
    const char *text = mn_tensor_file_metadata(file, "experiment");
    const char *shape = mn_tensor_file_metadata(file, "fields");
    const char *version = mn_tensor_file_metadata(file, "adapted");
    mn_experiment *experiment = malloc(sizeof *experiment);
    mn_words *ids = NULL;
    mn_fields fields;
    mn_error why;
    if (experiment == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "experiment");
    mn_status status = MN_OK;
    if (version == NULL)
        status =
            damaged(path, "is no adapted model (a checkpoint of a run is for mnemo adapt)", err);
    else if (strcmp(version, VERSION) != 0)
        status = damaged(path, "is of another version of mnemo", err);
    else if (text == NULL || shape == NULL)
        status = damaged(path, "its metadata has no experiment or fields", err);
    if (status == MN_OK) {
        mn_experiment_init(experiment);
        status = mn_experiment_parse(experiment, path, text, strlen(text), err);
    }
    if (status == MN_OK)
        status = mn_experiment_check(experiment, err);
    if (status == MN_OK && mn_fields_parse(shape, &fields, &why) != MN_OK)
        status = damaged(path, why.message, err);
    if (status == MN_OK && fields.symbols != 1)
        status = damaged(path, "its metadata has labels of several symbols", err);
    if (status == MN_OK && mn_fields_find(&fields, MN_QUERY, "id") != NULL) {
        status = mn_model_read_ids(file, path, &ids, err);
        fields.vocabulary = ids == NULL ? 0 : mn_words_count(ids);
    }
    if (status == MN_OK)
        status = mn_model_declare(experiment, &fields, out, err);
    if (status == MN_OK)
        (*out)->ids = ids;
    else
        mn_words_destroy(&ids);
    if (status == MN_OK)
        status =
            mn_parameters_read(&(*out)->network.parameters, file, "", path, (*out)->theta, err);
    free(experiment);
    return status;
}

static bool all_finite(size_t n, const float *numbers)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(numbers[i]))
            return false;
    return true;
}

static mn_status read_support(mn_adapted *adapted, const char *path, mn_error *err)
{
    const mn_fields *fields = &adapted->support->fields;
    for (uint32_t i = 0; i < fields->n; i++) {
        const mn_field *field = &fields->at[i];
        if (field->role != MN_SUPPORT)
            continue;
        const mn_tensor wanted = support_tensor(field, NULL);
        const mn_tensor *found = mn_tensor_file_find(adapted->file, wanted.name);
        char what[192];
        (void)snprintf(what, sizeof what, "tensor %s is missing, or of another shape than examples",
                       wanted.name);
        if (found == NULL || found->dtype != MN_F32 || found->rank != 4 ||
            memcmp(found->shape, wanted.shape, sizeof wanted.shape) != 0)
            return damaged(path, what, err);
        if (!all_finite(mn_field_count(field), found->data))
            return damaged(path, "its examples are not finite numbers", err);
        memcpy(adapted->support->at[i], found->data, mn_field_count(field) * sizeof(float));
    }
    return MN_OK;
}

/* Whatever the metadata say, no more memory is taken than the file has tensors and names for. */
static mn_status check_sizes(mn_adapted *adapted, const char *path, mn_error *err)
{
    const mn_tensor *y = mn_tensor_file_find(adapted->file, "support.y");
    const char *names = mn_tensor_file_metadata(adapted->file, "classes");
    uint32_t n_names = names != NULL;
    for (; names != NULL && *names != '\0'; names++)
        n_names += *names == '\n';
    if (mn_adapted_reads_support(adapted->model) &&
        (y == NULL || y->rank != 4 || y->shape[0] != adapted->n_support))
        return damaged(path, "tensor support.y is missing, or of another shape than examples", err);
    if (mn_adapted_reads_support(adapted->model) && mn_model_takes_examples(adapted->model)) {
        const mn_tensor *x = mn_tensor_file_find(adapted->file, "support.x");
        uint32_t item[3];
        mn_model_item(adapted->model, item);
        if (x == NULL || x->rank != 4 || x->shape[0] != adapted->n_support ||
            mn_tensor_count(x) / adapted->n_support != (size_t)item[0] * item[1] * item[2])
            return damaged(path, "tensor support.x is missing, or of another shape than examples",
                           err);
    }
    if (n_names > 0 ? mn_model_holds(adapted->model, n_names) != adapted->way
                    : adapted->way != adapted->model->fields.y_size)
        return damaged(path, "its metadata names another number of classes", err);
    adapted->classes = adapted->model->fields.target != MN_TARGET_CLASSES ? 0
                       : n_names > 0                                      ? n_names
                                                                          : adapted->way;
    return MN_OK;
}

/* The shape is compiled once here, so that what does not suit is told now. */
static mn_status read_parts(mn_adapted *adapted, const char *path, mn_error *err)
{
    mn_trial trial = {0};
    mn_status status = read_model(adapted->file, path, &adapted->model, err);
    if (status != MN_OK)
        return status;
    const mn_tensor_file *file = adapted->file;
    const bool reads_support = mn_adapted_reads_support(adapted->model);
    const char *step = mn_tensor_file_metadata(file, "step");
    adapted->model->step = step != NULL ? strtoull(step, NULL, 10) : 0;
    if (!read_number(file, "way", MN_FIELDS_MOST_WAY, &adapted->way) || adapted->way == 0 ||
        !read_number(file, "examples", UINT32_MAX, &adapted->n_support) ||
        adapted->n_support == 0 ||
        !read_number(file, "inner_steps", MN_MOST_STEPS, &adapted->steps))
        return damaged(path, "its metadata has no sound way, examples and inner_steps", err);
    status = check_sizes(adapted, path, err);
    if (status == MN_OK)
        status = mn_trial_init(&trial, adapted->model, adapted->way,
                               reads_support ? adapted->n_support : 1, 1, err);
    mn_fields fields;
    if (status == MN_OK)
        status = mn_adapted_holder(adapted->model, adapted->way,
                                   reads_support ? adapted->n_support : 1, &fields, err);
    if (status == MN_OK)
        status = mn_task_new(&fields, &adapted->support, err);
    if (status == MN_OK)
        status = mn_rule_own(trial.rule, &adapted->own, err);
    mn_trial_fini(&trial);
    if (status == MN_OK && adapted->own.size > 0) {
        adapted->own_values = calloc(adapted->own.size, sizeof *adapted->own_values);
        status = adapted->own_values == NULL
                     ? mn_fail(err, MN_ERR_NOMEM, "head of a task")
                     : mn_parameters_read(&adapted->own, file, "", path, adapted->own_values, err);
    }
    if (status == MN_OK && reads_support)
        status = read_support(adapted, path, err);
    if (status == MN_OK &&
        (!all_finite(adapted->model->network.parameters.size, adapted->model->theta) ||
         !all_finite(adapted->own.size, adapted->own_values)))
        status = damaged(path, "its weights are not finite numbers", err);
    return status == MN_OK ? split_names(adapted, path, err) : status;
}

/* A line each, as many as classes. A task of no few-shot fields has none. */
static mn_status split_names(mn_adapted *adapted, const char *path, mn_error *err)
{
    const char *text = mn_tensor_file_metadata(adapted->file, "classes");
    if (text == NULL)
        return mn_adapted_classes(adapted) > 0 && mn_model_takes_examples(adapted->model)
                   ? damaged(path, "its metadata has no classes", err)
                   : MN_OK;
    const uint32_t n = adapted->classes; /* check_sizes */
    char *copy = strdup(text);
    const char **names = calloc(n, sizeof *names);
    mn_status status = MN_OK;
    if (copy == NULL || names == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "names of classes");
    char *rest = copy;
    for (uint32_t i = 0; i < n && status == MN_OK; i++)
        names[i] = strsep(&rest, "\n");
    if (status == MN_OK)
        status = mn_adapted_take_names(adapted, n, names, err);
    free(copy);
    free(names);
    return status;
}

const char *mn_adapted_note(const mn_adapted *adapted, const char *key)
{
    return adapted->file == NULL ? NULL : mn_tensor_file_metadata(adapted->file, key);
}
