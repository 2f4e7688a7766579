#include "daemon/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/colour.h"
#include "base/mem.h"
#include "codec/utf8.h"

enum { CELL_BYTES_MAX = 1 << 20 }; // of a text that is shown in part

void page_clean(struct span text, bool one_line, struct buf *out)
{
    while (text.len) {
        uint32_t rune;
        char bytes[UTF8_BYTES_MAX];
        text = span_skip(text, utf8_decode(text, &rune));
        if (rune == '\n' || rune == '\t')
            rune = one_line ? ' ' : rune;
        else if (rune_is_unsafe(rune))
            rune = UTF8_INVALID;
        buf_append(out, bytes, utf8_encode(rune, bytes));
    }
}

// The longest beginning of the text that is at most so wide.
static size_t fitting(struct span text, size_t width)
{
    size_t at = 0, used = 0;
    while (at < text.len) {
        uint32_t rune;
        size_t bytes = utf8_decode(span_skip(text, at), &rune);
        used += utf8_rune_width(rune);
        if (used > width)
            break;
        at += bytes;
    }
    return at;
}

char *page_cell(struct json_value value, const char *absent, size_t width)
{
    BUF_AUTO text = BUF_INIT(CELL_BYTES_MAX);
    BUF_AUTO clean = BUF_INIT(3 * (size_t)CELL_BYTES_MAX);
    if (json_string(value, &text))
        page_clean(buf_span(&text), true, &clean);
    else
        buf_append_text(&clean, absent);
    struct span shown = span_trim(span_of(buf_text(&clean)));
    bool whole = utf8_width(shown) <= width;
    if (!whole)
        shown.len = fitting(shown, width - 1);
    return mem_printf("%.*s%s", (int)shown.len, shown.data, whole ? "" : "…");
}

void page_pad(const char *cell, size_t width)
{
    size_t used = utf8_width(span_of(cell));
    fputs(cell, stdout);
    do
        putchar(' ');
    while (++used < width);
}

int64_t page_number(struct json_value object, const char *key)
{
    int64_t value = 0;
    json_int64(json_get(object, key), &value);
    return value;
}

bool page_flag(struct json_value object, const char *key)
{
    return json_type(json_get(object, key)) == JSON_TRUE;
}

const char *page_time(int64_t wall_ms, char *text)
{
    if (wall_ms <= 0)
        return "never";
    clock_format_utc(wall_ms, text);
    text[sizeof "2026-11-21T01:47" - 1] = '\0';
    text[sizeof "2026-11-21" - 1] = ' ';
    return text;
}

const char *page_duration(int64_t seconds, char *text)
{
    int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
    if (days)
        snprintf(text, PAGE_SPAN_SIZE, "%" PRId64 " d %" PRId64 " h", days, hours % 24);
    else if (hours)
        snprintf(text, PAGE_SPAN_SIZE, "%" PRId64 " h %" PRId64 " min", hours, minutes % 60);
    else if (minutes)
        snprintf(text, PAGE_SPAN_SIZE, "%" PRId64 " min", minutes);
    else
        snprintf(text, PAGE_SPAN_SIZE, "%" PRId64 " s", seconds);
    return text;
}

void page_print_raw(struct span text)
{
    BUF_AUTO clean = BUF_INIT(4 * text.len + 1);
    if (isatty(STDOUT_FILENO)) {
        page_clean(text, false, &clean);
        text = buf_span(&clean);
    }
    fwrite(text.data, 1, text.len, stdout);
}

const char *page_colour(const char *sequence)
{
    return colour_wanted(STDOUT_FILENO) ? sequence : "";
}
