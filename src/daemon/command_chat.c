#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/dispatcher.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "channels/console.h"
#include "daemon/app.h"
#include "daemon/command.h"
#include "daemon/control_client.h"
#include "daemon/page.h"
#include "daemon/remote_conversation.h"
#include "daemon/terminal.h"
#include "loop/signals.h"

enum {
    KEYS_CHUNK = 4096,    // bytes a read
    STATUS_MAX = 1 << 20, // bytes
    MODEL_SHOWN = 100,    // columns
};

enum { OPTION_QUESTION = OPTION_FIRST_OWN, OPTION_NO_STREAM };

enum { CHAT_NAME_SIZE = 17 }; // hex digits and a NUL

/*
 * Where a hermes owns the home, it answers, and this process is only its terminal; else this
 * process is the owner for as long as it lasts. Either way each one is a conversation of its own.
 */
struct chat {
    struct app app;                     // unless `remote`
    struct remote_conversation *remote; // NULL: this process answers
    char name[CHAT_NAME_SIZE];          // of the conversation
    char *model;                        // the remote one's
    struct loop *loop;
    struct signals signals;
    struct console *console;
    loop_id keys;
    int status;
};

static void on_exit_status(void *context, enum console_exit status)
{
    struct chat *chat = context;
    if (chat->status == EXIT_OK)
        chat->status = (int)status;
    loop_stop(chat->loop);
}

static void on_signal(void *context, int number)
{
    struct chat *chat = context;
    if (number == SIGWINCH) {
        console_resize(chat->console, terminal_columns());
    } else if (number == SIGINT) {
        console_interrupt(chat->console);
    } else { // the turn is cancelled and written down, then the console leaves
        chat->status = 128 + number;
        console_hang_up(chat->console);
        console_interrupt(chat->console);
    }
}

static void on_keys(void *context, int fd, unsigned events)
{
    struct chat *chat = context;
    char keys[KEYS_CHUNK];
    ssize_t n = read(fd, keys, sizeof keys);
    if (n > 0) {
        console_keys(chat->console, span_make(keys, (size_t)n));
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        loop_unwatch(chat->loop, chat->keys);
        console_hang_up(chat->console);
    }
}

static void greet(const struct chat *chat)
{
    const struct endpoint *endpoint = &chat->app.endpoint;
    printf("Hermes %s%s, model ", HERMES_VERSION, chat->remote ? " (already running)" : "");
    page_print_raw(span_of(chat->remote ? chat->model : endpoint->name));
    if (!chat->remote && *endpoint->base_url) {
        printf(" at ");
        page_print_raw(span_of(endpoint->base_url));
    }
    puts(". /help for help, Ctrl-D to leave.");
    fflush(stdout);
}

static int say_here(void *context, struct span text, turn_event_fn *on_event, void *event_context,
                    struct error *err)
{
    struct chat *chat = context;
    return dispatcher_say(chat->app.dispatcher, "console", chat->name, text, on_event,
                          event_context, err);
}

static void stop_here(void *context)
{
    struct chat *chat = context;
    dispatcher_stop(chat->app.dispatcher, "console", chat->name);
}

// What was said on the command line about an answer that another process gives.
static void tell_ignored(const struct arguments *arguments)
{
    bool model = arguments->values[OPTION_MODEL] != NULL;
    bool config = arguments->values[OPTION_CONFIG] != NULL;
    bool whole = arguments->values[OPTION_NO_STREAM] != NULL;
    if (model || config || whole)
        log_info("the hermes running in this home answers, with its own configuration and model; "
                 "ignored:%s%s%s",
                 config ? " --config" : "", model ? " --model" : "", whole ? " --no-stream" : "");
}

// CONTROL_NO_OWNER when nobody else can answer.
static int start_remote(struct chat *chat, const struct arguments *arguments, struct error *err)
{
    BUF_AUTO answer = BUF_INIT(STATUS_MAX);
    JSON_AUTO status = JSON_INIT;
    CLEANUP(mem_cleanup) char *home = NULL;
    int r = settings_find_home(arguments, &home, err);
    if (r == 0)
        r = control_client_ask(home, "GET", "/status", &answer, err);
    if (r == 0)
        r = loop_create(&clock_system, &chat->loop, err);
    if (r == 0)
        r = remote_conversation_create(chat->loop, home, chat->name, &chat->remote, err);
    if (r == 0) {
        json_parse(&status, buf_span(&answer), NULL);
        chat->model = page_cell(json_get(json_root(&status), "model"), "unknown", MODEL_SHOWN);
        tell_ignored(arguments);
    }
    return r;
}

static int start(struct chat *chat, const struct arguments *arguments, struct error *err)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
    random_hex(chat->name, sizeof chat->name);
    int r = start_remote(chat, arguments, err);
    if (r == CONTROL_NO_OWNER) {
        chat->app.streaming = !arguments->values[OPTION_NO_STREAM];
        r = app_start(&chat->app, arguments, err);
        chat->loop = chat->app.loop;
    }
    if (r == 0)
        r = signals_init(&chat->signals, chat->loop, numbers, ARRAY_LEN(numbers), on_signal, chat,
                         err);
    if (r < 0)
        return r;
    struct console_options console = {
        .loop = chat->loop,
        .backend = chat->remote ? remote_conversation_backend(chat->remote)
                                : (struct console_backend){say_here, stop_here, chat},
        .columns = terminal_columns(),
        .on_exit = on_exit_status,
        .context = chat,
    };
    chat->console = console_create(&console);
    if (!chat->remote && !chat->app.endpoint.format && !chat->app.endpoint.chosen)
        log_info("this is the built-in offline model, not a language model; for a real one set "
                 "OPENROUTER_API_KEY (or OPENAI_BASE_URL and OPENAI_API_KEY) and HERMES_MODEL");
    return 0;
}

static void finish(struct chat *chat)
{
    bool here = chat->app.loop != NULL;
    console_destroy(chat->console);
    signals_finish(&chat->signals);
    remote_conversation_destroy(chat->remote);
    if (here)
        app_stop(&chat->app);
    else
        loop_destroy(chat->loop);
    free(chat->model);
}

// `message` is NULL in a conversation.
static int chat_with(const struct arguments *arguments, const struct span *message,
                     struct error *err)
{
    struct chat chat = {.app = {.home = HOME_INIT, .titles = !message}};
    int r = start(&chat, arguments, err);
    if (r == 0 && message) {
        console_ask(chat.console, *message);
    } else if (r == 0) {
        greet(&chat);
        if (terminal_begin())
            chat.keys = loop_watch(chat.loop, STDIN_FILENO, LOOP_READ, on_keys, &chat);
        console_converse(chat.console);
    }
    if (chat.console)
        loop_run(chat.loop);
    terminal_end();
    finish(&chat);
    return r < 0 ? r : chat.status;
}

// What comes through a pipe is the question, or what the question is about.
static int run(const struct arguments *arguments, struct error *err)
{
    const char *question = arguments->values[OPTION_QUESTION];
    bool piped = !isatty(STDIN_FILENO);
    if (!question && !piped)
        return chat_with(arguments, NULL, err);

    BUF_AUTO input = BUF_INIT(CONSOLE_MESSAGE_MAX);
    BUF_AUTO message = BUF_INIT(2 * (size_t)CONSOLE_MESSAGE_MAX);
    int r = piped ? fd_read_all(STDIN_FILENO, &input) : 0;
    if (r < 0 && !(r == -EBADF && question))
        return r == -EFBIG ? error_set(err, COMMAND_MISUSED,
                                       "the input is larger than %d KiB; put it into a file of the "
                                       "workspace and name it in the question",
                                       CONSOLE_MESSAGE_MAX / 1024)
                           : error_set(err, COMMAND_MISUSED, "cannot read standard input: %s",
                                       strerror(-r));
    if (question)
        buf_append_text(&message, question);
    if (question && input.len)
        buf_append_text(&message, "\n\n");
    buf_append_span(&message, buf_span(&input));
    struct span text = buf_span(&message);
    return chat_with(arguments, &text, err);
}

const struct command command_chat = {
    .name = "chat",
    .summary = "Talk to Hermes",
    .help = "Without -q and in a terminal: a conversation. With -q, or with text from a pipe:\n"
            "one answer on standard output, everything else on standard error.\n\n"
            "  hermes chat -q \"What is in notes.txt?\"\n"
            "  journalctl -b -p err | hermes chat -q \"What went wrong?\"\n\n"
            "If hermes run is active in the home, it answers, with its own configuration.\n\n"
            "Status: 0 answered, 1 failed, 2 wrong usage, 130 cancelled.\n",
    .takes_settings = true,
    COMMAND_OPTIONS({"question", 'q', "TEXT", "ask this, print the answer and exit"},
                    {"no-stream", 0, NULL, "ask for answers in one piece"}),
    .run = run,
};
