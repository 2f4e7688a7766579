#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/*
 * Parts of a message that cost more than their bytes: images, sound, files. Meant for
 * member_scan.c, which tells of every key and of every "type" in a request.
 *
 * A part is an object with a key of a known name, or with a "type" of that name; having both, it is
 * counted once. What servers accept differs, so every spelling that any of them is known to take
 * counts, wherever it stands: too many is a dearer bound, too few a broken one. Left out is only
 * what holds JSON Schemas or labels, where "file" is the name of somebody's argument.
 */
enum part_kind {
    PART_NONE = 0,
    PART_IMAGE = 1, // bits, so that an object remembers which it was counted for
    PART_AUDIO = 2,
    PART_REMOTE = 4,
    PART_TYPE = 8, // none by itself: the text that is the value of such a key may name one
};

enum part_area {
    PART_AREA_NONE,  // nothing in this member of the root counts
    PART_AREA_PARTS, // what a model reads
};

// What a member of the root may hold. Names are raw, between the quotes, `escaped` when they hold
// a backslash.
enum part_area part_area_of(struct span name, bool escaped);

// For a key, and for the text of a "type". Compared without regard to case, since some readers have
// none.
enum part_kind part_kind_of(struct span name, bool escaped);

// Could a name that begins so be one of the above? A backslash always may.
static inline bool part_may_begin(char c)
{
    const uint32_t letters = 1u << ('a' - 'a') | 1u << ('d' - 'a') | 1u << ('f' - 'a') |
                             1u << ('i' - 'a') | 1u << ('t' - 'a') | 1u << ('v' - 'a');
    unsigned at = ((unsigned char)c | 0x20u) - 'a';
    return at < 26 ? letters >> at & 1 : c == '\\';
}
