#include "config/substitute.h"

#include <errno.h>
#include <string.h>

/*
 * One pass from left to right, and what a variable holds is never looked at again: so the result is
 * bounded by the text and its variables, a variable cannot name another one, and text without
 * references comes out as it went in. A malformed reference is text too, for the reason that an
 * unset variable is: the value may be a prompt or a regular expression that means "${".
 */

struct run {
    const struct config_environment *environment;
    const struct substitute_observer *observer; // may be NULL
    struct buf *out;
};

static bool is_name(struct span name)
{
    if (name.len == 0 || name.len > SUBSTITUTE_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        bool digit = c >= '0' && c <= '9';
        if (!letter && !(digit && i > 0))
            return false;
    }
    return true;
}

// Appends what the reference `whole` stands for; `name` is the part of it that names the variable.
static void replace(const struct run *run, struct span whole, struct span name)
{
    bool is_good = is_name(name);
    struct span told = is_good ? name : whole;
    char text[SUBSTITUTE_NAME_MAX + 1];
    size_t len = told.len < SUBSTITUTE_NAME_MAX ? told.len : SUBSTITUTE_NAME_MAX;
    memcpy(text, told.data, len);
    text[len] = '\0';
    const char *value = is_good ? config_environment_get(run->environment, text) : NULL;
    if (run->observer)
        run->observer->seen(run->observer->context,
                            value     ? SUBSTITUTE_SET
                            : is_good ? SUBSTITUTE_UNSET
                                      : SUBSTITUTE_MALFORMED,
                            text);
    buf_append_span(run->out, value ? span_of(value) : whole);
}

// The next reference in *text, which is consumed as far as its end; absent: there is none. Without
// a closing brace that belongs to it, only the "${" is taken: what follows may hold a good one.
static struct span next_reference(struct span *text, struct span *ret_before, struct span *ret_name)
{
    ptrdiff_t at = span_find(*text, SPAN_LITERAL("${"));
    *ret_before = span_make(text->data, at < 0 ? text->len : (size_t)at);
    *text = span_skip(*text, ret_before->len);
    if (at < 0)
        return SPAN_ABSENT;
    struct span inside = span_skip(*text, 2);
    size_t len = 0;
    while (len < inside.len && !memchr("}$\n", inside.data[len], 3))
        len++;
    bool closed = len < inside.len && inside.data[len] == '}';
    struct span whole = {text->data, closed ? 2 + len + 1 : 2};
    *ret_name = closed ? span_make(inside.data, len) : SPAN_ABSENT;
    if (span_starts_with(*ret_name, "env:"))
        *ret_name = span_skip(*ret_name, 4);
    *text = span_skip(*text, whole.len);
    return whole;
}

// LiteLLM's notation, which is the whole text.
static bool is_litellm(struct span text, struct span *ret_name)
{
    static const char before[] = "os.environ/";
    if (!span_starts_with(text, before))
        return false;
    *ret_name = span_skip(text, sizeof before - 1);
    return true;
}

int config_substitute(struct span text, const struct config_environment *environment,
                      struct buf *out, const struct substitute_observer *observer,
                      struct error *err)
{
    const struct run run = {environment, observer, out};
    struct span before, name;
    if (is_litellm(text, &name)) {
        replace(&run, text, name);
        text.len = 0;
    }
    while (text.len && !buf_is_full(out)) {
        struct span whole = next_reference(&text, &before, &name);
        buf_append_span(out, before);
        if (whole.len)
            replace(&run, whole, name);
    }
    if (buf_is_full(out))
        return error_set(err, -E2BIG, "the value is longer than %zu bytes", out->max);
    return 0;
}

bool config_unset_variable(const char *text, char *ret_name)
{
    struct span rest = span_of(text), before, name = SPAN_ABSENT;
    if (!is_litellm(rest, &name))
        while (!is_name(name) && next_reference(&rest, &before, &name).len)
            continue;
    if (!is_name(name))
        return false;
    memcpy(ret_name, name.data, name.len);
    ret_name[name.len] = '\0';
    return true;
}
