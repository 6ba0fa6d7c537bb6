#include "coordinator/commands/remote_run.h"

#include "common/text.h"
#include <curl/curl.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct mn_remote_run {
    CURL *curl;
    char *url;               /* of its state.json; owned, of libcurl */
    char where[256];         /* the same for people, without the token */
    char authorization[256]; /* "": no token was given */
    struct curl_slist *headers;
    uint32_t deadline_ms;
    char *answer; /* [n_answer]; owned */
    size_t n_answer;
    bool too_long;
};

static mn_status parse(mn_remote_run *run, const char *address, mn_error *err);
static mn_status take_token(mn_remote_run *run, CURLU *url, mn_error *err);
static size_t take_part(char *bytes, size_t size, size_t n, void *user);
static mn_status explain(const mn_remote_run *run, CURLcode code, mn_error *err);
static mn_status judge(const mn_remote_run *run, long code, mn_error *err);
static bool is_state(const json_t *state);

mn_status mn_remote_run_open(const char *address, uint32_t deadline_ms, mn_remote_run **out,
                             mn_error *err)
{
    mn_remote_run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "address of a run");
    run->deadline_ms = deadline_ms;
    mn_status status = parse(run, address, err);
    if (status == MN_OK && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        run->curl = curl_easy_init();
    if (status == MN_OK && run->authorization[0] != '\0')
        run->headers = curl_slist_append(NULL, run->authorization);
    if (status == MN_OK &&
        (run->curl == NULL || (run->authorization[0] != '\0' && run->headers == NULL)))
        status = mn_fail(err, MN_ERR_NOMEM, "a connection to %s", run->where);
    if (status != MN_OK) {
        mn_remote_run_close(&run);
        return status;
    }
    *out = run;
    return MN_OK;
}

void mn_remote_run_close(mn_remote_run **run)
{
    if (*run == NULL)
        return;
    curl_easy_cleanup((*run)->curl);
    curl_slist_free_all((*run)->headers);
    curl_free((*run)->url);
    free((*run)->answer);
    free(*run);
    *run = NULL;
}

/* No proxy: the page is on a machine of one's own. No redirection: a run's page knows none but that which
 * takes the token, which is sent along as it is. */
mn_status mn_remote_run_look(mn_remote_run *run, json_t **state, mn_error *err)
{
    CURL *curl = run->curl;
    long code = 0;
    free(run->answer);
    run->answer = NULL;
    run->n_answer = 0;
    run->too_long = false;
    (void)curl_easy_setopt(curl, CURLOPT_URL, run->url);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, run->headers);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)run->deadline_ms);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "mnemo/" MN_VERSION);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_part);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, run);
    const CURLcode done = curl_easy_perform(curl);
    if (done != CURLE_OK)
        return explain(run, done, err);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    mn_status status = judge(run, code, err);
    if (status != MN_OK)
        return status;
    json_t *found = run->n_answer > 0 ? json_loadb(run->answer, run->n_answer, 0, NULL) : NULL;
    if (!is_state(found)) {
        json_decref(found);
        return mn_fail(err, MN_ERR_DATA,
                       "%s is not the page of a mnemo run: its state.json is something else",
                       run->where);
    }
    *state = found;
    return MN_OK;
}

/* "host:port" would be a scheme to the parser. */
static mn_status parse(mn_remote_run *run, const char *address, mn_error *err)
{
    char *host = NULL, *port = NULL, *path = NULL, *scheme = NULL, *whole = NULL;
    CURLU *url = curl_url();
    if (url == NULL)
        return mn_fail(err, MN_ERR_NOMEM, "address of a run");
    const size_t n = strlen(address) + sizeof "http://";
    whole = n < 4096 ? malloc(n) : NULL;
    if (whole != NULL)
        (void)snprintf(whole, n, "%s%s", strstr(address, "://") == NULL ? "http://" : "", address);
    bool good = whole != NULL && address[0] != '/' && address[0] != '.' && /* a folder, perhaps */
                curl_url_set(url, CURLUPART_URL, whole, 0) == CURLUE_OK &&
                curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
                curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK && host[0] != '\0' &&
                curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_get(url, CURLUPART_PATH, &path, 0) == CURLUE_OK;
    mn_status status = MN_OK;
    if (!good)
        status = mn_fail(
            err, MN_ERR_USAGE,
            "--url %.*s: expected the address of a run's page, as "
            "http://127.0.0.1:8080/ or http://node7:8080/?token=...; it stands in "
            "RUN/page",
            (int)strnlen(address, strcspn(address, "?") < 200 ? strcspn(address, "?") : 200),
            address);
    if (status == MN_OK) {
        (void)snprintf(run->where, sizeof run->where, "%s://%s:%s", scheme, host, port);
        status = take_token(run, url, err);
    }
    if (status == MN_OK) { /* beside whatever file of the page was named */
        char beside[4096 + 16];
        *(strrchr(path, '/') + 1) = '\0';
        (void)snprintf(beside, sizeof beside, "%sstate.json", path);
        if (curl_url_set(url, CURLUPART_PATH, beside, 0) != CURLUE_OK ||
            curl_url_set(url, CURLUPART_QUERY, NULL, 0) != CURLUE_OK ||
            curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK ||
            curl_url_get(url, CURLUPART_URL, &run->url, 0) != CURLUE_OK)
            status = mn_fail(err, MN_ERR_NOMEM, "address of a run");
    }
    free(whole);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    curl_url_cleanup(url);
    return status;
}

static mn_status take_token(mn_remote_run *run, CURLU *url, mn_error *err)
{
    char *query = NULL;
    if (curl_url_get(url, CURLUPART_QUERY, &query, 0) != CURLUE_OK)
        return MN_OK;
    const char *token = strstr(query, "token=");
    size_t n = 0;
    if (token != NULL) {
        token += strlen("token=");
        n = strcspn(token, "&");
    }
    const bool plain = n > 0 && n < 128 &&
                       strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~+/=") >= n;
    mn_status status = MN_OK;
    if (plain)
        (void)snprintf(run->authorization, sizeof run->authorization, "Authorization: Bearer %.*s",
                       (int)n, token);
    else if (token != NULL)
        status =
            mn_fail(err, MN_ERR_USAGE,
                    "--url %s: what stands behind token= is no token: copy the whole address from "
                    "RUN/page",
                    run->where);
    curl_free(query);
    return status;
}

static size_t take_part(char *bytes, size_t size, size_t n, void *user)
{
    mn_remote_run *run = user;
    const size_t more = size * n;
    run->too_long = more > MN_REMOTE_BYTES - run->n_answer;
    if (run->too_long)
        return 0; /* ends it */
    char *answer = realloc(run->answer, run->n_answer + more + 1);
    if (answer == NULL)
        return 0;
    memcpy(answer + run->n_answer, bytes, more);
    run->answer = answer;
    run->n_answer += more;
    return more;
}

static mn_status explain(const mn_remote_run *run, CURLcode code, mn_error *err)
{
    switch ((unsigned)code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return mn_fail(err, MN_ERR_UNAVAILABLE, "%s: there is no such host", run->where);
    case CURLE_COULDNT_CONNECT:
        return mn_fail(
            err, MN_ERR_UNAVAILABLE,
            "%s: nobody answers there. Is the run over? While it goes on, its address stands "
            "in RUN/page; 127.0.0.1 can be reached from its own machine alone (ssh -L)",
            run->where);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return mn_fail(err, MN_ERR_UNAVAILABLE,
                       "%s: what answers there does not speak https: a run's page speaks http, so "
                       "write http:// as it "
                       "stands in RUN/page; from another machine through ssh -L, which encrypts",
                       run->where);
    case CURLE_OPERATION_TIMEDOUT:
        return mn_fail(err, MN_ERR_UNAVAILABLE, "%s: no whole answer within %.3g s", run->where,
                       run->deadline_ms / 1000.0);
    case CURLE_WRITE_ERROR:
        return run->too_long
                   ? mn_fail(
                         err, MN_ERR_DATA,
                         "%s is not the page of a mnemo run: its state.json has more than %u MiB",
                         run->where, MN_REMOTE_BYTES >> 20)
                   : mn_fail(err, MN_ERR_NOMEM, "the answer of %s", run->where);
    default:
        return mn_fail(err, MN_ERR_UNAVAILABLE, "%s: %s", run->where, curl_easy_strerror(code));
    }
}

static mn_status judge(const mn_remote_run *run, long code, mn_error *err)
{
    switch (code) {
    case 200:
        return MN_OK;
    case 401:
        return mn_fail(
            err, MN_ERR_PERMISSION,
            run->authorization[0] != '\0'
                ? "%s does not take this token: the right address stands in RUN/page, and "
                  "changes when the run is started again"
                : "%s asks for a token: give the address with ?token=..., as it stands in "
                  "RUN/page",
            run->where);
    case 421:
        return mn_fail(
            err, MN_ERR_PERMISSION,
            "%s shows itself to its own machine alone: go there by ssh -L PORT:127.0.0.1:PORT, "
            "and ask http://127.0.0.1:PORT/",
            run->where);
    case 503:
        return mn_fail(err, MN_ERR_UNAVAILABLE,
                       "%s has nothing to show yet, or too many look; try again", run->where);
    default:
        return mn_fail(
            err, MN_ERR_DATA,
            "%s is not the page of a mnemo run: it answers %ld when asked for state.json",
            run->where, code);
    }
}

static bool is_state(const json_t *state)
{
    const json_t *run = json_object_get(state, "run");
    return json_is_string(json_object_get(state, "phase")) &&
           json_is_boolean(json_object_get(state, "over")) &&
           json_is_number(json_object_get(state, "step")) &&
           json_is_string(json_object_get(run, "name"));
}

/* Text ------------------------------------------------------------------------------ */

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* A whole number that may be anything. */
static uint64_t count(const json_t *object, const char *key)
{
    const double value = number(object, key);
    return value > 0 && value < 1e18 ? (uint64_t)value : 0;
}

static void put_text(const json_t *object, const char *key, FILE *out)
{
    char safe[300];
    const char *text = json_string_value(json_object_get(object, key));
    if (text != NULL) {
        (void)mn_text_escape(text, strlen(text), safe, sizeof safe);
        (void)fputs(safe, out);
    }
}

static void put_time(double seconds, FILE *out)
{
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e9) {
        (void)fputc('?', out);
        return;
    }
    const uint64_t s = (uint64_t)(seconds + 0.5);
    (void)fprintf(out, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60),
                  (unsigned)(s % 60));
}

/* "loss" of a validation's "val_loss". */
static void put_key(const json_t *score, FILE *out)
{
    static const char before[] = "val_";
    char safe[80];
    const char *key = json_string_value(json_object_get(score, "key"));
    if (key == NULL)
        return;
    key += strncmp(key, before, strlen(before)) == 0 ? strlen(before) : 0;
    (void)mn_text_escape(key, strlen(key), safe, sizeof safe);
    (void)fputs(safe, out);
}

static void put_scores(const char *before, const json_t *list, FILE *out)
{
    size_t i;
    json_t *score;
    json_array_foreach(list, i, score)
    {
        (void)fputs(i == 0 ? before : ", ", out);
        put_key(score, out);
        (void)fprintf(out, " %.5g +- %.2g", number(score, "mean"), number(score, "half_width"));
    }
    if (json_array_size(list) > 0)
        (void)fputc('\n', out);
}

static void put_pace(const json_t *state, FILE *out)
{
    const json_t *shares = json_object_get(state, "shares");
    const char *key, *before = "last meta-step: ";
    json_t *value;
    json_object_foreach(json_object_get(state, "last"), key, value)
    {
        char safe[80];
        if (!json_is_number(value))
            continue;
        (void)mn_text_escape(key, strlen(key), safe, sizeof safe);
        (void)fprintf(out, "%s%s %.5g", before, safe, json_number_value(value));
        before = ", ";
    }
    if (before[0] == ',')
        (void)fputc('\n', out);
    if (isfinite(number(state, "tasks_per_s")))
        (void)fprintf(out, "%.5g tasks/s; %" PRIu64 " thread%s, %" PRIu64 " remote worker%s\n",
                      number(state, "tasks_per_s"), count(state, "threads"),
                      count(state, "threads") == 1 ? "" : "s", count(state, "workers"),
                      count(state, "workers") == 1 ? "" : "s");
    if (isfinite(number(shares, "tasks")))
        (void)fprintf(
            out,
            "threads' time: tasks %.1f %%, adding up %.1f %%, allreduce %.1f %%, outer step "
            "%.1f %%, waiting %.1f %%\n",
            100 * number(shares, "tasks"), 100 * number(shares, "sums"),
            100 * number(shares, "reduce"), 100 * number(shares, "outer"),
            100 * number(shares, "wait"));
}

enum { MOST_WORKERS = 20 };

static void put_pool(const json_t *state, FILE *out)
{
    const json_t *pool = json_object_get(state, "pool"), *gone = json_object_get(state, "gone");
    size_t i;
    json_t *worker;
    json_array_foreach(pool, i, worker)
    {
        if (i == MOST_WORKERS) {
            (void)fprintf(out, "  and %zu more\n", json_array_size(pool) - i);
            break;
        }
        (void)fputs("  ", out);
        put_text(worker, "name", out);
        (void)fprintf(out, ": %" PRIu64 " thread%s, %.4g tasks/s, ", count(worker, "threads"),
                      count(worker, "threads") == 1 ? "" : "s",
                      isfinite(number(worker, "tasks_per_s")) ? number(worker, "tasks_per_s") : 0);
        put_text(worker, "doing", out);
        (void)fputc('\n', out);
    }
    json_array_foreach(gone, i, worker)
    {
        if (i == MOST_WORKERS)
            break;
        (void)fputs("  ", out);
        put_text(worker, "name", out);
        (void)fputs(" is not there (", out);
        put_text(worker, "how", out);
        (void)fprintf(out, " %.0f s ago): ", number(worker, "ago_s"));
        put_text(worker, "why", out);
        (void)fputc('\n', out);
    }
}

void mn_remote_run_print(const json_t *state, FILE *out)
{
    const json_t *run = json_object_get(state, "run");
    const uint64_t step = count(state, "step"), steps = count(run, "steps");
    put_text(run, "name", out);
    (void)fputs(": ", out);
    put_text(state, "phase", out);
    const char *why = json_string_value(json_object_get(state, "why"));
    if (why != NULL && why[0] != '\0') {
        (void)fputs(", ", out);
        put_text(state, "why", out);
    }
    (void)fprintf(out, ", process %" PRIu64 " on ", count(run, "process"));
    put_text(run, "host", out);
    (void)fputc('\n', out);
    put_text(run, "folder", out);
    (void)fprintf(out, "\nmeta-step %" PRIu64 " of %" PRIu64 ", ", step, steps);
    put_time(number(state, "wall_s"), out);
    (void)fputs(" so far", out);
    if (isfinite(number(state, "to_go_s")) && !json_is_true(json_object_get(state, "over"))) {
        (void)fputs(", ", out);
        put_time(number(state, "to_go_s"), out);
        (void)fputs(" to go", out);
    }
    if (count(state, "total") > 0)
        (void)fprintf(out, "; %" PRIu64 " of %" PRIu64 " tasks judged", count(state, "done"),
                      count(state, "total"));
    (void)fputc('\n', out);
    put_pace(state, out);
    if (count(state, "validated") > 0) {
        (void)fprintf(out, "validation after meta-step %" PRIu64, count(state, "validated"));
        put_scores(": ", json_object_get(state, "validation"), out);
    }
    if (count(state, "test_tasks") > 0) {
        (void)fprintf(out, "test over %" PRIu64 " tasks", count(state, "test_tasks"));
        put_scores(": ", json_object_get(state, "test"), out);
    }
    put_pool(state, out);
}
