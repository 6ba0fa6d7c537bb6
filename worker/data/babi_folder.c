#include "worker/data/babi_folder.h"

#include "worker/data/data_path.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char train_end[] = "_train.txt", test_end[] = "_test.txt";

static uint32_t number_of(const char *name, const char *end);
static mn_status read_wanted(const char *wanted, uint64_t *bits, mn_error *err);
static mn_status list_folder(const char *folder, uint64_t wanted, mn_babi_folder *out,
                             mn_error *err);
static mn_status take_file(const char *path, mn_babi_folder *out, mn_error *err);
static mn_status check(const char *where, const char *wanted, uint64_t bits,
                       const mn_babi_folder *folder, mn_error *err);

/* The path of `name` in the folder of n letters or in its "babi", and what it is; NULL: there is
 * none, or no memory. */
static char *find_in(const char *folder, size_t n, const char *name, bool *is_folder)
{
    static const char *const below[] = {"", "/babi", "/babi/dialog"};
    for (unsigned i = 0; n > 0 && i < sizeof below / sizeof *below; i++) {
        struct stat info;
        char *path = NULL;
        if (asprintf(&path, "%.*s%s/%s", (int)n, folder, below[i], name) < 0)
            return NULL;
        if (stat(path, &info) == 0 && (S_ISDIR(info.st_mode) || S_ISREG(info.st_mode))) {
            *is_folder = S_ISDIR(info.st_mode);
            return path;
        }
        free(path);
    }
    return NULL;
}

static char *find_in_folders(const char *folders, const char *name, bool *is_folder)
{
    char *path = NULL;
    while (*folders != '\0' && path == NULL) {
        const size_t n = strcspn(folders, ":");
        path = find_in(folders, n, name, is_folder);
        folders += n + (folders[n] == ':');
    }
    return path;
}

char *mn_babi_find(const char *name, const char *folders, bool in_cache, bool *is_folder)
{
    char *path = find_in_folders(folders, name, is_folder);
    char *cache = path == NULL && in_cache ? mn_data_path_cache() : NULL;
    if (cache != NULL)
        path = find_in(cache, strlen(cache), name, is_folder);
    free(cache);
    return path;
}

bool mn_babi_is_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL;
}

mn_status mn_babi_folder_find(const char *name, const char *folders, const char *wanted,
                              mn_babi_folder *out, mn_error *err)
{
    uint64_t bits = 0;
    bool is_folder = false;
    memset(out, 0, sizeof *out);
    if (!mn_babi_is_name(name))
        return mn_fail(err, MN_ERR_CONFIG,
                       "tasks.data is \"%s\"; expected the name of a folder of stories without "
                       "the folders above it, which are listed in run.data_path",
                       name);
    mn_status status = read_wanted(wanted, &bits, err);
    if (status != MN_OK)
        return status;
    char *path = mn_babi_find(name, folders, true, &is_folder);
    if (path == NULL)
        return mn_babi_tell_missing(name, "folder or file", "stories",
                                    "qaN_..._train.txt and qaN_..._test.txt, as in the bAbI tasks "
                                    "v1.2",
                                    folders, err);
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

char *mn_babi_folder_archive(const char *name, const char *folders)
{
    bool is_folder = false;
    char *zip = NULL;
    char *path = mn_babi_is_name(name) ? mn_babi_find(name, folders, true, &is_folder) : NULL;
    if (!mn_babi_is_name(name) || path != NULL || asprintf(&zip, "%s.zip", name) < 0) {
        free(path);
        return NULL;
    }
    path = mn_babi_find(zip, folders, false, &is_folder);
    free(zip);
    if (!is_folder)
        return path;
    free(path);
    return NULL;
}

mn_status mn_babi_tell_missing(const char *name, const char *what, const char *of,
                               const char *files, const char *folders, mn_error *err)
{
    char *zip = mn_babi_folder_archive(name, folders), *cache = mn_data_path_cache();
    mn_status status;
    if (zip == NULL)
        status = mn_fail(err, MN_ERR_NO_INPUT,
                         "no %s %s of %s (%s), and no %s.zip of it; put it, or a folder babi with "
                         "it, into a folder of run.data_path or MNEMO_DATA; looked in %.300s",
                         what, name, of, files, name, folders);
    else
        status = mn_fail(err, MN_ERR_NO_INPUT,
                         "no folder %s of %s, but its archive %s is there, which `mnemo train` or "
                         "`mnemo task` unpacks once into %s/babi; or unpack it beside itself",
                         name, of, zip, cache != NULL ? cache : "the folder MNEMO_CACHE");
    free(zip);
    free(cache);
    return status;
}

uint32_t mn_babi_file_number(const char *name, bool *is_train)
{
    const uint32_t train = number_of(name, train_end);
    *is_train = train != 0;
    return train != 0 ? train : number_of(name, test_end);
}

void mn_babi_list_sets(uint64_t bits, char out[MN_BABI_LIST_SIZE])
{
    size_t n = 0;
    out[0] = '\0';
    for (unsigned first = 0; first < MN_BABI_MAX_SETS; first++) {
        unsigned last = first;
        if ((bits >> first & 1) == 0)
            continue;
        while (last + 1 < MN_BABI_MAX_SETS && (bits >> (last + 1) & 1) != 0)
            last++;
        n += (size_t)snprintf(out + n, MN_BABI_LIST_SIZE - n, "%s%u", n > 0 ? "," : "", first + 1);
        if (last > first)
            n += (size_t)snprintf(out + n, MN_BABI_LIST_SIZE - n, "-%u", last + 1);
        first = last;
    }
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
        bool is_train;
        const uint32_t number = mn_babi_file_number(entry->d_name, &is_train);
        if (number == 0 || (wanted >> (number - 1) & 1) == 0)
            continue;
        mn_babi_set *set = set_of(out, number);
        char **file = is_train ? &set->train : &set->test;
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
                       "with its qaN_..._test.txt beside it, or their folder (of an archive X.zip: "
                       "X)",
                       path);
    mn_babi_set *set = set_of(out, number);
    const int stem = (int)(strlen(path) - strlen(train_end));
    set->train = strdup(path);
    if (asprintf(&set->test, "%.*s%s", stem, path, test_end) < 0)
        set->test = NULL;
    return set->train != NULL && set->test != NULL ? MN_OK
                                                   : mn_fail(err, MN_ERR_NOMEM, "path %s", path);
}

/* Those of the sets that have both files. */
static uint64_t whole_sets(const mn_babi_folder *folder)
{
    uint64_t whole = 0;
    for (uint32_t i = 0; i < folder->n; i++)
        if (folder->sets[i].train != NULL && folder->sets[i].test != NULL)
            whole |= (uint64_t)1 << (folder->sets[i].number - 1);
    return whole;
}

static mn_status lacks_file(const char *where, const mn_babi_folder *folder, const mn_babi_set *set,
                            mn_error *err)
{
    char rest[MN_BABI_LIST_SIZE];
    mn_babi_list_sets(whole_sets(folder), rest);
    return mn_fail(err, MN_ERR_NO_INPUT,
                   "%s has no file qa%" PRIu32 "_...%s; get it, or leave set %" PRIu32
                   " out%s%s; no set is left out by itself, as it would count in the result",
                   where, set->number, set->train == NULL ? train_end : test_end, set->number,
                   rest[0] != '\0' ? " by tasks.stories=" : "", rest);
}

static mn_status check(const char *where, const char *wanted, uint64_t bits,
                       const mn_babi_folder *folder, mn_error *err)
{
    uint64_t found = 0;
    for (uint32_t i = 0; i < folder->n; i++) {
        const mn_babi_set *set = &folder->sets[i];
        found |= (uint64_t)1 << (set->number - 1);
        if (set->train == NULL || set->test == NULL)
            return lacks_file(where, folder, set, err);
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
