#include "daemon/session_page.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/colour.h"
#include "daemon/page.h"
#include "serve/control.h"

enum {
    CELL_MAX = 4096, // bytes
    ID_SHOWN = 12,   // columns; a beginning is enough to name one
    CHANNEL_SHOWN = 18,
    CHAT_SHOWN = 10,
    THREAD_SHOWN = 5,
    TITLE_LEAST = 20,
    OTHERS = 58, // columns of all but the title
};

static void print_chat(struct json_value session)
{
    BUF_AUTO both = BUF_INIT(CELL_MAX);
    page_cell(json_get(session, "channel"), "?", CHANNEL_SHOWN, &both);
    if (json_count(session) && !json_is(json_get(session, "channel"), "console")) {
        bool threaded = json_type(json_get(session, "thread")) == JSON_STRING;
        buf_append_char(&both, ' ');
        page_cell(json_get(session, "chat"), "", CHAT_SHOWN - (threaded ? THREAD_SHOWN + 1 : 0),
                  &both);
        if (threaded) {
            buf_append_char(&both, '/');
            page_cell(json_get(session, "thread"), "", THREAD_SHOWN, &both);
        }
    }
    page_pad(buf_span(&both), CHANNEL_SHOWN, stdout);
}

static void print_row(struct json_value session, size_t title_width)
{
    BUF_AUTO title = BUF_INIT(CELL_MAX);
    char when[CLOCK_TEXT_SIZE];
    // The beginning of an id, which is typed back and so must not end in "…".
    BUF_AUTO id = BUF_INIT(CELL_MAX);
    page_cell(json_get(session, "id"), "?", CELL_MAX, &id);
    printf("%-*.*s  ", ID_SHOWN, ID_SHOWN, buf_text(&id));
    printf("%-16s  ", page_time(page_number(session, "updated_ms"), when));
    print_chat(session);
    printf("%5" PRId64 "  ", page_number(session, "turns"));
    page_cell(json_get(session, "title"), "-", title_width, &title);
    puts(buf_text(&title));
}

void session_page_list(struct json_value sessions, size_t columns)
{
    struct json_iter it = json_iter_init(sessions);
    struct json_value session;
    size_t title_width = columns > OTHERS + TITLE_LEAST ? columns - OTHERS : TITLE_LEAST;
    if (json_count(sessions) == 0) {
        puts("There are no sessions yet.");
        return;
    }
    printf("%-*s  %-16s  %-*s%5s  %s\n", ID_SHOWN, "ID", "LAST USED, UTC", CHANNEL_SHOWN, "WHERE",
           "TURNS", "TITLE");
    while (json_iter_next(&it, NULL, &session))
        print_row(session, title_width);
}

static void print_member(struct json_value object, const char *key, const char *label)
{
    BUF_AUTO text = BUF_INIT(CELL_MAX);
    page_cell(json_get(object, key), "-", CELL_MAX / 4, &text);
    printf("%-9s %s\n", label, buf_text(&text));
}

void session_page_head(struct json_value session)
{
    char when[CLOCK_TEXT_SIZE];
    print_member(session, "id", "id");
    print_member(session, "title", "title");
    print_member(session, "channel", "channel");
    print_member(session, "chat", "chat");
    if (json_type(json_get(session, "thread")) == JSON_STRING)
        print_member(session, "thread", "thread");
    if (json_type(json_get(session, "sender")) == JSON_STRING)
        print_member(session, "sender", "sender");
    print_member(session, "model", "model");
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
    struct json_iter it = json_iter_init(json_get(message, "tool_calls"));
    struct json_value call;
    while (json_iter_next(&it, NULL, &call)) {
        BUF_AUTO name = BUF_INIT(CELL_MAX);
        BUF_AUTO arguments = BUF_INIT(CELL_MAX);
        struct json_value function = json_get(call, "function");
        struct json_value holder = json_type(function) == JSON_OBJECT ? function : call;
        page_cell(json_get(holder, "name"), "?", 80, &name);
        page_cell(json_get(holder, "arguments"), "", 400, &arguments);
        printf("%s%s %s%s\n", before, buf_text(&name), buf_text(&arguments), behind);
    }
}

void session_page_show(struct json_value session)
{
    bool colours = colour_wanted(STDOUT_FILENO);
    struct json_iter it = json_iter_init(json_get(session, "messages"));
    struct json_value message;
    char when[CLOCK_TEXT_SIZE];
    session_page_head(session);
    while (json_iter_next(&it, NULL, &message)) {
        BUF_AUTO role = BUF_INIT(CELL_MAX);
        page_cell(json_get(message, "role"), "?", 40, &role);
        printf("\n%s%s, %s%s\n", colours ? "\033[1m" : "", buf_text(&role),
               page_time(page_number(message, "created_ms"), when), colours ? "\033[0m" : "");
        print_text(json_get(message, "content"));
        print_calls(message, "· ", "");
    }
}

void session_page_markdown(struct json_value session)
{
    BUF_AUTO title = BUF_INIT(CELL_MAX);
    struct json_iter it = json_iter_init(json_get(session, "messages"));
    struct json_value message;
    char when[CLOCK_TEXT_SIZE];
    page_cell(json_get(session, "title"), "A conversation with Hermes", CELL_MAX / 4, &title);
    printf("# %s\n\n", buf_text(&title));
    printf("Begun %s UTC", page_time(page_number(session, "created_ms"), when));
    printf(", last used %s UTC.\n", page_time(page_number(session, "updated_ms"), when));
    while (json_iter_next(&it, NULL, &message)) {
        BUF_AUTO role = BUF_INIT(CELL_MAX);
        page_cell(json_get(message, "role"), "?", 40, &role);
        printf("\n## %s, %s\n\n", buf_text(&role),
               page_time(page_number(message, "created_ms"), when));
        bool is_tool = json_is(json_get(message, "role"), "tool");
        if (is_tool)
            puts("~~~~");
        print_text(json_get(message, "content"));
        if (is_tool)
            puts("~~~~");
        print_calls(message, "- `", "`");
    }
}
