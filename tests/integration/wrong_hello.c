/* wrong_hello: say HELLO to a coordinator as a worker of another protocol version would, and print
 * what it answers. wrong_hello ENDPOINT [SERVER-KEY] Exit code: 0 a REJECT came, and its reason is
 * on standard output; 1 anything else came, or nothing in 20 s. */
#include "proto/wire.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

static mn_status ask(void *socket, mn_received *answer, mn_error *err);

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 3) {
        (void)fprintf(stderr, "usage: wrong_hello ENDPOINT [SERVER-KEY]\n");
        return EXIT_FAILURE;
    }
    mn_wire_options options = {.server_key = argc == 3 ? argv[2] : NULL};
    mn_received answer = {0};
    mn_error err = {0};
    void *socket = NULL;
    void *context = zmq_ctx_new();

    mn_status status = mn_wire_dial(context, argv[1], &options, &socket, &err);
    if (status == MN_OK)
        status = ask(socket, &answer, &err);
    bool rejected = status == MN_OK && answer.message.kind == MN_MSG_REJECT;
    if (rejected)
        (void)printf("%s\n", answer.message.reject.reason);
    else if (status == MN_OK)
        (void)fprintf(stderr, "answered with %s\n", mn_message_kind_text(answer.message.kind));
    else
        (void)fprintf(stderr, "%s: %s\n", mn_status_text(status), err.message);

    mn_received_fini(&answer);
    mn_wire_close(&socket);
    (void)zmq_ctx_term(context);
    return rejected ? EXIT_SUCCESS : EXIT_FAILURE;
}

static mn_status ask(void *socket, mn_received *answer, mn_error *err)
{
    mn_message hello = {
        .kind = MN_MSG_HELLO,
        .hello = {.protocol = MN_PROTOCOL_VERSION + 1,
                  .version = "99.0",
                  .name = "from-the-future:1",
                  .uuid = {1, 2},
                  .threads = 1},
    };
    mn_status status = mn_wire_send(socket, NULL, &hello, NULL, err);
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    if (status == MN_OK && zmq_poll(&item, 1, 20000) != 1)
        return mn_fail(err, MN_ERR_UNAVAILABLE, "no answer within 20 s");
    return status == MN_OK ? mn_wire_receive(socket, 0, answer, err) : status;
}
