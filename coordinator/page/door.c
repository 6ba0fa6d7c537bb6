#include "coordinator/page/door.h"

#include "common/file.h"
#include "common/log.h"
#include "coordinator/page/address.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN_BYTES 16
#define MOST_TOKEN_FILE 4096

static mn_status find_token(const char *path, const mn_page_address *address, mn_page_door *door,
                            mn_error *err);
static mn_status read_token(const char *path, char token[128], mn_error *err);

mn_status mn_page_door_open(const mn_experiment *experiment, uint64_t id, mn_page_door *out,
                            mn_error *err)
{
    mn_page_address address;
    mn_page_door door = {0};
    mn_status status = mn_page_address_listen(experiment->run.page, &address, err);
    if (status != MN_OK)
        return status;
    status = find_token(experiment->run.page_token, &address, &door, err);
    if (status != MN_OK) {
        (void)close(address.fd);
        return status;
    }
    door.fd = address.fd;
    (void)snprintf(door.cookie, sizeof door.cookie, "mnemo_token_%016" PRIx64, id);
    (void)snprintf(door.url, sizeof door.url, "http://%s/%s%s", address.host,
                   door.access.asks ? "?token=" : "", door.token);
    *out = door;
    sodium_memzero(&door, sizeof door);
    return MN_OK;
}

void mn_page_door_shut(mn_page_door *door)
{
    if (door->url[0] != '\0')
        (void)close(door->fd);
    sodium_memzero(door, sizeof *door);
}

mn_status mn_page_door_sign(const mn_page_door *door, const char *path, mn_error *err)
{
    const int fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, door->access.asks ? 0600 : 0644);
    if (fd < 0)
        return mn_fail_errno(err, "write %s", path);
    const bool written = dprintf(fd, "%s\n", door->url) > 0;
    return close(fd) == 0 && written ? MN_OK : mn_fail_errno(err, "write %s", path);
}

static mn_status find_token(const char *path, const mn_page_address *address, mn_page_door *door,
                            mn_error *err)
{
    unsigned char random[TOKEN_BYTES];
    mn_status status = MN_OK;
    door->access.asks = path[0] != '\0' || !address->loopback;
    if (!door->access.asks)
        return MN_OK;
    if (path[0] != '\0') {
        status = read_token(path, door->token, err);
    } else {
        randombytes_buf(random, sizeof random);
        (void)sodium_bin2hex(door->token, sizeof door->token, random, sizeof random);
    }
    door->access.token = mn_access_token(door->token, strlen(door->token));
    if (status == MN_OK && !address->loopback)
        mn_log(
            MN_LOG_WARN,
            "the page listens on %s, beyond this machine: whoever has its token sees the run, and "
            "as it is HTTP, whoever listens on the network sees the token; through ssh -L nobody "
            "does (run.page=127.0.0.1:0)",
            address->text);
    return status;
}

static mn_status read_token(const char *path, char token[128], mn_error *err)
{
    char *text = NULL;
    size_t n = 0;
    struct stat file;
    mn_status status = mn_file_read(path, MOST_TOKEN_FILE, &text, &n, err);
    if (status != MN_OK)
        return mn_fail(err, status, "run.page_token: cannot read %s", path);
    n = strcspn(text, "\r\n");
    bool fits = n >= MN_TOKEN_SHORTEST && n < 128;
    for (size_t i = 0; i < n; i++)
        fits = fits && (strchr("-_.~", text[i]) != NULL || (text[i] >= '0' && text[i] <= '9') ||
                        (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z'));
    if (!fits)
        status =
            mn_fail(err, MN_ERR_CONFIG,
                    "run.page_token: the first line of %s is no token: expected %u to 127 letters, "
                    "digits, '-', '_', '.' or '~', as `openssl rand -hex 16` gives them",
                    path, MN_TOKEN_SHORTEST);
    else
        (void)snprintf(token, 128, "%.*s", (int)n, text);
    if (fits && stat(path, &file) == 0 && (file.st_mode & 077) != 0)
        mn_log(MN_LOG_WARN, "run.page_token: others on this machine can read %s: chmod 600 %s",
               path, path);
    sodium_memzero(text, n);
    free(text);
    return status;
}
