#include "daemon/replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/dispatcher.h"
#include "base/mem.h"
#include "base/random.h"
#include "codec/document.h"
#include "daemon/app.h"
#include "daemon/page.h"
#include "llm/provider.h"
#include "sandbox/temporary.h"
#include "tools/toolbox.h"

/*
 * The turn goes through the dispatcher and the agent as any other. With the recorded model that
 * happens in a home of its own, for the moment, which shows SOUL.md, memories/ and skills/ of the
 * real one; a live model is paid for, so its turn belongs into the real home with its budgets.
 */
enum { CALLS_MAX = 1024, TREE_MAX = 4 * REPLAY_FILE_MAX };

struct recorded_call {
    const char *name, *result; // of the document
    char *arguments;           // normalised
    bool used;
};

struct replay {
    struct chat_provider provider; // that gives the recorded answers
    struct app app;
    struct document doc;
    struct recorded_call calls[CALLS_MAX];
    size_t call_count, made; // by the turn
    size_t results;          // that have come
    struct node step;        // the next answer of the recorded model
    const struct chat_sink *sink;
    void *sink_context;
    chat_call_id last_call;
    loop_id deferred;
    int differences;
    bool live;
};

static const char *text_of(struct node node)
{
    const char *text = node_text(node);
    return text ? text : "";
}

/* Differences */

static void print_lines(char sign, struct span text)
{
    BUF_AUTO out = BUF_INIT(2 * REPLAY_FILE_MAX);
    while (text.len) {
        struct span line = span_cut(&text, '\n');
        buf_printf(&out, "%c %.*s\n", sign, (int)line.len, line.data);
    }
    page_print_raw(buf_span(&out));
}

// Whole lines that both have at an end are left out.
static void print_difference(struct span was, struct span is)
{
    struct span a = was, b = is;
    while (a.len && b.len && span_equal(span_cut(&a, '\n'), span_cut(&b, '\n')))
        was = a, is = b;
    size_t same = 0, lines = 0;
    while (same < was.len && same < is.len &&
           was.data[was.len - 1 - same] == is.data[is.len - 1 - same])
        if (was.data[was.len - 1 - same++] == '\n')
            lines = same;
    print_lines('-', span_make(was.data, was.len - lines));
    print_lines('+', span_make(is.data, is.len - lines));
}

static void compare(struct replay *replay, const char *what, struct span was, struct span is)
{
    if (span_equal(was, is))
        return;
    replay->differences++;
    printf("%s differs:\n", what);
    print_difference(was, is);
}

// JSON without blanks, so that these are no difference. On the heap.
static char *normalise(const char *json)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(TREE_MAX);
    BUF_AUTO out = BUF_INIT(REPLAY_FILE_MAX);
    if (document_read(&doc, span_of(json), NULL) < 0 || document_print(&doc, &out, NULL) < 0)
        return mem_strdup(json);
    return buf_take_text(&out);
}

/* The recorded model */

static void on_reply(void *context)
{
    struct replay *replay = context;
    struct chat_reply reply = {
        .message.role = CHAT_ASSISTANT, .finish = CHAT_FINISH_STOP, .usage = CHAT_USAGE_UNKNOWN};
    const struct chat_sink *sink = STEAL(replay->sink);
    char id[32];
    size_t count = 0;
    replay->deferred = 0;
    if (node_type(replay->step) == JSON_ABSENT) {
        struct chat_failure failure = {.kind = CHAT_EMPTY, .retry_after_ms = -1};
        snprintf(failure.text, sizeof failure.text, "the recording ends here");
        sink->on_failure(replay->sink_context, &failure);
        return;
    }
    reply.message.text = mem_strdup(text_of(node_get(replay->step, "text")));
    struct node call = node_first(node_get(replay->step, "calls"));
    for (; node_type(call) != JSON_ABSENT; call = node_next(call)) {
        snprintf(id, sizeof id, "call_%llu_%zu", (unsigned long long)replay->last_call, count++);
        chat_message_add_call(&reply.message, id, text_of(node_get(call, "name")),
                              text_of(node_get(call, "arguments")), NULL);
        reply.finish = CHAT_FINISH_TOOL_CALLS;
    }
    replay->step = node_next(replay->step);
    sink->on_reply(replay->sink_context, &reply);
    chat_reply_finish(&reply);
}

static int start(struct chat_provider *provider, const struct chat_request *request,
                 const struct chat_sink *sink, void *context, chat_call_id *ret_id,
                 struct error *err)
{
    (void)err;
    struct replay *replay = CONTAINER_OF(provider, struct replay, provider);
    const char *sent = node_text(node_get(document_root(&replay->doc), "sent"));
    for (size_t i = 0; sent && replay->last_call == 0 && i < request->message_count; i++)
        if (request->messages[i].role == CHAT_USER)
            compare(replay, "what is sent with the question", span_of(sent),
                    span_of(request->messages[i].text));
    replay->sink = sink;
    replay->sink_context = context;
    replay->deferred = loop_defer(replay->app.loop, on_reply, replay);
    *ret_id = ++replay->last_call;
    return 0;
}

static void cancel(struct chat_provider *provider, chat_call_id id)
{
    struct replay *replay = CONTAINER_OF(provider, struct replay, provider);
    if (id == replay->last_call)
        loop_cancel(replay->app.loop, replay->deferred);
}

/* The tools */

static int answer(void *context, const char *tool, const char *name, struct span arguments,
                  struct buf *out)
{
    struct replay *replay = context;
    CLEANUP(mem_cleanup) char *raw = mem_strndup(arguments.data, arguments.len);
    CLEANUP(mem_cleanup) char *wanted = normalise(raw);
    if (tool && (strcmp(tool, "skill_view") == 0 || strcmp(tool, "skills_list") == 0))
        return 0;
    for (size_t i = 0; i < replay->call_count; i++) {
        struct recorded_call *call = &replay->calls[i];
        if (!call->used && strcmp(call->name, name) == 0 && strcmp(call->arguments, wanted) == 0) {
            call->used = true;
            buf_append_text(out, call->result);
            return TOOL_ENDED;
        }
    }
    buf_append_text(out, "this call is not in the recording, and was not made");
    return TOOL_ENDED;
}

/* The turn */

static void on_call(struct replay *replay, const struct turn_event *event)
{
    const struct recorded_call none = {.name = ""}, *call = &none;
    if (replay->made < replay->call_count)
        call = &replay->calls[replay->made];
    replay->made++;
    CLEANUP(mem_cleanup) char *arguments = normalise(event->arguments);
    CLEANUP(mem_cleanup) char *is = mem_printf("%s %s", event->name, arguments);
    CLEANUP(mem_cleanup)
    char *was = mem_printf("%s%s%s", call->name, *call->name ? " " : "",
                           call->arguments ? call->arguments : "");
    CLEANUP(mem_cleanup) char *what = mem_printf("call %zu", replay->made);
    compare(replay, what, span_of(was), span_of(is));
}

// Of those that ran anew; they end in their order, as the recorded ones do at once.
static void on_result(struct replay *replay, const struct turn_event *event)
{
    size_t at = replay->results++;
    CLEANUP(mem_cleanup) char *what = mem_printf("the result of call %zu", at + 1);
    if (at < replay->call_count && !replay->calls[at].used &&
        strcmp(replay->calls[at].name, event->name) == 0)
        compare(replay, what, span_of(replay->calls[at].result), event->text);
}

// What the recording's owner expects of the answer; false: nothing, so it must be the same.
static bool check_expected(struct replay *replay, const char *text)
{
    static const struct {
        const char *key, *sentence;
        bool there;
    } kinds[] = {{"contains", "the answer lacks", true}, {"lacks", "the answer contains", false}};
    struct node expect = node_get(document_root(&replay->doc), "expect");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        for (struct node item = node_first(node_get(expect, kinds[i].key));
             node_type(item) != JSON_ABSENT; item = node_next(item))
            if ((strstr(text, text_of(item)) != NULL) != kinds[i].there) {
                replay->differences++;
                printf("%s:\n", kinds[i].sentence);
                print_lines(kinds[i].there ? '-' : '+', span_of(text_of(item)));
            }
    return node_type(expect) == JSON_OBJECT;
}

static void on_end(struct replay *replay, const struct turn_outcome *outcome)
{
    struct node step = node_first(node_get(document_root(&replay->doc), "steps"));
    while (node_type(node_next(step)) != JSON_ABSENT)
        step = node_next(step);
    for (size_t i = replay->made; i < replay->call_count; i++) {
        CLEANUP(mem_cleanup)
        char *was = mem_printf("%s %s", replay->calls[i].name, replay->calls[i].arguments);
        compare(replay, "a call that was not made", span_of(was), SPAN_LITERAL(""));
    }
    if (outcome->state != TURN_DONE) {
        replay->differences++;
        printf("the turn failed: ");
        page_print_raw(span_of(outcome->error));
        puts("");
    } else if (!check_expected(replay, outcome->text)) {
        compare(replay, "the answer", span_of(text_of(node_get(step, "text"))),
                span_of(outcome->text));
    }
    loop_stop(replay->app.loop);
}

static void on_event(void *context, const struct turn_event *event)
{
    struct replay *replay = context;
    if (event->kind == TURN_EVENT_CALL)
        on_call(replay, event);
    else if (event->kind == TURN_EVENT_RESULT)
        on_result(replay, event);
    else if (event->kind == TURN_EVENT_END)
        on_end(replay, event->outcome);
}

static int load(struct replay *replay, struct span text, struct error *err)
{
    int64_t version = 0;
    replay->doc = (struct document)DOCUMENT_INIT(TREE_MAX);
    int r = document_read(&replay->doc, text, err);
    struct node root = document_root(&replay->doc);
    replay->step = node_first(node_get(root, "steps"));
    if (r == 0 &&
        (!node_int(node_get(root, "hermes_recording"), &version) || version != 1 ||
         !node_text(node_get(root, "question")) || node_type(replay->step) == JSON_ABSENT))
        r = error_set(err, -EBADMSG,
                      "it is no recording: hermes_recording (1), question and steps "
                      "are needed");
    for (struct node s = replay->step; r == 0 && node_type(s) != JSON_ABSENT; s = node_next(s))
        for (struct node c = node_first(node_get(s, "calls")); node_type(c) != JSON_ABSENT;
             c = node_next(c)) {
            if (replay->call_count == CALLS_MAX)
                return error_set(err, -E2BIG, "it has more than %d calls", CALLS_MAX);
            replay->calls[replay->call_count++] = (struct recorded_call){
                .name = text_of(node_get(c, "name")),
                .result = text_of(node_get(c, "result")),
                .arguments = normalise(text_of(node_get(c, "arguments"))),
            };
        }
    return r < 0 ? error_wrap(err, "the recording") : 0;
}

// A home with what the prompt is made of, and nothing that could be changed by a turn.
static char *make_home(const struct settings *settings)
{
    static const char *const shown[] = {".env", "SOUL.md", "memories", "skills"};
    char *home = temporary_make();
    for (size_t i = 0; home && i < ARRAY_LEN(shown); i++) {
        CLEANUP(mem_cleanup) char *from = mem_printf("%s/%s", settings->home, shown[i]);
        CLEANUP(mem_cleanup) char *to = mem_printf("%s/%s", home, shown[i]);
        if (access(from, F_OK) == 0 && symlink(from, to) < 0)
            break;
    }
    return home;
}

static int turn(struct replay *replay, const struct arguments *arguments, struct error *err)
{
    static const struct chat_provider_ops ops = {
        .name = "recording", .start = start, .cancel = cancel};
    const char *question = node_text(node_get(document_root(&replay->doc), "question"));
    char chat[17]; // a conversation of its own
    random_hex(chat, sizeof chat);
    replay->app = (struct app){.home = HOME_INIT, .replays = true};
    int r = app_start(&replay->app, arguments, err);
    if (r < 0)
        return r;
    struct agent_env env = *agent_env(replay->app.agent);
    replay->provider.ops = &ops;
    env.provider = replay->live ? env.provider : &replay->provider;
    env.replays = true;
    agent_configure(replay->app.agent, &env);
    toolbox_answer_with(replay->app.toolbox, answer, replay);
    r = dispatcher_say(replay->app.dispatcher, "replay", chat, span_of(question), on_event, replay,
                       err);
    if (r == 0)
        loop_run(replay->app.loop);
    app_stop(&replay->app);
    return r;
}

int replay_run(const struct arguments *arguments, struct span recording, bool live,
               struct error *err)
{
    struct replay *replay = mem_new(struct replay);
    struct settings settings = {0};
    struct arguments there = *arguments;
    CLEANUP(mem_cleanup) char *home = NULL;
    replay->live = live;
    int r = load(replay, recording, err);
    if (r == 0)
        r = settings_load(arguments, &settings, err);
    if (r == 0 && !live) {
        home = make_home(&settings);
        there.values[OPTION_HOME] = home;
        there.values[OPTION_CONFIG] = settings.path;
        r = home ? 0 : error_set(err, -EIO, "cannot make a directory in %s", temporary_place());
    }
    if (r == 0)
        r = turn(replay, &there, err);
    temporary_remove(home);
    settings_finish(&settings);
    r = r < 0 ? r : replay->differences;
    for (size_t i = 0; i < replay->call_count; i++)
        free(replay->calls[i].arguments);
    document_finish(&replay->doc);
    free(replay);
    return r;
}
