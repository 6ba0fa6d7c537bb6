#include "common/learner_card.h"

#include "common/text.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCORES_KEY "mnemo.scores"
#define ONE_SCORE "loss lower number"
#define MAX_SIZE (UINT64_C(1) << 30) /* numbers */

static mn_status take_tensors(mn_learner_card *card, const mn_tensor_file *file, const char *path,
                              mn_error *err);
static mn_status take_scores(mn_learner_card *card, const char *lines, const char *path,
                             mn_error *err);
static mn_status write_text(mn_learner_card *card, mn_error *err);

mn_status mn_learner_card_read(const char *path, mn_learner_card **out, mn_error *err)
{
    mn_tensor_file *file = NULL;
    mn_learner_card *card = calloc(1, sizeof *card);
    mn_status status = card != NULL ? MN_OK : mn_fail(err, MN_ERR_NOMEM, "a learner's card");
    if (status == MN_OK)
        status = mn_tensor_file_read(path, &file, err);
    if (status == MN_OK)
        status = take_tensors(card, file, path, err);
    if (status == MN_OK) {
        const char *lines = mn_tensor_file_metadata(file, SCORES_KEY);
        status = take_scores(card, lines != NULL ? lines : ONE_SCORE, path, err);
    }
    if (status == MN_OK)
        status = write_text(card, err);
    mn_tensor_file_destroy(&file);
    if (status != MN_OK) {
        mn_learner_card_destroy(&card);
        return status;
    }
    *out = card;
    return MN_OK;
}

void mn_learner_card_destroy(mn_learner_card **card)
{
    if (*card == NULL)
        return;
    mn_score_list_fini(&(*card)->scores);
    free((*card)->tensors);
    free((*card)->start);
    free((*card)->text);
    free(*card);
    *card = NULL;
}

mn_digest mn_learner_card_digest(const mn_learner_card *card)
{
    return mn_digest_of(card->text, strlen(card->text));
}

/* ---- tensors */

/* What checkpoint.c puts before the names of what lies beside theta. */
static const char *const others[] = {"optimiser.", "average.", "best."};

/* Names stand in lines with spaces between. */
static mn_status check_tensor(const mn_tensor *tensor, const char *path, mn_error *err)
{
    char name[128];
    (void)mn_text_escape(tensor->name, strlen(tensor->name), name, sizeof name);
    if (tensor->name[0] == '\0' || !mn_text_is_plain(tensor->name) ||
        strchr(tensor->name, ' ') != NULL)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: \"%s\" is no name of a parameter: expected one without spaces", path,
                       name);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strncmp(tensor->name, others[i], strlen(others[i])) == 0)
            return mn_fail(err, MN_ERR_DATA,
                           "%s: names that begin with \"%s\", as \"%s\", are of other vectors in a "
                           "checkpoint: call it otherwise; of a checkpoint, `mnemo export` gives "
                           "theta alone",
                           path, others[i], name);
    if (tensor->dtype != MN_F32)
        return mn_fail(err, MN_ERR_DATA, "%s: \"%s\" is not of float32, as all of theta must be",
                       path, name);
    if (mn_tensor_count(tensor) == 0)
        return mn_fail(err, MN_ERR_DATA, "%s: \"%s\" has no numbers: leave it out", path, name);
    return MN_OK;
}

static mn_status take_tensors(mn_learner_card *card, const mn_tensor_file *file, const char *path,
                              mn_error *err)
{
    const size_t n = mn_tensor_file_count(file);
    if (n == 0 || n > MN_CARD_MAX_TENSORS)
        return mn_fail(err, MN_ERR_DATA, "%s has %zu tensors: expected 1 to %u", path, n,
                       MN_CARD_MAX_TENSORS);
    uint64_t size = 0;
    for (size_t i = 0; i < n; i++) {
        mn_status status = check_tensor(mn_tensor_file_at(file, i), path, err);
        if (status != MN_OK)
            return status;
        size += mn_tensor_count(mn_tensor_file_at(file, i)); /* of a file of at most 16 GiB */
    }
    if (size > MAX_SIZE)
        return mn_fail(err, MN_ERR_DATA, "%s has %" PRIu64 " numbers: expected at most %" PRIu64,
                       path, size, MAX_SIZE);
    card->tensors = calloc(n, sizeof *card->tensors);
    card->start = malloc((size_t)size * sizeof *card->start);
    if (card->tensors == NULL || card->start == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "theta of %" PRIu64 " numbers", size);
    for (size_t i = 0; i < n; i++) {
        const mn_tensor *tensor = mn_tensor_file_at(file, i);
        const size_t count = (size_t)mn_tensor_count(tensor);
        float *start = card->start + card->size;
        memcpy(start, tensor->data, count * sizeof *start);
        for (size_t k = 0; k < count; k++)
            if (!isfinite(start[k]))
                return mn_fail(err, MN_ERR_DATA,
                               "%s: number %zu of \"%s\" is not finite: training cannot begin "
                               "with it",
                               path, k, tensor->name);
        card->tensors[i] = *tensor;
        card->tensors[i].data = NULL;
        card->size += count;
    }
    card->n_tensors = (uint32_t)n;
    return MN_OK;
}

/* ---- scores */

/* The next word of at most `n` bytes before a space or the end; then the spaces behind it. */
static const char *take_word(const char *at, const char *end, char *word, size_t n)
{
    const char *stop = at;
    while (stop < end && *stop != ' ')
        stop++;
    word[0] = '\0';
    if ((size_t)(stop - at) < n) {
        memcpy(word, at, (size_t)(stop - at));
        word[stop - at] = '\0';
    }
    while (stop < end && *stop == ' ')
        stop++;
    return stop;
}

static bool is_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    return name[0] != '\0' && strspn(name, letters) == strlen(name);
}

static bool read_score(const char *line, size_t n, mn_score *out)
{
    char better[8];
    char kind[8];
    const char *end = line + n;
    const char *at = take_word(line, end, out->name, sizeof out->name);
    at = take_word(at, end, better, sizeof better);
    at = take_word(at, end, kind, sizeof kind);
    if ((size_t)(end - at) >= sizeof out->unit)
        return false;
    memcpy(out->unit, at, (size_t)(end - at));
    out->higher_is_better = strcmp(better, "higher") == 0;
    out->is_share = strcmp(kind, "share") == 0;
    return is_name(out->name) && mn_text_is_plain(out->unit) &&
           (out->higher_is_better || strcmp(better, "lower") == 0) &&
           (out->is_share || strcmp(kind, "number") == 0);
}

static mn_status take_scores(mn_learner_card *card, const char *lines, const char *path,
                             mn_error *err)
{
    for (const char *line = lines; *line != '\0';) {
        const size_t n = strcspn(line, "\n");
        mn_score score = {.name = ""};
        char shown[128];
        (void)mn_text_escape(line, n, shown, sizeof shown);
        if (!read_score(line, n, &score))
            return mn_fail(err, MN_ERR_DATA,
                           "%s: metadata " SCORES_KEY " has the line \"%s\": expected \"NAME "
                           "lower|higher number|share UNIT\", as \"loss lower number nats\", a "
                           "name of letters, digits and '_', a unit of at most %zu characters or "
                           "none",
                           path, shown, sizeof score.unit - 1);
        for (uint32_t i = 0; i < card->scores.n; i++)
            if (strcmp(card->scores.at[i].name, score.name) == 0)
                return mn_fail(err, MN_ERR_DATA, "%s: the score %s is there twice", path,
                               score.name);
        mn_status status =
            card->scores.n < MN_CARD_MAX_SCORES
                ? mn_score_list_add(&card->scores, &score, err)
                : mn_fail(err, MN_ERR_DATA, "%s has more than %u scores", path, MN_CARD_MAX_SCORES);
        if (status != MN_OK)
            return status;
        line += n + (line[n] == '\n');
    }
    if (card->scores.n == 0)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: metadata " SCORES_KEY " names no score: expected at least one, by "
                       "which thetas are compared, as \"" ONE_SCORE "\"",
                       path);
    return MN_OK;
}

/* ---- the text */

static mn_status write_text(mn_learner_card *card, mn_error *err)
{
    size_t n = 0;
    FILE *out = open_memstream(&card->text, &n);
    if (out == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "a learner's card");
    for (uint32_t i = 0; i < card->n_tensors; i++) {
        const mn_tensor *tensor = &card->tensors[i];
        (void)fprintf(out, "tensor %s", tensor->name);
        for (uint32_t k = 0; k < tensor->rank; k++)
            (void)fprintf(out, " %" PRIu64, tensor->shape[k]);
        (void)fputc('\n', out);
    }
    for (uint32_t i = 0; i < card->scores.n; i++) {
        const mn_score *score = &card->scores.at[i];
        (void)fprintf(
            out, "score %s %s %s%s%s\n", score->name, score->higher_is_better ? "higher" : "lower",
            score->is_share ? "share" : "number", score->unit[0] != '\0' ? " " : "", score->unit);
    }
    const bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed)
        return mn_fail(err, MN_ERR_NOMEM, "a learner's card");
    return MN_OK;
}
