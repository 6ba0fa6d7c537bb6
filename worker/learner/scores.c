#include "worker/learner/scores.h"

#include "common/real_functions.h"
#include <math.h>
#include <stdio.h>

#define N_EXPLAINED (sizeof explained / sizeof *explained)

static bool has_classes(const mn_fields *fields)
{
    return fields->target == MN_TARGET_CLASSES;
}

static bool has_deviations(const mn_fields *fields, uint32_t columns)
{
    return !has_classes(fields) && columns > fields->y_size;
}

/* Is it known what a unit of y is? */
static bool has_scale(const mn_fields *fields)
{
    return !has_classes(fields) && fields->y_scale > 0;
}

static bool has_harmonic(const mn_fields *fields)
{
    return fields->points.harmonic && fields->points.n >= 2 && has_classes(fields);
}

static mn_score loss_of(const mn_fields *fields, uint32_t columns)
{
    mn_score loss = {.name = "loss", .unit = "squared error"};
    if (has_classes(fields) || has_deviations(fields, columns))
        (void)snprintf(loss.unit, sizeof loss.unit, "nats");
    return loss;
}

static const mn_score share = {.name = "accuracy", .is_share = true, .higher_is_better = true};
static const mn_score squared_error = {.name = "squared_error"};
static const mn_score explained[] = {
    {.name = "explained_variance", .is_share = true, .higher_is_better = true},
    {.name = "explained_within", .is_share = true, .higher_is_better = true}};

mn_status mn_scores_list_train(const mn_fields *fields, uint32_t columns, bool has_steps,
                               mn_score_list *out, mn_error *err)
{
    const mn_score loss = loss_of(fields, columns);
    mn_score support = loss;
    (void)snprintf(support.name, sizeof support.name, "support_loss");
    mn_status status = mn_score_list_add(out, &loss, err);
    if (status == MN_OK && has_classes(fields))
        status = mn_score_list_add(out, &share, err);
    if (status == MN_OK && has_deviations(fields, columns))
        status = mn_score_list_add(out, &squared_error, err);
    if (status == MN_OK && has_steps)
        status = mn_score_list_add(out, &support, err);
    out->judged = has_classes(fields) ? 1 : 0;
    return status;
}

mn_status mn_scores_list_test(const mn_fields *fields, uint32_t columns, bool has_steps,
                              const mn_uint_list *steps, uint32_t judged_steps, mn_score_list *out,
                              mn_error *err)
{
    const bool classes = has_classes(fields), deviations = has_deviations(fields, columns);
    mn_score loss = loss_of(fields, columns), right = classes ? share : squared_error;
    if (has_steps) {
        (void)snprintf(loss.axis, sizeof loss.axis, "inner_steps");
        (void)snprintf(right.axis, sizeof right.axis, "inner_steps");
    }
    mn_status status = MN_OK;
    uint32_t chosen = steps->n - 1;
    for (uint32_t i = 0; i < steps->n && status == MN_OK; i++) {
        if (has_steps)
            (void)snprintf(loss.point, sizeof loss.point, "%u", (unsigned)steps->at[i]);
        (void)snprintf(right.point, sizeof right.point, "%s", loss.point);
        if (steps->at[i] == judged_steps)
            chosen = i;
        status = mn_score_list_add(out, &loss, err);
        if (status == MN_OK && (classes || deviations || has_scale(fields)))
            status = mn_score_list_add(out, &right, err);
        for (size_t k = 0; status == MN_OK && has_scale(fields) && k < N_EXPLAINED; k++) {
            mn_score share_of = explained[k];
            (void)snprintf(share_of.axis, sizeof share_of.axis, "%s", right.axis);
            (void)snprintf(share_of.point, sizeof share_of.point, "%s", right.point);
            status = mn_score_list_add(out, &share_of, err);
        }
    }
    const uint32_t each = steps->n > 0 ? out->n / steps->n : 1;
    out->judged = each * chosen + (classes ? 1 : 0);
    if (fields->points.averaged)
        (void)snprintf(out->averaged, sizeof out->averaged, "%s", fields->points.axis);
    for (uint32_t i = 0; i < fields->points.n && status == MN_OK; i++) {
        (void)snprintf(right.axis, sizeof right.axis, "%s", fields->points.axis);
        (void)snprintf(right.point, sizeof right.point, "%s", fields->points.names[i]);
        status = mn_score_list_add(out, &right, err);
    }
    if (status == MN_OK && has_harmonic(fields)) {
        (void)snprintf(right.point, sizeof right.point, "H");
        status = mn_score_list_add(out, &right, err);
    }
    if (fields->whole[0] != '\0' && classes && status == MN_OK) {
        mn_score whole = share;
        (void)snprintf(whole.name, sizeof whole.name, "%s_accuracy", fields->whole);
        status = mn_score_list_add(out, &whole, err);
    }
    return status;
}

/* Is each of an item's labels the largest of its kind? */
static bool is_right(const mn_fields *fields, const float *output, const float *y)
{
    const uint32_t c = fields->y_size / fields->symbols;
    bool right = true;
    for (uint32_t k = 0; k < fields->symbols; k++, output += c, y += c)
        right = right && mn_label_of(c, output) == mn_label_of(c, y);
    return right;
}

/* Is the item due when so many support items have been read? From may be NULL. */
static bool is_due(const float *from, uint32_t item, uint32_t n_read)
{
    return from == NULL || from[item] <= (float)n_read;
}

/* How many of the items that count are right: those whose weight is not 0 (weights may be NULL), whose
 * point (points may be NULL) is `point`, and that are due. */
static void count(const mn_task *task, const float *output, const float *weights,
                  const float *points, float point, const float *from, uint32_t n_read,
                  uint32_t *n_right, uint32_t *n)
{
    const mn_field *field = mn_fields_find(&task->fields, MN_QUERY, "y");
    const uint32_t c = task->fields.y_size;
    const float *y = task->block + field->offset;
    *n_right = *n = 0;
    for (uint32_t i = 0; i < field->n; i++, y += c, output += c) {
        if ((weights != NULL && !(weights[i] != 0)) || (points != NULL && points[i] != point) ||
            !is_due(from, i, n_read))
            continue;
        *n_right += is_right(&task->fields, output, y);
        ++*n;
    }
}

double mn_scores_accuracy(const mn_task *task, const float *output)
{
    uint32_t right, n;
    count(task, output, mn_task_find(task, MN_QUERY, "weight"), NULL, 0, NULL, 0, &right, &n);
    return n == 0 ? 0.0 : (double)right / n;
}

static void add_errors(uint32_t n, const float *output, const float *y, double *sum)
{
    for (uint32_t k = 0; k < n; k++) {
        const double off = (double)output[k] - (double)y[k];
        *sum += off * off;
    }
}

/* Sums over the query items that count, of numbers of y as the task has them. */
struct squares {
    uint32_t n;
    double errors;      /* squared */
    double y, y_square; /* of y, and of its squares */
};

static struct squares sum_squares(const mn_task *task, uint32_t columns, const float *output)
{
    const mn_field *field = mn_fields_find(&task->fields, MN_QUERY, "y");
    const float *weights = mn_task_find(task, MN_QUERY, "weight");
    const uint32_t c = task->fields.y_size;
    const float *y = task->block + field->offset;
    struct squares sums = {0};
    for (uint32_t i = 0; i < field->n; i++, y += c, output += columns) {
        if (weights != NULL && !(weights[i] != 0))
            continue;
        add_errors(c, output, y, &sums.errors);
        for (uint32_t k = 0; k < c; k++) {
            sums.y += (double)y[k];
            sums.y_square += (double)y[k] * (double)y[k];
        }
        sums.n += c;
    }
    return sums;
}

double mn_scores_squared_error(const mn_task *task, uint32_t columns, const float *output)
{
    const struct squares sums = sum_squares(task, columns, output);
    const double unit = has_scale(&task->fields) ? (double)task->fields.y_scale : 1;
    return sums.n == 0 ? 0.0 : sums.errors / (double)sums.n * unit * unit;
}

static void put(double of_value, double of_weight, float **value, float **weight)
{
    *(*value)++ = (float)of_value;
    *(*weight)++ = (float)of_weight;
}

/* Episodes of several sizes count alike, as is the custom; elsewhere each item does that counts. */
static bool counts_by_item(const mn_fields *fields)
{
    const bool weighed = mn_fields_find(fields, MN_QUERY, "weight") != NULL;
    return !mn_fields_have_padding(fields) && (weighed || fields->points.n > 0);
}

/* Squared error of the items at a point, whose weight they are. */
static void put_error(const mn_task *task, uint32_t columns, const float *output,
                      const float *points, float point, float **value, float **weight)
{
    const mn_field *field = mn_fields_find(&task->fields, MN_QUERY, "y");
    const uint32_t c = task->fields.y_size;
    uint32_t n = 0;
    double sum = 0;
    for (uint32_t i = 0; i < field->n && points != NULL; i++) {
        if (points[i] != point)
            continue;
        add_errors(c, output + (size_t)i * columns, task->block + field->offset + (size_t)i * c,
                   &sum);
        n++;
    }
    put(sum / c, n, value, weight);
}

/* With weights of items the means are over items, however many of them a task has. */
static void put_values(const mn_task *task, uint32_t columns, double loss, const float *output,
                       float **value, float **weight)
{
    const bool scaled = has_scale(&task->fields);
    const struct squares sums = sum_squares(task, columns, output);
    const double n = mn_task_find(task, MN_QUERY, "weight") != NULL ? (double)sums.n : 1;
    put(loss * n, n, value, weight);
    if (scaled || has_deviations(&task->fields, columns))
        put(mn_scores_squared_error(task, columns, output) * n, n, value, weight);
    if (!scaled)
        return;
    const double within = sums.y_square - sums.y * sums.y / (double)sums.n;
    put(sums.y_square - sums.errors, sums.y_square, value, weight);
    put(within - sums.errors, within, value, weight);
}

/* Sum of the cross-entropies of the items that are due, nats. */
static double cross_entropy_due(const mn_task *task, const float *output, const float *from,
                                uint32_t n_read)
{
    const mn_field *field = mn_fields_find(&task->fields, MN_QUERY, "y");
    const uint32_t c = task->fields.y_size;
    const float *y = task->block + field->offset;
    double sum = 0;
    for (uint32_t i = 0; i < field->n; i++, y += c, output += c) {
        if (!is_due(from, i, n_read))
            continue;
        const double most = (double)output[mn_label_of(c, output)];
        double all = 0;
        for (uint32_t k = 0; k < c; k++)
            all += mn_real_exp((double)output[k] - most);
        sum += mn_real_log(all) + most - (double)output[mn_label_of(c, y)];
    }
    return sum;
}

void mn_scores_put(const mn_task *task, uint32_t columns, double loss, const float *output,
                   uint32_t n_read, float **value, float **weight)
{
    const float *weights = mn_task_find(task, MN_QUERY, "weight");
    const float *from = mn_task_find(task, MN_QUERY, "from");
    const bool by_item = counts_by_item(&task->fields);
    if (!has_classes(&task->fields)) {
        put_values(task, columns, loss, output, value, weight);
        return;
    }
    uint32_t right, n;
    count(task, output, weights, NULL, 0, from, n_read, &right, &n);
    if (from != NULL) {
        put(cross_entropy_due(task, output, from, n_read), n, value, weight);
        put(right, n, value, weight);
    } else if (by_item) { /* the network's loss is the mean over items that count */
        put(loss * n, n, value, weight);
        put(right, n, value, weight);
    } else {
        put(loss, 1, value, weight);
        put((double)right / n, 1, value, weight);
    }
}

void mn_scores_put_points(const mn_task *task, uint32_t columns, const float *output, float **value,
                          float **weight)
{
    const float *weights = mn_task_find(task, MN_QUERY, "weight");
    const float *points = mn_task_find(task, MN_QUERY, "point");
    double before = 0, last = 0; /* shares of the last two points */
    for (uint32_t i = 0; i < task->fields.points.n; i++) {
        uint32_t right = 0, n = 0;
        if (points != NULL && has_classes(&task->fields))
            count(task, output, weights, points, (float)i, NULL, 0, &right, &n);
        before = last;
        last = n == 0 ? 0 : (double)right / n;
        if (has_classes(&task->fields) && mn_fields_have_padding(&task->fields))
            put(n > 0 ? (double)right / n : 0, n > 0, value, weight);
        else if (has_classes(&task->fields))
            put(right, n, value, weight);
        else
            put_error(task, columns, output, points, (float)i, value, weight);
    }
    if (has_harmonic(&task->fields))
        put(before + last > 0 ? 2 * before * last / (before + last) : 0, 1, value, weight);
    if (task->fields.whole[0] != '\0' && has_classes(&task->fields)) {
        uint32_t right, n;
        count(task, output, weights, NULL, 0, NULL, 0, &right, &n);
        put(right == n, 1, value, weight);
    }
}
