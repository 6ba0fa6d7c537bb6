#include "coordinator/links/allow_list.h"

#include "proto/key_file.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct entry {
    char key[MN_WIRE_KEY_CHARS + 1];
    char name[MN_KEY_NAME_CHARS + 1];
};

struct entries {
    struct entry *at; /* [n]; owned */
    size_t n, room;
};

struct mn_allow_list {
    char *path; /* owned */
    struct entries entries;
    struct stat seen; /* of the file when it was read last; all 0: it was not there */
};

static mn_status add(void *user, const char *key, const char *name, mn_error *err);
static struct stat look(const char *path);
static bool same(const struct stat *a, const struct stat *b);

mn_status mn_allow_list_new(const char *path, mn_allow_list **out, mn_error *err)
{
    mn_allow_list *list = calloc(1, sizeof *list);
    if (list != NULL)
        list->path = strdup(path);
    mn_status status = MN_OK;
    if (list == NULL || list->path == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "allow-list %s", path);
    if (status == MN_OK) {
        list->seen = look(path);
        status = mn_key_file_read_public(path, add, &list->entries, err);
    }
    if (status != MN_OK) {
        mn_allow_list_destroy(&list);
        return status;
    }
    *out = list;
    return MN_OK;
}

void mn_allow_list_destroy(mn_allow_list **list)
{
    if (*list == NULL)
        return;
    free((*list)->entries.at);
    free((*list)->path);
    free(*list);
    *list = NULL;
}

size_t mn_allow_list_size(const mn_allow_list *list)
{
    return list->entries.n;
}

const char *mn_allow_list_find(const mn_allow_list *list, const char *key)
{
    for (size_t i = 0; i < list->entries.n; i++)
        if (strcmp(list->entries.at[i].key, key) == 0)
            return list->entries.at[i].name;
    return NULL;
}

mn_status mn_allow_list_refresh(mn_allow_list *list, mn_error *err)
{
    struct entries fresh = {0};
    struct stat now = look(list->path);
    if (same(&now, &list->seen))
        return MN_OK;
    list->seen = now; /* before reading: what is written meanwhile is seen next time */
    mn_status status = mn_key_file_read_public(list->path, add, &fresh, err);
    if (status != MN_OK) {
        free(fresh.at);
        return status;
    }
    free(list->entries.at);
    list->entries = fresh;
    return MN_OK;
}

static mn_status add(void *user, const char *key, const char *name, mn_error *err)
{
    struct entries *entries = user;
    if (entries->n == entries->room) {
        size_t room = entries->room > 0 ? 2 * entries->room : 16;
        struct entry *larger = realloc(entries->at, room * sizeof *larger);
        if (larger == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "allow-list of %zu keys", room);
        entries->at = larger;
        entries->room = room;
    }
    struct entry *entry = &entries->at[entries->n++];
    *entry = (struct entry){0};
    memcpy(entry->key, key, MN_WIRE_KEY_CHARS);
    memcpy(entry->name, name, strnlen(name, MN_KEY_NAME_CHARS));
    return MN_OK;
}

static struct stat look(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        memset(&info, 0, sizeof info);
    return info;
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}
