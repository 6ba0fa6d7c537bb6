#include "worker/data/npy.h"

#include "common/text.h"
#include <stdlib.h>
#include <string.h>

#define MAGIC "\x93NUMPY"
#define MOST_BYTES ((uint64_t)1 << 62)
#define MOST_LETTERS 65536u

static const char *value_of(const char *text, const char *key);
static bool read_type(const char *text, mn_npy *out);
static bool read_shape(const char *text, mn_npy *out);
static bool is_moderate(const mn_npy *array);

bool mn_npy_begins(const void *bytes, size_t n)
{
    return n >= sizeof MAGIC - 1 && memcmp(bytes, MAGIC, sizeof MAGIC - 1) == 0;
}

/* Mark, version, the header's length, and a dictionary as Python writes it. */
mn_status mn_npy_parse(const void *bytes, size_t n, const char *where, mn_npy *out,
                       char shown[MN_NPY_SHOWN], mn_error *err)
{
    const uint8_t *at = bytes;
    const size_t before = n > 6 && at[6] == 1 ? 10 : 12;
    *out = (mn_npy){0};
    shown[0] = '\0';
    if (!mn_npy_begins(bytes, n) || n < before || at[6] == 0 || at[6] > 3)
        return mn_fail(err, MN_ERR_DATA, "%s: its NPY header is cut short, or of a version above 3",
                       where);
    size_t length = (size_t)at[8] | (size_t)at[9] << 8;
    if (before == 12)
        length |= (size_t)at[10] << 16 | (size_t)at[11] << 24;
    if (length > n - before || length > MN_NPY_HEADER_BYTES)
        return mn_fail(err, MN_ERR_DATA,
                       "%s: its NPY header is cut short, or longer than %zu bytes", where,
                       MN_NPY_HEADER_BYTES);
    char *text = strndup((const char *)at + before, length);
    if (text == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "%s", where);
    for (size_t end = strlen(text); end > 0 && strchr(" \n", text[end - 1]) != NULL;)
        text[--end] = '\0';
    (void)mn_text_escape(text, strlen(text) < 120 ? strlen(text) : 120, shown, MN_NPY_SHOWN);
    const char *order = value_of(text, "'fortran_order'");
    const bool good = read_type(value_of(text, "'descr'"), out) &&
                      read_shape(value_of(text, "'shape'"), out) && order != NULL;
    out->by_column = good && strncmp(order, "True", 4) == 0;
    out->begin = before + length;
    free(text);
    if (good && !is_moderate(out))
        return mn_fail(err, MN_ERR_DATA, "%s: its array is larger than any memory", where);
    return good ? MN_OK : MN_ERR_CONFIG;
}

/* The text after 'key': in the dictionary; NULL: not there. */
static const char *value_of(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    if (at == NULL)
        return NULL;
    at += strlen(key);
    at += strspn(at, " ");
    if (*at++ != ':')
        return NULL;
    return at + strspn(at, " ");
}

/* '<f4', '|u1', '<U12' */
static bool read_type(const char *text, mn_npy *out)
{
    char *end = NULL;
    if (text == NULL || (text[0] != '\'' && text[0] != '"') || text[1] == '\0' ||
        strchr("<>|=", text[1]) == NULL || text[2] == '\0' || strchr("buifUS", text[2]) == NULL ||
        text[3] < '1' || text[3] > '9')
        return false;
    const unsigned long size = strtoul(text + 3, &end, 10);
    if (*end != text[0] || size > MOST_LETTERS)
        return false;
    out->kind = text[2];
    out->big_endian = text[1] == '>';
    out->bytes = (uint32_t)(out->kind == 'U' ? 4 * size : size);
    if (out->kind == 'U' || out->kind == 'S')
        return true;
    const bool whole = size == 1 || size == 2 || size == 4 || size == 8;
    return whole && (out->kind != 'b' || size == 1) && (out->kind != 'f' || size > 1);
}

/* "(150,)" or "(150, 4)" */
static bool read_shape(const char *text, mn_npy *out)
{
    if (text == NULL || *text++ != '(')
        return false;
    for (;;) {
        text += strspn(text, " ");
        if (*text == ')')
            return out->rank > 0;
        char *end = NULL;
        if (*text < '0' || *text > '9' || out->rank == MN_NPY_RANK)
            return false;
        out->shape[out->rank++] = strtoull(text, &end, 10); /* the most if it is beyond */
        text = end + strspn(end, " ");
        if (*text == ',')
            text++;
        else if (*text != ')')
            return false;
    }
}

static bool is_moderate(const mn_npy *array)
{
    uint64_t bytes = array->bytes;
    for (uint32_t i = 0; i < array->rank; i++) {
        if (array->shape[i] > 0 && bytes > MOST_BYTES / array->shape[i])
            return false;
        bytes *= array->shape[i] > 0 ? array->shape[i] : 1;
    }
    return true;
}
