/* part_bed.h: for tests of parts: a network on one small task in double, its loss under its rule, and
 * the gradient against central differences. The fields and what they hold are the test's own. */
#pragma once

#include "worker/learner/gradient_bed.h"
#include "worker/learner/rules/rule.h"

enum { MOST = 4096, MOST_ANSWERS = 64 };

struct bed {
    mn_experiment experiment;
    mn_network network;
    mn_fields fields;
    mn_rule *rule;
    void *scratch;
    mn_real theta[MOST], gradient[MOST], block[MOST], output[MOST_ANSWERS];
    mn_rule_data data;
};

/* The network and its rule, from the experiment and the fields that the bed has. */
static inline void bed_compile(struct bed *bed)
{
    mn_error err = {.message = ""};
    if (mn_network_init(&bed->network, &bed->experiment, &bed->fields, &err) != MN_OK)
        fail_msg("%s", err.message);
    const mn_rule_order order = {.network = &bed->network,
                                 .fields = &bed->fields,
                                 .kernels = mn_kernels_choose(),
                                 .differentiate = true};
    if (mn_rule_new(&order, &bed->rule, &err) != MN_OK)
        fail_msg("%s", err.message);
    bed->scratch = aligned_alloc(64, mn_rule_scratch_bytes(bed->rule));
    assert_non_null(bed->scratch);
    memset(bed->scratch, 0xff, mn_rule_scratch_bytes(bed->rule)); /* NaNs */
    assert_true(bed->network.parameters.size <= MOST && bed->fields.size <= MOST);
    assert_true(mn_fields_find(&bed->fields, MN_QUERY, "y")->n *
                    mn_network_columns(&bed->network, &bed->fields) <=
                MOST_ANSWERS);
}

/* Theta is drawn within +-scale; the task is all zeros, and the next draws are for it. */
static inline struct bed *bed_open(const mn_experiment *experiment, const mn_fields *fields,
                                   double scale)
{
    struct bed *bed = calloc(1, sizeof *bed);
    assert_non_null(bed);
    bed->experiment = *experiment;
    bed->fields = *fields;
    bed_compile(bed);
    seed_state = 88172645463325252u;
    for (size_t i = 0; i < bed->network.parameters.size; i++)
        bed->theta[i] = (mn_real)(scale * draw());
    bed->data.task = bed->block;
    return bed;
}

static inline void bed_close(struct bed *bed)
{
    mn_rule_destroy(&bed->rule);
    free(bed->scratch);
    free(bed);
}

static inline double loss_of(struct bed *bed, mn_real *gradient)
{
    return mn_rule_gradient(bed->rule, bed->scratch, bed->theta, &bed->data, gradient, bed->output)
        .query;
}

static inline double loss_at_theta(void *of)
{
    static mn_real ignored[MOST];
    return loss_of(of, ignored);
}

static inline void bed_check_gradient(struct bed *bed)
{
    (void)loss_of(bed, bed->gradient);
    const struct gradient_bed check = {.parameters = &bed->network.parameters,
                                       .theta = bed->theta,
                                       .gradient = bed->gradient,
                                       .function = loss_at_theta,
                                       .of = bed,
                                       .step = 1e-6,
                                       .tolerance = 1e-8,
                                       .what = "loss"};
    check_gradient(&check, 1e-2);
}
