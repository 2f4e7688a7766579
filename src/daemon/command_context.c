#include <inttypes.h>
#include <stdio.h>

#include "agent/dispatcher.h"
#include "base/mem.h"
#include "codec/document.h"
#include "daemon/app.h"
#include "daemon/command.h"
#include "daemon/control_client.h"
#include "daemon/page.h"
#include "store/store.h"

enum {
    ANSWER_MAX = 4 << 20, // bytes
    TREE_MAX = 16 << 20,  // bytes of memory
    NAME_WIDTH = 28,
    CELL_MAX = 4096, // bytes
};

enum { OPTION_JSON = OPTION_FIRST_OWN };

static const struct command_option options[] = {
    COMMAND_CONFIG_OPTIONS,
    {"json", 0, NULL, "as JSON, for programs"},
    COMMAND_OPTIONS_END,
};

static void print_row(const char *name, struct node sizes)
{
    page_pad(span_of(name), NAME_WIDTH, stdout);
    printf("%9" PRId64 " %9" PRId64 "\n", page_count(sizes, "bytes"),
           page_count(sizes, "approximate_tokens"));
}

// The parts of an array, each by its name and, where it has one, its source.
static void print_parts(struct node parts, const char *before)
{
    for (struct node part = node_first(parts); part.item; part = node_next(part)) {
        BUF_AUTO name = BUF_INIT(CELL_MAX);
        bool has_source = node_type(node_get(part, "source")) == JSON_STRING;
        buf_append_text(&name, before);
        page_node(node_get(part, "name"), "?", NAME_WIDTH - 4, &name);
        buf_append_text(&name, has_source ? " (" : "");
        page_node(node_get(part, "source"), "", NAME_WIDTH - 4, &name);
        buf_append_text(&name, has_source ? ")" : "");
        print_row(buf_text(&name), part);
    }
}

static void print_page(struct node root)
{
    struct node total = node_get(root, "total");
    page_pad(SPAN_LITERAL("a first message carries"), NAME_WIDTH, stdout);
    printf("%9s %9s\n", "bytes", "~tokens");
    print_parts(node_get(root, "prompt"), "");
    print_parts(node_get(root, "tools"), "tool ");
    print_row("total", total);
    puts("~ is bytes / 4, not a count");
}

// Without an owner this process is it, for a moment.
static int measure_here(const struct arguments *arguments, struct buf *ret_json, struct error *err)
{
    struct app app = {.home = HOME_INIT, .streaming = true};
    int r = app_start(&app, arguments, err);
    if (r < 0)
        return r;
    store_wait(app.store);
    dispatcher_context(app.dispatcher, ret_json);
    buf_append_char(ret_json, '\n');
    app_stop(&app);
    return 0;
}

static int ask(const struct arguments *arguments, struct buf *ret_json, struct error *err)
{
    CLEANUP(mem_cleanup) char *home = NULL;
    int r = settings_find_home(arguments, &home, err);
    if (r == 0)
        r = control_client_ask(home, "GET", "/context", ret_json, err);
    return r == CONTROL_NO_OWNER ? measure_here(arguments, ret_json, err) : r;
}

static int run(const struct arguments *arguments, struct error *err)
{
    BUF_AUTO answer = BUF_INIT(ANSWER_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TREE_MAX);
    int r = ask(arguments, &answer, err);
    if (r == 0)
        r = document_read(&doc, buf_span(&answer), err);
    if (r < 0)
        return r;
    if (arguments->values[OPTION_JSON])
        page_print_raw(buf_span(&answer));
    else
        print_page(document_root(&doc));
    return EXIT_OK;
}

const struct command command_context = {
    .name = "context",
    .summary = "Show the size of a first message, part by part",
    .help = "Lists what every conversation sends to the model first: the prompt's parts, the\n"
            "memories and each tool, in bytes and estimated tokens. In a running\n"
            "conversation, /context prints the same.\n",
    .options = options,
    .run = run,
};
