/* What the run's own thread knows of its pool, for the board. */
#include "coordinator/server/server_state.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static_assert(MN_N_REFUSALS == MN_BOARD_REFUSALS, "each has a name on the board");
static_assert(MN_MAX_DEPARTURES == MN_BOARD_DEPARTURES, "all are shown");

static void show_members(const mn_server *server, mn_pool_view *pool);
static void show_departures(const mn_server *server, mn_pool_view *pool);
static mn_phase phase_of(const mn_leader_progress *progress);

void mn_server_show(const mn_server *server)
{
    mn_board *board = mn_scribe_board(server->config.scribe);
    const uint64_t now_us = server->now_us + server->written_us;
    if (!mn_board_due(board, now_us))
        return;
    const mn_leader_progress progress = mn_leader_look(server->leader);
    const mn_rank_counts counts = mn_rank_look(server->rank).counts;
    mn_pool_view pool = {
        .joins = counts.joins,
        .leases_granted = counts.leases_granted,
        .leases_expired = counts.leases_expired,
        .leases_reissued = counts.leases_reissued,
        .accepted = counts.accepted,
        .ends = {counts.left, counts.lost, counts.silent, counts.rejected},
    };
    memcpy(pool.refused, counts.refused, sizeof pool.refused);
    show_members(server, &pool);
    show_departures(server, &pool);
    const bool judging = progress.round.kind == MN_ROUND_TEST;
    mn_board_publish(board, now_us, phase_of(&progress), judging ? progress.done : 0,
                     judging ? progress.round.n_tasks : 0, &pool);
}

/* Without memory for them the table stays empty: the run is no worse. */
static void show_members(const mn_server *server, mn_pool_view *pool)
{
    const uint64_t now_us = server->now_us;
    const uint32_t places = mn_rank_places(server->rank);
    uint32_t left = mn_rank_members(server->rank);
    mn_member_view member;
    pool->workers = calloc(left + 1, sizeof *pool->workers);
    for (uint32_t place = 0; pool->workers != NULL && place < places && left > 0; place++) {
        if (!mn_rank_member(server->rank, place, &member))
            continue;
        mn_worker_view *worker = &pool->workers[pool->n_workers++];
        *worker = (mn_worker_view){
            .peer = member.peer,
            .doing = mn_doing_text(member.doing),
            .threads = member.threads,
            .leases = member.leases,
            .expired = member.expired,
            .damaged = member.damaged,
            .tasks = member.tasks,
            .here_s = 1e-6 * (double)(now_us - member.came_us),
            .silent_s =
                member.peer == MN_LOCAL_POOL ? 0 : 1e-6 * (double)(now_us - member.heard_us),
            .paused_s = member.paused_until_us > now_us
                            ? 1e-6 * (double)(member.paused_until_us - now_us)
                            : 0,
        };
        (void)snprintf(worker->name, sizeof worker->name, "%s", member.name);
        left--;
    }
}

static void show_departures(const mn_server *server, mn_pool_view *pool)
{
    const mn_departure *gone;
    while ((gone = mn_rank_departure(server->rank, pool->n_gone)) != NULL) {
        mn_gone_view *view = &pool->gone[pool->n_gone++];
        view->how = mn_board_ends[gone->kind];
        view->ago_s = 1e-6 * (double)(server->now_us - gone->when_us);
        memcpy(view->name, gone->name, sizeof view->name);
        memcpy(view->why, gone->why, sizeof view->why);
    }
}

static mn_phase phase_of(const mn_leader_progress *progress)
{
    if (progress->round.id == 0 || progress->round.kind == MN_ROUND_TRAIN)
        return MN_PHASE_TRAINING;
    return progress->round.split == MN_VAL ? MN_PHASE_VALIDATION : MN_PHASE_TEST;
}
