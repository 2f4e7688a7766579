#include "net/address_guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/address.h"

struct grant {
    struct address_network network; // base.bits 0: a name
    char *name;
};

struct address_guard {
    bool proxied;
    size_t count;
    struct grant grants[];
};

static bool is_name(struct span text)
{
    if (span_starts_with(text, "*."))
        text = span_skip(text, 2);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!strchr("-._", c) && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
            !(c >= 'A' && c <= 'Z'))
            return false;
    }
    return text.len > 0;
}

int address_guard_create(const char *const *grants, size_t count, bool proxied,
                         struct address_guard **ret_guard, struct error *err)
{
    if (count > ADDRESS_GUARD_GRANTS_MAX)
        return error_set(err, -E2BIG, "more than %d hosts and networks", ADDRESS_GUARD_GRANTS_MAX);
    struct address_guard *guard = mem_zalloc(sizeof *guard + count * sizeof *guard->grants);
    guard->proxied = proxied;
    for (; guard->count < count; guard->count++) {
        struct grant *grant = &guard->grants[guard->count];
        const char *text = grants[guard->count];
        if (address_network_parse(span_of(text), &grant->network))
            continue;
        if (!is_name(span_of(text))) {
            error_set(err, -EINVAL,
                      "\"%.64s\" is neither the name of a host, nor an address, nor a network such "
                      "as 10.0.0.0/8",
                      text);
            address_guard_destroy(guard);
            return -EINVAL;
        }
        grant->name = mem_strdup(text);
    }
    *ret_guard = guard;
    return 0;
}

void address_guard_destroy(struct address_guard *guard)
{
    if (!guard)
        return;
    for (size_t i = 0; i < guard->count; i++)
        free(guard->grants[i].name);
    free(guard);
}

static bool covers_name(const char *grant, struct span host)
{
    struct span name = span_of(grant);
    bool below = span_starts_with(name, "*.");
    if (below)
        name = span_skip(name, 1); // its dot stays
    if (host.len && host.data[host.len - 1] == '.')
        host.len--;
    return (below ? host.len > name.len : host.len == name.len) &&
           strncasecmp(host.data + host.len - name.len, name.data, name.len) == 0;
}

static bool covers_address(const struct address_guard *guard, const struct address *address)
{
    for (size_t i = 0; i < guard->count; i++)
        if (guard->grants[i].network.base.bits &&
            address_network_covers(&guard->grants[i].network, address))
            return true;
    return false;
}

bool address_guard_grants(const struct address_guard *guard, struct span host)
{
    struct address address;
    if (address_parse(host, &address))
        return covers_address(guard, &address);
    for (size_t i = 0; i < guard->count; i++)
        if (guard->grants[i].name && covers_name(guard->grants[i].name, host))
            return true;
    return false;
}

static int check(const struct address_guard *guard, const struct address *address,
                 struct error *err)
{
    enum address_class class = address_classify(address);
    char text[INET6_ADDRSTRLEN] = "";
    if (class == ADDRESS_PUBLIC || covers_address(guard, address))
        return 0;
    inet_ntop(address->bits == 32 ? AF_INET : AF_INET6, address->bytes, text, sizeof text);
    return error_set(err, -EACCES, "%s is %s, and only public ones may be asked", text,
                     address_class_name(class));
}

int address_guard_check_proxied(const struct address_guard *guard, struct span host,
                                struct error *err)
{
    struct address address;
    if (!guard->proxied)
        return error_set(err, -EACCES,
                         "a proxy stands before it, so nobody here sees which address it has");
    return address_parse(host, &address) ? check(guard, &address, err) : 0;
}

int address_guard_check(const struct address_guard *guard, const struct sockaddr *socket_address,
                        struct error *err)
{
    struct address address = {0};
    if (socket_address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, socket_address, sizeof in);
        address.bits = 32;
        memcpy(address.bytes, &in.sin_addr, sizeof in.sin_addr);
    } else if (socket_address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, socket_address, sizeof in6);
        address.bits = 128;
        memcpy(address.bytes, &in6.sin6_addr, sizeof in6.sin6_addr);
    } else {
        return error_set(err, -EACCES, "it has no address of the Internet");
    }
    return check(guard, &address, err);
}
