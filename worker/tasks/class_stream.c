#include "worker/tasks/class_stream.h"

#include "worker/tasks/drawings.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 12u /* classes that a description lists at each end */

struct state {
    mn_stream_order order;
    mn_drawings drawings;
};

/* What a split's streams are made of. */
struct extent {
    uint32_t way, shot, query;
};

enum { FROM = MN_N_FEW_SHOT, POINT }; /* fields of tests behind those of a few-shot task */

static mn_status make_fields(const mn_experiment *experiment, mn_split split, uint32_t channels,
                             mn_fields *fields, mn_error *err);

static struct extent extent_of(const mn_experiment *e, mn_split split)
{
    const bool other = split != MN_TRAIN;
    return (struct extent){
        .way = other && e->evaluate.way != 0 ? e->evaluate.way : e->tasks.way,
        .shot = other && e->evaluate.shot != 0 ? e->evaluate.shot : e->tasks.shot,
        .query = other && e->evaluate.query != 0 ? e->evaluate.query : e->tasks.query};
}

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    mn_few_shot few_shot[MN_N_SPLITS];
    struct state *state = calloc(1, sizeof *state);
    parts->state = state;
    if (state == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    state->order = experiment->tasks.order;
    mn_status status = mn_drawings_open(&state->drawings, experiment, parts, err);
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++) {
        const struct extent extent = extent_of(experiment, split);
        few_shot[split] = (mn_few_shot){.way = {extent.way, extent.way},
                                        .shot = {extent.shot, extent.shot},
                                        .query = extent.query};
        status =
            make_fields(experiment, split, state->drawings.channels, &parts->fields[split], err);
    }
    return status == MN_OK ? mn_drawings_prepare(&state->drawings, experiment, few_shot, err)
                           : status;
}

static void close_tasks(void *of)
{
    struct state *state = of;
    if (state == NULL)
        return;
    mn_drawings_close(&state->drawings);
    free(state);
}

static uint32_t parts_of(uint32_t way)
{
    return way < MN_STREAM_PARTS ? way : MN_STREAM_PARTS;
}

static void name_points(uint32_t way, mn_points *points)
{
    const uint8_t n = (uint8_t)parts_of(way); /* at most MN_STREAM_PARTS */
    (void)snprintf(points->axis, sizeof points->axis, "part of stream");
    for (uint8_t i = 1; i <= n; i++)
        (void)snprintf(points->names[i - 1], sizeof points->names[i - 1], "%" PRIu8 "/%" PRIu8, i,
                       n);
    (void)snprintf(points->names[n], sizeof points->names[n], "trained on");
    points->n = n + 1;
}

static mn_status make_fields(const mn_experiment *experiment, mn_split split, uint32_t channels,
                             mn_fields *fields, mn_error *err)
{
    const struct extent extent = extent_of(experiment, split);
    const uint32_t way = extent.way, shot = extent.shot, query = extent.query;
    const uint32_t side = experiment->tasks.image_size;
    const uint32_t x[3] = {side, side, channels}, number[3] = {1, 1, 1};
    const char *section = split == MN_TRAIN ? "tasks" : "evaluate";
    if (way < 2 || way > MN_MAX_WAY || shot == 0 || shot + query > MN_DRAWINGS_MAX_EACH)
        return mn_fail(
            err, MN_ERR_CONFIG,
            "a stream of %" PRIu32 " classes with %" PRIu32 " + %" PRIu32
            " images each (%s.way, .shot, .query): expected 2 to %d classes, and 1 to %u "
            "images",
            way, shot, query, section, MN_MAX_WAY, MN_DRAWINGS_MAX_EACH);
    const uint32_t asked = way * (split == MN_TRAIN ? query : query + shot);
    mn_error why;
    mn_status status =
        mn_fields_few_shot(fields, way * shot, asked, x, MN_TARGET_CLASSES, way, &why);
    if (status == MN_OK && split != MN_TRAIN)
        status = mn_fields_add(fields, MN_QUERY, "from", MN_FIELD_IDS, asked, number, &why);
    if (status == MN_OK && split != MN_TRAIN)
        status = mn_fields_add(fields, MN_QUERY, "point", MN_FIELD_IDS, asked, number, &why);
    if (status != MN_OK)
        return mn_fail(err, status,
                       "a stream of %" PRIu32 " classes with %" PRIu32 " + %" PRIu32
                       " images of %" PRIu32 "x%" PRIu32
                       " is longer than memory allows (%s); lower %s.way, %s.shot or %s.query",
                       way, shot, query, side, side, why.message, section, section, section);
    if (split != MN_TRAIN)
        name_points(way, &fields->points);
    return MN_OK;
}

static void swap_rows(float *rows, size_t size, uint32_t a, uint32_t b)
{
    for (size_t i = 0; i < size; i++) {
        const float kept = rows[a * size + i];
        rows[a * size + i] = rows[b * size + i];
        rows[b * size + i] = kept;
    }
}

static void shuffle_stream(mn_random *random, mn_task *task)
{
    const mn_field *x = &task->fields.at[MN_SUPPORT_X];
    for (uint32_t left = x->n; left > 1; left--) {
        const uint32_t other = mn_random_below(random, left);
        if (other == left - 1)
            continue;
        swap_rows(task->at[MN_SUPPORT_X], mn_field_item(x), left - 1, other);
        swap_rows(task->at[MN_SUPPORT_Y], task->fields.y_size, left - 1, other);
    }
}

static void draw_class(const struct state *state, mn_split split, mn_random *random, mn_task *task,
                       uint32_t label)
{
    const mn_field *x = &task->fields.at[MN_SUPPORT_X];
    const uint32_t way = task->fields.y_size, shot = x->n / way;
    const uint32_t asked = task->fields.at[MN_QUERY_X].n;
    const uint32_t query = (split == MN_TRAIN ? asked : asked - x->n) / way;
    const size_t size = mn_field_item(x);
    mn_drawn_class class;
    mn_drawings_begin(&state->drawings, split, random, task->classes[label], shot + query, &class);
    for (uint32_t i = 0; i < shot + query; i++) {
        float *to = i < shot ? task->at[MN_SUPPORT_X] + ((size_t)label * shot + i) * size
                             : task->at[MN_QUERY_X] + ((size_t)label * query + i - shot) * size;
        mn_drawings_show(&state->drawings, &class, random, i, x, to);
    }
}

/* What tests ask beside: the stream's own images, from when an item is asked, and its point. */
static void finish_test(mn_task *task)
{
    const mn_field *x = &task->fields.at[MN_SUPPORT_X];
    const uint32_t way = task->fields.y_size, n = x->n, n_asked = task->fields.at[MN_QUERY_X].n - n;
    const uint32_t query = n_asked / way, n_parts = parts_of(way);
    const size_t size = mn_field_item(x);
    memcpy(task->at[MN_QUERY_X] + n_asked * size, task->at[MN_SUPPORT_X], n * size * sizeof(float));
    memcpy(task->at[MN_QUERY_Y] + (size_t)n_asked * way, task->at[MN_SUPPORT_Y],
           (size_t)n * way * sizeof(float));
    uint32_t ends[MN_MAX_WAY] = {0}; /* of the stream, as far as the last item of a class */
    for (uint32_t i = 0; i < n; i++)
        ends[mn_label_of(way, task->at[MN_SUPPORT_Y] + (size_t)i * way)] = i + 1;
    for (uint32_t i = 0; i < n_asked; i++) {
        const uint32_t label = i / query;
        task->at[FROM][i] = (float)ends[label];
        task->at[POINT][i] = (float)((uint64_t)label * n_parts / way);
    }
    for (uint32_t i = n_asked; i < n_asked + n; i++) {
        task->at[FROM][i] = (float)(n + 1);
        task->at[POINT][i] = (float)n_parts;
    }
}

static void draw(const void *of, mn_split split, uint64_t index, mn_random *random, mn_task *task)
{
    const struct state *state = of;
    const uint32_t way = task->fields.y_size, n = task->fields.at[MN_SUPPORT_X].n;
    const uint32_t asked = task->fields.at[MN_QUERY_X].n;
    (void)index;
    mn_drawings_choose(&state->drawings, split, random, way, task->classes);
    task->n_classes = way;
    for (uint32_t label = 0; label < way; label++)
        draw_class(state, split, random, task, label);
    mn_few_shot_label(way, n / way, task->at[MN_SUPPORT_Y]);
    mn_few_shot_label(way, (split == MN_TRAIN ? asked : asked - n) / way, task->at[MN_QUERY_Y]);
    if (state->order == MN_ORDER_SHUFFLED)
        shuffle_stream(random, task);
    if (split != MN_TRAIN)
        finish_test(task);
}

static mn_status check(const void *of, mn_split split, mn_error *err)
{
    const struct state *state = of;
    return mn_drawings_check(&state->drawings, split, err);
}

static void describe(const void *of, const mn_task *task, FILE *out)
{
    const struct state *state = of;
    const uint32_t way = task->fields.y_size, n = task->fields.at[MN_SUPPORT_X].n;
    const uint32_t asked = task->fields.at[MN_QUERY_X].n, shot = n / way;
    const bool is_test = task->fields.n > MN_N_FEW_SHOT;
    const bool shuffled = state->order == MN_ORDER_SHUFFLED;
    (void)fprintf(out,
                  "a stream of %" PRIu32 " images, %" PRIu32 " of each of %" PRIu32 " classes, %s\n"
                  "asked: %" PRIu32 " other images of each%s\n",
                  n, shot, way, shuffled ? "shuffled" : "class after class",
                  (is_test ? asked - n : asked) / way,
                  is_test
                      ? ", as soon as the stream has shown all of its class; and in the end the "
                        "stream's own again"
                      : ", in the end");
    if (!shuffled)
        (void)fprintf(out, "  images          class in the split  label\n");
    for (uint32_t label = 0; label < way && !shuffled; label++) {
        if (label == SHOWN && way > 2 * SHOWN) {
            (void)fprintf(out, "  ...\n");
            label = way - SHOWN;
        }
        char range[24];
        (void)snprintf(range, sizeof range, "%" PRIu32 "-%" PRIu32, label * shot + 1,
                       (label + 1) * shot);
        (void)fprintf(out, "  %-14s  %18" PRIu32 "  %5" PRIu32 "\n", range, task->classes[label],
                      label);
    }
}

const mn_task_set_kind mn_class_stream_kind = {
    .open = open_tasks, .close = close_tasks, .check = check, .draw = draw, .describe = describe};
