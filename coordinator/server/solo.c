#include "coordinator/server/solo.h"

#include <poll.h>
#include <stdlib.h>

mn_status mn_solo_begin(mn_session *session, uint32_t threads, mn_solo *out, mn_error *err)
{
    *out = (mn_solo){.session = session};
    out->sums = calloc(mn_training_max_digits(session->training), sizeof *out->sums);
    mn_status status =
        out->sums == NULL ? mn_fail(err, MN_ERR_NOMEM, "sums")
                          : mn_pool_new(session->learner, session->tasks, threads, &out->pool, err);
    if (status == MN_OK)
        mn_training_use(session->training, out->sums, true);
    else
        mn_solo_end(out);
    return status;
}

void mn_solo_end(mn_solo *solo)
{
    mn_pool_destroy(&solo->pool);
    free(solo->sums);
    solo->sums = NULL;
}

mn_status mn_solo_step(mn_solo *solo, mn_profile *profile, mn_step_record *record, mn_error *err)
{
    mn_training *training = solo->session->training;
    const uint64_t step = mn_training_step(training);
    const uint32_t batch = solo->session->experiment.outer.batch;
    const mn_lease lease = {.epoch = ++solo->n_leases,
                            .round = {.id = solo->n_leases,
                                      .kind = MN_ROUND_TRAIN,
                                      .split = MN_TRAIN,
                                      .step = step,
                                      .first_task = step * batch,
                                      .n_tasks = batch},
                            .n = batch};
    mn_pool_result result;
    struct pollfd ready = {.fd = mn_pool_fd(solo->pool), .events = POLLIN};
    mn_status status = mn_pool_set_theta(solo->pool, step, mn_training_theta(training, step), err);
    if (status == MN_OK)
        status = mn_pool_submit(solo->pool, &lease, err);
    if (status != MN_OK)
        return status;
    mn_profile_lap(profile, MN_PART_HAND);
    mn_training_open(training, &lease.round);
    while (!mn_pool_take(solo->pool, &result))
        if (!mn_pool_help(solo->pool))
            (void)poll(&ready, 1, -1);
    mn_profile_waited(profile);
    mn_training_add(training, 0, &result.result, result.payload, result.payload_bytes);
    mn_pool_release(solo->pool, &result);
    mn_profile_lap(profile, MN_PART_MERGE);
    status = mn_training_step_outer(training, record, err);
    mn_profile_lap(profile, MN_PART_OUTER);
    return status;
}
