#include "coordinator/commands/talk.h"

#include "common/log.h"
#include "coordinator/commands/respondent.h"
#include "worker/data/dialog_text.h"
#include "worker/data/story_text.h"
#include "worker/tasks/dialog_book.h"
#include "worker/tasks/story_fields.h"
#include "worker/tasks/written_story.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_LINE 4096u         /* bytes of a line */
#define MOST_TOLD (4u << 20)    /* of all lines that are kept */
#define SOURCE "what was typed" /* as messages call it */

/* What the conversation needs; all that is not said to be lent is owned. */
struct talk {
    const mn_command_line *line; /* lent */
    mn_respondent respondent;
    const mn_dialog_book *book; /* of dialogues, lent by the respondent; NULL: these are stories */
    mn_story_view *view;        /* of the last answer; NULL: none was given */
    mn_words *asked;            /* of a story: the words that the view looks at */
    char *told; /* the story or dialogue so far, as a file would hold it, [n_told] */
    size_t n_told;
    uint32_t turn; /* of a dialogue: its lines so far */
    bool prompts;  /* standard input is a terminal */
    bool warned;   /* that the memory is too small */
};

static mn_status open_talk(struct talk *talk, mn_error *err);
static void close_talk(struct talk *talk);
static mn_status converse(struct talk *talk, mn_error *err);

mn_status mn_talk(const mn_command_line *line, mn_error *err)
{
    struct talk talk = {.line = line};
    mn_status status = MN_OK;
    if (line->n_arguments != 1 || line->story != NULL || line->png != NULL)
        return mn_fail(err, MN_ERR_USAGE,
                       "ask --interactive: expected the folder of a run and no --story, --png or "
                       "question, as in: mnemo ask runs/latest --interactive");
    status = open_talk(&talk, err);
    if (status == MN_OK)
        status = converse(&talk, err);
    close_talk(&talk);
    return status;
}

static mn_status open_talk(struct talk *talk, mn_error *err)
{
    mn_respondent *respondent = &talk->respondent;
    const char *folder = talk->line->arguments[0];
    mn_status status = mn_respondent_open(respondent, talk->line, err);
    if (status != MN_OK)
        return status;
    if (!respondent->reads)
        return mn_fail(err, MN_ERR_USAGE,
                       "%s has learned neither from stories nor from dialogues (tasks.kind in its "
                       "experiment.yaml): it cannot be talked to",
                       folder);
    if (mn_fields_find(respondent->fields, MN_SUPPORT, "question") != NULL)
        return mn_fail(err, MN_ERR_USAGE,
                       "%s adapts to answered questions before it answers one (tasks.shot): put "
                       "some into a file, and ask with --story FILE",
                       folder);
    talk->book = respondent->talks ? &respondent->book : NULL;
    talk->prompts = isatty(STDIN_FILENO) != 0;
    talk->told = malloc(MOST_TOLD);
    return talk->told != NULL ? mn_respondent_prepare(respondent, err)
                              : mn_fail(err, MN_ERR_NOMEM, "a conversation");
}

static void close_talk(struct talk *talk)
{
    mn_story_view_destroy(&talk->view);
    mn_words_destroy(&talk->asked);
    free(talk->told);
    mn_respondent_close(&talk->respondent);
}

/* Lines --------------------------------------------------------------------------- */

static mn_status hear(struct talk *talk, const char *text, mn_error *err);
static mn_status command(struct talk *talk, const char *name, mn_error *err);

/* A line without its end and the spaces around it. False: there is none left, or reading failed.
 * *whole: it was not too long. */
static bool read_line(char *line, bool *whole)
{
    size_t n = 0;
    int c;
    *whole = true;
    while ((c = getchar()) != EOF && c != '\n') {
        if (n + 1 < MOST_LINE)
            line[n++] = c == '\t' || c == '\0' ? ' ' : (char)c;
        else
            *whole = false;
    }
    if (c == EOF && n == 0)
        return false;
    while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\r'))
        n--;
    line[n] = '\0';
    memmove(line, line + strspn(line, " "), n + 1 - strspn(line, " "));
    return true;
}

/* What is wrong with a line is said, and the next one is read. */
static mn_status converse(struct talk *talk, mn_error *err)
{
    char line[MOST_LINE];
    bool whole;
    if (talk->prompts)
        (void)printf("%s; :help tells more, the end of the input ends it\n",
                     talk->book != NULL
                         ? "say something"
                         : "tell a story, a sentence a line, and ask, with a '?' at the end");
    for (;;) {
        if (talk->prompts)
            (void)fputs("> ", stdout);
        (void)fflush(stdout); /* who waits behind a pipe has all answers so far */
        if (!read_line(line, &whole))
            break;
        mn_status status =
            !whole ? mn_fail(err, MN_ERR_DATA, "a line of more than %u bytes", MOST_LINE - 1)
            : line[0] == ':' ? command(talk, line + 1, err)
                             : hear(talk, line, err);
        if (status == MN_ERR_DATA || status == MN_ERR_USAGE)
            mn_log(MN_LOG_WARN, "%s; left out", err->message);
        else if (status != MN_OK)
            return status;
    }
    if (talk->prompts)
        (void)fputc('\n', stdout);
    return ferror(stdin) ? mn_fail_errno(err, "standard input") : MN_OK;
}

static mn_status command(struct talk *talk, const char *name, mn_error *err)
{
    if (strcmp(name, "new") == 0) {
        talk->n_told = 0;
        talk->turn = 0;
        talk->warned = false;
        mn_story_view_destroy(&talk->view);
        return MN_OK;
    }
    if (strcmp(name, "why") == 0 && talk->view != NULL) {
        mn_story_view_print(talk->view, stdout);
        return MN_OK;
    }
    if (strcmp(name, "why") == 0)
        return mn_fail(err, MN_ERR_USAGE, ":why: nothing has been answered yet");
    if (strcmp(name, "help") != 0)
        return mn_fail(err, MN_ERR_USAGE, ":%.32s: expected :help, :new or :why", name);
    if (talk->book != NULL)
        (void)fputs("an empty line  you say nothing, and the bot goes on\n"
                    "+ FACT         what a knowledge base tells the bot, as + la_tasca R_phone "
                    "la_tasca_phone\n",
                    stdout);
    (void)fputs(":why           the most probable answers, and what the network went by\n"
                ":new           forget all, and begin anew\n",
                stdout);
    return MN_OK;
}

/* Keep n bytes. */
static mn_status keep(struct talk *talk, const char *text, size_t n, mn_error *err)
{
    if (n > MOST_TOLD - talk->n_told)
        return mn_fail(err, MN_ERR_DATA, "more than %u bytes of conversation: begin anew with :new",
                       MOST_TOLD);
    memcpy(talk->told + talk->n_told, text, n);
    talk->n_told += n;
    return MN_OK;
}

/* Answering ----------------------------------------------------------------------- */

static void warn_of_memory(struct talk *talk, uint32_t n, const char *what)
{
    const uint32_t slots = mn_story_slots(talk->respondent.fields);
    if (n > slots && !talk->warned)
        mn_log(MN_LOG_WARN,
               "the network's memory holds %" PRIu32 " %s, and %" PRIu32 " were said: the oldest "
               "are left out from now on",
               slots, what, n);
    talk->warned = talk->warned || n > slots;
}

static void warn_of_word(const struct talk *talk, const char *word)
{
    const char *near = mn_words_near(talk->respondent.known, word);
    mn_log(MN_LOG_WARN,
           "\"%s\" is no word that this run was trained on: the network reads nothing there%s%s%s",
           word, near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
           near != NULL ? "\"?" : "");
}

/* The answer to item 0 of the task, which is filled. */
static mn_status answer(struct talk *talk, const mn_words *words, mn_error *err)
{
    mn_respondent_answer(&talk->respondent);
    mn_story_view_destroy(&talk->view);
    return mn_respondent_view(&talk->respondent, 0, words, false, &talk->view, err);
}

static mn_status print_answer(const struct talk *talk, mn_error *err)
{
    if (!talk->line->json) {
        (void)printf("%s\n", talk->view->answers[0].word);
        return MN_OK;
    }
    json_t *root = mn_story_view_json(talk->view);
    char *text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (text == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "an answer as JSON");
    (void)printf("%s\n", text);
    free(text);
    return MN_OK;
}

/* Dialogues ----------------------------------------------------------------------- */

/* Words as training has them: without a '.', '!', '?' or ',' behind them where only so they are
 * known. */
static void tidy(const struct talk *talk, const char *text, char *out)
{
    char *to = out;
    for (const char *at = text; *at != '\0';) {
        size_t n = strcspn(at, " "), bare = n;
        while (bare > 0 && strchr(".!?,", at[bare - 1]) != NULL)
            bare--;
        if (mn_words_find(talk->respondent.known, at, n) == 0 &&
            mn_words_find(talk->respondent.known, at, bare) != 0)
            n = bare;
        memcpy(to, at, n);
        to += n;
        *to++ = ' ';
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    *to = '\0';
}

static void warn_of_words(const struct talk *talk, const char *text)
{
    for (const char *at = text; *at != '\0'; at += strspn(at, " ")) {
        const size_t n = strcspn(at, " ");
        char word[MN_WORD_BYTES];
        (void)snprintf(word, sizeof word, "%.*s", (int)n, at);
        if (mn_words_find(talk->respondent.known, at, n) == 0)
            warn_of_word(talk, word);
        at += n;
    }
}

/* Write line `turn` behind what was told, read all of it, and if `keeps` is false forget the line. */
static mn_status read_dialog(struct talk *talk, const char *user, const char *bot, bool keeps,
                             mn_dialog_text *out, mn_error *err)
{
    const size_t before = talk->n_told;
    mn_dialog_lexicon lexicon = mn_dialog_book_lexicon(talk->book);
    char *line = NULL;
    lexicon.candidates = NULL;
    const int n = asprintf(&line, "%" PRIu32 " %s%s%s\n", talk->turn + 1, user,
                           bot != NULL ? "\t" : "", bot != NULL ? bot : "");
    mn_status status =
        n < 0 ? mn_fail(err, MN_ERR_NOMEM, "a conversation") : keep(talk, line, (size_t)n, err);
    if (n >= 0)
        free(line);
    if (status == MN_OK && bot != NULL)
        status = mn_dialog_text_parse(SOURCE, talk->told, talk->n_told, &lexicon, out, err);
    if (status != MN_OK || !keeps)
        talk->n_told = before;
    else
        talk->turn++;
    return status;
}

static mn_status hear_fact(struct talk *talk, const char *fact, mn_error *err)
{
    uint32_t words[MN_DIALOG_MAX_LENGTH], entities[MN_DIALOG_MAX_LENGTH], n = 0;
    const mn_dialog_lexicon lexicon = mn_dialog_book_lexicon(talk->book);
    mn_dialog_text text;
    mn_status status = mn_dialog_split(fact, strlen(fact), &lexicon, words, entities, &n, err);
    if (status == MN_OK && n == 0)
        status = mn_fail(err, MN_ERR_DATA, "a fact without words");
    if (status == MN_OK && talk->turn + 1 >= MN_DIALOG_MAX_TURN)
        status = mn_fail(err, MN_ERR_DATA, "more than %u lines: begin anew with :new",
                         MN_DIALOG_MAX_TURN);
    return status == MN_OK ? read_dialog(talk, fact, NULL, true, &text, err) : status;
}

static mn_status hear_user(struct talk *talk, const char *said, mn_error *err)
{
    char user[2 * MOST_LINE];
    mn_dialog_text text;
    tidy(talk, said[0] == '\0' ? "<silence>" : said, user);
    mn_status status = read_dialog(talk, user, "-", false, &text, err); /* any answer will do */
    if (status != MN_OK)
        return status;
    warn_of_words(talk, user);
    const mn_dialog_response *response = &text.responses[text.n_responses - 1];
    warn_of_memory(talk, response->n_so_far, "utterances and facts");
    mn_dialog_book_clear(talk->book, talk->respondent.task);
    mn_dialog_book_put(talk->book, &text, response, 1, 0, talk->respondent.task);
    mn_dialog_text_fini(&text);
    status = answer(talk, talk->respondent.known, err);
    if (status == MN_OK)
        status = read_dialog(talk, user, talk->view->answers[0].word, true, &text, err);
    if (status == MN_OK)
        mn_dialog_text_fini(&text);
    return status == MN_OK ? print_answer(talk, err) : status;
}

/* Stories ------------------------------------------------------------------------- */

static mn_status answer_story(struct talk *talk, const mn_story_text *text, const mn_words *words,
                              mn_error *err)
{
    const mn_story_question *question = &text->questions[text->n_questions - 1];
    warn_of_memory(talk, question->n_so_far, "sentences");
    mn_story_clear(talk->respondent.task, false);
    mn_written_story_put(text, question, talk->respondent.task, MN_QUERY, 0, 1);
    mn_status status = answer(talk, words, err);
    return status == MN_OK ? print_answer(talk, err) : status;
}

/* A question is not kept: the story goes on without it. */
static mn_status hear_sentence(struct talk *talk, const char *said, mn_error *err)
{
    const mn_story_limits limits = mn_written_story_limits(talk->respondent.fields);
    const size_t before = talk->n_told;
    mn_words *words = NULL;
    mn_story_text text = {0};
    if (said[0] == '\0')
        return MN_OK;
    mn_status status = keep(talk, said, strlen(said), err);
    if (status == MN_OK)
        status = keep(talk, "\n", 1, err);
    if (status == MN_OK)
        status = mn_words_copy(talk->respondent.known, &words, err);
    if (status == MN_OK)
        status = mn_story_text_parse(SOURCE, talk->told, talk->n_told, &limits, words, &text, err);
    const bool asks = status == MN_OK && text.n_questions > 0;
    if (status != MN_OK || asks)
        talk->n_told = before;
    const uint32_t line = status == MN_OK ? text.n_sentences + text.n_questions : 0;
    for (uint32_t i = 0; status == MN_OK && i < text.n_new; i++)
        if (text.new_words[i].line == line)
            warn_of_word(talk, mn_words_text(words, text.new_words[i].number));
    if (asks) {
        status = answer_story(talk, &text, words, err);
        mn_words_destroy(&talk->asked);
        talk->asked = words;
        words = NULL;
    }
    mn_story_text_fini(&text);
    mn_words_destroy(&words);
    return status;
}

static mn_status hear(struct talk *talk, const char *text, mn_error *err)
{
    if (talk->book == NULL)
        return hear_sentence(talk, text, err);
    return text[0] == '+' && (text[1] == ' ' || text[1] == '\0') ? hear_fact(talk, text + 1, err)
                                                                 : hear_user(talk, text, err);
}
