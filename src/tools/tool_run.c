#include "tools/tool_run.h"

#include <stdlib.h>

#include "base/clock.h"
#include "codec/redact.h"
#include "codec/utf8.h"

enum {
    CLEAN_MAX = 3 * TOOL_TEXT_MAX + 128, // three bytes for each at most, and a remark
    READ_MAX = 2 * TOOL_TEXT_MAX,        // bytes that are looked at for secrets
    MASKED_MAX = 2 * READ_MAX,           // a mark is longer than the shortest secret
};

void tool_run_set_handle(struct tool_run *run, union tool_handle handle)
{
    run->handle = handle;
}

void tool_run_destroy(struct tool_run *run)
{
    if (run->deadline)
        loop_cancel(run->loop, run->deadline);
    list_remove(&run->link);
    free(run->tool);
    free(run);
}

/*
 * What files and servers hold is not always UTF-8, what a model reads must be, and a NUL would end
 * it: each becomes one U+FFFD.
 */
static void append_clean(struct span text, struct buf *out)
{
    while (text.len) {
        struct span piece = span_cut(&text, '\0');
        utf8_sanitize(piece, out);
        if (piece.data + piece.len < text.data)
            buf_append_text(out, "\xef\xbf\xbd");
    }
}

/*
 * Every result comes by here, so here secrets are taken out of it, before it is cut: what the cut
 * left of one would not be recognised.
 */
static void append_shown(const struct redactor *redactor, struct span text, struct buf *out)
{
    BUF_AUTO masked = BUF_INIT(MASKED_MAX);
    struct span read = {text.data, text.len < READ_MAX ? text.len : READ_MAX};
    struct span all = read;
    if (!redact_is_clean(redactor, read))
        all = redact(redactor, read, &masked) ? buf_span(&masked) : SPAN_LITERAL(REDACT_MARK);
    size_t shown = all.len < TOOL_TEXT_MAX ? all.len : TOOL_TEXT_MAX;
    append_clean(span_make(all.data, shown), out);
    size_t left = all.len - shown + text.len - read.len;
    if (left)
        buf_printf(out, "\n[%zu more bytes are not shown]", left);
}

void tool_run_end(struct tool_run *run, const struct tool_result *result)
{
    struct tool_result told = *result;
    const struct redactor *redactor = *run->redactor;
    tool_end_fn *on_end = run->on_end;
    void *context = run->context;
    if (told.ms < 0)
        told.ms = clock_monotonic_ms(run->clock) - run->begun_ms;
    tool_run_destroy(run);
    BUF_AUTO clean = BUF_INIT(CLEAN_MAX);
    append_shown(redactor, told.text, &clean);
    told.text = buf_span(&clean);
    on_end(context, &told);
}
