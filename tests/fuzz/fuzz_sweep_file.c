/* fuzz_sweep_file.c: any bytes as a sweep file. What is accepted and not too large makes a plan, or is refused with
 * words; each run of a plan has a name, values and settings that give an experiment. */
#include "coordinator/sweep/plan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static mn_sweep_file file;
    static mn_sweep_plan plan;
    static mn_experiment experiment;
    mn_error err;
    if (mn_sweep_file_parse("fuzz.yaml", (const char *)bytes, n, &file, &err) != MN_OK)
        return 0;
    mn_experiment_init(&experiment);
    const bool small = file.draws <= 20 && file.most_runs <= 20;
    if (small && mn_sweep_plan_make(&file, "fuzz.yaml", &experiment, NULL, 0, &plan, &err) == MN_OK)
        for (uint32_t run = 0; run < plan.n_runs && run < 20; run++) {
            char name[MN_SWEEP_NAME];
            char **sets = NULL;
            size_t n_sets = 0;
            mn_sweep_plan_name(&plan, run, name);
            if (strlen(name) < 4 || mn_sweep_plan_sets(&plan, run, &sets, &n_sets, &err) != MN_OK ||
                mn_sweep_plan_experiment(&plan, run, &experiment, &err) != MN_OK)
                abort();
            for (size_t i = 0; i < n_sets; i++)
                free(sets[i]);
            free(sets);
        }
    mn_sweep_file_fini(&file);
    return 0;
}
