/* door.h: where the page is and who comes in: the socket that listens, and the token if it asks for one.
 * The pages of runs that follow each other may be behind one door: who looks at one then finds the next,
 * at the same address, with the same token; who comes in between waits outside. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include "coordinator/page/answer.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct mn_page_door {
    int fd;        /* listens; owned */
    char url[512]; /* "http://127.0.0.1:43211/", with the token, if it asks for one; "": not open */
    mn_access access; /* whether it asks for one, and which */
    char token[128];  /* "": there is none */
    char cookie[32];  /* what it is kept by; browsers send those of all ports of a machine */
} mn_page_door;       /* zero-initialise */

/* As run.page and run.page_token say; `id` tells its cookie from those of other doors. Warns in the log
 * if it is open beyond this machine. MN_ERR_UNAVAILABLE: taken, or not an address of this machine: says
 * what to do; MN_ERR_CONFIG: no address, or no token in that file. */
mn_status mn_page_door_open(const mn_experiment *experiment, uint64_t id, mn_page_door *out,
                            mn_error *err);
/* Takes one that is not open, and leaves one. */
void mn_page_door_shut(mn_page_door *door);

/* Write the address to a file that is not there yet; if there is a token in it, the file is its owner's
 * alone. */
mn_status mn_page_door_sign(const mn_page_door *door, const char *path, mn_error *err);
