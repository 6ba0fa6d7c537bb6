/* dialog_entities.h: things that dialogues talk of, as restaurants' telephone numbers and kinds of
 * food, and of which types each is: from facts "ID thing R_type value", words with spaces or tabs
 * between, as the knowledge base of the bAbI dialog tasks lists them. The values are the entities. Among
 * lines of dialogues those with a tab are what is said, and no facts. */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include "worker/data/words.h"
#include <stdint.h>

#define MN_DIALOG_MAX_TYPES 16u
#define MN_DIALOG_MAX_ENTITIES 16384u

typedef struct mn_dialog_entities {
    mn_words *names; /* number 0: none; owned */
    uint32_t *types; /* by number: bit t for type t; owned */
    uint32_t n_types;
    char type_names[MN_DIALOG_MAX_TYPES][MN_WORD_BYTES]; /* "r_phone", in the order found */
    mn_digest digest;                                    /* of the file's bytes */
} mn_dialog_entities;

/* Read n bytes, which messages call `source`: a list of facts alone, or the facts among other lines
 * of dialogues. MN_ERR_DATA: path:line, what is there and what was expected; no fact; too many.
 * On failure *out is empty. */
mn_status mn_dialog_entities_parse(const char *source, const char *bytes, size_t n,
                                   bool facts_alone, mn_dialog_entities *out, mn_error *err);
void mn_dialog_entities_fini(mn_dialog_entities *entities);
