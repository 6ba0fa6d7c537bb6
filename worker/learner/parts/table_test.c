/* The meta-memory network in its plainest parts, in double: linear input, the table read by id or by attention,
 * concat-linear reasoning, linear output; its gradients against central differences, and what an id reads. */
#include "worker/learner/parts/part_bed.h"

enum { N = 5, X = 3, IDS = 4, SLOT = 2, FEATURES = 3 };

static mn_experiment table(mn_meta_kind kind, mn_adapts adapts)
{
    return (mn_experiment){
        .meta = {.kind = kind, .adapts = adapts, .order = 2, .inner_steps = 2, .inner_lr = 0.5},
        .model = {.input = MN_INPUT_LINEAR,
                  .memory = MN_MEMORY_TABLE,
                  .reasoning = MN_REASONING_CONCAT_LINEAR,
                  .output = MN_OUTPUT_LINEAR,
                  .activation = MN_TANH,
                  .width = FEATURES,
                  .slots = IDS,
                  .slot_size = SLOT,
                  .units = 4}};
}

static mn_fields fields_of(bool ids)
{
    const uint32_t x[3] = {1, 1, X}, one[3] = {1, 1, 1};
    mn_fields fields;
    assert_int_equal(mn_fields_few_shot(&fields, N, N, x, MN_TARGET_VALUES, 1, NULL), MN_OK);
    for (mn_role role = MN_SUPPORT; ids && role <= MN_QUERY; role++)
        assert_int_equal(mn_fields_add(&fields, role, "id", MN_FIELD_IDS, N, one, NULL), MN_OK);
    fields.vocabulary = ids ? IDS : 0;
    return fields;
}

/* Item i has id i % (IDS - 1): the last is no item's. */
static struct bed *bed_of(const mn_experiment *experiment, bool ids)
{
    const mn_fields fields = fields_of(ids);
    struct bed *bed = bed_open(experiment, &fields, 1);
    for (uint32_t f = 0; f < fields.n; f++)
        for (size_t i = 0; i < mn_field_count(&fields.at[f]); i++)
            bed->block[fields.at[f].offset + i] =
                fields.at[f].type == MN_FIELD_IDS ? (mn_real)(i % (IDS - 1)) : (mn_real)draw();
    return bed;
}

static const mn_parameter *tensor(const struct bed *bed, const char *name)
{
    const uint32_t i = mn_parameters_find(&bed->network.parameters, name);
    return i == UINT32_MAX ? NULL : &bed->network.parameters.at[i];
}

static void gradients_agree_with_central_differences(void **state)
{
    const mn_experiment all[] = {table(MN_META_EPISODIC, MN_ADAPTS_ALL),
                                 table(MN_META_MAML, MN_ADAPTS_ALL),
                                 table(MN_META_MAML, MN_ADAPTS_MEMORY)};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (int ids = 0; ids < 2; ids++) {
            struct bed *bed = bed_of(&all[i], ids == 1);
            bed_check_gradient(bed);
            bed_close(bed);
        }
}

/* By hand: tanh([x W + b; slot id] R' + r) H' + h. */
static void an_id_reads_its_slot_and_there_is_no_question_to_ask(void **state)
{
    const mn_experiment e = table(MN_META_EPISODIC, MN_ADAPTS_ALL);
    struct bed *bed = bed_of(&e, true);
    (void)state;
    assert_null(tensor(bed, "memory.query"));
    (void)loss_of(bed, bed->gradient);
    const mn_real *in = bed->theta + tensor(bed, "input.weight")->offset;
    const mn_real *in_bias = bed->theta + tensor(bed, "input.bias")->offset;
    const mn_real *slots = bed->theta + tensor(bed, "memory.slots")->offset;
    const mn_real *reason = bed->theta + tensor(bed, "reason.weight")->offset;
    const mn_real *reason_bias = bed->theta + tensor(bed, "reason.bias")->offset;
    const mn_real *head = bed->theta + tensor(bed, "head.weight")->offset;
    const mn_real *head_bias = bed->theta + tensor(bed, "head.bias")->offset;
    const mn_real *x = bed->block + bed->fields.at[MN_QUERY_X].offset;
    for (size_t i = 0; i < N; i++) {
        double both[FEATURES + SLOT], y = head_bias[0];
        for (size_t c = 0; c < FEATURES; c++) {
            both[c] = in_bias[c];
            for (size_t k = 0; k < X; k++)
                both[c] += x[i * X + k] * in[k * FEATURES + c];
        }
        for (size_t c = 0; c < SLOT; c++)
            both[FEATURES + c] = slots[i % (IDS - 1) * SLOT + c];
        for (size_t u = 0; u < 4; u++) {
            double o = reason_bias[u];
            for (size_t c = 0; c < FEATURES + SLOT; c++)
                o += both[c] * reason[c * 4 + u];
            y += tanh(o) * head[u];
        }
        assert_true(fabs(bed->output[i] - y) < 1e-12);
    }
    bed_close(bed);
}

/* With meta.adapts memory the slots of the ids that are shown move, and nothing else. */
static void the_slots_that_are_read_adapt_alone(void **state)
{
    const mn_experiment e = table(MN_META_MAML, MN_ADAPTS_MEMORY);
    struct bed *bed = bed_of(&e, true);
    static mn_real adapted[MOST];
    const mn_parameter *slots = tensor(bed, "memory.slots");
    (void)state;
    mn_rule_begin(bed->rule, bed->scratch, bed->theta, &bed->data);
    (void)mn_rule_step(bed->rule, bed->scratch, bed->theta, &bed->data);
    mn_rule_adapted(bed->rule, bed->scratch, bed->theta, adapted);
    for (size_t i = 0; i < bed->network.parameters.size; i++) {
        const bool is_read = i - slots->offset < (size_t)(IDS - 1) * SLOT;
        assert_true((adapted[i] != bed->theta[i]) == is_read);
    }
    bed_close(bed);
}

static void fewer_slots_than_ids_are_refused(void **state)
{
    mn_experiment e = table(MN_META_EPISODIC, MN_ADAPTS_ALL);
    const mn_fields fields = fields_of(true);
    mn_network *network = calloc(1, sizeof *network);
    mn_error err = {.message = ""};
    (void)state;
    assert_non_null(network);
    e.model.slots = IDS - 1;
    assert_int_equal(mn_network_init(network, &e, &fields, &err), MN_ERR_CONFIG);
    assert_string_equal(
        err.message,
        "model.slots is 3, but these tasks have 4 ids (tasks.id_column, id 0 counted), and "
        "model.memory table has a slot for each: set model.slots to 4 or more");
    free(network);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_agree_with_central_differences),
        cmocka_unit_test(an_id_reads_its_slot_and_there_is_no_question_to_ask),
        cmocka_unit_test(the_slots_that_are_read_adapt_alone),
        cmocka_unit_test(fewer_slots_than_ids_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
