/* message.h: what is said between leader, ranks and workers, as plain structs.
 * mn_message_pack and _unpack turn them into the header frame (protobuf, proto/mnemo.proto) and
 * back; tensors travel as raw frames behind it and never pass through protobuf. Whatever comes from
 * outside is checked here: sizes, ranges, versions, checksums; what unpack accepts is safe to use.
 */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include "common/experiment.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_PROTOCOL_VERSION 4u
#define MN_MAX_HEADER_BYTES (1u << 20)
#define MN_FRAME_BYTES (1u << 20) /* tensors are cut into frames of this size */
#define MN_MAX_ROUND_TASKS 100000u
#define MN_MESSAGE_WORDS 1000u /* bytes of a reason or of a line of the journal, with its end */
#define MN_MAX_KEPT 5u         /* leases in one sum besides the one that it comes with */

typedef enum mn_message_kind {
    MN_MSG_NONE,
    /* worker -> rank */
    MN_MSG_HELLO,     /* who I am; the first word, and again after REGISTER_AGAIN */
    MN_MSG_JOIN,      /* I have built the experiment: my numeric class and data */
    MN_MSG_RESULT,    /* of one lease, and of others that were kept; payload */
    MN_MSG_HEARTBEAT, /* alive; the rank answers each with a PULSE */
    MN_MSG_LEAVE,     /* give me no more; leases in hand that bring no result are given back */
    /* rank -> worker */
    MN_MSG_WELCOME, /* the experiment */
    MN_MSG_REJECT,  /* why not, and the remedy */
    MN_MSG_THETA,   /* payload: theta of a version, before the first lease that needs it */
    MN_MSG_LEASE,
    MN_MSG_PULSE,
    MN_MSG_REGISTER_AGAIN, /* I do not know you: say HELLO */
    MN_MSG_FINISHED,       /* the run is over (or stops): no more leases will come */
    MN_MSG_VISIT,          /* of a sweep's door: work there for a while, then come back; or wait */
    /* rank -> leader */
    MN_MSG_ASK,         /* I have so many threads and room for tasks */
    MN_MSG_SETTLED,     /* these tasks are done and in my sums */
    MN_MSG_RETURNED,    /* these tasks of mine are not started; give them to another */
    MN_MSG_STOP_WANTED, /* a signal came, or I can't go on */
    MN_MSG_NOTE,        /* a line for the run's journal, which rank 0 writes */
    MN_MSG_LEG_ENDED,   /* a run of a sweep that I was to start has ended or paused */
    /* leader -> rank */
    MN_MSG_ROUND,  /* open a round */
    MN_MSG_RANGE,  /* tasks of the round for your pool */
    MN_MSG_REDUCE, /* all tasks of the round are done: enter the allreduce */
    MN_MSG_STOP,   /* leave: the round, if any, is dropped */
    MN_MSG_LEG,    /* start this run of a sweep, or go on with it */
    MN_N_MESSAGES
} mn_message_kind;

typedef enum mn_round_kind { MN_ROUND_TRAIN, MN_ROUND_TEST } mn_round_kind;

/* In a version of theta: what is meant is not theta itself, but its average so far. */
#define MN_AVERAGE (UINT64_C(1) << 63)

/* One pass over leased tasks that ends in a reduce: a meta-step, or an evaluation. */
typedef struct mn_round {
    uint64_t id; /* 1, 2, ... within one life of the job */
    mn_round_kind kind;
    mn_split split;
    uint64_t step;       /* meta-step; also the version of theta in use: see MN_AVERAGE */
    uint64_t first_task; /* index of the round's task 0 within its split */
    uint32_t n_tasks;
} mn_round;

typedef struct mn_range {
    uint64_t round;
    uint32_t begin, n; /* tasks begin .. begin+n-1 of the round */
} mn_range;

typedef struct mn_lease {
    uint64_t epoch; /* of this lease; unique within a rank's life; never 0 */
    mn_round round;
    uint32_t begin, n;
} mn_lease;

/* How a payload holds n_tasks rows of n_columns numbers. */
typedef enum mn_encoding {
    MN_ENCODING_ROWS,   /* float32 [n_tasks, n_columns], every task by itself */
    MN_ENCODING_PACKED, /* their exact sum in few bytes (packed_sum.h) */
    MN_ENCODING_KEPT,   /* not at all: a later result of another lease has them in its sum */
    MN_ENCODING_EXACT   /* a sum as int64 [2, n_columns] (exact_sum.h); never on the wire */
} mn_encoding;

/* A worker that has another lease of training in hand keeps what the one that it has done gave, and
 * adds on to it: so sums travel once a moment, not once a lease. */
typedef struct mn_result {
    mn_encoding encoding;
    uint32_t n_tasks; /* of its lease and of those that were kept */
    uint32_t n_columns;
    uint32_t compute_us; /* thread time of its tasks; this and the next are for people only */
    uint32_t sums_us;    /* thread time of adding them up */
    uint32_t n_kept;
    uint64_t kept[MN_MAX_KEPT]; /* [n_kept] epochs, growing, of leases that are in this sum too */
} mn_result;

typedef struct mn_hello {
    uint32_t protocol;
    char version[32]; /* of the program */
    char name[96];    /* host:pid, for people */
    uint64_t uuid[2]; /* made at the start of the process */
    uint32_t threads;
    uint32_t visits; /* this door has sent us to so many runs */
    bool refused;    /* the last of them did not take us */
} mn_hello;

typedef struct mn_visit {
    char endpoint[256]; /* tcp:// or ipc://; "": stay */
    uint32_t for_ms;
} mn_visit;

/* Of a run of a sweep, from where it stands until it pauses or ends. */
typedef struct mn_leg {
    uint32_t run;
    uint64_t until; /* meta-step; 0: the end */
    uint32_t slot;  /* of the rank */
    uint32_t code;  /* LEG_ENDED: exit code; from 128 on the signal's number beyond that */
    bool last;      /* none will be started after it, as far as is known */
} mn_leg;

typedef struct mn_welcome {
    uint64_t run_id;
    uint32_t heartbeat_ms, silence_ms;
    mn_digest data;
    char data_name[256];
    char *experiment; /* YAML; owned by the message */
    char *learner;    /* text of a card (learner_card.h); NULL: none; owned by the message */
} mn_welcome;

typedef struct mn_message {
    mn_message_kind kind;
    uint64_t payload_bytes;    /* raw frames behind the header; 0: none */
    uint64_t payload_checksum; /* XXH3 of the payload */
    union {
        mn_hello hello;
        struct {
            mn_digest numeric_class, data;
            char kernels[32];
        } join;
        struct {
            uint64_t epoch;
            mn_result result;
        } result;
        mn_welcome welcome;
        mn_visit visit;
        mn_leg leg; /* also LEG_ENDED */
        struct {
            char reason[MN_MESSAGE_WORDS];
            bool resumes; /* FINISHED: the run will be taken up again, perhaps elsewhere */
        } reject;         /* also FINISHED, STOP_WANTED and STOP: why; NOTE: the line */
        struct {
            uint64_t version;
            uint64_t n; /* floats */
        } theta;
        mn_lease lease;
        struct {
            uint32_t threads; /* of the rank's pool, all members */
        } ask;
        mn_round round;
        mn_range range; /* RANGE, SETTLED, RETURNED; REDUCE: only .round */
    };
} mn_message;

/* Header bytes of a message; *bytes is owned by the caller (free). What unpack would refuse is not
 * packed: MN_ERR_PROTOCOL. */
mn_status mn_message_pack(const mn_message *message, uint8_t **bytes, size_t *n, mn_error *err);

/* Check and decode a header frame that may hold anything. MN_ERR_PROTOCOL: it does not make sense;
 * out is zero then. After success call mn_message_fini. */
mn_status mn_message_unpack(const void *bytes, size_t n, mn_message *out, mn_error *err);
void mn_message_fini(mn_message *message);

const char *mn_message_kind_text(mn_message_kind kind);
