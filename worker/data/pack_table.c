#include "worker/data/pack_table.h"

#include "common/text.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *const split_names[MN_N_SPLITS] = {"train", "val", "test"};

struct summary {
    uint32_t classes, groups, least, most;
    uint64_t images;
};

/* `seen` has a byte for each class and then for each group, all 0 before and after. */
static struct summary sum_up(const mn_pack_index *index, int split, unsigned char *seen)
{
    struct summary sum = {.least = UINT32_MAX};
    for (uint32_t i = 0; i < index->n_entries[split]; i++) {
        uint32_t number = index->entries[split][i].class_number;
        const mn_pack_class *class = &index->classes[number];
        if (seen[number])
            continue; /* another turn of it */
        sum.classes++;
        sum.images += class->n_images;
        sum.least = class->n_images < sum.least ? class->n_images : sum.least;
        sum.most = class->n_images > sum.most ? class->n_images : sum.most;
        sum.groups += !seen[index->n_classes + class->group];
        seen[number] = seen[index->n_classes + class->group] = 1;
    }
    memset(seen, 0, (size_t)index->n_classes + index->n_groups);
    return sum;
}

void mn_pack_table_print_splits(const mn_pack_index *index, FILE *out)
{
    unsigned char *seen = calloc((size_t)index->n_classes + index->n_groups + 1, 1);
    (void)fputs("split   classes  with turns  groups    images  images a class\n", out);
    for (int split = 0; split < MN_N_SPLITS && seen != NULL; split++) {
        struct summary sum = sum_up(index, split, seen);
        (void)fprintf(out, "%-5s  %8" PRIu32 "  %10" PRIu32 "  %6" PRIu32 "  %8" PRIu64 "  ",
                      split_names[split], sum.classes, index->n_entries[split], sum.groups,
                      sum.images);
        if (sum.classes == 0)
            (void)fputs("-\n", out);
        else if (sum.least == sum.most)
            (void)fprintf(out, "%" PRIu32 "\n", sum.least);
        else
            (void)fprintf(out, "%" PRIu32 " to %" PRIu32 "\n", sum.least, sum.most);
    }
    free(seen);
}

void mn_pack_table_print_classes(const mn_pack_index *index, uint32_t most, FILE *out)
{
    unsigned char *in_split = calloc((size_t)index->n_classes + 1, 1);
    if (in_split == NULL)
        return;
    for (int split = 0; split < MN_N_SPLITS; split++)
        for (uint32_t i = 0; i < index->n_entries[split]; i++)
            in_split[index->entries[split][i].class_number] |= (unsigned char)(1 << split);
    for (uint32_t i = 0; i < index->n_classes && i < most; i++) {
        const mn_pack_class *class = &index->classes[i];
        char group[4 * MN_PACK_MAX_NAME + 8], name[4 * MN_PACK_MAX_NAME + 8], splits[32] = "";
        for (int split = 0; split < MN_N_SPLITS; split++)
            if (in_split[i] >> split & 1)
                (void)snprintf(splits + strlen(splits), sizeof splits - strlen(splits), "%s%s",
                               splits[0] != '\0' ? "," : "", split_names[split]);
        const char *of = index->groups[class->group];
        (void)mn_text_escape(of, strlen(of), group, sizeof group);
        (void)mn_text_escape(class->name, strlen(class->name), name, sizeof name);
        (void)fprintf(out, "%-5s  %8" PRIu32 "  %s/%s\n", splits[0] != '\0' ? splits : "-",
                      class->n_images, group, name);
    }
    free(in_split);
}
