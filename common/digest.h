/* digest.h: fingerprints. SHA-256 (libsodium) where a person or an untrusted file meets a value,
 * XXH3 (xxHash) where only accidents are to be found: frames on the wire, equal theta on all ranks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mn_digest {
    uint8_t bytes[32];
} mn_digest;

typedef struct mn_hasher {
    _Alignas(16) unsigned char state[256]; /* a SHA-256 in progress; opaque */
} mn_hasher;

void mn_hasher_init(mn_hasher *hasher);
void mn_hasher_add(mn_hasher *hasher, const void *bytes, size_t n);
mn_digest mn_hasher_finish(mn_hasher *hasher);

mn_digest mn_digest_of(const void *bytes, size_t n);

/* 64 lower-case hex digits and a NUL. */
void mn_digest_hex(const mn_digest *digest, char text[65]);
/* The way back. false: the text is not 64 hex digits; *out is as before. */
bool mn_digest_read(const char *text, mn_digest *out);

/* XXH3 of 64 bits, seed 0. */
uint64_t mn_checksum(const void *bytes, size_t n);
