/* adapted_sequences_test.c: examples for learners that read sequences. */
#include "worker/learner/adapted_bed.h"

/* Sequences: three examples of classes 1, 0 and 0 are shown as 0, 1, 0, each label told with the next
 * item; what is to be judged comes fourth. The same sequences by hand, through the learner. */
static void examples_of_a_sequence_learner_are_shown_before_what_is_judged(void **state)
{
    (void)state;
    struct bed *bed =
        bed_new("tasks: {kind: sequences, way: 2, length: 6, bundle: 4, image_size: 8}\n"
                "model: {input: identity, memory: lrua, slots: 10, slot_size: 6, read_heads: 2, "
                "reasoning: lstm, units: 12}\nmeta: {kind: episodic}\n");
    enum { SIZE = 64, N = 3, ASKED = 2 };
    mn_error err = {.message = ""};
    float x[(N + ASKED) * SIZE], answers[ASKED * 2], outputs[ASKED * 2], all[(N + 1) * ASKED * 2];
    const uint32_t labels[N] = {1, 0, 0}, order[N] = {1, 0, 2}, told[N] = {0, 1, 0};
    memcpy(x, mn_task_find(bed->task, MN_QUERY, "x"), sizeof x);
    const mn_examples examples = {.n = N, .x = x, .n_classes = 2, .labels = labels};
    mn_adapted *adapted = NULL, *again = NULL;
    assert_true(mn_model_is_sequence(bed->model) && !mn_model_is_few_shot(bed->model));
    if (mn_adapted_new(bed->model, &examples, 0, NULL, &adapted, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(
        mn_adapted_predict(adapted, ASKED, x + (size_t)N * SIZE, answers, outputs, &err), MN_OK);

    mn_task *task = NULL;
    mn_learner *learner = NULL;
    mn_workspace *workspace = NULL;
    assert_int_equal(mn_model_task(bed->model, 0, N, ASKED, &task, &err), MN_OK);
    float *shown = mn_task_find(task, MN_QUERY, "x");
    float *before = mn_task_find(task, MN_QUERY, "label_before");
    for (size_t b = 0; b < ASKED; b++) {
        for (size_t t = 0; t < N; t++) {
            memcpy(shown + (t * ASKED + b) * SIZE, x + order[t] * SIZE, SIZE * sizeof *x);
            before[((t + 1) * ASKED + b) * 2 + told[t]] = 1;
        }
        memcpy(shown + (N * ASKED + b) * SIZE, x + (N + b) * SIZE, SIZE * sizeof *x);
    }
    assert_int_equal(mn_learner_new(&bed->experiment, &task->fields, &task->fields, &learner, &err),
                     MN_OK);
    assert_int_equal(mn_workspace_new(learner, &workspace, &err), MN_OK);
    mn_explanation explanation = {.query_output = all};
    mn_learner_explain(workspace, bed->theta, task, false, &explanation);
    assert_memory_equal(outputs, all + (size_t)N * ASKED * 2, sizeof outputs);
    assert_true(outputs[0] != outputs[2]);

    char path[] = "/tmp/adapted_test_XXXXXX";
    float later[ASKED * 2];
    assert_true(mkstemp(path) >= 0);
    assert_int_equal(mn_adapted_write(adapted, path, 0, NULL, &err), MN_OK);
    if (mn_adapted_read(path, &again, &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(mn_adapted_predict(again, ASKED, x + (size_t)N * SIZE, later, NULL, &err),
                     MN_OK);
    assert_memory_equal(later, answers, sizeof later);
    (void)unlink(path);
    mn_adapted_destroy(&adapted);
    mn_adapted_destroy(&again);
    mn_workspace_destroy(&workspace);
    mn_learner_destroy(&learner);
    mn_task_destroy(&task);
    bed_destroy(bed);
}

static void sequences_with_labels_of_letters_take_no_examples(void **state)
{
    (void)state;
    struct bed *bed = bed_new("tasks: {kind: sequences, way: 2, length: 6, bundle: 4, image_size: "
                              "8, labels: letters}\nmodel: {input: identity, memory: lrua, "
                              "reasoning: lstm, units: 12}\nmeta: {kind: episodic}\n");
    mn_error err = {.message = ""};
    const float x[128] = {0};
    const uint32_t labels[2] = {0, 1};
    const mn_examples examples = {.n = 2, .x = x, .n_classes = 2, .labels = labels};
    mn_adapted *adapted = NULL;
    assert_false(mn_model_takes_examples(bed->model));
    assert_int_equal(mn_adapted_new(bed->model, &examples, 0, NULL, &adapted, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "strings of letters"));
    bed_destroy(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_a_sequence_learner_are_shown_before_what_is_judged),
        cmocka_unit_test(sequences_with_labels_of_letters_take_no_examples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
