#include "agent/delegate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/turn.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/entries.h"
#include "codec/sha256.h"
#include "store/turn_read.h"
#include "tools/tool.h"

/*
 * A task that is handed on is a turn in a session of its own: it sees nothing of the conversation,
 * has no memory, asks nobody, hands nothing on, and only its last words come back. It begins with
 * the mark of its parent, and the result has the mark of the child.
 *
 * Its id is made of the call that began it. When the program was stopped, the call runs anew
 * (TOOL_REPEATABLE) and looks for the child: what has ended is its result, what has not goes on,
 * and what is not there begins. A child does not outlive its parent: it is cancelled with the call,
 * and the transaction that ends a turn ends those that it has begun.
 */
enum {
    TASKS_MAX = 8,            // of one turn at once, at most
    TASK_BYTES = 64 * 1024,   // of a goal; of a context
    CHILD_ID_SIZE = 33,       // bytes of the name of a turn, with its end
    SHARE_OF_HEADINGS = 1024, // bytes of a result that are no child's words
};

static const char tool_name[] = "delegate_task";

static const char child_prompt[] =
    "You do one task for another assistant, which sees only your last message: make it complete. "
    "You know nothing of its conversation, and nobody can be asked. Files: only the workspace, by "
    "relative paths. Act by tools, and look at their results.";

struct child {
    struct delegation *owner;
    struct agent_session *session;
    turn_id turn; // 0: none runs
    char *answer;
    bool failed, tainted;
};

struct delegation { // a call of the tool
    struct list link;
    struct delegates *owner;
    struct tool_run *run; // NULL: nobody waits any more
    const char *parent;   // its turn; of the children's sessions
    loop_id soon;
    size_t count, left; // children, and those that have not ended
    struct child children[TASKS_MAX];
};

struct delegates {
    struct tool_source source;
    struct agent *agent;
    struct list calls; // struct delegation
};

static const struct agent_env *env_of(const struct delegation *call)
{
    return &call->owner->agent->env;
}

static void delegation_destroy(struct delegation *call)
{
    loop_cancel(env_of(call)->loop, call->soon);
    for (size_t i = 0; i < call->count; i++) {
        agent_session_destroy(call->children[i].session);
        free(call->children[i].answer);
    }
    list_remove(&call->link);
    free((char *)call->parent);
    free(call);
}

static void append_answer(const struct delegation *call, const struct child *child, struct buf *out)
{
    struct span text = span_of(child->answer);
    size_t room = (TOOL_TEXT_MAX - SHARE_OF_HEADINGS) / call->count;
    if (text.len > room)
        text.len = room;
    size_t shown = entries_cut(text, (size_t)env_of(call)->config->child_answer_max);
    buf_append(out, text.data, shown);
    if (shown < strlen(child->answer))
        buf_append_text(out, "\n(cut here: it is longer)");
}

static void on_all_ended(void *context)
{
    struct delegation *call = context;
    BUF_AUTO out = BUF_INIT(TOOL_TEXT_MAX);
    struct tool_result result = {.failed = true, .ms = -1};
    call->soon = 0;
    for (size_t i = 0; i < call->count; i++) {
        const struct child *child = &call->children[i];
        if (call->count > 1)
            buf_printf(&out, "%sTask %zu%s:\n", i ? "\n\n" : "", i + 1,
                       child->failed ? " (failed)" : "");
        append_answer(call, child, &out);
        result.failed = result.failed && child->failed;
        result.tainted = result.tainted || child->tainted;
    }
    result.text = buf_span(&out);
    struct tool_run *run = call->run;
    delegation_destroy(call);
    tool_run_end(run, &result);
}

static void one_less(struct delegation *call)
{
    if (--call->left)
        return;
    if (call->run)
        call->soon = loop_defer(env_of(call)->loop, on_all_ended, call);
    else
        delegation_destroy(call);
}

static bool ends_tainted(const struct agent_session *session)
{
    const struct chat_history *history = &session->history;
    return history->count && history->messages[history->count - 1].tainted;
}

static void on_event(void *context, const struct turn_event *event)
{
    struct child *child = context;
    const struct turn_outcome *outcome = event->outcome;
    if (event->kind != TURN_EVENT_END)
        return;
    child->turn = 0;
    child->failed = outcome->state != TURN_DONE;
    child->tainted = ends_tainted(child->session);
    const char *text = *outcome->text ? outcome->text : turn_silence;
    child->answer = outcome->state == TURN_FAILED
                        ? mem_printf("%s; its last words: %s", outcome->error, text)
                    : child->failed ? mem_strdup("interrupted before it had answered")
                                    : mem_strdup(text);
    one_less(child->owner);
}

struct found { // of a child, in the store
    char session[STORE_ID_MAX + 1];
    enum store_turn_state state;
    char *error;
};

static bool on_row(void *context, const struct store_turn_row *row)
{
    struct found *found = context;
    found->state = row->state;
    found->error = mem_strndup(row->error.len ? row->error.data : "", row->error.len);
    snprintf(found->session, sizeof found->session, "%.*s", (int)row->session.len,
             row->session.data);
    return false;
}

static void take_end(struct child *child, const struct found *found)
{
    const struct chat_history *history = &child->session->history;
    const struct chat_message *last =
        history->count ? &history->messages[history->count - 1] : NULL;
    child->failed = found->state != STORE_TURN_DONE;
    child->tainted = ends_tainted(child->session);
    child->answer = mem_strdup(found->state == STORE_TURN_FAILED ? found->error
                               : child->failed ? "interrupted before it had answered"
                               : last && last->role != CHAT_USER && last->text ? last->text
                                                                               : turn_silence);
    one_less(child->owner);
}

// What the last process began: its end, or it goes on.
static int take_up(struct child *child, const char *name, const struct found *found,
                   struct error *err)
{
    const struct agent_env *env = env_of(child->owner);
    int r =
        agent_session_load(store_view(env->store), span_of(found->session), &child->session, err);
    if (r == 0 && found->state >= STORE_TURN_DONE)
        take_end(child, found);
    else if (r == 0)
        r = agent_turn_resume(child->owner->owner->agent, child->session, span_of(name), NULL,
                              on_event, child, &child->turn, err);
    return r;
}

static struct span optional(const char *text)
{
    return text ? span_of(text) : SPAN_ABSENT;
}

static int begin(struct child *child, const struct tool_call_context *of, const char *name,
                 struct span text, struct error *err)
{
    struct agent *agent = child->owner->owner->agent;
    const struct agent_config *config = agent->env.config;
    const struct turn_terms *parent = &turn_named(agent, of->turn)->terms;
    child->session =
        agent_session_create(&(struct store_session_key){.channel = SPAN_LITERAL("delegate"),
                                                         .chat = span_of(of->session),
                                                         .thread = span_of(name)});
    child->session->prompt = mem_strdup(child_prompt);
    struct turn_request request = {
        .session = child->session,
        .name = name,
        .terms = {.origin = SPAN_LITERAL("delegate"),
                  .parent = span_of(of->turn),
                  .slot = SPAN_LITERAL("main"),
                  .model =
                      optional(config->child_model && *config->child_model ? config->child_model
                                                                           : parent->model),
                  .tools = optional(parent->tools),
                  .iterations_max = config->child_iterations,
                  .limit_ms = config->child_limit_ms,
                  .priority = parent->priority,
                  .unattended = true},
        .text = text,
        .tainted = of->tainted,
    };
    return agent_turn_start(agent, &request, on_event, child, &child->turn, err);
}

// It has an answer in any case, so the other children of the call need not know.
static void run_child(struct child *child, const struct tool_call_context *of, size_t place,
                      struct span text)
{
    char hex[SHA256_HEX_SIZE], name[CHILD_ID_SIZE];
    struct found found = {0};
    struct error err = ERROR_INIT;
    struct sha256 hash;
    CLEANUP(mem_cleanup) char *id = mem_printf("%s %s %zu", of->turn, of->key, place);
    sha256_init(&hash);
    sha256_add(&hash, span_of(id));
    sha256_end_hex(&hash, hex);
    snprintf(name, sizeof name, "%.32s", hex);
    int r = store_read_turn(env_of(child->owner)->store, span_of(name), on_row, &found, &err);
    r = r == STORE_NOT_FOUND ? begin(child, of, name, text, &err)
        : r < 0              ? r
                             : take_up(child, name, &found, &err);
    free(found.error);
    if (r >= 0)
        return;
    child->failed = true;
    child->answer = mem_printf("it could not be begun: %s", err.text);
    one_less(child->owner);
}

static int read_task(struct json_value task, struct buf *out, struct error *err)
{
    BUF_AUTO context = BUF_INIT(TASK_BYTES);
    int r = tool_need_text(task, "goal", TASK_BYTES, out, err);
    if (r == 0 && span_trim(buf_span(out)).len == 0)
        r = error_set(err, -EINVAL, "the parameter \"goal\" must say what to do");
    if (r == 0 && tool_has(task, "context"))
        r = tool_need_text(task, "context", TASK_BYTES, &context, err);
    if (context.len)
        buf_printf(out, "\n\nWhat you should know:\n%s", buf_text(&context));
    return r;
}

struct tasks {
    struct buf texts[TASKS_MAX];
    size_t count;
};

static void tasks_finish(struct tasks *tasks)
{
    for (size_t i = 0; i < tasks->count; i++)
        buf_finish(&tasks->texts[i]);
}

static int read_tasks(struct json_value arguments, size_t room, struct tasks *tasks,
                      struct error *err)
{
    struct json_value list = json_get(arguments, "tasks"), task = arguments;
    bool several = tool_has(arguments, "tasks");
    size_t count = several ? json_count(list) : 1;
    if (several && (json_type(list) != JSON_ARRAY || count == 0))
        return error_set(err, -EINVAL, "\"tasks\" must be a list of objects with a \"goal\"");
    if (count > room)
        return error_set(err, -EBUSY,
                         "not run: %zu tasks are too many, %zu more can be done at once "
                         "(delegation.max_concurrent_children)",
                         count, room);
    struct json_iter it = json_iter_init(list);
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        if (several)
            json_iter_next(&it, NULL, &task);
        buf_init(&tasks->texts[tasks->count], 3 * TASK_BYTES);
        r = read_task(task, &tasks->texts[tasks->count++], err);
    }
    return r;
}

static size_t room_of(const struct delegates *delegates, const char *parent)
{
    size_t most = (size_t)delegates->agent->env.config->children_max, used = 0;
    list_for_each(link, &delegates->calls) {
        const struct delegation *call = list_entry(link, struct delegation, link);
        used += strcmp(call->parent, parent) == 0 ? call->left : 0;
    }
    return most > used ? most - used : 0;
}

static int start(struct tool_source *source, const struct tool_call *asked, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    struct delegates *delegates = CONTAINER_OF(source, struct delegates, source);
    const struct tool_call_context *of = asked->context;
    const struct turn *parent = of->turn ? turn_named(delegates->agent, of->turn) : NULL;
    CLEANUP(tasks_finish) struct tasks tasks = {0};
    if (!parent || !of->key || parent->terms.parent)
        return error_set(err, -EPERM, "%s is for a conversation, and not for what it hands on",
                         tool_name);
    int r = read_tasks(asked->arguments, room_of(delegates, of->turn), &tasks, err);
    if (r < 0)
        return r;
    struct delegation *call = mem_new(struct delegation);
    call->owner = delegates;
    call->run = run;
    call->parent = mem_strdup(of->turn);
    call->count = tasks.count;
    call->left = tasks.count + 1; // it must outlive the loop
    list_append(&delegates->calls, &call->link);
    for (size_t i = 0; i < tasks.count; i++) {
        call->children[i].owner = call;
        run_child(&call->children[i], of, i, buf_span(&tasks.texts[i]));
    }
    tool_run_set_handle(run, (union tool_handle){.pointer = call});
    one_less(call);
    return 0;
}

// A child that has been let go of, as its parent was, hears nothing of this.
static bool cancel(struct tool_source *source, const char *tool, union tool_handle handle)
{
    struct delegation *call = handle.pointer;
    struct agent *agent = call->owner->agent;
    call->run = NULL;
    loop_cancel(env_of(call)->loop, call->soon);
    call->soon = 0;
    call->left++; // it must outlive the loop
    for (size_t i = 0; i < call->count; i++) {
        struct child *child = &call->children[i];
        if (child->turn && !agent_turn_name(agent, child->turn)) {
            child->turn = 0;
            call->left--;
        }
        agent_turn_cancel(agent, child->turn);
    }
    one_less(call);
    return true;
}

static bool describe(const struct tool_source *source, size_t place, struct tool_description *ret)
{
    *ret = (struct tool_description){
        .name = tool_name,
        .description = "Hands tasks on to helpers that work side by side, with the same tools and "
                       "without this conversation; what they find out comes back.",
        .parameters = "{\"type\":\"object\",\"properties\":{"
                      "\"goal\":{\"type\":\"string\",\"description\":\"What to do\"},"
                      "\"context\":{\"type\":\"string\",\"description\":\"All one must know\"},"
                      "\"tasks\":{\"type\":\"array\",\"description\":\"Several, instead of goal\","
                      "\"items\":{\"type\":\"object\",\"properties\":{"
                      "\"goal\":{\"type\":\"string\"},\"context\":{\"type\":\"string\"}},"
                      "\"required\":[\"goal\"]}}}}",
        .flags = TOOL_REPEATABLE | TOOL_UNATTENDED | TOOL_FOUND,
    };
    return place == 0;
}

struct delegates *delegates_create(struct agent *agent)
{
    static const struct tool_source_ops ops = {describe, start, cancel, NULL};
    struct delegates *delegates = mem_new(struct delegates);
    delegates->source = (struct tool_source){"delegation", &ops};
    delegates->agent = agent;
    list_init(&delegates->calls);
    return delegates;
}

void delegates_destroy(struct delegates *delegates)
{
    if (!delegates)
        return;
    list_for_each(link, &delegates->calls)
        delegation_destroy(list_entry(link, struct delegation, link));
    free(delegates);
}

struct tool_source *delegates_source(struct delegates *delegates)
{
    return &delegates->source;
}
