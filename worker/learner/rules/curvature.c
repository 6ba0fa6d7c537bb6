#include "worker/learner/rules/curvature.h"

#include <stdio.h>

#define MAX_MODE 4096

/* A tensor as the engine holds it: [taps, in, out]. */
struct modes {
    uint32_t taps, in, out;
    bool is_vector; /* [1, 1, out] */
};

static struct modes modes_of(const mn_parameter *tensor)
{
    const uint32_t taps = tensor->layout == MN_LAYOUT_CONV     ? 9
                          : tensor->layout == MN_LAYOUT_LINEAR ? tensor->image_pixels
                                                               : 1;
    return (struct modes){.taps = taps,
                          .in = tensor->inside.n / taps,
                          .out = tensor->inside.c,
                          .is_vector = tensor->tensor.rank == 1};
}

uint32_t mn_curvature_count(const mn_parameter *tensor)
{
    const struct modes modes = modes_of(tensor);
    return modes.is_vector ? 1 : modes.taps == 1 ? 2 : 3;
}

mn_status mn_curvature_declare(mn_parameters *list, uint32_t of, mn_error *err)
{
    const mn_parameter tensor = list->at[of];
    const struct modes modes = modes_of(&tensor);
    const struct {
        const char *name;
        uint32_t size;
    } matrices[MN_CURVATURE_MODES] = {{"out", modes.out}, {"in", modes.in}, {"taps", modes.taps}};
    for (uint32_t i = 0; i < mn_curvature_count(&tensor); i++) {
        const uint32_t n = matrices[i].size;
        char name[sizeof((mn_tensor *)0)->name];
        (void)snprintf(name, sizeof name, "curvature.%s.%.72s",
                       modes.is_vector ? "scale" : matrices[i].name, tensor.tensor.name);
        if (!modes.is_vector && n > MAX_MODE)
            return mn_fail(err, MN_ERR_CONFIG,
                           "meta.update curvature would need a matrix of %u x %u for %s, and takes "
                           "at most %d: use fewer features there, or meta.update step-rates",
                           n, n, tensor.tensor.name, MAX_MODE);
        const uint32_t added =
            modes.is_vector ? mn_parameters_add_vector(list, name, n, MN_START_ONE)
                            : mn_parameters_add_table(list, name, n, n, MN_START_IDENTITY, 0);
        if (added == UINT32_MAX)
            return mn_fail(err, MN_ERR_CONFIG,
                           "model: more than %d tensors of parameters, those of meta.update "
                           "counted; use fewer layers",
                           MN_MAX_PARAMETERS);
    }
    return MN_OK;
}

mn_node mn_curvature_turn(mn_graph *graph, const mn_parameter *tensor, const mn_node *matrices,
                          mn_node g)
{
    const struct modes m = modes_of(tensor);
    const mn_extent row = mn_graph_extent(graph, g);
    if (m.is_vector)
        return mn_graph_multiply(graph, matrices[0], g);
    /* [taps * in, out] times the turned M_out; then `in` on the left, and the taps. */
    mn_node u = mn_graph_reshape(graph, g, (mn_extent){m.taps * m.in, 1, 1, m.out});
    u = mn_graph_product(graph, u, matrices[0], false, true);
    if (m.taps == 1)
        return mn_graph_reshape(graph, mn_graph_product(graph, matrices[1], u, false, false), row);
    u = mn_graph_swap_axes(graph, u, 1, m.taps, m.in);
    u = mn_graph_reshape(graph, u, (mn_extent){m.in, 1, 1, m.taps * m.out});
    u = mn_graph_product(graph, matrices[1], u, false, false);
    u = mn_graph_reshape(graph, u, (mn_extent){m.in * m.taps, 1, 1, m.out});
    u = mn_graph_swap_axes(graph, u, 1, m.in, m.taps);
    u = mn_graph_reshape(graph, u, (mn_extent){m.taps, 1, 1, m.in * m.out});
    u = mn_graph_product(graph, matrices[2], u, false, false);
    return mn_graph_reshape(graph, u, row);
}
