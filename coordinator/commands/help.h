/* help.h: what mnemo says of itself, by topic. */
#pragma once

#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>

/* Print help on a topic to standard output: a command, a section or a key of experiment files,
 * "options", "codes", "topics", "all" (of which the man page is made), or "" for a short overview.
 * MN_ERR_USAGE: no such topic; names the nearest. */
mn_status mn_help(const char *topic, mn_error *err);

/* The name of command i, and what help tells of its options, in two columns (NULL: none; options may
 * be NULL); NULL: there are not so many. */
const char *mn_help_command(size_t i, const char **options);

/* Is there a --help or -h among the words of a command? */
bool mn_help_is_asked(int argc, char **argv);

/* MN_ERR_USAGE: there is no command of this name, "" for none; says which there are. */
mn_status mn_help_unknown(const char *name, mn_error *err);
