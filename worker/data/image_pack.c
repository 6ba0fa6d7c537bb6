#include "worker/data/image_pack.h"

#include "common/file.h"
#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC "MNEMODAT"
#define VERSION 1u
#define HEADER_BYTES 64u
#define DIGEST_BYTES 32u
#define CLASS_BYTES 16u
#define GROUP_BYTES 4u
#define ENTRY_BYTES 8u

/* The header as numbers. Where each part begins follows from the counts alone. */
struct header {
    uint32_t version, height, width, channels, n_images, n_classes, n_groups;
    uint32_t n_entries[MN_N_SPLITS];
    uint64_t names_bytes, file_bytes;
};

struct mn_image_pack {
    char *path;     /* owned */
    uint8_t *bytes; /* of the whole file; owned */
    size_t n_bytes;
    const uint8_t *pixels; /* in bytes */
    mn_digest digest;
    mn_pack_index index;
    mn_pack_class *classes; /* owned, as are the next two; the index shows them */
    const char **groups;
    mn_pack_entry *entries;
};

struct mn_pack_writer {
    mn_new_file *file;
    mn_hasher hasher;
    size_t image_bytes;
    uint32_t images_left;
};

static mn_status read_file(mn_image_pack *pack, mn_error *err);
static mn_status damaged(const mn_image_pack *pack, mn_error *err, const char *what);
static mn_status read_header(const mn_image_pack *pack, struct header *header, mn_error *err);
static mn_status check_digest(mn_image_pack *pack, mn_error *err);
static mn_status read_tables(mn_image_pack *pack, const struct header *header, mn_error *err);
static bool sane_shape(uint32_t height, uint32_t width, uint32_t channels);
static bool sane_name(const char *name);
static size_t image_bytes(const mn_pack_index *index);
static uint32_t get_u32(const uint8_t *at);
static uint64_t get_u64(const uint8_t *at);
static mn_status check_index(const char *path, const mn_pack_index *index, mn_error *err);
static mn_status write_index(mn_pack_writer *writer, const mn_pack_index *index, mn_error *err);

mn_status mn_image_pack_open(const char *path, mn_image_pack **out, mn_error *err)
{
    mn_image_pack *pack = calloc(1, sizeof *pack);
    if (pack == NULL || (pack->path = strdup(path)) == NULL) {
        mn_image_pack_destroy(&pack);
        return mn_fail(err, MN_ERR_NOMEM, "opening %s", path);
    }
    struct header header = {0};
    mn_status status = read_file(pack, err);
    if (status == MN_OK)
        status = read_header(pack, &header, err);
    if (status == MN_OK)
        status = check_digest(pack, err);
    if (status == MN_OK)
        status = read_tables(pack, &header, err);
    if (status != MN_OK) {
        mn_image_pack_destroy(&pack);
        return status;
    }
    *out = pack;
    return MN_OK;
}

void mn_image_pack_destroy(mn_image_pack **pack)
{
    if (*pack == NULL)
        return;
    free((*pack)->bytes);
    free((*pack)->path);
    free((*pack)->classes);
    free((void *)(*pack)->groups);
    free((*pack)->entries);
    free(*pack);
    *pack = NULL;
}

const mn_pack_index *mn_image_pack_index(const mn_image_pack *pack)
{
    return &pack->index;
}

const char *mn_image_pack_path(const mn_image_pack *pack)
{
    return pack->path;
}

const uint8_t *mn_image_pack_pixels(const mn_image_pack *pack, uint32_t image)
{
    assert(image < pack->index.n_images);
    return pack->pixels + image * image_bytes(&pack->index);
}

mn_digest mn_image_pack_digest(const mn_image_pack *pack)
{
    return pack->digest;
}

mn_status mn_pack_writer_new(const char *path, const mn_pack_index *index, mn_pack_writer **out,
                             mn_error *err)
{
    mn_status status = check_index(path, index, err);
    if (status != MN_OK)
        return status;
    mn_pack_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "writing %s", path);
    writer->image_bytes = image_bytes(index);
    writer->images_left = index->n_images;
    mn_hasher_init(&writer->hasher);
    status = mn_new_file_open(path, &writer->file, err);
    if (status == MN_OK)
        status = write_index(writer, index, err);
    if (status != MN_OK) {
        mn_pack_writer_abandon(&writer);
        return status;
    }
    *out = writer;
    return MN_OK;
}

static mn_status append(mn_pack_writer *writer, const void *bytes, size_t n, mn_error *err)
{
    mn_hasher_add(&writer->hasher, bytes, n);
    return mn_new_file_write(writer->file, bytes, n, err);
}

mn_status mn_pack_writer_add(mn_pack_writer *writer, const uint8_t *pixels, mn_error *err)
{
    assert(writer->images_left > 0);
    writer->images_left--;
    return append(writer, pixels, writer->image_bytes, err);
}

mn_status mn_pack_writer_finish(mn_pack_writer **writer, mn_error *err)
{
    mn_status status = MN_OK;
    if ((*writer)->images_left > 0)
        status = mn_fail(err, MN_ERR_STATE, "%" PRIu32 " images are missing from the packed file",
                         (*writer)->images_left);
    if (status == MN_OK) {
        mn_digest digest = mn_hasher_finish(&(*writer)->hasher);
        status = mn_new_file_write((*writer)->file, digest.bytes, sizeof digest.bytes, err);
    }
    if (status == MN_OK)
        status = mn_new_file_commit(&(*writer)->file, err);
    mn_pack_writer_abandon(writer);
    return status;
}

void mn_pack_writer_abandon(mn_pack_writer **writer)
{
    if (*writer == NULL)
        return;
    mn_new_file_abandon(&(*writer)->file);
    free(*writer);
    *writer = NULL;
}

/* Reading ------------------------------------------------------------------------- */

/* Read and not mapped: what happens to the file later must neither kill us (SIGBUS) nor change a
 * pixel behind the digest that was compared. */
static mn_status read_file(mn_image_pack *pack, mn_error *err)
{
    struct stat info;
    if (stat(pack->path, &info) != 0)
        return mn_fail_errno(err, "cannot open the packed images %s", pack->path);
    if (!S_ISREG(info.st_mode)) /* a pipe would be waited for */
        return mn_fail(err, MN_ERR_DATA, "%s is not a regular file", pack->path);
    char *bytes = NULL;
    mn_status status = mn_file_read(pack->path, SIZE_MAX, &bytes, &pack->n_bytes, err);
    pack->bytes = (uint8_t *)bytes;
    if (status == MN_OK && pack->n_bytes < HEADER_BYTES + DIGEST_BYTES)
        status = damaged(pack, err, "it is shorter than its header");
    return status;
}

static mn_status damaged(const mn_image_pack *pack, mn_error *err, const char *what)
{
    return mn_fail(err, MN_ERR_DATA,
                   "%s is no good packed image file: %s; import it again (mnemo data import)",
                   pack->path, what);
}

static mn_status read_header(const mn_image_pack *pack, struct header *header, mn_error *err)
{
    const uint8_t *at = pack->bytes;
    if (memcmp(at, MAGIC, 8) != 0)
        return damaged(pack, err, "it does not begin with " MAGIC);
    *header = (struct header){
        .version = get_u32(at + 8),
        .height = get_u32(at + 12),
        .width = get_u32(at + 16),
        .channels = get_u32(at + 20),
        .n_images = get_u32(at + 24),
        .n_classes = get_u32(at + 28),
        .n_groups = get_u32(at + 32),
        .n_entries = {get_u32(at + 36), get_u32(at + 40), get_u32(at + 44)},
        .names_bytes = get_u64(at + 48),
        .file_bytes = get_u64(at + 56),
    };
    if (header->version != VERSION)
        return damaged(pack, err, "its version is not 1, the only one this program reads");
    if (header->file_bytes != pack->n_bytes)
        return damaged(pack, err, "its size is not what its header says (cut short?)");
    if (!sane_shape(header->height, header->width, header->channels))
        return damaged(pack, err, "its images have an impossible size");
    if (header->n_images > MN_PACK_MAX_IMAGES || header->n_classes > header->n_images ||
        header->n_groups > header->n_classes || header->names_bytes > pack->n_bytes)
        return damaged(pack, err, "it counts more images, classes or names than it can hold");

    /* With the bounds above nothing of this can overflow 64 bits. */
    uint64_t entries = (uint64_t)header->n_entries[0] + header->n_entries[1] + header->n_entries[2];
    uint64_t need = HEADER_BYTES + (uint64_t)header->n_classes * CLASS_BYTES +
                    (uint64_t)header->n_groups * GROUP_BYTES + entries * ENTRY_BYTES +
                    header->names_bytes +
                    (uint64_t)header->n_images * header->height * header->width * header->channels +
                    DIGEST_BYTES;
    if (need != pack->n_bytes)
        return damaged(pack, err, "its parts do not add up to its size");
    return MN_OK;
}

static mn_status check_digest(mn_image_pack *pack, mn_error *err)
{
    size_t n = pack->n_bytes - DIGEST_BYTES;
    pack->digest = mn_digest_of(pack->bytes, n);
    if (memcmp(pack->digest.bytes, pack->bytes + n, DIGEST_BYTES) != 0)
        return damaged(pack, err, "its SHA-256 is not the one at its end, so bytes were changed");
    return MN_OK;
}

/* The offset's text if it is one of those names that end within the table and are fit to print. */
static const char *name_at(const uint8_t *names, uint64_t n, uint32_t offset)
{
    if (offset >= n || memchr(names + offset, '\0', n - offset) == NULL)
        return NULL;
    const char *name = (const char *)(names + offset);
    return sane_name(name) ? name : NULL;
}

static mn_status read_tables(mn_image_pack *pack, const struct header *header, mn_error *err)
{
    size_t n_classes = header->n_classes, n_groups = header->n_groups, n_entries = 0;
    for (int split = 0; split < MN_N_SPLITS; split++)
        n_entries += header->n_entries[split];
    pack->classes = calloc(n_classes + 1, sizeof *pack->classes);
    pack->groups = calloc(n_groups + 1, sizeof *pack->groups);
    pack->entries = calloc(n_entries + 1, sizeof *pack->entries);
    if (pack->classes == NULL || pack->groups == NULL || pack->entries == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "tables of %s", pack->path);

    const uint8_t *classes = pack->bytes + HEADER_BYTES;
    const uint8_t *groups = classes + n_classes * CLASS_BYTES;
    const uint8_t *entries = groups + n_groups * GROUP_BYTES;
    const uint8_t *names = entries + n_entries * ENTRY_BYTES;
    pack->pixels = names + header->names_bytes;

    for (size_t i = 0; i < n_classes; i++) {
        const uint8_t *at = classes + i * CLASS_BYTES;
        mn_pack_class *class = &pack->classes[i];
        *class = (mn_pack_class){.name = name_at(names, header->names_bytes, get_u32(at)),
                                 .group = get_u32(at + 4),
                                 .first_image = get_u32(at + 8),
                                 .n_images = get_u32(at + 12)};
        if (class->name == NULL || class->group >= n_groups || class->n_images == 0 ||
            class->n_images > header->n_images ||
            class->first_image > header->n_images - class->n_images)
            return damaged(pack, err, "a class has no proper name, group or images");
    }
    for (size_t i = 0; i < n_groups; i++) {
        pack->groups[i] = name_at(names, header->names_bytes, get_u32(groups + i * GROUP_BYTES));
        if (pack->groups[i] == NULL)
            return damaged(pack, err, "a group has no proper name");
    }
    for (size_t i = 0; i < n_entries; i++) {
        mn_pack_entry *entry = &pack->entries[i];
        entry->class_number = get_u32(entries + i * ENTRY_BYTES);
        entry->quarter_turns = get_u32(entries + i * ENTRY_BYTES + 4);
        if (entry->class_number >= n_classes || entry->quarter_turns > 3 ||
            (entry->quarter_turns > 0 && header->height != header->width))
            return damaged(pack, err, "a split names a class or a rotation that cannot be");
    }

    const mn_pack_entry *val = pack->entries + header->n_entries[MN_TRAIN];
    pack->index = (mn_pack_index){
        .height = header->height,
        .width = header->width,
        .channels = header->channels,
        .n_images = header->n_images,
        .n_classes = header->n_classes,
        .n_groups = header->n_groups,
        .n_entries = {header->n_entries[0], header->n_entries[1], header->n_entries[2]},
        .classes = pack->classes,
        .groups = pack->groups,
        .entries = {pack->entries, val, val + header->n_entries[MN_VAL]},
    };
    return MN_OK;
}

static bool sane_shape(uint32_t height, uint32_t width, uint32_t channels)
{
    return height > 0 && height <= MN_PACK_MAX_SIDE && width > 0 && width <= MN_PACK_MAX_SIDE &&
           (channels == 1 || channels == 3);
}

/* Names are printed on terminals: no control characters. */
static bool sane_name(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return false;
    return n > 0 && n <= MN_PACK_MAX_NAME;
}

static size_t image_bytes(const mn_pack_index *index)
{
    return (size_t)index->height * index->width * index->channels;
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t get_u64(const uint8_t *at)
{
    return get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

/* Writing ------------------------------------------------------------------------- */

static mn_status check_index(const char *path, const mn_pack_index *index, mn_error *err)
{
    if (!sane_shape(index->height, index->width, index->channels))
        return mn_fail(err, MN_ERR_DATA,
                       "%s: images of %" PRIu32 "x%" PRIu32 "x%" PRIu32
                       " cannot be packed; sides are 1 to %u pixels, channels 1 or 3",
                       path, index->height, index->width, index->channels, MN_PACK_MAX_SIDE);
    if (index->n_images == 0 || index->n_images > MN_PACK_MAX_IMAGES)
        return mn_fail(err, MN_ERR_DATA, "%s: %" PRIu32 " images; a packed file holds 1 to %u",
                       path, index->n_images, MN_PACK_MAX_IMAGES);
    for (uint32_t i = 0; i < index->n_classes + index->n_groups; i++) {
        const char *name =
            i < index->n_classes ? index->classes[i].name : index->groups[i - index->n_classes];
        if (!sane_name(name))
            return mn_fail(err, MN_ERR_DATA,
                           "%s: a class or group has a name of 0 or more than %u bytes, or one "
                           "with control characters",
                           path, MN_PACK_MAX_NAME);
    }
    return MN_OK;
}

static mn_status write_u32(mn_pack_writer *writer, uint32_t value, mn_error *err)
{
    uint8_t bytes[4];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    return append(writer, bytes, sizeof bytes, err);
}

static mn_status write_u32s(mn_pack_writer *writer, size_t n, const uint32_t *values, mn_error *err)
{
    mn_status status = MN_OK;
    for (size_t i = 0; i < n && status == MN_OK; i++)
        status = write_u32(writer, values[i], err);
    return status;
}

static mn_status write_header(mn_pack_writer *writer, const mn_pack_index *index,
                              uint64_t names_bytes, mn_error *err)
{
    uint64_t file_bytes = HEADER_BYTES + (uint64_t)index->n_classes * CLASS_BYTES +
                          (uint64_t)index->n_groups * GROUP_BYTES + names_bytes +
                          (uint64_t)index->n_images * image_bytes(index) + DIGEST_BYTES;
    for (int split = 0; split < MN_N_SPLITS; split++)
        file_bytes += (uint64_t)index->n_entries[split] * ENTRY_BYTES;
    const uint32_t words[] = {
        VERSION,
        index->height,
        index->width,
        index->channels,
        index->n_images,
        index->n_classes,
        index->n_groups,
        index->n_entries[MN_TRAIN],
        index->n_entries[MN_VAL],
        index->n_entries[MN_TEST],
        (uint32_t)names_bytes,
        (uint32_t)(names_bytes >> 32),
        (uint32_t)file_bytes,
        (uint32_t)(file_bytes >> 32),
    };
    static_assert(8 + sizeof words == HEADER_BYTES, "the header of the file format");
    mn_status status = append(writer, MAGIC, 8, err);
    return status == MN_OK ? write_u32s(writer, sizeof words / sizeof *words, words, err) : status;
}

static mn_status write_index(mn_pack_writer *writer, const mn_pack_index *index, mn_error *err)
{
    uint64_t names_bytes = 0;
    for (uint32_t i = 0; i < index->n_classes; i++)
        names_bytes += strlen(index->classes[i].name) + 1;
    for (uint32_t i = 0; i < index->n_groups; i++)
        names_bytes += strlen(index->groups[i]) + 1;
    if (names_bytes > UINT32_MAX)
        return mn_fail(err, MN_ERR_DATA, "the names of all classes together exceed 4 GiB");
    mn_status status = write_header(writer, index, names_bytes, err);

    uint32_t name = 0;
    for (uint32_t i = 0; i < index->n_classes && status == MN_OK; i++) {
        const mn_pack_class *class = &index->classes[i];
        const uint32_t words[] = {name, class->group, class->first_image, class->n_images};
        status = write_u32s(writer, 4, words, err);
        name += (uint32_t)strlen(class->name) + 1;
    }
    for (uint32_t i = 0; i < index->n_groups && status == MN_OK; i++) {
        status = write_u32(writer, name, err);
        name += (uint32_t)strlen(index->groups[i]) + 1;
    }
    for (int split = 0; split < MN_N_SPLITS; split++)
        for (uint32_t i = 0; i < index->n_entries[split] && status == MN_OK; i++) {
            const mn_pack_entry *entry = &index->entries[split][i];
            const uint32_t words[] = {entry->class_number, entry->quarter_turns};
            status = write_u32s(writer, 2, words, err);
        }
    for (uint32_t i = 0; i < index->n_classes && status == MN_OK; i++)
        status = append(writer, index->classes[i].name, strlen(index->classes[i].name) + 1, err);
    for (uint32_t i = 0; i < index->n_groups && status == MN_OK; i++)
        status = append(writer, index->groups[i], strlen(index->groups[i]) + 1, err);
    return status;
}
