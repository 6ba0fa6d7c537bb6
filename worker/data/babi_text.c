#include "worker/data/babi_text.h"

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
    mn_words *words;
    bool grow;
    mn_babi_text *text;
    size_t room_sentences, room_questions, room_words;
    uint32_t id;                      /* of the line before; 0: none */
    uint32_t first;                   /* the story's first sentence */
    uint32_t n_sentences;             /* of it so far */
    bool asked;                       /* the line before was a question */
    bool told[MN_BABI_MAX_STORY + 1]; /* by ID: it is a sentence of this story */
    mn_error *err;
};

static mn_status read_line(struct reader *reader, mn_span line);

mn_status mn_babi_text_read(const char *path, mn_words *words, bool grow, mn_babi_text *out,
                            mn_error *err)
{
    char *bytes = NULL;
    size_t n = 0;
    memset(out, 0, sizeof *out);
    mn_status status = mn_file_read(path, MN_TEXT_MAX_BYTES, &bytes, &n, err);
    if (status == MN_OK)
        status = mn_babi_text_parse(path, bytes, n, words, grow, out, err);
    free(bytes);
    return status;
}

mn_status mn_babi_text_parse(const char *source, const char *bytes, size_t n, mn_words *words,
                             bool grow, mn_babi_text *out, mn_error *err)
{
    memset(out, 0, sizeof *out);
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "reader of %s", source);
    reader->lines = (mn_text_lines){.source = source, .left = {bytes, n}};
    reader->words = words;
    reader->grow = grow;
    reader->text = out;
    reader->err = err;
    mn_status status = MN_OK;
    for (bool more = true; more && status == MN_OK;) {
        mn_span line;
        status = mn_text_lines_next(&reader->lines, &line, &more, err);
        if (status == MN_OK && more)
            status = read_line(reader, line);
    }
    if (status == MN_OK && !reader->asked)
        status = mn_fail(err, MN_ERR_DATA,
                         "%s:%" PRIu32 ": the file ends %s; expected a question at its end: it is "
                         "cut; get it anew",
                         source, reader->lines.line,
                         reader->lines.line == 0 ? "at once" : "within a story");
    free(reader);
    out->digest = mn_digest_of(bytes, n);
    if (status != MN_OK)
        mn_babi_text_fini(out);
    return status;
}

void mn_babi_text_fini(mn_babi_text *text)
{
    free(text->sentences);
    free(text->questions);
    free(text->words);
    memset(text, 0, sizeof *text);
}

static bool is_of_a_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '\'';
}

mn_status mn_babi_split(const char *text, size_t n, mn_words *words, bool grow, uint32_t *out,
                        uint32_t *n_out, mn_error *err)
{
    *n_out = 0;
    for (size_t at = 0; at < n;) {
        size_t length = 0;
        while (at + length < n && is_of_a_word(text[at + length]))
            length++;
        if (length == 0) {
            if (strchr(" .?,", text[at]) == NULL || text[at] == '\0') {
                char what[16];
                (void)mn_text_escape(text + at, 1, what, sizeof what);
                return mn_fail(err, MN_ERR_DATA,
                               "\"%s\" in a sentence; expected words of letters, digits, - and ' "
                               "with spaces between them",
                               what);
            }
            at++;
            continue;
        }
        if (*n_out == MN_BABI_MAX_LENGTH)
            return mn_fail(err, MN_ERR_DATA, "a sentence of more than %u words",
                           MN_BABI_MAX_LENGTH);
        uint32_t number = mn_words_find(words, text + at, length);
        mn_status status =
            number == 0 && grow ? mn_words_add(words, text + at, length, &number, err) : MN_OK;
        if (status != MN_OK)
            return status;
        out[(*n_out)++] = number != 0 ? number : mn_words_count(words);
        at += length;
    }
    return *n_out > 0 ? MN_OK : mn_fail(err, MN_ERR_DATA, "a sentence without words");
}

/* Lines --------------------------------------------------------------------------- */

static mn_status refuse(const struct reader *reader, mn_span what, const char *expected)
{
    return mn_text_lines_refuse(&reader->lines, what, expected, reader->err);
}

static bool read_number(mn_span *from, uint32_t *number)
{
    size_t n = 0;
    *number = 0;
    while (n < from->n && n < 9 && from->at[n] >= '0' && from->at[n] <= '9')
        *number = *number * 10 + (uint32_t)(from->at[n++] - '0');
    const bool ok = n > 0 && n < 9;
    *from = (mn_span){from->at + n, from->n - n};
    return ok;
}

static mn_span trimmed(mn_span text)
{
    while (text.n > 0 && text.at[text.n - 1] == ' ')
        text.n--;
    while (text.n > 0 && text.at[0] == ' ')
        text = (mn_span){text.at + 1, text.n - 1};
    return text;
}

static mn_status add_words(struct reader *reader, mn_span sentence, mn_babi_words *out)
{
    uint32_t numbers[MN_BABI_MAX_LENGTH], n = 0;
    mn_babi_text *text = reader->text;
    mn_error why;
    mn_status status =
        mn_babi_split(sentence.at, sentence.n, reader->words, reader->grow, numbers, &n, &why);
    if (status != MN_OK)
        return mn_fail(reader->err, status, "%s:%" PRIu32 ": %s", reader->lines.source,
                       reader->lines.line, why.message);
    if (!mn_room_make((void **)&text->words, text->n_words, n, &reader->room_words,
                      sizeof *text->words))
        return mn_fail(reader->err, MN_ERR_NOMEM, "the words of %s", reader->lines.source);
    memcpy(text->words + text->n_words, numbers, n * sizeof *numbers);
    *out = (mn_babi_words){text->n_words, n};
    text->n_words += n;
    return MN_OK;
}

static mn_status read_sentence(struct reader *reader, mn_span sentence)
{
    mn_babi_text *text = reader->text;
    mn_babi_words words;
    sentence = trimmed(sentence);
    if (sentence.n == 0 || sentence.at[sentence.n - 1] != '.')
        return refuse(reader, sentence,
                      "a sentence that ends in '.', or a question with a tab and its answer");
    mn_status status = add_words(reader, sentence, &words);
    if (status != MN_OK)
        return status;
    if (!mn_room_make((void **)&text->sentences, text->n_sentences, 1, &reader->room_sentences,
                      sizeof *text->sentences))
        return mn_fail(reader->err, MN_ERR_NOMEM, "the sentences of %s", reader->lines.source);
    text->sentences[text->n_sentences++] = words;
    reader->n_sentences++;
    reader->told[reader->id] = true;
    if (words.n > text->longest_sentence)
        text->longest_sentence = words.n;
    return MN_OK;
}

/* "1 12": each a sentence that the story has told. */
static mn_status check_support(const struct reader *reader, mn_span support)
{
    const mn_span all = support;
    bool ok = true;
    for (support = trimmed(support); ok && support.n > 0; support = trimmed(support)) {
        uint32_t id;
        ok = read_number(&support, &id) && id < reader->id && reader->told[id];
    }
    return ok && all.n > 0
               ? MN_OK
               : refuse(reader, all, "the IDs of sentences of this story that support the answer");
}

static mn_status read_question(struct reader *reader, mn_span asked, mn_span rest)
{
    mn_babi_text *text = reader->text;
    mn_babi_question question = {.first_sentence = reader->first, .n_so_far = reader->n_sentences};
    mn_span answer;
    asked = trimmed(asked);
    if (asked.n == 0 || asked.at[asked.n - 1] != '?')
        return refuse(reader, asked, "a question that ends in '?' before the tab");
    if (!mn_span_cut_at_tab(&rest, &answer))
        return refuse(reader, rest, "an answer, a tab and the IDs of its supporting sentences");
    answer = trimmed(answer);
    for (size_t i = 0; i < answer.n; i++)
        if (!is_of_a_word(answer.at[i]) && answer.at[i] != ',')
            return refuse(reader, answer, "an answer of one word, or several with ',' between");
    mn_status status = check_support(reader, rest);
    if (status == MN_OK)
        status = add_words(reader, asked, &question.words);
    if (status != MN_OK)
        return status;
    mn_error why;
    question.answer = mn_words_find(reader->words, answer.at, answer.n);
    if (question.answer == 0 && reader->grow) {
        status = mn_words_add(reader->words, answer.at, answer.n, &question.answer, &why);
        if (status != MN_OK)
            return mn_fail(reader->err, status, "%s:%" PRIu32 ": the answer: %s",
                           reader->lines.source, reader->lines.line, why.message);
    } else if (question.answer == 0) {
        question.answer = mn_words_count(reader->words);
    }
    if (!mn_room_make((void **)&text->questions, text->n_questions, 1, &reader->room_questions,
                      sizeof *text->questions))
        return mn_fail(reader->err, MN_ERR_NOMEM, "the questions of %s", reader->lines.source);
    text->questions[text->n_questions++] = question;
    if (question.words.n > text->longest_question)
        text->longest_question = question.words.n;
    if (question.n_so_far > text->longest_story)
        text->longest_story = question.n_so_far;
    return MN_OK;
}

static mn_status read_line(struct reader *reader, mn_span line)
{
    const mn_span all = line;
    uint32_t id;
    mn_span part;
    if (!mn_span_cut_number(&line, &id))
        return refuse(reader, all, "a number, a space and a sentence");
    if (id == 1) { /* a new story */
        if (reader->id != 0 && !reader->asked)
            return refuse(reader, all, "a question at the end of the story before");
        reader->first = reader->text->n_sentences;
        reader->n_sentences = 0;
        memset(reader->told, 0, sizeof reader->told);
    } else if (id != reader->id + 1 || id > MN_BABI_MAX_STORY) {
        char expected[64];
        (void)snprintf(expected, sizeof expected, "line %" PRIu32 " of a story%s", reader->id + 1,
                       reader->id == 0 ? "" : ", or 1 for a new one");
        return refuse(reader, all, expected);
    }
    reader->id = id;
    reader->asked = mn_span_cut_at_tab(&line, &part);
    return reader->asked ? read_question(reader, part, line) : read_sentence(reader, part);
}
