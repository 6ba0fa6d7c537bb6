#include "proto/message.h"

#include "common/exact_sum.h"
#include "common/packed_sum.h"
#include "proto/mnemo.pb-c.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_THREADS 65535u
#define MAX_INTERVAL_MS 86400000u /* a day */
#define MAX_THETA (UINT64_C(1) << 36)

/* protobuf-c takes memory for each string, submessage and unknown field. A header of all unknown
 * fields costs some 30 times its size, so one decoding may take this much in all and no more; an
 * honest WELCOME takes its size. */
#define DECODING_BUDGET ((size_t)4 * MN_MAX_HEADER_BYTES)

/* The plain structs as protobuf-c wants them: all parts that one envelope may point to. */
struct draft {
    Mnemo__Envelope envelope;
    union {
        Mnemo__Nothing nothing;
        Mnemo__Words words;
        Mnemo__Hello hello;
        Mnemo__Join join;
        Mnemo__Result result;
        Mnemo__Welcome welcome;
        Mnemo__Theta theta;
        Mnemo__Lease lease;
        Mnemo__Ask ask;
        Mnemo__Round round;
        Mnemo__Range range;
        Mnemo__Visit visit;
        Mnemo__Leg leg;
    } body;
    Mnemo__Round lease_round;
};

static void draft_body(const mn_message *message, struct draft *draft);
static mn_status read_body(const Mnemo__Envelope *envelope, mn_message *out, mn_error *err);
static mn_status check(const mn_message *message, mn_error *err);

mn_status mn_message_pack(const mn_message *message, uint8_t **bytes, size_t *n, mn_error *err)
{
    mn_status status = check(message, err);
    if (status != MN_OK)
        return status;
    struct draft draft;
    mnemo__envelope__init(&draft.envelope);
    draft.envelope.payload_bytes = message->payload_bytes;
    draft.envelope.payload_checksum = message->payload_checksum;
    draft_body(message, &draft);

    size_t size = mnemo__envelope__get_packed_size(&draft.envelope);
    if (size > MN_MAX_HEADER_BYTES)
        return mn_fail(
            err, MN_ERR_PROTOCOL,
            "%s has a header of %zu bytes, but at most %u may be sent; is the experiment "
            "file so large?",
            mn_message_kind_text(message->kind), size, MN_MAX_HEADER_BYTES);
    uint8_t *packed = malloc(size);
    if (packed == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "header of %zu bytes", size);
    *n = mnemo__envelope__pack(&draft.envelope, packed);
    *bytes = packed;
    return MN_OK;
}

static void *take(void *budget, size_t size)
{
    size_t *left = budget;
    if (size > *left)
        return NULL;
    *left -= size;
    return malloc(size);
}

static void give_back(void *budget, void *memory)
{
    (void)budget;
    free(memory);
}

mn_status mn_message_unpack(const void *bytes, size_t n, mn_message *out, mn_error *err)
{
    memset(out, 0, sizeof *out);
    if (n > MN_MAX_HEADER_BYTES)
        return mn_fail(err, MN_ERR_PROTOCOL, "header of %zu bytes; at most %u are allowed", n,
                       MN_MAX_HEADER_BYTES);
    size_t budget = DECODING_BUDGET;
    ProtobufCAllocator allocator = {take, give_back, &budget};
    Mnemo__Envelope *envelope = mnemo__envelope__unpack(&allocator, n, bytes);
    if (envelope == NULL)
        return mn_fail(err, MN_ERR_PROTOCOL, "header of %zu bytes is not one of ours", n);

    /* Packed again it must be as long as it was. So the encoding is the canonical one, and no text
     * has a NUL inside that would hide its end: all that could differ makes the second packing
     * shorter. */
    mn_status status = MN_OK;
    if (mnemo__envelope__get_packed_size(envelope) != n)
        status =
            mn_fail(err, MN_ERR_PROTOCOL,
                    "header of %zu bytes is not in canonical form, or a text has a NUL inside", n);
    if (status == MN_OK) {
        out->payload_bytes = envelope->payload_bytes;
        out->payload_checksum = envelope->payload_checksum;
        status = read_body(envelope, out, err);
    }
    if (status == MN_OK)
        status = check(out, err);
    mnemo__envelope__free_unpacked(envelope, &allocator);
    if (status != MN_OK) {
        mn_message_fini(out);
        memset(out, 0, sizeof *out);
    }
    return status;
}

void mn_message_fini(mn_message *message)
{
    if (message->kind != MN_MSG_WELCOME)
        return;
    free(message->welcome.experiment);
    free(message->welcome.learner);
    message->welcome.experiment = message->welcome.learner = NULL;
}

const char *mn_message_kind_text(mn_message_kind kind)
{
    static const char *const texts[MN_N_MESSAGES] = {
        [MN_MSG_NONE] = "NONE",
        [MN_MSG_HELLO] = "HELLO",
        [MN_MSG_JOIN] = "JOIN",
        [MN_MSG_RESULT] = "RESULT",
        [MN_MSG_HEARTBEAT] = "HEARTBEAT",
        [MN_MSG_LEAVE] = "LEAVE",
        [MN_MSG_WELCOME] = "WELCOME",
        [MN_MSG_REJECT] = "REJECT",
        [MN_MSG_THETA] = "THETA",
        [MN_MSG_LEASE] = "LEASE",
        [MN_MSG_PULSE] = "PULSE",
        [MN_MSG_REGISTER_AGAIN] = "REGISTER_AGAIN",
        [MN_MSG_FINISHED] = "FINISHED",
        [MN_MSG_ASK] = "ASK",
        [MN_MSG_SETTLED] = "SETTLED",
        [MN_MSG_RETURNED] = "RETURNED",
        [MN_MSG_STOP_WANTED] = "STOP_WANTED",
        [MN_MSG_NOTE] = "NOTE",
        [MN_MSG_ROUND] = "ROUND",
        [MN_MSG_RANGE] = "RANGE",
        [MN_MSG_REDUCE] = "REDUCE",
        [MN_MSG_STOP] = "STOP",
        [MN_MSG_VISIT] = "VISIT",
        [MN_MSG_LEG] = "LEG",
        [MN_MSG_LEG_ENDED] = "LEG_ENDED",
    };
    return (unsigned)kind < MN_N_MESSAGES ? texts[kind] : "unknown";
}

/* ---- plain structs -> protobuf-c. It does not write through the pointers that it wants
 * unqualified. */

#define TEXT(array) ((char *)(uintptr_t)(array))
#define DIGEST(digest) ((ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)(digest).bytes})

static Mnemo__Round draft_round(const mn_round *round)
{
    Mnemo__Round out = MNEMO__ROUND__INIT;
    out.id = round->id;
    out.kind = (Mnemo__RoundKind)round->kind;
    out.split = (Mnemo__Split)round->split;
    out.step = round->step;
    out.first_task = round->first_task;
    out.n_tasks = round->n_tasks;
    return out;
}

static void draft_hello(const mn_hello *from, Mnemo__Hello *to)
{
    mnemo__hello__init(to);
    to->protocol = from->protocol;
    to->version = TEXT(from->version);
    to->name = TEXT(from->name);
    to->uuid_high = from->uuid[0];
    to->uuid_low = from->uuid[1];
    to->threads = from->threads;
    to->visits = from->visits;
    to->refused = from->refused;
}

static void draft_welcome(const mn_welcome *from, Mnemo__Welcome *to)
{
    mnemo__welcome__init(to);
    to->run_id = from->run_id;
    to->heartbeat_ms = from->heartbeat_ms;
    to->silence_ms = from->silence_ms;
    to->data = DIGEST(from->data);
    to->data_name = TEXT(from->data_name);
    to->experiment = from->experiment;
    if (from->learner != NULL)
        to->learner = from->learner;
}

static void draft_result(uint64_t epoch, const mn_result *from, Mnemo__Result *to)
{
    mnemo__result__init(to);
    to->epoch = epoch;
    to->encoding = (Mnemo__Encoding)from->encoding;
    to->n_tasks = from->n_tasks;
    to->n_columns = from->n_columns;
    to->compute_us = from->compute_us;
    to->sums_us = from->sums_us;
    to->n_kept = from->n_kept;
    to->kept = (uint64_t *)(uintptr_t)from->kept;
}

static void draft_body(const mn_message *message, struct draft *draft)
{
    Mnemo__Envelope *envelope = &draft->envelope;
/* Name the body, start it from its defaults, and point the envelope to it. */
#define BODY(CASE, field, part, init)                                                              \
    envelope->body_case = MNEMO__ENVELOPE__BODY_##CASE;                                            \
    envelope->field = &draft->body.part;                                                           \
    init(&draft->body.part)
#define NOTHING(CASE, field)                                                                       \
    BODY(CASE, field, nothing, mnemo__nothing__init);                                              \
    break
#define WORDS(CASE, field)                                                                         \
    BODY(CASE, field, words, mnemo__words__init);                                                  \
    draft->body.words.reason = TEXT(message->reject.reason);                                       \
    draft->body.words.resumes = message->reject.resumes;                                           \
    break
#define RANGE(CASE, field)                                                                         \
    BODY(CASE, field, range, mnemo__range__init);                                                  \
    draft->body.range.round = message->range.round;                                                \
    draft->body.range.begin = message->range.begin;                                                \
    draft->body.range.n = message->range.n;                                                        \
    break

#define LEG(CASE, field)                                                                           \
    BODY(CASE, field, leg, mnemo__leg__init);                                                      \
    draft->body.leg.run = message->leg.run;                                                        \
    draft->body.leg.until = message->leg.until;                                                    \
    draft->body.leg.slot = message->leg.slot;                                                      \
    draft->body.leg.last = message->leg.last;                                                      \
    draft->body.leg.code = message->leg.code;                                                      \
    break

    switch (message->kind) {
    case MN_MSG_HELLO:
        BODY(HELLO, hello, hello, mnemo__hello__init);
        draft_hello(&message->hello, &draft->body.hello);
        break;
    case MN_MSG_JOIN:
        BODY(JOIN, join, join, mnemo__join__init);
        draft->body.join.numeric_class = DIGEST(message->join.numeric_class);
        draft->body.join.data = DIGEST(message->join.data);
        draft->body.join.kernels = TEXT(message->join.kernels);
        break;
    case MN_MSG_RESULT:
        BODY(RESULT, result, result, mnemo__result__init);
        draft_result(message->result.epoch, &message->result.result, &draft->body.result);
        break;
    case MN_MSG_HEARTBEAT:
        NOTHING(HEARTBEAT, heartbeat);
    case MN_MSG_LEAVE:
        NOTHING(LEAVE, leave);
    case MN_MSG_WELCOME:
        BODY(WELCOME, welcome, welcome, mnemo__welcome__init);
        draft_welcome(&message->welcome, &draft->body.welcome);
        break;
    case MN_MSG_REJECT:
        WORDS(REJECT, reject);
    case MN_MSG_THETA:
        BODY(THETA, theta, theta, mnemo__theta__init);
        draft->body.theta.version = message->theta.version;
        draft->body.theta.n = message->theta.n;
        break;
    case MN_MSG_LEASE:
        BODY(LEASE, lease, lease, mnemo__lease__init);
        draft->lease_round = draft_round(&message->lease.round);
        draft->body.lease.round = &draft->lease_round;
        draft->body.lease.epoch = message->lease.epoch;
        draft->body.lease.begin = message->lease.begin;
        draft->body.lease.n = message->lease.n;
        break;
    case MN_MSG_PULSE:
        NOTHING(PULSE, pulse);
    case MN_MSG_REGISTER_AGAIN:
        NOTHING(REGISTER_AGAIN, register_again);
    case MN_MSG_FINISHED:
        WORDS(FINISHED, finished);
    case MN_MSG_ASK:
        BODY(ASK, ask, ask, mnemo__ask__init);
        draft->body.ask.threads = message->ask.threads;
        break;
    case MN_MSG_SETTLED:
        RANGE(SETTLED, settled);
    case MN_MSG_RETURNED:
        RANGE(RETURNED, returned);
    case MN_MSG_STOP_WANTED:
        WORDS(STOP_WANTED, stop_wanted);
    case MN_MSG_NOTE:
        WORDS(NOTE, note);
    case MN_MSG_ROUND:
        BODY(ROUND, round, round, mnemo__round__init);
        draft->body.round = draft_round(&message->round);
        break;
    case MN_MSG_RANGE:
        RANGE(RANGE, range);
    case MN_MSG_REDUCE:
        RANGE(REDUCE, reduce);
    case MN_MSG_STOP:
        WORDS(STOP, stop);
    case MN_MSG_VISIT:
        BODY(VISIT, visit, visit, mnemo__visit__init);
        draft->body.visit.endpoint = TEXT(message->visit.endpoint);
        draft->body.visit.for_ms = message->visit.for_ms;
        break;
    case MN_MSG_LEG:
        LEG(LEG, leg);
    case MN_MSG_LEG_ENDED:
        LEG(LEG_ENDED, leg_ended);
    case MN_MSG_NONE:
    case MN_N_MESSAGES:
        break; /* refused by check() */
    }
#undef LEG
#undef RANGE
#undef WORDS
#undef NOTHING
#undef BODY
}

/* ---- protobuf-c -> plain structs: what does not fit is refused; what fits but makes no sense is
 * left to check(). */

/* Copy a short text for people. Control characters become '?', so that no peer writes to our
 * terminal. */
static mn_status read_text(const char *field, const char *text, size_t size, char *out,
                           mn_error *err)
{
    size_t n = strlen(text);
    if (n >= size)
        return mn_fail(err, MN_ERR_PROTOCOL, "%s has %zu characters; at most %zu are allowed",
                       field, n, size - 1);
    for (size_t i = 0; i <= n; i++) {
        unsigned char c = (unsigned char)text[i];
        out[i] = (c > 0 && c < 0x20) || c == 0x7f ? '?' : text[i];
    }
    return MN_OK;
}

static mn_status read_digest(const char *field, const ProtobufCBinaryData *bytes, mn_digest *out,
                             mn_error *err)
{
    if (bytes->len != sizeof out->bytes)
        return mn_fail(err, MN_ERR_PROTOCOL, "%s has %zu bytes; a digest has 32", field,
                       bytes->len);
    memcpy(out->bytes, bytes->data, sizeof out->bytes);
    return MN_OK;
}

/* An enum of protobuf may hold any int32; check() refuses what is not ours. */
static mn_round read_round(const Mnemo__Round *from)
{
    return (mn_round){.id = from->id,
                      .kind = (mn_round_kind)from->kind,
                      .split = (mn_split)from->split,
                      .step = from->step,
                      .first_task = from->first_task,
                      .n_tasks = from->n_tasks};
}

static mn_status read_hello(const Mnemo__Hello *from, mn_hello *to, mn_error *err)
{
    to->protocol = from->protocol;
    to->uuid[0] = from->uuid_high;
    to->uuid[1] = from->uuid_low;
    to->threads = from->threads;
    to->visits = from->visits;
    to->refused = from->refused;
    mn_status status =
        read_text("HELLO.version", from->version, sizeof to->version, to->version, err);
    if (status == MN_OK)
        status = read_text("HELLO.name", from->name, sizeof to->name, to->name, err);
    return status;
}

static mn_status read_join(const Mnemo__Join *from, mn_message *out, mn_error *err)
{
    mn_status status =
        read_digest("JOIN.numeric_class", &from->numeric_class, &out->join.numeric_class, err);
    if (status == MN_OK)
        status = read_digest("JOIN.data", &from->data, &out->join.data, err);
    if (status == MN_OK)
        status = read_text("JOIN.kernels", from->kernels, sizeof out->join.kernels,
                           out->join.kernels, err);
    return status;
}

static mn_status read_welcome(const Mnemo__Welcome *from, mn_welcome *to, mn_error *err)
{
    to->run_id = from->run_id;
    to->heartbeat_ms = from->heartbeat_ms;
    to->silence_ms = from->silence_ms;
    mn_status status = read_digest("WELCOME.data", &from->data, &to->data, err);
    if (status == MN_OK)
        status = read_text("WELCOME.data_name", from->data_name, sizeof to->data_name,
                           to->data_name, err);
    if (status != MN_OK)
        return status;
    to->experiment = strdup(from->experiment);
    if (from->learner[0] != '\0')
        to->learner = strdup(from->learner);
    if (to->experiment == NULL || (from->learner[0] != '\0' && to->learner == NULL))
        return mn_fail(err, MN_ERR_NOMEM, "text of the experiment");
    return MN_OK;
}

static mn_status read_result(const Mnemo__Result *from, mn_message *out, mn_error *err)
{
    if (from->n_kept > MN_MAX_KEPT)
        return mn_fail(err, MN_ERR_PROTOCOL, "RESULT has %zu kept leases; at most %u are allowed",
                       from->n_kept, MN_MAX_KEPT);
    out->result.epoch = from->epoch;
    out->result.result = (mn_result){.encoding = (mn_encoding)from->encoding,
                                     .n_tasks = from->n_tasks,
                                     .n_columns = from->n_columns,
                                     .compute_us = from->compute_us,
                                     .sums_us = from->sums_us,
                                     .n_kept = (uint32_t)from->n_kept};
    if (from->n_kept > 0)
        memcpy(out->result.result.kept, from->kept, from->n_kept * sizeof *from->kept);
    return MN_OK;
}

static mn_status read_lease(const Mnemo__Lease *from, mn_lease *to, mn_error *err)
{
    if (from->round == NULL)
        return mn_fail(err, MN_ERR_PROTOCOL, "LEASE has no round");
    *to = (mn_lease){
        .epoch = from->epoch, .round = read_round(from->round), .begin = from->begin, .n = from->n};
    return MN_OK;
}

static mn_status read_words(const Mnemo__Words *from, mn_message *out, mn_error *err)
{
    out->reject.resumes = from->resumes;
    return read_text("reason", from->reason, sizeof out->reject.reason, out->reject.reason, err);
}

static mn_status read_range(const Mnemo__Range *from, mn_message *out)
{
    out->range = (mn_range){.round = from->round, .begin = from->begin, .n = from->n};
    return MN_OK;
}

static mn_status read_visit(const Mnemo__Visit *from, mn_message *out, mn_error *err)
{
    out->visit.for_ms = from->for_ms;
    return read_text("VISIT.endpoint", from->endpoint, sizeof out->visit.endpoint,
                     out->visit.endpoint, err);
}

static mn_status read_leg(const Mnemo__Leg *from, mn_message *out)
{
    out->leg = (mn_leg){.run = from->run,
                        .until = from->until,
                        .slot = from->slot,
                        .code = from->code,
                        .last = from->last};
    return MN_OK;
}

static mn_status read_body(const Mnemo__Envelope *envelope, mn_message *out, mn_error *err)
{
#define IS(CASE, kind_)                                                                            \
    case MNEMO__ENVELOPE__BODY_##CASE:                                                             \
        out->kind = kind_
    switch (envelope->body_case) {
        IS(HELLO, MN_MSG_HELLO);
        return read_hello(envelope->hello, &out->hello, err);
        IS(JOIN, MN_MSG_JOIN);
        return read_join(envelope->join, out, err);
        IS(RESULT, MN_MSG_RESULT);
        return read_result(envelope->result, out, err);
        IS(HEARTBEAT, MN_MSG_HEARTBEAT);
        return MN_OK;
        IS(LEAVE, MN_MSG_LEAVE);
        return MN_OK;
        IS(WELCOME, MN_MSG_WELCOME);
        return read_welcome(envelope->welcome, &out->welcome, err);
        IS(REJECT, MN_MSG_REJECT);
        return read_words(envelope->reject, out, err);
        IS(THETA, MN_MSG_THETA);
        out->theta.version = envelope->theta->version;
        out->theta.n = envelope->theta->n;
        return MN_OK;
        IS(LEASE, MN_MSG_LEASE);
        return read_lease(envelope->lease, &out->lease, err);
        IS(PULSE, MN_MSG_PULSE);
        return MN_OK;
        IS(REGISTER_AGAIN, MN_MSG_REGISTER_AGAIN);
        return MN_OK;
        IS(FINISHED, MN_MSG_FINISHED);
        return read_words(envelope->finished, out, err);
        IS(ASK, MN_MSG_ASK);
        out->ask.threads = envelope->ask->threads;
        return MN_OK;
        IS(SETTLED, MN_MSG_SETTLED);
        return read_range(envelope->settled, out);
        IS(RETURNED, MN_MSG_RETURNED);
        return read_range(envelope->returned, out);
        IS(STOP_WANTED, MN_MSG_STOP_WANTED);
        return read_words(envelope->stop_wanted, out, err);
        IS(NOTE, MN_MSG_NOTE);
        return read_words(envelope->note, out, err);
        IS(ROUND, MN_MSG_ROUND);
        out->round = read_round(envelope->round);
        return MN_OK;
        IS(RANGE, MN_MSG_RANGE);
        return read_range(envelope->range, out);
        IS(REDUCE, MN_MSG_REDUCE);
        return read_range(envelope->reduce, out);
        IS(STOP, MN_MSG_STOP);
        return read_words(envelope->stop, out, err);
        IS(VISIT, MN_MSG_VISIT);
        return read_visit(envelope->visit, out, err);
        IS(LEG, MN_MSG_LEG);
        return read_leg(envelope->leg, out);
        IS(LEG_ENDED, MN_MSG_LEG_ENDED);
        return read_leg(envelope->leg_ended, out);
    case MNEMO__ENVELOPE__BODY__NOT_SET:
    case _MNEMO__ENVELOPE__BODY__CASE_IS_INT_SIZE:
        break;
    }
#undef IS
    return mn_fail(err, MN_ERR_PROTOCOL, "header of no kind that protocol version %u has",
                   MN_PROTOCOL_VERSION);
}

/* ---- what makes sense, for both directions */

static mn_status in_range(const char *field, uint64_t value, uint64_t low, uint64_t high,
                          mn_error *err)
{
    if (value >= low && value <= high)
        return MN_OK;
    return mn_fail(err, MN_ERR_PROTOCOL,
                   "%s is %" PRIu64 "; it must be between %" PRIu64 " and %" PRIu64, field, value,
                   low, high);
}

static mn_status check_round(const mn_round *round, mn_error *err)
{
    mn_status status = in_range("round id", round->id, 1, UINT64_MAX, err);
    if (status == MN_OK)
        status = in_range("round kind", (unsigned)round->kind, 0, MN_ROUND_TEST, err);
    if (status == MN_OK)
        status = in_range("round split", (unsigned)round->split, 0, MN_N_SPLITS - 1, err);
    if (status == MN_OK)
        status = in_range("round n_tasks", round->n_tasks, 1, MN_MAX_ROUND_TASKS, err);
    if (status == MN_OK)
        status =
            in_range("round first_task", round->first_task, 0, UINT64_MAX - round->n_tasks, err);
    return status;
}

/* Tasks begin .. begin+n-1 of a round of at most n_tasks. */
static mn_status check_span(uint32_t begin, uint32_t n, uint32_t n_tasks, mn_error *err)
{
    mn_status status = in_range("begin", begin, 0, n_tasks - 1, err);
    return status == MN_OK ? in_range("n", n, 1, n_tasks - begin, err) : status;
}

/* Only a sum can have other leases in it; their epochs grow, so that none is there twice. */
static mn_status check_kept(const mn_message *message, mn_error *err)
{
    const mn_result *result = &message->result.result;
    uint32_t most = result->encoding == MN_ENCODING_PACKED ? MN_MAX_KEPT : 0;
    mn_status status = in_range("number of RESULT.kept", result->n_kept, 0, most, err);
    uint64_t least = 1;
    for (uint32_t i = 0; i < result->n_kept && status == MN_OK; i++) {
        status = in_range("RESULT.kept", result->kept[i], least, UINT64_MAX - 1, err);
        least = result->kept[i] + 1;
        if (status == MN_OK && result->kept[i] == message->result.epoch)
            status = mn_fail(err, MN_ERR_PROTOCOL, "RESULT keeps its own lease");
    }
    return status;
}

static mn_status check_result(const mn_message *message, uint64_t *payload, mn_error *err)
{
    const mn_result *result = &message->result.result;
    bool packed = result->encoding == MN_ENCODING_PACKED;
    if (packed)
        *payload = message->payload_bytes; /* any within its limits */
    else if (result->encoding == MN_ENCODING_ROWS)
        *payload = UINT64_C(4) * result->n_tasks * result->n_columns;
    mn_status status = in_range("RESULT.epoch", message->result.epoch, 1, UINT64_MAX, err);
    if (status == MN_OK)
        status = in_range("RESULT.encoding", (unsigned)result->encoding, 0, MN_ENCODING_KEPT, err);
    if (status == MN_OK)
        status = in_range("RESULT.n_tasks", result->n_tasks, 1,
                          packed ? MN_EXACT_MAX_TERMS : MN_MAX_ROUND_TASKS, err);
    if (status == MN_OK)
        status = in_range("RESULT.n_columns", result->n_columns, 1, UINT32_MAX, err);
    if (status == MN_OK && packed)
        status = in_range("bytes behind RESULT", message->payload_bytes,
                          mn_packed_sum_least(result->n_columns),
                          mn_packed_sum_most(result->n_columns), err);
    return status == MN_OK ? check_kept(message, err) : status;
}

static mn_status check_welcome(const mn_welcome *welcome, mn_error *err)
{
    mn_status status =
        in_range("WELCOME.heartbeat_ms", welcome->heartbeat_ms, 1, MAX_INTERVAL_MS, err);
    if (status == MN_OK)
        status = in_range("WELCOME.silence_ms", welcome->silence_ms, 1, MAX_INTERVAL_MS, err);
    if (status == MN_OK && welcome->experiment == NULL)
        status = mn_fail(err, MN_ERR_PROTOCOL, "WELCOME has no experiment");
    return status;
}

/* No peer says which of our files we open: an endpoint without "://" would be one. */
static mn_status check_visit(const mn_visit *visit, mn_error *err)
{
    const char *endpoint = visit->endpoint;
    mn_status status = in_range("VISIT.for_ms", visit->for_ms, 1, MAX_INTERVAL_MS, err);
    if (status == MN_OK && endpoint[0] != '\0' && strncmp(endpoint, "tcp://", 6) != 0 &&
        strncmp(endpoint, "ipc://", 6) != 0)
        status = mn_fail(err, MN_ERR_PROTOCOL, "VISIT to what is neither tcp:// nor ipc://");
    return status;
}

static mn_status check(const mn_message *message, mn_error *err)
{
    uint64_t payload = 0; /* what must follow the header */
    mn_status status = MN_OK;
    switch (message->kind) {
    case MN_MSG_HELLO: /* of any protocol version: the rank must be able to say no */
        status = in_range("HELLO.threads", message->hello.threads, 1, MAX_THREADS, err);
        break;
    case MN_MSG_RESULT:
        status = check_result(message, &payload, err);
        break;
    case MN_MSG_WELCOME:
        status = check_welcome(&message->welcome, err);
        break;
    case MN_MSG_THETA:
        payload = 4 * message->theta.n;
        status = in_range("THETA.n", message->theta.n, 1, MAX_THETA, err);
        break;
    case MN_MSG_LEASE:
        status = in_range("LEASE.epoch", message->lease.epoch, 1, UINT64_MAX, err);
        if (status == MN_OK)
            status = check_round(&message->lease.round, err);
        if (status == MN_OK)
            status = check_span(message->lease.begin, message->lease.n,
                                message->lease.round.n_tasks, err);
        break;
    case MN_MSG_VISIT:
        status = check_visit(&message->visit, err);
        break;
    case MN_MSG_ROUND:
        status = check_round(&message->round, err);
        break;
    case MN_MSG_SETTLED:
    case MN_MSG_RETURNED:
    case MN_MSG_RANGE:
        status = in_range("round", message->range.round, 1, UINT64_MAX, err);
        if (status == MN_OK)
            status = check_span(message->range.begin, message->range.n, MN_MAX_ROUND_TASKS, err);
        break;
    case MN_MSG_REDUCE:
        status = in_range("round", message->range.round, 1, UINT64_MAX, err);
        break;
    case MN_MSG_JOIN:
    case MN_MSG_HEARTBEAT:
    case MN_MSG_LEAVE:
    case MN_MSG_REJECT:
    case MN_MSG_PULSE:
    case MN_MSG_REGISTER_AGAIN:
    case MN_MSG_FINISHED:
    case MN_MSG_ASK:
    case MN_MSG_STOP_WANTED:
    case MN_MSG_NOTE:
    case MN_MSG_STOP:
    case MN_MSG_LEG:
    case MN_MSG_LEG_ENDED:
        break;
    case MN_MSG_NONE:
    case MN_N_MESSAGES:
    default:
        return mn_fail(err, MN_ERR_PROTOCOL, "message of kind %d", (int)message->kind);
    }
    if (status == MN_OK && message->payload_bytes != payload)
        status = mn_fail(err, MN_ERR_PROTOCOL,
                         "%s announces %" PRIu64 " bytes behind it; its numbers need %" PRIu64,
                         mn_message_kind_text(message->kind), message->payload_bytes, payload);
    return status;
}
