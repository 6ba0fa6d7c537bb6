/* fuzz_array_file.c: any bytes as a file of arrays and as names of classes. Whatever header is taken describes an
 * array whose bytes can be counted, and numbers taken as pixels and labels are in their ranges. */
#include "worker/data/import/array_file.h"
#include "worker/data/import/label_names.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void look_at(const mn_array *array, const uint8_t *bytes, size_t n)
{
    char text[128];
    uint64_t all = array->bytes;
    double bad = 0;
    mn_array_describe(array, text);
    if (array->rank == 0 || array->rank > MN_ARRAY_RANK || strlen(text) >= sizeof text)
        abort();
    for (uint32_t i = 0; i < array->rank; i++)
        if (array->shape[i] == 0 || __builtin_mul_overflow(all, array->shape[i], &all))
            abort();
    const size_t most = n / array->bytes;
    uint8_t *pixels = malloc(most + 1);
    uint32_t *labels = malloc((most + 1) * sizeof *labels);
    if (pixels == NULL || labels == NULL)
        abort();
    if (mn_array_pixels(array, bytes, most, pixels, &bad) > most)
        abort();
    const size_t good = mn_array_labels(array, bytes, most, labels, &bad);
    for (size_t i = 0; i < good; i++)
        if (labels[i] > 999999)
            abort();
    free(pixels);
    free(labels);
}

static void try_names(const uint8_t *bytes, size_t n)
{
    mn_label_names names;
    mn_error err = {.message = ""};
    char *text = malloc(n + 1);
    if (text == NULL)
        abort();
    memcpy(text, bytes, n);
    text[n] = '\0';
    if (mn_label_names_parse("names", text, n, &names, &err) != MN_OK &&
        (err.message[0] == '\0' || names.n != 0))
        abort();
    mn_label_names_fini(&names);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    mn_array array, *arrays = NULL;
    size_t n_arrays = 0;
    mn_error err = {.message = ""};
    if (mn_array_parse(bytes, n, "array", &array, &err) == MN_OK)
        look_at(&array, bytes, n);
    else if (err.message[0] == '\0')
        abort();
    if (mn_array_is_safetensors(bytes, n) &&
        mn_array_parse_safetensors((const char *)bytes + 8, n - 8, "file", &arrays, &n_arrays,
                                   &err) == MN_OK)
        for (size_t i = 0; i < n_arrays; i++)
            look_at(&arrays[i], bytes, n);
    free(arrays);
    if (n < 4096)
        try_names(bytes, n);
    return 0;
}
