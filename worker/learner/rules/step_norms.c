#include "worker/learner/rules/step_norms.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char *const kinds[2] = {"weight", "bias"};

static void name_of(uint32_t layer, int kind, char name[32])
{
    (void)snprintf(name, 32, "bn%u.%s", layer + 1, kinds[kind]);
}

mn_status mn_step_norms_declare(mn_network *network, mn_error *err)
{
    const uint32_t steps = network->experiment->meta.inner_steps;
    for (uint32_t i = 0; i < network->n_norms; i++)
        for (int kind = 0; kind < 2; kind++) {
            char name[32];
            name_of(i, kind, name);
            if (mn_parameters_add_table(&network->parameters, name, steps, network->norms[i],
                                        kind == 0 ? MN_START_ONE : MN_START_ZERO, 0) == UINT32_MAX)
                return mn_fail(err, MN_ERR_CONFIG,
                               "model: more than %d tensors of parameters; use fewer layers",
                               MN_MAX_PARAMETERS);
        }
    return MN_OK;
}

void mn_step_norms_init(mn_step_norms *norms, const mn_network *network)
{
    norms->n = network->n_norms;
    norms->steps = network->experiment->meta.inner_steps;
    for (uint32_t i = 0; i < norms->n; i++) {
        norms->layers[i].channels = network->norms[i];
        for (int kind = 0; kind < 2; kind++) {
            char name[32];
            name_of(i, kind, name);
            const uint32_t tensor = mn_parameters_find(&network->parameters, name);
            assert(tensor != UINT32_MAX);
            norms->layers[i].rows[kind] = network->parameters.at[tensor].offset;
            norms->layers[i].at[kind] = norms->size;
            norms->size += network->norms[i];
        }
    }
}

void mn_step_norms_enter(const mn_step_norms *norms, mn_builder *builder, mn_node *nodes)
{
    for (uint32_t i = 0; i < norms->n; i++)
        for (int kind = 0; kind < 2; kind++) {
            const mn_extent extent = {1, 1, 1, norms->layers[i].channels};
            *nodes =
                mn_graph_input(builder->graph, MN_SLOT_STEP, norms->layers[i].at[kind], extent);
            builder->step_norms[i][kind] = *nodes++;
        }
}

/* Where in theta. */
static size_t place_of(const mn_step_norms *norms, uint32_t layer, int kind, uint32_t step)
{
    const uint32_t row = step < norms->steps ? step : norms->steps - 1;
    return norms->layers[layer].rows[kind] + (size_t)row * norms->layers[layer].channels;
}

void mn_step_norms_take(const mn_step_norms *norms, const mn_real *theta, uint32_t step,
                        mn_real *set)
{
    for (uint32_t i = 0; i < norms->n; i++)
        for (int kind = 0; kind < 2; kind++)
            memcpy(set + norms->layers[i].at[kind], theta + place_of(norms, i, kind, step),
                   norms->layers[i].channels * sizeof *set);
}

void mn_step_norms_add(const mn_step_norms *norms, uint32_t step, mn_real factor,
                       const mn_real *part, mn_real *of_theta)
{
    for (uint32_t i = 0; i < norms->n; i++)
        for (int kind = 0; kind < 2; kind++) {
            const mn_real *from = part + norms->layers[i].at[kind];
            mn_real *to = of_theta + place_of(norms, i, kind, step);
            for (uint32_t c = 0; c < norms->layers[i].channels; c++)
                to[c] += factor * from[c];
        }
}
