/* fuzz_description_table.c: any bytes as descriptions of classes: a byte, of which two bits say how the
 * others are cut into a table, and the names of a matrix. Either every class has a name and every
 * number is finite or missing, or all is refused with a message. */
#include "worker/data/description_table.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char *const sources[] = {"table", "classes.txt", "predicates.txt"};
    mn_description_text texts[3] = {{.source = "table"}};
    mn_description_table table;
    mn_error err = {.message = ""};
    char *copies[3] = {NULL, NULL, NULL};
    if (n == 0)
        return 0;
    const unsigned parts = 1 + bytes[0] % 3;
    size_t at = 1;
    for (unsigned i = 0; i < parts; i++) { /* cut at NULs */
        const uint8_t *end = i + 1 < parts ? memchr(bytes + at, '\0', n - at) : NULL;
        const size_t size = end == NULL ? n - at : (size_t)(end - (bytes + at));
        copies[i] = malloc(size + 1);
        if (copies[i] == NULL)
            abort();
        memcpy(copies[i], bytes + at, size);
        copies[i][size] = '\0';
        texts[i] = (mn_description_text){sources[i], copies[i], size};
        at += end == NULL ? size : size + 1;
    }
    if (mn_description_table_parse(texts, &table, &err) == MN_OK) {
        if (table.n_classes == 0 || table.n_attributes == 0)
            abort();
        for (size_t i = 0; i < (size_t)table.n_classes * table.n_attributes; i++)
            if (isinf(table.at[i]))
                abort();
        for (uint32_t i = 0; i < table.n_classes; i++)
            if (mn_description_table_find(&table, table.classes[i]) != i)
                abort();
    } else if (err.message[0] == '\0' || table.at != NULL || table.classes != NULL) {
        abort();
    }
    mn_description_table_fini(&table);
    for (unsigned i = 0; i < 3; i++)
        free(copies[i]);
    return 0;
}
