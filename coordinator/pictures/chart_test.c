#include "coordinator/pictures/chart.h"

#include "common/file.h"
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[PATH_MAX];
static char path[PATH_MAX + 64];

static mn_score of_classes[] = {{.name = "loss", .unit = "nats"},
                                {.name = "accuracy", .is_share = true, .higher_is_better = true},
                                {.name = "support_loss", .unit = "nats"}};
static mn_score of_values[] = {{.name = "loss", .unit = "squared error"}};
static const mn_score_list classes = {.n = 3, .at = of_classes, .judged = 1};
static const mn_score_list values = {.n = 1, .at = of_values};

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/chart_test.XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[PATH_MAX + 16];
    if (getenv("KEEP_PICTURES") != NULL) {
        (void)printf("pictures: %s\n", folder);
        return 0;
    }
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_metrics(int steps, bool validated)
{
    FILE *out = fopen(in_folder("metrics.jsonl"), "w");
    assert_non_null(out);
    for (int i = 1; i <= steps; i++) {
        double noise = sin(i * 12.9898) * 0.3;
        (void)fprintf(out, "{\"step\": %d, \"loss\": %.6f, \"accuracy\": %.6f, \"lr\": 0.001}\n", i,
                      (1.5 * exp(-i / 300.0) + 0.12) * (1 + noise),
                      1 - (0.7 * exp(-i / 300.0) + 0.04) * (1 + noise));
        if (validated && i % 200 == 0)
            (void)fprintf(
                out,
                "{\"step\": %d, \"val_loss\": %.6f, \"val_accuracy\": %.6f, \"val_tasks\": 9}\n", i,
                1.5 * exp(-i / 300.0) + 0.2, 1 - (0.7 * exp(-i / 300.0) + 0.06));
    }
    (void)fputs("{\"step\": 9, \"lo", out); /* torn */
    assert_int_equal(fclose(out), 0);
}

static void expect_start(const char *name, const char *start, size_t n)
{
    char bytes[16] = "";
    FILE *file = fopen(in_folder(name), "r");
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, n, file), n);
    assert_memory_equal(bytes, start, n);
    (void)fclose(file);
}

static void a_learning_curve_is_drawn_from_the_metrics(void **state)
{
    (void)state;
    mn_error err;
    write_metrics(300, false);
    assert_int_equal(mn_chart_curve(folder, "sinusoid", &values, NULL, &err), MN_OK);
    write_metrics(2000, true);
    assert_int_equal(mn_chart_curve(folder, "omniglot: it's 5-way 1-shot", &classes, NULL, &err),
                     MN_OK);
    expect_start("curve.png", "\x89PNG\r\n", 6);
    expect_start("curve.svg", "<?xml", 5);
    assert_int_equal(access(in_folder("curve.gp"), F_OK), 0);
}

/* A validation that lacks a set, of which no task was drawn, is left out of its line alone. */
static void the_sets_of_a_mixture_have_lines_of_their_own(void **state)
{
    (void)state;
    mn_error err;
    mn_score of_tests[] = {{.name = "accuracy", .is_share = true},
                           {.name = "accuracy", .axis = "set", .point = "slow"},
                           {.name = "accuracy", .axis = "set", .point = "2nd half"}};
    const mn_score_list tests = {.n = 3, .at = of_tests};
    write_metrics(400, true);
    FILE *metrics = fopen(in_folder("metrics.jsonl"), "a");
    assert_non_null(metrics);
    (void)fputs(
        "\n{\"step\": 300, \"val_loss\": 1, \"val_accuracy\": 0.5, \"val_accuracy_slow\": 0.25,"
        " \"val_accuracy_2nd_half\": 0.75, \"val_tasks\": 9}\n"
        "{\"step\": 350, \"val_loss\": 1, \"val_accuracy\": 0.5, \"val_accuracy_slow\": 0.5,"
        " \"val_accuracy_2nd_half\": null, \"val_tasks\": 9}\n",
        metrics);
    assert_int_equal(fclose(metrics), 0);
    assert_int_equal(mn_chart_curve(folder, "mixture", &classes, &tests, &err), MN_OK);
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(mn_file_read(in_folder("curve.dat"), 1 << 20, &text, &n, &err), MN_OK);
    assert_non_null(
        strstr(text, "# validation: step, accuracy_slow, accuracy_2nd_half\n300 0.25 0.75\n"));
    assert_non_null(strstr(text, "\n350 0.5 ?\n"));
    assert_non_null(strstr(text, "\n350 1 0.5 ?\n")); /* no support loss there */
    free(text);
    assert_int_equal(mn_file_read(in_folder("curve.gp"), 1 << 20, &text, &n, &err), MN_OK);
    assert_non_null(strstr(text, "index 2 using 1:(100*$3)"));
    assert_non_null(strstr(text, "title 'set 2nd half'"));
    free(text);
    expect_start("curve.png", "\x89PNG\r\n", 6);
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        n++;
    return n;
}

/* Those of a rule, those that only validation measures, and of more sets than one panel can show. */
static void every_score_is_drawn(void **state)
{
    (void)state;
    enum { SETS = 10 };
    mn_error err;
    mn_score of_tests[2 + SETS] = {{.name = "loss", .unit = "nats"},
                                   {.name = "explained", .is_share = true}};
    const mn_score_list tests = {.n = 2 + SETS, .at = of_tests};
    FILE *metrics = fopen(in_folder("metrics.jsonl"), "w");
    assert_non_null(metrics);
    for (int i = 1; i <= 40; i++)
        (void)fprintf(metrics, "{\"step\": %d, \"loss\": %d, \"support_loss\": %s}\n", i, 200 - i,
                      i > 20 ? "7.5" : "null");
    for (int step = 20; step <= 40; step += 20) {
        (void)fprintf(metrics, "{\"step\": %d, \"val_loss\": 1, \"val_explained\": -0.5", step);
        for (int i = 0; i < SETS; i++)
            (void)fprintf(metrics, ", \"val_accuracy_qa%d\": 0.%d", i, i);
        (void)fputs(", \"val_tasks\": 9}\n", metrics);
    }
    assert_int_equal(fclose(metrics), 0);
    for (int i = 0; i < SETS; i++) {
        of_tests[2 + i] = (mn_score){.name = "accuracy", .axis = "set", .is_share = true};
        (void)snprintf(of_tests[2 + i].point, sizeof of_tests->point, "qa%d", i);
    }
    assert_int_equal(mn_chart_curve(folder, "all", &classes, &tests, &err), MN_OK);
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(mn_file_read(in_folder("curve.gp"), 1 << 20, &text, &n, &err), MN_OK);
    assert_int_equal(count(text, "set ylabel 'loss (nats)'"), 1);
    assert_int_equal(count(text, "set ylabel 'support_loss (nats)'"), 1);
    assert_int_equal(count(text, "set ylabel 'explained (%)'"), 1);
    assert_int_equal(count(text, "set ylabel 'accuracy (%)'"), 2); /* no training of that name */
    assert_int_equal(count(text, "title 'set qa"), SETS);
    assert_int_equal(count(text, "layout 5,1 "), 1);
    free(text);
    assert_int_equal(mn_file_read(in_folder("curve.dat"), 1 << 20, &text, &n, &err), MN_OK);
    assert_int_equal(count(text, "\n40 160 ? 7.5 ? 160 ? 7.5 ?\n"), 1);
    assert_int_equal(count(text, "\n1 199 ? ? ? 199 ? ? ?\n"), 1);
    free(text);
    expect_start("curve.png", "\x89PNG\r\n", 6);
}

static void the_smoothed_curve_does_not_lag(void **state)
{
    (void)state;
    mn_error err;
    FILE *metrics = fopen(in_folder("metrics.jsonl"), "w");
    assert_non_null(metrics);
    (void)fputs("{\"step\": 0, \"loss\": null, \"accuracy\": null}\n", metrics); /* all skipped */
    for (int i = 1; i <= 100; i++) /* a straight line is its own mean */
        (void)fprintf(metrics, "{\"step\": %d, \"loss\": %d, \"accuracy\": 0.5}\n", i, 200 - i);
    assert_int_equal(fclose(metrics), 0);
    assert_int_equal(mn_chart_curve(folder, "line", &values, NULL, &err), MN_OK);

    char line[256];
    double step, loss, smooth;
    int n = 0;
    FILE *data = fopen(in_folder("curve.dat"), "r");
    assert_non_null(data);
    while (fgets(line, sizeof line, data) != NULL)
        if (sscanf(line, "%lf %lf %lf", &step, &loss, &smooth) == 3) {
            assert_true(fabs(smooth - loss) < 1e-6);
            n++;
        }
    (void)fclose(data);
    assert_int_equal(n, 100);
}

static void a_fitted_curve_is_drawn_with_its_support(void **state)
{
    (void)state;
    enum { POINTS = 200 };
    double x[POINTS], truth[POINTS], after[POINTS], before[POINTS];
    const double support_x[] = {-4, -2.5, 0.5, 1, 4.4};
    double support_y[5];
    for (int i = 0; i < POINTS; i++) {
        x[i] = -5 + 10.0 * i / (POINTS - 1);
        truth[i] = 3 * sin(x[i] - 1);
        after[i] = 2.8 * sin(x[i] - 1.1);
        before[i] = 0.3 * x[i];
    }
    for (int i = 0; i < 5; i++)
        support_y[i] = 3 * sin(support_x[i] - 1);
    const mn_fitted_curve curve = {.title = "test task 0: squared error 2.91 -> 0.05",
                                   .n = POINTS,
                                   .x = x,
                                   .truth = truth,
                                   .after = after,
                                   .before = before,
                                   .n_support = 5,
                                   .support_x = support_x,
                                   .support_y = support_y,
                                   .inner_steps = 5};
    assert_int_equal(mn_chart_fit(folder, "task", &curve, NULL), MN_OK);
    expect_start("task.png", "\x89PNG\r\n", 6);
}

static void without_gnuplot_the_script_is_left_and_the_remedy_told(void **state)
{
    (void)state;
    mn_error err;
    char *search = strdup(getenv("PATH"));
    write_metrics(20, false);
    assert_int_equal(setenv("PATH", folder, 1), 0);
    mn_status status = mn_chart_curve(folder, "x", &values, NULL, &err);
    assert_int_equal(setenv("PATH", search, 1), 0);
    free(search);
    assert_int_equal(status, MN_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "gnuplot-nox"));
    assert_int_equal(access(in_folder("curve.gp"), F_OK), 0);
}

static void a_gnuplot_that_fails_is_told(void **state)
{
    (void)state;
    mn_error err;
    write_metrics(20, false);
    assert_int_equal(mkdir(in_folder("curve.png"), 0755), 0); /* cannot be written to */
    assert_int_equal(mn_chart_curve(folder, "x", &values, NULL, &err), MN_ERR_IO);
    assert_non_null(strstr(err.message, "gnuplot -d curve.gp"));
}

/* It would read a ~/.gnuplot, whose separators, ranges and axes are for other data. */
static void settings_of_a_persons_own_are_left_out(void **state)
{
    (void)state;
    static const char gnuplot[] = "#!/bin/sh\n[ \"$1\" = -d ] && [ \"$2\" = curve.gp ]\n";
    char search[PATH_MAX + 16];
    mn_error err;
    write_metrics(20, false);
    assert_int_equal(mn_file_write(in_folder("gnuplot"), gnuplot, sizeof gnuplot - 1, NULL), MN_OK);
    assert_int_equal(chmod(path, 0755), 0);
    char *usual = strdup(getenv("PATH"));
    (void)snprintf(search, sizeof search, "%s:/bin", folder);
    assert_int_equal(setenv("PATH", search, 1), 0);
    mn_status status = mn_chart_curve(folder, "x", &values, NULL, &err);
    assert_int_equal(setenv("PATH", usual, 1), 0);
    free(usual);
    assert_int_equal(status, MN_OK);
}

/* We hold signals back to end in order; gnuplot need not, or nothing but SIGKILL would end it. */
static void gnuplot_can_be_ended_by_the_signals_that_we_hold_back(void **state)
{
    (void)state;
    static const char gnuplot[] = "#!/bin/sh\nkill -TERM $$\n";
    char search[PATH_MAX + 16];
    sigset_t held;
    sigset_t before;
    mn_error err;
    write_metrics(20, false);
    assert_int_equal(mn_file_write(in_folder("gnuplot"), gnuplot, sizeof gnuplot - 1, NULL), MN_OK);
    assert_int_equal(chmod(path, 0755), 0);
    char *usual = strdup(getenv("PATH"));
    (void)snprintf(search, sizeof search, "%s:/bin", folder);
    assert_int_equal(setenv("PATH", search, 1), 0);
    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGTERM);
    assert_int_equal(sigprocmask(SIG_BLOCK, &held, &before), 0);
    mn_status status = mn_chart_curve(folder, "x", &values, NULL, &err);
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
    assert_int_equal(setenv("PATH", usual, 1), 0);
    free(usual);
    assert_int_equal(status, MN_ERR_IO);
}

/* A score along numbers, and one that stands for itself. */
static void every_point_of_a_score_is_drawn(void **state)
{
    (void)state;
    mn_error err = {0};
    mn_score steps[] = {
        {.name = "accuracy", .axis = "inner_steps", .point = "0", .is_share = true},
        {.name = "accuracy", .axis = "inner_steps", .point = "5", .is_share = true}};
    mn_score once[] = {{.name = "accuracy", .is_share = true}};
    const mn_score_list lists[] = {{.n = 2, .at = steps, .judged = 1}, {.n = 1, .at = once}};
    mn_estimate estimates[2][2] = {{{0.2, 0.01}, {0.9, 0.02}}, {{0.95, NAN}}};
    const mn_evaluation tables[] = {{.scores = &lists[0], .estimates = estimates[0]},
                                    {.scores = &lists[1], .estimates = estimates[1]}};
    const mn_contestant both[] = {{.name = "it's MAML", .table = &tables[0]},
                                  {.name = "means", .table = &tables[1]}};
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(mn_chart_points(in_folder("points.png"), 2, both, &err), MN_OK);
    expect_start("points.png", "\x89PNG\r\n", 6);
    assert_int_equal(mn_file_read(in_folder("points.dat"), 1 << 16, &text, &n, NULL), MN_OK);
    assert_non_null(strstr(text, "0 0.2 0.19 0.21 \"0\"\n5 0.9 0.88 0.92 \"5\"\n"));
    assert_non_null(strstr(text, "0 0.95 0.95 0.95 \"\"\n5 0.95 0.95 0.95 \"\"\n"));
    free(text);
    assert_int_equal(mn_chart_points(in_folder("points"), 2, both, &err), MN_ERR_USAGE);
    assert_int_equal(mn_chart_points("it's.png", 2, both, &err), MN_ERR_USAGE);
}

static void no_metrics_no_picture(void **state)
{
    (void)state;
    assert_int_equal(mn_chart_curve(folder, "x", &values, NULL, NULL), MN_ERR_NO_INPUT);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_learning_curve_is_drawn_from_the_metrics),
        IN_FOLDER(the_sets_of_a_mixture_have_lines_of_their_own),
        IN_FOLDER(every_score_is_drawn),
        IN_FOLDER(the_smoothed_curve_does_not_lag),
        IN_FOLDER(a_fitted_curve_is_drawn_with_its_support),
        IN_FOLDER(settings_of_a_persons_own_are_left_out),
        IN_FOLDER(without_gnuplot_the_script_is_left_and_the_remedy_told),
        IN_FOLDER(a_gnuplot_that_fails_is_told),
        IN_FOLDER(gnuplot_can_be_ended_by_the_signals_that_we_hold_back),
        IN_FOLDER(every_point_of_a_score_is_drawn),
        IN_FOLDER(no_metrics_no_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
