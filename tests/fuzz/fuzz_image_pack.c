/* fuzz_image_pack.c: any bytes as a packed image file whose digest is right, as somebody's who
 * makes one on purpose. Every class, split entry and pixel that the index promises can be read. */
#include "common/digest.h"
#include "tests/fuzz/fuzz_file.h"
#include "worker/data/image_pack.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static volatile size_t sink; /* keeps the reads */

static void read_all(const mn_image_pack *pack);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    mn_digest digest = {{0}};
    uint8_t *whole = malloc(n + sizeof digest.bytes);
    if (whole == NULL)
        return 0;
    if (n > 0)
        memcpy(whole, bytes, n);
    digest = mn_digest_of(whole, n);
    memcpy(whole + n, digest.bytes, sizeof digest.bytes);

    mn_fuzz_file file = mn_fuzz_file_open(whole, n + sizeof digest.bytes);
    mn_image_pack *pack = NULL;
    mn_error err;
    if (mn_image_pack_open(file.path, &pack, &err) == MN_OK)
        read_all(pack);
    mn_image_pack_destroy(&pack);
    mn_fuzz_file_close(&file);
    free(whole);
    return 0;
}

static void read_all(const mn_image_pack *pack)
{
    const mn_pack_index *index = mn_image_pack_index(pack);
    size_t n_pixels = (size_t)index->height * index->width * index->channels;
    for (uint32_t i = 0; i < index->n_groups; i++)
        sink = strlen(index->groups[i]);
    for (uint32_t i = 0; i < index->n_classes; i++) {
        const mn_pack_class *one = &index->classes[i];
        sink = strlen(one->name) + strlen(index->groups[one->group]);
        for (uint32_t j = 0; j < one->n_images; j++)
            sink = mn_image_pack_pixels(pack, one->first_image + j)[n_pixels - 1];
    }
    for (int split = 0; split < MN_N_SPLITS; split++)
        for (uint32_t i = 0; i < index->n_entries[split]; i++)
            sink = index->classes[index->entries[split][i].class_number].n_images;
}
