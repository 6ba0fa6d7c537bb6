#include "worker/data/import/import_splits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static mn_status count_unlisted(const mn_import_list *list, mn_import_report *report,
                                mn_error *err);

mn_status mn_import_splits_make(mn_import_list *list, const mn_import_options *options,
                                const char *part_words, mn_import_report *report, mn_error *err)
{
    mn_status status = MN_OK;
    if (part_words != NULL) {
        (void)snprintf(report->splits, sizeof report->splits, "%s", part_words);
        return mn_import_list_split_as_parts(list, options->turned, err);
    }
    if (options->splits == MN_SPLITS_LISTS) {
        (void)snprintf(report->splits, sizeof report->splits, "by the lists of %.140s",
                       options->lists);
        status = mn_import_splits_listed(list, options->lists, true, options->turned, err);
        return status == MN_OK ? count_unlisted(list, report, err) : status;
    }
    (void)snprintf(report->splits, sizeof report->splits,
                   "by shares of the classes, %g train, %g val, %g test (seed %" PRIu64
                   "); see --shares, --splits",
                   options->shares[MN_TRAIN], options->shares[MN_VAL], options->shares[MN_TEST],
                   options->seed);
    return mn_import_list_split_shared(list, options->shares, options->seed, options->turned, err);
}

/* `lists` is a folder or paths with commas between; a list's split is its name's beginning. A
 * folder of Omniglot's has all three. */
mn_status mn_import_splits_listed(mn_import_list *list, const char *lists, bool plain, bool turned,
                                  mn_error *err)
{
    static const char *const names[MN_N_SPLITS] = {"train", "val", "test"};
    char *paths[MN_N_SPLITS] = {NULL, NULL, NULL}, *copy = strdup(lists), *rest = copy;
    struct stat info;
    mn_status status = copy == NULL ? mn_fail(err, MN_ERR_NOMEM, "lists of splits") : MN_OK;
    bool is_folder = (stat(lists, &info) == 0 && S_ISDIR(info.st_mode)) || !plain;
    unsigned n_found = 0;
    for (unsigned i = 0; is_folder && i < MN_N_SPLITS && status == MN_OK; i++) {
        if (asprintf(&paths[i], "%s/%s.txt", lists, names[i]) < 0) {
            paths[i] = NULL;
            status = mn_fail(err, MN_ERR_NOMEM, "lists of splits");
        } else if (plain && access(paths[i], F_OK) != 0) {
            free(paths[i]);
            paths[i] = NULL;
        }
        n_found += paths[i] != NULL;
    }
    for (char *path; !is_folder && status == MN_OK && (path = strsep(&rest, ",")) != NULL;) {
        const char *base = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
        unsigned split = 0;
        while (split < MN_N_SPLITS && strncmp(base, names[split], strlen(names[split])) != 0)
            split++;
        if (split == MN_N_SPLITS || paths[split] != NULL)
            status = mn_fail(err, MN_ERR_USAGE,
                             "--splits %s: expected a folder with train.txt, val.txt or test.txt, "
                             "or paths of such files with commas between, each split once",
                             lists);
        else if ((paths[split] = strdup(path)) == NULL)
            status = mn_fail(err, MN_ERR_NOMEM, "lists of splits");
        else
            n_found++;
    }
    if (status == MN_OK && n_found == 0)
        status = mn_fail(err, MN_ERR_NO_INPUT,
                         "the folder %s has neither train.txt nor val.txt nor test.txt", lists);
    if (status == MN_OK)
        status = mn_import_list_split_read(list, (const char *const *)paths, plain, turned, err);
    for (unsigned i = 0; i < MN_N_SPLITS; i++)
        free(paths[i]);
    free(copy);
    return status;
}

static mn_status count_unlisted(const mn_import_list *list, mn_import_report *report, mn_error *err)
{
    unsigned char *listed = calloc((size_t)list->n_classes + 1, 1);
    if (listed == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "splits of %" PRIu32 " classes", list->n_classes);
    for (int split = 0; split < MN_N_SPLITS; split++)
        for (uint32_t i = 0; i < list->n_entries[split]; i++)
            listed[list->entries[split][i].class_number] = 1;
    for (uint32_t i = 0; i < list->n_classes; i++)
        if (!listed[i])
            mn_import_left_count(&report->unlisted, list->classes[i].name);
    free(listed);
    return MN_OK;
}
