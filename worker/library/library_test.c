/* The library as a stranger's program sees it: this file knows mnemo/mnemo.h and nothing else of
 * ours. The models are written here, byte by byte, as any writer of safetensors would. */
#include "mnemo/mnemo.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CURVES                                                                                     \
    "name: curves\ntasks: {kind: sinusoid, shot: 5, query: 5}\nmodel: {input: mlp, hidden: [8]}\n" \
    "meta: {kind: maml, inner_steps: 2, inner_lr: 0.05}\n"
#define DRAWINGS                                                                                   \
    "name: drawings\ntasks: {kind: glyphs, way: 3, shot: 1, query: 1, image_size: 8}\n"            \
    "model: {input: conv4, filters: 4, blocks: 1, memory: class-means, output: distance, "         \
    "batch_norm_statistics: item}\nmeta: {kind: episodic}\n"

enum { HIDDEN = 8, PIXELS = 64, MOST = 4096 };

struct tensor {
    const char *name, *shape;
    size_t n;
};
static const struct tensor curve_tensors[] = {{"fc1.weight", "8,1", HIDDEN},
                                              {"fc1.bias", "8", HIDDEN},
                                              {"head.weight", "1,8", HIDDEN},
                                              {"head.bias", "1", 1},
                                              {NULL, NULL, 0}};
static const struct tensor drawing_tensors[] = {{"conv1.weight", "4,1,3,3", 36},
                                                {"conv1.bias", "4", 4},
                                                {"bn1.weight", "4", 4},
                                                {"bn1.bias", "4", 4},
                                                {NULL, NULL, 0}};

static char folder[64], path[128];
static float numbers[MOST];
static mnemo_error error;
static const char *more_metadata = ""; /* of the next model, as JSON */

/* Numbers between -1 and 1, always the same. */
static void fill(size_t n, float *out)
{
    uint32_t state = 12345;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        out[i] = (float)(state >> 8) / 8388608.0f - 1;
    }
}

static const char *in_folder(const char *name)
{
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put_escaped(char **at, const char *text)
{
    for (; *text != '\0'; text++)
        *at += sprintf(*at, *text == '\n' ? "\\n" : *text == '"' ? "\\\"" : "%c", *text);
}

/* A safetensors file; returns its path. */
static const char *write_model(const char *name, const char *experiment,
                               const struct tensor *tensors)
{
    char header[MOST], *at = header;
    size_t n = 0;
    at += sprintf(at, "{\"__metadata__\":{\"step\":\"7\",\"experiment\":\"");
    put_escaped(&at, experiment);
    at += sprintf(at, "\"%s}", more_metadata);
    for (; tensors->name != NULL; tensors++, n += (tensors - 1)->n)
        at += sprintf(at, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                      tensors->name, tensors->shape, n * 4, (n + tensors->n) * 4);
    at += sprintf(at, "}");
    const uint64_t length = (uint64_t)(at - header);
    fill(n, numbers);
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(&length, sizeof length, 1, file), 1);
    assert_int_equal(fwrite(header, 1, length, file), length);
    assert_int_equal(fwrite(numbers, sizeof *numbers, n, file), n);
    assert_int_equal(fclose(file), 0);
    return path;
}

static mnemo_model *load(const char *experiment, const struct tensor *tensors)
{
    mnemo_model *model = NULL;
    const mnemo_code code =
        mnemo_model_load(write_model("model.safetensors", experiment, tensors), &model, &error);
    if (code != MNEMO_OK)
        print_error("%s\n", error.message);
    assert_int_equal(code, MNEMO_OK);
    return model;
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/library_test.XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[sizeof folder + 16];
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static const float xs[] = {-2, -1, 0, 1, 2}, ys[] = {-0.9f, -0.8f, 0.1f, 0.8f, 0.9f};
static const mnemo_examples points = {.n = 5, .x = xs, .n_x = 5, .y = ys, .n_y = 5};

/* ---- what it says of itself ---- */

static void the_header_is_of_the_library_that_it_comes_with(void **state)
{
    (void)state;
    char version[32];
    (void)snprintf(version, sizeof version, "%d.%d.%d", MNEMO_VERSION_MAJOR, MNEMO_VERSION_MINOR,
                   MNEMO_VERSION_PATCH);
    assert_string_equal(mnemo_version(), version);
    assert_string_equal(mnemo_code_text(MNEMO_ERR_UNSUITED), "not of this model");
    assert_string_equal(mnemo_code_text((mnemo_code)99), "unknown code");
    assert_string_equal(mnemo_code_text((mnemo_code)-1), "unknown code");
}

static void a_model_tells_what_it_takes(void **state)
{
    (void)state;
    uint32_t size[3];
    mnemo_model *curves = load(CURVES, curve_tensors), *drawings = load(DRAWINGS, drawing_tensors);
    assert_string_equal(mnemo_model_name(curves), "curves");
    assert_int_equal(mnemo_model_step(curves), 7);
    assert_int_equal(mnemo_model_item(curves, NULL), 1);
    assert_int_equal(mnemo_model_classes(curves), 0);
    assert_int_equal(mnemo_model_values(curves), 1);
    assert_int_equal(mnemo_model_steps(curves), 2);
    assert_int_equal(mnemo_model_item(drawings, size), PIXELS);
    assert_true(size[0] == 8 && size[1] == 8 && size[2] == 1);
    assert_int_equal(mnemo_model_classes(drawings), 3);
    assert_int_equal(mnemo_model_any_classes(drawings), 1);
    assert_int_equal(mnemo_model_values(drawings), 0);
    assert_int_equal(mnemo_model_steps(drawings), 0);
    assert_int_equal(mnemo_model_judges_together(drawings), 0);
    mnemo_model_free(curves);
    mnemo_model_free(drawings);
    mnemo_model_free(NULL);
    mnemo_adapted_free(NULL);
}

/* ---- the mathematics, done again in double ---- */

struct perceptron {
    double w[HIDDEN], b[HIDDEN], v[HIDDEN], c;
};

static double forward(const struct perceptron *net, double x)
{
    double y = net->c;
    for (int i = 0; i < HIDDEN; i++)
        y += net->v[i] * fmax(0, net->w[i] * x + net->b[i]);
    return y;
}

/* One step down the gradient of the mean squared error of the points. */
static void step_down(struct perceptron *net, double rate)
{
    struct perceptron g = {.c = 0};
    for (int k = 0; k < 5; k++) {
        const double x = (double)xs[k], by_y = 2.0 / 5 * (forward(net, x) - (double)ys[k]);
        g.c += by_y;
        for (int i = 0; i < HIDDEN; i++) {
            const double h = net->w[i] * x + net->b[i];
            g.v[i] += h > 0 ? by_y * h : 0;
            g.w[i] += h > 0 ? by_y * net->v[i] * x : 0;
            g.b[i] += h > 0 ? by_y * net->v[i] : 0;
        }
    }
    for (int i = 0; i < HIDDEN; i++) {
        net->w[i] -= rate * g.w[i];
        net->b[i] -= rate * g.b[i];
        net->v[i] -= rate * g.v[i];
    }
    net->c -= rate * g.c;
}

static void steps_are_those_of_gradient_descent(void **state)
{
    (void)state;
    const float asked[] = {-3, -0.5f, 0.5f, 3};
    mnemo_model *model = load(CURVES, curve_tensors);
    struct perceptron net = {.c = (double)numbers[3 * HIDDEN]};
    for (int i = 0; i < HIDDEN; i++) {
        net.w[i] = (double)numbers[i];
        net.b[i] = (double)numbers[HIDDEN + i];
        net.v[i] = (double)numbers[2 * HIDDEN + i];
    }
    for (uint32_t steps = 0; steps <= 3; steps++) {
        float answers[4], outputs[4];
        mnemo_adapted *adapted = NULL;
        assert_int_equal(mnemo_adapt(model, &points, steps == 2 ? MNEMO_STEPS_AS_TRAINED : steps,
                                     &adapted, &error),
                         MNEMO_OK);
        assert_int_equal(mnemo_adapted_steps(adapted), steps);
        assert_int_equal(mnemo_adapted_columns(adapted), 1);
        assert_int_equal(mnemo_adapted_classes(adapted), 0);
        assert_int_equal(mnemo_predict(adapted, 4, asked, 4, answers, 4, &error), MNEMO_OK);
        assert_int_equal(mnemo_outputs(adapted, 4, asked, 4, outputs, 4, NULL), MNEMO_OK);
        for (int i = 0; i < 4; i++) {
            assert_true(fabs((double)answers[i] - forward(&net, (double)asked[i])) < 1e-5);
            assert_true(answers[i] == outputs[i]);
        }
        mnemo_adapted_free(adapted);
        step_down(&net, 0.05);
    }
    mnemo_model_free(model);
}

static mnemo_examples drawings_of(uint32_t n_classes, float *x, uint32_t *labels)
{
    fill((size_t)n_classes * PIXELS, x);
    for (uint32_t i = 0; i < n_classes; i++)
        labels[i] = i;
    return (mnemo_examples){.n = n_classes,
                            .x = x,
                            .n_x = (size_t)n_classes * PIXELS,
                            .labels = labels,
                            .n_labels = n_classes,
                            .n_classes = n_classes};
}

static void any_number_of_classes_is_told_apart_by_prototypes(void **state)
{
    (void)state;
    enum { WAY = 5 };
    float x[WAY * PIXELS], p[WAY * WAY];
    uint32_t labels[WAY];
    mnemo_model *model = load(DRAWINGS, drawing_tensors);
    mnemo_adapted *adapted = NULL;
    const mnemo_examples examples = drawings_of(WAY, x, labels);
    assert_int_equal(mnemo_adapt(model, &examples, MNEMO_STEPS_AS_TRAINED, &adapted, &error),
                     MNEMO_OK);
    mnemo_model_free(model); /* is needed no more */
    assert_int_equal(mnemo_adapted_classes(adapted), WAY);
    assert_int_equal(mnemo_adapted_item(adapted), PIXELS);
    assert_int_equal(mnemo_predict(adapted, WAY, x, sizeof x / 4, p, WAY * WAY, &error), MNEMO_OK);
    for (int i = 0; i < WAY; i++) { /* each example is its own prototype */
        float sum = 0;
        for (int k = 0; k < WAY; k++) {
            sum += p[i * WAY + k];
            assert_true(p[i * WAY + k] <= p[i * WAY + i]);
        }
        assert_true(fabsf(sum - 1) < 1e-5f);
    }
    mnemo_adapted_free(adapted);
}

/* ---- files ---- */

static void what_was_saved_answers_the_same(void **state)
{
    (void)state;
    enum { WAY = 3 };
    float x[WAY * PIXELS], before[WAY * WAY], after[WAY * WAY];
    uint32_t labels[WAY];
    mnemo_model *model = load(DRAWINGS, drawing_tensors);
    mnemo_adapted *adapted = NULL, *again = NULL;
    const mnemo_examples examples = drawings_of(WAY, x, labels);
    assert_int_equal(mnemo_adapt(model, &examples, 0, &adapted, NULL), MNEMO_OK);
    assert_int_equal(mnemo_predict(adapted, WAY, x, sizeof x / 4, before, WAY * WAY, NULL),
                     MNEMO_OK);
    assert_int_equal(mnemo_adapted_save(adapted, in_folder("adapted"), &error), MNEMO_OK);
    assert_int_equal(mnemo_adapted_load(in_folder("adapted"), &again, &error), MNEMO_OK);
    assert_int_equal(mnemo_predict(again, WAY, x, sizeof x / 4, after, WAY * WAY, NULL), MNEMO_OK);
    assert_memory_equal(before, after, sizeof before);
    mnemo_adapted_free(again);

    again = NULL;
    assert_int_equal(mnemo_adapted_save(adapted, in_folder("no/such/folder"), &error),
                     MNEMO_ERR_NO_INPUT);
    assert_int_equal(mnemo_adapted_load(in_folder("model.safetensors"), &again, &error),
                     MNEMO_ERR_DATA);
    assert_null(again);
    mnemo_adapted_free(adapted);
    mnemo_model_free(model);
}

static void files_that_are_none_are_refused(void **state)
{
    (void)state;
    mnemo_model *model = NULL;
    assert_int_equal(mnemo_model_load(in_folder("nothing"), &model, &error), MNEMO_ERR_NO_INPUT);
    assert_int_equal(error.code, MNEMO_ERR_NO_INPUT);
    assert_non_null(strstr(error.message, "nothing"));
    assert_int_equal(mnemo_model_load(folder, &model, &error), MNEMO_ERR_NO_INPUT);
    assert_non_null(strstr(error.message, "no checkpoint"));
    assert_int_equal(mnemo_model_load(NULL, &model, &error), MNEMO_ERR_ARGUMENT);
    assert_int_equal(mnemo_model_load(folder, NULL, &error), MNEMO_ERR_ARGUMENT);
    assert_int_equal(mnemo_model_load(write_model("m", CURVES, drawing_tensors), &model, &error),
                     MNEMO_ERR_DATA);
    assert_null(model);
}

/* Whatever comes of it, it is a code. With a sanitizer this finds more. */
static void no_damage_does_more_than_fail(void **state)
{
    (void)state;
    static unsigned char bytes[MOST], damaged[MOST];
    FILE *file = fopen(write_model("whole", CURVES, curve_tensors), "rb");
    assert_non_null(file);
    const size_t n = fread(bytes, 1, sizeof bytes, file);
    assert_true(n > 500 && n < sizeof bytes);
    (void)fclose(file);
    unsigned refused = 0;
    for (size_t i = 0; i < 2 * n; i++) {
        const size_t length = i < n ? i : n; /* cut there, or one byte changed */
        mnemo_model *model = NULL;
        memcpy(damaged, bytes, n);
        if (i >= n)
            damaged[i - n] ^= (unsigned char)(1u << i % 8);
        file = fopen(in_folder("damaged"), "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(damaged, 1, length, file), length);
        assert_int_equal(fclose(file), 0);
        const mnemo_code code = mnemo_model_load(in_folder("damaged"), &model, &error);
        refused += code != MNEMO_OK;
        assert_true(code != MNEMO_ERR_INTERNAL);
        assert_true((code == MNEMO_OK) == (model != NULL));
        assert_true((code == MNEMO_OK) == (error.message[0] == '\0'));
        if (model != NULL) {
            mnemo_adapted *adapted = NULL;
            (void)mnemo_adapt(model, &points, MNEMO_STEPS_AS_TRAINED, &adapted, &error);
            mnemo_adapted_free(adapted);
        }
        mnemo_model_free(model);
    }
    assert_true(refused >= n + 100); /* every cut, and most changes of the header */
}

static void experiments_out_of_any_range_are_refused(void **state)
{
    (void)state;
    static const char *const experiments[] = {
        "",
        "tasks: 3\n",
        "tasks: {kind: sinusoid, shot: 4000000000, query: 4000000000}\nmodel: {input: mlp}\n",
        "tasks: {kind: sinusoid}\nmodel: {input: mlp, hidden: [4096, 4096, 4096, 4096]}\n",
        "tasks: {kind: sinusoid}\nmodel: {input: conv4}\n",
        "tasks: {kind: glyphs, way: 0}\n",
        "tasks: {kind: glyphs, way: 64, shot: 1000, query: 1000, image_size: 4096}\n"
        "model: {input: conv4}\n",
        "tasks: {kind: images, data: none.mnd, image_size: 0}\nmodel: {input: conv4}\n",
        "tasks: {kind: images, data: none.mnd}\nmodel: {input: conv4, blocks: 8}\n",
        "tasks: {kind: sinusoid}\nmodel: {input: mlp, hidden: [8]}\nmeta: {inner_steps: "
        "4294967296}\n",
        "tasks: {kind: sinusoid}\nmodel: {input: mlp, hidden: [8]}\nmeta: {inner_lr: .nan}\n",
        "tasks: {kind: sequences, length: 100000, bundle: 100000}\n",
        "tasks: {kind: generated-stories, sentences: 4000000000}\n",
        "tasks: {mix: \"x; y; z\"}\n",
        "&a [*a, *a]\n",
    };
    for (size_t i = 0; i < sizeof experiments / sizeof *experiments; i++) {
        mnemo_model *model = NULL;
        const mnemo_code code =
            mnemo_model_load(write_model("odd", experiments[i], curve_tensors), &model, &error);
        if (code == MNEMO_OK)
            print_error("taken: %s", experiments[i]);
        assert_true(code == MNEMO_ERR_DATA || code == MNEMO_ERR_UNSUITED ||
                    code == MNEMO_ERR_NOMEM);
        assert_null(model);
        assert_true(error.message[0] != '\0');
    }
}

/* ---- calls ---- */

static void expect_refusal(const mnemo_model *model, const mnemo_examples *examples, uint32_t steps,
                           mnemo_code expected, const char *words)
{
    mnemo_adapted *adapted = NULL;
    const mnemo_code code = mnemo_adapt(model, examples, steps, &adapted, &error);
    if (code != expected || strstr(error.message, words) == NULL)
        print_error("%d %s, expected %d %s\n", code, error.message, expected, words);
    assert_int_equal(code, expected);
    assert_int_equal(error.code, expected);
    assert_non_null(strstr(error.message, words));
    assert_null(adapted);
}

static void examples_of_wrong_sizes_are_refused(void **state)
{
    (void)state;
    mnemo_model *model = load(CURVES, curve_tensors);
    mnemo_examples wrong = points;
    expect_refusal(NULL, &points, 1, MNEMO_ERR_ARGUMENT, "NULL");
    expect_refusal(model, NULL, 1, MNEMO_ERR_ARGUMENT, "NULL");
    wrong.n_x = 4;
    expect_refusal(model, &wrong, 1, MNEMO_ERR_ARGUMENT,
                   "x has 4 numbers: expected 1 for each of 5");
    wrong = points;
    wrong.x = NULL;
    expect_refusal(model, &wrong, 1, MNEMO_ERR_ARGUMENT, "x must not be NULL");
    wrong = points;
    wrong.n_y = 6;
    expect_refusal(model, &wrong, 1, MNEMO_ERR_ARGUMENT, "y has 6 numbers");
    wrong = points;
    wrong.y = NULL;
    expect_refusal(model, &wrong, 1, MNEMO_ERR_ARGUMENT, "y must not be NULL");
    wrong = (mnemo_examples){0};
    expect_refusal(model, &wrong, 1, MNEMO_ERR_ARGUMENT, "0 items");
    wrong = points;
    wrong.n = SIZE_MAX;
    wrong.n_x = SIZE_MAX;
    expect_refusal(model, &wrong, 1, MNEMO_ERR_ARGUMENT, "items: expected 1 to");
    wrong = points;
    wrong.labels = (const uint32_t[]){0, 0, 0, 0, 0};
    wrong.n_labels = 5;
    expect_refusal(model, &wrong, 1, MNEMO_ERR_ARGUMENT, "answers with values");
    wrong = points;
    wrong.y = (const float[]){0, 0, NAN, 0, 0};
    expect_refusal(model, &wrong, 1, MNEMO_ERR_DATA, "not finite");
    wrong.y = (const float[]){1e30f, -1e30f, 1e30f, 1e30f, 1e30f};
    expect_refusal(model, &wrong, 1000, MNEMO_ERR_NUMERIC, "not finite after inner step");
    expect_refusal(model, &points, 4000000000u, MNEMO_ERR_UNSUITED, "at most");
    mnemo_model_free(model);

    float x[3 * PIXELS];
    uint32_t labels[3];
    model = load(DRAWINGS, drawing_tensors);
    mnemo_examples drawings = drawings_of(3, x, labels);
    drawings.n_labels = 2;
    expect_refusal(model, &drawings, 0, MNEMO_ERR_ARGUMENT, "labels has 2");
    drawings.n_labels = 3;
    drawings.n_classes = 4;
    expect_refusal(model, &drawings, 0, MNEMO_ERR_ARGUMENT, "n_classes is 4, but there are 3");
    drawings.n_classes = 3;
    labels[2] = 1;
    expect_refusal(model, &drawings, 0, MNEMO_ERR_DATA, "class 2 has no example");
    labels[2] = 2;
    drawings.n_classes = 2;
    expect_refusal(model, &drawings, 0, MNEMO_ERR_DATA, "label 2 of example 2");
    drawings.n_classes = 3;
    drawings.y = x;
    expect_refusal(model, &drawings, 0, MNEMO_ERR_ARGUMENT, "tells classes apart");
    drawings.y = NULL;
    expect_refusal(model, &drawings, 5, MNEMO_ERR_UNSUITED, "takes none");
    mnemo_model_free(model);
}

static void questions_of_wrong_sizes_are_refused(void **state)
{
    (void)state;
    float answers[8] = {0};
    mnemo_model *model = load(CURVES, curve_tensors);
    mnemo_adapted *adapted = NULL;
    assert_int_equal(mnemo_adapt(model, &points, 1, &adapted, &error), MNEMO_OK);
    assert_int_equal(mnemo_predict(NULL, 5, xs, 5, answers, 5, &error), MNEMO_ERR_ARGUMENT);
    assert_int_equal(mnemo_predict(adapted, 0, xs, 0, answers, 0, &error), MNEMO_ERR_ARGUMENT);
    assert_int_equal(mnemo_predict(adapted, 5, xs, 4, answers, 5, &error), MNEMO_ERR_ARGUMENT);
    assert_int_equal(mnemo_predict(adapted, 5, NULL, 5, answers, 5, &error), MNEMO_ERR_ARGUMENT);
    assert_int_equal(mnemo_predict(adapted, 5, xs, 5, NULL, 5, &error), MNEMO_ERR_ARGUMENT);
    assert_int_equal(mnemo_predict(adapted, 5, xs, 5, answers, 8, &error), MNEMO_ERR_ARGUMENT);
    assert_non_null(strstr(error.message, "8 numbers: expected 1 for each of 5"));
    assert_int_equal(mnemo_outputs(adapted, 5, xs, 5, answers, 4, &error), MNEMO_ERR_ARGUMENT);
    const float infinite[] = {INFINITY};
    assert_int_equal(mnemo_predict(adapted, 1, infinite, 1, answers, 1, &error), MNEMO_ERR_DATA);
    mnemo_adapted_free(adapted);
    mnemo_model_free(model);
}

static void numbers_in_files_have_a_point_in_every_country(void **state)
{
    (void)state;
    static const char *const with_commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof with_commas / sizeof *with_commas && found == NULL; i++)
        found = setlocale(LC_NUMERIC, with_commas[i]);
    if (found == NULL || strtod("0,5", NULL) != 0.5)
        skip();                                       /* this machine has no such locale */
    mnemo_model *model = load(CURVES, curve_tensors); /* meta.inner_lr: 0.05 */
    assert_true(strtod("0,5", NULL) == 0.5);          /* the program's own locale is as before */
    mnemo_model_free(model);
    assert_non_null(setlocale(LC_NUMERIC, "C"));
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 40 };

struct visitor {
    pthread_t thread;
    const mnemo_model *model;
    const mnemo_adapted *shared;
    float own[5], of_shared[5];
    bool same; /* in every round */
};

static void *visit(void *argument)
{
    struct visitor *visitor = argument;
    visitor->same = true;
    for (int i = 0; i < ROUNDS; i++) {
        float own[5], of_shared[5];
        mnemo_adapted *adapted = NULL;
        visitor->same = visitor->same &&
                        mnemo_adapt(visitor->model, &points, 5, &adapted, NULL) == MNEMO_OK &&
                        mnemo_predict(adapted, 5, xs, 5, own, 5, NULL) == MNEMO_OK &&
                        mnemo_predict(visitor->shared, 5, xs, 5, of_shared, 5, NULL) == MNEMO_OK;
        mnemo_adapted_free(adapted);
        if (!visitor->same)
            break;
        if (i > 0)
            visitor->same = memcmp(own, visitor->own, sizeof own) == 0 &&
                            memcmp(of_shared, visitor->of_shared, sizeof of_shared) == 0;
        memcpy(visitor->own, own, sizeof own);
        memcpy(visitor->of_shared, of_shared, sizeof of_shared);
    }
    return NULL;
}

static void threads_that_share_a_model_get_the_same_bits(void **state)
{
    (void)state;
    struct visitor visitors[THREADS];
    mnemo_model *model = load(CURVES, curve_tensors);
    mnemo_adapted *shared = NULL;
    float expected[5];
    assert_int_equal(mnemo_adapt(model, &points, 5, &shared, &error), MNEMO_OK);
    assert_int_equal(mnemo_predict(shared, 5, xs, 5, expected, 5, &error), MNEMO_OK);
    for (int i = 0; i < THREADS; i++) {
        visitors[i] = (struct visitor){.model = model, .shared = shared};
        assert_int_equal(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(visitors[i].thread, NULL), 0);
        assert_true(visitors[i].same);
        assert_memory_equal(visitors[i].own, expected, sizeof expected);
        assert_memory_equal(visitors[i].of_shared, expected, sizeof expected);
    }
    mnemo_adapted_free(shared);
    mnemo_model_free(model);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#define ROWS                                                                                       \
    "name: rows\ntasks: {kind: rows, table: rows.csv, task_column: task, id_column: who, "         \
    "y_column: y, shot: 4, query: 4}\nmodel: {input: linear, width: 2, memory: table, slots: 3, "  \
    "slot_size: 2, reasoning: concat-linear, units: 4}\nmeta: {kind: maml, inner_steps: 2, "       \
    "inner_lr: 0.05}\n"

/* Of two words that its rows are of, a blue one and a red one. */
static void rows_with_ids_answer_by_them(void **state)
{
    (void)state;
    static const struct tensor tensors[] = {
        {"input.weight", "2,2", 4},   {"input.bias", "2", 2},  {"memory.slots", "3,2", 6},
        {"reason.weight", "4,4", 16}, {"reason.bias", "4", 4}, {"head.weight", "1,4", 4},
        {"head.bias", "1", 1},        {NULL, NULL, 0}};
    const float x[8] = {0, 1, 1, 0, 0.5f, 0.5f, -1, 0}, y[4] = {0, 1, 0.5f, -1}, same[4] = {0};
    const uint32_t none[4] = {0}, ids[4] = {1, 2, 0, 2}, far[2] = {0, 3};
    const mnemo_examples examples = {.n = 4, .x = x, .n_x = 8, .y = y, .n_y = 4};
    mnemo_model *model = NULL, *curves = load(CURVES, curve_tensors);
    mnemo_adapted *plain = NULL, *adapted = NULL, *again = NULL;
    float a[2], b[2];
    more_metadata =
        ",\"words\":\"\\nblue\\nred\",\"fields\":\"values 1 1 1\\nsupport.x 0 4 1 1 2\\n"
        "support.y 0 4 1 1 1\\nquery.x 0 4 1 1 2\\nquery.y 0 4 1 1 1\\n"
        "support.id 1 4 1 1 1\\nquery.id 1 4 1 1 1\\n\"";
    model = load(ROWS, tensors);
    more_metadata = "";
    assert_int_equal(mnemo_model_ids(model), 3);
    assert_int_equal(mnemo_model_id(model, "Red"), 2);
    assert_int_equal(mnemo_model_id(model, "green"), 0);
    assert_int_equal(mnemo_model_ids(curves), 0);
    assert_int_equal(mnemo_adapt(model, &examples, 2, &plain, &error), MNEMO_OK);
    assert_int_equal(mnemo_adapt_ids(model, &examples, none, 4, 2, &adapted, &error), MNEMO_OK);
    assert_int_equal(mnemo_predict(plain, 2, x, 4, a, 2, &error), MNEMO_OK);
    assert_int_equal(mnemo_predict_ids(adapted, 2, x, 4, none, 2, b, 2, &error), MNEMO_OK);
    assert_memory_equal(a, b, sizeof a);
    mnemo_adapted_free(adapted);
    assert_int_equal(mnemo_adapt_ids(model, &examples, ids, 4, 2, &adapted, &error), MNEMO_OK);
    assert_int_equal(mnemo_predict_ids(adapted, 2, same, 4, ids, 2, a, 2, &error), MNEMO_OK);
    assert_true(a[0] < a[1] || a[0] > a[1]); /* the same item, of another id */
    assert_int_equal(mnemo_adapted_save(adapted, in_folder("kept"), &error), MNEMO_OK);
    assert_int_equal(mnemo_adapted_load(in_folder("kept"), &again, &error), MNEMO_OK);
    assert_int_equal(mnemo_adapted_id(again, "blue"), 1);
    assert_int_equal(mnemo_predict_ids(again, 2, same, 4, ids, 2, b, 2, &error), MNEMO_OK);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(mnemo_predict_ids(again, 2, same, 4, far, 2, b, 2, &error), MNEMO_ERR_DATA);
    assert_int_equal(mnemo_predict_ids(again, 2, same, 4, ids, 3, b, 2, &error),
                     MNEMO_ERR_ARGUMENT);
    assert_int_equal(mnemo_adapt_ids(model, &examples, NULL, 4, 2, &plain, &error),
                     MNEMO_ERR_ARGUMENT);
    mnemo_adapted_free(plain);
    mnemo_adapted_free(adapted);
    mnemo_adapted_free(again);
    mnemo_model_free(model);
    mnemo_model_free(curves);
}

static void questions_about_stories_are_for_models_of_stories(void **state)
{
    mnemo_answer answers[3];
    size_t n_unknown = 7;
    (void)state;
    mnemo_model *model = load(CURVES, curve_tensors);
    assert_int_equal(mnemo_model_reads_stories(model), 0);
    assert_int_equal(
        mnemo_ask(model, "mary went home.\n", "where is mary?", answers, 3, &n_unknown, &error),
        MNEMO_ERR_UNSUITED);
    assert_non_null(strstr(error.message, "not learned from stories"));
    assert_int_equal(n_unknown, 7);
    assert_int_equal(mnemo_ask(NULL, "", "", answers, 3, NULL, &error), MNEMO_ERR_ARGUMENT);
    assert_int_equal(mnemo_ask(model, NULL, "", answers, 3, NULL, &error), MNEMO_ERR_ARGUMENT);
    assert_int_equal(mnemo_ask(model, "", NULL, answers, 3, NULL, &error), MNEMO_ERR_ARGUMENT);
    assert_int_equal(mnemo_ask(model, "", "", NULL, 3, NULL, &error), MNEMO_ERR_ARGUMENT);
    mnemo_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_is_of_the_library_that_it_comes_with),
        IN_FOLDER(a_model_tells_what_it_takes),
        IN_FOLDER(steps_are_those_of_gradient_descent),
        IN_FOLDER(any_number_of_classes_is_told_apart_by_prototypes),
        IN_FOLDER(what_was_saved_answers_the_same),
        IN_FOLDER(files_that_are_none_are_refused),
        IN_FOLDER(no_damage_does_more_than_fail),
        IN_FOLDER(experiments_out_of_any_range_are_refused),
        IN_FOLDER(examples_of_wrong_sizes_are_refused),
        IN_FOLDER(questions_of_wrong_sizes_are_refused),
        IN_FOLDER(numbers_in_files_have_a_point_in_every_country),
        IN_FOLDER(rows_with_ids_answer_by_them),
        IN_FOLDER(questions_about_stories_are_for_models_of_stories),
        IN_FOLDER(threads_that_share_a_model_get_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
