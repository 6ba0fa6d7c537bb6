/* report_sweep.h: what a report says of a sweep before it comes to its runs. */
#pragma once

#include "coordinator/commands/sweep_view.h"
#include <stdio.h>

/* Text as HTML: what could be taken for markup is written out. */
void mn_html_put(const char *text, FILE *out);

/* A table of its points, the best first, and of the means over those that share a value. */
void mn_report_sweep(const mn_sweep_view *view, FILE *out);
