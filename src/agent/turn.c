#include "agent/turn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/turn_log.h"
#include "agent/turn_taint.h"
#include "agent/turn_wait.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "store/turn_read.h"

const char turn_silence[] = "(no answer)";

enum { REMARKS_MAX = 8192 }; // bytes

static void enter_tools(struct turn *turn);
static void asked_again(struct turn *turn);

static void model_call_ended(struct turn *turn)
{
    turn->model_call = 0;
    loop_cancel(turn->agent->env.loop, turn->limit);
    turn->limit = 0;
}

static void cancel_model_call(struct turn *turn)
{
    if (turn->model_call)
        chat_provider_cancel(turn->provider, turn->model_call);
    model_call_ended(turn);
    turn_compress_forget(turn);
    turn_parts_forget(turn);
}

static void turn_destroy(struct turn *turn)
{
    cancel_model_call(turn);
    turn_consult_forget(turn);
    turn_store_forget(turn);
    turn_files_forget(turn);
    if (turn->marking)
        turn_marks_leave(turn);
    turn_calls_finish(turn);
    turn_wait_finish(turn);
    turn_steering_forget(turn, false);
    list_remove(&turn->link);
    if (turn->session)
        turn->session->busy = false;
    buf_finish(&turn->partial);
    turn_drop_notices(turn);
    tool_set_unref(turn->tools);
    turn_terms_finish(&turn->terms);
    free(turn->text);
    chat_parts_finish(&turn->parts);
    free(turn);
}

struct agent *agent_create(const struct agent_env *env)
{
    struct agent *agent = mem_new(struct agent);
    agent->env = *env;
    list_init(&agent->turns);
    list_init(&agent->markings);
    list_init(&agent->uses);
    return agent;
}

void agent_configure(struct agent *agent, const struct agent_env *env)
{
    agent->env = *env;
    agent->health = (struct model_health){0}; // of another configuration
}

const struct agent_env *agent_env(const struct agent *agent)
{
    return &agent->env;
}

const struct tool_set *agent_tools(const struct agent *agent)
{
    return toolbox_tools(agent->env.toolbox);
}

bool agent_uses(const struct agent *agent, const struct chat_provider *provider)
{
    list_for_each(link, &agent->turns) {
        const struct turn *turn = list_entry(link, struct turn, link);
        if (turn->model_call && turn->provider == provider)
            return true;
    }
    list_for_each(other, &agent->uses)
        if (list_entry(other, struct agent_use, link)->provider == provider)
            return true;
    return false;
}

void agent_list_use(struct agent *agent, struct agent_use *use)
{
    list_append(&agent->uses, &use->link);
}

void agent_destroy(struct agent *agent)
{
    if (!agent)
        return;
    while (!list_empty(&agent->turns))
        agent_turn_park(agent, list_entry(agent->turns.prev, struct turn, link)->id);
    turn_marks_forget(agent);
    free(agent);
}

static void report_end(struct turn *turn)
{
    chat_provider_end_work(turn->agent->env.provider, turn->name, turn->notices[0] != NULL);
    size_t unheard_count;
    CLEANUP(mem_cleanup) int64_t *numbers = turn_steering_unheard(turn, &unheard_count);
    BUF_AUTO remark = BUF_INIT(REMARKS_MAX); // all that is to be said beside the answer
    buf_append_text(&remark, turn->remark);
    turn_tell_notices(turn, &remark);
    BUF_AUTO allowed = BUF_INIT(REMARKS_MAX);
    if (turn->begun && turn->state != TURN_WAITING)
        turn_wait_tell_allowed(turn, &allowed);
    if (allowed.len)
        buf_printf(&remark, "%s%s", remark.len ? "; " : "", buf_text(&allowed));
    struct turn_outcome outcome = {
        .begun = turn->begun,
        .state = turn->state,
        .text = turn_answer(turn),
        .error = turn->error.text,
        .code = turn->error.code,
        .remark = buf_text(&remark),
        .usage = turn->usage,
        .iterations = turn->iteration,
        .unheard = numbers,
        .unheard_count = unheard_count,
        .questions = turn->questions,
        .question_count = turn->state == TURN_WAITING ? turn->question_count : 0,
    };
    turn->session->busy = false; // so that the callee may begin the next one, or destroy it
    turn->session = NULL;
    turn_report(turn, (struct turn_event){.kind = TURN_EVENT_END, .outcome = &outcome});
    turn_destroy(turn);
}

/*
 * What the history needs so that the next turn can build on it: every call has its result, and the
 * assistant has the last word, since some models' templates refuse two messages of a user in a row.
 */
static size_t close_history(struct turn *turn)
{
    struct chat_history *history = &turn->session->history;
    size_t before = history->count;
    if (turn->call_count) {
        turn_calls_interrupt(turn);
        turn_calls_append_results(turn);
    }
    if (turn->state != TURN_DONE && turn->begun) {
        const char *said = turn->partial.len ? buf_text(&turn->partial) : turn_silence;
        bool tainted = turn_is_tainted(turn);
        chat_history_append_text(history, CHAT_ASSISTANT, said);
        history->messages[history->count - 1].tainted = tainted;
    }
    return history->count - before;
}

static void turn_end(struct turn *turn, enum turn_state state)
{
    bool answered = turn->state == TURN_MODEL && state == TURN_DONE;
    turn->state = state;
    if (state == TURN_CANCELLED || !turn->begun)
        turn_drop_notices(turn); // nobody may read them
    else
        turn_take_news(turn);
    cancel_model_call(turn);
    toolbox_forget(turn->agent->env.toolbox, turn->name);
    size_t new_messages = close_history(turn) + answered;
    turn_log_end(turn);
    if (turn->begun)
        turn_store_end(turn, new_messages, report_end);
    else
        report_end(turn);
}

static void on_text(void *context, struct span delta)
{
    struct turn *turn = context;
    buf_append_span(&turn->partial, delta);
    turn_report(turn, (struct turn_event){.kind = TURN_EVENT_TEXT, .text = delta});
}

static void on_reply(void *context, struct chat_reply *reply)
{
    struct turn *turn = context;
    model_call_ended(turn);
    model_health_answered(&turn->agent->health, clock_wall_ms(turn->agent->env.clock));
    turn->session->prompt_tokens = reply->usage.prompt_tokens;
    turn->session->counted = turn->session->history.count;
    turn_add_usage(&turn->usage, &reply->usage);
    turn_add_usage(&turn->unsaved, &reply->usage);
    turn_log_reply(turn, reply);
    turn_keep_notice(turn, reply);
    bool wants_tools = reply->message.call_count > 0;
    if (chat_message_has_extra(&reply->message))
        reply->message.writer = mem_strdup(turn_model(turn));
    reply->message.tainted = turn_is_tainted(turn);
    chat_history_append(&turn->session->history, &reply->message);
    if (wants_tools) { // however it ends, the answer does not end with it
        enter_tools(turn);
        return;
    }
    bool cut = reply->finish == CHAT_FINISH_LENGTH;
    if (cut || reply->finish == CHAT_FINISH_CONTENT_FILTER)
        snprintf(turn->remark, sizeof turn->remark, "the answer ends here because %s",
                 cut ? "the model's token limit was reached"
                     : "the provider's content filter stopped it");
    turn_end(turn, TURN_DONE);
}

static void on_failure(void *context, const struct chat_failure *failure)
{
    struct turn *turn = context;
    model_call_ended(turn);
    turn_take_failure(turn, failure);
    struct error failed = turn->error;
    turn->error = (struct error)ERROR_INIT;
    if (failure->kind == CHAT_TOO_LONG && turn_compress(turn, true, asked_again))
        return;
    turn->error = failed;
    turn_end(turn, TURN_FAILED);
}

static void on_wait(void *context, size_t place)
{
    struct turn *turn = context;
    char text[ERROR_TEXT_MAX];
    snprintf(text, sizeof text,
             "the limit per minute of %.200s is reached; this waits for its turn (place %zu)",
             turn_model(turn), place);
    turn_report(turn, (struct turn_event){.kind = TURN_EVENT_WAIT, .sentence = text});
}

// A model that says nothing, or comes to no end, is not waited for longer than the turn may take;
// tools have the same limit (begin_call()).
static void on_limit(void *context)
{
    struct turn *turn = context;
    turn_tell_time(turn);
    turn_end(turn, TURN_FAILED);
}

static void ask_model(struct turn *turn)
{
    static const struct chat_sink sink = {on_text, NULL, on_reply, on_failure, on_wait};
    const struct agent_env *env = &turn->agent->env;
    const struct chat_history *history = &turn->session->history;
    // The system prompt goes before the history without ever being part of it.
    CLEANUP(mem_cleanup)
    struct chat_message *messages = mem_alloc((history->count + 1) * sizeof *messages);
    CLEANUP(mem_cleanup) char *prompt = turn_prompt(turn);
    messages[0] = (struct chat_message){.role = CHAT_SYSTEM, .text = prompt};
    if (history->count)
        memcpy(messages + 1, history->messages, history->count * sizeof *messages);
    struct chat_tool tools[TOOL_SET_MAX];
    struct chat_request request = {
        .origin = {.slot = turn->terms.slot,
                   .session = turn->session->id,
                   .job = strcmp(turn->terms.origin, "cron") == 0 ? turn->session->chat : NULL,
                   .work = turn->name,
                   .priority = (enum chat_priority)turn->terms.priority},
        .model = turn_chosen_model(turn),
        .writer = turn_model(turn),
        .messages = messages,
        .message_count = history->count + 1,
        .tools = tools,
        .tool_count = turn_tools_listed(turn, tools),
        .max_tokens = env->max_tokens,
        .stream = env->stream,
    };
    turn->provider = env->provider;
    turn->asked_ms = clock_monotonic_ms(env->clock);
    turn_parts_show(turn, messages + 1, &request);
    int r =
        chat_provider_start(env->provider, &request, &sink, turn, &turn->model_call, &turn->error);
    turn_parts_forget(turn);
    if (r < 0)
        turn_end(turn, TURN_FAILED);
    else if (turn->model_call && turn_limit_ms(turn))
        turn->limit = loop_timer_after(env->loop, turn_left_ms(turn), on_limit, turn);
}

static void enter_model(struct turn *turn)
{
    if (turn->error.code < 0) { // what made room could not be written down
        turn_end(turn, TURN_FAILED);
        return;
    }
    if (turn->cancel_wanted) {
        turn_end(turn, TURN_CANCELLED);
        return;
    }
    if (turn_is_past_a_limit(turn)) {
        turn_end(turn, TURN_FAILED);
        return;
    }
    if (turn_compress(turn, false, enter_model))
        return;
    turn->state = TURN_MODEL;
    turn->iteration++;
    buf_clear(&turn->partial);
    if (turn->iteration > 1)
        turn_report(turn, (struct turn_event){.kind = TURN_EVENT_STEP});
    if (!turn_parts_load(turn, ask_model))
        ask_model(turn);
}

// For the first time, as the model sees it: it has read nothing of the longer conversation.
static void asked_again(struct turn *turn)
{
    turn->iteration--;
    enter_model(turn);
}

// Steered messages are no inbox rows any more, but part of a result that the model reads.
static void results_stored(struct turn *turn)
{
    bool lost = turn->error.code < 0;
    // No disk would take the results: the history is as it will be read, and what was steered into
    // them waits on, since the model never reads it.
    if (lost) {
        struct chat_history *history = &turn->session->history;
        chat_history_truncate(history, history->count - turn->call_count);
        agent_session_close(turn->session);
        list_for_each(link, &turn->steering)
            list_entry(link, struct turn_steering, link)->taken = false;
    }
    turn_calls_finish(turn); // their results are in the history
    if (lost) {
        turn_end(turn, TURN_FAILED);
        return;
    }
    turn_steering_forget(turn, true);
    turn->state = TURN_MODEL;
    enter_model(turn);
}

// From here on it is in the store alone; notices are told again, with the answer.
static void waits(struct turn *turn)
{
    if (turn->error.code < 0 || turn->cancel_wanted) {
        turn_end(turn, turn->error.code < 0 ? TURN_FAILED : TURN_CANCELLED);
        return;
    }
    turn->state = TURN_WAITING;
    turn_drop_notices(turn);
    LOG_EVENT(LOG_INFO, "turn.waits", turn->name, LOG_TEXT("for", "approval"),
              LOG_NUMBER("questions", (int64_t)turn->question_count));
    report_end(turn);
}

static void calls_ended(struct turn *turn)
{
    if (turn->calls_left) { // the others ask, and go on with the answer
        turn_wait_prepare_running(turn);
        turn_store_questions(turn, waits);
        return;
    }
    uint64_t fingerprint = turn_calls_fingerprint(turn);
    turn->repeats = fingerprint == turn->last_fingerprint ? turn->repeats + 1 : 1;
    turn->last_fingerprint = fingerprint;
    turn_calls_append_results(turn);
    turn_store_model(turn, turn->call_count, results_stored);
}

static void calls_stored(struct turn *turn)
{
    if (turn->error.code < 0)
        turn_end(turn, TURN_FAILED);
    else if (turn->cancel_wanted)
        turn_end(turn, TURN_CANCELLED);
    else
        turn_calls_run(turn, calls_ended);
}

static void store_questions(struct turn *turn)
{
    turn_store_tools(turn, turn->question_count ? waits : calls_stored);
}

static void consulted(struct turn *turn)
{
    if (turn->cancel_wanted) // nobody is asked any more
        turn_store_tools(turn, calls_stored);
    else {
        turn_wait_prepare(turn);
        turn_files_ask(turn, store_questions);
    }
}

static void enter_tools(struct turn *turn)
{
    turn->state = TURN_TOOLS;
    buf_clear(&turn->partial);
    turn_wait_finish(turn);
    turn_calls_prepare(turn);
    turn_consult(turn, consulted);
}

static void on_begun(struct turn *turn)
{
    if (turn->error.code < 0) {
        turn_end(turn, TURN_FAILED);
        return;
    }
    turn->begun = true;
    turn->session->stored = true;
    turn->state = TURN_PROMPT;
    turn_marks_look_at_prompt(turn->session, store_view(turn->agent->env.store));
    struct chat_history *history = &turn->session->history;
    if (turn->replaces)
        chat_history_truncate(history, turn_find_question(turn));
    chat_history_append(history, &(struct chat_message){.role = CHAT_USER,
                                                        .text = STEAL(turn->text),
                                                        .parts = turn->parts,
                                                        .tainted = turn->tainted});
    turn->parts = (struct chat_parts){0};
    turn_report(turn, (struct turn_event){.kind = TURN_EVENT_BEGIN});
    enter_model(turn);
}

static struct turn *turn_create(struct agent *agent, struct agent_session *session,
                                turn_event_fn *on_event, void *context)
{
    struct turn *turn = mem_new(struct turn);
    turn->agent = agent;
    turn->session = session;
    turn->id = ++agent->last_id;
    turn->on_event = on_event;
    turn->context = context;
    turn->started_ms = clock_monotonic_ms(agent->env.clock);
    turn->usage = turn->unsaved = (struct chat_usage)CHAT_USAGE_UNKNOWN;
    buf_init(&turn->partial, CHAT_TEXT_MAX);
    list_init(&turn->steering);
    list_append(&agent->turns, &turn->link);
    session->busy = true;
    return turn;
}

static void take_terms(struct turn *turn, const struct store_turn_terms *terms)
{
    turn_terms_init(&turn->terms, terms);
    turn->tools = tool_set_select(toolbox_tools(turn->agent->env.toolbox),
                                  terms->unattended ? TOOL_UNATTENDED : 0, turn->terms.tools);
    if (turn->terms.parent) {
        struct tool_set *all = turn->tools;
        turn->tools = tool_set_without(all, turn_child_withheld);
        tool_set_unref(all);
    }
}

int agent_turn_start(struct agent *agent, const struct turn_request *request,
                     turn_event_fn *on_event, void *context, turn_id *ret_id, struct error *err)
{
    struct agent_session *session = request->session;
    if (session->busy)
        return error_set(err, -EBUSY, "a turn is already running in this conversation");
    agent_session_close(session);
    struct turn *turn = turn_create(agent, session, on_event, context);
    take_terms(turn, &request->terms);
    random_hex(turn->name, sizeof turn->name);
    if (request->name && *request->name)
        snprintf(turn->name, sizeof turn->name, "%s", request->name);
    turn->state = TURN_QUEUED;
    turn->replaces = request->drop_turn.data != NULL;
    turn->text = mem_strndup(request->text.data, request->text.len);
    size_t replaced = turn_find_question(turn);
    turn->tainted = request->tainted || (turn->replaces && replaced < session->history.count &&
                                         session->history.messages[replaced].tainted);
    int r = turn_store_begin(turn, request, on_begun, err);
    if (r < 0) {
        turn_destroy(turn);
        return r;
    }
    turn_log_begin(turn, request);
    *ret_id = turn->id;
    return 0;
}

static void on_resumed(struct turn *turn)
{
    turn_report(turn, (struct turn_event){.kind = TURN_EVENT_BEGIN});
    if (turn->state == TURN_TOOLS || turn->error.code < 0)
        calls_stored(turn);
    else
        enter_model(turn);
}

static bool on_row(void *context, const struct store_turn_row *row)
{
    struct turn *turn = context;
    if (row->id.len >= sizeof turn->name)
        return false;
    memcpy(turn->name, row->id.data, row->id.len);
    take_terms(turn, &row->terms);
    turn_marks_look_at_prompt(turn->session, store_view(turn->agent->env.store));
    turn->begun = true;
    turn->iteration = row->iteration;
    if (row->usage.cost_pico)
        turn->usage.cost_pico = row->usage.cost_pico; // of which there may be a limit
    turn->waited = row->state == STORE_TURN_WAITING;
    turn->state = turn->waited || row->state == STORE_TURN_TOOLS ? TURN_TOOLS : TURN_MODEL;
    turn->marks_since_ms = turn->waited ? 0 : row->started_ms; // what was cut wrote since then
    if (row->state >= STORE_TURN_DONE)                         // which no turn without an end is
        error_set(&turn->error, -EBADMSG,
                  "this could not be resumed after a restart: its record in the database is "
                  "damaged");
    else if (row->resumes >= TURN_RESUMES_MAX && !turn->waited)
        error_set(&turn->error, -ENOTRECOVERABLE,
                  "given up: the program stopped %d times while it worked on this",
                  row->resumes + 1);
    return false;
}

int agent_turn_resume(struct agent *agent, struct agent_session *session, struct span name,
                      const char *why, turn_event_fn *on_event, void *context, turn_id *ret_id,
                      struct error *err)
{
    struct turn *turn = turn_create(agent, session, on_event, context);
    int r = store_read_turn(agent->env.store, name, on_row, turn, err);
    if (r >= 0 && !turn->begun)
        r = error_set(err, -ENOENT, "there is no turn %.*s", (int)name.len, name.data);
    if (r < 0) {
        turn_destroy(turn);
        return r;
    }
    if (why)
        error_set(&turn->error, -ENOTRECOVERABLE, "%s", why);
    else if (turn->error.code == 0 && turn->state == TURN_TOOLS &&
             turn_restore_calls(turn, &turn->error) < 0)
        error_wrap(&turn->error, "this could not be resumed after a restart");
    *ret_id = turn->id;
    turn_store_resume(turn, on_resumed);
    return 0;
}

const char *agent_turn_name(const struct agent *agent, turn_id id)
{
    const struct turn *turn = turn_find(agent, id);
    return turn ? turn->name : NULL;
}

enum turn_state agent_turn_state(const struct agent *agent, turn_id id, int *ret_iteration)
{
    const struct turn *turn = turn_find(agent, id);
    *ret_iteration = turn ? turn->iteration : 0;
    return turn ? turn->state : TURN_DONE;
}

void agent_turn_park(struct agent *agent, turn_id id)
{
    struct turn *turn = turn_find(agent, id);
    if (!turn)
        return;
    for (struct list *link = agent->turns.prev, *before; link != &agent->turns; link = before) {
        struct turn *other = list_entry(link, struct turn, link);
        before = link->prev;
        if (other->terms.parent && strcmp(other->terms.parent, turn->name) == 0)
            turn_destroy(other); // a child has none of its own
    }
    turn_destroy(turn);
}

void agent_turn_cancel(struct agent *agent, turn_id id)
{
    struct turn *turn = turn_find(agent, id);
    if (!turn || turn->state >= TURN_DONE)
        return;
    bool consults = turn->consulting.next;
    if (consults || turn_stored_soon(turn))
        turn->cancel_wanted = true; // it waits for the disk, which will not take long
    else
        turn_end(turn, TURN_CANCELLED);
    if (consults)
        turn_consult_stop(turn);
}
