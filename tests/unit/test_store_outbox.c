// links: store_fixture store_talk
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "store/outbox.h"
#include "support/store_fixture.h"
#include "support/store_talk.h"

// A reply is due from the moment its turn ends, and leaves in order; what was shown is finished.

#define S(text) SPAN_LITERAL(text)

static bool keep_row(void *context, const struct store_delivery *d)
{
    static const char *const states[] = {"open", "pending", "sent", "failed"};
    char *text = context;
    size_t used = strlen(text);
    snprintf(text + used, 1024 - used, "%s %.*s %s%d [%.*s] \"%.*s\"|", states[d->state],
             (int)d->turn.len, d->turn.data ? d->turn.data : "", d->in_flight ? "flying " : "",
             d->part, (int)d->message_id.len, d->message_id.data ? d->message_id.data : "",
             (int)d->text.len, d->text.data);
    return true;
}

// What is open or pending, with a number above `after`.
static const char *waiting(int64_t after)
{
    static char text[1024];
    text[0] = '\0';
    assert_int_equal(store_read_outbox(talk.store, S("telegram"), after, keep_row, text, NULL), 0);
    return text;
}

static const char *delivery(int64_t number)
{
    char sql[400];
    snprintf(sql, sizeof sql,
             "SELECT o.state || ' ' || t.id || ' ' || iif(in_flight, 'flying ', '') || part || ' ['"
             " || coalesce(message_id, '') || '] \"' || text || '\"|' FROM outbox o"
             " JOIN turns t ON t.number = o.turn WHERE o.number = %lld",
             (long long)number);
    const char *text = fixture_text(talk.path, sql);
    return text[0] ? text : "gone";
}

static struct store_outbox_summary summary(void)
{
    struct store_outbox_summary found;
    assert_int_equal(store_read_outbox_summary(talk.store, S("telegram"), &found, NULL), 0);
    return found;
}

static struct store_delivery_change change_of(int64_t number, int state)
{
    return (struct store_delivery_change){
        .number = number, .state = state, .part = STORE_DELIVERY_KEEP, .now_ms = 5000};
}

static void set_message(int64_t number, const char *message_id)
{
    struct store_delivery_change change = change_of(number, STORE_DELIVERY_OPEN);
    change.message_id = span_of(message_id);
    assert_int_equal(talk_change(talk.store, &change).result, 0);
}

static void the_end_of_a_turn_makes_its_reply_due(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        const char *const turns[] = {"t1", "t2", "t3"};
        talk_begin(talk.store, turns[i], 0, NULL);
        assert_int_equal(talk_finish(talk.store, turns[i], STORE_TURN_DONE, turns[i], false).result,
                         0);
    }
    assert_string_equal(waiting(0),
                        "pending t1 0 [] \"t1\"|pending t2 0 [] \"t2\"|pending t3 0 [] \"t3\"|");
    assert_string_equal(waiting(2), "pending t3 0 [] \"t3\"|");
    assert_int_equal(summary().waiting, 3);
    assert_int_equal(summary().oldest_ms, 4000);
    talk_begin(talk.store, "t4", 0, NULL);
    talk_finish(talk.store, "t4", STORE_TURN_CANCELLED, "never begun", true);
    talk_begin(talk.store, "t5", 0, NULL);
    talk_finish(talk.store, "t5", STORE_TURN_CANCELLED, NULL, false);
    assert_int_equal(summary().waiting, 3);
    // Only what ends has a reply.
    struct store_reply reply = {.text = S("early")};
    struct store_turn_step step = {.turn = S("t1"), .state = STORE_TURN_MODEL, .reply = &reply};
    assert_int_equal(store_turn_advance(talk.store, &step, STORE_DURABLE, NULL, NULL, NULL),
                     -EINVAL);
}

static void a_shown_message_gets_the_text(void **state)
{
    (void)state;
    talk_begin(talk.store, "t1", 0, NULL);
    struct outcome opened = talk_open(talk.store, "t1");
    assert_int_equal(opened.result, 0);
    assert_string_equal(waiting(0), "open t1 flying 0 [] \"\"|");
    struct outcome again = talk_open(talk.store, "t1");
    assert_int_equal(again.result, STORE_DUPLICATE);
    assert_int_equal(again.rowid, opened.rowid);
    set_message(opened.rowid, "m1");
    struct store_delivery_change change = change_of(opened.rowid, STORE_DELIVERY_OPEN);
    change.in_flight = true;
    change.part = 1;
    change.attempts = 2;
    talk_change(talk.store, &change);
    talk_finish(talk.store, "t1", STORE_TURN_DONE, "whole", false);
    assert_string_equal(waiting(0), "pending t1 flying 1 [m1] \"whole\"|");
    assert_int_equal(summary().oldest_ms, 3500);
    // A word from the channel that was late.
    set_message(opened.rowid, "m2");
    assert_string_equal(waiting(0), "pending t1 1 [m2] \"whole\"|");
    change = change_of(opened.rowid, STORE_DELIVERY_KEEP);
    change.message_id = S("");
    talk_change(talk.store, &change);
    assert_string_equal(waiting(0), "pending t1 1 [] \"whole\"|");
    assert_int_equal(talk_open(talk.store, "t1").result, STORE_DUPLICATE);
}

static int64_t show(const char *turn)
{
    talk_begin(talk.store, turn, 0, NULL);
    struct outcome opened = talk_open(talk.store, turn);
    assert_int_equal(opened.result, 0);
    return opened.rowid;
}

static void an_end_without_a_reply_leaves_nothing_open(void **state)
{
    (void)state;
    int64_t unknown = show("t1"), begun = show("t2"), refused = show("t3");
    set_message(begun, "m2");
    set_message(refused, NULL);
    talk_finish(talk.store, "t1", STORE_TURN_CANCELLED, NULL, false);
    talk_finish(talk.store, "t2", STORE_TURN_CANCELLED, NULL, false);
    talk_finish(talk.store, "t3", STORE_TURN_CANCELLED, NULL, false);
    assert_string_equal(delivery(unknown), "sent t1 flying 0 [] \"\"|");
    assert_string_equal(delivery(begun), "sent t2 0 [m2] \"\"|");
    assert_string_equal(delivery(refused), "gone");
    assert_string_equal(waiting(0), "");
    assert_int_equal(talk_open(talk.store, "t3").result, -EALREADY);
    assert_int_equal(talk_open(talk.store, "t9").result, -ENOENT);
}

static void a_reply_for_what_was_begun_begins_nothing(void **state)
{
    (void)state;
    int64_t unknown = show("t1"), begun = show("t2"), refused = show("t3"), second = show("t4");
    set_message(begun, "m2");
    set_message(refused, NULL);
    struct store_delivery_change change = change_of(second, STORE_DELIVERY_OPEN);
    change.part = 1; // one message is complete, the next one not begun
    talk_change(talk.store, &change);
    talk_finish(talk.store, "t1", STORE_TURN_CANCELLED, "stopped", true);
    talk_finish(talk.store, "t2", STORE_TURN_CANCELLED, "stopped", true);
    talk_finish(talk.store, "t3", STORE_TURN_CANCELLED, "stopped", true);
    talk_finish(talk.store, "t4", STORE_TURN_CANCELLED, "stopped", true);
    assert_string_equal(delivery(unknown), "pending t1 flying 0 [] \"stopped\"|");
    assert_string_equal(delivery(begun), "pending t2 0 [m2] \"stopped\"|");
    assert_string_equal(delivery(refused), "gone");
    assert_string_equal(delivery(second), "pending t4 1 [] \"stopped\"|");
}

static void a_refused_beginning_does_not_take_the_reply_with_it(void **state)
{
    (void)state;
    int64_t first = show("t1");
    struct store_delivery_change change = change_of(first, STORE_DELIVERY_FAILED);
    change.error = S("the chat was not found");
    talk_change(talk.store, &change);
    assert_int_equal(summary().failed, 1);
    talk_finish(talk.store, "t1", STORE_TURN_DONE, "whole", false);
    assert_string_equal(delivery(first), "gone");
    assert_string_equal(waiting(0), "pending t1 0 [] \"whole\"|");
    assert_int_equal(summary().failed, 0);
}

static void what_was_given_up_does_not_wait(void **state)
{
    (void)state;
    talk_begin(talk.store, "t1", 0, NULL);
    talk_finish(talk.store, "t1", STORE_TURN_DONE, "one", false);
    talk_begin(talk.store, "t2", 0, NULL);
    talk_finish(talk.store, "t2", STORE_TURN_DONE, "two", false);
    struct store_delivery_change change = change_of(1, STORE_DELIVERY_FAILED);
    change.attempts = 9;
    change.error = S("blocked");
    assert_int_equal(talk_change(talk.store, &change).result, 0);
    assert_string_equal(waiting(0), "pending t2 0 [] \"two\"|");
    assert_int_equal(summary().waiting, 1);
    assert_int_equal(summary().failed, 1);
    assert_string_equal(
        fixture_text(talk.path, "SELECT attempts || error FROM outbox WHERE number = 1"),
        "9blocked");
    change.number = 99;
    assert_int_equal(talk_change(talk.store, &change).result, STORE_NOT_FOUND);
    change.state = 4;
    assert_int_equal(store_outbox_change(talk.store, &change, NULL, NULL, NULL), -EINVAL);
    struct store_outbox_summary other = {9, 9, 9};
    assert_int_equal(store_read_outbox_summary(talk.store, S("discord"), &other, NULL), 0);
    assert_int_equal(other.waiting + other.failed + other.oldest_ms, 0);
}

static void sent_replies_are_forgotten_after_a_while(void **state)
{
    (void)state;
    const char *const turns[] = {"t1", "t2", "t3", "t4"};
    struct store_delivery_change change = change_of(1, STORE_DELIVERY_SENT);
    for (int i = 0; i < 4; i++) {
        talk_begin(talk.store, turns[i], 0, NULL);
        talk_finish(talk.store, turns[i], STORE_TURN_DONE, turns[i], false);
    }
    change.now_ms = 5000;
    talk_change(talk.store, &change);
    change.number = 2;
    change.now_ms = 5000 + STORE_SENT_KEEP_MS;
    talk_change(talk.store, &change);
    assert_string_equal(delivery(1), "sent t1 0 [] \"\"|"); // its text is not needed any more
    change.number = 3;
    change.now_ms++;
    talk_change(talk.store, &change);
    assert_string_equal(delivery(1), "gone");
    assert_string_equal(delivery(2), "sent t2 0 [] \"\"|");
    assert_string_equal(waiting(0), "pending t4 0 [] \"t4\"|");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, talk_setup_session, talk_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_end_of_a_turn_makes_its_reply_due),
        TEST(a_shown_message_gets_the_text),
        TEST(an_end_without_a_reply_leaves_nothing_open),
        TEST(a_reply_for_what_was_begun_begins_nothing),
        TEST(a_refused_beginning_does_not_take_the_reply_with_it),
        TEST(what_was_given_up_does_not_wait),
        TEST(sent_replies_are_forgotten_after_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
