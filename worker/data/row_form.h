/* row_form.h: how the rows of a data table become the numbers that a network takes: which columns are its
 * features and which is asked for, how numbers are standardised, which words there are. Made from the rows of
 * training alone; a form goes with a model that was adapted, as text, so that other tables are read as the
 * first was.
 *   a column of numbers  (number - mean) / scale, both of the training rows
 *   a column of words    one number for each word of the training rows, 1 where the cell is that word; another
 *                        word, or none, is all zeros */
#pragma once

#include "worker/data/data_table.h"

#define MN_ROW_FORM_MOST_WORDS 256u /* of a column */
#define MN_ROW_FORM_MOST_WIDTH 65536u

#define MN_ROW_FORM_NOTE "row_form" /* under this an adapted model keeps the text of a form */

typedef struct mn_row_column {
    char *name;               /* owned */
    uint32_t place;           /* in the table that the form was made from */
    bool roots;               /* of numbers, which are taken before the rest: none is below 0 */
    double mean, scale, fill; /* fill: what a missing number is, the mean of training */
    uint32_t n_words;         /* 0: a column of numbers */
    char **words;             /* [n_words] in alphabetical order; owned */
} mn_row_column;

typedef struct mn_row_form {
    bool named;   /* other tables are matched by the names of columns, else by their places */
    bool classes; /* a class is asked for, else a number */
    bool fills;   /* a missing number is taken as the mean, a missing word as none; else refused */
    uint32_t table_width;   /* columns of the table that it was made from */
    char **table_names;     /* [table_width]; owned */
    uint32_t n;             /* features */
    mn_row_column *columns; /* [n]; owned */
    mn_row_column answer;   /* of a number: standardised as features are */
    uint32_t width;         /* numbers of a row */
    double farthest; /* a standardised feature is cut off so far from its mean; 0: it is as it is */
} mn_row_form;

/* What a form is to be like. */
typedef struct mn_row_plan {
    uint32_t n;             /* columns that are features */
    const uint32_t *places; /* [n] */
    uint32_t answer;
    bool classes, fills;
    bool words;       /* columns of words are taken; else refused */
    bool roots;       /* square roots of numbers that are features are taken first */
    bool standardise; /* else means are 0 and scales 1 */
    bool one_scale;   /* with standardise: numbers that are features have the same */
} mn_row_plan;

/* Make a form from rows[n_rows], n_rows > 0, of a table. MN_ERR_DATA: which column of which row has what, and
 * what to do. *out is empty on failure. */
mn_status mn_row_form_fit(const mn_data_table *table, const mn_row_plan *plan, uint32_t n_rows,
                          const uint32_t *rows, mn_row_form *out, mn_error *err);
void mn_row_form_fini(mn_row_form *form);

/* Where the form's columns are in another table: places[n], and of the answer *answer, or UINT32_MAX if it has
 * none. By name the table may lack the columns that are no features; without names it has the columns of the first
 * table, or the features alone. MN_ERR_DATA: a feature is missing, there is a column that the form does not
 * know, or there are more or fewer; says what was expected. `source` names the table. */
mn_status mn_row_form_match(const mn_row_form *form, const char *source, const mn_data_table *table,
                            uint32_t *places, uint32_t *answer, mn_error *err);

/* The numbers of a row: out[width]. MN_ERR_DATA: a cell that is no number of a column of numbers, or missing
 * where the form does not fill. *unknown grows by the words that are not the form's. */
mn_status mn_row_form_x(const mn_row_form *form, const char *source, const mn_data_table *table,
                        uint32_t row, const uint32_t *places, float *out, uint32_t *unknown,
                        mn_error *err);
/* The number that is asked for, standardised. */
mn_status mn_row_form_y(const mn_row_form *form, const char *source, const mn_data_table *table,
                        uint32_t row, uint32_t place, float *out, mn_error *err);

/* As text, to be freed, and back. MN_ERR_DATA: it is no form; nothing in it is trusted. */
mn_status mn_row_form_text(const mn_row_form *form, char **out, mn_error *err);
mn_status mn_row_form_parse(const char *text, mn_row_form *out, mn_error *err);
