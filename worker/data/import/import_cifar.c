#include "worker/data/import/data_import.h"

#include "worker/data/import/archive_stream.h"
#include "worker/data/import/import_labels.h"
#include "worker/data/import/import_work.h"
#include <inttypes.h>
#include <string.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, PIXELS = 3 * PLANE };

/* The two kinds of records. */
static const struct layout {
    const char *name;
    size_t label_bytes;
    uint8_t most[2]; /* of each label byte */
} layouts[] = {{"CIFAR-10", 1, {9, 0}}, {"CIFAR-100", 2, {19, 99}}};
enum { N_LAYOUTS = sizeof layouts / sizeof *layouts };

static mn_status find_layout(const char *path, const struct layout **layout, uint64_t *n_records,
                             mn_error *err);
static mn_status read_records(const char *path, const struct layout *layout, uint64_t first,
                              uint64_t n_all, const mn_import_labels *labels, mn_import_work *work,
                              mn_error *err);

mn_status mn_import_cifar(const char *const *paths, size_t n_paths,
                          const mn_import_options *options, const char *output,
                          const mn_import_progress *progress, mn_import_report *report,
                          mn_error *err)
{
    const struct layout *layout = NULL;
    mn_import_options resolved = *options;
    mn_import_labels labels = {0};
    mn_import_work work = {0};
    uint64_t n_all = 0, first = 0, n = 0;
    mn_status status = MN_OK;
    *report = (mn_import_report){0};
    for (size_t i = 0; i < n_paths && status == MN_OK; i++) {
        const struct layout *here = NULL;
        status = find_layout(paths[i], &here, &n, err);
        if (status == MN_OK && layout != NULL && here != layout)
            status = mn_fail(err, MN_ERR_DATA, "%s is of %s, and %s of %s; import them apart",
                             paths[0], layout->name, paths[i], here->name);
        layout = here;
        n_all += n;
    }
    if (status == MN_OK)
        status = mn_import_labels_begin(&labels, options->class_names, err);
    if (status == MN_OK) {
        labels.most = layout->most[layout->label_bytes - 1];
        labels.most_group = layout->most[0];
        resolved.image_size = options->image_size != 0 ? options->image_size : SIDE;
        resolved.channels = options->channels != 0 ? options->channels : 3;
        status = mn_import_work_begin(&work, &resolved, output, progress, report, err);
    }
    for (size_t i = 0; i < n_paths && status == MN_OK; i++) {
        status = read_records(paths[i], layout, first, n_all, &labels, &work, err);
        first = work.n_seen;
    }
    if (status == MN_OK)
        status = mn_import_work_finish(&work, paths[0], NULL, err);
    mn_import_work_fini(&work);
    mn_import_labels_fini(&labels);
    return status;
}

/* A file without a header is known by its length and by what its labels are, all of them. */
static mn_status find_layout(const char *path, const struct layout **layout, uint64_t *n_records,
                             mn_error *err)
{
    mn_archive_stream *stream = NULL;
    bool fits[N_LAYOUTS] = {true, true};
    uint8_t bytes[4096];
    uint64_t at = 0;
    size_t got = sizeof bytes;
    mn_status status = mn_archive_stream_open(path, false, &stream, err);
    while (status == MN_OK && got == sizeof bytes) {
        status = mn_archive_stream_read(stream, bytes, sizeof bytes, &got, err);
        for (size_t i = 0; i < N_LAYOUTS && status == MN_OK; i++) {
            const size_t record = layouts[i].label_bytes + PIXELS;
            for (size_t j = 0; j < got; j++) {
                const uint64_t place = (at + j) % record;
                if (place < layouts[i].label_bytes && bytes[j] > layouts[i].most[place])
                    fits[i] = false;
            }
        }
        at += got;
    }
    mn_archive_stream_destroy(&stream);
    if (status != MN_OK)
        return status;
    for (size_t i = 0; i < N_LAYOUTS; i++) {
        const size_t record = layouts[i].label_bytes + PIXELS;
        if (fits[i] && at > 0 && at % record == 0) {
            *layout = &layouts[i];
            *n_records = at / record;
            if (*n_records > MN_PACK_MAX_IMAGES)
                return mn_fail(err, MN_ERR_DATA, "%s has more than %u images", path,
                               MN_PACK_MAX_IMAGES);
            return MN_OK;
        }
    }
    return mn_fail(err, MN_ERR_DATA,
                   "%s is of no CIFAR: %" PRIu64 " bytes are %s; expected records of 3,073 bytes "
                   "with a label of 0 to 9 (CIFAR-10) or of 3,074 with a group of 0 to 19 and a "
                   "label of 0 to 99 (CIFAR-100), the \"binary version\"",
                   path, at,
                   at == 0 || (at % 3073 != 0 && at % 3074 != 0)
                       ? "no whole number of records, so it is cut short or another file"
                       : "records of labels that cannot be");
}

static mn_status read_records(const char *path, const struct layout *layout, uint64_t first,
                              uint64_t n_all, const mn_import_labels *labels, mn_import_work *work,
                              mn_error *err)
{
    const size_t before = layout->label_bytes;
    mn_archive_stream *stream = NULL;
    uint8_t record[2 + PIXELS], pixels[PIXELS];
    mn_status status = mn_archive_stream_open(path, false, &stream, err);
    for (uint64_t i = 0; status == MN_OK; i++) {
        size_t got = 0;
        uint64_t place = 0;
        status = mn_archive_stream_read(stream, record, before + PIXELS, &got, err);
        if (status != MN_OK || got < before + PIXELS)
            break;
        for (size_t j = 0; j < PLANE; j++)
            for (size_t c = 0; c < 3; c++)
                pixels[3 * j + c] = record[before + c * PLANE + j];
        status = mn_import_work_keep(work, pixels, SIDE, SIDE, 3, (uint32_t)n_all, &place, err);
        if (status == MN_OK)
            status = mn_import_labels_add(labels, work, record[before - 1],
                                          before == 2 ? record[0] : MN_NO_LABEL, first + i, place,
                                          SIDE, SIDE, path, err);
    }
    mn_archive_stream_destroy(&stream);
    return status;
}
