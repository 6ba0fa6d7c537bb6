#include "coordinator/core/members.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY UINT32_MAX

/* The whole life of a member; a cell left out is REFUSED. */
static const mn_member_state next_state[MN_N_MEMBER_STATES][MN_N_MEMBER_MOVES] = {
    [MN_MEMBER_GONE] = {[MN_MEMBER_HELLO] = MN_MEMBER_GREETED},
    [MN_MEMBER_GREETED] = {[MN_MEMBER_HELLO] = MN_MEMBER_GREETED,
                           [MN_MEMBER_JOIN] = MN_MEMBER_READY,
                           [MN_MEMBER_LEAVE] = MN_MEMBER_LEAVING,
                           [MN_MEMBER_END] = MN_MEMBER_GONE},
    [MN_MEMBER_READY] = {[MN_MEMBER_HELLO] = MN_MEMBER_GREETED,
                         [MN_MEMBER_LEAVE] = MN_MEMBER_LEAVING,
                         [MN_MEMBER_END] = MN_MEMBER_GONE},
    [MN_MEMBER_LEAVING] = {[MN_MEMBER_HELLO] = MN_MEMBER_GREETED,
                           [MN_MEMBER_LEAVE] = MN_MEMBER_LEAVING,
                           [MN_MEMBER_END] = MN_MEMBER_GONE},
};

struct mn_members {
    uint32_t max, count;
    mn_member *list;    /* [max]; owned */
    uint32_t *vacant;   /* [max] a stack of max - count free places; owned */
    uint32_t n_buckets; /* a power of two, at least twice max */
    uint32_t *buckets;  /* [n_buckets] places by hash of peer, linear probing; or NOBODY; owned */
    uint32_t *queue;    /* [max] a ring; members that went meanwhile may still stand in it; owned */
    uint32_t queue_first, queued;
};

static uint32_t bucket_of(const mn_members *members, uint64_t peer);
static void unhash(mn_members *members, const mn_member *member);

mn_status mn_members_new(uint32_t max_members, mn_members **out, mn_error *err)
{
    if (max_members == 0 || max_members > UINT32_MAX / 8)
        return mn_fail(err, MN_ERR_RANGE, "a pool of %" PRIu32 " members", max_members);
    mn_members *members = calloc(1, sizeof *members);
    if (members == NULL)
        goto no_memory;
    members->max = max_members;
    members->n_buckets = 2;
    while (members->n_buckets < 2 * max_members)
        members->n_buckets *= 2;
    members->list = calloc(max_members, sizeof *members->list);
    members->vacant = calloc(max_members, sizeof *members->vacant);
    members->buckets = calloc(members->n_buckets, sizeof *members->buckets);
    members->queue = calloc(max_members, sizeof *members->queue);
    if (members->list == NULL || members->vacant == NULL || members->buckets == NULL ||
        members->queue == NULL)
        goto no_memory;

    for (uint32_t i = 0; i < max_members; i++) {
        members->vacant[i] = max_members - 1 - i;
        members->list[i].state = MN_MEMBER_GONE;
    }
    for (uint32_t i = 0; i < members->n_buckets; i++)
        members->buckets[i] = NOBODY;
    *out = members;
    return MN_OK;

no_memory:
    mn_members_destroy(&members);
    return mn_fail(err, MN_ERR_NOMEM, "a pool of %" PRIu32 " members", max_members);
}

void mn_members_destroy(mn_members **members)
{
    if (*members == NULL)
        return;
    free((*members)->list);
    free((*members)->vacant);
    free((*members)->buckets);
    free((*members)->queue);
    free(*members);
    *members = NULL;
}

uint32_t mn_members_count(const mn_members *members)
{
    return members->count;
}

uint32_t mn_members_max(const mn_members *members)
{
    return members->max;
}

mn_member *mn_members_at(mn_members *members, uint32_t index)
{
    assert(index < members->max);
    return &members->list[index];
}

uint32_t mn_members_index(const mn_members *members, const mn_member *member)
{
    return (uint32_t)(member - members->list);
}

mn_member *mn_members_find(mn_members *members, uint64_t peer)
{
    for (uint32_t at = bucket_of(members, peer); members->buckets[at] != NOBODY;
         at = (at + 1) & (members->n_buckets - 1))
        if (members->list[members->buckets[at]].peer == peer)
            return &members->list[members->buckets[at]];
    return NULL;
}

mn_member *mn_members_find_uuid(mn_members *members, const uint64_t uuid[2])
{
    for (uint32_t i = 0; i < members->max; i++) {
        mn_member *member = &members->list[i];
        if (member->state != MN_MEMBER_GONE && member->uuid[0] == uuid[0] &&
            member->uuid[1] == uuid[1])
            return member;
    }
    return NULL;
}

mn_member *mn_members_add(mn_members *members, uint64_t peer)
{
    if (members->count == members->max)
        return NULL;
    uint32_t place = members->vacant[members->max - ++members->count];
    mn_member *member = &members->list[place];
    *member = (mn_member){.state = MN_MEMBER_GONE, .peer = peer, .hungry = member->hungry};
    uint32_t at = bucket_of(members, peer);
    while (members->buckets[at] != NOBODY)
        at = (at + 1) & (members->n_buckets - 1);
    members->buckets[at] = place;
    return member;
}

bool mn_member_move_to(mn_members *members, mn_member *member, mn_member_move move)
{
    mn_member_state next = next_state[member->state][move];
    if (next == MN_MEMBER_REFUSED)
        return false;
    member->state = next;
    if (next == MN_MEMBER_GONE) {
        unhash(members, member);
        members->vacant[members->max - members->count--] = mn_members_index(members, member);
    }
    return true;
}

/* `hungry` says that the place stands in the queue, whoever has it: so the queue never holds more
 * than max. */
void mn_members_queue(mn_members *members, mn_member *member)
{
    if (member->hungry)
        return;
    member->hungry = true;
    members->queue[(members->queue_first + members->queued++) % members->max] =
        mn_members_index(members, member);
}

mn_member *mn_members_unqueue(mn_members *members)
{
    if (members->queued == 0)
        return NULL;
    mn_member *member = &members->list[members->queue[members->queue_first]];
    members->queue_first = (members->queue_first + 1) % members->max;
    members->queued--;
    member->hungry = false;
    return member;
}

const char *mn_member_state_text(mn_member_state state)
{
    static const char *const texts[MN_N_MEMBER_STATES] = {
        [MN_MEMBER_REFUSED] = "none",    [MN_MEMBER_GONE] = "gone",
        [MN_MEMBER_GREETED] = "greeted", [MN_MEMBER_READY] = "ready",
        [MN_MEMBER_LEAVING] = "leaving",
    };
    return (unsigned)state < MN_N_MEMBER_STATES ? texts[state] : "unknown";
}

static uint32_t bucket_of(const mn_members *members, uint64_t peer)
{
    return (uint32_t)((peer * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (members->n_buckets - 1);
}

/* Remove without leaving a hole in the way to others: whoever may sit in the hole moves into it. */
static void unhash(mn_members *members, const mn_member *member)
{
    uint32_t mask = members->n_buckets - 1;
    uint32_t hole = bucket_of(members, member->peer);
    while (&members->list[members->buckets[hole]] != member)
        hole = (hole + 1) & mask;
    for (uint32_t at = (hole + 1) & mask; members->buckets[at] != NOBODY; at = (at + 1) & mask) {
        uint32_t home = bucket_of(members, members->list[members->buckets[at]].peer);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            members->buckets[hole] = members->buckets[at];
            hole = at;
        }
    }
    members->buckets[hole] = NOBODY;
}
