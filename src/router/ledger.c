#include "router/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/money.h"
#include "router/ledger_internal.h"
#include "store/journal.h"

/*
 * What a call owes is written down before anybody else hears of it. A reservation under a cap goes
 * out to the disk before the call goes out to the provider; so whatever happens in between, the
 * next start finds either no reservation and no call, or a reservation to charge.
 *
 * A disk that takes nothing stops calls under a cap, since they could not be kept under it across a
 * crash. It does not stop what is under way: such rows wait in memory, and if the process ends, the
 * reservation on the disk still stands for them, which is more than they cost.
 *
 * No row is forgotten, so a call begins only where there is room for its rows: not while the
 * journal is long, because the database is slower than the calls, nor while much waits in memory.
 * The room above these limits is for the rows of the calls that are under way then.
 */

enum {
    JOURNAL_LONG = 48 << 20, // bytes of all its files
    JOURNAL_MOST = 64 << 20,
    BACKLOG_LONG = 1 << 20, // bytes
    BACKLOG_MAX = 64 << 20, // bytes; five of the longest rows of each of a thousand calls
    DAY_MS = 24 * 60 * 60 * 1000,
};

static const char full[] =
    "the disk does not keep up with the calls: their rows are being stored, and no call is "
    "accepted until that is done; try again in a second";

static int64_t journal_bytes(const struct router_ledger *ledger)
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

void ledger_note(struct router_ledger *ledger, enum router_ledger_note kind, const char *sentence)
{
    if (ledger->options.on_note)
        ledger->options.on_note(ledger->options.context, kind, sentence);
}

static void tell_trouble(struct router_ledger *ledger)
{
    const char *sentence = standing_trouble(ledger);
    if (strcmp(ledger->told.text, sentence) == 0)
        return;
    bool was_full = strcmp(ledger->told.text, full) == 0;
    error_set(&ledger->told, 0, "%s", sentence);
    if (*sentence)
        ledger_note(ledger, LEDGER_TROUBLE, sentence);
    else
        ledger_note(ledger, LEDGER_RELIEF,
                    was_full ? "it has room again; calls are accepted"
                             : "it is being written again");
}

void ledger_set_trouble(struct router_ledger *ledger, const char *sentence)
{
    error_set(&ledger->trouble, 0, "%s", sentence);
    tell_trouble(ledger);
}

int router_ledger_create(const struct router_ledger_options *options,
                         struct router_ledger **ret_ledger, struct error *err)
{
    struct router_ledger *ledger = mem_new(struct router_ledger);
    int r = journal_open(options->home, &ledger->journal, err);
    if (r < 0) {
        free(ledger);
        return error_wrap(err, "the ledger");
    }
    ledger->options = *options;
    ledger->options.home = mem_strdup(options->home);
    ledger->options.days = options->days > 0 ? options->days : LEDGER_DAYS;
    ledger->options.rows_max = options->rows_max > 0 ? options->rows_max : LEDGER_ROWS;
    buf_init(&ledger->record, LEDGER_RECORD_MAX);
    buf_init(&ledger->backlog, (size_t)2 * BACKLOG_MAX); // half of it may be taken already
    list_init(&ledger->waiting);
    list_init(&ledger->corrections);
    ledger_start(ledger);
    *ret_ledger = ledger;
    return 0;
}

static struct span waiting_at(const struct router_ledger *ledger, size_t at)
{
    uint32_t len;
    memcpy(&len, ledger->backlog.data + at, sizeof len);
    return span_make(ledger->backlog.data + at + sizeof len, len);
}

// Nobody can do anything for what still waits in memory, but the owner should know what is missing.
static void tell_unkept(struct router_ledger *ledger)
{
    struct store_charge charges[LEDGER_CHARGES_MAX];
    struct error note = ERROR_INIT;
    char money[MONEY_TEXT_SIZE];
    int64_t rows = 0, cost_pico = 0;
    for (size_t at = ledger->backlog_at; at < ledger->backlog.len;) {
        struct span record = waiting_at(ledger, at);
        struct store_attempt row;
        enum ledger_record kind;
        at += sizeof(uint32_t) + record.len;
        if (!store_ledger_decode(record, charges, &kind, &row) || kind != LEDGER_ROW)
            continue;
        cost_pico = money_add(cost_pico, row.cost_pico > 0 ? row.cost_pico : 0);
        rows++;
    }
    error_set(&note, 0,
              "the rows of %lld calls (%s) are lost with this stop, because the disk did not take "
              "them. Of those under a budget the next start charges the bound. Next time free some "
              "space and wait until the ledger is written again",
              (long long)rows, money_format(cost_pico, money));
    if (rows)
        ledger_note(ledger, LEDGER_TROUBLE, note.text);
}

void router_ledger_destroy(struct router_ledger *ledger)
{
    if (!ledger)
        return;
    if (ledger_flush_backlog(ledger) < 0)
        tell_unkept(ledger);
    ledger_stop(ledger);
    ledger_stop_syncing(ledger);
    journal_close(ledger->journal);
    buf_finish(&ledger->record);
    buf_finish(&ledger->backlog);
    free((char *)(uintptr_t)ledger->options.home);
    free(ledger);
}

int64_t router_ledger_written(const struct router_ledger *ledger)
{
    return ledger->written;
}

int64_t router_ledger_kept(const struct router_ledger *ledger)
{
    return ledger->kept;
}

bool router_ledger_is_ready(const struct router_ledger *ledger)
{
    return ledger->phase == LEDGER_READY;
}

bool router_ledger_is_starting(const struct router_ledger *ledger)
{
    return ledger->phase != LEDGER_READY && !ledger->trouble.text[0];
}

const char *router_ledger_trouble(const struct router_ledger *ledger)
{
    const char *trouble = standing_trouble(ledger);
    if (trouble[0] || ledger->phase == LEDGER_READY)
        return trouble;
    return "the spending before this start is still being added up; try again in a moment";
}

// Half of it has to go before calls are let in again: else each would be the one too many.
void router_ledger_judge_room(struct router_ledger *ledger)
{
    int parts = ledger->is_full ? 2 : 1;
    ledger->is_full = journal_bytes(ledger) > JOURNAL_LONG / parts ||
                      backlog_bytes(ledger) > (size_t)(BACKLOG_LONG / parts);
    tell_trouble(ledger);
}

bool router_ledger_is_full(const struct router_ledger *ledger)
{
    return ledger->is_full;
}

static int put(struct router_ledger *ledger, struct span record, struct error *err)
{
    int r =
        ledger_rotate(ledger, err); // before, or a reservation would be synced in the wrong file
    if (r < 0)
        return r;
    if (journal_bytes(ledger) + (int64_t)record.len > JOURNAL_MOST)
        return error_set(err, -EFBIG,
                         "the ledger's journal has grown to %d MiB, because the database does not "
                         "read it",
                         JOURNAL_MOST >> 20);
    return journal_append(ledger->journal, record, err);
}

static int append(struct router_ledger *ledger, struct span record, struct error *err)
{
    int r = put(ledger, record, err);
    if (r == 0)
        ledger_note_record(ledger);
    return r;
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
        struct span record = waiting_at(ledger, ledger->backlog_at);
        r = put(ledger, record, &err);
        if (r == 0) {
            ledger->backlog_at += sizeof(uint32_t) + record.len;
            ledger->figures.waiting_rows--;
            ledger->unfolded++;
        }
    }
    drop_taken(ledger);
    if (r < 0)
        ledger_set_trouble(ledger, err.text);
    return r;
}

// Not each of them: they come as fast as calls end.
static void tell_lost(struct router_ledger *ledger)
{
    struct error note = ERROR_INIT;
    int64_t rows = ++ledger->figures.lost_rows;
    error_set(
        &note, 0,
        "rows of calls are lost (%lld since the start): the disk takes nothing, and %d MiB of "
        "rows wait in memory already. Free some space",
        (long long)rows, BACKLOG_MAX >> 20);
    if ((rows & (rows - 1)) == 0)
        ledger_note(ledger, LEDGER_TROUBLE, note.text);
}

static void put_off(struct router_ledger *ledger, struct span record)
{
    uint32_t len = (uint32_t)record.len;
    if (backlog_bytes(ledger) + sizeof len + len > BACKLOG_MAX) {
        tell_lost(ledger);
        return;
    }
    buf_append(&ledger->backlog, &len, sizeof len);
    buf_append_span(&ledger->backlog, record);
    ledger->figures.waiting_rows++;
}

// What must not be lost: into the journal, or behind what already waits for it.
static int write_down(struct router_ledger *ledger, struct error *err)
{
    struct error local = ERROR_INIT;
    err = err ? err : &local;
    ledger->written++;
    int r = ledger_flush_backlog(ledger);
    if (r == 0)
        r = append(ledger, buf_span(&ledger->record), err);
    else
        error_set(err, r, "%s", ledger->trouble.text);
    if (r < 0) {
        put_off(ledger, buf_span(&ledger->record));
        ledger_set_trouble(ledger, err->text);
        ledger_note_record(ledger); // so that it is tried again
    }
    return r;
}

int64_t ledger_day(const struct router_ledger *ledger, int64_t wall_ms)
{
    const struct router_ledger_options *options = &ledger->options;
    int64_t offset_ms = options->offset_ms ? options->offset_ms(options->context, wall_ms) : 0;
    int64_t local_ms = wall_ms + offset_ms;
    return local_ms > 0 ? local_ms / DAY_MS : 0;
}

static struct store_attempt dated(const struct router_ledger *ledger,
                                  const struct store_attempt *attempt)
{
    struct store_attempt dated = *attempt;
    if (dated.day == 0)
        dated.day = ledger_day(ledger, dated.wall_ms);
    return dated;
}

int64_t router_ledger_reserve(struct router_ledger *ledger, const struct store_attempt *call,
                              router_ledger_fn *done, void *context, struct error *err)
{
    struct store_attempt kept = dated(ledger, call);
    int r = 0;
    if (done && (ledger->trouble.text[0] || ledger->phase != LEDGER_READY))
        return error_set(err, -EAGAIN, "nothing can be spent under a budget now: %.400s",
                         router_ledger_trouble(ledger));
    buf_clear(&ledger->record);
    if (!store_ledger_encode_reservation(&kept, &ledger->record))
        return error_set(err, -E2BIG, "the reservation is too large to be written down");
    struct error local = ERROR_INIT;
    err = err ? err : &local;
    r = append(ledger, buf_span(&ledger->record), err);
    if (r < 0) {
        ledger_set_trouble(ledger, err->text);
        ledger_note_record(ledger);
        return r;
    }
    ledger->figures.reservations++;
    return done ? ledger_wait(ledger, done, context) : 0;
}

int router_ledger_settle(struct router_ledger *ledger, const struct store_attempt *row,
                         struct error *err)
{
    struct store_attempt kept = dated(ledger, row);
    buf_clear(&ledger->record);
    if (!store_ledger_encode_row(&kept, &ledger->record))
        return error_set(err, -E2BIG, "the row is too large to be written down");
    ledger->figures.rows++;
    return write_down(ledger, err);
}

int router_ledger_release(struct router_ledger *ledger, struct span call, struct error *err)
{
    buf_clear(&ledger->record);
    if (!store_ledger_encode_release(call, &ledger->record))
        return error_set(err, -E2BIG, "the call's id is too long");
    return write_down(ledger, err);
}

void router_ledger_figures(const struct router_ledger *ledger,
                           struct router_ledger_figures *ret_figures)
{
    *ret_figures = ledger->figures;
    ret_figures->journal_bytes = journal_bytes(ledger);
}
