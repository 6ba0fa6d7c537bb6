/* talk.h: a person and a run talk, a line at a time: mnemo ask RUN --interactive. */
#pragma once

#include "common/error.h"
#include "coordinator/commands/command_line.h"

/* Read lines of standard input to its end, and answer each that asks for an answer on standard output.
 * A run of dialogues is the bot, and a line is what the user says; with a run of stories a line is a
 * sentence, or ends in '?'. A line that cannot be read is told and left out. MN_ERR_USAGE: the command
 * line, or the run is of other tasks. */
mn_status mn_talk(const mn_command_line *line, mn_error *err);
