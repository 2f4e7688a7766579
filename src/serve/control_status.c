#include <unistd.h>

#include "agent/desk.h"
#include "base/process_metrics.h"
#include "codec/json_write.h"
#include "loop/loop.h"
#include "serve/control.h"
#include "serve/describe.h"
#include "serve/problems.h"
#include "store/turn.h"

static void write_turns(struct json_writer *w, const struct control_env *env)
{
    struct store_turn_sums sums;
    int r = store_read_turn_sums(env->store, SPAN_LITERAL(""), &sums, NULL);
    json_write_key(w, "turns");
    if (r != 0) { // not readable yet
        json_write_null(w);
        return;
    }
    json_write_object_begin(w);
    json_write_member_int(w, "all", sums.turns);
    json_write_member_int(w, "done", sums.done);
    json_write_member_int(w, "failed", sums.failed);
    json_write_member_int(w, "cancelled", sums.cancelled);
    json_write_member_int(w, "open", sums.open);
    json_write_member_int(w, "input_tokens", sums.usage.input_tokens);
    json_write_member_int(w, "cached_tokens", sums.usage.cached_tokens);
    json_write_member_int(w, "output_tokens", sums.usage.output_tokens);
    json_write_key(w, "cost_usd");
    json_write_fixed(w, sums.usage.cost_micro_usd, 6);
    json_write_object_end(w);
}

void control_write_status(const struct control_env *env, struct buf *out)
{
    int64_t now_ms = loop_wall(env->loop);
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_bool(&w, "running", env->desk != NULL); // else only the database is told of
    json_write_member_text(&w, "version", env->version);
    json_write_member_int(&w, "pid", getpid());
    json_write_member_text(&w, "home", env->home);
    json_write_member_int(&w, "started_ms", env->started_ms);
    json_write_member_int(&w, "uptime_s", (loop_now(env->loop) - env->up_since_ms) / 1000);
    describe_upstream(&w, env->endpoint, env->agent);
    json_write_member_bool(&w, "ready", describe_ready(env->store));
    describe_store(&w, env->store);
    describe_disk(&w, env->home);
    describe_telegram(&w, env->telegram ? *env->telegram : NULL);
    describe_outbox(&w, env->store, now_ms);
    json_write_member_int(&w, "running_turns", env->desk ? desk_turns(env->desk) : 0);
    write_turns(&w, env);
    json_write_member_int(&w, "rss_bytes", process_resident_bytes());
    problems_write(&w, env, now_ms);
    json_write_object_end(&w);
    buf_append_char(out, '\n');
}
