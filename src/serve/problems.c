#include "serve/problems.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "agent/model_health.h"
#include "channels/telegram.h"
#include "codec/document.h"
#include "codec/money.h"
#include "router/router.h"
#include "serve/control.h"
#include "serve/describe.h"
#include "store/outbox.h"
#include "store/store.h"

/*
 * Whether a person is wanted decides the exit status of `hermes status`, and so whether somebody is
 * called. What heals by itself (a network that is away, a provider that is busy) wants nobody at
 * first, and somebody when it lasts; what was refused for good wants somebody at once.
 */
enum {
    TEXT_MAX = 1024,       // bytes of a sentence
    LASTS_MS = 10 * 60000, // what has not healed by then will hardly do so by itself
    FAILURES_MAX = 3,      // calls to a model in a row; the same
    BUDGETS_TOLD = 3,
    DISK_LEFT_MIN = 4 << 20, // bytes; with less, SQLite may fail at any moment
};

static const char disk_todo[] = "free some space on that disk or volume, or enlarge it; Hermes "
                                "continues by itself";

struct problems {
    struct node list;
    bool wanted; // some problem wants a person
};

static void add(struct problems *problems, const char *what, bool needs_attention, const char *todo,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void add(struct problems *problems, const char *what, bool needs_attention, const char *todo,
                const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    problems->wanted |= needs_attention;
    struct node problem = node_add_object(problems->list, NULL);
    node_add_text(problem, "what", what);
    node_add_bool(problem, "needs_attention", needs_attention);
    node_add_text(problem, "text", text);
    node_add_text(problem, "todo", todo);
}

// True when messages or answers cannot be written down: then others fail only for that reason.
static bool add_store(struct problems *problems, const struct control_env *env)
{
    const char *trouble = store_trouble(env->store);
    // Bytes; what is not known is plenty.
    struct statvfs fs;
    uint64_t left = statvfs(env->home, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : UINT64_MAX;
    bool full = left < DISK_LEFT_MIN;
    if (store_state(env->store) == STORE_FAILED)
        add(problems, "database", true,
            full ? disk_todo
                 : "fix that (hermes doctor checks the home and its disk); Hermes tries again "
                   "every few seconds, and at the next start",
            "no messages can be stored: %s", store_describe(env->store));
    else if (*trouble)
        add(problems, full ? "disk" : "database", true,
            full ? disk_todo : "fix that (hermes doctor checks the home and its disk)",
            "nothing can be stored: %s", trouble);
    else if (full)
        add(problems, "disk", true, disk_todo, "only %" PRIu64 " KiB are left for %s", left >> 10,
            env->home);
    else
        return false;
    return true;
}

static void add_telegram(struct problems *problems, const struct telegram *telegram, bool blocked)
{
    struct telegram_status status;
    telegram_status(telegram, &status);
    if (strcmp(status.state, "unauthorized") == 0)
        add(problems, "telegram", true,
            "get the token from @BotFather (/mybots, API Token), set TELEGRAM_BOT_TOKEN to it (in "
            "the environment, a file in HERMES_SECRETS_DIR, the Secret of the pod), and restart "
            "Hermes",
            "%s", status.detail);
    else if (strcmp(status.state, "conflict") == 0)
        add(problems, "telegram", true,
            "stop the other program; if you cannot find it, revoke the token at @BotFather and set "
            "the new one",
            "%s", status.detail);
    else if (strcmp(status.state, "waiting") == 0 && !blocked)
        add(problems, "telegram", status.failing_ms >= LASTS_MS,
            "check the network and name resolution from here (hermes doctor); Hermes keeps trying",
            "not receiving messages: %s", status.detail);
}

// Failures that the next call will meet as well.
static bool is_lasting(enum chat_failure_kind kind)
{
    return kind == CHAT_UNREACHABLE || kind == CHAT_UNAUTHORIZED || kind == CHAT_PAYMENT ||
           kind == CHAT_NOT_FOUND || kind == CHAT_REJECTED || kind == CHAT_MALFORMED ||
           kind == CHAT_BUDGET;
}

// What one costs more than it can have cost, the others may; so somebody has to look at the prices.
// Without an overshoot it is closed because sums were lost.
static void add_budgets(struct problems *problems, const struct control_env *env)
{
    struct router_budget_state state;
    char over[MONEY_TEXT_SIZE], cap[MONEY_TEXT_SIZE], when[ROUTER_BUDGET_WHEN_SIZE];
    size_t count = 0;
    for (size_t cursor = 0; router_next_budget(env->router, &cursor, &state);) {
        if (!state.closed || count++ >= BUDGETS_TOLD)
            continue;
        money_format(state.cap_pico, cap);
        router_budget_when(state.next_reset_wall_ms, when);
        if (state.overshoot_pico == 0)
            add(problems, "budget", true,
                "find out what overwrote or removed files of the home; remove ledger.lost.* there "
                "and start again to go on with what is known, or wait for the reset",
                "the budget %s is closed: records of the ledger's journal are lost, so what is "
                "left is not known (cap %s; it %s)",
                state.account, cap, when);
        else
            add(problems, "budget", true,
                "find the call with hermes cost, and check the prices of its model; raise the "
                "budget's cap to open it again, or wait for its reset",
                "the budget %s is closed: a call cost %s more than its upper bound (cap %s; it %s)",
                state.account, money_format(state.overshoot_pico, over), cap, when);
    }
}

static void add_replies(struct problems *problems, struct store *store, int64_t now_ms)
{
    struct store_outbox_summary summary;
    if (store_read_outbox_summary(store, SPAN_LITERAL("telegram"), &summary, NULL) != 0)
        return;
    int64_t waited_ms = summary.waiting ? now_ms - summary.oldest_ms : 0;
    if (waited_ms >= LASTS_MS)
        add(problems, "replies", true,
            "see the problem with Telegram; hermes log --errors shows why each was refused",
            "%" PRId64 " repl%s cannot be delivered, the oldest for %" PRId64 " min",
            summary.waiting, summary.waiting == 1 ? "y" : "ies", waited_ms / 60000);
}

void problems_write(struct node status, const struct control_env *env, int64_t now_ms)
{
    struct problems problems = {.list = node_add_array(status, "problems")};
    const struct telegram *telegram = env->telegram ? *env->telegram : NULL;
    bool blocked = add_store(&problems, env);
    if (telegram)
        add_telegram(&problems, telegram, blocked);
    if (env->agent) {
        const struct model_health *health = agent_model_health(env->agent);
        if (health->failures)
            add(&problems, "upstream",
                is_lasting(health->failure.kind) || health->failures >= FAILURES_MAX,
                chat_failure_advice(&health->failure), "the model %s does not answer: %s",
                health->failed_model, health->failure.text);
    }
    if (env->router)
        add_budgets(&problems, env);
    add_replies(&problems, env->store, now_ms);
    node_add_bool(status, "well",
                  env->dispatcher && !problems.wanted && describe_ready(env->store));
}
