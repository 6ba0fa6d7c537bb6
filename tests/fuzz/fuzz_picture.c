/* fuzz_picture.c: any bytes as a PNG or JPEG. Either all of the result is written or it is refused
 * with a message. */
#include "worker/data/import/picture.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static volatile unsigned sink; /* keeps the reads */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    enum { SIDE = 7 };
    for (uint32_t channels = 1; channels <= 3; channels += 2) {
        uint8_t *out = malloc(SIDE * SIDE * channels); /* so that its end is guarded */
        mn_error err = {0};
        if (out == NULL)
            return 0;
        if (mn_picture_read(bytes, n, SIDE, channels, true, "picture", out, &err) == MN_OK)
            for (uint32_t i = 0; i < SIDE * SIDE * channels; i++)
                sink = out[i];
        else if (strstr(err.message, "picture") == NULL)
            abort();
        free(out);
    }
    return 0;
}
