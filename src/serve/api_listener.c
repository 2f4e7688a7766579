#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dispatcher.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http_field.h"
#include "net/http_server.h"
#include "serve/api_internal.h"
#include "serve/api_turn.h"
#include "serve/control_internal.h"
#include "serve/key.h"

enum {
    CONNECTIONS_MAX = 64,
    HEADER_MAX = 32 * 1024,                  // bytes
    BODIES_MAX = 3 * API_BODY_MAX,           // bytes of all requests together
    PENDING_MAX = API_ITEMS_MAX + (1 << 20), // bytes that a slow reader has not taken
    IDLE_TIMEOUT_MS = 75 * 1000,
};

#define FIELD(name) offsetof(struct api_config, name)

const struct option api_options[] = {
    {.key = "gateway.api_server.enabled",
     .aliases = "platforms.api_server.enabled",
     .type = OPTION_BOOL,
     .offset = FIELD(enabled),
     .env = "API_SERVER_ENABLED",
     .fallback = "true",
     .flags = OPTION_ENV_WINS,
     .help = "no: the agent's API is not opened, even with a key"},
    {.key = "gateway.api_server.key",
     .aliases = "platforms.api_server.extra.key,platforms.api_server.key",
     .type = OPTION_STRING,
     .offset = FIELD(key),
     .env = "API_SERVER_KEY",
     .flags = OPTION_SECRET | OPTION_ENV_WINS,
     .help = "key for the agent's API, of 8 characters or more; without one it is not opened"},
    {.key = "gateway.api_server.host",
     .aliases = "platforms.api_server.extra.host",
     .type = OPTION_STRING,
     .offset = FIELD(host),
     .env = "API_SERVER_HOST",
     .fallback = "127.0.0.1",
     .flags = OPTION_ENV_WINS,
     .help = "numeric address of the agent's API"},
    {.key = "gateway.api_server.port",
     .aliases = "platforms.api_server.extra.port",
     .type = OPTION_INT,
     .offset = FIELD(port),
     .env = "API_SERVER_PORT",
     .fallback = "8642",
     .flags = OPTION_ENV_WINS,
     .min = 0,
     .max = 65535,
     .help = "port of the agent's API; 0 takes any free one"},
    {.key = "gateway.api_server.cors_origins",
     .aliases = "platforms.api_server.extra.cors_origins",
     .type = OPTION_LIST,
     .offset = FIELD(origins),
     .env = "API_SERVER_CORS_ORIGINS",
     .flags = OPTION_ENV_WINS,
     .help = "origins of web pages that may use the agent's API; \"*\": any"},
    {.key = "gateway.api_server.model_name",
     .aliases = "platforms.api_server.extra.model_name",
     .type = OPTION_STRING,
     .offset = FIELD(model_name),
     .env = "API_SERVER_MODEL_NAME",
     .fallback = "hermes-agent",
     .flags = OPTION_ENV_WINS,
     .help = "what the agent calls itself as a model"},
    {.key = "gateway.api_server.max_concurrent_runs",
     .type = OPTION_INT,
     .offset = FIELD(runs_max),
     .fallback = "10",
     .min = 1,
     .max = 1000,
     .help = "answers that the agent's API writes at once; further requests get a 429"},
};
const size_t api_option_count = ARRAY_LEN(api_options);

// --- routes --------------------------------------------------------------------------------------

static void list_models(struct api *api, struct http_exchange *exchange, struct span rest)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node root = document_object(&doc);
    node_add_text(root, "object", "list");
    struct node model = node_add_object(node_add_array(root, "data"), NULL);
    node_add_text(model, "id", api->config->model_name);
    node_add_text(model, "object", "model");
    node_add_int(model, "created", api->control->started_ms / 1000);
    node_add_text(model, "owned_by", "hermes");
    api_reply(exchange, 200, &doc);
}

// One without a method is for what stands beneath it as well.
static const struct route {
    const char *path, *method; // NULL: several
    api_route_fn *answer;
} routes[] = {
    {"/v1/models", "GET", list_models},      {"/v1/chat/completions", "POST", api_chat},
    {"/v1/responses", NULL, api_responses},  {"/v1/runs", NULL, api_runs},
    {"/api/runs", NULL, api_runs},           {"/api/sessions", NULL, api_sessions},
    {"/api/approvals", NULL, api_approvals}, {"/api/jobs", NULL, api_jobs},
};

static const struct route *route_of(struct span path, struct span *ret_rest)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        struct span own = span_of(routes[i].path);
        *ret_rest = span_skip(path, own.len);
        bool beneath = ret_rest->len && *ret_rest->data == '/' && !routes[i].method;
        if (span_starts_with(path, own.data) && (beneath || !ret_rest->len))
            return &routes[i];
    }
    return NULL;
}

// False when it was refused, or told what it may ask.
static bool is_welcome(const struct api *api, struct http_exchange *exchange)
{
    const struct option_list *origins = &api->config->origins;
    struct span origin = http_exchange_header(exchange, "Origin");
    http_exchange_add_header(exchange, "X-Content-Type-Options", "nosniff");
    http_exchange_add_header(exchange, "Referrer-Policy", "no-referrer");
    if (!origin.len)
        return true;
    bool known = false;
    for (size_t i = 0; i < origins->count; i++)
        known |= span_is(origin, origins->items[i]) || strcmp(origins->items[i], "*") == 0;
    if (!known) {
        api_refuse(exchange, 403, "origin_not_allowed",
                   "pages of this origin may not use this API (API_SERVER_CORS_ORIGINS)");
        return false;
    }
    http_exchange_add_own(exchange, SPAN_LITERAL("Access-Control-Allow-Origin"), origin);
    http_exchange_add_header(exchange, "Vary", "Origin");
    http_exchange_add_header(exchange, "Access-Control-Expose-Headers", "X-Hermes-Session-Id");
    if (!span_is(http_exchange_method(exchange), "OPTIONS"))
        return true;
    http_exchange_add_header(exchange, "Access-Control-Allow-Methods",
                             "GET, POST, PATCH, DELETE, OPTIONS");
    http_exchange_add_header(exchange, "Access-Control-Allow-Headers",
                             "Authorization, Content-Type, Idempotency-Key, X-Hermes-Session-Id");
    http_exchange_reply(exchange, 204, NULL, SPAN_ABSENT);
    return false;
}

static bool has_key(const struct api *api, const struct http_exchange *exchange)
{
    return key_shown(exchange, NULL, span_of(api->config->key ? api->config->key : ""));
}

static bool wants_body(void *context, const struct http_exchange *exchange)
{
    struct span rest;
    return has_key(context, exchange) && route_of(http_exchange_path(exchange), &rest);
}

static void answer(struct api *api, struct http_exchange *exchange, struct span path)
{
    struct span rest, method = http_exchange_method(exchange);
    const struct route *route = route_of(path, &rest);
    if (!route) {
        api_refuse(exchange, 404, NULL,
                   "there is no such path; docs/api.md lists them. The address for clients of "
                   "OpenAI's ends in /v1");
    } else if (route->method && !span_is(method, route->method)) {
        http_exchange_add_header(exchange, "Allow", route->method);
        api_refuse(exchange, 405, NULL, "this path accepts only %s", route->method);
    } else if (dispatcher_resumes_later(api->control->dispatcher)) {
        // The file may be checked still, or the loop has not heard that it is whole.
        api_refuse_for_now(exchange, "the database is not ready yet");
    } else if (!api_once_answer(api, exchange)) {
        route->answer(api, exchange, rest);
    }
}

static void on_request(void *context, struct http_exchange *exchange)
{
    struct api *api = context;
    struct span path = http_exchange_path(exchange);
    if (!is_welcome(api, exchange))
        return;
    if (span_is(path, "/health") || span_is(path, "/v1/health")) {
        http_exchange_reply(exchange, 200, api_json,
                            SPAN_LITERAL("{\"status\":\"ok\",\"platform\":\"hermes-agent\"}\n"));
    } else if (!has_key(api, exchange)) {
        LOG_OFTEN(LOG_WARNING, "api.refused", "", LOG_OWN("why", "key"));
        http_exchange_add_header(exchange, "WWW-Authenticate", "Bearer");
        api_refuse(exchange, 401, "invalid_api_key",
                   "this needs \"Authorization: Bearer\" and the key of the API (API_SERVER_KEY)");
    } else {
        answer(api, exchange, path);
    }
}

static struct api_work *work_of(struct api *api, uint64_t exchange)
{
    list_for_each(link, &api->works) {
        struct api_work *work = list_entry(link, struct api_work, link);
        if (work->exchange == exchange)
            return work;
    }
    return NULL;
}

static void on_gone(void *context, uint64_t exchange)
{
    struct api *api = context;
    struct api_work *work = work_of(api, exchange);
    if (work)
        api_work_leave(work);
    list_for_each(link, &api->works)
        api_run_gone(list_entry(link, struct api_work, link), exchange);
}

// Only a stream can be asked whether anybody reads it.
static void on_half_closed(void *context, struct http_exchange *exchange)
{
    struct api *api = context;
    list_for_each(link, &api->works) {
        struct api_work *work = list_entry(link, struct api_work, link);
        struct sse_stream *stream = api_run_stream(work, http_exchange_id(exchange));
        if (work->exchange == http_exchange_id(exchange))
            stream = &work->stream;
        if (stream && stream->exchange)
            sse_stream_probe(stream);
    }
}

static const char *write_refusal(void *context, const struct http_exchange *exchange,
                                 unsigned status, const char *sentence, struct buf *body)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    api_write_error(document_object(&doc), status, NULL, sentence);
    document_print(&doc, body, NULL);
    return api_json;
}

// --- life ----------------------------------------------------------------------------------------

int api_create(const struct api_config *config, const struct control_env *control,
               struct api **ret_api, struct error *err)
{
    if (!config->enabled || !config->key || !*config->key)
        return 0;
    if (strlen(config->key) < API_KEY_MIN)
        return error_set(err, -EINVAL,
                         "the key of the agent's API (API_SERVER_KEY) must have at least %d "
                         "characters; make one with: openssl rand -hex 32",
                         API_KEY_MIN);
    struct api *api = mem_new(struct api);
    api->config = config;
    api->control = control;
    list_init(&api->works);
    list_init(&api->pages);
    list_init(&api->once);
    list_init(&api->questions);
    struct http_server_options options = {
        .address = config->host,
        .port = (uint16_t)config->port,
        .max_connections = CONNECTIONS_MAX,
        .max_body = API_BODY_MAX,
        .max_bodies = BODIES_MAX,
        .max_header = HEADER_MAX,
        .max_pending = PENDING_MAX,
        .idle_timeout_ms = IDLE_TIMEOUT_MS,
        .wants_body = wants_body,
        .on_request = on_request,
        .on_gone = on_gone,
        .on_half_closed = on_half_closed,
        .write_refusal = write_refusal,
        .ctx = api,
    };
    int r = http_server_create(control->loop, &options, &api->server, err);
    if (r < 0) {
        free(api);
        return error_wrap(err, "the agent's API (API_SERVER_PORT)");
    }
    *ret_api = api;
    return 0;
}

void api_destroy(struct api *api)
{
    if (!api)
        return;
    list_for_each(link, &api->works) { // nobody is left whose turn would have to be stopped
        list_entry(link, struct api_work, link)->exchange = 0;
        sse_stream_abort(&list_entry(link, struct api_work, link)->stream);
    }
    list_for_each(page, &api->pages)
        api_page_destroy(list_entry(page, struct api_page, link));
    http_server_destroy(api->server);
    control_forget(&api->questions);
    api_once_finish(api);
    list_for_each(other, &api->works)
        api_work_destroy(list_entry(other, struct api_work, link));
    free(api);
}

uint16_t api_port(const struct api *api)
{
    return http_server_port(api->server);
}

void api_close(struct api *api)
{
    http_server_stop_accepting(api->server);
}

unsigned api_open(const struct api *api)
{
    return http_server_open_exchanges(api->server);
}
