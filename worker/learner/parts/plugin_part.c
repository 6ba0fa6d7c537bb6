/* A plug-in says which operations there are and on what; whether nodes are nodes and shapes fit is
 * looked at here, so that nothing it says reaches an assertion of the graph. */
#include "worker/learner/parts/plugin_part.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOST_PARTS 64
#define MOST_NODES (1u << 20) /* of a graph: a part that goes on for ever ends here */

static struct entry {
    unsigned value;
    mnemo_part_kind kind;
    char name[64]; /* of the row, for messages */
    mn_part row;
} entries[MOST_PARTS];
static size_t n_entries;

static mn_node build_input(mn_builder *builder, mn_role role);
static mn_node build_reasoning(mn_builder *builder, mn_role role);
static mn_node build_output(mn_builder *builder, mn_role role);
static mn_node output_loss(mn_builder *builder, mn_role role);
static void write_memory(mn_builder *builder, mn_role role);
static mn_node read_memory(mn_builder *builder, mn_role role, uint32_t hop, mn_node u);

mn_status mn_plugin_part_add(const mnemo_part_kind *kind, unsigned value, mn_error *err)
{
    static const char *const modules[] = {"input", "memory", "reasoning", "output"};
    static mn_node (*const builds[])(mn_builder *, mn_role) = {build_input, NULL, build_reasoning,
                                                               build_output};
    if (n_entries == MOST_PARTS)
        return mn_fail(err, MN_ERR_CONFIG, "plug-ins bring more than %d parts", MOST_PARTS);
    struct entry *entry = &entries[n_entries++];
    entry->value = value;
    entry->kind = *kind;
    (void)snprintf(entry->name, sizeof entry->name, "%s %s", modules[kind->module], kind->name);
    entry->row = (mn_part){.name = entry->name,
                           .build = builds[kind->module],
                           .write = kind->write == NULL ? NULL : write_memory,
                           .read = kind->read == NULL ? NULL : read_memory,
                           .loss = kind->loss == NULL ? NULL : output_loss,
                           .written_by_support = kind->needs_support != 0};
    return MN_OK;
}

static const struct entry *entry_of(unsigned module, unsigned value)
{
    for (size_t i = 0; i < n_entries; i++)
        if (entries[i].value == value && (unsigned)entries[i].kind.module == module)
            return &entries[i];
    return NULL;
}

const mn_part *mn_plugin_part(unsigned module, unsigned value)
{
    const struct entry *entry = entry_of(module, value);
    return entry == NULL ? NULL : &entry->row;
}

/* Calls of a part ------------------------------------------------------------------ */

static mn_builder *builder_of(const mnemo_build *build)
{
    return (mn_builder *)(uintptr_t)build;
}

static mnemo_build *handle(mn_builder *builder)
{
    return (mnemo_build *)builder;
}

static mnemo_set set_of(mn_role role)
{
    return role == MN_SUPPORT ? MNEMO_SUPPORT : MNEMO_QUERY;
}

/* One that nothing is wrong with, after a failure. */
static mn_node harmless(mn_builder *builder)
{
    return mn_graph_zero(builder->graph, (mn_extent){1, 1, 1, 1});
}

static mn_node misfit(mn_builder *builder, const char *operation, const char *why)
{
    (void)mn_builder_fail(builder, MN_ERR_CONFIG, "%s of a plug-in, %s: %s",
                          builder->graph->part == NULL ? "a part" : builder->graph->part, operation,
                          why);
    return harmless(builder);
}

static bool is_node(const mn_builder *builder, mnemo_node a)
{
    return a >= 0 && (uint32_t)a < builder->graph->n_nodes && !builder->graph->failed;
}

/* What a part returns: a node, or a failure. `rows` of it; 0: as many as it likes. */
static mn_node returned(mn_builder *builder, const char *call, mn_node node, uint32_t rows)
{
    if (builder->status != MN_OK || builder->graph->failed)
        return harmless(builder);
    if (!is_node(builder, node))
        return misfit(builder, call, "it returns no array of this build");
    const mn_extent extent = mn_builder_extent(builder, node);
    return rows > 0 && extent.n != rows
               ? misfit(builder, call,
                        "what it returns has not an item for each that it was asked for")
               : node;
}

static uint32_t n_items(const mn_builder *builder, mn_role role)
{
    const mn_field *y = mn_fields_find(builder->fields, role, "y");
    return y == NULL ? 0 : y->n;
}

static mn_node build_input(mn_builder *builder, mn_role role)
{
    const struct entry *entry = entry_of(MNEMO_INPUT, builder->experiment->model.input);
    const char *before = builder->graph->part;
    mn_graph_part(builder->graph, entry->name);
    const mn_node u = returned(builder, "build()", entry->kind.build(handle(builder), set_of(role)),
                               n_items(builder, role));
    mn_graph_part(builder->graph, before);
    return u;
}

static mn_node build_reasoning(mn_builder *builder, mn_role role)
{
    const struct entry *entry = entry_of(MNEMO_REASONING, builder->experiment->model.reasoning);
    return returned(builder, "build()", entry->kind.build(handle(builder), set_of(role)),
                    n_items(builder, role));
}

static mn_node build_output(mn_builder *builder, mn_role role)
{
    const struct entry *entry = entry_of(MNEMO_OUTPUT, builder->experiment->model.output);
    const mn_node y = returned(builder, "build()", entry->kind.build(handle(builder), set_of(role)),
                               n_items(builder, role));
    const mn_extent extent = mn_builder_extent(builder, y);
    return builder->status != MN_OK ||
                   (size_t)extent.h * extent.w * extent.c == builder->fields->y_size
               ? y
               : misfit(builder, "build()", "its answers have not y_size numbers");
}

static mn_node output_loss(mn_builder *builder, mn_role role)
{
    const struct entry *entry = entry_of(MNEMO_OUTPUT, builder->experiment->model.output);
    const mn_node loss =
        returned(builder, "loss()", entry->kind.loss(handle(builder), set_of(role)), 1);
    if (builder->status != MN_OK || mn_graph_check(builder->graph, NULL) != MN_OK)
        return mn_graph_mean(builder->graph, harmless(builder)); /* it is told already */
    const mn_op op = builder->graph->nodes[loss].op;
    if (op == MN_OP_MEAN || op == MN_OP_SQUARED_ERROR || op == MN_OP_CROSS_ENTROPY)
        return loss;
    return mn_graph_mean(
        builder->graph, misfit(builder, "loss()",
                               "it returns what neither squared_error() nor cross_entropy() made"));
}

static void write_memory(mn_builder *builder, mn_role role)
{
    const struct entry *entry = entry_of(MNEMO_MEMORY, builder->experiment->model.memory);
    const char *before = builder->graph->part;
    if (entry->kind.needs_support && role != MN_SUPPORT)
        return;
    mn_graph_part(builder->graph, entry->name);
    if (builder->status == MN_OK)
        entry->kind.write(handle(builder), set_of(role));
    mn_graph_part(builder->graph, before);
}

static mn_node read_memory(mn_builder *builder, mn_role role, uint32_t hop, mn_node u)
{
    const struct entry *entry = entry_of(MNEMO_MEMORY, builder->experiment->model.memory);
    const char *before = builder->graph->part;
    mn_graph_part(builder->graph, entry->name);
    const mn_node o =
        returned(builder, "read()", entry->kind.read(handle(builder), set_of(role), hop, u),
                 mn_builder_extent(builder, u).n);
    mn_graph_part(builder->graph, before);
    return o;
}

/* The host ------------------------------------------------------------------------- */

static mn_role role_of(mnemo_set set)
{
    return set == MNEMO_SUPPORT ? MN_SUPPORT : MN_QUERY;
}

/* Nothing has failed, `a` is an array, and there is room for more. */
static bool may(mn_builder *builder, const char *operation, mnemo_node a)
{
    if (builder->status != MN_OK || builder->graph->failed)
        return false;
    if (!is_node(builder, a))
        return (void)misfit(builder, operation, "what it is given is no array of this build"),
               false;
    if (builder->graph->n_nodes > MOST_NODES)
        return (void)misfit(builder, operation, "more than a million operations"), false;
    return true;
}

static bool fits(mn_builder *builder, const char *operation, bool is_so, const char *why)
{
    if (!is_so)
        (void)misfit(builder, operation, why);
    return is_so;
}

/* Rows and columns, which operations on matrices read it as. */
static mn_extent matrix(mn_builder *builder, mn_node a)
{
    const mn_extent extent = mn_builder_extent(builder, a);
    const size_t rows = (size_t)extent.n * extent.h * extent.w;
    return (mn_extent){rows > UINT32_MAX ? 0 : (uint32_t)rows, 1, 1, extent.c};
}

static mn_node as_matrix(mn_builder *builder, mn_node a)
{
    return mn_graph_reshape(builder->graph, a, matrix(builder, a));
}

static bool alike(mn_builder *builder, mn_node a, mn_node b)
{
    const mn_extent left = mn_builder_extent(builder, a), right = mn_builder_extent(builder, b);
    return memcmp(&left, &right, sizeof left) == 0;
}

static const mnemo_settings *settings(const mnemo_build *build)
{
    return (const mnemo_settings *)builder_of(build)->experiment;
}

static void fail(mnemo_build *build, const char *message)
{
    mn_builder *builder = builder_of(build);
    (void)mn_builder_fail(builder, MN_ERR_CONFIG, "%s of a plug-in: %.400s",
                          builder->graph->part == NULL ? "a part" : builder->graph->part,
                          message == NULL ? "it does not say why" : message);
}

static mnemo_node field(mnemo_build *build, mnemo_set set, const char *name)
{
    mn_builder *builder = builder_of(build);
    return mn_builder_need(builder, builder->graph->part == NULL ? "a part" : builder->graph->part,
                           role_of(set), name);
}

static mnemo_node flow(mn_builder *builder, const char *operation, mn_node node)
{
    return may(builder, operation, node) ? node : harmless(builder);
}

static mnemo_node features(mnemo_build *build, mnemo_set set)
{
    return flow(builder_of(build), "features()", builder_of(build)->flow.u[role_of(set)]);
}

static mnemo_node conclusions(mnemo_build *build, mnemo_set set)
{
    return flow(builder_of(build), "conclusions()", builder_of(build)->flow.o[role_of(set)]);
}

static mnemo_node answers(mnemo_build *build, mnemo_set set)
{
    return flow(builder_of(build), "answers()", builder_of(build)->flow.y[role_of(set)]);
}

static mnemo_node ask_memory(mnemo_build *build, mnemo_set set, uint32_t hop, mnemo_node u)
{
    mn_builder *builder = builder_of(build);
    const mn_part *memory = mn_memory_of(builder->experiment);
    if (!may(builder, "ask_memory()", u))
        return harmless(builder);
    return memory->read == NULL ? misfit(builder, "ask_memory()",
                                         "this network's memory (model.memory) cannot be asked")
                                : memory->read(builder, role_of(set), hop, as_matrix(builder, u));
}

static uint32_t y_size(const mnemo_build *build)
{
    return builder_of(build)->fields->y_size;
}

static mnemo_extent extent_of(mnemo_build *build, mnemo_node a)
{
    mn_builder *builder = builder_of(build);
    if (!may(builder, "extent()", a))
        return (mnemo_extent){1, 1, 1, 1};
    const mn_extent extent = mn_builder_extent(builder, a);
    return (mnemo_extent){extent.n, extent.h, extent.w, extent.c};
}

static void keep(mnemo_build *build, mnemo_set set, uint32_t place, mnemo_node a)
{
    mn_builder *builder = builder_of(build);
    if (may(builder, "keep()", a) &&
        fits(builder, "keep()", place < MN_MEMORY_NODES, "there are places 0 to 15"))
        builder->memory[role_of(set)][place] = a;
}

static mnemo_node kept(mnemo_build *build, mnemo_set set, uint32_t place)
{
    return place < MN_MEMORY_NODES ? builder_of(build)->memory[role_of(set)][place] : MNEMO_NONE;
}

/* Names are metadata of files, and PyTorch's: letters, digits, '.', '_'. */
static bool is_tensor_name(const char *name)
{
    static const char signs[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._";
    return name != NULL && name[0] != '\0' && strlen(name) <= 40 &&
           name[strspn(name, signs)] == '\0';
}

static bool may_declare(mn_builder *builder, const char *operation, const char *name,
                        uint64_t count)
{
    return builder->status == MN_OK && !builder->graph->failed &&
           fits(builder, operation, is_tensor_name(name),
                "a tensor's name has letters, digits, '.' and '_', at most 40") &&
           fits(builder, operation, count > 0 && count <= 1u << 28,
                "a tensor has at least 1 number, and at most 2^28");
}

static mnemo_node table(mnemo_build *build, const char *name, uint32_t rows, uint32_t columns,
                        double deviation)
{
    mn_builder *builder = builder_of(build);
    return may_declare(builder, "table()", name, (uint64_t)rows * columns) &&
                   fits(builder, "table()", isfinite(deviation) && deviation >= 0,
                        "the deviation is not a number of at least 0")
               ? mn_builder_table(builder, name, rows, columns, MN_START_NORMAL, deviation)
               : harmless(builder);
}

static mnemo_node vector(mnemo_build *build, const char *name, uint32_t n, mnemo_start start)
{
    mn_builder *builder = builder_of(build);
    if (!may_declare(builder, "vector()", name, n) ||
        !fits(builder, "vector()", start == MNEMO_START_ZERO || start == MNEMO_START_ONE,
              "it begins with zeros or ones"))
        return harmless(builder);
    return mn_builder_vector(builder, name, n,
                             start == MNEMO_START_ONE ? MN_START_ONE : MN_START_ZERO);
}

static mnemo_node linear(mnemo_build *build, const char *name, mnemo_node x, uint32_t out)
{
    mn_builder *builder = builder_of(build);
    if (!may(builder, "linear()", x))
        return harmless(builder);
    const mn_extent from = mn_builder_extent(builder, x);
    return may_declare(builder, "linear()", name, (uint64_t)from.h * from.w * from.c * out)
               ? mn_builder_linear(builder, name, x, out)
               : harmless(builder);
}

static bool is_extent(mnemo_extent extent)
{
    size_t count = extent.n;
    return extent.n > 0 && extent.h > 0 && extent.w > 0 && extent.c > 0 &&
           !__builtin_mul_overflow(count, extent.h, &count) &&
           !__builtin_mul_overflow(count, extent.w, &count) &&
           !__builtin_mul_overflow(count, extent.c, &count) && count <= (size_t)1 << 31;
}

static mnemo_node constant(mnemo_build *build, double value, mnemo_extent extent)
{
    mn_builder *builder = builder_of(build);
    if (builder->status != MN_OK ||
        !fits(builder, "constant()", is_extent(extent), "it is empty, or larger than 8 GiB"))
        return harmless(builder);
    return mn_graph_constant(builder->graph, value,
                             (mn_extent){extent.n, extent.h, extent.w, extent.c});
}

static mnemo_node reshape(mnemo_build *build, mnemo_node a, mnemo_extent extent)
{
    mn_builder *builder = builder_of(build);
    const mn_extent to = {extent.n, extent.h, extent.w, extent.c};
    if (!may(builder, "reshape()", a) ||
        !fits(builder, "reshape()",
              is_extent(extent) &&
                  mn_extent_count(to) == mn_extent_count(mn_builder_extent(builder, a)),
              "not as many numbers"))
        return harmless(builder);
    return mn_graph_reshape(builder->graph, a, to);
}

static mnemo_node rows(mnemo_build *build, mnemo_node a, uint32_t first, uint32_t n)
{
    mn_builder *builder = builder_of(build);
    if (!may(builder, "rows()", a) ||
        !fits(builder, "rows()", n > 0 && (uint64_t)first + n <= matrix(builder, a).n,
              "there are not so many rows"))
        return harmless(builder);
    return mn_graph_rows(builder->graph, a, first, n);
}

static mnemo_node columns(mnemo_build *build, mnemo_node a, uint32_t first, uint32_t n)
{
    mn_builder *builder = builder_of(build);
    if (!may(builder, "columns()", a) ||
        !fits(builder, "columns()", n > 0 && (uint64_t)first + n <= matrix(builder, a).c,
              "there are not so many columns"))
        return harmless(builder);
    return mn_graph_columns(builder->graph, a, first, n);
}

static mnemo_node beside(mnemo_build *build, mnemo_node a, mnemo_node b)
{
    mn_builder *builder = builder_of(build);
    if (!may(builder, "beside()", a) || !may(builder, "beside()", b) ||
        !fits(builder, "beside()", matrix(builder, a).n == matrix(builder, b).n,
              "not as many rows") ||
        !fits(builder, "beside()",
              (uint64_t)matrix(builder, a).c + matrix(builder, b).c <= UINT32_MAX,
              "too many columns"))
        return harmless(builder);
    const mn_node both[2] = {a, b};
    return mn_graph_concat_columns(builder->graph, 2, both);
}

static mnemo_node repeat_rows(mnemo_build *build, mnemo_node a, uint32_t times)
{
    mn_builder *builder = builder_of(build);
    if (!may(builder, "repeat_rows()", a) ||
        !fits(builder, "repeat_rows()",
              times > 0 && (uint64_t)matrix(builder, a).n * times <= UINT32_MAX,
              "0 times, or too many rows"))
        return harmless(builder);
    return mn_graph_repeat_rows(builder->graph, a, times);
}

static mnemo_node sum_groups(mnemo_build *build, mnemo_node a, uint32_t times)
{
    mn_builder *builder = builder_of(build);
    if (!may(builder, "sum_groups()", a) ||
        !fits(builder, "sum_groups()", times > 0 && matrix(builder, a).n % times == 0,
              "the rows do not come in such groups"))
        return harmless(builder);
    return mn_graph_sum_groups(builder->graph, a, times);
}

static mnemo_node product(mnemo_build *build, mnemo_node a, mnemo_node b, uint32_t transpose_a,
                          uint32_t transpose_b)
{
    mn_builder *builder = builder_of(build);
    if (!may(builder, "product()", a) || !may(builder, "product()", b))
        return harmless(builder);
    const mn_extent left = matrix(builder, a), right = matrix(builder, b);
    return fits(builder, "product()",
                (transpose_a ? left.n : left.c) == (transpose_b ? right.c : right.n),
                "columns of the first are not as many as rows of the second")
               ? mn_graph_product(builder->graph, a, b, transpose_a != 0, transpose_b != 0)
               : harmless(builder);
}

/* Of two arrays of one shape. */
static mnemo_node pair(mnemo_build *build, const char *operation,
                       mn_node (*apply)(mn_graph *graph, mn_node a, mn_node b), mnemo_node a,
                       mnemo_node b)
{
    mn_builder *builder = builder_of(build);
    return may(builder, operation, a) && may(builder, operation, b) &&
                   fits(builder, operation, alike(builder, a, b), "two shapes")
               ? apply(builder->graph, a, b)
               : harmless(builder);
}

static mn_node sum(mn_graph *graph, mn_node a, mn_node b)
{
    return mn_graph_add(graph, a, b);
}

static mnemo_node add(mnemo_build *build, mnemo_node a, mnemo_node b)
{
    return pair(build, "add()", sum, a, b);
}

static mnemo_node multiply(mnemo_build *build, mnemo_node a, mnemo_node b)
{
    return pair(build, "multiply()", mn_graph_multiply, a, b);
}

static mnemo_node scale(mnemo_build *build, double factor, mnemo_node a)
{
    mn_builder *builder = builder_of(build);
    return may(builder, "scale()", a) ? mn_graph_scale(builder->graph, factor, a)
                                      : harmless(builder);
}

static mnemo_node bias(mnemo_build *build, mnemo_node a, mnemo_node b)
{
    mn_builder *builder = builder_of(build);
    if (!may(builder, "bias()", a) || !may(builder, "bias()", b) ||
        !fits(builder, "bias()",
              matrix(builder, b).n == 1 && matrix(builder, b).c == matrix(builder, a).c,
              "the vector has not as many numbers as there are columns"))
        return harmless(builder);
    return mn_graph_bias(builder->graph, a, b);
}

static mnemo_node unary(mnemo_build *build, mnemo_unary what, mnemo_node a)
{
    static mn_node (*const all[])(mn_graph * graph,
                                  mn_node a) = {[MNEMO_RELU] = mn_graph_relu,
                                                [MNEMO_TANH] = mn_graph_tanh,
                                                [MNEMO_SIGMOID] = mn_graph_sigmoid,
                                                [MNEMO_EXP] = mn_graph_exp,
                                                [MNEMO_LOG] = mn_graph_log,
                                                [MNEMO_SOFTPLUS] = mn_graph_softplus,
                                                [MNEMO_RECIPROCAL] = mn_graph_reciprocal,
                                                [MNEMO_ROOT] = mn_graph_root,
                                                [MNEMO_STOP] = mn_graph_stop};
    mn_builder *builder = builder_of(build);
    if (!may(builder, "unary()", a) ||
        !fits(builder, "unary()", (unsigned)what < sizeof all / sizeof *all,
              "there is no such function"))
        return harmless(builder);
    return all[what](builder->graph, a);
}

static mnemo_node row_dot(mnemo_build *build, mnemo_node a, mnemo_node b)
{
    return pair(build, "row_dot()", mn_graph_row_dot, a, b);
}

static mnemo_node row_scale(mnemo_build *build, mnemo_node factors, mnemo_node a)
{
    mn_builder *builder = builder_of(build);
    if (!may(builder, "row_scale()", factors) || !may(builder, "row_scale()", a) ||
        !fits(builder, "row_scale()",
              matrix(builder, factors).c == 1 && matrix(builder, factors).n == matrix(builder, a).n,
              "not one factor for each row"))
        return harmless(builder);
    return mn_graph_row_scale(builder->graph, as_matrix(builder, factors), as_matrix(builder, a));
}

static mnemo_node column_sums(mnemo_build *build, mnemo_node a)
{
    mn_builder *builder = builder_of(build);
    return may(builder, "column_sums()", a) ? mn_graph_column_sums(builder->graph, a)
                                            : harmless(builder);
}

static mnemo_node softmax(mnemo_build *build, mnemo_node a)
{
    mn_builder *builder = builder_of(build);
    return may(builder, "softmax()", a)
               ? mn_graph_softmax(builder->graph, as_matrix(builder, a), MN_NONE)
               : harmless(builder);
}

static mnemo_node squared_error(mnemo_build *build, mnemo_node a, mnemo_node target)
{
    return pair(build, "squared_error()", mn_graph_squared_error, a, target);
}

static mnemo_node cross_entropy(mnemo_build *build, mnemo_node logits, mnemo_node target)
{
    return pair(build, "cross_entropy()", mn_graph_cross_entropy, logits, target);
}

void mn_plugin_part_host(mnemo_host *host)
{
    host->settings = settings;
    host->fail = fail;
    host->field = field;
    host->features = features;
    host->conclusions = conclusions;
    host->answers = answers;
    host->ask_memory = ask_memory;
    host->y_size = y_size;
    host->extent = extent_of;
    host->keep = keep;
    host->kept = kept;
    host->table = table;
    host->vector = vector;
    host->linear = linear;
    host->constant = constant;
    host->reshape = reshape;
    host->rows = rows;
    host->columns = columns;
    host->beside = beside;
    host->repeat_rows = repeat_rows;
    host->sum_groups = sum_groups;
    host->product = product;
    host->add = add;
    host->multiply = multiply;
    host->scale = scale;
    host->bias = bias;
    host->unary = unary;
    host->row_dot = row_dot;
    host->row_scale = row_scale;
    host->column_sums = column_sums;
    host->softmax = softmax;
    host->squared_error = squared_error;
    host->cross_entropy = cross_entropy;
}
