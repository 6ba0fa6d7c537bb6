/* page.h: the live page of a run, from a thread of its own: it serves the board's snapshots over HTTP
 * (libmicrohttpd) and writes the file for node_exporter. The run's thread opens and closes it and tells
 * it nothing else: however many look, however slowly, the run does not wait for them. */
#pragma once

#include "common/error.h"
#include "coordinator/page/door.h"
#include "coordinator/run/board.h"
#include <stdbool.h>

typedef struct mn_page mn_page;

/* As the board's experiment says (run.page, run.page_token, run.prometheus_textfile), at once. `door`:
 * what the page is behind, lent for its life, and opened if it is not yet; NULL: one of its own.
 * RUN/page gets the address; it is the reader's own file if there is a token in it. Where the page
 * cannot be opened, that is said in the log and the run goes on: *out may be NULL then, and it is for a
 * NULL board. */
mn_status mn_page_open(mn_board *board, mn_page_door *door, mn_page **out, mn_error *err);

/* The last snapshot has been hung out: who looks gets it, for a second at most, then all is closed and
 * RUN/page is gone. Takes NULL. */
void mn_page_close(mn_page **page);

/* "http://127.0.0.1:43211/"; with the token, if it asks for one; "": there is no page, only the file. */
const char *mn_page_url(const mn_page *page);
