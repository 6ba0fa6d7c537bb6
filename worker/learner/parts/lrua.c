/* A memory of slots that is written where it was used least (Santoro et al. 2016, section 3.2): each
 * question is written as it is asked, into the slot that was read before or into the least used, and
 * then compared with all slots. kernels.h has the equations. Between two questions the state lies in
 * builder->memory[role][0]; who sets it before the first question chooses how the memory begins. */
#include "common/real_functions.h"
#include "worker/learner/parts/part.h"

#include <math.h>

static mn_lrua shape_of(const mn_builder *builder, uint32_t rows)
{
    const mn_experiment *e = builder->experiment;
    return (mn_lrua){.n = rows,
                     .heads = e->model.read_heads,
                     .slots = e->model.slots,
                     .width = e->model.slot_size,
                     .decay = e->model.usage_decay};
}

/* Weights and biases of keys, gates and, if it is learned, sharpness side by side: one product asks
 * for all. */
static mn_node ask(mn_builder *builder, const mn_lrua *shape, mn_node u)
{
    const bool sharpened = builder->experiment->model.sharpness == MN_SHARPNESS_LEARNED;
    const mn_extent from = mn_builder_extent(builder, u);
    const uint32_t heads = shape->heads, keys = heads * shape->width, n = sharpened ? 3 : 2;
    mn_node weights[3], biases[3];
    weights[0] = mn_builder_weights(builder, "memory.key.weight", from, keys);
    biases[0] = mn_builder_vector(builder, "memory.key.bias", keys, MN_START_ZERO);
    weights[1] = mn_builder_weights(builder, "memory.gate.weight", from, heads);
    biases[1] = mn_builder_vector(builder, "memory.gate.bias", heads, MN_START_ZERO);
    if (sharpened) {
        weights[2] = mn_builder_weights(builder, "memory.sharpness.weight", from, heads);
        biases[2] = mn_builder_vector(builder, "memory.sharpness.bias", heads, MN_START_ZERO);
    }
    const mn_node weight = mn_graph_concat_columns(builder->graph, n, weights);
    const mn_node bias =
        mn_graph_reshape(builder->graph, mn_graph_concat_columns(builder->graph, n, biases),
                         (mn_extent){1, 1, 1, keys + (n - 1) * heads});
    return mn_graph_bias(builder->graph, mn_graph_linear(builder->graph, u, weight), bias);
}

/* The step that is asked for by `asked`. With a learned sharpness, its last columns z give each head
 * 1 + softplus(z + ln slots), at least the paper's 1. Softmax over a bare cosine of -1 .. 1 is nearly
 * flat over many slots, so little is read and little learned; with ln slots more, a slot that is like
 * the key outweighs all that are not from the start. */
static mn_node step(mn_builder *builder, const mn_lrua *shape, mn_node state, mn_node asked)
{
    mn_graph *graph = builder->graph;
    const uint32_t heads = shape->heads, keys = heads * (shape->width + 1);
    if (builder->experiment->model.sharpness == MN_SHARPNESS_ONE)
        return mn_graph_lrua(graph, shape, state, asked, MN_NONE);
    const mn_node z = mn_graph_columns(graph, asked, keys, heads);
    const mn_extent extent = mn_builder_extent(builder, z);
    const mn_node start = mn_graph_constant(graph, mn_real_log(shape->slots), extent);
    const mn_node above = mn_graph_softplus(graph, mn_graph_add(graph, z, start));
    const mn_node sharpness = mn_graph_add(graph, above, mn_graph_constant(graph, 1, extent));
    return mn_graph_lrua(graph, shape, state, mn_graph_columns(graph, asked, 0, keys), sharpness);
}

static mn_node read(mn_builder *builder, mn_role role, uint32_t hop, mn_node u)
{
    const mn_lrua shape = shape_of(builder, mn_builder_extent(builder, u).n);
    mn_node *state = &builder->memory[role][0];
    (void)hop; /* steps differ by the state alone */
    mn_graph_part(builder->graph, mn_lrua_memory_part.name);
    if (*state == MN_NONE)
        *state = mn_graph_lrua_start(builder->graph, &shape);
    *state = step(builder, &shape, *state, ask(builder, &shape, u));
    return mn_graph_lrua_view(builder->graph, &shape, *state, MN_LRUA_READ);
}

const mn_part mn_lrua_memory_part = {.name = "memory lrua", .read = read};
