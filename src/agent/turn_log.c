#include "agent/turn_log.h"

#include <string.h>

#include "agent/turn_taint.h"
#include "agent/turn_wait.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "codec/money.h"

static int64_t since(const struct turn *turn, int64_t then_ms)
{
    return clock_monotonic_ms(turn->agent->env.clock) - then_ms;
}

static const char *state_name(enum turn_state state)
{
    return state == TURN_DONE ? "done" : state == TURN_FAILED ? "failed" : "cancelled";
}

static void count(const struct turn *turn, const char *name, const char *labels, const char *help,
                  int64_t by)
{
    if (by > 0)
        *metrics_counter(turn->agent->env.metrics, name, labels, help) += by;
}

// `message` is the number under which "message.in" tells of what triggered it.
void turn_log_begin(const struct turn *turn, const struct turn_request *request)
{
    LOG_EVENT(LOG_INFO, "turn.begin", turn->name, LOG_TEXT("source", turn->terms.origin),
              LOG_TEXT("chat", turn->session->chat), LOG_TEXT("session", turn->session->id),
              LOG_COUNT("message", request->inbox_count ? request->inbox[0] : -1),
              LOG_TEXT("model", turn_model(turn)),
              LOG_NUMBER("text_bytes", (int64_t)request->text.len));
}

// As the field was named when logs began to be read by machines; -1: not known.
static int64_t micro_usd(const struct chat_usage *usage)
{
    return usage->cost_pico < 0 ? -1 : usage->cost_pico / (MONEY_DOLLAR / 1000000);
}

void turn_log_reply(const struct turn *turn, const struct chat_reply *reply)
{
    LOG_EVENT(LOG_INFO, "turn.model", turn->name, LOG_NUMBER("iteration", turn->iteration),
              LOG_TEXT("model", reply->model ? reply->model : turn_model(turn)),
              LOG_NUMBER("ms", since(turn, turn->asked_ms)),
              LOG_NUMBER("calls", (int64_t)reply->message.call_count),
              LOG_COUNT("prompt_tokens", reply->usage.prompt_tokens),
              LOG_COUNT("cached_tokens", reply->usage.cached_tokens),
              LOG_COUNT("completion_tokens", reply->usage.completion_tokens),
              LOG_COUNT("cache_write_tokens", reply->usage.cache_write_tokens),
              LOG_COUNT("cost_micro_usd", micro_usd(&reply->usage)));
    count(turn, "hermes_tokens_total", "kind=\"prompt\"", "Tokens as counted by the providers",
          reply->usage.prompt_tokens);
    count(turn, "hermes_tokens_total", "kind=\"completion\"", "Tokens as counted by the providers",
          reply->usage.completion_tokens);
    count(turn, "hermes_model_calls_total", "result=\"ok\"", "Calls to models", 1);
}

void turn_log_compressed(const struct turn *turn, int64_t tokens, int64_t after, size_t messages,
                         const char *trouble)
{
    LOG_EVENT(*trouble ? LOG_WARNING : LOG_INFO, "turn.compressed", turn->name,
              LOG_NUMBER("iteration", turn->iteration), LOG_NUMBER("tokens", tokens),
              LOG_NUMBER("tokens_after", after), LOG_NUMBER("messages", (int64_t)messages),
              LOG_NUMBER("messages_after", (int64_t)turn->session->history.count),
              LOG_TEXT("error", trouble));
    count(turn, "hermes_compressions_total", "", "Conversations that were made to fit a model", 1);
}

void turn_log_failure(const struct turn *turn, const struct chat_failure *failure)
{
    LOG_EVENT(LOG_WARNING, "turn.model", turn->name, LOG_NUMBER("iteration", turn->iteration),
              LOG_TEXT("model", turn_model(turn)), LOG_NUMBER("ms", since(turn, turn->asked_ms)),
              LOG_NUMBER("status", failure->status), LOG_TEXT("error", failure->text));
    count(turn, "hermes_model_calls_total", "result=\"failed\"", "Calls to models", 1);
}

// The event is named as when notices were of prices alone.
void turn_log_notice(const struct turn *turn, const char *notice)
{
    LOG_EVENT(LOG_WARNING, "turn.price_notice", turn->name,
              LOG_NUMBER("iteration", turn->iteration), LOG_TEXT("model", turn_model(turn)),
              LOG_TEXT("text", notice));
}

void turn_log_taint(const struct turn_call *call)
{
    char why[TURN_TAINT_MAX];
    if (!turn_taint(call->turn, why))
        LOG_EVENT(LOG_INFO, "turn.tainted", call->turn->name,
                  LOG_TEXT("by", turn_asking_message(call->turn)->calls[call->ordinal].name),
                  LOG_NUMBER("call", (int64_t)call->ordinal));
}

void turn_log_verdict(const struct turn_call *call, const struct chat_reply *reply,
                      const char *trouble)
{
    const struct turn *turn = call->turn;
    static const struct chat_usage unknown = CHAT_USAGE_UNKNOWN;
    const struct chat_usage *usage = reply ? &reply->usage : &unknown;
    struct turn_call_id id;
    turn_call_identify(turn, call->ordinal, &id);
    LOG_EVENT(*trouble ? LOG_WARNING : LOG_INFO, "turn.consulted", turn->name,
              LOG_TEXT("name", turn_asking_message(turn)->calls[call->ordinal].name),
              LOG_NUMBER("call", (int64_t)call->ordinal), LOG_TEXT("hash", id.hash),
              LOG_TEXT("verdict", call->allowed ? "allowed" : "asks"),
              LOG_TEXT("model", reply && reply->model ? reply->model : ""),
              LOG_NUMBER("ms", since(turn, turn->asked_ms)),
              LOG_COUNT("prompt_tokens", usage->prompt_tokens),
              LOG_COUNT("completion_tokens", usage->completion_tokens),
              LOG_COUNT("cost_micro_usd", micro_usd(usage)), LOG_DETAIL("error", trouble));
    count(turn, "hermes_tokens_total", "kind=\"prompt\"", "Tokens as counted by the providers",
          usage->prompt_tokens);
    count(turn, "hermes_tokens_total", "kind=\"completion\"", "Tokens as counted by the providers",
          usage->completion_tokens);
    count(turn, "hermes_model_calls_total", reply ? "result=\"ok\"" : "result=\"failed\"",
          "Calls to models", 1);
}

void turn_log_judgement(const struct turn_call *call, const char *tool)
{
    static const char *const words[] = {[APPROVAL_RUNS] = "runs",
                                        [APPROVAL_CONSULTS] = "consults",
                                        [APPROVAL_ASKS] = "asks",
                                        [APPROVAL_REFUSES] = "refused"};
    LOG_EVENT(LOG_INFO, "turn.approval", call->turn->name, LOG_TEXT("name", tool),
              LOG_NUMBER("call", (int64_t)call->ordinal),
              LOG_TEXT("decision", words[call->judgement.decision]),
              LOG_TEXT("why", call->judgement.why));
}

void turn_log_call(const struct turn_call *call, int64_t ms)
{
    const struct turn *turn = call->turn;
    LOG_EVENT(LOG_INFO, "turn.tool", turn->name,
              LOG_TEXT("name", turn_asking_message(turn)->calls[call->ordinal].name),
              LOG_NUMBER("ms", ms), LOG_NUMBER("failed", call->failed),
              LOG_NUMBER("bytes", (int64_t)strlen(call->result)));
    count(turn, "hermes_tool_calls_total", call->failed ? "result=\"failed\"" : "result=\"ok\"",
          "Finished tool calls", 1);
}

void turn_log_end(const struct turn *turn)
{
    bool failed = turn->state == TURN_FAILED;
    LOG_EVENT(failed ? LOG_WARNING : LOG_INFO, "turn.end", turn->name,
              LOG_TEXT("state", state_name(turn->state)), LOG_NUMBER("iterations", turn->iteration),
              LOG_NUMBER("ms", since(turn, turn->started_ms)),
              LOG_NUMBER("answer_bytes", (int64_t)strlen(turn_answer(turn))),
              LOG_COUNT("prompt_tokens", turn->usage.prompt_tokens),
              LOG_COUNT("completion_tokens", turn->usage.completion_tokens),
              LOG_COUNT("cost_micro_usd", micro_usd(&turn->usage)),
              LOG_DETAIL("error", turn->error.text));
    static const char *const labels[] = {
        [TURN_DONE] = "state=\"done\"",
        [TURN_FAILED] = "state=\"failed\"",
        [TURN_CANCELLED] = "state=\"cancelled\"",
    };
    count(turn, "hermes_turns_total", labels[turn->state], "Finished turns", 1);
}

void turn_take_failure(struct turn *turn, const struct chat_failure *failure)
{
    model_health_failed(&turn->agent->health, turn_model(turn), failure,
                        clock_wall_ms(turn->agent->env.clock));
    turn_log_failure(turn, failure);
    error_set(&turn->error, chat_failure_code(failure), "%s; %s", failure->text,
              chat_failure_advice(failure));
}
