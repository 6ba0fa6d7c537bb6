/* conditions.h: under what conditions scores hold, as must be said with every number that is to be
 * compared with another: what the tasks are drawn from and of what size they are, what batch norm
 * goes by, how many thetas answered together. Plain data. */
#pragma once

#include "common/experiment.h"
#include "worker/tasks/task_set.h"
#include <stdint.h>

struct json_t;

typedef struct mn_conditions {
    mn_split split;
    char data[256];            /* name of the data; "": the tasks are generated */
    uint32_t way, shot, query; /* few-shot classes and items of each; way 0: points; shot and query
                                  0: neither */
    bool of_all;               /* items of all classes together, of which there may be fewer */
    bool varies;               /* these are the most; a task may have fewer */
    uint32_t bundle;           /* episodes of a task */
    bool turns; /* there may be quarter turns of classes as classes; and there are: */
    bool rotations;
    char batch_norm[80]; /* "": there is none, or nothing to be said of it */
    uint32_t ensemble;   /* thetas whose answers are averaged; 1: no ensemble */
} mn_conditions;

/* Of the test round of this experiment. `remark` is that of its test scores. */
mn_conditions mn_conditions_of(const mn_experiment *experiment, const mn_task_set *tasks,
                               const char *remark);

/* One line for people, without an end of line; what does not fit is cut. */
void mn_conditions_text(const mn_conditions *conditions, char *text, size_t n);

/* The same as an object; the caller owns it. */
struct json_t *mn_conditions_json(const mn_conditions *conditions);
