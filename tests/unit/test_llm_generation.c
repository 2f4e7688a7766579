#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "llm/generation.h"

// What is believed of an answer to "what did that cost?", and what is not.

static int read_cost(const char *body, int64_t *ret_cost_pico, struct error *err)
{
    return generation_read_cost(span_of(body), SPAN_LITERAL("gen-1"), ret_cost_pico, err);
}

static void what_is_told(void **state)
{
    static const struct {
        const char *body;
        int64_t cost_pico;
    } told[] = {
        {"{\"data\":{\"id\":\"gen-1\",\"total_cost\":0.0015,\"usage\":9}}", 1500000000},
        {"{\"data\":{\"total_cost\":0,\"id\":\"gen-1\",\"cancelled\":true}}", 0},
        {"{\"data\":{\"total_cost\":-0.0,\"id\":\"gen-1\"}}", 0},
        {"{\"data\":{\"total_cost\":1.5e-9,\"id\":\"g\\u0065n-1\"}}", 1500},
        // With a key of the owner's own the total is the fee, and the provider is paid besides.
        {"{\"data\":{\"id\":\"gen-1\",\"is_byok\":true,\"total_cost\":0.95,"
         "\"upstream_inference_cost\":19}}",
         INT64_C(19950000000000)},
        {"{\"data\":{\"id\":\"gen-1\",\"is_byok\":false,\"total_cost\":0.95,"
         "\"upstream_inference_cost\":0.95}}",
         INT64_C(950000000000)},
        {"{\"data\":{\"total_cost\":1e4,\"id\":\"gen-1\"}}", INT64_C(10000000000000000)},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        int64_t cost_pico = -1;
        assert_int_equal(read_cost(told[i].body, &cost_pico, NULL), 0);
        assert_int_equal(cost_pico, told[i].cost_pico);
    }
}

static void what_is_not_believed(void **state)
{
    static const char *const bodies[] = {
        "",
        "[]",
        "null",
        "{\"data\":{\"id\":\"gen-1\",\"total_cost\":0.5}",
        "{\"data\":{\"id\":\"gen-2\",\"total_cost\":0.5}}",
        "{\"data\":{\"id\":1,\"total_cost\":0.5}}",
        "{\"data\":{\"total_cost\":0.5}}",
        "{\"id\":\"gen-1\",\"total_cost\":0.5}",
        "{\"data\":{\"id\":\"gen-1\"}}",
        "{\"data\":{\"id\":\"gen-1\",\"total_cost\":null}}",
        "{\"data\":{\"id\":\"gen-1\",\"total_cost\":\"0.5\"}}",
        "{\"data\":{\"id\":\"gen-1\",\"total_cost\":NaN}}",
        "{\"data\":{\"id\":\"gen-1\",\"total_cost\":-0.5}}",
        "{\"data\":{\"id\":\"gen-1\",\"total_cost\":10001}}",
        "{\"data\":{\"id\":\"gen-1\",\"total_cost\":1e400}}",
        "{\"data\":{\"id\":\"gen-1\",\"total_cost\":0.5,\"is_byok\":true}}",
        "{\"data\":{\"id\":\"gen-1\",\"total_cost\":0.5,\"is_byok\":true,"
        "\"upstream_inference_cost\":-1}}",
        "{\"data\":[{\"id\":\"gen-1\",\"total_cost\":0.5}]}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct error err = ERROR_INIT;
        int64_t cost_pico = 77;
        assert_int_equal(read_cost(bodies[i], &cost_pico, &err), -EBADMSG);
        assert_int_equal(cost_pico, 77);
        assert_true(err.text[0]);
    }
}

static void its_name_stands_in_the_header(void **state)
{
    struct span lines = SPAN_LITERAL("Content-Type: text/event-stream\r\nx-generation-id:  gen-7 ");
    (void)state;
    assert_true(span_is(generation_id(lines), "gen-7"));
    assert_int_equal(generation_id(SPAN_LITERAL("X-Generation-Ids: a")).len, 0);
    assert_int_equal(generation_id(SPAN_ABSENT).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told),
        cmocka_unit_test(what_is_not_believed),
        cmocka_unit_test(its_name_stands_in_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
