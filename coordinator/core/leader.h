/* leader.h: the part of rank 0 that runs the program of rounds and shares the tasks of each among
 * the ranks. (state, event) -> actions: no socket, clock, thread or file. It never waits: what it
 * needs comes as an event.
 *
 *   GATHERING --all ranks have said ASK-----------------> RUNNING  with ROUND, or ENDED
 *   RUNNING   --all tasks SETTLED-----------------------> REDUCING with REDUCE to every rank
 *   RUNNING   --stop wanted; the round is dropped-------> ENDED    with STOP to every rank
 *   REDUCING  --ROUND_OVER------------------------------> RUNNING  with ROUND to every rank
 *   REDUCING  --ROUND_OVER, the last or a stop wanted---> ENDED    with STOP to every rank
 * Where the program pauses, a stop is wanted of itself.
 *
 * A stop that is wanted in REDUCING waits for ROUND_OVER: some rank may be inside the allreduce, so
 * all must enter. */
#pragma once

#include "common/error.h"
#include "coordinator/core/actions.h"
#include "proto/message.h"
#include <stdbool.h>
#include <stdint.h>

#define MN_MAX_RANKS 4096u
#define MN_RANGES_PER_RANK 2u /* outstanding at most */

typedef struct mn_leader mn_leader;

/* The program: for each step t of start .. steps-1 a TRAIN round of `batch` tasks from task t*batch
 * on (version t of theta); when val_every divides t+1, a TEST round of val_tasks on val (version
 * t+1); at the end, or once a round was enough, a TEST round of test_tasks on test. No steps left:
 * only the last. With `pause`, the program is left before the TRAIN round of that step, and the VAL round
 * that is due there comes first. */
typedef struct mn_program {
    uint64_t start, steps;
    uint64_t pause; /* 0: nowhere */
    uint32_t batch;
    uint32_t val_every; /* 0: never */
    uint32_t val_tasks;
    uint32_t test_tasks; /* 0: no test round */
    bool val_due;        /* begin with the val round of version `start`, which a stop cut off */
    bool keep_best;      /* the test round's theta is not version `steps`: it gets steps+1 */
    bool averages;       /* the same, and a val round's is version t+1 with MN_AVERAGE in it */
} mn_program;

typedef enum mn_leader_event_kind {
    MN_LEADER_MESSAGE,     /* rank, message: ASK, SETTLED, RETURNED, STOP_WANTED */
    MN_LEADER_ROUND_OVER,  /* round: rank 0 has left its allreduce and made the outer step (give it
                              once rank 0's core has had its MN_EVENT_REDUCED) */
    MN_LEADER_STOP_WANTED, /* text: why */
} mn_leader_event_kind;

typedef struct mn_leader_event {
    mn_leader_event_kind kind;
    uint32_t rank;
    const mn_message *message; /* decoded and size-checked; lent for the call */
    uint64_t round;            /* id */
    const char *text;          /* may be NULL */
    uint64_t now_us;           /* monotonic, for notes alone */
    bool enough;               /* ROUND_OVER: no more training, go to the test */
} mn_leader_event;

typedef struct mn_leader_progress {
    mn_round round; /* id 0: none was opened yet */
    uint32_t done;  /* tasks of the round */
    uint32_t threads;
    bool ended;    /* STOP was sent to all ranks */
    bool complete; /* ... because the program is complete */
} mn_leader_progress;

/* MN_ERR_RANGE: no ranks or too many, or a round of the plan is empty or beyond what a lease table
 * takes. */
mn_status mn_leader_new(const mn_program *plan, uint32_t n_ranks, mn_leader **out, mn_error *err);
void mn_leader_destroy(mn_leader **leader);

/* One event in; what to do is appended to todo: at most 4 * n_ranks + 8 actions, all TO_RANK,
 * LOG or NOTE. MN_ERR_PROTOCOL: a rank said what does not fit (its own bug): nothing has changed, and the
 * run cannot be trusted any more: the shell ends the job. MN_ERR_NOMEM: the same. After the end all
 * events are taken and nothing is done. */
mn_status mn_leader_step(mn_leader *leader, const mn_leader_event *event, mn_actions *todo,
                         mn_error *err);

mn_leader_progress mn_leader_look(const mn_leader *leader);
