/* story_sheet.h: questions about stories as a picture: the sentences of each, beside them how much
 * each hop went by them, below them the answers. */
#pragma once

#include "coordinator/pictures/story_view.h"

/* A PNG of n > 0 questions below each other, with a heading above. MN_ERR_USAGE: it would be too
 * large. */
mn_status mn_story_sheet_png(uint32_t n, mn_story_view *const *views, const char *heading,
                             const char *path, mn_error *err);
