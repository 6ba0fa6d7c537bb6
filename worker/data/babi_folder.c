#include "worker/data/babi_folder.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char train_end[] = "_train.txt", test_end[] = "_test.txt";

static mn_status read_wanted(const char *wanted, uint64_t *bits, mn_error *err);
static mn_status list_folder(const char *folder, uint64_t wanted, mn_babi_folder *out,
                             mn_error *err);
static mn_status take_file(const char *path, mn_babi_folder *out, mn_error *err);
static mn_status check(const char *where, const char *wanted, uint64_t bits,
                       const mn_babi_folder *folder, mn_error *err);

/* The path of `name` in one of the folders, and what it is; NULL: there is none, or no memory. */
static char *find(const char *name, const char *folders, bool *is_folder)
{
    static const char *const below[] = {"", "/babi"};
    while (*folders != '\0') {
        const int n = (int)strcspn(folders, ":");
        for (unsigned i = 0; n > 0 && i < sizeof below / sizeof *below; i++) {
            struct stat info;
            char *path = NULL;
            if (asprintf(&path, "%.*s%s/%s", n, folders, below[i], name) < 0)
                return NULL;
            if (stat(path, &info) == 0 && (S_ISDIR(info.st_mode) || S_ISREG(info.st_mode))) {
                *is_folder = S_ISDIR(info.st_mode);
                return path;
            }
            free(path);
        }
        folders += n + (folders[n] == ':');
    }
    return NULL;
}

mn_status mn_babi_folder_find(const char *name, const char *folders, const char *wanted,
                              mn_babi_folder *out, mn_error *err)
{
    uint64_t bits = 0;
    bool is_folder = false;
    memset(out, 0, sizeof *out);
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.data is \"%s\"; expected the name of a folder of stories without "
                       "the folders above it, which are listed in run.data_path",
                       name);
    mn_status status = read_wanted(wanted, &bits, err);
    if (status != MN_OK)
        return status;
    char *path = find(name, folders, &is_folder);
    if (path == NULL)
        return mn_fail(
            err, MN_ERR_NO_INPUT,
            "no folder or file %s of stories (qaN_..._train.txt and qaN_..._test.txt, as "
            "in the bAbI tasks v1.2); put it, or a folder babi with it, into a folder of "
            "run.data_path or MNEMO_DATA; looked in %.300s",
            name, folders);
    status = is_folder ? list_folder(path, bits, out, err) : take_file(path, out, err);
    if (status == MN_OK)
        status = check(path, wanted, bits, out, err);
    if (status != MN_OK)
        mn_babi_folder_fini(out);
    free(path);
    return status;
}

void mn_babi_folder_fini(mn_babi_folder *folder)
{
    for (uint32_t i = 0; i < folder->n; i++) {
        free(folder->sets[i].train);
        free(folder->sets[i].test);
    }
    memset(folder, 0, sizeof *folder);
}

/* "1-3,7" -> bits 0 to 2 and 6. */
static mn_status read_wanted(const char *wanted, uint64_t *bits, mn_error *err)
{
    const char *at = wanted;
    *bits = UINT64_MAX;
    if (strcmp(wanted, "all") == 0)
        return MN_OK;
    *bits = 0;
    do {
        unsigned first = 0, last;
        int used = 0;
        bool ok = *at >= '0' && *at <= '9' && sscanf(at, "%3u%n", &first, &used) == 1;
        at += used;
        last = first;
        if (ok && *at == '-') {
            at++;
            ok = *at >= '0' && *at <= '9' && sscanf(at, "%3u%n", &last, &used) == 1;
            at += used;
        }
        if (!ok || first < 1 || last < first || last > MN_BABI_MAX_SETS ||
            (*at != '\0' && *at != ','))
            return mn_fail(
                err, MN_ERR_CONFIG,
                "tasks.stories is \"%s\": expected \"all\", or numbers of sets from 1 to "
                "%u as in \"1-3,7\"",
                wanted, MN_BABI_MAX_SETS);
        for (unsigned i = first; i <= last; i++)
            *bits |= (uint64_t)1 << (i - 1);
    } while (*at++ == ',');
    return MN_OK;
}

/* The number of "qaN_....<end>"; 0: it is not called so. */
static uint32_t number_of(const char *name, const char *end)
{
    unsigned number = 0;
    int used = 0;
    const size_t n = strlen(name), n_end = strlen(end);
    if (n <= n_end || strcmp(name + n - n_end, end) != 0 ||
        sscanf(name, "qa%2u_%n", &number, &used) != 1 || used == 0 || number > MN_BABI_MAX_SETS)
        return 0;
    return number;
}

static mn_babi_set *set_of(mn_babi_folder *folder, uint32_t number)
{
    uint32_t at = 0;
    while (at < folder->n && folder->sets[at].number < number)
        at++;
    if (at < folder->n && folder->sets[at].number == number)
        return &folder->sets[at];
    memmove(&folder->sets[at + 1], &folder->sets[at], (folder->n - at) * sizeof *folder->sets);
    folder->n++;
    folder->sets[at] = (mn_babi_set){.number = number};
    return &folder->sets[at];
}

/* At most 64 sets, as their numbers are. */
static mn_status list_folder(const char *path, uint64_t wanted, mn_babi_folder *out, mn_error *err)
{
    DIR *folder = opendir(path);
    mn_status status = MN_OK;
    if (folder == NULL)
        return mn_fail_errno(err, "%s", path);
    for (struct dirent *entry; status == MN_OK && (entry = readdir(folder)) != NULL;) {
        const uint32_t train = number_of(entry->d_name, train_end);
        const uint32_t number = train != 0 ? train : number_of(entry->d_name, test_end);
        if (number == 0 || (wanted >> (number - 1) & 1) == 0)
            continue;
        mn_babi_set *set = set_of(out, number);
        char **file = train != 0 ? &set->train : &set->test;
        if (*file != NULL)
            status = mn_fail(err, MN_ERR_DATA, "%s: %s and %s are both set %" PRIu32, path,
                             strrchr(*file, '/') + 1, entry->d_name, number);
        else if (asprintf(file, "%s/%s", path, entry->d_name) < 0) {
            *file = NULL;
            status = mn_fail(err, MN_ERR_NOMEM, "list of the files in %s", path);
        }
    }
    (void)closedir(folder);
    return status;
}

static mn_status take_file(const char *path, mn_babi_folder *out, mn_error *err)
{
    const uint32_t number = number_of(strrchr(path, '/') + 1, train_end);
    if (number == 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.data is the file %s: expected one that is called qaN_..._train.txt, "
                       "with its qaN_..._test.txt beside it, or their folder",
                       path);
    mn_babi_set *set = set_of(out, number);
    const int stem = (int)(strlen(path) - strlen(train_end));
    set->train = strdup(path);
    if (asprintf(&set->test, "%.*s%s", stem, path, test_end) < 0)
        set->test = NULL;
    return set->train != NULL && set->test != NULL ? MN_OK
                                                   : mn_fail(err, MN_ERR_NOMEM, "path %s", path);
}

static mn_status check(const char *where, const char *wanted, uint64_t bits,
                       const mn_babi_folder *folder, mn_error *err)
{
    uint64_t found = 0;
    for (uint32_t i = 0; i < folder->n; i++) {
        const mn_babi_set *set = &folder->sets[i];
        found |= (uint64_t)1 << (set->number - 1);
        if (set->train == NULL || set->test == NULL)
            return mn_fail(err, MN_ERR_NO_INPUT,
                           "%s has no file qa%" PRIu32 "_...%s; get it, or leave set %" PRIu32
                           " out of tasks.stories",
                           where, set->number, set->train == NULL ? train_end : test_end,
                           set->number);
    }
    for (uint32_t i = 0; i < MN_BABI_MAX_SETS && bits != UINT64_MAX; i++)
        if ((bits >> i & 1) != 0 && (found >> i & 1) == 0)
            return mn_fail(err, MN_ERR_NO_INPUT,
                           "%s has no file qa%" PRIu32 "_...%s, which tasks.stories %s asks for",
                           where, i + 1, train_end, wanted);
    return folder->n > 0 ? MN_OK
                         : mn_fail(err, MN_ERR_NO_INPUT,
                                   "%s has no files qaN_..._train.txt and qaN_..._test.txt", where);
}
