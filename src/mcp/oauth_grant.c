#include "mcp/oauth_grant.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/document.h"

static const struct {
    const char *name;
    size_t offset;
} members[] = {
    {"resource", offsetof(struct oauth_grant, resource)},
    {"issuer", offsetof(struct oauth_grant, issuer)},
    {"token_endpoint", offsetof(struct oauth_grant, token_endpoint)},
    {"client_id", offsetof(struct oauth_grant, client_id)},
    {"client_secret", offsetof(struct oauth_grant, client_secret)},
    {"redirect_uri", offsetof(struct oauth_grant, redirect_uri)},
    {"token_endpoint_auth_method", offsetof(struct oauth_grant, method)},
    {"access_token", offsetof(struct oauth_grant, access_token)},
    {"refresh_token", offsetof(struct oauth_grant, refresh_token)},
    {"scope", offsetof(struct oauth_grant, scope)},
};

static char **member(const struct oauth_grant *grant, size_t i)
{
    return (char **)((char *)grant + members[i].offset);
}

void oauth_grant_finish(struct oauth_grant *grant)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        char *text = *member(grant, i);
        if (text)
            explicit_bzero(text, strlen(text));
        free(text);
    }
    *grant = (struct oauth_grant){0};
}

void oauth_grant_copy(const struct oauth_grant *grant, struct oauth_grant *ret)
{
    *ret = (struct oauth_grant){.expires_ms = grant->expires_ms};
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (*member(grant, i))
            *member(ret, i) = mem_strdup(*member(grant, i));
}

int oauth_grant_read(struct span text, struct oauth_grant *ret_grant, struct error *err)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(4 * OAUTH_GRANT_MAX);
    struct oauth_grant grant = {0};
    int r = document_read(&doc, text, err);
    if (r < 0)
        return r;
    struct node root = document_root(&doc);
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const char *value = node_text(node_get(root, members[i].name));
        *member(&grant, i) = value ? mem_strdup(value) : NULL;
    }
    node_int(node_get(root, "expires_ms"), &grant.expires_ms);
    if (!grant.issuer || !grant.token_endpoint || !grant.client_id || !grant.method) {
        oauth_grant_finish(&grant);
        return error_set(err, -EBADMSG, "it is no grant that this program has written");
    }
    *ret_grant = grant;
    return 0;
}

int oauth_grant_write(const struct oauth_grant *grant, struct buf *out, struct error *err)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(4 * OAUTH_GRANT_MAX);
    struct node root = document_object(&doc);
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (*member(grant, i))
            node_add_text(root, members[i].name, *member(grant, i));
    if (grant->expires_ms)
        node_add_int(root, "expires_ms", grant->expires_ms);
    return document_print(&doc, out, err);
}
