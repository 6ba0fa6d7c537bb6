#include "coordinator/core/rank_state.h"

#include "common/text.h"
#include "coordinator/core/admission.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define GIVEN_UP_AFTER                                                                             \
    3u /* leases that ran out in a row: during its pause a member's threads do not count */
#define UNKNOWN_PACE 10u /* times the floor: a lease's time as long as none was measured */
#define MAX_DOUBLINGS 10u
#define MOMENT_US UINT64_C(500000)
#define SMOOTHING 8u        /* of a wave's time: each moves it by this part */
#define UNHEARD_GREETED 10u /* times the silence after which a member is gone */

static_assert(MN_MAX_KEPT <= MN_KEPT_PER_MEMBER, "what a result may name, the table keeps");
static_assert((int)MN_NOTE_LEFT + (int)MN_REJECTED == (int)MN_NOTE_REJECTED, "in the same order");

static void take_hello(mn_rank *rank, uint64_t peer, mn_member *member, const mn_hello *hello,
                       mn_actions *todo);
static bool has_in_hand(const mn_rank *rank, const mn_member *member);
static mn_member *find_place(mn_rank *rank, uint64_t peer, mn_actions *todo);
static void take_join(mn_rank *rank, mn_member *member, const mn_message *message,
                      mn_actions *todo);
static void take_result(mn_rank *rank, mn_member *member, const mn_message *message,
                        mn_actions *todo);
static void take_leave(mn_rank *rank, mn_member *member, mn_actions *todo);
static void settle(mn_rank *rank, mn_member *member, const mn_grant *leases, uint32_t n,
                   uint32_t compute_us, mn_actions *todo);
static void repeated(mn_rank *rank, const mn_member *member, const mn_grant *leases, uint32_t n,
                     uint32_t compute_us, mn_actions *todo);
static void measure(mn_rank *rank, mn_member *member, const mn_grant *grant);
static uint64_t smooth(uint64_t old, uint64_t fresh);
static void damaged(mn_rank *rank, mn_member *member, uint64_t epoch, const char *why,
                    mn_actions *todo);
static void refuse(mn_rank *rank, uint64_t peer, uint64_t epoch, mn_refusal why, mn_actions *todo);
static mn_action *reject(mn_rank *rank, uint64_t peer, mn_member *member, const char *name,
                         const char *reason, mn_actions *todo);
static mn_note *depart(mn_rank *rank, mn_departure_kind kind, const char *name, const char *why,
                       mn_actions *todo);
static bool others_could(const mn_rank *rank, uint32_t holder);
static void let_go_on(mn_rank *rank, const mn_grant *grant, mn_actions *todo);
static void ran_out(mn_rank *rank, const mn_grant *grant, mn_actions *todo);
static void pause(mn_rank *rank, mn_member *member, uint32_t doublings, uint64_t span_us);
static void listen(mn_rank *rank, const mn_member *member);
static uint64_t patience_us(const mn_rank *rank, const mn_member *member);
static void end_pause(mn_rank *rank, mn_member *member, mn_actions *todo);
static void end_member(mn_rank *rank, mn_member *member, const char *why, mn_actions *todo);
static void recount(mn_rank *rank, mn_member *member, mn_actions *todo);
static bool may_have_more(mn_rank *rank, const mn_member *member);
static void grant_one(mn_rank *rank, mn_member *member, mn_actions *todo);
static void dismiss(uint64_t peer, const char *why, mn_actions *todo);
static mn_action *send(mn_actions *todo, uint64_t peer, mn_message_kind kind);
static void copy_name(char *to, size_t size, const char *from, size_t n);

void mn_rank_take_worker(mn_rank *rank, const mn_event *event, mn_actions *todo)
{
    const mn_message *message = event->message;
    mn_message_kind kind = message->kind;
    mn_member *member = mn_members_find(rank->members, event->peer);
    if (rank->state == MN_RANK_STOPPED) {
        if (kind == MN_MSG_RESULT)
            refuse(rank, event->peer, message->result.epoch, MN_REFUSED_LATE, todo);
        else if (kind == MN_MSG_HELLO)
            dismiss(event->peer, rank->why, todo);
        return;
    }
    if (member == NULL && kind != MN_MSG_HELLO) {
        if (kind == MN_MSG_RESULT)
            refuse(rank, event->peer, message->result.epoch, MN_REFUSED_UNKNOWN, todo);
        if (kind != MN_MSG_LEAVE && event->peer != MN_LOCAL_POOL)
            (void)send(todo, event->peer, MN_MSG_REGISTER_AGAIN);
        return;
    }

    if (member != NULL)
        member->heard_us = rank->now_us;
    switch ((unsigned)kind) {
    case MN_MSG_HELLO:
        take_hello(rank, event->peer, member, &message->hello, todo);
        break;
    case MN_MSG_JOIN:
        take_join(rank, member, message, todo);
        break;
    case MN_MSG_RESULT:
        take_result(rank, member, message, todo);
        break;
    case MN_MSG_HEARTBEAT:
        (void)send(todo, event->peer, MN_MSG_PULSE);
        break;
    case MN_MSG_LEAVE:
        take_leave(rank, member, todo);
        break;
    default:
        damaged(rank, member, 0, "a message that workers do not send", todo);
        break;
    }
}

void mn_rank_take_damaged(mn_rank *rank, const mn_event *event, mn_actions *todo)
{
    mn_member *member = mn_members_find(rank->members, event->peer);
    if (rank->state == MN_RANK_STOPPED)
        return;
    if (member != NULL) {
        member->heard_us = rank->now_us;
        damaged(rank, member, event->epoch, event->text != NULL ? event->text : "unreadable", todo);
    } else {
        refuse(rank, event->peer, event->epoch, MN_REFUSED_UNKNOWN, todo);
        if (event->peer != MN_LOCAL_POOL)
            (void)send(todo, event->peer, MN_MSG_REGISTER_AGAIN);
    }
}

void mn_rank_take_gone(mn_rank *rank, uint64_t peer, mn_actions *todo)
{
    mn_member *member = mn_members_find(rank->members, peer);
    if (member == NULL || rank->state == MN_RANK_STOPPED)
        return;
    if (member->state != MN_MEMBER_LEAVING) {
        rank->counts.lost++;
        (void)depart(rank, MN_LOST, member->name, "its connection closed", todo);
    }
    mn_actions_log(todo, MN_LOG_INFO, "worker=%s gone: connection closed state=%s", member->name,
                   mn_member_state_text(member->state))
        ->stranger = member->state == MN_MEMBER_GREETED;
    end_member(rank, member,
               member->state == MN_MEMBER_LEAVING ? "it left of its own accord"
                                                  : "its connection closed",
               todo);
}

mn_status mn_rank_take_local_pool(mn_rank *rank, uint32_t threads, mn_actions *todo, mn_error *err)
{
    mn_member *member = mn_members_find(rank->members, MN_LOCAL_POOL);
    if (member != NULL)
        end_member(rank, member, "the rank's own threads changed", todo);
    if (threads == 0)
        return MN_OK;
    member = mn_members_add(rank->members, MN_LOCAL_POOL);
    if (member == NULL)
        return mn_fail(err, MN_ERR_RANGE,
                       "no place for the local pool: %" PRIu32 " workers are here",
                       mn_members_max(rank->members));
    (void)snprintf(member->name, sizeof member->name, "local");
    member->came_us = rank->now_us;
    member->threads = threads < MN_MAX_MEMBER_THREADS ? threads : MN_MAX_MEMBER_THREADS;
    (void)mn_member_move_to(rank->members, member, MN_MEMBER_HELLO);
    (void)mn_member_move_to(rank->members, member, MN_MEMBER_JOIN);
    recount(rank, member, todo);
    mn_members_queue(rank->members, member);
    return MN_OK;
}

void mn_rank_take_time(mn_rank *rank, mn_actions *todo)
{
    mn_grant late;
    while (mn_lease_table_overdue(rank->table, rank->now_us, &late)) {
        if (!others_could(rank, late.member)) {
            let_go_on(rank, &late, todo);
        } else {
            (void)mn_lease_table_expire(rank->table, rank->now_us, &late, 1);
            ran_out(rank, &late, todo);
        }
    }

    /* Being heard moves no deadline, which would cost at each message: whoever comes due is looked
     * at again. */
    for (const mn_deadline *first;
         (first = mn_deadlines_first(&rank->silences)) != NULL && first->due_us <= rank->now_us;) {
        mn_member *member = mn_members_at(rank->members, first->id);
        if (member->heard_us + patience_us(rank, member) > rank->now_us) {
            listen(rank, member);
            continue;
        }
        if (member->state != MN_MEMBER_LEAVING) {
            char why[64];
            rank->counts.silent++;
            (void)snprintf(why, sizeof why, "silent for %" PRIu64 " ms",
                           (rank->now_us - member->heard_us) / 1000);
            (void)depart(rank, MN_SILENT, member->name, why, todo);
        }
        mn_actions_log(todo, MN_LOG_WARN, "worker=%s gone: silent for %" PRIu64 " ms", member->name,
                       (rank->now_us - member->heard_us) / 1000)
            ->stranger = member->state == MN_MEMBER_GREETED;
        end_member(rank, member,
                   member->state == MN_MEMBER_LEAVING ? "it left of its own accord"
                                                      : "it fell silent",
                   todo);
    }

    for (const mn_deadline *first;
         (first = mn_deadlines_first(&rank->pauses)) != NULL && first->due_us <= rank->now_us;)
        end_pause(rank, mn_members_at(rank->members, first->id), todo);
}

void mn_rank_grant(mn_rank *rank, mn_actions *todo)
{
    while (mn_lease_table_counts(rank->table).free > 0) {
        mn_member *member = mn_members_unqueue(rank->members);
        if (member == NULL)
            return;
        if (!may_have_more(rank, member))
            continue;
        grant_one(rank, member, todo);
        if (may_have_more(rank, member))
            mn_members_queue(rank->members, member);
    }
}

void mn_rank_queue_all(mn_rank *rank)
{
    uint32_t left = mn_members_count(rank->members); /* few of many places, most often */
    for (uint32_t i = 0; i < mn_members_max(rank->members) && left > 0; i++) {
        mn_member *member = mn_members_at(rank->members, i);
        left -= member->state != MN_MEMBER_GONE;
        mn_rank_weigh(rank, member, NULL); /* what was in its hands is of a round before */
        if (member->state == MN_MEMBER_READY)
            mn_members_queue(rank->members, member);
    }
}

void mn_rank_dismiss(mn_rank *rank, const char *why, mn_actions *todo)
{
    for (uint32_t i = 0; i < mn_members_max(rank->members); i++) {
        const mn_member *member = mn_members_at(rank->members, i);
        if (member->state == MN_MEMBER_GONE || member->peer == MN_LOCAL_POOL)
            continue;
        dismiss(member->peer, why, todo);
    }
}

static void take_hello(mn_rank *rank, uint64_t peer, mn_member *member, const mn_hello *hello,
                       mn_actions *todo)
{
    char reason[512];
    char name[sizeof member->name];
    copy_name(name, sizeof name, hello->name, sizeof hello->name);
    if (!mn_admits_hello(hello, reason, sizeof reason)) {
        reject(rank, peer, member, name, reason, todo);
        return;
    }
    bool has_uuid = hello->uuid[0] != 0 || hello->uuid[1] != 0;
    mn_member *twin = has_uuid ? mn_members_find_uuid(rank->members, hello->uuid) : NULL;
    mn_member before = {0};
    if (twin != NULL && twin != member) { /* the same process by a new connection */
        before = *twin;
        before.overdue += has_in_hand(rank, twin);
        rank->counts.lost++;
        (void)depart(rank, MN_LOST, twin->name, "the same process came by a new connection", todo);
        end_member(rank, twin, "its connection broke", todo);
    }
    if (member == NULL)
        member = find_place(rank, peer, todo);
    if (member == NULL) {
        (void)snprintf(reason, sizeof reason,
                       "all %" PRIu32 " places of this rank are taken; it may come again, here or "
                       "to another rank",
                       mn_members_max(rank->members));
        reject(rank, peer, NULL, name, reason, todo)->later = true;
        return;
    }

    /* What it held as whoever it was before is lost; how often it sent rubbish or kept us waiting is
     * not forgotten, until it returns something. Once may be an accident. */
    uint32_t place = mn_members_index(rank->members, member);
    const bool gives_back = has_in_hand(rank, member);
    mn_rank_write_off(rank, member, "it registered again", todo);
    mn_lease_table_release_member(rank->table, place);
    if (member->state == MN_MEMBER_READY)
        rank->workers--;
    if (member->state == MN_MEMBER_GONE) {
        member->came_us = rank->now_us;
        member->overdue = before.overdue;
        member->damaged = before.damaged;
    }
    (void)mn_member_move_to(rank->members, member, MN_MEMBER_HELLO);
    memcpy(member->name, name, sizeof name);
    memcpy(member->uuid, hello->uuid, sizeof member->uuid);
    member->heard_us = rank->now_us;
    member->has_theta = false;
    recount(rank, member, todo);
    if (gives_back && member->overdue++ > 0)
        pause(rank, member, member->overdue, rank->config.lease_floor_ms * UINT64_C(1000));
    else if (before.overdue > 1)
        pause(rank, member, before.overdue, rank->config.lease_floor_ms * UINT64_C(1000));
    member->threads = hello->threads;
    listen(rank, member);
    (void)send(todo, peer, MN_MSG_WELCOME);
}

static bool has_in_hand(const mn_rank *rank, const mn_member *member)
{
    return mn_lease_table_hand(rank->table, mn_members_index(rank->members, member)).leases > 0;
}

/* In a full pool that of whoever said HELLO longest ago, if it has not joined yet: it may come again.
 * NULL: all have. */
static mn_member *find_place(mn_rank *rank, uint64_t peer, mn_actions *todo)
{
    mn_member *member = mn_members_add(rank->members, peer), *oldest = NULL;
    for (uint32_t i = 0; i < mn_members_max(rank->members) && member == NULL; i++) {
        mn_member *other = mn_members_at(rank->members, i);
        if (other->state == MN_MEMBER_GREETED &&
            (oldest == NULL || other->heard_us < oldest->heard_us))
            oldest = other;
    }
    if (oldest == NULL)
        return member;
    reject(rank, oldest->peer, oldest, oldest->name,
           "its place was needed for others, as it had not joined; it may come again", todo)
        ->later = true;
    return mn_members_add(rank->members, peer);
}

/* Of workers that are not ours the first says which class the run has; once it has gone and nothing
 * of its was taken, the next. */
static bool may_say_class(const mn_rank *rank)
{
    bool may = rank->class_open;
    for (uint32_t i = 0; i < mn_members_max(rank->members) && may; i++) {
        const mn_member *member = mn_members_at(rank->members, i);
        may = member->peer == MN_LOCAL_POOL ||
              (member->state != MN_MEMBER_READY && member->state != MN_MEMBER_LEAVING);
    }
    return may;
}

static void adopt_class(mn_rank *rank, const mn_member *member, const mn_message *message,
                        mn_actions *todo)
{
    char hex[65];
    rank->config.numeric_class = message->join.numeric_class;
    mn_digest_hex(&rank->config.numeric_class, hex);
    mn_actions_log(
        todo, MN_LOG_INFO,
        "numeric class of this run: %.16s (%.31s), that of worker=%s; other workers must "
        "have the same",
        hex, message->join.kernels, member->name);
}

static void take_join(mn_rank *rank, mn_member *member, const mn_message *message, mn_actions *todo)
{
    char reason[512];
    bool mixed;
    if (member->state != MN_MEMBER_GREETED)
        return; /* said twice, or after LEAVE: the table has no such move */
    const bool open = may_say_class(rank);
    if (!mn_admits_join(&rank->config, message, open, &mixed, reason, sizeof reason)) {
        reject(rank, member->peer, member, member->name, reason, todo);
        return;
    }
    if (open)
        adopt_class(rank, member, message, todo);
    if (mixed && !rank->mixed)
        mn_actions_log(
            todo, MN_LOG_WARN,
            "worker=%s is of another numeric class (kernels %.31s): the run is mixed from here "
            "on, and its bits will not come again",
            member->name, message->join.kernels);
    rank->mixed = rank->mixed || mixed;
    (void)mn_member_move_to(rank->members, member, MN_MEMBER_JOIN);
    rank->counts.joins++;
    rank->workers++;
    listen(rank, member);
    recount(rank, member, todo);
    mn_members_queue(rank->members, member);
    mn_note *joined = mn_rank_note(rank, MN_NOTE_JOINED, member->name, todo);
    joined->threads = member->threads;
    joined->mixed = mixed;
    mn_actions_log(todo, MN_LOG_INFO,
                   "worker=%s joined threads=%" PRIu32 " workers=%" PRIu32 " kernels=%.31s",
                   member->name, member->threads, rank->workers, message->join.kernels);
}

/* The leases of a result: its own first, then those kept for it. Their number; 0: one of them is
 * forgotten or was never this member's, so nothing can be done with the sum, and what the member
 * has of the others is free again. */
static uint32_t find_leases(mn_rank *rank, const mn_member *member, const mn_message *message,
                            mn_grant leases[1 + MN_MAX_KEPT])
{
    const mn_result *result = &message->result.result;
    uint32_t place = mn_members_index(rank->members, member);
    uint32_t n = 1 + result->n_kept, n_found = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t epoch = i == 0 ? message->result.epoch : result->kept[i - 1];
        if (mn_lease_table_find(rank->table, epoch, &leases[n_found]) &&
            leases[n_found].member == place)
            n_found++;
    }
    if (n_found == n)
        return n;
    for (uint32_t i = 0; i < n_found; i++)
        mn_lease_table_release(rank->table, leases[i].epoch);
    return 0;
}

static void take_result(mn_rank *rank, mn_member *member, const mn_message *message,
                        mn_actions *todo)
{
    const mn_result *result = &message->result.result;
    uint64_t epoch = message->result.epoch;
    char why[256];
    mn_grant leases[1 + MN_MAX_KEPT];
    uint32_t n = find_leases(rank, member, message, leases), n_tasks = 0;
    if (n == 0) {
        refuse(rank, member->peer, epoch, MN_REFUSED_LATE, todo);
        mn_rank_weigh(rank, member, todo);
        if (member->state == MN_MEMBER_READY) /* it may have room now */
            mn_members_queue(rank->members, member);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        n_tasks += leases[i].n;
    if (!mn_admits_result(&rank->config, rank->round.kind, n_tasks, message, why, sizeof why)) {
        damaged(rank, member, epoch, why, todo);
        return;
    }

    bool kept = result->encoding == MN_ENCODING_KEPT;
    if (kept && !mn_lease_table_keep(rank->table, epoch))
        return; /* no news, so it earns nothing: it can be said again and again */
    measure(rank, member, &leases[0]);
    if (!kept)
        settle(rank, member, leases, n, result->compute_us, todo);
    member->overdue = 0;
    end_pause(rank, member, todo);
}

static void take_leave(mn_rank *rank, mn_member *member, mn_actions *todo)
{
    if (member->state == MN_MEMBER_LEAVING)
        return;
    if (member->state == MN_MEMBER_READY)
        rank->workers--;
    (void)mn_member_move_to(rank->members, member, MN_MEMBER_LEAVE);
    rank->counts.left++;
    member->overdue += has_in_hand(rank, member); /* should it say HELLO again */
    (void)depart(rank, MN_DEPARTED, member->name, "it left", todo);
    mn_lease_table_give_up(rank->table, mn_members_index(rank->members, member));
    recount(rank, member, todo);
    mn_actions_log(todo, MN_LOG_INFO, "worker=%s leaves workers=%" PRIu32, member->name,
                   rank->workers);
}

static void settle(mn_rank *rank, mn_member *member, const mn_grant *leases, uint32_t n,
                   uint32_t compute_us, mn_actions *todo)
{
    uint64_t epochs[1 + MN_MAX_KEPT];
    for (uint32_t i = 0; i < n; i++)
        epochs[i] = leases[i].epoch;
    if (mn_lease_table_settle(rank->table, epochs, n, NULL) != MN_OK) {
        refuse(rank, member->peer, epochs[0], MN_REFUSED_DUPLICATE, todo);
        repeated(rank, member, leases, n, compute_us, todo);
        return;
    }
    mn_waiting_blame(&rank->waiting, member->name);
    mn_action *accepted = mn_actions_add(todo, MN_DO_ACCEPT);
    accepted->peer = member->peer;
    accepted->lease = (mn_lease){
        .epoch = leases[0].epoch, .round = rank->round, .begin = leases[0].begin, .n = leases[0].n};
    rank->counts.accepted++;
    rank->class_open = false;
    for (uint32_t i = 0; i < n; i++) {
        mn_action *settled = mn_actions_add(todo, MN_DO_TO_LEADER);
        settled->message = MN_MSG_SETTLED;
        settled->range =
            (mn_range){.round = rank->round.id, .begin = leases[i].begin, .n = leases[i].n};
        rank->counts.tasks_done += leases[i].n;
        member->tasks += leases[i].n;
    }
}

/* A result that fits, of tasks that somebody else has done meanwhile: what the peer says it took, as far
 * as that can be. */
static void repeated(mn_rank *rank, const mn_member *member, const mn_grant *leases, uint32_t n,
                     uint32_t compute_us, mn_actions *todo)
{
    mn_note *note = mn_rank_note(rank, MN_NOTE_REPEATED, member->name, todo);
    uint64_t since_us = leases[0].granted_us;
    uint32_t begin = leases[0].begin;
    for (uint32_t i = 0; i < n; i++) {
        note->tasks += leases[i].n;
        if (leases[i].granted_us < since_us)
            since_us = leases[i].granted_us;
        if (leases[i].begin < begin)
            begin = leases[i].begin;
    }
    const uint64_t most_us = (rank->now_us - since_us) * member->threads;
    note->task = rank->round.first_task + begin;
    note->lost_us = mn_rank_repeat(rank, note->tasks, compute_us < most_us ? compute_us : most_us);
    (void)snprintf(note->why, sizeof note->why, "its lease had run out, and another was faster");
}

/* Our own clock, not what the peer says: from the lease, or the result before it, to this result,
 * for each wave. */
static void measure(mn_rank *rank, mn_member *member, const mn_grant *grant)
{
    uint64_t since_us =
        grant->granted_us > member->result_us ? grant->granted_us : member->result_us;
    uint64_t waves = (grant->n + (uint64_t)member->threads - 1) / member->threads;
    uint64_t wave_us = (rank->now_us - since_us) / waves;
    mn_round_kind kind = rank->round.kind;
    mn_pace_add(&rank->pace[kind], wave_us);
    member->result_us = rank->now_us;
    member->wave_us[kind] = smooth(member->wave_us[kind], wave_us + 1);
    rank->wave_us[kind] = smooth(rank->wave_us[kind], wave_us + 1);
}

static uint64_t smooth(uint64_t old, uint64_t fresh)
{
    return old == 0 ? fresh : old - old / SMOOTHING + fresh / SMOOTHING;
}

static void damaged(mn_rank *rank, mn_member *member, uint64_t epoch, const char *why,
                    mn_actions *todo)
{
    mn_grant grant;
    mn_note *note = mn_rank_note(rank, MN_NOTE_DAMAGED, member->name, todo);
    (void)mn_text_cut(why, note->why, sizeof note->why);
    if (mn_lease_table_find(rank->table, epoch, &grant) &&
        grant.member == mn_members_index(rank->members, member)) {
        note->task = rank->round.first_task + grant.begin;
        note->tasks = grant.n;
        note->lost_us = mn_rank_repeat(
            rank, grant.n, mn_rank_lease_cost_us(rank, member, grant.n, grant.granted_us));
        mn_lease_table_release(rank->table, epoch);
    }
    refuse(rank, member->peer, epoch, MN_REFUSED_DAMAGED, todo);
    mn_actions_log(todo, MN_LOG_WARN, "worker=%s epoch=%" PRIu64 " damaged=%" PRIu32 ": %.300s",
                   member->name, epoch, member->damaged + 1, why);
    if (++member->damaged < MN_MAX_DAMAGED) {
        end_pause(rank, member, todo);
        return;
    }
    char reason[512];
    (void)snprintf(reason, sizeof reason,
                   "%u of its messages could not be used, the last one because: %.300s; check its "
                   "memory, its network and its version",
                   MN_MAX_DAMAGED, why);
    if (member->peer == MN_LOCAL_POOL)
        mn_rank_want_stop(rank, reason, todo);
    else
        reject(rank, member->peer, member, member->name, reason, todo);
}

static void refuse(mn_rank *rank, uint64_t peer, uint64_t epoch, mn_refusal why, mn_actions *todo)
{
    mn_action *refused = mn_actions_add(todo, MN_DO_REFUSE);
    refused->peer = peer;
    refused->refusal.epoch = epoch;
    refused->refusal.why = why;
    rank->counts.refused[why]++;
}

/* `member` is NULL, and its name what it said, if it has no place. */
static mn_action *reject(mn_rank *rank, uint64_t peer, mn_member *member, const char *name,
                         const char *reason, mn_actions *todo)
{
    mn_action *rejected = send(todo, peer, MN_MSG_REJECT);
    (void)snprintf(rejected->log.text, sizeof rejected->log.text, "%s", reason);
    mn_actions_log(todo, MN_LOG_WARN, "worker=%s rejected: %.380s", name[0] != '\0' ? name : "new",
                   reason)
        ->stranger = member == NULL || member->state == MN_MEMBER_GREETED;
    rank->counts.rejected++;
    mn_note *note = depart(rank, MN_REJECTED, name, reason, todo);
    if (member == NULL || member->state == MN_MEMBER_GREETED) /* it was never in */
        note->kind = MN_NOTE_REFUSED;
    if (member != NULL)
        end_member(rank, member, "it was put out", todo);
    return rejected;
}

static mn_note *depart(mn_rank *rank, mn_departure_kind kind, const char *name, const char *why,
                       mn_actions *todo)
{
    mn_note *note = mn_rank_note(rank, MN_NOTE_LEFT + kind, name, todo);
    (void)mn_text_cut(why, note->why, sizeof note->why);
    mn_departure *last = &rank->departures[rank->n_departures++ % MN_MAX_DEPARTURES];
    *last = (mn_departure){.kind = kind, .when_us = rank->now_us};
    (void)snprintf(last->name, sizeof last->name, "%s", name[0] != '\0' ? name : "new");
    (void)mn_text_cut(why, last->why, sizeof last->why);
    return note;
}

/* Could anybody but the holder have what it holds? The rank's own threads cannot be lost without a
 * sign, so what they do is not passed on to other ranks. */
static bool others_could(const mn_rank *rank, uint32_t holder)
{
    if (!rank->config.only_rank && mn_members_at(rank->members, holder)->peer != MN_LOCAL_POOL)
        return true;
    for (uint32_t place = 0; place < mn_members_max(rank->members); place++) {
        const mn_member *member = mn_members_at(rank->members, place);
        if (place != holder && member->state == MN_MEMBER_READY && member->paused_until_us == 0)
            return true;
    }
    return false;
}

/* To free the tasks would only have the same member begin them anew. Whoever comes meanwhile waits
 * for no more than the floor. A remote worker may never have had the lease, or its result was lost:
 * it is told again, which means nothing to one that has it in hand; but rarely, as its result may
 * be under way. */
static void let_go_on(mn_rank *rank, const mn_grant *grant, mn_actions *todo)
{
    const mn_member *member = mn_members_at(rank->members, grant->member);
    const uint64_t floor_us = rank->config.lease_floor_ms * UINT64_C(1000);
    const uint64_t floors = (rank->now_us - grant->granted_us) / floor_us;
    mn_note *note;
    mn_lease_table_extend(rank->table, grant->epoch, rank->now_us + floor_us);
    if ((floors & (floors - 1)) != 0) /* the rest at 1, 2, 4, 8, ... */
        return;
    if (member->peer != MN_LOCAL_POOL)
        send(todo, member->peer, MN_MSG_LEASE)->lease = (mn_lease){
            .epoch = grant->epoch, .round = rank->round, .begin = grant->begin, .n = grant->n};
    note = mn_rank_note(rank, MN_NOTE_GOES_ON, member->name, todo);
    note->task = rank->round.first_task + grant->begin;
    note->tasks = grant->n;
    note->span_us = rank->now_us - grant->granted_us;
    mn_actions_log(todo, MN_LOG_INFO,
                   "worker=%s epoch=%" PRIu64 " round=%" PRIu64 " lease of tasks %" PRIu32
                   " to %" PRIu32 " takes %" PRIu64 " ms and goes on: nobody else could have them",
                   member->name, grant->epoch, rank->round.id, grant->begin,
                   grant->begin + grant->n - 1, (rank->now_us - grant->granted_us) / 1000);
}

/* The tasks are free for others already. The member gets no more for as long as it had, twice that
 * after each further one, unless it returns something: it may be slow, or hung with a heart that
 * still beats. */
static void ran_out(mn_rank *rank, const mn_grant *grant, mn_actions *todo)
{
    mn_member *member = mn_members_at(rank->members, grant->member);
    pause(rank, member, member->overdue, grant->deadline_us - grant->granted_us);
    member->overdue++;
    member->expired++;
    rank->counts.leases_expired++;
    recount(rank, member, todo);
    mn_waiting_blame(&rank->waiting, member->name);
    mn_note *note = mn_rank_note(rank, MN_NOTE_RAN_OUT, member->name, todo);
    note->task = rank->round.first_task + grant->begin;
    note->tasks = grant->n;
    note->span_us = grant->deadline_us - grant->granted_us;
    note->pause_us = member->paused_until_us - rank->now_us;
    mn_actions_log(todo, MN_LOG_WARN,
                   "worker=%s epoch=%" PRIu64 " round=%" PRIu64 " lease of tasks %" PRIu32
                   " to %" PRIu32 " ran out after %" PRIu64 " ms; others may have them",
                   member->name, grant->epoch, rank->round.id, grant->begin,
                   grant->begin + grant->n - 1, (grant->deadline_us - grant->granted_us) / 1000);
}

static void pause(mn_rank *rank, mn_member *member, uint32_t doublings, uint64_t span_us)
{
    const uint32_t place = mn_members_index(rank->members, member);
    uint64_t pause_us;
    doublings = doublings < MAX_DOUBLINGS ? doublings : MAX_DOUBLINGS;
    if (__builtin_mul_overflow(span_us, UINT64_C(1) << doublings, &pause_us) ||
        __builtin_add_overflow(rank->now_us, pause_us, &member->paused_until_us))
        member->paused_until_us = MN_NEVER - 1;
    mn_deadlines_remove(&rank->pauses, place);
    mn_deadlines_add(&rank->pauses, place, member->paused_until_us);
}

/* Look again when the member may have been silent for too long. */
static void listen(mn_rank *rank, const mn_member *member)
{
    uint32_t place = mn_members_index(rank->members, member);
    mn_deadlines_remove(&rank->silences, place);
    mn_deadlines_add(&rank->silences, place, member->heard_us + patience_us(rank, member));
}

/* Between WELCOME and JOIN a worker builds the experiment and may have no time for a word. */
static uint64_t patience_us(const mn_rank *rank, const mn_member *member)
{
    uint64_t silence_us = rank->config.silence_ms * UINT64_C(1000);
    return member->state == MN_MEMBER_GREETED ? UNHEARD_GREETED * silence_us : silence_us;
}

static void end_pause(mn_rank *rank, mn_member *member, mn_actions *todo)
{
    if (member->paused_until_us > 0)
        (void)mn_rank_note(rank, MN_NOTE_BACK, member->name, todo);
    mn_deadlines_remove(&rank->pauses, mn_members_index(rank->members, member));
    member->paused_until_us = 0;
    recount(rank, member, todo);
    if (member->state == MN_MEMBER_READY)
        mn_members_queue(rank->members, member);
}

static void end_member(mn_rank *rank, mn_member *member, const char *why, mn_actions *todo)
{
    uint32_t place = mn_members_index(rank->members, member);
    mn_rank_write_off(rank, member, why, todo);
    if (member->counted > 0)
        mn_waiting_blame(&rank->waiting, member->name);
    mn_lease_table_release_member(rank->table, place);
    mn_deadlines_remove(&rank->silences, place);
    mn_deadlines_remove(&rank->pauses, place);
    if (member->state == MN_MEMBER_READY && member->peer != MN_LOCAL_POOL)
        rank->workers--;
    (void)mn_member_move_to(rank->members, member, MN_MEMBER_END);
    recount(rank, member, NULL);
}

/* Keep the pool's number of threads true after a change of this member. */
static void recount(mn_rank *rank, mn_member *member, mn_actions *todo)
{
    bool given_up = member->paused_until_us > 0 && member->overdue >= GIVEN_UP_AFTER;
    uint32_t counts = member->state == MN_MEMBER_READY && !given_up ? member->threads : 0;
    rank->threads += counts;
    rank->threads -= member->counted;
    member->counted = counts;
    mn_rank_weigh(rank, member, todo);
}

static bool may_have_more(mn_rank *rank, const mn_member *member)
{
    return member->state == MN_MEMBER_READY && member->paused_until_us == 0 &&
           mn_lease_table_hand(rank->table, mn_members_index(rank->members, member)).leases <
               MN_CREDIT;
}

/* Each lease of training costs the rank some work, so a local pool that is alone gets all that it
 * computes in a moment: who joins meanwhile hardly waits. A remote worker does not, nor anybody in
 * an evaluation, whose rows are merely put in their places and whose progress people watch. A
 * member slower than the pool gets less, or the others would wait for it. While nothing is known of
 * how long tasks take, a lease is one wave: nobody could say when more are overdue. */
static uint32_t size_of_lease(const mn_rank *rank, const mn_member *member)
{
    uint32_t free = mn_lease_table_counts(rank->table).free;
    if (rank->pace[rank->round.kind].n == 0)
        return member->threads;
    uint32_t all = rank->threads < UINT32_MAX ? (uint32_t)rank->threads : UINT32_MAX;
    bool alone = member->peer == MN_LOCAL_POOL && member->threads == all;
    uint64_t own_us = member->wave_us[rank->round.kind];
    bool quick = own_us > 0 && own_us < MOMENT_US && free * own_us < MOMENT_US * all;
    if (alone && quick && rank->round.kind == MN_ROUND_TRAIN)
        return free;
    uint64_t n = mn_lease_size(free, member->threads, all);
    uint64_t pool_us = rank->wave_us[rank->round.kind];
    bool slow = own_us > pool_us + pool_us / 4;
    if (!slow || n <= member->threads)
        return (uint32_t)n;
    uint64_t waves = n * pool_us / own_us / member->threads;
    return (uint32_t)(waves > 0 ? waves : 1) * member->threads;
}

static void grant_one(mn_rank *rank, mn_member *member, mn_actions *todo)
{
    uint64_t wave_us = mn_pace_patience_us(&rank->pace[rank->round.kind]);
    uint64_t floor_us = rank->config.lease_floor_ms * UINT64_C(1000);
    mn_hand hand = mn_lease_table_hand(rank->table, mn_members_index(rank->members, member));
    if (wave_us == 0)
        floor_us *= UNKNOWN_PACE;
    else if (floor_us <
             (hand.leases + 1) * wave_us) /* each lease in hand is a wave at least, however small */
        floor_us = (hand.leases + 1) * wave_us;
    mn_grant grant;
    if (mn_lease_table_grant(rank->table, mn_members_index(rank->members, member),
                             size_of_lease(rank, member), rank->now_us, floor_us,
                             wave_us / member->threads + 1, &grant, NULL) != MN_OK)
        return;

    if (!member->has_theta || member->theta != rank->round.step) {
        mn_action *theta = mn_actions_add(todo, MN_DO_SEND_THETA);
        theta->peer = member->peer;
        theta->version = rank->round.step;
        member->theta = rank->round.step;
        member->has_theta = true;
    }
    send(todo, member->peer, MN_MSG_LEASE)->lease =
        (mn_lease){.epoch = grant.epoch, .round = rank->round, .begin = grant.begin, .n = grant.n};
    mn_rank_weigh(rank, member, todo);
    rank->counts.leases_granted++;
    rank->counts.leases_reissued += grant.attempt > 0;
}

static void dismiss(uint64_t peer, const char *why, mn_actions *todo)
{
    mn_action *last = send(todo, peer, MN_MSG_FINISHED);
    (void)snprintf(last->log.text, sizeof last->log.text, "%s", why);
}

static mn_action *send(mn_actions *todo, uint64_t peer, mn_message_kind kind)
{
    mn_action *action = mn_actions_add(todo, MN_DO_SEND);
    action->peer = peer;
    action->message = kind;
    return action;
}

/* A name goes into log lines: nothing but printable characters. */
static void copy_name(char *to, size_t size, const char *from, size_t n)
{
    size_t i = 0;
    for (; i + 1 < size && i < n && from[i] != '\0'; i++)
        to[i] = (char)(from[i] > ' ' && from[i] < 0x7f ? from[i] : '?');
    to[i] = '\0';
}
