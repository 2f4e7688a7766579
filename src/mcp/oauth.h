#pragma once

#include "base/error.h"
#include "base/span.h"
#include "mcp/oauth_grant.h"

struct address_guard;
struct http_client;
struct loop;

/*
 * Being let in by OAuth 2.1 as MCP has it (revisions 2025-11-25 and 2026-07-28, "Authorization"):
 * finds the metadata, registers, has somebody open a page in a browser, and trades the code that
 * comes back. The browser may run on another machine, so whoever opens the page may also bring the
 * address it was sent to.
 *
 * One attempt is one object. It is gone when on_done returns.
 */
struct oauth;

enum {
    OAUTH_URL_MAX = 8192,           // bytes of the page's URL
    OAUTH_WAIT_MS = 15 * 60 * 1000, // for somebody to open it
};

struct oauth_spec { // borrowed until the end
    struct loop *loop;
    struct http_client *http;
    const struct address_guard *guard; // of all that is asked; NULL: anywhere
    const char *server_url;
    const char *redirect_uri;              // where the browser is sent
    const char *scope;                     // that is wanted; NULL: what the server asks for
    const char *client_id, *client_secret; // registered before; NULL: not
    const char *client_document;           // URL of our metadata (CIMD); NULL: none
};

struct oauth_events {
    // Somebody must open this page; oauth_redirected() is owed then.
    void (*on_page)(void *context, const char *url);
    void (*on_done)(void *context, const struct oauth_grant *grant, const struct error *err);
};

/*
 * `challenge`: the WWW-Authenticate of the refusal; absent: there was none. `before`: an earlier
 * grant, whose registration is used again if it is of the same issuer and redirect_uri, and whose
 * scope is added to when the refusal was for too little of it; NULL: none. Events come from the
 * loop.
 */
int oauth_authorize(const struct oauth_spec *spec, struct span challenge,
                    const struct oauth_grant *before, const struct oauth_events *events,
                    void *context, struct oauth **ret_oauth, struct error *err);

// Where the browser was sent: a whole URL, or its query. False: it is not of this attempt, which
// waits on.
bool oauth_redirected(struct oauth *oauth, struct span text, struct error *err);

// Trades the refresh token for others. on_page never comes. -EACCES in on_done: it is no good any
// more.
int oauth_refresh(const struct oauth_spec *spec, const struct oauth_grant *grant,
                  const struct oauth_events *events, void *context, struct oauth **ret_oauth,
                  struct error *err);

void oauth_cancel(struct oauth *oauth); // nothing comes after it; accepts NULL
