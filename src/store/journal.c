#include "store/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/random.h"
#include "store/journal_internal.h"
#include "store/store_internal.h"

/*
 * The journal's writer.
 *
 * A record is written at the place where the last whole one ended, not at the end of the file: what
 * a write that failed half-way left behind is written over by the next, and cut off as well.
 *
 * A generation is never appended to by a second process: each start begins a new one, so that a
 * torn end never has to be mended before something can be written. Numbers only go up while a file
 * is there to tell the last; where none is, the number is drawn, so that what the database
 * remembers of a generation cannot be taken for another one's.
 *
 * Records are copied into the part of the file that is mapped (journal_window.c), where there is
 * one. The zeros behind the last record are cut off when a generation ends, and are nothing to a
 * reader where it did not.
 *
 * Nothing here calls fsync() on the loop's thread. The name of a new file is synced with its first
 * bytes, as SQLite does with its own log, and marked as synced then (journal_loss.c).
 */

enum { FIRST_BITS = 40 };

// One generation's; the jobs that sync it share it with the journal, all on the owner's thread.
struct journal_file {
    unsigned users;
    int fd;
    int mark; // of its syncs, the store thread's; -1: none yet
};

struct journal {
    char *home;    // owned
    int directory; // descriptor of it
    struct journal_file *file;
    int64_t end; // of the last whole record
    struct journal_window window;
    bool is_cut;           // nothing stands behind `end`
    bool is_named;         // its name was synced with it
    uint64_t *generations; // owned; oldest first
    size_t count, capacity;
};

// The generation of a file's name, "WHAT.0123456789abcdef"; 0 when it is none: then the name that
// is made of it is another one.
static uint64_t generation_of(const char *name, const char *what)
{
    char again[JOURNAL_NAME_SIZE];
    uint64_t generation = 0;
    if (strlen(name) <= strlen(what))
        return 0;
    for (const char *c = name + strlen(what) + 1; *c; c++)
        generation = generation << 4 | (uint64_t)(*c <= '9' ? *c - '0' : *c - 'a' + 10);
    return strcmp(journal_name(what, generation, again), name) == 0 ? generation : 0;
}

// Of a journal, or of the mark of one that is not there any more.
static uint64_t generation_in(DIR *directory, const char *name)
{
    char journal[JOURNAL_NAME_SIZE];
    struct stat status;
    uint64_t generation = generation_of(name, JOURNAL_NAME);
    uint64_t marked = generation ? 0 : generation_of(name, JOURNAL_MARK);
    if (!marked)
        return generation;
    bool is_there = fstatat(dirfd(directory), journal_name(JOURNAL_NAME, marked, journal), &status,
                            AT_SYMLINK_NOFOLLOW) == 0 ||
                    errno != ENOENT;
    return is_there ? 0 : marked;
}

static void add_generation(struct journal *journal, uint64_t generation)
{
    journal->generations = mem_grow(journal->generations, journal->count, &journal->capacity,
                                    sizeof *journal->generations);
    journal->generations[journal->count++] = generation;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int find_generations(struct journal *journal, const char *home, struct error *err)
{
    DIRECTORY_AUTO *directory = opendir(home);
    if (!directory)
        return error_errno(err, errno, "reading %s", home);
    for (struct dirent *entry; (entry = readdir(directory));) {
        uint64_t generation = generation_in(directory, entry->d_name);
        if (generation == 0)
            continue;
        if (journal->count >= JOURNAL_FILES_MAX)
            return error_set(err, -EMFILE,
                             "%s holds more than %d files %s.*: the database reads none of them",
                             home, JOURNAL_FILES_MAX, JOURNAL_NAME);
        add_generation(journal, generation);
    }
    if (journal->count)
        qsort(journal->generations, journal->count, sizeof *journal->generations, compare);
    return 0;
}

int journal_list(const char *home, uint64_t **ret_generations, size_t *ret_count, struct error *err)
{
    struct journal found = {.directory = -1};
    int r = find_generations(&found, home, err);
    if (r < 0) {
        free(found.generations);
        return r;
    }
    *ret_generations = found.generations;
    *ret_count = found.count;
    return 0;
}

static void leave_file(struct journal_file **file)
{
    struct journal_file *left = STEAL(*file);
    if (!left || --left->users)
        return;
    fd_close(&left->fd);
    fd_close(&left->mark);
    free(left);
}

// A tail that is left is written over by the next record, or is found torn by a reader.
static void cut(struct journal *journal)
{
    journal->is_cut = ftruncate(journal->file->fd, journal->end) == 0;
}

static void leave_window(struct journal *journal)
{
    if (journal_window_leave(&journal->window))
        cut(journal);
}

int journal_rotate(struct journal *journal, struct error *err)
{
    char name[JOURNAL_NAME_SIZE];
    uint64_t generation;
    if (journal->count) {
        generation = journal->generations[journal->count - 1] + 1;
    } else {
        random_bytes(&generation, sizeof generation);
        generation = (generation >> (64 - FIRST_BITS)) + 1;
    }
    journal_name(JOURNAL_NAME, generation, name);
    int fd = openat(journal->directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, errno, "cannot make %s/%s%s", journal->home, name,
                           errno == EACCES || errno == EPERM ? " (check its owner and mode)" : "");
    leave_window(journal);
    leave_file(&journal->file);
    journal->file = mem_new(struct journal_file);
    *journal->file = (struct journal_file){.users = 1, .fd = fd, .mark = -1};
    journal_window_begin(&journal->window, fd);
    journal->end = 0;
    journal->is_cut = true;
    journal->is_named = false;
    add_generation(journal, generation);
    return 0;
}

int journal_open(const char *home, struct journal **ret_journal, struct error *err)
{
    struct journal *journal = mem_new(struct journal);
    int r = 0;
    journal->home = mem_strdup(home);
    journal->directory = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (journal->directory < 0)
        r = error_errno(err, errno, "opening %s", home);
    if (r == 0)
        r = find_generations(journal, home, err);
    if (r == 0)
        r = journal_rotate(journal, err);
    if (r < 0)
        journal_close(journal);
    else
        *ret_journal = journal;
    return r;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    leave_window(journal);
    leave_file(&journal->file);
    fd_close(&journal->directory);
    free(journal->generations);
    free(journal->home);
    free(journal);
}

static int write_record(struct journal *journal, unsigned char *frame, struct span record,
                        struct error *err)
{
    struct iovec parts[2] = {{frame, JOURNAL_FRAME}, {(void *)(uintptr_t)record.data, record.len}};
    ssize_t whole = (ssize_t)(JOURNAL_FRAME + record.len), done;
    if (!journal->is_cut)
        cut(journal);
    do
        done = pwritev(journal->file->fd, parts, 2, journal->end);
    while (done < 0 && errno == EINTR);
    if (done == whole)
        return 0;
    int cause = done < 0 ? errno : ENOSPC; // a short write is a disk that became full
    cut(journal);
    if (cause == ENOSPC || cause == EDQUOT)
        return error_set(err, -ENOSPC,
                         "the disk that holds the ledger's journal is full; free some space");
    return error_errno(err, cause, "writing the ledger's journal");
}

int journal_append(struct journal *journal, struct span record, struct error *err)
{
    if (record.len == 0 || record.len > JOURNAL_RECORD_MAX)
        return error_set(err, -E2BIG, "a record of %zu bytes does not fit into the journal",
                         record.len);
    if (journal->end + JOURNAL_FRAME + (int64_t)record.len > JOURNAL_BYTES_MAX)
        return error_set(err, -EFBIG,
                         "the ledger's journal has grown to %d MiB, because the database does not "
                         "read it",
                         JOURNAL_BYTES_MAX >> 20);
    unsigned char frame[JOURNAL_FRAME];
    bool reserves = false;
    int r = 0;
    journal_frame(frame, journal->generations[journal->count - 1], journal->end, record);
    char *place = journal_window_place(&journal->window, journal->file->fd, journal->end,
                                       sizeof frame + record.len, &reserves);
    if (reserves)
        journal->is_cut = false;
    struct span head = span_make((const char *)frame, sizeof frame);
    if (!place || !journal_window_copy(&journal->window, place, head, record)) {
        journal_window_leave(&journal->window);
        r = write_record(journal, frame, record, err);
    }
    if (r == 0)
        journal->end += JOURNAL_FRAME + (int64_t)record.len;
    return r;
}

int64_t journal_end(const struct journal *journal)
{
    return journal->end;
}

const uint64_t *journal_generations(const struct journal *journal, size_t *ret_count)
{
    *ret_count = journal->count;
    return journal->generations;
}

void journal_forget(struct journal *journal, size_t count)
{
    if (count >= journal->count)
        count = journal->count - 1;
    journal->count -= count;
    memmove(journal->generations, journal->generations + count,
            journal->count * sizeof *journal->generations);
}

struct sync_job {
    struct store_job job;
    struct journal *journal;
    struct journal_file *file;
    uint64_t generation;
    int64_t end;
    int directory; // its own; -1: none
    int failed;
};

static void release(struct store_job *job)
{
    struct sync_job *own = CONTAINER_OF(job, struct sync_job, job);
    leave_file(&own->file);
    fd_close(&own->directory);
}

// The kernel tells a failure once. A job that is run again must not take the silence for success.
static int sync_files(struct store_job *job, sqlite3 *db, struct error *err)
{
    struct sync_job *own = CONTAINER_OF(job, struct sync_job, job);
    if (!own->failed && fdatasync(own->file->fd) < 0)
        own->failed = errno;
    if (!own->failed && own->directory >= 0 && own->file->mark < 0) {
        int mark = journal_mark(own->directory, own->generation);
        if (mark < 0)
            own->failed = -mark;
        else
            own->file->mark = mark;
    }
    if (!own->failed && own->directory >= 0 && fsync(own->directory) < 0)
        own->failed = errno;
    if (own->failed)
        return error_errno(err, own->failed, "writing the ledger's journal to the disk");
    journal_mark_end(own->file->mark, own->end);
    return 0;
}

static void synced(struct store_job *job)
{
    struct sync_job *own = CONTAINER_OF(job, struct sync_job, job);
    struct journal *journal = own->journal;
    if (job->result == 0 && own->generation == journal->generations[journal->count - 1])
        journal->is_named = true;
    job->done(job->context, job->result, &job->err, job->rowid);
}

int64_t journal_sync(struct store *store, struct journal *journal, store_done_fn *done,
                     void *context, struct error *err)
{
    struct sync_job own = {
        .job = {sync_files, STORE_DURABLE, done, context, synced, release, .reads_only = true},
        .journal = journal,
        .generation = journal->generations[journal->count - 1],
        .file = journal->file,
        .end = journal->end,
        .directory = journal->is_named ? -1 : fcntl(journal->directory, F_DUPFD_CLOEXEC, 0),
    };
    if (own.directory < 0 && !journal->is_named)
        return error_errno(err, errno, "syncing the ledger's journal");
    own.file->users++;
    return store_job_submit(store, &own.job, sizeof own, NULL, 0, NULL, 0, err);
}
