#pragma once

#include "store/approval.h"
#include "store/store_internal.h"

// Private to store/: what other transactions do with questions. -EALREADY: one was answered before,
// or has expired; the turn does not wait any more.
int store_approval_insert(sqlite3 *db, int64_t turn, int iteration, const struct store_approval *a,
                          struct error *err);
int store_approval_answer(sqlite3 *db, const struct store_answer *answer, int64_t now_ms,
                          struct error *err);
int store_approvals_end(sqlite3 *db, int64_t turn, int64_t now_ms, struct error *err);
int store_turn_cancel(sqlite3 *db, const struct store_cancellation *c, int64_t now_ms,
                      struct error *err);
