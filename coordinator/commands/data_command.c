#include "coordinator/commands/commands.h"

#include "coordinator/commands/command_line.h"
#include "worker/data/image_pack.h"
#include "worker/data/import/data_import.h"
#include "worker/data/pack_table.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_SIZE 28u
#define FIRST_CLASSES 10u /* shown without --all */

static mn_status import_omniglot(int argc, char **argv, mn_error *err);
static mn_status import_runs(int argc, char **argv, mn_error *err);
static mn_status import_folder(int argc, char **argv, mn_error *err);
static mn_status import_idx(int argc, char **argv, mn_error *err);
static mn_status import_arrays(int argc, char **argv, mn_error *err);
static mn_status import_cifar(int argc, char **argv, mn_error *err);
static mn_status show(int argc, char **argv, mn_error *err);
static mn_status read_shares(const char *text, double shares[MN_N_SPLITS], mn_error *err);
static mn_status finish(mn_status status, const char *output, const mn_import_report *report,
                        mn_error *err);
static void show_progress(void *user, uint32_t n_done, uint32_t n_all);

mn_status mn_data_command(int argc, char **argv, mn_error *err)
{
    static const struct {
        const char *words[2];
        mn_status (*call)(int argc, char **argv, mn_error *err);
    } commands[] = {{{"import", "omniglot"}, import_omniglot},
                    {{"import", "omniglot-runs"}, import_runs},
                    {{"import", "folder"}, import_folder},
                    {{"import", "idx"}, import_idx},
                    {{"import", "arrays"}, import_arrays},
                    {{"import", "cifar"}, import_cifar},
                    {{"show", NULL}, show}};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        int n = commands[i].words[1] != NULL ? 2 : 1, same = 0;
        while (same < n && same + 1 < argc && strcmp(argv[same + 1], commands[i].words[same]) == 0)
            same++;
        if (same < n)
            continue;
        argv[n] = argv[0]; /* the command's name, as getopt wants it */
        return commands[i].call(argc - n, argv + n, err);
    }
    return mn_fail(err, MN_ERR_USAGE,
                   "data: expected import omniglot ZIP... -o FILE, import omniglot-runs ZIP "
                   "-o FILE, import folder DIR -o FILE, import idx IMAGES LABELS -o FILE, import "
                   "arrays FILE... -o FILE, import cifar FILE... -o FILE, or show FILE; see mnemo "
                   "data --help");
}

static mn_status import_omniglot(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_import_report report = {0};
    const mn_import_progress progress = {.call = show_progress};
    mn_status status = mn_command_line_read(
        &line, argc, argv, MN_TAKES_IMPORT | MN_TAKES_OUTPUT | MN_TAKES_ALPHABETS, err);
    if (status == MN_OK && line.splits != NULL && line.val_alphabets != UINT32_MAX)
        status =
            mn_fail(err, MN_ERR_USAGE, "data import omniglot: either --splits or --val-alphabets");
    if (status == MN_OK && (line.n_arguments == 0 || line.output == NULL))
        status = mn_fail(err, MN_ERR_USAGE, "data import omniglot: expected ZIP... -o FILE");
    if (status != MN_OK)
        return status;
    status =
        mn_import_omniglot(line.arguments, line.n_arguments, line.splits,
                           line.val_alphabets != UINT32_MAX ? line.val_alphabets : MN_VAL_SIXTH,
                           line.size != 0 ? line.size : DEFAULT_SIZE, line.output,
                           isatty(STDERR_FILENO) ? &progress : NULL, &report, err);
    return finish(status, line.output, &report, err);
}

static mn_status import_runs(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_import_report report = {0};
    const mn_import_progress progress = {.call = show_progress};
    mn_status status =
        mn_command_line_read(&line, argc, argv, MN_TAKES_IMPORT | MN_TAKES_OUTPUT, err);
    if (status == MN_OK && (line.n_arguments != 1 || line.output == NULL))
        status =
            mn_fail(err, MN_ERR_USAGE, "data import omniglot-runs: expected all_runs.zip -o FILE");
    if (status == MN_OK && line.splits != NULL)
        status = mn_fail(err, MN_ERR_USAGE,
                         "data import omniglot-runs: no --splits, as all runs are for the test");
    if (status != MN_OK)
        return status;
    status = mn_import_omniglot_runs(line.arguments[0], line.size != 0 ? line.size : DEFAULT_SIZE,
                                     line.output, isatty(STDERR_FILENO) ? &progress : NULL, &report,
                                     err);
    return finish(status, line.output, &report, err);
}

/* The options of a person's own pictures, whatever they come from. */
static mn_status own_options(const mn_command_line *line, mn_import_options *options, mn_error *err)
{
    if (line->shares != NULL && line->splits != NULL)
        return mn_fail(err, MN_ERR_USAGE, "data import: either --shares or --splits");
    *options = (mn_import_options){
        .image_size = line->size,
        .channels = line->colour ? 3
                    : line->grey ? 1
                                 : 0,
        .dark_is_ink = line->ink,
        .turned = line->rotations,
        .transposed = line->transposed,
        .skip_damaged = line->skip_damaged,
        .least = line->min_images,
        .splits = line->splits != NULL   ? MN_SPLITS_LISTS
                  : line->shares != NULL ? MN_SPLITS_SHARES
                                         : MN_SPLITS_FOUND,
        .shares = {0.64, 0.16, 0.20}, /* as mini-ImageNet: 64, 16 and 20 of 100 classes */
        .seed = line->seed,
        .lists = line->splits,
        .class_names = line->class_names,
        .arrays = line->arrays,
        .describe = stdout,
        .dry_run = line->dry_run,
    };
    return line->shares != NULL ? read_shares(line->shares, options->shares, err) : MN_OK;
}

/* Read the line of an import of `what`, which wants `wanted` before -o FILE. */
static mn_status read_own(mn_command_line *line, int argc, char **argv, unsigned takes,
                          const char *what, size_t n_least, size_t n_most, const char *wanted,
                          mn_import_options *options, mn_error *err)
{
    mn_status status = mn_command_line_read(
        line, argc, argv,
        MN_TAKES_IMPORT | MN_TAKES_FOLDER | MN_TAKES_INK | MN_TAKES_OUTPUT | takes, err);
    if (status == MN_OK && (line->n_arguments < n_least || line->n_arguments > n_most ||
                            (line->output == NULL && !line->dry_run)))
        status = mn_fail(err, MN_ERR_USAGE,
                         "data import %s: expected %s and -o FILE (or --dry-run)", what, wanted);
    return status == MN_OK ? own_options(line, options, err) : status;
}

/* A last word; what was found has been told. */
static mn_status finish_own(mn_status status, const mn_command_line *line,
                            const mn_import_report *report)
{
    if (isatty(STDERR_FILENO))
        (void)fputs("\r\033[K", stderr);
    if (status != MN_OK)
        mn_import_report_print_left(report, stderr);
    else if (line->dry_run)
        (void)puts("nothing was written (--dry-run)");
    else
        (void)puts(line->output);
    return status;
}

static const mn_import_progress *progress_shown(void)
{
    static const mn_import_progress progress = {.call = show_progress};
    return isatty(STDERR_FILENO) ? &progress : NULL;
}

static mn_status import_folder(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_import_report report = {0};
    mn_import_options options;
    mn_status status =
        read_own(&line, argc, argv, 0, "folder", 1, 1, "one folder, zip or tar", &options, err);
    if (status != MN_OK)
        return status;
    options.image_size = options.image_size != 0 ? options.image_size : DEFAULT_SIZE;
    options.channels = options.channels != 0 ? options.channels : 1;
    status =
        mn_import_folder(line.arguments[0], &options, line.output, progress_shown(), &report, err);
    return finish_own(status, &line, &report);
}

static mn_status pack_arrays(const mn_command_line *line, const mn_import_options *options,
                             mn_error *err)
{
    mn_import_report report = {0};
    mn_status status = mn_import_arrays(line->arguments, line->n_arguments, options, line->output,
                                        progress_shown(), &report, err);
    return finish_own(status, line, &report);
}

static mn_status import_idx(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_import_options options;
    mn_status status = read_own(&line, argc, argv, MN_TAKES_LABELS | MN_TAKES_TRANSPOSE, "idx", 2,
                                MN_MAX_ARGUMENTS, "IMAGES LABELS", &options, err);
    return status == MN_OK ? pack_arrays(&line, &options, err) : status;
}

static mn_status import_arrays(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_import_options options;
    mn_status status = read_own(
        &line, argc, argv, MN_TAKES_LABELS | MN_TAKES_ARRAYS | MN_TAKES_TRANSPOSE, "arrays", 1,
        MN_MAX_ARGUMENTS, "X.npy Y.npy, FILE.npz or FILE.safetensors", &options, err);
    return status == MN_OK ? pack_arrays(&line, &options, err) : status;
}

static mn_status import_cifar(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_import_report report = {0};
    mn_import_options options;
    mn_status status = read_own(&line, argc, argv, MN_TAKES_LABELS, "cifar", 1, MN_MAX_ARGUMENTS,
                                "FILE.bin...", &options, err);
    if (status == MN_OK)
        status = finish_own(mn_import_cifar(line.arguments, line.n_arguments, &options, line.output,
                                            progress_shown(), &report, err),
                            &line, &report);
    return status;
}

static mn_status read_shares(const char *text, double shares[MN_N_SPLITS], mn_error *err)
{
    char *end = NULL;
    const char *at = text;
    for (int i = 0; i < MN_N_SPLITS; i++) {
        shares[i] = strtod(at, &end);
        if (end == at || *end != (i + 1 < MN_N_SPLITS ? ',' : '\0'))
            return mn_fail(err, MN_ERR_USAGE,
                           "--shares %s: expected three numbers for train, val and test, as in "
                           "0.6,0.2,0.2",
                           text);
        at = end + 1;
    }
    return MN_OK;
}

/* A last word, about what was left too, and above all if that is why nothing came of it. */
static mn_status finish(mn_status status, const char *output, const mn_import_report *report,
                        mn_error *err)
{
    if (isatty(STDERR_FILENO))
        (void)fputs("\r\033[K", stderr);
    if (status != MN_OK) {
        mn_import_report_print_left(report, stderr);
        return status;
    }
    mn_image_pack *pack = NULL;
    status = mn_image_pack_open(output, &pack, err);
    if (status != MN_OK)
        return status;
    mn_import_report_print(report, stdout);
    mn_pack_table_print_splits(mn_image_pack_index(pack), stdout);
    (void)printf("%s\n", output);
    mn_image_pack_destroy(&pack);
    return MN_OK;
}

static mn_status show(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_image_pack *pack = NULL;
    mn_status status = mn_command_line_read(&line, argc, argv, MN_TAKES_ALL, err);
    if (status == MN_OK && line.n_arguments != 1)
        status = mn_fail(err, MN_ERR_USAGE, "data show: expected one packed file");
    if (status == MN_OK)
        status = mn_image_pack_open(line.arguments[0], &pack, err);
    if (status != MN_OK)
        return status;
    const mn_pack_index *index = mn_image_pack_index(pack);
    const mn_digest digest = mn_image_pack_digest(pack);
    char hex[65];
    mn_digest_hex(&digest, hex);
    (void)printf("%s\n%" PRIu32 " images of %" PRIu32 "x%" PRIu32 " pixels, %s, in %" PRIu32
                 " classes and %" PRIu32 " groups\nsha256=%s\n",
                 mn_image_pack_path(pack), index->n_images, index->height, index->width,
                 index->channels == 1 ? "grey" : "colour", index->n_classes, index->n_groups, hex);
    mn_pack_table_print_splits(index, stdout);
    uint32_t most = line.all ? UINT32_MAX : FIRST_CLASSES;
    (void)printf("classes%s:\n", index->n_classes > most ? ", the first of them (--all)" : "");
    mn_pack_table_print_classes(index, most, stdout);
    if (index->n_classes > most)
        (void)printf("... and %" PRIu32 " more\n", index->n_classes - most);
    mn_image_pack_destroy(&pack);
    return MN_OK;
}

static void show_progress(void *user, uint32_t n_done, uint32_t n_all)
{
    (void)user;
    if (n_all > 0)
        (void)fprintf(stderr, "\r%" PRIu32 "/%" PRIu32 " pictures\033[K", n_done, n_all);
    else
        (void)fprintf(stderr, "\r%" PRIu32 " pictures\033[K", n_done);
}
