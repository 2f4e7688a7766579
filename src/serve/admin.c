#include "serve/admin.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/json_write.h"
#include "net/http_server.h"
#include "store/store.h"

enum {
    BODY_MAX = 16 * 1024, // bytes
    CONNECTIONS_MAX = 128,
    IDLE_TIMEOUT_MS = 10 * 1000, // probes are short; who dawdles makes room
};

const struct option admin_options[] = {
    {.key = "admin.host",
     .type = OPTION_STRING,
     .offset = offsetof(struct admin_config, host),
     .env = "HERMES_ADMIN_HOST",
     .fallback = "127.0.0.1",
     .help = "numeric address of the admin face"},
    {.key = "admin.port",
     .type = OPTION_INT,
     .offset = offsetof(struct admin_config, port),
     .env = "HERMES_ADMIN_PORT",
     .fallback = "9119",
     .min = 0,
     .max = 65535,
     .help = "port of the admin face; 0 takes any free one"},
};

const size_t admin_option_count = ARRAY_LEN(admin_options);

struct admin {
    struct http_server *server;
    struct store *store;
};

static const char *state_name(enum store_state state)
{
    switch (state) {
    case STORE_OPENING:
        return "opening";
    case STORE_CHECKING:
        return "checking";
    case STORE_READY:
        return "ready";
    case STORE_FAILED:
        break;
    }
    return "failed";
}

// Checking is ready: messages are taken and wait in the queue while it lasts.
static void answer_ready(struct admin *admin, struct http_exchange *exchange)
{
    enum store_state state = store_state(admin->store);
    BUF_AUTO body = BUF_INIT(BODY_MAX);
    struct json_writer w;
    json_writer_init(&w, &body);
    json_write_object_begin(&w);
    json_write_member_bool(&w, "ready", state != STORE_FAILED);
    json_write_key(&w, "store");
    json_write_object_begin(&w);
    json_write_member_text(&w, "state", state_name(state));
    json_write_member_text(&w, "detail", store_describe(admin->store));
    json_write_member_text(&w, "note", store_note(admin->store));
    json_write_object_end(&w);
    json_write_object_end(&w);
    buf_append_char(&body, '\n');
    http_exchange_reply(exchange, state == STORE_FAILED ? 503 : 200, "application/json",
                        buf_span(&body));
}

static void on_request(void *context, struct http_exchange *exchange)
{
    struct admin *admin = context;
    struct span path = http_exchange_path(exchange);
    struct span method = http_exchange_method(exchange);
    bool known = span_is(path, "/healthz") || span_is(path, "/readyz");
    if (!known)
        http_exchange_reply_text(exchange, 404, "there is /healthz and /readyz here");
    else if (!span_is(method, "GET") && !span_is(method, "HEAD"))
        http_exchange_reply_text(exchange, 405, "this path takes GET");
    else if (span_is(path, "/healthz"))
        http_exchange_reply_text(exchange, 200, "ok");
    else
        answer_ready(admin, exchange);
}

int admin_create(struct loop *loop, const struct admin_config *config, struct store *store,
                 struct admin **ret_admin, struct error *err)
{
    struct admin *admin = mem_new(struct admin);
    admin->store = store;
    struct http_server_options options = {
        .address = config->host,
        .port = (uint16_t)config->port,
        .max_connections = CONNECTIONS_MAX,
        .idle_timeout_ms = IDLE_TIMEOUT_MS,
        .max_body = 1,
        .on_request = on_request,
        .ctx = admin,
    };
    int r = http_server_create(loop, &options, &admin->server, err);
    if (r < 0) {
        free(admin);
        return error_wrap(err, "the admin face");
    }
    *ret_admin = admin;
    return 0;
}

void admin_destroy(struct admin *admin)
{
    if (!admin)
        return;
    http_server_destroy(admin->server);
    free(admin);
}

uint16_t admin_port(const struct admin *admin)
{
    return http_server_port(admin->server);
}
