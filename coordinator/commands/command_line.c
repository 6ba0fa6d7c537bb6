#include "coordinator/commands/command_line.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* What an option is read into. */
enum kind {
    FLAG,    /* bool; it has no value */
    TEXT,    /* const char * */
    LIST,    /* --set, which comes as often as one likes */
    NUMBER,  /* uint32_t */
    LARGE,   /* uint64_t */
    SECONDS, /* double */
    STEPS,   /* a number, or two as A-B */
};

#define AT(field) offsetof(mn_command_line, field)

static const struct row {
    const char *name;
    enum kind kind;
    unsigned takes; /* by which commands take it; 0: all do */
    size_t offset;
    uint64_t least, most; /* of whole numbers; least: 0 or 1 */
} table[] = {
    {"set", LIST, 0, AT(sets), 0, 0},
    {"plugin", TEXT, 0, AT(plugin), 0, 0},
    {"run-dir", TEXT, MN_TAKES_RUN_DIR, AT(run_dir), 0, 0},
    {"check", FLAG, MN_TAKES_CHECK, AT(check), 0, 0},
    {"quiet", FLAG, MN_TAKES_VERBOSITY, AT(quiet), 0, 0},
    {"verbose", FLAG, MN_TAKES_VERBOSITY, AT(verbose), 0, 0},
    {"split", TEXT, MN_TAKES_SPLIT, AT(split), 0, 0},
    {"index", LARGE, MN_TAKES_TASK, AT(index), 0, UINT64_MAX},
    {"png", TEXT, MN_TAKES_PNG, AT(png), 0, 0},
    {"dump", TEXT, MN_TAKES_TASK, AT(dump), 0, 0},
    {"theta", TEXT, MN_TAKES_THETA, AT(theta), 0, 0},
    {"partial", FLAG, MN_TAKES_PARTIAL, AT(partial), 0, 0},
    {"threads", NUMBER, MN_TAKES_THREADS, AT(threads), 1, 1024},
    {"seconds", SECONDS, MN_TAKES_BENCH, AT(seconds), 0, 0},
    {"json", FLAG, MN_TAKES_JSON, AT(json), 0, 0},
    {"profile", FLAG, MN_TAKES_BENCH, AT(profile), 0, 0},
    {"output", TEXT, MN_TAKES_OUTPUT, AT(output), 0, 0},
    {"size", NUMBER, MN_TAKES_IMPORT, AT(size), 1, 4096},
    {"splits", TEXT, MN_TAKES_IMPORT, AT(splits), 0, 0},
    {"colour", FLAG, MN_TAKES_FOLDER, AT(colour), 0, 0},
    {"ink", FLAG, MN_TAKES_INK, AT(ink), 0, 0},
    {"shares", TEXT, MN_TAKES_FOLDER, AT(shares), 0, 0},
    {"seed", LARGE, MN_TAKES_FOLDER, AT(seed), 0, UINT64_MAX},
    {"min-images", NUMBER, MN_TAKES_FOLDER, AT(min_images), 1, 1000000},
    {"rotations", FLAG, MN_TAKES_FOLDER, AT(rotations), 0, 0},
    {"skip-damaged", FLAG, MN_TAKES_FOLDER, AT(skip_damaged), 0, 0},
    {"all", FLAG, MN_TAKES_ALL, AT(all), 0, 0},
    {"val-alphabets", NUMBER, MN_TAKES_ALPHABETS, AT(val_alphabets), 0, 1000000},
    {"story", TEXT, MN_TAKES_STORY, AT(story), 0, 0},
    {"support", TEXT, MN_TAKES_ADAPT, AT(support), 0, 0},
    {"query", TEXT, MN_TAKES_QUERY, AT(query), 0, 0},
    {"holdout", TEXT, MN_TAKES_ADAPT, AT(holdout), 0, 0},
    {"class-column", TEXT, MN_TAKES_ADAPT, AT(class_column), 0, 0},
    {"steps", STEPS, MN_TAKES_STEPS, 0, 0, 100000},
    {"no-ink", FLAG, MN_TAKES_QUERY, AT(no_ink), 0, 0},
    {"checkpoint", TEXT, MN_TAKES_WHICH, AT(checkpoint), 0, 0},
    {"baseline", FLAG, MN_TAKES_JUDGING, AT(baseline), 0, 0},
    {"dry-run", FLAG, MN_TAKES_FOLDER, AT(dry_run), 0, 0},
    {"grey", FLAG, MN_TAKES_LABELS, AT(grey), 0, 0},
    {"class-names", TEXT, MN_TAKES_LABELS, AT(class_names), 0, 0},
    {"arrays", TEXT, MN_TAKES_ARRAYS, AT(arrays), 0, 0},
    {"interactive", FLAG, MN_TAKES_TALK, AT(interactive), 0, 0},
    {"transposed", FLAG, MN_TAKES_TRANSPOSE, AT(transposed), 0, 0},
    {"seeds", NUMBER, MN_TAKES_SEEDS, AT(seeds), 1, 100},
    {"until", LARGE, MN_TAKES_SEEDS, AT(until), 1, UINT64_MAX},
    {"slots", NUMBER, MN_TAKES_SLOTS, AT(slots), 1, 1024},
    {"write-episodes", TEXT, MN_TAKES_JUDGING, AT(write_episodes), 0, 0},
    {"read-episodes", TEXT, MN_TAKES_JUDGING, AT(read_episodes), 0, 0},
    {"scores", TEXT, MN_TAKES_JUDGING, AT(scores), 0, 0},
    {"csv", TEXT, MN_TAKES_JUDGING, AT(csv), 0, 0},
    {"worker", TEXT, MN_TAKES_EXPLAIN, AT(worker), 0, 0},
    {"step", LARGE, MN_TAKES_EXPLAIN, AT(step), 1, UINT64_MAX},
    {"url", TEXT, MN_TAKES_URL, AT(url), 0, 0},
    {"ensemble", NUMBER, MN_TAKES_JUDGING, AT(ensemble), 1, 16},
};

enum { N_ROWS = sizeof table / sizeof *table, FIRST = 256 }; /* FIRST: what getopt calls row 0 */

static const struct row *row_of(int option);
static mn_status take(mn_command_line *line, const struct row *row, const char *value,
                      mn_error *err);

mn_status mn_command_line_read(mn_command_line *line, int argc, char **argv, unsigned takes,
                               mn_error *err)
{
    struct option options[N_ROWS + 1] = {{0}};
    for (int i = 0; i < N_ROWS; i++)
        options[i] =
            (struct option){.name = table[i].name,
                            .has_arg = table[i].kind == FLAG ? no_argument : required_argument,
                            .val = FIRST + i};
    *line = (mn_command_line){.seed = 1, .val_alphabets = UINT32_MAX, .steps = UINT32_MAX};
    optind = 0; /* start anew, whoever called getopt before */
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":o:", options, NULL)) != -1;) {
        const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "?";
        const struct row *row = row_of(option);
        if (option == ':')
            return mn_fail(err, MN_ERR_USAGE, "%s: %s needs a value", argv[0], word);
        if (row == NULL || (row->takes & takes) != row->takes)
            return mn_fail(err, MN_ERR_USAGE, "%s: no option %s; see mnemo %s --help", argv[0],
                           row == NULL ? word : row->name, argv[0]);
        mn_status status = take(line, row, optarg, err);
        if (status != MN_OK)
            return status;
    }
    for (int i = optind; i < argc; i++) {
        if (line->n_arguments == MN_MAX_ARGUMENTS)
            return mn_fail(err, MN_ERR_USAGE, "%s: more than %u arguments", argv[0],
                           MN_MAX_ARGUMENTS);
        line->arguments[line->n_arguments++] = argv[i];
    }
    if (line->quiet && line->verbose)
        return mn_fail(err, MN_ERR_USAGE, "%s: either --quiet or --verbose", argv[0]);
    return MN_OK;
}

mn_log_level mn_command_line_level(const mn_command_line *line)
{
    return line->verbose ? MN_LOG_DEBUG : line->quiet ? MN_LOG_WARN : MN_LOG_INFO;
}

/* NULL: getopt knows no such option. */
static const struct row *row_of(int option)
{
    for (size_t i = 0; option == 'o' && i < N_ROWS; i++)
        if (strcmp(table[i].name, "output") == 0)
            return &table[i];
    return option >= FIRST && option < FIRST + N_ROWS ? &table[option - FIRST] : NULL;
}

static mn_status whole(const struct row *row, const char *value, uint64_t *out, mn_error *err)
{
    char *end = NULL;
    errno = 0;
    *out = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != '\0' || errno != 0 || *out > row->most)
        return mn_fail(err, MN_ERR_USAGE, "--%s %s: expected a whole number up to %llu", row->name,
                       value, (unsigned long long)row->most);
    return *out >= row->least
               ? MN_OK
               : mn_fail(err, MN_ERR_USAGE, "--%s 0: expected at least 1", row->name);
}

static mn_status take_steps(mn_command_line *line, const struct row *row, const char *value,
                            mn_error *err)
{
    uint64_t number = 0;
    char *end = NULL;
    const char *dash = strchr(value, '-');
    if (dash == NULL) {
        mn_status status = whole(row, value, &number, err);
        line->steps = (uint32_t)number;
        return status;
    }
    errno = 0;
    line->first_step = strtoull(value, &end, 10);
    const bool good =
        *value >= '0' && *value <= '9' && end == dash && dash[1] >= '0' && dash[1] <= '9';
    line->last_step = good ? strtoull(dash + 1, &end, 10) : 0;
    return good && *end == '\0' && errno == 0 && line->first_step > 0 &&
                   line->first_step <= line->last_step
               ? MN_OK
               : mn_fail(err, MN_ERR_USAGE,
                         "--steps %s: expected two meta-steps, the first at least 1, as 1000-1100",
                         value);
}

static mn_status take(mn_command_line *line, const struct row *row, const char *value,
                      mn_error *err)
{
    void *place = (char *)line + row->offset;
    uint64_t number = 0;
    char *end = NULL;
    mn_status status = MN_OK;
    switch (row->kind) {
    case FLAG:
        *(bool *)place = true;
        break;
    case TEXT:
        *(const char **)place = value;
        break;
    case LIST:
        if (line->n_sets == MN_MAX_ARGUMENTS)
            return mn_fail(err, MN_ERR_USAGE, "more than %u times --set", MN_MAX_ARGUMENTS);
        line->sets[line->n_sets++] = value;
        break;
    case NUMBER:
        status = whole(row, value, &number, err);
        if (status == MN_OK)
            *(uint32_t *)place = (uint32_t)number;
        break;
    case LARGE:
        status = whole(row, value, &number, err);
        if (status == MN_OK)
            *(uint64_t *)place = number;
        break;
    case STEPS:
        return take_steps(line, row, value, err);
    case SECONDS:
        line->seconds = strtod(value, &end);
        if (*value == '\0' || *end != '\0' || !(line->seconds > 0 && line->seconds <= 1e6))
            status = mn_fail(err, MN_ERR_USAGE, "--seconds %s: expected a number up to a million",
                             value);
        break;
    }
    return status;
}
