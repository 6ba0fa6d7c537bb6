/* plugin_trial.h: what `mnemo plugin check` does with a plug-in, in a process that it may end: its
 * kinds are put to use and compared with themselves and with the mathematics. What is found goes line
 * by line to a stream, so that whoever reads it knows what was being done if the process ends. */
#pragma once

#include "common/digest.h"
#include "common/experiment.h"
#include "worker/plugin/plugin.h"
#include <stdbool.h>
#include <stdio.h>

/* The first byte of each line. */
#define MN_TRIAL_DOING '+' /* what is done now */
#define MN_TRIAL_OK '='    /* what held */
#define MN_TRIAL_FAULT '!' /* what did not: what, where, what was expected */
#define MN_TRIAL_BITS '#'  /* a digest, and what it is of: the same from every process */
#define MN_TRIAL_END '.'   /* nothing follows */

typedef struct mn_trial {
    FILE *out;
    uint32_t round; /* another one does things in another order and at other addresses */
    uint32_t n_faults;
} mn_trial;

void mn_trial_say(mn_trial *trial, char what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Load the file and try all of its kinds. */
void mn_plugin_trial(mn_trial *trial, const char *path);

/* Its halves. */
void mn_trial_task_set(mn_trial *trial, const mnemo_task_set_kind *kind);
void mn_trial_part(mn_trial *trial, const mnemo_part_kind *kind);
void mn_trial_rule(mn_trial *trial, const mnemo_rule_kind *kind);

/* An experiment of assignments "key=value"; those that a variant of a kind's options adds come last: 0
 * none, then each option at its least and at its most. False: there is no such variant. */
typedef struct mn_trial_options {
    const char *kind;
    const mnemo_option *options;
    uint32_t n_options;
} mn_trial_options;
bool mn_trial_variant(const mn_trial_options *options, uint32_t variant, char out[128]);
mn_status mn_trial_experiment(const char *const *assignments, const char *variant,
                              mn_experiment *out, mn_error *err);
