#include "coordinator/commands/command_line.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum {
    SET = 256,
    RUN_DIR,
    CHECK,
    QUIET,
    VERBOSE,
    SPLIT,
    INDEX,
    PNG,
    DUMP,
    THETA,
    THREADS,
    SECONDS,
    JSON,
    PROFILE,
    OUTPUT,
    SIZE,
    SPLITS,
    COLOUR,
    INK,
    SHARES,
    SEED,
    MIN_IMAGES,
    ROTATIONS,
    SKIP_DAMAGED,
    ALL,
    VAL_ALPHABETS,
    STORY,
    SUPPORT,
    QUERY,
    HOLDOUT,
    STEPS,
    NO_INK,
    CHECKPOINT,
    BASELINE,
    DRY_RUN,
    GREY,
    CLASS_NAMES,
    ARRAYS,
    INTERACTIVE,
    PARTIAL,
    SEEDS,
    WRITE_EPISODES,
    READ_EPISODES,
    SCORES,
    CSV,
    ENSEMBLE
};

static const struct option table[] = {
    {"set", required_argument, NULL, SET},
    {"run-dir", required_argument, NULL, RUN_DIR},
    {"check", no_argument, NULL, CHECK},
    {"quiet", no_argument, NULL, QUIET},
    {"verbose", no_argument, NULL, VERBOSE},
    {"split", required_argument, NULL, SPLIT},
    {"index", required_argument, NULL, INDEX},
    {"png", required_argument, NULL, PNG},
    {"dump", required_argument, NULL, DUMP},
    {"theta", required_argument, NULL, THETA},
    {"partial", no_argument, NULL, PARTIAL},
    {"threads", required_argument, NULL, THREADS},
    {"seconds", required_argument, NULL, SECONDS},
    {"json", no_argument, NULL, JSON},
    {"profile", no_argument, NULL, PROFILE},
    {"output", required_argument, NULL, OUTPUT},
    {"size", required_argument, NULL, SIZE},
    {"splits", required_argument, NULL, SPLITS},
    {"colour", no_argument, NULL, COLOUR},
    {"ink", no_argument, NULL, INK},
    {"shares", required_argument, NULL, SHARES},
    {"seed", required_argument, NULL, SEED},
    {"min-images", required_argument, NULL, MIN_IMAGES},
    {"rotations", no_argument, NULL, ROTATIONS},
    {"skip-damaged", no_argument, NULL, SKIP_DAMAGED},
    {"all", no_argument, NULL, ALL},
    {"val-alphabets", required_argument, NULL, VAL_ALPHABETS},
    {"story", required_argument, NULL, STORY},
    {"support", required_argument, NULL, SUPPORT},
    {"query", required_argument, NULL, QUERY},
    {"holdout", required_argument, NULL, HOLDOUT},
    {"steps", required_argument, NULL, STEPS},
    {"no-ink", no_argument, NULL, NO_INK},
    {"checkpoint", required_argument, NULL, CHECKPOINT},
    {"baseline", no_argument, NULL, BASELINE},
    {"dry-run", no_argument, NULL, DRY_RUN},
    {"grey", no_argument, NULL, GREY},
    {"class-names", required_argument, NULL, CLASS_NAMES},
    {"arrays", required_argument, NULL, ARRAYS},
    {"interactive", no_argument, NULL, INTERACTIVE},
    {"seeds", required_argument, NULL, SEEDS},
    {"write-episodes", required_argument, NULL, WRITE_EPISODES},
    {"read-episodes", required_argument, NULL, READ_EPISODES},
    {"scores", required_argument, NULL, SCORES},
    {"csv", required_argument, NULL, CSV},
    {"ensemble", required_argument, NULL, ENSEMBLE},
    {NULL, 0, NULL, 0},
};

static unsigned needs(int option);
static mn_status take(mn_command_line *line, int option, const char *name, const char *value,
                      mn_error *err);
static mn_status whole(const char *name, const char *value, uint64_t max, uint64_t *out,
                       mn_error *err);

mn_status mn_command_line_read(mn_command_line *line, int argc, char **argv, unsigned takes,
                               mn_error *err)
{
    *line = (mn_command_line){.seed = 1, .val_alphabets = UINT32_MAX, .steps = UINT32_MAX};
    optind = 0; /* start anew, whoever called getopt before */
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":o:", table, NULL)) != -1;) {
        const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "?";
        if (option == 'o')
            option = OUTPUT;
        if (option == ':')
            return mn_fail(err, MN_ERR_USAGE, "%s: %s needs a value", argv[0], word);
        if (option == '?' || (needs(option) & takes) != needs(option))
            return mn_fail(err, MN_ERR_USAGE, "%s: no option %s; see mnemo %s --help", argv[0],
                           option == '?' ? word : table[option - SET].name, argv[0]);
        mn_status status = take(line, option, table[option - SET].name, optarg, err);
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

static unsigned needs(int option)
{
    switch (option) {
    case RUN_DIR:
        return MN_TAKES_RUN_DIR;
    case CHECK:
        return MN_TAKES_CHECK;
    case QUIET:
    case VERBOSE:
        return MN_TAKES_VERBOSITY;
    case SPLIT:
        return MN_TAKES_SPLIT;
    case SEEDS:
        return MN_TAKES_SEEDS;
    case WRITE_EPISODES:
    case READ_EPISODES:
    case SCORES:
    case CSV:
    case ENSEMBLE:
    case BASELINE:
        return MN_TAKES_JUDGING;
    case INDEX:
    case DUMP:
        return MN_TAKES_TASK;
    case PNG:
        return MN_TAKES_PNG;
    case JSON:
        return MN_TAKES_JSON;
    case STORY:
        return MN_TAKES_STORY;
    case CHECKPOINT:
        return MN_TAKES_WHICH;
    case INTERACTIVE:
        return MN_TAKES_TALK;
    case THETA:
    case PARTIAL:
        return MN_TAKES_THETA;
    case THREADS:
    case SECONDS:
    case PROFILE:
        return MN_TAKES_BENCH;
    case OUTPUT:
        return MN_TAKES_OUTPUT;
    case SIZE:
    case SPLITS:
        return MN_TAKES_IMPORT;
    case INK:
        return MN_TAKES_INK;
    case SUPPORT:
    case HOLDOUT:
    case STEPS:
        return MN_TAKES_ADAPT;
    case QUERY:
    case NO_INK:
        return MN_TAKES_QUERY;
    case COLOUR:
    case SHARES:
    case SEED:
    case MIN_IMAGES:
    case ROTATIONS:
    case SKIP_DAMAGED:
    case DRY_RUN:
        return MN_TAKES_FOLDER;
    case GREY:
    case CLASS_NAMES:
        return MN_TAKES_LABELS;
    case ARRAYS:
        return MN_TAKES_ARRAYS;
    case ALL:
        return MN_TAKES_ALL;
    case VAL_ALPHABETS:
        return MN_TAKES_ALPHABETS;
    default:
        return 0;
    }
}

static mn_status take(mn_command_line *line, int option, const char *name, const char *value,
                      mn_error *err)
{
    uint64_t number = 0;
    mn_status status = MN_OK;
    switch (option) {
    case SET:
        if (line->n_sets == MN_MAX_ARGUMENTS)
            return mn_fail(err, MN_ERR_USAGE, "more than %u times --set", MN_MAX_ARGUMENTS);
        line->sets[line->n_sets++] = value;
        return MN_OK;
    case INDEX:
        return whole(name, value, UINT64_MAX, &line->index, err);
    case VAL_ALPHABETS:
        status = whole(name, value, 1000000, &number, err);
        line->val_alphabets = status == MN_OK ? (uint32_t)number : UINT32_MAX;
        return status;
    case STEPS:
        status = whole(name, value, 100000, &number, err);
        line->steps = status == MN_OK ? (uint32_t)number : UINT32_MAX;
        return status;
    case SEED:
        return whole(name, value, UINT64_MAX, &line->seed, err);
    case ENSEMBLE:
        status = whole(name, value, 16, &number, err);
        line->ensemble = (uint32_t)number;
        break;
    case SEEDS:
        status = whole(name, value, 100, &number, err);
        line->seeds = (uint32_t)number;
        break;
    case MIN_IMAGES:
        status = whole(name, value, 1000000, &number, err);
        line->min_images = (uint32_t)number;
        break;
    case THREADS:
        status = whole(name, value, 1024, &number, err);
        line->threads = (uint32_t)number;
        break;
    case SIZE:
        status = whole(name, value, 4096, &number, err);
        line->size = (uint32_t)number;
        break;
    case SECONDS: {
        char *end = NULL;
        line->seconds = strtod(value, &end);
        if (*value == '\0' || *end != '\0' || !(line->seconds > 0 && line->seconds <= 1e6))
            return mn_fail(err, MN_ERR_USAGE, "--seconds %s: expected a number up to a million",
                           value);
        return MN_OK;
    }
    default: {
        bool *const flags[] = {[CHECK - SET] = &line->check,
                               [QUIET - SET] = &line->quiet,
                               [VERBOSE - SET] = &line->verbose,
                               [JSON - SET] = &line->json,
                               [COLOUR - SET] = &line->colour,
                               [INK - SET] = &line->ink,
                               [NO_INK - SET] = &line->no_ink,
                               [PROFILE - SET] = &line->profile,
                               [ROTATIONS - SET] = &line->rotations,
                               [SKIP_DAMAGED - SET] = &line->skip_damaged,
                               [ALL - SET] = &line->all,
                               [BASELINE - SET] = &line->baseline,
                               [DRY_RUN - SET] = &line->dry_run,
                               [GREY - SET] = &line->grey,
                               [INTERACTIVE - SET] = &line->interactive,
                               [PARTIAL - SET] = &line->partial};
        const char **const texts[] = {[RUN_DIR - SET] = &line->run_dir,
                                      [SPLIT - SET] = &line->split,
                                      [PNG - SET] = &line->png,
                                      [DUMP - SET] = &line->dump,
                                      [THETA - SET] = &line->theta,
                                      [OUTPUT - SET] = &line->output,
                                      [SPLITS - SET] = &line->splits,
                                      [SHARES - SET] = &line->shares,
                                      [STORY - SET] = &line->story,
                                      [SUPPORT - SET] = &line->support,
                                      [QUERY - SET] = &line->query,
                                      [HOLDOUT - SET] = &line->holdout,
                                      [CHECKPOINT - SET] = &line->checkpoint,
                                      [CLASS_NAMES - SET] = &line->class_names,
                                      [ARRAYS - SET] = &line->arrays,
                                      [WRITE_EPISODES - SET] = &line->write_episodes,
                                      [READ_EPISODES - SET] = &line->read_episodes,
                                      [SCORES - SET] = &line->scores,
                                      [CSV - SET] = &line->csv};
        if (value == NULL)
            *flags[option - SET] = true;
        else
            *texts[option - SET] = value;
        return MN_OK;
    }
    }
    if (status == MN_OK && number == 0)
        return mn_fail(err, MN_ERR_USAGE, "--%s 0: expected at least 1", name);
    return status;
}

static mn_status whole(const char *name, const char *value, uint64_t max, uint64_t *out,
                       mn_error *err)
{
    char *end = NULL;
    errno = 0;
    *out = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != '\0' || errno != 0 || *out > max)
        return mn_fail(err, MN_ERR_USAGE, "--%s %s: expected a whole number up to %llu", name,
                       value, (unsigned long long)max);
    return MN_OK;
}
