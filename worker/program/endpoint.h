/* endpoint.h: where a run can be joined. Either "tcp://host:port" itself, or the endpoint file of a
 * run (or the run's folder, which has it), written by the coordinator:
 *   run: <16 hexadecimal digits>
 *   key: <public key of the coordinators, 40 characters of Z85, or - for no encryption>
 *   endpoint: tcp://host:port      one line for each rank
 * A run that moves writes it anew, so it is read again before each dial. */
#pragma once

#include "common/error.h"
#include <stdint.h>

typedef struct mn_endpoint {
    char address[256];
    char key[41];    /* empty: no encryption */
    uint64_t run_id; /* 0: not known */
} mn_endpoint;

/* `chosen` picks one of several ranks, modulo their number. MN_ERR_NO_INPUT: there is no such file
 * (yet); MN_ERR_DATA: it is no endpoint file. */
mn_status mn_endpoint_find(const char *where, uint64_t chosen, mn_endpoint *out, mn_error *err);

/* Is there the folder of a run at least, whose endpoint file may be yet to come? Else MN_ERR_NO_INPUT: the path is
 * mistyped, or of a run that nobody has begun, as when workers are started first. */
mn_status mn_endpoint_check(const char *where, mn_error *err);
