#include "coordinator/run/optimiser.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { N = 3, STEPS = 3 };

static const float start[N] = {0.5f, -1.25f, 2.0f};
static const float gradients[STEPS][N] = {
    {0.1f, -0.2f, 0.3f}, {-0.4f, 0.25f, 3.0f}, {0.05f, 0.0f, -0.6f}};

static mn_experiment plain(mn_optimiser_kind kind, double lr)
{
    mn_experiment experiment;
    memset(&experiment, 0, sizeof experiment);
    experiment.outer.optimiser = kind;
    experiment.outer.lr = lr;
    experiment.outer.beta1 = 0.9;
    experiment.outer.beta2 = 0.999;
    experiment.outer.eps = 1e-8;
    experiment.outer.steps = STEPS;
    return experiment;
}

static void whole_step(mn_optimiser *optimiser, size_t n, double lr, float *gradient, float *theta,
                       mn_outer_step *out)
{
    mn_optimiser_begin(optimiser, lr);
    mn_optimiser_take(optimiser, n, gradient, theta);
    mn_optimiser_end(optimiser, gradient, theta, out);
}

static void take_steps(mn_optimiser *optimiser, const mn_experiment *experiment, int from, int to,
                       float *theta)
{
    for (int step = from; step < to; step++) {
        float gradient[N];
        mn_outer_step taken;
        memcpy(gradient, gradients[step], sizeof gradient);
        whole_step(optimiser, N, experiment->outer.lr, gradient, theta, &taken);
    }
}

/* Parameter `spared` has no weight decay; N: all have. */
static void expect_with_spared(const mn_experiment *experiment, size_t spared,
                               const double expected[N])
{
    mn_optimiser *optimiser = NULL;
    float theta[N];
    memcpy(theta, start, sizeof theta);
    assert_int_equal(mn_optimiser_new(experiment, N, &optimiser, NULL), MN_OK);
    if (spared < N)
        assert_int_equal(mn_optimiser_spare(optimiser, spared, 1, NULL), MN_OK);
    take_steps(optimiser, experiment, 0, STEPS, theta);
    for (int i = 0; i < N; i++)
        assert_true(fabs((double)theta[i] - expected[i]) < 3e-7 * fabs(expected[i]));
    mn_optimiser_destroy(&optimiser);
}

static void expect_after_three_steps(const mn_experiment *experiment, const double expected[N])
{
    expect_with_spared(experiment, N, expected);
}

/* The numbers below are of PyTorch 1.13, three steps each from p with the gradients above, by
 *   p = torch.tensor([0.5, -1.25, 2.0], requires_grad=True); opt = torch.optim.X([p], ...)
 *   for g in G: p.grad = torch.tensor(g); opt.step()
 *   print(["%.9g" % v for v in p.tolist()]) */
static void sgd_is_that_of_pytorch(void **state)
{
    (void)state;
    mn_experiment experiment = plain(MN_OPT_SGD, 0.1); /* SGD([p], 0.1) */
    expect_after_three_steps(&experiment, (double[N]){0.525000036, -1.255, 1.73000014});
    experiment.outer.momentum = 0.9; /* SGD([p], 0.1, momentum=0.9, weight_decay=0.01) */
    experiment.outer.weight_decay = 0.01;
    expect_after_three_steps(&experiment, (double[N]){0.541095436, -1.23634458, 1.39790368});
}

static void adam_is_that_of_pytorch(void **state)
{
    (void)state;
    mn_experiment experiment = plain(MN_OPT_ADAM, 0.01); /* Adam([p], 0.01, weight_decay=0.1) */
    experiment.outer.weight_decay = 0.1;
    expect_after_three_steps(&experiment, (double[N]){0.495750278, -1.23171616, 1.97596753});
    experiment.outer.optimiser = MN_OPT_ADAMW; /* AdamW([p], 0.01, weight_decay=0.1) */
    expect_after_three_steps(&experiment, (double[N]){0.497634977, -1.23915732, 1.9710921});
}

static void adagrad_is_that_of_pytorch(void **state)
{
    (void)state;
    mn_experiment experiment = plain(MN_OPT_ADAGRAD, 0.1); /* Adagrad([p], 0.1, eps=1e-8) */
    expect_after_three_steps(&experiment, (double[N]){0.484975666, -1.22808683, 1.82001424});
    /* ... initial_accumulator_value=0.1, weight_decay=0.1) */
    experiment.outer.accumulator = 0.1;
    experiment.outer.weight_decay = 0.1;
    expect_after_three_steps(&experiment, (double[N]){0.508061409, -1.18156528, 1.82994032});
}

static void what_is_spared_does_not_decay(void **state)
{
    (void)state;
    /* p[1] in a group of its own, with weight_decay=0 */
    mn_experiment experiment = plain(MN_OPT_ADAGRAD, 0.1);
    experiment.outer.accumulator = 0.1;
    experiment.outer.weight_decay = 0.1;
    expect_with_spared(&experiment, 1, (double[N]){0.508061409, -1.25210333, 1.82994032});
}

static void gradients_are_clipped_by_value_and_then_by_norm(void **state)
{
    (void)state;
    /* Adam([p], 0.01), before each step clip_grad_value_([p], 0.5), clip_grad_norm_([p], 0.4) */
    mn_experiment experiment = plain(MN_OPT_ADAM, 0.01);
    experiment.outer.clip_value = 0.5;
    experiment.outer.clip_norm = 0.4;
    expect_after_three_steps(&experiment, (double[N]){0.49640435, -1.23815775, 1.97882605});
}

static void the_norm_reported_is_the_one_before_clipping(void **state)
{
    (void)state;
    mn_experiment experiment = plain(MN_OPT_SGD, 1);
    experiment.outer.clip_norm = 1;
    mn_optimiser *optimiser = NULL;
    assert_int_equal(mn_optimiser_new(&experiment, 2, &optimiser, NULL), MN_OK);
    float gradient[2] = {3, -4};
    float theta[2] = {0, 0};
    mn_outer_step taken;
    whole_step(optimiser, 2, 0.5, gradient, theta, &taken);
    assert_true(taken.grad_norm == 5);
    assert_true(taken.lr == 0.5);
    assert_true(fabs((double)theta[0] + 0.3) < 1e-6); /* 0.5 * 3/5 */
    assert_true(fabs((double)theta[1] - 0.4) < 1e-6);
    mn_optimiser_destroy(&optimiser);
}

static void a_clipped_step_is_rounded_as_two_products_and_a_sum(void **state)
{
    (void)state;
    enum { LONG = 4099 }; /* blocks and a rest */
    static float gradient[LONG], theta[LONG], expected[LONG];
    mn_experiment experiment = plain(MN_OPT_SGD, 1);
    experiment.outer.clip_norm = 1;
    mn_optimiser *optimiser = NULL;
    assert_int_equal(mn_optimiser_new(&experiment, LONG, &optimiser, NULL), MN_OK);
    double squares = 0;
    for (int i = 0; i < LONG; i++) {
        gradient[i] = (float)(i % 7 - 3); /* so that all sums of squares are exact */
        squares += (double)(gradient[i] * gradient[i]);
    }
    const float factor = (float)(1 / (sqrt(squares) + 1e-6));
    for (int i = 0; i < LONG; i++) {
        theta[i] = (float)i / 3;
        const float scaled = gradient[i] * factor, step = -0.3f * scaled;
        expected[i] = theta[i] + step;
    }
    mn_outer_step taken;
    whole_step(optimiser, LONG, (double)0.3f, gradient, theta, &taken);
    assert_memory_equal(theta, expected, sizeof theta);
    mn_optimiser_destroy(&optimiser);
}

static void go_on_from_a_checkpoint(mn_optimiser_kind kind)
{
    mn_experiment experiment = plain(kind, 0.01);
    experiment.outer.weight_decay = 0.1;
    mn_optimiser *whole = NULL;
    mn_optimiser *resumed = NULL;
    float theta[N];
    float theta_resumed[N];
    memcpy(theta, start, sizeof theta);
    assert_int_equal(mn_optimiser_new(&experiment, N, &whole, NULL), MN_OK);
    take_steps(whole, &experiment, 0, 2, theta);

    assert_int_equal(mn_optimiser_new(&experiment, N, &resumed, NULL), MN_OK);
    assert_string_equal(mn_optimiser_vector_name(0), "m");
    assert_string_equal(mn_optimiser_vector_name(1), "v");
    assert_true((mn_optimiser_vector(resumed, 0) == NULL) == (kind == MN_OPT_ADAGRAD));
    for (size_t i = 0; i < MN_OPTIMISER_VECTORS; i++)
        if (mn_optimiser_vector(resumed, i) != NULL)
            memcpy(mn_optimiser_vector(resumed, i), mn_optimiser_vector(whole, i), sizeof theta);
    mn_optimiser_set_taken(resumed, mn_optimiser_taken(whole));
    memcpy(theta_resumed, theta, sizeof theta);

    take_steps(whole, &experiment, 2, STEPS, theta);
    take_steps(resumed, &experiment, 2, STEPS, theta_resumed);
    assert_memory_equal(theta, theta_resumed, sizeof theta);
    mn_optimiser_destroy(&whole);
    mn_optimiser_destroy(&resumed);
}

static void an_optimiser_filled_from_a_checkpoint_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    go_on_from_a_checkpoint(MN_OPT_ADAMW);
    go_on_from_a_checkpoint(MN_OPT_ADAGRAD);
}

static void learning_rates_follow_their_schedule(void **state)
{
    (void)state;
    mn_experiment experiment = plain(MN_OPT_SGD, 0.5);
    experiment.outer.steps = 5;
    assert_true(mn_learning_rate(&experiment, 0) == 0.5);
    assert_true(mn_learning_rate(&experiment, 4) == 0.5);

    experiment.outer.schedule = MN_LR_COSINE;
    experiment.outer.lr_min = 0.25;
    assert_true(mn_learning_rate(&experiment, 0) == 0.5);
    assert_true(mn_learning_rate(&experiment, 2) == 0.375);
    assert_true(mn_learning_rate(&experiment, 4) == 0.25);
    assert_true(mn_learning_rate(&experiment, 1000) == 0.25);
    experiment.outer.steps = 1;
    assert_true(mn_learning_rate(&experiment, 0) == 0.5);

    experiment.outer.schedule = MN_LR_STEP;
    experiment.outer.lr_step_every = 10;
    experiment.outer.lr_factor = 0.5;
    assert_true(mn_learning_rate(&experiment, 9) == 0.5);
    assert_true(mn_learning_rate(&experiment, 10) == 0.25);
    assert_true(mn_learning_rate(&experiment, 39) == 0.0625);

    experiment.outer.warmup = 4; /* times the schedule's own */
    experiment.outer.lr_step_every = 2;
    assert_true(mn_learning_rate(&experiment, 0) == 0.125);
    assert_true(mn_learning_rate(&experiment, 1) == 0.25);
    assert_true(mn_learning_rate(&experiment, 3) == 0.25);
    assert_true(mn_learning_rate(&experiment, 4) == 0.125);
}

static void a_step_in_pieces_is_the_whole_step(void **state)
{
    (void)state;
    enum { LONG = 5003 };
    static const size_t cuts[][4] = {{16, 5003}, {2048, 2064, 4992, 5003}, {4096, 4112, 5003}};
    static const mn_optimiser_kind kinds[] = {MN_OPT_SGD, MN_OPT_ADAM, MN_OPT_ADAMW,
                                              MN_OPT_ADAGRAD};
    static float whole[LONG], pieces[LONG], gradient[LONG];
    for (int setting = 0; setting < 4 * 4; setting++) {
        mn_experiment experiment = plain(kinds[setting / 4], 0.1);
        experiment.outer.weight_decay = 0.01;
        experiment.outer.clip_norm = setting & 1 ? 0.5 : 0;
        experiment.outer.clip_value = setting & 2 ? 0.02 : 0;
        for (size_t cut = 0; cut < sizeof cuts / sizeof *cuts; cut++) {
            mn_optimiser *optimisers[2] = {NULL, NULL};
            mn_outer_step steps[2];
            float *const thetas[2] = {whole, pieces};
            for (int i = 0; i < 2; i++) {
                assert_int_equal(mn_optimiser_new(&experiment, LONG, &optimisers[i], NULL), MN_OK);
                for (size_t s = 0; s < 2; s++) /* within a block, and over the end of one */
                    assert_int_equal(mn_optimiser_spare(optimisers[i], 40 + 2000 * s, 30, NULL),
                                     MN_OK);
                for (size_t k = 0; k < LONG; k++) {
                    thetas[i][k] = (float)k * 1e-3f;
                    gradient[k] = sinf((float)k) * 0.1f;
                }
                if (i == 0) {
                    whole_step(optimisers[0], LONG, 0.1, gradient, whole, &steps[0]);
                    continue;
                }
                mn_optimiser_begin(optimisers[1], 0.1);
                for (size_t at = 0, k = 0; at < LONG; at = cuts[cut][k++])
                    mn_optimiser_take(optimisers[1], cuts[cut][k] - at, gradient, pieces);
                mn_optimiser_end(optimisers[1], gradient, pieces, &steps[1]);
            }
            assert_memory_equal(pieces, whole, sizeof whole);
            assert_true(steps[0].grad_norm == steps[1].grad_norm && steps[0].grad_norm > 4);
            for (int i = 0; i < 2; i++)
                mn_optimiser_destroy(&optimisers[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_in_pieces_is_the_whole_step),
        cmocka_unit_test(sgd_is_that_of_pytorch),
        cmocka_unit_test(adam_is_that_of_pytorch),
        cmocka_unit_test(adagrad_is_that_of_pytorch),
        cmocka_unit_test(what_is_spared_does_not_decay),
        cmocka_unit_test(gradients_are_clipped_by_value_and_then_by_norm),
        cmocka_unit_test(a_clipped_step_is_rounded_as_two_products_and_a_sum),
        cmocka_unit_test(the_norm_reported_is_the_one_before_clipping),
        cmocka_unit_test(an_optimiser_filled_from_a_checkpoint_goes_on_with_the_same_bits),
        cmocka_unit_test(learning_rates_follow_their_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
