#include "mcp/servers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "mcp/hiding.h"
#include "mcp/remote.h"
#include "tools/toolbox.h"

struct mcp_servers {
    struct mcp_servers_env env;
    struct list remotes; // struct mcp_remote, as they are configured
    bool told;           // what programs see of us
    process_id hiding;   // finds that out
};

enum {
    HIDING_MS = 30 * 1000,
    HIDING_INPUT_MAX = 64 * 1024, // bytes of all paths
};

const char *mcp_state_name(enum mcp_state state)
{
    static const char *const names[] = {
        [MCP_OFF] = "off",     [MCP_RESTING] = "resting", [MCP_CONNECTING] = "connecting",
        [MCP_READY] = "ready", [MCP_WAITING] = "waiting",
    };
    return names[state];
}

struct mcp_servers *mcp_servers_create(const struct mcp_servers_env *env)
{
    struct mcp_servers *servers = mem_new(struct mcp_servers);
    servers->env = *env;
    list_init(&servers->remotes);
    return servers;
}

void mcp_servers_destroy(struct mcp_servers *servers)
{
    if (!servers)
        return;
    list_for_each(link, &servers->remotes)
        mcp_remote_destroy(list_entry(link, struct mcp_remote, link));
    process_cancel(servers->env.processes, servers->hiding);
    free(servers);
}

static struct mcp_remote *find(const struct mcp_servers *servers, const char *name)
{
    list_for_each(link, &servers->remotes) {
        struct mcp_remote *remote = list_entry(link, struct mcp_remote, link);
        if (strcmp(remote->config.name, name) == 0)
            return remote;
    }
    return NULL;
}

static int need(const struct mcp_servers *servers, const char *name, struct mcp_remote **ret_remote,
                struct error *err)
{
    *ret_remote = find(servers, name);
    return *ret_remote ? 0 : error_set(err, -ENOENT, "no MCP server \"%.40s\" is configured", name);
}

static void on_tried(void *context, const struct process_end *end)
{
    struct mcp_servers *servers = context;
    struct span why = end->output[PROCESS_STDOUT];
    servers->hiding = 0;
    if (end->result == 0)
        return;
    CLEANUP(mem_cleanup)
    char *text = end->result < 0 ? mem_strdup(end->err->text) : mem_strndup(why.data, why.len);
    LOG_EVENT(LOG_INFO, "mcp.unhidden", "", LOG_TEXT("error", text));
}

// Once: who has such a server may not know that this machine hides nothing from it.
static void tell_what_is_seen(struct mcp_servers *servers)
{
    static const struct process_events events = {.on_end = on_tried};
    struct process_spec spec = {
        .function = mcp_hiding_function.name,
        .directory = "/",
        .limits = {.wall_ms = HIDING_MS},
        .stdio = {[PROCESS_STDIN] = {.kind = PROCESS_BUFFER},
                  [PROCESS_STDOUT] = {.kind = PROCESS_BUFFER, .max = ERROR_TEXT_MAX},
                  [PROCESS_STDERR] = {.kind = PROCESS_INHERIT}},
    };
    struct error err = ERROR_INIT;
    BUF_AUTO input = BUF_INIT(HIDING_INPUT_MAX);
    bool trusts = false;
    list_for_each(link, &servers->remotes) {
        const struct mcp_remote *remote = list_entry(link, struct mcp_remote, link);
        trusts =
            trusts || (remote->config.enabled && !remote->config.url && !remote->config.sandboxed);
    }
    if (!trusts || servers->told || !servers->env.hidden)
        return;
    servers->told = true;
    buf_printf(&input, "%s\n", servers->env.directory);
    for (size_t i = 0; i < MCP_HIDDEN_MAX && servers->env.hidden[i]; i++)
        buf_printf(&input, "%s\n", servers->env.hidden[i]);
    spec.stdio[PROCESS_STDIN].bytes = buf_span(&input);
    if (process_start(servers->env.processes, &spec, &events, servers, &servers->hiding, &err) < 0)
        LOG_EVENT(LOG_INFO, "mcp.unhidden", "", LOG_TEXT("error", err.text));
}

void mcp_servers_configure(struct mcp_servers *servers, const struct mcp_config *config)
{
    struct span names[MCP_SERVERS_MAX];
    size_t count = mcp_server_names(&config->servers, names);
    struct list before = LIST_INIT(before), *first;
    while ((first = list_shift(&servers->remotes)))
        list_append(&before, first);
    for (size_t i = 0; i < count; i++) {
        struct mcp_server_config entry;
        struct mcp_remote *same = NULL;
        if (mcp_server_config_read(&config->servers, names[i], &entry, NULL) < 0)
            continue; // the check has told of it
        list_for_each(link, &before) {
            struct mcp_remote *remote = list_entry(link, struct mcp_remote, link);
            if (strcmp(remote->config.spelled, entry.spelled) == 0)
                same = remote;
        }
        if (same) {
            list_remove(&same->link);
            mcp_server_config_finish(&entry);
        }
        list_append(&servers->remotes,
                    same ? &same->link : &mcp_remote_create(&servers->env, &entry)->link);
    }
    while ((first = list_shift(&before)))
        mcp_remote_destroy(list_entry(first, struct mcp_remote, link));
    tell_what_is_seen(servers);
    list_for_each(link, &servers->remotes)
        mcp_remote_begin(list_entry(link, struct mcp_remote, link));
}

bool mcp_servers_settled(const struct mcp_servers *servers, const char *name)
{
    list_for_each(link, &servers->remotes) {
        const struct mcp_remote *remote = list_entry(link, struct mcp_remote, link);
        if (remote->state == MCP_CONNECTING && (!name || strcmp(remote->config.name, name) == 0))
            return false;
    }
    return true;
}

bool mcp_servers_discovering(const struct mcp_servers *servers)
{
    list_for_each(link, &servers->remotes) {
        const struct mcp_remote *remote = list_entry(link, struct mcp_remote, link);
        if (remote->state == MCP_CONNECTING && !remote->source_id)
            return true;
    }
    return false;
}

bool mcp_servers_at(const struct mcp_servers *servers, size_t place, struct mcp_server_status *ret)
{
    int64_t now = loop_now(servers->env.loop);
    list_for_each(link, &servers->remotes) {
        const struct mcp_remote *remote = list_entry(link, struct mcp_remote, link);
        if (place--)
            continue;
        const char *url = remote->config.url;
        struct span where = span_of(url ? url : remote->config.argv.texts[0]);
        *ret = (struct mcp_server_status){
            .name = remote->config.name,
            .state = remote->state,
            .info = remote->info,
            .error = remote->error,
            .where = url ? span_cut(&where, '?') : where, // a query may hold a secret
            .failing_ms = remote->failing_ms ? now - remote->failing_ms : 0,
            .connect_ms = remote->connect_ms,
            .list_ms = remote->list_ms,
            .calls = *remote->calls_made,
            .failures = *remote->calls_failed,
            .connects = *remote->connects,
        };
        mcp_remote_change(remote, ret->change);
        ret->news = *ret->change && strcmp(ret->change, remote->told) != 0;
        for (size_t i = 0; i < remote->catalogue.count; i++) {
            enum mcp_tool_state state = remote->catalogue.tools[i].state;
            ret->offered += state == MCP_TOOL_OFFERED;
            ret->changed += state == MCP_TOOL_CHANGED;
            ret->excluded += state == MCP_TOOL_EXCLUDED;
            ret->quarantined += state == MCP_TOOL_QUARANTINED;
        }
        return true;
    }
    return false;
}

const struct mcp_catalogue *mcp_servers_catalogue(const struct mcp_servers *servers,
                                                  const char *name)
{
    const struct mcp_remote *remote = find(servers, name);
    return remote ? &remote->catalogue : NULL;
}

size_t mcp_servers_secrets(const struct mcp_servers *servers, const char **ret_values, size_t max)
{
    size_t count = 0;
    list_for_each(link, &servers->remotes)
        count += mcp_remote_secrets(list_entry(link, struct mcp_remote, link), ret_values + count,
                                    max - count);
    return count;
}

void mcp_servers_told(struct mcp_servers *servers)
{
    list_for_each(link, &servers->remotes)
        mcp_remote_told(list_entry(link, struct mcp_remote, link));
}

int mcp_servers_accept(struct mcp_servers *servers, const char *name, const char *change,
                       struct error *err)
{
    struct mcp_remote *remote;
    char waiting[MCP_CHANGE_SIZE];
    int r = need(servers, name, &remote, err);
    if (r == 0)
        mcp_remote_change(remote, waiting);
    if (r == 0 && change && strcmp(change, waiting) != 0)
        r = error_set(err, -ESTALE, "what was shown is not what waits now; /mcp shows that");
    return r < 0 ? r : (int)mcp_remote_accept(remote);
}

int mcp_servers_reconnect(struct mcp_servers *servers, const char *name, struct error *err)
{
    struct mcp_remote *remote = NULL;
    int r = name ? need(servers, name, &remote, err) : 0;
    if (remote)
        mcp_remote_reconnect(remote);
    else if (r == 0)
        list_for_each(link, &servers->remotes)
            mcp_remote_reconnect(list_entry(link, struct mcp_remote, link));
    return r;
}

int mcp_servers_login(struct mcp_servers *servers, const char *name, const struct mcp_login *login,
                      struct error *err)
{
    struct mcp_remote *remote;
    int r = need(servers, name, &remote, err);
    return r < 0 ? r : mcp_remote_login(remote, login, err);
}

int mcp_servers_redirected(struct mcp_servers *servers, const char *name, struct span address,
                           const struct mcp_login *login, struct error *err)
{
    struct mcp_remote *remote;
    int r = need(servers, name, &remote, err);
    return r < 0 ? r : mcp_remote_redirected(remote, address, login, err);
}

int mcp_servers_logout(struct mcp_servers *servers, const char *name, struct error *err)
{
    struct mcp_remote *remote;
    int r = need(servers, name, &remote, err);
    if (r == 0)
        mcp_remote_logout(remote);
    return r;
}

void mcp_servers_forget(struct mcp_servers *servers, const void *context)
{
    list_for_each(link, &servers->remotes) {
        struct mcp_remote *remote = list_entry(link, struct mcp_remote, link);
        if (remote->login.context == context)
            remote->login = (struct mcp_login){0};
    }
}

const char *mcp_servers_redirect_uri(const struct mcp_servers *servers, const char *name)
{
    const struct mcp_remote *remote = find(servers, name);
    return remote ? remote->config.redirect_uri : NULL;
}
