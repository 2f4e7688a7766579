/*
 * Every proxied request passes here, so the object is gone through once, by its syntax alone:
 * json_parse() and a look-up for each name cost as much as the rest of a small reply. Names with
 * escapes are overlooked: nobody writes them, and what is lost is a figure.
 */
#include "llm/openai_usage.h"

#include <string.h>

#include "codec/json_scan.h"
#include "codec/money.h"

enum {
    TOKENS_MAX = 1000 * 1000 * 1000, // of one call; what is above is nonsense
    NUMBER_TEXT_MAX = 64,            // bytes
};

enum figure {
    PROMPT_TOKENS,
    COMPLETION_TOKENS,
    TOTAL_TOKENS,
    CACHED_TOKENS,
    CACHE_WRITE_TOKENS,
    CACHE_CREATION_TOKENS, // Anthropic's name, which LiteLLM puts beside OpenAI's; the latter wins
    REASONING_TOKENS,
    COST,
    UPSTREAM_COST,
    OWN_KEY,
    FIGURES,
};

struct place {
    struct span in, name; // `in` is absent for a member of the object itself
};

static const struct place places[FIGURES] = {
    [PROMPT_TOKENS] = {SPAN_ABSENT, SPAN_LITERAL("\"prompt_tokens\"")},
    [COMPLETION_TOKENS] = {SPAN_ABSENT, SPAN_LITERAL("\"completion_tokens\"")},
    [TOTAL_TOKENS] = {SPAN_ABSENT, SPAN_LITERAL("\"total_tokens\"")},
    [CACHED_TOKENS] = {SPAN_LITERAL("\"prompt_tokens_details\""),
                       SPAN_LITERAL("\"cached_tokens\"")},
    [CACHE_WRITE_TOKENS] = {SPAN_LITERAL("\"prompt_tokens_details\""),
                            SPAN_LITERAL("\"cache_write_tokens\"")},
    [CACHE_CREATION_TOKENS] = {SPAN_ABSENT, SPAN_LITERAL("\"cache_creation_input_tokens\"")},
    [REASONING_TOKENS] = {SPAN_LITERAL("\"completion_tokens_details\""),
                          SPAN_LITERAL("\"reasoning_tokens\"")},
    [COST] = {SPAN_ABSENT, SPAN_LITERAL("\"cost\"")},
    [UPSTREAM_COST] = {SPAN_LITERAL("\"cost_details\""),
                       SPAN_LITERAL("\"upstream_inference_cost\"")},
    [OWN_KEY] = {SPAN_ABSENT, SPAN_LITERAL("\"is_byok\"")},
};

static enum figure figure_of(struct span in, struct span name)
{
    for (enum figure i = 0; i < FIGURES; i++)
        if (span_equal(places[i].name, name) && span_equal(places[i].in, in))
            return i;
    return FIGURES;
}

// Tokens, picodollars, or a yes; what cannot be is -1, as what is not there.
static int64_t read_figure(enum figure figure, const struct json_scan *json)
{
    struct span text = span_make(json->from, (size_t)(json->at - json->from));
    int64_t value;
    if (figure == OWN_KEY)
        return json->type == JSON_TRUE;
    if (json->type != JSON_NUMBER || text.len > NUMBER_TEXT_MAX)
        return -1;
    bool read = figure == COST || figure == UPSTREAM_COST
                    ? json_fixed_of(text, MONEY_DIGITS, false, &value)
                    : span_to_i64(text, &value) && value <= TOKENS_MAX;
    return read && value >= 0 ? value : -1;
}

static void take(int64_t value, int64_t *to)
{
    if (value >= 0)
        *to = value;
}

// Where the total tells of more tokens than the parts, the rest was written unseen (reasoning that
// one server leaves out of completion_tokens), and is paid for as such.
static void add_up(int64_t total, struct chat_usage *usage)
{
    int64_t known = usage->completion_tokens < 0 ? 0 : usage->completion_tokens;
    if (total >= 0 && usage->prompt_tokens >= 0 && total - usage->prompt_tokens >= known)
        usage->completion_tokens = total - usage->prompt_tokens;
}

// With a key of the owner's own (OpenRouter), `cost` is the gateway's fee alone: what the provider
// charges comes on top of it, and where that is not said, the cost is not known. Without such a key
// the charge is in `cost` already.
static int64_t cost_of(const int64_t figures[FIGURES])
{
    if (figures[COST] < 0 || figures[OWN_KEY] <= 0)
        return figures[COST];
    return figures[UPSTREAM_COST] < 0 ? -1 : money_add(figures[COST], figures[UPSTREAM_COST]);
}

static void read_figures(struct span object, int64_t figures[FIGURES])
{
    struct json_scan json;
    struct span in = SPAN_ABSENT;
    json_scan_init(&json, object);
    for (;;) {
        enum json_event event = json_scan_next(&json);
        if (event == JSON_EVENT_END || event == JSON_EVENT_FAULT)
            return;
        if (event == JSON_EVENT_OPEN && json.depth == 2)
            in = json.key;
        if (event == JSON_EVENT_CLOSE && json.depth == 1)
            in = SPAN_ABSENT;
        if (event != JSON_EVENT_VALUE || json.depth > 2 || !json.key.len)
            continue;
        enum figure figure = figure_of(in, json.key);
        if (figure < FIGURES)
            figures[figure] = read_figure(figure, &json);
    }
}

void openai_read_usage(struct span object, struct chat_usage *usage)
{
    int64_t figures[FIGURES];
    memset(figures, 0xff, sizeof figures); // -1
    read_figures(object, figures);
    take(figures[PROMPT_TOKENS], &usage->prompt_tokens);
    take(figures[COMPLETION_TOKENS], &usage->completion_tokens);
    take(figures[CACHED_TOKENS], &usage->cached_tokens);
    take(figures[CACHE_CREATION_TOKENS], &usage->cache_write_tokens);
    take(figures[CACHE_WRITE_TOKENS], &usage->cache_write_tokens);
    take(figures[REASONING_TOKENS], &usage->reasoning_tokens);
    add_up(figures[TOTAL_TOKENS], usage);
    if (figures[COST] >= 0)
        take(cost_of(figures), &usage->cost_pico);
}
