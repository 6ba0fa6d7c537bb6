/* fuzz_data_table.c: any bytes as a table of a user's own, as text or as arrays. Either every cell can be
 * looked at, or it is refused with a message. */
#include "worker/data/data_table.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_LOOKED_AT 100000u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char *const names[] = {"t.csv", "t.tsv", "t.npy", "t.npz", "t.safetensors"};
    const size_t n_names = sizeof names / sizeof *names;
    mn_data_table table;
    mn_error err = {.message = ""};
    if (n == 0)
        return 0;
    char *copy = malloc(n);
    if (copy == NULL)
        abort();
    memcpy(copy, bytes + 1, n - 1);
    copy[n - 1] = '\0';
    if (mn_data_table_parse(names[bytes[0] % n_names], copy, n - 1,
                            (mn_header)(bytes[0] / n_names % 3), &table, &err) == MN_OK) {
        if (table.n_rows == 0 || table.n_columns == 0)
            abort();
        uint32_t left = MOST_LOOKED_AT, first = 0, n_found = 0;
        for (uint32_t r = 0; r < table.n_rows && left > 0; r++)
            for (uint32_t c = 0; c < table.n_columns && left > 0; c++, left--) {
                char word[MN_DATA_TABLE_WORD];
                double number = NAN;
                if (mn_data_table_number(&table, r, c, &number) == MN_CELL_NUMBER &&
                    !isfinite(number))
                    abort();
                mn_data_table_word(&table, r, c, word);
            }
        if (mn_data_table_find(&table, table.columns[0].name, &first, &n_found, &err) == MN_OK &&
            (n_found == 0 || first + n_found > table.n_columns))
            abort();
    } else if (err.message[0] == '\0' || table.n_columns != 0) {
        abort();
    }
    mn_data_table_fini(&table);
    free(copy);
    return 0;
}
