#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "codec/document.h"
#include "codec/json_write.h"

enum { MEMORY = 1 << 20, TEXT = 1 << 20 };

static void prints(const struct document *doc, const char *wanted)
{
    BUF_AUTO out = BUF_INIT(TEXT);
    struct error err = ERROR_INIT;
    assert_int_equal(document_print(doc, &out, &err), 0);
    assert_string_equal(buf_text(&out), wanted);
}

static void test_members_and_elements_in_their_order(void **state)
{
    (void)state;
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MEMORY);
    struct node root = document_object(&doc);
    node_add_text(root, "z", "text");
    node_add_text(root, "none", NULL);
    struct node list = node_add_array(root, "list");
    node_add_int(list, NULL, -1);
    node_add_bool(list, NULL, true);
    node_add_bool(list, NULL, false);
    node_add_null(list, NULL);
    node_add_array(list, NULL);
    node_add_text(node_add_object(list, NULL), "a", "");
    node_add_string(root, "a/b", SPAN_ABSENT);
    prints(&doc, "{\"z\":\"text\",\"none\":null,"
                 "\"list\":[-1,true,false,null,[],{\"a\":\"\"}],\"a/b\":\"\"}");
}

// What json_write writes, a document prints: tests and programs know these bytes.
static void same_string(struct span text)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MEMORY);
    BUF_AUTO wanted = BUF_INIT(TEXT);
    struct json_writer w;
    json_writer_init(&w, &wanted);
    json_write_array_begin(&w);
    json_write_string(&w, text);
    json_write_array_end(&w);
    node_add_string(document_array(&doc), NULL, text);
    prints(&doc, buf_text(&wanted));
}

static void test_strings_as_the_writer_writes_them(void **state)
{
    (void)state;
    char byte[1];
    for (int c = 0; c < 256; c++) {
        byte[0] = (char)c;
        same_string(span_make(byte, 1));
    }
    same_string(SPAN_LITERAL("\"\\/\b\f\n\r\t\x1f\x7f"));
    same_string(SPAN_LITERAL("\xC3\xA4\xF0\x9F\x98\x80 \xE2\x80\xA8"));
    same_string(SPAN_LITERAL("before\0behind"));
    same_string(SPAN_LITERAL("a\xC3\xED\xA0\x80\xFF"));
}

static void test_a_key_is_made_valid(void **state)
{
    (void)state;
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MEMORY);
    struct node root = document_object(&doc);
    node_add_int(root, "a\xFF", 1);
    node_add_int(root, "\"\n", 2);
    prints(&doc, "{\"a\xEF\xBF\xBD\":1,\"\\\"\\n\":2}");
}

static void prints_int(int64_t value)
{
    char wanted[64];
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MEMORY);
    node_add_int(document_array(&doc), NULL, value);
    snprintf(wanted, sizeof wanted, "[%lld]", (long long)value);
    prints(&doc, wanted);
}

static void test_integers_are_exact(void **state)
{
    (void)state;
    prints_int(0);
    prints_int(INT64_MIN);
    prints_int(INT64_MAX);
    for (int64_t power = 1; power <= INT64_MAX / 10; power *= 10)
        for (int64_t beside = -1; beside <= 1; beside++) {
            prints_int(power + beside);
            prints_int(-power + beside);
        }
    for (unsigned bit = 0; bit < 63; bit++)
        prints_int((INT64_C(1) << bit) + 1);
}

static void test_money_is_a_plain_decimal(void **state)
{
    (void)state;
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MEMORY);
    struct node list = document_array(&doc);
    node_add_fixed(list, NULL, 1500, 6);
    node_add_fixed(list, NULL, -1, 12);
    node_add_fixed(list, NULL, 0, 12);
    node_add_fixed(list, NULL, INT64_MAX, 12);
    node_add_fixed(list, NULL, INT64_C(3000000), 6);
    prints(&doc, "[0.0015,-0.000000000001,0,9223372.036854775807,3]");
}

static void test_raw_values_keep_their_bytes(void **state)
{
    (void)state;
    static const char schema[] = "{ \"id\": 12345678901234567890, \"x\": [1.50, 1e400],\n"
                                 "  \"u\": \"\\u0000\\/\\ud800\" }";
    char wanted[256];
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MEMORY);
    struct node root = document_object(&doc);
    node_add_raw(root, "schema", span_of(schema));
    node_add_raw(root, "none", SPAN_ABSENT);
    snprintf(wanted, sizeof wanted, "{\"schema\":%s,\"none\":null}", schema);
    prints(&doc, wanted);
}

static void test_misuse_prints_nothing(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    DOCUMENT_AUTO keyless = DOCUMENT_INIT(MEMORY);
    BUF_AUTO out = BUF_INIT(TEXT);
    node_add_int(document_object(&keyless), NULL, 1);
    assert_int_equal(document_print(&keyless, &out, &err), -EINVAL);
    assert_string_equal(err.text, "a JSON value where none may stand");
    assert_true(buf_is_full(&out));
    assert_int_equal(out.len, 0);

    DOCUMENT_AUTO keyed = DOCUMENT_INIT(MEMORY);
    node_add_int(document_array(&keyed), "key", 1);
    assert_int_equal(document_print(&keyed, &out, &err), -EINVAL);

    DOCUMENT_AUTO inside = DOCUMENT_INIT(MEMORY);
    struct node root = document_array(&inside);
    node_add_int(root, NULL, 1);
    node_add_int(node_first(root), "key", 1);
    assert_int_equal(document_print(&inside, &out, &err), -EINVAL);
}

static size_t in_use(void)
{
    return mallinfo2().uordblks;
}

// The nodes, the keys and the strings all count, and the document never takes more.
static void test_memory_is_bounded(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    DOCUMENT_AUTO doc = DOCUMENT_INIT(64 << 10);
    BUF_AUTO out = BUF_INIT(TEXT);
    struct node root = document_object(&doc), list = node_add_array(root, "list");
    size_t before = in_use();
    for (int i = 0; i < 10000; i++) {
        struct node row = node_add_object(list, NULL);
        node_add_text(row, "key", "some text");
        assert_in_range(doc.memory, 0, doc.memory_max);
    }
    assert_in_range(in_use() - before, 0, 128 << 10);
    assert_int_equal(document_print(&doc, &out, &err), -EMSGSIZE);
    assert_string_equal(err.text, "the JSON document needs more than 64 KiB of memory");
    assert_int_equal(out.len, 0);
    assert_true(buf_is_full(&out));
}

static void test_a_large_string_is_refused_at_once(void **state)
{
    (void)state;
    static char large[100 << 10];
    struct error err = ERROR_INIT;
    BUF_AUTO out = BUF_INIT(TEXT);
    memset(large, 'a', sizeof large);
    for (int odd = 0; odd < 2; odd++) {
        DOCUMENT_AUTO doc = DOCUMENT_INIT(64 << 10);
        large[5] = odd ? '\0' : 'a';
        node_add_string(document_array(&doc), NULL, span_make(large, sizeof large));
        assert_int_equal(document_print(&doc, &out, &err), -EMSGSIZE);
        assert_in_range(doc.memory, 0, doc.memory_max);
    }
}

static void test_what_does_not_fit_the_text_is_refused(void **state)
{
    (void)state;
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MEMORY);
    struct node list = document_array(&doc);
    for (int i = 0; i < 1000; i++) // six bytes of text for one of memory
        node_add_text(list, NULL,
                      "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
                      "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
                      "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01");
    size_t whole = 1 + 1000 * (6 * 48 + 2) + 999 + 1;
    for (size_t max = whole - 20; max < whole + 20; max++) {
        BUF_AUTO out = BUF_INIT(max);
        struct error err = ERROR_INIT;
        int r = document_print(&doc, &out, &err);
        if (max < whole)
            assert_int_equal(r, -EMSGSIZE);
        if (max > whole + 8)
            assert_int_equal(r, 0);
        assert_int_equal(out.len, r == 0 ? whole : 0);
        assert_int_equal(buf_is_full(&out), r != 0);
        assert_string_equal(err.text, r == 0 ? "" : "the JSON document is larger than 284 KiB");
    }
}

/* Reading */

static void reads(const char *text, const char *wanted)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MEMORY);
    struct error err = ERROR_INIT;
    assert_int_equal(document_read(&doc, span_of(text), &err), 0);
    prints(&doc, wanted);
}

static void refuses(struct span text, int code, const char *sentence)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MEMORY);
    struct error err = ERROR_INIT;
    assert_int_equal(document_read(&doc, text, &err), code);
    assert_string_equal(err.text, sentence);
    assert_int_equal(node_type(document_root(&doc)), JSON_ABSENT);
    assert_null(node_text(node_get(document_root(&doc), "a")));
}

static void test_a_document_is_read(void **state)
{
    (void)state;
    reads(" { \"a\" : [ 1 , -2 , true , false , null , { } , [ ] , \"\\u00e4\\/\\n\" ] } ",
          "{\"a\":[1,-2,true,false,null,{},[],\"\xC3\xA4/\\n\"]}");
    reads("\"text\"", "\"text\"");
    reads("17", "17");
    reads("null", "null");
}

static void test_numbers_keep_what_was_written(void **state)
{
    (void)state;
    reads("[-0,0,-0.0,1.0,1.50,1e3,1E+3,1e400,0.1,123456789012345678.5]",
          "[-0,0,-0.0,1.0,1.50,1e3,1E+3,1e400,0.1,123456789012345678.5]");
    reads("[9007199254740992,-9007199254740992,1000000000000000,999999999999999]",
          "[9007199254740992,-9007199254740992,1000000000000000,999999999999999]");
}

static void test_an_integer_beyond_2_to_the_53_is_refused(void **state)
{
    (void)state;
    static const char sentence[] = "an integer of this JSON is beyond 2^53";
    refuses(SPAN_LITERAL("{\"a\":\"x\",\"id\":9007199254740993}"), -ERANGE, sentence);
    refuses(SPAN_LITERAL("[-9007199254740993]"), -ERANGE, sentence);
    refuses(SPAN_LITERAL("[123456789012345678901234567890]"), -ERANGE, sentence);
}

static void test_a_nul_is_refused(void **state)
{
    (void)state;
    static const char sentence[] = "a string of this JSON holds U+0000";
    refuses(SPAN_LITERAL("{\"a\":\"b\\u0000c\"}"), -EILSEQ, sentence);
    refuses(SPAN_LITERAL("{\"a\\u0000\":1}"), -EILSEQ, sentence);
    refuses(SPAN_LITERAL("{\"a\":1,\"b\":{\"\\u0000\":1}}"), -EILSEQ, sentence);
    refuses(SPAN_LITERAL("[\"\\u0000\"]"), -EILSEQ, sentence);
    refuses(SPAN_LITERAL("[\"a\0b\"]"), -EBADMSG,
            "not valid JSON at byte 3: a control character inside a string");
}

static void test_what_is_no_json_is_refused(void **state)
{
    (void)state;
    refuses(SPAN_LITERAL(""), -EBADMSG, "not valid JSON: it ends at byte 0, expected a value");
    refuses(SPAN_LITERAL("{\"a\":1,}"), -EBADMSG,
            "not valid JSON at byte 7: expected a quoted key");
    refuses(SPAN_LITERAL("[01]"), -EBADMSG,
            "not valid JSON at byte 2: expected a comma or the end of the object or array");
    refuses(SPAN_LITERAL("[1] 2"), -EBADMSG, "not valid JSON at byte 4: expected nothing more");
}

static void test_lone_surrogates_and_bad_bytes_become_valid(void **state)
{
    (void)state;
    reads("[\"\\ud800\",\"\\udc00x\",\"\\ud83d\\ude00\",\"a\xFF\"]",
          "[\"\xEF\xBF\xBD\",\"\xEF\xBF\xBDx\",\"\xF0\x9F\x98\x80\",\"a\xEF\xBF\xBD\"]");
}

static void test_depth_and_number_of_values_are_limited(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(TEXT);
    DOCUMENT_AUTO deepest = DOCUMENT_INIT(MEMORY);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        buf_append_char(&text, '[');
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        buf_append_char(&text, ']');
    assert_int_equal(document_read(&deepest, buf_span(&text), NULL), 0);
    prints(&deepest, buf_text(&text));
    buf_clear(&text);
    for (int i = 0; i <= JSON_DEPTH_MAX; i++)
        buf_append_char(&text, '[');
    refuses(buf_span(&text), -EMSGSIZE, "this JSON is nested deeper than 128 levels");

    DOCUMENT_AUTO many = DOCUMENT_INIT(64 << 20);
    buf_clear(&text);
    buf_append_char(&text, '[');
    for (int i = 1; i < DOCUMENT_VALUES_MAX - 1; i++)
        buf_append_text(&text, "0,");
    buf_append_text(&text, "0]");
    assert_int_equal(document_read(&many, buf_span(&text), NULL), 0);

    // Beyond the limit it is not even looked whether the rest is JSON: it is counted while reading.
    buf_truncate(&text, text.len - 1);
    buf_append_text(&text, ",0 this is none");
    refuses(buf_span(&text), -EMSGSIZE, "this JSON holds more than 65536 values");
}

static void test_size_and_memory_are_limited(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(4 * TEXT);
    struct error err = ERROR_INIT;
    DOCUMENT_AUTO small = DOCUMENT_INIT(64 << 10);
    buf_append_char(&text, '[');
    for (int i = 0; i < 20000; i++)
        buf_append_text(&text, "0,");
    buf_append_text(&text, "0]");
    assert_int_equal(document_read(&small, buf_span(&text), &err), -EMSGSIZE);
    assert_string_equal(err.text, "the JSON document needs more than 64 KiB of memory");
    assert_int_equal(node_type(document_root(&small)), JSON_ABSENT);

    DOCUMENT_AUTO other = DOCUMENT_INIT(64 << 10);
    while (text.len <= 64 << 10)
        buf_append_char(&text, ' ');
    assert_int_equal(document_read(&other, buf_span(&text), &err), -EMSGSIZE);
    assert_string_equal(err.text, "this JSON is larger than 64 KiB");

    DOCUMENT_AUTO none = DOCUMENT_INIT(10);
    assert_int_equal(document_read(&none, SPAN_LITERAL("[1]"), &err), -EMSGSIZE);
}

static void test_values_are_taken_apart(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":1,\"b\":[\"x\",true,2.5],\"money\":0.0015,\"exp\":15e-4,\"big\":9007199254740992,"
        "\"zero\":-0,\"a\":\"last\",\"none\":null,\"no\":false}";
    DOCUMENT_AUTO doc = DOCUMENT_INIT(MEMORY);
    assert_int_equal(document_read(&doc, span_of(text), NULL), 0);
    struct node root = document_root(&doc), list = node_get(root, "b");
    int64_t number = -1;
    bool truth = true;
    assert_true(node_is(node_get(root, "a"), "last"));
    assert_false(node_is(node_get(root, "a"), "first"));
    assert_false(node_int(node_get(root, "a"), &number));
    assert_int_equal(node_type(list), JSON_ARRAY);
    assert_string_equal(node_text(node_first(list)), "x");
    assert_int_equal(node_type(node_next(node_first(list))), JSON_TRUE);
    assert_int_equal(node_type(node_next(node_next(node_first(list)))), JSON_NUMBER);
    assert_null(node_next(node_next(node_next(node_first(list)))).item);
    assert_true(node_fixed(node_get(root, "money"), 6, &number) && number == 1500);
    assert_true(node_fixed(node_get(root, "exp"), 6, &number) && number == 1500);
    assert_true(node_fixed(node_get(root, "big"), 0, &number) && number == INT64_C(1) << 53);
    assert_true(node_int(node_get(root, "big"), &number) && number == INT64_C(1) << 53);
    assert_false(node_int(node_get(root, "money"), &number));
    assert_false(node_int(node_get(root, "exp"), &number));
    assert_true(node_int(node_get(root, "zero"), &number) && number == 0);
    assert_true(node_bool(node_get(root, "no"), &truth) && !truth);
    assert_false(node_bool(node_get(root, "none"), &truth));
    assert_int_equal(node_type(node_get(root, "none")), JSON_NULL);
    assert_int_equal(node_type(node_get(root, "absent")), JSON_ABSENT);
    assert_int_equal(node_type(node_get(node_get(root, "absent"), "a")), JSON_ABSENT);
    assert_int_equal(node_type(node_get(list, "x")), JSON_ABSENT);
    assert_null(node_first(node_get(root, "a")).item);
    assert_int_equal(node_type(NODE_ABSENT), JSON_ABSENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_and_elements_in_their_order),
        cmocka_unit_test(test_strings_as_the_writer_writes_them),
        cmocka_unit_test(test_a_key_is_made_valid),
        cmocka_unit_test(test_integers_are_exact),
        cmocka_unit_test(test_money_is_a_plain_decimal),
        cmocka_unit_test(test_raw_values_keep_their_bytes),
        cmocka_unit_test(test_misuse_prints_nothing),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_a_large_string_is_refused_at_once),
        cmocka_unit_test(test_what_does_not_fit_the_text_is_refused),
        cmocka_unit_test(test_a_document_is_read),
        cmocka_unit_test(test_numbers_keep_what_was_written),
        cmocka_unit_test(test_an_integer_beyond_2_to_the_53_is_refused),
        cmocka_unit_test(test_a_nul_is_refused),
        cmocka_unit_test(test_what_is_no_json_is_refused),
        cmocka_unit_test(test_lone_surrogates_and_bad_bytes_become_valid),
        cmocka_unit_test(test_depth_and_number_of_values_are_limited),
        cmocka_unit_test(test_size_and_memory_are_limited),
        cmocka_unit_test(test_values_are_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
