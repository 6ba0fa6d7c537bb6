/* command_line.h: the options that mnemo's commands share, read once. */
#pragma once

#include "common/error.h"
#include "common/log.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_MAX_ARGUMENTS 64u

/* Which options a command takes beside --set. */
enum {
    MN_TAKES_RUN_DIR = 1 << 0,    /* --run-dir DIR */
    MN_TAKES_CHECK = 1 << 1,      /* --check */
    MN_TAKES_VERBOSITY = 1 << 2,  /* --quiet, --verbose */
    MN_TAKES_TASK = 1 << 3,       /* --index N, --dump FILE */
    MN_TAKES_BENCH = 1 << 4,      /* --seconds S, --profile */
    MN_TAKES_IMPORT = 1 << 5,     /* --size N, --splits LISTS */
    MN_TAKES_OUTPUT = 1 << 6,     /* -o FILE */
    MN_TAKES_THETA = 1 << 7,      /* --theta CHECKPOINT */
    MN_TAKES_FOLDER = 1 << 8,     /* --shares A,B,C, --seed N, --min-images N, --colour,
                                    --rotations, --skip-damaged, --dry-run */
    MN_TAKES_ALL = 1 << 9,        /* --all */
    MN_TAKES_ALPHABETS = 1 << 10, /* --val-alphabets N */
    MN_TAKES_PNG = 1 << 11,       /* --png FILE */
    MN_TAKES_JSON = 1 << 12,      /* --json */
    MN_TAKES_STORY = 1 << 13,     /* --story FILE */
    MN_TAKES_INK = 1 << 14,       /* --ink */
    MN_TAKES_ADAPT = 1 << 15,     /* --support S, --holdout HOW, --class-column C */
    MN_TAKES_QUERY = 1 << 16,     /* --query Q, --no-ink */
    MN_TAKES_WHICH = 1 << 17,     /* --checkpoint last|best|FILE */
    MN_TAKES_SPLIT = 1 << 18,     /* --split S */
    MN_TAKES_JUDGING = 1 << 19,   /* --baseline, --write-episodes FILE, --read-episodes FILE,
                                    --scores FILE, --csv FILE, --ensemble N */
    MN_TAKES_LABELS = 1 << 20,    /* --class-names FILE, --grey */
    MN_TAKES_ARRAYS = 1 << 21,    /* --arrays IMAGES,LABELS */
    MN_TAKES_SEEDS = 1 << 22,     /* --seeds N, --until STEP */
    MN_TAKES_TALK = 1 << 23,      /* --interactive */
    MN_TAKES_TRANSPOSE = 1 << 24, /* --transposed */
    MN_TAKES_PARTIAL = 1 << 25,   /* --partial */
    MN_TAKES_EXPLAIN = 1 << 26,   /* --worker NAME, --step N */
    MN_TAKES_URL = 1 << 27,       /* --url ADDRESS */
    MN_TAKES_SLOTS = 1 << 28,     /* --slots N */
    MN_TAKES_STEPS = 1 << 29,     /* --steps N or A-B */
    MN_TAKES_THREADS = 1 << 30,   /* --threads N */
};

/* All text is lent by argv. */
typedef struct mn_command_line {
    const char *arguments[MN_MAX_ARGUMENTS]; /* those that are not options */
    size_t n_arguments;
    const char *sets[MN_MAX_ARGUMENTS + 2]; /* a command may add two of its own */
    size_t n_sets;
    const char *plugin;  /* the last one; main.c has loaded all */
    const char *run_dir; /* NULL where not given; so below */
    bool check, quiet, verbose, json, colour, ink, no_ink, profile, rotations, skip_damaged, all,
        baseline, interactive, partial;
    bool dry_run, grey, transposed;
    const char *split, *png, *dump, *theta, *output, *splits, *shares, *story, *support, *query,
        *holdout;
    const char *checkpoint, *class_names, *class_column, *arrays;
    const char *worker, *url;
    const char *write_episodes, *read_episodes, *scores, *csv;
    uint64_t index, seed;               /* seed: 1 where not given */
    uint64_t step;                      /* 0: not given */
    uint32_t threads, size, min_images; /* 0: not given */
    uint32_t seeds, ensemble, slots;    /* 0: not given */
    uint64_t until;                     /* 0: not given */
    uint32_t val_alphabets, steps;      /* UINT32_MAX: not given */
    uint64_t first_step, last_step;     /* of --steps A-B; 0: not given so */
    double seconds;                     /* 0: not given */
} mn_command_line;

/* MN_ERR_USAGE: an option that this command does not take, a missing or senseless value, or too
 * many. */
mn_status mn_command_line_read(mn_command_line *line, int argc, char **argv, unsigned takes,
                               mn_error *err);

/* What --quiet and --verbose mean for the log. */
mn_log_level mn_command_line_level(const mn_command_line *line);
