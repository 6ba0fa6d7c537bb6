/* server_state.h: for server.c, server_actions.c, server_board.c and server_journal.c alone: what a server is, and
 * the calls between these files. */
#pragma once

#include "common/log_limit.h"
#include "coordinator/core/leader.h"
#include "coordinator/core/rank.h"
#include "coordinator/links/rank_link.h"
#include "coordinator/links/reduce.h"
#include "coordinator/links/worker_link.h"
#include "coordinator/run/journal_gate.h"
#include "coordinator/server/server.h"
#include "worker/pool/pool.h"

/* What the cores say to each other within this process. */
struct word {
    bool to_leader;
    mn_leader_event_kind kind; /* to the leader */
    uint64_t round;            /* ROUND_OVER */
    mn_message message;
};

struct mn_server {
    mn_server_config config;
    void *context;
    mn_rank_link *ranks;     /* NULL: a job of one */
    mn_worker_link *workers; /* NULL: no remote workers */
    mn_pool *pool;           /* NULL: no local threads */
    mn_rank *rank;
    mn_leader *leader; /* rank 0; NULL elsewhere */
    mn_reduce *reduce;
    int signals;
    char *experiment; /* YAML for workers; owned */

    uint64_t now_us;     /* of this turn: the monotonic clock less `written_us` */
    uint64_t written_us; /* spent in writing files */
    uint64_t wake_us;    /* the core's */
    mn_actions todo, leader_todo;
    struct word *words; /* [n_words], to be heard in order; owned */
    size_t n_words, words_room;
    bool hearing_words;

    mn_payload *theta; /* of theta_version, for the wire; NULL: not made yet */
    uint64_t theta_version;
    const mn_result *result; /* of the event at hand: what ACCEPT adds */
    const void *payload;
    size_t payload_bytes;

    mn_round round;      /* open or being reduced; id 0: none */
    uint64_t reduce_us;  /* when the reduce began */
    uint64_t arrived_us; /* when a segment of it came last, or it began */
    bool judged;         /* its first segment has come: */
    mn_status verdict;   /* ... on all ranks alike; reason in `judgement` */
    mn_error judgement;
    mn_tally tally;
    bool stepping;            /* the outer step is being made */
    uint64_t stepping_us;     /* ... for so long */
    uint64_t round_over_us;   /* when the last round ended */
    mn_step_time spent;       /* tasks_us and sums_us of this rank's part of the round */
    uint64_t reduced_us;      /* when the last allreduce ended, by the clock on the wall */
    bool idle;                /* no lease was given since */
    uint64_t idle_us;         /* from then to the first lease */
    bool checkpoint_asked;    /* other ranks: of us, for the next reduce to tell */
    bool checkpoint_answered; /* rank 0: in this round already */
    bool checkpoint_owed;     /* rank 0: after the reduce at hand */
    mn_rank_counts tallied;   /* the rank's counts that reduces have told of */
    mn_journal_gate gate;
    mn_log_limit strangers;
    mn_evaluation test; /* of the test round, or zero; owned */

    bool stopped;      /* the leader said so */
    char why[512];     /* empty: complete */
    mn_status failure; /* first; reason in failed_by */
    mn_error failed_by;
};

/* server_actions.c */

/* Give an event to the rank's core at server->now_us, and do what it decides. */
void mn_server_step_rank(mn_server *server, mn_event event);
/* The same for the leader's core; what it says to rank 0 waits for mn_server_hear_words. */
void mn_server_step_leader(mn_server *server, const mn_leader_event *event);
/* The round's first lease is given, or nobody is there to take one. */
void mn_server_end_idle(mn_server *server);
/* Let the cores of rank 0 hear what they said to each other. */
void mn_server_hear_words(mn_server *server);

/* server_board.c */

/* Show how things stand, if it is time and there is somebody to show it to. */
void mn_server_show(const mn_server *server);

/* server_journal.c */

/* Write it down, if it is not one of too many. */
void mn_server_note(mn_server *server, const mn_note *note);

/* server.c */

/* A fault on this rank alone, which the others cannot know of. The run goes on from its last
 * checkpoint. */
void mn_server_die(const mn_server *server, mn_status status, const mn_error *err)
    __attribute__((noreturn));
