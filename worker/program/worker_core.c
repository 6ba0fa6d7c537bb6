#include "worker/program/worker_core.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What an event means for the table: several kinds of event and of message may mean the same. */
enum input {
    PASS, /* known, but it moves nothing */
    DUE,
    WELCOME,
    BUILT,
    NOT_BUILT,
    THETA,
    AGAIN,
    LOST,
    STOPS,
    OVER,
    REJECTED,
    QUIT,
    ANSWER,
    GIVE_UP,
    VISIT,
    TURN_OVER,
    HOME,
    N_INPUTS
};

#define D MN_WORKER_DIALING
#define G MN_WORKER_GREETING
#define P MN_WORKER_PREPARING
#define J MN_WORKER_JOINING
#define W MN_WORKER_WORKING
#define L MN_WORKER_LEAVING
#define E MN_WORKER_ENDED

/* The table of the header, plus one in each cell; 0, a cell left out, is passed over. */
static const uint8_t next_state[MN_N_WORKER_STATES][N_INPUTS] = {
    [D] = {[DUE] = 1 + G, [QUIT] = 1 + E, [GIVE_UP] = 1 + E, [HOME] = 1 + D},
    [G] = {[WELCOME] = 1 + P,
           [AGAIN] = 1 + G,
           [LOST] = 1 + D,
           [STOPS] = 1 + D,
           [OVER] = 1 + E,
           [REJECTED] = 1 + E,
           [QUIT] = 1 + E,
           [GIVE_UP] = 1 + E,
           [VISIT] = 1 + D,
           [HOME] = 1 + D},
    [P] = {[BUILT] = 1 + J,
           [NOT_BUILT] = 1 + E,
           [AGAIN] = 1 + G,
           [LOST] = 1 + D,
           [STOPS] = 1 + D,
           [OVER] = 1 + E,
           [REJECTED] = 1 + E,
           [QUIT] = 1 + L,
           [TURN_OVER] = 1 + L,
           [HOME] = 1 + D},
    [J] = {[THETA] = 1 + W,
           [AGAIN] = 1 + G,
           [LOST] = 1 + D,
           [STOPS] = 1 + D,
           [OVER] = 1 + E,
           [REJECTED] = 1 + E,
           [QUIT] = 1 + L,
           [TURN_OVER] = 1 + L,
           [HOME] = 1 + D},
    [W] = {[THETA] = 1 + W,
           [AGAIN] = 1 + G,
           [LOST] = 1 + D,
           [STOPS] = 1 + D,
           [OVER] = 1 + E,
           [REJECTED] = 1 + E,
           [QUIT] = 1 + L,
           [TURN_OVER] = 1 + L,
           [HOME] = 1 + D},
    [L] = {[AGAIN] = 1 + E,
           [LOST] = 1 + E,
           [STOPS] = 1 + E,
           [OVER] = 1 + E,
           [REJECTED] = 1 + E,
           [QUIT] = 1 + E,
           [ANSWER] = 1 + E,
           [HOME] = 1 + D},
};

#undef D
#undef G
#undef P
#undef J
#undef W
#undef L
#undef E

static enum input read_event(mn_worker_core *core, const mn_worker_event *event,
                             mn_worker_actions *todo, mn_error *why);
static void move(mn_worker_core *core, enum input input, const mn_worker_event *event,
                 const mn_error *why, mn_worker_actions *todo);
static enum input read_away(mn_worker_core *core, enum input input);
static void go_home(mn_worker_core *core, uint64_t now_us, const mn_error *why,
                    mn_worker_actions *todo);
static enum input read_time(const mn_worker_core *core, uint64_t now_us, mn_error *why);
static enum input read_message(mn_worker_core *core, const mn_message *message,
                               mn_worker_actions *todo, mn_error *why);
static enum input take_lease(mn_worker_core *core, const mn_lease *lease, mn_worker_actions *todo,
                             mn_error *why);
static enum input take_visit(mn_worker_core *core, const mn_visit *visit, mn_error *why);
static void keep_version(mn_worker_core *core, uint64_t version);
static bool put_down(mn_worker_core *core, uint64_t epoch);
static void drop_leases(mn_worker_core *core, mn_worker_actions *todo);
static bool patient(const mn_worker_core *core, mn_worker_state from);
static uint64_t next_pause(mn_worker_core *core);
static uint64_t wake_time(const mn_worker_core *core);
static mn_worker_action *add(mn_worker_actions *todo, mn_worker_action_kind kind);
static void say(mn_worker_actions *todo, mn_message_kind message);
static void note(mn_worker_actions *todo, mn_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void mn_worker_core_init(mn_worker_core *core, uint64_t now_us, uint64_t patience_us, uint64_t seed)
{
    *core = (mn_worker_core){.state = MN_WORKER_DIALING,
                             .patience_us = patience_us,
                             .jitter = mn_random_stream(seed, MN_RANDOM_JITTER, 0),
                             .heard_us = now_us,
                             .due_us = now_us,
                             .pause_us = MN_WORKER_MIN_PAUSE_US};
}

void mn_worker_core_step(mn_worker_core *core, const mn_worker_event *event,
                         mn_worker_actions *todo)
{
    todo->n = 0;
    if (core->state != MN_WORKER_ENDED) {
        mn_error why = {0};
        const bool was_away = core->away[0] != '\0';
        enum input input = read_event(core, event, todo, &why);
        if (was_away)
            input = read_away(core, input);
        else if (core->once && input == LOST && core->state == MN_WORKER_GREETING)
            input = GIVE_UP;
        move(core, input, event, &why, todo);

        bool member = core->state >= MN_WORKER_PREPARING && core->state <= MN_WORKER_WORKING;
        if (member && event->now_us >= core->next_heartbeat_us) {
            say(todo, MN_MSG_HEARTBEAT);
            core->next_heartbeat_us = event->now_us + core->heartbeat_us;
        }
    }
    todo->wake_us = wake_time(core);
}

const char *mn_worker_state_text(mn_worker_state state)
{
    static const char *const texts[MN_N_WORKER_STATES] = {
        [MN_WORKER_DIALING] = "dialing",     [MN_WORKER_GREETING] = "greeting",
        [MN_WORKER_PREPARING] = "preparing", [MN_WORKER_JOINING] = "joining",
        [MN_WORKER_WORKING] = "working",     [MN_WORKER_LEAVING] = "leaving",
        [MN_WORKER_ENDED] = "ended",
    };
    return (unsigned)state < MN_N_WORKER_STATES ? texts[state] : "unknown";
}

/* The one place that changes the state, with what belongs to each change. */
static void move(mn_worker_core *core, enum input input, const mn_worker_event *event,
                 const mn_error *why, mn_worker_actions *todo)
{
    uint8_t cell = next_state[core->state][input];
    if (cell == 0)
        return;
    mn_worker_state from = core->state, to = (mn_worker_state)(cell - 1);
    uint64_t now_us = event->now_us;
    core->state = to;
    switch (to) {
    case MN_WORKER_DIALING:
        drop_leases(core, todo);
        if (input == HOME) {
            go_home(core, now_us, why, todo);
            break;
        }
        add(todo, MN_WORKER_DO_HANG_UP);
        if (input == VISIT) {
            core->due_us = now_us;
            note(todo, MN_LOG_DEBUG, "sent to %s", core->away);
            break;
        }
        core->due_us = now_us + next_pause(core);
        note(todo, patient(core, from) ? MN_LOG_DEBUG : MN_LOG_WARN,
             "%s: %s; dialing again in %.1f s", mn_worker_state_text(from), why->message,
             (double)(core->due_us - now_us) * 1e-6);
        break;
    case MN_WORKER_GREETING:
        if (from == MN_WORKER_DIALING)
            (void)snprintf(add(todo, MN_WORKER_DO_DIAL)->text, sizeof core->away, "%s", core->away);
        else
            drop_leases(core, todo);
        say(todo, MN_MSG_HELLO);
        core->due_us =
            now_us + (core->away[0] != '\0' ? MN_WORKER_VISITING_US : MN_WORKER_GREETING_US);
        break;
    case MN_WORKER_PREPARING:
        core->run_id = event->message->welcome.run_id;
        core->heartbeat_us = UINT64_C(1000) * event->message->welcome.heartbeat_ms;
        core->silence_us = UINT64_C(1000) * event->message->welcome.silence_ms;
        core->next_heartbeat_us = now_us + core->heartbeat_us;
        add(todo, MN_WORKER_DO_BUILD);
        break;
    case MN_WORKER_JOINING:
        core->theta_size = event->theta_size;
        core->n_versions = 0;
        say(todo, MN_MSG_JOIN);
        break;
    case MN_WORKER_WORKING:
        core->pause_us = MN_WORKER_MIN_PAUSE_US;
        keep_version(core, event->message->theta.version);
        add(todo, MN_WORKER_DO_SET_THETA);
        if (from == MN_WORKER_JOINING && (core->away[0] == '\0' || core->run_id != core->told))
            note(todo, MN_LOG_INFO, "working for run %016" PRIx64, core->run_id);
        core->told = core->run_id;
        break;
    case MN_WORKER_LEAVING: /* the heartbeat's answer tells that LEAVE was read */
        drop_leases(core, todo);
        say(todo, MN_MSG_LEAVE);
        say(todo, MN_MSG_HEARTBEAT);
        core->due_us = now_us + MN_WORKER_LEAVING_US;
        break;
    case MN_WORKER_ENDED: {
        drop_leases(core, todo);
        if ((from == MN_WORKER_GREETING && input == QUIT) || input == NOT_BUILT)
            say(todo, MN_MSG_LEAVE);
        mn_worker_action *end = add(todo, MN_WORKER_DO_END);
        end->status = from == MN_WORKER_LEAVING ? MN_OK : why->status;
        (void)snprintf(end->text, sizeof end->text, "%s",
                       from == MN_WORKER_LEAVING ? "left on request" : why->message);
        break;
    }
    case MN_N_WORKER_STATES:
        assert(false);
    }
}

/* From a visit to the door that sent us. Where it ended in order, at once. */
static void go_home(mn_worker_core *core, uint64_t now_us, const mn_error *why,
                    mn_worker_actions *todo)
{
    const bool in_order = why->status == MN_OK || core->refused;
    if (core->refused)
        say(todo, MN_MSG_LEAVE); /* or it would be asked whether it lives */
    add(todo, MN_WORKER_DO_HANG_UP);
    core->due_us = in_order ? now_us : now_us + next_pause(core);
    core->away[0] = '\0';
    note(todo,
         core->refused             ? MN_LOG_WARN
         : why->message[0] == '\0' ? MN_LOG_DEBUG
                                   : MN_LOG_INFO,
         "back to the sweep: %s", why->message[0] != '\0' ? why->message : "the turn is over");
}

/* ---- what an event means */

/* Away from the door that sent us: nothing there ends us, but a signal. */
static enum input read_away(mn_worker_core *core, enum input input)
{
    const bool leaving = core->state == MN_WORKER_LEAVING;
    switch (input) {
    case NOT_BUILT:
    case REJECTED:
    case GIVE_UP:
        core->refused = true;
        return HOME;
    case LOST:
    case STOPS:
    case OVER:
    case VISIT: /* one door is enough */
        return HOME;
    case AGAIN:
    case ANSWER:
        return leaving ? HOME : input;
    case PASS:
    case DUE:
    case WELCOME:
    case BUILT:
    case THETA:
    case QUIT:
    case TURN_OVER:
    case HOME:
    case N_INPUTS:
        break;
    }
    if (input == QUIT)
        core->away[0] = '\0'; /* and there is no way back */
    return input;
}

static enum input read_event(mn_worker_core *core, const mn_worker_event *event,
                             mn_worker_actions *todo, mn_error *why)
{
    const char *text = event->text != NULL ? event->text : "";
    switch (event->kind) {
    case MN_WORKER_TICK:
        return read_time(core, event->now_us, why);
    case MN_WORKER_MESSAGE:
        core->heard_us = event->now_us;
        return read_message(core, event->message, todo, why);
    case MN_WORKER_NONSENSE:
        (void)mn_fail(why, MN_ERR_PROTOCOL, "the coordinator said what makes no sense: %s", text);
        return LOST;
    case MN_WORKER_CONNECTION_LOST:
        (void)mn_fail(why, MN_ERR_UNAVAILABLE, "the connection to the coordinator broke");
        return LOST;
    case MN_WORKER_DIAL_FAILED: /* what is not there yet may come; what is wrong stays so */
        (void)mn_fail(why, event->status, "%s", text);
        return event->status == MN_ERR_NO_INPUT || event->status == MN_ERR_UNAVAILABLE ||
                       event->status == MN_ERR_IO
                   ? LOST
                   : GIVE_UP;
    case MN_WORKER_BUILT:
        return BUILT;
    case MN_WORKER_BUILD_FAILED:
        (void)mn_fail(why, event->status, "%s", text);
        return NOT_BUILT;
    case MN_WORKER_RESULT: {
        bool wanted = put_down(core, event->epoch) && core->state == MN_WORKER_WORKING;
        add(todo, wanted ? MN_WORKER_DO_SEND_RESULT : MN_WORKER_DO_DROP_RESULT);
        return PASS;
    }
    case MN_WORKER_QUIT:
        (void)mn_fail(why, MN_OK, "asked to stop");
        return QUIT;
    }
    return PASS;
}

static enum input read_time(const mn_worker_core *core, uint64_t now_us, mn_error *why)
{
    uint64_t silent_us = now_us - core->heard_us;
    switch (core->state) {
    case MN_WORKER_DIALING:
    case MN_WORKER_GREETING:
        if (silent_us >= core->patience_us) {
            (void)mn_fail(
                why, MN_ERR_UNAVAILABLE,
                "no coordinator was heard for %.0f s; is the run still going on? (--patience "
                "waits longer)",
                (double)silent_us * 1e-6);
            return GIVE_UP;
        }
        if (now_us < core->due_us)
            return PASS;
        if (core->state == MN_WORKER_DIALING)
            return DUE;
        (void)mn_fail(why, MN_ERR_UNAVAILABLE, "no answer");
        return LOST;
    case MN_WORKER_PREPARING:
    case MN_WORKER_JOINING:
    case MN_WORKER_WORKING:
        if (silent_us < core->silence_us)
            return core->away[0] != '\0' && now_us >= core->turn_us ? TURN_OVER : PASS;
        (void)mn_fail(why, MN_ERR_UNAVAILABLE, "the coordinator was silent for %.1f s",
                      (double)silent_us * 1e-6);
        return LOST;
    case MN_WORKER_LEAVING:
        return now_us >= core->due_us ? ANSWER : PASS;
    case MN_WORKER_ENDED:
    case MN_N_WORKER_STATES:
        break;
    }
    return PASS;
}

static enum input read_message(mn_worker_core *core, const mn_message *message,
                               mn_worker_actions *todo, mn_error *why)
{
    bool joined = core->state == MN_WORKER_JOINING || core->state == MN_WORKER_WORKING;
    switch (message->kind) {
    case MN_MSG_WELCOME:
        return WELCOME;
    case MN_MSG_REJECT:
        if (message->reject.resumes) { /* a full pool: as one that stops and comes back */
            (void)mn_fail(why, MN_ERR_UNAVAILABLE, "%s", message->reject.reason);
            return STOPS;
        }
        (void)mn_fail(why, MN_ERR_PROTOCOL, "refused by the coordinator: %s",
                      message->reject.reason);
        return REJECTED;
    case MN_MSG_THETA:
        if (!joined || message->theta.n == core->theta_size)
            return THETA;
        (void)mn_fail(why, MN_ERR_PROTOCOL,
                      "theta of %" PRIu64 " numbers, but this experiment has %" PRIu64,
                      message->theta.n, core->theta_size);
        return LOST;
    case MN_MSG_LEASE:
        return joined ? take_lease(core, &message->lease, todo, why) : PASS;
    case MN_MSG_PULSE:
        return ANSWER;
    case MN_MSG_REGISTER_AGAIN:
        return AGAIN;
    case MN_MSG_VISIT:
        return take_visit(core, &message->visit, why);
    case MN_MSG_FINISHED:
        (void)mn_fail(why, MN_OK, "the run %s%s%s", message->reject.resumes ? "stops" : "is over",
                      message->reject.reason[0] != '\0' ? ": " : "", message->reject.reason);
        return message->reject.resumes ? STOPS : OVER;
    case MN_MSG_NONE:
    case MN_MSG_HELLO:
    case MN_MSG_JOIN:
    case MN_MSG_RESULT:
    case MN_MSG_HEARTBEAT:
    case MN_MSG_LEAVE:
    case MN_MSG_ASK:
    case MN_MSG_SETTLED:
    case MN_MSG_RETURNED:
    case MN_MSG_STOP_WANTED:
    case MN_MSG_NOTE:
    case MN_MSG_ROUND:
    case MN_MSG_RANGE:
    case MN_MSG_REDUCE:
    case MN_MSG_STOP:
    case MN_MSG_LEG:
    case MN_MSG_LEG_ENDED:
    case MN_N_MESSAGES:
        break;
    }
    (void)mn_fail(why, MN_ERR_PROTOCOL, "the coordinator said %s, which is not for workers",
                  mn_message_kind_text(message->kind));
    return LOST;
}

static enum input take_visit(mn_worker_core *core, const mn_visit *visit, mn_error *why)
{
    if (core->away[0] != '\0' || core->state != MN_WORKER_GREETING) {
        (void)mn_fail(why, MN_ERR_PROTOCOL, "a run sends us to another; only a sweep's door may");
        return LOST;
    }
    if (visit->endpoint[0] == '\0') {
        core->due_us = core->heard_us + UINT64_C(1000) * visit->for_ms + MN_WORKER_GREETING_US;
        return PASS;
    }
    (void)snprintf(core->away, sizeof core->away, "%s", visit->endpoint);
    core->turn_us = core->heard_us + UINT64_C(1000) * visit->for_ms;
    core->refused = false;
    core->visits++;
    return VISIT;
}

static enum input take_lease(mn_worker_core *core, const mn_lease *lease, mn_worker_actions *todo,
                             mn_error *why)
{
    bool known = false;
    for (uint32_t i = 0; i < core->n_versions; i++)
        known = known || core->versions[i] == lease->round.step;
    if (!known) {
        (void)mn_fail(why, MN_ERR_PROTOCOL,
                      "a lease of theta %" PRIu64 ", which did not come before", lease->round.step);
        return LOST;
    }
    if (lease->round.id != core->round)
        drop_leases(core, todo);
    for (uint32_t i = 0; i < core->n_leases; i++)
        if (core->leases[i] == lease->epoch)
            return PASS; /* told again, as it takes long */
    if (core->n_leases == MN_WORKER_MAX_LEASES) {
        (void)mn_fail(why, MN_ERR_PROTOCOL, "more than %u leases at a time", MN_WORKER_MAX_LEASES);
        return LOST;
    }
    core->round = lease->round.id;
    core->leases[core->n_leases] = lease->epoch;
    core->lease_versions[core->n_leases++] = lease->round.step;
    add(todo, MN_WORKER_DO_SUBMIT)->lease = *lease;
    return PASS;
}

/* ---- what is in hand */

/* As the pool does: the two that came last are kept, one that comes again takes its own place, and
 * leases of all others are forgotten. */
static void keep_version(mn_worker_core *core, uint64_t version)
{
    uint64_t *kept = core->versions;
    if (core->n_versions > 0 && kept[core->n_versions - 1] == version) {
        core->n_versions--;
    } else if (core->n_versions == 2) {
        kept[0] = kept[1];
        core->n_versions = 1;
    }
    for (uint32_t i = core->n_leases; i-- > 0;)
        if (core->n_versions == 0 || core->lease_versions[i] != kept[0])
            (void)put_down(core, core->leases[i]);
    kept[core->n_versions++] = version;
}

/* false: this lease is not in hand. */
static bool put_down(mn_worker_core *core, uint64_t epoch)
{
    for (uint32_t i = 0; i < core->n_leases; i++) {
        if (core->leases[i] != epoch)
            continue;
        core->n_leases--;
        core->leases[i] = core->leases[core->n_leases];
        core->lease_versions[i] = core->lease_versions[core->n_leases];
        return true;
    }
    return false;
}

static void drop_leases(mn_worker_core *core, mn_worker_actions *todo)
{
    if (core->n_leases > 0)
        add(todo, MN_WORKER_DO_CLEAR);
    core->n_leases = 0;
}

/* ---- time */

/* Nobody answers, as before: said often enough. */
static bool patient(const mn_worker_core *core, mn_worker_state from)
{
    return from == MN_WORKER_GREETING && core->pause_us > 4 * MN_WORKER_MIN_PAUSE_US;
}

/* Doubled each time, and between half and all of it. */
static uint64_t next_pause(mn_worker_core *core)
{
    uint64_t pause_us = core->pause_us;
    core->pause_us *= 2;
    if (core->pause_us > MN_WORKER_MAX_PAUSE_US)
        core->pause_us = MN_WORKER_MAX_PAUSE_US;
    return (uint64_t)((double)pause_us * mn_random_uniform(&core->jitter, 0.5, 1.0));
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t wake_time(const mn_worker_core *core)
{
    switch (core->state) {
    case MN_WORKER_DIALING:
    case MN_WORKER_GREETING:
        return earlier(core->due_us, core->heard_us + core->patience_us);
    case MN_WORKER_PREPARING:
    case MN_WORKER_JOINING:
    case MN_WORKER_WORKING:
        return earlier(earlier(core->next_heartbeat_us, core->heard_us + core->silence_us),
                       core->away[0] != '\0' ? core->turn_us : UINT64_MAX);
    case MN_WORKER_LEAVING:
        return core->due_us;
    case MN_WORKER_ENDED:
    case MN_N_WORKER_STATES:
        break;
    }
    return UINT64_MAX;
}

/* ---- the list of actions */

static mn_worker_action *add(mn_worker_actions *todo, mn_worker_action_kind kind)
{
    assert(todo->n < MN_WORKER_MAX_ACTIONS); /* no step adds more than six */
    mn_worker_action *action = &todo->list[todo->n++];
    *action = (mn_worker_action){.kind = kind};
    return action;
}

static void say(mn_worker_actions *todo, mn_message_kind message)
{
    add(todo, MN_WORKER_DO_SEND)->message = message;
}

static void note(mn_worker_actions *todo, mn_log_level level, const char *format, ...)
{
    mn_worker_action *action = add(todo, MN_WORKER_DO_LOG);
    action->level = level;
    va_list words;
    va_start(words, format);
    (void)vsnprintf(action->text, sizeof action->text, format, words);
    va_end(words);
}
