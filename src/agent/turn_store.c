/*
 * Each move of a turn as the store keeps it. What is waited for, and what is not: the user's
 * message is on disk before anything is done about it; calls that may not be repeated are on disk
 * before they run; the end is on disk before it is told. The other moves are written with the next
 * of these, since losing them costs a repeated question to a model and no more.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/prompt.h"
#include "agent/turn.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json_write.h"
#include "store/session.h"
#include "store/turn.h"

enum { CALLS_JSON_MAX = 2 * CHAT_TEXT_MAX }; // bytes

void turn_remark(struct turn *turn, const struct error *err)
{
    snprintf(turn->remark, sizeof turn->remark, "this turn could not be saved: %s", err->text);
}

static struct span optional(const char *text)
{
    return text ? span_of(text) : SPAN_ABSENT;
}

static void write_calls(const struct chat_message *message, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_array_begin(&w);
    for (size_t i = 0; i < message->call_count; i++) {
        json_write_object_begin(&w);
        json_write_member_text(&w, "id", message->calls[i].id);
        json_write_member_text(&w, "name", message->calls[i].name);
        json_write_member_text(&w, "arguments", message->calls[i].arguments);
        if (message->calls[i].extra)
            json_write_member_text(&w, "extra", message->calls[i].extra);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
}

// The last `count` messages of the session as rows. *ret_calls holds the JSON that they borrow.
static struct store_message *rows_of(const struct turn *turn, size_t count, struct buf *ret_calls)
{
    const struct chat_history *history = &turn->session->history;
    struct store_message *rows = mem_zalloc((count ? count : 1) * sizeof *rows);
    for (size_t i = 0; i < count; i++) {
        const struct chat_message *message = &history->messages[history->count - count + i];
        rows[i] = (struct store_message){
            .role = span_of(chat_role_name(message->role)),
            .content = span_of(message->text ? message->text : ""),
            .reasoning = optional(message->extra),
            .tool_call_id = optional(message->call_id),
            .created_ms = clock_wall_ms(turn->agent->env.clock),
        };
        if (message->call_count) { // only the newest assistant message has any
            write_calls(message, ret_calls);
            rows[i].tool_calls = buf_span(ret_calls);
        }
    }
    return rows;
}

static enum store_call_state call_state(const struct turn_call *call)
{
    if (call->interrupted)
        return STORE_CALL_INTERRUPTED;
    return call->ended ? STORE_CALL_DONE : STORE_CALL_PENDING;
}

static struct store_tool_call *call_rows_of(const struct turn *turn)
{
    struct store_tool_call *rows = mem_zalloc((turn->call_count + 1) * sizeof *rows);
    for (size_t i = 0; i < turn->call_count; i++) {
        const struct chat_call *asked = &turn_asking_message(turn)->calls[i];
        const struct tool *tool = tool_find(asked->name);
        rows[i] = (struct store_tool_call){
            .ordinal = (int)i,
            .call_id = span_of(asked->id),
            .name = span_of(asked->name),
            .arguments = span_of(asked->arguments),
            .state = call_state(&turn->calls[i]),
            .repeatable = tool && tool->flags & TOOL_REPEATABLE,
            .failed = turn->calls[i].failed,
            .result = optional(turn->calls[i].result),
        };
    }
    return rows;
}

static void on_done(void *context, int result, const struct error *err, int64_t rowid)
{
    (void)rowid;
    struct turn *turn = context;
    turn->job = 0;
    if (result < 0 && turn->begun)
        turn_remark(turn, err);
    else if (result < 0)
        turn->error = *err;
    turn->next(turn);
}

static int create_session(struct turn *turn, struct error *err)
{
    struct agent_session *session = turn->session;
    const struct agent_env *env = &turn->agent->env;
    if (!session->prompt) {
        BUF_AUTO prompt = BUF_INIT(PROMPT_MAX);
        prompt_build(env->config, env->home, &prompt);
        session->prompt = buf_take_text(&prompt);
    }
    if (session->stored)
        return 0;
    struct store_session row = {
        .id = span_of(session->id),
        .channel = span_of(session->channel),
        .chat = span_of(session->chat),
        .prompt = span_of(session->prompt),
        .created_ms = clock_wall_ms(env->clock),
    };
    // Whether that worked shows in the turn's own job, which follows it.
    int64_t job = store_session_create(env->store, &row, STORE_GROUPED, NULL, NULL, err);
    return job < 0 ? (int)job : 0;
}

int turn_store_begin(struct turn *turn, turn_next_fn *next, struct error *err)
{
    const struct agent_env *env = &turn->agent->env;
    int r = create_session(turn, err);
    if (r < 0)
        return r;
    struct store_turn row = {
        .id = span_of(turn->name),
        .session = span_of(turn->session->id),
        .source = span_of(turn->session->channel),
        .model = span_of(env->model),
        .started_ms = clock_wall_ms(env->clock),
    };
    struct store_message message = {
        .role = span_of("user"), .content = span_of(turn->text), .created_ms = row.started_ms};
    int64_t job =
        store_turn_begin(env->store, &row, &message, 1, STORE_DURABLE, on_done, turn, err);
    if (job < 0)
        return (int)job;
    turn->job = job;
    turn->next = next;
    return 0;
}

static int64_t counted(int64_t value)
{
    return value > 0 ? value : 0;
}

// Of the whole turn, so it is for the step that ends it.
static struct store_usage usage_of(const struct turn *turn)
{
    return (struct store_usage){
        .input_tokens = counted(turn->usage.prompt_tokens),
        .cached_tokens = counted(turn->usage.cached_tokens),
        .output_tokens = counted(turn->usage.completion_tokens),
        .cost_micro_usd = counted(turn->usage.cost_micros),
    };
}

typedef int64_t submit_fn(struct store *store, const struct store_turn_step *step,
                          enum store_durability durability, store_done_fn *done, void *context,
                          struct error *err);

// Without `next` nobody waits; a failure of such a move shows up with the one that ends the turn.
static void submit(struct turn *turn, submit_fn *fn, enum store_turn_state state,
                   size_t new_messages, enum store_durability durability, turn_next_fn *next)
{
    BUF_AUTO calls_json = BUF_INIT(CALLS_JSON_MAX);
    CLEANUP(mem_cleanup) struct store_message *messages = rows_of(turn, new_messages, &calls_json);
    CLEANUP(mem_cleanup) struct store_tool_call *calls = call_rows_of(turn);
    struct store_turn_step step = {
        .turn = span_of(turn->name),
        .state = state,
        .iteration = turn->iteration,
        .now_ms = clock_wall_ms(turn->agent->env.clock),
        .messages = messages,
        .message_count = new_messages,
        .calls = calls,
        .call_count = turn->call_count,
    };
    if (state == STORE_TURN_FAILED)
        step.error = span_of(turn->error.text);
    if (fn == store_turn_finish)
        step.usage = usage_of(turn);
    struct error err = ERROR_INIT;
    int64_t job = fn(turn->agent->env.store, &step, durability, next ? on_done : NULL, turn, &err);
    if (job < 0)
        turn_remark(turn, &err);
    if (job < 0 && next) {
        next(turn);
    } else if (next) {
        turn->job = job;
        turn->next = next;
    }
}

void turn_store_model(struct turn *turn, size_t new_messages)
{
    submit(turn, store_turn_advance, STORE_TURN_MODEL, new_messages, STORE_GROUPED, NULL);
}

static bool all_repeatable(const struct turn *turn)
{
    const struct chat_message *asking = turn_asking_message(turn);
    for (size_t i = 0; i < asking->call_count; i++) {
        const struct tool *tool = tool_find(asking->calls[i].name);
        if (tool && !(tool->flags & TOOL_REPEATABLE))
            return false;
    }
    return true;
}

void turn_store_tools(struct turn *turn, turn_next_fn *next)
{
    bool wait = !all_repeatable(turn);
    submit(turn, store_turn_advance, STORE_TURN_TOOLS, 1, wait ? STORE_DURABLE : STORE_GROUPED,
           wait ? next : NULL);
    if (!wait)
        next(turn);
}

void turn_store_end(struct turn *turn, size_t new_messages, turn_next_fn *next)
{
    static const enum store_turn_state states[] = {
        [TURN_DONE] = STORE_TURN_DONE,
        [TURN_FAILED] = STORE_TURN_FAILED,
        [TURN_CANCELLED] = STORE_TURN_CANCELLED,
    };
    submit(turn, store_turn_finish, states[turn->state], new_messages, STORE_DURABLE, next);
}
