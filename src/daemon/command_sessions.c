#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/url.h"
#include "daemon/command.h"
#include "daemon/owner.h"
#include "daemon/page.h"
#include "daemon/session_page.h"
#include "daemon/settings.h"
#include "daemon/terminal.h"
#include "serve/control.h"

enum { REPLY_MAX = 16 }; // bytes of an answer to a question

enum { OPTION_JSON = OPTION_FIRST_OWN, OPTION_MARKDOWN, OPTION_YES };

static const struct command_option options[] = {
    COMMAND_CONFIG_OPTIONS,
    {"json", 0, NULL, "list, show: as JSON, for programs"},
    {"markdown", 0, NULL, "export: as Markdown instead of a line of JSON"},
    {"yes", 'y', NULL, "delete: without asking"},
    COMMAND_OPTIONS_END,
};

struct request {
    const struct arguments *arguments;
    const char *home;
    const char *id; // as it was given; NULL: none
};

// The answer's JSON, parsed; the body outlives the document.
static int ask(const struct request *request, const char *method, struct buf *body,
               struct json *document, struct error *err)
{
    BUF_AUTO path = BUF_INIT(URL_BYTES_MAX);
    buf_append_text(&path, "/sessions");
    if (request->id) {
        buf_append_char(&path, '/');
        url_encode(span_of(request->id), &path);
    }
    if (buf_is_full(&path))
        return error_set(err, -EINVAL, "that is not a session's id");
    int r = owner_ask(request->home, method, buf_text(&path), body, err);
    return r == 0 ? json_parse(document, buf_span(body), err) : r;
}

static void tell_cut(struct json_value session)
{
    bool is_cut = false;
    if (json_bool(json_get(session, "is_cut"), &is_cut) && is_cut)
        log_warning("this is the end of a longer session: the older messages are not shown");
}

static int tell(const struct request *request, bool raw, void (*print)(struct json_value root),
                struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO document = JSON_INIT;
    int r = ask(request, "GET", &body, &document, err);
    if (r < 0)
        return r;
    if (raw)
        page_print_raw(buf_span(&body)); // one line of JSON already
    else
        print(json_root(&document));
    tell_cut(json_root(&document));
    return 0;
}

static void print_list(struct json_value root)
{
    session_page_list(json_get(root, "sessions"), terminal_columns());
}

static int list(const struct request *request, struct error *err)
{
    return tell(request, request->arguments->values[OPTION_JSON], print_list, err);
}

static int show(const struct request *request, struct error *err)
{
    return tell(request, request->arguments->values[OPTION_JSON], session_page_show, err);
}

static int export(const struct request *request, struct error *err)
{
    return tell(request, !request->arguments->values[OPTION_MARKDOWN], session_page_markdown, err);
}

// Shows what would go before it asks.
static bool is_wanted(struct json_value session)
{
    char reply[REPLY_MAX] = "";
    session_page_head(session);
    fputs("Delete this session with all its messages? [y/N] ", stdout);
    fflush(stdout);
    return fgets(reply, sizeof reply, stdin) && (reply[0] == 'y' || reply[0] == 'Y');
}

static void warn_of_remains(struct json_value answer)
{
    CLEANUP(mem_cleanup) char *reason = json_strdup(json_get(answer, "left_over"), ERROR_TEXT_MAX);
    if (reason)
        log_warning("its text may still be in free space of the database file (%s); hermes run or "
                    "hermes chat will clean the file when it can",
                    reason);
}

static int delete (const struct request *request, struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    BUF_AUTO done = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO document = JSON_INIT;
    JSON_AUTO answer = JSON_INIT;
    bool sure = request->arguments->values[OPTION_YES] != NULL;
    if (!sure && !isatty(STDIN_FILENO))
        return error_set(err, -EINVAL, "there is no terminal to ask on: delete it with --yes");
    int r = ask(request, "GET", &body, &document, err);
    if (r < 0)
        return r;
    if (!sure && !is_wanted(json_root(&document))) {
        puts("Nothing was deleted.");
        return 0;
    }
    // By its whole id: meanwhile the beginning may mean another one.
    CLEANUP(mem_cleanup)
    char *id = json_strdup(json_get(json_root(&document), "id"), URL_BYTES_MAX);
    struct request whole = {request->arguments, request->home, id};
    r = id ? ask(&whole, "DELETE", &done, &answer, err)
           : error_set(err, -EPROTO, "the answer names no session");
    if (r == 0) {
        printf("Deleted the session %s.\n", id);
        warn_of_remains(json_root(&answer));
    }
    return r;
}

static const struct {
    const char *word;
    bool wants_id;
    int (*run)(const struct request *request, struct error *err);
} actions[] = {
    {"list", false, list},
    {"show", true, show},
    {"export", true, export},
    {"delete", true, delete},
};

static int run(const struct arguments *arguments, struct error *err)
{
    const char *word = arguments->word_count ? arguments->words[0] : "list";
    const char *id = arguments->word_count > 1 ? arguments->words[1] : NULL;
    CLEANUP(mem_cleanup) char *home = NULL;
    size_t i = 0;
    while (i < ARRAY_LEN(actions) && strcmp(actions[i].word, word) != 0)
        i++;
    if (i == ARRAY_LEN(actions))
        return error_set(err, COMMAND_MISUSED,
                         "sessions: \"%.64s\" is not one of list, show, export, delete", word);
    if (actions[i].wants_id != (id && *id))
        return error_set(err, COMMAND_MISUSED,
                         actions[i].wants_id
                             ? "sessions %s needs an id; hermes sessions list prints them"
                             : "sessions %s takes no id",
                         word);
    int r = settings_find_home(arguments, &home, err);
    return r < 0 ? r : actions[i].run(&(struct request){arguments, home, id}, err);
}

const struct command command_sessions = {
    .name = "sessions",
    .words = "[list|show ID|export ID|delete ID]",
    .summary = "List, show, export and delete conversations",
    .help = "list    the conversations, latest first (the default)\n"
            "show    one with its messages\n"
            "export  the same as a line of JSON, or with --markdown as text\n"
            "delete  one with its messages; asks first\n\n"
            "The beginning of an ID is enough.\n",
    .options = options,
    .max_words = 2,
    .run = run,
};
