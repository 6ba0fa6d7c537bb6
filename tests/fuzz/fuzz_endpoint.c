/* fuzz_endpoint.c: any bytes as a run's endpoint file. What is accepted names a place, and perhaps a key. */
#include "tests/fuzz/fuzz_file.h"
#include "worker/program/endpoint.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    mn_endpoint endpoint;
    mn_error err;
    mn_fuzz_file file = mn_fuzz_file_open(bytes, n);
    for (uint64_t chosen = 0; chosen < 3; chosen++)
        if (mn_endpoint_find(file.path, chosen, &endpoint, &err) == MN_OK &&
            (endpoint.address[0] == '\0' ||
             strnlen(endpoint.address, sizeof endpoint.address) == sizeof endpoint.address ||
             strnlen(endpoint.key, sizeof endpoint.key) == sizeof endpoint.key))
            abort();
    mn_fuzz_file_close(&file);
    return 0;
}
