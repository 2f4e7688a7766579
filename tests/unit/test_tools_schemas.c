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
    {"call_tool", "f8f41bb0aacfc5fc563531a7a9dc439f31bcd2ec2008c94a9c1b233aea3c35c0"},
    {"clarify", "561a5c061e76987c64da30cb136646aa736072b2a7e85d2a97756f7693f8bf77"},
    {"current_time", "8243f0af367f188a376f2c17b5eabe872a2f7a979813e0d4e2be6d594c2aa259"},
    {"find_tools", "627e5df38b8159bea4c9bb91bf97120e56090eb5594e5acaeaf0f0aed98dd4d5"},
    {"http_request", "d70e1c3ff47cff4f77028fc43dee2995c8f725670e7c1580d951f65e8c4f9fa2"},
    {"list_files", "87a10f0ef24968e9a19bc0592df51e478790fe8adff2c04349962f25428cdacf"},
    {"memory", "6cfe12aa8b53ab97f38f7bbc55973d2c097977a40be6a1d88858046b1c58e829"},
    {"patch", "e7760a0ba0eea1b1a3aa48d8aae2e16798d682016b086fe3233728e5e975deff"},
    {"process", "35b64459379136b07f872b1979cf0f5d1d807c34d345dfa1c1dab866452913ff"},
    {"read_file", "7dfbcf48b19a0ab0625957f73975f7e3b399a5eb323a39490c39c920cc54bca8"},
    {"read_result", "a89dcfcdd02f95263689295c1c7867b17b3f7b9fd3a10a68027431d057ab1fc1"},
    {"recall", "6cb423c5e0a8f290e0d29c2e16f2072e820f8a6fbbb89a593647c61eec244e49"},
    {"remember", "407f3f216a1d241b5c2190849ef1ef889f9ccd11e83f38660a4fa51a0d5b0252"},
    {"search_files", "92e5d7a62c529d9c83c50c18a899055f0a2c517244294b8a0a80602335957c17"},
    {"session_search", "62fc732e2e0eb1a4df2fe1885f7b6977e9064ffc559195ad9b739fd07bdc7777"},
    {"terminal", "35e28e2ec4dcd8f9492d178cf2278c9447e6ef5716aaf97281744a19067d3614"},
    {"todo", "c155038b6cc7acf6fe8bbd98c1c1a572f34ecd0eed4553a57890ff41f640241a"},
    {"web_extract", "91998907dd2af9ec25b97849ea89c2ddfd3d07da5e120739d209c51b4f9574d1"},
    {"web_fetch", "8ff1ae45e763a82cf921b0ceae3d77efc0ebee51e16838e5ff72b39b532ff976"},
    {"web_search", "3b2b9caf987d0c695ca99b3b26e342c7dab0575b653973577e8ff7af9ee509e9"},
    {"write_file", "d5d5b09ee04d3dc2cdea272a9862efaa1a704f578e338645bd8332c65c73fad1"},
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
