#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "codec/utf8.h"
#include "daemon/page.h"
#include "daemon/probe.h"

enum {
    LINE_MAX_BYTES = 4096,
    DISK_FAIL_MIB = 16,
    DISK_WARN_MIB = 256,
};

// 2026-01-01: before this program was written, hence a clock that was never set
static const int64_t earliest_ms = 1767225600000;

static const struct {
    const char *word, *colour;
} levels[] = {
    [REPORT_OK] = {"ok", "\033[32m"},
    [REPORT_WARNING] = {"warn", "\033[33m"},
    [REPORT_FAILED] = {"FAIL", "\033[31m"},
};

void report_line(struct report *report, enum report_level level, const char *subject,
                 const char *fmt, ...)
{
    report->warnings += level == REPORT_WARNING;
    report->failures += level == REPORT_FAILED;
    printf("%s%-4s%s  %-13s ", page_colour(levels[level].colour), levels[level].word,
           page_colour("\033[0m"), subject);
    // A server's words may be among them.
    char text[LINE_MAX_BYTES];
    BUF_AUTO clean = BUF_INIT((size_t)LINE_MAX_BYTES * UTF8_BYTES_MAX);
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    page_clean(span_of(text), true, &clean);
    puts(buf_text(&clean));
    fflush(stdout);
}

void probe_kernel(struct report *report)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
    FD_AUTO file = (int)syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how);
    FD_AUTO child = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct utsname name;
    uname(&name);
    if (file >= 0 && child >= 0)
        report_line(report, REPORT_OK, "kernel", "Linux %s %s, with openat2 and pidfd",
                    name.release, name.machine);
    else
        report_line(report, REPORT_FAILED, "kernel",
                    "Linux %s lacks %s: the file tools need Linux 5.6 or later; update the kernel",
                    name.release, file >= 0 ? "pidfd_open" : "openat2");
}

void probe_clock(struct report *report)
{
    char text[CLOCK_TEXT_SIZE];
    int64_t now_ms = clock_wall_ms(&clock_system);
    clock_format_utc(now_ms, text);
    if (now_ms < earliest_ms)
        report_line(report, REPORT_FAILED, "clock",
                    "%s is in the past, so TLS will fail; set it (timedatectl set-ntp true)", text);
    else
        report_line(report, REPORT_OK, "clock", "%s", text);
}

static void probe_disk(const char *path, struct report *report)
{
    struct statvfs fs;
    if (statvfs(path, &fs) < 0)
        return;
    uint64_t free_mib = (uint64_t)fs.f_bavail * fs.f_frsize >> 20;
    enum report_level level = free_mib < DISK_FAIL_MIB   ? REPORT_FAILED
                              : free_mib < DISK_WARN_MIB ? REPORT_WARNING
                                                         : REPORT_OK;
    report_line(report, level, "disk", "%" PRIu64 " MiB free at %s%s", free_mib, path,
                level == REPORT_OK ? "" : "; free some space");
}

static void probe_lock(const char *home, struct report *report)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/hermes.lock", home);
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);
    BUF_AUTO pid = BUF_INIT(32);
    if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return;
    fd_read_all(fd, &pid);
    struct span shown = span_trim(buf_span(&pid));
    report_line(report, REPORT_OK, "in use", "by the hermes with pid %.*s", (int)shown.len,
                shown.data);
}

void probe_home(const char *home, struct report *report)
{
    // The nearest directory that exists: where a home that does not would be made.
    CLEANUP(mem_cleanup) char *nearest = mem_strdup(home);
    struct stat status;
    while (nearest[1] && stat(nearest, &status) < 0 && errno == ENOENT) {
        char *slash = strrchr(nearest, '/');
        slash[slash == nearest] = '\0';
    }
    bool exists = strcmp(nearest, home) == 0;
    if (faccessat(AT_FDCWD, nearest, W_OK | X_OK, AT_EACCESS) < 0)
        report_line(report, REPORT_FAILED, "home",
                    "%s cannot be written: %s; choose another with "
                    "--home or HERMES_HOME",
                    nearest, strerror(errno));
    else
        report_line(report, REPORT_OK, "home", "%s%s", home, exists ? "" : " (it will be made)");
    probe_disk(nearest, report);
    if (exists)
        probe_lock(home, report);
}
