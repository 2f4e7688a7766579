#include "sandbox/resident.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

enum {
    LOOK_MS = 250,
    PROCESSES_PER_PASS = 32,
    STAT_SIZE = 1024, // bytes of /proc/PID/stat
    STATE_FIELD = 3,
    SESSION_FIELD = 6,
    RSS_FIELD = 24,            // pages
    SWEEPS_MAX = 50,           // SIGKILL takes a moment
    SWEEPS_SPARING_MAX = 1500, // who was spared may be short of processor time
    SWEEP_EVERY_NS = 2 * 1000 * 1000,
};

struct resident {
    struct loop *loop;
    struct list watches;
    loop_id next;
    DIR *proc; // open during a look
};

static void look(void *context);

struct resident *resident_create(struct loop *loop)
{
    struct resident *resident = mem_new(struct resident);
    resident->loop = loop;
    list_init(&resident->watches);
    return resident;
}

void resident_destroy(struct resident *resident)
{
    if (!resident)
        return;
    loop_cancel(resident->loop, resident->next);
    fd_close_directory(&resident->proc);
    free(resident);
}

void resident_add(struct resident *resident, struct resident_watch *watch)
{
    list_append(&resident->watches, &watch->link);
    if (!resident->next)
        resident->next = loop_timer_after(resident->loop, LOOK_MS, look, resident);
}

void resident_remove(struct resident_watch *watch)
{
    list_remove(&watch->link);
}

// The numbers behind the name, which stands in parentheses and may hold anything.
bool resident_parse(const char *stat, pid_t *ret_session, int64_t *ret_pages)
{
    const char *end_of_name = strrchr(stat, ')');
    struct span rest = span_of(end_of_name ? end_of_name + 1 : "");
    bool lives = false;
    int64_t session = 0, pages = 0;
    span_cut(&rest, ' ');
    for (int field = STATE_FIELD; field <= RSS_FIELD; field++) {
        struct span word = span_cut(&rest, ' ');
        if (field == STATE_FIELD)
            lives = word.len && word.data[0] != 'Z' && word.data[0] != 'X';
        else if (field == SESSION_FIELD)
            span_to_i64(word, &session);
        else if (field == RSS_FIELD)
            span_to_i64(word, &pages);
    }
    *ret_session = (pid_t)session;
    *ret_pages = pages;
    return lives;
}

// 1, 0 when it has ended or is hidden from us, or -errno: nobody knows.
static int read_stat(int directory, const char *path, pid_t *ret_session, int64_t *ret_pages)
{
    char text[STAT_SIZE];
    FD_AUTO fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0)
        return fd_is_shortage(errno) ? -errno : 0;
    text[n] = '\0';
    return resident_parse(text, ret_session, ret_pages);
}

// Its number may be another's by now, so it is looked at once more through a descriptor, which
// stays with one process. False when it is gone, or we may not kill it and need not try again.
static bool kill_process(int proc, const char *pid, pid_t session)
{
    FD_AUTO process = openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (process < 0)
        return fd_is_shortage(errno);
    pid_t its_session;
    int64_t pages;
    int r = read_stat(process, "stat", &its_session, &pages);
    return r < 0 || (r > 0 && its_session == session &&
                     syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0) == 0);
}

static bool stays(const struct resident_watch *watch, int proc, const char *pid)
{
    uint64_t number;
    bool spared =
        watch->spared && span_to_u64(span_of(pid), &number) && (pid_t)number == watch->spared;
    return !watch->kills || spared || kill_process(proc, pid, watch->session);
}

static void add_process(struct resident *resident, const char *pid)
{
    char path[64];
    snprintf(path, sizeof path, "%.32s/stat", pid);
    int proc = dirfd(resident->proc);
    pid_t session;
    int64_t pages;
    int r = read_stat(proc, path, &session, &pages);
    list_for_each(link, &resident->watches) {
        struct resident_watch *watch = list_entry(link, struct resident_watch, link);
        if (r < 0)
            watch->counts = false;
        else if (r > 0 && watch->session == session && stays(watch, proc, pid)) {
            watch->bytes += pages * sysconf(_SC_PAGESIZE);
            watch->processes++;
        }
    }
}

// What cannot be looked at (no descriptor is left) is not counted as nothing.
static void begin_look(struct resident *resident)
{
    resident->proc = opendir("/proc");
    if (!resident->proc)
        return;
    list_for_each(link, &resident->watches) {
        struct resident_watch *watch = list_entry(link, struct resident_watch, link);
        watch->bytes = watch->processes = 0;
        watch->counts = true;
    }
}

static struct resident_watch *find_counted(const struct resident *resident)
{
    list_for_each(link, &resident->watches) {
        struct resident_watch *watch = list_entry(link, struct resident_watch, link);
        if (watch->counted)
            return watch;
    }
    return NULL;
}

// A callback may remove any watch.
static void end_look(struct resident *resident)
{
    fd_close_directory(&resident->proc);
    resident->proc = NULL;
    list_for_each(link, &resident->watches) {
        struct resident_watch *watch = list_entry(link, struct resident_watch, link);
        watch->counted = watch->counts;
        watch->held = watch->counts ? watch->bytes : watch->held;
        watch->counts = false;
    }
    for (struct resident_watch *watch; (watch = find_counted(resident));) {
        watch->counted = false;
        watch->on_count(watch->context);
    }
}

// Returns whether there is more of it.
static bool go_on(struct resident *resident, int processes)
{
    for (int i = 0; i < processes; i++) {
        const struct dirent *entry = readdir(resident->proc);
        if (!entry)
            return false;
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            add_process(resident, entry->d_name);
    }
    return true;
}

static void look(void *context)
{
    struct resident *resident = context;
    resident->next = 0;
    if (!resident->proc) {
        if (list_empty(&resident->watches))
            return;
        begin_look(resident);
    }
    bool more = resident->proc && go_on(resident, PROCESSES_PER_PASS);
    resident->next = more ? loop_defer(resident->loop, look, resident)
                          : loop_timer_after(resident->loop, LOOK_MS, look, resident);
    if (!more)
        end_look(resident);
}

int64_t resident_shared(const struct resident *resident)
{
    int64_t bytes = 0;
    list_for_each(link, &resident->watches) {
        const struct resident_watch *watch = list_entry(link, struct resident_watch, link);
        bytes += watch->shares && !watch->kills ? watch->held : 0;
    }
    return bytes;
}

bool resident_is_largest(const struct resident *resident, const struct resident_watch *watch)
{
    list_for_each(link, &resident->watches) {
        const struct resident_watch *other = list_entry(link, struct resident_watch, link);
        if (other->shares && !other->kills && other->held > watch->held)
            return false;
    }
    return true;
}

void resident_kill(struct resident *resident)
{
    const struct timespec a_moment = {.tv_nsec = SWEEP_EVERY_NS};
    int sweeps = SWEEPS_MAX;
    list_for_each(link, &resident->watches) {
        struct resident_watch *watch = list_entry(link, struct resident_watch, link);
        watch->kills = true;
        sweeps = watch->spared ? SWEEPS_SPARING_MAX : sweeps;
    }
    for (int i = 0; i < sweeps && !list_empty(&resident->watches); i++) {
        fd_close_directory(&resident->proc);
        begin_look(resident);
        if (resident->proc)
            go_on(resident, INT_MAX);
        bool left = false;
        list_for_each(link, &resident->watches) {
            const struct resident_watch *watch = list_entry(link, struct resident_watch, link);
            left = left || watch->processes || !watch->counts;
        }
        if (!left)
            return;
        nanosleep(&a_moment, NULL);
    }
}
