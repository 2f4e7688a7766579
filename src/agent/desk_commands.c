#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/context.h"
#include "agent/desk_command.h"
#include "agent/prompt.h"
#include "base/mem.h"
#include "codec/utf8.h"

// The commands themselves: one function each, and their table.

static void append_start(struct buf *out, struct span text)
{
    BUF_AUTO title = BUF_INIT(1024);
    agent_session_title(text, &title);
    buf_append_span(out, buf_span(&title));
}

// The effect concerns the chat's session, which is made when there is none yet.
static void change_session(struct talk *talk, struct effect *effect)
{
    struct agent_session *session = talk->session;
    effect->changes = true;
    snprintf(effect->session, sizeof effect->session, "%s", session->id);
    if (session->stored) {
        effect->settlement.session = span_of(effect->session);
        return;
    }
    const struct agent_env *env = agent_env(talk->desk->env.agent);
    BUF_AUTO prompt = BUF_INIT(PROMPT_MAX);
    prompt_build(env->config, env->memory, env->home, &prompt);
    effect->prompt = buf_take_text(&prompt);
    effect->create = (struct store_session){
        .id = span_of(effect->session),
        .channel = span_of(talk->channel),
        .chat = span_of(talk->chat),
        .prompt = span_of(effect->prompt),
        .created_ms = loop_wall(talk->desk->env.loop),
    };
    effect->settlement.create = &effect->create;
}

static void set_title(struct effect *effect, char *title)
{
    effect->title = title;
    if (effect->settlement.create)
        effect->create.title = span_of(title);
    else
        effect->settlement.title = span_of(title);
}

static int obey_new(struct talk *talk, struct span rest, struct effect *effect, struct error *err)
{
    (void)err;
    desk_close_session(talk);
    talk->session = agent_session_create(talk->channel, talk->chat);
    change_session(talk, effect);
    if (rest.len) {
        BUF_AUTO title = BUF_INIT(1024);
        agent_session_title(rest, &title);
        set_title(effect, buf_take_text(&title));
    }
    effect->fresh = true;
    buf_append_text(&effect->reply, "A new conversation.");
    return 0;
}

static int obey_stop(struct talk *talk, struct span rest, struct effect *effect, struct error *err)
{
    (void)rest, (void)err;
    buf_append_text(&effect->reply, talk->turn ? "Stopped." : "Nothing is running.");
    desk_interrupt(talk);
    return 0;
}

static size_t waiting_count(const struct talk *talk)
{
    size_t count = 0;
    list_for_each(link, &talk->waiting)
        count += list_entry(link, struct waiting, link)->acting == ACTING_NOT;
    return count;
}

static const char *model_of(const struct talk *talk)
{
    const char *own = talk->session->model;
    return own ? own : agent_env(talk->desk->env.agent)->model;
}

static int obey_status(struct talk *talk, struct span rest, struct effect *effect,
                       struct error *err)
{
    (void)rest, (void)err;
    struct buf *out = &effect->reply;
    struct desk *desk = talk->desk;
    int iteration = 0;
    if (talk->turn) {
        enum turn_state state = agent_turn_state(desk->env.agent, talk->turn, &iteration);
        buf_printf(out, "Working for %" PRId64 " s: step %d, %s\n",
                   (loop_now(desk->env.loop) - talk->turn_ms) / 1000, iteration,
                   state == TURN_TOOLS ? "running tools" : "waiting for the model");
    } else {
        buf_append_text(out, "Idle\n");
    }
    if (waiting_count(talk))
        buf_printf(out, "Waiting messages: %zu\n", waiting_count(talk));
    buf_printf(out, "Conversation: %s (%.8s, %zu messages)\n",
               talk->session->title ? talk->session->title : "untitled", talk->session->id,
               talk->session->history.count);
    buf_printf(out, "Model: %s", model_of(talk));
    return 0;
}

static void append_sums(struct buf *out, const char *name, const struct store_turn_sums *sums)
{
    buf_printf(
        out, "%s: %" PRId64 " answers, %" PRId64 " tokens in (%" PRId64 " cached), %" PRId64 " out",
        name, sums->done, sums->usage.input_tokens, sums->usage.cached_tokens,
        sums->usage.output_tokens);
    if (sums->usage.cost_micro_usd)
        buf_printf(out, ", $%" PRId64 ".%06" PRId64, sums->usage.cost_micro_usd / 1000000,
                   sums->usage.cost_micro_usd % 1000000);
}

static int obey_usage(struct talk *talk, struct span rest, struct effect *effect, struct error *err)
{
    (void)rest;
    struct store_turn_sums session = {0}, all = {0};
    struct store *store = talk->desk->env.store;
    int r = store_read_turn_sums(store, span_of(talk->session->id), &session, err);
    if (r == 0)
        r = store_read_turn_sums(store, SPAN_LITERAL(""), &all, err);
    if (r < 0)
        return r;
    append_sums(&effect->reply, "This conversation", &session);
    append_sums(&effect->reply, "\nEverything", &all);
    return 0;
}

struct last_turn {
    char *id, *text;
};

static bool on_last_turn(void *context, const struct store_turn_row *row)
{
    struct last_turn *last = context;
    last->id = mem_strndup(row->id.data, row->id.len);
    return false;
}

static bool on_last_message(void *context, const struct store_message *row)
{
    struct last_turn *last = context;
    if (!last->text && row->turn.data && span_is(row->turn, last->id) &&
        span_is(row->role, chat_role_name(CHAT_USER)))
        last->text = mem_strndup(row->content.data, row->content.len);
    return true;
}

// The last question of the conversation and its turn, or 0 with a reply that says there is none.
static int find_last(struct talk *talk, struct effect *effect, struct last_turn *last,
                     struct error *err)
{
    struct store *store = talk->desk->env.store;
    struct span session = span_of(talk->session->id);
    int r = store_read_last_turn(store, session, on_last_turn, last, err);
    if (r == 0)
        r = store_read_messages(store, session, STORE_READ_ROWS_MAX, on_last_message, last, err);
    if (r == STORE_NOT_FOUND || (r == 0 && !last->text)) {
        buf_append_text(&effect->reply, "There is no question yet in this conversation.");
        free(last->id);
        *last = (struct last_turn){0};
        return 0;
    }
    if (r < 0)
        free(STEAL(last->id));
    return r < 0 ? r : 0;
}

static int obey_undo(struct talk *talk, struct span rest, struct effect *effect, struct error *err)
{
    (void)rest;
    struct last_turn last = {0};
    int r = find_last(talk, effect, &last, err);
    if (r == 0 && last.id) {
        change_session(talk, effect);
        effect->dropped = last.id;
        effect->settlement.drop_turn = span_of(last.id);
        effect->fresh = true;
        buf_append_text(&effect->reply, "Taken back: ");
        append_start(&effect->reply, span_of(last.text));
    }
    free(last.text);
    return r;
}

static int obey_retry(struct talk *talk, struct span rest, struct effect *effect, struct error *err)
{
    (void)rest;
    struct last_turn last = {0};
    int r = find_last(talk, effect, &last, err);
    if (r == 0 && last.id) {
        effect->dropped = last.id;
        effect->again = last.text;
    } else {
        free(last.text);
    }
    return r;
}

static int obey_model(struct talk *talk, struct span rest, struct effect *effect, struct error *err)
{
    const char *configured = agent_env(talk->desk->env.agent)->model;
    if (rest.len == 0) {
        buf_printf(&effect->reply,
                   "Model: %s\nConfigured: %s\n/model NAME sets another for this conversation, "
                   "/model default the configured one.",
                   model_of(talk), configured);
        return 0;
    }
    if (rest.len > CHAT_NAME_MAX || desk_first_word(rest).len != rest.len || !utf8_valid(rest))
        return error_set(err, -EINVAL, "that is not a model's name");
    bool back = span_is(rest, "default") || span_is(rest, configured);
    change_session(talk, effect);
    effect->model = mem_strndup(rest.data, back ? 0 : rest.len);
    if (effect->settlement.create)
        effect->create.model = back ? SPAN_ABSENT : span_of(effect->model);
    else
        effect->settlement.model = span_of(effect->model);
    effect->fresh = true;
    buf_printf(&effect->reply, "Model of this conversation: %s", back ? configured : effect->model);
    return 0;
}

static int obey_title(struct talk *talk, struct span rest, struct effect *effect, struct error *err)
{
    (void)err;
    if (rest.len == 0) {
        buf_printf(&effect->reply, "Title: %s",
                   talk->session->title ? talk->session->title : "none yet");
        return 0;
    }
    BUF_AUTO title = BUF_INIT(1024);
    agent_session_title(rest, &title);
    change_session(talk, effect);
    set_title(effect, buf_take_text(&title));
    effect->fresh = true;
    buf_printf(&effect->reply, "Title: %s", effect->title);
    return 0;
}

static struct context_report measure(const struct agent *agent, const struct agent_session *session)
{
    const struct agent_env *env = agent_env(agent);
    struct context_report report = {.prompt_tokens = -1};
    BUF_AUTO prompt = BUF_INIT(PROMPT_MAX);
    prompt_build_parts(env->config, env->memory, env->home, &prompt, &report.prompt);
    report.tools = agent_tools(agent, &report.tool_count);
    if (session) {
        report.history = &session->history;
        report.prompt_tokens = session->prompt_tokens;
    }
    return report;
}

void desk_context(const struct desk *desk, struct buf *ret_json)
{
    struct context_report report = measure(desk->env.agent, NULL);
    context_render_json(&report, ret_json);
}

static int obey_context(struct talk *talk, struct span rest, struct effect *effect,
                        struct error *err)
{
    (void)rest, (void)err;
    struct context_report report = measure(talk->desk->env.agent, talk->session);
    buf_append_text(&effect->reply, "```\n");
    context_render_text(&report, &effect->reply);
    buf_append_text(&effect->reply, "```");
    return 0;
}

static int obey_start(struct talk *talk, struct span rest, struct effect *effect, struct error *err)
{
    (void)talk, (void)rest, (void)err;
    buf_append_text(&effect->reply, "Hermes is ready. Ask anything; /help lists the commands.");
    return 0;
}

static int obey_whoami(struct talk *talk, struct span rest, struct effect *effect,
                       struct error *err)
{
    (void)rest, (void)err;
    buf_printf(&effect->reply, "Channel %s, chat %s", talk->channel,
               *talk->chat ? talk->chat : "(the only one)");
    return 0;
}

static int obey_help(struct talk *talk, struct span rest, struct effect *effect, struct error *err)
{
    (void)talk, (void)rest, (void)err;
    size_t count;
    const struct command_entry *entry = desk_command_table(&count);
    for (; count--; entry++)
        if (entry->help)
            buf_printf(&effect->reply, "%s%s%s%s: %s", effect->reply.len ? "\n" : "", entry->name,
                       *entry->arguments ? " " : "", entry->arguments, entry->help);
    return 0;
}

static const struct command_entry table[] = {
    {"/new", "[TITLE]", "begin a new conversation; the old one is kept", COMMAND_ENDS_TURN,
     obey_new},
    {"/reset", "", NULL, COMMAND_ENDS_TURN, obey_new},
    {"/stop", "", "stop the current answer", COMMAND_URGENT, obey_stop},
    {"/retry", "", "answer the last question again", COMMAND_ENDS_TURN, obey_retry},
    {"/undo", "", "remove the last question and its answer", COMMAND_ENDS_TURN, obey_undo},
    {"/status", "", "what Hermes is doing", COMMAND_URGENT, obey_status},
    {"/usage", "", "tokens and money used", COMMAND_URGENT, obey_usage},
    {"/model", "[NAME]", "show or choose the model", 0, obey_model},
    {"/title", "[TEXT]", "name this conversation", 0, obey_title},
    {"/context", "", "what is sent to the model besides your words", COMMAND_URGENT, obey_context},
    {"/ctx", "", NULL, COMMAND_URGENT, obey_context},
    {"/whoami", "", "show this channel and chat", COMMAND_URGENT, obey_whoami},
    {"/help", "", "this list", COMMAND_URGENT, obey_help},
    {"/commands", "", NULL, COMMAND_URGENT, obey_help},
    {"/start", "", NULL, COMMAND_URGENT, obey_start},
};

const struct command_entry *desk_command_table(size_t *ret_count)
{
    *ret_count = ARRAY_LEN(table);
    return table;
}
