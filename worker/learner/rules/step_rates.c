#include "worker/learner/rules/step_rates.h"

#include <assert.h>
#include <stdio.h>

static void name_of(const mn_update_part *part, char name[96])
{
    (void)snprintf(name, 96, "step_rates.%.80s", part->name);
}

mn_status mn_step_rates_declare(mn_network *network, uint32_t n, const mn_update_part *parts,
                                mn_error *err)
{
    const mn_experiment *e = network->experiment;
    for (uint32_t i = 0; i < n; i++) {
        char name[96];
        name_of(&parts[i], name);
        const uint32_t tensor = mn_parameters_add_vector(&network->parameters, name,
                                                         e->meta.inner_steps, MN_START_VALUE);
        if (tensor == UINT32_MAX)
            return mn_fail(err, MN_ERR_CONFIG,
                           "model: more than %d tensors of parameters, those of meta.update "
                           "counted; use fewer layers",
                           MN_MAX_PARAMETERS);
        network->parameters.at[tensor].scale = e->meta.inner_lr;
    }
    return MN_OK;
}

void mn_step_rates_init(mn_step_rates *rates, const mn_network *network, uint32_t n,
                        const mn_update_part *parts, const mn_kernels *kernels)
{
    rates->kernels = kernels;
    rates->n = n;
    rates->steps = network->experiment->meta.inner_steps;
    for (uint32_t i = 0; i < n; i++) {
        char name[96];
        name_of(&parts[i], name);
        const uint32_t tensor = mn_parameters_find(&network->parameters, name);
        assert(tensor != UINT32_MAX);
        rates->parts[i].offset = parts[i].offset;
        rates->parts[i].count = parts[i].count;
        rates->parts[i].rates = network->parameters.at[tensor].offset;
    }
}

void mn_step_rates_move(const mn_step_rates *rates, const mn_real *theta, uint32_t k,
                        const mn_real *phi, const mn_real *gradient, mn_real *moved)
{
    const uint32_t step = k < rates->steps ? k : rates->steps - 1;
    for (uint32_t i = 0; i < rates->n; i++) {
        const size_t at = rates->parts[i].offset;
        rates->kernels->scale_add(rates->parts[i].count, -theta[rates->parts[i].rates + step],
                                  gradient + at, phi + at, moved + at);
    }
}

/* In one order of addition, whatever the kernels. */
static double dot(size_t n, const mn_real *a, const mn_real *b)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

void mn_step_rates_pull(const mn_step_rates *rates, const mn_real *theta, uint32_t k,
                        const mn_real *gradient, const mn_real *lam, mn_real *of_gradient,
                        mn_real *of_theta)
{
    for (uint32_t i = 0; i < rates->n; i++) {
        const size_t at = rates->parts[i].offset, count = rates->parts[i].count;
        const size_t rate = rates->parts[i].rates + k;
        of_theta[rate] = (mn_real)-dot(count, lam + at, gradient + at);
        rates->kernels->scale(count, -theta[rate], lam + at, of_gradient + at);
    }
}
