#include "coordinator/run/checkpoint.h"

#include "common/checkpoint_list.h"
#include "common/file.h"
#include "common/log.h"
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_PARTS = 5, MOST_MORE = 8, MOST_PAIRS = 32 };

/* A vector of the checkpoint, and what stands before its tensors' names. */
struct part {
    const char *prefix;
    size_t offset; /* of the float * in mn_checkpoint */
};

static const struct part parts[N_PARTS] = {
    {"", offsetof(mn_checkpoint, theta)},         {"optimiser.m.", offsetof(mn_checkpoint, m)},
    {"optimiser.v.", offsetof(mn_checkpoint, v)}, {"average.", offsetof(mn_checkpoint, average)},
    {"best.", offsetof(mn_checkpoint, best)},
};

static float **vector_of(mn_checkpoint *checkpoint, const struct part *part);
static const float *vector_in(const mn_checkpoint *checkpoint, const struct part *part);
static mn_status name_tensor(const struct part *part, const mn_tensor *like, mn_tensor *out,
                             mn_error *err);
static mn_status write_file(const char *path, const mn_checkpoint *checkpoint,
                            const mn_theta_layout *layout, size_t n_more, const mn_text_pair *more,
                            mn_error *err);
static mn_status write_tensors(const char *path, const mn_checkpoint *checkpoint,
                               const mn_theta_layout *layout, size_t n_tensors,
                               const mn_tensor *tensors, size_t n_more, const mn_text_pair *more,
                               mn_error *err);
static void prune(const char *folder, uint64_t newest, uint32_t keep);
static void sweep(const char *folder);
static mn_status read_part(const mn_tensor_file *file, const char *path, const struct part *part,
                           const mn_theta_layout *layout, float **out, mn_error *err);
static mn_status read_foreign(const mn_tensor_file *file, const char *path,
                              const mn_theta_layout *layout, float **theta, mn_error *err);
static mn_status read_metadata(const mn_tensor_file *file, const char *path, mn_checkpoint *out,
                               mn_error *err);
static mn_status may_go_on(const char *path, const char *text, const mn_experiment *now,
                           mn_error *err);
static mn_status may_judge(const char *path, const mn_tensor_file *file, const mn_experiment *now,
                           const mn_theta_layout *layout, mn_error *err);

void mn_checkpoint_fini(mn_checkpoint *checkpoint)
{
    for (size_t i = 0; i < N_PARTS; i++)
        free(*vector_of(checkpoint, &parts[i]));
    free(checkpoint->experiment);
    *checkpoint = (mn_checkpoint){0};
}

mn_status mn_checkpoint_write(const char *folder, const mn_checkpoint *checkpoint,
                              const mn_theta_layout *layout, uint32_t keep, mn_error *err)
{
    assert(keep > 0 && checkpoint->n == layout->n && checkpoint->theta != NULL);
    char path[PATH_MAX];
    mn_status status = mn_checkpoint_path(folder, checkpoint->step, path, err);
    if (status == MN_OK)
        status = mn_folder_make(folder, err);
    if (status == MN_OK)
        status = write_file(path, checkpoint, layout, 0, NULL, err);
    if (status == MN_OK) {
        prune(folder, checkpoint->step, keep);
        sweep(folder);
    }
    return status;
}

mn_status mn_checkpoint_export(const char *path, const mn_checkpoint *checkpoint, bool best,
                               const mn_theta_layout *layout, size_t n_more,
                               const mn_text_pair *more, mn_error *err)
{
    assert(checkpoint->n == layout->n && (!best || checkpoint->best != NULL));
    assert(n_more < MOST_MORE);
    const bool average = !best && checkpoint->average != NULL;
    mn_text_pair pairs[MOST_MORE] = {{"theta", best ? "best" : average ? "average" : "last"}};
    mn_checkpoint theta = *checkpoint; /* its vectors are lent */
    theta.m = theta.v = theta.average = theta.best = NULL;
    if (average)
        theta.theta = checkpoint->average;
    if (best) {
        theta.theta = checkpoint->best;
        theta.step = theta.validated_step = checkpoint->best_step;
    }
    if (n_more > 0)
        memcpy(pairs + 1, more, n_more * sizeof *more);
    return write_file(path, &theta, layout, n_more + 1, pairs, err);
}

mn_status mn_checkpoint_read(const char *path, const mn_theta_layout *layout, mn_checkpoint *out,
                             mn_error *err)
{
    mn_tensor_file *file = NULL;
    mn_checkpoint checkpoint = {.n = layout->n};
    mn_status status = mn_tensor_file_read(path, &file, err);
    if (status != MN_OK)
        return status;
    status = read_metadata(file, path, &checkpoint, err);
    for (size_t i = 0; i < N_PARTS && status == MN_OK; i++)
        status = read_part(file, path, &parts[i], layout, vector_of(&checkpoint, &parts[i]), err);
    if (status == MN_OK && checkpoint.theta == NULL)
        status = mn_fail(err, MN_ERR_DATA, "%s: holds no tensor of this model", path);
    mn_tensor_file_destroy(&file);
    if (status != MN_OK) {
        mn_checkpoint_fini(&checkpoint);
        return status;
    }
    *out = checkpoint;
    return MN_OK;
}

mn_status mn_checkpoint_read_theta(const char *path, const mn_theta_layout *layout, float **theta,
                                   mn_error *err)
{
    mn_tensor_file *file = NULL;
    mn_checkpoint own = {0};
    mn_status status = mn_tensor_file_read(path, &file, err);
    if (status != MN_OK)
        return status;
    if (mn_tensor_file_metadata(file, "experiment") == NULL) {
        status = read_foreign(file, path, layout, theta, err);
    } else {
        status = mn_checkpoint_read(path, layout, &own, err);
        float **taken = own.average != NULL ? &own.average : &own.theta;
        if (status == MN_OK)
            *theta = *taken;
        *taken = NULL;
    }
    mn_checkpoint_fini(&own);
    mn_tensor_file_destroy(&file);
    return status;
}

mn_status mn_checkpoint_read_thetas(const char *folder, const mn_theta_layout *layout, size_t n,
                                    float **thetas, uint64_t *steps, mn_error *err)
{
    uint64_t *found = NULL;
    size_t n_found = 0;
    mn_status status = mn_checkpoint_list(folder, &found, &n_found, err);
    if (status == MN_OK && n_found < n)
        status = mn_fail(err, MN_ERR_NO_INPUT,
                         "%s has %zu checkpoints, not %zu: run.keep says how many a run keeps",
                         folder, n_found, n);
    for (size_t i = 0; i < n; i++)
        thetas[i] = NULL;
    for (size_t i = 0; i < n && status == MN_OK; i++) {
        char path[PATH_MAX];
        status = mn_checkpoint_path(folder, found[i], path, err);
        if (status == MN_OK)
            status = mn_checkpoint_read_theta(path, layout, &thetas[i], err);
        steps[i] = found[i];
    }
    for (size_t i = 0; i < n && status != MN_OK; i++) {
        free(thetas[i]);
        thetas[i] = NULL;
    }
    free(found);
    return status;
}

mn_status mn_checkpoint_read_newest(const char *folder, mn_checkpoint_use use,
                                    const mn_experiment *now, const mn_theta_layout *layout,
                                    mn_checkpoint *out, mn_error *err)
{
    uint64_t *steps = NULL;
    size_t n = 0;
    mn_status status = mn_checkpoint_list(folder, &steps, &n, err);
    if (status != MN_OK)
        return status;

    status = n == 0 ? mn_fail(err, MN_ERR_NO_INPUT, "no checkpoint in %s", folder) : MN_ERR_DATA;
    for (size_t i = 0; i < n && status == MN_ERR_DATA; i++) {
        char path[PATH_MAX];
        mn_error reason;
        mn_tensor_file *file = NULL;
        status = mn_checkpoint_path(folder, steps[i], path, err);
        if (status != MN_OK)
            break;
        /* The experiment first: of another model, the tensors would only seem damaged. */
        status = mn_tensor_file_read(path, &file, &reason);
        if (status == MN_OK) {
            const char *text = mn_tensor_file_metadata(file, "experiment");
            status = text == NULL ? mn_fail(&reason, MN_ERR_DATA, "%s: has no experiment", path)
                     : use == MN_TO_GO_ON ? may_go_on(path, text, now, err)
                                          : may_judge(path, file, now, layout, err);
            mn_tensor_file_destroy(&file);
            if (status == MN_ERR_CONFIG)
                break;
        }
        if (status == MN_OK)
            status = mn_checkpoint_read(path, layout, out, &reason);
        if (status == MN_ERR_NO_INPUT || status == MN_ERR_IO)
            status = MN_ERR_DATA; /* removed or unreadable: an older one may do */
        if (status == MN_ERR_DATA)
            mn_log(MN_LOG_WARN, "checkpoint skipped: %s", reason.message);
        else if (status != MN_OK && err != NULL)
            *err = reason;
    }
    if (status == MN_ERR_DATA)
        status =
            mn_fail(err, MN_ERR_DATA,
                    "none of the %zu checkpoints in %s is whole (see the warnings); restore one "
                    "from a backup, or move the folder away to start from step 0",
                    n, folder);
    free(steps);
    return status;
}

static float **vector_of(mn_checkpoint *checkpoint, const struct part *part)
{
    return (float **)(void *)((char *)checkpoint + part->offset);
}

static const float *vector_in(const mn_checkpoint *checkpoint, const struct part *part)
{
    return *(float *const *)(const void *)((const char *)checkpoint + part->offset);
}

static mn_status name_tensor(const struct part *part, const mn_tensor *like, mn_tensor *out,
                             mn_error *err)
{
    *out = *like;
    int length = snprintf(out->name, sizeof out->name, "%s%s", part->prefix, like->name);
    if (length < 0 || (size_t)length >= sizeof out->name)
        return mn_fail(err, MN_ERR_RANGE, "tensor name %s%s is longer than %zu", part->prefix,
                       like->name, sizeof out->name - 1);
    return MN_OK;
}

static mn_status write_file(const char *path, const mn_checkpoint *checkpoint,
                            const mn_theta_layout *layout, size_t n_more, const mn_text_pair *more,
                            mn_error *err)
{
    size_t n_tensors = 0;
    mn_status status = MN_OK;
    mn_tensor *tensors = calloc(N_PARTS * layout->n_tensors, sizeof *tensors);
    if (tensors == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "checkpoint %s", path);
    for (size_t p = 0; p < N_PARTS && status == MN_OK; p++) {
        const float *data = vector_in(checkpoint, &parts[p]);
        for (size_t i = 0; data != NULL && i < layout->n_tensors && status == MN_OK; i++) {
            mn_tensor *tensor = &tensors[n_tensors++];
            status = name_tensor(&parts[p], &layout->tensors[i], tensor, err);
            tensor->data = data;
            data += mn_tensor_count(tensor);
        }
    }
    if (status == MN_OK)
        status = write_tensors(path, checkpoint, layout, n_tensors, tensors, n_more, more, err);
    free(tensors);
    return status;
}

static mn_status write_tensors(const char *path, const mn_checkpoint *checkpoint,
                               const mn_theta_layout *layout, size_t n_tensors,
                               const mn_tensor *tensors, size_t n_more, const mn_text_pair *more,
                               mn_error *err)
{
    char step[24], taken[24], skipped[24], seed[24], validated[24], best_step[24], best_score[40];
    char stale[24];
    char theta[65], data[65], numeric_class[65];
    mn_digest fingerprint = mn_digest_of(checkpoint->theta, layout->n * sizeof(float));
    mn_digest_hex(&fingerprint, theta);
    mn_digest_hex(&checkpoint->data, data);
    mn_digest_hex(&checkpoint->numeric_class, numeric_class);
    (void)snprintf(step, sizeof step, "%" PRIu64, checkpoint->step);
    (void)snprintf(taken, sizeof taken, "%" PRIu64, checkpoint->optimiser_taken);
    (void)snprintf(skipped, sizeof skipped, "%" PRIu64, checkpoint->skipped_steps);
    (void)snprintf(seed, sizeof seed, "%" PRIu64, checkpoint->seed);
    (void)snprintf(validated, sizeof validated, "%" PRIu64, checkpoint->validated_step);
    (void)snprintf(stale, sizeof stale, "%" PRIu64, checkpoint->stale_validations);
    (void)snprintf(best_step, sizeof best_step, "%" PRIu64, checkpoint->best_step);
    (void)snprintf(best_score, sizeof best_score, "%.17g", checkpoint->best_score);
    const mn_text_pair known[] = {
        {"format", "pt"}, /* what PyTorch's loaders ask for */
        {"mnemo", MN_VERSION},
        {"step", step},
        {"optimiser_taken", taken},
        {"skipped_steps", skipped},
        {"seed", seed},
        {"theta_sha256", theta},
        {"data", data},
        {"numeric_class", numeric_class},
        {"mixed", checkpoint->mixed ? "yes" : "no"},
        {"experiment", checkpoint->experiment},
        {"validated_step", validated},
        {"stale_validations", stale},
        {"best_step", best_step},
        {"best_score", best_score},
    };
    mn_text_pair metadata[MOST_PAIRS];
    size_t n_pairs = sizeof known / sizeof *known;
    if (checkpoint->best == NULL)
        n_pairs -= 2;
    memcpy(metadata, known, n_pairs * sizeof *known);
    if (n_more > 0)
        memcpy(metadata + n_pairs, more, n_more * sizeof *more);
    n_pairs += n_more;
    for (size_t i = 0; checkpoint->notes != NULL && i < checkpoint->notes->n; i++)
        metadata[n_pairs++] = checkpoint->notes->at[i];
    return mn_tensor_file_write(path, n_tensors, tensors, n_pairs, metadata, err);
}

/* Files of later steps are damaged ones that the run fell back behind; they are left until they are
 * written anew. */
static void prune(const char *folder, uint64_t newest, uint32_t keep)
{
    uint64_t *steps = NULL;
    size_t n = 0;
    uint32_t kept = 0;
    if (mn_checkpoint_list(folder, &steps, &n, NULL) != MN_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        char path[PATH_MAX];
        if (steps[i] > newest || kept++ < keep)
            continue;
        if (mn_checkpoint_path(folder, steps[i], path, NULL) == MN_OK && unlink(path) != 0)
            mn_log(MN_LOG_WARN, "old checkpoint %s stays: %s", path, strerror(errno));
    }
    free(steps);
}

/* What jobs that were killed left half written; of jobs that live only ours writes here. */
static void sweep(const char *folder)
{
    const struct dirent *entry = NULL;
    DIR *listing = opendir(folder);
    while (listing != NULL && (entry = readdir(listing)) != NULL)
        if (fnmatch("step-*.safetensors.tmp-*", entry->d_name, 0) == 0)
            (void)unlinkat(dirfd(listing), entry->d_name, 0);
    if (listing != NULL)
        (void)closedir(listing);
}

static bool is_like(const mn_tensor *found, const mn_tensor *wanted)
{
    return found != NULL && found->dtype == MN_F32 && found->rank == wanted->rank &&
           memcmp(found->shape, wanted->shape, wanted->rank * sizeof *wanted->shape) == 0;
}

/* A part is there whole or not at all. */
static mn_status read_part(const mn_tensor_file *file, const char *path, const struct part *part,
                           const mn_theta_layout *layout, float **out, mn_error *err)
{
    float *vector = NULL;
    float *next = NULL;
    for (size_t i = 0; i < layout->n_tensors; i++) {
        mn_tensor wanted;
        mn_status status = name_tensor(part, &layout->tensors[i], &wanted, err);
        if (status != MN_OK) {
            free(vector);
            return status;
        }
        const mn_tensor *found = mn_tensor_file_find(file, wanted.name);
        if (found == NULL && vector == NULL && i == 0)
            return MN_OK;
        if (!is_like(found, &wanted)) {
            free(vector);
            return mn_fail(err, MN_ERR_DATA, "%s: tensor %s is %s", path, wanted.name,
                           found == NULL ? "missing" : "of another type or shape than the model's");
        }
        if (vector == NULL) {
            next = vector = malloc(layout->n * sizeof *vector);
            if (vector == NULL)
                return mn_fail(err, MN_ERR_NOMEM, "%s: %zu floats", path, layout->n);
        }
        size_t count = (size_t)mn_tensor_count(found);
        memcpy(next, found->data, count * sizeof *next);
        next += count;
    }
    *out = vector;
    return MN_OK;
}

/* What stands before the names of all tensors; NULL: `tensor` is not there under any. What is judged
 * of a checkpoint is preferred, as by mnemo evaluate. */
static const char *find_prefix(const mn_tensor_file *file, const mn_tensor *tensor)
{
    static const char *const prefixes[] = {
        "average.",          "",      "module.", "_orig_mod.", "module._orig_mod.",
        "_orig_mod.module.", "model."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        char name[2 * sizeof tensor->name];
        (void)snprintf(name, sizeof name, "%s%s", prefixes[i], tensor->name);
        if (mn_tensor_file_find(file, name) != NULL)
            return prefixes[i];
    }
    return NULL;
}

static bool is_shaped(const mn_tensor *found, const mn_tensor *wanted)
{
    return found->rank == wanted->rank &&
           memcmp(found->shape, wanted->shape, wanted->rank * sizeof *wanted->shape) == 0;
}

static mn_status check_finite(const char *path, const char *name, size_t n, const float *values,
                              mn_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return mn_fail(err, MN_ERR_DATA, "%s: tensor %s holds a number that is not finite",
                           path, name);
    return MN_OK;
}

static mn_status read_foreign(const mn_tensor_file *file, const char *path,
                              const mn_theta_layout *layout, float **theta, mn_error *err)
{
    const char *prefix = find_prefix(file, &layout->tensors[0]);
    if (prefix == NULL)
        return mn_fail(err, MN_ERR_DATA,
                       "%s holds no tensor %s: expected theta by the names and shapes of this "
                       "network, as mnemo export writes it",
                       path, layout->tensors[0].name);
    float *vector = malloc(layout->n * sizeof *vector);
    float *next = vector;
    mn_status status = MN_OK;
    if (vector == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%s: %zu floats", path, layout->n);
    for (size_t i = 0; i < layout->n_tensors && status == MN_OK; i++) {
        const mn_tensor *wanted = &layout->tensors[i];
        const size_t n = (size_t)mn_tensor_count(wanted);
        char name[2 * sizeof wanted->name];
        (void)snprintf(name, sizeof name, "%s%s", prefix, wanted->name);
        const mn_tensor *found = mn_tensor_file_find(file, name);
        if (found == NULL || !is_shaped(found, wanted))
            status = mn_fail(err, MN_ERR_DATA, "%s: tensor %s is %s", path, name,
                             found == NULL ? "missing" : "of another shape than the model's");
        else if (!mn_tensor_floats(found, next))
            status = mn_fail(err, MN_ERR_DATA,
                             "%s: tensor %s holds whole numbers: expected F32, F64, F16 or BF16",
                             path, name);
        else
            status = check_finite(path, name, n, next, err);
        next += n;
    }
    if (status != MN_OK) {
        free(vector);
        return status;
    }
    mn_log(MN_LOG_INFO, "%s is no checkpoint of mnemo's own: theta is taken by name%s%s", path,
           prefix[0] != '\0' ? ", without the prefix " : "", prefix);
    *theta = vector;
    return MN_OK;
}

/* theta where `file` has this tensor, [count], or one row of it, [count / shape[0]]. */
static bool take_fitting(const mn_tensor *found, const mn_tensor *wanted, float *theta)
{
    const size_t n = (size_t)mn_tensor_count(wanted);
    if (found == NULL)
        return false;
    if (is_shaped(found, wanted))
        return mn_tensor_floats(found, theta);
    if (wanted->rank != found->rank + 1 ||
        memcmp(found->shape, wanted->shape + 1, found->rank * sizeof *found->shape) != 0 ||
        !mn_tensor_floats(found, theta))
        return false;
    const size_t row = (size_t)mn_tensor_count(found);
    for (size_t done = row; done < n; done += row)
        memcpy(theta + done, theta, row * sizeof *theta);
    return true;
}

mn_status mn_checkpoint_take_fitting(const char *path, const mn_theta_layout *layout, float *theta,
                                     mn_error *err)
{
    mn_tensor_file *file = NULL;
    mn_status status = mn_tensor_file_read(path, &file, err);
    if (status != MN_OK)
        return status;
    size_t taken = 0;
    const char *left = NULL;
    for (size_t i = 0; i < layout->n_tensors && status == MN_OK; i++) {
        const mn_tensor *wanted = &layout->tensors[i];
        const size_t n = (size_t)mn_tensor_count(wanted);
        const char *prefix = find_prefix(file, wanted);
        char name[2 * sizeof wanted->name];
        (void)snprintf(name, sizeof name, "%s%s", prefix != NULL ? prefix : "", wanted->name);
        if (take_fitting(mn_tensor_file_find(file, name), wanted, theta)) {
            status = check_finite(path, name, n, theta, err);
            taken++;
        } else if (left == NULL) {
            left = wanted->name;
        }
        theta += n;
    }
    if (status == MN_OK && taken == 0)
        status = mn_fail(err, MN_ERR_DATA,
                         "%s: no tensor is of a name and shape that this network has too", path);
    if (status == MN_OK)
        mn_log(MN_LOG_INFO, "%zu of %zu tensors are taken from %s%s%s", taken, layout->n_tensors,
               path, left != NULL ? "; drawn anew are the others, the first of them " : "",
               left != NULL ? left : "");
    mn_tensor_file_destroy(&file);
    return status;
}

static bool read_number(const mn_tensor_file *file, const char *key, uint64_t *out)
{
    const char *text = mn_tensor_file_metadata(file, key);
    char *end = NULL;
    if (text == NULL || *text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool read_digest(const mn_tensor_file *file, const char *key, mn_digest *out)
{
    const char *text = mn_tensor_file_metadata(file, key);
    return text != NULL && mn_digest_read(text, out);
}

static mn_status read_metadata(const mn_tensor_file *file, const char *path, mn_checkpoint *out,
                               mn_error *err)
{
    const char *mixed = mn_tensor_file_metadata(file, "mixed");
    const char *experiment = mn_tensor_file_metadata(file, "experiment");
    const char *best_score = mn_tensor_file_metadata(file, "best_score");
    const struct {
        const char *key;
        uint64_t *out;
    } numbers[] = {{"step", &out->step},
                   {"optimiser_taken", &out->optimiser_taken},
                   {"seed", &out->seed},
                   {"validated_step", &out->validated_step},
                   {"best_step", &out->best_step}};
    size_t n_numbers = sizeof numbers / sizeof *numbers - (best_score == NULL ? 1 : 0);
    const char *missing = mixed == NULL ? "mixed" : experiment == NULL ? "experiment" : NULL;
    for (size_t i = 0; i < n_numbers; i++)
        if (!read_number(file, numbers[i].key, numbers[i].out))
            missing = numbers[i].key;
    const struct {
        const char *key;
        uint64_t *out;
    } later[] = {{"skipped_steps", &out->skipped_steps}, /* older files have none */
                 {"stale_validations", &out->stale_validations}};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (mn_tensor_file_metadata(file, later[i].key) != NULL &&
            !read_number(file, later[i].key, later[i].out))
            missing = later[i].key;
    if (!read_digest(file, "data", &out->data))
        missing = "data";
    if (!read_digest(file, "numeric_class", &out->numeric_class))
        missing = "numeric_class";
    if (missing != NULL)
        return mn_fail(err, MN_ERR_DATA, "%s: metadata \"%s\" is missing or makes no sense", path,
                       missing);
    out->mixed = strcmp(mixed, "yes") == 0;
    if (best_score != NULL)
        out->best_score = strtod(best_score, NULL);
    out->experiment = strdup(experiment);
    return out->experiment == NULL ? mn_fail(err, MN_ERR_NOMEM, "%s", path) : MN_OK;
}

static mn_status may_go_on(const char *path, const char *text, const mn_experiment *now,
                           mn_error *err)
{
    mn_experiment then;
    mn_error reason;
    mn_experiment_init(&then);
    mn_status status = mn_experiment_parse(&then, path, text, strlen(text), &reason);
    if (status == MN_OK)
        status = mn_experiment_may_resume(&then, now, &reason);
    return status == MN_OK ? MN_OK : mn_fail(err, MN_ERR_CONFIG, "%s", reason.message);
}

/* What has changed since may be what gives theta other shapes: then that is the reason. */
static mn_status may_judge(const char *path, const mn_tensor_file *file, const mn_experiment *now,
                           const mn_theta_layout *layout, mn_error *err)
{
    const char *text = mn_tensor_file_metadata(file, "experiment");
    char changes[1024] = "";
    mn_experiment then;
    mn_error reason;
    mn_experiment_init(&then);
    mn_status status = mn_experiment_parse(&then, path, text, strlen(text), &reason);
    if (status == MN_OK)
        status = mn_experiment_may_judge(&then, now, changes, sizeof changes, &reason);
    if (status != MN_OK)
        return mn_fail(err, MN_ERR_CONFIG, "%s", reason.message);
    for (size_t i = 0; i < layout->n_tensors && changes[0] != '\0'; i++)
        if (!is_like(mn_tensor_file_find(file, layout->tensors[i].name), &layout->tensors[i]))
            return mn_fail(err, MN_ERR_CONFIG,
                           "with %s, the network has another tensor %s than %s: its theta cannot "
                           "be judged so; set it back",
                           changes, layout->tensors[i].name, path);
    return MN_OK;
}
