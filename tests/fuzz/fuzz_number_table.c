/* fuzz_number_table.c: any bytes as a table of numbers. Either all of its numbers are finite and its
 * rows alike, or it is refused with a message. */
#include "tests/fuzz/fuzz_file.h"
#include "worker/data/number_table.h"
#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    mn_number_table table;
    mn_error err = {.message = ""};
    mn_fuzz_file file = mn_fuzz_file_open(bytes, n);
    if (mn_number_table_read(file.path, 1, 3, "x, y, z", &table, &err) == MN_OK) {
        if (table.n_rows == 0 || table.n_columns == 0 || table.n_columns > 3)
            abort();
        for (size_t i = 0; i < (size_t)table.n_rows * table.n_columns; i++)
            if (!isfinite(table.at[i]))
                abort();
    } else if (err.message[0] == '\0' || table.at != NULL) {
        abort();
    }
    mn_number_table_fini(&table);
    mn_fuzz_file_close(&file);
    return 0;
}
