/* sheet.h: a picture in the making, dot by dot, and its way into a PNG: boxes, images of a task, and
 * words in letters of 5 x 7 dots. Whatever lies beyond its edges is left out. */
#pragma once

#include "common/error.h"
#include "worker/tasks/task.h"
#include <stdint.h>

#define MN_SHEET_LETTER 12u /* pixels that a letter takes, the space after it included */
#define MN_SHEET_LINE 22u   /* height of a line of text, the space below it included */
#define MN_SHEET_TEXT 14u   /* of its letters, less what hangs below the line */

typedef struct mn_sheet {
    uint32_t width, height, channels; /* grey or colour */
    uint8_t *pixels;                  /* owned */
} mn_sheet;

extern const uint8_t mn_sheet_dark[3], mn_sheet_pale[3];

/* A white sheet of 1 or 3 channels. MN_ERR_USAGE: it would be larger than 256 MiB. */
mn_status mn_sheet_init(mn_sheet *sheet, uint32_t width, uint32_t height, uint32_t channels,
                        mn_error *err);
void mn_sheet_fini(mn_sheet *sheet);

/* A box of one colour; on a grey sheet its red is the grey. */
void mn_sheet_box(mn_sheet *sheet, uint32_t left, uint32_t top, uint32_t width, uint32_t height,
                  const uint8_t colour[3]);

/* The frame of `thick` pixels that lies just outside a box. */
void mn_sheet_frame(mn_sheet *sheet, uint32_t left, uint32_t top, uint32_t width, uint32_t height,
                    uint32_t thick, const uint8_t colour[3]);

/* An image of a task, `zoom` times as large, in a hairline. Of one channel: ink is 1 and dark; of
 * three: a photograph, as it is. What is out of range is shown as its bound. */
void mn_sheet_image(mn_sheet *sheet, uint32_t left, uint32_t top, uint32_t zoom,
                    const mn_field *shape, const float *x);

/* Capital letters are drawn small, and what there is no letter for is left blank. */
void mn_sheet_text(mn_sheet *sheet, uint32_t left, uint32_t top, const uint8_t colour[3],
                   const char *text);

mn_status mn_sheet_write(const mn_sheet *sheet, const char *path, mn_error *err);
