#include "router/route/window.h"

#include <string.h>

// Second numbers count from the clock's zero; second n lives in seconds[n % ROUTER_WINDOW_SECONDS].
static int64_t second_of(int64_t ms)
{
    return ms / ROUTER_WINDOW_SECOND_MS;
}

static void forget(struct router_window *window, int64_t now_ms)
{
    int64_t now = second_of(now_ms);
    if (now >= window->newest + ROUTER_WINDOW_SECONDS) {
        memset(window->seconds, 0, sizeof window->seconds);
        window->sum = 0;
        window->newest = now;
    }
    while (window->newest < now) {
        int64_t *second = &window->seconds[++window->newest % ROUTER_WINDOW_SECONDS];
        window->sum -= *second;
        *second = 0;
    }
}

int64_t router_window_sum(struct router_window *window, int64_t now_ms)
{
    forget(window, now_ms);
    return window->sum;
}

void router_window_add(struct router_window *window, int64_t amount, int64_t now_ms)
{
    forget(window, now_ms);
    int64_t room = INT64_MAX - window->sum;
    amount = amount < room ? amount : room;
    window->seconds[window->newest % ROUTER_WINDOW_SECONDS] += amount;
    window->sum += amount;
}

void router_window_give_back(struct router_window *window, int64_t amount, int64_t at_ms,
                             int64_t now_ms)
{
    forget(window, now_ms);
    int64_t number = second_of(at_ms);
    if (number > window->newest || number <= window->newest - ROUTER_WINDOW_SECONDS)
        return;
    int64_t *second = &window->seconds[number % ROUTER_WINDOW_SECONDS];
    amount = amount < *second ? amount : *second;
    *second -= amount;
    window->sum -= amount;
}

void router_window_correct(struct router_window *window, int64_t amount, int64_t actual,
                           int64_t at_ms, int64_t now_ms)
{
    if (actual >= 0 && actual < amount)
        router_window_give_back(window, amount - actual, at_ms, now_ms);
    else if (actual > amount)
        router_window_add(window, actual - amount, now_ms);
}

int64_t router_window_bound(int64_t limit, int64_t amount)
{
    if (limit < 0)
        return INT64_MAX;
    return amount > limit ? 0 : limit - amount;
}

int64_t router_window_when(struct router_window *window, int64_t bound, int64_t now_ms)
{
    forget(window, now_ms);
    int64_t sum = window->sum, number = window->newest - ROUTER_WINDOW_SECONDS;
    if (sum <= bound)
        return now_ms;
    if (number < -1)
        number = -1; // a minute has not passed since the clock's zero
    while (sum > bound && number < window->newest)
        sum -= window->seconds[++number % ROUTER_WINDOW_SECONDS];
    return (number + ROUTER_WINDOW_SECONDS) * ROUTER_WINDOW_SECOND_MS;
}
