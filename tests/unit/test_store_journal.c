// links: store_fixture
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "store/journal.h"
#include "store/journal_internal.h"
#include "support/store_fixture.h"

// The journal must give back every record that is whole, and nothing else, whatever a power cut or
// a bad block made of the file.

enum { RECORDS = 6, PART_MAX = JOURNAL_RECORD_MAX + 4096 };

static char home[FIXTURE_PATH_MAX];

static int setup(void **state)
{
    (void)state;
    fixture_make_home(home);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_remove_home(home);
    return 0;
}

// Of different lengths, so that no two records stand alike.
static struct span text_of(int i, char *text)
{
    memset(text, 'a' + i, 64);
    return span_make(text, (size_t)(9 + 5 * i));
}

static struct journal *open_journal(void)
{
    struct journal *journal = NULL;
    struct error err = ERROR_INIT;
    if (journal_open(home, &journal, &err) < 0)
        fail_msg("%s", err.text);
    return journal;
}

static uint64_t newest(struct journal *journal)
{
    size_t count;
    const uint64_t *generations = journal_generations(journal, &count);
    return generations[count - 1];
}

// What is found of a file's bytes: a bit for each record, in order or not at all.
struct found {
    unsigned records;
    int64_t garbage, torn;
};

static void take_record(struct found *found, struct span record)
{
    char text[64];
    for (int i = 0; i < RECORDS; i++) {
        if (!span_equal(record, text_of(i, text)))
            continue;
        assert_true(found->records >> i == 0); // in order, and each once
        found->records |= 1u << i;
        return;
    }
    fail_msg("a record was read that nobody wrote");
}

static struct found find(const char *bytes, size_t len, uint64_t generation)
{
    struct found found = {0};
    struct journal_part part = {span_make(bytes, len), generation, 0, true};
    struct span piece;
    for (;;) {
        switch (journal_next(&part, &piece)) {
        case JOURNAL_RECORD:
            take_record(&found, piece);
            break;
        case JOURNAL_GARBAGE:
            found.garbage += (int64_t)piece.len;
            break;
        case JOURNAL_TORN:
            found.torn += (int64_t)piece.len;
            break;
        case JOURNAL_MORE:
            fail_msg("nothing comes behind the last part");
            break;
        case JOURNAL_END:
            assert_int_equal(part.offset, len);
            return found;
        }
    }
}

struct written {
    char *bytes; // on the heap
    size_t len;
    uint64_t generation;
    int64_t ends[RECORDS];
};

static struct written write_some(void)
{
    struct written written = {0};
    struct journal *journal = open_journal();
    char text[64];
    for (int i = 0; i < RECORDS; i++) {
        assert_int_equal(journal_append(journal, text_of(i, text), NULL), 0);
        written.ends[i] = journal_end(journal);
    }
    written.generation = newest(journal);
    journal_close(journal);
    CLEANUP(mem_cleanup)
    char *name = mem_printf(JOURNAL_NAME ".%016llx", (unsigned long long)written.generation);
    fixture_read(fixture_path(home, name), &written.bytes, &written.len);
    assert_int_equal(written.len, written.ends[RECORDS - 1]); // and nothing that was reserved
    struct stat status;
    stat(fixture_path(home, name), &status);
    assert_int_equal(status.st_mode & 0777, 0600);
    return written;
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    struct written written = write_some();
    struct found found = find(written.bytes, written.len, written.generation);
    assert_int_equal(found.records, (1u << RECORDS) - 1);
    assert_int_equal(found.garbage + found.torn, 0);
    // The same bytes in another generation's file are nothing.
    found = find(written.bytes, written.len, written.generation + 1);
    assert_int_equal(found.records, 0);
    free(written.bytes);
}

static void a_file_cut_at_any_byte_keeps_its_whole_records(void **state)
{
    (void)state;
    struct written written = write_some();
    for (size_t cut = 0; cut <= written.len; cut++) {
        CLEANUP(mem_cleanup) char *copy = mem_alloc(cut + 1); // so that reading beyond is seen
        memcpy(copy, written.bytes, cut);
        struct found found = find(copy, cut, written.generation);
        int whole = 0;
        while (whole < RECORDS && written.ends[whole] <= (int64_t)cut)
            whole++;
        assert_int_equal(found.records, (1u << whole) - 1);
        assert_int_equal(found.garbage, 0);
        assert_int_equal(found.torn, (int64_t)cut - (whole ? written.ends[whole - 1] : 0));
    }
    free(written.bytes);
}

static int record_at(const struct written *written, size_t byte)
{
    int i = 0;
    while (written->ends[i] <= (int64_t)byte)
        i++;
    return i;
}

static void one_bad_byte_costs_one_record(void **state)
{
    (void)state;
    struct written written = write_some();
    for (size_t byte = 0; byte < written.len; byte++) {
        int lost = record_at(&written, byte);
        for (int bit = 0; bit < 8; bit++) {
            written.bytes[byte] ^= (char)(1 << bit);
            struct found found = find(written.bytes, written.len, written.generation);
            assert_int_equal(found.records, ((1u << RECORDS) - 1) & ~(1u << lost));
            int64_t len = written.ends[lost] - (lost ? written.ends[lost - 1] : 0);
            assert_int_equal(found.garbage, lost < RECORDS - 1 ? len : 0);
            assert_int_equal(found.torn, lost < RECORDS - 1 ? 0 : len);
            written.bytes[byte] ^= (char)(1 << bit);
        }
    }
    free(written.bytes);
}

static void lost_blocks_cost_what_stood_in_them(void **state)
{
    (void)state;
    struct written written = write_some();
    for (size_t from = 0; from < written.len; from++) {
        for (size_t to = from + 1; to <= written.len; to += 7) {
            CLEANUP(mem_cleanup) char *copy = mem_alloc(written.len);
            memcpy(copy, written.bytes, written.len);
            memset(copy + from, 0, to - from);
            struct found found = find(copy, written.len, written.generation);
            unsigned lost = 0;
            for (size_t i = from; i < to; i++)
                if (written.bytes[i])
                    lost |= 1u << record_at(&written, i);
            assert_int_equal(found.records, ((1u << RECORDS) - 1) & ~lost);
        }
    }
    free(written.bytes);
}

// Read as the database does it: in parts that end anywhere.
static void parts_give_what_the_whole_gives(void **state)
{
    (void)state;
    enum { MANY = 400 };
    struct journal *journal = open_journal();
    CLEANUP(mem_cleanup) char *text = mem_zalloc(JOURNAL_RECORD_MAX);
    for (int i = 0; i < MANY; i++) {
        memcpy(text, &i, sizeof i);
        size_t len = i % 50 == 49 ? JOURNAL_RECORD_MAX : (size_t)(10 + i * 7 % 900);
        assert_int_equal(journal_append(journal, span_make(text, len), NULL), 0);
    }
    BUF_AUTO bytes = BUF_INIT(PART_MAX);
    struct journal_part part = {.offset = 0};
    int64_t limit = journal_end(journal);
    int next = 0;
    do {
        assert_int_equal(
            journal_read(home, newest(journal), part.offset, limit, PART_MAX, &bytes, &part, NULL),
            0);
        int64_t before = part.offset;
        struct span record;
        while (journal_next(&part, &record) == JOURNAL_RECORD) {
            assert_memory_equal(record.data, &next, sizeof next);
            next++;
        }
        assert_true(part.offset > before);
    } while (part.offset < limit);
    assert_int_equal(next, MANY);
    struct span long_one = span_make(text, JOURNAL_RECORD_MAX + 1);
    assert_int_equal(journal_append(journal, long_one, NULL), -E2BIG);
    assert_int_equal(journal_end(journal), limit);
    journal_close(journal);
}

static void generations_follow_each_other(void **state)
{
    (void)state;
    size_t count;
    struct journal *journal = open_journal();
    uint64_t first = newest(journal);
    assert_int_equal(journal_rotate(journal, NULL), 0);
    assert_int_equal(newest(journal), first + 1);
    journal_close(journal);
    journal = open_journal();
    const uint64_t *generations = journal_generations(journal, &count);
    assert_int_equal(count, 3);
    assert_int_equal(generations[0], first);
    assert_int_equal(generations[2], first + 2);
    journal_forget(journal, 2);
    assert_int_equal(journal_generations(journal, &count)[0], first + 2);
    assert_int_equal(count, 1);
    journal_close(journal);

    uint64_t *listed = NULL; // nobody writes to it, and nothing is begun
    for (int i = 0; i < 2; i++) {
        assert_int_equal(journal_list(home, &listed, &count, NULL), 0);
        assert_int_equal(count, 3);
        assert_int_equal(listed[2], first + 2);
        free(listed);
    }
    assert_int_equal(journal_list("/nonexistent", &listed, &count, NULL), -ENOENT);
}

// So that the write fails instead.
static void block_size_signal(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

// A file size limit fails a write in its middle, as a full disk does.
static void a_full_disk_leaves_the_last_whole_record(void **state)
{
    (void)state;
    struct rlimit before, small;
    struct found found;
    struct error err = ERROR_INIT;
    struct journal *journal = open_journal();
    char text[64];
    block_size_signal();
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){1000, before.rlim_max}; // nothing can be reserved
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(journal_append(journal, text_of(0, text), NULL), 0);
    int64_t end = journal_end(journal);
    for (int64_t room = 0; room < JOURNAL_FRAME + 14; room++) {
        small = (struct rlimit){(rlim_t)(end + room), before.rlim_max};
        setrlimit(RLIMIT_FSIZE, &small);
        int r = journal_append(journal, text_of(1, text), &err);
        setrlimit(RLIMIT_FSIZE, &before);
        assert_true(r == -ENOSPC || r == -EFBIG);
        assert_int_equal(journal_end(journal), end);
        assert_int_equal(journal_size(home, newest(journal)), end);
    }
    assert_int_equal(journal_append(journal, text_of(2, text), NULL), 0);
    BUF_AUTO bytes = BUF_INIT(PART_MAX);
    struct journal_part part;
    journal_read(home, newest(journal), 0, -1, PART_MAX, &bytes, &part, NULL);
    found = find(bytes.data, bytes.len, newest(journal));
    assert_int_equal(found.records, 1 | 1 << 2);
    assert_int_equal(found.garbage + found.torn, 0);
    journal_close(journal);
}

// As somebody's "> ledger.journal..." does; the pages that are mapped are gone with it.
static void a_file_that_was_emptied_takes_records(void **state)
{
    (void)state;
    char text[64];
    struct found found;
    struct journal *journal = open_journal();
    for (int i = 0; i < 2; i++)
        assert_int_equal(journal_append(journal, text_of(i, text), NULL), 0);
    int64_t end = journal_end(journal);
    CLEANUP(mem_cleanup)
    char *name = mem_printf(JOURNAL_NAME ".%016llx", (unsigned long long)newest(journal));
    assert_int_equal(truncate(fixture_path(home, name), 0), 0);
    for (int i = 2; i < RECORDS; i++)
        assert_int_equal(journal_append(journal, text_of(i, text), NULL), 0);
    BUF_AUTO bytes = BUF_INIT(PART_MAX);
    struct journal_part part;
    assert_int_equal(
        journal_read(home, newest(journal), 0, journal_end(journal), PART_MAX, &bytes, &part, NULL),
        0);
    found = find(bytes.data, bytes.len, newest(journal));
    assert_int_equal(found.records, ((1 << RECORDS) - 1) & ~3);
    assert_int_equal(found.garbage, end);
    assert_int_equal(journal_rotate(journal, NULL), 0); // and the next is as good as ever
    assert_int_equal(journal_append(journal, text_of(0, text), NULL), 0);
    journal_close(journal);
}

// Another's fault ends the program as it would have.
static void a_bus_error_of_other_memory_is_passed_on(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        sigaction(SIGBUS, &(struct sigaction){.sa_handler = SIG_DFL}, NULL); // no sanitizer's
        assert_int_equal(journal_rotate(journal, NULL), 0);
        raise(SIGBUS);
        raise(SIGBUS);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    journal_close(journal);
}

// Who was ended did not cut off what he had reserved.
static void what_was_reserved_is_nothing(void **state)
{
    (void)state;
    char text[64], *bytes;
    size_t len;
    struct journal *journal = open_journal();
    for (int i = 0; i < RECORDS; i++)
        assert_int_equal(journal_append(journal, text_of(i, text), NULL), 0);
    uint64_t generation = newest(journal);
    int64_t end = journal_end(journal);
    CLEANUP(mem_cleanup)
    char *name = mem_printf(JOURNAL_NAME ".%016llx", (unsigned long long)generation);
    fixture_read(fixture_path(home, name), &bytes, &len);
    journal_close(journal);
    assert_true((int64_t)len >= end); // more where the file system lets it be reserved
    struct found found = find(bytes, len, generation);
    assert_int_equal(found.records, (1 << RECORDS) - 1);
    assert_int_equal(found.garbage + found.torn, 0);
    memset(bytes + end - 5, 0, 5); // in the middle of the last one
    found = find(bytes, len, generation);
    assert_int_equal(found.records, (1 << (RECORDS - 1)) - 1);
    assert_int_equal(found.garbage, 0);
    assert_in_range(found.torn, 1, 64);
    free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_is_read),
        TEST(a_file_cut_at_any_byte_keeps_its_whole_records),
        TEST(one_bad_byte_costs_one_record),
        TEST(lost_blocks_cost_what_stood_in_them),
        TEST(parts_give_what_the_whole_gives),
        TEST(generations_follow_each_other),
        TEST(what_was_reserved_is_nothing),
        TEST(a_full_disk_leaves_the_last_whole_record),
        TEST(a_file_that_was_emptied_takes_records),
        TEST(a_bus_error_of_other_memory_is_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
