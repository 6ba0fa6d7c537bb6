/* mnemo.h: adapt a trained model to a few examples of a task of your own, and ask it about new
 * items, within your own program.
 *
 *     mnemo_model *model = NULL;
 *     mnemo_adapted *adapted = NULL;
 *     mnemo_error error;
 *     mnemo_code code = mnemo_model_load("model.safetensors", &model, &error);
 *     if (code == MNEMO_OK)
 *         code = mnemo_adapt(model, &examples, MNEMO_STEPS_AS_TRAINED, &adapted, &error);
 *     if (code == MNEMO_OK)
 *         code = mnemo_predict(adapted, n, x, n_x, answers, n_answers, &error);
 *     if (code != MNEMO_OK)
 *         fprintf(stderr, "%s\n", error.message);
 *     mnemo_adapted_free(adapted);
 *     mnemo_model_free(model);
 *
 * Models and adapted models are read-only once they are there: any number of threads may use the
 * same one at the same time, and each call takes memory of its own and gives it back. The library
 * has no global state, starts no thread, prints nothing and ends no process. Failures are returned,
 * never thrown: a code, and a sentence for people in *error, which may be NULL. A call that fails
 * leaves *out alone. Nothing in a file is trusted. Same file, same examples, same machine: same bits.
 *
 * Arrays are float, row by row. Sizes are told in numbers (not bytes) and checked against what the
 * model takes. Link with `pkg-config --libs mnemo`. */
#ifndef MNEMO_MNEMO_H
#define MNEMO_MNEMO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MNEMO_API __attribute__((visibility("default")))
#else
#define MNEMO_API
#endif

/* The version that this header is of. Within a major version (and before 1.0 within a minor one)
 * programs go on working without being compiled anew. */
#define MNEMO_VERSION_MAJOR 0
#define MNEMO_VERSION_MINOR 1
#define MNEMO_VERSION_PATCH 0

/* "0.1.0": that of the library in use. */
MNEMO_API const char *mnemo_version(void);

typedef enum mnemo_code {
    MNEMO_OK = 0,
    MNEMO_ERR_ARGUMENT = 1, /* the call itself: NULL, or a size that is not the model's */
    MNEMO_ERR_NO_INPUT = 2, /* no such file, or a run without a checkpoint */
    MNEMO_ERR_DATA = 3,     /* a damaged file, or examples that are none */
    MNEMO_ERR_UNSUITED = 4, /* this model, or this library, does not take such a task */
    MNEMO_ERR_NUMERIC = 5,  /* a loss or an answer was not finite */
    MNEMO_ERR_NOMEM = 6,
    MNEMO_ERR_IO = 7, /* a file cannot be read or written */
    MNEMO_ERR_INTERNAL = 8
} mnemo_code;

/* What a code means, in a few words; for other numbers "unknown code". */
MNEMO_API const char *mnemo_code_text(mnemo_code code);

typedef struct mnemo_error {
    mnemo_code code;
    char message[1024]; /* what, where, what was expected and what to do; UTF-8, no newline */
} mnemo_error;

typedef struct mnemo_model mnemo_model;     /* what a run has learned */
typedef struct mnemo_adapted mnemo_adapted; /* the same, adapted to a task */

/* Models ----------------------------------------------------------------------------- */

/* Load a file of `mnemo export`, a checkpoint of a run, or the newest checkpoint of a run's folder.
 * Free *out with mnemo_model_free. MNEMO_ERR_NO_INPUT, _DATA, _IO, _NOMEM; MNEMO_ERR_UNSUITED: a run
 * that learned from data of which its checkpoints tell too little, as dialogues. */
MNEMO_API mnemo_code mnemo_model_load(const char *path, mnemo_model **out, mnemo_error *error);
MNEMO_API void mnemo_model_free(mnemo_model *model); /* takes NULL */

/* Name of the experiment; lent for the model's life. */
MNEMO_API const char *mnemo_model_name(const mnemo_model *model);
/* Meta-steps of training behind it; 0: the file does not tell. */
MNEMO_API uint64_t mnemo_model_step(const mnemo_model *model);

/* Numbers of one item x; size, if not NULL, becomes its height, width and channels. An image lies
 * row by row, the channels of a pixel side by side, from 0 (paper, black) to 1 (ink, light); a vector
 * is 1 x 1 x its length. 0: the model does not take items: it reads stories (mnemo_ask), or sequences that are
 * labelled by letters, and cannot be adapted to examples. */
MNEMO_API size_t mnemo_model_item(const mnemo_model *model, uint32_t size[3]);
/* A model that tells classes apart: how many it was trained with; 0: it answers with values. */
MNEMO_API uint32_t mnemo_model_classes(const mnemo_model *model);
/* 1: a task may have any number of classes from 2; 0: as many as in training. */
MNEMO_API int mnemo_model_any_classes(const mnemo_model *model);
/* A model that answers with values: numbers of one y; 0: it tells classes apart. */
MNEMO_API uint32_t mnemo_model_values(const mnemo_model *model);
/* Inner steps it was trained with; 0: it adapts without steps of gradient. */
MNEMO_API uint32_t mnemo_model_steps(const mnemo_model *model);
/* 1: batch norm by the batch at hand, so that items asked about together change each other's
 * answers; 0: each item is answered alone. */
MNEMO_API int mnemo_model_judges_together(const mnemo_model *model);

/* Adapting --------------------------------------------------------------------------- */

/* Examples with their answers. Set all to zero, then what there is. */
typedef struct mnemo_examples {
    size_t n;       /* how many, at least 1 */
    const float *x; /* [n, item], finite */
    size_t n_x;     /* n * mnemo_model_item */
    /* of a model that tells classes apart: */
    const uint32_t *labels; /* [n], each below n_classes, each class at least once */
    size_t n_labels;        /* n */
    uint32_t n_classes;
    /* of a model that answers with values: */
    const float *y; /* [n, mnemo_model_values], finite */
    size_t n_y;
} mnemo_examples;

#define MNEMO_STEPS_AS_TRAINED UINT32_MAX

/* Adapt to examples, which are copied where they are needed, by `steps` inner steps (a model without
 * steps takes MNEMO_STEPS_AS_TRAINED or 0). *out needs the model no more; free it with
 * mnemo_adapted_free. MNEMO_ERR_ARGUMENT, _DATA, _UNSUITED, _NOMEM; MNEMO_ERR_NUMERIC: the loss ran
 * away. */
MNEMO_API mnemo_code mnemo_adapt(const mnemo_model *model, const mnemo_examples *examples,
                                 uint32_t steps, mnemo_adapted **out, mnemo_error *error);
MNEMO_API void mnemo_adapted_free(mnemo_adapted *adapted); /* takes NULL */

/* Write it to one file that predictions need nothing beside, and read it back; the file is that of
 * `mnemo adapt -o`. Written whole or not at all. */
MNEMO_API mnemo_code mnemo_adapted_save(const mnemo_adapted *adapted, const char *path,
                                        mnemo_error *error);
MNEMO_API mnemo_code mnemo_adapted_load(const char *path, mnemo_adapted **out, mnemo_error *error);

MNEMO_API size_t mnemo_adapted_item(const mnemo_adapted *adapted);      /* as mnemo_model_item */
MNEMO_API uint32_t mnemo_adapted_classes(const mnemo_adapted *adapted); /* 0: it gives values */
MNEMO_API uint32_t mnemo_adapted_steps(const mnemo_adapted *adapted);   /* taken */
/* Numbers of the answer to one item: a probability of each class; or values, and behind them, where
 * the network tells them, their standard deviations. */
MNEMO_API uint32_t mnemo_adapted_columns(const mnemo_adapted *adapted);

/* Predicting ------------------------------------------------------------------------- */

/* Answers [n, columns] to items x [n, item], n at least 1. n_x and n_answers are the numbers of these
 * arrays and must be n times mnemo_adapted_item and n times mnemo_adapted_columns. If it fails, what
 * is in answers means nothing. MNEMO_ERR_ARGUMENT, _DATA (a number that is not finite), _UNSUITED (more
 * than fits in memory at once), _NOMEM, _NUMERIC. */
MNEMO_API mnemo_code mnemo_predict(const mnemo_adapted *adapted, size_t n, const float *x,
                                   size_t n_x, float *answers, size_t n_answers,
                                   mnemo_error *error);
/* The same, but the network's own numbers: logits of classes. */
MNEMO_API mnemo_code mnemo_outputs(const mnemo_adapted *adapted, size_t n, const float *x,
                                   size_t n_x, float *outputs, size_t n_outputs,
                                   mnemo_error *error);

/* Ids -------------------------------------------------------------------------------- */

/* Of a model that learned from rows which say what they are of (tasks.id_column): how many ids there are, that
 * of what training had not, 0, counted; 0: items have no ids. */
MNEMO_API uint32_t mnemo_model_ids(const mnemo_model *model);
/* The id of a word of that column, in any case; 0: training had no such. */
MNEMO_API uint32_t mnemo_model_id(const mnemo_model *model, const char *word);
MNEMO_API uint32_t mnemo_adapted_id(const mnemo_adapted *adapted, const char *word);

/* mnemo_adapt and mnemo_predict with the ids of the items, [n] and n_ids = n, each below mnemo_model_ids; without,
 * all are 0. Codes as there; MNEMO_ERR_UNSUITED: this model's items have none. */
MNEMO_API mnemo_code mnemo_adapt_ids(const mnemo_model *model, const mnemo_examples *examples,
                                     const uint32_t *ids, size_t n_ids, uint32_t steps,
                                     mnemo_adapted **out, mnemo_error *error);
MNEMO_API mnemo_code mnemo_predict_ids(const mnemo_adapted *adapted, size_t n, const float *x,
                                       size_t n_x, const uint32_t *ids, size_t n_ids,
                                       float *answers, size_t n_answers, mnemo_error *error);

/* Stories ---------------------------------------------------------------------------- */

/* 1: a model that answers questions about stories; mnemo_model_classes is how many words it knows. */
MNEMO_API int mnemo_model_reads_stories(const mnemo_model *model);

typedef struct mnemo_answer {
    char word[64];
    float probability;
} mnemo_answer;

/* The n_answers most probable answers to a question about a story, the most probable first. The story is text, as
 * for `mnemo ask --story`: a sentence a line; a model that adapts to answered questions wants some there too, each
 * on a line with a tab and the answer behind it. *n_unknown, if not NULL, becomes how many words there are that the
 * model does not know, of which it reads nothing. MNEMO_ERR_ARGUMENT: also more answers than it knows words;
 * _DATA: no such story or question; _UNSUITED: the model reads none, or tells no words; _NUMERIC, _NOMEM. */
MNEMO_API mnemo_code mnemo_ask(const mnemo_model *model, const char *story, const char *question,
                               mnemo_answer *answers, size_t n_answers, size_t *n_unknown,
                               mnemo_error *error);

#ifdef __cplusplus
}
#endif
#endif
