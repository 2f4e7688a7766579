#include "daemon/gateway_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json_write.h"
#include "codec/redact.h"
#include "codec/utf8.h"

/*
 * Lines are written whole to a file opened for appending, so a reader never sees half of one. What
 * a full disk leaves of one is cut off again; where even that fails, the next line begins on a line
 * of its own. With a loop, what happens often waits a moment for company, since a busy router
 * has two per request; a line is at most that moment late, and what a crash loses of the log stands
 * in the ledger's journal.
 *
 * The name is looked at before every write: who removes or replaces the file (logrotate, a person
 * with rm) gets a new one. Nothing waits for a disk that is gone: a line that cannot be written is
 * counted, and the first that can be written says how many were lost. Opening is then tried again
 * once in a while, since each attempt costs a walk through the file system.
 */
enum {
    MEBIBYTE = 1 << 20,
    REOPEN_AFTER_MS = 5000,
    VALUE_READ_MAX = 64 * 1024, // bytes of a value that are looked at
    VALUE_MAX = 4096,           // bytes of it that are kept, or less when the line gets too long
    VALUE_MIN = 32,
    WAITING_MAX = 64 * 1024, // bytes of lines that are not written yet
    WAIT_MS = 50,
};

struct gateway_log {
    char *home, *path; // owned
    const struct clock *clock;
    struct redactor *redactor;
    int64_t max_bytes;
    unsigned keep;
    int fd;      // -1: not open
    bool torn;   // the file's last line has no end
    bool warned; // standard error knows that it cannot be written
    uint64_t lost;
    int64_t next_try_ms;
    int64_t second; // of `time_text`, since 1970; -1: none
    char time_text[CLOCK_TEXT_SIZE];
    struct buf line;     // the one that is being made
    struct buf waiting;  // whole lines
    struct buf filtered; // what the filter last returned
    struct loop *loop;   // borrowed; NULL: nothing waits
    loop_id timer;
};

const struct option gateway_log_options[] = {
    {.key = "logging.level",
     .type = OPTION_STRING,
     .offset = offsetof(struct gateway_log_config, level),
     .env = "HERMES_LOG_LEVEL",
     .fallback = "info",
     .choices = "debug,info,warning,error,DEBUG,INFO,WARNING,ERROR",
     .help = "least severe level that is logged"},
    {.key = "logging.max_bytes",
     .type = OPTION_BYTES,
     .offset = offsetof(struct gateway_log_config, max_bytes),
     .min = 0,
     .max = INT64_C(1) << 30,
     .help = "size at which logs/gateway.log is rotated; beats logging.max_size_mb"},
    {.key = "logging.max_size_mb",
     .type = OPTION_INT,
     .offset = offsetof(struct gateway_log_config, max_megabytes),
     .fallback = "5",
     .min = 1,
     .max = 1024,
     .help = "the same in MiB"},
    {.key = "logging.keep",
     .aliases = "logging.backup_count",
     .type = OPTION_INT,
     .offset = offsetof(struct gateway_log_config, keep),
     .fallback = "3",
     .min = 0,
     .max = GATEWAY_LOG_KEEP_MAX,
     .help = "rotated logs that are kept"},
    {.key = "logging.echo",
     .type = OPTION_BOOL,
     .offset = offsetof(struct gateway_log_config, echo),
     .fallback = "true",
     .help = "print events on standard error too (kubectl logs, journalctl)"},
};

const size_t gateway_log_option_count = ARRAY_LEN(gateway_log_options);

char *gateway_log_path(const char *home, unsigned number)
{
    return number ? mem_printf("%s/logs/gateway.log.%u", home, number)
                  : mem_printf("%s/logs/gateway.log", home);
}

/* The file */

// 0 or -errno. Not through a link, and a pipe or device under that name is no log.
static int open_file(struct gateway_log *log, struct stat *ret_stat)
{
    CLEANUP(mem_cleanup) char *directory = mem_printf("%s/logs", log->home);
    char last = '\n';
    if (mkdir(directory, 0700) < 0 && errno != EEXIST)
        return -errno;
    FD_AUTO fd =
        open(log->path,
             O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        return -errno;
    if (fstat(fd, ret_stat) < 0)
        return -errno;
    if (!S_ISREG(ret_stat->st_mode))
        return -EINVAL;
    if (ret_stat->st_mode & 0177)
        fchmod(fd, 0600); // somebody else's file cannot be changed, but may be written
    if (ret_stat->st_size > 0)
        (void)!pread(fd, &last, 1, ret_stat->st_size - 1);
    log->torn = last != '\n';
    log->fd = fd;
    fd = -1;
    return 0;
}

// Opens the file when it is not open or no longer the one of that name; 0 and its size, or -errno.
static int ready(struct gateway_log *log, off_t *ret_size)
{
    struct stat stat, named;
    if (log->fd >= 0 && (fstat(log->fd, &stat) < 0 || lstat(log->path, &named) < 0 ||
                         named.st_dev != stat.st_dev || named.st_ino != stat.st_ino))
        fd_close(&log->fd);
    if (log->fd < 0) {
        int64_t now = clock_monotonic_ms(log->clock);
        if (log->next_try_ms > now)
            return -EAGAIN;
        log->next_try_ms = now + REOPEN_AFTER_MS;
        int r = open_file(log, &stat);
        if (r < 0)
            return r;
        log->next_try_ms = 0;
    }
    *ret_size = stat.st_size;
    return 0;
}

static int rotate(struct gateway_log *log)
{
    for (unsigned number = log->keep; number > 0; number--) {
        CLEANUP(mem_cleanup) char *from = gateway_log_path(log->home, number - 1);
        CLEANUP(mem_cleanup) char *to = gateway_log_path(log->home, number);
        if (rename(from, to) < 0 && errno != ENOENT)
            return -errno;
    }
    if (log->keep == 0 && unlink(log->path) < 0 && errno != ENOENT)
        return -errno;
    // Those of a time when more were kept.
    for (unsigned number = log->keep + 1; number <= GATEWAY_LOG_KEEP_MAX; number++) {
        CLEANUP(mem_cleanup) char *path = gateway_log_path(log->home, number);
        if (unlink(path) < 0)
            break;
    }
    fd_close(&log->fd);
    return 0;
}

// Opens and rotates as need be, so that a line of so many bytes fits; 0 and the file's size.
static int make_room(struct gateway_log *log, size_t line_len, off_t *ret_size)
{
    int r = ready(log, ret_size);
    if (r == 0 && *ret_size > 0 && *ret_size + (off_t)line_len > log->max_bytes) {
        r = rotate(log);
        if (r < 0 && *ret_size < 2 * log->max_bytes) // an oversized log rather than a lost line
            r = 0;
        else if (r == 0)
            r = ready(log, ret_size);
    }
    if (r == 0 && log->torn) {
        if (write(log->fd, "\n", 1) != 1)
            return errno ? -errno : -ENOSPC;
        log->torn = false;
        ++*ret_size;
    }
    return r;
}

// Writes whole lines: all at once, or one by one where the file is to turn over. *ret_done is how
// many bytes of them are written, also on failure.
static int write_lines(struct gateway_log *log, struct span lines, size_t *ret_done)
{
    size_t done = 0;
    int r = 0;
    while (r == 0 && done < lines.len) {
        struct span some = span_skip(lines, done);
        size_t first = (size_t)span_find(some, SPAN_LITERAL("\n")) + 1;
        off_t size;
        r = make_room(log, first, &size);
        if (r < 0)
            break;
        if ((int64_t)some.len > log->max_bytes - size)
            some.len = first;
        ssize_t n = write(log->fd, some.data, some.len);
        if (n < 0 && errno == EINTR)
            continue;
        r = n < 0 ? -errno : n < (ssize_t)some.len ? -ENOSPC : 0;
        ssize_t whole = n > 0 ? n : 0;
        while (whole > 0 && some.data[whole - 1] != '\n')
            whole--;
        if (whole < n && ftruncate(log->fd, size + whole) < 0) // the beginning of a line
            log->torn = true;
        done += (size_t)whole;
    }
    *ret_done = done;
    return r;
}

/* Lines */

static void write_time(struct json_writer *w, struct gateway_log *log)
{
    enum { SECONDS_LEN = sizeof "2026-11-21T11:00:00" - 1 };
    static const char fraction[] = ".000Z";
    int64_t now = clock_wall_ms(log->clock), left = now % 1000;
    if (now / 1000 != log->second) {
        log->second = now / 1000;
        clock_format_utc(now, log->time_text);
        memcpy(log->time_text + SECONDS_LEN, fraction, sizeof fraction);
    }
    for (size_t digit = SECONDS_LEN + 3; digit > SECONDS_LEN; digit--, left /= 10)
        log->time_text[digit] = (char)('0' + left % 10);
    json_write_member_string(w, "time", span_make(log->time_text, SECONDS_LEN + 5));
}

static void begin_line(struct json_writer *w, struct gateway_log *log, struct buf *line,
                       enum log_level level, const char *event, const char *id)
{
    buf_clear(line);
    json_writer_init(w, line);
    json_write_object_begin(w);
    write_time(w, log);
    json_write_member_text(w, "level", log_level_name(level));
    json_write_member_text(w, "event", event);
    json_write_member_text(w, "id", id);
}

static bool end_line(struct json_writer *w)
{
    json_write_object_end(w);
    return json_write_done(w) && buf_append_char(w->out, '\n');
}

// At most `max` bytes of it, between characters; true when that is not all.
static bool write_value(struct json_writer *w, const char *name, struct span value, size_t max)
{
    if (value.len <= max) {
        json_write_member_string(w, name, value);
        return false;
    }
    BUF_AUTO shown = BUF_INIT(max + UTF8_BYTES_MAX);
    value.len = max;
    value.len -= utf8_incomplete_tail(value);
    buf_append_span(&shown, value);
    buf_append_text(&shown, "…");
    json_write_member_string(w, name, buf_span(&shown));
    return true;
}

static bool write_record(struct gateway_log *log, const struct log_record *record, size_t max)
{
    struct json_writer w;
    bool cut = false;
    begin_line(&w, log, &log->line, record->level, record->event, record->id);
    if (record->text)
        cut |= write_value(&w, "text", span_of(record->text), max);
    for (size_t i = 0; i < record->field_count; i++) {
        const struct log_field *field = &record->fields[i];
        if (field->text)
            cut |= write_value(&w, field->name, span_of(field->text), max);
        else
            json_write_member_int(&w, field->name, field->number);
    }
    if (cut)
        json_write_member_bool(&w, "cut", true);
    return end_line(&w);
}

/* Leaving */

static int write_lost(struct gateway_log *log)
{
    BUF_AUTO line = BUF_INIT(GATEWAY_LOG_LINE_MAX);
    struct json_writer w;
    size_t done;
    begin_line(&w, log, &line, LOG_WARNING, "log.lost", "");
    json_write_member_int(&w, "lines", (int64_t)log->lost);
    end_line(&w);
    int r = write_lines(log, buf_span(&line), &done);
    if (r == 0)
        log->lost = 0;
    return r;
}

static void flush(void *context)
{
    struct gateway_log *log = context;
    struct span lines = buf_span(&log->waiting);
    size_t done = 0;
    if (lines.len == 0)
        return;
    int r = log->lost ? write_lost(log) : 0;
    if (r == 0)
        r = write_lines(log, lines, &done);
    for (size_t i = done; i < lines.len; i++)
        log->lost += lines.data[i] == '\n';
    buf_clear(&log->waiting);
    if (r < 0 && !log->warned)
        log_warning("cannot write %s: %s; until it can, events are only printed here", log->path,
                    strerror(-r));
    log->warned = r < 0;
}

// The line with as much as fits: its values are cut shorter until it does.
static void on_record(void *context, const struct log_record *record)
{
    struct gateway_log *log = context;
    bool made = false;
    for (size_t max = VALUE_MAX; max >= VALUE_MIN && !made; max /= 2)
        made = write_record(log, record, max);
    if (!made) {
        log->lost++;
        return;
    }
    if (log->waiting.len + log->line.len > WAITING_MAX)
        flush(log);
    buf_append_span(&log->waiting, buf_span(&log->line));
}

static void on_timer(void *context)
{
    struct gateway_log *log = context;
    log->timer = 0;
    log_flush();
}

static void on_waiting(void *context)
{
    struct gateway_log *log = context;
    if (!log->timer) // it runs on when what waited was taken along by something grave
        log->timer = loop_timer_after(log->loop, WAIT_MS, on_timer, log);
}

static const char *filter(void *context, const char *text)
{
    struct gateway_log *log = context;
    struct span all = {text, strnlen(text, VALUE_READ_MAX)};
    bool whole = text[all.len] == '\0';
    if (whole && redact_is_clean(log->redactor, all))
        return NULL;
    buf_clear(&log->filtered);
    return redact(log->redactor, all, &log->filtered) ? buf_text(&log->filtered) : REDACT_MARK;
}

int gateway_log_open(const struct gateway_log_config *config, const char *home,
                     const char *const *secrets, size_t secret_count, const struct clock *clock,
                     struct loop *loop, struct gateway_log **ret_log, struct error *err)
{
    enum log_level level = LOG_INFO;
    if (config->level && !log_parse_level(config->level, &level))
        return error_set(err, -EINVAL,
                         "logging.level: \"%.64s\" is not debug, info, warning or error",
                         config->level);
    struct gateway_log *log = mem_new(struct gateway_log);
    *log = (struct gateway_log){
        .home = mem_strdup(home),
        .path = gateway_log_path(home, 0),
        .clock = clock,
        .redactor = redactor_create(secrets, secret_count),
        .max_bytes = config->max_bytes ? config->max_bytes : config->max_megabytes * MEBIBYTE,
        .keep = (unsigned)config->keep,
        .fd = -1,
        .second = -1,
        .line = BUF_INIT(GATEWAY_LOG_LINE_MAX),
        .waiting = BUF_INIT(WAITING_MAX),
        .filtered = BUF_INIT(2 * VALUE_READ_MAX), // a mark is longer than the shortest secret
        .loop = loop,
    };
    log_set_level(level);
    log_set_sink(on_record, flush, log, config->echo);
    log_set_filter(filter, log);
    log_set_later(loop ? on_waiting : NULL, log);
    *ret_log = log;
    return 0;
}

void gateway_log_settle(struct gateway_log *log)
{
    if (!log || !log->loop)
        return;
    log_set_later(NULL, NULL);
    loop_cancel(log->loop, log->timer);
    log->loop = NULL;
}

void gateway_log_close(struct gateway_log *log)
{
    if (!log)
        return;
    gateway_log_settle(log);
    log_set_sink(NULL, NULL, NULL, false);
    log_set_filter(NULL, NULL);
    fd_close(&log->fd);
    redactor_destroy(log->redactor);
    buf_finish(&log->line);
    buf_finish(&log->waiting);
    buf_finish(&log->filtered);
    free(log->home);
    free(log->path);
    free(log);
}
