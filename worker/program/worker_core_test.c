#include "worker/program/worker_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)
#define START (5 * SECOND)
#define PATIENCE (600 * SECOND)
#define THETA_SIZE 10u

/* A core with a clock and its last actions. */
struct rig {
    mn_worker_core core;
    mn_worker_actions todo;
    uint64_t now_us;
};

static void step(struct rig *rig, mn_worker_event event)
{
    event.now_us = rig->now_us;
    mn_worker_core_step(&rig->core, &event, &rig->todo);
}

static void tick(struct rig *rig)
{
    step(rig, (mn_worker_event){.kind = MN_WORKER_TICK});
}

/* Sleep as long as the core allows. */
static void tick_when_due(struct rig *rig)
{
    assert_true(rig->todo.wake_us > rig->now_us);
    rig->now_us = rig->todo.wake_us;
    tick(rig);
}

static void hear(struct rig *rig, mn_message message)
{
    step(rig, (mn_worker_event){.kind = MN_WORKER_MESSAGE, .message = &message});
}

static mn_message welcome(void)
{
    return (mn_message){.kind = MN_MSG_WELCOME,
                        .welcome = {.run_id = 77, .heartbeat_ms = 1000, .silence_ms = 5000}};
}

static mn_message theta(uint64_t version)
{
    return (mn_message){.kind = MN_MSG_THETA, .theta = {.version = version, .n = THETA_SIZE}};
}

static mn_message lease(uint64_t epoch, uint64_t round, uint64_t version)
{
    return (mn_message){.kind = MN_MSG_LEASE,
                        .lease = {.epoch = epoch,
                                  .round = {.id = round, .step = version, .n_tasks = 50},
                                  .begin = 3,
                                  .n = 4}};
}

static mn_message finished(bool resumes)
{
    return (mn_message){.kind = MN_MSG_FINISHED,
                        .reject = {.reason = "because", .resumes = resumes}};
}

static void built(struct rig *rig)
{
    step(rig, (mn_worker_event){.kind = MN_WORKER_BUILT, .theta_size = THETA_SIZE});
}

static void result(struct rig *rig, uint64_t epoch)
{
    step(rig, (mn_worker_event){.kind = MN_WORKER_RESULT, .epoch = epoch});
}

static void quit(struct rig *rig)
{
    step(rig, (mn_worker_event){.kind = MN_WORKER_QUIT});
}

/* Bring a new core into a state. */
static struct rig in_state(mn_worker_state state)
{
    struct rig rig = {.now_us = START};
    mn_worker_core_init(&rig.core, START, PATIENCE, 42);
    if (state >= MN_WORKER_GREETING)
        tick(&rig);
    if (state >= MN_WORKER_PREPARING)
        hear(&rig, welcome());
    if (state >= MN_WORKER_JOINING)
        built(&rig);
    if (state >= MN_WORKER_WORKING)
        hear(&rig, theta(1));
    if (state >= MN_WORKER_LEAVING)
        quit(&rig);
    if (state >= MN_WORKER_ENDED)
        hear(&rig, (mn_message){.kind = MN_MSG_PULSE});
    assert_int_equal(rig.core.state, state);
    return rig;
}

/* The actions as a line of words: "dial HELLO". */
static const char *done(const struct rig *rig)
{
    static char words[256];
    static const char *const names[] = {
        [MN_WORKER_DO_DIAL] = "dial",
        [MN_WORKER_DO_HANG_UP] = "hang-up",
        [MN_WORKER_DO_BUILD] = "build",
        [MN_WORKER_DO_SET_THETA] = "theta",
        [MN_WORKER_DO_SUBMIT] = "submit",
        [MN_WORKER_DO_CLEAR] = "clear",
        [MN_WORKER_DO_SEND_RESULT] = "send-result",
        [MN_WORKER_DO_DROP_RESULT] = "drop-result",
        [MN_WORKER_DO_END] = "end",
    };
    words[0] = '\0';
    for (size_t i = 0; i < rig->todo.n; i++) {
        const mn_worker_action *action = &rig->todo.list[i];
        if (action->kind == MN_WORKER_DO_LOG)
            continue;
        const char *name = action->kind == MN_WORKER_DO_SEND ? mn_message_kind_text(action->message)
                                                             : names[action->kind];
        size_t used = strlen(words);
        (void)snprintf(words + used, sizeof words - used, "%s%s", used > 0 ? " " : "", name);
    }
    return words;
}

static const mn_worker_action *last_of(const struct rig *rig, mn_worker_action_kind kind)
{
    for (size_t i = rig->todo.n; i-- > 0;)
        if (rig->todo.list[i].kind == kind)
            return &rig->todo.list[i];
    fail_msg("no action of kind %d", (int)kind);
    return NULL;
}

static void assert_ended(const struct rig *rig, mn_status status, const char *text)
{
    assert_int_equal(rig->core.state, MN_WORKER_ENDED);
    const mn_worker_action *end = last_of(rig, MN_WORKER_DO_END);
    assert_int_equal(end->status, status);
    assert_string_equal(end->text, text);
    assert_true(rig->todo.wake_us == UINT64_MAX);
}

/* ---- the way through */

static void a_worker_dials_greets_builds_joins_and_works(void **state)
{
    (void)state;
    struct rig rig = {.now_us = START};
    mn_worker_core_init(&rig.core, START, PATIENCE, 42);
    tick(&rig);
    assert_string_equal(done(&rig), "dial HELLO");
    assert_true(rig.core.run_id == 0);
    hear(&rig, welcome());
    assert_string_equal(done(&rig), "build");
    assert_true(rig.core.run_id == 77);
    built(&rig);
    assert_string_equal(done(&rig), "JOIN");
    hear(&rig, theta(5));
    assert_string_equal(done(&rig), "theta");
    assert_int_equal(rig.core.state, MN_WORKER_WORKING);
    hear(&rig, lease(9, 1, 5));
    assert_string_equal(done(&rig), "submit");
    assert_int_equal(last_of(&rig, MN_WORKER_DO_SUBMIT)->lease.epoch, 9);
    assert_int_equal(last_of(&rig, MN_WORKER_DO_SUBMIT)->lease.n, 4);
    result(&rig, 9);
    assert_string_equal(done(&rig), "send-result");
    result(&rig, 9); /* no longer in hand */
    assert_string_equal(done(&rig), "drop-result");
    hear(&rig, finished(false));
    assert_string_equal(done(&rig), "end");
    assert_ended(&rig, MN_OK, "the run is over: because");
}

/* ---- every state with every input: the table of the header */

enum input {
    DUE,
    WELCOME,
    BUILT,
    NOT_BUILT,
    THETA,
    AGAIN,
    LOST,
    STOPS,
    OVER,
    REJECT,
    QUIT,
    ANSWER,
    GIVE_UP,
    N
};

static void give(struct rig *rig, enum input input)
{
    switch (input) {
    case DUE:
        rig->now_us = rig->core.due_us > rig->now_us ? rig->core.due_us : rig->now_us;
        tick(rig);
        break;
    case WELCOME:
        hear(rig, welcome());
        break;
    case BUILT:
        built(rig);
        break;
    case NOT_BUILT:
        step(rig, (mn_worker_event){.kind = MN_WORKER_BUILD_FAILED,
                                    .status = MN_ERR_NO_INPUT,
                                    .text = "no data"});
        break;
    case THETA:
        hear(rig, theta(2));
        break;
    case AGAIN:
        hear(rig, (mn_message){.kind = MN_MSG_REGISTER_AGAIN});
        break;
    case LOST:
        step(rig, (mn_worker_event){.kind = MN_WORKER_CONNECTION_LOST});
        break;
    case STOPS:
        hear(rig, finished(true));
        break;
    case OVER:
        hear(rig, finished(false));
        break;
    case REJECT:
        hear(rig, (mn_message){.kind = MN_MSG_REJECT, .reject = {.reason = "other kernels"}});
        break;
    case QUIT:
        quit(rig);
        break;
    case ANSWER:
        hear(rig, (mn_message){.kind = MN_MSG_PULSE});
        break;
    case GIVE_UP:
        step(rig, (mn_worker_event){.kind = MN_WORKER_DIAL_FAILED,
                                    .status = MN_ERR_CONFIG,
                                    .text = "not an endpoint"});
        break;
    case N:
        break;
    }
}

static void every_state_answers_every_input_as_the_table_says(void **state)
{
    (void)state;
    static const char *const table[MN_WORKER_ENDED + 1][N] = {
        /* the next state by its first letter and what is done; NULL: passed over */
        [MN_WORKER_DIALING] = {[DUE] = "G dial HELLO", [QUIT] = "E end", [GIVE_UP] = "E end"},
        [MN_WORKER_GREETING] = {[DUE] = "D hang-up",
                                [WELCOME] = "P build",
                                [AGAIN] = "G HELLO",
                                [LOST] = "D hang-up",
                                [STOPS] = "D hang-up",
                                [OVER] = "E end",
                                [REJECT] = "E end",
                                [QUIT] = "E LEAVE end",
                                [GIVE_UP] = "E end"},
        [MN_WORKER_PREPARING] = {[DUE] = "P HEARTBEAT",
                                 [BUILT] = "J JOIN",
                                 [NOT_BUILT] = "E LEAVE end",
                                 [AGAIN] = "G HELLO",
                                 [LOST] = "D hang-up",
                                 [STOPS] = "D hang-up",
                                 [OVER] = "E end",
                                 [REJECT] = "E end",
                                 [QUIT] = "L LEAVE HEARTBEAT"},
        [MN_WORKER_JOINING] = {[DUE] = "J HEARTBEAT",
                               [THETA] = "W theta",
                               [AGAIN] = "G HELLO",
                               [LOST] = "D hang-up",
                               [STOPS] = "D hang-up",
                               [OVER] = "E end",
                               [REJECT] = "E end",
                               [QUIT] = "L LEAVE HEARTBEAT"},
        [MN_WORKER_WORKING] = {[DUE] = "W HEARTBEAT",
                               [THETA] = "W theta",
                               [AGAIN] = "G HELLO",
                               [LOST] = "D hang-up",
                               [STOPS] = "D hang-up",
                               [OVER] = "E end",
                               [REJECT] = "E end",
                               [QUIT] = "L LEAVE HEARTBEAT"},
        [MN_WORKER_LEAVING] = {[DUE] = "E end",
                               [AGAIN] = "E end",
                               [LOST] = "E end",
                               [STOPS] = "E end",
                               [OVER] = "E end",
                               [REJECT] = "E end",
                               [QUIT] = "E end",
                               [ANSWER] = "E end"},
    };
    static const char letters[] = "DGPJWLE";
    for (mn_worker_state from = MN_WORKER_DIALING; from <= MN_WORKER_ENDED; from++)
        for (enum input input = DUE; input < N; input++) {
            if (input == GIVE_UP && from >= MN_WORKER_PREPARING)
                continue; /* the shell dials in GREETING only */
            struct rig rig = in_state(from);
            give(&rig, input);
            char got[300], expected[300];
            (void)snprintf(got, sizeof got, "%c %s", letters[rig.core.state], done(&rig));
            (void)snprintf(expected, sizeof expected, "%c ", letters[from]);
            if (table[from][input] != NULL)
                (void)snprintf(expected, sizeof expected, "%s", table[from][input]);
            if (strcmp(got, expected) != 0)
                fail_msg("%s, input %d: \"%s\" instead of \"%s\"", mn_worker_state_text(from),
                         (int)input, got, expected);
        }
}

/* ---- time */

static void heartbeats_go_out_in_time_while_the_coordinator_is_heard(void **state)
{
    (void)state;
    for (mn_worker_state s = MN_WORKER_PREPARING; s <= MN_WORKER_WORKING; s++) {
        struct rig rig = in_state(s);
        for (int i = 1; i < 20; i++) {
            tick_when_due(&rig);
            assert_string_equal(done(&rig), "HEARTBEAT");
            assert_true(rig.now_us == START + (uint64_t)i * SECOND);
            hear(&rig, (mn_message){.kind = MN_MSG_PULSE});
            assert_string_equal(done(&rig), "");
            assert_int_equal(rig.core.state, s);
        }
    }
}

static void after_silence_a_worker_drops_its_leases_and_dials_again(void **state)
{
    (void)state;
    struct rig rig = in_state(MN_WORKER_WORKING);
    hear(&rig, lease(1, 1, 1));
    rig.now_us = START + 5 * SECOND - 1;
    tick(&rig);
    assert_int_equal(rig.core.state, MN_WORKER_WORKING);
    rig.now_us++;
    tick(&rig);
    assert_string_equal(done(&rig), "clear hang-up");
    assert_string_equal(last_of(&rig, MN_WORKER_DO_LOG)->text,
                        "working: the coordinator was silent for 5.0 s; dialing again in 0.1 s");
    result(&rig, 1);
    assert_string_equal(done(&rig), "drop-result");
    tick_when_due(&rig);
    assert_string_equal(done(&rig), "dial HELLO");
}

static void pauses_double_up_to_five_seconds_and_differ_between_workers(void **state)
{
    (void)state;
    struct rig a = in_state(MN_WORKER_DIALING), b = a;
    mn_worker_core_init(&b.core, START, PATIENCE, 43);
    bool differ = false;
    double longest = 0.1e6;
    for (int i = 0; i < 12; i++) {
        struct rig *const rigs[] = {&a, &b};
        uint64_t pause[2];
        for (int r = 0; r < 2; r++) {
            give(rigs[r], DUE); /* dial */
            give(rigs[r], DUE); /* no answer */
            assert_int_equal(rigs[r]->core.state, MN_WORKER_DIALING);
            pause[r] = rigs[r]->todo.wake_us - rigs[r]->now_us;
            assert_true((double)pause[r] >= longest / 2 - 1 && (double)pause[r] <= longest);
        }
        differ = differ || pause[0] != pause[1];
        longest = longest * 2 < 5e6 ? longest * 2 : 5e6;
    }
    assert_true(differ);
}

static void pauses_are_short_again_once_the_worker_has_worked(void **state)
{
    (void)state;
    struct rig rig = in_state(MN_WORKER_DIALING);
    for (int i = 0; i < 16; i++)
        give(&rig, DUE);
    assert_true(rig.core.pause_us > SECOND);
    give(&rig, DUE);
    give(&rig, WELCOME);
    give(&rig, BUILT);
    give(&rig, LOST); /* not yet: a coordinator that breaks here each time is not dialed in haste */
    assert_true(rig.todo.wake_us - rig.now_us > SECOND);
    give(&rig, DUE);
    give(&rig, WELCOME);
    give(&rig, BUILT);
    give(&rig, THETA);
    give(&rig, LOST);
    assert_true(rig.todo.wake_us - rig.now_us <= MN_WORKER_MIN_PAUSE_US);
}

static void patience_ends_when_no_coordinator_was_heard_for_so_long(void **state)
{
    (void)state;
    struct rig rig = in_state(MN_WORKER_WORKING);
    rig.now_us += 2 * SECOND;
    hear(&rig, finished(true));
    uint64_t last_heard = rig.now_us;
    while (rig.core.state != MN_WORKER_ENDED)
        tick_when_due(&rig);
    assert_true(rig.now_us == last_heard + PATIENCE);
    assert_ended(&rig, MN_ERR_UNAVAILABLE,
                 "no coordinator was heard for 600 s; is the run still going on? (--patience waits "
                 "longer)");
}

static void leaving_waits_a_second_at_most(void **state)
{
    (void)state;
    struct rig rig = in_state(MN_WORKER_LEAVING);
    hear(&rig, lease(3, 1, 1)); /* refused: LEAVE gave it back already */
    assert_string_equal(done(&rig), "");
    hear(&rig, theta(2));
    assert_string_equal(done(&rig), "");
    tick_when_due(&rig);
    assert_true(rig.now_us == START + SECOND);
    assert_ended(&rig, MN_OK, "left on request");
}

/* ---- dialing */

static void what_is_not_there_yet_is_dialed_again_and_what_is_wrong_is_not(void **state)
{
    (void)state;
    const mn_status later[] = {MN_ERR_NO_INPUT, MN_ERR_UNAVAILABLE, MN_ERR_IO};
    for (size_t i = 0; i < 3; i++) {
        struct rig rig = in_state(MN_WORKER_GREETING);
        step(&rig, (mn_worker_event){
                       .kind = MN_WORKER_DIAL_FAILED, .status = later[i], .text = "no such file"});
        assert_int_equal(rig.core.state, MN_WORKER_DIALING);
        assert_non_null(
            strstr(last_of(&rig, MN_WORKER_DO_LOG)->text, "greeting: no such file; dialing"));
    }
    const mn_status never[] = {MN_ERR_CONFIG, MN_ERR_DATA, MN_ERR_PERMISSION};
    for (size_t i = 0; i < 3; i++) {
        struct rig rig = in_state(MN_WORKER_GREETING);
        step(&rig, (mn_worker_event){.kind = MN_WORKER_DIAL_FAILED,
                                     .status = never[i],
                                     .text = "not an endpoint"});
        assert_ended(&rig, never[i], "not an endpoint");
    }
}

static void with_once_a_coordinator_that_is_not_there_is_the_end(void **state)
{
    (void)state;
    struct rig rig = in_state(MN_WORKER_GREETING);
    rig.core.once = true;
    step(&rig, (mn_worker_event){.kind = MN_WORKER_DIAL_FAILED,
                                 .status = MN_ERR_NO_INPUT,
                                 .text = "no such file"});
    assert_ended(&rig, MN_ERR_NO_INPUT, "no such file");
    rig = in_state(MN_WORKER_GREETING);
    rig.core.once = true;
    tick_when_due(&rig);
    assert_ended(&rig, MN_ERR_UNAVAILABLE, "no answer");
    rig = in_state(MN_WORKER_WORKING);
    rig.core.once = true;
    give(&rig, LOST); /* it was there a moment ago */
    assert_int_equal(rig.core.state, MN_WORKER_DIALING);
}

static void ends_carry_their_reason(void **state)
{
    (void)state;
    struct rig rig = in_state(MN_WORKER_JOINING);
    give(&rig, REJECT);
    assert_ended(&rig, MN_ERR_PROTOCOL, "refused by the coordinator: other kernels");
    rig = in_state(MN_WORKER_PREPARING);
    give(&rig, NOT_BUILT);
    assert_ended(&rig, MN_ERR_NO_INPUT, "no data");
    rig = in_state(MN_WORKER_DIALING);
    give(&rig, QUIT);
    assert_ended(&rig, MN_OK, "asked to stop");
}

/* ---- leases */

static void leases_of_a_new_round_make_the_old_ones_void(void **state)
{
    (void)state;
    struct rig rig = in_state(MN_WORKER_WORKING);
    hear(&rig, lease(1, 1, 1));
    hear(&rig, lease(2, 1, 1));
    hear(&rig, theta(2));
    hear(&rig, lease(3, 2, 2));
    assert_string_equal(done(&rig), "clear submit");
    result(&rig, 1);
    assert_string_equal(done(&rig), "drop-result");
    hear(&rig, lease(4, 2, 2));
    assert_string_equal(done(&rig), "submit");
    result(&rig, 3);
    assert_string_equal(done(&rig), "send-result");
    result(&rig, 4);
    assert_string_equal(done(&rig), "send-result");
}

static void a_lease_in_hand_that_is_told_again_is_computed_once(void **state)
{
    (void)state;
    struct rig rig = in_state(MN_WORKER_WORKING);
    hear(&rig, lease(1, 1, 1));
    hear(&rig, lease(1, 1, 1));
    assert_string_equal(done(&rig), "");
    result(&rig, 1);
    assert_string_equal(done(&rig), "send-result");
    hear(&rig, lease(1, 1, 1)); /* the result was lost */
    assert_string_equal(done(&rig), "submit");
}

static void the_two_newest_thetas_count_as_in_the_pool(void **state)
{
    (void)state;
    struct rig rig = in_state(MN_WORKER_WORKING); /* theta 1 */
    hear(&rig, lease(1, 1, 1));
    hear(&rig, theta(2));
    hear(&rig, lease(2, 1, 2));
    assert_string_equal(done(&rig), "submit");
    hear(&rig, theta(3)); /* 1 goes */
    result(&rig, 1);
    assert_string_equal(done(&rig), "drop-result");
    hear(&rig, theta(3)); /* again: 2 stays */
    result(&rig, 2);
    assert_string_equal(done(&rig), "send-result");
    hear(&rig, lease(5, 1, 3));
    hear(&rig, theta(3));
    result(&rig, 5); /* the pool forgot it with the theta that was replaced */
    assert_string_equal(done(&rig), "drop-result");
    hear(&rig, lease(6, 1, 1));
    assert_string_equal(done(&rig), "hang-up");
}

static void a_coordinator_that_makes_no_sense_is_dialed_anew(void **state)
{
    (void)state;
    struct rig rig = in_state(MN_WORKER_JOINING);
    hear(&rig, lease(1, 1, 1)); /* before its theta */
    assert_string_equal(done(&rig), "hang-up");
    rig = in_state(MN_WORKER_WORKING);
    mn_message other = theta(2);
    other.theta.n++;
    hear(&rig, other);
    assert_string_equal(done(&rig), "hang-up");
    assert_non_null(strstr(last_of(&rig, MN_WORKER_DO_LOG)->text, "theta of 11 numbers"));
    rig = in_state(MN_WORKER_WORKING);
    step(&rig, (mn_worker_event){.kind = MN_WORKER_NONSENSE, .text = "wrong checksum"});
    assert_string_equal(done(&rig), "hang-up");
    rig = in_state(MN_WORKER_WORKING);
    hear(&rig, (mn_message){.kind = MN_MSG_HELLO});
    assert_string_equal(done(&rig), "hang-up");
    rig = in_state(MN_WORKER_WORKING);
    for (uint64_t epoch = 1; epoch <= MN_WORKER_MAX_LEASES; epoch++) {
        hear(&rig, lease(epoch, 1, 1));
        assert_string_equal(done(&rig), "submit");
    }
    hear(&rig, lease(99, 1, 1));
    assert_string_equal(done(&rig), "clear hang-up");
}

static void quitting_gives_leases_back_at_once(void **state)
{
    (void)state;
    struct rig rig = in_state(MN_WORKER_WORKING);
    hear(&rig, lease(1, 1, 1));
    quit(&rig);
    assert_string_equal(done(&rig), "clear LEAVE HEARTBEAT");
    result(&rig, 1);
    assert_string_equal(done(&rig), "drop-result");
}

static void after_a_restart_of_the_coordinator_rounds_count_from_one_again(void **state)
{
    (void)state;
    struct rig rig = in_state(MN_WORKER_WORKING);
    hear(&rig, lease(7, 30, 1));
    give(&rig, AGAIN);
    assert_string_equal(done(&rig), "clear HELLO");
    built(&rig); /* of an earlier WELCOME: too late */
    assert_string_equal(done(&rig), "");
    give(&rig, WELCOME);
    give(&rig, BUILT);
    hear(&rig, theta(1));
    hear(&rig, lease(7, 1, 1));
    assert_string_equal(done(&rig), "submit");
    result(&rig, 7);
    assert_string_equal(done(&rig), "send-result");
}

/* ---- sent about by a sweep's door */

static mn_message visit(const char *endpoint, uint32_t for_ms)
{
    mn_message message = {.kind = MN_MSG_VISIT, .visit = {.for_ms = for_ms}};
    (void)snprintf(message.visit.endpoint, sizeof message.visit.endpoint, "%s", endpoint);
    return message;
}

/* At a run for ten seconds, in a state from DIALING on. */
static struct rig away_in(mn_worker_state state)
{
    struct rig rig = in_state(MN_WORKER_GREETING);
    hear(&rig, visit("tcp://127.0.0.1:7", 10000));
    assert_string_equal(done(&rig), "hang-up");
    if (state >= MN_WORKER_GREETING)
        tick(&rig);
    if (state >= MN_WORKER_PREPARING)
        hear(&rig, welcome());
    if (state >= MN_WORKER_JOINING)
        built(&rig);
    if (state >= MN_WORKER_WORKING)
        hear(&rig, theta(1));
    assert_int_equal(rig.core.state, state);
    return rig;
}

static void a_door_sends_a_worker_to_a_run_and_has_it_back(void **state)
{
    (void)state;
    struct rig rig = away_in(MN_WORKER_DIALING);
    tick(&rig);
    assert_string_equal(done(&rig), "dial HELLO");
    assert_string_equal(last_of(&rig, MN_WORKER_DO_DIAL)->text, "tcp://127.0.0.1:7");
    assert_int_equal(rig.core.visits, 1);
    rig = away_in(MN_WORKER_WORKING);
    hear(&rig, lease(1, 1, 1));
    hear(&rig, finished(false));
    assert_string_equal(done(&rig), "clear hang-up");
    assert_int_equal(rig.core.state, MN_WORKER_DIALING);
    tick(&rig); /* at once */
    assert_string_equal(done(&rig), "dial HELLO");
    assert_string_equal(last_of(&rig, MN_WORKER_DO_DIAL)->text, "");
    assert_false(rig.core.refused);
    hear(&rig, finished(false));
    assert_ended(&rig, MN_OK, "the run is over: because");
}

static void when_its_turn_is_over_a_worker_leaves_in_order_and_comes_back(void **state)
{
    (void)state;
    struct rig rig = away_in(MN_WORKER_WORKING);
    for (int i = 0; i < 9; i++) {
        rig.now_us += SECOND;
        hear(&rig, (mn_message){.kind = MN_MSG_PULSE});
        assert_int_equal(rig.core.state, MN_WORKER_WORKING);
    }
    tick_when_due(&rig);
    while (rig.core.state == MN_WORKER_WORKING)
        tick_when_due(&rig);
    assert_true(rig.now_us == START + 10 * SECOND);
    assert_string_equal(done(&rig), "LEAVE HEARTBEAT");
    hear(&rig, (mn_message){.kind = MN_MSG_PULSE});
    assert_string_equal(done(&rig), "hang-up");
    tick(&rig);
    assert_string_equal(last_of(&rig, MN_WORKER_DO_DIAL)->text, "");
}

static void whatever_happens_at_a_run_the_way_leads_back_to_the_door(void **state)
{
    (void)state;
    static const enum input ends[] = {LOST, STOPS, OVER, REJECT};
    for (mn_worker_state s = MN_WORKER_GREETING; s <= MN_WORKER_WORKING; s++)
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
            struct rig rig = away_in(s);
            give(&rig, ends[i]);
            assert_int_equal(rig.core.state, MN_WORKER_DIALING);
            assert_string_equal(rig.core.away, "");
            assert_int_equal(rig.core.refused, ends[i] == REJECT);
            if (ends[i] == LOST)
                assert_true(rig.core.due_us > rig.now_us);
            else
                assert_true(rig.core.due_us == rig.now_us);
        }
    struct rig rig = away_in(MN_WORKER_PREPARING);
    give(&rig, NOT_BUILT);
    assert_string_equal(done(&rig), "LEAVE hang-up");
    assert_true(rig.core.refused);
    rig = away_in(MN_WORKER_GREETING);
    give(&rig, GIVE_UP);
    assert_int_equal(rig.core.state, MN_WORKER_DIALING);
    assert_true(rig.core.refused);
    rig = away_in(MN_WORKER_WORKING);
    hear(&rig, visit("tcp://127.0.0.1:8", 1)); /* a run is no door */
    assert_string_equal(rig.core.away, "");
    rig = away_in(MN_WORKER_WORKING);
    quit(&rig);
    assert_string_equal(done(&rig), "LEAVE HEARTBEAT");
    hear(&rig, (mn_message){.kind = MN_MSG_PULSE});
    assert_ended(&rig, MN_OK, "left on request");
}

static void a_worker_waits_at_the_door_as_long_as_it_is_told_to(void **state)
{
    (void)state;
    struct rig rig = in_state(MN_WORKER_GREETING);
    for (int i = 0; i < 1000; i++) { /* beyond its patience in all */
        hear(&rig, visit("", 2000));
        assert_string_equal(done(&rig), "");
        assert_int_equal(rig.core.state, MN_WORKER_GREETING);
        rig.now_us += 4 * SECOND;
        tick(&rig);
        assert_int_equal(rig.core.state, MN_WORKER_GREETING);
    }
    rig.now_us += 2 * SECOND;
    tick(&rig);
    assert_int_equal(rig.core.state, MN_WORKER_DIALING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_dials_greets_builds_joins_and_works),
        cmocka_unit_test(every_state_answers_every_input_as_the_table_says),
        cmocka_unit_test(heartbeats_go_out_in_time_while_the_coordinator_is_heard),
        cmocka_unit_test(after_silence_a_worker_drops_its_leases_and_dials_again),
        cmocka_unit_test(pauses_double_up_to_five_seconds_and_differ_between_workers),
        cmocka_unit_test(pauses_are_short_again_once_the_worker_has_worked),
        cmocka_unit_test(patience_ends_when_no_coordinator_was_heard_for_so_long),
        cmocka_unit_test(leaving_waits_a_second_at_most),
        cmocka_unit_test(what_is_not_there_yet_is_dialed_again_and_what_is_wrong_is_not),
        cmocka_unit_test(with_once_a_coordinator_that_is_not_there_is_the_end),
        cmocka_unit_test(ends_carry_their_reason),
        cmocka_unit_test(leases_of_a_new_round_make_the_old_ones_void),
        cmocka_unit_test(a_lease_in_hand_that_is_told_again_is_computed_once),
        cmocka_unit_test(the_two_newest_thetas_count_as_in_the_pool),
        cmocka_unit_test(a_coordinator_that_makes_no_sense_is_dialed_anew),
        cmocka_unit_test(quitting_gives_leases_back_at_once),
        cmocka_unit_test(after_a_restart_of_the_coordinator_rounds_count_from_one_again),
        cmocka_unit_test(a_door_sends_a_worker_to_a_run_and_has_it_back),
        cmocka_unit_test(when_its_turn_is_over_a_worker_leaves_in_order_and_comes_back),
        cmocka_unit_test(whatever_happens_at_a_run_the_way_leads_back_to_the_door),
        cmocka_unit_test(a_worker_waits_at_the_door_as_long_as_it_is_told_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
