#include "coordinator/pictures/chart.h"

#include "common/file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_POINTS 1500u /* of a curve; more steps are averaged in groups */
#define SMOOTHING 15u    /* points to each side over which the bold line is averaged */

extern char **environ;

struct history {
    size_t n, capacity;
    double (*at)[3]; /* step, loss, accuracy; owned */
};

static mn_status read_history(const char *path, struct history *training,
                              struct history *validation, mn_error *err);
static mn_status remember(struct history *history, json_t *record, const char *loss,
                          const char *accuracy, mn_error *err);
static void write_training(const struct history *training, FILE *out);
static void write_curve_script(const char *title, bool classes, bool validated, FILE *out);
static void write_fit_script(const char *name, const mn_fitted_curve *curve, FILE *out);
static mn_status save(const char *folder, const char *name, const char *ending, FILE *memory,
                      char **text, mn_error *err);
static mn_status draw(const char *folder, const char *name, mn_error *err);
static void put_quoted(const char *text, FILE *out);

mn_status mn_chart_curve(const char *folder, const char *title, bool classes, mn_error *err)
{
    char path[PATH_MAX];
    struct history training = {0};
    struct history validation = {0};
    char *text = NULL;
    size_t n = 0;
    (void)snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    mn_status status = read_history(path, &training, &validation, err);
    if (status == MN_OK && training.n == 0)
        status = mn_fail(err, MN_ERR_NO_INPUT, "%s holds no meta-step to draw", path);
    if (status == MN_OK) {
        FILE *out = open_memstream(&text, &n);
        if (out != NULL) {
            write_training(&training, out);
            (void)fputs("\n\n# validation: step, loss, accuracy\n", out);
            for (size_t i = 0; i < validation.n; i++)
                (void)fprintf(out, "%.0f %.9g %.9g\n", validation.at[i][0], validation.at[i][1],
                              validation.at[i][2]);
        }
        status = save(folder, "curve", "dat", out, &text, err);
    }
    if (status == MN_OK) {
        FILE *out = open_memstream(&text, &n);
        if (out != NULL)
            write_curve_script(title, classes, validation.n > 0, out);
        status = save(folder, "curve", "gp", out, &text, err);
    }
    free(training.at);
    free(validation.at);
    return status == MN_OK ? draw(folder, "curve", err) : status;
}

mn_status mn_chart_fit(const char *folder, const char *name, const mn_fitted_curve *curve,
                       mn_error *err)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (out != NULL) {
        (void)fputs("# x, truth, after, before\n", out);
        for (size_t i = 0; i < curve->n; i++)
            (void)fprintf(out, "%.9g %.9g %.9g %.9g\n", curve->x[i], curve->truth[i],
                          curve->after[i], curve->before != NULL ? curve->before[i] : 0.0);
        (void)fputs("\n\n# support: x, y\n", out);
        for (size_t i = 0; i < curve->n_support; i++)
            (void)fprintf(out, "%.9g %.9g\n", curve->support_x[i], curve->support_y[i]);
    }
    mn_status status = save(folder, name, "dat", out, &text, err);
    if (status == MN_OK) {
        out = open_memstream(&text, &n);
        if (out != NULL)
            write_fit_script(name, curve, out);
        status = save(folder, name, "gp", out, &text, err);
    }
    return status == MN_OK ? draw(folder, name, err) : status;
}

static mn_status read_history(const char *path, struct history *training,
                              struct history *validation, mn_error *err)
{
    char *line = NULL;
    size_t room = 0;
    mn_status status = MN_OK;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return mn_fail_errno(err, "open %s", path);
    while (status == MN_OK && getline(&line, &room, file) > 0) {
        json_t *record = json_loads(line, 0, NULL); /* NULL for a torn line: it is left out */
        if (json_object_get(record, "val_loss") != NULL)
            status = remember(validation, record, "val_loss", "val_accuracy", err);
        else if (json_is_number(json_object_get(record, "loss")))
            status = remember(training, record, "loss", "accuracy", err);
        json_decref(record);
    }
    free(line);
    (void)fclose(file);
    return status;
}

static mn_status remember(struct history *history, json_t *record, const char *loss,
                          const char *accuracy, mn_error *err)
{
    if (history->n == history->capacity) {
        size_t capacity = history->capacity == 0 ? 1024 : 2 * history->capacity;
        void *more = realloc(history->at, capacity * sizeof *history->at);
        if (more == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "learning curve");
        history->at = more;
        history->capacity = capacity;
    }
    double *point = history->at[history->n++];
    point[0] = json_number_value(json_object_get(record, "step"));
    point[1] = json_number_value(json_object_get(record, loss));
    point[2] = json_number_value(json_object_get(record, accuracy));
    return MN_OK;
}

/* step, loss, accuracy of groups of steps, and of each a mean over as many points before as after,
 * so that the bold line lags behind nothing. */
static void write_training(const struct history *training, FILE *out)
{
    size_t group = (training->n + MAX_POINTS - 1) / MAX_POINTS;
    double mean[MAX_POINTS][3] = {{0}};
    size_t n_points = 0;
    for (size_t begin = 0; begin < training->n; begin += group, n_points++) {
        size_t n = training->n - begin < group ? training->n - begin : group;
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < 3; k++)
                mean[n_points][k] += training->at[begin + i][k] / (double)n;
    }
    (void)fprintf(out,
                  "# training, means of %zu steps: step, loss, accuracy, smoothed loss, "
                  "smoothed accuracy\n",
                  group);
    for (size_t i = 0; i < n_points; i++) {
        size_t reach = i < n_points - 1 - i ? i : n_points - 1 - i;
        reach = reach < SMOOTHING ? reach : SMOOTHING;
        double smooth[2] = {0, 0};
        for (size_t j = i - reach; j <= i + reach; j++)
            for (size_t k = 0; k < 2; k++)
                smooth[k] += mean[j][k + 1] / (double)(2 * reach + 1);
        (void)fprintf(out, "%.9g %.9g %.9g %.9g %.9g\n", mean[i][0], mean[i][1], mean[i][2],
                      smooth[0], smooth[1]);
    }
}

static const char style[] = "set encoding utf8\n"
                            "set border 3 lc rgb '#888888'\n"
                            "set tics nomirror textcolor rgb '#333333'\n"
                            "set grid lc rgb '#e4e4e4' lt 1\n"
                            "set key samplen 2 spacing 1.2\n";

/* One panel of the learning curve; `column` of the raw numbers, column + 2 of the smoothed ones. */
static void put_panel(int column, const char *factor, const char *colour, const char *pale,
                      bool validated, FILE *out)
{
    (void)fprintf(out,
                  "  plot 'curve.dat' index 0 using 1:(%s$%d) with lines lw 1 lc rgb '%s' title "
                  "'training', \\\n"
                  "       '' index 0 using 1:(%s$%d) with lines lw 2.5 lc rgb '%s' title "
                  "'training, smoothed'",
                  factor, column, pale, factor, column + 2, colour);
    if (validated)
        (void)fprintf(out,
                      ", \\\n       '' index 1 using 1:(%s$%d) with linespoints pt 7 ps 0.8 lw 1.5 "
                      "lc rgb '#d1700e' title 'validation'",
                      factor, column);
    (void)fputc('\n', out);
}

static void write_curve_script(const char *title, bool classes, bool validated, FILE *out)
{
    (void)fprintf(
        out,
        "# Draws curve.png and curve.svg from curve.dat: gnuplot curve.gp\n%s"
        "do for [kind in 'png svg'] {\n"
        "  if (kind eq 'png') { set terminal pngcairo size 1200,%d font 'DejaVu Sans,13' }\n"
        "  else { set terminal svg size 1200,%d dynamic font 'DejaVu Sans,13' background "
        "rgb 'white' }\n"
        "  set output 'curve.' . kind\n",
        style, classes ? 900 : 600, classes ? 900 : 600);
    (void)fputs("  title = ", out);
    put_quoted(title, out);
    (void)fputs("\n  set multiplot layout ", out);
    (void)fprintf(out, "%d,1 title title font ',15' noenhanced\n", classes ? 2 : 1);
    (void)fputs("  set key top right\n  set xlabel 'meta-step'\n", out);
    if (classes) {
        (void)fputs("  set yrange [0:*]\n"
                    "  set ylabel 'query loss after adaptation (nats)'\n",
                    out);
        put_panel(2, "", "#1f5fa8", "#b9d0ea", validated, out);
        (void)fputs("  set key bottom right\n  set yrange [*:100]\n"
                    "  set ylabel 'query accuracy after adaptation (%)'\n",
                    out);
        put_panel(3, "100*", "#2a7d46", "#bfe0ca", validated, out);
    } else {
        (void)fputs(
            "  set logscale y\n"
            "  set ytics (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, "
            "20, 50, 100)\n"
            "  set ylabel 'query mean squared error after adaptation'\n",
            out);
        put_panel(2, "", "#1f5fa8", "#b9d0ea", validated, out);
    }
    (void)fputs("  unset multiplot\n  set output\n}\n", out);
}

static void write_fit_script(const char *name, const mn_fitted_curve *curve, FILE *out)
{
    (void)fprintf(out,
                  "# Draws %s.png from %s.dat: gnuplot %s.gp\n%s"
                  "set terminal pngcairo size 1200,700 font 'DejaVu Sans,13'\n"
                  "set output '%s.png'\n"
                  "set key outside below horizontal\nset autoscale xfix\n"
                  "set xlabel 'x'\nset ylabel 'y'\nset offsets 0, 0, graph 0.05, graph 0.05\n"
                  "set title font ',15' noenhanced\nset title ",
                  name, name, name, style, name);
    put_quoted(curve->title, out);
    (void)fprintf(out,
                  "\nplot '%s.dat' index 0 using 1:2 with lines lw 2 lc rgb '#888888' title "
                  "'truth', \\\n",
                  name);
    if (curve->before != NULL)
        (void)fputs("     '' index 0 using 1:4 with lines lw 2 dt 2 lc rgb '#2a7d46' title "
                    "'before adaptation', \\\n",
                    out);
    (void)fprintf(out,
                  "     '' index 0 using 1:3 with lines lw 2.5 lc rgb '#1f5fa8' title "
                  "'after %" PRIu32 " inner step%s', \\\n"
                  "     '' index 1 using 1:2 with points pt 7 ps 1.6 lc rgb '#d1700e' title "
                  "'support points'\nset output\n",
                  curve->inner_steps, curve->inner_steps == 1 ? "" : "s");
}

/* Close the memory stream, write its text to <folder>/<name>.<ending>, free the text. */
static mn_status save(const char *folder, const char *name, const char *ending, FILE *memory,
                      char **text, mn_error *err)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
    mn_status status = MN_OK;
    if (memory == NULL || fclose(memory) != 0)
        status = mn_fail(err, MN_ERR_NOMEM, "picture %s", name);
    else if (length < 0 || length >= PATH_MAX)
        status = mn_fail(err, MN_ERR_USAGE, "the path of folder %s is too long", folder);
    else
        status = mn_file_write(path, *text, strlen(*text), err);
    free(*text);
    *text = NULL;
    return status;
}

static mn_status draw(const char *folder, const char *name, mn_error *err)
{
    char script[128];
    char *const arguments[] = {"gnuplot", script, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none; /* held back: signals end gnuplot even where we hold them back ourselves */
    pid_t child = 0;
    int state = 0;
    (void)snprintf(script, sizeof script, "%s.gp", name);
    if (posix_spawn_file_actions_init(&files) != 0)
        return mn_fail(err, MN_ERR_NOMEM, "start of gnuplot");
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return mn_fail(err, MN_ERR_NOMEM, "start of gnuplot");
    }
    (void)sigemptyset(&none);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int error = posix_spawn_file_actions_addchdir_np(&files, folder);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    if (error == 0)
        error = posix_spawnp(&child, arguments[0], &files, &attributes, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    if (error == ENOENT)
        return mn_fail(
            err, MN_ERR_UNAVAILABLE,
            "no picture %s/%s.png: gnuplot is not installed (package gnuplot-nox); then: "
            "cd %s && gnuplot %s",
            folder, name, folder, script);
    if (error != 0) {
        errno = error;
        return mn_fail_errno(err, "start gnuplot");
    }
    while (waitpid(child, &state, 0) < 0)
        if (errno != EINTR)
            return mn_fail_errno(err, "wait for gnuplot");
    if (!WIFEXITED(state) || WEXITSTATUS(state) != 0)
        return mn_fail(err, MN_ERR_IO, "gnuplot failed; to see why: cd %s && gnuplot %s", folder,
                       script);
    return MN_OK;
}

/* In single quotes gnuplot reads everything as it stands, and '' as a quote. */
static void put_quoted(const char *text, FILE *out)
{
    (void)fputc('\'', out);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            (void)fputc('\'', out);
        if ((unsigned char)*text >= ' ')
            (void)fputc(*text, out);
    }
    (void)fputc('\'', out);
}
