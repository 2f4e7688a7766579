// A part of a text as it would be sent, and whether it fits.
#include "codec/telegram_split.h"

static size_t units_of(struct span markdown, void (*form)(struct span, struct buf *))
{
    BUF_AUTO text = BUF_INIT(TELEGRAM_PART_BYTES_MAX);
    form(markdown, &text);
    return buf_is_full(&text) ? TELEGRAM_PART_BYTES_MAX : telegram_units(buf_span(&text));
}

size_t telegram_size(struct span markdown)
{
    size_t formatted = units_of(markdown, telegram_markdown);
    size_t plain = formatted <= TELEGRAM_UNITS_MAX ? units_of(markdown, telegram_plain) : 0;
    return plain > formatted ? plain : formatted;
}

bool telegram_fits(struct span markdown)
{
    return telegram_size(markdown) <= TELEGRAM_UNITS_MAX;
}

void telegram_append_fence(struct buf *out, char fence, size_t length)
{
    while (length-- > 0)
        buf_append_char(out, fence);
}

// The escape that makes the rest of a cut line be read as text, and not as the heading or item that
// it could begin like: a backslash before each character of the mark. Returns the source bytes in
// it.
static size_t escape_mark(struct span line, struct buf *out)
{
    struct telegram_block b;
    telegram_classify(line, &b);
    if (b.kind == TELEGRAM_TEXT || b.kind == TELEGRAM_BLANK)
        return 0;
    size_t at = b.indent, end;
    while (line.data[at] >= '0' && line.data[at] <= '9')
        at++;
    buf_append(out, line.data, at);
    for (end = at; end < line.len && line.data[end] == line.data[at]; end++) {
        buf_append_char(out, '\\');
        buf_append_char(out, line.data[end]);
    }
    return end;
}

static void draft_prefix(struct telegram_draft *d, const struct telegram_split *state,
                         struct span rest)
{
    if (state->in_code) {
        for (size_t i = 0; i < state->fence_indent; i++)
            buf_append_char(&d->text, ' ');
        telegram_append_fence(&d->text, state->fence, state->fence_length);
        buf_printf(&d->text, "%s\n", state->language);
    } else if (state->mid_line) {
        buf_append_text(&d->text, state->mid_quote ? "> " : "");
        d->skip = escape_mark(telegram_cut_line(&rest), &d->text);
    } else if (state->table.data) {
        buf_append_span(&d->text, state->table);
    }
    d->prefix = d->text.len;
}

void telegram_draft_init(struct telegram_draft *d, const struct telegram_split *state,
                         struct span rest, size_t bytes)
{
    // Three times: escaping may double the beginning.
    *d = (struct telegram_draft){.text = BUF_INIT(3 * bytes + TELEGRAM_PREFIX_BYTES_MAX)};
    draft_prefix(d, state, rest);
    buf_append(&d->text, rest.data + d->skip, bytes > d->skip ? bytes - d->skip : 0);
}

size_t telegram_draft_source(const struct telegram_draft *d, size_t at)
{
    return at - d->prefix + d->skip;
}
