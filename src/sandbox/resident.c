#include "sandbox/resident.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

enum {
    LOOK_MS = 250,
    PROCESSES_PER_PASS = 32,
    STAT_SIZE = 1024, // bytes of /proc/PID/stat
    SESSION_FIELD = 6,
    RSS_FIELD = 24, // pages
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
static bool read_stat(int proc, const char *pid, pid_t *ret_session, int64_t *ret_pages)
{
    char path[64], text[STAT_SIZE];
    snprintf(path, sizeof path, "%.32s/stat", pid);
    FD_AUTO fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return false; // it has ended
    text[n] = '\0';
    const char *end_of_name = strrchr(text, ')');
    struct span rest = span_of(end_of_name ? end_of_name + 1 : "");
    int64_t session = 0, pages = -1;
    span_cut(&rest, ' ');
    for (int field = 3; field <= RSS_FIELD; field++) {
        struct span word = span_cut(&rest, ' ');
        if (field == SESSION_FIELD)
            span_to_i64(word, &session);
        else if (field == RSS_FIELD)
            span_to_i64(word, &pages);
    }
    *ret_session = (pid_t)session;
    *ret_pages = pages;
    return pages > 0; // the dead have none
}

static void add_process(struct resident *resident, const char *pid)
{
    pid_t session;
    int64_t pages, number = 0;
    if (!read_stat(dirfd(resident->proc), pid, &session, &pages) ||
        !span_to_i64(span_of(pid), &number))
        return;
    list_for_each(link, &resident->watches) {
        struct resident_watch *watch = list_entry(link, struct resident_watch, link);
        if (watch->session != session)
            continue;
        if (watch->kills)
            kill((pid_t)number, SIGKILL);
        watch->bytes += pages * sysconf(_SC_PAGESIZE);
        watch->processes++;
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
        watch->counts = false;
    }
    for (struct resident_watch *watch; (watch = find_counted(resident));) {
        watch->counted = false;
        watch->on_count(watch->context);
    }
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
    const struct dirent *entry = NULL;
    for (int i = 0; i < PROCESSES_PER_PASS && resident->proc; i++) {
        entry = readdir(resident->proc);
        if (!entry)
            break;
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            add_process(resident, entry->d_name);
    }
    resident->next = entry ? loop_defer(resident->loop, look, resident)
                           : loop_timer_after(resident->loop, LOOK_MS, look, resident);
    if (!entry)
        end_look(resident);
}
