#include "coordinator/page/exposition.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

enum kind { GAUGE, COUNTER, INFO };

struct page {
    FILE *out;
    bool open; /* OpenMetrics */
};

static void put_run(struct page *page, const mn_board_config *run, const mn_snapshot *now);
static void put_training(struct page *page, const mn_board_config *run, const mn_snapshot *now);
static void put_results(struct page *page, const mn_snapshot *now);
static void put_pool(struct page *page, const mn_snapshot *now);
static void put_process(struct page *page);

mn_status mn_exposition_print(const mn_board_config *run, const mn_snapshot *now, bool open,
                              char **text, mn_error *err)
{
    size_t n = 0;
    struct page page = {.out = open_memstream(text, &n), .open = open};
    if (page.out == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "metrics of the run");
    put_run(&page, run, now);
    put_training(&page, run, now);
    put_results(&page, now);
    put_pool(&page, now);
    put_process(&page);
    if (open)
        (void)fputs("# EOF\n", page.out);
    if (fclose(page.out) == 0)
        return MN_OK;
    free(*text);
    *text = NULL;
    return mn_fail(err, MN_ERR_NOMEM, "metrics of the run");
}

/* ---- what a reader takes ---- */

/* The weight that one part of the header gives to a type; -1: it is of another. */
static double weight_of(const char *part, size_t n, const char *type)
{
    const size_t length = strlen(type);
    if (n < length || strncasecmp(part, type, length) != 0 ||
        (n > length && strchr("; \t", part[length]) == NULL))
        return -1;
    double weight = 1;
    for (const char *at = part; (at = memchr(at, ';', n - (size_t)(at - part))) != NULL;) {
        at++;
        while (at < part + n && (*at == ' ' || *at == '\t'))
            at++;
        if (part + n - at > 2 && (at[0] == 'q' || at[0] == 'Q') && at[1] == '=')
            weight = strtod(at + 2, NULL);
        const char version[] = "version=";
        const size_t v = sizeof version - 1;
        if ((size_t)(part + n - at) > v && strncasecmp(at, version, v) == 0 &&
            strcmp(type, "application/openmetrics-text") == 0 && strncmp(at + v, "1.0.0", 5) != 0)
            return -1; /* we write 1.0.0 */
    }
    return isfinite(weight) ? weight : 0;
}

bool mn_exposition_wants_open(const char *accept)
{
    double open = 0, text = 0;
    for (const char *part = accept; part != NULL;) {
        part += strspn(part, " \t");
        const char *end = strchr(part, ',');
        const size_t n = end != NULL ? (size_t)(end - part) : strlen(part);
        open = fmax(open, weight_of(part, n, "application/openmetrics-text"));
        text = fmax(text, weight_of(part, n, "text/plain"));
        part = end != NULL ? end + 1 : NULL;
    }
    return open > 0 && open >= text;
}

/* ---- the form ---- */

/* Of a family: name without _total; unit "": none. */
static void put_head(struct page *page, enum kind kind, const char *name, const char *unit,
                     const char *help)
{
    static const char *const kinds[] = {[GAUGE] = "gauge", [COUNTER] = "counter", [INFO] = "info"};
    const char *ending = page->open ? "" : kind == COUNTER ? "_total" : kind == INFO ? "_info" : "";
    (void)fprintf(page->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, ending, help, name, ending,
                  kind == INFO && !page->open ? "gauge" : kinds[kind]);
    if (page->open && unit[0] != '\0')
        (void)fprintf(page->out, "# UNIT %s %s\n", name, unit);
}

static void put_number(struct page *page, double value)
{
    if (isnan(value))
        (void)fputs("NaN\n", page->out);
    else if (isinf(value))
        (void)fputs(value > 0 ? "+Inf\n" : "-Inf\n", page->out);
    else
        (void)fprintf(page->out, "%.17g\n", value);
}

static void put_label_value(struct page *page, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\')
            (void)fputc('\\', page->out);
        if (*value == '\n')
            (void)fputs("\\n", page->out);
        else
            (void)fputc(*value, page->out);
    }
}

/* label NULL: none. */
static void put(struct page *page, enum kind kind, const char *name, const char *label,
                const char *value_of_label, double value)
{
    (void)fprintf(page->out, "%s%s", name, kind == COUNTER ? "_total" : "");
    if (label != NULL) {
        (void)fprintf(page->out, "{%s=\"", label);
        put_label_value(page, value_of_label);
        (void)fputs("\"}", page->out);
    }
    (void)fputc(' ', page->out);
    put_number(page, value);
}

static void put_one(struct page *page, enum kind kind, const char *name, const char *unit,
                    const char *help, double value)
{
    put_head(page, kind, name, unit, help);
    put(page, kind, name, NULL, NULL, value);
}

/* ---- the numbers ---- */

static void put_run(struct page *page, const mn_board_config *run, const mn_snapshot *now)
{
    put_head(page, INFO, "mnemo_run", "", "What runs here.");
    (void)fprintf(page->out, "mnemo_run_info{id=\"%016" PRIx64 "\",name=\"", run->run_id);
    put_label_value(page, run->experiment->name);
    (void)fputs("\",version=\"" MN_VERSION "\"} 1\n", page->out);
    put_head(page, GAUGE, "mnemo_run_phase", "", "1 for what the run does now, 0 for the others.");
    for (unsigned phase = 0; phase < MN_N_PHASES; phase++)
        put(page, GAUGE, "mnemo_run_phase", "phase", mn_phase_text((mn_phase)phase),
            now->phase == phase);
}

static void put_training(struct page *page, const mn_board_config *run, const mn_snapshot *now)
{
    const mn_step_time *spent = &now->spent;
    const uint64_t known = spent->tasks_us + spent->sums_us + spent->reduce_us + spent->outer_us;
    const struct {
        const char *what;
        uint64_t us;
    } activities[] = {{"tasks", spent->tasks_us},
                      {"sums", spent->sums_us},
                      {"reduce", spent->reduce_us},
                      {"outer", spent->outer_us},
                      {"wait", spent->all_us > known ? spent->all_us - known : 0}};
    put_one(page, COUNTER, "mnemo_meta_steps", "", "Meta-steps of the run that are done.",
            (double)now->step);
    put_one(page, GAUGE, "mnemo_meta_steps_planned", "", "Meta-steps of the whole run.",
            (double)run->experiment->outer.steps);
    put_one(page, COUNTER, "mnemo_tasks", "", "Training tasks that counted, since the job began.",
            (double)now->tasks);
    put_one(page, COUNTER, "mnemo_tasks_skipped", "",
            "Training tasks whose loss or meta-gradient was not finite.", (double)now->skipped);
    put_head(page, COUNTER, "mnemo_thread_seconds", "seconds",
             "Time of all ranks' threads in meta-steps, by what they did.");
    for (size_t i = 0; i < sizeof activities / sizeof *activities; i++)
        put(page, COUNTER, "mnemo_thread_seconds", "activity", activities[i].what,
            1e-6 * (double)activities[i].us);
    put_one(page, GAUGE, "mnemo_last_step_timestamp_seconds", "seconds",
            "When the last meta-step was done, since 1970.", now->stepped_s);
    put_one(page, GAUGE, "mnemo_training_seconds", "seconds",
            "Time of training, all jobs of the run together.", now->wall_s);
    put_one(page, GAUGE, "mnemo_threads", "", "Threads that compute, of all ranks.", now->threads);
    put_one(page, GAUGE, "mnemo_workers", "", "Remote workers, of all ranks.", now->workers);
    put_one(page, GAUGE, "mnemo_learning_rate", "", "Of the last outer step.", now->lr);
    put_one(page, GAUGE, "mnemo_meta_gradient_norm", "", "2-norm, of the last meta-step.",
            now->grad_norm);
    put_head(page, GAUGE, "mnemo_train_score", "", "Mean over the tasks of the last meta-step.");
    for (uint32_t i = 0; i < now->n_last; i++) {
        char key[MN_SCORE_KEY];
        mn_score_key(&run->train->at[i], key);
        put(page, GAUGE, "mnemo_train_score", "score", key, now->last[i]);
    }
}

static void put_list(struct page *page, const char *name, const char *help,
                     const mn_result_view *list, uint32_t n, size_t prefix, bool half_width)
{
    if (n == 0)
        return;
    put_head(page, GAUGE, name, "", help);
    for (uint32_t i = 0; i < n; i++)
        put(page, GAUGE, name, "score", list[i].key + prefix,
            half_width ? list[i].estimate.half_width : list[i].estimate.mean);
}

static void put_results(struct page *page, const mn_snapshot *now)
{
    const size_t val = strlen("val_");
    put_list(page, "mnemo_validation_score", "Mean over the tasks of the newest validation.",
             now->validation, now->n_validation, val, false);
    put_list(page, "mnemo_validation_score_half_width",
             "Half of the 95 % interval of mnemo_validation_score.", now->validation,
             now->n_validation, val, true);
    put_list(page, "mnemo_test_score", "Mean over the test tasks.", now->test, now->n_test, 0,
             false);
    put_list(page, "mnemo_test_score_half_width", "Half of the 95 % interval of mnemo_test_score.",
             now->test, now->n_test, 0, true);
}

static void put_pool(struct page *page, const mn_snapshot *now)
{
    const mn_pool_view *pool = &now->pool;
    put_one(page, COUNTER, "mnemo_worker_joins", "", "Remote workers that joined rank 0.",
            (double)pool->joins);
    put_head(page, COUNTER, "mnemo_worker_departures", "",
             "Workers that left rank 0 or were not let in.");
    for (size_t i = 0; i < MN_BOARD_ENDS; i++)
        put(page, COUNTER, "mnemo_worker_departures", "reason", mn_board_ends[i],
            (double)pool->ends[i]);
    put_one(page, COUNTER, "mnemo_leases_granted", "", "Leases that rank 0 gave out.",
            (double)pool->leases_granted);
    put_one(page, COUNTER, "mnemo_leases_expired", "", "Leases of rank 0 that ran out.",
            (double)pool->leases_expired);
    put_one(page, COUNTER, "mnemo_leases_reissued", "",
            "Leases of rank 0 of tasks that an earlier lease had.", (double)pool->leases_reissued);
    put_one(page, COUNTER, "mnemo_results_accepted", "", "Results that rank 0 took.",
            (double)pool->accepted);
    put_head(page, COUNTER, "mnemo_results_refused", "", "Results that rank 0 did not take.");
    for (size_t i = 0; i < MN_BOARD_REFUSALS; i++)
        put(page, COUNTER, "mnemo_results_refused", "reason", mn_board_refusals[i],
            (double)pool->refused[i]);
}

/* By the names that every Prometheus program uses. */
static void put_process(struct page *page)
{
    struct rusage usage;
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        put_one(page, COUNTER, "process_cpu_seconds", "seconds",
                "Time of processors that this process of rank 0 took.",
                (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                    1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec));
    if (statm != NULL && fscanf(statm, "%*d %ld", &pages) == 1)
        put_one(page, GAUGE, "process_resident_memory_bytes", "bytes",
                "Memory of this process of rank 0.", (double)pages * (double)sysconf(_SC_PAGESIZE));
    if (statm != NULL)
        (void)fclose(statm);
}
