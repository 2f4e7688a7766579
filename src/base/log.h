#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Library code returns errors; the level that knows the human context logs, once. Lines go to
 * standard error: "hermes: warning: ...", coloured only on a terminal without NO_COLOR.
 */
enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level); // LOG_INFO until told
const char *log_level_name(enum log_level level);
bool log_parse_level(const char *name, enum log_level *ret_level); // in capitals, too

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/*
 * Events: what was done, for the record, beside the lines that are for whoever looks on. `id` is
 * the one id of a piece of work from the channel to the ledger (a turn's), or "". Field names are
 * literals; texts are borrowed during the call and may be anything.
 */
struct log_field {
    const char *name;
    const char *text; // NULL: the number counts
    int64_t number;
    bool own; // no secret can be in the text
};
#define LOG_TEXT(name, value) ((struct log_field){(name), (value), 0, false})
#define LOG_OWN(name, value) ((struct log_field){(name), (value), 0, true}) // the program's words
#define LOG_NUMBER(name, value) ((struct log_field){(name), NULL, (value), false})
// Left out when it is not known: a negative count, an empty text.
#define LOG_COUNT(name, value) \
    ((struct log_field){(value) < 0 ? NULL : (name), NULL, (value), false})
#define LOG_DETAIL(name, value) ((struct log_field){*(value) ? (name) : NULL, (value), 0, false})
enum { LOG_FIELDS_MAX = 16 }; // of one event

struct log_record {
    enum log_level level;
    const char *event; // "turn.begin", "telegram.unauthorized", ...; "line" for a log_line()
    const char *id;
    const char *text; // of a line; else NULL
    const struct log_field *fields;
    size_t field_count;
};

void log_event(enum log_level level, const char *event, const char *id,
               const struct log_field *fields, size_t count);
// The same of what happens so often that it may wait for company: see log_set_later().
void log_event_often(enum log_level level, const char *event, const char *id,
                     const struct log_field *fields, size_t count);
#define LOG_FIELDS(...)                      \
    (const struct log_field[]){__VA_ARGS__}, \
        sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field)
#define LOG_EVENT(level, event, id, ...) log_event(level, event, id, LOG_FIELDS(__VA_ARGS__))
#define LOG_OFTEN(level, event, id, ...) log_event_often(level, event, id, LOG_FIELDS(__VA_ARGS__))

/*
 * Gets every event and line of the level that is logged, its texts already through the filter;
 * NULL: nobody. It may keep what it is to write until `flush` is called, which follows at once, or
 * after some more records where they may wait. With `echo` events are also told on standard error,
 * as "event key=value ...".
 */
typedef void log_sink_fn(void *context, const struct log_record *record);
typedef void log_flush_fn(void *context);
void log_set_sink(log_sink_fn *fn, log_flush_fn *flush, void *context, bool echo);

// Every text that others may have written passes through it: what it returns is told instead
// (NULL: the text as it is), and lives until its next call. For taking secrets out.
typedef const char *log_filter_fn(void *context, const char *text);
void log_set_filter(log_filter_fn *fn, void *context); // NULL: none

/*
 * With `later`, what happens often waits for company unless it is graver than LOG_INFO: it is
 * called with the first that waits, and has to see to it that log_flush() is called soon. All else
 * is written at once and takes along what waits. NULL: nothing waits.
 */
typedef void log_later_fn(void *context);
void log_set_later(log_later_fn *fn, void *context);
void log_flush(void);
