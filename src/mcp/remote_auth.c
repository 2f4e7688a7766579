#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "mcp/challenge.h"
#include "mcp/oauth_metadata.h"
#include "mcp/remote.h"
#include "store/key_value.h"

/*
 * OAuth for one server. The grant is kept in the store, which only its owner can read; whoever logs
 * in needs nothing but a browser somewhere, and brings back the address it was sent to. With a key
 * in the configuration none of this ever happens.
 */
enum {
    RENEW_EARLY_MS = 30 * 1000, // before the end; but not before half of the time has passed
    RENEW_AGAIN_MS = 5 * 1000,  // after an attempt that failed
};

static void key_of(const struct mcp_remote *remote, char *key, size_t size)
{
    snprintf(key, size, "mcp.grant.%s", remote->config.name);
}

static void use_grant(struct mcp_remote *remote)
{
    header_source_set_token(&remote->headers, remote->grant.access_token);
    if (remote->env->on_secrets)
        remote->env->on_secrets(remote->env->secrets_context);
}

void mcp_remote_load_grant(struct mcp_remote *remote)
{
    BUF_AUTO text = BUF_INIT(OAUTH_GRANT_MAX);
    char key[64 + MCP_SERVER_NAME_MAX];
    if (!remote->config.url || remote->config.static_key)
        return;
    key_of(remote, key, sizeof key);
    if (store_read_key_value(remote->env->store, span_of(key), &text, NULL) == 0)
        oauth_grant_read(buf_span(&text), &remote->grant, NULL);
    // The entry may be of another server now.
    if (!remote->grant.resource ||
        !oauth_resource_covers(remote->grant.resource, remote->config.url))
        oauth_grant_finish(&remote->grant);
    if (remote->grant.expires_ms)
        remote->renew_ms = remote->grant.expires_ms - RENEW_EARLY_MS;
    use_grant(remote);
}

static void keep_grant(struct mcp_remote *remote)
{
    BUF_AUTO text = BUF_INIT(OAUTH_GRANT_MAX);
    char key[64 + MCP_SERVER_NAME_MAX];
    struct error err = ERROR_INIT;
    key_of(remote, key, sizeof key);
    if ((remote->grant.issuer && oauth_grant_write(&remote->grant, &text, &err) < 0) ||
        store_write_key_value(remote->env->store, span_of(key), buf_span(&text), STORE_DURABLE,
                              NULL, NULL, &err) < 0)
        log_warning("what %s has granted was not written down, so it must be asked for again after "
                    "a restart: %s",
                    remote->config.name, err.text);
}

static int fill_spec(struct mcp_remote *remote, struct error *err)
{
    const struct mcp_server_config *config = &remote->config;
    remote->oauth_spec = (struct oauth_spec){
        .loop = remote->env->loop,
        .server_url = config->url,
        .redirect_uri = config->redirect_uri,
        .scope = config->scope,
        .client_id = config->client_id,
        .client_secret = config->client_secret,
    };
    return remote->env->need_http(remote->env->http_context, &remote->oauth_spec.http, err);
}

static void tell(struct mcp_remote *remote, const char *page, const struct error *err)
{
    struct mcp_login login = remote->login;
    remote->login = (struct mcp_login){0};
    if (login.fn)
        login.fn(login.context, page, err);
}

static void on_page(void *context, const char *url)
{
    tell(context, url, NULL);
}

static void take_grant(struct mcp_remote *remote, const struct oauth_grant *grant)
{
    struct oauth_grant copy;
    int64_t left_ms = grant->expires_ms - loop_wall(remote->env->loop);
    oauth_grant_copy(grant, &copy);
    oauth_grant_finish(&remote->grant);
    remote->grant = copy;
    remote->renew_ms =
        grant->expires_ms - (left_ms < 2 * RENEW_EARLY_MS ? left_ms / 2 : RENEW_EARLY_MS);
    if (!grant->expires_ms)
        remote->renew_ms = 0;
    keep_grant(remote);
    use_grant(remote);
}

static void on_logged_in(void *context, const struct oauth_grant *grant, const struct error *err)
{
    struct mcp_remote *remote = context;
    remote->oauth = NULL;
    if (err) {
        tell(remote, NULL, err);
        return;
    }
    take_grant(remote, grant);
    LOG_EVENT(LOG_INFO, "mcp.login", "", LOG_TEXT("server", remote->config.name));
    remote->ops->reconnect(remote);
    tell(remote, NULL, NULL);
}

int mcp_remote_login(struct mcp_remote *remote, const struct mcp_login *login, struct error *err)
{
    static const struct oauth_events events = {on_page, on_logged_in};
    struct error replaced = ERROR_INIT;
    if (!remote->config.url || remote->config.static_key)
        return error_set(err, -EINVAL, "the MCP server %s takes no login: it %s",
                         remote->config.name,
                         remote->config.url ? "has a key in the configuration" : "is a program");
    error_set(&replaced, -ECANCELED, "another login has begun");
    tell(remote, NULL, &replaced);
    oauth_cancel(STEAL(remote->oauth));
    int r = fill_spec(remote, err);
    if (r == 0)
        r = oauth_authorize(&remote->oauth_spec, span_of(remote->challenge), &remote->grant,
                            &events, remote, &remote->oauth, err);
    if (r == 0)
        remote->login = *login;
    return r;
}

int mcp_remote_redirected(struct mcp_remote *remote, struct span address,
                          const struct mcp_login *login, struct error *err)
{
    if (!remote->oauth)
        return error_set(err, -ENOENT, "no login to the MCP server %s is under way",
                         remote->config.name);
    if (!oauth_redirected(remote->oauth, address, err))
        return -EINVAL;
    remote->login = *login;
    return 0;
}

void mcp_remote_logout(struct mcp_remote *remote)
{
    struct error err = ERROR_INIT;
    error_set(&err, -ECANCELED, "it was logged out");
    oauth_cancel(STEAL(remote->oauth));
    tell(remote, NULL, &err);
    oauth_grant_finish(&remote->grant);
    keep_grant(remote);
    use_grant(remote);
    remote->ops->reconnect(remote);
}

void mcp_remote_explain_denial(const struct mcp_remote *remote, struct error *err)
{
    size_t len = strlen(err->text);
    if (remote->config.static_key)
        snprintf(err->text + len, sizeof err->text - len,
                 "; it does not take the key that is configured");
    else if (remote->config.url)
        snprintf(err->text + len, sizeof err->text - len, "; %slog in%s: hermes mcp login %s",
                 mcp_remote_wants_scope(remote) ? "it wants more rights, so " : "",
                 remote->grant.access_token ? " again" : "", remote->config.name);
}

bool mcp_remote_wants_scope(const struct mcp_remote *remote)
{
    CLEANUP(challenge_finish) struct challenge challenge = {0};
    return challenge_parse(span_of(remote->challenge), &challenge) && challenge.error &&
           strcmp(challenge.error, "insufficient_scope") == 0;
}

/* Renewing */

static void on_renewed(void *context, const struct oauth_grant *grant, const struct error *err)
{
    struct mcp_remote *remote = context;
    struct error told = ERROR_INIT;
    remote->refreshing = NULL;
    if (!err)
        take_grant(remote, grant);
    if (err && err->code == -EACCES) { // nor will it be another time
        told = *err;
        free(STEAL(remote->grant.refresh_token));
        keep_grant(remote);
        mcp_remote_explain_denial(remote, &told);
        err = &told;
    }
    int64_t now_ms = loop_wall(remote->env->loop);
    if (err && !remote->renewed && remote->grant.refresh_token &&
        remote->grant.expires_ms > now_ms) { // it was for later
        remote->renew_ms = now_ms + RENEW_AGAIN_MS;
        err = NULL;
    }
    remote->ops->renewed(remote, err);
}

bool mcp_remote_grant_ends(const struct mcp_remote *remote)
{
    return remote->grant.refresh_token && remote->renew_ms &&
           remote->renew_ms <= loop_wall(remote->env->loop);
}

bool mcp_remote_renew_grant(struct mcp_remote *remote)
{
    static const struct oauth_events events = {on_page, on_renewed};
    return remote->grant.refresh_token && fill_spec(remote, NULL) == 0 &&
           oauth_refresh(&remote->oauth_spec, &remote->grant, &events, remote, &remote->refreshing,
                         NULL) == 0;
}

void mcp_remote_finish_auth(struct mcp_remote *remote)
{
    struct error err = ERROR_INIT;
    oauth_cancel(STEAL(remote->oauth));
    oauth_cancel(STEAL(remote->refreshing));
    error_set(&err, -ECANCELED, "its entry is gone from the configuration");
    tell(remote, NULL, &err);
    oauth_grant_finish(&remote->grant);
    free(STEAL(remote->challenge));
}
