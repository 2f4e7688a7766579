#include "mcp/challenge.h"

#include <string.h>

#include "base/mem.h"
#include "fuzz.h"

// What a challenge says came from the header: no value is longer than that, and a second look at
// the same bytes sees the same.
static void check(const char *text, const char *again, size_t size)
{
    REQUIRE(!text == !again);
    if (text)
        REQUIRE(strlen(text) <= size && strcmp(text, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(challenge_finish) struct challenge one = {0};
    CLEANUP(challenge_finish) struct challenge two = {0};
    struct span header = span_make(data, size);
    bool any = challenge_parse(header, &one);
    REQUIRE(any == challenge_parse(header, &two));
    check(one.scope, two.scope, size);
    check(one.error, two.error, size);
    check(one.resource_metadata, two.resource_metadata, size);
    return 0;
}
