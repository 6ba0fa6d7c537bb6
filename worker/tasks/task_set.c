#include "worker/tasks/task_set.h"

#include "worker/data/data_path.h"
#include "worker/data/image_pack.h"
#include "worker/tasks/glyphs.h"
#include "worker/tasks/image_tasks.h"
#include "worker/tasks/sinusoid.h"
#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WAY (sizeof((mn_task *)0)->classes / sizeof(uint32_t))
#define ALIGNMENT 64u

struct mn_task_set {
    mn_task_kind kind;
    uint64_t seed;
    uint32_t way;
    mn_task_shape shapes[MN_N_SPLITS];
    mn_sinusoid sinusoid;
    char data_name[256];
    mn_image_pack *pack;    /* images: owned */
    mn_image_tasks *images; /* images: owned */
};

static mn_status open_images(mn_task_set *set, const mn_experiment *experiment,
                             const mn_digest *expected, mn_error *err);
static mn_status check_data(const mn_task_set *set, const mn_experiment *experiment,
                            const mn_digest *expected, mn_error *err);
static mn_status shape_tasks(mn_task_set *set, const mn_experiment *experiment, uint32_t channels,
                             mn_error *err);
static bool size_of_task(const mn_task_shape *shape, size_t floats[4], size_t *bytes);

mn_status mn_task_set_open(const mn_experiment *experiment, const mn_digest *expected,
                           mn_task_set **out, mn_error *err)
{
    mn_task_set *set = calloc(1, sizeof *set);
    if (set == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    set->kind = experiment->tasks.kind;
    set->seed = experiment->seed;
    set->way = experiment->tasks.way;

    mn_status status = MN_OK;
    switch (set->kind) {
    case MN_TASKS_SINUSOID:
        memcpy(set->sinusoid.amplitude, experiment->tasks.amplitude,
               sizeof set->sinusoid.amplitude);
        memcpy(set->sinusoid.phase, experiment->tasks.phase, sizeof set->sinusoid.phase);
        memcpy(set->sinusoid.x_range, experiment->tasks.x_range, sizeof set->sinusoid.x_range);
        status = shape_tasks(set, experiment, 1, err);
        break;
    case MN_TASKS_GLYPHS:
        status = shape_tasks(set, experiment, 1, err);
        break;
    case MN_TASKS_IMAGES:
        status = open_images(set, experiment, expected, err);
        break;
    }
    if (status != MN_OK) {
        mn_task_set_destroy(&set);
        return status;
    }
    *out = set;
    return MN_OK;
}

void mn_task_set_destroy(mn_task_set **set)
{
    if (*set == NULL)
        return;
    mn_image_tasks_destroy(&(*set)->images);
    mn_image_pack_destroy(&(*set)->pack);
    free(*set);
    *set = NULL;
}

mn_task_shape mn_task_set_shape(const mn_task_set *set, mn_split split)
{
    return set->shapes[split];
}

mn_digest mn_task_set_data_digest(const mn_task_set *set)
{
    return set->pack != NULL ? mn_image_pack_digest(set->pack) : mn_digest_of("", 0);
}

const char *mn_task_set_data_name(const mn_task_set *set)
{
    return set->data_name;
}

mn_status mn_task_set_check(const mn_task_set *set, mn_split split, mn_error *err)
{
    return set->images != NULL ? mn_image_tasks_check(set->images, split, err) : MN_OK;
}

uint32_t mn_task_set_classes(const mn_task_set *set, mn_split split)
{
    switch (set->kind) {
    case MN_TASKS_IMAGES:
        return mn_image_tasks_classes(set->images, split);
    case MN_TASKS_GLYPHS:
        return UINT32_MAX;
    case MN_TASKS_SINUSOID:
        break;
    }
    return 0;
}

mn_status mn_task_new(const mn_task_shape *shape, mn_task **out, mn_error *err)
{
    size_t floats[4], bytes;
    if (!size_of_task(shape, floats, &bytes))
        return mn_fail(err, MN_ERR_RANGE,
                       "a task of %" PRIu32 " + %" PRIu32 " items of %" PRIu32 "x%" PRIu32
                       "x%" PRIu32 " does not fit in memory",
                       shape->n_support, shape->n_query, shape->height, shape->width,
                       shape->channels);
    mn_task *task = aligned_alloc(ALIGNMENT, bytes);
    if (task == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "a task of %zu bytes", bytes);
    memset(task, 0, bytes);
    task->shape = *shape;

    char *at = (char *)task + (sizeof *task + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    float **arrays[4] = {&task->support_x, &task->support_y, &task->query_x, &task->query_y};
    for (int i = 0; i < 4; i++) {
        *arrays[i] = (float *)(void *)at;
        at += floats[i] * sizeof(float);
    }
    *out = task;
    return MN_OK;
}

void mn_task_destroy(mn_task **task)
{
    free(*task);
    *task = NULL;
}

void mn_task_set_draw(const mn_task_set *set, mn_split split, uint64_t index, mn_task *task)
{
    static const mn_purpose purposes[MN_N_SPLITS] = {
        [MN_TRAIN] = MN_RANDOM_TASK_TRAIN,
        [MN_VAL] = MN_RANDOM_TASK_VAL,
        [MN_TEST] = MN_RANDOM_TASK_TEST,
    };
    assert(memcmp(&task->shape, &set->shapes[split], sizeof task->shape) == 0);
    mn_random random = mn_random_stream(set->seed, purposes[split], index);
    switch (set->kind) {
    case MN_TASKS_SINUSOID:
        mn_sinusoid_draw(&set->sinusoid, &random, task);
        break;
    case MN_TASKS_IMAGES:
        mn_image_tasks_draw(set->images, split, &random, task);
        break;
    case MN_TASKS_GLYPHS:
        mn_glyphs_draw(set->seed, split, set->way, &random, task);
        break;
    }
}

/* Opening ------------------------------------------------------------------------- */

static mn_status open_images(mn_task_set *set, const mn_experiment *experiment,
                             const mn_digest *expected, mn_error *err)
{
    char *path = NULL;
    mn_status status = mn_data_path_find(experiment->tasks.data, experiment->run.data_path,
                                         experiment->tasks.image_size, &path, err);
    if (status != MN_OK)
        return status;
    (void)snprintf(set->data_name, sizeof set->data_name, "%s", experiment->tasks.data);
    status = mn_image_pack_open(path, &set->pack, err);
    free(path);
    if (status == MN_OK)
        status = check_data(set, experiment, expected, err);
    if (status == MN_OK)
        status = shape_tasks(set, experiment, mn_image_pack_index(set->pack)->channels, err);
    if (status == MN_OK)
        status = mn_image_tasks_new(set->pack, experiment, set->shapes, &set->images, err);
    return status;
}

static mn_status check_data(const mn_task_set *set, const mn_experiment *experiment,
                            const mn_digest *expected, mn_error *err)
{
    const mn_pack_index *index = mn_image_pack_index(set->pack);
    const char *path = mn_image_pack_path(set->pack);
    uint32_t side = experiment->tasks.image_size;
    if (index->height != side || index->width != side)
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s has images of %" PRIu32 "x%" PRIu32 ", but tasks.image_size is %" PRIu32
                       "; change it or import the images again at that size",
                       path, index->height, index->width, side);
    mn_digest digest = mn_image_pack_digest(set->pack);
    if (expected != NULL && memcmp(expected->bytes, digest.bytes, sizeof digest.bytes) != 0) {
        char ours[65], theirs[65];
        mn_digest_hex(&digest, ours);
        mn_digest_hex(expected, theirs);
        return mn_fail(
            err, MN_ERR_DATA,
            "%s has digest %.16s..., but the coordinator uses %s with digest %.16s...; copy "
            "the coordinator's file to that place",
            path, ours, experiment->tasks.data, theirs);
    }
    return MN_OK;
}

static mn_status shape_tasks(mn_task_set *set, const mn_experiment *experiment, uint32_t channels,
                             mn_error *err)
{
    bool sinusoid = set->kind == MN_TASKS_SINUSOID;
    if (!sinusoid && (set->way == 0 || set->way > MAX_WAY))
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.way is %" PRIu32 ", but a task has 1 to %zu classes", set->way,
                       MAX_WAY);
    if (set->kind == MN_TASKS_GLYPHS &&
        (experiment->tasks.image_size == 0 || experiment->tasks.image_size > MN_GLYPH_MAX_SIZE))
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.image_size is %" PRIu32 ", but glyphs have 1 to %d pixels a side",
                       experiment->tasks.image_size, MN_GLYPH_MAX_SIZE);

    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        bool other_shot = split != MN_TRAIN && experiment->evaluate.shot != 0;
        bool other_query = split != MN_TRAIN && experiment->evaluate.query != 0;
        uint32_t shot = other_shot ? experiment->evaluate.shot : experiment->tasks.shot;
        uint32_t query = other_query ? experiment->evaluate.query : experiment->tasks.query;
        uint32_t times = sinusoid ? 1 : set->way;
        uint32_t side = sinusoid ? 1 : experiment->tasks.image_size;
        mn_task_shape *shape = &set->shapes[split];
        *shape = (mn_task_shape){
            .height = side,
            .width = side,
            .channels = channels,
            .y_size = times,
            .target = sinusoid ? MN_TARGET_VALUES : MN_TARGET_CLASSES,
        };
        size_t floats[4], bytes;
        if (shot == 0 || query == 0 || __builtin_mul_overflow(times, shot, &shape->n_support) ||
            __builtin_mul_overflow(times, query, &shape->n_query) ||
            !size_of_task(shape, floats, &bytes))
            return mn_fail(
                err, MN_ERR_CONFIG,
                "tasks of %" PRIu32 " + %" PRIu32
                " items a class are none, or too large for memory (tasks.shot, tasks.query, "
                "evaluate.shot, evaluate.query)",
                shot, query);
    }
    return MN_OK;
}

/* Numbers of floats of the four arrays, each rounded up so that the next one is aligned, and bytes
 * of all. */
static bool size_of_task(const mn_task_shape *shape, size_t floats[4], size_t *bytes)
{
    const size_t per_line = ALIGNMENT / sizeof(float);
    const size_t limit = SIZE_MAX / 16; /* leaves room for the sum and the rounding */
    size_t x = 0;
    if (__builtin_mul_overflow((size_t)shape->height, shape->width, &x) ||
        __builtin_mul_overflow(x, shape->channels, &x))
        return false;
    const size_t sizes[4][2] = {{shape->n_support, x},
                                {shape->n_support, shape->y_size},
                                {shape->n_query, x},
                                {shape->n_query, shape->y_size}};
    *bytes = (sizeof(mn_task) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    for (int i = 0; i < 4; i++) {
        if (__builtin_mul_overflow(sizes[i][0], sizes[i][1], &floats[i]) ||
            floats[i] > limit / sizeof(float) / 4)
            return false;
        floats[i] = (floats[i] + per_line - 1) / per_line * per_line;
        *bytes += floats[i] * sizeof(float);
    }
    return true;
}
