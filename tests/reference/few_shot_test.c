/* few_shot_test.c: few-shot learners against PyTorch in float64 (few_shot.json, which
 * make_few_shot.py writes): support losses on the way, query loss, answers and all of the
 * meta-gradient. Built twice, as reference_test.c. */
#include "tests/reference/learner_bed.h"

#define CONV                                                                                       \
    .input = MN_INPUT_CONV4, .filters = 3, .blocks = 2, .batch_norm = true, .batch_norm_eps = 1e-5
#define LOOP(rate) .kind = MN_META_MAML, .order = 2, .inner_lr = (rate)

static const struct learner learners[] = {
    {"support",
     {.model = {CONV, .batch_norm_statistics = MN_STATISTICS_SUPPORT}, .meta = {LOOP(0.2)}}},
    {"item", {.model = {CONV, .batch_norm_statistics = MN_STATISTICS_ITEM}, .meta = {LOOP(0.2)}}},
    {"support_prototypes",
     {.model = {CONV, .batch_norm_statistics = MN_STATISTICS_SUPPORT,
                .memory = MN_MEMORY_CLASS_MEANS, .output = MN_OUTPUT_DISTANCE},
      .meta = {.kind = MN_META_EPISODIC}}},
    {"proto_maml", {.model = {CONV}, .meta = {LOOP(0.2), .head_start = MN_HEAD_PROTOTYPES}}},
    {"proto_anil",
     {.model = {CONV},
      .meta =
          {.kind = MN_META_ANIL, .order = 2, .inner_lr = 0.2, .head_start = MN_HEAD_PROTOTYPES}}},
    {"update",
     {.model = {.hidden = {.n = 2, .at = {4, 5}}, .activation = MN_TANH},
      .meta = {LOOP(0.1), .update = MN_UPDATE_LEARNED}}},
    {"update_net",
     {.model = {.hidden = {.n = 2, .at = {4, 5}}, .activation = MN_TANH},
      .meta = {LOOP(0.1), .update = MN_UPDATE_LEARNED, .update_units = 3}}},
    {"full_context",
     {.model = {.hidden = {.n = 2, .at = {5, 4}},
                .activation = MN_TANH,
                .memory = MN_MEMORY_SUPPORT,
                .output = MN_OUTPUT_MATCH,
                .full_context = true,
                .context_steps = 3},
      .meta = {.kind = MN_META_EPISODIC}}},
};

static void learners_agree_with_pytorch(void **state)
{
    (void)state;
    check_learners("few_shot.json", 0, sizeof learners / sizeof *learners, learners);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(learners_agree_with_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
