/* metrics_serve.c: the smallest server that Prometheus can scrape: HTTP/1.1, GET and HEAD of
 * /metrics, one request a connection, one connection at a time, each within limits of size and time
 * so that none can hold up the next for long. The processes are looked at when it is asked, never
 * in between. Which processes run, and as whom, is not everyone's business: it listens on a
 * loopback address unless told otherwise. No encryption: put a proxy before it.
 */
#include "profiler/report/metrics.h"

#include "profiler/report/command.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_BYTES = 8192, REQUEST_MS = 2000, ANSWER_MS = 5000, WAITING = 16 };

static int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* False: not within the time. */
static bool wait_for(int fd, short events, int64_t until)
{
    struct pollfd one = {.fd = fd, .events = events};
    for (;;) {
        int64_t left = until - now_ms();
        int ready = left > 0 ? poll(&one, 1, (int)left) : 0;
        if (ready > 0)
            return true;
        if (ready == 0 || errno != EINTR)
            return false;
    }
}

static void send_all(int fd, const char *bytes, size_t size)
{
    int64_t until = now_ms() + ANSWER_MS;
    while (size > 0 && wait_for(fd, POLLOUT, until)) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (sent <= 0)
            return;
        bytes += sent;
        size -= (size_t)sent;
    }
}

static void answer(int fd, const char *status, const char *type, const char *more, const char *body,
                   size_t size, bool head)
{
    char header[512];
    int length = snprintf(header, sizeof header,
                          "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
                          "Connection: close\r\n\r\n",
                          status, type, size, more);
    send_all(fd, header, (size_t)length);
    if (!head)
        send_all(fd, body, size);
}

static void refuse(int fd, const char *status, const char *more)
{
    char body[128];
    int length = snprintf(body, sizeof body, "%s\n", status);
    answer(fd, status, "text/plain; charset=utf-8", more, body, (size_t)length, false);
}

static void serve_metrics(int fd, const char *request, bool head)
{
    char *body = NULL;
    size_t size = 0;
    /* Header names are in any case; the value is a media type, which has no other place. */
    enum tm_metrics_format format = strcasestr(request, "application/openmetrics-text") != NULL
                                        ? TM_METRICS_OPENMETRICS
                                        : TM_METRICS_TEXT;
    FILE *out = open_memstream(&body, &size);
    int error = out == NULL ? errno : tm_metrics_write(out, format);
    if (out != NULL && fclose(out) != 0)
        error = ENOMEM;
    if (error == 0)
        answer(fd, "200 OK",
               format == TM_METRICS_OPENMETRICS
                   ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                   : "text/plain; version=0.0.4; charset=utf-8",
               "", body, size, head);
    else
        refuse(fd, "500 Internal Server Error", "");
    free(body);
}

/* The request up to its empty line. Returns what is wrong with it, or NULL. */
static const char *read_request(int fd, char *request)
{
    size_t used = 0;
    int64_t until = now_ms() + REQUEST_MS;
    for (;;) {
        if (!wait_for(fd, POLLIN, until))
            return "408 Request Timeout";
        ssize_t got = recv(fd, request + used, REQUEST_BYTES - 1 - used, 0);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0)
            return "400 Bad Request";
        used += (size_t)got;
        request[used] = '\0';
        if (strlen(request) != used)
            return "400 Bad Request";
        if (strstr(request, "\r\n\r\n") != NULL)
            return NULL;
        if (used == REQUEST_BYTES - 1)
            return "431 Request Header Fields Too Large";
    }
}

static void serve(int fd)
{
    static char request[REQUEST_BYTES];
    char method[16], target[256], version[16];
    fcntl(fd, F_SETFL, O_NONBLOCK);
    const char *wrong = read_request(fd, request);
    if (wrong == NULL &&
        (sscanf(request, "%15[A-Z] %255[^ \r\n] %15[^ \r\n]", method, target, version) != 3 ||
         strncmp(version, "HTTP/1.", 7) != 0))
        wrong = "400 Bad Request";
    if (wrong != NULL) {
        refuse(fd, wrong, "");
        return;
    }
    target[strcspn(target, "?")] = '\0';
    bool head = strcmp(method, "HEAD") == 0;
    if (strcmp(target, "/metrics") != 0)
        refuse(fd, "404 Not Found", "");
    else if (!head && strcmp(method, "GET") != 0)
        refuse(fd, "405 Method Not Allowed", "Allow: GET, HEAD\r\n");
    else
        serve_metrics(fd, request, head);
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* "ADDRESS:PORT" into its parts; false: it is not of that form. */
static bool split(const char *place, char *address, size_t size, char *port, size_t port_size)
{
    const char *colon = strrchr(place, ':');
    if (colon == NULL || colon == place || colon[1] == '\0' ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || atol(colon + 1) > 65535)
        return false;
    bool bracketed = place[0] == '[' && colon[-1] == ']';
    const char *start = bracketed ? place + 1 : place;
    const char *end = bracketed ? colon - 1 : colon;
    return (size_t)snprintf(address, size, "%.*s", (int)(end - start), start) < size &&
           (size_t)snprintf(port, port_size, "%s", colon + 1) < port_size;
}

/* A socket that listens at the place; a negative exit status after printing why not. */
static int listen_at(const char *place, bool anywhere)
{
    char address[128], port[8];
    struct addrinfo wanted = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                              .ai_socktype = SOCK_STREAM,
                              .ai_family = AF_UNSPEC};
    struct addrinfo *found = NULL;
    if (!split(place, address, sizeof address, port, sizeof port) ||
        getaddrinfo(strcmp(address, "localhost") == 0 ? "127.0.0.1" : address, port, &wanted,
                    &found) != 0) {
        tm_error("metrics: --listen %s: give a numeric address and a port, as 127.0.0.1:9464 or "
                 "[::1]:9464",
                 place);
        return -2;
    }
    if (!anywhere && !is_loopback(found->ai_addr)) {
        tm_error("metrics: --listen %s: others than this machine could read which processes run "
                 "here and as whom; listen on 127.0.0.1, or say --listen-any if that is meant",
                 place);
        freeaddrinfo(found);
        return -2;
    }
    int on = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, WAITING) != 0) {
        tm_error("metrics: --listen %s: %s; choose another port, or end who has it (ss -ltnp)",
                 place, strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

/* Says where, as the port may have been the kernel's choice. */
static void say_where(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in6 v6;
        struct sockaddr_storage storage;
    } bound;
    socklen_t size = sizeof bound;
    memset(&bound, 0, sizeof bound);
    char address[INET6_ADDRSTRLEN], port[8];
    if (getsockname(fd, &bound.any, &size) != 0 ||
        getnameinfo(&bound.any, size, address, sizeof address, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    bool v6 = bound.any.sa_family == AF_INET6;
    fprintf(stderr, "tidemark: serving http://%s%s%s:%s/metrics\n", v6 ? "[" : "", address,
            v6 ? "]" : "", port);
}

int tm_metrics_serve(const char *place, bool anywhere)
{
    int listening = listen_at(place, anywhere);
    if (listening < 0)
        return -listening;
    say_where(listening);
    for (;;) {
        int fd = accept(listening, NULL, NULL);
        if (fd >= 0) {
            serve(fd);
            /* What the client still sends would make close() reset the connection, and the answer
             * be lost. */
            shutdown(fd, SHUT_WR);
            char rest[1024];
            int64_t until = now_ms() + 200;
            while (wait_for(fd, POLLIN, until) && recv(fd, rest, sizeof rest, 0) > 0) {
            }
            close(fd);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            /* Out of descriptors or memory: not for ever. */
            struct timespec pause = {0, 100 * 1000 * 1000};
            nanosleep(&pause, NULL);
        }
    }
}
