#include "codec/redact.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/word.h"
#include "codec/json_write.h"
#include "codec/url.h"

/*
 * The text is walked once, and two questions are asked: does a known value begin here, and does
 * something begin here that looks like a credential. The union of all answers is hidden, so of two
 * secrets that overlap no tail is left to read. Nearly all of what passes is the log's own words,
 * so a table says where neither can begin, and those bytes cost one look each.
 *
 * Known values: a spelling's first eight bytes are compared as one word, the rest only when those
 * agree. Shapes: each begins at the beginning of a word, so a run of letters is measured once, and
 * inside of what is hidden already none is looked for. Both keep the walk linear, also on a text
 * made to be slow ("sk-sk-sk-...").
 *
 * A shape must never hit what a log is full of: hex ids, times, paths, versions. So each wants its
 * own prefix and a length; the bare Telegram token (8 to 10 digits, a colon, 35 characters) just
 * that length.
 */
struct spelling {
    char *text; // owned
    size_t len;
};

struct redactor {
    struct spelling *spellings;
    size_t count, capacity;
    bool dropped;       // some had no room
    uint8_t roles[256]; // of each byte, enum role
};

enum role {
    BEGINS_KNOWN = 1, // a spelling
    BEGINS_SHAPE = 2, // something that looks like a credential
    BEFORE_SHAPE = 4, // stands in front of it: "Bearer ", "://"
    BEGINS_PREFIX = 8,
};

/* The known values */

static void add_spelling(struct redactor *redactor, const char *text, size_t len)
{
    for (size_t i = 0; i < redactor->count; i++)
        if (redactor->spellings[i].len == len && !memcmp(redactor->spellings[i].text, text, len))
            return;
    redactor->dropped = redactor->dropped || redactor->count == REDACT_SPELLINGS_MAX;
    if (redactor->dropped)
        return;
    redactor->spellings = mem_grow(redactor->spellings, redactor->count, &redactor->capacity,
                                   sizeof *redactor->spellings);
    char *copy = mem_alloc(len);
    memcpy(copy, text, len);
    redactor->spellings[redactor->count++] = (struct spelling){copy, len};
    redactor->roles[(unsigned char)*text] |= BEGINS_KNOWN;
}

static void add_buf(struct redactor *redactor, struct buf *spelling)
{
    if (!buf_is_full(spelling) && spelling->len >= REDACT_SECRET_MIN)
        add_spelling(redactor, spelling->data, spelling->len);
    if (spelling->data)
        explicit_bzero(spelling->data, spelling->capacity);
    buf_clear(spelling);
}

// As the strict writers escape it, and as those do that escape the slash as well.
static void add_json(struct redactor *redactor, struct span secret, bool slashes, struct buf *room)
{
    for (size_t i = 0; i < secret.len; i++) {
        char c = secret.data[i];
        if (c == '/' && slashes)
            buf_append_text(room, "\\/");
        else if (json_needs_escape(c))
            json_write_escape(room, c);
        else
            buf_append_char(room, c);
    }
    add_buf(redactor, room);
}

// Base64 within a longer text: the bytes before the secret decide how its bits fall into letters,
// in one of three ways. Letters that hold bits of its neighbours are left out.
static void add_base64(struct redactor *redactor, struct span secret, const char *last_two,
                       struct buf *room)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (size_t before = 0; before < 3; before++) {
        size_t bits = before * 8;
        for (size_t at = (bits + 5) / 6; (at + 1) * 6 <= bits + secret.len * 8; at++) {
            unsigned value = 0;
            for (size_t bit = at * 6 - bits; bit < at * 6 - bits + 6; bit++)
                value = value << 1 | ((unsigned char)secret.data[bit / 8] >> (7 - bit % 8) & 1);
            buf_append_char(room, value < 62 ? letters[value] : last_two[value - 62]);
        }
        add_buf(redactor, room);
    }
}

static void add_spellings(struct redactor *redactor, struct span secret)
{
    if (secret.len < REDACT_SECRET_MIN)
        return;
    add_spelling(redactor, secret.data, secret.len);
    // As large as it can get at once, so that growing leaves no copies behind.
    BUF_AUTO room = BUF_INIT(6 * secret.len);
    buf_reserve(&room, room.max);
    add_json(redactor, secret, false, &room);
    add_json(redactor, secret, true, &room);
    url_encode(secret, &room);
    add_buf(redactor, &room);
    add_base64(redactor, secret, "+/", &room);
    add_base64(redactor, secret, "-_", &room);
}

// Of a value of several lines each long one is a secret too, as tools show files by lines.
static void add_secret(struct redactor *redactor, struct span secret)
{
    secret.len = secret.len > REDACT_SECRET_MAX ? REDACT_SECRET_MAX : secret.len;
    add_spellings(redactor, secret);
    if (!memchr(secret.data, '\n', secret.len))
        return;
    while (secret.len) {
        struct span line = span_trim(span_cut(&secret, '\n'));
        if (line.len >= REDACT_PART_MIN && !span_starts_with(line, "-----"))
            add_spellings(redactor, line);
    }
}

// The beginnings of the kinds of keys that name themselves.
static const struct prefix {
    const char *text;
    size_t min;  // bytes behind it
    bool digit;  // one must be among them
    bool joined; // a character of any kind stands between: xoxb-, xoxp-, ...
} prefixes[] = {
    {"sk-", 16, true, false},   {"ghp_", 20, false, false},        {"gho_", 20, false, false},
    {"ghs_", 20, false, false}, {"github_pat_", 20, false, false}, {"ghu_", 20, false, false},
    {"ghr_", 20, false, false}, {"xox", 10, true, true},           {"AKIA", 16, false, false},
    {"ASIA", 16, false, false}, {"AIza", 30, false, false},        {"glpat-", 16, false, false},
};

static const char web_token[] = "eyJ"; // {" in base64, with which each of the parts begins

struct redactor *redactor_create(const char *const *secrets, size_t count)
{
    static const char others[] = "-0123456789"; // private keys, bot tokens
    struct redactor *redactor = mem_new(struct redactor);
    for (const char *c = others; *c; c++)
        redactor->roles[(unsigned char)*c] |= BEGINS_SHAPE;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        redactor->roles[(unsigned char)*prefixes[i].text] |= BEGINS_SHAPE | BEGINS_PREFIX;
    redactor->roles[(unsigned char)*web_token] |= BEGINS_SHAPE;
    redactor->roles[' '] |= BEFORE_SHAPE;
    redactor->roles['/'] |= BEFORE_SHAPE;
    for (size_t i = 0; i < count; i++)
        if (secrets[i])
            add_secret(redactor, span_of(secrets[i]));
    return redactor;
}

bool redactor_hides_all(const struct redactor *redactor)
{
    return !redactor->dropped;
}

void redactor_destroy(struct redactor *redactor)
{
    if (!redactor)
        return;
    for (size_t i = 0; i < redactor->count; i++) {
        explicit_bzero(redactor->spellings[i].text, redactor->spellings[i].len);
        free(redactor->spellings[i].text);
    }
    if (redactor->spellings)
        explicit_bzero(redactor->spellings, redactor->capacity * sizeof *redactor->spellings);
    free(redactor->spellings);
    free(redactor);
}

// Bytes of the longest known value at the beginning of `text`, or 0. A sentence that was cut to fit
// may hold a value's beginning only, which is a secret as well once it is long.
static size_t match_known(const struct redactor *redactor, struct span text)
{
    if (text.len < REDACT_SECRET_MIN ||
        !(redactor->roles[(unsigned char)*text.data] & BEGINS_KNOWN))
        return 0;
    uint64_t head = word_load(text.data);
    size_t longest = 0;
    for (size_t i = 0; i < redactor->count; i++) {
        const struct spelling *spelling = &redactor->spellings[i];
        if (word_load(spelling->text) != head)
            continue;
        size_t same = sizeof head;
        while (same < spelling->len && same < text.len && spelling->text[same] == text.data[same])
            same++;
        if (same > longest && (same == spelling->len || same >= REDACT_PART_MIN))
            longest = same;
    }
    return longest;
}

/* Shapes */

enum {
    BOT_DIGITS_MIN = 5, // of one behind "bot", as in the API's paths
    BOT_DIGITS_MAX = 20,
    BOT_TOKEN_IN_PATH = 8,
    BOT_ALONE_DIGITS_MIN = 8, // of one that stands alone, which other numbers look like
    BOT_ALONE_DIGITS_MAX = 10,
    BOT_ALONE_TOKEN = 35,
    BEARER_MIN = 8,           // with a digit in it
    BEARER_WORDLESS_MIN = 20, // too long for a word of a sentence
    BEARER_BLANKS_MAX = 4,
    AUTHORITY_MAX = 2048,
    PEM_LABEL_MAX = 64,
    PEM_LEAD_MAX = 16,
    PEM_LINE_MAX = 1024,
    PEM_BODY_MAX = 16 * 1024, // bytes; of RSA with 16384 bits
    WEB_TOKEN_PART_MIN = 10,
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_token(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static size_t token_run(struct span text, bool *ret_digit)
{
    size_t len = 0;
    *ret_digit = false;
    for (; len < text.len && is_token(text.data[len]); len++)
        *ret_digit = *ret_digit || is_digit(text.data[len]);
    return len;
}

static bool are_hex(const char *at, size_t count)
{
    while (count && isxdigit((unsigned char)at[count - 1]))
        count--;
    return count == 0;
}

// Does a word begin at `at`? A letter before it may be the end of an escape: \n, \u0020, %20.
static bool begins_word(struct span text, size_t at)
{
    if (at == 0 || !is_token(text.data[at - 1]))
        return true;
    const char *c = text.data + at;
    if (at >= 2 && c[-2] == '\\' && strchr("bfnrt", c[-1]) && c[-1])
        return true;
    if (at >= 3 && c[-3] == '%' && are_hex(c - 2, 2))
        return true;
    return at >= 6 && c[-6] == '\\' && c[-5] == 'u' && are_hex(c - 4, 4);
}

static size_t match_prefix(struct span text)
{
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        const struct prefix *prefix = &prefixes[i];
        if (*text.data != *prefix->text || !span_starts_with(text, prefix->text))
            continue;
        bool digit;
        struct span rest = span_skip(text, strlen(prefix->text));
        if (prefix->joined &&
            (rest.len < 2 || !isalnum((unsigned char)rest.data[0]) || rest.data[1] != '-'))
            continue;
        size_t len = token_run(rest, &digit);
        if (len >= prefix->min && (digit || !prefix->digit))
            return strlen(prefix->text) + len;
    }
    return 0;
}

// <digits>:<token>, the colon percent-encoded or not; `before` is whether "bot" stands before it.
static size_t match_bot(struct span text, bool before)
{
    size_t digits = 0;
    while (digits < text.len && digits <= BOT_DIGITS_MAX && is_digit(text.data[digits]))
        digits++;
    if (digits < BOT_DIGITS_MIN || digits > BOT_DIGITS_MAX)
        return 0;
    struct span rest = span_skip(text, digits);
    size_t colon = span_starts_with(rest, ":")                                      ? 1
                   : span_starts_with(rest, "%3A") || span_starts_with(rest, "%3a") ? 3
                                                                                    : 0;
    bool digit;
    size_t token = colon ? token_run(span_skip(rest, colon), &digit) : 0;
    bool alone = digits >= BOT_ALONE_DIGITS_MIN && digits <= BOT_ALONE_DIGITS_MAX &&
                 token == BOT_ALONE_TOKEN;
    return (before ? token >= BOT_TOKEN_IN_PATH : alone) ? digits + colon + token : 0;
}

static bool is_bearer_token(char c)
{
    return is_token(c) || c == '.' || c == '~' || c == '+' || c == '/' || c == '=';
}

// What is behind "Bearer" and a few blanks.
static size_t match_bearer(struct span text, size_t at)
{
    static const char word[] = "bearer";
    size_t blanks = 0, end = at;
    while (blanks < at && blanks <= BEARER_BLANKS_MAX && text.data[at - blanks - 1] == ' ')
        blanks++;
    size_t need = blanks + sizeof word - 1;
    if (blanks == 0 || blanks > BEARER_BLANKS_MAX || at < need ||
        strncasecmp(text.data + at - need, word, sizeof word - 1) != 0)
        return 0;
    bool digit = false;
    for (; end < text.len && is_bearer_token(text.data[end]); end++)
        digit = digit || is_digit(text.data[end]);
    return end - at >= BEARER_WORDLESS_MIN || (digit && end - at >= BEARER_MIN) ? end - at : 0;
}

// user:password of a URL, from behind its "://" up to the last @ of the authority.
static size_t match_userinfo(struct span text)
{
    size_t at_sign = 0, colon = 0;
    for (size_t i = 0; i < text.len && i < AUTHORITY_MAX; i++) {
        char c = text.data[i];
        if ((unsigned char)c <= ' ' || strchr("/?#\"'<>\\`", c))
            break;
        if (c == ':' && !colon)
            colon = i + 1;
        if (c == '@')
            at_sign = i;
    }
    return colon && colon < at_sign ? at_sign : 0;
}

static size_t line_break(struct span text)
{
    return span_starts_with(text, "\n") || span_starts_with(text, "\r")     ? 1
           : span_starts_with(text, "\\n") || span_starts_with(text, "\\r") ? 2
                                                                            : 0;
}

// What may stand before a line of a key: an indentation, a line's number, a mark of a diff.
static size_t line_lead(struct span line)
{
    size_t len = 0;
    while (len < line.len && len < PEM_LEAD_MAX && strchr(" \t|>+-:", line.data[len]) &&
           line.data[len])
        len++;
    size_t digits = len;
    while (digits < line.len && digits < PEM_LEAD_MAX && is_digit(line.data[digits]))
        digits++;
    bool numbered = digits > len && digits < line.len && strchr("|:\t", line.data[digits]);
    return numbered ? digits + 1 : len;
}

static bool is_base64(struct span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (!isalnum((unsigned char)line.data[i]) && !strchr("+/=", line.data[i]))
            return false;
    return line.len > 0;
}

// "Proc-Type: 4,ENCRYPTED", before the key's own lines.
static bool is_pem_header(struct span line)
{
    size_t name = 0;
    while (name < line.len && (isalpha((unsigned char)line.data[name]) || line.data[name] == '-'))
        name++;
    return name && line.len - name > 1 && line.data[name] == ':' && line.data[name + 1] == ' ';
}

// Of a key whose end is missing: the lines that look like one, the last of which is shorter.
static size_t torn_key(struct span text)
{
    size_t end = 0, first = 0;
    for (size_t at = 0; at < text.len;) {
        size_t len = 0;
        while (at + len < text.len && len < PEM_LINE_MAX && !line_break(span_skip(text, at + len)))
            len++;
        struct span line = {text.data + at, len};
        line = span_skip(line, line_lead(line));
        bool key = is_base64(line), header = !first && (line.len == 0 || is_pem_header(line));
        if (!key && !header)
            break;
        at += len;
        end = line.len ? at : end;
        first = first || !key ? first : line.len;
        if (key && line.len < first)
            break;
        at += line_break(span_skip(text, at));
    }
    return end;
}

/*
 * From "-----BEGIN ... PRIVATE KEY-----" to the end of the line that ends it. One that was cut off
 * is a secret as well, but a text that only speaks of keys is not.
 */
static size_t match_pem(struct span text)
{
    static const struct span begin = SPAN_LITERAL("-----BEGIN ");
    static const struct span label = SPAN_LITERAL("PRIVATE KEY-----");
    static const struct span end = SPAN_LITERAL("-----END ");
    if (!span_starts_with(text, begin.data))
        return 0;
    struct span head = span_skip(text, begin.len);
    head.len = head.len > PEM_LABEL_MAX ? PEM_LABEL_MAX : head.len;
    ptrdiff_t found = span_find(head, label);
    if (found < 0)
        return 0;
    size_t body = begin.len + (size_t)found + label.len;
    struct span near = span_skip(text, body);
    near.len = near.len > PEM_BODY_MAX ? PEM_BODY_MAX : near.len;
    found = span_find(near, begin); // of another one
    near.len = found < 0 ? near.len : (size_t)found;
    found = span_find(near, end);
    if (found < 0)
        return body + torn_key(near);
    size_t last = body + (size_t)found + end.len;
    struct span tail = span_skip(text, last);
    tail.len = tail.len > PEM_LABEL_MAX ? PEM_LABEL_MAX : tail.len;
    found = span_find(tail, label);
    return found < 0 ? last : last + (size_t)found + label.len;
}

// A JSON Web Token: header.claims.signature, of which the last may be empty.
static size_t match_web_token(struct span text)
{
    bool digit;
    size_t header = token_run(text, &digit);
    struct span rest = span_skip(text, header + 1);
    if (header < WEB_TOKEN_PART_MIN || header + 1 >= text.len || text.data[header] != '.' ||
        !span_starts_with(rest, web_token))
        return 0;
    size_t claims = token_run(rest, &digit);
    if (claims < WEB_TOKEN_PART_MIN)
        return 0;
    size_t len = header + 1 + claims;
    return len < text.len && text.data[len] == '.'
               ? len + 1 + token_run(span_skip(text, len + 1), &digit)
               : len;
}

// Bytes of the credential that looks to begin at `at`, or 0.
static size_t match_shape(const struct redactor *redactor, struct span whole, size_t at)
{
    struct span text = span_skip(whole, at);
    char c = *text.data;
    size_t longest = 0;
    if (at > 0 && whole.data[at - 1] == ' ' && is_bearer_token(c))
        longest = match_bearer(whole, at);
    if (longest == 0 && at >= 3 && text.data[-1] == '/' && memcmp(text.data - 3, "://", 3) == 0)
        longest = match_userinfo(text);
    if (longest == 0 && c == '-')
        longest = match_pem(text);
    if (longest == 0 && is_digit(c)) {
        bool bot = at >= 3 && memcmp(text.data - 3, "bot", 3) == 0;
        if (bot || begins_word(whole, at))
            longest = match_bot(text, bot);
    }
    if (longest == 0 && c == *web_token && span_starts_with(text, web_token) &&
        begins_word(whole, at))
        longest = match_web_token(text);
    if (longest == 0 && redactor->roles[(unsigned char)c] & BEGINS_PREFIX && begins_word(whole, at))
        longest = match_prefix(text);
    return longest;
}

// The first byte from `at` on where a secret may begin, or the text's end.
static size_t next_candidate(const struct redactor *redactor, struct span text, size_t at)
{
    unsigned before = at ? redactor->roles[(unsigned char)text.data[at - 1]] : 0;
    for (; at < text.len; at++) {
        unsigned roles = redactor->roles[(unsigned char)text.data[at]];
        if (roles & (BEGINS_KNOWN | BEGINS_SHAPE) || before & BEFORE_SHAPE)
            break;
        before = roles;
    }
    return at;
}

// Where the next secret that reaches beyond `hidden` begins, looked for from *at on, or the text's
// end; *at then is behind its beginning, and *ret_end its end.
static size_t next_secret(const struct redactor *redactor, struct span text, size_t hidden,
                          size_t *at, size_t *ret_end)
{
    while ((*at = next_candidate(redactor, text, *at)) < text.len) {
        size_t from = (*at)++;
        size_t known = match_known(redactor, span_skip(text, from));
        size_t shape = from >= hidden ? match_shape(redactor, text, from) : 0;
        *ret_end = from + (known > shape ? known : shape);
        if (*ret_end > from && *ret_end > hidden)
            return from;
    }
    return text.len;
}

bool redact_is_clean(const struct redactor *redactor, struct span text)
{
    size_t at = 0, end;
    return next_secret(redactor, text, 0, &at, &end) == text.len;
}

bool redact(const struct redactor *redactor, struct span text, struct buf *out)
{
    size_t before = out->len, hidden = 0; // hidden: where what was last hidden ends
    bool fits = true;
    size_t at = 0, end = 0;
    for (size_t from; (from = next_secret(redactor, text, hidden, &at, &end)) < text.len;) {
        if (hidden == 0 || from > hidden) {
            fits = fits && buf_append(out, text.data + hidden, from - hidden);
            fits = fits && buf_append_text(out, REDACT_MARK);
        }
        hidden = end;
    }
    fits = fits && buf_append(out, text.data + hidden, text.len - hidden);
    if (!fits)
        buf_truncate(out, before);
    return fits;
}
