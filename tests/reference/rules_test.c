/* rules_test.c: rules of meta-learning against PyTorch in float64 (rules.json, which make_rules.py
 * writes). Built twice, as reference_test.c. */
#include "tests/reference/learner_bed.h"

#define META_STEP 4 /* of the 10 of step losses */
#define MLP .hidden = {.n = 2, .at = {4, 5}}, .activation = MN_TANH
#define LOOP(rate) .kind = MN_META_MAML, .order = 2, .inner_lr = (rate)

static const struct learner learners[] = {
    {"boil", {.model = {MLP}, .meta = {LOOP(0.1), .adapts = MN_ADAPTS_BODY}}},
    {"cavia",
     {.model = {.input = MN_INPUT_IDENTITY,
                .memory = MN_MEMORY_CONTEXT,
                .context = 3,
                .reasoning = MN_REASONING_CONCAT_MLP,
                .decoder = {.n = 2, .at = {4, 5}},
                .activation = MN_TANH},
      .meta = {LOOP(1), .adapts = MN_ADAPTS_MEMORY}}},
    {"imaml",
     {.model = {MLP},
      .meta = {.kind = MN_META_IMAML, .inner_lr = 0.1, .lambda = 2, .cg_steps = 4}}},
    {"imaml_closed",
     {.model = {.input = MN_INPUT_IDENTITY},
      .meta = {.kind = MN_META_IMAML, .inner_lr = 1.0 / 22, .lambda = 20, .cg_steps = 3}}},
    {"step_losses", {.model = {MLP}, .meta = {LOOP(0.1), .step_losses = 10}}},
    {"step_rates", {.model = {MLP}, .meta = {LOOP(0.1), .update = MN_UPDATE_STEP_RATES}}},
    {"mamlpp",
     {.model = {.input = MN_INPUT_CONV4,
                .filters = 3,
                .blocks = 2,
                .batch_norm = true,
                .batch_norm_eps = 1e-5,
                .batch_norm_by_step = true},
      .meta = {LOOP(0.1), .update = MN_UPDATE_STEP_RATES, .step_losses = 10}}},
    {"curvature", {.model = {MLP}, .meta = {LOOP(0.1), .update = MN_UPDATE_CURVATURE}}},
    {"curvature_images",
     {.model = {.input = MN_INPUT_CONV4,
                .filters = 3,
                .blocks = 2,
                .batch_norm = true,
                .batch_norm_eps = 1e-5},
      .meta = {LOOP(0.1), .update = MN_UPDATE_CURVATURE}}},
    {"imaml_body",
     {.model = {MLP},
      .meta = {.kind = MN_META_IMAML,
               .inner_lr = 0.1,
               .lambda = 2,
               .cg_steps = 4,
               .adapts = MN_ADAPTS_BODY}}},
};

static void rules_agree_with_pytorch(void **state)
{
    (void)state;
    check_learners("rules.json", META_STEP, sizeof learners / sizeof *learners, learners);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules_agree_with_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
