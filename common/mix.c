#include "common/mix.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_ASSIGNMENT 320u

struct head {
    uint32_t weight;
    char name[sizeof((mn_mix_part *)0)->name];
};

static mn_status refuse(const char *part, const char *what, mn_error *err);
static bool read_head(const char **text, struct head *head);
static mn_status set_keys(mn_experiment *experiment, const char *text, mn_error *err);

uint32_t mn_mix_parts(const mn_experiment *experiment)
{
    uint32_t n = experiment->tasks.mix[0] != '\0';
    for (const char *at = experiment->tasks.mix; *at != '\0'; at++)
        n += *at == ';';
    return n;
}

/* The text of part `at`, and before it the check that no other before has its name. */
mn_status mn_mix_read(const mn_experiment *experiment, uint32_t at, mn_mix_part *out, mn_error *err)
{
    char text[sizeof experiment->tasks.mix], *rest = text, *part = NULL;
    struct head heads[MN_MIX_MOST_PARTS];
    const char *keys = NULL;
    mn_error why = {0};
    if (mn_mix_parts(experiment) < 2)
        return refuse(experiment->tasks.mix, "one part is no mixture", err);
    if (mn_mix_parts(experiment) > MN_MIX_MOST_PARTS)
        return refuse(experiment->tasks.mix, "too many parts", err);
    (void)snprintf(text, sizeof text, "%s", experiment->tasks.mix);
    for (uint32_t i = 0; i <= at; i++) {
        keys = part = strsep(&rest, ";");
        if (!read_head(&keys, &heads[i]))
            return refuse(part, "no weight from 1 to a million with a name of up to 11 letters",
                          err);
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(heads[k].name, heads[i].name) == 0)
                return refuse(part, "a name that stands twice", err);
    }
    out->weight = heads[at].weight;
    memcpy(out->name, heads[at].name, sizeof out->name);
    out->experiment = *experiment;
    out->experiment.tasks.mix[0] = '\0';
    out->experiment.tasks.mix_by = MN_MIX_BY_WEIGHT;
    /* What overrides the file may be read by the experiment's kind and not by the part's. */
    memset(out->experiment.overridden, 0, sizeof out->experiment.overridden);
    mn_status status = set_keys(&out->experiment, keys, &why);
    if (status == MN_OK && out->experiment.tasks.mix[0] != '\0')
        return refuse(part, "a mixture within a mixture", err);
    if (status == MN_OK)
        status = mn_experiment_check(&out->experiment, &why);
    return status == MN_OK ? MN_OK
                           : mn_fail(err, status, "tasks.mix, part %s: %s", out->name, why.message);
}

static mn_status refuse(const char *part, const char *what, mn_error *err)
{
    return mn_fail(err, MN_ERR_CONFIG,
                   "tasks.mix: \"%.60s\": %s; expected 2 to %u parts with ';' between, each "
                   "\"WEIGHT NAME: KEY=VALUE ...\" with keys of the section tasks, as in \"3 slow: "
                   "phase=0,1; 1 fast: phase=2,3\"",
                   part, what, MN_MIX_MOST_PARTS);
}

/* "3 slow: " -> weight and name; what follows them stays in *text. */
static bool read_head(const char **text, struct head *head)
{
    int used = 0;
    if (sscanf(*text, " %7" SCNu32 " %11[a-zA-Z0-9_-] :%n", &head->weight, head->name, &used) !=
            2 ||
        used == 0)
        return false;
    *text += used;
    return head->weight > 0 && head->weight <= MN_MIX_MOST_WEIGHT;
}

static mn_status set_keys(mn_experiment *experiment, const char *text, mn_error *err)
{
    mn_status status = MN_OK;
    for (text += strspn(text, " "); *text != '\0' && status == MN_OK; text += strspn(text, " ")) {
        char assignment[MAX_ASSIGNMENT + sizeof "tasks."];
        const int n = (int)strcspn(text, " ");
        if (n >= (int)MAX_ASSIGNMENT)
            return refuse(text, "an assignment that is too long", err);
        (void)snprintf(assignment, sizeof assignment, "tasks.%.*s", n, text);
        status = mn_experiment_set(experiment, assignment, err);
        text += n;
    }
    return status;
}
