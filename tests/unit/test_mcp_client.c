#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "support/mcp_world.h"

static struct mcp_world world;

static void modern(const char *url)
{
    mcp_world_init(&world, url);
    mcp_world_modern(&world, "{\"tools\":{}}");
}

static void legacy(const char *url)
{
    mcp_world_init(&world, url);
    mcp_world_legacy(&world, "{\"tools\":{}}");
}

static void a_call(void **state)
{
    modern("http://h/mcp");
    mcp_world_call(&world, false);
    const char *text = mcp_world_sends(&world, "tools/call", "\"arguments\":{\"x\": 1.50}");
    assert_non_null(strstr(text, "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\""));
    assert_null(strstr(text, "progressToken"));
    assert_string_equal(world.sent[1].name, "work");
    mcp_world_answers(&world, "{\"content\":[ ]}");
    mcp_world_saw(&world, "reply {\"content\":[ ]}\n");
    mcp_world_finish(&world);
    legacy(NULL);
    mcp_world_call(&world, false);
    text = mcp_world_sends(&world, "tools/call", NULL);
    assert_null(strstr(text, "_meta"));
    mcp_world_answers(&world, "{\"resultType\":\"whatever\"}");
    mcp_world_saw(&world, "reply {\"resultType\":\"whatever\"}\n");
    mcp_world_finish(&world);
}

static void a_name_that_no_header_may_hold(void **state)
{
    modern("http://h/mcp");
    const struct mcp_request request = {.method = "prompts/get", .name = "gr\xc3\xbc\xc3\x9f"};
    assert_true(mcp_client_request(world.client, &request, mcp_world_reply, &world, NULL) > 0);
    assert_string_equal(world.sent[1].name, "=?base64?Z3LDvMOf?=");
    mcp_world_finish(&world);
}

static void params_that_are_no_object(void **state)
{
    static const char *const params[] = {"[]", "{", "{}x", "7"};
    modern("http://h/mcp");
    for (size_t i = 0; i < ARRAY_LEN(params); i++) {
        struct error err = ERROR_INIT;
        const struct mcp_request request = {.method = "x", .params = span_of(params[i])};
        assert_int_equal(mcp_client_request(world.client, &request, mcp_world_reply, &world, &err),
                         0);
        assert_non_null(strstr(err.text, "no object of JSON"));
    }
    mcp_world_finish(&world);
}

static void answers_that_are_none(void **state)
{
    static const struct {
        const char *text, *line;
    } cases[] = {
        {"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":7}", "reply invalid perhaps *\n"},
        {"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"resultType\":\"task\"}}",
         "reply invalid perhaps the MCP server k8s answered tools/call with a result that is "
         "unknown here (\"task\")\n"},
        {"<html>", "reply invalid perhaps *\n"},
        {"[]", "reply invalid perhaps *\n"},
        {"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32602,\"message\":\"bad\"}}",
         "reply error the MCP server k8s refused tools/call: bad (-32602)\n"},
        {"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":0,\"message\":\"\"}}",
         "reply error perhaps the MCP server k8s refused tools/call:  (0)\n"},
        {"{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32603}}",
         "reply error perhaps the MCP server k8s refused tools/call:  (-32603)\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        modern("http://h/mcp");
        mcp_world_call(&world, false);
        mcp_world_says(&world, cases[i].text, 2);
        mcp_world_saw(&world, cases[i].line);
        mcp_world_finish(&world);
    }
}

static void what_nobody_waits_for(void **state)
{
    modern("http://h/mcp");
    mcp_world_call(&world, false);
    mcp_world_answers(&world, "{\"a\":1}");
    mcp_world_saw(&world, "reply {\"a\":1}\n");
    mcp_world_answers(&world, "{\"a\":2}"); // twice
    mcp_world_says(&world, "{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":{}}", 0);
    mcp_world_says(&world, "{\"jsonrpc\":\"2.0\",\"id\":\"2\",\"result\":{}}", 0);
    mcp_world_says(&world, "Debugger attached.", 0);
    mcp_world_says(&world, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1}}", 0);
    mcp_world_fails(&world, MCP_CUT, 0, NULL);
    mcp_world_saw(&world, "");
    mcp_world_finish(&world);
}

static void time_is_up(void **state)
{
    static const char told[] = "reply timed out perhaps the MCP server k8s has not answered "
                               "tools/call within 1 s; its `timeout` can be raised\n";
    modern("http://h/mcp");
    mcp_world_call(&world, false);
    mcp_world_pass(&world, 999);
    mcp_world_saw(&world, "");
    mcp_world_pass(&world, 1);
    CLEANUP(mem_cleanup) char *lines = mem_printf("abandoned 2\n%s", told);
    mcp_world_saw(&world, lines);
    mcp_world_sends(&world, "tools/call", NULL);
    mcp_world_sends_nothing(&world); // over modern HTTP the end of the stream says it
    mcp_world_answers(&world, "{}");
    mcp_world_saw(&world, "");
    mcp_world_finish(&world);
    legacy(NULL);
    mcp_world_call(&world, false);
    mcp_world_pass(&world, 1000);
    mcp_world_sends(&world, "tools/call", NULL);
    mcp_world_sends(&world, "notifications/cancelled", "{\"requestId\":2}");
    mcp_world_finish(&world);
}

static void on_progress(void *context, struct json_value params)
{
    mcp_world_reply(context, &(struct mcp_reply){.result = params});
}

static void progress_gives_time_but_not_for_ever(void **state)
{
    legacy("http://h/mcp");
    const struct mcp_request request = {.method = "tools/call", .on_progress = on_progress};
    assert_true(mcp_client_request(world.client, &request, mcp_world_reply, &world, NULL) > 0);
    mcp_world_sends(&world, "tools/call", "\"_meta\":{\"progressToken\":2}");
    for (int i = 0; i < 11; i++) {
        mcp_world_pass(&world, 900);
        mcp_world_says(&world,
                       "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\","
                       "\"params\":{\"progressToken\":2,\"progress\":1}}",
                       2);
        mcp_world_saw(&world, "reply {\"progressToken\":2,\"progress\":1}\n");
    }
    mcp_world_pass(&world, 100); // ten times a second
    mcp_world_saw(&world, "abandoned 2\nreply timed out*\n");
    mcp_world_says(&world,
                   "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\","
                   "\"params\":{\"progressToken\":2,\"progress\":1}}",
                   0);
    mcp_world_saw(&world, "");
    mcp_world_finish(&world);
}

static void cancelled(void **state)
{
    legacy("http://h/mcp");
    mcp_request_id id = mcp_world_call(&world, false);
    mcp_world_sends(&world, "tools/call", NULL);
    assert_true(mcp_client_cancel(world.client, id));
    assert_false(mcp_client_cancel(world.client, id));
    mcp_world_sends(&world, "notifications/cancelled", "{\"requestId\":2}");
    mcp_world_answers(&world, "{}");
    mcp_world_saw(&world, "abandoned 2\n");
    mcp_world_finish(&world);
}

static void refusals_of_http(void **state)
{
    static const struct {
        int loss, status;
        const char *body, *line;
    } cases[] = {
        {MCP_REFUSED, 404,
         "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32601,\"message\":\"no such\"}}",
         "reply error the MCP server k8s refused tools/call: no such (-32601)\n"},
        {MCP_REFUSED, 400, "Bad Request", "reply invalid the MCP server k8s *\n"},
        {MCP_REFUSED, 502, "<html>", "reply gone perhaps the MCP server k8s *\n"},
        {MCP_REFUSED, 403, NULL, "reply denied the MCP server k8s *\n"},
        {MCP_UNAUTHORIZED, 401, NULL, "reply denied Bearer x=y the MCP server k8s *\n"},
        {MCP_CUT, 0, NULL, "reply gone perhaps the MCP server k8s is gone: the wire, status 0\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        modern("http://h/mcp");
        mcp_world_call(&world, false);
        mcp_world_fails(&world, cases[i].loss, cases[i].status, cases[i].body);
        mcp_world_saw(&world, cases[i].line);
        mcp_world_finish(&world);
    }
}

static void sent_again_where_nothing_can_happen_twice(void **state)
{
    for (int i = 0; i < 2; i++) {
        modern("http://h/mcp");
        mcp_world_call(&world, i == 0);
        mcp_world_sends(&world, "tools/call", "\"id\":2,");
        mcp_world_fails(&world, i == 0 ? MCP_CUT : MCP_NOT_SENT, 0, NULL);
        mcp_world_sends_nothing(&world);
        mcp_world_pass(&world, 500);
        mcp_world_sends(&world, "tools/call", "\"id\":3,");
        mcp_world_fails(&world, MCP_CUT, 0, NULL); // but once
        mcp_world_saw(&world, "reply gone perhaps *\n");
        mcp_world_finish(&world);
    }
    legacy(NULL); // nothing comes back to a program that has ended
    mcp_world_call(&world, true);
    mcp_world_fails(&world, MCP_CUT, 0, NULL);
    mcp_world_saw(&world, "reply gone perhaps *\n");
    mcp_world_finish(&world);
}

static void the_session_is_gone(void **state)
{
    legacy("http://h/mcp");
    mcp_world_call(&world, false);
    mcp_world_call(&world, false);
    mcp_world_sends(&world, "tools/call", "\"id\":2,");
    mcp_world_sends(&world, "tools/call", "\"id\":3,");
    mcp_world_fails(&world, MCP_SESSION_GONE, 404, "session not found"); // of 3
    mcp_world_sends(&world, "initialize", "\"id\":4,");
    mcp_request_id waiting = mcp_world_call(&world, false); // waits as well
    mcp_request_id unwanted = mcp_world_call(&world, false);
    assert_true(waiting);
    assert_false(mcp_client_cancel(world.client, unwanted));
    mcp_world_sends_nothing(&world);
    mcp_world_answers(&world, "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{}}");
    mcp_world_sends(&world, "notifications/initialized", NULL);
    mcp_world_sends_nothing(&world);
    mcp_world_taken(&world);
    mcp_world_sends(&world, "tools/call", NULL);
    mcp_world_sends(&world, "tools/call", NULL);
    mcp_world_sends_nothing(&world);
    mcp_world_saw(&world, "version ''\nversion '2025-06-18'\nlistens\n"
                          "notified notifications/tools/list_changed \n");
    mcp_world_answers(&world, "{}");
    mcp_world_saw(&world, "reply {}\n");
    mcp_world_finish(&world);
}

static void the_session_is_gone_again(void **state)
{
    legacy("http://h/mcp");
    mcp_world_call(&world, false);
    for (int i = 0; i < 2; i++) {
        mcp_world_sends(&world, "tools/call", NULL);
        mcp_world_fails(&world, MCP_SESSION_GONE, 404, NULL);
        if (i)
            break;
        mcp_world_sends(&world, "initialize", NULL);
        mcp_world_answers(&world, "{\"protocolVersion\":\"2025-06-18\"}");
        mcp_world_sends(&world, "notifications/initialized", NULL);
        mcp_world_taken(&world);
        buf_clear(&world.saw);
    }
    mcp_world_saw(&world, "reply gone the MCP server k8s *\n");
    mcp_world_call(&world, false);
    mcp_world_sends(&world, "tools/call", NULL);
    mcp_world_fails(&world, MCP_SESSION_GONE, 404, NULL);
    mcp_world_sends(&world, "initialize", NULL);
    mcp_world_fails(&world, MCP_REFUSED, 503, NULL);
    mcp_world_saw(&world, "version ''\nleft\nreply gone the MCP *\nclosed gone the MCP *\n");
    mcp_world_call(&world, false);
    mcp_world_saw(&world, "no: the MCP server k8s is not ready\n");
    mcp_world_finish(&world);
}

// A server that was restarted: the connection breaks, and then it does not know the session.
static void cut_and_then_the_session_is_gone(void **state)
{
    legacy("http://h/mcp");
    mcp_world_call(&world, true);
    mcp_world_sends(&world, "tools/call", NULL);
    mcp_world_fails(&world, MCP_CUT, 0, NULL);
    mcp_world_pass(&world, 500);
    mcp_world_sends(&world, "tools/call", NULL);
    mcp_world_fails(&world, MCP_SESSION_GONE, 404, NULL);
    mcp_world_sends(&world, "initialize", NULL);
    mcp_world_answers(&world, "{\"protocolVersion\":\"2025-06-18\"}");
    mcp_world_sends(&world, "notifications/initialized", NULL);
    mcp_world_taken(&world);
    mcp_world_sends(&world, "tools/call", NULL);
    buf_clear(&world.saw);
    mcp_world_answers(&world, "{}");
    mcp_world_saw(&world, "reply {}\n");
    mcp_world_finish(&world);
}

// What waits to go out again, and the end of the connection, at the same instant.
static void nothing_is_sent_behind_the_end(void **state)
{
    legacy("http://h/mcp");
    const struct mcp_request request = {
        .method = "x", .timeout_ms = 100 * 1000, .repeatable = true};
    assert_true(mcp_client_request(world.client, &request, mcp_world_reply, &world, NULL) > 0);
    uint64_t first = mcp_world_last(&world);
    mcp_world_call(&world, false);
    mcp_world_fails(&world, MCP_SESSION_GONE, 404, NULL);
    mcp_world_pass(&world, 59500);
    mcp_world_fails_of(&world, first, MCP_CUT);
    buf_clear(&world.saw);
    mcp_world_pass(&world, 500);
    mcp_world_saw(&world, "abandoned 4\nleft\nreply timed out *\nclosed timed out *\n");
    mcp_world_finish(&world);
}

static void it_cannot_be_sent_again(void **state)
{
    modern("http://h/mcp");
    mcp_world_call(&world, true);
    mcp_world_fails(&world, MCP_CUT, 0, NULL);
    world.refusals = 1;
    mcp_world_pass(&world, 500);
    mcp_world_pass(&world, 0);
    mcp_world_saw(&world, "reply gone the MCP server k8s could not be asked again\n");
    world.refusals = 1;
    mcp_world_call(&world, true);
    mcp_world_saw(&world, "no: the pipe is stuffed\n");
    mcp_world_finish(&world);
}

static void the_program_ends(void **state)
{
    legacy(NULL);
    mcp_world_call(&world, false);
    mcp_world_call(&world, false);
    world.notes = "panic: nil";
    mcp_world_ends(&world);
    mcp_world_saw(&world, "left\n"
                          "reply gone perhaps the MCP server k8s is gone: it has ended; it wrote: "
                          "panic: nil\n"
                          "reply gone perhaps *\n"
                          "closed gone the MCP server k8s is gone: it has ended; it wrote: panic: "
                          "nil\n");
    mcp_world_finish(&world);
    for (int told = 0; told < 2; told++) { // destroyed in the reply, or in the first of two
        legacy(NULL);
        mcp_world_call(&world, false);
        mcp_world_call(&world, false);
        world.destroys = true;
        mcp_world_ends(&world);
        assert_null(world.client);
        mcp_world_saw(&world, "left\nreply gone perhaps *\n");
        mcp_world_finish(&world);
    }
}

static void what_a_legacy_server_asks(void **state)
{
    legacy(NULL);
    mcp_world_says(&world, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"}", 0);
    mcp_world_sends(&world, "", "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}");
    mcp_world_says(&world, "{\"jsonrpc\":\"2.0\",\"id\":\"r-1\",\"method\":\"roots/list\"}", 0);
    mcp_world_sends(&world, "", "\"id\":\"r-1\",\"error\":{\"code\":-32601,");
    mcp_world_says(&world,
                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sampling/createMessage\",\"params\":"
                   "{}}",
                   0);
    mcp_world_sends(&world, "", "-32601");
    for (int i = 0; i < 200; i++)
        mcp_world_says(&world, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", 0);
    assert_true(world.sent_count < 70); // not one for each of a flood
    mcp_world_pass(&world, 1000);
    size_t before = world.sent_count;
    mcp_world_says(&world, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", 0);
    assert_int_equal(world.sent_count, before + 1);
    mcp_world_finish(&world);
    modern(NULL);
    mcp_world_says(&world, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"}", 0);
    assert_int_equal(world.sent_count, 1);
    mcp_world_finish(&world);
}

static void notifications(void **state)
{
    legacy(NULL);
    mcp_world_says(&world,
                   "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}", 0);
    mcp_world_says(&world, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\\u0000y\"}", 0);
    mcp_world_says(&world, "{\"method\":\"notifications/tools/list_changed\",\"jsonrpc\":\"2.0\"}",
                   0);
    mcp_world_saw(&world, "notified notifications/tools/list_changed \n");
    world.destroys = true;
    mcp_world_says(&world, "{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"params\":{\"b\":1}}", 0);
    assert_null(world.client);
    mcp_world_finish(&world);
}

static void list(void)
{
    assert_true(mcp_client_list(world.client, "tools/list", mcp_world_page, &world, NULL) > 0);
    mcp_world_sends(&world, "tools/list", NULL);
}

static void pages(void **state)
{
    modern("http://h/mcp");
    list();
    mcp_world_answers(&world, "{\"tools\":[1],\"nextCursor\":\"\"}"); // is one
    mcp_world_sends(&world, "tools/list", "\"cursor\":\"\"");
    mcp_world_answers(&world, "{\"tools\":[2],\"nextCursor\":\"a\\u0041\"}");
    mcp_world_sends(&world, "tools/list", "\"cursor\":\"a\\u0041\"");
    mcp_world_answers(&world, "{\"tools\":[3],\"nextCursor\":null}");
    mcp_world_saw(&world, "page {\"tools\":[1],\"nextCursor\":\"\"}\n"
                          "page {\"tools\":[2],\"nextCursor\":\"a\\u0041\"}\n"
                          "last {\"tools\":[3],\"nextCursor\":null}\n");
    list();
    mcp_world_refuses(&world, -32601, NULL);
    mcp_world_saw(&world, "last error *\n");
    mcp_world_finish(&world);
}

static void pages_without_end(void **state)
{
    modern("http://h/mcp");
    list();
    mcp_world_answers(&world, "{\"nextCursor\":\"a\"}");
    mcp_world_answers(&world, "{\"nextCursor\":\"b\"}");
    mcp_world_answers(&world, "{\"nextCursor\":\"a\"}");
    mcp_world_saw(&world, "page *\npage *\nlast invalid the MCP server k8s never comes *\n");
    list();
    for (int i = 0; i < MCP_PAGES_MAX; i++) {
        CLEANUP(mem_cleanup) char *page = mem_printf("{\"nextCursor\":\"%d\"}", i);
        mcp_world_answers(&world, page);
    }
    assert_non_null(strstr(buf_text(&world.saw), "\nlast invalid"));
    mcp_world_finish(&world);
}

static void a_list_that_is_not_wanted_any_more(void **state)
{
    modern("http://h/mcp");
    list();
    world.destroys = true;
    mcp_world_answers(&world, "{\"nextCursor\":\"a\"}");
    assert_null(world.client);
    mcp_world_finish(&world);
    modern("http://h/mcp");
    mcp_request_id id = mcp_client_list(world.client, "tools/list", mcp_world_page, &world, NULL);
    mcp_world_answers(&world, "{\"nextCursor\":\"a\"}");
    assert_true(mcp_client_cancel(world.client, id)); // by the same id, whichever page
    mcp_world_answers(&world, "{}");
    mcp_world_saw(&world, "page *\nabandoned 3\n");
    mcp_world_finish(&world);
}

static void listens(void **state)
{
    mcp_world_init(&world, "http://h/mcp");
    mcp_world_begin(&world);
    mcp_world_sends(&world, "server/discover", NULL);
    mcp_world_answers(&world, "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":"
                              "{\"listChanged\":true}}}");
    static const char acknowledged[] = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
                                       "subscriptions/acknowledged\",\"params\":{}}";
    mcp_world_sends(&world, "subscriptions/listen",
                    "\"notifications\":{\"toolsListChanged\":true}");
    buf_clear(&world.saw);
    mcp_world_says(&world, acknowledged, 2);
    mcp_world_pass(&world, 3600 * 1000); // no time is too long
    mcp_world_saw(&world, "");
    mcp_world_fails(&world, MCP_CUT, 0, NULL);
    mcp_world_sends_nothing(&world);
    mcp_world_pass(&world, 1250);
    mcp_world_sends(&world, "subscriptions/listen", "\"id\":3,");
    mcp_world_says(&world, acknowledged, 3);
    mcp_world_saw(&world, "notified notifications/tools/list_changed \n");
    for (int ms = 2000; ms <= 64 * 1000; ms *= 2) { // it ends at once, again and again
        mcp_world_answers(&world, "{}");
        mcp_world_pass(&world, ms - 1);
        mcp_world_sends_nothing(&world);
        mcp_world_pass(&world, 1 + ms / 4);
        mcp_world_sends(&world, "subscriptions/listen", NULL);
    }
    mcp_world_fails(&world, MCP_REFUSED, 404, NULL);
    mcp_world_pass(&world, 3600 * 1000);
    mcp_world_sends_nothing(&world);
    mcp_world_saw(&world, "");
    mcp_world_finish(&world);
}

static void a_program_ends_its_subscription(void **state)
{
    mcp_world_init(&world, NULL);
    mcp_world_modern(&world, "{\"tools\":{\"listChanged\":true}}");
    mcp_world_says(&world,
                   "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
                   "{\"requestId\":2}}",
                   0);
    mcp_world_pass(&world, 1250);
    mcp_world_sends(&world, "subscriptions/listen", "\"id\":3,");
    mcp_world_finish(&world);
    mcp_world_init(&world, "http://h/mcp");
    world.endpoint.era = MCP_ERA_LEGACY;
    mcp_world_begin(&world);
    mcp_world_answers(&world, "{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{\"tools\":"
                              "{\"listChanged\":true}}}");
    buf_clear(&world.saw);
    mcp_world_taken(&world);
    mcp_world_saw(&world, "listens\nready 2025-03-26\n");
    mcp_world_finish(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call),
        cmocka_unit_test(a_name_that_no_header_may_hold),
        cmocka_unit_test(params_that_are_no_object),
        cmocka_unit_test(answers_that_are_none),
        cmocka_unit_test(what_nobody_waits_for),
        cmocka_unit_test(time_is_up),
        cmocka_unit_test(progress_gives_time_but_not_for_ever),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(refusals_of_http),
        cmocka_unit_test(sent_again_where_nothing_can_happen_twice),
        cmocka_unit_test(the_session_is_gone),
        cmocka_unit_test(the_session_is_gone_again),
        cmocka_unit_test(cut_and_then_the_session_is_gone),
        cmocka_unit_test(nothing_is_sent_behind_the_end),
        cmocka_unit_test(it_cannot_be_sent_again),
        cmocka_unit_test(the_program_ends),
        cmocka_unit_test(what_a_legacy_server_asks),
        cmocka_unit_test(notifications),
        cmocka_unit_test(pages),
        cmocka_unit_test(pages_without_end),
        cmocka_unit_test(a_list_that_is_not_wanted_any_more),
        cmocka_unit_test(listens),
        cmocka_unit_test(a_program_ends_its_subscription),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
