#include "worker/data/import/import_report.h"

#include "common/text.h"
#include <inttypes.h>
#include <string.h>

void mn_import_report_leave(mn_import_report *report, const char *what, const char *remedy,
                            const char *name)
{
    uint32_t i = 0;
    while (i < report->n_reasons && strcmp(report->left[i].what, what) != 0)
        i++;
    if (i == MN_REPORT_REASONS)
        return; /* never: there are fewer reasons in the tree */
    if (i == report->n_reasons) {
        report->left[i] = (mn_import_left){.what = what, .remedy = remedy};
        report->n_reasons++;
    }
    mn_import_left_count(&report->left[i], name);
}

void mn_import_left_count(mn_import_left *left, const char *name)
{
    if (left->n++ == 0)
        (void)mn_text_escape(name, strlen(name), left->first, sizeof left->first);
}

void mn_import_left_print(const mn_import_left *left, const char *what, const char *remedy,
                          FILE *out)
{
    (void)fprintf(out, "  %8" PRIu64 "  %s%s%s (%s%s)\n", left->n, what,
                  remedy[0] != '\0' ? ": " : "", remedy, left->n > 1 ? "first: " : "", left->first);
}

void mn_import_report_print_left(const mn_import_report *report, FILE *out)
{
    if (report->n_reasons > 0)
        (void)fputs("left:\n", out);
    for (uint32_t i = 0; i < report->n_reasons; i++)
        mn_import_left_print(&report->left[i], report->left[i].what, report->left[i].remedy, out);
}

void mn_import_report_print(const mn_import_report *report, FILE *out)
{
    if (report->n_plain > 0)
        (void)fprintf(out, "taken: %" PRIu64 " pictures\n", report->n_plain);
    else
        (void)fprintf(out, "taken: %" PRIu64 " pictures (%" PRIu64 " PNG, %" PRIu64 " JPEG)\n",
                      report->n_png + report->n_jpeg, report->n_png, report->n_jpeg);
    if (report->splits[0] != '\0')
        (void)fprintf(out, "splits: %s\n", report->splits);
    mn_import_report_print_left(report, out);
    if (report->blank.n > 0 || report->unlisted.n > 0)
        (void)fputs("taken, but look at them:\n", out);
    if (report->blank.n > 0)
        mn_import_left_print(&report->blank, "pictures of one colour throughout",
                             "light strokes on nothing vanish, since transparent becomes white",
                             out);
    if (report->unlisted.n > 0)
        mn_import_left_print(&report->unlisted, "classes that no list names",
                             "they are in no split", out);
}
