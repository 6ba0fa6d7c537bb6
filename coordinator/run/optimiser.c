#include "coordinator/run/optimiser.h"

#include "common/real_functions.h"
#include "common/vector_clones.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum { M, V };
enum { BLOCK = 2048 }; /* elements that stay in the first-level cache for all passes of a step */
enum { LANES = MN_OPTIMISER_PIECE };

/* Sums of squares, element i in lane i % LANES: an order of addition that vector units can keep. */
struct squares {
    double lanes[LANES];
};

struct range {
    size_t begin, end;
};

struct mn_optimiser {
    mn_optimiser_kind kind;
    double momentum, beta1, beta2, eps, weight_decay, clip_norm, clip_value;
    size_t n;
    float *vectors[MN_OPTIMISER_VECTORS]; /* [n] each, or NULL; owned */
    struct range *spared;                 /* [n_spared], without weight decay; owned */
    size_t n_spared;
    uint64_t taken;

    double lr; /* of the step at hand, as what follows */
    size_t n_taken;
    struct squares before, clipped; /* of the gradient, and with its values clipped */
};

static void update(const mn_optimiser *optimiser, size_t begin, size_t n, float *gradient,
                   float *theta);
static void clip_values(size_t n, float limit, float *gradient);
static void add_squares(size_t n, const float *x, struct squares *squares);
static double norm_of(const struct squares *squares);
static void decay(const mn_optimiser *optimiser, size_t begin, size_t end, float *gradient,
                  float *theta);
static void scale(size_t n, float factor, float *x);
static void add_scaled(size_t n, float factor, const float *x, float *y);
static void add_scaled_twice(size_t n, float first, float second, const float *x, float *y);
static void momentum(size_t n, float momentum, const float *gradient, float *m);
static void adagrad(size_t n, float rate, float eps, const float *gradient, float *v, float *theta);
static void adam(const mn_optimiser *optimiser, size_t begin, size_t n, const float *gradient,
                 float *theta);
static double power(double base, uint64_t exponent);

mn_status mn_optimiser_new(const mn_experiment *experiment, size_t n, mn_optimiser **out,
                           mn_error *err)
{
    assert(n > 0);
    const mn_optimiser_kind kind = experiment->outer.optimiser;
    const bool has[MN_OPTIMISER_VECTORS] = {
        [M] = kind == MN_OPT_SGD ? experiment->outer.momentum != 0 : kind != MN_OPT_ADAGRAD,
        [V] = kind != MN_OPT_SGD,
    };
    mn_optimiser *optimiser = calloc(1, sizeof *optimiser);
    if (optimiser == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "optimiser of %zu parameters", n);
    *optimiser = (mn_optimiser){
        .kind = kind,
        .momentum = experiment->outer.momentum,
        .beta1 = experiment->outer.beta1,
        .beta2 = experiment->outer.beta2,
        .eps = experiment->outer.eps,
        .weight_decay = experiment->outer.weight_decay,
        .clip_norm = experiment->outer.clip_norm,
        .clip_value = experiment->outer.clip_value,
        .n = n,
    };
    for (size_t i = 0; i < MN_OPTIMISER_VECTORS; i++) {
        if (!has[i])
            continue;
        optimiser->vectors[i] = calloc(n, sizeof(float));
        if (optimiser->vectors[i] == NULL) {
            mn_optimiser_destroy(&optimiser);
            return mn_fail(err, MN_ERR_NOMEM, "optimiser of %zu parameters", n);
        }
    }
    for (size_t k = 0; kind == MN_OPT_ADAGRAD && k < n; k++)
        optimiser->vectors[V][k] = (float)experiment->outer.accumulator;
    *out = optimiser;
    return MN_OK;
}

mn_status mn_optimiser_spare(mn_optimiser *optimiser, size_t begin, size_t n, mn_error *err)
{
    assert(begin + n <= optimiser->n && optimiser->taken == 0);
    struct range *more =
        realloc(optimiser->spared, (optimiser->n_spared + 1) * sizeof *optimiser->spared);
    if (more == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "list of parameters without weight decay");
    optimiser->spared = more;
    more[optimiser->n_spared++] = (struct range){.begin = begin, .end = begin + n};
    return MN_OK;
}

void mn_optimiser_destroy(mn_optimiser **optimiser)
{
    if (*optimiser == NULL)
        return;
    for (size_t i = 0; i < MN_OPTIMISER_VECTORS; i++)
        free((*optimiser)->vectors[i]);
    free((*optimiser)->spared);
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
        lr = low + (lr - low) * (1 + mn_real_cosine_of_turns(done / 2)) / 2;
        break;
    }
    case MN_LR_STEP:
        if (experiment->outer.lr_step_every > 0)
            lr *= power(experiment->outer.lr_factor, step / experiment->outer.lr_step_every);
        break;
    }
    if (step < experiment->outer.warmup)
        lr *= (double)(step + 1) / (double)experiment->outer.warmup;
    return (double)(float)lr;
}

void mn_optimiser_begin(mn_optimiser *optimiser, double lr)
{
    optimiser->taken++;
    optimiser->lr = lr;
    optimiser->n_taken = 0;
    optimiser->before = optimiser->clipped = (struct squares){{0}};
}

void mn_optimiser_take(mn_optimiser *optimiser, size_t n, float *gradient, float *theta)
{
    size_t end = optimiser->n_taken + n;
    assert(optimiser->n_taken % LANES == 0 && end <= optimiser->n);
    for (size_t at = optimiser->n_taken; at < end; at += BLOCK) {
        size_t size = end - at < BLOCK ? end - at : BLOCK;
        add_squares(size, gradient + at, &optimiser->before);
        if (optimiser->clip_value > 0) {
            clip_values(size, (float)optimiser->clip_value, gradient + at);
            add_squares(size, gradient + at, &optimiser->clipped);
        }
        if (optimiser->clip_norm == 0)
            update(optimiser, at, size, gradient, theta);
    }
    optimiser->n_taken = end;
}

/* Is theta moved by the gradient alone? */
static bool is_plain(const mn_optimiser *optimiser)
{
    return optimiser->kind == MN_OPT_SGD && optimiser->vectors[M] == NULL &&
           optimiser->weight_decay == 0;
}

void mn_optimiser_end(mn_optimiser *optimiser, float *gradient, float *theta, mn_outer_step *out)
{
    assert(optimiser->n_taken == optimiser->n);
    *out = (mn_outer_step){.lr = optimiser->lr, .grad_norm = norm_of(&optimiser->before)};
    if (optimiser->clip_norm == 0)
        return;
    double norm = optimiser->clip_value > 0 ? norm_of(&optimiser->clipped) : out->grad_norm;
    double factor = optimiser->clip_norm / (norm + 1e-6);
    for (size_t at = 0; at < optimiser->n; at += BLOCK) {
        size_t size = optimiser->n - at < BLOCK ? optimiser->n - at : BLOCK;
        if (factor < 1 && is_plain(optimiser)) {
            add_scaled_twice(size, (float)factor, -(float)optimiser->lr, gradient + at, theta + at);
            continue;
        }
        if (factor < 1)
            scale(size, (float)factor, gradient + at);
        update(optimiser, at, size, gradient, theta);
    }
}

const char *mn_optimiser_vector_name(size_t i)
{
    static const char *const names[MN_OPTIMISER_VECTORS] = {[M] = "m", [V] = "v"};
    assert(i < MN_OPTIMISER_VECTORS);
    return names[i];
}

float *mn_optimiser_vector(mn_optimiser *optimiser, size_t i)
{
    assert(i < MN_OPTIMISER_VECTORS);
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

/* theta of one block by its gradient, as it is to be used. */
static void update(const mn_optimiser *optimiser, size_t begin, size_t n, float *gradient,
                   float *theta)
{
    float *g = gradient + begin, *t = theta + begin;
    float *m = optimiser->vectors[M];
    size_t at = begin;
    for (size_t i = 0; i < optimiser->n_spared && optimiser->spared[i].begin < begin + n; i++) {
        if (optimiser->spared[i].end <= at)
            continue;
        if (optimiser->spared[i].begin > at)
            decay(optimiser, at, optimiser->spared[i].begin, gradient, theta);
        at = optimiser->spared[i].end;
    }
    if (at < begin + n)
        decay(optimiser, at, begin + n, gradient, theta);

    switch (optimiser->kind) {
    case MN_OPT_ADAM:
    case MN_OPT_ADAMW:
        adam(optimiser, begin, n, g, t);
        return;
    case MN_OPT_ADAGRAD:
        adagrad(n, (float)optimiser->lr, (float)optimiser->eps, g, optimiser->vectors[V] + begin,
                t);
        return;
    case MN_OPT_SGD:
        break;
    }
    if (m != NULL)
        momentum(n, (float)optimiser->momentum, g, m + begin);
    add_scaled(n, -(float)optimiser->lr, m != NULL ? m + begin : g, t);
}

/* Of parameters [begin, end). */
static void decay(const mn_optimiser *optimiser, size_t begin, size_t end, float *gradient,
                  float *theta)
{
    if (optimiser->kind == MN_OPT_ADAMW)
        scale(end - begin, (float)(1 - optimiser->lr * optimiser->weight_decay), theta + begin);
    else if (optimiser->weight_decay != 0)
        add_scaled(end - begin, (float)optimiser->weight_decay, theta + begin, gradient + begin);
}

MN_VECTOR_CLONES
static void clip_values(size_t n, float limit, float *gradient)
{
    for (size_t i = 0; i < n; i++) {
        float g = gradient[i];
        g = g > limit ? limit : g;
        gradient[i] = g < -limit ? -limit : g;
    }
}

MN_VECTOR_CLONES
static void add_squares(size_t n, const float *restrict x, struct squares *restrict squares)
{
    struct squares sum = *squares;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            sum.lanes[k] += (double)x[i + k] * (double)x[i + k];
    for (size_t k = 0; i + k < n; k++)
        sum.lanes[k] += (double)x[i + k] * (double)x[i + k];
    *squares = sum;
}

static double norm_of(const struct squares *squares)
{
    double sum = 0;
    for (size_t k = 0; k < LANES; k++)
        sum += squares->lanes[k];
    return sqrt(sum);
}

MN_VECTOR_CLONES
static void scale(size_t n, float factor, float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

MN_VECTOR_CLONES
static void add_scaled(size_t n, float factor, const float *restrict x, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += factor * x[i];
}

/* As scale() and then add_scaled(), rounded as often, without writing what lies between. */
MN_VECTOR_CLONES
static void add_scaled_twice(size_t n, float first, float second, const float *restrict x,
                             float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += second * (first * x[i]);
}

MN_VECTOR_CLONES
static void momentum(size_t n, float momentum, const float *restrict gradient, float *restrict m)
{
    for (size_t i = 0; i < n; i++)
        m[i] = momentum * m[i] + gradient[i];
}

MN_VECTOR_CLONES
static void adagrad(size_t n, float rate, float eps, const float *restrict gradient,
                    float *restrict v, float *restrict theta)
{
    for (size_t i = 0; i < n; i++) {
        v[i] += gradient[i] * gradient[i];
        theta[i] -= rate * (gradient[i] / (sqrtf(v[i]) + eps));
    }
}

MN_VECTOR_CLONES
static void adam(const mn_optimiser *optimiser, size_t begin, size_t n,
                 const float *restrict gradient, float *restrict theta)
{
    float fresh1 = (float)(1 - optimiser->beta1);
    float beta2 = (float)optimiser->beta2;
    float fresh2 = (float)(1 - optimiser->beta2);
    float eps = (float)optimiser->eps;
    float rate = (float)(optimiser->lr / (1 - power(optimiser->beta1, optimiser->taken)));
    float bias2 = (float)sqrt(1 - power(optimiser->beta2, optimiser->taken));
    float *restrict m = optimiser->vectors[M] + begin;
    float *restrict v = optimiser->vectors[V] + begin;
    for (size_t i = 0; i < n; i++) {
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
