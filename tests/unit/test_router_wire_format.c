// links: the router and what it may use
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "llm/wire_format.h"
#include "loop/loop.h"
#include "net/http_client.h"
#include "plan_fixture.h"
#include "router/provider.h"
#include "router/router.h"
#include "support/http_peer.h"
#include "support/store_fixture.h"

/*
 * A second wire format, of lines, in the table beside openai_chat: a request, a reply in a stream
 * and whole, errors and usage go through the router and the agent's way into it.
 *
 *     think TEXT | say TEXT | call ID NAME ARGUMENTS | used IN OUT WRITTEN | fail TEXT | end
 *
 * "more" is a part of a call that is told when it is whole; a "~" of an answer is a pause.
 */
enum { PAUSE_MS = 400 };

struct lines_reply {
    struct wire_reply wire;
    struct buf line, text;
    struct chat_message message;
    bool ended;
};

static int lines_write_request(const struct chat_request *request, struct buf *out,
                               struct error *err)
{
    buf_printf(out, "ask %s%s\n", request->model, request->stream ? " stream" : "");
    for (size_t i = 0; i < request->message_count; i++) {
        const struct chat_message *message = &request->messages[i];
        buf_printf(out, "%s %s%s%s\n", chat_role_name(message->role),
                   message->call_id ? message->call_id : "", message->call_id ? ":" : "",
                   message->text ? message->text : "");
        for (size_t n = 0; n < message->call_count; n++)
            buf_printf(out, "call %s %s %s\n", message->calls[n].id, message->calls[n].name,
                       message->calls[n].arguments);
    }
    for (size_t i = 0; i < request->tool_count; i++)
        buf_printf(out, "tool %s %s %s\n", request->tools[i].name, request->tools[i].description,
                   request->tools[i].parameters);
    if (*request->params)
        buf_printf(out, "with %s\n", request->params);
    return 0;
}

static struct wire_reply *lines_create(struct span content_type)
{
    struct lines_reply *reply = mem_new(struct lines_reply);
    assert_true(span_is(content_type, "text/lines"));
    buf_init(&reply->line, 4096);
    buf_init(&reply->text, 4096);
    reply->message.role = CHAT_ASSISTANT;
    return &reply->wire;
}

static void lines_destroy(struct wire_reply *wire)
{
    struct lines_reply *reply = CONTAINER_OF(wire, struct lines_reply, wire);
    buf_finish(&reply->line);
    buf_finish(&reply->text);
    chat_message_finish(&reply->message);
    free(reply);
}

static size_t lines_bytes(const struct wire_reply *wire)
{
    const struct lines_reply *reply = CONTAINER_OF(wire, struct lines_reply, wire);
    return reply->line.capacity + reply->text.capacity;
}

static int take_line(struct lines_reply *reply, struct span rest)
{
    struct span word = span_cut(&rest, ' '), id, name;
    reply->wire.said += !span_is(word, "used") && !span_is(word, "end");
    if (!reply->wire.model)
        reply->wire.model = mem_strdup("lines-1");
    if (span_is(word, "say")) {
        buf_append_span(&reply->text, rest);
        reply->wire.sink->on_text(reply->wire.context, rest);
    } else if (span_is(word, "think")) {
        reply->wire.sink->on_reasoning(reply->wire.context, rest);
    } else if (span_is(word, "call")) {
        id = span_cut(&rest, ' ');
        name = span_cut(&rest, ' ');
        CLEANUP(mem_cleanup) char *given = mem_strndup(id.data, id.len);
        CLEANUP(mem_cleanup) char *called = mem_strndup(name.data, name.len);
        CLEANUP(mem_cleanup) char *arguments = mem_strndup(rest.data, rest.len);
        chat_message_add_call(&reply->message, given, called, arguments, NULL);
    } else if (span_is(word, "used")) {
        span_to_i64(span_cut(&rest, ' '), &reply->wire.usage.prompt_tokens);
        span_to_i64(span_cut(&rest, ' '), &reply->wire.usage.completion_tokens);
        span_to_i64(rest, &reply->wire.usage.cache_write_tokens);
    } else if (span_is(word, "fail")) {
        CLEANUP(mem_cleanup) char *text = mem_strndup(rest.data, rest.len);
        return wire_reply_fail(&reply->wire, CHAT_OVERLOADED, text);
    } else {
        reply->ended = span_is(word, "end");
    }
    return 0;
}

static int lines_feed(struct wire_reply *wire, struct span bytes)
{
    struct lines_reply *reply = CONTAINER_OF(wire, struct lines_reply, wire);
    int r = 0;
    buf_append_span(&reply->line, bytes);
    for (ptrdiff_t end;
         r == 0 && (end = span_find(buf_span(&reply->line), SPAN_LITERAL("\n"))) >= 0;) {
        r = take_line(reply, span_make(reply->line.data, (size_t)end));
        buf_consume(&reply->line, (size_t)end + 1);
    }
    return r;
}

static int lines_end(struct wire_reply *wire, struct chat_reply *ret_reply)
{
    struct lines_reply *reply = CONTAINER_OF(wire, struct lines_reply, wire);
    if (!reply->ended)
        return wire_reply_fail(wire, CHAT_INTERRUPTED, "the lines were cut");
    bool calls = reply->message.call_count > 0;
    *ret_reply = (struct chat_reply){.message = reply->message,
                                     .usage = wire->usage,
                                     .model = STEAL(wire->model),
                                     .finish = calls ? CHAT_FINISH_TOOL_CALLS : CHAT_FINISH_STOP};
    reply->message = (struct chat_message){0};
    if (reply->text.len)
        ret_reply->message.text = buf_take_text(&reply->text);
    return 0;
}

static void lines_read_error(struct span body, int status, struct chat_failure *ret_failure)
{
    ret_failure->kind = status == 401 ? CHAT_UNAUTHORIZED : CHAT_SERVER;
    ret_failure->status = status;
    snprintf(ret_failure->text, sizeof ret_failure->text, "lines say: %.*s", (int)body.len,
             body.data);
}

static const char *const lines_headers[] = {"Lines-Version: 7", NULL};

static const struct wire_format lines = {
    .name = "lines",
    .paths = {[UPSTREAM_CHAT] = "ask"},
    .key_header = "Lines-Key: ",
    .headers = lines_headers,
    .write_request = lines_write_request,
    .reply_create = lines_create,
    .reply_destroy = lines_destroy,
    .reply_bytes = lines_bytes,
    .reply_feed = lines_feed,
    .reply_end = lines_end,
    .read_error = lines_read_error,
};

const struct wire_format *const wire_formats[] = {&wire_openai_chat, &lines, NULL};

/* A server of it, and the way there */

struct world {
    struct plan_fixture *f;
    char home[FIXTURE_PATH_MAX];
    struct store *store;
    struct http_peer *peer;
    struct loop *loop;
    struct http_client *http;
    struct router *router;
    struct chat_provider *provider;
    const char *answer; // of the lines' server: status and body
    struct buf asked;   // what it was sent
    struct buf heard;
    struct chat_reply reply;
    struct chat_failure failure;
};

static void send_answer(int fd, const char *type, const char *answer)
{
    struct span rest = span_of(answer + 4);
    CLEANUP(mem_cleanup)
    char *head = mem_printf("HTTP/1.1 %.3s X\r\nContent-Type: %s\r\nConnection: close\r\n\r\n",
                            answer, type);
    http_peer_send(fd, head);
    while (rest.len) {
        struct span part = span_cut(&rest, '~');
        CLEANUP(mem_cleanup) char *text = mem_strndup(part.data, part.len);
        http_peer_send(fd, text);
        if (rest.len)
            http_peer_pause(PAUSE_MS);
    }
}

static bool serve(void *context, int fd, struct span request)
{
    struct world *w = context;
    if (span_starts_with(request, "POST /l/ask ")) {
        buf_clear(&w->asked);
        buf_append_span(&w->asked, request);
        send_answer(fd, "text/lines", w->answer);
    } else {
        send_answer(fd, "application/json",
                    "200 {\"model\":\"o\",\"choices\":[{\"message\":{\"role\":\"assistant\","
                    "\"content\":\"openai answers\"},\"finish_reason\":\"stop\"}]}");
    }
    return false;
}

static int set_up(void **state)
{
    struct world *w = mem_new(struct world);
    plan_set_up((void **)&w->f);
    buf_init(&w->asked, 1 << 16);
    buf_init(&w->heard, 1 << 16);
    w->peer = http_peer_create(serve, w);
    unsigned port = http_peer_port(w->peer);
    CLEANUP(mem_cleanup)
    char *yaml = mem_printf(
        "model_list:\n"
        "  - {model_name: main, litellm_params: {model: lines/m1, api_key: k3y-of-lines,\n"
        "     api_base: 'http://127.0.0.1:%u/l'}}\n"
        "  - {model_name: spare, litellm_params: {model: openai/o, api_key: k,\n"
        "     api_base: 'http://127.0.0.1:%u/o'}}\n"
        "  - {model_name: warm, litellm_params: {model: lines/m1, api_key: k, temperature: 0.5,\n"
        "     api_base: 'http://127.0.0.1:%u/l'}}\n"
        "litellm_settings: {num_retries: 0}\n"
        "router_settings: {disable_cooldowns: true}\n"
        "router: {slots: {main: main}, first_content_timeout: 1}\n",
        port, port, port);
    plan_must_load(w->f, yaml);
    assert_int_equal(loop_create(&clock_system, &w->loop, NULL), 0);
    assert_int_equal(http_client_create(w->loop, NULL, &w->http, NULL), 0);
    fixture_make_home(w->home);
    w->store = fixture_open(w->home, NULL);
    struct router_env env = {.loop = w->loop, .http = w->http, .store = w->store, .home = w->home};
    assert_int_equal(router_create(&env, w->f->plan, &w->router, NULL), 0);
    router_provider_create(w->router, &w->f->values.llm, w->loop, &w->provider);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    chat_provider_destroy(w->provider);
    router_destroy(w->router);
    http_client_destroy(w->http);
    store_close(w->store);
    fixture_remove_home(w->home);
    http_peer_destroy(w->peer);
    loop_destroy(w->loop);
    plan_tear_down((void **)&w->f);
    chat_reply_finish(&w->reply);
    buf_finish(&w->asked);
    buf_finish(&w->heard);
    free(w);
    return 0;
}

static void on_text(void *context, struct span delta)
{
    struct world *w = context;
    buf_append_span(&w->heard, delta);
    buf_append_char(&w->heard, '|');
}

static void on_reply(void *context, struct chat_reply *reply)
{
    struct world *w = context;
    chat_reply_finish(&w->reply);
    w->reply = *reply;
    *reply = (struct chat_reply){0};
    loop_stop(w->loop);
}

static void on_failure(void *context, const struct chat_failure *failure)
{
    struct world *w = context;
    w->failure = *failure;
    loop_stop(w->loop);
}

static void ask(struct world *w, const char *model, const char *answer, bool stream,
                const struct chat_history *history)
{
    static const struct chat_sink sink = {on_text, NULL, on_reply, on_failure, NULL};
    static const struct chat_tool tool = {"read_file", "Reads.", "{\"type\":\"object\"}"};
    struct error err = ERROR_INIT;
    struct chat_request request = {.origin.slot = "main",
                                   .model = model,
                                   .messages = history->messages,
                                   .message_count = history->count,
                                   .tools = &tool,
                                   .tool_count = 1,
                                   .stream = stream};
    chat_call_id id = 0;
    w->answer = answer;
    w->failure = (struct chat_failure){0};
    chat_reply_finish(&w->reply);
    buf_clear(&w->heard);
    if (chat_provider_start(w->provider, &request, &sink, w, &id, &err) < 0)
        fail_msg("%s", err.text);
    loop_run(w->loop);
}

static bool was_asked(struct world *w, const char *text)
{
    return strstr(buf_text(&w->asked), text) != NULL;
}

/* The tests */

static void a_turn_with_a_tool_speaks_it(void **state)
{
    struct world *w = *state;
    struct chat_history history = {0};
    for (int stream = 0; stream < 2; stream++) {
        chat_history_append_text(&history, CHAT_USER, "Grüße \"an\" alle");
        ask(w, NULL,
            "200 think hm\nsay Let me \nsay see.\nused 7 3 5\n"
            "call c1 read_file {\"id\": 9007199254740993, \"x\":1.50}\nend\n",
            stream, &history);
        assert_string_equal(w->failure.text, "");
        assert_true(was_asked(w, "Lines-Key: k3y-of-lines\r\n") &&
                    was_asked(w, "Lines-Version: 7\r\n"));
        assert_true(was_asked(w, stream ? "ask m1 stream\nuser Gr" : "ask m1\nuser Gr"));
        assert_true(was_asked(w, "üße \"an\" alle\n"));
        assert_true(was_asked(w, "tool read_file Reads. {\"type\":\"object\"}\n"));
        assert_string_equal(buf_text(&w->heard), stream ? "Let me |see.|" : "Let me see.|");
        assert_string_equal(w->reply.message.text, "Let me see.");
        assert_int_equal(w->reply.finish, CHAT_FINISH_TOOL_CALLS);
        assert_int_equal(w->reply.usage.prompt_tokens, 7);
        assert_int_equal(w->reply.usage.completion_tokens, 3);
        assert_int_equal(w->reply.usage.cache_write_tokens, 5);
        assert_int_equal(w->reply.usage.cost_pico, -1);
        assert_int_equal(w->reply.message.call_count, 1);
        assert_string_equal(w->reply.message.calls[0].arguments,
                            "{\"id\": 9007199254740993, \"x\":1.50}");

        chat_history_append(&history, &w->reply.message);
        chat_history_append_result(&history, "c1", "It is empty.", false);
        ask(w, "main", "200 say Done.\nend\n", stream, &history);
        assert_true(was_asked(w, "assistant Let me see.\n"
                                 "call c1 read_file {\"id\": 9007199254740993, \"x\":1.50}\n"
                                 "tool c1:It is empty.\n"));
        assert_string_equal(w->reply.message.text, "Done.");
        assert_string_equal(w->reply.model, "lines-1");
        chat_history_finish(&history);
    }
}

static void its_errors_are_read(void **state)
{
    static const struct {
        const char *answer;
        bool stream;
        enum chat_failure_kind kind;
        const char *text, *heard;
    } cases[] = {
        {"401 no such key k3y-of-lines", false, CHAT_UNAUTHORIZED,
         "lines say: no such key ************", ""},
        {"500 oh", true, CHAT_SERVER, "lines say: oh", ""},
        {"200 fail too busy\n", true, CHAT_OVERLOADED, "too busy", ""},
        {"200 fail too busy\n", false, CHAT_OVERLOADED, "too busy", ""},
        {"200 say a\nfail too busy\n", true, CHAT_OVERLOADED, "too busy", ""},
        {"200 say a\n", true, CHAT_INTERRUPTED, "the lines were cut", "a|"},
        {"200 say a\n", false, CHAT_INTERRUPTED, "the lines were cut", ""},
        {"200 end\n", true, CHAT_EMPTY, "the provider sent an empty answer", ""},
    };
    struct world *w = *state;
    struct chat_history history = {0};
    chat_history_append_text(&history, CHAT_USER, "hi");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ask(w, "main", cases[i].answer, cases[i].stream, &history);
        assert_string_equal(w->failure.text, cases[i].text);
        assert_int_equal(w->failure.kind, cases[i].kind);
        assert_string_equal(buf_text(&w->heard), cases[i].heard);
    }
    chat_history_finish(&history);
}

// Its owner knows what it can be asked with.
static void a_parameter_of_the_deployment_is_passed_on(void **state)
{
    struct world *w = *state;
    struct chat_history history = {0};
    chat_history_append_text(&history, CHAT_USER, "hi");
    ask(w, "warm", "200 say Hi.\nend\n", true, &history);
    assert_string_equal(w->failure.text, "");
    assert_true(was_asked(w, "with \"temperature\":0.5\n"));
    chat_history_finish(&history);
}

// It is no fault of the server, which would be asked again.
static void a_request_that_cannot_be_said_is_refused(void **state)
{
    struct world *w = *state;
    struct chat_history history = {0};
    struct chat_message message = {.role = CHAT_TOOL, .text = mem_strdup("of no call")};
    chat_history_append(&history, &message);
    ask(w, "main", "200 end\n", true, &history);
    assert_int_equal(w->failure.kind, CHAT_REJECTED);
    assert_string_equal(w->failure.text, "messages: a tool's result has no tool_call_id");
    assert_int_equal(w->asked.len, 0);
    chat_history_finish(&history);
}

// More than first_content_timeout in all, but never silent for so long.
static void a_long_call_of_a_tool_is_waited_for(void **state)
{
    struct world *w = *state;
    struct chat_history history = {0};
    chat_history_append_text(&history, CHAT_USER, "hi");
    ask(w, "main", "200 more\n~more\n~more\n~more\n~call c1 read_file {}\nend\n", true, &history);
    assert_string_equal(w->failure.text, "");
    assert_int_equal(w->reply.message.call_count, 1);
    chat_history_finish(&history);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_turn_with_a_tool_speaks_it),
        TEST(its_errors_are_read),
        TEST(a_parameter_of_the_deployment_is_passed_on),
        TEST(a_request_that_cannot_be_said_is_refused),
        TEST(a_long_call_of_a_tool_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
