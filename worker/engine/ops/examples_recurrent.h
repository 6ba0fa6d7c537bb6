/* examples_recurrent.h: examples of recurrent.c. */
#pragma once

#include "worker/engine/ops/ops_bed.h"

BUILD(lstm)
{
    GRAPH;
    mn_node zx = arg(bed, 2, 8), zr = arg(bed, 2, 8), before = arg(bed, 2, 2);
    mn_node step = mn_graph_lstm(graph, zx, zr, before);
    return mn_graph_multiply(graph, mn_graph_lstm_output(graph, step),
                             mn_graph_lstm_cell(graph, step));
}

static double gate(double z)
{
    return 1 / (1 + exp(-z));
}

NAIVE(lstm)
{
    UNUSED;
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++) {
            double z[4];
            EACH(k, 4)
            z[k] = a[0][i * 8 + k * 2 + j] + a[1][i * 8 + k * 2 + j];
            double cell = gate(z[1]) * a[2][i * 2 + j] + gate(z[0]) * tanh(z[2]);
            out[i * 2 + j] = gate(z[3]) * tanh(cell) * cell;
        }
}
static const example example_lstm = {.build = build_lstm, .naive = naive_lstm, .once = true};
static const example example_lstm_backward = {.build = build_lstm, .once = true};

/* Two steps, one with a sharpness; tests/reference has every number of eight. */
BUILD(lrua)
{
    GRAPH;
    const mn_lrua shape = {.n = 2, .heads = 2, .slots = 4, .width = 3, .decay = 0.9};
    mn_node state = mn_graph_lrua_start(graph, &shape);
    state = mn_graph_lrua(graph, &shape, state, arg(bed, 2, 8), MN_NONE);
    state = mn_graph_lrua(graph, &shape, state, arg(bed, 2, 8), arg(bed, 2, 2));
    return mn_graph_lrua_view(graph, &shape, state, MN_LRUA_READ);
}
static const example example_lrua = {.build = build_lrua, .once = true};
static const example example_lrua_backward = {.build = build_lrua, .once = true};

/* Two sequences of three steps: gates of one number a row forwards, of a row's own backwards. */
BUILD(scan)
{
    GRAPH;
    mn_node gate = arg(bed, 6, 1), gates = arg(bed, 6, 2), u = arg(bed, 6, 2);
    return mn_graph_multiply(graph, mn_graph_scan(graph, gate, u, 3, false),
                             mn_graph_scan(graph, gates, u, 3, true));
}
NAIVE(scan)
{
    UNUSED;
    EACH(i, 2)
    EACH(j, 2)
    {
        const double *gate = a[0] + 3 * i, *gates = a[1] + 6 * i + j, *u = a[2] + 6 * i + j;
        const double h[3] = {u[0], u[2] + gate[1] * u[0], u[4] + gate[2] * (u[2] + gate[1] * u[0])};
        const double b[3] = {u[0] + gates[0] * (u[2] + gates[2] * u[4]), u[2] + gates[2] * u[4],
                             u[4]};
        EACH(t, 3)
        out[6 * i + 2 * t + j] = h[t] * b[t];
    }
}
BUILT_AND_NAIVE(scan);

BUILD(shift)
{
    GRAPH;
    mn_node a = arg(bed, 6, 2), b = arg(bed, 6, 2);
    return mn_graph_add(graph, mn_graph_shift(graph, mn_graph_multiply(graph, a, b), 3, false),
                        mn_graph_shift(graph, b, 3, true));
}
NAIVE(shift)
{
    UNUSED;
    EACH(i, 12)
    out[i] = (i / 2 % 3 == 0 ? 0 : a[0][i - 2] * a[1][i - 2]) + (i / 2 % 3 == 2 ? 0 : a[1][i + 2]);
}
BUILT_AND_NAIVE(shift);
