// links: llm/price_list.c codec/json.c codec/utf8.c
// links: base/buf.c base/decimal.c base/error.c base/mem.c base/span.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "llm/price_list.h"

// The list in its real shape, in any pieces, and what is no such list.

static const char real[] =
    "{\"data\":[{\"id\":\"vendor/model\",\"canonical_slug\":\"vendor/m\",\"name\":\"A \\\"{[\","
    "\"created\":1750000000,\"description\":\"brackets ]}]} and \\\\\\\" quotes\","
    "\"context_length\":1048576,\"architecture\":{\"input_modalities\":[\"text\",\"image\"],"
    "\"instruct_type\":null},\"pricing\":{\"prompt\":\"0.0000001\",\"completion\":\"0.0000004\","
    "\"image\":\"0.0000001\",\"audio\":\"0.0000003\",\"web_search\":\"0.014\",\"request\":\"0\","
    "\"internal_reasoning\":\"0.0000004\",\"input_cache_read\":\"0.00000001\","
    "\"input_cache_write\":\"0.00000008333333333333334\",\"input_cache_write_1h\":2e-7,"
    "\"image_token\":\"1\",\"image_output\":\"2\",\"audio_output\":\"3\",\"input_audio_cache\":4},"
    "\"top_provider\":{\"max_completion_tokens\":null,\"is_moderated\":false},"
    "\"per_request_limits\":null,\"supported_parameters\":[\"tools\"]},\n"
    "{\"id\":\"openrouter/auto\",\"pricing\":{\"prompt\":\"-1\",\"completion\":\"-1\"}},"
    "{\"id\":\"tiers\",\"pricing\":{\"prompt\":\"0.000003\",\"completion\":1.5e-5,\"overrides\":["
    "{\"min_prompt_tokens\":200000,\"prompt\":\"0.000006\"}]}},"
    "{\"id\":\"odd\",\"pricing\":{\"prompt\":[],\"completion\":true,\"image\":null,"
    "\"request\":{}}},"
    "{\"id\":\"unpriced\"},{\"id\":7,\"pricing\":{}},{\"pricing\":{}},\"text\",null,"
    "[{\"id\":\"deep\"}],"
    "{\"id\":\"\",\"pricing\":{}},{\"id\":\"p\",\"pricing\":[]}],"
    "\"more\":[{\"id\":\"elsewhere\",\"pricing\":{\"prompt\":\"1\"}}],\"links\":{\"next\":null}}\n";

#define NONE " - - - - - - -"

static const char told[] =
    "vendor/model 0.0000001 0.0000004 0.00000001 0.00000008333333333333334 0.0000004 0 0.0000001 "
    "2e-7 1 2 0.0000003 3 4 0.014\n"
    "openrouter/auto -1 -1 - - - - -" NONE "\n"
    "tiers 0.000003 1.5e-5 - - - - -" NONE "\n"
    "tiers 0.000006 - - - - - -" NONE "\n"
    "odd ! ! - - - ! -" NONE "\n";

static void note(void *context, const struct price_list_entry *entry)
{
    struct buf *out = context;
    buf_append_span(out, entry->model);
    for (size_t i = 0; i < PRICE_LIST_ITEMS; i++) {
        struct span price = entry->prices[i];
        buf_append_char(out, ' ');
        if (!price.data)
            buf_append_char(out, '-');
        else if (!price.len)
            buf_append_char(out, '!');
        else
            buf_append_span(out, price);
    }
    buf_append_char(out, '\n');
}

static int read_in(struct span text, size_t piece, struct buf *out, struct error *err)
{
    struct price_list *list = price_list_create(note, out);
    int r = 0;
    for (; text.len && r == 0; text = span_skip(text, piece < text.len ? piece : text.len))
        r = price_list_feed(list, span_make(text.data, piece < text.len ? piece : text.len), err);
    if (r == 0)
        r = price_list_end(list, err);
    price_list_destroy(list);
    return r;
}

static void the_real_shape_in_any_pieces(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= sizeof real; piece += piece < 40 ? 1 : 97) {
        BUF_AUTO out = BUF_INIT(4096);
        assert_int_equal(read_in(span_of(real), piece, &out, NULL), 0);
        assert_string_equal(buf_text(&out), told);
    }
}

static void a_part_of_it_is_no_list(void **state)
{
    (void)state;
    for (size_t len = 0; len + 2 < sizeof real; len++) {
        BUF_AUTO out = BUF_INIT(4096);
        assert_int_equal(read_in(span_make(real, len), 64, &out, NULL), -EBADMSG);
    }
}

static void what_is_no_list(void **state)
{
    static const char *const texts[] = {
        "[]",
        "null",
        "<html>",
        "{}",
        "{\"error\":{\"message\":\"no\"}}",
        "{\"data\":{}}",
        "{\"data\":7}",
        "{\"x\":{\"data\":[]}}",
        "{\"a key that is long, data\":[]}",
        "{\"data\":[]}{}",
        "{\"data\":[]} x",
        "{\"data\":[}]",
        "{\"data\":[{]}",
        "{\"data\":[{\"id\":1,}]}",
        "{\"data\":[{\"id\":\"x\" \"pricing\":{}}]}",
        "{\"data\":[{\"id\":\"x\n\",\"pricing\":{}}]}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        BUF_AUTO out = BUF_INIT(4096);
        struct error err = ERROR_INIT;
        for (size_t piece = 1; piece < 64; piece += 31) {
            assert_int_equal(read_in(span_of(texts[i]), piece, &out, &err), -EBADMSG);
            assert_true(err.text[0]);
        }
    }
    BUF_AUTO deep = BUF_INIT(4096);
    buf_append_text(&deep, "{\"data\":[");
    for (int i = 0; i < 200; i++)
        buf_append_char(&deep, '[');
    BUF_AUTO out = BUF_INIT(64);
    assert_int_equal(read_in(buf_span(&deep), 4096, &out, NULL), -EBADMSG);
}

static void an_empty_list_is_one(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(64);
    assert_int_equal(read_in(SPAN_LITERAL(" { \"data\" : [ ] } "), 3, &out, NULL), 0);
    assert_int_equal(out.len, 0);
}

static void what_is_too_long_is_left_out(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(PRICE_LIST_MODEL_MAX * 2);
    BUF_AUTO out = BUF_INIT(4096);
    buf_append_text(&text, "{\"data\":[{\"id\":\"long\",\"x\":\"");
    for (int i = 0; i < PRICE_LIST_MODEL_MAX; i++)
        buf_append_char(&text, 'x');
    buf_append_text(&text, "\",\"pricing\":{\"prompt\":\"1\"}},{\"id\":\"");
    for (int i = 0; i <= PRICE_LIST_NAME_MAX; i++)
        buf_append_char(&text, 'n');
    buf_append_text(
        &text, "\",\"pricing\":{\"prompt\":\"1\"}},{\"id\":\"next\",\"pricing\":{\"prompt\":\"");
    for (int i = 0; i < 65; i++)
        buf_append_char(&text, '0');
    buf_append_text(&text, "\"}}]}");
    assert_int_equal(read_in(buf_span(&text), 16384, &out, NULL), 0);
    assert_string_equal(buf_text(&out), "next ! - - - - - -" NONE "\n");
}

static void a_list_without_end_is_refused(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(64);
    static char blanks[1 << 20];
    memset(blanks, ' ', sizeof blanks);
    struct price_list *list = price_list_create(note, &out);
    int r = price_list_feed(list, SPAN_LITERAL("{\"data\":["), NULL), times = 0;
    while (r == 0 && times++ < 64)
        r = price_list_feed(list, span_make(blanks, sizeof blanks), NULL);
    assert_int_equal(r, -EMSGSIZE);
    assert_int_equal(times, PRICE_LIST_BYTES_MAX / (1 << 20));
    price_list_destroy(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_real_shape_in_any_pieces),
        cmocka_unit_test(a_part_of_it_is_no_list),
        cmocka_unit_test(what_is_no_list),
        cmocka_unit_test(an_empty_list_is_one),
        cmocka_unit_test(what_is_too_long_is_left_out),
        cmocka_unit_test(a_list_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
