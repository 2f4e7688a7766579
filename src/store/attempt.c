#include "store/attempt.h"

#include <string.h>

#include "base/mem.h"
#include "store/attempt_fields.h"

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

const size_t attempt_texts[ATTEMPT_TEXTS] = {
    offsetof(struct store_attempt, call),       offsetof(struct store_attempt, operation),
    offsetof(struct store_attempt, slot),       offsetof(struct store_attempt, session),
    offsetof(struct store_attempt, job),        offsetof(struct store_attempt, key),
    offsetof(struct store_attempt, user),       offsetof(struct store_attempt, group),
    offsetof(struct store_attempt, deployment), offsetof(struct store_attempt, provider),
    offsetof(struct store_attempt, model),      offsetof(struct store_attempt, error),
    offsetof(struct store_attempt, reason),     offsetof(struct store_attempt, from),
    offsetof(struct store_attempt, reply_id),
};

const size_t attempt_numbers[ATTEMPT_NUMBERS] = {
    offsetof(struct store_attempt, attempt),
    offsetof(struct store_attempt, wall_ms),
    offsetof(struct store_attempt, day),
    offsetof(struct store_attempt, duration_ms),
    offsetof(struct store_attempt, first_byte_ms),
    offsetof(struct store_attempt, status),
    offsetof(struct store_attempt, prompt_tokens),
    offsetof(struct store_attempt, completion_tokens),
    offsetof(struct store_attempt, cached_tokens),
    offsetof(struct store_attempt, cache_write_tokens),
    offsetof(struct store_attempt, reasoning_tokens),
    offsetof(struct store_attempt, bytes_in),
    offsetof(struct store_attempt, bytes_out),
    offsetof(struct store_attempt, tools_bytes),
    offsetof(struct store_attempt, messages_bytes),
    offsetof(struct store_attempt, cost_pico),
    offsetof(struct store_attempt, reserved_pico),
};

static unsigned char *put_number(unsigned char *out, int64_t value)
{
    uint64_t rest = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    for (; rest >= 0x80; rest >>= 7)
        *out++ = (unsigned char)(rest | 0x80);
    *out++ = (unsigned char)rest;
    return out;
}

static size_t kept_len(struct span text)
{
    return text.len < LEDGER_TEXT_MAX ? text.len : LEDGER_TEXT_MAX;
}

static unsigned char *put_text(unsigned char *out, struct span text)
{
    size_t len = kept_len(text);
    out = put_number(out, (int64_t)len);
    if (len)
        memcpy(out, text.data, len);
    return out + len;
}

static size_t kept_charges(const struct store_attempt *attempt)
{
    return attempt->charge_count < LEDGER_CHARGES_MAX ? attempt->charge_count : LEDGER_CHARGES_MAX;
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

// Most rows are of a known cost within its bound, and need neither. Those that tell them have their
// number of charges negative.
static bool tells_caps(const struct store_attempt *attempt)
{
    for (size_t i = 0; i < kept_charges(attempt); i++)
        if (attempt->charges[i].cap_pico || attempt->charges[i].overshoot_pico)
            return true;
    return false;
}

static unsigned char *put_charges(unsigned char *out, const struct store_attempt *attempt)
{
    bool caps = tells_caps(attempt);
    int64_t count = (int64_t)kept_charges(attempt);
    out = put_number(out, caps ? -count : count);
    for (size_t i = 0; i < kept_charges(attempt); i++) {
        const struct store_charge *charge = &attempt->charges[i];
        out = put_text(out, charge->account);
        out = put_number(out, charge->period_ms);
        out = put_number(out, charge->resets_ms);
        out = put_number(out, charge->amount_pico);
    }
    for (size_t i = 0; caps && i < kept_charges(attempt); i++) {
        out = put_number(out, attempt->charges[i].overshoot_pico);
        out = put_number(out, attempt->charges[i].cap_pico);
    }
    return out;
}

static unsigned char *put_attempt(unsigned char *out, const struct store_attempt *attempt)
{
    int64_t flags =
        (attempt->streamed ? FLAG_STREAMED : 0) | (attempt->cancelled ? FLAG_CANCELLED : 0);
    out = put_number(out, ATTEMPT_TEXTS);
    for (size_t i = 0; i < ATTEMPT_TEXTS; i++)
        out = put_text(out, *attempt_text(attempt, i));
    out = put_number(out, ATTEMPT_NUMBERS);
    for (size_t i = 0; i < ATTEMPT_NUMBERS; i++)
        out = put_number(out, *attempt_number(attempt, i));
    out = put_number(out, flags);
    out = put_number(out, attempt->source);
    return put_charges(out, attempt);
}

static bool encode(enum ledger_record kind, const struct store_attempt *attempt, struct buf *out)
{
    size_t room = room_for(attempt);
    unsigned char *start = (unsigned char *)buf_reserve(out, room);
    if (!start)
        return false;
    unsigned char *end = start;
    *end++ = VERSION;
    *end++ = (unsigned char)kind;
    end = kind == LEDGER_RELEASE ? put_text(end, attempt->call) : put_attempt(end, attempt);
    buf_grow_by(out, (size_t)(end - start));
    return true;
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
    struct store_attempt attempt = {.call = call};
    return encode(LEDGER_RELEASE, &attempt, out);
}

// Each takes something off the front; false when it is not there.
static bool take_number(struct span *rest, int64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < VARINT_MAX && i < rest->len; i++) {
        unsigned char byte = (unsigned char)rest->data[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *rest = span_skip(*rest, i + 1);
            *ret_value = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
            return true;
        }
    }
    return false;
}

static bool take_text(struct span *rest, struct span *ret_text)
{
    int64_t len = 0;
    if (!take_number(rest, &len) || len < 0 || len > LEDGER_TEXT_MAX || (size_t)len > rest->len)
        return false;
    *ret_text = span_make(rest->data, (size_t)len);
    *rest = span_skip(*rest, (size_t)len);
    return true;
}

static bool take_texts(struct span *rest, struct store_attempt *attempt)
{
    struct span text;
    int64_t count = 0;
    bool good = take_number(rest, &count) && count >= 0;
    for (int64_t i = 0; good && i < count; i++) {
        good = take_text(rest, &text);
        if (good && i < ATTEMPT_TEXTS)
            *attempt_text(attempt, (size_t)i) = text;
    }
    return good;
}

static bool take_numbers(struct span *rest, struct store_attempt *attempt)
{
    int64_t count = 0, value = 0;
    bool good = take_number(rest, &count) && count >= 0;
    for (int64_t i = 0; good && i < count; i++) {
        good = take_number(rest, &value);
        if (good && i < ATTEMPT_NUMBERS)
            *attempt_number(attempt, (size_t)i) = value;
    }
    return good;
}

static bool take_charges(struct span *rest, struct store_charge *charges, size_t *ret_count)
{
    int64_t count = 0;
    if (!take_number(rest, &count) || count < -LEDGER_CHARGES_MAX || count > LEDGER_CHARGES_MAX)
        return false;
    bool caps = count < 0;
    count = caps ? -count : count;
    for (int64_t i = 0; i < count; i++) {
        struct store_charge *charge = &charges[i];
        if (!take_text(rest, &charge->account) || !take_number(rest, &charge->period_ms) ||
            !take_number(rest, &charge->resets_ms) || !take_number(rest, &charge->amount_pico))
            return false;
        charge->overshoot_pico = charge->cap_pico = 0;
    }
    for (int64_t i = 0; caps && i < count; i++)
        if (!take_number(rest, &charges[i].overshoot_pico) ||
            !take_number(rest, &charges[i].cap_pico))
            return false;
    *ret_count = (size_t)count;
    return true;
}

static bool take_attempt(struct span *rest, struct store_charge *charges,
                         struct store_attempt *attempt)
{
    int64_t flags = 0, source = 0;
    if (!take_texts(rest, attempt) || !take_numbers(rest, attempt) || !take_number(rest, &flags) ||
        !take_number(rest, &source) || !take_charges(rest, charges, &attempt->charge_count))
        return false;
    attempt->streamed = flags & FLAG_STREAMED;
    attempt->cancelled = flags & FLAG_CANCELLED;
    attempt->charges = charges;
    attempt->source = STORE_COST_UNKNOWN;
    if (source >= 0 && source < STORE_COST_SOURCES)
        attempt->source = (enum store_cost_source)source;
    return true;
}

bool store_ledger_decode(struct span record, struct store_charge *charges,
                         enum ledger_record *ret_kind, struct store_attempt *ret_attempt)
{
    if (record.len < 2 || record.data[0] != VERSION)
        return false;
    struct store_attempt attempt = STORE_ATTEMPT_INIT;
    int kind = record.data[1];
    struct span rest = span_skip(record, 2);
    bool good = kind == LEDGER_RELEASE ? take_text(&rest, &attempt.call)
                : kind == LEDGER_ROW || kind == LEDGER_RESERVATION
                    ? take_attempt(&rest, charges, &attempt)
                    : false;
    if (!good)
        return false;
    *ret_kind = (enum ledger_record)kind;
    *ret_attempt = attempt;
    return true;
}

bool store_charges_encode(const struct store_attempt *attempt, struct buf *out)
{
    unsigned char *start = (unsigned char *)buf_reserve(out, room_for(attempt));
    if (!start)
        return false;
    buf_grow_by(out, (size_t)(put_charges(start, attempt) - start));
    return true;
}

bool store_charges_decode(struct span bytes, struct store_charge *charges, size_t *ret_count)
{
    return take_charges(&bytes, charges, ret_count);
}
