#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "codec/json.h"

/*
 * One pass over a JSON value that keeps nothing: codec/json_scan.h checks the syntax, and the
 * members of objects near the root are handed out with their exact bytes. The essay in
 * member_scan.c says why not json_parse(). A member is handed out when its value has ended, so
 * after what its value holds.
 */
enum {
    MEMBER_PATH_MAX = 4, // levels of which names are known
};

// The parts of a request that cost money beyond its bytes, see member_scan.c.
struct member_parts {
    uint32_t images;
    uint32_t audio;
    uint32_t remote; // files, documents, videos: of a size that nobody here knows
};

struct member {
    unsigned depth;           // 1: of the root
    const struct span *names; // [0] is the root's member, [depth - 1] this one; between the quotes,
                              // escapes and all; absent for a level that is an array
    bool escaped;             // this one's name holds a backslash
    enum json_type type;
    struct span value;
    uint32_t count; // elements of an array, members of an object
};

// Nonzero ends the scan and is returned.
typedef int (*member_fn)(void *context, const struct member *member);

struct member_scan {
    member_fn fn;
    void *context;
    unsigned depth_max;         // members of deeper objects are not handed out; <= MEMBER_PATH_MAX
    struct member_parts *parts; // added to; NULL: not wanted
};

/*
 * 0 when all of `text` is one value of type *ret_type (may be NULL). -EBADMSG: not JSON, with the
 * byte offset; -ENODATA: it ends too early, but was JSON until then; -EMSGSIZE: nested deeper than
 * JSON_DEPTH_MAX; or what `fn` returned.
 */
int member_scan_run(const struct member_scan *scan, struct span text, enum json_type *ret_type,
                    struct error *err);

// Is the name between the quotes, which may be escaped, `text`? With `fold` also where it differs
// only in what readers that ignore case overlook (Go's: ASCII, and U+017F, U+212A).
bool member_name_is(struct span name, struct span text, bool fold);
