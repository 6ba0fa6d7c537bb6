/* fuzz_tensor_file.c: any bytes as a tensor file. What is accepted must be readable in all its
 * parts. Good seeds are a file with digests and, as those end most mutations early, one without. */
#include "common/tensor_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    mn_tensor_file *file = NULL;
    mn_error err;
    mn_status status = mn_tensor_file_parse(bytes, n, "input", &file, &err);
    if (status != MN_OK && status != MN_ERR_DATA && status != MN_ERR_NOMEM)
        abort();
    if (status != MN_OK)
        return 0;

    for (size_t i = 0; i < mn_tensor_file_count(file); i++) {
        const mn_tensor *tensor = mn_tensor_file_at(file, i);
        size_t n_bytes = (size_t)mn_tensor_count(tensor) * mn_dtype_bytes(tensor->dtype);
        mn_digest read_to_the_end = mn_digest_of(tensor->data, n_bytes);
        (void)read_to_the_end;
        if (n_bytes > n || mn_tensor_file_find(file, tensor->name) != tensor)
            abort();
    }
    (void)mn_tensor_file_metadata(file, "sha256");
    mn_tensor_file_destroy(&file);
    return 0;
}
