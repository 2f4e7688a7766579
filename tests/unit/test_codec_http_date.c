#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "codec/http_date.h"

// What `date` says of these seconds.
static const struct {
    int64_t utc_s;
    const char *text;
} known[] = {
    {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},   {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
    {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},          {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
    {1798761599, "Thu, 31 Dec 2026 23:59:59 GMT"},  {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
    {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"}};

static void known_dates(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char text[HTTP_DATE_SIZE];
        int64_t utc_s = 7;
        assert_string_equal(http_date_format(known[i].utc_s, text), known[i].text);
        assert_true(http_date_parse(span_of(known[i].text), &utc_s));
        assert_int_equal(utc_s, known[i].utc_s);
    }
}

static void no_dates(void **state)
{
    static const char *const texts[] = {
        "",
        "Sun, 06 Nov 1994",
        "Mon, 06 Nov 1994 08:49:37 GMT", // it was a Sunday
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Thu, 31 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 6  Nov 1994 08:49:37 GMT",
        "Sun, 06 Xyz 1994 08:49:37 GMT",
        "Sun, \xff\x80 Nov \xff\xff\xff\xff 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT", // as RFC 850 had it
        "Sun Nov  6 08:49:37 1994     ",  // as asctime() has it
    };
    int64_t utc_s;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (http_date_parse(span_of(texts[i]), &utc_s))
            fail_msg("\"%s\" was taken for a date", texts[i]);
    assert_false(http_date_parse((struct span){NULL, 0}, &utc_s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_dates),
        cmocka_unit_test(no_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
