/* help.h: what mnemo says of itself, by topic. */
#pragma once

#include "common/error.h"
#include <stdbool.h>

/* Print help on a topic to standard output: a command, a section or a key of experiment files,
 * "options", "codes", "topics", "all" (of which the man page is made), or "" for a short overview.
 * MN_ERR_USAGE: no such topic; names the nearest. */
mn_status mn_help(const char *topic, mn_error *err);

/* Is there a --help or -h among the words of a command? */
bool mn_help_is_asked(int argc, char **argv);
