#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "channels/console.h"
#include "daemon/app.h"
#include "daemon/command.h"
#include "daemon/terminal.h"
#include "loop/signals.h"

enum { KEYS_CHUNK = 4096 }; // bytes a read

enum { OPTION_QUESTION = OPTION_FIRST_OWN, OPTION_NO_STREAM };

static const struct command_option options[] = {
    COMMAND_CONFIG_OPTIONS,
    {"question", 'q', "TEXT", "ask this, print the answer and end"},
    {"no-stream", 0, NULL, "ask for answers in one piece"},
    COMMAND_OPTIONS_END,
};

struct chat {
    struct app app;
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
    loop_stop(chat->app.loop);
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
    (void)events;
    struct chat *chat = context;
    char keys[KEYS_CHUNK];
    ssize_t n = read(fd, keys, sizeof keys);
    if (n > 0) {
        console_keys(chat->console, span_make(keys, (size_t)n));
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        loop_unwatch(chat->app.loop, chat->keys);
        console_hang_up(chat->console);
    }
}

static void tell_offline(const struct chat *chat)
{
    if (chat->app.endpoint.kind == ENDPOINT_OFFLINE && !chat->app.endpoint.chosen)
        log_info("this is the built-in offline model, not a language model; for a real one set "
                 "OPENROUTER_API_KEY (or OPENAI_BASE_URL and OPENAI_API_KEY) and HERMES_MODEL");
}

static void greet(const struct chat *chat)
{
    printf("Hermes %s, model %s%s%s. /help tells more, Ctrl-D leaves.\n", HERMES_VERSION,
           chat->app.endpoint.model, *chat->app.endpoint.base_url ? " at " : "",
           chat->app.endpoint.base_url);
    fflush(stdout);
}

static int start(struct chat *chat, const struct arguments *arguments, struct error *err)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
    chat->app.streaming = !arguments->values[OPTION_NO_STREAM];
    int r = app_start(&chat->app, arguments, err);
    if (r == 0)
        r = signals_init(&chat->signals, chat->app.loop, numbers, ARRAY_LEN(numbers), on_signal,
                         chat, err);
    if (r < 0)
        return r;
    struct console_options console = {
        .agent = chat->app.agent,
        .columns = terminal_columns(),
        .on_exit = on_exit_status,
        .context = chat,
    };
    chat->console = console_create(&console);
    tell_offline(chat);
    return 0;
}

// `message` is NULL in a conversation.
static int chat_with(const struct arguments *arguments, const struct span *message)
{
    struct chat chat = {.signals = SIGNALS_INIT, .app.home = HOME_INIT};
    struct error err = ERROR_INIT;
    if (start(&chat, arguments, &err) < 0) {
        log_error("%s", err.text);
        chat.status = EXIT_FAILED;
    } else if (message) {
        console_ask(chat.console, *message);
    } else {
        greet(&chat);
        if (terminal_begin())
            chat.keys = loop_watch(chat.app.loop, STDIN_FILENO, LOOP_READ, on_keys, &chat);
        console_converse(chat.console);
    }
    if (chat.console)
        loop_run(chat.app.loop);
    terminal_end();
    console_destroy(chat.console);
    signals_finish(&chat.signals);
    app_stop(&chat.app);
    return chat.status;
}

static int refuse_input(int code)
{
    if (code == -EFBIG)
        log_error("the input is larger than %d KiB; put it into a file of the workspace and name "
                  "it in the question",
                  CONSOLE_MESSAGE_MAX / 1024);
    else
        log_error("cannot read standard input: %s", strerror(-code));
    return EXIT_USAGE;
}

// What comes through a pipe is the question, or what the question is about.
static int run(const struct command *command, const struct arguments *arguments)
{
    (void)command;
    const char *question = arguments->values[OPTION_QUESTION];
    bool piped = !isatty(STDIN_FILENO);
    if (!question && !piped)
        return chat_with(arguments, NULL);

    BUF_AUTO input = BUF_INIT(CONSOLE_MESSAGE_MAX);
    BUF_AUTO message = BUF_INIT(2 * (size_t)CONSOLE_MESSAGE_MAX);
    int r = piped ? fd_read_all(STDIN_FILENO, &input) : 0;
    if (r < 0 && !(r == -EBADF && question))
        return refuse_input(r);
    if (question)
        buf_append_text(&message, question);
    if (question && input.len)
        buf_append_text(&message, "\n\n");
    buf_append_span(&message, buf_span(&input));
    struct span text = buf_span(&message);
    return chat_with(arguments, &text);
}

const struct command command_chat = {
    .name = "chat",
    .summary = "Talk to Hermes",
    .help = "Without -q and in a terminal: a conversation. With -q, or with text from a pipe:\n"
            "one answer on standard output, everything else on standard error.\n"
            "\n"
            "  hermes chat -q \"What is in notes.txt?\"\n"
            "  journalctl -b -p err | hermes chat -q \"What went wrong?\"\n"
            "\n"
            "Status: 0 answered, 1 failed, 2 wrong usage, 130 cancelled.\n",
    .options = options,
    .run = run,
};
