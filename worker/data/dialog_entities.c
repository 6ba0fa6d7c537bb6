#include "worker/data/dialog_entities.h"

#include "worker/data/text_lines.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char type_begin[] = "R_";

static mn_status read_line(const mn_text_lines *lines, mn_span line, bool facts_alone,
                           mn_dialog_entities *out, mn_error *err);

mn_status mn_dialog_entities_parse(const char *source, const char *bytes, size_t n,
                                   bool facts_alone, mn_dialog_entities *out, mn_error *err)
{
    mn_text_lines lines = {.source = source, .left = {bytes, n}};
    memset(out, 0, sizeof *out);
    mn_status status = mn_words_new(&out->names, err);
    out->types = status == MN_OK ? calloc(MN_DIALOG_MAX_ENTITIES, sizeof *out->types) : NULL;
    if (status == MN_OK && out->types == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "the entities of %s", source);
    for (bool more = true; status == MN_OK && more;) {
        mn_span line;
        status = mn_text_lines_next(&lines, &line, &more, err);
        if (status == MN_OK && line.n > 0)
            status = read_line(&lines, line, facts_alone, out, err);
    }
    if (status == MN_OK && out->n_types == 0)
        status = mn_fail(err, MN_ERR_DATA,
                         "%s: no fact \"ID thing R_type value\", as in \"1 la_tasca R_phone "
                         "la_tasca_phone\"",
                         source);
    out->digest = mn_digest_of(bytes, n);
    if (status != MN_OK)
        mn_dialog_entities_fini(out);
    return status;
}

void mn_dialog_entities_fini(mn_dialog_entities *entities)
{
    mn_words_destroy(&entities->names);
    free(entities->types);
    memset(entities, 0, sizeof *entities);
}

/* The number of a type, which may be new; MN_DIALOG_MAX_TYPES: there are too many. */
static uint32_t type_of(mn_dialog_entities *entities, mn_span name)
{
    uint32_t type = 0;
    while (type < entities->n_types && (strlen(entities->type_names[type]) != name.n ||
                                        memcmp(entities->type_names[type], name.at, name.n) != 0))
        type++;
    if (type == entities->n_types && type < MN_DIALOG_MAX_TYPES) {
        memcpy(entities->type_names[type], name.at, name.n);
        entities->n_types++;
    }
    return type;
}

static mn_status read_line(const mn_text_lines *lines, mn_span line, bool facts_alone,
                           mn_dialog_entities *out, mn_error *err)
{
    const size_t n_begin = sizeof type_begin - 1;
    uint32_t id, number;
    mn_span left = line;
    const bool is_said = !facts_alone && memchr(line.at, '\t', line.n) != NULL;
    const bool has_id = mn_span_cut_number(&left, &id) && !is_said;
    const mn_span thing = has_id ? mn_span_cut_word(&left) : (mn_span){line.at, 0};
    const mn_span type = has_id ? mn_span_cut_word(&left) : thing;
    const mn_span value = has_id ? mn_span_cut_word(&left) : thing;
    const bool is_fact = value.n > 0 && mn_span_cut_word(&left).n == 0 && type.n > n_begin &&
                         type.n < MN_WORD_BYTES && memcmp(type.at, type_begin, n_begin) == 0;
    if (!is_fact)
        return facts_alone ? mn_text_lines_refuse(lines, line,
                                                  "a number, a thing, a type that begins with R_, "
                                                  "and a value",
                                                  err)
                           : MN_OK;
    const uint32_t at = type_of(out, type);
    mn_error why;
    if (at == MN_DIALOG_MAX_TYPES)
        return mn_fail(err, MN_ERR_DATA, "%s:%" PRIu32 ": more than %u types of entities",
                       lines->source, lines->line, MN_DIALOG_MAX_TYPES);
    mn_status status = mn_words_add(out->names, value.at, value.n, &number, &why);
    if (status != MN_OK)
        return mn_fail(err, status, "%s:%" PRIu32 ": %s", lines->source, lines->line, why.message);
    if (number >= MN_DIALOG_MAX_ENTITIES)
        return mn_fail(err, MN_ERR_DATA, "%s:%" PRIu32 ": more than %u entities", lines->source,
                       lines->line, MN_DIALOG_MAX_ENTITIES - 1);
    out->types[number] |= UINT32_C(1) << at;
    return MN_OK;
}
