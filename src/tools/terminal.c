#include <errno.h>
#include <stdio.h>

#include "tools/background.h"
#include "tools/shell.h"
#include "tools/table.h"

enum {
    TIMEOUT_MAX_S = 600, // of what is waited for
    TEXT_MAX = 46 * 1024,
    REMARK_MAX = 512, // bytes
};

static void on_end(void *context, struct shell *shell)
{
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    capture_show(shell_capture(shell), &text);
    shell_tell_end(shell, &text);
    struct tool_result result = {
        .text = buf_span(&text), .failed = shell_has_failed(shell), .ms = shell_ms(shell)};
    shell_destroy(shell);
    tool_run_end(context, &result);
}

// Of hermes-agent's, what does nothing here is said.
static void remark_ignored(struct json_value arguments, struct buf *out)
{
    static const struct {
        const char *name, *instead;
    } rows[] = {
        {"notify", "the tool process waits for the end"},
        {"notify_on_complete", "the tool process waits for the end"},
        {"watch_patterns", "the tool process shows what it prints"},
        {"pty", "there is no terminal"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json_value value = json_get(arguments, rows[i].name);
        if (tool_has(arguments, rows[i].name) && json_type(value) != JSON_FALSE)
            buf_printf(out, "[%s was ignored: %s]\n", rows[i].name, rows[i].instead);
    }
}

static int start(const struct tool_env *env, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    BUF_AUTO command = BUF_INIT(0);
    BUF_AUTO directory = BUF_INIT(0);
    if (!env->shells)
        return error_set(err, -ENOTDIR, "this program has no workspace to run commands in");
    int64_t timeout_s, fallback = shells_timeout_ms(env->shells) / 1000;
    bool background = false;
    int r = tool_need_text(call->arguments, "command", SHELL_COMMAND_MAX, &command, err);
    if (r == 0 && !json_is(json_get(call->arguments, "workdir"), "")) // the workspace
        r = tool_need_path(call->arguments, "workdir", ".", &directory, err);
    if (r == 0)
        r = tool_want_bool(call->arguments, "background", &background, err);
    if (r == 0)
        r = tool_want_number(call->arguments, "timeout", fallback, 1, TIMEOUT_MAX_S, &timeout_s,
                             err);
    if (r < 0)
        return r;
    BUF_AUTO remark = BUF_INIT(REMARK_MAX);
    remark_ignored(call->arguments, &remark);
    struct shell_request request = {.command = buf_span(&command),
                                    .directory = buf_text(&directory),
                                    .wall_ms = background ? 0 : timeout_s * 1000,
                                    .talks = background,
                                    .remark = background ? SPAN_ABSENT : buf_span(&remark)};
    if (background) {
        r = background_start(env->background, call->context, &request, out, err);
        buf_append_char(out, '\n');
        buf_append_span(out, buf_span(&remark));
        return r;
    }
    struct shell *shell;
    r = shell_start(env->shells, &request, on_end, run, &shell, err);
    if (r == 0)
        tool_run_set_handle(run, (union tool_handle){.number = (int64_t)shell_name(shell)});
    return r;
}

static void forget(const struct tool_env *env, int64_t handle)
{
    shell_destroy(shell_find(env->shells, (shell_id)handle));
}

const struct tool tool_terminal = {
    .name = "terminal",
    .description = "Run a command in a new sh; no network.",
    .parameters = // taken as well: workdir, in the place of a cd
    "{\"type\":\"object\",\"properties\":{"
    "\"command\":{\"type\":\"string\",\"description\":\"What to run\"},"
    "\"timeout\":{\"type\":\"integer\",\"description\":\"Seconds, to 600\"},"
    "\"background\":{\"type\":\"boolean\",\"description\":\"Do not wait; see process\"}},"
    "\"required\":[\"command\"]}",
    .flags = TOOL_WRITES | TOOL_KEEPS | TOOL_UNATTENDED,
    .start = start,
    .forget = forget,
};
