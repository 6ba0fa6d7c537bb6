#include "coordinator/sweep/ladder.h"

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
    double *scores; /* [n_rungs + 1]; in the ladder's array */
    uint32_t n_scores;
};

struct fate {
    uint32_t passed; /* rungs */
    bool out;        /* at the next one */
    bool stopped;    /* and so one of its runs does not go on */
};

struct mn_ladder {
    uint32_t n_points, n_seeds, n_rungs;
    uint32_t *admitted; /* [n_rungs + 1]; owned */
    struct run *runs;   /* [n_points * n_seeds]; owned */
    double *scores;     /* owned */
    struct fate *fates; /* [n_points]; owned */
    uint32_t n_over;
};

static void decide(mn_ladder *ladder);
static bool decide_rung(mn_ladder *ladder, uint32_t rung);
static void move(mn_ladder *ladder, struct run *run, enum event event);
static double score_at(const mn_ladder *ladder, uint32_t point, uint32_t leg);

mn_status mn_ladder_new(uint32_t n_points, uint32_t n_seeds, uint32_t n_rungs,
                        const uint32_t *admitted, mn_ladder **out, mn_error *err)
{
    const size_t n_runs = (size_t)n_points * n_seeds;
    assert(n_runs > 0 && admitted[0] == n_points);
    mn_ladder *ladder = calloc(1, sizeof *ladder);
    if (ladder == NULL)
        goto no_memory;
    ladder->runs = calloc(n_runs, sizeof *ladder->runs);
    ladder->scores = calloc(n_runs * (n_rungs + 1), sizeof *ladder->scores);
    ladder->admitted = calloc(n_rungs + 1, sizeof *ladder->admitted);
    ladder->fates = calloc(n_points, sizeof *ladder->fates);
    if (ladder->runs == NULL || ladder->scores == NULL || ladder->admitted == NULL ||
        ladder->fates == NULL)
        goto no_memory;
    ladder->n_points = n_points;
    ladder->n_seeds = n_seeds;
    ladder->n_rungs = n_rungs;
    memcpy(ladder->admitted, admitted, (n_rungs + 1) * sizeof *admitted);
    for (size_t i = 0; i < n_runs; i++)
        ladder->runs[i] =
            (struct run){.state = READY, .scores = ladder->scores + i * (n_rungs + 1)};
    *out = ladder;
    return MN_OK;

no_memory:
    mn_ladder_destroy(&ladder);
    return mn_fail(err, MN_ERR_NOMEM, "ladder of %zu runs", n_runs);
}

void mn_ladder_destroy(mn_ladder **ladder)
{
    if (*ladder == NULL)
        return;
    free((*ladder)->runs);
    free((*ladder)->scores);
    free((*ladder)->admitted);
    free((*ladder)->fates);
    free(*ladder);
    *ladder = NULL;
}

bool mn_ladder_next(mn_ladder *ladder, uint64_t now_us, uint32_t *run, uint32_t *leg)
{
    const uint32_t n_runs = ladder->n_points * ladder->n_seeds;
    uint32_t best = n_runs;
    for (uint32_t i = 0; i < n_runs; i++) {
        const struct run *at = &ladder->runs[i];
        if (at->state == READY && at->due_us <= now_us &&
            (best == n_runs || at->leg > ladder->runs[best].leg))
            best = i;
    }
    if (best == n_runs)
        return false;
    move(ladder, &ladder->runs[best], TAKE);
    *run = best;
    *leg = ladder->runs[best].leg;
    return true;
}

void mn_ladder_end(mn_ladder *ladder, uint32_t run, uint32_t leg, mn_leg_ending ending,
                   double score, uint64_t now_us)
{
    struct run *at = &ladder->runs[run];
    if (leg != at->leg || (at->state != RUNNING && at->state != READY))
        return; /* what the journal tells twice */
    if (ending == MN_LEG_CUT && at->state == RUNNING && at->tries + 1 < MN_LADDER_TRIES) {
        at->due_us = now_us + ((uint64_t)MN_LADDER_PAUSE_US << at->tries++);
        move(ladder, at, PUT_BACK);
        return;
    }
    at->failed = ending == MN_LEG_CUT || ending == MN_LEG_FAILED;
    at->tries = 0;
    const bool pauses = ending == MN_LEG_PAUSED && leg < ladder->n_rungs;
    /* what ends early, or fails, counts as it is at all rungs to come */
    for (uint32_t k = leg; k <= ladder->n_rungs && (k == leg || !pauses); k++)
        at->scores[k] = at->failed || isnan(score) ? -INFINITY : score;
    at->n_scores = pauses ? leg + 1 : ladder->n_rungs + 1;
    at->leg = at->n_scores;
    move(ladder, at, pauses ? PAUSE : END);
    decide(ladder);
}

void mn_ladder_put_back(mn_ladder *ladder, uint32_t run)
{
    move(ladder, &ladder->runs[run], PUT_BACK);
}

uint64_t mn_ladder_wake_us(const mn_ladder *ladder)
{
    uint64_t wake_us = UINT64_MAX;
    for (uint32_t i = 0; i < ladder->n_points * ladder->n_seeds; i++)
        if (ladder->runs[i].state == READY && ladder->runs[i].due_us < wake_us)
            wake_us = ladder->runs[i].due_us;
    return wake_us;
}

bool mn_ladder_has_more(const mn_ladder *ladder)
{
    for (uint32_t i = 0; i < ladder->n_points * ladder->n_seeds; i++)
        if (ladder->runs[i].state == READY || ladder->runs[i].state == WAITING ||
            (ladder->runs[i].state == RUNNING && ladder->runs[i].leg < ladder->n_rungs))
            return true;
    return false;
}

bool mn_ladder_is_over(const mn_ladder *ladder)
{
    return ladder->n_over == ladder->n_points * ladder->n_seeds;
}

uint32_t mn_ladder_n_done(const mn_ladder *ladder)
{
    return ladder->n_over;
}

mn_point_fate mn_ladder_fate(const mn_ladder *ladder, uint32_t point, uint32_t *rung)
{
    const struct run *runs = &ladder->runs[(size_t)point * ladder->n_seeds];
    bool open = false, failed = false;
    for (uint32_t i = 0; i < ladder->n_seeds; i++) {
        open = open || runs[i].state != OVER;
        failed = failed || runs[i].failed;
    }
    if (open)
        return MN_POINT_OPEN;
    *rung = ladder->fates[point].passed;
    return failed                         ? MN_POINT_FAILED
           : ladder->fates[point].stopped ? MN_POINT_STOPPED
                                          : MN_POINT_DONE;
}

double mn_ladder_score(const mn_ladder *ladder, uint32_t point)
{
    const struct run *runs = &ladder->runs[(size_t)point * ladder->n_seeds];
    uint32_t n = ladder->n_rungs + 1;
    for (uint32_t i = 0; i < ladder->n_seeds; i++)
        if (runs[i].n_scores < n)
            n = runs[i].n_scores;
    const double score = n > 0 ? score_at(ladder, point, n - 1) : NAN;
    return isfinite(score) ? score : NAN;
}

/* A decision may make the next one certain. */
static void decide(mn_ladder *ladder)
{
    for (bool again = true; again;) {
        again = false;
        for (uint32_t rung = 0; rung < ladder->n_rungs; rung++)
            again = decide_rung(ladder, rung) || again;
    }
}

/* Was it admitted to the rung, and have all its runs a score there? */
static bool has_reached(const mn_ladder *ladder, uint32_t point, uint32_t rung)
{
    if (ladder->fates[point].passed < rung)
        return false;
    for (uint32_t i = 0; i < ladder->n_seeds; i++)
        if (ladder->runs[point * ladder->n_seeds + i].n_scores <= rung)
            return false;
    return true;
}

/* A point goes on if fewer than the places are, or may yet be, before it. One whose runs have ended early
 * has a place like any other. */
static bool decide_rung(mn_ladder *ladder, uint32_t rung)
{
    const uint32_t places = ladder->admitted[rung + 1];
    uint32_t unknown = ladder->admitted[rung];
    bool changed = false;
    for (uint32_t point = 0; point < ladder->n_points; point++)
        unknown -= has_reached(ladder, point, rung);
    for (uint32_t point = 0; point < ladder->n_points; point++) {
        struct run *runs = &ladder->runs[(size_t)point * ladder->n_seeds];
        struct fate *fate = &ladder->fates[point];
        uint32_t before = 0;
        if (fate->passed != rung || fate->out || !has_reached(ladder, point, rung))
            continue;
        const double own = score_at(ladder, point, rung);
        for (uint32_t other = 0; other < ladder->n_points; other++) {
            if (other == point || !has_reached(ladder, other, rung))
                continue;
            const double theirs = score_at(ladder, other, rung);
            before += theirs > own || (theirs == own && other < point);
        }
        const bool in = before + unknown < places;
        if (!in && before < places)
            continue;
        fate->passed += in;
        fate->out = !in;
        for (uint32_t i = 0; i < ladder->n_seeds; i++) {
            if (runs[i].state != WAITING)
                continue;
            fate->stopped = fate->stopped || !in;
            move(ladder, &runs[i], in ? GO_ON : END);
        }
        changed = true;
    }
    return changed;
}

static void move(mn_ladder *ladder, struct run *run, enum event event)
{
    const enum state next = next_state[run->state][event];
    assert(next != REFUSED);
    ladder->n_over += next == OVER;
    run->state = next;
}

static double score_at(const mn_ladder *ladder, uint32_t point, uint32_t leg)
{
    double sum = 0;
    for (uint32_t i = 0; i < ladder->n_seeds; i++)
        sum += ladder->runs[point * ladder->n_seeds + i].scores[leg];
    return sum / ladder->n_seeds;
}
