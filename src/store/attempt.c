#include "store/attempt.h"

#include <string.h>

#include "store/ledger_internal.h"

/*
 * Records are bytes that this program writes and reads again, perhaps in a later version: a version
 * and a kind, the texts, the numbers, the charges. Numbers are zigzag varints, since most of them
 * are small or -1: an attempt takes 150 to 250 bytes on a card that wears out by them.
 *
 * A record of a later version may have more texts and numbers, so their counts are written; what
 * this program does not know is skipped, what an older one did not write is absent or -1.
 */

enum {
    VERSION = 2,
    VARINT_MAX = 10, // bytes
    FLAG_STREAMED = 1,
    FLAG_CANCELLED = 2,
};

#define AT(field) offsetof(struct store_attempt, field)

const size_t attempt_texts[ATTEMPT_TEXTS] = {
    AT(call),  AT(operation), AT(slot),   AT(session),    AT(job),
    AT(key),   AT(user),      AT(group),  AT(deployment), AT(provider),
    AT(model), AT(error),     AT(reason), AT(from),       AT(reply_id),
};

const size_t attempt_numbers[ATTEMPT_NUMBERS] = {
    AT(attempt),
    AT(wall_ms),
    AT(day),
    AT(duration_ms),
    AT(first_byte_ms),
    AT(status),
    AT(prompt_tokens),
    AT(completion_tokens),
    AT(cached_tokens),
    AT(cache_write_tokens),
    AT(reasoning_tokens),
    AT(bytes_in),
    AT(bytes_out),
    AT(tools_bytes),
    AT(messages_bytes),
    AT(cost_pico),
    AT(reserved_pico),
};

// A record that is being written, or read: both take the same steps, and so agree.
struct wire {
    unsigned char *out; // NULL: it is read
    struct span rest;   // of what is read
    bool is_bad;        // something was not there; then nothing more is read
};

static void wire_number(struct wire *wire, int64_t *value)
{
    if (wire->out) {
        uint64_t rest = ((uint64_t)*value << 1) ^ (uint64_t)(*value >> 63);
        for (; rest >= 0x80; rest >>= 7)
            *wire->out++ = (unsigned char)(rest | 0x80);
        *wire->out++ = (unsigned char)rest;
        return;
    }
    uint64_t bits = 0;
    for (size_t i = 0; !wire->is_bad && i < VARINT_MAX && i < wire->rest.len; i++) {
        unsigned char byte = (unsigned char)wire->rest.data[i];
        bits |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            wire->rest = span_skip(wire->rest, i + 1);
            *value = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
            return;
        }
    }
    wire->is_bad = true;
}

static size_t kept_len(struct span text)
{
    return text.len < LEDGER_TEXT_MAX ? text.len : LEDGER_TEXT_MAX;
}

static void wire_text(struct wire *wire, struct span *value)
{
    int64_t len = wire->out ? (int64_t)kept_len(*value) : 0;
    wire_number(wire, &len);
    if (wire->out) {
        if (len)
            memcpy(wire->out, value->data, (size_t)len);
        wire->out += len;
        return;
    }
    wire->is_bad |= len < 0 || len > LEDGER_TEXT_MAX || (size_t)len > wire->rest.len;
    if (wire->is_bad)
        return;
    *value = span_make(wire->rest.data, (size_t)len);
    wire->rest = span_skip(wire->rest, (size_t)len);
}

// Most rows are of a known cost within its bound, and need neither cap nor overshoot. Those that
// tell them have their number of charges negative.
static void wire_charges(struct wire *wire, struct store_charge *each, size_t *count)
{
    bool caps = false;
    for (size_t i = 0; wire->out && i < *count; i++)
        caps = caps || each[i].cap_pico || each[i].overshoot_pico;
    int64_t told = wire->out ? (caps ? -(int64_t)*count : (int64_t)*count) : 0;
    wire_number(wire, &told);
    wire->is_bad |= told < -LEDGER_CHARGES_MAX || told > LEDGER_CHARGES_MAX;
    if (wire->is_bad)
        return;
    *count = (size_t)(told < 0 ? -told : told);
    for (size_t i = 0; i < *count; i++) {
        wire_text(wire, &each[i].account);
        wire_number(wire, &each[i].period_ms);
        wire_number(wire, &each[i].resets_ms);
        wire_number(wire, &each[i].amount_pico);
        if (!wire->out)
            each[i].overshoot_pico = each[i].cap_pico = 0;
    }
    for (size_t i = 0; told < 0 && i < *count; i++) {
        wire_number(wire, &each[i].overshoot_pico);
        wire_number(wire, &each[i].cap_pico);
    }
}

static size_t kept_charges(const struct store_attempt *attempt)
{
    return attempt->charge_count < LEDGER_CHARGES_MAX ? attempt->charge_count : LEDGER_CHARGES_MAX;
}

// `room` is for the charges that are read; those that are written are the attempt's.
static void wire_fields(struct wire *wire, struct store_attempt *attempt, struct store_charge *room)
{
    int64_t texts = ATTEMPT_TEXTS, numbers = ATTEMPT_NUMBERS, source = attempt->source;
    int64_t flags =
        (attempt->streamed ? FLAG_STREAMED : 0) | (attempt->cancelled ? FLAG_CANCELLED : 0);
    struct span unknown_text;
    int64_t unknown_number;
    wire_number(wire, &texts);
    for (int64_t i = 0; i < texts && !wire->is_bad; i++)
        wire_text(wire, i < ATTEMPT_TEXTS ? attempt_text(attempt, (size_t)i) : &unknown_text);
    wire_number(wire, &numbers);
    for (int64_t i = 0; i < numbers && !wire->is_bad; i++)
        wire_number(wire,
                    i < ATTEMPT_NUMBERS ? attempt_number(attempt, (size_t)i) : &unknown_number);
    wire_number(wire, &flags);
    wire_number(wire, &source);
    wire->is_bad |= texts < 0 || numbers < 0;
    wire_charges(wire, room, &attempt->charge_count);
    attempt->streamed = flags & FLAG_STREAMED;
    attempt->cancelled = flags & FLAG_CANCELLED;
    attempt->charges = room;
    attempt->source = source >= 0 && source < STORE_COST_SOURCES ? (enum store_cost_source)source
                                                                 : STORE_COST_UNKNOWN;
}

// No less than the record takes.
static size_t room_for(const struct store_attempt *attempt)
{
    size_t room = (6 + ATTEMPT_NUMBERS + ATTEMPT_TEXTS) * VARINT_MAX;
    for (size_t i = 0; i < ATTEMPT_TEXTS; i++)
        room += kept_len(*attempt_text(attempt, i));
    for (size_t i = 0; i < kept_charges(attempt); i++)
        room += kept_len(attempt->charges[i].account) + (size_t)6 * VARINT_MAX;
    return room;
}

enum { CHARGES_ALONE = -1 };

static bool encode(int kind, const struct store_attempt *attempt, struct buf *out)
{
    struct store_attempt kept = *attempt;
    struct store_charge *paying = (struct store_charge *)(uintptr_t)attempt->charges;
    unsigned char *start = (unsigned char *)buf_reserve(out, room_for(attempt));
    if (!start)
        return false;
    struct wire wire = {.out = start};
    kept.charge_count = kept_charges(attempt);
    if (kind != CHARGES_ALONE) {
        *wire.out++ = VERSION;
        *wire.out++ = (unsigned char)kind;
    }
    if (kind == CHARGES_ALONE)
        wire_charges(&wire, paying, &kept.charge_count);
    else if (kind == LEDGER_RELEASE)
        wire_text(&wire, &kept.call);
    else
        wire_fields(&wire, &kept, paying);
    buf_grow_by(out, (size_t)(wire.out - start));
    return true;
}

bool store_charges_encode(const struct store_attempt *attempt, struct buf *out)
{
    return encode(CHARGES_ALONE, attempt, out);
}

bool store_ledger_encode_reservation(const struct store_attempt *call, struct buf *out)
{
    return encode(LEDGER_RESERVATION, call, out);
}

bool store_ledger_encode_row(const struct store_attempt *row, struct buf *out)
{
    return encode(LEDGER_ROW, row, out);
}

bool store_ledger_encode_release(struct span call, struct buf *out)
{
    const struct store_attempt attempt = {.call = call};
    return encode(LEDGER_RELEASE, &attempt, out);
}

bool store_ledger_decode(struct span record, struct store_charge *charges,
                         enum ledger_record *ret_kind, struct store_attempt *ret_attempt)
{
    if (record.len < 2 || record.data[0] != VERSION ||
        (unsigned char)record.data[1] > LEDGER_RELEASE)
        return false;
    struct store_attempt attempt = STORE_ATTEMPT_INIT;
    enum ledger_record kind = (enum ledger_record)record.data[1];
    struct wire wire = {.rest = span_skip(record, 2)};
    if (kind == LEDGER_RELEASE)
        wire_text(&wire, &attempt.call);
    else
        wire_fields(&wire, &attempt, charges);
    if (wire.is_bad)
        return false;
    *ret_kind = kind;
    *ret_attempt = attempt;
    return true;
}

bool store_charges_decode(struct span bytes, struct store_charge *ret_charges, size_t *ret_count)
{
    struct wire wire = {.rest = bytes};
    size_t count = 0;
    wire_charges(&wire, ret_charges, &count);
    if (!wire.is_bad)
        *ret_count = count;
    return !wire.is_bad;
}
