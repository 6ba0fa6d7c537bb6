#include "worker/data/words.h"

#include "common/digest.h"
#include "common/text.h"
#include <stdlib.h>
#include <string.h>

typedef char text_of[MN_WORD_BYTES];

struct mn_words {
    text_of *texts; /* [capacity], of which n are taken; owned */
    uint32_t n, capacity;
    uint32_t *buckets; /* [2 * capacity], a power of two: the number, 0: free; owned */
};

static mn_status grow(mn_words *words, mn_error *err);

mn_status mn_words_new(mn_words **out, mn_error *err)
{
    mn_words *words = calloc(1, sizeof *words);
    if (words == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "dictionary");
    mn_status status = grow(words, err);
    if (status != MN_OK) {
        mn_words_destroy(&words);
        return status;
    }
    words->n = 1; /* no word */
    *out = words;
    return MN_OK;
}

void mn_words_destroy(mn_words **words)
{
    if (*words == NULL)
        return;
    free((*words)->texts);
    free((*words)->buckets);
    free(*words);
    *words = NULL;
}

mn_status mn_words_copy(const mn_words *words, mn_words **out, mn_error *err)
{
    mn_words *copy = NULL;
    uint32_t number;
    mn_status status = mn_words_new(&copy, err);
    for (uint32_t i = 1; i < words->n && status == MN_OK; i++)
        status = mn_words_add(copy, words->texts[i], strlen(words->texts[i]), &number, err);
    if (status != MN_OK) {
        if (copy != NULL)
            mn_words_destroy(&copy);
        return status;
    }
    *out = copy;
    return MN_OK;
}

mn_status mn_words_list(const mn_words *words, char **out, mn_error *err)
{
    char *end = *out = malloc((size_t)words->n * MN_WORD_BYTES);
    if (end == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "list of %u words", (unsigned)words->n);
    *end = '\0';
    for (uint32_t i = 1; i < words->n; i++) {
        *end++ = '\n';
        end = stpcpy(end, words->texts[i]);
    }
    return MN_OK;
}

mn_status mn_words_parse(const char *text, mn_words **out, mn_error *err)
{
    mn_words *words = NULL;
    mn_status status = mn_words_new(&words, err);
    const char *word = strchr(text, '\n');
    for (uint32_t wanted = 1; word != NULL && status == MN_OK; wanted++) {
        uint32_t number = 0;
        const size_t n = strcspn(++word, "\n");
        status = mn_words_add(words, word, n, &number, err);
        if (status == MN_OK && number != wanted)
            status = mn_fail(err, MN_ERR_DATA, "a list of words with \"%.*s\" twice", (int)n, word);
        word = word[n] == '\n' ? word + n : NULL;
    }
    if (status != MN_OK) {
        mn_words_destroy(&words);
        return status;
    }
    *out = words;
    return MN_OK;
}

uint32_t mn_words_count(const mn_words *words)
{
    return words->n;
}

const char *mn_words_text(const mn_words *words, uint32_t number)
{
    return number < words->n ? words->texts[number] : "";
}

/* The bucket where a word is, or would be. */
static uint32_t *bucket_of(const mn_words *words, const char *text)
{
    const uint32_t mask = 2 * words->capacity - 1;
    uint32_t at = (uint32_t)mn_checksum(text, strlen(text)) & mask;
    while (words->buckets[at] != 0 && strcmp(words->texts[words->buckets[at]], text) != 0)
        at = (at + 1) & mask;
    return &words->buckets[at];
}

static bool lower(const char *text, size_t n, text_of out)
{
    if (n == 0 || n >= MN_WORD_BYTES)
        return false;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]);
    out[n] = '\0';
    return true;
}

uint32_t mn_words_find(const mn_words *words, const char *text, size_t n)
{
    text_of word;
    return lower(text, n, word) ? *bucket_of(words, word) : 0;
}

mn_status mn_words_add(mn_words *words, const char *text, size_t n, uint32_t *number, mn_error *err)
{
    text_of word;
    if (!lower(text, n, word))
        return mn_fail(err, MN_ERR_DATA, "a word of %zu letters, where 1 to %u are expected", n,
                       MN_WORD_BYTES - 1);
    *number = *bucket_of(words, word);
    if (*number != 0)
        return MN_OK;
    if (words->n == MN_MAX_WORDS)
        return mn_fail(err, MN_ERR_DATA, "more than %u different words", MN_MAX_WORDS - 1);
    mn_status status = words->n == words->capacity ? grow(words, err) : MN_OK;
    if (status != MN_OK)
        return status;
    *number = words->n++;
    memcpy(words->texts[*number], word, sizeof word);
    *bucket_of(words, word) = *number;
    return MN_OK;
}

/* Twice the room, and all buckets anew. */
static mn_status grow(mn_words *words, mn_error *err)
{
    const uint32_t capacity = words->capacity == 0 ? 256 : 2 * words->capacity;
    text_of *texts = realloc(words->texts, capacity * sizeof *texts);
    if (texts != NULL)
        words->texts = texts;
    uint32_t *buckets = calloc(2 * (size_t)capacity, sizeof *buckets);
    if (texts == NULL || buckets == NULL) {
        free(buckets);
        return mn_fail(err, MN_ERR_NOMEM, "dictionary of %u words", (unsigned)capacity);
    }
    memset(words->texts + words->capacity, 0, (capacity - words->capacity) * sizeof *texts);
    free(words->buckets);
    words->buckets = buckets;
    words->capacity = capacity;
    for (uint32_t i = 1; i < words->n; i++)
        *bucket_of(words, words->texts[i]) = i;
    return MN_OK;
}

struct place {
    text_of text;
    uint32_t number;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct place *)a)->text, ((const struct place *)b)->text);
}

mn_status mn_words_sort(mn_words *words, uint32_t **renamed, mn_error *err)
{
    struct place *places = calloc(words->n, sizeof *places);
    uint32_t *names = calloc(words->n, sizeof *names);
    if (places == NULL || names == NULL) {
        free(places);
        free(names);
        return mn_fail(err, MN_ERR_NOMEM, "dictionary of %u words", (unsigned)words->n);
    }
    for (uint32_t i = 1; i < words->n; i++) {
        memcpy(places[i].text, words->texts[i], sizeof places[i].text);
        places[i].number = i;
    }
    qsort(places + 1, words->n - 1, sizeof *places, by_text);
    memset(words->buckets, 0, 2 * (size_t)words->capacity * sizeof *words->buckets);
    for (uint32_t i = 1; i < words->n; i++)
        memcpy(words->texts[i], places[i].text, sizeof places[i].text);
    for (uint32_t i = 1; i < words->n; i++) {
        names[places[i].number] = i;
        *bucket_of(words, words->texts[i]) = i;
    }
    free(places);
    *renamed = names;
    return MN_OK;
}

const char *mn_words_near(const mn_words *words, const char *text)
{
    const char *best = NULL;
    size_t least = SIZE_MAX;
    for (uint32_t i = 1; i < words->n; i++) {
        const size_t distance = mn_text_distance(text, words->texts[i]);
        if (distance < least) {
            least = distance;
            best = words->texts[i];
        }
    }
    return mn_text_is_near(least, text) ? best : NULL;
}
