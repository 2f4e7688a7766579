// The agent's API in a process that follows one which was killed in the middle of an answer: until
// that answer is given up, nobody may begin another one in its conversation.
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/dispatcher.h"
#include "base/mem.h"
#include "llm/provider.h"
#include "loop/loop.h"
#include "net/http_client.h"
#include "sandbox/process.h"
#include "serve/api.h"
#include "serve/control.h"
#include "support/dispatcher_world.h"
#include "support/store_fixture.h"
#include "tools/toolbox.h"

enum { PATIENCE = 4000, ANSWER_MAX = 1 << 20, PATIENCE_MS = 60 * 1000 };

static struct api_world {
    struct dispatcher_world inner;
    struct control_env env;
    struct http_client *http;
    struct api *api;
    char path[FIXTURE_PATH_MAX + 16];
} world;

static const struct api_config config = {.enabled = true,
                                         .host = "127.0.0.1",
                                         .key = "sesame-sesame",
                                         .model_name = "hermes-agent",
                                         .runs_max = 10};

// No file of the store is opened while this is held.
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static bool gate_held;
static sqlite3_vfs gated;

static void let_in(void)
{
    if (STEAL(gate_held))
        pthread_mutex_unlock(&gate);
}

static int open_behind_gate(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                            int *ret_flags)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return sqlite3_vfs_find(NULL)->xOpen(vfs, path, file, flags, ret_flags);
}

static struct agent_world *agent_world(void)
{
    return &world.inner.world;
}

static void open_api(void)
{
    struct agent_world *agents = agent_world();
    world.env = (struct control_env){.loop = agents->loop,
                                     .store = agents->store,
                                     .dispatcher = world.inner.dispatcher,
                                     .agent = agents->agent,
                                     .home = agents->home,
                                     .started_ms = loop_wall(agents->loop),
                                     .up_since_ms = loop_now(agents->loop)};
    assert_int_equal(api_create(&config, &world.env, &world.api, NULL), 0);
}

static int set_up(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    dispatcher_world_make(&world.inner, NULL);
    dispatcher_resume(world.inner.dispatcher);
    snprintf(world.path, sizeof world.path, "%s", fixture_path(agent_world()->home, "state.db"));
    open_api();
    return http_client_create(agent_world()->loop, NULL, &world.http, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    let_in();
    http_client_destroy(world.http);
    dispatcher_destroy(world.inner.dispatcher);
    world.inner.dispatcher = NULL;
    api_destroy(world.api);
    dispatcher_world_remove(&world.inner);
    return 0;
}

struct ask {
    unsigned status;
    int64_t retry_after;
    struct buf body;
    bool done;
    http_id id;
};

static void on_head(void *context, const struct http_head *head)
{
    struct ask *ask = context;
    ask->status = (unsigned)head->status;
    span_to_i64(http_head_get(head, "Retry-After"), &ask->retry_after);
}

static int on_body(void *context, struct span chunk)
{
    return buf_append_span(&((struct ask *)context)->body, chunk) ? 0 : -1;
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct ask *ask = context;
    ask->done = true;
    if (failure != HTTP_OK)
        buf_append_text(&ask->body, err->text);
}

static void begin(struct ask *ask, const char *method, const char *path, const char *body)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    const char *headers[] = {"Authorization: Bearer sesame-sesame",
                             "Content-Type: application/json", "X-Hermes-Session-Id: mine", NULL};
    char url[100];
    *ask = (struct ask){.body = BUF_INIT(ANSWER_MAX)};
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", api_port(world.api), path);
    struct http_request request = {
        .method = method, .url = url, .headers = headers, .body = span_of(body)};
    assert_int_equal(http_client_start(world.http, &request, &handler, ask, &ask->id, NULL), 0);
}

#define CHAT "/v1/chat/completions"
#define SAYS(text) "{\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"

// In a pass of the loop alone nothing is told of the store, however far its thread is.
static void expect_without_store(const char *method, const char *path, const char *body,
                                 unsigned status, const char *part)
{
    struct ask ask;
    begin(&ask, method, path, body);
    for (int i = 0; i < PATIENCE && !ask.done; i++)
        agent_world_loop(agent_world());
    if (ask.status != status || !strstr(buf_text(&ask.body), part))
        fail_msg("%s %s: %u %s", method, path, ask.status, buf_text(&ask.body));
    assert_int_equal(ask.retry_after > 0, status == 503);
    buf_finish(&ask.body);
}

static void expect(const char *body, const char *script, const char *part)
{
    struct ask ask;
    agent_world()->script = script;
    begin(&ask, "POST", CHAT, body);
    for (int i = 0; i < PATIENCE && !ask.done; i++)
        dispatcher_world_passes(&world.inner, 1);
    if (ask.status != 200 || !strstr(buf_text(&ask.body), part))
        fail_msg("%u %s", ask.status, buf_text(&ask.body));
    buf_finish(&ask.body);
}

// A question whose answer has begun, and is on its way when the process ends.
static void begin_an_answer(void)
{
    static const char open[] = "SELECT count(*) FROM turns WHERE ended_ms IS NULL";
    struct ask ask;
    agent_world()->script = "hang begun";
    begin(&ask, "POST", CHAT, SAYS("one"));
    for (int i = 0; i < PATIENCE && agent_world()->asked == 0; i++)
        dispatcher_world_passes(&world.inner, 1);
    assert_int_equal(agent_world()->asked, 1);
    assert_int_equal(agent_world_number(agent_world(), open), 1);
    http_client_cancel(world.http, ask.id);
    buf_finish(&ask.body);
}

static void on_state(void *context, enum store_state state)
{
    (void)context;
    if (state == STORE_READY)
        dispatcher_wake(world.inner.dispatcher); // as in daemon/app.c
}

// Everything that knows the store is another one, which is not opened before it is let in.
static void restart_after_a_kill(void)
{
    struct agent_world *agents = agent_world();
    struct agent_env env = *agent_env(agents->agent);
    struct store_options options = {.vfs = gated.zName, .on_state = on_state};
    dispatcher_destroy(world.inner.dispatcher);
    api_destroy(world.api);
    agent_destroy(agents->agent);
    toolbox_destroy(agents->toolbox);
    store_close(agents->store);
    fixture_exec(world.path, "UPDATE meta SET value = 0 WHERE key = 'clean'");
    pthread_mutex_lock(&gate);
    gate_held = true;
    assert_int_equal(store_open(agents->home, &options, &agents->store, NULL), 0);
    struct tool_env tools = {.store = agents->store,
                             .processes = agents->processes,
                             .workspace = agents->tools.workspace,
                             .clock = &agents->clock,
                             .loop = agents->loop};
    agents->toolbox = toolbox_create(&tools);
    env.store = agents->store;
    env.toolbox = agents->toolbox;
    agents->agent = agent_create(&env);
    agents->asked = 0;
    dispatcher_world_open(&world.inner);
    open_api();
    dispatcher_resume(world.inner.dispatcher);
}

// Its thread has found the file whole, and the loop has not heard of it.
static void until_the_thread_is_ready(void)
{
    let_in();
    for (int ms = 0; ms < PATIENCE_MS && store_state(agent_world()->store) != STORE_READY; ms++)
        usleep(1000);
    assert_int_equal(store_state(agent_world()->store), STORE_READY);
}

static void expect_refusal(bool looks_again)
{
    expect_without_store("POST", CHAT, SAYS("two"), 503, "not ready yet");
    assert_int_equal(dispatcher_turns(world.inner.dispatcher), 0);
    assert_int_equal(dispatcher_idle(world.inner.dispatcher), !looks_again); // nothing else waits
    assert_int_equal(agent_world()->asked, 0);
}

// The turn that was killed has ended, and behind it comes the next, once.
static void expect_the_next_answer(void)
{
    static const char open[] = "SELECT count(*) FROM turns WHERE ended_ms IS NULL";
    for (int i = 0; i < PATIENCE && agent_world_number(agent_world(), open) != 0; i++)
        dispatcher_world_passes(&world.inner, 1);
    dispatcher_world_until_idle(&world.inner);
    assert_int_equal(agent_world_number(agent_world(), open), 0);
    expect(SAYS("two"), "say again", "\"content\":\"again\"");
    assert_string_equal(
        agent_world_text(agent_world(), "SELECT group_concat(state || resumes) FROM turns"),
        "failed1,done0");
    assert_string_equal(agent_world_text(agent_world(),
                                         "SELECT group_concat(role || ' ' || content) FROM messages"
                                         " WHERE dropped = 0"),
                        "user one,assistant (no answer),user two,assistant again");
    assert_int_equal(agent_world()->asked, 1);
}

static void nobody_is_answered_before_the_file_is_open(void **state)
{
    (void)state;
    begin_an_answer();
    restart_after_a_kill();
    expect_refusal(false);
    expect_without_store("GET", "/v1/responses/resp_1", NULL, 503, "not ready yet");
    expect_without_store("GET", "/health", NULL, 200, "ok");
    let_in();
    store_wait(agent_world()->store);
    expect_the_next_answer();
}

static void nor_between_that_and_what_it_wakes(void **state)
{
    (void)state;
    begin_an_answer();
    restart_after_a_kill();
    until_the_thread_is_ready();
    expect_refusal(false);
    store_dispatch(agent_world()->store);
    expect_the_next_answer();
}

// What the last process left cannot be read, at first.
static void nor_while_the_killed_turn_is_out_of_reach(void **state)
{
    (void)state;
    begin_an_answer();
    restart_after_a_kill();
    until_the_thread_is_ready();
    fixture_exec(world.path, "ALTER TABLE turns RENAME TO elsewhere");
    store_dispatch(agent_world()->store);
    expect_refusal(true);
    fixture_exec(world.path, "ALTER TABLE elsewhere RENAME TO turns");
    expect_refusal(true);
    dispatcher_wake(world.inner.dispatcher); // else by itself, some seconds later
    expect_the_next_answer();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_is_answered_before_the_file_is_open),
        TEST(nor_between_that_and_what_it_wakes),
        TEST(nor_while_the_killed_turn_is_out_of_reach),
    };
    gated = *sqlite3_vfs_find(NULL);
    gated.zName = "gated";
    gated.xOpen = open_behind_gate;
    sqlite3_vfs_register(&gated, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
