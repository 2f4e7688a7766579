#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/dispatcher.h"
#include "agent/model_health.h"
#include "agent/tainted.h"
#include "base/mem.h"
#include "base/process_metrics.h"
#include "channels/telegram.h"
#include "codec/money.h"
#include "mcp/servers.h"
#include "router/router.h"
#include "scheduler/scheduler.h"
#include "serve/control_internal.h"
#include "serve/describe.h"
#include "store/approval.h"
#include "store/outbox.h"
#include "store/turn_read.h"

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

__attribute__((format(printf, 5, 6))) static void add(struct problems *problems, const char *what,
                                                      bool needs_attention, const char *todo,
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

static void add_upstream(struct problems *problems, const struct model_health *health)
{
    enum chat_failure_kind kind = health->failure.kind;
    // The next call will meet it as well.
    bool lasts = kind == CHAT_UNREACHABLE || kind == CHAT_UNAUTHORIZED || kind == CHAT_PAYMENT ||
                 kind == CHAT_NOT_FOUND || kind == CHAT_REJECTED || kind == CHAT_MALFORMED ||
                 kind == CHAT_BUDGET;
    if (health->failures)
        add(problems, "upstream", lasts || health->failures >= FAILURES_MAX,
            chat_failure_advice(&health->failure), "the model %s does not answer: %s",
            health->failed_model, health->failure.text);
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

// One that has just gone is being connected already, and nothing else is the worse for it.
static void add_mcp(struct problems *problems, const struct mcp_servers *servers)
{
    struct mcp_server_status status;
    for (size_t i = 0; mcp_servers_at(servers, i, &status); i++) {
        if (status.failing_ms >= LASTS_MS)
            add(problems, "mcp", true,
                "see hermes mcp test, and docs/mcp.md for its sentence; Hermes keeps trying",
                "the MCP server %s cannot be connected for %" PRId64 " min: %s", status.name,
                status.failing_ms / 60000, status.error);
        if (status.changed)
            add(problems, "mcp", true,
                "read them with hermes mcp tools, then take them with hermes mcp accept",
                "%zu tools of the MCP server %s say something else of themselves than before, and "
                "are not offered until you accept that",
                status.changed, status.name);
    }
}

// A job that failed once may do better the next time.
static void add_cron(struct problems *problems, const struct scheduler *scheduler)
{
    struct scheduler_status status;
    scheduler_status(scheduler, &status);
    if (status.trouble)
        add(problems, "cron", true, "mend the file; Hermes reads it again by itself", "%s",
            status.trouble);
    else if (status.failing > 1)
        add(problems, "cron", status.streak != 1,
            "see hermes cron history; hermes cron run tries them",
            "%" PRId64 " jobs fail, of which the worst is %s: %s", status.failing, status.name,
            status.error);
    else if (status.name)
        add(problems, "cron", status.streak != 1,
            "see hermes cron history; hermes cron run tries it", "the job %s fails: %s",
            status.name, status.error);
}

/*
 * What is wrong, in the words of whoever has to mend it. Adds two members to the status:
 *
 *     "problems": [{"what": "telegram", "needs_attention": true, "text": sentence,
 *                   "todo": sentence}]
 *     "well": true    when Hermes runs, takes messages, and no problem needs attention
 *
 * `what` is "database", "disk", "telegram", "upstream", "replies", "cron" or "mcp". One that does
 * not need attention ends by itself.
 */
static void write_problems(struct node status, const struct control_env *env, int64_t now_ms)
{
    struct problems problems = {.list = node_add_array(status, "problems")};
    const struct telegram *telegram = env->telegram ? *env->telegram : NULL;
    bool blocked = add_store(&problems, env);
    if (telegram)
        add_telegram(&problems, telegram, blocked);
    if (env->agent)
        add_upstream(&problems, agent_model_health(env->agent));
    if (env->router)
        add_budgets(&problems, env);
    add_replies(&problems, env->store, now_ms);
    if (env->scheduler)
        add_cron(&problems, env->scheduler);
    if (env->mcp_servers)
        add_mcp(&problems, env->mcp_servers);
    node_add_bool(status, "well",
                  env->dispatcher && !problems.wanted && describe_ready(env->store));
}

static void write_turns(struct node status, const struct store_turn_sums *sums)
{
    if (!sums) {
        node_add_null(status, "turns");
        return;
    }
    struct node turns = node_add_object(status, "turns");
    node_add_int(turns, "all", sums->turns);
    node_add_int(turns, "done", sums->done);
    node_add_int(turns, "failed", sums->failed);
    node_add_int(turns, "cancelled", sums->cancelled);
    node_add_int(turns, "open", sums->open);
    node_add_int(turns, "input_tokens", sums->usage.input_tokens);
    node_add_int(turns, "cached_tokens", sums->usage.cached_tokens);
    node_add_int(turns, "output_tokens", sums->usage.output_tokens);
    node_add_fixed(turns, "cost_usd", sums->usage.cost_pico, MONEY_DIGITS);
}

static bool on_question(void *context, const struct store_approval *row)
{
    struct node question = node_add_object(*(struct node *)context, NULL);
    node_add_string(question, "code", row->code);
    node_add_string(question, "tool", row->name);
    node_add_string(question, "why", row->why);
    node_add_string(question, "session", row->session);
    node_add_int(question, "expires_ms", row->expires_ms);
    return true;
}

// What somebody has to approve, in all conversations.
static void write_questions(struct node status, struct store *store)
{
    struct node questions = node_add_array(status, "questions");
    store_read_all_questions(store_view(store), on_question, &questions, NULL);
}

// As /status names its own.
static void write_tainted(struct node status, const struct tainted_conversations *tainted)
{
    struct node list = node_add_array(status, "tainted");
    for (size_t i = 0; i < tainted->count; i++) {
        const struct tainted_conversation *one = &tainted->all[i];
        struct node conversation = node_add_object(list, NULL);
        node_add_text(conversation, "session", one->id);
        node_add_text(conversation, "channel", one->channel);
        node_add_text(conversation, "title", one->title);
        node_add_text(conversation, "why", one->why);
        node_add_int(conversation, "since_ms", one->since_ms);
    }
}

struct summing { // the store's thread's, until it is released
    struct control_question *question;
    struct store_turn_sums sums;
    struct tainted_conversations tainted;
};

// Without sums the store could not be asked, or not in time.
static void write_status(const struct control_env *env, const struct summing *summing,
                         struct buf *out)
{
    int64_t now_ms = loop_wall(env->loop);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(CONTROL_ANSWER_MAX);
    struct node status = document_object(&doc);
    node_add_bool(status, "running", env->dispatcher != NULL); // else only the database is told of
    node_add_text(status, "version", HERMES_VERSION);
    node_add_int(status, "pid", getpid());
    node_add_text(status, "home", env->home);
    node_add_int(status, "started_ms", env->started_ms);
    node_add_int(status, "uptime_s", (loop_now(env->loop) - env->up_since_ms) / 1000);
    describe_upstream(status, env->endpoint, env->agent);
    node_add_bool(status, "ready", describe_ready(env->store));
    describe_store(status, env->store);
    describe_disk(status, env->home);
    describe_telegram(status, env->telegram ? *env->telegram : NULL, true);
    describe_outbox(status, env->store, now_ms);
    node_add_int(status, "running_turns", env->dispatcher ? dispatcher_turns(env->dispatcher) : 0);
    write_turns(status, summing ? &summing->sums : NULL);
    write_questions(status, env->store);
    if (summing)
        write_tainted(status, &summing->tainted);
    else
        node_add_null(status, "tainted");
    control_add_mcp(status, env);
    control_add_cron(status, env);
    node_add_int(status, "rss_bytes", process_resident_bytes());
    write_problems(status, env, now_ms);
    control_print(&doc, out);
}

/*
 * The sums are of all turns that there ever were, so the store's thread adds them up. Where that
 * thread is stuck with its disk, the status is wanted most, and comes without them.
 */
enum { SUMS_WAIT_MS = 2000 };

static int sum_up(void *context, struct store_view *view, struct error *err)
{
    struct summing *summing = context;
    int r = store_read_turn_sums(view, SPAN_LITERAL(""), &summing->sums, err);
    return r < 0 ? r : tainted_conversations_read(view, &summing->tainted, err);
}

static void tell(struct control_question *question, const struct summing *summing)
{
    BUF_AUTO answer = BUF_INIT(CONTROL_ANSWER_MAX);
    write_status(question->env, summing, &answer);
    control_finish(question, 0, &answer, NULL);
}

static void on_sums(void *context, int result, const struct error *err, int64_t rowid)
{
    struct summing *summing = context;
    tell(summing->question, result == 0 ? summing : NULL);
}

static void on_late(void *context)
{
    struct control_question *question = context;
    question->timer = 0;
    store_forget(question->env->store, question->job);
    tell(question, NULL);
}

void control_ask_status(const struct control_question *question, struct span rest)
{
    static const struct store_reading reading = {sum_up, on_sums, free};
    const struct control_env *env = question->env;
    struct control_question *kept = control_question_keep(question, sizeof *kept);
    struct summing *summing = mem_new(struct summing);
    summing->question = kept;
    if (store_state(env->store) == STORE_READY)
        kept->job = store_read(env->store, &reading, summing, NULL);
    if (kept->job > 0) {
        kept->timer = loop_timer_after(env->loop, SUMS_WAIT_MS, on_late, kept);
        return;
    }
    free(summing);
    tell(kept, NULL);
}
