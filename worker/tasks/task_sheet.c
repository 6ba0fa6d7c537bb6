#include "worker/tasks/task_sheet.h"

#include "common/file.h"
#include <inttypes.h>
#include <png.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ZOOM 3u
#define MARGIN 12u   /* around all */
#define GAP 6u       /* between images */
#define WIDE_GAP 24u /* between support and query */
#define TEXT_ZOOM 2u
#define LETTER 6u /* dots a letter takes, its space included */
#define LABEL_LETTERS 3u
#define LINE (11u * TEXT_ZOOM)
#define FRAME 3u /* around a wrong answer */
#define MAX_SHEET_BYTES ((size_t)256 << 20)

/* A sheet in the making: grey or colour, white at first. */
struct sheet {
    uint32_t width, height, channels;
    uint8_t *pixels; /* owned */
};

/* Where things are on it. */
struct layout {
    uint32_t cell;                     /* side of an image and the gap after it, in pixels */
    uint32_t row;                      /* height of a row */
    uint32_t n_columns[2];             /* of support, of query: the most items of a class */
    uint32_t left[2], top;             /* where they begin */
    uint32_t n_classes, width, height; /* of the sheet */
};

/* Letters of 5 x 7 dots, a row per byte, bit 4 at the left: as many as the headings need; of a title
 * others are left blank. */
static const struct letter {
    char code;
    uint8_t rows[7];
} letters[] = {
    {'0', {14, 17, 19, 21, 25, 17, 14}}, {'1', {4, 12, 4, 4, 4, 4, 14}},
    {'2', {14, 17, 1, 2, 4, 8, 31}},     {'3', {31, 2, 4, 2, 1, 17, 14}},
    {'4', {2, 6, 10, 18, 31, 2, 2}},     {'5', {31, 16, 30, 1, 1, 17, 14}},
    {'6', {6, 8, 16, 30, 17, 17, 14}},   {'7', {31, 1, 2, 4, 8, 8, 8}},
    {'8', {14, 17, 17, 14, 17, 17, 14}}, {'9', {14, 17, 17, 15, 1, 2, 12}},
    {'e', {0, 0, 14, 17, 31, 16, 14}},   {'n', {0, 0, 22, 25, 17, 17, 17}},
    {'o', {0, 0, 14, 17, 17, 17, 14}},   {'p', {0, 0, 30, 17, 30, 16, 16}},
    {'q', {0, 0, 15, 17, 15, 1, 1}},     {'r', {0, 0, 22, 25, 16, 16, 16}},
    {'s', {0, 0, 15, 16, 14, 1, 30}},    {'t', {8, 8, 28, 8, 8, 9, 6}},
    {'u', {0, 0, 17, 17, 17, 19, 13}},   {'y', {0, 0, 17, 17, 15, 1, 14}},
};

static bool is_of_images(const mn_task *task);
static uint32_t label_of(const float *y, uint32_t n);
static struct layout lay_out(const mn_task *task);
static void put_items(struct sheet *sheet, const struct layout *layout, const mn_task *task,
                      int part, const float *answers);
static void put_image(struct sheet *sheet, uint32_t left, uint32_t top, const mn_field *shape,
                      const float *x);
static void put_frame(struct sheet *sheet, uint32_t left, uint32_t top, const mn_field *shape);
static void put_text(struct sheet *sheet, uint32_t left, uint32_t top, const char *text);
static mn_status write_png(const struct sheet *sheet, const char *path, mn_error *err);

mn_status mn_task_sheet_png(const mn_task *task, const float *answers, const char *path,
                            mn_error *err)
{
    if (!is_of_images(task))
        return mn_fail(err, MN_ERR_USAGE,
                       "a sheet shows tasks of grey or colour images; this is none");
    struct layout layout = lay_out(task);
    struct sheet sheet = {.width = layout.width,
                          .height = layout.height,
                          .channels = task->fields.at[MN_SUPPORT_X].channels};
    size_t n = (size_t)sheet.width * sheet.height * sheet.channels;
    if (n > MAX_SHEET_BYTES)
        return mn_fail(err, MN_ERR_USAGE,
                       "a sheet of %" PRIu32 " x %" PRIu32 " pixels is too large", sheet.width,
                       sheet.height);
    sheet.pixels = malloc(n);
    if (sheet.pixels == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "a sheet of %zu bytes", n);
    memset(sheet.pixels, 255, n);

    put_text(&sheet, layout.left[0], MARGIN, task->title);
    put_text(&sheet, layout.left[0], layout.top - LINE, "support");
    put_text(&sheet, layout.left[1], layout.top - LINE, "query");
    for (uint32_t i = 0; i < layout.n_classes; i++) {
        char label[12];
        (void)snprintf(label, sizeof label, "%" PRIu32, i);
        uint32_t top = layout.top + i * layout.row + (layout.row - GAP) / 2 - 7 * TEXT_ZOOM / 2;
        put_text(&sheet, MARGIN, top, label);
    }
    put_items(&sheet, &layout, task, 0, NULL);
    put_items(&sheet, &layout, task, 1, answers);
    mn_status status = write_png(&sheet, path, err);
    free(sheet.pixels);
    return status;
}

/* The sheet ----------------------------------------------------------------------- */

static bool is_of_images(const mn_task *task)
{
    const mn_field *x = &task->fields.at[MN_SUPPORT_X];
    return mn_fields_are_few_shot(&task->fields) && task->fields.target == MN_TARGET_CLASSES &&
           x->height > 1 && x->width > 1 && (x->channels == 1 || x->channels == 3);
}

/* The place of the largest of n values: the label of a one-hot vector. */
static uint32_t label_of(const float *y, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        best = y[i] > y[best] ? i : best;
    return best;
}

static uint32_t most_of_a_class(uint32_t n_items, uint32_t n_classes, const float *y)
{
    uint32_t most = 0;
    for (uint32_t label = 0; label < n_classes; label++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < n_items; i++)
            n += label_of(y + (size_t)i * n_classes, n_classes) == label;
        most = n > most ? n : most;
    }
    return most;
}

static struct layout lay_out(const mn_task *task)
{
    const mn_field *x = &task->fields.at[MN_SUPPORT_X];
    const uint32_t way = task->fields.y_size;
    struct layout layout = {
        .cell = x->width * ZOOM + GAP, .row = x->height * ZOOM + GAP, .n_classes = way};
    layout.n_columns[0] = most_of_a_class(x->n, way, task->at[MN_SUPPORT_Y]);
    layout.n_columns[1] = most_of_a_class(task->fields.at[MN_QUERY_X].n, way, task->at[MN_QUERY_Y]);
    /* A column is at least as wide as its heading. */
    uint32_t wide[2], heading[2] = {7 * LETTER * TEXT_ZOOM, 5 * LETTER * TEXT_ZOOM};
    for (int i = 0; i < 2; i++) {
        wide[i] = layout.n_columns[i] * layout.cell;
        wide[i] = wide[i] > heading[i] ? wide[i] : heading[i];
    }
    layout.left[0] = MARGIN + LABEL_LETTERS * LETTER * TEXT_ZOOM;
    layout.left[1] = layout.left[0] + wide[0] + WIDE_GAP;
    layout.width = layout.left[1] + wide[1] + MARGIN;
    layout.top = MARGIN + (task->title[0] != '\0' ? 2 : 1) * LINE;
    layout.height = layout.top + layout.n_classes * layout.row + MARGIN;
    return layout;
}

static void put_items(struct sheet *sheet, const struct layout *layout, const mn_task *task,
                      int part, const float *answers)
{
    const mn_field *shape = &task->fields.at[part == 0 ? MN_SUPPORT_X : MN_QUERY_X];
    const float *x = task->at[part == 0 ? MN_SUPPORT_X : MN_QUERY_X];
    const float *y = task->at[part == 0 ? MN_SUPPORT_Y : MN_QUERY_Y];
    const uint32_t n = shape->n, way = task->fields.y_size;
    size_t size = mn_field_item(shape);
    for (uint32_t label = 0; label < layout->n_classes; label++) {
        uint32_t column = 0;
        for (uint32_t i = 0; i < n; i++)
            if (label_of(y + (size_t)i * way, way) == label) {
                const uint32_t left = layout->left[part] + column++ * layout->cell;
                const uint32_t top = layout->top + label * layout->row;
                put_image(sheet, left, top, shape, x + i * size);
                if (answers != NULL && label_of(answers + (size_t)i * way, way) != label)
                    put_frame(sheet, left, top, shape);
            }
    }
}

static void put_dot(struct sheet *sheet, uint32_t x, uint32_t y, uint32_t side,
                    const uint8_t *colour)
{
    for (uint32_t v = y; v < y + side && v < sheet->height; v++)
        for (uint32_t u = x; u < x + side && u < sheet->width; u++)
            memcpy(&sheet->pixels[((size_t)v * sheet->width + u) * sheet->channels], colour,
                   sheet->channels);
}

/* Ink is 1 and shown dark. Colour images are photographs, shown as they are. A hairline goes round
 * each. */
static void put_image(struct sheet *sheet, uint32_t left, uint32_t top, const mn_field *shape,
                      const float *x)
{
    static const uint8_t hairline[3] = {215, 215, 215};
    for (uint32_t u = 0; u < shape->width * ZOOM + 2; u++) {
        put_dot(sheet, left - 1 + u, top - 1, 1, hairline);
        put_dot(sheet, left - 1 + u, top + shape->height * ZOOM, 1, hairline);
    }
    for (uint32_t v = 0; v < shape->height * ZOOM; v++) {
        put_dot(sheet, left - 1, top + v, 1, hairline);
        put_dot(sheet, left + shape->width * ZOOM, top + v, 1, hairline);
    }
    for (uint32_t v = 0; v < shape->height; v++)
        for (uint32_t u = 0; u < shape->width; u++) {
            uint8_t colour[3] = {0};
            for (uint32_t c = 0; c < shape->channels; c++) {
                float ink = *x++;
                ink = ink > 0.0f ? ink : 0.0f; /* not a number becomes 0, too */
                ink = ink < 1.0f ? ink : 1.0f;
                colour[c] = (uint8_t)((shape->channels == 1 ? 1.0f - ink : ink) * 255.0f + 0.5f);
            }
            put_dot(sheet, left + u * ZOOM, top + v * ZOOM, ZOOM, colour);
        }
}

/* Outside the image, where the gap is. */
static void put_frame(struct sheet *sheet, uint32_t left, uint32_t top, const mn_field *shape)
{
    static const uint8_t dark[3] = {60, 60, 60};
    const uint32_t width = shape->width * ZOOM + 2 * FRAME,
                   height = shape->height * ZOOM + 2 * FRAME;
    for (uint32_t v = 0; v < height; v++)
        for (uint32_t u = 0; u < width; u++)
            if (v < FRAME || v >= height - FRAME || u < FRAME || u >= width - FRAME)
                put_dot(sheet, left - FRAME + u, top - FRAME + v, 1, dark);
}

static void put_text(struct sheet *sheet, uint32_t left, uint32_t top, const char *text)
{
    static const uint8_t dark[3] = {60, 60, 60};
    for (; *text != '\0'; text++, left += LETTER * TEXT_ZOOM)
        for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
            for (uint32_t dot = 0; letters[i].code == *text && dot < 35; dot++)
                if (letters[i].rows[dot / 5] >> (4 - dot % 5) & 1)
                    put_dot(sheet, left + dot % 5 * TEXT_ZOOM, top + dot / 5 * TEXT_ZOOM, TEXT_ZOOM,
                            dark);
}

static mn_status write_png(const struct sheet *sheet, const char *path, mn_error *err)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = sheet->width,
                       .height = sheet->height,
                       .format = sheet->channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    png_alloc_size_t n = PNG_IMAGE_PNG_SIZE_MAX(image);
    void *bytes = malloc(n);
    if (bytes == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "writing %s", path);
    mn_status status = MN_OK;
    if (!png_image_write_to_memory(&image, bytes, &n, 0, sheet->pixels, 0, NULL))
        status = mn_fail(err, MN_ERR_INTERNAL, "cannot make the PNG %s: %s", path, image.message);
    else
        status = mn_file_write(path, bytes, n, err);
    free(bytes);
    return status;
}
