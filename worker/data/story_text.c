#include "worker/data/story_text.h"

#include "common/file.h"
#include "common/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct span {
    const char *at;
    size_t n;
} span;

/* Where a reader stands. */
struct reader {
    const mn_story_limits *limits;
    mn_words *words;
    mn_story_text *text;
    uint32_t line;     /* from 1; 0: no file is read */
    uint32_t id;       /* of the line before; 0: none yet */
    bool numbered;     /* lines have IDs */
    bool begun;        /* a line was read */
    uint32_t first;    /* the story's first sentence */
    mn_status refused; /* what a refusal returns */
    mn_error *err;
};

static mn_status read_lines(struct reader *reader, span bytes);
static mn_status refuse(const struct reader *reader, span what, const char *expected);
static mn_status read_line(struct reader *reader, span line);
static mn_status add_words(struct reader *reader, const char *what, span from, uint32_t most,
                           mn_babi_words *out);

mn_status mn_story_text_read(const char *path, const mn_story_limits *limits, mn_words *words,
                             mn_story_text *out, mn_error *err)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    char *bytes = NULL;
    size_t n = 0;
    struct stat info;
    memset(out, 0, sizeof *out);
    if (!is_stdin && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return mn_fail(err, MN_ERR_DATA,
                       "%s is a folder: expected a story, a sentence a line, in a text file", path);
    mn_error why;
    mn_status status =
        mn_file_read(is_stdin ? "/dev/stdin" : path, MN_STORY_MAX_BYTES, &bytes, &n, &why);
    if (status != MN_OK)
        (void)mn_fail(err, status,
                      "%s; expected a story, a sentence a line, in a text file or for \"-\" on "
                      "standard input",
                      why.message);
    else
        status = mn_story_text_parse(is_stdin ? "standard input" : path, bytes, n, limits, words,
                                     out, err);
    free(bytes);
    return status;
}

/* Room for all that n bytes can hold, so that nothing grows. */
static bool make_room(mn_story_text *text, const char *source, const char *bytes, size_t n)
{
    size_t lines = 2;
    for (size_t i = 0; i < n; i++)
        lines += bytes[i] == '\n';
    text->source = strdup(source);
    text->sentences = calloc(lines, sizeof *text->sentences);
    text->questions = calloc(lines, sizeof *text->questions);
    text->words = calloc(n / 2 + 1, sizeof *text->words);
    text->new_words = calloc(n / 2 + 1, sizeof *text->new_words);
    return text->source != NULL && text->sentences != NULL && text->questions != NULL &&
           text->words != NULL && text->new_words != NULL;
}

mn_status mn_story_text_parse(const char *source, const char *bytes, size_t n,
                              const mn_story_limits *limits, mn_words *words, mn_story_text *out,
                              mn_error *err)
{
    memset(out, 0, sizeof *out);
    struct reader reader = {
        .limits = limits, .words = words, .text = out, .refused = MN_ERR_DATA, .err = err};
    mn_status status = n <= MN_STORY_MAX_BYTES && make_room(out, source, bytes, n)
                           ? MN_OK
                           : mn_fail(err, MN_ERR_NOMEM, "the story of %s", source);
    if (status == MN_OK)
        status = read_lines(&reader, (span){bytes, n});
    if (status == MN_OK && out->n_sentences == 0)
        status = mn_fail(err, MN_ERR_DATA,
                         "%s: %s; expected a story, a sentence a line, as \"mary went to the "
                         "kitchen.\"",
                         source, n == 0 ? "is empty" : "holds no sentence");
    if (status != MN_OK)
        mn_story_text_fini(out);
    return status;
}

static mn_status read_lines(struct reader *reader, span bytes)
{
    mn_status status = MN_OK;
    for (size_t at = 0; at < bytes.n && status == MN_OK;) {
        const char *end = memchr(bytes.at + at, '\n', bytes.n - at);
        span line = {bytes.at + at, end != NULL ? (size_t)(end - (bytes.at + at)) : bytes.n - at};
        at += line.n + (end != NULL);
        reader->line++;
        while (line.n > 0 && strchr(" \r", line.at[line.n - 1]) != NULL && line.at[line.n - 1] != 0)
            line.n--;
        while (line.n > 0 && line.at[0] == ' ')
            line = (span){line.at + 1, line.n - 1};
        if (line.n == 0)
            continue;
        const char last = line.at[line.n - 1];
        if (end == NULL && last != '.' && last != '?')
            status = refuse(reader, line,
                            "a '.' or '?' or the end of the line behind it: the file seems to be "
                            "cut; complete it");
        else
            status = read_line(reader, line);
    }
    return status;
}

mn_status mn_story_text_ask(mn_story_text *text, const char *question,
                            const mn_story_limits *limits, mn_words *words, mn_error *err)
{
    struct reader reader = {
        .limits = limits, .words = words, .text = text, .refused = MN_ERR_USAGE, .err = err};
    mn_story_question asked = {.n_so_far = text->n_sentences};
    const span all = {question, strlen(question)};
    if (text->n_stories > 1)
        return mn_fail(err, MN_ERR_USAGE,
                       "%s holds %" PRIu32 " stories, and which of them \"%s\" is about cannot be "
                       "told; give a file with one story, or put the question into the file",
                       text->source, text->n_stories, question);
    /* No more than a word for every two bytes. */
    const size_t n = text->n_words + all.n / 2 + 1;
    uint32_t *numbers = realloc(text->words, n * sizeof *numbers);
    if (numbers != NULL)
        text->words = numbers;
    mn_story_new_word *fresh =
        realloc(text->new_words, (text->n_new + all.n / 2 + 1) * sizeof *fresh);
    if (fresh != NULL)
        text->new_words = fresh;
    mn_story_question *questions =
        realloc(text->questions, (text->n_questions + 1) * sizeof *questions);
    if (questions != NULL)
        text->questions = questions;
    if (numbers == NULL || fresh == NULL || questions == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "a question about %s", text->source);
    mn_status status = add_words(&reader, "question", all, limits->question, &asked.words);
    if (status == MN_OK)
        text->questions[text->n_questions++] = asked;
    return status;
}

void mn_story_text_fini(mn_story_text *text)
{
    free(text->source);
    free(text->sentences);
    free(text->questions);
    free(text->words);
    free(text->new_words);
    memset(text, 0, sizeof *text);
}

/* Lines --------------------------------------------------------------------------- */

static mn_status refuse(const struct reader *reader, span what, const char *expected)
{
    char text[96];
    (void)mn_text_escape(what.at, what.n, text, sizeof text);
    return reader->line > 0
               ? mn_fail(reader->err, reader->refused, "%s:%" PRIu32 ": \"%s\": expected %s",
                         reader->text->source, reader->line, text, expected)
               : mn_fail(reader->err, reader->refused, "question \"%s\": expected %s", text,
                         expected);
}

/* Where, and what is wrong there. */
static mn_status complain(const struct reader *reader, mn_status status, const char *what)
{
    return reader->line > 0 ? mn_fail(reader->err, status, "%s:%" PRIu32 ": %s",
                                      reader->text->source, reader->line, what)
                            : mn_fail(reader->err, status, "%s", what);
}

static bool cut_number(span *from, uint32_t *number)
{
    size_t n = 0;
    *number = 0;
    while (n < from->n && n < 9 && from->at[n] >= '0' && from->at[n] <= '9')
        *number = *number * 10 + (uint32_t)(from->at[n++] - '0');
    const bool ok = n > 0 && n < 9 && n < from->n && from->at[n] == ' ';
    if (ok)
        *from = (span){from->at + n + 1, from->n - n - 1};
    return ok;
}

static mn_status begin_story(struct reader *reader)
{
    reader->id = 1;
    reader->first = reader->text->n_sentences;
    reader->text->n_stories++;
    return MN_OK;
}

static mn_status read_id(struct reader *reader, span *line)
{
    const span all = *line;
    uint32_t id = 0;
    const bool has_id = cut_number(line, &id);
    if (!reader->begun) {
        reader->begun = true;
        reader->numbered = has_id && id == 1;
        if (!reader->numbered)
            *line = all;
        return begin_story(reader);
    }
    if (!reader->numbered) {
        *line = all;
        return MN_OK;
    }
    if (has_id && id == 1)
        return begin_story(reader);
    if (has_id && id == reader->id + 1) {
        reader->id = id;
        return MN_OK;
    }
    char expected[96];
    (void)snprintf(expected, sizeof expected,
                   "line %" PRIu32 " of a story, or 1 for a new one, as the file's lines are "
                   "numbered",
                   reader->id + 1);
    return refuse(reader, all, expected);
}

static mn_status read_sentence(struct reader *reader, span sentence)
{
    mn_babi_words words;
    mn_status status = add_words(reader, "sentence", sentence, reader->limits->sentence, &words);
    if (status == MN_OK)
        reader->text->sentences[reader->text->n_sentences++] = words;
    return status;
}

static bool is_of_an_answer(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '\'' || c == ',';
}

static mn_status read_answer(struct reader *reader, span answer, uint32_t *number)
{
    const char *tab = memchr(answer.at, '\t', answer.n);
    mn_error why;
    if (tab != NULL)
        answer.n = (size_t)(tab - answer.at);
    bool ok = answer.n > 0;
    for (size_t i = 0; i < answer.n; i++)
        ok = ok && is_of_an_answer(answer.at[i]);
    if (!ok)
        return refuse(reader, answer, "an answer of one word, or several with ',' between");
    const uint32_t known = mn_words_count(reader->words);
    mn_status status = mn_words_add(reader->words, answer.at, answer.n, number, &why);
    if (status != MN_OK)
        return complain(reader, status, why.message);
    if (*number >= known)
        reader->text->new_words[reader->text->n_new++] = (mn_story_new_word){*number, reader->line};
    return MN_OK;
}

static mn_status read_question(struct reader *reader, span asked, span answer)
{
    mn_story_text *text = reader->text;
    mn_story_question question = {.line = reader->line,
                                  .first_sentence = reader->first,
                                  .n_so_far = text->n_sentences - reader->first};
    if (question.n_so_far == 0)
        return refuse(reader, asked, "a sentence of the story before the first question");
    mn_status status =
        add_words(reader, "question", asked, reader->limits->question, &question.words);
    if (status == MN_OK && answer.at != NULL)
        status = read_answer(reader, answer, &question.answer);
    if (status == MN_OK)
        text->questions[text->n_questions++] = question;
    return status;
}

static mn_status read_line(struct reader *reader, span line)
{
    mn_status status = read_id(reader, &line);
    if (status != MN_OK)
        return status;
    const char *tab = memchr(line.at, '\t', line.n);
    span asked = line, answer = {NULL, 0};
    if (tab != NULL) {
        asked.n = (size_t)(tab - line.at);
        answer = (span){tab + 1, line.n - asked.n - 1};
        while (asked.n > 0 && asked.at[asked.n - 1] == ' ')
            asked.n--;
        if (asked.n == 0 || asked.at[asked.n - 1] != '?')
            return refuse(reader, asked, "a question that ends in '?' before the tab");
    }
    return asked.n > 0 && asked.at[asked.n - 1] == '?' ? read_question(reader, asked, answer)
                                                       : read_sentence(reader, asked);
}

/* Words --------------------------------------------------------------------------- */

static bool is_blank(span text)
{
    size_t n = 0;
    while (n < text.n && text.at[n] == ' ')
        n++;
    return n == text.n;
}

static mn_status add_words(struct reader *reader, const char *what, span from, uint32_t most,
                           mn_babi_words *out)
{
    mn_story_text *text = reader->text;
    const span all = from;
    char expected[192];
    mn_error why;
    uint32_t numbers[MN_BABI_MAX_LENGTH], n = 0, known = mn_words_count(reader->words);
    if (from.n > 0 && (from.at[from.n - 1] == '.' || from.at[from.n - 1] == '?'))
        from.n--;
    if (is_blank(from))
        return refuse(reader, all, "words in it, as \"where is mary?\"");
    if (memchr(from.at, '.', from.n) != NULL || memchr(from.at, '?', from.n) != NULL)
        return refuse(reader, all, "one sentence or one question a line");
    mn_status status = mn_babi_split(from.at, from.n, reader->words, true, numbers, &n, &why);
    if (status != MN_OK)
        return complain(reader, status == MN_ERR_DATA ? reader->refused : status, why.message);
    if (n > most) {
        (void)snprintf(expected, sizeof expected,
                       "a %s of at most %" PRIu32 " words, the longest that this network was made "
                       "for, instead of %" PRIu32 ": shorten it",
                       what, most, n);
        return refuse(reader, all, expected);
    }
    memcpy(text->words + text->n_words, numbers, n * sizeof *numbers);
    *out = (mn_babi_words){text->n_words, n};
    text->n_words += n;
    for (; known < mn_words_count(reader->words); known++)
        text->new_words[text->n_new++] = (mn_story_new_word){known, reader->line};
    return MN_OK;
}
