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
#include "codec/json_write.h"
#include "daemon/command.h"
#include "daemon/control_client.h"
#include "daemon/owner.h"
#include "daemon/page.h"
#include "daemon/settings.h"

enum { ANSWER_MAX = 1 << 20, CELL_WIDTH = 200, SENTENCE_WIDTH = 1000, LABEL_WIDTH = 10 };

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

static bool is_true(struct json_value value)
{
    bool is = false;
    return json_bool(value, &is) && is;
}

// A member's text as a line may show it; the caller's buffer holds it.
static const char *cell(struct json_value object, const char *key, struct buf *into)
{
    buf_clear(into);
    page_cell(json_get(object, key), "", CELL_WIDTH, into);
    return buf_text(into);
}

static void show_model(struct json_value status)
{
    BUF_AUTO name = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO model = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO where = BUF_INIT(4 * CELL_WIDTH);
    struct json_value upstream = json_get(status, "upstream");
    cell(status, "model", &name);
    cell(upstream, "model", &model);
    cell(upstream, "base_url", &where);
    bool same = strcmp(buf_text(&name), buf_text(&model)) == 0;
    line("model", plain, "%s%s%s%s%s", buf_text(&name), same ? "" : ": ",
         same ? "" : buf_text(&model), where.len ? " at " : "", buf_text(&where));
}

static void show_upstream(struct json_value upstream)
{
    BUF_AUTO state = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO text = BUF_INIT(4 * CELL_WIDTH);
    char when[CLOCK_TEXT_SIZE];
    struct json_value failure = json_get(upstream, "last_failure");
    bool failing = page_number(upstream, "failures") > 0;
    if (json_type(upstream) != JSON_OBJECT || json_is(json_get(upstream, "provider"), "offline"))
        return;
    cell(upstream, "state", &state);
    if (json_is(json_get(upstream, "state"), "unused"))
        line("upstream", plain, "not asked yet");
    else
        line("upstream", failing ? bad : plain, "%s, last answer %s%s", buf_text(&state),
             page_time(page_number(upstream, "last_answer_ms"), when),
             page_number(upstream, "last_answer_ms") ? " UTC" : "");
    if (json_type(failure) == JSON_OBJECT)
        line("", failing ? bad : plain, "last failure %s UTC%s: %s",
             page_time(page_number(failure, "ms"), when), failing ? "" : " (it has worked since)",
             cell(failure, "text", &text));
}

static void show_problem(struct json_value problem)
{
    BUF_AUTO what = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO text = BUF_INIT(4 * SENTENCE_WIDTH);
    bool serious = is_true(json_get(problem, "wants_person"));
    page_cell(json_get(problem, "text"), "", SENTENCE_WIDTH, &text);
    line(serious ? "PROBLEM" : "notice", serious ? bad : worth_a_look, "%s: %s",
         cell(problem, "what", &what), buf_text(&text));
    buf_clear(&text);
    page_cell(json_get(problem, "todo"), "", SENTENCE_WIDTH, &text);
    line("  do", plain, "%s", buf_text(&text));
}

static void show_problems(struct json_value problems)
{
    struct json_iter each = json_iter_init(problems);
    struct json_value problem;
    while (json_iter_next(&each, NULL, &problem))
        show_problem(problem);
}

static void show_process(struct json_value status)
{
    BUF_AUTO text = BUF_INIT(4 * CELL_WIDTH);
    char when[CLOCK_TEXT_SIZE], how_long[PAGE_SPAN_SIZE];
    bool ready = is_true(json_get(status, "ready"));
    line("hermes", plain, "%s, pid %" PRId64, cell(status, "version", &text),
         page_number(status, "pid"));
    line("state", ready ? good : bad, "%s", ready ? "ready" : "not ready");
    line("home", plain, "%s", cell(status, "home", &text));
    show_model(status);
    line("up", plain, "%s, since %s UTC", page_duration(page_number(status, "uptime_s"), how_long),
         page_time(page_number(status, "started_ms"), when));
    line("memory", plain, "%.1f MiB", (double)page_number(status, "rss_bytes") / (1024 * 1024));
}

static void show_telegram(struct json_value telegram)
{
    BUF_AUTO state = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO name = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO detail = BUF_INIT(4 * CELL_WIDTH);
    char when[CLOCK_TEXT_SIZE];
    if (json_type(telegram) != JSON_OBJECT) {
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
         page_time(page_number(telegram, "last_poll_ms"), when), page_number(telegram, "updates"),
         page_number(telegram, "sent"));
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

static void show_turns(struct json_value status)
{
    BUF_AUTO cost = BUF_INIT(64);
    struct json_value turns = json_get(status, "turns");
    int64_t micros = 0;
    if (json_type(turns) != JSON_OBJECT)
        return;
    json_fixed(json_get(turns, "cost_usd"), 6, &micros);
    bool running = is_true(json_get(status, "running"));
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

static void show_store(struct json_value store)
{
    BUF_AUTO state = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO detail = BUF_INIT(4 * CELL_WIDTH);
    BUF_AUTO note = BUF_INIT(4 * CELL_WIDTH);
    bool failed = json_is(json_get(store, "state"), "failed");
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

static void show_disk(struct json_value disk)
{
    enum { MIB = 1 << 20 };
    if (json_type(disk) == JSON_OBJECT && page_number(disk, "free_bytes") / MIB < DISK_SHOWN_MIB)
        line("disk", worth_a_look, "%" PRId64 " of %" PRId64 " MiB free",
             page_number(disk, "free_bytes") / MIB, page_number(disk, "size_bytes") / MIB);
}

static int tell_running(struct span answer, bool as_json)
{
    JSON_AUTO document = JSON_INIT;
    struct error err = ERROR_INIT;
    if (json_parse(&document, answer, &err) < 0) {
        log_error("the answer of the running hermes cannot be read: %s", err.text);
        return EXIT_FAILED;
    }
    struct json_value status = json_root(&document);
    if (as_json) {
        page_print_raw(answer);
    } else {
        show_process(status);
        show_store(json_get(status, "store"));
        show_disk(json_get(status, "disk"));
        show_upstream(json_get(status, "upstream"));
        show_telegram(json_get(status, "telegram"));
        show_turns(status);
        show_outbox(json_get(status, "outbox"));
        show_problems(json_get(status, "problems"));
    }
    if (!is_true(json_get(status, "ready")))
        return EXIT_FAILED;
    // One of an earlier version says nothing of it.
    bool ill =
        json_type(json_get(status, "well")) != JSON_ABSENT && !is_true(json_get(status, "well"));
    return ill ? EXIT_WANTS_SOMEBODY : EXIT_OK;
}

static void print_nothing_runs(const char *home)
{
    BUF_AUTO out = BUF_INIT(ANSWER_MAX);
    struct json_writer w;
    json_writer_init(&w, &out);
    json_write_object_begin(&w);
    json_write_member_bool(&w, "running", false);
    json_write_member_text(&w, "home", home);
    json_write_object_end(&w);
    puts(buf_text(&out));
}

// A question must not make a home, nor a database in one.
static bool has_database(const char *home)
{
    CLEANUP(mem_cleanup) char *ours = mem_printf("%s/state.db", home);
    CLEANUP(mem_cleanup) char *beside = mem_printf("%s/hermes.db", home);
    return access(ours, F_OK) == 0 || access(beside, F_OK) == 0;
}

static int tell_not_running(const char *home, bool as_json)
{
    BUF_AUTO answer = BUF_INIT(ANSWER_MAX);
    JSON_AUTO document = JSON_INIT;
    struct error err = ERROR_INIT;
    int r = has_database(home) ? owner_ask(home, "GET", "/status", &answer, &err) : -ENOENT;
    bool told = r == 0 && json_parse(&document, buf_span(&answer), NULL) == 0;
    if (r == -EBUSY) { // somebody does own it, without a socket to ask
        log_error("%s", err.text);
        return EXIT_FAILED;
    }
    if (as_json && told)
        page_print_raw(buf_span(&answer));
    else if (as_json)
        print_nothing_runs(home);
    else
        printf("no hermes runs in the home %s\n", home);
    if (!as_json && told) {
        show_store(json_get(json_root(&document), "store"));
        show_turns(json_root(&document));
        show_outbox(json_get(json_root(&document), "outbox"));
        show_problems(json_get(json_root(&document), "problems"));
    } else if (r < 0 && r != -ENOENT) {
        log_warning("its database cannot be read: %s", err.text);
    }
    return EXIT_NOT_RUNNING;
}

static int run(const struct command *command, const struct arguments *arguments)
{
    (void)command;
    BUF_AUTO answer = BUF_INIT(ANSWER_MAX);
    CLEANUP(mem_cleanup) char *home = NULL;
    struct error err = ERROR_INIT;
    bool as_json = arguments->values[OPTION_JSON] != NULL;
    int r = settings_find_home(arguments, &home, &err);
    if (r == 0)
        r = control_client_ask(home, "GET", "/status", &answer, &err);
    if (r == CONTROL_NO_OWNER)
        return tell_not_running(home, as_json);
    if (r == 0)
        return tell_running(buf_span(&answer), as_json);
    log_error("%s", err.text);
    return EXIT_FAILED;
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
