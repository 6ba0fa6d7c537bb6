#include "worker/tasks/dialog_book.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MORE_WORDS 2u /* of an utterance: who spoke, and the turn */

static const char *const speaker_names[MN_N_SPEAKERS] = {
    [MN_SPEAKER_USER] = "#user", [MN_SPEAKER_BOT] = "#bot", [MN_SPEAKER_FACTS] = "#facts"};

static mn_status add_words(mn_dialog_book *book, uint32_t last_turn, mn_error *err);
static mn_status add_candidates(mn_dialog_book *book, mn_error *err);
static mn_status sort_words(mn_dialog_book *book, mn_dialog_text *text, mn_error *err);

mn_status mn_dialog_book_open(mn_dialog_book *book, const char *training,
                              const mn_experiment *experiment, mn_dialog_text *out, mn_error *err)
{
    const uint32_t most_slots = experiment->tasks.sentences;
    book->time = experiment->tasks.time;
    memset(out, 0, sizeof *out);
    mn_status status = mn_words_new(&book->words, err);
    if (status != MN_OK)
        return status;
    mn_dialog_lexicon lexicon = mn_dialog_book_lexicon(book);
    lexicon.grow = true;
    status = mn_dialog_text_read(training, &lexicon, out, err);
    if (status == MN_OK)
        status = add_words(book, out->last_turn, err);
    if (status == MN_OK && experiment->tasks.vocabulary == MN_VOCABULARY_CANDIDATES)
        status = add_candidates(book, err);
    if (status == MN_OK)
        status = sort_words(book, out, err);
    if (status == MN_OK)
        status = mn_dialog_candidates_number(&book->candidates, book->words, lexicon.entities, err);
    book->slots = out->longest_history < most_slots ? out->longest_history : most_slots;
    book->slots = book->slots > 0 ? book->slots : 1;
    book->longest = out->longest_utterance > 0 ? out->longest_utterance : 1;
    return status;
}

bool mn_dialog_book_find_words(mn_dialog_book *book)
{
    bool all = true;
    for (mn_speaker i = 0; i < MN_N_SPEAKERS; i++) {
        book->speakers[i] = mn_words_find(book->words, speaker_names[i], strlen(speaker_names[i]));
        all = all && book->speakers[i] > 0;
    }
    for (uint32_t i = 1; i <= book->n_turns; i++) {
        char name[16];
        const int n = snprintf(name, sizeof name, "#%" PRIu32, i);
        book->turns[i] = mn_words_find(book->words, name, (size_t)n);
        all = all && book->turns[i] > 0;
    }
    return all;
}

void mn_dialog_book_close(mn_dialog_book *book)
{
    mn_words_destroy(&book->words);
    mn_dialog_candidates_fini(&book->candidates);
    mn_dialog_entities_fini(&book->entities);
    free(book->turns);
    memset(book, 0, sizeof *book);
}

mn_dialog_lexicon mn_dialog_book_lexicon(const mn_dialog_book *book)
{
    return (mn_dialog_lexicon){.words = book->words,
                               .entities = book->entities.names != NULL ? &book->entities : NULL,
                               .candidates = &book->candidates};
}

static mn_status add_words(mn_dialog_book *book, uint32_t last_turn, mn_error *err)
{
    mn_status status = MN_OK;
    book->n_turns = book->time == MN_TIME_TURNS ? last_turn : 0;
    book->turns = calloc((size_t)book->n_turns + 1, sizeof *book->turns);
    if (book->turns == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "the words of %" PRIu32 " turns", last_turn);
    for (mn_speaker i = 0; i < MN_N_SPEAKERS && status == MN_OK; i++)
        status = mn_words_add(book->words, speaker_names[i], strlen(speaker_names[i]),
                              &book->speakers[i], err);
    for (uint32_t i = 1; i <= book->n_turns && status == MN_OK; i++) {
        char name[16];
        const int n = snprintf(name, sizeof name, "#%" PRIu32, i);
        status = mn_words_add(book->words, name, (size_t)n, &book->turns[i], err);
    }
    return status;
}

static mn_status add_candidates(mn_dialog_book *book, mn_error *err)
{
    uint32_t words[MN_DIALOG_MAX_LENGTH], entities[MN_DIALOG_MAX_LENGTH], n;
    mn_dialog_lexicon lexicon = mn_dialog_book_lexicon(book);
    mn_status status = MN_OK;
    lexicon.grow = true;
    for (uint32_t i = 0; i < book->candidates.n && status == MN_OK; i++) {
        const char *text = book->candidates.texts[i];
        mn_error why;
        status = mn_dialog_split(text, strlen(text), &lexicon, words, entities, &n, &why);
        if (status != MN_OK)
            return mn_fail(err, status, "candidate \"%.80s\": %s", text, why.message);
    }
    return MN_OK;
}

/* So that a word's number is the same wherever in the file it came first. */
static mn_status sort_words(mn_dialog_book *book, mn_dialog_text *text, mn_error *err)
{
    uint32_t *renamed = NULL;
    mn_status status = mn_words_sort(book->words, &renamed, err);
    if (status != MN_OK)
        return status;
    for (uint32_t i = 0; i < text->n_words; i++)
        text->words[i] = renamed[text->words[i]];
    for (mn_speaker i = 0; i < MN_N_SPEAKERS; i++)
        book->speakers[i] = renamed[book->speakers[i]];
    for (uint32_t i = 1; i <= book->n_turns; i++)
        book->turns[i] = renamed[book->turns[i]];
    free(renamed);
    return MN_OK;
}

mn_status mn_dialog_book_fields(const mn_dialog_book *book, uint32_t bundle, mn_fields *fields,
                                mn_error *err)
{
    static const mn_points none;
    const uint32_t more = book->time == MN_TIME_TURNS ? MORE_WORDS : 1;
    const mn_story_shape shape = {.bundle = bundle,
                                  .sentences = book->slots,
                                  .length = book->longest + more,
                                  .question = book->longest,
                                  .vocabulary = mn_words_count(book->words),
                                  .no_ages = book->time == MN_TIME_TURNS,
                                  .candidates = book->candidates.n,
                                  .candidate_length = book->candidates.longest,
                                  .types = book->entities.n_types};
    return mn_story_fields(&shape, &none, fields, err);
}

/* Writing ------------------------------------------------------------------------- */

void mn_dialog_book_clear(const mn_dialog_book *book, mn_task *task)
{
    const mn_dialog_candidates *candidates = &book->candidates;
    mn_story_clear(task, false);
    float *to = mn_task_find(task, MN_SHARED, "candidates");
    for (uint32_t i = 0; i < candidates->n; i++, to += candidates->longest)
        for (uint32_t k = 0; k < candidates->at[i].n; k++)
            to[k] = (float)candidates->words[candidates->at[i].first + k];
}

/* Entities that were spoken of, a bit each. */
struct heard {
    uint64_t bits[MN_DIALOG_MAX_ENTITIES / 64];
};

static void hear(struct heard *heard, const mn_dialog_text *text, const mn_babi_words *said)
{
    for (uint32_t i = 0; i < said->n; i++) {
        const uint32_t entity = text->entities[said->first + i];
        heard->bits[entity / 64] |= UINT64_C(1) << entity % 64;
    }
}

/* match [types, candidates] of one item, zero. Entity 0 is none. */
static void put_matches(const mn_dialog_book *book, const struct heard *heard, float *match)
{
    const mn_dialog_candidates *candidates = &book->candidates;
    for (uint32_t i = 0; i < candidates->n; i++)
        for (uint32_t k = 0; k < candidates->at[i].n; k++) {
            const uint32_t entity = candidates->entities[candidates->at[i].first + k];
            if (entity == 0 || (heard->bits[entity / 64] >> entity % 64 & 1) == 0)
                continue;
            for (uint32_t type = 0; type < book->entities.n_types; type++)
                if ((book->entities.types[entity] >> type & 1) != 0)
                    match[(size_t)type * candidates->n + i] = 1.0f;
        }
}

/* A turn that training does not reach has no word. */
static uint32_t word_of_turn(const mn_dialog_book *book, uint32_t turn)
{
    return turn <= book->n_turns ? book->turns[turn] : mn_words_count(book->words);
}

void mn_dialog_book_put(const mn_dialog_book *book, const mn_dialog_text *text,
                        const mn_dialog_response *response, double weight, uint32_t item,
                        mn_task *task)
{
    const mn_story_pages pages = mn_story_pages_of(task, MN_QUERY);
    const mn_utterance *asked = &text->utterances[response->first + response->n_so_far];
    const uint32_t n = response->n_so_far < pages.slots ? response->n_so_far : pages.slots;
    struct heard heard = {{0}};
    for (uint32_t i = 0; i < n; i++) {
        const mn_utterance *said = asked - (n - i);
        const uint32_t room = pages.length > MORE_WORDS ? pages.length - MORE_WORDS : 0;
        uint32_t words[MN_DIALOG_MAX_LENGTH + MORE_WORDS], n_words = said->words.n;
        if (n_words > room) /* who spoke is not what is left out */
            n_words = room;
        memcpy(words, text->words + said->words.first, n_words * sizeof *words);
        words[n_words++] = book->speakers[said->speaker];
        if (book->time == MN_TIME_TURNS)
            words[n_words++] = word_of_turn(book, said->turn);
        mn_story_tell(&pages, item, i, n - i, n_words, words);
        hear(&heard, text, &said->words);
    }
    hear(&heard, text, &asked->words);
    mn_story_ask(&pages, item, asked->words.n, text->words + asked->words.first, response->answer,
                 0, weight);
    const mn_field *match = mn_fields_find(&task->fields, MN_QUERY, "match");
    if (match != NULL)
        put_matches(book, &heard, task->block + match->offset + item * mn_field_item(match));
}
