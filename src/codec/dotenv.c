/*
 * The grammar is python-dotenv's, because that is what wrote and read these files so far. Where it
 * warns and goes on, this is an error with the line: a key that is half read is worse than none.
 */
#include "codec/dotenv.h"

#include <ctype.h>
#include <errno.h>

#include "base/buf.h"

struct reader {
    const char *at, *end;
    unsigned line;
    struct error *err;
};

static int fail_on(const struct reader *r, unsigned line, const char *what)
{
    return error_set(r->err, -EBADMSG, "line %u: %s", line, what);
}

static bool is_line_end(const struct reader *r)
{
    return r->at == r->end || *r->at == '\n' || *r->at == '\r';
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
        r->at++;
}

static void skip_line(struct reader *r)
{
    while (!is_line_end(r))
        r->at++;
}

// LF, CRLF or CR.
static void skip_line_end(struct reader *r)
{
    if (r->at == r->end)
        return;
    bool cr = *r->at++ == '\r';
    if (cr && r->at < r->end && *r->at == '\n')
        r->at++;
    r->line++;
}

// At a backslash, which stands for itself before what is no escape.
static void read_escape(struct reader *r, char quote, struct buf *value)
{
    static const char letters[] = "\\'\"abfnrtv", meant[] = "\\'\"\a\b\f\n\r\t\v";
    size_t known = quote == '"' ? sizeof letters - 1 : 2;
    const char *at = r->end - r->at > 1 ? memchr(letters, r->at[1], known) : NULL;
    buf_append_char(value, at ? meant[at - letters] : '\\');
    r->at += at ? 2 : 1;
}

// At the opening quote; moves behind the closing one.
static int read_quoted(struct reader *r, struct buf *value)
{
    unsigned line = r->line;
    char quote = *r->at++;
    while (r->at < r->end && *r->at != quote) {
        if (*r->at == '\\') {
            read_escape(r, quote, value);
            continue;
        }
        r->line += *r->at == '\n';
        buf_append_char(value, *r->at++);
    }
    if (r->at == r->end)
        return fail_on(r, line, "the quote that begins here is never closed");
    r->at++;
    skip_blanks(r);
    if (!is_line_end(r) && *r->at != '#')
        return fail_on(r, r->line, "only a comment may follow the closing quote");
    skip_line(r);
    return 0;
}

// Up to the line's end, or to a # with a blank before it.
static void read_plain(struct reader *r, struct buf *value)
{
    const char *from = r->at;
    bool blank = true;
    while (!is_line_end(r) && !(*r->at == '#' && blank)) {
        blank = *r->at == ' ' || *r->at == '\t';
        r->at++;
    }
    buf_append_span(value, span_trim(span_make(from, (size_t)(r->at - from))));
    skip_line(r);
}

static int read_value(struct reader *r, struct buf *value)
{
    unsigned line = r->line;
    int rc = 0;
    skip_blanks(r);
    if (r->at < r->end && (*r->at == '"' || *r->at == '\''))
        rc = read_quoted(r, value);
    else
        read_plain(r, value);
    if (rc == 0 && buf_is_full(value))
        return error_set(r->err, -EMSGSIZE, "line %u: a value of more than %d bytes", line,
                         DOTENV_VALUE_MAX);
    return rc;
}

// One line, or the several of a quoted value.
static int read_pair(struct reader *r, dotenv_fn fn, void *ctx, struct buf *value)
{
    unsigned line = r->line;
    skip_blanks(r);
    if (is_line_end(r))
        return 0;
    if (*r->at == '#') {
        skip_line(r);
        return 0;
    }
    struct span rest = {r->at, (size_t)(r->end - r->at)};
    if (span_starts_with(rest, "export ") || span_starts_with(rest, "export\t"))
        r->at += sizeof "export"; // and the blank
    skip_blanks(r);
    const char *from = r->at;
    while (r->at < r->end && (isalnum((unsigned char)*r->at) || memchr("_.-", *r->at, 3)))
        r->at++;
    struct span key = {from, (size_t)(r->at - from)};
    skip_blanks(r);
    if (key.len == 0)
        return fail_on(r, line, "a line must be KEY=VALUE or begin with #");
    if (is_line_end(r) || *r->at == '#') { // a key alone has no value
        skip_line(r);
        return 0;
    }
    if (*r->at != '=')
        return fail_on(r, line, "a key holds letters, digits and _ only, and = follows it");
    r->at++;
    int rc = read_value(r, value);
    return rc ? rc : fn(ctx, key, buf_span(value), line);
}

int dotenv_parse(struct span text, dotenv_fn fn, void *ctx, struct error *err)
{
    static const char bom[] = "\xEF\xBB\xBF";
    BUF_AUTO value = BUF_INIT(DOTENV_VALUE_MAX);
    if (text.len > DOTENV_BYTES_MAX)
        return error_set(err, -EMSGSIZE, "line 1: more than %d bytes", DOTENV_BYTES_MAX);
    if (span_starts_with(text, bom))
        text = span_skip(text, sizeof bom - 1);
    const char *data = text.data ? text.data : "";
    struct reader r = {data, data + text.len, 1, err};
    int rc = 0;
    while (rc == 0 && r.at < r.end) {
        buf_clear(&value);
        rc = read_pair(&r, fn, ctx, &value);
        skip_line_end(&r);
    }
    if (value.data)
        explicit_bzero(value.data, value.capacity); // it held secrets
    return rc;
}
