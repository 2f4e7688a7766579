#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "fuzz.h"
#include "loop/loop.h"
#include "mcp/rpc.h"
#include "mcp/server.h"
#include "mcp/server_ways.h"

// What a client may write, a message a line, to an owner that answers, asks, refuses or keeps
// silent by the first letter of what it is asked for. Whatever comes back is a message, a line
// each, and no request gets two answers.
enum { OUT_MAX = 64 << 20, PASSES_MAX = 4096 };

struct world {
    struct mcp_server *server;
    mcp_call_id silent;
    bool ended;
};

static void on_request(void *context, const struct mcp_asked *asked)
{
    static const struct mcp_ask asks[] = {
        {"a", "elicitation/create", {"{\"message\":\"?\"}", 15}},
        {"b", "roots/list", {"{}", 2}},
    };
    struct world *world = context;
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    REQUIRE(asked->name && json_type(asked->params) != JSON_STRING);
    node_add_text(document_object(&doc), "name", asked->name);
    mcp_server_progress(world->server, asked->call, 1, 2, "half");
    mcp_server_log(world->server, asked->call, MCP_LOG_ERROR, asked->name);
    if (*asked->name == 'a')
        mcp_server_ask(world->server, asked->call, asks, 1 + (asked->name[1] == 'a'),
                       asked->name[1] == 'a' ? span_of(asked->name) : SPAN_ABSENT);
    else if (*asked->name == 's')
        world->silent = asked->call;
    else if (*asked->name == 'u')
        mcp_server_fail_unknown(world->server, asked->call);
    else
        mcp_server_reply(world->server, asked->call, &doc);
}

static void on_cancel(void *context, mcp_call_id call) {}

static void on_end(void *context)
{
    struct world *world = context;
    world->ended = true;
}

static size_t count_requests(struct span input)
{
    size_t count = 0;
    while (input.len) {
        JSON_AUTO doc = JSON_INIT;
        struct rpc_message message;
        if (json_parse(&doc, span_trim(span_cut(&input, '\n')), NULL) == 0 &&
            rpc_read(&doc, &message, NULL) == 0)
            count += message.kind == RPC_REQUEST;
    }
    return count;
}

static void check(struct span said, size_t requests)
{
    size_t answers = 0;
    while (said.len) {
        JSON_AUTO doc = JSON_INIT;
        struct rpc_message message;
        struct span line = span_cut(&said, '\n');
        REQUIRE(json_parse(&doc, line, NULL) == 0 && rpc_read(&doc, &message, NULL) == 0);
        answers += message.kind == RPC_RESULT ||
                   (message.kind == RPC_ERROR && json_type(message.id) != JSON_ABSENT);
    }
    REQUIRE(answers <= requests);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mcp_offer offer = {
        .name = "fuzz",
        .version = "1",
        .offers = ~0U,
        .on_request = on_request,
        .on_cancel = on_cancel,
    };
    struct world world = {0};
    struct loop *loop = NULL;
    BUF_AUTO said = BUF_INIT(OUT_MAX);
    FD_AUTO in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
    REQUIRE(fd_write_all(in, data, size) == 0 && lseek(in, 0, SEEK_SET) == 0);
    REQUIRE(loop_create(&clock_system, &loop, NULL) == 0);
    world.server = mcp_server_create(loop, &offer, &world);
    REQUIRE(mcp_server_open_stdio(world.server, in, out, on_end, &world, NULL) == 0);
    for (int i = 0; i < PASSES_MAX && !world.ended; i++)
        loop_run_once(loop, 0);
    mcp_server_changed(world.server, ~0U);
    mcp_server_updated(world.server, "a://b");
    mcp_server_destroy(world.server);
    loop_destroy(loop);
    REQUIRE(lseek(out, 0, SEEK_SET) == 0 && fd_read_all(out, &said) == 0);
    check(buf_span(&said), count_requests(span_make(data, size)));
    return 0;
}
