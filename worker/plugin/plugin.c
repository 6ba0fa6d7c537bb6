#include "worker/plugin/plugin.h"

#include "common/digest.h"
#include "common/experiment.h"
#include "common/number_text.h"
#include "common/text.h"
#include "worker/learner/parts/plugin_part.h"
#include "worker/learner/rules/plugin_rule.h"
#include "worker/tasks/plugin_tasks.h"
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_PLUGINS = 16, MOST_KINDS = 32, MOST_OPTIONS = 32, LONGEST_NAME = 30 };
enum {
    LONGEST_OWN_NAME = 18
}; /* of a plug-in: all of an experiment fit into experiment->plugins */
#define MOST_BYTES ((off_t)1 << 30)

/* What the first header of this ABI had: smaller structs are of nobody. */
#define FIRST(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))
#define FIRST_PLUGIN FIRST(mnemo_plugin, rules)
#define FIRST_OPTION FIRST(mnemo_option, help)
#define FIRST_TASK_SET FIRST(mnemo_task_set_kind, draw)
#define FIRST_PART FIRST(mnemo_part_kind, needs_support)
#define FIRST_RULE FIRST(mnemo_rule_kind, uses_hessian)

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_NONE /* any */
#endif

static mn_plugin loaded[MOST_PLUGINS];
static size_t n_loaded;

/* What kinds have in common. */
struct common {
    const char *path; /* of the plug-in */
    const char *what; /* "task set", "part", "rule" */
    const char *key;  /* "tasks.kind" */
    const char *name, *help;
    const mnemo_option *options;
    uint32_t n_options;
    const char *const *reads;
};

static mn_status read_digest(int fd, const char *path, char hex[65], mn_error *err);
static mn_status open_object(int fd, const char *path, const mnemo_plugin **out, mn_error *err);
static mn_status check_plugin(const mnemo_plugin *plugin, const char *path, mn_error *err);
static mn_status check_kinds(const mnemo_plugin *plugin, const char *path, mn_error *err);
static mn_status add_kinds(const mnemo_plugin *plugin, const char *path, const char *from,
                           mn_error *err);

static const mnemo_host *the_host(void)
{
    static mnemo_host host;
    if (host.struct_size == 0) {
        host = (mnemo_host){
            .struct_size = sizeof host, .abi = MNEMO_PLUGIN_ABI, .version = MN_VERSION};
        mn_plugin_tasks_host(&host);
        mn_plugin_part_host(&host);
        mn_plugin_rule_host(&host);
    }
    return &host;
}

const mn_plugin *mn_plugin_at(size_t i)
{
    return i < n_loaded ? &loaded[i] : NULL;
}

/* The file is opened once, and what is digested is what is loaded, whatever becomes of the name. The
 * descriptor stays open: the loader knows objects by names, and its number is this one's. */
mn_status mn_plugin_load(const char *path, mn_error *err)
{
    char hex[65], from[MN_OPTION_LONGEST];
    const mnemo_plugin *plugin = NULL;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe does not hold us up */
    if (fd < 0)
        return mn_fail_errno(err, "the plug-in %s", path);
    mn_status status = read_digest(fd, path, hex, err);
    for (size_t i = 0; i < n_loaded && status == MN_OK; i++)
        if (strcmp(loaded[i].digest, hex) == 0) {
            (void)close(fd);
            return MN_OK;
        }
    if (status == MN_OK && n_loaded == MOST_PLUGINS)
        status = mn_fail(err, MN_ERR_CONFIG, "%s: more than %d plug-ins", path, MOST_PLUGINS);
    if (status == MN_OK)
        status = open_object(fd, path, &plugin, err);
    if (status == MN_OK)
        status = check_plugin(plugin, path, err);
    if (status == MN_OK)
        status = check_kinds(plugin, path, err);
    if (status != MN_OK) {
        (void)close(fd);
        return status;
    }
    (void)snprintf(from, sizeof from, "%s@%s", plugin->name, hex);
    status = add_kinds(plugin, path, from, err);
    if (status != MN_OK)
        return status;
    mn_plugin *added = &loaded[n_loaded++];
    (void)snprintf(added->name, sizeof added->name, "%s", plugin->name);
    (void)snprintf(added->version, sizeof added->version, "%s", plugin->version);
    (void)snprintf(added->digest, sizeof added->digest, "%s", hex);
    added->kinds = plugin;
    return MN_OK;
}

mn_status mn_plugin_load_list(const char *paths, mn_error *err)
{
    char *copy = paths == NULL ? NULL : strdup(paths), *rest = copy;
    mn_status status = MN_OK;
    if (paths != NULL && copy == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "list of plug-ins");
    for (const char *path; status == MN_OK && (path = strsep(&rest, ":")) != NULL;)
        if (path[0] != '\0')
            status = mn_plugin_load(path, err);
    free(copy);
    return status;
}

/* The object ----------------------------------------------------------------------- */

/* Is all there that it wants to be mapped? The loader would map it, and crash on it. */
static bool is_whole(const unsigned char *bytes, size_t n, const Elf64_Ehdr *header)
{
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff > n ||
        (n - header->e_phoff) / sizeof(Elf64_Phdr) < header->e_phnum)
        return false;
    for (size_t i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr part;
        memcpy(&part, bytes + header->e_phoff + i * sizeof part, sizeof part);
        if (part.p_offset > n || part.p_filesz > n - part.p_offset)
            return false;
    }
    return true;
}

static mn_status check_elf(const unsigned char *bytes, size_t n, const char *path, mn_error *err)
{
    Elf64_Ehdr header;
    static const char how[] = "expected what `cc -shared -fPIC` makes of its source";
    if (n < sizeof header || memcmp(bytes, ELFMAG, SELFMAG) != 0)
        return mn_fail(err, MN_ERR_DATA, "the plug-in %s is no shared object: %s", path, how);
    memcpy(&header, bytes, sizeof header);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        (MACHINE != EM_NONE && header.e_machine != MACHINE))
        return mn_fail(err, MN_ERR_DATA,
                       "the plug-in %s is for another kind of processor (ELF machine %u, expected "
                       "%u, 64 bits): compile its source on this machine",
                       path, (unsigned)header.e_machine, (unsigned)MACHINE);
    if (header.e_type != ET_DYN)
        return mn_fail(
            err, MN_ERR_DATA,
            "the plug-in %s is no shared object, but another ELF file, as an object file or a "
            "program: %s",
            path, how);
    return is_whole(bytes, n, &header)
               ? MN_OK
               : mn_fail(err, MN_ERR_DATA,
                         "the plug-in %s is cut off: its %zu bytes are fewer than it says; copy or "
                         "compile it again",
                         path, n);
}

static mn_status read_digest(int fd, const char *path, char hex[65], mn_error *err)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return mn_fail_errno(err, "the plug-in %s", path);
    if (!S_ISREG(about.st_mode) || about.st_size == 0 || about.st_size > MOST_BYTES)
        return mn_fail(
            err, MN_ERR_DATA,
            "the plug-in %s is no shared object: it is empty, no file, or larger than 1 GiB", path);
    const size_t n = (size_t)about.st_size;
    void *bytes = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return mn_fail_errno(err, "the plug-in %s", path);
    const mn_status status = check_elf(bytes, n, path, err);
    const mn_digest digest = mn_digest_of(bytes, n);
    mn_digest_hex(&digest, hex);
    (void)munmap(bytes, n);
    return status;
}

static mn_status open_object(int fd, const char *path, const mnemo_plugin **out, mn_error *err)
{
    char name[40];
    const mnemo_plugin *(*entry)(const mnemo_host *host);
    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    void *object = dlopen(name, RTLD_NOW | RTLD_LOCAL); /* stays, if it is a plug-in */
    if (object == NULL)
        return mn_fail(err, MN_ERR_DATA, "the plug-in %s cannot be loaded: %.400s", path,
                       dlerror());
    void *symbol = dlsym(object, "mnemo_plugin_entry");
    if (symbol == NULL) {
        (void)dlclose(object);
        return mn_fail(
            err, MN_ERR_DATA,
            "the plug-in %s has no symbol mnemo_plugin_entry, as mnemo/plugin.h declares "
            "it: is it a plug-in, and compiled without -fvisibility=hidden of its own?",
            path);
    }
    memcpy(&entry, &symbol, sizeof entry);
    *out = entry(the_host());
    return *out != NULL ? MN_OK
                        : mn_fail(err, MN_ERR_DATA,
                                  "the plug-in %s does not work with mnemo %s (ABI %u), as it says "
                                  "itself",
                                  path, MN_VERSION, MNEMO_PLUGIN_ABI);
}

/* What it says ----------------------------------------------------------------------- */

static bool is_name(const char *name, const char *signs, size_t most)
{
    const size_t n = name == NULL ? 0 : strnlen(name, most + 1);
    return n > 0 && n <= most && name[0] >= 'a' && name[0] <= 'z' && strspn(name, signs) == n;
}

#define NAME_SIGNS "abcdefghijklmnopqrstuvwxyz0123456789-"
#define OPTION_SIGNS "abcdefghijklmnopqrstuvwxyz0123456789_"

static bool is_text(const char *text, size_t most)
{
    return text != NULL && strnlen(text, most + 1) <= most && mn_text_is_plain(text);
}

static mn_status check_plugin(const mnemo_plugin *plugin, const char *path, mn_error *err)
{
    if (plugin->abi != MNEMO_PLUGIN_ABI)
        return mn_fail(
            err, MN_ERR_DATA,
            "the plug-in %s is of ABI %u, but mnemo %s loads those of ABI %u: compile its "
            "source with this version's mnemo/plugin.h",
            path, (unsigned)plugin->abi, MN_VERSION, MNEMO_PLUGIN_ABI);
    if (plugin->struct_size < FIRST_PLUGIN)
        return mn_fail(
            err, MN_ERR_DATA,
            "the plug-in %s: its struct mnemo_plugin has %u bytes (struct_size), expected at "
            "least %zu",
            path, (unsigned)plugin->struct_size, FIRST_PLUGIN);
    if (!is_name(plugin->name, NAME_SIGNS, LONGEST_OWN_NAME) ||
        !is_text(plugin->version, LONGEST_NAME))
        return mn_fail(err, MN_ERR_DATA,
                       "the plug-in %s: its name must have small letters, digits and '-', a letter "
                       "first, at most %d, and its version be a text of at most %d bytes",
                       path, LONGEST_OWN_NAME, LONGEST_NAME);
    for (size_t i = 0; i < n_loaded; i++)
        if (strcmp(loaded[i].name, plugin->name) == 0)
            return mn_fail(
                err, MN_ERR_CONFIG,
                "the plug-in %s: another one of the name %s is loaded already, with SHA-256 "
                "%s",
                path, plugin->name, loaded[i].digest);
    return MN_OK;
}

static const mnemo_option *option_at(const struct common *kind, uint32_t i)
{
    return (const mnemo_option *)(const void *)((const char *)kind->options +
                                                (size_t)i * kind->options->struct_size);
}

static mn_status check_option(const struct common *kind, uint32_t i, mn_error *err)
{
    const mnemo_option *option = option_at(kind, i);
    const double limit = option->type == MNEMO_FLAG    ? 1
                         : option->type == MNEMO_WHOLE ? (double)UINT32_MAX
                                                       : 1e300;
    const char *wrong = NULL;
    if (option->struct_size != kind->options->struct_size)
        wrong = "its struct_size is not that of the first option";
    else if (!is_name(option->name, OPTION_SIGNS, LONGEST_NAME))
        wrong = "its name must have small letters, digits and '_', a letter first, at most 30";
    else if ((unsigned)option->type > MNEMO_FLAG)
        wrong = "its type is none of MNEMO_REAL, MNEMO_WHOLE and MNEMO_FLAG";
    else if (!is_text(option->unit, 30) || !is_text(option->help, 400))
        wrong = "its unit and help must be texts, of at most 30 and 400 bytes";
    else if (!(option->least <= option->fallback && option->fallback <= option->most) ||
             !(fabs(option->least) <= limit && fabs(option->most) <= limit) ||
             (option->type != MNEMO_REAL &&
              (option->least < 0 || option->fallback != floor(option->fallback))))
        wrong = "expected least <= fallback <= most, finite; 0 or 1 of a flag, and whole from 0 to "
                "2^32 - 1 of a whole number";
    for (uint32_t k = 0; k < i && wrong == NULL; k++)
        if (strcmp(option_at(kind, k)->name, option->name) == 0)
            wrong = "there is one of this name before";
    return wrong == NULL ? MN_OK
                         : mn_fail(err, MN_ERR_DATA, "the plug-in %s, %s %s, option %u: %s",
                                   kind->path, kind->what, kind->name, (unsigned)i + 1, wrong);
}

static mn_status check_common(const struct common *kind, mn_error *err)
{
    if (!is_name(kind->name, NAME_SIGNS, LONGEST_NAME))
        return mn_fail(
            err, MN_ERR_DATA,
            "the plug-in %s: the name of a %s must have small letters, digits and '-', a "
            "letter first, at most %d",
            kind->path, kind->what, LONGEST_NAME);
    if (!is_text(kind->help, 400))
        return mn_fail(err, MN_ERR_DATA,
                       "the plug-in %s, %s %s: its help must be a text of at most 400 bytes",
                       kind->path, kind->what, kind->name);
    if (kind->n_options > MOST_OPTIONS || (kind->n_options > 0 && kind->options == NULL))
        return mn_fail(err, MN_ERR_DATA,
                       "the plug-in %s, %s %s: more than %d options, or none where n_options says "
                       "some",
                       kind->path, kind->what, kind->name, MOST_OPTIONS);
    if (kind->n_options > 0 &&
        (kind->options->struct_size < FIRST_OPTION || kind->options->struct_size > 4096))
        return mn_fail(err, MN_ERR_DATA,
                       "the plug-in %s, %s %s: its struct mnemo_option has %u bytes (struct_size), "
                       "expected at least %zu",
                       kind->path, kind->what, kind->name, (unsigned)kind->options->struct_size,
                       FIRST_OPTION);
    mn_status status = MN_OK;
    for (uint32_t i = 0; i < kind->n_options && status == MN_OK; i++)
        status = check_option(kind, i, err);
    return status;
}

static mn_status check_size(const char *path, const char *what, uint32_t size, size_t least,
                            mn_error *err)
{
    return size >= least
               ? MN_OK
               : mn_fail(
                     err, MN_ERR_DATA,
                     "the plug-in %s: the struct of a %s has %u bytes (struct_size), expected at "
                     "least %zu",
                     path, what, (unsigned)size, least);
}

static mn_status lacks(const struct common *kind, const char *call, mn_error *err)
{
    return mn_fail(err, MN_ERR_DATA, "the plug-in %s, %s %s: it has no call %s", kind->path,
                   kind->what, kind->name, call);
}

static struct common of_task_set(const mnemo_task_set_kind *kind, const char *path)
{
    return (struct common){path,       "task set",    "tasks.kind",    kind->name,
                           kind->help, kind->options, kind->n_options, kind->reads};
}

static struct common of_part(const mnemo_part_kind *kind, const char *path)
{
    static const char *const keys[] = {"model.input", "model.memory", "model.reasoning",
                                       "model.output"};
    return (struct common){path,
                           "part",
                           keys[(unsigned)kind->module % 4],
                           kind->name,
                           kind->help,
                           kind->options,
                           kind->n_options,
                           kind->reads};
}

static struct common of_rule(const mnemo_rule_kind *kind, const char *path)
{
    return (struct common){path,       "rule",        "meta.kind",     kind->name,
                           kind->help, kind->options, kind->n_options, kind->reads};
}

static mn_status check_task_set(const mnemo_task_set_kind *kind, const char *path, mn_error *err)
{
    mn_status status = check_size(path, "task set", kind->struct_size, FIRST_TASK_SET, err);
    if (status != MN_OK)
        return status;
    const struct common common = of_task_set(kind, path);
    status = check_common(&common, err);
    if (status == MN_OK && kind->fields == NULL)
        return lacks(&common, "fields()", err);
    return status == MN_OK && kind->draw == NULL ? lacks(&common, "draw()", err) : status;
}

static mn_status check_part(const mnemo_part_kind *kind, const char *path, mn_error *err)
{
    mn_status status = check_size(path, "part", kind->struct_size, FIRST_PART, err);
    if (status != MN_OK)
        return status;
    const struct common common = of_part(kind, path);
    status = check_common(&common, err);
    if (status == MN_OK && (unsigned)kind->module > MNEMO_OUTPUT)
        return mn_fail(err, MN_ERR_DATA, "the plug-in %s, part %s: there is no module %d", path,
                       kind->name, (int)kind->module);
    if (status == MN_OK && kind->module == MNEMO_MEMORY && kind->read == NULL)
        return lacks(&common, "read()", err);
    return status == MN_OK && kind->module != MNEMO_MEMORY && kind->build == NULL
               ? lacks(&common, "build()", err)
               : status;
}

static mn_status check_rule(const mnemo_rule_kind *kind, const char *path, mn_error *err)
{
    mn_status status = check_size(path, "rule", kind->struct_size, FIRST_RULE, err);
    if (status != MN_OK)
        return status;
    const struct common common = of_rule(kind, path);
    status = check_common(&common, err);
    return status == MN_OK && kind->step == NULL ? lacks(&common, "step()", err) : status;
}

/* All, before any is added. */
static mn_status check_kinds(const mnemo_plugin *plugin, const char *path, mn_error *err)
{
    mn_status status = MN_OK;
    size_t n = 0;
    for (size_t i = 0; plugin->task_sets != NULL && plugin->task_sets[i] != NULL &&
                       n < MOST_KINDS && status == MN_OK;
         i++, n++)
        status = check_task_set(plugin->task_sets[i], path, err);
    for (size_t i = 0;
         plugin->parts != NULL && plugin->parts[i] != NULL && n < MOST_KINDS && status == MN_OK;
         i++, n++)
        status = check_part(plugin->parts[i], path, err);
    for (size_t i = 0;
         plugin->rules != NULL && plugin->rules[i] != NULL && n < MOST_KINDS && status == MN_OK;
         i++, n++)
        status = check_rule(plugin->rules[i], path, err);
    if (status != MN_OK || (n > 0 && n < MOST_KINDS))
        return status;
    return mn_fail(err, MN_ERR_DATA, "the plug-in %s has no kind, or %d and more", path,
                   MOST_KINDS);
}

/* Made known ----------------------------------------------------------------------- */

/* The experiment's part of a kind: a choice of its key, and its options. `more`: keys that all kinds of
 * its sort read, NULL at the end. */
static mn_status add_options(const struct common *kind, const char *from, const char *const *more,
                             unsigned *value, mn_error *err)
{
    mn_option rows[MOST_OPTIONS];
    char keys[MOST_OPTIONS][2 * LONGEST_NAME + 2], fallbacks[MOST_OPTIONS][40];
    const char *reads[MOST_OPTIONS];
    size_t n_reads = 0;
    for (; more != NULL && *more != NULL; more++)
        reads[n_reads++] = *more;
    for (size_t i = 0; kind->reads != NULL && kind->reads[i] != NULL && n_reads + 1 < MOST_OPTIONS;
         i++)
        reads[n_reads++] = kind->reads[i];
    reads[n_reads] = NULL;
    for (uint32_t i = 0; i < kind->n_options; i++) {
        const mnemo_option *option = option_at(kind, i);
        (void)snprintf(keys[i], sizeof keys[i], "%s.%s", kind->name, option->name);
        mn_number_shortest(option->fallback, fallbacks[i], sizeof fallbacks[i]);
        rows[i] = (mn_option){.key = keys[i],
                              .type = option->type == MNEMO_FLAG    ? MN_OPTION_BOOL
                                      : option->type == MNEMO_WHOLE ? MN_OPTION_U32
                                                                    : MN_OPTION_REAL,
                              .fallback = option->type != MNEMO_FLAG ? fallbacks[i]
                                          : option->fallback != 0    ? "true"
                                                                     : "false",
                              .min = option->least,
                              .max = option->most,
                              .unit = option->unit,
                              .help = option->help};
    }
    const mn_outside_kind outside = {.key = kind->key,
                                     .choice = kind->name,
                                     .from = from,
                                     .rows = rows,
                                     .n_rows = kind->n_options,
                                     .reads = reads};
    mn_error why;
    const mn_status status = mn_experiment_add_kind(&outside, value, &why);
    return status == MN_OK ? MN_OK
                           : mn_fail(err, status, "the plug-in %s: %s", kind->path, why.message);
}

/* Of whatever size its maker's header says. */
#define COPY(own, kind)                                                                            \
    memcpy(&(own), (kind), (kind)->struct_size < sizeof(own) ? (kind)->struct_size : sizeof(own))

static mn_status add_kinds(const mnemo_plugin *plugin, const char *path, const char *from,
                           mn_error *err)
{
    static const char *const of_rules[] = {"meta.inner_steps", "evaluate.inner_steps", NULL};
    mn_status status = MN_OK;
    unsigned value = 0;
    for (size_t i = 0; plugin->task_sets != NULL && plugin->task_sets[i] != NULL && status == MN_OK;
         i++) {
        mnemo_task_set_kind own = {0};
        COPY(own, plugin->task_sets[i]);
        const struct common common = of_task_set(&own, path);
        status = add_options(&common, from, NULL, &value, err);
        if (status == MN_OK)
            status = mn_plugin_tasks_add(&own, value, err);
    }
    for (size_t i = 0; plugin->parts != NULL && plugin->parts[i] != NULL && status == MN_OK; i++) {
        mnemo_part_kind own = {0};
        COPY(own, plugin->parts[i]);
        const struct common common = of_part(&own, path);
        status = add_options(&common, from, NULL, &value, err);
        if (status == MN_OK)
            status = mn_plugin_part_add(&own, value, err);
    }
    for (size_t i = 0; plugin->rules != NULL && plugin->rules[i] != NULL && status == MN_OK; i++) {
        mnemo_rule_kind own = {0};
        COPY(own, plugin->rules[i]);
        const struct common common = of_rule(&own, path);
        status = add_options(&common, from, of_rules, &value, err);
        if (status == MN_OK)
            status = mn_plugin_rule_add(&own, value, err);
    }
    return status;
}
