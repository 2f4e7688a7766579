// links: store_fixture store_talk
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "store/run.h"
#include "store/session.h"
#include "support/store_fixture.h"
#include "support/store_talk.h"

// A run is one row with one outcome, whatever order its begin and end, restarts and clocks come in.
// What power cuts do to it: test_store_powercut_runs.c.

#define S(text) SPAN_LITERAL(text)

static void open_again(void)
{
    store_close(talk.store);
    talk.store = fixture_open(talk.home, NULL);
}

static struct outcome begin(const struct store_run *run)
{
    struct outcome outcome = {0};
    assert_true(store_run_begin(talk.store, run, fixture_done, &outcome, NULL) > 0);
    store_wait(talk.store);
    assert_true(outcome.called);
    return outcome;
}

static struct outcome end_with(const struct store_run *run, const struct store_reply *replies,
                               size_t count)
{
    struct outcome outcome = {0};
    assert_true(store_run_end(talk.store, run, replies, count, fixture_done, &outcome, NULL) > 0);
    store_wait(talk.store);
    assert_true(outcome.called);
    return outcome;
}

static struct outcome end(const struct store_run *run)
{
    return end_with(run, NULL, 0);
}

struct rows {
    int count, stop_after;
    char text[2048]; // "<number> <job> <due> <started>-<ended> <attempts> <outcome>|" each
    struct store_run last;
    char error[64], turn[64], delivered[64], name[64]; // of the last
};

static void keep(char *into, struct span text)
{
    snprintf(into, 64, "%.*s", (int)text.len, text.data);
}

static bool add_row(void *context, const struct store_run *run)
{
    struct rows *rows = context;
    size_t used = strlen(rows->text);
    snprintf(rows->text + used, sizeof rows->text - used, "%d %.*s %d %d-%d %d %s|",
             (int)run->number, (int)run->job.len, run->job.data, (int)run->due_ms,
             (int)run->started_ms, (int)run->ended_ms, run->attempts,
             store_run_words[run->outcome]);
    rows->last = *run;
    keep(rows->error, run->error);
    keep(rows->turn, run->turn);
    keep(rows->delivered, run->delivered);
    keep(rows->name, run->name);
    return ++rows->count != rows->stop_after;
}

static int read_rows(const char *job, enum store_run_outcome outcome, int limit, struct rows *rows,
                     struct error *err)
{
    return store_read_runs(store_view(talk.store), span_of(job), outcome, limit, add_row, rows,
                           err);
}

static struct rows rows_of(const char *job, enum store_run_outcome outcome, int limit)
{
    struct rows rows = {0};
    assert_int_equal(read_rows(job, outcome, limit, &rows, NULL), 0);
    return rows;
}

static void expect_streak(const char *job, int64_t failures, int64_t due_ms)
{
    int64_t counted = -1, due = -1;
    assert_int_equal(
        store_read_run_streak(store_view(talk.store), span_of(job), &counted, &due, NULL), 0);
    assert_int_equal(counted, failures);
    assert_int_equal(due, due_ms);
}

static void keep_turn(void *context, const struct store_run_turn *turn)
{
    char *text = context;
    snprintf(text, 256, "%.*s %.*s %d [%.*s] [%.*s] %d+%d+%d %d", (int)turn->id.len, turn->id.data,
             (int)turn->session.len, turn->session.data, (int)turn->state, (int)turn->error.len,
             turn->error.data, (int)turn->answer.len, turn->answer.data,
             (int)turn->usage.input_tokens, (int)turn->usage.cached_tokens,
             (int)turn->usage.output_tokens, (int)turn->usage.cost_pico);
}

static int read_turn(const char *chat, const char *thread, char *ret_text)
{
    struct store_session_key key = {
        .channel = S("cron"), .chat = span_of(chat), .thread = span_of(thread)};
    return store_read_run_turn(store_view(talk.store), &key, keep_turn, ret_text, NULL);
}

static void an_empty_store(void **state)
{
    (void)state;
    char text[256] = "untouched";
    struct store_run unknown = {.number = 5, .job = S("j"), .outcome = STORE_RUN_OK};
    struct store_reply reply = {.channel = S("post"), .chat = S("a"), .text = S("never")};
    assert_int_equal(rows_of("", STORE_RUN_OUTCOMES, 10).count, 0);
    assert_int_equal(rows_of("j", STORE_RUN_FAILED, -1).count, 0);
    expect_streak("j", 0, 0);
    expect_streak("", 0, 0);
    assert_int_equal(read_turn("j", "", text), STORE_NOT_FOUND);
    assert_string_equal(text, "untouched");
    assert_int_equal(begin(&unknown).result, -EALREADY);
    struct outcome ended = end_with(&unknown, &reply, 1);
    assert_int_equal(ended.result, -EALREADY);
    assert_string_equal(ended.err.text, "this run has ended before");
    assert_int_equal(
        fixture_number(talk.path, "SELECT (SELECT count(*) FROM runs) + count(*) FROM outbox"), 0);
}

// The process is another one between its begin and its end, twice.
static void a_restart_between_begin_and_end(void **state)
{
    (void)state;
    struct store_run run = {
        .job = S("j"), .name = S("the job"), .due_ms = 100, .started_ms = 110, .attempts = 9};
    assert_int_equal(begin(&run).rowid, 1);
    open_again();
    assert_string_equal(rows_of("j", STORE_RUN_RUNNING, 10).text, "1 j 100 110-0 1 running|");
    run.number = 1;
    run.started_ms = 999; // it says when it began first
    assert_int_equal(begin(&run).rowid, 1);
    open_again();
    struct store_reply replies[] = {
        {.channel = S("post"), .chat = S("a"), .text = S("good")},
        {.channel = S("post"), .chat = S("b"), .thread = S("3"), .text = S("good")}};
    run = (struct store_run){.number = 1,
                             .job = S("j"),
                             .ended_ms = 150,
                             .outcome = STORE_RUN_OVER_BUDGET,
                             .error = S("too dear"),
                             .turn = S("t1"),
                             .delivered = S("post:a,post:b"),
                             .usage = {11, 5, 7, INT64_C(1) << 60}};
    assert_int_equal(end_with(&run, replies, 2).result, 0);
    struct rows rows = rows_of("", STORE_RUN_OUTCOMES, 10);
    assert_string_equal(rows.text, "1 j 100 110-150 2 over budget|");
    assert_string_equal(rows.name, "the job");
    assert_string_equal(rows.error, "too dear");
    assert_string_equal(rows.turn, "t1");
    assert_string_equal(rows.delivered, "post:a,post:b");
    assert_int_equal(rows.last.usage.input_tokens, 11);
    assert_int_equal(rows.last.usage.cached_tokens, 5);
    assert_int_equal(rows.last.usage.output_tokens, 7);
    assert_true(rows.last.usage.cost_pico == INT64_C(1) << 60);
    assert_string_equal(
        fixture_text(talk.path, "SELECT group_concat(chat || ':' || thread || ':' || created_ms)"
                                " FROM outbox"),
        "a::150,b:3:150");
}

static void an_end_and_its_delivery_come_once(void **state)
{
    (void)state;
    struct store_reply reply = {.channel = S("post"), .chat = S("a"), .text = S("good")};
    struct store_run run = {.job = S("j"), .name = S("n"), .due_ms = 100, .started_ms = 100};
    run.number = begin(&run).rowid;
    run.outcome = STORE_RUN_OK;
    run.ended_ms = 200;
    assert_int_equal(end_with(&run, &reply, 1).result, 0);
    open_again();
    run.outcome = STORE_RUN_FAILED;
    run.ended_ms = 300;
    assert_int_equal(end_with(&run, &reply, 1).result, -EALREADY);
    assert_int_equal(begin(&run).result, -EALREADY);
    assert_string_equal(rows_of("j", STORE_RUN_OUTCOMES, 10).text, "1 j 100 100-200 1 ok|");
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM outbox"), 1);
    // One that never began ends at once; each is a row of its own, and numbers never come again.
    run.number = 0;
    run.outcome = STORE_RUN_MISSED;
    assert_int_equal(end_with(&run, &reply, 1).rowid, 2);
    fixture_exec(talk.path, "DELETE FROM runs");
    assert_int_equal(end(&run).rowid, 3);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM outbox"), 2);
}

static void two_in_the_queue_end_it_once(void **state)
{
    (void)state;
    struct outcome outcomes[2] = {{0}, {0}};
    struct store_reply reply = {.channel = S("post"), .chat = S("a"), .text = S("good")};
    struct store_run run = {.job = S("j"), .name = S("n"), .due_ms = 100};
    run.number = begin(&run).rowid;
    run.outcome = STORE_RUN_OK;
    for (size_t i = 0; i < 2; i++)
        assert_true(store_run_end(talk.store, &run, &reply, 1, fixture_done, &outcomes[i], NULL) >
                    0);
    store_wait(talk.store);
    assert_int_equal(outcomes[0].result, 0);
    assert_int_equal(outcomes[1].result, -EALREADY);
    assert_int_equal(fixture_number(talk.path, "SELECT count(*) FROM outbox"), 1);
}

static void add(const char *job, int count, const char *outcome)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO runs(job, name, due_ms, started_ms, outcome)"
             " SELECT '%s', '', i, i, '%s' FROM n",
             count, job, outcome);
    fixture_exec(talk.path, sql);
}

static int64_t rows_there(const char *condition)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM runs WHERE %s", condition);
    return fixture_number(talk.path, sql);
}

// The oldest of a job are forgotten when one ends, but none that runs, and none of another job.
static void only_so_many_are_kept(void **state)
{
    (void)state;
    struct store_run run = {.job = S("j"), .name = S(""), .outcome = STORE_RUN_OK};
    add("j", 1, "running");
    add("j", STORE_RUNS_KEPT - 2, "ok");
    add("other", STORE_RUNS_KEPT + 3, "failed");
    assert_int_equal(end(&run).result, 0);
    assert_int_equal(rows_there("job = 'j'"), STORE_RUNS_KEPT);
    assert_int_equal(end(&run).result, 0); // now the oldest is the one that runs
    assert_int_equal(rows_there("job = 'j'"), STORE_RUNS_KEPT + 1);
    assert_int_equal(end(&run).result, 0);
    assert_int_equal(rows_there("job = 'j'"), STORE_RUNS_KEPT + 1);
    assert_int_equal(rows_there("job = 'j' AND outcome = 'running'"), 1);
    assert_int_equal(rows_there("number = 2"), 0);
    assert_int_equal(rows_there("job = 'other'"), STORE_RUNS_KEPT + 3);
    run.number = 1;
    assert_int_equal(end(&run).result, 0); // it ends, and is too old to be kept
    assert_int_equal(rows_there("number = 1"), 0);
    assert_int_equal(rows_there("job = 'j'"), STORE_RUNS_KEPT);
}

static void a_reader_gets_as_many_as_it_wants(void **state)
{
    (void)state;
    struct rows rows = {.stop_after = 2};
    add("a", 3, "ok");
    add("b", 2, "failed");
    add("a", 1, "failed");
    assert_string_equal(rows_of("a", STORE_RUN_OUTCOMES, 2).text,
                        "6 a 1 1-0 1 failed|3 a 3 3-0 1 ok|");
    assert_int_equal(rows_of("", STORE_RUN_OUTCOMES, 100).count, 6);
    assert_int_equal(rows_of("", STORE_RUN_FAILED, 100).count, 3);
    assert_string_equal(rows_of("b", STORE_RUN_FAILED, 1).text, "5 b 2 2-0 1 failed|");
    assert_int_equal(rows_of("a' OR '1", STORE_RUN_OUTCOMES, 100).count, 0);
    assert_int_equal(rows_of("a", STORE_RUN_OUTCOMES, 0).count, 0);
    assert_int_equal(read_rows("", STORE_RUN_OUTCOMES, 100, &rows, NULL), 0);
    assert_int_equal(rows.count, 2);
}

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct outcome outcome = {0};
    char *text = calloc(1, STORE_JOB_BYTES_MAX + 1);
    assert_non_null(text);
    memset(text, 'x', STORE_JOB_BYTES_MAX);
    struct store_run run = {.job = S("j"), .outcome = STORE_RUN_FAILED, .error = span_of(text)};
    struct store_reply reply = {.channel = S("post"), .chat = S("a"), .text = span_of(text)};
    assert_int_equal(store_run_end(talk.store, &run, NULL, 0, fixture_done, &outcome, &err),
                     -E2BIG);
    run.error = S("short");
    assert_int_equal(store_run_end(talk.store, &run, &reply, 1, fixture_done, &outcome, &err),
                     -E2BIG);
    store_wait(talk.store);
    free(text);
    assert_false(outcome.called);
    assert_int_equal(rows_there("1"), 0);
}

// Rows stand in the order in which they came, and the latest due time counts, whatever the clock.
static void a_clock_that_jumps_back(void **state)
{
    (void)state;
    struct store_run run = {.job = S("j"), .name = S("n"), .due_ms = 5000, .started_ms = 5000};
    run.number = begin(&run).rowid;
    run.outcome = STORE_RUN_FAILED;
    run.ended_ms = 4000;
    assert_int_equal(end(&run).result, 0);
    run = (struct store_run){.job = S("j"),
                             .name = S(""),
                             .due_ms = 1000,
                             .started_ms = -7,
                             .ended_ms = -6,
                             .outcome = STORE_RUN_MISSED};
    assert_int_equal(end(&run).result, 0);
    assert_string_equal(rows_of("j", STORE_RUN_OUTCOMES, 10).text,
                        "2 j 1000 -7--6 1 missed|1 j 5000 5000-4000 1 failed|");
    expect_streak("j", 2, 5000);
    run = (struct store_run){
        .job = S("j"), .name = S(""), .outcome = STORE_RUN_SILENT, .ended_ms = 1};
    assert_int_equal(end(&run).result, 0);
    expect_streak("j", 0, 5000); // one that was asked for has no time that was due
}

static void what_counts_as_a_failure(void **state)
{
    (void)state;
    static const char *const failures[] = {"failed", "missed", "blocked", "over budget"};
    static const char *const neutral[] = {"skipped", "running"};
    add("other", 2, "failed");
    for (size_t i = 0; i < 4; i++) {
        add("j", 1, failures[i]);
        expect_streak("j", (int64_t)i + 1, 1);
    }
    for (size_t i = 0; i < 2; i++) {
        add("j", 1, neutral[i]);
        expect_streak("j", 4, 1);
    }
    add("j", 1, "ok");
    expect_streak("j", 0, 1);
    add("j", 3, "failed");
    expect_streak("j", 3, 3);
    add("j", 1, "silent");
    expect_streak("j", 0, 3);
    expect_streak("other", 2, 2);
}

// By a newer version, or damage. What can be read is, and nothing is done to such a row.
static void a_row_of_an_unknown_kind(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct rows rows = {0};
    struct store_run run = {.number = 2, .job = S("j"), .outcome = STORE_RUN_OK};
    add("j", 1, "failed");
    add("j", 1, "lunar");
    add("j", 1, "failed");
    assert_int_equal(read_rows("j", STORE_RUN_OUTCOMES, 10, &rows, &err), -EINVAL);
    assert_string_equal(err.text, "the outcome of a run is \"lunar\", which is unknown");
    assert_string_equal(rows.text, "3 j 1 1-0 1 failed|");
    assert_int_equal(rows_of("j", STORE_RUN_FAILED, 10).count, 2);
    expect_streak("j", 2, 1);
    assert_int_equal(end(&run).result, -EALREADY);
    assert_int_equal(begin(&run).result, -EALREADY);
    assert_string_equal(fixture_text(talk.path, "SELECT outcome FROM runs WHERE number = 2"),
                        "lunar");
}

static void the_turn_of_a_run(void **state)
{
    (void)state;
    char text[256] = "";
    fixture_exec(
        talk.path,
        "INSERT INTO sessions(number, id, channel, chat, created_ms, updated_ms, thread, sender)"
        " VALUES(1, 's1', 'cron', 'j', 1, 1, '7', ''), (2, 's2', 'cron', 'j', 1, 1, '8', '');"
        "INSERT INTO turns(number, id, session, state, iteration, source, started_ms)"
        " VALUES(1, 't1', 1, 'done', 1, 'cron', 900), (2, 't2', 1, 'failed', 1, 'cron', 5),"
        " (3, 't3', 2, 'queued', 0, 'cron', 1);"
        "UPDATE turns SET error = 'it broke', input_tokens = 1, cached_tokens = 2,"
        " output_tokens = 3, cost_pico = 4 WHERE number = 2;"
        "INSERT INTO messages(session, turn, role, content, created_ms)"
        " VALUES(1, 1, 'assistant', 'the old answer', 9), (1, 2, 'user', 'again', 1);");
    assert_int_equal(read_turn("j", "7", text), 0);
    assert_string_equal(text, "t2 s1 6 [it broke] [the old answer] 1+2+3 4");
    assert_int_equal(read_turn("j", "8", text), 0);
    assert_string_equal(text, "t3 s2 0 [] [] 0+0+0 0");
    assert_int_equal(read_turn("j", "", text), STORE_NOT_FOUND);
    assert_int_equal(read_turn("k", "7", text), STORE_NOT_FOUND);
    fixture_exec(talk.path, "UPDATE turns SET state = 'lunar' WHERE number = 2");
    assert_int_equal(read_turn("j", "7", text), 0);
    assert_string_equal(text, "t2 s1 8 [it broke] [the old answer] 1+2+3 4");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, talk_setup, talk_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_store),
        TEST(a_restart_between_begin_and_end),
        TEST(an_end_and_its_delivery_come_once),
        TEST(two_in_the_queue_end_it_once),
        TEST(only_so_many_are_kept),
        TEST(a_reader_gets_as_many_as_it_wants),
        TEST(what_is_too_long_is_refused),
        TEST(a_clock_that_jumps_back),
        TEST(what_counts_as_a_failure),
        TEST(a_row_of_an_unknown_kind),
        TEST(the_turn_of_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
