#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <cmocka.h>

#include "base/buf.h"
#include "store/memory.h"
#include "store/message.h"
#include "store/session.h"
#include "store/store.h"
#include "store/turn.h"
#include "support/store_fixture.h"

// The queue, its completions, and the typed operations in ordinary times.

static char home[FIXTURE_PATH_MAX];

static int make_home(void **state)
{
    (void)state;
    fixture_make_home(home);
    return 0;
}

static int remove_home(void **state)
{
    (void)state;
    fixture_remove_home(home);
    return 0;
}

#define S(text) SPAN_LITERAL(text)

static const struct store_session session_a = {.id = SPAN_LITERAL("a"),
                                               .channel = SPAN_LITERAL("console"),
                                               .chat = SPAN_LITERAL(""),
                                               .prompt = SPAN_LITERAL("You are Hermes."),
                                               .created_ms = 1000};

static struct store_message message_of(const char *text)
{
    return (struct store_message){
        .session = S("a"), .role = S("user"), .content = span_of(text), .created_ms = 2000};
}

struct rows {
    int count;
    char text[4096]; // the contents, each followed by "|"
    struct store_message last;
};

static bool keep_row(void *context, const struct store_message *m)
{
    struct rows *rows = context;
    size_t used = strlen(rows->text);
    snprintf(rows->text + used, sizeof rows->text - used, "%.*s|", (int)m->content.len,
             m->content.data);
    rows->last = *m;
    rows->count++;
    return true;
}

static void messages_come_back_in_order(void **state)
{
    (void)state;
    struct store *store = fixture_open(home, NULL);
    struct outcome made = {0}, first = {0}, second = {0};
    assert_int_equal(store_state(store), STORE_READY);
    assert_true(store_session_create(store, &session_a, STORE_DURABLE, fixture_done, &made, NULL) >
                0);
    struct store_message m = message_of("hello");
    fixture_append(store, &m, STORE_DURABLE, fixture_done, &first, NULL);
    // The clock went back to 1970 between the two.
    m = message_of("there");
    m.created_ms = 5;
    fixture_append(store, &m, STORE_GROUPED, fixture_done, &second, NULL);
    store_wait(store);
    assert_true(made.called && first.called && second.called);
    assert_int_equal(made.result, 0);
    assert_int_equal(first.result, 0);
    assert_true(second.rowid > first.rowid);

    struct rows rows = {0};
    assert_int_equal(store_read_messages(store_view(store), S("a"), 10, keep_row, &rows, NULL), 0);
    assert_string_equal(rows.text, "hello|there|");
    rows = (struct rows){0};
    assert_int_equal(store_read_messages(store_view(store), S("a"), 1, keep_row, &rows, NULL), 0);
    assert_string_equal(rows.text, "there|");
    rows = (struct rows){0};
    assert_int_equal(store_read_messages(store_view(store), S("none"), 1, keep_row, &rows, NULL),
                     0);
    assert_int_equal(rows.count, 0);
    store_close(store);

    store = fixture_open(home, NULL);
    assert_string_equal(store_note(store), "");
    rows = (struct rows){0};
    assert_int_equal(store_read_messages(store_view(store), S("a"), 10, keep_row, &rows, NULL), 0);
    assert_string_equal(rows.text, "hello|there|");
    store_close(store);
}

static void keep_session(void *context, const struct store_session *s)
{
    snprintf(context, 64, "%.*s", (int)s->id.len, s->id.data);
}

static void latest_session_is_the_one_made_last(void **state)
{
    (void)state;
    struct store *store = fixture_open(home, NULL);
    struct store_session b = session_a;
    b.id = S("b");
    b.created_ms = 1; // by a clock that was set back
    struct outcome again = {0};
    char id[64] = "";
    assert_int_equal(store_read_session_latest(store_view(store),
                                               &(struct store_session_key){S("console"), S("")},
                                               keep_session, id, NULL),
                     STORE_NOT_FOUND);
    store_session_create(store, &session_a, STORE_GROUPED, NULL, NULL, NULL);
    store_session_create(store, &b, STORE_GROUPED, NULL, NULL, NULL);
    store_session_create(store, &session_a, STORE_GROUPED, fixture_done, &again, NULL);
    store_wait(store);
    assert_int_equal(again.result, STORE_DUPLICATE);
    assert_int_equal(store_read_session_latest(store_view(store),
                                               &(struct store_session_key){S("console"), S("")},
                                               keep_session, id, NULL),
                     0);
    assert_string_equal(id, "b");
    assert_int_equal(store_read_session(store_view(store), S("a"), keep_session, id, NULL), 0);
    assert_string_equal(id, "a");
    store_close(store);
}

static void a_failing_job_fails_alone(void **state)
{
    (void)state;
    struct store *store = fixture_open(home, NULL);
    struct outcome bad = {0}, good = {0}, bad_turn = {0};
    struct store_message m = message_of("lost");
    m.session = S("nobody");
    store_session_create(store, &session_a, STORE_GROUPED, NULL, NULL, NULL);
    fixture_append(store, &m, STORE_GROUPED, fixture_done, &bad, NULL);
    m = message_of("kept");
    fixture_append(store, &m, STORE_GROUPED, fixture_done, &good, NULL);
    m.turn = S("no-turn");
    fixture_append(store, &m, STORE_GROUPED, fixture_done, &bad_turn, NULL);
    store_wait(store);
    assert_int_equal(bad.result, -ENOENT);
    assert_string_equal(bad.err.text, "there is no session nobody");
    assert_int_equal(bad_turn.result, -ENOENT);
    assert_int_equal(good.result, 0);
    store_close(store);
    assert_int_equal(
        fixture_number(fixture_path(home, "state.db"), "SELECT count(*) FROM messages"), 1);
}

static void forgotten_completions_are_not_called(void **state)
{
    (void)state;
    struct store *store = fixture_open(home, NULL);
    struct outcome gone = {0}, kept = {0};
    int64_t job = store_session_create(store, &session_a, STORE_GROUPED, fixture_done, &gone, NULL);
    struct store_message m = message_of("x");
    fixture_append(store, &m, STORE_GROUPED, fixture_done, &kept, NULL);
    store_forget(store, job);
    store_forget(store, 999);
    store_wait(store);
    assert_false(gone.called);
    assert_true(kept.called);
    assert_int_equal(kept.result, 0); // the forgotten job ran
    store_close(store);
}

static void the_queue_has_an_end(void **state)
{
    (void)state;
    struct store *store = fixture_open(home, NULL);
    struct error err = ERROR_INIT;
    int64_t r = store_session_create(store, &session_a, STORE_DURABLE, NULL, NULL, &err);
    struct store_message m = message_of("x");
    int accepted = 1;
    for (; r > 0 && accepted < 2 * STORE_QUEUE_MAX; accepted++)
        r = fixture_append(store, &m, STORE_GROUPED, NULL, NULL, &err);
    assert_int_equal(r, -EAGAIN);
    assert_int_equal(accepted, STORE_QUEUE_MAX + 1);
    assert_non_null(strstr(err.text, "does not keep up"));
    store_wait(store);
    assert_true(fixture_append(store, &m, STORE_GROUPED, NULL, NULL, &err) > 0);
    store_close(store);
}

static void what_is_too_large_is_refused(void **state)
{
    (void)state;
    struct store *store = fixture_open(home, NULL);
    struct error err = ERROR_INIT;
    char *large = calloc(1, STORE_JOB_BYTES_MAX + 1);
    struct store_message m = message_of("");
    m.content = span_make(large, STORE_JOB_BYTES_MAX + 1);
    assert_int_equal(fixture_append(store, &m, STORE_DURABLE, NULL, NULL, &err), -E2BIG);
    struct store_memory memory = {.content = span_make(large, STORE_MEMORY_BYTES_MAX + 1)};
    assert_int_equal(store_memory_add(store, &memory, STORE_DURABLE, NULL, NULL, &err), -E2BIG);
    m.session = S("");
    assert_int_equal(fixture_append(store, &m, STORE_DURABLE, NULL, NULL, &err), -EINVAL);
    free(large);
    store_close(store);
}

static void bytes_are_kept_as_they_are(void **state)
{
    (void)state;
    static const char odd[] = "a\0b\xff\xc3|\xf0\x9f\x98\x80";
    struct store *store = fixture_open(home, NULL);
    struct store_message m = message_of("");
    m.content = SPAN_LITERAL(odd);
    m.tool_calls = SPAN_LITERAL("[{\"id\": 12345678901234567890}]");
    m.tainted = true;
    store_session_create(store, &session_a, STORE_DURABLE, NULL, NULL, NULL);
    fixture_append(store, &m, STORE_DURABLE, NULL, NULL, NULL);
    store_wait(store);
    struct rows rows = {0};
    assert_int_equal(store_read_messages(store_view(store), S("a"), 10, keep_row, &rows, NULL), 0);
    assert_int_equal(rows.count, 1);
    assert_int_equal(rows.last.content.len, sizeof odd - 1);
    assert_true(rows.last.tainted);
    assert_null(rows.last.reasoning.data);
    store_close(store);
    const char *path = fixture_path(home, "state.db");
    assert_string_equal(fixture_text(path, "SELECT CAST(tool_calls AS TEXT) FROM messages"),
                        "[{\"id\": 12345678901234567890}]");
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void completions_announce_themselves(void **state)
{
    (void)state;
    struct store *store = fixture_open(home, NULL);
    struct outcome grouped = {0};
    struct pollfd ready = {store_event_fd(store), POLLIN, 0};
    assert_int_equal(poll(&ready, 1, 0), 0);
    int64_t start = now_ms();
    store_session_create(store, &session_a, STORE_GROUPED, fixture_done, &grouped, NULL);
    assert_int_equal(poll(&ready, 1, 5000), 1);
    assert_true(now_ms() - start >= STORE_GROUP_WAIT_MS - 5);
    store_dispatch(store);
    assert_true(grouped.called);
    assert_int_equal(poll(&ready, 1, 0), 0);
    store_close(store);
}

struct states {
    struct store *store;
    int calls;
    enum store_state last;
};

static void keep_state(void *context, enum store_state state)
{
    struct states *states = context;
    states->calls++;
    states->last = state;
}

static void opening_is_told(void **state)
{
    (void)state;
    struct states states = {0};
    struct store_options opt = {.on_state = keep_state, .context = &states};
    struct error err = ERROR_INIT;
    struct store *store = NULL;
    assert_int_equal(store_open(home, &opt, &store, &err), 0);
    // A job may be submitted before anything is open.
    struct outcome early = {0};
    assert_true(store_session_create(store, &session_a, STORE_DURABLE, fixture_done, &early, NULL) >
                0);
    store_wait(store);
    assert_int_equal(early.result, 0);
    assert_int_equal(states.last, STORE_READY);
    assert_string_equal(store_path(store), fixture_path(home, "state.db"));
    struct stat st;
    assert_int_equal(stat(store_path(store), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(fixture_path(home, "state.db-wal"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    store_close(store);
    store_close(NULL);
    assert_int_equal(fixture_count_names(home, "state.db"), 1);
}

static void a_home_that_is_not_there_is_a_sentence(void **state)
{
    (void)state;
    struct store *store = fixture_open(fixture_path(home, "nowhere"), NULL);
    struct outcome refused = {0};
    assert_int_equal(store_state(store), STORE_FAILED);
    assert_non_null(strstr(store_describe(store), "nowhere/state.db"));
    store_session_create(store, &session_a, STORE_DURABLE, fixture_done, &refused, NULL);
    store_wait(store);
    assert_int_equal(refused.result, -ENOENT);
    assert_int_equal(store_read_session(store_view(store), S("a"), keep_session, NULL, NULL), -EIO);
    store_close(store);
}

static void begin_turn(struct store *store, const char *id, struct outcome *outcome)
{
    struct store_turn turn = {
        .id = span_of(id), .session = S("a"), .terms.origin = S("telegram"), .started_ms = 3000};
    struct store_message question = {
        .role = S("user"), .content = S("what time is it?"), .created_ms = 3000};
    assert_true(store_turn_begin(store, &turn, &question, 1, STORE_DURABLE, fixture_done, outcome,
                                 NULL) > 0);
}

static void a_turn_goes_its_way(void **state)
{
    (void)state;
    struct store *store = fixture_open(home, NULL);
    char path[FIXTURE_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s", fixture_path(home, "state.db"));
    struct outcome begun = {0}, asked = {0}, told = {0}, ended = {0}, late = {0};
    store_session_create(store, &session_a, STORE_DURABLE, NULL, NULL, NULL);
    begin_turn(store, "t1", &begun);
    struct store_message wants = {.role = S("assistant"), .tool_calls = S("[{}]")};
    struct store_tool_call call = {.ordinal = 0,
                                   .call_id = S("c1"),
                                   .name = S("current_time"),
                                   .arguments = S("{not json"),
                                   .state = STORE_CALL_PENDING,
                                   .flags = 1};
    struct store_turn_step step = {.turn = S("t1"),
                                   .state = STORE_TURN_TOOLS,
                                   .iteration = 1,
                                   .usage = {10, 2, 5, 300},
                                   .now_ms = 4000,
                                   .messages = &wants,
                                   .message_count = 1,
                                   .calls = &call,
                                   .call_count = 1};
    store_turn_advance(store, &step, STORE_DURABLE, fixture_done, &asked, NULL);
    struct store_message result = {
        .role = S("tool"), .content = S("noon"), .tool_call_id = S("c1"), .tainted = true};
    call.state = STORE_CALL_DONE;
    call.result = S("noon");
    step.state = STORE_TURN_MODEL;
    step.messages = &result;
    store_turn_advance(store, &step, STORE_GROUPED, fixture_done, &told, NULL);
    store_wait(store);
    assert_int_equal(begun.result, 0);
    assert_int_equal(told.result, 0);
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM tool_calls WHERE state = 'done'"
                                          " AND CAST(arguments AS TEXT) = '{not json'"),
                     1);
    assert_int_equal(fixture_number(path, "SELECT cost_pico FROM turns"
                                          " WHERE state = 'model' AND ended_ms IS NULL"),
                     600);
    struct error err = ERROR_INIT;
    assert_int_equal(store_turn_finish(store, &step, STORE_DURABLE, NULL, NULL, &err), -EINVAL);
    assert_string_equal(err.text, "a turn does not end as \"model\"");
    step.state = STORE_TURN_DONE;
    step.message_count = step.call_count = 0;
    store_turn_finish(store, &step, STORE_DURABLE, fixture_done, &ended, NULL);
    step.state = STORE_TURN_MODEL;
    store_turn_advance(store, &step, STORE_DURABLE, fixture_done, &late, NULL);
    store_wait(store);
    assert_int_equal(ended.result, 0);
    assert_int_equal(late.result, -EALREADY);
    struct rows rows = {0};
    assert_int_equal(store_read_messages(store_view(store), S("a"), 10, keep_row, &rows, NULL), 0);
    assert_string_equal(rows.text, "what time is it?||noon|");
    store_close(store);
}

static void a_turn_begins_once(void **state)
{
    (void)state;
    struct store *store = fixture_open(home, NULL);
    struct outcome first = {0}, again = {0}, other = {0};
    store_session_create(store, &session_a, STORE_DURABLE, NULL, NULL, NULL);
    begin_turn(store, "t1", &first);
    begin_turn(store, "t1", &again);
    begin_turn(store, "t2", &other);
    store_wait(store);
    assert_int_equal(first.result, 0);
    assert_int_equal(again.result, STORE_DUPLICATE);
    assert_int_equal(again.rowid, first.rowid);
    assert_int_equal(other.result, 0);
    store_close(store);
    assert_int_equal(
        fixture_number(fixture_path(home, "state.db"), "SELECT count(*) FROM messages"), 2);
}

struct found {
    int result;
    size_t count;
    char text[1024];
};

static void keep_found(void *context, int result, const struct error *err,
                       const struct store_memory *rows, size_t count)
{
    (void)err;
    struct found *found = context;
    found->result = result;
    found->count = count;
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(found->text);
        snprintf(found->text + used, sizeof found->text - used, "%.*s%s|", (int)rows[i].content.len,
                 rows[i].content.data, rows[i].tainted ? "!" : "");
    }
}

static struct found search(struct store *store, const char *text, int limit)
{
    struct found found = {.result = -1};
    assert_true(store_memory_search(store, span_of(text), limit, keep_found, &found, NULL) > 0);
    store_wait(store);
    assert_int_equal(found.result, 0);
    return found;
}

static void memories_are_found_by_their_words(void **state)
{
    (void)state;
    static const char *const texts[] = {"The car is red and the car is fast",
                                        "Caf\xc3\xa9 opens at nine", "apples are in the cellar",
                                        "NEAR the \"old\" bridge"};
    struct outcome added[4] = {0};
    assert_int_equal(ARRAY_LEN(added), ARRAY_LEN(texts));
    struct store *store = fixture_open(home, NULL);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct store_memory memory = {.content = span_of(texts[i]), .tainted = i == 2};
        store_memory_add(store, &memory, STORE_GROUPED, fixture_done, &added[i], NULL);
    }
    store_wait(store);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(added[i].result, 0);
    assert_string_equal(search(store, "which colour has my car?", 5).text,
                        "The car is red and the car is fast|");
    assert_string_equal(search(store, "cafe", 5).text, "Caf\xc3\xa9 opens at nine|");
    assert_string_equal(search(store, "apple", 5).text, "apples are in the cellar!|");
    assert_string_equal(search(store, "\"old\" NEAR(x) * AND -content:", 1).text,
                        "NEAR the \"old\" bridge|");
    assert_int_equal(search(store, "zebra", 5).count, 0);
    assert_string_equal(search(store, " ?! ", 2).text,
                        "NEAR the \"old\" bridge|apples are in the cellar!|");
    assert_int_equal(search(store, "the", 2).count, 2);
    store_close(store);
}

struct chain {
    struct store *store;
    int calls;
};

static void submit_another(void *context, int result, const struct error *err, int64_t rowid)
{
    (void)err;
    (void)rowid;
    struct chain *chain = context;
    struct store_message m = message_of("again");
    assert_int_equal(result, 0);
    if (++chain->calls < 5)
        fixture_append(chain->store, &m, STORE_GROUPED, submit_another, chain, NULL);
}

static void a_completion_may_submit(void **state)
{
    (void)state;
    struct chain chain = {fixture_open(home, NULL), 0};
    store_session_create(chain.store, &session_a, STORE_DURABLE, submit_another, &chain, NULL);
    store_wait(chain.store);
    assert_int_equal(chain.calls, 5);
    store_close(chain.store);
}

static void close_commits_what_is_queued(void **state)
{
    (void)state;
    struct store *store = fixture_open(home, NULL);
    struct outcome never = {0};
    struct store_message m = message_of("last words");
    store_session_create(store, &session_a, STORE_GROUPED, fixture_done, &never, NULL);
    fixture_append(store, &m, STORE_GROUPED, fixture_done, &never, NULL);
    store_close(store);
    assert_false(never.called);
    const char *path = fixture_path(home, "state.db");
    assert_string_equal(fixture_text(path, "SELECT content FROM messages"), "last words");
    assert_int_equal(fixture_number(path, "SELECT value FROM meta WHERE key = 'clean'"), 1);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make_home, remove_home)
    const struct CMUnitTest tests[] = {
        TEST(messages_come_back_in_order),
        TEST(latest_session_is_the_one_made_last),
        TEST(a_failing_job_fails_alone),
        TEST(forgotten_completions_are_not_called),
        TEST(the_queue_has_an_end),
        TEST(what_is_too_large_is_refused),
        TEST(bytes_are_kept_as_they_are),
        TEST(completions_announce_themselves),
        TEST(opening_is_told),
        TEST(a_home_that_is_not_there_is_a_sentence),
        TEST(a_turn_goes_its_way),
        TEST(a_turn_begins_once),
        TEST(memories_are_found_by_their_words),
        TEST(a_completion_may_submit),
        TEST(close_commits_what_is_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
