// links: store_fixture
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/session.h"
#include "base/mem.h"
#include "store/message.h"
#include "support/store_fixture.h"

/*
 * A long conversation as a model gets it. What matters is where it begins: a provider's cache holds
 * what is equal from the first byte on, so the beginning may move only now and then.
 */
static char home[FIXTURE_PATH_MAX];
static char path[FIXTURE_PATH_MAX + 16];
static struct store *store;

static int setup(void **state)
{
    (void)state;
    fixture_make_home(home);
    store = fixture_open(home, NULL);
    snprintf(path, sizeof path, "%s", fixture_path(home, "state.db"));
    fixture_exec(path, "INSERT INTO sessions(id, channel, chat, created_ms, updated_ms)"
                       " VALUES('a', 'console', '', 1, 1)");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    fixture_remove_home(home);
    return 0;
}

static void add(int count, const char *role)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO messages(session, role, content, created_ms)"
             " SELECT 1, '%s', '%s ' || (i + (SELECT count(*) FROM messages)), 1 FROM n",
             count, role, role);
    fixture_exec(path, sql);
}

// A question and its answer, so many times.
static void talk(int times)
{
    for (int i = 0; i < times; i++) {
        add(1, "user");
        add(1, "assistant");
    }
}

// What the history begins with; *ret_count messages of it.
static char *first_message(size_t *ret_count)
{
    struct agent_session *session = NULL;
    assert_int_equal(agent_session_load(store_view(store), SPAN_LITERAL("a"), &session, NULL), 0);
    *ret_count = session->history.count;
    assert_true(*ret_count > 0);
    assert_int_equal(session->history.messages[0].role, CHAT_USER);
    char *text = mem_strdup(session->history.messages[0].text);
    agent_session_destroy(session);
    return text;
}

static void the_beginning_stands_still(void **state)
{
    (void)state;
    enum { TURNS = 150 };
    size_t count;
    int moves = 0;
    talk(SESSION_HISTORY_MAX / 2);
    CLEANUP(mem_cleanup) char *before = first_message(&count);
    assert_string_equal(before, "user 1");
    assert_int_equal(count, SESSION_HISTORY_MAX);
    for (int i = 0; i < TURNS; i++) {
        talk(1);
        char *now = first_message(&count);
        assert_true(count <= SESSION_HISTORY_MAX);
        assert_true(count > SESSION_HISTORY_MAX - SESSION_EPOCH);
        moves += strcmp(before, now) != 0;
        free(before);
        before = now;
    }
    assert_int_equal(moves, 2 * TURNS / SESSION_EPOCH);
}

// A turn that is longer than all that is shown: its question is, and what follows.
static void a_turn_longer_than_that(void **state)
{
    (void)state;
    size_t count;
    talk(30);
    add(1, "user");
    add(SESSION_HISTORY_MAX + 50, "assistant");
    CLEANUP(mem_cleanup) char *first = first_message(&count);
    add(20, "assistant");
    CLEANUP(mem_cleanup) char *again = first_message(&count);
    assert_string_equal(first, again);
    add(2 * STORE_READ_ROWS_MAX, "assistant"); // out of reach
    struct agent_session *session = NULL;
    assert_int_equal(agent_session_load(store_view(store), SPAN_LITERAL("a"), &session, NULL), 0);
    assert_int_equal(session->history.count, 0);
    agent_session_destroy(session);
}

// Whose a message's thoughts are and whether anybody vouches for it come back with it.
static void what_is_known_of_a_message(void **state)
{
    (void)state;
    struct agent_session *session = NULL;
    fixture_exec(path,
                 "INSERT INTO turns(id, session, state, source, model, started_ms)"
                 " VALUES('t', 1, 'model', 'console', 'a/one', 1);"
                 "INSERT INTO messages(session, turn, role, content, reasoning, tool_calls,"
                 " tool_call_id, tainted, created_ms) VALUES"
                 " (1, 1, 'user', 'hi', NULL, NULL, NULL, 0, 1),"
                 " (1, 1, 'assistant', '', '\"r\":1', '[{\"id\":\"c\",\"name\":\"n\"}]', NULL,"
                 " 0, 1), (1, 1, 'tool', 'said', NULL, NULL, 'c', 1, 1)");
    assert_int_equal(agent_session_load(store_view(store), SPAN_LITERAL("a"), &session, NULL), 0);
    const struct chat_message *messages = session->history.messages;
    assert_int_equal(session->history.count, 3);
    assert_null(messages[0].writer);
    assert_string_equal(messages[1].writer, "a/one");
    assert_string_equal(messages[1].extra, "\"r\":1");
    assert_false(messages[1].tainted);
    assert_true(messages[2].tainted);
    agent_session_destroy(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_beginning_stands_still, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_known_of_a_message, setup, teardown),
        cmocka_unit_test_setup_teardown(a_turn_longer_than_that, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
