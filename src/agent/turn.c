#include "agent/turn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "store/store.h"

static void enter_model(struct turn *turn);

static void turn_destroy(struct turn *turn)
{
    chat_provider_cancel(turn->agent->env.provider, turn->model_call);
    store_forget(turn->agent->env.store, turn->job);
    turn_calls_finish(turn);
    list_remove(&turn->link);
    if (turn->session)
        turn->session->busy = false;
    buf_finish(&turn->partial);
    free(turn->text);
    free(turn);
}

struct agent *agent_create(const struct agent_env *env)
{
    struct agent *agent = mem_new(struct agent);
    agent->env = *env;
    list_init(&agent->turns);
    size_t count;
    const struct tool *const *tools = tool_table(&count);
    for (size_t i = 0; i < count && i < TURN_TOOLS_MAX; i++)
        agent->tools[agent->tool_count++] =
            (struct chat_tool){tools[i]->name, tools[i]->description, tools[i]->parameters};
    return agent;
}

void agent_destroy(struct agent *agent)
{
    if (!agent)
        return;
    list_for_each(link, &agent->turns)
        turn_destroy(list_entry(link, struct turn, link));
    free(agent);
}

static const char *answer_of(const struct turn *turn)
{
    const struct chat_history *history = turn->session ? &turn->session->history : NULL;
    if (turn->state == TURN_DONE && history && history->count &&
        history->messages[history->count - 1].text)
        return history->messages[history->count - 1].text;
    return buf_text(&turn->partial);
}

static void tell_end(struct turn *turn)
{
    struct turn_outcome outcome = {
        .state = turn->state,
        .text = answer_of(turn),
        .error = turn->error.text,
        .remark = turn->remark,
        .usage = turn->usage,
        .iterations = turn->iteration,
    };
    turn->session->busy = false; // so that the callee may begin the next one, or destroy it
    turn->session = NULL;
    turn->sink->on_end(turn->context, &outcome);
    turn_destroy(turn);
}

/*
 * What the history needs so that the next turn can build on it: every call has its result, and the
 * assistant has the last word, since some models' templates refuse two messages of a user in a row.
 */
static size_t close_history(struct turn *turn)
{
    static const char silence[] = "(no answer)";
    struct chat_history *history = &turn->session->history;
    size_t before = history->count;
    if (turn->call_count) {
        turn_calls_interrupt(turn);
        turn_calls_append_results(turn);
    }
    if (turn->state != TURN_DONE && turn->begun)
        chat_history_append_text(history, CHAT_ASSISTANT,
                                 turn->partial.len ? buf_text(&turn->partial) : silence);
    return history->count - before;
}

void turn_end(struct turn *turn, enum turn_state state)
{
    bool answered = turn->state == TURN_MODEL && state == TURN_DONE;
    turn->state = state;
    chat_provider_cancel(turn->agent->env.provider, turn->model_call);
    turn->model_call = 0;
    size_t new_messages = close_history(turn) + answered;
    if (turn->begun)
        turn_store_end(turn, new_messages, tell_end);
    else
        tell_end(turn);
}

void turn_fail(struct turn *turn)
{
    turn_end(turn, TURN_FAILED);
}

static bool past_a_limit(struct turn *turn)
{
    const struct agent_config *config = turn->agent->env.config;
    int64_t elapsed = clock_monotonic_ms(turn->agent->env.clock) - turn->started_ms;
    if (turn->iteration >= config->max_turns)
        error_set(&turn->error, -ELOOP,
                  "stopped after %d steps without an end; agent.max_turns or "
                  "HERMES_MAX_ITERATIONS allows more",
                  turn->iteration);
    else if (config->turn_limit_ms && elapsed > config->turn_limit_ms)
        error_set(&turn->error, -ETIMEDOUT,
                  "stopped after %" PRId64 " seconds without an end (agent.gateway_timeout)",
                  elapsed / 1000);
    else if (turn->repeats >= TURN_REPEATS_MAX)
        error_set(&turn->error, -ELOOP,
                  "stopped: the model made the same call %d times and got the same result",
                  turn->repeats);
    else
        return false;
    return true;
}

static void on_text(void *context, struct span delta)
{
    struct turn *turn = context;
    buf_append_span(&turn->partial, delta);
    turn->sink->on_text(turn->context, delta);
}

static void add_to(int64_t *sum, int64_t value)
{
    if (value >= 0)
        *sum = (*sum > 0 ? *sum : 0) + value;
}

static void add_usage(struct chat_usage *sum, const struct chat_usage *usage)
{
    add_to(&sum->prompt_tokens, usage->prompt_tokens);
    add_to(&sum->completion_tokens, usage->completion_tokens);
    add_to(&sum->cached_tokens, usage->cached_tokens);
    add_to(&sum->reasoning_tokens, usage->reasoning_tokens);
    add_to(&sum->cost_micros, usage->cost_micros);
}

static void on_reply(void *context, struct chat_reply *reply)
{
    struct turn *turn = context;
    turn->model_call = 0;
    add_usage(&turn->usage, &reply->usage);
    if (reply->finish == CHAT_FINISH_LENGTH)
        snprintf(turn->remark, sizeof turn->remark,
                 "the answer ends here because the model's token limit was reached");
    if (reply->finish == CHAT_FINISH_CONTENT_FILTER)
        snprintf(turn->remark, sizeof turn->remark,
                 "the answer ends here because the provider's content filter stopped it");
    bool wants_tools = reply->message.call_count > 0;
    chat_history_append(&turn->session->history, &reply->message);
    if (wants_tools)
        turn_enter_tools(turn);
    else
        turn_end(turn, TURN_DONE);
}

static void on_failure(void *context, const struct chat_failure *failure)
{
    struct turn *turn = context;
    turn->model_call = 0;
    error_set(&turn->error, -EIO, "%s; %s", failure->text, chat_failure_advice(failure->kind));
    turn_fail(turn);
}

static void ask_model(struct turn *turn)
{
    static const struct chat_sink sink = {on_text, NULL, on_reply, on_failure};
    const struct agent_env *env = &turn->agent->env;
    const struct chat_history *history = &turn->session->history;

    // The system prompt goes before the history without ever being part of it.
    CLEANUP(mem_cleanup)
    struct chat_message *messages = mem_alloc((history->count + 1) * sizeof *messages);
    messages[0] = (struct chat_message){.role = CHAT_SYSTEM, .text = turn->session->prompt};
    if (history->count)
        memcpy(messages + 1, history->messages, history->count * sizeof *messages);
    struct chat_request request = {
        .model = env->model,
        .messages = messages,
        .message_count = history->count + 1,
        .tools = turn->agent->tools,
        .tool_count = turn->agent->tool_count,
        .max_tokens = env->max_tokens,
        .stream = env->stream,
    };
    if (chat_provider_start(env->provider, &request, &sink, turn, &turn->model_call, &turn->error) <
        0)
        turn_fail(turn);
}

static void enter_model(struct turn *turn)
{
    if (past_a_limit(turn)) {
        turn_fail(turn);
        return;
    }
    turn->state = TURN_MODEL;
    turn->iteration++;
    buf_clear(&turn->partial);
    ask_model(turn);
}

static void run_stored_calls(struct turn *turn)
{
    if (turn->cancel_wanted)
        turn_end(turn, TURN_CANCELLED);
    else
        turn_calls_run(turn);
}

void turn_enter_tools(struct turn *turn)
{
    turn->state = TURN_TOOLS;
    buf_clear(&turn->partial);
    turn_calls_prepare(turn);
    turn_store_tools(turn, run_stored_calls);
}

void turn_tools_ended(struct turn *turn)
{
    uint64_t fingerprint = turn_calls_fingerprint(turn);
    turn->repeats = fingerprint == turn->last_fingerprint ? turn->repeats + 1 : 1;
    turn->last_fingerprint = fingerprint;
    turn_calls_append_results(turn);
    turn_store_model(turn, turn->call_count);
    turn_calls_finish(turn);
    enter_model(turn);
}

static void on_begun(struct turn *turn)
{
    if (turn->error.code < 0) {
        turn_fail(turn);
        return;
    }
    turn->begun = true;
    turn->session->stored = true;
    turn->state = TURN_PROMPT;
    chat_history_append_text(&turn->session->history, CHAT_USER, turn->text);
    if (turn->cancel_wanted)
        turn_end(turn, TURN_CANCELLED);
    else
        enter_model(turn);
}

int agent_turn_start(struct agent *agent, struct agent_session *session, struct span text,
                     const struct turn_sink *sink, void *context, turn_id *ret_id,
                     struct error *err)
{
    if (session->busy)
        return error_set(err, -EBUSY, "a turn is running in this conversation already");
    struct turn *turn = mem_new(struct turn);
    turn->agent = agent;
    turn->session = session;
    turn->id = ++agent->last_id;
    random_hex(turn->name, sizeof turn->name);
    turn->sink = sink;
    turn->context = context;
    turn->state = TURN_QUEUED;
    turn->started_ms = clock_monotonic_ms(agent->env.clock);
    turn->text = mem_strndup(text.data, text.len);
    turn->usage = (struct chat_usage)CHAT_USAGE_UNKNOWN;
    buf_init(&turn->partial, CHAT_TEXT_MAX);
    list_append(&agent->turns, &turn->link);
    session->busy = true;

    int r = turn_store_begin(turn, on_begun, err);
    if (r < 0) {
        turn_destroy(turn);
        return r;
    }
    *ret_id = turn->id;
    return 0;
}

void agent_turn_cancel(struct agent *agent, turn_id id)
{
    list_for_each(link, &agent->turns) {
        struct turn *turn = list_entry(link, struct turn, link);
        if (turn->id != id || turn->state >= TURN_DONE)
            continue;
        if (turn->job)
            turn->cancel_wanted = true; // it waits for the disk, which will not take long
        else
            turn_end(turn, TURN_CANCELLED);
        return;
    }
}
