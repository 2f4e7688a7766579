#include "config/option.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/decimal.h"
#include "codec/zone.h"

enum {
    QUOTE_BYTES = 60, // of a rejected value that are repeated in the sentence
    QUOTE_SIZE = QUOTE_BYTES + sizeof "\"...\"",
};

// Units are tried in this order: a longer suffix before the one that it ends with.
struct unit {
    const char *suffix;
    int64_t factor;
};

static const struct unit size_units[] = {
    {"KiB", 1LL << 10}, {"MiB", 1LL << 20}, {"GiB", 1LL << 30}, {"kB", 1000},
    {"KB", 1000},       {"MB", 1000000},    {"GB", 1000000000}, {"Ki", 1LL << 10},
    {"Mi", 1LL << 20},  {"Gi", 1LL << 30},  {"k", 1000},        {"K", 1000},
    {"M", 1000000},     {"G", 1000000000},  {"B", 1},           {"", 1},
};

static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"", 1000},
};

static const struct unit share_units[] = {{"%", 10}, {"", 1000}};

bool option_is_scalar(const struct option *option)
{
    return option->type != OPTION_LIST && option->type != OPTION_MAP && option->type != OPTION_TREE;
}

bool option_has_file(const struct option *option)
{
    return (option->flags & OPTION_SECRET) && option->type == OPTION_STRING;
}

bool option_is_list(const struct option *option)
{
    return option->type == OPTION_LIST ||
           (option->type == OPTION_TREE && option->choices[0] == '*' &&
            !(option->flags & OPTION_NAMED));
}

const char *option_type_name(enum option_type type)
{
    static const char *const names[] = {
        [OPTION_STRING] = "text",     [OPTION_BOOL] = "yes or no", [OPTION_INT] = "number",
        [OPTION_BYTES] = "size",      [OPTION_DURATION] = "time",  [OPTION_LIST] = "list",
        [OPTION_MAP] = "name: value", [OPTION_TREE] = "YAML",      [OPTION_SHARE] = "share",
    };
    return names[type];
}

bool option_next_word(struct span *rest, struct span *ret_word)
{
    while (rest->len) {
        struct span word = span_trim(span_cut(rest, ','));
        if (word.len) {
            *ret_word = word;
            return true;
        }
    }
    return false;
}

bool option_words_have(const char *list, struct span name)
{
    struct span rest = span_of(list), word;
    while (option_next_word(&rest, &word))
        if (span_equal(word, name))
            return true;
    return false;
}

bool option_match_parts(struct span *pattern, struct span *place)
{
    while (pattern->len && place->len) {
        struct span wanted = span_cut(pattern, '.'), part = span_cut(place, '.');
        if (!span_equal(wanted, part) && !span_is(wanted, "*"))
            return false;
    }
    return true;
}

// The value as a sentence may repeat it: not a secret, not long, no line breaks.
static const char *quote(const struct option *option, struct span text, char *out)
{
    if (option->flags & OPTION_SECRET)
        return "its value";
    bool cut = text.len > QUOTE_BYTES;
    size_t len = 0;
    out[len++] = '"';
    for (size_t i = 0; i < text.len && i < QUOTE_BYTES; i++)
        out[len++] = (unsigned char)text.data[i] < ' ' || text.data[i] == 127 ? '?' : text.data[i];
    snprintf(out + len, QUOTE_SIZE - len, "%s\"", cut ? "..." : "");
    return out;
}

// A number with a unit, in factor-1 units; fractions to a thousandth of the unit.
static bool parse_units(struct span text, const struct unit *unit, int64_t *ret_value)
{
    while (!span_ends_with(text, unit->suffix))
        unit++; // the last suffix is "", which everything ends with
    text.len -= strlen(unit->suffix);
    int64_t thousandths;
    if (!span_to_fixed(span_trim(text), 3, &thousandths) || thousandths < 0 ||
        __builtin_mul_overflow(thousandths, unit->factor, &thousandths))
        return false;
    *ret_value = thousandths / 1000;
    return true;
}

// In the largest unit that leaves no fraction.
const char *option_format_number(const struct option *option, int64_t value, char *text)
{
    static const struct unit sizes[] = {
        {"Gi", 1LL << 30}, {"Mi", 1LL << 20}, {"Ki", 1LL << 10}, {"", 1}};
    static const struct unit durations[] = {
        {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    static const struct unit plain[] = {{"", 1}};
    if (option->type == OPTION_SHARE) {
        char room[DECIMAL_FIXED_SIZE];
        snprintf(text, OPTION_NUMBER_SIZE, "%s%%", decimal_of_fixed(value, 1, 0, room));
        return text;
    }
    const struct unit *unit = option->type == OPTION_BYTES      ? sizes
                              : option->type == OPTION_DURATION ? durations
                                                                : plain;
    while (unit->factor > 1 && (value == 0 || value % unit->factor))
        unit++;
    snprintf(text, OPTION_NUMBER_SIZE, "%" PRId64 "%s", value / unit->factor, unit->suffix);
    return text;
}

// min and max of 0 mean "none" where the other one does not make 0 the meaning.
static int check_range(const struct option *option, struct span text, int64_t value,
                       struct error *err)
{
    bool has_max = option->max != 0 || option->min < 0;
    bool has_min = option->min != 0 || option->max != 0;
    if ((!has_max || value <= option->max) && (!has_min || value >= option->min))
        return 0;
    char quoted[QUOTE_SIZE], low[OPTION_NUMBER_SIZE], high[OPTION_NUMBER_SIZE];
    quote(option, text, quoted);
    option_format_number(option, option->min, low);
    option_format_number(option, option->max, high);
    if (!has_max)
        return error_set(err, -ERANGE, "%s is out of range (at least %s)", quoted, low);
    return error_set(err, -ERANGE, "%s is out of range (%s to %s)", quoted, low, high);
}

int option_parse(const struct option *option, struct span text, union option_value *ret_value,
                 struct error *err)
{
    static const char *const wanted[] = {
        [OPTION_BOOL] = "yes or no (true, false, on, off)",
        [OPTION_INT] = "a whole number",
        [OPTION_BYTES] = "a size (such as 512k, 32Mi or 1G)",
        [OPTION_SHARE] = "a share (such as 0.75 or 75%)",
        [OPTION_DURATION] = "a time (such as 250ms, 30s, 5m or 1.5h; a bare number is seconds)",
    };
    union option_value value = {0};
    char quoted[QUOTE_SIZE];
    struct span trimmed = span_trim(text);
    bool good = false;
    int r = 0;

    switch (option->type) {
    case OPTION_BOOL:
        good = span_to_bool(trimmed, &value.boolean);
        break;
    case OPTION_INT:
        good = span_to_i64(trimmed, &value.number);
        break;
    case OPTION_BYTES:
        good = parse_units(trimmed, size_units, &value.number);
        break;
    case OPTION_SHARE:
        good = parse_units(trimmed, share_units, &value.number);
        break;
    case OPTION_DURATION:
        good = parse_units(trimmed, duration_units, &value.number);
        break;
    default:
        if (option->flags & OPTION_ZONE && trimmed.len)
            return zone_find(trimmed, &(struct zone){0}, err);
        if (!option->choices || option_words_have(option->choices, text))
            return 0;
        return error_set(err, -EINVAL, "%s is not one of %s", quote(option, text, quoted),
                         option->choices);
    }
    if (!good)
        return error_set(err, -EINVAL, "%s is not %s", quote(option, text, quoted),
                         wanted[option->type]);
    if (option->type != OPTION_BOOL)
        r = check_range(option, text, value.number, err);
    if (r == 0)
        *ret_value = value;
    return r;
}
