#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "agent/context.h"
#include "codec/json.h"
#include "codec/utf8.h"
#include "llm/chat.h"
#include "tools/tool_set.h"

static struct tool_set_entry entries[] = {
    {.name = "echo", .description = "Say \"it\".", .parameters = "{\"type\":\"object\"}"},
    {.name = "a_tool_with_a_name_that_is_long", .description = "", .parameters = "{}"},
};
static const struct tool_set tools = {.tools = entries, .count = 2};

static struct context_report report_of(const struct chat_history *history, int64_t prompt_tokens)
{
    return (struct context_report){
        .prompt = {.bytes = {1234567, 298, 0, 0, 9}, .identity = "SOUL.md"},
        .tools = &tools,
        .history = history,
        .prompt_tokens = prompt_tokens,
    };
}

static void the_table(void **state)
{
    struct context_report report = report_of(NULL, -1);
    BUF_AUTO out = BUF_INIT(64 * 1024);
    context_render_text(&report, &out);
    assert_string_equal(buf_text(&out), "                          bytes  ~tokens\n"
                                        "identity (SOUL.md)    1,234,567  308,642\n"
                                        "rules                       298       75\n"
                                        "skills                        0        0\n"
                                        "MEMORY                        0        0\n"
                                        "USER                          9        3\n"
                                        "tools (2)                   149       38\n"
                                        "  echo                       74       19\n"
                                        "  a_tool_with_a_name_t       75       19\n"
                                        "total                 1,235,023  308,756\n"
                                        "~ is bytes / 4, not a count\n");
}

static void with_a_history(void **state)
{
    struct chat_history history = {0};
    chat_history_append_text(&history, CHAT_USER, "hello");
    struct chat_message message = {.role = CHAT_ASSISTANT};
    chat_message_add_call(&message, "c0", "echo", "{\"x\":1}", NULL);
    chat_history_append(&history, &message);
    struct context_report report = report_of(&history, 12345);
    BUF_AUTO out = BUF_INIT(64 * 1024);
    context_render_text(&report, &out);
    assert_non_null(strstr(buf_text(&out), "history (2)                  16        4\n"));
    assert_non_null(strstr(buf_text(&out), "the last prompt, counted: 12,345\n"));
    struct span rest = buf_span(&out);
    while (rest.len)
        assert_in_range(utf8_width(span_cut(&rest, '\n')), 1, 40);
    chat_history_finish(&history);
}

static void as_json(void **state)
{
    struct chat_history history = {0};
    struct context_report report = report_of(&history, 7);
    BUF_AUTO out = BUF_INIT(64 * 1024);
    JSON_AUTO doc = JSON_INIT;
    int64_t number;
    context_render_json(&report, &out);
    assert_int_equal(json_parse(&doc, buf_span(&out), NULL), 0);
    struct json_value root = json_root(&doc);
    assert_int_equal(json_count(json_get(root, "prompt")), PROMPT_PARTS);
    assert_true(json_is(json_get(json_at(json_get(root, "prompt"), 0), "source"), "SOUL.md"));
    assert_true(json_is(json_get(json_at(json_get(root, "tools"), 0), "name"), "echo"));
    assert_true(json_int64(json_get(json_at(json_get(root, "tools"), 0), "bytes"), &number));
    assert_int_equal(number, 74);
    assert_true(json_int64(json_get(json_get(root, "history"), "messages"), &number));
    assert_int_equal(number, 0);
    assert_true(json_int64(json_get(json_get(root, "total"), "approximate_tokens"), &number));
    assert_int_equal(number, 308756);
    assert_true(json_int64(json_get(root, "prompt_tokens"), &number));
    assert_int_equal(number, 7);
    report = report_of(NULL, -1);
    buf_clear(&out);
    context_render_json(&report, &out);
    assert_int_equal(json_parse(&doc, buf_span(&out), NULL), 0);
    assert_int_equal(json_type(json_get(json_root(&doc), "prompt_tokens")), JSON_NULL);
    assert_int_equal(json_type(json_get(json_root(&doc), "history")), JSON_ABSENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table),
        cmocka_unit_test(with_a_history),
        cmocka_unit_test(as_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
