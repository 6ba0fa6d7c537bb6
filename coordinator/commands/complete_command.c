/* mnemo complete: what may come next on a command line, for shells; and the few lines by which they
 * ask. What there is to choose from is what help and the options' table tell, so it cannot lie. */
#include "coordinator/commands/commands.h"

#include "common/experiment.h"
#include "coordinator/commands/help.h"
#include <stdio.h>
#include <string.h>

static const struct {
    const char *shell, *script;
} scripts[] = {
    {"bash",
     "# eval \"$(mnemo complete bash)\"\n"
     "_mnemo() {\n"
     "    local line=${COMP_LINE:0:COMP_POINT} word=${COMP_WORDS[COMP_CWORD]} words choice\n"
     "    read -ra words <<<\"$line\"\n"
     "    [[ $line != *' ' ]] || words+=('')\n"
     "    COMPREPLY=()\n"
     "    while IFS= read -r choice; do\n"
     "        [[ ${words[-1]} != *=* ]] || choice=${choice#*=} # bash takes = for the end of a "
     "word\n"
     "        COMPREPLY+=(\"$choice\")\n"
     "    done < <(mnemo complete -- \"${words[@]:1}\" 2>/dev/null)\n"
     "    [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace\n"
     "}\n"
     "complete -o default -F _mnemo mnemo\n"
     "_mnemo_worker() {\n"
     "    mapfile -t COMPREPLY < <(compgen -W \"$(mnemo-worker --help 2>/dev/null | grep -o '^  "
     "--[a-z]*')\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
     "}\n"
     "complete -o default -F _mnemo_worker mnemo-worker\n"},
    {"zsh",
     "#compdef mnemo mnemo-worker\n"
     "_mnemo() {\n"
     "    local -a choices\n"
     "    if [[ $service == mnemo-worker ]]; then\n"
     "        choices=(${(f)\"$(mnemo-worker --help 2>/dev/null | grep -o '^  --[a-z]*' | tr "
     "-d ' ')\"})\n"
     "        [[ ${words[CURRENT]} == -* ]] && compadd -a choices || _files\n"
     "        return\n"
     "    fi\n"
     "    choices=(\"${(@f)$(mnemo complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
     "    [[ -n ${choices[1]} ]] && compadd -S '' -a choices || _files\n"
     "}\n"
     "compdef _mnemo mnemo mnemo-worker\n"},
    {"fish", "complete -c mnemo -a '(mnemo complete -- (commandline -opc)[2..-1] (commandline -ct) "
             "2>/dev/null)'\n"
             "complete -c mnemo-worker -a \"(mnemo-worker --help 2>/dev/null | string match -rg "
             "'^  (--[a-z]+)')\"\n"},
};

static void offer(const char *choice, const char *begun);
static void offer_commands(const char *begun);
static void offer_options(const char *command, const char *begun);
static void offer_assignments(const char *begun);

mn_status mn_complete_command(int argc, char **argv, mn_error *err)
{
    for (size_t i = 0; argc == 2 && i < sizeof scripts / sizeof *scripts; i++)
        if (strcmp(argv[1], scripts[i].shell) == 0) {
            (void)fputs(scripts[i].script, stdout);
            return MN_OK;
        }
    if (argc < 2 || strcmp(argv[1], "--") != 0)
        return mn_fail(err, MN_ERR_USAGE,
                       "complete: expected bash, zsh or fish, or -- and a command line so far");
    const int n = argc - 2;
    const char *const *words = (const char *const *)argv + 2;
    const char *begun = n > 0 ? words[n - 1] : "";
    if (n < 2)
        offer_commands(begun);
    else if (strcmp(words[n - 2], "--set") == 0)
        offer_assignments(begun);
    else if (strcmp(words[0], "help") == 0 && n == 2)
        offer_commands(begun);
    else if (begun[0] == '-')
        offer_options(words[0], begun);
    return MN_OK; /* else a file */
}

static void offer(const char *choice, const char *begun)
{
    if (strncmp(choice, begun, strlen(begun)) == 0)
        (void)puts(choice);
}

static void offer_commands(const char *begun)
{
    const char *name;
    for (size_t i = 0; (name = mn_help_command(i, NULL)) != NULL; i++)
        offer(name, begun);
    offer("help", begun);
}

/* Of the two columns of help: the words that begin with '-' before the second. */
static void offer_options(const char *command, const char *begun)
{
    const char *name, *options = NULL;
    for (size_t i = 0; (name = mn_help_command(i, &options)) != NULL; i++)
        if (strcmp(name, command) == 0)
            break;
    for (const char *line = name == NULL ? NULL : options; line != NULL && *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        for (size_t at = strspn(line, " "); line[at] == '-';) {
            char option[32];
            const size_t n = strcspn(line + at, " ,\n");
            (void)snprintf(option, sizeof option, "%.*s", (int)n, line + at);
            offer(option, begun);
            at += n + strspn(line + at + n, ", ");
        }
        line += length + (line[length] == '\n');
    }
    offer("--help", begun);
}

/* "KEY=", and behind the sign what may be chosen. */
static void offer_assignments(const char *begun)
{
    const mn_option_table *table = mn_experiment_options();
    for (size_t i = 0; i < table->n; i++) {
        const mn_option *row = &table->rows[i];
        const size_t n = strlen(row->key);
        char choice[128];
        (void)snprintf(choice, sizeof choice, "%s=", row->key);
        if (strncmp(begun, choice, n + 1) != 0) {
            offer(choice, begun);
            continue;
        }
        for (size_t k = 0; row->choices != NULL && row->choices[k] != NULL; k++) {
            (void)snprintf(choice, sizeof choice, "%s=%s", row->key, row->choices[k]);
            offer(choice, begun);
        }
        if (row->type == MN_OPTION_BOOL) {
            (void)snprintf(choice, sizeof choice, "%s=true", row->key);
            offer(choice, begun);
            (void)snprintf(choice, sizeof choice, "%s=false", row->key);
            offer(choice, begun);
        }
    }
}
