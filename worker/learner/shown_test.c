#include "worker/learner/learner.h"
#include "worker/tasks/task_set.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct bed {
    mn_experiment experiment;
    mn_task_set *set;
    mn_learner *learner;
    mn_task *task;
    mn_shown *shown;
    float *theta;
};

static void open_bed(struct bed *bed, const char *yaml)
{
    mn_error err = {.message = ""};
    memset(bed, 0, sizeof *bed);
    mn_experiment_init(&bed->experiment);
    if (mn_experiment_parse(&bed->experiment, "test", yaml, strlen(yaml), &err) != MN_OK)
        fail_msg("%s", err.message);
    assert_int_equal(mn_task_set_open(&bed->experiment, NULL, &bed->set, &err), MN_OK);
    const mn_fields *fields = mn_task_set_fields(bed->set, MN_TEST);
    assert_int_equal(mn_learner_new(&bed->experiment, mn_task_set_fields(bed->set, MN_TRAIN),
                                    fields, &bed->learner, &err),
                     MN_OK);
    assert_int_equal(mn_task_new(fields, &bed->task, &err), MN_OK);
    assert_int_equal(mn_learner_show(bed->learner, fields, &bed->shown, &err), MN_OK);
    bed->theta = calloc(mn_learner_size(bed->learner), sizeof *bed->theta);
    assert_non_null(bed->theta);
    mn_learner_init_theta(bed->learner, 3, bed->theta);
    mn_task_set_draw(bed->set, MN_TEST, 1, bed->task);
}

static void close_bed(struct bed *bed)
{
    mn_shown_destroy(&bed->shown);
    mn_task_destroy(&bed->task);
    mn_learner_destroy(&bed->learner);
    mn_task_set_destroy(&bed->set);
    free(bed->theta);
}

static const mn_shown_array *find(const mn_shown *shown, const char *name, uint32_t hop)
{
    for (size_t i = 0; i < mn_shown_count(shown); i++)
        if (strcmp(mn_shown_arrays(shown)[i].name, name) == 0 &&
            mn_shown_arrays(shown)[i].hop == hop)
            return &mn_shown_arrays(shown)[i];
    fail_msg("%s of hop %u is not shown", name, hop);
    return NULL;
}

static const char stories[] = "tasks: {kind: generated-stories, bundle: 3, sentences: 5}\n"
                              "model: {embedding: 8, hops: 2}\n";

static void each_hop_shows_what_it_asks_attends_to_and_reads(void **state)
{
    (void)state;
    struct bed bed;
    open_bed(&bed, stories);
    mn_shown_look(bed.shown, bed.theta, bed.task->block);
    assert_int_equal(mn_shown_count(bed.shown), 2 * 3);
    for (uint32_t hop = 1; hop <= 2; hop++) {
        const mn_shown_array *p = find(bed.shown, "attention", hop);
        assert_int_equal(p->n, 3 * 5);
        for (uint32_t item = 0; item < 3; item++) {
            double sum = 0;
            for (uint32_t slot = 0; slot < 5; slot++)
                sum += (double)p->numbers[item * 5 + slot];
            assert_true(fabs(sum - 1) < 1e-6);
        }
    }
    const mn_shown_array *first = find(bed.shown, "question", 1);
    const mn_shown_array *second = find(bed.shown, "question", 2);
    const mn_shown_array *read = find(bed.shown, "read", 1);
    assert_int_equal(first->n, 3 * 8);
    double moved = 0;
    for (size_t i = 0; i < first->n; i++) {
        assert_true(fabs((double)(first->numbers[i] + read->numbers[i] - second->numbers[i])) <
                    1e-6);
        moved += fabs((double)read->numbers[i]);
    }
    assert_true(moved > 0);
    close_bed(&bed);
}

static void the_numbers_are_those_of_the_theta_and_task_given(void **state)
{
    (void)state;
    struct bed bed;
    float kept[15];
    open_bed(&bed, stories);
    const mn_shown_array *p = find(bed.shown, "attention", 1);
    mn_shown_look(bed.shown, bed.theta, bed.task->block);
    memcpy(kept, p->numbers, sizeof kept);
    mn_task_set_draw(bed.set, MN_TEST, 2, bed.task);
    mn_shown_look(bed.shown, bed.theta, bed.task->block);
    assert_memory_not_equal(kept, p->numbers, sizeof kept);
    mn_task_set_draw(bed.set, MN_TEST, 1, bed.task);
    mn_shown_look(bed.shown, bed.theta, bed.task->block);
    assert_memory_equal(kept, p->numbers, sizeof kept);

    for (size_t i = 0; i < mn_learner_size(bed.learner); i++)
        bed.theta[i] *= 2;
    mn_shown_look(bed.shown, bed.theta, bed.task->block);
    assert_memory_not_equal(kept, p->numbers, sizeof kept);
    close_bed(&bed);
}

static void a_network_that_shows_nothing_has_no_arrays(void **state)
{
    (void)state;
    struct bed bed;
    open_bed(&bed, "tasks: {kind: sinusoid}\n");
    assert_int_equal(mn_shown_count(bed.shown), 0);
    mn_shown_look(bed.shown, bed.theta, bed.task->block);
    close_bed(&bed);
}

static void fields_of_other_tasks_are_refused(void **state)
{
    (void)state;
    struct bed bed, other;
    mn_shown *shown = NULL;
    mn_error err = {.message = ""};
    open_bed(&bed, stories);
    open_bed(&other, "tasks: {kind: generated-stories, sentences: 9}\n"
                     "model: {embedding: 8, hops: 2}\n");
    assert_int_equal(
        mn_learner_show(bed.learner, mn_task_set_fields(other.set, MN_TEST), &shown, &err),
        MN_ERR_CONFIG);
    assert_null(shown);
    assert_non_null(strstr(err.message, "temporal0.weight would be of another shape"));
    close_bed(&bed);
    close_bed(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_hop_shows_what_it_asks_attends_to_and_reads),
        cmocka_unit_test(the_numbers_are_those_of_the_theta_and_task_given),
        cmocka_unit_test(a_network_that_shows_nothing_has_no_arrays),
        cmocka_unit_test(fields_of_other_tasks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
