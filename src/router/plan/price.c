#include "router/plan/price.h"

#include "base/mem.h"
#include "codec/money.h"

/*
 * The bound rests on one fact: a token stands for at least one byte of what was sent, whatever the
 * tokenizer, and JSON only makes text longer. Three things break it. An image costs tokens by its
 * size in pixels and not in bytes; what a provider fetches by itself (a video, a file) does not
 * stand in the body at all, so that only the model's context bounds it; and providers add some
 * instructions of their own. They are allowed for, by the costliest case known.
 *
 * Bytes overstate the tokens of plain text about four times. That is the point: a cap holds without
 * a tokenizer for every model, and what was held too much comes back with the settlement.
 */

static int64_t at_least(int64_t value, int64_t least)
{
    return value < least ? least : value;
}

static int64_t or_else(int64_t price, int64_t other)
{
    return price < 0 ? other : price;
}

bool router_price_known(const struct router_price *price)
{
    return price->input_pico >= 0 && price->output_pico >= 0;
}

// count * price; -1 when that is not known. What is free costs nothing, however much of it.
static int64_t term(int64_t price, int64_t count)
{
    if (price == 0 || count == 0)
        return 0;
    return price < 0 || count < 0 ? -1 : money_mul(price, count);
}

static int64_t sum(const int64_t *terms, size_t count)
{
    int64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        if (terms[i] < 0)
            return -1;
        total = money_add(total, terms[i]);
    }
    return total;
}

int64_t router_price_cost(const struct router_price *price, const struct chat_usage *usage,
                          int64_t images)
{
    if (usage->cost_pico >= 0)
        return usage->cost_pico;
    int64_t cached = at_least(usage->cached_tokens, 0);
    int64_t written = at_least(usage->cache_write_tokens, 0);
    int64_t reasoning = at_least(usage->reasoning_tokens, 0);
    int64_t prompt = usage->prompt_tokens, completion = usage->completion_tokens;
    if (prompt >= 0)
        prompt = at_least(money_sub(money_sub(prompt, cached), written), 0);
    if (completion >= 0)
        completion = at_least(money_sub(completion, reasoning), 0);

    int64_t terms[] = {
        term(price->input_pico, prompt),
        term(or_else(price->cache_read_pico, price->input_pico), cached),
        term(or_else(price->cache_write_pico, price->input_pico), written),
        term(price->output_pico, completion),
        term(or_else(price->reasoning_pico, price->output_pico), reasoning),
        term(or_else(price->request_pico, 0), 1),
        term(or_else(price->image_pico, 0), images),
    };
    return sum(terms, ARRAY_LEN(terms));
}

// The most tokens that the prompt can have; -1 when nothing bounds them.
static int64_t prompt_tokens(const struct router_size *size)
{
    int64_t tokens = -1;
    if (size->body_bytes >= 0 && size->remote_parts <= 0) {
        tokens = money_mul(at_least(size->images, 0), ROUTER_IMAGE_TOKENS);
        tokens = money_add(money_add(tokens, size->body_bytes), ROUTER_HIDDEN_TOKENS);
    }
    bool fits_not = size->max_input_tokens >= 0 && (tokens < 0 || tokens > size->max_input_tokens);
    return fits_not ? size->max_input_tokens : tokens;
}

// What the call costs before its first token of output; -1 when that is not known.
static int64_t input_bound(const struct router_price *price, const struct router_size *size)
{
    if (price->input_pico < 0)
        return -1;
    int64_t token = at_least(price->input_pico, price->cache_write_pico);
    token = at_least(token, price->cache_read_pico);
    int64_t terms[] = {
        term(token, prompt_tokens(size)),
        term(or_else(price->request_pico, 0), 1),
        term(or_else(price->image_pico, 0), at_least(size->images, 0)),
    };
    return sum(terms, ARRAY_LEN(terms));
}

// Of one token in each of the answers.
static int64_t output_price(const struct router_price *price, const struct router_size *size)
{
    if (price->output_pico < 0)
        return -1;
    return money_mul(at_least(price->output_pico, price->reasoning_pico), at_least(size->n, 1));
}

// The most tokens that one answer can have; -1 when nothing bounds them.
static int64_t output_tokens(const struct router_size *size)
{
    int64_t asked = size->max_tokens, can = size->max_output_tokens;
    return asked < 0 || (can >= 0 && can < asked) ? can : asked;
}

int64_t router_price_bound(const struct router_price *price, const struct router_size *size)
{
    int64_t terms[] = {
        input_bound(price, size),
        term(output_price(price, size), output_tokens(size)),
    };
    return sum(terms, ARRAY_LEN(terms));
}

int64_t router_price_affordable_tokens(const struct router_price *price,
                                       const struct router_size *size, int64_t money_pico)
{
    int64_t input = input_bound(price, size), token = output_price(price, size);
    if (input < 0 || token < 0 || input > money_pico)
        return 0;
    int64_t limit = output_tokens(size);
    int64_t tokens = token == 0 ? INT64_MAX : (money_pico - input) / token;
    return limit >= 0 && limit < tokens ? limit : tokens;
}
