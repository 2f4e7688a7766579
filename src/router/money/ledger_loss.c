#include "loop/loop.h"
#include "router/money/ledger_internal.h"
#include "store/journal.h"

/*
 * Records of the journal that are lost: what was spent until that was found is not known.
 *
 * The store keeps when that was, in a file that outlives this process, and budgets of that time
 * stay closed until their periods end. A board without a battery may find a loss before its clock
 * is set: such a date closes no period that anybody lives in, or with each start another one. So it
 * is dated once more, as soon as the clock is set.
 */

enum {
    CLOCK_WAIT_MS = 1000,
    DAY_MS = 24 * 60 * 60 * 1000,
};

static bool is_set(int64_t wall_ms)
{
    return wall_ms / DAY_MS >= LEDGER_SANE_DAY;
}

static void tell(struct router_ledger *ledger, int64_t wall_ms)
{
    char when[CLOCK_TEXT_SIZE];
    ledger_report(ledger, LEDGER_TROUBLE,
                  "records of its journal were overwritten or removed (found at %s): what was "
                  "spent by then is not known, so the budgets of that time are closed until their "
                  "periods end. To open them with what is known, remove %.300s/" JOURNAL_LOST
                  ".* and start again",
                  clock_format_utc(wall_ms, when), ledger->options.home);
}

// True while a period of that time lasts.
static bool close_budgets(struct router_ledger *ledger, int64_t wall_ms)
{
    return ledger->options.on_lost(ledger->options.context, wall_ms);
}

static void on_clock_timer(void *context);

// True: they are dated. Else the clock is not set, and they will be.
static bool date_losses(struct router_ledger *ledger)
{
    int64_t now_ms = loop_wall(ledger->options.loop);
    if (is_set(now_ms))
        journal_date_losses(ledger->options.home, (int64_t)LEDGER_SANE_DAY * DAY_MS, now_ms);
    else if (!ledger->clock_timer)
        ledger->clock_timer =
            loop_timer_after(ledger->options.loop, CLOCK_WAIT_MS, on_clock_timer, ledger);
    return is_set(now_ms);
}

static void on_clock_timer(void *context)
{
    struct router_ledger *ledger = context;
    ledger->clock_timer = 0;
    if (date_losses(ledger))
        close_budgets(ledger, loop_wall(ledger->options.loop));
}

void ledger_tell_losses(struct router_ledger *ledger)
{
    char when[CLOCK_TEXT_SIZE];
    int64_t lost_ms = journal_last_loss(ledger->options.home);
    if (lost_ms < 0)
        return;
    lost_ms = date_losses(ledger) ? journal_last_loss(ledger->options.home)
                                  : loop_wall(ledger->options.loop);
    if (close_budgets(ledger, lost_ms) || ledger->told_loss)
        tell(ledger, lost_ms);
    else
        ledger_report(ledger, LEDGER_FOUND,
                      "records of its journal were lost (found at %s). No period of that time "
                      "lasts any more, so this closes no budget; remove %.300s/" JOURNAL_LOST ".*",
                      clock_format_utc(lost_ms, when), ledger->options.home);
}

void ledger_take_loss(struct router_ledger *ledger, uint64_t generation)
{
    int64_t now_ms = loop_wall(ledger->options.loop);
    bool is_new = generation != ledger->told_loss;
    size_t count;
    const uint64_t *generations = journal_generations(ledger->journal, &count);
    ledger->told_loss = generation;
    if (ledger->phase != LEDGER_READY) // then it is told with those of earlier processes
        return;
    if (is_new)
        tell(ledger, now_ms);
    close_budgets(ledger, now_ms);
    if (!is_set(now_ms))
        date_losses(ledger);
    ledger->is_spoilt |= generation == generations[count - 1];
    ledger_rotate(ledger, NULL);
}
