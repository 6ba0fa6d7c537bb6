#include "coordinator/pictures/task_sheet.h"

#include "coordinator/pictures/sheet.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ZOOM 3u
#define MARGIN 12u   /* around all */
#define GAP 6u       /* between images */
#define WIDE_GAP 24u /* between support and query */
#define LABEL_LETTERS 3u
#define MOST_LETTERS 20u /* of a name */
#define FRAME 3u         /* around a wrong answer, where the gap is */

/* Where things are on it. */
struct layout {
    uint32_t cell;                     /* side of an image and the gap after it, in pixels */
    uint32_t row;                      /* height of a row */
    uint32_t n_columns[2];             /* of support, of query: the most items of a class */
    uint32_t left[2], top;             /* where they begin */
    uint32_t n_classes, width, height; /* of the sheet */
};

static bool is_of_images(const mn_task *task);
static struct layout lay_out(const mn_task *task, const char *const *names);
static void put_items(mn_sheet *sheet, const struct layout *layout, const mn_task *task, int part,
                      const float *answers);

mn_status mn_task_sheet_png(const mn_task *task, const float *answers, const char *const *names,
                            const char *path, mn_error *err)
{
    if (!is_of_images(task))
        return mn_fail(err, MN_ERR_USAGE,
                       "a sheet shows tasks of grey or colour images; this is none");
    struct layout layout = lay_out(task, names);
    mn_sheet sheet;
    mn_status status = mn_sheet_init(&sheet, layout.width, layout.height,
                                     task->fields.at[MN_SUPPORT_X].channels, err);
    if (status != MN_OK)
        return status;

    mn_sheet_text(&sheet, layout.left[0], MARGIN, mn_sheet_dark, task->title);
    mn_sheet_text(&sheet, layout.left[0], layout.top - MN_SHEET_LINE, mn_sheet_dark, "support");
    mn_sheet_text(&sheet, layout.left[1], layout.top - MN_SHEET_LINE, mn_sheet_dark, "query");
    for (uint32_t i = 0; i < layout.n_classes; i++) {
        char label[12 + MOST_LETTERS];
        (void)snprintf(label, sizeof label, "%" PRIu32 " %.*s", i, (int)MOST_LETTERS,
                       names != NULL ? names[i] : "");
        uint32_t top = layout.top + i * layout.row + (layout.row - GAP) / 2 - MN_SHEET_TEXT / 2;
        mn_sheet_text(&sheet, MARGIN, top, mn_sheet_dark, label);
    }
    put_items(&sheet, &layout, task, 0, NULL);
    put_items(&sheet, &layout, task, 1, answers);
    status = mn_sheet_write(&sheet, path, err);
    mn_sheet_fini(&sheet);
    return status;
}

/* The sheet ----------------------------------------------------------------------- */

static bool is_of_images(const mn_task *task)
{
    const mn_field *x = &task->fields.at[MN_SUPPORT_X];
    return mn_fields_are_few_shot(&task->fields) && task->fields.target == MN_TARGET_CLASSES &&
           x->height > 1 && x->width > 1 && (x->channels == 1 || x->channels == 3);
}

/* Padding has none. */
static bool has_label(uint32_t way, const float *y, uint32_t label)
{
    return mn_label_of(way, y) == label && !mn_is_padding(way, y);
}

static uint32_t most_of_a_class(uint32_t n_items, uint32_t n_classes, const float *y)
{
    uint32_t most = 0;
    for (uint32_t label = 0; label < n_classes; label++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < n_items; i++)
            n += has_label(n_classes, y + (size_t)i * n_classes, label);
        most = n > most ? n : most;
    }
    return most;
}

/* Of the letters before a row: a label, and a name after it, cut. */
static uint32_t letters_of(uint32_t n_classes, const char *const *names)
{
    size_t most = 0;
    for (uint32_t i = 0; names != NULL && i < n_classes; i++)
        most = strlen(names[i]) > most ? strlen(names[i]) : most;
    return LABEL_LETTERS + (most < MOST_LETTERS ? (uint32_t)most : MOST_LETTERS);
}

static struct layout lay_out(const mn_task *task, const char *const *names)
{
    const mn_field *x = &task->fields.at[MN_SUPPORT_X];
    const uint32_t way = task->fields.y_size;
    const uint32_t there = mn_fields_have_padding(&task->fields) ? task->n_classes : way;
    struct layout layout = {
        .cell = x->width * ZOOM + GAP, .row = x->height * ZOOM + GAP, .n_classes = there};
    layout.n_columns[0] = most_of_a_class(x->n, way, task->at[MN_SUPPORT_Y]);
    layout.n_columns[1] = most_of_a_class(task->fields.at[MN_QUERY_X].n, way, task->at[MN_QUERY_Y]);
    /* A column is at least as wide as its heading. */
    uint32_t wide[2], heading[2] = {7 * MN_SHEET_LETTER, 5 * MN_SHEET_LETTER};
    for (int i = 0; i < 2; i++) {
        wide[i] = layout.n_columns[i] * layout.cell;
        wide[i] = wide[i] > heading[i] ? wide[i] : heading[i];
    }
    layout.left[0] = MARGIN + letters_of(way, names) * MN_SHEET_LETTER;
    layout.left[1] = layout.left[0] + wide[0] + WIDE_GAP;
    layout.width = layout.left[1] + wide[1] + MARGIN;
    layout.top = MARGIN + (task->title[0] != '\0' ? 2 : 1) * MN_SHEET_LINE;
    layout.height = layout.top + layout.n_classes * layout.row + MARGIN;
    return layout;
}

static void put_items(mn_sheet *sheet, const struct layout *layout, const mn_task *task, int part,
                      const float *answers)
{
    const mn_field *shape = &task->fields.at[part == 0 ? MN_SUPPORT_X : MN_QUERY_X];
    const float *x = task->at[part == 0 ? MN_SUPPORT_X : MN_QUERY_X];
    const float *y = task->at[part == 0 ? MN_SUPPORT_Y : MN_QUERY_Y];
    const uint32_t n = shape->n, way = task->fields.y_size;
    size_t size = mn_field_item(shape);
    for (uint32_t label = 0; label < layout->n_classes; label++) {
        uint32_t column = 0;
        for (uint32_t i = 0; i < n; i++)
            if (has_label(way, y + (size_t)i * way, label)) {
                const uint32_t left = layout->left[part] + column++ * layout->cell;
                const uint32_t top = layout->top + label * layout->row;
                mn_sheet_image(sheet, left, top, ZOOM, shape, x + i * size);
                if (answers != NULL && mn_label_of(way, answers + (size_t)i * way) != label)
                    mn_sheet_frame(sheet, left, top, shape->width * ZOOM, shape->height * ZOOM,
                                   FRAME, mn_sheet_dark);
            }
    }
}
