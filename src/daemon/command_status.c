#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/colour.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/document.h"
#include "daemon/command.h"
#include "daemon/control_client.h"
#include "daemon/owner.h"
#include "daemon/page.h"
#include "daemon/settings.h"

enum {
    ANSWER_MAX = 1 << 20, // bytes
    TREE_MAX = 8 << 20,   // bytes of memory
    CELL_WIDTH = 200,
    SENTENCE_WIDTH = 1000,
    LABEL_WIDTH = 10,
};

enum {
    EXIT_NOT_RUNNING = 3,    // as of init scripts
    EXIT_WANTS_SOMEBODY = 4, // it runs and takes messages, and something has to be mended
    DISK_SHOWN_MIB = 256,    // a disk with more left is not worth a line
    STUCK_S = 10 * 60,       // a reply that waits longer will hardly leave by itself
};

enum { OPTION_JSON = OPTION_FIRST_OWN };

static const struct command_option options[] = {
    COMMAND_CONFIG_OPTIONS,
    {"json", 0, NULL, "as JSON, for programs"},
    COMMAND_OPTIONS_END,
};

static const char good[] = "\033[32m", bad[] = "\033[31m", worth_a_look[] = "\033[33m",
                  plain[] = "";

static void line(const char *label, const char *colour, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void line(const char *label, const char *colour, const char *fmt, ...)
{
    bool colours = *colour && colour_wanted(STDOUT_FILENO);
    va_list args;
    printf("%-*s", LABEL_WIDTH, label);
    fputs(colours ? colour : "", stdout);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    puts(colours ? "\033[0m" : "");
}

static bool is_true(struct node value)
{
    bool is = false;
    return node_bool(value, &is) && is;
}

// A member's text as a line may show it; the caller's buffer holds it.
static const char *cell(struct node object, const char *key, struct buf *into)
{
    buf_clear(into);
    page_node(node_get(object, key), "", CELL_WIDTH, into);
    return buf_text(into);
}

static void show_model(struct node status)
{
    BUF_AUTO name = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO model = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO where = BUF_INIT(4 * CELL_WIDTH);
    struct node upstream = node_get(status, "upstream");
    cell(status, "model", &name);
    cell(upstream, "model", &model);
    cell(upstream, "base_url", &where);
    bool same = strcmp(buf_text(&name), buf_text(&model)) == 0;
    line("model", plain, "%s%s%s%s%s", buf_text(&name), same ? "" : ": ",
         same ? "" : buf_text(&model), where.len ? " at " : "", buf_text(&where));
}

static void show_upstream(struct node upstream)
{
    BUF_AUTO state = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO text = BUF_INIT(4 * CELL_WIDTH);
    char when[CLOCK_TEXT_SIZE];
    struct node failure = node_get(upstream, "last_failure");
    bool failing = page_count(upstream, "failures") > 0;
    if (node_type(upstream) != JSON_OBJECT || node_is(node_get(upstream, "provider"), "offline"))
        return;
    cell(upstream, "state", &state);
    if (node_is(node_get(upstream, "state"), "unused"))
        line("upstream", plain, "not asked yet");
    else
        line("upstream", failing ? bad : plain, "%s, last answer %s%s", buf_text(&state),
             page_time(page_count(upstream, "last_answer_ms"), when),
             page_count(upstream, "last_answer_ms") ? " UTC" : "");
    if (node_type(failure) == JSON_OBJECT)
        line("", failing ? bad : plain, "last failure %s UTC%s: %s",
             page_time(page_count(failure, "ms"), when), failing ? "" : " (it has worked since)",
             cell(failure, "text", &text));
}

static void show_problem(struct node problem)
{
    BUF_AUTO what = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO text = BUF_INIT(4 * SENTENCE_WIDTH);
    bool serious = is_true(node_get(problem, "needs_attention"));
    page_node(node_get(problem, "text"), "", SENTENCE_WIDTH, &text);
    line(serious ? "PROBLEM" : "notice", serious ? bad : worth_a_look, "%s: %s",
         cell(problem, "what", &what), buf_text(&text));
    buf_clear(&text);
    page_node(node_get(problem, "todo"), "", SENTENCE_WIDTH, &text);
    line("  do", plain, "%s", buf_text(&text));
}

static void show_problems(struct node problems)
{
    for (struct node each = node_first(problems); each.item; each = node_next(each))
        show_problem(each);
}

static void show_process(struct node status)
{
    BUF_AUTO text = BUF_INIT(4 * CELL_WIDTH);
    char when[CLOCK_TEXT_SIZE], how_long[PAGE_SPAN_SIZE];
    bool ready = is_true(node_get(status, "ready"));
    line("hermes", plain, "%s, pid %" PRId64, cell(status, "version", &text),
         page_count(status, "pid"));
    line("state", ready ? good : bad, "%s", ready ? "ready" : "not ready");
    line("home", plain, "%s", cell(status, "home", &text));
    show_model(status);
    line("up", plain, "%s, since %s UTC", page_duration(page_count(status, "uptime_s"), how_long),
         page_time(page_count(status, "started_ms"), when));
    line("memory", plain, "%.1f MiB", (double)page_count(status, "rss_bytes") / (1024 * 1024));
}

static void show_telegram(struct node telegram)
{
    BUF_AUTO state = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO name = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO detail = BUF_INIT(4 * CELL_WIDTH);
    char when[CLOCK_TEXT_SIZE];
    if (node_type(telegram) != JSON_OBJECT) {
        line("telegram", plain, "off");
        return;
    }
    cell(telegram, "state", &state);
    cell(telegram, "username", &name);
    cell(telegram, "detail", &detail);
    bool polling = strcmp(buf_text(&state), "polling") == 0;
    line("telegram", polling ? good : worth_a_look, "%s%s%s%s%s", buf_text(&state),
         name.len ? " as @" : "", buf_text(&name), detail.len ? ": " : "", buf_text(&detail));
    line("", plain, "last heard %s, %" PRId64 " updates, %" PRId64 " messages sent",
         page_time(page_count(telegram, "last_poll_ms"), when), page_count(telegram, "updates"),
         page_count(telegram, "sent"));
}

static void show_outbox(struct node outbox)
{
    char how_long[PAGE_SPAN_SIZE];
    int64_t waiting = page_count(outbox, "waiting"), failed = page_count(outbox, "failed");
    int64_t oldest_s = page_count(outbox, "oldest_s");
    if (node_type(outbox) != JSON_OBJECT)
        return;
    if (!waiting)
        line("outbox", plain, "empty");
    else
        line("outbox", oldest_s >= STUCK_S ? bad : plain, "%" PRId64 " waiting, %s for %s", waiting,
             oldest_s >= STUCK_S ? "stuck" : "the oldest", page_duration(oldest_s, how_long));
    if (failed)
        line("", bad, "%" PRId64 " given up", failed);
}

static void show_turns(struct node status)
{
    BUF_AUTO cost = BUF_INIT(64);
    struct node turns = node_get(status, "turns");
    int64_t micros = 0;
    if (node_type(turns) != JSON_OBJECT)
        return;
    node_fixed(node_get(turns, "cost_usd"), 6, &micros);
    bool running = is_true(node_get(status, "running"));
    line("turns", plain,
         "%" PRId64 " %s, %" PRId64 " done, %" PRId64 " failed, %" PRId64 " cancelled",
         running ? page_count(status, "running_turns") : page_count(turns, "open"),
         running ? "running" : "unfinished", page_count(turns, "done"), page_count(turns, "failed"),
         page_count(turns, "cancelled"));
    line("used", plain,
         "%" PRId64 " tokens in (%" PRId64 " cached), %" PRId64 " out, $%" PRId64 ".%06" PRId64,
         page_count(turns, "input_tokens"), page_count(turns, "cached_tokens"),
         page_count(turns, "output_tokens"), micros / 1000000, micros % 1000000);
}

static void show_store(struct node store)
{
    BUF_AUTO state = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO detail = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO note = BUF_INIT(4 * CELL_WIDTH);
    bool failed = node_is(node_get(store, "state"), "failed");
    cell(store, "state", &state);
    cell(store, "detail", &detail);
    cell(store, "note", &note);
    if (strcmp(buf_text(&state), buf_text(&detail)) == 0)
        buf_clear(&detail);
    line("database", failed ? bad : plain, "%s%s%s", buf_text(&state), detail.len ? ": " : "",
         buf_text(&detail));
    if (note.len)
        line("", worth_a_look, "%s", buf_text(&note));
}

static void show_disk(struct node disk)
{
    enum { MIB = 1 << 20 };
    if (node_type(disk) == JSON_OBJECT && page_count(disk, "free_bytes") / MIB < DISK_SHOWN_MIB)
        line("disk", worth_a_look, "%" PRId64 " of %" PRId64 " MiB free",
             page_count(disk, "free_bytes") / MIB, page_count(disk, "size_bytes") / MIB);
}

static int tell_running(struct span answer, bool as_json, struct error *err)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TREE_MAX);
    if (document_read(&doc, answer, err) < 0)
        return error_wrap(err, "the answer of the running hermes cannot be read");
    struct node status = document_root(&doc);
    if (as_json) {
        page_print_raw(answer);
    } else {
        show_process(status);
        show_store(node_get(status, "store"));
        show_disk(node_get(status, "disk"));
        show_upstream(node_get(status, "upstream"));
        show_telegram(node_get(status, "telegram"));
        show_turns(status);
        show_outbox(node_get(status, "outbox"));
        show_problems(node_get(status, "problems"));
    }
    if (!is_true(node_get(status, "ready")))
        return EXIT_FAILED;
    // One of an earlier version says nothing of it.
    bool ill =
        node_type(node_get(status, "well")) != JSON_ABSENT && !is_true(node_get(status, "well"));
    return ill ? EXIT_WANTS_SOMEBODY : EXIT_OK;
}

static void print_nothing_runs(const char *home)
{
    BUF_AUTO out = BUF_INIT(ANSWER_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node answer = document_object(&doc);
    node_add_bool(answer, "running", false);
    node_add_text(answer, "home", home);
    document_print(&doc, &out, NULL);
    puts(buf_text(&out));
}

// A question must not make a home, nor a database in one.
static bool has_database(const char *home)
{
    CLEANUP(mem_cleanup) char *ours = mem_printf("%s/state.db", home);
    CLEANUP(mem_cleanup) char *beside = mem_printf("%s/hermes.db", home);
    return access(ours, F_OK) == 0 || access(beside, F_OK) == 0;
}

static int tell_not_running(const char *home, bool as_json, struct error *err)
{
    BUF_AUTO answer = BUF_INIT(ANSWER_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TREE_MAX);
    int r = has_database(home) ? owner_ask(home, "GET", "/status", &answer, err) : -ENOENT;
    bool told = r == 0 && document_read(&doc, buf_span(&answer), NULL) == 0;
    if (r == -EBUSY) // somebody does own it, without a socket to ask
        return r;
    if (as_json && told)
        page_print_raw(buf_span(&answer));
    else if (as_json)
        print_nothing_runs(home);
    else
        printf("no hermes runs in the home %s\n", home);
    if (!as_json && told) {
        struct node status = document_root(&doc);
        show_store(node_get(status, "store"));
        show_turns(status);
        show_outbox(node_get(status, "outbox"));
        show_problems(node_get(status, "problems"));
    } else if (r < 0 && r != -ENOENT) {
        log_warning("its database cannot be read: %s", err->text);
    }
    return EXIT_NOT_RUNNING;
}

static int run(const struct arguments *arguments, struct error *err)
{
    BUF_AUTO answer = BUF_INIT(ANSWER_MAX);
    CLEANUP(mem_cleanup) char *home = NULL;
    bool as_json = arguments->values[OPTION_JSON] != NULL;
    int r = settings_find_home(arguments, &home, err);
    if (r == 0)
        r = control_client_ask(home, "GET", "/status", &answer, err);
    if (r == CONTROL_NO_OWNER)
        return tell_not_running(home, as_json, err);
    return r < 0 ? r : tell_running(buf_span(&answer), as_json, err);
}

const struct command command_status = {
    .name = "status",
    .summary = "Show whether Hermes runs, and how well",
    .help = "Asks the hermes that owns the home.\n\n"
            "Problems come last, each with what to do about it.\n\n"
            "Status: 0 it runs and is healthy; 1 it accepts no messages, or does not reply;\n"
            "3 none runs; 4 it runs, but a PROBLEM in the list needs a person.\n",
    .options = options,
    .run = run,
};
