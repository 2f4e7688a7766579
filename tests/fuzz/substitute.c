#include "config/substitute.h"

#include <errno.h>
#include <stdlib.h>

/*
 * The first line of the input is the value of the variable V, which may hold anything; the rest is
 * the text. What must hold:
 * - the result is within its bound, and never cut: it fits or there is an error;
 * - text in which nothing was replaced comes out as it went in;
 * - replacing a variable by a text without references gives the same once and twice.
 */

enum { FUZZ_OUT_MAX = 4096, FUZZ_VALUE_MAX = 256 }; // bytes

static const char *get(void *context, const char *name)
{
    return strcmp(name, "V") == 0 ? context : NULL;
}

static void count(void *context, enum substitute_event event, const char *name)
{
    size_t *replaced = context;
    if (strlen(name) > SUBSTITUTE_NAME_MAX)
        abort();
    *replaced += event == SUBSTITUTE_SET;
}

static void check(struct span text, const char *value)
{
    const struct config_environment environment = {get, (void *)value};
    size_t replaced = 0;
    const struct substitute_observer observer = {count, &replaced};
    struct error err = ERROR_INIT;
    BUF_AUTO out = BUF_INIT(FUZZ_OUT_MAX);
    BUF_AUTO again = BUF_INIT(FUZZ_OUT_MAX);

    int r = config_substitute(text, &environment, &out, &observer, &err);
    if (out.len > FUZZ_OUT_MAX || (r != 0 && (r != -E2BIG || !err.text[0])))
        abort();
    if (r == 0 && replaced == 0 && !span_equal(text, buf_span(&out)))
        abort();
    // A value of letters only cannot complete a reference together with what surrounds it.
    if (r != 0 || replaced == 0 || strspn(value, "abc") < strlen(value))
        return;
    if (config_substitute(buf_span(&out), &environment, &again, NULL, &err) != 0 ||
        !span_equal(buf_span(&out), buf_span(&again)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make(data, size);
    struct span value = span_cut(&text, '\n');
    char copy[FUZZ_VALUE_MAX + 1];
    size_t len = value.len < FUZZ_VALUE_MAX ? value.len : FUZZ_VALUE_MAX;
    if (len)
        memcpy(copy, value.data, len);
    copy[len] = '\0';
    check(text, copy);
    return 0;
}
