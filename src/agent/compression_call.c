#include "agent/compression_call.h"

#include <errno.h>

#include "agent/turn.h"
#include "base/mem.h"
#include "base/random.h"
#include "tools/toolbox.h"

enum {
    SUMMARY_TOKENS_MAX = 4096,
    SHOWN_MAX = 1024 * 1024, // bytes of what is summed up
    OVERHEAD_MAX = 64 * 1024,
};

int compression_call(struct agent *agent, const struct compression_request *request,
                     side_done_fn *done, void *context, struct side_call **ret_call,
                     struct error *err)
{
    const struct agent_env *env = &agent->env;
    // Half of the context of the model that sums up, and not in tokens of three bytes but of two.
    int64_t most = compression_limits_of(env, NULL, "compression").most;
    size_t room = most < SHOWN_MAX ? (size_t)most : SHOWN_MAX;
    char fence[17];
    random_hex(fence, sizeof fence);
    BUF_AUTO shown = BUF_INIT(SHOWN_MAX + OVERHEAD_MAX + room);
    BUF_AUTO masked = BUF_INIT(2 * (SHOWN_MAX + OVERHEAD_MAX));
    if (!compression_write(&request->session->history, request->cut, fence, room, &shown) ||
        !toolbox_mask(env->toolbox, buf_span(&shown), &masked))
        return error_set(err, -E2BIG, "it is too long to be summed up");
    CLEANUP(mem_cleanup) char *orders = compression_orders(fence, request->focus);
    const struct side_request asked = {
        .origin = {.slot = "compression",
                   .session = request->session->id,
                   .work = request->work,
                   .priority = request->priority},
        .orders = orders,
        .text = buf_text(&masked),
        .max_tokens = SUMMARY_TOKENS_MAX,
        .limit_ms = env->config->compression_ms,
    };
    return side_call_start(agent, &asked, done, context, ret_call, err);
}

char *compression_summary(const struct chat_history *history, size_t cut,
                          const struct chat_reply *reply, const char **trouble)
{
    struct span said = span_trim(span_of(reply->message.text ? reply->message.text : ""));
    *trouble = said.len == 0 ? "the summary is empty"
               : said.len >= compression_bytes(history, 0, cut)
                   ? "the summary is longer than what it sums up"
                   : NULL;
    // Its end may be what matters most; the model that goes on is to know that it is missing.
    bool cut_off = reply->finish == CHAT_FINISH_LENGTH;
    return *trouble ? NULL
                    : mem_printf("%.*s%s", (int)said.len, said.data,
                                 cut_off ? " … [cut off here; session_search finds the rest]" : "");
}
