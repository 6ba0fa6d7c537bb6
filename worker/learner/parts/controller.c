/* Reasoning step by step over sequences: the rows of u are time-major, step t of all sequences of
 * the bundle together. At each step a controller sees its row of u and what it read of the memory
 * the step before, and asks the memory by its own new state h. o is [h, r] of every step, a row each.
 * What needs no other step (the product of u, the output module) is done for all steps at once.
 * Source: Santoro et al. 2016 (Meta-learning with memory-augmented neural networks), section 3; the
 * feed-forward controller is the paper's baseline. */
#include "worker/learner/parts/part.h"

/* Steps and sequences of the rows of a set. */
struct course {
    uint32_t steps, sequences;
};

static struct course course_of(mn_builder *builder, const char *part, mn_node u)
{
    const uint32_t rows = mn_builder_extent(builder, u).n, bundle = builder->fields->bundle;
    if (bundle == 0 || rows % bundle != 0) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "%s reads sequences side by side, but a task has %u rows for %u of "
                              "them: use tasks.kind sequences, or model.reasoning none",
                              part, rows, bundle);
        return (struct course){1, rows};
    }
    return (struct course){rows / bundle, bundle};
}

/* What the controller knows at the end of a step; MN_NONE: nothing. */
struct state {
    mn_node h, cell, r;
};

/* One step: z [sequences, .] is the share of u; h and the cell are set. */
typedef void step(mn_builder *builder, mn_node z, struct state *state);

static mn_node unroll(mn_builder *builder, mn_role role, mn_node z, struct course course,
                      step *step_of)
{
    const mn_part *memory = mn_memory_of(builder->experiment);
    mn_graph *graph = builder->graph;
    struct state state = {MN_NONE, MN_NONE, MN_NONE};
    mn_node o = MN_NONE;
    for (uint32_t t = 0; t < course.steps && builder->status == MN_OK; t++) {
        step_of(builder, mn_graph_rows(graph, z, t * course.sequences, course.sequences), &state);
        if (memory->read != NULL)
            state.r = memory->read(builder, role, t, state.h);
        const mn_node row =
            state.r == MN_NONE
                ? state.h
                : mn_graph_concat_columns(graph, 2, (const mn_node[]){state.h, state.r});
        o = mn_graph_place_rows(graph, row, t * course.sequences, course.steps * course.sequences,
                                o);
    }
    return o;
}

/* LSTM: z = W_ih u + b + W_hh [r, h], as PyTorch's LSTMCell with r in front of h; gates i, f, g, o
 * (Gers et al. 2000). At the first step r and h are zero. */
static void lstm_step(mn_builder *builder, mn_node z, struct state *state)
{
    mn_graph *graph = builder->graph;
    mn_node known = state->h, share = MN_NONE;
    if (state->h != MN_NONE && state->r != MN_NONE)
        known = mn_graph_concat_columns(graph, 2, (const mn_node[]){state->r, state->h});
    if (known != MN_NONE)
        share = mn_graph_linear(graph, known,
                                mn_builder_weights(builder, "lstm.weight_hh",
                                                   mn_builder_extent(builder, known),
                                                   4 * builder->experiment->model.units));
    const mn_node now = mn_graph_lstm(graph, z, share, state->cell);
    state->h = mn_graph_lstm_output(graph, now);
    state->cell = mn_graph_lstm_cell(graph, now);
}

/* x W + b; PyTorch's names for a recurrent layer. */
static mn_node input_share(mn_builder *builder, const char *weight, const char *bias, mn_node u,
                           uint32_t out)
{
    mn_node w = mn_builder_weights(builder, weight, mn_builder_extent(builder, u), out);
    mn_node b = mn_builder_vector(builder, bias, out, MN_START_ZERO);
    return mn_graph_bias(builder->graph, mn_graph_linear(builder->graph, u, w), b);
}

static mn_node lstm(mn_builder *builder, mn_role role)
{
    const mn_node u = builder->flow.u[role];
    const struct course course = course_of(builder, "model.reasoning lstm", u);
    const mn_node z = input_share(builder, "lstm.weight_ih", "lstm.bias_ih", u,
                                  4 * builder->experiment->model.units);
    return unroll(builder, role, z, course, lstm_step);
}

const mn_part mn_lstm_part = {.name = "reasoning lstm", .build = lstm};

/* Feed-forward: h = f(W_ih u + b + W_rh r); all that it remembers is in the memory. */
static void layer_step(mn_builder *builder, mn_node z, struct state *state)
{
    mn_graph *graph = builder->graph;
    if (state->r != MN_NONE) {
        mn_node share = mn_graph_linear(graph, state->r,
                                        mn_builder_weights(builder, "layer.weight_rh",
                                                           mn_builder_extent(builder, state->r),
                                                           builder->experiment->model.units));
        z = mn_graph_add(graph, z, share);
    }
    state->h = mn_builder_activation(builder, z, builder->experiment->model.activation);
}

static mn_node feedforward(mn_builder *builder, mn_role role)
{
    const mn_node u = builder->flow.u[role];
    const struct course course = course_of(builder, "model.reasoning feedforward", u);
    const mn_node z = input_share(builder, "layer.weight_ih", "layer.bias_ih", u,
                                  builder->experiment->model.units);
    return unroll(builder, role, z, course, layer_step);
}

const mn_part mn_feedforward_part = {.name = "reasoning feedforward", .build = feedforward};
