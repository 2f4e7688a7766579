#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"
#include "llm/offline.h"
#include "loop/loop.h"

static struct loop *loop;
static struct chat_provider *provider;

static int setup(void **state)
{
    assert_int_equal(loop_create(&clock_system, &loop, NULL), 0);
    return offline_provider_create(loop, &provider);
}

static int teardown(void **state)
{
    chat_provider_destroy(provider);
    loop_destroy(loop);
    return 0;
}

struct heard {
    int replies;
    struct buf streamed;
    struct chat_reply reply;
};

static void on_text(void *context, struct span delta)
{
    struct heard *heard = context;
    assert_int_equal(heard->replies, 0);
    buf_append_span(&heard->streamed, delta);
}

static void on_reply(void *context, struct chat_reply *reply)
{
    struct heard *heard = context;
    heard->replies++;
    heard->reply = *reply;
    *reply = (struct chat_reply){0};
}

static void on_failure(void *context, const struct chat_failure *failure)
{
    fail_msg("%s", failure->text);
}

static const struct chat_sink sink = {on_text, NULL, on_reply, on_failure};

static chat_call_id ask(const struct chat_history *history, struct heard *heard)
{
    struct chat_request request = {
        .model = "offline", .messages = history->messages, .message_count = history->count};
    chat_call_id id = 0;
    struct error err = ERROR_INIT;
    *heard = (struct heard){.streamed = BUF_INIT(1 << 20)};
    assert_int_equal(chat_provider_start(provider, &request, &sink, heard, &id, &err), 0);
    assert_true(id != 0 && heard->replies == 0); // never from inside the call
    return id;
}

static void forget(struct heard *heard)
{
    chat_reply_finish(&heard->reply);
    buf_finish(&heard->streamed);
}

// The reply to a conversation as "name(arguments)#id ..." or its text.
static void write_reply(const struct chat_history *history, struct buf *out)
{
    struct heard heard;
    ask(history, &heard);
    loop_run_once(loop, 100);
    assert_int_equal(heard.replies, 1);
    const struct chat_message *message = &heard.reply.message;
    assert_int_equal(message->role, CHAT_ASSISTANT);
    assert_int_equal(heard.reply.finish,
                     message->call_count ? CHAT_FINISH_TOOL_CALLS : CHAT_FINISH_STOP);
    assert_string_equal(heard.reply.model, "offline");
    assert_string_equal(buf_text(&heard.streamed), message->text ? message->text : "");
    for (size_t i = 0; i < message->call_count; i++)
        buf_printf(out, "%s%s(%s)#%s", i ? " " : "", message->calls[i].name,
                   message->calls[i].arguments, message->calls[i].id);
    buf_append_text(out, message->text ? message->text : "");
    forget(&heard);
}

static void answers(const char *text, const char *wanted)
{
    struct chat_history history = {0};
    BUF_AUTO out = BUF_INIT(1 << 20), again = BUF_INIT(1 << 20);
    chat_history_append_text(&history, CHAT_SYSTEM, "You are Hermes.");
    chat_history_append_text(&history, CHAT_USER, text);
    write_reply(&history, &out);
    write_reply(&history, &again);
    chat_history_finish(&history);
    assert_string_equal(buf_text(&out), buf_text(&again)); // the same words, the same answer
    if (strcmp(buf_text(&out), wanted) != 0)
        fail_msg("%s:\n%s\nwanted:\n%s", text, buf_text(&out), wanted);
}

static const char help[] =
    "I am the built-in offline model: a few fixed rules, not a language model. I know: "
    "read NAME, write NAME: TEXT, list, search PATTERN, time, remember TEXT, recall WORDS, "
    "run COMMAND; join them with \" and then \" or \" & \". For a real model set "
    "OPENROUTER_API_KEY, or OPENAI_BASE_URL and OPENAI_API_KEY, and HERMES_MODEL.";

static void explains(const char *text)
{
    char wanted[4096];
    snprintf(wanted, sizeof wanted, "%s\nYou said: %s", help, text);
    answers(text, wanted);
}

static void commands(void **state)
{
    answers("read a b.txt", "read_file({\"path\":\"a b.txt\"})#offline_0");
    answers("  read   x ", "read_file({\"path\":\"x\"})#offline_0");
    answers("write d/f: one: two",
            "write_file({\"path\":\"d/f\",\"content\":\"one: two\"})#offline_0");
    answers("write f:", "write_file({\"path\":\"f\",\"content\":\"\"})#offline_0");
    answers("list", "list_files({})#offline_0");
    answers("list d", "list_files({\"path\":\"d\"})#offline_0");
    answers("search a\"b\\d", "search_files({\"pattern\":\"a\\\"b\\\\d\"})#offline_0");
    answers("time", "current_time({})#offline_0");
    answers("run rm -r a && ls", "terminal({\"command\":\"rm -r a && ls\"})#offline_0");
    answers("remember the key is under the mat",
            "remember({\"content\":\"the key is under the mat\"})#offline_0");
    answers("recall key", "recall({\"query\":\"key\"})#offline_0");
    answers("read a & time & list",
            "read_file({\"path\":\"a\"})#offline_0 current_time({})#offline_1 "
            "list_files({})#offline_2");
    answers("read a and then read b", "read_file({\"path\":\"a\"})#offline_0");
}

static void what_is_no_command(void **state)
{
    char wanted[4096];
    snprintf(wanted, sizeof wanted, "Hello! %s", help);
    answers("hi", wanted);
    answers(" Hello ", wanted);
    explains("read");
    explains("run");
    explains("write f without a colon");
    explains("time please");
    explains("reader x");
    explains("read a & dance"); // nothing is done of what is not understood whole
    explains("");
}

// Nothing is dropped silently: a step with more commands than it takes is not understood.
static void too_many_commands(void **state)
{
    BUF_AUTO text = BUF_INIT(1 << 16);
    BUF_AUTO wanted = BUF_INIT(1 << 16);
    for (int i = 0; i < 16; i++) {
        buf_printf(&text, "%stime", i ? " & " : "");
        buf_printf(&wanted, "%scurrent_time({})#offline_%d", i ? " " : "", i);
    }
    answers(buf_text(&text), buf_text(&wanted));
    buf_append_text(&text, " & time");
    explains(buf_text(&text));
}

static void steps_follow_the_conversation(void **state)
{
    struct chat_history history = {0};
    BUF_AUTO out = BUF_INIT(1 << 16);
    chat_history_append_text(&history, CHAT_USER, "read z");
    chat_history_append_text(&history, CHAT_ASSISTANT, "earlier");
    chat_history_append_text(&history, CHAT_USER, "read a & list and then time");
    write_reply(&history, &out);
    assert_string_equal(buf_text(&out),
                        "read_file({\"path\":\"a\"})#offline_0 list_files({})#offline_1");
    struct chat_message asking = {.role = CHAT_ASSISTANT};
    chat_message_add_call(&asking, "offline_0", "read_file", "{\"path\":\"a\"}", NULL);
    chat_message_add_call(&asking, "offline_1", "list_files", "{}", NULL);
    chat_history_append(&history, &asking);
    chat_history_append_result(&history, "offline_0", "1|x", false);
    chat_history_append_result(&history, "offline_1", "a", false);
    buf_clear(&out);
    write_reply(&history, &out);
    assert_string_equal(buf_text(&out), "current_time({})#offline_2");
    chat_message_add_call(&asking, "offline_2", "current_time", "{}", NULL);
    asking.role = CHAT_ASSISTANT;
    chat_history_append(&history, &asking);
    chat_history_append_result(&history, "offline_2", "noon", false);
    buf_clear(&out);
    write_reply(&history, &out);
    assert_string_equal(buf_text(&out), "1|x\na\nnoon");
    chat_history_finish(&history);
}

static void cancelled_calls_are_silent(void **state)
{
    struct chat_history history = {0};
    struct heard first, second;
    chat_history_append_text(&history, CHAT_USER, "hi");
    chat_call_id id = ask(&history, &first);
    ask(&history, &second);
    chat_provider_cancel(provider, id);
    chat_provider_cancel(provider, id);
    chat_provider_cancel(provider, 0);
    loop_run_once(loop, 100);
    assert_int_equal(first.replies, 0);
    assert_int_equal(second.replies, 1);
    forget(&second);
    ask(&history, &first); // and destroyed while it waits
    chat_history_finish(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commands, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_command, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_commands, setup, teardown),
        cmocka_unit_test_setup_teardown(steps_follow_the_conversation, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelled_calls_are_silent, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
