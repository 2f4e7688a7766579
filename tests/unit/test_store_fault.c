#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "store/connection.h"
#include "store/message.h"
#include "store/session.h"
#include "store/store.h"
#include "support/powercut_vfs.h"
#include "support/store_fixture.h"

// A disk that is full or slow, a directory that cannot be written, and what a commit costs.

enum { NOBODY_UID = 65534, MESSAGES = 100 };

static char home[FIXTURE_PATH_MAX];
static const struct store_options options = {.vfs = "powercut"};

static int make_home(void **state)
{
    (void)state;
    fixture_make_home(home);
    powercut_start();
    return 0;
}

static int remove_home(void **state)
{
    (void)state;
    fixture_remove_home(home);
    return 0;
}

static void create_session(struct store *store, struct outcome *outcome)
{
    struct store_session session = {
        .id = SPAN_LITERAL("a"), .channel = SPAN_LITERAL("console"), .chat = SPAN_LITERAL("")};
    assert_true(store_session_create(store, &session, STORE_DURABLE, fixture_done, outcome, NULL) >
                0);
}

static void append(struct store *store, size_t len, enum store_durability durability,
                   struct outcome *outcome)
{
    char *text = malloc(len);
    memset(text, 'x', len);
    struct store_message m = {.session = SPAN_LITERAL("a"),
                              .role = SPAN_LITERAL("user"),
                              .content = span_make(text, len)};
    assert_true(
        fixture_append(store, &m, durability, outcome ? fixture_done : NULL, outcome, NULL) > 0);
    free(text);
}

static void a_full_disk_is_a_sentence_and_passes(void **state)
{
    (void)state;
    struct outcome made = {0}, small = {0}, large = {0}, after = {0}, later = {0};
    struct store *store = fixture_open(home, &options);
    create_session(store, &made);
    store_wait(store);
    powercut_set_room(60000);
    append(store, 100, STORE_GROUPED, &small);
    append(store, 200000, STORE_GROUPED, &large);
    append(store, 100, STORE_DURABLE, &after);
    store_wait(store);
    assert_int_equal(large.result, -ENOSPC);
    assert_non_null(strstr(large.err.text, "is full; free some space"));
    assert_int_equal(small.result, 0); // what there is room for is written
    assert_int_equal(after.result, 0);
    powercut_set_room(-1);
    append(store, 200000, STORE_DURABLE, &later);
    store_wait(store);
    assert_int_equal(later.result, 0);
    store_close(store);
    const char *path = fixture_path(home, "state.db");
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM messages"), 3);
    assert_string_equal(fixture_text(path, "PRAGMA integrity_check"), "ok");
}

static void no_room_at_all_is_survived(void **state)
{
    (void)state;
    struct outcome made = {0}, refused[3] = {0};
    struct store *store = fixture_open(home, &options);
    create_session(store, &made);
    store_wait(store);
    powercut_set_room(0);
    for (int i = 0; i < 3; i++)
        append(store, 5000, STORE_DURABLE, &refused[i]);
    store_wait(store);
    for (int i = 0; i < 3; i++)
        assert_int_equal(refused[i].result, -ENOSPC);
    store_close(store);
    powercut_start();
    store = fixture_open(home, &options);
    assert_int_equal(store_state(store), STORE_READY);
    assert_string_equal(store_note(store), "");
    store_close(store);
}

static void a_new_home_on_a_full_disk_waits_for_room(void **state)
{
    (void)state;
    struct outcome refused = {0}, made = {0};
    powercut_set_room(1000);
    struct store *store = fixture_open(home, &options);
    assert_int_equal(store_state(store), STORE_FAILED);
    assert_non_null(strstr(store_describe(store), "is full"));
    create_session(store, &refused);
    store_wait(store);
    assert_int_equal(refused.result, -ENOSPC);
    powercut_set_room(-1);
    for (int tenths = 0; store_state(store) != STORE_READY && tenths < 100; tenths++)
        usleep(100000); // it is opened again every few seconds
    create_session(store, &made);
    store_wait(store);
    assert_int_equal(made.result, 0);
    store_close(store);
}

// Runs as a child without root's powers, which would hide the failure. 0 is as it should be.
static int try_unwritable(void)
{
    struct outcome refused = {0};
    if (getuid() == 0 && (setgid(NOBODY_UID) < 0 || setuid(NOBODY_UID) < 0))
        return 10;
    struct store *store = fixture_open(home, NULL);
    if (store_state(store) != STORE_FAILED)
        return 11;
    create_session(store, &refused);
    store_wait(store);
    if (refused.result >= 0 || !strstr(refused.err.text, "state.db"))
        return 12;
    fprintf(stderr, "%s\n", store_describe(store));
    store_close(store);
    return 0;
}

static int in_child(int (*function)(void))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(function());
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static void a_directory_that_cannot_be_written_is_a_sentence(void **state)
{
    (void)state;
    assert_int_equal(chmod(home, 0555), 0);
    assert_int_equal(in_child(try_unwritable), 0);
    assert_int_equal(chmod(home, 0755), 0);
    assert_int_equal(fixture_count_names(home, "db"), 0);
    // And one that holds a file which another user owns.
    struct store *store = fixture_open(home, NULL);
    store_close(store);
    assert_int_equal(chmod(home, 0555), 0);
    assert_int_equal(chmod(fixture_path(home, "state.db"), 0444), 0);
    assert_int_equal(in_child(try_unwritable), 0);
    assert_int_equal(fixture_count_names(home, "damaged"), 0);
}

static void grouped_writes_share_a_commit(void **state)
{
    (void)state;
    struct outcome made = {0}, last = {0};
    struct store *store = fixture_open(home, &options);
    create_session(store, &made);
    store_wait(store);
    int before = powercut_syncs();
    for (int i = 0; i < MESSAGES; i++)
        append(store, 10, STORE_GROUPED, NULL);
    store_wait(store);
    int grouped = powercut_syncs() - before;
    before = powercut_syncs();
    for (int i = 0; i < MESSAGES; i++)
        append(store, 10, STORE_GROUPED, NULL);
    append(store, 10, STORE_DURABLE, &last);
    store_wait(store);
    int together = powercut_syncs() - before;
    before = powercut_syncs();
    for (int i = 0; i < 10; i++) {
        struct outcome one = {0};
        append(store, 10, STORE_DURABLE, &one);
        store_wait(store);
        assert_int_equal(one.result, 0);
    }
    int alone = powercut_syncs() - before;
    print_message("fsyncs: %d grouped %d, with a durable one %d, 10 durable ones alone %d\n",
                  MESSAGES, grouped, together, alone);
    assert_int_equal(last.result, 0);
    assert_int_equal(grouped, 0);
    // The thread may have taken the first of them before the last were submitted.
    assert_true(together >= 1 && together <= 3);
    assert_int_equal(alone, 10);
    store_close(store);
}

static void a_start_that_writes_nothing_syncs_nothing(void **state)
{
    (void)state;
    struct store *store = fixture_open(home, &options);
    store_close(store);
    powercut_start();
    store = fixture_open(home, &options);
    assert_int_equal(store_state(store), STORE_READY);
    assert_int_equal(powercut_syncs(), 0);
    store_close(store);
    assert_int_equal(powercut_syncs(), 0);
}

// A file of some size that was not closed in order.
static void leave_unclean(void)
{
    struct outcome made = {0};
    struct store *store = fixture_open(home, &options);
    create_session(store, &made);
    for (int i = 0; i < 200; i++)
        append(store, 3000, STORE_GROUPED, NULL);
    store_wait(store);
    store_close(store);
    fixture_exec(fixture_path(home, "state.db"), "UPDATE meta SET value = 0 WHERE key = 'clean'");
}

static void wait_for_check(struct store *store)
{
    for (int ms = 0; store_state(store) == STORE_OPENING && ms < 10000; ms++)
        usleep(1000);
    assert_int_equal(store_state(store), STORE_CHECKING);
}

static bool no_row(void *context, const struct store_message *message)
{
    (void)context;
    (void)message;
    return true;
}

static void the_owner_goes_on_during_a_check(void **state)
{
    (void)state;
    struct outcome queued = {0};
    struct error err = ERROR_INIT;
    struct store *store = NULL;
    leave_unclean();
    powercut_set_read_delay(2000);
    assert_int_equal(store_open(home, &options, &store, NULL), 0);
    wait_for_check(store);
    append(store, 10, STORE_DURABLE, &queued);
    store_dispatch(store);
    assert_false(queued.called);
    assert_int_equal(
        store_read_messages(store_view(store), SPAN_LITERAL("a"), 1, no_row, NULL, &err), -EAGAIN);
    assert_non_null(strstr(err.text, "is being checked"));
    powercut_set_read_delay(0);
    store_wait(store);
    assert_int_equal(store_state(store), STORE_READY);
    assert_int_equal(queued.result, 0);
    store_close(store);
}

static void a_stop_ends_a_long_check(void **state)
{
    (void)state;
    struct store *store = NULL;
    leave_unclean();
    powercut_set_read_delay(100000); // for twenty seconds
    assert_int_equal(store_open(home, &options, &store, NULL), 0);
    wait_for_check(store);
    append(store, 10, STORE_DURABLE, NULL);
    store_close(store);
    // Nothing is known about the file, so nothing is said about it and nothing was written.
    const char *path = fixture_path(home, "state.db");
    assert_int_equal(fixture_number(path, "SELECT value FROM meta WHERE key = 'clean'"), 0);
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM messages"), 200);
    assert_int_equal(fixture_count_names(home, "damaged"), 0);
}

static bool file_has(const char *name, const char *text)
{
    char *data = NULL;
    size_t len = 0;
    fixture_read(fixture_path(home, name), &data, &len);
    bool found = memmem(data, len, text, strlen(text)) != NULL;
    free(data);
    return found;
}

// The rows are gone, but the file cannot be written anew; that happens when there is room.
static struct store *listened_to;
static bool told_of_note;

static void on_ready_again(void *context, enum store_state state)
{
    (void)context;
    told_of_note |= state == STORE_READY && *store_note(listened_to);
}

static void attempts_to_clean_the_file_become_rare(void **state)
{
    (void)state;
    assert_int_equal(store_scrub_wait_ms(1), 60 * 1000);
    assert_int_equal(store_scrub_wait_ms(2), 120 * 1000);
    assert_int_equal(store_scrub_wait_ms(7), 60 * 60 * 1000);
    assert_int_equal(store_scrub_wait_ms(4000000000u), 60 * 60 * 1000);
}

// Found where nobody asked: by reading all of it for a new file.
static void damage_that_cleaning_meets_is_marked(void **state)
{
    (void)state;
    enum { ROWS = 400, PAGE = 4096, BEGIN = 60 * PAGE, PAGES = 10, LOOKS = 6000 };
    struct outcome made = {0};
    char path[FIXTURE_PATH_MAX + 16], noise[PAGES * PAGE];
    struct store *store = fixture_open(home, NULL);
    create_session(store, &made);
    for (int i = 0; i < ROWS; i++) // several to a page
        append(store, PAGE / 4, STORE_GROUPED, NULL);
    store_wait(store);
    store_close(store);
    snprintf(path, sizeof path, "%s", fixture_path(home, "state.db"));
    fixture_exec(path, "INSERT INTO meta VALUES('scrub', 1)");
    memset(noise, 0x5a, sizeof noise);
    fixture_overwrite(path, BEGIN, noise, sizeof noise);
    store = fixture_open(home, NULL);
    for (int i = 0; i < LOOKS && !*store_note(store); i++)
        usleep(10 * 1000);
    assert_non_null(strstr(store_note(store), "the next start checks it"));
    store_close(store);
    assert_int_equal(fixture_number(path, "SELECT value FROM meta WHERE key = 'clean'"), -1);
}

static void a_deletion_on_a_full_disk(void **state)
{
    (void)state;
    enum { LARGE = 600 * 1000, LOOKS = 6000 };
    struct outcome made = {0}, outcome = {0};
    struct store *store = fixture_open(home, &options);
    struct store_session other = {
        .id = SPAN_LITERAL("b"), .channel = SPAN_LITERAL("console"), .chat = SPAN_LITERAL("")};
    create_session(store, &made);
    append(store, LARGE, STORE_DURABLE, NULL);
    store_session_create(store, &other, STORE_DURABLE, NULL, NULL, NULL);
    store_wait(store);
    char path[FIXTURE_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s", fixture_path(home, "state.db"));
    fixture_exec(path, "INSERT INTO messages(session, role, content, created_ms)"
                       " VALUES(2, 'user', replace(hex(zeroblob(300000)), '0', 'y'), 1)");
    powercut_set_room(200 * 1000);
    assert_true(store_session_delete(store, SPAN_LITERAL("a"), fixture_done, &outcome, NULL) > 0);
    store_wait(store);
    assert_int_equal(outcome.result, STORE_LEFT_OVER);
    assert_non_null(strstr(outcome.err.text, "writing the database anew"));
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM messages"), 1);
    powercut_set_room(-1);
    store_close(store);
    assert_true(file_has("state.db", "xxxxxxxx"));

    powercut_set_room(200 * 1000); // this time nobody waits for it
    struct store_options listening = options;
    listening.on_state = on_ready_again;
    struct error err = ERROR_INIT;
    assert_int_equal(store_open(home, &listening, &store, &err), 0);
    listened_to = store;
    for (int i = 0; i < LOOKS && !told_of_note; i++) {
        usleep(10 * 1000);
        store_dispatch(store);
    }
    assert_true(told_of_note);
    assert_non_null(strstr(store_note(store), "what was deleted is still in the database's file"));
    powercut_set_room(-1);
    store_close(store);

    store = fixture_open(home, &options);
    for (int i = 0; i < LOOKS && file_has("state.db", "xxxxxxxx"); i++)
        usleep(10 * 1000);
    store_close(store);
    assert_false(file_has("state.db", "xxxxxxxx"));
    assert_true(file_has("state.db", "yyyyyyyy"));
    assert_string_equal(fixture_text(path, "PRAGMA integrity_check"), "ok");
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM meta WHERE key = 'scrub'"), 0);
    assert_int_equal(fixture_number(path, "SELECT value FROM meta WHERE key = 'clean'"), 1);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make_home, remove_home)
    powercut_register();
    const struct CMUnitTest tests[] = {
        TEST(a_full_disk_is_a_sentence_and_passes),
        TEST(a_deletion_on_a_full_disk),
        TEST(attempts_to_clean_the_file_become_rare),
        TEST(damage_that_cleaning_meets_is_marked),
        TEST(no_room_at_all_is_survived),
        TEST(a_new_home_on_a_full_disk_waits_for_room),
        TEST(a_directory_that_cannot_be_written_is_a_sentence),
        TEST(grouped_writes_share_a_commit),
        TEST(a_start_that_writes_nothing_syncs_nothing),
        TEST(the_owner_goes_on_during_a_check),
        TEST(a_stop_ends_a_long_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
