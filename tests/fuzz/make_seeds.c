/* make_seeds FOLDER: valid inputs that our own code writes, a folder for each fuzz target, from
 * which the fuzzer goes on. Seeds of another making lie in NAME.seeds beside the target. */
#include "common/exact_sum.h"
#include "common/file.h"
#include "common/packed_sum.h"
#include "proto/message.h"
#include "worker/data/image_pack.h"
#include <png.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h> /* after stdio.h, which it uses */

typedef mn_status maker(const char *folder, mn_error *err);
static maker make_messages, make_experiments, make_image_packs, make_packed_sums, make_pictures,
    make_stories, make_dialogs;

static const struct {
    const char *target;
    maker *make;
} targets[] = {{"fuzz_message", make_messages},       {"fuzz_experiment", make_experiments},
               {"fuzz_image_pack", make_image_packs}, {"fuzz_packed_sum", make_packed_sums},
               {"fuzz_picture", make_pictures},       {"fuzz_babi_text", make_stories},
               {"fuzz_dialog_text", make_dialogs}};

static void join(char path[4096], const char *folder, const char *name)
{
    (void)snprintf(path, 4096, "%s/%s", folder, name);
}

int main(int argc, char **argv)
{
    mn_error err = {0};
    mn_status status = MN_OK;
    if (argc != 2)
        status = mn_fail(&err, MN_ERR_USAGE, "usage: make_seeds FOLDER");
    for (size_t i = 0; status == MN_OK && i < sizeof targets / sizeof *targets; i++) {
        char folder[4096];
        join(folder, argv[1], targets[i].target);
        status = mn_folder_make(folder, &err);
        if (status == MN_OK)
            status = targets[i].make(folder, &err);
    }
    if (status != MN_OK)
        (void)fprintf(stderr, "make_seeds: %s: %s\n", mn_status_text(status), err.message);
    return mn_status_exit_code(status);
}

static mn_status make_messages(const char *folder, mn_error *err)
{
    char experiment[] = "seed: 1\n";
    const mn_lease lease = {.epoch = 7,
                            .round = {.id = 1,
                                      .kind = MN_ROUND_TRAIN,
                                      .split = MN_TRAIN,
                                      .step = 3,
                                      .first_task = 96,
                                      .n_tasks = 32},
                            .begin = 4,
                            .n = 8};
    const mn_message messages[] = {
        {.kind = MN_MSG_HELLO,
         .hello = {.protocol = MN_PROTOCOL_VERSION,
                   .version = "0.1.0",
                   .name = "host:1",
                   .uuid = {1, 2},
                   .threads = 4}},
        {.kind = MN_MSG_JOIN, .join = {.kernels = "avx2"}},
        {.kind = MN_MSG_WELCOME,
         .welcome = {.run_id = 5,
                     .heartbeat_ms = 1000,
                     .silence_ms = 5000,
                     .data_name = "a.mnd",
                     .experiment = experiment}},
        {.kind = MN_MSG_LEASE, .lease = lease},
        {.kind = MN_MSG_HEARTBEAT},
        {.kind = MN_MSG_REJECT, .reject = {.reason = "another kernel"}},
        {.kind = MN_MSG_ROUND, .round = lease.round},
        {.kind = MN_MSG_RANGE, .range = {.round = 1, .begin = 0, .n = 16}},
        {.kind = MN_MSG_LEAVE},
        {.kind = MN_MSG_VISIT, .visit = {.endpoint = "tcp://127.0.0.1:5555", .for_ms = 10000}},
        {.kind = MN_MSG_LEG, .leg = {.run = 3, .until = 500, .slot = 1}},
    };
    mn_status status = MN_OK;
    for (size_t i = 0; status == MN_OK && i < sizeof messages / sizeof *messages; i++) {
        uint8_t *bytes = NULL;
        size_t n = 0;
        char path[4096], name[16];
        (void)snprintf(name, sizeof name, "%zu", i);
        join(path, folder, name);
        status = mn_message_pack(&messages[i], &bytes, &n, err);
        if (status == MN_OK)
            status = mn_file_write(path, bytes, n, err);
        free(bytes);
    }
    return status;
}

static mn_status make_experiments(const char *folder, mn_error *err)
{
    static const char text[] =
        "# comment\nseed: 3\ntasks:\n  kind: sinusoid\n  phase: [0, 1.5]\n"
        "model:\n  hidden: [40, 40]\n  activation: tanh\nouter:\n  lr: 1e-3\n";
    char path[4096];
    join(path, folder, "0");
    return mn_file_write(path, text, strlen(text), err);
}

/* Without its digest, which fuzz_image_pack.c adds. */
static mn_status make_image_packs(const char *folder, mn_error *err)
{
    static const mn_pack_class classes[] = {{"a", 0, 0, 2}, {"b", 0, 2, 1}};
    static const char *const groups[] = {"letters"};
    static const mn_pack_entry train[] = {{0, 0}, {0, 1}}, test[] = {{1, 3}};
    const mn_pack_index index = {.height = 2,
                                 .width = 2,
                                 .channels = 1,
                                 .n_images = 3,
                                 .n_classes = 2,
                                 .n_groups = 1,
                                 .n_entries = {[MN_TRAIN] = 2, [MN_TEST] = 1},
                                 .classes = classes,
                                 .groups = groups,
                                 .entries = {[MN_TRAIN] = train, [MN_TEST] = test}};
    static const uint8_t pixels[4] = {0, 255, 128, 1};
    char path[4096];
    join(path, folder, "0");

    mn_pack_writer *writer = NULL;
    mn_status status = mn_pack_writer_new(path, &index, &writer, err);
    for (uint32_t i = 0; status == MN_OK && i < index.n_images; i++)
        status = mn_pack_writer_add(writer, pixels, err);
    if (status == MN_OK)
        status = mn_pack_writer_finish(&writer, err);
    mn_pack_writer_abandon(&writer);

    char *bytes = NULL;
    size_t n = 0;
    if (status == MN_OK)
        status = mn_file_read(path, 1 << 20, &bytes, &n, err);
    if (status == MN_OK)
        status = mn_file_write(path, bytes, n - sizeof(mn_digest), err);
    free(bytes);
    return status;
}

static mn_status make_packed_sums(const char *folder, mn_error *err)
{
    enum { N = 70 };
    float row[N] = {1e-3f, -0.25f, 0, 3e-20f, -1e7f, 32};
    int64_t sum[2 * N] = {0};
    uint8_t bytes[1 + 18 * N] = {N};
    char path[4096];
    mn_exact_add(N, row, sum);
    join(path, folder, "0");
    return mn_file_write(path, bytes, 1 + mn_packed_sum_write(N, sum, bytes + 1), err);
}

enum { SIDE = 12 };

static mn_status make_pngs(const char *folder, const uint8_t *pixels, mn_error *err)
{
    static const png_uint_32 formats[] = {PNG_FORMAT_GRAY, PNG_FORMAT_RGB, PNG_FORMAT_RGBA,
                                          PNG_FORMAT_LINEAR_Y};
    mn_status status = MN_OK;
    for (size_t i = 0; status == MN_OK && i < sizeof formats / sizeof *formats; i++) {
        png_image image = {
            .version = PNG_IMAGE_VERSION, .width = SIDE, .height = SIDE, .format = formats[i]};
        char path[4096], name[16];
        uint8_t bytes[8192];
        png_alloc_size_t n = sizeof bytes;
        (void)snprintf(name, sizeof name, "%zu.png", i);
        join(path, folder, name);
        if (!png_image_write_to_memory(&image, bytes, &n, 0, pixels, 0, NULL))
            status = mn_fail(err, MN_ERR_INTERNAL, "%s", image.message);
        else
            status = mn_file_write(path, bytes, n, err);
    }
    return status;
}

static mn_status make_jpegs(const char *folder, const uint8_t *pixels, mn_error *err)
{
    static const struct {
        J_COLOR_SPACE space;
        int n_components;
        bool progressive;
    } kinds[] = {
        {JCS_GRAYSCALE, 1, false}, {JCS_RGB, 3, false}, {JCS_RGB, 3, true}, {JCS_CMYK, 4, false}};
    mn_status status = MN_OK;
    for (size_t i = 0; status == MN_OK && i < sizeof kinds / sizeof *kinds; i++) {
        struct jpeg_compress_struct jpeg = {0};
        struct jpeg_error_mgr errors;
        unsigned char *bytes = NULL;
        unsigned long n = 0;
        char path[4096], name[16];
        jpeg.err = jpeg_std_error(&errors);
        jpeg_create_compress(&jpeg);
        jpeg_mem_dest(&jpeg, &bytes, &n);
        jpeg.image_width = jpeg.image_height = SIDE;
        jpeg.input_components = kinds[i].n_components;
        jpeg.in_color_space = kinds[i].space;
        jpeg_set_defaults(&jpeg);
        if (kinds[i].progressive)
            jpeg_simple_progression(&jpeg);
        jpeg_start_compress(&jpeg, TRUE);
        for (int y = 0; y < SIDE; y++) {
            JSAMPROW row = (uint8_t *)(uintptr_t)(pixels + y * SIDE); /* it only reads */
            (void)jpeg_write_scanlines(&jpeg, &row, 1);
        }
        jpeg_finish_compress(&jpeg);
        jpeg_destroy_compress(&jpeg);
        (void)snprintf(name, sizeof name, "%zu.jpg", i);
        join(path, folder, name);
        status = mn_file_write(path, bytes, n, err);
        free(bytes);
    }
    return status;
}

static mn_status make_pictures(const char *folder, mn_error *err)
{
    uint8_t pixels[SIDE * SIDE * 8];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 37 % 251);
    mn_status status = make_pngs(folder, pixels, err);
    return status == MN_OK ? make_jpegs(folder, pixels, err) : status;
}

static mn_status make_dialogs(const char *folder, mn_error *err)
{
    static const char *const texts[] = {
        ("1 hi\thello what can i help you with\n2 la_tasca R_phone la_tasca_phone\n"
         "3 <SILENCE>\there it is la_tasca_phone\r\n\n1 \tapi_call R_cuisine west\n"),
        "1 hello what can i help you with\n1 here it is la_tasca_phone\n",
        "1 la_tasca R_phone\tla_tasca_phone\n1 la_tasca R_area\twest\n"};
    mn_status status = MN_OK;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts && status == MN_OK; i++) {
        char path[4096], name[2] = {(char)('0' + i), '\0'};
        join(path, folder, name);
        status = mn_file_write(path, texts[i], strlen(texts[i]), err);
    }
    return status;
}

static mn_status make_stories(const char *folder, mn_error *err)
{
    static const char text[] = "1 Mary went to the kitchen.\n2 John took the milk there.\n"
                               "3 Where is Mary? \tkitchen\t1\n4 John isn't home.\r\n"
                               "5 How does he go from here?\tn,w\t2 4\n"
                               "1 Agent-1 is at 3-4.\n2 Where is it?\t3-4\t1\n";
    char path[4096];
    join(path, folder, "0");
    return mn_file_write(path, text, strlen(text), err);
}
