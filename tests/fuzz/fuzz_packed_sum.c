/* The first byte is the number of numbers, the rest their packed sum. What can be read and makes
 * sense comes back from being packed again, in no more bytes. */
#include "common/exact_sum.h"
#include "common/packed_sum.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t sum[2 * UINT8_MAX], again[2 * UINT8_MAX];
    uint8_t packed[18 * UINT8_MAX];
    size_t n = size > 0 ? data[0] : 0;
    if (n == 0 || !mn_packed_sum_read(data + 1, size - 1, n, sum) ||
        !mn_exact_plausible(n, sum, MN_EXACT_MAX_TERMS))
        return 0;
    size_t n_bytes = mn_packed_sum_write(n, sum, packed);
    if (n_bytes > size - 1 || !mn_packed_sum_read(packed, n_bytes, n, again))
        abort();
    for (size_t i = 0; i < n; i++)
        if (mn_exact_value(n, sum, i) != mn_exact_value(n, again, i))
            abort();
    return 0;
}
