#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "agent/turn.h"
#include "agent/turn_taint.h"
#include "support/scripted_source.h"

// What a conversation must hold so that a URL counts as read, and the mark's words.
static const struct tool_description tools[] = {
    {"web_search", "", SCRIPTED_SCHEMA, TOOL_NETWORK},
    {"web_fetch", "", SCRIPTED_SCHEMA, TOOL_NETWORK},
    {"read_file", "", SCRIPTED_SCHEMA, TOOL_READS},
    {"call_tool", "", SCRIPTED_SCHEMA, 0},
    {0},
};

static struct agent_session session;
static struct turn turn;

static int setup(void **state)
{
    struct scripted_source source;
    scripted_source_init(&source, tools);
    turn = (struct turn){.session = &session, .tools = tool_set_create()};
    return tool_set_add_source(turn.tools, &source.source, 1, NULL);
}

static int teardown(void **state)
{
    tool_set_unref(turn.tools);
    chat_history_finish(&session.history);
    session = (struct agent_session){0};
    return 0;
}

static void user(const char *text)
{
    chat_history_append_text(&session.history, CHAT_USER, text);
}

static void asks(const char *tool, const char *arguments)
{
    struct chat_message message = {.role = CHAT_ASSISTANT};
    chat_message_add_call(&message, "c0", tool, arguments, NULL); // every reply begins anew
    chat_history_append(&session.history, &message);
}

static void result(const char *tool, const char *text, bool tainted)
{
    asks(tool, "{}");
    chat_history_append_result(&session.history, "c0", text, tainted);
}

static bool copied(const char *arguments)
{
    asks("web_fetch", arguments);
    bool is = turn_fetches_copied(&turn, 0, "web_fetch", span_of(arguments));
    chat_history_truncate(&session.history, session.history.count - 1);
    return is;
}

#define URL(text) "{\"url\":\"" text "\"}"

static void the_mark(void **state)
{
    char why[TURN_TAINT_MAX];
    user("go");
    result("read_file", "mine", false);
    assert_false(turn_taint(&turn, why));
    assert_string_equal(why, "");
    result("web_search", "theirs", true);
    result("web_fetch", "more", true);
    assert_true(turn_taint(&turn, why));
    assert_string_equal(why, "tainted by web_search of call 2");
    chat_history_truncate(&session.history, 1);
    asks("call_tool", "{\"name\":\"recall\"}");
    chat_history_append_result(&session.history, "c0", "theirs", true);
    assert_true(turn_taint(&turn, why));
    assert_string_equal(why, "tainted by recall of call 1");
    chat_history_truncate(&session.history, 1);
    asks("read_file", "{}");
    session.history.messages[1].tainted = true;
    assert_true(turn_taint(&turn, why));
    assert_string_equal(why, "tainted by what was said before");
    session.history.messages[0].tainted = true;
    assert_true(turn_taint(&turn, why));
    assert_string_equal(why, "tainted by a message that was quoted or forwarded");
}

static void whole_urls(void **state)
{
    user("look at https://u.example/a, please");
    result("web_search", "1. <https://w.example/x?y=1> 2. http://w.example/b. Next", true);
    assert_true(copied(URL("https://u.example/a")));
    assert_true(copied(URL("https://w.example/x?y=1")));
    assert_true(copied(URL("https:\\/\\/w.example\\/x?y=1"))); // as the tool reads it
    assert_true(copied(URL("http://w.example/b")));
    assert_true(copied("{\"urls\":[\"http://w.example/b\",\"https://u.example/a\"]}"));
    assert_false(copied(URL("https://w.example/x?y=12"))); // longer
    assert_false(copied(URL("https://w.example/x?y=")));   // or shorter
    assert_false(copied(URL("https://w.example/x")));
    assert_false(copied(URL("w.example/b")));
    assert_false(copied(URL("https://u.example/a?k=secret")));
    assert_false(copied("{\"urls\":[\"http://w.example/b\",\"http://w.example/c\"]}"));
    assert_false(copied("{\"urls\":[\"http://w.example/b\",5]}"));
    assert_false(copied("{\"url\":\"http://w.example/b\",\"urls\":[\"http://evil.example/c\"]}"));
    assert_false(copied("{\"urls\":\"http://evil.example/c\"}"));
    assert_true(copied("{\"url\":[\"http://w.example/b\"],\"urls\":\"http://evil.example/c\"}"));
    assert_false(
        copied("{\"url\":[\"http://evil.example/c\"],\"urls\":{\"a\":\"http://w.example/b\"}}"));
    assert_false(copied("{\"urls\":{\"a\":\"http://w.example/b\"}}"));
    assert_false(copied(URL("")));
    assert_false(copied("{}"));
    assert_false(copied("{"));
    const struct span found = SPAN_LITERAL(URL("http://w.example/b"));
    asks("web_search", "{}");
    assert_false(turn_fetches_copied(&turn, 0, "web_search", found));
}

// Some models call everything by one id.
static void ids_that_are_the_same(void **state)
{
    char why[TURN_TAINT_MAX];
    struct chat_message message = {.role = CHAT_ASSISTANT};
    user("go");
    chat_message_add_call(&message, "c0", "web_search", "{}", NULL);
    chat_message_add_call(&message, "c0", "read_file", "{}", NULL);
    chat_history_append(&session.history, &message);
    chat_history_append_result(&session.history, "c0", "1. http://w.example/b", false);
    chat_history_append_result(&session.history, "c0", "http://w.example/c", true);
    assert_true(turn_taint(&turn, why));
    assert_string_equal(why, "tainted by read_file of call 2");
    assert_true(copied(URL("http://w.example/b")));
    assert_false(copied(URL("http://w.example/c")));
}

// A tool that is found is called through another, which is not what the result is of.
static void tools_that_were_found(void **state)
{
    char why[TURN_TAINT_MAX];
    user("go");
    asks("call_tool", "{\"name\":\"web_search\",\"arguments\":{}}");
    chat_history_append_result(&session.history, "c0", "1. http://w.example/b", true);
    asks("call_tool", "{\"name\":\"read_file\",\"arguments\":{}}");
    chat_history_append_result(&session.history, "c0", "http://w.example/c", false);
    assert_true(turn_taint(&turn, why));
    assert_string_equal(why, "tainted by web_search of call 1");
    assert_true(copied(URL("http://w.example/b")));
    assert_false(copied(URL("http://w.example/c")));
    session.history.messages[1].calls[0].name[0] = 'x'; // no tool of this name
    assert_true(turn_taint(&turn, why));
    assert_string_equal(why, "tainted by xall_tool of call 1");
}

// What the model may have written itself is no reading.
static void laundered_urls(void **state)
{
    user("go");
    asks("web_fetch", URL("http://e.example/?k=1"));
    chat_history_append_result(&session.history, "c0", "error: no http://e.example/?k=1", true);
    result("read_file", "http://e.example/?k=2", true);
    chat_history_append_text(&session.history, CHAT_ASSISTANT, "http://e.example/?k=3");
    assert_false(copied(URL("http://e.example/?k=1")));
    assert_false(copied(URL("http://e.example/?k=2")));
    assert_false(copied(URL("http://e.example/?k=3")));
    user("> http://e.example/?k=4\n\nlook");
    assert_true(copied(URL("http://e.example/?k=4"))); // their own words look like that, too
    session.history.messages[session.history.count - 1].tainted = true;
    assert_false(copied(URL("http://e.example/?k=4")));
}

// Most tools are called through another, which is none of the web.
static void through_call_tool(void **state)
{
    char why[TURN_TAINT_MAX];
    user("go");
    asks("call_tool", "{\"name\":\"web_search\",\"arguments\":{\"query\":\"x\"}}");
    chat_history_append_result(&session.history, "c0", "http://w.example/b", true);
    assert_true(turn_taint(&turn, why));
    assert_string_equal(why, "tainted by web_search of call 1");
    assert_true(copied(URL("http://w.example/b")));
    asks("call_tool", "{\"name\":\"read_file\",\"arguments\":{\"path\":\"x\"}}");
    chat_history_append_result(&session.history, "c0", "http://e.example/?k=1", true);
    assert_false(copied(URL("http://e.example/?k=1")));
    chat_history_truncate(&session.history, 1);
    asks("call_tool", "{\"name\":\"of_a_server\",\"arguments\":{}}"); // that is gone
    chat_history_append_result(&session.history, "c0", "theirs", true);
    assert_true(turn_taint(&turn, why));
    assert_string_equal(why, "tainted by of_a_server of call 1");
}

static void few_of_a_turn(void **state)
{
    user("http://a.example/ http://b.example/ http://c.example/ http://d.example/");
    asks("web_fetch", URL("http://a.example/"));
    asks("web_fetch", "{\"urls\":[\"http://b.example/\"]}");
    assert_false(copied("{\"urls\":[\"http://c.example/\",\"http://d.example/\"]}"));
    assert_true(copied(URL("http://c.example/")));
    asks("web_fetch", URL("http://c.example/"));
    assert_false(copied(URL("http://d.example/")));
    user("and again"); // another turn
    assert_true(copied(URL("http://d.example/")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_mark, setup, teardown),
        cmocka_unit_test_setup_teardown(whole_urls, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_that_are_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(tools_that_were_found, setup, teardown),
        cmocka_unit_test_setup_teardown(laundered_urls, setup, teardown),
        cmocka_unit_test_setup_teardown(through_call_tool, setup, teardown),
        cmocka_unit_test_setup_teardown(few_of_a_turn, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
