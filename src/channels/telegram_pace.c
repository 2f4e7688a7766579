#include "channels/telegram_pace.h"

#include "base/random.h"
#include "base/wait.h"

const struct telegram_rate telegram_rate_chat = {.interval_ms = 1000, .burst = 3};
// 7 and one every 5 s are 19 in any minute; the twentieth is the one that finishes the answer.
const struct telegram_rate telegram_rate_edit = {.interval_ms = 5000, .burst = 7};
const struct telegram_rate telegram_rate_all = {.interval_ms = 40, .burst = 10};

int64_t telegram_pace_next(const struct telegram_pace *pace, const struct telegram_rate *rate)
{
    return pace->full_ms - (rate->burst - 1) * rate->interval_ms;
}

void telegram_pace_take(struct telegram_pace *pace, const struct telegram_rate *rate,
                        int64_t now_ms)
{
    if (pace->full_ms < now_ms)
        pace->full_ms = now_ms;
    pace->full_ms += rate->interval_ms;
}

int64_t telegram_backoff_ms(int failures, int64_t first_ms, int64_t max_ms)
{
    int64_t wait = first_ms;
    for (int i = 1; i < failures && wait < max_ms; i++)
        wait *= 2;
    return wait_scaled(wait < max_ms ? wait : max_ms);
}

int64_t telegram_backoff_jitter_ms(int failures, int64_t first_ms, int64_t max_ms)
{
    uint16_t chance;
    int64_t wait = telegram_backoff_ms(failures, first_ms, max_ms);
    random_bytes(&chance, sizeof chance);
    return wait + wait * chance / (4 * (int64_t)UINT16_MAX);
}
