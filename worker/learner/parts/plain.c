/* The plainest kinds: no memory, no reasoning, a linear output. */
#include "worker/learner/parts/part.h"

const mn_part mn_no_memory_part = {.name = "none"};

static mn_node features(mn_builder *builder, mn_role role)
{
    return builder->flow.u[role];
}

const mn_part mn_no_reasoning_part = {.name = "none", .build = features};

static mn_node linear(mn_builder *builder, mn_role role)
{
    return mn_builder_linear(builder, "head", builder->flow.o[role], builder->fields->y_size);
}

const mn_part mn_linear_output_part = {.name = "linear", .build = linear};
