/* story_bed.h: for tests of task sets of stories: sets by assignments, and what a task holds as
 * text again. */
#pragma once

#include "worker/tasks/story_fields.h"
#include "worker/tasks/task_set.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* An experiment as a file of lines says, and with assignments "KEY=VALUE", NULL last. */
static inline void story_experiment(mn_experiment *experiment, const char *yaml,
                                    const char *const *more)
{
    mn_error err = {0};
    mn_experiment_init(experiment);
    mn_status status = mn_experiment_parse(experiment, "story.yaml", yaml, strlen(yaml), &err);
    for (size_t i = 0; more != NULL && more[i] != NULL && status == MN_OK; i++)
        status = mn_experiment_set(experiment, more[i], &err);
    if (status == MN_OK)
        status = mn_experiment_check(experiment, &err);
    if (status != MN_OK)
        fail_msg("%s", err.message);
}

static inline mn_task_set *story_open(const char *yaml, const char *const *more)
{
    mn_experiment experiment;
    mn_task_set *set = NULL;
    mn_error err = {0};
    story_experiment(&experiment, yaml, more);
    if (mn_task_set_open(&experiment, NULL, &set, &err) != MN_OK)
        fail_msg("%s", err.message);
    return set;
}

static inline mn_task *story_draw(const mn_task_set *set, mn_split split, uint64_t index)
{
    mn_task *task = NULL;
    mn_error err;
    assert_int_equal(mn_task_new(mn_task_set_fields(set, split), &task, &err), MN_OK);
    memset(task->block, 0xff, task->fields.size * sizeof *task->block); /* of a task before */
    mn_task_set_draw(set, split, index, task);
    return task;
}

/* The numbers of one item of a field. */
static inline const float *story_item(const mn_task *task, mn_role role, const char *name,
                                      uint32_t item)
{
    const mn_field *field = mn_fields_find(&task->fields, role, name);
    assert_non_null(field);
    assert_true(item < field->n);
    return task->block + field->offset + item * mn_field_item(field);
}

/* n ids as words with a space between them; a word that the dictionary lacks is "?". */
static inline void story_text(const mn_words *words, const float *ids, uint32_t n, char out[512])
{
    size_t at = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < n && ids[i] != 0; i++) {
        const uint32_t id = (uint32_t)ids[i];
        at += (size_t)snprintf(out + at, 512 - at, "%s%s", i > 0 ? " " : "",
                               id < mn_words_count(words) ? mn_words_text(words, id) : "?");
        assert_true(at < 512);
    }
}

static inline void story_sentence(const mn_task *task, mn_role role, uint32_t item, uint32_t slot,
                                  const mn_words *words, char out[512])
{
    const uint32_t length = mn_fields_find(&task->fields, role, "story")->channels;
    story_text(words, story_item(task, role, "story", item) + (size_t)slot * length, length, out);
}

static inline void story_question(const mn_task *task, mn_role role, uint32_t item,
                                  const mn_words *words, char out[512])
{
    story_text(words, story_item(task, role, "question", item),
               mn_fields_find(&task->fields, role, "question")->channels, out);
}

/* The word of the answer, of which there is exactly one; "" where it is none of the vocabulary. */
static inline const char *story_answer(const mn_task *task, mn_role role, uint32_t item,
                                       const mn_words *words)
{
    const float *y = story_item(task, role, "y", item);
    uint32_t answer = task->fields.y_size;
    for (uint32_t i = 0; i < task->fields.y_size; i++)
        if (y[i] != 0) {
            assert_true(y[i] == 1 && answer == task->fields.y_size);
            answer = i;
        }
    assert_true(answer < task->fields.y_size);
    return mn_words_text(words, answer);
}

/* Sentences of an item: its mask is so many ones, then zeros, and empty slots are of age 0. */
static inline uint32_t story_told(const mn_task *task, mn_role role, uint32_t item)
{
    const uint32_t slots = mn_story_slots(&task->fields);
    const float *mask = story_item(task, role, "mask", item);
    const float *age = story_item(task, role, "age", item);
    uint32_t n = 0;
    while (n < slots && mask[n] == 1)
        n++;
    for (uint32_t i = 0; i < slots; i++) {
        assert_true(mask[i] == (i < n ? 1 : 0));
        assert_true(i < n ? age[i] >= 1 : age[i] == 0);
    }
    return n;
}
