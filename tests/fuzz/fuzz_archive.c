/* fuzz_archive.c: any bytes as a zip or tar of pictures, as arrays, and as records. Either a description comes of
 * them, or a message. */
#include "fuzz_file.h"
#include "worker/data/import/data_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static mn_import_report report;
    mn_fuzz_file file = mn_fuzz_file_open(bytes, n);
    const char *const paths[] = {file.path, file.path};
    const mn_import_options options = {
        .image_size = 8, .channels = 1, .skip_damaged = true, .shares = {1, 1, 1}, .dry_run = true};
    mn_error err = {.message = ""};
    if (mn_import_folder(file.path, &options, NULL, NULL, &report, &err) != MN_OK &&
        err.message[0] == '\0')
        abort();
    for (size_t n_paths = 1; n_paths <= 2; n_paths++)
        if (mn_import_arrays(paths, n_paths, &options, NULL, NULL, &report, &err) != MN_OK &&
            err.message[0] == '\0')
            abort();
    if (mn_import_cifar(paths, 1, &options, NULL, NULL, &report, &err) != MN_OK &&
        err.message[0] == '\0')
        abort();
    mn_fuzz_file_close(&file);
    return 0;
}
