#include "coordinator/pictures/adapted_task.h"

#include "common/tensor_file.h"
#include "coordinator/pictures/chart.h"
#include "worker/tasks/task_sheet.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CURVE_POINTS 240u

static const char *const split_names[MN_N_SPLITS] = {"train", "val", "test"};

/* A task drawn, and all that the learner says of it. */
struct view {
    mn_task *task;
    mn_workspace *workspace;
    float *adapted, *meta_gradient, *output;
    mn_explanation told;
};

static mn_status look(const mn_adapted_task *which, struct view *view, mn_error *err);
static void close_view(struct view *view);
static bool has_training_shape(const mn_adapted_task *which);
static mn_status draw_curve(const mn_adapted_task *which, struct view *view, const char *path,
                            mn_error *err);
static mn_status predict(const mn_adapted_task *which, const mn_learner *learner, struct view *view,
                         const double *x, double *y, mn_error *err);
static mn_status predict_unadapted(const mn_adapted_task *which, struct view *view, const double *x,
                                   double *y, mn_error *err);
static void fit_sine(const struct view *view, double *a, double *b);
static uint32_t best_class(const float *scores, uint32_t n);

mn_status mn_adapted_task_print(const mn_adapted_task *which, FILE *out, mn_error *err)
{
    struct view view = {0};
    mn_status status = look(which, &view, err);
    if (status == MN_OK) {
        const mn_task_shape *shape = &view.task->shape;
        uint32_t right = 0;
        (void)fprintf(out, "%s task %" PRIu64 " of %s\n", split_names[which->split], which->index,
                      which->experiment->name);
        mn_task_print(view.task, out);
        (void)fprintf(
            out,
            "support loss %.4f, after %" PRIu32 " inner steps %.4f; query loss %.4f, after "
            "them %.4f\n",
            view.told.support_loss, which->experiment->meta.inner_steps,
            view.told.support_loss_after, view.told.query_loss_before, view.told.query_loss);
        for (uint32_t i = 0; i < shape->n_query; i++) {
            const float *output = view.output + (size_t)i * shape->y_size;
            const float *truth = view.task->query_y + (size_t)i * shape->y_size;
            if (shape->target == MN_TARGET_CLASSES) {
                right += best_class(output, shape->y_size) == best_class(truth, shape->y_size);
                (void)fprintf(out, "query %" PRIu32 ": predicted %" PRIu32 ", is %" PRIu32 "\n", i,
                              best_class(output, shape->y_size), best_class(truth, shape->y_size));
            } else {
                (void)fprintf(out, "query %" PRIu32 ": predicted %.4f, is %.4f\n", i,
                              (double)output[0], (double)truth[0]);
            }
        }
        if (shape->target == MN_TARGET_CLASSES)
            (void)fprintf(out, "%" PRIu32 " of %" PRIu32 " right\n", right, shape->n_query);
    }
    close_view(&view);
    return status;
}

mn_status mn_adapted_task_draw(const mn_adapted_task *which, const char *path, mn_error *err)
{
    struct view view = {0};
    mn_status status = look(which, &view, err);
    if (status == MN_OK) {
        const mn_task_shape *shape = &view.task->shape;
        if (shape->height > 1)
            status = mn_task_sheet_png(view.task, path, err);
        else if (shape->channels == 1 && shape->y_size == 1 && shape->target == MN_TARGET_VALUES)
            status = draw_curve(which, &view, path, err);
        else
            status = mn_fail(err, MN_ERR_USAGE, "tasks of this shape have no picture");
    }
    close_view(&view);
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

/* Items from channels-last to channels-first. */
static void add_items(struct dump *dump, const char *name, const mn_task_shape *shape, uint32_t n,
                      const float *x)
{
    bool images = shape->height > 1 || shape->width > 1;
    const uint64_t size[] = {n, shape->channels, shape->height, shape->width};
    size_t pixels = (size_t)shape->height * shape->width;
    float *out = add_tensor(dump, name, "", MN_F32, images ? 4 : 2, size);
    for (uint32_t i = 0; out != NULL && i < n; i++)
        for (size_t p = 0; p < pixels; p++)
            for (uint32_t c = 0; c < shape->channels; c++)
                out[(i * shape->channels + c) * pixels + p] =
                    x[(i * pixels + p) * shape->channels + c];
}

static void add_targets(struct dump *dump, const char *name, const mn_task_shape *shape, uint32_t n,
                        const float *y)
{
    const uint64_t size[] = {n, shape->y_size};
    if (shape->target == MN_TARGET_CLASSES) {
        int64_t *labels = add_tensor(dump, name, "", MN_I64, 1, size);
        for (uint32_t i = 0; labels != NULL && i < n; i++)
            labels[i] = best_class(y + (size_t)i * shape->y_size, shape->y_size);
    } else {
        float *values = add_tensor(dump, name, "", MN_F32, 2, size);
        if (values != NULL)
            memcpy(values, y, (size_t)n * shape->y_size * sizeof *y);
    }
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
    const mn_task_shape *shape = &task->shape;
    const uint64_t size[] = {shape->n_query, shape->y_size};
    bool classes = shape->target == MN_TARGET_CLASSES;
    add_items(dump, "support.x", shape, shape->n_support, task->support_x);
    add_targets(dump, "support.y", shape, shape->n_support, task->support_y);
    add_items(dump, "query.x", shape, shape->n_query, task->query_x);
    add_targets(dump, "query.y", shape, shape->n_query, task->query_y);
    add_parameters(dump, "theta.", which->learner, which->theta, outside);
    add_parameters(dump, "adapted.", which->learner, view->adapted, outside);
    if (has_training_shape(which))
        add_parameters(dump, "meta_gradient.", which->learner, view->meta_gradient, outside);
    float *output =
        add_tensor(dump, classes ? "query_logits" : "query_output", "", MN_F32, 2, size);
    if (output != NULL)
        memcpy(output, view->output, (size_t)shape->n_query * shape->y_size * sizeof *output);
    add_number(dump, "support_loss", view->told.support_loss);
    add_number(dump, "support_loss_after", view->told.support_loss_after);
    add_number(dump, "query_loss_before", view->told.query_loss_before);
    add_number(dump, "query_loss", view->told.query_loss);
}

mn_status mn_adapted_task_dump(const mn_adapted_task *which, const char *path, mn_error *err)
{
    struct view view = {0};
    struct dump dump = {.room = 16 + 3 * mn_learner_tensors(which->learner)};
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
    const mn_task_shape shape = mn_task_set_shape(which->tasks, which->split);
    size_t size = mn_learner_size(which->learner);
    bool training = has_training_shape(which);
    mn_status status = mn_task_new(&shape, &view->task, err);
    if (status == MN_OK)
        status = mn_workspace_new(which->learner, &view->workspace, err);
    if (status != MN_OK)
        return status;
    view->adapted = calloc(size, sizeof *view->adapted);
    view->meta_gradient = calloc(size, sizeof *view->meta_gradient);
    view->output = calloc((size_t)shape.n_query * shape.y_size, sizeof *view->output);
    if (view->adapted == NULL || view->meta_gradient == NULL || view->output == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "view of a task");
    mn_task_set_draw(which->tasks, which->split, which->index, view->task);
    view->told = (mn_explanation){.adapted = view->adapted,
                                  .meta_gradient = training ? view->meta_gradient : NULL,
                                  .query_output = view->output};
    mn_learner_explain(view->workspace, which->theta, view->task, training, &view->told);
    return MN_OK;
}

static void close_view(struct view *view)
{
    mn_workspace_destroy(&view->workspace);
    mn_task_destroy(&view->task);
    free(view->adapted);
    free(view->meta_gradient);
    free(view->output);
}

static bool has_training_shape(const mn_adapted_task *which)
{
    const mn_task_shape train = mn_task_set_shape(which->tasks, MN_TRAIN);
    const mn_task_shape here = mn_task_set_shape(which->tasks, which->split);
    return train.n_support == here.n_support && train.n_query == here.n_query &&
           train.y_size == here.y_size;
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

    const mn_task_shape *shape = &view->task->shape;
    double *support = calloc(2 * (size_t)shape->n_support, sizeof *support);
    if (support == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "picture of a task");
    for (uint32_t i = 0; i < shape->n_support; i++) {
        support[i] = (double)view->task->support_x[i];
        support[shape->n_support + i] = (double)view->task->support_y[i];
    }
    (void)snprintf(title, sizeof title,
                   "%s, %s task %" PRIu64
                   ": squared error on the query points %.3g, after adaptation %.3g",
                   which->experiment->name, split_names[which->split], which->index,
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
                                   .n_support = shape->n_support,
                                   .support_x = support,
                                   .support_y = support + shape->n_support,
                                   .inner_steps = which->experiment->meta.inner_steps};
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
    uint32_t n_query = task->shape.n_query;
    mn_status status = mn_workspace_new(learner, &workspace, err);
    for (size_t begin = 0; status == MN_OK && begin < CURVE_POINTS; begin += n_query) {
        mn_explanation told = {.query_output = view->output};
        for (uint32_t i = 0; i < n_query; i++)
            task->query_x[i] = (float)x[begin + i < CURVE_POINTS ? begin + i : CURVE_POINTS - 1];
        mn_learner_explain(workspace, which->theta, task, has_training_shape(which), &told);
        for (uint32_t i = 0; i < n_query && begin + i < CURVE_POINTS; i++)
            y[begin + i] = (double)view->output[i];
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
    const mn_task_shape train = mn_task_set_shape(which->tasks, MN_TRAIN);
    const mn_task_shape test = mn_task_set_shape(which->tasks, MN_TEST);
    still.meta.inner_lr = 0;
    mn_status status = mn_learner_new(&still, &train, &test, &learner, err);
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
    for (uint32_t i = 0; i < view->task->shape.n_query; i++) {
        double s = sin((double)view->task->query_x[i]);
        double c = cos((double)view->task->query_x[i]);
        double y = (double)view->task->query_y[i];
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

static uint32_t best_class(const float *scores, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (scores[i] > scores[best])
            best = i;
    return best;
}
