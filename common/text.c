#include "common/text.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST = 63 }; /* bytes of a text whose distance is measured */

static size_t plain_character(const unsigned char *at, size_t n);
static size_t decode(const unsigned char *at, size_t n, uint32_t *code);
static size_t smallest(size_t a, size_t b, size_t c);

bool mn_text_is_plain(const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0, step; i < n; i += step) {
        step = plain_character((const unsigned char *)text + i, n - i);
        if (step == 0)
            return false;
    }
    return true;
}

size_t mn_text_escape(const char *text, size_t n, char *out, size_t size)
{
    static const char dots[] = "...";
    assert(size >= 8);
    size_t used = 0;
    size_t cut = 0; /* the longest whole part that leaves room for the dots */
    for (size_t i = 0; i < n;) {
        char piece[5] = {0};
        size_t step = plain_character((const unsigned char *)text + i, n - i);
        size_t length = step;
        if (step > 0) {
            memcpy(piece, text + i, step);
        } else {
            length = (size_t)snprintf(piece, sizeof piece, "\\x%02x", (unsigned char)text[i]);
            step = 1;
        }
        if (used + length >= size) {
            memcpy(out + cut, dots, sizeof dots);
            return cut + sizeof dots - 1;
        }
        memcpy(out + used, piece, length);
        used += length;
        i += step;
        if (used + sizeof dots <= size)
            cut = used;
    }
    out[used] = '\0';
    return used;
}

size_t mn_text_cut(const char *text, char *out, size_t size)
{
    static const char dots[] = "...";
    assert(size >= 8);
    size_t n = strnlen(text, size);
    if (n < size) {
        memcpy(out, text, n + 1);
        return n;
    }
    const size_t most = size - sizeof dots;
    n = most;
    while (n > most / 2 && text[n] != ' ')
        n--;
    if (text[n] != ' ') /* one long word */
        for (n = most; n > 0 && ((unsigned char)text[n] & 0xc0u) == 0x80u;)
            n--;
    memcpy(out, text, n);
    memcpy(out + n, dots, sizeof dots);
    return n + sizeof dots - 1;
}

/* Optimal string alignment: three rows of the usual table, the oldest one for swaps. */
size_t mn_text_distance(const char *a, const char *b)
{
    size_t n_a = strnlen(a, LONGEST + 1);
    size_t n_b = strnlen(b, LONGEST + 1);
    if (n_a > LONGEST || n_b > LONGEST)
        return SIZE_MAX;

    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0];
    size_t *last = rows[1];
    size_t *now = rows[2];
    for (size_t j = 0; j <= n_b; j++)
        last[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        now[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t other = a[i - 1] == b[j - 1] ? 0 : 1;
            now[j] = smallest(last[j] + 1, now[j - 1] + 1, last[j - 1] + other);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = smallest(now[j], before[j - 2] + 1, SIZE_MAX);
        }
        size_t *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[n_b];
}

bool mn_text_is_near(size_t distance, const char *typed)
{
    size_t letters = strlen(typed);
    return distance <= (letters < 6 ? 1 + letters / 4 : 3);
}

/* Bytes of the character at `at` if it is one that may be shown, else 0. What YAML forbids or takes
 * for a line break is not plain, so plain text between double quotes is read back as it was. */
static size_t plain_character(const unsigned char *at, size_t n)
{
    uint32_t code = 0;
    size_t step = decode(at, n, &code);
    bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    bool separator = code == 0x2028 || code == 0x2029;
    bool not_text = code == 0xfeff || code == 0xfffe || code == 0xffff;
    return control || separator || not_text ? 0 : step;
}

/* Bytes of the UTF-8 sequence at `at`, its code point to *code; 0 for anything overlong, cut or no
 * code point. */
static size_t decode(const unsigned char *at, size_t n, uint32_t *code)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } shapes[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t length = 1; length <= 4; length++) {
        if ((at[0] & shapes[length - 1].mask) != shapes[length - 1].lead)
            continue;
        if (length > n)
            return 0;
        uint32_t value = at[0] & (unsigned char)~shapes[length - 1].mask;
        for (size_t i = 1; i < length; i++) {
            if ((at[i] & 0xc0) != 0x80)
                return 0;
            value = value << 6 | (at[i] & 0x3f);
        }
        if (value < shapes[length - 1].least || value > 0x10ffff ||
            (value >= 0xd800 && value < 0xe000))
            return 0;
        *code = value;
        return length;
    }
    return 0;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}
