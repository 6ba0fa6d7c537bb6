#include "worker/python/sums.h"

#include "common/exact_sum.h"
#include "common/packed_sum.h"
#include <xxhash.h>

/* All else of the library is hidden. */
#define PUBLIC __attribute__((visibility("default")))

PUBLIC uint32_t mnemo_sums_version(void)
{
    return 1;
}

PUBLIC int mnemo_sums_accepts(size_t n, const float *x)
{
    return mn_exact_accepts(n, x) ? 1 : 0;
}

PUBLIC void mnemo_sums_add(size_t n, const float *x, int64_t *sum)
{
    mn_exact_add(n, x, sum);
}

PUBLIC size_t mnemo_sums_most(size_t n)
{
    return (size_t)mn_packed_sum_most(n);
}

PUBLIC size_t mnemo_sums_pack(size_t n, const int64_t *sum, uint8_t *out)
{
    return mn_packed_sum_write(n, sum, out);
}

PUBLIC uint64_t mnemo_sums_checksum(size_t n, const void *bytes)
{
    return XXH3_64bits(bytes, n);
}
