/* workshop.h: what a worker builds from a WELCOME: experiment, task set, learner and the pool of
 * threads. It builds on a thread of its own, so that the worker goes on to say that it lives. What
 * is there and still fits is kept. */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include "proto/message.h"
#include "worker/learner/learner.h"
#include "worker/pool/pool.h"
#include <stdint.h>

typedef struct mn_workshop mn_workshop;

/* data_path, if not NULL, is where to look for data files instead of the default of run.data_path.
 */
mn_status mn_workshop_new(uint32_t n_threads, const char *data_path, mn_workshop **out,
                          mn_error *err);
/* Waits for a build under way. */
void mn_workshop_destroy(mn_workshop **workshop);

/* Begin to build; waits for a build under way, whose outcome is lost. */
mn_status mn_workshop_build(mn_workshop *workshop, const mn_welcome *welcome, mn_error *err);
/* Readable (poll) when a build has ended. */
int mn_workshop_fd(const mn_workshop *workshop);
/* Its outcome. MN_ERR_STATE: no build has ended. MN_ERR_NO_INPUT: data are missing: which and where
 * to put them. Others: the experiment is not for this machine or program. */
mn_status mn_workshop_finish(mn_workshop *workshop, mn_error *err);

/* After a finish with MN_OK, until the next build; the pool is NULL otherwise. */
mn_pool *mn_workshop_pool(const mn_workshop *workshop);
const mn_learner *mn_workshop_learner(const mn_workshop *workshop);
mn_digest mn_workshop_numeric_class(const mn_workshop *workshop);
mn_digest mn_workshop_data(const mn_workshop *workshop);
