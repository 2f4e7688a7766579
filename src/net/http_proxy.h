#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Which proxy stands before a server, by the variables that curl made customary: http_proxy,
 * https_proxy (or in capitals; HTTP_PROXY not, since a CGI server sets that to a client's wish),
 * all_proxy for both, and no_proxy, a list of hosts and networks that are asked directly. Lower
 * case goes before upper case.
 */
enum {
    HTTP_PROXY_PORT = 1080,              // of one that names none, as curl has it
    HTTPS_PROXY_PORT = 443,              // the same of https://
    HTTP_PROXY_URL_MAX = 4096,           // bytes
    HTTP_PROXY_CREDENTIALS_MAX = 1024,   // bytes of user and password, decoded
    HTTP_PROXY_AUTHORIZATION_MAX = 2048, // bytes of a header line
};

struct http_proxy {
    const char *variable; // that named it: for messages
    char *url;            // scheme, host and port. NULL: no proxy that can be used; nothing goes
    char *host;           // without brackets
    char *authority;      // host and port: for messages
    uint16_t port;
    bool http;           // else SOCKS
    bool near_names;     // SOCKS with addresses: names are looked up here
    bool secure;         // TLS to the proxy itself
    char *user;          // decoded; NULL: none
    char *password;      // decoded; NULL: none
    char *authorization; // the same as "Basic ..."; NULL: none
};

struct http_proxies {
    struct http_proxy plain, secure; // `variable` is NULL where none was named
    char *none;                      // no_proxy; NULL: not set
};

// `read_variable` is getenv(), or a test's own.
typedef char *http_proxy_variable_fn(const char *name);
void http_proxies_init(struct http_proxies *proxies, http_proxy_variable_fn *read_variable);
void http_proxies_finish(struct http_proxies *proxies);

// NULL: the host (a name, or an address without brackets) is asked directly.
const struct http_proxy *http_proxies_find(const struct http_proxies *proxies, bool secure,
                                           const char *host);

// -EPROTONOSUPPORT where the variable names no proxy that can be used; NULL is none at all.
// `authority` is the server's.
int http_proxy_check(const struct http_proxy *proxy, const char *authority, struct error *err);
