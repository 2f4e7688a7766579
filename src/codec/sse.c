/*
 * The stream is cut into lines, lines are fields, a blank line hands the event out. Two things are
 * less obvious. A line that lies wholly in the chunk is read where it lies, and so is the data of
 * an event that has one data line, as nearly all have: `view` is that span, and only what must
 * outlive the chunk is copied into `data`. And a CR ends a line at once, because waiting for the LF
 * that may follow would hold an event back until the next byte comes; such an LF is swallowed then.
 */
#include "codec/sse.h"

#include <errno.h>

#include "base/word.h"

enum {
    SSE_BOM_BYTES = 3,
    SSE_BOM_DONE = SSE_BOM_BYTES, // value of sse_parser.bom when the stream's start is past
    SSE_NAME_MAX = 1024,          // bytes of an event type, and of an id
    SSE_RETRY_MAX_MS = 24 * 60 * 60 * 1000,
};

static const char bom[] = "\xEF\xBB\xBF";

void sse_init(struct sse_parser *p, size_t max_event_bytes)
{
    *p = (struct sse_parser){
        .max_event_bytes = max_event_bytes,
        .line = BUF_INIT(max_event_bytes),
        .data = BUF_INIT(max_event_bytes),
        .type = BUF_INIT(SSE_NAME_MAX),
        .id = BUF_INIT(SSE_NAME_MAX),
        .retry_ms = -1,
        .next_id = BUF_INIT(SSE_NAME_MAX),
    };
}

void sse_finish(struct sse_parser *p)
{
    if (!p)
        return;
    buf_finish(&p->line);
    buf_finish(&p->data);
    buf_finish(&p->type);
    buf_finish(&p->id);
    buf_finish(&p->next_id);
}

static void forget_event(struct sse_parser *p)
{
    buf_clear(&p->data);
    buf_clear(&p->type);
    p->view = SPAN_ABSENT;
    p->has_data = false;
    p->has_id = false;
}

void sse_reset(struct sse_parser *p)
{
    forget_event(p);
    buf_clear(&p->line);
    p->bom = 0;
    p->after_cr = false;
}

// One call of sse_feed or sse_end, so that its parts need not be handed around one by one.
struct feed {
    struct sse_parser *p;
    struct span rest; // what is not read yet
    sse_event_fn fn;
    void *ctx;
    struct error *err;
};

static int too_long(const struct feed *f)
{
    return error_set(f->err, -EMSGSIZE, "the stream sent an event of more than %zu bytes",
                     f->p->max_event_bytes);
}

// Moves the borrowed data line into memory of our own; false when it does not fit.
static bool keep_view(struct sse_parser *p)
{
    struct span view = p->view;
    p->view = SPAN_ABSENT;
    return !view.data || buf_append_span(&p->data, view);
}

// An event whose blank line never came would be sent again.
static void keep_id(struct sse_parser *p)
{
    struct buf before = p->id;
    p->id = p->next_id;
    p->next_id = before;
}

static int dispatch(struct feed *f, bool unfinished)
{
    struct sse_parser *p = f->p;
    if (p->has_id && !unfinished)
        keep_id(p);
    struct sse_event event = {
        .type = p->type.len ? buf_span(&p->type) : SPAN_LITERAL("message"),
        .data = p->view.data ? p->view : buf_span(&p->data),
        .unfinished = unfinished,
    };
    int r = p->has_data ? f->fn(f->ctx, &event) : 0; // no data field: not an event
    forget_event(p);
    return r;
}

// `stable` tells that the value lies in the chunk and not in p->line, which the next line reuses.
static int add_data(struct feed *f, struct span value, bool stable)
{
    struct sse_parser *p = f->p;
    if (!p->has_data && stable) {
        p->view = value;
        p->has_data = true;
        return 0;
    }
    bool fits = keep_view(p) && (!p->has_data || buf_append_char(&p->data, '\n')) &&
                buf_append_span(&p->data, value);
    p->has_data = true;
    return fits ? 0 : too_long(f);
}

// An id that is too long is none: the stream cannot be taken up again behind it.
static int take_other(struct sse_parser *p, struct span name, struct span value)
{
    uint64_t ms;
    if (span_is(name, "id") && !memchr(value.data, '\0', value.len)) {
        buf_clear(&p->next_id);
        buf_append_span(&p->next_id, value);
        p->has_id = true;
    } else if (span_is(name, "retry") && span_to_u64(value, &ms)) {
        p->retry_ms = ms < SSE_RETRY_MAX_MS ? (int64_t)ms : SSE_RETRY_MAX_MS;
    }
    return 0;
}

// One line without its end. Comments are fields without a name.
static int take_line(struct feed *f, struct span line, bool stable)
{
    if (line.len == 0)
        return dispatch(f, false);
    struct span name = span_cut(&line, ':');
    struct span value = span_skip(line, span_starts_with(line, " "));
    if (span_is(name, "data"))
        return add_data(f, value, stable);
    if (!span_is(name, "event"))
        return take_other(f->p, name, value);
    buf_clear(&f->p->type);
    if (buf_append_span(&f->p->type, value))
        return 0;
    return error_set(f->err, -EMSGSIZE, "the stream sent an event type of more than %d bytes",
                     SSE_NAME_MAX);
}

// Offset of the first CR or LF, or text.len. Two memchr() would search a long line twice.
static size_t find_line_end(struct span text)
{
    size_t at = 0;
    for (; text.len - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t word = word_load(text.data + at);
        if (word_any(word_equal(word, '\r') | word_equal(word, '\n')))
            break;
    }
    while (at < text.len && text.data[at] != '\r' && text.data[at] != '\n')
        at++;
    return at;
}

// Skips a byte order mark at the start of the stream; what only looked like one becomes text.
static bool skip_bom(struct sse_parser *p, struct span *rest)
{
    while (p->bom < SSE_BOM_BYTES && rest->len) {
        if (rest->data[0] != bom[p->bom]) {
            bool fits = p->bom == 0 || buf_append(&p->line, bom, p->bom);
            p->bom = SSE_BOM_DONE;
            return fits;
        }
        p->bom++;
        *rest = span_skip(*rest, 1);
    }
    return true;
}

// The line that ends at `len` of f->rest, with its head from earlier chunks.
static int next_line(struct feed *f, size_t len)
{
    struct sse_parser *p = f->p;
    struct span line = {f->rest.data, len};
    bool stable = p->line.len == 0;
    if (!stable) {
        if (!buf_append_span(&p->line, line))
            return too_long(f);
        line = buf_span(&p->line);
    }
    p->after_cr = f->rest.data[len] == '\r';
    f->rest = span_skip(f->rest, len + 1);
    if (p->after_cr && f->rest.len) { // an LF that is here already belongs to this line
        f->rest = span_skip(f->rest, f->rest.data[0] == '\n');
        p->after_cr = false;
    }
    int r = take_line(f, line, stable);
    buf_clear(&p->line);
    return r;
}

static int feed(struct feed *f)
{
    struct sse_parser *p = f->p;
    if (f->rest.len && p->after_cr) {
        f->rest = span_skip(f->rest, f->rest.data[0] == '\n');
        p->after_cr = false;
    }
    if (!skip_bom(p, &f->rest))
        return too_long(f);
    while (f->rest.len) {
        size_t len = find_line_end(f->rest);
        if (p->line.len + len > p->max_event_bytes)
            return too_long(f);
        if (len == f->rest.len)
            return buf_append_span(&p->line, f->rest) ? 0 : too_long(f);
        int r = next_line(f, len);
        if (r != 0)
            return r;
    }
    return 0;
}

int sse_feed(struct sse_parser *p, struct span chunk, sse_event_fn fn, void *ctx, struct error *err)
{
    struct feed f = {p, chunk, fn, ctx, err};
    int r = feed(&f);
    return r == 0 && !keep_view(p) ? too_long(&f) : r;
}

int sse_end(struct sse_parser *p, sse_event_fn fn, void *ctx, struct error *err)
{
    struct feed f = {p, SPAN_ABSENT, fn, ctx, err};
    int r = 0;
    if (p->bom > 0 && p->bom < SSE_BOM_BYTES && !buf_append(&p->line, bom, p->bom))
        return too_long(&f);
    p->bom = SSE_BOM_DONE;
    if (p->line.len)
        r = take_line(&f, buf_span(&p->line), false);
    if (r == 0)
        r = dispatch(&f, true);
    buf_clear(&p->line);
    return r;
}

/* Writing */

// Appends every line of `text` behind `prefix`; CR, LF and CRLF are line ends to every reader.
static bool write_lines(struct buf *out, const char *prefix, struct span text)
{
    for (;;) {
        size_t len = find_line_end(text);
        if (!buf_append_text(out, prefix) || !buf_append(out, text.data, len) ||
            !buf_append_char(out, '\n'))
            return false;
        if (len == text.len)
            return true;
        bool crlf = text.data[len] == '\r' && len + 1 < text.len && text.data[len + 1] == '\n';
        text = span_skip(text, len + 1 + crlf);
    }
}

bool sse_write_event(struct buf *out, struct span type, struct span data)
{
    size_t before = out->len;
    if (find_line_end(type) < type.len)
        return false;
    if ((!type.len || write_lines(out, "event: ", type)) && write_lines(out, "data: ", data) &&
        buf_append_char(out, '\n'))
        return true;
    buf_truncate(out, before);
    return false;
}
