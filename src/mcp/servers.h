#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "mcp/client.h"
#include "mcp/options.h"

struct http_client;
struct loop;
struct metrics;
struct processes;
struct store;
struct toolbox;

/*
 * The configured servers, each of which is a source of the toolbox from when its tools are known
 * (from the last run even, so that nobody waits for a server that starts slowly) until its entry is
 * gone. A server that dies takes no tool along: it is connected anew with back-off, a call hurries
 * that, and one that cannot be made says why and when it is tried again.
 */
struct mcp_servers;

struct mcp_servers_env { // borrowed
    struct loop *loop;
    struct processes *processes;
    struct store *store;
    struct toolbox *toolbox;
    struct metrics *metrics; // NULL: nobody counts
    const char *directory;   // where programs run that do not say; NULL: nowhere
    const char *results;     // where long results go; NULL: nowhere
    // Paths of ours that no program must see, but for what is in `directory`; up to NULL, the home
    // first. NULL: none.
    const char *const *hidden;
    bool asks; // whoever calls may be asked what a server wants to know
    int (*need_http)(void *context, struct http_client **ret_http, struct error *err);
    void *http_context;
    void (*on_secrets)(void *context); // mcp_servers_secrets() has others; NULL: nobody hides them
    void *secrets_context;
};

struct mcp_servers *mcp_servers_create(const struct mcp_servers_env *env);
void mcp_servers_destroy(struct mcp_servers *servers); // before the toolbox; accepts NULL
// Once the store can be read, and with each reload: entries that are spelled as before go on as
// they are. What the table of settings cannot refuse was checked (mcp_config_check()).
void mcp_servers_configure(struct mcp_servers *servers, const struct mcp_config *config);

enum { MCP_CHANGE_SIZE = 9 }; // bytes of a text that names what waits to be accepted

enum mcp_state {
    MCP_OFF,        // "enabled: false"
    MCP_RESTING,    // lazy, and nobody has called it yet
    MCP_CONNECTING, // or listing its tools
    MCP_READY,
    MCP_WAITING, // to be connected anew
};
const char *mcp_state_name(enum mcp_state state); // "off", "resting", ...

struct mcp_server_status { // borrowed until the next event
    const char *name;
    enum mcp_state state;
    const struct mcp_info *info; // NULL: not connected
    const char *error;           // the last one; "": none
    struct span where;           // its program, or its URL without a query
    int64_t failing_ms;          // that it cannot be connected; 0: it can, or nobody tries
    int64_t connect_ms, list_ms; // that the last attempt took: to be connected, to list its tools
    size_t offered, changed, quarantined, excluded;
    char change[MCP_CHANGE_SIZE];      // of the definitions that wait; "": none do
    bool news;                         // of that the owner has not been told
    int64_t calls, failures, connects; // since the start, of all servers of that name
};

// No server is being connected. NULL: of all.
bool mcp_servers_settled(const struct mcp_servers *servers, const char *name);
// Some server is being connected, and nothing of its tools is known yet.
bool mcp_servers_discovering(const struct mcp_servers *servers);

// What the servers are given and no result may show; borrowed until on_secrets. How many.
size_t mcp_servers_secrets(const struct mcp_servers *servers, const char **ret_values, size_t max);

struct mcp_catalogue;
// Walks the list: false behind the last.
bool mcp_servers_at(const struct mcp_servers *servers, size_t place, struct mcp_server_status *ret);
const struct mcp_catalogue *mcp_servers_catalogue(const struct mcp_servers *servers,
                                                  const char *name); // NULL: no such server

// The owner has been told of all changes there are.
void mcp_servers_told(struct mcp_servers *servers);
// The definitions of its tools are taken as they are now. `change`: only if that is what waits;
// NULL: whatever does. How many waited; -ENOENT: no such server.
int mcp_servers_accept(struct mcp_servers *servers, const char *name, const char *change,
                       struct error *err);
/*
 * Logging in by OAuth: the page that somebody must open, then, with the address to which that has
 * led, the end. `fn` comes once for each: with the page, with neither (it is done), or with why
 * not.
 */
struct mcp_login {
    void (*fn)(void *context, const char *page, const struct error *err);
    void *context;
};
int mcp_servers_login(struct mcp_servers *servers, const char *name, const struct mcp_login *login,
                      struct error *err);
int mcp_servers_redirected(struct mcp_servers *servers, const char *name, struct span address,
                           const struct mcp_login *login, struct error *err);
int mcp_servers_logout(struct mcp_servers *servers, const char *name, struct error *err);
void mcp_servers_forget(struct mcp_servers *servers, const void *context); // its `fn` never comes
// Where the browser is sent in the end; NULL: no such server, or no login.
const char *mcp_servers_redirect_uri(const struct mcp_servers *servers, const char *name);

// Connects now, whatever it waits for; a connection that there is is ended. NULL: all.
int mcp_servers_reconnect(struct mcp_servers *servers, const char *name, struct error *err);
