#include "coordinator/run/chronicle.h"

#include "common/file.h"
#include "coordinator/run/run.h"
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST_BYTES (4 * MN_JOURNAL_BYTES) /* of a file: more is no journal of ours */

static mn_status read_file(mn_chronicle *chronicle, const char *folder, const char *name,
                           json_t *records, bool *found, mn_error *err);
static mn_status take_lines(mn_chronicle *chronicle, const char *path, char *text, size_t n,
                            json_t *records, mn_error *err);
static mn_status sum_up(mn_chronicle *chronicle, const json_t *records, mn_error *err);
static bool read_entry(const json_t *record, mn_chronicle_entry *out);
static void add(mn_chronicle *chronicle, mn_chronicle_entry *entry);
static mn_chronicle_worker *worker_of(mn_chronicle *chronicle, const mn_journal_entry *entry);
static void follow(mn_chronicle_worker *worker, const mn_chronicle_entry *entry);
static int longer(const void *a, const void *b);

mn_status mn_chronicle_read(const char *folder, mn_chronicle *out, mn_error *err)
{
    bool old = false, now = false;
    mn_chronicle chronicle = {0};
    json_t *records = json_array();
    chronicle.owned = records;
    mn_status status = records == NULL ? mn_fail(err, MN_ERR_NOMEM, "journal of the run") : MN_OK;
    if (status == MN_OK)
        status = read_file(&chronicle, folder, MN_JOURNAL_OLD, records, &old, err);
    chronicle.cut = false; /* of the older file a later job has gone on */
    if (status == MN_OK)
        status = read_file(&chronicle, folder, MN_JOURNAL_FILE, records, &now, err);
    if (status == MN_OK && !old && !now)
        status =
            mn_fail(err, MN_ERR_NO_INPUT,
                    "%s has no " MN_JOURNAL_FILE ": it is a run that an older mnemo made, or no "
                    "run",
                    folder);
    if (status == MN_OK)
        status = sum_up(&chronicle, records, err);
    if (status != MN_OK) {
        mn_chronicle_fini(&chronicle);
        return status;
    }
    *out = chronicle;
    return MN_OK;
}

void mn_chronicle_fini(mn_chronicle *chronicle)
{
    free(chronicle->entries);
    free(chronicle->workers);
    free(chronicle->waits);
    json_decref(chronicle->owned);
    *chronicle = (mn_chronicle){0};
}

double mn_chronicle_share(const mn_chronicle *chronicle)
{
    const double all_s = chronicle->work_s + chronicle->repeated_s;
    return all_s > 0 ? chronicle->repeated_s / all_s : 0;
}

void mn_chronicle_time(double at_s, char text[32])
{
    const time_t at = (time_t)at_s;
    struct tm parts;
    if (localtime_r(&at, &parts) == NULL || strftime(text, 32, "%F %T", &parts) == 0)
        (void)snprintf(text, 32, "?");
}

static mn_status read_file(mn_chronicle *chronicle, const char *folder, const char *name,
                           json_t *records, bool *found, mn_error *err)
{
    char path[PATH_MAX];
    char *text = NULL;
    size_t n = 0;
    mn_status status = mn_run_path(folder, name, path, err);
    if (status != MN_OK || access(path, F_OK) != 0)
        return status;
    *found = true;
    status = mn_file_read(path, MOST_BYTES, &text, &n, err);
    if (status == MN_OK)
        status = take_lines(chronicle, path, text, n, records, err);
    free(text);
    return status;
}

static mn_status check_first(const char *path, const json_t *first, mn_error *err)
{
    const char *kind = json_string_value(json_object_get(first, "journal"));
    const json_int_t version = json_integer_value(json_object_get(first, "version"));
    if (kind == NULL || strcmp(kind, "mnemo") != 0)
        return mn_fail(
            err, MN_ERR_DATA,
            "%s is not the journal of a run: expected {\"journal\": \"mnemo\", ...} as its "
            "first line",
            path);
    if (version != MN_JOURNAL_VERSION)
        return mn_fail(err, MN_ERR_DATA,
                       "%s is a journal of version %" JSON_INTEGER_FORMAT ", this mnemo " MN_VERSION
                       " reads version %d: use the mnemo that wrote it",
                       path, version, MN_JOURNAL_VERSION);
    return MN_OK;
}

static mn_status take_lines(mn_chronicle *chronicle, const char *path, char *text, size_t n,
                            json_t *records, mn_error *err)
{
    bool first = true;
    for (char *line = text, *end; line < text + n; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + n - line));
        if (end == NULL) { /* being written, or cut off by a kill */
            chronicle->cut = true;
            break;
        }
        json_t *record = json_loadb(line, (size_t)(end - line), 0, NULL);
        mn_status status = first ? check_first(path, record, err) : MN_OK;
        if (status == MN_OK && !first && !json_is_object(record))
            chronicle->n_bad++;
        else if (status == MN_OK && !first && json_array_append(records, record) != 0)
            status = mn_fail(err, MN_ERR_NOMEM, "journal in %s", path);
        json_decref(record);
        if (status != MN_OK)
            return status;
        first = false;
    }
    if (first && n > 0)
        return check_first(path, NULL, err);
    return MN_OK;
}

static mn_status sum_up(mn_chronicle *chronicle, const json_t *records, mn_error *err)
{
    const size_t n = json_array_size(records);
    chronicle->entries = calloc(n + 1, sizeof *chronicle->entries);
    chronicle->workers = calloc(n + 1, sizeof *chronicle->workers);
    chronicle->waits = calloc(n + 1, sizeof *chronicle->waits);
    if (chronicle->entries == NULL || chronicle->workers == NULL || chronicle->waits == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "journal of %zu entries", n);
    double work_s = 0, repeated_s = 0, told_s = 0; /* of a job: totals, and one by one */
    for (size_t i = 0; i < n; i++) {
        mn_chronicle_entry *entry = &chronicle->entries[chronicle->n];
        if (!read_entry(json_array_get(records, i), entry)) {
            chronicle->n_bad++;
            continue;
        }
        if (chronicle->n == 0 || entry->is.event == MN_JOURNAL_BEGUN) {
            chronicle->forgotten = chronicle->forgotten || entry->is.event != MN_JOURNAL_BEGUN;
            chronicle->work_s += work_s;
            chronicle->repeated_s += fmax(repeated_s, told_s);
            work_s = repeated_s = told_s = 0;
            chronicle->n_jobs++;
        }
        entry->job = chronicle->n_jobs - 1;
        chronicle->n++;
        if (isfinite(entry->work_s))
            work_s = entry->work_s;
        if (isfinite(entry->repeated_s))
            repeated_s = entry->repeated_s;
        told_s += entry->is.lost_s;
        if (entry->is.event != MN_JOURNAL_WAITED)
            told_s += entry->is.left_out_s;
        add(chronicle, entry);
    }
    chronicle->work_s += work_s;
    chronicle->repeated_s += fmax(repeated_s, told_s);
    qsort(chronicle->waits, chronicle->n_waits, sizeof *chronicle->waits, longer);
    return MN_OK;
}

static double number(const json_t *record, const char *key, double absent)
{
    const json_t *value = json_object_get(record, key);
    const double x = json_is_number(value) ? json_number_value(value) : absent;
    return isfinite(x) && fabs(x) < 1e15 ? x : absent;
}

static uint64_t whole(const json_t *record, const char *key)
{
    const json_int_t value = json_integer_value(json_object_get(record, key));
    return value > 0 ? (uint64_t)value : 0;
}

static uint32_t small(const json_t *record, const char *key)
{
    const uint64_t value = whole(record, key);
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static const char *text(const json_t *record, const char *key)
{
    const char *value = json_string_value(json_object_get(record, key));
    return value != NULL ? value : "";
}

static bool read_entry(const json_t *record, mn_chronicle_entry *out)
{
    const mn_journal_event event = mn_journal_event_of(text(record, "event"));
    if (event == MN_N_JOURNAL_EVENTS)
        return false;
    *out = (mn_chronicle_entry){
        .is = {.event = event,
               .at_s = number(record, "at", 0),
               .rank = small(record, "rank"),
               .step = whole(record, "step"),
               .judges = text(record, "judges"),
               .who = text(record, "who"),
               .why = text(record, "why"),
               .task = whole(record, "task"),
               .tasks = small(record, "tasks"),
               .threads = small(record, "threads"),
               .lost_s = fmax(0, number(record, "lost_s", 0)),
               .span_s = fmax(0, number(record, "span_s", 0)),
               .pause_s = fmax(0, number(record, "pause_s", 0)),
               .left_out = whole(record, "left_out"),
               .left_out_s = fmax(0, number(record, "left_out_s", 0)),
               .left_out_tasks = whole(record, "left_out_tasks"),
               .mixed = json_is_true(json_object_get(record, "mixed"))},
        .work_s = number(record, "work_s", NAN),
        .repeated_s = number(record, "repeated_s", NAN),
    };
    return true;
}

static void add(mn_chronicle *chronicle, mn_chronicle_entry *entry)
{
    const mn_journal_entry *is = &entry->is;
    const bool about_pool = is->event < MN_JOURNAL_BEGUN && is->who[0] != '\0' &&
                            strncmp(is->who, "rank ", strlen("rank ")) != 0;
    mn_chronicle_worker *worker = about_pool ? worker_of(chronicle, is) : NULL;
    chronicle->left_out += is->left_out;
    switch (is->event) {
    case MN_JOURNAL_BEGUN: /* whoever was there came back by itself, and joins again */
    case MN_JOURNAL_ENDED:
        for (size_t i = 0; i < chronicle->n_workers; i++)
            if (chronicle->workers[i].here) {
                chronicle->workers[i].here = false;
                chronicle->workers[i].last = entry;
            }
        break;
    case MN_JOURNAL_WAITED:
        chronicle->n_waited += is->left_out + (is->span_s > 0);
        chronicle->waited_s += is->left_out_s + is->span_s;
        if (is->span_s > 0)
            chronicle->waits[chronicle->n_waits++] = entry;
        break;
    case MN_JOURNAL_CHECKPOINT:
        chronicle->n_checkpoints += is->left_out + (is->step > 0 || is->left_out == 0);
        break;
    case MN_JOURNAL_SKIPPED:
        chronicle->n_skipped += is->tasks + is->left_out_tasks;
        break;
    case MN_JOURNAL_REPEATED:
    case MN_JOURNAL_DAMAGED:
        chronicle->repeated += is->tasks + is->left_out_tasks;
        break;
    case MN_JOURNAL_JOINED:
    case MN_JOURNAL_LEFT:
    case MN_JOURNAL_LOST:
    case MN_JOURNAL_SILENT:
    case MN_JOURNAL_REJECTED:
    case MN_JOURNAL_REFUSED:
    case MN_JOURNAL_RAN_OUT:
    case MN_JOURNAL_GOES_ON:
    case MN_JOURNAL_BACK:
    case MN_JOURNAL_IDLE:
    case MN_JOURNAL_BUSY:
    case MN_N_JOURNAL_EVENTS:
        break;
    }
    if (worker != NULL)
        follow(worker, entry);
}

static mn_chronicle_worker *worker_of(mn_chronicle *chronicle, const mn_journal_entry *entry)
{
    for (size_t i = chronicle->n_workers; i-- > 0;)
        if (chronicle->workers[i].rank == entry->rank &&
            strcmp(chronicle->workers[i].name, entry->who) == 0)
            return &chronicle->workers[i];
    mn_chronicle_worker *worker = &chronicle->workers[chronicle->n_workers++];
    *worker = (mn_chronicle_worker){.name = entry->who, .rank = entry->rank};
    return worker;
}

static void follow(mn_chronicle_worker *worker, const mn_chronicle_entry *entry)
{
    const mn_journal_entry *is = &entry->is;
    switch ((unsigned)is->event) {
    case MN_JOURNAL_JOINED:
        worker->n_joined++;
        worker->since_s = is->at_s;
        worker->threads = is->threads;
        worker->here = true;
        break;
    case MN_JOURNAL_LEFT:
    case MN_JOURNAL_LOST:
    case MN_JOURNAL_SILENT:
    case MN_JOURNAL_REJECTED:
    case MN_JOURNAL_REFUSED:
        worker->here = false;
        break;
    case MN_JOURNAL_WAITED:
        worker->n_awaited++;
        worker->awaited_s += is->span_s;
        return;
    case MN_JOURNAL_REPEATED:
        worker->repeated += is->tasks;
        worker->lost_s += is->lost_s;
        return; /* a result of long ago: it says nothing of what it does now */
    case MN_JOURNAL_DAMAGED:
        worker->n_damaged++;
        worker->repeated += is->tasks;
        worker->lost_s += is->lost_s;
        return;
    default:
        worker->n_ran_out += is->event == MN_JOURNAL_RAN_OUT;
        worker->n_idle += is->event == MN_JOURNAL_IDLE;
        worker->here = true;
        break;
    }
    worker->last = entry;
}

static int longer(const void *a, const void *b)
{
    const mn_chronicle_entry *x = *(const mn_chronicle_entry *const *)a;
    const mn_chronicle_entry *y = *(const mn_chronicle_entry *const *)b;
    return (x->is.span_s < y->is.span_s) - (x->is.span_s > y->is.span_s);
}

/* In words ---------------------------------------------------------------------------- */

static void tell_tasks(const mn_journal_entry *is, FILE *out)
{
    if (is->tasks == 1)
        (void)fprintf(out, "task %" PRIu64, is->task);
    else
        (void)fprintf(out, "%" PRIu32 " tasks from %" PRIu64 " on", is->tasks, is->task);
}

/* Why somebody was waited for: what befell it in the same round. */
static const char *reason_of(const mn_chronicle *chronicle, const mn_chronicle_entry *wait)
{
    const size_t at = (size_t)(wait - chronicle->entries);
    for (size_t i = at; i-- > 0 && chronicle->entries[i].job == wait->job;) {
        const mn_journal_entry *is = &chronicle->entries[i].is;
        if (is->step < wait->is.step)
            break;
        if (is->step != wait->is.step || is->rank != wait->is.rank ||
            strcmp(is->who, wait->is.who) != 0)
            continue;
        if (is->event == MN_JOURNAL_RAN_OUT)
            return "its lease ran out, and others did its tasks";
        if (is->event == MN_JOURNAL_SILENT)
            return "it fell silent with tasks in hand";
        if (is->event == MN_JOURNAL_LOST)
            return "its connection closed while it had tasks in hand";
        if (is->event == MN_JOURNAL_LEFT)
            return "it left of its own accord with tasks in hand, which it gave back";
        if (is->event == MN_JOURNAL_REJECTED)
            return "it was put out with tasks in hand";
    }
    return strncmp(wait->is.who, "rank ", strlen("rank ")) == 0 ? "its pool was the last to finish"
                                                                : "it was the last to finish";
}

void mn_chronicle_tell(const mn_chronicle *chronicle, const mn_chronicle_entry *entry, FILE *out)
{
    const mn_journal_entry *is = &entry->is;
    const char *who = strcmp(is->who, "local") == 0 ? "the rank's own threads" : is->who;
    switch (is->event) {
    case MN_JOURNAL_JOINED:
        (void)fprintf(out, "%s joined with %" PRIu32 " thread%s%s", who, is->threads,
                      is->threads == 1 ? "" : "s",
                      is->mixed ? ", of another numeric class: the run is mixed" : "");
        break;
    case MN_JOURNAL_LEFT:
        (void)fprintf(out, "%s left of its own accord", who);
        break;
    case MN_JOURNAL_LOST:
        (void)fprintf(out, "%s is gone: %s", who, is->why);
        break;
    case MN_JOURNAL_SILENT:
        (void)fprintf(out, "%s is gone: %s, so it hangs or is cut off", who, is->why);
        break;
    case MN_JOURNAL_REJECTED:
        (void)fprintf(out, "%s was put out: %s", who, is->why);
        break;
    case MN_JOURNAL_REFUSED:
        (void)fprintf(out, "%s was refused: %s", who, is->why);
        break;
    case MN_JOURNAL_RAN_OUT:
        (void)fprintf(out, "the lease of %s ran out after %.3g s, others may have ", who,
                      is->span_s);
        tell_tasks(is, out);
        (void)fprintf(out, "; it gets no more for %.3g s, or until it returns something",
                      is->pause_s);
        break;
    case MN_JOURNAL_GOES_ON:
        (void)fprintf(out, "%s has had ", who);
        tell_tasks(is, out);
        (void)fprintf(out, " for %.3g s and goes on, for nobody else could have them", is->span_s);
        break;
    case MN_JOURNAL_BACK:
        (void)fprintf(out, "the pause of %s is over", who);
        break;
    case MN_JOURNAL_REPEATED:
        (void)fprintf(out, "%s had ", who);
        tell_tasks(is, out);
        (void)fprintf(out, ", which %s computed again (%.3g s of thread time): %s",
                      is->tasks == 1 ? "was" : "were", is->lost_s, is->why);
        break;
    case MN_JOURNAL_DAMAGED:
        (void)fprintf(out, "a message of %s was no use: %s", who, is->why);
        if (is->tasks > 0) {
            (void)fputs("; ", out);
            tell_tasks(is, out);
            (void)fprintf(out, ", %.3g s of thread time", is->lost_s);
        }
        break;
    case MN_JOURNAL_IDLE:
        (void)fprintf(out, "%s has had nothing to do for %.3g s: %s", who, is->span_s, is->why);
        break;
    case MN_JOURNAL_BUSY:
        (void)fprintf(out, "%s has tasks again after %.3g s", who, is->span_s);
        break;
    case MN_JOURNAL_WAITED:
        if (is->span_s > 0 && is->who[0] == '\0')
            (void)fprintf(out, "waited %.3g s until somebody was there to compute", is->span_s);
        else if (is->span_s > 0)
            (void)fprintf(out, "waited %.3g s for %s: %s (%" PRIu32 " threads had nothing to do)",
                          is->span_s, who, reason_of(chronicle, entry), is->threads);
        else
            (void)fprintf(out, "%" PRIu64 " more rounds waited, %.3g s in all", is->left_out,
                          is->left_out_s);
        break;
    case MN_JOURNAL_BEGUN:
        (void)fprintf(out, "%s after %" PRIu64 " meta-steps by %s",
                      is->step > 0 ? "taken up" : "begun", is->step, is->why);
        if (is->span_s > 0)
            (void)fprintf(out, " (%.3g s)", is->span_s);
        break;
    case MN_JOURNAL_CHECKPOINT:
        (void)fprintf(out, "checkpoint of meta-step %" PRIu64, is->step);
        break;
    case MN_JOURNAL_SKIPPED:
        (void)fprintf(out, "%" PRIu32 " tasks were skipped, for they were not finite%s%s",
                      is->tasks, is->why[0] != '\0' ? ": " : "", is->why);
        break;
    case MN_JOURNAL_ENDED:
        (void)fprintf(out, "ended after %" PRIu64 " meta-steps: %s%s%s", is->step, is->who,
                      is->why[0] != '\0' ? ": " : "", is->why);
        break;
    case MN_N_JOURNAL_EVENTS:
        break;
    }
}

void mn_chronicle_tell_worker(const mn_chronicle *chronicle, const mn_chronicle_worker *worker,
                              FILE *out)
{
    char since[32];
    const mn_chronicle_entry *last = worker->last;
    mn_chronicle_time(last != NULL ? last->is.at_s : worker->since_s, since);
    if (last == NULL) {
        (void)fputs("computes", out);
        return;
    }
    switch ((unsigned)last->is.event) {
    case MN_JOURNAL_JOINED:
    case MN_JOURNAL_BUSY:
    case MN_JOURNAL_BACK:
        (void)fprintf(out, "%s since %s", last->is.event == MN_JOURNAL_JOINED ? "here" : "computes",
                      since);
        break;
    case MN_JOURNAL_BEGUN:
    case MN_JOURNAL_ENDED:
        (void)fprintf(out, "there until the job ended, %s", since);
        break;
    case MN_JOURNAL_IDLE:
        (void)fprintf(out, "idle since %s: %s", since, last->is.why);
        break;
    default:
        (void)fprintf(out, "%s: ", since);
        mn_chronicle_tell(chronicle, last, out);
        break;
    }
}
