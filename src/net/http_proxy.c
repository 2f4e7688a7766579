#include "net/http_proxy.h"

#include <curl/curl.h>
#include <errno.h>
#include <mbedtls/base64.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/span.h"
#include "codec/address.h"

/* Reading the variables */

static char *basic(const char *user, const char *password)
{
    unsigned char text[HTTP_PROXY_CREDENTIALS_MAX * 2];
    size_t len = 0;
    CLEANUP(mem_cleanup)
    char *credentials = mem_printf("%s:%s", user, password ? password : "");
    if (strlen(credentials) > HTTP_PROXY_CREDENTIALS_MAX ||
        mbedtls_base64_encode(text, sizeof text, &len, (const unsigned char *)credentials,
                              strlen(credentials)) != 0)
        return NULL;
    return mem_printf("Basic %.*s", (int)len, (const char *)text);
}

// A part of the URL as we own it; NULL when there is none.
static char *part(CURLU *url, CURLUPart what, unsigned flags)
{
    char *text = NULL;
    if (curl_url_get(url, what, &text, flags) != CURLUE_OK)
        return NULL;
    char *copy = mem_strdup(text);
    curl_free(text);
    return copy;
}

static const struct scheme {
    const char *name;
    bool http, near_names, secure;
    uint16_t port; // of a proxy that names none
} schemes[] = {
    {"http", .http = true, .port = HTTP_PROXY_PORT},
    {"https", .http = true, .secure = true, .port = HTTPS_PROXY_PORT},
    {"socks4", .near_names = true, .port = HTTP_PROXY_PORT},
    {"socks4a", .port = HTTP_PROXY_PORT},
    {"socks5", .near_names = true, .port = HTTP_PROXY_PORT},
    {"socks5h", .port = HTTP_PROXY_PORT},
};

static void take_url(struct http_proxy *proxy, CURLU *url)
{
    CLEANUP(mem_cleanup) char *name = part(url, CURLUPART_SCHEME, 0);
    CLEANUP(mem_cleanup) char *host = part(url, CURLUPART_HOST, 0);
    CLEANUP(mem_cleanup) char *port = part(url, CURLUPART_PORT, 0);
    CLEANUP(mem_cleanup) char *user = part(url, CURLUPART_USER, 0);
    CLEANUP(mem_cleanup) char *password = part(url, CURLUPART_PASSWORD, 0);
    const struct scheme *scheme = NULL;
    for (size_t i = 0; name && i < ARRAY_LEN(schemes); i++)
        if (strcmp(name, schemes[i].name) == 0)
            scheme = &schemes[i];
    uint64_t number = scheme ? scheme->port : 0;
    if (!scheme || !host ||
        (port && (!span_to_u64(span_of(port), &number) || number == 0 || number > UINT16_MAX)))
        return;
    proxy->http = scheme->http;
    proxy->near_names = scheme->near_names;
    proxy->secure = scheme->secure;
    proxy->port = (uint16_t)number;
    proxy->user = part(url, CURLUPART_USER, CURLU_URLDECODE);
    proxy->password = part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
    proxy->authorization = proxy->user ? basic(proxy->user, proxy->password) : NULL;
    if ((user && !proxy->authorization) || (password && !proxy->password))
        return; // a control character, or too long
    proxy->authority = mem_printf("%s:%u", host, proxy->port);
    proxy->url = mem_printf("%s://%s", name, proxy->authority);
    size_t bracket = *host == '[';
    proxy->host = mem_strndup(host + bracket, strlen(host) - 2 * bracket);
}

// "socks5h://user:password@host:port/", of which all but the host may be missing: then it is http.
static void try_variable(struct http_proxy *proxy, http_proxy_variable_fn *read_variable,
                         const char *name)
{
    const char *value = read_variable(name);
    if (proxy->variable || !value || !*value)
        return;
    proxy->variable = name;
    CURLU *url = strlen(value) <= HTTP_PROXY_URL_MAX ? curl_url() : NULL;
    CLEANUP(mem_cleanup)
    char *text = mem_printf("%s%s", strstr(value, "://") ? "" : "http://", value);
    if (url && curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK)
        take_url(proxy, url);
    curl_url_cleanup(url);
}

void http_proxies_init(struct http_proxies *proxies, http_proxy_variable_fn *read_variable)
{
    *proxies = (struct http_proxies){0};
    const char *none = read_variable("no_proxy");
    none = none ? none : read_variable("NO_PROXY");
    proxies->none = none ? mem_strdup(none) : NULL;
    static const char *const plain[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
    static const char *const secure[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        try_variable(&proxies->plain, read_variable, plain[i]);
    for (size_t i = 0; i < ARRAY_LEN(secure); i++)
        try_variable(&proxies->secure, read_variable, secure[i]);
}

static void proxy_finish(struct http_proxy *proxy)
{
    free(proxy->url);
    free(proxy->host);
    free(proxy->authority);
    free(proxy->user);
    free(proxy->password);
    free(proxy->authorization);
}

void http_proxies_finish(struct http_proxies *proxies)
{
    proxy_finish(&proxies->plain);
    proxy_finish(&proxies->secure);
    free(proxies->none);
    *proxies = (struct http_proxies){0};
}

/* no_proxy */

struct host {
    struct span name;       // without a dot at its end
    struct address address; // bits 0: a name
};

// "10.0.0.0/8", or one address.
static bool covers_address(struct span entry, const struct host *host)
{
    struct address_network network;
    return address_network_parse(entry, &network) &&
           address_network_covers(&network, &host->address);
}

static struct span without_end_dot(struct span name)
{
    if (name.len && name.data[name.len - 1] == '.')
        name.len--;
    return name;
}

// "example.com" and ".example.com" are that host and all below it.
static bool covers_name(struct span entry, const struct host *host)
{
    struct span suffix = without_end_dot(entry);
    if (suffix.len && suffix.data[0] == '.')
        suffix = span_skip(suffix, 1);
    if (suffix.len == 0 || suffix.len > host->name.len)
        return false;
    size_t before = host->name.len - suffix.len;
    return strncasecmp(host->name.data + before, suffix.data, suffix.len) == 0 &&
           (before == 0 || host->name.data[before - 1] == '.');
}

static bool is_spared(const char *list, const char *name)
{
    struct host host = {.name = without_end_dot(span_of(name))};
    address_parse(host.name, &host.address);
    if (strcmp(list, "*") == 0)
        return true;
    while (*list) {
        size_t len = strcspn(list, ", \t");
        struct span entry = span_make(list, len);
        if (host.address.bits == 0 ? covers_name(entry, &host) : covers_address(entry, &host))
            return true;
        list += len + (list[len] != '\0');
    }
    return false;
}

const struct http_proxy *http_proxies_find(const struct http_proxies *proxies, bool secure,
                                           const char *host)
{
    const struct http_proxy *proxy = secure ? &proxies->secure : &proxies->plain;
    if (!proxy->variable || (proxies->none && is_spared(proxies->none, host)))
        return NULL;
    return proxy;
}

int http_proxy_check(const struct http_proxy *proxy, const char *authority, struct error *err)
{
    if (!proxy || proxy->url)
        return 0;
    return error_set(err, -EPROTONOSUPPORT,
                     "cannot connect to %s: the variable %s is not a proxy such as "
                     "http://host:port or socks5h://host:port",
                     authority, proxy->variable);
}
