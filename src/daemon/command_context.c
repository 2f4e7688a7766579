#include <inttypes.h>
#include <stdio.h>

#include "agent/dispatcher.h"
#include "base/mem.h"
#include "daemon/app.h"
#include "daemon/command.h"
#include "daemon/control_client.h"
#include "daemon/page.h"
#include "store/store.h"

enum {
    ANSWER_MAX = 4 << 20, // bytes
    NAME_WIDTH = 28,
};

enum { OPTION_JSON = OPTION_FIRST_OWN };

static void print_row(const char *name, struct json_value sizes)
{
    page_pad(name, NAME_WIDTH);
    printf("%9" PRId64 " %9" PRId64 "\n", page_number(sizes, "bytes"),
           page_number(sizes, "approximate_tokens"));
}

// The parts of an array, each by its name and, where it has one, its source.
static void print_parts(struct json_value parts, const char *before)
{
    struct json_value part;
    for (struct json_iter it = json_iter_init(parts); json_iter_next(&it, NULL, &part);) {
        bool has_source = json_type(json_get(part, "source")) == JSON_STRING;
        CLEANUP(mem_cleanup) char *name = page_cell(json_get(part, "name"), "?", NAME_WIDTH - 4);
        CLEANUP(mem_cleanup) char *source = page_cell(json_get(part, "source"), "", NAME_WIDTH - 4);
        CLEANUP(mem_cleanup)
        char *cell = mem_printf("%s%s%s%s%s", before, name, has_source ? " (" : "", source,
                                has_source ? ")" : "");
        print_row(cell, part);
    }
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

static int run(const struct arguments *arguments, struct error *err)
{
    BUF_AUTO answer = BUF_INIT(ANSWER_MAX);
    JSON_AUTO values = JSON_INIT;
    CLEANUP(mem_cleanup) char *home = NULL;
    int r = settings_find_home(arguments, &home, err);
    if (r == 0)
        r = control_client_ask(home, "GET", "/context", &answer, err);
    if (r == CONTROL_NO_OWNER)
        r = measure_here(arguments, &answer, err);
    if (r == 0)
        r = json_parse(&values, buf_span(&answer), err);
    if (r < 0)
        return r;
    struct json_value root = json_root(&values);
    if (arguments->values[OPTION_JSON]) {
        page_print_raw(buf_span(&answer));
    } else {
        page_pad("a first message carries", NAME_WIDTH);
        printf("%9s %9s\n", "bytes", "~tokens");
        print_parts(json_get(root, "prompt"), "");
        print_parts(json_get(root, "tools"), "tool ");
        print_row("total", json_get(root, "total"));
        puts("~ is bytes / 4, not a count");
    }
    return EXIT_OK;
}

const struct command command_context = {
    .name = "context",
    .summary = "Show the size of a first message, part by part",
    .help = "Lists what every conversation sends to the model first: the prompt's parts, the\n"
            "memories and each tool, in bytes and estimated tokens. In a running\n"
            "conversation, /context prints the same.\n",
    .takes_settings = true,
    COMMAND_OPTIONS({"json", 0, NULL, "as JSON, for programs"}),
    .run = run,
};
