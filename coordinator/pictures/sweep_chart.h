/* sweep_chart.h: a panel for each key that varied in a sweep: the points' scores on validation over its values,
 * after the first leg, with the means, and what was reached in the end. */
#pragma once

#include "common/error.h"
#include "coordinator/run/sweep_table.h"

/* <folder>/sweep.dat, sweep.gp, and by gnuplot sweep.png; see gnuplot.h. MN_ERR_UNAVAILABLE also: there is
 * nothing to draw. */
mn_status mn_sweep_chart_draw(const char *folder, const mn_sweep_table *table, mn_error *err);
