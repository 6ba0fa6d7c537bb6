/* The public face of adapted.h: arguments and sizes are checked here, and codes and sentences of ours
 * become those of mnemo.h. */
#include "mnemo/mnemo.h"

#include "worker/learner/adapted.h"
#include "worker/learner/story_answer.h"
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The handles are ours under another name. */
static const mn_model *model_of(const mnemo_model *model)
{
    return (const mn_model *)(const void *)model;
}

static const mn_adapted *adapted_of(const mnemo_adapted *adapted)
{
    return (const mn_adapted *)(const void *)adapted;
}

static mnemo_code code_of(mn_status status);
static mnemo_code tell(mn_status status, const mn_error *why, mnemo_error *error);
static mnemo_code refuse(mnemo_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static size_t item_of(const mn_model *model);

/* Codes ---------------------------------------------------------------------------- */

const char *mnemo_version(void)
{
    return MN_VERSION;
}

const char *mnemo_code_text(mnemo_code code)
{
    static const char *const texts[] = {
        [MNEMO_OK] = "ok",
        [MNEMO_ERR_ARGUMENT] = "wrong call",
        [MNEMO_ERR_NO_INPUT] = "missing file",
        [MNEMO_ERR_DATA] = "damaged or unusable data",
        [MNEMO_ERR_UNSUITED] = "not of this model",
        [MNEMO_ERR_NUMERIC] = "not a finite number",
        [MNEMO_ERR_NOMEM] = "out of memory",
        [MNEMO_ERR_IO] = "input or output failed",
        [MNEMO_ERR_INTERNAL] = "internal fault",
    };
    return (size_t)code < sizeof texts / sizeof *texts ? texts[code] : "unknown code";
}

static mnemo_code code_of(mn_status status)
{
    switch (status) {
    case MN_OK:
        return MNEMO_OK;
    case MN_ERR_NO_INPUT:
        return MNEMO_ERR_NO_INPUT;
    case MN_ERR_DATA:
    case MN_ERR_RANGE:
        return MNEMO_ERR_DATA;
    case MN_ERR_CONFIG:
    case MN_ERR_UNAVAILABLE:
        return MNEMO_ERR_UNSUITED;
    case MN_ERR_NUMERIC:
        return MNEMO_ERR_NUMERIC;
    case MN_ERR_NOMEM:
        return MNEMO_ERR_NOMEM;
    case MN_ERR_IO:
    case MN_ERR_PERMISSION:
        return MNEMO_ERR_IO;
    case MN_ERR_USAGE:
    case MN_ERR_INTERNAL:
    case MN_STOPPED:
    case MN_ERR_PROTOCOL:
    case MN_ERR_STATE:
    case MN_ERR_STALE:
        break;
    }
    return MNEMO_ERR_INTERNAL;
}

static mnemo_code tell(mn_status status, const mn_error *why, mnemo_error *error)
{
    const mnemo_code code = code_of(status);
    if (error != NULL) {
        error->code = code;
        (void)snprintf(error->message, sizeof error->message, "%s",
                       status == MN_OK ? "" : why->message);
    }
    return code;
}

static mnemo_code refuse(mnemo_error *error, const char *format, ...)
{
    va_list values;
    if (error != NULL) {
        error->code = MNEMO_ERR_ARGUMENT;
        va_start(values, format);
        (void)vsnprintf(error->message, sizeof error->message, format, values);
        va_end(values);
    }
    return MNEMO_ERR_ARGUMENT;
}

/* Files ---------------------------------------------------------------------------- */

/* Numbers in files have a point, whatever the host program's locale has. Of this thread alone. */
struct plain_locale {
    locale_t plain, before;
};

static mn_status enter(struct plain_locale *locale, mn_error *err)
{
    locale->plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (locale->plain == (locale_t)0)
        return mn_fail(err, MN_ERR_NOMEM, "locale C");
    locale->before = uselocale(locale->plain);
    return MN_OK;
}

static void leave(const struct plain_locale *locale)
{
    (void)uselocale(locale->before);
    freelocale(locale->plain);
}

mnemo_code mnemo_model_load(const char *path, mnemo_model **out, mnemo_error *error)
{
    mn_error why = {0};
    mn_model *model = NULL;
    struct plain_locale locale = {0};
    if (path == NULL || out == NULL)
        return refuse(error, "mnemo_model_load: path and out must not be NULL");
    mn_status status = enter(&locale, &why);
    if (status == MN_OK) {
        status = mn_model_read(path, 0, NULL, &model, &why);
        leave(&locale);
    }
    if (status == MN_OK)
        *out = (mnemo_model *)(void *)model;
    return tell(status, &why, error);
}

void mnemo_model_free(mnemo_model *model)
{
    mn_model *ours = (mn_model *)(void *)model;
    mn_model_destroy(&ours);
}

mnemo_code mnemo_adapted_save(const mnemo_adapted *adapted, const char *path, mnemo_error *error)
{
    mn_error why = {0};
    struct plain_locale locale = {0};
    if (adapted == NULL || path == NULL)
        return refuse(error, "mnemo_adapted_save: adapted and path must not be NULL");
    mn_status status = enter(&locale, &why);
    if (status == MN_OK) {
        status = mn_adapted_write(adapted_of(adapted), path, 0, NULL, &why);
        leave(&locale);
    }
    return tell(status, &why, error);
}

mnemo_code mnemo_adapted_load(const char *path, mnemo_adapted **out, mnemo_error *error)
{
    mn_error why = {0};
    mn_adapted *adapted = NULL;
    struct plain_locale locale = {0};
    if (path == NULL || out == NULL)
        return refuse(error, "mnemo_adapted_load: path and out must not be NULL");
    mn_status status = enter(&locale, &why);
    if (status == MN_OK) {
        status = mn_adapted_read(path, &adapted, &why);
        leave(&locale);
    }
    if (status == MN_OK)
        *out = (mnemo_adapted *)(void *)adapted;
    return tell(status, &why, error);
}

void mnemo_adapted_free(mnemo_adapted *adapted)
{
    mn_adapted *ours = (mn_adapted *)(void *)adapted;
    mn_adapted_destroy(&ours);
}

/* Telling -------------------------------------------------------------------------- */

const char *mnemo_model_name(const mnemo_model *model)
{
    return mn_model_experiment(model_of(model))->name;
}

uint64_t mnemo_model_step(const mnemo_model *model)
{
    return mn_model_step(model_of(model));
}

static size_t item_of(const mn_model *model)
{
    uint32_t size[3];
    if (!mn_model_takes_examples(model))
        return 0;
    mn_model_item(model, size);
    return (size_t)size[0] * size[1] * size[2];
}

size_t mnemo_model_item(const mnemo_model *model, uint32_t size[3])
{
    if (size != NULL)
        mn_model_item(model_of(model), size);
    return item_of(model_of(model));
}

static bool tells_classes(const mn_model *model)
{
    return mn_model_fields(model)->target == MN_TARGET_CLASSES;
}

uint32_t mnemo_model_classes(const mnemo_model *model)
{
    return tells_classes(model_of(model)) ? mn_model_way(model_of(model)) : 0;
}

int mnemo_model_any_classes(const mnemo_model *model)
{
    return mn_model_any_way(model_of(model));
}

uint32_t mnemo_model_values(const mnemo_model *model)
{
    return tells_classes(model_of(model)) ? 0 : mn_model_way(model_of(model));
}

uint32_t mnemo_model_steps(const mnemo_model *model)
{
    return mn_model_steps(model_of(model));
}

uint32_t mnemo_model_ids(const mnemo_model *model)
{
    const mn_words *ids = mn_model_ids(model_of(model));
    return ids == NULL ? 0 : mn_words_count(ids);
}

static uint32_t id_of(const mn_model *model, const char *word)
{
    const mn_words *ids = mn_model_ids(model);
    return ids == NULL || word == NULL ? 0 : mn_words_find(ids, word, strlen(word));
}

uint32_t mnemo_model_id(const mnemo_model *model, const char *word)
{
    return id_of(model_of(model), word);
}

uint32_t mnemo_adapted_id(const mnemo_adapted *adapted, const char *word)
{
    return id_of(mn_adapted_model(adapted_of(adapted)), word);
}

int mnemo_model_judges_together(const mnemo_model *model)
{
    return mn_model_judges_together(model_of(model));
}

size_t mnemo_adapted_item(const mnemo_adapted *adapted)
{
    return item_of(mn_adapted_model(adapted_of(adapted)));
}

uint32_t mnemo_adapted_classes(const mnemo_adapted *adapted)
{
    return mn_adapted_classes(adapted_of(adapted));
}

uint32_t mnemo_adapted_steps(const mnemo_adapted *adapted)
{
    return mn_adapted_steps(adapted_of(adapted));
}

uint32_t mnemo_adapted_columns(const mnemo_adapted *adapted)
{
    return mn_adapted_columns(adapted_of(adapted));
}

/* Adapting and predicting ---------------------------------------------------------- */

/* Is an array that is there as long as n items of it are? */
static mnemo_code check_size(const char *what, const void *array, size_t told, size_t n,
                             size_t each, mnemo_error *error)
{
    if (array == NULL)
        return refuse(error, "%s must not be NULL", what);
    if (each == 0 || told / each != n || told % each != 0)
        return refuse(error, "%s has %zu numbers: expected %zu for each of %zu items", what, told,
                      each, n);
    return MNEMO_OK;
}

static mnemo_code check_items(const mn_model *model, size_t n, mnemo_error *error)
{
    if (item_of(model) == 0) {
        const mn_error why = {.message =
                                  "this model reads stories (see mnemo_ask), or sequences labelled "
                                  "by letters: expected one of items with labels or values"};
        return tell(MN_ERR_CONFIG, &why, error);
    }
    return n > 0 && n <= UINT32_MAX ? MNEMO_OK
                                    : refuse(error, "%zu items: expected 1 to %u", n, UINT32_MAX);
}

static mnemo_code check_examples(const mn_model *model, const mnemo_examples *examples,
                                 mnemo_error *error)
{
    mnemo_code code = check_items(model, examples->n, error);
    if (code == MNEMO_OK)
        code = check_size("examples->x", examples->x, examples->n_x, examples->n, item_of(model),
                          error);
    if (code != MNEMO_OK)
        return code;
    if (!tells_classes(model))
        return examples->labels != NULL
                   ? refuse(error, "examples->labels is given, but this model answers with values: "
                                   "expected examples->y")
                   : check_size("examples->y", examples->y, examples->n_y, examples->n,
                                mn_model_way(model), error);
    if (examples->y != NULL)
        return refuse(error, "examples->y is given, but this model tells classes apart: expected "
                             "examples->labels");
    if (examples->n_classes > examples->n)
        return refuse(error,
                      "examples->n_classes is %u, but there are %zu examples: each class "
                      "needs one at least",
                      examples->n_classes, examples->n);
    return check_size("examples->labels", examples->labels, examples->n_labels, examples->n, 1,
                      error);
}

static mnemo_code adapt(const mnemo_model *model, const mnemo_examples *examples,
                        const uint32_t *ids, uint32_t steps, mnemo_adapted **out,
                        mnemo_error *error)
{
    mn_error why = {0};
    mn_adapted *adapted = NULL;
    if (model == NULL || examples == NULL || out == NULL)
        return refuse(error, "mnemo_adapt: model, examples and out must not be NULL");
    const mnemo_code code = check_examples(model_of(model), examples, error);
    if (code != MNEMO_OK)
        return code;
    const mn_examples ours = {.n = (uint32_t)examples->n,
                              .x = examples->x,
                              .n_classes = examples->labels != NULL ? examples->n_classes : 0,
                              .labels = examples->labels,
                              .y = examples->y,
                              .ids = ids};
    const mn_status status = mn_adapted_new(
        model_of(model), &ours, steps == MNEMO_STEPS_AS_TRAINED ? MN_STEPS_AS_TRAINED : steps, NULL,
        &adapted, &why);
    if (status == MN_OK)
        *out = (mnemo_adapted *)(void *)adapted;
    return tell(status, &why, error);
}

mnemo_code mnemo_adapt(const mnemo_model *model, const mnemo_examples *examples, uint32_t steps,
                       mnemo_adapted **out, mnemo_error *error)
{
    return adapt(model, examples, NULL, steps, out, error);
}

mnemo_code mnemo_adapt_ids(const mnemo_model *model, const mnemo_examples *examples,
                           const uint32_t *ids, size_t n_ids, uint32_t steps, mnemo_adapted **out,
                           mnemo_error *error)
{
    if (examples == NULL)
        return refuse(error, "mnemo_adapt_ids: examples must not be NULL");
    const mnemo_code code = check_size("ids", ids, n_ids, examples->n, 1, error);
    return code == MNEMO_OK ? adapt(model, examples, ids, steps, out, error) : code;
}

static mnemo_code check_question(const mnemo_adapted *adapted, size_t n, const float *x, size_t n_x,
                                 const float *answers, size_t n_answers, mnemo_error *error)
{
    if (adapted == NULL)
        return refuse(error, "adapted must not be NULL");
    mnemo_code code = check_items(mn_adapted_model(adapted_of(adapted)), n, error);
    if (code == MNEMO_OK)
        code = check_size("x", x, n_x, n, mnemo_adapted_item(adapted), error);
    return code == MNEMO_OK ? check_size("what is to hold the answers", answers, n_answers, n,
                                         mnemo_adapted_columns(adapted), error)
                            : code;
}

mnemo_code mnemo_predict(const mnemo_adapted *adapted, size_t n, const float *x, size_t n_x,
                         float *answers, size_t n_answers, mnemo_error *error)
{
    mn_error why = {0};
    const mnemo_code code = check_question(adapted, n, x, n_x, answers, n_answers, error);
    return code != MNEMO_OK
               ? code
               : tell(mn_adapted_predict(adapted_of(adapted), (uint32_t)n, x, answers, NULL, &why),
                      &why, error);
}

mnemo_code mnemo_predict_ids(const mnemo_adapted *adapted, size_t n, const float *x, size_t n_x,
                             const uint32_t *ids, size_t n_ids, float *answers, size_t n_answers,
                             mnemo_error *error)
{
    mn_error why = {0};
    mnemo_code code = check_question(adapted, n, x, n_x, answers, n_answers, error);
    if (code == MNEMO_OK)
        code = check_size("ids", ids, n_ids, n, 1, error);
    return code != MNEMO_OK ? code
                            : tell(mn_adapted_predict_ids(adapted_of(adapted), (uint32_t)n, x, ids,
                                                          answers, NULL, &why),
                                   &why, error);
}

mnemo_code mnemo_outputs(const mnemo_adapted *adapted, size_t n, const float *x, size_t n_x,
                         float *outputs, size_t n_outputs, mnemo_error *error)
{
    mn_error why = {0};
    const mnemo_code code = check_question(adapted, n, x, n_x, outputs, n_outputs, error);
    if (code != MNEMO_OK)
        return code;
    float *answers = malloc(n_outputs * sizeof *answers);
    if (answers == NULL) {
        (void)mn_fail(&why, MN_ERR_NOMEM, "answers to %zu items", n);
        return tell(MN_ERR_NOMEM, &why, error);
    }
    const mn_status status =
        mn_adapted_predict(adapted_of(adapted), (uint32_t)n, x, answers, outputs, &why);
    free(answers);
    return tell(status, &why, error);
}

/* Stories -------------------------------------------------------------------------- */

int mnemo_model_reads_stories(const mnemo_model *model)
{
    return mn_model_reads_stories(model_of(model));
}

mnemo_code mnemo_ask(const mnemo_model *model, const char *story, const char *question,
                     mnemo_answer *answers, size_t n_answers, size_t *n_unknown, mnemo_error *error)
{
    mn_error why = {0};
    uint32_t unknown = 0;
    if (model == NULL || story == NULL || question == NULL || answers == NULL)
        return refuse(error, "mnemo_ask: model, story, question and answers must not be NULL");
    const uint32_t most = mn_model_way(model_of(model));
    if (mn_model_reads_stories(model_of(model)) && (n_answers == 0 || n_answers > most))
        return refuse(error, "%zu answers: expected 1 to %u, of which one is no word", n_answers,
                      most);
    mn_story_word *words = calloc(n_answers > 0 ? n_answers : 1, sizeof *words);
    if (words == NULL) {
        (void)mn_fail(&why, MN_ERR_NOMEM, "%zu answers", n_answers);
        return tell(MN_ERR_NOMEM, &why, error);
    }
    const mn_status status = mn_story_answer(model_of(model), story, question, (uint32_t)n_answers,
                                             words, &unknown, &why);
    for (size_t i = 0; i < n_answers && status == MN_OK; i++) {
        (void)snprintf(answers[i].word, sizeof answers[i].word, "%s", words[i].text);
        answers[i].probability = (float)words[i].probability;
    }
    if (status == MN_OK && n_unknown != NULL)
        *n_unknown = unknown;
    free(words);
    return tell(status, &why, error);
}
