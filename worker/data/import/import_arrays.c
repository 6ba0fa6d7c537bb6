#include "worker/data/import/data_import.h"

#include "worker/data/import/archive_stream.h"
#include "worker/data/import/array_file.h"
#include "worker/data/import/import_labels.h"
#include "worker/data/import/import_work.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_ARRAYS 256u
#define MOST_PAIRS 32u
#define SAFETENSORS_HEADER ((size_t)1 << 20)

/* An array and where it is. */
struct located {
    mn_array array;
    const char *path;
    bool among_others; /* in its file */
    bool in_archive;
    uint32_t entry; /* of an archive */
};

/* Images and the labels that belong to them; what images are like. */
struct pair {
    const struct located *images, *labels;
    uint32_t n, height, width, channels;
    bool channels_first;
    uint32_t *of; /* [n], the labels; owned */
};

struct reading {
    struct located arrays[MOST_ARRAYS];
    uint32_t n_arrays;
    struct pair pairs[MOST_PAIRS];
    uint32_t n_pairs;
    uint64_t n_images;
    mn_error passed_over; /* why, of the first array that cannot be read; "": all can be */
    mn_error *err;
};

static mn_status locate(struct reading *reading, const char *path);
static mn_status choose_pairs(struct reading *reading, const char *const *paths, size_t n_paths,
                              const char *names);
static mn_status check_pair(struct reading *reading, struct pair *pair);
static mn_status read_labels(struct reading *reading, struct pair *pair);
static mn_status read_images(struct reading *reading, const struct pair *pair, uint64_t first,
                             const mn_import_labels *labels, mn_import_work *work);
static void resolve(const struct reading *reading, mn_import_options *options);

mn_status mn_import_arrays(const char *const *paths, size_t n_paths,
                           const mn_import_options *options, const char *output,
                           const mn_import_progress *progress, mn_import_report *report,
                           mn_error *err)
{
    struct reading *reading = calloc(1, sizeof *reading);
    mn_import_options resolved = *options;
    mn_import_labels labels = {0};
    mn_import_work work = {0};
    mn_status status = MN_OK;
    *report = (mn_import_report){0};
    if (reading == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "reading arrays");
    reading->err = err;
    for (size_t i = 0; i < n_paths && status == MN_OK; i++)
        status = locate(reading, paths[i]);
    if (status == MN_OK)
        status = choose_pairs(reading, paths, n_paths, options->arrays);
    for (uint32_t i = 0; i < reading->n_pairs && status == MN_OK; i++) {
        status = check_pair(reading, &reading->pairs[i]);
        if (status == MN_OK)
            status = read_labels(reading, &reading->pairs[i]);
        if (status == MN_OK)
            mn_import_labels_see(&labels, reading->pairs[i].of, reading->pairs[i].n);
    }
    if (status == MN_OK)
        status = mn_import_labels_begin(&labels, options->class_names, err);
    if (status == MN_OK) {
        resolve(reading, &resolved);
        status = mn_import_work_begin(&work, &resolved, output, progress, report, err);
    }
    uint64_t first = 0;
    for (size_t i = 0; i < n_paths; i++)
        report->on_their_side |= !options->transposed && strcasestr(paths[i], "emnist") != NULL;
    for (uint32_t i = 0; i < reading->n_pairs && status == MN_OK; i++) {
        status = read_images(reading, &reading->pairs[i], first, &labels, &work);
        first += reading->pairs[i].n;
    }
    if (status == MN_OK)
        status = mn_import_work_finish(&work, paths[0], NULL, err);
    mn_import_work_fini(&work);
    mn_import_labels_fini(&labels);
    for (uint32_t i = 0; i < reading->n_pairs; i++)
        free(reading->pairs[i].of);
    free(reading);
    return status;
}

/* Without --size and --colour they stay as they are, a square of the larger side. */
static void resolve(const struct reading *reading, mn_import_options *options)
{
    const struct pair *first = &reading->pairs[0];
    if (options->image_size == 0)
        options->image_size = first->height > first->width ? first->height : first->width;
    if (options->channels == 0)
        options->channels = first->channels;
}

/* Finding ------------------------------------------------------------------------- */

static mn_status add(struct reading *reading, struct located located)
{
    if (reading->n_arrays == MOST_ARRAYS)
        return mn_fail(reading->err, MN_ERR_DATA, "%s: more than %u arrays", located.path,
                       MOST_ARRAYS);
    reading->arrays[reading->n_arrays++] = located;
    return MN_OK;
}

static mn_status read_header(mn_archive_stream *stream, const char *where, mn_array *array,
                             mn_error *err)
{
    uint8_t *bytes = malloc(MN_ARRAY_HEADER_BYTES);
    size_t n = 0;
    mn_status status = bytes == NULL
                           ? mn_fail(err, MN_ERR_NOMEM, "reading %s", where)
                           : mn_archive_stream_read(stream, bytes, MN_ARRAY_HEADER_BYTES, &n, err);
    if (status == MN_OK)
        status = mn_array_parse(bytes, n, where, array, err);
    free(bytes);
    return status;
}

/* The arrays of an NPZ: a zip with an NPY for each, by its name. Others in it are passed over. */
static mn_status locate_in_archive(struct reading *reading, const char *path)
{
    mn_archive_stream *stream = NULL;
    mn_status status = mn_archive_stream_open(path, true, &stream, reading->err);
    for (uint32_t entry = 0; status == MN_OK; entry++) {
        const char *name = NULL;
        char where[400], shown[200];
        mn_array array = {.name = ""};
        bool is_file = false;
        status = mn_archive_stream_next(stream, &name, &is_file, reading->err);
        if (status != MN_OK || name == NULL)
            break;
        const size_t n = strlen(name);
        if (!is_file || n <= 4 || strcmp(name + n - 4, ".npy") != 0)
            continue;
        mn_import_printable(name, shown);
        (void)snprintf(where, sizeof where, "%.180s: %s", path, shown);
        mn_error why = {0};
        status = read_header(stream, where, &array, &why);
        if (status == MN_ERR_DATA) { /* an array of texts beside images is no reason to give up */
            if (reading->passed_over.message[0] == '\0')
                reading->passed_over = why;
            status = MN_OK;
            continue;
        }
        (void)snprintf(array.name, sizeof array.name, "%.*s", (int)strnlen(shown, 199) - 4, shown);
        if (status == MN_OK)
            status = add(reading, (struct located){.array = array,
                                                   .path = path,
                                                   .among_others = true,
                                                   .in_archive = true,
                                                   .entry = entry});
        else
            (void)mn_fail(reading->err, status, "%s", why.message);
    }
    mn_archive_stream_destroy(&stream);
    return status;
}

static mn_status locate_tensors(struct reading *reading, mn_archive_stream *stream,
                                const char *path, const uint8_t before[9])
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++)
        n |= (uint64_t)before[i] << (8 * i);
    if (n == 0 || n > SAFETENSORS_HEADER)
        return mn_fail(reading->err, MN_ERR_DATA,
                       "%s: its safetensors header would have %" PRIu64 " bytes; at most %zu are "
                       "read",
                       path, n, SAFETENSORS_HEADER);
    char *header = malloc((size_t)n);
    mn_array *arrays = NULL;
    size_t got = 0, n_arrays = 0;
    mn_status status = header == NULL ? mn_fail(reading->err, MN_ERR_NOMEM, "reading %s", path)
                                      : mn_archive_stream_read(stream, header + 1, (size_t)n - 1,
                                                               &got, reading->err);
    if (status == MN_OK && got < n - 1)
        status =
            mn_fail(reading->err, MN_ERR_DATA, "%s: its safetensors header is cut short", path);
    if (status == MN_OK) {
        header[0] = (char)before[8];
        status =
            mn_array_parse_safetensors(header, (size_t)n, path, &arrays, &n_arrays, reading->err);
    }
    for (size_t i = 0; i < n_arrays && status == MN_OK; i++)
        status =
            add(reading, (struct located){.array = arrays[i], .path = path, .among_others = true});
    free(arrays);
    free(header);
    return status;
}

static mn_status locate(struct reading *reading, const char *path)
{
    mn_archive_stream *stream = NULL;
    mn_array array = {.name = ""};
    uint8_t before[9] = {0};
    size_t n = 0;
    mn_status status = mn_archive_stream_open(path, false, &stream, reading->err);
    if (status == MN_OK)
        status = mn_archive_stream_read(stream, before, sizeof before, &n, reading->err);
    if (status == MN_OK && n >= 4 && memcmp(before, "PK\3\4", 4) == 0) {
        mn_archive_stream_destroy(&stream);
        return locate_in_archive(reading, path);
    }
    if (status == MN_OK && mn_array_is_safetensors(before, n)) {
        status = locate_tensors(reading, stream, path, before);
        mn_archive_stream_destroy(&stream);
        return status;
    }
    mn_archive_stream_destroy(&stream);
    if (status == MN_OK)
        status = mn_archive_stream_open(path, false, &stream, reading->err);
    if (status == MN_OK)
        status = read_header(stream, path, &array, reading->err);
    (void)snprintf(array.name, sizeof array.name, "%.*s", (int)sizeof array.name - 1, path);
    if (status == MN_OK)
        status = add(reading, (struct located){.array = array, .path = path});
    mn_archive_stream_destroy(&stream);
    return status;
}

/* Choosing ------------------------------------------------------------------------ */

static mn_status add_pair(struct reading *reading, const struct located *images,
                          const struct located *labels)
{
    if (reading->n_pairs == MOST_PAIRS)
        return mn_fail(reading->err, MN_ERR_USAGE, "more than %u pairs of arrays", MOST_PAIRS);
    reading->pairs[reading->n_pairs++] = (struct pair){.images = images, .labels = labels};
    return MN_OK;
}

/* What is in the files, for a message. */
static void list_arrays(const struct reading *reading, char out[600])
{
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < reading->n_arrays && used < 400; i++) {
        char text[128];
        mn_array_describe(&reading->arrays[i].array, text);
        used += (size_t)snprintf(out + used, 600 - used, "%s%s %s", i > 0 ? ", " : "",
                                 reading->arrays[i].array.name, text);
    }
    if (reading->n_arrays == 0)
        (void)snprintf(out, 600, "none that can be read");
}

static mn_status pairs_by_name(struct reading *reading, const char *names)
{
    char *copy = strdup(names), *rest = copy, found[600];
    const struct located *first = NULL;
    mn_status status = copy == NULL ? mn_fail(reading->err, MN_ERR_NOMEM, "arrays") : MN_OK;
    for (char *name; status == MN_OK && (name = strsep(&rest, ",")) != NULL;) {
        uint32_t i = 0;
        while (i < reading->n_arrays && strcmp(reading->arrays[i].array.name, name) != 0)
            i++;
        list_arrays(reading, found);
        if (i == reading->n_arrays)
            status = mn_fail(reading->err, MN_ERR_USAGE,
                             "--arrays %.100s: there is no array %.100s; there are: %s", names,
                             name, found);
        else if (first == NULL)
            first = &reading->arrays[i];
        else {
            status = add_pair(reading, first, &reading->arrays[i]);
            first = NULL;
        }
    }
    if (status == MN_OK && (first != NULL || reading->n_pairs == 0))
        status = mn_fail(reading->err, MN_ERR_USAGE,
                         "--arrays %.100s: expected IMAGES,LABELS and more such pairs", names);
    free(copy);
    return status;
}

static bool may_be_images(const mn_array *array)
{
    return array->rank >= 3;
}

static bool may_be_labels(const mn_array *array)
{
    return (array->rank == 1 || (array->rank == 2 && array->shape[1] == 1)) &&
           array->type < MN_ARRAY_FLOAT;
}

/* Of one file: the only array of images and the only one of labels. */
static mn_status pair_by_kind(struct reading *reading, const char *path)
{
    const struct located *images = NULL, *labels = NULL;
    uint32_t n_images = 0, n_labels = 0;
    char found[600];
    for (uint32_t i = 0; i < reading->n_arrays; i++) {
        const struct located *here = &reading->arrays[i];
        n_images += may_be_images(&here->array);
        n_labels += may_be_labels(&here->array);
        images = may_be_images(&here->array) ? here : images;
        labels = may_be_labels(&here->array) ? here : labels;
    }
    if (n_images == 1 && n_labels == 1)
        return add_pair(reading, images, labels);
    list_arrays(reading, found);
    return mn_fail(reading->err, n_images * n_labels == 0 ? MN_ERR_DATA : MN_ERR_USAGE,
                   "%.200s has %" PRIu32 " arrays that may be images ([n, h, w], [n, h, w, c] or "
                   "[n, c, h, w]) and %" PRIu32 " that may be labels (whole numbers, [n]); name "
                   "those that are meant: --arrays IMAGES,LABELS. There are: %s%s%.300s",
                   path, n_images, n_labels, found,
                   reading->passed_over.message[0] != '\0' ? "; not read: " : "",
                   reading->passed_over.message);
}

static mn_status choose_pairs(struct reading *reading, const char *const *paths, size_t n_paths,
                              const char *names)
{
    if (names != NULL)
        return pairs_by_name(reading, names);
    if (n_paths == 1)
        return pair_by_kind(reading, paths[0]);
    mn_status status = MN_OK;
    if (n_paths % 2 != 0 || reading->n_arrays != n_paths)
        return mn_fail(reading->err, MN_ERR_USAGE,
                       "%zu files given: expected files of images and of labels by turns, an array "
                       "in each, as in X.npy Y.npy; or one file with both; or --arrays "
                       "IMAGES,LABELS",
                       n_paths);
    for (size_t i = 0; i < n_paths && status == MN_OK; i += 2)
        status = add_pair(reading, &reading->arrays[i], &reading->arrays[i + 1]);
    return status;
}

static void name_of(const struct located *located, char out[300])
{
    if (located->among_others)
        (void)snprintf(out, 300, "%.180s: array %s", located->path, located->array.name);
    else
        (void)snprintf(out, 300, "%.250s", located->path);
}

static mn_status check_pair(struct reading *reading, struct pair *pair)
{
    const mn_array *images = &pair->images->array, *labels = &pair->labels->array;
    const uint64_t *shape = images->shape;
    char where[300], found[128];
    name_of(pair->images, where);
    mn_array_describe(images, found);
    const bool last = images->rank == 4 && (shape[3] == 1 || shape[3] == 3);
    const bool first = images->rank == 4 && !last && (shape[1] == 1 || shape[1] == 3);
    if (images->rank != 3 && !last && !first)
        return mn_fail(reading->err, MN_ERR_DATA,
                       "%s is %s: expected images as [n, h, w], [n, h, w, c] or [n, c, h, w] with "
                       "1 or 3 channels c%s",
                       where, found,
                       may_be_labels(images) ? "; images come first, then labels" : "");
    const uint64_t height = shape[first ? 2 : 1], width = shape[first ? 3 : 2];
    if (height > MN_PICTURE_MAX_SIDE || width > MN_PICTURE_MAX_SIDE)
        return mn_fail(reading->err, MN_ERR_DATA,
                       "%s is %s: expected images of at most %ux%u pixels", where, found,
                       MN_PICTURE_MAX_SIDE, MN_PICTURE_MAX_SIDE);
    name_of(pair->labels, where);
    mn_array_describe(labels, found);
    if (!may_be_labels(labels))
        return mn_fail(reading->err, MN_ERR_DATA,
                       "%s is %s: expected labels, whole numbers as [n]%s", where, found,
                       labels->rank == 2   ? "; of one-hot rows save y.argmax(1)"
                       : labels->rank == 1 ? "; save y.astype('int64')"
                                           : "; images come first, then labels");
    if (labels->shape[0] != shape[0])
        return mn_fail(reading->err, MN_ERR_DATA,
                       "%s has %" PRIu64 " labels, but there are %" PRIu64 " images: expected one "
                       "for each",
                       where, labels->shape[0], shape[0]);
    reading->n_images += shape[0];
    if (shape[0] > MN_PACK_MAX_IMAGES || reading->n_images > MN_PACK_MAX_IMAGES)
        return mn_fail(reading->err, MN_ERR_DATA,
                       "more than %u images; a packed file holds no more", MN_PACK_MAX_IMAGES);
    pair->n = (uint32_t)shape[0];
    pair->height = (uint32_t)height;
    pair->width = (uint32_t)width;
    pair->channels = last ? (uint32_t)shape[3] : first ? (uint32_t)shape[1] : 1;
    pair->channels_first = first && pair->channels > 1;
    return MN_OK;
}

/* Numbers ------------------------------------------------------------------------- */

/* A stream that stands before an array's first number. */
static mn_status open_array(const struct located *located, mn_archive_stream **out, mn_error *err)
{
    const char *name = NULL;
    bool is_file = false;
    mn_status status = mn_archive_stream_open(located->path, located->in_archive, out, err);
    for (uint32_t entry = 0; located->in_archive && entry <= located->entry && status == MN_OK;
         entry++)
        status = mn_archive_stream_next(*out, &name, &is_file, err);
    return status == MN_OK ? mn_archive_stream_skip(*out, located->array.begin, err) : status;
}

static mn_status cut_short(const struct located *located, uint64_t have, mn_error *err)
{
    char where[300], found[128];
    name_of(located, where);
    mn_array_describe(&located->array, found);
    return mn_fail(err, MN_ERR_DATA,
                   "%s is cut short: its header promises %s, and there are %" PRIu64 " of the "
                   "%" PRIu64 "; save or download it again",
                   where, found, have, located->array.shape[0]);
}

static mn_status read_labels(struct reading *reading, struct pair *pair)
{
    const mn_array *array = &pair->labels->array;
    mn_archive_stream *stream = NULL;
    uint8_t bytes[4096];
    mn_status status = open_array(pair->labels, &stream, reading->err);
    uint32_t done = 0, room = 0;
    while (status == MN_OK && done < pair->n) {
        const size_t most = sizeof bytes / array->bytes;
        const size_t n = pair->n - done < most ? pair->n - done : most;
        size_t got = 0;
        double bad = 0;
        char where[300];
        status = mn_archive_stream_read(stream, bytes, n * array->bytes, &got, reading->err);
        if (status == MN_OK && got < n * array->bytes)
            status = cut_short(pair->labels, done + got / array->bytes, reading->err);
        if (status == MN_OK && done + n > room) { /* as much as is there, whatever is promised */
            room = room == 0 ? 4096 : room > UINT32_MAX / 2 ? UINT32_MAX : 2 * room;
            uint32_t *more = realloc(pair->of, room * sizeof *more);
            if (more == NULL)
                status = mn_fail(reading->err, MN_ERR_NOMEM, "%" PRIu32 " labels", room);
            else
                pair->of = more;
        }
        if (status != MN_OK)
            break;
        const size_t good = mn_array_labels(array, bytes, n, pair->of + done, &bad);
        name_of(pair->labels, where);
        if (good < n)
            status = mn_fail(reading->err, MN_ERR_DATA,
                             "%s: label %zu is %.17g; expected whole numbers of 0 to 999,999",
                             where, done + good, bad);
        done += (uint32_t)n;
    }
    mn_archive_stream_destroy(&stream);
    return status;
}

static void channels_last(const uint8_t *from, const struct pair *pair, uint8_t *out)
{
    const size_t n = (size_t)pair->height * pair->width;
    for (size_t i = 0; i < n; i++)
        for (uint32_t c = 0; c < pair->channels; c++)
            out[i * pair->channels + c] = from[c * n + i];
}

static void say_bad(const struct pair *pair, uint32_t image, double bad, char out[500])
{
    char where[300];
    const mn_array *array = &pair->images->array;
    name_of(pair->images, where);
    (void)snprintf(
        out, 500, "%s: image %" PRIu32 " has a value of %.9g; expected %s", where, image, bad,
        array->type >= MN_ARRAY_FLOAT ? "real numbers of 0 to 1: save X / 255, or X.astype('uint8')"
                                      : "whole numbers of 0 to 255");
}

static void transpose(const uint8_t *from, const struct pair *pair, uint8_t *out)
{
    const size_t size = pair->channels;
    for (size_t y = 0; y < pair->height; y++)
        for (size_t x = 0; x < pair->width; x++)
            memcpy(out + (x * pair->height + y) * size, from + (y * pair->width + x) * size, size);
}

static mn_status read_image(const struct pair *pair, mn_archive_stream *stream, uint32_t image,
                            uint8_t *raw, uint8_t *pixels, mn_import_work *work, mn_error *err,
                            bool *good)
{
    const mn_array *array = &pair->images->array;
    const size_t n = (size_t)pair->height * pair->width * pair->channels;
    size_t got = 0;
    double bad = 0;
    mn_status status = mn_archive_stream_read(stream, raw, n * array->bytes, &got, err);
    if (status == MN_OK && got < n * array->bytes)
        status = cut_short(pair->images, image, err);
    if (status != MN_OK)
        return status;
    *good = mn_array_pixels(array, raw, n, pixels, &bad) == n;
    if (!*good) {
        char why[500];
        say_bad(pair, image, bad, why);
        mn_import_work_damaged(work, why);
    } else if (pair->channels_first) {
        memcpy(raw, pixels, n);
        channels_last(raw, pair, pixels);
    }
    if (*good && work->options->transposed) {
        memcpy(raw, pixels, n);
        transpose(raw, pair, pixels);
    }
    return MN_OK;
}

static mn_status read_images(struct reading *reading, const struct pair *pair, uint64_t first,
                             const mn_import_labels *labels, mn_import_work *work)
{
    const size_t n = (size_t)pair->height * pair->width * pair->channels;
    const bool transposed = work->options->transposed;
    const uint32_t height = transposed ? pair->width : pair->height,
                   width = transposed ? pair->height : pair->width;
    uint8_t *raw = malloc(n * pair->images->array.bytes), *pixels = malloc(n);
    mn_archive_stream *stream = NULL;
    char where[300];
    mn_status status = raw == NULL || pixels == NULL
                           ? mn_fail(reading->err, MN_ERR_NOMEM, "an image of %zu values", n)
                           : open_array(pair->images, &stream, reading->err);
    name_of(pair->images, where);
    for (uint32_t i = 0; i < pair->n && status == MN_OK; i++) {
        bool good = false;
        uint64_t place = 0;
        status = read_image(pair, stream, i, raw, pixels, work, reading->err, &good);
        if (status == MN_OK && good)
            status = mn_import_work_keep(work, pixels, height, width, pair->channels,
                                         (uint32_t)reading->n_images, &place, reading->err);
        if (status == MN_OK && good)
            status = mn_import_labels_add(labels, work, pair->of[i], MN_NO_LABEL, first + i, place,
                                          height, width, where, reading->err);
    }
    mn_archive_stream_destroy(&stream);
    free(raw);
    free(pixels);
    return status;
}
