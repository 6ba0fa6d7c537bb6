/* A memory of slots that is written where it was used least (Santoro et al. 2016, section 3.2): each
 * question is written as it is asked, into the slot that was read before or into the least used, and
 * then compared with all slots. kernels.h has the equations. Between two questions the state lies in
 * builder->memory[role][0]; who sets it before the first question chooses how the memory begins. */
#include "worker/learner/parts/part.h"

static mn_lrua shape_of(const mn_builder *builder, uint32_t rows)
{
    const mn_experiment *e = builder->experiment;
    return (mn_lrua){.n = rows,
                     .heads = e->model.read_heads,
                     .slots = e->model.slots,
                     .width = e->model.slot_size,
                     .decay = e->model.usage_decay};
}

/* Weights and bias of keys and gates side by side: one product asks for both. */
static mn_node ask(mn_builder *builder, const mn_lrua *shape, mn_node u)
{
    const mn_extent from = mn_builder_extent(builder, u);
    const uint32_t keys = shape->heads * shape->width;
    mn_node weights[2], biases[2];
    weights[0] = mn_builder_weights(builder, "memory.key.weight", from, keys);
    biases[0] = mn_builder_vector(builder, "memory.key.bias", keys, MN_START_ZERO);
    weights[1] = mn_builder_weights(builder, "memory.gate.weight", from, shape->heads);
    biases[1] = mn_builder_vector(builder, "memory.gate.bias", shape->heads, MN_START_ZERO);
    const mn_node weight = mn_graph_concat_columns(builder->graph, 2, weights);
    const mn_node bias =
        mn_graph_reshape(builder->graph, mn_graph_concat_columns(builder->graph, 2, biases),
                         (mn_extent){1, 1, 1, keys + shape->heads});
    return mn_graph_bias(builder->graph, mn_graph_linear(builder->graph, u, weight), bias);
}

static mn_node read(mn_builder *builder, mn_role role, uint32_t hop, mn_node u)
{
    const mn_lrua shape = shape_of(builder, mn_builder_extent(builder, u).n);
    mn_node *state = &builder->memory[role][0];
    (void)hop; /* steps differ by the state alone */
    mn_graph_part(builder->graph, "lrua");
    if (*state == MN_NONE)
        *state = mn_graph_lrua_start(builder->graph, &shape);
    *state = mn_graph_lrua(builder->graph, &shape, *state, ask(builder, &shape, u));
    return mn_graph_lrua_view(builder->graph, &shape, *state, MN_LRUA_READ);
}

const mn_part mn_lrua_memory_part = {.name = "lrua", .read = read};
