#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "store/journal.h"
#include "store/journal_internal.h"

/*
 * A system call for each record would be the costliest part of a proxied request that is not the
 * network's. So the file is made longer ahead, and the part of it where records go at the moment is
 * mapped: what is copied there is the kernel's to keep, whatever becomes of this process, as if it
 * had been written. The space is reserved before it is mapped, since a page that finds no room on
 * the disk is a signal (SIGBUS), not an error. Only some file systems keep that promise, and where
 * there is little room it is not given: there records are written.
 *
 * A file that somebody cut, and a disk that fails and turns read-only, break it. Then touching a
 * page is that signal as well; memory of our own takes the pages' place, so that the copying can
 * end, and the record is written, or it is found out that it cannot be. Such a signal of anything
 * else's memory goes where it would have gone without.
 */

enum { EXT_MAGIC = 0xEF53, XFS_MAGIC = 0x58465342, TMPFS_MAGIC = 0x01021994 }; // statfs(2)

enum { WINDOW_BYTES = 64 << 10 }; // mapped at once; no more of them than a reader can judge

_Static_assert((int)WINDOW_BYTES <= (int)JOURNAL_RECORD_MAX,
               "zeros of two windows would look like damage");

static struct journal_window *volatile copied_to; // NULL: nothing is copied now
static volatile sig_atomic_t is_gone;             // its pages
static struct sigaction before;

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    const struct journal_window *window = copied_to;
    const char *touched = info->si_addr;
    if (window && touched >= window->memory && touched < window->memory + window->len &&
        mmap(window->memory, window->len, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
        is_gone = 1;
        return;
    }
    sigaction(number, &before, NULL); // it comes again
}

// Those on which what was reserved can always be written. On others (btrfs, ZFS, what lies over
// another one) room may be found missing when a page is first touched.
void journal_window_begin(struct journal_window *window, int fd)
{
    struct statfs status;
    bool keeps_promises =
        fstatfs(fd, &status) == 0 &&
        (status.f_type == EXT_MAGIC || status.f_type == XFS_MAGIC || status.f_type == TMPFS_MAGIC);
    *window = (struct journal_window){.is_refused = !keeps_promises};
    if (keeps_promises) {
        struct sigaction now;
        const struct sigaction watch = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
        if (sigaction(SIGBUS, NULL, &now) == 0 && now.sa_sigaction != on_bus_error &&
            sigaction(SIGBUS, &watch, NULL) == 0)
            before = now;
    }
}

bool journal_window_leave(struct journal_window *window)
{
    if (!window->memory)
        return false;
    munmap(window->memory, window->len);
    window->memory = NULL;
    return true;
}

// To where the next record goes, with room for it.
static bool move(struct journal_window *window, int fd, int64_t end, size_t len, bool *ret_reserves)
{
    int64_t page = sysconf(_SC_PAGESIZE), at = end / page * page;
    int64_t wanted = end - at + (int64_t)len;
    wanted = wanted > WINDOW_BYTES ? (wanted + page - 1) / page * page : WINDOW_BYTES;
    journal_window_leave(window);
    if (window->is_refused)
        return false;
    *ret_reserves = true; // a part may be reserved also where that fails
    if (fallocate(fd, 0, at, wanted) < 0)
        return false;
    void *memory = mmap(NULL, (size_t)wanted, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);
    window->is_refused = memory == MAP_FAILED;
    if (window->is_refused)
        return false;
    window->memory = memory;
    window->at = at;
    window->len = (size_t)wanted;
    return true;
}

char *journal_window_place(struct journal_window *window, int fd, int64_t end, size_t len,
                           bool *ret_reserves)
{
    bool fits = window->memory && end + (int64_t)len <= window->at + (int64_t)window->len;
    if (!fits && !move(window, fd, end, len, ret_reserves))
        return NULL;
    return window->memory + (end - window->at);
}

bool journal_window_copy(struct journal_window *window, char *place, struct span frame,
                         struct span record)
{
    is_gone = 0;
    copied_to = window;
    atomic_signal_fence(memory_order_seq_cst); // the handler runs in between
    memcpy(place, frame.data, frame.len);
    memcpy(place + frame.len, record.data, record.len);
    atomic_signal_fence(memory_order_seq_cst);
    copied_to = NULL;
    window->is_refused |= is_gone;
    return !is_gone;
}
