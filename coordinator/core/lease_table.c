#include "coordinator/core/lease_table.h"

#include "coordinator/core/deadlines.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Where a task stands, in one number: the slot of the live lease that holds it, or one of these.
 *   ABSENT --add--> FREE --grant--> slot --settle--> DONE      FREE --settle (late result)--> DONE
 *   FREE --take_back--> ABSENT        slot --release, give_up, expire--> FREE
 * DONE is for good: that is why no task is counted twice. */
#define ABSENT UINT32_MAX
#define FREE (UINT32_MAX - 1)
#define DONE (UINT32_MAX - 2)
#define NONE UINT32_MAX

#define MAX_DOUBLINGS 10u

/* A lease: live, kept or lapsed. It lives in slot epoch % n_slots; an epoch whose slot is taken is
 * skipped. At least half of the slots are empty, so on average less than one is. */
struct slot {
    mn_grant grant;        /* epoch 0: empty */
    uint32_t left;         /* tasks it holds; a lapsed lease holds none */
    uint32_t newer, older; /* of the same member; NONE at the ends */
};

struct member {
    uint32_t newest, oldest;
    mn_hand hand;
};

/* Tasks that came free together. Some may have been settled by a late result since, which a grant
 * steps over. A task is in one run at most, so there are never more runs than tasks. */
struct run {
    uint32_t begin, n;
    uint32_t attempt;
};

struct mn_lease_table {
    uint32_t max_members, credit;
    uint32_t max_lapsed;    /* of a member: all that it can have in hand at once */
    struct member *members; /* [max_members]; owned */
    uint32_t n_slots;       /* a power of two */
    uint32_t n_known;       /* slots in use */
    struct slot *slots;     /* [n_slots]; owned */
    mn_deadlines deadlines; /* of the live leases, by slot; owned */
    uint64_t next_epoch;

    uint32_t n_tasks, capacity;
    uint32_t *tasks; /* [capacity]; owned */
    uint32_t n_runs;
    struct run *runs; /* [capacity] a stack; owned */
    mn_task_counts counts;
};

static struct slot *slot_of(const mn_lease_table *table, uint64_t epoch);
static struct slot *find(const mn_lease_table *table, uint64_t epoch);
static bool in_round(const mn_lease_table *table, uint32_t begin, uint32_t n);
static struct run *top_run(mn_lease_table *table, uint32_t max_n, uint32_t *n);
static void shorten_top_run(mn_lease_table *table, uint32_t n);
static uint64_t deadline(uint64_t now_us, uint64_t floor_us, uint64_t task_us, uint64_t n_tasks,
                         uint32_t attempt);
static mn_status check_held(const mn_lease_table *table, uint32_t member, uint32_t begin,
                            uint32_t n, mn_error *err);
static mn_status check_open(const mn_lease_table *table, uint64_t epoch, mn_error *err);
static mn_status check_apart(const mn_grant *a, const mn_grant *b, mn_error *err);
static void take_from_holder(mn_lease_table *table, uint32_t task);
static void finish_tasks(mn_lease_table *table, const struct slot *slot);
static void take_range(mn_lease_table *table, uint32_t begin, uint32_t n, uint32_t becomes);
static void free_tasks(mn_lease_table *table, struct slot *slot, uint32_t attempt);
static void lapse(mn_lease_table *table, struct slot *slot);
static void lapse_kept(mn_lease_table *table, const struct member *owner);
static void forget(mn_lease_table *table, struct slot *slot);

mn_status mn_lease_table_new(uint32_t max_members, uint32_t credit, mn_lease_table **out,
                             mn_error *err)
{
    if (max_members == 0 || max_members > MN_LEASE_TABLE_MAX_MEMBERS || credit == 0 ||
        credit > MN_LEASE_TABLE_MAX_CREDIT)
        return mn_fail(err, MN_ERR_RANGE,
                       "lease table for %" PRIu32 " members of credit %" PRIu32
                       ": expected 1 to %u members and a credit of 1 to %u",
                       max_members, credit, MN_LEASE_TABLE_MAX_MEMBERS, MN_LEASE_TABLE_MAX_CREDIT);
    uint32_t n_slots = 1, max_lapsed = credit + MN_KEPT_PER_MEMBER;
    while (n_slots < 2 * max_members * (credit + MN_KEPT_PER_MEMBER + max_lapsed + 1))
        n_slots *= 2;

    mn_lease_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        goto no_memory;
    table->members = calloc(max_members, sizeof *table->members);
    table->slots = calloc(n_slots, sizeof *table->slots);
    if (table->members == NULL || table->slots == NULL ||
        mn_deadlines_init(&table->deadlines, n_slots, NULL) != MN_OK)
        goto no_memory;

    table->max_members = max_members;
    table->credit = credit;
    table->max_lapsed = max_lapsed;
    table->n_slots = n_slots;
    table->next_epoch = 1;
    for (uint32_t i = 0; i < max_members; i++)
        table->members[i].newest = table->members[i].oldest = NONE;
    *out = table;
    return MN_OK;

no_memory:
    mn_lease_table_destroy(&table);
    return mn_fail(err, MN_ERR_NOMEM, "lease table for %" PRIu32 " members", max_members);
}

void mn_lease_table_destroy(mn_lease_table **table)
{
    if (*table == NULL)
        return;
    free((*table)->members);
    free((*table)->slots);
    mn_deadlines_fini(&(*table)->deadlines);
    free((*table)->tasks);
    free((*table)->runs);
    free(*table);
    *table = NULL;
}

mn_status mn_lease_table_reset(mn_lease_table *table, uint32_t n_tasks, mn_error *err)
{
    if (n_tasks > MN_LEASE_TABLE_MAX_TASKS)
        return mn_fail(err, MN_ERR_RANGE, "a round of %" PRIu32 " tasks: expected at most %u",
                       n_tasks, MN_LEASE_TABLE_MAX_TASKS);
    if (n_tasks > table->capacity) {
        uint32_t *tasks = malloc(n_tasks * sizeof *tasks);
        struct run *runs = malloc(n_tasks * sizeof *runs);
        if (tasks == NULL || runs == NULL) {
            free(tasks);
            free(runs);
            return mn_fail(err, MN_ERR_NOMEM, "lease table for a round of %" PRIu32 " tasks",
                           n_tasks);
        }
        free(table->tasks);
        free(table->runs);
        table->tasks = tasks;
        table->runs = runs;
        table->capacity = n_tasks;
    }

    for (uint32_t i = 0; i < table->max_members && table->n_known > 0; i++)
        while (table->members[i].newest != NONE)
            forget(table, &table->slots[table->members[i].newest]);
    table->n_tasks = n_tasks;
    for (uint32_t i = 0; i < n_tasks; i++)
        table->tasks[i] = ABSENT;
    table->n_runs = 0;
    table->counts = (mn_task_counts){0};
    return MN_OK;
}

mn_status mn_lease_table_add(mn_lease_table *table, uint32_t begin, uint32_t n, mn_error *err)
{
    if (!in_round(table, begin, n))
        return mn_fail(err, MN_ERR_RANGE,
                       "tasks %" PRIu32 " and the next, %" PRIu32 " in all, of a round of %" PRIu32,
                       begin, n, table->n_tasks);
    for (uint32_t i = begin; i < begin + n; i++)
        if (table->tasks[i] != ABSENT)
            return mn_fail(err, MN_ERR_STATE, "task %" PRIu32 " was added before", i);

    for (uint32_t i = begin; i < begin + n; i++)
        table->tasks[i] = FREE;
    table->runs[table->n_runs++] = (struct run){.begin = begin, .n = n};
    table->counts.total += n;
    table->counts.free += n;
    return MN_OK;
}

mn_status mn_lease_table_grant(mn_lease_table *table, uint32_t member, uint32_t max_n,
                               uint64_t now_us, uint64_t floor_us, uint64_t task_us, mn_grant *out,
                               mn_error *err)
{
    assert(member < table->max_members && max_n > 0);
    struct member *owner = &table->members[member];
    if (owner->hand.leases >= table->credit)
        return mn_fail(err, MN_ERR_STATE,
                       "member %" PRIu32 " has %" PRIu32 " leases in hand already", member,
                       owner->hand.leases);
    if (table->counts.free == 0)
        return mn_fail(err, MN_ERR_STATE, "no free task for member %" PRIu32, member);
    while (table->slots[table->next_epoch & (table->n_slots - 1)].grant.epoch != 0)
        table->next_epoch++;
    uint32_t n;
    const struct run *run = top_run(table, max_n, &n);

    uint64_t epoch = table->next_epoch++;
    struct slot *slot = slot_of(table, epoch);
    uint32_t at = (uint32_t)(slot - table->slots);
    *slot = (struct slot){
        .grant = {.epoch = epoch,
                  .begin = run->begin,
                  .n = n,
                  .member = member,
                  .attempt = run->attempt,
                  .granted_us = now_us,
                  .deadline_us = deadline(now_us, floor_us, task_us,
                                          (uint64_t)owner->hand.tasks + n, run->attempt)},
        .left = n,
        .newer = NONE,
        .older = owner->newest};
    for (uint32_t i = run->begin; i < run->begin + n; i++)
        table->tasks[i] = at;
    shorten_top_run(table, n);
    table->counts.free -= n;
    table->counts.held += n;

    if (owner->newest == NONE)
        owner->oldest = at;
    else
        table->slots[owner->newest].newer = at;
    owner->newest = at;
    table->n_known++;
    owner->hand.leases++;
    owner->hand.tasks += n;
    if (slot->grant.deadline_us != MN_NEVER)
        mn_deadlines_add(&table->deadlines, at, slot->grant.deadline_us);
    *out = slot->grant;
    return MN_OK;
}

bool mn_lease_table_find(const mn_lease_table *table, uint64_t epoch, mn_grant *out)
{
    const struct slot *slot = find(table, epoch);
    if (slot == NULL)
        return false;
    *out = slot->grant;
    return true;
}

bool mn_lease_table_keep(mn_lease_table *table, uint64_t epoch)
{
    struct slot *slot = find(table, epoch);
    if (slot == NULL || slot->grant.kept || slot->grant.lapsed)
        return false;
    mn_hand *hand = &table->members[slot->grant.member].hand;
    if (hand->leases < 2 || hand->kept == MN_KEPT_PER_MEMBER)
        return false;
    mn_deadlines_remove(&table->deadlines, (uint32_t)(slot - table->slots));
    slot->grant.kept = true;
    hand->leases--;
    hand->tasks -= slot->left;
    hand->kept++;
    return true;
}

mn_status mn_lease_table_settle(mn_lease_table *table, const uint64_t *epochs, size_t n,
                                mn_error *err)
{
    mn_status status = MN_OK;
    for (size_t i = 0; i < n && status == MN_OK; i++)
        status = check_open(table, epochs[i], err);
    for (size_t i = 0; i < n && status == MN_OK; i++)
        for (size_t j = 0; j < i && status == MN_OK; j++)
            status =
                check_apart(&find(table, epochs[i])->grant, &find(table, epochs[j])->grant, err);

    struct member *owner = NULL;
    for (size_t i = 0; i < n; i++) {
        struct slot *slot = find(table, epochs[i]);
        if (slot == NULL)
            continue;
        owner = &table->members[slot->grant.member];
        if (status == MN_OK)
            finish_tasks(table, slot);
        else
            free_tasks(table, slot, slot->grant.attempt);
        forget(table, slot);
    }
    if (owner != NULL && (status != MN_OK || owner->hand.leases == 0))
        lapse_kept(table, owner);
    return status;
}

mn_status mn_lease_table_settle_range(mn_lease_table *table, uint32_t member, uint32_t begin,
                                      uint32_t n, mn_error *err)
{
    mn_status status = check_held(table, member, begin, n, err);
    if (status != MN_OK)
        return status;
    take_range(table, begin, n, DONE);
    table->counts.done += n;
    return MN_OK;
}

mn_status mn_lease_table_release_range(mn_lease_table *table, uint32_t member, uint32_t begin,
                                       uint32_t n, mn_error *err)
{
    mn_status status = check_held(table, member, begin, n, err);
    if (status != MN_OK)
        return status;
    take_range(table, begin, n, FREE);
    table->runs[table->n_runs++] = (struct run){.begin = begin, .n = n};
    table->counts.free += n;
    return MN_OK;
}

void mn_lease_table_release(mn_lease_table *table, uint64_t epoch)
{
    struct slot *slot = find(table, epoch);
    if (slot == NULL)
        return;
    struct member *owner = &table->members[slot->grant.member];
    free_tasks(table, slot, slot->grant.attempt);
    forget(table, slot);
    lapse_kept(table, owner);
}

void mn_lease_table_release_member(mn_lease_table *table, uint32_t member)
{
    assert(member < table->max_members);
    while (table->members[member].newest != NONE) {
        struct slot *slot = &table->slots[table->members[member].newest];
        free_tasks(table, slot, slot->grant.attempt);
        forget(table, slot);
    }
}

void mn_lease_table_give_up(mn_lease_table *table, uint32_t member)
{
    assert(member < table->max_members);
    struct member *owner = &table->members[member];
    for (uint32_t at = owner->oldest, newer; at != NONE; at = newer) {
        newer = table->slots[at].newer;
        if (!table->slots[at].grant.lapsed)
            lapse(table, &table->slots[at]);
    }
}

size_t mn_lease_table_expire(mn_lease_table *table, uint64_t now_us, mn_grant *out, size_t max)
{
    size_t n = 0;
    for (const mn_deadline *first; n < max &&
                                   (first = mn_deadlines_first(&table->deadlines)) != NULL &&
                                   first->due_us <= now_us;) {
        struct slot *slot = &table->slots[first->id];
        out[n++] = slot->grant;
        out[n - 1].lapsed = true;
        lapse(table, slot);
        lapse_kept(table, &table->members[out[n - 1].member]);
    }
    return n;
}

bool mn_lease_table_overdue(const mn_lease_table *table, uint64_t now_us, mn_grant *out)
{
    const mn_deadline *first = mn_deadlines_first(&table->deadlines);
    if (first == NULL || first->due_us > now_us)
        return false;
    *out = table->slots[first->id].grant;
    return true;
}

void mn_lease_table_extend(mn_lease_table *table, uint64_t epoch, uint64_t deadline_us)
{
    struct slot *slot = find(table, epoch);
    if (slot == NULL || slot->grant.kept || slot->grant.lapsed)
        return;
    uint32_t at = (uint32_t)(slot - table->slots);
    slot->grant.deadline_us = deadline_us;
    mn_deadlines_remove(&table->deadlines, at);
    mn_deadlines_add(&table->deadlines, at, deadline_us);
}

uint64_t mn_lease_table_next_deadline(const mn_lease_table *table)
{
    const mn_deadline *first = mn_deadlines_first(&table->deadlines);
    return first != NULL ? first->due_us : MN_NEVER;
}

bool mn_lease_table_take_back(mn_lease_table *table, uint32_t max_n, uint32_t *begin, uint32_t *n)
{
    assert(max_n > 0);
    if (table->counts.free == 0)
        return false;
    *begin = top_run(table, max_n, n)->begin;
    for (uint32_t i = *begin; i < *begin + *n; i++)
        table->tasks[i] = ABSENT;
    shorten_top_run(table, *n);
    table->counts.free -= *n;
    table->counts.total -= *n;
    return true;
}

mn_task_counts mn_lease_table_counts(const mn_lease_table *table)
{
    return table->counts;
}

mn_hand mn_lease_table_hand(const mn_lease_table *table, uint32_t member)
{
    assert(member < table->max_members);
    return table->members[member].hand;
}

uint32_t mn_lease_table_known(const mn_lease_table *table)
{
    return table->n_known;
}

mn_load mn_lease_table_load(const mn_lease_table *table, uint32_t member)
{
    assert(member < table->max_members);
    mn_load load = {.begin = UINT32_MAX, .granted_us = MN_NEVER};
    for (uint32_t at = table->members[member].oldest; at != NONE; at = table->slots[at].newer) {
        const mn_grant *grant = &table->slots[at].grant;
        if (grant->begin < load.begin)
            load.begin = grant->begin;
        if (grant->kept) {
            load.kept += grant->n;
            continue;
        }
        load.tasks += grant->n;
        if (grant->granted_us < load.granted_us)
            load.granted_us = grant->granted_us;
    }
    return load;
}

uint32_t mn_lease_size(uint32_t remaining, uint32_t threads, uint32_t total_threads)
{
    assert(remaining > 0);
    uint64_t mine = threads > 0 ? threads : 1;
    uint64_t all = total_threads > mine ? total_threads : mine;
    uint64_t half = remaining * mine / (2 * all);
    uint64_t waves = half / mine > 0 ? half / mine : 1;
    return waves * mine < remaining ? (uint32_t)(waves * mine) : remaining;
}

static struct slot *slot_of(const mn_lease_table *table, uint64_t epoch)
{
    return &table->slots[epoch & (table->n_slots - 1)];
}

/* NULL: no lease of this epoch, which may be any number. */
static struct slot *find(const mn_lease_table *table, uint64_t epoch)
{
    struct slot *slot = slot_of(table, epoch);
    return epoch != 0 && slot->grant.epoch == epoch ? slot : NULL;
}

static bool in_round(const mn_lease_table *table, uint32_t begin, uint32_t n)
{
    return n > 0 && begin < table->n_tasks && n <= table->n_tasks - begin;
}

/* The newest run, with what late results have settled dropped from its front; *n: how many of its
 * tasks, up to max_n, are free in one piece. There is a free task. */
static struct run *top_run(mn_lease_table *table, uint32_t max_n, uint32_t *n)
{
    for (;;) {
        assert(table->n_runs > 0);
        struct run *run = &table->runs[table->n_runs - 1];
        while (run->n > 0 && table->tasks[run->begin] != FREE) {
            run->begin++;
            run->n--;
        }
        for (*n = 0; *n < run->n && *n < max_n && table->tasks[run->begin + *n] == FREE;)
            ++*n;
        if (*n > 0)
            return run;
        table->n_runs--;
    }
}

static void shorten_top_run(mn_lease_table *table, uint32_t n)
{
    struct run *run = &table->runs[table->n_runs - 1];
    run->begin += n;
    run->n -= n;
    if (run->n == 0)
        table->n_runs--;
}

/* now_us + max(floor_us, task_us * n_tasks) * 2^attempt, MN_NEVER where that is too much. */
static uint64_t deadline(uint64_t now_us, uint64_t floor_us, uint64_t task_us, uint64_t n_tasks,
                         uint32_t attempt)
{
    uint64_t ttl_us, at_us;
    if (__builtin_mul_overflow(task_us, n_tasks, &ttl_us) || floor_us == MN_NEVER)
        return MN_NEVER;
    if (ttl_us < floor_us)
        ttl_us = floor_us;
    uint64_t times = UINT64_C(1) << (attempt < MAX_DOUBLINGS ? attempt : MAX_DOUBLINGS);
    if (__builtin_mul_overflow(ttl_us, times, &ttl_us) ||
        __builtin_add_overflow(now_us, ttl_us, &at_us))
        return MN_NEVER;
    return at_us;
}

static mn_status check_held(const mn_lease_table *table, uint32_t member, uint32_t begin,
                            uint32_t n, mn_error *err)
{
    if (!in_round(table, begin, n))
        return mn_fail(err, MN_ERR_STALE,
                       "tasks %" PRIu32 " and the next, %" PRIu32 " in all, of a round of %" PRIu32,
                       begin, n, table->n_tasks);
    for (uint32_t i = begin; i < begin + n; i++) {
        uint32_t task = table->tasks[i];
        if (task >= table->n_slots || table->slots[task].grant.member != member)
            return mn_fail(err, MN_ERR_STALE, "task %" PRIu32 " is not held by member %" PRIu32, i,
                           member);
    }
    return MN_OK;
}

/* MN_OK: a result of this lease counts. */
static mn_status check_open(const mn_lease_table *table, uint64_t epoch, mn_error *err)
{
    const struct slot *slot = find(table, epoch);
    if (slot == NULL)
        return mn_fail(err, MN_ERR_STALE, "no lease of epoch %" PRIu64, epoch);
    uint32_t begin = slot->grant.begin, end = begin + slot->grant.n;
    for (uint32_t i = begin; i < end; i++)
        if (table->tasks[i] == DONE || table->tasks[i] == ABSENT)
            return mn_fail(err, MN_ERR_STALE,
                           "task %" PRIu32 " of the lease of epoch %" PRIu64 " was done by another",
                           i, epoch);
    return MN_OK;
}

/* A lease that ran out may have come to the same member again: its sum then has the tasks twice. */
static mn_status check_apart(const mn_grant *a, const mn_grant *b, mn_error *err)
{
    if (a->begin + a->n <= b->begin || b->begin + b->n <= a->begin)
        return MN_OK;
    return mn_fail(err, MN_ERR_STALE,
                   "the leases of epochs %" PRIu64 " and %" PRIu64 " have tasks in common",
                   a->epoch, b->epoch);
}

static void take_from_holder(mn_lease_table *table, uint32_t task)
{
    struct slot *holder = &table->slots[table->tasks[task]];
    holder->left--;
    if (!holder->grant.kept)
        table->members[holder->grant.member].hand.tasks--;
    table->counts.held--;
}

/* All tasks of a lease are DONE, whoever holds them. */
static void finish_tasks(mn_lease_table *table, const struct slot *slot)
{
    uint32_t begin = slot->grant.begin, end = begin + slot->grant.n;
    for (uint32_t i = begin; i < end; i++) {
        if (table->tasks[i] == FREE)
            table->counts.free--;
        else
            take_from_holder(table, i);
        table->tasks[i] = DONE;
    }
    table->counts.done += end - begin;
}

/* Tasks that are all held become DONE or FREE; leases that hold none any more are forgotten. */
static void take_range(mn_lease_table *table, uint32_t begin, uint32_t n, uint32_t becomes)
{
    for (uint32_t i = begin; i < begin + n; i++) {
        struct slot *slot = &table->slots[table->tasks[i]];
        take_from_holder(table, i);
        table->tasks[i] = becomes;
        if (slot->left == 0)
            forget(table, slot);
    }
}

/* Free all that the lease still holds: a run for each unbroken piece. */
static void free_tasks(mn_lease_table *table, struct slot *slot, uint32_t attempt)
{
    uint32_t at = (uint32_t)(slot - table->slots);
    uint32_t i = slot->grant.begin, end = i + slot->grant.n;
    while (slot->left > 0 && i < end) {
        uint32_t begin = i;
        while (i < end && table->tasks[i] == at) {
            take_from_holder(table, i);
            table->tasks[i++] = FREE;
        }
        if (i > begin) {
            table->runs[table->n_runs++] =
                (struct run){.begin = begin, .n = i - begin, .attempt = attempt};
            table->counts.free += i - begin;
        } else {
            i++;
        }
    }
}

static void lapse(mn_lease_table *table, struct slot *slot)
{
    struct member *owner = &table->members[slot->grant.member];
    free_tasks(table, slot, slot->grant.attempt + 1);
    mn_deadlines_remove(&table->deadlines, (uint32_t)(slot - table->slots));
    if (slot->grant.kept)
        owner->hand.kept--;
    else
        owner->hand.leases--;
    slot->grant.kept = false;
    slot->grant.lapsed = true;
    if (++owner->hand.lapsed > table->max_lapsed) {
        uint32_t oldest = owner->oldest;
        while (!table->slots[oldest].grant.lapsed)
            oldest = table->slots[oldest].newer;
        forget(table, &table->slots[oldest]);
    }
}

/* What a member keeps may be lost, or wait for a result that does not come. */
static void lapse_kept(mn_lease_table *table, const struct member *owner)
{
    for (uint32_t at = owner->oldest, newer; at != NONE && owner->hand.kept > 0; at = newer) {
        newer = table->slots[at].newer; /* lapsing forgets at most this one or an older one */
        if (table->slots[at].grant.kept)
            lapse(table, &table->slots[at]);
    }
}

/* Empty the slot. What it held must have been settled or freed, unless the whole round is being
 * forgotten. */
static void forget(mn_lease_table *table, struct slot *slot)
{
    struct member *owner = &table->members[slot->grant.member];
    mn_deadlines_remove(&table->deadlines, (uint32_t)(slot - table->slots));
    if (slot->grant.kept) {
        owner->hand.kept--;
    } else if (slot->grant.lapsed) {
        owner->hand.lapsed--;
    } else {
        owner->hand.leases--;
        owner->hand.tasks -= slot->left;
    }
    *(slot->newer == NONE ? &owner->newest : &table->slots[slot->newer].older) = slot->older;
    *(slot->older == NONE ? &owner->oldest : &table->slots[slot->older].newer) = slot->newer;
    slot->grant.epoch = 0;
    table->n_known--;
}
