#include "serve/mcp_face.h"

#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/approval_policy.h"
#include "base/hash.h"
#include "base/mem.h"
#include "serve/control_internal.h"
#include "serve/mcp_face_internal.h"
#include "tools/toolbox.h"

enum { TOOL_MS = 10 * 60 * 1000 }; // that a call of a tool may take

const struct option mcp_serve_options[] = {
    {.key = "mcp.serve.tools",
     .type = OPTION_LIST,
     .offset = offsetof(struct mcp_serve_config, tools),
     .help = "tools that clients of MCP may call, by name; else those that only read, and ask"},
    {.key = "mcp.serve.hosts",
     .type = OPTION_LIST,
     .offset = offsetof(struct mcp_serve_config, hosts),
     .help = "host names by which clients of MCP reach /mcp, besides localhost and addresses"},
};
const size_t mcp_serve_option_count = ARRAY_LEN(mcp_serve_options);

static const char ask_name[] = "ask";

/* Tools */

static bool is_offered(const struct mcp_face *face, const char *name, unsigned flags)
{
    const struct option_list *tools = &face->config->tools;
    if (strcmp(name, "find_tools") == 0 || strcmp(name, "call_tool") == 0) // reach all the others
        return false;
    if (flags & TOOL_SENDS) // nobody reads an answer
        return false;
    if (!tools->count)
        return flags & TOOL_READS && !(flags & (TOOL_WRITES | TOOL_NETWORK | TOOL_NEEDS_APPROVAL));
    for (size_t i = 0; i < tools->count; i++)
        if (strcmp(tools->items[i], name) == 0)
            return true;
    return false;
}

static void add_tool(struct node list, const char *name, const char *description,
                     const char *parameters, unsigned flags)
{
    struct node tool = node_add_object(list, NULL);
    node_add_text(tool, "name", name);
    node_add_text(tool, "description", description);
    node_add_raw(tool, "inputSchema", span_of(parameters));
    struct node hints = node_add_object(tool, "annotations");
    node_add_bool(hints, "readOnlyHint", !(flags & (TOOL_WRITES | TOOL_NETWORK)));
    node_add_bool(hints, "openWorldHint", flags & TOOL_NETWORK);
}

static void write_tools(const struct mcp_face *face, struct node list)
{
    static const char parameters[] =
        "{\"type\":\"object\",\"properties\":{\"question\":{\"type\":\"string\"},"
        "\"conversation\":{\"type\":\"string\",\"description\":\"A name of your choice; the next "
        "question with the same name goes on from there\"}},\"required\":[\"question\"]}";
    const struct tool_set *set = toolbox_tools(face_agent(face)->toolbox);
    for (size_t i = 0; i < set->count; i++)
        if (is_offered(face, set->tools[i].name, set->tools[i].flags))
            add_tool(list, set->tools[i].name, set->tools[i].description, set->tools[i].parameters,
                     set->tools[i].flags);
    if (is_offered(face, ask_name, TOOL_READS))
        add_tool(list, ask_name,
                 "Ask Hermes, an agent with tools and a memory of its own, and wait for its answer",
                 parameters, TOOL_WRITES | TOOL_NETWORK);
}

static void list_tools(struct mcp_face *face, const struct mcp_asked *asked)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MCP_ANSWER_MAX);
    write_tools(face, node_add_array(document_object(&doc), "tools"));
    mcp_server_reply(face->server, asked->call, &doc);
}

// Clients are told when they would get another list, whatever it was that changed.
static void on_look(void *context)
{
    struct mcp_face *face = context;
    face->look = 0;
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MCP_ANSWER_MAX);
    BUF_AUTO text = BUF_INIT(MCP_ANSWER_MAX);
    write_tools(face, document_array(&doc));
    document_print(&doc, &text, NULL);
    uint64_t listed = hash_of(buf_span(&text)), before = face->listed;
    face->listed = listed;
    if (before && before != listed)
        mcp_server_changed(face->server, MCP_TOOLS_CHANGE);
}

void mcp_face_reloaded(struct mcp_face *face)
{
    if (!face->look)
        face->look = loop_defer(face->control->loop, on_look, face);
}

static void on_tools(void *context)
{
    mcp_face_reloaded(context);
}

struct tool_work {
    struct face_work work; // first
    tool_run_id run;
};

static void on_tool_end(void *context, const struct tool_result *result)
{
    struct tool_work *tool = context;
    face_reply_text(tool->work.face, tool->work.call, result->text, result->failed);
    face_work_end(&tool->work);
}

static void cancel_tool(struct face_work *work)
{
    struct tool_work *tool = (struct tool_work *)work;
    toolbox_cancel(face_agent(work->face)->toolbox, tool->run);
    face_work_end(work);
}

static void run_tool(struct mcp_face *face, const struct mcp_asked *asked, struct span arguments,
                     bool approved)
{
    struct toolbox *toolbox = face_agent(face)->toolbox;
    struct tool_call_context on_behalf = {
        .turn = "",
        .session = "",
        .origin = "api",
        .chat = "",
        .deadline_ms = loop_now(face->control->loop) + TOOL_MS,
        .approved = approved,
        .unattended = true,
    };
    struct tool_work *tool = face_work_begin(face, sizeof *tool, asked->call, cancel_tool);
    tool_run_id run = toolbox_run(toolbox, toolbox_tools(toolbox), &on_behalf, asked->name,
                                  arguments, on_tool_end, tool);
    if (run) // else it has ended already
        tool->run = run;
}

static void call_tool(struct mcp_face *face, const struct mcp_asked *asked)
{
    const struct agent_env *agent = face_agent(face);
    bool ask = strcmp(asked->name, ask_name) == 0;
    const struct tool_set_entry *entry =
        ask ? NULL : tool_set_find(toolbox_tools(agent->toolbox), asked->name);
    struct span arguments = json_raw(asked->arguments);
    if (!(ask || entry) || !is_offered(face, asked->name, ask ? TOOL_READS : entry->flags)) {
        mcp_server_fail_unknown(face->server, asked->call);
        return;
    }
    if (ask) {
        face_ask(face, asked);
        return;
    }
    if (!arguments.data)
        arguments = SPAN_LITERAL("{}");
    struct approval_call call = {
        .tool = asked->name,
        .flags = entry->flags,
        .arguments = arguments,
        .origin = "api",
        .taint = "",
    };
    struct approval_judgement judged = approval_judge(agent->config, &call);
    if (judged.decision != APPROVAL_RUNS)
        face_reply_text(face, asked->call, span_of(judged.why), true);
    else
        run_tool(face, asked, arguments, judged.cleared);
}

/* All of it */

static void on_request(void *context, const struct mcp_asked *asked)
{
    struct mcp_face *face = context;
    if (asked->verb == MCP_LIST_TOOLS)
        list_tools(face, asked);
    else if (asked->verb == MCP_CALL_TOOL)
        call_tool(face, asked);
    else
        face_resources(face, asked);
}

static void on_cancel(void *context, mcp_call_id call)
{
    struct mcp_face *face = context;
    list_for_each(link, &face->works) {
        struct face_work *work = list_entry(link, struct face_work, link);
        if (work->call != call)
            continue;
        work->cancel(work);
        return;
    }
}

struct mcp_face *mcp_face_create(const struct control_env *control,
                                 const struct mcp_serve_config *config)
{
    static const struct mcp_offer offer = {
        .name = "hermes",
        .version = HERMES_VERSION,
        .instructions = "Hermes is an agent. Ask it in plain language with the tool ask; the other "
                        "tools look at its workspace and its memory.",
        .offers = MCP_TOOLS | MCP_RESOURCES | MCP_TOOLS_CHANGE,
        .on_request = on_request,
        .on_cancel = on_cancel,
    };
    struct mcp_face *face = mem_new(struct mcp_face);
    face->control = control;
    face->config = config;
    list_init(&face->works);
    list_init(&face->questions);
    face->server = mcp_server_create(control->loop, &offer, face);
    toolbox_watch(face_agent(face)->toolbox, on_tools, face);
    on_look(face);
    return face;
}

void mcp_face_destroy(struct mcp_face *face)
{
    if (!face)
        return;
    toolbox_watch(face_agent(face)->toolbox, NULL, NULL);
    loop_cancel(face->control->loop, face->look);
    mcp_server_destroy(face->server);
    control_forget(&face->questions);
    list_for_each(link, &face->works) {
        struct face_work *work = list_entry(link, struct face_work, link);
        if (work->cancel == cancel_tool)
            cancel_tool(work);
        else
            face_work_end(work);
    }
    free(face);
}

struct mcp_server *mcp_face_server(struct mcp_face *face)
{
    return face->server;
}

void mcp_face_take(struct mcp_face *face, struct http_server *http, struct http_exchange *exchange,
                   bool bridge)
{
    struct mcp_http_rules rules = {face->config->hosts.items, face->config->hosts.count, bridge};
    mcp_server_take(face->server, http, exchange, &rules);
}
