/*
 * The edited body is the client's text with holes and insertions. A member that is left out takes
 * one comma with it, whichever side has one; what is added stands behind the last member. All that
 * is not the client's is written into `own` first, whose size is known before, so that spans into
 * it stay good.
 */
#include "router/wire/request.h"

#include <errno.h>

#include "codec/json.h"
#include "codec/json_write.h"

enum {
    STREAM_OPTIONS_MAX = 4096, // bytes of stream_options that are read
    JOINED_MAX = REQUEST_BODY_MAX + ROUTER_EDIT_MAX,
};

/* What the client wants */

static int read_answers(struct router_body *body, struct error *err)
{
    int64_t n = 1, best_of = 1;
    int r = request_int(&body->scan, REQUEST_N, &n, err);
    if (r >= 0)
        r = request_int(&body->scan, REQUEST_BEST_OF, &best_of, err);
    if (r < 0)
        return r;
    body->answers = n > best_of ? n : best_of;
    if (body->answers < 1)
        body->answers = 1;
    // Several prompts in one request are answered each; a list of numbers is one, as tokens.
    int64_t prompts = (int64_t)request_count(&body->scan, REQUEST_PROMPT);
    struct span raw = request_raw(&body->scan, REQUEST_PROMPT);
    if (request_type(&body->scan, REQUEST_PROMPT) != JSON_ARRAY || prompts < 2)
        return 0;
    struct span first = span_trim(span_skip(raw, 1));
    bool tokens = first.data[0] == '-' || (first.data[0] >= '0' && first.data[0] <= '9');
    if (!tokens && __builtin_mul_overflow(body->answers, prompts, &body->answers))
        body->answers = INT64_MAX;
    return 0;
}

// A bound of 0 or less means none (llama.cpp).
static int read_max_tokens(struct router_body *body, struct error *err)
{
    int64_t old_way = 0, new_way = 0;
    int has_old = request_int(&body->scan, REQUEST_MAX_TOKENS, &old_way, err);
    int has_new = has_old < 0
                      ? has_old
                      : request_int(&body->scan, REQUEST_MAX_COMPLETION_TOKENS, &new_way, err);
    if (has_new < 0)
        return has_new;
    bool unbounded = (has_old == 0 && old_way <= 0) || (has_new == 0 && new_way <= 0);
    int64_t larger = old_way > new_way ? old_way : new_way;
    body->max_tokens = unbounded || larger == 0 ? -1 : larger;
    return 0;
}

static void read_usage_wish(struct router_body *body)
{
    struct span raw = request_raw(&body->scan, REQUEST_STREAM_OPTIONS);
    JSON_AUTO doc = JSON_INIT;
    bool wants;
    if (!body->stream || !raw.data || raw.len > STREAM_OPTIONS_MAX ||
        json_parse(&doc, raw, NULL) < 0 ||
        !json_bool(json_get(json_root(&doc), "include_usage"), &wants))
        return;
    body->wants_usage = wants;
    body->refuses_usage = !wants;
}

int router_body_init(struct router_body *body, struct buf *bytes, struct error *err)
{
    *body = (struct router_body){
        .bytes = *bytes,
        .model = BUF_INIT(ROUTER_MODEL_MAX),
        .own = BUF_INIT(JOINED_MAX),
        .max_tokens = -1,
        .answers = 1,
        .sent_max_tokens = -1,
    };
    *bytes = (struct buf)BUF_INIT(bytes->max);
    int r = request_scan_run(&body->scan, buf_span(&body->bytes), err);
    if (r >= 0)
        r = request_string(&body->scan, REQUEST_MODEL, &body->model, err);
    if (r >= 0)
        r = request_bool(&body->scan, REQUEST_STREAM, &body->stream, err);
    if (r >= 0)
        r = read_max_tokens(body, err);
    if (r >= 0)
        r = read_answers(body, err);
    if (r >= 0)
        read_usage_wish(body);
    return r < 0 ? r : 0;
}

void router_body_name_model(struct router_body *body, struct span name)
{
    buf_clear(&body->model);
    buf_append_span(&body->model, name);
    body->is_named_outside = true;
}

void router_body_finish(struct router_body *body)
{
    if (!body)
        return;
    buf_finish(&body->bytes);
    buf_finish(&body->model);
    buf_finish(&body->own);
    pieces_finish(&body->parts);
    *body = (struct router_body){0};
}

// What was appended to `own` since it was `from` bytes long.
static void add_own(struct router_body *body, size_t from)
{
    pieces_add(&body->parts, span_make(body->own.data + from, body->own.len - from));
}

/* One edit */

struct editing {
    struct router_body *body;
    const struct router_edit *edit;
    bool any;     // a member stands before
    bool bounded; // a bound of the output is in the body
};

static bool is_bound(enum request_member which)
{
    return which == REQUEST_MAX_TOKENS || which == REQUEST_MAX_COMPLETION_TOKENS;
}

// OpenRouter's `models` and `route` name other models.
static bool is_removed(enum request_member which)
{
    return request_member_is_private(which) || which == REQUEST_MODELS || which == REQUEST_ROUTE;
}

static void write_string(struct buf *own, struct span text)
{
    struct json_writer w;
    json_writer_init(&w, own);
    json_write_string(&w, text);
}

// stream_options with include_usage true and the client's other members as they are.
static void write_stream_options(struct buf *own, struct span raw)
{
    JSON_AUTO doc = JSON_INIT;
    buf_append_text(own, "{\"include_usage\":true");
    if (raw.data && json_parse(&doc, raw, NULL) == 0) {
        struct json_iter it = json_iter_init(json_root(&doc));
        struct json_value name, value;
        while (json_iter_next(&it, &name, &value)) {
            if (json_is(name, "include_usage"))
                continue;
            buf_append_char(own, ',');
            buf_append_span(own, json_raw(name));
            buf_append_char(own, ':');
            buf_append_span(own, json_raw(value));
        }
    }
    buf_append_char(own, '}');
}

static bool write_bound(struct editing *e, enum request_member which)
{
    int64_t asked = 0;
    bool said = request_int(&e->body->scan, which, &asked, NULL) == 0;
    int64_t limit = e->edit->max_tokens;
    bool null = !said && request_type(&e->body->scan, which) == JSON_NULL;
    bool other_bounds =
        which == REQUEST_MAX_TOKENS
            ? e->edit->is_completion_bound ||
                  request_type(&e->body->scan, REQUEST_MAX_COMPLETION_TOKENS) == JSON_NUMBER
            : request_type(&e->body->scan, REQUEST_MAX_TOKENS) == JSON_NUMBER;
    if (null && (limit < 0 || other_bounds))
        return false;
    e->bounded = true;
    if (limit < 0) {
        e->body->sent_max_tokens = e->body->max_tokens;
        return false;
    }
    if (said && asked > 0 && asked <= limit) {
        if (asked > e->body->sent_max_tokens)
            e->body->sent_max_tokens = asked;
        return false;
    }
    e->body->capped = true;
    if (limit > e->body->sent_max_tokens)
        e->body->sent_max_tokens = limit;
    buf_printf(&e->body->own, "%lld", (long long)limit);
    return true;
}

static bool write_options(struct editing *e)
{
    struct router_body *body = e->body;
    struct span raw = request_raw(&body->scan, REQUEST_STREAM_OPTIONS);
    enum json_type type = request_type(&body->scan, REQUEST_STREAM_OPTIONS);
    if (!body->stream || body->wants_usage || raw.len > STREAM_OPTIONS_MAX ||
        (type != JSON_NULL && type != JSON_OBJECT))
        return false;
    write_stream_options(&body->own, type == JSON_OBJECT ? raw : SPAN_ABSENT);
    body->added_usage = true;
    return true;
}

// Writes the value that replaces that of the member; false when it stays.
static bool write_value(struct editing *e, enum request_member which)
{
    struct router_body *body = e->body;
    struct span model = e->edit->model;
    if (is_bound(which))
        return write_bound(e, which);
    if (which == REQUEST_STREAM_OPTIONS)
        return write_options(e);
    if (which != REQUEST_MODEL || !model.data ||
        (!body->is_named_outside && span_equal(model, buf_span(&body->model))))
        return false;
    write_string(&body->own, model);
    return true;
}

// The members of the client that stay, with new values where they have some. Returns the offset
// behind the last.
static size_t edit_members(struct editing *e)
{
    struct router_body *body = e->body;
    const struct request_scan *scan = &body->scan;
    const char *text = body->bytes.data;
    size_t at = 0; // everything before it is dealt with
    for (unsigned i = 0; i < scan->count; i++) {
        const struct request_found *found = &scan->found[i];
        size_t name_at = found->name_at - 1, end = (size_t)found->value_at + found->value_len;
        if (i == 0) { // the brace and what is behind it
            pieces_add(&body->parts, span_make(text, name_at));
            at = name_at;
        }
        if (is_removed((enum request_member)found->which)) {
            at = end;
            continue;
        }
        size_t from = e->any ? at : name_at; // without the comma of what was left out before it
        size_t before = body->own.len;
        bool replaced = write_value(e, (enum request_member)found->which);
        pieces_add(&body->parts, span_make(text + from, (replaced ? found->value_at : end) - from));
        if (replaced)
            add_own(body, before);
        e->any = true;
        at = end;
    }
    return at;
}

/* What is added */

static void begin_member(struct editing *e, struct span raw_name)
{
    struct buf *own = &e->body->own;
    if (e->any)
        buf_append_char(own, ',');
    buf_append_char(own, '"');
    buf_append_span(own, raw_name);
    buf_append_text(own, "\":");
    e->any = true;
}

static bool client_has(const struct request_scan *scan, struct span raw_name,
                       enum request_member which)
{
    const char *text = scan->text.data;
    if (which != REQUEST_KNOWN)
        return scan->at[which] != 0;
    for (unsigned i = 0; i < scan->count; i++) {
        const struct request_found *found = &scan->found[i];
        if (found->which == REQUEST_KNOWN &&
            member_name_is(span_make(text + found->name_at, found->name_len), raw_name, false))
            return true;
    }
    return false;
}

// The name of a bound that the client did not write.
static struct span bound_name(const struct router_edit *edit)
{
    return span_of(request_member_name(edit->is_completion_bound ? REQUEST_MAX_COMPLETION_TOKENS
                                                                 : REQUEST_MAX_TOKENS));
}

// A bound among the deployment's own members. Where the model knows only max_completion_tokens it
// goes by that name, as with LiteLLM.
static void add_default_bound(struct editing *e, const struct member *member)
{
    int64_t value = -1;
    if (e->bounded)
        return;
    begin_member(e, e->edit->is_completion_bound ? bound_name(e->edit) : member->names[0]);
    bool known = span_to_i64(member->value, &value) && value > 0;
    if (e->edit->max_tokens >= 0 && (!known || value > e->edit->max_tokens)) {
        value = e->edit->max_tokens;
        e->body->capped = true;
    }
    if (value > 0 || e->edit->max_tokens >= 0)
        buf_printf(&e->body->own, "%lld", (long long)value);
    else
        buf_append_span(&e->body->own, member->value);
    e->body->sent_max_tokens = value > 0 ? value : -1;
    e->bounded = true;
}

static int add_param(void *context, const struct member *member)
{
    struct editing *e = context;
    enum request_member which = request_member_of(member->names[0]);
    int64_t value, all;
    // One that was left out is as good as none: then the deployment's own counts.
    if (client_has(&e->body->scan, member->names[0], which) && !is_removed(which))
        return 0;
    if (is_bound(which)) {
        add_default_bound(e, member);
        return 0;
    }
    if (which == REQUEST_MODEL || which == REQUEST_STREAM || which == REQUEST_STREAM_OPTIONS)
        return 0; // these are not a deployment's to say
    if ((which == REQUEST_N || which == REQUEST_BEST_OF) && span_to_i64(member->value, &value)) {
        // A deployment that asks for several answers asks so for each prompt.
        if (__builtin_mul_overflow(value, e->body->answers, &all))
            all = INT64_MAX;
        if (value > 0 && all > e->body->sent_answers)
            e->body->sent_answers = all;
    }
    begin_member(e, member->names[0]);
    buf_append_span(&e->body->own, member->value);
    return 0;
}

// False: the deployment's parameters are none.
static bool add_members(struct editing *e)
{
    struct router_body *body = e->body;
    const struct router_edit *edit = e->edit;
    const struct member_scan wanted = {add_param, e, 1, NULL};
    enum json_type type = JSON_OBJECT;
    if (edit->model.data && !body->scan.at[REQUEST_MODEL]) {
        begin_member(e, SPAN_LITERAL("model"));
        write_string(&body->own, edit->model);
    }
    if (edit->params.len > 2 &&
        (member_scan_run(&wanted, edit->params, &type, NULL) < 0 || type != JSON_OBJECT))
        return false;
    if (edit->max_tokens >= 0 && !e->bounded) {
        begin_member(e, bound_name(edit));
        buf_printf(&body->own, "%lld", (long long)edit->max_tokens);
        body->sent_max_tokens = edit->max_tokens;
        body->capped = true;
    }
    if (body->stream && !body->scan.at[REQUEST_STREAM_OPTIONS]) {
        begin_member(e, SPAN_LITERAL("stream_options"));
        write_stream_options(&body->own, SPAN_ABSENT);
        body->added_usage = true;
    }
    return true;
}

// More pieces than anybody sends at once become one.
static int join_parts(struct router_body *body, struct error *err)
{
    struct buf joined = BUF_INIT(JOINED_MAX);
    buf_reserve(&joined, body->parts.bytes);
    for (size_t i = 0; i < body->parts.count; i++)
        buf_append_span(&joined, body->parts.spans[i]);
    if (buf_is_full(&joined)) {
        buf_finish(&joined);
        return error_set(err, -EMSGSIZE, "the edited request is too large");
    }
    buf_finish(&body->own);
    body->own = joined;
    pieces_clear(&body->parts);
    add_own(body, 0);
    return 0;
}

int router_body_edit(struct router_body *body, const struct router_edit *edit, struct error *err)
{
    struct editing e = {body, edit, false, false};
    size_t options = request_raw(&body->scan, REQUEST_STREAM_OPTIONS).len;
    // Room for all that one edit may write, so that `own` does not move under its spans.
    size_t need = 6 * edit->model.len + edit->params.len + 1024 +
                  (options <= STREAM_OPTIONS_MAX ? options : 0);
    pieces_clear(&body->parts);
    body->added_usage = body->capped = false;
    body->sent_max_tokens = -1;
    body->sent_answers = body->answers;
    buf_clear(&body->own);
    if (need > ROUTER_EDIT_MAX)
        return error_set(err, -EMSGSIZE, "the deployment adds more than %d bytes", ROUTER_EDIT_MAX);
    if (!buf_reserve(&body->own, need))
        return error_set(err, -ENOMEM, "out of memory for a request");

    const struct span text = body->scan.text;
    size_t at = edit_members(&e);
    if (body->scan.count == 0) {
        at = (size_t)(strchr(text.data, '{') - text.data) + 1;
        pieces_add(&body->parts, span_make(text.data, at));
    }
    size_t before = body->own.len;
    if (!add_members(&e))
        return error_set(err, -EINVAL, "the deployment's parameters are not a JSON object");
    add_own(body, before);
    pieces_add(&body->parts, span_skip(text, at));
    return body->parts.count > ROUTER_PARTS_MAX ? join_parts(body, err) : 0;
}
