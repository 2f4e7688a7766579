#pragma once

#include "base/list.h"
#include "loop/loop.h"
#include "mcp/catalogue.h"
#include "mcp/header_source.h"
#include "mcp/oauth.h"
#include "mcp/servers.h"
#include "sandbox/grants.h"
#include "tools/tool_set.h"

/*
 * Private to the servers: one of them. remote.c connects it, remote_tools.c keeps what it offers,
 * remote_call.c runs calls.
 */
// What remote.c does for the other files.
struct mcp_remote;
struct mcp_remote_ops {
    void (*listed)(struct mcp_remote *remote, const struct error *err); // NULL: it worked
    void (*renewed)(struct mcp_remote *remote, const struct error *err);
    // A call wants it: connects, but not many times a second.
    void (*hurry)(struct mcp_remote *remote);
    void (*reconnect)(struct mcp_remote *remote);
    // A request was refused by 401 or 403. True: the headers are got anew, and then it may be sent
    // again; false: that was done already, or cannot be.
    bool (*denied)(struct mcp_remote *remote, const struct mcp_reply *reply);
    void (*renew_soon)(struct mcp_remote *remote); // its headers
};

struct mcp_remote {
    const struct mcp_remote_ops *ops;
    struct list link; // mcp_servers::remotes
    const struct mcp_servers_env *env;
    struct mcp_server_config config;
    struct mcp_program program;   // made of it
    struct grants grants;         // the same, of a sandboxed one
    struct mcp_endpoint endpoint; // the same
    struct header_source headers;
    struct mcp_client *client;   // NULL: none
    const struct mcp_info *info; // NULL: not ready
    enum mcp_state state;
    bool begun;
    bool renewed;      // its headers, since they were accepted last
    bool renewing;     // they are got anew, and calls wait for that
    loop_id renewal;   // begins it
    unsigned failures; // to connect, in a row
    int64_t tried_ms;  // monotonic: when it was connected last
    int64_t ready_ms;  // when it became that
    int64_t next_ms;   // when it is tried again
    loop_id timer;     // of that
    char error[ERROR_TEXT_MAX];
    unsigned renewals;           // of its headers, so far
    int64_t failing_ms;          // monotonic: since when it cannot be connected; 0: it can
    int64_t connect_ms, list_ms; // that the last attempt took
    int64_t *calls_made, *calls_failed, *connects; // metrics

    struct tool_source source;
    tool_source_id source_id;       // 0: the toolbox does not have it
    struct mcp_catalogue catalogue; // as it is offered
    struct mcp_catalogue incoming;  // while it is listed
    char told[MCP_CHANGE_SIZE];     // of what the owner has been told last
    struct buf pins;                // of its tools, as they are kept
    struct buf listed;              // the same, to be kept
    mcp_request_id listing;
    loop_id relist; // of a list that has changed

    struct oauth *oauth;      // of a login
    struct oauth *refreshing; // its tokens are renewed
    struct oauth_spec oauth_spec;
    struct oauth_grant grant; // zeroed: none
    int64_t renew_ms;         // wall clock: when its token is renewed; 0: when it is refused
    struct mcp_login login;   // whoever waits for that
    char *challenge;          // of the last refusal; NULL: none

    struct list calls; // struct remote_call, in their order
    loop_id soon;      // looks at them
};

struct mcp_remote *mcp_remote_create(const struct mcp_servers_env *env,
                                     struct mcp_server_config *config); // takes what it holds
void mcp_remote_destroy(struct mcp_remote *remote);
void mcp_remote_begin(struct mcp_remote *remote); // once; nothing after that
void mcp_remote_reconnect(struct mcp_remote *remote);

// remote_auth.c
void mcp_remote_load_grant(struct mcp_remote *remote);
int mcp_remote_login(struct mcp_remote *remote, const struct mcp_login *login, struct error *err);
int mcp_remote_redirected(struct mcp_remote *remote, struct span address,
                          const struct mcp_login *login, struct error *err);
void mcp_remote_logout(struct mcp_remote *remote);
// What a refusal means for the owner is put behind its sentence.
void mcp_remote_explain_denial(const struct mcp_remote *remote, struct error *err);
bool mcp_remote_grant_ends(const struct mcp_remote *remote);  // soon, and can be renewed
bool mcp_remote_renew_grant(struct mcp_remote *remote);       // ops->renewed() follows
bool mcp_remote_wants_scope(const struct mcp_remote *remote); // was it refused for that last?
void mcp_remote_finish_auth(struct mcp_remote *remote);

// secrets.c: what no result may show, borrowed. How many; at most `max`.
size_t mcp_remote_secrets(const struct mcp_remote *remote, const char **ret_values, size_t max);

// remote_tools.c
void mcp_remote_restore(struct mcp_remote *remote);     // what is known from the last run
bool mcp_remote_list(struct mcp_remote *remote);        // false: there are none to be listed
void mcp_remote_listed_soon(struct mcp_remote *remote); // its list has changed
void mcp_remote_change(const struct mcp_remote *remote, char ret_change[MCP_CHANGE_SIZE]);
void mcp_remote_told(struct mcp_remote *remote);
size_t mcp_remote_accept(struct mcp_remote *remote); // how many waited
void mcp_remote_stop_listing(struct mcp_remote *remote);
void mcp_remote_finish_tools(struct mcp_remote *remote);

// remote_call.c
extern const struct tool_source_ops mcp_remote_ops;
void mcp_remote_run_waiting(struct mcp_remote *remote);
void mcp_remote_fail_waiting(struct mcp_remote *remote); // since it cannot be reached
void mcp_remote_fail_running(struct mcp_remote *remote); // since its client is gone
void mcp_remote_finish_calls(struct mcp_remote *remote); // that wait for an answer
void mcp_remote_look_soon(struct mcp_remote *remote);    // at what is to be asked, ended or sent

// remote_question.c
// Is it to be asked?
bool mcp_remote_question(struct mcp_remote *remote, uint64_t question, mcp_request_id request,
                         struct json_value params);
void mcp_remote_question_over(struct mcp_remote *remote, uint64_t question);
