#include "mcp/oauth_metadata.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/document.h"
#include "codec/url.h"

static const char resource_place[] = "/.well-known/oauth-protected-resource";
static const char server_place[] = "/.well-known/oauth-authorization-server";
static const char openid_place[] = "/.well-known/openid-configuration";

void oauth_resource_finish(struct oauth_resource *resource)
{
    free(resource->resource);
    free(resource->issuer);
    free(resource->scopes);
    *resource = (struct oauth_resource){0};
}

void oauth_server_finish(struct oauth_server *server)
{
    free(server->issuer);
    free(server->authorization_endpoint);
    free(server->token_endpoint);
    free(server->registration_endpoint);
    *server = (struct oauth_server){0};
}

static bool is_here(const struct url *url)
{
    return span_is(url->host, "localhost") || span_is(url->host, "127.0.0.1") ||
           span_is(url->host, "::1");
}

bool oauth_is_safe_url(const char *text, const char *from)
{
    struct url url, named_by;
    if (url_parse(span_of(text), &url, NULL) < 0 || url_parse(span_of(from), &named_by, NULL) < 0 ||
        url.fragment.data)
        return false;
    return is_here(&url) ? is_here(&named_by) : url.secure;
}

static bool is_same_origin(const char *text, const struct url *other)
{
    struct url url;
    return url_parse(span_of(text), &url, NULL) == 0 && url.secure == other->secure &&
           span_equal(url.authority, other->authority);
}

// The path without a slash at its end; "" for the root.
static struct span bare_path(const struct url *url)
{
    struct span path = url->path;
    while (path.len && path.data[path.len - 1] == '/')
        path.len--;
    return path;
}

static char *place(const struct url *url, const char *before, struct span path, const char *behind)
{
    return mem_printf("%.*s://%.*s%s%.*s%s", (int)url->scheme.len, url->scheme.data,
                      (int)url->authority.len, url->authority.data, before, (int)path.len,
                      path.data ? path.data : "", behind);
}

size_t oauth_resource_places(const char *server_url, const char *challenged,
                             char *places[OAUTH_PLACES_MAX])
{
    struct url url;
    size_t count = 0;
    if (url_parse(span_of(server_url), &url, NULL) < 0)
        return 0;
    if (challenged &&
        (is_same_origin(challenged, &url) || oauth_is_safe_url(challenged, server_url))) {
        places[count++] = mem_strdup(challenged);
        return count;
    }
    struct span path = bare_path(&url);
    if (path.len)
        places[count++] = place(&url, resource_place, path, "");
    places[count++] = place(&url, resource_place, SPAN_ABSENT, "");
    return count;
}

size_t oauth_server_places(const char *issuer, char *places[OAUTH_PLACES_MAX])
{
    struct url url;
    size_t count = 0;
    if (url_parse(span_of(issuer), &url, NULL) < 0)
        return 0;
    struct span path = bare_path(&url);
    places[count++] = place(&url, server_place, path, "");
    places[count++] = place(&url, openid_place, path, "");
    if (path.len)
        places[count++] = place(&url, "", path, openid_place);
    return count;
}

static int read_document(struct document *doc, struct span text, const char *what,
                         struct error *err)
{
    int r = document_read(doc, text, err);
    if (r == 0 && node_type(document_root(doc)) != JSON_OBJECT)
        r = error_set(err, -EBADMSG, "it is no JSON object");
    return r < 0 ? error_wrap(err, "%s cannot be used", what) : 0;
}

static char *copy(struct node object, const char *key)
{
    const char *text = node_text(node_get(object, key));
    return text && *text && strlen(text) <= OAUTH_TEXT_MAX ? mem_strdup(text) : NULL;
}

static char *join(struct node list)
{
    BUF_AUTO out = BUF_INIT(OAUTH_TEXT_MAX);
    for (struct node each = node_first(list); each.doc; each = node_next(each))
        if (node_text(each))
            buf_printf(&out, "%s%s", out.len ? " " : "", node_text(each));
    return out.len ? buf_take_text(&out) : NULL;
}

static bool lists(struct node list, const char *word)
{
    for (struct node each = node_first(list); each.doc; each = node_next(each))
        if (node_is(each, word))
            return true;
    return false;
}

bool oauth_resource_covers(const char *resource, const char *server_url)
{
    struct url one, other;
    if (url_parse(span_of(resource), &one, NULL) < 0 ||
        url_parse(span_of(server_url), &other, NULL) < 0 || one.secure != other.secure ||
        one.port != other.port || one.host.len != other.host.len ||
        strncasecmp(one.host.data, other.host.data, one.host.len) != 0 || one.query.data)
        return false;
    struct span path = bare_path(&one), own = other.path;
    return path.len <= own.len &&
           memcmp(path.len ? path.data : "", own.data ? own.data : "", path.len) == 0 &&
           (path.len == own.len || own.data[path.len] == '/');
}

int oauth_resource_read(struct span text, const char *server_url,
                        struct oauth_resource *ret_resource, struct error *err)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(4 * OAUTH_DOCUMENT_MAX);
    int r = read_document(&doc, text, "the metadata of the protected resource", err);
    if (r < 0)
        return r;
    struct node root = document_root(&doc);
    CLEANUP(oauth_resource_finish)
    struct oauth_resource resource = {
        .resource = copy(root, "resource"),
        .scopes = join(node_get(root, "scopes_supported")),
    };
    const char *issuer = node_text(node_first(node_get(root, "authorization_servers")));
    if (!resource.resource || !oauth_resource_covers(resource.resource, server_url))
        return error_set(err, -EACCES,
                         "the metadata is of another resource (%.100s) than the server %.200s; "
                         "nothing was sent there",
                         resource.resource ? resource.resource : "none", server_url);
    if (!issuer || !oauth_is_safe_url(issuer, server_url))
        return error_set(err, -EBADMSG,
                         "the metadata of the protected resource names no authorization server "
                         "with an https URL");
    resource.issuer = mem_strdup(issuer);
    *ret_resource = resource;
    resource = (struct oauth_resource){0};
    return 0;
}

static int check_endpoints(const struct oauth_server *server, struct error *err)
{
    const char *urls[] = {server->authorization_endpoint, server->token_endpoint,
                          server->registration_endpoint};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++)
        if (urls[i] ? !oauth_is_safe_url(urls[i], server->issuer) : i < 2)
            return error_set(err, -EBADMSG,
                             "the authorization server %.200s names no endpoint with an https URL",
                             server->issuer);
    return 0;
}

int oauth_server_read(struct span text, const char *issuer, struct oauth_server *ret_server,
                      struct error *err)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(4 * OAUTH_DOCUMENT_MAX);
    int r = read_document(&doc, text, "the metadata of the authorization server", err);
    if (r < 0)
        return r;
    struct node root = document_root(&doc);
    struct node methods = node_get(root, "token_endpoint_auth_methods_supported");
    bool said = node_type(methods) == JSON_ARRAY;
    CLEANUP(oauth_server_finish)
    struct oauth_server server = {
        .issuer = copy(root, "issuer"),
        .authorization_endpoint = copy(root, "authorization_endpoint"),
        .token_endpoint = copy(root, "token_endpoint"),
        .registration_endpoint = copy(root, "registration_endpoint"),
        .basic = !said || lists(methods, "client_secret_basic"),
        .post = lists(methods, "client_secret_post"),
        .none = !said || lists(methods, "none"),
        .offers_offline_access = lists(node_get(root, "scopes_supported"), "offline_access"),
    };
    node_bool(node_get(root, "client_id_metadata_document_supported"),
              &server.takes_metadata_documents);
    node_bool(node_get(root, "authorization_response_iss_parameter_supported"),
              &server.sends_issuer);
    if (!server.issuer || strcmp(server.issuer, issuer) != 0)
        return error_set(err, -EACCES,
                         "the authorization server says that it is \"%.150s\", not \"%.150s\"",
                         server.issuer ? server.issuer : "", issuer);
    if (!lists(node_get(root, "code_challenge_methods_supported"), "S256"))
        return error_set(err, -EPROTONOSUPPORT,
                         "the authorization server %.200s does not say that it checks PKCE (S256), "
                         "without which a code could be stolen",
                         issuer);
    r = check_endpoints(&server, err);
    if (r < 0)
        return r;
    *ret_server = server;
    server = (struct oauth_server){0};
    return 0;
}
