#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "support/mcp_world.h"

#define ASK(key) \
    "\"" key "\":{\"method\":\"elicitation/create\",\"params\":{\"message\":\"" key "?\"}}"
#define FOUR(key) ASK(key "a") "," ASK(key "b") "," ASK(key "c") "," ASK(key "d")

static struct mcp_world world;

static void begin(bool modern, const char *url)
{
    mcp_world_init(&world, url);
    if (modern)
        mcp_world_modern(&world, "{\"tools\":{}}");
    else
        mcp_world_legacy(&world, "{\"tools\":{}}");
    mcp_world_call(&world, false);
    mcp_world_sends(&world, "tools/call", NULL);
}

static void answer(const char *action, const char *content)
{
    mcp_client_answer(world.client, world.question, action, span_of(content));
    mcp_world_pass(&world, 0);
}

static void a_round(void **state)
{
    begin(true, "http://h/mcp");
    mcp_world_answers(&world, "{\"resultType\":\"input_required\",\"inputRequests\":{" ASK(
                                  "a") "," ASK("b") "},\"requestState\":\"v1.\\u0041\\/== \"}");
    mcp_world_saw(&world, "asked {\"message\":\"a?\"}\nasked {\"message\":\"b?\"}\n");
    uint64_t second = world.question;
    mcp_client_answer(world.client, second - 1, "accept", SPAN_LITERAL("{\"n\": 1}"));
    mcp_client_answer(world.client, second - 1, "accept", SPAN_LITERAL("{\"n\": 2}")); // stale
    mcp_world_sends_nothing(&world);
    answer("decline", NULL);
    const char *text = mcp_world_sends(&world, "tools/call", "\"arguments\":{\"x\": 1.50}");
    assert_non_null(strstr(text, "\"requestState\":\"v1.\\u0041\\/== \""));
    assert_non_null(strstr(text, "\"inputResponses\":{\"a\":{\"action\":\"accept\",\"content\":"
                                 "{\"n\": 1}},\"b\":{\"action\":\"decline\"}}"));
    assert_null(strstr(text, "\"id\":2,"));
    mcp_world_call(&world, false); // nothing of it in another
    text = mcp_world_sends(&world, "tools/call", NULL);
    assert_null(strstr(text, "requestState"));
    assert_null(strstr(text, "inputResponses"));
    mcp_world_finish(&world);
}

static void a_second_round_without_state(void **state)
{
    begin(true, "http://h/mcp");
    mcp_world_answers(&world, "{\"resultType\":\"input_required\",\"inputRequests\":{" ASK(
                                  "a") "},\"requestState\":\"s\"}");
    answer("accept", "{}");
    mcp_world_sends(&world, "tools/call", "\"requestState\":\"s\"");
    mcp_world_answers(&world,
                      "{\"resultType\":\"input_required\",\"inputRequests\":{" ASK("b") "}}");
    answer("accept", "{}");
    const char *text = mcp_world_sends(&world, "tools/call", "\"inputResponses\":{\"b\":");
    assert_null(strstr(text, "requestState"));
    assert_null(strstr(text, "\"a\":"));
    mcp_world_answers(&world, "{\"resultType\":\"complete\"}");
    mcp_world_saw(&world, "asked *\nasked *\nreply {\"resultType\":\"complete\"}\n");
    mcp_world_finish(&world);
}

static void state_alone(void **state)
{
    begin(true, "http://h/mcp");
    for (int i = 0; i < MCP_ROUNDS_MAX; i++) {
        mcp_world_answers(&world, "{\"resultType\":\"input_required\",\"requestState\":\"s\"}");
        mcp_world_sends_nothing(&world);
        mcp_world_pass(&world, 500 << i);
        if (buf_text(&world.saw)[0])
            break; // its time was up
        mcp_world_sends(&world, "tools/call", "\"requestState\":\"s\"");
    }
    mcp_world_saw(&world, "reply timed out*\n");
    mcp_world_finish(&world);
}

static void too_many_rounds(void **state)
{
    begin(true, "http://h/mcp");
    for (int i = 0; i < MCP_ROUNDS_MAX; i++) {
        mcp_world_answers(&world,
                          "{\"resultType\":\"input_required\",\"inputRequests\":{" ASK("a") "}}");
        answer("accept", "{}");
        mcp_world_sends(&world, "tools/call", NULL);
    }
    buf_clear(&world.saw);
    mcp_world_answers(&world,
                      "{\"resultType\":\"input_required\",\"inputRequests\":{" ASK("a") "}}");
    mcp_world_saw(&world, "reply invalid perhaps *\n");
    mcp_world_finish(&world);
}

static void rounds_that_cannot_be(void **state)
{
    static const char *const results[] = {
        "{\"resultType\":\"input_required\"}",
        "{\"resultType\":\"input_required\",\"requestState\":7,\"inputRequests\":[]}",
        "{\"resultType\":\"input_required\",\"inputRequests\":{\"a\":{\"method\":\"roots/list\"}}}",
        "{\"resultType\":\"input_required\",\"inputRequests\":{" ASK("a") ",\"b\":7}}",
        "{\"resultType\":\"input_required\",\"inputRequests\":{\"a\":{\"method\":"
        "\"elicitation/create\"}}}",
        "{\"resultType\":\"input_required\",\"inputRequests\":{" FOUR("1") "," FOUR("2") "," FOUR(
            "3") "," FOUR("4") "," ASK("5") "}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(results); i++) {
        begin(true, "http://h/mcp");
        mcp_world_answers(&world, results[i]);
        mcp_world_saw(&world, "reply invalid perhaps *\n");
        mcp_world_sends_nothing(&world);
        mcp_world_finish(&world);
    }
    mcp_world_init(&world, "http://h/mcp");
    world.endpoint.asks = false;
    mcp_world_modern(&world, "{}");
    mcp_world_call(&world, false);
    assert_null(strstr(mcp_world_sends(&world, "tools/call", NULL), "elicitation"));
    mcp_world_answers(&world,
                      "{\"resultType\":\"input_required\",\"inputRequests\":{" ASK("a") "}}");
    mcp_world_saw(&world, "reply invalid perhaps the MCP server k8s needs more before it has a "
                          "result of tools/call, and nobody can be asked here\n");
    assert_true(mcp_client_list(world.client, "tools/list", mcp_world_page, &world, NULL) > 0);
    mcp_world_answers(&world, "{\"resultType\":\"input_required\",\"requestState\":\"s\"}");
    mcp_world_saw(&world, "last invalid*\n");
    mcp_world_finish(&world);
}

static void people_take_their_time(void **state)
{
    for (int modern = 0; modern < 2; modern++) {
        begin(modern, "http://h/mcp");
        if (modern)
            mcp_world_answers(
                &world, "{\"resultType\":\"input_required\",\"inputRequests\":{" ASK("a") "}}");
        else
            mcp_world_says(&world,
                           "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"elicitation/create\","
                           "\"params\":{\"message\":\"a?\"}}",
                           2);
        for (int i = 0; i < 100; i++)
            mcp_world_pass(&world, 900);
        mcp_world_saw(&world, "asked {\"message\":\"a?\"}\n");
        answer("cancel", NULL);
        if (modern)
            mcp_world_sends(&world, "tools/call", "{\"a\":{\"action\":\"cancel\"}}");
        else
            mcp_world_sends(&world, "",
                            "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"action\":\"cancel\"}}");
        mcp_world_pass(&world, 1000);
        mcp_world_saw(&world, modern ? "abandoned *\nreply timed out *\n"
                                     : "abandoned 2\nreply timed out *\n");
        mcp_world_finish(&world);
    }
}

static void asked(const char *id, uint64_t request)
{
    CLEANUP(mem_cleanup)
    char *text = mem_printf(
        "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"elicitation/create\",\"params\":{}}", id);
    mcp_world_says(&world, text, request);
}

static void a_legacy_server_asks(void **state)
{
    begin(false, NULL);
    asked("\"q\"", 0);
    mcp_world_saw(&world, "asked by nobody knows which {}\n");
    answer("accept", "{\"name\":\"\xc3\xbc\"}");
    mcp_world_sends(&world, "",
                    "\"id\":\"q\",\"result\":{\"action\":\"accept\",\"content\":"
                    "{\"name\":\"\xc3\xbc\"}}");
    asked("7", 0);
    mcp_world_says(&world,
                   "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
                   "{\"requestId\":7}}",
                   0);
    mcp_world_saw(&world, "asked *\nnot asked any more\n");
    answer("accept", "{}");
    mcp_world_sends_nothing(&world);
    for (int i = 0; i < 17; i++)
        asked("8", 0);
    mcp_world_sends(&world, "", "-32602");
    mcp_world_finish(&world);
}

static void nobody_to_ask(void **state)
{
    mcp_world_init(&world, NULL);
    world.endpoint.asks = false;
    mcp_world_legacy(&world, "{}");
    asked("1", 0);
    mcp_world_sends(&world, "", "-32601");
    mcp_world_finish(&world);
}

static void a_question_ends_with_its_call(void **state)
{
    begin(false, "http://h/mcp");
    asked("1", 2);
    mcp_world_answers(&world, "{}");
    mcp_world_saw(&world, "asked {}\nreply {}\nnot asked any more\n");
    mcp_request_id id = mcp_world_call(&world, false);
    asked("2", id);
    mcp_client_cancel(world.client, id);
    mcp_world_saw(&world, "asked {}\nabandoned *\n");
    mcp_world_pass(&world, 0);
    mcp_world_saw(&world, "not asked any more\n");
    mcp_world_finish(&world);
    begin(false, NULL);
    asked("1", 0);
    mcp_world_ends(&world);
    mcp_world_saw(&world, "asked *\nleft\nnot asked any more\nreply gone *\nclosed gone *\n");
    answer("accept", "{}");
    mcp_world_finish(&world);
}

static void destroyed_by_a_question(void **state)
{
    begin(false, NULL);
    world.destroys = true;
    asked("1", 0);
    assert_null(world.client);
    mcp_world_finish(&world);
    begin(false, NULL);
    asked("1", 0);
    world.destroys = true;
    mcp_world_ends(&world);
    mcp_world_saw(&world, "asked *\nleft\nnot asked any more\n");
    mcp_world_finish(&world);
}

static void pages_to_visit_first(void **state)
{
    static const char data[] = "{\"elicitations\":[{\"mode\":\"url\",\"url\":\"https://a/b\"}]}";
    begin(false, "http://h/mcp");
    mcp_world_refuses(&world, -32042, data);
    mcp_world_saw(&world, "asked {\"mode\":\"url\",\"url\":\"https://a/b\"}\n");
    answer("accept", NULL);
    const char *text = mcp_world_sends(&world, "tools/call", NULL);
    assert_null(strstr(text, "inputResponses"));
    mcp_world_refuses(&world, -32042, data);
    answer("decline", NULL);
    mcp_world_saw(&world,
                  "asked *\nreply error the MCP server k8s needs a page to be opened first, "
                  "which was declined\n");
    mcp_world_finish(&world);
    begin(false, "http://h/mcp");
    mcp_world_refuses(&world, -32042, "{\"elicitations\":[7]}");
    mcp_world_saw(&world, "reply error the MCP server k8s refused tools/call: no (-32042)\n");
    mcp_world_finish(&world);
}

static void another_version_in_the_middle(void **state)
{
    begin(true, "http://h/mcp");
    mcp_world_refuses(&world, -32022, "{\"supported\":[\"2026-07-28\"]}");
    mcp_world_sends(&world, "tools/call", "\"id\":3,");
    mcp_world_refuses(&world, -32022, "{\"supported\":[\"2026-07-28\"]}");
    mcp_world_saw(&world, "reply error the MCP server k8s refused tools/call: no (-32022)\n");
    mcp_world_finish(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round),
        cmocka_unit_test(a_second_round_without_state),
        cmocka_unit_test(state_alone),
        cmocka_unit_test(too_many_rounds),
        cmocka_unit_test(rounds_that_cannot_be),
        cmocka_unit_test(people_take_their_time),
        cmocka_unit_test(a_legacy_server_asks),
        cmocka_unit_test(nobody_to_ask),
        cmocka_unit_test(a_question_ends_with_its_call),
        cmocka_unit_test(destroyed_by_a_question),
        cmocka_unit_test(pages_to_visit_first),
        cmocka_unit_test(another_version_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
