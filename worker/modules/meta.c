#include "worker/modules/meta.h"

#include <stdlib.h>
#include <string.h>

struct mn_meta {
    const mn_network *network;
    const mn_kernels *kernels;
    mn_meta_rule rule;
    bool walks_back;        /* the meta-gradient goes through the inner steps */
    size_t size;            /* of the network's parameters */
    uint32_t first_adapted; /* the inner loop changes the tensors from this one to the last */
    size_t adapted_offset, adapted_size; /* elements */
    mn_plan *support; /* stage 0: loss and gradient of the adapted tensors; stage 1: H v of all */
    mn_plan *query;   /* loss and output; with its gradient if differentiate */
    /* Scratch: bytes from its start. A region holds one step's support gradient and the activations
     * behind it; the walk back computes those of the first steps again, if they were too large to
     * keep. */
    uint32_t n_regions;
    size_t support_bytes, region_bytes;
    size_t at_query, at_phi, at_direction, at_product, scratch_bytes;
};

/* Regions for more than one step are kept while they all fit here: a part of the second-level
 * cache. */
#define MAX_KEPT_BYTES ((size_t)512 * 1024)

static mn_status compile(mn_meta *meta, uint32_t n_items, bool is_support, bool differentiate,
                         mn_plan **out, mn_error *err);
static void lay_out_scratch(mn_meta *meta, bool differentiate);
static void walk_back(const mn_meta *meta, void *scratch, const mn_real *theta,
                      const mn_meta_data *data, mn_real *lam, mn_real *rates_gradient);

mn_status mn_meta_new(const mn_network *network, const mn_meta_rule *rule, uint32_t n_support,
                      uint32_t n_query, bool differentiate, const mn_kernels *kernels,
                      mn_meta **out, mn_error *err)
{
    mn_meta *meta = calloc(1, sizeof *meta);
    if (meta == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "meta-learning module");
    const mn_parameters *parameters = &network->parameters;
    meta->network = network;
    meta->kernels = kernels;
    meta->rule = *rule;
    meta->size = parameters->size;
    meta->walks_back =
        differentiate && rule->kind != MN_META_REPTILE && rule->order == 2 && rule->steps > 0;
    if (rule->kind == MN_META_ANIL) /* the output module's tensors are the last */
        while (!parameters->at[meta->first_adapted].is_output)
            meta->first_adapted++;
    meta->adapted_offset = parameters->at[meta->first_adapted].offset;
    meta->adapted_size = meta->size - meta->adapted_offset;

    mn_status status = compile(meta, n_support, true, meta->walks_back, &meta->support, err);
    bool query_gradient = differentiate && rule->kind != MN_META_REPTILE;
    if (status == MN_OK)
        status = compile(meta, n_query, false, query_gradient, &meta->query, err);
    if (status != MN_OK) {
        mn_meta_destroy(&meta);
        return status;
    }
    lay_out_scratch(meta, differentiate);
    *out = meta;
    return MN_OK;
}

void mn_meta_destroy(mn_meta **meta)
{
    if (*meta == NULL)
        return;
    mn_plan_destroy(&(*meta)->support);
    mn_plan_destroy(&(*meta)->query);
    free(*meta);
    *meta = NULL;
}

size_t mn_meta_size(const mn_meta *meta)
{
    return meta->rule.kind == MN_META_META_SGD ? 2 * meta->size : meta->size;
}

size_t mn_meta_scratch_bytes(const mn_meta *meta)
{
    return meta->scratch_bytes;
}

static mn_real *at(const void *scratch, size_t offset)
{
    return (mn_real *)(void *)((char *)(uintptr_t)scratch + offset);
}

/* phi of step k. Without a walk back only the newest is kept, at 0. */
static mn_real *phi_of(const mn_meta *meta, const void *scratch, uint32_t k)
{
    return at(scratch, meta->at_phi) + (meta->walks_back ? k * meta->size : 0);
}

/* The region of inner step k: the last n_regions steps have one each, all before share the first.
 */
static void *region_of(const mn_meta *meta, const void *scratch, uint32_t k)
{
    uint32_t shared =
        meta->rule.steps - meta->n_regions; /* wraps for 0 steps, where k is 0 as well */
    return at(scratch, (k <= shared ? 0 : k - shared) * meta->region_bytes);
}

static mn_real *gradient_of(const mn_meta *meta, const void *region)
{
    return at(region, meta->support_bytes);
}

/* Loss and gradient of the support set at phi; the activations stay in the region for the product.
 */
static double support_gradient(const mn_meta *meta, void *region, const mn_meta_data *data,
                               const mn_real *phi)
{
    mn_bindings bindings = {
        .in = {[MN_SLOT_THETA] = phi, [MN_SLOT_X] = data->support_x, [MN_SLOT_Y] = data->support_y},
        .out = {[MN_SLOT_GRADIENT] = gradient_of(meta, region)}};
    mn_plan_run(meta->support, 0, region, &bindings);
    return mn_plan_loss(meta->support, region);
}

/* to = from - alpha .* gradient, where tensors adapt. */
static void inner_step(const mn_meta *meta, const mn_real *theta, const mn_real *gradient,
                       const mn_real *from, mn_real *to)
{
    size_t offset = meta->adapted_offset, n = meta->adapted_size;
    if (to != from)
        memcpy(to, from, offset * sizeof *to);
    if (meta->rule.kind == MN_META_META_SGD) {
        const mn_real *alpha = theta + meta->size;
        for (size_t i = 0; i < n; i++)
            to[i] = from[i] - alpha[i] * gradient[i];
    } else {
        meta->kernels->scale_add(n, (mn_real)-meta->rule.inner_lr, gradient + offset, from + offset,
                                 to + offset);
    }
}

static double query_run(const mn_meta *meta, void *scratch, const mn_meta_data *data,
                        const mn_real *phi, mn_real *gradient, mn_real *output)
{
    mn_bindings bindings = {
        .in = {[MN_SLOT_THETA] = phi, [MN_SLOT_X] = data->query_x, [MN_SLOT_Y] = data->query_y},
        .out = {[MN_SLOT_GRADIENT] = gradient, [MN_SLOT_OUTPUT] = output}};
    mn_plan_run(meta->query, 0, at(scratch, meta->at_query), &bindings);
    return mn_plan_loss(meta->query, at(scratch, meta->at_query));
}

mn_meta_losses mn_meta_gradient(const mn_meta *meta, void *scratch, const mn_real *theta,
                                const mn_meta_data *data, mn_real *gradient, mn_real *query_output)
{
    const uint32_t steps = meta->rule.steps;
    mn_real *rates_gradient = meta->rule.kind == MN_META_META_SGD ? gradient + meta->size : NULL;
    mn_meta_losses losses = {0};
    const mn_real *phi = theta;
    if (rates_gradient != NULL)
        memset(rates_gradient, 0, meta->size * sizeof *gradient);
    for (uint32_t k = 0; k < steps; k++) {
        void *region = region_of(meta, scratch, k);
        double loss = support_gradient(meta, region, data, phi);
        if (k == 0)
            losses.support_before = loss;
        if (rates_gradient != NULL && !meta->walks_back) /* first order: lam stays the same */
            meta->kernels->add(meta->size, gradient_of(meta, region), rates_gradient,
                               rates_gradient);
        mn_real *next = phi_of(meta, scratch, k);
        inner_step(meta, theta, gradient_of(meta, region), phi, next);
        phi = next;
    }
    if (steps == 0)
        losses.support_before = support_gradient(meta, scratch, data, phi);
    losses.query = query_run(meta, scratch, data, phi, gradient, query_output);

    if (meta->rule.kind == MN_META_REPTILE)
        meta->kernels->scale_add(meta->size, -1, phi, theta, gradient);
    else if (meta->walks_back)
        walk_back(meta, scratch, theta, data, gradient, rates_gradient);
    else if (rates_gradient != NULL)
        for (size_t i = 0; i < meta->size; i++)
            rates_gradient[i] *= -gradient[i];
    return losses;
}

/* lam = lam - H(phi_k) (alpha .* lam), from the last inner step to the first. */
static void walk_back(const mn_meta *meta, void *scratch, const mn_real *theta,
                      const mn_meta_data *data, mn_real *lam, mn_real *rates_gradient)
{
    mn_real *direction = at(scratch, meta->at_direction), *product = at(scratch, meta->at_product);
    for (uint32_t k = meta->rule.steps; k-- > 0;) {
        const mn_real *phi = k == 0 ? theta : phi_of(meta, scratch, k - 1);
        void *region = region_of(meta, scratch, k);
        if (k + meta->n_regions < meta->rule.steps)
            (void)support_gradient(meta, region, data, phi);

        mn_real rate = (mn_real)meta->rule.inner_lr;
        const mn_real *along = lam;
        if (rates_gradient != NULL) {
            const mn_real *alpha = theta + meta->size, *gradient = gradient_of(meta, region);
            for (size_t i = 0; i < meta->size; i++) {
                rates_gradient[i] -= lam[i] * gradient[i];
                direction[i] = alpha[i] * lam[i];
            }
            rate = 1;
            along = direction;
        }
        mn_bindings bindings = {
            .in = {[MN_SLOT_THETA] = phi,
                   [MN_SLOT_DIRECTION] = along,
                   [MN_SLOT_X] = data->support_x,
                   [MN_SLOT_Y] = data->support_y},
            .out = {[MN_SLOT_GRADIENT] = gradient_of(meta, region), [MN_SLOT_PRODUCT] = product}};
        mn_plan_run(meta->support, 1, region, &bindings);
        meta->kernels->scale_add(meta->size, -rate, product, lam, lam);
    }
}

void mn_meta_begin(const mn_meta *meta, void *scratch, const mn_real *theta)
{
    memcpy(phi_of(meta, scratch, 0), theta, meta->size * sizeof *theta);
}

double mn_meta_step(const mn_meta *meta, void *scratch, const mn_real *theta,
                    const mn_meta_data *data)
{
    mn_real *phi = phi_of(meta, scratch, 0);
    double loss = support_gradient(meta, scratch, data, phi);
    inner_step(meta, theta, gradient_of(meta, scratch), phi, phi);
    return loss;
}

double mn_meta_judge(const mn_meta *meta, void *scratch, const mn_meta_data *data,
                     mn_real *query_output)
{
    return query_run(meta, scratch, data, phi_of(meta, scratch, 0), at(scratch, meta->at_product),
                     query_output);
}

double mn_meta_support(const mn_meta *meta, void *scratch, const mn_meta_data *data,
                       mn_real *gradient)
{
    double loss = support_gradient(meta, scratch, data, phi_of(meta, scratch, 0));
    if (gradient != NULL) {
        memset(gradient, 0, meta->adapted_offset * sizeof *gradient);
        memcpy(gradient + meta->adapted_offset, gradient_of(meta, scratch) + meta->adapted_offset,
               meta->adapted_size * sizeof *gradient);
    }
    return loss;
}

const mn_real *mn_meta_phi(const mn_meta *meta, const void *scratch)
{
    return phi_of(meta, scratch, 0);
}

/* The network on n_items, its loss, and its derivatives. The support plan gives the gradient of the
 * adapted tensors and, if it is to be differentiated, in stage 1 the derivative of the gradient of
 * every tensor along those that adapt. The query plan gives the output and, if it is to be
 * differentiated, the gradient of every tensor. */
static mn_status compile(mn_meta *meta, uint32_t n_items, bool is_support, bool differentiate,
                         mn_plan **out, mn_error *err)
{
    const mn_network *network = meta->network;
    const mn_parameters *list = &network->parameters;
    mn_node tensors[MN_MAX_PARAMETERS], directions[MN_MAX_PARAMETERS];
    mn_node gradients[MN_MAX_PARAMETERS], products[MN_MAX_PARAMETERS];
    mn_plan_output outputs[2 * MN_MAX_PARAMETERS + 1];
    size_t n_outputs = 0;

    mn_graph graph;
    mn_graph_init(&graph);
    for (uint32_t i = 0; i < list->n; i++)
        tensors[i] = mn_graph_input(&graph, MN_SLOT_THETA, list->at[i].offset, list->at[i].inside);
    mn_extent x = network->x, target = {n_items, 1, 1, network->y_size};
    x.n = n_items;
    mn_node y = mn_network_build(network, &graph, tensors, mn_graph_input(&graph, MN_SLOT_X, 0, x));
    mn_node loss =
        mn_network_loss(network, &graph, y, mn_graph_input(&graph, MN_SLOT_Y, 0, target));

    if (is_support || differentiate) {
        mn_graph_gradient(&graph, loss, list->n, tensors, gradients);
        for (uint32_t i = is_support ? meta->first_adapted : 0; i < list->n; i++)
            outputs[n_outputs++] = (mn_plan_output){.node = gradients[i],
                                                    .slot = MN_SLOT_GRADIENT,
                                                    .offset = list->at[i].offset,
                                                    .count = list->at[i].count};
    }
    if (is_support && differentiate) {
        uint32_t n_adapted = list->n - meta->first_adapted;
        for (uint32_t i = meta->first_adapted; i < list->n; i++)
            directions[i] =
                mn_graph_input(&graph, MN_SLOT_DIRECTION, list->at[i].offset, list->at[i].inside);
        mn_graph_tangents(&graph, n_adapted, tensors + meta->first_adapted,
                          directions + meta->first_adapted, list->n, gradients, products);
        for (uint32_t i = 0; i < list->n; i++)
            outputs[n_outputs++] = (mn_plan_output){.node = products[i],
                                                    .slot = MN_SLOT_PRODUCT,
                                                    .offset = list->at[i].offset,
                                                    .count = list->at[i].count,
                                                    .stage = 1};
    }
    if (!is_support)
        outputs[n_outputs++] = (mn_plan_output){
            .node = y, .slot = MN_SLOT_OUTPUT, .count = (size_t)n_items * network->y_size};
    mn_status status = mn_plan_new(&graph, loss, n_outputs, outputs, meta->kernels, out, err);
    mn_graph_fini(&graph);
    return status;
}

static size_t rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t take(size_t *bytes, size_t n)
{
    size_t offset = *bytes;
    *bytes += rounded(n);
    return offset;
}

/* The query plan may write over the support plan's activations unless the walk back still needs
 * them. */
static void lay_out_scratch(mn_meta *meta, bool differentiate)
{
    size_t vector = meta->size * sizeof(mn_real), bytes = 0;
    size_t query = mn_plan_scratch_bytes(meta->query);
    meta->support_bytes = mn_plan_scratch_bytes(meta->support);
    if (!meta->walks_back && query > meta->support_bytes)
        meta->support_bytes = query;
    meta->region_bytes = meta->support_bytes + rounded(vector);
    meta->n_regions = 1;
    if (meta->walks_back)
        while (meta->n_regions < meta->rule.steps &&
               (meta->n_regions + 1) * meta->region_bytes <= MAX_KEPT_BYTES)
            meta->n_regions++;
    (void)take(&bytes, meta->n_regions * meta->region_bytes);
    meta->at_query = meta->walks_back ? take(&bytes, query) : 0;
    meta->at_phi = take(&bytes, (meta->walks_back ? meta->rule.steps : 1) * vector);
    bool has_direction = meta->rule.kind == MN_META_META_SGD && meta->walks_back;
    meta->at_direction = has_direction ? take(&bytes, vector) : 0;
    meta->at_product = differentiate ? take(&bytes, vector) : 0;
    meta->scratch_bytes = bytes;
}
