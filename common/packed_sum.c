#include "common/packed_sum.h"

#include "common/vector_clones.h"
#include <assert.h>
#include <string.h>

#define BLOCK MN_PACKED_BLOCK
#define HEAD 2u     /* bytes: shift and width */
#define WIDE 16u    /* bytes of a number that is left as two digits */
#define LOW_BITS 47 /* of a digit: a number is high * 2^47 + low */
#define LOW_MASK ((INT64_C(1) << LOW_BITS) - 1)

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "integers are stored as they lie in memory");

/* The bits that some number of a block needs. */
struct span {
    uint64_t low, high;           /* bits that are set, in either digit */
    uint64_t low_size, high_size; /* the same of the magnitudes, or one less for a negative */
};

static struct span carry(size_t n, const int64_t *high, const int64_t *low, int64_t *h, int64_t *l);
static unsigned trailing_zeros(const struct span *span);
static unsigned bits_with_sign(const struct span *span);
static void narrow(size_t n, const int64_t *h, const int64_t *l, unsigned shift, int64_t *v);
static bool widen(size_t n, const int64_t *v, unsigned shift, unsigned width, int64_t *high,
                  int64_t *low);

uint64_t mn_packed_sum_least(uint64_t n)
{
    return (n + BLOCK - 1) / BLOCK * HEAD;
}

uint64_t mn_packed_sum_most(uint64_t n)
{
    return mn_packed_sum_least(n) + n * WIDE;
}

size_t mn_packed_sum_write(size_t n, const int64_t *sum, uint8_t *out)
{
    uint8_t *at = out;
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        size_t size = n - begin < BLOCK ? n - begin : BLOCK;
        int64_t h[BLOCK], l[BLOCK], v[BLOCK];
        struct span span = carry(size, sum + begin, sum + n + begin, h, l);
        unsigned shift = trailing_zeros(&span);
        unsigned bits = bits_with_sign(&span);
        unsigned width = bits == 0 ? 0 : (bits - shift + 7) / 8;
        if (width > sizeof *v) {
            *at++ = 0;
            *at++ = WIDE;
            for (size_t i = 0; i < size; i++, at += WIDE) {
                memcpy(at, &h[i], sizeof *h);
                memcpy(at + sizeof *h, &l[i], sizeof *l);
            }
            continue;
        }
        *at++ = (uint8_t)shift;
        *at++ = (uint8_t)width;
        narrow(size, h, l, shift, v);
        uint8_t bytes[(BLOCK + 1) * sizeof *v]; /* each store of 8 is cut by the next */
        for (size_t i = 0; i < size; i++)
            memcpy(bytes + i * width, &v[i], sizeof *v);
        memcpy(at, bytes, size * width);
        at += size * width;
    }
    return (size_t)(at - out);
}

bool mn_packed_sum_read(const uint8_t *packed, size_t n_bytes, size_t n, int64_t *sum)
{
    mn_packed_reader reader = {.at = packed, .end = packed + n_bytes, .left = n};
    int64_t *high = sum, *low = sum + n;
    for (size_t size; (size = mn_packed_next(&reader)) > 0; high += size, low += size)
        if (!mn_packed_take(&reader, high, low))
            return false;
    return true;
}

size_t mn_packed_next(const mn_packed_reader *reader)
{
    return reader->left < BLOCK ? reader->left : BLOCK;
}

bool mn_packed_take(mn_packed_reader *reader, int64_t *high, int64_t *low)
{
    const size_t size = mn_packed_next(reader);
    const uint8_t *at = reader->at;
    if ((size_t)(reader->end - at) < HEAD)
        return false;
    unsigned shift = at[0], width = at[1];
    at += HEAD;
    if ((size_t)(reader->end - at) < size * width)
        return false;
    if (width == WIDE && shift == 0) {
        for (size_t i = 0; i < size; i++) {
            memcpy(&high[i], at + i * WIDE, sizeof *high);
            memcpy(&low[i], at + i * WIDE + sizeof *high, sizeof *low);
        }
    } else {
        int64_t v[BLOCK];
        uint8_t bytes[(BLOCK + 1) * sizeof *v]; /* 8 are read for each, whatever the width */
        if (width > sizeof *v)
            return false;
        memcpy(bytes, at, size * width);
        memset(bytes + size * width, 0, sizeof *v);
        for (size_t i = 0; i < size; i++)
            memcpy(&v[i], bytes + i * width, sizeof *v);
        if (!widen(size, v, shift, width, high, low))
            return false;
    }
    reader->at = at + size * width;
    reader->left -= size;
    return reader->left > 0 || reader->at == reader->end;
}

/* The digits with all carries done, 0 <= l < 2^47, and the bits that they need. */
MN_VECTOR_CLONES
static struct span carry(size_t n, const int64_t *restrict high, const int64_t *restrict low,
                         int64_t *restrict h, int64_t *restrict l)
{
    uint64_t bits[4] = {0};
    for (size_t i = 0; i < n; i++) {
        int64_t carried = (int64_t)((uint64_t)high[i] + (uint64_t)(low[i] >> LOW_BITS));
        int64_t rest = low[i] & LOW_MASK, sign = carried >> 63;
        h[i] = carried;
        l[i] = rest;
        bits[0] |= (uint64_t)rest;
        bits[1] |= (uint64_t)carried;
        bits[2] |= (uint64_t)(rest ^ (sign & LOW_MASK));
        bits[3] |= (uint64_t)(carried ^ sign);
    }
    return (struct span){bits[0], bits[1], bits[2], bits[3]};
}

static unsigned trailing_zeros(const struct span *span)
{
    if (span->low != 0)
        return (unsigned)__builtin_ctzll(span->low);
    return span->high != 0 ? LOW_BITS + (unsigned)__builtin_ctzll(span->high) : 0;
}

/* 0: all are 0. */
static unsigned bits_with_sign(const struct span *span)
{
    const unsigned word = 64;
    if (span->high_size != 0)
        return word - (unsigned)__builtin_clzll(span->high_size) + LOW_BITS + 1;
    if (span->low_size != 0)
        return word - (unsigned)__builtin_clzll(span->low_size) + 1;
    return span->high != 0 ? 1 : 0; /* all 0, or -1 in units of the last bit and 0 */
}

/* v = (h * 2^47 + l) / 2^shift, which is whole and fits. */
MN_VECTOR_CLONES
static void narrow(size_t n, const int64_t *restrict h, const int64_t *restrict l, unsigned shift,
                   int64_t *restrict v)
{
    if (shift > LOW_BITS)
        for (size_t i = 0; i < n; i++)
            v[i] = h[i] >> (shift - LOW_BITS);
    else
        for (size_t i = 0; i < n; i++)
            v[i] = (int64_t)((uint64_t)h[i] << (LOW_BITS - shift)) + (l[i] >> shift);
}

/* The way back, from integers with `width` bytes that count and other bytes above them. false: the
 * numbers go beyond the digits. */
MN_VECTOR_CLONES
static bool widen(size_t n, const int64_t *restrict v, unsigned shift, unsigned width,
                  int64_t *restrict high, int64_t *restrict low)
{
    unsigned spare = 64 - 8 * (width > 0 ? width : 1);
    if (shift > LOW_BITS) {
        unsigned up = shift - LOW_BITS;
        uint64_t lost = 0;
        if (up > 63)
            return false;
        for (size_t i = 0; i < n; i++) {
            int64_t value = (int64_t)((uint64_t)v[i] << spare) >> spare;
            high[i] = (int64_t)((uint64_t)value << up);
            low[i] = 0;
            lost |= (uint64_t)(high[i] >> up) ^ (uint64_t)value;
        }
        return lost == 0;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t value = (int64_t)((uint64_t)v[i] << spare) >> spare;
        high[i] = value >> (LOW_BITS - shift);
        low[i] = (int64_t)((uint64_t)value << shift) & LOW_MASK;
    }
    return true;
}
