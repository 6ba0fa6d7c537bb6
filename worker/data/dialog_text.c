#include "worker/data/dialog_text.h"

#include "common/file.h"
#include "common/room.h"
#include "common/text.h"
#include "worker/data/text_lines.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a reader stands. */
struct reader {
    mn_text_lines lines;
    const mn_dialog_lexicon *lexicon;
    mn_dialog_text *text;
    size_t room_utterances, room_responses, room_dialogs, room_words, room_entities;
    uint32_t id;             /* of the line before; 0: a dialogue begins */
    uint32_t first;          /* the dialogue's first utterance */
    uint32_t first_response; /* and response */
    bool answered;           /* the line before was answered */
    mn_error *err;
};

static mn_status read_line(struct reader *reader, mn_span line);
static mn_status end_dialog(struct reader *reader, mn_span line);

mn_status mn_dialog_text_read(const char *path, const mn_dialog_lexicon *lexicon,
                              mn_dialog_text *out, mn_error *err)
{
    char *bytes = NULL;
    size_t n = 0;
    memset(out, 0, sizeof *out);
    mn_status status = mn_file_read(path, MN_TEXT_MAX_BYTES, &bytes, &n, err);
    if (status == MN_OK)
        status = mn_dialog_text_parse(path, bytes, n, lexicon, out, err);
    free(bytes);
    return status;
}

mn_status mn_dialog_text_parse(const char *source, const char *bytes, size_t n,
                               const mn_dialog_lexicon *lexicon, mn_dialog_text *out, mn_error *err)
{
    struct reader reader = {.lines = {.source = source, .left = {bytes, n}},
                            .lexicon = lexicon,
                            .text = out,
                            .err = err};
    mn_status status = MN_OK;
    memset(out, 0, sizeof *out);
    for (bool more = true; more && status == MN_OK;) {
        mn_span line;
        status = mn_text_lines_next(&reader.lines, &line, &more, err);
        if (status == MN_OK && line.n > 0)
            status = read_line(&reader, line);
        else if (status == MN_OK) /* a blank line, or the end */
            status = end_dialog(&reader, line);
    }
    if (status == MN_OK && out->n_dialogs == 0)
        status = mn_fail(err, MN_ERR_DATA,
                         "%s: expected dialogues, as in \"1 hi\", a tab and \"hello what can i "
                         "help you with today\"",
                         source);
    out->digest = mn_digest_of(bytes, n);
    if (status != MN_OK)
        mn_dialog_text_fini(out);
    return status;
}

void mn_dialog_text_fini(mn_dialog_text *text)
{
    free(text->utterances);
    free(text->responses);
    free(text->dialogs);
    free(text->words);
    free(text->entities);
    memset(text, 0, sizeof *text);
}

static bool is_plain(mn_span word)
{
    for (size_t i = 0; i < word.n; i++)
        if ((unsigned char)word.at[i] < ' ' || word.at[i] == 0x7f)
            return false;
    return true;
}

mn_status mn_dialog_split(const char *text, size_t n, const mn_dialog_lexicon *lexicon,
                          uint32_t *words, uint32_t *entities, uint32_t *n_out, mn_error *err)
{
    mn_span left = {text, n}, word;
    *n_out = 0;
    while ((word = mn_span_cut_word(&left)).n > 0) {
        uint32_t number = 0;
        if (!is_plain(word)) {
            char what[64];
            (void)mn_text_escape(word.at, word.n, what, sizeof what);
            return mn_fail(err, MN_ERR_DATA, "\"%s\": expected words without control characters",
                           what);
        }
        if (*n_out == MN_DIALOG_MAX_LENGTH)
            return mn_fail(err, MN_ERR_DATA, "an utterance of more than %u words",
                           MN_DIALOG_MAX_LENGTH);
        if (lexicon->grow) {
            mn_status status = mn_words_add(lexicon->words, word.at, word.n, &number, err);
            if (status != MN_OK)
                return status;
        } else {
            number = mn_words_find(lexicon->words, word.at, word.n);
        }
        words[*n_out] = number != 0 ? number : mn_words_count(lexicon->words);
        entities[(*n_out)++] = lexicon->entities != NULL
                                   ? mn_words_find(lexicon->entities->names, word.at, word.n)
                                   : 0;
    }
    return MN_OK;
}

/* Lines --------------------------------------------------------------------------- */

static mn_status no_memory(const struct reader *reader)
{
    return mn_fail(reader->err, MN_ERR_NOMEM, "the dialogues of %s", reader->lines.source);
}

static mn_status say(struct reader *reader, mn_speaker speaker, mn_span said)
{
    mn_dialog_text *text = reader->text;
    uint32_t words[MN_DIALOG_MAX_LENGTH], entities[MN_DIALOG_MAX_LENGTH], n = 0;
    mn_error why;
    mn_status status = mn_dialog_split(said.at, said.n, reader->lexicon, words, entities, &n, &why);
    if (status != MN_OK)
        return mn_fail(reader->err, status, "%s:%" PRIu32 ": %s", reader->lines.source,
                       reader->lines.line, why.message);
    if (n == 0 && speaker != MN_SPEAKER_USER)
        return mn_text_lines_refuse(&reader->lines, said,
                                    speaker == MN_SPEAKER_BOT
                                        ? "what the bot answers behind the tab"
                                        : "words behind the number",
                                    reader->err);
    if (!mn_room_make((void **)&text->words, text->n_words, n, &reader->room_words,
                      sizeof *text->words) ||
        !mn_room_make((void **)&text->entities, text->n_words, n, &reader->room_entities,
                      sizeof *text->entities) ||
        !mn_room_make((void **)&text->utterances, text->n_utterances, 1, &reader->room_utterances,
                      sizeof *text->utterances))
        return no_memory(reader);
    if (n > 0) {
        memcpy(text->words + text->n_words, words, n * sizeof *words);
        memcpy(text->entities + text->n_words, entities, n * sizeof *entities);
    }
    text->utterances[text->n_utterances++] =
        (mn_utterance){.words = {text->n_words, n}, .speaker = speaker, .turn = reader->id};
    text->n_words += n;
    if (n > text->longest_utterance)
        text->longest_utterance = n;
    return MN_OK;
}

static mn_status read_answer(struct reader *reader, mn_span asked, mn_span given)
{
    mn_dialog_text *text = reader->text;
    const mn_dialog_candidates *candidates = reader->lexicon->candidates;
    mn_dialog_response response = {.first = reader->first,
                                   .n_so_far = text->n_utterances - reader->first};
    if (memchr(given.at, '\t', given.n) != NULL)
        return mn_text_lines_refuse(&reader->lines, given, "one tab in the line", reader->err);
    if (text->n_responses - reader->first_response == MN_DIALOG_MAX_RESPONSES)
        return mn_fail(reader->err, MN_ERR_DATA,
                       "%s:%" PRIu32 ": more than %u responses in one "
                       "dialogue",
                       reader->lines.source, reader->lines.line, MN_DIALOG_MAX_RESPONSES);
    mn_status status = say(reader, MN_SPEAKER_USER, asked);
    if (status == MN_OK)
        status = say(reader, MN_SPEAKER_BOT, given);
    if (status != MN_OK)
        return status;
    if (candidates != NULL)
        response.answer = mn_dialog_candidates_find(candidates, given.at, given.n);
    if (response.answer == UINT32_MAX)
        return mn_text_lines_refuse(&reader->lines, given,
                                    "an answer that is one of the candidates", reader->err);
    if (!mn_room_make((void **)&text->responses, text->n_responses, 1, &reader->room_responses,
                      sizeof *text->responses))
        return no_memory(reader);
    text->responses[text->n_responses++] = response;
    if (response.n_so_far > text->longest_history)
        text->longest_history = response.n_so_far;
    return MN_OK;
}

static mn_status read_line(struct reader *reader, mn_span line)
{
    const mn_span all = line;
    uint32_t id;
    mn_span part;
    if (!mn_span_cut_number(&line, &id))
        return mn_text_lines_refuse(&reader->lines, all, "a number, a space and what is said",
                                    reader->err);
    if (id == 1 && reader->id != 0) {
        mn_status status = end_dialog(reader, all);
        if (status != MN_OK)
            return status;
    }
    if (id != reader->id + 1 || id > MN_DIALOG_MAX_TURN) {
        char expected[80];
        (void)snprintf(expected, sizeof expected, "line %" PRIu32 " of a dialogue of at most %u%s",
                       reader->id + 1, MN_DIALOG_MAX_TURN,
                       reader->id == 0 ? "" : ", or 1 for a new one");
        return mn_text_lines_refuse(&reader->lines, all, expected, reader->err);
    }
    if (id == 1) {
        reader->first = reader->text->n_utterances;
        reader->first_response = reader->text->n_responses;
    }
    reader->id = id;
    if (id > reader->text->last_turn)
        reader->text->last_turn = id;
    reader->answered = mn_span_cut_at_tab(&line, &part);
    return reader->answered ? read_answer(reader, part, line) : say(reader, MN_SPEAKER_FACTS, part);
}

/* Before a line that is blank, of another dialogue, or behind the last. */
static mn_status end_dialog(struct reader *reader, mn_span line)
{
    mn_dialog_text *text = reader->text;
    const mn_dialog dialog = {reader->first_response, text->n_responses - reader->first_response};
    if (reader->id == 0)
        return MN_OK;
    if (!reader->answered)
        return mn_text_lines_refuse(&reader->lines, line,
                                    "a line with a tab and the bot's answer at the end of the "
                                    "dialogue before: it is cut",
                                    reader->err);
    if (!mn_room_make((void **)&text->dialogs, text->n_dialogs, 1, &reader->room_dialogs,
                      sizeof *text->dialogs))
        return no_memory(reader);
    text->dialogs[text->n_dialogs++] = dialog;
    if (dialog.n > text->most_responses)
        text->most_responses = dialog.n;
    reader->id = 0;
    return MN_OK;
}
