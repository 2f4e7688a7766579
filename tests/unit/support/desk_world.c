#include "support/desk_world.h"

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

static void on_turn(void *context, const char *chat, const char *turn)
{
    (void)turn;
    buf_printf(&((struct desk_world *)context)->heard, "turn %s\n", chat);
}

static void on_text(void *context, const char *chat, const char *turn, struct span delta)
{
    (void)turn, (void)chat;
    buf_printf(&((struct desk_world *)context)->heard, "text %.*s\n", (int)delta.len, delta.data);
}

static void on_turn_end(void *context, const char *chat, const char *turn)
{
    (void)turn;
    buf_printf(&((struct desk_world *)context)->heard, "end %s\n", chat);
}

static const struct desk_channel channel = {.name = "post",
                                            .cut_wait_ms = CUT_WAIT_MS,
                                            .on_turn = on_turn,
                                            .on_text = on_text,
                                            .on_turn_end = on_turn_end};

void desk_world_open(struct desk_world *world)
{
    struct desk_env env = {.loop = world->world.loop,
                           .store = world->world.store,
                           .agent = world->world.agent,
                           .config = &world->config};
    world->desk = desk_create(&env);
    desk_attach(world->desk, &world->channel, world);
}

void desk_world_make(struct desk_world *world, const char *vfs)
{
    *world = (struct desk_world){.config = {.busy_mode = "interrupt", .drain_ms = 1000},
                                 .channel = channel};
    agent_world_make(&world->world, vfs);
    buf_init(&world->heard, 1 << 20);
    desk_world_open(world);
}

void desk_world_remove(struct desk_world *world)
{
    desk_destroy(world->desk);
    world->desk = NULL;
    buf_finish(&world->heard);
    agent_world_remove(&world->world);
}

void desk_world_restart(struct desk_world *world)
{
    struct agent_env env = *agent_env(world->world.agent);
    desk_destroy(world->desk);
    agent_destroy(world->world.agent);
    store_wait(world->world.store); // what was submitted is on disk, before another one looks
    world->world.agent = agent_create(&env);
    desk_world_open(world);
    desk_resume(world->desk);
}

void desk_world_lands(struct desk_world *world, const char *chat, const char *text, bool cut)
{
    char id[32];
    snprintf(id, sizeof id, "%d", (int)++world->cursor);
    struct store_inbound message = {.channel = SPAN_LITERAL("post"),
                                    .chat = span_of(chat),
                                    .external_id = span_of(id),
                                    .sender = SPAN_LITERAL("owner"),
                                    .text = span_of(text),
                                    .cut = cut,
                                    .sent_ms = world->sent_ms ? world->sent_ms
                                                              : clock_wall_ms(&clock_system)};
    assert_true(store_inbox_add(world->world.store,
                                (struct store_queue){.channel = SPAN_LITERAL("post")},
                                world->cursor, &message, 1, NULL, NULL, NULL) > 0);
    store_wait(world->world.store);
}

void desk_world_arrives_in(struct desk_world *world, const char *chat, const char *text, bool cut)
{
    desk_world_lands(world, chat, text, cut);
    desk_wake(world->desk);
}

void desk_world_arrives(struct desk_world *world, const char *text)
{
    desk_world_arrives_in(world, "7", text, false);
}

void desk_world_answers(struct desk_world *world, const char *text, const char *script)
{
    world->world.script = script;
    desk_world_arrives(world, text);
    desk_world_until_idle(world);
}

void desk_world_passes(struct desk_world *world, int count)
{
    while (count-- > 0) {
        loop_run_once(world->world.loop, 5);
        store_dispatch(world->world.store);
    }
}

void desk_world_until_idle(struct desk_world *world)
{
    for (int i = 0; i < PATIENCE && !desk_idle(world->desk); i++)
        desk_world_passes(world, 1);
    assert_true(desk_idle(world->desk));
    desk_world_passes(world, 2);
}

void desk_world_until_heard(struct desk_world *world, const char *what)
{
    for (int i = 0; i < PATIENCE && !strstr(buf_text(&world->heard), what); i++)
        desk_world_passes(world, 1);
    assert_non_null(strstr(buf_text(&world->heard), what));
}

void desk_world_awaits_the_rest(struct desk_world *world)
{
    world->channel.cut_wait_ms = INT64_C(1000) * CUT_WAIT_MS;
}

const char *desk_world_outbox(struct desk_world *world)
{
    return agent_world_text(&world->world, "SELECT group_concat(text, '|') FROM (SELECT text FROM "
                                           "outbox ORDER BY number)");
}

int64_t desk_world_unhandled(struct desk_world *world)
{
    return agent_world_number(&world->world, "SELECT count(*) FROM inbox WHERE handled_ms IS NULL");
}
