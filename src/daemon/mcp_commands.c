#include "daemon/mcp_commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "mcp/servers.h"

enum { REPLY_MAX = 16 * 1024 }; // bytes

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

static void write_list(const struct mcp_servers *servers, struct buf *out)
{
    struct mcp_server_status status;
    for (size_t i = 0; mcp_servers_at(servers, i, &status); i++) {
        buf_printf(out, "%s%s: %s, %zu tools", i ? "\n" : "", status.name,
                   mcp_state_name(status.state), status.offered);
        if (status.changed)
            buf_printf(out, "; %zu have changed and wait for /mcp accept %s", status.changed,
                       status.name);
        if (*status.error)
            buf_printf(out, "\n  %s", status.error);
    }
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
    asked->fn(asked->context, buf_span(&reply));
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

static void ask(void *owner, struct span command, struct span rest, outside_reply_fn *fn,
                void *context)
{
    struct mcp_commands *commands = owner;
    struct error err = ERROR_INIT;
    BUF_AUTO reply = BUF_INIT(REPLY_MAX);
    struct span what = next_word(&rest), name = next_word(&rest);
    CLEANUP(mem_cleanup) char *server = mem_strndup(name.len ? name.data : "", name.len);
    int r = 0;
    if (command.len != strlen("/mcp")) {
        r = mcp_servers_reconnect(commands->servers, NULL, &err);
        buf_append_text(&reply, "Connecting all MCP servers anew; /mcp shows what comes of it.");
    } else if (what.len == 0) {
        write_list(commands->servers, &reply);
    } else if (span_is(what, "accept") && name.len) {
        r = mcp_servers_accept(commands->servers, server, &err);
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
    fn(context, buf_span(&reply));
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

void mcp_commands_init(struct mcp_commands *commands, struct mcp_servers *servers)
{
    *commands = (struct mcp_commands){.servers = servers, .outside = {ask, forget, commands}};
    list_init(&commands->logins);
}
