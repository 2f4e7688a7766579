#pragma once

#include <stdint.h>

/*
 * How fast: Telegram bears about one message a second in a chat and 30 altogether, of edits in one
 * chat some twenty a minute, and says 429 to who sends more. A pace is a sustained rate with a
 * small burst, kept as one instant: when all of the burst is to be had again (the generic cell rate
 * algorithm). Times are monotonic milliseconds.
 */
struct telegram_pace {
    int64_t full_ms; // 0 to begin with
};

struct telegram_rate {
    int64_t interval_ms; // of one message in the long run
    int burst;           // messages that may go at once
};

extern const struct telegram_rate telegram_rate_chat, telegram_rate_edit, telegram_rate_all;

// The earliest instant at which one more may go; not after `now_ms`: at once.
int64_t telegram_pace_next(const struct telegram_pace *pace, const struct telegram_rate *rate);
void telegram_pace_take(struct telegram_pace *pace, const struct telegram_rate *rate,
                        int64_t now_ms);

// `first_ms` doubled for each failure after the first, at most `max_ms`. `failures` from 1.
int64_t telegram_backoff_ms(int failures, int64_t first_ms, int64_t max_ms);

// The same, with up to a quarter more by chance, so that many do not come back at once.
int64_t telegram_backoff_jitter_ms(int failures, int64_t first_ms, int64_t max_ms);

static inline int64_t telegram_later(int64_t a, int64_t b) // of two instants
{
    return a > b ? a : b;
}
