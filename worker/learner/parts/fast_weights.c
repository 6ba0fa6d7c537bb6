/* Fast weights (Ba et al. 2016): a recurrent network whose memory of its own recent states is a
 * matrix, which decays and is written at every step.
 *   fast-weights  reads a story's sentences x_t, h_0 = 0, A_0 = 0:
 *                   z = W h_t-1 + C x_t + b,  h = relu(z)
 *                   h = relu(LN(z + A_t-1 h)), model.fast_steps times;  h_t = h
 *                   A_t = decay A_t-1 + rate h_t h_t'   (model.fast_decay, model.fast_rate)
 *                 where there is no sentence, nothing changes. Asked with u it answers the h of a
 *                 step with x = u, which is not written.
 * LN: of each row, with a gain and a shift (layer normalisation, Ba, Kiros, Hinton 2016). W begins
 * as 0.05 I; what is learned, state.weight, is the rest, and begins with 0. C begins as model.init
 * says. States have as many numbers as words do (model.embedding). The matrix is never made: A h is
 * the sum of states by their likeness to h, decay^(t - i) rate (h_i . h) h_i, as the paper says. */
#include "worker/learner/parts/part.h"
#include "worker/learner/parts/sentences.h"

#define MOST_SENTENCES 128u

#define SELF 0.05 /* W begins as so much of the identity */
#define EPS 1e-5  /* added to the variance of a row */

enum { STATE, STATES, WEIGHTS };

/* [n, c] -> [n, c], mean 0 and variance 1, then a gain and a shift. */
static mn_node layer_norm(mn_builder *builder, mn_node x)
{
    mn_graph *graph = builder->graph;
    const mn_extent extent = mn_builder_extent(builder, x);
    mn_node ones = mn_graph_constant(graph, 1, extent);
    mn_node mean = mn_graph_row_dot(graph, x, mn_graph_constant(graph, 1.0 / extent.c, extent));
    mn_node centred = mn_graph_subtract(graph, x, mn_graph_row_scale(graph, mean, ones));
    mn_node variance =
        mn_graph_scale(graph, 1.0 / extent.c, mn_graph_row_dot(graph, centred, centred));
    variance = mn_graph_add(graph, variance,
                            mn_graph_constant(graph, EPS, mn_graph_extent(graph, variance)));
    mn_node y = mn_graph_row_scale(
        graph, mn_graph_reciprocal(graph, mn_graph_root(graph, variance)), centred);
    y = mn_graph_column_scale(
        graph, y, mn_builder_vector(builder, "fast.norm.weight", extent.c, MN_START_ONE));
    return mn_graph_bias(graph, y,
                         mn_builder_vector(builder, "fast.norm.bias", extent.c, MN_START_ZERO));
}

/* The part of z that comes from x [n, d]. */
static mn_node told(mn_builder *builder, mn_node x)
{
    return mn_builder_linear(builder, "fast.input", x, mn_builder_extent(builder, x).c);
}

/* What is known after some steps. */
struct past {
    mn_node state;   /* h [n, d] of the last one; MN_NONE: there is none, and so for the others */
    mn_node states;  /* [n * sentences, d]: of all, by question, 0 for those to come */
    mn_node weights; /* [n, sentences]: what is left of each in the matrix; known of the masks */
};

/* A h [n, d]. */
static mn_node drawn(mn_graph *graph, const struct past *past, mn_node h)
{
    const uint32_t n = mn_graph_extent(graph, h).n;
    mn_node likeness = mn_graph_batched_product(graph, h, past->states, n, false, true);
    likeness = mn_graph_multiply(graph, past->weights, likeness);
    return mn_graph_batched_product(graph, likeness, past->states, n, false, false);
}

static mn_node step(mn_builder *builder, const struct past *past, mn_node z)
{
    mn_graph *graph = builder->graph;
    const uint32_t d = mn_builder_extent(builder, z).c;
    mn_node weights = mn_builder_table(builder, "fast.state.weight", d, d, MN_START_ZERO, 0);
    if (past->state != MN_NONE) {
        z = mn_graph_add(graph, z, mn_graph_linear(graph, past->state, weights));
        z = mn_graph_scale_add(graph, SELF, past->state, z);
    }
    mn_node h = mn_graph_relu(graph, z);
    for (uint32_t i = 0; i < builder->experiment->model.fast_steps; i++) {
        mn_node sum = past->state == MN_NONE ? z : mn_graph_add(graph, z, drawn(graph, past, h));
        h = mn_graph_relu(graph, layer_norm(builder, sum));
    }
    return h;
}

/* Step t of `sentences` is over, with the state h; where mask [n, 1] is 0 it was none. */
static void keep(mn_builder *builder, struct past *past, uint32_t t, uint32_t sentences,
                 mn_node mask, mn_node h)
{
    mn_graph *graph = builder->graph;
    const mn_experiment *e = builder->experiment;
    const mn_extent extent = mn_builder_extent(builder, h);
    mn_node ones = mn_graph_constant(graph, 1, mn_builder_extent(builder, mask));
    mn_node left = mn_graph_scale_add(graph, e->model.fast_decay - 1, mask, ones);
    mn_node written = mn_graph_row_scale(graph, mask, h);
    mn_node kept = past->state == MN_NONE
                       ? MN_NONE
                       : mn_graph_reshape(graph, past->states,
                                          (mn_extent){extent.n, 1, 1, sentences * extent.c});
    past->states = mn_graph_reshape(
        graph, mn_graph_place_columns(graph, written, t * extent.c, sentences * extent.c, kept),
        (mn_extent){extent.n * sentences, 1, 1, extent.c});
    past->weights = mn_graph_place_columns(
        graph, mn_graph_scale(graph, e->model.fast_rate, mask), t, sentences,
        past->state == MN_NONE ? MN_NONE : mn_graph_row_scale(graph, left, past->weights));
    past->state = past->state == MN_NONE
                      ? written
                      : mn_graph_add(graph, past->state,
                                     mn_graph_row_scale(graph, mask,
                                                        mn_graph_subtract(graph, h, past->state)));
}

static void write(mn_builder *builder, mn_role role)
{
    mn_graph *graph = builder->graph;
    mn_node ids = mn_builder_need(builder, "model.memory fast-weights", role, "story");
    mn_node mask = mn_builder_need(builder, "model.memory fast-weights", role, "mask");
    const mn_extent story = mn_builder_extent(builder, ids);
    struct past past = {MN_NONE, MN_NONE, MN_NONE};
    if (builder->status == MN_OK && story.h > MOST_SENTENCES)
        (void)mn_builder_fail(
            builder, MN_ERR_CONFIG,
            "model.memory fast-weights reads stories of at most %u sentences, and "
            "these have %u: each looks at all before it",
            MOST_SENTENCES, (unsigned)story.h);
    if (builder->status != MN_OK)
        return;
    mn_node x = told(builder, mn_sentences_in_order(builder, role, ids));
    for (uint32_t t = 0; t < story.h; t++)
        keep(builder, &past, t, story.h, mn_graph_columns(graph, mask, t, 1),
             step(builder, &past, mn_graph_rows(graph, x, t * story.n, story.n)));
    builder->memory[role][STATE] = past.state;
    builder->memory[role][STATES] = past.states;
    builder->memory[role][WEIGHTS] = past.weights;
}

static mn_node read(mn_builder *builder, mn_role role, uint32_t hop, mn_node u)
{
    const mn_node *memory = builder->memory[role];
    const struct past past = {memory[STATE], memory[STATES], memory[WEIGHTS]};
    mn_node h = step(builder, &past, told(builder, u));
    mn_builder_show(builder, role, "read", hop + 1, h);
    return h;
}

const mn_part mn_fast_weights_part = {.name = "memory fast-weights", .write = write, .read = read};
