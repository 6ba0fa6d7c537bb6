/* mnemo ask: questions about a story, typed in by hand, to a run that learned from stories. */
#include "coordinator/commands/commands.h"

#include "common/log.h"
#include "coordinator/commands/command_line.h"
#include "coordinator/commands/own_story.h"
#include "coordinator/commands/respondent.h"
#include "coordinator/commands/talk.h"
#include "coordinator/pictures/story_sheet.h"
#include "worker/data/story_text.h"
#include "worker/tasks/story_fields.h"
#include "worker/tasks/written_story.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_QUESTIONS 10000u /* at once: their views are kept until all are told */

/* What the command opens, to be closed again; all is owned. */
struct talk {
    const mn_command_line *line; /* lent */
    mn_respondent respondent;
    mn_words *words; /* of training, and then the new ones */
    mn_story_text text;
    uint32_t n_support, n_asked;
    const mn_story_question **support; /* [n_support], answered, for a run that adapts to some */
    const mn_story_question **asked;   /* [n_asked] */
    mn_story_view **views;             /* [n_asked] */
};

static mn_status open_run(struct talk *talk, mn_error *err);
static mn_status read_story(struct talk *talk, mn_error *err);
static mn_status sort_questions(struct talk *talk, mn_error *err);
static mn_status answer(struct talk *talk, mn_error *err);
static void print(const struct talk *talk);
static mn_status print_json(const struct talk *talk, mn_error *err);
static mn_status draw(const struct talk *talk, mn_error *err);
static void close_talk(struct talk *talk);

mn_status mn_ask_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    struct talk talk = {.line = &line};
    mn_log_init(MN_LOG_INFO, "mnemo");
    mn_status status = mn_command_line_read(
        &line, argc, argv, MN_TAKES_STORY | MN_TAKES_PNG | MN_TAKES_JSON | MN_TAKES_TALK, err);
    if (status == MN_OK && line.interactive)
        return mn_talk(&line, err);
    if (status == MN_OK && (line.n_arguments == 0 || line.story == NULL))
        status = mn_fail(err, MN_ERR_USAGE,
                         "ask: expected the folder of a run and --story FILE, then questions, as "
                         "in: mnemo ask runs/latest --story story.txt \"where is mary?\"");
    if (status == MN_OK)
        status = open_run(&talk, err);
    if (status == MN_OK)
        status = read_story(&talk, err);
    if (status == MN_OK)
        status = sort_questions(&talk, err);
    if (status == MN_OK) {
        mn_own_story_warn(&talk.text, talk.words, talk.respondent.known, talk.respondent.fields,
                          talk.n_asked, talk.asked);
        status = mn_respondent_prepare(&talk.respondent, err);
    }
    if (status == MN_OK)
        status = answer(&talk, err);
    if (status == MN_OK && line.json)
        status = print_json(&talk, err);
    else if (status == MN_OK)
        print(&talk);
    if (status == MN_OK && line.png != NULL)
        status = draw(&talk, err);
    close_talk(&talk);
    return status;
}

static mn_status open_run(struct talk *talk, mn_error *err)
{
    mn_respondent *respondent = &talk->respondent;
    const char *folder = talk->line->arguments[0];
    mn_status status = mn_respondent_open(respondent, talk->line, err);
    if (status != MN_OK)
        return status;
    if (respondent->talks)
        return mn_fail(
            err, MN_ERR_USAGE,
            "%s has learned from dialogues, which are no stories: talk to it, with mnemo "
            "ask %s --interactive",
            folder, folder);
    if (!respondent->reads)
        return mn_fail(err, MN_ERR_USAGE,
                       "%s has not learned from stories (tasks.kind in its experiment.yaml): "
                       "expected a run of tasks.kind stories or generated-stories; mnemo task %s "
                       "shows what this one does",
                       folder, folder);
    return MN_OK;
}

/* Reading ------------------------------------------------------------------------- */

static mn_status read_story(struct talk *talk, mn_error *err)
{
    const mn_command_line *line = talk->line;
    const mn_story_limits limits = mn_written_story_limits(talk->respondent.fields);
    mn_status status = mn_words_copy(talk->respondent.known, &talk->words, err);
    if (status == MN_OK)
        status = mn_story_text_read(line->story, &limits, talk->words, &talk->text, err);
    for (size_t i = 1; i < line->n_arguments && status == MN_OK; i++)
        status = mn_story_text_ask(&talk->text, line->arguments[i], &limits, talk->words, err);
    return status;
}

/* A run that adapts is given the first answered questions of the file and asked the open ones; any
 * other is asked all. Questions of the command line are asked instead of those of the file. */
static mn_status sort_questions(struct talk *talk, mn_error *err)
{
    const mn_story_text *text = &talk->text;
    const mn_field *support = mn_fields_find(talk->respondent.fields, MN_SUPPORT, "question");
    const uint32_t room = support == NULL ? 0 : support->n;
    const bool typed = talk->line->n_arguments > 1;
    talk->support = calloc(text->n_questions + 1, sizeof *talk->support);
    talk->asked = calloc(text->n_questions + 1, sizeof *talk->asked);
    if (talk->support == NULL || talk->asked == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%" PRIu32 " questions", text->n_questions);
    talk->n_support = mn_written_story_examples(text, talk->respondent.fields, talk->support);
    for (uint32_t i = 0, next = 0; i < text->n_questions; i++) {
        const mn_story_question *question = &text->questions[i];
        if (next < talk->n_support && question == talk->support[next])
            next++;
        else if (typed == (question->line == 0))
            talk->asked[talk->n_asked++] = question;
    }
    if (room > 0 && talk->n_support == 0)
        return mn_fail(err, MN_ERR_USAGE,
                       "%s adapts to answered questions before it answers one, up to %" PRIu32
                       " of them (tasks.shot): expected some in %s, each on a line as \"where is "
                       "mary?\" with a tab and the answer behind it",
                       talk->line->arguments[0], room, text->source);
    if (talk->n_asked == 0)
        return mn_fail(err, MN_ERR_USAGE,
                       "nothing is asked: give a question behind the options, as \"where is "
                       "mary?\", or put one into %s, on a line that ends in '?'",
                       text->source);
    if (talk->n_asked > MOST_QUESTIONS)
        return mn_fail(err, MN_ERR_DATA,
                       "%s asks %" PRIu32 " questions: expected at most %u at a time; split the "
                       "file",
                       text->source, talk->n_asked, MOST_QUESTIONS);
    return MN_OK;
}

/* Answering ----------------------------------------------------------------------- */

/* As many questions at a time as a task has. */
static mn_status answer(struct talk *talk, mn_error *err)
{
    mn_respondent *respondent = &talk->respondent;
    mn_task *task = respondent->task;
    const uint32_t room = mn_fields_find(respondent->fields, MN_QUERY, "y")->n;
    mn_status status = MN_OK;
    talk->views = calloc(talk->n_asked, sizeof *talk->views);
    if (talk->views == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%" PRIu32 " questions", talk->n_asked);
    for (uint32_t begin = 0; begin < talk->n_asked && status == MN_OK; begin += room) {
        const uint32_t left = talk->n_asked - begin, n = left < room ? left : room;
        const mn_story_question *const *questions = talk->asked + begin;
        mn_story_clear(task, false);
        for (uint32_t i = 0; i < n; i++)
            mn_written_story_put(&talk->text, questions[i], task, MN_QUERY, i, 1);
        for (uint32_t i = 0; i < talk->n_support; i++)
            mn_written_story_put(&talk->text, talk->support[i], task, MN_SUPPORT, i,
                                 1.0 / talk->n_support);
        mn_respondent_answer(respondent);
        for (uint32_t i = 0; i < n && status == MN_OK; i++)
            status = mn_respondent_view(respondent, i, talk->words, questions[i]->answer != 0,
                                        &talk->views[begin + i], err);
    }
    return status;
}

/* Telling ------------------------------------------------------------------------- */

static void print(const struct talk *talk)
{
    uint32_t judged = 0, right = 0;
    if (talk->n_support > 0)
        (void)printf("adapted to %" PRIu32 " answered question%s of %s\n\n", talk->n_support,
                     talk->n_support == 1 ? "" : "s", talk->text.source);
    for (uint32_t i = 0; i < talk->n_asked; i++) {
        if (i > 0)
            (void)fputc('\n', stdout);
        mn_story_view_print(talk->views[i], stdout);
        judged += talk->views[i]->is != NULL;
        right += talk->views[i]->right;
    }
    if (judged > 1)
        (void)printf("\n%" PRIu32 " of %" PRIu32 " right\n", right, judged);
}

static mn_status print_json(const struct talk *talk, mn_error *err)
{
    json_t *root = json_object(), *questions = json_array(), *unknown = json_array();
    for (uint32_t i = 0; i < talk->n_asked; i++)
        (void)json_array_append_new(questions, mn_story_view_json(talk->views[i]));
    for (uint32_t i = 0; i < talk->text.n_new; i++)
        (void)json_array_append_new(
            unknown, json_string(mn_words_text(talk->words, talk->text.new_words[i].number)));
    (void)json_object_set_new(root, "run", json_string(talk->line->arguments[0]));
    (void)json_object_set_new(root, "meta_step", json_integer((json_int_t)talk->respondent.step));
    (void)json_object_set_new(root, "adapted_to", json_integer((json_int_t)talk->n_support));
    (void)json_object_set_new(root, "questions", questions);
    (void)json_object_set_new(root, "unknown_words", unknown);
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (text == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "answers as JSON");
    (void)printf("%s\n", text);
    free(text);
    return MN_OK;
}

static mn_status draw(const struct talk *talk, mn_error *err)
{
    char heading[160];
    (void)snprintf(heading, sizeof heading, "%s, meta-step %" PRIu64, talk->respondent.name,
                   talk->respondent.step);
    return mn_story_sheet_png(talk->n_asked, talk->views, heading, talk->line->png, err);
}

static void close_talk(struct talk *talk)
{
    for (uint32_t i = 0; talk->views != NULL && i < talk->n_asked; i++)
        mn_story_view_destroy(&talk->views[i]);
    free((void *)talk->views);
    free((void *)talk->support);
    free((void *)talk->asked);
    mn_story_text_fini(&talk->text);
    mn_words_destroy(&talk->words);
    mn_respondent_close(&talk->respondent);
}
