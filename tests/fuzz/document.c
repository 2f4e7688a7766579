#include "codec/document.h"

#include <errno.h>

#include "codec/json.h"
#include "fuzz.h"

enum { MEMORY = 1 << 20 };

// The tree has what the reader of positions sees.
static void compare(struct json_value seen, struct node node)
{
    struct json_iter it = json_iter_init(seen);
    struct json_value key, value;
    int64_t ours = 0, theirs = 0;
    REQUIRE(node_type(node) == json_type(seen));
    if (json_type(seen) == JSON_STRING)
        REQUIRE(json_is(seen, node_text(node)) && node_is(node, node_text(node)));
    if (json_type(seen) == JSON_NUMBER)
        REQUIRE(json_int64(seen, &theirs) == node_int(node, &ours) && ours == theirs);
    for (unsigned digits = 0; digits <= 12 && json_type(seen) == JSON_NUMBER; digits += 6)
        REQUIRE(json_fixed(seen, digits, &theirs) == node_fixed(node, digits, &ours) &&
                ours == theirs);
    struct node child = node_first(node);
    for (; json_iter_next(&it, &key, &value); child = node_next(child)) {
        REQUIRE(child.item);
        compare(value, child);
    }
    REQUIRE(!child.item);
}

// What is printed is the same document, and prints the same.
static void check_printed(struct document *doc)
{
    BUF_AUTO first = BUF_INIT(8 * MEMORY), second = BUF_INIT(8 * MEMORY);
    DOCUMENT_AUTO again = DOCUMENT_INIT(2 * MEMORY);
    JSON_AUTO seen = JSON_INIT;
    REQUIRE(document_print(doc, &first, NULL) == 0);
    REQUIRE(json_parse(&seen, buf_span(&first), NULL) == 0);
    compare(json_root(&seen), document_root(doc));
    REQUIRE(document_read(&again, buf_span(&first), NULL) == 0);
    REQUIRE(document_print(&again, &second, NULL) == 0);
    REQUIRE(span_equal(buf_span(&first), buf_span(&second)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make(data, size);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MEMORY);
    JSON_AUTO seen = JSON_INIT;
    struct error err = ERROR_INIT;
    int r = document_read(&doc, text, &err), parsed = json_parse(&seen, text, NULL);
    REQUIRE(doc.memory <= doc.memory_max);
    if (r < 0) {
        bool of_document = r == -EMSGSIZE || r == -ERANGE || r == -EILSEQ;
        REQUIRE(err.text[0] && (parsed < 0 || of_document));
        REQUIRE(node_type(document_root(&doc)) == JSON_ABSENT);
        return 0;
    }
    REQUIRE(parsed == 0);
    compare(json_root(&seen), document_root(&doc));
    check_printed(&doc);
    return 0;
}
