#include "tools/background.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "codec/utf8.h"
#include "loop/loop.h"
#include "tools/tool.h"

enum {
    NAME_SIZE = 14,          // "proc_", eight hex digits, NUL
    NAME_SAID_MIN = 9,       // bytes that say which: four of the digits
    COMMAND_SHOWN_MAX = 100, // bytes
    TEXT_MAX = 46 * 1024,    // bytes of a result
    DATA_MAX = SHELL_INPUT_MAX - 1,
    WAIT_DEFAULT_S = 60,
    LINES_DEFAULT = 200,
    LINES_MAX = 10000,
};

struct background {
    struct shells *shells;
    struct list sessions, waiters;
    int64_t last_waiter;
};

struct session {
    struct list link; // background::sessions
    struct background *owner;
    char *chat; // owned: whose it is
    char name[NAME_SIZE];
    char command[COMMAND_SHOWN_MAX + 1];
    struct shell *shell; // owned
    int64_t ended_ms;    // monotonic
    int64_t polled;      // bytes of what it printed that were told
};

struct waiter {
    struct list link; // background::waiters
    int64_t id;
    struct session *session;
    struct tool_run *run;
    loop_id timer;
    bool shortened; // it was to wait for longer
};

struct request { // of one call
    struct background *background;
    const struct tool_call_context *context;
    struct session *session; // NULL for "list"
    struct json_value arguments;
    struct tool_run *run;
};

struct background *background_create(struct shells *shells)
{
    struct background *background = mem_new(struct background);
    background->shells = shells;
    list_init(&background->sessions);
    list_init(&background->waiters);
    return background;
}

static void session_destroy(struct session *session)
{
    list_remove(&session->link);
    shell_destroy(session->shell);
    free(session->chat);
    free(session);
}

static void waiter_destroy(struct waiter *waiter)
{
    list_remove(&waiter->link);
    loop_cancel(shells_loop(waiter->session->owner->shells), waiter->timer);
    free(waiter);
}

void background_destroy(struct background *background)
{
    if (!background)
        return;
    list_for_each(link, &background->waiters)
        waiter_destroy(list_entry(link, struct waiter, link));
    list_for_each(link, &background->sessions)
        session_destroy(list_entry(link, struct session, link));
    free(background);
}

void background_each_running(const struct background *background, background_fn *fn, void *context)
{
    list_for_each(link, &background->sessions) {
        const struct session *session = list_entry(link, struct session, link);
        if (!shell_is_over(session->shell))
            fn(context, session->name);
    }
}

// --- what is told

static void tell_state(const struct session *session, struct buf *out)
{
    long long tenths = (long long)(shell_ms(session->shell) / 100);
    if (shell_is_over(session->shell))
        buf_printf(out, "%s is over: %s\n", session->name, session->command);
    else
        buf_printf(out, "%s runs since %lld.%lld s: %s\n", session->name, tenths / 10, tenths % 10,
                   session->command);
}

static void tell_output(struct session *session, struct buf *out)
{
    capture_show_since(shell_capture(session->shell), &session->polled, CAPTURE_SHOWN_MAX, out);
}

// What is new, and how it ended.
static void tell_news(struct session *session, struct buf *out)
{
    tell_state(session, out);
    tell_output(session, out);
    if (shell_is_over(session->shell))
        shell_tell_end(session->shell, out);
}

static void tell_waiter(struct waiter *waiter)
{
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    struct tool_run *run = waiter->run;
    if (waiter->shortened && !shell_is_over(waiter->session->shell))
        buf_printf(&text, "[one wait is at most %d seconds; wait again]\n", BACKGROUND_WAIT_MAX_S);
    tell_news(waiter->session, &text);
    waiter_destroy(waiter);
    tool_run_end(run, &(struct tool_result){.text = buf_span(&text), .ms = -1});
}

static struct waiter *find_waiter(const struct background *background,
                                  const struct session *session)
{
    list_for_each(link, &background->waiters) {
        struct waiter *waiter = list_entry(link, struct waiter, link);
        if (waiter->session == session)
            return waiter;
    }
    return NULL;
}

static void on_end(void *context, struct shell *shell)
{
    struct session *session = context;
    struct background *background = session->owner;
    session->ended_ms = loop_now(shells_loop(background->shells));
    struct waiter *waiter; // what one is told may begin or end others
    while ((waiter = find_waiter(background, session)))
        tell_waiter(waiter);
}

// --- which there are

// The oldest is the first. One that is just being told to who waits for it stays.
static void forget_old(struct background *background)
{
    int64_t now = loop_now(shells_loop(background->shells));
    size_t count = 0;
    list_for_each(link, &background->sessions)
        count++;
    list_for_each(link, &background->sessions) {
        struct session *session = list_entry(link, struct session, link);
        if (shell_is_over(session->shell) && !find_waiter(background, session) &&
            (count >= BACKGROUND_KEPT_MAX || now - session->ended_ms > BACKGROUND_KEPT_MS)) {
            session_destroy(session);
            count--;
        }
    }
}

static const char *chat_of(const struct tool_call_context *context)
{
    return context->chat ? context->chat : "";
}

int background_start(struct background *background, const struct tool_call_context *context,
                     const struct shell_request *request, struct buf *out, struct error *err)
{
    size_t running = 0;
    forget_old(background);
    list_for_each(link, &background->sessions)
        running += !shell_is_over(list_entry(link, struct session, link)->shell);
    if (running >= BACKGROUND_RUNNING_MAX)
        return error_set(err, -EAGAIN, "%zu commands run in the background already; kill one first",
                         running);
    struct session *session = mem_new(struct session);
    int r = shell_start(background->shells, request, on_end, session, &session->shell, err);
    if (r < 0) {
        free(session);
        return r;
    }
    session->owner = background;
    session->chat = mem_strdup(chat_of(context));
    memcpy(session->name, "proc_", sizeof "proc_");
    random_hex(session->name + sizeof "proc_" - 1, NAME_SIZE - sizeof "proc_" + 1);
    struct span line = request->command;
    line = span_cut(&line, '\n');
    if (line.len > COMMAND_SHOWN_MAX)
        line.len =
            COMMAND_SHOWN_MAX - utf8_incomplete_tail(span_make(line.data, COMMAND_SHOWN_MAX));
    memcpy(session->command, line.data, line.len);
    list_append(&background->sessions, &session->link);
    buf_printf(out, "%s runs in the background, until it ends, is killed, or this program ends",
               session->name);
    return TOOL_ENDED;
}

static bool is_seen(const struct session *session, const struct tool_call_context *context)
{
    return (context->origin && strcmp(context->origin, "console") == 0) ||
           strcmp(session->chat, chat_of(context)) == 0;
}

static int find_session(struct request *request, const char *name, struct error *err)
{
    list_for_each(link, &request->background->sessions) {
        struct session *session = list_entry(link, struct session, link);
        if (strncmp(session->name, name, strlen(name)) != 0 || !is_seen(session, request->context))
            continue;
        if (strlen(name) < NAME_SAID_MIN)
            return error_set(err, -EINVAL,
                             "\"%s\" may be any; give at least four of the digits of the "
                             "session_id, as in %.9s",
                             name, session->name);
        if (request->session)
            return error_set(err, -EINVAL, "several processes begin with \"%.20s\"", name);
        request->session = session;
    }
    return request->session ? 0
                            : error_set(err, -ENOENT,
                                        "there is no process \"%.20s\"; action \"list\" shows "
                                        "them",
                                        name);
}

// --- actions

static int act_list(struct request *request, struct buf *out, struct error *err)
{
    list_for_each(link, &request->background->sessions) {
        const struct session *session = list_entry(link, struct session, link);
        if (is_seen(session, request->context))
            tell_state(session, out);
    }
    if (!out->len)
        buf_append_text(out, "no command was started in the background");
    return TOOL_ENDED;
}

static int act_poll(struct request *request, struct buf *out, struct error *err)
{
    tell_news(request->session, out);
    return TOOL_ENDED;
}

// Cuts the last lines off a text.
static struct span last_lines(struct span *text, int64_t count)
{
    size_t at = text->len;
    if (at && text->data[at - 1] == '\n')
        at--;
    while (at && (text->data[at - 1] != '\n' || --count > 0))
        at--;
    struct span cut = span_skip(*text, at);
    text->len = at;
    return cut;
}

// Cuts the first lines off a text, of at most `most` bytes. Fewer lines than were asked for, when a
// whole one more does not fit.
static struct span first_lines(struct span *text, int64_t *count, size_t most)
{
    size_t at = 0;
    for (; *count > 0 && at < text->len; --*count) {
        const char *newline = memchr(text->data + at, '\n', text->len - at);
        size_t end = newline ? (size_t)(newline - text->data) + 1 : text->len;
        if (end > most)
            break;
        at = end;
    }
    struct span cut = {text->data, at};
    *text = span_skip(*text, at);
    return cut;
}

static void show_last(const struct capture *capture, int64_t limit, struct buf *out)
{
    BUF_AUTO text = BUF_INIT(CAPTURE_MEMORY_MAX + 1024);
    int64_t place = 0;
    capture_show_since(capture, &place, CAPTURE_MEMORY_MAX, &text);
    struct span before = buf_span(&text), shown = last_lines(&before, limit);
    if (shown.len > CAPTURE_SHOWN_MAX) {
        shown = capture_whole_words(span_skip(shown, shown.len - CAPTURE_SHOWN_MAX));
        before.len = 1;
    }
    if (before.len)
        capture_tell_file(capture, out);
    buf_append_span(out, shown);
}

// Lines behind the first `offset`.
static void show_from(const struct capture *capture, int64_t offset, int64_t limit, struct buf *out)
{
    BUF_AUTO text = BUF_INIT(CAPTURE_MEMORY_MAX);
    int64_t skipped = offset, wanted = limit;
    bool all = capture_show_beginning(capture, &text);
    struct span rest = buf_span(&text);
    first_lines(&rest, &skipped, SIZE_MAX);
    if (skipped > 0 && all)
        buf_printf(out, "[it has printed only %" PRId64 " lines]\n", offset - skipped);
    buf_append_span(out, first_lines(&rest, &wanted, CAPTURE_SHOWN_MAX));
    if (out->len && out->data[out->len - 1] != '\n')
        buf_append_char(out, '\n');
    if (rest.len && wanted < limit)
        buf_printf(out, "[more follows: offset=%" PRId64 "]\n", offset + limit - wanted);
    else if (rest.len || !all) {
        buf_append_text(out, "[its lines behind that are not kept in memory]\n");
        capture_tell_file(capture, out);
    }
}

static int act_log(struct request *request, struct buf *out, struct error *err)
{
    const struct capture *capture = shell_capture(request->session->shell);
    int64_t offset, limit;
    int r = tool_want_number(request->arguments, "offset", 0, 0, INT32_MAX, &offset, err);
    if (r == 0)
        r = tool_want_number(request->arguments, "limit", LINES_DEFAULT, 1, LINES_MAX, &limit, err);
    if (r < 0)
        return r;
    tell_state(request->session, out);
    if (tool_has(request->arguments, "offset"))
        show_from(capture, offset, limit, out);
    else
        show_last(capture, limit, out);
    if (shell_is_over(request->session->shell))
        shell_tell_end(request->session->shell, out);
    return TOOL_ENDED;
}

static void on_waited(void *context)
{
    struct waiter *waiter = context;
    waiter->timer = 0;
    tell_waiter(waiter);
}

static int act_wait(struct request *request, struct buf *out, struct error *err)
{
    struct background *background = request->background;
    int64_t timeout_s;
    int r = tool_want_number(request->arguments, "timeout", WAIT_DEFAULT_S, 1, INT64_MAX,
                             &timeout_s, err);
    if (r < 0)
        return r;
    bool shortened = timeout_s > BACKGROUND_WAIT_MAX_S;
    if (shortened)
        timeout_s = BACKGROUND_WAIT_MAX_S;
    if (shell_is_over(request->session->shell))
        return act_poll(request, out, err);
    struct waiter *waiter = mem_new(struct waiter);
    waiter->id = ++background->last_waiter;
    waiter->session = request->session;
    waiter->run = request->run;
    waiter->shortened = shortened;
    waiter->timer =
        loop_timer_after(shells_loop(background->shells), timeout_s * 1000, on_waited, waiter);
    list_append(&background->waiters, &waiter->link);
    tool_run_set_handle(request->run, (union tool_handle){.number = waiter->id});
    return 0;
}

static int act_kill(struct request *request, struct buf *out, struct error *err)
{
    struct session *session = request->session;
    if (!shell_kill(session->shell)) {
        buf_printf(out, "%s had ended already, or was killed before\n", session->name);
        return act_poll(request, out, err);
    }
    buf_printf(out, "%s is killed, and all that it started\n", session->name);
    tell_output(session, out);
    return TOOL_ENDED;
}

static int put_in(struct request *request, const char *behind, struct buf *out, struct error *err)
{
    BUF_AUTO data = BUF_INIT(0);
    int r = tool_need_text(request->arguments, "data", DATA_MAX, &data, err);
    if (r < 0)
        return r;
    data.max++;
    buf_append_text(&data, behind);
    ssize_t taken = shell_write(request->session->shell, buf_span(&data));
    if (taken < 0)
        return error_set(err, -EPIPE, "%s reads no input any more", request->session->name);
    if ((size_t)taken < data.len)
        return error_set(err, -EAGAIN,
                         "%s does not read its input: of %zu bytes %zd were put in; poll it, and "
                         "send the others later",
                         request->session->name, data.len, taken);
    buf_printf(out, "%zu bytes were put into its input", data.len);
    return TOOL_ENDED;
}

static int act_write(struct request *request, struct buf *out, struct error *err)
{
    return put_in(request, "", out, err);
}

static int act_submit(struct request *request, struct buf *out, struct error *err)
{
    return put_in(request, "\n", out, err);
}

static int act_close(struct request *request, struct buf *out, struct error *err)
{
    shell_end_input(request->session->shell);
    buf_append_text(out, "its input has ended");
    return TOOL_ENDED;
}

int background_act(struct background *background, const struct tool_call *call,
                   struct tool_run *run, struct buf *out, struct error *err)
{
    static const struct {
        const char *name;
        int (*act)(struct request *request, struct buf *out, struct error *err);
    } actions[] = {
        {"list", act_list}, {"poll", act_poll},   {"log", act_log},       {"wait", act_wait},
        {"kill", act_kill}, {"write", act_write}, {"submit", act_submit}, {"close", act_close},
    };
    struct request request = {.background = background,
                              .context = call->context,
                              .arguments = call->arguments,
                              .run = run};
    struct json_value action = json_get(call->arguments, "action");
    size_t i = 0;
    forget_old(background);
    while (i < ARRAY_LEN(actions) && !json_is(action, actions[i].name))
        i++;
    if (i == ARRAY_LEN(actions))
        return error_set(err, -EINVAL,
                         "the parameter \"action\" must be one of list, poll, log, wait, kill, "
                         "write, submit, close");
    if (actions[i].act != act_list) {
        BUF_AUTO name = BUF_INIT(0);
        int r = tool_need_text(call->arguments, "session_id", TOOL_NAME_MAX, &name, err);
        if (r == 0)
            r = find_session(&request, buf_text(&name), err);
        if (r < 0)
            return r;
    }
    return actions[i].act(&request, out, err);
}

void background_forget(struct background *background, int64_t handle)
{
    list_for_each(link, &background->waiters) {
        struct waiter *waiter = list_entry(link, struct waiter, link);
        if (waiter->id == handle)
            waiter_destroy(waiter);
    }
}
