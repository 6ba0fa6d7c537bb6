/* task_set.h: a distribution of tasks. Task `index` of a split is a pure function of (experiment,
 * data, split, index): any thread of any machine draws the same bits. A task set is read-only once
 * open, so all threads share one. */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include "common/experiment.h"
#include "common/learner_card.h"
#include "worker/data/pack_overlap.h"
#include "worker/data/row_form.h"
#include "worker/data/words.h"
#include "worker/tasks/task.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct mn_task_set mn_task_set;

/* Open the task set that the experiment names. Images: the packed file is looked for on
 * run.data_path and in the cache (data_path.h); first_use.h makes it from archives. `expected`, if
 * not NULL, is the digest of the data that the coordinator uses: another file is refused with both
 * digests and where to put the right one. MN_ERR_NO_INPUT: no such data: says which file, where it
 * was looked for and how to make it. */
mn_status mn_task_set_open(const mn_experiment *experiment, const mn_digest *expected,
                           mn_task_set **out, mn_error *err);
void mn_task_set_destroy(mn_task_set **set);

/* What a task of this split is made of; lent for the set's life. Validation and test tasks have
 * evaluate.way, .shot and .query where these are set. */
const mn_fields *mn_task_set_fields(const mn_task_set *set, mn_split split);

/* Digest of the data files in use; of nothing for generated tasks. */
mn_digest mn_task_set_data_digest(const mn_task_set *set);
/* "omniglot.mnd" or "" */
const char *mn_task_set_data_name(const mn_task_set *set);

/* From here on the test split stands for evaluate.split, from which test tasks are drawn. */

/* How many tasks, from index 0, show all that a split has once; 0: there is no end. */
uint64_t mn_task_set_size(const mn_task_set *set, mn_split split);

/* May tasks of this split be drawn? Data may lack classes for one, as for validation, which is no
 * error while nobody asks for it. MN_ERR_CONFIG: what is missing and what to do. */
mn_status mn_task_set_check(const mn_task_set *set, mn_split split, mn_error *err);

/* Draw task `index` of `split`, which was checked, into task, which was made for its fields. */
void mn_task_set_draw(const mn_task_set *set, mn_split split, uint64_t index, mn_task *task);

/* Digest of all numbers of the first n tasks of a split, which was checked, and of their extents: two
 * sets of one digest have the same tasks. */
mn_status mn_task_set_fingerprint(const mn_task_set *set, mn_split split, uint32_t n,
                                  mn_digest *out, mn_error *err);

/* The same, with the running losses of the sets of a mixture as theta holds them
 * (mn_learner_set_losses), by which training tasks are drawn if tasks.mix_by is difficulty; NULL: by
 * the weights alone. The task is then a function of these, too: as theta is the same for all tasks of
 * a meta-step, so are they. */
void mn_task_set_draw_after(const mn_task_set *set, mn_split split, uint64_t index,
                            const float *losses, mn_task *task);

/* Mix into a numeric class what a plug-in makes of the first tasks of training: its arithmetic is its own,
 * with its own compiler's and its C library's. Of our own tasks nothing: the class stays. */
mn_status mn_task_set_mix_class(const mn_task_set *set, mn_digest *numeric_class, mn_error *err);

/* What training classes, of one set, and test classes, of another or of the same, have in common. Tasks
 * that are made of no packed classes, or that evaluate.split has drawn from training classes, are not
 * compared: *out is zero. MN_ERR_NOMEM. */
mn_status mn_task_set_overlap(const mn_task_set *training, const mn_task_set *test, mn_overlap *out,
                              mn_error *err);

/* Write the first n tasks of a split, which was checked, as a list of their items (episode_list.h).
 * MN_ERR_CONFIG: such tasks are not chosen from items of a data file, but made up or given. */
mn_status mn_task_set_write_episodes(const mn_task_set *set, mn_split split, uint32_t n,
                                     const char *path, mn_error *err);

/* Print a task for people: what its kind knows of it, or else its fields. */
void mn_task_set_describe(const mn_task_set *set, const mn_task *task, FILE *out);

/* What people call the class that a task has under a label, "group/class", fit to print. False: its
 * classes have no names. */
#define MN_CLASS_NAME 600
bool mn_task_set_class_name(const mn_task_set *set, const mn_task *task, uint32_t label,
                            char out[MN_CLASS_NAME]);

/* The words that the ids of stories, or of rows, mean; NULL: there are none. Lent for the set's life. */
const mn_words *mn_task_set_words(const mn_task_set *set);

/* What a test holds that a network cannot read, for training had nothing like it, as words that it
 * lacks: for people, to out[n]. "": nothing. */
void mn_task_set_tell_unread(const mn_task_set *set, char *out, size_t n);

/* How the columns of a user's table become the numbers of items; NULL: these tasks are of none. Lent for
 * the set's life. */
const mn_row_form *mn_task_set_row_form(const mn_task_set *set);

/* What the answers are called, [y_size]; NULL: those of stories are words, others have no names. Lent
 * for the set's life. */
const char *const *mn_task_set_answers(const mn_task_set *set);

/* How dialogues of one's own become tasks (dialog_book.h); NULL: these are no dialogues. Lent so too. */
struct mn_dialog_book;
const struct mn_dialog_book *mn_task_set_dialogs(const mn_task_set *set);

/* What the learner of the user's own is made of whose workers make these tasks (tasks.kind external); NULL:
 * tasks are drawn here. No task of such a set can be drawn, shown or written down. Lent so too. */
const mn_learner_card *mn_task_set_card(const mn_task_set *set);
