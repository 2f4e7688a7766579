#include "support/agent_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "sandbox/process.h"
#include "support/scripted_model.h"
#include "tools/toolbox.h"

enum { PATIENCE = 4000 }; // passes of the loop, of a few milliseconds each

static int64_t ahead_monotonic(void *context)
{
    return clock_monotonic_ms(&clock_system) + ((struct agent_world *)context)->ahead_ms;
}

static int64_t fixed_wall(void *context)
{
    (void)context;
    return 1763694000000; // 2025-11-21T03:00:00Z
}

void agent_world_make(struct agent_world *world, const char *vfs)
{
    *world = (struct agent_world){.script = "", .prompt = BUF_INIT(16 << 20)};
    fixture_make_home(world->home);
    tool_world_make(&world->tools);
    world->clock = (struct clock){ahead_monotonic, fixed_wall, world};
    assert_int_equal(loop_create(&clock_system, &world->loop, NULL), 0);
    world->processes = processes_create(world->loop, &(struct process_config){.memory = 48 << 20});
    struct store_options options = {.vfs = vfs};
    world->store = fixture_open(world->home, &options);
    struct tool_env tools = {.store = world->store,
                             .processes = world->processes,
                             .workspace = world->tools.workspace,
                             .clock = &world->clock,
                             .loop = world->loop};
    world->toolbox = toolbox_create(&tools);
    world->model = scripted_model_create(
        world->loop,
        (struct scripted_model_hooks){&world->script, &world->asked, &world->prompt,
                                      world->asked_as, &world->priority, &world->told});
    world->config = (struct agent_config){
        .max_turns = 10, .turn_limit_ms = 60 * 1000, .approval_ms = INT64_C(86400000) * 36500};
    struct agent_env env = {.loop = world->loop,
                            .clock = &world->clock,
                            .store = world->store,
                            .provider = world->model,
                            .toolbox = world->toolbox,
                            .config = &world->config,
                            .memory = &world->memory,
                            .home = world->home,
                            .model = "scripted",
                            .stream = true};
    world->agent = agent_create(&env);
    world->session = agent_session_create(&(struct store_session_key){SPAN_LITERAL("console")});
    world->request = (struct turn_request){.terms = {.origin = SPAN_LITERAL("console"),
                                                     .slot = SPAN_LITERAL("main"),
                                                     .interactive = true}};
}

// In the order in which the program does it; each may be gone already.
void agent_world_remove(struct agent_world *world)
{
    agent_destroy(world->agent);
    agent_session_destroy(world->session);
    chat_provider_destroy(world->model);
    toolbox_destroy(world->toolbox);
    store_close(world->store);
    processes_destroy(world->processes);
    child_reap_all(world->loop);
    loop_destroy(world->loop);
    buf_finish(&world->prompt);
    tool_world_remove(&world->tools);
    fixture_remove_home(world->home);
}

void heard_turn_finish(struct heard_turn *heard)
{
    buf_finish(&heard->log);
}

static void hear_end(struct heard_turn *heard, const struct turn_outcome *outcome)
{
    heard->ends++;
    heard->state = outcome->state;
    heard->usage = outcome->usage;
    heard->iterations = outcome->iterations;
    snprintf(heard->text, sizeof heard->text, "%s", outcome->text);
    snprintf(heard->error, sizeof heard->error, "%s", outcome->error);
    snprintf(heard->remark, sizeof heard->remark, "%s", outcome->remark);
    if (heard->at_end)
        heard->at_end(heard);
}

void agent_world_heard(void *context, const struct turn_event *event)
{
    struct heard_turn *heard = context;
    int len = (int)event->text.len;
    if (event->kind == TURN_EVENT_TEXT)
        buf_printf(&heard->log, "text %.*s\n", len, event->text.data);
    else if (event->kind == TURN_EVENT_CALL)
        buf_printf(&heard->log, "call %s %s\n", event->name, event->arguments);
    else if (event->kind == TURN_EVENT_RESULT)
        buf_printf(&heard->log, "result %s %s %.*s\n", event->name, event->failed ? "failed" : "ok",
                   len, event->text.data);
    else if (event->kind == TURN_EVENT_WAIT)
        buf_printf(&heard->log, "wait %s\n", event->sentence);
    else if (event->kind == TURN_EVENT_END)
        hear_end(heard, event->outcome);
}

int agent_world_start(struct agent_world *world, const char *text, const char *script,
                      struct heard_turn *heard)
{
    struct turn_request request = world->request;
    request.session = world->session;
    request.text = span_of(text);
    struct error err = ERROR_INIT;
    heard->world = world;
    buf_init(&heard->log, 16 << 20);
    world->script = script;
    world->asked = 0;
    int r = agent_turn_start(world->agent, &request, agent_world_heard, heard, &heard->id, &err);
    snprintf(heard->error, sizeof heard->error, "%s", err.text);
    assert_int_equal(heard->log.len + (size_t)heard->ends, 0); // never from inside that call
    return r;
}

void agent_world_loop(struct agent_world *world)
{
    loop_run_once(world->loop, 5);
}

void agent_world_dispatch(struct agent_world *world)
{
    store_wait(world->store);
}

static void pass(struct agent_world *world)
{
    agent_world_loop(world);
    store_dispatch(world->store);
}

void agent_world_wait(struct agent_world *world, struct heard_turn *heard)
{
    for (int i = 0; i < PATIENCE && !heard->ends; i++)
        pass(world);
    assert_int_equal(heard->ends, 1);
}

void agent_world_until(struct agent_world *world, struct heard_turn *heard, const char *logged)
{
    for (int i = 0; i < PATIENCE && !strstr(buf_text(&heard->log), logged); i++)
        pass(world);
    assert_non_null(strstr(buf_text(&heard->log), logged));
    assert_int_equal(heard->ends, 0);
}

void agent_world_turn(struct agent_world *world, const char *text, const char *script,
                      enum turn_state state, struct heard_turn *heard)
{
    if (agent_world_start(world, text, script, heard) < 0)
        fail_msg("%s", heard->error);
    agent_world_wait(world, heard);
    if (heard->state != state)
        fail_msg("the turn ended as %d, error: %s, log:\n%s", heard->state, heard->error,
                 buf_text(&heard->log));
    assert_false(world->session && world->session->busy);
}

void agent_world_history(struct agent_world *world, struct buf *out)
{
    buf_init(out, 16 << 20);
    scripted_model_write(world->session->history.messages, world->session->history.count, out);
}

int64_t agent_world_number(struct agent_world *world, const char *sql)
{
    store_wait(world->store);
    return fixture_number(store_path(world->store), sql);
}

const char *agent_world_text(struct agent_world *world, const char *sql)
{
    store_wait(world->store);
    return fixture_text(store_path(world->store), sql);
}
