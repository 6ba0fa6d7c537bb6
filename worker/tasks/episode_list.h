/* episode_list.h: test tasks that are written down item by item, so that any program may make them,
 * and any other judge the same ones. A list is text, of lines with tabs between
 *   task  label  class  turns  set  item
 * the first of them just these words: item number `item` (from 0) of the class "group/name" of a
 * packed file, turned counter-clockwise by `turns` quarters, is in the `set` support or query of task
 * number `task` under the label `label`. Tasks come one after the other, from 0; within one the lines
 * may have any order, which is the order of the items of a label. Lines that begin with '#' tell of
 * it; "# data HEX" is the digest of the packed file that it was made from. */
#pragma once

#include "common/digest.h"
#include "worker/data/image_pack.h"
#include "worker/data/pack_overlap.h"
#include "worker/tasks/task.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MN_EPISODES_MAX_BYTES ((size_t)256 << 20)
#define MN_EPISODES_MAX 32768u

typedef struct mn_episode_list mn_episode_list;

/* Read a list for tasks of these few-shot fields from the pack, which is lent for the list's life. The
 * caller owns *out. MN_ERR_NO_INPUT: not there; MN_ERR_DATA: line and what is wrong with it: no such
 * class or item, an item twice in a task, of another pack; MN_ERR_CONFIG: tasks of another size, with
 * what to set. */
mn_status mn_episode_list_open(const char *path, const mn_image_pack *pack, const mn_fields *test,
                               mn_episode_list **out, mn_error *err);
/* The same from text [n], which is followed by a NUL; `source` names it in messages. */
mn_status mn_episode_list_parse(const char *source, const char *text, size_t n,
                                const mn_image_pack *pack, const mn_fields *test,
                                mn_episode_list **out, mn_error *err);
void mn_episode_list_destroy(mn_episode_list **list);

uint32_t mn_episode_list_count(const mn_episode_list *list);
mn_digest mn_episode_list_digest(const mn_episode_list *list); /* of its text */
/* All classes of all tasks; lent. */
mn_pack_part mn_episode_list_classes(const mn_episode_list *list);

/* Task index of the list (from its beginning again behind the last) into a task of the fields above. */
void mn_episode_list_draw(const mn_episode_list *list, uint64_t index, mn_task *task);
/* The class of a label of a task that was drawn here. */
mn_pack_entry mn_episode_list_entry(const mn_episode_list *list, const mn_task *task,
                                    uint32_t label);

/* Writing: what comes before the tasks; and a task of few-shot fields that was drawn with its items,
 * entries [classes] by label. Names of classes have no control characters. */
void mn_episodes_begin(const mn_image_pack *pack, FILE *out);
void mn_episodes_write(const mn_image_pack *pack, const mn_task *task, const mn_pack_entry *entries,
                       FILE *out);
