/* fuzz_dialog_text.c: any bytes as dialogues, as a list of candidates and as facts. Dialogues are read
 * twice, as a training file and then as a test of the words that training knew. What is accepted must
 * hold together: each run of words, each response with what was said before it, and each candidate is
 * found where it stands. */
#include "worker/data/dialog_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void require_told(mn_status status, const mn_error *err)
{
    require(status == MN_OK || status == MN_ERR_DATA || status == MN_ERR_NOMEM);
    require(status != MN_ERR_DATA || strstr(err->message, "lines") != NULL);
}

static void check(const mn_dialog_text *text, const mn_words *words)
{
    const uint32_t known = mn_words_count(words);
    require(text->n_dialogs > 0 && text->longest_utterance <= MN_DIALOG_MAX_LENGTH);
    for (uint32_t i = 0; i < text->n_utterances; i++) {
        const mn_utterance *said = &text->utterances[i];
        require(said->words.n <= text->longest_utterance && said->speaker < MN_N_SPEAKERS);
        require(said->turn >= 1 && said->turn <= text->last_turn);
        require(said->words.first <= text->n_words &&
                said->words.n <= text->n_words - said->words.first);
    }
    for (uint32_t i = 0; i < text->n_words; i++)
        require(text->words[i] >= 1 && text->words[i] <= known &&
                text->entities[i] < MN_DIALOG_MAX_ENTITIES);
    for (uint32_t i = 0; i < text->n_responses; i++) {
        const mn_dialog_response *response = &text->responses[i];
        require(response->n_so_far <= text->longest_history);
        require(response->first + response->n_so_far + 1 < text->n_utterances);
    }
    for (uint32_t i = 0; i < text->n_dialogs; i++)
        require(text->dialogs[i].n > 0 && text->dialogs[i].n <= text->most_responses &&
                text->dialogs[i].first + text->dialogs[i].n <= text->n_responses);
}

static void read_dialogs(const char *bytes, size_t n, mn_dialog_lexicon lexicon)
{
    mn_dialog_text train, test;
    mn_error err = {0};
    const mn_status status = mn_dialog_text_parse("lines", bytes, n, &lexicon, &train, &err);
    require_told(status, &err);
    if (status != MN_OK) {
        require(train.words == NULL);
        return;
    }
    check(&train, lexicon.words);
    lexicon.grow = false;
    require(mn_dialog_text_parse("lines", bytes, n, &lexicon, &test, &err) == MN_OK);
    check(&test, lexicon.words);
    require(test.n_words == train.n_words);
    require(train.n_words == 0 ||
            memcmp(test.words, train.words, train.n_words * sizeof *train.words) == 0);
    mn_dialog_text_fini(&train);
    mn_dialog_text_fini(&test);
}

static void read_candidates(const char *bytes, size_t n, const mn_words *words)
{
    mn_dialog_candidates candidates;
    mn_error err = {0};
    const mn_status status = mn_dialog_candidates_parse("lines", bytes, n, &candidates, &err);
    require_told(status, &err);
    if (status != MN_OK) {
        require(candidates.texts == NULL);
        return;
    }
    require(mn_dialog_candidates_number(&candidates, words, NULL, &err) == MN_OK);
    for (uint32_t i = 0; i < candidates.n; i++) {
        const char *text = candidates.texts[i];
        require(mn_dialog_candidates_find(&candidates, text, strlen(text)) == i);
        require(candidates.at[i].n >= 1 && candidates.at[i].n <= candidates.longest);
    }
    mn_dialog_candidates_fini(&candidates);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    mn_words *words = NULL;
    mn_dialog_entities entities;
    mn_error err = {0};
    if (mn_words_new(&words, &err) != MN_OK)
        return 0;
    const char *text = (const char *)bytes;
    const bool alone = n > 0 && bytes[n - 1] == '\n' && bytes[0] == '1';
    const mn_status status = mn_dialog_entities_parse("lines", text, n, alone, &entities, &err);
    require_told(status, &err);
    read_dialogs(text, n,
                 (mn_dialog_lexicon){
                     .words = words, .grow = true, .entities = status == MN_OK ? &entities : NULL});
    read_candidates(text, n, words);
    mn_dialog_entities_fini(&entities);
    mn_words_destroy(&words);
    return 0;
}
