#include "worker/tasks/sequences.h"

#include "worker/tasks/glyphs.h"
#include "worker/tasks/image_tasks.h"
#include "worker/tasks/task_set_kind.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LENGTH 1000u /* as tasks.length; a draw keeps so many numbers on its stack */

struct state {
    uint64_t seed;
    mn_image_pack *pack;    /* owned; NULL: glyphs */
    mn_image_tasks *tables; /* owned */
};

enum { X, LABEL_BEFORE, Y, POINT }; /* fields, in order */

static mn_status make_fields(const mn_experiment *experiment, uint32_t channels, mn_fields *fields,
                             mn_error *err);
static void draw_sequence(const struct state *state, mn_split split, mn_random *random,
                          mn_task *task, uint32_t b, uint32_t *classes);

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    const uint32_t showings = experiment->tasks.length / experiment->tasks.way;
    uint32_t way[MN_N_SPLITS], per_class[MN_N_SPLITS], channels = 1;
    struct state *state = calloc(1, sizeof *state);
    parts->state = state;
    if (state == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    state->seed = experiment->seed;
    mn_status status = MN_OK;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        way[split] = experiment->tasks.way;
        per_class[split] = showings;
    }
    if (experiment->tasks.length % experiment->tasks.way != 0 || showings == 0 ||
        experiment->tasks.length > MAX_LENGTH || showings > MN_MAX_POINTS)
        return mn_fail(err, MN_ERR_CONFIG,
                       "a sequence of tasks.length %" PRIu32 " images of tasks.way %" PRIu32
                       " classes: expected a multiple of the classes, up to %u, and up to %d "
                       "images of each",
                       experiment->tasks.length, experiment->tasks.way, MAX_LENGTH, MN_MAX_POINTS);
    if (experiment->tasks.data[0] != '\0') {
        status = mn_open_image_pack(experiment, parts, &state->pack, err);
        if (status == MN_OK)
            status =
                mn_image_tasks_of(state->pack, experiment, way, per_class, &state->tables, err);
        if (status == MN_OK)
            channels = mn_image_pack_index(state->pack)->channels;
    }
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++)
        status = make_fields(experiment, channels, &parts->fields[split], err);
    return status;
}

static mn_status make_fields(const mn_experiment *experiment, uint32_t channels, mn_fields *fields,
                             mn_error *err)
{
    const uint32_t way = experiment->tasks.way, side = experiment->tasks.image_size;
    const uint32_t x[3] = {side, side, channels}, label[3] = {1, 1, way}, number[3] = {1, 1, 1};
    const uint32_t rows = experiment->tasks.length * experiment->tasks.bundle;
    mn_fields_init(fields, MN_TARGET_CLASSES, way);
    fields->bundle = experiment->tasks.bundle;
    fields->points.n = experiment->tasks.length / way;
    (void)snprintf(fields->points.axis, sizeof fields->points.axis, "showing");
    for (uint32_t i = 0; i < fields->points.n; i++)
        (void)snprintf(fields->points.names[i], sizeof fields->points.names[i], "%" PRIu32, i + 1);
    mn_status status = mn_fields_add(fields, MN_QUERY, "x", MN_FIELD_NUMBERS, rows, x, err);
    if (status == MN_OK)
        status =
            mn_fields_add(fields, MN_QUERY, "label_before", MN_FIELD_NUMBERS, rows, label, err);
    if (status == MN_OK)
        status = mn_fields_add(fields, MN_QUERY, "y", MN_FIELD_NUMBERS, rows, label, err);
    if (status == MN_OK)
        status = mn_fields_add(fields, MN_QUERY, "point", MN_FIELD_IDS, rows, number, err);
    return status;
}

static void close_tasks(void *of)
{
    struct state *state = of;
    if (state == NULL)
        return;
    mn_image_tasks_destroy(&state->tables);
    mn_image_pack_destroy(&state->pack);
    free(state);
}

static void draw(const void *of, mn_split split, uint64_t index, mn_random *random, mn_task *task)
{
    const struct state *state = of;
    uint32_t others[MN_MAX_WAY];
    (void)index;
    for (uint32_t b = 0; b < task->fields.bundle; b++)
        draw_sequence(state, split, random, task, b, b == 0 ? task->classes : others);
    task->n_classes = task->fields.y_size; /* of the first sequence */
}

/* Glyphs have no end of classes: numbers that differ are classes that do. */
static void choose_glyphs(mn_random *random, uint32_t way, uint32_t *classes)
{
    for (uint32_t i = 0; i < way; i++) {
        bool fresh;
        do {
            classes[i] = mn_random_u32(random);
            fresh = true;
            for (uint32_t other = 0; other < i; other++)
                fresh = fresh && classes[other] != classes[i];
        } while (!fresh);
    }
}

static void draw_sequence(const struct state *state, mn_split split, mn_random *random,
                          mn_task *task, uint32_t b, uint32_t *classes)
{
    const mn_field *x = &task->fields.at[X];
    const uint32_t way = task->fields.y_size, bundle = task->fields.bundle;
    const uint32_t length = x->n / bundle, each = length / way;
    const size_t size = mn_field_item(x);
    uint32_t labels[MAX_LENGTH], showings[MAX_LENGTH], images[MAX_LENGTH];
    if (state->tables == NULL)
        choose_glyphs(random, way, classes);
    else
        mn_image_tasks_choose(state->tables, split, random, way, classes);
    for (uint32_t t = 0; t < length; t++)
        labels[t] = t / each;
    mn_random_shuffle(random, length, labels);
    mn_sequence_showings(way, length, labels, showings);

    for (uint32_t label = 0; label < way; label++) {
        mn_glyph glyph;
        if (state->tables == NULL)
            glyph = mn_glyph_make(state->seed, split, classes[label]);
        else
            mn_random_choose(random, mn_image_tasks_images(state->tables, split, classes[label]),
                             each, images);
        for (uint32_t t = 0; t < length; t++) {
            float *out = task->at[X] + ((size_t)t * bundle + b) * size;
            if (labels[t] != label)
                continue;
            if (state->tables == NULL)
                mn_glyph_draw(&glyph, random, x->height, out);
            else
                mn_image_tasks_show(state->tables, split, random, classes[label],
                                    images[showings[t]], x, out);
        }
    }

    for (uint32_t t = 0; t < length; t++) {
        const size_t row = (size_t)t * bundle + b;
        float *y = task->at[Y] + row * way, *before = task->at[LABEL_BEFORE] + row * way;
        memset(y, 0, way * sizeof *y);
        memset(before, 0, way * sizeof *before);
        y[labels[t]] = 1.0f;
        if (t > 0)
            before[labels[t - 1]] = 1.0f;
        task->at[POINT][row] = (float)showings[t];
    }
}

void mn_sequence_showings(uint32_t way, uint32_t length, const uint32_t *labels, uint32_t *showings)
{
    uint32_t shown[MN_MAX_WAY] = {0};
    (void)way;
    for (uint32_t t = 0; t < length; t++)
        showings[t] = shown[labels[t]]++;
}

static uint32_t label_of(uint32_t way, const float *row)
{
    uint32_t label = 0;
    while (label < way && row[label] == 0.0f)
        label++;
    return label;
}

/* The first sequence: what is shown, which label it has, and which the learner is told. */
static void describe(const void *of, const mn_task *task, FILE *out)
{
    const uint32_t way = task->fields.y_size, bundle = task->fields.bundle;
    const uint32_t length = task->fields.at[X].n / bundle;
    (void)of;
    (void)fprintf(out,
                  "%" PRIu32 " sequences of %" PRIu32 " images of %" PRIu32
                  " classes; the first of them:\n  step  class       label  showing  told\n",
                  bundle, length, way);
    for (uint32_t t = 0; t < length; t++) {
        const size_t row = (size_t)t * bundle;
        const uint32_t label = label_of(way, task->at[Y] + row * way);
        const uint32_t told = label_of(way, task->at[LABEL_BEFORE] + row * way);
        char before[16] = "-";
        if (told < way)
            (void)snprintf(before, sizeof before, "%" PRIu32, told);
        (void)fprintf(out, "  %4" PRIu32 "  %-10" PRIu32 "  %5" PRIu32 "  %7.0f  %4s\n", t + 1,
                      label < way ? task->classes[label] : 0, label,
                      (double)task->at[POINT][row] + 1.0, before);
    }
}

static mn_status check(const void *of, mn_split split, mn_error *err)
{
    const struct state *state = of;
    return state->tables != NULL ? mn_image_tasks_check(state->tables, split, err) : MN_OK;
}

const mn_task_set_kind mn_sequence_kind = {
    .open = open_tasks, .close = close_tasks, .check = check, .draw = draw, .describe = describe};
