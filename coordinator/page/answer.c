#include "coordinator/page/answer.h"

#include "coordinator/page/exposition.h"
#include "coordinator/page/page_files.h"
#include "coordinator/page/showcase.h"
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HTML "text/html; charset=utf-8"
#define JAVASCRIPT "text/javascript; charset=utf-8"
#define PLAIN "text/plain; charset=utf-8"

struct route {
    const char *path;
    mn_answer_kind kind;
    const char *type;
    const unsigned char *begin, *end; /* of a file */
};

static const struct route routes[] = {
    {"/", MN_ANSWER_FILE, HTML, mn_file_page_html, mn_file_page_html_end},
    {"/page.css", MN_ANSWER_FILE, "text/css; charset=utf-8", mn_file_page_css,
     mn_file_page_css_end},
    {"/page.js", MN_ANSWER_FILE, JAVASCRIPT, mn_file_page_js, mn_file_page_js_end},
    {"/chart.js", MN_ANSWER_FILE, JAVASCRIPT, mn_file_chart_js, mn_file_chart_js_end},
    {"/chart.js.txt", MN_ANSWER_FILE, PLAIN, mn_file_chart_licence, mn_file_chart_licence_end},
    {"/icon.svg", MN_ANSWER_FILE, "image/svg+xml", mn_file_icon_svg, mn_file_icon_svg_end},
    {"/state.json", MN_ANSWER_FRAME, "application/json", NULL, NULL},
    {"/events", MN_ANSWER_EVENTS, "text/event-stream", NULL, NULL},
    {"/metrics", MN_ANSWER_METRICS, MN_EXPOSITION_TEXT, NULL, NULL},
    {"/experiment.yaml", MN_ANSWER_YAML, PLAIN, NULL, NULL},
    {"/task.json", MN_ANSWER_TASK, "application/json", NULL, NULL},
    {"/task.png", MN_ANSWER_PICTURE, "image/png", NULL, NULL},
};

static bool is_let_in(const mn_request *request, const mn_access *access);
static bool means_this_machine(const char *host);
static bool read_index(const char *text, uint32_t *index);
static mn_answer words(unsigned code, const char *text);

mn_answer mn_answer_to(const mn_request *request, const mn_access *access)
{
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0)
        return words(405, "This page is for looking only: GET or HEAD.\n");
    if (!access->asks && request->host != NULL && !means_this_machine(request->host))
        return words(421,
                     "This page is for this machine alone: open it as http://127.0.0.1:PORT/ or "
                     "http://localhost:PORT/ (through ssh -L from elsewhere).\n");
    if (access->asks && !is_let_in(request, access))
        return words(401,
                     "This page asks for a token: open the address that the run has printed, which "
                     "also stands in the file `page` of the run's folder, or send the token as "
                     "Authorization: Bearer TOKEN.\n");
    if (access->asks && request->token != NULL)
        return (mn_answer){.kind = MN_ANSWER_ENTER, .code = 303, .type = PLAIN, .text = ""};
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        const struct route *route = &routes[i];
        if (strcmp(request->path, route->path) != 0)
            continue;
        mn_answer answer = {.kind = route->kind,
                            .code = 200,
                            .type = route->type,
                            .bytes = route->begin,
                            .size = (size_t)(route->end - route->begin)};
        if (route->kind == MN_ANSWER_METRICS && mn_exposition_wants_open(request->accept)) {
            answer.open = true;
            answer.type = MN_EXPOSITION_OPEN;
        }
        const bool of_a_task = route->kind == MN_ANSWER_TASK || route->kind == MN_ANSWER_PICTURE;
        if (of_a_task && !read_index(request->index, &answer.index))
            return words(400, "Which task? As in /task.json?index=0; they are numbered from 0.\n");
        return answer;
    }
    return words(404, "There is nothing here. There are /, /state.json, /events, /task.json, "
                      "/metrics and /experiment.yaml.\n");
}

mn_digest mn_access_token(const char *token, size_t n)
{
    return mn_digest_of(token, n);
}

static bool is_token(const char *text, const mn_access *access)
{
    const mn_digest given = mn_access_token(text, strlen(text));
    return sodium_memcmp(given.bytes, access->token.bytes, sizeof given.bytes) == 0;
}

static bool is_let_in(const mn_request *request, const mn_access *access)
{
    const char bearer[] = "Bearer ";
    const size_t n = sizeof bearer - 1;
    if (request->authorization != NULL && strncasecmp(request->authorization, bearer, n) == 0 &&
        is_token(request->authorization + n, access))
        return true;
    if (request->token != NULL)
        return is_token(request->token, access);
    return request->cookie != NULL && is_token(request->cookie, access);
}

/* A name of elsewhere that leads here (DNS rebinding) would let any page read this one. */
static bool means_this_machine(const char *host)
{
    static const char *const names[] = {"localhost", "[::1]"};
    const char *end = host + strspn(host, "0123456789."); /* digits alone are no name */
    if (strncmp(host, "127.", 4) == 0 && (*end == '\0' || *end == ':'))
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t n = strlen(names[i]);
        if (strncasecmp(host, names[i], n) == 0 && (host[n] == '\0' || host[n] == ':'))
            return true;
    }
    return false;
}

/* NULL: the first task. */
static bool read_index(const char *text, uint32_t *index)
{
    *index = 0;
    if (text == NULL)
        return true;
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9 || text[digits] != '\0')
        return false;
    *index = (uint32_t)strtoul(text, NULL, 10);
    return *index < MN_SHOWCASE_MOST;
}

static mn_answer words(unsigned code, const char *text)
{
    return (mn_answer){.kind = MN_ANSWER_TEXT, .code = code, .type = PLAIN, .text = text};
}
