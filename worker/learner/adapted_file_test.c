/* adapted_file_test.c: adapted models as files: the same bits again, and nothing else taken for one. */
#include "worker/learner/adapted_bed.h"

static void a_file_predicts_the_same_bits_and_needs_nothing_else(void **state)
{
    (void)state;
    mn_error err = {.message = ""};
    char path[] = "/tmp/adapted_test_XXXXXX";
    const mn_text_pair note = {"ink", "dark"};
    assert_true(mkstemp(path) >= 0);
    for (size_t i = 0; i < N_LOOPS + N_EPISODES; i++) {
        struct bed *bed = bed_new(learner_of(i));
        mn_adapted *adapted = adapt(bed, NULL), *again = NULL;
        float *outputs = NULL, *theirs = NULL;
        float *answers = predict(bed, adapted, &outputs);
        const size_t bytes = n_query(bed) * mn_adapted_columns(adapted) * sizeof *answers;
        assert_int_equal(mn_adapted_write(adapted, path, 1, &note, &err), MN_OK);
        if (mn_adapted_read(path, &again, &err) != MN_OK)
            fail_msg("%s: %s", learner_of(i), err.message);
        float *second = predict(bed, again, &theirs);
        assert_memory_equal(second, answers, bytes);
        assert_memory_equal(theirs, outputs, bytes);
        assert_string_equal(mn_adapted_note(again, "ink"), "dark");
        assert_int_equal(mn_adapted_support(again), mn_adapted_support(adapted));
        assert_int_equal(mn_adapted_steps(again), mn_adapted_steps(adapted));
        if (mn_adapted_class_name(adapted, 0) != NULL)
            assert_string_equal(mn_adapted_class_name(again, 2), "2");
        free(answers);
        free(outputs);
        free(second);
        free(theirs);
        mn_adapted_destroy(&adapted);
        mn_adapted_destroy(&again);
        bed_destroy(bed);
    }
    (void)unlink(path);
}

static void examples_are_written_only_where_they_are_looked_at(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        bool there;
    } cases[] = {{loops[0], false}, {loops[1], true}, {loops[7], false}, {episodes[0], true}};
    mn_error err = {.message = ""};
    char path[] = "/tmp/adapted_test_XXXXXX";
    assert_true(mkstemp(path) >= 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bed *bed = bed_new(cases[i].yaml);
        mn_adapted *adapted = adapt(bed, NULL);
        mn_tensor_file *file = NULL;
        assert_int_equal(mn_adapted_write(adapted, path, 0, NULL, &err), MN_OK);
        assert_int_equal(mn_tensor_file_read(path, &file, &err), MN_OK);
        assert_int_equal(mn_tensor_file_find(file, "support.x") != NULL, cases[i].there);
        if (i == 2) { /* [way, features] of PyTorch's Linear: 6 filters, 2 x 2 pixels are left */
            const mn_tensor *head = mn_tensor_file_find(file, "head.weight");
            assert_non_null(head);
            assert_int_equal(head->shape[0], 3);
            assert_int_equal(head->shape[1], 24);
        }
        mn_tensor_file_destroy(&file);
        mn_adapted_destroy(&adapted);
        bed_destroy(bed);
    }
    (void)unlink(path);
}

static char *slurp(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(1 << 20);
    assert_true(file != NULL && bytes != NULL);
    *n = fread(bytes, 1, 1 << 20, file);
    (void)fclose(file);
    return bytes;
}

static void spill(const char *path, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void no_prefix_of_a_file_and_no_other_file_is_taken_for_an_adapted_one(void **state)
{
    (void)state;
    struct bed *bed = bed_new(loops[7]);
    mn_adapted *adapted = adapt(bed, NULL), *again = NULL;
    mn_model *model = NULL;
    char path[] = "/tmp/adapted_test_XXXXXX";
    mn_error err = {.message = ""};
    size_t n = 0;
    assert_true(mkstemp(path) >= 0);
    assert_int_equal(mn_adapted_write(adapted, path, 0, NULL, &err), MN_OK);
    assert_int_equal(mn_model_read(path, 0, NULL, &model, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "mnemo predict"));
    char *bytes = slurp(path, &n);
    for (size_t cut = 0; cut < n; cut += 1 + n / 60) {
        spill(path, bytes, cut);
        assert_int_equal(mn_adapted_read(path, &again, &err), MN_ERR_DATA);
    }
    for (size_t at = 9; at < n; at += 1 + n / 60) {
        bytes[at] ^= 4;
        spill(path, bytes, n);
        assert_int_equal(mn_adapted_read(path, &again, &err), MN_ERR_DATA);
        bytes[at] ^= 4;
    }
    write_run(bed, path, "", 1);
    assert_int_equal(mn_adapted_read(path, &again, &err), MN_ERR_DATA);
    assert_non_null(strstr(err.message, "is no adapted model"));
    (void)unlink(path);
    assert_int_equal(mn_adapted_read(path, &again, &err), MN_ERR_NO_INPUT);
    assert_null(again);
    free(bytes);
    mn_adapted_destroy(&adapted);
    bed_destroy(bed);
}

/* Whole files, with metadata of one and tensors of another: each key of each learner in the place of
 * another's. Nothing may crash, and what is taken must predict. */
static void metadata_that_do_not_belong_together_are_refused(void **state)
{
    (void)state;
    static const char *const keys[] = {"experiment", "fields",      "way",
                                       "examples",   "inner_steps", "classes"};
    enum { N_KEYS = sizeof keys / sizeof *keys };
    const char *const some[] = {loops[0], loops[7], loops[10], loops[12], episodes[2], episodes[4]};
    enum { N_SOME = sizeof some / sizeof *some };
    char path[] = "/tmp/adapted_test_XXXXXX";
    mn_error err = {.message = ""};
    mn_tensor_file *files[N_SOME] = {NULL};
    uint32_t refused = 0, n = 0;
    assert_true(mkstemp(path) >= 0);
    for (size_t i = 0; i < N_SOME; i++) {
        struct bed *bed = bed_new(some[i]);
        mn_adapted *adapted = adapt(bed, NULL);
        assert_int_equal(mn_adapted_write(adapted, path, 0, NULL, &err), MN_OK);
        assert_int_equal(mn_tensor_file_read(path, &files[i], &err), MN_OK);
        mn_adapted_destroy(&adapted);
        bed_destroy(bed);
    }
    for (size_t i = 0; i < N_SOME; i++)
        for (size_t j = 0; j < N_SOME; j++)
            for (size_t k = 0; k < N_KEYS; k++) {
                mn_text_pair pairs[N_KEYS + 1] = {{"adapted", "1"}};
                size_t n_pairs = 1;
                mn_tensor tensors[64];
                mn_adapted *again = NULL;
                for (size_t key = 0; key < N_KEYS; key++) {
                    const char *value = mn_tensor_file_metadata(files[key == k ? j : i], keys[key]);
                    if (value != NULL)
                        pairs[n_pairs++] = (mn_text_pair){keys[key], value};
                }
                const size_t n_tensors = mn_tensor_file_count(files[i]);
                assert_true(n_tensors <= 64);
                for (size_t t = 0; t < n_tensors; t++)
                    tensors[t] = *mn_tensor_file_at(files[i], t);
                assert_int_equal(
                    mn_tensor_file_write(path, n_tensors, tensors, n_pairs, pairs, &err), MN_OK);
                const mn_status status = mn_adapted_read(path, &again, &err);
                n++;
                refused += status != MN_OK;
                assert_true(i != j || status == MN_OK);
                mn_adapted_destroy(&again);
            }
    if (3 * refused <= n)
        fail_msg("%u of %u refused", refused, n);
    for (size_t i = 0; i < N_SOME; i++)
        mn_tensor_file_destroy(&files[i]);
    (void)unlink(path);
}

/* Fields are lines of a text: each line left out, each number of it changed. */
static void fields_of_no_task_are_refused(void **state)
{
    (void)state;
    const char *const some[] = {
        loops[12],
        "tasks: {kind: sequences, way: 2, length: 6, bundle: 4, image_size: 8}\n"
        "model: {input: identity, memory: lrua, slots: 10, slot_size: 6, reasoning: lstm, "
        "units: 12}\nmeta: {kind: episodic}\n"};
    char path[] = "/tmp/adapted_test_XXXXXX";
    assert_true(mkstemp(path) >= 0);
    for (size_t k = 0; k < 2; k++) {
        static const char *const keys[] = {"experiment",  "way",     "examples",
                                           "inner_steps", "classes", "fields"};
        mn_text_pair pairs[8] = {{"adapted", "1"}};
        mn_error err = {.message = ""};
        struct bed *bed = bed_new(some[k]);
        mn_adapted *adapted = NULL;
        mn_tensor_file *file = NULL;
        mn_tensor tensors[64];
        size_t n_pairs = 1;
        if (k == 0) {
            adapted = adapt(bed, NULL);
        } else {
            const float x[128] = {0};
            const uint32_t labels[2] = {0, 1};
            const mn_examples examples = {.n = 2, .x = x, .n_classes = 2, .labels = labels};
            assert_int_equal(mn_adapted_new(bed->model, &examples, 0, NULL, &adapted, &err), MN_OK);
        }
        assert_int_equal(mn_adapted_write(adapted, path, 0, NULL, &err), MN_OK);
        assert_int_equal(mn_tensor_file_read(path, &file, &err), MN_OK);
        mn_adapted_destroy(&adapted);
        for (size_t key = 0; key < sizeof keys / sizeof *keys; key++)
            if (mn_tensor_file_metadata(file, keys[key]) != NULL)
                pairs[n_pairs++] =
                    (mn_text_pair){keys[key], mn_tensor_file_metadata(file, keys[key])};
        const size_t n_tensors = mn_tensor_file_count(file);
        for (size_t t = 0; t < n_tensors; t++)
            tensors[t] = *mn_tensor_file_at(file, t);
        const char *whole = mn_tensor_file_metadata(file, "fields");
        char *text = strdup(whole);
        pairs[n_pairs - 1].value = text;
        for (size_t i = 0; i < strlen(whole); i++) {
            if (whole[i] < '0' || whole[i] > '9')
                continue;
            text[i] = whole[i] == '9' ? '3' : (char)(whole[i] + 1);
            assert_int_equal(mn_tensor_file_write(path, n_tensors, tensors, n_pairs, pairs, &err),
                             MN_OK);
            const mn_status status = mn_adapted_read(path, &adapted, &err);
            /* Only how many items a training task had may be another number, the same throughout. */
            if (status == MN_OK)
                fail_msg("taken: %s", text);
            text[i] = whole[i];
        }
        free(text);
        mn_tensor_file_destroy(&file);
        bed_destroy(bed);
    }
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_predicts_the_same_bits_and_needs_nothing_else),
        cmocka_unit_test(examples_are_written_only_where_they_are_looked_at),
        cmocka_unit_test(no_prefix_of_a_file_and_no_other_file_is_taken_for_an_adapted_one),
        cmocka_unit_test(metadata_that_do_not_belong_together_are_refused),
        cmocka_unit_test(fields_of_no_task_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
