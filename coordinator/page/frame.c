#include "coordinator/page/frame.h"

#include "common/text.h"
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *run_of(const mn_board_config *run);
static json_t *curves_of(const mn_snapshot *now, const mn_snapshot *before);
static json_t *results_of(const mn_result_view *list, uint32_t n);
static json_t *last_of(const mn_board_config *run, const mn_snapshot *now);
static json_t *pool_of(const mn_pool_view *pool);
static json_t *gone_of(const mn_pool_view *pool);
static json_t *lines_of(const mn_snapshot *now, const mn_snapshot *before);
static json_t *plain(const char *text);
static json_t *real(double value);
static json_t *moment(double value);
static json_t *whole(uint64_t value);

mn_status mn_frame_print(const mn_board_config *run, const mn_snapshot *now,
                         const mn_snapshot *before, char **text, mn_error *err)
{
    json_t *frame = json_pack(
        "{s:o, s:o, s:o, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:o}",
        "number", whole(now->number), "since", whole(before != NULL ? before->number : 0),
        "taken_s", moment(now->taken_s), "phase", mn_phase_text(now->phase), "over",
        mn_phase_is_over(now->phase), "why", plain(now->why), "done", whole(now->done), "total",
        whole(now->total), "step", whole(now->step), "wall_s", real(now->wall_s), "to_go_s",
        real(now->to_go_s), "step_s", real(now->step_s), "tasks_per_s", real(now->tasks_per_s),
        "lr", real(now->lr), "grad_norm", real(now->grad_norm), "workers", whole(now->workers),
        "threads", whole(now->threads), "skipped", whole(now->skipped), "stepped_s",
        moment(now->stepped_s));
    json_t *shares = json_pack("{s:o, s:o, s:o, s:o, s:o}", "tasks", real(now->shares.tasks),
                               "sums", real(now->shares.sums), "reduce", real(now->shares.reduce),
                               "outer", real(now->shares.outer), "wait", real(now->shares.wait));
    bool made = frame != NULL;
    made = json_object_set_new(frame, "shares", shares) == 0 && made;
    made = json_object_set_new(frame, "last", last_of(run, now)) == 0 && made;
    made = json_object_set_new(frame, "curves", curves_of(now, before)) == 0 && made;
    made = json_object_set_new(frame, "validated", whole(now->validated)) == 0 && made;
    made = json_object_set_new(frame, "validation",
                               results_of(now->validation, now->n_validation)) == 0 &&
           made;
    made = json_object_set_new(frame, "test", results_of(now->test, now->n_test)) == 0 && made;
    made = json_object_set_new(frame, "test_tasks", whole(now->test_tasks)) == 0 && made;
    made = json_object_set_new(frame, "pool", pool_of(&now->pool)) == 0 && made;
    made = json_object_set_new(frame, "gone", gone_of(&now->pool)) == 0 && made;
    made = json_object_set_new(frame, "lines", lines_of(now, before)) == 0 && made;
    if (before == NULL)
        made = json_object_set_new(frame, "run", run_of(run)) == 0 && made;
    *text = made ? json_dumps(frame, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(frame);
    return *text != NULL ? MN_OK : mn_fail(err, MN_ERR_NOMEM, "state of the run as JSON");
}

static json_t *run_of(const mn_board_config *run)
{
    char host[256] = "", id[17];
    const mn_experiment *experiment = run->experiment;
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(id, sizeof id, "%016" PRIx64, run->run_id);
    return json_pack("{s:s, s:o, s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}",
                     "name", experiment->name, "folder", plain(run->folder), "id", id, "version",
                     MN_VERSION, "host", host, "process", (int)getpid(), "steps",
                     whole(experiment->outer.steps), "begun_at", whole(run->step), "batch",
                     whole(experiment->outer.batch), "ranks", whole(run->n_ranks), "seed",
                     whole(experiment->seed), "part", whole(run->part), "parts", whole(run->parts),
                     "experiment", run->yaml);
}

static json_t *point_of(const mn_trace_point *point)
{
    return isfinite(point->half_width) ? json_pack("[o, o, o]", real(point->step),
                                                   real(point->value), real(point->half_width))
                                       : json_pack("[o, o]", real(point->step), real(point->value));
}

static json_t *curve_of(const mn_curve_view *curve, const mn_curve_view *before)
{
    const mn_score *score = curve->score;
    json_t *points = json_array();
    const bool goes_on =
        before != NULL && before->stride == curve->stride && before->n_whole <= curve->n_whole;
    const uint32_t from = goes_on ? before->n_whole : 0;
    for (uint32_t i = from; i < curve->n; i++)
        (void)json_array_append_new(points, point_of(&curve->points[i]));
    return json_pack("{s:s, s:s, s:b, s:b, s:o, s:o, s:o}", "key", curve->key, "unit", score->unit,
                     "share", score->is_share, "higher", score->higher_is_better, "stride",
                     whole(curve->stride), "from", whole(from), "points", points);
}

static json_t *curves_of(const mn_snapshot *now, const mn_snapshot *before)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < now->n_curves; i++) { /* a curve keeps its place */
        const mn_curve_view *then =
            before != NULL && i < before->n_curves ? &before->curves[i] : NULL;
        (void)json_array_append_new(list, curve_of(&now->curves[i], then));
    }
    return list;
}

static json_t *results_of(const mn_result_view *list, uint32_t n)
{
    json_t *results = json_array();
    for (uint32_t i = 0; i < n; i++)
        (void)json_array_append_new(
            results, json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:o, s:o}", "key", list[i].key,
                               "name", list[i].score->name, "axis", list[i].score->axis, "point",
                               list[i].score->point, "unit", list[i].score->unit, "share",
                               list[i].score->is_share, "mean", real(list[i].estimate.mean),
                               "half_width", real(list[i].estimate.half_width)));
    return results;
}

static json_t *last_of(const mn_board_config *run, const mn_snapshot *now)
{
    json_t *last = json_object();
    for (uint32_t i = 0; i < now->n_last; i++) {
        char key[MN_SCORE_KEY];
        mn_score_key(&run->train->at[i], key);
        (void)json_object_set_new(last, key, real(now->last[i]));
    }
    return last;
}

static json_t *pool_of(const mn_pool_view *pool)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < pool->n_workers; i++) {
        const mn_worker_view *worker = &pool->workers[i];
        (void)json_array_append_new(
            list, json_pack("{s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "peer",
                            whole(worker->peer), "name", worker->name, "doing", worker->doing,
                            "threads", whole(worker->threads), "leases", whole(worker->leases),
                            "expired", whole(worker->expired), "damaged", whole(worker->damaged),
                            "tasks", whole(worker->tasks), "tasks_per_s", real(worker->tasks_per_s),
                            "here_s", real(worker->here_s), "silent_s", real(worker->silent_s),
                            "paused_s", real(worker->paused_s)));
    }
    return list;
}

static json_t *gone_of(const mn_pool_view *pool)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < pool->n_gone; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o}", "how",
                                                    pool->gone[i].how, "name", pool->gone[i].name,
                                                    "why", plain(pool->gone[i].why), "ago_s",
                                                    real(pool->gone[i].ago_s)));
    return list;
}

static json_t *lines_of(const mn_snapshot *now, const mn_snapshot *before)
{
    const uint64_t known =
        before != NULL && before->n_lines > 0 ? before->lines[before->n_lines - 1].id : 0;
    json_t *list = json_array();
    for (uint32_t i = 0; i < now->n_lines; i++)
        if (now->lines[i].id > known)
            (void)json_array_append_new(
                list, json_pack("[o, s]", whole(now->lines[i].id), now->lines[i].text));
    return list;
}

/* Folders and reasons may hold any bytes. */
static json_t *plain(const char *text)
{
    char safe[PATH_MAX];
    return json_stringn(safe, mn_text_escape(text, strlen(text), safe, sizeof safe));
}

/* A whole number stays one: steps of a long run have more digits than a real is told with. */
/* To nine digits, which is what floats have. */
static json_t *real(double value)
{
    char digits[32];
    (void)snprintf(digits, sizeof digits, "%.9g", value);
    return moment(strtod(digits, NULL));
}

/* Seconds since 1970 need more of them. */
static json_t *moment(double value)
{
    if (!isfinite(value))
        return json_null();
    return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value)
                                                       : json_real(value);
}

static json_t *whole(uint64_t value)
{
    return json_integer((json_int_t)value);
}
