#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mcp/catalogue.h"
#include "mcp/servers.h"
#include "serve/control_internal.h"
#include "tools/toolbox.h"

/*
 * The configured servers of the Model Context Protocol: /mcp-servers tells of all of them, and when
 * something is posted there connects them anew first; /mcp-servers/NAME tells of one with its
 * tools, and what is posted there is done by its owner, who need not be asked.
 */
enum {
    NAME_SIZE = MCP_SERVER_NAME_MAX + 1,
    CALL_MS = 10 * 60 * 1000,
    ADDRESS_MAX = 16 * 1024, // bytes
    TRIAL_MS = 90 * 1000,    // for servers to be connected, or not
    LOOK_MS = 20,
};

static void add_server(struct node parent, const char *key, const struct mcp_server_status *status)
{
    struct node server = node_add_object(parent, key);
    node_add_text(server, "name", status->name);
    node_add_text(server, "state", mcp_state_name(status->state));
    node_add_string(server, "where", status->where);
    if (status->info) {
        node_add_text(server, "version", status->info->version);
        node_add_text(server, "era", status->info->modern ? "modern" : "legacy");
        node_add_text(server, "software", status->info->name);
        node_add_text(server, "software_version", status->info->software);
        node_add_text(server, "tried", status->info->tried);
    }
    if (*status->error)
        node_add_text(server, "error", status->error);
    node_add_int(server, "tools", (int64_t)status->offered);
    node_add_int(server, "changed", (int64_t)status->changed);
    node_add_int(server, "quarantined", (int64_t)status->quarantined);
    node_add_int(server, "excluded", (int64_t)status->excluded);
    node_add_int(server, "calls", status->calls);
    node_add_int(server, "failures", status->failures);
    node_add_int(server, "connects", status->connects);
    node_add_int(server, "connect_ms", status->connect_ms);
    node_add_int(server, "list_ms", status->list_ms);
    node_add_int(server, "failing_s", status->failing_ms / 1000);
}

void control_add_mcp(struct node parent, const struct control_env *env)
{
    struct mcp_server_status status;
    struct node list = node_add_array(parent, "mcp_servers");
    for (size_t i = 0; env->mcp_servers && mcp_servers_at(env->mcp_servers, i, &status); i++)
        add_server(list, NULL, &status);
}

static bool find(const struct control_env *env, const char *name, struct mcp_server_status *ret)
{
    for (size_t i = 0; mcp_servers_at(env->mcp_servers, i, ret); i++)
        if (strcmp(ret->name, name) == 0)
            return true;
    return false;
}

static void add_tools(struct node parent, const struct mcp_catalogue *catalogue)
{
    static const char *const states[] = {
        [MCP_TOOL_OFFERED] = "offered",
        [MCP_TOOL_CHANGED] = "changed",
        [MCP_TOOL_EXCLUDED] = "excluded",
        [MCP_TOOL_QUARANTINED] = "quarantined",
    };
    struct node list = node_add_array(parent, "list");
    for (size_t i = 0; i < catalogue->count; i++) {
        const struct mcp_tool *tool = &catalogue->tools[i];
        struct node node = node_add_object(list, NULL);
        node_add_text(node, "name", tool->name);
        node_add_text(node, "original", tool->original);
        node_add_text(node, "state", states[tool->state]);
        if (tool->why)
            node_add_text(node, "why", tool->why);
        node_add_text(node, "description", tool->description);
        if (tool->was_parameters) {
            node_add_text(node, "was_description", tool->was_description);
            node_add_raw(node, "was_parameters", span_of(tool->was_parameters));
        }
        node_add_bool(node, "reads", tool->flags & TOOL_READS);
        node_add_bool(node, "asks", tool->flags & TOOL_NEEDS_APPROVAL);
        if (tool->parameters)
            node_add_raw(node, "parameters", span_of(tool->parameters));
    }
}

static void reply(const struct control_question *question, struct document *doc)
{
    BUF_AUTO answer = BUF_INIT(CONTROL_ANSWER_MAX);
    control_print(doc, &answer);
    control_reply(question, 0, &answer, NULL);
}

static void on_called(void *context, const struct tool_result *result)
{
    struct control_question *kept = context;
    BUF_AUTO answer = BUF_INIT(CONTROL_ANSWER_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(CONTROL_ANSWER_MAX);
    struct node root = document_object(&doc);
    node_add_string(root, "text", result->text);
    node_add_bool(root, "failed", result->failed);
    node_add_int(root, "ms", result->ms);
    control_print(&doc, &answer);
    control_finish(kept, 0, &answer, NULL);
}

static void call(const struct control_question *question, const char *server, const char *tool,
                 struct span arguments)
{
    const struct mcp_catalogue *catalogue =
        mcp_servers_catalogue(question->env->mcp_servers, server);
    struct toolbox *toolbox = question->env->toolbox;
    struct tool_call_context owner = {
        .turn = "",
        .session = "",
        .origin = "owner",
        .chat = "",
        .deadline_ms = loop_now(question->env->loop) + CALL_MS,
        .approved = true,
    };
    for (size_t i = 0; i < catalogue->count; i++)
        if (strcmp(catalogue->tools[i].original, tool) == 0)
            tool = catalogue->tools[i].name;
    struct control_question *kept = control_question_keep(question, sizeof *kept);
    struct tool_set *set = tool_set_ref(toolbox_tools(toolbox));
    tool_run_id run = toolbox_run(toolbox, set, &owner, tool, arguments, on_called, kept);
    if (run) // else it is answered, and kept is gone
        kept->run = run;
    tool_set_unref(set);
}

static void on_login(void *context, const char *page, const struct error *err)
{
    struct control_question *kept = context;
    BUF_AUTO answer = BUF_INIT(CONTROL_ANSWER_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node root = document_object(&doc);
    if (page)
        node_add_text(root, "page", page);
    node_add_text(root, "redirect_uri", kept->redirect_uri);
    control_print(&doc, &answer);
    control_finish(kept, err ? err->code : 0, &answer, err);
}

// The page to open, or with an address where that has led, the end.
static void log_in(const struct control_question *question, const char *name, const char *address)
{
    struct control_question *kept = control_question_keep(question, sizeof *kept);
    struct mcp_login login = {on_login, kept};
    struct error err = ERROR_INIT;
    kept->redirect_uri = mcp_servers_redirect_uri(question->env->mcp_servers, name);
    int r = address ? mcp_servers_redirected(question->env->mcp_servers, name, span_of(address),
                                             &login, &err)
                    : mcp_servers_login(question->env->mcp_servers, name, &login, &err);
    if (r < 0)
        control_finish(kept, r, NULL, &err);
}

/* Trying them */

struct trial { // of one server, or of all
    struct control_question question;
    char name[NAME_SIZE]; // "": all
    int64_t until_ms;
};

static void on_trial(void *context)
{
    struct trial *trial = context;
    const struct control_env *env = trial->question.env;
    BUF_AUTO answer = BUF_INIT(CONTROL_ANSWER_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(CONTROL_ANSWER_MAX);
    trial->question.timer = 0;
    if (!mcp_servers_settled(env->mcp_servers, *trial->name ? trial->name : NULL) &&
        loop_now(env->loop) < trial->until_ms) {
        trial->question.timer = loop_timer_after(env->loop, LOOK_MS, on_trial, trial);
        return;
    }
    control_add_mcp(document_object(&doc), env);
    control_print(&doc, &answer);
    control_finish(&trial->question, 0, &answer, NULL);
}

// Ends their connections, makes others, and tells what came of that.
static void try(const struct control_question *question, const char *name)
{
    struct trial *trial = control_question_keep(question, sizeof *trial);
    snprintf(trial->name, sizeof trial->name, "%s", name);
    trial->until_ms = loop_now(question->env->loop) + TRIAL_MS;
    mcp_servers_reconnect(question->env->mcp_servers, *name ? name : NULL, NULL);
    trial->question.timer = loop_timer_after(question->env->loop, 0, on_trial, trial);
}

static void act(const struct control_question *question, const char *name)
{
    JSON_AUTO doc = JSON_INIT;
    DOCUMENT_AUTO answer = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct error err = ERROR_INIT;
    int r = json_parse(&doc, question->body, &err);
    struct json_value what = json_get(json_root(&doc), "do");
    CLEANUP(mem_cleanup)
    char *tool = json_strdup(json_get(json_root(&doc), "tool"), MCP_TOOL_ORIGINAL_MAX);
    if (r == 0 && json_is(what, "call") && tool) {
        call(question, name, tool, json_raw(json_get(json_root(&doc), "arguments")));
        return;
    }
    if (r == 0 && json_is(what, "test")) {
        try(question, name);
        return;
    }
    if (r == 0 && json_is(what, "login")) {
        CLEANUP(mem_cleanup)
        char *address = json_strdup(json_get(json_root(&doc), "address"), ADDRESS_MAX);
        log_in(question, name, address);
        return;
    }
    if (r == 0 && json_is(what, "logout"))
        r = mcp_servers_logout(question->env->mcp_servers, name, &err);
    else if (r == 0 && json_is(what, "accept"))
        r = mcp_servers_accept(question->env->mcp_servers, name, NULL, &err);
    else if (r == 0 && json_is(what, "reconnect"))
        r = mcp_servers_reconnect(question->env->mcp_servers, name, &err);
    else if (r == 0)
        r = error_set(
            &err, -EINVAL,
            "the body must be {\"do\": ...}: accept, reconnect, test, login, logout, or call "
            "with \"tool\" and \"arguments\"");
    if (r < 0) {
        control_reply(question, r, NULL, &err);
        return;
    }
    node_add_int(document_object(&answer), "tools", r);
    reply(question, &answer);
}

void control_ask_mcp(const struct control_question *question, struct span rest)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(CONTROL_ANSWER_MAX);
    struct mcp_server_status status;
    char name[NAME_SIZE] = "";
    if (!question->env->mcp_servers) {
        control_refuse(question, 409, "no agent runs here, so no MCP servers are connected");
        return;
    }
    if (rest.len == 0 && span_is(question->method, "POST")) {
        try(question, "");
        return;
    }
    if (rest.len == 0) {
        control_add_mcp(document_object(&doc), question->env);
        reply(question, &doc);
        return;
    }
    if (rest.len < sizeof name)
        memcpy(name, rest.data, rest.len);
    if (!find(question->env, name, &status)) {
        control_refuse(question, 404, "no MCP server of that name is configured");
    } else if (span_is(question->method, "POST")) {
        act(question, name);
    } else {
        struct node root = document_object(&doc);
        add_server(root, "server", &status);
        add_tools(root, mcp_servers_catalogue(question->env->mcp_servers, name));
        reply(question, &doc);
    }
}
