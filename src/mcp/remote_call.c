#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/document.h"
#include "mcp/content.h"
#include "mcp/param_headers.h"
#include "mcp/remote.h"
#include "mcp/rpc.h"
#include "tools/capture.h"
#include "tools/tool_run.h"

struct remote_call {
    struct list link; // mcp_remote::calls
    struct mcp_remote *remote;
    struct tool_run *run;
    enum mcp_tool_kind kind;
    char *name;        // of the tool there, the prompt, or the resource's URI; NULL: of a list
    struct buf params; // of the request; of a list there are none
    char **headers;    // that repeat some of them; NULL: none
    bool repeatable;
    bool waits;             // to be sent
    bool again;             // was refused for its headers once
    unsigned renewals;      // of the headers it was sent with
    mcp_request_id request; // 0: it waits, or is over
    loop_id deadline;       // of its waiting for a connection
    struct buf text;        // of its result
    size_t kept;            // bytes of that which the capture has
    bool failed;
    struct capture capture; // of a result that is too long to be shown
};

/*
 * A call waits while its server is being connected, and behind another one where the server takes
 * one at a time. Whatever comes back is somebody else's text.
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

static void destroy(struct remote_call *call)
{
    list_remove(&call->link);
    loop_cancel(call->remote->env->loop, call->deadline);
    if (call->capture.loop)
        capture_finish(&call->capture);
    buf_finish(&call->params);
    buf_finish(&call->text);
    mcp_lines_free(call->headers);
    free(call->name);
    free(call);
}

static void end(struct remote_call *call, struct span text, bool failed)
{
    struct mcp_remote *remote = call->remote;
    struct tool_run *run = call->run;
    *remote->calls_failed += failed;
    destroy(call);
    tool_run_end(run,
                 &(struct tool_result){.text = text, .failed = failed, .tainted = true, .ms = -1});
}

static void fail(struct remote_call *call, const char *text)
{
    end(call, span_of(text), true);
}

/* Results */

static void on_kept(void *context)
{
    struct remote_call *call = context;
    BUF_AUTO shown = BUF_INIT(TOOL_TEXT_MAX);
    capture_show(&call->capture, &shown);
    end(call, buf_span(&shown), call->failed);
}

static void feed(struct remote_call *call)
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

static void show(struct remote_call *call)
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

static void fail_with(struct remote_call *call, const struct mcp_reply *reply)
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
    if (denied)
        mcp_remote_explain_denial(remote, &err);
    CLEANUP(mem_cleanup)
    char *text =
        mem_printf("%s%s", err.text, reply->maybe_done ? "; it may have acted on the call" : "");
    fail(call, text);
}

static void on_reply(void *context, const struct mcp_reply *reply)
{
    struct remote_call *call = context;
    struct mcp_remote *remote = call->remote;
    call->request = 0;
    if (reply->trouble == MCP_OK) {
        mcp_content_append(reply->result, &call->text);
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
    struct remote_call *call = context;
    if (page->trouble == MCP_OK)
        mcp_list_append(page->result, &call->text);
    if (last)
        on_reply(call, page);
}

/* Beginning */

static bool is_busy(const struct mcp_remote *remote)
{
    list_for_each(link, &remote->calls)
        if (list_entry(link, struct remote_call, link)->request)
            return true;
    return false;
}

static void send_call(struct remote_call *call)
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
        .headers = (const char *const *)call->headers,
        .repeatable = call->repeatable,
    };
    loop_cancel(remote->env->loop, call->deadline);
    call->deadline = 0;
    call->waits = false;
    call->renewals = remote->renewals;
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
            struct remote_call *call = list_entry(link, struct remote_call, link);
            if (!call->waits)
                continue;
            any = true;
            send_call(call);
            break; // whoever heard that one failed may have changed the list
        }
    }
}

static void fail_unreachable(struct remote_call *call)
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
        if (list_entry(each, struct remote_call, link)->waits) {
            list_remove(each);
            list_append(&failing, each);
        }
    while ((link = list_shift(&failing)))
        fail_unreachable(list_entry(link, struct remote_call, link));
}

// One that waits behind others only has the time that its turn has.
static void on_deadline(void *context)
{
    struct remote_call *call = context;
    call->deadline = 0;
    if (call->remote->state != MCP_READY)
        fail_unreachable(call);
}

static void on_soon(void *context)
{
    struct mcp_remote *remote = context;
    remote->soon = 0;
    remote->ops->hurry(remote);
    mcp_remote_run_waiting(remote);
}

void mcp_remote_fail_running(struct mcp_remote *remote)
{
    struct list failing = LIST_INIT(failing), *link;
    list_for_each(each, &remote->calls)
        if (list_entry(each, struct remote_call, link)->request) {
            list_remove(each);
            list_append(&failing, each);
        }
    while ((link = list_shift(&failing)))
        fail(list_entry(link, struct remote_call, link),
             "the connection to the MCP server was ended; it may have acted on the call");
}

static int need_name(struct remote_call *call, struct json_value arguments, const char *key,
                     struct error *err)
{
    call->name = json_strdup(json_get(arguments, key), NAME_MAX_BYTES);
    return call->name && *call->name
               ? 0
               : error_set(err, -EINVAL, "the parameter \"%s\" must be a text", key);
}

// Of a tool: its name and the model's own bytes; of the others what their schema says.
static int write_params(struct remote_call *call, const struct mcp_tool *tool,
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

static int write_headers(struct remote_call *call, const struct mcp_tool *tool,
                         struct json_value arguments, struct error *err)
{
    JSON_AUTO schema = JSON_INIT;
    if (!tool->mirrored)
        return 0;
    int r = json_parse(&schema, span_of(tool->parameters), err);
    return r < 0 ? r : mcp_param_headers(json_root(&schema), arguments, &call->headers, err);
}

static int start(struct tool_source *source, const struct tool_call *wanted, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    struct mcp_remote *remote = CONTAINER_OF(source, struct mcp_remote, source);
    const struct mcp_tool *tool = mcp_catalogue_find(&remote->catalogue, wanted->tool);
    size_t running = 0;
    (void)out;
    if (!tool || tool->state == MCP_TOOL_EXCLUDED || tool->state == MCP_TOOL_QUARANTINED)
        return error_set(err, -ENOENT, "the MCP server %s has no such tool any more",
                         remote->config.name);
    if (tool->state == MCP_TOOL_CHANGED)
        return error_set(err, -EPERM,
                         "not run: the MCP server %s has changed what this tool says of itself, "
                         "and its owner has not accepted that yet (hermes mcp accept %s)",
                         remote->config.name, remote->config.name);
    list_for_each(link, &remote->calls)
        running++;
    if (running == CALLS_MAX)
        return error_set(err, -EBUSY, "the MCP server %s has %d calls to answer already",
                         remote->config.name, CALLS_MAX);
    struct remote_call *call = mem_new(struct remote_call);
    call->remote = remote;
    call->run = run;
    call->kind = tool->kind;
    call->waits = true;
    call->repeatable = tool->flags & TOOL_REPEATABLE;
    list_append(&remote->calls, &call->link);
    buf_init(&call->text, RPC_MESSAGE_MAX);
    int r = write_params(call, tool, wanted->arguments, err);
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
    loop_cancel(remote->env->loop, remote->soon);
    remote->soon = loop_defer(remote->env->loop, on_soon, remote); // nothing ends in here
    return 0;
}

static bool cancel(struct tool_source *source, const char *tool, union tool_handle handle)
{
    struct mcp_remote *remote = CONTAINER_OF(source, struct mcp_remote, source);
    struct remote_call *call = handle.pointer;
    (void)tool;
    bool sent = call->request ? mcp_client_cancel(remote->client, call->request)
                              : !call->waits; // its result is being written down
    destroy(call);
    return sent;
}

const struct tool_source_ops mcp_remote_ops = {describe, start, cancel};
