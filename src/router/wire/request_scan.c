/*
 * A member that somebody acts on must mean the same to us and to whoever reads the body after us.
 * JSON leaves open which of two equal names counts, and readers differ: most take the last, some
 * the first, Go's also take "Model" for "model". So such a member may stand there once, spelt
 * plainly or with escapes, and anything that another reader could mistake for it is refused.
 * Members that nobody here knows pass as they are, be they there twice.
 */
#include "router/wire/request_scan.h"

#include <errno.h>

#include "base/mem.h"

enum {
    SPELLING_MAX = 6 * 64,    // bytes of a raw name that may still mean a known one
    WHOLE_DIGITS = 6,         // decimals that must be zero in a whole number
    WHOLE_UNIT = 1000 * 1000, // 10^WHOLE_DIGITS
    SHOWN_NAME_MAX = 64,      // bytes of a name in a sentence
};

enum kind { PLAIN, OURS, UNBOUNDED };

static const struct known {
    struct span name;
    enum kind kind;
} table[] = {
#define X(member, name, kind) [REQUEST_##member] = {SPAN_LITERAL(name), kind},
    REQUEST_MEMBERS(X)
#undef X
        [REQUEST_KNOWN] = {SPAN_LITERAL(""), PLAIN},
};

const char *request_member_name(enum request_member which)
{
    return table[which].name.data;
}

bool request_member_is_private(enum request_member which)
{
    return table[which].kind == OURS;
}

bool request_member_is_unbounded(enum request_member which)
{
    return table[which].kind == UNBOUNDED;
}

/* The scan */

struct filling {
    struct request_scan *scan;
    struct error *err;
};

// Where the names of a length begin in the table; those of the lengths left out are few.
static unsigned first_of_length(size_t len)
{
    static const uint8_t firsts[] = {
        [4] = REQUEST_USER,        [5] = REQUEST_MODEL,        [6] = REQUEST_STREAM,
        [7] = REQUEST_API_KEY,     [8] = REQUEST_MESSAGES,     [9] = REQUEST_FALLBACKS,
        [10] = REQUEST_MAX_TOKENS, [11] = REQUEST_NUM_RETRIES,
    };
    return len < ARRAY_LEN(firsts) ? firsts[len] : firsts[ARRAY_LEN(firsts) - 1];
}

enum request_member request_member_of(struct span name)
{
    for (unsigned i = first_of_length(name.len); i < REQUEST_KNOWN && table[i].name.len <= name.len;
         i++)
        if (table[i].name.len == name.len && table[i].name.data[0] == name.data[0] &&
            memcmp(table[i].name.data, name.data, name.len) == 0)
            return (enum request_member)i;
    return REQUEST_KNOWN;
}

static enum request_member find_spelt(struct span name, bool fold)
{
    if (name.len > SPELLING_MAX)
        return REQUEST_KNOWN;
    for (unsigned i = 0; i < REQUEST_KNOWN; i++)
        if (member_name_is(name, table[i].name, fold))
            return (enum request_member)i;
    return REQUEST_KNOWN;
}

// Only lower case ASCII letters, digits and _, which folding does not touch?
static bool is_common(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_')
            return false;
    }
    return true;
}

static int on_member(void *context, const struct member *member)
{
    struct filling *f = context;
    struct request_scan *scan = f->scan;
    struct span name = member->names[0];
    enum request_member which = request_member_of(name);
    if (which == REQUEST_KNOWN && !is_common(name)) {
        which = member->escaped ? find_spelt(name, false) : REQUEST_KNOWN;
        enum request_member meant = which == REQUEST_KNOWN ? find_spelt(name, true) : which;
        if (meant != which)
            return error_set(f->err, -EBADMSG,
                             "the member \"%.*s\" differs from \"%s\" only in case; servers do "
                             "not agree on what that means",
                             (int)(name.len < SHOWN_NAME_MAX ? name.len : SHOWN_NAME_MAX),
                             name.data, table[meant].name.data);
    }
    if (scan->count == REQUEST_MEMBERS_MAX)
        return error_set(f->err, -EMSGSIZE, "the request has more than %d members",
                         REQUEST_MEMBERS_MAX);
    if (which != REQUEST_KNOWN && scan->at[which])
        return error_set(f->err, -EBADMSG, "the member \"%s\" occurs twice",
                         table[which].name.data);
    scan->found[scan->count++] = (struct request_found){
        .name_at = (uint32_t)(name.data - scan->text.data),
        .name_len = (uint32_t)name.len,
        .value_at = (uint32_t)(member->value.data - scan->text.data),
        .value_len = (uint32_t)member->value.len,
        .count = member->count,
        .which = (uint8_t)which,
        .type = (uint8_t)member->type,
    };
    if (which != REQUEST_KNOWN)
        scan->at[which] = (uint8_t)scan->count;
    return 0;
}

int request_scan_run(struct request_scan *scan, struct span text, struct error *err)
{
    scan->text = text;
    scan->count = 0;
    scan->parts = (struct member_parts){0};
    memset(scan->at, 0, sizeof scan->at);
    if (text.len > REQUEST_BODY_MAX)
        return error_set(err, -EMSGSIZE, "the request is larger than %d bytes", REQUEST_BODY_MAX);

    struct filling filling = {scan, err};
    const struct member_scan wanted = {on_member, &filling, 1, &scan->parts};
    enum json_type type = JSON_ABSENT;
    int r = member_scan_run(&wanted, text, &type, err);
    if (r == -ENODATA) {
        if (err)
            err->code = -EBADMSG;
        return -EBADMSG;
    }
    if (r == 0 && type != JSON_OBJECT)
        return error_set(err, -EBADMSG, "the request is JSON, but not an object");
    return r;
}

/* What was found */

static const struct request_found *get(const struct request_scan *scan, enum request_member which)
{
    return scan->at[which] ? &scan->found[scan->at[which] - 1] : NULL;
}

enum json_type request_type(const struct request_scan *scan, enum request_member which)
{
    const struct request_found *found = get(scan, which);
    return found ? (enum json_type)found->type : JSON_ABSENT;
}

struct span request_raw(const struct request_scan *scan, enum request_member which)
{
    const struct request_found *found = get(scan, which);
    return found ? span_make(scan->text.data + found->value_at, found->value_len) : SPAN_ABSENT;
}

size_t request_count(const struct request_scan *scan, enum request_member which)
{
    const struct request_found *found = get(scan, which);
    return found ? found->count : 0;
}

static bool is_missing(enum json_type type)
{
    return type == JSON_ABSENT || type == JSON_NULL;
}

static int refuse(enum request_member which, const char *must, struct error *err)
{
    return error_set(err, -EINVAL, "\"%s\" must be %s", table[which].name.data, must);
}

int request_bool(const struct request_scan *scan, enum request_member which, bool *ret,
                 struct error *err)
{
    enum json_type type = request_type(scan, which);
    if (is_missing(type))
        return 1;
    if (type != JSON_TRUE && type != JSON_FALSE)
        return refuse(which, "true or false", err);
    *ret = type == JSON_TRUE;
    return 0;
}

int request_int(const struct request_scan *scan, enum request_member which, int64_t *ret,
                struct error *err)
{
    enum json_type type = request_type(scan, which);
    if (is_missing(type))
        return 1;
    struct span raw = request_raw(scan, which);
    int64_t value = 0;
    if (type == JSON_NUMBER && span_to_i64(raw, &value)) {
        *ret = value;
        return 0;
    }
    // Digits beyond these are cut: a number so long is refused, not rounded.
    if (type != JSON_NUMBER || raw.len > 20 || !json_fixed_of(raw, WHOLE_DIGITS, false, &value) ||
        value % WHOLE_UNIT != 0)
        return refuse(which, "a whole number", err);
    *ret = value / WHOLE_UNIT;
    return 0;
}

int request_string(const struct request_scan *scan, enum request_member which, struct buf *out,
                   struct error *err)
{
    enum json_type type = request_type(scan, which);
    if (is_missing(type))
        return 1;
    if (type != JSON_STRING)
        return refuse(which, "a string", err);
    struct span raw = request_raw(scan, which);
    if (span_printable(raw) == raw.len && !memchr(raw.data, '\\', raw.len)) {
        if (buf_append(out, raw.data + 1, raw.len - 2))
            return 0;
    } else {
        JSON_AUTO doc = JSON_INIT;
        json_parse(&doc, raw, NULL);
        CLEANUP(mem_cleanup) char *text = json_strdup(json_root(&doc), 3 * raw.len); // U+FFFD
        if (text && buf_append_text(out, text))
            return 0;
    }
    return refuse(which, "a shorter string of plain text", err);
}
