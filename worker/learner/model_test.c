/* model_test.c: models from checkpoints alone. */
#include "worker/learner/adapted_bed.h"

static void a_checkpoint_is_read_without_data(void **state)
{
    (void)state;
    const char *const runs[] = {
        loops[0], loops[5], loops[7], loops[10], episodes[0], episodes[4],
    };
    char path[] = "/tmp/adapted_test_XXXXXX";
    mn_error err = {.message = ""};
    assert_true(mkstemp(path) >= 0);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        struct bed *bed = bed_new(runs[i]);
        mn_model *model = NULL;
        float *ours = calloc(bed->n_theta, sizeof *ours);
        write_run(bed, path, "", 1);
        if (mn_model_read(path, 0, NULL, &model, &err) != MN_OK)
            fail_msg("%s: %s", runs[i], err.message);
        assert_int_equal(mn_model_step(model), 12);
        mn_model *before = bed->model;
        bed->model = model;
        mn_adapted *adapted = adapt(bed, NULL);
        mn_adapted_theta(adapted, ours);
        mn_adapted_destroy(&adapted);
        bed->model = before;
        adapted = adapt(bed, NULL);
        mn_adapted_theta(adapted, bed->outside);
        assert_memory_equal(ours, bed->outside, bed->n_theta * sizeof *ours);
        mn_adapted_destroy(&adapted);
        mn_model_destroy(&model);
        free(ours);
        bed_destroy(bed);
    }
    (void)unlink(path);
}

static void pictures_of_a_packed_file_are_found_to_be_grey_or_coloured(void **state)
{
    (void)state;
    struct bed *bed = bed_new(loops[0]);
    char path[] = "/tmp/adapted_test_XXXXXX";
    mn_error err = {.message = ""};
    assert_true(mkstemp(path) >= 0);
    for (uint32_t channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
        const uint32_t x[3] = {12, 12, channels};
        uint32_t item[3] = {0};
        mn_fields fields;
        mn_model *model = NULL;
        mn_experiment experiment = bed->experiment;
        experiment.tasks.kind = MN_TASKS_IMAGES;
        (void)strcpy(experiment.tasks.data, "elsewhere.mnd");
        assert_int_equal(mn_fields_few_shot(&fields, 6, 9, x, MN_TARGET_CLASSES, 3, &err), MN_OK);
        struct bed other = {.experiment = experiment};
        assert_int_equal(mn_learner_new(&experiment, &fields, &fields, &other.learner, &err),
                         MN_OK);
        other.n_theta = mn_learner_size(other.learner);
        other.outside = calloc(other.n_theta, sizeof(float));
        write_run(&other, path, "", 1);
        const mn_status status = mn_model_read(path, 0, NULL, &model, &err);
        assert_int_equal(status, channels < 4 ? MN_OK : MN_ERR_DATA);
        if (status == MN_OK) {
            mn_model_item(model, item);
            assert_int_equal(item[0], 12);
            assert_int_equal(item[2], channels);
        }
        mn_model_destroy(&model);
        mn_learner_destroy(&other.learner);
        free(other.outside);
    }
    (void)unlink(path);
    bed_destroy(bed);
}

static void overrides_change_the_loop_but_not_the_network(void **state)
{
    (void)state;
    struct bed *bed = bed_new(loops[0]);
    char path[] = "/tmp/adapted_test_XXXXXX";
    mn_error err = {.message = ""};
    mn_model *model = NULL;
    assert_true(mkstemp(path) >= 0);
    write_run(bed, path, "", 1);
    const char *const good[] = {"meta.inner_steps=9"}, *const bad[] = {"model.filters=7"};
    assert_int_equal(mn_model_read(path, 1, good, &model, &err), MN_OK);
    assert_int_equal(mn_model_steps(model), 9);
    mn_model_destroy(&model);
    assert_int_equal(mn_model_read(path, 1, bad, &model, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "model.filters was 6 in training"));
    (void)unlink(path);
    bed_destroy(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_checkpoint_is_read_without_data),
        cmocka_unit_test(pictures_of_a_packed_file_are_found_to_be_grey_or_coloured),
        cmocka_unit_test(overrides_change_the_loop_but_not_the_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
