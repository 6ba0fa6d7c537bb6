#include "coordinator/links/gatekeeper.h"

#include "common/log.h"
#include "common/log_limit.h"
#include "common/text.h"
#include "coordinator/links/allow_list.h"
#include "proto/key_file.h"
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

#define HANDLER "inproc://zeromq.zap.01"
#define RAW_KEY_BYTES 32

struct mn_gatekeeper {
    void *socket; /* REP */
    mn_allow_list *allowed;
    char secret_key[MN_WIRE_KEY_CHARS + 1], public_key[MN_WIRE_KEY_CHARS + 1];
    mn_log_limit refusals;
};

/* The frames of a question; the key follows in CURVE's. */
enum { VERSION, REQUEST, DOMAIN, ADDRESS, IDENTITY, MECHANISM, KEY, N_FRAMES };

struct question {
    size_t n_frames;
    struct {
        size_t n;
        char bytes[256]; /* NUL-terminated; what is longer is cut, and is then none of ours */
    } frames[N_FRAMES];
};

static mn_status open_socket(mn_gatekeeper *keeper, void *context, mn_error *err);
static bool take_question(void *socket, struct question *out);
static bool judge(mn_gatekeeper *keeper, const struct question *question, uint64_t now_us);
static void answer(void *socket, const struct question *question, bool welcome);

mn_status mn_gatekeeper_new(void *context, const char *folder, mn_gatekeeper **out, mn_error *err)
{
    char secret[PATH_MAX], allow[PATH_MAX];
    if (snprintf(secret, PATH_MAX, "%s/" MN_KEYS_SERVER ".secret", folder) >= PATH_MAX ||
        snprintf(allow, PATH_MAX, "%s/" MN_KEYS_ALLOW, folder) >= PATH_MAX)
        return mn_fail(err, MN_ERR_CONFIG, "pool.keys: the path of the folder is too long");
    mn_gatekeeper *keeper = calloc(1, sizeof *keeper);
    if (keeper == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "keeper of the keys in %s", folder);
    mn_error why;
    mn_status status = mn_key_file_read_secret(secret, keeper->secret_key, &why);
    if (status == MN_OK)
        status = mn_wire_public_key(keeper->secret_key, keeper->public_key, &why);
    if (status == MN_OK)
        status = mn_allow_list_new(allow, &keeper->allowed, &why);
    if (status == MN_ERR_NO_INPUT)
        status = mn_fail(err, status, "pool.keys: %s; `mnemo keys new -o FOLDER` makes one",
                         why.message);
    else if (status != MN_OK)
        status = mn_fail(err, status, "pool.keys: %s", why.message);
    if (status == MN_OK)
        status = open_socket(keeper, context, err);
    if (status != MN_OK) {
        mn_gatekeeper_destroy(&keeper);
        return status;
    }
    if (mn_allow_list_size(keeper->allowed) == 0)
        mn_log(MN_LOG_WARN, "%s has no key yet: no worker can come in", allow);
    struct stat info;
    if (stat(folder, &info) == 0 && (info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        mn_log(MN_LOG_WARN, "%s has mode %04o: others can change who is let in; do: chmod 700 %s",
               folder, (unsigned)info.st_mode & 07777u, folder);
    *out = keeper;
    return MN_OK;
}

void mn_gatekeeper_destroy(mn_gatekeeper **keeper)
{
    if (*keeper == NULL)
        return;
    if ((*keeper)->socket != NULL)
        (void)zmq_close((*keeper)->socket);
    mn_allow_list_destroy(&(*keeper)->allowed);
    mn_gatekeeper_forget_secret(*keeper);
    free(*keeper);
    *keeper = NULL;
}

const char *mn_gatekeeper_secret_key(const mn_gatekeeper *keeper)
{
    return keeper->secret_key;
}

void mn_gatekeeper_forget_secret(mn_gatekeeper *keeper)
{
    explicit_bzero(keeper->secret_key, sizeof keeper->secret_key);
}

const char *mn_gatekeeper_public_key(const mn_gatekeeper *keeper)
{
    return keeper->public_key;
}

void *mn_gatekeeper_socket(const mn_gatekeeper *keeper)
{
    return keeper->socket;
}

void mn_gatekeeper_answer(mn_gatekeeper *keeper, uint64_t now_us)
{
    struct question question;
    while (take_question(keeper->socket, &question)) {
        /* Sockets without the domain, as the one between ranks, are asked for too once there is a
         * handler: they go on as without one. The domain is our own socket's word. */
        bool ours = strcmp(question.frames[DOMAIN].bytes, MN_GATEKEEPER_DOMAIN) == 0;
        answer(keeper->socket, &question, !ours || judge(keeper, &question, now_us));
    }
}

static mn_status open_socket(mn_gatekeeper *keeper, void *context, mn_error *err)
{
    const int no_linger = 0;
    keeper->socket = zmq_socket(context, ZMQ_REP);
    if (keeper->socket == NULL ||
        zmq_setsockopt(keeper->socket, ZMQ_LINGER, &no_linger, sizeof no_linger) != 0 ||
        zmq_bind(keeper->socket, HANDLER) != 0)
        return mn_fail_errno(err, "guard the workers' door");
    return MN_OK;
}

static bool take_question(void *socket, struct question *out)
{
    int more = 1;
    *out = (struct question){0};
    while (more != 0) {
        char bytes[sizeof out->frames[0].bytes];
        size_t size = sizeof more;
        int n = zmq_recv(socket, bytes, sizeof bytes, ZMQ_DONTWAIT);
        if (n < 0 || zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) != 0)
            return false;
        if (out->n_frames < N_FRAMES && (size_t)n < sizeof bytes) {
            memcpy(out->frames[out->n_frames].bytes, bytes, (size_t)n);
            out->frames[out->n_frames].n = (size_t)n;
        }
        out->n_frames++;
    }
    return true;
}

static bool judge(mn_gatekeeper *keeper, const struct question *question, uint64_t now_us)
{
    mn_error err;
    char key[MN_WIRE_KEY_CHARS + 1] = "-", address[sizeof question->frames[0].bytes];
    bool curve = question->n_frames == N_FRAMES &&
                 strcmp(question->frames[VERSION].bytes, "1.0") == 0 &&
                 strcmp(question->frames[MECHANISM].bytes, "CURVE") == 0 &&
                 question->frames[KEY].n == RAW_KEY_BYTES;
    if (curve)
        (void)zmq_z85_encode(key, (const uint8_t *)question->frames[KEY].bytes, RAW_KEY_BYTES);
    if (mn_allow_list_refresh(keeper->allowed, &err) != MN_OK)
        mn_log(MN_LOG_WARN, "%s; the keys read before stay allowed", err.message);
    const char *name = curve ? mn_allow_list_find(keeper->allowed, key) : NULL;
    (void)mn_text_escape(question->frames[ADDRESS].bytes, question->frames[ADDRESS].n, address,
                         sizeof address);
    if (name != NULL) {
        mn_log(MN_LOG_DEBUG, "let in address=%s key=%s name=%s", address, key, name);
        return true;
    }
    mn_log_limited(&keeper->refusals, now_us, MN_LOG_WARN,
                   "refused a worker whose key is not on the allow-list: address=%s key=%s",
                   address, key);
    return false;
}

/* 400 is for good: the peer's libzmq tells it. */
static void answer(void *socket, const struct question *question, bool welcome)
{
    const char *const frames[] = {welcome ? "200" : "400", welcome ? "OK" : "not on the allow-list",
                                  "", ""};
    (void)zmq_send(socket, "1.0", 3, ZMQ_SNDMORE);
    (void)zmq_send(socket, question->frames[REQUEST].bytes, question->frames[REQUEST].n,
                   ZMQ_SNDMORE);
    for (size_t i = 0; i < 4; i++)
        (void)zmq_send(socket, frames[i], strlen(frames[i]), i < 3 ? ZMQ_SNDMORE : 0);
}
