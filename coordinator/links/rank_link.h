/* rank_link.h: the words between the leader (in rank 0) and the ranks, over ZeroMQ.
 * Rank 0 listens and the others dial; rank 0 itself needs no link. Encrypted, with a key that only
 * the ranks of the job are given (by MPI), so that nobody else is understood. Messages between two
 * ranks stay in order. */
#pragma once

#include "common/error.h"
#include "coordinator/links/job.h"
#include "proto/message.h"
#include <stdbool.h>

typedef struct mn_rank_link mn_rank_link;

/* Collective. In a job of one, *out is NULL, which all calls below take. */
mn_status mn_rank_link_new(void *context, const mn_job *job, mn_rank_link **out, mn_error *err);
void mn_rank_link_destroy(mn_rank_link **link);

/* For zmq_poll: readable when messages wait. NULL for a job of one. */
void *mn_rank_link_socket(const mn_rank_link *link);

/* From rank 0: to another rank. From another rank: to the leader, and `rank` is not read. */
mn_status mn_rank_link_send(mn_rank_link *link, uint32_t rank, const mn_message *message,
                            mn_error *err);

/* The next message and the rank it is from; false: none. The message owns nothing. MN_ERR_PROTOCOL
 * in *status: what came is not from a rank, or makes no sense. */
bool mn_rank_link_receive(mn_rank_link *link, uint32_t *rank, mn_message *message,
                          mn_status *status, mn_error *err);
