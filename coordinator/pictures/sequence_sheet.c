#include "coordinator/pictures/sequence_sheet.h"

#include "coordinator/pictures/sheet.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MARGIN 12u
#define GAP 10u /* between drawings */
#define FRAME 4u
#define LETTERS 8u        /* below a drawing: "is 4 new" */
#define PER_ROW 10u       /* drawings */
#define MOST_SHOWINGS 16u /* in a line of text */

static const uint8_t good[3] = {20, 120, 60}, bad[3] = {190, 40, 30};

/* What is known of a step of the first sequence. */
struct step {
    uint32_t row; /* of the fields */
    uint32_t label, answer, showing;
};

bool mn_sequence_sheet_fits(const mn_fields *fields)
{
    const mn_field *x = mn_fields_find(fields, MN_QUERY, "x");
    const mn_field *y = mn_fields_find(fields, MN_QUERY, "y");
    const mn_field *point = mn_fields_find(fields, MN_QUERY, "point");
    return x != NULL && y != NULL && point != NULL && x->n == y->n && x->n == point->n &&
           mn_field_item(point) == 1 && strcmp(fields->points.axis, "showing") == 0 &&
           x->height > 1 && x->width > 1 && (x->channels == 1 || x->channels == 3) &&
           fields->target == MN_TARGET_CLASSES && mn_field_item(y) == fields->y_size &&
           mn_fields_find(fields, MN_SUPPORT, "x") == NULL;
}

static uint32_t largest(uint32_t n, const float *row)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (row[i] > row[best])
            best = i;
    return best;
}

static uint32_t length_of(const mn_task *task)
{
    return mn_fields_find(&task->fields, MN_QUERY, "x")->n / task->fields.bundle;
}

/* Row `row`, of any sequence. answers may be NULL. */
static struct step step_of(const mn_task *task, const float *answers, uint32_t row)
{
    const uint32_t n = task->fields.y_size;
    return (struct step){.row = row,
                         .label = largest(n, mn_task_find(task, MN_QUERY, "y") + (size_t)row * n),
                         .answer = answers == NULL ? n : largest(n, answers + (size_t)row * n),
                         .showing = (uint32_t)mn_task_find(task, MN_QUERY, "point")[row]};
}

/* Text ---------------------------------------------------------------------------- */

static void print_label(const mn_task *task, const float *answers, uint32_t label,
                        uint32_t n_showings, FILE *out)
{
    (void)fprintf(out, "  %5" PRIu32, label);
    for (uint32_t showing = 0; showing < n_showings; showing++)
        for (uint32_t t = 0; t < length_of(task); t++) {
            const struct step step = step_of(task, answers, t * task->fields.bundle);
            if (step.label == label && step.showing == showing)
                (void)fprintf(out, " %2" PRIu32 "%c", step.answer,
                              step.answer == label ? ' ' : 'x');
        }
    (void)fputc('\n', out);
}

void mn_sequence_sheet_print(const mn_task *task, const float *answers, FILE *out)
{
    const uint32_t bundle = task->fields.bundle, all = task->fields.points.n;
    const uint32_t shown = all < MOST_SHOWINGS ? all : MOST_SHOWINGS;
    (void)fprintf(out,
                  "answers to the first sequence at each showing of a label (x: wrong)\n  label");
    for (uint32_t i = 0; i < shown; i++)
        (void)fprintf(out, " %2" PRIu32 " ", i + 1);
    (void)fputs(shown < all ? " ...\n" : "\n", out);
    for (uint32_t label = 0; label < task->fields.y_size; label++)
        print_label(task, answers, label, shown, out);

    uint32_t right[MN_MAX_POINTS] = {0}, n[MN_MAX_POINTS] = {0}, n_right = 0;
    for (uint32_t row = 0; row < length_of(task) * bundle; row++) {
        const struct step step = step_of(task, answers, row);
        const uint32_t showing = step.showing < MN_MAX_POINTS ? step.showing : 0;
        n[showing]++;
        right[showing] += step.answer == step.label;
        n_right += step.answer == step.label;
    }
    (void)fprintf(out, "right in all %" PRIu32 " sequences, in percent\n       ", bundle);
    for (uint32_t i = 0; i < shown; i++)
        (void)fprintf(out, " %3.0f", n[i] > 0 ? 100.0 * right[i] / n[i] : 0.0);
    (void)fprintf(out, "\n%" PRIu32 " of %" PRIu32 " right\n", n_right, length_of(task) * bundle);
}

/* Picture ------------------------------------------------------------------------- */

/* Where a step goes. */
struct grid {
    uint32_t zoom, image[2]; /* width and height of a drawing on the sheet */
    uint32_t cell[2];        /* of it with all that belongs to it */
    uint32_t top;
};

static struct grid lay_out(const mn_field *x)
{
    const uint32_t words = LETTERS * MN_SHEET_LETTER;
    struct grid grid = {.zoom = 1 + (words - 1) / x->width, .top = MARGIN + 2 * MN_SHEET_LINE};
    grid.image[0] = grid.zoom * x->width;
    grid.image[1] = grid.zoom * x->height;
    grid.cell[0] = grid.image[0] + GAP;
    grid.cell[1] = grid.image[1] + 2 * MN_SHEET_LINE + GAP;
    return grid;
}

static void put_step(mn_sheet *sheet, const struct grid *grid, const mn_task *task,
                     const float *answers, uint32_t t)
{
    const mn_field *x = mn_fields_find(&task->fields, MN_QUERY, "x");
    const struct step step = step_of(task, answers, t * task->fields.bundle);
    const uint32_t left = MARGIN + t % PER_ROW * grid->cell[0];
    const uint32_t top = grid->top + t / PER_ROW * grid->cell[1];
    const bool right = step.answer == step.label;
    char text[32];
    mn_sheet_image(sheet, left, top, grid->zoom, x,
                   mn_task_find(task, MN_QUERY, "x") + step.row * mn_field_item(x));
    (void)snprintf(text, sizeof text, "is %" PRIu32 "%s", step.label,
                   step.showing == 0 ? " new" : "");
    mn_sheet_text(sheet, left, top + grid->image[1] + FRAME + 2, mn_sheet_dark, text);
    if (answers == NULL)
        return;
    (void)snprintf(text, sizeof text, "said %" PRIu32, step.answer);
    mn_sheet_text(sheet, left, top + grid->image[1] + FRAME + 2 + MN_SHEET_TEXT + 4,
                  right ? good : bad, text);
    if (!right)
        mn_sheet_frame(sheet, left, top, grid->image[0], grid->image[1], FRAME, bad);
}

mn_status mn_sequence_sheet_png(const mn_task *task, const float *answers, const char *heading,
                                const char *path, mn_error *err)
{
    const uint32_t length = length_of(task);
    const struct grid grid = lay_out(mn_fields_find(&task->fields, MN_QUERY, "x"));
    const uint32_t columns = length < PER_ROW ? length : PER_ROW;
    const uint32_t rows = (length + PER_ROW - 1) / PER_ROW;
    const uint32_t words = (uint32_t)strlen(heading) * MN_SHEET_LETTER;
    const uint32_t width = columns * grid.cell[0] > words ? columns * grid.cell[0] : words;
    mn_sheet sheet;
    mn_status status =
        mn_sheet_init(&sheet, 2 * MARGIN + width, grid.top + rows * grid.cell[1] + MARGIN, 3, err);
    if (status != MN_OK)
        return status;
    mn_sheet_text(&sheet, MARGIN, MARGIN, mn_sheet_dark, heading);
    for (uint32_t t = 0; t < length; t++)
        put_step(&sheet, &grid, task, answers, t);
    status = mn_sheet_write(&sheet, path, err);
    mn_sheet_fini(&sheet);
    return status;
}
