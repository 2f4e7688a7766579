/*
 * A message is steps joined by " and then "; a step is commands joined by " & ". Each step becomes
 * one reply with its tool calls, as a language model would make them, and the last reply tells the
 * results. Which step is due is read off the conversation, so the provider keeps no state.
 */
#include "llm/offline.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"
#include "codec/json_write.h"
#include "loop/loop.h"

enum {
    COMMANDS_MAX = 16, // in one step
    ARGUMENTS_MAX = 1024 * 1024,
};

struct offline {
    struct chat_provider provider;
    struct loop *loop;
    struct list replies;
    chat_call_id last_id;
};

struct pending {      // a reply that is handed over in the next pass of the loop
    struct list link; // offline::replies
    struct offline *owner;
    chat_call_id id;
    loop_id deferred;
    const struct chat_sink *sink;
    void *context;
    struct chat_reply reply;
};

/*
 * The text behind the word is the argument `key`; with `second`, the text behind ":" is that one.
 * Without `key` the command is the word alone.
 */
struct rule {
    const char *word, *tool, *key, *second;
    bool optional; // the argument may be left out
};

static const struct rule rules[] = {
    {"read", "read_file", "path", NULL, false}, {"write", "write_file", "path", "content", false},
    {"list", "list_files", "path", NULL, true}, {"search", "search_files", "pattern", NULL, false},
    {"time", "current_time", NULL, NULL, true}, {"remember", "remember", "content", NULL, false},
    {"recall", "recall", "query", NULL, false}, {"run", "terminal", "command", NULL, false},
};

static const char help[] =
    "I am the built-in offline model: a few fixed rules, not a language model. I know: "
    "read NAME, write NAME: TEXT, list, search PATTERN, time, remember TEXT, recall WORDS, "
    "run COMMAND; join them with \" and then \" or \" & \". For a real model set "
    "OPENROUTER_API_KEY, or OPENAI_BASE_URL and OPENAI_API_KEY, and HERMES_MODEL.";

static struct span cut_at(struct span *rest, const char *separator)
{
    ptrdiff_t at = span_find(*rest, span_of(separator));
    struct span head = {rest->data, at < 0 ? rest->len : (size_t)at};
    *rest = at < 0 ? SPAN_ABSENT : span_skip(*rest, (size_t)at + strlen(separator));
    return head;
}

static const struct rule *find_rule(struct span command, struct span *ret_rest)
{
    struct span rest = command;
    struct span word = span_cut(&rest, ' ');
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        const struct rule *rule = &rules[i];
        bool complete = rule->optional || span_trim(rest).len;
        bool surplus = !rule->key && span_trim(rest).len;
        bool split = !rule->second || span_find(rest, SPAN_LITERAL(":")) >= 0;
        if (span_is(word, rule->word) && complete && !surplus && split) {
            *ret_rest = span_trim(rest);
            return rule;
        }
    }
    return NULL;
}

static void add_call(struct chat_message *message, const struct rule *rule, struct span rest,
                     size_t ordinal)
{
    BUF_AUTO arguments = BUF_INIT(ARGUMENTS_MAX);
    struct json_writer w;
    json_writer_init(&w, &arguments);
    json_write_object_begin(&w);
    if (rule->key && rest.len) {
        struct span first = rule->second ? span_cut(&rest, ':') : rest;
        json_write_member_string(&w, rule->key, span_trim(first));
        if (rule->second)
            json_write_member_string(&w, rule->second, span_trim(rest));
    }
    json_write_object_end(&w);
    char id[32];
    snprintf(id, sizeof id, "offline_%zu", ordinal);
    chat_message_add_call(message, id, rule->tool, buf_text(&arguments), NULL);
}

// True when every command of the step was understood; then its calls are in `message`.
static bool add_step(struct chat_message *message, struct span step, size_t first_ordinal)
{
    for (size_t count = 0; step.data && count < COMMANDS_MAX; count++) {
        struct span rest;
        const struct rule *rule = find_rule(span_trim(cut_at(&step, " & ")), &rest);
        if (!rule)
            return false;
        add_call(message, rule, rest, first_ordinal + count);
    }
    return !step.data;
}

static void answer_plainly(struct chat_message *message, struct span text)
{
    BUF_AUTO out = BUF_INIT(CHAT_TEXT_MAX);
    bool greets = span_is(text, "hi") || span_is(text, "hello") || span_is(text, "Hi") ||
                  span_is(text, "Hello");
    if (greets)
        buf_append_text(&out, "Hello! ");
    buf_append_text(&out, help);
    if (!greets) {
        buf_append_text(&out, "\nYou said: ");
        buf_append_span(&out, text);
    }
    message->text = buf_take_text(&out);
}

static void answer_with_results(struct chat_message *message, const struct chat_request *request,
                                size_t from)
{
    BUF_AUTO out = BUF_INIT(CHAT_TEXT_MAX);
    for (size_t i = from; i < request->message_count; i++) {
        const struct chat_message *result = &request->messages[i];
        if (result->role != CHAT_TOOL)
            continue;
        if (out.len)
            buf_append_char(&out, '\n');
        buf_append_text(&out, result->text ? result->text : "");
    }
    message->text = buf_take_text(&out);
}

static void compose(struct chat_message *message, const struct chat_request *request)
{
    size_t last_user = 0, rounds = 0, calls = 0;
    for (size_t i = 0; i < request->message_count; i++)
        if (request->messages[i].role == CHAT_USER)
            last_user = i;
    for (size_t i = last_user + 1; i < request->message_count; i++) {
        rounds += request->messages[i].call_count > 0;
        calls += request->messages[i].call_count;
    }
    struct span text = {0};
    if (request->message_count && request->messages[last_user].role == CHAT_USER)
        text = span_trim(span_of(request->messages[last_user].text));

    message->role = CHAT_ASSISTANT;
    struct span rest = text;
    for (size_t skipped = 0; skipped < rounds && rest.data; skipped++)
        cut_at(&rest, " and then ");
    if (rest.data && add_step(message, cut_at(&rest, " and then "), calls))
        return;
    chat_message_finish(message);
    message->role = CHAT_ASSISTANT;
    if (rounds)
        answer_with_results(message, request, last_user + 1);
    else
        answer_plainly(message, text);
}

static void pending_destroy(struct pending *pending)
{
    loop_cancel(pending->owner->loop, pending->deferred);
    list_remove(&pending->link);
    chat_reply_finish(&pending->reply);
    free(pending);
}

static void deliver(void *context)
{
    struct pending *pending = context;
    struct chat_reply reply = pending->reply;
    const struct chat_sink *sink = pending->sink;
    void *sink_context = pending->context;
    pending->reply = (struct chat_reply){0};
    pending_destroy(pending);
    if (reply.message.text)
        sink->on_text(sink_context, span_of(reply.message.text));
    sink->on_reply(sink_context, &reply);
    chat_reply_finish(&reply);
}

static int start(struct chat_provider *provider, const struct chat_request *request,
                 const struct chat_sink *sink, void *context, chat_call_id *ret_id,
                 struct error *err)
{
    struct offline *offline = CONTAINER_OF(provider, struct offline, provider);
    struct pending *pending = mem_new(struct pending);
    pending->owner = offline;
    pending->id = ++offline->last_id;
    pending->sink = sink;
    pending->context = context;
    pending->reply.usage = (struct chat_usage)CHAT_USAGE_UNKNOWN;
    pending->reply.model = mem_strdup("offline");
    compose(&pending->reply.message, request);
    pending->reply.finish =
        pending->reply.message.call_count ? CHAT_FINISH_TOOL_CALLS : CHAT_FINISH_STOP;
    list_append(&offline->replies, &pending->link);
    pending->deferred = loop_defer(offline->loop, deliver, pending);
    *ret_id = pending->id;
    return 0;
}

static void cancel(struct chat_provider *provider, chat_call_id id)
{
    struct offline *offline = CONTAINER_OF(provider, struct offline, provider);
    list_for_each(link, &offline->replies) {
        struct pending *pending = list_entry(link, struct pending, link);
        if (pending->id == id) {
            pending_destroy(pending);
            return;
        }
    }
}

static void destroy(struct chat_provider *provider)
{
    struct offline *offline = CONTAINER_OF(provider, struct offline, provider);
    list_for_each(link, &offline->replies)
        pending_destroy(list_entry(link, struct pending, link));
    free(offline);
}

int offline_provider_create(struct loop *loop, struct chat_provider **ret_provider)
{
    static const struct chat_provider_ops ops = {"offline", start, cancel, NULL, destroy};
    struct offline *offline = mem_new(struct offline);
    offline->provider.ops = &ops;
    offline->loop = loop;
    list_init(&offline->replies);
    *ret_provider = &offline->provider;
    return 0;
}
