#include "worker/data/import/data_import.h"

#include "common/file.h"
#include "worker/data/import/archive_list.h"
#include "worker/data/import/folder_list.h"
#include "worker/data/import/import_work.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static mn_status read_pictures(mn_import_work *work, mn_error *err);

mn_status mn_import_folder(const char *path, const mn_import_options *options, const char *output,
                           const mn_import_progress *progress, mn_import_report *report,
                           mn_error *err)
{
    const bool find_splits = options->splits == MN_SPLITS_FOUND;
    struct stat info;
    mn_import_work work;
    bool found = false;
    mn_status status = mn_import_work_begin(&work, options, output, progress, report, err);
    if (status == MN_OK && stat(path, &info) != 0)
        status = mn_fail_errno(err, "cannot look at the folder %s", path);
    else if (status == MN_OK && S_ISREG(info.st_mode))
        status = mn_archive_list(path, find_splits, &work, &found, err);
    else if (status == MN_OK) {
        status = mn_folder_list(path, find_splits, &work.list, report, &found, err);
        if (status == MN_OK)
            status = read_pictures(&work, err);
    }
    char words[200];
    (void)snprintf(words, sizeof words, "by the folders train, val and test at the top of %.100s",
                   path);
    if (status == MN_OK)
        status = mn_import_work_finish(&work, path, found ? words : NULL, err);
    mn_import_work_fini(&work);
    return status;
}

static mn_status read_pictures(mn_import_work *work, mn_error *err)
{
    mn_status status = MN_OK;
    for (uint32_t i = 0; i < work->list.n_items && status == MN_OK; i++) {
        mn_import_item *item = &work->list.items[i];
        char *bytes = NULL;
        size_t n = 0;
        mn_error why = {0};
        status = mn_file_read(item->path, MN_PICTURE_MAX_BYTES, &bytes, &n, &why);
        if (status == MN_OK) {
            status = mn_import_work_decode(work, bytes, n, item->path, work->list.n_items,
                                           &item->entry, &item->facts, &item->left, err);
        } else if (status == MN_ERR_DATA) { /* larger than any picture */
            mn_import_work_damaged(work, why.message);
            item->left = true;
            status = MN_OK;
        } else {
            (void)mn_fail(err, status, "%s", why.message);
        }
        free(bytes);
    }
    return status;
}
