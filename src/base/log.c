#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/colour.h"

enum {
    LINE_MAX_BYTES = 2048,
    ID_SHOWN_BYTES = 8, // enough to tell the work of a day apart
};

static enum log_level max_level = LOG_INFO;

static struct {
    log_sink_fn *fn;
    void *context;
    bool echo;
    bool busy; // a sink that logs is not handed its own lines
} sink;

static struct {
    log_filter_fn *fn;
    void *context;
} filter;

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
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (strcasecmp(levels[i].name, name) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    return false;
}

void log_set_sink(log_sink_fn *fn, void *context, bool echo)
{
    sink.fn = fn;
    sink.context = context;
    sink.echo = echo;
}

void log_set_filter(log_filter_fn *fn, void *context)
{
    filter.fn = fn;
    filter.context = context;
}

// What others wrote may stand in a line; none of it may move a terminal's cursor. The controls of
// the upper half (U+0080 to U+009F, one of them begins escape sequences) are two bytes in UTF-8.
static void clean(char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)text[0], next = (unsigned char)text[1];
        bool upper = c == 0xC2 && next >= 0x80 && next < 0xA0;
        if (c < 0x20 || c == 0x7f || upper)
            *text = '?';
        if (upper)
            *++text = '?';
    }
}

static void say(enum log_level level, const char *text)
{
    const char *filtered = filter.fn ? filter.fn(filter.context, text) : NULL;
    text = filtered ? filtered : text;
    const char *on = colour_wanted(STDERR_FILENO) ? levels[level].colour : "";
    const char *off = *on ? "\033[0m" : "";
    if (level == LOG_INFO)
        fprintf(stderr, "hermes: %s\n", text);
    else
        fprintf(stderr, "hermes: %s%s:%s %s\n", on, levels[level].name, off, text);
}

static void record_to_sink(const struct log_record *record)
{
    if (!sink.fn || sink.busy)
        return;
    sink.busy = true;
    sink.fn(sink.context, record);
    sink.busy = false;
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
    record_to_sink(&(struct log_record){level, "line", "", text, NULL, 0});
    clean(text);
    say(level, text);
}

/* Events on standard error: logfmt */

// A line that is being written; what does not fit any more is replaced by "..." at its end.
struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
    bool full;
};

static void put(struct line *line, const char *text, size_t len)
{
    static const char cut[] = "...";
    size_t room = sizeof line->text - sizeof cut - line->len;
    if (line->full)
        return;
    if (len > room) {
        memcpy(line->text + line->len, text, room);
        memcpy(line->text + line->len + room, cut, sizeof cut);
        line->full = true;
        return;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
    line->text[line->len] = '\0';
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_quoted(struct line *line, const char *text)
{
    put(line, "\"", 1);
    for (; *text && !line->full; text++) {
        if (*text == '"' || *text == '\\')
            put(line, "\\", 1);
        put(line, text, 1);
    }
    put(line, "\"", 1);
}

static void put_field(struct line *line, const struct log_field *field)
{
    char number[24];
    snprintf(number, sizeof number, "%" PRId64, field->number);
    const char *value = field->text ? field->text : number;
    put(line, " ", 1);
    put_text(line, field->name);
    put(line, "=", 1);
    if (*value == '\0' || strpbrk(value, " \t\r\n\"\\="))
        put_quoted(line, value);
    else
        put_text(line, value);
}

static void echo(const struct log_record *record)
{
    struct line line = {.len = 0};
    put_text(&line, record->event);
    if (*record->id) {
        put_text(&line, " id=");
        put(&line, record->id, strnlen(record->id, ID_SHOWN_BYTES));
    }
    for (size_t i = 0; i < record->field_count && !line.full; i++)
        put_field(&line, &record->fields[i]);
    clean(line.text);
    say(record->level, line.text);
}

void log_event(enum log_level level, const char *event, const char *id,
               const struct log_field *fields, size_t count)
{
    if (level > max_level)
        return;
    struct log_field known[LOG_FIELDS_MAX];
    size_t known_count = 0;
    for (size_t i = 0; i < count && known_count < LOG_FIELDS_MAX; i++)
        if (fields[i].name)
            known[known_count++] = fields[i];
    struct log_record record = {level, event, id ? id : "", NULL, known, known_count};
    record_to_sink(&record);
    if (sink.echo)
        echo(&record);
}
