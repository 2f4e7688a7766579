#include <stdlib.h>
#include <string.h>

#include "agent/part_list.h"
#include "agent/turn_log.h"
#include "agent/turn_send.h"
#include "agent/turn_taint.h"
#include "agent/turn_wait.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tools/tool_target.h"

static const char interrupted[] = "interrupted before it ended; it may have had an effect";
static const char not_begun[] = "not run: the turn was ended before";

size_t turn_tools_listed(const struct turn *turn, struct chat_tool *tools)
{
    size_t count = 0;
    for (size_t i = 0; i < turn->tools->count; i++) {
        const struct tool_set_entry *tool = &turn->tools->tools[i];
        if (!(tool->flags & TOOL_FOUND))
            tools[count++] = (struct chat_tool){tool->name, tool->description, tool->parameters};
    }
    return count;
}

void turn_call_judge(struct turn_call *call, enum approval_verdict verdict)
{
    const struct turn *turn = call->turn;
    const struct chat_call *asking = &turn_asking_message(turn)->calls[call->ordinal];
    struct tool_target target;
    tool_target_find(turn->tools, asking->name, span_of(asking->arguments), &target);
    if (!target.entry || turn->agent->env.replays)
        return;
    char taint[TURN_TAINT_MAX];
    bool tainted = turn_taint(turn, taint);
    call->flags = target.entry->flags;
    struct approval_call asked = {
        .tool = target.entry->name,
        .flags = call->flags,
        .arguments = target.arguments,
        .origin = turn->terms.origin,
        .unattended = turn->terms.unattended,
        .taint = taint,
        .copied = tainted &&
                  turn_fetches_copied(turn, call->ordinal, target.entry->name, target.arguments),
        .verdict = verdict,
    };
    call->judgement = approval_judge(turn->agent->env.config, &asked);
    call->approved = call->judgement.cleared;
    if (call->judgement.decision != APPROVAL_RUNS)
        turn_log_judgement(call, asked.tool);
}

void turn_calls_prepare(struct turn *turn)
{
    turn->call_count = turn_asking_message(turn)->call_count;
    turn->calls = mem_zalloc(turn->call_count * sizeof *turn->calls);
    turn->calls_left = turn->call_count;
    for (size_t i = 0; i < turn->call_count; i++) {
        turn->calls[i] = (struct turn_call){.turn = turn, .ordinal = i};
        turn_call_judge(&turn->calls[i],
                        turn->agent->env.consults ? APPROVAL_UNHEARD : APPROVAL_ESCALATED);
    }
}

static const char *name_of(const struct turn_call *call)
{
    return turn_asking_message(call->turn)->calls[call->ordinal].name;
}

static const char *id_of(const struct turn_call *call)
{
    return turn_asking_message(call->turn)->calls[call->ordinal].id;
}

static void go_on(struct turn *turn);

// It goes on when that is answered, and until then nothing of it runs here.
static void on_question(struct turn_call *call, struct span asks)
{
    call->run = 0;
    call->asked++;
    call->asks = mem_strndup(asks.data, asks.len);
    if (!call->turn->starting)
        go_on(call->turn);
}

static void on_end(void *context, const struct tool_result *result)
{
    struct turn_call *call = context;
    struct turn *turn = call->turn;
    if (result->asks) {
        on_question(call, result->text);
        return;
    }
    CLEANUP(mem_cleanup)
    char *unsent = result->failed ? NULL : turn_send_refusal(call, result->text);
    struct span text = unsent ? span_of(unsent) : result->text;
    call->run = 0;
    call->ended = true;
    call->failed = result->failed || unsent;
    call->tainted = call->tainted || result->tainted;
    call->result = call->failed ? mem_printf("error: %.*s", (int)text.len, text.data)
                                : mem_strndup(text.data, text.len);
    turn_parts_keep(call, result);
    turn_marks_ended(call);
    if (call->tainted)
        turn_log_taint(call);
    turn->calls_left--;
    turn_log_call(call, result->ms);
    if (turn->calls_left)
        turn_store_call(turn, call);
    turn_report(turn, (struct turn_event){.kind = TURN_EVENT_RESULT,
                                          .name = name_of(call),
                                          .call_id = id_of(call),
                                          .failed = call->failed,
                                          .text = text});
    if (!turn->starting)
        go_on(turn);
}

// Does it end here, because it may not run? A tool that needs approval says so itself.
static bool refuse(struct turn_call *call)
{
    static const char too_long[] =
        "not run: it needs somebody's approval, and its arguments are longer than the 16384 bytes "
        "that a question shows. Do it in several smaller calls; put a long command into a file "
        "and run that";
    static const char not_asked[] =
        "not run: it needs somebody's approval, and was not asked for, as there was no room for "
        "more questions at once. Call it again with fewer others beside it";
    bool refused = call->judgement.decision == APPROVAL_REFUSES;
    bool asks = call->judgement.decision == APPROVAL_ASKS ||
                call->judgement.decision == APPROVAL_CONSULTS; // by the last process
    bool waits = asks && !call->approved;
    bool is_long = waits && turn_wait_is_too_long(call->turn, call->ordinal);
    if (!refused && !is_long && (!waits || call->flags & TOOL_NEEDS_APPROVAL))
        return false;
    const char *why = refused ? call->judgement.why : is_long ? too_long : not_asked;
    on_end(call, &(struct tool_result){.text = span_of(why), .failed = true});
    return true;
}

static void begin_call(struct turn_call *call)
{
    struct turn *turn = call->turn;
    const struct chat_call *asked = &turn_asking_message(turn)->calls[call->ordinal];
    int64_t limit_ms = turn_limit_ms(turn);
    const struct agent_session *session = turn->session;
    struct turn_call_id id;
    turn_call_identify(turn, call->ordinal, &id);
    // A caller of the API waits for an answer, and takes no question for one.
    bool is_alone = turn->terms.unattended || strcmp(turn->terms.origin, "api") == 0;
    CLEANUP(mem_cleanup)
    char *chat = mem_printf("%s\n%s\n%s", session->channel, session->chat, session->sender);
    struct tool_call_context on_behalf = {
        .turn = turn->name,
        .session = session->id,
        .origin = turn->terms.origin,
        .chat = chat,
        .flow = turn->id,
        .deadline_ms = limit_ms ? turn->started_ms + limit_ms : 0,
        .approved = call->approved,
        .unattended = turn->terms.unattended,
        .tainted = turn_is_tainted(turn),
        .call = is_alone || call->asked >= TURN_CALL_QUESTIONS_MAX ? NULL : id.code,
        .key = id.code,
        .reply = call->reply,
        .words = call->words,
    };
    turn_report(turn, (struct turn_event){.kind = TURN_EVENT_CALL,
                                          .name = asked->name,
                                          .call_id = asked->id,
                                          .arguments = asked->arguments});
    if (call->reply == TOOL_BEGINS && refuse(call)) // else it had begun
        return;
    turn_marks_begin(call);
    on_behalf.tainted = on_behalf.tainted || call->tainted;
    tool_run_id run = toolbox_run(turn->agent->env.toolbox, turn->tools, &on_behalf, asked->name,
                                  span_of(asked->arguments), on_end, call);
    if (!call->ended && !call->asks)
        call->run = run;
}

static void run_compared(struct turn *turn)
{
    struct turn_call *call = &turn->calls[turn->looking.at];
    CLEANUP(mem_cleanup) char *changed = STEAL(turn->looking.changed);
    turn->starting = true;
    free(STEAL(call->bound));
    if (changed)
        on_end(call, &(struct tool_result){.text = span_of(changed), .failed = true});
    else
        begin_call(call);
    turn->starting = false;
    go_on(turn);
}

// When nothing runs any more, and something may be left that waits for that.
static void go_on(struct turn *turn)
{
    for (size_t i = 0; i < turn->call_count; i++)
        if (turn->calls[i].run)
            return;
    if (!turn_files_compare(turn, run_compared))
        turn_marks_keep(turn, turn->calls_ended);
}

// All at once, but for those whose files are compared before; results are put in order when the
// last one is there.
static void begin_calls(struct turn *turn)
{
    turn->starting = true; // some end at once, and the turn must outlive this loop
    for (size_t i = 0; i < turn->call_count; i++)
        if (!turn->calls[i].ended && !turn->calls[i].bound) // else before the program was stopped
            begin_call(&turn->calls[i]);
    turn->starting = false;
    go_on(turn);
}

void turn_calls_run(struct turn *turn, turn_next_fn *next)
{
    turn->calls_ended = next;
    if (!turn_marks_note(turn, begin_calls))
        begin_calls(turn);
}

void turn_calls_interrupt(struct turn *turn)
{
    turn_files_forget(turn);
    turn_marks_leave(turn);
    for (size_t i = 0; i < turn->call_count; i++) {
        struct turn_call *call = &turn->calls[i];
        if (call->ended)
            continue;
        bool begun =
            toolbox_cancel(turn->agent->env.toolbox, call->run) || call->maybe_begun || call->asks;
        call->result = mem_strdup(begun ? interrupted : not_begun);
        call->run = 0;
        call->ended = call->failed = call->interrupted = true;
    }
}

/*
 * What the user said meanwhile goes to the model behind the last result: the one place in the
 * middle of a turn where every provider takes more text.
 */
static void take_steering(struct turn *turn)
{
    struct turn_call *call = &turn->calls[turn->call_count - 1];
    char **last = &call->result;
    list_for_each(link, &turn->steering) {
        struct turn_steering *steering = list_entry(link, struct turn_steering, link);
        CLEANUP(mem_cleanup) char *before = *last;
        *last = mem_printf("%s\n\n[While you worked, the user wrote:]\n%s", before, steering->text);
        call->tainted |= steering->tainted;
        steering->taken = true;
    }
}

void turn_calls_append_results(struct turn *turn)
{
    const struct chat_message *asking = turn_asking_message(turn);
    if (turn->state < TURN_DONE)
        take_steering(turn);
    CLEANUP(mem_cleanup) char **ids = mem_alloc((turn->call_count + 1) * sizeof *ids);
    for (size_t i = 0; i < turn->call_count; i++)
        ids[i] = asking->calls[i].id; // appending moves the messages, not what they own
    struct chat_history *history = &turn->session->history;
    for (size_t i = 0; i < turn->call_count; i++) {
        chat_history_append_result(history, ids[i], turn->calls[i].result, turn->calls[i].tainted);
        struct chat_message *message = &history->messages[history->count - 1];
        message->at_ms = clock_wall_ms(turn->agent->env.clock);
        if (turn->calls[i].parts)
            part_list_read(span_of(turn->calls[i].parts), &message->parts);
    }
}

void turn_calls_finish(struct turn *turn)
{
    for (size_t i = 0; i < turn->call_count; i++) {
        toolbox_cancel(turn->agent->env.toolbox, turn->calls[i].run);
        free(turn->calls[i].result);
        free(turn->calls[i].parts);
        free(turn->calls[i].bound);
        free(turn->calls[i].asks);
        free(turn->calls[i].words);
    }
    free(STEAL(turn->marks_note));
    free(turn->calls);
    turn->calls = NULL;
    turn->call_count = 0;
}

// With its NUL, so that two texts are not as one.
static uint64_t hash_text(uint64_t hash, const char *text)
{
    return hash_add(hash, span_make(text, strlen(text) + 1));
}

// A collision would end a turn early, at odds of 2^-64.
uint64_t turn_calls_fingerprint(const struct turn *turn)
{
    const struct chat_message *asking = turn_asking_message(turn);
    uint64_t hash = HASH_INIT;
    for (size_t i = 0; i < turn->call_count; i++) {
        hash = hash_text(hash, asking->calls[i].name);
        hash = hash_text(hash, asking->calls[i].arguments);
        hash = hash_text(hash, turn->calls[i].result);
        if (turn->calls[i].parts)
            hash = hash_text(hash, turn->calls[i].parts);
    }
    return hash;
}
