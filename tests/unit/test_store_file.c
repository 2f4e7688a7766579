#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/file.h"
#include "store/memory.h"
#include "store/message.h"
#include "store/session.h"
#include "store/store.h"
#include "support/store_fixture.h"

// What a home may hold before us: files of others, of a newer program, and damage of every kind.

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

static int64_t fixed_wall_ms(void *context)
{
    (void)context;
    return 1795225632000;
}

static int64_t fixed_monotonic_ms(void *context)
{
    (void)context;
    return 0;
}

static const struct clock fixed_clock = {fixed_monotonic_ms, fixed_wall_ms, NULL, NULL};
static const struct store_options options = {.clock = &fixed_clock};

static const struct store_session session = {
    .id = SPAN_LITERAL("a"), .channel = SPAN_LITERAL("console"), .chat = SPAN_LITERAL("")};

static void create_session(struct store *store)
{
    struct outcome made = {0};
    store_session_create(store, &session, STORE_DURABLE, fixture_done, &made, NULL);
    store_wait(store);
    if (made.result < 0)
        fail_msg("%d %s", made.result, made.err.text);
}

static void append(struct store *store, const char *text)
{
    struct store_message m = {
        .session = SPAN_LITERAL("a"), .role = SPAN_LITERAL("user"), .content = span_of(text)};
    struct outcome made = {0};
    fixture_append(store, &m, STORE_DURABLE, fixture_done, &made, NULL);
    store_wait(store);
    if (made.result != 0)
        fail_msg("%d %s", made.result, made.err.text);
}

// A file with some hundred pages, closed in order.
static void fill(void)
{
    static char text[3000];
    memset(text, 'y', sizeof text - 1);
    struct store *store = fixture_open(home, &options);
    assert_string_equal(store_note(store), "");
    create_session(store);
    for (int i = 0; i < 200; i++)
        append(store, text);
    store_close(store);
}

static void pretend_unclean(void)
{
    fixture_exec(path, "UPDATE meta SET value = 0 WHERE key = 'clean'");
}

static void a_file_of_another_program_stays_as_it_is(void **state)
{
    (void)state;
    char *before = NULL, *after = NULL;
    size_t before_len = 0, after_len = 0;
    fixture_exec(path, "PRAGMA journal_mode = WAL; CREATE TABLE sessions(id TEXT);"
                       " INSERT INTO sessions VALUES('theirs')");
    fixture_read(path, &before, &before_len);

    struct store *store = fixture_open(home, &options);
    assert_int_equal(store_state(store), STORE_READY);
    assert_string_equal(store_path(store), fixture_path(home, "hermes.db"));
    assert_non_null(strstr(store_note(store), "belongs to another program"));
    create_session(store);
    store_close(store);

    fixture_read(path, &after, &after_len);
    assert_int_equal(before_len, after_len);
    assert_memory_equal(before, after, before_len);
    assert_int_equal(fixture_count_names(home, "state.db-"), 0);
    assert_int_equal(
        fixture_number(fixture_path(home, "hermes.db"), "SELECT count(*) FROM sessions"), 1);
    free(before);
    free(after);

    // When that program is gone, what was written here is still found.
    unlink(path);
    store = fixture_open(home, &options);
    assert_string_equal(store_path(store), fixture_path(home, "hermes.db"));
    assert_string_equal(store_note(store), "");
    store_close(store);
}

static void expect_profile_file(const char *name)
{
    CLEANUP(mem_cleanup) char *profile = mem_printf("%s/profiles/work", home);
    CLEANUP(mem_cleanup) char *slashed = mem_printf("%s/", profile);
    CLEANUP(mem_cleanup) char *expected = mem_printf("%s/%s", profile, name);
    struct store_file file = {0};
    struct error err = ERROR_INIT;
    assert_int_equal(store_file_choose(profile, &file, &err), 0);
    assert_string_equal(file.path, expected);
    assert_false(file.displaced);
    free(file.path);
    assert_int_equal(store_file_choose(slashed, &file, &err), 0);
    assert_non_null(strstr(file.path, name));
    free(file.path);
}

static void a_profile_leaves_the_name_to_the_program_of_its_home(void **state)
{
    (void)state;
    CLEANUP(mem_cleanup) char *profiles = mem_strdup(fixture_path(home, "profiles"));
    CLEANUP(mem_cleanup) char *work = mem_printf("%s/work", profiles);
    CLEANUP(mem_cleanup) char *own = mem_printf("%s/state.db", work);
    assert_int_equal(mkdir(profiles, 0700), 0);
    assert_int_equal(mkdir(work, 0700), 0);
    expect_profile_file("state.db");
    fixture_exec(path, "CREATE TABLE sessions(id TEXT)");
    expect_profile_file("hermes.db");
    // One that Hermes has begun is not left behind.
    struct store *store = fixture_open(work, &options);
    create_session(store);
    CLEANUP(mem_cleanup) char *begun = mem_strdup(store_path(store));
    store_close(store);
    assert_int_equal(rename(begun, own), 0);
    expect_profile_file("state.db");
    unlink(own);
    rmdir(work);
    rmdir(profiles);
}

static void two_files_of_other_programs_are_too_many(void **state)
{
    (void)state;
    fixture_exec(path, "CREATE TABLE x(y)");
    fixture_exec(fixture_path(home, "hermes.db"), "CREATE TABLE x(y)");
    struct store *store = fixture_open(home, &options);
    assert_int_equal(store_state(store), STORE_FAILED);
    assert_non_null(strstr(store_describe(store), "both belong to another program"));
    store_close(store);
}

static void an_empty_file_is_ours(void **state)
{
    (void)state;
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    close(fd);
    fill();
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(fixture_number(path, "PRAGMA application_id"), 0x48524D53);
}

static void a_database_without_tables_is_ours(void **state)
{
    (void)state;
    fixture_exec(path, "PRAGMA page_size = 4096; VACUUM");
    struct store *store = fixture_open(home, &options);
    assert_int_equal(store_state(store), STORE_READY);
    assert_string_equal(store_path(store), path);
    store_close(store);
}

static void a_newer_file_is_refused(void **state)
{
    (void)state;
    char *before = NULL, *after = NULL;
    size_t before_len = 0, after_len = 0;
    fill();
    fixture_exec(path, "PRAGMA user_version = 999");
    fixture_read(path, &before, &before_len);
    struct store *store = fixture_open(home, &options);
    struct outcome refused = {0};
    assert_int_equal(store_state(store), STORE_FAILED);
    assert_non_null(strstr(store_describe(store), "newer Hermes (schema 999"));
    store_session_create(store, &session, STORE_DURABLE, fixture_done, &refused, NULL);
    store_wait(store);
    assert_int_equal(refused.result, -ENOTSUP);
    store_close(store);
    fixture_read(path, &after, &after_len);
    assert_int_equal(before_len, after_len);
    assert_memory_equal(before, after, before_len);
    assert_int_equal(fixture_count_names(home, "damaged"), 0);
    free(before);
    free(after);
}

// Opens twice: the damage is set aside, and afterwards there is nothing left to say.
static void expect_set_aside(const char *part_of_note)
{
    struct store *store = fixture_open(home, &options);
    if (store_state(store) != STORE_READY)
        fail_msg("%s", store_describe(store));
    if (!strstr(store_note(store), part_of_note))
        fail_msg("note: %s", store_note(store));
    create_session(store);
    store_close(store);
    store = fixture_open(home, &options);
    assert_int_equal(store_state(store), STORE_READY);
    assert_string_equal(store_note(store), "");
    store_close(store);
}

static void a_damaged_header_is_set_aside(void **state)
{
    (void)state;
    fill();
    fixture_overwrite(path, 0, "garbage garbage garbage", 23);
    expect_set_aside("state.db.damaged-20261121T");
    // A second one within the same second does not take the first one's name.
    fixture_overwrite(path, 0, "garbage garbage garbage", 23);
    expect_set_aside("Z-2");
    assert_int_equal(fixture_count_names(home, "damaged"), 2);
}

static void a_file_that_is_no_database_is_set_aside(void **state)
{
    (void)state;
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "short", 5), 5);
    close(fd);
    expect_set_aside("not a database");
}

static void overwrite_pages(int from, int count)
{
    static unsigned char noise[4096];
    memset(noise, 0xa5, sizeof noise);
    for (int page = from; page < from + count; page++)
        fixture_overwrite(path, (int64_t)page * 4096, noise, sizeof noise);
}

static void damaged_pages_are_found_after_an_unclean_stop(void **state)
{
    (void)state;
    fill();
    pretend_unclean();
    overwrite_pages(60, 5);
    expect_set_aside("is damaged (");
    assert_int_equal(fixture_count_names(home, "state.db.damaged-20261121T014712Z"),
                     3); // and its log
}

static void a_truncated_file_is_found_after_an_unclean_stop(void **state)
{
    (void)state;
    fill();
    pretend_unclean();
    assert_int_equal(truncate(path, 100 * 4096 + 700), 0);
    expect_set_aside("is damaged (");
}

// After a clean stop a file is not read as a whole; damage is then met in use.
static void damage_met_in_use_is_set_aside_at_the_next_start(void **state)
{
    (void)state;
    fill();
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    overwrite_pages(60, (int)(st.st_size / 4096) - 60); // not the schema, which is read at once
    struct store *store = fixture_open(home, &options);
    assert_int_equal(store_state(store), STORE_READY);
    struct store_message m = {
        .session = SPAN_LITERAL("a"), .role = SPAN_LITERAL("user"), .content = SPAN_LITERAL("z")};
    struct outcome refused = {0};
    fixture_append(store, &m, STORE_DURABLE, fixture_done, &refused, NULL);
    store_wait(store);
    assert_int_equal(refused.result, -EUCLEAN);
    assert_non_null(strstr(refused.err.text, "damaged"));
    assert_int_equal(store_state(store), STORE_READY);
    store_close(store);
    expect_set_aside("is damaged (");
}

static void a_whole_file_survives_its_check(void **state)
{
    (void)state;
    fill();
    pretend_unclean();
    struct store *store = fixture_open(home, &options);
    assert_int_equal(store_state(store), STORE_READY);
    assert_string_equal(store_note(store), "");
    store_close(store);
    assert_int_equal(fixture_number(path, "SELECT value FROM meta WHERE key = 'clean'"), 1);
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM messages"), 200);
}

// Copies the files as a crash would leave them, with the log not folded in.
static void copy_file(const char *from, const char *to)
{
    char *data = NULL;
    size_t len = 0;
    fixture_read(from, &data, &len);
    int fd = open(to, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    close(fd);
    free(data);
}

static void crash_with_log(char *crashed)
{
    char from[FIXTURE_PATH_MAX + 16], to[FIXTURE_PATH_MAX + 16];
    fixture_make_home(crashed);
    struct store *store = fixture_open(home, &options);
    create_session(store);
    for (int i = 0; i < 20; i++)
        append(store, "in the log");
    snprintf(from, sizeof from, "%s/state.db", home);
    snprintf(to, sizeof to, "%s/state.db", crashed);
    copy_file(from, to);
    snprintf(from, sizeof from, "%s/state.db-wal", home);
    snprintf(to, sizeof to, "%s/state.db-wal", crashed);
    copy_file(from, to);
    store_close(store);
}

static void a_truncated_log_gives_what_is_whole(void **state)
{
    (void)state;
    char crashed[FIXTURE_PATH_MAX];
    crash_with_log(crashed);
    struct stat st;
    char *log = strdup(fixture_path(crashed, "state.db-wal"));
    assert_int_equal(stat(log, &st), 0);
    assert_int_equal(truncate(log, st.st_size / 2 + 100), 0);
    struct store *store = fixture_open(crashed, &options);
    assert_int_equal(store_state(store), STORE_READY);
    assert_string_equal(store_note(store), "");
    create_session(store);
    store_close(store);
    int64_t rows =
        fixture_number(fixture_path(crashed, "state.db"), "SELECT count(*) FROM messages");
    assert_true(rows > 0 && rows < 20);
    free(log);
    fixture_remove_home(crashed);
}

static void a_log_without_its_file_is_set_aside(void **state)
{
    (void)state;
    char crashed[FIXTURE_PATH_MAX];
    crash_with_log(crashed);
    unlink(fixture_path(crashed, "state.db"));
    struct store *store = fixture_open(crashed, &options);
    assert_int_equal(store_state(store), STORE_READY);
    assert_non_null(strstr(store_note(store), "only the log"));
    assert_int_equal(fixture_count_names(crashed, "damaged"), 1);
    store_close(store);
    fixture_remove_home(crashed);
}

static void a_damaged_text_index_is_made_anew(void **state)
{
    (void)state;
    struct store *store = fixture_open(home, &options);
    struct store_memory memory = {.content = SPAN_LITERAL("the milk is sour")};
    store_memory_add(store, &memory, STORE_DURABLE, NULL, NULL, NULL);
    store_wait(store);
    store_close(store);
    fixture_exec(path, "DELETE FROM memory_fts_data WHERE id > 10");
    pretend_unclean();
    store = fixture_open(home, &options);
    assert_int_equal(store_state(store), STORE_READY);
    assert_string_equal(store_note(store), "");
    store_close(store);
    assert_int_equal(
        fixture_number(path, "SELECT count(*) FROM memory_fts WHERE memory_fts MATCH 'milk'"), 1);
    assert_int_equal(fixture_count_names(home, "damaged"), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make_home, remove_home)
    const struct CMUnitTest tests[] = {
        TEST(a_file_of_another_program_stays_as_it_is),
        TEST(a_profile_leaves_the_name_to_the_program_of_its_home),
        TEST(two_files_of_other_programs_are_too_many),
        TEST(an_empty_file_is_ours),
        TEST(a_database_without_tables_is_ours),
        TEST(a_newer_file_is_refused),
        TEST(a_damaged_header_is_set_aside),
        TEST(a_file_that_is_no_database_is_set_aside),
        TEST(damaged_pages_are_found_after_an_unclean_stop),
        TEST(a_truncated_file_is_found_after_an_unclean_stop),
        TEST(damage_met_in_use_is_set_aside_at_the_next_start),
        TEST(a_whole_file_survives_its_check),
        TEST(a_truncated_log_gives_what_is_whole),
        TEST(a_log_without_its_file_is_set_aside),
        TEST(a_damaged_text_index_is_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
