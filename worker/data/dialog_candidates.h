/* dialog_candidates.h: the sentences of which a dialogue system chooses its next one: a line each,
 * "1 sentence", as the bAbI dialog tasks list them (Bordes, Boureau, Weston 2016). */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include "worker/data/babi_text.h"
#include "worker/data/dialog_entities.h"
#include "worker/data/words.h"
#include <stdint.h>

#define MN_DIALOG_MAX_CANDIDATES 16384u

typedef struct mn_dialog_candidates {
    uint32_t n;
    const char **texts; /* [n], in the file's order, one space between words; owned */
    char *bytes;        /* theirs; owned */
    uint32_t *sorted;   /* [n], by text; owned */
    uint32_t longest;   /* words */
    mn_digest digest;   /* of the file's bytes */
    /* Of mn_dialog_candidates_number: */
    mn_babi_words *at;  /* [n]; owned */
    uint32_t *words;    /* their numbers, those that the dictionary lacks mn_words_count(); owned */
    uint32_t *entities; /* beside them: the number of the entity that a word is; 0: none; owned */
} mn_dialog_candidates;

/* Read n bytes, which messages call `source`. MN_ERR_DATA: path:line, what is there and what was
 * expected; twice the same; none. On failure *out is empty. */
mn_status mn_dialog_candidates_parse(const char *source, const char *bytes, size_t n,
                                     mn_dialog_candidates *out, mn_error *err);
void mn_dialog_candidates_fini(mn_dialog_candidates *candidates);

/* Look up their words; entities may be NULL. */
mn_status mn_dialog_candidates_number(mn_dialog_candidates *candidates, const mn_words *words,
                                      const mn_dialog_entities *entities, mn_error *err);

/* The place of a sentence, whatever spaces stand between its words; UINT32_MAX: it is none of them. */
uint32_t mn_dialog_candidates_find(const mn_dialog_candidates *candidates, const char *text,
                                   size_t n);
