#include "coordinator/pictures/sequence_sheet.h"

#include "coordinator/pictures/sheet.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MARGIN 12u
#define GAP 10u /* between drawings */
#define FRAME 4u
#define PER_ROW 10u    /* drawings */
#define TEXT_WIDTH 72u /* of the answers to a label */
#define NAME 24u       /* bytes of a label's name */

static const uint8_t good[3] = {20, 120, 60}, bad[3] = {190, 40, 30};

/* What is known of a step of a sequence. */
struct step {
    uint32_t row; /* of the fields */
    uint32_t showing;
    char is[NAME], said[NAME]; /* names of the label and of the answer */
    bool right;
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

static uint32_t length_of(const mn_task *task)
{
    return mn_fields_find(&task->fields, MN_QUERY, "x")->n / task->fields.bundle;
}

/* A label is a number; or a string, if rows of query.y have a one for each of its letters. */
static uint32_t letters_of(const mn_task *task)
{
    const uint32_t n = task->fields.y_size;
    const float *y = mn_task_find(task, MN_QUERY, "y");
    uint32_t letters = 0;
    for (uint32_t i = 0; i < n; i++)
        letters += y[i] != 0;
    return letters > 0 && letters < NAME && n % letters == 0 ? letters : 1;
}

static void write_name(const mn_task *task, const float *row, char name[NAME])
{
    const uint32_t letters = letters_of(task), kinds = task->fields.y_size / letters;
    if (letters == 1)
        (void)snprintf(name, NAME, "%" PRIu32, mn_label_of(kinds, row));
    for (uint32_t i = 0; letters > 1 && i < letters; i++)
        (void)snprintf(name + i, NAME - i, "%c",
                       (char)('a' + mn_label_of(kinds, row + i * kinds) % 26));
}

/* Row `row`, of any sequence. answers may be NULL. */
static struct step step_of(const mn_task *task, const float *answers, uint32_t row)
{
    const size_t at = (size_t)row * task->fields.y_size;
    struct step step = {.row = row,
                        .showing = (uint32_t)mn_task_find(task, MN_QUERY, "point")[row]};
    write_name(task, mn_task_find(task, MN_QUERY, "y") + at, step.is);
    if (answers != NULL)
        write_name(task, answers + at, step.said);
    step.right = answers != NULL && strcmp(step.is, step.said) == 0;
    return step;
}

/* Text ---------------------------------------------------------------------------- */

/* The label of the first sequence that comes next in order, after `name`. False: none does. */
static bool next_label(const mn_task *task, char name[NAME])
{
    char next[NAME] = "";
    for (uint32_t t = 0; t < length_of(task); t++) {
        const struct step step = step_of(task, NULL, t * task->fields.bundle);
        const size_t n = strlen(step.is), before = strlen(name), best = strlen(next);
        const bool is_later = n != before ? n > before : strcmp(step.is, name) > 0;
        const bool is_sooner = best == 0 || (n != best ? n < best : strcmp(step.is, next) < 0);
        if (is_later && is_sooner)
            memcpy(next, step.is, sizeof next);
    }
    memcpy(name, next, sizeof next);
    return next[0] != '\0';
}

static void print_label(const mn_task *task, const float *answers, const char *name, uint32_t width,
                        uint32_t n_showings, FILE *out)
{
    (void)fprintf(out, "  %5s", name);
    for (uint32_t t = 0; t < length_of(task); t++) {
        const struct step step = step_of(task, answers, t * task->fields.bundle);
        if (strcmp(step.is, name) == 0 && step.showing < n_showings)
            (void)fprintf(out, " %*s%c", (int)width - 2, step.said, step.right ? ' ' : 'x');
    }
    (void)fputc('\n', out);
}

void mn_sequence_sheet_print(const mn_task *task, const float *answers, FILE *out)
{
    const uint32_t bundle = task->fields.bundle, all = task->fields.points.n;
    const uint32_t letters = letters_of(task), width = letters == 1 ? 4 : letters + 2;
    const uint32_t shown = all < TEXT_WIDTH / width ? all : TEXT_WIDTH / width;
    char name[NAME] = "";
    (void)fputs("answers to the first sequence at each showing of a label (x: wrong)\n  label",
                out);
    for (uint32_t i = 0; i < shown; i++)
        (void)fprintf(out, " %*" PRIu32 " ", (int)width - 2, i + 1);
    (void)fputc('\n', out);
    while (next_label(task, name))
        print_label(task, answers, name, width, shown, out);

    uint32_t right[MN_MAX_POINTS] = {0}, n[MN_MAX_POINTS] = {0}, n_right = 0;
    for (uint32_t row = 0; row < length_of(task) * bundle; row++) {
        const struct step step = step_of(task, answers, row);
        const uint32_t showing = step.showing < MN_MAX_POINTS ? step.showing : 0;
        n[showing]++;
        right[showing] += step.right;
        n_right += step.right;
    }
    (void)fprintf(out, "right in all %" PRIu32 " sequences, in percent\n       ", bundle);
    for (uint32_t i = 0; i < shown; i++)
        (void)fprintf(out, "%*.0f ", (int)width - 1, n[i] > 0 ? 100.0 * right[i] / n[i] : 0.0);
    (void)fprintf(out, "\n%" PRIu32 " of %" PRIu32 " right\n", n_right, length_of(task) * bundle);
}

/* Picture ------------------------------------------------------------------------- */

/* Where a step goes. */
struct grid {
    uint32_t zoom, image[2]; /* width and height of a drawing on the sheet */
    uint32_t cell[2];        /* of it with all that belongs to it */
    uint32_t top;
};

static struct grid lay_out(const mn_task *task)
{
    const mn_field *x = mn_fields_find(&task->fields, MN_QUERY, "x");
    const uint32_t letters = letters_of(task); /* the longest text is "is 4 new" */
    const uint32_t words = (7 + letters) * MN_SHEET_LETTER;
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
    char text[NAME + 16];
    mn_sheet_image(sheet, left, top, grid->zoom, x,
                   mn_task_find(task, MN_QUERY, "x") + step.row * mn_field_item(x));
    (void)snprintf(text, sizeof text, "is %s%s", step.is, step.showing == 0 ? " new" : "");
    mn_sheet_text(sheet, left, top + grid->image[1] + FRAME + 2, mn_sheet_dark, text);
    if (answers == NULL)
        return;
    (void)snprintf(text, sizeof text, "said %s", step.said);
    mn_sheet_text(sheet, left, top + grid->image[1] + FRAME + 2 + MN_SHEET_TEXT + 4,
                  step.right ? good : bad, text);
    if (!step.right)
        mn_sheet_frame(sheet, left, top, grid->image[0], grid->image[1], FRAME, bad);
}

mn_status mn_sequence_sheet_png(const mn_task *task, const float *answers, const char *heading,
                                const char *path, mn_error *err)
{
    const uint32_t length = length_of(task);
    const struct grid grid = lay_out(task);
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
