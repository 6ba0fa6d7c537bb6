/* trace.h: one number as it went, never longer than what a picture shows. A point stands for `stride`
 * records; when all places are taken, neighbours are put together and the stride doubles. So a million
 * meta-steps take as much memory as a thousand, and what is old changes only when that happens. One
 * thread. */
#pragma once

#include <stdint.h>

#define MN_TRACE_MOST 1000u /* points; even */

typedef struct mn_trace_point {
    double step, value;
    double half_width; /* of the 95 % interval, the mean of the records' own; NaN: none has one */
} mn_trace_point;

typedef struct mn_trace {
    uint64_t stride;    /* records of a whole point; 0: there is none yet */
    uint32_t n;         /* whole points; 0 .. MN_TRACE_MOST */
    uint64_t begun;     /* records of the one behind them; less than stride */
    mn_trace_point sum; /* of those records, not divided yet */
    mn_trace_point points[MN_TRACE_MOST];
} mn_trace; /* zero-initialise */

/* One record more, which stands for `weight` > 0 of them. One whose step or value is not finite is left out. */
void mn_trace_add(mn_trace *trace, double step, double value, double half_width, uint64_t weight);

/* The point that is not whole yet, as it stands; trace->begun is not 0. */
mn_trace_point mn_trace_last(const mn_trace *trace);
