/* board_bed.h: a board with a few steps and validations on it, for tests. */
#pragma once

#include "coordinator/run/board.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mn_score bed_kinds[] = {
    {.name = "loss", .axis = "inner_steps", .point = "5", .unit = "nats"},
    {.name = "accuracy",
     .axis = "inner_steps",
     .point = "5",
     .is_share = true,
     .higher_is_better = true}};
static mn_score bed_train_kinds[] = {{.name = "loss", .unit = "nats"},
                                     {.name = "accuracy", .is_share = true}};
static const mn_score_list bed_scores = {.n = 2, .at = bed_kinds, .judged = 1};
static const mn_score_list bed_train_scores = {.n = 2, .at = bed_train_kinds, .judged = 1};
static mn_experiment bed_experiment;

static inline mn_board *bed_board(const char *folder, uint64_t step)
{
    mn_board *board = NULL;
    mn_experiment_init(&bed_experiment);
    (void)snprintf(bed_experiment.name, sizeof bed_experiment.name, "bed");
    bed_experiment.outer.steps = 1000000;
    bed_experiment.outer.batch = 10;
    const mn_board_config config = {.experiment = &bed_experiment,
                                    .yaml = "name: bed\n",
                                    .folder = folder,
                                    .run_id = 0x2a,
                                    .train = &bed_train_scores,
                                    .test = &bed_scores,
                                    .step = step,
                                    .n_ranks = 1};
    return mn_board_new(&config, &board, NULL) == MN_OK ? board : NULL;
}

/* A step that took 10 ms of two threads, half of which they computed. */
static inline void bed_step(mn_board *board, uint64_t step, double loss)
{
    const double scores[] = {loss, 0.5};
    const mn_step_record record = {.step = step,
                                   .scores = scores,
                                   .lr = 0.001,
                                   .grad_norm = 2,
                                   .skipped = step % 100 == 0,
                                   .tasks_per_s = 1000,
                                   .workers = 1,
                                   .threads = 2,
                                   .wall_s = 0.01 * (double)step,
                                   .time = {.all_us = 20000,
                                            .tasks_us = 10000,
                                            .sums_us = 1000,
                                            .reduce_us = 2000,
                                            .outer_us = 3000}};
    mn_board_step(board, &record);
}

static inline void bed_validation(mn_board *board, uint64_t step, double loss)
{
    mn_estimate estimates[] = {{loss, 0.1}, {0.6, 0.05}};
    const mn_evaluation evaluation = {
        .split = MN_VAL, .n_counted = 50, .scores = &bed_scores, .estimates = estimates};
    mn_board_validation(board, step, &evaluation);
}

static inline mn_worker_view bed_worker(uint64_t peer, uint64_t tasks, double here_s)
{
    mn_worker_view worker = {
        .peer = peer, .doing = "computing", .threads = 2, .tasks = tasks, .here_s = here_s};
    (void)snprintf(worker.name, sizeof worker.name, "host:%d", (int)peer);
    return worker;
}

/* With these workers. */
static inline void bed_publish(mn_board *board, uint64_t now_us, uint32_t n,
                               const mn_worker_view *workers)
{
    mn_pool_view pool = {.n_workers = n,
                         .workers = calloc(n + 1, sizeof *pool.workers),
                         .joins = 3,
                         .leases_granted = 40,
                         .refused = {0, 1, 0, 2},
                         .ends = {1, 0, 0, 1},
                         .n_gone = 1,
                         .gone = {{.how = "rejected", .name = "old:1", .why = "protocol 99"}}};
    if (n > 0)
        memcpy(pool.workers, workers, n * sizeof *workers);
    mn_board_publish(board, now_us, MN_PHASE_TRAINING, 0, 0, &pool);
}
