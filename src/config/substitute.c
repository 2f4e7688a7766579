#include "config/substitute.h"

#include <errno.h>
#include <string.h>

#include "config/option.h"

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

static void report(const struct run *run, enum substitute_event event, struct span name)
{
    char text[SUBSTITUTE_NAME_MAX + 1];
    size_t len = name.len < SUBSTITUTE_NAME_MAX ? name.len : SUBSTITUTE_NAME_MAX;
    memcpy(text, name.data, len);
    text[len] = '\0';
    if (run->observer)
        run->observer->seen(run->observer->context, event, text);
}

// Appends what the reference `whole` stands for; `name` is the part of it that names the variable.
static void replace(const struct run *run, struct span whole, struct span name)
{
    char text[SUBSTITUTE_NAME_MAX + 1];
    const char *value = NULL;
    enum substitute_event event = SUBSTITUTE_MALFORMED;
    if (is_name(name)) {
        memcpy(text, name.data, name.len);
        text[name.len] = '\0';
        value = config_environment_get(run->environment, text);
        event = value ? SUBSTITUTE_SET : SUBSTITUTE_UNSET;
    }
    report(run, event, event == SUBSTITUTE_MALFORMED ? whole : name);
    buf_append_span(run->out, value ? span_of(value) : whole);
}

// The reference at the start of `text` ("${..."), which is consumed. Without a closing brace that
// belongs to it, only the "${" is taken: what follows may hold a good reference.
static struct span take_reference(struct span *text, struct span *ret_name)
{
    struct span inside = span_skip(*text, 2);
    size_t len = 0;
    while (len < inside.len && inside.data[len] != '}' && inside.data[len] != '$' &&
           inside.data[len] != '\n')
        len++;
    bool closed = len < inside.len && inside.data[len] == '}';
    struct span whole = {text->data, closed ? 2 + len + 1 : 2};
    *ret_name = closed ? span_make(inside.data, len) : SPAN_ABSENT;
    if (span_starts_with(*ret_name, "env:"))
        *ret_name = span_skip(*ret_name, 4);
    *text = span_skip(*text, whole.len);
    return whole;
}

int config_substitute(struct span text, const struct config_environment *environment,
                      struct buf *out, const struct substitute_observer *observer,
                      struct error *err)
{
    static const char litellm[] = "os.environ/";
    struct run run = {environment, observer, out};

    if (span_starts_with(text, litellm)) {
        replace(&run, text, span_skip(text, sizeof litellm - 1));
        text.len = 0;
    }
    while (text.len && !buf_is_full(out)) {
        ptrdiff_t at = span_find(text, SPAN_LITERAL("${"));
        size_t plain = at < 0 ? text.len : (size_t)at;
        buf_append(out, text.data, plain);
        text = span_skip(text, plain);
        if (text.len) {
            struct span name;
            struct span whole = take_reference(&text, &name);
            replace(&run, whole, name);
        }
    }
    if (buf_is_full(out))
        return error_set(err, -E2BIG, "the value is longer than %zu bytes", out->max);
    return 0;
}

struct first_unset {
    char *name;
    bool found;
};

static void hear_first_unset(void *context, enum substitute_event event, const char *name)
{
    struct first_unset *first = context;
    if (event != SUBSTITUTE_UNSET || first->found)
        return;
    memcpy(first->name, name, strlen(name) + 1);
    first->found = true;
}

static const char *nothing_is_set(void *context, const char *name)
{
    (void)context, (void)name;
    return NULL;
}

bool config_unset_variable(const char *text, char *ret_name)
{
    const struct config_environment empty = {nothing_is_set, NULL};
    struct first_unset first = {ret_name, false};
    const struct substitute_observer observer = {hear_first_unset, &first};
    BUF_AUTO ignored = BUF_INIT(OPTION_VALUE_MAX);
    config_substitute(span_of(text), &empty, &ignored, &observer, NULL);
    return first.found;
}
