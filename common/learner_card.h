/* learner_card.h: what a learner of a user's own is made of (tasks.kind external): the tensors of theta
 * with the numbers that they begin with, and the scores that it tells of a task. The coordinator trains
 * theta by it and knows nothing else of the learner; a worker compares it with the learner that it has.
 *
 * A card is read from a safetensors file: its tensors, float32, in the order of the file, and its
 * metadata "mnemo.scores", a line for each score; without it there is one, "loss lower number". */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include "common/score.h"
#include "common/tensor_file.h"
#include <stddef.h>
#include <stdint.h>

#define MN_CARD_MAX_TENSORS 320u
#define MN_CARD_MAX_SCORES 32u

typedef struct mn_learner_card {
    uint32_t n_tensors;
    mn_tensor *tensors; /* [n_tensors], without data; owned */
    size_t size;        /* numbers in all */
    float *start;       /* [size] of step 0, tensor after tensor; owned */
    mn_score_list scores;
    /* What learners are compared by, a line each, in order: "tensor NAME EXTENT EXTENT..." and
     * "score NAME lower|higher number|share UNIT", the unit left out where there is none. Owned. */
    char *text;
} mn_learner_card;

/* MN_ERR_NO_INPUT: there is no such file. MN_ERR_DATA: it is no safetensors file, or tensor or score
 * is not as above: which, and what was expected. */
mn_status mn_learner_card_read(const char *path, mn_learner_card **out, mn_error *err);

/* Takes NULL. */
void mn_learner_card_destroy(mn_learner_card **card);

/* Of the text: two learners of one digest have the same tensors and scores. */
mn_digest mn_learner_card_digest(const mn_learner_card *card);
