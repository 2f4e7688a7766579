#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

enum { REPLY_CONVERT_MAX = 4 * 1024 * 1024 }; // bytes of a whole answer that is made a stream

/*
 * A whole answer (chat or text completion) as the stream that was asked for: events, the usage in
 * one of its own when `usage`, and [DONE], appended to `out`. Values keep the bytes that the
 * upstream wrote. -EBADMSG: it is no such answer; -EMSGSIZE: it does not fit; `out` is then of no
 * use.
 */
int reply_convert(struct span whole, bool usage, struct buf *out);
