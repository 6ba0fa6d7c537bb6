#include "worker/data/dialog_folder.h"

#include "worker/data/babi_folder.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const ends[MN_DIALOG_N_FILES] = {
    [MN_DIALOG_TRN] = "-trn.txt",
    [MN_DIALOG_DEV] = "-dev.txt",
    [MN_DIALOG_TST] = "-tst.txt",
    [MN_DIALOG_OOV] = "-tst-OOV.txt",
    [MN_DIALOG_CANDIDATES] = "-candidates.txt",
    [MN_DIALOG_FACTS] = "-kb-all.txt",
};
static const char all_candidates[] = "dialog-babi-candidates.txt";
static const char all_facts[] = "dialog-babi-kb-all.txt";

static mn_status list_folder(const char *path, uint32_t number, mn_dialog_folder *out,
                             mn_error *err);

mn_status mn_dialog_folder_find(const char *name, const char *folders, uint32_t number,
                                mn_dialog_folder *out, mn_error *err)
{
    bool is_folder = false;
    memset(out, 0, sizeof *out);
    if (!mn_babi_is_name(name))
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.data is \"%s\"; expected the name of a folder of dialogues without "
                       "the folders above it, which are listed in run.data_path",
                       name);
    char *path = mn_babi_find(name, folders, true, &is_folder);
    if (path == NULL || !is_folder) {
        free(path);
        return mn_babi_tell_missing(name, "folder", "dialogues",
                                    "dialog-babi-task1-...-trn.txt and the like, as in the bAbI "
                                    "dialog tasks",
                                    folders, err);
    }
    mn_status status = list_folder(path, number, out, err);
    for (mn_dialog_file i = 0; i <= MN_DIALOG_CANDIDATES && status == MN_OK; i++)
        if (out->paths[i] == NULL && i != MN_DIALOG_OOV)
            status = mn_fail(err, MN_ERR_NO_INPUT,
                             "%s has no file dialog-babi-task%" PRIu32 "-...%s%s", path, number,
                             ends[i], i == MN_DIALOG_CANDIDATES ? ", nor one for all sets" : "");
    if (status != MN_OK)
        mn_dialog_folder_fini(out);
    free(path);
    return status;
}

void mn_dialog_folder_fini(mn_dialog_folder *folder)
{
    for (mn_dialog_file i = 0; i < MN_DIALOG_N_FILES; i++)
        free(folder->paths[i]);
    memset(folder, 0, sizeof *folder);
}

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), n_end = strlen(end);
    return n > n_end && strcmp(name + n - n_end, end) == 0;
}

/* The set of "dialog-babi-taskN-...", and which of its files it is; 0: it is none. */
static uint32_t number_of(const char *name, mn_dialog_file *which)
{
    unsigned number = 0;
    int used = 0;
    if (sscanf(name, "dialog-babi-task%1u-%n", &number, &used) != 1 || used == 0 || number == 0)
        return 0;
    for (*which = 0; *which <= MN_DIALOG_CANDIDATES; ++*which)
        if (ends_with(name, ends[*which]))
            return number;
    return 0;
}

bool mn_dialog_is_file(const char *name)
{
    mn_dialog_file which;
    return number_of(name, &which) != 0 || strcmp(name, all_candidates) == 0 ||
           strcmp(name, all_facts) == 0;
}

static mn_status take(const char *path, const char *name, char **to, mn_error *err)
{
    if (*to != NULL)
        return mn_fail(err, MN_ERR_DATA, "%s: %s and %s are both the same file of a set", path,
                       strrchr(*to, '/') + 1, name);
    if (asprintf(to, "%s/%s", path, name) >= 0)
        return MN_OK;
    *to = NULL;
    return mn_fail(err, MN_ERR_NOMEM, "list of the files in %s", path);
}

/* Facts of all sets are of those without candidates of their own: their things are other ones. */
static mn_status list_folder(const char *path, uint32_t number, mn_dialog_folder *out,
                             mn_error *err)
{
    DIR *folder = opendir(path);
    char *candidates = NULL;
    mn_status status = MN_OK;
    if (folder == NULL)
        return mn_fail_errno(err, "%s", path);
    for (struct dirent *entry; status == MN_OK && (entry = readdir(folder)) != NULL;) {
        mn_dialog_file which = MN_DIALOG_N_FILES;
        if (strcmp(entry->d_name, all_candidates) == 0)
            status = take(path, entry->d_name, &candidates, err);
        else if (strcmp(entry->d_name, all_facts) == 0)
            status = take(path, entry->d_name, &out->paths[MN_DIALOG_FACTS], err);
        else if (number_of(entry->d_name, &which) == number)
            status = take(path, entry->d_name, &out->paths[which], err);
    }
    (void)closedir(folder);
    if (out->paths[MN_DIALOG_CANDIDATES] != NULL) {
        free(candidates);
        free(out->paths[MN_DIALOG_FACTS]);
        out->paths[MN_DIALOG_FACTS] = NULL;
    } else {
        out->paths[MN_DIALOG_CANDIDATES] = candidates;
    }
    return status;
}
