/* story_fields.h: what tasks of stories are made of, wherever the stories come from: some questions
 * side by side (a bundle), each with the story that was told before it. Per question:
 *   story     ids [sentences, length]   words of a slot, in the order told; 0: no word
 *   age       ids [sentences]           of a slot's sentence: 1 is the most recent; 0: empty slot
 *                                       (not where sentences tell their turn themselves)
 *   mask      [sentences]               1 where there is a sentence: the first slots, without gaps
 *   question  ids [question]            its words
 *   y         [vocabulary]              the answer's word, one-hot
 *   weight    1                         1/questions of the bundle; 0: padding, there is none
 *   linear    1                         1: attention without softmax (only with tasks.linear_start)
 *   point     1                         which set it is of (query only)
 * With support questions there are the same for these. Where the answer is one of some sentences, the
 * candidates, y is [candidates], there is no point, and the task has for all its questions
 *   shared.candidates  ids [length]     an item a candidate: its words
 *   match     [types, candidates]       1: the candidate holds an entity of this type that story or
 *                                       question holds too (only with types) */
#pragma once

#include "common/experiment.h"
#include "worker/data/words.h"
#include "worker/tasks/task.h"
#include <stdio.h>

typedef struct mn_story_shape {
    uint32_t bundle, support; /* questions */
    uint32_t sentences, length, question, vocabulary;
    bool linear_start, no_ages;
    uint32_t candidates, candidate_length, types; /* 0: answers are words; there are no types */
} mn_story_shape;

mn_status mn_story_fields(const mn_story_shape *shape, const mn_points *points, mn_fields *fields,
                          mn_error *err);

/* The slots of a story. */
uint32_t mn_story_slots(const mn_fields *fields);

/* Where the stories and questions of a role of a task are: its fields, found once. Valid as long as
 * the task. */
typedef struct mn_story_pages {
    float *story, *age, *mask, *question, *y, *weight, *point; /* age, point: NULL where none is */
    uint32_t slots, length, question_length, answers;          /* numbers of y */
} mn_story_pages;

mn_story_pages mn_story_pages_of(const mn_task *task, mn_role role);

/* Fill in a task that is all zero: a slot of item `item` of a role; its question with the answer's
 * word (one that is not of the vocabulary is never right) or candidate. Words beyond the field's length are left
 * out. */
void mn_story_tell(const mn_story_pages *pages, uint32_t item, uint32_t slot, uint32_t age,
                   uint32_t n, const uint32_t *words);
void mn_story_ask(const mn_story_pages *pages, uint32_t item, uint32_t n, const uint32_t *words,
                  uint32_t answer, uint32_t point, double weight);

/* All zero again, but for the field linear, which says how the task's attention is made. */
void mn_story_clear(mn_task *task, bool linear);

/* One item in words. */
void mn_story_print(const mn_task *task, mn_role role, uint32_t item, const mn_words *words,
                    FILE *out);
/* The words of a slot, as a sentence. */
void mn_story_print_slot(const mn_task *task, mn_role role, uint32_t item, uint32_t slot,
                         const mn_words *words, FILE *out);
/* The words of a question, without its mark. */
void mn_story_print_question(const mn_task *task, mn_role role, uint32_t item,
                             const mn_words *words, FILE *out);
