#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "store/store.h"

/*
 * An append-only file of records in the home, for what must survive the end of this process at any
 * moment and cannot wait for a transaction. The kernel has a record when journal_append() returns;
 * a power cut may take what was not synced. <home>/ledger.journal.<generation in hex>, 0600; the
 * essay is in journal.c, and one on journals that somebody overwrote in journal_loss.c.
 *
 * All functions belong to the loop's thread, except where it is said.
 */
struct journal;

enum {
    JOURNAL_RECORD_MAX = 64 << 10, // bytes of one record
    JOURNAL_BYTES_MAX = 64 << 20,  // bytes of the file that is written to
    JOURNAL_FILES_MAX = 4096,      // generations that are left over
};

#define JOURNAL_NAME "ledger.journal"

// Starts a new generation. On success *ret_journal is the caller's to journal_close().
int journal_open(const char *home, struct journal **ret_journal, struct error *err);
void journal_close(struct journal *journal); // accepts NULL

/*
 * Appends one record, all or nothing. -ENOSPC and other failures of the disk leave the file as it
 * was. -EFBIG: the file is full, because nothing took it up; -E2BIG: the record is too long.
 */
int journal_append(struct journal *journal, struct span record, struct error *err);

// Where the next record goes: bytes of the file.
int64_t journal_end(const struct journal *journal);

// The generations on the disk, oldest first; the last is the one that is written to. Valid until
// the journal is changed.
const uint64_t *journal_generations(const struct journal *journal, size_t *ret_count);

// The same of a home that nobody writes to, on the heap.
int journal_list(const char *home, uint64_t **ret_generations, size_t *ret_count,
                 struct error *err);

// Goes on in a new generation. On failure the old one stays.
int journal_rotate(struct journal *journal, struct error *err);

// The oldest `count` generations were removed by somebody. The one that is written to stays.
void journal_forget(struct journal *journal, size_t count);

// fdatasync() on the store's thread, of all that was appended so far. As any job of the store; it
// is done, or forgotten, before the journal is closed.
int64_t journal_sync(struct store *store, struct journal *journal, store_done_fn *done,
                     void *context, struct error *err);

/*
 * A part of a journal's file, on any thread. `bytes` begin at `offset` of the generation's file;
 * `is_last`: nothing follows them.
 */
struct journal_part {
    struct span bytes;
    uint64_t generation;
    int64_t offset;
    bool is_last;
};

enum journal_outcome {
    JOURNAL_RECORD,  // *ret_bytes is a record
    JOURNAL_GARBAGE, // *ret_bytes are none, and records follow
    JOURNAL_TORN,    // *ret_bytes are none, and nothing follows
    JOURNAL_END,     // nothing is left of the part
    JOURNAL_MORE,    // what is left of the part cannot be judged without what follows it
};

// Takes the next piece off the part: its `bytes` and `offset` move on.
enum journal_outcome journal_next(struct journal_part *part, struct span *ret_bytes);

/*
 * Reads a generation from `offset` to `limit` (-1: to its end), at most `max` bytes, which is more
 * than JOURNAL_RECORD_MAX and a little. *ret_part points into `bytes`. STORE_NOT_FOUND: no file.
 * -EINVAL: what stands in its place is no file.
 */
int journal_read(const char *home, uint64_t generation, int64_t offset, int64_t limit, size_t max,
                 struct buf *bytes, struct journal_part *ret_part, struct error *err);

// -1 when there is no file.
int64_t journal_size(const char *home, uint64_t generation);
int journal_remove(const char *home, uint64_t generation, struct error *err);

/*
 * Beside a journal's file, on any thread: a mark says how far it has reached the disk. Up to there
 * it is made of records, or somebody has overwritten it. A journal of which only the mark is left
 * is listed like the others.
 */
int journal_mark(int directory, uint64_t generation); // a descriptor of it, or a negative errno
void journal_mark_end(int mark, int64_t end);         // as far as the disk lets it
// Bytes of it that have reached the disk, or more; -1: none of them, as far as is known.
int64_t journal_marked_end(const char *home, uint64_t generation);
// Has it a mark, and begins with no record, or is not there at all?
bool journal_is_lost(const char *home, uint64_t generation);
/*
 * Writes down that records of it are lost, and when. Of a loss that was known the time stays,
 * unless `is_new`: more of them are.
 */
int journal_note_loss(const char *home, uint64_t generation, int64_t wall_ms, bool is_new,
                      struct error *err);
bool journal_has_loss(const char *home, uint64_t generation); // was that written down?
// When it was last found that some are lost, ms since 1970, of all generations; -1: never. What was
// spent until then is not known.
int64_t journal_last_loss(const char *home);

// Dates those of before `before_ms` anew: they were found by a clock that was not set.
void journal_date_losses(const char *home, int64_t before_ms, int64_t wall_ms);

#define JOURNAL_MARK "ledger.synced"
#define JOURNAL_LOST "ledger.lost" // a file of that name is the owner's to remove

// Keeps bytes that are no record in <home>/ledger.journal.damaged, as long as that is not large.
int journal_set_aside(const char *home, struct span bytes, struct error *err);
