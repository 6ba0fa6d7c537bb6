/* task_set_kind.h: what a kind of task set is: one row. A new kind is a file with its row, a line in
 * task_set.c, and its options in common/experiment.c. Nothing else asks of what kind a set is. */
#pragma once

#include "common/random.h"
#include "worker/data/image_pack.h"
#include "worker/data/pack_overlap.h"
#include "worker/data/words.h"
#include "worker/tasks/task_set.h"

/* What is known of an open task set; its kind fills it in. */
typedef struct mn_task_set_parts {
    void *state; /* the kind's own; freed by its close() */
    mn_fields fields[MN_N_SPLITS];
    char data_name[256]; /* "": there are no data files */
    mn_digest data_digest;
    char data_where[1024]; /* what has this digest and where, for a message; "": no file has */
    uint64_t n_tasks[MN_N_SPLITS]; /* that show all of a split once, in order; 0: no end */
} mn_task_set_parts;

typedef struct mn_task_set_kind {
    /* Whatever is returned, close() follows. data_digest is that of no bytes unless it is set,
     * which is done before the data is used, so that other data than the coordinator's is told
     * before what follows from it. */
    mn_status (*open)(const mn_experiment *experiment, mn_task_set_parts *parts, mn_error *err);
    void (*close)(void *state); /* NULL: there is nothing to free */
    /* As mn_task_set_check. NULL: all splits have tasks. */
    mn_status (*check)(const void *state, mn_split split, mn_error *err);
    /* random: the task's own stream. No allocation, no failure. */
    /* NULL: tasks are made by workers of the user's own, and never drawn here. */
    void (*draw)(const void *state, mn_split split, uint64_t index, mn_random *random,
                 mn_task *task);
    /* How many classes, or tasks that are given, a split has to draw from. NULL, or 0: there is no end of them. */
    uint64_t (*classes)(const void *state, mn_split split);
    void (*describe)(const void *state, const mn_task *task, FILE *out); /* NULL: by its fields */
    /* As mn_task_set_tell_unread, out is "". NULL: tests hold nothing of that kind. */
    void (*tell_unread)(const void *state, char *out, size_t n);
    const mn_row_form *(*row_form)(const void *state); /* of a user's table; NULL: there is none */
    /* As mn_task_set_class_name, label < task->n_classes. NULL: classes have no names. */
    bool (*class_name)(const void *state, const mn_task *task, uint32_t label,
                       char out[MN_CLASS_NAME]);
    const mn_words *(*words)(
        const void *state); /* of stories, or of rows' ids; NULL: there are none */
    /* What each of y_size answers is called; NULL: words are the answers, or nothing is called. */
    const char *const *(*answers)(const void *state);
    const struct mn_dialog_book *(*dialogs)(const void *state); /* NULL: no dialogues */
    /* Write down what a task that was drawn with its items is made of (episode_list.h), the first of
     * them with what comes before. NULL: tasks are not chosen from items. */
    void (*write_episode)(const void *state, mn_split split, const mn_task *task, FILE *out);
    /* What a learner of the user's own is made of; NULL: tasks are drawn here. */
    const mn_learner_card *(*card)(const void *state);
    /* Does a plug-in draw, or one of its parts? NULL: no. */
    bool (*is_of_plugin)(const void *state);
    /* The packed classes that tasks of a split are drawn from; NULL: there are none. */
    mn_pack_part (*packed)(const void *state, mn_split split);
} mn_task_set_kind;

extern const mn_task_set_kind mn_sinusoid_kind, mn_image_kind, mn_glyph_kind, mn_sequence_kind,
    mn_stories_kind, mn_generated_stories_kind, mn_mixture_kind, mn_tables_kind, mn_rows_kind,
    mn_described_images_kind, mn_dialogues_kind, mn_class_stream_kind, mn_sinusoid_stream_kind,
    mn_external_kind;

/* Draw as mn_task_set_draw, but on a stream of which something has been used, into a task that may
 * have fields behind the set's own. */
void mn_task_set_draw_on(const mn_task_set *set, mn_split split, uint64_t index, mn_random *random,
                         mn_task *task);

/* As the kind's; 0: there is no end. */
uint64_t mn_task_set_classes(const mn_task_set *set, mn_split split);

bool mn_task_set_is_of_plugin(const mn_task_set *set); /* as the kind's */

/* Open as mn_task_set_open, whatever data the coordinator has, but *out may be set on failure too, and
 * then knows what data there is as far as it was opened: for whoever compares the data of several
 * sets at once. The caller destroys it. */
mn_status mn_task_set_open_part(const mn_experiment *experiment, mn_task_set **out, mn_error *err);
/* Does the set have data files, of which the digest is known? */
bool mn_task_set_has_data(const mn_task_set *set);

/* Fields of few-shot tasks of images of side x side pixels: evaluate.* instead of tasks.* for
 * validation and test, where it is set. MN_ERR_CONFIG: such tasks are none, or too large. */
mn_status mn_few_shot_images(const mn_experiment *experiment, uint32_t side, uint32_t channels,
                             mn_fields fields[MN_N_SPLITS], mn_error *err);

/* Find, open and check the packed file that tasks.data names; name and digest go to parts, and
 * unless tasks.runs adds to these, where it is. *out may be set on failure too: the caller destroys
 * it. */
mn_status mn_open_image_pack(const mn_experiment *experiment, mn_task_set_parts *parts,
                             mn_image_pack **out, mn_error *err);

/* One-hot labels, class-major: `each` items of each of `way` classes. */
void mn_few_shot_label(uint32_t way, uint32_t each, float *y);
