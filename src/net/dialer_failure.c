// Why there is no connection: libcurl's codes as ours, with a sentence that says what to do.
#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "net/dialer_internal.h"
#include "net/http_proxy.h"

static const char *title_of(const struct dial *dial)
{
    return dial->target.proxy || dial->target.is_proxy ? "the proxy " : "";
}

// Of the first that is connected to.
static const char *first_of(const struct dial *dial)
{
    return dial->target.proxy ? dial->target.proxy->authority : dial->target.authority;
}

static enum http_failure unreachable(const struct dial *dial, int errno_value, struct error *err)
{
    bool files = errno_value == EMFILE || errno_value == ENFILE;
    if (fd_is_shortage(errno_value)) {
        error_set(err, -errno_value,
                  "cannot connect to %s%s, because this machine has run out of %s: %s",
                  title_of(dial), first_of(dial), files ? "file descriptors" : "memory",
                  strerror(errno_value));
        return HTTP_EXHAUSTED;
    }
    error_set(err, -ECONNREFUSED, "cannot connect to %s%s: %s", title_of(dial), first_of(dial),
              strerror(errno_value));
    return HTTP_UNREACHABLE;
}

static enum http_failure unresolved(const struct dial *dial, bool of_server, struct error *err)
{
    // Can a socket be had at all? The C library does not say what kept it from resolving.
    FD_AUTO fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed = fd < 0 && fd_is_shortage(errno) ? errno : 0;
    if (failed)
        return unreachable(dial, failed, err);
    error_set(err, -EHOSTUNREACH, "cannot resolve the name of %s%s",
              of_server ? "" : title_of(dial), of_server ? dial->target.authority : first_of(dial));
    return HTTP_UNRESOLVED;
}

static enum http_failure untrusted(const struct dial *dial, int broken, struct error *err)
{
    struct error why = ERROR_INIT;
    bool is_proxy = dial->peer == &dial->proxy_peer || dial->target.is_proxy;
    int r = tls_peer_describe(dial->peer, broken, &why);
    error_set(err, -EPROTO, "no %sTLS connection to %s%s: %s", r == -EKEYREJECTED ? "trusted " : "",
              is_proxy ? "the proxy " : "",
              dial->peer == &dial->proxy_peer ? dial->target.proxy->authority
                                              : dial->target.authority,
              why.text);
    return HTTP_UNTRUSTED;
}

static enum http_failure refused(const struct dial *dial, const char *what, struct error *err)
{
    error_set(err, -ECONNREFUSED, "cannot connect to %s: the proxy %s %s", dial->target.authority,
              dial->target.proxy->authority, what);
    return HTTP_UNREACHABLE;
}

// The answer to CONNECT (RFC 9110 §9.3.6), or none.
static enum http_failure refused_by_http(const struct dial *dial, int curl_code, struct error *err)
{
    char text[80];
    long status = 0;
    curl_easy_getinfo(dial->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    if (dial->proxy_answered && !dial->proxy_speaks_http)
        return refused(dial, "did not reply in HTTP", err);
    if (status == 0)
        return refused(
            dial, curl_code == CURLE_SEND_ERROR ? "does not listen" : "closed the connection", err);
    if (status / 100 == 2)
        return refused(dial, "sends too much", err);
    if (status / 100 == 1)
        return refused(dial, "sends interim answers, which nobody asked it for", err);
    snprintf(text, sizeof text, "refuses (HTTP %ld)%s", status,
             status == 407 ? ": its URL needs a user name and password that it knows" : "");
    return refused(dial, text, err);
}

static enum http_failure refused_by_socks(const struct dial *dial, struct error *err)
{
    static const char *const reasons[CURLPX_LAST] = {
        [CURLPX_BAD_VERSION] = "does not speak this version of SOCKS",
        [CURLPX_UNKNOWN_MODE] = "does not speak SOCKS as RFC 1928 has it",
        [CURLPX_BAD_ADDRESS_TYPE] = "does not speak SOCKS as RFC 1928 has it",
        [CURLPX_CLOSED] = "closed the connection",
        [CURLPX_RECV_CONNECT] = "closed the connection",
        [CURLPX_RECV_AUTH] = "closed the connection",
        [CURLPX_RECV_ADDRESS] = "closed the connection",
        [CURLPX_RECV_REQACK] = "closed the connection",
        [CURLPX_SEND_CONNECT] = "closed the connection",
        [CURLPX_SEND_AUTH] = "closed the connection",
        [CURLPX_SEND_REQUEST] = "closed the connection",
        [CURLPX_NO_AUTH] = "refuses: its URL needs a user name and password",
        [CURLPX_USER_REJECTED] = "refuses the user name or password of its URL",
        [CURLPX_RESOLVE_HOST] = "needs an address, and the server's name cannot be resolved here; "
                                "with socks5h:// the proxy resolves it",
        [CURLPX_REPLY_NOT_ALLOWED] = "does not allow connections to it",
        [CURLPX_REPLY_NETWORK_UNREACHABLE] = "says that its network is unreachable",
        [CURLPX_REPLY_HOST_UNREACHABLE] = "says that it is unreachable",
        [CURLPX_REPLY_CONNECTION_REFUSED] = "says that it refused the connection",
        [CURLPX_REPLY_TTL_EXPIRED] = "says that it is too far away",
        [CURLPX_REPLY_ADDRESS_TYPE_NOT_SUPPORTED] = "cannot connect to an address of its kind",
        [CURLPX_REPLY_COMMAND_NOT_SUPPORTED] = "cannot connect to anything",
        [CURLPX_LONG_USER] = "takes no user name of more than 255 bytes",
        [CURLPX_LONG_PASSWD] = "takes no password of more than 255 bytes",
        [CURLPX_LONG_HOSTNAME] = "takes no name of more than 255 bytes",
    };
    long code = CURLPX_OK;
    curl_easy_getinfo(dial->easy, CURLINFO_PROXY_ERROR, &code);
    const char *reason = code >= 0 && code < CURLPX_LAST ? reasons[code] : NULL;
    return refused(dial, reason ? reason : "could not connect to it", err);
}

enum http_failure dial_describe(const struct dial *dial, int curl_code, struct error *err)
{
    const struct http_proxy *proxy = dial->target.proxy;
    long os_errno = 0;
    if (dial->easy)
        curl_easy_getinfo(dial->easy, CURLINFO_OS_ERRNO, &os_errno);
    int broken = dial->socket_errno ? dial->socket_errno : (int)os_errno;
    switch (curl_code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return unresolved(dial, dial->resolves_late && curl_code == CURLE_COULDNT_RESOLVE_HOST,
                          err);
    case CURLE_OPERATION_TIMEDOUT:
        return unreachable(dial, ETIMEDOUT, err);
    case CURLE_COULDNT_CONNECT:
        if (dial->guarded && !broken) {
            error_set(err, -EACCES, "cannot connect to %s: %s", dial->target.authority,
                      dial->guarded->text);
            return HTTP_FORBIDDEN;
        }
        return unreachable(dial, broken ? broken : ECONNREFUSED, err);
    case CURLE_URL_MALFORMAT:
        error_set(err, -EINVAL, "cannot ask this URL: its host is no name that can be looked up");
        return HTTP_MISUSED;
    case CURLE_PROXY:
        return refused_by_socks(dial, err);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
        if (dial->peer)
            return untrusted(dial, broken, err);
        break;
    default:
        break;
    }
    if (proxy && proxy->http)
        return refused_by_http(dial, curl_code, err);
    error_set(err, -ECONNREFUSED, "cannot connect to %s%s: %s", title_of(dial), first_of(dial),
              curl_easy_strerror((CURLcode)curl_code));
    return HTTP_UNREACHABLE;
}
