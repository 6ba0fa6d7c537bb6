/* fuzz_experiment.c: any bytes as an experiment file. What is accepted prints as YAML that reads
 * back to the same, and so do the parts of a mixture. */
#include "common/experiment.h"
#include "common/mix.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    mn_experiment experiment, again;
    mn_error err;
    mn_experiment_init(&experiment);
    if (mn_experiment_parse(&experiment, "fuzz.yaml", (const char *)bytes, n, &err) != MN_OK)
        return 0;
    (void)mn_experiment_check(&experiment, &err);
    for (uint32_t i = 0; i < mn_mix_parts(&experiment); i++) {
        mn_mix_part part;
        if (mn_mix_read(&experiment, i, &part, &err) == MN_OK && mn_mix_parts(&part.experiment) > 0)
            abort();
    }

    char *text = NULL, *text_again = NULL;
    mn_experiment_init(&again);
    if (mn_experiment_print(&experiment, false, &text, &err) != MN_OK ||
        mn_experiment_parse(&again, "printed.yaml", text, strlen(text), &err) != MN_OK ||
        mn_experiment_print(&again, false, &text_again, &err) != MN_OK)
        abort();
    if (strcmp(text, text_again) != 0)
        abort();
    free(text);
    free(text_again);
    return 0;
}
