/*
 * Why cJSON alone is not enough: this program passes other people's JSON on. cJSON turns every
 * number into a double (so 64-bit identifiers change), cuts strings at U+0000, and cannot give back
 * the bytes that a value was written with. Byte-exact pass-through of unknown fields and of a
 * model's own tool arguments is what this project is for, so this reader keeps positions and
 * decodes only what somebody asks for. It also checks what becomes a tree (codec/document.c).
 *
 * The syntax is json_scan.c's; here its events become one flat array of 16-byte tokens, without
 * recursion: `next` of a token is the index behind everything inside it, so siblings are reached by
 * jumping. A key is a string token right before its value. Parsing a small document again into the
 * same struct json allocates nothing, which is what a million tiny stream deltas need.
 */
#include "codec/json.h"

#include <errno.h>
#include <stdlib.h>

#include "base/word.h"
#include "codec/json_scan.h"
#include "codec/utf8.h"

struct json_token {
    uint32_t start, len; // bytes of the text
    uint32_t next;       // index of the token behind this one and all that it holds
    uint32_t count : 27; // members or elements
    uint32_t type : 4;   // enum json_type
    uint32_t plain : 1;  // a string of ASCII without escapes: its bytes are its text
};

_Static_assert(JSON_TOKENS_MAX < 1 << 27, "the count of an array must fit its field");

/* Parsing */

struct parser {
    struct json *doc;
    struct error *err;
    struct json_scan scan;
    uint32_t open[JSON_DEPTH_MAX + 1]; // [level]: token of the object or array that is open there
};

// Tells of the value that is spoilt, or of the escape, and not of a byte inside it.
static int refuse(const struct json_scan *s, struct error *err)
{
    static const char *const wanted[] = {
        [JSON_WANT_VALUE] = "expected a value",
        [JSON_WANT_VALUE_OR_END] = "expected a value or ]",
        [JSON_WANT_KEY] = "expected a quoted key",
        [JSON_WANT_KEY_OR_END] = "expected a quoted key or }",
        [JSON_WANT_COLON] = "expected a colon",
        [JSON_WANT_COMMA_OR_END] = "expected a comma or the end of the object or array",
        [JSON_WANT_NOTHING] = "expected nothing more",
        [JSON_WANT_STRING_END] = "the string has no end",
        [JSON_WANT_STRING_TEXT] = "a control character inside a string",
        [JSON_WANT_ESCAPE_END] = "the string has no end",
        [JSON_WANT_ESCAPE] = "an unknown escape in a string",
        [JSON_WANT_HEX] = "\\u needs four hexadecimal digits",
        [JSON_WANT_DIGIT] = "an unfinished number",
    };
    size_t offset = (size_t)(s->from - s->begin);
    if (s->want == JSON_WANT_DEPTH)
        return error_set(err, -EMSGSIZE, "this JSON is nested deeper than %d levels",
                         JSON_DEPTH_MAX);
    if (s->from == s->end)
        return error_set(err, -EBADMSG, "not valid JSON: it ends at byte %zu, %s", offset,
                         wanted[s->want]);
    return error_set(err, -EBADMSG, "not valid JSON at byte %zu: %s", offset, wanted[s->want]);
}

static int grow(struct parser *p)
{
    struct json *doc = p->doc;
    uint32_t max = doc->count_max ? doc->count_max : JSON_TOKENS_MAX;
    if (doc->count == max)
        return error_set(p->err, -EMSGSIZE, "this JSON holds more than %u values", max);
    uint32_t capacity = doc->capacity ? doc->capacity * 2 : 32;
    capacity = capacity < max ? capacity : max;
    struct json_token *tokens = realloc(doc->tokens, capacity * sizeof *tokens);
    if (!tokens) // sized by the outside, so it is refused rather than fatal
        return error_set(p->err, -ENOMEM, "out of memory for JSON of %zu bytes", doc->text.len);
    doc->tokens = tokens;
    doc->capacity = capacity;
    return 0;
}

static bool is_ascii(struct span text)
{
    const char *at = text.data, *end = at + text.len;
    uint64_t seen = 0;
    for (; (size_t)(end - at) >= sizeof seen; at += sizeof seen)
        seen |= word_load(at);
    for (; at < end; at++)
        seen |= (unsigned char)*at;
    return !word_any(seen);
}

static int add(struct parser *p, enum json_type type, struct span raw, bool escaped)
{
    struct json *doc = p->doc;
    int r = doc->count < doc->capacity ? 0 : grow(p);
    if (r < 0)
        return r;
    doc->tokens[doc->count] = (struct json_token){
        .start = (uint32_t)(raw.data - p->scan.begin),
        .len = (uint32_t)raw.len,
        .next = doc->count + 1,
        .type = type,
        .plain = type == JSON_STRING && !escaped && is_ascii(raw),
    };
    doc->count++;
    return 0;
}

// A value on this level, of which its object or array is told.
static int add_value(struct parser *p, unsigned level)
{
    const struct json_scan *s = &p->scan;
    if (level)
        p->doc->tokens[p->open[level]].count++;
    return add(p, s->type, span_make(s->from, (size_t)(s->at - s->from)), s->escaped);
}

static int parse(struct parser *p)
{
    const struct json_scan *s = &p->scan;
    struct json_token *closed;
    int r = 0;
    while (r == 0) {
        enum json_event event = json_scan_next(&p->scan);
        if (s->key.data)
            r = add(p, JSON_STRING, s->key, s->key_escaped);
        if (r < 0)
            return r;
        switch (event) {
        case JSON_EVENT_VALUE:
            r = add_value(p, s->depth);
            break;
        case JSON_EVENT_OPEN:
            p->open[s->depth] = p->doc->count;
            r = add_value(p, s->depth - 1);
            break;
        case JSON_EVENT_CLOSE:
            closed = &p->doc->tokens[p->open[s->depth + 1]];
            closed->len = (uint32_t)(s->at - s->begin) - closed->start;
            closed->next = p->doc->count;
            break;
        case JSON_EVENT_END:
            return 0;
        case JSON_EVENT_FAULT:
            return refuse(s, p->err);
        }
    }
    return r;
}

int json_parse(struct json *doc, struct span text, struct error *err)
{
    doc->count = 0;
    doc->text = text;
    if (text.len >= UINT32_MAX)
        return error_set(err, -EMSGSIZE, "JSON of %zu bytes is too large", text.len);
    struct parser p; // `open` is not worth clearing for every small document
    p.doc = doc;
    p.err = err;
    json_scan_init(&p.scan, text);
    int r = parse(&p);
    if (r < 0)
        doc->count = 0;
    return r;
}

void json_finish(struct json *doc)
{
    if (!doc)
        return;
    free(doc->tokens);
    *doc = (struct json)JSON_INIT;
}

/* Values */

static const struct json_token *token_of(struct json_value v)
{
    return v.doc && v.index < v.doc->count ? &v.doc->tokens[v.index] : NULL;
}

static struct span token_span(const struct json *doc, const struct json_token *token)
{
    return (struct span){doc->text.data + token->start, token->len};
}

struct json_value json_root(const struct json *doc)
{
    return doc && doc->count ? (struct json_value){doc, 0} : JSON_VALUE_ABSENT;
}

enum json_type json_type(struct json_value v)
{
    const struct json_token *token = token_of(v);
    return token ? (enum json_type)token->type : JSON_ABSENT;
}

size_t json_count(struct json_value v)
{
    const struct json_token *token = token_of(v);
    return token ? token->count : 0;
}

struct span json_raw(struct json_value v)
{
    const struct json_token *token = token_of(v);
    return token ? token_span(v.doc, token) : SPAN_ABSENT;
}

/* Strings */

// The four digits of \uXXXX were checked by the parser; UINT32_MAX when there is no such escape.
static uint32_t unicode_escape(struct span text)
{
    if (text.len < 6 || text.data[0] != '\\' || text.data[1] != 'u')
        return UINT32_MAX;
    uint32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        char c = text.data[i];
        unit = unit << 4 | (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return unit;
}

// Decodes the escape that `rest` begins with; *ret_len is how many bytes it takes.
static uint32_t decode_escape(struct span rest, size_t *ret_len)
{
    static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    if (rest.data[1] != 'u') {
        const char *at = strchr(letters, rest.data[1]);
        *ret_len = 2;
        return (unsigned char)(at ? meant[at - letters] : rest.data[1]);
    }
    uint32_t high = unicode_escape(rest);
    *ret_len = 6;
    if (high < 0xD800 || high > 0xDBFF)
        return high; // a lone low surrogate is made U+FFFD by the encoder
    uint32_t low = unicode_escape(span_skip(rest, 6));
    if (low < 0xDC00 || low > 0xDFFF)
        return UTF8_INVALID;
    *ret_len = 12;
    return 0x10000 + ((high - 0xD800) << 10 | (low - 0xDC00));
}

uint32_t json_next_rune(struct span *raw)
{
    uint32_t rune = 0;
    size_t len = 0;
    if (raw->data[0] == '\\')
        rune = decode_escape(*raw, &len);
    else
        len = utf8_decode(*raw, &rune);
    *raw = span_skip(*raw, len);
    return rune;
}

static struct span between_quotes(struct span raw)
{
    return (struct span){raw.data + 1, raw.len - 2};
}

bool json_string(struct json_value v, struct buf *out)
{
    const struct json_token *token = token_of(v);
    if (!token || token->type != JSON_STRING)
        return false;
    struct span rest = between_quotes(token_span(v.doc, token));
    if (token->plain)
        return buf_append_span(out, rest);

    size_t before = out->len;
    bool fits = true;
    while (fits && rest.len) {
        const char *slash = memchr(rest.data, '\\', rest.len);
        struct span run = {rest.data, slash ? (size_t)(slash - rest.data) : rest.len};
        rest = span_skip(rest, run.len);
        fits = utf8_sanitize(run, out);
        if (fits && rest.len) {
            char decoded[UTF8_BYTES_MAX];
            fits = buf_append(out, decoded, utf8_encode(json_next_rune(&rest), decoded));
        }
    }
    if (!fits)
        buf_truncate(out, before);
    return fits;
}

char *json_strdup(struct json_value v, size_t max)
{
    BUF_AUTO text = BUF_INIT(max);
    if (!json_string(v, &text) || (text.len && memchr(text.data, '\0', text.len)))
        return NULL;
    return buf_take_text(&text);
}

static bool token_is(const struct json *doc, const struct json_token *token, struct span text)
{
    struct span rest = between_quotes(token_span(doc, token));
    if (token->plain)
        return span_equal(rest, text);
    while (rest.len) {
        char decoded[UTF8_BYTES_MAX];
        struct span piece = {decoded, utf8_encode(json_next_rune(&rest), decoded)};
        if (piece.len > text.len || memcmp(piece.data, text.data, piece.len) != 0)
            return false;
        text = span_skip(text, piece.len);
    }
    return text.len == 0;
}

bool json_is(struct json_value v, const char *text)
{
    const struct json_token *token = token_of(v);
    return token && token->type == JSON_STRING && token_is(v.doc, token, span_of(text));
}

/* Objects and arrays */

struct json_iter json_iter_init(struct json_value v)
{
    const struct json_token *token = token_of(v);
    if (!token || (token->type != JSON_OBJECT && token->type != JSON_ARRAY))
        return (struct json_iter){NULL, 0, 0, false};
    return (struct json_iter){v.doc, v.index + 1, token->next, token->type == JSON_OBJECT};
}

bool json_iter_next(struct json_iter *it, struct json_value *ret_key, struct json_value *ret_value)
{
    if (it->next >= it->end)
        return false;
    struct json_value key = JSON_VALUE_ABSENT;
    if (it->members)
        key = (struct json_value){it->doc, it->next++};
    *ret_value = (struct json_value){it->doc, it->next};
    it->next = it->doc->tokens[it->next].next;
    if (ret_key)
        *ret_key = key;
    return true;
}

struct json_value json_get(struct json_value object, const char *key)
{
    struct json_value found = JSON_VALUE_ABSENT;
    if (json_type(object) != JSON_OBJECT)
        return found;
    struct span wanted = span_of(key);
    struct json_iter it = json_iter_init(object);
    for (struct json_value name, value; json_iter_next(&it, &name, &value);)
        if (token_is(it.doc, &it.doc->tokens[name.index], wanted))
            found = value;
    return found;
}

struct json_value json_at(struct json_value array, size_t index)
{
    struct json_value value = JSON_VALUE_ABSENT;
    if (json_type(array) != JSON_ARRAY || index >= json_count(array))
        return value;
    struct json_iter it = json_iter_init(array);
    while (json_iter_next(&it, NULL, &value) && index > 0)
        index--;
    return value;
}

/* Numbers */

bool json_int64(struct json_value v, int64_t *ret_value)
{
    return json_type(v) == JSON_NUMBER && span_to_i64(json_raw(v), ret_value);
}

bool json_bool(struct json_value v, bool *ret_value)
{
    enum json_type type = json_type(v);
    if (type != JSON_TRUE && type != JSON_FALSE)
        return false;
    *ret_value = type == JSON_TRUE;
    return true;
}

// The exponent of a checked number; one that no integer can bear is held at +-JSON_EXPONENT_LIMIT.
static int64_t exponent_of(struct span text)
{
    enum { JSON_EXPONENT_LIMIT = 1 << 30 };
    int64_t value = 0;
    if (!text.len ||
        (span_to_i64(text, &value) && value > -JSON_EXPONENT_LIMIT && value < JSON_EXPONENT_LIMIT))
        return value;
    return text.data[0] == '-' ? -JSON_EXPONENT_LIMIT : JSON_EXPONENT_LIMIT;
}

// Whole and fraction are read as one number; missing digits are zeros.
static unsigned digit_at(struct span whole, struct span fraction, size_t at)
{
    if (at < whole.len)
        return (unsigned)(whole.data[at] - '0');
    at -= whole.len;
    return at < fraction.len ? (unsigned)(fraction.data[at] - '0') : 0;
}

// The number is cut behind `point` digits. `up`: it grows by one if that changes it.
static bool scale(struct span whole, struct span fraction, int64_t point, bool up,
                  uint64_t *ret_value)
{
    uint64_t value = 0;
    int64_t len = (int64_t)(whole.len + fraction.len), i = 0;
    for (; i < point && (value || i < len); i++) // not all zeros of 0e999999999
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit_at(whole, fraction, (size_t)i), &value))
            return false;
    while (up && i < len && !digit_at(whole, fraction, (size_t)i))
        i++;
    *ret_value = value + (up && i < len && value < UINT64_MAX);
    return true;
}

bool json_fixed_of(struct span text, unsigned digits, bool up, int64_t *ret_value)
{
    bool negative = text.data[0] == '-';
    text = span_skip(text, negative);

    size_t e = 0;
    while (e < text.len && (text.data[e] | 0x20) != 'e')
        e++;
    struct span fraction = {text.data, e}, whole = span_cut(&fraction, '.');
    int64_t point = (int64_t)whole.len + exponent_of(span_skip(text, e + 1)) + digits;

    uint64_t value;
    if (!scale(whole, fraction, point, up, &value) || value > (uint64_t)INT64_MAX + negative)
        return false;
    *ret_value = negative ? (int64_t)-value : (int64_t)value;
    return true;
}

bool json_fixed(struct json_value v, unsigned digits, int64_t *ret_value)
{
    return json_type(v) == JSON_NUMBER && json_fixed_of(json_raw(v), digits, false, ret_value);
}
