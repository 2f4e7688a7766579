#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

// Dates of HTTP, in the one form that is still sent (RFC 9110 section 5.6.7):
// "Sun, 06 Nov 1994 08:49:37 GMT".
enum { HTTP_DATE_SIZE = sizeof "Sun, 06 Nov 1994 08:49:37 GMT" };

// Of POSIX seconds, into HTTP_DATE_SIZE bytes; returns it.
const char *http_date_format(int64_t utc_s, char *text);

bool http_date_parse(struct span text, int64_t *ret_utc_s);
