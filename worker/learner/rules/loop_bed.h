/* loop_bed.h: for tests of the rules that adapt, in double: a small task of images in three classes,
 * a theta, and a whole meta-gradient against central differences. */
#pragma once

#include "worker/learner/rules/rule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N_SUPPORT 6
#define N_QUERY 4
#define MAX_THETA 2048

struct bed {
    mn_experiment experiment;
    mn_network network;
    mn_fields fields;
    mn_rule *rule;
    void *scratch;
    mn_real task[1024], output[N_QUERY * 3];
    mn_real theta[MAX_THETA], gradient[MAX_THETA];
    mn_rule_data data;
};

static uint64_t seed_state;

static inline double draw(void) /* xorshift; -1 .. 1 */
{
    seed_state ^= seed_state << 13;
    seed_state ^= seed_state >> 7;
    seed_state ^= seed_state << 17;
    return (double)(seed_state >> 11) / 4503599627370496.0 - 1.0;
}

static inline mn_experiment conv(bool flatten)
{
    return (mn_experiment){.model = {.input = MN_INPUT_CONV4,
                                     .filters = 3,
                                     .blocks = 2,
                                     .downsampling = flatten ? MN_DOWN_MAX_POOL : MN_DOWN_STRIDE,
                                     .readout = flatten ? MN_READOUT_FLATTEN : MN_READOUT_MEAN,
                                     .batch_norm = true,
                                     .batch_norm_eps = 1e-5}};
}

static inline mn_experiment mlp(mn_activation activation, bool batch_norm)
{
    return (mn_experiment){.model = {.input = MN_INPUT_MLP,
                                     .hidden = {.n = 2, .at = {7, 5}},
                                     .activation = activation,
                                     .batch_norm = batch_norm,
                                     .batch_norm_eps = 1e-5}};
}

/* Holds the activations of three inner steps or so. */
#define KEEP_BYTES ((size_t)128 * 1024)

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

/* A task and a theta, the same for all; no ReLU bends within a step. */
static inline void fill(struct bed *bed)
{
    const mn_field *at = bed->fields.at;
    seed_state = 88172645463325252u;
    for (size_t i = 0; i < mn_field_count(&at[MN_SUPPORT_X]); i++)
        bed->task[at[MN_SUPPORT_X].offset + i] = (mn_real)draw();
    for (size_t i = 0; i < mn_field_count(&at[MN_QUERY_X]); i++)
        bed->task[at[MN_QUERY_X].offset + i] = (mn_real)draw();
    for (size_t i = 0; i < N_SUPPORT; i++)
        bed->task[at[MN_SUPPORT_Y].offset + i * 3 + i % 3] = 1;
    for (size_t i = 0; i < N_QUERY; i++)
        bed->task[at[MN_QUERY_Y].offset + i * 3 + (i + 1) % 3] = 1;
    for (size_t i = 0; i < size_of(bed); i++)
        bed->theta[i] = (mn_real)(i < network_size(bed) ? 0.6 * draw() : 0.15 + 0.1 * draw());
}

/* change: what a test makes of the network before the rule sees it, or NULL. */
static inline struct bed *bed_changed(void (*change)(mn_network *network), size_t keep_bytes,
                                      mn_experiment experiment, mn_meta_kind kind, uint32_t order,
                                      uint32_t steps, bool differentiate)
{
    static const uint32_t image[3] = {6, 6, 1};
    struct bed *bed = calloc(1, sizeof *bed);
    assert_non_null(bed);
    mn_error err;
    bed->experiment = experiment;
    bed->experiment.meta.kind = kind;
    bed->experiment.meta.order = order;
    bed->experiment.meta.inner_steps = steps;
    bed->experiment.meta.inner_lr = 0.2;
    assert_int_equal(
        mn_fields_few_shot(&bed->fields, N_SUPPORT, N_QUERY, image, MN_TARGET_CLASSES, 3, &err),
        MN_OK);
    assert_true(bed->fields.size <= sizeof bed->task / sizeof *bed->task);
    assert_int_equal(mn_network_init(&bed->network, &bed->experiment, &bed->fields, &err), MN_OK);
    if (change != NULL)
        change(&bed->network);
    assert_int_equal(mn_rule_declare(&bed->network, &err), MN_OK);
    assert_true(size_of(bed) <= MAX_THETA);
    const mn_rule_order rule_order = {.network = &bed->network,
                                      .fields = &bed->fields,
                                      .kernels = mn_kernels_choose(),
                                      .differentiate = differentiate,
                                      .keep_bytes = keep_bytes};
    assert_int_equal(mn_rule_new(&rule_order, &bed->rule, &err), MN_OK);
    bed->scratch = aligned_alloc(64, mn_rule_scratch_bytes(bed->rule));
    assert_non_null(bed->scratch);
    memset(bed->scratch, 0xff, mn_rule_scratch_bytes(bed->rule));
    fill(bed);
    bed->data.task = bed->task;
    return bed;
}

static inline struct bed *bed_keeping(size_t keep_bytes, mn_experiment experiment,
                                      mn_meta_kind kind, uint32_t order, uint32_t steps,
                                      bool differentiate)
{
    return bed_changed(NULL, keep_bytes, experiment, kind, order, steps, differentiate);
}

static inline void bed_destroy(struct bed *bed)
{
    mn_rule_destroy(&bed->rule);
    free(bed->scratch);
    free(bed);
}

static inline struct bed *bed_of(mn_experiment experiment, mn_meta_kind kind, uint32_t order,
                                 uint32_t steps, bool differentiate)
{
    return bed_keeping(KEEP_BYTES, experiment, kind, order, steps, differentiate);
}

static inline struct bed *bed_new(mn_meta_kind kind, uint32_t order, uint32_t steps,
                                  bool differentiate)
{
    return bed_of(conv(false), kind, order, steps, differentiate);
}

static inline mn_rule_losses differentiate_in(struct bed *bed)
{
    return mn_rule_gradient(bed->rule, bed->scratch, bed->theta, &bed->data, bed->gradient,
                            bed->output);
}

static inline void check_bed(struct bed *bed, const char *what)
{
    size_t n = size_of(bed);
    static mn_real ignored[MAX_THETA];
    (void)differentiate_in(bed);
    double largest = 0.0, e = 1e-5;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)bed->gradient[i]));
    assert_true(largest > 1e-3);
    for (size_t i = 0; i < n; i++) {
        mn_real value = bed->theta[i];
        bed->theta[i] = (mn_real)((double)value + e);
        double above =
            mn_rule_gradient(bed->rule, bed->scratch, bed->theta, &bed->data, ignored, bed->output)
                .query;
        bed->theta[i] = (mn_real)((double)value - e);
        double below =
            mn_rule_gradient(bed->rule, bed->scratch, bed->theta, &bed->data, ignored, bed->output)
                .query;
        bed->theta[i] = value;
        double expected = (above - below) / (2.0 * e);
        if (!(fabs((double)bed->gradient[i] - expected) <= 1e-5 * largest))
            fail_msg("%s: meta-gradient[%zu] is %.12g, central difference %.12g", what, i,
                     (double)bed->gradient[i], expected);
    }
    bed_destroy(bed);
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
