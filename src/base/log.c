#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/colour.h"
#include "base/decimal.h"
#include "base/mem.h"
#include "base/span.h"

/*
 * A busy router logs two events per request, so what an event costs counts. Its texts pass the
 * filter once, for the record and for standard error; and where the program says that there is a
 * `later`, the lines of many events leave in one write.
 */
enum {
    LINE_MAX_BYTES = 2048,         // of its text
    WAITING_MAX_BYTES = 16 * 1024, // for standard error
    ID_SHOWN_BYTES = 8,            // enough to tell the work of a day apart
};

static enum log_level max_level = LOG_INFO;

static struct {
    log_sink_fn *fn;
    log_flush_fn *flush;
    void *context;
    bool echo;
    bool busy; // a sink that logs is not handed its own lines
} sink;

static struct {
    log_filter_fn *fn;
    void *context;
} filter;

static struct {
    log_later_fn *fn;
    void *context;
    bool called; // something waits
} later;

static struct {
    char bytes[WAITING_MAX_BYTES];
    size_t len;
    size_t begin, end; // of the text of the line that is being written; where it will be cut
} waiting;             // for standard error

static const struct {
    const char *name, *colour;
} levels[] = {
    [LOG_ERROR] = {"error", "\033[31m"},
    [LOG_WARNING] = {"warning", "\033[33m"},
    [LOG_INFO] = {"info", ""},
    [LOG_DEBUG] = {"debug", "\033[2m"},
};

void log_set_level(enum log_level level)
{
    max_level = level;
}

const char *log_level_name(enum log_level level)
{
    return levels[level].name;
}

bool log_parse_level(const char *name, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (strcasecmp(levels[i].name, name) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    return false;
}

void log_set_sink(log_sink_fn *fn, log_flush_fn *flush, void *context, bool echo)
{
    log_flush();
    sink.fn = fn;
    sink.flush = flush;
    sink.context = context;
    sink.echo = echo;
}

void log_set_filter(log_filter_fn *fn, void *context)
{
    filter.fn = fn;
    filter.context = context;
}

void log_set_later(log_later_fn *fn, void *context)
{
    log_flush();
    later.fn = fn;
    later.context = context;
}

/* Leaving */

static void write_waiting(void)
{
    size_t done = 0;
    while (done < waiting.len) {
        ssize_t n = write(STDERR_FILENO, waiting.bytes + done, waiting.len - done);
        if (n < 0 && errno != EINTR)
            break; // nobody is left to be told
        done += n > 0 ? (size_t)n : 0;
    }
    waiting.len = 0;
}

void log_flush(void)
{
    later.called = false;
    write_waiting();
    if (sink.flush && !sink.busy) {
        sink.busy = true;
        sink.flush(sink.context);
        sink.busy = false;
    }
    write_waiting(); // what the sink had to say
}

/* Lines on standard error */

// The words of others may stand in a line; none of it may move a terminal's cursor or turn the line
// around, and all of it is UTF-8. The controls of the upper half (U+0080 to U+009F, one of them
// begins escape sequences) are two bytes there, and one where a terminal knows no UTF-8.
static void clean(char *text, size_t len)
{
    size_t at = span_printable(span_make(text, len));
    while (at < len) {
        struct character c = span_character(span_make(text + at, len - at));
        if (c.state != CHARACTER_WHOLE || rune_is_unsafe(c.rune))
            memset(text + at, '?', c.len);
        at += c.len;
    }
}

// What does not fit into the line any more is replaced by "...".
static void put(const char *text, size_t len)
{
    static const char dots[] = "...";
    if (waiting.len > waiting.end)
        return;
    bool cut = len > waiting.end - waiting.len;
    size_t taken = cut ? waiting.end - waiting.len : len;
    memcpy(waiting.bytes + waiting.len, text, taken);
    waiting.len += taken;
    if (cut) {
        memcpy(waiting.bytes + waiting.len, dots, sizeof dots - 1);
        waiting.len += sizeof dots - 1;
    }
}

static void put_text(const char *text)
{
    put(text, strlen(text));
}

static void begin_line(enum log_level level)
{
    enum { AROUND_MAX_BYTES = 64 };
    if (sizeof waiting.bytes - waiting.len < LINE_MAX_BYTES + AROUND_MAX_BYTES)
        write_waiting();
    waiting.end = waiting.len + AROUND_MAX_BYTES;
    put_text("hermes: ");
    if (level != LOG_INFO) {
        bool colour = *levels[level].colour && colour_wanted(STDERR_FILENO);
        put_text(colour ? levels[level].colour : "");
        put_text(levels[level].name);
        put_text(colour ? ":\033[0m " : ": ");
    }
    waiting.begin = waiting.len;
    waiting.end = waiting.len + LINE_MAX_BYTES;
}

static void end_line(void)
{
    clean(waiting.bytes + waiting.begin, waiting.len - waiting.begin);
    waiting.bytes[waiting.len++] = '\n';
}

static void record_to_sink(const struct log_record *record)
{
    if (!sink.fn || sink.busy)
        return;
    sink.busy = true;
    sink.fn(sink.context, record);
    sink.busy = false;
}

static const char *filtered(const char *text)
{
    const char *instead = filter.fn && *text ? filter.fn(filter.context, text) : NULL;
    return instead ? instead : text;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (level > max_level)
        return;
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const char *safe = filtered(text);
    if (safe != text)
        snprintf(text, sizeof text, "%s", safe);
    record_to_sink(&(struct log_record){level, "line", "", text, NULL, 0});
    begin_line(level);
    put_text(text);
    end_line();
    log_flush();
}

/* Events on standard error: logfmt */

static void put_quoted(const char *text)
{
    put("\"", 1);
    for (; *text && waiting.len <= waiting.end; text++) {
        if (*text == '"' || *text == '\\')
            put("\\", 1);
        put(text, 1);
    }
    put("\"", 1);
}

// Neither empty nor with a byte that would end it.
static bool is_bare(const char *value)
{
    static const bool ends[256] = {[' '] = true, ['\t'] = true, ['\r'] = true, ['\n'] = true,
                                   ['"'] = true, ['\\'] = true, ['='] = true};
    const char *at = value;
    while (*at && !ends[(unsigned char)*at])
        at++;
    return *at == '\0' && at > value;
}

static void put_field(const struct log_field *field)
{
    char room[DECIMAL_SIZE];
    const char *value = field->text ? field->text : decimal_of_int(field->number, room);
    put(" ", 1);
    put_text(field->name);
    put("=", 1);
    if (field->text && !is_bare(value))
        put_quoted(value);
    else
        put_text(value);
}

static void echo(const struct log_record *record)
{
    begin_line(record->level);
    put_text(record->event);
    if (*record->id) {
        put_text(" id=");
        put(record->id, strnlen(record->id, ID_SHOWN_BYTES));
    }
    for (size_t i = 0; i < record->field_count; i++)
        put_field(&record->fields[i]);
    end_line();
}

// Those of the fields that are known, into `known`; what the filter changed is copied to `copies`.
static size_t take_fields(const struct log_field *fields, size_t count, struct log_field *known,
                          char *copies[LOG_FIELDS_MAX])
{
    size_t taken = 0;
    for (size_t i = 0; i < count && taken < LOG_FIELDS_MAX; i++) {
        if (!fields[i].name)
            continue;
        known[taken] = fields[i];
        copies[taken] = NULL;
        const char *text = fields[i].text;
        const char *safe = text && !fields[i].own ? filtered(text) : text;
        if (safe != text)
            known[taken].text = copies[taken] = mem_strdup(safe);
        taken++;
    }
    return taken;
}

// False when nobody wants to know.
static bool tell(enum log_level level, const char *event, const char *id,
                 const struct log_field *fields, size_t count)
{
    if (level > max_level || !sink.fn)
        return false;
    struct log_field known[LOG_FIELDS_MAX];
    char *copies[LOG_FIELDS_MAX];
    size_t known_count = take_fields(fields, count, known, copies);
    struct log_record record = {level, event, id ? id : "", NULL, known, known_count};
    record_to_sink(&record);
    if (sink.echo)
        echo(&record);
    for (size_t i = 0; i < known_count; i++)
        free(copies[i]);
    return true;
}

void log_event(enum log_level level, const char *event, const char *id,
               const struct log_field *fields, size_t count)
{
    if (tell(level, event, id, fields, count))
        log_flush();
}

void log_event_often(enum log_level level, const char *event, const char *id,
                     const struct log_field *fields, size_t count)
{
    if (!tell(level, event, id, fields, count))
        return;
    if (!later.fn || level < LOG_INFO) {
        log_flush();
    } else if (!later.called) {
        later.called = true;
        later.fn(later.context);
    }
}
