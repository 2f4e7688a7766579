#include "agent/turn_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/part_list.h"
#include "agent/prompt.h"
#include "agent/turn_send.h"
#include "agent/turn_wait.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json_write.h"
#include "codec/money.h"
#include "codec/utf8.h"
#include "store/approval.h"
#include "store/session.h"
#include "store/settle.h"
#include "store/turn.h"

/*
 * Each transition of a turn as the store keeps it, on disk before its effect can be seen: the
 * user's message before anything is done about it, calls before they run, results before a model
 * reads them, the end before it is reported, and with the end, in one transaction, the reply that
 * goes out.
 *
 * When the disk refuses, it depends on whether somebody waits for the answer. An interactive turn
 * goes on, and says that it could not be saved; any other waits for the disk, because what is not
 * written down would be lost, or sent twice. What no disk would take, because
 * it is too large for one write, is left out of what is kept, and the reply says so.
 */
enum {
    CALLS_JSON_MAX = 2 * CHAT_TEXT_MAX, // bytes
    TITLE_MAX = 512,                    // bytes
    RETRY_FIRST_MS = 1000,              // while the disk refuses, doubled up to
    RETRY_MOST_MS = 30 * 1000,
    FOLLOWS_MAX = 8192, // bytes of what may stand behind an answer: an error, remarks
};

static void remark(struct turn *turn, const struct error *err)
{
    turn->session->unsaved = true;
    snprintf(turn->remark, sizeof turn->remark, "this turn could not be saved: %s", err->text);
}

static struct span optional(const char *text)
{
    return text ? span_of(text) : SPAN_ABSENT;
}

static void write_calls(const struct chat_message *message, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_array_begin(&w);
    for (size_t i = 0; i < message->call_count; i++) {
        json_write_object_begin(&w);
        json_write_member_text(&w, "id", message->calls[i].id);
        json_write_member_text(&w, "name", message->calls[i].name);
        json_write_member_text(&w, "arguments", message->calls[i].arguments);
        if (message->calls[i].extra)
            json_write_member_text(&w, "extra", message->calls[i].extra);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
}

// The last `count` messages of the session as rows. The others hold the JSON that they borrow.
static struct store_message *rows_of(const struct turn *turn, size_t count, struct buf *ret_calls,
                                     struct buf *ret_parts)
{
    const struct chat_history *history = &turn->session->history;
    struct store_message *rows = mem_zalloc((count ? count : 1) * sizeof *rows);
    for (size_t i = 0; i < count; i++) {
        const struct chat_message *message = &history->messages[history->count - count + i];
        rows[i] = (struct store_message){
            .role = span_of(chat_role_name(message->role)),
            .content = span_of(message->text ? message->text : ""),
            .reasoning = optional(message->extra),
            .tool_call_id = optional(message->call_id),
            .tainted = message->tainted,
            .created_ms = clock_wall_ms(turn->agent->env.clock),
        };
        size_t before = ret_parts->len;
        part_list_write(&message->parts, ret_parts);
        rows[i].parts.len = ret_parts->len - before;
        if (message->call_count) { // only the newest assistant message has any
            write_calls(message, ret_calls);
            rows[i].tool_calls = buf_span(ret_calls);
        }
    }
    const char *parts = ret_parts->data; // which moves no more
    for (size_t i = 0; i < count; i++)
        if (rows[i].parts.len) {
            rows[i].parts.data = parts;
            parts += rows[i].parts.len;
        }
    return rows;
}

static struct store_message *summary_row(const struct turn *turn)
{
    const struct compression_row *row = &turn->compressing.row;
    struct store_message *message = mem_zalloc(sizeof *message);
    *message = (struct store_message){
        .role = SPAN_LITERAL("summary"),
        .content = span_of(row->text),
        .tainted = row->tainted,
        .created_ms = clock_wall_ms(turn->agent->env.clock),
        .keeps = row->keeps,
        .keeps_results = row->keeps_results,
    };
    return message;
}

static struct store_tool_call call_row(const struct turn *turn, size_t ordinal)
{
    const struct chat_call *asked = &turn_asking_message(turn)->calls[ordinal];
    const struct turn_call *call = &turn->calls[ordinal];
    return (struct store_tool_call){
        .ordinal = (int)ordinal,
        .call_id = span_of(asked->id),
        .name = span_of(asked->name),
        .arguments = span_of(asked->arguments),
        .state = call->interrupted || call->asks ? STORE_CALL_INTERRUPTED
                 : call->ended                   ? STORE_CALL_DONE
                                                 : STORE_CALL_PENDING,
        .flags = call->flags,
        .failed = call->failed,
        .tainted = call->tainted,
        .result = optional(call->asks ? turn_asked_result : call->result),
        .parts = optional(call->parts),
    };
}

static struct store_tool_call *call_rows_of(const struct turn *turn)
{
    struct store_tool_call *rows = mem_zalloc((turn->call_count + 1) * sizeof *rows);
    for (size_t i = 0; i < turn->call_count; i++)
        rows[i] = call_row(turn, i);
    return rows;
}

static int create_session(struct turn *turn, struct error *err)
{
    struct agent_session *session = turn->session;
    const struct agent_env *env = &turn->agent->env;
    if (!session->prompt) {
        BUF_AUTO prompt = BUF_INIT(PROMPT_MAX);
        prompt_build(env->config, env->memory, env->skills, env->home, &prompt);
        session->prompt = buf_take_text(&prompt);
    }
    session->untitled = !session->title;
    if (session->untitled) {
        BUF_AUTO title = BUF_INIT(TITLE_MAX);
        agent_session_title(span_of(turn->text), &title);
        session->title = buf_take_text(&title);
    }
    // Whether either worked shows in the turn's own job, which follows it.
    if (session->stored) {
        const struct store_settlement named = {.session = span_of(session->id),
                                               .title = span_of(session->title),
                                               .now_ms = clock_wall_ms(env->clock)};
        int64_t job = session->untitled && *session->title
                          ? store_settle(env->store, &named, NULL, NULL, err)
                          : 0;
        return job < 0 ? (int)job : 0;
    }
    struct store_session row = {
        .id = span_of(session->id),
        .channel = span_of(session->channel),
        .chat = span_of(session->chat),
        .thread = span_of(session->thread),
        .sender = span_of(session->sender),
        .title = optional(session->title),
        .model = optional(session->model),
        .prompt = span_of(session->prompt),
        .created_ms = clock_wall_ms(env->clock),
    };
    int64_t job = store_session_create(env->store, &row, STORE_GROUPED, NULL, NULL, err);
    return job < 0 ? (int)job : 0;
}

static void on_begun(void *context, int result, const struct error *err, int64_t rowid)
{
    struct turn *turn = context;
    turn->transition.job = 0;
    if (result < 0)
        turn->error = *err;
    else if (result == STORE_DUPLICATE)
        error_set(&turn->error, -EALREADY, "this message was already answered");
    else
        turn->session->seeded = 0;
    turn->transition.next(turn);
}

int turn_store_begin(struct turn *turn, const struct turn_request *request, turn_next_fn *next,
                     struct error *err)
{
    const struct agent_env *env = &turn->agent->env;
    int r = create_session(turn, err);
    if (r < 0)
        return r;
    BUF_AUTO parts = BUF_INIT(PART_LIST_MAX);
    turn_parts_begin(turn, request, &parts);
    struct store_turn row = {
        .id = span_of(turn->name),
        .session = span_of(turn->session->id),
        .model = span_of(turn_model(turn)),
        .terms = request->terms,
        .started_ms = clock_wall_ms(env->clock),
        .inbox = request->inbox,
        .inbox_count = request->inbox_count,
        .drop_turn = request->drop_turn,
    };
    BUF_AUTO calls = BUF_INIT(CALLS_JSON_MAX), none = BUF_INIT(PART_LIST_MAX);
    size_t count = turn->session->seeded;
    CLEANUP(mem_cleanup) struct store_message *messages = rows_of(turn, count, &calls, &none);
    messages = mem_realloc(messages, (count + 1) * sizeof *messages);
    messages[count] = (struct store_message){.role = span_of("user"),
                                             .content = span_of(turn->text),
                                             .parts = parts.len ? buf_span(&parts) : SPAN_ABSENT,
                                             .tainted = turn->tainted,
                                             .created_ms = row.started_ms};
    int64_t job =
        store_turn_begin(env->store, &row, messages, count + 1, STORE_DURABLE, on_begun, turn, err);
    if (job < 0)
        return (int)job;
    turn->transition = (struct turn_transition){.job = job, .next = next};
    return 0;
}

static int64_t counted(int64_t value)
{
    return value > 0 ? value : 0;
}

static struct store_usage usage_row(const struct chat_usage *usage)
{
    return (struct store_usage){
        .input_tokens = counted(usage->prompt_tokens),
        .cached_tokens = counted(usage->cached_tokens),
        .output_tokens = counted(usage->completion_tokens),
        .cost_pico = counted(usage->cost_pico < MONEY_CALL_MAX ? usage->cost_pico : MONEY_CALL_MAX),
    };
}

// What the chat gets to read. False when that is nothing new.
static bool write_reply(const struct turn *turn, struct buf *out)
{
    struct span answer = span_of(turn_answer(turn));
    if (span_starts_with(span_of(turn->session->sender), SESSION_BESIDE))
        buf_printf(out, SESSION_BESIDE "%s:\n", turn->session->title);
    size_t heading = out->len;
    size_t room = TURN_REPLY_MAX - FOLLOWS_MAX;
    if (answer.len > room)
        answer.len = room - utf8_incomplete_tail(span_make(answer.data, room));
    buf_append_span(out, answer);
    if (answer.len < strlen(turn_answer(turn)))
        buf_printf(out, "\n\n(The answer is longer; hermes sessions show %.*s prints it all.)",
                   store_id_shown(span_of(turn->session->id), 8), turn->session->id);
    if (turn->state == TURN_FAILED)
        buf_printf(out, "%s⚠️ %s", out->len ? "\n\n" : "", turn->error.text);
    if (turn->state == TURN_CANCELLED)
        buf_append_text(out, out->len ? "\n\n(interrupted)" : "(interrupted)");
    if (*turn->remark)
        buf_printf(out, "%s(%s)", out->len ? "\n\n" : "", turn->remark);
    for (size_t i = 0; i < TURN_NOTICES_MAX && turn->notices[i]; i++)
        buf_printf(out, "%sℹ️ %s", out->len ? "\n\n" : "", turn->notices[i]);
    if (turn->news)
        buf_printf(out, "%sℹ️ %s", out->len ? "\n\n" : "", turn->news);
    BUF_AUTO allowed = BUF_INIT(FOLLOWS_MAX);
    turn_wait_tell_allowed(turn, &allowed);
    if (allowed.len)
        buf_printf(out, "%sℹ️ %s", out->len ? "\n\n" : "", buf_text(&allowed));
    if (out->len == heading)
        buf_append_text(out, turn_silence);
    return turn->state != TURN_CANCELLED;
}

static size_t taken_numbers(const struct turn *turn, int64_t *numbers, size_t max)
{
    size_t count = 0;
    list_for_each(link, &turn->steering) {
        const struct turn_steering *steering = list_entry(link, struct turn_steering, link);
        if (steering->taken && count < max)
            numbers[count++] = steering->inbox;
    }
    return count;
}

static void on_written(void *context, int result, const struct error *err, int64_t rowid);

// Submits turn->transition, a change of the turn.
static int64_t submit_step(struct turn *turn, struct error *err)
{
    const struct turn_transition *transition = &turn->transition;
    BUF_AUTO calls_json = BUF_INIT(CALLS_JSON_MAX);
    BUF_AUTO parts = BUF_INIT((CHAT_CALLS_MAX + 1) * PART_LIST_MAX);
    BUF_AUTO reply_text = BUF_INIT(TURN_REPLY_MAX);
    CLEANUP(mem_cleanup)
    struct store_message *messages =
        transition->summary ? summary_row(turn)
                            : rows_of(turn, transition->new_messages, &calls_json, &parts);
    CLEANUP(mem_cleanup) struct store_tool_call *calls = call_rows_of(turn);
    BUF_AUTO buttons = BUF_INIT(TURN_REPLY_MAX);
    CLEANUP(mem_cleanup) struct store_approval *questions = turn_wait_rows(turn);
    bool waits = transition->state == STORE_TURN_WAITING;
    int64_t inbox[STORE_STEP_ROWS_MAX];
    struct store_reply files[CHAT_CALLS_MAX];
    BUF_AUTO file_texts = BUF_INIT(CHAT_CALLS_MAX * TURN_SEND_TEXT_MAX);
    struct store_reply reply = {.channel = optional(turn->terms.reply_channel),
                                .chat = optional(turn->terms.reply_chat),
                                .thread = optional(turn->terms.reply_thread)};
    struct store_turn_step step = {
        .turn = span_of(turn->name),
        .state = transition->state,
        .iteration = turn->iteration,
        .usage = usage_row(&transition->usage),
        .prompt_tokens = turn->session->prompt_tokens,
        .now_ms = clock_wall_ms(turn->agent->env.clock),
        .messages = messages,
        .message_count = transition->new_messages,
        .calls = calls,
        .call_count = transition->without_payload || transition->summary ? 0 : turn->call_count,
        .files = files,
        .inbox = inbox,
        .inbox_count = taken_numbers(turn, inbox, ARRAY_LEN(inbox)),
        .questions = questions,
        .question_count = waits || transition->state == STORE_TURN_TOOLS
                              ? turn->question_count + turn->allowed_count
                              : 0,
    };
    if (step.call_count && (transition->final || transition->state == STORE_TURN_MODEL))
        step.file_count = turn_send_rows(turn, files, &file_texts);
    if (transition->state == STORE_TURN_FAILED)
        step.error = span_of(turn->error.text);
    if ((transition->final || waits) && reply.channel.data) {
        if (waits)
            turn_wait_write(turn, &reply_text, &buttons);
        else
            reply.only_if_open = !write_reply(turn, &reply_text);
        reply.kind = waits ? STORE_REPLY_QUESTION : STORE_REPLY_ANSWER;
        if (turn->news)
            buf_append_text(&buttons, "[{\"text\":\"🔎 Show it\",\"data\":\"/mcp\"}]");
        reply.buttons = buf_span(&buttons);
        reply.text = buf_span(&reply_text);
        step.reply = &reply;
    }
    return (transition->final ? store_turn_finish : store_turn_advance)(
        turn->agent->env.store, &step, STORE_DURABLE, on_written, turn, err);
}

static void try_again(void *context);

static void go_on(struct turn *turn)
{
    turn_next_fn *next = turn->transition.next;
    turn->transition = (struct turn_transition){0};
    next(turn);
}

// Nothing is lost but what is too large to be kept: the end of the turn and its reply are not. A
// step before the end is the end, because calls that are not on disk must not run.
static void too_large(struct turn *turn, const struct error *err)
{
    if (turn->transition.final) {
        remark(turn, err);
        turn->transition.without_payload = true;
        turn->transition.new_messages = 0;
        try_again(turn);
        return;
    }
    turn->error = *err;
    go_on(turn);
}

static void wait_for_disk(struct turn *turn, const struct error *err)
{
    struct turn_transition *transition = &turn->transition;
    if (transition->attempts == 0)
        LOG_EVENT(LOG_ERROR, "turn.waits", turn->name, LOG_TEXT("for", "the disk"),
                  LOG_TEXT("error", err->text));
    int64_t delay = (int64_t)RETRY_FIRST_MS
                    << (transition->attempts < 5 ? transition->attempts : 5);
    transition->attempts++;
    transition->again = loop_timer_after(
        turn->agent->env.loop, delay < RETRY_MOST_MS ? delay : RETRY_MOST_MS, try_again, turn);
}

static void refused(struct turn *turn, const struct error *err)
{
    int code = err->code; // these are no matter of the disk: no attempt will do better
    bool may_pass = code != -EALREADY && code != -ENOENT && code != -E2BIG && code != -EINVAL;
    if (!turn->terms.interactive && may_pass) {
        wait_for_disk(turn, err);
    } else if (!turn->terms.interactive && err->code == -E2BIG &&
               !turn->transition.without_payload) {
        too_large(turn, err);
    } else if (turn->transition.resume || turn->transition.state == STORE_TURN_WAITING ||
               (turn->transition.state == STORE_TURN_TOOLS && turn->allowed_count)) {
        turn->error = *err;
        go_on(turn);
    } else {
        remark(turn, err);
        go_on(turn);
    }
}

static void on_written(void *context, int result, const struct error *err, int64_t rowid)
{
    struct turn *turn = context;
    turn->transition.job = 0;
    if (result < 0)
        refused(turn, err);
    else
        go_on(turn);
}

static void try_again(void *context)
{
    struct turn *turn = context;
    struct error err = ERROR_INIT;
    turn->transition.again = 0;
    int64_t job =
        turn->transition.resume
            ? store_turn_resume(turn->agent->env.store, span_of(turn->name), on_written, turn, &err)
            : submit_step(turn, &err);
    if (job < 0)
        refused(turn, &err);
    else
        turn->transition.job = job;
}

static void begin_transition(struct turn *turn, enum store_turn_state state, size_t new_messages,
                             turn_next_fn *next)
{
    turn->transition = (struct turn_transition){
        .state = state,
        .new_messages = new_messages,
        .final = state >= STORE_TURN_DONE,
        .summary = turn->transition.summary,
        .usage = turn->unsaved,
        .next = next,
    };
    turn->unsaved = (struct chat_usage)CHAT_USAGE_UNKNOWN;
    try_again(turn);
}

void turn_store_model(struct turn *turn, size_t new_messages, turn_next_fn *next)
{
    begin_transition(turn, STORE_TURN_MODEL, new_messages, next);
}

void turn_store_summary(struct turn *turn, turn_next_fn *next)
{
    turn->transition.summary = true;
    begin_transition(turn, STORE_TURN_MODEL, 1, next);
}

void turn_store_tools(struct turn *turn, turn_next_fn *next)
{
    begin_transition(turn, turn->question_count ? STORE_TURN_WAITING : STORE_TURN_TOOLS, 1, next);
}

void turn_store_questions(struct turn *turn, turn_next_fn *next)
{
    begin_transition(turn, STORE_TURN_WAITING, 0, next);
}

void turn_store_end(struct turn *turn, size_t new_messages, turn_next_fn *next)
{
    static const enum store_turn_state states[] = {
        [TURN_DONE] = STORE_TURN_DONE,
        [TURN_FAILED] = STORE_TURN_FAILED,
        [TURN_CANCELLED] = STORE_TURN_CANCELLED,
    };
    begin_transition(turn, states[turn->state], new_messages, next);
}

// Should this one be lost, the call counts as interrupted, or is run again where that does no harm.
void turn_store_call(struct turn *turn, const struct turn_call *call)
{
    struct store_tool_call row = call_row(turn, call->ordinal);
    struct store_turn_step step = {
        .turn = span_of(turn->name),
        .state = STORE_TURN_TOOLS,
        .iteration = turn->iteration,
        .now_ms = clock_wall_ms(turn->agent->env.clock),
        .calls = &row,
        .call_count = 1,
    };
    store_turn_advance(turn->agent->env.store, &step, STORE_GROUPED, NULL, NULL, NULL);
}

// Deferred, since whoever resumes the turn is not called back from inside that.
void turn_store_resume(struct turn *turn, turn_next_fn *next)
{
    turn->transition = (struct turn_transition){.resume = true, .next = next};
    turn->transition.again = loop_defer(turn->agent->env.loop, try_again, turn);
}

void turn_store_forget(struct turn *turn)
{
    store_forget(turn->agent->env.store, turn->transition.job);
    if (turn->transition.again)
        loop_cancel(turn->agent->env.loop, turn->transition.again);
}

bool turn_stored_soon(const struct turn *turn)
{
    return turn->transition.job || turn->transition.again || turn->looking.asks;
}
