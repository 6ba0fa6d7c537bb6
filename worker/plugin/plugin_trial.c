#include "worker/plugin/plugin_trial.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void mn_trial_say(mn_trial *trial, char what, const char *format, ...)
{
    va_list words;
    char text[1400];
    va_start(words, format);
    (void)vsnprintf(text, sizeof text, format, words);
    va_end(words);
    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < ' ')
            *at = ' '; /* a line is a line */
    trial->n_faults += what == MN_TRIAL_FAULT;
    (void)fprintf(trial->out, "%c%s\n", what, text);
    (void)fflush(trial->out);
}

/* So that everything lies elsewhere than in the round before, even where addresses are not random. */
static void displace(uint32_t round)
{
    if (round == 0)
        return;
    (void)mmap(NULL, (size_t)round * 77 << 20, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    static void *pieces[64]; /* until the process ends */
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        pieces[i] = malloc(48 + 80 * i * round);
}

static void try_all(mn_trial *trial, const char *path);

void mn_plugin_trial(mn_trial *trial, const char *path)
{
    displace(trial->round);
    try_all(trial, path);
    mn_trial_say(trial, MN_TRIAL_END, "%s", "");
}

static void try_all(mn_trial *trial, const char *path)
{
    mn_error err;
    mn_trial_say(trial, MN_TRIAL_DOING, "loading %s", path);
    if (mn_plugin_load(path, &err) != MN_OK) {
        mn_trial_say(trial, MN_TRIAL_FAULT, "%s", err.message);
        return;
    }
    const mn_plugin *plugin = mn_plugin_at(0);
    mn_trial_say(trial, MN_TRIAL_OK, "%s %s, SHA-256 %s", plugin->name, plugin->version,
                 plugin->digest);
    const mnemo_plugin *kinds = plugin->kinds;
    for (size_t i = 0; kinds->task_sets != NULL && kinds->task_sets[i] != NULL; i++)
        mn_trial_task_set(trial, kinds->task_sets[i]);
    for (size_t i = 0; kinds->parts != NULL && kinds->parts[i] != NULL; i++)
        mn_trial_part(trial, kinds->parts[i]);
    for (size_t i = 0; kinds->rules != NULL && kinds->rules[i] != NULL; i++)
        mn_trial_rule(trial, kinds->rules[i]);
}

bool mn_trial_variant(const mn_trial_options *options, uint32_t variant, char out[128])
{
    out[0] = '\0';
    if (variant == 0)
        return true;
    const uint32_t i = (variant - 1) / 2;
    if (i >= options->n_options)
        return false;
    const mnemo_option *option =
        (const mnemo_option *)(const void *)((const char *)options->options +
                                             (size_t)i * options->options->struct_size);
    const double value = variant % 2 == 1 ? option->least : option->most;
    if (option->type == MNEMO_FLAG)
        (void)snprintf(out, 128, "%s.%s=%s", options->kind, option->name,
                       value != 0 ? "true" : "false");
    else
        (void)snprintf(out, 128, "%s.%s=%.17g", options->kind, option->name, value);
    return true;
}

mn_status mn_trial_experiment(const char *const *assignments, const char *variant,
                              mn_experiment *out, mn_error *err)
{
    mn_status status = MN_OK;
    mn_experiment_init(out);
    for (; *assignments != NULL && status == MN_OK; assignments++)
        if ((*assignments)[0] != '\0')
            status = mn_experiment_set(out, *assignments, err);
    if (status == MN_OK && variant[0] != '\0')
        status = mn_experiment_set(out, variant, err);
    return status == MN_OK ? mn_experiment_check(out, err) : status;
}
