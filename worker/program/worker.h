/* worker.h: the worker as a program: sockets, signals, clock and threads around worker_core. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct mn_worker_options {
    const char *endpoint;  /* tcp://host:port, an endpoint file, or a run's folder */
    uint32_t threads;      /* > 0 */
    const char *data_path; /* NULL: the default of run.data_path */
    uint64_t patience_s;
    bool once;        /* do not wait for a coordinator that is not there */
    const char *name; /* for people; NULL: host:pid */
    const char *key;  /* public key of the coordinators, for a bare tcp:// endpoint; NULL: none */
    const char *secret_key; /* ours, Z85; NULL: none, and no run that has keys takes us */
} mn_worker_options;

/* Work until the run is over, a signal comes, or nothing can come of it. SIGTERM, SIGINT and SIGHUP
 * give all leases back and end with MN_OK; a second one ends at once, by the signal. They are
 * blocked on return. */
mn_status mn_worker_run(const mn_worker_options *options, mn_error *err);
