#include "coordinator/core/actions.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mn_actions_clear(mn_actions *actions)
{
    actions->n = 0;
}

void mn_actions_fini(mn_actions *actions)
{
    free(actions->list);
    *actions = (mn_actions){0};
}

mn_status mn_actions_reserve(mn_actions *actions, size_t n, mn_error *err)
{
    if (n <= actions->capacity - actions->n)
        return MN_OK;
    size_t capacity = actions->n + n;
    mn_action *list = realloc(actions->list, capacity * sizeof *list);
    if (list == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "a list of %zu actions", capacity);
    actions->list = list;
    actions->capacity = capacity;
    return MN_OK;
}

mn_action *mn_actions_add(mn_actions *actions, mn_action_kind kind)
{
    assert(actions->n < actions->capacity);
    mn_action *action = &actions->list[actions->n++];
    memset(action, 0, offsetof(mn_action, log.text) + 1);
    memset(&action->lease, 0, sizeof action->lease);
    action->kind = kind;
    return action;
}

mn_action *mn_actions_log(mn_actions *actions, mn_log_level level, const char *format, ...)
{
    mn_action *action = mn_actions_add(actions, MN_DO_LOG);
    action->log.level = level;
    va_list words;
    va_start(words, format);
    (void)vsnprintf(action->log.text, sizeof action->log.text, format, words);
    va_end(words);
    return action;
}

mn_note *mn_actions_note(mn_actions *actions, mn_note_kind kind, const char *who)
{
    mn_note *note = &mn_actions_add(actions, MN_DO_NOTE)->note;
    *note = (mn_note){.kind = kind};
    (void)snprintf(note->who, sizeof note->who, "%s", who);
    return note;
}

void mn_note_round(mn_note *note, const mn_round *round)
{
    note->round_kind = round->kind;
    note->step = round->id == 0 ? 0 : (round->step & ~MN_AVERAGE) + (round->kind == MN_ROUND_TRAIN);
}

mn_message mn_action_message(const mn_action *action)
{
    mn_message message = {.kind = action->message};
    switch ((unsigned)action->message) {
    case MN_MSG_LEASE:
        message.lease = action->lease;
        break;
    case MN_MSG_ROUND:
        message.round = action->round;
        break;
    case MN_MSG_REDUCE:
        message.range.round = action->round.id;
        break;
    case MN_MSG_RANGE:
    case MN_MSG_SETTLED:
    case MN_MSG_RETURNED:
        message.range = action->range;
        break;
    case MN_MSG_ASK:
        message.ask.threads = action->threads;
        break;
    case MN_MSG_REJECT:
    case MN_MSG_FINISHED:
    case MN_MSG_STOP_WANTED:
    case MN_MSG_STOP:
        (void)snprintf(message.reject.reason, sizeof message.reject.reason, "%s", action->log.text);
        message.reject.resumes = action->later || (action->message == MN_MSG_FINISHED &&
                                                   action->log.text[0] != '\0'); /* as with STOP */
        break;
    default: /* WELCOME, PULSE, REGISTER_AGAIN: nothing, or for the shell to fill in */
        break;
    }
    return message;
}

const char *mn_refusal_text(mn_refusal why)
{
    static const char *const texts[MN_N_REFUSALS] = {
        [MN_REFUSED_UNKNOWN] = "not from a registered worker",
        [MN_REFUSED_LATE] = "its lease is over",
        [MN_REFUSED_DUPLICATE] = "another's result was first",
        [MN_REFUSED_DAMAGED] = "damaged",
    };
    return (unsigned)why < MN_N_REFUSALS ? texts[why] : "unknown refusal";
}
