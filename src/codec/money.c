#include "codec/money.h"

#include <ctype.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/decimal.h"

enum {
    TEXT_MAX = 64,     // bytes of an amount as somebody wrote it
    EXPONENT_MAX = 99, // nothing between it and a pico is money
    TELLING = 1000,    // three digits tell enough of an amount below a dollar
};

#define CENT (MONEY_DOLLAR / 100)

static size_t skip_digits(struct span *rest)
{
    size_t count = 0;
    while (count < rest->len && isdigit((unsigned char)rest->data[count]))
        count++;
    *rest = span_skip(*rest, count);
    return count;
}

static bool is_decimal(struct span text)
{
    int64_t exponent;
    size_t digits = skip_digits(&text);
    if (span_starts_with(text, ".")) {
        text = span_skip(text, 1);
        digits += skip_digits(&text);
    }
    if (!digits || !text.len)
        return digits;
    return (text.data[0] | 0x20) == 'e' && span_to_i64(span_skip(text, 1), &exponent) &&
           exponent >= -EXPONENT_MAX && exponent <= EXPONENT_MAX;
}

bool money_parse(struct span text, int64_t *ret_pico)
{
    struct span rest = span_trim(text);
    if (rest.len > TEXT_MAX)
        return false;
    if (rest.len && rest.data[0] == '$')
        rest = span_trim(span_skip(rest, 1));
    else if (rest.len && rest.data[0] == '+')
        rest = span_skip(rest, 1);
    // Rounded up: what is dearer than nothing must not become nothing.
    return is_decimal(rest) && json_fixed_of(rest, MONEY_DIGITS, true, ret_pico);
}

bool money_from_json(struct json_value v, int64_t *ret_pico)
{
    if (json_type(v) == JSON_NUMBER)
        return money_parse(json_raw(v), ret_pico);
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    return json_string(v, &text) && money_parse(buf_span(&text), ret_pico);
}

int64_t money_add(int64_t a_pico, int64_t b_pico)
{
    int64_t sum;
    if (__builtin_add_overflow(a_pico, b_pico, &sum))
        return b_pico < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

int64_t money_sub(int64_t a_pico, int64_t b_pico)
{
    int64_t difference;
    if (__builtin_sub_overflow(a_pico, b_pico, &difference))
        return b_pico > 0 ? INT64_MIN : INT64_MAX;
    return difference;
}

int64_t money_mul(int64_t price_pico, int64_t count)
{
    int64_t product;
    if (__builtin_mul_overflow(price_pico, count, &product))
        return (price_pico < 0) == (count < 0) ? INT64_MAX : INT64_MIN;
    return product;
}

static uint64_t magnitude(int64_t pico)
{
    return pico < 0 ? 0 - (uint64_t)pico : (uint64_t)pico;
}

const char *money_format(int64_t pico, char *text)
{
    char room[DECIMAL_FIXED_SIZE];
    uint64_t unit = 1;
    for (uint64_t left = magnitude(pico); left >= TELLING && unit < (uint64_t)CENT; left /= 10)
        unit *= 10;
    uint64_t rounded = (magnitude(pico) + unit / 2) / unit * unit;
    snprintf(text, MONEY_TEXT_SIZE, "%s%s", pico < 0 ? "-$" : "$",
             decimal_of_fixed_uint(rounded, MONEY_DIGITS, 2, room));
    return text;
}

const char *money_decimal(int64_t pico, char *text)
{
    char room[DECIMAL_FIXED_SIZE];
    snprintf(text, MONEY_TEXT_SIZE, "%s", decimal_of_fixed(pico, MONEY_DIGITS, 0, room));
    return text;
}
