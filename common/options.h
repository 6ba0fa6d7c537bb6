/* options.h: settings as a table. One row says all about one option: its name, where it lives in a
 * plain struct, its type, default, range, unit and help; reading, checking, printing and --help are
 * made from the rows. Errors name the key, the value, what was expected and the nearest valid name.
 */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MN_MAX_OPTIONS 320 /* rows of a table */
#define MN_MAX_LIST 16     /* numbers in a list */
/* Bytes of a value in print, with NUL; fields of at most 512 bytes. */
#define MN_OPTION_LONGEST 1200
/* 2^53: whole numbers up to here are exact in any reader. */
#define MN_OPTION_WHOLE 9007199254740992.0

typedef struct mn_uint_list {
    uint32_t n;
    uint32_t at[MN_MAX_LIST];
} mn_uint_list;

typedef enum mn_option_type {
    MN_OPTION_BOOL,
    MN_OPTION_U32,
    MN_OPTION_I32,
    MN_OPTION_U64,
    MN_OPTION_REAL,   /* double, finite */
    MN_OPTION_PAIR,   /* double[2], each in range */
    MN_OPTION_LIST,   /* mn_uint_list, each in range */
    MN_OPTION_CHOICE, /* enum; choices in its order */
    MN_OPTION_TEXT,   /* char[size], plain text (text.h); min: its least length */
    MN_OPTION_NAME,   /* as TEXT, of letters, digits, '.', '_' and '-', beginning with none of these
                         signs */
} mn_option_type;

typedef struct mn_option {
    const char *key; /* "section.name" or "name"; the rows of a section stand together */
    mn_option_type type;
    size_t offset, size;  /* of the field */
    const char *fallback; /* the default, as one would write it */
    double min, max;      /* both allowed; whole numbers within +-MN_OPTION_WHOLE */
    const char *unit;     /* "" if none */
    const char *help;
    bool decides;               /* it decides the answer of a run */
    const char *const *choices; /* ends in NULL */
    /* Who reads it: "" or NULL: everyone; else what choices must be made for it to count, as in
     * "model.input=conv4" or "tasks.kind=images|glyphs,model.memory=table": all of these; and
     * " or " between several such. "tasks.kind!=external": any other choice will do. */
    const char *readers;
} mn_option;

typedef struct mn_option_table {
    const mn_option *rows;
    size_t n; /* at most MN_MAX_OPTIONS */
} mn_option_table;

/* Set every option to its default. */
void mn_options_default(const mn_option_table *table, void *settings);

/* NULL: no such option. */
const mn_option *mn_options_find(const mn_option_table *table, const char *key);

/* Bytes of the section before the dot of a key; 0 for a key without one. */
size_t mn_option_section(const char *key);

/* MN_ERR_CONFIG: unknown key "..."; did you mean "..."? */
mn_status mn_options_unknown(const mn_option_table *table, const char *key, mn_error *err);

/* Does anything read this option under the present settings? */
bool mn_option_is_read(const mn_option_table *table, const mn_option *option, const void *settings);

/* MN_ERR_CONFIG: an option with given[its row] that nothing reads: says who would. */
mn_status mn_options_check_read(const mn_option_table *table, const bool given[MN_MAX_OPTIONS],
                                const void *settings, mn_error *err);

/* Set one option. On failure (MN_ERR_CONFIG) settings is as before. A list is "40, 40" or "[40,
 * 40]" as text. */
mn_status mn_option_set(const mn_option *option, const char *text, void *settings, mn_error *err);

/* The same from the items of a list; MN_ERR_CONFIG too if the option takes one value only. `n` may
 * be more than MN_MAX_LIST, then only that many items are looked at. */
mn_status mn_option_set_items(const mn_option *option, size_t n, const char *const *items,
                              void *settings, mn_error *err);

/* "key=value". */
mn_status mn_options_assign(const mn_option_table *table, const char *assignment, void *settings,
                            mn_error *err);

/* The value as YAML that reads back to the same value: the one canonical text of a value. */
void mn_option_text(const mn_option *option, const void *settings, char out[MN_OPTION_LONGEST]);

/* Print all options that are read as YAML; with_help: unit, range and help as comments. */
void mn_options_print(const mn_option_table *table, const void *settings, bool with_help,
                      FILE *out);

/* Print the rows of a topic, a key, a section or "key=choice" that they are read for, for a person;
 * NULL: the whole table. Returns how many there are. */
size_t mn_options_help(const mn_option_table *table, const char *topic, FILE *out);
