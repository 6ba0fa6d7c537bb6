/* mnemo explain: why a worker is idle or was refused, why a step waited, what was computed twice. */
#include "coordinator/commands/commands.h"

#include "coordinator/commands/command_line.h"
#include "coordinator/commands/sweep_view.h"
#include "coordinator/run/chronicle.h"
#include "coordinator/run/run.h"
#include "coordinator/run/run_state.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WAITS = 8, MOST_REPEATS = 8, MOST_WORKERS = 20 };

/* What the same worker lost for the same reason. */
struct repeat {
    const char *who, *why;
    uint32_t rank;
    uint64_t n, tasks, first_task, step;
    double lost_s;
};

struct repeats {
    size_t n;
    struct repeat *list; /* [n], the most expensive first; owned */
};

static mn_status gather_repeats(const mn_chronicle *chronicle, struct repeats *out, mn_error *err);
static void print_chronicle(const mn_chronicle *chronicle, const mn_run_state *state,
                            const struct repeats *repeats);
static mn_status print_worker(const mn_chronicle *chronicle, const char *name, mn_error *err);
static void print_step(const mn_chronicle *chronicle, uint64_t step);
static mn_status print_json(const mn_chronicle *chronicle, const mn_run_state *state,
                            const struct repeats *repeats, mn_error *err);

static mn_status explain_sweep(const mn_command_line *line, mn_error *err)
{
    mn_sweep_view view;
    if (line->json || line->worker != NULL || line->step > 0)
        return mn_run_missing(line->arguments[0], err);
    mn_status status = mn_sweep_view_open(line->arguments[0], &view, err);
    if (status == MN_OK)
        mn_sweep_view_explain(&view, stdout);
    mn_sweep_view_close(&view);
    return status;
}

mn_status mn_explain_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_run_watch *watch = NULL;
    const mn_run_state *state = NULL;
    mn_chronicle chronicle = {0};
    struct repeats repeats = {0};
    mn_status status =
        mn_command_line_read(&line, argc, argv, MN_TAKES_JSON | MN_TAKES_EXPLAIN, err);
    if (status == MN_OK && line.n_arguments != 1)
        status = mn_fail(err, MN_ERR_USAGE, "explain: expected the folder of one run");
    if (status == MN_OK && line.json && (line.worker != NULL || line.step > 0))
        status = mn_fail(err, MN_ERR_USAGE,
                         "explain: --json tells of all workers and steps; leave "
                         "--worker and --step out");
    if (status == MN_OK && mn_sweep_begun(line.arguments[0]))
        return explain_sweep(&line, err);
    if (status == MN_OK)
        status = mn_run_watch_open(line.arguments[0], &watch, err);
    if (status == MN_OK)
        status = mn_run_watch_look(watch, &state, err);
    if (status == MN_OK)
        status = mn_chronicle_read(state->folder, &chronicle, err);
    if (status == MN_OK)
        status = gather_repeats(&chronicle, &repeats, err);
    if (status == MN_OK && line.json)
        status = print_json(&chronicle, state, &repeats, err);
    else if (status == MN_OK && line.worker != NULL)
        status = print_worker(&chronicle, line.worker, err);
    else if (status == MN_OK && line.step > 0)
        print_step(&chronicle, line.step);
    else if (status == MN_OK)
        print_chronicle(&chronicle, state, &repeats);
    free(repeats.list);
    mn_chronicle_fini(&chronicle);
    mn_run_watch_close(&watch);
    return status;
}

static int dearer(const void *a, const void *b)
{
    const struct repeat *x = a, *y = b;
    return (x->lost_s < y->lost_s) - (x->lost_s > y->lost_s);
}

static mn_status gather_repeats(const mn_chronicle *chronicle, struct repeats *out, mn_error *err)
{
    out->list = calloc(chronicle->n + 1, sizeof *out->list);
    if (out->list == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "what was computed twice");
    for (size_t i = 0; i < chronicle->n; i++) {
        const mn_journal_entry *is = &chronicle->entries[i].is;
        if (is->tasks == 0 || (is->event != MN_JOURNAL_REPEATED && is->event != MN_JOURNAL_DAMAGED))
            continue;
        const char *why = is->event == MN_JOURNAL_DAMAGED ? "damaged results" : is->why;
        struct repeat *repeat = out->list;
        while (repeat < out->list + out->n &&
               (repeat->rank != is->rank || strcmp(repeat->who, is->who) != 0 ||
                strcmp(repeat->why, why) != 0))
            repeat++;
        if (repeat == out->list + out->n)
            out->list[out->n++] = (struct repeat){.who = is->who,
                                                  .why = why,
                                                  .rank = is->rank,
                                                  .first_task = is->task,
                                                  .step = is->step};
        repeat->n++;
        repeat->tasks += is->tasks;
        repeat->lost_s += is->lost_s;
    }
    qsort(out->list, out->n, sizeof *out->list, dearer);
    return MN_OK;
}

/* Text ------------------------------------------------------------------------------ */

static void print_head(const mn_chronicle *chronicle, const mn_run_state *state)
{
    char begins[32] = "", ends[32] = "";
    (void)printf("%s: %s\n%s\n", state->experiment.name, mn_run_phase_text(state->phase),
                 state->folder);
    if (chronicle->n > 0) {
        mn_chronicle_time(chronicle->entries[0].is.at_s, begins);
        mn_chronicle_time(chronicle->entries[chronicle->n - 1].is.at_s, ends);
        (void)printf("journal from %s to %s, %" PRIu32 " job%s%s\n", begins, ends,
                     chronicle->n_jobs, chronicle->n_jobs == 1 ? "" : "s",
                     chronicle->forgotten ? "; what was before is not kept" : "");
    }
    if (chronicle->n_bad > 0)
        (void)printf("%zu lines of it make no sense and were passed over\n", chronicle->n_bad);
    if (chronicle->left_out > 0)
        (void)printf("%" PRIu64 " entries were too many of a kind and are only counted\n",
                     chronicle->left_out);
}

static void print_repeats(const mn_chronicle *chronicle, const struct repeats *repeats)
{
    if (chronicle->repeated_s <= 0 && repeats->n == 0) {
        (void)puts("\nno task was computed twice, as far as the journal knows");
    } else {
        (void)printf("\ncomputed twice: %.2g %% of the work, %.3g of %.4g s of thread time\n",
                     100 * mn_chronicle_share(chronicle), chronicle->repeated_s,
                     chronicle->work_s + chronicle->repeated_s);
        for (size_t i = 0; i < repeats->n && i < MOST_REPEATS; i++) {
            const struct repeat *at = &repeats->list[i];
            (void)printf("  %8.3g s  %" PRIu64 " task%s of %s, %s (rank %" PRIu32
                         "; first in step %" PRIu64 ", task %" PRIu64 ")\n",
                         at->lost_s, at->tasks, at->tasks == 1 ? "" : "s", at->who, at->why,
                         at->rank, at->step, at->first_task);
        }
        if (repeats->n > MOST_REPEATS)
            (void)printf("  and %zu more\n", repeats->n - MOST_REPEATS);
    }
    for (size_t i = 0; i < chronicle->n; i++)
        if (chronicle->entries[i].is.event == MN_JOURNAL_BEGUN && i > 0) {
            char at[32];
            mn_chronicle_time(chronicle->entries[i].is.at_s, at);
            (void)printf("  %s  ", at);
            mn_chronicle_tell(chronicle, &chronicle->entries[i], stdout);
            (void)putchar('\n');
        }
}

static void print_when(const mn_journal_entry *is)
{
    if (is->judges[0] != '\0')
        (void)printf("%s after meta-step %" PRIu64 " ", is->judges, is->step);
    else if (is->step > 0)
        (void)printf("meta-step %" PRIu64 " ", is->step);
}

static void print_waits(const mn_chronicle *chronicle)
{
    if (chronicle->n_waited == 0) {
        (void)puts("\nno step waited for long: half of the threads idle for a quarter of its time "
                   "and 0.1 s or more");
        return;
    }
    (void)printf("\n%" PRIu64 " step%s or test%s waited, %.3g s in all; the longest:\n",
                 chronicle->n_waited, chronicle->n_waited == 1 ? "" : "s",
                 chronicle->n_waited == 1 ? "" : "s", chronicle->waited_s);
    for (size_t i = 0; i < chronicle->n_waits && i < MOST_WAITS; i++) {
        (void)fputs("  ", stdout);
        print_when(&chronicle->waits[i]->is);
        mn_chronicle_tell(chronicle, chronicle->waits[i], stdout);
        (void)putchar('\n');
    }
}

/* Those of whom there is more to say than that they compute come first. */
static bool is_remarkable(const mn_chronicle_worker *worker)
{
    return worker->last != NULL && worker->last->is.event != MN_JOURNAL_JOINED &&
           worker->last->is.event != MN_JOURNAL_LEFT;
}

static void print_one_worker(const mn_chronicle *chronicle, const mn_chronicle_worker *worker)
{
    const char *own = strcmp(worker->name, "local") == 0 ? "the rank's own threads" : worker->name;
    (void)printf("  %s (rank %" PRIu32 "): ", own, worker->rank);
    mn_chronicle_tell_worker(chronicle, worker, stdout);
    if (worker->n_ran_out > 0)
        (void)printf("; %" PRIu32 " lease%s of it ran out", worker->n_ran_out,
                     worker->n_ran_out == 1 ? "" : "s");
    if (worker->n_damaged > 0)
        (void)printf("; %" PRIu32 " of its messages were no use", worker->n_damaged);
    if (worker->awaited_s > 0)
        (void)printf("; waited for %.3g s", worker->awaited_s);
    if (worker->repeated > 0)
        (void)printf("; %" PRIu64 " of its tasks, %.3g s, computed twice", worker->repeated,
                     worker->lost_s);
    (void)putchar('\n');
}

static void print_workers(const mn_chronicle *chronicle)
{
    size_t told = 0, here = 0;
    for (size_t i = 0; i < chronicle->n_workers; i++)
        here += chronicle->workers[i].here;
    if (chronicle->n_workers == 0) {
        (void)puts("\nno worker came, and of the ranks' own threads there is nothing to say");
        return;
    }
    (void)printf("\nworkers that the journal tells of: %zu here, %zu not\n", here,
                 chronicle->n_workers - here);
    for (int remarkable = 1; remarkable >= 0; remarkable--)
        for (size_t i = chronicle->n_workers; i-- > 0;)
            if (is_remarkable(&chronicle->workers[i]) == (remarkable == 1) && told++ < MOST_WORKERS)
                print_one_worker(chronicle, &chronicle->workers[i]);
    if (told > MOST_WORKERS)
        (void)printf("  and %zu more: --worker NAME, or --json for all\n", told - MOST_WORKERS);
}

static void print_chronicle(const mn_chronicle *chronicle, const mn_run_state *state,
                            const struct repeats *repeats)
{
    print_head(chronicle, state);
    print_repeats(chronicle, repeats);
    print_waits(chronicle);
    print_workers(chronicle);
    if (chronicle->n_skipped > 0)
        (void)printf("\n%" PRIu64 " tasks were skipped, for their loss was not finite\n",
                     chronicle->n_skipped);
    if (chronicle->n_checkpoints > 0)
        (void)printf("\n%" PRIu64 " checkpoint%s written; the newest is of meta-step %" PRIu64 "\n",
                     chronicle->n_checkpoints, chronicle->n_checkpoints == 1 ? "" : "s",
                     state->checkpoint);
}

static void print_entry(const mn_chronicle *chronicle, const mn_chronicle_entry *entry)
{
    char at[32];
    mn_chronicle_time(entry->is.at_s, at);
    (void)printf("%s  ", at);
    print_when(&entry->is);
    if (entry->is.step > 0 && entry->is.event != MN_JOURNAL_WAITED)
        (void)fputs("- ", stdout);
    mn_chronicle_tell(chronicle, entry, stdout);
    (void)putchar('\n');
}

/* By the whole name, or a part of it. */
static mn_status print_worker(const mn_chronicle *chronicle, const char *name, mn_error *err)
{
    bool known = false;
    for (size_t i = 0; i < chronicle->n_workers; i++)
        if (strstr(chronicle->workers[i].name, name) != NULL) {
            known = true;
            print_one_worker(chronicle, &chronicle->workers[i]);
        }
    if (!known)
        return mn_fail(
            err, MN_ERR_NO_INPUT,
            "the journal tells of no worker with \"%s\" in its name: names are HOST:PROCESS, "
            "as mnemo explain lists them, or local for a rank's own threads",
            name);
    (void)putchar('\n');
    for (size_t i = 0; i < chronicle->n; i++)
        if (strstr(chronicle->entries[i].is.who, name) != NULL)
            print_entry(chronicle, &chronicle->entries[i]);
    return MN_OK;
}

static void print_step(const mn_chronicle *chronicle, uint64_t step)
{
    size_t n = 0;
    for (size_t i = 0; i < chronicle->n; i++)
        if (chronicle->entries[i].is.step == step) {
            print_entry(chronicle, &chronicle->entries[i]);
            n++;
        }
    if (n == 0)
        (void)printf("the journal has nothing of meta-step %" PRIu64
                     ": it went as it should, or its wait was not among the longest\n",
                     step);
}

/* JSON ------------------------------------------------------------------------------ */

static json_t *entry_json(const mn_chronicle *chronicle, const mn_chronicle_entry *entry)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (out == NULL)
        return NULL;
    mn_chronicle_tell(chronicle, entry, out);
    if (fclose(out) != 0)
        n = 0;
    const mn_journal_entry *is = &entry->is;
    json_t *json = json_pack("{s:f, s:i, s:I, s:s, s:I, s:s, s:s, s:I, s:I, s:f, s:f, s:s%}", "at",
                             is->at_s, "job", (int)entry->job, "rank", (json_int_t)is->rank,
                             "event", mn_journal_event_text(is->event), "step",
                             (json_int_t)is->step, "judges", is->judges, "who", is->who, "task",
                             (json_int_t)is->task, "tasks", (json_int_t)is->tasks, "lost_s",
                             is->lost_s, "span_s", is->span_s, "text", n > 0 ? text : "", n);
    free(text);
    return json;
}

static json_t *worker_json(const mn_chronicle *chronicle, const mn_chronicle_worker *worker)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (out == NULL)
        return NULL;
    mn_chronicle_tell_worker(chronicle, worker, out);
    if (fclose(out) != 0)
        n = 0;
    json_t *json = json_pack(
        "{s:s, s:I, s:I, s:b, s:s, s:s%, s:I, s:I, s:I, s:f, s:f}", "name", worker->name, "rank",
        (json_int_t)worker->rank, "threads", (json_int_t)worker->threads, "here", worker->here,
        "last", worker->last != NULL ? mn_journal_event_text(worker->last->is.event) : "", "state",
        n > 0 ? text : "", n, "leases_ran_out", (json_int_t)worker->n_ran_out, "damaged",
        (json_int_t)worker->n_damaged, "tasks_repeated", (json_int_t)worker->repeated, "repeated_s",
        worker->lost_s, "awaited_s", worker->awaited_s);
    free(text);
    return json;
}

static mn_status print_json(const mn_chronicle *chronicle, const mn_run_state *state,
                            const struct repeats *repeats, mn_error *err)
{
    json_t *workers = json_array(), *waits = json_array(), *twice = json_array(),
           *entries = json_array();
    bool made = true;
    for (size_t i = 0; i < chronicle->n_workers; i++)
        made =
            json_array_append_new(workers, worker_json(chronicle, &chronicle->workers[i])) == 0 &&
            made;
    for (size_t i = 0; i < chronicle->n_waits; i++)
        made =
            json_array_append_new(waits, entry_json(chronicle, chronicle->waits[i])) == 0 && made;
    for (size_t i = 0; i < repeats->n; i++) {
        const struct repeat *at = &repeats->list[i];
        made =
            json_array_append_new(
                twice, json_pack("{s:s, s:I, s:s, s:I, s:I, s:f}", "who", at->who, "rank",
                                 (json_int_t)at->rank, "why", at->why, "leases", (json_int_t)at->n,
                                 "tasks", (json_int_t)at->tasks, "lost_s", at->lost_s)) == 0 &&
            made;
    }
    for (size_t i = 0; i < chronicle->n; i++)
        made = json_array_append_new(entries, entry_json(chronicle, &chronicle->entries[i])) == 0 &&
               made;
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:I, s:f, s:f, s:f, s:I, s:f, s:I, s:b, s:b, s:I, s:o, s:o, s:o, s:o}",
        "run", state->folder, "name", state->experiment.name, "state",
        mn_run_phase_text(state->phase), "jobs", (json_int_t)chronicle->n_jobs, "work_s",
        chronicle->work_s, "repeated_s", chronicle->repeated_s, "repeated_share",
        mn_chronicle_share(chronicle), "waited", (json_int_t)chronicle->n_waited, "waited_s",
        chronicle->waited_s, "bad_lines", (json_int_t)chronicle->n_bad, "cut", chronicle->cut,
        "forgotten", chronicle->forgotten, "skipped", (json_int_t)chronicle->n_skipped, "repeated",
        twice, "waits", waits, "workers", workers, "entries", entries);
    if (root == NULL || !made) {
        json_decref(root);
        return mn_fail(err, MN_ERR_NOMEM, "what the journal tells, as JSON");
    }
    (void)json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(13));
    (void)putchar('\n');
    json_decref(root);
    return MN_OK;
}
