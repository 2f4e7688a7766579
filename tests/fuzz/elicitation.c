#include "mcp/elicitation.h"

#include "base/mem.h"
#include "fuzz.h"

enum { ANSWERS_MAX = 64 };

// What a server asks is shown as a question, or refused; whatever is said to that, the content of
// an accepted form is an object.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const said[] = {"-", "1", "yes", "2, 1", "text", "Send it", "no", "1e3"};
    struct elicitation *asked = NULL;
    JSON_AUTO doc = JSON_INIT;
    enum elicitation_next next = ELICITATION_ASKS;
    if (json_parse(&doc, span_make(data, size), NULL) < 0 ||
        elicitation_create(1, "fuzz", json_root(&doc), &asked, NULL) < 0)
        return 0;
    for (size_t i = 0; i < ANSWERS_MAX && next == ELICITATION_ASKS; i++)
        next = elicitation_take(asked, span_of(said[(size + i) % ARRAY_LEN(said)]));
    if (next == ELICITATION_ACCEPT) {
        JSON_AUTO content = JSON_INIT;
        struct span text = elicitation_content(asked);
        REQUIRE(text.len == 0 || (json_parse(&content, text, NULL) == 0 &&
                                  json_type(json_root(&content)) == JSON_OBJECT));
    }
    elicitation_destroy(asked);
    return 0;
}
