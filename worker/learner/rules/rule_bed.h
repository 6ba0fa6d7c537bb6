/* rule_bed.h: for tests of rules in double: a small task of images in three classes, a theta, and a
 * whole meta-gradient against central differences of what it should be the gradient of. */
#pragma once

#include "worker/learner/gradient_bed.h"
#include "worker/learner/rules/rule.h"

#define N_SUPPORT 6
#define N_QUERY 4
#define N_CLASSES 3
#define MAX_THETA 4096
#define KEEP_BYTES ((size_t)128 * 1024) /* the activations of three inner steps or so */

struct bed {
    mn_experiment experiment;
    mn_network network;
    mn_fields fields;
    mn_rule *rule;
    void *scratch;
    mn_real task[1024], output[N_QUERY * N_CLASSES];
    mn_real theta[MAX_THETA], gradient[MAX_THETA];
    mn_rule_data data;
};

/* What training makes small; by default the query loss after all inner steps. */
typedef double objective(struct bed *bed);

static inline mn_experiment conv(bool flatten)
{
    return (mn_experiment){.model = {.input = MN_INPUT_CONV4,
                                     .filters = 3,
                                     .blocks = 2,
                                     .downsampling = flatten ? MN_DOWN_MAX_POOL : MN_DOWN_STRIDE,
                                     .readout = flatten ? MN_READOUT_FLATTEN : MN_READOUT_MEAN,
                                     .batch_norm = true,
                                     .batch_norm_eps = 1e-5},
                           .meta = {.kind = MN_META_MAML, .order = 2, .inner_lr = 0.2}};
}

static inline mn_experiment mlp(mn_activation activation, bool batch_norm)
{
    return (mn_experiment){.model = {.input = MN_INPUT_MLP,
                                     .hidden = {.n = 2, .at = {7, 5}},
                                     .activation = activation,
                                     .batch_norm = batch_norm,
                                     .batch_norm_eps = 1e-5},
                           .meta = {.kind = MN_META_MAML, .order = 2, .inner_lr = 0.2}};
}

/* What adapts of a network with MAML. */
static inline mn_experiment adapting(mn_experiment experiment, mn_adapts adapts)
{
    experiment.meta.adapts = adapts;
    return experiment;
}

static inline mn_experiment normed(mn_experiment experiment, mn_statistics statistics)
{
    experiment.model.batch_norm_statistics = statistics;
    return experiment;
}

static inline mn_experiment from_prototypes(mn_experiment experiment)
{
    experiment.meta.head_start = MN_HEAD_PROTOTYPES;
    return experiment;
}

static inline mn_experiment updating(mn_experiment experiment, uint32_t units)
{
    experiment.meta.update = MN_UPDATE_LEARNED;
    experiment.meta.update_units = units;
    return experiment;
}

/* Elements of theta, and of it the network's own. */
static inline size_t size_of(const struct bed *bed)
{
    return bed->network.parameters.size;
}

static inline size_t network_size(const struct bed *bed)
{
    const mn_parameter *last = &bed->network.parameters.at[bed->network.first[MN_N_MODULES] - 1];
    return last->offset + last->count;
}

static inline size_t head_of(const struct bed *bed)
{
    return bed->network.parameters.at[bed->network.first[MN_MODULE_OUTPUT]].offset;
}

static inline const mn_parameter *tensor_of(const struct bed *bed, const char *name)
{
    uint32_t i = mn_parameters_find(&bed->network.parameters, name);
    if (i == UINT32_MAX)
        fail_msg("there is no tensor %s", name);
    return &bed->network.parameters.at[i];
}

/* Weights of up to 0.6; what a rule adds as it begins, and a bit beside it; what is to stand does. */
static inline void fill(struct bed *bed)
{
    const mn_field *at = bed->fields.at;
    seed_state = 88172645463325252u;
    for (size_t i = 0; i < mn_field_count(&at[MN_SUPPORT_X]); i++)
        bed->task[at[MN_SUPPORT_X].offset + i] = (mn_real)draw();
    for (size_t i = 0; i < mn_field_count(&at[MN_QUERY_X]); i++)
        bed->task[at[MN_QUERY_X].offset + i] = (mn_real)draw();
    for (size_t i = 0; i < N_SUPPORT; i++)
        bed->task[at[MN_SUPPORT_Y].offset + i * N_CLASSES + i % N_CLASSES] = 1;
    for (size_t i = 0; i < N_QUERY; i++)
        bed->task[at[MN_QUERY_Y].offset + i * N_CLASSES + (i + 1) % N_CLASSES] = 1;
    mn_parameters_start(&bed->network.parameters, MN_INIT_GLOROT, 1, bed->theta);
    for (uint32_t i = 0; i < bed->network.parameters.n; i++) {
        const mn_parameter *tensor = &bed->network.parameters.at[i];
        mn_real *values = bed->theta + tensor->offset;
        for (size_t k = 0; k < tensor->count && !tensor->stands; k++)
            values[k] = tensor->offset < network_size(bed)
                            ? (mn_real)(0.6 * draw())
                            : (mn_real)((double)values[k] + 0.1 * draw());
    }
}

/* change: what a test makes of the network before the rule sees it, or NULL. */
static inline struct bed *bed_changed(void (*change)(mn_network *network), mn_experiment experiment,
                                      uint32_t steps, bool differentiate, size_t keep_bytes)
{
    static const uint32_t image[3] = {6, 6, 1};
    struct bed *bed = calloc(1, sizeof *bed);
    assert_non_null(bed);
    mn_error err = {0};
    bed->experiment = experiment;
    bed->experiment.meta.inner_steps = steps;
    assert_int_equal(mn_fields_few_shot(&bed->fields, N_SUPPORT, N_QUERY, image, MN_TARGET_CLASSES,
                                        N_CLASSES, &err),
                     MN_OK);
    assert_true(bed->fields.size <= sizeof bed->task / sizeof *bed->task);
    if (mn_network_init(&bed->network, &bed->experiment, &bed->fields, &err) != MN_OK)
        fail_msg("%s", err.message);
    if (change != NULL)
        change(&bed->network);
    if (mn_rule_declare(&bed->network, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_true(size_of(bed) <= MAX_THETA);
    const mn_rule_order order = {.network = &bed->network,
                                 .fields = &bed->fields,
                                 .kernels = mn_kernels_choose(),
                                 .differentiate = differentiate,
                                 .keep_bytes = keep_bytes};
    if (mn_rule_new(&order, &bed->rule, &err) != MN_OK)
        fail_msg("%s", err.message);
    bed->scratch = aligned_alloc(64, mn_rule_scratch_bytes(bed->rule));
    assert_non_null(bed->scratch);
    memset(bed->scratch, 0xff, mn_rule_scratch_bytes(bed->rule)); /* NaNs: none may be read */
    fill(bed);
    bed->data.task = bed->task;
    return bed;
}

static inline struct bed *bed_new(mn_experiment experiment, uint32_t steps, bool differentiate,
                                  size_t keep_bytes)
{
    return bed_changed(NULL, experiment, steps, differentiate, keep_bytes);
}

static inline mn_experiment by(mn_experiment experiment, mn_meta_kind kind, uint32_t order)
{
    experiment.meta.kind = kind;
    experiment.meta.order = order;
    return experiment;
}

static inline struct bed *bed_of(mn_experiment experiment, mn_meta_kind kind, uint32_t order,
                                 uint32_t steps, bool differentiate)
{
    return bed_new(by(experiment, kind, order), steps, differentiate, KEEP_BYTES);
}

static inline void bed_destroy(struct bed *bed)
{
    mn_rule_destroy(&bed->rule);
    free(bed->scratch);
    free(bed);
}

static inline mn_rule_losses differentiate_in(struct bed *bed)
{
    return mn_rule_gradient(bed->rule, bed->scratch, bed->theta, &bed->data, bed->gradient,
                            bed->output);
}

/* The query loss after `steps` inner steps. */
static inline double judged_after(struct bed *bed, uint32_t steps)
{
    mn_rule_begin(bed->rule, bed->scratch, bed->theta, &bed->data);
    for (uint32_t k = 0; k < steps; k++)
        (void)mn_rule_step(bed->rule, bed->scratch, bed->theta, &bed->data);
    return mn_rule_judge(bed->rule, bed->scratch, bed->theta, &bed->data, bed->output);
}

static inline double judged_last(struct bed *bed)
{
    return judged_after(bed, mn_rule_steps(bed->rule));
}

/* What the objective is of, for gradient_bed.h. */
struct objective_of {
    struct bed *bed;
    objective *value;
};

static inline double value_of(void *of)
{
    const struct objective_of *at = of;
    return at->value(at->bed);
}

/* All of the meta-gradient. The bed is destroyed. */
static inline void check_objective(struct bed *bed, objective *value, double tolerance,
                                   const char *what)
{
    struct objective_of of = {bed, value};
    (void)differentiate_in(bed);
    const struct gradient_bed check = {.parameters = &bed->network.parameters,
                                       .theta = bed->theta,
                                       .gradient = bed->gradient,
                                       .function = value_of,
                                       .of = &of,
                                       .step = 1e-6,
                                       .tolerance = tolerance,
                                       .what = what};
    check_gradient(&check, 1e-3);
    bed_destroy(bed);
}

/* The query loss after all inner steps is what most rules make small. */
static inline void check_bed(struct bed *bed, const char *what)
{
    check_objective(bed, judged_last, 1e-5, what);
}

/* By one element at most; relative to the largest of a. */
static inline double difference(const mn_real *a, const mn_real *b, size_t begin, size_t end)
{
    double largest = 0.0, most = 0.0;
    for (size_t i = begin; i < end; i++) {
        largest = fmax(largest, fabs((double)a[i]));
        most = fmax(most, fabs((double)(a[i] - b[i])));
    }
    return most / largest;
}
