#include "worker/tasks/image_tasks.h"

#include "worker/data/data_path.h"
#include "worker/tasks/episode_list.h"
#include "worker/tasks/image_runs.h"
#include "worker/tasks/image_warp.h"
#include "worker/tasks/task_print.h"
#include "worker/tasks/task_set_kind.h"
#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A draw keeps so many numbers on its stack. */
#define MAX_PER_CLASS 1024u

/* A class as a task may use it: a class of the file, turned. */
struct choice {
    const uint8_t *pixels; /* of its first image */
    uint32_t n_images;
    uint32_t quarter_turns;
    uint32_t class_number; /* in the file */
};

struct split {
    mn_few_shot few_shot;
    struct choice *choices; /* [n]; owned; a class's number in the split is its place here */
    uint32_t n;
    /* For sampling within a group: the groups that have enough classes for some task. by_group holds the numbers
     * of their classes group after group, and group g has [starts[g], starts[g + 1]) of it. */
    uint32_t *by_group; /* owned */
    uint32_t *starts;   /* owned */
    uint32_t n_groups;
    mn_error refusal; /* status MN_OK: tasks can be drawn */
};

struct mn_image_tasks {
    mn_sampling sampling;
    double warp, bend; /* of training images */
    bool mirror;       /* likewise */
    struct split splits[MN_N_SPLITS];
};

static const char *const split_names[MN_N_SPLITS] = {"train", "val", "test"};

static mn_status fill_split(struct split *split, const mn_image_pack *pack, mn_split which,
                            bool rotations, mn_error *err);
static mn_status check_split(const struct split *split, const mn_image_pack *pack, mn_split which,
                             const mn_experiment *experiment, mn_error *err);
static mn_status group_split(struct split *split, const mn_image_pack *pack, mn_split which,
                             mn_sampling sampling, mn_error *err);

mn_status mn_image_tasks_new(const mn_image_pack *pack, const mn_experiment *experiment,
                             const mn_fields fields[MN_N_SPLITS], mn_image_tasks **out,
                             mn_error *err)
{
    mn_few_shot few_shot[MN_N_SPLITS];
    for (mn_split which = MN_TRAIN; which < MN_N_SPLITS; which++) {
        mn_few_shot *of = &few_shot[which];
        *of = mn_few_shot_of(experiment, which);
        of->varies = mn_fields_have_padding(&fields[which]);
        of->way[1] = fields[which].y_size;
        of->shot[1] = fields[which].at[MN_SUPPORT_X].n / of->way[1];
        of->query = fields[which].at[MN_QUERY_X].n / of->way[1];
        if (!of->varies) {
            of->way[0] = of->way[1];
            of->shot[0] = of->shot[1];
        }
    }
    return mn_image_tasks_of(pack, experiment, few_shot, out, err);
}

mn_status mn_image_tasks_of(const mn_image_pack *pack, const mn_experiment *experiment,
                            const mn_few_shot few_shot[MN_N_SPLITS], mn_image_tasks **out,
                            mn_error *err)
{
    mn_image_tasks *tasks = calloc(1, sizeof *tasks);
    if (tasks == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "tables of image tasks");
    tasks->sampling = experiment->tasks.sampling;
    tasks->warp = experiment->tasks.warp;
    tasks->bend = experiment->tasks.bend;
    tasks->mirror = experiment->tasks.mirror;

    mn_status status = MN_OK;
    for (mn_split which = MN_TRAIN; which < MN_N_SPLITS && status == MN_OK; which++) {
        struct split *split = &tasks->splits[which];
        split->few_shot = few_shot[which];
        if (which == MN_TEST && experiment->tasks.runs[0] != '\0')
            continue; /* its tasks are given */
        status = fill_split(split, pack, which, experiment->tasks.rotations, err);
        mn_status fits = MN_OK;
        if (status == MN_OK)
            fits = check_split(split, pack, which, experiment, &split->refusal);
        if (status == MN_OK && fits == MN_OK && tasks->sampling != MN_SAMPLE_RANDOM)
            fits = group_split(split, pack, which, tasks->sampling, &split->refusal);
        if (fits == MN_ERR_NOMEM)
            status = mn_fail(err, fits, "tables of image tasks");
    }
    if (status != MN_OK) {
        mn_image_tasks_destroy(&tasks);
        return status;
    }
    *out = tasks;
    return MN_OK;
}

void mn_image_tasks_destroy(mn_image_tasks **tasks)
{
    if (*tasks == NULL)
        return;
    for (int i = 0; i < MN_N_SPLITS; i++) {
        free((*tasks)->splits[i].choices);
        free((*tasks)->splits[i].by_group);
        free((*tasks)->splits[i].starts);
    }
    free(*tasks);
    *tasks = NULL;
}

mn_status mn_image_tasks_check(const mn_image_tasks *tasks, mn_split split, mn_error *err)
{
    const mn_error *refusal = &tasks->splits[split].refusal;
    return refusal->status == MN_OK ? MN_OK : mn_fail(err, refusal->status, "%s", refusal->message);
}

uint32_t mn_image_tasks_classes(const mn_image_tasks *tasks, mn_split split)
{
    return tasks->splits[split].n;
}

void mn_image_tasks_draw(const mn_image_tasks *tasks, mn_split which, mn_random *random,
                         mn_task *task)
{
    const struct split *split = &tasks->splits[which];
    const mn_few_shot *few_shot = &split->few_shot;
    const mn_field *x_field = &task->fields.at[MN_SUPPORT_X];
    const uint32_t query = few_shot->query;
    uint32_t shots[MN_MAX_WAY];
    assert(split->refusal.status == MN_OK);

    const uint32_t way = mn_image_tasks_choose(tasks, which, random, task->classes);
    mn_few_shot_draw_shots(few_shot, random, way, shots);
    for (uint32_t label = 0; label < way; label++) {
        const struct choice *class = &split->choices[task->classes[label]];
        uint32_t images[MAX_PER_CLASS];
        if (shots[label] > class->n_images - query)
            shots[label] = class->n_images - query;
        const uint32_t shot = shots[label];
        mn_random_choose(random, class->n_images, shot + query, images);
        for (uint32_t i = 0; i < shot + query; i++) {
            float *x = i < shot ? mn_few_shot_support(few_shot, task, label, i)
                                : mn_few_shot_query(few_shot, task, label, i - shot);
            mn_image_tasks_show(tasks, which, random, task->classes[label], images[i], x_field, x);
            if (task->items != NULL)
                task->items[i < shot ? label * few_shot->shot[1] + i
                                     : few_shot->way[1] * few_shot->shot[1] + label * query + i -
                                           shot] = images[i];
        }
    }
    mn_few_shot_finish(few_shot, way, shots, task);
}

uint32_t mn_image_tasks_choose(const mn_image_tasks *tasks, mn_split which, mn_random *random,
                               uint32_t *classes)
{
    const struct split *split = &tasks->splits[which];
    if (tasks->sampling == MN_SAMPLE_RANDOM) {
        const uint32_t way = mn_few_shot_draw_way(&split->few_shot, random, split->n);
        mn_random_choose(random, split->n, way, classes);
        return way;
    }
    const uint32_t group = mn_random_below(random, split->n_groups);
    const uint32_t *members = split->by_group + split->starts[group];
    const uint32_t n = split->starts[group + 1] - split->starts[group];
    const uint32_t way = mn_few_shot_draw_way(&split->few_shot, random, n);
    mn_random_choose(random, n, way, classes);
    for (uint32_t label = 0; label < way; label++)
        classes[label] = members[classes[label]];
    return way;
}

uint32_t mn_image_tasks_images(const mn_image_tasks *tasks, mn_split which, uint32_t class_number)
{
    return tasks->splits[which].choices[class_number].n_images;
}

void mn_image_tasks_show(const mn_image_tasks *tasks, mn_split which, mn_random *random,
                         uint32_t class_number, uint32_t image, const mn_field *x, float *out)
{
    const struct choice *class = &tasks->splits[which].choices[class_number];
    const uint8_t *pixels = class->pixels + image * mn_field_item(x);
    if (which == MN_TRAIN && (tasks->warp > 0 || tasks->bend > 0 || tasks->mirror)) {
        mn_warp warp = mn_warp_draw(random, tasks->warp, tasks->bend);
        if (tasks->mirror && mn_random_below(random, 2) == 1)
            mn_warp_mirror(&warp);
        mn_warp_copy(&warp, pixels, x->height, x->width, x->channels, class->quarter_turns, out);
    } else {
        mn_image_tasks_copy(pixels, x->height, x->width, x->channels, class->quarter_turns, out);
    }
}

mn_pack_entry mn_image_tasks_entry(const mn_image_tasks *tasks, mn_split split,
                                   uint32_t class_number)
{
    const struct choice *choice = &tasks->splits[split].choices[class_number];
    return (mn_pack_entry){choice->class_number, choice->quarter_turns};
}

mn_pack_part mn_image_tasks_part(const mn_image_pack *pack, mn_split split)
{
    if (pack == NULL)
        return (mn_pack_part){0};
    const mn_pack_index *index = mn_image_pack_index(pack);
    return (mn_pack_part){
        .pack = pack, .n = index->n_entries[split], .entries = index->entries[split]};
}

/* Pixel (y, x) of the result is read at start + y * down + x * right of the source. */
void mn_image_tasks_copy(const uint8_t *pixels, uint32_t height, uint32_t width, uint32_t channels,
                         uint32_t quarter_turns, float *out)
{
    if (quarter_turns == 0) { /* a case of its own because it vectorises */
        for (size_t i = 0; i < (size_t)height * width * channels; i++)
            out[i] = (float)pixels[i] / 255.0f;
        return;
    }
    assert(height == width && quarter_turns < 4);
    ptrdiff_t side = height, last = side - 1;
    const struct {
        ptrdiff_t start, down, right;
    } walks[] = {
        [1] = {last, -1, side},                /* the right column becomes the top row */
        [2] = {last * side + last, -side, -1}, /* upside down */
        [3] = {last * side, 1, -side},         /* the left column becomes the top row */
    };
    for (ptrdiff_t y = 0; y < side; y++)
        for (ptrdiff_t x = 0; x < side; x++) {
            ptrdiff_t from = walks[quarter_turns].start + y * walks[quarter_turns].down +
                             x * walks[quarter_turns].right;
            for (uint32_t c = 0; c < channels; c++)
                *out++ = (float)pixels[from * channels + c] / 255.0f;
        }
}

/* Opening ------------------------------------------------------------------------- */

static mn_status fill_split(struct split *split, const mn_image_pack *pack, mn_split which,
                            bool rotations, mn_error *err)
{
    const mn_pack_index *index = mn_image_pack_index(pack);
    uint32_t n = index->n_entries[which];
    split->choices = calloc((size_t)n + 1, sizeof *split->choices);
    if (split->choices == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "tables of image tasks");
    for (uint32_t i = 0; i < n; i++) {
        const mn_pack_entry *entry = &index->entries[which][i];
        const mn_pack_class *class = &index->classes[entry->class_number];
        if (entry->quarter_turns == 0 || rotations)
            split->choices[split->n++] =
                (struct choice){.pixels = mn_image_pack_pixels(pack, class->first_image),
                                .n_images = class->n_images,
                                .quarter_turns = entry->quarter_turns,
                                .class_number = entry->class_number};
    }
    return MN_OK;
}

static mn_status check_split(const struct split *split, const mn_image_pack *pack, mn_split which,
                             const mn_experiment *experiment, mn_error *err)
{
    const uint32_t way = split->few_shot.way[1];
    const uint32_t per_class = split->few_shot.shot[0] + split->few_shot.query;
    const mn_pack_index *index = mn_image_pack_index(pack);
    if (split->n < way)
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s: split %s has %" PRIu32 " classes%s, but its tasks have %" PRIu32
                       "; lower tasks.way (evaluate.way), or import again with more classes or "
                       "other splits (--shares, --splits)%s",
                       mn_image_pack_path(pack), split_names[which], split->n,
                       experiment->tasks.rotations ? "" : " (rotations not counted)", way,
                       split->n > 0       ? ""
                       : which == MN_VAL  ? "; or set evaluate.every to 0"
                       : which == MN_TEST ? "; or give its tasks by tasks.runs"
                                          : "");
    if (split->few_shot.shot[1] + split->few_shot.query > MAX_PER_CLASS)
        return mn_fail(err, MN_ERR_CONFIG,
                       "%" PRIu32 " support and query images of each class are asked for (split "
                       "%s); at most %u are possible",
                       split->few_shot.shot[1] + split->few_shot.query, split_names[which],
                       MAX_PER_CLASS);
    char small[200] = "";
    uint32_t n_small = 0, named = 0;
    for (uint32_t i = 0; i < split->n; i++) {
        const mn_pack_class *class = &index->classes[split->choices[i].class_number];
        size_t used = strlen(small);
        if (class->n_images >= per_class || split->choices[i].quarter_turns != 0)
            continue;
        if (n_small++ == named && used + 60 < sizeof small) {
            (void)snprintf(small + used, sizeof small - used, "%s%.24s/%.24s %" PRIu32,
                           named > 0 ? ", " : "", index->groups[class->group], class->name,
                           class->n_images);
            named++;
        }
    }
    if (n_small == 0)
        return MN_OK;
    char more[32] = "";
    if (n_small > named)
        (void)snprintf(more, sizeof more, " and %" PRIu32 " more", n_small - named);
    return mn_fail(err, MN_ERR_CONFIG,
                   "%s: %" PRIu32 " classes of split %s have fewer images than %s, %" PRIu32
                   " (tasks.* or evaluate.*): %s%s; lower these, or import again without such "
                   "classes (--min-images %" PRIu32 ")",
                   mn_image_pack_path(pack), n_small, split_names[which],
                   experiment->tasks.kind == MN_TASKS_SEQUENCES        ? "length / way"
                   : split->few_shot.shot[0] < split->few_shot.shot[1] ? "shot_from + query"
                                                                       : "shot + query",
                   per_class, small, more, per_class);
}

/* The number of a class's group; there may be four for each group of the file. */
static uint32_t group_of(const mn_pack_index *index, const struct choice *choice,
                         mn_sampling sampling)
{
    const uint32_t group = index->classes[choice->class_number].group;
    return sampling == MN_SAMPLE_TURNED_GROUP ? 4 * group + choice->quarter_turns : group;
}

/* Counting sort of the classes by group, without the groups that have too few. */
static mn_status group_split(struct split *split, const mn_image_pack *pack, mn_split which,
                             mn_sampling sampling, mn_error *err)
{
    const uint32_t way = split->few_shot.way[1], least = split->few_shot.way[0];
    const mn_pack_index *index = mn_image_pack_index(pack);
    const size_t n_groups = (size_t)index->n_groups * 4;
    uint32_t *counts = calloc(n_groups + 1, sizeof *counts);
    uint32_t *next = calloc(n_groups + 1, sizeof *next);
    split->by_group = calloc((size_t)split->n + 1, sizeof *split->by_group);
    split->starts = calloc(n_groups + 1, sizeof *split->starts);
    mn_status status = MN_OK;
    if (counts == NULL || next == NULL || split->by_group == NULL || split->starts == NULL) {
        status = mn_fail(err, MN_ERR_NOMEM, "tables of image tasks");
        goto done;
    }

    uint32_t most = 0;
    for (uint32_t i = 0; i < split->n; i++) {
        uint32_t group = group_of(index, &split->choices[i], sampling);
        counts[group]++;
        most = counts[group] > most ? counts[group] : most;
    }
    if (most < way) {
        status = mn_fail(err, MN_ERR_CONFIG,
                         "%s: the largest group of split %s has %" PRIu32
                         " classes, but its tasks have %" PRIu32
                         "; lower tasks.way (evaluate.way) or set tasks.sampling to random",
                         mn_image_pack_path(pack), split_names[which], most, way);
        goto done;
    }

    uint32_t begin = 0;
    for (size_t group = 0; group < n_groups; group++) {
        if (counts[group] < least)
            continue;
        next[group] = begin;
        begin += counts[group];
        split->starts[++split->n_groups] = begin;
    }
    for (uint32_t i = 0; i < split->n; i++) {
        uint32_t group = group_of(index, &split->choices[i], sampling);
        if (counts[group] >= least)
            split->by_group[next[group]++] = i;
    }
done:
    free(counts);
    free(next);
    return status;
}

/* The kind ------------------------------------------------------------------------ */

struct state {
    mn_image_pack *pack;    /* owned */
    mn_image_tasks *tables; /* owned */
    mn_image_runs *runs;    /* owned; NULL: test tasks are drawn */
    mn_episode_list *list;  /* or they are listed; owned; NULL: they are not */
};

static mn_status check_size(const mn_image_pack *pack, const mn_experiment *experiment,
                            mn_error *err)
{
    const mn_pack_index *index = mn_image_pack_index(pack);
    uint32_t side = experiment->tasks.image_size;
    if (index->height == side && index->width == side)
        return MN_OK;
    return mn_fail(err, MN_ERR_CONFIG,
                   "%s has images of %" PRIu32 "x%" PRIu32 ", but tasks.image_size is %" PRIu32
                   "; change it or import the images again at that size",
                   mn_image_pack_path(pack), index->height, index->width, side);
}

/* Name and digest of the data are then those of both files. */
static mn_status open_runs(const mn_experiment *experiment, struct state *state,
                           mn_task_set_parts *parts, mn_error *err)
{
    mn_status status = mn_image_runs_open(experiment, &parts->fields[MN_TEST], &state->runs, err);
    if (status != MN_OK)
        return status;
    mn_digest digests[2] = {parts->data_digest, mn_image_runs_digest(state->runs)};
    parts->data_digest = mn_digest_of(digests, sizeof digests);
    parts->n_tasks[MN_TEST] = mn_image_runs_count(state->runs);
    (void)snprintf(parts->data_name, sizeof parts->data_name, "%.120s and %.120s",
                   experiment->tasks.data, experiment->tasks.runs);
    (void)snprintf(parts->data_where, sizeof parts->data_where, "%.800s with tasks.runs %.120s",
                   mn_image_pack_path(state->pack), experiment->tasks.runs);
    return MN_OK;
}

/* As of runs. */
static mn_status open_list(const mn_experiment *experiment, struct state *state,
                           mn_task_set_parts *parts, mn_error *err)
{
    const char *path = experiment->evaluate.episodes;
    mn_status status =
        mn_episode_list_open(path, state->pack, &parts->fields[MN_TEST], &state->list, err);
    if (status != MN_OK)
        return status;
    mn_digest digests[2] = {parts->data_digest, mn_episode_list_digest(state->list)};
    parts->data_digest = mn_digest_of(digests, sizeof digests);
    parts->n_tasks[MN_TEST] = mn_episode_list_count(state->list);
    (void)snprintf(parts->data_name, sizeof parts->data_name, "%.120s by the list %.100s",
                   experiment->tasks.data, path);
    (void)snprintf(parts->data_where, sizeof parts->data_where,
                   "%.700s with evaluate.episodes %.256s", mn_image_pack_path(state->pack), path);
    return MN_OK;
}

mn_status mn_open_image_pack(const mn_experiment *experiment, mn_task_set_parts *parts,
                             mn_image_pack **out, mn_error *err)
{
    char *path = NULL;
    mn_status status = mn_data_path_find(experiment->tasks.data, experiment->run.data_path,
                                         experiment->tasks.image_size, &path, err);
    if (status != MN_OK)
        return status;
    (void)snprintf(parts->data_name, sizeof parts->data_name, "%s", experiment->tasks.data);
    status = mn_image_pack_open(path, out, err);
    free(path);
    if (status != MN_OK)
        return status;
    parts->data_digest = mn_image_pack_digest(*out);
    if (experiment->tasks.runs[0] == '\0')
        (void)snprintf(parts->data_where, sizeof parts->data_where, "%s", mn_image_pack_path(*out));
    return check_size(*out, experiment, err);
}

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    struct state *state = calloc(1, sizeof *state);
    parts->state = state;
    if (state == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    mn_status status = mn_open_image_pack(experiment, parts, &state->pack, err);
    if (status == MN_OK)
        status = mn_few_shot_images(experiment, experiment->tasks.image_size,
                                    mn_image_pack_index(state->pack)->channels, parts->fields, err);
    if (status == MN_OK && experiment->tasks.runs[0] != '\0')
        status = open_runs(experiment, state, parts, err);
    if (status == MN_OK && experiment->evaluate.episodes[0] != '\0')
        status = open_list(experiment, state, parts, err);
    if (status == MN_OK)
        status = mn_image_tasks_new(state->pack, experiment, parts->fields, &state->tables, err);
    return status;
}

static void close_tasks(void *of)
{
    struct state *state = of;
    if (state == NULL)
        return;
    mn_image_tasks_destroy(&state->tables);
    mn_image_runs_destroy(&state->runs);
    mn_episode_list_destroy(&state->list);
    mn_image_pack_destroy(&state->pack);
    free(state);
}

static mn_status check(const void *of, mn_split split, mn_error *err)
{
    const struct state *state = of;
    if (split == MN_TEST && (state->runs != NULL || state->list != NULL))
        return MN_OK;
    return mn_image_tasks_check(state->tables, split, err);
}

static void draw(const void *of, mn_split split, uint64_t index, mn_random *random, mn_task *task)
{
    const struct state *state = of;
    if (split == MN_TEST && state->runs != NULL)
        mn_image_runs_draw(state->runs, index, task);
    else if (split == MN_TEST && state->list != NULL)
        mn_episode_list_draw(state->list, index, task);
    else
        mn_image_tasks_draw(state->tables, split, random, task);
}

static uint64_t classes(const void *of, mn_split split)
{
    const struct state *state = of;
    return mn_image_tasks_classes(state->tables, split);
}

static bool class_name(const void *of, const mn_task *task, uint32_t label, char out[MN_CLASS_NAME])
{
    const struct state *state = of;
    const struct split *split = &state->tables->splits[task->split];
    if ((task->split == MN_TEST && state->runs != NULL) || task->classes[label] >= split->n)
        return false;
    const struct choice *choice = &split->choices[task->classes[label]];
    const mn_pack_index *index = mn_image_pack_index(state->pack);
    const mn_pack_class *class = &index->classes[choice->class_number];
    static const char *const turns[4] = {"", " turned 90", " turned 180", " turned 270"};
    (void)snprintf(out, MN_CLASS_NAME, "%s/%s%s", index->groups[class->group], class->name,
                   turns[choice->quarter_turns]);
    return true;
}

static void describe(const void *of, const mn_task *task, FILE *out)
{
    const struct state *state = of;
    char name[MN_CLASS_NAME];
    if (state->runs != NULL && task->title[0] != '\0')
        mn_image_runs_describe(state->runs, task, out);
    for (uint32_t label = 0; label < task->n_classes && class_name(of, task, label, name); label++)
        (void)fprintf(out, "%s %" PRIu32 " is %s\n", label == 0 ? "label   " : "        ", label,
                      name);
    mn_task_print(task, out);
}

static void write_episode(const void *of, mn_split split, const mn_task *task, FILE *out)
{
    const struct state *state = of;
    const bool given = split == MN_TEST && state->runs != NULL;
    const mn_image_pack *pack = given ? mn_image_runs_pack(state->runs) : state->pack;
    mn_pack_entry entries[MN_MAX_WAY];
    for (uint32_t label = 0; label < task->n_classes; label++)
        entries[label] = given ? mn_image_runs_entry(state->runs, task, label)
                         : split == MN_TEST && state->list != NULL
                             ? mn_episode_list_entry(state->list, task, label)
                             : mn_image_tasks_entry(state->tables, split, task->classes[label]);
    if (task->index == 0)
        mn_episodes_begin(pack, out);
    mn_episodes_write(pack, task, entries, out);
}

static mn_pack_part packed(const void *of, mn_split split)
{
    const struct state *state = of;
    if (split == MN_TEST && state->list != NULL)
        return mn_episode_list_classes(state->list);
    const bool given = split == MN_TEST && state->runs != NULL;
    return mn_image_tasks_part(given ? mn_image_runs_pack(state->runs) : state->pack, split);
}

const mn_task_set_kind mn_image_kind = {.open = open_tasks,
                                        .close = close_tasks,
                                        .check = check,
                                        .draw = draw,
                                        .classes = classes,
                                        .describe = describe,
                                        .class_name = class_name,
                                        .write_episode = write_episode,
                                        .packed = packed};
