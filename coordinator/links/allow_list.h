/* allow_list.h: whose keys are let in. A file of public keys (proto/key_file.h) that is read again
 * when it has changed, so that a key can be added or taken away while a run goes on. */
#pragma once

#include "common/error.h"
#include <stddef.h>

typedef struct mn_allow_list mn_allow_list;

/* Read it for the first time. MN_ERR_NO_INPUT, MN_ERR_DATA: as mn_key_file_read_public. */
mn_status mn_allow_list_new(const char *path, mn_allow_list **out, mn_error *err);
/* Does nothing if it is NULL. */
void mn_allow_list_destroy(mn_allow_list **list);

size_t mn_allow_list_size(const mn_allow_list *list);

/* The name that stands behind this key (Z85); "" if none does; NULL: the key is not on the list. */
const char *mn_allow_list_find(const mn_allow_list *list, const char *key);

/* Read it again if the file has changed since. A failure is told once for each change, and the list
 * stays as it was: a slip of the editor does not shut everybody out. */
mn_status mn_allow_list_refresh(mn_allow_list *list, mn_error *err);
