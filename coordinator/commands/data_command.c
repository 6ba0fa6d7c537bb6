#include "coordinator/commands/commands.h"

#include "coordinator/commands/command_line.h"
#include "worker/data/import/data_import.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_SIZE 28u
#define VAL_SHARE 0.16 /* as mini-ImageNet: 64, 16 and 20 of 100 classes */
#define TEST_SHARE 0.20

static void show(void *user, uint32_t n_done, uint32_t n_all);

mn_status mn_data_command(int argc, char **argv, mn_error *err)
{
    mn_command_line line;
    mn_status status =
        mn_command_line_read(&line, argc, argv, MN_TAKES_IMPORT | MN_TAKES_OUTPUT, err);
    if (status != MN_OK)
        return status;
    if (line.n_arguments < 3 || strcmp(line.arguments[0], "import") != 0)
        return mn_fail(
            err, MN_ERR_USAGE,
            "data: expected import omniglot ZIP... -o FILE, or import folder DIR -o FILE");
    if (line.output == NULL)
        return mn_fail(err, MN_ERR_USAGE, "data import: expected -o FILE");
    uint32_t size = line.size != 0 ? line.size : DEFAULT_SIZE;
    const mn_import_progress progress = {.call = isatty(STDERR_FILENO) ? show : NULL};
    const mn_import_progress *shown = progress.call != NULL ? &progress : NULL;

    if (strcmp(line.arguments[1], "omniglot") == 0) {
        status = mn_import_omniglot(&line.arguments[2], line.n_arguments - 2, line.splits, size,
                                    line.output, shown, err);
    } else if (strcmp(line.arguments[1], "folder") == 0 && line.n_arguments == 3) {
        const mn_import_folder_options options = {.folder = line.arguments[2],
                                                  .image_size = size,
                                                  .channels = line.colour ? 3 : 1,
                                                  .dark_is_ink = line.ink,
                                                  .val_share = VAL_SHARE,
                                                  .test_share = TEST_SHARE,
                                                  .seed = 1};
        status = mn_import_folder(&options, line.output, shown, err);
    } else {
        return mn_fail(err, MN_ERR_USAGE,
                       "data import %s: expected omniglot ZIP..., or folder and one folder",
                       line.arguments[1]);
    }
    if (shown != NULL)
        (void)fputs("\r\033[K", stderr);
    if (status == MN_OK)
        (void)printf("%s\n", line.output);
    return status;
}

static void show(void *user, uint32_t n_done, uint32_t n_all)
{
    (void)user;
    (void)fprintf(stderr, "\r%" PRIu32 "/%" PRIu32 " pictures\033[K", n_done, n_all);
}
