/* story_view.h: a question about a story, what a network answers, and which sentences it went by, in
 * words and numbers; as text of 80 columns for people and as JSON for programs (story_sheet.h draws
 * it). What it went by is what the network's parts show of each sentence (worker/learner/shown.h),
 * whichever parts these are. */
#pragma once

#include "common/error.h"
#include "worker/data/words.h"
#include "worker/learner/shown.h"
#include "worker/tasks/task.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MN_STORY_ANSWERS 3u /* that are told: the most probable ones */
#define MN_STORY_MAX_COLUMNS 64u

/* Where a view is taken from; all pointers are lent for the call. */
typedef struct mn_story_source {
    const mn_task *task; /* of stories (story_fields.h) */
    uint32_t item;       /* of its query set */
    const mn_words *words;
    const char *const *answers; /* [y_size], what the answers are called; NULL: they are words */
    const float *logits;        /* [y_size], of this item; NULL: nothing is answered */
    size_t n_shown;             /* what is shown of this task, all items */
    const mn_shown_array *shown;
    bool judged; /* query.y is the right answer; else that is not known */
} mn_story_source;

typedef struct mn_view_answer {
    const char *word; /* or sentence; lent by the words or answers */
    double probability;
} mn_view_answer;

/* Something that is shown of every sentence, as a hop's attention. */
typedef struct mn_story_column {
    char name[24];   /* "attention" */
    uint32_t hop;    /* from 1; 0: there are no hops */
    double *weights; /* [n_sentences + 1]: at last that of the empty slots; owned */
} mn_story_column;

typedef struct mn_story_view {
    char *question;       /* owned */
    const char *mark;     /* behind it: "?"; "" where it is something that is said */
    uint32_t n_sentences; /* in the order told */
    char **sentences;     /* [n_sentences]; owned */
    uint32_t *ages;       /* [n_sentences]; owned */
    uint32_t n_answers;   /* 0: nothing is answered */
    mn_view_answer answers[MN_STORY_ANSWERS];
    const char *is; /* the right answer; NULL: not known */
    bool right;     /* the first answer is that */
    uint32_t n_columns;
    mn_story_column columns[MN_STORY_MAX_COLUMNS];
} mn_story_view;

/* Are these fields of stories? */
bool mn_story_view_fits(const mn_fields *fields);

mn_status mn_story_view_new(const mn_story_source *source, mn_story_view **out, mn_error *err);
void mn_story_view_destroy(mn_story_view **view);

void mn_story_view_print(const mn_story_view *view, FILE *out);

/* {"question", "answers": [{"word", "probability"}], "is", "right", "sentences": [{"text", "age",
 * "attention": [a number a hop]}], "empty_slots": {"attention": [...]}}; "is" and "right" where that
 * is known, and "attention" or whatever else is shown. A new reference; NULL: no memory. */
json_t *mn_story_view_json(const mn_story_view *view);
