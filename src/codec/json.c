/*
 * Why cJSON alone is not enough: this program passes other people's JSON on. cJSON turns every
 * number into a double (so 64-bit identifiers change), cuts strings at U+0000, and cannot give back
 * the bytes that a value was written with. Byte-exact pass-through of unknown fields and of a
 * model's own tool arguments is what this project is for, so this reader keeps positions and
 * decodes only what somebody asks for. It also checks what becomes a tree (codec/document_read.c).
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
#include "codec/json_token.h"

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
