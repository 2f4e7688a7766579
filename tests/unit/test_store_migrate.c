// links: store_fixture store_generation store_talk
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "store/message.h"
#include "store/migrate.h"
#include "store/session.h"
#include "store/store_thread.h"
#include "store/turn_read.h"
#include "support/store_fixture.h"
#include "support/store_generation.h"
#include "support/store_talk.h"

// Generations of a file: one is brought to the next, and a step that fails changes nothing.

static char home[FIXTURE_PATH_MAX];
static char path[FIXTURE_PATH_MAX + 16];

static int make_home(void **state)
{
    (void)state;
    fixture_make_home(home);
    snprintf(path, sizeof path, "%s", fixture_path(home, "state.db"));
    return 0;
}

static int remove_home(void **state)
{
    (void)state;
    fixture_remove_home(home);
    return 0;
}

static struct store *open_with(const char *second, const char *third)
{
    const char *steps[3] = {store_schema.steps[0], second, third};
    struct store_migrations table = {steps, third ? 3 : 2};
    struct store *store = NULL;
    assert_int_equal(store_open_schema(home, NULL, &table, &store, NULL), 0);
    store_wait(store); // afterwards the thread does not look at the table
    return store;
}

static void an_older_file_is_brought_up_to_date(void **state)
{
    (void)state;
    generation_write_first(home);
    struct store *store = open_with("ALTER TABLE sessions ADD COLUMN pinned INTEGER DEFAULT 7",
                                    "CREATE TABLE outbox(id INTEGER PRIMARY KEY)");
    assert_int_equal(store_state(store), STORE_READY);
    store_close(store);
    assert_int_equal(fixture_number(path, "PRAGMA user_version"), 3);
    assert_int_equal(fixture_number(path, "SELECT pinned FROM sessions WHERE id = 'a'"), 7);
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM outbox"), 0);
    // The program of the first generation does not touch it any more.
    const char *steps[1] = {store_schema.steps[0]};
    struct store_migrations table = {steps, 1};
    assert_int_equal(store_open_schema(home, NULL, &table, &store, NULL), 0);
    store_wait(store);
    assert_int_equal(store_state(store), STORE_FAILED);
    assert_non_null(strstr(store_describe(store), "schema 3, this program knows 1"));
    store_close(store);
}

static void a_failed_step_leaves_the_file_as_it_was(void **state)
{
    (void)state;
    generation_write_first(home);
    struct store *store = open_with("CREATE TABLE extra(x); INSERT INTO nowhere VALUES(1)", NULL);
    assert_int_equal(store_state(store), STORE_FAILED);
    assert_non_null(strstr(store_describe(store), "bringing the database to schema 2"));
    assert_non_null(strstr(store_describe(store), "no such table: nowhere"));
    store_close(store);
    assert_int_equal(fixture_number(path, "PRAGMA user_version"), 1);
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM sqlite_schema WHERE name='extra'"),
                     0);
    store = fixture_open(home, NULL);
    assert_int_equal(store_state(store), STORE_READY);
    store_close(store);
}

static void steps_before_a_failed_one_are_kept(void **state)
{
    (void)state;
    generation_write_first(home);
    struct store *store = open_with("CREATE TABLE extra(x)", "syntax error");
    assert_int_equal(store_state(store), STORE_FAILED);
    store_close(store);
    assert_int_equal(fixture_number(path, "PRAGMA user_version"), 2);
}

struct open_turn {
    int count;
    int64_t number;
};

static bool keep_open(void *context, const struct store_turn_row *turn)
{
    struct open_turn *found = context;
    assert_true(span_is(turn->id, "t2"));
    assert_int_equal(turn->resumes, 0);
    found->count++;
    found->number = turn->number;
    return true;
}

static void the_first_generation_is_brought_to_this_one(void **state)
{
    (void)state;
    generation_write_first(home);
    struct store *store = fixture_open(home, NULL);
    assert_int_equal(store_state(store), STORE_READY);
    assert_string_equal(store_note(store), "");
    generation_check(home);
    // And it works: an old turn goes on, what it said can be taken back, and new ones begin.
    struct open_turn found = {0};
    assert_int_equal(store_read_open_turns(store, keep_open, &found, NULL), 0);
    assert_int_equal(found.count, 1);
    assert_string_equal(talk_messages(store, "a"), "one|two|three|four|");
    assert_int_equal(talk_finish(store, "t2", STORE_TURN_DONE, "so", false).result, 0);
    talk_receive(store, "1", "again");
    assert_int_equal(talk_begin(store, "t3", 1, "t2").result, 0);
    assert_string_equal(talk_messages(store, "a"), "one|two|t3 asks|");
    store_close(store);
    assert_string_equal(fixture_text(path, "PRAGMA integrity_check"), "ok");
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM outbox WHERE turn = 2"), 1);
}

// What a database of version 5 holds belongs to no thread and to no one sender.
static void version_5_has_no_threads(void **state)
{
    (void)state;
    static const char content[] =
        "INSERT INTO sessions(id, channel, chat, created_ms, updated_ms)"
        " VALUES('a', 'telegram', '7', 1, 1);"
        "INSERT INTO inbox(channel, queue, chat, external_id, sender, text, cut, sent_ms,"
        "  received_ms) VALUES('telegram', '1', '7', '100', '42', 'hi', 0, 1, 1);"
        "INSERT INTO outbox(channel, chat, state, created_ms, changed_ms, text)"
        " VALUES('telegram', '7', 'pending', 1, 1, 'Hello.');";
    struct store_migrations table = {store_schema.steps, 5};
    struct store *store;
    assert_int_equal(store_open_schema(home, NULL, &table, &store, NULL), 0);
    store_wait(store);
    store_close(store);
    fixture_exec(path, content);
    store = fixture_open(home, NULL);
    assert_int_equal(store_state(store), STORE_READY);
    store_close(store);
    assert_int_equal(
        fixture_number(path, "SELECT count(*) FROM sessions WHERE thread = '' AND sender = ''"), 1);
    assert_int_equal(
        fixture_number(path, "SELECT count(*) FROM inbox WHERE thread = '' AND grouped = 0"), 1);
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM outbox WHERE thread = ''"), 1);
}

// What was under way at the fifth generation knows where its answer goes.
static void the_terms_of_turns_that_were_under_way(void **state)
{
    (void)state;
    struct store_migrations fifth = {store_schema.steps, 5};
    struct store *store = NULL;
    assert_int_equal(store_open_schema(home, NULL, &fifth, &store, NULL), 0);
    store_wait(store); // afterwards the thread does not look at the table
    store_close(store);
    fixture_exec(path,
                 "INSERT INTO sessions(id, channel, chat, created_ms, updated_ms)"
                 " VALUES('a', 'post', '7', 1, 1), ('b', 'console', '', 1, 1);"
                 "INSERT INTO turns(id, session, state, source, started_ms, ended_ms)"
                 " VALUES('t1', 1, 'model', 'post', 1, NULL), ('t2', 1, 'done', 'post', 1, 2),"
                 " ('t3', 2, 'tools', 'console', 1, NULL), ('t4', 2, 'done', 'console', 1, 2)");
    store = fixture_open(home, NULL);
    assert_int_equal(store_state(store), STORE_READY);
    store_close(store);
    assert_string_equal(
        fixture_text(path, "SELECT group_concat(id || ' ' || slot || ' ' || interactive || ' ' ||"
                           " coalesce(reply_channel || reply_chat, '-'), ', ') FROM turns"),
        "t1 main 0 post7, t2 main 0 -, t3 main 1 -, t4 main 0 -");
    assert_string_equal(fixture_text(path, "PRAGMA integrity_check"), "ok");
}

// A full file of the ninth generation: all that was under way is what it was, and may wait now.
static void version_9_learns_to_wait(void **state)
{
    (void)state;
    struct store_migrations ninth = {store_schema.steps, 9};
    struct store *store = NULL;
    assert_int_equal(store_open_schema(home, NULL, &ninth, &store, NULL), 0);
    store_wait(store);
    store_close(store);
    fixture_exec(path,
                 "INSERT INTO sessions(id, channel, chat, created_ms, updated_ms)"
                 " VALUES('a', 'telegram', '7', 1, 1);"
                 "INSERT INTO turns(id, session, state, source, external_id, started_ms)"
                 " VALUES('t1', 1, 'tools', 'x', '9', 1);"
                 "INSERT INTO tool_calls(turn, iteration, ordinal, name, state, flags, changed_ms)"
                 " VALUES(1, 1, 0, 'read_file', 'pending', 1, 4);"
                 "INSERT INTO messages(session, turn, role, content, created_ms)"
                 " VALUES(1, 1, 'user', 'one', 1);"
                 "INSERT INTO inbox(channel, queue, chat, external_id, sender, text, cut, sent_ms,"
                 "  received_ms) VALUES('telegram', '1', '7', '100', '42', 'hi', 0, 1, 1);"
                 "INSERT INTO outbox(channel, chat, turn, state, created_ms, changed_ms, text)"
                 " VALUES('telegram', '7', 1, 'open', 1, 1, '');");
    store = fixture_open(home, NULL);
    assert_int_equal(store_state(store), STORE_READY);
    store_close(store);
    assert_string_equal(
        fixture_text(path,
                     "SELECT t.state || '/' || t.asker || '/' || i.kind || i.payload || i.text"
                     " || '/' || o.kind || o.buttons || o.state || '/' || m.content"
                     " FROM turns t, inbox i, outbox o, messages m"),
        "tools//texthi/replyopen/one");
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM approvals"), 0);
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM pragma_table_info('turns')"
                                          " WHERE name = 'external_id'"),
                     0);
    assert_string_equal(fixture_text(path, "PRAGMA integrity_check"), "ok");
}

static void a_message_of_version_16_is_the_senders_own(void **state)
{
    struct store_migrations older = {store_schema.steps, 16};
    struct store *store = NULL;
    assert_int_equal(store_open_schema(home, NULL, &older, &store, NULL), 0);
    store_wait(store);
    store_close(store);
    fixture_exec(path,
                 "INSERT INTO inbox(channel, queue, chat, external_id, sender, text, cut, sent_ms,"
                 "  received_ms) VALUES('telegram', '1', '7', '100', '42', 'hi', 0, 1, 1);");
    store = fixture_open(home, NULL);
    assert_int_equal(store_state(store), STORE_READY);
    store_close(store);
    assert_string_equal(fixture_text(path, "SELECT text || tainted FROM inbox"), "hi0");
    assert_string_equal(fixture_text(path, "PRAGMA integrity_check"), "ok");
}

// What each of the last versions can hold, and what this one makes of it.
static const struct {
    int version;
    const char *content, *question, *answer;
} recent[] = {
    {17,
     "INSERT INTO sessions(id, channel, chat, created_ms, updated_ms)"
     " VALUES('a', 'telegram', '7', 1, 1);"
     "INSERT INTO turns(id, session, state, source, started_ms) VALUES('t1', 1, 'tools', 'x', 1);"
     "INSERT INTO tool_calls(turn, iteration, ordinal, name, state, flags, changed_ms)"
     " VALUES(1, 1, 0, 'read_file', 'pending', 1, 4);"
     "INSERT INTO messages(session, turn, role, content, created_ms)"
     " VALUES(1, 1, 'user', 'one', 1), (1, 1, 'assistant', 'two', 2);"
     "INSERT INTO inbox(channel, queue, chat, external_id, sender, text, cut, sent_ms,"
     "  received_ms, tainted) VALUES('telegram', '1', '7', '100', '42', 'hi', 0, 1, 1, 1);"
     "INSERT INTO outbox(channel, chat, turn, state, created_ms, changed_ms, text)"
     " VALUES('telegram', '7', 1, 'open', 1, 1, 'so');",
     "SELECT (SELECT group_concat(content) FROM messages) || '/' ||"
     " (SELECT name || state FROM tool_calls) || '/' || (SELECT text || tainted FROM inbox)"
     " || '/' || (SELECT text FROM outbox)",
     "one,two/read_filepending/hi1/so"},
    {18,
     "UPDATE messages SET parts = '[1]' WHERE id = 1;"
     "UPDATE tool_calls SET parts = '[2]';"
     "INSERT INTO parts(session, id, data) VALUES(1, 'p1', x'00ff');",
     "SELECT (SELECT group_concat(content || coalesce(parts, '-')) FROM messages) || '/' ||"
     " (SELECT parts FROM tool_calls) || '/' || (SELECT id || hex(data) FROM parts)",
     "one[1],two-/[2]/p100FF"},
    {19, "UPDATE inbox SET media = 'photo:x';", "SELECT text || media FROM inbox", "hiphoto:x"},
    {20,
     "INSERT INTO runs(job, name, due_ms, started_ms, ended_ms, attempts, outcome, error, turn,"
     "  delivered, input_tokens, cached_tokens, output_tokens, cost_pico)"
     " VALUES('j', 'job', 5, 6, 7, 2, 'failed', 'why', 't1', 'telegram:7', 1, 2, 3, 4),"
     " ('j', 'job', 8, 9, 0, 1, 'running', '', '', '', 0, 0, 0, 0);",
     "SELECT (SELECT group_concat(number || job || name || due_ms || started_ms || ended_ms ||"
     "  attempts || outcome || error || turn || delivered || input_tokens || cached_tokens ||"
     "  output_tokens || cost_pico) FROM runs) || '/' || (SELECT picked FROM sessions) || '/' ||"
     " (SELECT count(*) FROM messages WHERE covers IS NULL AND emptied IS NULL)",
     "1jjob5672failedwhyt1telegram:71234,2jjob8901running0000/1/2"},
};

static void open_as(int version)
{
    struct store_migrations table = {store_schema.steps, (size_t)version};
    struct store *store = NULL;
    assert_int_equal(store_open_schema(home, NULL, &table, &store, NULL), 0);
    store_wait(store);
    assert_int_equal(store_state(store), STORE_READY);
    store_close(store);
    assert_int_equal(fixture_number(path, "PRAGMA user_version"), version);
}

static bool add_history(void *context, const struct store_message *message)
{
    char *text = context;
    size_t len = strlen(text);
    snprintf(text + len, 64 - len, "%.*s|", (int)message->content.len, message->content.data);
    return true;
}

// Brought to this version at once, each of them, with all that those before it could hold.
static void recent_versions_keep_what_they_hold(void **state)
{
    for (size_t last = 0; last < ARRAY_LEN(recent); last++) {
        char history[64] = "";
        for (size_t i = 0; i <= last; i++) {
            open_as(recent[i].version);
            fixture_exec(path, recent[i].content);
        }
        struct store *store = fixture_open(home, NULL);
        assert_int_equal(store_state(store), STORE_READY);
        assert_int_equal(store_read_history(store_view(store), SPAN_LITERAL("a"), 100, add_history,
                                            history, NULL),
                         0);
        assert_string_equal(history, "one|two|");
        store_close(store);
        assert_int_equal(fixture_number(path, "PRAGMA user_version"), store_schema.count);
        for (size_t i = 0; i <= last; i++)
            assert_string_equal(fixture_text(path, recent[i].question), recent[i].answer);
        assert_string_equal(fixture_text(path, "PRAGMA integrity_check"), "ok");
        remove_home(state);
        make_home(state);
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make_home, remove_home)
    const struct CMUnitTest tests[] = {
        TEST(an_older_file_is_brought_up_to_date),
        TEST(a_failed_step_leaves_the_file_as_it_was),
        TEST(steps_before_a_failed_one_are_kept),
        TEST(the_first_generation_is_brought_to_this_one),
        TEST(version_5_has_no_threads),
        TEST(the_terms_of_turns_that_were_under_way),
        TEST(version_9_learns_to_wait),
        TEST(a_message_of_version_16_is_the_senders_own),
        TEST(recent_versions_keep_what_they_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
