/* The plainest kinds: a linear input; no memory, no reasoning, or just what the memory gives; a linear
 * output. */
#include "worker/learner/parts/part.h"

#include "worker/learner/parts/prototype_head.h"

static mn_node linear_input(mn_builder *builder, mn_role role)
{
    return mn_builder_linear(builder, "input",
                             mn_builder_need(builder, "model.input linear", role, "x"),
                             builder->experiment->model.width);
}

const mn_part mn_linear_input_part = {.name = "input linear", .build = linear_input};

const mn_part mn_no_memory_part = {.name = "memory none", .takes_padding = true};

static mn_node features(mn_builder *builder, mn_role role)
{
    return builder->flow.u[role];
}

const mn_part mn_no_reasoning_part = {
    .name = "reasoning none", .build = features, .takes_padding = true};

static mn_node read(mn_builder *builder, mn_role role)
{
    const mn_part *memory = mn_memory_of(builder->experiment);
    const mn_extent extent = mn_builder_extent(builder, builder->flow.u[role]);
    const mn_node u = mn_graph_reshape(builder->graph, builder->flow.u[role],
                                       (mn_extent){extent.n, 1, 1, extent.h * extent.w * extent.c});
    return memory->read == NULL ? u : memory->read(builder, role, 0, u);
}

const mn_part mn_read_part = {.name = "reasoning read", .build = read, .takes_padding = true};

/* The task's own head: the rule's, if it has set one, else as it begins: zeros, or what the support
 * set gives. */
static mn_node linear_of_task(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    const bool is_zero = builder->experiment->meta.head_start == MN_HEAD_ZERO;
    if (!is_zero && builder->fields->target != MN_TARGET_CLASSES) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "meta.head_start prototypes are means of classes, but these tasks "
                              "(tasks.kind) ask for values: use meta.head_start learned");
        return builder->flow.o[role];
    }
    if (builder->head[0] == MN_NONE && is_zero) {
        const mn_extent u = mn_builder_extent(builder, builder->flow.o[role]);
        const uint32_t out = builder->fields->y_size;
        builder->head[0] = mn_graph_zero(graph, (mn_extent){u.h * u.w * u.c, 1, 1, out});
        builder->head[1] = mn_graph_zero(graph, (mn_extent){1, 1, 1, out});
    }
    if (builder->head[0] == MN_NONE)
        mn_prototype_head(graph, builder->flow.u[MN_SUPPORT],
                          mn_builder_need(builder, "meta.head_start prototypes", MN_SUPPORT, "y"),
                          mn_builder_absent_classes(builder), &builder->head[0], &builder->head[1]);
    return mn_graph_bias(graph, mn_graph_linear(graph, builder->flow.o[role], builder->head[0]),
                         builder->head[1]);
}

static mn_node linear(mn_builder *builder, mn_role role)
{
    if (mn_head_is_of_task(builder->experiment))
        return linear_of_task(builder, role);
    return mn_builder_linear(builder, "head", builder->flow.o[role], builder->fields->y_size);
}

const mn_part mn_linear_output_part = {.name = "output linear", .build = linear};
