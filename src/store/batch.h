#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/list.h"
#include "store/connection.h"

struct store_job;

// Private to store/. Runs the jobs of a list in as few transactions as possible; each has its
// result afterwards, and each whose result is not a failure is committed.
void store_batch_run(struct store_connection *conn, struct list *jobs);

// Runs a job that only reads, in a transaction of its own, which the second ends. The first may be
// interrupted.
void store_batch_read(struct store_connection *conn, struct store_job *job);
void store_batch_read_end(struct store_connection *conn, struct store_job *job);

// Gives all of them the same failure.
void store_batch_fail(struct list *jobs, const struct error *err);

// Of jobs that were run: the failure of the disk that one of them has (*ret_failure stays as it is
// when none has), and whether any of them was written.
void store_batch_outcome(const struct list *jobs, const struct error **ret_failure,
                         bool *ret_wrote);
