// libraries: curl mbedtls mbedx509 mbedcrypto
//
// Where a guarded request goes. That the same request reaches the server without a guard is shown
// first, each time: else nothing would be shown.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <cmocka.h>

#include "base/mem.h"
#include "net/address_guard.h"
#include "support/http_fetch.h"

static void guard_finish(struct address_guard **guard)
{
    address_guard_destroy(*guard);
}
#define GUARD_AUTO CLEANUP(guard_finish) struct address_guard

static struct address_guard *guard_of(bool proxied, const char *a, const char *b)
{
    const char *const grants[] = {a, b};
    struct address_guard *guard = NULL;
    assert_int_equal(address_guard_create(grants, a ? b ? 2 : 1 : 0, proxied, &guard, NULL), 0);
    return guard;
}

// Asks for /hello of that host, or of the peer where it is one that is named by a port's place.
static enum http_failure ask(struct fetch_world *world, const struct address_guard *guard,
                             const char *host, struct error *err)
{
    char url[256];
    FETCH_AUTO fetch = fetch_of(world);
    struct http_request request = fetch_get(url);
    snprintf(url, sizeof url, "http://%s:%u/hello", host, http_peer_port(world->peer));
    request.guard = guard;
    fetch_begin(&fetch, request);
    fetch_await(&fetch);
    if (err)
        *err = fetch.err;
    return fetch.failure;
}

static void refuses(struct fetch_world *world, const char *host, const char *sentence)
{
    GUARD_AUTO *guard = guard_of(false, NULL, NULL);
    struct error err;
    unsigned before = http_peer_requests(world->peer);
    assert_int_equal(ask(world, NULL, host, NULL), HTTP_OK);
    assert_int_equal(http_peer_requests(world->peer), before + 1);
    assert_int_equal(ask(world, guard, host, &err), HTTP_FORBIDDEN);
    assert_int_equal(err.code, -EACCES);
    assert_int_equal(http_peer_requests(world->peer), before + 1);
    if (!strstr(err.text, sentence))
        fail_msg("%s: %s", host, err.text);
}

// The first request leaves a connection behind, which the second would find.
static void this_machine(void **state)
{
    refuses(*state, "127.0.0.1", "127.0.0.1 is this machine's own address");
    refuses(*state, "localhost", "is this machine's own address");
    refuses(*state, "localhost.", "is this machine's own address");
    refuses(*state, "[::ffff:127.0.0.1]", "is this machine's own address");
    refuses(*state, "0.0.0.0", "0.0.0.0 is no address of anything");
    refuses(*state, "twice.invalid", "127.0.0.2 is this machine's own address");
}

static void other_spellings(void **state)
{
    static const char *const hosts[] = {
        "127.1",      "0x7f.1",      "2130706433", "127.0.0.1.",     "0177.0.0.1",  "017700000001",
        "0x7f000001", "1@127.0.0.1", "[::1%251]",  "127.0.0.1%2f.x", "\xef\xbc\x91"};
    GUARD_AUTO *guard = guard_of(false, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        assert_int_equal(ask(*state, guard, hosts[i], NULL), HTTP_MISUSED);
    assert_int_equal(http_peer_connections(((struct fetch_world *)*state)->peer), 0);
}

static void what_is_granted(void **state)
{
    struct fetch_world *world = *state;
    GUARD_AUTO *by_network = guard_of(false, "127.0.0.1/32", NULL);
    GUARD_AUTO *by_name = guard_of(false, "Localhost", NULL);
    struct error err;
    assert_int_equal(ask(world, by_network, "127.0.0.1", NULL), HTTP_OK);
    assert_int_equal(ask(world, by_network, "localhost", NULL), HTTP_OK);
    assert_int_equal(ask(world, by_name, "localhost.", NULL), HTTP_OK);
    assert_int_equal(ask(world, by_name, "127.0.0.1", &err), HTTP_FORBIDDEN);
    // Of two addresses of a name, the one that is not granted is passed over.
    assert_int_equal(ask(world, by_network, "twice.invalid", NULL), HTTP_OK);
    assert_int_equal(ask(world, by_network, "127.0.0.2", &err), HTTP_FORBIDDEN);
}

static bool granted(const struct address_guard *guard, const char *host)
{
    return address_guard_grants(guard, span_of(host));
}

static void grants(void **state)
{
    (void)state;
    GUARD_AUTO *guard = guard_of(false, "*.Example.org", "fd00::/8");
    assert_true(granted(guard, "a.example.ORG"));
    assert_true(granted(guard, "a.b.example.org."));
    assert_false(granted(guard, "example.org"));
    assert_false(granted(guard, "notexample.org"));
    assert_false(granted(guard, ".example.org.evil"));
    assert_true(granted(guard, "fd12::1"));
    assert_false(granted(guard, "fe80::1"));
    static const char *const none[] = {"", "*", "*.", "a b", "http://x/", "10.0.0.0/33", "a/8"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        struct error err = ERROR_INIT;
        struct address_guard *bad = NULL;
        assert_int_equal(address_guard_create(&none[i], 1, false, &bad, &err), -EINVAL);
        assert_null(bad);
        assert_non_null(strstr(err.text, "neither the name of a host"));
    }
}

static void families(void **state)
{
    (void)state;
    GUARD_AUTO *guard = guard_of(false, NULL, NULL);
    struct error err = ERROR_INIT;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x08080808)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    assert_int_equal(address_guard_check(guard, (struct sockaddr *)&in, NULL), 0);
    in.sin_addr.s_addr = htonl(0xa9fea9fe);
    assert_int_equal(address_guard_check(guard, (struct sockaddr *)&in, &err), -EACCES);
    assert_string_equal(err.text, "169.254.169.254 is the metadata service of a cloud, and only "
                                  "public ones may be asked");
    inet_pton(AF_INET6, "2606:4700::1", &in6.sin6_addr);
    assert_int_equal(address_guard_check(guard, (struct sockaddr *)&in6, NULL), 0);
    inet_pton(AF_INET6, "64:ff9b::10.0.0.1", &in6.sin6_addr);
    assert_int_equal(address_guard_check(guard, (struct sockaddr *)&in6, NULL), -EACCES);
    assert_int_equal(address_guard_check(guard, (struct sockaddr *)&un, NULL), -EACCES);
}

// The peer is the proxy here, and answers whatever it is asked for.
static void behind_a_proxy(void **state)
{
    struct error err;
    GUARD_AUTO *guard = guard_of(false, "granted.invalid", NULL);
    GUARD_AUTO *trusting = guard_of(true, NULL, NULL);
    assert_int_equal(ask(*state, NULL, "other.invalid", NULL), HTTP_OK);
    assert_int_equal(ask(*state, guard, "other.invalid", &err), HTTP_FORBIDDEN);
    assert_non_null(strstr(err.text, "a proxy stands before it"));
    assert_int_equal(ask(*state, guard, "granted.invalid", NULL), HTTP_OK);
    assert_int_equal(ask(*state, trusting, "other.invalid", NULL), HTTP_OK);
    assert_int_equal(ask(*state, trusting, "169.254.169.254", &err), HTTP_FORBIDDEN);
    assert_int_equal(ask(*state, trusting, "8.8.8.8", NULL), HTTP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(this_machine, fetch_set_up, fetch_tear_down),
        cmocka_unit_test_setup_teardown(other_spellings, fetch_set_up, fetch_tear_down),
        cmocka_unit_test_setup_teardown(what_is_granted, fetch_set_up, fetch_tear_down),
        cmocka_unit_test(grants),
        cmocka_unit_test(families),
        cmocka_unit_test_setup_teardown(behind_a_proxy, fetch_set_up_proxied, fetch_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
