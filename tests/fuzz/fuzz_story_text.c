/* fuzz_story_text.c: any bytes as a story that a person wrote, and as a question about it. Either all
 * numbers of what is read lie within what is there, or it is refused with a message. */
#include "worker/data/story_text.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_words(const mn_story_text *text, const mn_words *words, mn_babi_words some,
                        uint32_t most)
{
    if (some.n == 0 || some.n > most || some.first + some.n > text->n_words)
        abort();
    for (uint32_t i = 0; i < some.n; i++)
        if (text->words[some.first + i] == 0 ||
            text->words[some.first + i] >= mn_words_count(words))
            abort();
}

static void check(const mn_story_text *text, const mn_words *words, const mn_story_limits *limits)
{
    for (uint32_t i = 0; i < text->n_sentences; i++)
        check_words(text, words, text->sentences[i], limits->sentence);
    for (uint32_t i = 0; i < text->n_questions; i++) {
        const mn_story_question *question = &text->questions[i];
        check_words(text, words, question->words, limits->question);
        if (question->n_so_far == 0 || question->answer >= mn_words_count(words) ||
            question->first_sentence + question->n_so_far > text->n_sentences)
            abort();
    }
    if (text->n_new != mn_words_count(words) - 1)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const mn_story_limits limits = {7, 5};
    mn_words *words = NULL;
    mn_story_text text;
    mn_error err = {.message = ""};
    char *question = malloc(n + 1);
    if (question == NULL || mn_words_new(&words, NULL) != MN_OK)
        abort();
    memcpy(question, bytes, n);
    question[n] = '\0';
    if (mn_story_text_parse("story", (const char *)bytes, n, &limits, words, &text, &err) ==
        MN_OK) {
        check(&text, words, &limits);
        for (int i = 0; i < 2; i++)
            if (mn_story_text_ask(&text, question, &limits, words, &err) != MN_OK &&
                err.message[0] == '\0')
                abort();
    } else if (err.message[0] == '\0') {
        abort();
    }
    mn_story_text_fini(&text);
    mn_words_destroy(&words);
    free(question);
    return 0;
}
