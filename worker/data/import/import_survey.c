#include "worker/data/import/import_survey.h"

#include "common/digest.h"
#include "worker/data/pack_table.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST 4u /* of tasks.image_size */
#define LARGEST 256u
#define FEW_PICTURES 6u /* a task of 5 shots needs so many */

/* A picture's pixels as a number, with which equal ones are found. */
struct mark {
    uint64_t hash;
    uint32_t item;
};

struct survey {
    mn_import_work *work;
    const mn_pack_index *index;
    uint32_t *class_of;      /* [n_images]; owned, as are the next two */
    unsigned char *split_of; /* [n_classes]: a bit for each split */
    struct mark *marks;      /* [n_marks] */
    uint32_t n_marks;
    mn_import_left few, leaks, shared,
        twins;                  /* classes; pictures in two splits, classes, or twice in one */
    mn_import_left light, dark; /* pictures by their rim */
    mn_import_left wide;        /* pictures that are not square */
    uint32_t n_stretched;       /* pictures smaller than what is packed */
    uint32_t n_colourless;
};

static mn_status look_at_pictures(struct survey *survey, mn_error *err);
static void look_at_classes(struct survey *survey);
static void find_twins(struct survey *survey);
static void print(const struct survey *survey, FILE *out);

mn_status mn_import_survey(mn_import_work *work, const mn_pack_index *index, FILE *out,
                           mn_error *err)
{
    struct survey survey = {.work = work, .index = index};
    survey.class_of = calloc((size_t)index->n_images + 1, sizeof *survey.class_of);
    survey.split_of = calloc((size_t)index->n_classes + 1, 1);
    survey.marks = calloc((size_t)index->n_images + 1, sizeof *survey.marks);
    mn_status status = MN_OK;
    if (survey.class_of == NULL || survey.split_of == NULL || survey.marks == NULL)
        status =
            mn_fail(err, MN_ERR_NOMEM, "a description of %" PRIu32 " pictures", index->n_images);
    if (status == MN_OK) {
        look_at_classes(&survey);
        status = look_at_pictures(&survey, err);
    }
    if (status == MN_OK)
        find_twins(&survey);
    if (status == MN_OK && out != NULL)
        print(&survey, out);
    free(survey.class_of);
    free(survey.split_of);
    free(survey.marks);
    return status;
}

/* Counting ------------------------------------------------------------------------ */

static void name_of_class(const mn_pack_index *index, uint32_t number, char *out, size_t size)
{
    const mn_pack_class *class = &index->classes[number];
    (void)snprintf(out, size, "%s/%s", index->groups[class->group], class->name);
}

static void look_at_classes(struct survey *survey)
{
    const mn_pack_index *index = survey->index;
    for (int split = 0; split < MN_N_SPLITS; split++)
        for (uint32_t i = 0; i < index->n_entries[split]; i++)
            survey->split_of[index->entries[split][i].class_number] |= (unsigned char)(1 << split);
    for (uint32_t i = 0; i < index->n_classes; i++) {
        const mn_pack_class *class = &index->classes[i];
        char name[2 * MN_PACK_MAX_NAME + 2];
        for (uint32_t image = 0; image < class->n_images; image++)
            survey->class_of[class->first_image + image] = i;
        name_of_class(index, i, name, sizeof name);
        if (class->n_images < FEW_PICTURES)
            mn_import_left_count(&survey->few, name);
    }
}

static const char *shown(const mn_import_item *item)
{
    return item->path != NULL ? item->path : item->name;
}

/* Of the pixels at the rim, 0 to 255. */
static double rim(const uint8_t *pixels, uint32_t side)
{
    uint64_t sum = 0, n = 0;
    for (uint32_t i = 0; i < side; i++) {
        sum += pixels[i] + pixels[(size_t)(side - 1) * side + i];
        sum += pixels[(size_t)i * side] + pixels[(size_t)i * side + side - 1];
        n += 4;
    }
    return (double)sum / (double)n;
}

static void look_at(struct survey *survey, uint32_t number, const uint8_t *pixels)
{
    const mn_pack_index *index = survey->index;
    const mn_import_item *item = &survey->work->list.items[number];
    mn_import_report *report = survey->work->report;
    const size_t n = (size_t)index->height * index->width * index->channels;
    report->n_png += item->facts.format == MN_PICTURE_PNG;
    report->n_jpeg += item->facts.format == MN_PICTURE_JPEG;
    report->n_plain += item->facts.format == MN_PICTURE_OTHER;
    if (item->facts.height != item->facts.width)
        mn_import_left_count(&survey->wide, shown(item));
    survey->n_stretched += item->facts.height < index->height || item->facts.width < index->width;
    if (index->channels == 3)
        survey->n_colourless += !mn_picture_is_coloured(pixels, n / 3);
    else if (rim(pixels, index->height) > 0.65 * 255)
        mn_import_left_count(&survey->light, shown(item));
    else if (rim(pixels, index->height) < 0.35 * 255)
        mn_import_left_count(&survey->dark, shown(item));
    if (n > 1 && memcmp(pixels, pixels + 1, n - 1) == 0) {
        mn_import_left_count(&report->blank, shown(item)); /* equal, but not for what they show */
        return;
    }
    const mn_digest digest = mn_digest_of(pixels, n);
    struct mark *mark = &survey->marks[survey->n_marks++];
    memcpy(&mark->hash, digest.bytes, sizeof mark->hash);
    mark->item = number;
}

static mn_status look_at_pictures(struct survey *survey, mn_error *err)
{
    mn_import_work *work = survey->work;
    mn_status status = MN_OK;
    for (uint32_t i = 0; i < work->list.n_items && status == MN_OK; i++) {
        status = mn_pixel_store_get(work->store, work->list.items[i].entry, work->pixels, err);
        if (status == MN_OK)
            look_at(survey, i, work->pixels);
    }
    return status;
}

static int compare_marks(const void *a, const void *b)
{
    const struct mark *left = a, *right = b;
    if (left->hash != right->hash)
        return left->hash < right->hash ? -1 : 1;
    return left->item < right->item ? -1 : left->item > right->item;
}

static void count_pair(mn_import_left *left, const mn_import_list *list, uint32_t a, uint32_t b)
{
    char names[160];
    (void)snprintf(names, sizeof names, "%.76s and %.76s", list->items[a].name,
                   list->items[b].name);
    mn_import_left_count(left, names);
}

/* Each picture that equals an earlier one is counted once, for the worst that it does. */
static void find_twins(struct survey *survey)
{
    const mn_import_list *list = &survey->work->list;
    qsort(survey->marks, survey->n_marks, sizeof *survey->marks, compare_marks);
    for (uint32_t i = 1, first = 0; i < survey->n_marks; i++) {
        if (survey->marks[i].hash != survey->marks[first].hash) {
            first = i;
            continue;
        }
        const uint32_t item = survey->marks[i].item, class = survey->class_of[item];
        mn_import_left *worst = &survey->twins;
        uint32_t with = survey->marks[first].item;
        for (uint32_t j = first; j < i && worst != &survey->leaks && j < first + 64; j++) {
            const uint32_t other = survey->class_of[survey->marks[j].item];
            const unsigned char a = survey->split_of[class], b = survey->split_of[other];
            if (other == class)
                continue;
            worst = a != b && a != 0 && b != 0 ? &survey->leaks : &survey->shared;
            with = survey->marks[j].item;
        }
        count_pair(worst, list, with, item);
    }
}

/* Printing ------------------------------------------------------------------------ */

static int compare_counts(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static void print_classes(const mn_pack_index *index, FILE *out)
{
    uint32_t *counts = calloc((size_t)index->n_classes + 1, sizeof *counts);
    if (counts == NULL)
        return; /* a line less of the description */
    for (uint32_t i = 0; i < index->n_classes; i++)
        counts[i] = index->classes[i].n_images;
    qsort(counts, index->n_classes, sizeof *counts, compare_counts);
    (void)fprintf(out,
                  "classes: %" PRIu32 " in %" PRIu32 " group%s; pictures of one: %" PRIu32
                  " at least, %" PRIu32 " in the median, %" PRIu32 " at most\n",
                  index->n_classes, index->n_groups, index->n_groups == 1 ? "" : "s", counts[0],
                  counts[index->n_classes / 2], counts[index->n_classes - 1]);
    free(counts);
}

static void print_sizes(const struct survey *survey, FILE *out)
{
    const mn_import_list *list = &survey->work->list;
    const mn_pack_index *index = survey->index;
    mn_picture_facts least = list->items[0].facts, most = least;
    for (uint32_t i = 1; i < list->n_items; i++) {
        const mn_picture_facts *facts = &list->items[i].facts;
        const uint64_t area = (uint64_t)facts->height * facts->width;
        if (area < (uint64_t)least.height * least.width)
            least = *facts;
        if (area > (uint64_t)most.height * most.width)
            most = *facts;
    }
    (void)fprintf(out, "sizes: %" PRIu32 "x%" PRIu32, least.width, least.height);
    if (least.height != most.height || least.width != most.width)
        (void)fprintf(out, " to %" PRIu32 "x%" PRIu32, most.width, most.height);
    (void)fprintf(out, " pixels, packed as %" PRIu32 "x%" PRIu32 " %s\n", index->width,
                  index->height, index->channels == 1 ? "grey" : "colour");
}

/* Few of many that are the other way round. */
static bool is_odd(const mn_import_left *few, const mn_import_left *many, uint32_t n)
{
    return few->n > 0 && few->n * 5 <= many->n && (few->n + many->n) * 10 >= (uint64_t)n * 9;
}

static void print_if(const mn_import_left *left, const char *what, const char *remedy, FILE *out)
{
    if (left->n > 0)
        mn_import_left_print(left, what, remedy, out);
}

static void print_odd(const struct survey *survey, FILE *out)
{
    const mn_import_work *work = survey->work;
    const uint32_t n = survey->index->n_images;
    print_if(&survey->leaks, "pictures that another split has too, in another class",
             "tests would be too easy: take one of each away", out);
    print_if(&survey->shared, "pictures that another class has too", "", out);
    print_if(&survey->twins, "pictures that are twice in their class",
             "a query may be a support image again", out);
    print_if(&survey->few, "classes of fewer than 6 pictures",
             "5 shots and a query need 6; --min-images leaves them out", out);
    if (is_odd(&survey->light, &survey->dark, n))
        mn_import_left_print(&survey->light, "pictures that are light at the rim",
                             "nearly all others are dark there: are these inverted?", out);
    if (is_odd(&survey->dark, &survey->light, n))
        mn_import_left_print(&survey->dark, "pictures that are dark at the rim",
                             "nearly all others are light there: are these inverted?", out);
    if (survey->light.n * 10 >= (uint64_t)n * 8)
        mn_import_left_print(
            &survey->light, "pictures that are light at the rim",
            work->options->dark_is_ink
                ? "with --ink these were dark; without it paper is 0"
                : "paper is 255 then; if they are drawings, --ink makes it 0, as Omniglot's",
            out);
    if (work->report->on_their_side)
        (void)fprintf(out, "            EMNIST's files hold columns where others hold rows: "
                           "--transposed puts its images upright\n");
    print_if(&survey->wide, "pictures that are not square", "their proportions are lost", out);
    if (survey->n_stretched > 0)
        (void)fprintf(out, "  %8" PRIu32 "  pictures smaller than what is packed: see --size\n",
                      survey->n_stretched);
    if (survey->index->height > LARGEST || survey->index->height < SMALLEST)
        (void)fprintf(out, "            tasks take images of %u to %u pixels a side: see --size\n",
                      SMALLEST, LARGEST);
    if (survey->n_colourless == n)
        (void)fprintf(out,
                      "  %8" PRIu32 "  pictures, all of them, have no colours: without "
                      "--colour they take a third of the time\n",
                      n);
    if (work->n_coloured * 10 > work->n_looked_at)
        (void)fprintf(out,
                      "  %8" PRIu64 "  of %" PRIu64 " pictures looked at have colours, of which "
                      "grey keeps the light alone: see --colour\n",
                      work->n_coloured, work->n_looked_at);
}

static void print(const struct survey *survey, FILE *out)
{
    char *text = NULL;
    size_t n = 0;
    mn_import_report_print(survey->work->report, out);
    print_classes(survey->index, out);
    print_sizes(survey, out);
    FILE *odd = open_memstream(&text, &n);
    if (odd != NULL) {
        print_odd(survey, odd);
        (void)fclose(odd);
        if (n > 0)
            (void)fprintf(out, "look at:\n%s", text);
        free(text);
    }
    mn_pack_table_print_splits(survey->index, out);
    (void)fflush(out); /* what is wrong after this is told after it */
}
