/*
 * The control socket is HTTP like every other listener, so that a person can ask it with curl and a
 * test with anything. Whoever may open the socket's file may do everything: it is the owner's own
 * user, or root (net/unix_socket.h), so no key is asked for.
 */
#include "serve/control.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/unix_socket.h"
#include "serve/control_internal.h"
#include "serve/mcp_face.h"

enum {
    CONNECTIONS_MAX = 64,
    BODIES_MAX = 8 << 20,   // bytes of all requests together
    PENDING_MAX = 16 << 20, // bytes of an answer that its reader has not taken yet
    BODY_SLACK = 64 * 1024, // bytes by which a message may be too long and still be told so in JSON
    IDLE_TIMEOUT_MS = 60 * 1000,
};

void control_serve(const struct control_env *env, struct http_server *server,
                   struct http_exchange *exchange, struct span method, struct list *waiting)
{
    struct control_question question = {
        .env = env,
        .method = method,
        .path = http_exchange_path(exchange),
        .body = http_exchange_body(exchange),
        .waiting = waiting,
        .server = server,
        .exchange = http_exchange_id(exchange),
    };
    control_ask(&question);
}

static void on_request(void *context, struct http_exchange *exchange)
{
    struct control *control = context;
    struct span method = http_exchange_method(exchange);
    bool is_chat = span_is(http_exchange_path(exchange), "/chat");
    if (is_chat && span_is(method, "POST"))
        control_chat_start(control, exchange);
    else if (is_chat && span_is(method, "DELETE"))
        control_chat_stop(control, exchange);
    else if (span_is(http_exchange_path(exchange), "/mcp") && control->env->mcp_face)
        mcp_face_take(control->env->mcp_face, control->server, exchange, true);
    else
        control_serve(control->env, control->server, exchange, method, &control->questions);
}

static void on_gone(void *context, uint64_t exchange)
{
    struct control *control = context;
    control_chat_gone(control, exchange);
    if (control->env->mcp_face)
        mcp_server_gone(mcp_face_server(control->env->mcp_face), control->server, exchange);
}

int control_create(const struct control_env *env, struct control **ret_control, struct error *err)
{
    struct control *control = mem_new(struct control);
    control->env = env;
    control->path = mem_printf("%s/hermes.sock", env->home);
    list_init(&control->questions);
    list_init(&control->chats);
    CLEANUP(mem_cleanup) char *address = mem_printf(UNIX_SOCKET_PREFIX "%s", control->path);
    struct http_server_options options = {
        .address = address,
        .max_connections = CONNECTIONS_MAX,
        .max_body = MCP_REQUEST_MAX + BODY_SLACK,
        .max_bodies = BODIES_MAX,
        .max_pending = PENDING_MAX,
        .idle_timeout_ms = IDLE_TIMEOUT_MS,
        .on_request = on_request,
        .on_gone = on_gone,
        .ctx = control,
    };
    int r = http_server_create(env->loop, &options, &control->server, err);
    if (r < 0) {
        free(control->path);
        free(control);
        return error_wrap(err, "the control socket");
    }
    *ret_control = control;
    return 0;
}

void control_destroy(struct control *control)
{
    if (!control)
        return;
    control->closing = true;
    unlink(control->path); // first, so that nobody comes to a listener that is going
    http_server_destroy(control->server);
    control_forget(&control->questions);
    control_chats_finish(control);
    free(control->path);
    free(control);
}
