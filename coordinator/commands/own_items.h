/* own_items.h: what a person gives a run to adapt to or to judge: a folder of pictures, a table of
 * points, rows of a table, or a story with questions, as the run's tasks have them; read in the form that its network
 * was trained on. */
#pragma once

#include "common/error.h"
#include "worker/data/import/picture_folder.h"
#include "worker/data/number_table.h"
#include "worker/data/row_form.h"
#include "worker/data/story_text.h"
#include "worker/data/words.h"
#include "worker/learner/adapted.h"
#include <stdbool.h>
#include <stdint.h>

/* Which way round grey pictures are: dark strokes on light paper, or as they are; or as the run's own
 * data say, where these are known (glyphs, Omniglot: dark is ink). */
typedef enum mn_ink { MN_INK_AS_TRAINED, MN_INK_DARK, MN_INK_LIGHT } mn_ink;

typedef struct mn_own_items {
    uint32_t n;
    const float *x;         /* [n, item]; lent by what is below, as labels and y */
    const uint32_t *labels; /* [n], MN_NO_CLASS: not told; NULL: values are asked for */
    const float *y; /* [n]; NULL: not told, or classes are asked for; NAN: not told of this one */
    const char *const *names;   /* [n] of pictures, questions or rows; NULL: points */
    uint32_t n_classes;         /* of pictures or rows */
    const char *const *classes; /* [n_classes] */
    double y_mean,
        y_scale; /* of rows: an answer times y_scale, and y_mean, is in the user's unit, as y */
    bool is_rows;
    bool dark_is_ink;         /* pictures were read so */
    bool is_story;            /* then there is no x, and labels are numbers of words */
    mn_picture_folder folder; /* all of this is owned */
    mn_number_table table;
    float *columns[2];
    float *row_x, *row_y, *row_z; /* of rows: x, y in the user's unit, y standardised */
    uint32_t *row_ids;            /* NULL: the run's rows have none */
    uint32_t *row_labels;
    char **row_classes;
    mn_words *words; /* of training, and new ones */
    mn_story_text story;
    const mn_story_question **questions; /* [n] */
    char **texts;                        /* [n] questions, or names of rows */
    uint32_t *answers;                   /* [n] */
} mn_own_items;

/* Support: `with_answers`; pictures lie in a folder a class, points have x and y. Query: pictures may
 * lie in no folder, y may be missing. Warns about files that are left out, and about pictures whose
 * colours or brightness are not what the run was trained on. *out is empty on failure. */
mn_status mn_own_items_read(const char *path, const mn_model *model, bool with_answers, mn_ink ink,
                            mn_own_items *out, mn_error *err);
/* The same of a story file, for a run whose tasks have these fields and words. Support: the answered
 * questions of the file, one at least. Query: all of its questions. */
mn_status mn_own_items_read_story(const char *path, const mn_fields *fields, const mn_words *known,
                                  bool with_answers, mn_own_items *out, mn_error *err);
/* The same of a table ("rows.csv", or "x.npy,y.npy" side by side), for a model of tasks.kind rows or tables whose
 * columns are of this form; an item may have more numbers, which then are 0. Support: each row has its class or y;
 * classes may be any. */
mn_status mn_own_items_read_rows(const char *path, const mn_model *model, const mn_row_form *form,
                                 bool with_answers, mn_own_items *out, mn_error *err);
/* Questions from `begin` on into the first items of a role of a task. */
void mn_own_items_put(const mn_own_items *items, uint32_t begin, uint32_t n, mn_task *task,
                      mn_role role);

void mn_own_items_fini(mn_own_items *items);

/* A support set as the learner takes it; lent. */
mn_examples mn_own_items_examples(const mn_own_items *items);

/* The labels of a query set by the classes of an adapted model. MN_ERR_DATA: a folder or label
 * that is no class of it: names both. */
mn_status mn_own_items_match(mn_own_items *items, const mn_adapted *adapted, mn_error *err);

/* Are pictures of brightness `mean` more like the negative of those of `usual`? */
bool mn_own_items_look_inverted(double mean, double usual);
