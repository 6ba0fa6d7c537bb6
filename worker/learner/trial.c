#include "worker/learner/trial.h"

#include "worker/learner/model_state.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

mn_status mn_trial_init(mn_trial *out, const mn_model *model, uint32_t way, uint32_t n_support,
                        uint32_t n_query, mn_error *err)
{
    mn_fields fields;
    *out = (mn_trial){.model = model};
    mn_status status = mn_model_shape(model, way, n_support, n_query, &fields, err);
    if (status == MN_OK)
        status = mn_task_new(&fields, &out->task, err);
    if (status != MN_OK)
        return status;
    const mn_rule_order order = {
        .network = &model->network, .fields = &out->task->fields, .kernels = model->kernels};
    status = mn_rule_new(&order, &out->rule, err);
    if (status != MN_OK)
        return status;
    const size_t bytes = mn_rule_scratch_bytes(out->rule);
    if (bytes > MN_TRIAL_MOST_BYTES)
        return mn_fail(err, MN_ERR_CONFIG,
                       "%" PRIu32 " examples and %" PRIu32
                       " items to be judged would take %.1f GiB at once, and at most %.0f are "
                       "allowed: give fewer at a time",
                       n_support, n_query, (double)bytes / (1 << 30),
                       (double)MN_TRIAL_MOST_BYTES / (1 << 30));
    out->n_output = (size_t)mn_fields_find(&fields, MN_QUERY, "y")->n *
                    mn_network_columns(&model->network, &fields);
    out->scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
    out->output = calloc(out->n_output, sizeof *out->output);
    if (out->output != NULL) /* of a sequence the last item's count */
        out->answers = out->output + out->n_output -
                       (size_t)n_query * mn_network_columns(&model->network, &fields);
    return out->scratch != NULL && out->output != NULL
               ? MN_OK
               : mn_fail(err, MN_ERR_NOMEM, "%zu bytes to adapt and judge", bytes);
}

void mn_trial_fini(mn_trial *trial)
{
    mn_task_destroy(&trial->task);
    mn_rule_destroy(&trial->rule);
    free(trial->scratch);
    free(trial->output);
    *trial = (mn_trial){0};
}

void mn_task_put(mn_task *task, mn_role role, uint32_t item, const float *x, uint32_t label,
                 const float *y)
{
    const mn_fields *fields = &task->fields;
    const size_t size = mn_field_item(mn_fields_find(fields, role, "x"));
    float *to = mn_task_find(task, role, "y") + (size_t)item * fields->y_size;
    memcpy(mn_task_find(task, role, "x") + item * size, x, size * sizeof *x);
    if (y != NULL)
        memcpy(to, y, fields->y_size * sizeof *y);
    if (label < fields->y_size)
        memset(to, 0, fields->y_size * sizeof *to), to[label] = 1.0f;
}

void mn_task_put_id(mn_task *task, mn_role role, uint32_t item, uint32_t id)
{
    mn_task_find(task, role, "id")[item] = (float)id;
}

mn_rule_data mn_trial_data(const mn_trial *trial)
{
    return (mn_rule_data){.task = trial->task->block};
}
