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
#include "store/key_value.h"
#include "store/session.h"
#include "store/turn_read.h"
#include "support/store_fixture.h"
#include "support/store_talk.h"

// Turns and sessions as they are read again: what goes on, what was taken back, what it cost.

#define S(text) SPAN_LITERAL(text)

struct seen {
    int count;
    char ids[256]; // each followed by "|"
    char where[64];
    struct store_turn_row last; // numbers only
};

static bool keep_turn(void *context, const struct store_turn_row *turn)
{
    struct seen *seen = context;
    size_t used = strlen(seen->ids);
    snprintf(seen->ids + used, sizeof seen->ids - used, "%.*s|", (int)turn->id.len, turn->id.data);
    snprintf(seen->where, sizeof seen->where, "%.*s/%.*s/%.*s", (int)turn->session.len,
             turn->session.data, (int)turn->channel.len, turn->channel.data, (int)turn->chat.len,
             turn->chat.data);
    seen->last = *turn;
    seen->count++;
    return true;
}

static struct seen open_turns(void)
{
    struct seen seen = {0};
    assert_int_equal(store_read_open_turns(talk.store, keep_turn, &seen, NULL), 0);
    return seen;
}

static void keep_question(void *context, struct span turn, struct span text)
{
    snprintf(context, 64, "%.*s: %.*s", (int)turn.len, turn.data, (int)text.len, text.data);
}

static const char *last_question(void)
{
    static char text[64];
    int r = store_read_question(store_view(talk.store), S("a"), keep_question, text, NULL);
    return r == STORE_NOT_FOUND ? "none" : text;
}

static void open_turns_are_found_after_a_stop(void **state)
{
    (void)state;
    talk_begin(talk.store, "t1", 0, NULL);
    talk_begin(talk.store, "t2", 0, NULL);
    talk_begin(talk.store, "t3", 0, NULL);
    struct store_turn_step step = {
        .turn = S("t2"), .state = STORE_TURN_TOOLS, .iteration = 4, .usage = {10, 2, 5, 300}};
    talk_advance(talk.store, &step);
    talk_finish(talk.store, "t1", STORE_TURN_DONE, NULL, false);
    store_close(talk.store);
    talk.store = fixture_open(talk.home, NULL);
    struct seen seen = open_turns();
    assert_string_equal(seen.ids, "t2|t3|");
    assert_string_equal(seen.where, "a/telegram/7");
    assert_int_equal(seen.last.state, STORE_TURN_QUEUED);
    assert_int_equal(seen.last.ended_ms, 0);
    for (int i = 1; i <= 2; i++) {
        struct outcome resumed = {0};
        assert_true(store_turn_resume(talk.store, S("t2"), fixture_done, &resumed, NULL) > 0);
        store_wait(talk.store);
        assert_int_equal(resumed.result, 0);
        assert_int_equal(resumed.rowid, i);
    }
    talk_finish(talk.store, "t3", STORE_TURN_DONE, NULL, false);
    seen = open_turns();
    assert_string_equal(seen.ids, "t2|");
    assert_int_equal(seen.last.state, STORE_TURN_TOOLS);
    assert_int_equal(seen.last.iteration, 4);
    assert_int_equal(seen.last.resumes, 2);
    assert_int_equal(seen.last.usage.cost_pico, 300);
    assert_int_equal(seen.last.started_ms, 3000);
    struct outcome late = {0}, none = {0};
    store_turn_resume(talk.store, S("t1"), fixture_done, &late, NULL);
    store_turn_resume(talk.store, S("t9"), fixture_done, &none, NULL);
    store_wait(talk.store);
    assert_int_equal(late.result, -EALREADY);
    assert_int_equal(none.result, -ENOENT);
}

static void a_fact_is_written_by_itself(void **state)
{
    (void)state;
    static char long_text[STORE_VALUE_MAX + 1];
    memset(long_text, 'x', sizeof long_text);
    const struct span longest = span_make(long_text, STORE_VALUE_MAX);
    BUF_AUTO text = BUF_INIT(STORE_VALUE_MAX);
    const struct span texts[] = {S("first"), longest, S("")};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct outcome done = {0};
        buf_clear(&text);
        assert_true(store_write_key_value(talk.store, S("alone"), texts[i], STORE_GROUPED,
                                          fixture_done, &done, NULL) > 0);
        store_wait(talk.store);
        assert_int_equal(done.result, 0);
        assert_int_equal(store_read_key_value(talk.store, S("alone"), &text, NULL), 0);
        assert_true(span_equal(buf_span(&text), texts[i]));
    }
    // Not the store's own marks.
    assert_int_equal(store_read_key_value(talk.store, S("clean"), &text, NULL), STORE_NOT_FOUND);
    const struct span bad[][2] = {
        {S("alone"), span_make(long_text, sizeof long_text)},
        {span_make(long_text, STORE_KEY_MAX + 1), S("x")},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct span name = bad[i][0], fact = bad[i][1];
        struct error err = ERROR_INIT;
        assert_int_equal(
            store_write_key_value(talk.store, name, fact, STORE_GROUPED, NULL, NULL, &err), -E2BIG);
        assert_int_equal(strstr(err.text, "key") != NULL, i == 1);
    }
}

static void a_dropped_turn_is_not_part_of_the_conversation(void **state)
{
    (void)state;
    assert_string_equal(last_question(), "none");
    talk_begin(talk.store, "t1", 0, NULL);
    talk_finish(talk.store, "t1", STORE_TURN_DONE, NULL, false);
    talk_begin(talk.store, "t2", 0, NULL);
    talk_finish(talk.store, "t2", STORE_TURN_DONE, NULL, false);
    assert_int_equal(talk_begin(talk.store, "t3", 0, "t2").result, 0); // said again
    assert_string_equal(talk_messages(talk.store, "a"), "t1 asks|t1 answers|t3 asks|");
    assert_string_equal(last_question(), "t3: t3 asks");
    struct store_settlement undo = {.drop_turn = S("t3")}; // taken back while it runs
    assert_int_equal(talk_settle(talk.store, &undo).result, 0);
    talk_finish(talk.store, "t3", STORE_TURN_CANCELLED, NULL, false);
    assert_string_equal(talk_messages(talk.store, "a"), "t1 asks|t1 answers|");
    assert_string_equal(last_question(), "t1: t1 asks");
    assert_int_equal(talk_begin(talk.store, "t4", 0, "none").result, -ENOENT);
    assert_string_equal(last_question(), "t1: t1 asks");
    // It is counted, because it was paid for.
    struct store_turn_sums sums;
    assert_int_equal(store_read_turn_sums(store_view(talk.store), S("a"), &sums, NULL), 0);
    assert_int_equal(sums.turns, 3);
}

static bool keep_call(void *context, const struct store_tool_call *call)
{
    char *text = context;
    size_t used = strlen(text);
    snprintf(text + used, 512 - used, "%d:%.*s(%.*s)%s%s=%.*s|", call->ordinal, (int)call->name.len,
             call->name.data, (int)call->arguments.len, call->arguments.data,
             call->flags == 5 ? "" : "!", call->state == STORE_CALL_DONE ? "" : "?",
             (int)call->result.len, call->result.data ? call->result.data : "");
    return true;
}

static void the_calls_of_an_iteration_come_back(void **state)
{
    (void)state;
    char text[512] = "";
    talk_begin(talk.store, "t1", 0, NULL);
    struct store_tool_call calls[] = {
        {.ordinal = 1, .name = S("write_file"), .arguments = S("{}"), .state = STORE_CALL_PENDING},
        {.ordinal = 0,
         .name = S("read_file"),
         .arguments = S("{not json"),
         .state = STORE_CALL_DONE,
         .flags = 5,
         .result = S("text")}};
    struct store_turn_step step = {.turn = S("t1"),
                                   .state = STORE_TURN_TOOLS,
                                   .iteration = 1,
                                   .calls = calls,
                                   .call_count = 2};
    talk_advance(talk.store, &step);
    assert_int_equal(store_read_tool_calls(talk.store, S("t1"), 1, keep_call, text, NULL), 0);
    assert_string_equal(text, "0:read_file({not json)=text|1:write_file({})!?=|");
    text[0] = '\0';
    assert_int_equal(store_read_tool_calls(talk.store, S("t1"), 2, keep_call, text, NULL), 0);
    assert_int_equal(store_read_tool_calls(talk.store, S("t9"), 1, keep_call, text, NULL), 0);
    assert_string_equal(text, "");
}

static void what_turns_used_up_is_summed(void **state)
{
    (void)state;
    struct store_turn_sums sums = {.turns = 9};
    assert_int_equal(store_read_turn_sums(store_view(talk.store), S(""), &sums, NULL), 0);
    assert_int_equal(sums.turns + sums.done + sums.open + sums.usage.input_tokens, 0);
    const char *const turns[] = {"t1", "t2", "t3", "t4"};
    for (size_t i = 0; i < ARRAY_LEN(turns); i++) {
        talk_begin(talk.store, turns[i], 0, NULL);
        struct store_turn_step step = {.turn = span_of(turns[i]),
                                       .state = STORE_TURN_MODEL,
                                       .iteration = 1,
                                       .usage = {100, 20, 3, 4000}};
        talk_advance(talk.store, &step);
    }
    talk_finish(talk.store, "t1", STORE_TURN_DONE, NULL, false);
    talk_finish(talk.store, "t2", STORE_TURN_FAILED, NULL, false);
    talk_finish(talk.store, "t3", STORE_TURN_CANCELLED, NULL, false);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            store_read_turn_sums(store_view(talk.store), i ? S("a") : S(""), &sums, NULL), 0);
        assert_int_equal(sums.turns, 4);
        assert_int_equal(sums.done, 1);
        assert_int_equal(sums.failed, 1);
        assert_int_equal(sums.cancelled, 1);
        assert_int_equal(sums.open, 1);
        assert_int_equal(sums.usage.input_tokens, 400);
        assert_int_equal(sums.usage.cached_tokens, 80);
        assert_int_equal(sums.usage.output_tokens, 12);
        assert_int_equal(sums.usage.cost_pico, 16000);
    }
    fixture_exec(talk.path, "UPDATE turns SET cost_pico = 9223372036854775807");
    assert_int_equal(store_read_turn_sums(store_view(talk.store), S(""), &sums, NULL), 0);
    assert_int_equal(sums.usage.cost_pico, INT64_MAX);
    assert_int_equal(store_read_turn_sums(store_view(talk.store), S("none"), &sums, NULL), 0);
    assert_int_equal(sums.turns, 0);
}

static bool keep_listed(void *context, const struct store_session_row *row)
{
    char *text = context;
    size_t used = strlen(text);
    assert_null(row->session.prompt.data);
    snprintf(text + used, 256 - used, "%.*s %d/%d|", (int)row->session.id.len, row->session.id.data,
             (int)row->messages, (int)row->turns);
    return true;
}

static const char *listed(int limit)
{
    static char text[256];
    text[0] = '\0';
    assert_int_equal(store_read_sessions(store_view(talk.store), limit, keep_listed, text, NULL),
                     0);
    return text;
}

static void sessions_are_listed_by_use(void **state)
{
    (void)state;
    talk_create(talk.store, "b");
    assert_string_equal(listed(10), "b 0/0|a 0/0|");
    talk_begin(talk.store, "t1", 0, NULL);
    talk_finish(talk.store, "t1", STORE_TURN_DONE, NULL, false);
    assert_string_equal(listed(10), "a 2/1|b 0/0|");
    talk_create(talk.store, "c");
    struct store_message m = {.session = S("b"), .role = S("user"), .created_ms = 1};
    fixture_append(talk.store, &m, STORE_DURABLE, NULL, NULL, NULL); // by a clock of 1970
    store_wait(talk.store);
    assert_string_equal(listed(10), "b 1/0|c 0/0|a 2/1|");
    assert_string_equal(listed(1), "b 1/0|");
    assert_string_equal(listed(-1), "");
}

static void keep_id(void *context, const struct store_session *session)
{
    snprintf(context, 64, "%.*s", (int)session->id.len, session->id.data);
}

static void a_session_is_found_by_the_beginning_of_its_id(void **state)
{
    (void)state;
    char id[64] = "";
    talk_create(talk.store, "f00d1");
    talk_create(talk.store, "f00d2");
    assert_int_equal(store_find_session(store_view(talk.store), S("f00d2"), keep_id, id, NULL), 0);
    assert_string_equal(id, "f00d2");
    assert_int_equal(store_find_session(store_view(talk.store), S("f"), keep_id, id, NULL),
                     -EINVAL);
    assert_int_equal(store_find_session(store_view(talk.store), S("g"), keep_id, id, NULL),
                     STORE_NOT_FOUND);
    assert_int_equal(store_find_session(store_view(talk.store), S("a"), keep_id, id, NULL), 0);
    assert_string_equal(id, "a");
}

static struct outcome delete_session(const char *id)
{
    struct outcome outcome = {0};
    assert_true(store_session_delete(talk.store, span_of(id), fixture_done, &outcome, NULL) > 0);
    store_wait(talk.store);
    return outcome;
}

static void a_deleted_session_leaves_nothing_behind(void **state)
{
    (void)state;
    talk_begin(talk.store, "t1", 0, NULL);
    struct store_tool_call call = {.name = S("x")};
    struct store_turn_step step = {.turn = S("t1"),
                                   .state = STORE_TURN_TOOLS,
                                   .iteration = 1,
                                   .calls = &call,
                                   .call_count = 1};
    talk_advance(talk.store, &step);
    talk_finish(talk.store, "t1", STORE_TURN_DONE, "was delivered", false);
    struct store_delivery_change sent = {.number = 1, .state = STORE_DELIVERY_SENT};
    talk_change(talk.store, &sent);
    talk_begin(talk.store, "t2", 0, NULL);
    struct outcome busy = delete_session("a");
    assert_int_equal(busy.result, -EBUSY);
    assert_non_null(strstr(busy.err.text, "turn t2 has not ended"));
    assert_non_null(strstr(busy.err.text, "/stop"));
    assert_string_equal(talk_messages(talk.store, "a"), "t1 asks|t1 answers|t2 asks|");
    talk_finish(talk.store, "t2", STORE_TURN_DONE, "is waited for", false);
    assert_int_equal(delete_session("a").result, 0);
    assert_int_equal(delete_session("a").result, STORE_NOT_FOUND);
    static const char *const tables[] = {"sessions", "turns", "messages", "tool_calls"};
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        char sql[64];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", tables[i]);
        assert_int_equal(fixture_number(talk.path, sql), 0);
    }
    assert_string_equal(fixture_text(talk.path, "SELECT group_concat(text) FROM outbox"),
                        "is waited for");
    // Numbers do not come back, so nothing can be taken for what is gone.
    talk_create(talk.store, "a");
    talk_begin(talk.store, "t1", 0, NULL);
    assert_int_equal(fixture_number(talk.path, "SELECT number FROM turns"), 3);
}

static void reads_wait_for_the_store(void **state)
{
    (void)state;
    struct store *closed = NULL;
    struct seen seen = {0};
    struct store_turn_sums sums;
    assert_int_equal(store_open(fixture_path(talk.home, "nowhere"), NULL, &closed, NULL), 0);
    store_wait(closed);
    assert_int_equal(store_read_open_turns(closed, keep_turn, &seen, NULL), -EIO);
    assert_int_equal(store_read_turn_sums(store_view(closed), S(""), &sums, NULL), -EIO);
    store_close(closed);
}

static void keep_number(void *context, int result, const struct error *err, int64_t rowid)
{
    *(int64_t *)context = result < 0 ? -1 : 100 * result + rowid;
}

static int64_t pruned_before(int64_t before_ms)
{
    int64_t found = -2;
    assert_true(
        store_sessions_prune(talk.store, before_ms, SPAN_ABSENT, keep_number, &found, NULL) > 0);
    store_wait(talk.store);
    return found;
}

// In batches; what goes on in its chat stays, and so does what has a turn that has not ended.
static void sessions_that_have_ended_are_pruned(void **state)
{
    (void)state;
    talk_begin(talk.store, "t1", 0, NULL);
    char sql[512];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO sessions(id, channel, chat, created_ms, updated_ms, picked)"
             " SELECT 'old' || i, 'telegram', '7', 1, i, i + 100 FROM n",
             STORE_PRUNED_MAX + 3);
    store_wait(talk.store);
    fixture_exec(talk.path, sql);
    fixture_exec(talk.path, "UPDATE sessions SET updated_ms = 5000 WHERE id = 'a'");
    assert_int_equal(pruned_before(1), 0); // none is that old
    assert_int_equal(pruned_before(1000), 100 * STORE_LEFT_OVER + STORE_PRUNED_MAX);
    assert_int_equal(pruned_before(1000), 2); // the newest goes on
    assert_int_equal(pruned_before(INT64_MAX), 0);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM sessions"), 2);
    talk_finish(talk.store, "t1", STORE_TURN_DONE, NULL, false);
    assert_int_equal(pruned_before(INT64_MAX), 1);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM messages"), 0);
}

// Nobody goes on with the run of a job, or with a task that was handed on. But while the turn that
// handed it on has not ended, it may still read what came of it.
static void runs_and_tasks_are_pruned(void **state)
{
    int64_t count = 0;
    (void)state;
    talk_begin(talk.store, "t1", 0, NULL);
    store_wait(talk.store);
    fixture_exec(talk.path,
                 "INSERT INTO sessions(id, channel, chat, thread, created_ms, updated_ms,"
                 " picked) VALUES ('run', 'cron', 'job', '1-1', 1, 1, 900),"
                 " ('mine', 'delegate', 'a', 't', 1, 1, 901),"
                 " ('other', 'delegate', 'b', 't', 1, 1, 902),"
                 " ('only', 'api', '', '', 1, 1, 903)");
    assert_int_equal(store_count_ended(store_view(talk.store), 1, SPAN_ABSENT, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(store_count_ended(store_view(talk.store), 1000, SPAN_ABSENT, &count, NULL), 0);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < 2; i++) {
        struct span channel = i ? S("cron") : S("api");
        assert_int_equal(store_count_ended(store_view(talk.store), 1000, channel, &count, NULL), 0);
        assert_int_equal(count, i);
    }
    assert_int_equal(pruned_before(1000), 2);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM sessions WHERE id IN"
                                               " ('mine', 'only')"),
                     2);
    talk_finish(talk.store, "t1", STORE_TURN_DONE, NULL, false);
    assert_int_equal(pruned_before(1000), 1);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM sessions WHERE id = 'mine'"),
                     0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, talk_setup_session, talk_teardown)
    const struct CMUnitTest tests[] = {
        TEST(open_turns_are_found_after_a_stop),
        TEST(a_fact_is_written_by_itself),
        TEST(a_dropped_turn_is_not_part_of_the_conversation),
        TEST(the_calls_of_an_iteration_come_back),
        TEST(what_turns_used_up_is_summed),
        TEST(sessions_are_listed_by_use),
        TEST(a_session_is_found_by_the_beginning_of_its_id),
        TEST(a_deleted_session_leaves_nothing_behind),
        TEST(sessions_that_have_ended_are_pruned),
        TEST(runs_and_tasks_are_pruned),
        TEST(reads_wait_for_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
