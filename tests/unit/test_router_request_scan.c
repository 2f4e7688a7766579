#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"
#include "router/wire/request_scan.h"

static struct request_scan scan_of(const char *text)
{
    struct request_scan scan;
    struct error err = ERROR_INIT;
    int r = request_scan_run(&scan, span_of(text), &err);
    if (r != 0)
        fail_msg("%s: %d %s", text, r, err.text);
    return scan;
}

static void refused(const char *text, int code, const char *sentence)
{
    struct request_scan scan;
    struct error err = ERROR_INIT;
    int r = request_scan_run(&scan, span_of(text), &err);
    if (r != code || err.code != code || !strstr(err.text, sentence))
        fail_msg("%s: %d %s, wanted %d %s", text, r, err.text, code, sentence);
}

static void raw_is(const struct request_scan *scan, enum request_member which, const char *wanted)
{
    struct span raw = request_raw(scan, which);
    if (wanted ? !span_is(raw, wanted) : raw.data != NULL)
        fail_msg("%s: %.*s, wanted %s", request_member_name(which), (int)raw.len,
                 raw.data ? raw.data : "", wanted ? wanted : "nothing");
}

static void finds_members(void **state)
{
    struct request_scan scan = scan_of(
        " {\"model\" : \"free\",\"messages\":[{\"role\":\"user\",\"model\":\"no\"},{}],\r\n\t"
        "\"stream\":true,\"x\":{\"n\":5},\"max_tokens\":null, \"n\":2 } \n");
    raw_is(&scan, REQUEST_MODEL, "\"free\"");
    raw_is(&scan, REQUEST_MESSAGES, "[{\"role\":\"user\",\"model\":\"no\"},{}]");
    raw_is(&scan, REQUEST_STREAM, "true");
    raw_is(&scan, REQUEST_N, "2");
    raw_is(&scan, REQUEST_USER, NULL);
    assert_int_equal(request_type(&scan, REQUEST_MAX_TOKENS), JSON_NULL);
    assert_int_equal(request_type(&scan, REQUEST_TOOLS), JSON_ABSENT);
    assert_int_equal(request_count(&scan, REQUEST_MESSAGES), 2);
    assert_int_equal(scan.count, 6);
    scan = scan_of("{}");
    assert_int_equal(scan.count, 0);
}

// Whatever stands in the table is found, and nothing is in its way.
static void finds_every_name(void **state)
{
    for (unsigned i = 0; i < REQUEST_KNOWN; i++) {
        const char *name = request_member_name((enum request_member)i);
        char text[200], spelt[200] = "";
        snprintf(text, sizeof text, "{\"%s\":1}", name);
        struct request_scan scan = scan_of(text);
        raw_is(&scan, (enum request_member)i, "1");

        for (const char *c = name; *c; c++)
            snprintf(spelt + strlen(spelt), sizeof spelt - strlen(spelt), "%s%c",
                     c[1] ? "" : "\\u00", c[1] ? *c : '\0');
        snprintf(text, sizeof text, "{\"%s%02x\":1}", spelt, (unsigned)name[strlen(name) - 1]);
        scan = scan_of(text);
        raw_is(&scan, (enum request_member)i, "1");

        snprintf(text, sizeof text, "{\"%s\":1,\"%s%02X\":2}", name, spelt,
                 (unsigned)name[strlen(name) - 1]);
        refused(text, -EBADMSG, "occurs twice");
        snprintf(text, sizeof text, "{\"%c%s\":1}", name[0] - 0x20, name + 1);
        refused(text, -EBADMSG, "only in case");
    }
    assert_string_equal(request_member_name(REQUEST_KNOWN), "");
}

static void refuses_what_is_read_in_two_ways(void **state)
{
    refused("{\"model\":\"a\",\"model\":\"a\"}", -EBADMSG, "\"model\" occurs twice");
    refused("{\"model\":\"a\",\"mod\\u0065l\":\"b\"}", -EBADMSG, "twice");
    refused("{\"MODEL\":\"a\"}", -EBADMSG, "\"MODEL\" differs from \"model\" only in case");
    refused("{\"me\xc5\xbfsages\":[]}", -EBADMSG, "only in case");
    refused("{\"max_to\xe2\x84\xaa"
            "ens\":1}",
            -EBADMSG, "only in case");
    refused("{\"max_to\\u212aens\":1}", -EBADMSG, "only in case");
    scan_of("{\"top_p\":1,\"top_p\":2,\"Temperature\":1,\"modell\":1,\"mode\":2,\"\":3}");
}

// One scanner stands behind both, but each makes its own answer of it: what json_parse() takes for
// an object is a request, one cut or changed byte at a time.
static void takes_what_the_parser_takes(void **state)
{
    static const char *const texts[] = {
        "{\"a\":[1,-0.5e+3,0,10E-2],\"b\\n\\u00e9\":{\"c\":null,\"d\":[true,false,[],{}]},"
        "\"e\":\"x\"}",
        " { \"long\" : \"0123456789012345678901234567890123456789012345678901234567890123456789"
        "01234567890123456789\\\\\" , \"m\" : [ { } , [ ] ] } ",
    };
    static const char bytes[] = "\"\\{}[],:0-.eEu tn\x01\x1f\x7f\x80\xff";
    for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
        size_t len = strlen(texts[t]);
        for (size_t i = 0; i <= len; i++)
            for (size_t b = 0; b < sizeof bytes; b++) { // the last, NUL, stands for a cut
                JSON_AUTO doc = JSON_INIT;
                char *text = mem_strndup(texts[t], len);
                size_t now = bytes[b] ? len : i;
                if (i < len)
                    text[i] = bytes[b];
                char *exact = mem_alloc(now ? now : 1);
                memcpy(exact, text, now);
                struct request_scan scan;
                int wanted = json_parse(&doc, span_make(exact, now), NULL);
                int r = request_scan_run(&scan, span_make(exact, now), NULL);
                bool object = json_type(json_root(&doc)) == JSON_OBJECT;
                if ((r == 0) != (wanted == 0 && object))
                    fail_msg("%.*s: %d, json_parse() says %d", (int)now, text, r, wanted);
                free(exact);
                free(text);
            }
    }
}

static void refuses_what_is_no_object(void **state)
{
    refused("", -EBADMSG, "ends at byte 0");
    refused("[]", -EBADMSG, "not an object");
    refused("\"x\"", -EBADMSG, "not an object");
    refused("{\"a\":1}x", -EBADMSG, "at byte 7: expected nothing more");
    refused("\xef\xbb\xbf{}", -EBADMSG, "at byte 0");
}

static void says_what_is_missing_and_where(void **state)
{
    static const struct {
        const char *text, *sentence;
    } faults[] = {
        {"{", "it ends at byte 1, expected a quoted key or }"},
        {"{1}", "at byte 1: expected a quoted key"},
        {"{\"a\" 1}", "at byte 5: expected a colon"},
        {"{\"a\":[", "it ends at byte 6, expected a value or ]"},
        {"{\"a\":[}", "at byte 6: expected a value"},
        {"{\"a\":nul", "it ends at byte 8, expected a value"},
        {"{\"a\":nuxl}", "at byte 7: expected a value"},
        {"{\"a\":1", "it ends at byte 6, expected a comma or }"},
        {"{\"a\":[1}", "at byte 7: expected a comma or ]"},
        {"{\"a\":1,]", "at byte 7: expected a quoted key"},
        {"{\"a\":-}", "at byte 6: expected a digit"},
        {"{\"a\":\"b", "it ends at byte 7, expected the end of a string"},
        {"{\"a\":\"\n", "at byte 6: expected no control character"},
        {"{\"a\":\"\\", "it ends at byte 7, expected the end of an escape"},
        {"{\"a\":\"\\x", "at byte 7: expected an escape that JSON knows"},
        {"{\"a\":\"\\u12x", "at byte 10: expected four hexadecimal digits"},
    };
    for (size_t i = 0; i < ARRAY_LEN(faults); i++)
        refused(faults[i].text, -EBADMSG, faults[i].sentence);
}

static char *nested(unsigned depth)
{
    char *text = mem_alloc(2 * depth + 16);
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', depth);
    memset(text + 5 + depth, ']', depth);
    memcpy(text + 5 + 2 * depth, "}", 2);
    return text;
}

static void holds_its_limits(void **state)
{
    char *text = nested(JSON_DEPTH_MAX - 1);
    scan_of(text);
    free(text);
    text = nested(JSON_DEPTH_MAX);
    refused(text, -EMSGSIZE, "deeper than 128 levels");
    free(text);

    BUF_AUTO many = BUF_INIT(1 << 20);
    buf_append_char(&many, '{');
    for (unsigned i = 0; i <= REQUEST_MEMBERS_MAX; i++)
        buf_printf(&many, "%s\"k%u\":%u", i ? "," : "", i, i);
    buf_append_char(&many, '}');
    refused(buf_text(&many), -EMSGSIZE, "more than 64 members");

    struct request_scan scan;
    struct error err = ERROR_INIT;
    char *large = mem_zalloc(REQUEST_BODY_MAX + 1);
    memset(large, ' ', REQUEST_BODY_MAX + 1);
    memcpy(large, "{}", 2);
    assert_int_equal(request_scan_run(&scan, span_make(large, REQUEST_BODY_MAX), &err), 0);
    assert_int_equal(request_scan_run(&scan, span_make(large, REQUEST_BODY_MAX + 1), &err),
                     -EMSGSIZE);
    free(large);
}

static void parts_are(const char *members, unsigned images, unsigned audio, unsigned remote)
{
    char *text = mem_printf("{%s}", members);
    struct request_scan scan = scan_of(text);
    if (scan.parts.images != images || scan.parts.audio != audio || scan.parts.remote != remote)
        fail_msg("%s: %u images, %u audio, %u remote", text, scan.parts.images, scan.parts.audio,
                 scan.parts.remote);
    free(text);
}

static void counts_parts(void **state)
{
    parts_are("\"messages\":[{\"content\":\"image_url file\"}]", 0, 0, 0);
    parts_are("\"messages\":[{\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}},"
              "{\"type\":\"text\",\"text\":\"file\"},{\"image_url\":\"x\"},{\"type\":\"image\"}]}]",
              3, 0, 0);
    parts_are("\"messages\":[{\"content\":[{\"typ\\u0065\":\"\\u0069mage_url\"},"
              "{\"imag\\u0065_url\":\"x\"},{\"input_audio\":{}},{\"type\":\"input_audio\"}]}]",
              2, 2, 0);
    parts_are("\"messages\":[{\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}},"
              "{\"video_url\":{\"url\":\"v\"}}]}]",
              0, 0, 3);
    // As a reader that ignores case takes them.
    parts_are("\"messages\":[{\"content\":[{\"Type\":\"Image_URL\"},{\"IMAGE_url\":1},"
              "{\"TYP\\u0045\":\"File\"}]}],\"x\":0",
              2, 0, 1);
    // Of a list each; a null is nothing, as many histories hold one.
    parts_are("\"messages\":[{\"images\":[\"a\",\"b\",\"c\"],\"audio\":null,\"image\" : null}]", 3,
              0, 0);
    // The arguments of somebody's tool are not files.
    parts_are("\"tools\":[{\"type\":\"function\",\"function\":{\"parameters\":{\"type\":\"object\","
              "\"properties\":{\"file\":{\"type\":\"string\"},\"image\":{\"type\":\"string\"}}}}},"
              "{\"type\":\"web_search\"},{\"type\":\"custom\"}],\"response_format\":{\"file\":1},"
              "\"metadata\":{\"image\":2}",
              0, 0, 0);
    parts_are("\"tool\\u0073\":[{\"type\":\"web_search\"}],\"unknown\":{\"image\":{}}", 1, 0, 0);
}

static void reads_values(void **state)
{
    struct request_scan scan =
        scan_of("{\"n\":2e0,\"stream\":false,\"max_tokens\":5.5,\"user\":\"a\\u00e9\","
                "\"model\":\"\\u0000\",\"best_of\":99999999999999999999,\"num_retries\":\"3\","
                "\"metadata\":null}");
    int64_t number = -7;
    bool flag = true;
    struct error err = ERROR_INIT;
    BUF_AUTO text = BUF_INIT(100);
    assert_int_equal(request_int(&scan, REQUEST_N, &number, &err), 0);
    assert_int_equal(number, 2);
    assert_int_equal(request_bool(&scan, REQUEST_STREAM, &flag, &err), 0);
    assert_false(flag);
    assert_int_equal(request_string(&scan, REQUEST_USER, &text, &err), 0);
    assert_string_equal(buf_text(&text), "a\xc3\xa9");
    assert_int_equal(request_int(&scan, REQUEST_METADATA, &number, &err), 1);
    assert_int_equal(request_bool(&scan, REQUEST_TOOLS, &flag, &err), 1);

    assert_int_equal(request_int(&scan, REQUEST_MAX_TOKENS, &number, &err), -EINVAL);
    assert_string_equal(err.text, "\"max_tokens\" must be a whole number");
    assert_int_equal(request_int(&scan, REQUEST_BEST_OF, &number, &err), -EINVAL);
    assert_int_equal(request_int(&scan, REQUEST_NUM_RETRIES, &number, &err), -EINVAL);
    assert_int_equal(request_bool(&scan, REQUEST_USER, &flag, &err), -EINVAL);
    assert_int_equal(request_string(&scan, REQUEST_MODEL, &text, &err), -EINVAL);
    assert_int_equal(request_string(&scan, REQUEST_N, &text, &err), -EINVAL);
    assert_string_equal(buf_text(&text), "a\xc3\xa9");
    assert_int_equal(number, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_members),
        cmocka_unit_test(finds_every_name),
        cmocka_unit_test(refuses_what_is_read_in_two_ways),
        cmocka_unit_test(takes_what_the_parser_takes),
        cmocka_unit_test(refuses_what_is_no_object),
        cmocka_unit_test(says_what_is_missing_and_where),
        cmocka_unit_test(holds_its_limits),
        cmocka_unit_test(counts_parts),
        cmocka_unit_test(reads_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
