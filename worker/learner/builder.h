/* builder.h: how a part of the network declares its parameters and writes its operations, in one
 * walk. The same code runs once to declare (each tensor it names is added to the list of
 * parameters) and then for every graph that is compiled (it finds the tensor of that name); so
 * nothing has to be counted alike in two places, and two parts that name the same tensor share it.
 */
#pragma once

#include "common/experiment.h"
#include "worker/engine/graph.h"
#include "worker/learner/parameters.h"
#include "worker/tasks/task.h"

/* What the parts hand on, by the set that it belongs to (MN_SUPPORT, MN_QUERY). */
typedef struct mn_flow {
    mn_node u[2]; /* input -> reasoning: features, a row an item */
    mn_node o[2]; /* reasoning -> output */
    mn_node y[2]; /* the answers, a row an item */
} mn_flow;

#define MN_MEMORY_NODES 16
#define MN_MAX_STATISTICS 64
#define MN_MAX_SHOWN 64

typedef struct mn_builder {
    mn_graph *graph;
    const mn_experiment *experiment;
    const mn_fields *fields;
    mn_parameters *declared;            /* while declaring; else NULL */
    const mn_parameters *parameters;    /* the list */
    mn_node tensors[MN_MAX_PARAMETERS]; /* the node of tensor i */
    mn_flow flow;
    bool training;         /* the graph is for training tasks: statistics are those at hand */
    uint32_t n_statistics; /* tensors that are statistics, and what they should be; of each set */
    struct {
        uint32_t tensor;
        mn_node now;
    } statistics[MN_MAX_STATISTICS];
    mn_node support_moments[MN_MAX_LIST][2]; /* mean and variance of the support set before batch
                                                norm, by layer; MN_NONE: not built */
    mn_node step_norms[MN_MAX_LIST][2]; /* scale and shift of batch norm, by layer, as a rule gives
                                           them for an inner step; MN_NONE: it has not */
    uint32_t n_norms, norms[MN_MAX_LIST]; /* layers that wait for such, and their channels */
    mn_node head
        [2]; /* meta.head_start prototypes, zero: weights and bias of the task; MN_NONE at first */
    mn_node memory[2][MN_MEMORY_NODES]; /* what the memory part keeps between its calls; MN_NONE at
                                           first */
    uint32_t n_shown;                   /* nodes of the query set to look at */
    struct {
        char name[24]; /* "attention" */
        uint32_t hop;  /* from 1; 0: there are no hops */
        mn_node node;
    } shown[MN_MAX_SHOWN];
    mn_status status; /* the first failure; what is built after it has no meaning */
    mn_error *err;
} mn_builder;

/* Fails for good. */
mn_status mn_builder_fail(mn_builder *builder, mn_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The node of a tensor. Weights [out, in] of a linear map from items like `from`; of a 3x3
 * convolution; a vector; a table [rows, c]. */
mn_node mn_builder_weights(mn_builder *builder, const char *name, mn_extent from, uint32_t out);
mn_node mn_builder_kernel(mn_builder *builder, const char *name, uint32_t c_in, uint32_t c_out);
mn_node mn_builder_vector(mn_builder *builder, const char *name, uint32_t c, mn_init init);
mn_node mn_builder_table(mn_builder *builder, const char *name, uint32_t rows, uint32_t c,
                         mn_init init, double scale);

/* Let a tensor that was just named begin normal with standard deviation `scale`, whatever
 * model.init says of weights. */
void mn_builder_start_normal(mn_builder *builder, const char *name, double scale);

/* Let a tensor that was just named be in theta what it is at first, whatever is learned. */
void mn_builder_let_stand(mn_builder *builder, const char *name);

/* A vector that is a running statistic, beginning with `start`; `now` is what it is in this set. */
mn_node mn_builder_statistic(mn_builder *builder, const char *name, uint32_t c, double start,
                             mn_node now);
/* What the outer step is told of the statistics: running - now, the mean of the sets that were
 * built, in gradients[tensor]. */
void mn_builder_tell_statistics(mn_builder *builder, mn_node *gradients);

/* x W + b with tensors <name>.weight and <name>.bias. */
mn_node mn_builder_linear(mn_builder *builder, const char *name, mn_node x, uint32_t out);
mn_node mn_builder_activation(mn_builder *builder, mn_node x, mn_activation activation);

/* The numbers of a field of the task; MN_NONE: it has none of this name. _need: that is a failure,
 * which names the part that asked for it. */
mn_node mn_builder_field(const mn_builder *builder, mn_role role, const char *name);
mn_node mn_builder_need(mn_builder *builder, const char *part, mn_role role, const char *name);

/* [c] over the classes of tasks whose number of classes varies (shared.classes): 1 where a class is
 * not there, else 0; MN_NONE: all are. And scores or logits `z` [n, c] of which those that are not
 * there, or not items but padding, `absent` [c], can never be the largest nor have a part in a
 * softmax, to the last bit; z where absent is MN_NONE. */
mn_node mn_builder_absent_classes(const mn_builder *builder);
mn_node mn_builder_leave_out(const mn_builder *builder, mn_node z, mn_node absent);

/* How many numbers the words of the fields have. */
uint32_t mn_builder_vocabulary(const mn_builder *builder);

/* Let a node of the query set be found under a name (builder->shown), to be looked at. */
void mn_builder_show(mn_builder *builder, mn_role role, const char *name, uint32_t hop,
                     mn_node node);

/* Features as a row an item, whatever their extent. */
mn_node mn_builder_flat(mn_builder *builder, mn_node u);

mn_extent mn_builder_extent(const mn_builder *builder, mn_node node);
