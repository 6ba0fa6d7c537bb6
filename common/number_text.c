#include "common/number_text.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS 9
#define LEAST 100000000u /* the least number of nine digits */
#define DOUBTFUL 1e-6L   /* how near to a half the rounding is left to printf */
#define SMALLEST 1e-18
#define LARGEST 1e18

/* All exact in 64 bits, for 5^27 < 2^63. */
static const long double powers[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,
                                     1e7L,  1e8L,  1e9L,  1e10L, 1e11L, 1e12L, 1e13L,
                                     1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L, 1e20L,
                                     1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};

static bool scale(double value, uint32_t *digits, int *exponent);
static size_t write_fixed(const char digits[DIGITS], int n, int exponent, char *out);
static size_t write_scientific(const char digits[DIGITS], int n, int exponent, char *out);

size_t mn_number_text(double value, char out[MN_NUMBER_TEXT])
{
    const double size = fabs(value);
    uint32_t scaled;
    int exponent, n = DIGITS;
    char digits[DIGITS], *at = out;
    if (value == 0) {
        (void)strcpy(out, signbit(value) ? "-0" : "0");
        return strlen(out);
    }
    if (LDBL_MANT_DIG < 64 || !(size >= SMALLEST && size < LARGEST) ||
        !scale(size, &scaled, &exponent))
        return (size_t)snprintf(out, MN_NUMBER_TEXT, "%.9g", value);
    for (int i = DIGITS; i-- > 0; scaled /= 10)
        digits[i] = (char)('0' + scaled % 10);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (value < 0)
        *at++ = '-';
    at += exponent >= -4 && exponent < DIGITS ? write_fixed(digits, n, exponent, at)
                                              : write_scientific(digits, n, exponent, at);
    *at = '\0';
    return (size_t)(at - out);
}

size_t mn_count_text(uint64_t count, char out[MN_NUMBER_TEXT])
{
    char digits[MN_NUMBER_TEXT];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + count % 10);
    while ((count /= 10) > 0);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    out[n] = '\0';
    return n;
}

/* value = d.dddddddd * 10^exponent, to nine digits; false: it is too near to the middle between two of
 * them. One multiplication or division by an exact power errs by less than 1e9 / 2^63 in the last digit. */
static bool scale(double value, uint32_t *digits, int *exponent)
{
    int binary;
    (void)frexp(value, &binary);
    int e = (int)floor((binary - 1) * 0.30102999566398120); /* or one more */
    for (;; e++) {
        const int up = DIGITS - 1 - e;
        const long double whole =
            up >= 0 ? (long double)value * powers[up] : (long double)value / powers[-up];
        const uint64_t n = (uint64_t)whole;
        const long double rest = whole - (long double)n;
        if (n >= (uint64_t)LEAST * 10)
            continue;
        if (rest > 0.5L - DOUBTFUL && rest < 0.5L + DOUBTFUL)
            return false;
        *digits = (uint32_t)(n + (rest > 0.5L));
        if (*digits == LEAST * 10) {
            *digits = LEAST;
            e++;
        }
        *exponent = e;
        return true;
    }
}

static size_t write_fixed(const char digits[DIGITS], int n, int exponent, char *out)
{
    char *at = out;
    if (exponent < 0) {
        memcpy(at, "0.0000", 6); /* no more than three zeros behind the point */
        at += 1 - exponent;
        memcpy(at, digits, (size_t)n);
        return (size_t)(at - out) + (size_t)n;
    }
    for (int i = 0; i < n || i <= exponent; i++) {
        if (i == exponent + 1)
            *at++ = '.';
        *at++ = i < n ? digits[i] : '0';
    }
    return (size_t)(at - out);
}

static size_t write_scientific(const char digits[DIGITS], int n, int exponent, char *out)
{
    char *at = out;
    const int size = exponent < 0 ? -exponent : exponent;
    *at++ = digits[0];
    if (n > 1) {
        *at++ = '.';
        memcpy(at, digits + 1, (size_t)n - 1);
        at += n - 1;
    }
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    *at++ = (char)('0' + size / 10);
    *at++ = (char)('0' + size % 10);
    return (size_t)(at - out);
}

void mn_number_shortest(double value, char *out, size_t size)
{
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(out, size, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            return;
    }
}
