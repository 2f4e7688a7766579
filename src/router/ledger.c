#include "router/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
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
 */

enum {
    BACKLOG_MAX = 1 << 20, // bytes
    DAY_MS = 24 * 60 * 60 * 1000,
};

void ledger_set_trouble(struct router_ledger *ledger, const char *sentence)
{
    const struct router_ledger_options *options = &ledger->options;
    if (strcmp(ledger->trouble.text, sentence) == 0)
        return;
    error_set(&ledger->trouble, 0, "%s", sentence);
    if (options->on_note)
        options->on_note(options->context, ledger->trouble.text, ledger->trouble.text[0] != '\0');
}

void ledger_note(struct router_ledger *ledger, const char *sentence)
{
    if (ledger->options.on_note)
        ledger->options.on_note(ledger->options.context, sentence, false);
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
    buf_init(&ledger->backlog, BACKLOG_MAX);
    list_init(&ledger->waiting);
    list_init(&ledger->corrections);
    ledger_start(ledger);
    *ret_ledger = ledger;
    return 0;
}

void router_ledger_destroy(struct router_ledger *ledger)
{
    if (!ledger)
        return;
    ledger_flush_backlog(ledger);
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

const char *router_ledger_trouble(const struct router_ledger *ledger)
{
    if (ledger->trouble.text[0])
        return ledger->trouble.text;
    return ledger->phase == LEDGER_READY ? ""
                                         : "the spending before this start is still being added "
                                           "up; try again in a moment";
}

static int append(struct router_ledger *ledger, struct span record, struct error *err)
{
    ledger_rotate(ledger); // before, or a reservation would be synced in the wrong file
    int r = journal_append(ledger->journal, record, err);
    if (r == 0)
        ledger_note_record(ledger);
    return r;
}

// The oldest first; what was taken is dropped, also when it ends early.
int ledger_flush_backlog(struct router_ledger *ledger)
{
    struct error err = ERROR_INIT;
    size_t at = 0;
    int r = 0;
    while (r == 0 && at < ledger->backlog.len) {
        uint32_t len;
        memcpy(&len, ledger->backlog.data + at, sizeof len);
        r = journal_append(ledger->journal, span_make(ledger->backlog.data + at + sizeof len, len),
                           &err);
        if (r == 0) {
            at += sizeof len + len;
            ledger->figures.waiting_rows--;
            ledger->unfolded++;
        }
    }
    buf_consume(&ledger->backlog, at);
    if (r < 0)
        ledger_set_trouble(ledger, err.text);
    else if (ledger->backlog.len == 0 && ledger->backlog.data)
        buf_finish(&ledger->backlog);
    return r;
}

static void put_off(struct router_ledger *ledger, struct span record)
{
    uint32_t len = (uint32_t)record.len;
    if (ledger->backlog.len + sizeof len + len > BACKLOG_MAX) {
        ledger->figures.lost_rows++;
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
    int r = ledger->backlog.len ? ledger_flush_backlog(ledger) : 0;
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
    const char *trouble = done ? router_ledger_trouble(ledger) : "";
    int r = 0;
    if (trouble[0])
        return error_set(err, -EAGAIN, "nothing can be spent under a budget now: %.400s", trouble);
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

bool router_ledger_flush(struct router_ledger *ledger)
{
    return ledger_flush_backlog(ledger) == 0 && ledger_fold_now(ledger);
}

void router_ledger_figures(const struct router_ledger *ledger,
                           struct router_ledger_figures *ret_figures)
{
    *ret_figures = ledger->figures;
    ret_figures->journal_bytes = journal_end(ledger->journal);
}
