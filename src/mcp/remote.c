#include "mcp/remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/wait.h"
#include "tools/toolbox.h"

/*
 * A server that ends is connected anew at once, and one that cannot be connected after a wait that
 * doubles; a call that wants it cuts the wait short. Nothing here ever gives up: what people report
 * of other agents are servers that stay lost until a restart.
 */
enum {
    WAIT_FIRST_MS = 1000,
    WAIT_MAX_MS = 5 * 60 * 1000,
    HURRY_MS = 1000,                  // between two attempts that calls bring about
    STABLE_MS = 10 * 1000,            // what ends sooner after it was ready has failed to begin
    SANDBOX_TASKS = 256,              // processes and threads of a sandboxed server
    SERIES_MAX = 2 * MCP_SERVERS_MAX, // servers that metrics tell apart: reloads may bring others
};

static void connect_now(struct mcp_remote *remote);
static void on_listed(struct mcp_remote *remote, const struct error *err);
static void on_renewed(struct mcp_remote *remote, const struct error *err);
static bool renew(struct mcp_remote *remote, const struct mcp_reply *reply);

static void on_timer(void *context)
{
    struct mcp_remote *remote = context;
    remote->timer = 0;
    connect_now(remote);
}

static int64_t wait_of(unsigned failures)
{
    int64_t ms = WAIT_FIRST_MS;
    while (--failures && ms < WAIT_MAX_MS)
        ms *= 2;
    return wait_scaled(ms < WAIT_MAX_MS ? ms : WAIT_MAX_MS);
}

static void try_later(struct mcp_remote *remote, const char *why)
{
    int64_t now = loop_now(remote->env->loop);
    bool was_ready = remote->state == MCP_READY;
    bool was_stable = was_ready && now - remote->ready_ms >= wait_scaled(STABLE_MS);
    if (!was_ready) {
        remote->connect_ms = now - remote->tried_ms;
        remote->list_ms = 0;
    }
    if (!remote->failing_ms)
        remote->failing_ms = now;
    snprintf(remote->error, sizeof remote->error, "%s", why);
    remote->failures = was_stable ? 0 : remote->failures + 1;
    remote->state = MCP_WAITING;
    remote->next_ms = now + (was_stable ? 0 : wait_of(remote->failures));
    loop_cancel(remote->env->loop, remote->timer);
    remote->timer = loop_timer_at(remote->env->loop, remote->next_ms, on_timer, remote);
    if (remote->failures <= 1)
        LOG_EVENT(LOG_WARNING, was_ready ? "mcp.lost" : "mcp.failed", "",
                  LOG_TEXT("server", remote->config.name), LOG_TEXT("error", why));
    if (!was_ready)
        mcp_remote_fail_waiting(remote);
}

static void drop_client(struct mcp_remote *remote)
{
    mcp_remote_stop_listing(remote);
    remote->info = NULL;
    mcp_client_destroy(STEAL(remote->client));
    mcp_remote_fail_running(remote);
}

/* Events of the client */

static void on_ready(void *context, const struct mcp_info *info)
{
    struct mcp_remote *remote = context;
    remote->info = info;
    remote->connect_ms = loop_now(remote->env->loop) - remote->tried_ms;
    ++*remote->connects;
    if (!mcp_remote_list(remote))
        on_listed(remote, NULL);
}

static void on_listed(struct mcp_remote *remote, const struct error *err)
{
    if (err && remote->state == MCP_READY) { // the list that there is stays
        snprintf(remote->error, sizeof remote->error, "%s", err->text);
        mcp_remote_run_waiting(remote);
        return;
    }
    if (err) {
        drop_client(remote);
        try_later(remote, err->text);
        return;
    }
    if (remote->state != MCP_READY) {
        LOG_EVENT(LOG_INFO, "mcp.ready", "", LOG_TEXT("server", remote->config.name),
                  LOG_TEXT("version", remote->info->version),
                  LOG_NUMBER("tools", (int64_t)remote->catalogue.count));
        remote->ready_ms = loop_now(remote->env->loop);
        remote->list_ms = remote->ready_ms - remote->tried_ms - remote->connect_ms;
    }
    remote->state = MCP_READY;
    remote->failing_ms = 0;
    remote->renewed = false;
    remote->error[0] = '\0';
    mcp_remote_run_waiting(remote);
}

static void on_closed(void *context, const struct mcp_reply *reply)
{
    struct mcp_remote *remote = context;
    struct error told = *reply->err;
    bool denied = reply->trouble == MCP_DENIED;
    bool renews = denied && renew(remote, reply);
    if (denied)
        mcp_remote_explain_denial(remote, &told);
    drop_client(remote);
    if (renews)
        remote->state = MCP_CONNECTING;
    else
        try_later(remote, told.text);
}

static void on_notification(void *context, const char *method, struct json_value params)
{
    (void)params;
    if (span_is(span_of(method), "notifications/tools/list_changed"))
        mcp_remote_listed_soon(context);
}

static void on_question(void *context, uint64_t question, mcp_request_id request,
                        struct json_value params)
{
    if (mcp_remote_question(context, question, request, params))
        mcp_remote_look_soon(context);
}

static void on_question_over(void *context, uint64_t question)
{
    mcp_remote_question_over(context, question);
}

/* Connecting */

static void connect_with(struct mcp_remote *remote, const struct error *err)
{
    static const struct mcp_client_events events = {on_ready, on_closed, on_notification,
                                                    on_question, on_question_over};
    struct mcp_env env = {.loop = remote->env->loop, .processes = remote->env->processes};
    struct error failed = ERROR_INIT;
    int r = 0;
    if (err)
        r = error_set(&failed, err->code, "%s", err->text);
    if (r == 0 && remote->config.url)
        r = remote->env->need_http(remote->env->http_context, &env.http, &failed);
    remote->endpoint.headers = remote->headers.lines;
    if (r == 0)
        r = mcp_client_create(&env, &remote->endpoint, &events, remote, &remote->client, &failed);
    if (r < 0)
        try_later(remote, failed.text);
}

static void on_headers(void *context, const struct error *err)
{
    struct mcp_remote *remote = context;
    if (remote->env->on_secrets)
        remote->env->on_secrets(remote->env->secrets_context);
    if (remote->renewing)
        on_renewed(remote, err);
    else
        connect_with(remote, err);
}

static void connect_now(struct mcp_remote *remote)
{
    loop_cancel(remote->env->loop, remote->timer);
    remote->timer = 0;
    remote->state = MCP_CONNECTING;
    remote->tried_ms = loop_now(remote->env->loop);
    remote->renewing = mcp_remote_grant_ends(remote) && mcp_remote_renew_grant(remote);
    if (!remote->renewing)
        header_source_get(&remote->headers);
}

static void hurry(struct mcp_remote *remote)
{
    int64_t at = remote->tried_ms + HURRY_MS;
    if (remote->state == MCP_RESTING)
        connect_now(remote);
    if (remote->state != MCP_WAITING || remote->next_ms <= at)
        return;
    remote->next_ms = at;
    remote->timer = loop_timer_by(remote->env->loop, remote->timer, at, on_timer, remote);
}

void mcp_remote_reconnect(struct mcp_remote *remote)
{
    if (remote->state == MCP_OFF || !remote->begun)
        return;
    drop_client(remote);
    remote->failures = 0;
    remote->renewed = remote->renewing = false;
    loop_cancel(remote->env->loop, remote->renewal);
    oauth_cancel(STEAL(remote->refreshing));
    connect_now(remote);
}

static void on_renewal(void *context)
{
    struct mcp_remote *remote = context;
    struct error err = ERROR_INIT;
    remote->renewal = 0;
    if (mcp_remote_renew_grant(remote))
        return;
    if (header_source_renews(&remote->headers)) {
        header_source_get(&remote->headers);
    } else {
        error_set(&err, -ECANCELED, "its token is gone");
        on_renewed(remote, &err);
    }
}

static void renew_soon(struct mcp_remote *remote)
{
    if (!remote->renewing)
        remote->renewal = loop_defer(remote->env->loop, on_renewal, remote);
    remote->renewing = true;
}

static bool renew(struct mcp_remote *remote, const struct mcp_reply *reply)
{
    free(remote->challenge);
    remote->challenge =
        mem_strndup(reply->challenge.data ? reply->challenge.data : "", reply->challenge.len);
    bool could = header_source_renews(&remote->headers) ||
                 (remote->grant.refresh_token && !mcp_remote_wants_scope(remote));
    if (!remote->renewing && (remote->renewed || !could))
        return false;
    renew_soon(remote);
    remote->renewed = true;
    return true;
}

static void on_renewed(struct mcp_remote *remote, const struct error *err)
{
    struct error told = err ? *err : (struct error)ERROR_INIT;
    remote->renewing = false;
    remote->renewals++;
    if (err) {
        remote->renewed = false; // the next connection tries it again
        drop_client(remote);
        try_later(remote, told.text);
    } else if (remote->client && remote->state == MCP_READY) {
        mcp_client_set_headers(remote->client, remote->headers.lines);
        mcp_remote_run_waiting(remote);
    } else if (remote->config.static_key) {
        connect_with(remote, NULL);
    } else { // the token is, and the others may be as old
        header_source_get(&remote->headers);
    }
}

/* Beginning and end */

static const struct mcp_remote_ops ops = {on_listed, on_renewed, hurry, mcp_remote_reconnect,
                                          renew,     renew_soon};

static int64_t *counter(const struct mcp_remote *remote, const char *name, const char *help)
{
    static const char *const labels[] = {"server"};
    const struct metrics_family_spec spec = {
        .name = name,
        .help = help,
        .type = METRICS_COUNTER,
        .labels = labels,
        .label_count = ARRAY_LEN(labels),
        .series_max = SERIES_MAX,
    };
    const struct span server = span_of(remote->config.name);
    return metrics_series(metrics_family(remote->env->metrics, &spec), &server);
}

struct mcp_remote *mcp_remote_create(const struct mcp_servers_env *env,
                                     struct mcp_server_config *config)
{
    struct mcp_remote *remote = mem_new(struct mcp_remote);
    remote->ops = &ops;
    remote->env = env;
    remote->config = *config;
    config = &remote->config;
    remote->calls_made =
        counter(remote, "hermes_mcp_calls_total", "Calls of tools of an MCP server");
    remote->calls_failed =
        counter(remote, "hermes_mcp_failures_total", "Calls of tools of an MCP server that failed");
    remote->connects =
        counter(remote, "hermes_mcp_connects_total", "Connections made to an MCP server");
    if (env->directory)
        mcp_texts_add(&config->write, mem_strdup(env->directory));
    remote->grants = (struct grants){
        .tasks = SANDBOX_TASKS,
        .read = (const char *const *)config->read.texts,
        .write = (const char *const *)config->write.texts,
    };
    remote->program = (struct mcp_program){
        .argv = (const char *const *)config->argv.texts,
        .environment = (const char *const *)config->environment.texts,
        .directory = config->directory ? config->directory : env->directory,
        .memory = config->memory,
        .grants = config->sandboxed ? &remote->grants : NULL,
        .hidden = env->hidden,
        .shown = env->directory,
    };
    remote->endpoint = (struct mcp_endpoint){
        .name = config->name,
        .program = config->url ? NULL : &remote->program,
        .url = config->url,
        .way = config->way,
        .era = config->era,
        .timeout_ms = config->timeout_ms,
        .connect_ms = config->connect_ms,
        .asks = env->asks,
    };
    header_source_init(&remote->headers, config, env->processes, on_headers, remote);
    remote->source = (struct tool_source){config->name, &mcp_remote_ops};
    list_init(&remote->calls);
    list_init(&remote->link);
    return remote;
}

void mcp_remote_begin(struct mcp_remote *remote)
{
    if (remote->begun)
        return;
    remote->begun = true;
    remote->state = MCP_OFF;
    if (!remote->config.enabled)
        return;
    mcp_remote_load_grant(remote);
    mcp_remote_restore(remote);
    remote->state = MCP_RESTING;
    if (!remote->config.lazy || !remote->source_id) // it must be asked once which tools it has
        connect_now(remote);
}

void mcp_remote_destroy(struct mcp_remote *remote)
{
    list_remove(&remote->link);
    if (remote->source_id) // ends its calls
        toolbox_remove_source(remote->env->toolbox, remote->source_id);
    loop_cancel(remote->env->loop, remote->timer);
    loop_cancel(remote->env->loop, remote->soon);
    loop_cancel(remote->env->loop, remote->renewal);
    drop_client(remote);
    mcp_remote_finish_calls(remote);
    mcp_remote_finish_auth(remote);
    header_source_finish(&remote->headers);
    mcp_remote_finish_tools(remote);
    mcp_server_config_finish(&remote->config);
    free(remote);
}
