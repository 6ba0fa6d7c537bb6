#include "worker/data/number_table.h"

#include "common/file.h"
#include "common/text.h"
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_FIELD 200u /* bytes of a number; longer ones are none */

/* A place in the text. */
struct reader {
    const char *source, *at, *end;
    char separator;
    uint32_t line; /* of `at`, from 1 */
};

/* One row, as text. */
struct row {
    uint32_t line, n; /* fields; 0: there are no more rows */
    char fields[MN_TABLE_MAX_COLUMNS][MOST_FIELD + 1];
};

static void begin(struct reader *reader, const char *source, const char *bytes, size_t n);
static mn_status read_row(struct reader *reader, struct row *row, mn_error *err);
static bool is_header(const struct row *row);
static mn_status check_width(const struct reader *reader, const struct row *row, uint32_t least,
                             uint32_t most, const char *columns, mn_error *err);
static mn_status add_row(const struct reader *reader, const struct row *row, mn_number_table *out,
                         uint32_t *room, mn_error *err);

mn_status mn_number_table_read(const char *path, uint32_t least, uint32_t most, const char *columns,
                               mn_number_table *out, mn_error *err)
{
    char *bytes = NULL;
    size_t n = 0;
    *out = (mn_number_table){0};
    mn_status status = mn_file_read(path, MN_TABLE_MAX_BYTES, &bytes, &n, err);
    if (status == MN_OK)
        status = mn_number_table_parse(path, bytes, n, least, most, columns, out, err);
    free(bytes);
    return status;
}

mn_status mn_number_table_parse(const char *source, const char *bytes, size_t n, uint32_t least,
                                uint32_t most, const char *columns, mn_number_table *out,
                                mn_error *err)
{
    struct reader reader;
    struct row *row = malloc(sizeof *row);
    uint32_t room = 0;
    bool first = true;
    *out = (mn_number_table){0};
    if (row == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%s", source);
    begin(&reader, source, bytes, n);
    mn_status status = read_row(&reader, row, err);
    for (; status == MN_OK && row->n > 0; status = read_row(&reader, row, err)) {
        const uint32_t wanted = out->n_columns;
        status = check_width(&reader, row, wanted > 0 ? wanted : least, wanted > 0 ? wanted : most,
                             columns, err);
        if (status == MN_OK && !(first && is_header(row)))
            status = add_row(&reader, row, out, &room, err);
        if (status != MN_OK)
            break;
        first = false;
        out->n_columns = row->n;
    }
    if (status == MN_OK && out->n_rows == 0)
        status = mn_fail(err, MN_ERR_DATA, "%s: no row of numbers: expected lines of %s", source,
                         columns);
    free(row);
    if (status != MN_OK)
        mn_number_table_fini(out);
    return status;
}

void mn_number_table_fini(mn_number_table *table)
{
    free(table->at);
    *table = (mn_number_table){0};
}

static void begin(struct reader *reader, const char *source, const char *bytes, size_t n)
{
    static const char mark[] = "\xef\xbb\xbf";
    *reader = (struct reader){
        .source = source, .at = bytes, .end = bytes + n, .separator = ',', .line = 1};
    if (n >= 3 && memcmp(bytes, mark, 3) == 0)
        reader->at += 3;
    const size_t left = (size_t)(reader->end - reader->at);
    const char *newline = memchr(reader->at, '\n', left);
    const size_t length = newline == NULL ? left : (size_t)(newline - reader->at);
    if (memchr(reader->at, ',', length) != NULL)
        return;
    if (memchr(reader->at, ';', length) != NULL)
        reader->separator = ';';
    else if (memchr(reader->at, '\t', length) != NULL)
        reader->separator = '\t';
}

static bool at_line_end(const struct reader *reader)
{
    return reader->at == reader->end || *reader->at == '\n' ||
           (*reader->at == '\r' && (reader->at + 1 == reader->end || reader->at[1] == '\n'));
}

static void end_line(struct reader *reader)
{
    if (reader->at < reader->end && *reader->at == '\r')
        reader->at++;
    if (reader->at < reader->end)
        reader->at++;
    reader->line++;
}

static mn_status not_a_number(const struct reader *reader, uint32_t line, uint32_t column,
                              const char *text, size_t n, mn_error *err)
{
    char shown[64];
    (void)mn_text_escape(text, n, shown, sizeof shown);
    return mn_fail(err, MN_ERR_DATA,
                   "%s:%" PRIu32 ": column %" PRIu32
                   ": \"%s\": expected a finite number, as -0.5 or 1e-3",
                   reader->source, line, column, shown);
}

/* A field behind its opening quote; "" stands for a quote. */
static mn_status read_quoted(struct reader *reader, const struct row *row, char *out, size_t *n,
                             mn_error *err)
{
    const char *begin = reader->at;
    for (; reader->at < reader->end && *n < MOST_FIELD; reader->at++) {
        if (*reader->at == '\n')
            break;
        if (*reader->at == '"' && (reader->at + 1 == reader->end || reader->at[1] != '"')) {
            reader->at++;
            while (reader->at < reader->end && *reader->at == ' ')
                reader->at++;
            if (at_line_end(reader) || *reader->at == reader->separator)
                return MN_OK;
            return not_a_number(reader, row->line, row->n + 1, begin,
                                (size_t)(reader->at + 1 - begin), err);
        }
        reader->at += *reader->at == '"';
        out[(*n)++] = *reader->at;
    }
    return mn_fail(err, MN_ERR_DATA,
                   "%s:%" PRIu32 ": column %" PRIu32
                   ": a quote that does not end on its line: expected \"number\"",
                   reader->source, row->line, row->n + 1);
}

static mn_status read_field(struct reader *reader, struct row *row, mn_error *err)
{
    char *out = row->fields[row->n];
    size_t n = 0;
    while (reader->at < reader->end && *reader->at == ' ')
        reader->at++;
    const char *begin = reader->at;
    if (reader->at < reader->end && *reader->at == '"') {
        reader->at++;
        mn_status status = read_quoted(reader, row, out, &n, err);
        if (status != MN_OK)
            return status;
    } else {
        for (; !at_line_end(reader) && *reader->at != reader->separator; reader->at++) {
            if (n == MOST_FIELD)
                return not_a_number(reader, row->line, row->n + 1, begin, n, err);
            out[n++] = *reader->at;
        }
    }
    if (memchr(out, '\0', n) != NULL)
        return not_a_number(reader, row->line, row->n + 1, out, n, err);
    while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '\t'))
        n--;
    out[n] = '\0';
    row->n++;
    return MN_OK;
}

static mn_status read_row(struct reader *reader, struct row *row, mn_error *err)
{
    while (reader->at < reader->end && at_line_end(reader))
        end_line(reader);
    row->line = reader->line;
    row->n = 0;
    while (reader->at < reader->end) {
        if (row->n == MN_TABLE_MAX_COLUMNS)
            return mn_fail(err, MN_ERR_DATA, "%s:%" PRIu32 ": more than %u columns", reader->source,
                           row->line, MN_TABLE_MAX_COLUMNS);
        mn_status status = read_field(reader, row, err);
        if (status != MN_OK)
            return status;
        if (at_line_end(reader)) {
            end_line(reader);
            return MN_OK;
        }
        reader->at++;                    /* the separator */
        if (reader->at == reader->end) { /* and an empty field behind it */
            if (row->n < MN_TABLE_MAX_COLUMNS)
                row->fields[row->n++][0] = '\0';
            return MN_OK;
        }
    }
    return MN_OK;
}

/* Does the text begin as a number does, so that it was meant for one? */
static bool parse(const char *text, double *out)
{
    char *end = NULL;
    const bool digits = text[strspn(text, "+-.")] >= '0' && text[strspn(text, "+-.")] <= '9';
    *out = strtod(text, &end);
    return digits && *end == '\0' && strpbrk(text, "xX") == NULL && isfinite((float)*out);
}

static bool is_header(const struct row *row)
{
    for (uint32_t i = 0; i < row->n; i++) {
        const char *text = row->fields[i];
        const char first = text[strspn(text, "+-.")];
        double number;
        if (parse(text, &number) || text[0] == '\0' || (first >= '0' && first <= '9') ||
            strncasecmp(text + strspn(text, "+-"), "nan", 4) == 0 ||
            strncasecmp(text + strspn(text, "+-"), "inf", 4) == 0 ||
            strncasecmp(text + strspn(text, "+-"), "infinity", 9) == 0)
            return false;
    }
    return true;
}

static mn_status check_width(const struct reader *reader, const struct row *row, uint32_t least,
                             uint32_t most, const char *columns, mn_error *err)
{
    if (row->n >= least && row->n <= most)
        return MN_OK;
    char range[40];
    if (least == most)
        (void)snprintf(range, sizeof range, "%" PRIu32, least);
    else
        (void)snprintf(range, sizeof range, "%" PRIu32 " to %" PRIu32, least, most);
    return mn_fail(err, MN_ERR_DATA,
                   "%s:%" PRIu32 ": %" PRIu32 " column%s: expected %s, separated by commas: %s",
                   reader->source, row->line, row->n, row->n == 1 ? "" : "s", range, columns);
}

static mn_status add_row(const struct reader *reader, const struct row *row, mn_number_table *out,
                         uint32_t *room, mn_error *err)
{
    if (out->n_rows == *room) {
        const uint32_t more = *room == 0 ? 64 : 2 * *room;
        float *at = realloc(out->at, (size_t)more * row->n * sizeof *at);
        if (at == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "%s: %" PRIu32 " rows", reader->source, more);
        out->at = at;
        *room = more;
    }
    for (uint32_t i = 0; i < row->n; i++) {
        double number;
        if (!parse(row->fields[i], &number))
            return not_a_number(reader, row->line, i + 1, row->fields[i], strlen(row->fields[i]),
                                err);
        out->at[(size_t)out->n_rows * row->n + i] = (float)number;
    }
    out->n_rows++;
    return MN_OK;
}
