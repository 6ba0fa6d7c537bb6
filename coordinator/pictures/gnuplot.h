/* gnuplot.h: pictures are a script and its data, which stay in a folder, so that anyone can change and
 * redraw them. gnuplot is started by posix_spawn and waited for; no MPI or ZeroMQ call is made. */
#pragma once

#include "common/error.h"
#include <stdio.h>

/* What every script begins with. */
extern const char mn_gnuplot_style[];

/* Close the memory stream, write its text to <folder>/<name>.<ending>, free the text. `memory` NULL:
 * MN_ERR_NOMEM. */
mn_status mn_gnuplot_save(const char *folder, const char *name, const char *ending, FILE *memory,
                          char **text, mn_error *err);

/* Run <folder>/<name>.gp there. MN_ERR_UNAVAILABLE: gnuplot is not installed; MN_ERR_IO: it failed. */
mn_status mn_gnuplot_draw(const char *folder, const char *name, mn_error *err);

/* In single quotes gnuplot reads everything as it stands, and '' as a quote. */
void mn_gnuplot_put_text(const char *text, FILE *out);
