/* sweep_leg.h: a run of a sweep from outside: as a process that makes it to its next pause or its end, and by what
 * its folder tells. `run` is its number in the plan, SWEEP/runs/NAME its folder, SWEEP/logs/NAME.log what it
 * says. */
#pragma once

#include "common/error.h"
#include "coordinator/links/job.h"
#include "coordinator/run/outcome.h"
#include "coordinator/sweep/ladder.h"
#include "coordinator/sweep/plan.h"
#include "proto/message.h"
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct mn_sweep_config {
    const mn_job *job;
    const mn_sweep_plan *plan; /* the same on all ranks */
    const char *folder;        /* of the sweep, which all ranks see */
    const char *experiment;    /* the base's file, likewise */
    uint32_t slots;            /* runs at a time of each rank; 0: by its cores */
    bool quiet;
} mn_sweep_config;

/* Runs at a time of this rank: as told, or as many as its cores are for, and one more. */
uint32_t mn_sweep_slots(const mn_sweep_config *config);

/* Threads of a run on a leg: as the base says, else the cores of this rank are shared by the runs that make it;
 * towards the end of a halving these are few, and the last run to start will soon be alone. */
uint32_t mn_sweep_leg_threads(const mn_sweep_config *config, const mn_leg *leg);

void mn_sweep_leg_folder(const mn_sweep_config *config, uint32_t run, char folder[PATH_MAX]);
void mn_sweep_leg_log(const mn_sweep_config *config, uint32_t run, char path[PATH_MAX]);

/* Start `mnemo train BASE --run-dir SWEEP/runs/NAME --set ...` as a child. A page and pictures for each of many
 * small runs would cost more than the runs, so they have them only if the sweep sets run.page, run.pictures. */
mn_status mn_sweep_leg_start(const mn_sweep_config *config, const mn_leg *leg, pid_t *pid,
                             mn_error *err);

/* What the end of its process means, after `leg` rungs, with this code (see mn_leg); *outcome is read for
 * MN_LEG_PAUSED and MN_LEG_DONE. */
mn_leg_ending mn_sweep_leg_ending(const mn_sweep_config *config, uint32_t run, uint32_t leg,
                                  uint32_t code, mn_outcome *outcome);
/* The status that a program means by its exit code. */
mn_status mn_sweep_leg_status(uint32_t code);
/* The last message of the run that is an error, for people; "": none. */
void mn_sweep_leg_last_words(const mn_sweep_config *config, uint32_t run, char *out, size_t n);

/* Where it can be joined; false: not yet. Before it goes on, what it left behind when it paused is to be
 * forgotten. */
bool mn_sweep_leg_endpoint(const mn_sweep_config *config, uint32_t run, char endpoint[256]);
void mn_sweep_leg_forget_endpoint(const mn_sweep_config *config, uint32_t run);

/* Meta-steps made, by metrics.jsonl. */
uint64_t mn_sweep_leg_step(const mn_sweep_config *config, uint32_t run);
