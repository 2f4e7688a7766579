#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "mcp/content.h"

static void shows(const char *result, const char *text)
{
    JSON_AUTO doc = JSON_INIT;
    BUF_AUTO out = BUF_INIT(4096);
    assert_int_equal(json_parse(&doc, span_of(result), NULL), 0);
    mcp_content_append(json_root(&doc), &out);
    assert_string_equal(buf_text(&out), text);
}

static void every_kind_of_part(void **state)
{
    (void)state;
    shows("{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}",
          "a\nb");
    shows("{\"content\":[{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"AAAAAA==\"}]}",
          "[an image, image/png, 6 bytes: not shown]");
    shows("{\"content\":[{\"type\":\"audio\",\"data\":\"AAAA\"}]}",
          "[sound, of an unknown type, 3 bytes: not shown]");
    shows(
        "{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"file:///a\",\"text\":\"x\"}}"
        "]}",
        "[file:///a]\nx");
    shows("{\"content\":[{\"type\":\"resource_link\",\"uri\":\"a:b\",\"name\":\"n\"}]}",
          "[resource a:b: n]");
    shows("{\"content\":[{\"type\":\"hologram\"},{\"text\":\"x\"},7]}",
          "[content of the unknown type hologram]\n"
          "[content of the unknown type that was not said]\n"
          "[content of the unknown type that was not said]");
}

static void other_results(void **state)
{
    (void)state;
    shows("{\"contents\":[{\"uri\":\"a:1\",\"text\":\"one\"},{\"uri\":\"a:2\",\"blob\":\"AAAA\"}]}",
          "[a:1]\none\n[a:2]\n[a file, of an unknown type, 3 bytes: not shown]");
    shows("{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":\"go\"}}]}",
          "user:\ngo");
}

static void structured_content_only_instead_of_text(void **state)
{
    (void)state;
    shows("{\"structuredContent\":{\"id\":12345678901234567890,\"n\":1.0}}",
          "{\"id\":12345678901234567890,\"n\":1.0}");
    shows("{\"content\":[{\"type\":\"text\",\"text\":\"t\"}],\"structuredContent\":{\"a\":1}}",
          "t");
    shows("{\"content\":[],\"structuredContent\":[1,2]}", "[1,2]");
}

static void what_is_none_shows_nothing(void **state)
{
    (void)state;
    shows("{}", "");
    shows("{\"content\":\"text\",\"contents\":7,\"messages\":null}", "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_part),
        cmocka_unit_test(other_results),
        cmocka_unit_test(structured_content_only_instead_of_text),
        cmocka_unit_test(what_is_none_shows_nothing),
    };
    return cmocka_run_group_tests_name("mcp/content", tests, NULL, NULL);
}
