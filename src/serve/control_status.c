#include <unistd.h>

#include "agent/dispatcher.h"
#include "base/process_metrics.h"
#include "codec/document.h"
#include "codec/money.h"
#include "loop/loop.h"
#include "serve/control.h"
#include "serve/describe.h"
#include "serve/problems.h"
#include "store/turn_read.h"

static void write_turns(struct node status, const struct control_env *env)
{
    struct store_turn_sums sums;
    int r = store_read_turn_sums(store_view(env->store), SPAN_LITERAL(""), &sums, NULL);
    if (r != 0) { // not readable yet
        node_add_null(status, "turns");
        return;
    }
    struct node turns = node_add_object(status, "turns");
    node_add_int(turns, "all", sums.turns);
    node_add_int(turns, "done", sums.done);
    node_add_int(turns, "failed", sums.failed);
    node_add_int(turns, "cancelled", sums.cancelled);
    node_add_int(turns, "open", sums.open);
    node_add_int(turns, "input_tokens", sums.usage.input_tokens);
    node_add_int(turns, "cached_tokens", sums.usage.cached_tokens);
    node_add_int(turns, "output_tokens", sums.usage.output_tokens);
    node_add_fixed(turns, "cost_usd", sums.usage.cost_pico, MONEY_DIGITS);
}

void control_write_status(const struct control_env *env, struct buf *out)
{
    int64_t now_ms = loop_wall(env->loop);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(CONTROL_ANSWER_MAX);
    struct node status = document_object(&doc);
    node_add_bool(status, "running", env->dispatcher != NULL); // else only the database is told of
    node_add_text(status, "version", env->version);
    node_add_int(status, "pid", getpid());
    node_add_text(status, "home", env->home);
    node_add_int(status, "started_ms", env->started_ms);
    node_add_int(status, "uptime_s", (loop_now(env->loop) - env->up_since_ms) / 1000);
    describe_upstream(status, env->endpoint, env->agent);
    node_add_bool(status, "ready", describe_ready(env->store));
    describe_store(status, env->store);
    describe_disk(status, env->home);
    describe_telegram(status, env->telegram ? *env->telegram : NULL);
    describe_outbox(status, env->store, now_ms);
    node_add_int(status, "running_turns", env->dispatcher ? dispatcher_turns(env->dispatcher) : 0);
    write_turns(status, env);
    node_add_int(status, "rss_bytes", process_resident_bytes());
    problems_write(status, env, now_ms);
    document_print(&doc, out, NULL);
    buf_append_char(out, '\n');
}
