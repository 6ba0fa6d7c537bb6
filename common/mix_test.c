#include "common/mix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static mn_experiment with(const char *mix)
{
    static const char yaml[] = "tasks: {kind: glyphs, way: 3}\nmodel: {input: mlp}\n";
    mn_experiment experiment;
    mn_error err;
    mn_experiment_init(&experiment);
    assert_int_equal(mn_experiment_parse(&experiment, "x.yaml", yaml, strlen(yaml), &err), MN_OK);
    (void)snprintf(experiment.tasks.mix, sizeof experiment.tasks.mix, "%s", mix);
    return experiment;
}

static void a_part_is_the_experiment_with_other_keys(void **state)
{
    mn_experiment experiment = with("3 a: ; 1 b: kind=sinusoid curve=step  shot=7 ; 2 c:way=4");
    mn_mix_part part;
    mn_error err;
    (void)state;
    experiment.tasks.mix_by = MN_MIX_BY_SIZE;
    assert_int_equal(mn_mix_parts(&experiment), 3);
    assert_int_equal(mn_mix_read(&experiment, 1, &part, &err), MN_OK);
    assert_string_equal(part.name, "b");
    assert_int_equal(part.weight, 1);
    assert_int_equal(part.experiment.tasks.kind, MN_TASKS_SINUSOID);
    assert_int_equal(part.experiment.tasks.curve, MN_CURVE_STEP);
    assert_int_equal(part.experiment.tasks.shot, 7);
    assert_int_equal(part.experiment.tasks.way, 3);
    assert_int_equal(mn_mix_parts(&part.experiment), 0);
    assert_int_equal(part.experiment.tasks.mix_by, MN_MIX_BY_WEIGHT);
    assert_int_equal(mn_mix_read(&experiment, 2, &part, &err), MN_OK);
    assert_int_equal(part.experiment.tasks.way, 4);
    assert_int_equal(mn_mix_parts(&(mn_experiment){0}), 0);
}

/* --set tasks.image_size of glyphs is no fault of the part that has no images; the part's own keys
 * that its kind does not read are. */
static void a_part_need_not_read_what_overrides_the_experiments_file(void **state)
{
    mn_experiment experiment = with("3 a: ; 1 b: kind=sinusoid");
    mn_mix_part part;
    mn_error err;
    (void)state;
    assert_int_equal(mn_experiment_set(&experiment, "tasks.image_size=20", &err), MN_OK);
    assert_int_equal(mn_mix_read(&experiment, 1, &part, &err), MN_OK);
    experiment = with("3 a: ; 1 b: kind=sinusoid image_size=20");
    assert_int_equal(mn_mix_read(&experiment, 1, &part, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "tasks.mix, part b: "));
    assert_non_null(strstr(err.message, "tasks.image_size"));
}

static void how_parts_are_drawn_is_asked_of_mixtures_alone(void **state)
{
    mn_experiment experiment = with("");
    mn_error err;
    (void)state;
    assert_int_equal(mn_experiment_set(&experiment, "tasks.mix_by=size", &err), MN_OK);
    assert_int_equal(mn_experiment_check(&experiment, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "tasks.mix is empty"));
    experiment = with("1 a:; 1 b: way=4");
    assert_int_equal(mn_experiment_set(&experiment, "tasks.mix_renewal=0.5", &err), MN_OK);
    assert_int_equal(mn_experiment_check(&experiment, &err), MN_ERR_CONFIG);
    assert_non_null(strstr(err.message, "tasks.mix_by=difficulty"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_is_the_experiment_with_other_keys),
        cmocka_unit_test(a_part_need_not_read_what_overrides_the_experiments_file),
        cmocka_unit_test(how_parts_are_drawn_is_asked_of_mixtures_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
