#include "agent/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/command_word.h"
#include "agent/compression.h"
#include "agent/context.h"
#include "agent/conversation_compress.h"
#include "agent/prompt.h"
#include "agent/turn_marks.h"
#include "agent/turn_taint.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "codec/money.h"
#include "codec/utf8.h"
#include "store/approval.h"
#include "store/session.h"
#include "store/turn_read.h"
#include "tools/skills.h"

// One function for each command, and their table.

static void create_session(const struct conversation *conversation, struct command_effect *effect)
{
    const struct agent_env *env = agent_env(conversation->host->agent);
    BUF_AUTO prompt = BUF_INIT(PROMPT_MAX);
    prompt_build(env->config, env->memory, env->skills, env->home, &prompt);
    effect->prompt = buf_take_text(&prompt);
    effect->changes = true;
    effect->create = (struct store_session){
        .id = span_of(effect->session),
        .channel = span_of(conversation->channel),
        .chat = span_of(conversation->chat),
        .thread = span_of(conversation->thread),
        .sender = span_of(conversation->sender),
        .prompt = span_of(effect->prompt),
        .created_ms = loop_wall(conversation->host->loop),
    };
    effect->settlement.create = &effect->create;
}

// The effect concerns the conversation's session, which is made when there is none yet.
static void change_session(const struct conversation *conversation, struct command_effect *effect)
{
    const struct agent_session *session = conversation->session;
    snprintf(effect->session, sizeof effect->session, "%s", session->id);
    effect->changes = true;
    if (session->stored)
        effect->settlement.session = span_of(effect->session);
    else
        create_session(conversation, effect);
}

static void set_title(struct command_effect *effect, char *title)
{
    effect->title = title;
    if (effect->settlement.create)
        effect->create.title = span_of(title);
    else
        effect->settlement.title = span_of(title);
}

static int command_new(const struct conversation *conversation, struct span rest,
                       struct command_effect *effect, struct error *err)
{
    random_hex(effect->session, SESSION_ID_SIZE);
    create_session(conversation, effect);
    if (rest.len) {
        BUF_AUTO title = BUF_INIT(1024);
        agent_session_title(rest, &title);
        set_title(effect, buf_take_text(&title));
    }
    effect->session_changed = true;
    buf_append_text(&effect->reply, "A new conversation.");
    return 0;
}

static size_t pending_count(const struct conversation *conversation)
{
    size_t count = 0;
    list_for_each(link, &conversation->pending)
        count += list_entry(link, struct pending_message, link)->state == MESSAGE_PENDING;
    return count;
}

static const char *model_of(const struct conversation *conversation)
{
    const char *own = conversation->session->model;
    return own ? own : agent_env(conversation->host->agent)->model;
}

static bool on_open_question(void *context, const struct store_approval *row)
{
    char until[CLOCK_TEXT_SIZE];
    buf_printf(context, "\nNot answered: %.*s, %.*s%s%.*s%s, until %s", (int)row->code.len,
               row->code.data, (int)row->name.len, row->name.data, row->why.len ? " (" : "",
               (int)row->why.len, row->why.data, row->why.len ? ")" : "",
               clock_format_utc(row->expires_ms, until));
    return true;
}

// What is asked, and why a tool may have to.
static int tell_approvals(const struct conversation *conversation, struct buf *out,
                          struct error *err)
{
    char why[TURN_TAINT_MAX], since[CLOCK_TEXT_SIZE];
    int64_t since_ms;
    struct store_session_key key = conversation_key(conversation);
    turn_marks_look_at_prompt(conversation->session, store_view(conversation->host->store));
    if (session_taint(conversation->session, why, &since_ms))
        buf_printf(out, "\nText that nobody vouches for: %s%s%s", why, since_ms ? ", " : "",
                   since_ms ? clock_format_utc(since_ms, since) : "");
    else
        buf_append_text(out, "\nText that nobody vouches for: none");
    return store_read_questions(store_view(conversation->host->store), &key, on_open_question, out,
                                err);
}

static int command_status(const struct conversation *conversation, struct span rest,
                          struct command_effect *effect, struct error *err)
{
    struct buf *out = &effect->reply;
    const struct conversation_host *host = conversation->host;
    int iteration = 0;
    if (conversation->turn) {
        enum turn_state state = agent_turn_state(host->agent, conversation->turn, &iteration);
        buf_printf(out, "Working for %" PRId64 " s: step %d, %s\n",
                   (loop_now(host->loop) - conversation->turn_ms) / 1000, iteration,
                   state == TURN_TOOLS ? "running tools" : "waiting for the model");
    } else {
        buf_append_text(out, conversation->waiting
                                 ? "Waiting for /approve, /deny, /answer or /stop\n"
                                 : "Idle\n");
    }
    if (pending_count(conversation))
        buf_printf(out, "Waiting messages: %zu\n", pending_count(conversation));
    if (conversation->session->stored)
        buf_printf(out, "Conversation: %s (%.*s, %zu messages)\n",
                   conversation->session->title ? conversation->session->title : "untitled",
                   store_id_shown(span_of(conversation->session->id), 8), conversation->session->id,
                   conversation->session->history.count);
    else // its id is another one each time that it is read
        buf_append_text(out, "Conversation: begins with what you say\n");
    buf_printf(out, "Model: %s", model_of(conversation));
    int r = tell_approvals(conversation, out, err);
    return r < 0 ? r : 0;
}

static void append_sums(struct buf *out, const char *name, const struct store_turn_sums *sums)
{
    buf_printf(
        out, "%s: %" PRId64 " answers, %" PRId64 " tokens in (%" PRId64 " cached), %" PRId64 " out",
        name, sums->done, sums->usage.input_tokens, sums->usage.cached_tokens,
        sums->usage.output_tokens);
    int64_t micros = sums->usage.cost_pico / (MONEY_DOLLAR / 1000000);
    if (micros)
        buf_printf(out, ", $%" PRId64 ".%06" PRId64, micros / 1000000, micros % 1000000);
}

static int command_usage(const struct conversation *conversation, struct span rest,
                         struct command_effect *effect, struct error *err)
{
    append_sums(&effect->reply, "This conversation", &conversation->sums[0]);
    append_sums(&effect->reply, "\nEverything", &conversation->sums[1]);
    return 0;
}

struct question {
    char *turn, *text;
};

static void on_question(void *context, struct span turn, struct span text)
{
    *(struct question *)context =
        (struct question){mem_strndup(turn.data, turn.len), mem_strndup(text.data, text.len)};
}

// The last question of the conversation, or 0 with a reply that says there is none.
static int find_question(const struct conversation *conversation, struct command_effect *effect,
                         struct question *last, struct error *err)
{
    int r = store_read_question(store_view(conversation->host->store),
                                span_of(conversation->session->id), on_question, last, err);
    if (r == STORE_NOT_FOUND)
        buf_append_text(&effect->reply, "There is no question yet in this conversation.");
    return r < 0 ? r : 0;
}

static int command_undo(const struct conversation *conversation, struct span rest,
                        struct command_effect *effect, struct error *err)
{
    struct question last = {0};
    int r = find_question(conversation, effect, &last, err);
    if (r == 0 && last.turn) {
        change_session(conversation, effect);
        effect->dropped = last.turn;
        effect->settlement.drop_turn = span_of(last.turn);
        effect->session_changed = true;
        BUF_AUTO title = BUF_INIT(1024);
        agent_session_title(span_of(last.text), &title);
        buf_printf(&effect->reply, "Taken back: %s", buf_text(&title));
    }
    free(last.text);
    return r;
}

static int command_retry(const struct conversation *conversation, struct span rest,
                         struct command_effect *effect, struct error *err)
{
    struct question last = {0};
    int r = find_question(conversation, effect, &last, err);
    if (r == 0 && last.turn) {
        effect->dropped = last.turn;
        effect->again = last.text;
    } else {
        free(last.text);
    }
    return r;
}

static int command_model(const struct conversation *conversation, struct span rest,
                         struct command_effect *effect, struct error *err)
{
    const char *configured = agent_env(conversation->host->agent)->model;
    if (rest.len == 0) {
        buf_printf(&effect->reply,
                   "Model: %s\nConfigured: %s\n/model NAME sets another for this conversation, "
                   "/model default the configured one.",
                   model_of(conversation), configured);
        return 0;
    }
    if (rest.len > CHAT_NAME_MAX || command_word_first(rest).len != rest.len || !utf8_valid(rest))
        return error_set(err, -EINVAL, "that is not a model's name, which is one word");
    bool back = span_is(rest, "default") || span_is(rest, configured);
    change_session(conversation, effect);
    effect->model = mem_strndup(rest.data, back ? 0 : rest.len);
    if (effect->settlement.create)
        effect->create.model = back ? SPAN_ABSENT : span_of(effect->model);
    else
        effect->settlement.model = span_of(effect->model);
    effect->session_changed = true;
    buf_printf(&effect->reply, "Model of this conversation: %s", back ? configured : effect->model);
    return 0;
}

static int command_title(const struct conversation *conversation, struct span rest,
                         struct command_effect *effect, struct error *err)
{
    if (rest.len == 0) {
        buf_printf(&effect->reply, "Title: %s",
                   conversation->session->title ? conversation->session->title : "none yet");
        return 0;
    }
    BUF_AUTO title = BUF_INIT(1024);
    agent_session_title(rest, &title);
    change_session(conversation, effect);
    set_title(effect, buf_take_text(&title));
    effect->session_changed = true;
    buf_printf(&effect->reply, "Title: %s", effect->title);
    return 0;
}

static int command_compress(const struct conversation *conversation, struct span rest,
                            struct command_effect *effect, struct error *err)
{
    const struct conversation_compressing *own = conversation->compressing;
    const struct chat_history *history = &conversation->session->history;
    (void)rest;
    if (*own->trouble)
        return error_set(err, -EIO, "%s. The conversation is as it was", own->trouble);
    if (!own->summary) {
        buf_append_text(&effect->reply, "There is nothing to compress before the last question.");
        return 0;
    }
    int64_t tokens =
        compression_tokens(agent_env(conversation->host->agent), conversation->session);
    int64_t gain = compression_gain(history, (struct compression_plan){.cut = own->cut}) -
                   compression_tokens_of(strlen(own->summary));
    effect->words = mem_strdup(own->summary);
    effect->summary = (struct store_message){
        .role = SPAN_LITERAL("summary"),
        .content = span_of(effect->words),
        .tainted = compression_is_tainted(history, own->cut),
        .created_ms = loop_wall(conversation->host->loop),
        .keeps = compression_stored(history, own->cut),
    };
    effect->summary.keeps_results = effect->summary.keeps;
    effect->settlement.summary = &effect->summary;
    change_session(conversation, effect);
    effect->session_changed = true;
    buf_printf(&effect->reply,
               "Compressed: %zu messages are %zu now, about %" PRId64 " tokens %" PRId64
               ". What was said stays in the database.",
               history->count, history->count - own->cut + 2, tokens, tokens - gain);
    return 0;
}

static int command_context(const struct conversation *conversation, struct span rest,
                           struct command_effect *effect, struct error *err)
{
    struct context_report report =
        context_measure(conversation->host->agent, conversation->session);
    buf_append_text(&effect->reply, "```\n");
    context_render_text(&report, &effect->reply);
    buf_append_text(&effect->reply, "```");
    return 0;
}

static int command_skills(const struct conversation *conversation, struct span rest,
                          struct command_effect *effect, struct error *err)
{
    (void)err;
    struct skills *skills = agent_env(conversation->host->agent)->skills;
    CLEANUP(mem_cleanup) char *category = rest.len ? mem_strndup(rest.data, rest.len) : NULL;
    bool tainted;
    if (skills)
        skills_refresh(skills);
    if (!skills || !skills_write_list(skills, category, &effect->reply, &tainted) ||
        !effect->reply.len)
        buf_append_text(&effect->reply,
                        category
                            ? "There are no skills of that category; /skills lists all."
                            : "There are no skills yet; \"hermes skills new NAME\" begins one.");
    return 0;
}

static int command_reload_skills(const struct conversation *conversation, struct span rest,
                                 struct command_effect *effect, struct error *err)
{
    struct skills *skills = agent_env(conversation->host->agent)->skills;
    if (skills)
        skills_forget(skills);
    int r = command_skills(conversation, rest, effect, err);
    buf_append_text(&effect->reply, "\nThe next conversation is told of them.");
    return r;
}

static int command_start(const struct conversation *conversation, struct span rest,
                         struct command_effect *effect, struct error *err)
{
    buf_append_text(&effect->reply, "Hermes is ready. Ask anything; /help lists the commands.");
    return 0;
}

static int command_whoami(const struct conversation *conversation, struct span rest,
                          struct command_effect *effect, struct error *err)
{
    buf_printf(&effect->reply, "Channel %s, chat %s", conversation->channel,
               *conversation->chat ? conversation->chat : "(the only one)");
    return 0;
}

// The text of one that can be done has become a conversation of its own (dispatcher_inbox.c).
static int command_bg(const struct conversation *conversation, struct span rest,
                      struct command_effect *effect, struct error *err)
{
    (void)rest, (void)err;
    buf_append_text(&effect->reply, conversation->via ? "Say /bg and what is to be done."
                                                      : "Not here: begin a second hermes chat.");
    return 0;
}

static int command_outside(const struct conversation *conversation, struct span rest,
                           struct command_effect *effect, struct error *err)
{
    (void)rest, (void)err;
    buf_append_text(&effect->reply, conversation->outside);
    effect->buttons = span_of(conversation->outside_buttons);
    return 0;
}

static const struct slash_command *all_commands(size_t *ret_count);

static int command_help(const struct conversation *conversation, struct span rest,
                        struct command_effect *effect, struct error *err)
{
    size_t count;
    const struct slash_command *entry = all_commands(&count);
    for (; count--; entry++)
        if (entry->help)
            buf_printf(&effect->reply, "%s%s%s%s: %s", effect->reply.len ? "\n" : "", entry->name,
                       *entry->arguments ? " " : "", entry->arguments, entry->help);
    return 0;
}

// Urgent ones are harmless at any time.
#define ANY_TIME (COMMAND_URGENT | COMMAND_WHILE_WAITING)

static const struct slash_command table[] = {
    {"/new", "[TITLE]", "begin a new conversation; the old one is kept",
     COMMAND_ENDS_TURN | COMMAND_WHILE_WAITING, command_new},
    {"/reset", "", NULL, COMMAND_ENDS_TURN | COMMAND_WHILE_WAITING, command_new},
    {"/stop", "", "stop the current answer", ANY_TIME | COMMAND_STOPS, command_stop},
    {"/approve", "[CODE]", "let a tool run that needs your approval", ANY_TIME, command_approve},
    {"/deny", "[CODE]", "do not let it run", ANY_TIME, command_deny},
    {"/answer", "[CODE] TEXT", "answer what Hermes asks", ANY_TIME, command_answer},
    {"/trust", "[PATH|ID]", "lift the mark of text that nobody vouches for",
     COMMAND_WHILE_WAITING | COMMAND_ASKS, command_trust},
    {"/retry", "", "answer the last question again", COMMAND_ENDS_TURN, command_retry},
    {"/undo", "", "remove the last question and its answer", COMMAND_ENDS_TURN, command_undo},
    {"/status", "", "what Hermes is doing", ANY_TIME, command_status},
    {"/usage", "", "tokens and money used", ANY_TIME | COMMAND_SUMS, command_usage},
    {"/model", "[NAME]", "show or choose the model", COMMAND_ASKS, command_model},
    {"/sessions", "", "the conversations of this chat", ANY_TIME, command_list_sessions},
    {"/resume", "NUMBER|NAME", "go on with one of them", COMMAND_ASKS, command_resume},
    {"/queue", "TEXT", "say it when the present answer has ended", COMMAND_ASKS, command_queue},
    {"/q", "", NULL, COMMAND_ASKS, command_queue},
    {"/steer", "TEXT", "say it in the middle of the present answer", COMMAND_ASKS, command_queue},
    {"/title", "[TEXT]", "name this conversation", COMMAND_ASKS, command_title},
    {"/compress", "[FOCUS]", "sum up what was said first, to make room", COMMAND_COMPRESSES,
     command_compress},
    {"/memory", "[forget TEXT|N]", "what Hermes keeps of you and for itself", ANY_TIME,
     command_memory},
    {"/context", "", "what is sent to the model besides your words", ANY_TIME, command_context},
    {"/ctx", "", NULL, ANY_TIME, command_context},
    {"/mcp", "[accept NAME | login NAME [ADDRESS] | logout NAME]", "servers of tools (MCP)",
     COMMAND_WHILE_WAITING | COMMAND_OUTSIDE, command_outside},
    {"/reload-mcp", "", "connect all of them anew", COMMAND_WHILE_WAITING | COMMAND_OUTSIDE,
     command_outside},
    {"/cron", "[add WHEN WHAT | show, run, pause, resume, remove JOB | history]",
     "what Hermes does by itself, and when", COMMAND_WHILE_WAITING | COMMAND_OUTSIDE,
     command_outside},
    {"/reload", "", "read the configuration anew", ANY_TIME | COMMAND_OUTSIDE, command_outside},
    {"/skills", "[CATEGORY]", "what Hermes knows how to do; /NAME does it", ANY_TIME,
     command_skills},
    {"/reload-skills", "", "look at all of them anew", ANY_TIME, command_reload_skills},
    {"/bg", "TEXT", "work on it beside this conversation; the answer comes here",
     COMMAND_BESIDE | COMMAND_ASKS, command_bg},
    {"/background", "TEXT", NULL, COMMAND_BESIDE | COMMAND_ASKS, command_bg},
    {"/sethome", "", "what is for no chat in particular comes here", ANY_TIME, command_sethome},
    {"/whoami", "", "show this channel and chat", ANY_TIME, command_whoami},
    {"/help", "", "this list", ANY_TIME, command_help},
    {"/commands", "", NULL, ANY_TIME, command_help},
    {"/start", "", NULL, ANY_TIME, command_start},
};

static const struct slash_command *all_commands(size_t *ret_count)
{
    *ret_count = ARRAY_LEN(table);
    return table;
}

const struct slash_command *slash_command_find(struct span text)
{
    struct span word, rest;
    if (!command_word_read(text, &word, &rest))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (word.len == strlen(table[i].name) &&
            strncasecmp(word.data, table[i].name, word.len) == 0)
            return &table[i];
    return NULL;
}

bool slash_command_has_flag(struct span text, unsigned flag)
{
    const struct slash_command *command = slash_command_find(text);
    struct span word, rest;
    if (!command || !command_word_read(text, &word, &rest))
        return false;
    bool asks = command->flags & COMMAND_ASKS && span_trim(rest).len == 0;
    return (command->flags | (asks ? ANY_TIME : 0)) & flag;
}

void command_effect_finish(struct command_effect *effect)
{
    buf_finish(&effect->reply);
    free(effect->title);
    free(effect->model);
    free(effect->prompt);
    free(effect->dropped);
    free(effect->asking);
    free(effect->words);
    free(effect->fact);
    free(effect->fact_text);
    free(effect->again);
    free(effect->lifted);
    mark_list_finish(&effect->marks);
}
