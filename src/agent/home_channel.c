#include "agent/home_channel.h"

#include "agent/commands.h"
#include "base/mem.h"
#include "store/key_value.h"

static char *key_of(struct span channel)
{
    return mem_printf("home channel of %.*s", (int)channel.len, channel.data);
}

int home_channel_read(struct store *store, struct span channel, struct buf *out, struct error *err)
{
    CLEANUP(mem_cleanup) char *key = key_of(channel);
    return store_read_key_value(store, span_of(key), out, err);
}

int command_sethome(const struct conversation *conversation, struct span rest,
                    struct command_effect *effect, struct error *err)
{
    (void)rest, (void)err;
    if (!conversation->via) {
        buf_append_text(&effect->reply,
                        "Nothing can be delivered here; say it to the bot on Telegram.");
        return 0;
    }
    effect->fact = key_of(span_of(conversation->channel));
    effect->fact_text = mem_printf("%s\n%s", conversation->chat, conversation->thread);
    effect->settlement.fact = span_of(effect->fact);
    effect->settlement.fact_text = span_of(effect->fact_text);
    effect->changes = true;
    buf_append_text(&effect->reply, "From now on, what is for no chat in particular comes here.");
    return 0;
}
