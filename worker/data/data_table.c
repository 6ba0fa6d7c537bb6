#include "worker/data/data_table.h"

#include "common/file.h"
#include "common/half.h"
#include "common/room.h"
#include "common/tensor_file.h"
#include "common/text.h"
#include "worker/data/data_arrays.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOST_NUMBER 200u              /* bytes of a number as text; longer ones are words */
#define MOST_TEXT ((size_t)256 << 20) /* bytes; four times as many may go to where cells are */

/* A place in a text; fields are ended by a NUL where they stand. */
struct reader {
    const char *source;
    char *at, *end;
    char separator;
    uint64_t line; /* of `at`, from 1 */
};

/* The cells of a text as they are read. */
struct cells {
    const char **at; /* [n]; owned */
    size_t n, room;
    uint32_t *lines; /* [n / width] of the rows; owned */
    size_t room_lines;
    uint32_t width; /* of the first row; 0: there is none yet */
};

static mn_status parse_text(const char *source, char *bytes, size_t n, mn_header header,
                            mn_data_table *table, mn_error *err);

/* Files ------------------------------------------------------------------------------ */

static bool ends_in(const char *name, const char *ending)
{
    const size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcasecmp(name + n - m, ending) == 0;
}

/* "dir/x.train.npy" -> "x.train" */
static void stem_of(const char *source, char out[128])
{
    const char *slash = strrchr(source, '/'), *base = slash == NULL ? source : slash + 1;
    const char *dot = strrchr(base, '.');
    (void)snprintf(out, 128, "%.*s", dot == NULL ? 127 : (int)(dot - base), base);
}

static mn_status add_file(const char *source, char *bytes, size_t n, mn_header header,
                          mn_data_table *table, mn_error *err)
{
    char stem[128];
    stem_of(source, stem);
    if (ends_in(source, ".npy"))
        return mn_data_arrays_npy(source, stem, bytes, n, table, err);
    if (ends_in(source, ".npz"))
        return mn_data_arrays_npz(source, bytes, n, table, err);
    if (ends_in(source, ".safetensors"))
        return mn_data_arrays_safetensors(source, bytes, n, table, err);
    return parse_text(source, bytes, n, header, table, err);
}

mn_status mn_data_table_parse(const char *source, char *bytes, size_t n, mn_header header,
                              mn_data_table *out, mn_error *err)
{
    *out = (mn_data_table){.named = true, .digest = mn_digest_of(bytes, n)};
    mn_status status = add_file(source, bytes, n, header, out, err);
    if (status != MN_OK)
        mn_data_table_fini(out);
    return status;
}

mn_status mn_data_table_read(uint32_t n, const char *const *paths, mn_header header,
                             mn_data_table *out, mn_error *err)
{
    mn_digest digests[MN_DATA_TABLE_MAX_FILES];
    mn_status status = MN_OK;
    assert(n > 0 && n <= MN_DATA_TABLE_MAX_FILES);
    *out = (mn_data_table){.named = true};
    for (uint32_t i = 0; i < n && status == MN_OK; i++) {
        char *bytes = NULL;
        size_t size = 0;
        status = mn_file_read(paths[i], MN_DATA_TABLE_MAX_BYTES, &bytes, &size, err);
        if (status != MN_OK)
            break;
        out->bytes[out->n_bytes++] = bytes;
        digests[i] = mn_digest_of(bytes, size);
        status = add_file(paths[i], bytes, size, header, out, err);
    }
    if (status != MN_OK) {
        mn_data_table_fini(out);
        return status;
    }
    out->digest = n == 1 ? digests[0] : mn_digest_of(digests, n * sizeof *digests);
    return MN_OK;
}

void mn_data_table_fini(mn_data_table *table)
{
    for (uint32_t i = 0; i < table->n_columns; i++)
        free(table->columns[i].name);
    free(table->columns);
    free(table->lines);
    for (uint32_t i = 0; i < table->n_bytes; i++)
        free(table->bytes[i]);
    for (uint32_t i = 0; i < table->n_tensors; i++)
        mn_tensor_file_destroy(&table->tensors[i]);
    *table = (mn_data_table){0};
}

mn_status mn_data_table_add(const char *source, const mn_data_array *array, mn_data_table *table,
                            mn_error *err)
{
    if (array->n_rows == 0 || array->n_columns == 0)
        return mn_fail(err, MN_ERR_DATA, "%s: no row of data", source);
    if (!mn_text_is_plain(array->name))
        return mn_fail(err, MN_ERR_DATA,
                       "%s: column %" PRIu32 " has a name that is no plain UTF-8 text on one line: "
                       "rename it",
                       source, table->n_columns + 1);
    if (array->n_rows > UINT32_MAX / 2 ||
        array->n_columns > MN_DATA_TABLE_MAX_COLUMNS - table->n_columns)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: %" PRIu64 " rows of %" PRIu64 " columns are too many: expected at most "
                       "%u columns in all",
                       source, array->n_rows, array->n_columns, MN_DATA_TABLE_MAX_COLUMNS);
    if (table->n_columns > 0 && array->n_rows != table->n_rows)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: %.80s has %" PRIu64 " rows, but what stands beside it has %" PRIu32
                       ": expected a row for each",
                       source, array->name, array->n_rows, table->n_rows);
    mn_data_column *columns =
        realloc(table->columns, (table->n_columns + array->n_columns) * sizeof *columns);
    if (columns == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%s: columns", source);
    table->columns = columns;
    table->n_rows = (uint32_t)array->n_rows;
    for (uint64_t i = 0; i < array->n_columns; i++) {
        char *name = NULL;
        if ((array->is_vector ? asprintf(&name, "%s", array->name)
                              : asprintf(&name, "%s.%" PRIu64, array->name, i + 1)) < 0)
            return mn_fail(err, MN_ERR_NOMEM, "%s: columns", source);
        columns[table->n_columns++] =
            (mn_data_column){.name = name,
                             .cells = array->cells,
                             .size = array->size,
                             .first = array->first + i * array->column_stride,
                             .stride = array->row_stride};
    }
    return MN_OK;
}

/* Text ------------------------------------------------------------------------------- */

/* The separator is what stands most often outside of quotes in the first line: a tab before all, as
 * it is in no number and few names. */
static char separator_of(const char *source, const char *at, const char *end)
{
    size_t commas = 0, semicolons = 0, tabs = 0;
    bool quoted = false;
    if (ends_in(source, ".tsv") || ends_in(source, ".tab"))
        return '\t';
    for (; at < end && (quoted || *at != '\n'); at++) {
        quoted = quoted != (*at == '"');
        commas += !quoted && *at == ',';
        semicolons += !quoted && *at == ';';
        tabs += !quoted && *at == '\t';
    }
    return tabs > 0 ? '\t' : semicolons > commas ? ';' : ',';
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

/* Behind the opening quote. The text is moved together over what its quotes leave free. */
static mn_status read_quoted(struct reader *reader, uint32_t column, char **field_end,
                             mn_error *err)
{
    const uint64_t line = reader->line;
    char *out = reader->at;
    for (; reader->at < reader->end; reader->at++) {
        if (*reader->at == '"' && (reader->at + 1 == reader->end || reader->at[1] != '"')) {
            reader->at++;
            while (reader->at < reader->end && *reader->at == ' ')
                reader->at++;
            *field_end = out;
            return at_line_end(reader) || *reader->at == reader->separator
                       ? MN_OK
                       : mn_fail(err, MN_ERR_DATA,
                                 "%s:%" PRIu64 ": column %" PRIu32
                                 ": something behind a closing quote: expected \"\" for a quote "
                                 "within quotes",
                                 reader->source, reader->line, column);
        }
        reader->at += *reader->at == '"';
        reader->line += *reader->at == '\n';
        *out++ = *reader->at;
    }
    return mn_fail(err, MN_ERR_DATA,
                   "%s:%" PRIu64 ": column %" PRIu32 ": a quote that does not end", reader->source,
                   line, column);
}

static mn_status read_field(struct reader *reader, uint32_t column, const char **field,
                            char **field_end, mn_error *err)
{
    while (reader->at < reader->end && *reader->at == ' ')
        reader->at++;
    if (reader->at < reader->end && *reader->at == '"') {
        *field = ++reader->at;
        return read_quoted(reader, column, field_end, err);
    }
    *field = reader->at;
    while (!at_line_end(reader) && *reader->at != reader->separator)
        reader->at++;
    *field_end = reader->at;
    while (*field_end > *field && (*field_end)[-1] == ' ')
        --*field_end;
    return MN_OK;
}

static bool add_cell(struct cells *cells, const char *field)
{
    if (!mn_room_make((void **)&cells->at, cells->n, 1, &cells->room, sizeof *cells->at))
        return false;
    cells->at[cells->n++] = field;
    return true;
}

static bool add_line(struct cells *cells, uint64_t line)
{
    const size_t n = cells->width == 0 ? 0 : cells->n / cells->width;
    if (!mn_room_make((void **)&cells->lines, n, 1, &cells->room_lines, sizeof *cells->lines))
        return false;
    cells->lines[n] = (uint32_t)line;
    return true;
}

static mn_status check_width(const struct reader *reader, uint64_t line, uint32_t n,
                             const struct cells *cells, mn_error *err)
{
    if (n > MN_DATA_TABLE_MAX_COLUMNS)
        return mn_fail(err, MN_ERR_DATA, "%s:%" PRIu64 ": more than %u columns", reader->source,
                       line, MN_DATA_TABLE_MAX_COLUMNS);
    return n == cells->width || cells->width == 0
               ? MN_OK
               : mn_fail(err, MN_ERR_DATA,
                         "%s:%" PRIu64 ": %" PRIu32 " column%s, but the first line has %" PRIu32
                         " (separated by %s): expected as many in every line",
                         reader->source, line, n, n == 1 ? "" : "s", cells->width,
                         reader->separator == '\t'  ? "tabs"
                         : reader->separator == ',' ? "commas"
                                                    : "semicolons");
}

/* A line that is not empty. What ends a field is read before it is overwritten by its NUL. */
static mn_status read_line(struct reader *reader, struct cells *cells, mn_error *err)
{
    const uint64_t line = reader->line;
    mn_status status =
        add_line(cells, line) ? MN_OK : mn_fail(err, MN_ERR_NOMEM, "%s: lines", reader->source);
    uint32_t n = 0;
    for (bool more = true; more && status == MN_OK;) {
        const char *field = NULL;
        char *end = NULL;
        status = read_field(reader, ++n, &field, &end, err);
        if (status != MN_OK)
            break;
        more = !at_line_end(reader);
        if (more)
            reader->at++;
        else
            end_line(reader);
        if (memchr(field, '\0', (size_t)(end - field)) != NULL)
            status = mn_fail(err, MN_ERR_DATA,
                             "%s:%" PRIu64 ": column %" PRIu32 ": a NUL byte: is this a text?",
                             reader->source, line, n);
        else if (n > MN_DATA_TABLE_MAX_COLUMNS)
            break;
        else if (!add_cell(cells, field))
            status = mn_fail(err, MN_ERR_NOMEM, "%s: cells", reader->source);
        *end = '\0';
    }
    if (status == MN_OK)
        status = check_width(reader, line, n, cells, err);
    cells->width = n;
    return status;
}

static bool parse_number(const char *text, double *out)
{
    char *end = NULL;
    const char first = text[strspn(text, "+-.")];
    *out = NAN;
    if (first < '0' || first > '9' || strpbrk(text, "xX") != NULL || strlen(text) > MOST_NUMBER)
        return false;
    *out = strtod(text, &end);
    return *end == '\0' && isfinite((float)*out);
}

static bool is_missing(const char *text)
{
    static const char *const none[] = {"", "na", "n/a", "nan", "null", "?"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (strcasecmp(text, none[i]) == 0)
            return true;
    return false;
}

static bool is_infinite(const char *text)
{
    const char *word = text + strspn(text, "+-");
    return strcasecmp(word, "inf") == 0 || strcasecmp(word, "infinity") == 0;
}

static bool is_header(const struct cells *cells)
{
    double number;
    uint32_t n_words = 0;
    for (uint32_t i = 0; i < cells->width; i++) {
        if (parse_number(cells->at[i], &number))
            return false;
        /* A list of rows may have no name for itself; and infinities are no names. */
        n_words += !is_missing(cells->at[i]) && !is_infinite(cells->at[i]);
    }
    return n_words > 0;
}

/* One column after the other, so that each has its own name. */
static mn_status add_columns(const char *source, const struct cells *cells, bool has_header,
                             mn_data_table *table, mn_error *err)
{
    const uint32_t width = cells->width;
    mn_status status = MN_OK;
    for (uint32_t i = 0; i < width && status == MN_OK; i++) {
        char number[16];
        (void)snprintf(number, sizeof number, "%" PRIu32, table->n_columns + 1);
        const mn_data_array column = {
            .name = has_header ? cells->at[i] : number,
            .cells = MN_CELLS_TEXT,
            .size = sizeof *cells->at,
            .first = (const char *)(const void *)(cells->at + i + (has_header ? width : 0)),
            .n_rows = cells->n / width - has_header,
            .n_columns = 1,
            .row_stride = width * sizeof *cells->at,
            .is_vector = true};
        status = mn_data_table_add(source, &column, table, err);
    }
    return status;
}

static mn_status parse_text(const char *source, char *bytes, size_t n, mn_header header,
                            mn_data_table *table, mn_error *err)
{
    struct reader reader = {.source = source, .at = bytes, .end = bytes + n, .line = 1};
    struct cells cells = {0};
    mn_status status = MN_OK;
    bool has_header = header == MN_HEADER_YES;
    if (n > MOST_TEXT)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: %zu bytes are more than a text may have, %zu: make an array of it, as "
                       "numpy.save does",
                       source, n, MOST_TEXT);
    if (n >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
        reader.at += 3;
    while (reader.at < reader.end && at_line_end(&reader))
        end_line(&reader);
    reader.separator = separator_of(source, reader.at, reader.end);
    while (reader.at < reader.end && status == MN_OK) {
        if (at_line_end(&reader)) {
            end_line(&reader);
            continue;
        }
        status = read_line(&reader, &cells, err);
        if (status == MN_OK && cells.n == cells.width && header == MN_HEADER_AUTO)
            has_header = is_header(&cells);
    }
    if (cells.at != NULL)
        table->bytes[table->n_bytes++] = (char *)(void *)cells.at;
    if (status == MN_OK && table->n_columns == 0 && cells.width > 0) {
        table->lines = cells.lines;
        cells.lines = NULL;
        if (has_header)
            memmove(table->lines, table->lines + 1,
                    (cells.n / cells.width - 1) * sizeof *table->lines);
    }
    free(cells.lines);
    if (status == MN_OK && (cells.width == 0 || cells.n / cells.width == has_header))
        return mn_fail(err, MN_ERR_DATA, "%s: no row of data%s: expected lines as \"0.5,1.2,oak\"",
                       source, has_header ? " below its header" : "");
    table->named = table->named && has_header;
    return status == MN_OK ? add_columns(source, &cells, has_header, table, err) : status;
}

/* Finding ---------------------------------------------------------------------------- */

static mn_status tell_names(const mn_data_table *table, const char *name, mn_error *err)
{
    char names[300] = "", shown[80];
    size_t used = 0;
    for (uint32_t i = 0; i < table->n_columns && used < sizeof names - 90; i++) {
        (void)mn_text_escape(table->columns[i].name, strlen(table->columns[i].name), shown, 60);
        used +=
            (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", shown);
    }
    (void)mn_text_escape(name, strlen(name), shown, sizeof shown);
    return mn_fail(err, MN_ERR_DATA,
                   "no column \"%s\": expected a number from 1 to %" PRIu32 " or one of %s%s",
                   shown, table->n_columns, names, used >= sizeof names - 90 ? ", ..." : "");
}

/* "7" or "7-22" */
static bool is_range(const char *name, uint32_t n_columns, uint32_t *first, uint32_t *n)
{
    char *end = NULL;
    if (name[0] < '0' || name[0] > '9')
        return false;
    const unsigned long low = strtoul(name, &end, 10);
    unsigned long high = low;
    if (*end == '-' && end[1] >= '0' && end[1] <= '9')
        high = strtoul(end + 1, &end, 10);
    if (*end != '\0' || low < 1 || high < low || high > n_columns)
        return false;
    *first = (uint32_t)low - 1;
    *n = (uint32_t)(high - low + 1);
    return true;
}

/* Is it "x.17" of an array x? */
static bool is_of_array(const char *column, const char *name)
{
    const size_t n = strlen(name);
    const char *number = column + n + 1;
    return strncmp(column, name, n) == 0 && column[n] == '.' && *number != '\0' &&
           number[strspn(number, "0123456789")] == '\0';
}

mn_status mn_data_table_find(const mn_data_table *table, const char *name, uint32_t *first,
                             uint32_t *n, mn_error *err)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < table->n_columns; i++)
        if (strcmp(table->columns[i].name, name) == 0) {
            *first = i;
            found++;
        }
    *n = 1;
    if (found > 1)
        return mn_fail(err, MN_ERR_DATA,
                       "%" PRIu32 " columns are called \"%.60s\": say which by its number", found,
                       name);
    if (found == 1)
        return MN_OK;
    *n = 0;
    for (uint32_t i = 0; i < table->n_columns; i++)
        if (table->columns[i].cells != MN_CELLS_TEXT && is_of_array(table->columns[i].name, name)) {
            *first = *n == 0 ? i : *first;
            ++*n;
        }
    if (*n > 0 || is_range(name, table->n_columns, first, n))
        return MN_OK;
    return tell_names(table, name, err);
}

/* Cells ------------------------------------------------------------------------------ */

static const char *text_of(const char *cell)
{
    const char *text;
    memcpy(&text, cell, sizeof text);
    return text;
}

#define READ_AS(type)                                                                              \
    {                                                                                              \
        type value;                                                                                \
        memcpy(&value, cell, sizeof value);                                                        \
        return (double)value;                                                                      \
    }

/* Not of text. */
static double number_of(mn_cells cells, const char *cell)
{
    uint16_t bits = 0;
    switch (cells) {
    case MN_CELLS_F32:
        READ_AS(float)
    case MN_CELLS_F64:
        READ_AS(double)
    case MN_CELLS_I8:
        READ_AS(int8_t)
    case MN_CELLS_I16:
        READ_AS(int16_t)
    case MN_CELLS_I32:
        READ_AS(int32_t)
    case MN_CELLS_I64:
        READ_AS(int64_t)
    case MN_CELLS_U8:
        READ_AS(uint8_t)
    case MN_CELLS_U16:
        READ_AS(uint16_t)
    case MN_CELLS_U32:
        READ_AS(uint32_t)
    case MN_CELLS_U64:
        READ_AS(uint64_t)
    case MN_CELLS_F16:
    case MN_CELLS_BF16:
        memcpy(&bits, cell, sizeof bits);
        return (double)(cells == MN_CELLS_F16 ? mn_float_of_half(bits) : mn_float_of_brain(bits));
    case MN_CELLS_TEXT:
    case MN_CELLS_UCS4:
    case MN_CELLS_BYTES:
    case MN_N_CELLS:
        break;
    }
    return (double)NAN;
}

static bool is_words(mn_cells cells)
{
    return cells == MN_CELLS_TEXT || cells == MN_CELLS_UCS4 || cells == MN_CELLS_BYTES;
}

static const char *cell_of(const mn_data_table *table, uint32_t row, uint32_t column)
{
    assert(row < table->n_rows && column < table->n_columns);
    return table->columns[column].first + row * table->columns[column].stride;
}

mn_cell mn_data_table_number(const mn_data_table *table, uint32_t row, uint32_t column, double *out)
{
    const mn_cells cells = table->columns[column].cells;
    const char *cell = cell_of(table, row, column);
    if (is_words(cells)) {
        char word[MN_DATA_TABLE_WORD];
        if (cells != MN_CELLS_TEXT)
            mn_data_table_word(table, row, column, word);
        const char *text = cells == MN_CELLS_TEXT ? text_of(cell) : word;
        return parse_number(text, out) ? MN_CELL_NUMBER
               : is_missing(text)      ? MN_CELL_MISSING
                                       : MN_CELL_WORD;
    }
    *out = number_of(cells, cell);
    return isnan(*out) ? MN_CELL_MISSING : isfinite((float)*out) ? MN_CELL_NUMBER : MN_CELL_WORD;
}

/* As UTF-8; what is no character becomes '?'. */
static void put_characters(const char *cell, uint32_t size, char out[MN_DATA_TABLE_WORD])
{
    size_t n = 0;
    for (uint32_t i = 0; i + 4 <= size && n + 5 < MN_DATA_TABLE_WORD; i += 4) {
        uint32_t c;
        memcpy(&c, cell + i, sizeof c);
        if (c == 0)
            break;
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            c = '?';
        if (c < 0x80) {
            out[n++] = (char)c;
        } else if (c < 0x800) {
            out[n++] = (char)(0xc0 | c >> 6);
            out[n++] = (char)(0x80 | (c & 63));
        } else if (c < 0x10000) {
            out[n++] = (char)(0xe0 | c >> 12);
            out[n++] = (char)(0x80 | (c >> 6 & 63));
            out[n++] = (char)(0x80 | (c & 63));
        } else {
            out[n++] = (char)(0xf0 | c >> 18);
            out[n++] = (char)(0x80 | (c >> 12 & 63));
            out[n++] = (char)(0x80 | (c >> 6 & 63));
            out[n++] = (char)(0x80 | (c & 63));
        }
    }
    out[n] = '\0';
}

void mn_data_table_word(const mn_data_table *table, uint32_t row, uint32_t column,
                        char out[MN_DATA_TABLE_WORD])
{
    const mn_data_column *of = &table->columns[column];
    const char *cell = cell_of(table, row, column);
    if (of->cells == MN_CELLS_TEXT)
        (void)snprintf(out, MN_DATA_TABLE_WORD, "%s", text_of(cell));
    else if (of->cells == MN_CELLS_UCS4)
        put_characters(cell, of->size, out);
    else if (of->cells == MN_CELLS_BYTES)
        (void)snprintf(out, MN_DATA_TABLE_WORD, "%.*s", (int)of->size, cell);
    else
        (void)snprintf(out, MN_DATA_TABLE_WORD, "%.15g", number_of(of->cells, cell));
}
