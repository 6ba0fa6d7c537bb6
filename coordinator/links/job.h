/* job.h: the MPI job around a rank, for the start and the end only: calls are collective and block,
 * unless they say "local". In between, ranks speak by rank_link.h and reduce.h. A job of one works
 * without mpirun, and then without MPI. */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_JOB_WARNING 512

typedef struct mn_job {
    MPI_Comm comm; /* MPI_COMM_NULL: nobody launched us, so there is no other rank and no MPI */
    uint32_t rank, n_ranks;
    uint32_t n_here; /* ranks on this machine */
    bool one_host;   /* all ranks run on the same machine */
    char host[256];  /* name of this rank's */
} mn_job;

/* MPI_Init_thread (FUNNELED) and what a rank needs to know of its job. Without a launcher in the
 * environment MPI is not started: Open MPI would start a daemon of its own for this one process, which
 * takes longer than a thousand meta-steps of a small network. */
mn_status mn_job_begin(mn_job *job, mn_error *err);

/* MPI_Finalize, if MPI was started. Does nothing if the job was not begun. */
void mn_job_end(mn_job *job);

/* Was this process started as one of several, of which MPI knows nothing (srun without PMIx, the
 * mpirun of another MPI)? Then all of them do the same: says so, else "". Local. */
void mn_job_tell_lonely(const mn_job *job, char text[MN_JOB_WARNING]);

/* Something failed on one rank while the others wait for it: end all with this exit code. Does not
 * return. */
void mn_job_abort(const mn_job *job, int exit_code) __attribute__((noreturn));

/* Every rank brings its status and, if it failed, its message. All get the same back: MN_OK, or the
 * failure of the first rank that has one, with its name in front if there is more than one rank. */
mn_status mn_job_agree(const mn_job *job, mn_status status, mn_error *err);

/* From rank 0 to all. */
void mn_job_share(const mn_job *job, void *bytes, size_t n);

/* The same for text of any length: rank 0 gives *text, the others get their own copy (free). */
mn_status mn_job_share_text(const mn_job *job, char **text, mn_error *err);

/* n bytes of each rank to rank 0, in the order of ranks; `all` [n_ranks * n] is read there only. */
void mn_job_gather(const mn_job *job, const void *mine, size_t n, void *all);

/* MN_OK if the digests of all ranks are equal; else MN_ERR_CONFIG on all, naming the first that
 * differs. `what` is for people; unless `must`, only a warning is logged. *equal tells which. */
mn_status mn_job_compare(const mn_job *job, const mn_digest *mine, const char *what, bool must,
                         bool *equal, mn_error *err);

#define MN_ADDRESS_CHARS 64

/* The address of this machine that others most likely reach, as text: the one that it would itself
 * reach others by (of several networks that of the default route), or else the first of an interface
 * that is up and not the loopback; IPv4 if there is one, else IPv6 in brackets. Local.
 * MN_ERR_UNAVAILABLE: it has none. */
mn_status mn_job_address(char text[MN_ADDRESS_CHARS], mn_error *err);
