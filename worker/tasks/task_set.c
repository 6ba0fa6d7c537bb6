#include "worker/tasks/task_set.h"

#include "common/file.h"
#include "worker/tasks/plugin_tasks.h"
#include "worker/tasks/task_print.h"
#include "worker/tasks/task_set_kind.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const mn_task_set_kind *const kinds[] = {
    [MN_TASKS_SINUSOID] = &mn_sinusoid_kind,
    [MN_TASKS_IMAGES] = &mn_image_kind,
    [MN_TASKS_GLYPHS] = &mn_glyph_kind,
    [MN_TASKS_SEQUENCES] = &mn_sequence_kind,
    [MN_TASKS_STORIES] = &mn_stories_kind,
    [MN_TASKS_GENERATED_STORIES] = &mn_generated_stories_kind,
    [MN_TASKS_TABLES] = &mn_tables_kind,
    [MN_TASKS_ROWS] = &mn_rows_kind,
    [MN_TASKS_DESCRIBED_IMAGES] = &mn_described_images_kind,
    [MN_TASKS_DIALOGUES] = &mn_dialogues_kind,
    [MN_TASKS_CLASS_STREAM] = &mn_class_stream_kind,
    [MN_TASKS_SINUSOID_STREAM] = &mn_sinusoid_stream_kind,
    [MN_TASKS_EXTERNAL] = &mn_external_kind,
};

#define N_OF_CLASS 64u /* tasks of a plug-in that its numeric class is told by */

struct mn_task_set {
    const mn_task_set_kind *kind;
    uint64_t seed;
    mn_split judged; /* test tasks are those of this split */
    mn_task_set_parts parts;
};

/* Has the data another digest than the coordinator's? */
static bool differs(const mn_task_set_parts *parts, const mn_digest *expected)
{
    return expected != NULL && parts->data_where[0] != '\0' &&
           memcmp(expected->bytes, parts->data_digest.bytes, sizeof expected->bytes) != 0;
}

/* Whose tasks stand for those of a split. */
static mn_split drawn_from(const mn_task_set *set, mn_split split)
{
    return split == MN_TEST ? set->judged : split;
}

static mn_status refuse_data(const mn_task_set_parts *parts, const mn_digest *expected,
                             mn_error *err)
{
    char ours[65], theirs[65];
    mn_digest_hex(&parts->data_digest, ours);
    mn_digest_hex(expected, theirs);
    return mn_fail(err, MN_ERR_DATA,
                   "%s has digest %.16s..., but the coordinator uses %s with digest %.16s...; copy "
                   "the coordinator's files to that place",
                   parts->data_where, ours, parts->data_name, theirs);
}

mn_status mn_task_set_open_part(const mn_experiment *experiment, mn_task_set **out, mn_error *err)
{
    mn_task_set *set = *out = calloc(1, sizeof *set);
    if (set == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    const bool is_mixture = experiment->tasks.mix[0] != '\0';
    const unsigned kind = experiment->tasks.kind;
    set->kind = is_mixture                            ? &mn_mixture_kind
                : kind < sizeof kinds / sizeof *kinds ? kinds[kind]
                                                      : mn_plugin_tasks_kind(kind);
    set->seed = experiment->seed;
    set->judged = experiment->evaluate.split;
    set->parts.data_digest = mn_digest_of("", 0);
    return set->kind->open(experiment, &set->parts, err);
}

bool mn_task_set_has_data(const mn_task_set *set)
{
    return set->parts.data_where[0] != '\0';
}

mn_status mn_task_set_open(const mn_experiment *experiment, const mn_digest *expected,
                           mn_task_set **out, mn_error *err)
{
    mn_task_set *set = NULL;
    mn_status status = mn_task_set_open_part(experiment, &set, err);
    if (set != NULL && differs(&set->parts, expected))
        status = refuse_data(&set->parts, expected, err);
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
    if ((*set)->kind->close != NULL)
        (*set)->kind->close((*set)->parts.state);
    free(*set);
    *set = NULL;
}

const mn_fields *mn_task_set_fields(const mn_task_set *set, mn_split split)
{
    return &set->parts.fields[split];
}

mn_digest mn_task_set_data_digest(const mn_task_set *set)
{
    return set->parts.data_digest;
}

const char *mn_task_set_data_name(const mn_task_set *set)
{
    return set->parts.data_name;
}

uint64_t mn_task_set_size(const mn_task_set *set, mn_split split)
{
    return set->parts.n_tasks[drawn_from(set, split)];
}

uint64_t mn_task_set_classes(const mn_task_set *set, mn_split split)
{
    return set->kind->classes != NULL ? set->kind->classes(set->parts.state, split) : 0;
}

mn_status mn_task_set_check(const mn_task_set *set, mn_split split, mn_error *err)
{
    const mn_split from = drawn_from(set, split);
    if (!mn_fields_equal(&set->parts.fields[from], &set->parts.fields[split]))
        return mn_fail(
            err, MN_ERR_CONFIG,
            "evaluate.split asks for test tasks from the classes of %s, whose tasks have "
            "other extents than test tasks: give both the same (evaluate.way, .shot, "
            ".query and .length 0, and what is wanted as tasks.way and so on)",
            from == MN_TRAIN ? "train" : "val");
    return set->kind->check != NULL ? set->kind->check(set->parts.state, from, err) : MN_OK;
}

void mn_task_set_draw(const mn_task_set *set, mn_split split, uint64_t index, mn_task *task)
{
    mn_task_set_draw_after(set, split, index, NULL, task);
}

void mn_task_set_draw_after(const mn_task_set *set, mn_split split, uint64_t index,
                            const float *losses, mn_task *task)
{
    static const mn_purpose purposes[MN_N_SPLITS] = {
        [MN_TRAIN] = MN_RANDOM_TASK_TRAIN,
        [MN_VAL] = MN_RANDOM_TASK_VAL,
        [MN_TEST] = MN_RANDOM_TASK_TEST,
    };
    const mn_split from = drawn_from(set, split);
    assert(mn_fields_equal(&task->fields, &set->parts.fields[from]));
    task->set_losses = losses;
    mn_random random = mn_random_stream(set->seed, purposes[from], index);
    task->index = index;
    mn_task_set_draw_on(set, from, index, &random, task);
    task->set_losses = NULL; /* they were lent for the draw */
}

void mn_task_set_draw_on(const mn_task_set *set, mn_split split, uint64_t index, mn_random *random,
                         mn_task *task)
{
    assert(set->kind->draw != NULL);
    task->title[0] = '\0';
    task->split = split;
    set->kind->draw(set->parts.state, split, index, random, task);
}

bool mn_task_set_is_of_plugin(const mn_task_set *set)
{
    return set->kind->is_of_plugin != NULL && set->kind->is_of_plugin(set->parts.state);
}

mn_status mn_task_set_mix_class(const mn_task_set *set, mn_digest *numeric_class, mn_error *err)
{
    mn_digest tasks;
    mn_hasher hasher;
    if (!mn_task_set_is_of_plugin(set))
        return MN_OK;
    const mn_status status = mn_task_set_fingerprint(set, MN_TRAIN, N_OF_CLASS, &tasks, err);
    if (status != MN_OK)
        return status;
    mn_hasher_init(&hasher);
    mn_hasher_add(&hasher, numeric_class->bytes, sizeof numeric_class->bytes);
    mn_hasher_add(&hasher, tasks.bytes, sizeof tasks.bytes);
    *numeric_class = mn_hasher_finish(&hasher);
    return MN_OK;
}

mn_status mn_task_set_fingerprint(const mn_task_set *set, mn_split split, uint32_t n,
                                  mn_digest *out, mn_error *err)
{
    mn_task *task = NULL;
    mn_hasher hasher;
    mn_hasher_init(&hasher);
    if (set->kind->draw == NULL) { /* whoever makes them goes by these */
        mn_hasher_add(&hasher, &set->parts.data_digest, sizeof set->parts.data_digest);
        mn_hasher_add(&hasher, &set->seed, sizeof set->seed);
        mn_hasher_add(&hasher, &n, sizeof n);
        *out = mn_hasher_finish(&hasher);
        return MN_OK;
    }
    mn_status status = mn_task_new(mn_task_set_fields(set, split), &task, err);
    if (status != MN_OK)
        return status;
    for (uint32_t i = 0; i < task->fields.n; i++) {
        const mn_field *field = &task->fields.at[i];
        const uint32_t extents[] = {field->role, field->n, field->height, field->width,
                                    field->channels};
        mn_hasher_add(&hasher, field->name, strlen(field->name) + 1);
        mn_hasher_add(&hasher, extents, sizeof extents);
    }
    for (uint32_t i = 0; i < n; i++) {
        mn_task_set_draw(set, split, i, task);
        const uint64_t sum = mn_checksum(task->block, task->fields.size * sizeof *task->block);
        mn_hasher_add(&hasher, &sum, sizeof sum);
    }
    *out = mn_hasher_finish(&hasher);
    mn_task_destroy(&task);
    return MN_OK;
}

static mn_status write_tasks(const mn_task_set *set, mn_split split, uint32_t n, FILE *out,
                             mn_error *err)
{
    mn_task *task = NULL;
    mn_status status = mn_task_new(mn_task_set_fields(set, split), &task, err);
    if (status != MN_OK)
        return status;
    uint32_t *items = calloc(
        (size_t)task->fields.at[MN_SUPPORT_X].n + task->fields.at[MN_QUERY_X].n, sizeof *items);
    if (items == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "items of a task");
    task->items = items;
    for (uint32_t i = 0; i < n && status == MN_OK; i++) {
        mn_task_set_draw(set, split, i, task);
        set->kind->write_episode(set->parts.state, drawn_from(set, split), task, out);
    }
    free(items);
    mn_task_destroy(&task);
    return status;
}

mn_status mn_task_set_write_episodes(const mn_task_set *set, mn_split split, uint32_t n,
                                     const char *path, mn_error *err)
{
    char *text = NULL;
    size_t size = 0;
    if (set->kind->write_episode == NULL || !mn_fields_are_few_shot(mn_task_set_fields(set, split)))
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s: tasks of this kind are not chosen from the items of a packed file, so "
                       "there is no list of them; mnemo task --dump writes the numbers of one",
                       path);
    if (mn_fields_have_padding(mn_task_set_fields(set, split)))
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s: a list is of tasks of one size, but these vary: leave out way_from "
                       "and shot_from",
                       path);
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "list of episodes");
    mn_status status = write_tasks(set, split, n, out, err);
    if (fclose(out) != 0 && status == MN_OK)
        status = mn_fail(err, MN_ERR_NOMEM, "list of %" PRIu32 " episodes", n);
    if (status == MN_OK)
        status = mn_file_write(path, text, size, err);
    free(text);
    return status;
}

mn_status mn_task_set_overlap(const mn_task_set *training, const mn_task_set *test, mn_overlap *out,
                              mn_error *err)
{
    *out = (mn_overlap){0};
    if (training->kind->packed == NULL || test->kind->packed == NULL || test->judged == MN_TRAIN)
        return MN_OK;
    const mn_pack_part trained = training->kind->packed(training->parts.state, MN_TRAIN);
    const mn_pack_part tested = test->kind->packed(test->parts.state, test->judged);
    return mn_pack_overlap(&trained, &tested, out, err);
}

void mn_task_set_describe(const mn_task_set *set, const mn_task *task, FILE *out)
{
    if (set->kind->describe != NULL)
        set->kind->describe(set->parts.state, task, out);
    else
        mn_task_print(task, out);
}

bool mn_task_set_class_name(const mn_task_set *set, const mn_task *task, uint32_t label,
                            char out[MN_CLASS_NAME])
{
    return set->kind->class_name != NULL && label < task->n_classes &&
           set->kind->class_name(set->parts.state, task, label, out);
}

void mn_task_set_tell_unread(const mn_task_set *set, char *out, size_t n)
{
    out[0] = '\0';
    if (set->kind->tell_unread != NULL)
        set->kind->tell_unread(set->parts.state, out, n);
}

const mn_words *mn_task_set_words(const mn_task_set *set)
{
    return set->kind->words == NULL ? NULL : set->kind->words(set->parts.state);
}

const mn_row_form *mn_task_set_row_form(const mn_task_set *set)
{
    return set->kind->row_form == NULL ? NULL : set->kind->row_form(set->parts.state);
}

const char *const *mn_task_set_answers(const mn_task_set *set)
{
    return set->kind->answers == NULL ? NULL : set->kind->answers(set->parts.state);
}

const struct mn_dialog_book *mn_task_set_dialogs(const mn_task_set *set)
{
    return set->kind->dialogs == NULL ? NULL : set->kind->dialogs(set->parts.state);
}

const mn_learner_card *mn_task_set_card(const mn_task_set *set)
{
    return set->kind->card == NULL ? NULL : set->kind->card(set->parts.state);
}
