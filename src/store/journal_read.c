#include <endian.h>
#include <string.h>

#include "store/journal.h"
#include "store/journal_internal.h"

/*
 * The journal's frames, and its reader: pure.
 *
 * A power cut leaves any part of what was not synced, in any sector, so bytes that are no record
 * are looked behind for the next one that is. The checksum covers where the record stands as well:
 * what an older file left in a block of the disk, or what a copy moved, is no record here. It is
 * for accidents, not against somebody who can write the file; it works on words of eight bytes,
 * because it is calculated on the loop's thread for every call.
 */

static const char mark[4] = "HLR\xa7";

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9fb21c651e98df25u;
    return hash ^ hash >> 32;
}

static uint64_t checksum(uint64_t generation, int64_t offset, struct span record)
{
    uint64_t hash = mix(mix(mix(0x8ebc6af09c88c6e3u, generation), (uint64_t)offset), record.len);
    while (record.len >= 8) {
        uint64_t word;
        memcpy(&word, record.data, 8);
        hash = mix(hash, le64toh(word));
        record = (struct span){record.data + 8, record.len - 8};
    }
    uint64_t last = 0;
    for (size_t i = 0; i < record.len; i++)
        last |= (uint64_t)(unsigned char)record.data[i] << (8 * i);
    return mix(mix(hash, last), 1);
}

void journal_frame(unsigned char *frame, uint64_t generation, int64_t offset, struct span record)
{
    uint32_t len = htole32((uint32_t)record.len);
    uint64_t sum = htole64(checksum(generation, offset, record));
    memcpy(frame, mark, 4);
    memcpy(frame + 4, &len, 4);
    memcpy(frame + 8, &sum, 8);
}

size_t journal_whole(struct span bytes, uint64_t generation, int64_t offset)
{
    uint32_t len;
    uint64_t sum;
    if (bytes.len <= JOURNAL_FRAME || memcmp(bytes.data, mark, 4) != 0)
        return 0;
    memcpy(&len, bytes.data + 4, 4);
    memcpy(&sum, bytes.data + 8, 8);
    struct span record = {bytes.data + JOURNAL_FRAME, le32toh(len)};
    if (record.len == 0 || record.len > JOURNAL_RECORD_MAX ||
        record.len > bytes.len - JOURNAL_FRAME)
        return 0;
    return le64toh(sum) == checksum(generation, offset, record) ? JOURNAL_FRAME + record.len : 0;
}

static struct span take(struct journal_part *part, size_t len)
{
    struct span taken = span_make(part->bytes.data, len);
    part->bytes = span_skip(part->bytes, len);
    part->offset += (int64_t)len;
    return taken;
}

// Bytes before the next record; all of them when none follows.
static size_t bytes_before_record(const struct journal_part *part)
{
    size_t at = 1;
    while (at < part->bytes.len) {
        const char *found = memchr(part->bytes.data + at, mark[0], part->bytes.len - at);
        if (!found)
            break;
        at = (size_t)(found - part->bytes.data);
        struct span rest = span_make(found, part->bytes.len - at);
        if (journal_whole(rest, part->generation, part->offset + (int64_t)at))
            return at;
        at++;
    }
    return part->bytes.len;
}

// How many bytes at the end a writer that was ended has reserved and not used.
static size_t unused_behind(struct span bytes)
{
    size_t count = 0;
    while (count < bytes.len && bytes.data[bytes.len - 1 - count] == 0)
        count++;
    return count;
}

enum journal_outcome journal_next(struct journal_part *part, struct span *ret_bytes)
{
    enum { JUDGED = JOURNAL_FRAME + JOURNAL_RECORD_MAX }; // bytes that hold a record, or none
    if (part->bytes.len == 0)
        return JOURNAL_END;
    size_t whole = journal_whole(part->bytes, part->generation, part->offset);
    if (whole) {
        *ret_bytes = span_skip(take(part, whole), JOURNAL_FRAME);
        return JOURNAL_RECORD;
    }
    if (!part->is_last && part->bytes.len < JUDGED)
        return JOURNAL_MORE;
    size_t unused = part->is_last ? unused_behind(part->bytes) : 0;
    if (unused == part->bytes.len) {
        take(part, part->bytes.len);
        return JOURNAL_END;
    }
    size_t before = bytes_before_record(part);
    if (before < part->bytes.len) {
        *ret_bytes = take(part, before);
        return JOURNAL_GARBAGE;
    }
    // The last bytes of this part may be the beginning of a record.
    *ret_bytes = take(part, part->is_last ? before : before - JUDGED + 1);
    if (unused > JOURNAL_FRAME) // a few zeros may as well be of what was torn
        ret_bytes->len -= unused;
    return part->is_last ? JOURNAL_TORN : JOURNAL_GARBAGE;
}
