/* The meta-memory network: a table of learned slots as the memory, which all tasks
 * share and an inner loop may move (meta.adapts memory), and a linear layer over features and what
 * the memory gives as the reasoning.
 *   table           memory.slots [slots, slot_size]. Asked with u it answers
 *                   m = softmax(q slots') slots, q = u memory.query' (attention); where tasks have
 *                   a field id, slot number id instead.
 *   concat-linear   o = activation([u; m] W' + b), tensors reason.weight and .bias */
#include "worker/learner/parts/part.h"

enum { SLOTS };

static void write(mn_builder *builder, mn_role role)
{
    const mn_experiment *e = builder->experiment;
    const bool by_id = mn_builder_field(builder, role, "id") != MN_NONE;
    builder->memory[role][SLOTS] = mn_builder_table(builder, "memory.slots", e->model.slots,
                                                    e->model.slot_size, MN_START_NORMAL, 0.1);
    if (by_id && e->model.slots < builder->fields->vocabulary)
        (void)mn_builder_fail(
            builder, MN_ERR_CONFIG,
            "model.slots is %u, but these tasks have %u ids (tasks.id_column, id 0 "
            "counted), and model.memory table has a slot for each: set model.slots to "
            "%u or more",
            e->model.slots, builder->fields->vocabulary, builder->fields->vocabulary);
    if (!by_id)
        (void)mn_builder_weights(builder, "memory.query",
                                 mn_builder_extent(builder, builder->flow.u[role]),
                                 e->model.slot_size);
}

static mn_node read(mn_builder *builder, mn_role role, uint32_t hop, mn_node u)
{
    mn_graph *graph = builder->graph;
    mn_node slots = builder->memory[role][SLOTS], id = mn_builder_field(builder, role, "id");
    (void)hop;
    if (id != MN_NONE)
        return mn_graph_embed(graph, id, slots, MN_NONE, -1);
    mn_node q =
        mn_graph_linear(graph, u,
                        mn_builder_weights(builder, "memory.query", mn_builder_extent(builder, u),
                                           builder->experiment->model.slot_size));
    mn_node p = mn_graph_softmax(graph, mn_graph_product(graph, q, slots, false, true), MN_NONE);
    return mn_graph_product(graph, p, slots, false, false);
}

const mn_part mn_table_part = {
    .name = "memory table", .write = write, .takes_padding = true, .read = read};

static mn_node concat_linear(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    const mn_experiment *e = builder->experiment;
    const mn_part *memory = mn_memory_of(e);
    const mn_extent u = mn_builder_extent(builder, builder->flow.u[role]);
    mn_node both[2] = {
        mn_graph_reshape(graph, builder->flow.u[role], (mn_extent){u.n, 1, 1, u.h * u.w * u.c})};
    mn_node o = both[0];
    if (memory->read != NULL) {
        both[1] = memory->read(builder, role, 0, both[0]);
        o = mn_graph_concat_columns(graph, 2, both);
    }
    return mn_builder_activation(builder, mn_builder_linear(builder, "reason", o, e->model.units),
                                 e->model.activation);
}

const mn_part mn_concat_linear_part = {
    .name = "reasoning concat-linear", .build = concat_linear, .takes_padding = true};
