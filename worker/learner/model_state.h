/* model_state.h: what a model is made of, for the modules behind model.h and adapted.h alone. */
#pragma once

#include "common/tensor_file.h"
#include "worker/learner/model.h"
#include "worker/learner/network.h"

struct mn_model {
    mn_experiment experiment;
    mn_fields fields;
    mn_network network; /* with the rule's tensors */
    const mn_kernels *kernels;
    uint64_t step;
    float *theta;                    /* [network.parameters.size], the engine's layout; owned */
    char *words, *row_form, *dialog; /* notes; owned; a copy has none: NULL */
    mn_words *ids;                   /* of rows: what their ids mean; NULL: they have none; owned */
};

/* A model whose theta is still zero. The fields are copied. */
mn_status mn_model_declare(const mn_experiment *experiment, const mn_fields *fields, mn_model **out,
                           mn_error *err);
mn_status mn_model_copy(const mn_model *model, mn_model **out, mn_error *err);

/* The words of ids that a file tells. MN_ERR_CONFIG: it tells none, as an older mnemo wrote it. */
mn_status mn_model_read_ids(const mn_tensor_file *file, const char *path, mn_words **out,
                            mn_error *err);

/* Fields of examples x with their answers, with ids if the model's items have them. */
mn_status mn_model_few_shot(const mn_model *model, uint32_t way, uint32_t n_support,
                            uint32_t n_query, mn_fields *out, mn_error *err);

/* Fields of a task of this shape; way 0: as trained. Of sequences: so many side by side (the bundle),
 * each of n_support items and one more. MN_ERR_CONFIG: the network cannot have so many
 * classes, or such a task is too large. */
mn_status mn_model_shape(const mn_model *model, uint32_t way, uint32_t n_support, uint32_t n_query,
                         mn_fields *out, mn_error *err);

/* Classes that a task is compiled for, if so many have examples: as many; or those of training, where the
 * head has a row for each, but tasks of training had fewer too, as made-up tables have: the others then are
 * classes of which there are no examples. */
uint32_t mn_model_holds(const mn_model *model, uint32_t n_classes);

/* Tensors of a file, named with `prefix` before, into a vector of these parameters. MN_ERR_DATA: one
 * is missing or of another shape: `path` says where. */
mn_status mn_parameters_read(const mn_parameters *parameters, const mn_tensor_file *file,
                             const char *prefix, const char *path, float *out, mn_error *err);
