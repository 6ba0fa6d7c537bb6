#include "worker/data/number_table.h"

#include "common/text.h"
#include "worker/data/data_table.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mn_status take(const char *source, const mn_data_table *table, uint32_t least, uint32_t most,
                      const char *columns, mn_number_table *out, mn_error *err);

mn_status mn_number_table_read(const char *path, uint32_t least, uint32_t most, const char *columns,
                               mn_number_table *out, mn_error *err)
{
    mn_data_table table;
    *out = (mn_number_table){0};
    mn_status status = mn_data_table_read(1, &path, MN_HEADER_AUTO, &table, err);
    if (status == MN_OK)
        status = take(path, &table, least, most, columns, out, err);
    mn_data_table_fini(&table);
    return status;
}

void mn_number_table_fini(mn_number_table *table)
{
    free(table->at);
    *table = (mn_number_table){0};
}

/* "points.csv:3", or of arrays "points.npy: row 2" */
static const char *place_of(const char *source, const mn_data_table *table, uint32_t row, char *out,
                            size_t size)
{
    if (table->lines != NULL)
        (void)snprintf(out, size, "%.300s:%" PRIu32, source, table->lines[row]);
    else
        (void)snprintf(out, size, "%.300s: row %" PRIu32, source, row + 1);
    return out;
}

static mn_status check_width(const char *source, const mn_data_table *table, uint32_t least,
                             uint32_t most, const char *columns, mn_error *err)
{
    char range[40], place[340];
    if (table->n_columns >= least && table->n_columns <= most)
        return MN_OK;
    if (least == most)
        (void)snprintf(range, sizeof range, "%" PRIu32, least);
    else
        (void)snprintf(range, sizeof range, "%" PRIu32 " to %" PRIu32, least, most);
    return mn_fail(err, MN_ERR_DATA,
                   "%s: %" PRIu32 " column%s: expected %s, separated by commas: %s",
                   place_of(source, table, 0, place, sizeof place), table->n_columns,
                   table->n_columns == 1 ? "" : "s", range, columns);
}

static mn_status not_a_number(const char *source, const mn_data_table *table, uint32_t row,
                              uint32_t column, mn_error *err)
{
    char word[MN_DATA_TABLE_WORD], shown[64], place[340];
    mn_data_table_word(table, row, column, word);
    (void)mn_text_escape(word, strlen(word), shown, sizeof shown);
    return mn_fail(err, MN_ERR_DATA,
                   "%s: column %" PRIu32 ": \"%s\": expected a finite number, as -0.5 or 1e-3",
                   place_of(source, table, row, place, sizeof place), column + 1, shown);
}

static mn_status take(const char *source, const mn_data_table *table, uint32_t least, uint32_t most,
                      const char *columns, mn_number_table *out, mn_error *err)
{
    mn_status status = check_width(source, table, least, most, columns, err);
    if (status != MN_OK)
        return status;
    out->n_rows = table->n_rows;
    out->n_columns = table->n_columns;
    out->at = malloc((size_t)out->n_rows * out->n_columns * sizeof *out->at);
    if (out->at == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "%s: %" PRIu32 " rows", source, out->n_rows);
    for (uint32_t i = 0; i < out->n_rows && status == MN_OK; i++)
        for (uint32_t k = 0; k < out->n_columns && status == MN_OK; k++) {
            double number = 0;
            if (mn_data_table_number(table, i, k, &number) != MN_CELL_NUMBER)
                status = not_a_number(source, table, i, k, err);
            else
                out->at[(size_t)i * out->n_columns + k] = (float)number;
        }
    if (status != MN_OK)
        mn_number_table_fini(out);
    return status;
}
