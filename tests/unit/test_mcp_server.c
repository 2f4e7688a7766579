#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "mcp/rpc.h"
#include "mcp/server.h"
#include "mcp/server_ways.h"
#include "support/fake_clock.h"

// The server behind its standard streams, which are two pipes, and an owner that follows a script.
struct world {
    struct fake_clock clock;
    struct loop *loop;
    struct mcp_server *server;
    int in, out;               // the client's ends
    int server_in, server_out; // the server's
    struct buf said;           // what it has written
    mcp_call_id call;          // the last
    unsigned requests, cancelled, ends;
    bool answers, asks, keeps_state; // what the owner does with a call of a tool
    char responses[256], state[64], name[64];
};

static void reply(struct world *world, const char *text)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    node_add_text(document_object(&doc), "text", text);
    mcp_server_reply(world->server, world->call, &doc);
}

static void copy(char *to, size_t size, struct span from)
{
    snprintf(to, size, "%.*s", (int)from.len, from.data ? from.data : "");
}

static void on_request(void *context, const struct mcp_asked *asked)
{
    struct world *world = context;
    struct mcp_ask ask = {"who", "elicitation/create", SPAN_LITERAL("{\"message\":\"who?\"}")};
    world->call = asked->call;
    world->requests++;
    copy(world->responses, sizeof world->responses, json_raw(asked->responses));
    copy(world->state, sizeof world->state, asked->state);
    copy(world->name, sizeof world->name, span_of(asked->name));
    if (world->asks && json_type(json_get(asked->responses, "who")) != JSON_OBJECT)
        mcp_server_ask(world->server, asked->call, &ask, 1,
                       world->keeps_state ? SPAN_LITERAL("{\"step\":1}") : SPAN_ABSENT);
    else if (world->answers)
        reply(world, "done");
}

static void on_cancel(void *context, mcp_call_id call)
{
    struct world *world = context;
    world->cancelled++;
}

static void on_end(void *context)
{
    struct world *world = context;
    world->ends++;
}

static const struct mcp_offer offer = {
    .name = "test",
    .version = "1",
    .offers = MCP_TOOLS | MCP_RESOURCES | MCP_LOGGING | MCP_TOOLS_CHANGE | MCP_WATCHING,
    .on_request = on_request,
    .on_cancel = on_cancel,
};

static int set_up(void **state)
{
    int to[2], from[2];
    struct world *world = mem_new(struct world);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    fake_clock_init(&world->clock, 1000);
    buf_init(&world->said, 64 << 20);
    world->answers = true;
    assert_int_equal(pipe2(to, O_CLOEXEC) | pipe2(from, O_CLOEXEC), 0);
    world->in = to[1], world->server_in = to[0];
    world->out = from[0], world->server_out = from[1];
    fcntl(world->out, F_SETFL, O_NONBLOCK);
    assert_int_equal(loop_create(&world->clock.clock, &world->loop, NULL), 0);
    world->server = mcp_server_create(world->loop, &offer, world);
    assert_int_equal(mcp_server_open_stdio(world->server, world->server_in, world->server_out,
                                           on_end, world, NULL),
                     0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    mcp_server_destroy(world->server);
    loop_destroy(world->loop);
    fd_close(&world->in);
    fd_close(&world->out);
    fd_close(&world->server_in);
    fd_close(&world->server_out);
    buf_finish(&world->said);
    free(world);
    return 0;
}

static void pump(struct world *world)
{
    char chunk[65536];
    for (int i = 0; i < 8; i++) {
        loop_run_once(world->loop, 0);
        for (ssize_t n; (n = read(world->out, chunk, sizeof chunk)) > 0;)
            buf_append(&world->said, chunk, (size_t)n);
    }
}

// Says a line, and returns what comes back.
static const char *say(struct world *world, const char *line)
{
    buf_clear(&world->said);
    assert_int_equal(fd_write_all(world->in, line, strlen(line)), 0);
    assert_int_equal(fd_write_all(world->in, "\n", 1), 0);
    pump(world);
    return buf_text(&world->said);
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in: %s", part, text);
}

#define REQUEST(id, method, params) \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\",\"params\":{" params "}}"
#define INITIALIZE(version, capabilities) \
    REQUEST("1", "initialize",            \
            "\"protocolVersion\":\"" version "\",\"capabilities\":{" capabilities "}")
#define META(more)                                                           \
    "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"," \
    "\"io.modelcontextprotocol/clientCapabilities\":{\"elicitation\":{}}" more "}"
#define MODERN(id, method, params) REQUEST(id, method, params META(""))
#define LEGACY(id, method, params) REQUEST(id, method, params)

static void legacy_begins_with_initialize(void **state)
{
    struct world *world = *state;
    has(say(world, LEGACY("\"a\"", "ping", "")),
        "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{}}");
    has(say(world, LEGACY("2", "tools/list", "")), "say initialize first");
    has(say(world, INITIALIZE("2024-11-05", "")), "\"protocolVersion\":\"2024-11-05\"");
    has(say(world, INITIALIZE("1999-01-01", "")), "\"protocolVersion\":\"2025-11-25\"");
    has(say(world, LEGACY("2", "tools/list", "")), "\"result\":{\"text\":\"done\"}");
    has(say(world, LEGACY("2", "tools/list", "\"cursor\":\"x\"")), "-32602");
    has(say(world, LEGACY("2", "prompts/list", "")), "-32601");
    has(say(world, LEGACY("2", "server/discover", "")), "-32601");
    assert_string_equal(
        say(world, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"), "");
    assert_string_equal(say(world, "{\"jsonrpc\":\"2.0\",\"method\":\"what/ever\"}"), "");
}

static void modern_says_who_asks_each_time(void **state)
{
    struct world *world = *state;
    const char *answer = say(world, MODERN("7", "tools/call", "\"name\":\"t\","));
    has(answer, "\"resultType\":\"complete\"");
    has(answer, "\"io.modelcontextprotocol/serverInfo\":{\"name\":\"test\"");
    assert_string_equal(world->name, "t");
    has(say(world, MODERN("7", "tools/list", "")), "\"ttlMs\":");
    has(say(world, MODERN("7", "server/discover", "")), "\"supportedVersions\":[\"2026-07-28\"");
    has(say(world, MODERN("7", "initialize", "")), "-32601");
    has(say(world, MODERN("7", "ping", "")), "-32601");
    has(say(world, MODERN("7", "tools/call", "")), "-32602");
    has(say(world, MODERN("7", "tools/call", "\"name\":\"t\",\"arguments\":[],")), "-32602");
    answer = say(world, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/list\",\"params\":{"
                        "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"v9\","
                        "\"io.modelcontextprotocol/clientCapabilities\":{}}}}");
    has(answer, "-32022");
    has(answer, "\"requested\":\"v9\"");
    has(say(world, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/list\",\"params\":{"
                   "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}}"),
        "-32602");
}

static void an_answer_may_come_later_or_not_at_all(void **state)
{
    struct world *world = *state;
    world->answers = false;
    assert_string_equal(say(world, MODERN("7", "tools/call", "\"name\":\"t\",")), "");
    mcp_server_progress(world->server, world->call, 1, 2, "no token, no progress");
    mcp_server_log(world->server, world->call, MCP_LOG_ERROR, "no level, no log");
    reply(world, "late");
    reply(world, "twice");
    pump(world);
    has(buf_text(&world->said), "late");
    assert_null(strstr(buf_text(&world->said), "twice"));
    assert_null(strstr(buf_text(&world->said), "notifications"));

    say(world, MODERN("\"x\"", "tools/call", "\"name\":\"t\","));
    has(say(world, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
                   "\"requestId\":\"y\"}}"),
        "");
    assert_int_equal(world->cancelled, 0);
    say(world, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
               "\"requestId\":\"x\"}}");
    assert_int_equal(world->cancelled, 1);
    reply(world, "nobody waits");
    pump(world);
    assert_string_equal(buf_text(&world->said), "");
}

static void progress_and_log_to_whom_wants_them(void **state)
{
    struct world *world = *state;
    world->answers = false;
    say(world,
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\"params\":{\"name\":\"t\"," META(
            ",\"progressToken\":9007199254740993,"
            "\"io.modelcontextprotocol/logLevel\":\"warning\"") "}}");
    mcp_server_progress(world->server, world->call, 1, 2, "half");
    mcp_server_log(world->server, world->call, MCP_LOG_INFO, "little");
    mcp_server_log(world->server, world->call, MCP_LOG_ERROR, "much");
    pump(world);
    has(buf_text(&world->said), "\"progressToken\":9007199254740993,\"progress\":1,\"total\":2");
    has(buf_text(&world->said), "{\"level\":\"error\",\"data\":\"much\"}");
    assert_null(strstr(buf_text(&world->said), "little"));
}

static void asks_a_legacy_client(void **state)
{
    struct world *world = *state;
    world->asks = world->keeps_state = true;
    say(world, INITIALIZE("2025-11-25", ""));
    has(say(world, LEGACY("5", "tools/call", "\"name\":\"t\"")),
        "\"requiredCapabilities\":{\"elicitation\":{}}");
    say(world, INITIALIZE("2025-11-25", "\"elicitation\":{}"));
    has(say(world, LEGACY("5", "tools/call", "\"name\":\"t\"")),
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"elicitation/create\","
        "\"params\":{\"message\":\"who?\"}}");
    assert_string_equal(say(world, "{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}"), "");
    assert_string_equal(say(world, "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{}}"), "");
    has(say(world, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"big\":9007199254740993}}"),
        "\"id\":5,\"result\":{\"text\":\"done\"}");
    assert_string_equal(world->responses, "{\"who\":{\"big\":9007199254740993}}");
    assert_string_equal(world->state, "{\"step\":1}");
    assert_string_equal(say(world, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"), "");

    say(world, LEGACY("6", "tools/call", "\"name\":\"t\""));
    has(say(world, "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-1,\"message\":\"no\"}}"),
        "the client refused");
}

static void asks_no_client_for_ever(void **state)
{
    struct world *world = *state;
    char line[128];
    const char *answer = "";
    world->asks = true;
    say(world, INITIALIZE("2025-11-25", "\"elicitation\":{}"));
    say(world, LEGACY("5", "tools/call", "\"name\":\"t\""));
    for (int i = 1; i <= MCP_ASK_ROUNDS_MAX; i++) {
        snprintf(line, sizeof line, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":7}", i);
        answer = say(world, line);
    }
    has(answer, "the client was asked too often");
}

// The state as it was given to a client: the string of "requestState", which needs no escapes here
// but those of its quotes.
static char *state_of(const char *answer)
{
    JSON_AUTO doc = JSON_INIT;
    assert_int_equal(json_parse(&doc, span_trim(span_of(answer)), NULL), 0);
    struct span raw = json_raw(json_get(json_get(json_root(&doc), "result"), "requestState"));
    assert_true(raw.len > 0);
    return mem_strndup(raw.data, raw.len);
}

static const char *answer_with(struct world *world, const char *tool, const char *state)
{
    CLEANUP(mem_cleanup)
    char *line = mem_printf(
        "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"tools/call\",\"params\":{"
        "\"name\":\"%s\",\"requestState\":%s,\"inputResponses\":{\"who\":{}}," META("") "}}",
        tool, state);
    return say(world, line);
}

static void asks_a_modern_client_with_a_signed_state(void **state)
{
    struct world *world = *state;
    world->asks = world->keeps_state = true;
    const char *answer = say(world, MODERN("7", "tools/call", "\"name\":\"t\","));
    has(answer, "\"resultType\":\"input_required\",\"inputRequests\":{\"who\":{\"method\":");
    CLEANUP(mem_cleanup) char *given = state_of(answer);
    unsigned before = world->requests;
    has(answer_with(world, "other", given), "-32602");
    has(answer_with(world, "t", "7"), "-32602");
    has(answer_with(world, "t", "\"\""), "-32602");
    has(answer_with(world, "t", "\"..\""), "-32602");
    for (size_t i = 1; i < strlen(given) - 1; i++) {
        char was = given[i];
        if (was == '\\' || was == '"')
            continue;
        given[i] = was == '1' ? '2' : '1';
        has(answer_with(world, "t", given), "-32602");
        given[i] = was;
    }
    assert_int_equal(world->requests, before);
    has(answer_with(world, "t", given), "\"text\":\"done\"");
    assert_string_equal(world->state, "{\"step\":1}");
    world->clock.wall_ms += MCP_STATE_MS + 1;
    has(answer_with(world, "t", given), "-32602");
}

static void what_changes_is_told_to_whom_wants_it(void **state)
{
    struct world *world = *state;
    mcp_server_changed(world->server, MCP_TOOLS_CHANGE);
    pump(world);
    assert_string_equal(buf_text(&world->said), "");
    has(say(world, MODERN("\"s\"", "subscriptions/listen",
                          "\"notifications\":{\"toolsListChanged\":true,\"promptsListChanged\":"
                          "true,\"resourceSubscriptions\":[\"a://b\",7]},")),
        "\"notifications/subscriptions/acknowledged\",\"params\":{\"notifications\":{"
        "\"toolsListChanged\":true,\"resourceSubscriptions\":[\"a://b\"]},\"_meta\":{"
        "\"io.modelcontextprotocol/subscriptionId\":\"s\"}}");
    buf_clear(&world->said);
    mcp_server_changed(world->server, MCP_TOOLS_CHANGE | MCP_PROMPTS_CHANGE);
    mcp_server_updated(world->server, "a://b");
    mcp_server_updated(world->server, "a://c");
    pump(world);
    has(buf_text(&world->said), "notifications/tools/list_changed");
    has(buf_text(&world->said), "\"uri\":\"a://b\"");
    assert_null(strstr(buf_text(&world->said), "a://c"));
    assert_null(strstr(buf_text(&world->said), "prompts"));
    say(world, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
               "\"requestId\":\"s\"}}");

    say(world, INITIALIZE("2025-11-25", ""));
    say(world, LEGACY("2", "resources/subscribe", "\"uri\":\"a://c\""));
    buf_clear(&world->said);
    mcp_server_updated(world->server, "a://b");
    mcp_server_updated(world->server, "a://c");
    pump(world);
    has(buf_text(&world->said), "\"uri\":\"a://c\"");
    assert_null(strstr(buf_text(&world->said), "a://b"));
    say(world, LEGACY("2", "resources/unsubscribe", "\"uri\":\"a://c\""));
    buf_clear(&world->said);
    mcp_server_updated(world->server, "a://c");
    pump(world);
    assert_string_equal(buf_text(&world->said), "");
}

static void so_many_at_a_time(void **state)
{
    struct world *world = *state;
    char line[256];
    world->asks = true;
    say(world, INITIALIZE("2025-11-25", "\"elicitation\":{}"));
    for (int i = 1; i <= MCP_CALLS_MAX; i++) {
        snprintf(line, sizeof line, LEGACY("%d", "tools/call", "\"name\":\"t\""), i);
        has(say(world, line), "elicitation/create");
    }
    has(say(world, LEGACY("99", "ping", "")), "\"id\":99,\"error\":{\"code\":-32603");
    has(say(world, "no message"), "-32700");
    has(say(world, "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{}}"), "\"id\":5,\"result\"");
    has(say(world, LEGACY("99", "ping", "")), "\"id\":99,\"result\":{}");
    say(world, LEGACY("99", "tools/call", "\"name\":\"t\""));
    say(world, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
               "\"requestId\":7}}");
    has(say(world, LEGACY("99", "ping", "")), "\"id\":99,\"result\":{}");
    assert_int_equal(world->cancelled, 0); // the client was asked, not the owner
}

static void so_much_at_a_time(void **state)
{
    struct world *world = *state;
    enum { LONG = 3 << 20 };
    world->answers = false;
    CLEANUP(mem_cleanup) char *name = mem_zalloc(LONG + 1);
    memset(name, 'x', LONG);
    CLEANUP(mem_cleanup)
    char *line = mem_printf(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"t\","
        "\"x\":\"%s\"," META("") "}}\n",
        name);
    size_t len = strlen(line);
    for (int i = 0; i <= MCP_REQUESTS_MAX / LONG; i++)
        for (size_t at = 0; at < len; at += 65536) {
            size_t piece = len - at < 65536 ? len - at : 65536;
            assert_int_equal(fd_write_all(world->in, line + at, piece), 0);
            pump(world);
        }
    assert_int_equal(world->requests, MCP_REQUESTS_MAX / LONG);
    has(buf_text(&world->said), "too many requests");
}

static void ugly_lines(void **state)
{
    struct world *world = *state;
    has(say(world, "{"), "\"id\":null,\"error\":{\"code\":-32700");
    has(say(world, "[]"), "-32600");
    has(say(world, "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}"), "-32600");
    assert_string_equal(say(world, "   \r"), "");
    has(say(world, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":7}\r"),
        "\"result\":{}");
    has(say(world, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":[]}"),
        "-32600");
    has(say(world, MODERN("7", "tools/call", "\"name\":\"\\u0000\",")), "-32602");
    has(say(world, MODERN("7", "tools/call", "\"name\":\"\xff\",")), "done");

    CLEANUP(mem_cleanup) char *deep = mem_alloc(400);
    memset(deep, '[', 399);
    deep[399] = '\0';
    has(say(world, deep), "-32700");

    static char chunk[65536];
    memset(chunk, 'x', sizeof chunk);
    buf_clear(&world->said);
    for (size_t sent = 0; sent < MCP_REQUEST_MAX + sizeof chunk; sent += sizeof chunk) {
        assert_int_equal(fd_write_all(world->in, chunk, sizeof chunk), 0);
        pump(world);
    }
    has(buf_text(&world->said), "longer than 4 MiB");
    assert_string_equal(say(world, "its end"), "");
    has(say(world, LEGACY("3", "ping", "")), "\"id\":3,\"result\":{}");
}

static void ends_with_its_client(void **state)
{
    struct world *world = *state;
    world->answers = false;
    const char *line = MODERN("7", "tools/call", "\"name\":\"t\","); // without a line feed
    assert_int_equal(fd_write_all(world->in, line, strlen(line)), 0);
    fd_close(&world->in);
    pump(world);
    assert_int_equal(world->requests, 1);
    assert_int_equal(world->ends, 0);
    reply(world, "the last");
    pump(world);
    has(buf_text(&world->said), "the last");
    assert_int_equal(world->ends, 1);
}

static void ends_when_nobody_reads(void **state)
{
    struct world *world = *state;
    fd_close(&world->out);
    assert_int_equal(
        fd_write_all(world->in, LEGACY("3", "ping", "") "\n", sizeof LEGACY("3", "ping", "")), 0);
    for (int i = 0; i < 4; i++)
        loop_run_once(world->loop, 0);
    assert_int_equal(world->ends, 1);
    reply(world, "to nobody");
    mcp_server_changed(world->server, MCP_TOOLS_CHANGE);
}

int main(void)
{
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WORLD(legacy_begins_with_initialize),
        WITH_WORLD(modern_says_who_asks_each_time),
        WITH_WORLD(an_answer_may_come_later_or_not_at_all),
        WITH_WORLD(progress_and_log_to_whom_wants_them),
        WITH_WORLD(asks_a_legacy_client),
        WITH_WORLD(asks_no_client_for_ever),
        WITH_WORLD(asks_a_modern_client_with_a_signed_state),
        WITH_WORLD(what_changes_is_told_to_whom_wants_it),
        WITH_WORLD(so_many_at_a_time),
        WITH_WORLD(so_much_at_a_time),
        WITH_WORLD(ugly_lines),
        WITH_WORLD(ends_with_its_client),
        WITH_WORLD(ends_when_nobody_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
