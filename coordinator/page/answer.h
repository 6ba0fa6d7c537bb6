/* answer.h: which answer a request gets: routes, rights, headers. A table of paths, and the number of a
 * task, and nothing else: no request can name a file. No socket, no clock. */
#pragma once

#include "common/digest.h"
#include "common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MN_TOKEN_SHORTEST 16u

/* Who may look. */
typedef struct mn_access {
    bool asks; /* for a token; else only a browser that means this very machine is answered, so
                        that no page from elsewhere can make it look here for it */
    mn_digest token; /* its fingerprint: what is compared has one length and tells nothing */
} mn_access;

/* What a request says; NULL: it does not. Anything may stand in it. */
typedef struct mn_request {
    const char *method, *path;
    const char *host, *accept;
    const char *authorization; /* "Bearer TOKEN" */
    const char *cookie;        /* the value of the page's own */
    const char *token;         /* of "?token=" */
    const char *index;         /* of "?index=" */
} mn_request;

typedef enum mn_answer_kind {
    MN_ANSWER_TEXT,    /* `text` */
    MN_ANSWER_FILE,    /* `bytes`, `size` */
    MN_ANSWER_FRAME,   /* the newest snapshot as JSON */
    MN_ANSWER_EVENTS,  /* a stream of them */
    MN_ANSWER_METRICS, /* for Prometheus; `open`: as OpenMetrics */
    MN_ANSWER_YAML,    /* the experiment */
    MN_ANSWER_TASK,    /* what there is to tell of task `index`, as JSON */
    MN_ANSWER_PICTURE, /* and its picture */
    MN_ANSWER_ENTER,   /* the token is right: to be kept by the browser, and then to / without it */
} mn_answer_kind;

typedef struct mn_answer {
    mn_answer_kind kind;
    unsigned code;    /* of HTTP */
    const char *type; /* of the content; static */
    const char *text; /* static */
    const unsigned char *bytes;
    size_t size;
    bool open;
    uint32_t index; /* less than MN_SHOWCASE_MOST */
} mn_answer;

mn_answer mn_answer_to(const mn_request *request, const mn_access *access);

mn_digest mn_access_token(const char *token, size_t n);
