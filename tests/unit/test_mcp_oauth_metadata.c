#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "mcp/oauth_metadata.h"

static void check_places(size_t count, char **places, const char *const *wanted)
{
    size_t i = 0;
    for (; i < count && wanted[i]; i++) {
        assert_string_equal(places[i], wanted[i]);
        free(places[i]);
    }
    assert_true(i == count && !wanted[i]);
}

static void where_documents_are_looked_for(void **state)
{
    (void)state;
    char *places[OAUTH_PLACES_MAX];
    size_t count = oauth_resource_places("https://a:8/mcp/", NULL, places);
    check_places(count, places,
                 (const char *const[]){"https://a:8/.well-known/oauth-protected-resource/mcp",
                                       "https://a:8/.well-known/oauth-protected-resource", NULL});
    count = oauth_resource_places("https://a", "http://127.0.0.1/meta", places);
    check_places(count, places,
                 (const char *const[]){"https://a/.well-known/oauth-protected-resource", NULL});
    count = oauth_resource_places("http://a/mcp", "http://a/meta", places);
    check_places(count, places, (const char *const[]){"http://a/meta", NULL});
    count = oauth_resource_places("https://a/mcp", "https://a/meta", places);
    check_places(count, places, (const char *const[]){"https://a/meta", NULL});
    count = oauth_server_places("https://b", places);
    check_places(count, places,
                 (const char *const[]){"https://b/.well-known/oauth-authorization-server",
                                       "https://b/.well-known/openid-configuration", NULL});
    count = oauth_server_places("https://b/t", places);
    check_places(count, places,
                 (const char *const[]){"https://b/.well-known/oauth-authorization-server/t",
                                       "https://b/.well-known/openid-configuration/t",
                                       "https://b/t/.well-known/openid-configuration", NULL});
}

static int read_resource(const char *resource, const char *server_url)
{
    CLEANUP(mem_cleanup)
    char *text = mem_printf("{\"resource\":\"%s\",\"authorization_servers\":[\"https://as\"],"
                            "\"scopes_supported\":[\"a\",7,\"b\"]}",
                            resource);
    CLEANUP(oauth_resource_finish) struct oauth_resource read = {0};
    int r = oauth_resource_read(span_of(text), server_url, &read, NULL);
    if (r == 0) {
        assert_string_equal(read.resource, resource); // to the byte
        assert_string_equal(read.issuer, "https://as");
        assert_string_equal(read.scopes, "a b");
    }
    return r;
}

static void a_resource_is_the_server_or_above_it(void **state)
{
    (void)state;
    static const char *const is[] = {"https://a/mcp", "https://a/mcp/", "https://a", "https://A/",
                                     "https://a:443/mcp"};
    static const char *const is_not[] = {"https://a/mc", "https://a/mcp/x",   "https://b/mcp",
                                         "http://a/mcp", "https://a:8443",    "https://a/mcp?x=1",
                                         "mcp",          "https://a.evil/mcp"};
    for (size_t i = 0; i < ARRAY_LEN(is); i++)
        if (read_resource(is[i], "https://a/mcp") < 0)
            fail_msg("%s was refused", is[i]);
    for (size_t i = 0; i < ARRAY_LEN(is_not); i++)
        if (read_resource(is_not[i], "https://a/mcp") == 0)
            fail_msg("%s was taken", is_not[i]);
}

static int read_server(const char *members, struct oauth_server *ret, struct error *err)
{
    CLEANUP(mem_cleanup)
    char *text = mem_printf("{\"issuer\":\"https://as/t\",\"authorization_endpoint\":"
                            "\"https://as/auth\",\"token_endpoint\":\"https://as/token\"%s}",
                            members);
    return oauth_server_read(span_of(text), "https://as/t", ret, err);
}

static void servers_that_are_as_they_must_be(void **state)
{
    (void)state;
    CLEANUP(oauth_server_finish) struct oauth_server server = {0};
    struct error err = ERROR_INIT;
    if (read_server(",\"code_challenge_methods_supported\":[\"plain\",\"S256\"],"
                    "\"token_endpoint_auth_methods_supported\":[\"client_secret_post\"],"
                    "\"scopes_supported\":[\"offline_access\"],"
                    "\"client_id_metadata_document_supported\":true,"
                    "\"authorization_response_iss_parameter_supported\":true",
                    &server, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(server.post && !server.basic && !server.none);
    assert_true(server.offers_offline_access && server.takes_metadata_documents);
    assert_true(server.sends_issuer);
    assert_null(server.registration_endpoint);
}

static void refuses(const char *text, const char *issuer)
{
    struct oauth_server server = {0};
    struct error err = ERROR_INIT;
    if (oauth_server_read(span_of(text), issuer, &server, &err) == 0)
        fail_msg("taken: %s", text);
    assert_null(server.issuer);
    assert_true(*err.text);
}

static void servers_that_are_not(void **state)
{
    (void)state;
    static const char pkce[] = "\"code_challenge_methods_supported\":[\"S256\"]";
    static const char *const members[] = {
        "\"issuer\":\"https://as\",\"authorization_endpoint\":\"https://as/a\","
        "\"token_endpoint\":\"http://as/t\"",
        "\"issuer\":\"https://as/\",\"authorization_endpoint\":\"https://as/a\","
        "\"token_endpoint\":\"https://as/t\"",
        "\"issuer\":\"https://as\",\"token_endpoint\":\"https://as/t\"",
        "\"issuer\":\"https://as\",\"authorization_endpoint\":7,"
        "\"token_endpoint\":\"https://as/t\"",
        "\"issuer\":\"https://as\",\"authorization_endpoint\":\"javascript:1\","
        "\"token_endpoint\":\"https://as/t\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        CLEANUP(mem_cleanup) char *text = mem_printf("{%s,%s}", pkce, members[i]);
        refuses(text, "https://as");
    }
    refuses("{\"issuer\":\"https://as\",\"authorization_endpoint\":\"https://as/a\","
            "\"token_endpoint\":\"https://as/t\"}",
            "https://as"); // without PKCE
    refuses("[]", "https://as");
    refuses("<html>", "https://as");
}

static void urls_that_are_safe(void **state)
{
    (void)state;
    assert_true(oauth_is_safe_url("https://a/", "http://127.0.0.1/"));
    assert_true(oauth_is_safe_url("http://localhost:8080/x", "http://127.0.0.1/"));
    assert_true(oauth_is_safe_url("http://[::1]/", "http://127.0.0.1/"));
    assert_false(oauth_is_safe_url("http://a/", "http://127.0.0.1/"));
    assert_false(oauth_is_safe_url("http://localhost.evil/", "http://127.0.0.1/"));
    assert_false(oauth_is_safe_url("http://localhost:8080/x", "https://a/mcp"));
    assert_false(oauth_is_safe_url("https://127.0.0.1/x", "https://a/mcp"));
    assert_false(oauth_is_safe_url("file:///etc/passwd", "http://127.0.0.1/"));
    assert_false(oauth_is_safe_url("https://a/#b", "http://127.0.0.1/"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_documents_are_looked_for),
        cmocka_unit_test(a_resource_is_the_server_or_above_it),
        cmocka_unit_test(servers_that_are_as_they_must_be),
        cmocka_unit_test(servers_that_are_not),
        cmocka_unit_test(urls_that_are_safe),
    };
    return cmocka_run_group_tests_name("mcp/oauth_metadata", tests, NULL, NULL);
}
