#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "mcp/content.h"

static void shows(const char *result, const char *text)
{
    JSON_AUTO doc = JSON_INIT;
    BUF_AUTO out = BUF_INIT(4096);
    assert_int_equal(json_parse(&doc, span_of(result), NULL), 0);
    CLEANUP(mcp_media_finish) struct mcp_media media = {0};
    mcp_content_append(json_root(&doc), &out, &media);
    assert_string_equal(buf_text(&out), text);
    assert_int_equal(media.count, 0);
}

#define NOT_KNOWN ": not shown, as it is no PNG, JPEG, GIF, WebP, WAV, MP3, Ogg or FLAC]"
#define PNG "iVBORw0KGgo=" // its first 8 bytes

static void every_kind_of_part(void **state)
{
    (void)state;
    shows("{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}",
          "a\nb");
    shows("{\"content\":[{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"AAAAAA==\"}]}",
          "[an image, image/png, 6 bytes" NOT_KNOWN);
    shows("{\"content\":[{\"type\":\"audio\",\"data\":\"AAAA\"}]}",
          "[sound, of an unknown type, 3 bytes" NOT_KNOWN);
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
          "[a:1]\none\n[a:2]\n[a file, of an unknown type, 3 bytes" NOT_KNOWN);
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

// What bytes are counts, not what is said of them.
static void images_and_sound(void **state)
{
    (void)state;
    static const char result[] =
        "{\"content\":[{\"type\":\"image\",\"mimeType\":\"text/html\",\"data\":\"" PNG "\"},"
        "{\"type\":\"audio\",\"data\":\"SUQz\\nBAA=\"},"
        "{\"type\":\"resource\",\"resource\":{\"uri\":\"a:b\",\"blob\":\"R0lGODlh\"}},"
        "{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"PGh0bWw+\"},"
        "{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"iVBORw0KGgo\"},"
        "{\"type\":\"image\",\"data\":7},{\"type\":\"image\"}]}";
    JSON_AUTO doc = JSON_INIT;
    BUF_AUTO out = BUF_INIT(4096);
    CLEANUP(mcp_media_finish) struct mcp_media media = {0};
    assert_int_equal(json_parse(&doc, span_of(result), NULL), 0);
    mcp_content_append(json_root(&doc), &out, &media);
    assert_string_equal(buf_text(&out),
                        "[an image, image/png, 8 bytes]\n[sound, audio/mp3, 5 bytes]\n"
                        "[a:b]\n[a file, image/gif, 6 bytes]\n"
                        "[an image, image/png, 6 bytes" NOT_KNOWN "\n"
                        "[an image, image/png, 9 bytes: not shown, as its data is no base64]\n"
                        "[an image, of an unknown type, 0 bytes: not shown, as its data is no "
                        "base64]\n"
                        "[an image, of an unknown type, 0 bytes: not shown, as its data is no "
                        "base64]");
    assert_int_equal(media.count, 3);
    assert_int_equal(media.size, 19);
    assert_true(span_is(media.parts[0].bytes, "\x89PNG\r\n\x1a\n"));
    assert_string_equal(media.parts[1].type->name, "audio/mp3");
    assert_false(media.parts[1].type->is_image);
}

static void add_image(struct buf *text, const char *before, size_t bytes)
{
    BUF_AUTO image = BUF_INIT(16 << 20);
    buf_append_text(&image, "\x89PNG\r\n\x1a\n");
    while (image.len < bytes)
        buf_append_char(&image, 'x');
    buf_printf(text, "%s{\"type\":\"image\",\"data\":\"", before);
    base64_encode(buf_span(&image), text);
    buf_append_text(text, "\"}");
}

static size_t kept_of(const size_t *sizes, size_t count, const char *says)
{
    BUF_AUTO text = BUF_INIT(64 << 20);
    BUF_AUTO out = BUF_INIT(1 << 20);
    JSON_AUTO doc = JSON_INIT;
    CLEANUP(mcp_media_finish) struct mcp_media media = {0};
    buf_append_text(&text, "{\"content\":[");
    for (size_t i = 0; i < count; i++)
        add_image(&text, i ? "," : "", sizes[i]);
    buf_append_text(&text, "]}");
    assert_int_equal(json_parse(&doc, buf_span(&text), NULL), 0);
    mcp_content_append(json_root(&doc), &out, &media);
    assert_true(span_find(buf_span(&out), span_of(says)) >= 0);
    assert_true(media.size <= TOOL_PARTS_BYTES);
    return media.count;
}

static void too_many_and_too_large(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    static size_t many[MANY];
    const size_t exact[] = {TOOL_PART_MAX}, more[] = {TOOL_PART_MAX + 1, 10};
    const size_t together[] = {TOOL_PART_MAX, TOOL_PARTS_BYTES - TOOL_PART_MAX, 9};
    assert_int_equal(kept_of(many, MANY, "more than 8"), TOOL_PARTS_MAX);
    assert_int_equal(kept_of(exact, 1, "bytes]"), 1);
    assert_int_equal(kept_of(more, 2, "bytes: not shown, as it is larger than 3840 KiB"), 1);
    assert_int_equal(kept_of(together, 3, "all of them are larger than 6 MiB"), 2);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_part),
        cmocka_unit_test(other_results),
        cmocka_unit_test(images_and_sound),
        cmocka_unit_test(too_many_and_too_large),
        cmocka_unit_test(structured_content_only_instead_of_text),
        cmocka_unit_test(what_is_none_shows_nothing),
    };
    return cmocka_run_group_tests_name("mcp/content", tests, NULL, NULL);
}
