// links: store_fixture store_talk
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "store/inbox.h"
#include "store/migrate.h"
#include "store/store_thread.h"
#include "support/store_fixture.h"
#include "support/store_talk.h"

// What comes in is kept once, in order, and acted upon once, whoever asks how often.

static void open_again(void)
{
    store_close(talk.store);
    talk.store = fixture_open(talk.home, NULL);
}

#define S(text) SPAN_LITERAL(text)

static const struct store_queue QUEUE = {.channel = S("telegram")};

struct rows {
    int count, stop_after;
    char text[1024]; // "<channel>/<external id>=<text>", each followed by "|"
    struct store_inbound last;
};

#define MEDIA "{\"kind\":\"photo\"}"

static bool keep_row(void *context, const struct store_inbound *m)
{
    struct rows *rows = context;
    size_t used = strlen(rows->text);
    snprintf(rows->text + used, sizeof rows->text - used, "%.*s/%.*s=%.*s|", (int)m->channel.len,
             m->channel.data, (int)m->external_id.len, m->external_id.data, (int)m->text.len,
             m->text.data);
    rows->last = *m;
    rows->last.sender = span_is(m->sender, "owner") ? S("owner") : S("somebody else");
    rows->last.media = span_is(m->media, MEDIA) ? S(MEDIA) : S("");
    return ++rows->count != rows->stop_after;
}

static struct rows waiting(int64_t after)
{
    struct rows rows = {0};
    assert_int_equal(store_read_inbox(talk.store, after, keep_row, &rows, NULL), 0);
    return rows;
}

static struct outcome add(int64_t cursor, const struct store_inbound *messages, size_t count)
{
    struct outcome outcome = {0};
    assert_true(store_inbox_add(talk.store, QUEUE, cursor, messages, count, fixture_done, &outcome,
                                NULL) > 0);
    store_wait(talk.store);
    assert_int_equal(outcome.result, 0);
    return outcome;
}

static void messages_are_kept_once_and_in_order(void **state)
{
    (void)state;
    struct store_inbound messages[] = {
        {.chat = S("7"),
         .external_id = S("12"),
         .text = S("second of its server"),
         .media = S(MEDIA),
         .cut = true,
         .tainted = true},
        {.chat = S("7"), .external_id = S("11"), .text = S("first"), .sender = S("owner")},
        {.chat = S("7"), .external_id = S("12"), .text = S("again")}};
    int64_t cursor = 0;
    assert_int_equal(store_read_cursor(talk.store, QUEUE, &cursor, NULL), STORE_NOT_FOUND);
    assert_int_equal(add(13, messages, 3).rowid, 2);
    assert_int_equal(add(14, messages, 2).rowid, 0);
    assert_string_equal(waiting(0).text, "telegram/12=second of its server|telegram/11=first|");
    assert_int_equal(store_read_cursor(talk.store, QUEUE, &cursor, NULL), 0);
    assert_int_equal(cursor, 14);

    open_again();
    assert_int_equal(add(15, messages, 3).rowid, 0);
    assert_int_equal(add(16, NULL, 0).rowid, 0);
    struct rows rows = waiting(0);
    assert_int_equal(rows.count, 2);
    assert_true(span_is(rows.last.sender, "owner"));
    assert_false(rows.last.cut || rows.last.tainted || rows.last.media.len);
    assert_int_equal(waiting(rows.last.number).count, 0);
    rows = (struct rows){.stop_after = 1};
    assert_int_equal(store_read_inbox(talk.store, 0, keep_row, &rows, NULL), 0);
    assert_int_equal(rows.count, 1);
    assert_true(rows.last.cut && rows.last.tainted);
    assert_true(span_is(rows.last.media, MEDIA));
    assert_int_equal(store_read_cursor(talk.store, QUEUE, &cursor, NULL), 0);
    assert_int_equal(cursor, 16);
    assert_int_equal(
        store_read_cursor(talk.store, (struct store_queue){.channel = S("discord")}, &cursor, NULL),
        STORE_NOT_FOUND);
    // The same number means something else to another channel.
    messages[0].channel = S("discord");
    assert_int_equal(add(17, messages, 1).rowid, 1);
    assert_int_equal(waiting(0).count, 3);
}

static int64_t add_to(const char *queue, int64_t cursor, const char *id, int64_t sent_ms)
{
    struct outcome outcome = {0};
    struct store_queue place = {S("telegram"), span_of(queue)};
    struct store_inbound message = {
        .chat = S("7"), .external_id = span_of(id), .text = S("hi"), .sent_ms = sent_ms};
    assert_true(
        store_inbox_add(talk.store, place, cursor, &message, 1, fixture_done, &outcome, NULL) > 0);
    store_wait(talk.store);
    assert_int_equal(outcome.result, 0);
    return outcome.rowid;
}

static int64_t cursor_of(const char *queue)
{
    int64_t cursor = -1;
    struct store_queue place = {S("telegram"), span_of(queue)};
    assert_true(store_read_cursor(talk.store, place, &cursor, NULL) >= 0);
    return cursor;
}

static void queues_of_a_channel_are_apart(void **state)
{
    (void)state;
    assert_int_equal(add_to("1", 101, "100", 5000), 1);
    assert_int_equal(add_to("2", 101, "100", 5000), 1); // another bot's message
    assert_int_equal(add_to("1", 101, "100", 5000), 0); // the same once more
    assert_int_equal(add_to("1", 51, "100", 9000), 1);  // ids that began anew
    assert_int_equal(cursor_of("1"), 51);
    assert_int_equal(cursor_of("2"), 101);
    assert_int_equal(waiting(0).count, 3);
}

static void adopt(const char *queue)
{
    struct outcome outcome = {0};
    struct store_queue place = {S("telegram"), span_of(queue)};
    assert_true(store_inbox_adopt(talk.store, place, fixture_done, &outcome, NULL) > 0);
    store_wait(talk.store);
    assert_int_equal(outcome.result, 0);
}

// A file of the time when a channel had one place for all its bots.
static void write_version_4(void)
{
    static const char content[] =
        "INSERT INTO cursors VALUES('telegram', 102), ('discord', 7);"
        "INSERT INTO inbox(number, channel, chat, external_id, sender, text, cut, sent_ms,"
        "  received_ms, handled_ms) VALUES(8, 'telegram', '7', '100', '7', '', 0, 5000, 1, 2),"
        "  (9, 'telegram', '7', '101', '7', 'still waits', 1, 5000, 1, NULL);"
        "INSERT INTO inbox(number, channel, chat, external_id, sender, text, cut, sent_ms,"
        "  received_ms) VALUES(50, 'telegram', '7', '50', '7', '', 0, 0, 0);"
        "DELETE FROM inbox WHERE number = 50;";
    struct store_migrations table = {store_schema.steps, 4};
    store_close(talk.store);
    fixture_remove_home(talk.home);
    fixture_make_home(talk.home);
    snprintf(talk.path, sizeof talk.path, "%s", fixture_path(talk.home, "state.db"));
    assert_int_equal(store_open_schema(talk.home, NULL, &table, &talk.store, NULL), 0);
    store_wait(talk.store);
    store_close(talk.store);
    fixture_exec(talk.path, content);
    talk.store = fixture_open(talk.home, NULL);
    assert_int_equal(store_state(talk.store), STORE_READY);
}

static void an_earlier_place_is_adopted_once(void **state)
{
    (void)state;
    write_version_4();
    assert_int_equal(cursor_of("1"), -1);
    adopt("1");
    assert_int_equal(cursor_of("1"), 102);
    assert_int_equal(add_to("1", 102, "100", 5000), 0); // known since before
    assert_int_equal(add_to("1", 102, "101", 5000), 0);
    assert_string_equal(waiting(0).text, "telegram/101=still waits|");
    assert_int_equal(waiting(0).last.number, 9);
    adopt("2"); // of another bot, which has no part in it
    assert_int_equal(cursor_of("2"), -1);
    assert_int_equal(add_to("2", 101, "100", 5000), 1);
    assert_true(waiting(9).last.number > 50); // no number is used again
    assert_int_equal(
        fixture_number(talk.path, "SELECT value FROM cursors WHERE channel = 'discord'"), 7);
}

static void what_cannot_be_known_again_is_refused(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    static struct store_inbound many[STORE_INBOUND_ROWS_MAX + 1];
    assert_int_equal(store_inbox_add(talk.store, QUEUE, 1, many, 1, NULL, NULL, &err), -EINVAL);
    assert_int_equal(store_inbox_add(talk.store, QUEUE, 1, many, ARRAY_LEN(many), NULL, NULL, &err),
                     -E2BIG);
    assert_int_equal(store_inbox_add(talk.store, (struct store_queue){.channel = S("")}, 1, NULL, 0,
                                     NULL, NULL, &err),
                     -EINVAL);
}

static void a_turn_takes_its_message_once(void **state)
{
    (void)state;
    talk_create(talk.store, "a");
    talk_receive(talk.store, "1", "hello");
    int64_t number = waiting(0).last.number;
    struct outcome first = talk_begin(talk.store, "t1", number, NULL);
    assert_int_equal(first.result, 0);
    assert_int_equal(waiting(0).count, 0);
    // The program stopped before it heard of that, and tries again under another name.
    for (int i = 0; i < 2; i++) {
        struct outcome again = talk_begin(talk.store, "t2", number, NULL);
        assert_int_equal(again.result, STORE_DUPLICATE);
        assert_int_equal(again.rowid, first.rowid);
        open_again();
    }
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM turns"), 1);
    assert_string_equal(talk_messages(talk.store, "a"), "t1 asks|");
    assert_int_equal(talk_receive(talk.store, "1", "hello").rowid,
                     0); // the server repeats itself, too
    assert_int_equal(talk_begin(talk.store, "t3", 999, NULL).result, -ENOENT);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM turns"), 1);
    // What was said is in the conversation now, and goes with it.
    assert_string_equal(fixture_text(talk.path, "SELECT '<' || text || '>' FROM inbox"), "<>");
}

static void one_handled_message_stops_a_turn_of_many(void **state)
{
    (void)state;
    talk_create(talk.store, "a");
    talk_receive(talk.store, "1", "one");
    talk_receive(talk.store, "2", "two");
    struct rows rows = waiting(0);
    int64_t numbers[2] = {rows.last.number, rows.last.number - 1};
    assert_int_equal(talk_begin(talk.store, "t1", numbers[1], NULL).result, 0);
    struct store_turn turn = {.id = S("t2"),
                              .session = S("a"),
                              .terms.origin = S("telegram"),
                              .inbox = numbers,
                              .inbox_count = 2,
                              .drop_turn = S("t1")};
    struct outcome outcome = {0};
    assert_true(store_turn_begin(talk.store, &turn, NULL, 0, STORE_DURABLE, fixture_done, &outcome,
                                 NULL) > 0);
    store_wait(talk.store);
    assert_int_equal(outcome.result, STORE_DUPLICATE);
    assert_string_equal(waiting(0).text, "telegram/2=two|");
    assert_string_equal(talk_messages(talk.store, "a"), "t1 asks|"); // nothing was dropped
}

static void a_step_takes_a_message_or_fails_as_a_whole(void **state)
{
    (void)state;
    talk_create(talk.store, "a");
    talk_receive(talk.store, "1", "hello");
    talk_receive(talk.store, "2", "and besides");
    int64_t second = waiting(0).last.number, first = second - 1;
    talk_begin(talk.store, "t1", first, NULL);
    struct store_message result = {.role = S("tool"), .content = S("noon; and besides")};
    struct store_turn_step step = {.turn = S("t1"),
                                   .state = STORE_TURN_MODEL,
                                   .iteration = 1,
                                   .messages = &result,
                                   .message_count = 1,
                                   .inbox = &second,
                                   .inbox_count = 1};
    assert_int_equal(talk_advance(talk.store, &step).result, 0);
    assert_int_equal(waiting(0).count, 0);
    assert_int_equal(fixture_number(talk.path, "SELECT count(DISTINCT turn) FROM inbox"), 1);
    step.iteration = 2;
    struct outcome again = talk_advance(talk.store, &step);
    assert_int_equal(again.result, -EALREADY);
    assert_non_null(strstr(again.err.text, "was handled before"));
    assert_int_equal(fixture_number(talk.path, "SELECT iteration FROM turns"), 1);
    assert_string_equal(talk_messages(talk.store, "a"), "t1 asks|noon; and besides|");
}

static void a_command_settles_everything_at_once(void **state)
{
    (void)state;
    talk_create(talk.store, "a");
    talk_begin(talk.store, "t1", 0, NULL);
    talk_finish(talk.store, "t1", STORE_TURN_DONE, NULL, false);
    talk_receive(talk.store, "1", "/new");
    int64_t number = waiting(0).last.number;
    struct store_session next = {.id = S("b"), .channel = TALK_CHANNEL, .chat = TALK_CHAT};
    struct store_reply reply = {.channel = TALK_CHANNEL, .chat = TALK_CHAT, .text = S("done")};
    struct store_settlement all = {.inbox = &number,
                                   .inbox_count = 1,
                                   .create = &next,
                                   .session = S("a"),
                                   .title = S("the old one"),
                                   .model = S("cheap"),
                                   .drop_turn = S("t1"),
                                   .reply = &reply,
                                   .now_ms = 5000};
    struct outcome first = talk_settle(talk.store, &all);
    assert_int_equal(first.result, 0);
    assert_true(first.rowid > 0);
    assert_int_equal(waiting(0).count, 0);
    assert_string_equal(talk_messages(talk.store, "a"), "");
    assert_string_equal(fixture_text(talk.path, "SELECT title || '/' || model FROM sessions"
                                                " WHERE id = 'a'"),
                        "the old one/cheap");
    assert_string_equal(fixture_text(talk.path, "SELECT state || '/' || text FROM outbox"),
                        "pending/done");
    assert_int_equal(talk_settle(talk.store, &all).result, STORE_DUPLICATE);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM outbox"), 1);

    struct store_settlement some = {.session = S("a"), .model = S("")};
    assert_int_equal(talk_settle(talk.store, &some).result, 0);
    assert_string_equal(fixture_text(talk.path, "SELECT title || '/' || coalesce(model, 'default')"
                                                " FROM sessions WHERE id = 'a'"),
                        "the old one/default");
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM outbox"), 1);
}

static void a_settlement_that_fails_leaves_the_message(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    talk_create(talk.store, "a");
    talk_receive(talk.store, "1", "/undo");
    int64_t number = waiting(0).last.number;
    struct store_session next = {.id = S("b"), .channel = TALK_CHANNEL, .chat = TALK_CHAT};
    struct store_reply reply = {.channel = TALK_CHANNEL, .chat = TALK_CHAT, .text = S("done")};
    struct store_settlement settlement = {.inbox = &number,
                                          .inbox_count = 1,
                                          .create = &next,
                                          .drop_turn = S("no-turn"),
                                          .reply = &reply};
    assert_int_equal(talk_settle(talk.store, &settlement).result, -ENOENT);
    assert_int_equal(waiting(0).count, 1);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM sessions"), 1);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM outbox"), 0);
    settlement.drop_turn = SPAN_ABSENT;
    settlement.session = S("nobody");
    assert_int_equal(talk_settle(talk.store, &settlement).result, -ENOENT);
    settlement.session = SPAN_ABSENT;
    settlement.title = S("of what?");
    assert_int_equal(store_settle(talk.store, &settlement, NULL, NULL, &err), -EINVAL);
    assert_int_equal(waiting(0).count, 1);
}

static void old_messages_are_forgotten_when_handled(void **state)
{
    (void)state;
    int64_t week = STORE_INBOUND_KEEP_MS, year = 365 * 86400 * INT64_C(1000);
    struct store_inbound old[] = {{.external_id = S("1"), .received_ms = 1000},
                                  {.external_id = S("2"), .received_ms = 1000},
                                  {.external_id = S("3"), .received_ms = year}};
    struct store_inbound now = {.external_id = S("4"), .received_ms = 1000 + week};
    struct store_inbound later = {.external_id = S("5"), .received_ms = 1001 + week};
    add(1, old, 3);
    int64_t numbers[] = {1, 3};
    struct store_settlement settlement = {.inbox = numbers, .inbox_count = 2};
    assert_int_equal(talk_settle(talk.store, &settlement).result, 0);
    add(2, &now, 1);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM inbox WHERE number = 1"), 1);
    add(3, &later, 1);
    // The one that nobody has acted on stays, however old; the one from a wrong clock goes.
    assert_string_equal(fixture_text(talk.path, "SELECT group_concat(external_id) FROM inbox"),
                        "2,4,5");
    assert_int_equal(waiting(0).count, 3);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, talk_setup, talk_teardown)
    const struct CMUnitTest tests[] = {
        TEST(messages_are_kept_once_and_in_order),
        TEST(queues_of_a_channel_are_apart),
        TEST(an_earlier_place_is_adopted_once),
        TEST(what_cannot_be_known_again_is_refused),
        TEST(a_turn_takes_its_message_once),
        TEST(one_handled_message_stops_a_turn_of_many),
        TEST(a_step_takes_a_message_or_fails_as_a_whole),
        TEST(a_command_settles_everything_at_once),
        TEST(a_settlement_that_fails_leaves_the_message),
        TEST(old_messages_are_forgotten_when_handled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
