#include "tools/tool_run.h"

#include <stdlib.h>

#include "base/clock.h"
#include "codec/utf8.h"

enum {
    SHOWN_MAX = 256 * 1024,          // bytes of a result
    CLEAN_MAX = 3 * SHOWN_MAX + 128, // at most a character of three bytes for each, and a remark
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
    free(run);
}

void tool_run_progress(struct tool_run *run, struct span sentence)
{
    int64_t now_ms = clock_monotonic_ms(run->clock);
    if (run->progress_ms && now_ms - run->progress_ms < TOOL_PROGRESS_EVERY_MS)
        return;
    run->progress_ms = now_ms;
    BUF_AUTO clean = BUF_INIT(3 * TOOL_PROGRESS_MAX);
    sentence.len = sentence.len < TOOL_PROGRESS_MAX ? sentence.len : TOOL_PROGRESS_MAX;
    utf8_sanitize(sentence, &clean);
    run->sink->on_progress(run->context, buf_span(&clean));
}

// What files and servers hold is not always UTF-8, and what a model reads must be.
void tool_run_end(struct tool_run *run, const struct tool_result *result)
{
    struct tool_result told = *result;
    const struct tool_sink *sink = run->sink;
    void *context = run->context;
    if (told.ms < 0)
        told.ms = clock_monotonic_ms(run->clock) - run->begun_ms;
    tool_run_destroy(run);
    BUF_AUTO clean = BUF_INIT(CLEAN_MAX);
    utf8_sanitize(span_make(told.text.data, told.text.len < SHOWN_MAX ? told.text.len : SHOWN_MAX),
                  &clean);
    if (told.text.len > SHOWN_MAX)
        buf_printf(&clean, "\n[%zu more bytes are not shown]", told.text.len - SHOWN_MAX);
    told.text = buf_span(&clean);
    sink->on_end(context, &told);
}
