/* task.h: what a task is made of: named arrays of numbers, the *fields*, in one block of memory.
 * Whoever draws a task, computes on it, shows it or writes it to a file goes by the fields alone,
 * so images, points of a curve, sequences and stories with questions take the same ways. Extents
 * are fixed when a learner is compiled; what varies in length is padded, and a field of its own
 * says with what. */
#pragma once

#include "common/error.h"
#include "common/experiment.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_MAX_FIELDS 16
#define MN_MAX_WAY 1024
#define MN_TASK_ALIGNMENT 64u

/* What a learner may do with it: adapt to the support set, be judged by the query set. */
typedef enum mn_role { MN_SUPPORT, MN_QUERY, MN_SHARED, MN_N_ROLES } mn_role;

/* All are kept as float32; a whole number is exact up to 2^24. */
typedef enum mn_field_type {
    MN_FIELD_NUMBERS,
    MN_FIELD_IDS,  /* whole numbers, e.g. of words; what each means is the field's matter */
    MN_FIELD_MASK, /* 0 or 1 */
} mn_field_type;

typedef struct mn_field {
    char name[20]; /* "x"; with its role "query.x" */
    mn_role role;
    mn_field_type type;
    uint32_t n;                       /* items */
    uint32_t height, width, channels; /* of one item, channels last; a vector is 1 x 1 x channels */
    size_t offset;                    /* of its first number in the block; a multiple of 16 */
} mn_field;

typedef enum mn_target { MN_TARGET_VALUES, MN_TARGET_CLASSES } mn_target;

/* Points at which items are judged apart, e.g. the showings of a sequence, or the sets of a mixture.
 * A field query.point of numbers says to which each item of query.y belongs; what names none
 * belongs to none. */
#define MN_MAX_POINTS 64
typedef struct mn_points {
    char axis[16]; /* "showing"; "": there are none */
    uint32_t n;
    char names[MN_MAX_POINTS][12]; /* "1", "2"; "qa7" */
    bool harmonic; /* the harmonic mean of the last two is told as well, as point "H" */
    bool averaged; /* the mean over the points is a score, too, in which each counts alike */
} mn_points;

/* The fields of a task. Those called y are what is asked for: a row an item. With a field query.from
 * an item is asked for only from so many support items on, in a learner that reads them one after the
 * other; an item with a number beyond the support set's is judged at its point alone. With a field
 * query.weight (a number an item) the loss is the sum of weight times each item's, and items of
 * weight 0 are padding; without it, the mean. So it is with support.weight. With a field
 * shared.classes only those classes are there of which it is 1, and no other can be the answer. */
typedef struct mn_fields {
    uint32_t n;
    mn_field at[MN_MAX_FIELDS];
    size_t size;         /* numbers of the block, gaps included */
    uint32_t y_size;     /* numbers of one y; classes: how many there are, one-hot */
    uint32_t vocabulary; /* of ids, of words or of what a row says it is: how many numbers these
                            have, where y_size says another thing (answers that are no words); else 0 */
    uint32_t symbols;    /* classes: one y is so many labels side by side, each one-hot among
                         y_size / symbols; 1, or it divides y_size */
    mn_target target;
    float y_scale; /* values: y is (the user's - mean of the training rows) / y_scale, and explained
                        variance is a score; 0: y is as it is */
    uint32_t bundle; /* episodes computed side by side as one task (tasks.bundle), at least 1 */
    mn_points points;
    char whole[12]; /* what the items of a test task make up, which is judged as a whole too, and is
                       right if all of them are: "dialog"; "": nothing */
} mn_fields;

/* No fields yet. */
void mn_fields_init(mn_fields *fields, mn_target target, uint32_t y_size);

/* Add a field of n items at the end. MN_ERR_CONFIG: it has no numbers, or the task would be larger
 * than 2^28 numbers (1 GiB): names the field and its extents. */
mn_status mn_fields_add(mn_fields *fields, mn_role role, const char *name, mn_field_type type,
                        uint32_t n, const uint32_t item[3], mn_error *err);

/* NULL: there is none of this name. */
const mn_field *mn_fields_find(const mn_fields *fields, mn_role role, const char *name);

size_t mn_field_item(const mn_field *field);  /* numbers of one item */
size_t mn_field_count(const mn_field *field); /* of all items */

bool mn_fields_equal(const mn_fields *a, const mn_fields *b);

/* Few-shot learning and regression: x and y of either set, in this order. */
enum { MN_SUPPORT_X, MN_SUPPORT_Y, MN_QUERY_X, MN_QUERY_Y, MN_N_FEW_SHOT };
mn_status mn_fields_few_shot(mn_fields *fields, uint32_t n_support, uint32_t n_query,
                             const uint32_t x[3], mn_target target, uint32_t y_size, mn_error *err);

/* The same of tasks that vary in classes and items, up to the extents that `fields` have: behind them
 *   support.weight, query.weight   1 / how many items of the set there are; 0: padding, of which x
 *                                  and y are 0
 *   shared.classes                 which classes there are: 1, or 0 */
mn_status mn_fields_add_padding(mn_fields *fields, mn_error *err);

/* The same of items that have an id each, below `vocabulary`: support.id and query.id. */
mn_status mn_fields_add_ids(mn_fields *fields, uint32_t vocabulary, mn_error *err);

/* A sequence that is judged as it goes, in the query set: x of each item, the y of the item before as
 * `label_before` if the learner is told it, y, and the `point` it is judged by. Behind mn_fields_init. */
mn_status mn_fields_add_sequence(mn_fields *fields, uint32_t n, const uint32_t x[3], bool is_told,
                                 mn_error *err);

/* Are these the fields of mn_fields_few_shot, with what may be behind them? */
bool mn_fields_are_few_shot(const mn_fields *fields);
bool mn_fields_have_padding(const mn_fields *fields); /* few-shot ones */

typedef struct mn_task {
    mn_fields fields;
    float *block;                 /* [fields.size], 64-byte aligned */
    float *at[MN_MAX_FIELDS];     /* where field i lies in it */
    uint32_t n_classes;           /* classes drawn; 0: there are none */
    uint32_t classes[MN_MAX_WAY]; /* which: number of the class within the split; label i is
                                     classes[i] */
    mn_split split;               /* of whose tasks it is one */
    /* Which of its class each item of support.x and then of query.x is; lent by whoever wants to know,
     * for kinds that choose items; NULL: nobody does. */
    uint32_t *items;
    uint64_t index;          /* which of its split */
    const float *set_losses; /* while it is drawn: of the sets of a mixture (task_set.h), or NULL */
    char title[64];          /* what its kind calls it, as "run01"; "": nothing */
} mn_task;

/* Memory for a task of these fields, zero; owned by the caller. */
mn_status mn_task_new(const mn_fields *fields, mn_task **out, mn_error *err);
void mn_task_destroy(mn_task **task);

/* The numbers of a field; NULL: there is none of this name. */
float *mn_task_find(const mn_task *task, mn_role role, const char *name);

/* Is this row of y that of padding, where nothing is asked? */
bool mn_is_padding(uint32_t n, const float *y);

/* The label that n > 0 numbers stand for, one-hot or answers: the place of the largest, the first of
 * several. */
uint32_t mn_label_of(uint32_t n, const float *row);
