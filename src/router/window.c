#include "router/window.h"

#include <string.h>

// Slot numbers count from the clock's zero; slot n lives in slots[n % ROUTER_WINDOW_SLOTS].
static int64_t slot_of(int64_t ms)
{
    return ms / ROUTER_WINDOW_SLOT_MS;
}

static void forget(struct router_window *window, int64_t now_ms)
{
    int64_t now = slot_of(now_ms);
    if (now >= window->newest + ROUTER_WINDOW_SLOTS) {
        memset(window->slots, 0, sizeof window->slots);
        window->sum = 0;
        window->newest = now;
    }
    while (window->newest < now) {
        int64_t *slot = &window->slots[++window->newest % ROUTER_WINDOW_SLOTS];
        window->sum -= *slot;
        *slot = 0;
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
    window->slots[window->newest % ROUTER_WINDOW_SLOTS] += amount;
    window->sum += amount;
}

void router_window_give_back(struct router_window *window, int64_t amount, int64_t at_ms,
                             int64_t now_ms)
{
    forget(window, now_ms);
    int64_t number = slot_of(at_ms);
    if (number > window->newest || number <= window->newest - ROUTER_WINDOW_SLOTS)
        return;
    int64_t *slot = &window->slots[number % ROUTER_WINDOW_SLOTS];
    amount = amount < *slot ? amount : *slot;
    *slot -= amount;
    window->sum -= amount;
}

int64_t router_window_when(struct router_window *window, int64_t bound, int64_t now_ms)
{
    forget(window, now_ms);
    int64_t sum = window->sum, number = window->newest - ROUTER_WINDOW_SLOTS;
    if (sum <= bound)
        return now_ms;
    if (number < -1)
        number = -1; // a minute has not passed since the clock's zero
    while (sum > bound && number < window->newest)
        sum -= window->slots[++number % ROUTER_WINDOW_SLOTS];
    return (number + ROUTER_WINDOW_SLOTS) * ROUTER_WINDOW_SLOT_MS;
}
