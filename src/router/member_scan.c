/*
 * Every request of every client passes here, up to 32 MiB of it, and most of that is the inside of
 * a few strings. json_parse() makes a token of 16 bytes for each value, to be looked at by whoever
 * wants; here it is known beforehand what is wanted, so nothing is kept but the way down from the
 * root, and strings are passed over 64 bytes at a time.
 *
 * Two parsers of one input must agree, or the difference is what an attacker uses: what this one
 * accepts is exactly what json_parse() accepts, but for the number of values. The fuzz target
 * compares them.
 */
#include "router/member_scan.h"

#include <errno.h>

#include "base/lanes.h"
#include "router/part_scan.h"

enum { MORE = 1 }; // in scan.code: nothing is wrong

struct level {
    const char *begin; // its bracket
    uint32_t count;
    bool object;
    uint8_t counted; // bits of enum part_kind: this object is such a part, and was counted
    uint8_t part;    // enum part_kind of the key that holds this array
};

struct scan {
    const struct member_scan *wanted;
    const char *begin, *end;
    struct error *err;
    int code;
    bool want_value; // else a value has just ended
    bool is_type;    // the value is that of a "type"
    uint8_t pending; // enum part_kind of the key whose value comes
    enum part_area area;
    enum json_type root;
    unsigned depth; // open objects and arrays; levels[depth] is the innermost
    struct span names[MEMBER_PATH_MAX];
    bool escaped[MEMBER_PATH_MAX];
    struct level levels[JSON_DEPTH_MAX + 1];
};

/* Failure: each returns NULL, so that a position can be handed on or not */

static const char *fail(struct scan *s, const char *at, const char *what)
{
    size_t offset = (size_t)(at - s->begin);
    if (at >= s->end)
        s->code = error_set(s->err, -ENODATA, "not valid JSON: it ends at byte %zu, expected %s",
                            (size_t)(s->end - s->begin), what);
    else
        s->code =
            error_set(s->err, -EBADMSG, "not valid JSON at byte %zu: expected %s", offset, what);
    return NULL;
}

static const char *fail_deep(struct scan *s)
{
    s->code =
        error_set(s->err, -EMSGSIZE, "this JSON is nested deeper than %d levels", JSON_DEPTH_MAX);
    return NULL;
}

/* Strings */

// One bit aside, a quote is the neighbour of the control characters.
static inline lanes stops(lanes bytes)
{
    return (lanes)((bytes ^ 2) <= ('"' ^ 2)) | (lanes)(bytes == '\\');
}

// Looks at 64 bytes; NULL when they are all plain.
static inline const char *find_stop(const char *at)
{
    lanes a = stops(lanes_load(at)), b = stops(lanes_load(at + LANES));
    lanes c = stops(lanes_load(at + 2 * LANES)), d = stops(lanes_load(at + 3 * LANES));
    if (!lanes_bits(a | b | c | d))
        return NULL;
    if (lanes_bits(a))
        return at + lanes_first(lanes_bits(a));
    if (lanes_bits(b))
        return at + LANES + lanes_first(lanes_bits(b));
    if (lanes_bits(c))
        return at + 2 * LANES + lanes_first(lanes_bits(c));
    return at + 3 * LANES + lanes_first(lanes_bits(d));
}

// The first quote, backslash or control character, or `end`.
static inline const char *skip_plain(const char *at, const char *end)
{
    if (end - at >= LANES) { // most strings are short
        uint64_t hits = lanes_bits(stops(lanes_load(at)));
        if (hits)
            return at + lanes_first(hits);
        at += LANES;
    }
    for (; end - at >= 4 * LANES; at += 4 * LANES) { // what is long is mostly very long
        const char *stop = find_stop(at);
        if (stop)
            return stop;
    }
    for (; end - at >= LANES; at += LANES) {
        uint64_t hits = lanes_bits(stops(lanes_load(at)));
        if (hits)
            return at + lanes_first(hits);
    }
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return at;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

// Behind the escape that begins at `at`.
static const char *escape(struct scan *s, const char *at)
{
    if (++at == s->end)
        return fail(s, at, "the end of an escape");
    if (*at == 'u') {
        for (int i = 0; i < 4; i++)
            if (++at == s->end || !is_hex(*at))
                return fail(s, at, "four hexadecimal digits");
        return at + 1;
    }
    switch (*at) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 1;
    default:
        return fail(s, at, "an escape that JSON knows");
    }
}

// At a quote; returns where the closing one is.
static inline const char *string(struct scan *s, const char *at, bool *ret_escaped)
{
    *ret_escaped = false;
    at = skip_plain(at + 1, s->end);
    while (__builtin_expect(at == s->end || *at != '"', 0)) {
        if (at == s->end || *at != '\\')
            return fail(s, at, at == s->end ? "the end of a string" : "no control character");
        *ret_escaped = true;
        at = escape(s, at);
        if (!at)
            return NULL;
        at = skip_plain(at, s->end);
    }
    return at;
}

/* Numbers and words */

static const char *digits(struct scan *s, const char *at)
{
    const char *from = at;
    while (at < s->end && *at >= '0' && *at <= '9')
        at++;
    return at > from ? at : fail(s, at, "a digit");
}

static const char *number(struct scan *s, const char *at)
{
    at += *at == '-';
    if (at < s->end && *at == '0')
        at++; // and no digit may follow, which is refused as what comes next
    else
        at = digits(s, at);
    if (at && at < s->end && *at == '.')
        at = digits(s, at + 1);
    if (at && at < s->end && (*at | 0x20) == 'e') {
        at++;
        at = digits(s, at + (at < s->end && (*at == '+' || *at == '-')));
    }
    return at;
}

static const char *word(struct scan *s, const char *at, const char *text)
{
    for (; *text; text++, at++)
        if (at == s->end || *at != *text)
            return fail(s, at, "a value");
    return at;
}

/* Parts: what they are is said in part_scan.h */

static void count_part(struct scan *s, enum part_kind kind, uint32_t count)
{
    struct member_parts *parts = s->wanted->parts;
    parts->images += kind == PART_IMAGE ? count : 0;
    parts->audio += kind == PART_AUDIO ? count : 0;
    parts->remote += kind == PART_REMOTE ? count : 0;
}

static void note_part(struct scan *s, enum part_kind kind)
{
    struct level *level = &s->levels[s->depth];
    if (!(level->counted & kind))
        count_part(s, kind, 1);
    level->counted |= kind;
}

static void note_key(struct scan *s, struct span name, bool escaped)
{
    if (s->depth == 1)
        s->area = part_area_of(name, escaped);
    if (!escaped && !part_may_begin(*name.data))
        return; // of the root, which is told of all its keys
    if (s->area == PART_AREA_NONE)
        return;
    s->is_type = part_name_is(name, escaped, SPAN_LITERAL("type"));
    if (!s->is_type)
        s->pending = (uint8_t)part_kind_of(name, escaped);
}

// A value begins of which its key said that it matters. A null is none.
static void note_value(struct scan *s, char first)
{
    if (s->pending && first != 'n')
        note_part(s, s->pending);
    if (first != '[')
        s->pending = PART_NONE;
}

static void note_type(struct scan *s, struct span type, bool escaped)
{
    enum part_kind kind = part_kind_of(type, escaped);
    if (kind)
        note_part(s, kind);
    s->is_type = false;
}

/* Structure */

static inline const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

static const char *hand_out(struct scan *s, enum json_type type, const char *from, const char *at,
                            uint32_t count)
{
    const struct member member = {
        .depth = s->depth,
        .names = s->names,
        .escaped = s->escaped[s->depth - 1],
        .type = type,
        .value = {from, (size_t)(at - from)},
        .count = count,
    };
    int r = s->wanted->fn(s->wanted->context, &member);
    if (r == 0)
        return at;
    s->code = r;
    return NULL;
}

// A value has ended before `at`, which is returned.
static inline const char *ended(struct scan *s, enum json_type type, const char *from,
                                const char *at, uint32_t count)
{
    struct level *level = &s->levels[s->depth];
    s->want_value = false;
    level->count++;
    if (s->depth == 0)
        s->root = type;
    else if (level->object && s->depth <= s->wanted->depth_max)
        return hand_out(s, type, from, at, count);
    return at;
}

// At a closing bracket.
static const char *close_level(struct scan *s, const char *at)
{
    const struct level level = s->levels[s->depth--];
    if (level.part && level.count > 1) // a list of images is as many
        count_part(s, level.part, level.count - 1);
    return ended(s, level.object ? JSON_OBJECT : JSON_ARRAY, level.begin, at + 1, level.count);
}

// Before a key; moves behind its colon.
static inline const char *key(struct scan *s, const char *at)
{
    bool escaped = false;
    at = skip_space(at, s->end);
    if (at == s->end || *at != '"')
        return fail(s, at, "a quoted key");
    const char *from = at + 1;
    at = string(s, at, &escaped);
    if (!at)
        return NULL;
    struct span name = {from, (size_t)(at - from)};
    if (s->depth <= s->wanted->depth_max) {
        s->names[s->depth - 1] = name;
        s->escaped[s->depth - 1] = escaped;
    }
    if (s->wanted->parts && (s->depth == 1 || escaped || part_may_begin(*from)))
        note_key(s, name, escaped);
    at = skip_space(at + 1, s->end);
    return at < s->end && *at == ':' ? at + 1 : fail(s, at, "a colon");
}

// At an opening bracket; moves to where the first value is wanted, or behind the empty pair.
static const char *open_level(struct scan *s, const char *at, bool object)
{
    if (s->depth == JSON_DEPTH_MAX)
        return fail_deep(s);
    s->levels[++s->depth] = (struct level){at, 0, object, 0, object ? PART_NONE : s->pending};
    s->pending = PART_NONE;
    s->is_type = false;
    if (!object && s->depth <= MEMBER_PATH_MAX)
        s->names[s->depth - 1] = SPAN_ABSENT;
    at = skip_space(at + 1, s->end);
    if (at == s->end)
        return fail(s, at, object ? "a quoted key or }" : "a value or ]");
    if (*at == (object ? '}' : ']'))
        return close_level(s, at);
    return object ? key(s, at) : at;
}

static inline const char *text_value(struct scan *s, const char *from)
{
    bool escaped = false;
    const char *at = string(s, from, &escaped);
    if (!at)
        return NULL;
    if (s->is_type)
        note_type(s, span_make(from + 1, (size_t)(at - from - 1)), escaped);
    return ended(s, JSON_STRING, from, at + 1, 0);
}

static const char *value(struct scan *s, const char *at)
{
    const char *from = at = skip_space(at, s->end);
    if (at == s->end)
        return fail(s, at, "a value");
    if (s->pending)
        note_value(s, *at);
    enum json_type type = JSON_NUMBER;
    switch (*at) {
    case '"':
        return text_value(s, at);
    case '{':
    case '[':
        return open_level(s, at, *at == '{');
    case 't':
        type = JSON_TRUE;
        at = word(s, at, "true");
        break;
    case 'f':
        type = JSON_FALSE;
        at = word(s, at, "false");
        break;
    case 'n':
        type = JSON_NULL;
        at = word(s, at, "null");
        break;
    case '-':
    case '0' ... '9':
        at = number(s, at);
        break;
    default:
        return fail(s, at, "a value");
    }
    s->is_type = false;
    return at ? ended(s, type, from, at, 0) : NULL;
}

// Behind a value that stands in an object or array.
static inline const char *after_value(struct scan *s, const char *at)
{
    const struct level *level = &s->levels[s->depth];
    at = skip_space(at, s->end);
    if (at < s->end && *at == ',') {
        s->want_value = true;
        return level->object ? key(s, at + 1) : at + 1;
    }
    if (at < s->end && *at == (level->object ? '}' : ']'))
        return close_level(s, at);
    return fail(s, at, level->object ? "a comma or }" : "a comma or ]");
}

int member_scan_run(const struct member_scan *scan, struct span text, enum json_type *ret_type,
                    struct error *err)
{
    struct scan s; // the levels are not worth clearing for every small text
    s.wanted = scan;
    s.begin = text.data ? text.data : "";
    s.end = s.begin + text.len;
    s.err = err;
    s.code = MORE;
    s.want_value = true;
    s.is_type = false;
    s.pending = PART_NONE;
    s.area = PART_AREA_NONE;
    s.root = JSON_ABSENT;
    s.depth = 0;
    s.levels[0] = (struct level){NULL, 0, false, 0, 0};

    const char *at = s.begin;
    while (at && (s.want_value || s.depth > 0))
        at = s.want_value ? value(&s, at) : after_value(&s, at);
    if (at && skip_space(at, s.end) != s.end)
        fail(&s, skip_space(at, s.end), "nothing more");
    if (s.code != MORE)
        return s.code;
    if (ret_type)
        *ret_type = s.root;
    return 0;
}

/* Names */

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

// The next character of a raw string; UINT32_MAX for what is outside ASCII and folds to nothing.
static uint32_t next_char(struct span *raw)
{
    static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    unsigned char c = (unsigned char)raw->data[0];
    uint32_t rune = c;
    size_t len = 1;
    if (c == '\\' && raw->len >= 6 && raw->data[1] == 'u') {
        rune = 0;
        for (int i = 2; i < 6; i++)
            rune = rune << 4 | hex_digit(raw->data[i]);
        len = 6;
    } else if (c == '\\' && raw->len >= 2) {
        const char *at = strchr(letters, raw->data[1]);
        rune = (unsigned char)(at ? meant[at - letters] : raw->data[1]);
        len = 2;
    } else if (c >= 0x80) {
        bool long_s = span_starts_with(*raw, "\xC5\xBF");
        bool kelvin = span_starts_with(*raw, "\xE2\x84\xAA");
        rune = long_s ? 0x17F : kelvin ? 0x212A : UINT32_MAX;
        len = long_s ? 2 : kelvin ? 3 : 1;
    }
    *raw = span_skip(*raw, len);
    return rune;
}

static uint32_t fold_char(uint32_t rune)
{
    if (rune == 0x17F)
        return 's';
    if (rune == 0x212A)
        return 'k';
    return rune >= 'A' && rune <= 'Z' ? rune | 0x20 : rune;
}

bool member_name_is(struct span name, struct span text, bool fold)
{
    while (name.len && text.len) {
        uint32_t rune = next_char(&name);
        if ((fold ? fold_char(rune) : rune) != (unsigned char)text.data[0])
            return false;
        text = span_skip(text, 1);
    }
    return name.len == 0 && text.len == 0;
}
