/*
 * Why not a ready-made JSON library: this program passes other people's JSON on. The usual reader,
 * cJSON, turns every number into a double (so 64-bit identifiers change), cuts strings at U+0000,
 * and cannot give back the bytes that a value was written with. Byte-exact pass-through of unknown
 * fields and of a model's own tool arguments is what this project is for, so the reader keeps
 * positions and decodes only what somebody asks for.
 *
 * The whole text becomes one flat array of 16-byte tokens in one pass, without recursion: `next`
 * of a token is the index behind everything inside it, so siblings are reached by jumping. A key is
 * a string token right before its value. Parsing a small document again into the same struct json
 * allocates nothing, which is what a million tiny stream deltas need.
 */
#include "codec/json.h"

#include <errno.h>
#include <stdlib.h>

#include "base/word.h"
#include "codec/json_token.h"

enum state {
    WANT_VALUE,
    WANT_VALUE_OR_END, // right after [
    WANT_KEY,
    WANT_KEY_OR_END, // right after {
    WANT_COLON,
    WANT_COMMA_OR_END,
    WANT_NOTHING, // the root is complete
};

static const char *const wanted[] = {
    [WANT_VALUE] = "a value",
    [WANT_VALUE_OR_END] = "a value or ]",
    [WANT_KEY] = "a quoted key",
    [WANT_KEY_OR_END] = "a quoted key or }",
    [WANT_COLON] = "a colon",
    [WANT_COMMA_OR_END] = "a comma or the end of the object or array",
    [WANT_NOTHING] = "nothing more",
};

struct parser {
    struct json *doc;
    const char *begin, *at, *end;
    struct error *err;
    enum state state;
    unsigned depth;
    uint32_t open[JSON_DEPTH_MAX]; // token indices of the objects and arrays around us
};

static int fail_at(const struct parser *p, const char *at, const char *what)
{
    return error_set(p->err, -EBADMSG, "not valid JSON at byte %zu: %s", (size_t)(at - p->begin),
                     what);
}

static int fail_wanted(const struct parser *p)
{
    if (p->at == p->end)
        return error_set(p->err, -EBADMSG, "not valid JSON: it ends at byte %zu, expected %s",
                         (size_t)(p->at - p->begin), wanted[p->state]);
    return error_set(p->err, -EBADMSG, "not valid JSON at byte %zu: expected %s",
                     (size_t)(p->at - p->begin), wanted[p->state]);
}

static int grow(struct parser *p)
{
    struct json *doc = p->doc;
    if (doc->count == JSON_TOKENS_MAX)
        return error_set(p->err, -EMSGSIZE, "this JSON holds more than %d values", JSON_TOKENS_MAX);
    uint32_t capacity = doc->capacity ? doc->capacity * 2 : 32;
    struct json_token *tokens = realloc(doc->tokens, capacity * sizeof *tokens);
    if (!tokens) // sized by the outside, so it is refused rather than fatal
        return error_set(p->err, -ENOMEM, "out of memory for JSON of %zu bytes",
                         (size_t)(p->end - p->begin));
    doc->tokens = tokens;
    doc->capacity = capacity;
    return 0;
}

// Adds the token for [from, p->at) and counts it in its array; members are counted by their keys.
static int add(struct parser *p, enum json_type type, const char *from, bool plain)
{
    struct json *doc = p->doc;
    int r = doc->count < doc->capacity ? 0 : grow(p);
    if (r < 0)
        return r;
    struct json_token *parent = p->depth ? &doc->tokens[p->open[p->depth - 1]] : NULL;
    if (parent && (parent->type == JSON_ARRAY || p->state == WANT_COLON))
        parent->count++;
    doc->tokens[doc->count] = (struct json_token){
        .start = (uint32_t)(from - p->begin),
        .len = (uint32_t)(p->at - from),
        .next = doc->count + 1,
        .type = type,
        .plain = plain,
    };
    doc->count++;
    return 0;
}

static enum state after_value(const struct parser *p)
{
    return p->depth ? WANT_COMMA_OR_END : WANT_NOTHING;
}

/* Strings */

// The first byte that is a quote, a backslash or a control character, eight bytes at a time; sets
// *seen_high when a byte above ASCII was passed.
static const char *skip_plain(const char *at, const char *end, bool *seen_high)
{
    uint64_t seen = 0;
    for (; (size_t)(end - at) >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t word = word_load(at);
        if (word_any(word_equal(word, '"') | word_equal(word, '\\') | word_below(word, 0x20)))
            break;
        seen |= word;
    }
    *seen_high |= word_any(seen);
    for (; at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20; at++)
        *seen_high |= (unsigned char)*at >= 0x80;
    return at;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

// At a backslash; moves behind the escape.
static int escape(struct parser *p)
{
    const char *from = p->at++;
    if (p->at == p->end)
        return fail_at(p, from, "the string has no end");
    char c = *p->at++;
    if (c == 'u') {
        for (int i = 0; i < 4; i++, p->at++)
            if (p->at == p->end || !is_hex(*p->at))
                return fail_at(p, from, "\\u needs four hexadecimal digits");
        return 0;
    }
    return c && strchr("\"\\/bfnrt", c) ? 0 : fail_at(p, from, "an unknown escape in a string");
}

// At a quote; moves behind the closing one.
static int string(struct parser *p, bool *ret_plain)
{
    const char *from = p->at++;
    bool special = false;
    for (;;) {
        p->at = skip_plain(p->at, p->end, &special);
        if (p->at == p->end)
            return fail_at(p, from, "the string has no end");
        if (*p->at == '"')
            break;
        if (*p->at != '\\')
            return fail_at(p, p->at, "a control character inside a string");
        special = true;
        int r = escape(p);
        if (r < 0)
            return r;
    }
    p->at++;
    *ret_plain = !special;
    return 0;
}

static int add_string(struct parser *p, enum state after)
{
    const char *from = p->at;
    bool plain = false;
    int r = string(p, &plain);
    if (r < 0)
        return r;
    p->state = after;
    return add(p, JSON_STRING, from, plain);
}

/* Numbers and words */

static bool digits(struct parser *p)
{
    const char *from = p->at;
    while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
        p->at++;
    return p->at > from;
}

static int number(struct parser *p)
{
    const char *from = p->at;
    if (*p->at == '-')
        p->at++;
    bool ok = true;
    if (p->at < p->end && *p->at == '0')
        p->at++; // and no digit may follow, which the next state refuses
    else
        ok = digits(p);
    if (ok && p->at < p->end && *p->at == '.') {
        p->at++;
        ok = digits(p);
    }
    if (ok && p->at < p->end && (*p->at | 0x20) == 'e') {
        p->at++;
        if (p->at < p->end && (*p->at == '+' || *p->at == '-'))
            p->at++;
        ok = digits(p);
    }
    if (!ok)
        return fail_at(p, from, "an unfinished number");
    p->state = after_value(p);
    return add(p, JSON_NUMBER, from, true);
}

static int word(struct parser *p, const char *text, enum json_type type)
{
    size_t len = strlen(text);
    if ((size_t)(p->end - p->at) < len || memcmp(p->at, text, len) != 0)
        return fail_wanted(p);
    const char *from = p->at;
    p->at += len;
    p->state = after_value(p);
    return add(p, type, from, true);
}

/* Structure */

static int begin(struct parser *p, enum json_type type)
{
    if (p->depth == JSON_DEPTH_MAX)
        return error_set(p->err, -EMSGSIZE, "this JSON is nested deeper than %d levels",
                         JSON_DEPTH_MAX);
    const char *from = p->at++;
    int r = add(p, type, from, false);
    if (r < 0)
        return r;
    p->open[p->depth++] = p->doc->count - 1;
    p->state = type == JSON_OBJECT ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
    return 0;
}

static int end(struct parser *p)
{
    struct json_token *token = &p->doc->tokens[p->open[--p->depth]];
    p->at++;
    token->len = (uint32_t)(p->at - p->begin) - token->start;
    token->next = p->doc->count;
    p->state = after_value(p);
    return 0;
}

static int value(struct parser *p)
{
    switch (*p->at) {
    case '{':
        return begin(p, JSON_OBJECT);
    case '[':
        return begin(p, JSON_ARRAY);
    case '"':
        return add_string(p, after_value(p));
    case 't':
        return word(p, "true", JSON_TRUE);
    case 'f':
        return word(p, "false", JSON_FALSE);
    case 'n':
        return word(p, "null", JSON_NULL);
    case '-':
    case '0' ... '9':
        return number(p);
    default:
        return fail_wanted(p);
    }
}

static int comma_or_end(struct parser *p)
{
    bool object = p->doc->tokens[p->open[p->depth - 1]].type == JSON_OBJECT;
    if (*p->at == ',') {
        p->at++;
        p->state = object ? WANT_KEY : WANT_VALUE;
        return 0;
    }
    return *p->at == (object ? '}' : ']') ? end(p) : fail_wanted(p);
}

static int step(struct parser *p)
{
    char c = *p->at;
    switch (p->state) {
    case WANT_VALUE_OR_END:
        return c == ']' ? end(p) : value(p);
    case WANT_VALUE:
        return value(p);
    case WANT_KEY_OR_END:
        if (c == '}')
            return end(p);
        __attribute__((fallthrough));
    case WANT_KEY:
        return c == '"' ? add_string(p, WANT_COLON) : fail_wanted(p);
    case WANT_COLON:
        p->state = WANT_VALUE;
        return c == ':' ? (p->at++, 0) : fail_at(p, p->at, "expected a colon");
    case WANT_COMMA_OR_END:
        return comma_or_end(p);
    default:
        return fail_wanted(p);
    }
}

static int parse(struct parser *p)
{
    for (;;) {
        while (p->at < p->end &&
               (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
            p->at++;
        if (p->at == p->end)
            return p->state == WANT_NOTHING ? 0 : fail_wanted(p);
        int r = step(p);
        if (r < 0)
            return r;
    }
}

int json_parse(struct json *doc, struct span text, struct error *err)
{
    doc->count = 0;
    doc->text = text;
    if (text.len >= UINT32_MAX)
        return error_set(err, -EMSGSIZE, "JSON of %zu bytes is too large", text.len);
    struct parser p; // `open` is not worth clearing for every small document
    p.doc = doc;
    p.begin = p.at = text.data ? text.data : "";
    p.end = p.begin + text.len;
    p.err = err;
    p.state = WANT_VALUE;
    p.depth = 0;
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
