// A client, and a server that may say anything at any time. Each line is what happens next: its
// first character says what, the rest is the text. Whatever is told may end the client.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "loop/loop.h"
#include "mcp/client.h"
#include "mcp/transport_ops.h"

enum { LINES_MAX = 200 };

static struct {
    int64_t now_ms;
    struct mcp_transport *transport;
    const struct mcp_transport_events *events;
    void *context;
    struct mcp_client *client;
    uint64_t last, question;
    struct asked {
        mcp_request_id id;
        bool open; // its end is owed
    } asked[LINES_MAX];
    int count;
    bool destroy; // with the next event
} world;

static int64_t now(void *context)
{
    (void)context;
    return world.now_ms;
}

static int send_it(struct mcp_transport *transport, const struct mcp_outgoing *message,
                   struct error *err)
{
    (void)transport, (void)err;
    JSON_AUTO doc = JSON_INIT;
    REQUIRE(json_parse(&doc, message->text, NULL) == 0);
    REQUIRE(!memchr(message->text.data, '\n', message->text.len));
    if (message->request)
        world.last = message->request;
    return 0;
}

static void abandon(struct mcp_transport *transport, uint64_t request)
{
    (void)transport;
    REQUIRE(request);
}

static void destroy(struct mcp_transport *transport)
{
    if (world.transport == transport)
        world.transport = NULL;
    free(transport);
}

static int make(const struct mcp_transport_events *events, void *context,
                struct mcp_transport **ret_transport)
{
    static const struct mcp_transport_ops ops = {
        .send = send_it, .abandon = abandon, .destroy = destroy};
    struct mcp_transport *transport = mem_new(struct mcp_transport);
    transport->ops = &ops;
    world.events = events;
    world.context = context;
    *ret_transport = world.transport = transport;
    return 0;
}

int mcp_stdio_create(struct loop *loop, struct processes *processes,
                     const struct mcp_program *program, const struct mcp_transport_events *events,
                     void *context, struct mcp_transport **ret_transport, struct error *err)
{
    (void)loop, (void)processes, (void)program, (void)err;
    return make(events, context, ret_transport);
}

int mcp_http_create(struct loop *loop, struct http_client *http, const struct mcp_address *address,
                    const struct mcp_transport_events *events, void *context,
                    struct mcp_transport **ret_transport, struct error *err)
{
    (void)loop, (void)http, (void)address, (void)err;
    return make(events, context, ret_transport);
}

int mcp_sse_create(struct loop *loop, struct http_client *http, const struct mcp_address *address,
                   const struct mcp_transport_events *events, void *context,
                   struct mcp_transport **ret_transport, struct error *err)
{
    (void)loop, (void)http, (void)address, (void)err;
    return make(events, context, ret_transport);
}

static void told(void)
{
    REQUIRE(world.client); // nothing comes after its end
    if (world.destroy)
        mcp_client_destroy(STEAL(world.client));
}

static void on_reply(void *context, const struct mcp_reply *reply)
{
    struct asked *asked = context;
    REQUIRE(asked->open);
    asked->open = false;
    REQUIRE(reply->trouble == MCP_OK ? json_type(reply->result) == JSON_OBJECT
                                     : reply->err && *reply->err->text);
    told();
}

static void on_page(void *context, const struct mcp_reply *page, bool last)
{
    if (last)
        on_reply(context, page);
    else
        told();
}

static void on_ready(void *context, const struct mcp_info *info)
{
    (void)context;
    REQUIRE(strlen(info->instructions) <= MCP_INSTRUCTIONS_MAX);
    told();
}

static void on_closed(void *context, const struct mcp_reply *reply)
{
    (void)context;
    REQUIRE(reply->trouble != MCP_OK && *reply->err->text);
    for (int i = 0; i < world.count; i++)
        REQUIRE(!world.asked[i].open);
    told();
}

static void on_notification(void *context, const char *method, struct json_value params)
{
    (void)context, (void)params;
    REQUIRE(method);
    told();
}

static void on_question(void *context, uint64_t question, mcp_request_id request,
                        struct json_value params)
{
    (void)context, (void)request;
    REQUIRE(json_type(params) == JSON_OBJECT);
    world.question = question;
    told();
}

static void on_question_over(void *context, uint64_t question)
{
    (void)context, (void)question;
    told();
}

static void fail_it(struct span body, enum mcp_loss loss)
{
    static const struct error err = {-5, "the wire"};
    const struct mcp_failure failure = {
        .loss = loss,
        .status = loss == MCP_REFUSED        ? 400
                  : loss == MCP_SESSION_GONE ? 404
                                             : 0,
        .body = body,
        .err = &err,
    };
    world.events->on_failure(world.context, world.last, &failure);
}

static void ask(char what)
{
    const struct mcp_request request = {
        .method = "tools/call",
        .params = SPAN_LITERAL("{\"name\":\"x\"}"),
        .repeatable = what == 'r',
    };
    struct asked *asked = &world.asked[world.count++];
    asked->id = what == 'l' ? mcp_client_list(world.client, "tools/list", on_page, asked, NULL)
                            : mcp_client_request(world.client, &request, on_reply, asked, NULL);
    asked->open = asked->id != 0;
}

// What the client's owner does.
static void do_it(char what)
{
    if (what == 'r' || what == 'q' || what == 'l')
        ask(what);
    else if (what == 'y')
        mcp_client_answer(world.client, world.question, "accept", SPAN_LITERAL("{}"));
    else if (what == 'n')
        mcp_client_answer(world.client, world.question, "decline", SPAN_ABSENT);
    else if (what == 'd')
        world.destroy = true;
    else if (what == 'c' && world.count) {
        struct asked *asked = &world.asked[world.count - 1];
        mcp_client_cancel(world.client, asked->id); // perhaps of one that has ended
        asked->open = false;
    }
}

// What its server does.
static void say(char what, struct span text)
{
    if (what == 'm' || what == 'o')
        world.events->on_message(world.context, text, what == 'm' ? world.last : 0);
    else if (what == 'f')
        fail_it(text, MCP_REFUSED);
    else if (what == 's')
        fail_it(text, MCP_SESSION_GONE);
    else if (what == 'u')
        fail_it(text, MCP_CUT);
    else if (what == 't')
        world.events->on_taken(world.context);
    else if (what == 'x')
        world.events->on_closed(world.context, &(struct error){-5, "over"});
}

static void play(struct loop *loop, struct span script)
{
    for (int i = 0; script.len && world.client && i < LINES_MAX; i++) {
        struct span line = span_cut(&script, '\n');
        char what = line.len ? *line.data : 't';
        world.now_ms += what == 'w' ? 20 * 1000 : 10;
        do_it(what);
        if (world.transport)
            say(what, span_skip(line, 1));
        for (int pass = 0; pass < 3 && world.client; pass++)
            loop_run_once(loop, 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mcp_client_events events = {on_ready, on_closed, on_notification,
                                                    on_question, on_question_over};
    static const char *const words[] = {"x", NULL};
    static const struct mcp_program program = {.argv = words};
    const struct clock clock = {now, now, NULL, NULL};
    struct mcp_endpoint endpoint = {
        .name = "s", .timeout_ms = 1000, .connect_ms = 60 * 1000, .asks = true};
    struct loop *loop;
    struct error err = ERROR_INIT;
    memset(&world, 0, sizeof world);
    if (!size || loop_create(&clock, &loop, &err) < 0)
        return 0;
    if (data[0] & 1)
        endpoint.program = &program;
    else
        endpoint.url = "http://h/";
    endpoint.era = data[0] & 2 ? MCP_ERA_LEGACY : MCP_ERA_AUTO;
    const struct mcp_env env = {loop, (struct processes *)&world, (struct http_client *)&world};
    REQUIRE(mcp_client_create(&env, &endpoint, &events, NULL, &world.client, &err) == 0);
    loop_run_once(loop, 0);
    play(loop, span_make(data + 1, size - 1));
    mcp_client_destroy(world.client);
    REQUIRE(!world.transport);
    loop_destroy(loop);
    return 0;
}
