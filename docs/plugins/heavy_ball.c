/* A rule: an inner loop with momentum (Polyak 1964), differentiated through all of its steps.
 *     v_(k+1) = mu v_k + g(phi_k),  phi_(k+1) = phi_k - a v_(k+1),  phi_0 = theta, v_0 = 0
 * Backwards, with p the adjoint of phi_(k+1) and q that of v_(k+1), H the second derivative at phi_k:
 *     s = q - a p,  p <- p + H s,  q <- mu s
 *
 *     cc -shared -fPIC -O2 -ffp-contract=off $(pkg-config --cflags mnemo) heavy_ball.c -o heavy_ball.so
 *     mnemo train --plugin ./heavy_ball.so EXPERIMENT     # meta: {kind: heavy-ball, inner_steps: 3} */
#include <mnemo/plugin.h>

#include <stdlib.h>
#include <string.h>

static const mnemo_host *host;

struct ball {
    float rate, momentum;
    uint32_t steps;
};

enum { VELOCITY, GRADIENT, S, Q, HS, PHI }; /* vectors; from PHI on phi_0, phi_1, ... */

static mnemo_code open_ball(const mnemo_settings *settings, void **state, mnemo_error *error)
{
    struct ball *ball = malloc(sizeof *ball);
    (void)error;
    if (ball == NULL)
        return MNEMO_ERR_NOMEM;
    ball->rate = (float)host->setting(settings, "heavy-ball.rate");
    ball->momentum = (float)host->setting(settings, "heavy-ball.momentum");
    ball->steps = (uint32_t)host->setting(settings, "meta.inner_steps");
    *state = ball;
    return MNEMO_OK;
}

static uint32_t memory(const void *state)
{
    return PHI + ((const struct ball *)state)->steps;
}

/* A test may take more steps than training: what it does not differentiate it does not keep. */
static double step(const void *state, mnemo_adapting *adapting, uint32_t k)
{
    const struct ball *ball = state;
    const size_t n = host->n(adapting);
    float *phi = host->phi(adapting), *v = host->memory(adapting, VELOCITY);
    float *g = host->memory(adapting, GRADIENT);
    const double loss = host->support(adapting, g);
    if (k < ball->steps)
        memcpy(host->memory(adapting, PHI + k), phi, n * sizeof *phi);
    for (size_t i = 0; i < n; i++) {
        v[i] = ball->momentum * v[i] + g[i];
        phi[i] -= ball->rate * v[i];
    }
    return loss;
}

static void gradient(const void *state, mnemo_adapting *adapting, float *p)
{
    const struct ball *ball = state;
    const size_t n = host->n(adapting);
    float *s = host->memory(adapting, S), *q = host->memory(adapting, Q),
          *hs = host->memory(adapting, HS);
    memset(q, 0, n * sizeof *q);
    for (uint32_t k = ball->steps; k-- > 0;) {
        memcpy(host->phi(adapting), host->memory(adapting, PHI + k), n * sizeof *p);
        (void)host->support(adapting, NULL);
        for (size_t i = 0; i < n; i++)
            s[i] = q[i] - ball->rate * p[i];
        host->hessian(adapting, s, hs);
        for (size_t i = 0; i < n; i++) {
            p[i] += hs[i];
            q[i] = ball->momentum * s[i];
        }
    }
}

static const mnemo_option options[] = {
    {sizeof(mnemo_option), MNEMO_REAL, "rate", 0.01, 0, 10, "", "how far a step goes"},
    {sizeof(mnemo_option), MNEMO_REAL, "momentum", 0.5, 0, 0.999, "",
     "share of the last step that goes on"},
};
static const mnemo_rule_kind heavy_ball = {.struct_size = sizeof heavy_ball,
                                           .name = "heavy-ball",
                                           .help = "gradient steps with momentum",
                                           .options = options,
                                           .n_options = 2,
                                           .open = open_ball,
                                           .close = free,
                                           .memory = memory,
                                           .step = step,
                                           .gradient = gradient,
                                           .is_exact = 1,
                                           .uses_hessian = 1};
static const mnemo_rule_kind *const rules[] = {&heavy_ball, NULL};

static const mnemo_plugin plugin = {.struct_size = sizeof plugin,
                                    .abi = MNEMO_PLUGIN_ABI,
                                    .name = "heavy-ball",
                                    .version = "1",
                                    .rules = rules};

const mnemo_plugin *mnemo_plugin_entry(const mnemo_host *of)
{
    host = of;
    return &plugin;
}
