#include "coordinator/sweep/sweep_file.h"

#include "common/options.h"
#include "common/text.h"
#include "common/yaml_reader.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define TOO_MUCH 1e15 /* any whole number below is exact as a double */

struct reader {
    const char *source;
    yaml_document_t document;
    mn_sweep_file *out;
    mn_error *err;
};

/* What may stand at the top, and who reads it. */
typedef mn_status take(struct reader *r, const yaml_node_t *value);
static take take_experiment, take_set, take_grid, take_random, take_quasi, take_draws,
    take_draw_seed, take_seeds, take_budget, take_halving, take_slots, take_turn;
static const struct section {
    const char *name;
    take *read;
    const char *expected;
} sections[] = {
    {"experiment", take_experiment, "the file of the base experiment"},
    {"set", take_set, "keys with values, as \"outer.steps: 2000\""},
    {"grid", take_grid, "keys with lists, as \"meta.inner_lr: [0.01, 0.1]\""},
    {"random", take_random, "keys with ranges or lists, as \"meta.inner_lr: log 0.01 .. 0.3\""},
    {"quasi-random", take_quasi,
     "keys with ranges or lists, as \"meta.inner_lr: log 0.01 .. 0.3\""},
    {"draws", take_draws, "a whole number"},
    {"draw_seed", take_draw_seed, "a whole number"},
    {"seeds", take_seeds, "how many, or a list of them"},
    {"budget", take_budget, "runs, steps or hours"},
    {"halving", take_halving, "first and factor"},
    {"slots", take_slots, "a whole number"},
    {"turn", take_turn, "seconds"},
};
enum { N_SECTIONS = sizeof sections / sizeof *sections };

static mn_status read_all(struct reader *r);
static mn_status whole_sense(struct reader *r);
static mn_status each_pair(struct reader *r, const yaml_node_t *mapping, const char *section,
                           mn_status (*take_pair)(struct reader *, const char *key, size_t line,
                                                  const yaml_node_t *value));
static mn_status take_axis(struct reader *r, mn_sweep_way way, const char *key, size_t line,
                           const yaml_node_t *value);
static bool is_range(const char *text, double *low, double *high, bool *log);
static mn_status take_whole(struct reader *r, const char *key, const yaml_node_t *value,
                            uint64_t least, uint64_t most, uint64_t *out);
static mn_status take_number(struct reader *r, const char *key, const yaml_node_t *value,
                             double *out);
static mn_status take_text(struct reader *r, const char *key, const yaml_node_t *value, char **out);
static const yaml_node_t *node(struct reader *r, int index);
static size_t line_of(const yaml_node_t *value);
static const char *text_of(const yaml_node_t *value);
static mn_status fail(struct reader *r, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

mn_status mn_sweep_file_parse(const char *source, const char *text, size_t n, mn_sweep_file *out,
                              mn_error *err)
{
    struct reader r = {.source = source, .out = out, .err = err};
    yaml_parser_t parser;
    *out = (mn_sweep_file){.draw_seed = 1, .turn_s = 10};
    if (n > MN_YAML_MAX_BYTES)
        return fail(&r, 1, "%zu bytes are too many for a sweep (at most %u)", n, MN_YAML_MAX_BYTES);
    if (!yaml_parser_initialize(&parser))
        return mn_fail(err, MN_ERR_NOMEM, "%s: no memory to read it", source);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    mn_status status = MN_OK;
    if (!yaml_parser_load(&parser, &r.document)) {
        status = parser.error == YAML_MEMORY_ERROR
                     ? mn_fail(err, MN_ERR_NOMEM, "%s: no memory to read it", source)
                     : fail(&r, parser.problem_mark.line + 1, "%s",
                            parser.problem != NULL ? parser.problem : "not YAML");
    } else {
        status = read_all(&r);
        yaml_document_delete(&r.document);
        if (status == MN_OK)
            status = whole_sense(&r);
    }
    yaml_parser_delete(&parser);
    if (status != MN_OK)
        mn_sweep_file_fini(out);
    return status;
}

void mn_sweep_file_fini(mn_sweep_file *file)
{
    for (uint32_t i = 0; i < file->n_settings; i++)
        free(file->settings[i].value);
    for (uint32_t i = 0; i < file->n_axes; i++) {
        for (uint32_t k = 0; k < file->axes[i].n_values; k++)
            free(file->axes[i].values[k]);
        free(file->axes[i].values);
    }
    free(file->experiment);
    *file = (mn_sweep_file){0};
}

/* ---- the top */

static const struct section *find_section(const char *name)
{
    for (size_t i = 0; i < N_SECTIONS; i++)
        if (strcmp(name, sections[i].name) == 0)
            return &sections[i];
    return NULL;
}

static const char *const of_experiments[] = {"seed",  "tasks",    "model", "meta",
                                             "outer", "evaluate", "pool",  "run"};

static mn_status unknown_section(struct reader *r, const char *name, size_t at)
{
    char shown[MN_SWEEP_KEY], all[200] = "";
    const char *nearest = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0, used = 0; i < N_SECTIONS; i++) {
        const size_t distance = mn_text_distance(name, sections[i].name);
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i > 0 ? ", " : "",
                                 sections[i].name);
        if (distance < least) {
            least = distance;
            nearest = sections[i].name;
        }
    }
    (void)mn_text_escape(name, strlen(name), shown, sizeof shown);
    for (size_t i = 0; i < sizeof of_experiments / sizeof *of_experiments; i++)
        if (strcmp(name, of_experiments[i]) == 0)
            return fail(
                r, at,
                "\"%s\" is a key of experiments: this is one experiment, not a sweep (mnemo "
                "train %s); what a sweep sets for all of its runs stands below \"set\"",
                name, r->source);
    if (mn_text_is_near(least, name))
        return fail(r, at, "unknown key \"%s\" of a sweep; did you mean \"%s\"?", shown, nearest);
    return fail(
        r, at,
        "unknown key \"%s\" of a sweep: expected one of %s; a key of experiments stands below "
        "set, grid, random or quasi-random",
        shown, all);
}

static mn_status take_top(struct reader *r, const char *key, size_t line, const yaml_node_t *value)
{
    const struct section *section = find_section(key);
    return section == NULL ? unknown_section(r, key, line) : section->read(r, value);
}

static mn_status read_all(struct reader *r)
{
    const yaml_node_t *root = yaml_document_get_root_node(&r->document);
    if (root == NULL || root->type != YAML_MAPPING_NODE)
        return fail(r, 1, "expected keys with values, as in \"experiment: base.yaml\"");
    return each_pair(r, root, NULL, take_top);
}

static mn_status whole_sense(struct reader *r)
{
    const mn_sweep_file *file = r->out;
    size_t drawn = 0; /* the line of the first that is */
    if (file->experiment == NULL)
        return fail(r, 1, "has no \"experiment: FILE.yaml\", the base that all runs begin from");
    for (uint32_t i = 0; i < file->n_axes; i++) {
        const mn_sweep_axis *axis = &file->axes[i];
        if (drawn == 0 && axis->way != MN_SWEEP_GRID)
            drawn = axis->line;
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(axis->key, file->axes[k].key) == 0)
                return fail(r, axis->line, "\"%s\" varies twice (first in line %zu)", axis->key,
                            file->axes[k].line);
        for (uint32_t k = 0; k < file->n_settings; k++)
            if (strcmp(axis->key, file->settings[k].key) == 0)
                return fail(r, axis->line, "\"%s\" varies here, but line %zu sets it for all runs",
                            axis->key, file->settings[k].line);
    }
    if (drawn > 0 && file->draws == 0 && file->most_runs == 0)
        return fail(
            r, drawn,
            "is drawn, but the file says neither \"draws: N\" nor \"budget: {runs: N}\": how "
            "many draws?");
    if (drawn == 0 && file->draws > 0)
        return fail(r, file->draws_line,
                    "says \"draws\", but no key stands below random or quasi-random");
    if (file->halving_line > 0 && file->first_rung == 0)
        return fail(r, file->halving_line,
                    "halving: expected \"first: STEPS\", after which the first decision is made");
    return MN_OK;
}

/* ---- its parts */

static mn_status take_experiment(struct reader *r, const yaml_node_t *value)
{
    r->out->experiment_line = line_of(value);
    return take_text(r, "experiment", value, &r->out->experiment);
}

static mn_status take_setting(struct reader *r, const char *key, size_t line,
                              const yaml_node_t *value)
{
    mn_sweep_file *out = r->out;
    if (out->n_settings == MN_SWEEP_MAX_SETTINGS)
        return fail(r, line, "set: more than %u keys; put them into the experiment",
                    MN_SWEEP_MAX_SETTINGS);
    mn_sweep_setting *setting = &out->settings[out->n_settings];
    (void)snprintf(setting->key, sizeof setting->key, "%s", key);
    setting->line = line;
    mn_status status = take_text(r, key, value, &setting->value);
    out->n_settings += status == MN_OK;
    return status;
}

static mn_status take_set(struct reader *r, const yaml_node_t *value)
{
    return each_pair(r, value, "set", take_setting);
}

static mn_status take_grid_key(struct reader *r, const char *key, size_t line,
                               const yaml_node_t *value)
{
    return take_axis(r, MN_SWEEP_GRID, key, line, value);
}

static mn_status take_random_key(struct reader *r, const char *key, size_t line,
                                 const yaml_node_t *value)
{
    return take_axis(r, MN_SWEEP_RANDOM, key, line, value);
}

static mn_status take_quasi_key(struct reader *r, const char *key, size_t line,
                                const yaml_node_t *value)
{
    return take_axis(r, MN_SWEEP_QUASI, key, line, value);
}

static mn_status take_grid(struct reader *r, const yaml_node_t *value)
{
    return each_pair(r, value, "grid", take_grid_key);
}

static mn_status take_random(struct reader *r, const yaml_node_t *value)
{
    return each_pair(r, value, "random", take_random_key);
}

static mn_status take_quasi(struct reader *r, const yaml_node_t *value)
{
    return each_pair(r, value, "quasi-random", take_quasi_key);
}

static mn_status take_axis(struct reader *r, mn_sweep_way way, const char *key, size_t line,
                           const yaml_node_t *value)
{
    mn_sweep_file *out = r->out;
    if (out->n_axes == MN_SWEEP_MAX_AXES)
        return fail(r, line, "more than %u keys vary", MN_SWEEP_MAX_AXES);
    mn_sweep_axis *axis = &out->axes[out->n_axes];
    *axis = (mn_sweep_axis){.line = line, .way = way};
    (void)snprintf(axis->key, sizeof axis->key, "%s", key);
    const bool one = value->type == YAML_SCALAR_NODE;
    if (one && is_range(text_of(value), &axis->low, &axis->high, &axis->log)) {
        if (way == MN_SWEEP_GRID)
            return fail(r, line_of(value),
                        "%s: a grid takes a list of values; a range stands below random or "
                        "quasi-random",
                        key);
        if (!(axis->low < axis->high) || (axis->log && axis->low <= 0))
            return fail(r, line_of(value), "%s: \"%s\" is no range: expected LOW .. HIGH%s", key,
                        text_of(value), axis->log ? " with 0 < LOW < HIGH" : " with LOW < HIGH");
        out->n_axes++;
        return MN_OK;
    }
    if (!one && value->type != YAML_SEQUENCE_NODE)
        return fail(r, line_of(value), "%s: expected a list of values%s", key,
                    way == MN_SWEEP_GRID ? "" : ", or a range as \"0.1 .. 0.4\"");
    const size_t n =
        one ? 1 : (size_t)(value->data.sequence.items.top - value->data.sequence.items.start);
    if (n == 0 || n > MN_SWEEP_MAX_VALUES)
        return fail(r, line_of(value), "%s: %zu values: expected 1 to %u", key, n,
                    MN_SWEEP_MAX_VALUES);
    axis->values = calloc(n, sizeof *axis->values);
    if (axis->values == NULL)
        return mn_fail(r->err, MN_ERR_NOMEM, "values of %s", key);
    out->n_axes++; /* what there is of it will be freed */
    mn_status status = MN_OK;
    for (size_t i = 0; i < n && status == MN_OK; i++) {
        const yaml_node_t *item = one ? value : node(r, value->data.sequence.items.start[i]);
        status = take_text(r, key, item, &axis->values[i]);
        axis->n_values += status == MN_OK;
    }
    return status;
}

/* "LOW .. HIGH", or with "log" in front. */
static bool is_range(const char *text, double *low, double *high, bool *log)
{
    char *end = NULL;
    *log = strncmp(text, "log ", 4) == 0;
    text += *log ? 4 : 0;
    *low = strtod(text, &end);
    if (end == text)
        return false;
    text = end + strspn(end, " ");
    if (strncmp(text, "..", 2) != 0)
        return false;
    text += 2;
    *high = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*low) && isfinite(*high);
}

static mn_status take_draws(struct reader *r, const yaml_node_t *value)
{
    uint64_t n = 0;
    mn_status status = take_whole(r, "draws", value, 1, MN_SWEEP_MAX_RUNS, &n);
    r->out->draws = (uint32_t)n;
    r->out->draws_line = value->start_mark.line + 1;
    return status;
}

static mn_status take_draw_seed(struct reader *r, const yaml_node_t *value)
{
    return take_whole(r, "draw_seed", value, 0, (uint64_t)TOO_MUCH, &r->out->draw_seed);
}

static mn_status take_seeds(struct reader *r, const yaml_node_t *value)
{
    mn_sweep_file *out = r->out;
    uint64_t n = 0;
    if (value->type != YAML_SEQUENCE_NODE) {
        mn_status status = take_whole(r, "seeds", value, 1, MN_SWEEP_MAX_SEEDS, &n);
        out->n_seeds = (uint32_t)n;
        return status;
    }
    out->seeds_listed = true;
    const yaml_node_item_t *items = value->data.sequence.items.start;
    for (; items < value->data.sequence.items.top; items++) {
        if (out->n_seeds == MN_SWEEP_MAX_SEEDS)
            return fail(r, line_of(value), "seeds: more than %u", MN_SWEEP_MAX_SEEDS);
        mn_status status = take_whole(r, "seeds", node(r, *items), 0, (uint64_t)TOO_MUCH,
                                      &out->seeds[out->n_seeds]);
        if (status != MN_OK)
            return status;
        for (uint32_t i = 0; i < out->n_seeds; i++)
            if (out->seeds[i] == out->seeds[out->n_seeds])
                return fail(r, line_of(value), "seeds: %llu is there twice",
                            (unsigned long long)out->seeds[i]);
        out->n_seeds++;
    }
    return out->n_seeds > 0 ? MN_OK : fail(r, line_of(value), "seeds: the list is empty");
}

static mn_status take_budget_key(struct reader *r, const char *key, size_t line,
                                 const yaml_node_t *value)
{
    if (strcmp(key, "runs") == 0)
        return take_whole(r, "budget: runs", value, 1, MN_SWEEP_MAX_RUNS, &r->out->most_runs);
    if (strcmp(key, "steps") == 0)
        return take_whole(r, "budget: steps", value, 1, (uint64_t)TOO_MUCH, &r->out->most_steps);
    if (strcmp(key, "hours") == 0)
        return take_number(r, "budget: hours", value, &r->out->most_hours);
    return fail(r, line, "budget: \"%s\" is none: expected runs, steps or hours", key);
}

static mn_status take_budget(struct reader *r, const yaml_node_t *value)
{
    return each_pair(r, value, "budget", take_budget_key);
}

static mn_status take_halving_key(struct reader *r, const char *key, size_t line,
                                  const yaml_node_t *value)
{
    uint64_t n = 0;
    mn_status status = MN_OK;
    if (strcmp(key, "first") == 0)
        return take_whole(r, "halving: first", value, 1, (uint64_t)TOO_MUCH, &r->out->first_rung);
    if (strcmp(key, "factor") == 0) {
        status = take_whole(r, "halving: factor", value, 2, 100, &n);
        r->out->factor = (uint32_t)n;
        return status;
    }
    return fail(r, line, "halving: no key \"%s\": expected first (meta-steps) or factor", key);
}

static mn_status take_halving(struct reader *r, const yaml_node_t *value)
{
    r->out->halving_line = line_of(value);
    r->out->factor = 3;
    return each_pair(r, value, "halving", take_halving_key);
}

static mn_status take_slots(struct reader *r, const yaml_node_t *value)
{
    uint64_t n = 0;
    mn_status status = take_whole(r, "slots", value, 1, 1024, &n);
    r->out->slots = (uint32_t)n;
    return status;
}

static mn_status take_turn(struct reader *r, const yaml_node_t *value)
{
    uint64_t n = 0;
    mn_status status = take_whole(r, "turn", value, 1, 86400, &n);
    r->out->turn_s = (uint32_t)n;
    return status;
}

/* ---- values */

static mn_status each_pair(struct reader *r, const yaml_node_t *mapping, const char *section,
                           mn_status (*take_pair)(struct reader *, const char *, size_t,
                                                  const yaml_node_t *))
{
    const struct section *known = section == NULL ? NULL : find_section(section);
    if (mapping->type != YAML_MAPPING_NODE)
        return fail(r, line_of(mapping), "%s: expected %s", section, known->expected);
    const yaml_node_pair_t *pairs = mapping->data.mapping.pairs.start;
    for (const yaml_node_pair_t *pair = pairs; pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = node(r, pair->key);
        if (key->type != YAML_SCALAR_NODE || key->data.scalar.length != strlen(text_of(key)) ||
            key->data.scalar.length >= MN_SWEEP_KEY)
            return fail(r, line_of(key), "expected a key of less than %d characters", MN_SWEEP_KEY);
        for (const yaml_node_pair_t *other = pairs; other < pair; other++)
            if (strcmp(text_of(node(r, other->key)), text_of(key)) == 0)
                return fail(r, line_of(key), "\"%s\" is given twice (first in line %zu)",
                            text_of(key), line_of(node(r, other->key)));
        mn_status status = take_pair(r, text_of(key), line_of(key), node(r, pair->value));
        if (status != MN_OK)
            return status;
    }
    return MN_OK;
}

static mn_status take_number(struct reader *r, const char *key, const yaml_node_t *value,
                             double *out)
{
    char *end = NULL;
    if (value->type == YAML_SCALAR_NODE) {
        *out = strtod(text_of(value), &end);
        if (end != text_of(value) && *end == '\0' && *out > 0 && *out < TOO_MUCH)
            return MN_OK;
    }
    return fail(r, line_of(value), "%s: expected a number above 0", key);
}

static mn_status take_whole(struct reader *r, const char *key, const yaml_node_t *value,
                            uint64_t least, uint64_t most, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    if (value->type == YAML_SCALAR_NODE && text_of(value)[0] >= '0' && text_of(value)[0] <= '9') {
        *out = strtoull(text_of(value), &end, 10);
        if (*end == '\0' && errno == 0 && *out >= least && *out <= most)
            return MN_OK;
    }
    return fail(r, line_of(value), "%s: expected a whole number from %llu to %llu", key,
                (unsigned long long)least, (unsigned long long)most);
}

static mn_status take_text(struct reader *r, const char *key, const yaml_node_t *value, char **out)
{
    if (value->type != YAML_SCALAR_NODE)
        return fail(r, line_of(value),
                    "%s: expected a value, as one would write it behind --set %s=", key, key);
    const char *text = text_of(value);
    if (value->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && text[0] == '\0')
        return fail(r, line_of(value), "%s: has no value; an empty text is written \"\"", key);
    if (strlen(text) != value->data.scalar.length || strlen(text) >= MN_OPTION_LONGEST ||
        !mn_text_is_plain(text))
        return fail(r, line_of(value), "%s: expected plain text of less than %d bytes", key,
                    MN_OPTION_LONGEST);
    *out = strdup(text);
    return *out != NULL ? MN_OK : mn_fail(r->err, MN_ERR_NOMEM, "value of %s", key);
}

static const yaml_node_t *node(struct reader *r, int index)
{
    return yaml_document_get_node(&r->document, index);
}

static size_t line_of(const yaml_node_t *value)
{
    return value->start_mark.line + 1;
}

static const char *text_of(const yaml_node_t *value)
{
    return (const char *)value->data.scalar.value;
}

static mn_status fail(struct reader *r, size_t at, const char *format, ...)
{
    mn_error why;
    va_list words;
    va_start(words, format);
    (void)vsnprintf(why.message, sizeof why.message, format, words);
    va_end(words);
    return mn_fail(r->err, MN_ERR_CONFIG, "%s:%zu: %s", r->source, at, why.message);
}
