#include "worker/data/description_table.h"

#include "common/file.h"
#include "common/text.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANK ' ' /* as a separator: any number of blanks and tabs */

/* A place in a text, and the field that was read last. */
struct reader {
    const char *source, *at, *end;
    uint32_t line, column; /* of the field, from 1 */
    char separator;
    bool more;         /* the line has another field, though it may be empty */
    const char *field; /* without the blanks around it */
    size_t n;
};

static bool is_matrix(const mn_description_text *text);
static mn_status read_names(const mn_description_text *text, char ***names, uint32_t *n,
                            mn_error *err);
static mn_status read_header(struct reader *reader, mn_description_table *out, mn_error *err);
static mn_status read_rows(struct reader *reader, bool named, mn_description_table *out,
                           mn_error *err);
static mn_status name_rows(const mn_description_text texts[3], mn_description_table *out,
                           mn_error *err);
static mn_status check_names(const char *source, const mn_description_table *table, mn_error *err);
static void begin(struct reader *reader, const mn_description_text *text);

mn_status mn_description_table_read(const char *path, mn_description_table *out, mn_error *err)
{
    static const char *const names[] = {"classes.txt", "predicates.txt"};
    char *paths[2] = {NULL, NULL}, *bytes[3] = {NULL, NULL, NULL};
    size_t n[3] = {0, 0, 0};
    mn_description_text texts[3] = {{.source = path}};
    *out = (mn_description_table){0};
    mn_status status = mn_file_read(path, MN_DESCRIPTIONS_MAX_BYTES, &bytes[0], &n[0], err);
    texts[0] = (mn_description_text){path, bytes[0], n[0]};
    for (int i = 0; i < 2 && status == MN_OK && is_matrix(&texts[0]); i++) {
        const char *slash = strrchr(path, '/');
        const int folder = slash == NULL ? 0 : (int)(slash + 1 - path);
        if (asprintf(&paths[i], "%.*s%s", folder, path, names[i]) < 0) {
            paths[i] = NULL;
            status = mn_fail(err, MN_ERR_NOMEM, "%s", path);
            break;
        }
        status = mn_file_read(paths[i], MN_DESCRIPTIONS_MAX_BYTES, &bytes[i + 1], &n[i + 1], err);
        if (status == MN_ERR_NO_INPUT) /* told below, if it is needed */
            status = MN_OK;
        texts[i + 1] = (mn_description_text){paths[i], bytes[i + 1], n[i + 1]};
    }
    if (status == MN_OK)
        status = mn_description_table_parse(texts, out, err);
    for (int i = 0; i < 3; i++)
        free(bytes[i]);
    free(paths[0]);
    free(paths[1]);
    return status;
}

mn_status mn_description_table_parse(const mn_description_text texts[3], mn_description_table *out,
                                     mn_error *err)
{
    struct reader reader;
    mn_hasher hasher;
    const bool matrix = is_matrix(&texts[0]);
    *out = (mn_description_table){0};
    begin(&reader, &texts[0]);
    if (matrix)
        reader.separator = BLANK;
    mn_status status = matrix ? MN_OK : read_header(&reader, out, err);
    if (status == MN_OK)
        status = read_rows(&reader, !matrix, out, err);
    if (status == MN_OK && matrix)
        status = name_rows(texts, out, err);
    if (status == MN_OK)
        status = check_names(matrix ? texts[1].source : texts[0].source, out, err);
    if (status != MN_OK) {
        mn_description_table_fini(out);
        return status;
    }
    mn_hasher_init(&hasher);
    for (int i = 0; i < (matrix ? 3 : 1); i++)
        if (texts[i].bytes != NULL)
            mn_hasher_add(&hasher, texts[i].bytes, texts[i].n);
    out->digest = mn_hasher_finish(&hasher);
    return MN_OK;
}

static void free_names(char **names, uint32_t n)
{
    for (uint32_t i = 0; names != NULL && i < n; i++)
        free(names[i]);
    free(names);
}

void mn_description_table_fini(mn_description_table *table)
{
    free_names(table->classes, table->n_classes);
    free_names(table->attributes, table->n_attributes);
    free(table->lines);
    free(table->at);
    *table = (mn_description_table){0};
}

uint32_t mn_description_table_find(const mn_description_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->n_classes; i++)
        if (strcmp(table->classes[i], name) == 0)
            return i;
    return UINT32_MAX;
}

/* Reading fields ------------------------------------------------------------------ */

static void begin(struct reader *reader, const mn_description_text *text)
{
    static const char mark[] = "\xef\xbb\xbf"; /* byte order */
    *reader = (struct reader){.source = text->source,
                              .at = text->bytes,
                              .end = text->bytes + text->n,
                              .line = 1,
                              .separator = ','};
    if (text->n >= 3 && memcmp(text->bytes, mark, 3) == 0)
        reader->at += 3;
    const size_t left = (size_t)(reader->end - reader->at);
    const char *newline = memchr(reader->at, '\n', left);
    const size_t length = newline == NULL ? left : (size_t)(newline - reader->at);
    if (memchr(reader->at, ',', length) == NULL && memchr(reader->at, ';', length) != NULL)
        reader->separator = ';';
    else if (memchr(reader->at, ',', length) == NULL && memchr(reader->at, '\t', length) != NULL)
        reader->separator = '\t';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next field of this line; false: the line has ended. */
static bool next_field(struct reader *reader)
{
    const bool blanks = reader->separator == BLANK;
    while (blanks && reader->at < reader->end && is_blank(*reader->at))
        reader->at++;
    if (blanks ? reader->at == reader->end || *reader->at == '\n' : !reader->more)
        return false;
    const char *from = reader->at;
    while (reader->at < reader->end && *reader->at != '\n' &&
           (blanks ? !is_blank(*reader->at) : *reader->at != reader->separator))
        reader->at++;
    const char *to = reader->at;
    while (from < to && is_blank(*from))
        from++;
    while (to > from && is_blank(to[-1]))
        to--;
    if (to - from >= 2 && *from == '"' && to[-1] == '"')
        from++, to--;
    reader->field = from;
    reader->n = (size_t)(to - from);
    reader->column++;
    reader->more = !blanks && reader->at < reader->end && *reader->at == reader->separator;
    reader->at += reader->more;
    return true;
}

/* Go to the next line that has something; false: there is none. */
static bool next_line(struct reader *reader)
{
    if (reader->column > 0 && reader->at < reader->end) { /* behind the fields of the one before */
        reader->at++;
        reader->line++;
    }
    reader->column = 0;
    reader->more = true;
    for (const char *at = reader->at; at < reader->end; at++) {
        if (*at == '\n') {
            reader->at = at + 1;
            reader->line++;
        } else if (!is_blank(*at)) {
            return true;
        }
    }
    return false;
}

static mn_status refuse(const struct reader *reader, const char *expected, mn_error *err)
{
    char shown[64];
    (void)mn_text_escape(reader->field, reader->n, shown, sizeof shown);
    return mn_fail(err, MN_ERR_DATA, "%s:%" PRIu32 ": column %" PRIu32 ": \"%s\": expected %s",
                   reader->source, reader->line, reader->column, shown, expected);
}

static bool to_number(const struct reader *reader, double *number)
{
    char text[64], *end = NULL;
    if (reader->n == 0 || reader->n >= sizeof text ||
        memchr(reader->field, '\0', reader->n) != NULL)
        return false;
    memcpy(text, reader->field, reader->n);
    text[reader->n] = '\0';
    if (strspn(text, "+-.0123456789eE") != reader->n)
        return false;
    *number = strtod(text, &end);
    return *end == '\0' && isfinite((float)*number);
}

/* Is the first line one of numbers alone? */
static bool is_matrix(const mn_description_text *text)
{
    struct reader reader;
    double number;
    if (text->bytes == NULL)
        return false;
    begin(&reader, text);
    reader.separator = BLANK;
    if (!next_line(&reader))
        return false;
    while (next_field(&reader))
        if (!to_number(&reader, &number))
            return false;
    return true;
}

static mn_status take_name(const struct reader *reader, char **out, mn_error *err)
{
    char *name = reader->n == 0 || reader->n > MN_DESCRIPTIONS_MAX_NAME ||
                         memchr(reader->field, '\0', reader->n) != NULL
                     ? NULL
                     : strndup(reader->field, reader->n);
    if (name == NULL || !mn_text_is_plain(name)) {
        free(name);
        return refuse(reader, "a name of 1 to 255 letters, in UTF-8", err);
    }
    *out = name;
    return MN_OK;
}

/* Room for twice as many names when there are `n`, a power of two or 0. */
static mn_status grow_names(char ***names, uint32_t n, mn_error *err)
{
    if (n != 0 && (n & (n - 1)) != 0)
        return MN_OK;
    char **more = realloc(*names, (n == 0 ? 1 : 2 * (size_t)n) * sizeof *more);
    if (more == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "names of a table");
    *names = more;
    return MN_OK;
}

/* Reading tables ------------------------------------------------------------------ */

static mn_status read_header(struct reader *reader, mn_description_table *out, mn_error *err)
{
    mn_status status = MN_OK;
    if (!next_line(reader))
        return mn_fail(
            err, MN_ERR_DATA,
            "%s: nothing in it: expected a header \"class, ATTRIBUTE, ...\" and a line of "
            "numbers for each class",
            reader->source);
    (void)next_field(reader); /* what the column of names is called */
    while (status == MN_OK && next_field(reader)) {
        double number;
        if (out->n_attributes == MN_DESCRIPTIONS_MAX_ATTRIBUTES)
            return refuse(reader, "at most 4096 attributes", err);
        if (to_number(reader, &number))
            return refuse(reader,
                          "the name of an attribute: the first line is a header, \"class, "
                          "ATTRIBUTE, ...\"",
                          err);
        status = grow_names(&out->attributes, out->n_attributes, err);
        if (status == MN_OK)
            status = take_name(reader, &out->attributes[out->n_attributes], err);
        out->n_attributes += status == MN_OK;
    }
    if (status == MN_OK && out->n_attributes == 0)
        return refuse(reader, "a header \"class, ATTRIBUTE, ...\" with commas between", err);
    return status;
}

/* A number, or NaN where it is missing. */
static mn_status read_value(const struct reader *reader, bool named, float *out, mn_error *err)
{
    double number;
    if (named && (reader->n == 0 || (reader->n == 1 && *reader->field == '?'))) {
        *out = NAN;
        return MN_OK;
    }
    if (!to_number(reader, &number))
        return refuse(reader,
                      named ? "a finite number, as 0.5, or ? where it is not known"
                            : "a finite number, as 38.09, or -1 where it is not known",
                      err);
    *out = !named && number == -1 ? NAN : (float)number;
    return MN_OK;
}

static mn_status grow_rows(mn_description_table *out, mn_error *err)
{
    const uint32_t n = out->n_classes;
    if (n != 0 && (n & (n - 1)) != 0)
        return MN_OK;
    const size_t room = n == 0 ? 1 : 2 * (size_t)n;
    float *at = realloc(out->at, room * out->n_attributes * sizeof *at);
    if (at != NULL)
        out->at = at;
    uint32_t *lines = realloc(out->lines, room * sizeof *lines);
    if (lines != NULL)
        out->lines = lines;
    return at != NULL && lines != NULL ? MN_OK
                                       : mn_fail(err, MN_ERR_NOMEM, "table of descriptions");
}

/* How many fields the line has that the reader stands at. */
static uint32_t count_fields(struct reader reader)
{
    uint32_t n = 0;
    while (n <= MN_DESCRIPTIONS_MAX_ATTRIBUTES && next_field(&reader))
        n++;
    return n;
}

static mn_status read_row(struct reader *reader, bool named, mn_description_table *out,
                          mn_error *err)
{
    const uint32_t width = count_fields(*reader), wanted = out->n_attributes + named;
    const uint32_t row = out->n_classes;
    if (width != wanted)
        return mn_fail(err, MN_ERR_DATA,
                       "%s:%" PRIu32 ": %" PRIu32 " columns: expected %" PRIu32
                       " as in the first line%s",
                       reader->source, reader->line, width, wanted,
                       named ? ": the class and its attributes" : "");
    if (row == MN_DESCRIPTIONS_MAX_CLASSES)
        return mn_fail(err, MN_ERR_DATA, "%s: more than %u classes", reader->source,
                       MN_DESCRIPTIONS_MAX_CLASSES);
    mn_status status = grow_rows(out, err);
    if (status == MN_OK && named)
        status = grow_names(&out->classes, row, err);
    if (status == MN_OK && named) {
        (void)next_field(reader);
        status = take_name(reader, &out->classes[row], err);
    }
    if (status != MN_OK)
        return status;
    out->lines[row] = reader->line;
    out->n_classes++; /* from now on its name is the table's to free */
    for (uint32_t i = 0; i < out->n_attributes && status == MN_OK && next_field(reader); i++)
        status = read_value(reader, named, &out->at[(size_t)row * out->n_attributes + i], err);
    return status;
}

static mn_status read_rows(struct reader *reader, bool named, mn_description_table *out,
                           mn_error *err)
{
    mn_status status = MN_OK;
    while (status == MN_OK && next_line(reader)) {
        if (!named && out->n_attributes == 0)
            out->n_attributes = count_fields(*reader);
        if (out->n_attributes > MN_DESCRIPTIONS_MAX_ATTRIBUTES) {
            out->n_attributes = 0;
            return mn_fail(err, MN_ERR_DATA, "%s:%" PRIu32 ": more than %u columns", reader->source,
                           reader->line, MN_DESCRIPTIONS_MAX_ATTRIBUTES);
        }
        status = read_row(reader, named, out, err);
    }
    if (status == MN_OK && out->n_classes == 0)
        return mn_fail(err, MN_ERR_DATA, "%s: no class is described: expected a line for each",
                       reader->source);
    return status;
}

/* Lines "NUMBER NAME", the numbers from 1 on. */
static mn_status read_names(const mn_description_text *text, char ***names, uint32_t *n,
                            mn_error *err)
{
    struct reader reader;
    mn_status status = MN_OK;
    begin(&reader, text);
    reader.separator = BLANK;
    while (status == MN_OK && next_line(&reader)) {
        double number;
        (void)next_field(&reader);
        if (*n == MN_DESCRIPTIONS_MAX_CLASSES || !to_number(&reader, &number) || number != *n + 1)
            return refuse(&reader, "lines NUMBER NAME, the numbers 1, 2, 3 and so on", err);
        if (!next_field(&reader))
            return refuse(&reader, "a name behind the number", err);
        status = grow_names(names, *n, err);
        if (status == MN_OK)
            status = take_name(&reader, &(*names)[*n], err);
        *n += status == MN_OK;
        if (status == MN_OK && next_field(&reader))
            return refuse(&reader, "one name without blanks", err);
    }
    return status;
}

static mn_status expect_as_many(const char *source, uint32_t n, uint32_t wanted, const char *of,
                                mn_error *err)
{
    return n == wanted ? MN_OK
                       : mn_fail(err, MN_ERR_DATA,
                                 "%s: %" PRIu32 " names, but the matrix has %" PRIu32 " %s", source,
                                 n, wanted, of);
}

/* The names of a matrix: its own numbers stand for those of the columns if nobody tells them. */
static mn_status name_rows(const mn_description_text texts[3], mn_description_table *out,
                           mn_error *err)
{
    const uint32_t rows = out->n_classes, columns = out->n_attributes;
    uint32_t n = 0;
    if (texts[1].bytes == NULL)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: a matrix of numbers without names: expected classes.txt beside it, a "
                       "line NUMBER NAME for each row; or a header \"class, ATTRIBUTE, ...\" and "
                       "the class at the beginning of each line",
                       texts[0].source);
    mn_status status = read_names(&texts[1], &out->classes, &n, err);
    out->n_classes = n; /* so many are to be freed */
    if (status == MN_OK)
        status = expect_as_many(texts[1].source, n, rows, "rows", err);
    n = 0;
    if (status == MN_OK && texts[2].bytes != NULL)
        status = read_names(&texts[2], &out->attributes, &n, err);
    for (; status == MN_OK && texts[2].bytes == NULL && n < columns; n++) {
        status = grow_names(&out->attributes, n, err);
        if (status == MN_OK && asprintf(&out->attributes[n], "%" PRIu32, n + 1) < 0)
            status = mn_fail(err, MN_ERR_NOMEM, "table of descriptions");
        if (status != MN_OK)
            break;
    }
    out->n_attributes = n;
    return status == MN_OK ? expect_as_many(texts[2].source, n, columns, "columns", err) : status;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A class that stands twice would be described by the first alone. */
static mn_status check_names(const char *source, const mn_description_table *table, mn_error *err)
{
    const size_t bytes = table->n_classes * sizeof *table->classes;
    char **sorted = malloc(bytes);
    mn_status status = MN_OK;
    if (sorted == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "table of descriptions");
    memcpy(sorted, table->classes, bytes);
    qsort(sorted, table->n_classes, sizeof *sorted, by_text);
    for (uint32_t i = 1; i < table->n_classes && status == MN_OK; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            status =
                mn_fail(err, MN_ERR_DATA, "%s: class %s is described twice", source, sorted[i]);
    free(sorted);
    return status;
}
