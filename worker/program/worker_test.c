/* The worker as a process, and the test as its coordinator. MNEMO_WORKER is the program's path. */
#include "worker/program/worker.h"

#include "common/exact_sum.h"
#include "common/experiment.h"
#include "common/file.h"
#include "common/packed_sum.h"
#include "proto/key_file.h"
#include "proto/wire.h"
#include "worker/learner/learner.h"
#include "worker/tasks/task_set.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#define FOR_EVER_MS 60000
#define RUN_ID UINT64_C(0xabc)

extern char **environ;

/* What a coordinator knows of the experiment. */
static struct {
    mn_experiment experiment;
    char *text;
    mn_task_set *set;
    mn_learner *learner;
    float *theta;
    size_t size;
} known;

static void *context, *router;
static mn_peer peer; /* who spoke last */
static pid_t worker;
static char folder[64], endpoint_file[96], secret_file[96];

static void listen_anew(const mn_wire_options *options, const char *public_key)
{
    char real[256], text[512];
    mn_error err = {0};
    mn_wire_close(&router);
    if (mn_wire_listen(context, "tcp://127.0.0.1:*", options, &router, real, &err) != MN_OK)
        fail_msg("%s", err.message);
    (void)snprintf(text, sizeof text, "run: %016llx\nkey: %s\nendpoint: %s\n",
                   (unsigned long long)RUN_ID, public_key, real);
    assert_int_equal(mn_file_write(endpoint_file, text, strlen(text), &err), MN_OK);
}

static void start_worker(const char *option, const char *value)
{
    char *const arguments[] = {(char *)(uintptr_t)MNEMO_WORKER,
                               (char *)(uintptr_t) "--threads",
                               (char *)(uintptr_t) "2",
                               (char *)(uintptr_t) "--quiet",
                               endpoint_file,
                               (char *)(uintptr_t)option,
                               (char *)(uintptr_t)value,
                               NULL};
    assert_int_equal(posix_spawn(&worker, MNEMO_WORKER, NULL, NULL, arguments, environ), 0);
}

static int exit_code(void)
{
    int status = 0;
    int fd = (int)syscall(SYS_pidfd_open, worker, 0);
    assert_true(fd >= 0);
    struct pollfd gone = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&gone, 1, FOR_EVER_MS), 1);
    (void)close(fd);
    assert_int_equal(waitpid(worker, &status, 0), worker);
    worker = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Wait for a message of this kind; answer heartbeats meanwhile. */
static mn_received expect(mn_message_kind kind)
{
    for (;;) {
        zmq_pollitem_t item = {.socket = router, .events = ZMQ_POLLIN};
        assert_int_equal(zmq_poll(&item, 1, FOR_EVER_MS), 1);
        mn_received received;
        mn_error err = {0};
        if (mn_wire_receive(router, 1 << 28, &received, &err) != MN_OK)
            fail_msg("%s", err.message);
        peer = received.peer;
        if (received.message.kind == kind)
            return received;
        if (received.message.kind != MN_MSG_HEARTBEAT)
            fail_msg("%s instead of %s", mn_message_kind_text(received.message.kind),
                     mn_message_kind_text(kind));
        mn_message pulse = {.kind = MN_MSG_PULSE};
        assert_int_equal(mn_wire_send(router, &peer, &pulse, NULL, NULL), MN_OK);
    }
}

static void tell(mn_message message, mn_payload *payload)
{
    mn_error err = {0};
    if (mn_wire_send(router, &peer, &message, payload, &err) != MN_OK)
        fail_msg("%s", err.message);
}

static mn_message welcome(void)
{
    return (mn_message){.kind = MN_MSG_WELCOME,
                        .welcome = {.run_id = RUN_ID,
                                    .heartbeat_ms = 100,
                                    .silence_ms = FOR_EVER_MS,
                                    .data = mn_task_set_data_digest(known.set),
                                    .experiment = known.text}};
}

static void tell_theta(uint64_t version)
{
    mn_payload *payload = NULL;
    assert_int_equal(
        mn_payload_new(known.theta, known.size * sizeof(float), NULL, NULL, &payload, NULL), MN_OK);
    tell((mn_message){.kind = MN_MSG_THETA, .theta = {.version = version, .n = known.size}},
         payload);
    mn_payload_drop(&payload);
}

static void join_the_worker(void)
{
    mn_received hello = expect(MN_MSG_HELLO);
    assert_int_equal(hello.message.hello.protocol, MN_PROTOCOL_VERSION);
    assert_int_equal(hello.message.hello.threads, 2);
    tell(welcome(), NULL);
    mn_received join = expect(MN_MSG_JOIN);
    mn_digest numeric_class;
    assert_int_equal(mn_learner_numeric_class(known.learner, &numeric_class, NULL), MN_OK);
    assert_memory_equal(&join.message.join.numeric_class, &numeric_class, sizeof numeric_class);
    assert_string_equal(join.message.join.kernels, mn_learner_kernels(known.learner));
    tell_theta(3);
}

/* n tasks from task 75 + begin on. */
static void tell_lease(uint64_t epoch, uint32_t begin, uint32_t n)
{
    tell((mn_message){.kind = MN_MSG_LEASE,
                      .lease = {.epoch = epoch,
                                .round = {.id = 1, .step = 3, .first_task = 75, .n_tasks = 25},
                                .begin = begin,
                                .n = n}},
         NULL);
}

/* Take a result and add what it brings to the sum; the tasks that came with it. */
static uint32_t take_result(size_t columns, int64_t *sum)
{
    mn_received got = expect(MN_MSG_RESULT);
    const mn_result *result = &got.message.result.result;
    uint32_t n_tasks = 0;
    assert_int_equal(result->n_columns, columns);
    if (result->encoding != MN_ENCODING_KEPT) {
        int64_t *part = calloc(2 * columns, sizeof *part);
        assert_non_null(part);
        assert_int_equal(result->encoding, MN_ENCODING_PACKED);
        assert_true(mn_packed_sum_read(got.payload, got.message.payload_bytes, columns, part));
        mn_exact_merge(2 * columns, part, sum);
        free(part);
        n_tasks = result->n_tasks;
    }
    mn_received_fini(&got);
    return n_tasks;
}

/* Three leases of one round, given at once: in how many sums they come is the worker's affair. */
static void lease_and_check_the_results(uint64_t epoch)
{
    size_t columns = mn_learner_train_columns(known.learner);
    int64_t *found = calloc(2 * columns, sizeof *found);
    int64_t *expected = calloc(2 * columns, sizeof *expected);
    float *row = malloc(columns * sizeof *row);
    assert_true(row != NULL && expected != NULL && found != NULL);
    tell_lease(epoch, 5, 3);
    tell_lease(epoch + 1, 8, 1);
    tell_lease(epoch + 2, 9, 4);
    for (uint32_t n = 0; n < 3 + 1 + 4;) {
        n += take_result(columns, found);
        assert_true(n <= 3 + 1 + 4);
    }

    mn_workspace *workspace = NULL;
    mn_task *task = NULL;
    assert_int_equal(mn_workspace_new(known.learner, &workspace, NULL), MN_OK);
    assert_int_equal(mn_task_new(mn_task_set_fields(known.set, MN_TRAIN), &task, NULL), MN_OK);
    for (uint32_t i = 0; i < 3 + 1 + 4; i++) {
        mn_task_set_draw(known.set, MN_TRAIN, 80 + i, task);
        mn_learner_train(workspace, known.theta, task, row);
        mn_exact_add(columns, row, expected);
    }
    for (size_t i = 0; i < columns; i++)
        assert_true(mn_exact_value(columns, found, i) == mn_exact_value(columns, expected, i));
    free(row);
    free(expected);
    free(found);
    mn_task_destroy(&task);
    mn_workspace_destroy(&workspace);
}

static mn_message finished(bool resumes)
{
    return (mn_message){.kind = MN_MSG_FINISHED, .reject = {.resumes = resumes}};
}

/* ---- tests */

static void a_worker_computes_what_the_learner_says_until_the_run_is_over(void **state)
{
    (void)state;
    listen_anew(NULL, "-");
    start_worker(NULL, NULL);
    join_the_worker();
    lease_and_check_the_results(1);
    lease_and_check_the_results(2);
    (void)expect(MN_MSG_HEARTBEAT);
    tell(finished(false), NULL);
    assert_int_equal(exit_code(), 0);
}

static void a_key_of_ones_own_opens_an_encrypted_run(void **state)
{
    (void)state;
    static const char *const options[] = {"--secret", "--verbose"}; /* or by the environment */
    char public_key[41], secret_key[41], line[128];
    assert_int_equal(zmq_curve_keypair(public_key, secret_key), 0);
    assert_int_equal(mn_key_file_make(folder, "worker", line, NULL), MN_OK);
    for (int i = 0; i < 2; i++) {
        listen_anew(&(mn_wire_options){.secret_key = secret_key}, public_key);
        start_worker(options[i], i == 0 ? secret_file : NULL);
        join_the_worker();
        lease_and_check_the_results(1);
        tell(finished(false), NULL);
        assert_int_equal(exit_code(), 0);
        assert_int_equal(setenv("MNEMO_WORKER_SECRET", secret_file, 1), 0);
    }
}

static void without_a_key_or_with_one_that_others_can_read_a_worker_ends_with_77(void **state)
{
    (void)state;
    char public_key[41], secret_key[41], line[128];
    assert_int_equal(zmq_curve_keypair(public_key, secret_key), 0);
    listen_anew(&(mn_wire_options){.secret_key = secret_key}, public_key);
    start_worker(NULL, NULL);
    assert_int_equal(exit_code(), 77);
    assert_int_equal(mn_key_file_make(folder, "worker", line, NULL), MN_OK);
    assert_int_equal(chmod(secret_file, 0644), 0);
    start_worker("--secret", secret_file);
    assert_int_equal(exit_code(), 77);
    assert_int_equal(mn_file_write(secret_file, "nonsense\n", 9, NULL), MN_OK);
    assert_int_equal(chmod(secret_file, 0600), 0);
    start_worker("--secret", secret_file);
    assert_int_equal(exit_code(), 65);
}

/* Plays the gatekeeper: takes one question and answers no. */
static void a_worker_whose_key_is_refused_ends_with_77_at_once(void **state)
{
    (void)state;
    char public_key[41], secret_key[41], line[128], version[8], request[256], rest[256];
    static const char *const answer[] = {"400", "not on the allow-list", "", ""};
    void *keeper = zmq_socket(context, ZMQ_REP);
    assert_int_equal(zmq_bind(keeper, "inproc://zeromq.zap.01"), 0);
    assert_int_equal(zmq_curve_keypair(public_key, secret_key), 0);
    assert_int_equal(mn_key_file_make(folder, "worker", line, NULL), MN_OK);
    listen_anew(&(mn_wire_options){.secret_key = secret_key, .zap_domain = "test"}, public_key);
    start_worker("--secret", secret_file);
    assert_int_equal(zmq_recv(keeper, version, sizeof version, 0), 3);
    int n = zmq_recv(keeper, request, sizeof request, 0);
    assert_in_range(n, 0, sizeof request);
    for (int more = 1; more != 0;) {
        size_t size = sizeof more;
        assert_true(zmq_recv(keeper, rest, sizeof rest, 0) >= 0);
        assert_int_equal(zmq_getsockopt(keeper, ZMQ_RCVMORE, &more, &size), 0);
    }
    (void)zmq_send(keeper, version, 3, ZMQ_SNDMORE);
    (void)zmq_send(keeper, request, (size_t)n, ZMQ_SNDMORE);
    for (int i = 0; i < 4; i++)
        (void)zmq_send(keeper, answer[i], strlen(answer[i]), i < 3 ? ZMQ_SNDMORE : 0);
    assert_int_equal(exit_code(), 77);
    mn_wire_close(&router);
    assert_int_equal(zmq_close(keeper), 0);
}

static void sigterm_gives_leases_back_and_ends_well(void **state)
{
    (void)state;
    listen_anew(NULL, "-");
    start_worker(NULL, NULL);
    join_the_worker();
    lease_and_check_the_results(1);
    assert_int_equal(kill(worker, SIGTERM), 0);
    (void)expect(MN_MSG_LEAVE);
    (void)expect(MN_MSG_HEARTBEAT);
    tell((mn_message){.kind = MN_MSG_PULSE}, NULL);
    assert_int_equal(exit_code(), 0);
}

static void a_worker_finds_the_run_again_where_it_has_moved(void **state)
{
    (void)state;
    listen_anew(NULL, "-");
    start_worker(NULL, NULL);
    join_the_worker();
    listen_anew(NULL, "-"); /* as after SIGKILL: no word, another port */
    (void)expect(MN_MSG_HELLO);
    tell(welcome(), NULL);
    (void)expect(MN_MSG_JOIN);
    tell_theta(3);
    lease_and_check_the_results(1);

    tell(finished(true), NULL); /* stops, and goes on elsewhere */
    listen_anew(NULL, "-");
    join_the_worker();
    lease_and_check_the_results(1);

    tell((mn_message){.kind = MN_MSG_REGISTER_AGAIN}, NULL);
    join_the_worker();
    lease_and_check_the_results(9);
    tell(finished(false), NULL);
    assert_int_equal(exit_code(), 0);
}

static void a_refused_worker_ends_with_76(void **state)
{
    (void)state;
    listen_anew(NULL, "-");
    start_worker(NULL, NULL);
    (void)expect(MN_MSG_HELLO);
    tell((mn_message){.kind = MN_MSG_REJECT, .reject = {.reason = "other version"}}, NULL);
    assert_int_equal(exit_code(), 76);
}

static void missing_data_end_a_worker_with_66(void **state)
{
    (void)state;
    mn_experiment images = known.experiment;
    images.tasks.kind = MN_TASKS_IMAGES;
    images.tasks.way = 5;
    images.tasks.shot = images.tasks.query = 1;
    images.model.input = MN_INPUT_CONV4;
    (void)snprintf(images.tasks.data, sizeof images.tasks.data, "no-such-set.mnd");
    mn_message message = welcome();
    assert_int_equal(mn_experiment_print(&images, false, &message.welcome.experiment, NULL), MN_OK);
    listen_anew(NULL, "-");
    start_worker("--data", folder);
    (void)expect(MN_MSG_HELLO);
    tell(message, NULL);
    (void)expect(MN_MSG_LEAVE);
    assert_int_equal(exit_code(), 66);
    mn_message_fini(&message);
}

static void an_experiment_that_is_none_ends_a_worker_with_78(void **state)
{
    (void)state;
    mn_message message = welcome();
    message.welcome.experiment = (char *)(uintptr_t) "seed: [";
    listen_anew(NULL, "-");
    start_worker(NULL, NULL);
    (void)expect(MN_MSG_HELLO);
    tell(message, NULL);
    (void)expect(MN_MSG_LEAVE);
    assert_int_equal(exit_code(), 78);
}

static void without_an_endpoint_once_ends_with_66_and_patience_with_69(void **state)
{
    (void)state;
    start_worker("--once", "--verbose");
    assert_int_equal(exit_code(), 66);
    start_worker("--patience", "0");
    assert_int_equal(exit_code(), 69);
    start_worker("--patience", "soon");
    assert_int_equal(exit_code(), 64);
}

/* ---- around them */

static int learn_the_experiment(void **state)
{
    (void)state;
    mn_experiment *e = &known.experiment;
    mn_experiment_init(e);
    e->tasks.kind = MN_TASKS_SINUSOID;
    e->tasks.shot = e->tasks.query = 5;
    e->model.input = MN_INPUT_MLP;
    e->model.hidden = (mn_uint_list){.n = 2, .at = {16, 16}};
    e->meta.inner_steps = 2;
    mn_error err = {0};
    mn_status status = mn_experiment_check(e, &err);
    if (status == MN_OK)
        status = mn_experiment_print(e, false, &known.text, &err);
    if (status == MN_OK)
        status = mn_task_set_open(e, NULL, &known.set, &err);
    if (status == MN_OK)
        status = mn_learner_new(e, mn_task_set_fields(known.set, MN_TRAIN),
                                mn_task_set_fields(known.set, MN_TEST), &known.learner, &err);
    if (status != MN_OK) {
        print_error("%s\n", err.message);
        return -1;
    }
    known.size = mn_learner_size(known.learner);
    known.theta = calloc(known.size, sizeof *known.theta);
    if (known.theta == NULL)
        return -1;
    mn_learner_init_theta(known.learner, 7, known.theta);
    return 0;
}

static int forget_the_experiment(void **state)
{
    (void)state;
    free(known.theta);
    free(known.text);
    mn_learner_destroy(&known.learner);
    mn_task_set_destroy(&known.set);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/mn_worker_XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(endpoint_file, sizeof endpoint_file, "%s/endpoint", folder);
    (void)snprintf(secret_file, sizeof secret_file, "%s/worker.secret", folder);
    (void)unsetenv("MNEMO_WORKER_SECRET");
    context = zmq_ctx_new();
    return context == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    if (worker > 0) { /* a test failed */
        (void)kill(worker, SIGKILL);
        (void)waitpid(worker, NULL, 0);
        worker = 0;
    }
    mn_wire_close(&router);
    (void)zmq_ctx_term(context);
    char public_file[96];
    (void)snprintf(public_file, sizeof public_file, "%s/worker.public", folder);
    (void)unlink(endpoint_file);
    (void)unlink(secret_file);
    (void)unlink(public_file);
    return rmdir(folder);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_worker_computes_what_the_learner_says_until_the_run_is_over),
        TEST(a_key_of_ones_own_opens_an_encrypted_run),
        TEST(without_a_key_or_with_one_that_others_can_read_a_worker_ends_with_77),
        TEST(a_worker_whose_key_is_refused_ends_with_77_at_once),
        TEST(sigterm_gives_leases_back_and_ends_well),
        TEST(a_worker_finds_the_run_again_where_it_has_moved),
        TEST(a_refused_worker_ends_with_76),
        TEST(missing_data_end_a_worker_with_66),
        TEST(an_experiment_that_is_none_ends_a_worker_with_78),
        TEST(without_an_endpoint_once_ends_with_66_and_patience_with_69),
    };
    return cmocka_run_group_tests(tests, learn_the_experiment, forget_the_experiment);
}
