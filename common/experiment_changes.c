/* What may differ between the experiment that a run was begun with and the one that it is told now:
 * mn_experiment_may_resume and mn_experiment_may_judge; and what gives two of them other tasks. */
#include "common/experiment.h"

#include <string.h>

static bool decides(const mn_option *option, const mn_experiment *experiment)
{
    if (strcmp(option->key, "outer.steps") == 0)
        return experiment->outer.schedule == MN_LR_COSINE;
    return option->decides;
}

/* Does a key that decides theta, and that both read, differ? Its values, as text. outer.steps is
 * compared only where both schedules need it: if just one does, the schedules differ. */
static bool differs(const mn_option *row, const mn_experiment *old, const mn_experiment *now,
                    char before[MN_OPTION_LONGEST], char after[MN_OPTION_LONGEST])
{
    if (!decides(row, old) || !decides(row, now) ||
        !mn_option_is_read(mn_experiment_options(), row, old) ||
        !mn_option_is_read(mn_experiment_options(), row, now))
        return false;
    mn_option_text(row, old, before);
    mn_option_text(row, now, after);
    return strcmp(before, after) != 0;
}

mn_status mn_experiment_may_resume(const mn_experiment *old, const mn_experiment *now,
                                   mn_error *err)
{
    char before[MN_OPTION_LONGEST];
    char after[MN_OPTION_LONGEST];
    const mn_option_table *table = mn_experiment_options();
    for (size_t i = 0; i < table->n; i++)
        if (differs(&table->rows[i], old, now, before, after))
            return mn_fail(
                err, MN_ERR_CONFIG,
                "%s was %s when this run began and is %s now: it cannot go on with another "
                "value; set it back or begin a new run",
                table->rows[i].key, before, after);
    return MN_OK;
}

mn_status mn_experiment_may_judge(const mn_experiment *old, const mn_experiment *now, char *changes,
                                  size_t n, mn_error *err)
{
    char before[MN_OPTION_LONGEST];
    char after[MN_OPTION_LONGEST];
    size_t at = 0;
    changes[0] = '\0';
    const mn_option_table *table = mn_experiment_options();
    for (size_t i = 0; i < table->n; i++) {
        const char *key = table->rows[i].key;
        if (!differs(&table->rows[i], old, now, before, after))
            continue;
        const char *readers =
            table->rows[i].readers; /* options of a part from outside: of the network */
        if (strncmp(key, "model.", 6) == 0 || strncmp(key, "outer.", 6) == 0 ||
            strcmp(key, "tasks.kind") == 0 ||
            (table->rows[i].offset >= offsetof(mn_experiment, outside) && readers != NULL &&
             table->rows[i].offset < offsetof(mn_experiment, overridden) &&
             strncmp(readers, "model.", 6) == 0))
            return mn_fail(err, MN_ERR_CONFIG,
                           "%s was %s in training and is %s now: a trained network is judged with "
                           "other tasks, meta, evaluate or seed, but it stays what it is; set it "
                           "back",
                           key, before, after);
        if (at < n) /* else they are cut */
            at += (size_t)snprintf(changes + at, n - at, "%s%s %s instead of %s",
                                   at > 0 ? ", " : "", key, after, before);
    }
    return MN_OK;
}

void mn_experiment_task_changes(const mn_experiment *first, const mn_experiment *second, char *text,
                                size_t n)
{
    static const char *const others[] = {"seed",
                                         "evaluate.tasks",
                                         "evaluate.split",
                                         "evaluate.way",
                                         "evaluate.shot",
                                         "evaluate.query",
                                         "evaluate.length",
                                         "evaluate.way_from",
                                         "evaluate.shot_from"};
    const mn_option_table *table = mn_experiment_options();
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < table->n; i++) {
        const mn_option *row = &table->rows[i];
        char here[MN_OPTION_LONGEST];
        char there[MN_OPTION_LONGEST];
        bool counts = strncmp(row->key, "tasks.", 6) == 0;
        for (size_t k = 0; k < sizeof others / sizeof *others; k++)
            counts = counts || strcmp(row->key, others[k]) == 0;
        if (!counts || !mn_option_is_read(table, row, first) ||
            !mn_option_is_read(table, row, second))
            continue;
        mn_option_text(row, first, here);
        mn_option_text(row, second, there);
        if (strcmp(here, there) != 0 && at < n)
            at += (size_t)snprintf(text + at, n - at, "%s%s %s instead of %s", at > 0 ? ", " : "",
                                   row->key, there, here);
    }
}
