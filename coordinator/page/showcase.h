/* showcase.h: tasks before and after adaptation, told and drawn for who looks at a run. `mnemo task`
 * does it, in a process of its own, from the newest checkpoint: so it takes nothing of the run but
 * processor time that is left over, and can change no bit of it. One at a time, only when somebody asks,
 * after a rest of many times what the last one took, and kept until there is a newer checkpoint. Of the
 * page's thread alone. */
#pragma once

#include "common/error.h"
#include "coordinator/run/board.h"
#include <stddef.h>
#include <stdint.h>

#define MN_SHOWCASE_MOST 1000000u /* tasks that can be asked for: 0 to one less */
#define MN_SHOWCASE_REST 20u      /* times the processor time of the last one */

typedef struct mn_showcase mn_showcase;

/* `run` is lent for its life; `program` is what is started, static: "/proc/self/exe", as this program
 * is mnemo. */
mn_status mn_showcase_new(const mn_board_config *run, const char *program, mn_showcase **out,
                          mn_error *err);
/* What is being made is given up. Takes NULL. */
void mn_showcase_destroy(mn_showcase **showcase);

/* Can be read from (poll) when what is being made has come to its end; -1: nothing is. */
int mn_showcase_fd(const mn_showcase *showcase);
/* Call it then, and now and again: it takes what was made. */
void mn_showcase_attend(mn_showcase *showcase, uint64_t now_us);

/* What there is to tell of a task, as JSON, which is the caller's (free); NULL: no memory. If it is not
 * of the newest checkpoint and nothing else is being made, it is begun. docs/page.md has the fields. */
char *mn_showcase_tell(mn_showcase *showcase, uint32_t index, uint64_t now_us);

/* The picture that goes with it, lent until the next call; NULL: there is none. */
const unsigned char *mn_showcase_picture(const mn_showcase *showcase, uint32_t index, size_t *n);
