#include "base/process_metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

enum { PROC_FILE_MAX = 8 * 1024 };

// Of a /proc file that is a row of numbers; `skip` fields come before it. A name in brackets
// (/proc/self/stat's second field) may hold blanks and brackets itself, so counting begins behind
// the last bracket.
static bool read_field(const char *path, unsigned skip, uint64_t *ret_value)
{
    BUF_AUTO text = BUF_INIT(PROC_FILE_MAX);
    if (fd_read_file(path, &text, NULL) < 0)
        return false;
    struct span rest = buf_span(&text);
    const char *bracket = memrchr(rest.data, ')', rest.len);
    if (bracket)
        rest = span_skip(rest, (size_t)(bracket - rest.data) + 2);
    while (skip--)
        span_cut(&rest, ' ');
    return span_to_u64(span_trim(span_cut(&rest, ' ')), ret_value);
}

int64_t process_resident_bytes(void)
{
    uint64_t pages = 0;
    read_field("/proc/self/statm", 1, &pages);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static double resident_bytes(void *context)
{
    int64_t bytes = process_resident_bytes();
    return bytes ? (double)bytes : NAN;
}

static double cpu_seconds(void *context)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) < 0)
        return NAN;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double open_descriptors(void *context)
{
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return NAN;
    double count = -1; // the one that reads the directory
    for (const struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

static double start_time(void *context)
{
    static double known; // it does not change, though the wall clock may be set
    uint64_t ticks;
    if (known > 0)
        return known;
    // The 22nd field, of which two stand before the closing bracket: since the machine was booted.
    if (!read_field("/proc/self/stat", 19, &ticks))
        return NAN;
    double booted = (double)(clock_wall_ms(&clock_system) - clock_boot_ms(&clock_system)) / 1000;
    known = booted + (double)ticks / (double)sysconf(_SC_CLK_TCK);
    return known;
}

void metrics_add_process(struct metrics *metrics)
{
    metrics_gauge(metrics, "process_resident_memory_bytes", "",
                  "Resident memory of the process in bytes.", resident_bytes, NULL);
    metrics_gauge(metrics, "process_cpu_seconds_total", "",
                  "User and system processor time of the process in seconds.", cpu_seconds, NULL);
    metrics_gauge(metrics, "process_open_fds", "", "Open file descriptors of the process.",
                  open_descriptors, NULL);
    metrics_gauge(metrics, "process_start_time_seconds", "",
                  "When the process started, in seconds since 1970.", start_time, NULL);
}
