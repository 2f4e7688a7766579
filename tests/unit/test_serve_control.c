// libraries: curl mbedtls mbedx509 mbedcrypto sqlite3
//
// The control socket and the admin listener over a real store, with a dispatcher and a Telegram
// that say what a test wants: their functions are in here, in the place of the real ones.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "agent/dispatcher.h"
#include "agent/turn.h"
#include "base/metrics.h"
#include "channels/telegram.h"
#include "codec/json.h"
#include "llm/endpoint.h"
#include "loop/loop.h"
#include "net/http_client.h"
#include "serve/admin.h"
#include "serve/control.h"
#include "store/message.h"
#include "store/session.h"
#include "support/store_fixture.h"

enum { PATIENCE = 400, ANSWER_MAX = 4 << 20 };

struct dispatcher {
    turn_event_fn *on_event;
    void *context;
    char said[256], chat[80];
    unsigned stops;
    bool busy;
};

static struct dispatcher dispatcher;

static const struct endpoint endpoint = {.format = &wire_openai_chat,
                                         .provider = "custom",
                                         .base_url = "http://there/v1",
                                         .api_key = "sk-secret",
                                         .name = "some/model",
                                         .model = "vendor/model",
                                         .chosen = true};

static void report(struct turn_event event)
{
    dispatcher.on_event(dispatcher.context, &event);
}

static void end_turn(enum turn_state state, const char *text)
{
    struct turn_outcome outcome = {
        .state = state,
        .text = text,
        .error = "it broke",
        .remark = "",
        .usage = CHAT_USAGE_UNKNOWN,
        .iterations = 1,
    };
    dispatcher.busy = false;
    report((struct turn_event){.kind = TURN_EVENT_END, .outcome = &outcome});
}

int dispatcher_say(struct dispatcher *it, const char *channel, const char *chat, struct span text,
                   turn_event_fn *on_event, void *context, struct error *err)
{
    assert_ptr_equal(it, &dispatcher);
    assert_string_equal(channel, "console");
    if (dispatcher.busy)
        return error_set(err, -EBUSY, "an answer is on its way");
    snprintf(dispatcher.said, sizeof dispatcher.said, "%.*s", (int)text.len, text.data);
    snprintf(dispatcher.chat, sizeof dispatcher.chat, "%s", chat);
    dispatcher.on_event = on_event;
    dispatcher.context = context;
    dispatcher.busy = true;
    return 0;
}

void dispatcher_stop(struct dispatcher *it, const char *channel, const char *chat)
{
    assert_ptr_equal(it, &dispatcher);
    assert_string_equal(channel, "console");
    assert_string_equal(chat, dispatcher.chat);
    dispatcher.stops++;
}

void dispatcher_session_deleted(struct dispatcher *it, const char *session)
{
    assert_ptr_equal(it, &dispatcher);
}

unsigned dispatcher_turns(const struct dispatcher *it)
{
    return it->busy;
}

void dispatcher_outbox_grew(struct dispatcher *it) {}

bool dispatcher_delivers(const struct dispatcher *it, struct span channel)
{
    return false;
}

void dispatcher_context(const struct dispatcher *it, struct buf *ret_json)
{
    assert_ptr_equal(it, &dispatcher);
    buf_append_text(ret_json, "{\"prompt\":[]}");
}

static struct agent agent; // of which only the health is asked for

struct telegram {
    const char *state;
    int64_t failing_ms;
};

void telegram_status(const struct telegram *telegram, struct telegram_status *ret_status)
{
    *ret_status = (struct telegram_status){
        .state = telegram->state,
        .detail = "a \"why\"",
        .failing_ms = telegram->failing_ms,
        .username = "a_bot",
        .last_poll_ms = 5,
        .updates = 6,
        .sent = 7,
    };
}

struct control_world {
    char home[FIXTURE_PATH_MAX], socket[FIXTURE_PATH_MAX + 16];
    struct loop *loop;
    struct store *store;
    struct http_client *http;
    struct metrics *metrics;
    struct control_env env;
    struct control *control;
    struct admin *admin;
};

static int set_up(void **state)
{
    struct control_world *world = calloc(1, sizeof *world);
    *state = world;
    dispatcher = (struct dispatcher){.stops = 0};
    fixture_make_home(world->home);
    snprintf(world->socket, sizeof world->socket, "%s/hermes.sock", world->home);
    world->store = fixture_open(world->home, NULL);
    world->metrics = metrics_create();
    if (loop_create(&clock_system, &world->loop, NULL) != 0)
        return -1;
    world->env = (struct control_env){
        .loop = world->loop,
        .store = world->store,
        .dispatcher = &dispatcher,
        .home = world->home,
        .endpoint = &endpoint,
        .started_ms = loop_wall(world->loop) - 5000,
        .up_since_ms = loop_now(world->loop) - 5000,
    };
    if (http_client_create(world->loop, NULL, &world->http, NULL) != 0)
        return -1;
    return control_create(&world->env, &world->control, NULL);
}

static int tear_down(void **state)
{
    struct control_world *world = *state;
    struct stat status;
    http_client_destroy(world->http);
    control_destroy(world->control);
    admin_destroy(world->admin);
    if (lstat(world->socket, &status) == 0)
        return -1; // it is to be gone
    metrics_destroy(world->metrics);
    store_close(world->store);
    loop_destroy(world->loop);
    fixture_remove_home(world->home);
    free(world);
    return 0;
}

struct ask {
    unsigned status;
    struct buf body;
    bool done;
    enum http_failure failure;
    http_id id;
};

static void on_head(void *context, const struct http_head *head)
{
    ((struct ask *)context)->status = (unsigned)head->status;
}

static int on_body(void *context, struct span chunk)
{
    return buf_append_span(&((struct ask *)context)->body, chunk) ? 0 : -1;
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    (void)err;
    struct ask *ask = context;
    ask->failure = failure;
    ask->done = true;
}

static void begin(struct control_world *world, struct ask *ask, const char *method,
                  const char *path, const char *body)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    char url[400];
    struct error err = ERROR_INIT;
    *ask = (struct ask){.body = BUF_INIT(ANSWER_MAX)};
    snprintf(url, sizeof url, "http://localhost%s", path);
    struct http_request request = {
        .method = method,
        .url = url,
        .body = span_of(body),
        .unix_socket = world->socket,
    };
    if (http_client_start(world->http, &request, &handler, ask, &ask->id, &err) < 0)
        fail_msg("%s", err.text);
}

static void pass(struct control_world *world)
{
    loop_run_once(world->loop, 25);
    store_dispatch(world->store);
}

static void await(struct control_world *world, const struct ask *ask)
{
    for (int i = 0; i < PATIENCE && !ask->done; i++)
        pass(world);
    assert_true(ask->done);
}

static void await_text(struct control_world *world, const struct ask *ask, const char *text)
{
    for (int i = 0; i < PATIENCE && !strstr(buf_text(&ask->body), text); i++)
        pass(world);
    assert_non_null(strstr(buf_text(&ask->body), text));
}

// Asks over the socket; what came must hold `part`.
static void expect(struct control_world *world, const char *method, const char *path,
                   const char *body, unsigned status, const char *part)
{
    struct ask ask;
    begin(world, &ask, method, path, body);
    await(world, &ask);
    assert_int_equal(ask.failure, HTTP_OK);
    if (ask.status != status || !strstr(buf_text(&ask.body), part))
        fail_msg("%s %s: %u %s", method, path, ask.status, buf_text(&ask.body));
    buf_finish(&ask.body);
}

static void add_session(struct control_world *world, const char *id)
{
    struct store_session session = {
        .id = span_of(id),
        .channel = SPAN_LITERAL("telegram"),
        .chat = SPAN_LITERAL("42"),
        .title = SPAN_LITERAL("a title"),
        .created_ms = 1000,
    };
    struct store_message message = {
        .session = span_of(id),
        .role = SPAN_LITERAL("user"),
        .content = SPAN_LITERAL("h\"i"),
        .created_ms = 1000,
    };
    assert_true(store_session_create(world->store, &session, STORE_DURABLE, NULL, NULL, NULL) > 0);
    assert_true(fixture_append(world->store, &message, STORE_DURABLE, NULL, NULL, NULL) > 0);
    store_wait(world->store);
}

static void tells_its_status(void **state)
{
    struct control_world *world = *state;
    struct ask ask;
    JSON_AUTO document = JSON_INIT;
    begin(world, &ask, "GET", "/status", NULL);
    await(world, &ask);
    assert_int_equal(ask.status, 200);
    assert_int_equal(json_parse(&document, buf_span(&ask.body), NULL), 0);
    struct json_value root = json_root(&document);
    int64_t uptime_s = 0, waiting = -1;
    assert_true(json_is(json_get(root, "version"), HERMES_VERSION));
    assert_true(json_is(json_get(root, "model"), "some/model"));
    assert_int_equal(json_type(json_get(root, "ready")), JSON_TRUE);
    assert_true(json_is(json_get(json_get(root, "store"), "state"), "ready"));
    assert_int_equal(json_type(json_get(root, "telegram")), JSON_NULL);
    assert_true(json_int64(json_get(root, "uptime_s"), &uptime_s));
    assert_in_range(uptime_s, 5, 60);
    assert_true(json_int64(json_get(json_get(root, "outbox"), "waiting"), &waiting));
    assert_int_equal(waiting, 0);
    assert_int_equal(json_type(json_get(root, "turns")), JSON_OBJECT);
    buf_finish(&ask.body);
    struct telegram telegram = {"waiting"}, *here = &telegram;
    world->env.telegram = &here;
    expect(world, "GET", "/status", NULL, 200,
           "\"telegram\":{\"state\":\"waiting\",\"detail\":\"a \\\"why\\\"\",\"failing_s\":0,"
           "\"username\":\"a_bot\",\"last_poll_ms\":5,\"updates\":6,\"sent\":7}");
    here = NULL;
    expect(world, "GET", "/status", NULL, 200, "\"telegram\":null");
}

static void fail_model(enum chat_failure_kind kind, const char *text)
{
    struct chat_failure failure = {.kind = kind, .status = 401};
    snprintf(failure.text, sizeof failure.text, "%s", text);
    model_health_failed(&agent.health, "some/model", &failure, 7000);
}

static void tells_what_wants_a_person(void **state)
{
    struct control_world *world = *state;
    struct telegram telegram = {.state = "waiting", .failing_ms = 1000}, *here = &telegram;
    world->env.telegram = &here;
    world->env.agent = &agent;
    static const char text_of_telegram[] = "\"text\":\"not receiving messages: a \\\"why\\\"\"";
    expect(world, "GET", "/status", NULL, 200, text_of_telegram);
    expect(world, "GET", "/status", NULL, 200, "\"well\":true"); // it is young
    telegram.failing_ms = 10 * 60000;
    expect(world, "GET", "/status", NULL, 200, "\"well\":false");
    telegram = (struct telegram){.state = "polling"};
    expect(world, "GET", "/status", NULL, 200, "\"problems\":[],\"well\":true");
    expect(world, "GET", "/status", NULL, 200, "\"state\":\"unused\"");
    telegram.state = "unauthorized";
    expect(world, "GET", "/status", NULL, 200, "get the token from @BotFather");
    telegram.state = "conflict";
    expect(world, "GET", "/status", NULL, 200, "stop the other program");
    telegram.state = "polling";

    fail_model(CHAT_RATE_LIMITED, "slowly");
    expect(world, "GET", "/status", NULL, 200, "\"state\":\"failing\"");
    expect(world, "GET", "/status", NULL, 200, "\"well\":true");
    fail_model(CHAT_RATE_LIMITED, "slowly");
    fail_model(CHAT_RATE_LIMITED, "slowly");
    expect(world, "GET", "/status", NULL, 200, "\"well\":false");
    model_health_answered(&agent.health, 9000);
    expect(world, "GET", "/status", NULL, 200,
           "\"state\":\"working\",\"last_answer_ms\":9000,\"failures\":0,\"failing_since_ms\":0,"
           "\"last_failure\":{\"ms\":7000,\"model\":\"some/model\",\"status\":401,"
           "\"text\":\"slowly\"}");
    expect(world, "GET", "/status", NULL, 200, "\"problems\":[],\"well\":true");
    fail_model(CHAT_UNAUTHORIZED, "no key");
    expect(world, "GET", "/status", NULL, 200,
           "{\"what\":\"upstream\",\"needs_attention\":true,"
           "\"text\":\"the model some/model does not answer: no key\","
           "\"todo\":\"check OPENROUTER_API_KEY or OPENAI_API_KEY\"}");
    agent.health = (struct model_health){0};
    world->env.agent = NULL;
}

static void sessions_are_listed_shown_named_and_deleted(void **state)
{
    struct control_world *world = *state;
    expect(world, "GET", "/sessions", NULL, 200, "{\"sessions\":[]}");
    add_session(world, "abc1");
    add_session(world, "abd2");
    expect(world, "GET", "/sessions", NULL, 200, "\"id\":\"abd2\"");
    expect(world, "GET", "/sessions/abc", NULL, 200, "\"content\":\"h\\\"i\"");
    expect(world, "GET", "/sessions/ab", NULL, 409, "\"error\":");
    expect(world, "GET", "/sessions/x", NULL, 404, "\"error\":");
    expect(world, "POST", "/sessions/abc", "{\"title\": \" other \"}", 200, "done");
    expect(world, "GET", "/sessions/abc", NULL, 200, "\"title\":\"other\"");
    expect(world, "POST", "/sessions/abc", "{\"title\": \"a\\nb\"}", 400, "one line");
    expect(world, "POST", "/sessions/abc", "nonsense", 400, "one line");
    expect(world, "DELETE", "/sessions/abc", NULL, 200, "done");
    expect(world, "GET", "/sessions/abc", NULL, 404, "\"error\":");
    expect(world, "GET", "/sessions/ab", NULL, 200, "abd2");
    expect(world, "PUT", "/sessions/ab", "", 405, "GET, DELETE and POST");
}

static void keep_answer(void *context, unsigned status, struct span body)
{
    struct ask *ask = context;
    ask->status = status;
    ask->done = true;
    buf_clear(&ask->body);
    buf_append_span(&ask->body, body);
}

static void the_same_is_answered_without_a_socket(void **state)
{
    struct control_world *world = *state;
    struct ask ask = {.body = BUF_INIT(ANSWER_MAX)};
    add_session(world, "abc1");
    control_answer(&world->env, SPAN_LITERAL("GET"), SPAN_LITERAL("/sessions"), SPAN_ABSENT,
                   keep_answer, &ask);
    store_wait(world->store);
    assert_true(ask.done && ask.status == 200);
    assert_non_null(strstr(buf_text(&ask.body), "abc1"));
    ask.done = false;
    control_answer(&world->env, SPAN_LITERAL("DELETE"), SPAN_LITERAL("/sessions/abc1"), SPAN_ABSENT,
                   keep_answer, &ask);
    store_wait(world->store);
    assert_true(ask.done && ask.status == 200);
    world->env.dispatcher = NULL;
    control_answer(&world->env, SPAN_LITERAL("GET"), SPAN_LITERAL("/context"), SPAN_ABSENT,
                   keep_answer, &ask);
    assert_int_equal(ask.status, 409);
    buf_finish(&ask.body);
}

static void an_answer_is_a_stream(void **state)
{
    struct control_world *world = *state;
    struct ask ask;
    begin(world, &ask, "POST", "/chat?chat=one", "what is it?");
    for (int i = 0; i < PATIENCE && !dispatcher.busy; i++)
        pass(world);
    assert_string_equal(dispatcher.said, "what is it?");
    assert_string_equal(dispatcher.chat, "one");
    report((struct turn_event){.kind = TURN_EVENT_TEXT, .text = SPAN_LITERAL("a \"word\"")});
    await_text(world, &ask, "event: text\ndata: {\"delta\":\"a \\\"word\\\"\"}\n\n");
    expect(world, "POST", "/chat?chat=one", "and this?", 409, "on its way");
    report((struct turn_event){.kind = TURN_EVENT_CALL, .name = "look", .arguments = "{}"});
    report((struct turn_event){
        .kind = TURN_EVENT_RESULT, .name = "look", .failed = true, .text = SPAN_LITERAL("no")});
    report((struct turn_event){.kind = TURN_EVENT_STEP});
    end_turn(TURN_FAILED, "a word");
    await(world, &ask);
    assert_int_equal(ask.status, 200);
    assert_int_equal(ask.failure, HTTP_OK);
    assert_non_null(
        strstr(buf_text(&ask.body), "{\"name\":\"look\",\"failed\":true,\"text\":\"no\"}"));
    assert_non_null(strstr(buf_text(&ask.body), "\"state\":\"failed\",\"text\":\"a word\","
                                                "\"error\":\"it broke\""));
    assert_int_equal(dispatcher.stops, 0);
    buf_finish(&ask.body);
}

static void what_is_no_message_is_refused(void **state)
{
    struct control_world *world = *state;
    expect(world, "POST", "/chat", "hello", 400, "name is missing");
    expect(world, "POST", "/chat?chat=a%2Fb", "hello", 400, "name is missing");
    expect(world, "POST", "/chat?chat=a", " ", 400, "empty");
    expect(world, "POST", "/chat?chat=a", "\xff", 400, "UTF-8");
    CLEANUP(mem_cleanup) char *large = mem_alloc(CONTROL_MESSAGE_MAX + 2);
    memset(large, 'x', CONTROL_MESSAGE_MAX + 1);
    large[CONTROL_MESSAGE_MAX + 1] = '\0';
    expect(world, "POST", "/chat?chat=a", large, 413, "1 MiB");
    expect(world, "GET", "/chat?chat=a", NULL, 405, "POST");
    expect(world, "GET", "/nothing", NULL, 404, "/sessions");
    expect(world, "GET", "/context", NULL, 200, "{\"prompt\":[]}\n");
    expect(world, "POST", "/reload", "", 409, "configuration");
    assert_false(dispatcher.busy);
}

static void who_leaves_ends_the_turn(void **state)
{
    struct control_world *world = *state;
    struct ask ask;
    begin(world, &ask, "POST", "/chat?chat=one", "tell me a long story");
    for (int i = 0; i < PATIENCE && !dispatcher.busy; i++)
        pass(world);
    report((struct turn_event){.kind = TURN_EVENT_TEXT, .text = SPAN_LITERAL("once")});
    await_text(world, &ask, "once");
    http_client_cancel(world->http, ask.id);
    for (int i = 0; i < PATIENCE && !dispatcher.stops; i++)
        pass(world);
    assert_int_equal(dispatcher.stops, 1);
    report((struct turn_event){.kind = TURN_EVENT_TEXT, .text = SPAN_LITERAL("to nobody")});
    end_turn(TURN_CANCELLED, "once");
    pass(world);
    buf_finish(&ask.body);
}

static void the_end_leaves_nobody_hanging(void **state)
{
    struct control_world *world = *state;
    struct ask ask;
    begin(world, &ask, "POST", "/chat?chat=one", "tell me a long story");
    for (int i = 0; i < PATIENCE && !dispatcher.busy; i++)
        pass(world);
    expect(world, "DELETE", "/chat?chat=one", NULL, 200, "done");
    assert_int_equal(dispatcher.stops, 1);
    control_destroy(world->control); // the turn never ended: the dispatcher is gone by now
    world->control = NULL;
    await(world, &ask);
    assert_int_equal(ask.failure, HTTP_CUT);
    assert_int_equal(dispatcher.stops, 1);
    buf_finish(&ask.body);
}

static void admin_ask(struct control_world *world, const char *path, const char *header,
                      unsigned status, const char *part)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    const char *headers[] = {header, NULL};
    struct ask ask = {.body = BUF_INIT(ANSWER_MAX)};
    char url[100];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", admin_port(world->admin), path);
    struct http_request request = {.method = "GET", .url = url, .headers = headers};
    assert_int_equal(http_client_start(world->http, &request, &handler, &ask, &ask.id, NULL), 0);
    await(world, &ask);
    if (ask.status != status || !strstr(buf_text(&ask.body), part))
        fail_msg("%s: %u %s", path, ask.status, buf_text(&ask.body));
    buf_finish(&ask.body);
}

static void the_admin_face_wants_its_key(void **state)
{
    struct control_world *world = *state;
    struct admin_config config = {.host = "127.0.0.1", .key = "sesame"};
    *metrics_counter(world->metrics, "hermes_things_total", "", "Things") += 3;
    assert_int_equal(admin_create(&config, &world->env, world->metrics, &world->admin, NULL), 0);
    admin_ask(world, "/healthz", NULL, 200, "ok");
    admin_ask(world, "/readyz", NULL, 200, "\"ready\":true");
    admin_ask(world, "/metrics", NULL, 401, "HERMES_ADMIN_KEY");
    admin_ask(world, "/metrics", "Authorization: Bearer sesam", 401, "HERMES_ADMIN_KEY");
    admin_ask(world, "/metrics", "Authorization: Bearer sesamesesame", 401, "HERMES_ADMIN_KEY");
    admin_ask(world, "/metrics", "Authorization: Bearer", 401, "HERMES_ADMIN_KEY");
    admin_ask(world, "/metrics", "Authorization: Bearer sesame", 200, "hermes_things_total 3");
    admin_ask(world, "/status", "Authorization: bearer sesame", 200, "some/model");
    config.key = NULL;
    admin_configure(world->admin, &config);
    admin_ask(world, "/status", "Authorization: Bearer sesame", 401, "none is set");
    admin_ask(world, "/other", NULL, 404, "/readyz");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tells_its_status),
        TEST(tells_what_wants_a_person),
        TEST(sessions_are_listed_shown_named_and_deleted),
        TEST(the_same_is_answered_without_a_socket),
        TEST(an_answer_is_a_stream),
        TEST(what_is_no_message_is_refused),
        TEST(who_leaves_ends_the_turn),
        TEST(the_end_leaves_nobody_hanging),
        TEST(the_admin_face_wants_its_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
