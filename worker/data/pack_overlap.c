#include "worker/data/pack_overlap.h"

#include "common/digest.h"
#include "common/text.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

/* A training picture by its checksum; where turned pictures are the same, by the least of its turns'. */
struct print {
    uint64_t sum;
    uint32_t image, class_number;
};

struct prints {
    struct print *at; /* [n], by checksum; owned */
    size_t n;
    const mn_image_pack *pack;
    size_t image_bytes;
    uint32_t n_classes; /* of the pack */
    uint32_t side, channels;
    uint8_t *rooms; /* for six pictures, to turn two in; owned; NULL: turned ones are others */
};

static size_t bytes_of(const mn_pack_index *index)
{
    return (size_t)index->height * index->width * index->channels;
}

/* Mark each class that has an entry; NULL: out of memory. The caller frees it. */
static bool *classes_of(const mn_pack_part *part)
{
    bool *taken = calloc((size_t)mn_image_pack_index(part->pack)->n_classes + 1, sizeof *taken);
    for (uint32_t i = 0; i < part->n && taken != NULL; i++)
        taken[part->entries[i].class_number] = true;
    return taken;
}

static bool has_turns(const mn_pack_part *part)
{
    for (uint32_t i = 0; i < part->n; i++)
        if (part->entries[i].quarter_turns > 0)
            return true;
    return false;
}

static void turn(const struct prints *prints, const uint8_t *from, uint8_t *to)
{
    const size_t side = prints->side, channels = prints->channels;
    for (size_t y = 0; y < side; y++)
        for (size_t x = 0; x < side; x++)
            memcpy(to + (y * side + x) * channels, from + (x * side + side - 1 - y) * channels,
                   channels);
}

/* A picture as it is compared, and its checksum: itself, or of its turns the one whose checksum is the least, in one
 * of two rooms. */
static const uint8_t *compared(const struct prints *prints, const uint8_t *pixels, uint32_t room,
                               uint64_t *sum)
{
    const size_t n = prints->image_bytes;
    *sum = mn_checksum(pixels, n);
    if (prints->rooms == NULL)
        return pixels;
    uint8_t *best = prints->rooms + 3 * room * n, *now = best + n, *next = now + n;
    memcpy(best, pixels, n);
    memcpy(now, pixels, n);
    for (uint32_t quarter = 1; quarter < 4; quarter++) {
        turn(prints, now, next);
        const uint64_t other = mn_checksum(next, n);
        if (other < *sum)
            memcpy(best, next, n);
        *sum = other < *sum ? other : *sum;
        uint8_t *last = now;
        now = next;
        next = last;
    }
    return best;
}

static int by_sum(const void *a, const void *b)
{
    const struct print *x = a, *y = b;
    return x->sum < y->sum ? -1 : x->sum > y->sum ? 1 : x->image < y->image ? -1 : 1;
}

static mn_status take_prints(const mn_pack_part *part, const bool *taken, bool turns,
                             struct prints *out, mn_error *err)
{
    const mn_pack_index *index = mn_image_pack_index(part->pack);
    *out = (struct prints){.pack = part->pack,
                           .image_bytes = bytes_of(index),
                           .n_classes = index->n_classes,
                           .side = index->width,
                           .channels = index->channels};
    size_t n = 0;
    for (uint32_t c = 0; c < index->n_classes; c++)
        n += taken[c] ? index->classes[c].n_images : 0;
    out->at = calloc(n + 1, sizeof *out->at);
    out->rooms = turns ? malloc(6 * out->image_bytes) : NULL;
    if (out->at == NULL || (turns && out->rooms == NULL))
        return mn_fail(err, MN_ERR_NOMEM, "checksums of %zu pictures", n);
    for (uint32_t c = 0; c < index->n_classes; c++)
        for (uint32_t i = 0; i < index->classes[c].n_images && taken[c]; i++) {
            const uint32_t image = index->classes[c].first_image + i;
            struct print *print = &out->at[out->n++];
            *print = (struct print){.image = image, .class_number = c};
            (void)compared(out, mn_image_pack_pixels(part->pack, image), 0, &print->sum);
        }
    qsort(out->at, out->n, sizeof *out->at, by_sum);
    return MN_OK;
}

/* The training class that has this very picture; NONE: none has. */
static uint32_t owner_of(const struct prints *prints, const uint8_t *pixels)
{
    uint64_t sum, same;
    const uint8_t *wanted = compared(prints, pixels, 0, &sum);
    size_t low = 0, high = prints->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (prints->at[middle].sum < sum)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < prints->n && prints->at[low].sum == sum; low++)
        if (memcmp(compared(prints, mn_image_pack_pixels(prints->pack, prints->at[low].image), 1,
                            &same),
                   wanted, prints->image_bytes) == 0)
            return prints->at[low].class_number;
    return NONE;
}

/* The names of a pack's classes, sorted, so that those of another are found among them. */
struct name {
    const char *group, *name;
};

static int by_name(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    const int groups = strcmp(x->group, y->group);
    return groups != 0 ? groups : strcmp(x->name, y->name);
}

static struct name name_of(const mn_pack_index *index, uint32_t class_number)
{
    const mn_pack_class *class = &index->classes[class_number];
    return (struct name){index->groups[class->group], class->name};
}

static struct name *sort_names(const mn_pack_index *index, const bool *taken, size_t *n)
{
    struct name *names = calloc((size_t)index->n_classes + 1, sizeof *names);
    *n = 0;
    for (uint32_t c = 0; c < index->n_classes && names != NULL; c++)
        if (taken[c])
            names[(*n)++] = name_of(index, c);
    if (names != NULL && *n > 0)
        qsort(names, *n, sizeof *names, by_name);
    return names;
}

/* How many pictures of a test class are training pictures, and are most of them of one training class?
 * votes [classes of training] is zero before and after. */
static uint32_t count_identical(const struct prints *prints, const mn_image_pack *pack,
                                const mn_pack_class *class, uint32_t *votes, bool *copied)
{
    uint32_t n = 0;
    *copied = false;
    for (uint32_t i = 0; i < class->n_images; i++) {
        const uint32_t owner = owner_of(prints, mn_image_pack_pixels(pack, class->first_image + i));
        if (owner == NONE)
            continue;
        n++;
        votes[owner]++;
        *copied = *copied || 2 * votes[owner] > class->n_images;
    }
    if (n > 0)
        memset(votes, 0, prints->n_classes * sizeof *votes);
    return n;
}

static void compare(const struct prints *prints, const struct name *names, size_t n_names,
                    const mn_pack_part *test, const bool *taken, uint32_t *votes, mn_overlap *out)
{
    const mn_pack_index *index = mn_image_pack_index(test->pack);
    const bool one_size = bytes_of(index) == prints->image_bytes;
    for (uint32_t c = 0; c < index->n_classes; c++) {
        if (!taken[c])
            continue;
        const struct name name = name_of(index, c);
        bool copied = false;
        uint32_t n = 0;
        out->n_classes++;
        const bool named =
            n_names > 0 && bsearch(&name, names, n_names, sizeof *names, by_name) != NULL;
        if (one_size && !named)
            n = count_identical(prints, test->pack, &index->classes[c], votes, &copied);
        out->n_named += named;
        out->n_copied += copied;
        if (!named && !copied) {
            out->n_pictures += index->classes[c].n_images;
            out->n_identical += n;
        }
        if ((named || copied) && out->example[0] == '\0')
            (void)snprintf(out->example, sizeof out->example, "%s/%s", name.group, name.name);
    }
}

mn_status mn_pack_overlap(const mn_pack_part *training, const mn_pack_part *test, mn_overlap *out,
                          mn_error *err)
{
    struct prints prints = {0};
    size_t n_names = 0;
    *out = (mn_overlap){0};
    if (training->pack == NULL || test->pack == NULL)
        return MN_OK;
    const mn_pack_index *index = mn_image_pack_index(training->pack);
    const bool square = index->height == index->width;
    bool *trained = classes_of(training);
    bool *tested = classes_of(test);
    uint32_t *votes = calloc((size_t)index->n_classes + 1, sizeof *votes);
    struct name *names = trained != NULL ? sort_names(index, trained, &n_names) : NULL;
    mn_status status = MN_OK;
    if (trained == NULL || tested == NULL || votes == NULL || names == NULL)
        status = mn_fail(err, MN_ERR_NOMEM, "comparison of training and test classes");
    if (status == MN_OK)
        status = take_prints(training, trained, square && (has_turns(training) || has_turns(test)),
                             &prints, err);
    if (status == MN_OK)
        compare(&prints, names, n_names, test, tested, votes, out);
    free(prints.at);
    free(prints.rooms);
    free(names);
    free(votes);
    free(tested);
    free(trained);
    return status;
}

bool mn_overlap_is_leak(const mn_overlap *overlap)
{
    return overlap->n_named + overlap->n_copied > 0;
}

void mn_overlap_text(const mn_overlap *overlap, char *text, size_t n)
{
    char example[4 * sizeof overlap->example];
    (void)mn_text_escape(overlap->example, strlen(overlap->example), example, sizeof example);
    size_t used = 0;
    if (mn_overlap_is_leak(overlap))
        used = (size_t)snprintf(text, n,
                                "%" PRIu32 " of %" PRIu32
                                " test classes are training classes (%" PRIu32 " by name, %" PRIu32
                                " by their pictures), as %s",
                                overlap->n_named + overlap->n_copied, overlap->n_classes,
                                overlap->n_named, overlap->n_copied, example);
    else
        used = (size_t)snprintf(text, n, "none of %" PRIu32 " test classes is a training class",
                                overlap->n_classes);
    if (used < n)
        (void)snprintf(text + used, n - used,
                       "; %" PRIu32 " of %" PRIu32 "%s test pictures are training pictures too",
                       overlap->n_identical, overlap->n_pictures,
                       mn_overlap_is_leak(overlap) ? " other" : "");
}
