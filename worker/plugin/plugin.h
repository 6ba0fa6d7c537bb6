/* plugin.h: shared objects with kinds of a user's own (mnemo/plugin.h): opened, looked at from all
 * sides, and made known to experiments, task sets, networks and rules. They are named by whoever
 * started this program, by nobody else. Called while there is one thread; what is loaded stays. */
#pragma once

#include "common/error.h"
#include "worker/library/mnemo/plugin.h"
#include <stddef.h>

typedef struct mn_plugin {
    char name[32], version[32];
    char digest[65];           /* SHA-256 of the file, hex */
    const mnemo_plugin *kinds; /* its own; lasts as long as the process */
} mn_plugin;

/* Load a file; one with bytes that are loaded already is let be. MN_ERR_NO_INPUT: no such file.
 * MN_ERR_DATA: no shared object for this machine, without the symbol, of another ABI, or with structs
 * that are none; a kind lacks a call, or has a name or an option that cannot be. MN_ERR_CONFIG: a kind of
 * its name is there already. Each names the file, what is wrong and what was expected. */
mn_status mn_plugin_load(const char *path, mn_error *err);

/* Load the files of a list with ':' between, as the environment's MNEMO_PLUGINS; NULL: none. */
mn_status mn_plugin_load_list(const char *paths, mn_error *err);

/* Those that are loaded, in order; NULL: no more. */
const mn_plugin *mn_plugin_at(size_t i);
