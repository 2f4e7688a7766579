#include "base/mem.h"
#include "codec/json_write.h"
#include "codec/media.h"
#include "fuzz.h"
#include "llm/openai_parts.h"

enum { WRITTEN_MAX = 16 << 20 };

static int read_part(struct span text, struct chat_message *message)
{
    JSON_AUTO doc = JSON_INIT;
    struct error err = ERROR_INIT;
    if (json_parse(&doc, text, NULL) < 0)
        return -1;
    int r = openai_part_read(json_root(&doc), message, &err);
    REQUIRE(r == 0 || (*err.text && message->parts.count == 0));
    return r;
}

// A part that is taken is what its bytes begin like, and is the same once it was written and read.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chat_message message = {.role = CHAT_USER}, again = {.role = CHAT_USER};
    BUF_AUTO written = BUF_INIT(WRITTEN_MAX);
    if (read_part(span_make(data, size), &message) == 0) {
        const struct chat_part *part = message.parts.items;
        REQUIRE(message.parts.count == 1 && part->size > 0 && part->size <= CHAT_PART_MAX);
        struct json_writer w;
        json_writer_init(&w, &written);
        openai_parts_write(&w, &message, CHAT_IMAGES | CHAT_SOUND);
        REQUIRE(read_part(buf_span(&written), &again) == 0);
        REQUIRE(again.parts.items->type == part->type);
        REQUIRE(strcmp(again.parts.items->data, part->data) == 0);
    }
    chat_message_finish(&message);
    chat_message_finish(&again);
    return 0;
}
