#include "coordinator/optimiser.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum { M, V, MAX_VECTORS };

struct mn_optimiser {
    mn_optimiser_kind kind;
    double momentum, beta1, beta2, eps, weight_decay, clip_norm, clip_value;
    size_t n;
    size_t n_vectors;
    float *vectors[MAX_VECTORS]; /* [n] each; owned */
    uint64_t taken;
};

static void clip_values(size_t n, float limit, float *gradient);
static double norm_of(size_t n, const float *x);
static void scale(size_t n, float factor, float *x);
static void sgd(mn_optimiser *optimiser, double lr, const float *gradient, float *theta);
static void adam(mn_optimiser *optimiser, double lr, const float *gradient, float *theta);
static double power(double base, uint64_t exponent);

mn_status mn_optimiser_new(const mn_experiment *experiment, size_t n, mn_optimiser **out,
                           mn_error *err)
{
    assert(n > 0);
    mn_optimiser *optimiser = calloc(1, sizeof *optimiser);
    if (optimiser == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "optimiser of %zu parameters", n);
    *optimiser = (mn_optimiser){
        .kind = experiment->outer.optimiser,
        .momentum = experiment->outer.momentum,
        .beta1 = experiment->outer.beta1,
        .beta2 = experiment->outer.beta2,
        .eps = experiment->outer.eps,
        .weight_decay = experiment->outer.weight_decay,
        .clip_norm = experiment->outer.clip_norm,
        .clip_value = experiment->outer.clip_value,
        .n = n,
        .n_vectors = experiment->outer.optimiser != MN_OPT_SGD ? 2
                     : experiment->outer.momentum != 0         ? 1
                                                               : 0,
    };
    for (size_t i = 0; i < optimiser->n_vectors; i++) {
        optimiser->vectors[i] = calloc(n, sizeof(float));
        if (optimiser->vectors[i] == NULL) {
            mn_optimiser_destroy(&optimiser);
            return mn_fail(err, MN_ERR_NOMEM, "optimiser of %zu parameters", n);
        }
    }
    *out = optimiser;
    return MN_OK;
}

void mn_optimiser_destroy(mn_optimiser **optimiser)
{
    if (*optimiser == NULL)
        return;
    for (size_t i = 0; i < MAX_VECTORS; i++)
        free((*optimiser)->vectors[i]);
    free(*optimiser);
    *optimiser = NULL;
}

double mn_learning_rate(const mn_experiment *experiment, uint64_t step)
{
    double lr = experiment->outer.lr;
    switch (experiment->outer.schedule) {
    case MN_LR_CONSTANT:
        break;
    case MN_LR_COSINE: {
        uint64_t last = experiment->outer.steps > 1 ? experiment->outer.steps - 1 : 1;
        double done = step < last ? (double)step / (double)last : 1;
        double low = experiment->outer.lr_min;
        lr = low + (lr - low) * (1 + cos(3.14159265358979323846 * done)) / 2;
        break;
    }
    case MN_LR_STEP:
        if (experiment->outer.lr_step_every > 0)
            lr *= power(experiment->outer.lr_factor, step / experiment->outer.lr_step_every);
        break;
    }
    return (double)(float)lr;
}

void mn_optimiser_step(mn_optimiser *optimiser, double lr, float *gradient, float *theta,
                       mn_outer_step *out)
{
    size_t n = optimiser->n;
    double norm = norm_of(n, gradient);
    *out = (mn_outer_step){.lr = lr, .grad_norm = norm};
    if (optimiser->clip_value > 0)
        clip_values(n, (float)optimiser->clip_value, gradient);
    if (optimiser->clip_norm > 0) {
        if (optimiser->clip_value > 0)
            norm = norm_of(n, gradient);
        double factor = optimiser->clip_norm / (norm + 1e-6);
        if (factor < 1)
            scale(n, (float)factor, gradient);
    }

    optimiser->taken++;
    switch (optimiser->kind) {
    case MN_OPT_ADAMW:
        scale(n, (float)(1 - lr * optimiser->weight_decay), theta);
        adam(optimiser, lr, gradient, theta);
        return;
    case MN_OPT_ADAM:
    case MN_OPT_SGD:
        if (optimiser->weight_decay != 0) {
            float decay = (float)optimiser->weight_decay;
            for (size_t i = 0; i < n; i++)
                gradient[i] += decay * theta[i];
        }
        if (optimiser->kind == MN_OPT_ADAM)
            adam(optimiser, lr, gradient, theta);
        else
            sgd(optimiser, lr, gradient, theta);
        return;
    }
}

size_t mn_optimiser_vectors(const mn_optimiser *optimiser)
{
    return optimiser->n_vectors;
}

const char *mn_optimiser_vector_name(const mn_optimiser *optimiser, size_t i)
{
    static const char *const names[MAX_VECTORS] = {[M] = "m", [V] = "v"};
    assert(i < optimiser->n_vectors);
    (void)optimiser;
    return names[i];
}

float *mn_optimiser_vector(mn_optimiser *optimiser, size_t i)
{
    assert(i < optimiser->n_vectors);
    return optimiser->vectors[i];
}

uint64_t mn_optimiser_taken(const mn_optimiser *optimiser)
{
    return optimiser->taken;
}

void mn_optimiser_set_taken(mn_optimiser *optimiser, uint64_t taken)
{
    optimiser->taken = taken;
}

static void clip_values(size_t n, float limit, float *gradient)
{
    for (size_t i = 0; i < n; i++) {
        float g = gradient[i];
        g = g > limit ? limit : g;
        gradient[i] = g < -limit ? -limit : g;
    }
}

static double norm_of(size_t n, const float *x)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

static void scale(size_t n, float factor, float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

static void sgd(mn_optimiser *optimiser, double lr, const float *gradient, float *theta)
{
    float rate = (float)lr;
    float momentum = (float)optimiser->momentum;
    float *m = optimiser->vectors[M];
    if (m == NULL) {
        for (size_t i = 0; i < optimiser->n; i++)
            theta[i] -= rate * gradient[i];
        return;
    }
    for (size_t i = 0; i < optimiser->n; i++) {
        m[i] = momentum * m[i] + gradient[i];
        theta[i] -= rate * m[i];
    }
}

static void adam(mn_optimiser *optimiser, double lr, const float *gradient, float *theta)
{
    float fresh1 = (float)(1 - optimiser->beta1);
    float beta2 = (float)optimiser->beta2;
    float fresh2 = (float)(1 - optimiser->beta2);
    float eps = (float)optimiser->eps;
    float rate = (float)(lr / (1 - power(optimiser->beta1, optimiser->taken)));
    float bias2 = (float)sqrt(1 - power(optimiser->beta2, optimiser->taken));
    float *restrict m = optimiser->vectors[M];
    float *restrict v = optimiser->vectors[V];
    for (size_t i = 0; i < optimiser->n; i++) {
        float g = gradient[i];
        m[i] += (g - m[i]) * fresh1;
        v[i] = beta2 * v[i] + fresh2 * g * g;
        theta[i] -= rate * (m[i] / (sqrtf(v[i]) / bias2 + eps));
    }
}

/* base^exponent by squaring: the same bits on every machine, which pow() of the C library does not
 * promise. */
static double power(double base, uint64_t exponent)
{
    double result = 1;
    for (; exponent > 0; exponent >>= 1, base *= base)
        if (exponent & 1)
            result *= base;
    return result;
}
