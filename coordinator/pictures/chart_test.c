#include "coordinator/pictures/chart.h"

#include "common/file.h"
#include "coordinator/pictures/folder_bed.h"
#include <math.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_fitted_curve_is_drawn_with_its_support),
        IN_FOLDER(every_point_of_a_score_is_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
