/* adapt_and_predict: a curve from a few of its points, with libmnemo.
 *
 *     mnemo train experiments/sinusoid-maml.yaml --run-dir run
 *     mnemo export run -o model.safetensors
 *     cc adapt_and_predict.c -o adapt_and_predict $(pkg-config --cflags --libs mnemo)
 *     ./adapt_and_predict model.safetensors -2,-0.9 -1,-0.8 0,0.1 1,0.8 2,0.9 -- -1.5 0.5 1.5
 *
 * Adapts the model to the points x,y before the two dashes and prints "x y" for each x behind them. */
#include <mnemo/mnemo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_points(int n, char **texts, float *x, float *y)
{
    for (int i = 0; i < n; i++)
        if (sscanf(texts[i], "%f,%f", &x[i], &y[i]) != 2) {
            (void)fprintf(stderr, "%s: expected a point x,y\n", texts[i]);
            return 0;
        }
    return 1;
}

/* The x asked about, each with what the adapted model says: a model of curves gives one value. */
static mnemo_code print_answers(const mnemo_adapted *adapted, int n, char **texts,
                                mnemo_error *error)
{
    mnemo_code code = MNEMO_OK;
    for (int i = 0; i < n && code == MNEMO_OK; i++) {
        const float x = strtof(texts[i], NULL);
        float y = 0;
        code = mnemo_predict(adapted, 1, &x, 1, &y, 1, error);
        if (code == MNEMO_OK)
            (void)printf("%g %.6f\n", (double)x, (double)y);
    }
    return code;
}

int main(int argc, char **argv)
{
    enum { MOST = 1000 };
    static float x[MOST], y[MOST];
    mnemo_model *model = NULL;
    mnemo_adapted *adapted = NULL;
    mnemo_error error = {.code = MNEMO_OK};
    int dashes = 2;
    while (dashes < argc && strcmp(argv[dashes], "--") != 0)
        dashes++;
    const int n = dashes - 2;
    if (dashes >= argc || n > MOST) {
        (void)fprintf(stderr, "usage: %s MODEL X,Y... -- X...\n", argv[0]);
        return 64;
    }
    if (!read_points(n, argv + 2, x, y))
        return 64;
    const mnemo_examples examples = {
        .n = (size_t)n, .x = x, .n_x = (size_t)n, .y = y, .n_y = (size_t)n};
    mnemo_code code = mnemo_model_load(argv[1], &model, &error);
    if (code == MNEMO_OK)
        code = mnemo_adapt(model, &examples, MNEMO_STEPS_AS_TRAINED, &adapted, &error);
    if (code == MNEMO_OK)
        code = print_answers(adapted, argc - dashes - 1, argv + dashes + 1, &error);
    if (code != MNEMO_OK)
        (void)fprintf(stderr, "%s: %s\n", mnemo_code_text(code), error.message);
    mnemo_adapted_free(adapted);
    mnemo_model_free(model);
    return code == MNEMO_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
