#include "channels/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "channels/line_editor.h"
#include "channels/printer.h"
#include "codec/utf8.h"
#include "codec/visible.h"
#include "loop/loop.h"

enum {
    CTRL_C = 3,
    CONSOLE_ASKED_MAX = 2 << 20, // bytes of all open questions
    IN_WORDS = '\x1e',           // begins one that is answered in words
    LINE_BREAK = '\x1f',         // in it
    EXPIRY_EXTRA_MS = 500,       // by which whoever asked has written down that they expired
};

enum console_mode { CONSOLE_ASK, CONSOLE_CONVERSE };

struct console {
    struct console_options options;
    enum console_mode mode;
    struct printer printer;
    struct line_editor *editor;
    struct buf screen; // what the editor wants the terminal to be sent
    struct buf ahead;  // keys that came while a turn ran
    struct buf asked;  // that the answer waits for: CODE, SPACE, the call, and a line's end; each
    loop_id expiry;    // of what is asked
    bool busy;         // an answer is on its way
    bool denying;      // by itself, and the turn has not gone on yet
    bool exited, hung_up, reading;
};

static void read_keys(struct console *console);

struct console *console_create(const struct console_options *options)
{
    struct console *console = mem_new(struct console);
    console->options = *options;
    printer_init(&console->printer);
    buf_init(&console->screen, 4 * (size_t)LINE_BYTES_MAX);
    buf_init(&console->ahead, CONSOLE_AHEAD_MAX);
    buf_init(&console->asked, CONSOLE_ASKED_MAX);
    return console;
}

void console_destroy(struct console *console)
{
    if (!console)
        return;
    loop_cancel(console->options.loop, console->expiry);
    line_editor_destroy(console->editor);
    buf_finish(&console->screen);
    buf_finish(&console->ahead);
    buf_finish(&console->asked);
    free(console);
}

static void leave(struct console *console, enum console_exit status)
{
    if (console->exited)
        return;
    console->exited = true;
    printer_end_line(&console->printer);
    console->options.on_exit(console->options.context, status);
}

static void flush_screen(struct console *console)
{
    fflush(stdout);
    fd_write_all(STDOUT_FILENO, console->screen.data, console->screen.len);
    buf_clear(&console->screen);
}

// The code and the call of the first open question. False when there is none.
static bool first_asked(const struct console *console, struct span *ret_code, struct span *ret_call)
{
    struct span rest = buf_span(&console->asked);
    *ret_call = span_cut(&rest, '\n');
    *ret_code = span_cut(ret_call, ' ');
    return ret_code->len > 0;
}

// A question of the model's own, behind its mark.
static bool is_in_words(struct span call)
{
    return call.len > 0 && *call.data == IN_WORDS;
}

static void prompt(struct console *console)
{
    struct span code, call;
    if (console->hung_up) {
        leave(console, CONSOLE_OK);
        return;
    }
    if (first_asked(console, &code, &call) && is_in_words(call)) {
        for (call = span_skip(call, 1); call.len;) {
            struct span line = span_cut(&call, LINE_BREAK);
            CLEANUP(mem_cleanup) char *text = mem_strndup(line.data, line.len);
            printer_say(&console->printer, printer_yellow, text);
        }
    } else if (code.len) {
        CLEANUP(mem_cleanup)
        char *text = mem_printf("may this run? %.*s [y/N]", (int)call.len, call.data);
        printer_say(&console->printer, printer_yellow, text);
    }
    line_editor_begin(console->editor, &console->screen);
    flush_screen(console);
    if (!console->reading)
        read_keys(console);
}

static enum console_exit report_outcome(struct console *console, const struct turn_outcome *outcome)
{
    struct printer *printer = &console->printer;
    printer_end_line(printer);
    if (outcome->state == TURN_FAILED)
        printer_say(printer, printer_red, outcome->error);
    else if (outcome->state == TURN_CANCELLED)
        printer_say(printer, printer_yellow, "cancelled");
    if (*outcome->remark)
        printer_say(printer, printer_yellow, outcome->remark);
    fflush(stdout);
    if (ferror(stdout)) {
        printer_say(printer, printer_red, "the answer could not be written to standard output");
        return CONSOLE_FAILED;
    }
    if (outcome->state == TURN_FAILED || outcome->refused)
        return CONSOLE_FAILED;
    return outcome->state == TURN_DONE ? CONSOLE_OK : CONSOLE_CANCELLED;
}

// They are the questions of one iteration, so they expire together.
static void on_expired(void *context)
{
    struct console *console = context;
    console->expiry = 0;
    if (!console->asked.len)
        return;
    buf_clear(&console->asked);
    if (console->busy)
        return;
    line_editor_hide(console->editor, &console->screen);
    flush_screen(console);
    printer_say(&console->printer, printer_yellow, "this question has expired; nothing was run");
    prompt(console);
}

// On one line, as all questions are kept.
static void keep_words(struct console *console, const struct turn_question *question)
{
    buf_printf(&console->asked, "%s %c", question->code, IN_WORDS);
    visible_write(span_of(question->asks), "\n", LINE_BREAK, &console->asked);
    buf_append_text(&console->asked, "\n");
}

static void keep_questions(struct console *console, const struct turn_outcome *outcome)
{
    struct loop *loop = console->options.loop;
    if (outcome->state == TURN_WAITING) {
        buf_clear(&console->asked);
        loop_cancel(loop, console->expiry);
        console->expiry = 0;
    }
    if (outcome->question_count && outcome->questions->expires_ms) {
        int64_t left_ms = outcome->questions->expires_ms - loop_wall(loop);
        console->expiry = loop_timer_after(loop, left_ms + EXPIRY_EXTRA_MS, on_expired, console);
    }
    for (size_t i = 0; i < outcome->question_count; i++) {
        const struct turn_question *question = &outcome->questions[i];
        if (question->asks) {
            keep_words(console, question);
            continue;
        }
        buf_printf(&console->asked, "%s %s ", question->code, question->name);
        const char *why = question->why ? question->why : "";
        // Outside of strings, any space will do.
        visible_write(span_of(question->arguments), "\n\r", ' ', &console->asked);
        buf_append_text(&console->asked, *why ? " (" : "");
        visible_write(span_of(why), "\n\r", ' ', &console->asked);
        buf_append_text(&console->asked, *why ? ")" : "");
        buf_append_text(&console->asked, "\n");
    }
}

static bool answer_question(struct console *console, bool approved);

static void on_end(struct console *console, const struct turn_outcome *outcome)
{
    enum console_exit status = report_outcome(console, outcome);
    bool gave_up = STEAL(console->denying); // the turn did not go on
    console->busy = false;
    keep_questions(console, outcome);
    if (console->mode == CONSOLE_CONVERSE) {
        if (console->asked.len) { // what was typed before a question is seen is no answer to it
            buf_clear(&console->ahead);
            tcflush(STDIN_FILENO, TCIFLUSH);
        }
        prompt(console);
    } else if (!console->asked.len) {
        leave(console, gave_up && status == CONSOLE_OK ? CONSOLE_FAILED : status);
    } else {
        printer_say(&console->printer, printer_yellow, "denied, since nobody can be asked here");
        console->denying = answer_question(console, false);
        if (!console->denying)
            leave(console, CONSOLE_FAILED);
    }
}

// What is said to a denial of the console's own is no part of the answer.
static void print_text(struct console *console, struct span text)
{
    if (!console->denying) {
        printer_text(&console->printer, text);
        return;
    }
    CLEANUP(mem_cleanup) char *reply = mem_strndup(text.data, text.len);
    printer_say(&console->printer, printer_yellow, reply);
}

static void on_turn_event(void *context, const struct turn_event *event)
{
    struct console *console = context;
    struct printer *printer = &console->printer;
    console->denying &= event->kind == TURN_EVENT_TEXT || event->kind == TURN_EVENT_END;
    switch (event->kind) {
    case TURN_EVENT_BEGIN:
        break;
    case TURN_EVENT_STEP: // what the model says now is not the rest of the line before
        printer_end_line(printer);
        break;
    case TURN_EVENT_TEXT:
        print_text(console, event->text);
        break;
    case TURN_EVENT_WAIT:
        printer_say(printer, printer_yellow, event->sentence);
        break;
    case TURN_EVENT_CALL:
        printer_call(printer, event->name, event->arguments);
        break;
    case TURN_EVENT_RESULT:
        printer_result(printer, event->name, event->failed, event->text);
        break;
    case TURN_EVENT_END:
        on_end(console, event->outcome);
        break;
    }
}

static bool ask(struct console *console, struct span message)
{
    const struct console_backend *backend = &console->options.backend;
    BUF_AUTO clean = BUF_INIT(4 * (size_t)CONSOLE_MESSAGE_MAX);
    utf8_sanitize(message, &clean);
    if (clean.len != message.len || memcmp(clean.data, message.data, message.len) != 0)
        printer_say(&console->printer, printer_yellow,
                    "the message is not all UTF-8; other bytes were replaced");
    struct error err = ERROR_INIT;
    console->busy = true;
    if (backend->say(backend->context, buf_span(&clean), on_turn_event, console, &err) >= 0)
        return true;
    console->busy = false;
    printer_say(&console->printer, printer_red, err.text);
    return false;
}

// The first open one. False when there is none, or it could not be said.
static bool say_answer(struct console *console, const char *command, struct span words)
{
    struct span code, call;
    if (!first_asked(console, &code, &call))
        return false;
    CLEANUP(mem_cleanup)
    char *text =
        mem_printf("%s %.*s %.*s", command, (int)code.len, code.data, (int)words.len, words.data);
    buf_consume(&console->asked, (size_t)(call.data + call.len + 1 - console->asked.data));
    return ask(console, span_of(text));
}

static bool answer_question(struct console *console, bool approved)
{
    return say_answer(console, approved ? "/approve" : "/deny", SPAN_LITERAL(""));
}

// Whatever is typed is the answer, but for a command. Was it one?
static bool answer_in_words(struct console *console, struct span text)
{
    struct span code, call;
    if (!first_asked(console, &code, &call) || !is_in_words(call) ||
        (text.len && *text.data == '/'))
        return false;
    if (text.len == 0 || !say_answer(console, "/answer", text))
        prompt(console);
    return true;
}

static const char *refusal(struct span message)
{
    if (message.len > CONSOLE_MESSAGE_MAX)
        return "the message is larger than 1 MiB; put it into a file of the workspace instead";
    if (memchr(message.data, '\0', message.len))
        return "the message holds a NUL byte, so it is not text";
    if (span_trim(message).len == 0)
        return "the message is empty";
    return NULL;
}

void console_ask(struct console *console, struct span message)
{
    console->mode = CONSOLE_ASK;
    const char *sentence = refusal(message);
    if (sentence) {
        printer_say(&console->printer, printer_red, sentence);
        leave(console, CONSOLE_USAGE);
    } else if (!ask(console, message)) {
        leave(console, CONSOLE_FAILED);
    }
}

// True when the line was for the console itself. Every other command is for who answers.
static bool obey(struct console *console, struct span line)
{
    if (span_is(line, "/quit") || span_is(line, "/exit")) {
        leave(console, CONSOLE_OK);
        return true;
    }
    if (span_is(line, "/help")) {
        fputs("/quit  leave (or Ctrl-D)\n"
              "Ctrl-C cancels an answer; Up and Down recall earlier lines.\n",
              stdout);
        fflush(stdout);
    }
    return line.len == 0;
}

static void on_line(struct console *console, struct span line)
{
    CLEANUP(mem_cleanup) char *kept = mem_strndup(line.data, line.len);
    struct span text = span_trim(span_of(kept));
    if (text.len)
        line_editor_remember(console->editor, text);
    if (answer_in_words(console, text))
        return;
    bool yes = span_is(text, "y") || span_is(text, "yes");
    if (console->asked.len && (yes || text.len == 0 || span_is(text, "n") || span_is(text, "no"))) {
        if (!answer_question(console, yes))
            prompt(console);
        return;
    }
    bool own = obey(console, text);
    if (console->exited)
        return;
    if (text.len && text.data[0] == '/') // perhaps the answer, in words
        buf_clear(&console->asked);
    const char *sentence = own ? NULL : refusal(text);
    if (sentence)
        printer_say(&console->printer, printer_red, sentence);
    if (own || sentence || !ask(console, text))
        prompt(console);
}

// While a turn runs only Ctrl-C counts; the rest waits in `ahead` for the next line.
static void read_keys(struct console *console)
{
    console->reading = true;
    while (console->ahead.len && !console->busy && !console->exited) {
        struct span rest = buf_span(&console->ahead);
        size_t before = rest.len;
        enum line_event event = line_editor_feed(console->editor, &rest, &console->screen);
        buf_consume(&console->ahead, before - rest.len);
        flush_screen(console);
        if (event == LINE_ENDED) {
            leave(console, CONSOLE_OK);
        } else if (event == LINE_INTERRUPTED) {
            fputs("(/quit or Ctrl-D leaves)\n", stdout);
            prompt(console);
        } else if (event == LINE_ENTERED) {
            on_line(console, line_editor_text(console->editor));
        }
    }
    console->reading = false;
}

void console_keys(struct console *console, struct span bytes)
{
    if (console->busy && memchr(bytes.data, CTRL_C, bytes.len)) {
        console_interrupt(console);
        return;
    }
    if (!buf_append_span(&console->ahead, bytes)) // more than anybody types: drop the excess
        buf_clear(&console->ahead);
    read_keys(console);
}

void console_converse(struct console *console)
{
    console->mode = CONSOLE_CONVERSE;
    console->editor = line_editor_create(console->printer.colours ? "\033[1m> \033[0m" : "> ");
    line_editor_set_columns(console->editor, console->options.columns, &console->screen);
    prompt(console);
}

void console_resize(struct console *console, unsigned columns)
{
    if (!console->editor)
        return;
    line_editor_set_columns(console->editor, columns, &console->screen); // shown while not busy
    flush_screen(console);
}

void console_hang_up(struct console *console)
{
    console->hung_up = true;
    if (!console->busy)
        leave(console, CONSOLE_OK);
}

void console_interrupt(struct console *console)
{
    if (console->busy) {
        console->options.backend.stop(console->options.backend.context);
    } else if (console->mode == CONSOLE_ASK) {
        leave(console, CONSOLE_CANCELLED);
    }
}
