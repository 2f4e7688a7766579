#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/mem.h"
#include "store/journal.h"
#include "store/journal_internal.h"

/*
 * Journals that somebody overwrote.
 *
 * A file without a record is what a power cut leaves of one that had not reached the disk: nothing
 * was spent by it that had to be remembered. The same file, after a record of it was synced, has
 * been overwritten, and money was spent of which nobody knows. The bytes do not tell the one from
 * the other. So the first sync of a generation leaves a mark beside it, a file
 * <home>/ledger.synced.<generation>, which goes before the journal does. Each sync writes there how
 * far it has come, after the journal's bytes are on the disk. Nobody syncs the mark itself: what a
 * power cut leaves of it speaks of less than there is, never of more.
 *
 * That records are lost is kept in a file too, <home>/ledger.lost.<generation>, whose time is when
 * it was found out: then no budget of that time begins anew, in no later process either, until its
 * period is over. What may be done about it only the owner can say, by removing the file.
 */

int journal_mark(int directory, uint64_t generation)
{
    char name[JOURNAL_NAME_SIZE];
    journal_name(JOURNAL_MARK, generation, name);
    int fd =
        openat(directory, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    return fd < 0 ? -errno : fd;
}

// Twice, the second time with each bit turned: what was written in part says nothing.
void journal_mark_end(int mark, int64_t end)
{
    uint64_t words[2] = {htole64((uint64_t)end), htole64(~(uint64_t)end)};
    (void)!pwrite(mark, words, sizeof words, 0); // without it the mark says less
}

int64_t journal_marked_end(const char *home, uint64_t generation)
{
    CLEANUP(mem_cleanup) char *path = journal_path(home, JOURNAL_MARK, generation);
    uint64_t words[2] = {0, 0};
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -1;
    bool is_whole = pread(fd, words, sizeof words, 0) == (ssize_t)sizeof words &&
                    words[0] == ~words[1] && le64toh(words[0]) <= INT64_MAX;
    return is_whole ? (int64_t)le64toh(words[0]) : 1; // of its first record at least
}

// A file that cannot be read now is not lost: that is told as the trouble that it is.
bool journal_is_lost(const char *home, uint64_t generation)
{
    enum { FIRST_MAX = JOURNAL_FRAME + JOURNAL_RECORD_MAX };
    CLEANUP(mem_cleanup) char *mark = journal_path(home, JOURNAL_MARK, generation);
    BUF_AUTO bytes = BUF_INIT(FIRST_MAX);
    struct journal_part part;
    struct stat status;
    if (lstat(mark, &status) < 0)
        return false;
    int r = journal_read(home, generation, 0, -1, FIRST_MAX, &bytes, &part, NULL);
    return r == STORE_NOT_FOUND || (r == 0 && !journal_whole(part.bytes, generation, 0));
}

bool journal_has_loss(const char *home, uint64_t generation)
{
    CLEANUP(mem_cleanup) char *path = journal_path(home, JOURNAL_LOST, generation);
    struct stat status;
    return lstat(path, &status) == 0;
}

int journal_note_loss(const char *home, uint64_t generation, int64_t wall_ms, bool is_new,
                      struct error *err)
{
    CLEANUP(mem_cleanup) char *path = journal_path(home, JOURNAL_LOST, generation);
    const struct timespec now[2] = {{.tv_sec = wall_ms / 1000}, {.tv_sec = wall_ms / 1000}};
    FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool is_known = fd < 0 && errno == EEXIST;
    if (is_known) // but perhaps not on the disk, if it was this that failed
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    FD_AUTO directory = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_dated = !is_known || is_new;
    if (fd < 0 || directory < 0 || (is_dated && futimens(fd, now) < 0) || fsync(fd) < 0 ||
        fsync(directory) < 0)
        return error_errno(err, errno, "writing %s", path);
    return 0;
}

// The name of the next one in the directory, NULL at its end; and when it was found.
static const char *next_loss(DIR *directory, int64_t *ret_wall_ms)
{
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        struct stat status;
        if (strncmp(entry->d_name, JOURNAL_LOST ".", sizeof JOURNAL_LOST) != 0 ||
            fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        *ret_wall_ms = (int64_t)status.st_mtime * 1000;
        return entry->d_name;
    }
    return NULL;
}

int64_t journal_last_loss(const char *home)
{
    DIRECTORY_AUTO *directory = opendir(home);
    int64_t last_ms = -1, found_ms;
    while (next_loss(directory, &found_ms))
        last_ms = found_ms > last_ms ? found_ms : last_ms;
    return last_ms;
}

// Where that fails, or is not on the disk before the power goes, the next start does it.
void journal_date_losses(const char *home, int64_t before_ms, int64_t wall_ms)
{
    const struct timespec now[2] = {{.tv_sec = wall_ms / 1000}, {.tv_sec = wall_ms / 1000}};
    DIRECTORY_AUTO *directory = opendir(home);
    int64_t found_ms;
    for (const char *name; (name = next_loss(directory, &found_ms));)
        if (found_ms < before_ms)
            utimensat(dirfd(directory), name, now, AT_SYMLINK_NOFOLLOW);
}
