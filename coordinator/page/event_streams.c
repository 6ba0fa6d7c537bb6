#include "coordinator/page/event_streams.h"

#include "common/clock.h"
#include "coordinator/page/frame.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 16384u
#define RETRY "retry: 1000\n" /* ms; a reader whose stream ends looks whether the run goes on */
#define KEEP_ALIVE_US UINT64_C(10000000) /* a stream says something at least so often */

/* A text on its way to one or more readers. */
struct parcel {
    unsigned holders;
    uint64_t number; /* of the snapshot that it brings */
    size_t n;
    char *text; /* [n]; owned */
};

/* A reader of events. */
struct stream {
    mn_event_streams *streams;
    struct MHD_Connection *connection;
    mn_guest *guest; /* lent */
    struct stream *next;
    bool asleep;           /* suspended: it has all that there is */
    struct parcel *parcel; /* on its way; NULL: none */
    size_t sent;           /* of it */
    uint64_t has;          /* the snapshot that it has got; 0: none */
    uint64_t said_us;
    bool over; /* it has got the last of all */
};

struct mn_event_streams {
    const mn_board_config *run; /* lent */
    const mn_snapshot *now, *before;
    struct parcel *whole, *change; /* of `now`, and from `before` to it; NULL: not made yet */
    struct stream *first;
    unsigned n;
};

static ssize_t give_events(void *user, uint64_t position, char *buffer, size_t room);
static ssize_t give_some(struct stream *stream, char *buffer, size_t room);
static struct parcel *pack(mn_event_streams *streams, uint64_t has);
static void drop_parcel(struct parcel **parcel);
static void end_stream(void *user);

mn_status mn_event_streams_new(const mn_board_config *run, mn_event_streams **out, mn_error *err)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "streams of events");
    (*out)->run = run;
    return MN_OK;
}

void mn_event_streams_destroy(mn_event_streams **streams)
{
    if (*streams == NULL)
        return;
    drop_parcel(&(*streams)->whole);
    drop_parcel(&(*streams)->change);
    mn_snapshot_drop(&(*streams)->now);
    mn_snapshot_drop(&(*streams)->before);
    free(*streams);
    *streams = NULL;
}

void mn_event_streams_take(mn_event_streams *streams, const mn_snapshot *newest)
{
    if (newest == NULL || (streams->now != NULL && newest->number == streams->now->number)) {
        mn_snapshot_drop(&newest);
        return;
    }
    mn_snapshot_drop(&streams->before);
    streams->before = streams->now;
    streams->now = newest;
    drop_parcel(&streams->whole);
    drop_parcel(&streams->change);
}

const mn_snapshot *mn_event_streams_now(const mn_event_streams *streams)
{
    return streams->now;
}

bool mn_event_streams_full(const mn_event_streams *streams)
{
    return streams->n >= MN_PAGE_STREAMS;
}

struct MHD_Response *mn_event_streams_open(mn_event_streams *streams,
                                           struct MHD_Connection *connection, mn_guest *guest)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    *stream = (struct stream){.streams = streams,
                              .connection = connection,
                              .guest = guest,
                              .next = streams->first,
                              .said_us = mn_clock_us()};
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, BLOCK_BYTES, give_events, stream, end_stream);
    if (response == NULL) {
        free(stream);
        return NULL;
    }
    streams->first = stream;
    streams->n++;
    return response;
}

void mn_event_streams_wake(mn_event_streams *streams, bool all)
{
    const uint64_t now_us = mn_clock_us();
    for (struct stream *stream = streams->first; stream != NULL; stream = stream->next)
        if (stream->asleep &&
            (all || (streams->now != NULL && stream->has != streams->now->number) ||
             now_us > stream->said_us + KEEP_ALIVE_US)) {
            stream->asleep = false;
            MHD_resume_connection(stream->connection);
        }
}

bool mn_event_streams_know_the_end(const mn_event_streams *streams)
{
    for (const struct stream *stream = streams->first; stream != NULL; stream = stream->next)
        if (!stream->over)
            return false;
    return true;
}

void mn_event_streams_end(mn_event_streams *streams)
{
    for (struct stream *stream = streams->first; stream != NULL; stream = stream->next)
        stream->over = true;
    mn_event_streams_wake(streams, true);
}

/* What a reader can be told now, at most `room` bytes; where that is nothing, it is put to sleep. */
static ssize_t give_events(void *user, uint64_t position, char *buffer, size_t room)
{
    static const char quiet[] = ": still here\n\n";
    struct stream *stream = user;
    mn_event_streams *streams = stream->streams;
    const uint64_t now_us = mn_clock_us();
    (void)position;
    if (stream->parcel != NULL)
        return give_some(stream, buffer, room);
    if (stream->over)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (streams->now != NULL && stream->has != streams->now->number) {
        stream->parcel = pack(streams, stream->has);
        stream->sent = 0;
        if (stream->parcel == NULL)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        mn_guest_turn(stream->guest, MN_GUEST_TAKES, now_us);
        return give_some(stream, buffer, room);
    }
    mn_guest_turn(stream->guest, MN_GUEST_LISTENS, now_us);
    if (now_us > stream->said_us + KEEP_ALIVE_US && room > sizeof quiet) {
        stream->said_us = now_us;
        memcpy(buffer, quiet, sizeof quiet - 1);
        return (ssize_t)sizeof quiet - 1;
    }
    stream->asleep = true;
    MHD_suspend_connection(stream->connection);
    return 0;
}

static ssize_t give_some(struct stream *stream, char *buffer, size_t room)
{
    const mn_snapshot *now = stream->streams->now;
    const struct parcel *parcel = stream->parcel;
    const size_t n = parcel->n - stream->sent < room ? parcel->n - stream->sent : room;
    memcpy(buffer, parcel->text + stream->sent, n);
    stream->sent += n;
    stream->said_us = mn_clock_us();
    if (stream->sent == parcel->n) {
        stream->has = parcel->number;
        drop_parcel(&stream->parcel);
        stream->over = now->number == stream->has && mn_phase_is_over(now->phase);
    }
    return (ssize_t)n;
}

/* What a reader that has `has` needs next; NULL: no memory. */
static struct parcel *pack(mn_event_streams *streams, uint64_t has)
{
    const mn_snapshot *before =
        streams->before != NULL && has == streams->before->number ? streams->before : NULL;
    struct parcel **kept = before != NULL ? &streams->change : &streams->whole;
    if (*kept == NULL) {
        char *json = NULL;
        struct parcel *parcel = calloc(1, sizeof *parcel);
        if (parcel == NULL ||
            mn_frame_print(streams->run, streams->now, before, &json, NULL) != MN_OK) {
            free(parcel);
            return NULL;
        }
        const int n = asprintf(&parcel->text, "%sdata: %s\n\n", before == NULL ? RETRY : "", json);
        free(json);
        if (n < 0) {
            free(parcel);
            return NULL;
        }
        parcel->n = (size_t)n;
        parcel->holders = 1;
        parcel->number = streams->now->number;
        *kept = parcel;
    }
    (*kept)->holders++;
    return *kept;
}

static void drop_parcel(struct parcel **parcel)
{
    if (*parcel != NULL && --(*parcel)->holders == 0) {
        free((*parcel)->text);
        free(*parcel);
    }
    *parcel = NULL;
}

static void end_stream(void *user)
{
    struct stream *stream = user;
    struct stream **place = &stream->streams->first;
    while (*place != stream)
        place = &(*place)->next;
    *place = stream->next;
    stream->streams->n--;
    drop_parcel(&stream->parcel);
    free(stream);
}
