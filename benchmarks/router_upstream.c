/*
 * An upstream that costs as little as one can: one thread, one epoll, one read and one write for a
 * request. It answers every POST with the same 550 bytes, or, if the body asks for a stream, with
 * 20 chunks, a finish, the usage and [DONE], all at once, so that what is measured is the router.
 *
 *     router_upstream [PORT]      prints the port it listens on
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/span.h"

enum {
    REQUEST_MAX = 1024 * 1024, // bytes, head and body
    FIRST_ROOM = 4096,         // bytes
    ANSWER_MAX = 16 * 1024,    // bytes
    EVENTS_MAX = 256,
    CHUNKS = 20, // of a stream
};

struct connection {
    int fd;
    char *data; // of the request that is coming in
    size_t len, capacity;
    size_t head, whole; // its lengths; 0 while the head is incomplete
    const char *out;    // of the answer that did not fit into the socket
    size_t out_len;
};

static char json_answer[ANSWER_MAX], stream_answer[ANSWER_MAX];
static size_t json_len, stream_len;

static void make_json(void)
{
    static const char body[] =
        "{\"id\":\"chatcmpl-9b2c7e5a1f4d4b0a8c3e6d7f2a1b0c9d\",\"object\":\"chat.completion\","
        "\"created\":1795000000,\"model\":\"bench-model\",\"system_fingerprint\":\"fp_44709d6fcb\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"The quick "
        "brown fox jumps over the lazy dog while the small computer in the corner hums and waits "
        "for the next question.\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":250,\"completion_tokens\":25,\"total_tokens\":275,"
        "\"prompt_tokens_details\":{\"cached_tokens\":0},\"completion_tokens_details\":"
        "{\"reasoning_tokens\":0}}}";
    json_len = (size_t)snprintf(json_answer, ANSWER_MAX,
                                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                "Content-Length: %zu\r\n\r\n%s",
                                sizeof(body) - 1, body);
}

static void add_event(const char *event)
{
    stream_len += (size_t)snprintf(stream_answer + stream_len, ANSWER_MAX - stream_len,
                                   "%zx\r\ndata: %s\n\n\r\n", strlen(event) + 8, event);
}

#define CHUNK                                                                             \
    "{\"id\":\"chatcmpl-9b2c7e5a1f4d\",\"object\":\"chat.completion.chunk\",\"created\":" \
    "1795000000,\"model\":\"bench-model\",\"choices\":["

static void make_stream(void)
{
    stream_len = (size_t)snprintf(stream_answer, ANSWER_MAX,
                                  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                  "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < CHUNKS; i++)
        add_event(CHUNK "{\"index\":0,\"delta\":{\"content\":\" word\"},\"finish_reason\":null}]}");
    add_event(CHUNK "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}");
    add_event(CHUNK "],\"usage\":{\"prompt_tokens\":250,\"completion_tokens\":20,"
                    "\"total_tokens\":270}}");
    add_event("[DONE]");
    stream_len +=
        (size_t)snprintf(stream_answer + stream_len, ANSWER_MAX - stream_len, "0\r\n\r\n");
}

static void die(const char *what)
{
    perror(what);
    _exit(1);
}

static void drop(struct connection *c)
{
    close(c->fd);
    free(c->data);
    free(c);
}

// Sends the rest of the answer; what the socket does not take waits until it is writable.
static bool flush(int epoll, struct connection *c)
{
    while (c->out_len > 0) {
        ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return false;
        c->out += n;
        c->out_len -= (size_t)n;
    }
    if (c->out_len > 0) {
        struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
    }
    return true;
}

static bool asks_for_stream(const char *body, size_t len)
{
    const char *at = memmem(body, len, "\"stream\":", 9);
    return at &&
           memmem(at, len - (size_t)(at - body) < 16 ? len - (size_t)(at - body) : 16, "true", 4);
}

// Finds where the head ends and how long its body is. False: this cannot be answered.
static bool read_head(struct connection *c)
{
    const char *end = memmem(c->data, c->len, "\r\n\r\n", 4);
    if (!end)
        return c->len < FIRST_ROOM * 4;
    c->head = (size_t)(end - c->data) + 4;
    uint64_t body = 0;
    struct span rest = {c->data, c->head};
    while (rest.len) {
        struct span line = span_cut(&rest, '\n');
        if (strncasecmp(line.data, "content-length:", 15) == 0 &&
            !span_to_u64(span_trim(span_skip(line, 15)), &body))
            return false;
        if (strncasecmp(line.data, "transfer-encoding:", 18) == 0)
            return false;
    }
    if (body > REQUEST_MAX)
        return false;
    c->whole = c->head + body;
    return c->whole <= REQUEST_MAX;
}

static bool answer(int epoll, struct connection *c)
{
    bool stream = asks_for_stream(c->data + c->head, c->whole - c->head);
    c->out = stream ? stream_answer : json_answer;
    c->out_len = stream ? stream_len : json_len;
    memmove(c->data, c->data + c->whole, c->len - c->whole);
    c->len -= c->whole;
    c->head = c->whole = 0;
    return flush(epoll, c);
}

static bool make_room(struct connection *c)
{
    if (c->len < c->capacity)
        return true;
    size_t capacity = c->capacity ? c->capacity * 4 : FIRST_ROOM;
    char *data = capacity <= REQUEST_MAX * 4 ? realloc(c->data, capacity) : NULL;
    if (!data)
        return false;
    c->data = data;
    c->capacity = capacity;
    return true;
}

static bool readable(int epoll, struct connection *c)
{
    if (!make_room(c))
        return false;
    ssize_t n = recv(c->fd, c->data + c->len, c->capacity - c->len, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    c->len += (size_t)n;
    while (c->out_len == 0 && c->len > 0) {
        if (!c->whole && !read_head(c))
            return false;
        if (!c->whole || c->len < c->whole)
            break;
        if (!answer(epoll, c))
            return false;
    }
    return true;
}

static bool writable(int epoll, struct connection *c)
{
    if (!flush(epoll, c))
        return false;
    if (c->out_len == 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
    }
    return true;
}

static void accept_all(int epoll, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        struct connection *c = calloc(1, sizeof(*c));
        if (!c)
            die("calloc");
        c->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static int listen_on(uint64_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    if (bind(fd, (struct sockaddr *)&address, len) || listen(fd, SOMAXCONN) ||
        getsockname(fd, (struct sockaddr *)&address, &len))
        die("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    make_json();
    make_stream();
    uint64_t port = 0;
    if (argc > 1 && (!span_to_u64(span_of(argv[1]), &port) || port > UINT16_MAX))
        die("the port");
    int listener = listen_on(port);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS_MAX], event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c)
                accept_all(epoll, listener);
            else if (!(events[i].events & EPOLLOUT ? writable(epoll, c) : readable(epoll, c)))
                drop(c);
        }
    }
}
