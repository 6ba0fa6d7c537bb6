/* Context parameters (CAVIA: Zintgraf et al. 2019, arXiv:1810.03642): numbers m [model.context] that
 * are zero when a task begins and stand beside the features u of every item. With meta.adapts memory
 * they alone are moved in the inner loop, and all else is learned in the outer one. They have no
 * place of their own to begin from, for that would be one more bias of the layer that reads them:
 * [u; m] W = u W_u + m W_m, a bias that the inner loop gives to the layer. To give it to the first
 * layer, as the paper does for regression, use model.input identity and model.reasoning concat-mlp. */
#include "worker/learner/parts/part.h"

enum { CONTEXT };

static void write(mn_builder *builder, mn_role role)
{
    const uint32_t n = builder->experiment->model.context;
    builder->memory[role][CONTEXT] = mn_builder_vector(builder, "memory.context", n, MN_START_ZERO);
    mn_builder_let_stand(builder, "memory.context");
}

static mn_node read(mn_builder *builder, mn_role role, uint32_t hop, mn_node u)
{
    (void)hop;
    return mn_graph_repeat_rows(builder->graph, builder->memory[role][CONTEXT],
                                mn_builder_extent(builder, u).n);
}

const mn_part mn_context_part = {
    .name = "memory context", .write = write, .takes_padding = true, .read = read};
