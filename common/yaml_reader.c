#include "common/yaml_reader.h"

#include "common/text.h"
#include <assert.h>
#include <stdarg.h>
#include <string.h>
#include <yaml.h>

enum { KEY = 128, ITEM = 64 }; /* bytes kept of a key, and of a number in a list */

struct reader {
    const mn_option_table *table;
    const char *source;
    const char *text;
    size_t n; /* bytes of text */
    void *settings;
    size_t *lines;                        /* [MN_MAX_OPTIONS] of the keys */
    size_t section_lines[MN_MAX_OPTIONS]; /* of the sections, by their first row */
    yaml_parser_t parser;
    yaml_event_t event; /* the present one; YAML_NO_EVENT before the first */
    bool glances, whole;
    mn_error *err;
};

static mn_status read_all(struct reader *r);
static mn_status read_stream(struct reader *r);
static mn_status read_top(struct reader *r);
static mn_status read_section(struct reader *r, const char *section);
static mn_status read_key(struct reader *r, char key[KEY], size_t used);
static mn_status read_value(struct reader *r, const char *key, size_t key_line);
static mn_status read_items(struct reader *r, const mn_option *option);
static mn_status pass_over(struct reader *r);
static mn_status next(struct reader *r);
static mn_status malformed(struct reader *r);
static size_t line(const struct reader *r);
static bool is_nothing(const struct reader *r);
static const char *scalar(const struct reader *r);
static size_t find_section(const struct reader *r, const char *name);
static mn_status unknown_section(struct reader *r, const char *name, size_t at);
static mn_status fail(struct reader *r, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

mn_status mn_yaml_read(const mn_option_table *table, const char *source, const char *text, size_t n,
                       void *settings, size_t lines[MN_MAX_OPTIONS], mn_error *err)
{
    struct reader r = {.table = table,
                       .source = source,
                       .text = text,
                       .n = n,
                       .settings = settings,
                       .lines = lines,
                       .err = err};
    return read_all(&r);
}

mn_status mn_yaml_glance(const mn_option_table *table, const char *source, const char *text,
                         size_t n, void *settings, bool *whole, mn_error *err)
{
    size_t lines[MN_MAX_OPTIONS];
    struct reader r = {.table = table,
                       .source = source,
                       .text = text,
                       .n = n,
                       .settings = settings,
                       .lines = lines,
                       .glances = true,
                       .whole = true,
                       .err = err};
    mn_status status = read_all(&r);
    *whole = r.whole;
    return status;
}

static mn_status read_all(struct reader *r)
{
    assert(r->table->n <= MN_MAX_OPTIONS);
    memset(r->lines, 0, MN_MAX_OPTIONS * sizeof *r->lines);
    if (r->n > MN_YAML_MAX_BYTES)
        return fail(r, 1, "%zu bytes are too many for an experiment (at most %u)", r->n,
                    MN_YAML_MAX_BYTES);
    if (!yaml_parser_initialize(&r->parser))
        return mn_fail(r->err, MN_ERR_NOMEM, "%s: no memory to read it", r->source);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)r->text, r->n);
    mn_status status = read_stream(r);
    yaml_event_delete(&r->event);
    yaml_parser_delete(&r->parser);
    return status;
}

/* An empty stream and an empty document set nothing. */
static mn_status read_stream(struct reader *r)
{
    mn_status status = next(r); /* the stream's start */
    if (status == MN_OK)
        status = next(r);
    if (status != MN_OK || r->event.type == YAML_STREAM_END_EVENT)
        return status;
    status = next(r); /* after the document's start */
    if (status != MN_OK)
        return status;
    if (r->event.type == YAML_MAPPING_START_EVENT)
        status = read_top(r);
    else if (!is_nothing(r))
        return fail(r, line(r), "expected keys with values, as in \"seed: 1\"");
    if (status == MN_OK)
        status = next(r); /* the document's end */
    if (status == MN_OK)
        status = next(r);
    if (status == MN_OK && r->event.type != YAML_STREAM_END_EVENT)
        return fail(r, line(r), "a second document begins; expected one only");
    return status;
}

static mn_status read_top(struct reader *r)
{
    for (;;) {
        char key[KEY];
        mn_status status = next(r);
        if (status != MN_OK || r->event.type == YAML_MAPPING_END_EVENT)
            return status;
        size_t at = line(r);
        status = read_key(r, key, 0);
        if (status == MN_OK)
            status = next(r);
        if (status != MN_OK)
            return status;

        size_t first = find_section(r, key);
        bool keys_below = r->event.type == YAML_MAPPING_START_EVENT;
        const bool is_unknown =
            first == r->table->n && keys_below && mn_options_find(r->table, key) == NULL;
        if (is_unknown && !r->glances)
            return unknown_section(r, key, at);
        if (is_unknown) {
            status = pass_over(r);
        } else if (first == r->table->n) {
            status = read_value(r, key, at);
        } else if (r->section_lines[first] != 0) {
            return fail(r, at, "\"%s\" is given twice (first in line %zu)", key,
                        r->section_lines[first]);
        } else {
            r->section_lines[first] = at;
            if (keys_below)
                status = read_section(r, key);
            else if (!is_nothing(r))
                return fail(r, line(r),
                            "\"%s\" is a section: its keys stand below it, indented, as in \"%s\"",
                            key, r->table->rows[first].key + strlen(key) + 1);
        }
        if (status != MN_OK)
            return status;
    }
}

static mn_status read_section(struct reader *r, const char *section)
{
    char key[KEY];
    size_t used = (size_t)snprintf(key, sizeof key, "%s.", section);
    for (;;) {
        mn_status status = next(r);
        if (status != MN_OK || r->event.type == YAML_MAPPING_END_EVENT)
            return status;
        size_t at = line(r);
        status = read_key(r, key, used);
        if (status == MN_OK)
            status = next(r);
        if (status == MN_OK)
            status = read_value(r, key, at);
        if (status != MN_OK)
            return status;
    }
}

/* Copy the present event, a key, behind the `used` bytes of key. Too long ones are cut: they are
 * unknown anyway. */
static mn_status read_key(struct reader *r, char key[KEY], size_t used)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return fail(r, line(r), "expected a key, as in \"seed: 1\", found a list or a mapping");
    if (strlen(scalar(r)) != r->event.data.scalar.length)
        return fail(r, line(r), "a key holds a zero byte");
    (void)snprintf(key + used, KEY - used, "%s", scalar(r));
    return MN_OK;
}

/* The present event is the first of the value. */
static mn_status read_value(struct reader *r, const char *key, size_t key_line)
{
    mn_error why;
    const mn_option *option = mn_options_find(r->table, key);
    if (option == NULL && r->glances)
        return pass_over(r);
    if (option == NULL) {
        (void)mn_options_unknown(r->table, key, &why);
        return fail(r, key_line, "%s", why.message);
    }
    size_t *given = &r->lines[option - r->table->rows];
    if (*given != 0)
        return fail(r, key_line, "\"%s\" is given twice (first in line %zu)", key, *given);
    *given = key_line;

    if (r->event.type == YAML_SEQUENCE_START_EVENT)
        return read_items(r, option);
    if (r->event.type != YAML_SCALAR_EVENT)
        return fail(r, line(r), "%s: expected a value, found keys below it", key);
    if (is_nothing(r))
        return fail(r, line(r), "%s: has no value; leave the key out to get the default %s", key,
                    option->fallback);
    if (strlen(scalar(r)) != r->event.data.scalar.length)
        return fail(r, line(r), "%s: holds a zero byte", key);
    if (mn_option_set(option, scalar(r), r->settings, &why) == MN_OK)
        return MN_OK;
    return r->glances ? pass_over(r) : fail(r, line(r), "%s", why.message);
}

/* Items beyond what an option can take are counted, not kept. */
static mn_status read_items(struct reader *r, const mn_option *option)
{
    char items[MN_MAX_LIST][ITEM];
    const char *pointers[MN_MAX_LIST];
    size_t n = 0;
    size_t at = line(r);
    mn_error why;
    for (;;) {
        mn_status status = next(r);
        if (status != MN_OK)
            return status;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        if (r->event.type != YAML_SCALAR_EVENT)
            return fail(r, line(r), "%s: expected a list of values, found a list inside it",
                        option->key);
        if (n < MN_MAX_LIST) {
            size_t length = (size_t)snprintf(items[n], ITEM, "%s", scalar(r));
            if (length >= ITEM || length != r->event.data.scalar.length)
                return fail(r, line(r), "%s: item %zu of the list is too long for a number",
                            option->key, n + 1);
            pointers[n] = items[n];
        }
        n++;
    }
    if (mn_option_set_items(option, n, pointers, r->settings, &why) == MN_OK)
        return MN_OK;
    if (!r->glances)
        return fail(r, at, "%s", why.message);
    r->whole = false; /* it is behind us already */
    return MN_OK;
}

/* The present event and all that belongs to it. */
static mn_status pass_over(struct reader *r)
{
    size_t depth = 0;
    r->whole = false;
    for (;;) {
        const yaml_event_type_t type = r->event.type;
        if (type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT)
            depth++;
        else if (type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT)
            depth--;
        if (depth == 0 || type == YAML_STREAM_END_EVENT)
            return MN_OK;
        mn_status status = next(r);
        if (status != MN_OK)
            return status;
    }
}

static mn_status next(struct reader *r)
{
    yaml_event_delete(&r->event);
    if (!yaml_parser_parse(&r->parser, &r->event))
        return malformed(r);
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    if (r->event.type == YAML_ALIAS_EVENT)
        anchor = r->event.data.alias.anchor;
    if (r->event.type == YAML_SCALAR_EVENT) {
        anchor = r->event.data.scalar.anchor;
        tag = r->event.data.scalar.tag;
    }
    if (r->event.type == YAML_SEQUENCE_START_EVENT) {
        anchor = r->event.data.sequence_start.anchor;
        tag = r->event.data.sequence_start.tag;
    }
    if (r->event.type == YAML_MAPPING_START_EVENT) {
        anchor = r->event.data.mapping_start.anchor;
        tag = r->event.data.mapping_start.tag;
    }
    if (anchor != NULL)
        return fail(r, line(r), "anchors and aliases (& and *) are not used here; write the value");
    if (tag != NULL)
        return fail(r, line(r), "tags (!) are not used here; write the value alone");
    return MN_OK;
}

/* The parser knows the line of what it could scan, and the byte of what it could not even decode.
 */
static mn_status malformed(struct reader *r)
{
    const yaml_parser_t *parser = &r->parser;
    const char *problem = parser->problem != NULL ? parser->problem : "not YAML";
    if (parser->error == YAML_MEMORY_ERROR)
        return mn_fail(r->err, MN_ERR_NOMEM, "%s: no memory to read it", r->source);
    if (parser->error != YAML_READER_ERROR)
        return fail(r, parser->problem_mark.line + 1, "%s%s%s",
                    parser->context != NULL ? parser->context : "",
                    parser->context != NULL ? ": " : "", problem);
    size_t at = 1;
    for (size_t i = 0; i < parser->problem_offset && i < r->n; i++)
        at += r->text[i] == '\n';
    return fail(r, at, "%s (expected UTF-8 text)", problem);
}

static size_t line(const struct reader *r)
{
    return r->event.start_mark.line + 1;
}

/* "key:" with nothing behind it, "~" or "null". An empty text is written "". */
static bool is_nothing(const struct reader *r)
{
    if (r->event.type != YAML_SCALAR_EVENT || r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *text = scalar(r);
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

static const char *scalar(const struct reader *r)
{
    return (const char *)r->event.data.scalar.value;
}

/* The first row of the section, or table->n. */
static size_t find_section(const struct reader *r, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < r->table->n; i++) {
        const char *key = r->table->rows[i].key;
        if (n > 0 && mn_option_section(key) == n && strncmp(key, name, n) == 0)
            return i;
    }
    return r->table->n;
}

static mn_status unknown_section(struct reader *r, const char *name, size_t at)
{
    char nearest[KEY] = "";
    char shown[ITEM];
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < r->table->n; i++) {
        char section[KEY];
        const char *key = r->table->rows[i].key;
        (void)snprintf(section, sizeof section, "%.*s", (int)mn_option_section(key), key);
        size_t distance = mn_text_distance(name, section);
        if (section[0] != '\0' && distance < least) {
            least = distance;
            memcpy(nearest, section, sizeof nearest);
        }
    }
    (void)mn_text_escape(name, strlen(name), shown, sizeof shown);
    if (mn_text_is_near(least, name))
        return fail(r, at, "unknown section \"%s\"; did you mean \"%s\"?", shown, nearest);
    return fail(r, at, "unknown section \"%s\"; --help lists all keys", shown);
}

static mn_status fail(struct reader *r, size_t at, const char *format, ...)
{
    mn_error why;
    va_list words;
    va_start(words, format);
    (void)vsnprintf(why.message, sizeof why.message, format, words);
    va_end(words);
    return mn_fail(r->err, MN_ERR_CONFIG, "%s:%zu: %s", r->source, at, why.message);
}
