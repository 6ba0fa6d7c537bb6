/* dialog_text.h: reader of dialogues in the form of the bAbI dialog tasks (Bordes, Boureau, Weston
 * 2016). A line is
 *     ID what the user says TAB what the bot answers     or
 *     ID fact                                            (what a knowledge base told the bot)
 * The IDs of a dialogue count from 1, and a blank line, or an ID of 1, ends it. The bot's answers are
 * candidates of a list. A user may say nothing. A file that is cut or garbled is refused with its
 * line. Sizes are bounded. */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include "worker/data/babi_text.h"
#include "worker/data/dialog_candidates.h"
#include "worker/data/dialog_entities.h"
#include "worker/data/words.h"
#include <stdint.h>

#define MN_DIALOG_MAX_TURN 8192u     /* lines of a dialogue */
#define MN_DIALOG_MAX_LENGTH 64u     /* words of an utterance */
#define MN_DIALOG_MAX_RESPONSES 512u /* of a dialogue */

typedef enum mn_speaker {
    MN_SPEAKER_USER,
    MN_SPEAKER_BOT,
    MN_SPEAKER_FACTS,
    MN_N_SPEAKERS
} mn_speaker;

/* Something that was said; a run of the text's words. */
typedef struct mn_utterance {
    mn_babi_words words;
    mn_speaker speaker;
    uint32_t turn; /* ID of its line, from 1 */
} mn_utterance;

/* A response of the bot to utterances[first + n_so_far], the user's; the dialogue has said n_so_far
 * before it. */
typedef struct mn_dialog_response {
    uint32_t first, n_so_far;
    uint32_t answer; /* which candidate */
} mn_dialog_response;

typedef struct mn_dialog {
    uint32_t first, n; /* responses */
} mn_dialog;

typedef struct mn_dialog_text {
    uint32_t n_utterances, n_responses, n_dialogs, n_words;
    mn_utterance *utterances;      /* [n_utterances], dialogue by dialogue; owned */
    mn_dialog_response *responses; /* [n_responses]; owned */
    mn_dialog *dialogs;            /* [n_dialogs]; owned */
    uint32_t *words;               /* [n_words]; owned */
    uint32_t *entities;            /* [n_words]: which entity a word is; 0: none; owned */
    uint32_t longest_utterance, longest_history, last_turn, most_responses;
    mn_digest digest; /* of the file's bytes */
} mn_dialog_text;

/* What a reader knows. */
typedef struct mn_dialog_lexicon {
    mn_words *words;
    bool grow; /* add new words; else they become number mn_words_count() */
    const mn_dialog_entities *entities;     /* NULL: none */
    const mn_dialog_candidates *candidates; /* NULL: any answer will do */
} mn_dialog_lexicon;

/* Read a file. MN_ERR_DATA: path:line, what is there and what was expected. MN_ERR_NO_INPUT,
 * MN_ERR_NOMEM. On failure *out is empty. */
mn_status mn_dialog_text_read(const char *path, const mn_dialog_lexicon *lexicon,
                              mn_dialog_text *out, mn_error *err);

/* The same of n bytes, which messages call `source`. */
mn_status mn_dialog_text_parse(const char *source, const char *bytes, size_t n,
                               const mn_dialog_lexicon *lexicon, mn_dialog_text *out,
                               mn_error *err);

void mn_dialog_text_fini(mn_dialog_text *text);

/* The numbers of the words of one utterance, and beside them of the entities that they are, to
 * [MN_DIALOG_MAX_LENGTH] each; spaces are between words. MN_ERR_DATA: there are too many, a word is
 * too long, or it holds control characters. */
mn_status mn_dialog_split(const char *text, size_t n, const mn_dialog_lexicon *lexicon,
                          uint32_t *words, uint32_t *entities, uint32_t *n_out, mn_error *err);
