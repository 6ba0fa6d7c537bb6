#include "coordinator/run/training.h"

#include "common/digest.h"
#include "common/exact_sum.h"
#include "common/packed_sum.h"
#include "common/vector_clones.h"
#include "coordinator/run/optimiser.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 2048 }; /* parameters */

/* A tensor that is a running statistic. */
struct statistic {
    size_t begin, n; /* columns of theta */
    size_t renewed;  /* where its new values begin */
    float share;     /* of the way to the tasks' that a step goes */
};

struct mn_training {
    const mn_experiment *experiment;
    const mn_learner *learner;
    mn_optimiser *optimiser;
    mn_tensor *tensors; /* [mn_learner_tensors] */
    size_t size;
    size_t train_columns, test_columns;
    const mn_score_list *scores;  /* of training; the learner's */
    struct statistic *statistics; /* [n_statistics], by their places; owned */
    size_t n_statistics;
    float *renewed;          /* [of all statistics]: after the outer step at hand; owned */
    double *means_of_scores; /* [scores->n], of the last outer step; owned */
    uint64_t step;
    uint64_t skipped_steps; /* the last so many had no task that counts */
    float *theta;           /* [size] */
    float *average;         /* [size], of theta; NULL: not asked for */
    float *best;            /* [size], of best_step; without meaning unless has_best */
    float *means;           /* [size] */
    int64_t *row;           /* [2, test_columns]: one row of an evaluation as digits */
    int64_t *sums;          /* lent */
    float *rows;     /* [MN_EXACT_ROWS, train_columns], if a TRAIN round has no more; owned */
    uint32_t n_rows; /* of the open round that its sums lack */
    bool alone;      /* no other rank's sums come to these */
    bool empty;      /* nothing was added yet, and the sums of a TRAIN round are not even cleared */
    mn_round round;  /* open */
    double taken, skipped; /* tasks, of the outer step at hand */
    size_t stepped;        /* parameters whose means the optimiser has */
    bool stepping;
    bool has_best;
    uint64_t best_step, validated_step;
    uint64_t stale_validations; /* the last so many were no better than the best before */
    double best_score;
};

static mn_status find_statistics(mn_training *training, mn_error *err);
static mn_status spare_vectors(mn_training *training, mn_error *err);
static void take_statistics(mn_training *training, size_t at, size_t n);
static void put_statistics(mn_training *training);
static void average_theta(mn_training *training);
static void draw_to(size_t n, float share, const float *x, float *y);
static bool tells_of_each_task(const mn_result *result, const void *payload);
static mn_status check_packed(const mn_result *result, const uint8_t *packed, size_t n_bytes,
                              mn_error *err);
static void add_packed(mn_training *training, const uint8_t *packed, size_t n_bytes);
static float *copy_out(const mn_training *training, const float *inside);
static void add_rows(mn_training *training, uint32_t begin, const mn_result *result,
                     const float *rows);
static void keep_rows(mn_training *training, uint32_t n, const float *rows);
static void add_to_sums(mn_training *training, uint32_t n, const float *rows);
static double sum_of_column(const mn_training *training, size_t column);
static mn_status nothing_was_learned(const mn_training *training, mn_error *err);

mn_status mn_training_new(const mn_experiment *experiment, const mn_learner *learner,
                          mn_training **out, mn_error *err)
{
    size_t n_tensors = mn_learner_tensors(learner);
    mn_training *training = calloc(1, sizeof *training);
    if (training == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "state of training");
    training->experiment = experiment;
    training->learner = learner;
    training->size = mn_learner_size(learner);
    training->train_columns = mn_learner_train_columns(learner);
    training->test_columns = mn_learner_test_columns(learner);
    training->scores = mn_learner_train_scores(learner);
    training->means_of_scores = calloc(training->scores->n, sizeof *training->means_of_scores);
    training->tensors = calloc(n_tensors, sizeof *training->tensors);
    training->theta = calloc(training->size, sizeof(float));
    training->best = calloc(training->size, sizeof(float));
    training->means = calloc(training->size, sizeof(float));
    if (experiment->outer.average > 0)
        training->average = calloc(training->size, sizeof(float));
    training->row = calloc(2 * training->test_columns, sizeof(int64_t));
    const bool few = experiment->outer.batch <= MN_EXACT_ROWS;
    if (few)
        training->rows = calloc(MN_EXACT_ROWS * training->train_columns, sizeof(float));
    mn_status status = MN_OK;
    if (training->tensors == NULL || training->theta == NULL || training->best == NULL ||
        training->means == NULL || training->row == NULL || training->means_of_scores == NULL ||
        (experiment->outer.average > 0 && training->average == NULL) ||
        (few && training->rows == NULL))
        status = mn_fail(err, MN_ERR_NOMEM, "state of training of %zu parameters", training->size);
    if (status == MN_OK)
        status = find_statistics(training, err);
    if (status == MN_OK)
        status = mn_optimiser_new(experiment, training->size, &training->optimiser, err);
    if (status == MN_OK && experiment->outer.decays == MN_DECAYS_WEIGHTS)
        status = spare_vectors(training, err);
    if (status != MN_OK) {
        mn_training_destroy(&training);
        return status;
    }
    for (size_t i = 0; i < n_tensors; i++)
        training->tensors[i] = *mn_learner_tensor(learner, i);
    mn_learner_init_theta(learner, experiment->seed, training->theta);
    average_theta(training);
    *out = training;
    return MN_OK;
}

void mn_training_destroy(mn_training **training)
{
    if (*training == NULL)
        return;
    mn_optimiser_destroy(&(*training)->optimiser);
    free((*training)->tensors);
    free((*training)->theta);
    free((*training)->average);
    free((*training)->best);
    free((*training)->means);
    free((*training)->means_of_scores);
    free((*training)->statistics);
    free((*training)->renewed);
    free((*training)->row);
    free((*training)->rows);
    free(*training);
    *training = NULL;
}

mn_theta_layout mn_training_layout(const mn_training *training)
{
    return (mn_theta_layout){.n_tensors = mn_learner_tensors(training->learner),
                             .tensors = training->tensors,
                             .n = training->size};
}

mn_status mn_training_restore(mn_training *training, const mn_checkpoint *checkpoint, mn_error *err)
{
    const float *const states[MN_OPTIMISER_VECTORS] = {checkpoint->m, checkpoint->v};
    assert(checkpoint->n == training->size && checkpoint->theta != NULL);
    for (size_t i = 0; i < MN_OPTIMISER_VECTORS; i++) {
        float *vector = mn_optimiser_vector(training->optimiser, i);
        if (vector == NULL)
            continue;
        if (states[i] == NULL)
            return mn_fail(err, MN_ERR_DATA,
                           "the checkpoint of step %" PRIu64 " lacks the optimiser's vector %s",
                           checkpoint->step, mn_optimiser_vector_name(i));
        mn_learner_import(training->learner, states[i], vector);
    }
    if (training->average != NULL && checkpoint->average == NULL)
        return mn_fail(err, MN_ERR_DATA,
                       "the checkpoint of step %" PRIu64 " lacks the average of theta, which "
                       "outer.average asks for",
                       checkpoint->step);
    if (training->average != NULL)
        mn_learner_import(training->learner, checkpoint->average, training->average);
    mn_optimiser_set_taken(training->optimiser, checkpoint->optimiser_taken);
    mn_learner_import(training->learner, checkpoint->theta, training->theta);
    training->has_best = checkpoint->best != NULL;
    if (training->has_best)
        mn_learner_import(training->learner, checkpoint->best, training->best);
    training->best_step = checkpoint->best_step;
    training->best_score = checkpoint->best_score;
    training->validated_step = checkpoint->validated_step;
    training->stale_validations = checkpoint->stale_validations;
    training->skipped_steps = checkpoint->skipped_steps;
    training->step = checkpoint->step;
    return MN_OK;
}

void mn_training_begin_with(mn_training *training, const float *theta)
{
    assert(training->step == 0);
    mn_learner_import(training->learner, theta, training->theta);
    average_theta(training);
}

mn_status mn_training_save(const mn_training *training, mn_checkpoint *out, mn_error *err)
{
    assert(!training->stepping);
    float **const states[MN_OPTIMISER_VECTORS] = {&out->m, &out->v};
    *out = (mn_checkpoint){.step = training->step,
                           .optimiser_taken = mn_optimiser_taken(training->optimiser),
                           .skipped_steps = training->skipped_steps,
                           .seed = training->experiment->seed,
                           .validated_step = training->validated_step,
                           .stale_validations = training->stale_validations,
                           .best_step = training->best_step,
                           .best_score = training->best_score,
                           .n = training->size,
                           .theta = copy_out(training, training->theta)};
    bool whole = out->theta != NULL;
    for (size_t i = 0; i < MN_OPTIMISER_VECTORS; i++) {
        const float *vector = mn_optimiser_vector(training->optimiser, i);
        if (vector == NULL)
            continue;
        *states[i] = copy_out(training, vector);
        whole = whole && *states[i] != NULL;
    }
    if (training->average != NULL) {
        out->average = copy_out(training, training->average);
        whole = whole && out->average != NULL;
    }
    if (training->has_best) {
        out->best = copy_out(training, training->best);
        whole = whole && out->best != NULL;
    }
    if (whole)
        return MN_OK;
    mn_checkpoint_fini(out);
    return mn_fail(err, MN_ERR_NOMEM, "checkpoint of %zu parameters", training->size);
}

void mn_training_suspects(const mn_training *training, char *text, size_t n)
{
    const mn_experiment *experiment = training->experiment;
    char outer[64] = "",
         data[sizeof experiment->tasks.data + 48] = "the tasks have too large numbers";
    if (mn_optimiser_taken(training->optimiser) > 0) /* else theta is as it began */
        (void)snprintf(outer, sizeof outer, " or outer.lr=%g", experiment->outer.lr);
    if (experiment->tasks.data[0] != '\0')
        (void)snprintf(data, sizeof data, "tasks.data=%s has bad numbers", experiment->tasks.data);
    (void)snprintf(text, n, "meta.inner_lr=%g%s is likely too high, or %s",
                   experiment->meta.inner_lr, outer, data);
}

size_t mn_training_max_digits(const mn_training *training)
{
    uint32_t tasks = training->experiment->evaluate.tasks;
    if (training->experiment->evaluate.val_tasks > tasks)
        tasks = training->experiment->evaluate.val_tasks;
    size_t columns = tasks * training->test_columns;
    return 2 * (columns > training->train_columns ? columns : training->train_columns);
}

void mn_training_use(mn_training *training, int64_t *sums, bool alone)
{
    training->sums = sums;
    training->alone = alone;
}

uint64_t mn_training_step(const mn_training *training)
{
    return training->step;
}

size_t mn_training_size(const mn_training *training)
{
    return training->size;
}

const mn_score_list *mn_training_scores(const mn_training *training)
{
    return training->scores;
}

uint64_t mn_training_validated(const mn_training *training)
{
    return training->validated_step;
}

bool mn_training_has_enough(const mn_training *training)
{
    const uint32_t patience = training->experiment->evaluate.patience;
    return patience > 0 && training->stale_validations >= patience;
}

const float *mn_training_theta(const mn_training *training, uint64_t version)
{
    if (version == training->step)
        return training->theta;
    if (version == (training->step | MN_AVERAGE))
        return mn_training_judged_theta(training);
    return version == training->step + 1 ? mn_training_final_theta(training) : NULL;
}

const float *mn_training_judged_theta(const mn_training *training)
{
    return training->average != NULL ? training->average : training->theta;
}

const float *mn_training_final_theta(const mn_training *training)
{
    return training->experiment->evaluate.keep_best && training->has_best
               ? training->best
               : mn_training_judged_theta(training);
}

void mn_training_name_final(const mn_training *training, char name[MN_THETA_NAME])
{
    if (training->experiment->evaluate.keep_best && training->has_best)
        (void)snprintf(name, MN_THETA_NAME, "best on validation, of meta-step %" PRIu64,
                       training->best_step);
    else
        mn_training_name_judged(training, name);
}

void mn_training_name_judged(const mn_training *training, char name[MN_THETA_NAME])
{
    (void)snprintf(name, MN_THETA_NAME, "%s, of meta-step %" PRIu64,
                   training->average != NULL ? "average" : "last", training->step);
}

bool mn_training_best(const mn_training *training, double *score, uint64_t *step)
{
    *score = training->best_score;
    *step = training->best_step;
    return training->has_best;
}

mn_status mn_training_check(const mn_result *result, const void *payload, size_t payload_bytes,
                            mn_error *err)
{
    size_t columns = result->n_columns;
    bool exact = result->encoding == MN_ENCODING_EXACT;
    if (result->encoding == MN_ENCODING_PACKED)
        return check_packed(result, payload, payload_bytes, err);
    size_t numbers = exact ? 2 * columns : columns * result->n_tasks;
    size_t bytes = numbers * (exact ? sizeof(int64_t) : sizeof(float));
    if (payload == NULL || payload_bytes != bytes)
        return mn_fail(err, MN_ERR_DATA, "a result of %zu bytes, expected %zu", payload_bytes,
                       bytes);
    if ((exact ? mn_exact_plausible(columns, payload, result->n_tasks)
               : mn_exact_accepts(numbers, payload)) &&
        tells_of_each_task(result, payload))
        return MN_OK;
    return mn_fail(err, MN_ERR_DATA, "a result holds numbers that no task gives");
}

void mn_training_open(mn_training *training, const mn_round *round)
{
    training->round = *round;
    training->empty = true;
    training->n_rows = 0;
    if (round->kind == MN_ROUND_TEST)
        mn_training_close(training);
}

void mn_training_close(mn_training *training)
{
    if (training->empty && training->n_rows > 0 && training->alone)
        return; /* the step is taken by the rows */
    if (training->empty)
        memset(training->sums, 0, mn_training_digits(training) * sizeof *training->sums);
    training->empty = false;
    add_to_sums(training, training->n_rows, training->rows);
    training->n_rows = 0;
}

void mn_training_add(mn_training *training, uint32_t begin, const mn_result *result,
                     const void *payload, size_t payload_bytes)
{
    size_t columns = training->train_columns;
    if (training->round.kind == MN_ROUND_TEST) {
        add_rows(training, begin, result, payload);
    } else if (result->encoding == MN_ENCODING_ROWS) {
        keep_rows(training, result->n_tasks, payload);
    } else if (result->encoding == MN_ENCODING_PACKED) {
        add_packed(training, payload, payload_bytes);
    } else if (training->empty) {
        memcpy(training->sums, payload, 2 * columns * sizeof *training->sums);
        training->empty = false;
    } else {
        mn_exact_merge(2 * columns, payload, training->sums);
    }
}

size_t mn_training_digits(const mn_training *training)
{
    return 2 * (training->round.kind == MN_ROUND_TRAIN
                    ? training->train_columns
                    : training->round.n_tasks * training->test_columns);
}

uint64_t mn_training_checksum(const mn_training *training)
{
    return mn_checksum(training->theta, training->size * sizeof *training->theta);
}

mn_status mn_training_step_outer(mn_training *training, mn_step_record *record, mn_error *err)
{
    mn_training_close(training);
    mn_status status = mn_training_begin_outer(training, err);
    if (status == MN_OK)
        mn_training_end_outer(training, record);
    return status;
}

mn_status mn_training_begin_outer(mn_training *training, mn_error *err)
{
    double taken = sum_of_column(training, training->train_columns - 2);
    double skipped = sum_of_column(training, training->train_columns - 1);
    assert(!training->stepping);
    if (taken + skipped != training->round.n_tasks)
        return mn_fail(err, MN_ERR_INTERNAL,
                       "meta-step %" PRIu64 ": the sums are of %.0f tasks instead of %" PRIu32
                       ". This is a fault of mnemo; please report it",
                       training->step + 1, taken + skipped, training->round.n_tasks);
    if (skipped > 0 && training->experiment->outer.nonfinite == MN_NONFINITE_ABORT)
        return mn_fail(
            err, MN_ERR_NUMERIC,
            "meta-step %" PRIu64 ": loss or meta-gradient of %.0f of %" PRIu32
            " tasks is not finite or beyond 2^24, and outer.nonfinite is abort. A smaller "
            "meta.inner_lr or outer.lr may help; outer.nonfinite=skip leaves such tasks out",
            training->step + 1, skipped, training->round.n_tasks);
    if (taken == 0) {
        mn_status status = nothing_was_learned(training, err);
        if (status != MN_OK)
            return status;
    }
    training->taken = taken;
    training->skipped = skipped;
    training->stepped = 0;
    training->stepping = true;
    if (taken > 0)
        mn_optimiser_begin(training->optimiser,
                           mn_learning_rate(training->experiment, training->step));
    return MN_OK;
}

/* Where they are made: the only row is one itself, and its cache lines are at hand. */
static float *means_of(const mn_training *training)
{
    return training->n_rows == 1 ? training->rows : training->means;
}

/* In blocks that stay in the first-level cache from the digits to the parameters. */
void mn_training_advance_outer(mn_training *training, size_t arrived)
{
    const int64_t *high = training->sums, *low = high + training->train_columns;
    float *means = means_of(training);
    size_t end = arrived < training->size ? arrived : training->size;
    assert(training->stepping);
    if (end < training->size)
        end -= end % MN_OPTIMISER_PIECE;
    while (training->taken > 0 && training->stepped < end) {
        size_t at = training->stepped, n = end - at < BLOCK ? end - at : BLOCK;
        if (training->n_rows == 1)
            mn_exact_mean_of_one(n, means + at);
        else if (training->n_rows > 1)
            mn_exact_mean_of_rows(n, training->n_rows, training->rows + at, training->train_columns,
                                  training->taken, means + at);
        else
            mn_exact_mean(n, high + at, low + at, training->taken, means + at);
        take_statistics(training, at, n);
        mn_optimiser_take(training->optimiser, n, means, training->theta);
        training->stepped += n;
    }
}

void mn_training_end_outer(mn_training *training, mn_step_record *record)
{
    double taken = training->taken;
    mn_outer_step step = {.lr = mn_learning_rate(training->experiment, training->step)};
    mn_training_advance_outer(training, training->size);
    if (taken > 0)
        mn_optimiser_end(training->optimiser, means_of(training), training->theta, &step);
    if (taken > 0)
        put_statistics(training);
    if (taken > 0)
        average_theta(training);
    training->stepping = false;
    training->step++;
    training->skipped_steps = taken > 0 ? 0 : training->skipped_steps + 1;
    record->step = training->step;
    for (uint32_t i = 0; i < training->scores->n; i++)
        training->means_of_scores[i] = sum_of_column(training, training->size + i) / taken;
    record->scores = training->means_of_scores;
    record->lr = step.lr;
    record->grad_norm = step.grad_norm;
    record->skipped = (uint32_t)training->skipped;
    record->theta = mn_training_checksum(training);
}

/* Running statistics are no matter of the optimiser's: it is told of a gradient of zero for them,
 * and they are set when it has done. */

static mn_status find_statistics(mn_training *training, mn_error *err)
{
    const size_t n = mn_learner_tensors(training->learner);
    size_t at = 0, total = 0;
    training->statistics = calloc(n + 1, sizeof *training->statistics);
    if (training->statistics == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "list of statistics");
    for (size_t i = 0; i < n; i++) {
        const size_t count = (size_t)mn_tensor_count(mn_learner_tensor(training->learner, i));
        if (mn_learner_is_statistic(training->learner, i)) {
            training->statistics[training->n_statistics++] = (struct statistic){
                .begin = at,
                .n = count,
                .renewed = total,
                .share = (float)mn_learner_statistic_share(training->learner, i)};
            total += count;
        }
        at += count;
    }
    training->renewed = calloc(total + 1, sizeof *training->renewed);
    return training->renewed != NULL ? MN_OK : mn_fail(err, MN_ERR_NOMEM, "list of statistics");
}

/* Biases and scales are of one dimension. */
static mn_status spare_vectors(mn_training *training, mn_error *err)
{
    mn_status status = MN_OK;
    size_t at = 0;
    for (size_t i = 0; i < mn_learner_tensors(training->learner) && status == MN_OK; i++) {
        const mn_tensor *tensor = mn_learner_tensor(training->learner, i);
        const size_t count = (size_t)mn_tensor_count(tensor);
        if (tensor->rank < 2)
            status = mn_optimiser_spare(training->optimiser, at, count, err);
        at += count;
    }
    return status;
}

/* The means of columns [at, at + n) have been made, and the optimiser has not seen them. */
static void take_statistics(mn_training *training, size_t at, size_t n)
{
    float *means = means_of(training);
    for (size_t i = 0; i < training->n_statistics; i++) {
        const struct statistic *statistic = &training->statistics[i];
        for (size_t k = 0; k < statistic->n; k++) {
            const size_t column = statistic->begin + k;
            if (column < at || column >= at + n)
                continue;
            training->renewed[statistic->renewed + k] =
                training->theta[column] - statistic->share * means[column];
            means[column] = 0;
        }
    }
}

static void put_statistics(mn_training *training)
{
    for (size_t i = 0; i < training->n_statistics; i++) {
        const struct statistic *statistic = &training->statistics[i];
        memcpy(training->theta + statistic->begin, training->renewed + statistic->renewed,
               statistic->n * sizeof *training->theta);
    }
}

/* After outer step t = 1, 2, ..., Polyak and Juditsky's average with a decay:
 *   average += max(1 - decay, 1 / t) (theta - average)
 * so that it is the mean of all thetas at first, and forgets theta_0, which is no result of training.
 * Running statistics are averaged as the weights that they belong to: those of the last steps are
 * of other features than the averaged weights give. */
static void average_theta(mn_training *training)
{
    const double taken = (double)mn_optimiser_taken(training->optimiser);
    const double least = taken > 1 ? 1 / taken : 1;
    const double share = 1 - training->experiment->outer.average;
    if (training->average != NULL)
        draw_to(training->size, (float)(share > least ? share : least), training->theta,
                training->average);
}

MN_VECTOR_CLONES
static void draw_to(size_t n, float share, const float *restrict x, float *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += share * (x[i] - y[i]);
}

mn_status mn_training_judge(mn_training *training, mn_evaluation *out, bool *best, mn_error *err)
{
    uint32_t n_tasks = training->round.n_tasks;
    size_t numbers = n_tasks * training->test_columns;
    double *rows = malloc(numbers * sizeof *rows);
    if (rows == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "table of %" PRIu32 " tasks", n_tasks);
    for (size_t i = 0; i < numbers; i++)
        rows[i] = mn_exact_value(numbers, training->sums, i);
    const mn_split split = training->round.split == MN_TEST ? training->experiment->evaluate.split
                                                            : training->round.split;
    mn_status status = mn_evaluation_from_rows(mn_learner_test_scores(training->learner), split,
                                               n_tasks, rows, out, err);
    if (status == MN_OK)
        out->rows = rows;
    else
        free(rows);

    *best = false;
    if (status != MN_OK || training->round.split != MN_VAL)
        return status;
    double score = mn_evaluation_score(out, training->experiment->evaluate.choose);
    training->validated_step = training->step;
    training->stale_validations++;
    if (out->n_counted > 0 && (!training->has_best || score > training->best_score)) {
        memcpy(training->best, mn_training_judged_theta(training),
               training->size * sizeof *training->best);
        training->best_score = score;
        training->best_step = training->step;
        training->has_best = *best = true;
        training->stale_validations = 0;
    }
    return MN_OK;
}

static_assert(BLOCK % MN_OPTIMISER_PIECE == 0, "pieces of blocks");

/* The last two columns of any row: its task was taken, or it was skipped. So a sum has whole numbers
 * there. */
static bool tells_of_each_task(const mn_result *result, const void *payload)
{
    size_t columns = result->n_columns;
    if (columns < 2)
        return false;
    if (result->encoding == MN_ENCODING_EXACT) {
        int64_t taken, skipped;
        return mn_exact_is_whole(columns, payload, columns - 2, &taken) &&
               mn_exact_is_whole(columns, payload, columns - 1, &skipped) && taken >= 0 &&
               skipped >= 0 && taken + skipped == result->n_tasks;
    }
    for (uint32_t i = 0; i < result->n_tasks; i++) {
        const float *end = (const float *)payload + (i + 1) * columns;
        if (!((end[-2] == 1 && end[-1] == 0) || (end[-2] == 0 && end[-1] == 1)))
            return false;
    }
    return true;
}

/* Block by block, twice: of a long sum the digits have no room of their own. */
static mn_status check_packed(const mn_result *result, const uint8_t *packed, size_t n_bytes,
                              mn_error *err)
{
    mn_packed_reader reader = {.at = packed, .end = packed + n_bytes, .left = result->n_columns};
    int64_t flags[2] = {0, 0}; /* of the last two columns: taken, skipped */
    bool whole[2] = {false, false};
    bool plausible = packed != NULL && result->n_columns >= 2;
    for (size_t size; plausible && (size = mn_packed_next(&reader)) > 0;) {
        int64_t digits[2 * MN_PACKED_BLOCK];
        if (!mn_packed_take(&reader, digits, digits + size))
            return mn_fail(err, MN_ERR_DATA, "a packed sum that cannot be unpacked");
        plausible = mn_exact_plausible(size, digits, result->n_tasks);
        for (size_t i = size < 2 ? 0 : size - 2; i < size; i++) {
            flags[0] = flags[1];
            whole[0] = whole[1];
            whole[1] = mn_exact_is_whole(size, digits, i, &flags[1]);
        }
    }
    if (plausible && whole[0] && whole[1] && flags[0] >= 0 && flags[1] >= 0 &&
        flags[0] + flags[1] == result->n_tasks)
        return MN_OK;
    return mn_fail(err, MN_ERR_DATA, "a packed sum of numbers that no task gives");
}

static void add_packed(mn_training *training, const uint8_t *packed, size_t n_bytes)
{
    const size_t columns = training->train_columns;
    int64_t *high = training->sums, *low = high + columns;
    mn_packed_reader reader = {.at = packed, .end = packed + n_bytes, .left = columns};
    if (training->empty) {
        bool whole = mn_packed_sum_read(packed, n_bytes, columns, training->sums);
        assert(whole);
        (void)whole;
        training->empty = false;
        return;
    }
    for (size_t size; (size = mn_packed_next(&reader)) > 0; high += size, low += size) {
        int64_t digits[2 * MN_PACKED_BLOCK];
        bool whole = mn_packed_take(&reader, digits, digits + size);
        assert(whole);
        (void)whole;
        mn_exact_merge(size, digits, high);
        mn_exact_merge(size, digits + size, low);
    }
}

/* In PyTorch's layout; owned by the caller; NULL: out of memory. */
static float *copy_out(const mn_training *training, const float *inside)
{
    float *outside = malloc(training->size * sizeof *outside);
    if (outside != NULL)
        mn_learner_export(training->learner, inside, outside);
    return outside;
}

/* Each row has its own place in the vector [n_tasks, columns] of the round, so adding only puts it
 * there. */
static void add_rows(mn_training *training, uint32_t begin, const mn_result *result,
                     const float *rows)
{
    size_t columns = training->test_columns;
    size_t numbers = training->round.n_tasks * columns;
    assert(result->encoding == MN_ENCODING_ROWS);
    for (uint32_t i = 0; i < result->n_tasks; i++) {
        int64_t *high = training->sums + (begin + i) * columns;
        memset(training->row, 0, 2 * columns * sizeof *training->row);
        mn_exact_add(columns, rows + i * columns, training->row);
        mn_exact_merge(columns, training->row, high);
        mn_exact_merge(columns, training->row + columns, high + numbers);
    }
}

/* Rows of a TRAIN round: few wait for the end of the round, more go to its sums. */
static void keep_rows(mn_training *training, uint32_t n, const float *rows)
{
    if (training->rows != NULL && n <= MN_EXACT_ROWS - training->n_rows) {
        memcpy(training->rows + training->n_rows * training->train_columns, rows,
               n * training->train_columns * sizeof *rows);
        training->n_rows += n;
        return;
    }
    if (training->empty)
        memset(training->sums, 0, mn_training_digits(training) * sizeof *training->sums);
    training->empty = false;
    add_to_sums(training, n, rows);
}

static void add_to_sums(mn_training *training, uint32_t n, const float *rows)
{
    const size_t columns = training->train_columns;
    if (n > 0)
        mn_exact_add_rows(columns, n, rows, columns, training->sums, training->sums + columns);
}

static double sum_of_column(const mn_training *training, size_t column)
{
    int64_t sum[2] = {0, 0};
    for (uint32_t i = 0; i < training->n_rows; i++)
        mn_exact_add(1, training->rows + i * training->train_columns + column, sum);
    if (training->n_rows > 0)
        return mn_exact_value(1, sum, 0);
    return mn_exact_value(training->train_columns, training->sums, column);
}

/* All tasks of this step were skipped: is that the last step? It is told from what a checkpoint holds
 * and the sums alone, so all ranks say the same, and a run that is taken up again says it again. */
static mn_status nothing_was_learned(const mn_training *training, mn_error *err)
{
    uint64_t most = training->experiment->outer.max_skipped_steps;
    uint64_t in_a_row = training->skipped_steps + 1;
    char suspects[512];
    if (most == 0 || (in_a_row < most && in_a_row < training->experiment->outer.steps))
        return MN_OK;
    mn_training_suspects(training, suspects, sizeof suspects);
    return mn_fail(err, MN_ERR_NUMERIC,
                   "meta-step %" PRIu64 ": of %" PRIu64 " in a row all tasks were skipped, so "
                   "nothing is learned: %s. Start a new run with another value "
                   "(outer.max_skipped_steps=0 lets it go on)",
                   training->step + 1, in_a_row, suspects);
}
