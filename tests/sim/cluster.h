/* cluster.h: a whole cluster in one process and in virtual time: the real cores of leader, ranks and
 * workers, with simulated threads, networks and clocks, and faults drawn from a seed. After every
 * event it is checked that
 *   - each task of a round is counted once, at one rank, with the right theta, and the sums are the
 *     fault-free ones;
 *   - rounds come in the order of the plan, and all ranks enter the same allreduces in the same
 *     order;
 *   - leases and theta go only to those who joined and have not left, theta first;
 *   - a worker's core and its pool have the same leases and thetas in hand, and it speaks only
 *     while it is connected;
 *   - the journal is told of each who came, went or was refused, of each lease that ran out, and of all
 *     that was computed twice, exactly as the ranks count it;
 *   - every round ends, and after a stop every rank ends, within a bound of virtual time.
 * Equal options give equal runs, event by event. */
#pragma once

#include "worker/program/worker_core.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct mn_sim_options {
    uint64_t seed;
    uint32_t ranks, workers;
    uint32_t local_threads; /* of each rank's own pool; 0: none */
    uint32_t steps, batch;
    uint32_t val_every, val_tasks, test_tasks;
    /* Workers of so many numeric classes in turn, none of them ours (tasks.kind external), which needs
     * one rank without threads: then only one class is counted, whichever was first. 0: all are of one. */
    uint32_t classes;
    bool faults;
    double task_s;       /* of a task, on average; 0: drawn with the weather */
    double stop_after_s; /* of virtual time; 0: never */
} mn_sim_options;

typedef struct mn_sim_report {
    bool ok;
    char failure[512]; /* begins with the seed */
    uint64_t events, rounds;
    double virtual_s;
    bool complete;                             /* the program of rounds ran to its end */
    uint64_t expired, refused, lost, accepted; /* from the ranks' counters */
    uint64_t rejected;                         /* workers */
    uint64_t repeated_us, waited;              /* thread time for nothing; rounds that waited */
    uint64_t awaited_ranks;                    /* rounds that waited for a rank */
    uint64_t kept;                             /* leases whose sum came with another's */
    uint64_t states[MN_N_WORKER_STATES];       /* how often workers came into each */
    uint64_t sum; /* of all rounds: equal for equal steps, batch and tests */
} mn_sim_report;

/* Options of a small cluster, all drawn from the seed. */
mn_sim_options mn_sim_draw(uint64_t seed);

mn_sim_report mn_sim_run(const mn_sim_options *options);
