#include "worker/data/dialog_candidates.h"

#include "worker/data/text_lines.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static mn_status read_lines(const char *source, const char *bytes, size_t n,
                            mn_dialog_candidates *out, mn_error *err);
static mn_status sort(const char *source, mn_dialog_candidates *candidates, mn_error *err);
static int compare(const char *a, mn_span words);

mn_status mn_dialog_candidates_parse(const char *source, const char *bytes, size_t n,
                                     mn_dialog_candidates *out, mn_error *err)
{
    memset(out, 0, sizeof *out);
    out->texts = calloc(MN_DIALOG_MAX_CANDIDATES, sizeof *out->texts);
    out->bytes = malloc(n + 1);
    mn_status status = out->texts != NULL && out->bytes != NULL
                           ? read_lines(source, bytes, n, out, err)
                           : mn_fail(err, MN_ERR_NOMEM, "the candidates of %s", source);
    if (status == MN_OK && out->n == 0)
        status =
            mn_fail(err, MN_ERR_DATA,
                    "%s: expected candidates, a line each, as in \"1 where should it be\"", source);
    if (status == MN_OK)
        status = sort(source, out, err);
    out->digest = mn_digest_of(bytes, n);
    if (status != MN_OK)
        mn_dialog_candidates_fini(out);
    return status;
}

void mn_dialog_candidates_fini(mn_dialog_candidates *candidates)
{
    free((void *)candidates->texts);
    free(candidates->bytes);
    free(candidates->sorted);
    free(candidates->at);
    free(candidates->words);
    free(candidates->entities);
    memset(candidates, 0, sizeof *candidates);
}

/* A text is never longer than its line. */
static mn_status read_lines(const char *source, const char *bytes, size_t n,
                            mn_dialog_candidates *out, mn_error *err)
{
    mn_text_lines lines = {.source = source, .left = {bytes, n}};
    char *to = out->bytes;
    for (bool more = true; more;) {
        mn_span line, word;
        uint32_t id, n_words = 0;
        mn_status status = mn_text_lines_next(&lines, &line, &more, err);
        if (status != MN_OK)
            return status;
        if (line.n == 0)
            continue;
        const mn_span all = line;
        const char *text = to;
        if (!mn_span_cut_number(&line, &id))
            return mn_text_lines_refuse(&lines, all, "a number, a space and a sentence", err);
        while ((word = mn_span_cut_word(&line)).n > 0) {
            if (n_words++ > 0)
                *to++ = ' ';
            memcpy(to, word.at, word.n);
            to += word.n;
        }
        *to++ = '\0';
        if (n_words == 0 || n_words > MN_BABI_MAX_LENGTH || memchr(all.at, '\0', all.n) != NULL)
            return mn_text_lines_refuse(&lines, all, "a sentence of 1 to 64 words", err);
        if (out->n == MN_DIALOG_MAX_CANDIDATES)
            return mn_fail(err, MN_ERR_DATA, "%s: more than %u candidates", source,
                           MN_DIALOG_MAX_CANDIDATES);
        out->texts[out->n++] = text;
        if (n_words > out->longest)
            out->longest = n_words;
    }
    return MN_OK;
}

struct place {
    const char *text;
    uint32_t number;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct place *)a)->text, ((const struct place *)b)->text);
}

static mn_status sort(const char *source, mn_dialog_candidates *candidates, mn_error *err)
{
    struct place *places = calloc(candidates->n, sizeof *places);
    mn_status status = MN_OK;
    candidates->sorted = calloc(candidates->n, sizeof *candidates->sorted);
    if (places == NULL || candidates->sorted == NULL) {
        free(places);
        return mn_fail(err, MN_ERR_NOMEM, "the candidates of %s", source);
    }
    for (uint32_t i = 0; i < candidates->n; i++)
        places[i] = (struct place){candidates->texts[i], i};
    qsort(places, candidates->n, sizeof *places, by_text);
    for (uint32_t i = 0; i < candidates->n && status == MN_OK; i++) {
        candidates->sorted[i] = places[i].number;
        if (i > 0 && strcmp(places[i].text, places[i - 1].text) == 0)
            status = mn_fail(err, MN_ERR_DATA,
                             "%s: candidate \"%.80s\" is there twice; expected each once", source,
                             places[i].text);
    }
    free(places);
    return status;
}

mn_status mn_dialog_candidates_number(mn_dialog_candidates *candidates, const mn_words *words,
                                      const mn_dialog_entities *entities, mn_error *err)
{
    const size_t most = (size_t)candidates->n * candidates->longest;
    uint32_t n = 0;
    candidates->at = calloc(candidates->n, sizeof *candidates->at);
    candidates->words = calloc(most, sizeof *candidates->words);
    candidates->entities = calloc(most, sizeof *candidates->entities);
    if (candidates->at == NULL || candidates->words == NULL || candidates->entities == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "the words of %" PRIu32 " candidates", candidates->n);
    for (uint32_t i = 0; i < candidates->n; i++) {
        mn_span text = {candidates->texts[i], strlen(candidates->texts[i])}, word;
        candidates->at[i].first = n;
        while ((word = mn_span_cut_word(&text)).n > 0) {
            const uint32_t number = mn_words_find(words, word.at, word.n);
            candidates->words[n] = number != 0 ? number : mn_words_count(words);
            candidates->entities[n++] =
                entities != NULL ? mn_words_find(entities->names, word.at, word.n) : 0;
        }
        candidates->at[i].n = n - candidates->at[i].first;
    }
    return MN_OK;
}

uint32_t mn_dialog_candidates_find(const mn_dialog_candidates *candidates, const char *text,
                                   size_t n)
{
    uint32_t low = 0, high = candidates->n;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2, at = candidates->sorted[middle];
        const int order = compare(candidates->texts[at], (mn_span){text, n});
        if (order == 0)
            return at;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return UINT32_MAX;
}

/* As strcmp of a text and of words with one space between them. */
static int compare(const char *a, mn_span words)
{
    bool first = true;
    for (mn_span word; (word = mn_span_cut_word(&words)).n > 0; first = false) {
        if (!first && *a != ' ')
            return (unsigned char)*a - ' ';
        a += !first;
        for (size_t i = 0; i < word.n; i++, a++)
            if (*a != word.at[i])
                return (unsigned char)*a - (unsigned char)word.at[i];
    }
    return *a == '\0' ? 0 : 1;
}
