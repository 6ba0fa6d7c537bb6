/* fuzz_episode_list.c: any bytes as a list of episodes of a small packed file. Either all its items are
 * there and each task is whole, so that it can be drawn, or it is refused with a message. */
#include "worker/data/image_pack.h"
#include "worker/tasks/episode_list.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Classes g/a, g/b, g/c of three pictures of 2 x 2. */
static mn_image_pack *make_pack(void)
{
    static const char *const groups[] = {"g"};
    static const mn_pack_class classes[] = {{"a", 0, 0, 3}, {"b", 0, 3, 3}, {"c", 0, 6, 3}};
    static const mn_pack_entry entries[] = {{0, 0}, {1, 0}, {2, 0}};
    const mn_pack_index index = {.height = 2,
                                 .width = 2,
                                 .channels = 1,
                                 .n_images = 9,
                                 .n_classes = 3,
                                 .n_groups = 1,
                                 .n_entries = {0, 0, 3},
                                 .classes = classes,
                                 .groups = groups,
                                 .entries = {NULL, NULL, entries}};
    char path[] = "/tmp/fuzz_episode_list.XXXXXX";
    mn_pack_writer *writer = NULL;
    mn_image_pack *pack = NULL;
    const int fd = mkstemp(path);
    if (fd < 0 || mn_pack_writer_new(path, &index, &writer, NULL) != MN_OK)
        abort();
    for (uint8_t i = 0; i < 9; i++) {
        const uint8_t pixels[4] = {i};
        if (mn_pack_writer_add(writer, pixels, NULL) != MN_OK)
            abort();
    }
    if (mn_pack_writer_finish(&writer, NULL) != MN_OK ||
        mn_image_pack_open(path, &pack, NULL) != MN_OK)
        abort();
    (void)close(fd);
    (void)unlink(path);
    return pack;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static mn_image_pack *pack;
    static mn_task *task;
    static mn_fields fields;
    const uint32_t x[3] = {2, 2, 1};
    mn_episode_list *list = NULL;
    mn_error err = {.message = ""};
    if (pack == NULL) {
        pack = make_pack();
        if (mn_fields_few_shot(&fields, 2, 2, x, MN_TARGET_CLASSES, 2, NULL) != MN_OK ||
            mn_task_new(&fields, &task, NULL) != MN_OK)
            abort();
    }
    char *text = malloc(n + 1);
    if (text == NULL)
        abort();
    memcpy(text, bytes, n);
    text[n] = '\0';
    if (mn_episode_list_parse("list", text, n, pack, &fields, &list, &err) == MN_OK) {
        for (uint32_t i = 0; i < mn_episode_list_count(list); i++)
            mn_episode_list_draw(list, i, task);
    } else if (err.message[0] == '\0' || list != NULL) {
        abort();
    }
    mn_episode_list_destroy(&list);
    free(text);
    return 0;
}
