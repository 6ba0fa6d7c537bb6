/* yaml_reader.h: an options table read from YAML: one document, a mapping of sections to keys to
 * values or lists of values, nothing deeper. Anchors, aliases, tags, keys given twice and further
 * documents are refused, so that what a file says can be seen by reading it. Every error begins
 * with source:line. */
#pragma once

#include "common/options.h"

#define MN_YAML_MAX_BYTES (1u << 20)

/* Set the options that the n bytes of text name, and note the line of each: lines[i] is the line of
 * row i, 0 if the text has no such key. On failure (MN_ERR_CONFIG: bad text; MN_ERR_NOMEM) settings
 * may be half set: give a copy. */
mn_status mn_yaml_read(const mn_option_table *table, const char *source, const char *text, size_t n,
                       void *settings, size_t lines[MN_MAX_OPTIONS], mn_error *err);

/* The same, but sections, keys and values that the table does not have are passed over, as of a plug-in that is not
 * here: for who only looks. *whole: there were none. */
mn_status mn_yaml_glance(const mn_option_table *table, const char *source, const char *text,
                         size_t n, void *settings, bool *whole, mn_error *err);
