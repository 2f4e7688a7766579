#include "daemon/gateway_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
 * A line is one write(2) to a file opened for appending, so a reader never sees half of one. What a
 * full disk leaves of it is cut off again; where even that fails, the next line begins on a line of
 * its own.
 *
 * The name is looked at before every line: who removes or replaces the file (logrotate, a person
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
    FIELDS_MAX = 40,
    REDACTED_MAX = 1 << 20, // bytes of all values of a record
};

struct gateway_log {
    char *directory, *path; // owned
    const struct clock *clock;
    struct redactor *redactor;
    int64_t max_bytes;
    unsigned keep;
    int fd;      // -1: not open
    bool torn;   // the file's last line has no end
    bool warned; // standard error knows that it cannot be written
    uint64_t lost;
    int64_t next_try_ms;
    struct buf filtered; // what the filter last returned
};

const struct option gateway_log_options[] = {
    {.key = "logging.level",
     .type = OPTION_STRING,
     .offset = offsetof(struct gateway_log_config, level),
     .env = "HERMES_LOG_LEVEL",
     .fallback = "info",
     .choices = "debug,info,warning,error,DEBUG,INFO,WARNING,ERROR",
     .help = "what is logged: that and what is graver"},
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
     .help = "tell events on standard error as well (kubectl logs, journalctl)"},
};

const size_t gateway_log_option_count = ARRAY_LEN(gateway_log_options);

static char *numbered(const char *path, unsigned number)
{
    return number ? mem_printf("%s.%u", path, number) : mem_strdup(path);
}

char *gateway_log_path(const char *home, unsigned number)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/logs/gateway.log", home);
    return numbered(path, number);
}

/* The file */

static bool ends_in_line(int fd, off_t size)
{
    char last;
    return size == 0 || pread(fd, &last, 1, size - 1) != 1 || last == '\n';
}

// 0 or -errno. Not through a link, and a pipe or device under that name is no log.
static int open_file(struct gateway_log *log)
{
    struct stat stat;
    if (mkdir(log->directory, 0700) < 0 && errno != EEXIST)
        return -errno;
    FD_AUTO fd =
        open(log->path,
             O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &stat) < 0)
        return -errno;
    if (!S_ISREG(stat.st_mode))
        return -EINVAL;
    if (stat.st_mode & 0177)
        fchmod(fd, 0600); // somebody else's file cannot be changed, but may be written
    log->torn = !ends_in_line(fd, stat.st_size);
    log->fd = fd;
    fd = -1;
    return 0;
}

static bool is_still_named(const struct gateway_log *log, const struct stat *open_one)
{
    struct stat named;
    return lstat(log->path, &named) == 0 && named.st_dev == open_one->st_dev &&
           named.st_ino == open_one->st_ino;
}

// Opens the file when it is not open or no longer the one of that name; 0 and its size, or -errno.
static int ready(struct gateway_log *log, off_t *ret_size)
{
    struct stat stat;
    if (log->fd >= 0 && (fstat(log->fd, &stat) < 0 || !is_still_named(log, &stat)))
        fd_close(&log->fd);
    if (log->fd < 0) {
        int64_t now = clock_monotonic_ms(log->clock);
        if (log->next_try_ms > now)
            return -EAGAIN;
        log->next_try_ms = now + REOPEN_AFTER_MS;
        int r = open_file(log);
        if (r < 0)
            return r;
        log->next_try_ms = 0;
        if (fstat(log->fd, &stat) < 0)
            return -errno;
    }
    *ret_size = stat.st_size;
    return 0;
}

static void drop_older(const struct gateway_log *log)
{
    for (unsigned number = log->keep + 1; number <= GATEWAY_LOG_KEEP_MAX; number++) {
        CLEANUP(mem_cleanup) char *path = numbered(log->path, number);
        if (unlink(path) < 0)
            return;
    }
}

static int rotate(struct gateway_log *log)
{
    for (unsigned number = log->keep; number > 0; number--) {
        CLEANUP(mem_cleanup) char *from = numbered(log->path, number - 1);
        CLEANUP(mem_cleanup) char *to = numbered(log->path, number);
        if (rename(from, to) < 0 && errno != ENOENT)
            return -errno;
    }
    if (log->keep == 0 && unlink(log->path) < 0 && errno != ENOENT)
        return -errno;
    drop_older(log);
    fd_close(&log->fd);
    return 0;
}

// The bytes at the end of what a write began and could not finish.
static void take_back(struct gateway_log *log, off_t size)
{
    if (ftruncate(log->fd, size) < 0)
        log->torn = true;
}

static int write_line(struct gateway_log *log, struct span line)
{
    off_t size;
    int r = ready(log, &size);
    if (r == 0 && size > 0 && size + (off_t)line.len > log->max_bytes) {
        r = rotate(log);
        if (r < 0 && size < 2 * log->max_bytes) // an oversized log rather than a lost line
            r = 0;
        else if (r == 0)
            r = ready(log, &size);
    }
    if (r == 0 && log->torn) {
        if (write(log->fd, "\n", 1) != 1)
            return errno ? -errno : -ENOSPC;
        log->torn = false;
        size++;
    }
    if (r < 0)
        return r;
    ssize_t n;
    do
        n = write(log->fd, line.data, line.len);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)line.len)
        return 0;
    r = n < 0 ? -errno : -ENOSPC;
    if (n > 0)
        take_back(log, size);
    return r;
}

/* Lines */

static void write_time(struct json_writer *w, const struct clock *clock)
{
    char seconds[CLOCK_TEXT_SIZE], text[CLOCK_TEXT_SIZE + 8];
    int64_t now = clock_wall_ms(clock);
    clock_format_utc(now, seconds);
    seconds[strcspn(seconds, "Z")] = '\0';
    snprintf(text, sizeof text, "%s.%03dZ", seconds, (int)(now % 1000));
    json_write_member_text(w, "time", text);
}

static void begin_line(struct json_writer *w, struct buf *out, const struct gateway_log *log,
                       enum log_level level, const char *event, const char *id)
{
    buf_clear(out);
    json_writer_init(w, out);
    json_write_object_begin(w);
    write_time(w, log->clock);
    json_write_member_text(w, "level", log_level_name(level));
    json_write_member_text(w, "event", event);
    json_write_member_text(w, "id", id);
}

static bool end_line(struct json_writer *w)
{
    json_write_object_end(w);
    return json_write_done(w) && buf_append_char(w->out, '\n');
}

// The texts of a record without secrets, one behind the other: its own, then those of its fields.
struct values {
    struct buf bytes;
    size_t ends[FIELDS_MAX + 1];
    bool cut; // something of them is missing already
};

static void add_value(const struct gateway_log *log, struct values *values, size_t index,
                      const char *text)
{
    size_t len = text ? strnlen(text, VALUE_READ_MAX + 1) : 0;
    if (len > VALUE_READ_MAX) {
        len = VALUE_READ_MAX;
        values->cut = true;
    }
    if (len && !redact(log->redactor, (struct span){text, len}, &values->bytes))
        values->cut = true;
    values->ends[index] = values->bytes.len;
}

static struct span value_at(const struct values *values, size_t index)
{
    size_t begin = index ? values->ends[index - 1] : 0;
    return (struct span){buf_text(&values->bytes) + begin, values->ends[index] - begin};
}

// At most `max` bytes of it, between characters; true when that is not all.
static bool write_value(struct json_writer *w, const char *name, struct span value, size_t max)
{
    json_write_key(w, name);
    if (value.len <= max) {
        json_write_string(w, value);
        return false;
    }
    BUF_AUTO shown = BUF_INIT(max + UTF8_BYTES_MAX);
    value.len = max;
    value.len -= utf8_incomplete_tail(value);
    buf_append_span(&shown, value);
    buf_append_text(&shown, "…");
    json_write_string(w, buf_span(&shown));
    return true;
}

static bool write_record(const struct gateway_log *log, const struct log_record *record,
                         const struct values *values, size_t count, size_t max, struct buf *out)
{
    struct json_writer w;
    bool cut = values->cut || count < record->field_count;
    begin_line(&w, out, log, record->level, record->event, record->id);
    if (record->text)
        cut |= write_value(&w, "text", value_at(values, 0), max);
    for (size_t i = 0; i < count; i++) {
        const struct log_field *field = &record->fields[i];
        if (field->text)
            cut |= write_value(&w, field->name, value_at(values, i + 1), max);
        else
            json_write_member_int(&w, field->name, field->number);
    }
    if (cut)
        json_write_member_bool(&w, "cut", true);
    return end_line(&w);
}

// The line with as much as fits: its values are cut shorter until it does.
static bool make_line(const struct gateway_log *log, const struct log_record *record,
                      struct buf *out)
{
    struct values values = {.bytes = BUF_INIT(REDACTED_MAX)};
    size_t count = record->field_count < FIELDS_MAX ? record->field_count : FIELDS_MAX;
    add_value(log, &values, 0, record->text);
    for (size_t i = 0; i < count; i++)
        add_value(log, &values, i + 1, record->fields[i].text);
    bool made = false;
    for (size_t max = VALUE_MAX; max >= VALUE_MIN && !made; max /= 2)
        made = write_record(log, record, &values, count, max, out);
    buf_finish(&values.bytes);
    return made;
}

static int write_lost(struct gateway_log *log)
{
    BUF_AUTO line = BUF_INIT(GATEWAY_LOG_LINE_MAX);
    struct json_writer w;
    begin_line(&w, &line, log, LOG_WARNING, "log.lost", "");
    json_write_member_int(&w, "lines", (int64_t)log->lost);
    end_line(&w);
    int r = write_line(log, buf_span(&line));
    if (r == 0)
        log->lost = 0;
    return r;
}

static void on_record(void *context, const struct log_record *record)
{
    struct gateway_log *log = context;
    BUF_AUTO line = BUF_INIT(GATEWAY_LOG_LINE_MAX);
    int r = make_line(log, record, &line) ? 0 : -EMSGSIZE;
    if (r == 0 && log->lost)
        r = write_lost(log);
    if (r == 0)
        r = write_line(log, buf_span(&line));
    if (r == 0) {
        log->warned = false;
        return;
    }
    log->lost++;
    if (!log->warned)
        log_warning("cannot write %s: %s; events are told here only, until it can be written",
                    log->path, strerror(-r));
    log->warned = true;
}

static const char *filter(void *context, const char *text)
{
    struct gateway_log *log = context;
    buf_clear(&log->filtered);
    return redact(log->redactor, span_of(text), &log->filtered) ? buf_text(&log->filtered)
                                                                : REDACT_MARK;
}

int gateway_log_open(const struct gateway_log_config *config, const char *home,
                     const char *const *secrets, size_t secret_count, const struct clock *clock,
                     struct gateway_log **ret_log, struct error *err)
{
    enum log_level level = LOG_INFO;
    if (config->level && !log_parse_level(config->level, &level))
        return error_set(err, -EINVAL,
                         "logging.level: \"%.64s\" is not debug, info, warning or error",
                         config->level);
    struct gateway_log *log = mem_new(struct gateway_log);
    *log = (struct gateway_log){
        .directory = mem_printf("%s/logs", home),
        .path = gateway_log_path(home, 0),
        .clock = clock,
        .redactor = redactor_create(secrets, secret_count),
        .max_bytes = config->max_bytes ? config->max_bytes : config->max_megabytes * MEBIBYTE,
        .keep = (unsigned)config->keep,
        .fd = -1,
        .filtered = BUF_INIT(VALUE_READ_MAX),
    };
    log_set_level(level);
    log_set_sink(on_record, log, config->echo);
    log_set_filter(filter, log);
    *ret_log = log;
    return 0;
}

void gateway_log_close(struct gateway_log *log)
{
    if (!log)
        return;
    log_set_sink(NULL, NULL, false);
    log_set_filter(NULL, NULL);
    fd_close(&log->fd);
    redactor_destroy(log->redactor);
    buf_finish(&log->filtered);
    free(log->directory);
    free(log->path);
    free(log);
}
