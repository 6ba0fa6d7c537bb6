#include "worker/tasks/image_runs.h"

#include "common/text.h"
#include "worker/data/data_path.h"
#include "worker/tasks/image_tasks.h"
#include "worker/tasks/task_set_kind.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct mn_image_runs {
    mn_image_pack *pack;          /* owned */
    const mn_pack_entry **by_run; /* [n_runs * way], those of a run side by side; owned */
    uint32_t n_runs, way;
};

static mn_status sort_by_run(mn_image_runs *runs, mn_error *err);
static mn_status check_fields(const mn_image_runs *runs, const mn_experiment *experiment,
                              const mn_fields *test, mn_error *err);

mn_status mn_image_runs_open(const mn_experiment *experiment, const mn_fields *test,
                             mn_image_runs **out, mn_error *err)
{
    char *path = NULL;
    mn_image_runs *runs = calloc(1, sizeof *runs);
    if (runs == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "runs of images");
    mn_status status = mn_data_path_find(experiment->tasks.runs, experiment->run.data_path,
                                         experiment->tasks.image_size, &path, err);
    if (status == MN_OK)
        status = mn_image_pack_open(path, &runs->pack, err);
    free(path);
    if (status == MN_OK)
        status = sort_by_run(runs, err);
    if (status == MN_OK)
        status = check_fields(runs, experiment, test, err);
    if (status != MN_OK) {
        mn_image_runs_destroy(&runs);
        return status;
    }
    *out = runs;
    return MN_OK;
}

void mn_image_runs_destroy(mn_image_runs **runs)
{
    if (*runs == NULL)
        return;
    mn_image_pack_destroy(&(*runs)->pack);
    free((void *)(*runs)->by_run);
    free(*runs);
    *runs = NULL;
}

uint32_t mn_image_runs_count(const mn_image_runs *runs)
{
    return runs->n_runs;
}

mn_digest mn_image_runs_digest(const mn_image_runs *runs)
{
    return mn_image_pack_digest(runs->pack);
}

const mn_image_pack *mn_image_runs_pack(const mn_image_runs *runs)
{
    return runs->pack;
}

void mn_image_runs_draw(const mn_image_runs *runs, uint64_t index, mn_task *task)
{
    const mn_pack_index *pack = mn_image_pack_index(runs->pack);
    const uint32_t way = runs->way, shot = task->fields.at[MN_SUPPORT_X].n / way;
    const uint32_t query = task->fields.at[MN_QUERY_X].n / way;
    const size_t size = mn_field_item(&task->fields.at[MN_SUPPORT_X]);
    const mn_pack_entry *const *entries = runs->by_run + index % runs->n_runs * way;
    for (uint32_t label = 0; label < way; label++) {
        const mn_pack_class *class = &pack->classes[entries[label]->class_number];
        for (uint32_t i = 0; i < shot + query; i++) {
            const bool shown = i < shot;
            const uint32_t item = shown ? label * shot + i : label * query + i - shot;
            float *x = task->at[shown ? MN_SUPPORT_X : MN_QUERY_X] + item * size;
            if (task->items != NULL)
                task->items[shown ? item : way * shot + item] = i;
            mn_image_tasks_copy(mn_image_pack_pixels(runs->pack, class->first_image + i),
                                pack->height, pack->width, pack->channels,
                                entries[label]->quarter_turns, x);
        }
        task->classes[label] = entries[label]->class_number;
    }
    task->n_classes = way;
    const char *name = pack->groups[pack->classes[entries[0]->class_number].group];
    (void)mn_text_escape(name, strlen(name), task->title, sizeof task->title);
    mn_few_shot_label(way, shot, task->at[MN_SUPPORT_Y]);
    mn_few_shot_label(way, query, task->at[MN_QUERY_Y]);
}

mn_pack_entry mn_image_runs_entry(const mn_image_runs *runs, const mn_task *task, uint32_t label)
{
    return *runs->by_run[task->index % runs->n_runs * runs->way + label];
}

void mn_image_runs_describe(const mn_image_runs *runs, const mn_task *task, FILE *out)
{
    const mn_pack_index *pack = mn_image_pack_index(runs->pack);
    (void)fprintf(out, "%s of %s, label: training drawing=test drawing\n", task->title,
                  mn_image_pack_path(runs->pack));
    for (uint32_t label = 0; label < task->n_classes; label++) {
        char name[4 * MN_PACK_MAX_NAME + 8];
        const char *of = pack->classes[task->classes[label]].name;
        (void)mn_text_escape(of, strlen(of), name, sizeof name);
        (void)fprintf(out, "  %2" PRIu32 ": %s\n", label, name);
    }
}

/* Opening ------------------------------------------------------------------------- */

/* Counting sort of the test classes by group; groups without any are no runs. */
static mn_status sort_by_run(mn_image_runs *runs, mn_error *err)
{
    const mn_pack_index *index = mn_image_pack_index(runs->pack);
    const uint32_t n = index->n_entries[MN_TEST];
    uint32_t *next = calloc((size_t)index->n_groups + 1, sizeof *next);
    runs->by_run = calloc((size_t)n + 1, sizeof *runs->by_run);
    mn_status status = MN_OK;
    if (next == NULL || runs->by_run == NULL) {
        free(next);
        return mn_fail(err, MN_ERR_NOMEM, "runs of images");
    }
    for (uint32_t i = 0; i < n; i++)
        next[index->classes[index->entries[MN_TEST][i].class_number].group]++;
    uint32_t begin = 0;
    for (uint32_t group = 0; group < index->n_groups && status == MN_OK; group++) {
        const uint32_t count = next[group];
        next[group] = begin;
        begin += count;
        runs->n_runs += count > 0;
        if (count > 0 && runs->way == 0)
            runs->way = count;
        if (count > 0 && count != runs->way)
            status = mn_fail(err, MN_ERR_CONFIG,
                             "%s cannot be tasks.runs: its groups have %" PRIu32 " and %" PRIu32
                             " classes for the test, but runs are of one size; make it with `mnemo "
                             "data import omniglot-runs`",
                             mn_image_pack_path(runs->pack), runs->way, count);
    }
    if (status == MN_OK &&
        (n == 0 || index->n_entries[MN_TRAIN] > 0 || index->n_entries[MN_VAL] > 0))
        status = mn_fail(err, MN_ERR_CONFIG,
                         "%s cannot be tasks.runs: such a file has classes for the test, and none "
                         "for training or validation; make it with `mnemo data import "
                         "omniglot-runs`",
                         mn_image_pack_path(runs->pack));
    for (uint32_t i = 0; i < n && status == MN_OK; i++) {
        const mn_pack_entry *entry = &index->entries[MN_TEST][i];
        runs->by_run[next[index->classes[entry->class_number].group]++] = entry;
    }
    free(next);
    return status;
}

static mn_status check_fields(const mn_image_runs *runs, const mn_experiment *experiment,
                              const mn_fields *test, mn_error *err)
{
    const mn_pack_index *index = mn_image_pack_index(runs->pack);
    const char *path = mn_image_pack_path(runs->pack);
    const mn_field *x = &test->at[MN_SUPPORT_X];
    const uint32_t way = test->y_size, shot = x->n / way, query = test->at[MN_QUERY_X].n / way;
    if (index->height != x->height || index->width != x->width || index->channels != x->channels)
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s has images of %" PRIu32 "x%" PRIu32 "x%" PRIu32 ", but %s of %" PRIu32
                       "x%" PRIu32 "x%" PRIu32 "; import one of them again at the other's --size",
                       path, index->height, index->width, index->channels, experiment->tasks.data,
                       x->height, x->width, x->channels);
    if (way != runs->way)
        return mn_fail(err, MN_ERR_CONFIG,
                       "test tasks have %" PRIu32 " classes, but each run of %s has %" PRIu32
                       "; set evaluate.way: %" PRIu32,
                       way, path, runs->way, runs->way);
    for (uint32_t i = 0; i < index->n_entries[MN_TEST]; i++) {
        const mn_pack_class *class = &index->classes[index->entries[MN_TEST][i].class_number];
        if (class->n_images != shot + query)
            return mn_fail(err, MN_ERR_CONFIG,
                           "test tasks have %" PRIu32 " + %" PRIu32
                           " support and query images a class, but a class of %s has %" PRIu32
                           "; set evaluate.shot: 1 and evaluate.query: %" PRIu32,
                           shot, query, path, class->n_images, class->n_images - 1);
    }
    return MN_OK;
}
