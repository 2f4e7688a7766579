#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/url.h"
#include "daemon/command.h"
#include "daemon/owner.h"
#include "daemon/page.h"
#include "daemon/settings.h"
#include "daemon/terminal.h"
#include "serve/control.h"
#include "store/session.h"

enum {
    REPLY_MAX = 16,  // bytes of an answer to a question
    TEXT_MAX = 1024, // columns of a text that is shown whole
    ID_SHOWN = 12,   // columns; of a random one
    CHANNEL_SHOWN = 18,
    CHAT_SHOWN = 10,
    THREAD_SHOWN = 5,
    TITLE_LEAST = 20,
    OTHERS = 58, // columns of all but the title, with ID_SHOWN
};

enum {
    OPTION_JSON = OPTION_FIRST_OWN,
    OPTION_MARKDOWN,
    OPTION_YES,
    OPTION_FORMAT,
    OPTION_OUTPUT,
    OPTION_OLDER,
    OPTION_SOURCE
};

/* How sessions are shown */

static void print_chat(struct json_value session)
{
    struct json_value channel = json_get(session, "channel");
    bool threaded = json_type(json_get(session, "thread")) == JSON_STRING;
    CLEANUP(mem_cleanup) char *name = page_cell(channel, "?", CHANNEL_SHOWN);
    CLEANUP(mem_cleanup)
    char *chat = page_cell(json_get(session, "chat"), "",
                           threaded ? CHAT_SHOWN - THREAD_SHOWN - 1 : CHAT_SHOWN);
    CLEANUP(mem_cleanup) char *thread = page_cell(json_get(session, "thread"), "", THREAD_SHOWN);
    CLEANUP(mem_cleanup)
    char *both = mem_printf("%s %s%s%s", name, chat, threaded ? "/" : "", thread);
    page_pad(json_is(channel, "console") ? name : both, CHANNEL_SHOWN);
}

static int id_width(struct json_value sessions)
{
    struct json_value session;
    int width = ID_SHOWN;
    for (struct json_iter it = json_iter_init(sessions); json_iter_next(&it, NULL, &session);) {
        CLEANUP(mem_cleanup) char *id = page_cell(json_get(session, "id"), "?", TEXT_MAX);
        int shown = store_id_shown(span_of(id), ID_SHOWN);
        width = shown > width ? shown : width;
    }
    return width;
}

static void print_row(struct json_value session, int id_columns, size_t title_width)
{
    char when[CLOCK_TEXT_SIZE];
    // The beginning of an id, which is typed back and so must not end in "…".
    CLEANUP(mem_cleanup) char *id = page_cell(json_get(session, "id"), "?", TEXT_MAX);
    CLEANUP(mem_cleanup) char *title = page_cell(json_get(session, "title"), "-", title_width);
    printf("%-*.*s  ", id_columns, store_id_shown(span_of(id), ID_SHOWN), id);
    printf("%-16s  ", page_time(page_number(session, "updated_ms"), when));
    print_chat(session);
    printf("%5" PRId64 "  %s\n", page_number(session, "turns"), title);
}

static void print_list(struct json_value root)
{
    struct json_value sessions = json_get(root, "sessions"), session;
    int id_columns = id_width(sessions);
    size_t columns = terminal_columns(), others = OTHERS - ID_SHOWN + (size_t)id_columns;
    size_t title_width = columns > others + TITLE_LEAST ? columns - others : TITLE_LEAST;
    if (json_count(sessions) == 0) {
        puts("There are no sessions yet.");
        return;
    }
    printf("%-*s  %-16s  %-*s%5s  %s\n", id_columns, "ID", "LAST USED, UTC", CHANNEL_SHOWN, "WHERE",
           "TURNS", "TITLE");
    for (struct json_iter it = json_iter_init(sessions); json_iter_next(&it, NULL, &session);)
        print_row(session, id_columns, title_width);
}

static void print_member(struct json_value object, const char *key)
{
    CLEANUP(mem_cleanup) char *text = page_cell(json_get(object, key), "-", TEXT_MAX);
    printf("%-9s %s\n", key, text);
}

static void print_head(struct json_value session)
{
    char when[CLOCK_TEXT_SIZE];
    print_member(session, "id");
    print_member(session, "title");
    print_member(session, "channel");
    print_member(session, "chat");
    if (json_type(json_get(session, "thread")) == JSON_STRING)
        print_member(session, "thread");
    if (json_type(json_get(session, "sender")) == JSON_STRING)
        print_member(session, "sender");
    print_member(session, "model");
    printf("%-9s %s UTC\n", "created", page_time(page_number(session, "created_ms"), when));
    printf("%-9s %s UTC\n", "updated", page_time(page_number(session, "updated_ms"), when));
}

static void print_text(struct json_value value)
{
    BUF_AUTO text = BUF_INIT(CONTROL_ANSWER_MAX);
    json_string(value, &text);
    page_print_raw(buf_span(&text));
    if (text.len && text.data[text.len - 1] != '\n')
        putchar('\n');
}

// The names and arguments of the calls, each on a line that `before` begins.
static void print_calls(struct json_value message, const char *before, const char *behind)
{
    struct json_value call;
    for (struct json_iter it = json_iter_init(json_get(message, "tool_calls"));
         json_iter_next(&it, NULL, &call);) {
        struct json_value function = json_get(call, "function");
        struct json_value holder = json_type(function) == JSON_OBJECT ? function : call;
        CLEANUP(mem_cleanup) char *name = page_cell(json_get(holder, "name"), "?", 80);
        CLEANUP(mem_cleanup) char *arguments = page_cell(json_get(holder, "arguments"), "", 400);
        printf("%s%s %s%s\n", before, name, arguments, behind);
    }
}

// "user, 2026-11-21 01:47" between the two.
static void print_speaker(struct json_value message, const char *before, const char *behind)
{
    char when[CLOCK_TEXT_SIZE];
    CLEANUP(mem_cleanup) char *role = page_cell(json_get(message, "role"), "?", 40);
    printf("\n%s%s, %s%s\n", before, role, page_time(page_number(message, "created_ms"), when),
           behind);
}

static void print_session(struct json_value session)
{
    struct json_value message;
    print_head(session);
    for (struct json_iter it = json_iter_init(json_get(session, "messages"));
         json_iter_next(&it, NULL, &message);) {
        print_speaker(message, page_colour("\033[1m"), page_colour("\033[0m"));
        print_text(json_get(message, "content"));
        print_calls(message, "· ", "");
    }
}

static void print_markdown(struct json_value session)
{
    struct json_value message;
    char when[CLOCK_TEXT_SIZE];
    CLEANUP(mem_cleanup)
    char *title = page_cell(json_get(session, "title"), "A conversation with Hermes", TEXT_MAX);
    printf("# %s\n\n", title);
    printf("Begun %s UTC", page_time(page_number(session, "created_ms"), when));
    printf(", last used %s UTC.\n", page_time(page_number(session, "updated_ms"), when));
    for (struct json_iter it = json_iter_init(json_get(session, "messages"));
         json_iter_next(&it, NULL, &message);) {
        const char *fence = json_is(json_get(message, "role"), "tool") ? "~~~~\n" : "";
        print_speaker(message, "## ", "\n");
        fputs(fence, stdout);
        print_text(json_get(message, "content"));
        fputs(fence, stdout);
        print_calls(message, "- `", "`");
    }
}

/* What is done with them */

static int ask_at(const struct arguments *arguments, const char *place, const char *id,
                  const char *method, struct buf *body, struct json *values, struct error *err)
{
    CLEANUP(mem_cleanup) char *home = NULL;
    BUF_AUTO path = BUF_INIT(URL_BYTES_MAX);
    buf_append_text(&path, place);
    if (id)
        url_encode(span_of(id), &path);
    if (buf_is_full(&path))
        return error_set(err, -EINVAL, "that is not a session's id");
    struct owner_question question = {.method = method, .path = buf_text(&path)};
    int r = settings_find_home(arguments, &home, err);
    return r < 0 ? r : owner_ask(home, &question, body, values, err);
}

static int ask(const struct arguments *arguments, const char *id, const char *method,
               struct buf *body, struct json *values, struct error *err)
{
    return ask_at(arguments, id ? "/sessions/" : "/sessions", id, method, body, values, err);
}

static int tell(const struct arguments *arguments, bool raw, void (*print)(struct json_value root),
                struct error *err)
{
    const char *id = arguments->word_count > 1 ? arguments->words[1] : NULL;
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    int r = ask(arguments, id, "GET", &body, &values, err);
    if (r < 0)
        return r;
    const char *file = arguments->values[OPTION_OUTPUT];
    umask(S_IRWXG | S_IRWXO);                // it is the owner's alone
    if (file && !freopen(file, "w", stdout)) // not sooner: what is there outlives a refusal
        return error_errno(err, errno, "cannot write %s", file);
    if (raw)
        page_print_raw(buf_span(&body)); // one line of JSON already
    else
        print(json_root(&values));
    if (page_flag(json_root(&values), "is_cut"))
        log_warning("this is the end of a longer session: the older messages are not shown");
    return 0;
}

static int list(const struct arguments *arguments, struct error *err)
{
    return tell(arguments, arguments->values[OPTION_JSON], print_list, err);
}

static int show(const struct arguments *arguments, struct error *err)
{
    return tell(arguments, arguments->values[OPTION_JSON], print_session, err);
}

static int export(const struct arguments *arguments, struct error *err)
{
    const char *format = arguments->values[OPTION_FORMAT];
    bool text = format ? strcmp(format, "md") == 0 : arguments->values[OPTION_MARKDOWN] != NULL;
    if (format && !text && strcmp(format, "json") != 0 && strcmp(format, "jsonl") != 0)
        return error_set(err, COMMAND_MISUSED, "sessions: --format is md, json or jsonl");
    return tell(arguments, !text, print_markdown, err);
}

static bool agrees(const char *question)
{
    char reply[REPLY_MAX] = "";
    fputs(question, stdout);
    fputs(" [y/N] ", stdout);
    fflush(stdout);
    return fgets(reply, sizeof reply, stdin) && (reply[0] == 'y' || reply[0] == 'Y');
}

// Shows what would go before it asks.
static bool is_wanted(struct json_value session)
{
    print_head(session);
    return agrees("Delete this session with all its messages?");
}

static int check_asking(const struct arguments *arguments, struct error *err)
{
    return arguments->values[OPTION_YES] || isatty(STDIN_FILENO)
               ? 0
               : error_set(err, -EINVAL, "there is no terminal to ask on: delete it with --yes");
}

static int prune(const struct arguments *arguments, struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    BUF_AUTO place = BUF_INIT(URL_BYTES_MAX);
    const char *days = arguments->values[OPTION_OLDER], *source = arguments->values[OPTION_SOURCE];
    if (!days)
        days = "90"; // as sessions.retention_days
    if (source && strcmp(source, "cli") == 0)
        source = "console"; // hermes-agent's word for it
    buf_append_text(&place, "/prune/");
    if (source)
        url_encode(span_of(source), &place);
    else
        buf_append_char(&place, '*');
    buf_append_char(&place, '/');
    if (buf_is_full(&place))
        return error_set(err, -EINVAL, "no name of a source is as long as that");
    int r = check_asking(arguments, err);
    if (r == 0)
        r = ask_at(arguments, buf_text(&place), days, "GET", &body, &values, err);
    if (r < 0)
        return r;
    int64_t count = page_number(json_root(&values), "sessions"), gone = 0;
    printf("%" PRId64 " sessions%s%s have ended and were not used for %s days.\n", count,
           source ? " of " : "", source ? source : "", days);
    bool more = count > 0 && (arguments->values[OPTION_YES] || agrees("Delete them?"));
    while (more) {
        r = ask_at(arguments, buf_text(&place), days, "DELETE", &body, &values, err);
        if (r < 0)
            return r;
        gone += page_number(json_root(&values), "sessions");
        more = page_flag(json_root(&values), "more");
    }
    printf("%" PRId64 " were deleted.\n", gone);
    return 0;
}

static int delete (const struct arguments *arguments, struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    bool sure = arguments->values[OPTION_YES] != NULL;
    int r = check_asking(arguments, err);
    if (r == 0)
        r = ask(arguments, arguments->words[1], "GET", &body, &values, err);
    if (r < 0)
        return r;
    if (!sure && !is_wanted(json_root(&values))) {
        puts("Nothing was deleted.");
        return 0;
    }
    // By its whole id: meanwhile the beginning may mean another one.
    CLEANUP(mem_cleanup) char *id = json_strdup(json_get(json_root(&values), "id"), URL_BYTES_MAX);
    if (!id)
        return error_set(err, -EPROTO, "the answer names no session");
    r = ask(arguments, id, "DELETE", &body, &values, err);
    if (r < 0)
        return r;
    printf("Deleted the session %s.\n", id);
    CLEANUP(mem_cleanup)
    char *reason = json_strdup(json_get(json_root(&values), "left_over"), ERROR_TEXT_MAX);
    if (reason)
        log_warning("its text may still be in free space of the database file (%s); hermes run or "
                    "hermes chat will clean the file when it can",
                    reason);
    return 0;
}

static const struct {
    const char *word;
    bool wants_id;
    int (*run)(const struct arguments *arguments, struct error *err);
} actions[] = {
    {"list", false, list},    {"show", true, show},    {"export", true, export},
    {"delete", true, delete}, {"prune", false, prune},
};

static int run(const struct arguments *arguments, struct error *err)
{
    const char *word = arguments->word_count ? arguments->words[0] : "list";
    const char *id = arguments->word_count > 1 ? arguments->words[1] : NULL;
    size_t i = 0;
    while (i < ARRAY_LEN(actions) && strcmp(actions[i].word, word) != 0)
        i++;
    if (i == ARRAY_LEN(actions))
        return error_set(err, COMMAND_MISUSED,
                         "sessions: \"%.64s\" is not one of list, show, export, delete, prune",
                         word);
    if (actions[i].wants_id != (id && *id))
        return error_set(err, COMMAND_MISUSED,
                         actions[i].wants_id
                             ? "sessions %s needs an id; hermes sessions list prints them"
                             : "sessions %s takes no id",
                         word);
    return actions[i].run(arguments, err);
}

const struct command command_sessions = {
    .name = "sessions",
    .words = "[list|show ID|export ID|delete ID|prune]",
    .summary = "List, show, export and delete conversations",
    .help = "list    the conversations, latest first (the default)\n"
            "show    one with its messages\n"
            "export  the same as a line of JSON, or as Markdown\n"
            "delete  one with its messages; asks first\n"
            "prune   all that have ended and were not used for 90 days; asks first\n\n"
            "The beginning of an ID is enough.\n",
    .takes_settings = true,
    COMMAND_OPTIONS({"json", 0, NULL, "list, show: as JSON, for programs"},
                    {"markdown", 0, NULL, "export: as Markdown instead of a line of JSON"},
                    {"yes", 'y', NULL, "delete, prune: without asking"},
                    {"format", 0, "md|json|jsonl", "export: Markdown, or a line of JSON"},
                    {"output", 'o', "FILE", "export: into this file, which only you can read"},
                    {"older-than", 0, "DAYS", "prune: not used for so many days"},
                    {"source", 0, "NAME", "prune: only of telegram, console, api, cron, ..."}),
    .max_words = 2,
    .run = run,
};
