#include "worker/tasks/sinusoid_stream.h"

#include "worker/tasks/sinusoid.h"
#include "worker/tasks/task_set_kind.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct state {
    mn_sinusoid sinusoid;
    double jumps;
    mn_stream_points points;
};

static mn_status make_fields(const mn_experiment *experiment, mn_split split, mn_fields *fields,
                             mn_error *err);

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    struct state *state = calloc(1, sizeof *state);
    parts->state = state;
    if (state == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    memcpy(state->sinusoid.amplitude, experiment->tasks.amplitude,
           sizeof state->sinusoid.amplitude);
    memcpy(state->sinusoid.phase, experiment->tasks.phase, sizeof state->sinusoid.phase);
    memcpy(state->sinusoid.x_range, experiment->tasks.x_range, sizeof state->sinusoid.x_range);
    state->jumps = experiment->tasks.jumps;
    state->points = experiment->tasks.points;
    mn_status status = MN_OK;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++)
        status = make_fields(experiment, split, &parts->fields[split], err);
    return status;
}

static void name_points(mn_stream_points by, uint32_t length, mn_points *points)
{
    const uint32_t most = by == MN_BY_AGE ? MN_STREAM_AGES : MN_MAX_POINTS;
    const uint32_t first = by == MN_BY_AGE ? 0 : 1;
    (void)snprintf(points->axis, sizeof points->axis, "%s", by == MN_BY_AGE ? "age" : "position");
    points->n = length < most ? length : most;
    for (uint32_t i = 0; i < points->n; i++)
        (void)snprintf(points->names[i], sizeof points->names[i], "%" PRIu32, i + first);
}

static mn_status make_fields(const mn_experiment *experiment, mn_split split, mn_fields *fields,
                             mn_error *err)
{
    const bool longer = split != MN_TRAIN && experiment->evaluate.length != 0;
    const uint32_t length = longer ? experiment->evaluate.length : experiment->tasks.length;
    const uint32_t rows = length * experiment->tasks.bundle, number[3] = {1, 1, 1};
    const bool is_told = experiment->meta.kind == MN_META_EPISODIC;
    mn_fields_init(fields, MN_TARGET_VALUES, 1);
    fields->bundle = experiment->tasks.bundle;
    name_points(experiment->tasks.points, length, &fields->points);
    return mn_fields_add_sequence(fields, rows, number, is_told, err);
}

/* The point of item t at this age of its sinusoid, which is the stream's first or a later one. */
static float point_of(const struct state *state, const mn_points *points, uint32_t t, uint32_t age,
                      bool has_jumped)
{
    const uint32_t point = state->points == MN_BY_POSITION ? t : has_jumped ? age : points->n;
    return (float)(point < points->n ? point : points->n);
}

static void draw(const void *of, mn_split split, uint64_t index, mn_random *random, mn_task *task)
{
    const struct state *state = of;
    const mn_sinusoid *from = &state->sinusoid;
    const uint32_t bundle = task->fields.bundle;
    float *x = mn_task_find(task, MN_QUERY, "x"), *y = mn_task_find(task, MN_QUERY, "y");
    float *before = mn_task_find(task, MN_QUERY, "label_before");
    float *point = mn_task_find(task, MN_QUERY, "point");
    const uint32_t length = mn_fields_find(&task->fields, MN_QUERY, "y")->n / bundle;
    (void)split;
    (void)index;
    for (uint32_t b = 0; b < bundle; b++) {
        double amplitude = 0, phase = 0;
        bool has_jumped = false;
        for (uint32_t t = 0, age = 0; t < length; t++, age++) {
            const size_t row = (size_t)t * bundle + b;
            const bool jumps = t > 0 && mn_random_unit(random) < state->jumps;
            if (t == 0 || jumps) {
                amplitude = mn_random_uniform(random, from->amplitude[0], from->amplitude[1]);
                phase = mn_random_uniform(random, from->phase[0], from->phase[1]);
                has_jumped = has_jumped || jumps;
                age = 0;
            }
            x[row] = (float)mn_random_uniform(random, from->x_range[0], from->x_range[1]);
            y[row] = (float)(amplitude * mn_sinusoid_sine((double)x[row] - phase));
            if (before != NULL)
                before[row] = t == 0 ? 0.0f : y[row - bundle];
            point[row] = point_of(state, &task->fields.points, t, age, has_jumped);
        }
    }
    task->n_classes = 0;
}

/* The first stream. */
static void describe(const void *of, const mn_task *task, FILE *out)
{
    const struct state *state = of;
    const uint32_t bundle = task->fields.bundle, n = task->fields.points.n;
    const float *x = mn_task_find(task, MN_QUERY, "x"), *y = mn_task_find(task, MN_QUERY, "y");
    const float *point = mn_task_find(task, MN_QUERY, "point");
    const uint32_t length = mn_fields_find(&task->fields, MN_QUERY, "y")->n / bundle;
    (void)fprintf(out,
                  "%" PRIu32 " streams of %" PRIu32
                  " points of a sinusoid that jumps with chance %g at each; the first of them:\n"
                  "  point          x          y  %s\n",
                  bundle, length, state->jumps, task->fields.points.axis);
    for (uint32_t t = 0; t < length; t++) {
        const size_t row = (size_t)t * bundle;
        char name[12] = "-";
        if (point[row] < (float)n)
            (void)snprintf(name, sizeof name, "%s", task->fields.points.names[(size_t)point[row]]);
        (void)fprintf(out, "  %5" PRIu32 "  %9.4f  %9.4f  %s\n", t + 1, (double)x[row],
                      (double)y[row], name);
    }
}

const mn_task_set_kind mn_sinusoid_stream_kind = {
    .open = open_tasks, .close = free, .draw = draw, .describe = describe};
