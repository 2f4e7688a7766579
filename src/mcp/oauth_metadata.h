#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/span.h"

/*
 * The two documents that say how to be let in: of the resource, the MCP server (RFC 9728), and of
 * the authorization server (RFC 8414, or OpenID Connect Discovery). Both are written by somebody
 * else, so whatever is not exactly as it must be ends the attempt.
 */
enum {
    OAUTH_DOCUMENT_MAX = 256 * 1024, // bytes of one
    OAUTH_PLACES_MAX = 3,            // where one may be
    OAUTH_TEXT_MAX = 4096,           // bytes of a member
};

struct oauth_resource {
    char *resource; // as it calls itself; sent exactly so
    char *issuer;   // the first of its authorization servers
    char *scopes;   // that it supports, with blanks between; NULL: not said
};

struct oauth_server {
    char *issuer, *authorization_endpoint, *token_endpoint;
    char *registration_endpoint;   // NULL: none
    bool takes_metadata_documents; // a URL as the client's id (CIMD)
    bool sends_issuer;             // with its answers (RFC 9207)
    bool offers_offline_access;    // among its scopes
    bool basic, post, none;        // ways of authentication of a client at the token endpoint
};

void oauth_resource_finish(struct oauth_resource *resource); // accept zeroed
void oauth_server_finish(struct oauth_server *server);

// Where the document may be, in the order in which it is looked for; on the heap. How many. A
// `challenged` URL (NULL: none) that is not safe, nor of the server's own origin, is passed over.
size_t oauth_resource_places(const char *server_url, const char *challenged,
                             char *places[OAUTH_PLACES_MAX]);
size_t oauth_server_places(const char *issuer, char *places[OAUTH_PLACES_MAX]);

// 0, or negative with a sentence: it is no such document, of another resource, of another issuer,
// or asks for what is not safe.
int oauth_resource_read(struct span text, const char *server_url,
                        struct oauth_resource *ret_resource, struct error *err);
int oauth_server_read(struct span text, const char *issuer, struct oauth_server *ret_server,
                      struct error *err);

// The server's own URL, or one above it (RFC 9728 §3.3, and what MCP servers do).
bool oauth_resource_covers(const char *resource, const char *server_url);

// https; and to this machine, also by http, where `from`, which names it, is here as well: nobody
// else is shown what listens here.
bool oauth_is_safe_url(const char *url, const char *from);
