#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

struct clock;

/*
 * Pairing: a stranger's first message is answered with a code, and whoever can run commands on the
 * machine approves it. The files are hermes-agent's (pairing/<platform>-pending.json,
 * <platform>-approved.json, _rate_limits.json in the home, mode 0600), and so are the limits.
 */
enum {
    PAIRING_CODE_LENGTH = 8,
    PAIRING_CODE_TTL_MS = 3600 * 1000,
    PAIRING_PENDING_MAX = 3,               // codes of one platform at a time
    PAIRING_REQUEST_PAUSE_MS = 600 * 1000, // between two requests of one user
    PAIRING_FAILURES_MAX = 5,              // wrong codes, then ...
    PAIRING_LOCKOUT_MS = 3600 * 1000,
};

struct pairing {
    const char *home;     // borrowed
    const char *platform; // "telegram"; borrowed
    const struct clock *clock;
};

// False also where that cannot be known; then `err` says why.
bool pairing_is_approved(const struct pairing *pairing, struct span user, struct error *err);

// Calls `fn` for the id of each user who is approved. Files that cannot be read have none.
void pairing_each_approved(const struct pairing *pairing,
                           void (*fn)(void *context, struct span user), void *context);

// A code for this user: 0 and the code; positive when none is given now (too many are pending, the
// user asked less than 10 minutes ago, or lockout); negative when a file could not be written.
int pairing_request(const struct pairing *pairing, struct span user, struct span name,
                    char ret_code[PAIRING_CODE_LENGTH + 1], struct error *err);

// The user behind a code is approved from now on. -ENOENT: no such code (counted); -EBUSY: lockout.
int pairing_approve(const struct pairing *pairing, struct span code, struct buf *ret_user,
                    struct error *err);
int pairing_revoke(const struct pairing *pairing, struct span user, struct error *err); // -ENOENT
int pairing_clear_pending(const struct pairing *pairing, struct error *err);

// A table for a person, or the same as JSON.
int pairing_list(const struct pairing *pairing, bool json, struct buf *out, struct error *err);
