#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/dispatcher.h"
#include "agent/memory_block.h"
#include "base/mem.h"
#include "llm/provider.h"
#include "loop/loop.h"
#include "store/inbox.h"
#include "support/powercut_plan.h"
#include "support/scripted_source.h"
#include "support/store_fixture.h"
#include "tools/toolbox.h"

/*
 * A conversation with tools and a command; the power is cut in the middle of each operation on the
 * disk in turn, with every kind of loss. The sender repeats what he was not told to have arrived,
 * as Telegram does. After the restart every message has its reply, exactly one and in order, and
 * a tool that may not be repeated ran at most once for each call: neither one of this program nor
 * one of a source that may have vanished with the power. The bell rings only if that was approved.
 */

// The model: asks for the tool once when told to, and then answers what was said last.

struct model {
    struct chat_provider provider;
    struct loop *loop;
    loop_id pending;
    const struct chat_sink *sink;
    void *context;
    struct chat_reply reply;
};

static void on_due(void *context)
{
    struct model *model = context;
    struct chat_reply reply = model->reply;
    model->reply = (struct chat_reply){0};
    model->pending = 0;
    if (reply.message.text)
        model->sink->on_text(model->context, span_of(reply.message.text));
    model->sink->on_reply(model->context, &reply);
    chat_reply_finish(&reply);
}

static const char *last_said(const struct chat_request *request)
{
    size_t i = request->message_count;
    while (request->messages[i - 1].role != CHAT_USER)
        i--;
    return request->messages[i - 1].text;
}

static int model_start(struct chat_provider *provider, const struct chat_request *request,
                       const struct chat_sink *sink, void *context, chat_call_id *ret_id,
                       struct error *err)
{
    struct model *model = CONTAINER_OF(provider, struct model, provider);
    const struct chat_message *last = &request->messages[request->message_count - 1];
    model->sink = sink;
    model->context = context;
    model->reply = (struct chat_reply){.message.role = CHAT_ASSISTANT, .usage = CHAT_USAGE_UNKNOWN};
    if (last->role == CHAT_USER && strncmp(last->text, "note ", 5) == 0) {
        CLEANUP(mem_cleanup) char *arguments = mem_printf("{\"content\":\"%s\"}", last->text);
        chat_message_add_call(&model->reply.message, "c0", "remember", arguments, NULL);
        chat_message_add_call(&model->reply.message, "c1", "recall", "{\"query\":\"note\"}", NULL);
        chat_message_add_call(&model->reply.message, "c2", "slow", arguments, NULL);
    } else if (last->role == CHAT_USER && strcmp(last->text, "ring it") == 0) {
        chat_message_add_call(&model->reply.message, "c0", "ring", "{\"bell\":1}", NULL);
    } else {
        model->reply.message.text = mem_printf("re: %s", last_said(request));
    }
    model->pending = loop_defer(model->loop, on_due, model);
    *ret_id = 1;
    return 0;
}

static void model_cancel(struct chat_provider *provider, chat_call_id id)
{
    struct model *model = CONTAINER_OF(provider, struct model, provider);
    loop_cancel(model->loop, model->pending);
    chat_reply_finish(&model->reply);
    model->reply = (struct chat_reply){0};
}

static const struct chat_provider_ops model_ops = {.start = model_start, .cancel = model_cancel};

// One life of the program.

static const char *const messages[] = {"note one", "/title A name", "ring it",
                                       "/approve", "two",           "note three"};
static const char wanted[] = "re: note one|Title: A name|re: ring it|re: two|re: note three";

struct life {
    struct loop *loop;
    struct store *store;
    struct toolbox *toolbox;
    struct model model;
    struct agent *agent;
    struct dispatcher *dispatcher;
    struct agent_config agent_config;
    struct memory_config memory;
    struct dispatcher_config dispatcher_config;
};

static const struct dispatcher_channel channel = {.name = "post"};
static char home[FIXTURE_PATH_MAX];
static struct scripted_source scripted; // of all lives

static void begin_life(struct life *life, bool with_source)
{
    tool_source_id id;
    *life = (struct life){
        .agent_config = {.max_turns = 10, .approval_ms = 86400 * 1000},
        .dispatcher_config = {.busy_mode = "queue"},
    };
    assert_int_equal(loop_create(&clock_system, &life->loop, NULL), 0);
    struct store_options options = {.vfs = "powercut", .checkpoint_pages = 12};
    life->store = fixture_open(home, &options);
    struct tool_env tools = {.store = life->store, .clock = &clock_system};
    life->toolbox = toolbox_create(&tools);
    if (with_source)
        assert_int_equal(toolbox_add_source(life->toolbox, &scripted.source, &id, NULL), 0);
    life->model = (struct model){.provider.ops = &model_ops, .loop = life->loop};
    struct agent_env agent = {.loop = life->loop,
                              .clock = &clock_system,
                              .store = life->store,
                              .provider = &life->model.provider,
                              .toolbox = life->toolbox,
                              .config = &life->agent_config,
                              .memory = &life->memory,
                              .home = home,
                              .model = "test"};
    life->agent = agent_create(&agent);
    struct dispatcher_env dispatcher = {.loop = life->loop,
                                        .store = life->store,
                                        .agent = life->agent,
                                        .config = &life->dispatcher_config};
    life->dispatcher = dispatcher_create(&dispatcher);
    dispatcher_attach(life->dispatcher, &channel, NULL);
    dispatcher_resume(life->dispatcher);
}

static void end_life(struct life *life)
{
    dispatcher_destroy(life->dispatcher);
    agent_destroy(life->agent);
    toolbox_destroy(life->toolbox);
    store_close(life->store);
    loop_destroy(life->loop);
}

static void pass(struct life *life)
{
    loop_run_once(life->loop, 1);
    store_dispatch(life->store);
    for (int i = 0; i < scripted.started; i++)
        scripted_source_answer(&scripted, i, "done", false);
}

// Each is sent again and again until it is known to have arrived.
static bool deliver(struct life *life, size_t index)
{
    char id[8];
    struct outcome outcome = {0};
    snprintf(id, sizeof id, "%zu", index);
    struct store_inbound message = {.channel = SPAN_LITERAL("post"),
                                    .chat = SPAN_LITERAL("7"),
                                    .external_id = span_of(id),
                                    .sender = SPAN_LITERAL("owner"),
                                    .text = span_of(messages[index])};
    if (store_inbox_add(life->store, (struct store_queue){.channel = SPAN_LITERAL("post")},
                        (int64_t)index, &message, 1, fixture_done, &outcome, NULL) < 0)
        return false;
    while (!outcome.called)
        pass(life);
    if (outcome.result >= 0)
        dispatcher_wake(life->dispatcher);
    return outcome.result >= 0;
}

static void settle_down(struct life *life)
{
    for (int i = 0; i < 3000 && !dispatcher_idle(life->dispatcher) && !powercut_is_off(); i++)
        pass(life);
}

// All messages, until the power goes; false when it went.
static bool converse(struct life *life)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        if (!deliver(life, i))
            return false;
        if (i % 2 || i == 2) // some wait for the answer before, and some do not
            settle_down(life);
    }
    settle_down(life);
    return !powercut_is_off();
}

static void nothing_ran_twice(void)
{
    for (int i = 0; i < scripted.started; i++)
        for (int n = 0; n < i; n++)
            assert_string_not_equal(scripted.arguments[i], scripted.arguments[n]);
}

static void check(struct life *life, int operation, int loss)
{
    const char *path = store_path(life->store);
    assert_true(dispatcher_idle(life->dispatcher));
    const char *replies = fixture_text(
        path, "SELECT group_concat(text, '|') FROM (SELECT text FROM outbox WHERE kind = 'reply'"
              " AND text NOT IN ('Approved: ring', 'Nothing waits for approval.')"
              " ORDER BY number)");
    if (strcmp(replies, wanted) != 0)
        fail_msg("operation %d, loss %d: the replies are %s", operation, loss, replies);
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM turns WHERE ended_ms IS NULL"), 0);
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM turns"), 4);
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM inbox WHERE handled_ms IS NULL"),
                     0);
    assert_int_equal(fixture_number(path, "SELECT coalesce(max(n), 0) > 1 FROM (SELECT count(*) n "
                                          "FROM memory GROUP BY content)"),
                     0);
    assert_string_equal(fixture_text(path, "SELECT title FROM sessions"), "A name");
    nothing_ran_twice();
    int64_t rung = 0;
    for (int i = 0; i < scripted.started; i++)
        rung += strcmp(scripted.arguments[i], "{\"bell\":1}") == 0;
    assert_true(rung <= fixture_number(path, "SELECT count(*) FROM approvals"
                                             " WHERE state = 'approved'"));
    assert_true(rung == 1 || operation % 2 == 0 || loss >= 0); // all was there
}

// False when the conversation was over before the operation.
static bool cut_at(int operation, enum powercut_loss loss)
{
    struct life life;
    fixture_make_home(home);
    powercut_start();
    scripted_source_init(&scripted, scripted_tools);
    begin_life(&life, true);
    store_wait(life.store);
    powercut_cut_at(operation);
    bool over = converse(&life);
    if (over)
        check(&life, operation, -1);
    powercut_cut_at(0);
    end_life(&life);
    if (!over) {
        powercut_settle(loss, (uint64_t)operation);
        powercut_start();
        begin_life(&life, operation % 2);
        assert_true(converse(&life));
        check(&life, operation, (int)loss);
        end_life(&life);
    }
    fixture_remove_home(home);
    return !over;
}

static void at_every_operation(void **state)
{
    int operation = 1;
    bool more = true;
    for (; more; operation++)
        for (int loss = 0; loss < POWERCUT_LOSSES; loss++)
            if (powercut_takes(operation, loss))
                more = cut_at(operation, (enum powercut_loss)loss);
    assert_true(operation > 30);
    print_message("cut at %d operations\n", operation - 2);
}

int main(void)
{
    powercut_register();
    const struct CMUnitTest tests[] = {cmocka_unit_test(at_every_operation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
