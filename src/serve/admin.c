#include "serve/admin.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/document.h"
#include "loop/loop.h"
#include "net/http_server.h"
#include "serve/control_internal.h"
#include "serve/describe.h"
#include "serve/key.h"
#include "serve/mcp_face.h"
#include "serve/metrics_page.h"

enum {
    BODY_MAX = 16 * 1024,                     // bytes of what probes get
    BODIES_MAX = 16 << 20,                    // of all requests to /mcp together
    PENDING_MAX = MCP_ANSWER_MAX + 64 * 1024, // bytes of an answer that its reader has not taken
    CONNECTIONS_MAX = 128,
    IDLE_TIMEOUT_MS = 10 * 1000, // probes are short; who dawdles makes room
};

const struct option admin_options[] = {
    {.key = "admin.host",
     .type = OPTION_STRING,
     .offset = offsetof(struct admin_config, host),
     .env = "HERMES_ADMIN_HOST",
     .fallback = "127.0.0.1",
     .help = "numeric address of the admin listener"},
    {.key = "admin.port",
     .type = OPTION_INT,
     .offset = offsetof(struct admin_config, port),
     .env = "HERMES_ADMIN_PORT",
     .fallback = "9119",
     .min = 0,
     .max = 65535,
     .help = "port of the admin listener; 0 takes any free one"},
    {.key = "admin.key",
     .type = OPTION_STRING,
     .offset = offsetof(struct admin_config, key),
     .env = "HERMES_ADMIN_KEY",
     .flags = OPTION_SECRET,
     .help = "key for /metrics, /status and /mcp of the admin listener; refused without it"},
};

const size_t admin_option_count = ARRAY_LEN(admin_options);

struct admin {
    struct http_server *server;
    const struct control_env *control; // borrowed
    struct metrics *metrics;           // borrowed
    char *key;                         // NULL or "": none
    struct list questions;             // that wait for the store
};

static const char json_type_name[] = "application/json";

// The code depends only on whether messages can be taken: that Telegram or an upstream is away
// would not get better by restarting us. The bot's name and how much is talked are for who has the
// key.
static void answer_ready(struct admin *admin, struct http_exchange *exchange)
{
    const struct control_env *env = admin->control;
    bool ready = describe_ready(env->store);
    BUF_AUTO body = BUF_INIT(BODY_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node answer = document_object(&doc);
    node_add_bool(answer, "ready", ready);
    describe_store(answer, env->store);
    bool knows = key_shown(exchange, NULL, span_of(admin->key));
    describe_telegram(answer, env->telegram ? *env->telegram : NULL, knows);
    if (knows)
        describe_outbox(answer, env->store, loop_wall(env->loop));
    document_print(&doc, &body, NULL);
    buf_append_char(&body, '\n');
    http_exchange_reply(exchange, ready ? 200 : 503, json_type_name, buf_span(&body));
}

// Answers itself when it says no.
static bool has_key(struct admin *admin, struct http_exchange *exchange)
{
    struct span key = span_of(admin->key);
    if (key_shown(exchange, NULL, key))
        return true;
    http_exchange_add_header(exchange, "WWW-Authenticate", "Bearer");
    http_exchange_reply_text(exchange, 401, "%s",
                             key.len
                                 ? "this path requires \"Authorization: Bearer\" and the admin key "
                                   "(admin.key, HERMES_ADMIN_KEY)"
                                 : "this path requires a key, and none is set: set admin.key (or "
                                   "HERMES_ADMIN_KEY)");
    return false;
}

static void on_request(void *context, struct http_exchange *exchange)
{
    struct admin *admin = context;
    struct span path = http_exchange_path(exchange);
    struct span method = http_exchange_method(exchange);
    bool health = span_is(path, "/healthz"), ready = span_is(path, "/readyz");
    bool metrics = span_is(path, "/metrics"), status = span_is(path, "/status");
    bool mcp = span_is(path, "/mcp") && admin->control->mcp_face;
    if (!health && !ready && !metrics && !status && !mcp)
        http_exchange_reply_text(exchange, 404,
                                 "the paths are /healthz, /readyz, /metrics, /status and /mcp");
    else if (mcp && has_key(admin, exchange))
        mcp_face_take(admin->control->mcp_face, admin->server, exchange, false);
    else if (mcp)
        return;
    else if (!span_is(method, "GET") && !span_is(method, "HEAD"))
        http_exchange_reply_text(exchange, 405, "this path accepts only GET");
    else if (health)
        http_exchange_reply_text(exchange, 200, "ok");
    else if (ready)
        answer_ready(admin, exchange);
    else if (!has_key(admin, exchange))
        return;
    else if (metrics)
        metrics_page_answer(exchange, admin->metrics);
    else // as GET, also of HEAD
        control_serve(admin->control, admin->server, exchange, SPAN_LITERAL("GET"),
                      &admin->questions);
}

// No page has a use for one; so whoever sends one slowly makes room for others.
static bool wants_body(void *context, const struct http_exchange *exchange)
{
    const struct admin *admin = context;
    return span_is(http_exchange_path(exchange), "/mcp") &&
           key_shown(exchange, NULL, span_of(admin->key));
}

static void on_gone(void *context, uint64_t exchange)
{
    const struct admin *admin = context;
    if (admin->control->mcp_face)
        mcp_server_gone(mcp_face_server(admin->control->mcp_face), admin->server, exchange);
}

int admin_create(const struct admin_config *config, const struct control_env *control,
                 struct metrics *metrics, struct admin **ret_admin, struct error *err)
{
    struct admin *admin = mem_new(struct admin);
    admin->control = control;
    admin->metrics = metrics;
    list_init(&admin->questions);
    struct http_server_options options = {
        .address = config->host,
        .port = (uint16_t)config->port,
        .max_connections = CONNECTIONS_MAX,
        .idle_timeout_ms = IDLE_TIMEOUT_MS,
        .max_body = MCP_REQUEST_MAX,
        .max_bodies = BODIES_MAX,
        .max_pending = PENDING_MAX,
        .wants_body = wants_body,
        .on_request = on_request,
        .on_gone = on_gone,
        .ctx = admin,
    };
    int r = http_server_create(control->loop, &options, &admin->server, err);
    if (r < 0) {
        free(admin);
        return error_wrap(err, "the admin listener (admin.port)");
    }
    admin_configure(admin, config);
    *ret_admin = admin;
    return 0;
}

void admin_destroy(struct admin *admin)
{
    if (!admin)
        return;
    http_server_destroy(admin->server);
    control_forget(&admin->questions);
    free(admin->key);
    free(admin);
}

uint16_t admin_port(const struct admin *admin)
{
    return http_server_port(admin->server);
}

void admin_configure(struct admin *admin, const struct admin_config *config)
{
    free(admin->key);
    admin->key = config->key ? mem_strdup(config->key) : NULL;
}
