/* fuzz_babi_text.c: any bytes as stories with questions, read twice as a training file and then as
 * a test of the words that training knew. What is accepted must hold together: each run of words,
 * sentences and each answer is there. */
#include "worker/data/babi_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check_words(const mn_babi_text *text, mn_babi_words run, uint32_t longest)
{
    require(run.n > 0 && run.n <= longest && longest <= MN_BABI_MAX_LENGTH);
    require(run.first <= text->n_words && run.n <= text->n_words - run.first);
}

static void check(const mn_babi_text *text, const mn_words *words)
{
    const uint32_t known = mn_words_count(words);
    require(text->n_questions > 0 && text->longest_story <= MN_BABI_MAX_STORY);
    for (uint32_t i = 0; i < text->n_sentences; i++)
        check_words(text, text->sentences[i], text->longest_sentence);
    for (uint32_t i = 0; i < text->n_words; i++)
        require(text->words[i] >= 1 && text->words[i] <= known);
    for (uint32_t i = 0; i < text->n_questions; i++) {
        const mn_babi_question *question = &text->questions[i];
        check_words(text, question->words, text->longest_question);
        require(question->answer >= 1 && question->answer <= known);
        require(question->n_so_far <= text->longest_story);
        require(question->first_sentence <= text->n_sentences &&
                question->n_so_far <= text->n_sentences - question->first_sentence);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    mn_words *words = NULL;
    mn_babi_text train, test;
    mn_error err = {0};
    if (mn_words_new(&words, &err) != MN_OK)
        return 0;
    const mn_status status =
        mn_babi_text_parse("stories", (const char *)bytes, n, words, true, &train, &err);
    require(status == MN_OK || status == MN_ERR_DATA || status == MN_ERR_NOMEM);
    if (status != MN_OK) {
        require(strstr(err.message, "stories") != NULL && train.words == NULL);
    } else {
        const uint32_t known = mn_words_count(words);
        check(&train, words);
        require(mn_babi_text_parse("stories", (const char *)bytes, n, words, false, &test, &err) ==
                MN_OK);
        check(&test, words);
        require(mn_words_count(words) == known && test.n_words == train.n_words);
        require(memcmp(test.words, train.words, train.n_words * sizeof *train.words) == 0);
        mn_babi_text_fini(&test);
    }
    mn_babi_text_fini(&train);
    mn_words_destroy(&words);
    return 0;
}
