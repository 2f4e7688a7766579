#include "daemon/mcp_commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/visible.h"
#include "mcp/catalogue.h"
#include "mcp/servers.h"

enum {
    REPLY_MAX = 48 * 1024, // bytes
    CHANGE_MAX = 16 * 1024 // bytes of what has changed of one server
};

struct asked { // a login whose answer a conversation waits for
    struct list link;
    outside_reply_fn *fn;
    void *context;
    char *server;
};

static void asked_destroy(struct asked *asked)
{
    list_remove(&asked->link);
    free(asked->server);
    free(asked);
}

// In a block of its own, which nothing in the text ends.
static void write_text(struct buf *out, const char *label, const char *text)
{
    buf_printf(out, "\n%s:\n```\n", label);
    visible_write(span_of(*text ? text : "(nothing)"), "`", '\'', out);
    buf_append_text(out, "\n```");
}

static void write_change(const struct mcp_tool *tool, struct buf *out)
{
    bool known = tool->was_parameters;
    buf_printf(out, "\n\nTool %s%s", tool->name,
               known ? "" : "; how it was accepted is not known any more");
    if (!known || strcmp(tool->was_description, tool->description) != 0) {
        if (known)
            write_text(out, "It said", tool->was_description);
        write_text(out, "It says now", tool->description);
    }
    if (!known || strcmp(tool->was_parameters, tool->parameters) != 0) {
        if (known)
            write_text(out, "Its parameters were", tool->was_parameters);
        write_text(out, "Its parameters are now", tool->parameters);
    }
}

// With the button, which takes nothing but what is shown here.
static void write_changes(const struct mcp_servers *servers, const struct mcp_server_status *status,
                          struct buf *out, struct buf *buttons)
{
    BUF_AUTO text = BUF_INIT(CHANGE_MAX);
    const struct mcp_catalogue *catalogue = mcp_servers_catalogue(servers, status->name);
    for (size_t i = 0; i < catalogue->count; i++)
        if (catalogue->tools[i].state == MCP_TOOL_CHANGED)
            write_change(&catalogue->tools[i], &text);
    buf_printf(out, "; %zu have changed and wait for /mcp accept %s", status->changed,
               status->name);
    if (buf_is_full(&text) || !buf_append_span(out, buf_span(&text)))
        buf_printf(out, "\n  What has changed is too long for here; hermes mcp tools %s shows it.",
                   status->name);
    else
        buf_printf(buttons, "%s{\"text\":\"✅ Accept %s\",\"data\":\"/mcp accept %s %s\"}",
                   buttons->len ? "," : "[", status->name, status->name, status->change);
}

static void write_list(const struct mcp_servers *servers, struct buf *out, struct buf *buttons)
{
    struct mcp_server_status status;
    for (size_t i = 0; mcp_servers_at(servers, i, &status); i++) {
        buf_printf(out, "%s%s: %s, %zu tool%s", i ? "\n" : "", status.name,
                   mcp_state_name(status.state), status.offered, status.offered == 1 ? "" : "s");
        if (status.changed)
            write_changes(servers, &status, out, buttons);
        if (*status.error)
            buf_printf(out, "\n  %s", status.error);
    }
    buf_append_text(buttons, buttons->len ? "]" : "");
    if (!out->len)
        buf_append_text(out, "No MCP servers are configured.");
}

static void on_login(void *context, const char *page, const struct error *err)
{
    struct asked *asked = context;
    BUF_AUTO reply = BUF_INIT(REPLY_MAX);
    if (err)
        buf_printf(&reply, "That failed: %s", err->text);
    else if (page)
        buf_printf(&reply,
                   "Open this page:\n%s\n\nIn the end your browser shows an error, since it looks "
                   "for Hermes on its own machine. Copy the address it shows then, and send it "
                   "within 15 minutes:\n/mcp login %s ADDRESS",
                   page, asked->server);
    else
        buf_printf(&reply, "Logged in to %s.", asked->server);
    asked->fn(asked->context, buf_span(&reply), SPAN_ABSENT);
    asked_destroy(asked);
}

// Negative: nothing follows.
static int log_in(struct mcp_commands *commands, const char *server, struct span address,
                  outside_reply_fn *fn, void *context, struct error *err)
{
    struct asked *asked = mem_new(struct asked);
    struct mcp_login login = {on_login, asked};
    *asked = (struct asked){.fn = fn, .context = context, .server = mem_strdup(server)};
    list_append(&commands->logins, &asked->link);
    int r = address.len ? mcp_servers_redirected(commands->servers, server, address, &login, err)
                        : mcp_servers_login(commands->servers, server, &login, err);
    if (r < 0)
        asked_destroy(asked);
    return r;
}

static struct span next_word(struct span *rest)
{
    *rest = span_trim(*rest);
    return span_cut(rest, ' ');
}

static void ask(void *owner, struct span command, struct span rest,
                const struct store_address *from, outside_reply_fn *fn, void *context)
{
    struct mcp_commands *commands = owner;
    struct error err = ERROR_INIT;
    BUF_AUTO reply = BUF_INIT(REPLY_MAX), buttons = BUF_INIT(REPLY_MAX);
    struct span what = next_word(&rest), name = next_word(&rest);
    CLEANUP(mem_cleanup) char *server = mem_strndup(name.len ? name.data : "", name.len);
    int r = 0;
    if (command.len == strlen("/reload")) {
        r = commands->reload
                ? commands->reload(commands->reload_context, &reply, &err)
                : error_set(&err, -ENOTSUP,
                            "hermes chat reads the configuration when it begins: /quit, and begin "
                            "a new one");
    } else if (command.len != strlen("/mcp") &&
               mcp_servers_at(commands->servers, 0, &(struct mcp_server_status){0})) {
        r = mcp_servers_reconnect(commands->servers, NULL, &err);
        buf_append_text(&reply, "Connecting all MCP servers anew; /mcp shows what comes of it.");
    } else if (what.len == 0 || command.len != strlen("/mcp")) {
        write_list(commands->servers, &reply, &buttons);
    } else if (span_is(what, "accept") && name.len) {
        struct span change = next_word(&rest);
        CLEANUP(mem_cleanup) char *shown = mem_strndup(change.len ? change.data : "", change.len);
        r = mcp_servers_accept(commands->servers, server, change.len ? shown : NULL, &err);
        buf_printf(&reply, "Took the tools of %s as they are now; %d of them had waited.", server,
                   r);
    } else if (span_is(what, "logout") && name.len) {
        r = mcp_servers_logout(commands->servers, server, &err);
        buf_printf(&reply, "Forgot what %s had granted.", server);
    } else if (span_is(what, "login") && name.len) {
        r = log_in(commands, server, span_trim(rest), fn, context, &err);
        if (r == 0)
            return; // on_login() follows
    } else {
        buf_append_text(&reply, "It is: /mcp, /mcp accept NAME, /mcp login NAME [ADDRESS], "
                                "/mcp logout NAME");
    }
    if (r < 0) {
        buf_clear(&reply);
        buf_printf(&reply, "That failed: %s", err.text);
    }
    fn(context, buf_span(&reply), buf_span(&buttons));
}

static void forget(void *owner, const void *context)
{
    struct mcp_commands *commands = owner;
    list_for_each(link, &commands->logins) {
        struct asked *asked = list_entry(link, struct asked, link);
        if (asked->context != context)
            continue;
        mcp_servers_forget(commands->servers, asked);
        asked_destroy(asked);
    }
}

static char *news(void *owner)
{
    const struct mcp_commands *commands = owner;
    struct mcp_server_status status;
    BUF_AUTO text = BUF_INIT(REPLY_MAX);
    for (size_t i = 0; mcp_servers_at(commands->servers, i, &status); i++)
        if (status.news)
            buf_printf(&text,
                       "%sThe MCP server %s has changed what %zu of its tools say of themselves. "
                       "They wait until you accept that: /mcp",
                       text.len ? ". " : "", status.name, status.changed);
    return text.len ? buf_take_text(&text) : NULL;
}

static void told(void *owner)
{
    mcp_servers_told(((struct mcp_commands *)owner)->servers);
}

void mcp_commands_init(struct mcp_commands *commands, struct mcp_servers *servers)
{
    *commands =
        (struct mcp_commands){.servers = servers, .outside = {ask, forget, news, told, commands}};
    list_init(&commands->logins);
}
