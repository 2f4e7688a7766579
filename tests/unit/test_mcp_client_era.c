#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "support/mcp_world.h"

#define LEGACY_RESULT "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{}}}"
#define MODERN_RESULT "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{}}}"
#define OLD_VERSIONS "[\"2025-11-25\",\"2025-06-18\"]"

static struct mcp_world world;

static void begin(const char *url)
{
    mcp_world_init(&world, url);
    mcp_world_begin(&world);
}

static void a_modern_program(void **state)
{
    begin(NULL);
    mcp_world_saw(&world, "runs server\nversion '2026-07-28' modern\n");
    const char *text = mcp_world_sends(&world, "server/discover", NULL);
    assert_non_null(strstr(text, "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\""));
    assert_non_null(strstr(text, "\"io.modelcontextprotocol/clientInfo\":{\"name\":\"hermes\","));
    assert_non_null(strstr(text, "\"io.modelcontextprotocol/clientCapabilities\":{\"elicitation\":"
                                 "{\"form\":{},\"url\":{}}}"));
    mcp_world_answers(&world,
                      "{\"supportedVersions\":[\"2025-11-25\",\"2026-07-28\"],\"capabilities\":{},"
                      "\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"S\"}},"
                      "\"instructions\":\"be kind\"}");
    mcp_world_saw(&world, "ready 2026-07-28 modern S be kind\n");
    mcp_world_sends_nothing(&world);
    mcp_world_finish(&world);
}

static void initialized(const char *version)
{
    mcp_world_sends(&world, "notifications/initialized", NULL);
    if (!world.endpoint.program)
        mcp_world_taken(&world);
    CLEANUP(mem_cleanup)
    char *lines = mem_printf("version '%s'\nlistens\nready %s\n", version, version);
    mcp_world_saw(&world, lines);
}

static void a_legacy_program_answers_anything(void **state)
{
    static const int codes[] = {-32601, 0, -32000, -32602, -32020};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        begin(NULL);
        mcp_world_sends(&world, "server/discover", NULL);
        mcp_world_refuses(&world, codes[i], NULL);
        const char *text =
            mcp_world_sends(&world, "initialize", "\"protocolVersion\":\"2025-11-25\"");
        assert_null(strstr(text, "_meta"));
        mcp_world_saw(&world, "runs server\nversion '2026-07-28' modern\nversion ''\n");
        mcp_world_answers(&world, LEGACY_RESULT);
        initialized("2025-06-18");
        mcp_world_finish(&world);
    }
}

static void a_program_that_exits_or_says_nothing_is_begun_anew(void **state)
{
    for (int i = 0; i < 3; i++) {
        begin(NULL);
        mcp_world_sends(&world, "server/discover", NULL);
        if (i == 0)
            mcp_world_fails(&world, MCP_CUT, 0, NULL);
        else if (i == 1)
            mcp_world_pass(&world, MCP_PROBE_MS);
        else // k8s 0.0.67 over HTTP says this; a program takes "initialize" for a repetition then
            mcp_world_answers(&world, "{\"supportedVersions\":" OLD_VERSIONS "}");
        mcp_world_sends(&world, "initialize", NULL);
        mcp_world_saw(&world, i == 1 ? "runs server\nversion '2026-07-28' modern\nabandoned 1\n"
                                       "left\nruns server\nversion ''\n"
                                     : "runs server\nversion '2026-07-28' modern\nleft\n"
                                       "runs server\nversion ''\n");
        mcp_world_answers(&world, LEGACY_RESULT);
        initialized("2025-06-18");
        mcp_world_finish(&world);
    }
}

static void a_probed_program_that_refuses_initialize_is_begun_anew_once(void **state)
{
    begin(NULL);
    world.notes = "no such cluster";
    mcp_world_sends(&world, "server/discover", NULL);
    mcp_world_refuses(&world, -32601, NULL);
    mcp_world_sends(&world, "initialize", NULL);
    mcp_world_refuses(&world, -32600, NULL);
    mcp_world_sends(&world, "initialize", NULL);
    mcp_world_refuses(&world, -32600, NULL);
    mcp_world_sends_nothing(&world);
    mcp_world_saw(&world, "runs server\nversion '2026-07-28' modern\nversion ''\nleft\n"
                          "runs server\nversion ''\nleft\n"
                          "closed error the MCP server k8s refused initialize: no (-32600); it "
                          "wrote: no such cluster\n");
    mcp_world_finish(&world);
}

static void a_program_that_dies_at_once_says_why(void **state)
{
    begin(NULL);
    mcp_world_fails(&world, MCP_CUT, 0, NULL);
    world.notes = "Error: cannot find module";
    mcp_world_fails(&world, MCP_NOT_SENT, 0, NULL);
    mcp_world_saw(&world,
                  "runs server\nversion '2026-07-28' modern\nleft\nruns server\nversion ''\n"
                  "left\nclosed gone the MCP server k8s cannot be asked: the wire, status 0; it "
                  "wrote: Error: cannot find module\n");
    mcp_world_finish(&world);
}

static void configured_eras(void **state)
{
    mcp_world_init(&world, NULL);
    world.endpoint.era = MCP_ERA_MODERN;
    mcp_world_begin(&world);
    mcp_world_refuses(&world, -32601, NULL);
    mcp_world_saw(&world, "runs server\nversion '2026-07-28' modern\nleft\n"
                          "closed invalid the MCP server k8s does not speak 2026-07-28\n");
    mcp_world_finish(&world);
    mcp_world_init(&world, "http://h/mcp");
    world.endpoint.era = MCP_ERA_LEGACY;
    mcp_world_begin(&world);
    mcp_world_sends(&world, "initialize", NULL);
    mcp_world_finish(&world);
}

static void another_version_is_asked_for(void **state)
{
    begin("http://h/mcp");
    mcp_world_sends(&world, "server/discover", "\"id\":1,");
    mcp_world_fails(&world, MCP_REFUSED, 400,
                    "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32022,\"message\":\"\","
                    "\"data\":{\"supported\":[\"2026-07-28\"]}}}");
    mcp_world_sends(&world, "server/discover", "\"id\":2,");
    mcp_world_refuses(&world, -32022, "{\"supported\":[\"2026-07-28\"]}"); // not for ever
    mcp_world_saw(&world, "http http://h/mcp\nversion '2026-07-28' modern\nleft\n"
                          "closed invalid the MCP server k8s speaks versions *\n");
    mcp_world_finish(&world);
}

static void only_legacy_versions_over_http(void **state)
{
    for (int i = 0; i < 2; i++) {
        begin("http://h/mcp");
        if (i)
            mcp_world_answers(&world, "{\"supportedVersions\":" OLD_VERSIONS "}");
        else
            mcp_world_refuses(&world, -32022, "{\"supported\":" OLD_VERSIONS "}");
        mcp_world_sends(&world, "server/discover", NULL);
        mcp_world_sends(&world, "initialize", NULL);
        mcp_world_finish(&world);
    }
    begin("http://h/mcp");
    mcp_world_answers(&world, "{\"supportedVersions\":[\"2031-01-01\"]}");
    mcp_world_saw(&world, "http http://h/mcp\nversion '2026-07-28' modern\nleft\n"
                          "closed invalid the MCP server k8s speaks versions of the protocol that "
                          "are not known here ([\"2031-01-01\"])\n");
    mcp_world_finish(&world);
}

static void what_is_no_evidence(void **state)
{
    static const struct {
        int loss, status;
        const char *lines;
    } cases[] = {
        {MCP_UNAUTHORIZED, 401, "closed denied Bearer x=y the MCP server k8s *\n"},
        {MCP_REFUSED, 403, "closed denied the MCP server k8s *\n"},
        {MCP_REFUSED, 503, "closed gone the MCP server k8s *\n"},
        {MCP_NOT_SENT, 0, "closed gone the MCP server k8s *\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin("http://h/");
        mcp_world_fails(&world, cases[i].loss, cases[i].status, "{}");
        mcp_world_sends(&world, "server/discover", NULL);
        mcp_world_sends_nothing(&world);
        CLEANUP(mem_cleanup)
        char *lines =
            mem_printf("http http://h/mcp\nversion '2026-07-28' modern\nleft\n%s", cases[i].lines);
        mcp_world_saw(&world, lines);
        mcp_world_finish(&world);
    }
    begin("http://h/mcp");
    mcp_world_pass(&world, 60 * 1000);
    mcp_world_saw(&world, "http http://h/mcp\nversion '2026-07-28' modern\n*\n*\n*\n");
    mcp_world_sends(&world, "server/discover", NULL);
    mcp_world_sends_nothing(&world);
    mcp_world_finish(&world);
}

static void places_of_a_base(void **state)
{
    begin("https://h?key=1");
    for (int i = 0; i < 2; i++) {
        mcp_world_sends(&world, "server/discover", NULL);
        mcp_world_fails(&world, MCP_REFUSED, 404, "<html>");
        mcp_world_sends(&world, "initialize", NULL);
        mcp_world_fails(&world, MCP_REFUSED, 405, "");
    }
    mcp_world_sends(&world, "initialize", NULL);
    mcp_world_fails(&world, MCP_NOT_SENT, 404, NULL);
    mcp_world_saw(&world,
                  "http https://h/mcp?key=1\nversion '2026-07-28' modern\nversion ''\nleft\n"
                  "http https://h?key=1\nversion '2026-07-28' modern\nversion ''\nleft\n"
                  "sse https://h/sse?key=1\nversion ''\nleft\n"
                  "closed invalid the MCP server k8s is not to be found (https://h/mcp: status "
                  "405; https://h: status 405; https://h/sse (HTTP+SSE): status 404); is its `url` "
                  "right?\n");
    mcp_world_finish(&world);
}

static void places_of_sse(void **state)
{
    for (int i = 0; i < 2; i++) {
        mcp_world_init(&world, i ? "http://h/x" : "http://h/sse");
        world.endpoint.way = i ? MCP_WAY_SSE : MCP_WAY_AUTO;
        mcp_world_begin(&world);
        mcp_world_sends(&world, "initialize", NULL);
        mcp_world_pass(&world, MCP_PROBE_MS); // a stream on which nothing comes
        mcp_world_saw(&world, i ? "sse http://h/x\nversion ''\nabandoned 1\nleft\nhttp http://h/x\n"
                                  "version '2026-07-28' modern\n"
                                : "sse http://h/sse\nversion ''\nabandoned 1\nleft\n"
                                  "http http://h/sse\nversion '2026-07-28' modern\n");
        mcp_world_sends(&world, "server/discover", NULL);
        mcp_world_refuses(&world, -32601, NULL);
        mcp_world_sends(&world, "initialize", NULL);
        mcp_world_fails(&world, MCP_REFUSED, 404, NULL);
        mcp_world_saw(&world, i ? "version ''\nleft\nclosed invalid*\n"
                                : "version ''\nleft\nhttp http://h/mcp\n"
                                  "version '2026-07-28' modern\n");
        mcp_world_finish(&world);
    }
}

static void only_the_way_that_was_said(void **state)
{
    mcp_world_init(&world, "http://h/mcp");
    world.endpoint.way = MCP_WAY_HTTP;
    mcp_world_begin(&world);
    mcp_world_fails(&world, MCP_REFUSED, 308, NULL); // a redirect is no word on the era
    mcp_world_saw(&world,
                  "http http://h/mcp\nversion '2026-07-28' modern\nleft\nclosed invalid*\n");
    mcp_world_finish(&world);
}

static void initialize_refused_is_final(void **state)
{
    mcp_world_init(&world, "http://h/mcp");
    world.endpoint.era = MCP_ERA_LEGACY;
    mcp_world_begin(&world);
    mcp_world_refuses(&world, -32000, NULL);
    mcp_world_saw(&world, "http http://h/mcp\nversion ''\nleft\n"
                          "closed error the MCP server k8s refused initialize: no *\n");
    mcp_world_finish(&world);
    mcp_world_init(&world, "http://h/mcp");
    world.endpoint.era = MCP_ERA_LEGACY;
    mcp_world_begin(&world);
    mcp_world_answers(&world, "{\"protocolVersion\":\"1999-01-01\"}");
    mcp_world_saw(&world, "http http://h/mcp\nversion ''\nleft\n"
                          "closed invalid the MCP server k8s speaks a version *\n");
    mcp_world_finish(&world);
}

static void initialized_is_taken_before_anything_follows(void **state)
{
    mcp_world_init(&world, "http://h/mcp");
    world.endpoint.era = MCP_ERA_LEGACY;
    mcp_world_begin(&world);
    mcp_world_answers(&world, LEGACY_RESULT);
    mcp_world_saw(&world, "http http://h/mcp\nversion ''\nversion '2025-06-18'\n");
    assert_int_equal(mcp_world_call(&world, false), 0);
    mcp_world_saw(&world, "no: the MCP server k8s is not ready\n");
    mcp_world_pass(&world, 2000); // nobody said that it was taken
    mcp_world_saw(&world, "listens\nready 2025-06-18\n");
    mcp_world_finish(&world);
    mcp_world_init(&world, "http://h/mcp");
    world.endpoint.era = MCP_ERA_LEGACY;
    world.endpoint.asks = false; // and its tools do not change: there is nothing to listen for
    mcp_world_begin(&world);
    mcp_world_answers(&world, LEGACY_RESULT);
    mcp_world_taken(&world);
    mcp_world_saw(&world,
                  "http http://h/mcp\nversion ''\nversion '2025-06-18'\nready 2025-06-18\n");
    mcp_world_finish(&world);
}

static void it_does_not_wait_for_ever(void **state)
{
    begin("http://h/mcp");
    mcp_world_answers(&world, "[1");
    mcp_world_sends(&world, "server/discover", NULL);
    mcp_world_sends(&world, "initialize", NULL);
    buf_clear(&world.saw);
    mcp_world_pass(&world, 60 * 1000);
    mcp_world_saw(&world, "left\nclosed timed out the MCP server k8s is not ready after 60 s\n");
    mcp_world_finish(&world);
}

static void headers_that_came_later(void **state)
{
    static const char *const owner[] = {"X-Key: 1", NULL}, *const token[] = {"X-Token: 2", NULL};
    mcp_world_init(&world, "http://h/");
    world.endpoint.headers = owner;
    mcp_world_begin(&world);
    mcp_client_set_headers(world.client, token);
    mcp_world_fails(&world, MCP_REFUSED, 404, NULL);
    mcp_world_fails(&world, MCP_REFUSED, 404, NULL);
    mcp_world_saw(&world, "http http://h/mcp X-Key: 1\nversion '2026-07-28' modern\n"
                          "headers X-Token: 2\nversion ''\nleft\nhttp http://h/ X-Token: 2\n"
                          "version '2026-07-28' modern\n");
    mcp_world_finish(&world);
}

static void no_url(void **state)
{
    static const struct mcp_client_events events;
    struct mcp_client *client;
    struct error err = ERROR_INIT;
    mcp_world_init(&world, "ftp://h");
    const struct mcp_env env = {.loop = world.loop, .http = (struct http_client *)&world};
    assert_true(mcp_client_create(&env, &world.endpoint, &events, NULL, &client, &err) < 0);
    assert_non_null(strstr(err.text, "the `url` of the MCP server k8s: "));
    world.endpoint.url = "http://h";
    const struct mcp_env none = {.loop = world.loop};
    assert_true(mcp_client_create(&none, &world.endpoint, &events, NULL, &client, &err) < 0);
    mcp_world_finish(&world);
}

static void destroyed_in_on_ready_and_on_closed(void **state)
{
    begin(NULL);
    world.destroys = true;
    mcp_world_answers(&world, MODERN_RESULT);
    assert_null(world.client);
    mcp_world_finish(&world);
    begin("http://h/mcp");
    world.destroys = true;
    mcp_world_fails(&world, MCP_NOT_SENT, 0, NULL);
    assert_null(world.client);
    mcp_world_finish(&world);
    mcp_world_init(&world, "http://h/mcp");
    world.endpoint.era = MCP_ERA_LEGACY;
    mcp_world_begin(&world);
    world.destroys = true;
    mcp_world_answers(&world, LEGACY_RESULT);
    mcp_world_taken(&world);
    assert_null(world.client);
    mcp_world_finish(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_modern_program),
        cmocka_unit_test(a_legacy_program_answers_anything),
        cmocka_unit_test(a_program_that_exits_or_says_nothing_is_begun_anew),
        cmocka_unit_test(a_probed_program_that_refuses_initialize_is_begun_anew_once),
        cmocka_unit_test(a_program_that_dies_at_once_says_why),
        cmocka_unit_test(configured_eras),
        cmocka_unit_test(another_version_is_asked_for),
        cmocka_unit_test(only_legacy_versions_over_http),
        cmocka_unit_test(what_is_no_evidence),
        cmocka_unit_test(places_of_a_base),
        cmocka_unit_test(places_of_sse),
        cmocka_unit_test(only_the_way_that_was_said),
        cmocka_unit_test(initialize_refused_is_final),
        cmocka_unit_test(initialized_is_taken_before_anything_follows),
        cmocka_unit_test(it_does_not_wait_for_ever),
        cmocka_unit_test(headers_that_came_later),
        cmocka_unit_test(no_url),
        cmocka_unit_test(destroyed_in_on_ready_and_on_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
