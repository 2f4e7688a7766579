/*
 * One connection: an easy handle of libcurl's that connects and does nothing else. When that is
 * done it stays added to the multi handle, because removing it would close the socket.
 *
 * Until something is sent or received such a connection counts as idle, and libcurl may close it to
 * make room for another. So a send of no bytes is made at once.
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "net/address_guard.h"
#include "net/dialer_internal.h"
#include "net/http_field.h"
#include "net/http_proxy.h"

enum {
    TICKETS_IN_A_ROW = 8,  // messages of an inner TLS's own that hide what follows them
    LOOKUP_MS = 15 * 1000, // longer than the C library asks by default
};

/* Its end */

// A dial that follows hears of it in a deferred call: this may come from inside libcurl.
static void dial_resolved(struct dial *dial, bool failed)
{
    struct dialer *dialer = dial->dialer;
    dial->name = NULL;
    if (!dial->lookup)
        return;
    struct lookup *lookup = STEAL(dial->lookup);
    lookup->failed = failed;
    list_remove(&lookup->link);
    list_append(&dialer->over, &lookup->link);
    if (!dialer->deferred)
        dialer->deferred = loop_defer(dialer->loop, dialer->on_resolved, dialer);
}

void dial_free(struct dial *dial)
{
    list_remove(&dial->link);
    if (dial->easy) {
        curl_multi_remove_handle(dial->dialer->multi, dial->easy);
        curl_easy_cleanup(dial->easy);
    }
    curl_slist_free_all(dial->headers);
    free(dial->guarded);
    free(dial);
}

void dial_fail(struct dial *dial, int curl_code)
{
    struct error err = ERROR_INIT;
    bool nameless =
        curl_code == CURLE_COULDNT_RESOLVE_HOST || curl_code == CURLE_COULDNT_RESOLVE_PROXY;
    enum http_failure failure = dial->fn ? dial_describe(dial, curl_code, &err) : HTTP_OK;
    dial_resolved(dial, nameless);
    if (dial->fn)
        dial->fn(dial->context, failure, &err);
    else
        dial_free(dial);
}

static const void *tls_of(CURL *easy)
{
    struct curl_tlssessioninfo *info = NULL;
    return curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) == CURLE_OK ? info->internals
                                                                            : NULL;
}

/* What libcurl asks on the way */

// Here, because libcurl does not tell a shortage of descriptors from a server that refuses; and
// because the name is known from now on, which is all that an orphan was for. And because the guard
// sees here what is connected to next; where it refuses, libcurl goes on to the name's other
// addresses.
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct dial *dial = context;
    if (!dial->fn)
        return CURL_SOCKET_BAD;
    int type = address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK;
    int fd = -1;
    struct error refusal = ERROR_INIT;
    bool lets = !dial->target.guard ||
                address_guard_check(dial->target.guard, &address->addr, &refusal) == 0;
    if (lets) {
        fd = socket(address->family, type, address->protocol);
        dial->socket_errno = fd < 0 ? errno : 0;
    } else if (!dial->guarded) {
        dial->guarded = mem_new(struct error);
        *dial->guarded = refusal;
    }
    dial->fd = fd;
    if (!dial->resolves_late)
        dial_resolved(dial, false);
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

// The first handshake of two is the proxy's.
static CURLcode configure_tls(CURL *easy, void *ssl_config, void *context)
{
    struct dial *dial = context;
    const struct http_proxy *proxy = dial->target.proxy;
    bool to_proxy = proxy && proxy->secure && !dial->peer;
    if (!dial->fn)
        return CURLE_ABORTED_BY_CALLBACK;
    dial->peer = to_proxy ? &dial->proxy_peer : &dial->server_peer;
    tls_peer_init(dial->peer, dial->dialer->trust, to_proxy ? proxy->host : dial->target.host);
    return tls_peer_apply(dial->peer, ssl_config) ? CURLE_OK : CURLE_SSL_CONNECT_ERROR;
}

// "ssl_handshake returned: (-0x7780)": the only place where libcurl says what mbedTLS told it, and
// the last moment at which mbedTLS can be asked for more.
static void note_tls_failure(struct dial *dial, CURL *easy, struct span text)
{
    static const char mark[] = "returned: (-0x";
    int code = 0, digit;
    ptrdiff_t at = span_find(text, SPAN_LITERAL(mark));
    if (at < 0 || !dial->peer)
        return;
    text = span_skip(text, (size_t)at + sizeof mark - 1);
    for (; text.len && code < INT16_MAX && (digit = http_hex_digit(*text.data)) >= 0;
         text = span_skip(text, 1))
        code = code << 4 | digit;
    tls_peer_note(dial->peer, -code, tls_of(easy), dial->fd);
}

static int on_trace(CURL *easy, curl_infotype type, char *data, size_t len, void *context)
{
    struct dial *dial = context;
    struct span text = span_make(data, len);
    if (type == CURLINFO_TEXT) {
        note_tls_failure(dial, easy, text);
    } else if (type == CURLINFO_HEADER_IN && !dial->proxy_answered) {
        dial->proxy_answered = true;
        dial->proxy_speaks_http = span_starts_with(text, "HTTP/");
    }
    return 0;
}

/* A dial */

static void set_proxy(struct dial *dial)
{
    const struct http_proxy *proxy = dial->target.proxy;
    CURL *easy = dial->easy;
    curl_easy_setopt(easy, CURLOPT_NOPROXY, ""); // http_proxies_find() has decided
    curl_easy_setopt(easy, CURLOPT_PROXY, proxy ? proxy->url : "");
    if (!proxy)
        return;
    curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, (long)proxy->http);
    curl_easy_setopt(easy, CURLOPT_PROXYAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(easy, CURLOPT_SOCKS5_AUTH, CURLAUTH_BASIC);
    curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, proxy->user);
    curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, proxy->password ? proxy->password : "");
    dial->headers = curl_slist_append(NULL, "Proxy-Connection:"); // RFC 9112 appendix C.2.2
    curl_easy_setopt(easy, CURLOPT_PROXYHEADER, dial->headers);
    curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

void dial_start(struct dial *dial)
{
    CURL *easy = dial->easy = curl_easy_init();
    const struct dial_target *target = &dial->target;
    bool ipv6 = strchr(target->host, ':') != NULL;
    CLEANUP(mem_cleanup)
    char *url = mem_printf("http%s://%s%s%s:%u/", target->secure ? "s" : "", ipv6 ? "[" : "",
                           target->host, ipv6 ? "]" : "", target->port);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    set_proxy(dial);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, dial);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, dial);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, configure_tls);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, dial);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_trace);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, dial);
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); // a thread that resolves is not waited for
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, (long)DIALER_NAMES_KEPT_S);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    // Its owner's limit is the one that counts, and comes first; libcurl needs one to share out
    // among a family's addresses.
    int64_t limit_ms = target->timeout_ms + target->timeout_ms / 4;
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)limit_ms);
    if (target->unix_socket)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, target->unix_socket);
    if (target->prepare)
        target->prepare(dial->context, easy);
    curl_multi_add_handle(dial->dialer->multi, easy);
}

void dial_close(struct dial *dial)
{
    if (!dial)
        return;
    if (!dial->lookup) {
        dial_free(dial);
        return;
    }
    // An orphan: a thread that resolves cannot be stopped. It goes on for others who want the name.
    dial->fn = NULL;
    dial->name = NULL;
    dial->target = (struct dial_target){0};
    curl_easy_setopt(dial->easy, CURLOPT_VERBOSE, 0L);
    curl_easy_setopt(dial->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)LOOKUP_MS);
}

/* Connected */

// With TLS inside of TLS the outer one may hold what no event tells of, and libcurl says AGAIN at a
// session ticket although more may follow. It knows of its connection from the first call on.
bool dial_hides_more(struct dial *dial, unsigned *tries)
{
    const struct http_proxy *proxy = dial->target.proxy;
    if (dial->target.secure && !dial->ssl)
        dial->ssl = tls_of(dial->easy);
    *tries += !dial->ssl || !tls_peer_holds_ticket(dial->ssl);
    return *tries < (proxy && proxy->secure ? TICKETS_IN_A_ROW : 1);
}

static CURLcode receive(struct dial *dial, char *data, size_t size, size_t *ret_len)
{
    unsigned tries = 0;
    CURLcode result;
    if (dial->target.secure)
        tls_peer_take_tickets(&dial->server_peer, !dial->blocked);
    do
        result = curl_easy_recv(dial->easy, data, size, ret_len);
    while (result == CURLE_AGAIN && dial_hides_more(dial, &tries));
    return result;
}

void dial_connected(struct dial *dial)
{
    static const struct error none = ERROR_INIT;
    curl_socket_t fd = -1;
    size_t none_sent;
    curl_easy_getinfo(dial->easy, CURLINFO_ACTIVESOCKET, &fd);
    dial->fd = fd;
    if (fd < 0 || !dial->fn) { // it ended in the same moment, or nobody wants it any more
        dial_fail(dial, CURLE_RECV_ERROR);
        return;
    }
    dial_resolved(dial, false);
    curl_easy_send(dial->easy, "", 0, &none_sent);
    dial->fn(dial->context, HTTP_OK, &none);
}

bool dial_is_resolving(const struct dial *dial)
{
    return dial->name != NULL;
}

int dial_fd(const struct dial *dial)
{
    return dial->fd;
}

bool dial_is_secure(const struct dial *dial)
{
    return dial->target.secure;
}

// Why the last call on a connection failed. The first that breaks it tells: a reset is told once,
// and what is read after it looks like an end.
static ssize_t broken(struct dial *dial)
{
    long socket_errno = 0;
    if (!dial->broken) {
        curl_easy_getinfo(dial->easy, CURLINFO_OS_ERRNO, &socket_errno);
        dial->broken = tls_peer_errno(dial->peer, (int)socket_errno);
    }
    return dial->broken;
}

ssize_t dial_receive(struct dial *dial, char *data, size_t size)
{
    if (dial->target.secure) {
        size_t len = 0;
        dial->peer->failure = 0;
        CURLcode result = receive(dial, data, size, &len);
        return result == CURLE_OK ? (ssize_t)len : result == CURLE_AGAIN ? -EAGAIN : broken(dial);
    }
    ssize_t n;
    do
        n = recv(dial->fd, data, size, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t dial_send(struct dial *dial, struct span data)
{
    size_t len = 0;
    dial->peer->failure = 0;
    CURLcode result = curl_easy_send(dial->easy, data.data, data.len, &len);
    dial->blocked = result == CURLE_AGAIN;
    if (result == CURLE_AGAIN)
        return -EAGAIN;
    return result == CURLE_OK ? (ssize_t)len : broken(dial);
}
