#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "store/message.h"
#include "store/session.h"
#include "store/store.h"
#include "store/store_internal.h"
#include "support/store_talk.h"

// Reads on the store's thread: their place among the writes, and who frees what.

#define S(text) SPAN_LITERAL(text)

struct counting {         // the context of a read
    sem_t *begun, *go_on; // NULL: it does not wait
    int fails_with;
    int64_t messages; // that it saw
    struct outcome outcome;
    int runs, released;
};

static int count(void *context, struct store_view *view, struct error *err)
{
    struct counting *counting = context;
    counting->runs++;
    if (counting->begun) {
        sem_post(counting->begun);
        sem_wait(counting->go_on);
    }
    if (counting->fails_with < 0)
        return error_set(err, counting->fails_with, "it would not go");
    int r = store_read_history_count(view, S("a"), &counting->messages, err);
    return r < 0 ? r : counting->fails_with;
}

static void counted(void *context, int result, const struct error *err, int64_t rowid)
{
    struct counting *counting = context;
    assert_int_equal(counting->released, 0);
    fixture_done(&counting->outcome, result, err, rowid);
}

static void release(void *context)
{
    ((struct counting *)context)->released++;
}

static const struct store_reading reading = {count, counted, release};

static void append(struct outcome *outcome)
{
    struct store_message message = {.session = S("a"), .role = S("user"), .content = S("hello")};
    assert_true(fixture_append(talk.store, &message, STORE_GROUPED, fixture_done, outcome, NULL) >
                0);
}

static void a_read_sees_what_was_submitted_before(void **state)
{
    (void)state;
    struct outcome appended = {0};
    struct counting counting = {0};
    append(&appended);
    assert_true(store_read(talk.store, &reading, &counting, NULL) > 0);
    store_wait(talk.store);
    assert_true(appended.called && counting.outcome.called);
    assert_int_equal(counting.outcome.result, 0);
    assert_int_equal(counting.messages, 1);
    assert_int_equal(counting.runs, 1);
    assert_int_equal(counting.released, 1);
}

static void a_write_waits_for_one_read_at_most(void **state)
{
    (void)state;
    sem_t begun, go_on;
    sem_init(&begun, 0, 0);
    sem_init(&go_on, 0, 0);
    struct counting first = {.begun = &begun, .go_on = &go_on}, second = {0};
    struct outcome appended = {0};
    assert_true(store_read(talk.store, &reading, &first, NULL) > 0);
    assert_true(store_read(talk.store, &reading, &second, NULL) > 0);
    sem_wait(&begun);
    append(&appended); // after both reads, of which one has not begun
    sem_post(&go_on);
    store_wait(talk.store);
    assert_int_equal(first.messages, 0);
    assert_int_equal(second.messages, 1);
    assert_true(appended.called && second.outcome.called);
    sem_destroy(&begun);
    sem_destroy(&go_on);
}

static void a_failed_read_is_not_repeated(void **state)
{
    (void)state;
    static const int codes[] = {-EINVAL, -EIO, -ENOSPC, STORE_NOT_FOUND};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct counting counting = {.fails_with = codes[i]};
        struct outcome appended = {0};
        assert_true(store_read(talk.store, &reading, &counting, NULL) > 0);
        append(&appended);
        store_wait(talk.store);
        assert_int_equal(counting.outcome.result, codes[i]);
        assert_string_equal(counting.outcome.err.text, codes[i] < 0 ? "it would not go" : "");
        assert_int_equal(counting.runs, 1);
        assert_int_equal(counting.released, 1);
        assert_int_equal(appended.result, 0);
    }
}

static void a_failed_read_is_no_trouble_with_writing(void **state)
{
    (void)state;
    struct counting counting = {.fails_with = -EIO};
    assert_true(store_read(talk.store, &reading, &counting, NULL) > 0);
    store_wait(talk.store);
    assert_int_equal(counting.outcome.result, -EIO);
    assert_string_equal(store_trouble(talk.store), "");
}

static void a_forgotten_read_is_released(void **state)
{
    (void)state;
    struct counting counting = {0};
    store_forget(talk.store, store_read(talk.store, &reading, &counting, NULL));
    store_wait(talk.store);
    assert_false(counting.outcome.called);
    assert_int_equal(counting.released, 1);
}

static void a_read_of_a_closed_store_is_released(void **state)
{
    (void)state;
    struct counting counting[3] = {{0}};
    for (size_t i = 0; i < 3; i++)
        assert_true(store_read(talk.store, &reading, &counting[i], NULL) > 0);
    store_close(talk.store);
    talk.store = NULL;
    for (size_t i = 0; i < 3; i++) {
        assert_false(counting[i].outcome.called);
        assert_int_equal(counting[i].released, 1);
    }
}

static int count_for_ever(void *context, struct store_view *view, struct error *err)
{
    struct counting *counting = context;
    counting->runs++;
    sem_post(counting->begun);
    int64_t most = 0;
    return store_read_number(view,
                             "SELECT max(a.rowid + f.rowid) FROM sqlite_schema a, sqlite_schema b,"
                             " sqlite_schema c, sqlite_schema d, sqlite_schema e, sqlite_schema f,"
                             " sqlite_schema g, sqlite_schema h",
                             NULL, 0, &most, err);
}

static void closing_interrupts_a_read_and_begins_no_other(void **state)
{
    (void)state;
    sem_t begun;
    sem_init(&begun, 0, 0);
    struct counting endless = {.begun = &begun}, next = {0};
    struct outcome appended = {0};
    static const struct store_reading for_ever = {count_for_ever, counted, release};
    assert_true(store_read(talk.store, &for_ever, &endless, NULL) > 0);
    sem_wait(&begun);
    append(&appended);
    assert_true(store_read(talk.store, &reading, &next, NULL) > 0);
    store_close(talk.store);
    assert_int_equal(endless.released, 1);
    assert_int_equal(next.runs, 0);
    assert_int_equal(next.released, 1);
    int64_t messages = 0;
    talk.store = fixture_open(talk.home, NULL); // marked as closed cleanly, with what was queued
    store_wait(talk.store);
    assert_int_equal(store_read_history_count(store_view(talk.store), S("a"), &messages, NULL), 0);
    assert_int_equal(messages, 1);
    sem_destroy(&begun);
}

static void a_read_without_a_database_is_told_why(void **state)
{
    (void)state;
    struct counting counting = {0};
    struct store *store = fixture_open(fixture_path(talk.home, "nowhere"), NULL);
    assert_true(store_read(store, &reading, &counting, NULL) > 0);
    store_wait(store);
    assert_int_equal(counting.outcome.result, -ENOENT);
    assert_non_null(strstr(counting.outcome.err.text, "nowhere"));
    assert_int_equal(counting.runs, 0);
    assert_int_equal(counting.released, 1);
    store_close(store);
}

static void a_read_too_many_is_refused_and_not_released(void **state)
{
    (void)state;
    sem_t begun, go_on;
    sem_init(&begun, 0, 0);
    sem_init(&go_on, 0, 0);
    struct counting first = {.begun = &begun, .go_on = &go_on}, others = {0}, late = {0};
    struct error err = ERROR_INIT;
    store_read(talk.store, &reading, &first, NULL);
    sem_wait(&begun);
    for (int i = 1; i < STORE_QUEUE_MAX; i++)
        assert_true(
            store_read(talk.store, &(struct store_reading){count, NULL, NULL}, &others, NULL) > 0);
    assert_int_equal(store_read(talk.store, &reading, &late, &err), -EAGAIN);
    assert_int_equal(late.released, 0);
    sem_post(&go_on);
    store_wait(talk.store);
    assert_int_equal(others.runs, STORE_QUEUE_MAX - 1);
    assert_int_equal(late.runs, 0);
    sem_destroy(&begun);
    sem_destroy(&go_on);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, talk_setup_session, talk_teardown)
        TEST(a_read_sees_what_was_submitted_before),
        TEST(a_write_waits_for_one_read_at_most),
        TEST(a_failed_read_is_not_repeated),
        TEST(a_failed_read_is_no_trouble_with_writing),
        TEST(a_forgotten_read_is_released),
        TEST(a_read_of_a_closed_store_is_released),
        TEST(closing_interrupts_a_read_and_begins_no_other),
        TEST(a_read_without_a_database_is_told_why),
        TEST(a_read_too_many_is_refused_and_not_released),
    };
    return cmocka_run_group_tests_name("store/read", tests, NULL, NULL);
}
