#include "coordinator/run/sweep_journal.h"

#include "common/file.h"
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mn_sweep_journal {
    FILE *file;
    char *path; /* owned */
};

static mn_status read_lines(mn_sweep_journal *journal, mn_take_entry *take, void *user,
                            mn_error *err);
static bool read_entry(const char *line, size_t n, mn_sweep_entry *out);

mn_status mn_sweep_journal_open(const char *path, mn_take_entry *take, void *user,
                                mn_sweep_journal **out, mn_error *err)
{
    mn_sweep_journal *journal = calloc(1, sizeof *journal);
    mn_status status = MN_OK;
    if (journal == NULL || (journal->path = strdup(path)) == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "journal of the sweep");
    if (status == MN_OK) {
        journal->file = fopen(path, "a+e");
        if (journal->file == NULL)
            status = mn_fail_errno(err, "open %s", path);
    }
    if (status == MN_OK)
        status = read_lines(journal, take, user, err);
    if (status != MN_OK) {
        mn_sweep_journal_close(&journal);
        return status;
    }
    *out = journal;
    return MN_OK;
}

void mn_sweep_journal_close(mn_sweep_journal **journal)
{
    if (*journal == NULL)
        return;
    if ((*journal)->file != NULL)
        (void)fclose((*journal)->file);
    free((*journal)->path);
    free(*journal);
    *journal = NULL;
}

mn_status mn_sweep_journal_add(mn_sweep_journal *journal, const mn_sweep_entry *entry,
                               mn_error *err)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "run", json_string(entry->run));
    (void)json_object_set_new(object, "leg", json_integer(entry->leg));
    (void)json_object_set_new(object, "settings", json_string(entry->settings));
    (void)json_object_set_new(object, "spent_s", json_real(entry->spent_s));
    (void)json_object_set_new(object, "outcome", mn_outcome_object(&entry->outcome));
    char *line = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (line == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "line of the journal");
    const bool written = fprintf(journal->file, "%s\n", line) > 0 && fflush(journal->file) == 0 &&
                         fsync(fileno(journal->file)) == 0;
    free(line);
    return written ? MN_OK : mn_fail_errno(err, "write %s", journal->path);
}

mn_status mn_sweep_settings_digest(const mn_experiment *experiment, char hex[65], mn_error *err)
{
    mn_experiment *bare = malloc(2 * sizeof *bare);
    char *text = NULL;
    if (bare == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "settings of a run");
    mn_experiment_init(&bare[1]);
    bare[0] = *experiment;
    bare[0].pool = bare[1].pool;
    bare[0].run = bare[1].run;
    memset(bare[0].run.data_path, 0, sizeof bare[0].run.data_path); /* which MNEMO_DATA changes */
    memcpy(bare[0].name, bare[1].name, sizeof bare[0].name);
    mn_status status = mn_experiment_print(&bare[0], false, &text, err);
    if (status == MN_OK) {
        const mn_digest digest = mn_digest_of(text, strlen(text));
        mn_digest_hex(&digest, hex);
    }
    free(text);
    free(bare);
    return status;
}

static mn_status read_lines(mn_sweep_journal *journal, mn_take_entry *take, void *user,
                            mn_error *err)
{
    char *line = NULL;
    size_t room = 0, at = 0;
    off_t whole = 0;
    mn_status status = MN_OK;
    bool torn = false;
    rewind(journal->file);
    for (ssize_t n; status == MN_OK && (n = mn_file_line(journal->file, &line, &room)) > 0;) {
        mn_sweep_entry entry = {.leg = 0};
        at++;
        torn = line[n - 1] != '\n' && (size_t)n < MN_LINE_MOST;
        if (torn)
            break;
        whole += n;
        status = read_entry(line, (size_t)n, &entry)
                     ? take(user, &entry, err)
                     : mn_fail(err, MN_ERR_DATA,
                               "%s:%zu: expected what a run has come to, as a JSON object; put the "
                               "line right, or take it out, and its run is made again",
                               journal->path, at);
    }
    free(line);
    if (status == MN_OK && ferror(journal->file))
        status = mn_fail_errno(err, "read %s", journal->path);
    if (status == MN_OK && torn && ftruncate(fileno(journal->file), whole) != 0)
        status = mn_fail_errno(err, "drop the torn end of %s", journal->path);
    return status;
}

static bool read_entry(const char *line, size_t n, mn_sweep_entry *out)
{
    json_t *object = json_loadb(line, n, 0, NULL);
    const char *run = json_string_value(json_object_get(object, "run"));
    const char *settings = json_string_value(json_object_get(object, "settings"));
    const json_t *leg = json_object_get(object, "leg");
    const json_t *spent = json_object_get(object, "spent_s");
    const bool good =
        run != NULL && strlen(run) < sizeof out->run && settings != NULL &&
        strlen(settings) == 64 && json_is_integer(leg) && json_integer_value(leg) >= 0 &&
        json_integer_value(leg) < 1000 && json_is_number(spent) && json_number_value(spent) >= 0 &&
        mn_outcome_from(json_object_get(object, "outcome"), &out->outcome, NULL) == MN_OK;
    if (good) {
        (void)snprintf(out->run, sizeof out->run, "%s", run);
        (void)snprintf(out->settings, sizeof out->settings, "%s", settings);
        out->leg = (uint32_t)json_integer_value(leg);
        out->spent_s = json_number_value(spent);
    }
    json_decref(object);
    return good;
}
