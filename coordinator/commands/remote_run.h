/* remote_run.h: how a run stands, asked of its live page over HTTP (libcurl). What answers may be anything:
 * its size and its time are bounded, and it is checked for being the page of a run. */
#pragma once

#include "common/error.h"
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#define MN_REMOTE_BYTES                                                                            \
    (8u << 20)              /* of an answer: 4,096 workers and 64 curves take less than half */
#define MN_REMOTE_MS 10000u /* for one answer, from the first word to the last */

typedef struct mn_remote_run mn_remote_run;

/* An address as mnemo train prints it, "http://host:port/?token=...": also without "http://", or of one of the
 * page's files. MN_ERR_USAGE: it is no such address. Nothing is asked yet. */
mn_status mn_remote_run_open(const char *address, uint32_t deadline_ms, mn_remote_run **out,
                             mn_error *err);
void mn_remote_run_close(mn_remote_run **run); /* takes NULL */

/* Ask once; *state, as docs/page.md has it, is the caller's. MN_ERR_UNAVAILABLE: nobody is there, or it takes
 * too long. MN_ERR_PERMISSION: it wants a token, or another. MN_ERR_DATA: this is not a run's page. */
mn_status mn_remote_run_look(mn_remote_run *run, json_t **state, mn_error *err);

/* In a person's words, as mnemo status has it. */
void mn_remote_run_print(const json_t *state, FILE *out);
