/* story_network_bed.h: for tests: a small network that answers questions about stories, in double:
 * its loss, its gradient, and the gradient by central differences. */
#pragma once

#include "worker/engine/plan.h"
#include "worker/learner/network.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STORIES = 3, LENGTH = 3, QUESTION = 2, WORDS = 7, MOST = 2048, MOST_TENSORS = 32 };
enum { CANDIDATES = 5, TYPES = 2 }; /* with model.output candidates */

struct network_bed {
    mn_experiment experiment;
    mn_fields fields;
    mn_network network;
    mn_builder builder;
    mn_plan *plan;
    void *scratch;
    double block[MOST], theta[MOST], gradient[MOST];
    uint64_t seed;
};

static inline double network_draw(struct network_bed *bed) /* xorshift; -1 .. 1 */
{
    bed->seed ^= bed->seed << 13;
    bed->seed ^= bed->seed >> 7;
    bed->seed ^= bed->seed << 17;
    return (double)(bed->seed >> 11) / 4503599627370496.0 - 1.0;
}

static inline double network_word(struct network_bed *bed)
{
    return 1 + floor((network_draw(bed) + 1) / 2 * (WORDS - 1));
}

static inline mn_experiment network_experiment(mn_memory_kind memory, mn_reasoning_kind reasoning)
{
    mn_experiment experiment;
    mn_experiment_init(&experiment);
    experiment.model.input = MN_INPUT_SENTENCES;
    experiment.model.memory = memory;
    experiment.model.reasoning = reasoning;
    experiment.model.output = MN_OUTPUT_WORDS;
    experiment.model.encoding = MN_ENCODING_MASK;
    experiment.model.embedding = 4;
    experiment.model.slots = 3;
    experiment.model.hops = 2;
    return experiment;
}

static inline void network_field(mn_fields *fields, const char *name, mn_field_type type,
                                 uint32_t height, uint32_t channels)
{
    const uint32_t item[3] = {height, 1, channels};
    assert_int_equal(mn_fields_add(fields, MN_QUERY, name, type, STORIES, item, NULL), MN_OK);
}

static inline void network_candidates(mn_fields *fields)
{
    const uint32_t item[3] = {1, 1, LENGTH};
    fields->vocabulary = WORDS;
    network_field(fields, "match", MN_FIELD_MASK, TYPES, CANDIDATES);
    assert_int_equal(
        mn_fields_add(fields, MN_SHARED, "candidates", MN_FIELD_IDS, CANDIDATES, item, NULL),
        MN_OK);
}

static inline void network_fields(mn_fields *fields, uint32_t sentences, bool candidates)
{
    mn_fields_init(fields, MN_TARGET_CLASSES, candidates ? CANDIDATES : WORDS);
    fields->bundle = STORIES;
    if (sentences > 0) {
        network_field(fields, "story", MN_FIELD_IDS, sentences, LENGTH);
        network_field(fields, "age", MN_FIELD_IDS, sentences, 1);
        network_field(fields, "mask", MN_FIELD_MASK, 1, sentences);
    }
    network_field(fields, "question", MN_FIELD_IDS, 1, QUESTION);
    network_field(fields, "y", MN_FIELD_NUMBERS, 1, fields->y_size);
    if (candidates)
        network_candidates(fields);
}

static inline double *network_at(struct network_bed *bed, const char *name, uint32_t item)
{
    const mn_field *field = mn_fields_find(&bed->fields, MN_QUERY, name);
    assert_non_null(field);
    return bed->block + field->offset + item * mn_field_item(field);
}

/* Story i has i sentences less than there are slots; every second sentence is a word shorter. */
static inline void network_fill(struct network_bed *bed, uint32_t sentences)
{
    for (uint32_t i = 0; i < STORIES; i++) {
        for (uint32_t t = 0; t + i < sentences; t++) {
            for (uint32_t k = 0; k + t % 2 < LENGTH; k++)
                network_at(bed, "story", i)[t * LENGTH + k] = network_word(bed);
            network_at(bed, "age", i)[t] = sentences - i - t;
            network_at(bed, "mask", i)[t] = 1;
        }
        for (uint32_t k = 0; k < QUESTION; k++)
            network_at(bed, "question", i)[k] = network_word(bed);
        network_at(bed, "y", i)[(uint32_t)network_word(bed) % bed->fields.y_size] = 1;
    }
}

/* The last candidate has a word less, and one that has no vector. */
static inline void network_fill_candidates(struct network_bed *bed)
{
    double *words = bed->block + mn_fields_find(&bed->fields, MN_SHARED, "candidates")->offset;
    for (uint32_t i = 0; i < CANDIDATES * LENGTH; i++)
        words[i] = network_word(bed);
    words[CANDIDATES * LENGTH - 1] = 0;
    words[CANDIDATES * LENGTH - 2] = WORDS;
    for (uint32_t i = 0; i < STORIES; i++)
        for (uint32_t k = 0; k < TYPES * CANDIDATES; k++)
            network_at(bed, "match", i)[k] = network_draw(bed) > 0;
}

static inline struct network_bed *network_open(const mn_experiment *experiment, uint32_t sentences)
{
    struct network_bed *bed = calloc(1, sizeof *bed);
    mn_plan_output outputs[MOST_TENSORS];
    mn_node gradients[MOST_TENSORS];
    mn_graph graph;
    mn_error err = {0};
    assert_non_null(bed);
    bed->seed = 88172645463325252u;
    bed->experiment = *experiment;
    const bool candidates = experiment->model.output == MN_OUTPUT_CANDIDATES;
    network_fields(&bed->fields, sentences, candidates);
    if (mn_network_init(&bed->network, &bed->experiment, &bed->fields, &err) != MN_OK)
        fail_msg("%s", err.message);
    const mn_parameters *list = &bed->network.parameters;
    assert_true(list->size <= MOST && bed->fields.size <= MOST && list->n <= MOST_TENSORS);
    network_fill(bed, sentences);
    if (candidates)
        network_fill_candidates(bed);
    for (size_t i = 0; i < list->size; i++)
        bed->theta[i] = 0.7 * network_draw(bed);

    mn_network_begin(&bed->network, &bed->fields, &graph, &bed->builder);
    bed->builder.err = &err;
    for (uint32_t i = 0; i < list->n; i++)
        bed->builder.tensors[i] =
            mn_graph_input(&graph, MN_SLOT_THETA, list->at[i].offset, list->at[i].inside);
    mn_network_answer(&bed->network, &bed->builder, MN_QUERY);
    const mn_node loss = mn_network_loss(&bed->network, &bed->builder, MN_QUERY);
    assert_int_equal(bed->builder.status, MN_OK);
    mn_graph_gradient(&graph, loss, list->n, bed->builder.tensors, gradients);
    for (uint32_t i = 0; i < list->n; i++)
        outputs[i] = (mn_plan_output){.node = gradients[i],
                                      .slot = MN_SLOT_GRADIENT,
                                      .offset = list->at[i].offset,
                                      .count = list->at[i].count};
    assert_int_equal(
        mn_plan_new(&graph, loss, list->n, outputs, mn_kernels_choose(), &bed->plan, &err), MN_OK);
    mn_graph_fini(&graph);
    const size_t bytes = mn_plan_scratch_bytes(bed->plan) + mn_plan_kept_bytes(bed->plan);
    bed->scratch = aligned_alloc(64, bytes);
    assert_non_null(bed->scratch);
    memset(bed->scratch, 0xff, mn_plan_scratch_bytes(bed->plan)); /* NaNs: none may be read */
    return bed;
}

static inline void network_close(struct network_bed *bed)
{
    free(bed->scratch);
    mn_plan_destroy(&bed->plan);
    free(bed);
}

/* gradient is written too. */
static inline double network_loss(struct network_bed *bed)
{
    const mn_bindings bindings = {.in = {[MN_SLOT_THETA] = bed->theta, [MN_SLOT_TASK] = bed->block},
                                  .out = {[MN_SLOT_GRADIENT] = bed->gradient}};
    mn_plan_run(bed->plan, 0, bed->scratch, &bindings);
    return mn_plan_loss(bed->plan, bed->scratch);
}

static inline void network_check_gradient(const mn_experiment *experiment, uint32_t sentences)
{
    struct network_bed *bed = network_open(experiment, sentences);
    const mn_parameters *list = &bed->network.parameters;
    static double ours[MOST];
    (void)network_loss(bed);
    memcpy(ours, bed->gradient, sizeof ours);
    for (uint32_t tensor = 0; tensor < list->n; tensor++)
        for (size_t i = 0; i < list->at[tensor].count; i++) {
            double *number = &bed->theta[list->at[tensor].offset + i];
            const double here = *number, step = 1e-5;
            *number = here + step;
            const double above = network_loss(bed);
            *number = here - step;
            const double below = network_loss(bed), theirs = (above - below) / (2 * step);
            *number = here;
            if (!(fabs(ours[list->at[tensor].offset + i] - theirs) <= 1e-8 + 1e-5 * fabs(theirs)))
                fail_msg("%s, number %zu: %.12g, by differences %.12g",
                         list->at[tensor].tensor.name, i, ours[list->at[tensor].offset + i],
                         theirs);
        }
    network_close(bed);
}

/* With another first word in all stories, or in all questions, is the loss another? */
static inline bool network_depends_on(const mn_experiment *experiment, const char *field)
{
    struct network_bed *bed = network_open(experiment, 4);
    const double before = network_loss(bed);
    for (uint32_t i = 0; i < STORIES; i++) {
        double *word = network_at(bed, field, i);
        *word = *word == 1 ? 2 : *word - 1;
    }
    const double after = network_loss(bed);
    network_close(bed);
    return fabs(after - before) > 1e-6;
}

/* What alone may be looked at is looked at, and nothing else. */
static inline void network_check_controls(mn_experiment experiment)
{
    for (mn_control control = MN_CONTROL_NONE; control <= MN_CONTROL_STORY; control++) {
        experiment.model.control = control;
        assert_int_equal(network_depends_on(&experiment, "story"), control != MN_CONTROL_QUESTION);
        assert_int_equal(network_depends_on(&experiment, "question"), control != MN_CONTROL_STORY);
        network_check_gradient(&experiment, 3);
    }
}
