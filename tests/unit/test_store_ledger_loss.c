// links: store_fixture
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "store/journal.h"
#include "store/ledger.h"
#include "support/store_fixture.h"

// Records that are gone are told of, and those that are only not read yet are not.

enum { RECORDS_OF_A_STEP = 1024 };

static char home[FIXTURE_PATH_MAX];
static int64_t now_s, record_bytes;
static struct journal *journal;
static struct store *store;

static int setup(void **state)
{
    (void)state;
    fixture_make_home(home);
    now_s = 1800000000;
    assert_int_equal(journal_open(home, &journal, NULL), 0);
    store = fixture_open(home, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    journal_close(journal);
    store_close(store);
    fixture_remove_home(home);
    return 0;
}

static void append_release(int number)
{
    char call[16];
    BUF_AUTO record = BUF_INIT(LEDGER_RECORD_MAX);
    snprintf(call, sizeof call, "c%d", number);
    assert_true(store_ledger_encode_release(span_of(call), &record));
    assert_int_equal(journal_append(journal, buf_span(&record), NULL), 0);
}

struct applied {
    int result, steps, losses;
    bool is_behind;
};

static void on_applied(void *context, int result, const struct error *err,
                       const struct store_apply_result *step)
{
    struct applied *applied = context;
    (void)err;
    applied->result = result;
    applied->steps++;
    applied->losses += step->lost_generation != 0;
    applied->is_behind = result == 0 && step->is_behind;
}

static struct applied apply(void)
{
    struct applied applied = {0};
    struct store_apply_range range = {
        .home = home, .limit = journal_end(journal), .wall_ms = now_s * 1000};
    range.generations = journal_generations(journal, &range.count);
    do {
        assert_true(store_ledger_apply(store, &range, on_applied, &applied, NULL) > 0);
        store_wait(store);
    } while (applied.is_behind);
    return applied;
}

// A step ends at so many records, in the midst of the bytes that it has read.
static void records_of_more_than_one_step_are_not_lost(void **state)
{
    (void)state;
    for (int i = 0; i < RECORDS_OF_A_STEP + 76; i++)
        append_release(i);
    struct applied applied = apply();
    assert_int_equal(applied.result, 0);
    assert_int_equal(applied.steps, 2);
    assert_int_equal(applied.losses, 0);
    assert_int_equal(fixture_count_names(home, JOURNAL_LOST), 0);
}

static const char *name_of(const char *what)
{
    static char name[64];
    size_t count;
    const uint64_t *generations = journal_generations(journal, &count);
    snprintf(name, sizeof name, "%s.%016llx", what, (unsigned long long)generations[count - 1]);
    return fixture_path(home, name);
}

// A transaction that is undone leaves the file that it has written, and is repeated.
static void a_loss_is_told_again_when_its_transaction_is_repeated(void **state)
{
    (void)state;
    append_release(0);
    assert_int_equal(unlink(name_of(JOURNAL_NAME)), 0);
    for (int i = 0; i < 2; i++) {
        struct applied applied = apply();
        assert_int_equal(applied.result, 0);
        assert_int_equal(applied.losses, 1);
    }
    assert_int_equal(fixture_count_names(home, JOURNAL_LOST), 1);
}

// One that the router began for somebody's question; its own comes afterwards.
static void a_loss_that_another_fold_has_found_is_told(void **state)
{
    (void)state;
    static const char zeros[64];
    append_release(0);
    fixture_overwrite(name_of(JOURNAL_NAME), 0, zeros, (size_t)journal_end(journal));
    assert_int_equal(apply().losses, 1);
    assert_int_equal(apply().losses, 1);
    assert_int_equal(journal_rotate(journal, NULL), 0);
    assert_int_equal(apply().losses, 1);
}

static int64_t dated_s(const char *name)
{
    struct stat status;
    assert_int_equal(stat(name, &status), 0);
    return (int64_t)status.st_mtime;
}

// Of a file that is still written to, a later day's records are lost as well.
static void a_loss_that_goes_on_is_dated_anew(void **state)
{
    (void)state;
    enum { DAY_S = 86400 };
    char lost[FIXTURE_PATH_MAX + 64];
    append_release(0);
    snprintf(lost, sizeof lost, "%s", name_of(JOURNAL_LOST));
    assert_int_equal(unlink(name_of(JOURNAL_NAME)), 0);
    apply();
    assert_int_equal(dated_s(lost), now_s);
    now_s += DAY_S;
    apply();
    assert_int_equal(dated_s(lost), now_s);
    assert_int_equal(journal_rotate(journal, NULL), 0);
    now_s += DAY_S;
    assert_int_equal(apply().losses, 1);
    assert_int_equal(dated_s(lost),
                     now_s - DAY_S); // then it is left, and all that was lost is known
}

// So many records, of which the first ones have reached the disk, of a process that has ended.
static uint64_t be_ended(int synced, int records, char *path)
{
    struct outcome outcome = {0};
    size_t count;
    for (int i = 0; i < records; i++) {
        append_release(i);
        if (i + 1 == synced)
            assert_true(journal_sync(store, journal, fixture_done, &outcome, NULL) > 0);
        store_wait(store);
    }
    assert_int_equal(outcome.called, synced > 0);
    assert_int_equal(outcome.result, 0);
    snprintf(path, FIXTURE_PATH_MAX + 64, "%s", name_of(JOURNAL_NAME));
    uint64_t generation = journal_generations(journal, &count)[count - 1];
    record_bytes = journal_end(journal) / records;
    journal_close(journal);
    assert_int_equal(journal_open(home, &journal, NULL), 0);
    return generation;
}

static void blank(const char *file, int64_t from, int64_t to)
{
    static const char zeros[1024];
    fixture_overwrite(file, from, zeros, (size_t)(to - from));
}

static void what_is_missing_of_a_synced_journal_is_lost(void **state)
{
    (void)state;
    enum { SYNCED = 3, RECORDS = 4 };
    for (int kept = 0; kept <= RECORDS; kept++) {
        for (int blanked = 0; blanked <= 1; blanked++) {
            char file[FIXTURE_PATH_MAX + 64];
            uint64_t generation = be_ended(SYNCED, RECORDS, file);
            assert_int_equal(journal_marked_end(home, generation), SYNCED * record_bytes);
            if (blanked)
                blank(file, kept * record_bytes, RECORDS * record_bytes);
            else
                assert_int_equal(truncate(file, kept * record_bytes), 0);
            assert_int_equal(apply().losses > 0, kept < SYNCED); // a power cut takes the rest
            assert_int_equal(journal_has_loss(home, generation), kept < SYNCED);
            teardown(state);
            setup(state);
        }
    }
}

static void a_hole_in_a_synced_journal_is_a_loss(void **state)
{
    (void)state;
    char file[FIXTURE_PATH_MAX + 64];
    be_ended(3, 4, file);
    blank(file, record_bytes, 2 * record_bytes);
    assert_true(apply().losses > 0);
}

// It says less than there is, but nothing that is not.
static void a_mark_that_was_not_written_to_its_end_makes_no_loss(void **state)
{
    (void)state;
    static const char noise[] = "fifteen bytes..";
    for (int len = 0; len < (int)sizeof noise; len++) {
        char file[FIXTURE_PATH_MAX + 64], mark[FIXTURE_PATH_MAX + 64];
        snprintf(mark, sizeof mark, "%s", name_of(JOURNAL_MARK));
        uint64_t generation = be_ended(3, 4, file);
        assert_int_equal(truncate(mark, 0), 0);
        fixture_overwrite(mark, 0, noise, (size_t)len);
        assert_int_equal(journal_marked_end(home, generation), 1);
        assert_int_equal(truncate(file, record_bytes), 0);
        assert_int_equal(apply().losses, 0);
        teardown(state);
        setup(state);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_of_more_than_one_step_are_not_lost),
        TEST(a_loss_is_told_again_when_its_transaction_is_repeated),
        TEST(a_loss_that_another_fold_has_found_is_told),
        TEST(a_loss_that_goes_on_is_dated_anew),
        TEST(what_is_missing_of_a_synced_journal_is_lost),
        TEST(a_hole_in_a_synced_journal_is_a_loss),
        TEST(a_mark_that_was_not_written_to_its_end_makes_no_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
