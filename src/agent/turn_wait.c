#include "agent/turn_wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/utf8.h"
#include "codec/visible.h"
#include "store/approval.h"
#include "tools/clarify.h"
#include "tools/tool_target.h"

/*
 * A turn whose calls need somebody's approval waits before the first of its iteration begins. What
 * is asked is exactly what runs: name and arguments stand in the question as they are, and their
 * hash is compared again before the call begins; so are the files that they name (turn_files.c).
 * A call that could not be shown whole is not asked for, and so refused by the toolbox; neither is
 * one that the message has no room or no button for.
 */
enum {
    QUESTIONS_MAX = 32,                   // of one message
    BUTTONS_MAX = 100,                    // under it: Telegram refuses a message with more
    ARGUMENTS_SHOWN_MAX = 16 * 1024,      // bytes of one call
    ALL_SHOWN_MAX = TURN_REPLY_MAX / 2,   // bytes of all calls
    SAID_BEFORE_MAX = TURN_REPLY_MAX / 4, // bytes of what the model said with them
    TOLD_MAX = 8,                         // calls that the approval model has allowed
    TOLD_ARGUMENTS_MAX = 256,             // bytes of one of them
};

// In the place of whoever has answered a question.
static const char approval_model[] = "approval model";

static const char denied[] =
    "not run: the user said no. Do not try to reach the same in another way";
static const char expired[] = "not run: the user was asked and did not answer in time";
static const char no_answer[] = "the user does not want to answer this, or cannot";
static const char no_time[] = "the user was asked and did not answer in time";
const char turn_asked_result[] =
    "it asked the user something, and was stopped before that was answered; it may have had an "
    "effect";
static const char not_the_same[] = "not run: this is not the call that was approved";

// White space between JSON's tokens means nothing; on one line, no arguments end the block of code.
static void write_arguments(const char *arguments, struct buf *out)
{
    visible_write(span_of(arguments), "\n\r", ' ', out);
}

// Bytes; SIZE_MAX: too many.
static size_t shown_length(const char *arguments)
{
    BUF_AUTO shown = BUF_INIT(ARGUMENTS_SHOWN_MAX);
    write_arguments(arguments, &shown);
    return buf_is_full(&shown) ? SIZE_MAX : shown.len;
}

bool turn_wait_is_too_long(const struct turn *turn, size_t ordinal)
{
    return shown_length(turn_asking_message(turn)->calls[ordinal].arguments) == SIZE_MAX;
}

static bool can_be_shown(const char *arguments, size_t room)
{
    JSON_AUTO doc = JSON_INIT;
    return shown_length(arguments) <= room && json_parse(&doc, span_of(arguments), NULL) == 0 &&
           json_type(json_root(&doc)) == JSON_OBJECT;
}

static bool has_room_for_buttons(const struct turn *turn)
{
    size_t buttons = CLARIFY_CHOICES_MAX; // of the next question, at most
    for (size_t i = 0; i < turn->question_count; i++)
        buttons += turn->questions[i].asks ? CLARIFY_CHOICES_MAX : 2;
    return buttons <= BUTTONS_MAX;
}

static void hash_call(const struct chat_call *call, char *hex)
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_add(&hash, span_make(call->name, strlen(call->name) + 1));
    sha256_add(&hash, span_of(call->arguments));
    sha256_end_hex(&hash, hex);
}

void turn_call_identify(const struct turn *turn, size_t ordinal, struct turn_call_id *ret)
{
    char place[64], hex[SHA256_HEX_SIZE];
    struct sha256 hash;
    hash_call(&turn_asking_message(turn)->calls[ordinal % STORE_QUESTION_STEP], ret->hash);
    snprintf(place, sizeof place, " %d %zu ", turn->iteration, ordinal);
    sha256_init(&hash);
    sha256_add(&hash, span_of(turn->name));
    sha256_add(&hash, span_of(place));
    sha256_add(&hash, span_of(ret->hash));
    sha256_end_hex(&hash, hex);
    snprintf(ret->code, sizeof ret->code, "%.8s", hex);
}

// What is shown; the hash is of the call as it was made.
static struct turn_question make_question(const struct turn *turn, size_t ordinal, const char *name,
                                          struct span arguments, const char *why)
{
    const struct agent_env *env = &turn->agent->env;
    struct turn_question q = {.ordinal = (int)ordinal,
                              .name = mem_strdup(name),
                              .arguments = mem_strndup(arguments.data, arguments.len),
                              .why = mem_strdup(why),
                              .expires_ms = clock_wall_ms(env->clock) + env->config->approval_ms};
    struct turn_call_id id;
    turn_call_identify(turn, ordinal, &id);
    memcpy(q.code, id.code, sizeof q.code);
    memcpy(q.hash, id.hash, sizeof q.hash);
    CLEANUP(clarify_finish) struct clarification asked = {0};
    BUF_AUTO text = BUF_INIT(CLARIFY_TEXT_MAX);
    if (strcmp(q.name, clarify_tool_name) == 0 && clarify_read(arguments, &asked, NULL) == 0) {
        clarify_write(&asked, &text);
        q.asks = buf_take_text(&text);
    }
    return q;
}

static struct turn_question question_of(const struct turn *turn, size_t ordinal)
{
    const struct chat_call *call = &turn_asking_message(turn)->calls[ordinal];
    struct tool_target target;
    tool_target_find(turn->tools, call->name, span_of(call->arguments), &target);
    return make_question(turn, ordinal, target.entry->name, target.arguments,
                         turn->calls[ordinal].judgement.why);
}

void turn_wait_prepare(struct turn *turn)
{
    const struct chat_message *asking = turn_asking_message(turn);
    size_t shown = 0;
    turn->questions = mem_alloc((turn->call_count + 1) * sizeof *turn->questions);
    size_t most = turn->terms.unattended ? 0 : QUESTIONS_MAX;
    for (size_t i = 0;
         i < turn->call_count && turn->question_count < most && has_room_for_buttons(turn); i++) {
        const char *arguments = asking->calls[i].arguments;
        if (turn->calls[i].judgement.decision != APPROVAL_ASKS ||
            !can_be_shown(arguments, ALL_SHOWN_MAX - shown))
            continue;
        shown += shown_length(arguments);
        turn->questions[turn->question_count++] = question_of(turn, i);
    }
    for (size_t i = 0; i < turn->call_count; i++)
        if (turn->calls[i].allowed)
            turn->questions[turn->question_count + turn->allowed_count++] = question_of(turn, i);
}

// One for which there is no room is not asked, and its call hears that nobody has answered.
void turn_wait_prepare_running(struct turn *turn)
{
    turn_wait_finish(turn);
    turn->questions = mem_alloc(turn->call_count * sizeof *turn->questions);
    for (size_t i = 0;
         i < turn->call_count && turn->question_count < QUESTIONS_MAX && has_room_for_buttons(turn);
         i++) {
        const struct turn_call *call = &turn->calls[i];
        if (!call->ended)
            turn->questions[turn->question_count++] =
                make_question(turn, i + (size_t)call->asked * STORE_QUESTION_STEP,
                              clarify_tool_name, span_of(call->asks), "");
    }
}

void turn_wait_finish(struct turn *turn)
{
    for (size_t i = 0; i < turn->question_count + turn->allowed_count; i++) {
        free(turn->questions[i].name);
        free(turn->questions[i].arguments);
        free(turn->questions[i].asks);
        free(turn->questions[i].why);
        free(turn->questions[i].files);
    }
    free(STEAL(turn->questions));
    turn->question_count = turn->allowed_count = 0;
}

struct store_approval *turn_wait_rows(const struct turn *turn)
{
    size_t count = turn->question_count + turn->allowed_count;
    struct store_approval *rows = mem_zalloc((count + 1) * sizeof *rows);
    for (size_t i = 0; i < count; i++) {
        const struct turn_question *q = &turn->questions[i];
        bool allowed = i >= turn->question_count;
        rows[i] = (struct store_approval){
            .ordinal = q->ordinal,
            .code = span_of(q->code),
            .name = span_of(q->name),
            .arguments = span_of(q->arguments),
            .hash = span_of(q->hash),
            .why = span_of(q->why),
            .files = q->files ? span_of(q->files) : SPAN_ABSENT,
            .may_answer = turn->terms.asker ? span_of(turn->terms.asker) : SPAN_ABSENT,
            .asked_ms = clock_wall_ms(turn->agent->env.clock),
            .expires_ms = q->expires_ms,
            .state = allowed ? STORE_APPROVAL_APPROVED : STORE_APPROVAL_ASKED,
            .answered_by = allowed ? span_of(approval_model) : SPAN_ABSENT,
        };
    }
    return rows;
}

// As code, for a command must be read as it is; no line and no backtick of it ends that.
static void write_why(const char *why, struct buf *out)
{
    BUF_AUTO line = BUF_INIT(APPROVAL_WHY_MAX);
    for (const char *c = why; *c; c++)
        buf_append(&line, strchr("\n\r", *c) ? " " : c, 1);
    buf_append_text(out, *why ? " (`" : "");
    visible_write(buf_span(&line), "`", '\'', out);
    buf_append_text(out, *why ? "`)" : "");
}

static void write_button(struct buf *out, const char *label, size_t number, const char *command,
                         const char *code)
{
    buf_printf(out, "%s{\"text\":\"%s%s%.0zu\",\"data\":\"%s %s\"}", out->len ? "," : "[", label,
               number ? " " : "", number, command, code);
}

static void write_question(const struct turn_question *question, struct buf *text,
                           struct buf *buttons)
{
    CLEANUP(clarify_finish) struct clarification asked = {0};
    clarify_read(span_of(question->arguments), &asked, NULL);
    buf_printf(text, "%s❓ %s\n\nJust answer%s, or /answer %s and your words",
               text->len ? "\n\n" : "", question->asks, asked.count ? ", by number too" : "",
               question->code);
    clarify_write_buttons(&asked, question->code, buttons);
}

// What the model said with its calls stands in the first message that asks about them.
static bool is_first(const struct turn *turn)
{
    for (size_t i = 0; i < turn->call_count; i++)
        if (turn->calls[i].asked > 1 || turn->calls[i].reply != TOOL_BEGINS)
            return false;
    return true;
}

void turn_wait_write(const struct turn *turn, struct buf *text, struct buf *buttons)
{
    const char *said = is_first(turn) ? turn_asking_message(turn)->text : NULL;
    struct span before = span_of(said ? said : "");
    if (before.len > SAID_BEFORE_MAX)
        before.len =
            SAID_BEFORE_MAX - utf8_incomplete_tail(span_make(before.data, SAID_BEFORE_MAX));
    buf_append_span(text, before);
    for (size_t i = 0; i < turn->question_count; i++) {
        const struct turn_question *q = &turn->questions[i];
        size_t number = turn->question_count > 1 ? i + 1 : 0;
        if (q->asks) {
            write_question(q, text, buttons);
            continue;
        }
        buf_printf(text, "%s⏸️ `%s` runs only when you approve it", text->len ? "\n\n" : "",
                   q->name);
        write_why(q->why, text);
        buf_append_text(text, ":\n```json\n");
        write_arguments(q->arguments, text);
        buf_printf(text, "\n```\n/approve %s or /deny %s", q->code, q->code);
        write_button(buttons, "✅ Approve", number, "/approve", q->code);
        write_button(buttons, "❌ Deny", number, "/deny", q->code);
    }
    buf_append_text(buttons, buttons->len ? "]" : "[]");
}

static void end_call(struct turn_call *call, char *result)
{
    call->ended = true;
    call->result = result;
    call->turn->calls_left--;
}

// To what a call asked while it ran. It goes on, unless the program was stopped in it meanwhile.
static void take_reply(struct turn_call *call, const struct store_approval *row, bool same)
{
    call->asked = row->ordinal / STORE_QUESTION_STEP;
    if (!call->turn->waited)
        return;
    bool answered = row->state == STORE_APPROVAL_ANSWERED && same;
    call->reply = answered                              ? TOOL_ANSWERED
                  : row->state == STORE_APPROVAL_DENIED ? TOOL_DENIED
                                                        : TOOL_UNANSWERED;
    free(STEAL(call->words));
    if (answered)
        call->words = mem_strndup(row->answer.data, row->answer.len);
}

static bool on_approval(void *context, const struct store_approval *row)
{
    struct turn *turn = context;
    char hash[SHA256_HEX_SIZE];
    int ordinal = row->ordinal % STORE_QUESTION_STEP;
    if (ordinal < 0 || (size_t)ordinal >= turn->call_count)
        return true;
    struct turn_call *call = &turn->calls[ordinal];
    hash_call(&turn_asking_message(turn)->calls[ordinal], hash);
    bool same = span_is(row->hash, hash);
    if (row->ordinal >= STORE_QUESTION_STEP) {
        take_reply(call, row, same);
        return true;
    }
    call->approved = row->state == STORE_APPROVAL_APPROVED && same;
    if (call->approved && row->files.len)
        call->bound = mem_strndup(row->files.data, row->files.len);
    if (call->approved)
        return true;
    if (row->state == STORE_APPROVAL_ANSWERED && same) {
        end_call(call,
                 mem_printf("the user answered: %.*s", (int)row->answer.len, row->answer.data));
        return true;
    }
    if (span_is(row->name, clarify_tool_name) && same) {
        end_call(call, mem_strdup(row->state == STORE_APPROVAL_DENIED ? no_answer : no_time));
        return true;
    }
    call->failed = true;
    end_call(call, mem_strdup(row->state == STORE_APPROVAL_DENIED    ? denied
                              : row->state == STORE_APPROVAL_EXPIRED ? expired
                                                                     : not_the_same));
    return true;
}

int turn_wait_restore(struct turn *turn, struct error *err)
{
    return store_read_approvals(store_view(turn->agent->env.store), span_of(turn->name),
                                turn->iteration, on_approval, turn, err);
}

struct telling {
    struct buf *out;
    size_t count;
};

static bool on_allowed(void *context, const struct store_approval *row)
{
    struct telling *telling = context;
    if (!span_is(row->answered_by, approval_model) || telling->count++ >= TOLD_MAX)
        return true;
    BUF_AUTO arguments = BUF_INIT(TOLD_ARGUMENTS_MAX);
    visible_write(row->arguments, "`\n\r", '\'', &arguments);
    buf_printf(telling->out, "%s `%.*s %s%s`",
               telling->count == 1 ? "allowed by the approval model:" : ",", (int)row->name.len,
               row->name.data, buf_text(&arguments), buf_is_full(&arguments) ? " ..." : "");
    return true;
}

void turn_wait_tell_allowed(const struct turn *turn, struct buf *out)
{
    struct telling telling = {.out = out};
    store_read_approvals(store_view(turn->agent->env.store), span_of(turn->name), 0, on_allowed,
                         &telling, NULL);
    if (telling.count > TOLD_MAX)
        buf_printf(out, " and %zu more", telling.count - TOLD_MAX);
}
