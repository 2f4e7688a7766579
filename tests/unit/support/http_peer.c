#include "support/http_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

enum { BACKLOG = 128 };

struct connection {
    struct http_peer *peer;
    int fd;
    pthread_t thread;
};

struct http_peer {
    http_peer_fn *answer;
    void *context;
    int listen_fd;
    unsigned port;
    pthread_t thread;
    struct connection connections[HTTP_PEER_CONNECTIONS_MAX]; // of the accepting thread
    atomic_uint accepted, open, requests;
};

static size_t body_length(struct span head)
{
    static const char name[] = "Content-Length:";
    while (head.len) {
        struct span line = span_cut(&head, '\n');
        uint64_t length;
        if (line.len > sizeof name && strncasecmp(line.data, name, sizeof name - 1) == 0 &&
            span_to_u64(span_trim(span_skip(line, sizeof name - 1)), &length))
            return length;
    }
    return 0;
}

// Bytes of the first whole request in `got`; 0 when it is not there yet.
static size_t request_length(const struct buf *got)
{
    struct span bytes = buf_span(got);
    ptrdiff_t end = span_find(bytes, SPAN_LITERAL("\r\n\r\n"));
    if (end < 0)
        return 0;
    size_t length = (size_t)end + 4 + body_length(span_make(bytes.data, (size_t)end + 2));
    return length <= got->len ? length : 0;
}

static void *serve(void *context)
{
    struct connection *connection = context;
    struct http_peer *peer = connection->peer;
    BUF_AUTO got = BUF_INIT(HTTP_PEER_REQUEST_MAX);
    bool more = true;
    while (more) {
        char chunk[16 * 1024];
        ssize_t n = recv(connection->fd, chunk, sizeof chunk, 0);
        if (n <= 0 || !buf_append(&got, chunk, (size_t)n))
            break;
        for (size_t length; more && (length = request_length(&got));) {
            atomic_fetch_add(&peer->requests, 1);
            more = peer->answer(peer->context, connection->fd, span_make(got.data, length));
            buf_consume(&got, length);
        }
    }
    shutdown(connection->fd, SHUT_RDWR); // closed when the thread was joined, so its number stays
    atomic_fetch_sub(&peer->open, 1);
    return NULL;
}

static void *accept_all(void *context)
{
    struct http_peer *peer = context;
    for (unsigned count = 0; count < HTTP_PEER_CONNECTIONS_MAX; count++) {
        struct connection *connection = &peer->connections[count];
        connection->peer = peer;
        connection->fd = accept4(peer->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (connection->fd < 0)
            return NULL;
        atomic_fetch_add(&peer->open, 1);
        atomic_fetch_add(&peer->accepted, 1);
        if (pthread_create(&connection->thread, NULL, serve, connection) != 0)
            abort();
    }
    abort(); // more connections than any test means to open
}

struct http_peer *http_peer_create(http_peer_fn *answer, void *context)
{
    struct http_peer *peer = mem_new(struct http_peer);
    peer->answer = answer;
    peer->context = context;
    peer->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(peer->listen_fd, (struct sockaddr *)&address, size) < 0 ||
        listen(peer->listen_fd, BACKLOG) < 0 ||
        getsockname(peer->listen_fd, (struct sockaddr *)&address, &size) < 0 ||
        pthread_create(&peer->thread, NULL, accept_all, peer) != 0)
        abort();
    peer->port = ntohs(address.sin_port);
    return peer;
}

void http_peer_destroy(struct http_peer *peer)
{
    shutdown(peer->listen_fd, SHUT_RDWR);
    pthread_join(peer->thread, NULL);
    unsigned count = atomic_load(&peer->accepted);
    for (unsigned i = 0; i < count; i++)
        shutdown(peer->connections[i].fd, SHUT_RDWR);
    for (unsigned i = 0; i < count; i++) {
        pthread_join(peer->connections[i].thread, NULL);
        close(peer->connections[i].fd);
    }
    close(peer->listen_fd);
    free(peer);
}

unsigned http_peer_port(const struct http_peer *peer)
{
    return peer->port;
}

unsigned http_peer_connections(const struct http_peer *peer)
{
    return atomic_load(&peer->accepted);
}

unsigned http_peer_open(const struct http_peer *peer)
{
    return atomic_load(&peer->open);
}

unsigned http_peer_requests(const struct http_peer *peer)
{
    return atomic_load(&peer->requests);
}

bool http_peer_send(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n < 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return true;
}

void http_peer_pause(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

void http_peer_hold(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLRDHUP};
    poll(&wait, 1, -1);
}

void http_peer_reset(int fd)
{
    struct linger none = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    connect(fd, &nowhere, sizeof nowhere); // sends the reset at once
}
