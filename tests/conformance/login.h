#pragma once

#include "base/error.h"
#include "codec/json.h"
#include "mcp/oauth.h"

/*
 * Being let in by the servers of the suite, whose page needs nobody: it is asked for, and leads on
 * at once. There is at most LOGIN_TRIES_MAX of it in one run.
 */
enum { LOGIN_TRIES_MAX = 3 };

struct login {
    struct loop *loop; // borrowed, as is the next
    struct http_client *http;
    struct json_value context; // of the suite: a registered client
    struct oauth *oauth;       // that runs
    struct web_call *page;
    struct oauth_grant grant;
    const char *headers[2]; // with the token
    unsigned tries;
    struct error err;
};

// 0: `headers` holds a token for the server that refused with this challenge.
int login(struct login *login, const char *url, struct span challenge, struct error *err);
void login_finish(struct login *login);
