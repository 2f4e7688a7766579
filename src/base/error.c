#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    err->code = code;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    return code;
}

// A clause for the sentence's end.
static void append(struct error *err, const char *clause)
{
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", clause);
}

int error_errno(struct error *err, int errno_value, const char *fmt, ...)
{
    if (!err)
        return -errno_value;
    err->code = -errno_value;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    append(err, strerror(errno_value));
    return -errno_value;
}

int error_wrap(struct error *err, const char *fmt, ...)
{
    if (!err)
        return -1;
    struct error inner = *err;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    append(err, inner.text);
    return err->code;
}
