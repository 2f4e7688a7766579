#include "router/plan/plan_read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/json.h"
#include "codec/suggest.h"
#include "config/substitute.h"

enum {
    SENTENCE_SIZE = 1024, // bytes
    QUOTED_MAX = 60,      // bytes of a value in a sentence
};

void *plan_own(struct plan_maker *maker, void *block)
{
    struct plan_memory *memory = maker->memory;
    memory->blocks = mem_grow(memory->blocks, memory->block_count, &memory->block_capacity,
                              sizeof *memory->blocks);
    memory->blocks[memory->block_count++] = block;
    return block;
}

void *plan_alloc(struct plan_maker *maker, size_t size)
{
    return plan_own(maker, mem_zalloc(size ? size : 1));
}

const char *plan_text(struct plan_maker *maker, struct span text)
{
    return plan_own(maker, mem_strndup(text.data ? text.data : "", text.len));
}

const char *plan_copy(struct plan_maker *maker, const char *text)
{
    return text ? plan_text(maker, span_of(text)) : NULL;
}

void plan_error(struct plan_maker *maker, unsigned line, const char *fmt, ...)
{
    char sentence[SENTENCE_SIZE], place[SENTENCE_SIZE] = "";
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    if (line && maker->source->path)
        snprintf(place, sizeof place, "%s:%u: ", maker->source->path, line);
    if (maker->errors++ == 0)
        error_set(&maker->first, -EINVAL, "%s%s", place, sentence);
    if (maker->lines)
        buf_printf(maker->lines, "error: %s%s\n", place, sentence);
}

const struct option_pair *plan_find_pair(const struct plan_section *section, const char *name)
{
    for (size_t i = 0; i < section->pairs.count; i++)
        if (strcmp(section->pairs.pairs[i].name + section->skip, name) == 0)
            return &section->pairs.pairs[i];
    return NULL;
}

void plan_pair_error(const struct plan_section *section, const struct option_pair *pair,
                     const char *fmt, ...)
{
    char sentence[SENTENCE_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    plan_error(section->maker, pair->line, "%s.%s: %s", section->shown, pair->name + section->skip,
               sentence);
}

// A number as YAML writes it, as an integer of 10^-digits: JSON's, and those with nothing before
// the point. False: it is none, or does not fit.
static bool parse_fixed(struct span text, unsigned digits, int64_t *ret_value)
{
    JSON_AUTO doc = JSON_INIT;
    CLEANUP(mem_cleanup)
    char *whole = mem_printf("%s%.*s", text.len && text.data[0] == '.' ? "0" : "", (int)text.len,
                             text.len ? text.data : "");
    return json_parse(&doc, span_of(whole), NULL) == 0 &&
           json_fixed(json_root(&doc), digits, ret_value);
}

static bool parse_time(struct span text, int64_t *ret_ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {
        {"", 1000},         {"ms", 1},           {"s", 1000},          {"m", 60000},
        {"h", 3600 * 1000}, {"d", 86400 * 1000}, {"w", 604800 * 1000}, {"mo", 2592000 * 1000LL},
    };
    size_t len = 0;
    while (len < text.len && strchr("0123456789.+-eE", text.data[len]))
        len++;
    struct span unit = span_trim(span_skip(text, len));
    int64_t thousandths, ms;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!span_is(unit, units[i].name))
            continue;
        if (!parse_fixed(span_make(text.data, len), 3, &thousandths) ||
            __builtin_mul_overflow(thousandths, units[i].ms, &ms))
            return false;
        *ret_ms = ms / 1000;
        return true;
    }
    return false;
}

// Is the value there, and not still to come from a variable?
static const struct option_pair *take_pair(const struct plan_section *section, const char *name)
{
    char unset[SUBSTITUTE_NAME_MAX + 1];
    const struct option_pair *pair = plan_find_pair(section, name);
    if (!pair || !config_unset_variable(pair->value, unset))
        return pair;
    plan_pair_error(section, pair,
                    "its value is in the variable %s, which is not set; set it, or put a file of "
                    "that name into the directory that HERMES_SECRETS_DIR names",
                    unset);
    return NULL;
}

static void not_a(const struct plan_section *section, const struct option_pair *pair,
                  const char *what)
{
    plan_pair_error(section, pair, "\"%.*s\" is not %s", QUOTED_MAX,
                    pair->secret ? "..." : pair->value, what);
}

// "0.5", of hundredths 50.
static const char *show_fixed(int64_t value, unsigned digits, char *text, size_t size)
{
    int64_t unit = 1;
    for (unsigned i = 0; i < digits; i++)
        unit *= 10;
    snprintf(text, size, "%" PRId64 "%s", value / unit, value % unit ? "..." : "");
    return text;
}

void plan_read_number(const struct plan_section *section, const char *name, unsigned digits,
                      int64_t min, int64_t max, int64_t *ret_value)
{
    const struct option_pair *pair = take_pair(section, name);
    char low[32], high[32];
    int64_t value, finer;
    if (!pair)
        return;
    struct span text = span_trim(span_of(pair->value));
    if (!parse_fixed(text, digits, &value) ||
        (!digits && parse_fixed(text, 3, &finer) && finer != value * 1000))
        not_a(section, pair, digits ? "a number" : "a whole number");
    else if (value < min || value > max)
        plan_pair_error(section, pair, "\"%.*s\" is out of range (%s to %s)", QUOTED_MAX,
                        pair->value, show_fixed(min, digits, low, sizeof low),
                        show_fixed(max, digits, high, sizeof high));
    else
        *ret_value = value;
}

void plan_read_bool(const struct plan_section *section, const char *name, bool *ret_value)
{
    const struct option_pair *pair = take_pair(section, name);
    bool value;
    if (!pair)
        return;
    if (span_to_bool(span_trim(span_of(pair->value)), &value))
        *ret_value = value;
    else
        not_a(section, pair, "yes or no (true, false, on, off)");
}

void plan_read_time(const struct plan_section *section, const char *name, int64_t min, int64_t max,
                    int64_t *ret_value)
{
    const struct option_pair *pair = take_pair(section, name);
    int64_t value;
    if (!pair)
        return;
    if (!parse_time(span_trim(span_of(pair->value)), &value))
        not_a(section, pair, "a time (seconds, or such as 30s, 5m, 12h, 7d, 1mo)");
    else if (value < min || value > max)
        plan_pair_error(section, pair, "\"%.*s\" is out of range (%" PRId64 "ms to %" PRId64 "s)",
                        QUOTED_MAX, pair->value, min, max / 1000);
    else
        *ret_value = value;
}

void plan_read_text(const struct plan_section *section, const char *name, const char **ret_value)
{
    const struct option_pair *pair = take_pair(section, name);
    if (pair && *pair->value)
        *ret_value = pair->value;
}

void plan_no_model(const struct plan_section *section, const struct option_pair *pair,
                   struct span name)
{
    enum { SHOWN = 10 }; // names
    const struct router_plan *plan = section->maker->plan;
    size_t groups = 0, count;
    BUF_AUTO shown = BUF_INIT(SENTENCE_SIZE / 2);
    CLEANUP(mem_cleanup)
    const char **names = mem_zalloc((plan->group_count + plan->alias_count + 1) * sizeof *names);
    for (size_t i = 0; i < plan->group_count; i++)
        if (!plan->groups[i].internal)
            names[groups++] = plan->groups[i].name;
    count = groups;
    for (size_t i = 0; i < plan->alias_count; i++)
        names[count++] = plan->aliases[i].name;
    for (size_t i = 0; i < groups && i < SHOWN; i++)
        buf_printf(&shown, "%s%.64s", i ? ", " : "", names[i]);
    const char *nearest = suggest_nearest(name, names, count);
    int len = QUOTED_MAX < name.len ? QUOTED_MAX : (int)name.len;
    if (nearest)
        plan_pair_error(section, pair, "there is no model \"%.*s\" (did you mean \"%s\"?)", len,
                        name.data, nearest);
    else
        plan_pair_error(section, pair, "there is no model \"%.*s\"; model_list has %s%s", len,
                        name.data, groups ? buf_text(&shown) : "none",
                        groups > SHOWN ? ", ..." : "");
}
