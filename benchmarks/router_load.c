/*
 * Asks the same thing over so many kept connections for so many seconds, each connection one
 * question at a time, and checks every answer to its last byte: a status that is not 200, a stream
 * without its [DONE] and a connection that ends early are errors.
 *
 *     router_load PORT CONNECTIONS WARM_UP_MS MEASURED_MS HEAD_FILE BODY_FILE [REQUESTS]
 *
 * With REQUESTS it ends after so many, for what is counted and not timed. HEAD_FILE holds request
 * line and fields without Content-Length. Writes "begin" when the warm-up is over, and at the end
 * {"requests", "errors", "seconds", "p50_us", "p99_us", "why"}.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/span.h"

enum {
    ANSWER_MAX = 256 * 1024,   // bytes
    REQUEST_MAX = 1024 * 1024, // bytes
    CONNECTIONS_MAX = 1024,
    GRACE_MS = 5000, // for the answers that are still on their way at the end
    NOT_KNOWN = -1,
};

struct connection {
    int fd;
    int64_t asked_us;
    size_t sent; // bytes of the request
    size_t len;  // bytes of the answer
    size_t head; // its length; 0 while it is incomplete
    int status;
    ssize_t body; // its length; NOT_KNOWN when it is chunked
    bool stream;  // it must end in [DONE]
    bool closing; // the peer ends the connection after it
    bool writing; // waits until it is writable
    char answer[ANSWER_MAX + 1];
};

struct run {
    int epoll, port, open;
    char *request;
    size_t request_len;
    bool streams, measuring;
    bool over;    // nothing more is asked
    int64_t left; // that may still be asked; below 0: any number
    uint32_t *times_us;
    size_t count, capacity, errors;
    char why[200]; // of the first error
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "router_load: %s: %s\n", what, strerror(errno));
    _exit(1);
}

// A whole decimal number; anything else ends the program or the answer it stands in.
static int64_t number(struct span text)
{
    int64_t value;
    return span_to_i64(span_trim(text), &value) ? value : NOT_KNOWN;
}

static void ask(struct run *run, struct connection *c);

static void dial(struct run *run, struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)run->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)))
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, c->fd, &event))
        die("epoll_ctl");
    c->writing = false;
}

static void failed(struct run *run, struct connection *c, const char *why)
{
    if (run->errors++ == 0)
        snprintf(run->why, sizeof(run->why), "%s: %.120s", why, c->answer);
    close(c->fd);
    if (run->errors > 1000)
        die("too many errors");
    dial(run, c);
    ask(run, c);
}

static void watch(struct run *run, struct connection *c, bool writing)
{
    if (c->writing == writing)
        return;
    struct epoll_event event = {.events = writing ? EPOLLOUT : EPOLLIN, .data.ptr = c};
    epoll_ctl(run->epoll, EPOLL_CTL_MOD, c->fd, &event);
    c->writing = writing;
}

static void send_on(struct run *run, struct connection *c)
{
    while (c->sent < run->request_len) {
        ssize_t n = send(c->fd, run->request + c->sent, run->request_len - c->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            failed(run, c, "cannot send");
            return;
        }
        c->sent += (size_t)n;
    }
    watch(run, c, c->sent < run->request_len);
}

static void ask(struct run *run, struct connection *c)
{
    c->asked_us = now_us();
    c->sent = c->len = c->head = 0;
    c->answer[0] = '\0';
    send_on(run, c);
}

static bool read_head(struct connection *c)
{
    const char *end = memmem(c->answer, c->len, "\r\n\r\n", 4);
    if (!end)
        return false;
    c->head = (size_t)(end - c->answer) + 4;
    c->status = c->len > 12 ? (int)number(span_make(c->answer + 9, 3)) : NOT_KNOWN;
    c->body = NOT_KNOWN;
    c->stream = c->closing = false;
    struct span rest = {c->answer, c->head};
    while (rest.len) {
        struct span line = span_cut(&rest, '\n');
        if (strncasecmp(line.data, "content-length:", 15) == 0)
            c->body = number(span_skip(line, 15));
        if (strncasecmp(line.data, "content-type: text/event-stream", 31) == 0)
            c->stream = true;
        if (strncasecmp(line.data, "connection: close", 17) == 0)
            c->closing = true;
    }
    return true;
}

// A chunked answer of ours can end nowhere else, since no chunk of it holds this.
static bool is_whole(const struct connection *c)
{
    if (c->body != NOT_KNOWN)
        return c->len >= c->head + (size_t)c->body;
    return c->len >= c->head + 5 && memcmp(c->answer + c->len - 5, "0\r\n\r\n", 5) == 0;
}

static const char *wrong_with(const struct run *run, const struct connection *c)
{
    const char *body = c->answer + c->head;
    if (c->status != 200)
        return "status";
    if (!run->streams)
        return strstr(body, "\"choices\"") ? NULL : "no choices";
    return c->stream && strstr(body, "[DONE]") ? NULL : "a stream without [DONE]";
}

static void keep_time(struct run *run, int64_t us)
{
    if (!run->measuring)
        return;
    if (run->count == run->capacity) {
        run->capacity = run->capacity ? run->capacity * 2 : 1 << 16;
        run->times_us = realloc(run->times_us, run->capacity * sizeof(*run->times_us));
        if (!run->times_us)
            die("realloc");
    }
    run->times_us[run->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static void rest(struct run *run, struct connection *c)
{
    run->open--;
    epoll_ctl(run->epoll, EPOLL_CTL_DEL, c->fd, NULL);
}

static void answered(struct run *run, struct connection *c)
{
    const char *wrong = wrong_with(run, c);
    if (wrong) {
        failed(run, c, wrong);
        return;
    }
    keep_time(run, now_us() - c->asked_us);
    if (run->over || run->left == 0) {
        rest(run, c);
        return;
    }
    if (run->left > 0)
        run->left--;
    if (c->closing) {
        close(c->fd);
        dial(run, c);
    }
    ask(run, c);
}

static void readable(struct run *run, struct connection *c)
{
    ssize_t n = recv(c->fd, c->answer + c->len, ANSWER_MAX - c->len, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        failed(run, c, c->len ? "the connection was cut" : "the connection ended");
        return;
    }
    c->len += (size_t)n;
    c->answer[c->len] = '\0';
    if ((c->head || read_head(c)) && is_whole(c))
        answered(run, c);
    else if (c->len == ANSWER_MAX)
        failed(run, c, "the answer is too long");
}

static void pass(struct run *run, int wait_ms)
{
    struct epoll_event events[CONNECTIONS_MAX];
    int count = epoll_wait(run->epoll, events, CONNECTIONS_MAX, wait_ms);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            send_on(run, c);
        else
            readable(run, c);
    }
}

static void warm_up(struct run *run, int64_t end_us)
{
    for (int64_t now = now_us(); now < end_us; now = now_us())
        pass(run, (int)((end_us - now) / 1000) + 1);
}

// Ends with the last answer.
static void measure(struct run *run, int64_t end_us)
{
    run->measuring = true;
    for (int64_t now = now_us(); run->open > 0 && now < end_us + GRACE_MS * 1000; now = now_us()) {
        run->over = now >= end_us;
        pass(run, run->over ? 100 : (int)((end_us - now) / 1000) + 1);
    }
}

static char *read_file(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "rb");
    char *data = malloc(REQUEST_MAX);
    if (!file || !data)
        die(path);
    *ret_len = fread(data, 1, REQUEST_MAX, file);
    fclose(file);
    return data;
}

static void make_request(struct run *run, const char *head_path, const char *body_path)
{
    size_t head_len, body_len;
    char *head = read_file(head_path, &head_len), *body = read_file(body_path, &body_len);
    run->request = malloc(head_len + body_len + 64);
    if (!run->request)
        die("malloc");
    int n = snprintf(run->request, head_len + body_len + 64, "%.*sContent-Length: %zu\r\n\r\n",
                     (int)head_len, head, body_len);
    memcpy(run->request + n, body, body_len);
    run->request_len = (size_t)n + body_len;
    run->streams = memmem(body, body_len, "\"stream\":true", 13) != NULL;
    free(head);
    free(body);
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(struct run *run, double seconds)
{
    qsort(run->times_us, run->count, sizeof(*run->times_us), by_value);
    uint32_t p50 = run->count ? run->times_us[run->count / 2] : 0;
    uint32_t p99 = run->count ? run->times_us[run->count * 99 / 100] : 0;
    for (char *at = run->why; *at; at++)
        if (*at < ' ' || *at == '"' || *at == '\\')
            *at = ' ';
    printf("{\"requests\": %zu, \"errors\": %zu, \"seconds\": %.6f, \"p50_us\": %u, "
           "\"p99_us\": %u, \"why\": \"%s\"}\n",
           run->count, run->errors + (size_t)run->open, seconds, p50, p99, run->why);
}

int main(int argc, char **argv)
{
    if (argc < 7) {
        fprintf(stderr, "usage: router_load PORT CONNECTIONS WARM_UP_MS MEASURED_MS HEAD BODY "
                        "[REQUESTS]\n");
        return 2;
    }
    static struct run run;
    int connections = (int)number(span_of(argv[2]));
    if (connections < 1 || connections > CONNECTIONS_MAX)
        die("so many connections");
    run.port = (int)number(span_of(argv[1]));
    run.open = connections;
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    make_request(&run, argv[5], argv[6]);
    run.left = -1;
    struct connection *all = calloc((size_t)connections, sizeof(*all));
    for (int i = 0; all && i < connections; i++) {
        dial(&run, &all[i]);
        ask(&run, &all[i]);
    }
    warm_up(&run, now_us() + number(span_of(argv[3])) * 1000);
    printf("begin\n");
    fflush(stdout);
    if (argc > 7)
        run.left = number(span_of(argv[7])) - connections;
    int64_t begin_us = now_us();
    measure(&run, begin_us + number(span_of(argv[4])) * 1000);
    report(&run, (double)(now_us() - begin_us) / 1e6);
    free(all);
    free(run.request);
    free(run.times_us);
}
