#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
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
    CELL_WIDTH = 200,
    SENTENCE_WIDTH = 1000,
    LABEL_WIDTH = 10,
    TAINTED_SHOWN = 5, // conversations
};

enum {
    EXIT_NOT_RUNNING = 3,    // as of init scripts
    EXIT_WANTS_SOMEBODY = 4, // it runs and takes messages, and something has to be mended
    DISK_SHOWN_MIB = 256,    // a disk with more left is not worth a line
    STUCK_S = 10 * 60,       // a reply that waits longer will hardly leave by itself
};

enum { OPTION_JSON = OPTION_FIRST_OWN };

static const char good[] = "\033[32m", bad[] = "\033[31m", worth_a_look[] = "\033[33m",
                  plain[] = "";

__attribute__((format(printf, 3, 4))) static void line(const char *label, const char *colour,
                                                       const char *fmt, ...)
{
    va_list args;
    printf("%-*s%s", LABEL_WIDTH, label, page_colour(colour));
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    puts(*colour ? page_colour("\033[0m") : "");
}

// A member's text as a line may show it, on the heap.
static char *cell(struct json_value object, const char *key)
{
    return page_cell(json_get(object, key), "", CELL_WIDTH);
}

static void show_process(struct json_value status)
{
    CLEANUP(mem_cleanup) char *version = cell(status, "version");
    CLEANUP(mem_cleanup) char *home = cell(status, "home");
    CLEANUP(mem_cleanup) char *name = cell(status, "model");
    CLEANUP(mem_cleanup) char *model = cell(json_get(status, "upstream"), "model");
    CLEANUP(mem_cleanup) char *where = cell(json_get(status, "upstream"), "base_url");
    char when[CLOCK_TEXT_SIZE], how_long[PAGE_SPAN_SIZE];
    bool ready = page_flag(status, "ready"), same = strcmp(name, model) == 0;
    line("hermes", plain, "%s, pid %" PRId64, version, page_number(status, "pid"));
    line("state", ready ? good : bad, "%s", ready ? "ready" : "not ready");
    line("home", plain, "%s", home);
    line("model", plain, "%s%s%s%s%s", name, same ? "" : ": ", same ? "" : model,
         *where ? " at " : "", where);
    line("up", plain, "%s, since %s UTC", page_duration(page_number(status, "uptime_s"), how_long),
         page_time(page_number(status, "started_ms"), when));
    line("memory", plain, "%.1f MiB", (double)page_number(status, "rss_bytes") / (1024 * 1024));
}

static void show_store(struct json_value store)
{
    CLEANUP(mem_cleanup) char *state = cell(store, "state");
    CLEANUP(mem_cleanup) char *detail = cell(store, "detail");
    CLEANUP(mem_cleanup) char *note = cell(store, "note");
    bool detailed = *detail && strcmp(state, detail) != 0;
    line("database", strcmp(state, "failed") == 0 ? bad : plain, "%s%s%s", state,
         detailed ? ": " : "", detailed ? detail : "");
    if (*note)
        line("", worth_a_look, "%s", note);
}

static void show_disk(struct json_value disk)
{
    enum { MIB = 1 << 20 };
    int64_t free_mib = page_number(disk, "free_bytes") / MIB;
    if (json_type(disk) == JSON_OBJECT && free_mib < DISK_SHOWN_MIB)
        line("disk", worth_a_look, "%" PRId64 " of %" PRId64 " MiB free", free_mib,
             page_number(disk, "size_bytes") / MIB);
}

static void show_questions(struct json_value questions)
{
    struct json_iter it = json_iter_init(questions);
    struct json_value question;
    for (const char *label = "asked"; json_iter_next(&it, NULL, &question); label = "") {
        CLEANUP(mem_cleanup) char *code = cell(question, "code");
        CLEANUP(mem_cleanup) char *tool = cell(question, "tool");
        CLEANUP(mem_cleanup) char *why = cell(question, "why");
        char until[CLOCK_TEXT_SIZE];
        bool reason = json_type(json_get(question, "why")) == JSON_STRING &&
                      !json_is(json_get(question, "why"), "");
        line(label, worth_a_look, "%s waits for approval until %s UTC: /approve %s%s%s", tool,
             page_time(page_number(question, "expires_ms"), until), code, reason ? "; " : "",
             reason ? why : "");
    }
}

static void show_tainted(struct json_value tainted)
{
    struct json_iter it = json_iter_init(tainted);
    struct json_value one;
    size_t count = json_count(tainted);
    if (count)
        line("tainted", worth_a_look, "%zu conversation%s with text that nobody vouches for", count,
             count == 1 ? "" : "s");
    for (size_t i = 0; i < TAINTED_SHOWN && json_iter_next(&it, NULL, &one); i++) {
        CLEANUP(mem_cleanup) char *channel = cell(one, "channel");
        CLEANUP(mem_cleanup) char *title = cell(one, "title");
        CLEANUP(mem_cleanup) char *session = cell(one, "session");
        CLEANUP(mem_cleanup) char *why = cell(one, "why");
        char since[CLOCK_TEXT_SIZE];
        int64_t since_ms = page_number(one, "since_ms");
        line("", worth_a_look, "%s: %s (%.*s): %s%s%s%s", channel, *title ? title : "untitled",
             store_id_shown(span_of(session), 8), session, why, since_ms ? ", " : "",
             since_ms ? page_time(since_ms, since) : "", since_ms ? " UTC" : "");
    }
    if (count > TAINTED_SHOWN)
        line("", worth_a_look, "and %zu more", count - TAINTED_SHOWN);
}

static void show_upstream(struct json_value upstream)
{
    CLEANUP(mem_cleanup) char *state = cell(upstream, "state");
    struct json_value failure = json_get(upstream, "last_failure");
    CLEANUP(mem_cleanup) char *text = cell(failure, "text");
    char when[CLOCK_TEXT_SIZE];
    bool failing = page_number(upstream, "failures") > 0;
    int64_t answered_ms = page_number(upstream, "last_answer_ms");
    if (json_type(upstream) != JSON_OBJECT || json_is(json_get(upstream, "provider"), "offline"))
        return;
    if (strcmp(state, "unused") == 0)
        line("upstream", plain, "not asked yet");
    else
        line("upstream", failing ? bad : plain, "%s, last answer %s%s", state,
             page_time(answered_ms, when), answered_ms ? " UTC" : "");
    if (json_type(failure) == JSON_OBJECT)
        line("", failing ? bad : plain, "last failure %s UTC%s: %s",
             page_time(page_number(failure, "ms"), when), failing ? "" : " (it has worked since)",
             text);
}

static void show_telegram(struct json_value telegram)
{
    CLEANUP(mem_cleanup) char *state = cell(telegram, "state");
    CLEANUP(mem_cleanup) char *name = cell(telegram, "username");
    CLEANUP(mem_cleanup) char *detail = cell(telegram, "detail");
    char when[CLOCK_TEXT_SIZE];
    if (json_type(telegram) != JSON_OBJECT) {
        line("telegram", plain, "off");
        return;
    }
    line("telegram", strcmp(state, "polling") == 0 ? good : worth_a_look, "%s%s%s%s%s", state,
         *name ? " as @" : "", name, *detail ? ": " : "", detail);
    line("", plain, "last heard %s, %" PRId64 " updates, %" PRId64 " messages sent",
         page_time(page_number(telegram, "last_poll_ms"), when), page_number(telegram, "updates"),
         page_number(telegram, "sent"));
}

static void show_turns(struct json_value status)
{
    struct json_value turns = json_get(status, "turns");
    int64_t micros = 0;
    if (json_type(turns) != JSON_OBJECT)
        return;
    json_fixed(json_get(turns, "cost_usd"), 6, &micros);
    bool running = page_flag(status, "running");
    line("turns", plain,
         "%" PRId64 " %s, %" PRId64 " done, %" PRId64 " failed, %" PRId64 " cancelled",
         running ? page_number(status, "running_turns") : page_number(turns, "open"),
         running ? "running" : "unfinished", page_number(turns, "done"),
         page_number(turns, "failed"), page_number(turns, "cancelled"));
    line("used", plain,
         "%" PRId64 " tokens in (%" PRId64 " cached), %" PRId64 " out, $%" PRId64 ".%06" PRId64,
         page_number(turns, "input_tokens"), page_number(turns, "cached_tokens"),
         page_number(turns, "output_tokens"), micros / 1000000, micros % 1000000);
}

static void show_servers(struct json_value servers)
{
    struct json_iter it = json_iter_init(servers);
    struct json_value server;
    for (const char *label = "mcp"; json_iter_next(&it, NULL, &server); label = "") {
        CLEANUP(mem_cleanup) char *name = cell(server, "name");
        CLEANUP(mem_cleanup) char *state = cell(server, "state");
        CLEANUP(mem_cleanup) char *era = cell(server, "era");
        CLEANUP(mem_cleanup) char *error = cell(server, "error");
        bool failing = strcmp(state, "waiting") == 0;
        line(label, failing ? worth_a_look : plain, "%s: %s%s%s%s, %" PRId64 " tools%s%s", name,
             state, *era ? " (" : "", era, *era ? ")" : "", page_number(server, "tools"),
             *error ? "; last error: " : "", error);
    }
}

static void show_outbox(struct json_value outbox)
{
    char how_long[PAGE_SPAN_SIZE];
    int64_t waiting = page_number(outbox, "waiting"), failed = page_number(outbox, "failed");
    int64_t oldest_s = page_number(outbox, "oldest_s");
    if (json_type(outbox) != JSON_OBJECT)
        return;
    if (!waiting)
        line("outbox", plain, "empty");
    else
        line("outbox", oldest_s >= STUCK_S ? bad : plain, "%" PRId64 " waiting, %s for %s", waiting,
             oldest_s >= STUCK_S ? "stuck" : "the oldest", page_duration(oldest_s, how_long));
    if (failed)
        line("", bad, "%" PRId64 " given up", failed);
}

static void show_problems(struct json_value problems)
{
    struct json_value problem;
    for (struct json_iter it = json_iter_init(problems); json_iter_next(&it, NULL, &problem);) {
        CLEANUP(mem_cleanup) char *what = cell(problem, "what");
        CLEANUP(mem_cleanup) char *text = page_cell(json_get(problem, "text"), "", SENTENCE_WIDTH);
        CLEANUP(mem_cleanup) char *todo = page_cell(json_get(problem, "todo"), "", SENTENCE_WIDTH);
        bool serious = page_flag(problem, "needs_attention");
        line(serious ? "PROBLEM" : "notice", serious ? bad : worth_a_look, "%s: %s", what, text);
        line("  do", plain, "%s", todo);
    }
}

static int tell_running(struct span answer, bool as_json, struct error *err)
{
    JSON_AUTO values = JSON_INIT;
    if (json_parse(&values, answer, err) < 0)
        return error_wrap(err, "the answer of the running hermes cannot be read");
    struct json_value status = json_root(&values), well = json_get(status, "well");
    if (as_json) {
        page_print_raw(answer);
    } else {
        show_process(status);
        show_store(json_get(status, "store"));
        show_disk(json_get(status, "disk"));
        show_upstream(json_get(status, "upstream"));
        show_telegram(json_get(status, "telegram"));
        show_turns(status);
        show_questions(json_get(status, "questions"));
        show_tainted(json_get(status, "tainted"));
        show_servers(json_get(status, "mcp_servers"));
        show_outbox(json_get(status, "outbox"));
        show_problems(json_get(status, "problems"));
    }
    if (!page_flag(status, "ready"))
        return EXIT_FAILED;
    // One of an earlier version says nothing of it.
    bool is_well = json_type(well) == JSON_ABSENT || json_type(well) == JSON_TRUE;
    return is_well ? EXIT_OK : EXIT_WANTS_SOMEBODY;
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

static int tell_not_running(const char *home, bool as_json, struct error *err)
{
    static const struct owner_question question = {.method = "GET", .path = "/status"};
    BUF_AUTO answer = BUF_INIT(ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    // A question must not make a home, nor a database in one.
    CLEANUP(mem_cleanup) char *ours = mem_printf("%s/state.db", home);
    CLEANUP(mem_cleanup) char *beside = mem_printf("%s/hermes.db", home);
    bool has_database = access(ours, F_OK) == 0 || access(beside, F_OK) == 0;
    int r = has_database ? owner_ask(home, &question, &answer, &values, err) : -ENOENT;
    if (r == -EBUSY) // somebody does own it, without a socket to ask
        return r;
    if (as_json && r == 0)
        page_print_raw(buf_span(&answer));
    else if (as_json)
        print_nothing_runs(home);
    else
        printf("no hermes runs in the home %s\n", home);
    if (!as_json && r == 0) {
        struct json_value status = json_root(&values);
        show_store(json_get(status, "store"));
        show_turns(status);
        show_questions(json_get(status, "questions"));
        show_tainted(json_get(status, "tainted"));
        show_outbox(json_get(status, "outbox"));
        show_problems(json_get(status, "problems"));
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
    .takes_settings = true,
    COMMAND_OPTIONS({"json", 0, NULL, "as JSON, for programs"}),
    .run = run,
};
