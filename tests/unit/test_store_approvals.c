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
#include "store/approval.h"
#include "store/turn_read.h"
#include "support/store_fixture.h"
#include "support/store_talk.h"

// Turns that wait for somebody's approval: they ask, are answered once, and go on or end.

#define S(text) SPAN_LITERAL(text)

static struct outcome ask(const char *turn, size_t count)
{
    static const struct store_approval questions[] = {{.ordinal = 0,
                                                       .code = S("aaaa0000"),
                                                       .name = S("ring"),
                                                       .arguments = S("{\"n\":1}"),
                                                       .hash = S("h0"),
                                                       .may_answer = S("owner"),
                                                       .expires_ms = 9000},
                                                      {.ordinal = 1,
                                                       .code = S("bbbb1111"),
                                                       .name = S("ring"),
                                                       .arguments = S("{}"),
                                                       .hash = S("h1"),
                                                       .expires_ms = 8000}};
    static const struct store_tool_call calls[] = {
        {.ordinal = 0, .call_id = S("c0"), .name = S("ring"), .arguments = S("{\"n\":1}")},
        {.ordinal = 1, .call_id = S("c1"), .name = S("ring"), .arguments = S("{}")}};
    struct store_message message = {.role = S("assistant"), .content = S("May I?")};
    struct store_reply reply = {.channel = TALK_CHANNEL,
                                .chat = TALK_CHAT,
                                .text = S("May I?"),
                                .kind = STORE_REPLY_QUESTION,
                                .buttons = S("[1]")};
    struct store_turn_step step = {.turn = span_of(turn),
                                   .state = STORE_TURN_WAITING,
                                   .iteration = 1,
                                   .now_ms = 4000,
                                   .messages = &message,
                                   .message_count = 1,
                                   .calls = calls,
                                   .call_count = 2,
                                   .questions = questions,
                                   .question_count = count,
                                   .reply = count ? &reply : NULL};
    return talk_advance(talk.store, &step);
}

static int setup(void **state)
{
    talk_setup_session(state);
    talk_begin(talk.store, "t1", 0, NULL);
    return 0;
}

static bool add_question(void *context, const struct store_approval *a)
{
    static const char marks[] = "?+-x";
    size_t used = strlen(context);
    snprintf((char *)context + used, 256 - used, "%.*s %.*s%.*s%c|", (int)a->code.len, a->code.data,
             (int)a->name.len, a->name.data, (int)a->arguments.len, a->arguments.data,
             marks[a->state]);
    return true;
}

static const char *questions(void)
{
    static char text[256];
    struct store_session_key key = {.channel = TALK_CHANNEL, .chat = TALK_CHAT};
    text[0] = '\0';
    assert_int_equal(store_read_questions(store_view(talk.store), &key, add_question, text, NULL),
                     0);
    return text;
}

static const char *states(void)
{
    static char text[256];
    text[0] = '\0';
    assert_int_equal(
        store_read_approvals(store_view(talk.store), S("t1"), 1, add_question, text, NULL), 0);
    return text;
}

static int64_t expiry(void)
{
    int64_t ms = 0;
    return store_read_expiry(store_view(talk.store), &ms, NULL) == STORE_NOT_FOUND ? -1 : ms;
}

static struct outcome answer(int ordinal, bool approved, int64_t now_ms)
{
    struct store_answer given = {.turn = S("t1"),
                                 .iteration = 1,
                                 .ordinal = ordinal,
                                 .approved = approved,
                                 .by = S("owner")};
    return talk_settle(talk.store, &(struct store_settlement){.answer = &given, .now_ms = now_ms});
}

static struct outcome resume(void)
{
    struct outcome outcome = {0};
    assert_true(store_turn_resume(talk.store, S("t1"), fixture_done, &outcome, NULL) > 0);
    store_wait(talk.store);
    return outcome;
}

static struct outcome expire(int64_t now_ms)
{
    struct outcome outcome = {0};
    assert_true(store_approvals_expire(talk.store, now_ms, fixture_done, &outcome, NULL) > 0);
    store_wait(talk.store);
    return outcome;
}

static bool count_turn(void *context, const struct store_turn_row *turn)
{
    int64_t *asked = context;
    asked[0]++;
    asked[1] = turn->asked;
    return true;
}

// A question that nobody will answer must not keep its session.
static void a_session_is_deleted_with_its_questions(void **state)
{
    (void)state;
    struct outcome outcome = {0};
    ask("t1", 2);
    answer(0, true, 5000);
    assert_true(store_session_delete(talk.store, S("a"), fixture_done, &outcome, NULL) > 0);
    store_wait(talk.store);
    assert_int_equal(outcome.result, 0);
    assert_string_equal(questions(), "");
    assert_int_equal(expiry(), -1);
}

static void a_session_whose_turn_is_about_to_go_on_stays(void **state)
{
    (void)state;
    struct outcome outcome = {0};
    ask("t1", 1);
    answer(0, true, 5000);
    assert_true(store_session_delete(talk.store, S("a"), fixture_done, &outcome, NULL) > 0);
    store_wait(talk.store);
    assert_int_equal(outcome.result, -EBUSY);
}

static void a_turn_waits_until_all_is_answered(void **state)
{
    (void)state;
    int64_t open[2] = {0}, waiting[2] = {0}, again[2] = {0};
    assert_int_equal(ask("t1", 2).result, 0);
    assert_string_equal(questions(), "aaaa0000 ring{\"n\":1}?|bbbb1111 ring{}?|");
    assert_int_equal(expiry(), 8000);
    assert_int_equal(store_read_open_turns(talk.store, count_turn, open, NULL), 0);
    assert_int_equal(open[0], 0);
    assert_int_equal(store_read_waiting_turns(talk.store, 0, count_turn, waiting, NULL), 0);
    assert_int_equal(waiting[0], 1);
    assert_int_equal(waiting[1], 2);
    assert_int_equal(answer(0, true, 5000).result, 0);
    assert_string_equal(questions(), "bbbb1111 ring{}?|");
    assert_int_equal(resume().result, -EBUSY);
    assert_int_equal(answer(1, false, 5000).result, 0);
    assert_string_equal(questions(), "");
    assert_string_equal(states(), "aaaa0000 ring{\"n\":1}+|bbbb1111 ring{}-|");
    assert_int_equal(expiry(), -1);
    assert_int_equal(store_read_waiting_turns(talk.store, 0, count_turn, again, NULL), 0);
    assert_int_equal(again[1], 0);
    // It goes on, and that is no stop of the program; the next time is.
    assert_int_equal(resume().rowid, 0);
    assert_string_equal(fixture_text(talk.path, "SELECT state FROM turns"), "tools");
    assert_int_equal(resume().rowid, 1);
}

static void a_question_is_answered_once_and_in_time(void **state)
{
    (void)state;
    ask("t1", 2);
    assert_int_equal(answer(0, true, 9000).result, -EALREADY); // it has expired, noticed or not
    assert_int_equal(answer(0, false, 8999).result, 0);
    assert_int_equal(answer(0, true, 8999).result, -EALREADY);
    assert_int_equal(answer(2, true, 5000).result, -EALREADY);
    assert_string_equal(states(), "aaaa0000 ring{\"n\":1}-|bbbb1111 ring{}?|");
    assert_int_equal(expire(7999).rowid, 0);
    assert_int_equal(expire(8000).rowid, 1);
    assert_string_equal(states(), "aaaa0000 ring{\"n\":1}-|bbbb1111 ring{}x|");
    assert_int_equal(answer(1, true, 5000).result, -EALREADY);
}

static void waiting_and_questions_go_together(void **state)
{
    (void)state;
    assert_true(ask("t1", 2).result == 0);
    struct store_turn_step step = {.turn = S("t1"), .state = STORE_TURN_WAITING, .iteration = 1};
    struct error err = ERROR_INIT;
    assert_int_equal(store_turn_advance(talk.store, &step, STORE_DURABLE, NULL, NULL, &err),
                     -EINVAL);
    assert_non_null(strstr(err.text, "asks when it waits"));
}

static void the_end_closes_its_questions(void **state)
{
    (void)state;
    ask("t1", 2);
    assert_int_equal(talk_finish(talk.store, "t1", STORE_TURN_FAILED, NULL, false).result, 0);
    assert_string_equal(states(), "aaaa0000 ring{\"n\":1}-|bbbb1111 ring{}-|");
    assert_int_equal(answer(0, true, 5000).result, -EALREADY);
}

static void a_turn_that_waits_is_cancelled(void **state)
{
    (void)state;
    struct store_cancellation cancel = {S("t1"), S("not run"), S("(no answer)")};
    struct store_settlement stop = {.cancel = &cancel, .now_ms = 6000};
    assert_int_equal(talk_settle(talk.store, &stop).result, -EALREADY); // it does not wait
    assert_int_equal(ask("t1", 2).result, 0);
    assert_int_equal(talk_settle(talk.store, &stop).result, 0);
    assert_string_equal(talk_messages(talk.store, "a"),
                        "t1 asks|May I?|not run|not run|(no answer)|");
    assert_string_equal(fixture_text(talk.path, "SELECT group_concat(tool_call_id) FROM messages"),
                        "c0,c1");
    assert_string_equal(fixture_text(talk.path, "SELECT state || ended_ms FROM turns"),
                        "cancelled6000");
    assert_string_equal(states(), "aaaa0000 ring{\"n\":1}-|bbbb1111 ring{}-|");
    assert_int_equal(talk_settle(talk.store, &stop).result, -EALREADY);
}

// What was shown before becomes the question, and the answer has a row of its own.
static void the_question_is_another_delivery(void **state)
{
    (void)state;
    int64_t begun = talk_open(talk.store, "t1").rowid;
    ask("t1", 1);
    assert_string_equal(
        fixture_text(talk.path, "SELECT number || kind || state || text || buttons FROM outbox"),
        "1questionpendingMay I?[1]");
    assert_int_equal(begun, 1);
    answer(0, true, 5000);
    resume();
    assert_int_equal(talk_open(talk.store, "t1").rowid, 2);
    assert_int_equal(talk_finish(talk.store, "t1", STORE_TURN_DONE, "Rung.", false).result, 0);
    assert_string_equal(fixture_text(talk.path, "SELECT group_concat(kind || state || text || "
                                                "buttons, ', ') FROM outbox"),
                        "questionpendingMay I?[1], replypendingRung.");
}

static bool keep_inbound(void *context, const struct store_inbound *m)
{
    size_t used = strlen(context);
    snprintf((char *)context + used, 256 - used, "%d %.*s %.*s|", m->kind, (int)m->text.len,
             m->text.data, (int)m->payload.len, m->payload.data);
    return true;
}

static void what_comes_in_has_a_kind(void **state)
{
    (void)state;
    char text[256] = "";
    const struct store_inbound messages[] = {
        {.chat = TALK_CHAT, .external_id = S("1"), .text = S("hi")},
        {.chat = TALK_CHAT,
         .external_id = S("2"),
         .kind = STORE_INBOUND_BUTTON,
         .text = S("/approve aaaa0000"),
         .payload = S("{\"message\":7}")},
        {.chat = TALK_CHAT, .external_id = S("3"), .kind = STORE_INBOUND_EVENT, .text = S("ding")}};
    struct outcome outcome = {0};
    assert_true(store_inbox_add(talk.store, (struct store_queue){.channel = TALK_CHANNEL}, 1,
                                messages, ARRAY_LEN(messages), fixture_done, &outcome, NULL) > 0);
    store_wait(talk.store);
    assert_int_equal(outcome.rowid, 3);
    assert_int_equal(store_read_inbox(talk.store, 0, keep_inbound, text, NULL), 0);
    assert_string_equal(text, "0 hi |1 /approve aaaa0000 {\"message\":7}|4 ding |");
    int64_t number = 2;
    talk_settle(talk.store, &(struct store_settlement){.inbox = &number, .inbox_count = 1});
    assert_int_equal(
        fixture_number(talk.path, "SELECT length(text || payload) FROM inbox WHERE number = 2"), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, talk_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_turn_waits_until_all_is_answered),
        TEST(a_question_is_answered_once_and_in_time),
        TEST(waiting_and_questions_go_together),
        TEST(the_end_closes_its_questions),
        TEST(a_turn_that_waits_is_cancelled),
        TEST(the_question_is_another_delivery),
        TEST(what_comes_in_has_a_kind),
        TEST(a_session_is_deleted_with_its_questions),
        TEST(a_session_whose_turn_is_about_to_go_on_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
