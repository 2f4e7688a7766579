#include "sandbox/refusals.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

uint64_t refusals_count(const struct refusals *refusals)
{
    uint64_t count = refusals->others;
    for (unsigned i = 0; i < refusals->kind_count; i++)
        count += refusals->kinds[i].count;
    return count;
}

void refusals_add(struct refusals *refusals, const char *name)
{
    for (unsigned i = 0; i < refusals->kind_count; i++)
        if (strncmp(refusals->kinds[i].name, name, REFUSALS_NAME_MAX - 1) == 0) {
            refusals->kinds[i].count++;
            return;
        }
    if (refusals->kind_count == REFUSALS_KINDS_MAX) {
        refusals->others++;
        return;
    }
    unsigned at = refusals->kind_count++;
    snprintf(refusals->kinds[at].name, REFUSALS_NAME_MAX, "%s", name);
    refusals->kinds[at].count = 1;
}

static size_t write_times(char *to, size_t size, uint64_t count)
{
    return count > 1 ? (size_t)snprintf(to, size, " (%" PRIu64 " times)", count) : 0;
}

bool refusals_describe(const struct refusals *refusals, char text[REFUSALS_TEXT_MAX])
{
    size_t len = 0; // of 17 entries of at most 60 bytes, all of which fit
    for (unsigned i = 0; i < refusals->kind_count; i++) {
        len += (size_t)snprintf(text + len, REFUSALS_TEXT_MAX - len, "%s%s", len ? ", " : "",
                                refusals->kinds[i].name);
        len += write_times(text + len, REFUSALS_TEXT_MAX - len, refusals->kinds[i].count);
    }
    if (refusals->others) {
        len += (size_t)snprintf(text + len, REFUSALS_TEXT_MAX - len, ", others");
        write_times(text + len, REFUSALS_TEXT_MAX - len, refusals->others);
    }
    return refusals->kind_count != 0;
}
