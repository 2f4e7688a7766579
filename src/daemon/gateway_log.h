#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "config/option.h"
#include "loop/loop.h"

/*
 * The gateway log: every event and line that is logged, as JSON lines in <home>/logs/gateway.log,
 * without secrets, rotated by size. It answers afterwards what a piece of work was about.
 */
struct gateway_log_config {
    const char *level;     // debug, info, warning, error
    int64_t max_bytes;     // of a file; 0: max_megabytes counts
    int64_t max_megabytes; // hermes-agent's spelling of the same
    int64_t keep;          // rotated files beside the current one
    bool echo;             // tell events on standard error as well
};

extern const struct option gateway_log_options[];
extern const size_t gateway_log_option_count;

enum {
    GATEWAY_LOG_LINE_MAX = 16 * 1024, // bytes of a line; longer values are cut and "cut" says so
    GATEWAY_LOG_KEEP_MAX = 99,
};

struct gateway_log;

/*
 * Sets the level, the sink and the filter of base/log.h until it is closed. `secrets` are copied;
 * `clock` and what `config` says are used as long as the log is open. With a `loop` (else NULL)
 * what happens often may be written a moment later, with others. That the file cannot be
 * written is no failure: a warning says so, lines are counted as lost, and it is tried again.
 */
int gateway_log_open(const struct gateway_log_config *config, const char *home,
                     const char *const *secrets, size_t secret_count, const struct clock *clock,
                     struct loop *loop, struct gateway_log **ret_log, struct error *err);
void gateway_log_settle(struct gateway_log *log); // before its loop goes: nothing waits any more
void gateway_log_close(struct gateway_log *log);  // both accept NULL

// "<home>/logs/gateway.log", or with a number its rotated sibling; on the heap.
char *gateway_log_path(const char *home, unsigned number);
