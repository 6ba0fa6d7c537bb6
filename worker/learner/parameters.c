#include "worker/learner/parameters.h"

#include "common/random.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static uint32_t add(mn_parameters *parameters, const char *name, mn_parameter parameter)
{
    if (parameters->n == MN_MAX_PARAMETERS)
        return UINT32_MAX;
    (void)snprintf(parameter.tensor.name, sizeof parameter.tensor.name, "%s", name);
    parameter.tensor.dtype = MN_F32;
    parameter.count = mn_extent_count(parameter.inside);
    parameter.offset = parameters->size;
    parameters->at[parameters->n] = parameter;
    parameters->size += parameter.count;
    return parameters->n++;
}

uint32_t mn_parameters_add_linear(mn_parameters *parameters, const char *name, mn_extent from,
                                  uint32_t out)
{
    uint32_t in = from.h * from.w * from.c;
    return add(parameters, name,
               (mn_parameter){.tensor = {.rank = 2, .shape = {out, in}},
                              .layout = MN_LAYOUT_LINEAR,
                              .image_pixels = from.h * from.w,
                              .inside = {in, 1, 1, out}});
}

uint32_t mn_parameters_add_conv(mn_parameters *parameters, const char *name, uint32_t c_in,
                                uint32_t c_out)
{
    return add(parameters, name,
               (mn_parameter){.tensor = {.rank = 4, .shape = {c_out, c_in, 3, 3}},
                              .layout = MN_LAYOUT_CONV,
                              .inside = {9 * c_in, 1, 1, c_out}});
}

uint32_t mn_parameters_add_vector(mn_parameters *parameters, const char *name, uint32_t c,
                                  mn_init init)
{
    return add(parameters, name,
               (mn_parameter){.tensor = {.rank = 1, .shape = {c}},
                              .layout = MN_LAYOUT_PLAIN,
                              .init = init,
                              .inside = {1, 1, 1, c}});
}

uint32_t mn_parameters_add_table(mn_parameters *parameters, const char *name, uint32_t rows,
                                 uint32_t c, mn_init init, double scale)
{
    return add(parameters, name,
               (mn_parameter){.tensor = {.rank = 2, .shape = {rows, c}},
                              .layout = MN_LAYOUT_PLAIN,
                              .init = init,
                              .scale = scale,
                              .inside = {rows, 1, 1, c}});
}

uint32_t mn_parameters_add_like(mn_parameters *parameters, const char *name, uint32_t like,
                                double value)
{
    mn_parameter parameter = parameters->at[like];
    parameter.init = MN_START_VALUE;
    parameter.scale = value;
    return add(parameters, name, parameter);
}

uint32_t mn_parameters_find(const mn_parameters *parameters, const char *name)
{
    for (uint32_t i = 0; i < parameters->n; i++)
        if (strcmp(parameters->at[i].tensor.name, name) == 0)
            return i;
    return UINT32_MAX;
}

static double draw_weight(mn_random *random, mn_weight_init how, double fan_in, double fan_out)
{
    double z;
    switch (how) {
    case MN_INIT_HE:
        return mn_random_normal(random) * sqrt(2.0 / fan_in);
    case MN_INIT_TRUNCATED_NORMAL:
        do
            z = mn_random_normal(random);
        while (fabs(z) > 2.0);
        return 0.01 * z;
    case MN_INIT_LECUN:
        return mn_random_uniform(random, -sqrt(3.0 / fan_in), sqrt(3.0 / fan_in));
    case MN_INIT_GLOROT:
        break;
    }
    double limit = sqrt(6.0 / (fan_in + fan_out));
    return mn_random_uniform(random, -limit, limit);
}

void mn_parameters_start(const mn_parameters *parameters, mn_weight_init how, uint64_t seed,
                         mn_real *theta)
{
    for (uint32_t i = 0; i < parameters->n; i++) {
        const mn_parameter *parameter = &parameters->at[i];
        mn_random random = mn_random_stream(seed, MN_RANDOM_THETA, i);
        double taps = parameter->layout == MN_LAYOUT_CONV ? 9.0 : 1.0;
        double fan_in = parameter->inside.n, fan_out = taps * parameter->inside.c;
        for (size_t k = 0; k < parameter->count; k++) {
            double value = 0.0;
            switch (parameter->init) {
            case MN_START_WEIGHTS:
                value = draw_weight(&random, how, fan_in, fan_out);
                break;
            case MN_START_ONE:
                value = 1.0;
                break;
            case MN_START_IDENTITY:
                value = k / parameter->inside.c == k % parameter->inside.c;
                break;
            case MN_START_VALUE:
                value = parameter->scale;
                break;
            case MN_START_NORMAL:
                value = parameter->scale * mn_random_normal(&random);
                break;
            case MN_START_UNIFORM:
                value = parameter->scale * mn_random_uniform(&random, -sqrt(3.0), sqrt(3.0));
                break;
            case MN_START_ZERO:
                break;
            }
            theta[parameter->offset + k] = (mn_real)value;
        }
    }
}

/* Where element (row, out) of an inside matrix stands outside. */
static size_t outside_index(const mn_parameter *parameter, size_t row, size_t out)
{
    if (parameter->layout == MN_LAYOUT_CONV) {
        size_t c_in = parameter->inside.n / 9, tap = row / c_in, in = row % c_in;
        return (out * c_in + in) * 9 + tap;
    }
    size_t channels = parameter->inside.n / parameter->image_pixels;
    size_t pixel = row / channels, channel = row % channels;
    return out * parameter->inside.n + channel * parameter->image_pixels + pixel;
}

static void permute(const mn_parameters *parameters, const mn_real *from, mn_real *to,
                    bool outwards)
{
    for (uint32_t i = 0; i < parameters->n; i++) {
        const mn_parameter *parameter = &parameters->at[i];
        const mn_real *a = from + parameter->offset;
        mn_real *b = to + parameter->offset;
        if (parameter->layout == MN_LAYOUT_PLAIN) {
            memcpy(b, a, parameter->count * sizeof *b);
            continue;
        }
        for (size_t row = 0, k = 0; row < parameter->inside.n; row++)
            for (size_t out = 0; out < parameter->inside.c; out++, k++) {
                size_t other = outside_index(parameter, row, out);
                if (outwards)
                    b[other] = a[k];
                else
                    b[k] = a[other];
            }
    }
}

void mn_parameters_export(const mn_parameters *parameters, const mn_real *inside, mn_real *outside)
{
    permute(parameters, inside, outside, true);
}

void mn_parameters_import(const mn_parameters *parameters, const mn_real *outside, mn_real *inside)
{
    permute(parameters, outside, inside, false);
}
