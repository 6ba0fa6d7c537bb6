#include "common/digest.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>
#include <xxhash.h>

static_assert(sizeof(crypto_hash_sha256_state) <= sizeof((mn_hasher *)0)->state,
              "mn_hasher has room for libsodium's state");
static_assert(_Alignof(crypto_hash_sha256_state) <= 16, "mn_hasher is aligned for it");
static_assert(sizeof(mn_digest) == crypto_hash_sha256_BYTES, "a digest is one SHA-256");

static crypto_hash_sha256_state *state_of(mn_hasher *hasher);

/* sodium_init() is not called: it chooses among implementations, and SHA-256 has one only. */
void mn_hasher_init(mn_hasher *hasher)
{
    (void)crypto_hash_sha256_init(state_of(hasher)); /* cannot fail, as the two below */
}

void mn_hasher_add(mn_hasher *hasher, const void *bytes, size_t n)
{
    if (n > 0)
        (void)crypto_hash_sha256_update(state_of(hasher), bytes, n);
}

mn_digest mn_hasher_finish(mn_hasher *hasher)
{
    mn_digest digest;
    (void)crypto_hash_sha256_final(state_of(hasher), digest.bytes);
    return digest;
}

mn_digest mn_digest_of(const void *bytes, size_t n)
{
    mn_hasher hasher;
    mn_hasher_init(&hasher);
    mn_hasher_add(&hasher, bytes, n);
    return mn_hasher_finish(&hasher);
}

void mn_digest_hex(const mn_digest *digest, char text[65])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof digest->bytes; i++) {
        text[2 * i] = digits[digest->bytes[i] >> 4];
        text[2 * i + 1] = digits[digest->bytes[i] & 15];
    }
    text[64] = '\0';
}

bool mn_digest_read(const char *text, mn_digest *out)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    mn_digest read;
    if (strlen(text) != 2 * sizeof read.bytes)
        return false;
    for (size_t i = 0; i < sizeof read.bytes; i++) {
        const char *high = strchr(digits, text[2 * i]), *low = strchr(digits, text[2 * i + 1]);
        if (high == NULL || low == NULL)
            return false;
        read.bytes[i] = (uint8_t)(((high - digits) & 15) << 4 | ((low - digits) & 15));
    }
    *out = read;
    return true;
}

uint64_t mn_checksum(const void *bytes, size_t n)
{
    return XXH3_64bits(bytes, n);
}

static crypto_hash_sha256_state *state_of(mn_hasher *hasher)
{
    return (crypto_hash_sha256_state *)(void *)hasher->state;
}
