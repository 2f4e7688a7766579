// What clients ask: their messages, and which conversation is meant.
#include "serve/api_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "codec/base64.h"
#include "codec/media.h"
#include "codec/sha256.h"
#include "net/http_server.h"
#include "serve/api_turn.h"
#include "serve/control_internal.h"
#include "store/session.h"

#define TOOL_RESULT "[Result of a tool, as the client tells it]\n"

enum { NAME_SIZE = 33 }; // hex digits and a NUL

void api_request_finish(struct api_request *request)
{
    asked_destroy(request->asked);
    free(request->text);
    free(request->model);
    free(request->previous);
}

bool api_read_body(struct http_exchange *exchange, struct document *ret_doc)
{
    struct error err = ERROR_INIT;
    if (document_read(ret_doc, http_exchange_body(exchange), &err) < 0)
        api_refuse(exchange, 400, NULL, "the body is not what can be read as JSON: %s", err.text);
    else if (node_type(document_root(ret_doc)) != JSON_OBJECT)
        api_refuse(exchange, 400, NULL, "the body must be a JSON object");
    else
        return true;
    return false;
}

static bool is_word(struct node node, const char *const *words)
{
    for (; *words; words++)
        if (node_is(node, *words))
            return true;
    return false;
}

// An image as a data: URL. What a message had before the last one is in the store, or lost.
static bool read_image(struct asked *asked, struct node part, struct http_exchange *exchange)
{
    struct node image = node_get(part, "image_url"), url = node_get(image, "url");
    struct span text = span_of(node_text(node_text(url) ? url : image));
    ptrdiff_t at = span_find(text, SPAN_LITERAL(";base64,"));
    if (asked->part_count == CHAT_PARTS_MAX) {
        api_refuse(exchange, 400, NULL, "a message has at most %d images", CHAT_PARTS_MAX);
        return false;
    }
    struct asked_part *one = &asked->parts[asked->part_count++];
    buf_init(&one->bytes, CHAT_PART_MAX);
    if (span_starts_with(text, "data:") && at > 0)
        base64_decode(span_skip(text, (size_t)at + 8), &one->bytes);
    one->type = media_type_of(buf_span(&one->bytes));
    if (one->type && one->type->is_image)
        return true;
    api_refuse(
        exchange, 400, "unsupported_content_type",
        "an image must be a \"data:image/...;base64,\" URL of a PNG, JPEG, GIF or WebP of at "
        "most %d KiB; other addresses are not fetched",
        CHAT_PART_MAX / 1024);
    return false;
}

// A string, or a list of parts.
static bool read_content(struct asked *asked, struct node content, struct buf *out,
                         struct http_exchange *exchange)
{
    static const char *const texts[] = {"text", "input_text", "output_text", "refusal", NULL};
    static const char *const images[] = {"image_url", "input_image", NULL};
    asked_drop_parts(asked);
    if (node_text(content)) {
        buf_append_text(out, node_text(content));
        return true;
    }
    for (struct node part = node_first(content); node_type(part) != JSON_ABSENT;
         part = node_next(part)) {
        struct node type = node_get(part, "type");
        const char *text = node_text(node_get(part, "text"));
        if (is_word(type, images)) {
            if (!read_image(asked, part, exchange))
                return false;
            text = "[image]";
        } else if (!is_word(type, texts) || !text) {
            api_refuse(exchange, 400, "unsupported_content_type",
                       "a message has a part of type \"%.40s\"; only text and images are taken",
                       node_text(type) ? node_text(type) : "");
            return false;
        }
        buf_printf(out, "%s%s", out->len ? "\n" : "", text);
    }
    return true;
}

static void add_instructions(struct asked *asked, struct span text)
{
    CLEANUP(mem_cleanup) char *before = STEAL(asked->instructions);
    if (span_trim(text).len)
        asked->instructions = mem_printf("%s%s%.*s", before ? before : "", before ? "\n\n" : "",
                                         (int)text.len, text.data);
    else
        asked->instructions = STEAL(before);
}

static bool read_message(struct asked *asked, struct node message, struct http_exchange *exchange)
{
    static const char *const systems[] = {"system", "developer", NULL};
    static const char *const tools[] = {"tool", "function", NULL};
    struct node role = node_get(message, "role");
    BUF_AUTO text = BUF_INIT(API_BODY_MAX);
    bool said = node_is(role, "user"), answered = node_is(role, "assistant");
    bool tool = is_word(role, tools);
    if (!said && !answered && !tool && !is_word(role, systems)) {
        api_refuse(exchange, 400, NULL,
                   "each message must have a \"role\": system, user, assistant or tool");
        return false;
    }
    if (tool) // of the client's own, which the model has never called
        buf_append_text(&text, TOOL_RESULT);
    if (!read_content(asked, node_get(message, "content"), &text, exchange))
        return false;
    if (is_word(role, systems)) {
        add_instructions(asked, buf_span(&text));
    } else if (said || text.len) {
        struct chat_message one = {.role = answered ? CHAT_ASSISTANT : CHAT_USER,
                                   .text = mem_strdup(buf_text(&text)),
                                   .tainted = tool};
        chat_history_append(&asked->given, &one);
    }
    return true;
}

// The last message is what is asked now.
static bool take_question(struct api_request *request, struct http_exchange *exchange)
{
    struct chat_history *given = &request->asked->given;
    struct chat_message *last = given->count ? &given->messages[given->count - 1] : NULL;
    if (!last || last->role != CHAT_USER || !span_trim(span_of(last->text)).len) {
        api_refuse(exchange, 400, NULL,
                   "the last message must be the user's, and must not be empty");
        return false;
    }
    if (strlen(last->text) > CONTROL_MESSAGE_MAX) {
        api_refuse(exchange, 413, NULL, "the last message is larger than 1 MiB");
        return false;
    }
    request->text = STEAL(last->text);
    chat_history_truncate(given, given->count - 1);
    return true;
}

bool api_read_messages(struct api_request *request, struct node messages,
                       struct http_exchange *exchange)
{
    if (node_type(messages) != JSON_ARRAY) {
        api_refuse(exchange, 400, NULL, "\"messages\" must be a list of messages");
        return false;
    }
    for (struct node message = node_first(messages); node_type(message) != JSON_ABSENT;
         message = node_next(message))
        if (!read_message(request->asked, message, exchange))
            return false;
    return take_question(request, exchange);
}

// An item of /v1/responses that is no message: of a call, which was the client's.
static bool read_item(struct asked *asked, struct node item, struct http_exchange *exchange)
{
    struct node type = node_get(item, "type");
    static const char *const skipped[] = {"function_call", "reasoning", NULL};
    if (is_word(type, skipped))
        return true;
    if (!node_is(type, "function_call_output"))
        return read_message(asked, item, exchange);
    BUF_AUTO text = BUF_INIT(API_BODY_MAX);
    buf_append_text(&text, TOOL_RESULT);
    if (!read_content(asked, node_get(item, "output"), &text, exchange))
        return false;
    struct chat_message one = {
        .role = CHAT_USER, .text = mem_strdup(buf_text(&text)), .tainted = true};
    chat_history_append(&asked->given, &one);
    return true;
}

static bool read_items(struct asked *asked, struct node list, struct http_exchange *exchange)
{
    for (struct node item = node_first(list); node_type(item) != JSON_ABSENT;
         item = node_next(item))
        if (!read_item(asked, item, exchange))
            return false;
    return true;
}

bool api_read_input(struct api *api, struct api_request *request, struct node root,
                    struct http_exchange *exchange)
{
    struct asked *asked = request->asked;
    struct node input = node_get(root, "input");
    const char *previous = node_text(node_get(root, "previous_response_id"));
    const char *more = node_text(node_get(root, "instructions"));
    const char *model = node_text(node_get(root, "model"));
    CLEANUP(api_turn_finish) struct api_turn turn = {0};
    request->model = model ? mem_strdup(model) : NULL;
    if (more)
        add_instructions(asked, span_of(more));
    if (previous && !api_turn_read(api, span_of(previous), "resp_", &turn, exchange))
        return false;
    if (previous) {
        request->previous = mem_strdup(previous);
        memcpy(asked->session, turn.session, sizeof asked->session);
        memcpy(request->chat, turn.chat, sizeof request->chat);
    }
    if (!read_items(asked, node_get(root, "conversation_history"), exchange))
        return false;
    if (node_text(input)) {
        struct chat_message one = {.role = CHAT_USER, .text = mem_strdup(node_text(input))};
        chat_history_append(&asked->given, &one);
    } else if (node_type(input) != JSON_ARRAY) {
        api_refuse(exchange, 400, NULL, "\"input\" must be a text or a list of messages");
        return false;
    }
    return read_items(asked, input, exchange) && take_question(request, exchange);
}

// A question about a document begins like that too, but shows no chat.
bool api_take_chore(struct api_request *request)
{
    struct asked *asked = request->asked;
    const char *text = request->text;
    if (request->streams || request->previous || asked->given.count ||
        strncmp(text, "### Task:", 9) != 0 ||
        (strstr(text, "<context>") && !strstr(text, "<chat_history>")))
        return false;
    free(asked->tools);
    asked->tools = mem_strdup("-"); // which is the name of none
    asked->compares = false;
    request->forgets = true;
    return true;
}

static void keep_chat(void *context, const struct store_session *session)
{
    struct api_request *request = context;
    bool ours = span_is(session->channel, api_channel) && session->chat.len < API_CHAT_SIZE;
    snprintf(request->chat, sizeof request->chat, "%.*s", ours ? (int)session->chat.len : 0,
             session->chat.data);
}

// A conversation that no id was given for is found again by what its client calls it, which says
// nothing about what is in it, or by what it began with.
static void name_by_content(struct api_request *request, struct span called)
{
    const struct chat_history *given = &request->asked->given;
    const char *first = given->count ? given->messages[0].text : request->text;
    char hex[SHA256_HEX_SIZE];
    struct sha256 hash;
    sha256_init(&hash);
    sha256_add(&hash, called.len ? called : span_of(first));
    sha256_end_hex(&hash, hex);
    snprintf(request->chat, sizeof request->chat, "by-%.32s", hex);
    request->derived = true;
}

bool api_name_session(struct api *api, struct api_request *request, struct span given,
                      struct http_exchange *exchange)
{
    struct asked *asked = request->asked;
    given = span_trim(given);
    if (!given.len && asked->compares) {
        name_by_content(request, http_exchange_header(exchange, "X-OpenWebUI-Chat-Id"));
        return true;
    }
    asked->compares = false;
    if (!given.len) {
        random_hex(request->chat, NAME_SIZE);
        memcpy(asked->session, request->chat, NAME_SIZE);
        return true;
    }
    if (!control_is_chat_name(given) || given.len >= ASKED_ID_SIZE) {
        api_refuse(exchange, 400, NULL,
                   "the id of a session has letters, digits, \".\", \"-\" and \"_\", %d at most",
                   ASKED_ID_SIZE - 1);
        return false;
    }
    memcpy(asked->session, given.data, given.len);
    memcpy(request->chat, asked->session, given.len);
    struct error err = ERROR_INIT;
    int r = store_read_session(store_view(api->control->store), given, keep_chat, request, &err);
    if (r < 0)
        api_refuse_for_now(exchange, err.text);
    else if (!*request->chat)
        api_refuse(exchange, 409, "session_elsewhere",
                   "this session belongs to another channel; it goes on there");
    return r >= 0 && *request->chat;
}
