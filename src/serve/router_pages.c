#include "serve/router_pages.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/json_write.h"
#include "codec/money.h"
#include "net/http_server.h"
#include "router/error_body.h"
#include "router/router.h"
#include "serve/metrics_page.h"

enum {
    PAGE_MAX = 4 * 1024 * 1024, // bytes
    CREATED = 1677610602,       // what LiteLLM says of every model
    NAME_SHOWN_MAX = 256,       // bytes of a model's name
};

static const char json_type_name[] = "application/json";

static void reply(struct http_exchange *exchange, struct buf *body)
{
    http_exchange_reply_take(exchange, 200, json_type_name, body);
}

// --- errors --------------------------------------------------------------------------------------

void router_pages_error(struct http_exchange *exchange, unsigned status, const char *name,
                        const char *message, const char *type)
{
    BUF_AUTO body = BUF_INIT(PAGE_MAX);
    struct error_body error = {
        .name = name,
        .message = span_of(message),
        .type = type,
        .param = type ? "None" : NULL,
        .status = (int)status,
    };
    error_body_write(&body, &error);
    http_exchange_reply_take(exchange, status, json_type_name, &body);
}

const char *router_pages_refusal(unsigned status, const char *message, struct buf *body)
{
    bool late = status == 408, busy = status == 503;
    const char *name = late ? "Timeout" : busy ? "ServiceUnavailableError" : NULL;
    struct error_body error = {
        .name = name,
        .message = span_of(message),
        .type = late || busy ? NULL : "invalid_request_error",
        .status = (int)status,
    };
    error_body_write(body, &error);
    return json_type_name;
}

void router_pages_no_key(struct http_exchange *exchange)
{
    bool shown = http_exchange_header(exchange, "Authorization").len > 0;
    http_exchange_add_header(exchange, "WWW-Authenticate", "Bearer");
    router_pages_error(exchange, 401, NULL,
                       shown ? "Authentication Error, Invalid proxy server token passed."
                             : "Authentication Error, No api key passed in.",
                       "auth_error");
}

void router_pages_wrong_method(struct http_exchange *exchange, const char *allowed)
{
    http_exchange_add_header(exchange, "Allow", allowed);
    http_exchange_reply(exchange, 405, json_type_name,
                        SPAN_LITERAL("{\"detail\":\"Method Not Allowed\"}"));
}

// --- models --------------------------------------------------------------------------------------

static void write_model(struct json_writer *w, const char *name)
{
    json_write_object_begin(w);
    json_write_member_text(w, "id", name);
    json_write_member_text(w, "object", "model");
    json_write_member_int(w, "created", CREATED);
    json_write_member_text(w, "owned_by", "openai");
    json_write_object_end(w);
}

// The agent's alone: for clients it does not exist.
static bool is_internal(const struct router_plan *plan, size_t deployment)
{
    return plan->groups[plan->deployments[deployment].group].internal;
}

static void answer_models(struct http_exchange *exchange, struct router *router)
{
    const struct router_plan *plan = router_plan(router);
    BUF_AUTO body = BUF_INIT(PAGE_MAX);
    struct json_writer w;
    json_writer_init(&w, &body);
    json_write_object_begin(&w);
    json_write_key(&w, "data");
    json_write_array_begin(&w);
    for (size_t i = 0; i < plan->group_count; i++)
        if (!plan->groups[i].internal)
            write_model(&w, plan->groups[i].name);
    for (size_t i = 0; i < plan->alias_count; i++)
        if (!plan->aliases[i].hidden)
            write_model(&w, plan->aliases[i].name);
    json_write_array_end(&w);
    json_write_member_text(&w, "object", "list");
    json_write_object_end(&w);
    reply(exchange, &body);
}

// "/models/NAME", as clients look one up.
static void answer_model(struct http_exchange *exchange, struct router *router, struct span name)
{
    struct router_match match;
    BUF_AUTO text = BUF_INIT(NAME_SHOWN_MAX + 256);
    struct json_writer w;
    if (router_plan_find(router_plan(router), name, &match)) {
        buf_append_span(&text, name);
        BUF_AUTO body = BUF_INIT(PAGE_MAX);
        json_writer_init(&w, &body);
        write_model(&w, buf_text(&text));
        reply(exchange, &body);
        return;
    }
    name.len = name.len < NAME_SHOWN_MAX ? name.len : NAME_SHOWN_MAX;
    buf_append_text(&text, "The model `");
    buf_append_span(&text, name);
    buf_append_text(&text, "` does not exist or is not accessible");
    BUF_AUTO body = BUF_INIT(PAGE_MAX);
    json_writer_init(&w, &body);
    json_write_object_begin(&w);
    json_write_key(&w, "detail");
    json_write_string(&w, buf_span(&text));
    json_write_object_end(&w);
    http_exchange_reply_take(exchange, 404, json_type_name, &body);
}

static void write_price(struct json_writer *w, const char *key, int64_t pico)
{
    json_write_key(w, key);
    if (pico < 0)
        json_write_null(w);
    else
        json_write_fixed(w, pico, MONEY_DIGITS);
}

static void write_count(struct json_writer *w, const char *key, int64_t count)
{
    json_write_key(w, key);
    if (count < 0)
        json_write_null(w);
    else
        json_write_int(w, count);
}

static void write_deployment(struct json_writer *w, const struct router_plan *plan,
                             const struct router_deployment *d)
{
    json_write_object_begin(w);
    json_write_member_text(w, "model_name", plan->groups[d->group].name);
    json_write_key(w, "litellm_params");
    json_write_object_begin(w);
    json_write_member_text(w, "model", d->litellm_name);
    if (*d->base_url)
        json_write_member_text(w, "api_base", d->base_url);
    json_write_object_end(w);
    json_write_key(w, "model_info");
    json_write_object_begin(w);
    json_write_member_text(w, "id", d->id);
    json_write_member_bool(w, "db_model", false);
    json_write_member_text(w, "litellm_provider", d->provider);
    json_write_member_text(w, "mode", d->mode ? d->mode : "chat");
    write_count(w, "max_tokens", d->max_tokens);
    write_count(w, "max_input_tokens", d->max_input_tokens);
    write_price(w, "input_cost_per_token", d->price.input_pico);
    write_price(w, "output_cost_per_token", d->price.output_pico);
    json_write_object_end(w);
    json_write_object_end(w);
}

static void answer_model_info(struct http_exchange *exchange, struct router *router)
{
    const struct router_plan *plan = router_plan(router);
    struct span wanted = http_exchange_query(exchange, "litellm_model_id");
    BUF_AUTO body = BUF_INIT(PAGE_MAX);
    struct json_writer w;
    json_writer_init(&w, &body);
    json_write_object_begin(&w);
    json_write_key(&w, "data");
    json_write_array_begin(&w);
    for (size_t i = 0; i < plan->deployment_count; i++)
        if (!is_internal(plan, i) && (!wanted.len || span_is(wanted, plan->deployments[i].id)))
            write_deployment(&w, plan, &plan->deployments[i]);
    json_write_array_end(&w);
    json_write_object_end(&w);
    reply(exchange, &body);
}

// --- health --------------------------------------------------------------------------------------

// LiteLLM asks every model, which costs money; this tells what the last calls have shown.
static size_t write_endpoints(struct json_writer *w, struct router *router, bool healthy)
{
    const struct router_plan *plan = router_plan(router);
    size_t count = 0;
    json_write_array_begin(w);
    for (size_t i = 0; i < plan->deployment_count; i++) {
        const struct router_deployment *d = &plan->deployments[i];
        struct router_pick_view view = router_view(router, i);
        bool is_healthy = !d->trouble && view.state == CIRCUIT_CLOSED;
        if (is_internal(plan, i) || is_healthy != healthy)
            continue;
        count++;
        json_write_object_begin(w);
        json_write_member_text(w, "model", d->litellm_name);
        json_write_member_text(w, "model_id", d->id);
        if (*d->base_url)
            json_write_member_text(w, "api_base", d->base_url);
        if (d->trouble)
            json_write_member_text(w, "error", d->trouble);
        else if (!healthy)
            json_write_member_int(w, "status", view.status);
        json_write_object_end(w);
    }
    json_write_array_end(w);
    return count;
}

static void answer_health(struct http_exchange *exchange, struct router *router)
{
    BUF_AUTO body = BUF_INIT(PAGE_MAX);
    struct json_writer w;
    json_writer_init(&w, &body);
    json_write_object_begin(&w);
    json_write_key(&w, "healthy_endpoints");
    size_t healthy = write_endpoints(&w, router, true);
    json_write_key(&w, "unhealthy_endpoints");
    size_t unhealthy = write_endpoints(&w, router, false);
    json_write_member_int(&w, "healthy_count", (int64_t)healthy);
    json_write_member_int(&w, "unhealthy_count", (int64_t)unhealthy);
    json_write_object_end(&w);
    reply(exchange, &body);
}

static void answer_ready(struct http_exchange *exchange, const struct router *router,
                         const char *version)
{
    const char *trouble = router_trouble(router);
    BUF_AUTO body = BUF_INIT(PAGE_MAX);
    struct json_writer w;
    json_writer_init(&w, &body);
    json_write_object_begin(&w);
    json_write_member_text(&w, "status", "healthy");
    json_write_member_text(&w, "db", *trouble ? "disconnected" : "connected");
    json_write_member_text(&w, "litellm_version", version);
    if (*trouble)
        json_write_member_text(&w, "trouble", trouble);
    json_write_object_end(&w);
    reply(exchange, &body);
}

bool router_pages_open(struct http_exchange *exchange, struct span path,
                       const struct router *router, const char *version)
{
    bool alive = span_is(path, "/health/liveliness") || span_is(path, "/health/liveness");
    bool ready = span_is(path, "/health/readiness");
    if (!alive && !ready)
        return false;
    struct span method = http_exchange_method(exchange);
    if (!span_is(method, "GET") && !span_is(method, "HEAD"))
        router_pages_wrong_method(exchange, "GET");
    else if (alive)
        http_exchange_reply(exchange, 200, json_type_name, SPAN_LITERAL("\"I'm alive!\""));
    else
        answer_ready(exchange, router, version);
    return true;
}

void router_pages_answer(struct http_exchange *exchange, struct span path, struct router *router,
                         const struct metrics *metrics)
{
    struct span method = http_exchange_method(exchange);
    bool one = span_starts_with(path, "/models/") && path.len > strlen("/models/");
    bool models = span_is(path, "/models"), info = span_is(path, "/model/info");
    bool health = span_is(path, "/health"), counts = span_is(path, "/metrics");
    if (!one && !models && !info && !health && !counts)
        http_exchange_reply(exchange, 404, json_type_name,
                            SPAN_LITERAL("{\"detail\":\"Not Found\"}"));
    else if (!span_is(method, "GET") && !span_is(method, "HEAD"))
        router_pages_wrong_method(exchange, "GET");
    else if (one)
        answer_model(exchange, router, span_skip(path, strlen("/models/")));
    else if (models)
        answer_models(exchange, router);
    else if (info)
        answer_model_info(exchange, router);
    else if (health)
        answer_health(exchange, router);
    else
        metrics_page_answer(exchange, metrics);
}
