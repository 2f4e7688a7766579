#include "router/wire/request_scan.h"

#include <errno.h>

#include "base/mem.h"
#include "codec/json.h"
#include "fuzz.h"
#include "router/wire/request.h"

/*
 * The scan and json_parse() are two readers of one syntax: they take the same texts and find each
 * member in the same place, and the scan never counts fewer parts than a walk over the tree does. A
 * body that was edited says what was asked of it and is otherwise the client's. The first byte
 * chooses the edit.
 */
enum { BODY_BYTES_MAX = 1 << 20 };

static const char *const images[] = {"image_url", "input_image", "image", "images"};
static const char *const remote[] = {"file", "input_file", "file_id", "document", "video_url"};

static bool is_one_of(struct json_value v, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (json_is(v, names[i]))
            return true;
    return false;
}

// Objects that are such a part.
static size_t count_parts(struct json_value v, const char *const *names, size_t count)
{
    struct json_iter it = json_iter_init(v);
    struct json_value key, value;
    size_t inside = 0;
    bool part = false;
    while (json_iter_next(&it, &key, &value)) {
        inside += count_parts(value, names, count);
        part |= is_one_of(key, names, count) && json_type(value) != JSON_NULL;
        part |= json_is(key, "type") && is_one_of(value, names, count);
    }
    return inside + part;
}

static size_t occurrences(struct json_value root, const char *name)
{
    struct json_iter it = json_iter_init(root);
    struct json_value key, value;
    size_t count = 0;
    while (json_iter_next(&it, &key, &value))
        count += json_is(key, name);
    return count;
}

static void check_members(const struct request_scan *scan, struct json_value root)
{
    struct json_iter it = json_iter_init(root);
    struct json_value key, value;
    REQUIRE(scan->count == json_count(root));
    for (unsigned i = 0; json_iter_next(&it, &key, &value); i++) {
        const struct request_found *found = &scan->found[i];
        struct span raw = json_raw(value), name = json_raw(key);
        REQUIRE(scan->text.data + found->value_at == raw.data && found->value_len == raw.len);
        REQUIRE(scan->text.data + found->name_at == name.data + 1);
        REQUIRE(found->name_len == name.len - 2);
        REQUIRE(found->type == json_type(value) && found->count == json_count(value));
    }
    for (unsigned i = 0; i < REQUEST_KNOWN; i++) {
        struct json_value v = json_get(root, request_member_name((enum request_member)i));
        REQUIRE(request_type(scan, (enum request_member)i) == json_type(v));
        REQUIRE(span_equal(request_raw(scan, (enum request_member)i), json_raw(v)));
    }
    struct json_value messages = json_get(root, "messages");
    REQUIRE(scan->parts.images >= count_parts(messages, images, ARRAY_LEN(images)));
    REQUIRE(scan->parts.remote >= count_parts(messages, remote, ARRAY_LEN(remote)));
}

// Every member of the client that is nobody's business stands in the new body as it was.
static void check_kept(const struct router_body *body, struct json_value now)
{
    const struct request_scan *scan = &body->scan;
    struct json_iter it = json_iter_init(now);
    struct json_value key, value;
    for (unsigned i = 0; i < scan->count; i++) {
        const struct request_found *found = &scan->found[i];
        if (found->which != REQUEST_KNOWN &&
            (request_member_is_private(found->which) || found->which == REQUEST_MODELS ||
             found->which == REQUEST_ROUTE))
            continue;
        REQUIRE(json_iter_next(&it, &key, &value));
        REQUIRE(span_equal(json_raw(key),
                           span_make(scan->text.data + found->name_at - 1, found->name_len + 2)));
        if (found->which == REQUEST_KNOWN)
            REQUIRE(span_equal(json_raw(value),
                               span_make(scan->text.data + found->value_at, found->value_len)));
    }
}

static void check_edit(struct router_body *body, unsigned choice)
{
    struct router_edit edit = ROUTER_EDIT_INIT;
    edit.model = choice & 1 ? SPAN_LITERAL("up/\"stream\"") : SPAN_ABSENT;
    edit.max_tokens = choice & 2 ? 77 : -1;
    edit.params = choice & 4 ? SPAN_LITERAL("{\"top_p\":0.5,\"max_tokens\":99}") : SPAN_ABSENT;
    REQUIRE(router_body_edit(body, &edit, NULL) == 0);
    REQUIRE(body->parts.count <= ROUTER_PARTS_MAX);
    BUF_AUTO joined = BUF_INIT(2 * BODY_BYTES_MAX);
    for (size_t i = 0; i < body->parts.count; i++)
        REQUIRE(buf_append_span(&joined, body->parts.spans[i]));
    REQUIRE(joined.len == body->parts.bytes);

    JSON_AUTO doc = JSON_INIT;
    REQUIRE(json_parse(&doc, buf_span(&joined), NULL) == 0);
    struct json_value root = json_root(&doc);
    check_kept(body, root);
    if (choice & 1)
        REQUIRE(json_is(json_get(root, "model"), "up/\"stream\""));
    if (choice & 2) {
        int64_t old_way = 0, new_way = 0;
        struct json_value a = json_get(root, "max_tokens");
        struct json_value b = json_get(root, "max_completion_tokens");
        REQUIRE(json_type(a) == JSON_NUMBER || json_type(b) == JSON_NUMBER);
        REQUIRE(!json_int64(a, &old_way) || (old_way > 0 && old_way <= 77));
        REQUIRE(!json_int64(b, &new_way) || (new_way > 0 && new_way <= 77));
    }
    bool wants = false;
    json_bool(json_get(json_get(root, "stream_options"), "include_usage"), &wants);
    REQUIRE(!body->added_usage || (wants && body->stream && !body->wants_usage));
}

static void check_body(struct span text, unsigned choice)
{
    BUF_AUTO bytes = BUF_INIT(BODY_BYTES_MAX);
    struct router_body body;
    REQUIRE(buf_append_span(&bytes, text));
    int r = router_body_init(&body, &bytes, NULL);
    REQUIRE(bytes.len == 0 && (r == 0 || r == -EINVAL));
    if (r == 0) {
        REQUIRE(body.answers >= 1 && (body.max_tokens == -1 || body.max_tokens > 0));
        check_edit(&body, choice);
        check_edit(&body, choice ^ 15);
    }
    router_body_finish(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    JSON_AUTO doc = JSON_INIT;
    struct error err = ERROR_INIT;
    struct request_scan scan;
    if (size == 0 || size > BODY_BYTES_MAX)
        return 0;
    struct span text = span_make(data + 1, size - 1);
    int r = request_scan_run(&scan, text, &err);
    int wanted = json_parse(&doc, text, NULL);
    struct json_value root = json_root(&doc);
    if (r < 0) {
        REQUIRE((r == -EBADMSG || r == -EMSGSIZE) && err.code == r && err.text[0]);
        bool twice = false;
        for (unsigned i = 0; i < REQUEST_KNOWN; i++)
            twice |= occurrences(root, request_member_name((enum request_member)i)) > 1;
        bool cased = strstr(err.text, "only in case") != NULL;
        REQUIRE(wanted < 0 || json_type(root) != JSON_OBJECT || twice || cased ||
                json_count(root) > REQUEST_MEMBERS_MAX);
        return 0;
    }
    REQUIRE(wanted == 0 && json_type(root) == JSON_OBJECT);
    check_members(&scan, root);
    check_body(text, data[0]);
    return 0;
}
