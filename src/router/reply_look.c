/*
 * A stream is hundreds of events of which two say something besides a word of text: the one with
 * the finish_reason, and the one with the usage; and one that must never be missed, the error. So
 * of most events only their bytes are searched, for a quote and a u, e or f behind it, and then for
 * one of three names with a value that is not null. Inside a JSON string a quote has a backslash
 * before it, so that text about errors does not look like one, and a wrong guess only costs a
 * closer look. Names with escapes are overlooked here: nobody writes them, and what is lost is a
 * figure.
 */
#include "router/reply_look.h"

#include <errno.h>

#include "base/lanes.h"
#include "codec/money.h"
#include "router/member_scan.h"

enum {
    TOKENS_MAX = 1000 * 1000 * 1000, // of one call; what is above is nonsense
    NUMBER_TEXT_MAX = 64,            // bytes
};

/* One object */

#define IS(span, literal) \
    ((span).len == sizeof(literal) - 1 && memcmp((span).data, (literal), sizeof(literal) - 1) == 0)

static void take_tokens(const struct member *member, int64_t *to)
{
    int64_t value = 0;
    if (member->type == JSON_NUMBER && span_to_i64(member->value, &value) && value >= 0 &&
        value <= TOKENS_MAX)
        *to = value;
}

static void take_cost(const struct member *member, int64_t *to)
{
    int64_t value = 0;
    if (member->type != JSON_NUMBER || member->value.len > NUMBER_TEXT_MAX)
        return;
    bool ok = span_to_fixed(member->value, MONEY_DIGITS, &value);
    if (!ok) { // an exponent
        JSON_AUTO doc = JSON_INIT;
        ok = json_parse(&doc, member->value, NULL) == 0 &&
             json_fixed(json_root(&doc), MONEY_DIGITS, &value);
    }
    if (ok && value >= 0)
        *to = value;
}

static void read_usage(struct reply_look *look, struct span name, const struct member *member)
{
    struct router_usage *used = &look->used;
    if (IS(name, "prompt_tokens"))
        take_tokens(member, &used->prompt_tokens);
    else if (IS(name, "completion_tokens"))
        take_tokens(member, &used->completion_tokens);
    else if (IS(name, "total_tokens"))
        take_tokens(member, &look->total_tokens);
    else if (IS(name, "cost"))
        take_cost(member, &used->cost_pico);
    else if (IS(name, "is_byok"))
        look->is_byok = member->type == JSON_TRUE;
    else if (IS(name, "cache_creation_input_tokens") && used->cache_write_tokens < 0)
        take_tokens(member, &used->cache_write_tokens);
}

static void read_usage_details(struct reply_look *look, struct span part, struct span name,
                               const struct member *member)
{
    struct router_usage *used = &look->used;
    bool prompt = IS(part, "prompt_tokens_details");
    if (prompt && IS(name, "cached_tokens"))
        take_tokens(member, &used->cached_tokens);
    else if (prompt && IS(name, "cache_write_tokens"))
        take_tokens(member, &used->cache_write_tokens);
    else if (IS(part, "completion_tokens_details") && IS(name, "reasoning_tokens"))
        take_tokens(member, &used->reasoning_tokens);
    else if (IS(part, "cost_details") && IS(name, "upstream_inference_cost"))
        take_cost(member, &look->upstream_pico);
}

static bool says_something(const struct member *member)
{
    switch (member->type) {
    case JSON_STRING:
        return member->value.len > 2;
    case JSON_ARRAY:
    case JSON_OBJECT:
        return member->count > 0;
    default:
        return false;
    }
}

static bool is_content(struct span name)
{
    switch (name.len) {
    case 5:
        return IS(name, "audio");
    case 6:
        return IS(name, "images");
    case 7:
        return IS(name, "content") || IS(name, "refusal");
    case 9:
        return IS(name, "reasoning");
    case 10:
        return IS(name, "tool_calls");
    case 13:
        return IS(name, "function_call");
    case 17:
        return IS(name, "reasoning_content") || IS(name, "reasoning_details");
    default:
        return false;
    }
}

static void read_finish(struct reply_look *look, const struct member *member)
{
    struct span raw = member->value;
    if (member->type != JSON_STRING || raw.len <= 2 || IS(raw, "\"null\""))
        return; // some say on every chunk that there is none
    if (IS(raw, "\"error\""))
        look->failed = true;
    else if (IS(raw, "\"stop\""))
        look->finish = REPLY_FINISH_STOP;
    else if (IS(raw, "\"length\""))
        look->finish = REPLY_FINISH_LENGTH;
    else if (IS(raw, "\"tool_calls\"") || IS(raw, "\"function_call\""))
        look->finish = REPLY_FINISH_TOOL_CALLS;
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
    else if (IS(name, "usage") && member->type == JSON_OBJECT)
        look->usage = true;
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
    else if (IS(name, "usage"))
        look->usage |= member->type == JSON_OBJECT;
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
    case 2:
        if (IS(names[0], "usage"))
            read_usage(look, name, member);
        break;
    case 3:
        if (IS(names[0], "choices"))
            read_choice(look, name, member);
        else if (IS(names[0], "usage"))
            read_usage_details(look, names[1], name, member);
        break;
    default:
        if (!IS(names[0], "choices"))
            break;
        if (IS(names[2], "delta") || IS(names[2], "message"))
            look->content |= is_content(name) && says_something(member);
        else if (IS(names[2], "usage")) // some put it there
            read_usage(look, name, member);
    }
    return 0;
}

// Where the total tells of more tokens than the parts, the rest was written unseen (reasoning that
// one server leaves out of completion_tokens), and is paid for as such.
static void add_up(struct reply_look *look)
{
    struct router_usage *used = &look->used;
    int64_t total = look->total_tokens;
    int64_t known = used->completion_tokens < 0 ? 0 : used->completion_tokens;
    if (total < 0 || used->prompt_tokens < 0 || total - used->prompt_tokens < known)
        return;
    used->completion_tokens = total - used->prompt_tokens;
}

// With a key of the owner's own, `cost` is the gateway's fee alone: what the provider charges comes
// on top of it, and where that is not said, the cost is not known. Without such a key the charge is
// in `cost` already.
static void add_up_cost(struct reply_look *look)
{
    struct router_usage *used = &look->used;
    if (!look->is_byok || used->cost_pico < 0)
        return;
    used->cost_pico =
        look->upstream_pico < 0 ? -1 : money_add(used->cost_pico, look->upstream_pico);
}

int reply_look_at(struct span text, struct reply_look *ret_look)
{
    struct reply_look look = {
        .used = ROUTER_USAGE_UNKNOWN, .total_tokens = -1, .upstream_pico = -1};
    const struct member_scan wanted = {on_member, &look, MEMBER_PATH_MAX, NULL};
    int r = member_scan_run(&wanted, text, &look.type, NULL);
    if (r < 0)
        return r;
    add_up(&look);
    add_up_cost(&look);
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
    for (; end - at > LANES; at += LANES) {
        lanes here = lanes_load(at), next = lanes_load(at + 1);
        lanes e_or_u = (lanes)((next | 0x10) == 'u'), f = (lanes)(next == 'f');
        uint64_t hits = lanes_bits((lanes)(here == '"') & (e_or_u | f));
        for (; hits; hits &= hits - 1)
            if (is_telling(at + lanes_first(hits), end))
                return true;
    }
    for (; end - at > 1; at++)
        if (*at == '"' && ((at[1] | 0x10) == 'u' || at[1] == 'f') && is_telling(at, end))
            return true;
    return false;
}
