#include "coordinator/commands/bench_profile.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 20u /* single operations in the text */

/* Rows of equal words, of all threads together. */
struct table {
    size_t n;
    mn_profile_row *rows;       /* [n], the longest first; flops and bytes of all laps; owned */
    double ns, laps, stolen_ns; /* of all rows */
};

static mn_status gather(const mn_bench_profile *profile, bool by_kind, struct table *table,
                        mn_error *err);
static void print_table(const mn_bench_profile *profile, const struct table *table, bool by_kind);
static json_t *rows_json(const mn_bench_profile *profile, const struct table *table);

void mn_bench_profile_fini(mn_bench_profile *profile)
{
    for (uint32_t i = 0; profile->threads != NULL && i < profile->n_threads; i++)
        mn_profile_destroy(&profile->threads[i]);
    free(profile->threads);
    mn_profile_destroy(&profile->owner);
}

mn_status mn_bench_profile_print(const mn_bench_profile *profile, mn_error *err)
{
    struct table kinds = {0}, operations = {0};
    mn_status status = gather(profile, true, &kinds, err);
    if (status == MN_OK)
        status = gather(profile, false, &operations, err);
    if (status == MN_OK) {
        double tasks = (double)profile->n_tasks, lap_ns = mn_profile_lap_ns(profile->owner);
        double waited_ns = 0;
        for (size_t i = 0; i < kinds.n; i++)
            if (strcmp(kinds.rows[i].name, mn_profile_row_at(profile->owner, MN_PART_WAIT).name) ==
                0)
                waited_ns += kinds.rows[i].ns;
        (void)printf("\nby kind of operation: %.4g us of a core for a task\n",
                     1e-3 * kinds.ns / tasks);
        print_table(profile, &kinds, true);
        (void)printf("\nby single operation%s\n", operations.n > SHOWN ? ": the first 20" : "");
        print_table(profile, &operations, false);
        (void)printf(
            "\nrows without waiting: %.4g us a task; by the system's CPU clock %.4g us, of "
            "it %.3g us in timers\n  (%.0f laps a task, %.3g ns each; taken off the rows)\n"
            "waiting: by the wall's clock; other programs had %.1f %% of the cores "
            "meanwhile\n"
            "GFLOP/s: multiply-adds of products and convolutions, counted twice, padding "
            "too\nGB/s: every array of an operation once\n",
            1e-3 * (kinds.ns - waited_ns) / tasks, 1e-3 * profile->cpu_ns_per_task,
            1e-3 * lap_ns * kinds.laps / tasks, kinds.laps / tasks, lap_ns,
            100 * kinds.stolen_ns / (kinds.ns + kinds.stolen_ns));
    }
    free(kinds.rows);
    free(operations.rows);
    return status;
}

json_t *mn_bench_profile_json(const mn_bench_profile *profile)
{
    struct table kinds = {0}, operations = {0};
    json_t *root = NULL;
    if (gather(profile, true, &kinds, NULL) == MN_OK &&
        gather(profile, false, &operations, NULL) == MN_OK)
        root = json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:o, s:o}", "tasks",
                         (json_int_t)profile->n_tasks, "core_ns_per_task",
                         kinds.ns / (double)profile->n_tasks, "cpu_ns_per_task",
                         profile->cpu_ns_per_task, "lap_ns", mn_profile_lap_ns(profile->owner),
                         "laps_per_task", kinds.laps / (double)profile->n_tasks,
                         "stolen_ns_per_task", kinds.stolen_ns / (double)profile->n_tasks, "kinds",
                         rows_json(profile, &kinds), "operations", rows_json(profile, &operations));
    free(kinds.rows);
    free(operations.rows);
    return root;
}

static int longest_first(const void *a, const void *b)
{
    const mn_profile_row *x = a, *y = b;
    return (x->ns < y->ns) - (x->ns > y->ns);
}

static void add_row(struct table *table, bool by_kind, const mn_profile_row *row)
{
    size_t i = 0;
    while (i < table->n && (strcmp(table->rows[i].name, row->name) != 0 ||
                            (!by_kind && (strcmp(table->rows[i].stage, row->stage) != 0 ||
                                          strcmp(table->rows[i].shape, row->shape) != 0))))
        i++;
    if (i == table->n)
        table->rows[table->n++] = (mn_profile_row){.name = row->name, .stage = row->stage};
    mn_profile_row *to = &table->rows[i];
    memcpy(to->shape, by_kind ? "" : row->shape, by_kind ? 1 : sizeof to->shape);
    if (by_kind && strcmp(to->stage, row->stage) != 0)
        to->stage = "all";
    to->laps += row->laps;
    to->ns += row->ns;
    to->flops += row->flops * (double)row->laps;
    to->bytes += row->bytes * (double)row->laps;
    table->ns += row->ns;
    table->laps += (double)row->laps;
}

/* The threads of the pool wait while their owner works: those rows are its own, and the rest is
 * what nobody used. The owner's waiting for the threads is not a core's. */
static mn_status gather(const mn_bench_profile *profile, bool by_kind, struct table *table,
                        mn_error *err)
{
    size_t n = mn_profile_rows(profile->threads[0]);
    double owner_ns = 0;
    table->rows = calloc(n + MN_N_PARTS, sizeof *table->rows);
    if (table->rows == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "table of %zu operations", n);
    for (size_t i = 0; i < MN_PART_WAIT; i++) {
        mn_profile_row row = mn_profile_row_at(profile->owner, i);
        owner_ns += row.ns;
        if (row.laps > 0)
            add_row(table, by_kind, &row);
    }
    for (uint32_t t = 0; t < profile->n_threads; t++) {
        table->stolen_ns += mn_profile_stolen_ns(profile->threads[t]);
        for (size_t i = 0; i < n; i++) {
            mn_profile_row row = mn_profile_row_at(profile->threads[t], i);
            if (i == MN_PART_WAIT) {
                double free_ns = row.ns > owner_ns ? row.ns - owner_ns : 0;
                owner_ns -= row.ns - free_ns;
                row.ns = free_ns;
            }
            if (row.laps > 0)
                add_row(table, by_kind, &row);
        }
    }
    qsort(table->rows, table->n, sizeof *table->rows, longest_first);
    return MN_OK;
}

static void print_table(const mn_bench_profile *profile, const struct table *table, bool by_kind)
{
    double tasks = (double)profile->n_tasks;
    (void)printf("  share   us/task  times/task  GFLOP/s  of peak   GB/s  %s\n",
                 by_kind ? "operation" : "stage: operation, shape");
    for (size_t i = 0; i < table->n && (by_kind || i < SHOWN); i++) {
        const mn_profile_row *row = &table->rows[i];
        (void)printf("%5.1f %% %9.2f  %10.4g", 100 * row->ns / table->ns, 1e-3 * row->ns / tasks,
                     (double)row->laps / tasks);
        if (row->flops > 0 && row->ns > 0)
            (void)printf(" %8.1f %6.0f %%", row->flops / row->ns,
                         100 * row->flops / row->ns / profile->peak_gflops);
        else
            (void)printf(" %8s %8s", "", "");
        if (row->bytes > 0 && row->ns > 0)
            (void)printf(" %6.1f", row->bytes / row->ns);
        else
            (void)printf(" %6s", "");
        bool staged = !by_kind && row->stage[0] != '\0';
        (void)printf("  %s%s%s%s%s\n", staged ? row->stage : "", staged ? ": " : "", row->name,
                     row->shape[0] != '\0' ? ", " : "", row->shape);
    }
}

static json_t *rows_json(const mn_bench_profile *profile, const struct table *table)
{
    json_t *array = json_array();
    double tasks = (double)profile->n_tasks;
    for (size_t i = 0; i < table->n; i++) {
        const mn_profile_row *row = &table->rows[i];
        double ns = row->ns > 0 ? row->ns : 1;
        (void)json_array_append_new(
            array,
            json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "stage",
                      row->stage, "operation", row->name, "shape", row->shape, "times_per_task",
                      (double)row->laps / tasks, "ns_per_task", row->ns / tasks, "share",
                      row->ns / table->ns, "flops_per_task", row->flops / tasks, "gflops",
                      row->flops / ns, "share_of_peak", row->flops / ns / profile->peak_gflops,
                      "bytes_per_task", row->bytes / tasks, "gb_per_second", row->bytes / ns));
    }
    return array;
}
