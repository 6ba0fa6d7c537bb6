/* key_file.h: the files that hold CURVE keys. Lines of "secret: KEY" or "public: KEY NAME", a KEY
 * being 40 characters of Z85; empty lines and lines that begin with '#' say nothing. The word in
 * front tells the two kinds of key apart, which look alike, and makes a '#' within a key harmless.
 *   NAME.secret   one secret key; for its owner alone, or it is refused; a file of root's for a group too
 *   NAME.public   the public key that belongs to it, and the name of its owner
 * Errors name file:line and what was expected; a key itself is never part of a message. */
#pragma once

#include "common/error.h"
#include "proto/wire.h"
#include <stdbool.h>

#define MN_KEY_NAME_CHARS 63
#define MN_KEY_FILE_MAX_BYTES (1u << 20)

/* May this be the name of a key: 1 to MN_KEY_NAME_CHARS of a-z A-Z 0-9 . _ - and no '.' in front?
 */
bool mn_key_name_is_good(const char *name);

/* Make folder/name.secret (mode 0600) and folder/name.public (0644) with a new pair; the folder is
 * made if need be. public_line: what the public file says, with its newline. MN_ERR_USAGE: one of
 * the files is there; nothing is ever overwritten, and after a failure neither is there. */
mn_status mn_key_file_make(const char *folder, const char *name, char public_line[128],
                           mn_error *err);

/* MN_ERR_NO_INPUT: no such file. MN_ERR_PERMISSION: others may read or write it, or its
 * group may, unless it may only read what is root's.
 * MN_ERR_DATA: it does not hold one secret key. */
mn_status mn_key_file_read_secret(const char *path, char secret[MN_WIRE_KEY_CHARS + 1],
                                  mn_error *err);

/* Call `take` for each public key of a file, in order; its failure ends the reading. name is "" if
 * the line gives none. MN_ERR_DATA: a line is neither a public key nor a comment. */
typedef mn_status mn_take_key(void *user, const char *key, const char *name, mn_error *err);
mn_status mn_key_file_read_public(const char *path, mn_take_key *take, void *user, mn_error *err);
