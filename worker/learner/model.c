#include "worker/learner/model.h"

#include "common/checkpoint_list.h"
#include "worker/learner/model_state.h"
#include "worker/learner/parts/batch_norm.h"
#include "worker/learner/rules/rule.h"
#include "worker/tasks/dialog_note.h"
#include "worker/tasks/field_text.h"
#include "worker/tasks/task_notes.h"
#include "worker/tasks/task_set.h"
#include "worker/tasks/task_set_kind.h"
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* How a checkpoint is to be read. */
struct wish {
    size_t n_sets;
    const char *const *sets;
};

static mn_status read_file(const char *path, const struct wish *wish, mn_model **out,
                           mn_error *err);
static mn_status read_newest(const char *folder, const struct wish *wish, mn_model **out,
                             mn_error *err);
static bool has_theta(const mn_parameters *list, const mn_tensor_file *file, const char *prefix);
static mn_status read_experiment(const mn_tensor_file *file, const char *path, size_t n_sets,
                                 const char *const *sets, mn_experiment *out, mn_error *err);
static mn_status find_fields(const mn_experiment *experiment, const mn_tensor_file *file,
                             const char *path, mn_model **out, mn_error *err);
static mn_status keep_notes(const mn_tensor_file *file, mn_model *model, mn_error *err);

/* Making --------------------------------------------------------------------------- */

mn_status mn_model_declare(const mn_experiment *experiment, const mn_fields *fields, mn_model **out,
                           mn_error *err)
{
    mn_model *model = calloc(1, sizeof *model);
    if (model == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "model");
    model->experiment = *experiment;
    model->fields = *fields;
    model->kernels = mn_kernels_choose();
    mn_status status =
        model->kernels != NULL
            ? mn_network_init(&model->network, &model->experiment, fields, err)
            : mn_fail(err, MN_ERR_UNAVAILABLE,
                      "MNEMO_KERNELS=%s: this machine or build has no such kernels; unset it",
                      getenv("MNEMO_KERNELS"));
    if (status == MN_OK)
        status = mn_rule_declare(&model->network, err);
    if (status == MN_OK) {
        model->theta = calloc(model->network.parameters.size, sizeof *model->theta);
        if (model->theta == NULL)
            status = mn_fail(err, MN_ERR_NOMEM, "theta of a model");
    }
    if (status != MN_OK) {
        mn_model_destroy(&model);
        return status;
    }
    *out = model;
    return MN_OK;
}

mn_status mn_model_new(const mn_experiment *experiment, const mn_fields *fields, size_t n,
                       const float *theta, mn_model **out, mn_error *err)
{
    mn_model *model = NULL;
    mn_status status = mn_model_declare(experiment, fields, &model, err);
    if (status == MN_OK && n != model->network.parameters.size)
        status = mn_fail(err, MN_ERR_DATA, "theta has %zu numbers, but this network has %zu", n,
                         model->network.parameters.size);
    if (status != MN_OK) {
        mn_model_destroy(&model);
        return status;
    }
    mn_parameters_import(&model->network.parameters, theta, model->theta);
    *out = model;
    return MN_OK;
}

mn_status mn_model_copy(const mn_model *model, mn_model **out, mn_error *err)
{
    const size_t bytes = model->network.parameters.size * sizeof *model->theta;
    mn_model *copy = malloc(sizeof *copy);
    float *theta = malloc(bytes);
    if (copy == NULL || theta == NULL) {
        free(copy);
        free(theta);
        return mn_fail(err, MN_ERR_NOMEM, "copy of a model");
    }
    *copy = *model;
    copy->network.experiment = &copy->experiment;
    copy->theta = memcpy(theta, model->theta, bytes);
    copy->words = copy->row_form = copy->dialog = NULL;
    copy->ids = NULL;
    mn_status status = model->ids == NULL ? MN_OK : mn_words_copy(model->ids, &copy->ids, err);
    if (status == MN_OK)
        *out = copy;
    else
        mn_model_destroy(&copy);
    return status;
}

void mn_model_destroy(mn_model **model)
{
    if (*model == NULL)
        return;
    free((*model)->theta);
    free((*model)->words);
    free((*model)->row_form);
    free((*model)->dialog);
    mn_words_destroy(&(*model)->ids);
    free(*model);
    *model = NULL;
}

/* Reading -------------------------------------------------------------------------- */

mn_status mn_model_read(const char *path, size_t n_sets, const char *const *sets, mn_model **out,
                        mn_error *err)
{
    const struct wish wish = {n_sets, sets};
    struct stat about;
    if (stat(path, &about) != 0)
        return mn_fail_errno(
            err, "%s: expected the folder of a run, as runs/latest, or a checkpoint", path);
    return S_ISDIR(about.st_mode) ? read_newest(path, &wish, out, err)
                                  : read_file(path, &wish, out, err);
}

/* A torn file is passed over for an older one, as when a run goes on. */
static mn_status read_newest(const char *folder, const struct wish *wish, mn_model **out,
                             mn_error *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/checkpoints", folder) >= (int)sizeof path)
        return mn_fail(err, MN_ERR_NO_INPUT, "%.200s...: the path is too long", folder);
    uint64_t *steps = NULL;
    size_t n = 0;
    mn_status status = mn_checkpoint_list(path, &steps, &n, err);
    if (status == MN_OK)
        status =
            n > 0
                ? MN_ERR_DATA
                : mn_fail(err, MN_ERR_NO_INPUT,
                          "%s has no checkpoint: expected the folder of a run that has trained to "
                          "its first one, as runs/latest",
                          folder);
    for (size_t i = 0; i < n && status == MN_ERR_DATA; i++) {
        char file[PATH_MAX];
        status = mn_checkpoint_path(path, steps[i], file, err);
        if (status == MN_OK)
            status = read_file(file, wish, out, err);
    }
    free(steps);
    return status;
}

static mn_status read_file(const char *path, const struct wish *wish, mn_model **out, mn_error *err)
{
    mn_tensor_file *file = NULL;
    mn_model *model = NULL;
    mn_experiment *experiment = malloc(sizeof *experiment);
    if (experiment == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "experiment");
    mn_status status = mn_tensor_file_read(path, &file, err);
    if (status == MN_OK)
        status = read_experiment(file, path, wish->n_sets, wish->sets, experiment, err);
    if (status == MN_OK)
        status = find_fields(experiment, file, path, &model, err);
    if (status == MN_OK)
        status = keep_notes(file, model, err);
    if (status == MN_OK && mn_fields_find(&model->fields, MN_QUERY, "id") != NULL)
        status = mn_model_read_ids(file, path, &model->ids, err);
    if (status == MN_OK) {
        const mn_parameters *list = &model->network.parameters;
        const bool has_best = experiment->evaluate.keep_best && has_theta(list, file, "best.");
        const char *prefix = has_best                            ? "best."
                             : has_theta(list, file, "average.") ? "average."
                                                                 : "";
        const char *step = mn_tensor_file_metadata(file, has_best ? "best_step" : "step");
        status = mn_parameters_read(list, file, prefix, path, model->theta, err);
        model->step = step != NULL ? strtoull(step, NULL, 10) : 0;
    }
    mn_tensor_file_destroy(&file);
    free(experiment);
    if (status != MN_OK) {
        mn_model_destroy(&model);
        return status;
    }
    *out = model;
    return MN_OK;
}

static bool has_theta(const mn_parameters *list, const mn_tensor_file *file, const char *prefix)
{
    char name[sizeof list->at[0].tensor.name + 8];
    (void)snprintf(name, sizeof name, "%s%s", prefix, list->n > 0 ? list->at[0].tensor.name : "");
    return mn_tensor_file_find(file, name) != NULL;
}

static mn_status read_experiment(const mn_tensor_file *file, const char *path, size_t n_sets,
                                 const char *const *sets, mn_experiment *out, mn_error *err)
{
    const char *text = mn_tensor_file_metadata(file, "experiment");
    if (mn_tensor_file_metadata(file, "adapted") != NULL)
        return mn_fail(err, MN_ERR_DATA,
                       "%s is adapted to a task already: expected a checkpoint of a run; what it "
                       "says of new items tells mnemo predict",
                       path);
    if (text == NULL)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: its metadata has no experiment: expected a checkpoint that mnemo train "
                       "wrote (RUN/checkpoints/step-....safetensors), its metadata kept",
                       path);
    mn_experiment_init(out);
    mn_status status = mn_experiment_parse(out, path, text, strlen(text), err);
    mn_experiment *trained = status == MN_OK && n_sets > 0 ? malloc(sizeof *trained) : NULL;
    if (trained != NULL)
        *trained = *out;
    else if (status == MN_OK && n_sets > 0)
        status = mn_fail(err, MN_ERR_NOMEM, "experiment");
    for (size_t i = 0; i < n_sets && status == MN_OK; i++) {
        mn_error why = {.message = ""};
        status = mn_experiment_set(out, sets[i], &why);
        if (status != MN_OK)
            (void)mn_fail(err, status, "--set %s: %s", sets[i], why.message);
    }
    if (status == MN_OK)
        status = mn_experiment_check(out, err);
    if (status == MN_OK && trained != NULL) {
        char changes[512];
        status = mn_experiment_may_judge(trained, out, changes, sizeof changes, err);
    }
    free(trained);
    return status;
}

/* Is every tensor there, with its shape? */
static bool suits(const mn_parameters *list, const mn_tensor_file *file)
{
    for (uint32_t i = 0; i < list->n; i++) {
        const mn_tensor *wanted = &list->at[i].tensor;
        const mn_tensor *found = mn_tensor_file_find(file, wanted->name);
        if (found == NULL || found->dtype != MN_F32 || found->rank != wanted->rank ||
            memcmp(found->shape, wanted->shape, wanted->rank * sizeof *wanted->shape) != 0)
            return false;
    }
    return true;
}

static mn_status generated_fields(const mn_experiment *experiment, mn_fields *fields, mn_error *err)
{
    mn_task_set *set = NULL;
    mn_status status = mn_task_set_open(experiment, NULL, &set, err);
    if (status == MN_OK)
        *fields = *mn_task_set_fields(set, MN_TRAIN);
    mn_task_set_destroy(&set);
    return status;
}

/* Do these tasks lie in data, so that the experiment alone does not say what they are made of? */
static bool lie_in_data(const mn_experiment *experiment)
{
    const mn_task_kind kind = experiment->tasks.kind;
    return kind == MN_TASKS_STORIES || kind == MN_TASKS_DIALOGUES || kind == MN_TASKS_ROWS ||
           (kind == MN_TASKS_SEQUENCES && experiment->tasks.data[0] != '\0');
}

mn_status mn_model_read_ids(const mn_tensor_file *file, const char *path, mn_words **out,
                            mn_error *err)
{
    const char *list = mn_tensor_file_metadata(file, MN_NOTE_WORDS);
    mn_error why = {.message = ""};
    if (list == NULL)
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s does not tell which ids its rows have (tasks.id_column), as an older "
                       "mnemo wrote it: mnemo export RUN, with the data at hand, makes a file that "
                       "does",
                       path);
    return mn_words_parse(list, out, &why) == MN_OK
               ? MN_OK
               : mn_fail(err, MN_ERR_DATA, "%s: its metadata has %s: use another copy", path,
                         why.message);
}

/* How many ids there are, which fields as text do not say. */
static mn_status count_ids(const mn_tensor_file *file, const char *path, mn_fields *fields,
                           mn_error *err)
{
    mn_words *words = NULL;
    if (mn_fields_find(fields, MN_QUERY, "id") == NULL)
        return MN_OK;
    mn_status status = mn_model_read_ids(file, path, &words, err);
    if (status == MN_OK)
        fields->vocabulary = mn_words_count(words);
    mn_words_destroy(&words);
    return status;
}

/* The words of candidates and the like are a network's as much as its tensors. */
static mn_status dialog_fields(const mn_tensor_file *file, const char *path, mn_fields *out,
                               mn_error *err)
{
    const char *note = mn_tensor_file_metadata(file, MN_NOTE_DIALOG);
    const char *words = mn_tensor_file_metadata(file, MN_NOTE_WORDS);
    mn_dialog_book book;
    mn_error why = {.message = ""};
    if (note == NULL || words == NULL)
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s does not tell which sentences it answers with, as an older mnemo wrote "
                       "it: mnemo export RUN, with the data at hand, makes a file that does",
                       path);
    mn_status status = mn_dialog_note_read(note, words, &book, &why);
    if (status == MN_OK)
        status = mn_dialog_book_fields(&book, 1, out, &why);
    mn_dialog_book_close(&book);
    return status == MN_OK ? MN_OK
                           : mn_fail(err, status,
                                     "%s: its metadata are damaged: %s; use another "
                                     "copy",
                                     path, why.message);
}

static mn_status told_fields(const mn_experiment *experiment, const mn_tensor_file *file,
                             const char *path, mn_fields *out, mn_error *err)
{
    const char *text = mn_tensor_file_metadata(file, MN_NOTE_FIELDS);
    mn_error why;
    if (experiment->tasks.kind == MN_TASKS_DIALOGUES)
        return dialog_fields(file, path, out, err);
    if (text != NULL && mn_fields_parse(text, out, &why) == MN_OK)
        return count_ids(file, path, out, err);
    if (text != NULL)
        return mn_fail(err, MN_ERR_DATA, "%s: %s: use another copy", path, why.message);
    return mn_fail(err, MN_ERR_CONFIG,
                   "%s has learned from data of which it tells too little, as an older mnemo wrote "
                   "it: mnemo export RUN, with the data at hand, makes a file that tells enough",
                   path);
}

/* Pictures of a packed file are grey or coloured, which no key says: those of which the network has
 * these tensors. */
static mn_status find_fields(const mn_experiment *experiment, const mn_tensor_file *file,
                             const char *path, mn_model **out, mn_error *err)
{
    mn_fields fields[MN_N_SPLITS];
    mn_status status = MN_OK;
    const bool told = lie_in_data(experiment), guesses = experiment->tasks.kind == MN_TASKS_IMAGES;
    for (uint32_t channels = 1; channels <= 3; channels += 2) {
        mn_model *model = NULL;
        status = told      ? told_fields(experiment, file, path, &fields[MN_TRAIN], err)
                 : guesses ? mn_few_shot_images(experiment, experiment->tasks.image_size, channels,
                                                fields, err)
                           : generated_fields(experiment, &fields[MN_TRAIN], err);
        if (status == MN_OK)
            status = mn_model_declare(experiment, &fields[MN_TRAIN], &model, err);
        if (status == MN_OK && suits(&model->network.parameters, file)) {
            *out = model;
            return MN_OK;
        }
        mn_model_destroy(&model);
        if (status != MN_OK || !guesses)
            break;
    }
    return status != MN_OK ? status
                           : mn_fail(err, MN_ERR_DATA,
                                     "%s: its tensors are not those of the network that its own "
                                     "experiment describes (another way, image_size or model): "
                                     "expected a checkpoint as mnemo train wrote it",
                                     path);
}

/* A note as the file has it, if it has one. false: there is no memory for it. */
static bool keep_note(const mn_tensor_file *file, const char *key, char **out)
{
    const char *text = mn_tensor_file_metadata(file, key);
    *out = text != NULL ? strdup(text) : NULL;
    return (text == NULL) == (*out == NULL);
}

static mn_status keep_notes(const mn_tensor_file *file, mn_model *model, mn_error *err)
{
    const bool kept = keep_note(file, MN_NOTE_WORDS, &model->words) &&
                      keep_note(file, MN_ROW_FORM_NOTE, &model->row_form) &&
                      keep_note(file, MN_NOTE_DIALOG, &model->dialog);
    return kept ? MN_OK : mn_fail(err, MN_ERR_NOMEM, "notes of a model");
}

const char *mn_model_note(const mn_model *model, const char *key)
{
    return strcmp(key, MN_NOTE_WORDS) == 0      ? model->words
           : strcmp(key, MN_ROW_FORM_NOTE) == 0 ? model->row_form
           : strcmp(key, MN_NOTE_DIALOG) == 0   ? model->dialog
                                                : NULL;
}

const mn_words *mn_model_ids(const mn_model *model)
{
    return model->ids;
}

mn_status mn_parameters_read(const mn_parameters *parameters, const mn_tensor_file *file,
                             const char *prefix, const char *path, float *out, mn_error *err)
{
    float *outside = calloc(parameters->size + 1, sizeof *outside);
    if (outside == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%s: %zu floats", path, parameters->size);
    for (uint32_t i = 0; i < parameters->n; i++) {
        const mn_parameter *parameter = &parameters->at[i];
        const mn_tensor *wanted = &parameter->tensor;
        char name[sizeof wanted->name + 16];
        (void)snprintf(name, sizeof name, "%s%s", prefix, wanted->name);
        const mn_tensor *found = mn_tensor_file_find(file, name);
        if (found == NULL || found->dtype != MN_F32 || found->rank != wanted->rank ||
            memcmp(found->shape, wanted->shape, wanted->rank * sizeof *wanted->shape) != 0) {
            free(outside);
            return mn_fail(err, MN_ERR_DATA, "%s: tensor %s is %s", path, name,
                           found == NULL ? "missing" : "of another type or shape than the model's");
        }
        memcpy(outside + parameter->offset, found->data, parameter->count * sizeof *outside);
    }
    mn_parameters_import(parameters, outside, out);
    free(outside);
    return MN_OK;
}

/* Telling -------------------------------------------------------------------------- */

const mn_experiment *mn_model_experiment(const mn_model *model)
{
    return &model->experiment;
}

uint64_t mn_model_step(const mn_model *model)
{
    return model->step;
}

const float *mn_model_theta(const mn_model *model)
{
    return model->theta;
}

const mn_fields *mn_model_fields(const mn_model *model)
{
    return &model->fields;
}

bool mn_model_is_few_shot(const mn_model *model)
{
    return mn_fields_are_few_shot(&model->fields);
}

bool mn_model_is_sequence(const mn_model *model)
{
    return mn_fields_find(&model->fields, MN_SUPPORT, "y") == NULL &&
           mn_fields_find(&model->fields, MN_QUERY, "x") != NULL &&
           mn_fields_find(&model->fields, MN_QUERY, "label_before") != NULL;
}

bool mn_model_takes_examples(const mn_model *model)
{
    return mn_model_is_few_shot(model) ||
           (mn_model_is_sequence(model) && model->fields.symbols == 1);
}

void mn_model_item(const mn_model *model, uint32_t item[3])
{
    const mn_field *x = mn_fields_find(&model->fields, MN_QUERY, "x");
    item[0] = x == NULL ? 0 : x->height;
    item[1] = x == NULL ? 0 : x->width;
    item[2] = x == NULL ? 0 : x->channels;
}

uint32_t mn_model_way(const mn_model *model)
{
    return model->fields.y_size;
}

bool mn_model_any_way(const mn_model *model)
{
    mn_fields other;
    return mn_model_is_few_shot(model) && model->fields.target == MN_TARGET_CLASSES &&
           mn_model_shape(model, model->fields.y_size + 1, model->fields.y_size + 1, 1, &other,
                          NULL) == MN_OK;
}

uint32_t mn_model_holds(const mn_model *model, uint32_t n_classes)
{
    return model->experiment.tasks.kind == MN_TASKS_TABLES && n_classes < model->fields.y_size &&
                   !mn_model_any_way(model)
               ? model->fields.y_size
               : n_classes;
}

uint32_t mn_model_columns(const mn_model *model, uint32_t way)
{
    mn_fields fields = model->fields;
    if (fields.target == MN_TARGET_CLASSES && way > 0)
        fields.y_size = way;
    return mn_network_columns(&model->network, &fields);
}

bool mn_model_has_steps(const mn_model *model)
{
    return model->experiment.meta.kind != MN_META_EPISODIC;
}

uint32_t mn_model_steps(const mn_model *model)
{
    return mn_model_has_steps(model) ? model->experiment.meta.inner_steps : 0;
}

bool mn_model_judges_together(const mn_model *model)
{
    return mn_model_remark(model) != NULL &&
           model->experiment.model.batch_norm_statistics == MN_STATISTICS_BATCH;
}

const char *mn_model_remark(const mn_model *model)
{
    return mn_batch_norm_remark(&model->experiment);
}

/* Shapes --------------------------------------------------------------------------- */

static mn_status refuse_way(const mn_model *model, uint32_t way, mn_error *err)
{
    const uint32_t trained = model->fields.y_size;
    return mn_fail(err, MN_ERR_CONFIG,
                   "this task has %" PRIu32 " classes, but the run was trained with %" PRIu32
                   " (tasks.way) and its head has a row for each: give %" PRIu32
                   " classes, or train with tasks.way=%" PRIu32
                   ", or with a head that takes any number: model.output distance or match, or "
                   "meta.head_start prototypes or zero",
                   way, trained, trained, way);
}

/* Fields as in training, each with other items. */
static mn_status resize(const mn_fields *like, uint32_t n_support, uint32_t n_query, mn_fields *out,
                        mn_error *err)
{
    mn_status status = MN_OK;
    mn_fields_init(out, like->target, like->y_size);
    out->symbols = like->symbols;
    out->bundle = n_query;
    for (uint32_t i = 0; i < like->n && status == MN_OK; i++) {
        const mn_field *field = &like->at[i];
        const mn_field *y = mn_fields_find(like, field->role, "y");
        const uint32_t item[3] = {field->height, field->width, field->channels};
        const uint32_t n = y == NULL || field->n != y->n ? field->n
                           : field->role == MN_SUPPORT   ? n_support
                                                         : n_query;
        if (n > 0)
            status = mn_fields_add(out, field->role, field->name, field->type, n, item, err);
    }
    return status;
}

mn_status mn_model_few_shot(const mn_model *model, uint32_t way, uint32_t n_support,
                            uint32_t n_query, mn_fields *out, mn_error *err)
{
    uint32_t item[3];
    mn_model_item(model, item);
    mn_status status =
        mn_fields_few_shot(out, n_support, n_query, item, model->fields.target, way, err);
    return status == MN_OK && mn_fields_find(&model->fields, MN_QUERY, "id") != NULL
               ? mn_fields_add_ids(out, model->fields.vocabulary, err)
               : status;
}

mn_status mn_model_shape(const mn_model *model, uint32_t way, uint32_t n_support, uint32_t n_query,
                         mn_fields *out, mn_error *err)
{
    const mn_fields *trained = &model->fields;
    mn_status status = MN_OK;
    if (way == 0)
        way = trained->y_size;
    if (mn_model_is_few_shot(model)) {
        status = mn_model_few_shot(model, way, n_support, n_query, out, err);
    } else if (mn_model_is_sequence(model)) {
        uint32_t rows;
        if (way != trained->y_size)
            return refuse_way(model, way, err);
        if (__builtin_mul_overflow((uint64_t)n_support + 1, n_query, &rows))
            rows = UINT32_MAX; /* refused as too large */
        status = resize(trained, 0, rows, out, err);
        out->bundle = n_query;
    } else {
        status = resize(trained, n_support, n_query, out, err);
    }
    if (status == MN_OK && mn_network_fits(&model->network, out, err) != MN_OK)
        status = way != trained->y_size ? refuse_way(model, way, err) : MN_ERR_CONFIG;
    return status;
}
