/* adapted_rows_test.c: rows of a person's own table: of made-up tables' learners, and with ids. */
#include "worker/learner/adapted_bed.h"

/* Made-up tables have 2 to tasks.way classes, so a table of one's own may have fewer than the head has rows. */
static void a_table_may_have_fewer_classes_than_training(void **state)
{
    enum { N = 6, CLASSES = 3, FEATURES = 2 };
    struct bed *bed =
        bed_new("tasks: {kind: tables, way: 4, features: 2, shot: 8, query: 5}\n"
                "model: {input: identity, memory: transformer, layers: 1, token_size: 8, heads: 2, "
                "mlp_size: 8, reasoning: read, output: linear}\nmeta: {kind: episodic}\n");
    static const uint32_t labels[N] = {0, 1, 2, 0, 1, 2};
    static const char *const names[CLASSES] = {"oak", "elm", "ash"};
    const float x[N * FEATURES] = {0, 1, 2, 0.5f, -1, -2, 0.25f, 1, 2, 0, -1, 1};
    mn_examples examples = {.n = N, .x = x, .n_classes = CLASSES, .labels = labels, .names = names};
    mn_adapted *adapted = NULL, *again = NULL;
    float answers[N * CLASSES], outputs[N * CLASSES], second[N * CLASSES];
    char path[] = "/tmp/mnemo-adapted-table-XXXXXX";
    mn_error err = {.message = ""};
    (void)state;
    assert_int_equal(mn_adapted_new(bed->model, &examples, 0, NULL, &adapted, &err), MN_OK);
    assert_int_equal(mn_adapted_classes(adapted), CLASSES);
    assert_int_equal(mn_adapted_columns(adapted), CLASSES);
    assert_int_equal(mn_adapted_predict(adapted, N, x, answers, outputs, &err), MN_OK);
    for (uint32_t i = 0; i < N; i++) {
        double sum = 0, all = 0;
        for (uint32_t k = 0; k < CLASSES; k++)
            all += exp((double)outputs[i * CLASSES + k]);
        for (uint32_t k = 0; k < CLASSES; k++) {
            sum += (double)answers[i * CLASSES + k];
            assert_true(fabs(exp((double)outputs[i * CLASSES + k]) / all -
                             (double)answers[i * CLASSES + k]) < 1e-6);
        }
        assert_true(fabs(sum - 1) < 1e-6);
    }
    const int file = mkstemp(path);
    assert_true(file >= 0 && close(file) == 0);
    assert_int_equal(mn_adapted_write(adapted, path, 0, NULL, &err), MN_OK);
    if (mn_adapted_read(path, &again, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(mn_adapted_classes(again), CLASSES);
    assert_string_equal(mn_adapted_class_name(again, 2), "ash");
    assert_int_equal(mn_adapted_predict(again, N, x, second, NULL, &err), MN_OK);
    assert_memory_equal(second, answers, sizeof answers);
    mn_adapted_destroy(&again);
    mn_adapted_destroy(&adapted);

    static const uint32_t many[N] = {0, 1, 2, 3, 4, 0};
    examples = (mn_examples){.n = N, .x = x, .n_classes = 5, .labels = many};
    assert_int_equal(mn_adapted_new(bed->model, &examples, 0, NULL, &adapted, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "5 classes"));
    assert_int_equal(unlink(path), 0);
    bed_destroy(bed);
}

/* A table of twelve tasks of nine rows; the id is one of three words, and of each fourth task a word of its
 * own, which training has only if the task is one of training. */
static void write_table(const char *folder, char path[64])
{
    (void)snprintf(path, 64, "%s/rows.csv", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fprintf(file, "task,who,a,b,y\n");
    for (int task = 0; task < 12; task++)
        for (int row = 0; row < 9; row++)
            (void)fprintf(file, "t%d,%s%d,%d,%.2f,%.2f\n", task, task % 4 == 3 ? "own" : "w",
                          task % 4 == 3 ? task : (task + row) % 3, row,
                          0.1 * ((7 * row + task) % 5), 0.3 * row + task % 3);
    assert_int_equal(fclose(file), 0);
}

static uint32_t ids_of(const mn_task *task, mn_role role, uint32_t *out)
{
    const mn_field *field = mn_fields_find(&task->fields, role, "id");
    const float *at = mn_task_find(task, role, "id");
    uint32_t seen = 0;
    for (uint32_t i = 0; i < field->n; i++) {
        out[i] = (uint32_t)at[i];
        seen |= 1u << out[i];
    }
    return seen;
}

static void rows_with_ids_are_adapted_to_as_those_of_a_test_task(void **state)
{
    (void)state;
    char folder[] = "/tmp/adapted_rows_test_XXXXXX", table[64], path[64], yaml[700];
    assert_non_null(mkdtemp(folder));
    write_table(folder, table);
    (void)snprintf(path, sizeof path, "%s/run", folder);
    (void)snprintf(yaml, sizeof yaml,
                   "tasks: {kind: rows, table: rows.csv, task_column: task, id_column: who, "
                   "y_column: y, columns: \"a, b\", shares: [50, 0, 50], shot: 5, query: 3}\n"
                   "model: {input: linear, width: 4, memory: table, slots: 16, slot_size: 3, "
                   "reasoning: concat-linear, units: 5}\n"
                   "meta: {kind: maml, adapts: memory, inner_steps: 2, inner_lr: 0.1}\n"
                   "run: {data_path: %s}\n",
                   folder);
    struct bed *bed = bed_new(yaml);
    mn_error err = {.message = ""};
    mn_workspace *workspace = NULL;
    mn_model *model = NULL;
    uint32_t support[5], query[3], seen = 0;
    float outputs[3], answers[3], later[3], wanted[3];
    write_run(bed, path, "", 1);
    if (mn_model_read(path, 0, NULL, &model, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_true(mn_model_is_few_shot(model));
    const uint32_t w1 = mn_words_find(mn_model_ids(model), "W1", 2);
    assert_true(w1 > 0 && mn_words_find(mn_model_ids(model), "nobody", 6) == 0);
    assert_int_equal(mn_workspace_new(bed->learner, &workspace, &err), MN_OK);
    for (uint64_t index = 0; index < 24; index++) {
        mn_adapted *adapted = NULL, *again = NULL;
        mn_task_set_draw(bed->set, MN_TEST, index, bed->task);
        mn_explanation told = {.query_output = wanted};
        mn_learner_explain(workspace, bed->theta, bed->task, false, &told);
        mn_examples examples = examples_of(bed, NULL);
        seen |= ids_of(bed->task, MN_SUPPORT, support) | ids_of(bed->task, MN_QUERY, query);
        examples.ids = support;
        assert_int_equal(
            mn_adapted_new(model, &examples, MN_STEPS_AS_TRAINED, NULL, &adapted, &err), MN_OK);
        const float *x = bed->task->at[MN_QUERY_X];
        assert_int_equal(mn_adapted_predict_ids(adapted, 3, x, query, answers, outputs, &err),
                         MN_OK);
        assert_memory_equal(outputs, wanted, sizeof wanted);
        assert_int_equal(mn_adapted_write(adapted, path, 0, NULL, &err), MN_OK);
        if (mn_adapted_read(path, &again, &err) != MN_OK)
            fail_msg("%s", err.message);
        assert_int_equal(mn_words_find(mn_model_ids(mn_adapted_model(again)), "w1", 2), w1);
        assert_int_equal(mn_adapted_predict_ids(again, 3, x, query, later, NULL, &err), MN_OK);
        assert_memory_equal(later, answers, sizeof answers);
        query[1] = mn_words_count(mn_model_ids(model));
        assert_int_equal(mn_adapted_predict_ids(again, 3, x, query, later, NULL, &err),
                         MN_ERR_DATA);
        mn_adapted_destroy(&adapted);
        mn_adapted_destroy(&again);
    }
    assert_true((seen & 1) != 0 && (seen & 1u << w1) != 0); /* unknown ones and others were met */
    mn_workspace_destroy(&workspace);
    mn_model_destroy(&model);
    bed_destroy(bed);
    assert_true(unlink(path) == 0 && unlink(table) == 0 && rmdir(folder) == 0);
}

static void ids_of_a_run_that_has_none_are_refused(void **state)
{
    (void)state;
    struct bed *bed = bed_new(POINTS "meta: {kind: maml, inner_steps: 1}\n");
    mn_error err = {.message = ""};
    mn_adapted *adapted = NULL;
    uint32_t ids[64] = {0};
    mn_examples examples = examples_of(bed, NULL);
    examples.ids = ids;
    assert_int_equal(mn_adapted_new(bed->model, &examples, 1, NULL, &adapted, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "which this run's have not"));
    bed_destroy(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_may_have_fewer_classes_than_training),
        cmocka_unit_test(rows_with_ids_are_adapted_to_as_those_of_a_test_task),
        cmocka_unit_test(ids_of_a_run_that_has_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
