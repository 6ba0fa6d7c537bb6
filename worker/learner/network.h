/* network.h: the meta-memory network: input -> memory -> reasoning -> output, with a loss. Which
 * kinds it is made of is the experiment's choice. The same network is built for tasks of any extent
 * that give it the same parameters. */
#pragma once

#include "worker/learner/builder.h"
#include "worker/learner/parts/part.h"

typedef enum mn_module {
    MN_MODULE_INPUT,
    MN_MODULE_MEMORY,
    MN_MODULE_REASONING,
    MN_MODULE_OUTPUT,
    MN_N_MODULES
} mn_module;

typedef struct mn_network {
    const mn_experiment *experiment; /* lent */
    const mn_part *parts[MN_N_MODULES];
    mn_parameters parameters;             /* the network's, then those that a rule adds */
    uint32_t first[MN_N_MODULES + 1];     /* tensors [first[m], first[m + 1]) are module m's own */
    uint32_t n_norms, norms[MN_MAX_LIST]; /* layers of batch norm whose scales and shifts a rule
                                             gives, and their channels */
    uint32_t
        set_losses; /* numbers of the last tensor, which is the task set's: running losses of the
                            sets of a mixture that is drawn by difficulty; 0: there is none */
    bool is_plain;  /* y depends on u alone, item by item */
} mn_network;

/* Declare a network for tasks of these fields; the experiment is lent. MN_ERR_CONFIG: the image is
 * too small for the blocks, a part reads fields that the tasks do not have, or the like. */
mn_status mn_network_init(mn_network *network, const mn_experiment *experiment,
                          const mn_fields *fields, mn_error *err);

/* Would tasks of these fields give the same parameters? MN_ERR_CONFIG: names the first that
 * differs. */
mn_status mn_network_fits(const mn_network *network, const mn_fields *fields, mn_error *err);

/* A graph begun: what every graph of the network enters first. */
void mn_network_begin(const mn_network *network, const mn_fields *fields, mn_graph *graph,
                      mn_builder *builder);

/* After tensors[i] of all parameters are set: u of a set; and y of the sets asked for, from their u
 * (flow.u of a set that is not MN_NONE is taken as it is). Results are in builder->flow. */
mn_node mn_network_features(const mn_network *network, mn_builder *builder, mn_role role);
void mn_network_answer(const mn_network *network, mn_builder *builder, mn_role role);

/* Mean squared error, or mean cross-entropy of the softmax of y (nats), over the items of a set; or
 * what the output part has for a loss. */
mn_node mn_network_loss(const mn_network *network, mn_builder *builder, mn_role role);

/* Numbers of an answer, a row of flow.y: y_size, or with an output of means and deviations twice as
 * many. */
uint32_t mn_network_columns(const mn_network *network, const mn_fields *fields);

/* Multiply-adds of one forward pass over a set: of all parts that it needs, and the output module's
 * share. */
double mn_network_macs(const mn_network *network, const mn_fields *fields, mn_role role,
                       double *output_macs);
