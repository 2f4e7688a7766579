#include "codec/json_write.h"

#include <string.h>

#include "base/decimal.h"
#include "base/word.h"
#include "codec/utf8.h"

void json_writer_init(struct json_writer *w, struct buf *out)
{
    w->out = out;
    w->depth = 0;
    w->after_key = w->broken = false;
    w->filled[0] = w->object[0] = false; // the others are not worth clearing for every small text
}

bool json_write_done(const struct json_writer *w)
{
    return w->depth == 0 && !w->after_key && !w->broken && !buf_is_full(w->out);
}

// The comma that a key or an element needs; false when nothing of the kind may stand here.
static bool separate(struct json_writer *w, bool key)
{
    bool object = w->object[w->depth], filled = w->filled[w->depth];
    w->broken = w->broken || key != (object && !w->after_key) || (w->depth == 0 && filled);
    if (w->broken)
        return false;
    if (filled && !w->after_key)
        buf_append_char(w->out, ',');
    w->filled[w->depth] = true;
    w->after_key = key;
    return true;
}

static void begin(struct json_writer *w, char c, bool object)
{
    w->broken = w->broken || w->depth == JSON_DEPTH_MAX;
    if (!separate(w, false))
        return;
    w->depth++;
    w->filled[w->depth] = false;
    w->object[w->depth] = object;
    buf_append_char(w->out, c);
}

static void end(struct json_writer *w, char c, bool object)
{
    w->broken = w->broken || w->depth == 0 || w->after_key || w->object[w->depth] != object;
    if (w->broken)
        return;
    w->depth--;
    buf_append_char(w->out, c);
}

void json_write_object_begin(struct json_writer *w)
{
    begin(w, '{', true);
}

void json_write_object_end(struct json_writer *w)
{
    end(w, '}', true);
}

void json_write_array_begin(struct json_writer *w)
{
    begin(w, '[', false);
}

void json_write_array_end(struct json_writer *w)
{
    end(w, ']', false);
}

/* Strings */

void json_write_escape(struct buf *out, char c)
{
    static const char special[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
    const char *at = c ? strchr(special, c) : NULL;
    if (at)
        buf_append(out, (char[]){'\\', letters[at - special]}, 2);
    else
        buf_printf(out, "\\u%04x", (unsigned char)c);
}

// `text` is valid UTF-8.
static void write_valid(struct buf *out, struct span text)
{
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!json_needs_escape(text.data[i]))
            continue;
        buf_append(out, text.data + from, i - from);
        json_write_escape(out, text.data[i]);
        from = i + 1;
    }
    buf_append(out, text.data + from, text.len - from);
}

static bool is_plain_word(const char *at)
{
    uint64_t word = word_load(at);
    return !word_any(word | word_below(word, 0x20) | word_equal(word, '"') |
                     word_equal(word, '\\'));
}

// Does all of it stand for itself: printable ASCII, neither quote nor backslash? The last word of a
// longer text overlaps the one before it.
static bool is_plain(struct span text)
{
    const char *at = text.data, *end = text.data + text.len;
    if (text.len < sizeof(uint64_t)) {
        while (at < end && !json_needs_escape(*at) && !(*at & 0x80))
            at++;
        return at == end;
    }
    for (; end - at > (ptrdiff_t)sizeof(uint64_t); at += sizeof(uint64_t))
        if (!is_plain_word(at))
            return false;
    return is_plain_word(end - sizeof(uint64_t));
}

static void write_quoted(struct buf *out, struct span text)
{
    char *room = is_plain(text) ? buf_reserve(out, text.len + 2) : NULL;
    if (room) {
        room[0] = '"';
        if (text.len)
            memcpy(room + 1, text.data, text.len);
        room[text.len + 1] = '"';
        buf_grow_by(out, text.len + 2);
        return;
    }
    buf_append_char(out, '"');
    while (text.len && !buf_is_full(out)) {
        size_t good = utf8_valid_prefix(text);
        write_valid(out, (struct span){text.data, good});
        text = span_skip(text, good);
        uint32_t rune;
        size_t bad = utf8_decode(text, &rune);
        if (bad)
            buf_append_text(out, "\xEF\xBF\xBD"); // U+FFFD
        text = span_skip(text, bad);
    }
    buf_append_char(out, '"');
}

void json_write_key_span(struct json_writer *w, struct span key)
{
    if (!separate(w, true))
        return;
    write_quoted(w->out, key);
    buf_append_char(w->out, ':');
}

void json_write_key(struct json_writer *w, const char *key)
{
    json_write_key_span(w, span_of(key));
}

void json_write_string(struct json_writer *w, struct span text)
{
    if (separate(w, false))
        write_quoted(w->out, text);
}

void json_write_text(struct json_writer *w, const char *text)
{
    if (text)
        json_write_string(w, span_of(text));
    else
        json_write_null(w);
}

/* Everything else */

void json_write_raw(struct json_writer *w, struct span json)
{
    if (separate(w, false))
        buf_append_span(w->out, json.len ? json : SPAN_LITERAL("null"));
}

void json_write_int(struct json_writer *w, int64_t value)
{
    if (separate(w, false))
        buf_append_int(w->out, value);
}

void json_write_bool(struct json_writer *w, bool value)
{
    json_write_raw(w, value ? SPAN_LITERAL("true") : SPAN_LITERAL("false"));
}

void json_write_null(struct json_writer *w)
{
    json_write_raw(w, SPAN_LITERAL("null"));
}

void json_write_fixed(struct json_writer *w, int64_t units, unsigned digits)
{
    char room[DECIMAL_FIXED_SIZE];
    json_write_raw(w, span_of(decimal_of_fixed(units, digits, 0, room)));
}

/*
 * Members are most of what is written, and most of them need no escape: such a one goes out with
 * its comma, key and colon in one piece. False when it has to take the long way, which also finds
 * what was misused.
 */
static bool put_member(struct json_writer *w, struct span key, struct span value, bool quoted)
{
    bool due = !w->after_key && !w->broken && w->object[w->depth];
    if (!due || !is_plain(key) || (quoted && !is_plain(value)))
        return false;
    bool filled = w->filled[w->depth];
    size_t len = filled + key.len + 3 + value.len + 2 * quoted;
    char *at = buf_reserve(w->out, len);
    if (!at)
        return false;
    if (filled)
        *at++ = ',';
    *at++ = '"';
    memcpy(at, key.data, key.len);
    at += key.len;
    *at++ = '"';
    *at++ = ':';
    if (quoted)
        *at++ = '"';
    if (value.len)
        memcpy(at, value.data, value.len);
    if (quoted)
        at[value.len] = '"';
    buf_grow_by(w->out, len);
    w->filled[w->depth] = true;
    return true;
}

static void write_member(struct json_writer *w, const char *key, struct span value, bool quoted)
{
    if (put_member(w, span_of(key), value, quoted))
        return;
    json_write_key(w, key);
    if (quoted)
        json_write_string(w, value);
    else
        json_write_raw(w, value);
}

void json_write_member_text(struct json_writer *w, const char *key, const char *text)
{
    write_member(w, key, text ? span_of(text) : SPAN_LITERAL("null"), text != NULL);
}

void json_write_member_string(struct json_writer *w, const char *key, struct span text)
{
    write_member(w, key, text, true);
}

void json_write_member_int(struct json_writer *w, const char *key, int64_t value)
{
    char room[DECIMAL_SIZE];
    write_member(w, key, span_of(decimal_of_int(value, room)), false);
}

void json_write_member_bool(struct json_writer *w, const char *key, bool value)
{
    write_member(w, key, value ? SPAN_LITERAL("true") : SPAN_LITERAL("false"), false);
}

void json_write_member_raw(struct json_writer *w, const char *key, struct span json)
{
    write_member(w, key, json.len ? json : SPAN_LITERAL("null"), false);
}
