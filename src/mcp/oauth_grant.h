#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

/*
 * What an authorization server has given: the tokens, and the registration by which they can be
 * renewed. Both hold for that issuer only. It is kept as one JSON document.
 */
enum {
    OAUTH_GRANT_MAX = 64 * 1024, // bytes of it
    OAUTH_TOKEN_MAX = 16 * 1024, // bytes of a token
};

struct oauth_grant { // all owned; NULL: none
    char *resource, *issuer, *token_endpoint;
    char *client_id, *client_secret, *redirect_uri;
    char *method; // "none", "client_secret_basic" or "client_secret_post"
    char *access_token, *refresh_token, *scope;
    int64_t expires_ms; // wall clock; 0: not said
};

void oauth_grant_finish(struct oauth_grant *grant); // wipes them; accepts zeroed
void oauth_grant_copy(const struct oauth_grant *grant, struct oauth_grant *ret);

int oauth_grant_read(struct span text, struct oauth_grant *ret_grant, struct error *err);
int oauth_grant_write(const struct oauth_grant *grant, struct buf *out, struct error *err);
