#pragma once

#include <stddef.h>

/*
 * Failure, and how it travels.
 *
 * A function that can fail returns int: 0 is success, negative is an unexpected failure (a negated
 * errno value) that callers hand on, positive is an outcome which that function documents and its
 * direct caller must handle. The last parameter is a caller-owned struct error (or NULL); the
 * sentence in it is written once, where the failure is understood, and each level may put one
 * clause before it with error_wrap(). Reporting an error never allocates.
 */

enum { ERROR_TEXT_MAX = 512 }; // bytes, with the terminating NUL; longer sentences are cut

struct error {
    int code; // what the failing function returned
    char text[ERROR_TEXT_MAX];
};

#define ERROR_INIT \
    {              \
        0, ""      \
    }

// Writes the sentence and returns `code`, so that failing is one line: return error_set(err, ...).
int error_set(struct error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// The same for a failed system call: appends ": " and errno_value's text; returns -errno_value.
int error_errno(struct error *err, int errno_value, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// Puts "<clause>: " before the sentence; returns the code already in `err`.
int error_wrap(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
