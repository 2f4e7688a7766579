#include "support/dispatcher_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "store/inbox.h"

enum {
    PATIENCE = 2000,   // passes of the loop
    CUT_WAIT_MS = 100, // short, for tests in which the rest does not come
};

static void on_event(void *context, const struct turn_event *event)
{
    struct buf *heard = &((struct dispatcher_world *)context)->heard;
    if (event->kind == TURN_EVENT_BEGIN)
        buf_printf(heard, "turn %s\n", event->chat);
    else if (event->kind == TURN_EVENT_TEXT)
        buf_printf(heard, "text %.*s\n", (int)event->text.len, event->text.data);
    else if (event->kind == TURN_EVENT_END)
        buf_printf(heard, "end %s\n", event->chat);
}

static const struct dispatcher_channel channel = {
    .name = "post", .cut_wait_ms = CUT_WAIT_MS, .on_event = on_event};

void dispatcher_world_open(struct dispatcher_world *world)
{
    struct dispatcher_env env = {.loop = world->world.loop,
                                 .store = world->world.store,
                                 .agent = world->world.agent,
                                 .config = &world->config,
                                 .outside = world->outside};
    world->dispatcher = dispatcher_create(&env);
    dispatcher_attach(world->dispatcher, &world->channel, world);
}

void dispatcher_world_make(struct dispatcher_world *world, const char *vfs)
{
    *world = (struct dispatcher_world){.config = {.busy_mode = "interrupt", .drain_ms = 1000},
                                       .channel = channel};
    agent_world_make(&world->world, vfs);
    buf_init(&world->heard, 1 << 20);
    dispatcher_world_open(world);
}

void dispatcher_world_remove(struct dispatcher_world *world)
{
    dispatcher_destroy(world->dispatcher);
    world->dispatcher = NULL;
    buf_finish(&world->heard);
    agent_world_remove(&world->world);
}

void dispatcher_world_restart(struct dispatcher_world *world)
{
    struct agent_env env = *agent_env(world->world.agent);
    dispatcher_destroy(world->dispatcher);
    agent_destroy(world->world.agent);
    store_wait(world->world.store); // what was submitted is on disk, before another one looks
    world->world.agent = agent_create(&env);
    dispatcher_world_open(world);
    dispatcher_resume(world->dispatcher);
}

static void land(struct dispatcher_world *world, enum store_inbound_kind kind, int64_t id_number,
                 const char *chat, const char *text, bool cut)
{
    char id[32];
    snprintf(id, sizeof id, "%d", (int)id_number);
    struct store_inbound message = {
        .channel = SPAN_LITERAL("post"),
        .chat = span_of(chat),
        .external_id = span_of(id),
        .thread = span_of(world->thread ? world->thread : ""),
        .sender = span_of(world->sender ? world->sender : "owner"),
        .grouped = world->sender != NULL,
        .kind = kind,
        .text = span_of(text),
        .payload = span_of(text), // as good as a hash
        .cut = cut,
        .tainted = world->tainted,
        .received_ms = world->received_ms ? world->received_ms : clock_wall_ms(&world->world.clock),
        .sent_ms = world->sent_ms ? world->sent_ms : clock_wall_ms(&clock_system)};
    assert_true(store_inbox_add(world->world.store,
                                (struct store_queue){.channel = SPAN_LITERAL("post")},
                                world->cursor, &message, 1, NULL, NULL, NULL) > 0);
    store_wait(world->world.store);
}

void dispatcher_world_lands(struct dispatcher_world *world, const char *chat, const char *text,
                            bool cut)
{
    world->cursor++;
    land(world, STORE_INBOUND_TEXT, world->cursor, chat, text, cut);
}

void dispatcher_world_edits(struct dispatcher_world *world, int64_t id, const char *text)
{
    int64_t sent_ms = world->sent_ms;
    world->sent_ms = clock_wall_ms(&clock_system) + ++world->edits;
    land(world, STORE_INBOUND_EDIT, id, "7", text, false);
    world->sent_ms = sent_ms;
    dispatcher_wake(world->dispatcher);
}

void dispatcher_world_arrives_in(struct dispatcher_world *world, const char *chat, const char *text,
                                 bool cut)
{
    dispatcher_world_lands(world, chat, text, cut);
    dispatcher_wake(world->dispatcher);
}

void dispatcher_world_arrives(struct dispatcher_world *world, const char *text)
{
    dispatcher_world_arrives_in(world, "7", text, false);
}

void dispatcher_world_answers(struct dispatcher_world *world, const char *text, const char *script)
{
    world->world.script = script;
    dispatcher_world_arrives(world, text);
    dispatcher_world_until_idle(world);
}

void dispatcher_world_passes(struct dispatcher_world *world, int count)
{
    while (count-- > 0) {
        loop_run_once(world->world.loop, 5);
        store_dispatch(world->world.store);
    }
}

void dispatcher_world_until_idle(struct dispatcher_world *world)
{
    for (int i = 0; i < PATIENCE && !dispatcher_idle(world->dispatcher); i++)
        dispatcher_world_passes(world, 1);
    assert_true(dispatcher_idle(world->dispatcher));
    dispatcher_world_passes(world, 2);
}

void dispatcher_world_until_heard(struct dispatcher_world *world, const char *what)
{
    for (int i = 0; i < PATIENCE && !strstr(buf_text(&world->heard), what); i++)
        dispatcher_world_passes(world, 1);
    assert_non_null(strstr(buf_text(&world->heard), what));
}

void dispatcher_world_awaits_the_rest(struct dispatcher_world *world)
{
    world->channel.cut_wait_ms = INT64_C(1000) * CUT_WAIT_MS;
}

const char *dispatcher_world_outbox(struct dispatcher_world *world)
{
    return agent_world_text(&world->world, "SELECT group_concat(text, '|') FROM (SELECT text FROM "
                                           "outbox ORDER BY number)");
}

int64_t dispatcher_world_unhandled(struct dispatcher_world *world)
{
    return agent_world_number(&world->world, "SELECT count(*) FROM inbox WHERE handled_ms IS NULL");
}
