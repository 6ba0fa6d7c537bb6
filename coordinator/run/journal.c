#include "coordinator/run/journal.h"

#include "common/log.h"
#include "common/text.h"
#include "coordinator/run/run.h"
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct mn_journal {
    char path[PATH_MAX], old[PATH_MAX];
    FILE *file; /* NULL: it cannot be written */
    size_t bytes;
    double work_s, repeated_s;
};

static void open_file(mn_journal *journal);
static void put_line(mn_journal *journal, const char *line);
static void complain(mn_journal *journal);
static json_t *record_of(const mn_journal_entry *entry, size_t why_bytes);
static double micro(double value);

const char *mn_journal_event_text(mn_journal_event event)
{
    static const char *const texts[] = {
#define X(name, text, burst, every_s) [name] = text,
        MN_JOURNAL_LIST(X)
#undef X
    };
    return texts[event];
}

mn_journal_event mn_journal_event_of(const char *text)
{
    mn_journal_event event = 0;
    while (event < MN_N_JOURNAL_EVENTS && strcmp(text, mn_journal_event_text(event)) != 0)
        event++;
    return event;
}

void mn_journal_print(const mn_journal_entry *entry, char line[MN_JOURNAL_LINE])
{
    static const size_t most[] = {512, 256, 0}; /* of `why`, which may grow where it is escaped */
    line[0] = '\0';
    for (size_t i = 0; i < sizeof most / sizeof *most && line[0] == '\0'; i++) {
        json_t *record = record_of(entry, most[i]);
        const size_t n = json_dumpb(record, line, MN_JOURNAL_LINE, JSON_REAL_PRECISION(13));
        line[n > 0 && n < MN_JOURNAL_LINE ? n : 0] = '\0';
        json_decref(record);
    }
}

mn_status mn_journal_open(const char *folder, mn_journal **out, mn_error *err)
{
    mn_journal *journal = calloc(1, sizeof *journal);
    if (journal == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "journal of the run");
    mn_status status = mn_run_path(folder, MN_JOURNAL_FILE, journal->path, err);
    if (status == MN_OK)
        status = mn_run_path(folder, MN_JOURNAL_OLD, journal->old, err);
    if (status != MN_OK) {
        free(journal);
        return status;
    }
    open_file(journal);
    *out = journal;
    return MN_OK;
}

void mn_journal_close(mn_journal **journal)
{
    if (*journal == NULL)
        return;
    if ((*journal)->file != NULL)
        (void)fclose((*journal)->file);
    free(*journal);
    *journal = NULL;
}

void mn_journal_total(mn_journal *journal, double work_s, double repeated_s)
{
    if (journal == NULL)
        return;
    journal->work_s = work_s;
    journal->repeated_s = repeated_s;
}

void mn_journal_add(mn_journal *journal, const mn_journal_entry *entry)
{
    char line[MN_JOURNAL_LINE], whole[MN_JOURNAL_LINE + 80];
    if (journal == NULL)
        return;
    mn_journal_print(entry, line);
    const size_t n = strlen(line);
    if (n == 0)
        return;
    (void)snprintf(whole, sizeof whole, "%.*s, \"work_s\": %.3f, \"repeated_s\": %.3f}",
                   (int)(n - 1), line, journal->work_s, journal->repeated_s);
    put_line(journal, whole);
}

void mn_journal_add_line(mn_journal *journal, const char *line)
{
    if (journal != NULL && line[0] == '{' && line[strcspn(line, "\n")] == '\0')
        put_line(journal, line);
}

/* The first line says what it is. A line that was cut off by a kill is ended. */
static void open_file(mn_journal *journal)
{
    struct stat now;
    journal->file = fopen(journal->path, "a+e");
    if (journal->file == NULL || fstat(fileno(journal->file), &now) != 0) {
        complain(journal);
        return;
    }
    journal->bytes = (size_t)now.st_size;
    if (journal->bytes == 0)
        journal->bytes += (size_t)fprintf(
            journal->file, "{\"journal\": \"mnemo\", \"version\": %d}\n", MN_JOURNAL_VERSION);
    else if (fseek(journal->file, -1, SEEK_END) == 0 && fgetc(journal->file) != '\n')
        journal->bytes += fputc('\n', journal->file) == '\n';
    (void)fseek(journal->file, 0, SEEK_END); /* from reading to writing */
    if (fflush(journal->file) != 0)
        complain(journal);
}

static void put_line(mn_journal *journal, const char *line)
{
    const size_t n = strlen(line) + 1;
    if (journal->file != NULL && journal->bytes + n > MN_JOURNAL_BYTES) {
        (void)fclose(journal->file);
        journal->file = NULL;
        if (rename(journal->path, journal->old) == 0)
            open_file(journal);
        else
            complain(journal);
    }
    if (journal->file == NULL)
        return;
    journal->bytes += n;
    if (fputs(line, journal->file) < 0 || fputc('\n', journal->file) < 0 ||
        fflush(journal->file) != 0)
        complain(journal);
}

/* What could not be written is not tried again: a part of a line may stand in the file. */
static void complain(mn_journal *journal)
{
    mn_log(MN_LOG_WARN,
           "%s cannot be written (%s): the run goes on, but mnemo explain will not know of what "
           "happens from here on",
           journal->path, strerror(errno));
    if (journal->file != NULL)
        (void)fclose(journal->file);
    journal->file = NULL;
}

static void put_number(json_t *record, const char *key, double value)
{
    if (value > 0 && value < 1e18)
        (void)json_object_set_new(record, key, json_real(micro(value)));
}

static void put_whole(json_t *record, const char *key, uint64_t value)
{
    if (value > 0)
        (void)json_object_set_new(record, key, json_integer((json_int_t)value));
}

/* Names and reasons may come from strangers, and hold any bytes. */
static void put_text(json_t *record, const char *key, const char *text, size_t most)
{
    char safe[512], whole_words[512];
    if (text == NULL || text[0] == '\0' || most < 8)
        return;
    (void)mn_text_cut(text, whole_words, most < sizeof whole_words ? most : sizeof whole_words);
    const size_t n = mn_text_escape(whole_words, strlen(whole_words), safe, sizeof safe);
    (void)json_object_set_new(record, key, json_stringn(safe, n));
}

static json_t *record_of(const mn_journal_entry *entry, size_t why_bytes)
{
    json_t *record = json_object();
    (void)json_object_set_new(record, "at", json_real(micro(entry->at_s)));
    (void)json_object_set_new(record, "rank", json_integer(entry->rank));
    (void)json_object_set_new(record, "event", json_string(mn_journal_event_text(entry->event)));
    put_whole(record, "step", entry->step);
    put_text(record, "judges", entry->judges, 16);
    put_text(record, "who", entry->who, 96);
    if (entry->tasks > 0)
        (void)json_object_set_new(record, "task", json_integer((json_int_t)entry->task));
    put_whole(record, "tasks", entry->tasks);
    put_whole(record, "threads", entry->threads);
    put_number(record, "lost_s", entry->lost_s);
    put_number(record, "span_s", entry->span_s);
    put_number(record, "pause_s", entry->pause_s);
    put_whole(record, "left_out", entry->left_out);
    put_number(record, "left_out_s", entry->left_out_s);
    put_whole(record, "left_out_tasks", entry->left_out_tasks);
    if (entry->mixed)
        (void)json_object_set_new(record, "mixed", json_true());
    put_text(record, "why", entry->why, why_bytes);
    return record;
}

/* Microseconds are enough, and short. */
static double micro(double value)
{
    return (double)(int64_t)(value * 1e6 + 0.5) / 1e6;
}
