#include "proto/message.h"

#include "common/exact_sum.h"
#include "common/packed_sum.h"
#include "proto/mnemo.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mn_digest digest_of(uint8_t first)
{
    mn_digest digest;
    for (size_t i = 0; i < sizeof digest.bytes; i++)
        digest.bytes[i] = (uint8_t)(first + 7 * i);
    return digest;
}

static void fill_text(char *text, size_t size)
{
    memset(text, 'x', size - 1);
    text[size - 1] = '\0';
}

/* A valid message of each kind: `large` has the greatest values that are allowed, else the
 * smallest. */
static mn_message sample(mn_message_kind kind, bool large)
{
    const uint64_t huge = UINT64_MAX;
    mn_message m = {.kind = kind};
    mn_round round = {.id = large ? huge : 1,
                      .kind = large ? MN_ROUND_TEST : MN_ROUND_TRAIN,
                      .split = large ? MN_TEST : MN_TRAIN,
                      .step = large ? huge - 1 : 0,
                      .first_task = large ? huge - MN_MAX_ROUND_TASKS : 0,
                      .n_tasks = large ? MN_MAX_ROUND_TASKS : 1};
    switch (kind) {
    case MN_MSG_HELLO:
        m.hello = (mn_hello){.protocol = large ? UINT32_MAX : 0,
                             .uuid = {large ? huge : 0, large ? huge - 1 : 0},
                             .threads = large ? 65535 : 1,
                             .visits = large ? UINT32_MAX : 0,
                             .refused = large};
        if (large) {
            fill_text(m.hello.version, sizeof m.hello.version);
            fill_text(m.hello.name, sizeof m.hello.name);
        }
        break;
    case MN_MSG_JOIN:
        m.join.numeric_class = digest_of(large ? 255 : 0);
        m.join.data = digest_of(large ? 128 : 1);
        if (large)
            fill_text(m.join.kernels, sizeof m.join.kernels);
        break;
    case MN_MSG_RESULT:
        m.result.epoch = large ? huge : 1;
        m.result.result = (mn_result){.encoding = large ? MN_ENCODING_PACKED : MN_ENCODING_ROWS,
                                      .n_tasks = large ? MN_EXACT_MAX_TERMS : 1,
                                      .n_columns = large ? UINT32_MAX : 1,
                                      .compute_us = large ? UINT32_MAX - 1 : 0,
                                      .sums_us = large ? UINT32_MAX - 2 : 0,
                                      .n_kept = large ? MN_MAX_KEPT : 0};
        for (uint32_t i = 0; i < m.result.result.n_kept; i++)
            m.result.result.kept[i] = 7 + ((uint64_t)i << 40);
        m.payload_bytes = large ? mn_packed_sum_most(UINT32_MAX) : 4;
        m.payload_checksum = large ? huge : 0;
        break;
    case MN_MSG_HEARTBEAT:
        break;
    case MN_MSG_WELCOME:
        m.welcome =
            (mn_welcome){.run_id = large ? huge : 0,
                         .heartbeat_ms = large ? 86400000 : 1,
                         .silence_ms = large ? 86399999 : 2,
                         .data = digest_of(9),
                         .experiment = strdup(large ? "seed: 1\ntasks:\n  kind: sinusoid\n" : ""),
                         .learner = large ? strdup("tensor w 2 3\nscore loss lower\n") : NULL};
        if (large)
            fill_text(m.welcome.data_name, sizeof m.welcome.data_name);
        break;
    case MN_MSG_REJECT:
    case MN_MSG_FINISHED:
    case MN_MSG_STOP_WANTED:
    case MN_MSG_NOTE:
    case MN_MSG_STOP:
        m.reject.resumes = large;
        if (large)
            fill_text(m.reject.reason, sizeof m.reject.reason);
        break;
    case MN_MSG_THETA:
        m.theta.version = large ? huge : 0;
        m.theta.n = large ? UINT64_C(1) << 36 : 1;
        m.payload_bytes = 4 * m.theta.n;
        m.payload_checksum = 77;
        break;
    case MN_MSG_LEASE:
        m.lease = (mn_lease){.epoch = large ? huge : 1,
                             .round = round,
                             .begin = large ? 1 : 0,
                             .n = large ? MN_MAX_ROUND_TASKS - 1 : 1};
        break;
    case MN_MSG_ASK:
        m.ask.threads = large ? UINT32_MAX : 0;
        break;
    case MN_MSG_ROUND:
        m.round = round;
        break;
    case MN_MSG_SETTLED:
    case MN_MSG_RETURNED:
    case MN_MSG_RANGE:
        m.range = (mn_range){.round = large ? huge : 1,
                             .begin = large ? 1 : 0,
                             .n = large ? MN_MAX_ROUND_TASKS - 1 : 1};
        break;
    case MN_MSG_REDUCE:
        m.range.round = large ? huge : 1;
        break;
    case MN_MSG_VISIT:
        m.visit.for_ms = large ? 86400000 : 1;
        if (large) {
            fill_text(m.visit.endpoint, sizeof m.visit.endpoint);
            memcpy(m.visit.endpoint, "tcp://", 6);
        }
        break;
    case MN_MSG_LEG:
    case MN_MSG_LEG_ENDED:
        m.leg = (mn_leg){.run = large ? UINT32_MAX : 0,
                         .until = large ? huge : 0,
                         .slot = large ? UINT32_MAX - 1 : 0,
                         .code = large ? 255 : 0,
                         .last = large};
        break;
    case MN_MSG_LEAVE:
    case MN_MSG_PULSE:
    case MN_MSG_REGISTER_AGAIN:
    case MN_MSG_NONE:
    case MN_N_MESSAGES:
        break;
    }
    return m;
}

static void assert_same_round(const mn_round *a, const mn_round *b)
{
    assert_true(a->id == b->id && a->kind == b->kind && a->split == b->split && a->step == b->step);
    assert_true(a->first_task == b->first_task && a->n_tasks == b->n_tasks);
}

static void assert_same(const mn_message *a, const mn_message *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_true(a->payload_bytes == b->payload_bytes);
    assert_true(a->payload_checksum == b->payload_checksum);
    switch (a->kind) {
    case MN_MSG_HELLO:
        assert_int_equal(a->hello.protocol, b->hello.protocol);
        assert_string_equal(a->hello.version, b->hello.version);
        assert_string_equal(a->hello.name, b->hello.name);
        assert_memory_equal(a->hello.uuid, b->hello.uuid, sizeof a->hello.uuid);
        assert_int_equal(a->hello.threads, b->hello.threads);
        assert_int_equal(a->hello.visits, b->hello.visits);
        assert_int_equal(a->hello.refused, b->hello.refused);
        break;
    case MN_MSG_JOIN:
        assert_memory_equal(&a->join.numeric_class, &b->join.numeric_class, 32);
        assert_memory_equal(&a->join.data, &b->join.data, 32);
        assert_string_equal(a->join.kernels, b->join.kernels);
        break;
    case MN_MSG_RESULT:
        assert_true(a->result.epoch == b->result.epoch);
        assert_int_equal(a->result.result.encoding, b->result.result.encoding);
        assert_int_equal(a->result.result.n_tasks, b->result.result.n_tasks);
        assert_int_equal(a->result.result.n_columns, b->result.result.n_columns);
        assert_int_equal(a->result.result.compute_us, b->result.result.compute_us);
        assert_int_equal(a->result.result.sums_us, b->result.result.sums_us);
        assert_int_equal(a->result.result.n_kept, b->result.result.n_kept);
        assert_memory_equal(a->result.result.kept, b->result.result.kept,
                            sizeof a->result.result.kept);
        break;
    case MN_MSG_HEARTBEAT:
        break;
    case MN_MSG_WELCOME:
        assert_true(a->welcome.run_id == b->welcome.run_id);
        assert_int_equal(a->welcome.heartbeat_ms, b->welcome.heartbeat_ms);
        assert_int_equal(a->welcome.silence_ms, b->welcome.silence_ms);
        assert_memory_equal(&a->welcome.data, &b->welcome.data, 32);
        assert_string_equal(a->welcome.data_name, b->welcome.data_name);
        assert_string_equal(a->welcome.experiment, b->welcome.experiment);
        assert_int_equal(a->welcome.learner == NULL, b->welcome.learner == NULL);
        if (a->welcome.learner != NULL)
            assert_string_equal(a->welcome.learner, b->welcome.learner);
        break;
    case MN_MSG_REJECT:
    case MN_MSG_FINISHED:
    case MN_MSG_STOP_WANTED:
    case MN_MSG_NOTE:
    case MN_MSG_STOP:
        assert_string_equal(a->reject.reason, b->reject.reason);
        assert_int_equal(a->reject.resumes, b->reject.resumes);
        break;
    case MN_MSG_THETA:
        assert_true(a->theta.version == b->theta.version && a->theta.n == b->theta.n);
        break;
    case MN_MSG_LEASE:
        assert_true(a->lease.epoch == b->lease.epoch);
        assert_true(a->lease.begin == b->lease.begin && a->lease.n == b->lease.n);
        assert_same_round(&a->lease.round, &b->lease.round);
        break;
    case MN_MSG_ASK:
        assert_int_equal(a->ask.threads, b->ask.threads);
        break;
    case MN_MSG_ROUND:
        assert_same_round(&a->round, &b->round);
        break;
    case MN_MSG_SETTLED:
    case MN_MSG_RETURNED:
    case MN_MSG_RANGE:
    case MN_MSG_REDUCE:
        assert_true(a->range.round == b->range.round);
        assert_true(a->range.begin == b->range.begin && a->range.n == b->range.n);
        break;
    case MN_MSG_VISIT:
        assert_string_equal(a->visit.endpoint, b->visit.endpoint);
        assert_int_equal(a->visit.for_ms, b->visit.for_ms);
        break;
    case MN_MSG_LEG:
    case MN_MSG_LEG_ENDED:
        assert_int_equal(a->leg.run, b->leg.run);
        assert_true(a->leg.until == b->leg.until);
        assert_int_equal(a->leg.slot, b->leg.slot);
        assert_int_equal(a->leg.code, b->leg.code);
        assert_int_equal(a->leg.last, b->leg.last);
        break;
    case MN_MSG_LEAVE:
    case MN_MSG_PULSE:
    case MN_MSG_REGISTER_AGAIN:
        break;
    case MN_MSG_NONE:
    case MN_N_MESSAGES:
        fail();
    }
}

static uint8_t *packed(const mn_message *message, size_t *n)
{
    uint8_t *bytes = NULL;
    mn_error err = {0};
    if (mn_message_pack(message, &bytes, n, &err) != MN_OK)
        fail_msg("%s: %s", mn_message_kind_text(message->kind), err.message);
    return bytes;
}

/* In memory of exactly n bytes, so that the address sanitizer sees any byte read beyond. */
static mn_status unpack_alone(const uint8_t *bytes, size_t n, mn_message *out, mn_error *err)
{
    uint8_t *alone = malloc(n > 0 ? n : 1);
    assert_non_null(alone);
    if (n > 0)
        memcpy(alone, bytes, n);
    mn_status status = mn_message_unpack(alone, n, out, err);
    free(alone);
    return status;
}

#define FOR_EACH_SAMPLE(kind, large)                                                               \
    for (mn_message_kind kind = MN_MSG_NONE + 1; kind < MN_N_MESSAGES; kind++)                     \
        for (int large = 0; large < 2; large++)

static void each_kind_comes_back_as_it_was(void **state)
{
    (void)state;
    FOR_EACH_SAMPLE(kind, large)
    {
        mn_message message = sample(kind, large), back;
        mn_error err = {0};
        size_t n = 0;
        uint8_t *bytes = packed(&message, &n);
        if (unpack_alone(bytes, n, &back, &err) != MN_OK)
            fail_msg("%s: %s", mn_message_kind_text(kind), err.message);
        assert_same(&message, &back);
        mn_message_fini(&back);
        mn_message_fini(&message);
        free(bytes);
    }
}

static void a_header_cut_short_is_refused_at_each_byte(void **state)
{
    (void)state;
    static const mn_message nothing;
    FOR_EACH_SAMPLE(kind, large)
    {
        mn_message message = sample(kind, large), back;
        size_t n = 0;
        uint8_t *bytes = packed(&message, &n);
        for (size_t cut = 0; cut < n; cut++) {
            mn_error err = {0};
            assert_int_equal(unpack_alone(bytes, cut, &back, &err), MN_ERR_PROTOCOL);
            assert_memory_equal(&back, &nothing, sizeof back);
            assert_true(strlen(err.message) > 10);
        }
        mn_message_fini(&message);
        free(bytes);
    }
}

static void a_header_with_any_bit_flipped_is_refused_or_makes_sense(void **state)
{
    (void)state;
    size_t refused = 0;
    FOR_EACH_SAMPLE(kind, large)
    {
        mn_message message = sample(kind, large), back;
        size_t n = 0;
        uint8_t *bytes = packed(&message, &n);
        for (size_t bit = 0; bit < 8 * n; bit++) {
            bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1u << bit % 8));
            if (unpack_alone(bytes, n, &back, NULL) == MN_OK) {
                size_t n_again = 0;
                free(packed(&back, &n_again)); /* what unpack accepts, pack accepts */
                assert_true(n_again <= n);
                mn_message_fini(&back);
            } else {
                refused++;
            }
            bytes[bit / 8] = (uint8_t)(bytes[bit / 8] ^ (1u << bit % 8));
        }
        mn_message_fini(&message);
        free(bytes);
    }
    assert_true(refused > 1000);
}

static void assert_refused_bytes(const uint8_t *bytes, size_t n, const char *words)
{
    mn_message back;
    mn_error err = {0};
    assert_int_equal(unpack_alone(bytes, n, &back, &err), MN_ERR_PROTOCOL);
    if (strstr(err.message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    assert_int_equal(back.kind, MN_MSG_NONE);
}

/* An envelope made without our checks, as a stranger would. */
static void assert_refused_envelope(const Mnemo__Envelope *envelope, const char *words)
{
    size_t n = mnemo__envelope__get_packed_size(envelope);
    uint8_t *bytes = malloc(n);
    assert_non_null(bytes);
    assert_int_equal(mnemo__envelope__pack(envelope, bytes), n);
    assert_refused_bytes(bytes, n, words);
    free(bytes);
}

static void texts_longer_than_their_place_are_refused(void **state)
{
    (void)state;
    char name[97], reason[MN_MESSAGE_WORDS + 1];
    fill_text(name, sizeof name);
    fill_text(reason, sizeof reason);
    Mnemo__Hello hello = MNEMO__HELLO__INIT;
    hello.threads = 1;
    hello.name = name;
    Mnemo__Envelope envelope = MNEMO__ENVELOPE__INIT;
    envelope.body_case = MNEMO__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    assert_refused_envelope(&envelope, "HELLO.name has 96 characters; at most 95");

    Mnemo__Words words = MNEMO__WORDS__INIT;
    words.reason = reason;
    envelope.body_case = MNEMO__ENVELOPE__BODY_REJECT;
    envelope.reject = &words;
    assert_refused_envelope(&envelope, "reason has 1000 characters");
}

static void a_text_with_a_nul_inside_is_refused(void **state)
{
    (void)state;
    mn_message message = sample(MN_MSG_REJECT, true);
    size_t n = 0;
    uint8_t *bytes = packed(&message, &n);
    bytes[n - 10] = '\0';
    assert_refused_bytes(bytes, n, "NUL inside");
    free(bytes);
}

static void control_characters_of_a_peer_never_reach_a_terminal(void **state)
{
    (void)state;
    mn_message message = {.kind = MN_MSG_REJECT}, back;
    strcpy(message.reject.reason, "a\x1b[2Jb\nc\x7f");
    size_t n = 0;
    uint8_t *bytes = packed(&message, &n);
    assert_int_equal(mn_message_unpack(bytes, n, &back, NULL), MN_OK);
    assert_string_equal(back.reject.reason, "a?[2Jb?c?");
    free(bytes);
}

static void digests_of_other_than_32_bytes_are_refused(void **state)
{
    (void)state;
    uint8_t bytes[33] = {0};
    Mnemo__Join join = MNEMO__JOIN__INIT;
    Mnemo__Envelope envelope = MNEMO__ENVELOPE__INIT;
    envelope.body_case = MNEMO__ENVELOPE__BODY_JOIN;
    envelope.join = &join;
    assert_refused_envelope(&envelope, "JOIN.numeric_class has 0 bytes");
    join.numeric_class = (ProtobufCBinaryData){32, bytes};
    join.data = (ProtobufCBinaryData){31, bytes};
    assert_refused_envelope(&envelope, "JOIN.data has 31 bytes");
    join.data.len = 33;
    assert_refused_envelope(&envelope, "JOIN.data has 33 bytes");
}

static void a_lease_without_a_round_is_refused(void **state)
{
    (void)state;
    Mnemo__Lease lease = MNEMO__LEASE__INIT;
    lease.epoch = 1;
    lease.n = 1;
    Mnemo__Envelope envelope = MNEMO__ENVELOPE__INIT;
    envelope.body_case = MNEMO__ENVELOPE__BODY_LEASE;
    envelope.lease = &lease;
    assert_refused_envelope(&envelope, "LEASE has no round");
}

static void enums_beyond_the_known_are_refused(void **state)
{
    (void)state;
    Mnemo__Round round = MNEMO__ROUND__INIT;
    round.id = 1;
    round.n_tasks = 1;
    Mnemo__Envelope envelope = MNEMO__ENVELOPE__INIT;
    envelope.body_case = MNEMO__ENVELOPE__BODY_ROUND;
    envelope.round = &round;
    round.kind = (Mnemo__RoundKind)2;
    assert_refused_envelope(&envelope, "round kind is 2");
    round.kind = (Mnemo__RoundKind)-1;
    assert_refused_envelope(&envelope, "round kind is 4294967295");
    round.kind = MNEMO__ROUND_KIND__ROUND_TEST;
    round.split = (Mnemo__Split)3;
    assert_refused_envelope(&envelope, "round split is 3");
}

static void assert_not_packed(const mn_message *message, const char *words)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    mn_error err = {0};
    assert_int_equal(mn_message_pack(message, &bytes, &n, &err), MN_ERR_PROTOCOL);
    assert_null(bytes);
    if (strstr(err.message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

/* The same checks stand before packing and behind unpacking. */
static void numbers_that_make_no_sense_are_refused(void **state)
{
    (void)state;
#define REFUSED(kind, large, change, words)                                                        \
    do {                                                                                           \
        mn_message m = sample(kind, large);                                                        \
        change;                                                                                    \
        assert_not_packed(&m, words);                                                              \
        mn_message_fini(&m);                                                                       \
    } while (0)
    REFUSED(MN_MSG_NONE, false, (void)0, "message of kind 0");
    REFUSED(MN_MSG_HELLO, true, m.hello.threads = 0, "HELLO.threads is 0");
    REFUSED(MN_MSG_HELLO, true, m.hello.threads = 65536, "HELLO.threads is 65536");
    REFUSED(MN_MSG_HELLO, true, m.payload_bytes = 1, "HELLO announces 1 bytes");
    REFUSED(MN_MSG_RESULT, true, m.result.epoch = 0, "RESULT.epoch is 0");
    REFUSED(MN_MSG_RESULT, true, m.result.result.n_tasks++, "RESULT.n_tasks is 32769");
    REFUSED(MN_MSG_RESULT, true, m.result.result.n_tasks = 0, "RESULT.n_tasks is 0");
    REFUSED(MN_MSG_RESULT, true, m.result.result.n_columns = 0, "RESULT.n_columns is 0");
    REFUSED(MN_MSG_RESULT, true, m.payload_bytes++,
            "bytes behind RESULT is 68853694449; it must be between 134217728 and 68853694448");
    REFUSED(MN_MSG_RESULT, true, m.payload_bytes = 134217727, "bytes behind RESULT is 134217727");
    REFUSED(MN_MSG_RESULT, true, m.result.result.encoding = MN_ENCODING_EXACT,
            "RESULT.encoding is 3");
    REFUSED(MN_MSG_RESULT, true, m.result.result.n_kept++, "number of RESULT.kept is 6");
    REFUSED(MN_MSG_RESULT, true, m.result.result.kept[0] = 0, "RESULT.kept is 0");
    REFUSED(MN_MSG_RESULT, true, m.result.result.kept[2] = m.result.result.kept[1],
            "RESULT.kept is 1099511627783; it must be between 1099511627784");
    REFUSED(MN_MSG_RESULT, true, m.result.result.kept[4] = UINT64_MAX, "RESULT.kept is");
    REFUSED(MN_MSG_RESULT, true, m.result.epoch = m.result.result.kept[3], "its own lease");
    REFUSED(MN_MSG_RESULT, false, m.result.result.n_kept = 1, "number of RESULT.kept is 1");
    REFUSED(MN_MSG_RESULT, false, m.result.result.encoding = MN_ENCODING_KEPT,
            "announces 4 bytes behind it; its numbers need 0");
    REFUSED(MN_MSG_RESULT, false, m.payload_bytes = 8, "its numbers need 4");
    REFUSED(MN_MSG_WELCOME, true, m.welcome.heartbeat_ms = 0, "heartbeat_ms is 0");
    REFUSED(MN_MSG_WELCOME, true, m.welcome.silence_ms = 86400001, "silence_ms is 86400001");
    REFUSED(MN_MSG_THETA, true, m.theta.n++, "THETA.n");
    REFUSED(MN_MSG_THETA, true, m.theta.n = UINT64_MAX / 2 + 2, "THETA.n");
    REFUSED(MN_MSG_THETA, false, m.theta.n = 0, "THETA.n is 0");
    REFUSED(MN_MSG_LEASE, false, m.lease.epoch = 0, "LEASE.epoch is 0");
    REFUSED(MN_MSG_LEASE, false, m.lease.n = 2, "n is 2");
    REFUSED(MN_MSG_LEASE, true, m.lease.begin = 2, "n is 99999");
    REFUSED(MN_MSG_LEASE, true, m.lease.begin = UINT32_MAX, "begin is 4294967295");
    REFUSED(MN_MSG_LEASE, true, m.lease.round.n_tasks++, "round n_tasks is 100001");
    REFUSED(MN_MSG_ROUND, true, m.round.id = 0, "round id is 0");
    REFUSED(MN_MSG_ROUND, true, m.round.n_tasks = 0, "round n_tasks is 0");
    REFUSED(MN_MSG_ROUND, true, m.round.first_task++, "round first_task");
    REFUSED(MN_MSG_SETTLED, true, m.range.round = 0, "round is 0");
    REFUSED(MN_MSG_RETURNED, true, m.range.n++, "n is 100000");
    REFUSED(MN_MSG_RANGE, true, m.range.n = 0, "n is 0");
    REFUSED(MN_MSG_REDUCE, true, m.range.round = 0, "round is 0");
#undef REFUSED
}

static void headers_larger_than_the_limit_are_neither_sent_nor_read(void **state)
{
    (void)state;
    mn_message message = sample(MN_MSG_WELCOME, false);
    free(message.welcome.experiment);
    message.welcome.experiment = malloc(MN_MAX_HEADER_BYTES + 1);
    assert_non_null(message.welcome.experiment);
    fill_text(message.welcome.experiment, MN_MAX_HEADER_BYTES + 1);
    assert_not_packed(&message, "at most 1048576");
    message.welcome.experiment[MN_MAX_HEADER_BYTES - 200] = '\0';
    size_t n = 0;
    uint8_t *bytes = packed(&message, &n);
    mn_message back;
    assert_int_equal(mn_message_unpack(bytes, n, &back, NULL), MN_OK);
    assert_string_equal(back.welcome.experiment, message.welcome.experiment);
    mn_message_fini(&back);
    free(bytes);
    mn_message_fini(&message);

    uint8_t *zeros = calloc(1, MN_MAX_HEADER_BYTES + 1);
    assert_non_null(zeros);
    assert_refused_bytes(zeros, MN_MAX_HEADER_BYTES + 1, "at most 1048576 are allowed");
    free(zeros);
}

/* 15 0 15 0 ...: half a million unknown fields (number 1, 2, ... are ours; 15 is none). */
static void a_header_made_to_take_much_memory_is_refused(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(MN_MAX_HEADER_BYTES);
    assert_non_null(bytes);
    for (size_t i = 0; i < MN_MAX_HEADER_BYTES; i += 2) {
        bytes[i] = 15 << 3;
        bytes[i + 1] = 0;
    }
    assert_refused_bytes(bytes, MN_MAX_HEADER_BYTES, "not one of ours");
    free(bytes);
}

static void an_encoding_that_is_not_canonical_is_refused(void **state)
{
    (void)state;
    /* field 24 (pulse), length 0: c2 01 00. Then payload_bytes = 0 written out; pulse said twice;
     * long varint. */
    assert_refused_bytes((const uint8_t[]){0x08, 0x00, 0xc2, 0x01, 0x00}, 5, "canonical");
    assert_refused_bytes((const uint8_t[]){0xc2, 0x01, 0x00, 0xc2, 0x01, 0x00}, 6, "canonical");
    assert_refused_bytes((const uint8_t[]){0xc2, 0x01, 0x80, 0x00}, 4, "");
    mn_message back;
    assert_int_equal(mn_message_unpack((const uint8_t[]){0xc2, 0x01, 0x00}, 3, &back, NULL), MN_OK);
    assert_int_equal(back.kind, MN_MSG_PULSE);
}

static void fields_of_a_newer_program_are_passed_over(void **state)
{
    (void)state;
    mn_message back;
    const uint8_t newer[] = {0xc2, 0x01, 0x02, 0x78, 0x05}; /* PULSE with an unknown field 15 = 5 */
    assert_int_equal(mn_message_unpack(newer, sizeof newer, &back, NULL), MN_OK);
    assert_int_equal(back.kind, MN_MSG_PULSE);
}

static void each_kind_has_its_name(void **state)
{
    (void)state;
    for (int a = 0; a < MN_N_MESSAGES; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(mn_message_kind_text((mn_message_kind)a),
                                    mn_message_kind_text((mn_message_kind)b));
    assert_string_equal(mn_message_kind_text(MN_N_MESSAGES), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_comes_back_as_it_was),
        cmocka_unit_test(a_header_cut_short_is_refused_at_each_byte),
        cmocka_unit_test(a_header_with_any_bit_flipped_is_refused_or_makes_sense),
        cmocka_unit_test(texts_longer_than_their_place_are_refused),
        cmocka_unit_test(a_text_with_a_nul_inside_is_refused),
        cmocka_unit_test(control_characters_of_a_peer_never_reach_a_terminal),
        cmocka_unit_test(digests_of_other_than_32_bytes_are_refused),
        cmocka_unit_test(a_lease_without_a_round_is_refused),
        cmocka_unit_test(enums_beyond_the_known_are_refused),
        cmocka_unit_test(numbers_that_make_no_sense_are_refused),
        cmocka_unit_test(headers_larger_than_the_limit_are_neither_sent_nor_read),
        cmocka_unit_test(a_header_made_to_take_much_memory_is_refused),
        cmocka_unit_test(an_encoding_that_is_not_canonical_is_refused),
        cmocka_unit_test(fields_of_a_newer_program_are_passed_over),
        cmocka_unit_test(each_kind_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
