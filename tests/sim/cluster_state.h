/* cluster_state.h: what cluster.c (the run), ranks.c (leader and ranks) and workers.c share.
 * Private to them. */
#pragma once

#include "coordinator/core/leader.h"
#include "coordinator/core/rank.h"
#include "tests/sim/cluster.h"
#include "tests/sim/event_queue.h"
#include "worker/program/worker_core.h"

#define MN_SIM_SILENCE_MS 2000u
#define MN_SIM_HEARTBEAT_MS 500u
#define MN_SIM_THETA 4u /* floats */
#define MN_SIM_COLUMNS 8u
#define MN_SIM_EPOCHS 1024u
#define MN_SIM_S UINT64_C(1000000)

/* How often what goes wrong, drawn once for a run. */
typedef struct mn_sim_weather {
    double fault_every_s;                                              /* of one worker; 0: never */
    double straggle, twice, wrong_epoch, wrong_size, damaged, forgets; /* at each lease or result */
    double no_dial, no_build;                                          /* at each dial or WELCOME */
    uint64_t task_us, delay_us;
} mn_sim_weather;

/* What a pool has done of a round and not yet returned. */
typedef struct mn_sim_keeping {
    uint64_t round, version, sum;
    uint32_t n_tasks, n;
    mn_sim_part parts[MN_MAX_KEPT]; /* [n] */
} mn_sim_keeping;

/* A process: the core, and what its shell would have. */
typedef struct mn_sim_worker {
    mn_worker_core core;
    uint32_t rank, threads;
    uint64_t uuid;
    uint64_t life; /* number of the process; 0: there is none */
    uint64_t peer; /* number of its connection at the rank */
    uint64_t link; /* what is sent on an older link is lost */
    bool connected;
    bool careful; /* never meets a fault: one such keeps the cluster going */
    uint64_t mute_until_us, hung_until_us;
    uint64_t up_us, down_us; /* when the newest message of each direction arrives: none overtakes */
    uint64_t wake_us;        /* of the timer that is set; MN_NEVER: none */
    uint64_t building;       /* number of the build under way; 0: none */
    bool built;              /* there is a pool: */
    uint64_t theta[2];       /* [n_theta] versions: the older, the newer */
    uint32_t n_theta;
    mn_lease hand[MN_WORKER_MAX_LEASES]; /* [n_hand]; the first is being computed */
    uint32_t n_hand;
    uint64_t computing; /* number of that work; 0: none */
    uint64_t busy_us;   /* until then the threads are */
    mn_sim_keeping keeping;
} mn_sim_worker;

/* What a rank's own bookkeeping must agree with: connections by number. */
typedef struct mn_sim_peer {
    bool known;  /* welcomed, and neither closed, rejected nor dismissed since */
    bool joined; /* ... and JOIN was given to the rank, LEAVE was not */
    bool has_theta;
    uint64_t theta;
    uint32_t worker;
} mn_sim_peer;

typedef struct mn_sim_rank {
    mn_rank *rank;
    uint64_t wake_us;        /* of the timer that is set; MN_NEVER: none */
    uint64_t up_us, down_us; /* to and from the leader */
    uint64_t entered, left;  /* allreduces */
    uint64_t sum, n_counted; /* of the open round */
    uint64_t local_theta, local_busy_us, local_round;
    uint32_t n_local; /* leases of that round in the local pool */
    mn_sim_keeping keeping;
    uint32_t worker_of[MN_SIM_EPOCHS];       /* the newest leases, by epoch: to whom */
    uint64_t notes[MN_N_NOTES], repeated_us; /* as the notes tell */
    bool stopped;
} mn_sim_rank;

typedef struct mn_sim_cluster {
    mn_sim_options options;
    mn_sim_weather weather;
    uint64_t random;
    uint64_t now_us, at_once; /* events at this time */
    mn_sim_queue queue;
    mn_leader *leader;
    mn_sim_rank *ranks;
    mn_sim_worker *workers;
    mn_sim_peer *peers; /* by number; 0 is unused */
    uint64_t n_peers, peer_capacity, n_links, n_lives, n_works;
    mn_actions todo;
    mn_worker_actions worker_todo;

    /* the round in hand, as the plan has it */
    mn_round round;
    uint8_t *counted; /* [round.n_tasks] */
    uint8_t class;    /* of all that was counted in the run; 0: nothing was */
    uint32_t n_entered;
    uint64_t total, round_began_us, stop_us;
    uint64_t plan_step;
    bool plan_validates, plan_tested;
    mn_sim_report report;
} mn_sim_cluster;

void mn_sim_fail(mn_sim_cluster *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

uint64_t mn_sim_random(mn_sim_cluster *sim);
bool mn_sim_chance(mn_sim_cluster *sim, double p);
/* Exponential with this mean, at least 1. */
uint64_t mn_sim_around(mn_sim_cluster *sim, double mean_us);

/* What tasks begin .. begin+n-1 of a round give with this version of theta. */
uint64_t mn_sim_answer(const mn_round *round, uint64_t version, uint32_t begin, uint32_t n);

/* A result of training becomes one that is kept, if `more` of the round is in hand and there is
 * room for it; else it brings what was kept. Results of tests stay as they are. */
void mn_sim_keep_or_bring(mn_sim_keeping *keeping, bool more, mn_sim_note *note);

/* What a worker says in JOIN; 0: all say the same. */
uint8_t mn_sim_class(const mn_sim_cluster *sim, uint32_t worker);

/* The plan goes on: fill sim->round with the round that must be opened next; false: there is none.
 */
bool mn_sim_next_round(mn_sim_cluster *sim);

/* ---- ranks.c */
void mn_sim_rank_event(mn_sim_cluster *sim, uint32_t rank, const mn_event *event,
                       const mn_sim_note *note);
void mn_sim_leader_event(mn_sim_cluster *sim, const mn_leader_event *event);
/* The rank's own pool has done a lease. */
void mn_sim_local_done(mn_sim_cluster *sim, uint32_t rank, const mn_event *event,
                       const mn_sim_note *note);
mn_message mn_sim_message(const mn_sim_note *note);

/* ---- workers.c */
void mn_sim_worker_event(mn_sim_cluster *sim, const mn_sim_event *event);
/* A rank sends; after a while it arrives, or not. */
void mn_sim_send_down(mn_sim_cluster *sim, uint32_t rank, uint64_t peer, const mn_sim_note *note);
