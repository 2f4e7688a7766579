#include "store/memory.h"

#include <errno.h>

#include "base/clock.h"
#include "tools/table.h"

enum {
    MEMORY_MAX = 8 * 1024, // bytes of one thing to remember
    QUERY_MAX = 1024,      // bytes
    FOUND_MAX = 10,        // rows of one answer
};

static void on_remembered(void *context, int result, const struct error *err, int64_t rowid)
{
    struct span text = result < 0 ? span_of(err->text) : SPAN_LITERAL("remembered");
    tool_run_end(context, &(struct tool_result){.text = text, .failed = result < 0, .ms = -1});
}

static int start_remember(const struct tool_env *env, const struct tool_call *call,
                          struct tool_run *run, struct buf *out, struct error *err)
{
    BUF_AUTO content = BUF_INIT(0);
    int r = tool_need_text(call->arguments, "content", MEMORY_MAX, &content, err);
    if (r == 0 && span_trim(buf_span(&content)).len == 0)
        r = error_set(err, -EINVAL, "there is nothing to remember");
    if (r < 0)
        return r;
    struct store_memory memory = {.content = span_trim(buf_span(&content)),
                                  .tainted = call->context->tainted,
                                  .created_ms = clock_wall_ms(env->clock)};
    int64_t job = store_memory_add(env->store, &memory, STORE_DURABLE, on_remembered, run, err);
    if (job < 0)
        return (int)job;
    tool_run_set_handle(run, (union tool_handle){.number = job});
    return 0;
}

static void on_found(void *context, int result, const struct error *err,
                     const struct store_memory *rows, size_t count)
{
    BUF_AUTO out = BUF_INIT(TOOL_TEXT_MAX);
    bool tainted = false;
    if (result < 0)
        buf_append_text(&out, err->text);
    else if (count == 0)
        buf_append_text(&out, "nothing is remembered of it");
    for (size_t i = 0; i < count; i++) {
        char when[CLOCK_TEXT_SIZE];
        clock_format_utc(rows[i].created_ms, when);
        size_t need = rows[i].content.len + sizeof when + 8;
        if (out.len + need > out.max - 64) {
            buf_printf(&out, "[%zu more are not shown]\n", count - i);
            break;
        }
        tainted = tainted || rows[i].tainted;
        buf_printf(&out, "- %.10s: %.*s\n", when, (int)rows[i].content.len, rows[i].content.data);
    }
    tool_run_end(context,
                 &(struct tool_result){
                     .text = buf_span(&out), .failed = result < 0, .tainted = tainted, .ms = -1});
}

static int start_recall(const struct tool_env *env, const struct tool_call *call,
                        struct tool_run *run, struct buf *out, struct error *err)
{
    BUF_AUTO query = BUF_INIT(0);
    int r = tool_need_text(call->arguments, "query", QUERY_MAX, &query, err);
    if (r < 0)
        return r;
    int64_t job = store_memory_search(env->store, buf_span(&query), FOUND_MAX, on_found, run, err);
    if (job < 0)
        return (int)job;
    tool_run_set_handle(run, (union tool_handle){.number = job});
    return 0;
}

static void forget(const struct tool_env *env, int64_t job)
{
    store_forget(env->store, job);
}

const struct tool tool_remember = {
    .name = "remember",
    .description = "Keep something for later conversations, to be found with recall.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"content\":{\"type\":\"string\",\"description\":\"One fact, whole\"}},"
                  "\"required\":[\"content\"]}",
    .flags = TOOL_WRITES | TOOL_FOUND,
    .start = start_remember,
    .forget = forget,
};

const struct tool tool_recall = {
    .name = "recall",
    .description = "Find what was remembered in this or earlier conversations.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"query\":{\"type\":\"string\",\"description\":\"Words; empty: newest\"}},"
                  "\"required\":[\"query\"]}",
    .flags = TOOL_READS | TOOL_REPEATABLE | TOOL_UNATTENDED | TOOL_FOUND,
    .start = start_recall,
    .forget = forget,
};
