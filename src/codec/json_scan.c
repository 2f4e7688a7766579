/*
 * Two parsers of one input must agree, or the difference is what an attacker uses. So there is one,
 * and all that a reader of its events can do is to keep more or less of them.
 *
 * Every request of every client passes here, up to 32 MiB of it, and every event of a stream that
 * is looked into. Most of that is the inside of a few strings, which are passed over 64 bytes at a
 * time. A member is one event, its key and the value together, because each event costs a call.
 * The scan remembers where it stands and of which kind the open levels are, and nothing else.
 */
#include "codec/json_scan.h"

#include "base/simd16.h"

// NULL, so that a position can be handed on or not.
static const char *spoilt(struct json_scan *s, enum json_want want, const char *from,
                          const char *at)
{
    s->want = want;
    s->from = from;
    s->at = at;
    return NULL;
}

static enum json_event fault(struct json_scan *s, enum json_want want, const char *at)
{
    spoilt(s, want, at, at);
    return JSON_EVENT_FAULT;
}

/* Strings */

// One bit aside, a quote is the neighbour of the control characters.
static inline simd16 stops(simd16 bytes)
{
    return (simd16)((bytes ^ 2) <= ('"' ^ 2)) | (simd16)(bytes == '\\');
}

// Looks at 64 bytes; NULL when they are all plain.
static inline const char *find_stop(const char *at)
{
    simd16 a = stops(simd16_load(at)), b = stops(simd16_load(at + SIMD16_BYTES));
    simd16 c = stops(simd16_load(at + 2 * SIMD16_BYTES));
    simd16 d = stops(simd16_load(at + 3 * SIMD16_BYTES));
    if (!simd16_bits(a | b | c | d))
        return NULL;
    if (simd16_bits(a))
        return at + simd16_first(simd16_bits(a));
    if (simd16_bits(b))
        return at + SIMD16_BYTES + simd16_first(simd16_bits(b));
    if (simd16_bits(c))
        return at + 2 * SIMD16_BYTES + simd16_first(simd16_bits(c));
    return at + 3 * SIMD16_BYTES + simd16_first(simd16_bits(d));
}

// The first quote, backslash or control character, or `end`.
static inline const char *skip_plain(const char *at, const char *end)
{
    if (end - at >= SIMD16_BYTES) { // most strings are short
        uint64_t hits = simd16_bits(stops(simd16_load(at)));
        if (hits)
            return at + simd16_first(hits);
        at += SIMD16_BYTES;
    }
    // What is long is mostly very long.
    for (; end - at >= 4 * SIMD16_BYTES; at += 4 * SIMD16_BYTES) {
        const char *stop = find_stop(at);
        if (stop)
            return stop;
    }
    for (; end - at >= SIMD16_BYTES; at += SIMD16_BYTES) {
        uint64_t hits = simd16_bits(stops(simd16_load(at)));
        if (hits)
            return at + simd16_first(hits);
    }
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return at;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

// At a backslash; returns what is behind the escape.
static const char *escape(struct json_scan *s, const char *from)
{
    const char *at = from + 1;
    if (at == s->end)
        return spoilt(s, JSON_WANT_ESCAPE_END, from, at);
    switch (*at++) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at;
    case 'u':
        for (int i = 0; i < 4; i++, at++)
            if (at == s->end || !is_hex(*at))
                return spoilt(s, JSON_WANT_HEX, from, at);
        return at;
    default:
        return spoilt(s, JSON_WANT_ESCAPE, from, at - 1);
    }
}

// At a quote; returns what is behind the closing one.
static inline const char *string(struct json_scan *s, const char *from, bool *ret_escaped)
{
    *ret_escaped = false;
    const char *at = skip_plain(from + 1, s->end);
    while (__builtin_expect(at == s->end || *at != '"', 0)) {
        if (at == s->end)
            return spoilt(s, JSON_WANT_STRING_END, from, at);
        if (*at != '\\')
            return spoilt(s, JSON_WANT_STRING_TEXT, at, at);
        *ret_escaped = true;
        at = escape(s, at);
        if (!at)
            return NULL;
        at = skip_plain(at, s->end);
    }
    return at + 1;
}

/* Numbers and words */

static const char *digits(const struct json_scan *s, const char *at)
{
    while (at < s->end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

static const char *number(struct json_scan *s, const char *from)
{
    const char *first = from + (*from == '-'); // of digits, one at least
    const char *at = digits(s, first);
    if (at > first && *first == '0')
        at = first + 1; // a digit that follows is refused as what comes next
    if (at > first && at < s->end && *at == '.') {
        first = at + 1;
        at = digits(s, first);
    }
    if (at > first && at < s->end && (*at | 0x20) == 'e') {
        first = at + 1;
        first += first < s->end && (*first == '+' || *first == '-');
        at = digits(s, first);
    }
    return at > first ? at : spoilt(s, JSON_WANT_DIGIT, from, at);
}

static const char *word(struct json_scan *s, const char *from, const char *text)
{
    const char *at = from;
    for (; *text; text++, at++)
        if (at == s->end || *at != *text)
            return spoilt(s, s->want, from, at);
    return at;
}

/* Structure */

static inline const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

static inline enum json_event found(struct json_scan *s, enum json_event event, enum json_type type,
                                    const char *from, const char *at)
{
    s->type = type;
    s->from = from;
    s->at = at;
    return event;
}

// A scalar; `at` is NULL when it is spoilt.
static inline enum json_event found_scalar(struct json_scan *s, enum json_type type,
                                           const char *from, const char *at)
{
    if (!at)
        return JSON_EVENT_FAULT;
    s->want = s->depth ? JSON_WANT_COMMA_OR_END : JSON_WANT_NOTHING;
    return found(s, JSON_EVENT_VALUE, type, from, at);
}

static enum json_event open_level(struct json_scan *s, const char *at, bool object)
{
    if (s->depth == JSON_DEPTH_MAX)
        return fault(s, JSON_WANT_DEPTH, at);
    s->object[++s->depth] = object;
    s->want = object ? JSON_WANT_KEY_OR_END : JSON_WANT_VALUE_OR_END;
    return found(s, JSON_EVENT_OPEN, object ? JSON_OBJECT : JSON_ARRAY, at, at + 1);
}

static inline bool closes(const struct json_scan *s, const char *at, bool object)
{
    return at < s->end && *at == (object ? '}' : ']');
}

static enum json_event close_level(struct json_scan *s, const char *at)
{
    bool object = s->object[s->depth--];
    s->want = s->depth ? JSON_WANT_COMMA_OR_END : JSON_WANT_NOTHING;
    return found(s, JSON_EVENT_CLOSE, object ? JSON_OBJECT : JSON_ARRAY, at, at + 1);
}

// Returns where the value of the key is to begin.
static inline const char *key(struct json_scan *s, const char *at)
{
    if (at == s->end || *at != '"')
        return spoilt(s, s->want, at, at);
    const char *from = at;
    at = string(s, at, &s->key_escaped);
    if (!at)
        return NULL;
    s->key = span_make(from, (size_t)(at - from));
    at = skip_space(at, s->end);
    if (at == s->end || *at != ':')
        return spoilt(s, JSON_WANT_COLON, at, at);
    s->want = JSON_WANT_VALUE;
    return skip_space(at + 1, s->end);
}

static inline enum json_event value(struct json_scan *s, const char *at)
{
    if (at == s->end)
        return fault(s, s->want, at);
    switch (*at) {
    case '"':
        return found_scalar(s, JSON_STRING, at, string(s, at, &s->escaped));
    case '{':
    case '[':
        return open_level(s, at, *at == '{');
    case 't':
        return found_scalar(s, JSON_TRUE, at, word(s, at, "true"));
    case 'f':
        return found_scalar(s, JSON_FALSE, at, word(s, at, "false"));
    case 'n':
        return found_scalar(s, JSON_NULL, at, word(s, at, "null"));
    case '-':
    case '0' ... '9':
        return found_scalar(s, JSON_NUMBER, at, number(s, at));
    default:
        return fault(s, s->want, at);
    }
}

void json_scan_init(struct json_scan *scan, struct span text)
{
    scan->begin = scan->from = scan->at = text.data ? text.data : "";
    scan->end = scan->begin + text.len;
    scan->want = JSON_WANT_VALUE;
    scan->type = JSON_ABSENT;
    scan->escaped = false;
    scan->depth = 0;
    scan->object[0] = false; // the others are not worth clearing for every small text
}

enum json_event json_scan_next(struct json_scan *s)
{
    const char *at = skip_space(s->at, s->end);
    bool object = s->object[s->depth];
    s->key = SPAN_ABSENT;
    if (s->want == JSON_WANT_COMMA_OR_END) {
        if (at == s->end || *at != ',')
            return closes(s, at, object) ? close_level(s, at) : fault(s, s->want, at);
        at = skip_space(at + 1, s->end);
        s->want = object ? JSON_WANT_KEY : JSON_WANT_VALUE;
    } else if (s->want == JSON_WANT_NOTHING) {
        return at == s->end ? JSON_EVENT_END : fault(s, s->want, at);
    } else if (s->depth && closes(s, at, object)) {
        return close_level(s, at);
    }
    if (object)
        at = key(s, at);
    return at ? value(s, at) : JSON_EVENT_FAULT;
}
