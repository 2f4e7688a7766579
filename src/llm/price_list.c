#include "llm/price_list.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/json.h"

/*
 * The list is half a megabyte, most of it descriptions. Keeping all of it to read two numbers of
 * each model would double what the program takes, and parsing it at once would keep everybody else
 * waiting. So brackets and quotes are counted until a model has ended, and only that is parsed, in
 * full: what json_parse() does not accept is no list. The text around the models is only looked at
 * for its brackets.
 */
enum {
    DEPTH_MAX = 64,   // open brackets
    KEY_MAX = 16,     // bytes of a key of the root that matter
    MODELS_DEPTH = 2, // root, "data": what opens there is a model
    PRICE_MAX = 64,   // bytes of a price as text
};

struct price_list {
    price_list_fn *fn;
    void *context;
    size_t bytes;
    unsigned depth;
    char open[DEPTH_MAX]; // the brackets
    bool quoted, escaped;
    bool begun, had_models;
    bool in_models; // the list that is open at depth 2 is "data"
    bool oversized; // the model does not fit, and is left out
    bool long_key;  // longer than any that matters
    struct buf key; // the last string at depth 1
    struct buf model;
    struct json document;
};

struct price_list *price_list_create(price_list_fn *fn, void *context)
{
    struct price_list *list = mem_new(struct price_list);
    list->fn = fn;
    list->context = context;
    buf_init(&list->key, KEY_MAX);
    buf_init(&list->model, PRICE_LIST_MODEL_MAX);
    return list;
}

void price_list_destroy(struct price_list *list)
{
    if (!list)
        return;
    buf_finish(&list->key);
    buf_finish(&list->model);
    json_finish(&list->document);
    free(list);
}

static struct span price_of(struct json_value value, struct buf *text)
{
    buf_clear(text);
    switch (json_type(value)) {
    case JSON_ABSENT:
    case JSON_NULL:
        return SPAN_ABSENT;
    case JSON_NUMBER:
        return json_raw(value);
    default:
        return json_string(value, text) && text->len ? buf_span(text) : SPAN_LITERAL("");
    }
}

static void hand_out(struct price_list *list, struct span name, struct json_value pricing)
{
    static const char *const names[PRICE_LIST_ITEMS] = {
        [PRICE_LIST_PROMPT] = "prompt",
        [PRICE_LIST_COMPLETION] = "completion",
        [PRICE_LIST_CACHE_READ] = "input_cache_read",
        [PRICE_LIST_CACHE_WRITE] = "input_cache_write",
        [PRICE_LIST_REASONING] = "internal_reasoning",
        [PRICE_LIST_REQUEST] = "request",
        [PRICE_LIST_IMAGE] = "image",
        [PRICE_LIST_CACHE_WRITE_HOUR] = "input_cache_write_1h",
        [PRICE_LIST_IMAGE_TOKEN] = "image_token",
        [PRICE_LIST_IMAGE_OUTPUT] = "image_output",
        [PRICE_LIST_AUDIO] = "audio",
        [PRICE_LIST_AUDIO_OUTPUT] = "audio_output",
        [PRICE_LIST_AUDIO_CACHE] = "input_audio_cache",
        [PRICE_LIST_WEB_SEARCH] = "web_search",
    };
    struct buf texts[PRICE_LIST_ITEMS];
    struct price_list_entry entry = {.model = name};
    for (size_t i = 0; i < PRICE_LIST_ITEMS; i++) {
        buf_init(&texts[i], PRICE_MAX);
        entry.prices[i] = price_of(json_get(pricing, names[i]), &texts[i]);
    }
    list->fn(list->context, &entry);
    for (size_t i = 0; i < PRICE_LIST_ITEMS; i++)
        buf_finish(&texts[i]);
}

static int end_model(struct price_list *list, struct error *err)
{
    BUF_AUTO name = BUF_INIT(PRICE_LIST_NAME_MAX);
    struct json_value key, value;
    if (list->oversized)
        return 0;
    if (json_parse(&list->document, buf_span(&list->model), err) < 0)
        return error_wrap(err, "a model in the price list");
    struct json_value model = json_root(&list->document);
    struct json_value pricing = json_get(model, "pricing");
    if (!json_string(json_get(model, "id"), &name) || !name.len ||
        json_type(pricing) != JSON_OBJECT)
        return 0;
    hand_out(list, buf_span(&name), pricing);
    struct json_iter it = json_iter_init(json_get(pricing, "overrides"));
    while (json_iter_next(&it, &key, &value))
        hand_out(list, buf_span(&name), value);
    return 0;
}

static int refuse(struct error *err)
{
    return error_set(err, -EBADMSG, "the provider did not send a list of models with prices");
}

static int open_bracket(struct price_list *list, char c, struct error *err)
{
    if (list->depth == DEPTH_MAX || (list->depth == 0 && (list->begun || c != '{')))
        return refuse(err);
    list->begun = true;
    if (list->depth == 1 && c == '[' && !list->long_key && span_is(buf_span(&list->key), "data"))
        list->in_models = list->had_models = true;
    if (list->depth == MODELS_DEPTH && list->in_models) {
        buf_clear(&list->model);
        list->oversized = false;
    }
    list->open[list->depth++] = c;
    return 0;
}

static int close_bracket(struct price_list *list, char c, struct error *err)
{
    if (list->depth == 0 || (list->open[list->depth - 1] == '{') != (c == '}'))
        return refuse(err);
    list->depth--;
    if (list->depth == MODELS_DEPTH && list->in_models && c == '}')
        return end_model(list, err);
    if (list->depth == 1)
        list->in_models = false;
    return 0;
}

static bool is_kept(const struct price_list *list)
{
    return list->in_models && list->depth > MODELS_DEPTH;
}

// Within a string; to its end or that of the bytes.
static size_t pass_string(struct price_list *list, const char *at, size_t len)
{
    size_t i = 0;
    while (i < len && list->quoted) {
        char c = at[i++];
        if (list->escaped)
            list->escaped = false;
        else if (c == '\\')
            list->escaped = true;
        else if (c == '"')
            list->quoted = false;
    }
    if (list->depth == 1 && !buf_append(&list->key, at, i - !list->quoted))
        list->long_key = true;
    return i;
}

static int pass(struct price_list *list, char c, struct error *err)
{
    switch (c) {
    case '"':
        if (list->depth == 0)
            return refuse(err);
        list->quoted = true;
        list->long_key = false;
        buf_clear(&list->key);
        return 0;
    case '{':
    case '[':
        return open_bracket(list, c, err);
    case '}':
    case ']':
        return close_bracket(list, c, err);
    case ' ':
    case '\t':
    case '\r':
    case '\n':
        return 0;
    default:
        return list->depth == 0 ? refuse(err) : 0;
    }
}

static void keep(struct price_list *list, struct span bytes)
{
    list->oversized = list->oversized || !buf_append_span(&list->model, bytes);
}

int price_list_feed(struct price_list *list, struct span bytes, struct error *err)
{
    int r = 0;
    list->bytes += bytes.len;
    if (list->bytes > PRICE_LIST_BYTES_MAX)
        return error_set(err, -EMSGSIZE, "the price list is longer than %d bytes",
                         PRICE_LIST_BYTES_MAX);
    while (bytes.len && r == 0) {
        bool was_kept = is_kept(list);
        size_t len = 1;
        if (list->quoted) {
            len = pass_string(list, bytes.data, bytes.len);
            if (was_kept)
                keep(list, span_make(bytes.data, len));
        } else {
            bool closes = *bytes.data == '}' || *bytes.data == ']';
            if (closes && was_kept) // before the model is read
                keep(list, span_make(bytes.data, 1));
            r = pass(list, *bytes.data, err);
            if (!closes && is_kept(list))
                keep(list, span_make(bytes.data, 1));
        }
        bytes = span_skip(bytes, len);
    }
    return r;
}

int price_list_end(const struct price_list *list, struct error *err)
{
    return list->had_models && list->depth == 0 && !list->quoted ? 0 : refuse(err);
}
