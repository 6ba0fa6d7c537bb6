/* mann_test.c: a memory-augmented network with least-recently-used access against PyTorch in
 * float64: what every step leaves behind, the logits, the loss and all gradients. Built twice, as
 * reference_test.c: in double all numbers agree to 1e-9 of their tensor's largest entry, in float32
 * to 2e-4. */
#include "tests/reference/numbers.h"
#include "worker/learner/network.h"

#include <string.h>

#define MAX_STEPS 16
#define MAX_NUMBERS 65536

static uint32_t size_of(json_t *root, const char *name)
{
    return (uint32_t)json_integer_value(get(get(root, "sizes"), name));
}

/* The file's names and ours; both have matrices as [in, out] inside. */
static const struct {
    const char *theirs, *ours;
} tensors[] = {
    {"Wx", "lstm.weight_ih"},    {"Wh", "lstm.weight_hh"},     {"b", "lstm.bias_ih"},
    {"Wk", "memory.key.weight"}, {"Wa", "memory.gate.weight"}, {"bk", "memory.key.bias"},
    {"ba", "memory.gate.bias"},  {"Wo", "head.weight"},        {"bo", "head.bias"},
};
#define N_TENSORS (sizeof tensors / sizeof *tensors)

/* What is looked at, with where it begins in MN_SLOT_OUTPUT. */
struct looks {
    uint32_t n;
    mn_plan_output outputs[16 * MAX_STEPS];
    size_t size;
};

static size_t look(struct looks *looks, const mn_graph *graph, mn_node node)
{
    const size_t at = looks->size, count = mn_extent_count(mn_graph_extent(graph, node));
    looks->outputs[looks->n++] =
        (mn_plan_output){.node = node, .slot = MN_SLOT_OUTPUT, .offset = at, .count = count};
    looks->size += count;
    assert_true(looks->size <= MAX_NUMBERS);
    return at;
}

/* Steps of the unrolled network, by their operation. */
static uint32_t find_steps(const mn_graph *graph, mn_op op, mn_node *steps)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].op == op) {
            assert_true(n < MAX_STEPS);
            steps[n++] = (mn_node)i;
        }
    return n;
}

struct bed {
    json_t *root;
    mn_experiment experiment;
    mn_fields fields;
    mn_network network;
    mn_lrua shape;
    uint32_t steps, inputs, classes, units;
};

static void open_bed(struct bed *bed, json_t *root)
{
    mn_error err;
    bed->root = root;
    bed->steps = size_of(root, "T");
    bed->inputs = size_of(root, "I");
    bed->classes = size_of(root, "N");
    bed->units = size_of(root, "H");
    bed->shape = (mn_lrua){.n = size_of(root, "B"),
                           .heads = size_of(root, "R"),
                           .slots = size_of(root, "S"),
                           .width = size_of(root, "D"),
                           .decay = json_number_value(get(root, "gamma"))};
    bed->experiment.model.input = MN_INPUT_IDENTITY;
    bed->experiment.model.memory = MN_MEMORY_LRUA;
    bed->experiment.model.reasoning = MN_REASONING_LSTM;
    bed->experiment.model.units = bed->units;
    bed->experiment.model.slots = bed->shape.slots;
    bed->experiment.model.slot_size = bed->shape.width;
    bed->experiment.model.read_heads = bed->shape.heads;
    bed->experiment.model.usage_decay = bed->shape.decay;

    const uint32_t rows = bed->steps * bed->shape.n;
    mn_fields_init(&bed->fields, MN_TARGET_CLASSES, bed->classes);
    bed->fields.bundle = bed->shape.n;
    add_query_field(&bed->fields, "x", MN_FIELD_NUMBERS, rows, 1, bed->inputs - bed->classes);
    add_query_field(&bed->fields, "label_before", MN_FIELD_NUMBERS, rows, 1, bed->classes);
    add_query_field(&bed->fields, "y", MN_FIELD_NUMBERS, rows, 1, bed->classes);
    assert_int_equal(mn_network_init(&bed->network, &bed->experiment, &bed->fields, &err), MN_OK);
    assert_int_equal(bed->network.parameters.n, N_TENSORS);
}

static void fill_task(const struct bed *bed, mn_real *block)
{
    json_t *x = get(bed->root, "X"), *y = get(bed->root, "Y");
    const uint32_t pixels = bed->inputs - bed->classes;
    for (uint32_t row = 0; row < bed->steps * bed->shape.n; row++) {
        for (uint32_t i = 0; i < bed->inputs; i++) {
            const mn_real value = (mn_real)number(x, row * bed->inputs + i);
            if (i < pixels)
                query_field(&bed->fields, block, "x", row)[i] = value;
            else
                query_field(&bed->fields, block, "label_before", row)[i - pixels] = value;
        }
        query_field(&bed->fields, block, "y", row)[(size_t)number(y, row)] = 1;
    }
}

/* [n, slots, width] of the file to [n, width, slots] of the engine, or back. */
static void turn(const mn_lrua *shape, const mn_real *a, bool inwards, mn_real *b)
{
    for (size_t i = 0; i < shape->n; i++)
        for (size_t s = 0; s < shape->slots; s++)
            for (size_t d = 0; d < shape->width; d++) {
                const size_t theirs = (i * shape->slots + s) * shape->width + d;
                const size_t ours = (i * shape->width + d) * shape->slots + s;
                b[inwards ? ours : theirs] = a[inwards ? theirs : ours];
            }
}

static void check_step(const struct bed *bed, uint32_t t, const mn_real *lstm, const mn_real *state,
                       const mn_real *logits)
{
    json_t *step = json_array_get(get(bed->root, "steps"), t);
    const mn_lrua *shape = &bed->shape;
    const size_t cells = (size_t)shape->n * bed->units, keys = shape->heads * shape->width;
    mn_real numbers[1024];
    print_message("  step %u\n", t + 1);
    expect_near("h", cells, lstm, get(step, "h"));
    expect_near("c", cells, lstm + cells, get(step, "c"));
    for (mn_lrua_part part = 0; part < MN_LRUA_N_PARTS; part++) {
        const size_t count = mn_extent_count(mn_graph_lrua_extent(shape, part));
        assert_true(count <= 1024);
        switch (part) {
        case MN_LRUA_MEMORY:
            turn(shape, state, false, numbers);
            expect_near("M", count, numbers, get(step, "M"));
            break;
        case MN_LRUA_READ_WEIGHTS:
            expect_near("wr", count, state, get(step, "wr"));
            break;
        case MN_LRUA_USAGE:
            expect_near("wu", count, state, get(step, "wu"));
            break;
        case MN_LRUA_READ:
            expect_near("r", count, state, get(step, "r"));
            break;
        case MN_LRUA_WRITE_WEIGHTS:
            expect_near("ww", count, state, get(step, "ww"));
            break;
        case MN_LRUA_KEYS: /* keys and gates of a sequence stand together */
            for (size_t i = 0; i < shape->n; i++)
                memcpy(numbers + i * keys, state + i * (keys + shape->heads),
                       keys * sizeof *numbers);
            expect_near("k", shape->n * keys, numbers, get(step, "k"));
            for (size_t i = 0; i < shape->n; i++)
                memcpy(numbers + i * shape->heads, state + i * (keys + shape->heads) + keys,
                       shape->heads * sizeof *numbers);
            expect_near("a", (size_t)shape->n * shape->heads, numbers, get(step, "a"));
            break;
        case MN_LRUA_LEAST:
            expect_near("lu", count, state, get(step, "lu"));
            break;
        case MN_LRUA_N_PARTS:
            break;
        }
        state += count;
    }
    expect_near("logits", (size_t)shape->n * bed->classes,
                logits + (size_t)t * shape->n * bed->classes, get(step, "logits"));
}

/* The slots, as what was read before them, and their usage at the beginning, at these places of
 * MN_SLOT_X. */
static mn_node begin_memory(const struct bed *bed, mn_graph *graph, mn_real *x)
{
    json_t *initial = get(bed->root, "initial");
    const mn_lrua_part parts[3] = {MN_LRUA_MEMORY, MN_LRUA_READ_WEIGHTS, MN_LRUA_USAGE};
    const char *const names[3] = {"M", "wr", "wu"};
    mn_node nodes[3];
    size_t at = 0;
    for (int i = 0; i < 3; i++) {
        const mn_extent extent = mn_graph_lrua_extent(&bed->shape, parts[i]);
        mn_real numbers[1024];
        read_numbers(get(initial, names[i]), numbers);
        if (i == 0)
            turn(&bed->shape, numbers, true, x + at);
        else
            memcpy(x + at, numbers, mn_extent_count(extent) * sizeof *x);
        nodes[i] = mn_graph_input(graph, MN_SLOT_X, at, extent);
        at += mn_extent_count(extent);
    }
    return mn_graph_lrua_begin(graph, &bed->shape, nodes[0], nodes[1], nodes[2]);
}

static void lrua_agrees_with_pytorch(void **unused)
{
    static struct bed bed;
    static struct looks looks;
    static mn_builder builder;
    static mn_real output[MAX_NUMBERS], block[MAX_NUMBERS], x[MAX_NUMBERS], theta[MAX_NUMBERS],
        gradient[MAX_NUMBERS];
    mn_node gradients[N_TENSORS], lstm[MAX_STEPS], lrua[MAX_STEPS];
    size_t lstm_at[MAX_STEPS], lrua_at[MAX_STEPS];
    mn_plan *plan = NULL;
    mn_graph graph;
    mn_error err;
    (void)unused;
    open_bed(&bed, load("mann_lrua.json"));
    const mn_parameters *list = &bed.network.parameters;
    assert_true(list->size <= MAX_NUMBERS && bed.fields.size <= MAX_NUMBERS);
    fill_task(&bed, block);

    mn_network_begin(&bed.network, &bed.fields, &graph, &builder);
    builder.err = &err;
    for (uint32_t i = 0; i < list->n; i++)
        builder.tensors[i] =
            mn_graph_input(&graph, MN_SLOT_THETA, list->at[i].offset, list->at[i].inside);
    builder.memory[MN_QUERY][0] = begin_memory(&bed, &graph, x);
    mn_network_answer(&bed.network, &builder, MN_QUERY);
    const mn_node loss = mn_network_loss(&bed.network, &builder, MN_QUERY);
    assert_int_equal(builder.status, MN_OK);
    assert_int_equal(find_steps(&graph, MN_OP_LSTM, lstm), bed.steps);
    assert_int_equal(find_steps(&graph, MN_OP_LRUA, lrua), bed.steps);
    for (uint32_t t = 0; t < bed.steps; t++) {
        lstm_at[t] = look(&looks, &graph, lstm[t]);
        lrua_at[t] = look(&looks, &graph, lrua[t]);
    }
    const size_t logits_at = look(&looks, &graph, builder.flow.y[MN_QUERY]);
    mn_graph_gradient(&graph, loss, list->n, builder.tensors, gradients);
    for (uint32_t i = 0; i < list->n; i++)
        looks.outputs[looks.n++] = (mn_plan_output){.node = gradients[i],
                                                    .slot = MN_SLOT_GRADIENT,
                                                    .offset = list->at[i].offset,
                                                    .count = list->at[i].count};
    assert_int_equal(
        mn_plan_new(&graph, loss, looks.n, looks.outputs, mn_kernels_choose(), &plan, &err), MN_OK);
    mn_graph_fini(&graph);

    for (size_t i = 0; i < N_TENSORS; i++) {
        const uint32_t k = mn_parameters_find(list, tensors[i].ours);
        assert_true(k != UINT32_MAX);
        json_t *tensor = get(get(bed.root, "parameters"), tensors[i].theirs);
        assert_int_equal(count_of(tensor), list->at[k].count);
        read_numbers(tensor, theta + list->at[k].offset);
    }
    void *scratch = aligned_alloc(64, mn_plan_scratch_bytes(plan) + mn_plan_kept_bytes(plan));
    assert_non_null(scratch);
    memset(scratch, 0xff, mn_plan_scratch_bytes(plan)); /* NaNs: none may be read */
    mn_bindings bindings = {
        .in = {[MN_SLOT_THETA] = theta, [MN_SLOT_TASK] = block, [MN_SLOT_X] = x},
        .out = {[MN_SLOT_OUTPUT] = output, [MN_SLOT_GRADIENT] = gradient}};
    mn_plan_run(plan, 0, scratch, &bindings);

    for (uint32_t t = 0; t < bed.steps; t++)
        check_step(&bed, t, output + lstm_at[t], output + lrua_at[t], output + logits_at);
    const double expected = json_number_value(get(bed.root, "loss"));
    assert_true(fabs(mn_plan_loss(plan, scratch) - expected) <= RELATIVE * expected);
    for (size_t i = 0; i < N_TENSORS; i++) {
        const mn_parameter *parameter = &list->at[mn_parameters_find(list, tensors[i].ours)];
        expect_near(tensors[i].theirs, parameter->count, gradient + parameter->offset,
                    get(get(bed.root, "grad"), tensors[i].theirs));
    }
    free(scratch);
    mn_plan_destroy(&plan);
    json_decref(bed.root);
}

int main(void)
{
    const struct CMUnitTest all[] = {cmocka_unit_test(lrua_agrees_with_pytorch)};
    return cmocka_run_group_tests(all, NULL, NULL);
}
