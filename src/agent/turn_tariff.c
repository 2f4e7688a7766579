#include <stdlib.h>

#include "agent/turn.h"
#include "base/mem.h"

enum { REMARKS_MAX = 8192 }; // bytes

/*
 * The owner hears with the answer that somebody else is paid for it now: in the reply that goes
 * out, and written down in the same transaction as that. So he hears it once, also when the program
 * is killed between the two. A turn that says nothing to anybody leaves it to the next one.
 */
void turn_tariff_note(struct turn *turn, struct chat_tariff *tariff)
{
    struct agent *agent = turn->agent;
    enum tariff_news news =
        tariff->asked ? tariffs_note(&agent->tariffs, agent->env.store, tariff) : TARIFF_AS_KNOWN;
    if (news == TARIFF_AS_KNOWN)
        return;
    if (news == TARIFF_CHANGED)
        turn_log_tariff(turn, tariff); // while it is whole
    free(turn->tariff_asked);
    free(turn->tariff_paid);
    turn->tariff_asked = STEAL(tariff->asked);
    turn->tariff_paid = STEAL(tariff->paid);
    if (news == TARIFF_LEARNT)
        return;
    size_t last = TURN_NOTICES_MAX - 1;
    if (turn->notices[last]) {
        free(turn->notices[0]);
        turn->notices[0] = turn->notices[last];
    } else if (!turn->notices[0]) {
        last = 0;
    }
    turn->notices[last] = STEAL(tariff->sentence);
}

char *turn_remarks(const struct turn *turn)
{
    BUF_AUTO out = BUF_INIT(REMARKS_MAX);
    buf_append_text(&out, turn->remark);
    for (size_t i = 0; i < TURN_NOTICES_MAX && turn->notices[i]; i++)
        buf_printf(&out, "%s%s", out.len ? "; " : "", turn->notices[i]);
    return buf_take_text(&out);
}

void turn_tariff_finish(struct turn *turn)
{
    for (size_t i = 0; i < TURN_NOTICES_MAX; i++)
        free(STEAL(turn->notices[i]));
    free(STEAL(turn->tariff_asked));
    free(STEAL(turn->tariff_paid));
}

void turn_tariff_drop(struct turn *turn)
{
    if (turn->tariff_asked)
        tariffs_forget(&turn->agent->tariffs, turn->tariff_asked);
    turn_tariff_finish(turn);
}
