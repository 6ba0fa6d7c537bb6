/* fuzz_key_file.c: any bytes as a file of keys. A secret that is accepted has a public half; each public key is as long as
 * keys are, and its name is one that keys may have. */
#include "proto/key_file.h"
#include "tests/fuzz/fuzz_file.h"

#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static mn_status take(void *user, const char *key, const char *name, mn_error *err)
{
    (void)user;
    (void)err;
    if (strlen(key) != MN_WIRE_KEY_CHARS || (name[0] != '\0' && !mn_key_name_is_good(name)))
        abort();
    return MN_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char secret[MN_WIRE_KEY_CHARS + 1], public_key[MN_WIRE_KEY_CHARS + 1];
    mn_error err;
    mn_fuzz_file file = mn_fuzz_file_open(bytes, n);
    (void)fchmod(file.fd, 0600);
    (void)mn_key_file_read_public(file.path, take, NULL, &err);
    if (mn_key_file_read_secret(file.path, secret, &err) == MN_OK &&
        mn_wire_public_key(secret, public_key, &err) != MN_OK)
        abort();
    mn_fuzz_file_close(&file);
    return 0;
}
