/*
 * The answers of real servers differ from the reference in small ways, each of which was met:
 * tool calls without an index (Ollama), without an id, all with index 0 (Gemini), with a new id
 * on every fragment, with arguments as an object; content as a list of parts; reasoning under two
 * names; an empty finish_reason on every chunk; errors inside a stream; a stream that ends with a
 * finish_reason and no "[DONE]"; a whole JSON answer to a streaming request. A stream that ends
 * with neither was cut, and is never taken for a whole answer.
 */
#include "llm/openai_reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "codec/json.h"
#include "codec/sse.h"
#include "llm/openai_error.h"
#include "llm/openai_extra.h"
#include "llm/openai_usage.h"

enum {
    EVENT_MAX = 8 * 1024 * 1024, // bytes of one stream event
    WHOLE_MAX = 2 * CHAT_TEXT_MAX,
    MODEL_NAME_MAX = 256, // bytes
};

struct openai_call { // a tool call in the making
    int64_t index;   // as the stream numbers it; -1 when it does not
    struct buf id, name, arguments, extra;
    int depth; // of objects in the arguments so far
    bool in_string, escaped;
};

struct openai_reply {
    struct wire_reply wire;
    enum { OPENAI_UNDECIDED, OPENAI_STREAM, OPENAI_WHOLE } shape;
    bool sniffed; // the first bytes were seen, and `shape` is final
    struct sse_parser sse;
    struct buf whole; // the body of an answer that is not a stream, or its first bytes
    struct json doc;  // of one chunk; its memory is reused for the next
    struct buf delta; // decoded text of one chunk
    struct buf text;
    struct buf reasoning;         // text of reasoning_content, which is sent back with calls
    struct buf reasoning_details; // elements of OpenRouter's array, likewise
    struct openai_call *calls;    // CHAT_CALLS_MAX at most
    size_t call_count;
    enum chat_finish finish;
    bool finished; // a finish_reason came
    bool done;     // "[DONE]" came: nothing after it counts
    bool reasoned; // reasoning came, so the model did answer something
};

static struct openai_reply *reply_of(struct wire_reply *wire)
{
    return CONTAINER_OF(wire, struct openai_reply, wire);
}

struct wire_reply *openai_reply_create(struct span content_type)
{
    struct openai_reply *reply = mem_new(struct openai_reply);
    struct span type = span_trim(span_cut(&content_type, ';'));
    if (span_is(type, "text/event-stream"))
        reply->shape = OPENAI_STREAM;
    else if (span_is(type, "application/json"))
        reply->shape = OPENAI_WHOLE;
    sse_init(&reply->sse, EVENT_MAX);
    buf_init(&reply->whole, WHOLE_MAX);
    buf_init(&reply->delta, CHAT_TEXT_MAX);
    buf_init(&reply->text, CHAT_TEXT_MAX);
    buf_init(&reply->reasoning, CHAT_EXTRA_MAX / 2);
    buf_init(&reply->reasoning_details, CHAT_EXTRA_MAX / 2);
    return &reply->wire;
}

void openai_reply_destroy(struct wire_reply *wire)
{
    struct openai_reply *reply = reply_of(wire);
    for (size_t i = 0; i < reply->call_count; i++) {
        buf_finish(&reply->calls[i].id);
        buf_finish(&reply->calls[i].name);
        buf_finish(&reply->calls[i].arguments);
        buf_finish(&reply->calls[i].extra);
    }
    free(reply->calls);
    sse_finish(&reply->sse);
    buf_finish(&reply->whole);
    buf_finish(&reply->delta);
    buf_finish(&reply->text);
    buf_finish(&reply->reasoning);
    buf_finish(&reply->reasoning_details);
    json_finish(&reply->doc);
    free(reply);
}

size_t openai_reply_bytes(const struct wire_reply *wire)
{
    const struct openai_reply *reply = CONTAINER_OF(wire, struct openai_reply, wire);
    size_t bytes = reply->sse.line.capacity + reply->sse.data.capacity + reply->whole.capacity +
                   reply->delta.capacity + reply->text.capacity + reply->reasoning.capacity +
                   reply->reasoning_details.capacity;
    if (reply->calls)
        bytes += CHAT_CALLS_MAX * sizeof *reply->calls;
    for (size_t i = 0; i < reply->call_count; i++)
        bytes += reply->calls[i].arguments.capacity + reply->calls[i].extra.capacity;
    return bytes;
}

static int fail(struct openai_reply *reply, enum chat_failure_kind kind, const char *sentence)
{
    return wire_reply_fail(&reply->wire, kind, sentence);
}

static int add_text(struct openai_reply *reply, struct json_value text)
{
    buf_clear(&reply->delta);
    if (json_type(text) != JSON_STRING)
        return 0;
    bool fits = json_string(text, &reply->delta);
    buf_replace(&reply->delta, '\0', ' '); // texts are C strings from here on
    if (!fits || !buf_append_span(&reply->text, buf_span(&reply->delta)))
        return fail(reply, CHAT_TOO_LARGE, "the answer is larger than 12 MiB");
    reply->wire.said += reply->delta.len > 0;
    if (reply->delta.len)
        reply->wire.sink->on_text(reply->wire.context, buf_span(&reply->delta));
    return 0;
}

// Text is a string, or a list of parts of which the textual ones count.
static int add_content(struct openai_reply *reply, struct json_value content)
{
    if (json_type(content) != JSON_ARRAY)
        return add_text(reply, content);
    struct json_iter it = json_iter_init(content);
    struct json_value part;
    int r = 0;
    while (r == 0 && json_iter_next(&it, NULL, &part))
        r = add_text(reply, json_get(part, "text"));
    return r;
}

static void add_reasoning(struct openai_reply *reply, struct json_value message)
{
    struct json_value reasoning = json_get(message, "reasoning_content");
    json_string(reasoning, &reply->reasoning);
    openai_extra_add_details(message, &reply->reasoning_details);
    if (json_type(reasoning) != JSON_STRING)
        reasoning = json_get(message, "reasoning");
    buf_clear(&reply->delta);
    if (!json_string(reasoning, &reply->delta) || reply->delta.len == 0)
        return;
    reply->reasoned = true;
    reply->wire.said++;
    if (reply->wire.sink->on_reasoning)
        reply->wire.sink->on_reasoning(reply->wire.context, buf_span(&reply->delta));
}

static struct openai_call *new_call(struct openai_reply *reply, int64_t index)
{
    if (reply->call_count == CHAT_CALLS_MAX)
        return NULL;
    if (!reply->calls)
        reply->calls = mem_alloc(CHAT_CALLS_MAX * sizeof *reply->calls);
    struct openai_call *call = &reply->calls[reply->call_count++];
    *call = (struct openai_call){.index = index};
    buf_init(&call->id, CHAT_ID_MAX);
    buf_init(&call->name, CHAT_NAME_MAX);
    buf_init(&call->arguments, CHAT_ARGUMENTS_MAX);
    buf_init(&call->extra, CHAT_EXTRA_MAX / CHAT_CALLS_MAX);
    return call;
}

static bool has_text(struct json_value value)
{
    enum json_type type = json_type(value);
    return type != JSON_ABSENT && type != JSON_NULL && !json_is(value, "");
}

// Keeps up with where the arguments stand, byte by byte: parsing them again for every fragment
// would cost the square of their length.
static void scan_arguments(struct openai_call *call, size_t from)
{
    for (size_t i = from; i < call->arguments.len; i++) {
        char c = call->arguments.data[i];
        if (call->escaped)
            call->escaped = false;
        else if (c == '"')
            call->in_string = !call->in_string;
        else if (call->in_string)
            call->escaped = c == '\\';
        else
            call->depth += (c == '{') - (c == '}');
    }
}

/*
 * Whether a fragment belongs to a call. A new call has a name. Beyond that the index decides,
 * unless the server numbers everything alike: then another id begins a new call, and without ids,
 * another name or more arguments when those of the call are whole.
 */
static bool continues(const struct openai_call *call, struct json_value fragment, int64_t index,
                      struct span id)
{
    struct json_value function = json_get(fragment, "function");
    struct json_value name = json_get(function, "name");
    bool names = has_text(name) && call->name.len;
    bool numbered = index >= 0 && call->index >= 0;
    bool same_id = id.len && span_equal(buf_span(&call->id), id);
    bool other_id = id.len && call->id.len && !same_id;
    if (numbered && call->index != index)
        return false;
    if (names && (other_id || !json_is(name, buf_text(&call->name))))
        return false;
    bool whole = call->arguments.len && call->depth == 0 && !call->in_string;
    if (names && whole && has_text(json_get(function, "arguments")))
        return false;
    return numbered || same_id;
}

static struct openai_call *call_for(struct openai_reply *reply, struct json_value fragment)
{
    int64_t index = -1;
    json_int64(json_get(fragment, "index"), &index);
    BUF_AUTO id = BUF_INIT(CHAT_ID_MAX);
    json_string(json_get(fragment, "id"), &id);

    for (size_t i = reply->call_count; i-- > 0;)
        if (continues(&reply->calls[i], fragment, index, buf_span(&id)))
            return &reply->calls[i];
    bool names = has_text(json_get(json_get(fragment, "function"), "name"));
    if (index < 0 && !names && reply->call_count)
        return &reply->calls[reply->call_count - 1];
    return new_call(reply, index);
}

static int add_call_fragment(struct openai_reply *reply, struct json_value fragment)
{
    struct openai_call *call = call_for(reply, fragment);
    if (!call)
        return fail(reply, CHAT_TOO_LARGE, "the model asked for more than 64 tool calls at once");
    struct json_value function = json_get(fragment, "function");
    reply->wire.said++;
    if (call->id.len == 0)
        json_string(json_get(fragment, "id"), &call->id);
    if (call->name.len == 0)
        json_string(json_get(function, "name"), &call->name);

    struct json_value arguments = json_get(function, "arguments");
    size_t before = call->arguments.len;
    if (json_type(arguments) == JSON_STRING)
        json_string(arguments, &call->arguments);
    else if (has_text(arguments)) // an object; or nonsense, of which the tool tells the model
        buf_append_span(&call->arguments, json_raw(arguments));
    scan_arguments(call, before);
    openai_extra_add_call(fragment, &call->extra);
    if (buf_is_full(&call->arguments) || buf_is_full(&call->name) || buf_is_full(&call->id) ||
        buf_is_full(&call->extra))
        return fail(reply, CHAT_TOO_LARGE, "the model sent a tool call that is too large");
    return 0;
}

static int read_finish(struct openai_reply *reply, struct json_value reason)
{
    static const struct {
        const char *word;
        enum chat_finish finish;
    } words[] = {
        {"stop", CHAT_FINISH_STOP},
        {"length", CHAT_FINISH_LENGTH},
        {"tool_calls", CHAT_FINISH_TOOL_CALLS},
        {"function_call", CHAT_FINISH_TOOL_CALLS},
        {"content_filter", CHAT_FINISH_CONTENT_FILTER},
    };
    if (json_type(reason) != JSON_STRING || json_is(reason, "") || json_is(reason, "null"))
        return 0; // some say on every chunk that there is none
    if (json_is(reason, "error"))
        return fail(reply, CHAT_SERVER, "the provider failed in the middle of the answer");
    reply->finished = true;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (json_is(reason, words[i].word))
            reply->finish = words[i].finish;
    return 0;
}

// A chunk's "delta" and a whole answer's "message" have the same members.
static int read_choice(struct openai_reply *reply, struct json_value choice)
{
    struct json_value message = json_get(choice, "delta");
    if (json_type(message) != JSON_OBJECT)
        message = json_get(choice, "message");
    add_reasoning(reply, message);
    int r = add_content(reply, json_get(message, "content"));
    if (r == 0)
        r = add_text(reply, json_get(message, "refusal"));

    struct json_iter it = json_iter_init(json_get(message, "tool_calls"));
    struct json_value fragment;
    while (r == 0 && json_iter_next(&it, NULL, &fragment))
        r = add_call_fragment(reply, fragment);
    return r < 0 ? r : read_finish(reply, json_get(choice, "finish_reason"));
}

static int read_object(struct openai_reply *reply, struct span bytes)
{
    if (json_parse(&reply->doc, bytes, NULL) < 0)
        return fail(reply, CHAT_MALFORMED, "the provider sent something that is not JSON");
    struct json_value root = json_root(&reply->doc);
    struct json_value error = openai_find_error(root);
    if (json_type(error) != JSON_ABSENT) {
        fail(reply, CHAT_SERVER, "");
        openai_read_error(error, 0, &reply->wire.failure);
        return -EPROTO;
    }
    if (json_type(root) != JSON_OBJECT)
        return fail(reply, CHAT_MALFORMED, "the provider sent JSON that is not an answer");
    if (!reply->wire.model)
        reply->wire.model = json_strdup(json_get(root, "model"), MODEL_NAME_MAX);
    struct json_value usage = json_get(root, "usage");
    if (json_type(usage) == JSON_OBJECT)
        openai_read_usage(json_raw(usage), &reply->wire.usage);
    struct json_value choice = json_at(json_get(root, "choices"), 0);
    return json_type(choice) == JSON_OBJECT ? read_choice(reply, choice) : 0;
}

static int on_event(void *context, const struct sse_event *event)
{
    struct openai_reply *reply = context;
    if (reply->done || event->data.len == 0)
        return 0;
    if (span_is(span_trim(event->data), "[DONE]")) {
        reply->done = true;
        return 0;
    }
    // An event that its blank line does not end is whole only if its JSON is.
    if (event->unfinished && json_parse(&reply->doc, event->data, NULL) < 0)
        return 0;
    return read_object(reply, event->data);
}

// Looks at the bytes in `whole`, of which there may be too few yet. White space before the answer
// is a keep-alive.
static void sniff(struct openai_reply *reply)
{
    static const char *const fields[] = {"data:", "event:", "id:", "retry:", ":"};
    buf_consume(&reply->whole, strspn(buf_text(&reply->whole), " \t\r\n"));
    struct span text = buf_span(&reply->whole);
    bool too_few = text.len == 0;
    if (text.len && (text.data[0] == '{' || text.data[0] == '['))
        reply->shape = OPENAI_WHOLE;
    else
        for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
            if (span_starts_with(text, fields[i]))
                reply->shape = OPENAI_STREAM;
            else if (span_starts_with(span_of(fields[i]), buf_text(&reply->whole)))
                too_few = true;
        }
    reply->sniffed = !too_few;
}

static int feed_stream(struct openai_reply *reply, struct span bytes)
{
    if (sse_feed(&reply->sse, bytes, on_event, reply, NULL) == 0)
        return 0;
    return fail(reply, CHAT_TOO_LARGE, "the provider sent an event that is too large");
}

int openai_reply_feed(struct wire_reply *wire, struct span bytes)
{
    struct openai_reply *reply = reply_of(wire);
    if (reply->wire.failed)
        return -EPROTO;
    if (reply->sniffed && reply->shape == OPENAI_STREAM)
        return feed_stream(reply, bytes);
    if (!buf_append_span(&reply->whole, bytes))
        return fail(reply, CHAT_TOO_LARGE, "the answer is larger than 24 MiB");
    if (reply->sniffed)
        return 0;
    sniff(reply);
    if (reply->sniffed && reply->shape == OPENAI_UNDECIDED)
        return fail(reply, CHAT_MALFORMED,
                    "the provider answered with something that is neither JSON nor an event "
                    "stream");
    if (!reply->sniffed || reply->shape == OPENAI_WHOLE)
        return 0;
    int r = feed_stream(reply, buf_span(&reply->whole));
    buf_finish(&reply->whole);
    return r;
}

static int check_whole(struct openai_reply *reply)
{
    bool streamed = reply->shape == OPENAI_STREAM;
    if (streamed && !reply->done && !reply->finished)
        return fail(reply, reply->text.len || reply->call_count ? CHAT_INTERRUPTED : CHAT_EMPTY,
                    reply->text.len || reply->call_count
                        ? "the answer was cut off before its end"
                        : "the provider ended the stream without an answer");
    if (reply->text.len || reply->call_count)
        return 0;
    if (reply->finish == CHAT_FINISH_CONTENT_FILTER)
        return fail(reply, CHAT_FORBIDDEN, "the provider's content filter withheld the answer");
    if (reply->finish == CHAT_FINISH_LENGTH)
        return fail(reply, CHAT_EMPTY,
                    "the model used up its tokens before it answered; raise "
                    "model.max_tokens");
    return fail(reply, CHAT_EMPTY,
                reply->reasoned ? "the model thought, but gave no answer"
                                : "the provider sent an empty answer");
}

static bool id_is_taken(const struct chat_message *message, const char *id)
{
    for (size_t i = 0; i < message->call_count; i++)
        if (strcmp(message->calls[i].id, id) == 0)
            return true;
    return false;
}

static void take_calls(struct openai_reply *reply, struct chat_message *message)
{
    for (size_t i = 0; i < reply->call_count; i++) {
        struct openai_call *call = &reply->calls[i];
        char made_up[sizeof "call_" + 16] = "call_";
        random_hex(made_up + 5, sizeof made_up - 5);
        bool usable = call->id.len && !id_is_taken(message, buf_text(&call->id));
        chat_message_add_call(message, usable ? buf_text(&call->id) : made_up,
                              buf_text(&call->name),
                              call->arguments.len ? buf_text(&call->arguments) : "{}",
                              call->extra.len ? buf_text(&call->extra) : NULL);
    }
    if (message->call_count)
        message->extra = openai_extra_take(&reply->reasoning, &reply->reasoning_details);
}

int openai_reply_end(struct wire_reply *wire, struct chat_reply *ret_reply)
{
    struct openai_reply *reply = reply_of(wire);
    if (reply->shape == OPENAI_STREAM && !reply->wire.failed)
        sse_end(&reply->sse, on_event, reply, NULL);
    else if (reply->whole.len && !reply->wire.failed)
        read_object(reply, buf_span(&reply->whole));
    if (reply->wire.failed || check_whole(reply) < 0)
        return -EPROTO;

    struct chat_reply made = {.message.role = CHAT_ASSISTANT,
                              .finish = reply->finish,
                              .usage = wire->usage,
                              .model = STEAL(wire->model)};
    if (reply->text.len)
        made.message.text = buf_take_text(&reply->text);
    take_calls(reply, &made.message);
    *ret_reply = made;
    return 0;
}
