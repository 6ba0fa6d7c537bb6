#include "coordinator/run/training.h"

#include "common/exact_sum.h"
#include "common/packed_sum.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 4, TESTS = 3 };

static mn_experiment experiment;
static mn_task_set *tasks;
static mn_learner *learner;
static float *rows;    /* [BATCH, train_columns], of the tasks 0 .. BATCH-1 at theta_0 */
static size_t columns; /* of training */

static mn_training *begin(int64_t **sums)
{
    mn_training *training = NULL;
    assert_int_equal(mn_training_new(&experiment, learner, &training, NULL), MN_OK);
    *sums = calloc(mn_training_max_digits(training), sizeof **sums);
    assert_non_null(*sums);
    mn_training_use(training, *sums, true);
    return training;
}

static void end(mn_training **training, int64_t *sums)
{
    mn_training_destroy(training);
    free(sums);
}

static int set_up_with(const char *mix)
{
    mn_workspace *workspace = NULL;
    mn_task *task = NULL;
    mn_experiment_init(&experiment);
    experiment.tasks.shot = experiment.tasks.query = 3;
    experiment.model.hidden = (mn_uint_list){.n = 1, .at = {8}};
    experiment.outer.batch = BATCH;
    experiment.evaluate.tasks = experiment.evaluate.val_tasks = TESTS;
    experiment.evaluate.keep_best = true;
    if (mix[0] != '\0') {
        (void)snprintf(experiment.tasks.mix, sizeof experiment.tasks.mix, "%s", mix);
        experiment.tasks.mix_by = MN_MIX_BY_DIFFICULTY;
        experiment.tasks.mix_renewal = 0.25;
        experiment.outer.weight_decay = 0.5;
        experiment.evaluate.every = 10; /* keep_best wants it, and parts are checked */
    }
    if (mn_task_set_open(&experiment, NULL, &tasks, NULL) != MN_OK)
        return -1;
    const mn_fields *fields = mn_task_set_fields(tasks, MN_TRAIN);
    if (mn_learner_new(&experiment, fields, fields, &learner, NULL) != MN_OK ||
        mn_workspace_new(learner, &workspace, NULL) != MN_OK ||
        mn_task_new(fields, &task, NULL) != MN_OK)
        return -1;
    columns = mn_learner_train_columns(learner);
    rows = calloc(BATCH * columns, sizeof *rows);
    float *theta = calloc(mn_learner_size(learner), sizeof *theta);
    mn_learner_init_theta(learner, experiment.seed, theta);
    for (uint32_t i = 0; i < BATCH; i++) {
        mn_task_set_draw(tasks, MN_TRAIN, i, task);
        mn_learner_train(workspace, theta, task, rows + i * columns);
    }
    free(theta);
    mn_workspace_destroy(&workspace);
    mn_task_destroy(&task);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_with("");
}

static int set_up_mixture(void **state)
{
    (void)state;
    return set_up_with("1 a:; 1 b: curve=step");
}

static int tear_down(void **state)
{
    (void)state;
    free(rows);
    mn_learner_destroy(&learner);
    mn_task_set_destroy(&tasks);
    return 0;
}

static void open_training(mn_training *training)
{
    mn_training_open(training, &(mn_round){.id = 1, .kind = MN_ROUND_TRAIN, .n_tasks = BATCH});
}

/* Tasks first .. first+n-1, as the local pool brings them. */
static void add_tasks(mn_training *training, uint32_t first, uint32_t n)
{
    const mn_result result = {
        .encoding = MN_ENCODING_EXACT, .n_tasks = n, .n_columns = (uint32_t)columns};
    size_t bytes = 2 * columns * sizeof(int64_t);
    int64_t *sum = calloc(1, bytes);
    assert_non_null(sum);
    for (uint32_t i = first; i < first + n; i++)
        mn_exact_add(columns, rows + i * columns, sum);
    assert_int_equal(mn_training_check(&result, sum, bytes, NULL), MN_OK);
    mn_training_add(training, first, &result, sum, bytes);
    free(sum);
}

static void theta_does_not_depend_on_who_adds_what_and_when(void **state)
{
    (void)state;
    int64_t *sums[2];
    mn_training *in_order = begin(&sums[0]);
    mn_training *as_sums = begin(&sums[1]);
    mn_step_record record[2];
    open_training(in_order);
    add_tasks(in_order, 0, BATCH);

    /* Task 3 alone, then an exact sum of the others as a worker makes it. */
    int64_t *sum = calloc(2 * columns, sizeof *sum);
    const mn_result result = {
        .encoding = MN_ENCODING_EXACT, .n_tasks = 3, .n_columns = (uint32_t)columns};
    for (int i = 2; i >= 0; i--)
        mn_exact_add(columns, rows + (size_t)i * columns, sum);
    open_training(as_sums);
    add_tasks(as_sums, 3, 1);
    assert_int_equal(mn_training_check(&result, sum, 2 * columns * sizeof *sum, NULL), MN_OK);
    mn_training_add(as_sums, 0, &result, sum, 2 * columns * sizeof *sum);
    free(sum);

    uint64_t before = mn_training_checksum(in_order);
    assert_true(mn_training_checksum(as_sums) == before);
    assert_int_equal(mn_training_step_outer(in_order, &record[0], NULL), MN_OK);
    assert_int_equal(mn_training_step_outer(as_sums, &record[1], NULL), MN_OK);
    assert_true(mn_training_checksum(in_order) != before);
    assert_true(mn_training_checksum(in_order) == mn_training_checksum(as_sums));
    assert_int_equal(record[0].step, 1);
    assert_true(record[0].scores[0] == record[1].scores[0] && record[0].scores[0] > 0);
    assert_true(record[0].grad_norm == record[1].grad_norm && record[0].grad_norm > 0);
    end(&in_order, sums[0]);
    end(&as_sums, sums[1]);
}

/* With `alone` and without; rows in two parts, or among them a sum. */
static void rows_of_few_tasks_give_the_theta_of_their_sum(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        int64_t *sums[2];
        mn_training *by_sum = begin(&sums[0]), *by_rows = begin(&sums[1]);
        mn_step_record record[2];
        const mn_result two = {
            .encoding = MN_ENCODING_ROWS, .n_tasks = 2, .n_columns = (uint32_t)columns};
        mn_training_use(by_rows, sums[1], how % 2 == 0);
        for (int step = 0; step < 2; step++) { /* the second finds what the first left */
            open_training(by_sum);
            add_tasks(by_sum, 0, BATCH);
            open_training(by_rows);
            memset(sums[1], 0x55, 2 * columns * sizeof *sums[1]);
            mn_training_add(by_rows, 2, &two, rows + 2 * columns, 2 * columns * sizeof *rows);
            if (how < 2)
                mn_training_add(by_rows, 0, &two, rows, 2 * columns * sizeof *rows);
            else
                add_tasks(by_rows, 0, 2);
            assert_int_equal(mn_training_step_outer(by_sum, &record[0], NULL), MN_OK);
            assert_int_equal(mn_training_step_outer(by_rows, &record[1], NULL), MN_OK);
            assert_true(mn_training_checksum(by_sum) == mn_training_checksum(by_rows));
            assert_true(record[0].scores[0] == record[1].scores[0]);
            assert_true(record[0].grad_norm == record[1].grad_norm && record[0].grad_norm > 0);
        }
        end(&by_sum, sums[0]);
        end(&by_rows, sums[1]);
    }
}

/* More rows than a round should have: a task that is counted twice is noticed as in sums. */
static void rows_that_are_too_many_are_counted(void **state)
{
    (void)state;
    int64_t *sums;
    mn_training *training = begin(&sums);
    mn_step_record record;
    const mn_result three = {
        .encoding = MN_ENCODING_ROWS, .n_tasks = 3, .n_columns = (uint32_t)columns};
    open_training(training);
    mn_training_add(training, 0, &three, rows, 3 * columns * sizeof *rows);
    mn_training_add(training, 1, &three, rows + columns, 3 * columns * sizeof *rows);
    assert_int_equal(mn_training_step_outer(training, &record, NULL), MN_ERR_INTERNAL);
    end(&training, sums);
}

static void restore_with(mn_optimiser_kind optimiser)
{
    int64_t *sums[2];
    experiment.outer.optimiser = optimiser;
    mn_training *whole = begin(&sums[0]);
    mn_training *resumed = begin(&sums[1]);
    mn_checkpoint checkpoint = {0};
    mn_step_record record;
    open_training(whole);
    add_tasks(whole, 0, BATCH);
    assert_int_equal(mn_training_step_outer(whole, &record, NULL), MN_OK);
    assert_int_equal(mn_training_save(whole, &checkpoint, NULL), MN_OK);
    assert_int_equal(checkpoint.step, 1);
    assert_int_equal(mn_training_restore(resumed, &checkpoint, NULL), MN_OK);
    mn_checkpoint_fini(&checkpoint);
    assert_int_equal(mn_training_step(resumed), 1);
    mn_training *const both[] = {whole, resumed};
    for (int i = 0; i < 2; i++) {
        open_training(both[i]);
        add_tasks(both[i], 0, BATCH);
        assert_int_equal(mn_training_step_outer(both[i], &record, NULL), MN_OK);
    }
    assert_true(mn_training_checksum(whole) == mn_training_checksum(resumed));
    end(&whole, sums[0]);
    end(&resumed, sums[1]);
}

static void a_restored_training_takes_the_same_next_step(void **state)
{
    (void)state;
    restore_with(MN_OPT_ADAGRAD);
    restore_with(MN_OPT_ADAM);
}

/* Of two trainings, with weight decay and without, the biases are the same and the weights are not. */
static void biases_may_be_spared_weight_decay(void **state)
{
    (void)state;
    int64_t *sums[2];
    mn_training *both[2];
    mn_step_record record;
    experiment.outer.decays = MN_DECAYS_WEIGHTS;
    for (int i = 0; i < 2; i++) {
        experiment.outer.weight_decay = i;
        both[i] = begin(&sums[i]);
        for (int step = 0; step < 2; step++) { /* biases begin with zero */
            open_training(both[i]);
            add_tasks(both[i], 0, BATCH);
            assert_int_equal(mn_training_step_outer(both[i], &record, NULL), MN_OK);
        }
    }
    const mn_theta_layout layout = mn_training_layout(both[0]);
    const float *without = mn_training_theta(both[0], 2), *with = mn_training_theta(both[1], 2);
    size_t at = 0;
    for (size_t i = 0; i < layout.n_tensors; i++) {
        const size_t n = (size_t)mn_tensor_count(&layout.tensors[i]);
        const bool same = memcmp(with + at, without + at, n * sizeof *with) == 0;
        assert_int_equal(same, layout.tensors[i].rank == 1);
        at += n;
    }
    experiment.outer.weight_decay = 0;
    experiment.outer.decays = MN_DECAYS_ALL;
    for (int i = 0; i < 2; i++)
        end(&both[i], sums[i]);
}

/* A row as a learner gives it for a task that it had to skip. */
/* A share of the way, by what the tasks of each set lack, and not by the optimiser; and so again after a
 * restart. */
static void running_losses_of_sets_go_a_share_of_the_way_to_those_of_their_tasks(void **state)
{
    (void)state;
    int64_t *sums[2];
    mn_training *training = begin(&sums[0]), *restored = begin(&sums[1]);
    const size_t size = mn_training_size(training);
    mn_step_record record;
    float expected[2];
    bool seen[2] = {false};
    for (size_t set = 0; set < 2; set++) {
        double lacks = 0;
        for (size_t i = 0; i < BATCH; i++) {
            const double lack = (double)rows[i * columns + size - 2 + set];
            seen[set] = seen[set] || lack != 0;
            lacks += lack;
        }
        expected[set] = (float)(1 - 0.25 * lacks / BATCH);
    }
    assert_true(seen[0] && seen[1]);
    open_training(training);
    add_tasks(training, 0, BATCH);
    assert_int_equal(mn_training_step_outer(training, &record, NULL), MN_OK);
    const float *losses =
        mn_learner_set_losses(learner, mn_training_theta(training, mn_training_step(training)));
    for (int set = 0; set < 2; set++)
        assert_true(fabsf(losses[set] - expected[set]) < 1e-5f);

    mn_checkpoint checkpoint = {0};
    assert_int_equal(mn_training_save(training, &checkpoint, NULL), MN_OK);
    assert_int_equal(mn_training_restore(restored, &checkpoint, NULL), MN_OK);
    assert_memory_equal(losses, mn_learner_set_losses(learner, mn_training_theta(restored, 1)),
                        2 * sizeof *losses);
    mn_checkpoint_fini(&checkpoint);
    end(&training, sums[0]);
    end(&restored, sums[1]);
}

static void skip_row(uint32_t task, float *saved)
{
    float *row = rows + task * columns;
    memcpy(saved, row, columns * sizeof *row);
    memset(row, 0, columns * sizeof *row);
    row[columns - 1] = 1;
}

static void skipped_tasks_are_left_out_or_end_the_run_as_told(void **state)
{
    (void)state;
    int64_t *sums = NULL;
    mn_step_record record;
    mn_error err;
    float *saved = calloc(columns, sizeof *saved);
    mn_training *training = begin(&sums);
    uint64_t before = mn_training_checksum(training);
    skip_row(2, saved);

    experiment.outer.nonfinite = MN_NONFINITE_ABORT;
    open_training(training);
    add_tasks(training, 0, BATCH);
    assert_int_equal(mn_training_step_outer(training, &record, &err), MN_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "1 of 4 tasks"));
    assert_int_equal(mn_training_step(training), 0);
    assert_true(mn_training_checksum(training) == before);

    experiment.outer.nonfinite = MN_NONFINITE_SKIP;
    assert_int_equal(mn_training_step_outer(training, &record, &err), MN_OK);
    assert_int_equal(record.skipped, 1);
    double mean = 0;
    for (uint32_t i = 0; i < BATCH; i++)
        mean += (double)rows[i * columns + mn_learner_size(learner)] / 3;
    assert_true(fabs(record.scores[0] - mean) < 1e-9);
    memcpy(rows + 2 * columns, saved, columns * sizeof *saved);
    free(saved);
    end(&training, sums);
}

static void a_step_whose_tasks_were_all_skipped_changes_nothing_but_counts(void **state)
{
    (void)state;
    int64_t *sums = NULL;
    mn_step_record record;
    float *saved = calloc(columns, sizeof *saved);
    mn_training *training = begin(&sums);
    uint64_t before = mn_training_checksum(training);
    skip_row(0, saved);
    mn_training_open(training, &(mn_round){.id = 1, .kind = MN_ROUND_TRAIN, .n_tasks = 1});
    add_tasks(training, 0, 1);
    assert_int_equal(mn_training_step_outer(training, &record, NULL), MN_OK);
    assert_int_equal(mn_training_step(training), 1);
    assert_true(mn_training_checksum(training) == before);
    assert_true(isnan(record.scores[0]));
    memcpy(rows, saved, columns * sizeof *saved);
    free(saved);
    end(&training, sums);
}

/* Make a step of one task, which is skipped or, `taken`, not. */
static mn_status lonely_step(mn_training *training, bool taken, mn_error *err)
{
    mn_step_record record;
    float *saved = calloc(columns, sizeof *saved);
    if (!taken)
        skip_row(0, saved);
    mn_training_open(training, &(mn_round){.id = 1, .kind = MN_ROUND_TRAIN, .n_tasks = 1});
    add_tasks(training, 0, 1);
    mn_status status = mn_training_step_outer(training, &record, err);
    if (!taken)
        memcpy(rows, saved, columns * sizeof *saved);
    free(saved);
    return status;
}

static void a_run_ends_after_so_many_steps_in_a_row_without_a_task(void **state)
{
    (void)state;
    int64_t *sums[2];
    mn_error err;
    mn_checkpoint checkpoint = {0};
    mn_training *training = begin(&sums[0]);
    mn_training *resumed = begin(&sums[1]);
    experiment.outer.max_skipped_steps = 3;
    for (int i = 0; i < 2; i++)
        assert_int_equal(lonely_step(training, false, NULL), MN_OK);
    assert_int_equal(lonely_step(training, true, NULL), MN_OK); /* begins to count anew */
    for (int i = 0; i < 2; i++)
        assert_int_equal(lonely_step(training, false, NULL), MN_OK);
    assert_int_equal(lonely_step(training, false, &err), MN_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "meta-step 6: of 3 in a row"));
    assert_non_null(strstr(err.message, "meta.inner_lr=0.01 or outer.lr=0.001"));
    assert_int_equal(mn_training_step(training), 5);

    assert_int_equal(mn_training_save(training, &checkpoint, NULL), MN_OK);
    assert_int_equal(mn_training_restore(resumed, &checkpoint, NULL), MN_OK);
    mn_checkpoint_fini(&checkpoint);
    assert_int_equal(lonely_step(resumed, false, NULL), MN_ERR_NUMERIC);
    experiment.outer.max_skipped_steps = 0;
    assert_int_equal(lonely_step(resumed, false, NULL), MN_OK);
    experiment.outer.max_skipped_steps = 10;
    end(&training, sums[0]);
    end(&resumed, sums[1]);
}

static void a_run_ends_if_none_of_its_steps_had_a_task(void **state)
{
    (void)state;
    int64_t *sums = NULL;
    mn_error err;
    mn_training *training = begin(&sums);
    experiment.outer.max_skipped_steps = 3;
    experiment.outer.steps = 2;
    assert_int_equal(lonely_step(training, false, NULL), MN_OK);
    assert_int_equal(lonely_step(training, false, &err), MN_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "meta-step 2: of 2 in a row"));
    assert_non_null(strstr(err.message, "meta.inner_lr=0.01 is")); /* theta never moved */
    experiment.outer.max_skipped_steps = 10;
    experiment.outer.steps = 1000;
    end(&training, sums);
}

static void a_task_counted_twice_or_never_is_an_error_and_changes_nothing(void **state)
{
    (void)state;
    int64_t *sums = NULL;
    mn_step_record record;
    mn_training *training = begin(&sums);
    uint64_t before = mn_training_checksum(training);
    open_training(training);
    add_tasks(training, 0, BATCH - 1);
    assert_int_equal(mn_training_step_outer(training, &record, NULL), MN_ERR_INTERNAL);
    add_tasks(training, 0, 1);
    add_tasks(training, 0, 1);
    assert_int_equal(mn_training_step_outer(training, &record, NULL), MN_ERR_INTERNAL);
    assert_int_equal(mn_training_step(training), 0);
    assert_true(mn_training_checksum(training) == before);
    end(&training, sums);
}

static void a_result_that_does_not_tell_of_each_task_is_refused(void **state)
{
    (void)state;
    int64_t *sum = calloc(2 * columns, sizeof *sum);
    float *taken = rows + columns - 2;
    mn_result result = {.encoding = MN_ENCODING_ROWS, .n_tasks = 1, .n_columns = (uint32_t)columns};
    assert_int_equal(mn_training_check(&result, rows, columns * sizeof *rows, NULL), MN_OK);
    *taken = 2;
    assert_int_equal(mn_training_check(&result, rows, columns * sizeof *rows, NULL), MN_ERR_DATA);
    mn_exact_add(columns, rows, sum);
    *taken = 1;
    result =
        (mn_result){.encoding = MN_ENCODING_EXACT, .n_tasks = 2, .n_columns = (uint32_t)columns};
    assert_int_equal(mn_training_check(&result, sum, 2 * columns * sizeof *sum, NULL), MN_OK);
    mn_exact_add(columns, rows, sum);
    assert_int_equal(mn_training_check(&result, sum, 2 * columns * sizeof *sum, NULL), MN_ERR_DATA);
    result = (mn_result){.encoding = MN_ENCODING_ROWS, .n_tasks = 1, .n_columns = 1};
    assert_int_equal(mn_training_check(&result, rows, sizeof *rows, NULL), MN_ERR_DATA);
    free(sum);
}

/* Of several blocks, and longer than any, so it is checked and added piece by piece. */
static void a_packed_sum_adds_as_its_digits_do_or_is_refused(void **state)
{
    (void)state;
    int64_t *sums[2];
    mn_training *by_digits = begin(&sums[0]);
    mn_training *packed_up = begin(&sums[1]);
    const size_t bytes = 2 * columns * sizeof(int64_t);
    int64_t *sum = calloc(2 * columns, sizeof *sum);
    uint8_t *packed = malloc(mn_packed_sum_most(columns));
    assert_true(sum != NULL && packed != NULL);
    const mn_result result = {
        .encoding = MN_ENCODING_PACKED, .n_tasks = BATCH / 2, .n_columns = (uint32_t)columns};
    size_t n = 0;
    open_training(by_digits);
    open_training(packed_up);
    for (uint32_t half = 0; half < 2; half++) { /* the first finds the sums empty */
        memset(sum, 0, bytes);
        for (uint32_t i = half * BATCH / 2; i < (half + 1) * BATCH / 2; i++)
            mn_exact_add(columns, rows + i * columns, sum);
        n = mn_packed_sum_write(columns, sum, packed);
        assert_int_equal(mn_training_check(&result, packed, n, NULL), MN_OK);
        mn_training_add(packed_up, half * BATCH / 2, &result, packed, n);
        add_tasks(by_digits, half * BATCH / 2, BATCH / 2);
    }
    mn_step_record record;
    assert_int_equal(mn_training_step_outer(by_digits, &record, NULL), MN_OK);
    assert_int_equal(mn_training_step_outer(packed_up, &record, NULL), MN_OK);
    assert_true(mn_training_checksum(by_digits) == mn_training_checksum(packed_up));

    mn_result other = result;
    assert_int_equal(mn_training_check(&result, packed, n - 1, NULL), MN_ERR_DATA);
    assert_int_equal(mn_training_check(&result, NULL, n, NULL), MN_ERR_DATA);
    other.n_columns++;
    assert_int_equal(mn_training_check(&other, packed, n, NULL), MN_ERR_DATA);
    other = result;
    other.n_tasks++; /* the flags are of fewer tasks */
    assert_int_equal(mn_training_check(&other, packed, n, NULL), MN_ERR_DATA);
    sum[0] = INT64_C(1) << 62; /* too large, in the first block of several */
    n = mn_packed_sum_write(columns, sum, packed);
    assert_int_equal(mn_training_check(&result, packed, n, NULL), MN_ERR_DATA);
    free(packed);
    free(sum);
    end(&by_digits, sums[0]);
    end(&packed_up, sums[1]);
}

static void validate(mn_training *training, float loss, bool expect_best)
{
    const mn_round round = {.id = 2, .kind = MN_ROUND_TEST, .split = MN_VAL, .n_tasks = TESTS};
    const mn_result result = {.encoding = MN_ENCODING_ROWS, .n_tasks = 1, .n_columns = 4};
    mn_evaluation evaluation;
    bool best = false;
    double mean = 0;
    assert_int_equal(mn_learner_test_columns(learner), 4); /* loss, its weight, taken, skipped */
    mn_training_open(training, &round);
    for (uint32_t i = TESTS; i-- > 0;) { /* the last task first */
        const float row[4] = {loss + (float)i, 1, 1, 0};
        mean += (double)row[0] / TESTS;
        mn_training_add(training, i, &result, row, sizeof row);
    }
    assert_int_equal(mn_training_judge(training, &evaluation, &best, NULL), MN_OK);
    assert_int_equal(evaluation.n_counted, TESTS);
    assert_true(fabs(evaluation.estimates[0].mean - mean) < 1e-12);
    assert_true(fabs(evaluation.estimates[0].half_width - 1.96 / sqrt(3)) < 1e-6);
    assert_int_equal(best, expect_best);
    assert_true(mn_training_validated(training) == mn_training_step(training));
    mn_evaluation_fini(&evaluation);
}

static void the_theta_that_was_best_on_validation_is_tested_at_the_end(void **state)
{
    (void)state;
    int64_t *sums[2];
    mn_step_record record;
    mn_checkpoint checkpoint = {0};
    mn_training *training = begin(&sums[0]);
    mn_training *resumed = begin(&sums[1]);
    size_t bytes = mn_training_size(training) * sizeof(float);
    float *best = malloc(bytes);
    assert_ptr_equal(mn_training_theta(training, 1), mn_training_theta(training, 0));
    for (int step = 0; step < 3; step++) {
        open_training(training);
        add_tasks(training, 0, BATCH);
        assert_int_equal(mn_training_step_outer(training, &record, NULL), MN_OK);
        validate(training, step == 1 ? 1.0f / 3 : 2.0f / 3, step < 2);
        if (step == 1)
            memcpy(best, mn_training_theta(training, 2), bytes);
    }
    assert_memory_equal(mn_training_final_theta(training), best, bytes);
    assert_memory_equal(mn_training_theta(training, 4), best, bytes);
    assert_memory_not_equal(mn_training_theta(training, 3), best, bytes);
    assert_null(mn_training_theta(training, 2));

    assert_int_equal(mn_training_save(training, &checkpoint, NULL), MN_OK);
    assert_int_equal(checkpoint.best_step, 2);
    assert_int_equal(mn_training_restore(resumed, &checkpoint, NULL), MN_OK);
    assert_memory_equal(mn_training_final_theta(resumed), best, bytes);
    mn_checkpoint_fini(&checkpoint);
    free(best);
    end(&training, sums[0]);
    end(&resumed, sums[1]);
}

static void so_many_validations_without_a_best_are_enough(void **state)
{
    (void)state;
    static const float losses[] = {0.5f, 0.75f, 0.25f, 0.25f, 0.5f};
    static const bool best[] = {true, false, true, false, false};
    int64_t *sums[2];
    mn_step_record record;
    mn_checkpoint checkpoint = {0};
    experiment.evaluate.patience = 2;
    mn_training *training = begin(&sums[0]), *resumed = begin(&sums[1]);
    for (int i = 0; i < 5; i++) {
        assert_false(mn_training_has_enough(training));
        open_training(training);
        add_tasks(training, 0, BATCH);
        assert_int_equal(mn_training_step_outer(training, &record, NULL), MN_OK);
        validate(training, losses[i], best[i]);
    }
    assert_true(mn_training_has_enough(training));
    assert_int_equal(mn_training_save(training, &checkpoint, NULL), MN_OK);
    assert_int_equal(checkpoint.stale_validations, 2);
    assert_int_equal(mn_training_restore(resumed, &checkpoint, NULL), MN_OK);
    assert_true(mn_training_has_enough(resumed));
    experiment.evaluate.patience = 3; /* told to go on */
    assert_false(mn_training_has_enough(resumed));
    experiment.evaluate.patience = 0;
    assert_false(mn_training_has_enough(resumed));
    mn_checkpoint_fini(&checkpoint);
    end(&training, sums[0]);
    end(&resumed, sums[1]);
}

/* Outer steps of the same tasks, each followed by a validation that is better than the last. */
static void step_and_validate(mn_training *training, int n)
{
    mn_step_record record;
    for (int i = 0; i < n; i++) {
        open_training(training);
        add_tasks(training, 0, BATCH);
        assert_int_equal(mn_training_step_outer(training, &record, NULL), MN_OK);
        validate(training, 1.0f / (float)(1 + mn_training_step(training)), true);
    }
}

static void the_average_of_theta_is_what_is_judged_and_kept(void **state)
{
    (void)state;
    int64_t *sums[2];
    mn_training *without = begin(&sums[0]);
    experiment.outer.average = 0.6;
    mn_training *with = begin(&sums[1]);
    const size_t size = mn_training_size(with), bytes = size * sizeof(float);
    double *expected = calloc(size, sizeof *expected);
    assert_ptr_equal(mn_training_judged_theta(without), mn_training_theta(without, 0));
    assert_memory_equal(mn_training_judged_theta(with), mn_training_theta(with, 0), bytes);
    for (uint64_t t = 1; t <= 5; t++) {
        const double share = t == 1 ? 1 : t == 2 ? 0.5 : 0.4; /* a plain mean, until 1 / t < 0.4 */
        step_and_validate(without, 1);
        step_and_validate(with, 1);
        const float *theta = mn_training_theta(with, t), *average = mn_training_judged_theta(with);
        assert_memory_equal(theta, mn_training_theta(without, t), bytes);
        assert_ptr_equal(mn_training_theta(with, t | MN_AVERAGE), average);
        assert_memory_equal(mn_training_final_theta(with), average, bytes);
        for (size_t i = 0; i < size; i++) {
            expected[i] += share * ((double)theta[i] - expected[i]);
            assert_true(fabs((double)average[i] - expected[i]) < 1e-6);
        }
    }
    assert_memory_not_equal(mn_training_final_theta(with), mn_training_theta(with, 5), bytes);
    free(expected);
    end(&without, sums[0]);
    end(&with, sums[1]);
    experiment.outer.average = 0;
}

static void a_step_without_a_task_leaves_the_average(void **state)
{
    (void)state;
    int64_t *sums;
    experiment.outer.average = 0.9;
    mn_training *training = begin(&sums);
    const size_t bytes = mn_training_size(training) * sizeof(float);
    float *before = malloc(bytes);
    assert_non_null(before);
    step_and_validate(training, 2);
    memcpy(before, mn_training_judged_theta(training), bytes);
    assert_int_equal(lonely_step(training, false, NULL), MN_OK);
    assert_memory_equal(mn_training_judged_theta(training), before, bytes);
    free(before);
    end(&training, sums);
    experiment.outer.average = 0;
}

static void a_restored_training_goes_on_with_the_same_average(void **state)
{
    (void)state;
    int64_t *sums[2];
    mn_error err;
    mn_checkpoint checkpoint = {0};
    experiment.outer.average = 0.9;
    mn_training *whole = begin(&sums[0]);
    mn_training *resumed = begin(&sums[1]);
    const size_t bytes = mn_training_size(whole) * sizeof(float);
    step_and_validate(whole, 2);
    assert_int_equal(mn_training_save(whole, &checkpoint, NULL), MN_OK);
    assert_int_equal(mn_training_restore(resumed, &checkpoint, NULL), MN_OK);
    assert_memory_equal(mn_training_judged_theta(whole), mn_training_judged_theta(resumed), bytes);
    step_and_validate(whole, 2);
    step_and_validate(resumed, 2);
    assert_memory_equal(mn_training_judged_theta(whole), mn_training_judged_theta(resumed), bytes);

    free(checkpoint.average);
    checkpoint.average = NULL;
    assert_int_equal(mn_training_restore(resumed, &checkpoint, &err), MN_ERR_DATA);
    assert_string_equal(err.message, "the checkpoint of step 2 lacks the average of theta, which "
                                     "outer.average asks for");
    mn_checkpoint_fini(&checkpoint);
    end(&whole, sums[0]);
    end(&resumed, sums[1]);
    experiment.outer.average = 0;
}

/* A task of which 2^-23, or the last bit, is said to be skipped: the two add up to whole tasks. */
static void a_part_of_a_task_is_refused(void **state)
{
    (void)state;
    mn_error err;
    const int64_t one = INT64_C(1) << 23;
    const int64_t parts[][4] = {{one, one, 0, 0}, {2 * one - 1, 1, 0, 0}, {one, one, 1, -1}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        uint8_t packed[64];
        mn_result result = {.encoding = MN_ENCODING_EXACT, .n_tasks = 2, .n_columns = 2};
        const mn_status expected = i == 0 ? MN_OK : MN_ERR_DATA;
        assert_int_equal(mn_training_check(&result, parts[i], sizeof parts[i], &err), expected);
        result.encoding = MN_ENCODING_PACKED;
        const size_t n = mn_packed_sum_write(2, parts[i], packed);
        assert_int_equal(mn_training_check(&result, packed, n, &err), expected);
    }
}

static void numbers_that_no_task_gives_are_refused(void **state)
{
    (void)state;
    mn_error err;
    float values[4] = {1, 0, 0, 1};
    int64_t sum[4] = {1 << 23, 1 << 23, 0, INT64_MAX}; /* 1 and 1, but for the last low digit */
    mn_result result = {.encoding = MN_ENCODING_ROWS, .n_tasks = 2, .n_columns = 2};
    assert_int_equal(mn_training_check(&result, values, sizeof values, NULL), MN_OK);
    assert_int_equal(mn_training_check(&result, values, sizeof values - 1, &err), MN_ERR_DATA);
    assert_int_equal(mn_training_check(&result, NULL, sizeof values, &err), MN_ERR_DATA);
    values[3] = NAN;
    assert_int_equal(mn_training_check(&result, values, sizeof values, &err), MN_ERR_DATA);
    result.encoding = MN_ENCODING_EXACT;
    assert_int_equal(mn_training_check(&result, sum, sizeof sum, &err), MN_ERR_DATA);
    sum[3] = 0;
    assert_int_equal(mn_training_check(&result, sum, sizeof sum, &err), MN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(theta_does_not_depend_on_who_adds_what_and_when),
        cmocka_unit_test(rows_of_few_tasks_give_the_theta_of_their_sum),
        cmocka_unit_test(rows_that_are_too_many_are_counted),
        cmocka_unit_test(a_restored_training_takes_the_same_next_step),
        cmocka_unit_test(biases_may_be_spared_weight_decay),
        cmocka_unit_test(skipped_tasks_are_left_out_or_end_the_run_as_told),
        cmocka_unit_test(a_task_counted_twice_or_never_is_an_error_and_changes_nothing),
        cmocka_unit_test(a_result_that_does_not_tell_of_each_task_is_refused),
        cmocka_unit_test(a_packed_sum_adds_as_its_digits_do_or_is_refused),
        cmocka_unit_test(a_step_whose_tasks_were_all_skipped_changes_nothing_but_counts),
        cmocka_unit_test(a_run_ends_after_so_many_steps_in_a_row_without_a_task),
        cmocka_unit_test(a_run_ends_if_none_of_its_steps_had_a_task),
        cmocka_unit_test(the_theta_that_was_best_on_validation_is_tested_at_the_end),
        cmocka_unit_test(so_many_validations_without_a_best_are_enough),
        cmocka_unit_test(the_average_of_theta_is_what_is_judged_and_kept),
        cmocka_unit_test(a_step_without_a_task_leaves_the_average),
        cmocka_unit_test(a_restored_training_goes_on_with_the_same_average),
        cmocka_unit_test(a_part_of_a_task_is_refused),
        cmocka_unit_test(numbers_that_no_task_gives_are_refused),
    };
    const struct CMUnitTest of_mixture[] = {
        cmocka_unit_test(running_losses_of_sets_go_a_share_of_the_way_to_those_of_their_tasks),
    };
    const int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    return failed + cmocka_run_group_tests(of_mixture, set_up_mixture, tear_down);
}
