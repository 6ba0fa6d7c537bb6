/* outcome.h: RUN/outcome.json: what a training has come to when it ended or paused, in few numbers, for
 * whoever has started it. Written when `mnemo train` ends in order; a run that was killed leaves that of the
 * time before. */
#pragma once

#include "common/error.h"
#include "coordinator/run/evaluation.h"
#include "coordinator/run/training.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum mn_ending {
    MN_ENDING_STOPPED, /* somewhere on its way */
    MN_ENDING_PAUSED,  /* where --until says, or beyond, and what is to be validated there is */
    MN_ENDING_DONE,    /* trained and tested */
} mn_ending;

typedef struct mn_outcome {
    mn_ending ending;
    uint64_t step;         /* meta-steps made */
    bool validated;        /* then: */
    mn_score validated_by; /* name, is_share, higher_is_better; the rest is empty */
    double validation;     /* the best so far */
    uint64_t best_step;
    bool tested;     /* then: */
    mn_score judged; /* likewise */
    double test, test_half_width;
    char sha256[65]; /* of theta as it stands: what `mnemo train` prints last */
} mn_outcome;

/* `test`: NULL if there was none; `until`: 0 if there is no such step. */
void mn_outcome_of(const mn_experiment *experiment, const mn_learner *learner,
                   const mn_training *training, uint64_t until, const mn_evaluation *test,
                   mn_outcome *out);

mn_status mn_outcome_write(const mn_outcome *outcome, const char *folder, mn_error *err);
/* MN_ERR_NO_INPUT: there is none; MN_ERR_DATA: it is not one of ours. */
mn_status mn_outcome_read(const char *folder, mn_outcome *out, mn_error *err);

/* The same as a JSON object, which the caller owns, and back. MN_ERR_DATA, MN_ERR_NOMEM. */
struct json_t *mn_outcome_object(const mn_outcome *outcome);
mn_status mn_outcome_from(const struct json_t *object, mn_outcome *out, mn_error *err);
