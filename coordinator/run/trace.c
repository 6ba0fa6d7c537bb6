#include "coordinator/run/trace.h"

#include <math.h>

static void halve(mn_trace *trace);

void mn_trace_add(mn_trace *trace, double step, double value, double half_width, uint64_t weight)
{
    if (!isfinite(value) || !isfinite(step))
        return;
    const double w = (double)weight;
    if (trace->stride == 0)
        trace->stride = weight;
    if (trace->begun == 0)
        trace->sum = (mn_trace_point){0};
    trace->sum.step += w * step;
    trace->sum.value += w * value;
    trace->sum.half_width += w * half_width;
    trace->begun += weight;
    if (trace->begun < trace->stride)
        return;
    if (trace->n == MN_TRACE_MOST)
        halve(trace);
    if (trace->begun < trace->stride) /* it has become the first part of a longer one */
        return;
    trace->points[trace->n++] = mn_trace_last(trace);
    trace->begun = 0;
}

mn_trace_point mn_trace_last(const mn_trace *trace)
{
    const double w = (double)trace->begun;
    return (mn_trace_point){
        .step = trace->sum.step / w,
        .value = trace->sum.value / w,
        .half_width = trace->sum.half_width / w,
    };
}

static void halve(mn_trace *trace)
{
    for (uint32_t i = 0; i < trace->n / 2; i++) {
        const mn_trace_point *a = &trace->points[2 * i], *b = a + 1;
        trace->points[i] = (mn_trace_point){.step = (a->step + b->step) / 2,
                                            .value = (a->value + b->value) / 2,
                                            .half_width = (a->half_width + b->half_width) / 2};
    }
    trace->n /= 2;
    trace->stride *= 2;
}
