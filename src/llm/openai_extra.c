#include "llm/openai_extra.h"

#include "base/mem.h"
#include "codec/json_write.h"
#include "llm/chat.h"

static bool is_openai(struct json_value key)
{
    static const char *const names[] = {"index", "id", "type", "function"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (json_is(key, names[i]))
            return true;
    return false;
}

void openai_extra_add(struct json_value name, struct json_value value, struct buf *extra)
{
    if (extra->len)
        buf_append_char(extra, ',');
    buf_append_span(extra, json_raw(name));
    buf_append_char(extra, ':');
    buf_append_span(extra, json_raw(value));
}

void openai_extra_add_call(struct json_value fragment, struct buf *extra)
{
    struct json_iter it = json_iter_init(fragment);
    struct json_value key, value;
    if (extra->len)
        return;
    while (json_iter_next(&it, &key, &value))
        if (!is_openai(key) && json_type(value) != JSON_NULL)
            openai_extra_add(key, value, extra);
}

void openai_extra_add_details(struct json_value message, struct buf *details)
{
    struct json_iter it = json_iter_init(json_get(message, "reasoning_details"));
    struct json_value element;
    while (json_iter_next(&it, NULL, &element)) {
        if (details->len)
            buf_append_char(details, ',');
        buf_append_span(details, json_raw(element));
    }
}

char *openai_extra_take(const struct buf *reasoning, const struct buf *details)
{
    BUF_AUTO extra = BUF_INIT(2 * (size_t)CHAT_EXTRA_MAX);
    struct json_writer w;
    json_writer_init(&w, &extra);
    json_write_object_begin(&w);
    if (reasoning->len && !buf_is_full(reasoning))
        json_write_member_string(&w, "reasoning_content", buf_span(reasoning));
    if (details->len && !buf_is_full(details)) {
        CLEANUP(mem_cleanup) char *array = mem_printf("[%s]", buf_text(details));
        json_write_member_raw(&w, "reasoning_details", span_of(array));
    }
    json_write_object_end(&w);
    if (!json_write_done(&w) || extra.len <= 2)
        return NULL;
    return mem_strndup(extra.data + 1, extra.len - 2); // without the braces
}

void openai_extra_write(struct json_writer *w, const char *extra)
{
    JSON_AUTO doc = JSON_INIT;
    CLEANUP(mem_cleanup) char *object = mem_printf("{%s}", extra ? extra : "");
    struct json_value key, value;
    if (json_parse(&doc, span_of(object), NULL) < 0)
        return;
    struct json_iter it = json_iter_init(json_root(&doc));
    while (json_iter_next(&it, &key, &value)) {
        BUF_AUTO name = BUF_INIT(CHAT_EXTRA_MAX);
        json_string(key, &name);
        json_write_key_span(w, buf_span(&name));
        json_write_raw(w, json_raw(value));
    }
}
