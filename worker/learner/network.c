#include "worker/learner/network.h"

#include "worker/learner/parts/plugin_part.h"
#include <string.h>

static const mn_part *const inputs[] = {
    [MN_INPUT_MLP] = &mn_mlp_part,
    [MN_INPUT_CONV4] = &mn_conv4_part,
    [MN_INPUT_IDENTITY] = &mn_identity_part,
    [MN_INPUT_SENTENCES] = &mn_sentences_part,
    [MN_INPUT_LINEAR] = &mn_linear_input_part,
};
static const mn_part *const memories[] = {
    [MN_MEMORY_NONE] = &mn_no_memory_part,
    [MN_MEMORY_CLASS_MEANS] = &mn_class_means_part,
    [MN_MEMORY_SUPPORT] = &mn_support_memory_part,
    [MN_MEMORY_TABLE] = &mn_table_part,
    [MN_MEMORY_LRUA] = &mn_lrua_memory_part,
    [MN_MEMORY_MEAN] = &mn_mean_part,
    [MN_MEMORY_STORY] = &mn_story_part,
    [MN_MEMORY_SENTENCES] = &mn_sentences_memory_part,
    [MN_MEMORY_ENTITIES] = &mn_entities_part,
    [MN_MEMORY_KEY_VALUE] = &mn_key_value_part,
    [MN_MEMORY_FAST_WEIGHTS] = &mn_fast_weights_part,
    [MN_MEMORY_CONTEXT] = &mn_context_part,
    [MN_MEMORY_TRANSFORMER] = &mn_transformer_part,
    [MN_MEMORY_DESCRIPTIONS] = &mn_descriptions_part,
    [MN_MEMORY_RIDGE] = &mn_ridge_part,
};
static const mn_part *const reasonings[] = {
    [MN_REASONING_NONE] = &mn_no_reasoning_part,
    [MN_REASONING_CONCAT_LINEAR] = &mn_concat_linear_part,
    [MN_REASONING_LSTM] = &mn_lstm_part,
    [MN_REASONING_FEEDFORWARD] = &mn_feedforward_part,
    [MN_REASONING_CONCAT_MLP] = &mn_concat_mlp_part,
    [MN_REASONING_HOPS] = &mn_hops_part,
    [MN_REASONING_QUERY_REDUCTION] = &mn_query_reduction_part,
    [MN_REASONING_PRELU_HOPS] = &mn_prelu_hops_part,
    [MN_REASONING_READ] = &mn_read_part,
};
static const mn_part *const outputs[] = {
    [MN_OUTPUT_LINEAR] = &mn_linear_output_part,
    [MN_OUTPUT_DISTANCE] = &mn_distance_part,
    [MN_OUTPUT_MATCH] = &mn_match_part,
    [MN_OUTPUT_GAUSSIAN] = &mn_gaussian_part,
    [MN_OUTPUT_WORDS] = &mn_words_part,
    [MN_OUTPUT_COMPATIBILITY] = &mn_compatibility_part,
    [MN_OUTPUT_CANDIDATES] = &mn_candidates_part,
};

static const struct {
    const mn_part *const *rows;
    size_t n;
} kinds[MN_N_MODULES] = {
    [MN_MODULE_INPUT] = {inputs, sizeof inputs / sizeof *inputs},
    [MN_MODULE_MEMORY] = {memories, sizeof memories / sizeof *memories},
    [MN_MODULE_REASONING] = {reasonings, sizeof reasonings / sizeof *reasonings},
    [MN_MODULE_OUTPUT] = {outputs, sizeof outputs / sizeof *outputs},
};

/* What follows our own kinds is a plug-in's. */
static const mn_part *part_of(mn_module module, unsigned kind)
{
    return kind < kinds[module].n ? kinds[module].rows[kind]
                                  : mn_plugin_part((unsigned)module, kind);
}

#define OUT_OF_THE_QUESTION 1e9 /* what an answer is lowered by; its exponential is 0 */
#define TINY 1e-14              /* added to variances, and to how many classes are seen */

static void refuse_padding(const mn_network *network, mn_builder *builder, const mn_fields *fields);
static void declare(mn_network *network, mn_builder *builder, const mn_fields *fields);
static mn_node build(const mn_network *network, mn_builder *builder, mn_module module,
                     mn_role role);

bool mn_head_is_of_task(const mn_experiment *experiment)
{
    return (experiment->meta.kind == MN_META_MAML || experiment->meta.kind == MN_META_ANIL) &&
           experiment->meta.head_start != MN_HEAD_LEARNED;
}

const mn_part *mn_memory_of(const mn_experiment *experiment)
{
    return part_of(MN_MODULE_MEMORY, experiment->model.memory);
}

/* Tasks, network and adaptation are a program of the user's own then. */
static mn_status is_ours(const mn_experiment *experiment, mn_error *err)
{
    return experiment->tasks.kind != MN_TASKS_EXTERNAL
               ? MN_OK
               : mn_fail(
                     err, MN_ERR_CONFIG,
                     "the learner of this run is a program of the user's own (tasks.kind "
                     "external), with which only that program computes: `mnemo export` gives it "
                     "theta, and workers join the run with `python3 -m mnemo_worker "
                     "my_learner.py:MyLearner ENDPOINT`");
}

mn_status mn_network_init(mn_network *network, const mn_experiment *experiment,
                          const mn_fields *fields, mn_error *err)
{
    mn_status known = is_ours(experiment, err);
    memset(network, 0, sizeof *network);
    if (known != MN_OK)
        return known;
    network->experiment = experiment;
    network->parts[MN_MODULE_INPUT] = part_of(MN_MODULE_INPUT, experiment->model.input);
    network->parts[MN_MODULE_MEMORY] = part_of(MN_MODULE_MEMORY, experiment->model.memory);
    network->parts[MN_MODULE_REASONING] = part_of(MN_MODULE_REASONING, experiment->model.reasoning);
    network->parts[MN_MODULE_OUTPUT] = part_of(MN_MODULE_OUTPUT, experiment->model.output);
    network->is_plain = experiment->model.memory == MN_MEMORY_NONE &&
                        experiment->model.reasoning == MN_REASONING_NONE;

    mn_graph graph;
    mn_builder builder;
    mn_network_begin(network, fields, &graph, &builder);
    builder.declared = &network->parameters;
    builder.err = err;
    const mn_part *memory = network->parts[MN_MODULE_MEMORY];
    if (memory->written_by_support && mn_fields_find(fields, MN_SUPPORT, "y") == NULL)
        (void)mn_builder_fail(&builder, MN_ERR_CONFIG,
                              "model.%s is written by the support set, which these tasks do not "
                              "have: give them one (tasks.shot), or choose another model.memory",
                              memory->name);
    refuse_padding(network, &builder, fields);
    declare(network, &builder, fields);
    network->n_norms = builder.n_norms;
    memcpy(network->norms, builder.norms, sizeof network->norms);
    mn_status status = builder.status == MN_OK ? mn_graph_check(&graph, err) : builder.status;
    mn_graph_fini(&graph);
    return status;
}

/* Tasks that vary in classes and items are padded; who would take padding for items says so here. */
static void refuse_padding(const mn_network *network, mn_builder *builder, const mn_fields *fields)
{
    static const char *const others[MN_N_MODULES] = {
        [MN_MODULE_MEMORY] = "class-means, support, table, context or none",
        [MN_MODULE_REASONING] = "concat-linear, concat-mlp, hops, read or none"};
    for (mn_module module = MN_MODULE_MEMORY; module <= MN_MODULE_REASONING; module++)
        if (mn_fields_have_padding(fields) && !network->parts[module]->takes_padding)
            (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                                  "model.%s would take the padding of tasks of several ways and "
                                  "shots for items: use %s, or tasks of one size "
                                  "(tasks.way_from, tasks.shot_from, evaluate.way_from and "
                                  "evaluate.shot_from 0)",
                                  network->parts[module]->name, others[module]);
}

/* Module by module, so that each one's own tensors stand together. */
static void declare(mn_network *network, mn_builder *builder, const mn_fields *fields)
{
    const bool both = mn_fields_find(fields, MN_SUPPORT, "y") != NULL;
    const mn_role from = both ? MN_SUPPORT : MN_QUERY;
    for (mn_role role = from; role <= MN_QUERY && builder->status == MN_OK; role++)
        (void)mn_network_features(network, builder, role);
    for (mn_module module = MN_MODULE_MEMORY; module < MN_N_MODULES; module++) {
        const mn_part *part = network->parts[module];
        network->first[module] = network->parameters.n;
        for (mn_role role = from; role <= MN_QUERY && builder->status == MN_OK; role++) {
            if (module == MN_MODULE_MEMORY && part->write != NULL)
                part->write(builder, role);
            if (module == MN_MODULE_REASONING)
                builder->flow.o[role] = build(network, builder, module, role);
            if (module == MN_MODULE_OUTPUT)
                builder->flow.y[role] = build(network, builder, module, role);
        }
    }
    network->first[MN_N_MODULES] = network->parameters.n;
}

/* Once something has failed nothing more is asked of the parts. */
static mn_node build(const mn_network *network, mn_builder *builder, mn_module module, mn_role role)
{
    const mn_part *part = network->parts[module];
    if (builder->status != MN_OK)
        return mn_graph_zero(builder->graph, (mn_extent){1, 1, 1, 1});
    mn_graph_part(builder->graph, part->name);
    return part->build(builder, role);
}

mn_status mn_network_fits(const mn_network *network, const mn_fields *fields, mn_error *err)
{
    mn_network other;
    mn_status status = mn_network_init(&other, network->experiment, fields, err);
    const uint32_t n = network->first[MN_N_MODULES];
    if (status != MN_OK)
        return status;
    for (uint32_t i = 0; i < n && i < other.parameters.n; i++) {
        const mn_parameter *ours = &network->parameters.at[i], *theirs = &other.parameters.at[i];
        if (strcmp(ours->tensor.name, theirs->tensor.name) != 0 ||
            memcmp(&ours->inside, &theirs->inside, sizeof ours->inside) != 0)
            return mn_fail(err, MN_ERR_CONFIG,
                           "tensor %s would be of another shape for these tasks than for training "
                           "tasks (is there a row for each class? Then evaluate.way must be "
                           "tasks.way; model.output distance has none)",
                           ours->tensor.name);
    }
    return n == other.parameters.n ? MN_OK
                                   : mn_fail(err, MN_ERR_CONFIG,
                                             "these tasks would give the network %u tensors of "
                                             "parameters, training tasks %u",
                                             other.parameters.n, n);
}

void mn_network_begin(const mn_network *network, const mn_fields *fields, mn_graph *graph,
                      mn_builder *builder)
{
    mn_graph_init(graph);
    memset(builder, 0, sizeof *builder);
    builder->graph = graph;
    builder->experiment = network->experiment;
    builder->fields = fields;
    builder->parameters = &network->parameters;
    memset(&builder->flow, 0xff, sizeof builder->flow); /* MN_NONE */
    memset(builder->memory, 0xff, sizeof builder->memory);
    memset(builder->head, 0xff, sizeof builder->head);
    memset(builder->step_norms, 0xff, sizeof builder->step_norms);
    memset(builder->support_moments, 0xff, sizeof builder->support_moments);
}

/* Where the tasks tell the label of the item before, as sequences do, it stands behind the features
 * of the item. */
static mn_node told(mn_builder *builder, mn_role role, mn_node u)
{
    const mn_node label = mn_builder_field(builder, role, "label_before");
    if (label == MN_NONE || builder->status != MN_OK)
        return u;
    return mn_graph_concat_columns(builder->graph, 2,
                                   (const mn_node[]){mn_builder_flat(builder, u), label});
}

mn_node mn_network_features(const mn_network *network, mn_builder *builder, mn_role role)
{
    const mn_experiment *e = network->experiment;
    const bool follows =
        role == MN_QUERY && (e->model.batch_norm_statistics == MN_STATISTICS_SUPPORT ||
                             (mn_head_is_of_task(e) && builder->head[0] == MN_NONE &&
                              e->meta.head_start == MN_HEAD_PROTOTYPES));
    if (follows && mn_fields_find(builder->fields, MN_SUPPORT, "x") != NULL)
        (void)mn_network_features(network, builder, MN_SUPPORT);
    if (builder->flow.u[role] == MN_NONE)
        builder->flow.u[role] = told(builder, role, build(network, builder, MN_MODULE_INPUT, role));
    return builder->flow.u[role];
}

/* Calibrated stacking (Chao et al. 2016, arXiv:1605.04253, eq. 2): classes that were seen in support
 * are held back. How far answers lie apart depends on how many classes are seen, which in validation
 * are fewer; so model.calibration is in standard deviations of an item's answers y [q, way] among
 * seen classes, seen [way, 1]. */
static mn_node hold_back_seen(mn_builder *builder, mn_node y, mn_node seen)
{
    mn_graph *graph = builder->graph;
    const mn_extent extent = mn_builder_extent(builder, y), number = {1, 1, 1, 1};
    const mn_extent column = {extent.n, 1, 1, 1};
    seen = mn_graph_reshape(graph, seen, (mn_extent){extent.c, 1, 1, 1});
    mn_node share =
        mn_graph_reciprocal(graph, mn_graph_add(graph, mn_graph_column_sums(graph, seen),
                                                mn_graph_constant(graph, TINY, number)));
    mn_node weights = mn_graph_column_scale(graph, seen, share);
    const mn_node ones = mn_graph_constant(graph, 1, (mn_extent){extent.c, 1, 1, 1});
    mn_node mean = mn_graph_product(graph, y, weights, false, false);
    mn_node off = mn_graph_add(
        graph, y, mn_graph_scale(graph, -1, mn_graph_product(graph, mean, ones, false, true)));
    mn_node variance =
        mn_graph_product(graph, mn_graph_multiply(graph, off, off), weights, false, false);
    mn_node deviation =
        mn_graph_root(graph, mn_graph_add(graph, variance, mn_graph_constant(graph, TINY, column)));
    return mn_graph_add(graph, y,
                        mn_graph_scale(graph, -builder->experiment->model.calibration,
                                       mn_graph_product(graph, deviation, seen, false, true)));
}

/* Where the tasks tell for each item among which classes it is asked, the others are out of the
 * question. */
static mn_node among_candidates(mn_builder *builder, mn_role role, mn_node y)
{
    const mn_node candidates = mn_builder_field(builder, role, "candidates");
    const mn_node seen = mn_builder_field(builder, MN_SHARED, "seen");
    mn_graph *graph = builder->graph;
    if (builder->status != MN_OK)
        return y;
    const mn_extent extent = mn_builder_extent(builder, y);
    if (seen != MN_NONE && builder->experiment->model.calibration != 0)
        y = hold_back_seen(builder, y, seen);
    if (candidates == MN_NONE)
        return y;
    return mn_graph_add(
        graph, y,
        mn_graph_scale(graph, OUT_OF_THE_QUESTION,
                       mn_graph_add(graph, candidates, mn_graph_constant(graph, -1, extent))));
}

void mn_network_answer(const mn_network *network, mn_builder *builder, mn_role role)
{
    const mn_part *memory = network->parts[MN_MODULE_MEMORY];
    const mn_role writer = memory->written_by_support ? MN_SUPPORT : role;
    (void)mn_network_features(network, builder, writer);
    if (memory->write != NULL) {
        mn_graph_part(builder->graph, memory->name);
        memory->write(builder, writer);
    }
    (void)mn_network_features(network, builder, role);
    builder->flow.o[role] = build(network, builder, MN_MODULE_REASONING, role);
    builder->flow.y[role] =
        among_candidates(builder, role, build(network, builder, MN_MODULE_OUTPUT, role));
    if (builder->status == MN_OK)
        builder->flow.y[role] = mn_builder_leave_out(builder, builder->flow.y[role],
                                                     mn_builder_absent_classes(builder));
}

/* Mean over items of the sum of the cross-entropies of their labels. */
static mn_node loss_of_symbols(mn_builder *builder, mn_node y, mn_node target)
{
    const uint32_t n = mn_builder_extent(builder, y).n, symbols = builder->fields->symbols;
    const mn_extent labels = {n * symbols, 1, 1, builder->fields->y_size / symbols};
    return mn_graph_weighted_cross_entropy(
        builder->graph, mn_graph_reshape(builder->graph, y, labels),
        mn_graph_reshape(builder->graph, target, labels),
        mn_graph_constant(builder->graph, 1.0 / n, (mn_extent){n * symbols, 1, 1, 1}));
}

/* Sum over items of weight times their mean squared error. */
static mn_node weighted_squared_error(mn_builder *builder, mn_node y, mn_node target,
                                      mn_node weights)
{
    mn_graph *graph = builder->graph;
    mn_node off = mn_graph_subtract(graph, y, target);
    mn_node each = mn_graph_row_scale(graph, weights, mn_graph_multiply(graph, off, off));
    return mn_graph_mean(graph, mn_graph_scale(graph, mn_builder_extent(builder, y).n, each));
}

mn_node mn_network_loss(const mn_network *network, mn_builder *builder, mn_role role)
{
    const mn_part *output = network->parts[MN_MODULE_OUTPUT];
    if (output->loss != NULL) {
        mn_graph_part(builder->graph, output->name);
        return output->loss(builder, role);
    }
    mn_node y = builder->flow.y[role], target = mn_builder_field(builder, role, "y");
    mn_node weights = mn_builder_field(builder, role, "weight");
    if (builder->fields->symbols > 1)
        return loss_of_symbols(builder, y, target);
    if (weights != MN_NONE && builder->fields->target == MN_TARGET_CLASSES)
        return output->by_softmax
                   ? mn_graph_choice_loss(builder->graph, y, target, weights)
                   : mn_graph_weighted_cross_entropy(builder->graph, y, target, weights);
    if (weights != MN_NONE)
        return weighted_squared_error(builder, y, target, weights);
    return builder->fields->target == MN_TARGET_CLASSES
               ? mn_graph_cross_entropy(builder->graph, y, target)
               : mn_graph_squared_error(builder->graph, y, target);
}

uint32_t mn_network_columns(const mn_network *network, const mn_fields *fields)
{
    const uint32_t columns = network->parts[MN_MODULE_OUTPUT]->columns;
    return columns == 0 ? fields->y_size : columns * fields->y_size;
}

double mn_network_macs(const mn_network *network, const mn_fields *fields, mn_role role,
                       double *output_macs)
{
    mn_graph graph;
    mn_builder builder;
    mn_network_begin(network, fields, &graph, &builder);
    const mn_parameters *list = &network->parameters;
    for (uint32_t i = 0; i < list->n; i++)
        builder.tensors[i] =
            mn_graph_input(&graph, MN_SLOT_THETA, list->at[i].offset, list->at[i].inside);
    mn_network_answer(network, &builder, role);
    double macs = mn_graph_macs(&graph, builder.flow.y[role]), before = macs;
    if (builder.flow.o[role] != MN_NONE)
        before = mn_graph_macs(&graph, builder.flow.o[role]);
    mn_graph_fini(&graph);
    if (output_macs != NULL)
        *output_macs = macs - before;
    return macs;
}
