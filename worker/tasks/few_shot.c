#include "worker/tasks/few_shot.h"

#include "worker/tasks/task_set_kind.h"

#include <inttypes.h>
#include <string.h>

/* What is drawn of the rest is `most` alone. */
static void range(uint32_t from, uint32_t most, uint32_t out[2])
{
    out[0] = from != 0 ? from : most;
    out[1] = most;
}

mn_few_shot mn_few_shot_of(const mn_experiment *e, mn_split split)
{
    const bool other = split != MN_TRAIN;
    const bool other_way = other && e->evaluate.way != 0,
               other_shot = other && e->evaluate.shot != 0;
    uint32_t way_from = other_way ? 0 : e->tasks.way_from;
    uint32_t shot_from = other_shot ? 0 : e->tasks.shot_from;
    if (other && e->evaluate.way_from != 0)
        way_from = e->evaluate.way_from;
    if (other && e->evaluate.shot_from != 0)
        shot_from = e->evaluate.shot_from;
    if (split == MN_TEST && e->tasks.kind == MN_TASKS_IMAGES && e->tasks.runs[0] != '\0')
        way_from = shot_from = 0; /* its tasks are given */
    mn_few_shot few_shot = {.query = other && e->evaluate.query != 0 ? e->evaluate.query
                                                                     : e->tasks.query,
                            .varies = way_from != 0 || shot_from != 0,
                            .unbalanced = e->tasks.unbalanced && shot_from != 0};
    range(way_from, other_way ? e->evaluate.way : e->tasks.way, few_shot.way);
    range(shot_from, other_shot ? e->evaluate.shot : e->tasks.shot, few_shot.shot);
    return few_shot;
}

mn_status mn_few_shot_images(const mn_experiment *experiment, uint32_t side, uint32_t channels,
                             mn_fields fields[MN_N_SPLITS], mn_error *err)
{
    const uint32_t x[3] = {side, side, channels};
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        const mn_few_shot few_shot = mn_few_shot_of(experiment, split);
        const uint32_t way = few_shot.way[1], shot = few_shot.shot[1], query = few_shot.query;
        uint32_t n_support, n_query;
        if (way == 0 || way > MN_MAX_WAY)
            return mn_fail(err, MN_ERR_CONFIG, "%s is %" PRIu32 ", but a task has 1 to %d classes",
                           split != MN_TRAIN && experiment->evaluate.way != 0 ? "evaluate.way"
                                                                              : "tasks.way",
                           way, MN_MAX_WAY);
        if (__builtin_mul_overflow(way, shot, &n_support) ||
            __builtin_mul_overflow(way, query, &n_query))
            n_support = n_query = 0; /* refused below */
        mn_status status =
            mn_fields_few_shot(&fields[split], n_support, n_query, x, MN_TARGET_CLASSES, way, NULL);
        if (status == MN_OK && few_shot.varies)
            status = mn_fields_add_padding(&fields[split], NULL);
        if (status != MN_OK)
            return mn_fail(err, MN_ERR_CONFIG,
                           "tasks of %" PRIu32 " classes with %" PRIu32 " + %" PRIu32
                           " images of %" PRIu32 "x%" PRIu32
                           " are none, or too large for memory (tasks.way, tasks.shot, tasks.query,"
                           " tasks.image_size, evaluate.way, evaluate.shot, evaluate.query)",
                           way, shot, query, side, side);
    }
    return MN_OK;
}

static uint32_t between(mn_random *random, uint32_t least, uint32_t most)
{
    return most > least ? least + mn_random_below(random, most - least + 1) : least;
}

uint32_t mn_few_shot_draw_way(const mn_few_shot *few_shot, mn_random *random, uint32_t most)
{
    return between(random, few_shot->way[0], most < few_shot->way[1] ? most : few_shot->way[1]);
}

void mn_few_shot_draw_shots(const mn_few_shot *few_shot, mn_random *random, uint32_t way,
                            uint32_t *shots)
{
    for (uint32_t label = 0; label < way; label++)
        shots[label] = label > 0 && !few_shot->unbalanced
                           ? shots[0]
                           : between(random, few_shot->shot[0], few_shot->shot[1]);
}

float *mn_few_shot_support(const mn_few_shot *few_shot, const mn_task *task, uint32_t label,
                           uint32_t i)
{
    const size_t item = (size_t)label * few_shot->shot[1] + i;
    return task->at[MN_SUPPORT_X] + item * mn_field_item(&task->fields.at[MN_SUPPORT_X]);
}

float *mn_few_shot_query(const mn_few_shot *few_shot, const mn_task *task, uint32_t label,
                         uint32_t i)
{
    const size_t item = (size_t)label * few_shot->query + i;
    return task->at[MN_QUERY_X] + item * mn_field_item(&task->fields.at[MN_QUERY_X]);
}

/* x of a padded item is 0; its weight as well. */
static void pad(mn_task *task, mn_role role, int x_at)
{
    const mn_field *field = &task->fields.at[x_at];
    const size_t way = task->fields.y_size, size = mn_field_item(field);
    const float *y = task->at[x_at + 1];
    float *weight = mn_task_find(task, role, "weight");
    uint32_t there = 0;
    for (uint32_t i = 0; i < field->n; i++) {
        weight[i] = !mn_is_padding((uint32_t)way, y + i * way);
        there += weight[i] != 0;
    }
    for (uint32_t i = 0; i < field->n; i++) {
        if (weight[i] != 0)
            weight[i] = 1.0f / (float)there;
        else
            memset(task->at[x_at] + i * size, 0, size * sizeof(float));
    }
}

void mn_few_shot_finish(const mn_few_shot *few_shot, uint32_t way, const uint32_t *shots,
                        mn_task *task)
{
    const size_t most = few_shot->way[1];
    memset(task->at[MN_SUPPORT_Y], 0, most * few_shot->shot[1] * most * sizeof(float));
    memset(task->at[MN_QUERY_Y], 0, most * few_shot->query * most * sizeof(float));
    for (size_t label = 0; label < way; label++) {
        for (uint32_t i = 0; i < shots[label]; i++)
            task->at[MN_SUPPORT_Y][(label * few_shot->shot[1] + i) * most + label] = 1.0f;
        for (uint32_t i = 0; i < few_shot->query; i++)
            task->at[MN_QUERY_Y][(label * few_shot->query + i) * most + label] = 1.0f;
    }
    task->n_classes = way;
    if (!few_shot->varies)
        return;
    pad(task, MN_SUPPORT, MN_SUPPORT_X);
    pad(task, MN_QUERY, MN_QUERY_X);
    float *classes = mn_task_find(task, MN_SHARED, "classes");
    for (uint32_t label = 0; label < most; label++)
        classes[label] = label < way ? 1.0f : 0.0f;
}

void mn_few_shot_label(uint32_t way, uint32_t each, float *y)
{
    memset(y, 0, (size_t)way * each * way * sizeof *y);
    for (uint32_t item = 0; item < way * each; item++)
        y[(size_t)item * way + item / each] = 1.0f;
}
