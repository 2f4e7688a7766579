#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "channels/telegram_file.h"
#include "channels/telegram_internal.h"
#include "support/fake_clock.h"

// The message that grows, in front of a Bot API and an outbox that are a few lines each.

enum { STEP_MS = 100 };

static struct fake_clock fake;
static struct telegram_config config = {.streaming = true, .edit_interval_ms = 1200};
static struct telegram telegram;
static char shown[8192];
static telegram_answer_fn *asked;
static void *asker;

telegram_call_id telegram_api_message(struct telegram *channel,
                                      const struct telegram_message *message,
                                      telegram_answer_fn *fn, void *context)
{
    assert_false(message->markup);
    snprintf(shown, sizeof shown, "%.*s", (int)message->text.len, message->text.data);
    asked = fn;
    asker = context;
    return 1;
}

// No message of these tests is a file.
struct telegram_file *telegram_file_create(struct span text)
{
    fail();
    return NULL;
}

telegram_call_id telegram_file_send(struct telegram *channel, struct telegram_file *file,
                                    struct telegram_place place, telegram_answer_fn *fn,
                                    void *context)
{
    fail();
    return 0;
}

void telegram_file_destroy(struct telegram_file *file) {}

struct span telegram_file_path(const struct telegram_file *file)
{
    return SPAN_ABSENT;
}

void telegram_file_take(struct telegram_file *file, int fd, int64_t size, struct span first) {}

bool telegram_file_is_photo(const struct telegram_file *file)
{
    return false;
}

int dispatcher_open_file(struct dispatcher *dispatcher, struct span what,
                         void (*done)(void *context, int fd, int64_t size, struct span first,
                                      const char *why),
                         void *context, struct sent_file **ret_file, struct error *err)
{
    return -1;
}

void telegram_api_typing(struct telegram *channel, struct telegram_place place) {}

void telegram_api_cancel(struct telegram *channel, telegram_call_id id) {}

void telegram_api_count_send(struct telegram *channel, enum telegram_sent sent,
                             enum telegram_outcome outcome)
{
}

static store_done_fn *written;
static void *writer;

int64_t store_outbox_open(struct store *store, struct span turn, struct store_address address,
                          int64_t now_ms, store_done_fn *done, void *context, struct error *err)
{
    written = done;
    writer = context;
    return 1;
}

int64_t store_outbox_change(struct store *store, const struct store_delivery_change *change,
                            store_done_fn *done, void *context, struct error *err)
{
    written = done;
    writer = context;
    return 1;
}

int store_read_outbox(struct store *store, struct span channel, int64_t after,
                      store_delivery_fn *row, void *context, struct error *err)
{
    return 0;
}

void store_forget(struct store *store, int64_t job) {}

// Whatever was asked is obeyed, and the time passes.
static void pass(int64_t ms)
{
    for (int64_t end_ms = fake.now_ms + ms; fake.now_ms < end_ms; fake.now_ms += STEP_MS) {
        loop_run_once(telegram.env.loop, 0);
        if (written) {
            store_done_fn *done = written;
            written = NULL;
            done(writer, 0, NULL, 1);
        }
        if (asked) {
            struct json doc = JSON_INIT;
            struct telegram_answer answer;
            telegram_answer_fn *fn = asked;
            asked = NULL;
            telegram_answer_read(200, SPAN_LITERAL("{\"ok\":true,\"result\":{\"message_id\":7}}"),
                                 &doc, &answer);
            fn(asker, &answer);
            json_finish(&doc);
        }
    }
}

static void report(enum turn_event_kind kind, const char *text)
{
    struct turn_event event = {.kind = kind,
                               .turn = "t",
                               .chat = "42",
                               .thread = "",
                               .sentence = text,
                               .text = span_of(text)};
    telegram_stream_event(&telegram, &event);
    pass(5000);
}

static int setup(void **state)
{
    (void)state;
    telegram = (struct telegram){.config = &config};
    assert_int_equal(loop_create(fake_clock_init(&fake, 1000), &telegram.env.loop, NULL), 0);
    list_init(&telegram.chats);
    list_init(&telegram.deliveries);
    list_init(&telegram.streams);
    report(TURN_EVENT_BEGIN, "");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    telegram_stream_stop(&telegram);
    telegram_send_stop(&telegram);
    telegram_chats_stop(&telegram);
    loop_destroy(telegram.env.loop);
    return 0;
}

static void test_an_answer_grows(void **state)
{
    (void)state;
    report(TURN_EVENT_TEXT, "I shall look.");
    assert_string_equal(shown, "I shall look.");
    report(TURN_EVENT_TEXT, " Soon.");
    assert_string_equal(shown, "I shall look. Soon.");
    report(TURN_EVENT_STEP, "");
    report(TURN_EVENT_TEXT, "It is there.");
    assert_string_equal(shown, "It is there.");
}

static void test_a_reason_to_wait_stands_below_until_the_next_word(void **state)
{
    (void)state;
    report(TURN_EVENT_TEXT, "I shall look.");
    report(TURN_EVENT_WAIT, "search: half");
    assert_string_equal(shown, "I shall look.\n\n⏳ search: half");
    report(TURN_EVENT_WAIT, "search: nearly all");
    assert_string_equal(shown, "I shall look.\n\n⏳ search: nearly all");
    report(TURN_EVENT_RESULT, "text of the tool");
    assert_string_equal(shown, "I shall look.");
    report(TURN_EVENT_WAIT, "a place in the queue");
    report(TURN_EVENT_TEXT, " Found.");
    assert_string_equal(shown, "I shall look. Found.");
}

// So that answers stand in the order of their questions.
static void test_it_begins_behind_the_reply_before_it(void **state)
{
    (void)state;
    *shown = '\0';
    struct telegram_chat *chat = telegram_chat_get(&telegram, SPAN_LITERAL("42"));
    chat->busy = true;
    report(TURN_EVENT_TEXT, "It is there.");
    assert_string_equal(shown, "");
    chat->seen = true; // it failed, and waits in the outbox for its time
    chat->busy = false;
    pass(1000);
    assert_string_equal(shown, "");
    chat->seen = false;
    pass(1000);
    assert_string_equal(shown, "It is there.");
    chat->busy = true; // from now on its own message is edited
    report(TURN_EVENT_TEXT, " And here.");
    assert_string_equal(shown, "It is there. And here.");
    chat->busy = false;
}

// Its turn is over, and its message on the way.
static void test_it_begins_behind_the_message_before_it(void **state)
{
    (void)state;
    struct turn_event event = {.turn = "before", .chat = "42", .thread = ""};
    event.kind = TURN_EVENT_BEGIN;
    telegram_stream_event(&telegram, &event);
    event.kind = TURN_EVENT_TEXT;
    event.text = SPAN_LITERAL("The answer to the question before the last one.");
    telegram_stream_event(&telegram, &event);
    for (int i = 0; i < 100 && !asked; i++) {
        fake.now_ms += STEP_MS;
        loop_run_once(telegram.env.loop, 0);
        store_done_fn *done = written;
        written = NULL;
        if (done)
            done(writer, 0, NULL, 1);
    }
    telegram_answer_fn *fn = asked;
    void *context = asker;
    assert_non_null(fn);
    asked = NULL;
    event.kind = TURN_EVENT_END;
    telegram_stream_event(&telegram, &event);
    report(TURN_EVENT_TEXT, "It is there.");
    assert_string_equal(shown, "The answer to the question before the last one.");
    asked = fn;
    asker = context;
    pass(1000);
    assert_string_equal(shown, "It is there.");
}

static void call(const char *name, const char *arguments)
{
    struct turn_event event = {
        .kind = TURN_EVENT_CALL, .turn = "t", .name = name, .arguments = arguments};
    telegram_stream_event(&telegram, &event);
    pass(5000);
}

static void test_calls_of_tools(void **state)
{
    (void)state;
    static const struct {
        const char *wanted, *shown;
    } cases[] = {
        {"off", "I look."},
        {"log", "I look."},
        {"new", "I look.\n\n🔧 read_file\n🔧 patch"},
        {"all", "I look.\n\n🔧 read_file\n🔧 read_file\n🔧 patch"},
        {"verbose", "I look.\n\n🔧 read_file {\"path\":\"a_b_c\"}\n"
                    "🔧 read_file {\"path\":\"*d*\"}\n🔧 patch"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        config.tool_progress = cases[i].wanted;
        report(TURN_EVENT_TEXT, "I look.");
        call("read_file", "{\"path\":\"a_b_c\"}");
        call("read_file", "{\"path\":\"*d*\"}");
        call("patch", "");
        assert_string_equal(shown, cases[i].shown);
        teardown(NULL);
        setup(NULL);
    }
    config.tool_progress = "all";
    for (int i = 0; i < 500; i++)
        call("a_tool_of_a_long_name", "");
    assert_true(strlen(shown) < 1500); // the earlier ones are gone
    config.streaming = false;          // the calls, but not the text before it is whole
    report(TURN_EVENT_TEXT, "I look.");
    call("patch", "");
    assert_null(strstr(shown, "I look."));
    assert_non_null(strstr(shown, "patch"));
    config.streaming = true;
    config.tool_progress = NULL;
}

static void test_a_reason_to_wait_gives_way_to_the_answer(void **state)
{
    (void)state;
    report(TURN_EVENT_WAIT, "a place in the queue");
    assert_string_equal(shown, "⏳ a place in the queue");
    report(TURN_EVENT_TEXT, "Here it is.");
    assert_string_equal(shown, "Here it is.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_answer_grows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reason_to_wait_stands_below_until_the_next_word,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_begins_behind_the_reply_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_begins_behind_the_message_before_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_calls_of_tools, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reason_to_wait_gives_way_to_the_answer, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
