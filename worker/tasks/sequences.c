#include "worker/tasks/sequences.h"

#include "worker/tasks/drawings.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LENGTH 1000u /* as tasks.length; a draw keeps so many numbers on its stack */

enum { N_LETTERS = 5, STRING_LENGTH = 5, N_STRINGS = 3125 };

struct state {
    uint32_t way;
    bool has_letters; /* a class is called by a string, not by its number */
    mn_drawings drawings;
};

enum { X, LABEL_BEFORE, Y, POINT }; /* fields, in order */

static mn_status check_length(const mn_experiment *experiment, mn_split split, mn_error *err);
static mn_status make_fields(const mn_experiment *experiment, mn_split split, uint32_t channels,
                             mn_fields *fields, mn_error *err);
static void draw_sequence(const struct state *state, mn_split split, mn_random *random,
                          mn_task *task, uint32_t b, uint32_t *classes);

/* Images of a sequence. */
static uint32_t length_of(const mn_experiment *experiment, mn_split split)
{
    return split == MN_TRAIN || experiment->evaluate.length == 0 ? experiment->tasks.length
                                                                 : experiment->evaluate.length;
}

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    mn_few_shot few_shot[MN_N_SPLITS] = {0}; /* so many classes, and images of each */
    struct state *state = calloc(1, sizeof *state);
    parts->state = state;
    if (state == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    state->way = experiment->tasks.way;
    state->has_letters = experiment->tasks.labels == MN_LABELS_LETTERS;
    mn_status status = MN_OK;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++) {
        status = check_length(experiment, split, err);
        for (int most = 0; most < 2; most++) {
            few_shot[split].way[most] = experiment->tasks.way;
            few_shot[split].shot[most] = length_of(experiment, split) / experiment->tasks.way;
        }
    }
    if (status == MN_OK)
        status = mn_drawings_open(&state->drawings, experiment, parts, err);
    if (status == MN_OK)
        status = mn_drawings_prepare(&state->drawings, experiment, few_shot, err);
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++)
        status =
            make_fields(experiment, split, state->drawings.channels, &parts->fields[split], err);
    return status;
}

static mn_status check_length(const mn_experiment *experiment, mn_split split, mn_error *err)
{
    const uint32_t length = length_of(experiment, split), way = experiment->tasks.way;
    if (length % way == 0 && length >= way && length <= MAX_LENGTH && length / way <= MN_MAX_POINTS)
        return MN_OK;
    return mn_fail(err, MN_ERR_CONFIG,
                   "a sequence of %s %" PRIu32 " images of tasks.way %" PRIu32
                   " classes: expected a multiple of the classes, up to %u, and up to %d images of "
                   "each",
                   split == MN_TRAIN ? "tasks.length" : "evaluate.length", length, way, MAX_LENGTH,
                   MN_MAX_POINTS);
}

static mn_status make_fields(const mn_experiment *experiment, mn_split split, uint32_t channels,
                             mn_fields *fields, mn_error *err)
{
    const uint32_t length = length_of(experiment, split);
    const uint32_t way = experiment->tasks.way, side = experiment->tasks.image_size;
    const bool letters = experiment->tasks.labels == MN_LABELS_LETTERS;
    const uint32_t y_size = letters ? STRING_LENGTH * N_LETTERS : way;
    const uint32_t x[3] = {side, side, channels};
    const uint32_t rows = length * experiment->tasks.bundle;
    mn_fields_init(fields, MN_TARGET_CLASSES, y_size);
    fields->symbols = letters ? STRING_LENGTH : 1;
    fields->bundle = experiment->tasks.bundle;
    fields->points.n = length / way;
    (void)snprintf(fields->points.axis, sizeof fields->points.axis, "showing");
    for (uint32_t i = 0; i < fields->points.n; i++)
        (void)snprintf(fields->points.names[i], sizeof fields->points.names[i], "%" PRIu32, i + 1);
    return mn_fields_add_sequence(fields, rows, x, true, err);
}

static void close_tasks(void *of)
{
    struct state *state = of;
    if (state == NULL)
        return;
    mn_drawings_close(&state->drawings);
    free(state);
}

static void draw(const void *of, mn_split split, uint64_t index, mn_random *random, mn_task *task)
{
    const struct state *state = of;
    uint32_t others[MN_MAX_WAY];
    (void)index;
    for (uint32_t b = 0; b < task->fields.bundle; b++)
        draw_sequence(state, split, random, task, b, b == 0 ? task->classes : others);
    task->n_classes = state->way; /* of the first sequence */
}

/* What class `label` is called: number `string` written in the base of the letters, or its own. */
static void put_label(const struct state *state, uint32_t label, uint32_t string, float *row)
{
    if (!state->has_letters)
        row[label] = 1.0f;
    for (uint32_t k = 0; state->has_letters && k < STRING_LENGTH; k++, string /= N_LETTERS)
        row[k * N_LETTERS + string % N_LETTERS] = 1.0f;
}

static void draw_sequence(const struct state *state, mn_split split, mn_random *random,
                          mn_task *task, uint32_t b, uint32_t *classes)
{
    const mn_field *x = &task->fields.at[X];
    const uint32_t way = state->way, bundle = task->fields.bundle, y_size = task->fields.y_size;
    const uint32_t length = x->n / bundle, each = length / way;
    const size_t size = mn_field_item(x);
    uint32_t labels[MAX_LENGTH], showings[MAX_LENGTH];
    uint32_t strings[MN_MAX_WAY] = {0};
    mn_drawings_choose(&state->drawings, split, random, way, classes);
    for (uint32_t t = 0; t < length; t++)
        labels[t] = t / each;
    mn_random_shuffle(random, length, labels);
    mn_sequence_showings(way, length, labels, showings);
    if (state->has_letters)
        mn_random_choose(random, N_STRINGS, way, strings);

    for (uint32_t label = 0; label < way; label++) {
        mn_drawn_class class;
        mn_drawings_begin(&state->drawings, split, random, classes[label], each, &class);
        for (uint32_t t = 0; t < length; t++) {
            float *out = task->at[X] + ((size_t)t * bundle + b) * size;
            if (labels[t] == label)
                mn_drawings_show(&state->drawings, &class, random, showings[t], x, out);
        }
    }

    for (uint32_t t = 0; t < length; t++) {
        const size_t row = (size_t)t * bundle + b;
        float *y = task->at[Y] + row * y_size, *before = task->at[LABEL_BEFORE] + row * y_size;
        memset(y, 0, y_size * sizeof *y);
        memset(before, 0, y_size * sizeof *before);
        put_label(state, labels[t], strings[labels[t]], y);
        if (t > 0)
            put_label(state, labels[t - 1], strings[labels[t - 1]], before);
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

/* A label as text; "-": there is none. */
static const char *name_of(const mn_fields *fields, const float *row, char *text, size_t size)
{
    const uint32_t symbols = fields->symbols, kinds = fields->y_size / symbols;
    size_t length = 0;
    (void)snprintf(text, size, "-");
    for (uint32_t i = 0; i < fields->y_size; i++)
        if (row[i] != 0.0f && symbols == 1)
            (void)snprintf(text, size, "%" PRIu32, i);
        else if (row[i] != 0.0f && length + 1 < size) {
            text[length++] = (char)('a' + i % kinds);
            text[length] = '\0';
        }
    return text;
}

/* Classes in the order of their labels; a string does not say which. */
static uint32_t class_of(const mn_task *task, const float *row)
{
    uint32_t label = 0;
    while (label + 1 < task->fields.y_size && row[label] == 0.0f)
        label++;
    return task->classes[label];
}

/* The first sequence: what is shown, which label it has, and which the learner is told. */
static void describe(const void *of, const mn_task *task, FILE *out)
{
    const struct state *state = of;
    const mn_fields *fields = &task->fields;
    const uint32_t length = fields->at[X].n / fields->bundle;
    (void)fprintf(out,
                  "%" PRIu32 " sequences of %" PRIu32 " images of %" PRIu32
                  " classes; the first of them:\n  step  class       label  showing  told\n",
                  fields->bundle, length, state->way);
    for (uint32_t t = 0; t < length; t++) {
        const size_t row = (size_t)t * fields->bundle;
        const float *y = task->at[Y] + row * fields->y_size;
        char label[16], told[16], class[16] = "";
        if (!state->has_letters)
            (void)snprintf(class, sizeof class, "%" PRIu32, class_of(task, y));
        (void)fprintf(
            out, "  %4" PRIu32 "  %-10s  %5s  %7.0f  %4s\n", t + 1, class,
            name_of(fields, y, label, sizeof label), (double)task->at[POINT][row] + 1.0,
            name_of(fields, task->at[LABEL_BEFORE] + row * fields->y_size, told, sizeof told));
    }
}

static mn_status check(const void *of, mn_split split, mn_error *err)
{
    const struct state *state = of;
    return mn_drawings_check(&state->drawings, split, err);
}

static mn_pack_part packed(const void *of, mn_split split)
{
    return mn_image_tasks_part(((const struct state *)of)->drawings.pack, split);
}

const mn_task_set_kind mn_sequence_kind = {.open = open_tasks,
                                           .close = close_tasks,
                                           .check = check,
                                           .draw = draw,
                                           .describe = describe,
                                           .packed = packed};
