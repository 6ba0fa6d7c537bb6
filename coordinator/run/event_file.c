#include "coordinator/run/event_file.h"

#include "common/clock.h"
#include "common/file.h"
#include "proto/tensorboard.pb-c.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TAG_BYTES 128u
#define FLUSH_S 1.0
#define MOST_PICTURE ((size_t)16 << 20)
#define CASTAGNOLI UINT32_C(0x82f63b78) /* the polynomial of CRC-32C, lowest bit first */
#define MASK_DELTA UINT32_C(0xa282ead8)

struct mn_event_file {
    FILE *file;
    char *path;
    uint32_t crc[256]; /* of each byte */
    uint32_t n, room;
    MnTb__Summary__Value *values; /* [room], n of them in use; owned */
    char (*tags)[TAG_BYTES];      /* [room]; owned */
    bool lost;                    /* no memory for a value */
    uint8_t *bytes;               /* [n_bytes], of an event; owned */
    size_t n_bytes;
    double flushed_s;
};

static void make_crc_table(uint32_t table[256]);
static uint32_t masked_crc(const mn_event_file *file, const uint8_t *bytes, size_t n);
static mn_status write_event(mn_event_file *file, MnTb__Event *event, bool flush, mn_error *err);
static mn_status open_new(const char *folder, mn_event_file *file, mn_error *err);

mn_status mn_event_file_folder(const char *option, const char *run_folder, char out[PATH_MAX],
                               mn_error *err)
{
    char whole[PATH_MAX];
    out[0] = '\0';
    if (strcmp(option, "false") == 0)
        return MN_OK;
    if (realpath(run_folder, whole) == NULL)
        return mn_fail_errno(err, "find folder %s", run_folder);
    char *name = strrchr(whole, '/');
    while (name > whole && name[-1] != '/') /* the folder above it too */
        name--;
    const int n = strcmp(option, "true") == 0 ? snprintf(out, PATH_MAX, "%s", whole)
                                              : snprintf(out, PATH_MAX, "%s/%s", option, name);
    if (n < 0 || n >= PATH_MAX)
        return mn_fail(err, MN_ERR_IO, "run.tensorboard: the path in %s is too long", option);
    return MN_OK;
}

mn_status mn_event_file_new(const char *folder, uint64_t done, mn_event_file **out, mn_error *err)
{
    MnTb__Event version = MN_TB__EVENT__INIT, start = MN_TB__EVENT__INIT;
    MnTb__SessionLog log = MN_TB__SESSION_LOG__INIT;
    mn_event_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "event file");
    make_crc_table(file->crc);
    mn_status status = mn_folder_make(folder, err);
    if (status == MN_OK)
        status = open_new(folder, file, err);
    version.what_case = MN_TB__EVENT__WHAT_FILE_VERSION;
    version.file_version = (char *)(uintptr_t) "brain.Event:2";
    if (status == MN_OK)
        status = write_event(file, &version, false, err);
    log.status = MN_TB__SESSION_LOG__STATUS__START;
    start.what_case = MN_TB__EVENT__WHAT_SESSION_LOG;
    start.session_log = &log;
    start.step = (int64_t)done + 1;
    if (status == MN_OK)
        status = write_event(file, &start, true, err);
    if (status != MN_OK) {
        mn_event_file_close(&file);
        return status;
    }
    *out = file;
    return MN_OK;
}

void mn_event_file_close(mn_event_file **file)
{
    if (*file == NULL)
        return;
    if ((*file)->file != NULL)
        (void)fclose((*file)->file);
    free((*file)->path);
    free((*file)->values);
    free((*file)->tags);
    free((*file)->bytes);
    free(*file);
    *file = NULL;
}

void mn_event_file_add(mn_event_file *file, const char *tag, double value)
{
    if (!isfinite(value))
        return;
    if (file->n == file->room) {
        const uint32_t room = 2 * file->room + 16;
        void *values = realloc(file->values, room * sizeof *file->values);
        file->values = values != NULL ? values : file->values;
        void *tags = realloc(file->tags, room * sizeof *file->tags);
        file->tags = tags != NULL ? tags : file->tags;
        file->lost = values == NULL || tags == NULL;
        if (file->lost)
            return;
        file->room = room;
    }
    (void)snprintf(file->tags[file->n], TAG_BYTES, "%s", tag);
    MnTb__Summary__Value *one = &file->values[file->n++];
    mn_tb__summary__value__init(one);
    one->value_case = MN_TB__SUMMARY__VALUE__VALUE_SIMPLE_VALUE;
    one->simple_value = (float)value;
}

mn_status mn_event_file_write(mn_event_file *file, uint64_t step, mn_error *err)
{
    MnTb__Event event = MN_TB__EVENT__INIT;
    MnTb__Summary summary = MN_TB__SUMMARY__INIT;
    const uint32_t n = file->n;
    file->n = 0;
    if (file->lost)
        return mn_fail(err, MN_ERR_NOMEM, "event of step %" PRIu64, step);
    if (n == 0)
        return MN_OK;
    MnTb__Summary__Value **list = malloc(n * sizeof *list);
    if (list == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "event of step %" PRIu64, step);
    for (uint32_t i = 0; i < n; i++) {
        file->values[i].tag = file->tags[i];
        list[i] = &file->values[i];
    }
    summary.n_value = n;
    summary.value = list;
    event.step = (int64_t)step;
    event.what_case = MN_TB__EVENT__WHAT_SUMMARY;
    event.summary = &summary;
    mn_status status = write_event(file, &event, false, err);
    free(list);
    return status;
}

mn_status mn_event_file_flush(mn_event_file *file, mn_error *err)
{
    return fflush(file->file) == 0 ? MN_OK : mn_fail_errno(err, "write %s", file->path);
}

/* What a PNG says of itself in its first chunk: width, height, and of which channels its pixels are. */
static bool read_png_head(const uint8_t *png, size_t n, MnTb__Summary__Image *image)
{
    static const uint8_t head[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n',
                                   0,    0,   0,   13,  'I',  'H',  'D',  'R'};
    static const int32_t channels[] = {[0] = 1, [2] = 3, [3] = 3, [4] = 2, [6] = 4};
    if (n < 33 || memcmp(png, head, sizeof head) != 0 || png[25] > 6)
        return false;
    image->width = (int32_t)((uint32_t)png[16] << 24 | (uint32_t)png[17] << 16 |
                             (uint32_t)png[18] << 8 | png[19]);
    image->height = (int32_t)((uint32_t)png[20] << 24 | (uint32_t)png[21] << 16 |
                              (uint32_t)png[22] << 8 | png[23]);
    image->colorspace = channels[png[25]];
    return image->width > 0 && image->height > 0 && image->colorspace > 0;
}

mn_status mn_event_file_picture(mn_event_file *file, const char *tag, uint64_t step,
                                const char *png, mn_error *err)
{
    MnTb__Event event = MN_TB__EVENT__INIT;
    MnTb__Summary summary = MN_TB__SUMMARY__INIT;
    MnTb__Summary__Value value = MN_TB__SUMMARY__VALUE__INIT, *list[] = {&value};
    MnTb__Summary__Image image = MN_TB__SUMMARY__IMAGE__INIT;
    char *bytes = NULL;
    size_t n = 0;
    mn_status status = mn_file_read(png, MOST_PICTURE, &bytes, &n, err);
    if (status == MN_OK && !read_png_head((const uint8_t *)bytes, n, &image))
        status = mn_fail(err, MN_ERR_DATA, "%s is no PNG", png);
    image.encoded_image_string = (ProtobufCBinaryData){.len = n, .data = (uint8_t *)bytes};
    value.tag = (char *)(uintptr_t)tag;
    value.value_case = MN_TB__SUMMARY__VALUE__VALUE_IMAGE;
    value.image = &image;
    summary.n_value = 1;
    summary.value = list;
    event.step = (int64_t)step;
    event.what_case = MN_TB__EVENT__WHAT_SUMMARY;
    event.summary = &summary;
    if (status == MN_OK)
        status = write_event(file, &event, true, err);
    free(bytes);
    return status;
}

/* ---- records ---- */

static void put_le(uint8_t *out, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

/* A record: the length of its data, 8 bytes; their masked CRC; the data; their masked CRC. */
static mn_status write_event(mn_event_file *file, MnTb__Event *event, bool flush, mn_error *err)
{
    uint8_t head[12], tail[4];
    event->wall_time = mn_clock_s(CLOCK_REALTIME);
    const size_t n = mn_tb__event__get_packed_size(event);
    if (n > file->n_bytes) {
        uint8_t *bytes = realloc(file->bytes, n);
        if (bytes == NULL)
            return mn_fail(err, MN_ERR_NOMEM, "event of %zu bytes", n);
        file->bytes = bytes;
        file->n_bytes = n;
    }
    (void)mn_tb__event__pack(event, file->bytes);
    put_le(head, n, 8);
    put_le(head + 8, masked_crc(file, head, 8), 4);
    put_le(tail, masked_crc(file, file->bytes, n), 4);
    bool written = fwrite(head, sizeof head, 1, file->file) == 1 &&
                   fwrite(file->bytes, n, 1, file->file) == 1 &&
                   fwrite(tail, sizeof tail, 1, file->file) == 1;
    if (written && (flush || event->wall_time > file->flushed_s + FLUSH_S ||
                    event->wall_time < file->flushed_s)) {
        written = fflush(file->file) == 0;
        file->flushed_s = event->wall_time;
    }
    return written ? MN_OK : mn_fail_errno(err, "write %s", file->path);
}

static void make_crc_table(uint32_t table[256])
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? CASTAGNOLI : 0);
        table[byte] = crc;
    }
}

/* Masked, as a CRC of data that hold CRCs would else be weak. */
static uint32_t masked_crc(const mn_event_file *file, const uint8_t *bytes, size_t n)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++)
        crc = crc >> 8 ^ file->crc[(crc ^ bytes[i]) & 0xff];
    crc = ~crc;
    return (crc >> 15 | crc << 17) + MASK_DELTA;
}

/* Its name sorts behind those of earlier jobs, by which readers go; of one second, by a count. */
static mn_status open_new(const char *folder, mn_event_file *file, mn_error *err)
{
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    for (unsigned i = 0; i < 1000 && file->file == NULL; i++) {
        free(file->path);
        file->path = NULL;
        if (asprintf(&file->path, "%s/events.out.tfevents.%010" PRIu64 ".%03u.%s", folder,
                     (uint64_t)mn_clock_s(CLOCK_REALTIME), i, host) < 0) {
            file->path = NULL;
            return mn_fail(err, MN_ERR_NOMEM, "event file");
        }
        file->file = fopen(file->path, "wxe");
        if (file->file == NULL && errno != EEXIST)
            break;
    }
    return file->file != NULL ? MN_OK : mn_fail_errno(err, "open %s", file->path);
}
