#include "coordinator/sweep/plan.h"

#include "coordinator/sweep/low_discrepancy.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mn_sweep_file file;
static mn_sweep_plan plan;
static mn_experiment base;
static mn_error err;

static int tear_down(void **state)
{
    (void)state;
    mn_sweep_file_fini(&file);
    return 0;
}

static mn_status read(const char *text)
{
    mn_sweep_file_fini(&file);
    mn_experiment_init(&base);
    mn_status status = mn_sweep_file_parse("s.yaml", text, strlen(text), &file, &err);
    return status == MN_OK ? mn_sweep_plan_make(&file, "s.yaml", &base, NULL, 0, &plan, &err)
                           : status;
}

static const char *value(uint32_t point, uint32_t axis)
{
    static char text[MN_OPTION_LONGEST];
    mn_sweep_plan_value(&plan, point, axis, text);
    return text;
}

static void a_grid_is_every_combination_with_every_seed(void **state)
{
    (void)state;
    char name[MN_SWEEP_NAME], words[200];
    char **sets = NULL;
    size_t n = 0;
    assert_int_equal(
        read("experiment: base.yaml\nset: {outer.batch: 4}\n"
             "grid:\n  meta.inner_lr: [0.1, 0.2]\n  model.hidden: [\"20\", \"40, 40\", "
             "\"5\"]\nseeds: [7, 9]\n"),
        MN_OK);
    assert_int_equal(plan.n_points, 6);
    assert_int_equal(plan.n_runs, 12);
    assert_int_equal(plan.base.outer.batch, 4);
    mn_sweep_plan_words(&plan, 4, words, sizeof words);
    assert_string_equal(words, "meta.inner_lr=0.2 model.hidden=40, 40");
    mn_sweep_plan_name(&plan, 9, name);
    assert_string_equal(name, "0004-seed-9");
    assert_int_equal(mn_sweep_plan_sets(&plan, 9, &sets, &n, &err), MN_OK);
    const char *const expected[] = {"outer.batch=4", "meta.inner_lr=0.2", "model.hidden=40, 40",
                                    "seed=9"};
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(sets[i], expected[i]);
        free(sets[i]);
    }
    free(sets);
    assert_int_equal(mn_sweep_plan_experiment(&plan, 9, &base, &err), MN_OK);
    assert_true(base.seed == 9 && base.meta.inner_lr == 0.2);
}

static void draws_are_in_their_range_and_another_key_leaves_them(void **state)
{
    (void)state;
    char before[50][32];
    double sum = 0;
    assert_int_equal(read("experiment: b\nrandom: {meta.inner_lr: log 0.001 .. 0.1, "
                          "meta.inner_steps: 1 .. 3}\ndraws: 50\n"),
                     MN_OK);
    bool seen[4] = {false};
    for (uint32_t i = 0; i < 50; i++) {
        const double rate = atof(value(i, 0));
        assert_true(rate >= 0.001 && rate < 0.1);
        sum += log10(rate) / 50;
        (void)snprintf(before[i], sizeof before[i], "%.31s", value(i, 0));
        const int steps = atoi(value(i, 1));
        assert_true(steps >= 1 && steps <= 3);
        seen[steps] = true;
    }
    assert_true(fabs(sum + 2) < 0.3); /* sd of the mean: 0.08 */
    assert_true(seen[1] && seen[2] && seen[3]);
    assert_int_equal(
        read("experiment: b\nrandom: {outer.lr: 0.001 .. 0.1, meta.inner_lr: log 0.001 "
             ".. 0.1}\ndraws: 50\ndraw_seed: 1\n"),
        MN_OK);
    for (uint32_t i = 0; i < 50; i++)
        assert_string_equal(value(i, 1), before[i]);
}

/* Of n points in d = 1, the largest gap is at most a few times 1/n; random ones have log n times that. */
static void an_even_sequence_is_even(void **state)
{
    (void)state;
    for (uint32_t d = 1; d <= 3; d++)
        for (uint32_t j = 0; j < d; j++) {
            int cells[64] = {0};
            for (uint64_t i = 0; i < 640; i++) {
                const double x = mn_low_discrepancy(5, d, j, i);
                assert_true(x >= 0 && x < 1);
                cells[(int)(64 * x)]++;
            }
            for (int k = 0; k < 64; k++)
                if (cells[k] < 7 || cells[k] > 13) /* random: some have 3, some 20 */
                    fail_msg("d %u, coordinate %u: %d of 10 in a cell", d, j, cells[k]);
        }
    /* d = 1: steps by the golden ratio */
    const double step = mn_low_discrepancy(5, 1, 0, 1) - mn_low_discrepancy(5, 1, 0, 0);
    assert_true(fabs(step - floor(step) - 0.6180339887498949) < 1e-12);
}

static void rungs_and_budget_bound_what_is_made(void **state)
{
    (void)state;
    assert_int_equal(read("experiment: b\nset: {outer.steps: 900, evaluate.every: 50}\n"
                          "grid: {tasks.mix: [\"\", \"1 a: phase=0,1\"]}\n"
                          "quasi-random: {meta.inner_lr: 0.01 .. 0.1}\ndraws: 5\nhalving: {first: "
                          "100, factor: 3}\n"),
                     MN_OK);
    assert_int_equal(plan.n_rungs, 2);
    assert_true(plan.rungs[0] == 100 && plan.rungs[1] == 300);
    assert_int_equal(plan.admitted[0], 10);
    assert_int_equal(plan.admitted[1], 4);
    assert_int_equal(plan.admitted[2], 2);
    assert_true(plan.steps == 10 * 100 + 4 * 200 + 2 * 600);
    assert_int_equal(read("experiment: b\nset: {outer.steps: 900}\nquasi-random: {meta.inner_lr: "
                          "0.01 .. 0.1}\nbudget: {runs: 7}\nseeds: 2\n"),
                     MN_OK);
    assert_int_equal(plan.n_points, 3);
    assert_int_equal(read("experiment: b\nset: {outer.steps: 900}\nrandom: {meta.inner_lr: 0.01 .. "
                          "0.1}\ndraws: 100\nbudget: {steps: 5000}\n"),
                     MN_OK);
    assert_int_equal(plan.n_points, 5);
    assert_int_equal(read("experiment: b\ngrid: {outer.steps: [100, 200, 4000]}\nbudget: {steps: "
                          "350}\n"),
                     MN_OK);
    assert_int_equal(plan.n_points, 2);
    assert_true(plan.steps == 300);
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"grid: {seed: [1]}\n", "s.yaml:1: has no \"experiment"},
        {"experiment: b\ngrd: {meta.inner_lr: [1]}\n",
         "s.yaml:2: unknown key \"grd\" of a sweep; did you mean \"grid\"?"},
        {"experiment: b\nmeta.inner_lr: [1]\n",
         "s.yaml:2: unknown key \"meta.inner_lr\" of a sweep: expected one of experiment"},
        {"experiment: b\ngrid:\n  meta.iner_lr: [0.1]\n",
         "s.yaml:3: unknown key \"meta.iner_lr\"; did you mean \"meta.inner_lr\"?"},
        {"experiment: b\nset:\n  meta.iner_lr: 0.1\n",
         "s.yaml:3: unknown key \"meta.iner_lr\"; did you mean \"meta.inner_lr\"?"},
        {"experiment: b\ngrid: {meta.inner_lr: [0.1, -3]}\n", "s.yaml:2: point 1: meta.inner_lr"},
        {"experiment: b\ngrid:\n  seed: [1, 2]\n", "s.yaml:3: seed: seeds vary by"},
        {"experiment: b\ngrid:\n  run.keep: [1, 2]\n", "s.yaml:3: run.keep decides nothing"},
        {"experiment: b\ngrid: {meta.inner_lr: 0.1 .. 0.2}\n",
         "s.yaml:2: meta.inner_lr: a grid takes a list"},
        {"experiment: b\nrandom: {meta.inner_lr: 0.2 .. 0.1}\ndraws: 2\n",
         "s.yaml:2: meta.inner_lr: \"0.2 .. 0.1\" is no range"},
        {"experiment: b\nrandom: {meta.inner_lr: log 0 .. 0.1}\ndraws: 2\n", "0 < LOW < HIGH"},
        {"experiment: b\nrandom: {meta.kind: 1 .. 2}\ndraws: 2\n", "meta.kind is not a number"},
        {"experiment: b\nrandom: {meta.inner_steps: 1.5 .. 2}\ndraws: 2\n",
         "meta.inner_steps takes whole numbers"},
        {"experiment: b\nrandom: {meta.inner_steps: 1 .. 100000000000}\ndraws: 2\n",
         "meta.inner_steps goes from"},
        {"experiment: b\nrandom: {meta.inner_lr: 0.1 .. 0.2}\n", "how many draws?"},
        {"experiment: b\ndraws: 3\n", "no key stands below random"},
        {"experiment: b\ngrid: {meta.inner_lr: [0.1]}\nrandom: {meta.inner_lr: [0.1]}\ndraws: 1\n",
         "s.yaml:3: \"meta.inner_lr\" varies twice (first in line 2)"},
        {"experiment: b\nset: {meta.inner_lr: 1}\ngrid: {meta.inner_lr: [0.1]}\n",
         "s.yaml:3: \"meta.inner_lr\" varies here, but line 2 sets it"},
        {"experiment: b\nexperiment: c\n",
         "s.yaml:2: \"experiment\" is given twice (first in line 1)"},
        {"experiment: b\nbudget: {runs: 0}\n",
         "s.yaml:2: budget: runs: expected a whole number from 1"},
        {"experiment: b\nbudget: {days: 1}\n", "expected runs, steps or hours"},
        {"experiment: b\nbudget: {hours: -1}\n", "expected a number above 0"},
        {"experiment: b\nbudget: {steps: 3}\n", "the budget does not hold one point"},
        {"experiment: b\nhalving: {factor: 3}\n", "s.yaml:2: halving: expected \"first: STEPS\""},
        {"experiment: b\nhalving: {first: 100}\n", "evaluate.every is 0 (never)"},
        {"experiment: b\nset: {evaluate.every: 30}\nhalving: {first: 100}\n",
         "s.yaml:3: halving goes by validation at meta-step 100, but evaluate.every is 30"},
        {"experiment: b\nset: {evaluate.every: 50, outer.steps: 100}\nhalving: {first: 100}\n",
         "runs have only 100"},
        {"experiment: b\nset: {evaluate.every: 50}\nhalving: {first: 100}\ngrid: {outer.steps: "
         "[300]}\n",
         "outer.steps cannot vary where runs are halved"},
        {"experiment: b\nseeds: [1, 1]\n", "seeds: 1 is there twice"},
        {"experiment: b\nseeds: []\n", "the list is empty"},
        {"experiment: b\nseeds: -1\n", "expected a whole number from 1"},
        {"experiment: b\ngrid: [1]\n", "s.yaml:2: grid: expected keys with lists"},
        {"experiment: b\ngrid: {meta.inner_lr: {a: 1}}\n", "expected a list of values"},
        {"experiment: b\ngrid: {meta.inner_lr: [[1]]}\n",
         "expected a value, as one would write it"},
        {"experiment: b\ngrid: {meta.inner_lr: []}\n", "0 values"},
        {"experiment: b\ngrid: {meta.inner_lr: [0.1", "s.yaml:"},
        {"experiment:\n", "has no value"},
        {"- a\n", "expected keys with values"},
        {"", "expected keys with values"},
        {"experiment: b\nrandom: {meta.inner_lr: [0.1]}\ndraws: 10000\nseeds: 100\n",
         "are more than 10000 runs"},
        {"experiment: b\ngrid:\n  model.memory: [none]\n  tasks.way: [5, 6]\n",
         "point 0 (model.memory=none tasks.way=5)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const mn_status status = read(cases[i].text);
        if (status != MN_ERR_CONFIG || strstr(err.message, cases[i].words) == NULL)
            fail_msg("case %zu, \"%s\": status %d, \"%s\"", i, cases[i].text, (int)status,
                     status == MN_OK ? "" : err.message);
    }
}

static void what_the_command_line_sets_cannot_vary(void **state)
{
    (void)state;
    static const char *const sets[] = {"meta.inner_lr=0.3"};
    assert_int_equal(read("experiment: b\ngrid: {meta.inner_lr: [0.1]}\n"), MN_OK);
    assert_int_equal(mn_sweep_plan_make(&file, "s.yaml", &base, sets, 1, &plan, &err),
                     MN_ERR_USAGE);
    assert_int_equal(read("experiment: b\ngrid: {outer.lr: [0.1]}\n"), MN_OK);
    assert_int_equal(mn_sweep_plan_make(&file, "s.yaml", &base, sets, 1, &plan, &err), MN_OK);
    assert_true(plan.base.meta.inner_lr == 0.3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_grid_is_every_combination_with_every_seed, tear_down),
        cmocka_unit_test_teardown(draws_are_in_their_range_and_another_key_leaves_them, tear_down),
        cmocka_unit_test(an_even_sequence_is_even),
        cmocka_unit_test_teardown(rungs_and_budget_bound_what_is_made, tear_down),
        cmocka_unit_test_teardown(what_is_wrong_is_told_with_its_line, tear_down),
        cmocka_unit_test_teardown(what_the_command_line_sets_cannot_vary, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
