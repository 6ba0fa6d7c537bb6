/* A task in words: shapes and classes; points as a table; support images as characters. */
#include "worker/tasks/task_print.h"

#include <inttypes.h>
#include <stdbool.h>

static void print_points(const char *title, uint32_t n, const float *x, const float *y, FILE *out);
static void print_image(const mn_field *shape, const float *x, FILE *out);

static bool is_of_images(const mn_task *task)
{
    const mn_field *x = &task->fields.at[MN_SUPPORT_X];
    return mn_fields_are_few_shot(&task->fields) && task->fields.target == MN_TARGET_CLASSES &&
           x->height > 1 && x->width > 1 && (x->channels == 1 || x->channels == 3);
}

static void print_fields(const mn_fields *fields, FILE *out)
{
    static const char *const roles[MN_N_ROLES] = {"support", "query", "shared"};
    static const char *const types[] = {"numbers", "ids", "mask"};
    for (uint32_t i = 0; i < fields->n; i++) {
        const mn_field *field = &fields->at[i];
        (void)fprintf(out,
                      "%s.%s: %" PRIu32 " items of %" PRIu32 " x %" PRIu32 " x %" PRIu32 " %s\n",
                      roles[field->role], field->name, field->n, field->height, field->width,
                      field->channels, types[field->type]);
    }
}

void mn_task_print(const mn_task *task, FILE *out)
{
    const mn_fields *fields = &task->fields;
    if (!mn_fields_are_few_shot(fields)) {
        print_fields(fields, out);
        return;
    }
    const mn_field *x = &fields->at[MN_SUPPORT_X];
    (void)fprintf(out, "support  %" PRIu32 " items, query %" PRIu32 " items\n", x->n,
                  fields->at[MN_QUERY_X].n);
    (void)fprintf(out,
                  "x        %" PRIu32 " x %" PRIu32 " x %" PRIu32 " (height, width, channels)\n",
                  x->height, x->width, x->channels);
    (void)fprintf(out, "y        %" PRIu32 " %s\n", fields->y_size,
                  fields->target == MN_TARGET_CLASSES ? "classes" : "values");
    if (task->n_classes > 0) {
        (void)fprintf(out, "classes ");
        for (uint32_t i = 0; i < task->n_classes; i++)
            (void)fprintf(out, " %" PRIu32 "=%" PRIu32, i, task->classes[i]);
        (void)fprintf(out, " (label=number in the split)\n");
    }
    if (is_of_images(task)) {
        for (uint32_t i = 0; i < x->n; i++) {
            const float *y = task->at[MN_SUPPORT_Y] + (size_t)i * fields->y_size;
            if (mn_is_padding(fields->y_size, y))
                continue;
            (void)fprintf(out, "\nsupport %" PRIu32 ", label %" PRIu32 "\n", i,
                          mn_label_of(fields->y_size, y));
            print_image(x, task->at[MN_SUPPORT_X] + i * mn_field_item(x), out);
        }
    } else if (mn_field_item(x) == 1 && fields->y_size == 1) {
        print_points("support", x->n, task->at[MN_SUPPORT_X], task->at[MN_SUPPORT_Y], out);
        print_points("query", fields->at[MN_QUERY_X].n, task->at[MN_QUERY_X], task->at[MN_QUERY_Y],
                     out);
    }
}

static void print_points(const char *title, uint32_t n, const float *x, const float *y, FILE *out)
{
    (void)fprintf(out, "\n%-8s        x          y\n", title);
    for (uint32_t i = 0; i < n; i++)
        (void)fprintf(out, "%7" PRIu32 "  %8.4f   %8.4f\n", i, (double)x[i], (double)y[i]);
}

/* A character is two rows of a column, as it is about twice as high as wide. */
static void print_image(const mn_field *shape, const float *x, FILE *out)
{
    static const char inks[] = " .:-=+*#%@";
    for (uint32_t v = 0; v < shape->height; v += 2) {
        for (uint32_t u = 0; u < shape->width; u++) {
            float most = 0.0f;
            for (uint32_t row = v; row < v + 2 && row < shape->height; row++)
                for (uint32_t c = 0; c < shape->channels; c++) {
                    float ink = x[((size_t)row * shape->width + u) * shape->channels + c];
                    most = ink > most ? ink : most;
                }
            (void)fputc(inks[most < 1.0f ? (int)(most * 9.999f) : 9], out);
        }
        (void)fputc('\n', out);
    }
}
