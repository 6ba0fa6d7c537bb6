/* fuzz_learner_card.c: any bytes as the card of a learner of the user's own. What is accepted has tensors and scores, and
 * a digest that is the same each time. */
#include "common/learner_card.h"
#include "tests/fuzz/fuzz_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    mn_learner_card *card = NULL;
    mn_error err;
    mn_fuzz_file file = mn_fuzz_file_open(bytes, n);
    if (mn_learner_card_read(file.path, &card, &err) == MN_OK) {
        const mn_digest one = mn_learner_card_digest(card), two = mn_learner_card_digest(card);
        if (card->n_tensors == 0 || memcmp(&one, &two, sizeof one) != 0)
            abort();
    }
    mn_learner_card_destroy(&card);
    mn_fuzz_file_close(&file);
    return 0;
}
