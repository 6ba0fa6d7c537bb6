/* Zero-shot tasks: images of classes that are described by attributes. A task has `way` classes: the
 * first are seen, with `shot` support images each, the others unseen. Whatever is asked of an item
 * is which class it is, among
 *   unseen   the unseen classes alone, for images of these;
 *   S, U     all classes, for other images of seen classes, and for the same of unseen ones
 *            (generalised zero-shot learning, Chao et al. 2016, Xian et al. 2018), with their
 *            harmonic mean H. Items are alike many for each class, so these are means over classes.
 * Validation and test ask all three; training asks the first alone unless tasks.generalised is on.
 *
 *   support.x, support.y    images and labels of seen classes, in turns; none if no class is seen
 *   query.x, query.y        as above
 *   query.point             0, 1, 2: unseen, S, U
 *   query.candidates  way   1: a class among which the item is asked
 *   shared.description      attributes of each class, by its label
 *   shared.seen             1: a class that has support images
 *
 * The test has the unseen classes of tasks.class_split's division, beside seen ones; validation takes
 * some seen classes for unseen: those of val_classes, or where nothing is trained, any. It has fewer
 * seen classes then, with more images each, and labels that stand for no class. With tasks.redraw
 * each task has a division of its own, so that tests of features from elsewhere are over divisions.
 * tasks.roots and tasks.attributes: what is made of attributes first, by those of all classes, as those
 * of unseen classes are known. */
#include "common/text.h"
#include "worker/data/data_path.h"
#include "worker/data/description_table.h"
#include "worker/tasks/image_tasks.h"
#include "worker/tasks/image_warp.h"
#include "worker/tasks/task_set_kind.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PER_CLASS 1024u /* a draw keeps so many numbers on its stack */
#define MAX_CLASSES 4096u   /* likewise */
#define TOP_ATTRIBUTES 4

enum { UNSEEN, S, U, N_POINTS };

/* Of tasks of a split. */
struct shape {
    uint32_t way, unseen, shot, query;
    bool generalised;
};

struct class
{
    const char *name;
    const uint8_t *pixels; /* of its first image */
    uint32_t n_images;
    const float *description; /* [n_attributes], as the table has it */
};

struct state {
    mn_image_pack *pack;        /* owned */
    mn_description_table table; /* owned */
    struct class *classes;      /* [n]; owned */
    uint32_t n;
    float *attributes; /* [n, n_attributes]: descriptions as tasks have them; owned */
    uint32_t *order; /* [n]: numbers of classes, those of train, then of val, then of test; owned */
    uint32_t n_of[MN_N_SPLITS];
    struct shape shapes[MN_N_SPLITS];
    double warp, bend; /* of training images, as mirror */
    bool mirror;
    bool redraw, trains;
    uint32_t class_split;
};

static mn_status read_shapes(const mn_experiment *experiment, struct state *state, mn_error *err);
static mn_status open_table(const mn_experiment *experiment, struct state *state,
                            mn_task_set_parts *parts, mn_error *err);
static mn_status list_classes(const mn_experiment *experiment, struct state *state, mn_error *err);
static mn_status prepare_attributes(const mn_experiment *experiment, struct state *state,
                                    mn_error *err);
static mn_status divide(const mn_experiment *experiment, struct state *state, mn_error *err);
static mn_status make_fields(const struct state *state, mn_split split, mn_fields *fields,
                             mn_error *err);

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    struct state *state = calloc(1, sizeof *state);
    parts->state = state;
    if (state == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    state->warp = experiment->tasks.warp;
    state->bend = experiment->tasks.bend;
    state->mirror = experiment->tasks.mirror;
    state->redraw = experiment->tasks.redraw;
    state->class_split = experiment->tasks.class_split;
    state->trains = experiment->outer.steps > 0;
    mn_status status = read_shapes(experiment, state, err);
    if (status == MN_OK)
        status = mn_open_image_pack(experiment, parts, &state->pack, err);
    if (status == MN_OK)
        status = open_table(experiment, state, parts, err);
    if (status == MN_OK)
        status = list_classes(experiment, state, err);
    if (status == MN_OK)
        status = prepare_attributes(experiment, state, err);
    if (status == MN_OK)
        status = divide(experiment, state, err);
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++)
        status = make_fields(state, split, &parts->fields[split], err);
    return status;
}

static void close_tasks(void *of)
{
    struct state *state = of;
    if (state == NULL)
        return;
    mn_image_pack_destroy(&state->pack);
    mn_description_table_fini(&state->table);
    free(state->classes);
    free(state->attributes);
    free(state->order);
    free(state);
}

/* Opening ------------------------------------------------------------------------- */

static uint32_t set_or(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static mn_status read_shapes(const mn_experiment *experiment, struct state *state, mn_error *err)
{
    const struct shape train = {.way = experiment->tasks.way,
                                .unseen = experiment->tasks.unseen,
                                .shot = experiment->tasks.shot,
                                .query = experiment->tasks.query,
                                .generalised = experiment->tasks.generalised};
    const struct shape test = {.way = set_or(experiment->evaluate.way, train.way),
                               .unseen = set_or(experiment->evaluate.unseen, train.unseen),
                               .shot = set_or(experiment->evaluate.shot, train.shot),
                               .query = set_or(experiment->evaluate.query, train.query),
                               .generalised = true};
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++) {
        const struct shape *shape = &state->shapes[split];
        const char *section = split == MN_TRAIN ? "tasks" : "evaluate";
        state->shapes[split] = split == MN_TRAIN ? train : test;
        if (shape->way < 2 || shape->way > MN_MAX_WAY)
            return mn_fail(err, MN_ERR_CONFIG,
                           "%s.way is %" PRIu32 ", but a task has 2 to %d classes", section,
                           shape->way, MN_MAX_WAY);
        if (shape->unseen == 0 || shape->unseen > shape->way)
            return mn_fail(err, MN_ERR_CONFIG,
                           "%s.unseen is %" PRIu32 ", but a task has %s.way %" PRIu32
                           " classes: expected 1 to as many",
                           section, shape->unseen, section, shape->way);
        if (shape->shot > MAX_PER_CLASS || shape->query > MAX_PER_CLASS || shape->query == 0)
            return mn_fail(err, MN_ERR_CONFIG,
                           "%s.shot %" PRIu32 " and %s.query %" PRIu32
                           ": expected at most %u images of a class, and one to ask for",
                           section, shape->shot, section, shape->query, MAX_PER_CLASS);
    }
    return MN_OK;
}

/* One name and one digest for images and attributes. */
static mn_status open_table(const mn_experiment *experiment, struct state *state,
                            mn_task_set_parts *parts, mn_error *err)
{
    char *path = NULL;
    mn_error why;
    parts->data_where[0] = '\0'; /* the digest is not yet that of all */
    mn_status status = mn_data_path_find(experiment->tasks.descriptions, experiment->run.data_path,
                                         experiment->tasks.image_size, &path, &why);
    if (status == MN_ERR_NO_INPUT)
        return mn_fail(
            err, status,
            "no file %s (tasks.descriptions), a table with a line of attributes for each "
            "class: add its folder to run.data_path or MNEMO_DATA, which are %.300s",
            experiment->tasks.descriptions, experiment->run.data_path);
    if (status != MN_OK)
        return mn_fail(err, status, "tasks.descriptions: %s", why.message);
    status = mn_description_table_read(path, &state->table, err);
    if (status == MN_OK) {
        mn_digest digests[2] = {parts->data_digest, state->table.digest};
        parts->data_digest = mn_digest_of(digests, sizeof digests);
        (void)snprintf(parts->data_name, sizeof parts->data_name, "%.120s and %.120s",
                       experiment->tasks.data, experiment->tasks.descriptions);
        (void)snprintf(parts->data_where, sizeof parts->data_where, "%.500s with %.500s",
                       mn_image_pack_path(state->pack), path);
    }
    free(path);
    return status;
}

/* The described class whose name is most like this one; NULL: none is. */
static const char *nearest(const mn_description_table *table, const char *name)
{
    const char *best = NULL;
    size_t least = SIZE_MAX;
    for (uint32_t i = 0; i < table->n_classes; i++) {
        const size_t distance = mn_text_distance(table->classes[i], name);
        if (distance < least && mn_text_is_near(distance, name)) {
            least = distance;
            best = table->classes[i];
        }
    }
    return best;
}

static mn_status check_row(const mn_experiment *experiment, const mn_description_table *table,
                           uint32_t row, mn_error *err)
{
    for (uint32_t i = 0; i < table->n_attributes; i++)
        if (isnan(table->at[(size_t)row * table->n_attributes + i]))
            return mn_fail(err, MN_ERR_DATA,
                           "%s:%" PRIu32
                           ": class %s lacks attribute %s: put a number in its place, "
                           "or leave the class out of the packed file's splits",
                           experiment->tasks.descriptions, table->lines[row], table->classes[row],
                           table->attributes[i]);
    return MN_OK;
}

static mn_status add_class(const mn_experiment *experiment, struct state *state,
                           uint32_t class_number, mn_error *err)
{
    const mn_pack_class *class = &mn_image_pack_index(state->pack)->classes[class_number];
    const mn_description_table *table = &state->table;
    const uint32_t row = mn_description_table_find(table, class->name);
    if (row == UINT32_MAX) {
        const char *near = nearest(table, class->name);
        return mn_fail(err, MN_ERR_DATA,
                       "%s has images of a class %s that %s does not describe%s%s%s: add a line of "
                       "%" PRIu32 " attributes, or leave the class out of the packed file's splits",
                       mn_image_pack_path(state->pack), class->name, experiment->tasks.descriptions,
                       near == NULL ? "" : " (is it the ", near == NULL ? "" : near,
                       near == NULL ? "" : " there?)", table->n_attributes);
    }
    state->classes[state->n++] =
        (struct class){.name = class->name,
                       .pixels = mn_image_pack_pixels(state->pack, class->first_image),
                       .n_images = class->n_images,
                       .description = table->at + (size_t)row * table->n_attributes};
    return check_row(experiment, table, row, err);
}

/* Those of the pack's splits, each once; in the order of the splits. */
static mn_status list_classes(const mn_experiment *experiment, struct state *state, mn_error *err)
{
    const mn_pack_index *index = mn_image_pack_index(state->pack);
    static const char *const names[MN_N_SPLITS] = {"train", "val", "test"};
    uint8_t *listed = calloc(index->n_classes, sizeof *listed); /* 1 + its split */
    mn_status status = MN_OK;
    state->classes = calloc(index->n_classes, sizeof *state->classes);
    state->order = calloc(index->n_classes, sizeof *state->order);
    if (listed == NULL || state->classes == NULL || state->order == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "task set");
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS; split++)
        for (uint32_t i = 0; i < index->n_entries[split] && status == MN_OK; i++) {
            const mn_pack_entry *entry = &index->entries[split][i];
            const uint8_t before = listed[entry->class_number];
            if (entry->quarter_turns != 0 || before == 1 + (uint8_t)split)
                continue;
            if (before != 0 && experiment->tasks.class_split == 0)
                status = mn_fail(err, MN_ERR_DATA,
                                 "%s: class %s is in both splits %s and %s, but a class is seen or "
                                 "not: import again with other splits (--splits), or set "
                                 "tasks.class_split",
                                 mn_image_pack_path(state->pack),
                                 index->classes[entry->class_number].name, names[before - 1],
                                 names[split]);
            if (before != 0 || status != MN_OK)
                continue;
            listed[entry->class_number] = 1 + (uint8_t)split;
            status = add_class(experiment, state, entry->class_number, err);
            state->n_of[split]++;
        }
    free(listed);
    return status;
}

/* Attribute i of all classes; one that all have alike becomes 0. */
static void standardise(struct state *state, uint32_t i)
{
    const uint32_t step = state->table.n_attributes;
    double sum = 0, squares = 0;
    for (uint32_t k = 0; k < state->n; k++)
        sum += (double)state->attributes[(size_t)k * step + i];
    const double mean = sum / state->n;
    for (uint32_t k = 0; k < state->n; k++) {
        const double apart = (double)state->attributes[(size_t)k * step + i] - mean;
        squares += apart * apart;
    }
    const double deviation = sqrt(squares / state->n);
    const double rate = deviation > 1e-6 * fabs(mean) && deviation > 0 ? 1 / deviation : 0;
    for (uint32_t k = 0; k < state->n; k++) {
        float *value = &state->attributes[(size_t)k * step + i];
        *value = (float)(((double)*value - mean) * rate);
    }
}

static mn_status prepare_attributes(const mn_experiment *experiment, struct state *state,
                                    mn_error *err)
{
    const uint32_t n_attributes = state->table.n_attributes;
    state->attributes = calloc((size_t)state->n * n_attributes, sizeof *state->attributes);
    if (state->attributes == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    for (uint32_t k = 0; k < state->n; k++)
        for (uint32_t i = 0; i < n_attributes; i++) {
            const float value = state->classes[k].description[i];
            if (experiment->tasks.roots && value < 0)
                return mn_fail(err, MN_ERR_DATA,
                               "%s: class %s has %g of attribute %s: expected at least 0, as "
                               "tasks.roots takes the root of it",
                               experiment->tasks.descriptions, state->classes[k].name,
                               (double)value, state->table.attributes[i]);
            state->attributes[(size_t)k * n_attributes + i] =
                experiment->tasks.roots ? sqrtf(value) : value;
        }
    if (experiment->tasks.attributes == MN_ATTRIBUTES_STANDARDISED)
        for (uint32_t i = 0; i < n_attributes; i++)
            standardise(state, i);
    return MN_OK;
}

/* A random division, the same for every seed. */
static void shuffle(const struct state *state, uint64_t class_split, uint32_t *order)
{
    mn_random random = mn_random_stream(class_split, MN_RANDOM_SPLIT, state->n);
    for (uint32_t i = 0; i < state->n; i++)
        order[i] = i;
    mn_random_shuffle(&random, state->n, order);
}

/* The file's own division, or a random one. */
static mn_status divide(const mn_experiment *experiment, struct state *state, mn_error *err)
{
    const uint32_t unseen = state->shapes[MN_TEST].unseen, val = experiment->tasks.val_classes;
    for (uint32_t i = 0; i < state->n; i++)
        state->order[i] = i;
    if (state->n > MAX_CLASSES)
        return mn_fail(err, MN_ERR_CONFIG, "%s has %" PRIu32 " classes: expected at most %u",
                       mn_image_pack_path(state->pack), state->n, MAX_CLASSES);
    if (state->redraw && (state->trains || state->class_split == 0))
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.redraw gives every task unseen classes of its own, which may not be "
                       "trained on in others: it needs outer.steps 0, as with theta from another "
                       "run (--theta), and tasks.class_split of at least 1");
    if (experiment->tasks.class_split == 0)
        return MN_OK;
    if (state->n < unseen || state->n - unseen < val)
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s has %" PRIu32 " classes, of which %" PRIu32
                       " (evaluate.unseen) are to be unseen and %" PRIu32
                       " (tasks.val_classes) for validation: lower these",
                       mn_image_pack_path(state->pack), state->n, unseen, val);
    shuffle(state, experiment->tasks.class_split, state->order);
    state->n_of[MN_TEST] = unseen;
    state->n_of[MN_VAL] = val;
    state->n_of[MN_TRAIN] = state->n - unseen - val;
    return MN_OK;
}

static mn_status make_fields(const struct state *state, mn_split split, mn_fields *fields,
                             mn_error *err)
{
    static const uint32_t number[3] = {1, 1, 1};
    const struct shape *shape = &state->shapes[split];
    const mn_pack_index *index = mn_image_pack_index(state->pack);
    const uint32_t x[3] = {index->height, index->width, index->channels};
    const uint32_t y[3] = {1, 1, shape->way}, description[3] = {1, 1, state->table.n_attributes};
    const uint32_t seen = shape->way - shape->unseen, n_support = seen * shape->shot;
    const bool all = shape->generalised && seen > 0;
    const uint32_t n_query = shape->query * (all ? shape->way + shape->unseen : shape->unseen);
    const struct {
        mn_role role;
        const char *name;
        mn_field_type type;
        uint32_t n;
        const uint32_t *item;
    } rows[] = {
        {MN_SUPPORT, "x", MN_FIELD_NUMBERS, n_support, x},
        {MN_SUPPORT, "y", MN_FIELD_NUMBERS, n_support, y},
        {MN_QUERY, "x", MN_FIELD_NUMBERS, n_query, x},
        {MN_QUERY, "y", MN_FIELD_NUMBERS, n_query, y},
        {MN_QUERY, "point", MN_FIELD_IDS, n_query, number},
        {MN_QUERY, "candidates", MN_FIELD_MASK, n_query, y},
        {MN_SHARED, "description", MN_FIELD_NUMBERS, shape->way, description},
        {MN_SHARED, "seen", MN_FIELD_MASK, shape->way, number},
    };
    mn_status status = MN_OK;
    mn_fields_init(fields, MN_TARGET_CLASSES, shape->way);
    if (all)
        fields->points = (mn_points){.axis = "images",
                                     .n = N_POINTS,
                                     .names = {[UNSEEN] = "unseen", [S] = "S", [U] = "U"},
                                     .harmonic = true};
    for (size_t i = 0; i < sizeof rows / sizeof *rows && status == MN_OK; i++)
        if (rows[i].n > 0)
            status = mn_fields_add(fields, rows[i].role, rows[i].name, rows[i].type, rows[i].n,
                                   rows[i].item, err);
    return status;
}

/* Drawing ------------------------------------------------------------------------- */

/* Of which classes a task of a split may be: seen and unseen ones are chosen from different ranges
 * of the order, or from one. */
struct range {
    uint32_t begin, end;
};

static void ranges_of(const struct state *state, mn_split split, struct range *seen,
                      struct range *unseen)
{
    const uint32_t train = state->n_of[MN_TRAIN], known = train + state->n_of[MN_VAL];
    if (split == MN_TRAIN) {
        *seen = *unseen = (struct range){0, train};
    } else if (split == MN_VAL) {
        *seen = (struct range){0, known};
        *unseen = (struct range){state->n_of[MN_VAL] > 0 ? train : 0, known};
    } else {
        *seen = (struct range){0, known};
        *unseen = (struct range){known, state->n};
    }
}

/* How many seen classes there are beside the unseen ones, at most those that a task has. */
static uint32_t seen_classes(const struct state *state, mn_split split)
{
    const struct shape *shape = &state->shapes[split];
    struct range seen, unseen;
    ranges_of(state, split, &seen, &unseen);
    const uint32_t taken = unseen.begin < seen.end ? shape->unseen : 0; /* from the same range */
    const uint32_t there = seen.end - seen.begin, most = shape->way - shape->unseen;
    const uint32_t left = there < taken ? 0 : there - taken;
    return left < most ? left : most;
}

/* Images that the task needs of each seen class, as support and as query. */
static void seen_images(const struct shape *shape, uint32_t n_seen, uint32_t *support,
                        uint32_t *query)
{
    const uint32_t most = shape->way - shape->unseen;
    *support = n_seen == 0 ? 0 : (most * shape->shot + n_seen - 1) / n_seen;
    *query = n_seen == 0 || !shape->generalised ? 0 : (most * shape->query + n_seen - 1) / n_seen;
}

static mn_status check(const void *of, mn_split split, mn_error *err)
{
    static const char *const names[MN_N_SPLITS] = {"training", "validation", "test"};
    const struct state *state = of;
    const struct shape *shape = &state->shapes[split];
    struct range seen, unseen;
    uint32_t support, query;
    ranges_of(state, split, &seen, &unseen);
    const uint32_t n_seen = seen_classes(state, split);
    if (split == MN_VAL && state->n_of[MN_VAL] == 0 && state->trains)
        return mn_fail(err, MN_ERR_CONFIG,
                       "no class is for validation alone, and what was trained on is not unseen: "
                       "set tasks.val_classes with tasks.class_split, or evaluate.every 0 and "
                       "evaluate.split test");
    if (unseen.end - unseen.begin < shape->unseen)
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s: %" PRIu32 " classes may be unseen in %s, but a task has %" PRIu32
                       " such (tasks.unseen, evaluate.unseen): lower these, or set "
                       "tasks.class_split",
                       mn_image_pack_path(state->pack), unseen.end - unseen.begin, names[split],
                       shape->unseen);
    const uint32_t wanted = shape->way - shape->unseen;
    if (n_seen < (split == MN_TRAIN && state->trains ? wanted : wanted > 0))
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s: %" PRIu32 " classes are left to be seen in %s, but a task has %" PRIu32
                       " (tasks.way less tasks.unseen, or of evaluate): lower tasks.way",
                       mn_image_pack_path(state->pack), n_seen, names[split],
                       shape->way - shape->unseen);
    seen_images(shape, n_seen, &support, &query);
    const uint32_t most = support + query > shape->query ? support + query : shape->query;
    for (uint32_t i = 0; i < state->n; i++) {
        const struct class *class = &state->classes[i];
        if (class->n_images < most || most > MAX_PER_CLASS)
            return mn_fail(
                err, MN_ERR_CONFIG,
                "%s: class %s has %" PRIu32 " images, but a task of %s needs %" PRIu32
                " of a class, and may have %u: lower shot or query (tasks.*, evaluate.*)",
                mn_image_pack_path(state->pack), class->name, class->n_images, names[split], most,
                MAX_PER_CLASS);
    }
    return MN_OK;
}

/* A task in the making, and the places of its fields; NULL: there is none of this name. */
struct making {
    const struct state *state;
    const struct shape *shape;
    mn_random *random;
    mn_split split;
    uint32_t n_seen;
    mn_task *task;
    const mn_field *image; /* as query.x */
    float *x[2], *y[2], *points, *candidates;
};

static void choose_classes(struct making *making, uint64_t index)
{
    const struct state *state = making->state;
    uint32_t own[MAX_CLASSES];
    const uint32_t *order = state->order;
    if (state->redraw) {
        shuffle(state, state->class_split + index, own);
        order = own;
    }
    const struct shape *shape = making->shape;
    uint32_t *classes = making->task->classes, chosen[MN_MAX_WAY];
    struct range seen, unseen;
    ranges_of(state, making->split, &seen, &unseen);
    mn_random_choose(making->random, unseen.end - unseen.begin, shape->unseen, chosen);
    for (uint32_t i = 0; i < shape->unseen; i++)
        classes[making->n_seen + i] = order[unseen.begin + chosen[i]];
    uint32_t left[MAX_CLASSES], n = 0;
    for (uint32_t at = seen.begin; at < seen.end; at++) {
        bool free = true;
        for (uint32_t i = 0; i < shape->unseen; i++)
            free = free && at != unseen.begin + chosen[i];
        if (free)
            left[n++] = order[at];
    }
    mn_random_choose(making->random, n, making->n_seen, chosen);
    for (uint32_t i = 0; i < making->n_seen; i++)
        classes[i] = left[chosen[i]];
    making->task->n_classes = making->n_seen + shape->unseen;
}

static void put_image(struct making *making, mn_role role, uint32_t item, uint32_t label,
                      uint32_t image)
{
    const struct state *state = making->state;
    const struct class *class = &state->classes[making->task->classes[label]];
    const mn_field *field = making->image;
    const size_t size = mn_field_item(field);
    const uint8_t *pixels = class->pixels + image * size;
    float *out = making->x[role] + item * size;
    if (making->split == MN_TRAIN && (state->warp > 0 || state->bend > 0 || state->mirror)) {
        mn_warp warp = mn_warp_draw(making->random, state->warp, state->bend);
        if (state->mirror && mn_random_below(making->random, 2) == 1)
            mn_warp_mirror(&warp);
        mn_warp_copy(&warp, pixels, field->height, field->width, field->channels, 0, out);
    } else {
        mn_image_tasks_copy(pixels, field->height, field->width, field->channels, 0, out);
    }
    making->y[role][(size_t)item * making->shape->way + label] = 1;
}

static void ask(struct making *making, uint32_t item, uint32_t label, uint32_t image, int point)
{
    const uint32_t way = making->shape->way;
    float *candidates = making->candidates + (size_t)item * way;
    put_image(making, MN_QUERY, item, label, image);
    making->points[item] = (float)point;
    for (uint32_t k = 0; k < making->task->n_classes; k++)
        candidates[k] = point != UNSEEN || k >= making->n_seen;
}

/* Items of seen classes come in turns: i is of class i mod n_seen. */
static void draw_seen(struct making *making, uint32_t label)
{
    const struct shape *shape = making->shape;
    const uint32_t most = shape->way - shape->unseen, n_seen = making->n_seen;
    const uint32_t first = shape->unseen * shape->query; /* of the items of point S */
    const struct class *class = &making->state->classes[making->task->classes[label]];
    uint32_t images[MAX_PER_CLASS], support, query, n = 0;
    seen_images(shape, n_seen, &support, &query);
    mn_random_choose(making->random, class->n_images, support + query, images);
    for (uint32_t item = label; item < most * shape->shot; item += n_seen)
        put_image(making, MN_SUPPORT, item, label, images[n++]);
    for (uint32_t i = label; query > 0 && i < most * shape->query; i += n_seen)
        ask(making, first + i, label, images[n++], S);
}

static void draw_unseen(struct making *making, uint32_t label)
{
    const struct shape *shape = making->shape;
    const struct class *class = &making->state->classes[making->task->classes[label]];
    const uint32_t first = (label - making->n_seen) * shape->query;
    uint32_t images[MAX_PER_CLASS];
    mn_random_choose(making->random, class->n_images, shape->query, images);
    for (uint32_t i = 0; i < shape->query; i++)
        ask(making, first + i, label, images[i], UNSEEN);
    for (uint32_t i = 0; shape->generalised && making->n_seen > 0 && i < shape->query; i++)
        ask(making, shape->way * shape->query + first + i, label, images[i], U);
}

static void draw(const void *of, mn_split split, uint64_t index, mn_random *random, mn_task *task)
{
    const struct state *state = of;
    struct making making = {.state = state,
                            .shape = &state->shapes[split],
                            .random = random,
                            .split = split,
                            .n_seen = seen_classes(state, split),
                            .task = task,
                            .image = mn_fields_find(&task->fields, MN_QUERY, "x"),
                            .points = mn_task_find(task, MN_QUERY, "point"),
                            .candidates = mn_task_find(task, MN_QUERY, "candidates")};
    for (mn_role role = MN_SUPPORT; role <= MN_QUERY; role++) {
        making.x[role] = mn_task_find(task, role, "x");
        making.y[role] = mn_task_find(task, role, "y");
    }
    float *descriptions = mn_task_find(task, MN_SHARED, "description");
    float *seen = mn_task_find(task, MN_SHARED, "seen");
    const uint32_t n_attributes = state->table.n_attributes;
    memset(task->block, 0, task->fields.size * sizeof *task->block);
    choose_classes(&making, index);
    for (uint32_t label = 0; label < task->n_classes; label++) {
        memcpy(descriptions + (size_t)label * n_attributes,
               state->attributes + (size_t)task->classes[label] * n_attributes,
               n_attributes * sizeof *descriptions);
        seen[label] = label < making.n_seen;
        if (label < making.n_seen)
            draw_seen(&making, label);
        else
            draw_unseen(&making, label);
    }
}

/* For people ---------------------------------------------------------------------- */

/* The attributes that a class has most of, against the mean of all classes that are described. */
static void print_attributes(const mn_description_table *table, const float *row, FILE *out)
{
    uint32_t told[TOP_ATTRIBUTES];
    for (uint32_t k = 0; k < TOP_ATTRIBUTES && k < table->n_attributes; k++) {
        double most = -HUGE_VAL;
        for (uint32_t i = 0; i < table->n_attributes; i++) {
            double mean = 0;
            bool is_new = true;
            for (uint32_t j = 0; j < k; j++)
                is_new = is_new && told[j] != i;
            for (uint32_t c = 0; c < table->n_classes; c++) {
                const float value = table->at[(size_t)c * table->n_attributes + i];
                mean += isnan(value) ? 0 : (double)value / table->n_classes;
            }
            if (is_new && (double)row[i] - mean > most) {
                most = (double)row[i] - mean;
                told[k] = i;
            }
        }
        (void)fprintf(out, "%s %s %g", k > 0 ? "," : "", table->attributes[told[k]],
                      (double)row[told[k]]);
    }
}

static void describe(const void *of, const mn_task *task, FILE *out)
{
    const struct state *state = of;
    const mn_field *support = mn_fields_find(&task->fields, MN_SUPPORT, "x");
    const mn_field *query = mn_fields_find(&task->fields, MN_QUERY, "x");
    const float *seen = mn_task_find(task, MN_SHARED, "seen");
    (void)fprintf(out,
                  "%" PRIu32 " support images of seen classes, %" PRIu32 " query images; %" PRIu32
                  " attributes a class, of which some that it has much of\n",
                  support == NULL ? 0 : support->n, query->n, state->table.n_attributes);
    (void)fprintf(out, "  label  class               \n");
    for (uint32_t label = 0; label < task->n_classes; label++) {
        const struct class *class = &state->classes[task->classes[label]];
        (void)fprintf(out, "  %5" PRIu32 "  %-16s %-7s", label, class->name,
                      seen[label] != 0 ? "seen" : "unseen");
        print_attributes(&state->table, class->description, out);
        (void)fputc('\n', out);
    }
}

const mn_task_set_kind mn_described_images_kind = {
    .open = open_tasks, .close = close_tasks, .check = check, .draw = draw, .describe = describe};
