/*
 * The journal of the ledger, and what waits in memory until the disk takes it.
 *
 * No row is forgotten, so a call begins only where there is room for its rows: not while the
 * journal is long, because the database is slower than the calls, nor while much waits in memory.
 * The room above these limits is for the rows of the calls that are under way then.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "router/money/ledger_internal.h"
#include "store/journal.h"

enum {
    JOURNAL_LONG = 48 << 20, // bytes of all its files
    JOURNAL_MOST = 64 << 20,
    BACKLOG_LONG = 1 << 20, // bytes
    ROTATE_BYTES = 4 << 20,
    OLD_FILES_MAX = 4, // while so many wait, the newest one is not left
    DAY_MS = 24 * 60 * 60 * 1000,
};

static const char full[] =
    "the disk does not keep up with the calls: their rows are being stored, and no call is "
    "accepted until that is done; try again in a second";

int64_t ledger_journal_bytes(const struct router_ledger *ledger)
{
    return ledger->old_bytes + journal_end(ledger->journal);
}

static size_t backlog_bytes(const struct router_ledger *ledger)
{
    return ledger->backlog.len - ledger->backlog_at;
}

bool ledger_has_backlog(const struct router_ledger *ledger)
{
    return backlog_bytes(ledger) > 0;
}

// Why the disk takes nothing, or else why no call may begin; "" when there is neither.
static const char *standing_trouble(const struct router_ledger *ledger)
{
    return ledger->trouble.text[0] || !ledger->is_full ? ledger->trouble.text : full;
}

void ledger_report(struct router_ledger *ledger, enum router_ledger_event kind, const char *fmt,
                   ...)
{
    char sentence[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    ledger->options.on_event(ledger->options.context, kind, sentence);
}

static void tell_trouble(struct router_ledger *ledger)
{
    const char *sentence = standing_trouble(ledger);
    if (strcmp(ledger->told.text, sentence) == 0)
        return;
    bool was_full = strcmp(ledger->told.text, full) == 0;
    error_set(&ledger->told, 0, "%s", sentence);
    if (*sentence)
        ledger_report(ledger, LEDGER_TROUBLE, "%s", sentence);
    else
        ledger_report(ledger, LEDGER_RELIEF, "%s",
                      was_full ? "it has room again; calls are accepted"
                               : "it is being written again");
}

void ledger_set_trouble(struct router_ledger *ledger, const char *sentence)
{
    error_set(&ledger->trouble, 0, "%s", sentence);
    tell_trouble(ledger);
}

const char *router_ledger_trouble(const struct router_ledger *ledger)
{
    const char *trouble = standing_trouble(ledger);
    if (trouble[0] || ledger->phase == LEDGER_READY)
        return trouble;
    return "the spending before this start is still being added up; try again in a moment";
}

// Half of it has to go before calls are let in again: else each would be the one too many.
bool router_ledger_is_full(struct router_ledger *ledger)
{
    int parts = ledger->is_full ? 2 : 1;
    ledger->is_full = ledger_journal_bytes(ledger) > JOURNAL_LONG / parts ||
                      backlog_bytes(ledger) > (size_t)(BACKLOG_LONG / parts);
    tell_trouble(ledger);
    return ledger->is_full;
}

int ledger_put(struct router_ledger *ledger, struct span record, struct error *err)
{
    int r =
        ledger_rotate(ledger, err); // before, or a reservation would be synced in the wrong file
    if (r < 0)
        return r;
    if (ledger_journal_bytes(ledger) + (int64_t)record.len > JOURNAL_MOST)
        return error_set(err, -EFBIG,
                         "the ledger's journal has grown to %d MiB, because the database does not "
                         "read it",
                         JOURNAL_MOST >> 20);
    return journal_append(ledger->journal, record, err);
}

void ledger_measure_old(struct router_ledger *ledger)
{
    size_t count;
    const uint64_t *generations = journal_generations(ledger->journal, &count);
    ledger->old_bytes = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        int64_t size = journal_size(ledger->options.home, generations[i]);
        ledger->old_bytes += size > 0 ? size : 0;
    }
}

static bool may_be_left(const struct router_ledger *ledger)
{
    size_t count;
    journal_generations(ledger->journal, &count);
    return ledger->phase == LEDGER_READY && journal_end(ledger->journal) >= ROTATE_BYTES &&
           count <= OLD_FILES_MAX && list_empty(&ledger->waiting);
}

// Not before the old files were done with, among which the one that is left would be counted; and
// not while somebody waits for bytes in it to be synced.
int ledger_rotate(struct router_ledger *ledger, struct error *err)
{
    int r = 0;
    if (!ledger->is_spoilt && !may_be_left(ledger))
        return 0;
    if (!list_empty(&ledger->waiting))
        return error_set(err, -EAGAIN,
                         "records of the ledger's journal are lost, and a new file of it is about "
                         "to be begun; try again in a moment");
    r = journal_rotate(ledger->journal, err);
    if (r < 0)
        return ledger->is_spoilt ? r : 0;
    ledger->is_spoilt = false;
    ledger->applied_end = 0;
    ledger_measure_old(ledger);
    return 0;
}

struct span ledger_waiting_at(const struct router_ledger *ledger, size_t at)
{
    uint32_t len;
    memcpy(&len, ledger->backlog.data + at, sizeof len);
    return span_make(ledger->backlog.data + at + sizeof len, len);
}

// Records that were taken leave the backlog when they are the larger part: moving the rest for each
// one would cost more than all else.
static void drop_taken(struct router_ledger *ledger)
{
    if (!ledger_has_backlog(ledger))
        buf_finish(&ledger->backlog);
    else if (ledger->backlog_at > ledger->backlog.len / 2)
        buf_consume(&ledger->backlog, ledger->backlog_at);
    else
        return;
    ledger->backlog_at = 0;
}

// The oldest first.
int ledger_flush_backlog(struct router_ledger *ledger)
{
    struct error err = ERROR_INIT;
    int r = 0;
    while (r == 0 && ledger_has_backlog(ledger)) {
        struct span record = ledger_waiting_at(ledger, ledger->backlog_at);
        r = ledger_put(ledger, record, &err);
        if (r == 0) {
            ledger->backlog_at += sizeof(uint32_t) + record.len;
            ledger->waiting_rows--;
            ledger->unapplied++;
        }
    }
    drop_taken(ledger);
    if (r < 0)
        ledger_set_trouble(ledger, err.text);
    return r;
}

void ledger_put_off(struct router_ledger *ledger, struct span record)
{
    uint32_t len = (uint32_t)record.len;
    if (backlog_bytes(ledger) + sizeof len + len <= LEDGER_BACKLOG_MAX) {
        buf_append(&ledger->backlog, &len, sizeof len);
        buf_append_span(&ledger->backlog, record);
        ledger->waiting_rows++;
        return;
    }
    int64_t lost = ++ledger->lost_rows;
    if ((lost & (lost - 1)) == 0) // not each of them is told: they come as fast as calls end
        ledger_report(ledger, LEDGER_TROUBLE,
                      "rows of calls are lost (%lld since the start): the disk takes nothing, and "
                      "%d MiB of rows wait in memory already. Free some space",
                      (long long)lost, LEDGER_BACKLOG_MAX >> 20);
}

int64_t ledger_day(const struct router_ledger *ledger, int64_t wall_ms)
{
    int64_t local_ms = wall_ms + ledger->options.offset_ms(ledger->options.context, wall_ms);
    return local_ms > 0 ? local_ms / DAY_MS : 0;
}
