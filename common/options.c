#include "common/options.h"

#include "common/number_text.h"
#include "common/text.h"
#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 64, NUMBER = 40, RANGE = 2 * NUMBER + 8, WIDE = 256 };

static mn_status set_bool(const mn_option *option, const char *text, bool *out, mn_error *err);
static mn_status set_whole(const mn_option *option, const char *text, int64_t *out, mn_error *err);
static mn_status set_real(const mn_option *option, const char *text, double *out, mn_error *err);
static mn_status set_choice(const mn_option *option, const char *text, unsigned *out,
                            mn_error *err);
static mn_status set_text(const mn_option *option, const char *text, char *out, mn_error *err);
static mn_status set_list(const mn_option *option, const char *text, void *settings, mn_error *err);
static mn_status not_in_range(const mn_option *option, const char *text, const char *fault,
                              mn_error *err);
static bool is_name(const char *text);
static bool takes_list(const mn_option *option);
static const char *quoted(const char *text, char shown[SHOWN]);
static const char *number(double value, char out[NUMBER]);
static const char *range(const mn_option *option, char out[RANGE]);
static const char *expected(const mn_option *option, char out[WIDE]);
static void list_text(const mn_uint_list *list, char out[MN_OPTION_LONGEST]);
static void quoted_text(const char *text, char out[MN_OPTION_LONGEST]);
static size_t append(char out[MN_OPTION_LONGEST], size_t used, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void mn_options_default(const mn_option_table *table, void *settings)
{
    assert(table->n <= MN_MAX_OPTIONS);
    for (size_t i = 0; i < table->n; i++) {
        mn_status status = mn_option_set(&table->rows[i], table->rows[i].fallback, settings, NULL);
        assert(status == MN_OK);
        (void)status;
    }
}

const mn_option *mn_options_find(const mn_option_table *table, const char *key)
{
    for (size_t i = 0; i < table->n; i++)
        if (strcmp(table->rows[i].key, key) == 0)
            return &table->rows[i];
    return NULL;
}

size_t mn_option_section(const char *key)
{
    const char *dot = strchr(key, '.');
    return dot == NULL ? 0 : (size_t)(dot - key);
}

/* A right name in the wrong section is as good as one wrong letter. */
mn_status mn_options_unknown(const mn_option_table *table, const char *key, mn_error *err)
{
    char shown[SHOWN];
    const char *dot = strrchr(key, '.');
    const char *leaf = dot == NULL ? key : dot + 1;
    const mn_option *nearest = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < table->n; i++) {
        const mn_option *option = &table->rows[i];
        size_t section = mn_option_section(option->key);
        size_t distance = mn_text_distance(key, option->key);
        size_t elsewhere = mn_text_distance(leaf, option->key + (section > 0 ? section + 1 : 0));
        if (elsewhere < distance)
            distance = elsewhere + 1;
        if (distance < least) {
            least = distance;
            nearest = option;
        }
    }
    if (nearest != NULL && mn_text_is_near(least, leaf))
        return mn_fail(err, MN_ERR_CONFIG, "unknown key %s; did you mean \"%s\"?",
                       quoted(key, shown), nearest->key);
    return mn_fail(err, MN_ERR_CONFIG, "unknown key %s; `mnemo help options` lists all keys",
                   quoted(key, shown));
}

/* One condition "key=a|b" or "key!=a" of `n` bytes. */
static bool holds(const mn_option_table *table, const char *condition, size_t n,
                  const void *settings)
{
    char key[64], value[MN_OPTION_LONGEST];
    const char *equals = memchr(condition, '=', n);
    assert(equals != NULL && (size_t)(equals - condition) < sizeof key);
    const bool is_not = equals[-1] == '!';
    const size_t n_key = (size_t)(equals - condition) - is_not;
    memcpy(key, condition, n_key);
    key[n_key] = '\0';
    const mn_option *option = mn_options_find(table, key);
    assert(option != NULL);
    mn_option_text(option, settings, value);
    const char *end = condition + n;
    if (is_not)
        return strlen(value) != (size_t)(end - equals - 1) ||
               memcmp(value, equals + 1, strlen(value)) != 0;
    for (const char *word = equals + 1; word < end;) {
        const char *bar = memchr(word, '|', (size_t)(end - word));
        size_t length = (size_t)((bar == NULL ? end : bar) - word);
        if (strlen(value) == length && memcmp(value, word, length) == 0)
            return mn_option_is_read(table, option, settings);
        word += length + 1;
    }
    return false;
}

bool mn_option_is_read(const mn_option_table *table, const mn_option *option, const void *settings)
{
    const char *rest = option->readers;
    if (rest == NULL || rest[0] == '\0')
        return true;
    for (bool all = true;;) {
        size_t n = strcspn(rest, ", ");
        all = all && holds(table, rest, n, settings);
        rest += n;
        if (rest[0] == ',') {
            rest++;
            continue;
        }
        if (all || rest[0] == '\0')
            return all;
        rest += strlen(" or ");
        all = true;
    }
}

mn_status mn_options_check_read(const mn_option_table *table, const bool given[MN_MAX_OPTIONS],
                                const void *settings, mn_error *err)
{
    for (size_t i = 0; i < table->n; i++) {
        const mn_option *option = &table->rows[i];
        if (!given[i] || mn_option_is_read(table, option, settings))
            continue;
        char value[MN_OPTION_LONGEST];
        size_t n = strcspn(option->readers, "!=");
        char key[64];
        (void)snprintf(key, sizeof key, "%.*s", (int)n, option->readers);
        mn_option_text(mn_options_find(table, key), settings, value);
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s is read by nothing here, where %s is %.40s: it belongs to %s; leave it "
                       "out, or choose what reads it",
                       option->key, key, value, option->readers);
    }
    return MN_OK;
}

mn_status mn_option_set(const mn_option *option, const char *text, void *settings, mn_error *err)
{
    char *field = (char *)settings + option->offset;
    int64_t whole = 0;
    mn_status status = MN_OK;
    switch (option->type) {
    case MN_OPTION_BOOL:
        return set_bool(option, text, (bool *)field, err);
    case MN_OPTION_U32:
        status = set_whole(option, text, &whole, err);
        if (status == MN_OK)
            *(uint32_t *)(void *)field = (uint32_t)whole;
        return status;
    case MN_OPTION_I32:
        status = set_whole(option, text, &whole, err);
        if (status == MN_OK)
            *(int32_t *)(void *)field = (int32_t)whole;
        return status;
    case MN_OPTION_U64:
        status = set_whole(option, text, &whole, err);
        if (status == MN_OK)
            *(uint64_t *)(void *)field = (uint64_t)whole;
        return status;
    case MN_OPTION_REAL:
        return set_real(option, text, (double *)(void *)field, err);
    case MN_OPTION_CHOICE:
        return set_choice(option, text, (unsigned *)(void *)field, err);
    case MN_OPTION_TEXT:
    case MN_OPTION_NAME:
        return set_text(option, text, field, err);
    case MN_OPTION_PAIR:
    case MN_OPTION_LIST:
        break;
    }
    return set_list(option, text, settings, err);
}

mn_status mn_option_set_items(const mn_option *option, size_t n, const char *const *items,
                              void *settings, mn_error *err)
{
    char wanted[WIDE];
    char *field = (char *)settings + option->offset;
    mn_status status = MN_OK;
    if (!takes_list(option))
        return mn_fail(err, MN_ERR_CONFIG, "%s: a list of %zu, but one value was expected (%s)",
                       option->key, n, expected(option, wanted));
    if (option->type == MN_OPTION_PAIR) {
        double pair[2] = {0};
        if (n != 2)
            return mn_fail(err, MN_ERR_CONFIG, "%s: %zu values, expected 2, as in [%s]",
                           option->key, n, option->fallback);
        for (size_t i = 0; i < 2 && status == MN_OK; i++)
            status = set_real(option, items[i], &pair[i], err);
        if (status == MN_OK)
            memcpy(field, pair, sizeof pair);
        return status;
    }
    mn_uint_list list = {.n = (uint32_t)n};
    if (n > MN_MAX_LIST)
        return mn_fail(err, MN_ERR_CONFIG, "%s: %zu values, expected at most %d", option->key, n,
                       MN_MAX_LIST);
    for (size_t i = 0; i < n && status == MN_OK; i++) {
        int64_t whole = 0;
        status = set_whole(option, items[i], &whole, err);
        list.at[i] = (uint32_t)whole;
    }
    if (status == MN_OK)
        memcpy(field, &list, sizeof list);
    return status;
}

mn_status mn_options_assign(const mn_option_table *table, const char *assignment, void *settings,
                            mn_error *err)
{
    char key[128];
    char shown[SHOWN];
    const char *equals = strchr(assignment, '=');
    if (equals == NULL || equals == assignment || (size_t)(equals - assignment) >= sizeof key)
        return mn_fail(err, MN_ERR_CONFIG, "%s is not KEY=VALUE, as in outer.batch=32",
                       quoted(assignment, shown));
    memcpy(key, assignment, (size_t)(equals - assignment));
    key[equals - assignment] = '\0';
    const mn_option *option = mn_options_find(table, key);
    if (option == NULL)
        return mn_options_unknown(table, key, err);
    return mn_option_set(option, equals + 1, settings, err);
}

void mn_option_text(const mn_option *option, const void *settings, char out[MN_OPTION_LONGEST])
{
    char digits[2][NUMBER];
    const char *field = (const char *)settings + option->offset;
    const double *real = (const double *)(const void *)field;
    switch (option->type) {
    case MN_OPTION_BOOL:
        (void)append(out, 0, "%s", *(const bool *)field ? "true" : "false");
        break;
    case MN_OPTION_U32:
        (void)append(out, 0, "%" PRIu32, *(const uint32_t *)(const void *)field);
        break;
    case MN_OPTION_I32:
        (void)append(out, 0, "%" PRId32, *(const int32_t *)(const void *)field);
        break;
    case MN_OPTION_U64:
        (void)append(out, 0, "%" PRIu64, *(const uint64_t *)(const void *)field);
        break;
    case MN_OPTION_REAL:
        (void)append(out, 0, "%s", number(*real, digits[0]));
        break;
    case MN_OPTION_PAIR:
        (void)append(out, 0, "[%s, %s]", number(real[0], digits[0]), number(real[1], digits[1]));
        break;
    case MN_OPTION_LIST:
        list_text((const mn_uint_list *)(const void *)field, out);
        break;
    case MN_OPTION_CHOICE:
        (void)append(out, 0, "%s", option->choices[*(const unsigned *)(const void *)field]);
        break;
    case MN_OPTION_TEXT:
    case MN_OPTION_NAME:
        quoted_text(field, out);
        break;
    }
}

void mn_options_print(const mn_option_table *table, const void *settings, bool with_help, FILE *out)
{
    const char *section = "";
    size_t n_section = 0;
    char value[MN_OPTION_LONGEST];
    for (size_t i = 0; i < table->n; i++) {
        const mn_option *option = &table->rows[i];
        size_t n = mn_option_section(option->key);
        if (!mn_option_is_read(table, option, settings))
            continue;
        if (n > 0 && (n != n_section || strncmp(section, option->key, n) != 0))
            (void)fprintf(out, "%s%.*s:\n", with_help ? "\n" : "", (int)n, option->key);
        section = option->key;
        n_section = n;

        const char *indent = n > 0 ? "  " : "";
        if (with_help) {
            char wanted[WIDE];
            (void)fprintf(out, "%s# %s (%s%s%s)\n", indent, option->help, expected(option, wanted),
                          option->unit[0] != '\0' ? " " : "", option->unit);
        }
        (void)fprintf(out, "%s%s: ", indent, option->key + (n > 0 ? n + 1 : 0));
        mn_option_text(option, settings, value);
        (void)fprintf(out, "%s\n", value);
    }
}

/* Is "key=choice" a condition of it, be it one of several? */
static bool is_read_for(const mn_option *option, const char *topic)
{
    const char *choice = strchr(topic, '=');
    const size_t key = choice == NULL ? 0 : (size_t)(choice - topic) + 1, n = strlen(topic + key);
    for (const char *at = option->readers; key > 0 && n > 0 && at != NULL && *at != '\0';) {
        const bool same = strncmp(at, topic, key) == 0;
        for (const char *word = at + strcspn(at, "="); *word == '=' || *word == '|';) {
            const size_t length = strcspn(++word, "|, ");
            if (same && length == n && memcmp(word, topic + key, n) == 0)
                return true;
            word += length;
        }
        at += strcspn(at, ", ");
        at += strncmp(at, " or ", strlen(" or ")) == 0 ? strlen(" or ") : *at == ',';
    }
    return false;
}

static bool is_about(const mn_option *option, const char *topic)
{
    size_t n = mn_option_section(option->key);
    return topic == NULL || strcmp(option->key, topic) == 0 || is_read_for(option, topic) ||
           (n > 0 && strlen(topic) == n && memcmp(option->key, topic, n) == 0);
}

size_t mn_options_help(const mn_option_table *table, const char *topic, FILE *out)
{
    int widest = 0;
    size_t n_told = 0;
    for (size_t i = 0; i < table->n; i++)
        if (is_about(&table->rows[i], topic) && (int)strlen(table->rows[i].key) > widest)
            widest = (int)strlen(table->rows[i].key);
    for (size_t i = 0; i < table->n; i++) {
        const mn_option *option = &table->rows[i];
        char wanted[WIDE];
        const char *fallback = option->fallback[0] != '\0' ? option->fallback : "empty";
        if (!is_about(option, topic))
            continue;
        (void)fprintf(out, "  %-*s  %s\n", widest, option->key, option->help);
        (void)fprintf(out, "  %-*s    %s%s%s; default %s\n", widest, "", expected(option, wanted),
                      option->unit[0] != '\0' ? " " : "", option->unit, fallback);
        if (option->readers != NULL)
            (void)fprintf(out, "  %-*s    read where %s\n", widest, "", option->readers);
        n_told++;
    }
    return n_told;
}

static mn_status set_bool(const mn_option *option, const char *text, bool *out, mn_error *err)
{
    /* As YAML 1.1 spells them, and Python too. */
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on",
                                        "False", "True", "No", "Yes", "Off", "On",
                                        "FALSE", "TRUE", "NO", "YES", "OFF", "ON"};
    char shown[SHOWN];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i % 2 == 1;
            return MN_OK;
        }
    }
    return mn_fail(err, MN_ERR_CONFIG, "%s: %s is neither true nor false", option->key,
                   quoted(text, shown));
}

/* A plain decimal, "40_000" and "4e4" too. strtod also knows hexadecimal numbers, "nan" and
 * "infinity": these do not get there. */
static bool read_decimal(const char *text, double *out)
{
    char plain[2 * NUMBER];
    char *end = NULL;
    size_t n = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        const bool between =
            i > 0 && isdigit((unsigned char)text[i - 1]) && isdigit((unsigned char)text[i + 1]);
        if (n + 1 == sizeof plain || (text[i] == '_' && !between))
            return false;
        if (text[i] != '_')
            plain[n++] = text[i];
    }
    plain[n] = '\0';
    if (n == 0 || plain[strspn(plain, "0123456789+-.eE")] != '\0')
        return false;
    *out = strtod(plain, &end);
    return end != plain && *end == '\0';
}

static mn_status set_whole(const mn_option *option, const char *text, int64_t *out, mn_error *err)
{
    double value = 0;
    if (!read_decimal(text, &value) || value != floor(value)) /* infinity is whole: out of range */
        return not_in_range(option, text, "is not a whole number", err);
    if (!(fabs(value) <= MN_OPTION_WHOLE) || value < option->min || value > option->max)
        return not_in_range(option, text, "is out of range", err);
    *out = (int64_t)value;
    return MN_OK;
}

static mn_status set_real(const mn_option *option, const char *text, double *out, mn_error *err)
{
    double value = 0;
    if (!read_decimal(text, &value))
        return not_in_range(option, text, "is not a number", err);
    if (!isfinite(value) || value < option->min || value > option->max)
        return not_in_range(option, text, "is out of range", err);
    *out = value + 0.0; /* -0 becomes 0 */
    return MN_OK;
}

static mn_status set_choice(const mn_option *option, const char *text, unsigned *out, mn_error *err)
{
    char shown[SHOWN];
    char wanted[WIDE];
    const char *nearest = "";
    size_t least = SIZE_MAX;
    for (unsigned i = 0; option->choices[i] != NULL; i++) {
        size_t distance = mn_text_distance(text, option->choices[i]);
        if (distance == 0) {
            *out = i;
            return MN_OK;
        }
        if (distance < least) {
            least = distance;
            nearest = option->choices[i];
        }
    }
    bool near = mn_text_is_near(least, text);
    return mn_fail(err, MN_ERR_CONFIG, "%s: %s is not one of %s%s%s%s", option->key,
                   quoted(text, shown), expected(option, wanted), near ? "; did you mean \"" : "",
                   near ? nearest : "", near ? "\"?" : "");
}

static mn_status set_text(const mn_option *option, const char *text, char *out, mn_error *err)
{
    char shown[SHOWN];
    size_t n = strlen(text);
    if (n >= option->size)
        return mn_fail(err, MN_ERR_CONFIG, "%s: %s is too long (%zu bytes, expected at most %zu)",
                       option->key, quoted(text, shown), n, option->size - 1);
    if ((double)n < option->min)
        return mn_fail(err, MN_ERR_CONFIG, "%s: is empty", option->key);
    if (option->type == MN_OPTION_TEXT && !mn_text_is_plain(text))
        return mn_fail(err, MN_ERR_CONFIG,
                       "%s: %s is not plain text (expected UTF-8 without control characters)",
                       option->key, quoted(text, shown));
    if (option->type == MN_OPTION_NAME && !is_name(text))
        return mn_fail(
            err, MN_ERR_CONFIG,
            "%s: %s is not a name (expected letters, digits, '.', '_' and '-', a letter or "
            "digit first)",
            option->key, quoted(text, shown));
    memmove(out, text, n + 1);
    return MN_OK;
}

/* "[40, 40]" or "40, 40": split in a copy. Nothing that is valid is longer than the copy. */
static mn_status set_list(const mn_option *option, const char *text, void *settings, mn_error *err)
{
    char copy[MN_MAX_LIST * NUMBER];
    char shown[SHOWN];
    const char *items[MN_MAX_LIST + 1];
    size_t n = 0;
    size_t length = strlen(text);
    bool bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    if (length >= sizeof copy)
        return mn_fail(err, MN_ERR_CONFIG, "%s: %s is too long for a list", option->key,
                       quoted(text, shown));
    if (bracketed) {
        text++;
        length -= 2;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';

    bool blank = copy[strspn(copy, " ")] == '\0';
    char *rest = blank ? NULL : copy;
    while (rest != NULL) {
        char *item = strsep(&rest, ",");
        item += strspn(item, " ");
        size_t used = strlen(item);
        while (used > 0 && item[used - 1] == ' ')
            item[--used] = '\0';
        if (n <= MN_MAX_LIST)
            items[n] = item;
        n++;
    }
    return mn_option_set_items(option, n, items, settings, err);
}

static mn_status not_in_range(const mn_option *option, const char *text, const char *fault,
                              mn_error *err)
{
    char shown[SHOWN];
    char limits[RANGE];
    return mn_fail(err, MN_ERR_CONFIG, "%s: %s %s (expected %s)", option->key, quoted(text, shown),
                   fault, range(option, limits));
}

static bool is_name(const char *text)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return text[strspn(text, letters)] == '\0' && strspn(text, "._-") == 0;
}

static bool takes_list(const mn_option *option)
{
    return option->type == MN_OPTION_PAIR || option->type == MN_OPTION_LIST;
}

static const char *quoted(const char *text, char shown[SHOWN])
{
    shown[0] = '"';
    size_t n = mn_text_escape(text, strlen(text), shown + 1, SHOWN - 2);
    memcpy(shown + 1 + n, "\"", 2);
    return shown;
}

/* The shortest decimal that reads back to the same double. Exponents get a fraction ("1.0e-05"),
 * because many YAML readers take "1e-05" for a word. */
static const char *number(double value, char out[NUMBER])
{
    if (fabs(value) <= MN_OPTION_WHOLE && value == floor(value)) {
        (void)snprintf(out, NUMBER, "%.0f", value);
        return out;
    }
    mn_number_shortest(value, out, NUMBER);
    char *exponent = strchr(out, 'e');
    if (exponent != NULL && strchr(out, '.') == NULL) {
        memmove(exponent + 2, exponent, strlen(exponent) + 1);
        exponent[0] = '.';
        exponent[1] = '0';
    }
    return out;
}

static const char *range(const mn_option *option, char out[RANGE])
{
    char low[NUMBER];
    char high[NUMBER];
    (void)snprintf(out, RANGE, "%s .. %s", number(option->min, low), number(option->max, high));
    return out;
}

/* What may stand there, for messages and help. */
static const char *expected(const mn_option *option, char out[WIDE])
{
    char limits[RANGE];
    size_t used = 0;
    out[0] = '\0';
    switch (option->type) {
    case MN_OPTION_BOOL:
        return "true or false";
    case MN_OPTION_U32:
    case MN_OPTION_I32:
    case MN_OPTION_U64:
    case MN_OPTION_REAL:
        (void)snprintf(out, WIDE, "%s", range(option, limits));
        return out;
    case MN_OPTION_PAIR:
        (void)snprintf(out, WIDE, "[low, high] in %s", range(option, limits));
        return out;
    case MN_OPTION_LIST:
        (void)snprintf(out, WIDE, "list of at most %d of %s", MN_MAX_LIST, range(option, limits));
        return out;
    case MN_OPTION_CHOICE:
        for (size_t i = 0; option->choices[i] != NULL && used < WIDE; i++)
            used += (size_t)snprintf(out + used, WIDE - used, "%s%s", i > 0 ? ", " : "",
                                     option->choices[i]);
        return out;
    case MN_OPTION_TEXT:
        return "text";
    case MN_OPTION_NAME:
        return "letters, digits, '.', '_' and '-'";
    }
    return out;
}

static void list_text(const mn_uint_list *list, char out[MN_OPTION_LONGEST])
{
    size_t used = append(out, 0, "[");
    for (uint32_t i = 0; i < list->n; i++)
        used = append(out, used, "%s%" PRIu32, i > 0 ? ", " : "", list->at[i]);
    (void)append(out, used, "]");
}

/* Plain text needs no other escapes between double quotes. */
static void quoted_text(const char *text, char out[MN_OPTION_LONGEST])
{
    size_t used = append(out, 0, "\"");
    for (; *text != '\0'; text++)
        used = append(out, used, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
    (void)append(out, used, "\"");
}

static size_t append(char out[MN_OPTION_LONGEST], size_t used, const char *format, ...)
{
    va_list words;
    va_start(words, format);
    int n = vsnprintf(out + used, MN_OPTION_LONGEST - used, format, words);
    va_end(words);
    assert(n >= 0 && used + (size_t)n < MN_OPTION_LONGEST);
    return used + (size_t)n;
}
