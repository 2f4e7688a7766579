#include "serve/router_pages.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/document.h"
#include "codec/money.h"
#include "net/http_server.h"
#include "router/router.h"
#include "router/wire/reply_edit.h"
#include "serve/metrics_page.h"

enum {
    PAGE_MAX = 4 * 1024 * 1024, // bytes
    TREE_MAX = 4 * PAGE_MAX,    // bytes of memory of a page that is built
    CREATED = 1677610602,       // what LiteLLM says of every model
    NAME_SHOWN_MAX = 256,       // bytes of a model's name
};

static const char json_type_name[] = "application/json";

static void reply(struct http_exchange *exchange, unsigned status, const struct document *page)
{
    BUF_AUTO body = BUF_INIT(PAGE_MAX);
    struct error err = ERROR_INIT;
    if (document_print(page, &body, &err) == 0)
        http_exchange_reply_take(exchange, status, json_type_name, &body);
    else
        http_exchange_reply_text(exchange, 500, "this page cannot be shown: %s", err.text);
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

static void write_model(struct node model, const char *name)
{
    node_add_text(model, "id", name);
    node_add_text(model, "object", "model");
    node_add_int(model, "created", CREATED);
    node_add_text(model, "owned_by", "openai");
}

// The agent's alone: for clients it does not exist.
static bool is_internal(const struct router_plan *plan, size_t deployment)
{
    return plan->groups[plan->deployments[deployment].group].internal;
}

static void answer_models(struct http_exchange *exchange, struct router *router)
{
    const struct router_plan *plan = router_plan(router);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TREE_MAX);
    struct node page = document_object(&doc), data = node_add_array(page, "data");
    for (size_t i = 0; i < plan->group_count; i++)
        if (!plan->groups[i].internal)
            write_model(node_add_object(data, NULL), plan->groups[i].name);
    for (size_t i = 0; i < plan->alias_count; i++)
        if (!plan->aliases[i].hidden)
            write_model(node_add_object(data, NULL), plan->aliases[i].name);
    node_add_text(page, "object", "list");
    reply(exchange, 200, &doc);
}

// "/models/NAME", as clients look one up.
static void answer_model(struct http_exchange *exchange, struct router *router, struct span name)
{
    struct router_match match;
    BUF_AUTO text = BUF_INIT(NAME_SHOWN_MAX + 256);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TREE_MAX);
    struct node page = document_object(&doc);
    bool known = router_plan_find(router_plan(router), name, &match);
    name.len = name.len < NAME_SHOWN_MAX || known ? name.len : NAME_SHOWN_MAX;
    if (known) {
        buf_append_span(&text, name);
        write_model(page, buf_text(&text));
    } else {
        buf_append_text(&text, "The model `");
        buf_append_span(&text, name);
        buf_append_text(&text, "` does not exist or is not accessible");
        node_add_string(page, "detail", buf_span(&text));
    }
    reply(exchange, known ? 200 : 404, &doc);
}

// Null where it is not known.
static void write_number(struct node info, const char *key, int64_t units, unsigned digits)
{
    if (units < 0)
        node_add_null(info, key);
    else
        node_add_fixed(info, key, units, digits);
}

static void write_deployment(struct node row, const struct router_plan *plan,
                             const struct router_deployment *d)
{
    node_add_text(row, "model_name", plan->groups[d->group].name);
    struct node params = node_add_object(row, "litellm_params");
    node_add_text(params, "model", d->litellm_name);
    if (*d->base_url)
        node_add_text(params, "api_base", d->base_url);
    struct node info = node_add_object(row, "model_info");
    node_add_text(info, "id", d->id);
    node_add_bool(info, "db_model", false);
    node_add_text(info, "litellm_provider", d->provider);
    node_add_text(info, "mode", d->mode ? d->mode : "chat");
    write_number(info, "max_tokens", d->max_tokens, 0);
    write_number(info, "max_input_tokens", d->max_input_tokens, 0);
    write_number(info, "input_cost_per_token", d->price.input_pico, MONEY_DIGITS);
    write_number(info, "output_cost_per_token", d->price.output_pico, MONEY_DIGITS);
}

static void answer_model_info(struct http_exchange *exchange, struct router *router)
{
    const struct router_plan *plan = router_plan(router);
    struct span wanted = http_exchange_query(exchange, "litellm_model_id");
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TREE_MAX);
    struct node data = node_add_array(document_object(&doc), "data");
    for (size_t i = 0; i < plan->deployment_count; i++)
        if (!is_internal(plan, i) && (!wanted.len || span_is(wanted, plan->deployments[i].id)))
            write_deployment(node_add_object(data, NULL), plan, &plan->deployments[i]);
    reply(exchange, 200, &doc);
}

// --- health --------------------------------------------------------------------------------------

// LiteLLM asks every model, which costs money; this tells what the last calls have shown.
static size_t write_endpoints(struct node list, struct router *router, bool healthy)
{
    const struct router_plan *plan = router_plan(router);
    size_t count = 0;
    for (size_t i = 0; i < plan->deployment_count; i++) {
        const struct router_deployment *d = &plan->deployments[i];
        struct router_pick_view view = router_view(router, i);
        bool is_healthy = !d->trouble && view.state == CIRCUIT_CLOSED;
        if (is_internal(plan, i) || is_healthy != healthy)
            continue;
        count++;
        struct node endpoint = node_add_object(list, NULL);
        node_add_text(endpoint, "model", d->litellm_name);
        node_add_text(endpoint, "model_id", d->id);
        if (*d->base_url)
            node_add_text(endpoint, "api_base", d->base_url);
        if (d->trouble)
            node_add_text(endpoint, "error", d->trouble);
        else if (!healthy)
            node_add_int(endpoint, "status", view.status);
    }
    return count;
}

static void answer_health(struct http_exchange *exchange, struct router *router)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TREE_MAX);
    struct node page = document_object(&doc);
    size_t healthy = write_endpoints(node_add_array(page, "healthy_endpoints"), router, true);
    size_t unhealthy = write_endpoints(node_add_array(page, "unhealthy_endpoints"), router, false);
    node_add_int(page, "healthy_count", (int64_t)healthy);
    node_add_int(page, "unhealthy_count", (int64_t)unhealthy);
    reply(exchange, 200, &doc);
}

static void answer_ready(struct http_exchange *exchange, const struct router *router)
{
    const char *trouble = router_trouble(router);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TREE_MAX);
    struct node page = document_object(&doc);
    node_add_text(page, "status", "healthy");
    node_add_text(page, "db", *trouble ? "disconnected" : "connected");
    node_add_text(page, "litellm_version", HERMES_VERSION);
    if (*trouble)
        node_add_text(page, "trouble", trouble);
    reply(exchange, 200, &doc);
}

// Answers itself when it says no.
static bool only_reads(struct http_exchange *exchange)
{
    struct span method = http_exchange_method(exchange);
    bool reads = span_is(method, "GET") || span_is(method, "HEAD");
    if (!reads)
        router_pages_wrong_method(exchange, "GET");
    return reads;
}

bool router_pages_open(struct http_exchange *exchange, struct span path,
                       const struct router *router)
{
    bool alive = span_is(path, "/health/liveliness") || span_is(path, "/health/liveness");
    if (!alive && !span_is(path, "/health/readiness"))
        return false;
    if (!only_reads(exchange))
        return true;
    if (alive)
        http_exchange_reply(exchange, 200, json_type_name, SPAN_LITERAL("\"I'm alive!\""));
    else
        answer_ready(exchange, router);
    return true;
}

static const struct {
    const char *path;
    void (*answer)(struct http_exchange *exchange, struct router *router);
} pages[] = {
    {"/models", answer_models},
    {"/model/info", answer_model_info},
    {"/health", answer_health},
};

void router_pages_answer(struct http_exchange *exchange, struct span path, struct router *router,
                         const struct metrics *metrics)
{
    static const char models[] = "/models/";
    bool one = span_starts_with(path, models) && path.len > sizeof models - 1;
    size_t i = 0;
    while (i < ARRAY_LEN(pages) && !span_is(path, pages[i].path))
        i++;
    if (!one && i == ARRAY_LEN(pages) && !span_is(path, "/metrics"))
        http_exchange_reply(exchange, 404, json_type_name,
                            SPAN_LITERAL("{\"detail\":\"Not Found\"}"));
    else if (!only_reads(exchange))
        return;
    else if (one)
        answer_model(exchange, router, span_skip(path, sizeof models - 1));
    else if (i < ARRAY_LEN(pages))
        pages[i].answer(exchange, router);
    else
        metrics_page_answer(exchange, metrics);
}
