#include "mcp/remote_call.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/document.h"
#include "mcp/param_headers.h"
#include "mcp/rpc.h"

/*
 * A call waits while its server is being connected, and behind another one where the server takes
 * one at a time. Whatever comes back is somebody else's text.
 *
 * A server may ask the person something in the middle of a call. Then the run ends with the
 * question, which the turn waits for, and the request stays open: the next run of the same call
 * brings the answer, and goes on with it.
 */
enum {
    WAIT_MAX_MS = 60 * 1000, // for a connection
    CALLS_MAX = 64,          // of one server at a time
    PIECE = 64 * 1024,       // bytes that are handed to the capture at once
    NAME_MAX_BYTES = 4096,   // of a prompt, or a URI
};

static bool describe(const struct tool_source *source, size_t place, struct tool_description *ret)
{
    const struct mcp_remote *remote = CONTAINER_OF(source, struct mcp_remote, source);
    for (size_t i = 0; i < remote->catalogue.count; i++) {
        const struct mcp_tool *tool = &remote->catalogue.tools[i];
        if (tool->state != MCP_TOOL_OFFERED || place--)
            continue;
        *ret =
            (struct tool_description){tool->name, tool->description, tool->parameters, tool->flags};
        return true;
    }
    return false;
}

static void destroy(struct mcp_remote_call *call)
{
    list_remove(&call->link);
    loop_cancel(call->remote->env->loop, call->deadline);
    mcp_call_drop_questions(call);
    if (call->capture.loop)
        capture_finish(&call->capture);
    buf_finish(&call->params);
    buf_finish(&call->text);
    mcp_media_finish(&call->media);
    mcp_lines_free(call->headers);
    free(call->name);
    free(call->turn);
    free(call->session);
    free(call->key);
    free(call);
}

static void keep_end(struct mcp_remote_call *call, struct span text, bool failed)
{
    list_remove(&call->link); // of those that fail now
    list_append(&call->remote->calls, &call->link);
    mcp_call_drop_questions(call);
    buf_clear(&call->text);
    buf_append_span(&call->text, text);
    call->failed = failed;
    call->request = 0;
    call->over = true;
}

static void end(struct mcp_remote_call *call, struct span text, bool failed)
{
    struct mcp_remote *remote = call->remote;
    struct tool_run *run = call->run;
    if (!run) {
        keep_end(call, text, failed);
        return;
    }
    *remote->calls_failed += failed;
    struct mcp_media media = call->media;
    call->media = (struct mcp_media){0};
    destroy(call);
    tool_run_end(run, &(struct tool_result){.text = text,
                                            .failed = failed,
                                            .tainted = true,
                                            .parts = media.parts,
                                            .part_count = media.count,
                                            .ms = -1});
    mcp_media_finish(&media);
}

static void fail(struct mcp_remote_call *call, const char *text)
{
    end(call, span_of(text), true);
}

/* Results */

static void on_kept(void *context)
{
    struct mcp_remote_call *call = context;
    BUF_AUTO shown = BUF_INIT(TOOL_TEXT_MAX);
    capture_show(&call->capture, &shown);
    end(call, buf_span(&shown), call->failed);
}

static void feed(struct mcp_remote_call *call)
{
    while (call->kept < call->text.len && !call->capture.held) {
        struct span rest = span_skip(buf_span(&call->text), call->kept);
        if (rest.len > PIECE)
            rest.len = PIECE;
        call->kept += rest.len;
        capture_add(&call->capture, rest);
    }
    if (call->kept == call->text.len && call->text.len) {
        buf_clear(&call->text);
        call->kept = 0;
        capture_end(&call->capture);
    }
}

static void on_hold(void *context, bool held)
{
    if (!held)
        feed(context);
}

static void show(struct mcp_remote_call *call)
{
    if (call->text.len <= CAPTURE_SHOWN_MAX) {
        struct buf text = call->text;
        call->text = (struct buf)BUF_INIT(0);
        end(call, buf_span(&text), call->failed);
        buf_finish(&text);
        return;
    }
    call->capture = (struct capture){.loop = call->remote->env->loop,
                                     .processes = call->remote->env->processes,
                                     .results = call->remote->env->results,
                                     .on_hold = on_hold,
                                     .on_ended = on_kept,
                                     .context = call};
    capture_init(&call->capture);
    feed(call);
}

static void fail_with(struct mcp_remote_call *call, const struct mcp_reply *reply)
{
    struct mcp_remote *remote = call->remote;
    struct error err = *reply->err;
    bool denied = reply->trouble == MCP_DENIED;
    bool outdated = call->renewals != remote->renewals; // others are there meanwhile
    if (denied && !call->again && (outdated || remote->ops->denied(remote, reply))) {
        call->again = call->waits = true;
        buf_clear(&call->text); // of pages before
        return;
    }
    if (reply->trouble == MCP_ERROR && reply->code == RPC_HEADER_MISMATCH &&
        call->kind == MCP_KIND_TOOL && !call->mirrors_anew && mcp_remote_list(remote)) {
        call->mirrors_anew = call->outdated = call->waits = true;
        return;
    }
    if (denied)
        mcp_remote_explain_denial(remote, &err);
    CLEANUP(mem_cleanup)
    char *text =
        mem_printf("%s%s", err.text, reply->maybe_done ? "; it may have acted on the call" : "");
    fail(call, text);
}

static void on_reply(void *context, const struct mcp_reply *reply)
{
    struct mcp_remote_call *call = context;
    struct mcp_remote *remote = call->remote;
    call->request = 0;
    if (reply->trouble == MCP_OK) {
        mcp_content_append(reply->result, &call->text, &call->media);
        call->failed = call->kind == MCP_KIND_TOOL && mcp_result_failed(reply->result);
        if (call->text.len == 0)
            buf_append_text(&call->text, "(the result is empty)");
        show(call);
        remote->renewed = false;
    } else {
        fail_with(call, reply);
    }
    mcp_remote_run_waiting(remote);
}

// Of resources or prompts; what was shown of earlier pages stays when a later one fails.
static void on_page(void *context, const struct mcp_reply *page, bool last)
{
    struct mcp_remote_call *call = context;
    if (page->trouble == MCP_OK)
        mcp_list_append(page->result, &call->text);
    if (last)
        on_reply(call, page);
}

/* Beginning */

// That it comes is enough: it puts off the end of the call's time.
static void on_progress(void *context, struct json_value params) {}

static bool is_busy(const struct mcp_remote *remote)
{
    list_for_each(link, &remote->calls)
        if (list_entry(link, struct mcp_remote_call, link)->request)
            return true;
    return false;
}

static int may_call(const struct mcp_remote *remote, const struct mcp_tool *tool, struct error *err)
{
    if (!tool || tool->state == MCP_TOOL_EXCLUDED || tool->state == MCP_TOOL_QUARANTINED)
        return error_set(err, -ENOENT, "the MCP server %s has no such tool any more",
                         remote->config.name);
    if (tool->state == MCP_TOOL_CHANGED)
        return error_set(err, -EPERM,
                         "not run: the MCP server %s has changed what this tool says of itself, "
                         "and its owner has not accepted that yet (hermes mcp accept %s)",
                         remote->config.name, remote->config.name);
    return 0;
}

static int write_headers(struct mcp_remote_call *call, const struct mcp_tool *tool,
                         struct json_value arguments, struct error *err)
{
    JSON_AUTO schema = JSON_INIT;
    if (!tool->mirrored)
        return 0;
    int r = json_parse(&schema, span_of(tool->parameters), err);
    return r < 0 ? r : mcp_param_headers(json_root(&schema), arguments, &call->headers, err);
}

// By the list as it is now. What has changed beyond what its owner has accepted is not called.
static int write_headers_anew(struct mcp_remote_call *call, struct error *err)
{
    const struct mcp_tool *tool = mcp_catalogue_find(&call->remote->catalogue, call->tool);
    JSON_AUTO params = JSON_INIT;
    mcp_lines_free(STEAL(call->headers));
    int r = may_call(call->remote, tool, err);
    if (r == 0)
        r = json_parse(&params, buf_span(&call->params), err);
    return r < 0 ? r : write_headers(call, tool, json_get(json_root(&params), "arguments"), err);
}

static void send_call(struct mcp_remote_call *call)
{
    struct mcp_remote *remote = call->remote;
    struct error err = ERROR_INIT;
    static const char *const methods[] = {
        [MCP_KIND_TOOL] = "tools/call",
        [MCP_KIND_LIST_RESOURCES] = "resources/list",
        [MCP_KIND_READ_RESOURCE] = "resources/read",
        [MCP_KIND_LIST_PROMPTS] = "prompts/list",
        [MCP_KIND_GET_PROMPT] = "prompts/get",
    };
    struct mcp_request request = {
        .method = methods[call->kind],
        .params = buf_span(&call->params),
        .name = call->name,
        .repeatable = call->repeatable,
        .on_progress = on_progress,
    };
    loop_cancel(remote->env->loop, call->deadline);
    call->deadline = 0;
    call->waits = false;
    call->renewals = remote->renewals;
    if (STEAL(call->outdated) && write_headers_anew(call, &err) < 0) {
        fail(call, err.text);
        return;
    }
    request.headers = (const char *const *)call->headers;
    call->request = call->name
                        ? mcp_client_request(remote->client, &request, on_reply, call, &err)
                        : mcp_client_list(remote->client, request.method, on_page, call, &err);
    if (!call->request)
        fail(call, err.text);
}

void mcp_remote_run_waiting(struct mcp_remote *remote)
{
    bool any = !list_empty(&remote->calls);
    if (any && remote->state == MCP_READY && mcp_remote_grant_ends(remote))
        remote->ops->renew_soon(remote);
    while (any && remote->state == MCP_READY && !remote->renewing &&
           (remote->config.parallel || !is_busy(remote))) {
        any = false;
        list_for_each(link, &remote->calls) {
            struct mcp_remote_call *call = list_entry(link, struct mcp_remote_call, link);
            if (!call->waits || (call->outdated && remote->listing))
                continue;
            any = true;
            send_call(call);
            break; // whoever heard that one failed may have changed the list
        }
    }
}

static void fail_unreachable(struct mcp_remote_call *call)
{
    const struct mcp_remote *remote = call->remote;
    int64_t wait_ms = remote->next_ms - loop_now(remote->env->loop);
    CLEANUP(mem_cleanup)
    char *text = mem_printf("the MCP server %s cannot be reached: %s. Its tools stay known; it is "
                            "tried again in %" PRId64 " s, and with the next call",
                            remote->config.name, *remote->error ? remote->error : "no answer yet",
                            wait_ms > 0 ? (wait_ms + 999) / 1000 : 0);
    fail(call, text);
}

void mcp_remote_fail_waiting(struct mcp_remote *remote)
{
    struct list failing = LIST_INIT(failing), *link;
    list_for_each(each, &remote->calls)
        if (list_entry(each, struct mcp_remote_call, link)->waits) {
            list_remove(each);
            list_append(&failing, each);
        }
    while ((link = list_shift(&failing)))
        fail_unreachable(list_entry(link, struct mcp_remote_call, link));
}

// One that waits behind others only has the time that its turn has.
static void on_deadline(void *context)
{
    struct mcp_remote_call *call = context;
    call->deadline = 0;
    if (call->remote->state != MCP_READY)
        fail_unreachable(call);
}

// Of a call whose run waits here, and not for the server. False: there is none.
static bool settle_one(struct mcp_remote *remote)
{
    list_for_each(link, &remote->calls) {
        struct mcp_remote_call *call = list_entry(link, struct mcp_remote_call, link);
        bool asks = !list_empty(&call->questions);
        if (!call->run || (!call->over && !asks))
            continue;
        if (call->over)
            show(call);
        else
            mcp_call_ask(call);
        return true;
    }
    return false;
}

static void on_soon(void *context)
{
    struct mcp_remote *remote = context;
    remote->soon = 0;
    while (settle_one(remote))
        ;
    remote->ops->hurry(remote);
    mcp_remote_run_waiting(remote);
}

// Nothing ends inside of what the toolbox or the client calls.
void mcp_remote_look_soon(struct mcp_remote *remote)
{
    loop_cancel(remote->env->loop, remote->soon);
    remote->soon = loop_defer(remote->env->loop, on_soon, remote);
}

void mcp_remote_finish_calls(struct mcp_remote *remote)
{
    list_for_each(link, &remote->calls)
        destroy(list_entry(link, struct mcp_remote_call, link));
}

static struct mcp_remote_call *find_kept(const struct mcp_remote *remote,
                                         const struct tool_call_context *context)
{
    list_for_each(link, &remote->calls) {
        struct mcp_remote_call *call = list_entry(link, struct mcp_remote_call, link);
        if (!call->run && strcmp(call->turn, context->turn) == 0 &&
            strcmp(call->key, context->call) == 0)
            return call;
    }
    return NULL;
}

static void go_on(struct mcp_remote_call *call, const struct tool_call_context *context,
                  struct tool_run *run)
{
    call->run = run;
    tool_run_set_handle(run, (union tool_handle){.pointer = call});
    mcp_call_take_reply(call, context);
    mcp_remote_look_soon(call->remote);
}

static void forget(struct tool_source *source, const char *work)
{
    struct mcp_remote *remote = CONTAINER_OF(source, struct mcp_remote, source);
    list_for_each(link, &remote->calls) {
        struct mcp_remote_call *call = list_entry(link, struct mcp_remote_call, link);
        if (call->run || (strcmp(call->turn, work) != 0 && strcmp(call->session, work) != 0))
            continue;
        if (call->request)
            mcp_client_cancel(remote->client, call->request);
        destroy(call);
    }
    mcp_remote_look_soon(remote); // others may have waited for them
}

void mcp_remote_fail_running(struct mcp_remote *remote)
{
    struct list failing = LIST_INIT(failing), *link;
    list_for_each(each, &remote->calls)
        if (list_entry(each, struct mcp_remote_call, link)->request) {
            list_remove(each);
            list_append(&failing, each);
        }
    while ((link = list_shift(&failing)))
        fail(list_entry(link, struct mcp_remote_call, link),
             "the connection to the MCP server was ended; it may have acted on the call");
}

static int need_name(struct mcp_remote_call *call, struct json_value arguments, const char *key,
                     struct error *err)
{
    call->name = json_strdup(json_get(arguments, key), NAME_MAX_BYTES);
    return call->name && *call->name
               ? 0
               : error_set(err, -EINVAL, "the parameter \"%s\" must be a text", key);
}

// Of a tool: its name and the model's own bytes; of the others what their schema says.
static int write_params(struct mcp_remote_call *call, const struct mcp_tool *tool,
                        struct json_value arguments, struct error *err)
{
    struct span given = json_raw(arguments);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(given.len + DOCUMENT_SMALL);
    struct node root = document_object(&doc);
    int r = 0;
    if (tool->kind == MCP_KIND_TOOL)
        call->name = mem_strdup(tool->original);
    else if (tool->kind == MCP_KIND_READ_RESOURCE)
        r = need_name(call, arguments, "uri", err);
    else if (tool->kind == MCP_KIND_GET_PROMPT)
        r = need_name(call, arguments, "name", err);
    if (tool->kind == MCP_KIND_GET_PROMPT)
        given = json_raw(json_get(arguments, "arguments"));
    if (r == 0 && call->name)
        node_add_text(root, tool->kind == MCP_KIND_READ_RESOURCE ? "uri" : "name", call->name);
    if (r == 0 && (tool->kind == MCP_KIND_TOOL || tool->kind == MCP_KIND_GET_PROMPT))
        node_add_raw(root, "arguments", given.len ? given : SPAN_LITERAL("{}"));
    buf_init(&call->params, given.len + DOCUMENT_SMALL);
    return r < 0 ? r : document_print(&doc, &call->params, err);
}

static int start(struct tool_source *source, const struct tool_call *wanted, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    struct mcp_remote *remote = CONTAINER_OF(source, struct mcp_remote, source);
    const struct mcp_tool *tool = mcp_catalogue_find(&remote->catalogue, wanted->tool);
    const struct tool_call_context *context = wanted->context;
    struct mcp_remote_call *kept = context->call ? find_kept(remote, context) : NULL;
    size_t running = 0;
    (void)out;
    if (kept) {
        go_on(kept, context, run);
        return 0;
    }
    if (context->reply != TOOL_BEGINS && !(tool && tool->flags & TOOL_REPEATABLE))
        return error_set(err, -ECANCELED,
                         "interrupted: the MCP server %s, or Hermes, was restarted while its "
                         "question was open; it may have had an effect",
                         remote->config.name);
    int r = may_call(remote, tool, err);
    if (r < 0)
        return r;
    list_for_each(link, &remote->calls)
        running++;
    if (running == CALLS_MAX)
        return error_set(err, -EBUSY, "the MCP server %s has %d calls to answer already",
                         remote->config.name, CALLS_MAX);
    struct mcp_remote_call *call = mem_new(struct mcp_remote_call);
    call->remote = remote;
    call->run = run;
    call->kind = tool->kind;
    call->waits = true;
    call->repeatable = tool->flags & TOOL_REPEATABLE;
    if (context->call) {
        call->turn = mem_strdup(context->turn);
        call->session = mem_strdup(context->session);
        call->key = mem_strdup(context->call);
    }
    list_init(&call->questions);
    list_append(&remote->calls, &call->link);
    buf_init(&call->text, RPC_MESSAGE_MAX);
    memcpy(call->tool, tool->name, sizeof call->tool);
    r = write_params(call, tool, wanted->arguments, err);
    if (r == 0)
        r = write_headers(call, tool, wanted->arguments, err);
    if (r < 0) {
        destroy(call);
        return r;
    }
    ++*remote->calls_made;
    tool_run_set_handle(run, (union tool_handle){.pointer = call});
    call->deadline = loop_timer_after(
        remote->env->loop,
        remote->config.connect_ms < WAIT_MAX_MS ? remote->config.connect_ms : WAIT_MAX_MS,
        on_deadline, call);
    mcp_remote_look_soon(remote);
    return 0;
}

static bool cancel(struct tool_source *source, const char *tool, union tool_handle handle)
{
    struct mcp_remote *remote = CONTAINER_OF(source, struct mcp_remote, source);
    struct mcp_remote_call *call = handle.pointer;
    (void)tool;
    bool sent = call->request ? mcp_client_cancel(remote->client, call->request)
                              : !call->waits; // its result is being written down
    destroy(call);
    return sent;
}

const struct tool_source_ops mcp_remote_ops = {describe, start, cancel, forget};
