#include "worker/learner/builder.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

mn_status mn_builder_fail(mn_builder *builder, mn_status status, const char *format, ...)
{
    char text[512];
    va_list words;
    if (builder->status != MN_OK)
        return builder->status;
    va_start(words, format);
    (void)vsnprintf(text, sizeof text, format, words);
    va_end(words);
    builder->status = status;
    return mn_fail(builder->err, status, "%s", text);
}

/* Tensor i of the list, UINT32_MAX if it was full, as a node. */
static mn_node declared(mn_builder *builder, uint32_t i)
{
    if (i == UINT32_MAX) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "model: more than %d tensors of parameters; use fewer layers",
                              MN_MAX_PARAMETERS);
        return 0;
    }
    const mn_parameter *parameter = &builder->parameters->at[i];
    builder->tensors[i] =
        mn_graph_input(builder->graph, MN_SLOT_THETA, parameter->offset, parameter->inside);
    return builder->tensors[i];
}

/* The tensor of this name if it is there; two parts may share one, of one shape. */
static bool known(mn_builder *builder, const char *name, mn_extent inside, mn_node *out)
{
    uint32_t i = mn_parameters_find(builder->parameters, name);
    if (i == UINT32_MAX && builder->declared != NULL)
        return false;
    if (i == UINT32_MAX) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "the model's tensor %s is used by these tasks, but not made for "
                              "training tasks: do both have a support set (tasks.shot)?",
                              name);
        *out = mn_graph_zero(builder->graph, inside);
        return true;
    }
    if (memcmp(&builder->parameters->at[i].inside, &inside, sizeof inside) != 0)
        (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                              "two parts of the model share the tensor %s, but want it in two "
                              "shapes",
                              name);
    *out = builder->tensors[i];
    return true;
}

mn_node mn_builder_weights(mn_builder *builder, const char *name, mn_extent from, uint32_t out)
{
    mn_node node;
    if (known(builder, name, (mn_extent){from.h * from.w * from.c, 1, 1, out}, &node))
        return node;
    return declared(builder, mn_parameters_add_linear(builder->declared, name, from, out));
}

mn_node mn_builder_kernel(mn_builder *builder, const char *name, uint32_t c_in, uint32_t c_out)
{
    mn_node node;
    if (known(builder, name, (mn_extent){9 * c_in, 1, 1, c_out}, &node))
        return node;
    return declared(builder, mn_parameters_add_conv(builder->declared, name, c_in, c_out));
}

mn_node mn_builder_vector(mn_builder *builder, const char *name, uint32_t c, mn_init init)
{
    mn_node node;
    if (known(builder, name, (mn_extent){1, 1, 1, c}, &node))
        return node;
    return declared(builder, mn_parameters_add_vector(builder->declared, name, c, init));
}

mn_node mn_builder_table(mn_builder *builder, const char *name, uint32_t rows, uint32_t c,
                         mn_init init, double scale)
{
    mn_node node;
    if (known(builder, name, (mn_extent){rows, 1, 1, c}, &node))
        return node;
    return declared(builder,
                    mn_parameters_add_table(builder->declared, name, rows, c, init, scale));
}

void mn_builder_start_normal(mn_builder *builder, const char *name, double scale)
{
    uint32_t i = mn_parameters_find(builder->parameters, name);
    if (builder->declared == NULL || i == UINT32_MAX)
        return;
    builder->declared->at[i].init = MN_START_NORMAL;
    builder->declared->at[i].scale = scale;
}

void mn_builder_let_stand(mn_builder *builder, const char *name)
{
    uint32_t i = mn_parameters_find(builder->parameters, name);
    if (builder->declared != NULL && i != UINT32_MAX)
        builder->declared->at[i].stands = true;
}

mn_node mn_builder_statistic(mn_builder *builder, const char *name, uint32_t c, double start,
                             mn_node now)
{
    mn_node node = mn_builder_vector(builder, name, c, MN_START_VALUE);
    uint32_t i = mn_parameters_find(builder->parameters, name);
    if (builder->declared != NULL && i != UINT32_MAX) {
        builder->declared->at[i].scale = start;
        builder->declared->at[i].is_statistic = true;
        builder->declared->at[i].share = builder->experiment->model.batch_norm_momentum;
    }
    if (now != MN_NONE && builder->n_statistics < MN_MAX_STATISTICS) {
        builder->statistics[builder->n_statistics].tensor = i;
        builder->statistics[builder->n_statistics++].now = now;
    } else if (now != MN_NONE) {
        (void)mn_builder_fail(builder, MN_ERR_CONFIG, "model: more than %d running statistics",
                              MN_MAX_STATISTICS);
    }
    return node;
}

void mn_builder_tell_statistics(mn_builder *builder, mn_node *gradients)
{
    mn_graph *graph = builder->graph;
    for (uint32_t i = 0; i < builder->n_statistics; i++) {
        const uint32_t tensor = builder->statistics[i].tensor;
        uint32_t n = 0; /* how many sets tell of this tensor */
        for (uint32_t k = 0; k < builder->n_statistics; k++)
            n += builder->statistics[k].tensor == tensor;
        mn_node off =
            mn_graph_subtract(graph, builder->tensors[tensor], builder->statistics[i].now);
        gradients[tensor] = mn_graph_scale_add(
            graph, 1.0 / n, off,
            gradients[tensor] == MN_NONE ? mn_graph_zero(graph, mn_graph_extent(graph, off))
                                         : gradients[tensor]);
    }
}

mn_node mn_builder_linear(mn_builder *builder, const char *name, mn_node x, uint32_t out)
{
    char weight[64], bias[64];
    (void)snprintf(weight, sizeof weight, "%s.weight", name);
    (void)snprintf(bias, sizeof bias, "%s.bias", name);
    mn_node w = mn_builder_weights(builder, weight, mn_builder_extent(builder, x), out);
    mn_node b = mn_builder_vector(builder, bias, out, MN_START_ZERO);
    return mn_graph_bias(builder->graph, mn_graph_linear(builder->graph, x, w), b);
}

mn_node mn_builder_activation(mn_builder *builder, mn_node x, mn_activation activation)
{
    return activation == MN_RELU ? mn_graph_relu(builder->graph, x)
                                 : mn_graph_tanh(builder->graph, x);
}

mn_node mn_builder_field(const mn_builder *builder, mn_role role, const char *name)
{
    const mn_field *field = mn_fields_find(builder->fields, role, name);
    if (field == NULL)
        return MN_NONE;
    return mn_graph_input(builder->graph, MN_SLOT_TASK, field->offset,
                          (mn_extent){field->n, field->height, field->width, field->channels});
}

mn_node mn_builder_need(mn_builder *builder, const char *part, mn_role role, const char *name)
{
    static const char *const roles[MN_N_ROLES] = {"support", "query", "shared"};
    mn_node node = mn_builder_field(builder, role, name);
    if (node != MN_NONE)
        return node;
    (void)mn_builder_fail(builder, MN_ERR_CONFIG,
                          "%s reads %s.%s, which these tasks do not have: choose another part, or "
                          "other tasks (tasks.kind)",
                          part, roles[role], name);
    return mn_graph_input(builder->graph, MN_SLOT_TASK, 0, (mn_extent){1, 1, 1, 1});
}

/* Beside it any logit is 0. */
#define NEVER 1e9

mn_node mn_builder_absent_classes(const mn_builder *builder)
{
    mn_node classes = mn_builder_field(builder, MN_SHARED, "classes");
    if (classes == MN_NONE)
        return MN_NONE;
    return mn_graph_scale_add(
        builder->graph, -1, classes,
        mn_graph_constant(builder->graph, 1, mn_builder_extent(builder, classes)));
}

mn_node mn_builder_leave_out(const mn_builder *builder, mn_node z, mn_node absent)
{
    return absent == MN_NONE
               ? z
               : mn_graph_bias(builder->graph, z, mn_graph_scale(builder->graph, -NEVER, absent));
}

uint32_t mn_builder_vocabulary(const mn_builder *builder)
{
    const mn_fields *fields = builder->fields;
    return fields->vocabulary > 0 ? fields->vocabulary : fields->y_size;
}

void mn_builder_show(mn_builder *builder, mn_role role, const char *name, uint32_t hop,
                     mn_node node)
{
    if (role != MN_QUERY || builder->n_shown == MN_MAX_SHOWN)
        return;
    const uint32_t i = builder->n_shown++;
    (void)snprintf(builder->shown[i].name, sizeof builder->shown[i].name, "%s", name);
    builder->shown[i].hop = hop;
    builder->shown[i].node = node;
}

mn_node mn_builder_flat(mn_builder *builder, mn_node u)
{
    const mn_extent extent = mn_builder_extent(builder, u);
    return mn_graph_reshape(builder->graph, u,
                            (mn_extent){extent.n, 1, 1, extent.h * extent.w * extent.c});
}

mn_extent mn_builder_extent(const mn_builder *builder, mn_node node)
{
    return mn_graph_extent(builder->graph, node);
}
