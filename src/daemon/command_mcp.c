#include "daemon/command_mcp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/document.h"
#include "codec/suggest.h"
#include "codec/visible.h"
#include "daemon/command.h"
#include "daemon/mcp_owner.h"
#include "daemon/page.h"
#include "serve/control.h"

// The owner's view of the MCP servers.
enum {
    NAME_WIDTH = 20,
    STATE_WIDTH = 11,
    VERSION_WIDTH = 11,
    TEXT_WIDTH = 400, // columns of a sentence
};

enum { OPTION_JSON = OPTION_FIRST_OWN };

/* Showing */

static void print_server(struct json_value server)
{
    CLEANUP(mem_cleanup) char *name = page_cell(json_get(server, "name"), "?", NAME_WIDTH - 1);
    CLEANUP(mem_cleanup) char *state = page_cell(json_get(server, "state"), "?", STATE_WIDTH - 1);
    CLEANUP(mem_cleanup)
    char *version = page_cell(json_get(server, "version"), "-", VERSION_WIDTH - 1);
    CLEANUP(mem_cleanup) char *software = page_cell(json_get(server, "software"), "", NAME_WIDTH);
    CLEANUP(mem_cleanup)
    char *release = page_cell(json_get(server, "software_version"), "", NAME_WIDTH);
    CLEANUP(mem_cleanup) char *error = page_cell(json_get(server, "error"), "", TEXT_WIDTH);
    int64_t changed = page_number(server, "changed");
    page_pad(name, NAME_WIDTH);
    page_pad(state, STATE_WIDTH);
    page_pad(version, VERSION_WIDTH);
    printf("%5" PRId64 "  %s%s%s\n", page_number(server, "tools"), software, *release ? " " : "",
           release);
    if (*error)
        printf("  %s\n", error);
    if (changed)
        printf("  %" PRId64 " tools have changed what they say of themselves, and wait: see "
               "hermes mcp tools %s, then hermes mcp accept %s\n",
               changed, name, name);
}

static void print_head(void)
{
    page_pad("SERVER", NAME_WIDTH);
    page_pad("STATE", STATE_WIDTH);
    page_pad("PROTOCOL", VERSION_WIDTH);
    printf("%5s  %s\n", "TOOLS", "SOFTWARE");
}

static void print_list(struct json_value root)
{
    struct json_value list = json_get(root, "mcp_servers"), server;
    if (json_count(list) == 0) {
        puts("No MCP servers are configured; docs/mcp.md says how.");
        return;
    }
    print_head();
    for (struct json_iter it = json_iter_init(list); json_iter_next(&it, NULL, &server);)
        print_server(server);
}

// Whole, since it is to be judged.
static void print_whole(const char *label, struct json_value value)
{
    BUF_AUTO text = BUF_INIT(CONTROL_ANSWER_MAX);
    BUF_AUTO shown = BUF_INIT(CONTROL_ANSWER_MAX);
    if (!json_string(value, &text))
        buf_append_span(&text, json_raw(value));
    visible_write(buf_span(&text), "\n\r", ' ', &shown);
    if (shown.len)
        printf("  %s: %s\n", label, buf_text(&shown));
}

static void print_tool(struct json_value tool)
{
    CLEANUP(mem_cleanup) char *original = page_cell(json_get(tool, "original"), "?", TEXT_WIDTH);
    CLEANUP(mem_cleanup) char *state = page_cell(json_get(tool, "state"), "?", TEXT_WIDTH);
    CLEANUP(mem_cleanup) char *why = page_cell(json_get(tool, "why"), "", TEXT_WIDTH);
    CLEANUP(mem_cleanup) char *text = page_cell(json_get(tool, "description"), "", TEXT_WIDTH);
    const char *kind = page_flag(tool, "asks")    ? "asks first"
                       : page_flag(tool, "reads") ? "reads"
                                                  : "acts";
    printf("%s%s%s (%s%s%s%s%s)\n  %s\n", page_colour("\033[1m"), original, page_colour("\033[0m"),
           kind, strcmp(state, "offered") == 0 ? "" : ", ",
           strcmp(state, "offered") == 0 ? "" : state, *why ? ": " : "", why, text);
    if (strcmp(state, "changed") != 0)
        return;
    print_whole("it said", json_get(tool, "was_description"));
    print_whole("it says now", json_get(tool, "description"));
    print_whole("its parameters were", json_get(tool, "was_parameters"));
    print_whole("its parameters are now", json_get(tool, "parameters"));
}

static void print_tools(struct json_value root)
{
    struct json_value list = json_get(root, "list"), tool;
    print_head();
    print_server(json_get(root, "server"));
    for (struct json_iter it = json_iter_init(list); json_iter_next(&it, NULL, &tool);)
        print_tool(tool);
}

/* What is done */

// One question, and nothing more.
static int ask(const struct arguments *arguments, const char *server, struct span body,
               struct buf *ret_body, struct json *values, struct error *err)
{
    CLEANUP(mcp_owner_finish) struct mcp_owner owner = {.arguments = arguments, .server = server};
    return mcp_owner_ask(&owner, body, ret_body, values, err);
}

static int tell(const struct arguments *arguments, const char *server,
                void (*print)(struct json_value root), struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    int r = ask(arguments, server, SPAN_ABSENT, &body, &values, err);
    if (r < 0)
        return r;
    if (arguments->values[OPTION_JSON])
        page_print_raw(buf_span(&body));
    else
        print(json_root(&values));
    return 0;
}

static int list(const struct arguments *arguments, struct error *err)
{
    return tell(arguments, NULL, print_list, err);
}

static int tools(const struct arguments *arguments, struct error *err)
{
    return tell(arguments, arguments->words[1], print_tools, err);
}

static int post(const struct arguments *arguments, const char *what, struct buf *ret_body,
                struct json *values, struct error *err)
{
    CLEANUP(mem_cleanup) char *body = mem_printf("{\"do\":\"%s\"}", what);
    return ask(arguments, arguments->words[1], span_of(body), ret_body, values, err);
}

static int accept(const struct arguments *arguments, struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    int r = post(arguments, "accept", &body, &values, err);
    if (r < 0)
        return r;
    printf("Took the tools of %s as they are now; %" PRId64 " of them had waited.\n",
           arguments->words[1], page_number(json_root(&values), "tools"));
    return 0;
}

static int reconnect(const struct arguments *arguments, struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    int r = post(arguments, "reconnect", &body, &values, err);
    if (r == 0)
        printf("Connecting %s anew; hermes mcp list shows what comes of it.\n",
               arguments->words[1]);
    return r;
}

static int log_out(const struct arguments *arguments, struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    int r = post(arguments, "logout", &body, &values, err);
    if (r == 0)
        printf("Forgot what %s had granted.\n", arguments->words[1]);
    return r;
}

static void print_trial(struct json_value server)
{
    CLEANUP(mem_cleanup) char *where = page_cell(json_get(server, "where"), "?", TEXT_WIDTH);
    CLEANUP(mem_cleanup) char *tried = page_cell(json_get(server, "tried"), "", TEXT_WIDTH);
    CLEANUP(mem_cleanup) char *era = page_cell(json_get(server, "era"), "", TEXT_WIDTH);
    int64_t connect_ms = page_number(server, "connect_ms"), offered = page_number(server, "tools");
    int64_t left_out = page_number(server, "excluded") + page_number(server, "changed") +
                       page_number(server, "quarantined");
    print_server(server);
    printf("  %s\n", where);
    if (*tried)
        printf("  tried before: %s\n", tried);
    if (*era)
        printf("  connected, of the %s era, after %" PRId64 " ms\n"
               "  %" PRId64 " of %" PRId64 " tools are offered; they were listed after another "
               "%" PRId64 " ms\n",
               era, connect_ms, offered, offered + left_out, page_number(server, "list_ms"));
    else if (json_is(json_get(server, "state"), "waiting"))
        printf("  not connected, after %" PRId64 " ms\n", connect_ms);
}

static int test(const struct arguments *arguments, struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    const char *name = arguments->word_count > 1 ? arguments->words[1] : NULL;
    struct mcp_owner owner = {.arguments = arguments, .server = name, .connects = true};
    int r = mcp_owner_ask(&owner, SPAN_LITERAL("{\"do\":\"test\"}"), &body, &values, err);
    mcp_owner_finish(&owner);
    if (r < 0)
        return r;
    struct json_value server;
    bool failed = false;
    if (arguments->values[OPTION_JSON])
        page_print_raw(buf_span(&body));
    else
        print_head();
    for (struct json_iter it = json_iter_init(json_get(json_root(&values), "mcp_servers"));
         json_iter_next(&it, NULL, &server);) {
        if (name && !json_is(json_get(server, "name"), name))
            continue;
        bool off = json_is(json_get(server, "state"), "off");
        failed = failed || (!off && !json_is(json_get(server, "state"), "ready"));
        if (!arguments->values[OPTION_JSON])
            print_trial(server);
    }
    return failed ? EXIT_FAILED : EXIT_OK;
}

static int call(const struct arguments *arguments, struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    BUF_AUTO wanted = BUF_INIT(CONTROL_MESSAGE_MAX);
    BUF_AUTO text = BUF_INIT(CONTROL_ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    DOCUMENT_AUTO doc = DOCUMENT_INIT(CONTROL_MESSAGE_MAX);
    const char *given = arguments->word_count > 3 ? arguments->words[3] : "{}";
    if (json_parse(&values, span_of(given), err) < 0 ||
        json_type(json_root(&values)) != JSON_OBJECT)
        return error_set(
            err, COMMAND_MISUSED,
            "the arguments must be a JSON object, as in '{\"namespace\": \"default\"}'");
    struct node root = document_object(&doc);
    node_add_text(root, "do", "call");
    node_add_text(root, "tool", arguments->words[2]);
    node_add_raw(root, "arguments", span_of(given));
    int r = document_print(&doc, &wanted, err);
    if (r == 0)
        r = ask(arguments, arguments->words[1], buf_span(&wanted), &body, &values, err);
    if (r < 0)
        return r;
    if (arguments->values[OPTION_JSON]) {
        page_print_raw(buf_span(&body));
    } else {
        json_string(json_get(json_root(&values), "text"), &text);
        buf_append_char(&text, '\n');
        page_print_raw(buf_span(&text));
    }
    return page_flag(json_root(&values), "failed") ? EXIT_FAILED : EXIT_OK;
}

static const struct {
    const char *word;
    size_t least, most; // words, itself included
    const char *usage;
    int (*run)(const struct arguments *arguments, struct error *err);
} actions[] = {
    {"list", 1, 1, "list", list},
    {"tools", 2, 2, "tools SERVER", tools},
    {"call", 3, 4, "call SERVER TOOL ['{\"name\": \"value\"}']", call},
    {"accept", 2, 2, "accept SERVER", accept},
    {"reconnect", 2, 2, "reconnect SERVER", reconnect},
    {"login", 2, 2, "login SERVER", mcp_login},
    {"logout", 2, 2, "logout SERVER", log_out},
    {"test", 1, 2, "test [SERVER]", test},
    {"serve", 1, 1, "serve", command_mcp_serve},
};

enum { ACTIONS = ARRAY_LEN(actions) };

static int run(const struct arguments *arguments, struct error *err)
{
    const char *word = arguments->word_count ? arguments->words[0] : "list";
    const char *names[ACTIONS];
    for (size_t i = 0; i < ACTIONS; i++) {
        names[i] = actions[i].word;
        size_t words = arguments->word_count ? arguments->word_count : 1;
        if (strcmp(word, names[i]) != 0)
            continue;
        if (words < actions[i].least || words > actions[i].most)
            return error_set(err, COMMAND_MISUSED, "it is: hermes mcp %s", actions[i].usage);
        return actions[i].run(arguments, err);
    }
    const char *near = suggest_nearest(span_of(word), names, ACTIONS);
    return error_set(err, COMMAND_MISUSED, "mcp: there is no \"%.40s\"%s%s%s (hermes help mcp)",
                     word, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

const struct command command_mcp = {
    .name = "mcp",
    .words = "[list|tools|call|test|accept|reconnect|login|logout|serve]",
    .summary = "Use servers of the Model Context Protocol, or be one",
    .help =
        "list               the configured servers: their state, protocol, tools, last error\n"
        "tools SERVER       its tools, and which of them are offered\n"
        "call SERVER TOOL ['{\"name\": \"value\"}']\n"
        "                   calls a tool, as you: nothing is asked\n"
        "test [SERVER]      connects it anew, or all, and says what was tried and how long it\n"
        "                   took\n"
        "accept SERVER      takes its tools as they are now, after they have changed\n"
        "reconnect SERVER   ends its connection and makes another\n"
        "login SERVER       lets it know you, by a page in a browser (OAuth)\n"
        "logout SERVER      forgets what it has granted\n"
        "serve              speaks MCP over standard input and output: Hermes' tools that only\n"
        "                   read, the agent as the tool ask, sessions and memory files as\n"
        "                   resources\n"
        "\n"
        "Servers are configured under mcp_servers (docs/mcp.md). With a running hermes these\n"
        "commands ask it; else they do the work themselves.\n",
    .takes_settings = true,
    COMMAND_OPTIONS({"json", 0, NULL, "as JSON, for programs"}),
    .max_words = 4,
    .run = run,
};
