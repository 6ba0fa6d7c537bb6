/* Dialogues from files, as the bAbI dialog tasks have them (Bordes, Boureau, Weston 2016,
 * arXiv:1605.07683). A training task is a bundle of responses, each with what its dialogue has said so
 * far: all of them are shown once before any comes again, in an order of its own each time. A
 * validation or test task is a whole dialogue, in the file's order, with all its responses. */
#include "worker/tasks/dialog_book.h"
#include "worker/tasks/task_set_kind.h"

#include "common/file.h"
#include "worker/data/dialog_folder.h"
#include "worker/data/text_lines.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct dialogues {
    mn_experiment experiment;
    mn_dialog_book book;
    mn_dialog_text texts[MN_DIALOG_N_TEXTS]; /* owned */
    const mn_dialog_text *of_split[MN_N_SPLITS];
};

static mn_status read_files(struct dialogues *dialogues, const mn_dialog_folder *folder,
                            mn_task_set_parts *parts, mn_error *err);
static mn_status make_fields(const struct dialogues *dialogues, mn_task_set_parts *parts,
                             mn_error *err);

static mn_status open_tasks(const mn_experiment *experiment, mn_task_set_parts *parts,
                            mn_error *err)
{
    struct dialogues *dialogues = calloc(1, sizeof *dialogues);
    mn_dialog_folder folder = {{0}};
    parts->state = dialogues;
    if (dialogues == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "task set");
    dialogues->experiment = *experiment;
    (void)snprintf(parts->data_name, sizeof parts->data_name, "%s", experiment->tasks.data);
    mn_status status = mn_dialog_folder_find(experiment->tasks.data, experiment->run.data_path,
                                             experiment->tasks.dialog, &folder, err);
    if (status == MN_OK && experiment->tasks.oov && folder.paths[MN_DIALOG_OOV] == NULL)
        status = mn_fail(err, MN_ERR_CONFIG,
                         "tasks.oov asks for dialog-babi-task%" PRIu32 "-...-tst-OOV.txt, which %s "
                         "does not have: set 6 has none; use tasks.oov false",
                         experiment->tasks.dialog, experiment->tasks.data);
    if (status == MN_OK)
        status = read_files(dialogues, &folder, parts, err);
    mn_dialog_folder_fini(&folder);
    return status == MN_OK ? make_fields(dialogues, parts, err) : status;
}

static void close_tasks(void *of)
{
    struct dialogues *dialogues = of;
    if (dialogues == NULL)
        return;
    for (mn_dialog_file i = 0; i < MN_DIALOG_N_TEXTS; i++)
        mn_dialog_text_fini(&dialogues->texts[i]);
    mn_dialog_book_close(&dialogues->book);
    free(dialogues);
}

/* Opening ------------------------------------------------------------------------- */

static mn_status read_candidates(const char *path, mn_dialog_candidates *out, mn_error *err)
{
    char *bytes = NULL;
    size_t n = 0;
    mn_status status = mn_file_read(path, MN_TEXT_MAX_BYTES, &bytes, &n, err);
    if (status == MN_OK)
        status = mn_dialog_candidates_parse(path, bytes, n, out, err);
    free(bytes);
    return status;
}

/* Of a file of facts, or where there is none, of those that training tells. */
static mn_status read_entities(const mn_dialog_folder *folder, mn_dialog_entities *out,
                               mn_error *err)
{
    const char *facts = folder->paths[MN_DIALOG_FACTS];
    const char *path = facts != NULL ? facts : folder->paths[MN_DIALOG_TRN];
    char *bytes = NULL;
    size_t n = 0;
    mn_status status = mn_file_read(path, MN_TEXT_MAX_BYTES, &bytes, &n, err);
    if (status == MN_OK)
        status = mn_dialog_entities_parse(path, bytes, n, facts != NULL, out, err);
    free(bytes);
    return status;
}

/* All files of the set have one digest, whichever of them is the test. */
static void name_data(const struct dialogues *dialogues, mn_task_set_parts *parts)
{
    const mn_dialog_book *book = &dialogues->book;
    mn_hasher hasher;
    mn_hasher_init(&hasher);
    for (mn_dialog_file i = 0; i < MN_DIALOG_N_TEXTS; i++)
        mn_hasher_add(&hasher, dialogues->texts[i].digest.bytes, sizeof(mn_digest));
    mn_hasher_add(&hasher, book->candidates.digest.bytes, sizeof(mn_digest));
    mn_hasher_add(&hasher, book->entities.digest.bytes, sizeof(mn_digest));
    parts->data_digest = mn_hasher_finish(&hasher);
    (void)snprintf(parts->data_where, sizeof parts->data_where,
                   "set %" PRIu32 " (tasks.dialog) of %s", dialogues->experiment.tasks.dialog,
                   parts->data_name);
}

static mn_status read_files(struct dialogues *dialogues, const mn_dialog_folder *folder,
                            mn_task_set_parts *parts, mn_error *err)
{
    const mn_experiment *e = &dialogues->experiment;
    mn_dialog_book *book = &dialogues->book;
    mn_status status = read_candidates(folder->paths[MN_DIALOG_CANDIDATES], &book->candidates, err);
    if (status == MN_OK && e->tasks.match)
        status = read_entities(folder, &book->entities, err);
    if (status == MN_OK)
        status = mn_dialog_book_open(book, folder->paths[MN_DIALOG_TRN], e,
                                     &dialogues->texts[MN_DIALOG_TRN], err);
    const mn_dialog_lexicon lexicon = mn_dialog_book_lexicon(book);
    for (mn_dialog_file i = MN_DIALOG_DEV; i < MN_DIALOG_N_TEXTS && status == MN_OK; i++)
        if (folder->paths[i] != NULL)
            status = mn_dialog_text_read(folder->paths[i], &lexicon, &dialogues->texts[i], err);
    if (status == MN_OK)
        name_data(dialogues, parts);
    return status;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* A test task has room for the dialogue of most responses, in whichever file, so that a run may be
 * tested with either. Words of an utterance are at most those of training. */
static mn_status make_fields(const struct dialogues *dialogues, mn_task_set_parts *parts,
                             mn_error *err)
{
    struct dialogues *state = parts->state;
    const mn_experiment *e = &dialogues->experiment;
    uint32_t most = 1;
    state->of_split[MN_TRAIN] = &state->texts[MN_DIALOG_TRN];
    state->of_split[MN_VAL] = &state->texts[MN_DIALOG_DEV];
    state->of_split[MN_TEST] = &state->texts[e->tasks.oov ? MN_DIALOG_OOV : MN_DIALOG_TST];
    for (mn_dialog_file i = MN_DIALOG_DEV; i < MN_DIALOG_N_TEXTS; i++)
        most = larger(most, dialogues->texts[i].most_responses);
    mn_status status = MN_OK;
    for (mn_split split = MN_TRAIN; split < MN_N_SPLITS && status == MN_OK; split++) {
        mn_fields *fields = &parts->fields[split];
        const uint32_t bundle = split == MN_TRAIN ? e->tasks.bundle : most;
        status = mn_dialog_book_fields(&dialogues->book, bundle, fields, err);
        if (split == MN_TRAIN)
            continue;
        (void)snprintf(fields->whole, sizeof fields->whole, "dialog");
        parts->n_tasks[split] = dialogues->of_split[split]->n_dialogs;
    }
    return status;
}

/* Drawing ------------------------------------------------------------------------- */

static void draw_training(const struct dialogues *dialogues, uint64_t index, mn_task *task)
{
    const mn_experiment *e = &dialogues->experiment;
    const mn_dialog_text *text = dialogues->of_split[MN_TRAIN];
    for (uint32_t i = 0; i < e->tasks.bundle; i++) {
        const uint64_t at = index * e->tasks.bundle + i, epoch = at / text->n_responses;
        const uint32_t number =
            mn_random_place(mn_random_stream(e->seed, MN_RANDOM_ORDER, epoch), text->n_responses,
                            (uint32_t)(at % text->n_responses));
        mn_dialog_book_put(&dialogues->book, text, &text->responses[number], 1.0 / e->tasks.bundle,
                           i, task);
    }
}

/* From the beginning again beyond the last. */
static void draw_dialog(const struct dialogues *dialogues, mn_split split, uint64_t index,
                        mn_task *task)
{
    const mn_dialog_text *text = dialogues->of_split[split];
    const mn_dialog *dialog = &text->dialogs[index % text->n_dialogs];
    for (uint32_t i = 0; i < dialog->n; i++)
        mn_dialog_book_put(&dialogues->book, text, &text->responses[dialog->first + i],
                           1.0 / dialog->n, i, task);
}

static void draw(const void *state, mn_split split, uint64_t index, mn_random *random,
                 mn_task *task)
{
    const struct dialogues *dialogues = state;
    (void)random;
    mn_dialog_book_clear(&dialogues->book, task);
    if (split == MN_TRAIN)
        draw_training(dialogues, index, task);
    else
        draw_dialog(dialogues, split, index, task);
}

/* Telling ------------------------------------------------------------------------- */

static const mn_words *words_of(const void *state)
{
    return ((const struct dialogues *)state)->book.words;
}

static const char *const *answers_of(const void *state)
{
    return ((const struct dialogues *)state)->book.candidates.texts;
}

/* How many responses of the files come after more than a memory holds. */
static uint32_t count_longer(const struct dialogues *dialogues)
{
    uint32_t n = 0;
    for (mn_dialog_file i = 0; i < MN_DIALOG_N_TEXTS; i++)
        for (uint32_t k = 0; k < dialogues->texts[i].n_responses; k++)
            n += dialogues->texts[i].responses[k].n_so_far > dialogues->book.slots;
    return n;
}

static void describe(const void *state, const mn_task *task, FILE *out)
{
    const struct dialogues *dialogues = state;
    const float *weight = mn_task_find(task, MN_QUERY, "weight");
    const float *y = mn_task_find(task, MN_QUERY, "y");
    const uint32_t room = mn_fields_find(&task->fields, MN_QUERY, "weight")->n;
    const uint32_t c = task->fields.y_size;
    (void)fprintf(out,
                  "%" PRIu32 " candidates, memory of the latest %" PRIu32 " utterances and facts, "
                  "%" PRIu32 " words\n",
                  c, dialogues->book.slots, mn_words_count(dialogues->book.words));
    const uint32_t longer = count_longer(dialogues);
    if (longer > 0)
        (void)fprintf(out,
                      "%" PRIu32 " responses of the files come after more: the oldest of it is "
                      "left out\n",
                      longer);
    for (uint32_t i = 0; i < room; i++) {
        if (weight[i] == 0)
            continue;
        (void)fputs("  user  ", out);
        mn_story_print_question(task, MN_QUERY, i, dialogues->book.words, out);
        (void)fprintf(out, "\n   bot  %s\n",
                      dialogues->book.candidates.texts[mn_label_of(c, y + (size_t)i * c)]);
    }
}

static const mn_dialog_book *book_of(const void *state)
{
    return &((const struct dialogues *)state)->book;
}

const mn_task_set_kind mn_dialogues_kind = {.open = open_tasks,
                                            .close = close_tasks,
                                            .draw = draw,
                                            .describe = describe,
                                            .words = words_of,
                                            .answers = answers_of,
                                            .dialogs = book_of};
