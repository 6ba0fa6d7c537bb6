#include "coordinator/page/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 64

static bool is_loopback(const struct sockaddr *address);
static bool is_any(const struct sockaddr *address);
static mn_status tell(int fd, mn_page_address *out, mn_error *err);

mn_status mn_page_address_listen(const char *where, mn_page_address *out, mn_error *err)
{
    char host[128] = "";
    const char *colon = strrchr(where, ':');
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    const int on = 1;
    if (colon != NULL && where[0] == '[' && colon[-1] == ']')
        (void)snprintf(host, sizeof host, "%.*s", (int)(colon - where - 2), where + 1);
    else if (colon != NULL)
        (void)snprintf(host, sizeof host, "%.*s", (int)(colon - where), where);
    if (colon == NULL || getaddrinfo(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, colon + 1,
                                     &wanted, &found) != 0)
        return mn_fail(err, MN_ERR_CONFIG,
                       "run.page is \"%s\": expected a numeric address and a port, as in "
                       "127.0.0.1:0, [::1]:8080 or 0.0.0.0:8080",
                       where);
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mn_status status = MN_OK;
    if (fd >= 0) /* a port that an earlier run has just left is free */
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
        status = mn_fail(err, MN_ERR_UNAVAILABLE,
                         "%s: %s; give another by --set run.page=ADDRESS:PORT, port 0 for any that "
                         "is free, or run.page=none",
                         where, strerror(errno));
    freeaddrinfo(found);
    if (status == MN_OK)
        status = tell(fd, out, err);
    if (status != MN_OK && fd >= 0)
        (void)close(fd);
    return status;
}

static mn_status tell(int fd, mn_page_address *out, mn_error *err)
{
    struct sockaddr_storage own = {0};
    socklen_t n = sizeof own;
    char text[INET6_ADDRSTRLEN] = "", name[HOST_NAME_MAX + 1] = "";
    const struct sockaddr *address = (const struct sockaddr *)&own;
    if (getsockname(fd, (struct sockaddr *)&own, &n) != 0)
        return mn_fail_errno(err, "ask for the page's own address");
    const bool six = own.ss_family == AF_INET6;
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)&own;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&own;
    const unsigned port = ntohs(six ? in6->sin6_port : in4->sin_port);
    (void)inet_ntop(own.ss_family,
                    six ? (const void *)&in6->sin6_addr : (const void *)&in4->sin_addr, text,
                    sizeof text);
    *out = (mn_page_address){.fd = fd, .loopback = is_loopback(address)};
    (void)snprintf(out->text, sizeof out->text, six ? "[%s]:%u" : "%s:%u", text, port);
    (void)snprintf(out->host, sizeof out->host, "%s", out->text);
    if (is_any(address) && gethostname(name, sizeof name - 1) == 0)
        (void)snprintf(out->host, sizeof out->host, "%s:%u", name, port);
    return MN_OK;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)address;
    return ntohl(in4->sin_addr.s_addr) >> 24 == 127;
}

static bool is_any(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
    return ((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr == INADDR_ANY;
}
