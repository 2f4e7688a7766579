#include "support/store_generation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "store/store_thread.h"
#include "support/store_fixture.h"

static const char content[] =
    "INSERT INTO sessions(id, channel, chat, prompt, created_ms, updated_ms)"
    " VALUES('b', 'console', '', NULL, 1, 1), ('a', 'console', '', 'You are Hermes.', 2, 2);"
    "INSERT INTO turns(id, session, state, source, cost_micro_usd, started_ms, ended_ms)"
    " VALUES('t1', 2, 'done', 'console', 40, 1, 2), ('t2', 2, 'model', 'console', 2, 3, NULL);"
    "INSERT INTO messages(session, turn, role, content, created_ms)"
    " VALUES(2, 1, 'user', 'one', 1), (2, 1, 'assistant', 'two', 2),"
    " (2, 2, 'user', 'three', 3), (2, 2, 'assistant', 'four', 4);"
    "INSERT INTO tool_calls(turn, iteration, ordinal, name, state, repeatable, changed_ms)"
    " VALUES(2, 1, 0, 'read_file', 'running', 1, 4), (2, 1, 1, 'remember', 'running', 0, 4),"
    " (2, 1, 2, 'launch_rocket', 'running', 1, 4), (1, 1, 0, 'launch_rocket', 'done', 1, 4);"
    "INSERT INTO memory(content, created_ms) VALUES('the milk is sour', 1);";

void generation_write_first(const char *home)
{
    struct store_migrations table = {store_schema.steps, 1};
    struct store *store = NULL;
    assert_int_equal(store_open_schema(home, NULL, &table, &store, NULL), 0);
    store_wait(store); // afterwards the thread does not look at the table
    store_close(store);
    fixture_exec(fixture_path(home, "state.db"), content);
}

void generation_check(const char *home)
{
    CLEANUP(mem_cleanup) char *path = mem_strdup(fixture_path(home, "state.db"));
    assert_int_equal(fixture_number(path, "PRAGMA user_version"), store_schema.count);
    assert_string_equal(fixture_text(path, "PRAGMA integrity_check"), "ok");
    assert_int_equal(fixture_number(path, "SELECT cost_pico FROM turns WHERE id = 't1'"), 40000000);
    assert_string_equal(fixture_text(path, "SELECT group_concat(content || dropped) FROM messages"),
                        "one0,two0,three0,four0");
    assert_string_equal(
        fixture_text(path, "SELECT group_concat(id || state || resumes || dropped) FROM turns"),
        "t1done00,t2model00");
    assert_string_equal(fixture_text(path, "SELECT group_concat(id || used) FROM sessions"),
                        "b0,a4");
    assert_string_equal(fixture_text(path, "SELECT group_concat(turn || name || flags) FROM "
                                           "(SELECT * FROM tool_calls ORDER BY turn, ordinal)"),
                        "1launch_rocket1,2read_file1,2remember0,2launch_rocket0");
    assert_int_equal(
        fixture_number(path, "SELECT count(*) FROM memory_fts WHERE memory_fts MATCH 'milk'"), 1);
    assert_int_equal(fixture_number(path, "SELECT (SELECT count(*) FROM inbox)"
                                          " + (SELECT count(*) FROM outbox)"),
                     0);
}
