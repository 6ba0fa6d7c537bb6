/* examples_memory.h: examples of memory.c. The table has 5 rows; ids name its ends, one twice, none, and the
 * padding. */
#pragma once

#include "worker/engine/ops/ops_bed.h"

static void write_ids(struct bed *bed)
{
    static const double ids[8] = {0, 4, 2, 2, 5, -1, 1, 3};
    memcpy(bed->x_data, ids, sizeof ids);
}

BUILD(embed)
{
    GRAPH;
    mn_node table = arg(bed, 5, C), weights = mn_graph_input(graph, MN_SLOT_X, 8, mn_matrix(2, C));
    write_ids(bed);
    mn_node ids = given(bed, 4, 2), plus = arg(bed, 4, C);
    return mn_graph_multiply(graph,
                             mn_graph_slots_embed(graph, ids, table, weights, 3, MN_NONE, plus),
                             mn_graph_embed(graph, ids, table, MN_NONE, -1));
}
NAIVE(embed)
{
    EACH(i, N)
    {
        double one = a[1][i], other = 0;
        EACH(k, 2)
        {
            double id = x[i / C * 2 + k];
            if (id < 0 || id > 4)
                continue;
            double entry = a[0][(size_t)id * C + i % C];
            one += id == 3 ? 0 : x[8 + k * C + i % C] * entry;
            other += entry;
        }
        out[i] = one * other;
    }
}
BUILT_AND_NAIVE(embed);
OF_A_DERIVATIVE(words, embed);

/* Three memories of three slots: two are filled, none, and more than there are. */
static mn_node filled(struct bed *bed)
{
    static const double numbers[3] = {2, 0, 7};
    memcpy(bed->x_data, numbers, sizeof numbers);
    return given(bed, 3, 1);
}
/* Of an argument, [9, C]. */
static mn_node memory_of(struct bed *bed)
{
    mn_node slots = filled(bed);
    for (int i = 0; i < 9; i++)
        bed->x_data[3 + i] = i;
    return mn_graph_slots_embed(&bed->graph,
                                mn_graph_input(&bed->graph, MN_SLOT_X, 3, mn_matrix(9, 1)),
                                arg(bed, 9, C), MN_NONE, -1, slots, MN_NONE);
}
static bool is_filled(size_t slot) /* of the nine */
{
    return slot < 2 || slot > 5;
}

BUILD(slots_match)
{
    mn_node o = arg(bed, 3, C), memory = memory_of(bed);
    return mn_graph_slots_match(&bed->graph, o, memory, filled(bed));
}
NAIVE(slots_match)
{
    UNUSED;
    EACH(s, 9)
    {
        out[s] = 0;
        EACH(j, C)
        out[s] += is_filled(s) ? a[1][s * C + j] * a[0][s / 3 * C + j] : 0;
    }
}
BUILT_AND_NAIVE(slots_match);

BUILD(slots_read) /* twice of one memory: its adjoint is written to twice. All slots have a word. */
{
    static const double ids[9] = {0, 4, 2, 1, 3, 0, 4, 4, 1};
    mn_node p = arg(bed, 3, 3), table = arg(bed, 5, C), plus = memory_of(bed);
    mn_node slots = filled(bed);
    memcpy(bed->x_data + 12, ids, sizeof ids);
    mn_node memory = mn_graph_slots_embed(
        &bed->graph, mn_graph_input(&bed->graph, MN_SLOT_X, 12, mn_matrix(9, 1)), table, MN_NONE,
        -1, slots, plus);
    return mn_graph_slots_read(
        &bed->graph,
        mn_graph_slots_match(&bed->graph, mn_graph_slots_read(&bed->graph, p, memory, slots),
                             memory, slots),
        memory, slots);
}
NAIVE(slots_read)
{
    EACH(i, 3)
    {
        double memory[3 * C], once[C] = {0};
        EACH(j, 3 * C)
        memory[j] = a[2][i * 3 * C + j] + a[1][(size_t)x[12 + i * 3 + j / C] * C + j % C];
        EACH(j, C)
        EACH(s, 3)
        once[j] += is_filled(i * 3 + s) ? a[0][i * 3 + s] * memory[s * C + j] : 0;
        EACH(j, C)
        {
            out[i * C + j] = 0;
            EACH(s, 3)
            EACH(k, C)
            out[i * C + j] +=
                is_filled(i * 3 + s) ? once[k] * memory[s * C + k] * memory[s * C + j] : 0;
        }
    }
}
BUILT_AND_NAIVE(slots_read);

BUILD(slots_write)
{
    GRAPH;
    mn_node p = arg(bed, 3, 3), o = arg(bed, 3, C), plus = memory_of(bed);
    mn_node slots = filled(bed);
    mn_node memory = mn_graph_slots_write(graph, p, o, slots, plus);
    return mn_graph_add(
        graph, mn_graph_slots_read(graph, p, memory, slots),
        mn_graph_slots_read(graph, p, mn_graph_slots_write(graph, p, o, slots, MN_NONE), slots));
}
NAIVE(slots_write)
{
    UNUSED;
    EACH(i, 3 * C)
    {
        out[i] = 0;
        EACH(s, 3)
        if (is_filled(i / C * 3 + s)) {
            const double p = a[0][i / C * 3 + s];
            out[i] += p * (2 * p * a[1][i] + a[2][(i / C * 3 + s) * C + i % C]);
        }
    }
}
BUILT_AND_NAIVE(slots_write);

BUILD(words_turned)
{
    mn_node dy = arg(bed, 4, C), table = arg(bed, 5, C);
    write_ids(bed);
    return scatter(&bed->graph, 4, dy, table);
}
NAIVE(words_turned)
{
    memcpy(out, a[1], 5 * sizeof *out * C);
    EACH(i, 8)
    if (x[i] >= 0 && x[i] <= 4 && x[i] != 3)
        EACH(j, C)
    out[(size_t)x[i] * C + j] += a[0][i / 2 * C + j];
}
BUILT_AND_NAIVE(words_turned);

BUILD(least_used)
{
    GRAPH;
    mn_node usage = arg(bed, 2, C), a = arg(bed, 4, C);
    return mn_graph_multiply(graph, mn_graph_least_used(graph, usage, 2), a);
}
NAIVE(least_used)
{
    UNUSED;
    EACH(i, N)
    {
        const double *usage = a[0] + i / (2 * C) * C;
        size_t smaller = 0, rank = i / C % 2;
        EACH(j, C)
        smaller += usage[j] < usage[i % C];
        out[i] = smaller == rank ? a[1][i] : 0;
    }
}
BUILT_AND_NAIVE(least_used);
