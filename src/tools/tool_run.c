#include "tools/tool_run.h"

#include <stdlib.h>

#include "base/clock.h"
#include "codec/utf8.h"

enum { CLEAN_MAX = 3 * TOOL_TEXT_MAX + 128 }; // three bytes for each at most, and a remark

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

void tool_run_end(struct tool_run *run, const struct tool_result *result)
{
    struct tool_result told = *result;
    tool_end_fn *on_end = run->on_end;
    void *context = run->context;
    if (told.ms < 0)
        told.ms = clock_monotonic_ms(run->clock) - run->begun_ms;
    tool_run_destroy(run);
    BUF_AUTO clean = BUF_INIT(CLEAN_MAX);
    size_t shown = told.text.len < TOOL_TEXT_MAX ? told.text.len : TOOL_TEXT_MAX;
    append_clean(span_make(told.text.data, shown), &clean);
    if (told.text.len > shown)
        buf_printf(&clean, "\n[%zu more bytes are not shown]", told.text.len - shown);
    told.text = buf_span(&clean);
    on_end(context, &told);
}
