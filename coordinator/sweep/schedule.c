#include "coordinator/sweep/schedule.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum state { REFUSED, READY, RUNNING, WAITING, OVER, N_STATES };
enum event { TAKE, PAUSE, PUT_BACK, GO_ON, END, N_EVENTS };

/* The whole life of a run. WAITING: for the decision of a rung. READY takes PAUSE and END of an earlier
 * life. */
static const enum state next_state[N_STATES][N_EVENTS] = {
    [READY] = {[TAKE] = RUNNING, [PAUSE] = WAITING, [END] = OVER},
    [RUNNING] = {[PAUSE] = WAITING, [PUT_BACK] = READY, [END] = OVER},
    [WAITING] = {[GO_ON] = READY, [END] = OVER},
};

struct run {
    enum state state;
    uint32_t leg; /* the next, or the one under way */
    uint32_t tries;
    uint64_t due_us; /* READY: not before */
    bool failed;
    double *scores; /* [n_rungs + 1]; in the schedule's array */
    uint32_t n_scores;
};

struct fate {
    uint32_t passed; /* rungs */
    bool out;        /* at the next one */
    bool stopped;    /* and so one of its runs does not go on */
};

struct mn_schedule {
    uint32_t n_points, n_seeds, n_rungs;
    uint32_t *admitted; /* [n_rungs + 1]; owned */
    struct run *runs;   /* [n_points * n_seeds]; owned */
    double *scores;     /* owned */
    struct fate *fates; /* [n_points]; owned */
    uint32_t n_over;
};

static void decide(mn_schedule *schedule);
static bool decide_rung(mn_schedule *schedule, uint32_t rung);
static void move(mn_schedule *schedule, struct run *run, enum event event);
static double score_at(const mn_schedule *schedule, uint32_t point, uint32_t leg);

mn_status mn_schedule_new(uint32_t n_points, uint32_t n_seeds, uint32_t n_rungs,
                          const uint32_t *admitted, mn_schedule **out, mn_error *err)
{
    const size_t n_runs = (size_t)n_points * n_seeds;
    assert(n_runs > 0 && admitted[0] == n_points);
    mn_schedule *schedule = calloc(1, sizeof *schedule);
    if (schedule == NULL)
        goto no_memory;
    schedule->runs = calloc(n_runs, sizeof *schedule->runs);
    schedule->scores = calloc(n_runs * (n_rungs + 1), sizeof *schedule->scores);
    schedule->admitted = calloc(n_rungs + 1, sizeof *schedule->admitted);
    schedule->fates = calloc(n_points, sizeof *schedule->fates);
    if (schedule->runs == NULL || schedule->scores == NULL || schedule->admitted == NULL ||
        schedule->fates == NULL)
        goto no_memory;
    schedule->n_points = n_points;
    schedule->n_seeds = n_seeds;
    schedule->n_rungs = n_rungs;
    memcpy(schedule->admitted, admitted, (n_rungs + 1) * sizeof *admitted);
    for (size_t i = 0; i < n_runs; i++)
        schedule->runs[i] =
            (struct run){.state = READY, .scores = schedule->scores + i * (n_rungs + 1)};
    *out = schedule;
    return MN_OK;

no_memory:
    mn_schedule_destroy(&schedule);
    return mn_fail(err, MN_ERR_NOMEM, "schedule of %zu runs", n_runs);
}

void mn_schedule_destroy(mn_schedule **schedule)
{
    if (*schedule == NULL)
        return;
    free((*schedule)->runs);
    free((*schedule)->scores);
    free((*schedule)->admitted);
    free((*schedule)->fates);
    free(*schedule);
    *schedule = NULL;
}

bool mn_schedule_next(mn_schedule *schedule, uint64_t now_us, uint32_t *run, uint32_t *leg)
{
    const uint32_t n_runs = schedule->n_points * schedule->n_seeds;
    uint32_t best = n_runs;
    for (uint32_t i = 0; i < n_runs; i++) {
        const struct run *at = &schedule->runs[i];
        if (at->state == READY && at->due_us <= now_us &&
            (best == n_runs || at->leg > schedule->runs[best].leg))
            best = i;
    }
    if (best == n_runs)
        return false;
    move(schedule, &schedule->runs[best], TAKE);
    *run = best;
    *leg = schedule->runs[best].leg;
    return true;
}

void mn_schedule_end(mn_schedule *schedule, uint32_t run, uint32_t leg, mn_leg_ending ending,
                     double score, uint64_t now_us)
{
    struct run *at = &schedule->runs[run];
    if (leg != at->leg || (at->state != RUNNING && at->state != READY))
        return; /* what the journal tells twice */
    if (ending == MN_LEG_CUT && at->state == RUNNING && at->tries + 1 < MN_SCHEDULE_TRIES) {
        at->due_us = now_us + ((uint64_t)MN_SCHEDULE_PAUSE_US << at->tries++);
        move(schedule, at, PUT_BACK);
        return;
    }
    at->failed = ending == MN_LEG_CUT || ending == MN_LEG_FAILED;
    at->tries = 0;
    const bool pauses = ending == MN_LEG_PAUSED && leg < schedule->n_rungs;
    /* what ends early, or fails, counts as it is at all rungs to come */
    for (uint32_t k = leg; k <= schedule->n_rungs && (k == leg || !pauses); k++)
        at->scores[k] = at->failed || isnan(score) ? -INFINITY : score;
    at->n_scores = pauses ? leg + 1 : schedule->n_rungs + 1;
    at->leg = at->n_scores;
    move(schedule, at, pauses ? PAUSE : END);
    decide(schedule);
}

void mn_schedule_put_back(mn_schedule *schedule, uint32_t run)
{
    move(schedule, &schedule->runs[run], PUT_BACK);
}

uint64_t mn_schedule_wake_us(const mn_schedule *schedule)
{
    uint64_t wake_us = UINT64_MAX;
    for (uint32_t i = 0; i < schedule->n_points * schedule->n_seeds; i++)
        if (schedule->runs[i].state == READY && schedule->runs[i].due_us < wake_us)
            wake_us = schedule->runs[i].due_us;
    return wake_us;
}

bool mn_schedule_is_over(const mn_schedule *schedule)
{
    return schedule->n_over == schedule->n_points * schedule->n_seeds;
}

uint32_t mn_schedule_n_done(const mn_schedule *schedule)
{
    return schedule->n_over;
}

mn_point_fate mn_schedule_fate(const mn_schedule *schedule, uint32_t point, uint32_t *rung)
{
    const struct run *runs = &schedule->runs[(size_t)point * schedule->n_seeds];
    bool open = false, failed = false;
    for (uint32_t i = 0; i < schedule->n_seeds; i++) {
        open = open || runs[i].state != OVER;
        failed = failed || runs[i].failed;
    }
    if (open)
        return MN_POINT_OPEN;
    *rung = schedule->fates[point].passed;
    return failed                           ? MN_POINT_FAILED
           : schedule->fates[point].stopped ? MN_POINT_STOPPED
                                            : MN_POINT_DONE;
}

double mn_schedule_score(const mn_schedule *schedule, uint32_t point)
{
    const struct run *runs = &schedule->runs[(size_t)point * schedule->n_seeds];
    uint32_t n = schedule->n_rungs + 1;
    for (uint32_t i = 0; i < schedule->n_seeds; i++)
        if (runs[i].n_scores < n)
            n = runs[i].n_scores;
    const double score = n > 0 ? score_at(schedule, point, n - 1) : NAN;
    return isfinite(score) ? score : NAN;
}

/* A decision may make the next one certain. */
static void decide(mn_schedule *schedule)
{
    for (bool again = true; again;) {
        again = false;
        for (uint32_t rung = 0; rung < schedule->n_rungs; rung++)
            again = decide_rung(schedule, rung) || again;
    }
}

/* Was it admitted to the rung, and have all its runs a score there? */
static bool has_reached(const mn_schedule *schedule, uint32_t point, uint32_t rung)
{
    if (schedule->fates[point].passed < rung)
        return false;
    for (uint32_t i = 0; i < schedule->n_seeds; i++)
        if (schedule->runs[point * schedule->n_seeds + i].n_scores <= rung)
            return false;
    return true;
}

/* A point goes on if fewer than the places are, or may yet be, before it. One whose runs have ended early
 * has a place like any other. */
static bool decide_rung(mn_schedule *schedule, uint32_t rung)
{
    const uint32_t places = schedule->admitted[rung + 1];
    uint32_t unknown = schedule->admitted[rung];
    bool changed = false;
    for (uint32_t point = 0; point < schedule->n_points; point++)
        unknown -= has_reached(schedule, point, rung);
    for (uint32_t point = 0; point < schedule->n_points; point++) {
        struct run *runs = &schedule->runs[(size_t)point * schedule->n_seeds];
        struct fate *fate = &schedule->fates[point];
        uint32_t before = 0;
        if (fate->passed != rung || fate->out || !has_reached(schedule, point, rung))
            continue;
        const double own = score_at(schedule, point, rung);
        for (uint32_t other = 0; other < schedule->n_points; other++) {
            if (other == point || !has_reached(schedule, other, rung))
                continue;
            const double theirs = score_at(schedule, other, rung);
            before += theirs > own || (theirs == own && other < point);
        }
        const bool in = before + unknown < places;
        if (!in && before < places)
            continue;
        fate->passed += in;
        fate->out = !in;
        for (uint32_t i = 0; i < schedule->n_seeds; i++) {
            if (runs[i].state != WAITING)
                continue;
            fate->stopped = fate->stopped || !in;
            move(schedule, &runs[i], in ? GO_ON : END);
        }
        changed = true;
    }
    return changed;
}

static void move(mn_schedule *schedule, struct run *run, enum event event)
{
    const enum state next = next_state[run->state][event];
    assert(next != REFUSED);
    schedule->n_over += next == OVER;
    run->state = next;
}

static double score_at(const mn_schedule *schedule, uint32_t point, uint32_t leg)
{
    double sum = 0;
    for (uint32_t i = 0; i < schedule->n_seeds; i++)
        sum += schedule->runs[point * schedule->n_seeds + i].scores[leg];
    return sum / schedule->n_seeds;
}
