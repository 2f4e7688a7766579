#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "mcp/rpc.h"

static void reads(const char *text, int kind, const char *id)
{
    JSON_AUTO doc = JSON_INIT;
    struct rpc_message message;
    struct error err = ERROR_INIT;
    if (json_parse(&doc, span_of(text), &err) < 0 || rpc_read(&doc, &message, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    struct span raw = json_raw(message.id);
    if ((int)message.kind != kind || raw.len != strlen(id) || (*id && !span_is(raw, id)))
        fail_msg("%s: kind %d, id %.*s", text, message.kind, (int)raw.len, raw.data);
}

static void every_kind_in_every_order(void **state)
{
    (void)state;
    reads("{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"}", RPC_REQUEST, "0");
    reads("{\"method\":\"roots/list\",\"id\":\"a\",\"jsonrpc\":\"2.0\"}", RPC_REQUEST, "\"a\"");
    reads("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}", RPC_NOTIFICATION, "");
    reads("{\"result\":{},\"jsonrpc\":\"2.0\",\"id\":7}", RPC_RESULT, "7");
    reads("{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":0,\"message\":\"no\"}}", RPC_ERROR,
          "7");
    reads("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700}}", RPC_ERROR, "");
    reads("{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32000,\"message\":\"x\"}}", RPC_ERROR, "");
}

static void what_is_no_message_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "[]",
        "{}",
        "{\"jsonrpc\":\"1.0\",\"id\":1,\"result\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1}",
        "{\"jsonrpc\":\"2.0\",\"result\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1.5,\"result\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"x\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":\"x\"}}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":\"bad\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        JSON_AUTO doc = JSON_INIT;
        struct rpc_message message;
        assert_int_equal(json_parse(&doc, span_of(texts[i]), NULL), 0);
        if (rpc_read(&doc, &message, NULL) != -EBADMSG)
            fail_msg("%s was taken", texts[i]);
    }
}

static bool is_ours(const char *text, uint64_t *ret_id)
{
    JSON_AUTO doc = JSON_INIT;
    struct rpc_message message;
    assert_int_equal(json_parse(&doc, span_of(text), NULL), 0);
    assert_int_equal(rpc_read(&doc, &message, NULL), 0);
    return rpc_is_ours(&message, ret_id);
}

static void answers_to_us_have_our_numbers(void **state)
{
    (void)state;
    uint64_t id = 0;
    assert_true(is_ours("{\"jsonrpc\":\"2.0\",\"id\":12,\"result\":{}}", &id));
    assert_int_equal(id, 12);
    assert_false(is_ours("{\"jsonrpc\":\"2.0\",\"id\":12,\"method\":\"ping\"}", &id));
    assert_false(is_ours("{\"jsonrpc\":\"2.0\",\"id\":\"12\",\"result\":{}}", &id));
    assert_false(is_ours("{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}", &id));
    assert_false(is_ours("{\"jsonrpc\":\"2.0\",\"id\":-1,\"result\":{}}", &id));
}

static void messages_are_one_line(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(1024);
    assert_true(rpc_write_request(&out, 3, "tools/call",
                                  SPAN_LITERAL("{\"n\":12345678901234567890,\"e\":1e15}")));
    assert_string_equal(buf_text(&out), "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/call\","
                                        "\"params\":{\"n\":12345678901234567890,\"e\":1e15}}");
    buf_clear(&out);
    assert_true(rpc_write_notification(&out, "notifications/initialized", SPAN_ABSENT));
    assert_string_equal(buf_text(&out),
                        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    buf_clear(&out);
    assert_true(rpc_write_result(&out, SPAN_LITERAL("\"a\""), SPAN_LITERAL("{}")));
    assert_string_equal(buf_text(&out), "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{}}");
    buf_clear(&out);
    assert_true(rpc_write_error(&out, SPAN_ABSENT, RPC_PARSE_ERROR, "a\nb", SPAN_ABSENT));
    assert_string_equal(buf_text(&out), "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":"
                                        "-32700,\"message\":\"a\\nb\"}}");
}

static void what_does_not_fit_is_not_written(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(16);
    assert_false(rpc_write_request(&out, 3, "tools/call", SPAN_ABSENT));
    assert_true(buf_is_full(&out));
    assert_int_equal(out.len, 0);
}

static void peeks(const char *text, bool is_message, uint64_t answered)
{
    uint64_t id = 99;
    if (rpc_peek(span_of(text), &id) != is_message || id != answered)
        fail_msg("%s: %d", text, (int)id);
}

static void what_carriers_want_to_know(void **state)
{
    peeks("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}", true, 7);
    peeks(" {\"jsonrpc\":\"2.0\",\"id\":8,\"error\":{\"code\":1}} ", true, 8);
    peeks("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}", true, 0);
    peeks("{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"result\":{}}", true, 0);
    peeks("[{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}]", true, 0);
    peeks("{}", true, 0);
    peeks("7", false, 0);
    peeks("null", false, 0);
    peeks("", false, 0);
    peeks("[dotenv@17] injecting", false, 0);
    peeks("{\"a\":\"\x01\"}", false, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_in_every_order),
        cmocka_unit_test(what_is_no_message_is_refused),
        cmocka_unit_test(answers_to_us_have_our_numbers),
        cmocka_unit_test(messages_are_one_line),
        cmocka_unit_test(what_does_not_fit_is_not_written),
        cmocka_unit_test(what_carriers_want_to_know),
    };
    return cmocka_run_group_tests_name("mcp/rpc", tests, NULL, NULL);
}
