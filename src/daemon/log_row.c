#include "daemon/log_row.h"

#include <string.h>
#include <time.h>

#include "codec/iso_time.h"
#include "codec/utf8.h"

enum {
    VALUE_SHOWN_MAX = 160,   // bytes of a value in a row
    DECODED_MAX = 64 * 1024, // of a value
    ID_SHOWN = 8,
    LEVEL_COLUMN = 7,
    EVENT_COLUMN = 14,
    RELATIVE_COLUMN = 9,
};

void log_row_clean(struct buf *out, struct span text, bool quoted)
{
    while (text.len) {
        uint32_t rune = 0;
        char bytes[UTF8_BYTES_MAX];
        size_t len = utf8_decode(text, &rune);
        if (rune == '\n' || rune == '\t')
            buf_append_text(out, rune == '\n' ? "\\n" : "\\t");
        else if (rune == '"' && quoted)
            buf_append_text(out, "\\\"");
        else
            buf_append(out, bytes, utf8_encode(rune_is_unsafe(rune) ? UTF8_INVALID : rune, bytes));
        text = span_skip(text, len);
    }
}

/* Time */

// "2026-11-21T01:02:03.456Z", with or without the fraction.
bool log_row_time(struct json_value line, int64_t *ret_ms)
{
    BUF_AUTO text = BUF_INIT(64);
    return json_string(json_get(line, "time"), &text) &&
           iso_time_parse(buf_span(&text), &ZONE_UTC, ret_ms);
}

void log_row_local_time(struct buf *out, int64_t ms)
{
    enum { TO_SECOND = sizeof "2026-11-21T01:02:03" - 1, FRACTION = sizeof ".456" - 1 };
    char text[ISO_TIME_SIZE];
    struct tm parts;
    time_t seconds = (time_t)(ms / 1000);
    localtime_r(&seconds, &parts);
    const struct zone here = {.standard_s = (int32_t)parts.tm_gmtoff};
    iso_time_format(ms, &here, text);
    buf_printf(out, "%.*s%s", TO_SECOND, text, text + TO_SECOND + FRACTION);
}

/* Fields */

// The text of a string, or the bytes of any other value.
static struct span decoded(struct json_value value, struct buf *room)
{
    if (json_type(value) != JSON_STRING)
        return json_raw(value);
    return json_string(value, room) ? buf_span(room) : SPAN_LITERAL("(too long)");
}

static bool wants_quotes(struct span text)
{
    bool wants = text.len == 0;
    for (size_t i = 0; i < text.len && !wants; i++)
        wants = (unsigned char)text.data[i] <= ' ' || text.data[i] == '"' || text.data[i] == '=';
    return wants;
}

static void write_shown(struct buf *out, struct span text, bool quoted,
                        const struct log_row_style *style)
{
    bool cut = !style->whole && text.len > VALUE_SHOWN_MAX;
    if (cut) {
        text.len = VALUE_SHOWN_MAX;
        text.len -= utf8_incomplete_tail(text);
    }
    log_row_clean(out, text, quoted);
    if (cut)
        buf_append_text(out, "…");
}

static void write_field(struct buf *out, struct json_value key, struct json_value value,
                        const struct log_row_style *style)
{
    BUF_AUTO name = BUF_INIT(DECODED_MAX);
    BUF_AUTO room = BUF_INIT(DECODED_MAX);
    struct span text = decoded(value, &room);
    bool quotes = json_type(value) == JSON_STRING && wants_quotes(text);
    buf_append_text(out, style->colours ? " \033[2m" : " ");
    write_shown(out, decoded(key, &name), false, style);
    buf_append_text(out, style->colours ? "=\033[0m" : "=");
    buf_append_text(out, quotes ? "\"" : "");
    write_shown(out, text, quotes, style);
    buf_append_text(out, quotes ? "\"" : "");
}

static void write_fields(struct buf *out, struct json_value line, const struct log_row_style *style)
{
    bool plain = json_is(json_get(line, "event"), "line");
    struct json_value key, value;
    for (struct json_iter it = json_iter_init(line); json_iter_next(&it, &key, &value);) {
        if (json_is(key, "time") || json_is(key, "level") || json_is(key, "event") ||
            json_is(key, "id"))
            continue; // they are columns
        if (plain && json_is(key, "text")) {
            BUF_AUTO room = BUF_INIT(DECODED_MAX);
            buf_append_char(out, ' ');
            write_shown(out, decoded(value, &room), false, style);
        } else {
            write_field(out, key, value, style);
        }
    }
}

// A member as a column of `width`, of which at most `max` bytes are shown.
static void write_column(struct buf *out, struct json_value value, size_t width, size_t max)
{
    BUF_AUTO room = BUF_INIT(DECODED_MAX);
    BUF_AUTO shown = BUF_INIT(DECODED_MAX);
    struct span text = decoded(value, &room);
    text.len = text.len > max ? max : text.len;
    log_row_clean(&shown, text, false);
    if (shown.len == 0)
        buf_append_char(&shown, '-');
    buf_append_span(out, buf_span(&shown));
    for (size_t columns = utf8_width(buf_span(&shown)); columns < width; columns++)
        buf_append_char(out, ' ');
}

static const char *colour_of(struct json_value level)
{
    if (json_is(level, "error"))
        return "\033[31m";
    if (json_is(level, "warning"))
        return "\033[33m";
    return json_is(level, "debug") ? "\033[2m" : "";
}

void log_row_write(struct buf *out, struct json_value line, const struct log_row_style *style)
{
    struct json_value level = json_get(line, "level");
    const char *on = style->colours ? colour_of(level) : "";
    int64_t ms;
    if (!log_row_time(line, &ms))
        buf_append_text(out, "?");
    else if (style->relative)
        buf_printf(out, "%*.3f s", RELATIVE_COLUMN, (double)(ms - style->since_ms) / 1000);
    else
        log_row_local_time(out, ms);
    buf_append_text(out, "  ");
    buf_append_text(out, on);
    write_column(out, level, LEVEL_COLUMN, LEVEL_COLUMN);
    buf_append_text(out, *on ? "\033[0m  " : "  ");
    if (!style->relative) {
        write_column(out, json_get(line, "id"), ID_SHOWN, ID_SHOWN);
        buf_append_text(out, "  ");
    }
    buf_append_text(out, style->colours ? "\033[1m" : "");
    write_column(out, json_get(line, "event"), EVENT_COLUMN, 64);
    buf_append_text(out, style->colours ? "\033[0m" : "");
    write_fields(out, line, style);
    buf_append_char(out, '\n');
}
