/*
 * A stream is hundreds of events of which two say something besides a word of text: the one with
 * the finish_reason, and the one with the usage; and one that must never be missed, the error. So
 * of most events only their bytes are searched, for a quote and a u, e or f behind it, and then for
 * one of three names with a value that is not null. Inside a JSON string a quote has a backslash
 * before it, so that text about errors does not look like one, and a wrong guess only costs a
 * closer look. Names with escapes are overlooked here: nobody writes them, and what is lost is a
 * figure.
 */
#include "base/mem.h"
#include "base/simd16.h"
#include "llm/openai_usage.h"
#include "router/wire/member_scan.h"
#include "router/wire/reply_stream.h"

/* One object */

#define IS(span, literal) \
    ((span).len == sizeof(literal) - 1 && memcmp((span).data, (literal), sizeof(literal) - 1) == 0)

static void read_usage(struct reply_look *look, const struct member *member)
{
    if (member->type != JSON_OBJECT)
        return;
    openai_read_usage(member->value, &look->used);
    look->usage = true;
}

static bool says_something(const struct member *member)
{
    return member->type == JSON_STRING ? member->value.len > 2 : member->count > 0;
}

static bool is_content(struct span name)
{
    static const struct span contents[] = {
        SPAN_LITERAL("content"),
        SPAN_LITERAL("tool_calls"),
        SPAN_LITERAL("reasoning"),
        SPAN_LITERAL("reasoning_content"),
        SPAN_LITERAL("reasoning_details"),
        SPAN_LITERAL("function_call"),
        SPAN_LITERAL("refusal"),
        SPAN_LITERAL("audio"),
        SPAN_LITERAL("images"),
    };
    for (size_t i = 0; i < ARRAY_LEN(contents); i++)
        if (name.len == contents[i].len && memcmp(name.data, contents[i].data, name.len) == 0)
            return true;
    return false;
}

static void read_finish(struct reply_look *look, const struct member *member)
{
    struct span raw = member->value;
    if (member->type != JSON_STRING || raw.len <= 2 || IS(raw, "\"null\""))
        return; // some say on every chunk that there is none
    if (IS(raw, "\"error\""))
        look->failed = true;
    else if (IS(raw, "\"length\""))
        look->finish = REPLY_FINISH_LENGTH;
    else if (IS(raw, "\"content_filter\""))
        look->finish = REPLY_FINISH_CONTENT_FILTER;
    else
        look->finish = REPLY_FINISH_OTHER;
}

static void read_top(struct reply_look *look, struct span name, const struct member *member)
{
    if (IS(name, "id") && member->type == JSON_STRING)
        look->id = member->value;
    else if (IS(name, "model") && member->type == JSON_STRING)
        look->model = member->value;
    else if (IS(name, "usage"))
        read_usage(look, member);
    else if (IS(name, "choices"))
        look->choices = member->type == JSON_ARRAY && member->count > 0;
    else if (IS(name, "error") && member->type != JSON_NULL)
        look->error = look->error_top = true;
    else if (IS(name, "detail") || IS(name, "message"))
        look->error |= member->type != JSON_NULL;
}

static void read_choice(struct reply_look *look, struct span name, const struct member *member)
{
    if (IS(name, "finish_reason"))
        read_finish(look, member);
    else if (IS(name, "text"))
        look->content |= says_something(member);
    else if (IS(name, "error"))
        look->error |= member->type != JSON_NULL;
    else if (IS(name, "usage")) // some put it there
        read_usage(look, member);
}

static int on_member(void *context, const struct member *member)
{
    struct reply_look *look = context;
    const struct span *names = member->names;
    struct span name = names[member->depth - 1];
    switch (member->depth) {
    case 1:
        read_top(look, name, member);
        break;
    case 3:
        if (IS(names[0], "choices"))
            read_choice(look, name, member);
        break;
    case 4:
        if (IS(names[0], "choices") && (IS(names[2], "delta") || IS(names[2], "message")))
            look->content |= is_content(name) && says_something(member);
        break;
    }
    return 0;
}

int reply_look_at(struct span text, const struct chat_usage *usage, struct reply_look *ret_look)
{
    struct reply_look look = {.used = *usage};
    const struct member_scan wanted = {on_member, &look, MEMBER_PATH_MAX, NULL};
    int r = member_scan_run(&wanted, text, &look.type, NULL);
    if (r < 0)
        return r;
    look.error |= look.type == JSON_ARRAY; // one server puts its errors into one
    *ret_look = look;
    return 0;
}

/* Which events are worth it */

// Is what follows a name something? In doubt it is.
static bool has_value(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == ':' || *at == '\t'))
        at++;
    bool empty = end - at >= 2 && at[0] == '"' && at[1] == '"';
    return at == end || (*at != 'n' && !empty);
}

#define BEGINS(at, end, name) \
    ((size_t)((end) - (at)) >= sizeof(name) - 1 && memcmp((at), (name), sizeof(name) - 1) == 0)

static inline bool is_telling(const char *at, const char *end)
{
    if (BEGINS(at, end, "\"usage\"") || BEGINS(at, end, "\"error\""))
        return has_value(at + 7, end);
    return BEGINS(at, end, "\"finish_reason\"") && has_value(at + 15, end);
}

bool reply_look_needed(struct span data)
{
    const char *at = data.data, *end = data.data + data.len;
    for (; end - at > SIMD16_BYTES; at += SIMD16_BYTES) {
        simd16 here = simd16_load(at), next = simd16_load(at + 1);
        simd16 e_or_u = (simd16)((next | 0x10) == 'u'), f = (simd16)(next == 'f');
        uint64_t hits = simd16_bits((simd16)(here == '"') & (e_or_u | f));
        for (; hits; hits &= hits - 1)
            if (is_telling(at + simd16_first(hits), end))
                return true;
    }
    for (; end - at > 1; at++)
        if (*at == '"' && ((at[1] | 0x10) == 'u' || at[1] == 'f') && is_telling(at, end))
            return true;
    return false;
}
