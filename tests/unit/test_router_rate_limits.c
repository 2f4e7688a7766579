#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "router/route/rate_limits.h"

static const int64_t wall = 1760000000000; // 2025-10-09T08:53:20Z

static int64_t reset_in(const char *value)
{
    struct router_rate_limits limits = ROUTER_RATE_LIMITS_INIT;
    return router_rate_limits_read(&limits, SPAN_LITERAL("x-ratelimit-reset"), span_of(value), 0,
                                   wall)
               ? limits.requests_reset_ms
               : -1;
}

static void test_how_providers_write_a_reset(void **state)
{
    (void)state;
    assert_int_equal(reset_in("1s"), 1000);
    assert_int_equal(reset_in("6m0s"), 360000);
    assert_int_equal(reset_in("7.66s"), 7660);
    assert_int_equal(reset_in("120ms"), 120);
    assert_int_equal(reset_in("2m59.56s"), 179560);
    assert_int_equal(reset_in("30"), 30000);
    assert_int_equal(reset_in(" 1.5 "), 1500);
    assert_int_equal(reset_in("1760000060"), 60000);
    assert_int_equal(reset_in("1760000060000"), 60000);
    assert_int_equal(reset_in("2025-10-09T08:54:20Z"), 60000);
    assert_int_equal(reset_in("2025-10-09T08:53:00Z"), 0); // over already
    assert_int_equal(reset_in("1759999999"), 0);
    assert_int_equal(reset_in("Thu, 09 Oct 2025 08:54:20 GMT"), 60000); // RFC 9110
    assert_int_equal(reset_in("Thu, 09 Oct 2025 08:53:00 GMT"), 0);
}

static void test_what_is_far_away_or_no_time_at_all(void **state)
{
    (void)state;
    static const char *const nonsense[] = {"",
                                           "soon",
                                           "1x",
                                           "s",
                                           "-5",
                                           "1s2",
                                           "2025-13-09T08:54:20Z",
                                           "2025-10-09",
                                           "99999999999999999999999",
                                           "1e9",
                                           "1 s",
                                           "Thu, 09 Okt 2025 08:54:20 GMT",
                                           "Thu, 09 Oct 2025 08:54:2x GMT",
                                           "Thursday, 09-Oct-25 08:54 GMT",
                                           "9999999999999m"};
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++)
        assert_int_equal(reset_in(nonsense[i]), -1);
    assert_int_equal(reset_in("5h"), ROUTER_RATE_RESET_MAX_MS);
    assert_int_equal(reset_in("1d"), ROUTER_RATE_RESET_MAX_MS);
    assert_int_equal(reset_in("1d2h3m"), ROUTER_RATE_RESET_MAX_MS);
    assert_int_equal(reset_in("0.01d"), 864000);
    assert_int_equal(reset_in("Thu, 09 Oct 2026 08:54:20 GMT"), ROUTER_RATE_RESET_MAX_MS);
    assert_int_equal(reset_in("999999999999h"), ROUTER_RATE_RESET_MAX_MS);
    assert_int_equal(reset_in("999999"), ROUTER_RATE_RESET_MAX_MS);
    assert_int_equal(reset_in("9999-10-09T08:54:20Z"), ROUTER_RATE_RESET_MAX_MS);
}

static bool take(struct router_rate_limits *limits, const char *name, const char *value)
{
    return router_rate_limits_read(limits, span_of(name), span_of(value), 1000, wall);
}

static void test_headers_of_several_providers(void **state)
{
    (void)state;
    struct router_rate_limits limits = ROUTER_RATE_LIMITS_INIT;
    assert_false(take(&limits, "content-type", "text/html"));
    assert_false(take(&limits, "x-ratelimit-remaining-tokens", "many"));
    assert_int_equal(router_rate_limits_retry_after(&limits, 1000), -1);
    assert_true(take(&limits, "X-RateLimit-Remaining-Tokens", "0"));
    assert_true(take(&limits, "x-ratelimit-reset-tokens", "12s"));
    assert_true(take(&limits, "x-ratelimit-remaining-requests", "3"));
    assert_true(take(&limits, "x-ratelimit-reset-requests", "40s"));
    assert_int_equal(router_rate_limits_retry_after(&limits, 1000), 12000); // requests are left
    assert_true(take(&limits, "x-ratelimit-remaining", "0"));
    assert_int_equal(router_rate_limits_retry_after(&limits, 1000), 40000);
    assert_int_equal(router_rate_limits_retry_after(&limits, 21000), 20000);
    assert_true(take(&limits, "retry-after", "60"));
    assert_int_equal(router_rate_limits_retry_after(&limits, 1000), 60000);
    assert_true(take(&limits, "retry-after-ms", "59250"));
    assert_true(take(&limits, "retry-after", "60"));
    assert_int_equal(limits.retry_after_ms, 59250);
    assert_true(take(&limits, "anthropic-ratelimit-requests-reset", "2025-10-09T08:53:21Z"));
    assert_int_equal(limits.requests_reset_ms, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_how_providers_write_a_reset),
        cmocka_unit_test(test_what_is_far_away_or_no_time_at_all),
        cmocka_unit_test(test_headers_of_several_providers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
