#include "coordinator/pictures/adapted_task.h"

#include "common/tensor_file.h"
#include "coordinator/pictures/chart.h"
#include "coordinator/pictures/sequence_sheet.h"
#include "coordinator/pictures/story_sheet.h"
#include "coordinator/pictures/task_sheet.h"
#include "worker/learner/parts/batch_norm.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CURVE_POINTS 240u
#define QUESTIONS 3u /* of stories that are told in full */

static const char *const split_names[MN_N_SPLITS] = {"train", "val", "test"};

/* A task drawn, and all that the learner says of it. */
struct view {
    uint32_t columns; /* numbers of an answer */
    mn_task *task;
    mn_workspace *workspace;
    mn_shown *shown; /* NULL: not of stories */
    float *adapted, *meta_gradient, *output;
    mn_explanation told;
};

static mn_status look(const mn_adapted_task *which, struct view *view, mn_error *err);
static void close_view(struct view *view);
static void print_answers(const struct view *view, FILE *out);
static void print_batch_norm(const mn_adapted_task *which, FILE *out);
static mn_status print_questions(const mn_adapted_task *which, const struct view *view, FILE *out,
                                 mn_error *err);
static mn_status draw_questions(const mn_adapted_task *which, const struct view *view,
                                const char *path, mn_error *err);
static mn_status draw_images(const mn_adapted_task *which, const struct view *view,
                             const char *path, mn_error *err);
static mn_status draw_sequence(const mn_adapted_task *which, const struct view *view,
                               const char *path, mn_error *err);
static bool has_deviations(const struct view *view);
static bool has_training_shape(const mn_adapted_task *which);
static mn_status draw_curve(const mn_adapted_task *which, struct view *view, const char *path,
                            mn_error *err);
static mn_status predict(const mn_adapted_task *which, const mn_learner *learner, struct view *view,
                         const double *x, double *y, mn_error *err);
static mn_status predict_unadapted(const mn_adapted_task *which, struct view *view, const double *x,
                                   double *y, mn_error *err);
static void fit_sine(const struct view *view, double *a, double *b);

mn_status mn_adapted_task_print(const mn_adapted_task *which, FILE *out, mn_error *err)
{
    struct view view = {0};
    mn_status status = look(which, &view, err);
    if (status == MN_OK) {
        (void)fprintf(out, "%s task %" PRIu64 " of %s%s%s\n", split_names[which->split],
                      which->index, which->experiment->name,
                      which->theta_name != NULL ? "; theta: " : "",
                      which->theta_name != NULL ? which->theta_name : "");
        const mn_fields *fields = &view.task->fields;
        const bool stories = which->trained && view.shown != NULL;
        if (!stories)
            mn_task_set_describe(which->tasks, view.task, out);
        if (isnan(view.told.support_loss))
            (void)fprintf(out, "query loss %.4f\n", view.told.query_loss);
        else
            (void)fprintf(out,
                          "support loss %.4f, after %" PRIu32
                          " inner steps %.4f; query loss %.4f, after "
                          "them %.4f\n",
                          view.told.support_loss, view.told.steps, view.told.support_loss_after,
                          view.told.query_loss_before, view.told.query_loss);
        if (stories)
            status = print_questions(which, &view, out, err);
        else if (mn_sequence_sheet_fits(fields))
            mn_sequence_sheet_print(view.task, view.output, out);
        else
            print_answers(&view, out);
        print_batch_norm(which, out);
    }
    close_view(&view);
    return status;
}

/* A training task is judged as in training. */
static void print_batch_norm(const mn_adapted_task *which, FILE *out)
{
    const char *remark = mn_batch_norm_remark(which->experiment);
    const bool is_running = which->experiment->model.batch_norm_statistics == MN_STATISTICS_RUNNING;
    if (remark != NULL)
        (void)fprintf(out, "%s\n",
                      is_running && which->split == MN_TRAIN
                          ? "batch norm by the statistics of the batch at hand, as in training"
                          : remark);
}

static void print_answers(const struct view *view, FILE *out)
{
    const mn_fields *fields = &view->task->fields;
    const uint32_t n = mn_fields_find(fields, MN_QUERY, "y")->n, c = fields->y_size;
    const float *output = view->output, *truth = mn_task_find(view->task, MN_QUERY, "y");
    const float *weight = mn_task_find(view->task, MN_QUERY, "weight");
    uint32_t right = 0, asked = 0;
    for (uint32_t i = 0; i < n; i++, output += view->columns, truth += c) {
        if ((weight != NULL && weight[i] == 0) ||
            (mn_fields_have_padding(fields) && mn_is_padding(c, truth)))
            continue;
        asked++;
        if (fields->target == MN_TARGET_CLASSES) {
            const uint32_t answer = mn_label_of(c, output), is = mn_label_of(c, truth);
            right += answer == is;
            (void)fprintf(out, "query %" PRIu32 ": predicted %" PRIu32 ", is %" PRIu32 "%s\n", i,
                          answer, is, answer == is ? "" : "  <- wrong");
        } else if (has_deviations(view)) {
            (void)fprintf(out, "query %" PRIu32 ": predicted %.4f, deviation %.4f, is %.4f\n", i,
                          (double)output[0], (double)output[c], (double)truth[0]);
        } else {
            (void)fprintf(out, "query %" PRIu32 ": predicted %.4f, is %.4f\n", i, (double)output[0],
                          (double)truth[0]);
        }
    }
    if (fields->target == MN_TARGET_CLASSES)
        (void)fprintf(out, "%" PRIu32 " of %" PRIu32 " right\n", right, asked);
}

static bool has_deviations(const struct view *view)
{
    return view->columns > view->task->fields.y_size;
}

mn_status mn_adapted_task_draw(const mn_adapted_task *which, const char *path, mn_error *err)
{
    struct view view = {0};
    mn_status status = look(which, &view, err);
    if (status == MN_OK) {
        const mn_fields *fields = &view.task->fields;
        const mn_field *x = &fields->at[MN_SUPPORT_X];
        if (view.shown != NULL)
            status = draw_questions(which, &view, path, err);
        else if (mn_sequence_sheet_fits(fields))
            status = draw_sequence(which, &view, path, err);
        else if (!mn_fields_are_few_shot(fields))
            status = mn_fail(err, MN_ERR_USAGE, "tasks of this kind have no picture");
        else if (x->height > 1)
            status = draw_images(which, &view, path, err);
        else if (x->channels == 1 && fields->y_size == 1 && fields->target == MN_TARGET_VALUES)
            status = draw_curve(which, &view, path, err);
        else
            status = mn_fail(err, MN_ERR_USAGE, "tasks of this shape have no picture");
    }
    close_view(&view);
    return status;
}

/* ---- images ---- */

/* With the names of classes, but for their groups, where there are names. */
static mn_status draw_images(const mn_adapted_task *which, const struct view *view,
                             const char *path, mn_error *err)
{
    const uint32_t n = view->task->n_classes;
    char(*texts)[MN_CLASS_NAME] = calloc((size_t)n + 1, sizeof *texts);
    const char **names = calloc((size_t)n + 1, sizeof *names);
    mn_status status = MN_OK;
    bool named = n > 0 && n == view->task->fields.y_size;
    if (texts == NULL || names == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "names of %" PRIu32 " classes", n);
    for (uint32_t i = 0; i < n && status == MN_OK && named; i++) {
        named = mn_task_set_class_name(which->tasks, view->task, i, texts[i]);
        const char *slash = strrchr(texts[i], '/');
        names[i] = slash != NULL ? slash + 1 : texts[i];
    }
    if (status == MN_OK)
        status = mn_task_sheet_png(view->task, view->output, named ? names : NULL, path, err);
    free(texts);
    free((void *)names);
    return status;
}

/* ---- stories and sequences ---- */

static void write_heading(const mn_adapted_task *which, char *text, size_t n)
{
    (void)snprintf(text, n, "%s, %s task %" PRIu64 "%s", which->experiment->name,
                   split_names[which->split], which->index, which->trained ? "" : ", untrained");
}

static mn_status draw_sequence(const mn_adapted_task *which, const struct view *view,
                               const char *path, mn_error *err)
{
    char heading[160];
    write_heading(which, heading, sizeof heading);
    return mn_sequence_sheet_png(view->task, view->output, heading, path, err);
}

static mn_status view_question(const mn_adapted_task *which, const struct view *view, uint32_t item,
                               mn_story_view **out, mn_error *err)
{
    const mn_story_source source = {.task = view->task,
                                    .item = item,
                                    .words = mn_task_set_words(which->tasks),
                                    .answers = mn_task_set_answers(which->tasks),
                                    .logits = view->output + (size_t)item * view->columns,
                                    .n_shown = mn_shown_count(view->shown),
                                    .shown = mn_shown_arrays(view->shown),
                                    .judged = true};
    return mn_story_view_new(&source, out, err);
}

/* Items that are no padding come first. */
static uint32_t count_questions(const struct view *view)
{
    const uint32_t room = mn_fields_find(&view->task->fields, MN_QUERY, "y")->n;
    const float *weight = mn_task_find(view->task, MN_QUERY, "weight");
    uint32_t n = 0;
    while (n < room && (weight == NULL || weight[n] != 0))
        n++;
    return n;
}

/* The first in full; of the others, those that are wrong. */
static mn_status print_questions(const mn_adapted_task *which, const struct view *view, FILE *out,
                                 mn_error *err)
{
    const mn_points *points = &view->task->fields.points;
    const float *point = mn_task_find(view->task, MN_QUERY, "point");
    const uint32_t n = count_questions(view);
    uint32_t right = 0;
    for (uint32_t i = 0; i < n; i++) {
        mn_story_view *one = NULL;
        mn_status status = view_question(which, view, i, &one, err);
        if (status != MN_OK)
            return status;
        right += one->right;
        if (i < QUESTIONS) {
            (void)fprintf(out, "\nquestion %" PRIu32 "%s%s: ", i, point != NULL ? ", of " : "",
                          point != NULL ? points->names[(uint32_t)point[i] % MN_MAX_POINTS] : "");
            mn_story_view_print(one, out);
        } else if (!one->right) {
            (void)fprintf(out, "\nquestion %" PRIu32 ": %s%s  %s, %.0f %%; is %s  <- wrong", i,
                          one->question, one->mark, one->answers[0].word,
                          100 * one->answers[0].probability, one->is);
        }
        mn_story_view_destroy(&one);
    }
    (void)fprintf(out, "\n%" PRIu32 " of %" PRIu32 " right\n", right, n);
    return MN_OK;
}

static mn_status draw_questions(const mn_adapted_task *which, const struct view *view,
                                const char *path, mn_error *err)
{
    char heading[160];
    mn_story_view *views[QUESTIONS] = {NULL};
    const uint32_t all = count_questions(view), n = all < QUESTIONS ? all : QUESTIONS;
    mn_status status = MN_OK;
    write_heading(which, heading, sizeof heading);
    for (uint32_t i = 0; i < n && status == MN_OK; i++)
        status = view_question(which, view, i, &views[i], err);
    if (status == MN_OK)
        status = mn_story_sheet_png(n, views, heading, path, err);
    for (uint32_t i = 0; i < n; i++)
        mn_story_view_destroy(&views[i]);
    return status;
}

/* ---- the dump ---- */

/* Tensors in the making; all text and numbers they point to are owned here. */
struct dump {
    size_t n, room;
    mn_tensor *tensors;
    void **owned; /* [room], data of the tensors that is not lent */
};

static void *add_tensor(struct dump *dump, const char *prefix, const char *name, mn_dtype dtype,
                        uint32_t rank, const uint64_t *shape)
{
    mn_tensor *tensor = &dump->tensors[dump->n];
    assert(dump->n < dump->room);
    *tensor = (mn_tensor){.dtype = dtype, .rank = rank};
    (void)snprintf(tensor->name, sizeof tensor->name, "%s%s", prefix, name);
    if (rank > 0)
        memcpy(tensor->shape, shape, rank * sizeof *shape);
    uint64_t count = mn_tensor_count(tensor);
    void *data = calloc(count > 0 ? count : 1, mn_dtype_bytes(dtype));
    tensor->data = data;
    dump->owned[dump->n++] = data;
    return data;
}

/* Where number i of a field, channels last, stands in PyTorch's order. */
static size_t channels_first(const mn_field *field, size_t i)
{
    const size_t c = field->channels, pixels = (size_t)field->height * field->width;
    const size_t channel = i % c, pixel = i / c % pixels, item = i / c / pixels;
    return (item * c + channel) * pixels + pixel;
}

static void add_field(struct dump *dump, const mn_fields *fields, const mn_field *field,
                      const float *numbers)
{
    static const char *const roles[MN_N_ROLES] = {"support.", "query.", "shared."};
    const char *role = roles[field->role], *name = field->name;
    const size_t count = mn_field_count(field), pixels = (size_t)field->height * field->width;
    if (fields->target == MN_TARGET_CLASSES && strcmp(name, "y") == 0) { /* one-hot -> labels */
        const uint32_t symbols = fields->symbols, c = field->channels / symbols;
        const uint64_t size[] = {field->n, symbols};
        int64_t *labels = add_tensor(dump, role, name, MN_I64, symbols > 1 ? 2 : 1, size);
        for (uint32_t i = 0; labels != NULL && i < field->n * symbols; i++)
            labels[i] = mn_label_of(c, numbers + (size_t)i * c);
        return;
    }
    const uint64_t vectors[] = {field->n, field->channels};
    const uint64_t images[] = {field->n, field->channels, field->height, field->width};
    const uint64_t *size = pixels > 1 ? images : vectors;
    if (field->type == MN_FIELD_IDS) {
        int64_t *ids = add_tensor(dump, role, name, MN_I64, pixels > 1 ? 4 : 2, size);
        for (size_t i = 0; ids != NULL && i < count; i++)
            ids[channels_first(field, i)] = (int64_t)numbers[i];
        return;
    }
    float *out = add_tensor(dump, role, name, MN_F32, pixels > 1 ? 4 : 2, size);
    for (size_t i = 0; out != NULL && i < count; i++)
        out[channels_first(field, i)] = numbers[i];
}

static void add_parameters(struct dump *dump, const char *prefix, const mn_learner *learner,
                           const float *inside, float *outside)
{
    mn_learner_export(learner, inside, outside);
    for (size_t i = 0; i < mn_learner_tensors(learner); i++) {
        const mn_tensor *like = mn_learner_tensor(learner, i);
        float *copy = add_tensor(dump, prefix, like->name, MN_F32, like->rank, like->shape);
        size_t count = (size_t)mn_tensor_count(like);
        if (copy != NULL)
            memcpy(copy, outside, count * sizeof *copy);
        outside += count;
    }
}

static void add_number(struct dump *dump, const char *name, double value)
{
    double *number = add_tensor(dump, name, "", MN_F64, 0, NULL);
    if (number != NULL)
        *number = value;
}

static void fill_dump(struct dump *dump, const mn_adapted_task *which, const struct view *view,
                      float *outside)
{
    const mn_task *task = view->task;
    const mn_fields *fields = &task->fields;
    const mn_field *y = mn_fields_find(fields, MN_QUERY, "y");
    const uint64_t size[] = {y->n, view->columns};
    bool classes = fields->target == MN_TARGET_CLASSES;
    for (uint32_t i = 0; i < fields->n; i++)
        add_field(dump, fields, &fields->at[i], task->at[i]);
    add_parameters(dump, "theta.", which->learner, which->theta, outside);
    add_parameters(dump, "adapted.", which->learner, view->adapted, outside);
    if (has_training_shape(which))
        add_parameters(dump, "meta_gradient.", which->learner, view->meta_gradient, outside);
    float *output =
        add_tensor(dump, classes ? "query_logits" : "query_output", "", MN_F32, 2, size);
    if (output != NULL)
        memcpy(output, view->output, (size_t)y->n * view->columns * sizeof *output);
    if (!isnan(view->told.support_loss)) {
        add_number(dump, "support_loss", view->told.support_loss);
        add_number(dump, "support_loss_after", view->told.support_loss_after);
    }
    add_number(dump, "query_loss_before", view->told.query_loss_before);
    add_number(dump, "query_loss", view->told.query_loss);
}

mn_status mn_adapted_task_dump(const mn_adapted_task *which, const char *path, mn_error *err)
{
    struct view view = {0};
    struct dump dump = {.room = MN_MAX_FIELDS + 16 + 3 * mn_learner_tensors(which->learner)};
    char index[24];
    char *experiment = NULL;
    float *outside = malloc(mn_learner_size(which->learner) * sizeof *outside);
    dump.tensors = calloc(dump.room, sizeof *dump.tensors);
    dump.owned = calloc(dump.room, sizeof *dump.owned);
    mn_status status = outside != NULL && dump.tensors != NULL && dump.owned != NULL
                           ? look(which, &view, err)
                           : mn_fail(err, MN_ERR_NOMEM, "dump of a task");
    if (status == MN_OK)
        status = mn_experiment_print(which->experiment, false, &experiment, err);
    if (status == MN_OK) {
        fill_dump(&dump, which, &view, outside);
        for (size_t i = 0; i < dump.n && status == MN_OK; i++)
            if (dump.owned[i] == NULL)
                status = mn_fail(err, MN_ERR_NOMEM, "dump of a task");
    }
    if (status == MN_OK) {
        (void)snprintf(index, sizeof index, "%" PRIu64, which->index);
        const mn_text_pair metadata[] = {{"format", "pt"},
                                         {"mnemo", MN_VERSION},
                                         {"split", split_names[which->split]},
                                         {"index", index},
                                         {"experiment", experiment}};
        status = mn_tensor_file_write(path, dump.n, dump.tensors,
                                      sizeof metadata / sizeof *metadata, metadata, err);
    }
    for (size_t i = 0; dump.owned != NULL && i < dump.n; i++)
        free(dump.owned[i]);
    free(dump.owned);
    free(dump.tensors);
    free(experiment);
    free(outside);
    close_view(&view);
    return status;
}

/* ---- helpers ---- */

static mn_status look(const mn_adapted_task *which, struct view *view, mn_error *err)
{
    const mn_fields *fields = mn_task_set_fields(which->tasks, which->split);
    size_t size = mn_learner_size(which->learner);
    bool training = has_training_shape(which);
    mn_status status = mn_task_set_check(which->tasks, which->split, err);
    if (status == MN_OK)
        status = mn_task_new(fields, &view->task, err);
    if (status == MN_OK)
        status = mn_workspace_new(which->learner, &view->workspace, err);
    if (status != MN_OK)
        return status;
    view->adapted = calloc(size, sizeof *view->adapted);
    view->meta_gradient = calloc(size, sizeof *view->meta_gradient);
    view->columns = mn_learner_columns(which->learner, fields);
    view->output = calloc((size_t)mn_fields_find(fields, MN_QUERY, "y")->n * view->columns,
                          sizeof *view->output);
    if (view->adapted == NULL || view->meta_gradient == NULL || view->output == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "view of a task");
    mn_task_set_draw_after(which->tasks, which->split, which->index,
                           mn_learner_set_losses(which->learner, which->theta), view->task);
    if (training) { /* its statistics may be others than those of a test */
        mn_explanation gradient = {.meta_gradient = view->meta_gradient};
        mn_learner_explain(view->workspace, which->theta, view->task, true, &gradient);
    }
    view->told = (mn_explanation){.adapted = view->adapted, .query_output = view->output};
    mn_learner_explain(view->workspace, which->theta, view->task, which->split == MN_TRAIN,
                       &view->told);
    if (!mn_story_view_fits(fields))
        return MN_OK;
    status = mn_learner_show(which->learner, fields, &view->shown, err);
    if (status == MN_OK)
        mn_shown_look(view->shown, view->adapted, view->task->block);
    return status;
}

static void close_view(struct view *view)
{
    mn_shown_destroy(&view->shown);
    mn_workspace_destroy(&view->workspace);
    mn_task_destroy(&view->task);
    free(view->adapted);
    free(view->meta_gradient);
    free(view->output);
}

static bool has_training_shape(const mn_adapted_task *which)
{
    return mn_fields_equal(mn_task_set_fields(which->tasks, MN_TRAIN),
                           mn_task_set_fields(which->tasks, which->split));
}

static mn_status draw_curve(const mn_adapted_task *which, struct view *view, const char *path,
                            mn_error *err)
{
    double x[CURVE_POINTS], truth[CURVE_POINTS], before[CURVE_POINTS], after[CURVE_POINTS];
    char folder[4096], title[160];
    double a = 0;
    double b = 0;
    const char *name = strrchr(path, '/');
    size_t folder_length = name == NULL ? 0 : (size_t)(name - path);
    name = name == NULL ? path : name + 1;
    size_t length = strlen(name);
    if (length < 5 || strcmp(name + length - 4, ".png") != 0 || folder_length >= sizeof folder - 1)
        return mn_fail(err, MN_ERR_USAGE, "%s: expected a name that ends in .png", path);
    (void)snprintf(folder, sizeof folder, "%.*s", (int)folder_length, path);
    if (folder_length == 0)
        (void)snprintf(folder, sizeof folder, "%s", path[0] == '/' ? "/" : ".");
    char stem[256];
    (void)snprintf(stem, sizeof stem, "%.*s", (int)(length - 4), name);

    const uint32_t n_support = view->task->fields.at[MN_SUPPORT_X].n;
    double *support = calloc(2 * (size_t)n_support, sizeof *support);
    if (support == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "picture of a task");
    for (uint32_t i = 0; i < n_support; i++) {
        support[i] = (double)view->task->at[MN_SUPPORT_X][i];
        support[n_support + i] = (double)view->task->at[MN_SUPPORT_Y][i];
    }
    (void)snprintf(title, sizeof title,
                   "%s, %s task %" PRIu64 ": %s on the query points %.3g, after adaptation %.3g",
                   which->experiment->name, split_names[which->split], which->index,
                   has_deviations(view) ? "nats a point" : "squared error",
                   view->told.query_loss_before, view->told.query_loss);
    fit_sine(view, &a, &b);
    const double *range = which->experiment->tasks.x_range;
    for (size_t i = 0; i < CURVE_POINTS; i++) {
        x[i] = range[0] + (range[1] - range[0]) * (double)i / (CURVE_POINTS - 1);
        truth[i] = a * sin(x[i]) + b * cos(x[i]);
    }
    mn_status status = predict(which, which->learner, view, x, after, err);
    if (status == MN_OK)
        status = predict_unadapted(which, view, x, before, err);
    const mn_fitted_curve curve = {.title = title,
                                   .n = CURVE_POINTS,
                                   .x = x,
                                   .truth = truth,
                                   .before = before,
                                   .after = after,
                                   .n_support = n_support,
                                   .support_x = support,
                                   .support_y = support + n_support,
                                   .inner_steps = view->told.steps};
    if (status == MN_OK)
        status = mn_chart_fit(folder, stem, &curve, err);
    free(support);
    return status;
}

/* The learner's answers at CURVE_POINTS x, asked in place of the task's query points, a few at a
 * time. */
static mn_status predict(const mn_adapted_task *which, const mn_learner *learner, struct view *view,
                         const double *x, double *y, mn_error *err)
{
    mn_workspace *workspace = NULL;
    const mn_task *task = view->task;
    uint32_t n_query = task->fields.at[MN_QUERY_X].n;
    mn_status status = mn_workspace_new(learner, &workspace, err);
    for (size_t begin = 0; status == MN_OK && begin < CURVE_POINTS; begin += n_query) {
        mn_explanation told = {.query_output = view->output};
        for (uint32_t i = 0; i < n_query; i++)
            task->at[MN_QUERY_X][i] =
                (float)x[begin + i < CURVE_POINTS ? begin + i : CURVE_POINTS - 1];
        mn_learner_explain(workspace, which->theta, task, has_training_shape(which), &told);
        for (uint32_t i = 0; i < n_query && begin + i < CURVE_POINTS; i++)
            y[begin + i] = (double)view->output[(size_t)i * view->columns];
    }
    mn_workspace_destroy(&workspace);
    return status;
}

/* The same by a learner that adapts with a rate of nothing. (Learned rates lie in theta; there it
 * adapts all the same, and the curve before is the one after.) */
static mn_status predict_unadapted(const mn_adapted_task *which, struct view *view, const double *x,
                                   double *y, mn_error *err)
{
    mn_experiment still = *which->experiment;
    mn_learner *learner = NULL;
    still.meta.inner_lr = 0;
    mn_status status = mn_learner_new(&still, mn_task_set_fields(which->tasks, MN_TRAIN),
                                      mn_task_set_fields(which->tasks, MN_TEST), &learner, err);
    if (status == MN_OK)
        status = predict(which, learner, view, x, y, err);
    mn_learner_destroy(&learner);
    return status;
}

/* y = a sin x + b cos x through the query points, by least squares: exact, as that is how they were
 * made. */
static void fit_sine(const struct view *view, double *a, double *b)
{
    double ss = 0;
    double sc = 0;
    double cc = 0;
    double sy = 0;
    double cy = 0;
    for (uint32_t i = 0; i < view->task->fields.at[MN_QUERY_X].n; i++) {
        double s = sin((double)view->task->at[MN_QUERY_X][i]);
        double c = cos((double)view->task->at[MN_QUERY_X][i]);
        double y = (double)view->task->at[MN_QUERY_Y][i];
        ss += s * s;
        sc += s * c;
        cc += c * c;
        sy += s * y;
        cy += c * y;
    }
    double det = ss * cc - sc * sc;
    if (fabs(det) > 1e-12) {
        *a = (sy * cc - cy * sc) / det;
        *b = (cy * ss - sy * sc) / det;
    }
}
