#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/document.h"
#include "codec/json.h"
#include "codec/sha256.h"
#include "tools/table.h"

/*
 * Providers cache a prompt up to the first byte that differs, and the tools stand before it: a
 * changed schema makes every conversation pay for its whole prompt once more. A change that is
 * meant puts the new digest here.
 */
static const struct {
    const char *name, *sha256;
} pinned[] = {
    {"call_tool", "df331ff9e900ed5634bc9892913b3fec9e04203366ba4a2e7239a2a3eecedd44"},
    {"clarify", "561a5c061e76987c64da30cb136646aa736072b2a7e85d2a97756f7693f8bf77"},
    {"current_time", "8243f0af367f188a376f2c17b5eabe872a2f7a979813e0d4e2be6d594c2aa259"},
    {"find_tools", "4a0948b5a8dcdc8dc73782ed02e55efba486482575c619212d78595a60f3a4c3"},
    {"http_request", "d70e1c3ff47cff4f77028fc43dee2995c8f725670e7c1580d951f65e8c4f9fa2"},
    {"list_files", "87a10f0ef24968e9a19bc0592df51e478790fe8adff2c04349962f25428cdacf"},
    {"memory", "c78d15f0daedd2819ca811e102dc9671ee0a443f50cc3599ca4d50a016742c20"},
    {"patch", "48ff30320e9b75120014bc001663a54d9e9df87fed964635d8cd6a827933fe2e"},
    {"process", "35b64459379136b07f872b1979cf0f5d1d807c34d345dfa1c1dab866452913ff"},
    {"read_file", "c1d760e1dbb8c2d92e1349216a5f1a0ed4f0e89990639a893adeaccac1617b76"},
    {"read_result", "a89dcfcdd02f95263689295c1c7867b17b3f7b9fd3a10a68027431d057ab1fc1"},
    {"recall", "6cb423c5e0a8f290e0d29c2e16f2072e820f8a6fbbb89a593647c61eec244e49"},
    {"remember", "407f3f216a1d241b5c2190849ef1ef889f9ccd11e83f38660a4fa51a0d5b0252"},
    {"search_files", "45e2e2215454c0426a9b544ea6b541d96233726b9789e314ab0beffc2412411a"},
    {"send_file", "987da41348eef40c91556573c9bbfc9b0379377d51d12f40e1e4e850780877b9"},
    {"session_search", "62fc732e2e0eb1a4df2fe1885f7b6977e9064ffc559195ad9b739fd07bdc7777"},
    {"skill_manage", "724ef06c708392ac648ee56f638152cabb7c26236282c4a7e90137950ff41811"},
    {"skill_view", "d08a299cd57a1252ab2bef1a2ec44498bef94eca94e546bb3e1d46889095b30d"},
    {"skills_list", "a670ead283ba8cdfe31dacbb85d6752fe0309160b9381eb564500b82bda32a3c"},
    {"terminal", "df003a9451b9f1a741e58963f40ccef2df9893d37d564264299c2193759a27f5"},
    {"todo", "c155038b6cc7acf6fe8bbd98c1c1a572f34ecd0eed4553a57890ff41f640241a"},
    {"web_extract", "91998907dd2af9ec25b97849ea89c2ddfd3d07da5e120739d209c51b4f9574d1"},
    {"web_fetch", "ba14da44b6d9deb5bd7b6d0bfb5963f8d8b132d94dfafb760c7cadc4b73fcc5e"},
    {"web_search", "3b2b9caf987d0c695ca99b3b26e342c7dab0575b653973577e8ff7af9ee509e9"},
    {"write_file", "a4bf4bbfe69c6891bf50589fddbbdd9f9bae5e058e412aca74ad20979cd4affd"},
};

static void digest(const char *text, char *hex)
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_add(&hash, span_of(text));
    sha256_end_hex(&hash, hex);
}

static void test_every_schema_has_the_bytes_it_had(void **state)
{
    (void)state;
    size_t count;
    char hex[SHA256_HEX_SIZE];
    const struct tool *const *table = tool_table(&count);
    assert_int_equal(count, ARRAY_LEN(pinned));
    for (size_t i = 0; i < count; i++) {
        digest(table[i]->parameters, hex);
        assert_string_equal(table[i]->name, pinned[i].name);
        if (strcmp(hex, pinned[i].sha256) != 0)
            fail_msg("%s: %s", table[i]->name, hex);
    }
}

// A document takes a schema over as it is, and what comes out is still the JSON that went in.
static void test_a_document_keeps_the_bytes_of_a_schema(void **state)
{
    (void)state;
    size_t count;
    const struct tool *const *table = tool_table(&count);
    for (size_t i = 0; i < count; i++) {
        BUF_AUTO text = BUF_INIT(DOCUMENT_SMALL);
        DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
        JSON_AUTO printed = JSON_INIT;
        struct span schema = span_of(table[i]->parameters);
        node_add_raw(document_object(&doc), "parameters", schema);
        assert_int_equal(document_print(&doc, &text, NULL), 0);
        assert_int_equal(json_parse(&printed, buf_span(&text), NULL), 0);
        struct json_value kept = json_get(json_root(&printed), "parameters");
        assert_int_equal(json_type(kept), JSON_OBJECT);
        assert_true(span_equal(json_raw(kept), schema));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_schema_has_the_bytes_it_had),
        cmocka_unit_test(test_a_document_keeps_the_bytes_of_a_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
