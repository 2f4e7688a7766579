#include "support/mcp_world.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mcp/transport_ops.h"

struct scripted_transport {
    struct mcp_transport transport;
    struct mcp_world *world;
    const struct mcp_transport_events *events;
    void *context;
};

static struct mcp_world *here; // transports are made without a word of whose they are

static void write_down(struct mcp_world *world, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void write_down(struct mcp_world *world, const char *fmt, ...)
{
    char *line;
    va_list arguments;
    va_start(arguments, fmt);
    assert_true(vasprintf(&line, fmt, arguments) >= 0);
    va_end(arguments);
    buf_append_text(&world->saw, line);
    buf_append_char(&world->saw, '\n');
    free(line);
}

/* The transport */

static int on_send(struct mcp_transport *transport, const struct mcp_outgoing *message,
                   struct error *err)
{
    struct mcp_world *world = ((struct scripted_transport *)transport)->world;
    BUF_AUTO headers = BUF_INIT(MCP_WORLD_TEXT_MAX);
    if (world->refusals) {
        world->refusals--;
        return error_set(err, -EPIPE, "the pipe is stuffed");
    }
    assert_null(memchr(message->text.data, '\n', message->text.len));
    for (size_t i = 0; message->headers && message->headers[i]; i++)
        buf_printf(&headers, "%s|", message->headers[i]);
    assert_true(world->sent_count < MCP_SENT_MAX);
    world->sent[world->sent_count++] = (struct mcp_sent){
        .text = mem_strndup(message->text.data, message->text.len),
        .method = mem_strdup(message->method ? message->method : ""),
        .name = mem_strdup(message->name ? message->name : ""),
        .headers = mem_strdup(buf_text(&headers)),
        .request = message->request,
    };
    return 0;
}

static void on_abandon(struct mcp_transport *transport, uint64_t request)
{
    struct mcp_world *world = ((struct scripted_transport *)transport)->world;
    write_down(world, "abandoned %" PRIu64, request);
}

static void on_version(struct mcp_transport *transport, const char *version, bool modern)
{
    struct mcp_world *world = ((struct scripted_transport *)transport)->world;
    write_down(world, "version '%s'%s", version, modern ? " modern" : "");
}

static void on_listen(struct mcp_transport *transport)
{
    write_down(((struct scripted_transport *)transport)->world, "listens");
}

static void on_headers(struct mcp_transport *transport, const char *const *headers)
{
    write_down(((struct scripted_transport *)transport)->world, "headers %s", headers[0]);
}

static const char *notes_of(const struct mcp_transport *transport)
{
    return ((const struct scripted_transport *)transport)->world->notes;
}

static void on_destroy(struct mcp_transport *transport)
{
    struct mcp_world *world = ((struct scripted_transport *)transport)->world;
    if ((void *)world->transport == (void *)transport)
        world->transport = NULL;
    write_down(world, "left");
    free(transport);
}

static int make(const struct mcp_transport_events *events, void *context,
                struct mcp_transport **ret_transport)
{
    static const struct mcp_transport_ops ops = {
        .send = on_send,
        .abandon = on_abandon,
        .destroy = on_destroy,
        .set_version = on_version,
        .listen = on_listen,
        .set_headers = on_headers,
        .notes = notes_of,
    };
    struct scripted_transport *scripted = mem_new(struct scripted_transport);
    *scripted = (struct scripted_transport){{&ops}, here, events, context};
    here->transport = scripted;
    *ret_transport = &scripted->transport;
    return 0;
}

int mcp_stdio_create(struct loop *loop, struct processes *processes,
                     const struct mcp_program *program, const struct mcp_transport_events *events,
                     void *context, struct mcp_transport **ret_transport, struct error *err)
{
    write_down(here, "runs %s", program->argv[0]);
    return make(events, context, ret_transport);
}

int mcp_http_create(struct loop *loop, struct http_client *http, const struct mcp_address *address,
                    const struct mcp_transport_events *events, void *context,
                    struct mcp_transport **ret_transport, struct error *err)
{
    write_down(here, "http %s%s%s", address->url, address->headers ? " " : "",
               address->headers ? address->headers[0] : "");
    return make(events, context, ret_transport);
}

int mcp_sse_create(struct loop *loop, struct http_client *http, const struct mcp_address *address,
                   const struct mcp_transport_events *events, void *context,
                   struct mcp_transport **ret_transport, struct error *err)
{
    write_down(here, "sse %s", address->url);
    return make(events, context, ret_transport);
}

/* What the client tells */

static void told(struct mcp_world *world)
{
    if (!world->destroys)
        return;
    world->destroys = false;
    mcp_client_destroy(STEAL(world->client));
}

static void on_ready(void *context, const struct mcp_info *info)
{
    struct mcp_world *world = context;
    write_down(world, "ready %s%s%s%s%s%s", info->version, info->modern ? " modern" : "",
               *info->name ? " " : "", info->name, *info->instructions ? " " : "",
               info->instructions);
    told(world);
}

static const char *trouble_name(enum mcp_trouble trouble)
{
    static const char *const names[] = {"ok", "error", "timed out", "gone", "denied", "invalid"};
    return names[trouble];
}

static void write_reply(struct mcp_world *world, const char *what, const struct mcp_reply *reply)
{
    struct span raw = json_raw(reply->result);
    if (reply->trouble == MCP_OK)
        write_down(world, "%s %.*s", what, (int)raw.len, raw.data);
    else
        write_down(world, "%s %s%s %.*s%s%s", what, trouble_name(reply->trouble),
                   reply->maybe_done ? " perhaps" : "", (int)reply->challenge.len,
                   reply->challenge.data ? reply->challenge.data : "",
                   reply->challenge.len ? " " : "", reply->err->text);
}

static void on_closed(void *context, const struct mcp_reply *reply)
{
    struct mcp_world *world = context;
    write_reply(world, "closed", reply);
    told(world);
}

static void on_notification(void *context, const char *method, struct json_value params)
{
    struct mcp_world *world = context;
    struct span raw = json_raw(params);
    write_down(world, "notified %s %.*s", method, (int)raw.len, raw.data);
    told(world);
}

static void on_question(void *context, uint64_t question, mcp_request_id request,
                        struct json_value params)
{
    struct mcp_world *world = context;
    struct span raw = json_raw(params);
    world->question = question;
    write_down(world, "asked%s %.*s", request ? "" : " by nobody knows which", (int)raw.len,
               raw.data);
    told(world);
}

static void on_question_over(void *context, uint64_t question)
{
    struct mcp_world *world = context;
    write_down(world, "not asked any more");
    told(world);
}

void mcp_world_reply(void *context, const struct mcp_reply *reply)
{
    write_reply(context, "reply", reply);
    told(context);
}

void mcp_world_page(void *context, const struct mcp_reply *page, bool last)
{
    write_reply(context, last ? "last" : "page", page);
    told(context);
}

/* The test */

static const char *const words[] = {"server", NULL};
static const struct mcp_program program = {.argv = words};

void mcp_world_init(struct mcp_world *world, const char *url)
{
    *world = (struct mcp_world){
        .notes = "",
        .endpoint =
            {
                .name = "k8s",
                .program = url ? NULL : &program,
                .url = url,
                .timeout_ms = 1000,
                .connect_ms = 60 * 1000,
                .asks = true,
            },
    };
    struct error err = ERROR_INIT;
    here = world;
    buf_init(&world->saw, MCP_WORLD_TEXT_MAX);
    assert_int_equal(loop_create(fake_clock_init(&world->clock, 1000), &world->loop, &err), 0);
}

void mcp_world_begin(struct mcp_world *world)
{
    static const struct mcp_client_events events = {on_ready, on_closed, on_notification,
                                                    on_question, on_question_over};
    // Nobody looks into these here.
    const struct mcp_env env = {world->loop, (struct processes *)world,
                                (struct http_client *)world};
    struct error err = ERROR_INIT;
    if (mcp_client_create(&env, &world->endpoint, &events, world, &world->client, &err) < 0)
        fail_msg("%s", err.text);
    mcp_world_pass(world, 0);
}

void mcp_world_finish(struct mcp_world *world)
{
    mcp_client_destroy(world->client);
    loop_destroy(world->loop);
    buf_finish(&world->saw);
    for (size_t i = 0; i < world->sent_count; i++) {
        free(world->sent[i].text);
        free(world->sent[i].method);
        free(world->sent[i].name);
        free(world->sent[i].headers);
    }
}

void mcp_world_pass(struct mcp_world *world, int64_t ms)
{
    world->clock.now_ms += ms;
    for (int i = 0; i < 3; i++)
        loop_run_once(world->loop, 0);
}

const char *mcp_world_sends(struct mcp_world *world, const char *method, const char *part)
{
    if (world->looked_at == world->sent_count)
        fail_msg("nothing was sent, not even %s", method);
    const struct mcp_sent *sent = &world->sent[world->looked_at++];
    if (strcmp(sent->method, method) != 0 || (part && !strstr(sent->text, part)))
        fail_msg("%s was sent instead of %s with %s", sent->text, method, part ? part : "anything");
    return sent->text;
}

void mcp_world_sends_nothing(struct mcp_world *world)
{
    if (world->looked_at != world->sent_count)
        fail_msg("%s was sent", world->sent[world->looked_at].text);
}

static bool line_is(struct span line, struct span pattern)
{
    if (span_ends_with(pattern, "*")) {
        pattern.len--;
        return line.len >= pattern.len && memcmp(line.data, pattern.data, pattern.len) == 0;
    }
    return span_equal(line, pattern);
}

void mcp_world_saw(struct mcp_world *world, const char *lines)
{
    struct span seen = buf_span(&world->saw), wanted = span_of(lines);
    while (seen.len || wanted.len) {
        struct span rest = seen, all = wanted;
        if (!line_is(span_cut(&seen, '\n'), span_cut(&wanted, '\n')))
            fail_msg("saw:\n%.*sinstead of:\n%.*s", (int)rest.len, rest.data, (int)all.len,
                     all.data);
    }
    buf_clear(&world->saw);
}

uint64_t mcp_world_last(struct mcp_world *world)
{
    for (size_t i = world->sent_count; i-- > 0;)
        if (world->sent[i].request)
            return world->sent[i].request;
    fail_msg("no request was sent");
    return 0;
}

void mcp_world_says(struct mcp_world *world, const char *text, uint64_t request)
{
    struct scripted_transport *transport = world->transport;
    char *copy = mem_strdup(text); // exactly as long as it is, for ASan
    assert_non_null(transport);
    transport->events->on_message(transport->context, span_of(copy), request);
    free(copy);
    mcp_world_pass(world, 0);
}

void mcp_world_answers(struct mcp_world *world, const char *result)
{
    uint64_t id = mcp_world_last(world);
    CLEANUP(mem_cleanup)
    char *text = mem_printf("{\"result\":%s,\"jsonrpc\":\"2.0\",\"id\":%" PRIu64 "}", result, id);
    mcp_world_says(world, text, world->endpoint.program ? 0 : id);
}

static char *error_text(uint64_t id, int code, const char *data)
{
    return mem_printf("{\"jsonrpc\":\"2.0\",\"id\":%" PRIu64
                      ",\"error\":{\"code\":%d,\"message\":\"no\"%s%s}}",
                      id, code, data ? ",\"data\":" : "", data ? data : "");
}

void mcp_world_refuses(struct mcp_world *world, int code, const char *data)
{
    uint64_t id = mcp_world_last(world);
    CLEANUP(mem_cleanup) char *text = error_text(id, code, data);
    mcp_world_says(world, text, world->endpoint.program ? 0 : id);
}

void mcp_world_fails(struct mcp_world *world, int loss, int status, const char *body)
{
    struct scripted_transport *transport = world->transport;
    struct error err = ERROR_INIT;
    error_set(&err, -EIO, "the wire, status %d", status);
    const struct mcp_failure failure = {
        .loss = (enum mcp_loss)loss,
        .status = status,
        .body = span_of(body),
        .challenge = status == 401 ? SPAN_LITERAL("Bearer x=y") : SPAN_ABSENT,
        .err = &err,
    };
    assert_non_null(transport);
    transport->events->on_failure(transport->context, mcp_world_last(world), &failure);
    mcp_world_pass(world, 0);
}

void mcp_world_fails_of(struct mcp_world *world, uint64_t request, int loss)
{
    struct scripted_transport *transport = world->transport;
    const struct error err = {-EIO, "the wire"};
    const struct mcp_failure failure = {.loss = (enum mcp_loss)loss, .err = &err};
    transport->events->on_failure(transport->context, request, &failure);
    mcp_world_pass(world, 0);
}

void mcp_world_taken(struct mcp_world *world)
{
    world->transport->events->on_taken(world->transport->context);
    mcp_world_pass(world, 0);
}

void mcp_world_ends(struct mcp_world *world)
{
    struct error err = ERROR_INIT;
    error_set(&err, -EIO, "it has ended");
    world->transport->events->on_closed(world->transport->context, &err);
    mcp_world_pass(world, 0);
}

static void forget(struct mcp_world *world)
{
    world->looked_at = world->sent_count;
    buf_clear(&world->saw);
}

void mcp_world_modern(struct mcp_world *world, const char *capabilities)
{
    mcp_world_begin(world);
    CLEANUP(mem_cleanup)
    char *result =
        mem_printf("{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":%s}", capabilities);
    mcp_world_sends(world, "server/discover", NULL);
    mcp_world_answers(world, result);
    forget(world);
}

void mcp_world_legacy(struct mcp_world *world, const char *capabilities)
{
    world->endpoint.era = MCP_ERA_LEGACY;
    mcp_world_begin(world);
    CLEANUP(mem_cleanup)
    char *result =
        mem_printf("{\"protocolVersion\":\"2025-11-25\",\"capabilities\":%s}", capabilities);
    mcp_world_sends(world, "initialize", NULL);
    mcp_world_answers(world, result);
    if (!world->endpoint.program)
        mcp_world_taken(world);
    forget(world);
}

mcp_request_id mcp_world_call(struct mcp_world *world, bool repeatable)
{
    const struct mcp_request request = {
        .method = "tools/call",
        .params = SPAN_LITERAL("{\"name\":\"work\",\n\"arguments\":{\"x\": 1.50}}"),
        .name = "work",
        .repeatable = repeatable,
    };
    struct error err = ERROR_INIT;
    mcp_request_id id = mcp_client_request(world->client, &request, mcp_world_reply, world, &err);
    if (!id)
        write_down(world, "no: %s", err.text);
    return id;
}
