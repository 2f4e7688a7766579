#include "agent/part_list.h"

#include "fuzz.h"

// However the row of a message reads, no more parts come of it than a message may have, each of a
// known type; and what was written of them reads the same.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chat_parts parts = {0}, again = {0};
    BUF_AUTO text = BUF_INIT(PART_LIST_MAX);
    part_list_read(span_make(data, size), &parts);
    REQUIRE(parts.count <= CHAT_PARTS_MAX);
    for (size_t i = 0; i < parts.count; i++)
        REQUIRE(parts.items[i].type && !parts.items[i].data);
    part_list_write(&parts, &text);
    if (!buf_is_full(&text)) {
        part_list_read(buf_span(&text), &again);
        REQUIRE(again.count == parts.count);
        for (size_t i = 0; i < parts.count; i++)
            REQUIRE(again.items[i].size == parts.items[i].size);
    }
    chat_parts_finish(&parts);
    chat_parts_finish(&again);
    return 0;
}
