/* fuzz_message.c: libFuzzer target for header frames. Whatever mn_message_unpack accepts must be
 * packed again by mn_message_pack, into no more bytes, and come back as the same bytes from then
 * on. */
#include "proto/message.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mn_message message, again;
    mn_error err;
    if (mn_message_unpack(data, size, &message, &err) != MN_OK)
        return 0;

    uint8_t *first = NULL, *second = NULL;
    size_t n_first = 0, n_second = 0;
    if (mn_message_pack(&message, &first, &n_first, &err) != MN_OK || n_first > size)
        abort();
    if (mn_message_unpack(first, n_first, &again, &err) != MN_OK)
        abort();
    if (mn_message_pack(&again, &second, &n_second, &err) != MN_OK || n_second != n_first ||
        memcmp(first, second, n_first) != 0)
        abort();
    free(second);
    free(first);
    mn_message_fini(&again);
    mn_message_fini(&message);
    return 0;
}
