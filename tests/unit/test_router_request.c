#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/json.h"
#include "router/wire/request.h"

static int open_body(struct router_body *body, const char *text, struct error *err)
{
    struct buf bytes = BUF_INIT(1 << 20);
    buf_append_text(&bytes, text);
    int r = router_body_init(body, &bytes, err);
    assert_null(bytes.data);
    return r;
}

static struct router_body body_of(const char *text)
{
    struct router_body body;
    struct error err = ERROR_INIT;
    if (open_body(&body, text, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    return body;
}

static void sends(struct router_body *body, const struct router_edit *edit, const char *wanted)
{
    struct error err = ERROR_INIT;
    BUF_AUTO joined = BUF_INIT(1 << 20);
    JSON_AUTO doc = JSON_INIT;
    if (router_body_edit(body, edit, &err) != 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < body->parts.count; i++)
        assert_true(buf_append_span(&joined, body->parts.spans[i]));
    assert_int_equal(joined.len, body->parts.bytes);
    assert_int_equal(json_parse(&doc, buf_span(&joined), NULL), 0);
    assert_string_equal(buf_text(&joined), wanted);
}

static void edits_to(const char *text, const struct router_edit *edit, const char *wanted)
{
    struct router_body body = body_of(text);
    sends(&body, edit, wanted);
    sends(&body, edit, wanted);
    router_body_finish(&body);
}

static void passes_bytes(void **state)
{
    static const char *const texts[] = {
        "{}",
        " { \"model\" : \"m\" , \"x\" : [ 1.0e5 , 12345678901234567890 ] } \n",
        "{\"a\":1,\"a\":2,\"max_tokens\":5,\"stream\":false,\"stream_options\":null}",
    };
    const struct router_edit edit = ROUTER_EDIT_INIT;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        edits_to(texts[i], &edit, texts[i]);
    struct router_body body = body_of(texts[1]);
    assert_int_equal(router_body_edit(&body, &edit, NULL), 0);
    assert_int_equal(body.parts.count, 1); // and nothing was copied
    assert_ptr_equal(body.parts.spans[0].data, body.bytes.data);
    router_body_finish(&body);
}

static void replaces_the_model(void **state)
{
    struct router_edit edit = ROUTER_EDIT_INIT;
    edit.model = SPAN_LITERAL("a/\"b\"\xff");
    edits_to("{ \"mod\\u0065l\" : \"m\" ,\"x\":1}", &edit,
             "{ \"mod\\u0065l\" : \"a/\\\"b\\\"\xef\xbf\xbd\" ,\"x\":1}");
    edits_to("{\"x\":1}", &edit, "{\"x\":1,\"model\":\"a/\\\"b\\\"\xef\xbf\xbd\"}");
    edits_to(" {  } ", &edit, " {\"model\":\"a/\\\"b\\\"\xef\xbf\xbd\"  } ");
    edit.model = SPAN_LITERAL("m");
    edits_to("{\"model\":\"\\u006d\"}", &edit, "{\"model\":\"\\u006d\"}");
}

static void leaves_private_members_out(void **state)
{
    struct router_edit edit = ROUTER_EDIT_INIT;
    edits_to("{\"fallbacks\":[\"a\"] , \"model\":\"m\"}", &edit, "{\"model\":\"m\"}");
    edits_to("{ \"model\":\"m\" , \"fallbacks\":[\"a\"] }", &edit, "{ \"model\":\"m\" }");
    edits_to("{\"model\":\"m\", \"num_retries\":1, \"mock_response\":2, \"x\":3}", &edit,
             "{\"model\":\"m\", \"x\":3}");
    edits_to("{\"metadata\":{},\"timeout\":1}", &edit, "{}");
    edits_to("{\"model\":\"m\",\"models\":[\"dear\"],\"route\":\"fallback\"}", &edit,
             "{\"model\":\"m\"}");
    edit.model = SPAN_LITERAL("up");
    edits_to("{\"tags\":[],\"model\":\"m\",\"api_key\":\"k\"}", &edit, "{\"model\":\"up\"}");
}

static void bounds_the_output(void **state)
{
    struct router_edit edit = ROUTER_EDIT_INIT;
    edit.max_tokens = 50;
    edits_to("{\"max_tokens\":100,\"x\":1}", &edit, "{\"max_tokens\":50,\"x\":1}");
    edits_to("{\"max_tokens\":40}", &edit, "{\"max_tokens\":40}");
    edits_to("{\"max_tokens\":-1}", &edit, "{\"max_tokens\":50}");
    edits_to("{\"max_tokens\":null}", &edit, "{\"max_tokens\":50}");
    edits_to("{\"max_tokens\":null,\"max_completion_tokens\":60}", &edit,
             "{\"max_tokens\":null,\"max_completion_tokens\":50}");
    edits_to("{\"max_tokens\":70,\"max_completion_tokens\":60}", &edit,
             "{\"max_tokens\":50,\"max_completion_tokens\":50}");
    edits_to("{\"x\":1}", &edit, "{\"x\":1,\"max_tokens\":50}");
    edit.is_completion_bound = true;
    edits_to("{}", &edit, "{\"max_completion_tokens\":50}");
    edits_to("{\"max_tokens\":100}", &edit, "{\"max_tokens\":50}"); // as the client calls it
    edits_to("{\"max_tokens\":null}", &edit, "{\"max_tokens\":null,\"max_completion_tokens\":50}");
    edits_to("{\"max_tokens\":null,\"max_completion_tokens\":null}", &edit,
             "{\"max_tokens\":null,\"max_completion_tokens\":50}");
    edit.params = SPAN_LITERAL("{\"max_tokens\":30}");
    edits_to("{}", &edit, "{\"max_completion_tokens\":30}");
    edits_to("{\"max_completion_tokens\":7}", &edit, "{\"max_completion_tokens\":7}");
    edit.params = SPAN_ABSENT;

    struct router_body body = body_of("{\"max_tokens\":30}");
    assert_int_equal(router_body_edit(&body, &edit, NULL), 0);
    assert_false(body.capped);
    assert_int_equal(body.sent_max_tokens, 30);
    edit.max_tokens = 20;
    sends(&body, &edit, "{\"max_tokens\":20}");
    assert_true(body.capped);
    assert_int_equal(body.sent_max_tokens, 20);
    edit.max_tokens = -1;
    sends(&body, &edit, "{\"max_tokens\":30}");
    assert_false(body.capped);
    assert_int_equal(body.sent_max_tokens, 30);
    router_body_finish(&body);
}

static void adds_params(void **state)
{
    struct router_edit edit = ROUTER_EDIT_INIT;
    edit.params = SPAN_LITERAL("{\"temperature\": 0.2,\"provider\":{\"sort\":\"price\"},"
                               "\"max_tokens\":100,\"metadata\":{\"a\":1},\"model\":\"no\"}");
    edits_to("{\"model\":\"m\"}", &edit,
             "{\"model\":\"m\",\"temperature\":0.2,\"provider\":{\"sort\":\"price\"},"
             "\"max_tokens\":100,\"metadata\":{\"a\":1}}");
    edits_to("{\"temp\\u0065rature\":1,\"provider\":null,\"max_completion_tokens\":5,"
             "\"metadata\":{}}",
             &edit,
             "{\"temp\\u0065rature\":1,\"provider\":null,\"max_completion_tokens\":5,"
             "\"metadata\":{\"a\":1}}");
    edit.max_tokens = 60;
    edit.params = SPAN_LITERAL("{\"max_tokens\":100}");
    edits_to("{}", &edit, "{\"max_tokens\":60}");
    edit.params = SPAN_LITERAL("{}");
    edits_to("{}", &edit, "{\"max_tokens\":60}");

    struct router_body body = body_of("{}");
    struct error err = ERROR_INIT;
    edit.params = SPAN_LITERAL("[1]");
    assert_int_equal(router_body_edit(&body, &edit, &err), -EINVAL);
    edit.params = SPAN_LITERAL("{\"a\":");
    assert_int_equal(router_body_edit(&body, &edit, &err), -EINVAL);
    router_body_finish(&body);
}

static void asks_for_usage(void **state)
{
    struct router_edit edit = ROUTER_EDIT_INIT;
    struct router_body body = body_of("{\"stream\":true}");
    sends(&body, &edit, "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    assert_true(body.stream && body.added_usage && !body.wants_usage);
    router_body_finish(&body);

    edits_to("{\"stream\":true,\"stream_options\":{\"include_usage\":false,\"x\":[1]}}", &edit,
             "{\"stream\":true,\"stream_options\":{\"include_usage\":true,\"x\":[1]}}");
    edits_to("{\"stream_options\":null,\"stream\":true}", &edit,
             "{\"stream_options\":{\"include_usage\":true},\"stream\":true}");
    edits_to("{\"stream\":true,\"stream_options\":7}", &edit,
             "{\"stream\":true,\"stream_options\":7}");
    edits_to("{\"stream\":null}", &edit, "{\"stream\":null}");

    body = body_of("{\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    sends(&body, &edit, "{\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
    assert_true(body.wants_usage && !body.added_usage);
    router_body_finish(&body);
}

static void learns_sizes(void **state)
{
    static const struct {
        const char *text;
        int64_t answers, max_tokens;
    } table[] = {
        {"{}", 1, -1},
        {"{\"n\":3,\"best_of\":5,\"max_tokens\":10}", 5, 10},
        {"{\"n\":0,\"max_tokens\":0}", 1, -1},
        {"{\"max_tokens\":5,\"max_completion_tokens\":9}", 1, 9},
        {"{\"max_tokens\":5,\"max_completion_tokens\":-1}", 1, -1},
        {"{\"max_tokens\":5,\"max_completion_tokens\":null}", 1, 5},
        {"{\"prompt\":[\"a\",\"b\",\"c\"],\"n\":2}", 6, -1},
        {"{\"prompt\":[ [1],[2]]}", 2, -1},
        {"{\"prompt\":[1,2,3]}", 1, -1},
        {"{\"prompt\":\"x\",\"n\":9223372036854775807}", INT64_MAX, -1},
        {"{\"prompt\":[\"x\",\"y\"],\"n\":9223372036854775807}", INT64_MAX, -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct router_body body = body_of(table[i].text);
        if (body.answers != table[i].answers || body.max_tokens != table[i].max_tokens)
            fail_msg("%s: %lld answers, %lld tokens", table[i].text, (long long)body.answers,
                     (long long)body.max_tokens);
        router_body_finish(&body);
    }
}

static void refuses_impossible_values(void **state)
{
    static const char *const texts[] = {
        "{\"n\":\"2\"}",  "{\"n\":1.5}",      "{\"max_tokens\":true}",    "{\"stream\":1}",
        "{\"model\":[]}", "{\"best_of\":{}}", "{\"model\":\"a\\u0000\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct router_body body;
        struct error err = ERROR_INIT;
        assert_int_equal(open_body(&body, texts[i], &err), -EINVAL);
        assert_non_null(strstr(err.text, " must be "));
        router_body_finish(&body);
    }
    struct router_body body;
    assert_int_equal(open_body(&body, "{\"model\":", NULL), -EBADMSG);
    router_body_finish(&body);
    router_body_finish(NULL);
}

// So many holes that the pieces would be too many.
static void joins_many_pieces(void **state)
{
    static const enum request_member holes[] = {
        REQUEST_TAGS,
        REQUEST_CACHE,
        REQUEST_API_KEY,
        REQUEST_TIMEOUT,
        REQUEST_CACHING,
        REQUEST_METADATA,
        REQUEST_API_BASE,
        REQUEST_BASE_URL,
        REQUEST_FALLBACKS,
        REQUEST_GUARDRAILS,
        REQUEST_NUM_RETRIES,
        REQUEST_MAX_RETRIES,
        REQUEST_API_VERSION,
        REQUEST_MOCK_TIMEOUT,
        REQUEST_RETRY_POLICY,
        REQUEST_MAX_FALLBACKS,
        REQUEST_MOCK_RESPONSE,
        REQUEST_STREAM_TIMEOUT,
        REQUEST_REQUEST_TIMEOUT,
        REQUEST_LITELLM_CALL_ID,
        REQUEST_LITELLM_METADATA,
        REQUEST_LITELLM_TRACE_ID,
        REQUEST_DISABLE_FALLBACKS,
        REQUEST_LITELLM_SESSION_ID,
        REQUEST_MOCK_TESTING_FALLBACKS,
        REQUEST_CONTEXT_WINDOW_FALLBACKS,
        REQUEST_CONTENT_POLICY_FALLBACKS,
        REQUEST_CONTEXT_WINDOW_FALLBACK_DICT,
        REQUEST_MOCK_TESTING_RATE_LIMIT_ERROR,
    };
    BUF_AUTO text = BUF_INIT(1 << 16), wanted = BUF_INIT(1 << 16);
    buf_append_text(&text, "{\"model\":\"m\"");
    buf_append_text(&wanted, "{\"model\":\"up\"");
    for (unsigned i = 0; i < ARRAY_LEN(holes); i++) {
        buf_printf(&text, ",\"%s\":0,\"k%u\":%u", request_member_name(holes[i]), i, i);
        buf_printf(&wanted, ",\"k%u\":%u", i, i);
    }
    buf_append_char(&text, '}');
    buf_append_char(&wanted, '}');
    struct router_edit edit = ROUTER_EDIT_INIT;
    edit.model = SPAN_LITERAL("up");
    edits_to(buf_text(&text), &edit, buf_text(&wanted));
    struct router_body body = body_of(buf_text(&text));
    assert_int_equal(router_body_edit(&body, &edit, NULL), 0);
    assert_true(body.parts.count <= ROUTER_PARTS_MAX);
    router_body_finish(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_bytes),
        cmocka_unit_test(replaces_the_model),
        cmocka_unit_test(leaves_private_members_out),
        cmocka_unit_test(bounds_the_output),
        cmocka_unit_test(adds_params),
        cmocka_unit_test(asks_for_usage),
        cmocka_unit_test(learns_sizes),
        cmocka_unit_test(refuses_impossible_values),
        cmocka_unit_test(joins_many_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
