#include "coordinator/pictures/learning_curve.h"

#include "common/file.h"
#include "coordinator/pictures/folder_bed.h"
#include <math.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static mn_score of_classes[] = {{.name = "loss", .unit = "nats"},
                                {.name = "accuracy", .is_share = true, .higher_is_better = true},
                                {.name = "support_loss", .unit = "nats"}};
static mn_score of_values[] = {{.name = "loss", .unit = "squared error"}};
static const mn_score_list classes = {.n = 3, .at = of_classes, .judged = 1};
static const mn_score_list values = {.n = 1, .at = of_values};

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

static void a_learning_curve_is_drawn_from_the_metrics(void **state)
{
    (void)state;
    mn_error err;
    write_metrics(300, false);
    assert_int_equal(mn_learning_curve_draw(folder, "sinusoid", &values, NULL, &err), MN_OK);
    write_metrics(2000, true);
    assert_int_equal(
        mn_learning_curve_draw(folder, "omniglot: it's 5-way 1-shot", &classes, NULL, &err), MN_OK);
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
    assert_int_equal(mn_learning_curve_draw(folder, "mixture", &classes, &tests, &err), MN_OK);
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
    assert_int_equal(mn_learning_curve_draw(folder, "all", &classes, &tests, &err), MN_OK);
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
    assert_int_equal(mn_learning_curve_draw(folder, "line", &values, NULL, &err), MN_OK);

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

static void without_gnuplot_the_script_is_left_and_the_remedy_told(void **state)
{
    (void)state;
    mn_error err;
    char *search = strdup(getenv("PATH"));
    write_metrics(20, false);
    assert_int_equal(setenv("PATH", folder, 1), 0);
    mn_status status = mn_learning_curve_draw(folder, "x", &values, NULL, &err);
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
    assert_int_equal(mn_learning_curve_draw(folder, "x", &values, NULL, &err), MN_ERR_IO);
    assert_non_null(strstr(err.message, "gnuplot -d curve.gp"));
}

/* The learning curve, with a script in gnuplot's place. */
static mn_status draw_by(const char *script)
{
    char search[PATH_MAX + 16];
    char *usual = strdup(getenv("PATH"));
    write_metrics(20, false);
    assert_int_equal(mn_file_write(in_folder("gnuplot"), script, strlen(script), NULL), MN_OK);
    assert_int_equal(chmod(path, 0755), 0);
    (void)snprintf(search, sizeof search, "%s:/bin", folder);
    assert_int_equal(setenv("PATH", search, 1), 0);
    mn_status status = mn_learning_curve_draw(folder, "x", &values, NULL, NULL);
    assert_int_equal(setenv("PATH", usual, 1), 0);
    free(usual);
    return status;
}

/* It would read a ~/.gnuplot, whose separators, ranges and axes are for other data. */
static void settings_of_a_persons_own_are_left_out(void **state)
{
    (void)state;
    assert_int_equal(draw_by("#!/bin/sh\n[ \"$1\" = -d ] && [ \"$2\" = curve.gp ]\n"), MN_OK);
}

/* We hold signals back to end in order; gnuplot need not, or nothing but SIGKILL would end it. */
static void gnuplot_can_be_ended_by_the_signals_that_we_hold_back(void **state)
{
    (void)state;
    sigset_t held;
    sigset_t before;
    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGTERM);
    assert_int_equal(sigprocmask(SIG_BLOCK, &held, &before), 0);
    mn_status status = draw_by("#!/bin/sh\nkill -TERM $$\n");
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
    assert_int_equal(status, MN_ERR_IO);
}

static void no_metrics_no_picture(void **state)
{
    (void)state;
    assert_int_equal(mn_learning_curve_draw(folder, "x", &values, NULL, NULL), MN_ERR_NO_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_learning_curve_is_drawn_from_the_metrics),
        IN_FOLDER(the_sets_of_a_mixture_have_lines_of_their_own),
        IN_FOLDER(every_score_is_drawn),
        IN_FOLDER(the_smoothed_curve_does_not_lag),
        IN_FOLDER(without_gnuplot_the_script_is_left_and_the_remedy_told),
        IN_FOLDER(a_gnuplot_that_fails_is_told),
        IN_FOLDER(settings_of_a_persons_own_are_left_out),
        IN_FOLDER(gnuplot_can_be_ended_by_the_signals_that_we_hold_back),
        IN_FOLDER(no_metrics_no_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
